"""Runs with their params and tags in MLflow's tables."""

import json
from typing import Dict, Iterable, List, Optional, Sequence, Tuple, Type

from trackd.entities import JsonPairs, Pair, Param, Run, RunInfo, Tag
from trackd.search.clause import Clause, Cursor, Order
from trackd.store.sql.connect import Connection
from trackd.store.sql.experiments import ExperimentReads, ExperimentWrites
from trackd.store.sql.inputs import fill_inputs
from trackd.store.sql.metrics import latest_metrics
from trackd.store.sql.removal import Removal
from trackd.store.sql.search import select_runs
from trackd.store.sql.tables import ALL, DATASETS, Tables

_INFO = (
    "SELECT run_uuid, CAST(experiment_id AS TEXT), name, user_id, status, start_time, end_time, artifact_uri,"
    " lifecycle_stage FROM runs WHERE run_uuid = ?"
)
# All pairs of a run as one JSON text, as answers want it: SQLite makes it in C, row by row costs four times as much.
_PAIRS = (
    "SELECT (SELECT json_group_array(json_object('key', key, 'value', coalesce(value, ''))) FROM"
    " (SELECT key, value FROM {table} WHERE run_uuid = wanted.value ORDER BY key)) FROM json_each(?) AS wanted"
)
_PARAMS = _PAIRS.format(table="params")
_TAGS = _PAIRS.format(table="tags")


def _pairs(connection: Connection, query: str, wanted: str, make: Type[Pair]) -> List[JsonPairs[Pair]]:
    """The params or tags of each run in ``wanted``, in key order."""
    return [JsonPairs(text, make) for (text,) in connection.execute(query, (wanted,))]


def list_runs(connection: Connection, infos: Sequence[RunInfo], tables: Tables = ALL) -> List[Run]:
    """Whole runs for these infos, in their order, with one query per table."""
    wanted = json.dumps([info.run_id for info in infos])
    metrics = latest_metrics(connection, wanted)
    params = _pairs(connection, _PARAMS, wanted, Param)
    tags = _pairs(connection, _TAGS, wanted, Tag)
    inputs = fill_inputs(connection, wanted, tables)
    return [
        Run(
            info,
            metrics.get(position, ()),
            params[position],
            tags[position],
            inputs.datasets.get(info.run_id, ()),
            inputs.models.get(info.run_id, ()),
            inputs.outputs.get(info.run_id, ()),
        )
        for position, info in enumerate(infos)
    ]


class RunReads(ExperimentReads):
    """The questions of ``store.base.Reads`` about runs."""

    def get_run_info(self, run_id: str) -> Optional[RunInfo]:
        """See ``store.base``."""
        with self.reading() as connection:
            row = connection.execute(_INFO, (run_id,)).fetchone()
        return RunInfo._make(row) if row else None

    def get_run(self, run_id: str) -> Optional[Run]:
        """See ``store.base``."""
        with self.reading() as connection:
            row = connection.execute(_INFO, (run_id,)).fetchone()
            return list_runs(connection, [RunInfo._make(row)], self.tables)[0] if row else None

    def search_runs(
        self,
        experiment_ids: Sequence[str],
        view_type: str,
        clause: Optional[Clause],
        order: Sequence[Order],
        limit: int,
        cursor: Cursor = Cursor(),
    ) -> Tuple[List[Run], Optional[Cursor]]:
        """See ``store.base``."""
        statement = select_runs(experiment_ids, view_type, clause, order, limit, cursor, self.tables.has(DATASETS))
        with self.reading() as connection:
            rows, next_cursor = statement.page(connection.execute(statement.sql, statement.parameters).fetchall())
            return list_runs(connection, [RunInfo._make(row) for row in rows], self.tables), next_cursor

    def list_run_infos(self, experiment_id: str) -> List[RunInfo]:
        """See ``store.base``."""
        with self.reading() as connection:
            rows = connection.execute(_INFO.replace("run_uuid = ?", "experiment_id = ?"), (int(experiment_id),))
            return [RunInfo._make(row) for row in rows]

    def list_deleted_runs(self, before: Optional[int] = None) -> List[RunInfo]:
        """See ``store.base``."""
        query = _INFO.replace("run_uuid = ?", "lifecycle_stage = 'deleted'")
        with self.reading() as connection:
            if before is None:
                rows = connection.execute(query)
            else:
                rows = connection.execute(query + " AND deleted_time <= ?", (before,))
            return [RunInfo._make(row) for row in rows]

    def list_runs(self, run_ids: Sequence[str]) -> List[Run]:
        """See ``store.base``."""
        with self.reading() as connection:
            rows = [connection.execute(_INFO, (run_id,)).fetchone() for run_id in run_ids]
            return list_runs(connection, [RunInfo._make(row) for row in rows if row], self.tables)

    def get_params(self, run_id: str, keys: Iterable[str]) -> Dict[str, str]:
        """See ``store.base``."""
        return self._get_values("SELECT value FROM params WHERE run_uuid = ? AND key = ?", run_id, keys)

    def get_tags(self, run_id: str, keys: Iterable[str]) -> Dict[str, str]:
        """See ``store.base``."""
        return self._get_values("SELECT value FROM tags WHERE run_uuid = ? AND key = ?", run_id, keys)

    def _get_values(self, query: str, run_id: str, keys: Iterable[str]) -> Dict[str, str]:
        values = {}
        with self.reading() as connection:
            for key in keys:
                row = connection.execute(query, (run_id, key)).fetchone()
                if row:
                    values[key] = row[0]
        return values


class RunWrites(RunReads, ExperimentWrites):
    """The writes of ``store.base.Transaction`` to runs."""

    def add_run(self, info: RunInfo, tags: Sequence[Tag]) -> None:
        """See ``store.base``."""
        self.insert_run(info, None)
        self.insert_tags(info.run_id, tags)

    def insert_run(self, info: RunInfo, deleted_time: Optional[int]) -> None:
        """Add the row of a run."""
        self.connection.execute(
            "INSERT INTO runs (run_uuid, experiment_id, name, user_id, status, start_time, end_time, artifact_uri,"
            " lifecycle_stage, deleted_time) VALUES (?, CAST(? AS INTEGER), ?, ?, ?, ?, ?, ?, ?, ?)",
            tuple(info) + (deleted_time,),
        )

    def put_run_info(self, info: RunInfo, deleted_time: Optional[int] = None) -> None:
        """See ``store.base``."""
        self.connection.execute(
            "UPDATE runs SET name = ?, user_id = ?, status = ?, start_time = ?, end_time = ?, artifact_uri = ?,"
            " lifecycle_stage = ?, deleted_time = ? WHERE run_uuid = ?",
            tuple(info[2:]) + (deleted_time, info.run_id),
        )

    def put_runs_lifecycle(self, experiment_id: str, lifecycle_stage: str, deleted_time: Optional[int]) -> None:
        """See ``store.base``."""
        for info in self.list_runs_outside(experiment_id, lifecycle_stage):
            self.put_run_info(info._replace(lifecycle_stage=lifecycle_stage), deleted_time)

    def list_runs_outside(self, experiment_id: str, lifecycle_stage: str) -> List[RunInfo]:
        """The runs of an experiment that are not in this lifecycle stage."""
        query = _INFO.replace("run_uuid = ?", "experiment_id = ? AND lifecycle_stage != ?")
        rows = self.connection.execute(query, (int(experiment_id), lifecycle_stage))
        return [RunInfo._make(row) for row in rows]

    def drop_runs(self, run_ids: Sequence[str]) -> None:
        """See ``store.base``."""
        self.remove_run_rows(run_ids)

    def remove_run_rows(self, run_ids: Sequence[str]) -> None:
        """Remove runs from the tables, and nothing else."""
        ids = json.dumps(list(run_ids))
        removal = Removal(self.connection)
        removal.drop_links(ids)
        removal.drop("runs", "run_uuid", ids)

    def put_tags(self, run_id: str, tags: Sequence[Tag]) -> None:
        """See ``store.base``."""
        self.insert_tags(run_id, tags)

    def insert_tags(self, run_id: str, tags: Sequence[Tag]) -> None:
        """Add or overwrite the rows of tags."""
        self.connection.executemany(
            "INSERT OR REPLACE INTO tags (key, value, run_uuid) VALUES (?, ?, ?)",
            [(tag.key, tag.value, run_id) for tag in tags],
        )

    def drop_tag(self, run_id: str, key: str) -> bool:
        """See ``store.base``."""
        cursor = self.connection.execute("DELETE FROM tags WHERE run_uuid = ? AND key = ?", (run_id, key))
        return cursor.rowcount > 0

    def add_params(self, run_id: str, params: Sequence[Param]) -> None:
        """See ``store.base``."""
        self.connection.executemany(
            "INSERT OR REPLACE INTO params (key, value, run_uuid) VALUES (?, ?, ?)",
            [(param.key, param.value, run_id) for param in params],
        )
