"""Request types: what each argument of an endpoint may be, with its limits.

An endpoint's parameter is annotated with one of the types of this module::

    def create(ctx: Context, name: ExperimentName, tags: ExperimentTags = ()) -> dict:

``binding`` reads the annotation once per route. A parameter without a default is required: absent, null and empty
are refused. Everything here is decidable from the request alone; limits are MLflow's (wire-rules, section 4), lengths
are in characters. Scalars may come as strings (queries, Java, R). What MLflow would store wrongly is refused.
"""

from operator import itemgetter
from typing import Annotated, Any, Iterable, List, NamedTuple, Optional, Sequence

from trackd import entities
from trackd.artifacts import paths
from trackd.errors import InvalidParameterValue
from trackd.fields.kinds import (
    INT32,
    INT64,
    LARGEST,
    AliasName,
    Choice,
    CutText,
    Double,
    ExperimentNumber,
    Field,
    Flag,
    HexId,
    Identifier,
    Integer,
    Items,
    Key,
    ModelName,
    PathOfArtifact,
    Range,
    Record,
    RegisteredName,
    RepeatedId,
    StageName,
    Text,
    Unique,
    VersionNumber,
    Word,
    key_problem,
    missing,
    shown,
)


class MetricItems(Items):
    """Points of metrics. The four plain fields in their plain types are read here, anything else by the record.

    A request may hold a thousand points, and 150,000 a second are the budget for all that is done with them.
    """

    _plain = staticmethod(itemgetter("key", "value", "timestamp", "step"))

    def read(self, value: Any, name: str) -> List[entities.Metric]:
        """The points, in their order."""
        if type(value) is not list or len(value) > (self.limit or 0):
            return super().read(value, name)
        plain, problem, high = self._plain, key_problem, INT64[1]
        new, metric = tuple.__new__, entities.Metric
        points = []
        for item in value:
            if type(item) is dict and len(item) == 4:
                try:
                    key, number, time, step = plain(item)
                except KeyError:
                    pass  # Other names than the four: not a plain point.
                else:
                    if (
                        type(number) is float
                        and type(time) is int
                        and 0 <= time <= high
                        and type(step) is int
                        and -high <= step <= high
                        and type(key) is str
                        and 0 < len(key) <= 250
                        and not problem(key)
                        and -LARGEST <= number <= LARGEST
                    ):
                        points.append(new(metric, (key, number, time, step, None, None, None, None)))
                        continue
            where = f"{name}[{len(points)}]"
            if item is None:
                missing(where)
            points.append(self.item.read(item, where))
        return points


def point(
    key: str,
    value: float,
    timestamp: int,
    step: int = 0,
    model_id: Optional[str] = None,
    dataset_name: Optional[str] = None,
    dataset_digest: Optional[str] = None,
) -> entities.Metric:
    """A point of a metric out of its fields; a dataset has both name and digest."""
    if (dataset_name is None) != (dataset_digest is None):
        raise InvalidParameterValue(
            f"The point of {shown(key)} has only one of dataset_name and dataset_digest; send both or neither."
        )
    return entities.Metric(key, value, timestamp, step, model_id, dataset_name, dataset_digest)


class UploadPart(NamedTuple):
    """A part of an upload, as the client names it to complete the upload."""

    number: int
    etag: str


def _tags(key: Field, value: Field) -> Record:
    return Record(entities.Tag, key=key, value=(value, ""))


_KEY_FIELD, _RUN_TAG_VALUE, _PARAM_VALUE = Key(), CutText(8000), CutText(6000)
_EXPERIMENT_TAG_VALUE = Text(20000)
_TIMESTAMP = Integer(0, INT64[1], "milliseconds since 1970 as a whole number, 0 or more")
_TIME = Integer(*INT64, "milliseconds since 1970 as a whole number of 64 bits")
_STEP = Integer(*INT64, "a whole number of 64 bits")
_MODEL_ID = Identifier(blank=None)
_UPLOAD_PART = Record(UploadPart, part_number=Integer(1, 100_000), etag=(Text(), ""))
_DATASET_NAME, _DATASET_DIGEST = Text(500), Text(36)
_METRIC = Record(
    point,
    key=_KEY_FIELD,
    value=Double(),
    timestamp=_TIMESTAMP,
    step=(_STEP, 0),
    model_id=(_MODEL_ID, None),
    dataset_name=(Text(500, blank=None), None),
    dataset_digest=(Text(36, blank=None), None),
)
_DATASET = Record(
    entities.Dataset,
    name=_DATASET_NAME,
    digest=_DATASET_DIGEST,
    source_type=(Text(), ""),
    source=(Text(65535), ""),
    schema=(Text(1048575), None),
    profile=(Text(16777215), None),
)
_DATASET_INPUT = Record(
    entities.DatasetInput,
    dataset=_DATASET,
    tags=(Unique(Record(entities.Tag, key=Text(255), value=(Text(500), ""))), ()),
)

#: Values of logged models are texts without a limit in MLflow; this many characters fit a file of a folder.
_LOGGED_VALUE, _OPTIONAL_TEXT = Text(1_000_000), Text(blank=None)
_LOGGED_PARAM = Record(entities.Param, key=_KEY_FIELD, value=(_LOGGED_VALUE, ""))


class LoggedModelOrder(NamedTuple):
    """A key of an order of logged models, as the request has it."""

    field_name: str
    ascending: bool
    dataset_name: Optional[str]
    dataset_digest: Optional[str]


class LoggedModelDataset(NamedTuple):
    """A dataset that narrows a search of logged models, as the request has it."""

    dataset_name: Optional[str]
    dataset_digest: Optional[str]


#: Keys of an order of logged models; each becomes a join.
MAX_ORDERS = 16

# The types of arguments. Those with Optional have None as their default in signatures.

ExperimentId = Annotated[str, ExperimentNumber()]
ExperimentIds = Annotated[Sequence[str], Items(ExperimentNumber())]
DatasetExperimentIds = Annotated[Sequence[str], Items(ExperimentNumber(), 20, "experiment ids")]
ExperimentName = Annotated[str, Text(500)]
ArtifactLocation = Annotated[Optional[str], Text(blank=None)]
ExperimentTagValue = Annotated[str, _EXPERIMENT_TAG_VALUE]
ExperimentTags = Annotated[Sequence[entities.Tag], Unique(_tags(_KEY_FIELD, _EXPERIMENT_TAG_VALUE))]
ViewType = Annotated[str, Choice(entities.VIEW_TYPE)]

#: A run's id; not checked beyond being there, because an odd one is 404 like any that is not there.
RunId = Annotated[str, Text()]
#: The same, which may also come as ``run_uuid``, its name of old.
RunIdOrUuid = Annotated[str, Text(aliases=("run_uuid",))]
#: The same, where MLflow answers 400 to one of the wrong form.
CheckedRunId = Annotated[str, Identifier()]
#: The id of a run that was made elsewhere: 32 hex digits, as all are made. (What lies beside runs has other names.)
NewRunId = Annotated[str, HexId()]
RunIds = Annotated[Sequence[str], Items(Text(), 100, "run ids")]
RunName = Annotated[Optional[str], Text(blank=None)]
RunStatus = Annotated[Optional[str], Choice(entities.RUN_STATUS)]
UserId = Annotated[str, Text()]
Time = Annotated[Optional[int], _TIME]
#: The key of something to be set.
SetKey = Annotated[str, _KEY_FIELD]
#: The key of something to be found; an odd one is not there.
Lookup = Annotated[str, Text()]
TagValue = Annotated[str, _RUN_TAG_VALUE]
NewRunTags = Annotated[Sequence[entities.Tag], Unique(_tags(_KEY_FIELD, _RUN_TAG_VALUE))]
RunTags = Annotated[Sequence[entities.Tag], Items(_tags(_KEY_FIELD, _RUN_TAG_VALUE), 100, "tags")]
ParamValue = Annotated[str, _PARAM_VALUE]
Params = Annotated[
    Sequence[entities.Param],
    Unique(Record(entities.Param, key=_KEY_FIELD, value=(_PARAM_VALUE, "")), 100, "params", InvalidParameterValue),
]
MetricValue = Annotated[float, Double()]
Timestamp = Annotated[int, _TIMESTAMP]
Step = Annotated[int, _STEP]
Metrics = Annotated[Sequence[entities.Metric], MetricItems(_METRIC, 1000, "metrics")]
ModelId = Annotated[Optional[str], _MODEL_ID]
DatasetName = Annotated[Optional[str], Text(500, blank=None)]
DatasetDigest = Annotated[Optional[str], Text(36, blank=None)]
DatasetInputs = Annotated[Sequence[entities.DatasetInput], Items(_DATASET_INPUT, 1000, "datasets")]
ModelInputs = Annotated[Sequence[entities.ModelInput], Items(Record(entities.ModelInput, model_id=Identifier()))]
ModelOutputs = Annotated[
    Sequence[entities.ModelOutput], Items(Record(entities.ModelOutput, model_id=Identifier(), step=(_STEP, 0)))
]
ModelJson = Annotated[str, Text()]

#: A logged model's id; not checked beyond being there, because an odd one is 404 like any that is not there.
LoggedModelId = Annotated[str, Text()]
#: The same, in the path and in the body.
RepeatedModelId = Annotated[str, RepeatedId()]
LoggedModelName = Annotated[Optional[str], ModelName(500, blank=None)]
LoggedModelType = Annotated[str, Text(500)]
SourceRunId = Annotated[str, Text(256)]
LoggedModelStatus = Annotated[Optional[str], Choice(entities.MODEL_STATUS)]
LoggedModelParams = Annotated[Sequence[entities.Param], Unique(_LOGGED_PARAM, noun="params")]
NewLoggedModelTags = Annotated[Sequence[entities.Tag], Unique(_tags(_KEY_FIELD, _LOGGED_VALUE), noun="tags")]
LoggedModelTags = Annotated[Sequence[entities.Tag], Items(_tags(_KEY_FIELD, _LOGGED_VALUE), noun="tags")]
LoggedModelPageSize = Annotated[int, Integer(0, INT32[1])]
LoggedModelOrders = Annotated[
    Sequence[LoggedModelOrder],
    Items(
        Record(
            LoggedModelOrder,
            field_name=(Text(), ""),
            ascending=(Flag(), True),
            dataset_name=(_OPTIONAL_TEXT, None),
            dataset_digest=(_OPTIONAL_TEXT, None),
        ),
        MAX_ORDERS,
        "keys",
    ),
]
LoggedModelDatasets = Annotated[
    Sequence[LoggedModelDataset],
    Items(Record(LoggedModelDataset, dataset_name=(_OPTIONAL_TEXT, None), dataset_digest=(_OPTIONAL_TEXT, None)), 1000),
]
#: A file or folder below an artifact location; ``artifacts.paths.ROOT`` is the location itself.
ArtifactPath = Annotated[paths.ArtifactPath, PathOfArtifact()]
ArtifactFile = Annotated[paths.ArtifactPath, PathOfArtifact(leaf=True)]
PartNumber = Annotated[int, Integer(1, 100_000)]
UploadParts = Annotated[Sequence[UploadPart], Items(_UPLOAD_PART, 100_000, "parts")]
#: Seconds for which a presigned URL lasts; clouds cap it at 7 days.
Expiration = Annotated[Optional[int], Integer(1, 604_800)]
AllowDeleted = Annotated[bool, Flag()]

_REGISTRY_TAG_VALUE = Text(100000)

RegisteredModelName = Annotated[str, RegisteredName()]
Version = Annotated[int, VersionNumber()]
RegistryTagValue = Annotated[str, _REGISTRY_TAG_VALUE]
#: The last of equal keys counts.
RegistryTags = Annotated[Sequence[entities.Tag], Items(_tags(_KEY_FIELD, _REGISTRY_TAG_VALUE))]
Description = Annotated[Optional[str], Text()]
RunLink = Annotated[str, Text()]
#: A run's or model's id, where an empty one says that there is none, and an absent one nothing.
VersionRunId = Annotated[Optional[str], Text()]
VersionModelId = Annotated[Optional[str], Text()]
#: Longer than any place that keeps artifacts takes: what is done to it costs the square of its length.
Source = Annotated[str, Text(10_000)]
Stage = Annotated[str, StageName(entities.STAGES)]
Stages = Annotated[Sequence[str], Items(StageName(entities.STAGES))]
Archive = Annotated[bool, Flag()]
NewAlias = Annotated[str, AliasName(new=True)]
AnAlias = Annotated[str, AliasName(new=False)]
ModelPageSize = Annotated[int, Integer(1, 1000)]
VersionPageSize = Annotated[int, Integer(1, 200_000)]

Filter = Annotated[str, Text()]
OrderBy = Annotated[Sequence[str], Items(Text())]
PageToken = Annotated[Optional[str], Text(blank=None)]
PageSize = Annotated[int, Integer(1, 50000)]
HistorySize = Annotated[Optional[int], Integer(1, INT32[1])]
BulkSize = Annotated[int, Integer(0, INT64[1])]
IntervalSize = Annotated[int, Integer(1, 2500)]
StepBound = Annotated[Optional[int], Integer(*INT64, "a whole number of 64 bits")]

# Of /api/trackd.
MetricKeys = Annotated[Sequence[str], Items(Text(), 3000, "metric keys")]
ManyRunIds = Annotated[Sequence[str], Items(Text(), 1000, "run ids")]
ManyModelIds = Annotated[Sequence[str], Items(Text(), 1000, "model ids")]
Axis = Annotated[str, Word("step", "time", "relative", "metric")]
AxisKey = Annotated[Optional[str], Text(blank=None)]
AxisBound = Annotated[Optional[float], Range(-LARGEST, LARGEST, "a finite number")]
Buckets = Annotated[int, Integer(1, 10000)]
Smoothing = Annotated[float, Range(0.0, 1.0, "a number from 0 to below 1", open_end=True)]
Wanted = Annotated[bool, Flag()]
StateToken = Annotated[Optional[str], Text(200, blank=None)]
ExportFormat = Annotated[str, Word("csv", "json")]


def unique(values: Iterable[str]) -> List[str]:
    """The values in their order, each once."""
    return list(dict.fromkeys(values))
