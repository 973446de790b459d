"""MLflow's entities, as fields only. What they look like in JSON is in ``wire``, how they are kept in ``store``.

Times are int milliseconds since the epoch. Ids are strings. ``None`` means not set.
"""

import json
from typing import Callable, List, NamedTuple, Optional, Sequence, TypeVar, Union, overload

ACTIVE = "active"
DELETED = "deleted"

#: Run states by the number that protobuf and ``meta.yaml`` use.
RUN_STATUS = {1: "RUNNING", 2: "SCHEDULED", 3: "FINISHED", 4: "FAILED", 5: "KILLED"}

#: States of logged models by the number that protobuf, ``meta.yaml`` and MLflow's table use.
MODEL_STATUS = {
    0: "LOGGED_MODEL_STATUS_UNSPECIFIED",
    1: "LOGGED_MODEL_PENDING",
    2: "LOGGED_MODEL_READY",
    3: "LOGGED_MODEL_UPLOAD_FAILED",
}

#: Which lifecycle stages a search sees.
ACTIVE_ONLY = "ACTIVE_ONLY"
DELETED_ONLY = "DELETED_ONLY"
ALL = "ALL"
VIEW_TYPE = {1: ACTIVE_ONLY, 2: DELETED_ONLY, 3: ALL}

#: Stages of model versions. A deleted version stays, in a stage of its own, so that its number is not used again.
NO_STAGE, STAGING, PRODUCTION, ARCHIVED = "None", "Staging", "Production", "Archived"
STAGES = (NO_STAGE, STAGING, PRODUCTION, ARCHIVED)
DELETED_STAGE = "Deleted_Internal"
#: The state of a model version, from its first moment on.
READY = "READY"

#: The tag, with the value ``true``, that makes a registered model and its versions a prompt.
IS_PROMPT_TAG = "mlflow.prompt.is_prompt"

#: The tag that holds a run's name a second time; MLflow keeps both equal.
RUN_NAME_TAG = "mlflow.runName"


class Tag(NamedTuple):
    """A tag of an experiment, run, dataset input, registered model or model version."""

    key: str
    value: str


class Param(NamedTuple):
    """A run's parameter; written once."""

    key: str
    value: str


Pair = TypeVar("Pair", Tag, Param)


class JsonPairs(Sequence[Pair]):
    """Tags or params as the JSON array of objects with ``key`` and ``value`` that a store had them in.

    A list like any other, read when somebody looks into it. Most only pass through, to an answer that wants that text.
    """

    __slots__ = ("json", "_make", "_items")

    def __init__(self, json: str, make: Callable[[str, str], Pair]) -> None:
        self.json = json
        self._make: Callable[[str, str], Pair] = make
        self._items: Optional[List[Pair]] = None

    def _list(self) -> List[Pair]:
        if self._items is None:
            self._items = [self._make(pair["key"], pair["value"]) for pair in json.loads(self.json)]
        return self._items

    def __bool__(self) -> bool:
        return self.json != "[]"

    def __len__(self) -> int:
        return len(self._list())

    @overload
    def __getitem__(self, index: int) -> Pair: ...
    @overload
    def __getitem__(self, index: slice) -> List[Pair]: ...
    def __getitem__(self, index: Union[int, slice]) -> Union[Pair, List[Pair]]:
        return self._list()[index]

    def __eq__(self, other: object) -> bool:
        return self._list() == (other._list() if isinstance(other, JsonPairs) else other)

    def __repr__(self) -> str:
        return repr(self._list())


class Metric(NamedTuple):
    """One point of a metric. ``value`` may be NaN."""

    key: str
    value: float
    timestamp: int
    step: int = 0
    model_id: Optional[str] = None
    dataset_name: Optional[str] = None
    dataset_digest: Optional[str] = None
    run_id: Optional[str] = None


class Experiment(NamedTuple):
    """An experiment. ``lifecycle_stage`` is ``active`` or ``deleted``."""

    experiment_id: str
    name: str
    artifact_location: str
    lifecycle_stage: str
    creation_time: Optional[int]
    last_update_time: Optional[int]
    tags: Sequence[Tag] = ()


class RunInfo(NamedTuple):
    """What a run is, without what was logged to it. ``status`` is a value of ``RUN_STATUS``."""

    run_id: str
    experiment_id: str
    run_name: Optional[str]
    user_id: Optional[str]
    status: str
    start_time: Optional[int]
    end_time: Optional[int]
    artifact_uri: str
    lifecycle_stage: str


class Dataset(NamedTuple):
    """A dataset as a run saw it; one per experiment, name and digest."""

    name: str
    digest: str
    source_type: str
    source: str
    schema: Optional[str] = None
    profile: Optional[str] = None


class DatasetInput(NamedTuple):
    """A dataset that went into a run, with the tags of that use (``mlflow.data.context``)."""

    dataset: Dataset
    tags: Sequence[Tag] = ()


class ModelInput(NamedTuple):
    """A logged model that went into a run."""

    model_id: str


class ModelOutput(NamedTuple):
    """A logged model that came out of a run, at ``step``."""

    model_id: str
    step: int = 0


class LoggedModelInfo(NamedTuple):
    """What a logged model is, without what was logged to it. ``status`` is a key of ``MODEL_STATUS``."""

    model_id: str
    experiment_id: str
    name: str
    artifact_location: str
    creation_timestamp_ms: int
    last_updated_timestamp_ms: int
    status: int
    lifecycle_stage: str
    model_type: Optional[str] = None
    source_run_id: Optional[str] = None
    status_message: Optional[str] = None


class LoggedModel(NamedTuple):
    """A logged model with all that was logged to it. ``metrics`` holds every point, each with its run and dataset."""

    info: LoggedModelInfo
    params: Sequence[Param] = ()
    tags: Sequence[Tag] = ()
    metrics: Sequence[Metric] = ()


class Run(NamedTuple):
    """A run with all that ``runs/get`` answers. ``metrics`` holds the current point of each key."""

    info: RunInfo
    metrics: Sequence[Metric] = ()
    params: Sequence[Param] = ()
    tags: Sequence[Tag] = ()
    dataset_inputs: Sequence[DatasetInput] = ()
    model_inputs: Sequence[ModelInput] = ()
    model_outputs: Sequence[ModelOutput] = ()


class Alias(NamedTuple):
    """A name for one version of a registered model."""

    alias: str
    version: int


class ModelVersion(NamedTuple):
    """One version of a registered model. ``current_stage`` is one of ``STAGES``, or ``DELETED_STAGE``.

    ``source`` is where the model came from, as it was said; ``storage_location`` where its files are. ``aliases`` are
    those of its model that name it. ``model_id`` is the logged model it was made of; MLflow keeps it in folders only.
    """

    name: str
    version: int
    creation_timestamp: Optional[int]
    last_updated_timestamp: Optional[int]
    description: Optional[str]
    user_id: Optional[str]
    current_stage: str
    source: Optional[str]
    storage_location: Optional[str]
    run_id: Optional[str]
    run_link: Optional[str]
    status: Optional[str]
    status_message: Optional[str]
    tags: Sequence[Tag] = ()
    aliases: Sequence[str] = ()
    model_id: Optional[str] = None


class RegisteredModel(NamedTuple):
    """A registered model, or a prompt. ``latest_versions`` has the highest version of each stage, without aliases."""

    name: str
    creation_timestamp: Optional[int]
    last_updated_timestamp: Optional[int]
    description: Optional[str]
    tags: Sequence[Tag] = ()
    aliases: Sequence[Alias] = ()
    latest_versions: Sequence[ModelVersion] = ()
