"""The index beside a folder: ``store.sql``'s tables, and what is needed to keep them equal to the files.

It may be deleted whenever no server runs: nothing is lost but the time to read all files again. Its own tables:

* ``trackd_changes``: file changes that are committed but perhaps not yet on disk, one row per transaction.
* ``trackd_files``: size and modification time of every file as the tables know it. A file that is found otherwise
  was written by somebody else and its run or experiment is read again.
* ``trackd_folders``: every folder that was looked at, healthy or not. A run's is ``<experiment id>/<run id>``, a logged
  model's ``<experiment id>/models/<model id>``, a registered model's ``models/<folder>``, a version's
  ``models/<folder>/version-<number>``.
* ``trackd_models``: which folder a registered model lies in; nearly always the one of its name.
* ``trackd_damaged``: folders in which something could not be read; each start reads and reports them again.
* ``trackd_state``: the format, the root that this index belongs to, the highest experiment id ever used.
"""

import json
import os
import sqlite3
import time
from typing import Dict, Iterator, List, Optional, Set, Tuple

from trackd.entities import DELETED
from trackd.errors import TrackdError
from trackd.store.file import disk, folder, layout
from trackd.store.file.folder import ExperimentFolder, Report, RunFolder, Stats
from trackd.store.sql.connect import Connection
from trackd.store.sql.schema import TABLES
from trackd.store.sql.transaction import SqlTransaction

#: Raised whenever the tables change: an index of another format is made anew.
FORMAT = "5"

_TABLES = """
CREATE TABLE trackd_changes (sequence INTEGER PRIMARY KEY, changes TEXT NOT NULL);
CREATE TABLE trackd_files (
    folder TEXT NOT NULL,
    name TEXT NOT NULL,
    size INTEGER NOT NULL,
    mtime INTEGER NOT NULL,
    PRIMARY KEY (folder, name)
) WITHOUT ROWID;
CREATE TABLE trackd_folders (folder TEXT NOT NULL PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE trackd_damaged (folder TEXT NOT NULL PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE trackd_models (name TEXT NOT NULL PRIMARY KEY, folder TEXT NOT NULL UNIQUE) WITHOUT ROWID;
CREATE TABLE trackd_state (key TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""

_RUN_TABLES = ("params", "tags", "latest_metrics", "runs")


def is_usable(path: str, root: str) -> bool:
    """Whether there is an index of this format for this root."""
    if not os.path.exists(path):
        return False
    try:
        connection = sqlite3.connect(path)
        try:
            state = dict(connection.execute("SELECT key, value FROM trackd_state").fetchall())
            # A torn index would answer wrongly for ever; this reads no more than the pages of the changes' table.
            connection.execute("SELECT count(*) FROM trackd_changes").fetchone()
            return state.get("format") == FORMAT and state.get("root") == os.path.realpath(root)
        finally:
            connection.close()
    except sqlite3.DatabaseError:
        return False


def left_changes(path: str, root: str) -> List[List[disk.Change]]:
    """The changes to files that an unusable index still holds: one of another format, or of a folder that was moved.

    After a loss of power they are nowhere else. An index that cannot be read has none that anybody could do, and one
    that lies elsewhere may be that of another folder. Raises ``TrackdError`` for changes that only another version of
    trackd understands.
    """
    if not os.path.exists(path) or os.path.realpath(os.path.dirname(path)) != os.path.realpath(root):
        return []
    try:
        connection = sqlite3.connect(path)
        try:
            rows = connection.execute("SELECT changes FROM trackd_changes ORDER BY sequence").fetchall()
        finally:
            connection.close()
    except sqlite3.DatabaseError:
        return []
    try:
        found = [decode_changes(changes) for (changes,) in rows]
    except (TypeError, ValueError):
        found = []
    if len(found) < len(rows) or any(change.kind not in disk.KINDS for changes in found for change in changes):
        raise TrackdError(
            f"{path!r} holds writes that are not in the files yet, as another version of trackd keeps them. Start and"
            " end that version once, then this one."
        )
    return found


def create(path: str, root: str) -> None:
    """Make an empty index, in place of whatever lies there."""
    for suffix in ("", "-wal", "-shm", "-journal"):
        if os.path.exists(path + suffix):
            os.unlink(path + suffix)
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("PRAGMA synchronous=OFF")  # what a crash leaves of it is made anew
        # A commit writes whole pages, and most change a few rows on a handful: half the size is a third less work.
        connection.execute("PRAGMA page_size=2048")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.executescript("BEGIN;" + TABLES + _TABLES)
        connection.execute("INSERT INTO trackd_state VALUES ('format', ?)", (FORMAT,))
        connection.execute("INSERT INTO trackd_state VALUES ('root', ?)", (os.path.realpath(root),))
        connection.execute("COMMIT")
    finally:
        connection.close()


def encode_changes(changes: List[disk.Change]) -> str:
    """Changes as text for ``trackd_changes``."""
    return json.dumps(changes)


def decode_changes(text: str) -> List[disk.Change]:
    """The inverse of ``encode_changes``."""
    return [disk.Change(*fields) for fields in json.loads(text)]


class Index(SqlTransaction):
    """The tables as the files fill them. Used inside a transaction on ``connection``; never changes a file.

    ``patient``: give others the moment that they need to write a file.
    """

    keeps_every_point = True

    def __init__(self, connection: Connection, root: str, patient: bool = False) -> None:
        super().__init__(connection)
        self.root = root
        self.patient = patient

    # -- where things lie ---------------------------------------------------------------------------------------------

    def experiment_path(self, experiment_id: str) -> str:
        """The folder of an experiment that the tables know, relative to the root."""
        if experiment_id == layout.MODELS:
            return experiment_id  # the registry lies beside the experiments
        row = self.connection.execute(
            "SELECT lifecycle_stage FROM experiments WHERE experiment_id = ?", (int(experiment_id),)
        ).fetchone()
        return layout.experiment_folder(experiment_id, row is not None and row[0] == DELETED)

    def known_files(self, key: str) -> Stats:
        """Size and time of the files of a run or experiment, as the tables know them."""
        rows = self.connection.execute("SELECT name, size, mtime FROM trackd_files WHERE folder = ?", (key,))
        return {name: (size, mtime) for name, size, mtime in rows}

    def known_files_or_none(self, key: str) -> Optional[Stats]:
        """The same; ``None`` for a folder that was never looked at."""
        known = self.connection.execute("SELECT 1 FROM trackd_folders WHERE folder = ?", (key,)).fetchone()
        return self.known_files(key) if known else None

    def known_members(self, experiment_id: str) -> Set[str]:
        """The folders of runs and logged models of an experiment that were looked at."""
        rows = self.connection.execute(
            "SELECT folder FROM trackd_folders WHERE folder > ? AND folder < ?",
            (experiment_id + "/", experiment_id + "0"),
        )
        return {row[0] for row in rows}

    def known_experiments(self) -> Set[str]:
        """The experiment folders that were looked at."""
        rows = self.connection.execute("SELECT folder FROM trackd_folders WHERE instr(folder, '/') = 0")
        return {row[0] for row in rows}

    # -- putting in and taking out what the files say -----------------------------------------------------------------

    def note_folder(self, key: str, stats: Stats) -> None:
        """Remember that a folder was looked at, and what its files were."""
        self.connection.execute("INSERT OR IGNORE INTO trackd_folders VALUES (?)", (key,))
        self.note_files(key, stats)

    def note_files(self, key: str, stats: Stats) -> None:
        """Remember what the files of a folder were."""
        self.connection.execute("DELETE FROM trackd_files WHERE folder = ?", (key,))
        self.connection.executemany(
            "INSERT INTO trackd_files VALUES (?, ?, ?, ?)",
            [(key, name, size, mtime) for name, (size, mtime) in stats.items()],
        )

    def forget_folder(self, key: str) -> None:
        """Take a run or experiment out of the tables."""
        self.connection.execute("DELETE FROM trackd_folders WHERE folder = ?", (key,))
        self.connection.execute("DELETE FROM trackd_files WHERE folder = ?", (key,))
        experiment_id, slash, member = key.partition("/")
        if not slash:
            self.clear_experiment(experiment_id)
        elif "/" not in member:
            self._clear_run(member, ())

    def clear_experiment(self, experiment_id: str) -> None:
        """Remove the rows of an experiment, not those of its runs."""
        for table in ("experiments", "experiment_tags", "datasets"):
            self.connection.execute(f"DELETE FROM {table} WHERE experiment_id = ?", (int(experiment_id),))

    def _clear_run(self, run_id: str, keep_metrics: Tuple[str, ...]) -> None:
        for table in _RUN_TABLES:
            if table == "latest_metrics" and keep_metrics:
                self.connection.execute(
                    "DELETE FROM latest_metrics WHERE run_uuid = ? AND key NOT IN (SELECT value FROM json_each(?))",
                    (run_id, json.dumps(keep_metrics)),
                )
            else:
                self.connection.execute(f"DELETE FROM {table} WHERE run_uuid = ?", (run_id,))
        self.connection.execute(
            "DELETE FROM input_tags WHERE input_uuid IN"
            " (SELECT input_uuid FROM inputs WHERE destination_type = 'RUN' AND destination_id = ?)",
            (run_id,),
        )
        self.connection.execute("DELETE FROM inputs WHERE destination_type = 'RUN' AND destination_id = ?", (run_id,))
        self.connection.execute("DELETE FROM inputs WHERE source_type LIKE 'RUN%' AND source_id = ?", (run_id,))

    def put_experiment_folder(self, found: ExperimentFolder) -> None:
        """Let the tables say what an experiment's folder says."""
        experiment = found.experiment
        self.clear_experiment(experiment.experiment_id)
        self.insert_experiment(experiment)
        super().put_experiment_tags(experiment.experiment_id, experiment.tags)
        for dataset_id, dataset in found.datasets.items():
            self.insert_dataset(experiment.experiment_id, f"{experiment.experiment_id}/{dataset_id}", dataset)
        self.note_folder(experiment.experiment_id, found.stats)

    def put_run_folder(self, key: str, found: RunFolder) -> None:
        """Let the tables say what a run's folder says. Metrics that were not read again keep their rows."""
        run = found.run
        run_id = run.info.run_id
        read = {metric.key for metric in run.metrics}
        prefix = layout.METRICS + "/"
        on_disk = [name[len(prefix) :] for name in found.stats if name.startswith(prefix)]
        self._clear_run(run_id, tuple(name for name in on_disk if name not in read))
        self.insert_run(run.info, found.deleted_time)
        super().insert_tags(run_id, run.tags)
        super().add_params(run_id, run.params)
        self.put_latest_metrics(run_id, run.metrics)
        for dataset_id, dataset_input in zip(found.dataset_ids, run.dataset_inputs):
            # A folder's name for a dataset is the same in every experiment; the tables want one for each.
            dataset_uuid = f"{run.info.experiment_id}/{dataset_id}"
            self.insert_dataset_input(run_id, dataset_uuid, layout.input_id(dataset_id, run_id), dataset_input.tags)
        super().add_inputs(run_id, (), run.model_inputs)
        super().add_outputs(run_id, run.model_outputs)
        self.note_folder(key, found.stats)

    # -- looking again ------------------------------------------------------------------------------------------------

    def refresh_experiment(self, experiment_id: str, deleted: bool, report: Report) -> bool:
        """Read an experiment's own files again if they changed; whether they had."""
        path = f"{self.root}/{layout.experiment_folder(experiment_id, deleted)}"
        report = self.noting_damage(experiment_id, report)
        stats = folder.stat_files(path, folder.EXPERIMENT_KINDS, report)
        moved = self.experiment_path(experiment_id) != layout.experiment_folder(experiment_id, deleted)
        if not moved and experiment_id in self.known_experiments() and stats == self.known_files(experiment_id):
            return False
        if self.patient and is_fresh(stats, self.known_files(experiment_id)):
            if folder.read_experiment(path, experiment_id, deleted, {}, _silent) is None:
                return False
        found = folder.read_experiment(path, experiment_id, deleted, stats, report) if layout.META in stats else None
        if found is None:
            self.clear_experiment(experiment_id)
            self.note_folder(experiment_id, stats)
        else:
            self.put_experiment_folder(found)
        self._raise_highest(experiment_id)
        return True

    def refresh_run(self, path: str, key: str, known: Optional[Stats], report: Report) -> bool:
        """Read a run's folder again if any of its files changed; whether one had. ``known`` is what the tables know."""
        report = self.noting_damage(key, report)
        stats = folder.stat_files(path, folder.RUN_KINDS, report)
        if known is not None and (stats == known or same_but_growing(stats, known)):
            return False
        experiment_id, _, run_id = key.partition("/")
        if self.patient and is_fresh(stats, known or {}):
            if folder.read_run(path, experiment_id, run_id, {}, {}, _silent) is None:
                return False
        self.read_run(path, key, stats, known or {}, report)
        return True

    def noting_damage(self, key: str, report: Report) -> Report:
        """``report``, which also notes that the folder is damaged."""

        def note(where: str, what: str) -> None:
            self.connection.execute("INSERT OR IGNORE INTO trackd_damaged VALUES (?)", (key,))
            report(where, what)

        return note

    def forget_damage(self) -> None:
        """Let damaged folders be as if nobody had looked at them, so that the next look reads and reports all of it."""
        for table in ("trackd_files", "trackd_folders"):
            self.connection.execute(f"DELETE FROM {table} WHERE folder IN (SELECT folder FROM trackd_damaged)")
        self.connection.execute("DELETE FROM trackd_damaged")

    def read_run(self, path: str, key: str, stats: Stats, known: Stats, report: Report) -> None:
        """Read a run's folder and put it into the tables."""
        experiment_id, _, run_id = key.partition("/")
        found = None
        if layout.META in stats:
            holder = self._holder(run_id)
            if holder not in (None, experiment_id):
                report(path, f"is a second run with the id of {holder}/{run_id}; only that one is served")
            else:
                found = folder.read_run(path, experiment_id, run_id, stats, known if holder else {}, report)
        if found is None:
            if self._holder(run_id) == experiment_id:
                self._clear_run(run_id, ())
            self.note_folder(key, stats)
        else:
            self.put_run_folder(key, found)

    def _holder(self, run_id: str) -> Optional[str]:
        row = self.connection.execute(
            "SELECT CAST(experiment_id AS TEXT) FROM runs WHERE run_uuid = ?", (run_id,)
        ).fetchone()
        return row[0] if row else None

    # -- experiment ids -----------------------------------------------------------------------------------------------

    def next_experiment_id(self) -> str:
        """One above the highest ever used here, so that no new experiment meets the artifacts of a removed one.

        The 18-digit ids that MLflow's file store draws do not count: 1, 2, 3 go on beside them.
        """
        experiment_id = int(self._highest()) + 1
        while os.path.lexists(f"{self.root}/{experiment_id}") or os.path.lexists(
            f"{self.root}/{layout.TRASH}/{experiment_id}"
        ):
            experiment_id += 1
        self._raise_highest(str(experiment_id))
        return str(experiment_id)

    def _highest(self) -> int:
        row = self.connection.execute("SELECT value FROM trackd_state WHERE key = 'highest'").fetchone()
        return int(row[0]) if row else -1

    def _raise_highest(self, experiment_id: str) -> None:
        if self._highest() < int(experiment_id) < _DRAWN_IDS:
            self.connection.execute("INSERT OR REPLACE INTO trackd_state VALUES ('highest', ?)", (experiment_id,))


#: MLflow's file store draws experiment ids of 18 digits; ours count up and stay far below.
_DRAWN_IDS = 10**15


def is_fresh(stats: Stats, known: Stats) -> bool:
    """Whether a ``meta.yaml`` that was there was changed just now.

    MLflow empties it before it writes it. If it makes no sense, what the tables know stays until the next look, and
    nothing is reported, for the few moments that this may last.
    """
    if layout.META not in known or layout.META not in stats or stats[layout.META] == known[layout.META]:
        return False
    return abs(time.time() - stats[layout.META][1] / 1e9) < SETTLED


def _silent(where: str, what: str) -> None:
    """For a look that is repeated."""


#: Seconds after which a file that cannot be read is damaged, and not just being written.
SETTLED = 1.5


def same_but_growing(stats: Stats, known: Stats) -> bool:
    """Whether the only difference are last lines without an end (size -1) whose file was not touched since."""
    if stats.keys() != known.keys():
        return False
    return all(
        stats[name] == known[name] or (known[name][0] == -1 and known[name][1] == stats[name][1]) for name in stats
    )


def list_experiments(root: str, report: Report) -> Iterator[Tuple[str, bool]]:
    """(experiment id, deleted) of every experiment folder. The root wins where the trash has the same id."""
    seen: Dict[str, bool] = {}
    for deleted in (False, True):
        path = f"{root}/{layout.TRASH}" if deleted else root
        if deleted and not os.path.isdir(path):
            continue
        for name in folder.list_folders(path, report):
            if name in layout.NOT_EXPERIMENTS and not deleted:
                continue
            if not layout.EXPERIMENT_ID.fullmatch(name) or int(name) >= 2**63:
                report(f"{path}/{name}", "is not an experiment: its name is not a number")
            elif name in seen:
                report(f"{path}/{name}", f"is a second experiment {name}; only the one in the root is served")
            else:
                seen[name] = deleted
                yield name, deleted


def list_members(path: str, report: Report) -> List[str]:
    """Names below an experiment's folder of its runs, and of its logged models (``models/<id>``)."""
    names = []
    for name in folder.list_folders(path, report):
        if name == layout.MODELS:
            names += _list_models(f"{path}/{name}", report)
        elif name in layout.NOT_RUNS:
            continue
        elif layout.RUN_ID.fullmatch(name):
            names.append(name)
        else:
            report(f"{path}/{name}", "is not a run: its name is not a run id")
    return names


def _list_models(path: str, report: Report) -> List[str]:
    names = []
    for name in folder.list_folders(path, report):
        if layout.RUN_ID.fullmatch(name):
            names.append(f"{layout.MODELS}/{name}")
        else:
            report(f"{path}/{name}", "is not a logged model: its name is not a model id")
    return names
