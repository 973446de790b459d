"""The file store: MLflow's folders are the truth, the index answers.

A write is *commit, apply, forget*: one transaction in the index takes the changed rows and, as one more row, the
changes to files; then the files are changed; when these are on disk the row goes (``watch``). Whatever moment the
server dies at, the next start finishes what was committed, and nothing else was touched.
"""

import json
import os
import sqlite3
import time
from contextlib import contextmanager
from types import TracebackType
from typing import Callable, ContextManager, Dict, Iterator, List, Optional, Sequence, Set, Tuple, Type, cast

from trackd.entities import ACTIVE, DELETED, Metric
from trackd.errors import PermissionDenied, StorageFull
from trackd.history.columns import History
from trackd.store.base import Problem, Store
from trackd.store.file import disk, folder, layout, registry
from trackd.store.file import index as index_file
from trackd.store.file.histories import Histories
from trackd.store.file.index import Index
from trackd.store.file.inputs import FileTransaction
from trackd.store.file.lock import Lock
from trackd.store.file.refresh import refresh_folder
from trackd.store.file.reserve import Reserve
from trackd.store.file.watch import Watch
from trackd.store.sql.connect import Connection, Database, explain
from trackd.store.sql.transaction import SqlReads

Progress = Callable[[int, int], None]
Log = Callable[[str], None]

#: Runs that are read in one transaction at start-up: few enough to keep the memory small, enough to make commits cheap.
_CHUNK = 200


#: Rows of changes that are removed in one transaction: some milliseconds.
_FORGOTTEN_AT_ONCE = 1000


class FileStore(SqlReads, Store):
    """A store on a folder in MLflow's layout.

    * ``sync``: ``full`` (on disk before the answer), ``1s`` (within a second), ``off`` (when the system sees fit).
    * ``temporary``: the index has a folder of its own, which goes with the store.
    * ``read_only``: nothing below ``root`` is written; the index must lie elsewhere (``index``).
    * ``artifact_root``: where the default experiment of a new store keeps its artifacts.
    * ``progress(done, total)`` is called while a new index is filled; ``log`` gets one line per problem.
    """

    store_type = "FileStore"

    def __init__(
        self,
        root: str,
        *,
        index: Optional[str] = None,
        temporary: bool = False,
        sync: str = "1s",
        read_only: bool = False,
        artifact_root: str = "mlflow-artifacts:",
        progress: Progress = lambda done, total: None,
        log: Log = lambda line: None,
    ) -> None:
        self.root = os.path.abspath(root)
        self.read_only = read_only
        self.sync = sync
        self._artifact_root = artifact_root
        self.index_path = os.path.abspath(index or os.path.join(self.root, layout.INDEX))
        self._progress = progress
        self._log = log
        self._temporary = temporary
        self._closed = False
        self._serving = False
        self._reported: Dict[Problem, None] = {}
        self._repairs: Set[str] = set()
        self._undone: List[int] = []
        #: Where experiments lie, relative to the root; only a transaction may look.
        self.paths: Dict[str, str] = {}
        self.applied_sequence = 0
        self.pending = 0
        self._lock = None if read_only else Lock(self._make_root())
        try:
            self._open_index()
        except BaseException:
            if self._lock:
                self._lock.release()
            raise

    def _make_root(self) -> str:
        """The root, made if it is not there, as MLflow makes it."""
        os.makedirs(os.path.join(self.root, layout.TRASH), exist_ok=True)
        return self.root

    def _open_index(self) -> None:
        self._fresh = not index_file.is_usable(self.index_path, self.root)
        if self._fresh:
            self._salvage()
            index_file.create(self.index_path, self.root)
        self._database = Database(
            self.index_path,
            full_sync=self.sync == "full",
            after_commit=self._after_commit,
        )
        if not self.read_only:
            self._reserve = Reserve(self.index_path + "-reserve")
        self._replay()
        with self._database.exclusive() as connection, _committed(connection):
            Index(connection, self.root).forget_damage()
        self.histories = Histories(self, self._database)
        self.watch = Watch(self)
        self._read_everything()
        self.watch.catch_up()
        self._serving = True
        if not self.read_only and not self.counts()["experiments"]:
            self._add_default_experiment()
        self.watch.start()

    def _add_default_experiment(self) -> None:
        with self.transaction() as tx:
            tx.add_experiment("Default", None, (), time.time_ns() // 1_000_000, self._artifact_root)

    # -- reading ------------------------------------------------------------------------------------------------------

    def reading(self) -> ContextManager[Connection]:
        """One moment of the index."""
        return self._database.reading()

    def path(self, key: str) -> str:
        """The absolute folder of a run or experiment."""
        experiment_id, slash, run_id = key.partition("/")
        with self.reading() as connection:
            path = Index(connection, self.root).experiment_path(experiment_id)
        return f"{self.root}/{path}{slash}{run_id}"

    def experiment_folder(self, experiment_id: str, deleted: bool) -> str:
        """The absolute folder of an experiment that lies in the root or in the trash."""
        return f"{self.root}/{layout.experiment_folder(experiment_id, deleted)}"

    def list_metric_history(
        self, run_id: str, key: str, offset: int = 0, limit: Optional[int] = None
    ) -> List[Metric]:
        """See ``store.base``. Reads as much of the metric file as the index knows, so that batches appear as one."""
        points: Optional[List[Metric]] = None
        for _attempt in (1, 2):
            with self.reading() as connection:
                index = Index(connection, self.root)
                info = index.get_run_info(run_id)
                if info is None:
                    return []
                run_key = f"{info.experiment_id}/{run_id}"
                name = f"{layout.METRICS}/{key}"
                row = connection.execute(
                    "SELECT size FROM trackd_files WHERE folder = ? AND name = ?", (run_key, name)
                ).fetchone()
                path = f"{self.root}/{index.experiment_path(info.experiment_id)}/{run_id}/{name}"
            if row is None:
                return []
            points = folder.read_history(path, key, row[0])
            if points is not None:
                break
            # Committed, but not yet in the file (or the folder is on the move): wait for the writer and look once more.
            with self._database.exclusive():
                pass
        if points is None:
            points = folder.read_history(path, key, -1) or []
        distinct = {(point.timestamp, point.step, repr(point.value)): point for point in points}
        ordered = sorted(distinct.values(), key=lambda point: (point.timestamp, point.step, folder.rank(point)[2]))
        return ordered[offset : None if limit is None else offset + limit]

    def get_histories(self, wanted: Sequence[Tuple[str, str]]) -> List[History]:
        """See ``store.base``."""
        return self.histories.get(wanted)

    def version(self) -> str:
        """See ``store.base``."""
        return self._database.version()

    def counts(self) -> Dict[str, int]:
        """See ``store.base``."""
        with self.reading() as connection:
            (experiments,) = connection.execute("SELECT count(*) FROM experiments").fetchone()
            (runs,) = connection.execute("SELECT count(*) FROM runs").fetchone()
        return {"experiments": experiments, "runs": runs}

    # -- writing ------------------------------------------------------------------------------------------------------

    def transaction(self) -> "FileWriting":
        """See ``store.base``."""
        if self.read_only:
            raise PermissionDenied("This server was started with --read-only: it takes no writes.")
        if self._repairs or self._undone or self._reserve.is_short:
            with self._database.exclusive() as connection:
                self._repair(connection)
                self._reserve.take()
        return FileWriting(self, self._database)

    def _after_commit(self, members: List[object]) -> None:
        """Change the files of all transactions that were just committed, in their order."""
        for member in members:
            transaction = cast(FileTransaction, member)
            changes = transaction.all_changes()
            if not changes:
                continue
            try:
                applied = disk.apply(self.root, changes)
                if applied.surprised:
                    self._repairs |= transaction.touched
                for where, why in applied.left:
                    self.report(where, f"could not be removed with the run or experiment that it belonged to: {why}")
            except OSError as error:
                transaction.error = disk.explain(error)
                self._undone.append(transaction.sequence)
                self._repairs |= transaction.touched
                continue  # its number goes, and may be that of the next transaction, which is not on the disk yet
            self.applied_sequence = transaction.sequence
            self.pending += len(changes)
        self.watch.wake()
        if self._repairs or self._undone:
            try:
                self._repair(self._database.writer)
            except (StorageFull, OSError):
                self._repair_with_reserve()

    def _repair_with_reserve(self) -> None:
        """What a full disk refused at first. Should it fail again, the next transaction begins with it."""
        self._reserve.release()
        try:
            self._repair(self._database.writer)
        except (StorageFull, OSError) as error:
            self.report(self.index_path, f"cannot take back a failed write yet: {error}")
        self._reserve.take()

    def _repair(self, connection: Connection) -> None:
        """Make the tables say what the files say, where a write failed or somebody else wrote at the same time."""
        with _committed(connection):
            connection.executemany(
                "DELETE FROM trackd_changes WHERE sequence = ?", [(sequence,) for sequence in self._undone]
            )
            self.paths.clear()
            index = Index(connection, self.root)
            for key in sorted(self._repairs):
                refresh_folder(index, key, self.report)
        self._repairs.clear()
        self._undone.clear()

    def forget(self, sequence: int) -> None:
        """The files of all changes up to ``sequence`` are on disk: their rows are no longer needed."""
        left = True
        while left:
            with self._database.exclusive() as connection:
                left = self._forget_some(connection, sequence)

    def checkpoint(self) -> None:
        """Keep the index's log short."""
        self._database.checkpoint()

    def _forget_some(self, connection: Connection, sequence: int) -> bool:
        """Few enough rows that nobody notices the wait; whether there are more."""
        with _committed(connection):
            gone = connection.execute(
                "DELETE FROM trackd_changes WHERE sequence IN"
                " (SELECT sequence FROM trackd_changes WHERE sequence <= ? ORDER BY sequence LIMIT ?)",
                (sequence, _FORGOTTEN_AT_ONCE),
            ).rowcount
        if gone == _FORGOTTEN_AT_ONCE:
            return True
        if self.applied_sequence == sequence:
            self.applied_sequence = 0  # numbers begin again in an empty table
        self.pending = connection.execute("SELECT count(*) FROM trackd_changes").fetchone()[0]
        return False

    def fail(self, error: Exception) -> None:
        """Take no more writes."""
        self.report(self.root, f"could not be brought to the disk ({error}); no more writes until a restart")
        self._database.fail(error)

    # -- what others wrote --------------------------------------------------------------------------------------------

    def report(self, where: str, what: str) -> None:
        """Log a problem, once."""
        problem = Problem(where, what)
        if problem not in self._reported:
            self._reported[problem] = None
            self._log(f"{where}: {what}")

    def refresh(self, keys: Set[str]) -> bool:
        """Read these folders again where they changed; whether one had."""
        with self._database.exclusive() as connection, _committed(connection):
            self.paths.clear()
            index = Index(connection, self.root, patient=self._serving)
            changed = [refresh_folder(index, key, self.report) for key in sorted(keys)]
            return any(changed)

    def experiments(self) -> Dict[str, bool]:
        """Every experiment folder that was looked at -> whether it lies in the trash."""
        with self.reading() as connection:
            stages = dict(connection.execute("SELECT CAST(experiment_id AS TEXT), lifecycle_stage FROM experiments"))
            known = Index(connection, self.root).known_experiments()
        return {key: stages.get(key, ACTIVE) == DELETED for key in known}

    def known_members(self, experiment_id: str) -> Set[str]:
        """The folders of runs and logged models of an experiment that were looked at."""
        with self.reading() as connection:
            return Index(connection, self.root).known_members(experiment_id)

    def known_models(self) -> Set[str]:
        """The folders of registered models that were looked at."""
        return {key for key in self.known_members(layout.MODELS) if key.count("/") == 1}

    def known_files(self, key: str) -> Optional[folder.Stats]:
        """Size and time of a folder's files as the index knows them; ``None`` for a folder it does not know."""
        with self.reading() as connection:
            return Index(connection, self.root).known_files_or_none(key)

    def folders_by_interest(self) -> List[str]:
        """Every known folder: running runs first, the latest first, then experiments and what could not be read."""
        with self.reading() as connection:
            runs = [
                row[0]
                for row in connection.execute(
                    "SELECT experiment_id || '/' || run_uuid FROM runs ORDER BY status != 'RUNNING', start_time DESC"
                )
            ]
            known = {row[0] for row in connection.execute("SELECT folder FROM trackd_folders")}
        return runs + sorted(known.difference(runs))

    # -- opening and closing ------------------------------------------------------------------------------------------

    def _salvage(self) -> None:
        """Finish what was committed to an index that is about to be made anew, and bring it to the disk."""
        left = [] if self.read_only else index_file.left_changes(self.index_path, self.root)
        if left:
            disk.replay(self.root, left)
            if self.sync != "off":
                disk.sync_tree(self.root)

    def _replay(self) -> None:
        """Finish what was committed before the last end. Doing a change twice changes nothing."""
        with self._database.exclusive() as connection:
            rows = connection.execute("SELECT sequence, changes FROM trackd_changes ORDER BY sequence").fetchall()
            if rows and not self.read_only:
                disk.replay(self.root, [index_file.decode_changes(changes) for _, changes in rows])
                self.applied_sequence = rows[-1][0]
                self.pending = len(rows)

    def _read_everything(self) -> None:
        """Compare every folder with the index. Of a run that the index has only ``meta.yaml`` is looked at here;
        the rest is the watch's, before the first request or, in a large store, just after it."""
        experiments = dict(index_file.list_experiments(self.root, self.report))
        folders: Dict[str, List[str]] = {}
        for experiment_id, deleted in experiments.items():
            path = self.experiment_folder(experiment_id, deleted)
            names = index_file.list_members(path, self.report)
            folders[experiment_id] = [f"{experiment_id}/{name}" for name in names]
        gone = set(self.experiments()) - set(experiments)
        self.refresh(gone | set(experiments))
        models = registry.list_models(self.root, self.report)
        folders[layout.MODELS] = models + [
            key for model in models for key in registry.list_versions(self.root, model, self.report)
        ]
        total = sum(map(len, folders.values()))
        done = 0
        for experiment_id, keys in folders.items():
            known = self.known_members(experiment_id)
            self.refresh(known.difference(keys))
            suspects = self._suspects(keys, known)
            for start in range(0, len(suspects), _CHUNK):
                self.refresh(set(suspects[start : start + _CHUNK]))
                done += len(suspects[start : start + _CHUNK])
                if self._fresh:
                    self._progress(done, total)

    def _suspects(self, keys: List[str], known: Set[str]) -> List[str]:
        """Those of these runs and models that are new, or whose ``meta.yaml`` is not as the index knows it."""
        with self.reading() as connection:
            metas = dict(
                connection.execute(
                    "SELECT folder, mtime FROM json_each(?) JOIN trackd_files ON folder = value AND name = 'meta.yaml'",
                    (json.dumps(keys),),
                )
            )
        suspects = []
        for key in keys:
            try:
                mtime = os.lstat(f"{self.path(key)}/{layout.META}").st_mtime_ns
            except OSError:
                mtime = None
            if key not in known or metas.get(key) != mtime:
                suspects.append(key)
        return suspects

    def check(self) -> List[Problem]:
        """See ``store.base``: reads every file (again, unless this index was just made from them)."""
        import tempfile  # with ``shutil`` 15 ms that the start of a server need not wait for

        from trackd.store.file.check import compare_index

        if self._fresh:
            beside = os.path.join(self.root, layout.INDEX)
            return list(self._reported) + compare_index(self.root, beside, self.index_path)
        with tempfile.TemporaryDirectory(prefix="trackd-") as folder:
            path = os.path.join(folder, layout.INDEX)
            fresh = FileStore(self.root, index=path, read_only=True)
            try:
                return list(fresh._reported) + compare_index(self.root, self.index_path, path)
            finally:
                fresh.close()

    def close(self) -> None:
        """See ``store.base``."""
        if self._closed:
            return
        self._closed = True
        self.watch.stop()
        if not self.read_only:
            try:
                self.watch.flush()
            except StorageFull as error:  # all is on the disk; the next start does the changes again, to no effect
                self.report(self.index_path, f"could not be tidied up: {error}")
        self._database.close()
        if self._temporary:
            import shutil

            shutil.rmtree(os.path.dirname(self.index_path))
        if self._lock:
            self._lock.release()


class FileWriting:
    """One transaction: index rows and file changes are committed together, then the files are changed."""

    __slots__ = ("_store", "_database", "_transaction")

    def __init__(self, store: FileStore, database: Database) -> None:
        self._store = store
        self._database = database

    def __enter__(self) -> FileTransaction:
        connection = self._database.begin()
        self._transaction = FileTransaction(connection, self._store.root, self._store.paths)
        return self._transaction

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        transaction = self._transaction
        try:
            changes = transaction.all_changes()
            if error is None and changes:
                row = (index_file.encode_changes(changes),)
                cursor = transaction.connection.execute("INSERT INTO trackd_changes (changes) VALUES (?)", row)
                transaction.sequence = cursor.lastrowid or 0
        except sqlite3.Error as problem:
            error = problem
        if transaction.moves:
            self._store.paths.clear()
        try:
            self._database.end(error, transaction)
        except BaseException:
            self._store.paths.clear()
            raise
        if isinstance(error, sqlite3.Error):
            raise explain(error) from error
        if transaction.error is not None:
            raise transaction.error


@contextmanager
def _committed(connection: Connection) -> Iterator[None]:
    """A transaction on the writer's connection, outside of any group."""
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("COMMIT")
    except BaseException as error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        if isinstance(error, sqlite3.Error):
            raise explain(error) from error
        raise
