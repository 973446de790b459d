"""Logged models with their params, tags and points of metrics, in the tables that came with MLflow 3.0."""

import json
import math
from typing import Dict, Iterable, List, Optional, Sequence, Tuple

from trackd.entities import JsonPairs, LoggedModel, LoggedModelInfo, Metric, Param, Tag
from trackd.errors import BadRequest
from trackd.search.clause import Clause, Cursor, Order
from trackd.store.sql.connect import Connection, Reading
from trackd.store.sql.removal import Removal
from trackd.store.sql.search import select_logged_models
from trackd.store.sql.tables import LOGGED_MODELS

_COLUMNS = (
    "model_id, CAST(experiment_id AS TEXT), name, artifact_location, creation_timestamp_ms, last_updated_timestamp_ms,"
    " status, lifecycle_stage, model_type, source_run_id, status_message"
)
_BY_ID = f"SELECT {_COLUMNS} FROM logged_models WHERE model_id = ?"
# All pairs of a model as one JSON text, as answers want it.
_PAIRS = (
    "SELECT (SELECT json_group_array(json_object('key', key, 'value', coalesce(value, ''))) FROM"
    " (SELECT {key} AS key, {value} AS value FROM {table} WHERE model_id = wanted.value ORDER BY {key}))"
    " FROM json_each(?) AS wanted"
)
_PARAMS = _PAIRS.format(table="logged_model_params", key="param_key", value="param_value")
_TAGS = _PAIRS.format(table="logged_model_tags", key="tag_key", value="tag_value")
_POINTS = (
    "SELECT wanted.key, metric_name, metric_value, metric_timestamp_ms, metric_step, run_id, dataset_name,"
    " dataset_digest FROM json_each(?) AS wanted CROSS JOIN logged_model_metrics ON model_id = wanted.value"
)
_AT_ONE_MOMENT = (
    "SELECT metric_value, dataset_name, dataset_digest FROM logged_model_metrics WHERE model_id = ?"
    " AND metric_name = ? AND metric_timestamp_ms = ? AND metric_step = ? AND run_id = ?"
)
_ADD_POINT = (
    "INSERT INTO logged_model_metrics (model_id, metric_name, metric_timestamp_ms, metric_step, run_id, metric_value,"
    " dataset_name, dataset_digest, experiment_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, CAST(? AS INTEGER))"
)


def list_logged_models(connection: Connection, infos: Sequence[LoggedModelInfo]) -> List[LoggedModel]:
    """Whole logged models for these infos, in their order, with one query per table."""
    wanted = json.dumps([info.model_id for info in infos])
    params = [JsonPairs(text, Param) for (text,) in connection.execute(_PARAMS, (wanted,))]
    tags = [JsonPairs(text, Tag) for (text,) in connection.execute(_TAGS, (wanted,))]
    points: Dict[int, List[Metric]] = {}
    for position, key, value, timestamp, step, run_id, name, digest in connection.execute(_POINTS, (wanted,)):
        model_id = infos[position].model_id
        point = Metric(key, math.nan if value is None else value, timestamp, step, model_id, name, digest, run_id)
        points.setdefault(position, []).append(point)
    for found in points.values():
        found.sort(key=_moment)
    return [LoggedModel(info, params[at], tags[at], points.get(at, ())) for at, info in enumerate(infos)]


def _moment(point: Metric) -> Tuple[str, int, int]:
    return point.key, point.timestamp, point.step


class LoggedModelReads(Reading):
    """The questions of ``store.base.Reads`` about logged models."""

    def get_logged_model_info(self, model_id: str) -> Optional[LoggedModelInfo]:
        """See ``store.base``."""
        self.tables.require(LOGGED_MODELS)
        with self.reading() as connection:
            row = connection.execute(_BY_ID, (model_id,)).fetchone()
        return LoggedModelInfo._make(row) if row else None

    def get_logged_model(self, model_id: str) -> Optional[LoggedModel]:
        """See ``store.base``."""
        self.tables.require(LOGGED_MODELS)
        with self.reading() as connection:
            row = connection.execute(_BY_ID, (model_id,)).fetchone()
            return list_logged_models(connection, [LoggedModelInfo._make(row)])[0] if row else None

    def search_logged_models(
        self,
        experiment_ids: Sequence[str],
        clause: Optional[Clause],
        order: Sequence[Order],
        limit: int,
        cursor: Cursor = Cursor(),
    ) -> Tuple[List[LoggedModel], Optional[Cursor]]:
        """See ``store.base``."""
        if not self.tables.has(LOGGED_MODELS):
            return [], None
        statement = select_logged_models(experiment_ids, clause, order, limit, cursor)
        with self.reading() as connection:
            rows, following = statement.page(connection.execute(statement.sql, statement.parameters).fetchall())
            return list_logged_models(connection, [LoggedModelInfo._make(row) for row in rows]), following

    def list_logged_model_infos(self, experiment_id: str) -> List[LoggedModelInfo]:
        """See ``store.base``."""
        return self._infos("experiment_id = ?", (int(experiment_id),))

    def list_deleted_logged_models(self, before: Optional[int] = None) -> List[LoggedModelInfo]:
        """See ``store.base``. As in MLflow, the last change of a deleted model is its deletion."""
        if before is None:
            return self._infos("lifecycle_stage = 'deleted'", ())
        return self._infos("lifecycle_stage = 'deleted' AND last_updated_timestamp_ms <= ?", (before,))

    def _infos(self, condition: str, parameters: Tuple[int, ...]) -> List[LoggedModelInfo]:
        if not self.tables.has(LOGGED_MODELS):
            return []
        query = _BY_ID.replace("model_id = ?", condition)
        with self.reading() as connection:
            return [LoggedModelInfo._make(row) for row in connection.execute(query, parameters)]

    def get_logged_model_params(self, model_id: str, keys: Iterable[str]) -> Dict[str, str]:
        """See ``store.base``."""
        query = "SELECT param_value FROM logged_model_params WHERE model_id = ? AND param_key = ?"
        return self._get_model_values(query, model_id, keys)

    def get_logged_model_tags(self, model_id: str, keys: Iterable[str]) -> Dict[str, str]:
        """See ``store.base``."""
        query = "SELECT tag_value FROM logged_model_tags WHERE model_id = ? AND tag_key = ?"
        return self._get_model_values(query, model_id, keys)

    def _get_model_values(self, query: str, model_id: str, keys: Iterable[str]) -> Dict[str, str]:
        values = {}
        with self.reading() as connection:
            for key in keys:
                row = connection.execute(query, (model_id, key)).fetchone()
                if row:
                    values[key] = row[0]
        return values


class LoggedModelWrites(LoggedModelReads):
    """The writes of ``store.base.Transaction`` to logged models.

    ``keeps_every_point``: whether the table is the index of a folder, which can hold several points of a metric at one
    moment of a run (on different datasets), and NaN, as NULL. MLflow's table has a key of model, metric, time, step and
    run, and its own code cannot read NULL: there NaN becomes 0, as MLflow makes it.
    """

    keeps_every_point = False

    def add_logged_model(self, info: LoggedModelInfo, params: Sequence[Param], tags: Sequence[Tag]) -> None:
        """See ``store.base``."""
        self.tables.require(LOGGED_MODELS)
        self.insert_logged_model(info)
        self.insert_logged_model_params(info.model_id, params)
        self.insert_logged_model_tags(info.model_id, tags)

    def insert_logged_model(self, info: LoggedModelInfo) -> None:
        """Add the row of a logged model."""
        self.connection.execute(
            "INSERT INTO logged_models (model_id, experiment_id, name, artifact_location, creation_timestamp_ms,"
            " last_updated_timestamp_ms, status, lifecycle_stage, model_type, source_run_id, status_message)"
            " VALUES (?, CAST(? AS INTEGER), ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            tuple(info),
        )

    def add_model_points(self, run_id: str, metrics: Sequence[Metric]) -> bool:
        """See ``store.base``. MLflow's table refers to the run."""
        self.tables.require(LOGGED_MODELS)
        row = self.connection.execute("SELECT experiment_id FROM runs WHERE run_uuid = ?", (run_id,)).fetchone()
        if row is None:
            return False
        self.insert_model_points(row[0], run_id, metrics)
        return True

    def put_logged_model_info(self, info: LoggedModelInfo) -> None:
        """See ``store.base``."""
        self.connection.execute(
            "UPDATE logged_models SET status = ?, status_message = ?, lifecycle_stage = ?,"
            " last_updated_timestamp_ms = ? WHERE model_id = ?",
            (info.status, info.status_message, info.lifecycle_stage, info.last_updated_timestamp_ms, info.model_id),
        )

    def add_logged_model_params(self, model_id: str, params: Sequence[Param]) -> None:
        """See ``store.base``."""
        self.insert_logged_model_params(model_id, params)

    def insert_logged_model_params(self, model_id: str, params: Sequence[Param]) -> None:
        """Add the rows of params."""
        self.connection.executemany(
            "INSERT OR REPLACE INTO logged_model_params (model_id, param_key, param_value, experiment_id)"
            " SELECT model_id, ?, ?, experiment_id FROM logged_models WHERE model_id = ?",
            [(param.key, param.value, model_id) for param in params],
        )

    def put_logged_model_tags(self, model_id: str, tags: Sequence[Tag]) -> None:
        """See ``store.base``."""
        self.insert_logged_model_tags(model_id, tags)

    def insert_logged_model_tags(self, model_id: str, tags: Sequence[Tag]) -> None:
        """Add or overwrite the rows of tags."""
        self.connection.executemany(
            "INSERT OR REPLACE INTO logged_model_tags (model_id, tag_key, tag_value, experiment_id)"
            " SELECT model_id, ?, ?, experiment_id FROM logged_models WHERE model_id = ?",
            [(tag.key, tag.value, model_id) for tag in tags],
        )

    def drop_logged_models(self, model_ids: Sequence[str]) -> None:
        """See ``store.base``."""
        self.tables.require(LOGGED_MODELS)
        ids = json.dumps(list(model_ids))
        removal = Removal(self.connection)
        removal.drop_links(ids)
        removal.drop("logged_models", "model_id", ids)

    def drop_logged_model_tag(self, model_id: str, key: str) -> bool:
        """See ``store.base``."""
        query = "DELETE FROM logged_model_tags WHERE model_id = ? AND tag_key = ?"
        return self.connection.execute(query, (model_id, key)).rowcount > 0

    def insert_model_points(self, experiment_id: str, run_id: str, metrics: Sequence[Metric]) -> List[Metric]:
        """Keep points on the logged models that they name; returns those that the models did not have.

        ``experiment_id`` is that of the run in MLflow's tables; in the index of a folder it is that of the model, whose
        points go with it.

        :raises BadRequest: for a second point of a metric at one moment, where the table has no room for it.
        """
        new = []
        for metric in metrics:
            value: Optional[float] = metric.value
            if metric.value != metric.value:
                value = None if self.keeps_every_point else 0.0
            place = (metric.model_id, metric.key, metric.timestamp, metric.step, run_id)
            point = (value, metric.dataset_name, metric.dataset_digest)
            there = self.connection.execute(_AT_ONE_MOMENT, place).fetchall()
            if point in there:
                continue
            if there and not self.keeps_every_point:
                raise BadRequest(
                    f"The logged model {metric.model_id} has another point of {metric.key!r} at step {metric.step} and"
                    f" timestamp {metric.timestamp} of run {run_id}: its table holds one for each. Log with another"
                    " step or timestamp."
                )
            self.connection.execute(_ADD_POINT, place + point + (experiment_id,))
            new.append(metric)
        return new
