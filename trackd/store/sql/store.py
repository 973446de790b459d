"""A store in one of MLflow's own databases. All of it is in the database; nothing is kept between two requests."""

import os
import sqlite3
import threading
import time
from contextlib import suppress
from types import TracebackType
from typing import Callable, ContextManager, List, Mapping, Optional, Sequence, Type

from trackd.entities import Metric
from trackd.errors import PermissionDenied, TrackdError
from trackd.store.base import Problem, Store
from trackd.store.sql.columns import HistoryColumns
from trackd.store.sql.connect import Connection, Database, explain
from trackd.store.sql.histories import HistoryWrites
from trackd.store.sql.tables import Tables
from trackd.store.sql.transaction import SqlReads, SqlTransaction

#: Seconds between two looks at the log. With ``--sync 1s`` this is what a power loss may cost.
_PAUSE = 0.9


class DatabaseTransaction(HistoryWrites, SqlTransaction):
    """All writes of ``store.base.Transaction``."""

    def add_metrics(self, run_id: str, metrics: Sequence[Metric]) -> None:
        """See ``store.base``."""
        self.insert_points(run_id, metrics)
        of_models = [metric for metric in metrics if metric.model_id is not None]
        if of_models:
            self.insert_model_points(self.experiment_of(run_id), run_id, of_models)


class SqlStore(HistoryColumns, SqlReads, Store):
    """A store on an open ``database`` with these ``tables``. (``open.open_database`` makes one of a URI.)

    * ``sync``: with ``1s`` the log is on the disk within a second, also while a reader keeps it from being moved.
    * ``artifact_root``: where the default experiment of a new database keeps its artifacts.
    * ``finish`` is called when all connections are closed.
    """

    store_type = "SqlStore"

    def __init__(
        self,
        path: str,
        database: Database,
        tables: Tables,
        *,
        sync: str = "1s",
        read_only: bool = False,
        artifact_root: str = "mlflow-artifacts:",
        log: Callable[[str], None] = lambda line: None,
        finish: Callable[[], object] = lambda: None,
    ) -> None:
        self.path = path
        self.tables = tables
        self.read_only = read_only
        self.database = database
        self._sync = sync
        self._log = log
        self._finish = finish
        self._closed = False
        self.remember()
        self._written = threading.Event()
        self._stopping = threading.Event()
        self._keeper = threading.Thread(target=self._keep_log_short, name="trackd-log", daemon=True)
        if not read_only:
            if not self.counts()["experiments"]:
                with self.transaction() as tx:
                    tx.add_experiment("Default", None, (), time.time_ns() // 1_000_000, artifact_root)
            self._keeper.start()

    def reading(self) -> ContextManager[Connection]:
        """One moment of the database."""
        return self.database.reading()

    def transaction(self) -> "SqlWriting":
        """See ``store.base``."""
        if self.read_only:
            raise PermissionDenied("This server was started with --read-only: it takes no writes.")
        return SqlWriting(self.database, self.tables, self._written)

    def version(self) -> str:
        """See ``store.base``."""
        return self.database.version()

    def counts(self) -> Mapping[str, int]:
        """See ``store.base``."""
        with self.reading() as connection:
            (experiments,) = connection.execute("SELECT count(*) FROM experiments").fetchone()
            (runs,) = connection.execute("SELECT count(*) FROM runs").fetchone()
        return {"experiments": experiments, "runs": runs}

    def check(self) -> List[Problem]:
        """See ``store.base``. Reads all of the database."""
        from trackd.store.sql.check import problems

        with self.reading() as connection:
            return problems(connection, self.path, self.tables)

    def _keep_log_short(self) -> None:
        """In the background, so that no request pays for it: move what was committed from the log into the database."""
        said = ""
        while not self._stopping.wait(_PAUSE):
            if self._written.is_set():
                self._written.clear()
                try:
                    self._sync_log()
                    self.database.checkpoint()
                    said = ""
                except (TrackdError, sqlite3.Error, OSError) as error:  # the log only grows; the next look tries again
                    self._written.set()
                    if said != str(error):
                        said = str(error)
                        self._log(f"{self.path}: the log could not be moved into the database yet: {said}")

    def _sync_log(self) -> None:
        """A checkpoint does not, while somebody reads an old moment of the database for long."""
        if self._sync != "1s":
            return
        with suppress(FileNotFoundError):  # on network file systems there is none
            descriptor = os.open(self.path + "-wal", os.O_RDWR | getattr(os, "O_BINARY", 0))
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def close(self) -> None:
        """See ``store.base``."""
        if self._closed:
            return
        self._closed = True
        self._stopping.set()
        if self._keeper.is_alive():
            self._keeper.join()
        self.database.close()
        self._finish()


class SqlWriting:
    """One transaction."""

    __slots__ = ("_database", "_tables", "_written")

    def __init__(self, database: Database, tables: Tables, written: threading.Event) -> None:
        self._database = database
        self._tables = tables
        self._written = written

    def __enter__(self) -> DatabaseTransaction:
        return DatabaseTransaction(self._database.begin(), self._tables)

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self._database.end(error)
        # Not before: whoever keeps the log short must not look too early, and then no more.
        self._written.set()
        if isinstance(error, sqlite3.Error):
            raise explain(error) from error
