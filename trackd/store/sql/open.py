"""Opening a database: any of MLflow 2.0 or later as it is, or a new one. What is in the way is said in one sentence.

A database is known by its tables and columns, never by its revision: one that is newer than this program is opened if
what is needed is there and nothing is wanted that trackd does not know of. Nothing in it is altered or upgraded, and
``alembic_version`` is not touched. (The journal mode is WAL while the server runs, and afterwards what it was.)
"""

import os
import sqlite3
import time
from typing import Callable, Dict, List, Optional, Tuple

from trackd.errors import TrackdError
from trackd.store.sql.connect import Database, explain
from trackd.store.sql.network import is_on_network
from trackd.store.sql.store import SqlStore
from trackd.store.sql.tables import Tables, look_at
from trackd.store.sql.uri import Place, parse

#: The columns that every statement may use; MLflow 2.0 had all of them. What came later is in ``tables``.
_NEEDED: Dict[str, Tuple[str, ...]] = {
    "experiments": (
        "experiment_id", "name", "artifact_location", "lifecycle_stage", "creation_time", "last_update_time",
    ),
    "experiment_tags": ("experiment_id", "key", "value"),
    "runs": (
        "run_uuid", "experiment_id", "name", "user_id", "status", "start_time", "end_time", "artifact_uri",
        "lifecycle_stage", "deleted_time",
    ),
    "metrics": ("run_uuid", "key", "value", "timestamp", "step", "is_nan"),
    "latest_metrics": ("run_uuid", "key", "value", "timestamp", "step", "is_nan"),
    "params": ("run_uuid", "key", "value"),
    "tags": ("run_uuid", "key", "value"),
    "registered_models": ("name", "creation_time", "last_updated_time", "description"),
    "model_versions": ("name", "version", "current_stage", "source", "run_id", "status"),
    "registered_model_tags": ("name", "key", "value"),
    "model_version_tags": ("name", "version", "key", "value"),
}
#: Columns that must not be NULL, have no default, and are filled by us all the same, beside those above.
_FILLED = {
    "datasets": ("dataset_uuid", "experiment_id", "name", "digest", "dataset_source_type", "dataset_source"),
    "inputs": ("input_uuid", "source_type", "source_id", "destination_type", "destination_id"),
    "input_tags": ("input_uuid", "name", "value"),
    "registered_model_aliases": ("name", "alias", "version"),
    "logged_models": (
        "model_id", "experiment_id", "name", "artifact_location", "creation_timestamp_ms", "last_updated_timestamp_ms",
        "status",
    ),
    "logged_model_metrics": (
        "model_id", "metric_name", "metric_timestamp_ms", "metric_step", "experiment_id", "run_id",
    ),
    "logged_model_params": ("model_id", "experiment_id", "param_key", "param_value"),
    "logged_model_tags": ("model_id", "experiment_id", "tag_key", "tag_value"),
}
#: Seconds that a lock may stand in the way of the start.
_PATIENCE = 5.0


class CannotOpenDatabase(TrackdError):
    """The database cannot be served; the message says why and what to do."""


def open_database(
    uri: str,
    *,
    sync: str,
    read_only: bool,
    artifact_root: str,
    log: Callable[[str], None],
) -> SqlStore:
    """The store in the database of a ``sqlite:`` URI, made if it is not there. ``CannotOpenDatabase``."""
    try:
        place = parse(uri)
    except ValueError as error:
        raise CannotOpenDatabase(f"{uri!r} {error}.") from None
    finish: Callable[[], object] = lambda: None  # noqa: E731
    if not place.path:
        place, finish = _in_memory(place)
        sync = "off"
    place = place._replace(read_only=place.read_only or read_only)
    _look_for_file(place)
    try:
        return _open(place, sync, artifact_root, log, finish)
    except sqlite3.Error as error:
        finish()
        raise CannotOpenDatabase(_why(place, error)) from error
    except BaseException:
        finish()
        raise


def _in_memory(place: Place) -> Tuple[Place, Callable[[], object]]:
    """A database that ends with the server: a temporary file, in memory where the system has a folder there.

    (SQLite's own databases in memory cannot be read while somebody writes.)
    """
    import shutil
    import tempfile

    shared = "/dev/shm"
    folder = tempfile.mkdtemp(prefix="trackd-", dir=shared if os.access(shared, os.W_OK) else None)
    return place._replace(path=os.path.join(folder, "memory.db")), lambda: shutil.rmtree(folder, ignore_errors=True)


def _look_for_file(place: Place) -> None:
    """What can be said without SQLite, which has the same words for all of it."""
    path = place.path
    if os.path.isdir(path):
        raise CannotOpenDatabase(f"{path!r} is a folder, not a database; sqlite:///FILE names a file.")
    if not os.path.exists(path):
        if place.read_only:
            raise CannotOpenDatabase(f"There is no database {path!r} to open read-only.")
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
        except OSError as error:
            raise CannotOpenDatabase(f"The folder of {path!r} cannot be made: {error.strerror}.") from error
    elif not os.access(path, os.R_OK):
        raise CannotOpenDatabase(f"No permission to read {path!r}.")
    elif not place.read_only and not (os.access(path, os.W_OK) and os.access(os.path.dirname(path), os.W_OK)):
        raise CannotOpenDatabase(
            f"No permission to write to {path!r} and its folder. Give it to the server, or add --read-only."
        )


def _open(
    place: Place, sync: str, artifact_root: str, log: Callable[[str], None], finish: Callable[[], object]
) -> SqlStore:
    place = place._replace(immutable=place.immutable or (place.read_only and _is_left_alone(place)))
    journal, tables = _first_look(place)
    wal = not is_on_network(place.path)
    database = Database(
        place.uri("ro" if place.read_only else "rw"),
        full_sync=sync == "full",
        read_only=place.read_only,
        wal=wal,
        timeout=place.timeout,
        journal_afterwards=journal,
    )
    try:
        return SqlStore(
            place.path,
            database,
            tables,
            sync=sync,
            read_only=place.read_only,
            artifact_root=artifact_root,
            log=log,
            finish=finish,
        )
    except BaseException:
        database.close()
        raise


def _is_left_alone(place: Place) -> bool:
    """Whether a database in a folder without write permission can be read without any lock: nobody has it open.

    In a WAL database readers write to a file beside it. Where they cannot, and there is no log to read either, the
    database itself is all there is.
    """
    log = place.path + "-wal"
    return not os.access(os.path.dirname(place.path), os.W_OK) and not (os.path.exists(log) and os.path.getsize(log))


def _first_look(place: Place) -> Tuple[str, Tables]:
    """Make the tables if there are none, look at those that there are; the journal mode that was found, and them."""
    mode = "ro" if place.read_only else "rwc"
    timeout = min(place.timeout, _PATIENCE)
    connection = sqlite3.connect(place.uri(mode), uri=True, isolation_level=None, timeout=timeout)
    try:
        (journal,) = connection.execute("PRAGMA journal_mode").fetchone()
        if not connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
            if place.read_only:
                raise CannotOpenDatabase(f"{place.path!r} is an empty database, and cannot be filled read-only.")
            from trackd.store.sql import new_tables

            new_tables.create(connection)
        tables = look_at(connection)
        _check(connection, tables, place)
        if not place.read_only:
            # SQLite opens a file that it may not write to without a word.
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
            if not is_on_network(place.path):
                _switch_to_wal(connection, timeout)
        return journal, tables
    finally:
        connection.close()


def _switch_to_wal(connection: sqlite3.Connection, timeout: float) -> None:
    """Let readers and writers no longer wait for each other. Takes a moment in which nobody else reads or writes."""
    end = time.monotonic() + timeout
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > end:
                raise
            time.sleep(0.02)


def _check(connection: sqlite3.Connection, tables: Tables, place: Place) -> None:
    """Refuse what cannot be served as it is."""
    path = place.path
    missing = [
        f"{table}.{column}" for table, names in _NEEDED.items() for column in names
        if not tables.has_column(table, column)
    ]
    revision = _revision(connection, tables)
    if missing and revision is None:
        raise CannotOpenDatabase(
            f"{path!r} is a SQLite database, but not one of MLflow: it has no {missing[0]}. Name another file; a new"
            " one is made."
        )
    if missing:
        raise CannotOpenDatabase(
            f"{path!r} is a database of an MLflow that is older than 2.0, or too new for this trackd (revision"
            f" {revision}): it has no {missing[0]}. If it is old: make a copy and run 'mlflow db upgrade' on it."
        )
    unknown = [] if place.read_only else _unfilled(connection, tables)
    if unknown:
        raise CannotOpenDatabase(
            f"{path!r} is too new for this trackd (revision {revision}): it wants a value for {unknown[0]}, which"
            " trackd does not know. It can be read with --read-only."
        )
    for table in ("experiments", "registered_models"):
        if tables.has_column(table, "workspace"):
            query = f"SELECT workspace FROM {table} WHERE workspace != 'default' LIMIT 1"
            other = connection.execute(query).fetchone()
            if other:
                raise CannotOpenDatabase(
                    f"{path!r} has {table.replace('_', ' ')} in the workspace {other[0]!r}, and trackd serves the"
                    " default workspace only."
                )


def _revision(connection: sqlite3.Connection, tables: Tables) -> Optional[str]:
    """The revision of MLflow's tables, for messages; ``None`` if MLflow has not made them."""
    if not tables.has_column("alembic_version", "version_num"):
        return None
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return str(row[0]) if row else "none"


def _unfilled(connection: sqlite3.Connection, tables: Tables) -> List[str]:
    """Columns that must have a value, have no default, and would get none from us."""
    found = []
    for table, names in {**_NEEDED, **_FILLED}.items():
        for _, column, _, not_null, default, _ in connection.execute(f'PRAGMA table_info("{table}")'):
            if not_null and default is None and column not in names:
                found.append(f"{table}.{column}")
    return found


def _why(place: Place, error: sqlite3.Error) -> str:
    """A sentence for what SQLite says of a file that it cannot open."""
    text, path = str(error), place.path
    if "not a database" in text or "malformed" in text:
        return f"{path!r} is not a SQLite database, or is damaged ({text})."
    if "locked" in text or "busy" in text:
        return f"{path!r} is locked by another program. End it, or wait until it has done what it does."
    if "readonly" in text or "read-only" in text:
        return f"{path!r} cannot be written to. Give the server the permission, or add --read-only."
    if "unable to open" in text:
        return (
            f"{path!r} cannot be opened ({text}): the file or its folder is not accessible. A database with a log"
            f" beside it ({os.path.basename(path)}-wal) needs a folder that can be written to."
        )
    return f"{path!r} cannot be opened: {explain(error)}."
