"""Experiments and their tags in MLflow's tables."""

import json
from typing import Any, Dict, List, Optional, Sequence, Tuple

from trackd.entities import ACTIVE, Experiment, Tag
from trackd.search.clause import Clause, Cursor, Order
from trackd.store.sql.connect import Connection, Reading
from trackd.store.sql.search import select_experiments
from trackd.store.sql.tables import IN_WORKSPACE

_COLUMNS = "CAST(experiment_id AS TEXT), name, artifact_location, lifecycle_stage, creation_time, last_update_time"
_BY_ID = f"SELECT {_COLUMNS} FROM experiments WHERE experiment_id = ?"
_BY_NAME = f"SELECT {_COLUMNS} FROM experiments WHERE {IN_WORKSPACE} name = ?"
# Of one experiment or of all of a page at once: MLflow has no index that begins with the experiment.
_TAGS = (
    "SELECT experiment_id, key, value FROM experiment_tags WHERE experiment_id IN (SELECT value FROM json_each(?))"
    " ORDER BY key"
)


def _with_tags(connection: Connection, rows: Sequence[Tuple[Any, ...]]) -> List[Experiment]:
    """Experiments out of their rows."""
    if not rows:
        return []
    tags: Dict[int, List[Tag]] = {int(row[0]): [] for row in rows}
    for experiment_id, key, value in connection.execute(_TAGS, (json.dumps(list(tags)),)):
        tags[experiment_id].append(Tag(key, value or ""))
    return [Experiment._make((*row, tags[int(row[0])])) for row in rows]


def _one(connection: Connection, query: str, value: Any) -> Optional[Experiment]:
    found = _with_tags(connection, connection.execute(query, (value,)).fetchall())
    return found[0] if found else None


class ExperimentReads(Reading):
    """The questions of ``store.base.Reads`` about experiments."""

    def get_experiment(self, experiment_id: str) -> Optional[Experiment]:
        """See ``store.base``."""
        with self.reading() as connection:
            return _one(connection, _BY_ID, int(experiment_id))

    def get_experiment_by_name(self, name: str) -> Optional[Experiment]:
        """See ``store.base``."""
        with self.reading() as connection:
            return _one(connection, self.tables.sql(_BY_NAME), name)

    def search_experiments(
        self,
        view_type: str,
        clause: Optional[Clause],
        order: Sequence[Order],
        limit: int,
        cursor: Cursor = Cursor(),
    ) -> Tuple[List[Experiment], Optional[Cursor]]:
        """See ``store.base``."""
        statement = select_experiments(view_type, clause, order, limit, cursor)
        with self.reading() as connection:
            rows, next_cursor = statement.page(connection.execute(statement.sql, statement.parameters).fetchall())
            return _with_tags(connection, rows), next_cursor


class ExperimentWrites(ExperimentReads):
    """The writes of ``store.base.Transaction`` to experiments."""

    def add_experiment(
        self, name: str, artifact_location: Optional[str], tags: Sequence[Tag], time: int, artifact_root: str
    ) -> str:
        """See ``store.base``."""
        experiment_id = self.next_experiment_id()
        location = artifact_location or f"{artifact_root.rstrip('/')}/{experiment_id}"
        self.insert_experiment(Experiment(experiment_id, name, location, ACTIVE, time, time))
        self.put_experiment_tags(experiment_id, tags)
        return experiment_id

    def next_experiment_id(self) -> str:
        """One above the highest in the table."""
        (highest,) = self.connection.execute("SELECT max(experiment_id) FROM experiments").fetchone()
        return str(0 if highest is None else highest + 1)

    def insert_experiment(self, experiment: Experiment) -> None:
        """Add the row of an experiment under its own id; its tags are not looked at."""
        self.connection.execute(
            "INSERT INTO experiments (experiment_id, name, artifact_location, lifecycle_stage, creation_time,"
            " last_update_time) VALUES (?, ?, ?, ?, ?, ?)",
            (int(experiment.experiment_id),) + tuple(experiment[1:6]),
        )

    def put_experiment(self, experiment: Experiment) -> None:
        """See ``store.base``."""
        self.connection.execute(
            "UPDATE experiments SET name = ?, artifact_location = ?, lifecycle_stage = ?, creation_time = ?,"
            " last_update_time = ? WHERE experiment_id = ?",
            tuple(experiment[1:6]) + (int(experiment.experiment_id),),
        )

    def put_experiment_tags(self, experiment_id: str, tags: Sequence[Tag]) -> None:
        """See ``store.base``."""
        self.connection.executemany(
            "INSERT OR REPLACE INTO experiment_tags (key, value, experiment_id) VALUES (?, ?, ?)",
            [(tag.key, tag.value, int(experiment_id)) for tag in tags],
        )

    def drop_experiment_tag(self, experiment_id: str, key: str) -> bool:
        """See ``store.base``."""
        cursor = self.connection.execute(
            "DELETE FROM experiment_tags WHERE experiment_id = ? AND key = ?", (int(experiment_id), key)
        )
        return cursor.rowcount > 0
