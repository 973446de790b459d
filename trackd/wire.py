"""Entity -> MLflow's JSON; every quirk of the wire once (wire-rules, section 3).

Fields stand in the order of their numbers. What was set is sent, even if 0 or empty; what was not set, empty lists and
empty maps are left out. int64 are numbers. NaN is the string ``"NaN"``. All is escaped to ASCII.

Runs and points of metrics are made as JSON text at once (``Json``): a search answers with up to a million of them, and
building a dict for each costs five times what joining text does. Other entities are dicts. ``encode`` takes both.
"""

import json
from json.encoder import encode_basestring_ascii as quoted
from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple

from trackd.entities import (
    MODEL_STATUS,
    DatasetInput,
    Experiment,
    JsonPairs,
    LoggedModel,
    Metric,
    ModelVersion,
    RegisteredModel,
    Run,
    RunInfo,
    Tag,
)

# Not NaN as a bare token, which no other reader takes: whatever holds one is a mistake here.
_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


class Json(str):
    """Text that is JSON already."""

    __slots__ = ()


def encode(reply: Mapping[str, Any]) -> bytes:
    """The body of a reply: an object whose values are plain, ``Json``, or lists of ``Json``; ``None`` is left out."""
    parts = []
    for name, value in reply.items():
        if value is None:
            continue
        if type(value) is list and value and type(value[0]) is Json:
            value = "[" + ",".join(value) + "]"
        elif type(value) is not Json:
            value = _encode(value)
        parts.append(quoted(name) + ":" + value)
    return ("{" + ",".join(parts) + "}").encode("ascii")


def number(value: float) -> str:
    """A double as JSON: the shortest digits that read back as the same, or a string where JSON has no number."""
    if value - value == 0.0:
        return repr(value)
    return '"NaN"' if value != value else '"Infinity"' if value > 0 else '"-Infinity"'


def experiment(entity: Experiment) -> Dict[str, Any]:
    """An experiment with its tags."""
    reply: Dict[str, Any] = {
        "experiment_id": entity.experiment_id,
        "name": entity.name,
        "artifact_location": entity.artifact_location,
        "lifecycle_stage": entity.lifecycle_stage,
        "last_update_time": entity.last_update_time,
        "creation_time": entity.creation_time,
        "tags": [{"key": key, "value": value} for key, value in entity.tags] or None,
        "workspace": "default",
    }
    return {name: value for name, value in reply.items() if value is not None}


def run_info(entity: RunInfo) -> Json:
    """What a run is. The id goes out under its old name as well."""
    run_id = quoted(entity.run_id)
    parts = [f'{{"run_uuid":{run_id},"experiment_id":{quoted(entity.experiment_id)}']
    if entity.run_name is not None:
        parts.append(f'"run_name":{quoted(entity.run_name)}')
    if entity.user_id is not None:
        parts.append(f'"user_id":{quoted(entity.user_id)}')
    parts.append(f'"status":{quoted(entity.status)}')
    if entity.start_time is not None:
        parts.append(f'"start_time":{entity.start_time:d}')
    if entity.end_time:
        parts.append(f'"end_time":{entity.end_time:d}')
    parts.append(
        f'"artifact_uri":{quoted(entity.artifact_uri)},"lifecycle_stage":{quoted(entity.lifecycle_stage)}'
        f',"run_id":{run_id}}}'
    )
    return Json(",".join(parts))


def run(entity: Run, model_inputs: bool = True, outputs: bool = True) -> Json:
    """A whole run. runs/search leaves out ``model_inputs``, runs/create ``outputs``."""
    data = []
    if entity.metrics:
        data.append(
            '"metrics":['
            + ",".join(
                [
                    f'{{"key":{quoted(m[0])},"value":{number(m[1])},"timestamp":{m[2]:d},"step":{m[3]:d}}}'
                    for m in entity.metrics
                ]
            )
            + "]"
        )
    if entity.params:
        data.append('"params":' + _pairs(entity.params))
    if entity.tags:
        data.append('"tags":' + _pairs(entity.tags))
    inputs = []
    if entity.dataset_inputs:
        inputs.append('"dataset_inputs":[' + ",".join(map(_dataset_input, entity.dataset_inputs)) + "]")
    if entity.model_inputs and model_inputs:
        inputs.append(
            '"model_inputs":[' + ",".join([f'{{"model_id":{quoted(m.model_id)}}}' for m in entity.model_inputs]) + "]"
        )
    tail = "}"
    if outputs:
        models = ",".join([f'{{"model_id":{quoted(m.model_id)},"step":{m.step:d}}}' for m in entity.model_outputs])
        tail = f',"outputs":{{"model_outputs":[{models}]}}}}' if models else ',"outputs":{}}'
    return Json(f'{{"info":{run_info(entity.info)},"data":{{{",".join(data)}}},"inputs":{{{",".join(inputs)}}}{tail}')


def metric(entity: Metric) -> Json:
    """A point of a run's metric. Model and dataset are not sent: MLflow's SQL store keeps them with the model only."""
    key, value, timestamp, step = entity[:4]
    return Json(f'{{"key":{quoted(key)},"value":{number(value)},"timestamp":{timestamp:d},"step":{step:d}}}')


def points_of_run(run_id: str, key: str, points: Sequence[Metric]) -> List[Json]:
    """Points of one metric with the run that they belong to, where one reply holds points of several runs."""
    start, end = f'{{"key":{quoted(key)},"value":', f',"run_id":{quoted(run_id)}}}'
    return [
        Json(f'{start}{number(value)},"timestamp":{timestamp:d},"step":{step:d}{end}')
        for _, value, timestamp, step, *_ in points
    ]


def logged_model(entity: LoggedModel) -> Json:
    """A logged model: ``info`` with its tags, ``data`` with its params and every point of its metrics."""
    info = entity.info
    model_id = quoted(info.model_id)
    parts = [
        f'{{"model_id":{model_id},"experiment_id":{quoted(info.experiment_id)},"name":{quoted(info.name)}'
        f',"creation_timestamp_ms":{info.creation_timestamp_ms:d}'
        f',"last_updated_timestamp_ms":{info.last_updated_timestamp_ms:d}'
        f',"artifact_uri":{quoted(info.artifact_location)},"status":{quoted(MODEL_STATUS[info.status])}'
    ]
    if info.model_type is not None:
        parts.append(f'"model_type":{quoted(info.model_type)}')
    if info.source_run_id is not None:
        parts.append(f'"source_run_id":{quoted(info.source_run_id)}')
    if info.status_message is not None:
        parts.append(f'"status_message":{quoted(info.status_message)}')
    if entity.tags:
        parts.append('"tags":' + _pairs(entity.tags))
    data = []
    if entity.params:
        data.append('"params":' + _pairs(entity.params))
    if entity.metrics:
        points = ",".join([_point_of_model(point, model_id) for point in entity.metrics])
        data.append(f'"metrics":[{points}]')
    return Json(f'{{"info":{",".join(parts)}}},"data":{{{",".join(data)}}}}}')


def _point_of_model(point: Metric, model_id: str) -> str:
    """A point as a logged model has it: with the dataset that it was measured on and the run that measured it."""
    dataset = ""
    if point.dataset_name:
        dataset += f',"dataset_name":{quoted(point.dataset_name)}'
    if point.dataset_digest:
        dataset += f',"dataset_digest":{quoted(point.dataset_digest)}'
    run = f',"run_id":{quoted(point.run_id)}' if point.run_id else ""
    return f'{metric(point)[:-1]}{dataset},"model_id":{model_id}{run}}}'


def registered_model(entity: RegisteredModel) -> Json:
    """A registered model. An empty description is not sent; that of a version is."""
    parts = [f'{{"name":{quoted(entity.name)}']
    _number(parts, "creation_timestamp", entity.creation_timestamp)
    _number(parts, "last_updated_timestamp", entity.last_updated_timestamp)
    _text(parts, "description", entity.description or None)
    if entity.latest_versions:
        parts.append('"latest_versions":[' + ",".join(map(model_version, entity.latest_versions)) + "]")
    if entity.tags:
        parts.append('"tags":' + _pairs(entity.tags))
    if entity.aliases:
        aliases = [f'{{"alias":{quoted(alias)},"version":"{version:d}"}}' for alias, version in entity.aliases]
        parts.append('"aliases":[' + ",".join(aliases) + "]")
    return Json(",".join(parts) + "}")


def model_version(entity: ModelVersion) -> Json:
    """A version of a registered model. Its number is a string."""
    parts = [f'{{"name":{quoted(entity.name)},"version":"{entity.version:d}"']
    _number(parts, "creation_timestamp", entity.creation_timestamp)
    _number(parts, "last_updated_timestamp", entity.last_updated_timestamp)
    _text(parts, "user_id", entity.user_id)
    _text(parts, "current_stage", entity.current_stage)
    _text(parts, "description", entity.description)
    _text(parts, "source", entity.source)
    _text(parts, "run_id", entity.run_id)
    _text(parts, "status", entity.status)
    _text(parts, "status_message", entity.status_message)
    if entity.tags:
        parts.append('"tags":' + _pairs(entity.tags))
    _text(parts, "run_link", entity.run_link)
    if entity.aliases:
        parts.append('"aliases":[' + ",".join(map(quoted, entity.aliases)) + "]")
    return Json(",".join(parts) + "}")


def _text(parts: List[str], name: str, value: Optional[str]) -> None:
    if value is not None:
        parts.append(f'"{name}":{quoted(value)}')


def _number(parts: List[str], name: str, value: Optional[int]) -> None:
    if value is not None:
        parts.append(f'"{name}":{value:d}')


def dataset_summaries(rows: Iterable[Tuple[str, str, str, Optional[str]]]) -> List[Dict[str, str]]:
    """Rows of (experiment id, dataset name, digest, context) as objects; without a context where it is ``None``."""
    names = ("experiment_id", "name", "digest", "context")
    return [{name: value for name, value in zip(names, row) if value is not None} for row in rows]


def _pairs(items: Sequence[Any]) -> str:
    if type(items) is JsonPairs and items.json.isascii():
        return items.json
    return "[" + ",".join([f'{{"key":{quoted(key)},"value":{quoted(value)}}}' for key, value in items]) + "]"


def _dataset_input(entity: DatasetInput) -> str:
    dataset = {name: value for name, value in entity.dataset._asdict().items() if value is not None}
    tags: Sequence[Tag] = entity.tags
    start = f'{{"tags":{_pairs(tags)},' if tags else "{"
    return f'{start}"dataset":{_encode(dataset)}}}'
