"""Where the entities of a search lie in MLflow's tables: what ``search`` needs to know to build their statements."""

from typing import Mapping, NamedTuple, Tuple

from trackd.search.clause import METRIC, PARAM, TAG
from trackd.search.schemas import EXPERIMENTS, LOGGED_MODELS, MODEL_VERSIONS, REGISTERED_MODELS, RUNS, Schema


class Keys(NamedTuple):
    """A table of metrics, params or tags: the columns of the key and value, beside the id of what they belong to.

    ``latest`` is the order of the points of a key, where there are many; the first of them counts in an order.
    """

    table: str
    key: str = "key"
    value: str = "value"
    latest: str = ""


class Source(NamedTuple):
    """Where an entity lies: its table, the column of its id, the columns of an answer, those that are called otherwise
    than their attributes, the tables of its keys, and whether there are tables for datasets.

    ``looked_up``: other columns by which the entity's tags find it, instead of the id. Then what a filter asks of a tag
    is looked up once, by its key: what is searched is not a part of the entities, as the runs of an experiment are, but
    all of them. ``scope`` is the condition on the rows of such a table that count, for its alias t.
    """

    schema: Schema
    table: str
    id: str
    columns: Tuple[str, ...]
    renamed: Mapping[str, str]
    keys: Mapping[str, Keys]
    datasets: bool = True
    looked_up: Tuple[str, ...] = ()
    scope: str = ""


RUNS_SOURCE = Source(
    RUNS,
    "runs",
    "run_uuid",
    (
        "r.run_uuid",
        "CAST(r.experiment_id AS TEXT)",
        "r.name",
        "r.user_id",
        "r.status",
        "r.start_time",
        "r.end_time",
        "r.artifact_uri",
        "r.lifecycle_stage",
    ),
    {"run_id": "run_uuid", "run_name": "name"},
    {METRIC: Keys("latest_metrics"), PARAM: Keys("params"), TAG: Keys("tags")},
)
EXPERIMENTS_SOURCE = Source(
    EXPERIMENTS,
    "experiments",
    "experiment_id",
    (
        "CAST(r.experiment_id AS TEXT)",
        "r.name",
        "r.artifact_location",
        "r.lifecycle_stage",
        "r.creation_time",
        "r.last_update_time",
    ),
    {},
    {TAG: Keys("experiment_tags")},
)
LOGGED_MODELS_SOURCE = Source(
    LOGGED_MODELS,
    "logged_models",
    "model_id",
    (
        "r.model_id",
        "CAST(r.experiment_id AS TEXT)",
        "r.name",
        "r.artifact_location",
        "r.creation_timestamp_ms",
        "r.last_updated_timestamp_ms",
        "r.status",
        "r.lifecycle_stage",
        "r.model_type",
        "r.source_run_id",
        "r.status_message",
    ),
    {},
    {
        METRIC: Keys(
            "logged_model_metrics",
            "metric_name",
            "metric_value",
            "metric_timestamp_ms DESC, metric_step DESC, run_id, metric_value DESC",
        ),
        PARAM: Keys("logged_model_params", "param_key", "param_value"),
        TAG: Keys("logged_model_tags", "tag_key", "tag_value"),
    },
)
_TIMES = {"creation_timestamp": "creation_time", "last_updated_timestamp": "last_updated_time"}
REGISTERED_MODELS_SOURCE = Source(
    REGISTERED_MODELS,
    "registered_models",
    "rowid",
    ("r.name", "r.creation_time", "r.last_updated_time", "r.description"),
    _TIMES,
    {TAG: Keys("registered_model_tags")},
    looked_up=("name",),
)
#: The columns of a model version, in the order of the entity's fields.
MODEL_VERSION_COLUMNS = (
    "name",
    "version",
    "creation_time",
    "last_updated_time",
    "description",
    "user_id",
    "current_stage",
    "source",
    "storage_location",
    "run_id",
    "run_link",
    "status",
    "status_message",
)
MODEL_VERSIONS_SOURCE = Source(
    MODEL_VERSIONS,
    "model_versions",
    "rowid",
    MODEL_VERSION_COLUMNS,
    _TIMES,
    {TAG: Keys("model_version_tags")},
    looked_up=("name", "version"),
)
#: Sort columns that are never NULL, beside ids.
NEVER_NULL = ("r.creation_timestamp_ms", "r.last_updated_timestamp_ms")
#: Sort columns that an index may have.
INDEXED = ("r.start_time", "r.creation_timestamp_ms")
