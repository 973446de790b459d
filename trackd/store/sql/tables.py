"""Which of MLflow's tables and columns a database has: what it is too old for, and the statements that fit it.

MLflow's tables grew with its releases, and a database is served as it is. Statements are written for the tables of
today. Where an older database differs, there are three ways, all of them asked of ``Reading.tables``:

* A **feature** that it has no tables for: ``tables.require(LOGGED_MODELS)`` before a write, or before reading one thing
  by its id, is a clear error; ``if not tables.has(LOGGED_MODELS)`` lets a search or a list find nothing.
* A **column** that it does not have: ``tables.select`` reads NULL in its place, ``tables.insert`` leaves it away.
* The column ``workspace``, which came with MLflow 3.10 and leads the keys of the registry's tables and the unique names
  of experiments: a statement has ``IN_WORKSPACE`` or ``WORKSPACE_KEY`` where it would name that column, and is passed
  through ``tables.sql``. (Only the workspace ``default`` is served; see ``open``.) The index of the file store has no
  such column.
"""

import sqlite3
from typing import Dict, FrozenSet, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from trackd.errors import NotImplementedHere

#: In WHERE, before the condition on the name: ``WHERE {IN_WORKSPACE} name = ?``. The index by name begins with it.
IN_WORKSPACE = "/* in workspace */"
#: First in a list of key columns: ``ON CONFLICT ({WORKSPACE_KEY} name, alias)``.
WORKSPACE_KEY = "/* workspace key */"


class Feature(NamedTuple):
    """What came with a release of MLflow. ``columns`` by table are those that its SQL names and that may be missing."""

    name: str
    release: str
    columns: Mapping[str, Tuple[str, ...]]


ALIASES = Feature("aliases of registered models", "2.3", {"registered_model_aliases": ("name", "alias", "version")})
DATASETS = Feature(
    "datasets of runs",
    "2.4",
    {
        "datasets": ("dataset_uuid", "experiment_id", "name", "digest"),
        "inputs": ("input_uuid", "source_type", "source_id", "destination_type", "destination_id"),
        "input_tags": ("input_uuid", "name", "value"),
    },
)
LOGGED_MODELS = Feature(
    "logged models",
    "3.0",
    {
        "inputs": ("step",),
        "logged_models": ("model_id", "experiment_id", "name"),
        "logged_model_metrics": ("model_id", "metric_name", "run_id"),
        "logged_model_params": ("model_id", "param_key", "param_value"),
        "logged_model_tags": ("model_id", "tag_key", "tag_value"),
    },
)


class Tables:
    """The tables and columns of one database, looked at when it was opened. ``None`` stands for all there are, without
    workspaces: the index of the file store."""

    def __init__(
        self,
        columns: Optional[Mapping[str, FrozenSet[str]]] = None,
        indexes: Optional[Mapping[Tuple[str, ...], str]] = None,
    ) -> None:
        self._columns = columns
        self._indexes = indexes or {}
        self.has_workspaces = columns is not None and "workspace" in columns.get("registered_models", ())
        self._texts: Dict[object, str] = {}

    def has_column(self, table: str, column: str) -> bool:
        """Whether there is such a table with such a column."""
        return self._columns is None or column in self._columns.get(table, ())

    def index(self, table: str, *columns: str) -> Optional[str]:
        """The name of the table's index on exactly these columns."""
        return self._indexes.get((table, *columns))

    def has(self, feature: Feature) -> bool:
        """Whether there is a place for what came with the feature."""
        return all(
            self.has_column(table, column) for table, columns in feature.columns.items() for column in columns
        )

    def require(self, feature: Feature) -> None:
        """An error that says from which MLflow release a database can hold this, if this one cannot."""
        if not self.has(feature):
            raise NotImplementedHere(
                f"This database was made by an MLflow older than {feature.release} and has no tables for"
                f" {feature.name}. One of MLflow {feature.release} or later holds them: stop the server, make a copy,"
                " and run 'mlflow db upgrade' of such a release on the database."
            )

    def sql(self, text: str) -> str:
        """A statement with the markers for workspaces replaced as this database needs it; remembered."""
        found = self._texts.get(text)
        if found is None:
            condition, key = ("workspace = 'default' AND", "workspace,") if self.has_workspaces else ("", "")
            found = self._texts[text] = text.replace(IN_WORKSPACE, condition).replace(WORKSPACE_KEY, key)
        return found

    def select(self, table: str, columns: Sequence[str]) -> str:
        """``a, b, NULL AS c`` for a table that has no column c."""
        return ", ".join(name if self.has_column(table, name) else f"NULL AS {name}" for name in columns)

    def insert(self, table: str, columns: Tuple[str, ...], verb: str = "INSERT") -> str:
        """``INSERT INTO table (a, b) VALUES (:a, :b)`` for those of the columns that the table has; remembered."""
        found = self._texts.get((table, columns, verb))
        if found is None:
            kept: List[str] = [name for name in columns if self.has_column(table, name)]
            values = ", ".join(":" + name for name in kept)
            found = f"{verb} INTO {table} ({', '.join(kept)}) VALUES ({values})"
            self._texts[(table, columns, verb)] = found
        return found


def look_at(connection: sqlite3.Connection) -> Tables:
    """The tables, columns and indexes of a database."""
    columns: Dict[str, FrozenSet[str]] = {}
    indexes: Dict[Tuple[str, ...], str] = {}
    for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')").fetchall():
        columns[table] = frozenset(row[1] for row in connection.execute(f'PRAGMA table_info("{table}")'))
    query = "SELECT tbl_name, name FROM sqlite_master WHERE type = 'index'"
    for table, index in connection.execute(query).fetchall():
        names = [row[2] for row in connection.execute(f'PRAGMA index_info("{index}")')]
        place = (table, *names)
        indexes[place] = index
    return Tables(columns, indexes)


#: The tables of the file store's index.
ALL = Tables()
