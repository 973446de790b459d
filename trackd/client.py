"""A client of MLflow tracking servers on the standard library alone: ``import trackd.client as mlflow``.

This one file can be copied anywhere; it imports nothing of trackd. It speaks to trackd and to MLflow's own server, with
the names, defaults and errors of the package ``mlflow``; results are plain objects with the same attribute names.

From the top down: errors, entities, the connection to a server, the spool that stands in for one where there is no
network, the queue that sends in the background, artifacts, ``Client`` (the words of ``MlflowClient``), system metrics,
and the functions that know the active run (``start_run``, ``log_metric`` ...).
"""

from __future__ import annotations

import atexit
import json
import os
import re
import sys
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, unquote, urlencode, urlsplit

if TYPE_CHECKING:
    import socket
    import ssl
    from typing import BinaryIO, Callable, Deque, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple

#: The release of MLflow whose names and API this is.
MLFLOW_VERSION = "3.17.2"

#: Every variable that is read, with what it does; ``docs/client.md`` holds the same table.
VARIABLES = {
    "MLFLOW_TRACKING_URI": "The server, such as http://127.0.0.1:5000 (the default), or spool:FOLDER.",
    "MLFLOW_REGISTRY_URI": "The server for registered models, if it is another one.",
    "MLFLOW_EXPERIMENT_NAME": "The experiment of new runs; it is created if need be.",
    "MLFLOW_EXPERIMENT_ID": "The same by id.",
    "MLFLOW_RUN_ID": "The run that the first start_run goes on with.",
    "MLFLOW_TRACKING_USERNAME": "User name for basic authentication; also in ~/.mlflow/credentials.",
    "MLFLOW_TRACKING_PASSWORD": "Its password.",
    "MLFLOW_TRACKING_TOKEN": "Bearer token; a user name with password goes first.",
    "MLFLOW_TRACKING_INSECURE_TLS": "true: the server's certificate is not checked.",
    "MLFLOW_TRACKING_SERVER_CERT_PATH": "Certificates (PEM file or folder) that the server's must be signed by.",
    "MLFLOW_TRACKING_CLIENT_CERT_PATH": "The client's own certificate with its key (one PEM file).",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "Seconds until a silent server counts as gone (120).",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "How often a failed request is repeated (7).",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "Seconds of the pause after the second failure; it doubles each time (2).",
    "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER": "Up to so many seconds are added to a pause, at random (1.0).",
    "MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER": "false: pauses are not what the server asks for (true).",
    "MLFLOW_ARTIFACT_UPLOAD_DOWNLOAD_TIMEOUT": "The time-out for files, in seconds (that of requests).",
    "MLFLOW_ENABLE_ASYNC_LOGGING": "true: synchronous=False is the default.",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false: no progress on the terminal (true).",
    "MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE": "Files from this size on are sent in parts (500 MiB).",
    "MLFLOW_MULTIPART_UPLOAD_CHUNK_SIZE": "The size of a part (10 MiB).",
    "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING": "true: log_system_metrics=True is the default.",
    "MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL": "Seconds between samples of system metrics (10).",
    "MLFLOW_SYSTEM_METRICS_SAMPLES_BEFORE_LOGGING": "So many samples make one point (1).",
    "MLFLOW_SYSTEM_METRICS_NODE_ID": "Stands in the names of system metrics, to tell hosts apart.",
    "TRACKD_SPOOL": "Folder that takes what is logged while the server cannot be reached.",
}


def _variable(name: str) -> str:
    """The value of a variable of ``VARIABLES``; empty counts as unset."""
    assert name in VARIABLES, name
    return os.environ.get(name, "")


def _flag(name: str, default: bool = False) -> bool:
    """A variable that is true or false."""
    value = _variable(name).lower()
    if value in ("", "true", "1", "false", "0"):
        return default if not value else value in ("true", "1")
    raise MlflowException(f"{name} is {value!r}; it is true or false.", "INVALID_PARAMETER_VALUE")


def _amount(name: str, default: float) -> float:
    """A variable that is a number of 0 or more."""
    value = _variable(name)
    try:
        number = float(value) if value else default
        if number >= 0:
            return number
    except ValueError:
        number = -1.0
    raise MlflowException(f"{name} is {value!r}; it is a number, 0 or more.", "INVALID_PARAMETER_VALUE")


# -- errors -----------------------------------------------------------------------------------------------------------

_STATUS_OF = {
    "INVALID_PARAMETER_VALUE": 400, "BAD_REQUEST": 400, "RESOURCE_ALREADY_EXISTS": 400, "UNAUTHENTICATED": 401,
    "CUSTOMER_UNAUTHORIZED": 401, "PERMISSION_DENIED": 403, "RESOURCE_DOES_NOT_EXIST": 404, "NOT_FOUND": 404,
    "ENDPOINT_NOT_FOUND": 404, "ALREADY_EXISTS": 409, "RESOURCE_CONFLICT": 409, "RESOURCE_EXHAUSTED": 429,
    "REQUEST_LIMIT_EXCEEDED": 429, "NOT_IMPLEMENTED": 501, "TEMPORARILY_UNAVAILABLE": 503,
}


class MlflowException(Exception):
    """What went wrong, in ``message``, and its kind, in ``error_code``, as in ``mlflow.exceptions``."""

    def __init__(self, message: str, error_code: str = "INTERNAL_ERROR", **kwargs: Any) -> None:
        self.message = str(message)
        self.error_code = error_code
        self.json_kwargs = kwargs
        super().__init__(self.message)

    @classmethod
    def invalid_parameter_value(cls, message: str, **kwargs: Any) -> MlflowException:
        """The error for a wrong argument."""
        return MlflowException(message, "INVALID_PARAMETER_VALUE", **kwargs)

    def get_http_status_code(self) -> int:
        """The status that a server answers this kind of error with."""
        return _STATUS_OF.get(self.error_code, 500)

    def serialize_as_json(self) -> str:
        """The body that a server would answer."""
        return json.dumps({"error_code": self.error_code, "message": self.message, **self.json_kwargs})


class RestException(MlflowException):
    """An error that the server answered; ``json`` is its answer."""

    def __init__(self, json: Dict[str, Any]) -> None:
        code = str(json.get("error_code", "INTERNAL_ERROR"))
        super().__init__(f"{code}: {json.get('message', 'no message')}", code)
        self.json = json


class Unreachable(MlflowException):
    """No answer came: nobody listens there, the name is unknown, it is silent, or a proxy says so."""


def _invalid(message: str) -> MlflowException:
    return MlflowException(message, "INVALID_PARAMETER_VALUE")


class exceptions:
    """``mlflow.exceptions``, for scripts that name errors that way."""

    MlflowException = MlflowException
    RestException = RestException


# -- entities ---------------------------------------------------------------------------------------------------------


class ViewType:
    """Which lifecycle stages a search sees."""

    ACTIVE_ONLY, DELETED_ONLY, ALL = 1, 2, 3


class RunStatus:
    """The states of a run, by number and by name."""

    RUNNING, SCHEDULED, FINISHED, FAILED, KILLED = 1, 2, 3, 4, 5
    _NAMES = {1: "RUNNING", 2: "SCHEDULED", 3: "FINISHED", 4: "FAILED", 5: "KILLED"}

    @classmethod
    def to_string(cls, status: int) -> str:
        """The name of a state."""
        return cls._NAMES[status]

    @classmethod
    def is_terminated(cls, status: Any) -> bool:
        """Whether a run in this state has ended."""
        return cls._NAMES.get(status, status) in ("FINISHED", "FAILED", "KILLED")


class Metric(NamedTuple):
    """One point of a metric; ``timestamp`` in milliseconds."""

    key: str
    value: float
    timestamp: int
    step: int = 0
    model_id: Optional[str] = None
    dataset_name: Optional[str] = None
    dataset_digest: Optional[str] = None
    run_id: Optional[str] = None


class Param(NamedTuple):
    """A parameter of a run."""

    key: str
    value: str


class RunTag(NamedTuple):
    """A tag of a run."""

    key: str
    value: str


class InputTag(NamedTuple):
    """A tag of a dataset's use."""

    key: str
    value: str


class Dataset(NamedTuple):
    """A dataset as a run saw it; ``schema`` and ``profile`` are JSON."""

    name: str
    digest: str
    source_type: str
    source: str
    schema: Optional[str] = None
    profile: Optional[str] = None


class DatasetInput(NamedTuple):
    """A dataset that went into a run, with the tags of that use."""

    dataset: Dataset
    tags: Sequence[InputTag] = ()


class LoggedModelInput(NamedTuple):
    """A logged model that went into a run."""

    model_id: str


class LoggedModelOutput(NamedTuple):
    """A logged model that came out of a run."""

    model_id: str
    step: int


class RunInputs(NamedTuple):
    """What went into a run."""

    dataset_inputs: List[DatasetInput]
    model_inputs: List[LoggedModelInput]


class RunOutputs(NamedTuple):
    """What came out of a run."""

    model_outputs: List[LoggedModelOutput]


class RunInfo(NamedTuple):
    """What a run is; times in milliseconds."""

    run_id: str
    experiment_id: str
    user_id: str
    status: str
    start_time: Optional[int]
    end_time: Optional[int]
    lifecycle_stage: str
    artifact_uri: Optional[str] = None
    run_name: Optional[str] = None


class RunData(NamedTuple):
    """What was logged to a run, by key; of metrics the current value."""

    metrics: Dict[str, float]
    params: Dict[str, str]
    tags: Dict[str, str]


class Run(NamedTuple):
    """A run as it was when it was asked for."""

    info: RunInfo
    data: RunData
    inputs: RunInputs = RunInputs([], [])
    outputs: RunOutputs = RunOutputs([])

    def to_dictionary(self) -> Dict[str, Any]:
        """The run as plain dicts."""
        return {"info": self.info._asdict(), "data": self.data._asdict()}


class Experiment(NamedTuple):
    """An experiment."""

    experiment_id: str
    name: str
    artifact_location: str
    lifecycle_stage: str
    tags: Dict[str, str]
    creation_time: Optional[int] = None
    last_update_time: Optional[int] = None


class FileInfo(NamedTuple):
    """A file or folder of a run; ``path`` is relative to the run's artifacts."""

    path: str
    is_dir: bool
    file_size: Optional[int]


class ModelVersion(NamedTuple):
    """A version of a registered model."""

    name: str
    version: str
    creation_timestamp: Optional[int] = None
    last_updated_timestamp: Optional[int] = None
    description: Optional[str] = None
    user_id: Optional[str] = None
    current_stage: Optional[str] = None
    source: Optional[str] = None
    run_id: Optional[str] = None
    status: str = "READY"
    status_message: Optional[str] = None
    tags: Dict[str, str] = {}
    run_link: Optional[str] = None
    aliases: List[str] = []
    model_id: Optional[str] = None


class RegisteredModel(NamedTuple):
    """A registered model; ``aliases`` by name."""

    name: str
    creation_timestamp: Optional[int]
    last_updated_timestamp: Optional[int]
    description: Optional[str]
    latest_versions: List[ModelVersion]
    tags: Dict[str, str]
    aliases: Dict[str, str]


class LoggedModel(NamedTuple):
    """A logged model; ``status`` is PENDING, READY or FAILED."""

    experiment_id: str
    model_id: str
    name: str
    artifact_location: str
    creation_timestamp: int
    last_updated_timestamp: int
    model_type: Optional[str]
    source_run_id: Optional[str]
    status: str
    status_message: Optional[str]
    tags: Dict[str, str]
    params: Dict[str, str]
    metrics: List[Metric]


class PagedList(list):
    """A page of results; ``token`` asks for the next one and is empty on the last."""

    def __init__(self, items: Iterable[Any] = (), token: Optional[str] = None) -> None:
        super().__init__(items)
        self.token = token

    def to_pandas(self) -> Any:
        """A DataFrame with a row for each; runs get the columns of ``mlflow.search_runs``. Needs pandas."""
        import pandas

        return pandas.DataFrame([_row(each) for each in self])


def _row(entity: Any) -> Dict[str, Any]:
    """An entity as a row of a table."""
    if not isinstance(entity, Run):
        return dict(entity if isinstance(entity, dict) else entity._asdict())
    import pandas

    info = entity.info
    row: Dict[str, Any] = {
        "run_id": info.run_id, "experiment_id": info.experiment_id, "status": info.status,
        "artifact_uri": info.artifact_uri,
        "start_time": pandas.to_datetime(info.start_time, unit="ms", utc=True),
        "end_time": pandas.to_datetime(info.end_time, unit="ms", utc=True),
    }
    for kind in ("metrics", "params", "tags"):
        row.update({f"{kind}.{key}": value for key, value in getattr(entity.data, kind).items()})
    return row


def _pairs(items: Any) -> Dict[str, Any]:
    return {item["key"]: item.get("value", "") for item in items or ()}


def _run(found: Mapping[str, Any]) -> Run:
    """A run out of the server's JSON."""
    info, data = found["info"], found.get("data") or {}
    inputs, outputs = found.get("inputs") or {}, found.get("outputs") or {}
    metrics = {each["key"]: float(each["value"]) for each in data.get("metrics") or ()}
    datasets = [
        DatasetInput(
            Dataset(*(each["dataset"].get(name) for name in Dataset._fields)),
            [InputTag(tag["key"], tag["value"]) for tag in each.get("tags") or ()],
        )
        for each in inputs.get("dataset_inputs") or ()
    ]
    return Run(
        RunInfo(
            info["run_id"], info["experiment_id"], info.get("user_id", ""), info["status"], info.get("start_time"),
            info.get("end_time"), info.get("lifecycle_stage", "active"), info.get("artifact_uri"),
            info.get("run_name"),
        ),
        RunData(metrics, _pairs(data.get("params")), _pairs(data.get("tags"))),
        RunInputs(datasets, [LoggedModelInput(each["model_id"]) for each in inputs.get("model_inputs") or ()]),
        RunOutputs(
            [LoggedModelOutput(each["model_id"], each.get("step", 0)) for each in outputs.get("model_outputs") or ()]
        ),
    )


def _experiment(found: Mapping[str, Any]) -> Experiment:
    return Experiment(
        found["experiment_id"], found["name"], found.get("artifact_location", ""),
        found.get("lifecycle_stage", "active"), _pairs(found.get("tags")), found.get("creation_time"),
        found.get("last_update_time"),
    )


def _metric(found: Mapping[str, Any]) -> Metric:
    return Metric(
        found["key"], float(found["value"]), found["timestamp"], found.get("step", 0), found.get("model_id"),
        found.get("dataset_name"), found.get("dataset_digest"), found.get("run_id"),
    )


def _model_version(found: Mapping[str, Any]) -> ModelVersion:
    given = {name: found[name] for name in ModelVersion._fields if name in found}
    given.update(version=str(found["version"]), tags=_pairs(found.get("tags")), aliases=list(found.get("aliases", ())))
    return ModelVersion(**given)


def _registered_model(found: Mapping[str, Any]) -> RegisteredModel:
    return RegisteredModel(
        found["name"], found.get("creation_timestamp"), found.get("last_updated_timestamp"), found.get("description"),
        [_model_version(each) for each in found.get("latest_versions") or ()], _pairs(found.get("tags")),
        {each["alias"]: str(each["version"]) for each in found.get("aliases") or ()},
    )


def _logged_model(found: Mapping[str, Any]) -> LoggedModel:
    info, data = found["info"], found.get("data") or {}
    return LoggedModel(
        info["experiment_id"], info["model_id"], info["name"], info.get("artifact_uri", ""),
        info.get("creation_timestamp_ms", 0), info.get("last_updated_timestamp_ms", 0), info.get("model_type"),
        info.get("source_run_id"), str(info.get("status", "")).replace("LOGGED_MODEL_", ""),
        info.get("status_message"), _pairs(info.get("tags")), _pairs(data.get("params")),
        [_metric(each) for each in data.get("metrics") or ()],
    )


class entities:
    """``mlflow.entities``, for scripts that name these classes that way."""

    ViewType, RunStatus, Metric, Param, RunTag, InputTag = ViewType, RunStatus, Metric, Param, RunTag, InputTag
    Dataset, DatasetInput, LoggedModelInput, LoggedModelOutput = (
        Dataset, DatasetInput, LoggedModelInput, LoggedModelOutput
    )
    Run, RunInfo, RunData, Experiment, FileInfo, LoggedModel = Run, RunInfo, RunData, Experiment, FileInfo, LoggedModel


# -- values as JSON ---------------------------------------------------------------------------------------------------

_KEY = re.compile(r"[/\w.\- :]{1,250}")
_quoted_keys: Dict[str, str] = {}


def _quoted_key(key: str) -> str:
    """A key as JSON, if it is one that servers take; remembered, because the same few come again and again."""
    quoted = _quoted_keys.get(key)
    if quoted is None:
        if not isinstance(key, str) or not _KEY.fullmatch(key):
            raise _invalid(
                f"{key!r} cannot be a key: letters, digits, '_', '-', '.', ' ', ':' and '/' are allowed, 250 at most."
            )
        if len(_quoted_keys) > 10_000:
            _quoted_keys.clear()
        quoted = _quoted_keys[key] = json.dumps(key)
    return quoted


def _number(key: str, value: Any) -> str:
    """The value of a metric as JSON. Whatever ``float`` takes: numbers, one-element arrays and tensors."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise _invalid(f"The value of metric {key!r} is {value!r}; a metric is a number.") from None
    if number - number == 0.0:
        return repr(number)
    return '"NaN"' if number != number else '"Infinity"' if number > 0 else '"-Infinity"'


def _point(key: str, value: Any, timestamp: int, step: int, *extra: Optional[str]) -> str:
    """A point of a metric as the JSON object that the API takes. ``extra``: model id, dataset name and digest."""
    number = repr(value) if type(value) is float and value - value == 0.0 else _number(key, value)
    quoted = _quoted_keys.get(key) or _quoted_key(key)
    if extra and any(extra):
        named = {name: each for name, each in zip(("model_id", "dataset_name", "dataset_digest"), extra) if each}
        return f'{{"key":{quoted},"value":{number},"timestamp":{timestamp:d},"step":{step:d},{json.dumps(named)[1:]}'
    return f'{{"key":{quoted},"value":{number},"timestamp":{timestamp:d},"step":{step:d}}}'


def _now() -> int:
    return time.time_ns() // 1_000_000


def _new_id() -> str:
    """A random id as MLflow makes them: 32 hex digits."""
    return os.urandom(16).hex()


# -- the connection to a server ---------------------------------------------------------------------------------------

_API = "/api/2.0/mlflow/"
_FILES = "/api/2.0/mlflow-artifacts/"
#: Answers that can be another one next time (MLflow's list).
_PASSING = frozenset((408, 429, 500, 502, 503, 504))
#: What a proxy answers in place of a server that is gone.
_GATEWAY = frozenset((502, 503, 504))
_BLOCK = 1 << 20
#: An answer that is kept in memory; files are written to disk as they come.
_LARGEST_ANSWER = 1 << 30
#: Files from this size on show how far they are.
_WORTH_A_BAR = 10 << 20


class _Reply(NamedTuple):
    """An answer; ``data`` is empty if it went into a sink."""

    status: int
    headers: Dict[str, str]
    data: bytes


class _Ended(OSError):
    """The connection ended before the answer did. ``unsent``: before a byte of it came, on a used connection."""

    def __init__(self, unsent: bool = False) -> None:
        super().__init__("the connection was closed in the middle of an answer")
        self.unsent = unsent


class _Wire:
    """One connection: writes requests, reads answers (RFC 9112), several times faster than ``http.client`` does."""

    def __init__(self, sock: socket.socket, proxy_login: str = "") -> None:
        self.sock = sock
        self.used = False
        #: Sent with each request, where a proxy passes them on one by one.
        self.proxy_login = proxy_login
        self._reader = sock.makefile("rb")

    def close(self) -> None:
        """Let go of the connection."""
        self._reader.close()
        self.sock.close()

    def exchange(
        self, head: bytes, body: bytes = b"", source: Optional[_Source] = None, sink: Optional[_Sink] = None
    ) -> Tuple[_Reply, bool]:
        """Send a request and read the answer; says too whether the connection can be used again."""
        fresh, self.used = not self.used, True
        try:
            self.sock.sendall(head + body)
            if source is not None:
                source.send(self.sock)
        except ConnectionError:
            # A server that refuses a body answers and closes before it has all of it: its answer says why.
            if source is None and fresh:
                raise
            if source is None:
                raise _Ended(unsent=True) from None
            source.broken = True
        try:
            line = self._reader.readline(65537)
        except ConnectionError:
            line = b""
        if not line:
            raise _Ended(unsent=not fresh)
        status, headers = self._head(line)
        while 100 <= status < 200:
            status, headers = self._head(self._reader.readline(65537))
        into = sink if sink is not None and status in (200, 206) else None
        data, whole = self._body(status, headers, head.startswith(b"HEAD "), into)
        keep = whole and headers.get("connection", "").lower() != "close" and line.startswith(b"HTTP/1.1")
        return _Reply(status, headers, data), keep and not (source is not None and source.broken)

    def _head(self, line: bytes) -> Tuple[int, Dict[str, str]]:
        parts = line.split(None, 2)
        if len(parts) < 2 or not parts[0].startswith(b"HTTP/") or not parts[1].isdigit():
            raise _NotHttp(line[:40].decode("latin-1").strip())
        headers: Dict[str, str] = {}
        for _ in range(200):
            line = self._reader.readline(65537)
            if not line:
                raise _Ended
            if line in (b"\r\n", b"\n"):
                return int(parts[1]), headers
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.strip().lower()] = value.strip()
        raise _NotHttp("more than 200 headers")

    def _body(self, status: int, headers: Dict[str, str], head: bool, sink: Optional[_Sink]) -> Tuple[bytes, bool]:
        """The body, or nothing if a sink takes it; and whether the connection stands at the next answer."""
        if head or status in (204, 304):
            return b"", True
        take = sink or _Memory()
        take.begin(status, headers)
        if "chunked" in headers.get("transfer-encoding", "").lower():
            while True:
                size = int(self._reader.readline(1024).split(b";")[0] or b"-1", 16)
                if size < 0:
                    raise _Ended
                self._pass(take, size)
                if size == 0:
                    while self._reader.readline(65537) not in (b"\r\n", b"\n", b""):
                        continue
                    return take.data, True
                self._reader.readline(16)
        length = headers.get("content-length", "")
        if length.isdigit():
            self._pass(take, int(length))
            return take.data, True
        for block in iter(lambda: self._reader.read(_BLOCK), b""):
            take.add(block)
        return take.data, False

    def _pass(self, take: _Sink, size: int) -> None:
        while size:
            block = self._reader.read(min(size, _BLOCK))
            if not block:
                raise _Ended
            take.add(block)
            size -= len(block)


class _NotHttp(OSError):
    """What answered does not speak HTTP."""


class _Sink:
    """Takes a body as it comes."""

    data = b""

    def begin(self, status: int, headers: Dict[str, str]) -> None:
        """Called before the first block."""

    def add(self, block: bytes) -> None:
        """Take the next block."""
        raise NotImplementedError

    def wanted(self) -> bytes:
        """Header lines that ask for what is missing."""
        return b""


class _Memory(_Sink):
    """Keeps a body."""

    def add(self, block: bytes) -> None:
        if len(self.data) + len(block) > _LARGEST_ANSWER:
            raise MlflowException("The answer is larger than 1 GiB; ask for less at once.")
        self.data = self.data + block if self.data else block


class _Source:
    """A part of a file as the body of a request."""

    def __init__(self, path: str, start: int, size: int, bar: Optional[_Bar] = None) -> None:
        self.path, self.start, self.size, self.bar = path, start, size, bar
        self.broken = False

    def send(self, sock: socket.socket) -> None:
        """Send all of it, from its beginning."""
        self.broken = False
        left = self.size
        if self.bar:
            self.bar.at(self.start)
        with open(self.path, "rb") as file:
            file.seek(self.start)
            while left:
                block = file.read(min(left, _BLOCK))
                if not block:
                    raise MlflowException(f"{self.path} became shorter while it was sent.")
                sock.sendall(block)
                left -= len(block)
                if self.bar:
                    self.bar.at(self.start + self.size - left)


class _Bar:
    """How far a file is, on one line of the terminal; large files only, and only where somebody looks."""

    def __init__(self, name: str, total: int) -> None:
        self.name, self.total = name, total
        self.shown = 0.0
        wanted = total >= _WORTH_A_BAR and _flag("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", True)
        self.visible = wanted and sys.stderr is not None and sys.stderr.isatty()

    def at(self, done: int) -> None:
        """Show that so many bytes are through."""
        now = time.monotonic()
        if self.visible and (now - self.shown > 0.1 or done == self.total):
            self.shown = now
            filled = 20 * done // max(self.total, 1)
            end = "\n" if done == self.total else ""
            amount = f"{done >> 20:,} of {self.total >> 20:,} MiB"
            print(f"\r{self.name} [{'#' * filled:20}] {amount}", end=end, file=sys.stderr, flush=True)


class _Server:
    """A server at ``uri``: keeps connections, repeats what failed in passing, says in one sentence what is wrong.

    Connections are shared by all threads; each is used by one at a time.
    """

    def __init__(self, uri: str) -> None:
        parts = urlsplit(uri)
        try:
            port = parts.port
        except ValueError:
            port = -1
        if parts.scheme not in ("http", "https") or not parts.hostname or port == -1 or parts.query or parts.fragment:
            raise _invalid(
                f"{uri!r} is no server's address; set MLFLOW_TRACKING_URI or call set_tracking_uri with "
                "http://host:port, https://host, or spool:FOLDER to log without a network."
            )
        self.scheme, self.host = parts.scheme, parts.hostname
        self.port = port or (443 if parts.scheme == "https" else 80)
        named = f"[{self.host}]" if ":" in self.host else self.host
        self.address = f"{self.scheme}://{named}" + (f":{port}" if port else "")
        self.prefix = parts.path.rstrip("/")
        self.uri = self.address + self.prefix
        self._login = (unquote(parts.username), unquote(parts.password or "")) if parts.username else None
        self._host_header = self.address[len(self.scheme) + 3 :]
        self._free: List[_Wire] = []
        self._lock = threading.Lock()
        self._proxy: Optional[str] = None
        self._settings: Optional[Tuple[str, ...]] = None
        self._common = b""
        self.answered = False
        #: False where somebody waits to do without the server: what is not there now is not waited for.
        self.patient = True
        #: When all tries of a request had failed: what comes right after is not tried for minutes once more.
        self._gone = -1e9

    # What the environment says is read again when it has changed: scripts set variables after the import.

    def _read_settings(self) -> None:
        names = (
            "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN",
            "MLFLOW_TRACKING_INSECURE_TLS", "MLFLOW_TRACKING_SERVER_CERT_PATH", "MLFLOW_TRACKING_CLIENT_CERT_PATH",
            "MLFLOW_HTTP_REQUEST_TIMEOUT", "MLFLOW_HTTP_REQUEST_MAX_RETRIES",
        )
        get = os.environ.get
        now = tuple([get(name, "") for name in names])
        if now == self._settings:
            return
        self.close()
        if now[4] and _flag("MLFLOW_TRACKING_INSECURE_TLS"):
            raise _invalid(
                "MLFLOW_TRACKING_INSECURE_TLS and MLFLOW_TRACKING_SERVER_CERT_PATH are both set; unset one: the first "
                "trusts every certificate, the second only those in the file."
            )
        self.timeout = _amount("MLFLOW_HTTP_REQUEST_TIMEOUT", 120) or None
        self.retries = int(_amount("MLFLOW_HTTP_REQUEST_MAX_RETRIES", 7))
        self._headers = {
            "Host": self._host_header, "User-Agent": f"trackd-client/{MLFLOW_VERSION}", "Accept": "*/*",
            "X-MLflow-Client-Version": MLFLOW_VERSION,
        }
        self.user, authorization = self._authorization(now[0], now[1], now[2])
        if authorization:
            self._headers["Authorization"] = authorization
        self._common = "".join(f"{name}: {value}\r\n" for name, value in self._headers.items()).encode("latin-1")
        self._settings = now

    def _authorization(self, user: str, password: str, token: str) -> Tuple[str, str]:
        """Who we are and the header that says it: variables before the file, the address before both."""
        if self._login:
            user, password = self._login
        else:
            in_file = _credentials_file()
            user, password = user or in_file[0], password or in_file[1]
        if user and password:
            from base64 import b64encode

            return user, "Basic " + b64encode(f"{user}:{password}".encode()).decode("ascii")
        return user, f"Bearer {token}" if token else ""

    def close(self) -> None:
        """Close the connections that nobody uses."""
        with self._lock:
            free, self._free = self._free, []
        for wire in free:
            wire.close()

    def _connect(self, timeout: Optional[float]) -> _Wire:
        from http.client import HTTPConnection, HTTPSConnection
        from urllib.request import getproxies, proxy_bypass

        proxies = getproxies()
        proxy = proxies.get(self.scheme) or proxies.get("all")
        self._proxy = proxy if proxy and not proxy_bypass(f"{self.host}:{self.port}") else None
        host, port, login = self.host, self.port, ""
        if self._proxy:
            parts = urlsplit(self._proxy if "://" in self._proxy else "http://" + self._proxy)
            host, port = parts.hostname or "", parts.port or 80
            if parts.username:
                from base64 import b64encode

                pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
                login = "Basic " + b64encode(pair.encode()).decode("ascii")
        connection: HTTPConnection
        if self.scheme == "https":
            connection = HTTPSConnection(host, port, timeout=timeout, context=self._tls())
            if self._proxy:
                headers = {"Proxy-Authorization": login} if login else {}
                connection.set_tunnel(self.host, self.port, headers)
        else:
            connection = HTTPConnection(host, port, timeout=timeout)
        connection.connect()
        return _Wire(connection.sock, login if self.scheme == "http" else "")

    def _tls(self) -> ssl.SSLContext:
        import ssl

        trusted = _variable("MLFLOW_TRACKING_SERVER_CERT_PATH")
        own = _variable("MLFLOW_TRACKING_CLIENT_CERT_PATH")
        place = {"capath" if os.path.isdir(trusted) else "cafile": trusted} if trusted else {}
        try:
            context = ssl.create_default_context(**place)  # type: ignore[arg-type]
        except (OSError, ssl.SSLError) as error:
            raise _invalid(f"MLFLOW_TRACKING_SERVER_CERT_PATH: {trusted} holds no certificates ({error}).") from None
        if _flag("MLFLOW_TRACKING_INSECURE_TLS"):
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if own:
            try:
                context.load_cert_chain(own)
            except (OSError, ssl.SSLError) as error:
                raise _invalid(
                    f"MLFLOW_TRACKING_CLIENT_CERT_PATH: {own} is not a certificate with its key in PEM ({error})."
                ) from None
        return context

    def send(
        self, method: str, path: str, body: bytes = b"", kind: str = "", source: Optional[_Source] = None,
        sink: Optional[_Sink] = None, headers: Optional[Mapping[str, str]] = None, timeout: Optional[float] = None,
    ) -> _Reply:
        """The answer to a request, whatever its status; failures that pass are waited for. ``Unreachable`` if none.

        ``path`` is below the server's own address, prefix included, and quoted.
        """
        self._read_settings()
        extra = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
        if method not in ("GET", "HEAD", "DELETE") or body:
            extra += f"Content-Length: {source.size if source else len(body)}\r\n"
            extra += f"Content-Type: {kind}\r\n" if kind else ""
        start = b" HTTP/1.1\r\n" + self._common + extra.encode("latin-1")
        tries = 0
        most = 0 if time.monotonic() - self._gone < 30 else self.retries if self.patient else min(self.retries, 1)
        while True:
            wait = -1.0
            # What a sink has already is not asked for again when the connection breaks.
            tail = start + (sink.wanted() if sink else b"") + b"\r\n"
            try:
                reply = self._once(method, path, tail, body, source, sink, timeout or self.timeout)
                self.answered, self._gone = True, -1e9
                limit = self.retries if self.patient or reply.status not in _GATEWAY else 1
                if reply.status not in _PASSING or tries >= limit:
                    return reply
                wait = self._asked_pause(reply)
            except OSError as error:
                sentence, passing = _why(self, error)
                if not passing or tries >= most:
                    self._gone = time.monotonic() if passing else self._gone
                    raise Unreachable(sentence) from error
                if tries == 1:
                    print(f"trackd: {sentence} Trying again.", file=sys.stderr, flush=True)
            time.sleep(wait if wait >= 0 else self._pause(tries))
            tries += 1

    def _pause(self, tries: int) -> float:
        """Seconds before the next try: none after the first failure, then twice as long each time (as MLflow)."""
        if not tries:
            return 0.0
        factor = _amount("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", 2)
        jitter = _amount("MLFLOW_HTTP_REQUEST_BACKOFF_JITTER", 1.0)
        return float(min(factor * 2.0**tries, 120.0) + jitter * int.from_bytes(os.urandom(2), "big") / 65536)

    def _asked_pause(self, reply: _Reply) -> float:
        """What the server asks for in Retry-After, -1 if nothing."""
        asked = reply.headers.get("retry-after", "")
        if not asked.isdigit() or not _flag("MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER", True):
            return -1.0
        return min(float(asked), 600.0)

    def _once(
        self, method: str, path: str, tail: bytes, body: bytes, source: Optional[_Source], sink: Optional[_Sink],
        timeout: Optional[float],
    ) -> _Reply:
        """One try. A connection that had been closed while nobody used it does not count as one."""
        while True:
            with self._lock:
                wire = self._free.pop() if self._free else None
            if wire is None:
                wire = self._connect(timeout)
            target = self.address + path if self._proxy and self.scheme == "http" else path
            head = f"{method} {target}".encode("ascii") + tail
            if wire.proxy_login:
                head = head[:-2] + f"Proxy-Authorization: {wire.proxy_login}\r\n\r\n".encode("latin-1")
            try:
                if timeout != wire.sock.gettimeout():
                    wire.sock.settimeout(timeout)
                reply, keep = wire.exchange(head, body, source, sink)
            except _Ended as error:
                wire.close()
                if error.unsent:
                    continue
                raise
            except BaseException:
                wire.close()
                raise
            if keep:
                with self._lock:
                    self._free.append(wire)
            else:
                wire.close()
            return reply

    def log_points(self, run_id: str, points: Sequence[str]) -> None:
        """Log points of metrics, at most 1,000, each as JSON."""
        if len(points) == 1:
            self.call("POST", "runs/log-metric", f'{{"run_id":"{run_id}",{points[0][1:]}')
        else:
            self.call("POST", "runs/log-batch", f'{{"run_id":"{run_id}","metrics":[{",".join(points)}]}}')

    def put_file(self, run_id: str, location: str, path: str, local: str) -> None:
        """Send a file to ``path`` below a run's artifact location."""
        _open_artifacts(location, self).put(path, local)

    def call(self, method: str, route: str, body: Any = None) -> Dict[str, Any]:
        """The JSON that an endpoint answers. ``route`` is below /api/2.0/mlflow/, or a whole path; ``body`` a dict or
        JSON text. A status other than 200 is a ``RestException`` or a sentence about what is wrong with the address.
        """
        path = self.prefix + (route if route.startswith("/") else _API + route)
        data = b""
        if method == "GET":
            query = urlencode({key: value for key, value in (body or {}).items() if value is not None}, doseq=True)
            path += "?" + query if query else ""
        else:
            data = (body if isinstance(body, str) else json.dumps(body or {})).encode("utf-8")
        reply = self.send(method, path, data, "application/json")
        if reply.status == 200:
            try:
                found = json.loads(reply.data) if reply.data else {}
            except ValueError:
                found = None
            if isinstance(found, dict):
                return found
        raise _refused(self, reply)


def _refused(server: _Server, reply: _Reply) -> MlflowException:
    """The error for an answer that is none of the wanted ones."""
    try:
        found = json.loads(reply.data)
    except ValueError:
        found = None
    if isinstance(found, dict) and "error_code" in found:
        return RestException(found)
    text = reply.data[:2000].decode("utf-8", "replace")
    status, where = reply.status, server.uri
    if status == 401:
        told = "Authorization" in server._headers
        return MlflowException(
            f"{where} refuses the user name and password or token (401): correct MLFLOW_TRACKING_USERNAME and "
            "MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN." if told else
            f"{where} asks who you are (401): set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or "
            "MLFLOW_TRACKING_TOKEN.", "UNAUTHENTICATED",
        )
    if status == 407:
        return MlflowException("The proxy asks who you are (407): put user:password@ into HTTP_PROXY or HTTPS_PROXY.")
    if "SSL certificate" in text:
        wanted = "another certificate than the one in" if _variable("MLFLOW_TRACKING_CLIENT_CERT_PATH") else "one: set"
        return MlflowException(
            f"{where} asks for a client certificate, {wanted} MLFLOW_TRACKING_CLIENT_CERT_PATH (a PEM file with "
            "certificate and key).", "UNAUTHENTICATED",
        )
    if "HTTPS port" in text or "HTTPS scheme" in text:
        return MlflowException(f"{where} speaks TLS: write https:// instead of http:// in MLFLOW_TRACKING_URI.")
    if status == 403:
        return MlflowException(f"{where} does not allow this (403): {_plain(text)}.", "PERMISSION_DENIED")
    if status == 413:
        return MlflowException(f"{where} takes no request that large (413): a proxy's client_max_body_size, perhaps.")
    if status in _GATEWAY:
        return Unreachable(f"{where} answers {status}: the proxy there does not reach the server behind it; start it.")
    if status in (200, 301, 302, 303, 307, 308, 404, 405):
        code = "ENDPOINT_NOT_FOUND" if status in (404, 405) else "INTERNAL_ERROR"
        more = f" (it sends you to {reply.headers['location']})" if "location" in reply.headers else ""
        return MlflowException(
            f"{where} answers, but not as an MLflow server does (status {status}){more}: check MLFLOW_TRACKING_URI, "
            "its path too.", code,
        )
    return MlflowException(f"{where} answers {status}: {_plain(text)}.")


def _plain(text: str) -> str:
    """The words of an HTML or plain answer, on one line."""
    words = " ".join(re.sub(r"<(head|style|script).*?</\1>|<[^>]*>", " ", text, flags=re.S).split())
    return words[:200].rstrip(".") or "no reason given"


def _why(server: _Server, error: OSError) -> Tuple[str, bool]:
    """A sentence for what the system says about a connection, and whether it can be otherwise in a moment."""
    import socket
    import ssl

    where = server.uri + (f" through the proxy {server._proxy}" if server._proxy else "")
    check = "check MLFLOW_TRACKING_URI"
    if isinstance(error, ssl.SSLCertVerificationError):
        trusted = _variable("MLFLOW_TRACKING_SERVER_CERT_PATH")
        do = (
            f"it is not signed by what is in {trusted}, correct MLFLOW_TRACKING_SERVER_CERT_PATH" if trusted else
            "set MLFLOW_TRACKING_SERVER_CERT_PATH to the file with the certificate that signed it"
        )
        return f"The certificate of {where} is not trusted ({error.verify_message}): {do}.", False
    if isinstance(error, ssl.SSLError):
        if "WRONG_VERSION" in str(error) or "RECORD_LAYER" in str(error) or "UNEXPECTED_MESSAGE" in str(error):
            return f"{where} does not speak TLS: write http:// instead of https:// in MLFLOW_TRACKING_URI.", False
        if "ALERT" in str(error) or "CERTIFICATE" in str(error):
            return (
                f"{where} refuses the client's certificate ({error.reason}): set MLFLOW_TRACKING_CLIENT_CERT_PATH to "
                "a PEM file with a certificate that it knows, and the key.", False,
            )
        return f"TLS with {where} failed: {error.reason or error}.", True
    if isinstance(error, _NotHttp):
        hint = " It looks like TLS: write https://." if str(error).startswith("\x15\x03") else ""
        return f"{where} does not speak HTTP (it says {str(error)!r}); {check}.{hint}", False
    if isinstance(error, socket.gaierror):
        passing = error.errno == getattr(socket, "EAI_AGAIN", None) and server.answered
        return f"The host name in {where} is not known; {check}.", passing
    if isinstance(error, socket.timeout):
        return f"{where} has not answered in {server.timeout:g} s; is it up, and is nothing in between?", True
    if isinstance(error, ConnectionRefusedError):
        return f"Nothing listens at {where} (connection refused): start the server, or {check}.", True
    if isinstance(error, _Ended):
        return f"{where} closed the connection before it had answered.", True
    return f"{where} cannot be reached: {error.strerror or error}; {check}.", True


def _credentials_file() -> Tuple[str, str]:
    """User name and password of ~/.mlflow/credentials, empty where it has none."""
    path = os.path.expanduser("~/.mlflow/credentials")
    if not os.path.exists(path):
        return "", ""
    from configparser import ConfigParser
    from configparser import Error as Malformed

    parser = ConfigParser(interpolation=None)
    try:
        parser.read(path, encoding="utf-8")
    except (OSError, Malformed, UnicodeDecodeError) as error:
        raise _invalid(f"{path} cannot be read: {error}") from None
    names = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")
    user, password = (parser.get("mlflow", name.lower(), fallback="") for name in names)
    return user, password


# -- without a network ------------------------------------------------------------------------------------------------

#: Which requests a spool takes: what is logged, and what comes before it.
_SPOOLED = frozenset((
    "runs/create", "runs/update", "runs/delete", "runs/restore", "runs/log-parameter", "runs/log-metric",
    "runs/log-batch", "runs/set-tag", "runs/delete-tag", "runs/log-inputs", "runs/outputs", "experiments/create",
    "experiments/set-experiment-tag", "experiments/delete-experiment-tag",
))
#: What a spool answers of itself, so that a script can start.
_ANSWERED = frozenset(("runs/get", "experiments/get", "experiments/get-by-name"))
#: In front of the name of an experiment, as the id that it has until it is known at the server.
_BY_NAME = "spool:"


class _Spool:
    """A folder that takes what is logged, for ``trackd sync`` to send later.

    Each process appends to a file of its own, ``<milliseconds>-<host>-<pid>-<random>.jsonl``, one line per event and
    one system call per line: a killed script loses nothing, a power failure at most the last second. A line is a point
    of a metric, exactly as the API takes it, or a list: ``["run", id]`` says whose points follow, ``["call", method,
    route, body]`` is a request, ``["file", id, path]`` a file in ``artifacts/<id>/``; first is ``["spool", about]``.
    """

    def __init__(self, folder: str, server: str = "") -> None:
        self.folder = os.path.abspath(os.path.expanduser(folder))
        self.uri = "spool:" + self.folder
        self.runs: Dict[str, Dict[str, Any]] = {}
        self._server = server
        self._lock = threading.Lock()
        self._file = -1
        self._whose = ""
        self._synced = 0.0
        self._torn = False

    def close(self) -> None:
        """Let go of the file; a later write begins another one."""
        with self._lock:
            if self._file >= 0:
                os.close(self._file)
            self._file, self._whose = -1, ""

    def _open(self) -> None:
        import socket

        host = re.sub(r"[^\w.-]", "_", socket.gethostname()) or "host"
        os.makedirs(self.folder, exist_ok=True)
        name = f"{_now():013d}-{host}-{os.getpid()}-{os.urandom(4).hex()}.jsonl"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | getattr(os, "O_CLOEXEC", 0)
        self._file = os.open(os.path.join(self.folder, name), flags | getattr(os, "O_BINARY", 0), 0o666)
        about = {"version": 1, "host": host, "pid": os.getpid(), "server": self._server, "time": _now()}
        os.write(self._file, (json.dumps(["spool", about]) + "\n").encode("ascii"))

    def _write(self, text: str, run_id: str = "", sync: bool = False) -> None:
        """Append whole lines, after the one that says whose points they are."""
        with self._lock:
            try:
                if self._file < 0:
                    self._open()
                if run_id and run_id != self._whose:
                    text = f'["run","{run_id}"]\n{text}'
                data = text.encode("utf-8")
                if self._torn:
                    data = b"\n" + data
                if os.write(self._file, data) < len(data):
                    self._torn, self._whose = True, ""
                    raise OSError(0, "no room is left")
                self._torn = False
                if run_id:
                    self._whose = run_id
                now = time.monotonic()
                if sync or now - self._synced > 1.0:
                    self._synced = now
                    os.fsync(self._file)
            except OSError as error:
                raise MlflowException(
                    f"The spool {self.folder} cannot be written: {error.strerror or error}; make room or set another "
                    "folder."
                ) from error

    def log_points(self, run_id: str, points: Sequence[str]) -> None:
        """Append points of metrics, each as JSON."""
        self._write(points[0] + "\n" if len(points) == 1 else "\n".join(points) + "\n", run_id)

    def call(self, method: str, route: str, body: Any = None) -> Dict[str, Any]:
        """Take a request that writes; answer what a script needs to go on. Other requests need the server."""
        body = dict(json.loads(body) if isinstance(body, str) else body or {})
        if route in _ANSWERED:
            return self._answer(route, body)
        if route not in _SPOOLED:
            raise MlflowException(
                f"{route} needs a server: the spool {self.folder} takes what is logged, nothing else. Send it with "
                "trackd sync, then ask the server.", "NOT_IMPLEMENTED",
            )
        reply: Dict[str, Any] = {}
        if route == "runs/create":
            reply = {"run": self._new_run(body)}
        elif route == "experiments/create":
            reply = {"experiment_id": _BY_NAME + body["name"]}
        elif route == "runs/update" and body.get("run_id") in self.runs:
            info = self.runs[body["run_id"]]["info"]
            info.update({name: body[name] for name in ("status", "end_time", "run_name") if body.get(name)})
        run_id, points = body.get("run_id", ""), body.pop("metrics", None)
        if points:
            self.log_points(run_id, [json.dumps(each, separators=(",", ":")) for each in points])
        if not points or body.get("params") or body.get("tags"):
            line = json.dumps(["call", method, route, body], separators=(",", ":"))
            self._write(line + "\n", sync=route in ("runs/create", "runs/update"))
        return reply

    def _new_run(self, body: Dict[str, Any]) -> Dict[str, Any]:
        """The run that a request to create one makes; its id and name go into the request too, to be kept."""
        tags = _pairs(body.get("tags"))
        run_id = body.setdefault("run_id", _new_id())
        name = body.get("run_name") or tags.get("mlflow.runName") or f"offline-{run_id[:8]}"
        body["run_name"] = tags["mlflow.runName"] = name
        info = {
            "run_id": run_id, "experiment_id": body.get("experiment_id", "0"), "user_id": body.get("user_id", ""),
            "status": "RUNNING", "start_time": body.get("start_time", 0), "lifecycle_stage": "active",
            "artifact_uri": self._artifacts(run_id), "run_name": name,
        }
        made = {"info": info, "data": {"tags": [{"key": key, "value": value} for key, value in tags.items()]}}
        self.runs[run_id] = made
        return made

    def _artifacts(self, run_id: str) -> str:
        from urllib.request import pathname2url

        return "file:" + pathname2url(os.path.join(self.folder, "artifacts", run_id))

    def _answer(self, route: str, body: Mapping[str, Any]) -> Dict[str, Any]:
        if route == "runs/get":
            run = self.runs.get(body["run_id"]) or self._find(body["run_id"])
            if run is None:
                raise MlflowException(
                    f"The spool {self.folder} has no run {body['run_id']}; what only the server has needs the server.",
                    "RESOURCE_DOES_NOT_EXIST",
                )
            return {"run": run}
        name = body.get("experiment_name") or body["experiment_id"]
        name = name[len(_BY_NAME) :] if name.startswith(_BY_NAME) else name
        number = name if name.isdigit() and "experiment_id" in body else _BY_NAME + name
        return {"experiment": {"experiment_id": number, "name": "Default" if number == "0" else name}}

    def _find(self, run_id: str) -> Optional[Dict[str, Any]]:
        """A run that another process began in this folder."""
        for name in sorted(os.listdir(self.folder)) if os.path.isdir(self.folder) else ():
            if name.endswith(".jsonl"):
                with open(os.path.join(self.folder, name), encoding="utf-8", errors="replace") as file:
                    for line in file:
                        if line.startswith('["call","POST","runs/create"') and run_id in line and line.endswith("\n"):
                            body = json.loads(line)[3]
                            if body["run_id"] == run_id:
                                return self._new_run(body)
        return None

    def put_file(self, run_id: str, location: str, path: str, local: str) -> None:
        """Keep a copy of a file that was logged to ``path`` of a run."""
        try:
            _Folder(os.path.join(self.folder, "artifacts", run_id)).put(path, local)
        except OSError as error:
            raise MlflowException(f"The spool {self.folder} cannot be written: {error.strerror or error}.") from error
        self._write(json.dumps(["file", run_id, path], separators=(",", ":")) + "\n", sync=True)


class _Fallback:
    """A server with a spool beside it, for ``TRACKD_SPOOL``: what the server cannot be told goes to the spool.

    A run whose events went there once stays there until it ends, so that their order is kept.
    """

    #: Seconds for which a server that was gone is not asked again.
    REST = 30.0

    def __init__(self, server: _Server, spool: _Spool) -> None:
        self.server, self.spool, self.uri = server, spool, server.uri
        self._spooled: Dict[str, None] = {}
        self._down_until = 0.0
        self._told = False

    def close(self) -> None:
        """Let go of connections and of the file."""
        self.server.close()
        self.spool.close()

    def _either(self, run_id: str, online: Callable[[], Any], offline: Callable[[], Any]) -> Any:
        if run_id in self._spooled or run_id in self.spool.runs:
            return offline()
        if time.monotonic() >= self._down_until:
            try:
                return online()
            except Unreachable as error:
                self._down_until = time.monotonic() + self.REST
                if not self._told:
                    self._told = True
                    print(
                        f"trackd: {error.message} What is logged goes to {self.spool.folder}; send it later: "
                        f"trackd sync {self.spool.folder} {self.uri}", file=sys.stderr, flush=True,
                    )
        reply = offline()
        if run_id:
            self._spooled[run_id] = None
        return reply

    def call(self, method: str, route: str, body: Any = None) -> Dict[str, Any]:
        """Ask the server or, where that fails and a spool can take it, the spool."""
        self.server.patient = route not in _SPOOLED and route not in _ANSWERED
        if self.server.patient:
            return self.server.call(method, route, body)
        given = json.loads(body) if isinstance(body, str) else body or {}
        if str(given.get("experiment_id", "")).startswith(_BY_NAME):
            return self.spool.call(method, route, given)
        run_id = given.get("run_id", "") if route in _SPOOLED else ""
        reply: Dict[str, Any] = self._either(
            run_id, lambda: self.server.call(method, route, body), lambda: self.spool.call(method, route, given)
        )
        return reply

    def log_points(self, run_id: str, points: Sequence[str]) -> None:
        """Log points of metrics to the server or the spool."""
        self.server.patient = False
        self._either(
            run_id, lambda: self.server.log_points(run_id, points), lambda: self.spool.log_points(run_id, points)
        )

    def put_file(self, run_id: str, location: str, path: str, local: str) -> None:
        """Send a file to the server, or keep a copy in the spool."""
        self.server.patient = False
        self._either(
            run_id, lambda: self.server.put_file(run_id, location, path, local),
            lambda: self.spool.put_file(run_id, location, path, local),
        )


if TYPE_CHECKING:
    from typing import Union

    _Target = Union[_Server, _Spool, _Fallback]

_targets: Dict[Tuple[str, str], _Target] = {}


def _target(uri: str) -> _Target:
    """What takes requests for a tracking URI; one for all threads and clients."""
    spool = _variable("TRACKD_SPOOL")
    found = _targets.get((uri, spool))
    if found is None:
        if uri.startswith("spool:"):
            folder = uri[len("spool:") :]
            if not folder:
                raise _invalid("spool: needs a folder, as in spool:/scratch/me/spool.")
            found = _Spool(folder[2:] if folder.startswith("///") else folder)
        else:
            server = _Server(uri)
            found = _Fallback(server, _Spool(spool, server.uri)) if spool else server
        found = _targets.setdefault((uri, spool), found)
    return found


# -- sending in the background ----------------------------------------------------------------------------------------

#: Items in one request (the API's limit), of them params and tags each.
_MOST, _MOST_PAIRS = 1000, 100
#: Items that may wait; whoever adds more waits for the server. Some 50 MB.
_MOST_WAITING = 200_000


class RunOperations:
    """What has been handed to the background; ``wait`` returns when the server has it."""

    __slots__ = ("_queue", "_number")

    def __init__(self, queue: _Queue, number: int) -> None:
        self._queue, self._number = queue, number

    def wait(self) -> None:
        """Wait until it is logged; raises what went wrong since the last wait."""
        self._queue.flush(self._number)


class _Queue:
    """Sends what was logged with ``synchronous=False``, in order, in requests as full as they come."""

    def __init__(self, target: _Target) -> None:
        self._target = target
        self._items: Deque[Tuple[str, str, str]] = deque()
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._added = self._done = 0
        self._asleep = False
        self._thread: Optional[threading.Thread] = None
        self._error: Optional[MlflowException] = None

    def add(self, run_id: str, kind: str, items: Sequence[str]) -> RunOperations:
        """Hand over items, each as JSON; ``kind`` is metrics, params or tags."""
        with self._lock:
            for item in items:
                self._items.append((run_id, kind, item))
            self._added += len(items)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="trackd-client", daemon=True)
                self._thread.start()
            elif self._asleep:
                self._changed.notify_all()
            elif len(self._items) > _MOST_WAITING:
                while len(self._items) > _MOST_WAITING // 2:
                    self._changed.wait()
            return RunOperations(self, self._added)

    def _work(self) -> None:
        while True:
            with self._lock:
                while not self._items:
                    self._asleep = True
                    self._changed.wait()
                self._asleep = False
                run_id, batch, size = self._take()
            error = None
            try:
                self._send(run_id, batch)
            except MlflowException as failure:
                error = failure
            except Exception as failure:
                error = MlflowException(f"{type(failure).__name__}: {failure}")
            with self._lock:
                self._error = self._error or error
                self._done += size
                self._changed.notify_all()

    def _take(self) -> Tuple[str, Dict[str, List[str]], int]:
        """The next items that go into one request."""
        items = self._items
        run_id, batch = items[0][0], {"metrics": [], "params": [], "tags": []}  # type: Tuple[str, Dict[str, List[str]]]
        size = 0
        while items and size < _MOST and items[0][0] == run_id:
            kind = items[0][1]
            if kind != "metrics" and len(batch[kind]) == _MOST_PAIRS:
                break
            batch[kind].append(items.popleft()[2])
            size += 1
        return run_id, batch, size

    def _send(self, run_id: str, batch: Dict[str, List[str]]) -> None:
        if not batch["params"] and not batch["tags"]:
            self._target.log_points(run_id, batch["metrics"])
            return
        lists = "".join(f',"{kind}":[{",".join(items)}]' for kind, items in batch.items() if items)
        self._target.call("POST", "runs/log-batch", f'{{"run_id":"{run_id}"{lists}}}')

    def flush(self, number: Optional[int] = None) -> None:
        """Wait until everything (or the first ``number`` items) is logged; raises what went wrong, once."""
        with self._lock:
            goal = self._added if number is None else number
            while self._done < goal:
                self._changed.wait()
            error, self._error = self._error, None
        if error is not None:
            raise MlflowException(f"Logging in the background failed: {error.message}", error.error_code) from error


_queues: Dict[int, _Queue] = {}


def _queue(target: _Target) -> _Queue:
    found = _queues.get(id(target))
    return found if found is not None else _queues.setdefault(id(target), _Queue(target))


#: Counts forks.
_process = [0]


def _forget_parent() -> None:
    """In a forked child: connections, files and threads are the parent's."""
    _process[0] += 1
    _targets.clear()
    _queues.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_parent)


# -- artifacts --------------------------------------------------------------------------------------------------------


class _Folder:
    """Artifacts in a folder of this host."""

    def __init__(self, root: str) -> None:
        self.root = root

    def _path(self, path: str) -> str:
        parts = [part for part in path.split("/") if part]
        if ".." in parts:
            raise _invalid(f"The artifact path {path!r} may not have '..' in it.")
        return os.path.join(self.root, *parts)

    def put(self, path: str, local: str) -> None:
        """Copy a file in; it appears when it is whole."""
        from shutil import copyfile

        place = self._path(path)
        os.makedirs(os.path.dirname(place), exist_ok=True)
        temporary = f"{place}.{os.urandom(4).hex()}.part"
        try:
            copyfile(local, temporary)
            os.replace(temporary, place)
        finally:
            if os.path.exists(temporary):
                os.remove(temporary)

    def list(self, path: str) -> List[FileInfo]:
        """What lies in a folder, by name; nothing for a file."""
        place = self._path(path)
        found = []
        for name in sorted(os.listdir(place)) if os.path.isdir(place) else ():
            inner, full = f"{path}/{name}" if path else name, os.path.join(place, name)
            is_dir = os.path.isdir(full)
            found.append(FileInfo(inner, is_dir, None if is_dir else os.path.getsize(full)))
        return found

    def get(self, path: str, local: str) -> None:
        """Copy a file out."""
        from shutil import copyfile

        try:
            copyfile(self._path(path), local)
        except FileNotFoundError:
            raise _no_artifact(path) from None


def _no_artifact(path: str) -> MlflowException:
    return MlflowException(f"There is no artifact {path!r}.", "RESOURCE_DOES_NOT_EXIST")


class _Proxied:
    """Artifacts that a server passes on: ``mlflow-artifacts:`` locations."""

    def __init__(self, server: _Server, root: str) -> None:
        self.server, self.root = server, root.strip("/")

    def _inner(self, path: str) -> str:
        return quote("/".join(part for part in (self.root, path.strip("/")) if part))

    def put(self, path: str, local: str) -> None:
        """Send a file; a large one in parts, where the server takes parts: each is repeated by itself."""
        size = os.path.getsize(local)
        bar = _Bar(path, size)
        if size >= _amount("MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE", 500 << 20) and self._takes_parts():
            self._put_parts(path, local, size, bar)
            return
        source = _Source(local, 0, size, bar)
        self._checked("PUT", f"{_FILES}artifacts/{self._inner(path)}", source=source, kind=_type(path))

    def _checked(self, method: str, path: str, **given: Any) -> _Reply:
        timeout = _amount("MLFLOW_ARTIFACT_UPLOAD_DOWNLOAD_TIMEOUT", 0) or None
        reply = self.server.send(method, self.server.prefix + path, timeout=timeout, **given)
        if reply.status not in (200, 201, 204, 206):
            raise _refused(self.server, reply)
        return reply

    def _takes_parts(self) -> bool:
        try:
            about = self.server.call("GET", "/api/3.0/mlflow/server-info")
        except Unreachable:
            raise
        except MlflowException:
            return False
        return bool(about.get("multipart_uploads_enabled"))

    def _put_parts(self, path: str, local: str, size: int, bar: _Bar) -> None:
        """Upload in parts. The server names an address for each; what it answers to each makes the file whole.

        An upload that broke off goes on: parts that are at the server already (trackd lists them) are not sent again.
        """
        part = max(int(_amount("MLFLOW_MULTIPART_UPLOAD_CHUNK_SIZE", 10 << 20)), 1)
        count = (size + part - 1) // part
        inner, name = self._inner(path.rpartition("/")[0]), path.rpartition("/")[2]
        upload_id, missing, done = self._unfinished(inner, name, local, part, count)
        if not upload_id:
            begun = self.server.call("POST", f"{_FILES}mpu/create/{inner}", {"path": name, "num_parts": count})
            upload_id, missing = begun["upload_id"], begun["credentials"]
        body: Dict[str, Any] = {"path": name, "upload_id": upload_id}
        try:
            for each in missing:
                start = (int(each["part_number"]) - 1) * part
                source = _Source(local, start, min(part, size - start), bar)
                etag = self._put_part(each["url"], source, each.get("headers") or {})
                done.append({"part_number": int(each["part_number"]), "etag": etag, "url": each["url"]})
            body["parts"] = sorted(done, key=lambda each: int(each["part_number"]))
            self.server.call("POST", f"{_FILES}mpu/complete/{inner}", body)
        except Unreachable:
            raise
        except MlflowException:
            self.server.call("POST", f"{_FILES}mpu/abort/{inner}", {"path": name, "upload_id": upload_id})
            raise

    def _unfinished(
        self, inner: str, name: str, local: str, part: int, count: int
    ) -> Tuple[str, List[Dict[str, Any]], List[Dict[str, Any]]]:
        """An upload of this very file that broke off: its id, the parts that are missing, and those that are there."""
        try:
            found = self.server.call("GET", f"{_FILES}mpu/parts/{inner}", {"path": name}).get("uploads") or ()
        except Unreachable:
            raise
        except MlflowException:
            return "", [], []
        for upload in found:
            there = upload.get("parts") or []
            if int(upload["num_parts"]) == count and there and all(_is_part(local, part, each) for each in there):
                done = [{"part_number": each["part_number"], "etag": each["etag"], "url": ""} for each in there]
                return upload["upload_id"], upload.get("credentials") or [], done
        return "", [], []

    def _put_part(self, url: str, source: _Source, headers: Mapping[str, str]) -> str:
        parts = urlsplit(url)
        server = self.server
        if parts.netloc and f"{parts.scheme}://{parts.netloc}" != server.address:
            server = _Server(f"{parts.scheme}://{parts.netloc}")
        reply = server.send("PUT", url[url.index(parts.path) :], source=source, headers=headers)
        if reply.status not in (200, 201, 204):
            raise _refused(server, reply)
        return reply.headers.get("etag", "")

    def list(self, path: str) -> List[FileInfo]:
        """What lies in a folder, by name; nothing for a file."""
        inner = unquote(self._inner(path))
        found = self.server.call("GET", f"{_FILES}artifacts", {"path": inner} if inner else {})
        return [
            FileInfo(f"{path}/{each['path']}" if path else each["path"], bool(each.get("is_dir")),
                     None if each.get("is_dir") else int(each.get("file_size", 0)))
            for each in found.get("files", ())
        ]

    def get(self, path: str, local: str) -> None:
        """Fetch a file; a broken connection goes on where it broke, if the server can do that."""
        sink = _Download(path, local)
        target = f"{_FILES}artifacts/{self._inner(path)}"
        try:
            self._checked("GET", target, sink=sink)
            sink.keep()
        except MlflowException as error:
            sink.drop()
            if error.get_http_status_code() == 404:
                raise _no_artifact(path) from None
            raise


def _is_part(local: str, size: int, part: Mapping[str, Any]) -> bool:
    """Whether a part at the server has the bytes of this file: its ETag is their CRC-32 and number, or their MD5."""
    from hashlib import md5
    from zlib import crc32

    with open(local, "rb") as file:
        file.seek((int(part["part_number"]) - 1) * size)
        data = file.read(size)
    etag = str(part["etag"]).strip('"')
    return etag in (f"{crc32(data):08x}-{len(data):x}", md5(data).hexdigest())


class _Download(_Sink):
    """Writes a body to a file beside its place, which gets its name when it is whole."""

    def __init__(self, name: str, local: str) -> None:
        self.local, self.temporary = local, f"{local}.{os.urandom(4).hex()}.part"
        self.name = name
        self.size, self.etag = 0, ""
        self.file: BinaryIO = open(self.temporary, "wb")
        self.bar = _Bar(name, 0)

    def wanted(self) -> bytes:
        if not self.size or not self.etag:
            return b""
        return f"Range: bytes={self.size}-\r\nIf-Range: {self.etag}\r\n".encode("latin-1")

    def begin(self, status: int, headers: Dict[str, str]) -> None:
        if status == 200:
            self.file.seek(0)
            self.file.truncate()
            self.size, self.etag = 0, headers.get("etag", "")
        length = headers.get("content-length", "")
        self.bar = _Bar(self.name, self.size + int(length) if length.isdigit() else 0)

    def add(self, block: bytes) -> None:
        self.file.write(block)
        self.size += len(block)
        self.bar.at(self.size)

    def keep(self) -> None:
        """The file is whole."""
        self.file.close()
        os.replace(self.temporary, self.local)

    def drop(self) -> None:
        """It will not be."""
        self.file.close()
        os.remove(self.temporary)


def _type(path: str) -> str:
    from mimetypes import guess_type

    return guess_type(path)[0] or "application/octet-stream"


if TYPE_CHECKING:
    _Artifacts = Union[_Folder, _Proxied]


def _open_artifacts(location: str, target: _Target) -> _Artifacts:
    """What keeps the artifacts of a location: the server, another server, or a folder of this host."""
    from urllib.request import url2pathname

    parts = urlsplit(location)
    if parts.scheme in ("mlflow-artifacts", "http", "https"):
        server = target.server if isinstance(target, _Fallback) else target
        root = parts.path
        if parts.netloc:
            scheme = parts.scheme if parts.scheme != "mlflow-artifacts" else "http"
            if isinstance(server, _Server) and parts.scheme == "mlflow-artifacts":
                scheme = server.scheme
            start = root.find(f"{_FILES}artifacts")
            prefix = root[:start] if start >= 0 else ""
            root = root[start + len(f"{_FILES}artifacts") :] if start >= 0 else root
            server = _Server(f"{scheme}://{parts.netloc}{prefix}")
        if not isinstance(server, _Server):
            raise MlflowException(f"The artifacts at {location} need a server; only a spool is set.")
        return _Proxied(server, unquote(root))
    if parts.scheme in ("", "file") or (os.name == "nt" and len(parts.scheme) == 1):
        return _Folder(url2pathname(parts.path) if parts.scheme == "file" else location)
    raise MlflowException(
        f"The artifacts of this run lie at {location}, which this client cannot write by itself; start the server with "
        "--serve-artifacts, so that it passes them on.", "NOT_IMPLEMENTED",
    )


# -- the client -------------------------------------------------------------------------------------------------------

_USER, _SOURCE, _SOURCE_TYPE = "mlflow.user", "mlflow.source.name", "mlflow.source.type"
_COMMIT = "mlflow.source.git.commit"
_NAME, _PARENT, _NOTE = "mlflow.runName", "mlflow.parentRunId", "mlflow.note.content"
_TABLES, _IMAGES = "mlflow.loggedArtifacts", "mlflow.loggedImages"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else str(value)


def _tag_list(tags: Optional[Mapping[str, Any]]) -> List[Dict[str, str]]:
    return [{"key": key, "value": _text(value)} for key, value in (tags or {}).items()]


def _pair(key: str, value: Any) -> str:
    return f'{{"key":{_quoted_key(key)},"value":{json.dumps(_text(value))}}}'


def _is_sync(synchronous: Optional[bool]) -> bool:
    return not _flag("MLFLOW_ENABLE_ASYNC_LOGGING") if synchronous is None else synchronous


class Client:
    """The words of ``mlflow.MlflowClient``: experiments, runs and what is logged to them, artifacts, models.

    ``tracking_uri`` is a server (``http://host:port``) or ``spool:FOLDER``; without it, what ``set_tracking_uri`` or
    the environment say. Errors are ``MlflowException``.
    """

    def __init__(self, tracking_uri: Optional[str] = None, registry_uri: Optional[str] = None) -> None:
        self.tracking_uri = str(tracking_uri or get_tracking_uri())
        self._registry_uri = registry_uri or (self.tracking_uri if tracking_uri else "")
        self._locations: Dict[str, str] = {}
        self._found: Tuple[int, Optional[_Target]] = (-1, None)

    @property
    def _to(self) -> _Target:
        """What takes the requests; looked up once: reading the environment takes longer than logging a point."""
        process, found = self._found
        if found is None or process != _process[0]:
            found = _target(self.tracking_uri)
            self._found = (_process[0], found)
        return found

    def _post(self, route: str, **body: Any) -> Dict[str, Any]:
        return self._to.call("POST", route, {name: value for name, value in body.items() if value is not None})

    def _get(self, route: str, **body: Any) -> Dict[str, Any]:
        return self._to.call("GET", route, body)

    def _registry(self, method: str, route: str, **body: Any) -> Dict[str, Any]:
        given = {name: value for name, value in body.items() if value is not None}
        return _target(self._registry_uri or get_registry_uri()).call(method, route, given)

    # Experiments.

    def create_experiment(
        self, name: str, artifact_location: Optional[str] = None, tags: Optional[Dict[str, Any]] = None
    ) -> str:
        """Create an experiment and return its id."""
        made = self._post(
            "experiments/create", name=name, artifact_location=artifact_location, tags=_tag_list(tags) or None
        )
        return str(made["experiment_id"])

    def get_experiment(self, experiment_id: str) -> Experiment:
        """The experiment with this id."""
        return _experiment(self._get("experiments/get", experiment_id=str(experiment_id))["experiment"])

    def get_experiment_by_name(self, name: str) -> Optional[Experiment]:
        """The experiment of this name, ``None`` if there is none."""
        try:
            return _experiment(self._get("experiments/get-by-name", experiment_name=name)["experiment"])
        except RestException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "NOT_FOUND"):
                return None
            raise

    def search_experiments(
        self, view_type: int = ViewType.ACTIVE_ONLY, max_results: Optional[int] = 1000,
        filter_string: Optional[str] = None, order_by: Optional[List[str]] = None, page_token: Optional[str] = None,
    ) -> PagedList:
        """A page of experiments."""
        found = self._post(
            "experiments/search", view_type=_view(view_type), max_results=max_results or 1000, filter=filter_string,
            order_by=order_by, page_token=page_token,
        )
        return PagedList(map(_experiment, found.get("experiments", ())), found.get("next_page_token"))

    def rename_experiment(self, experiment_id: str, new_name: str) -> None:
        """Give an experiment another name."""
        self._post("experiments/update", experiment_id=experiment_id, new_name=new_name)

    def delete_experiment(self, experiment_id: str) -> None:
        """Mark an experiment deleted, with its runs."""
        self._post("experiments/delete", experiment_id=experiment_id)

    def restore_experiment(self, experiment_id: str) -> None:
        """Mark a deleted experiment active."""
        self._post("experiments/restore", experiment_id=experiment_id)

    def set_experiment_tag(self, experiment_id: str, key: str, value: Any) -> None:
        """Set a tag of an experiment."""
        self._post("experiments/set-experiment-tag", experiment_id=experiment_id, key=key, value=_text(value))

    def delete_experiment_tag(self, experiment_id: str, key: str) -> None:
        """Delete a tag of an experiment."""
        self._post("experiments/delete-experiment-tag", experiment_id=experiment_id, key=key)

    # Runs.

    def create_run(
        self, experiment_id: str, start_time: Optional[int] = None, tags: Optional[Dict[str, Any]] = None,
        run_name: Optional[str] = None,
    ) -> Run:
        """Create a run, which is RUNNING. It does not become the active run; ``start_run`` does that."""
        given = dict(tags or {})
        made = self._post(
            "runs/create", experiment_id=str(experiment_id), user_id=_text(given.get(_USER, "unknown")),
            run_name=run_name, start_time=start_time or _now(), tags=_tag_list(given),
        )
        run = _run(made["run"])
        self._remember(run.info.run_id, run.info.artifact_uri)
        return run

    def _remember(self, run_id: str, location: Optional[str]) -> str:
        if len(self._locations) > 1000:
            self._locations.clear()
        self._locations[run_id] = location or ""
        return location or ""

    def get_run(self, run_id: str) -> Run:
        """A run with what was logged to it."""
        return _run(self._get("runs/get", run_id=run_id, run_uuid=run_id)["run"])

    def get_parent_run(self, run_id: str) -> Optional[Run]:
        """The run that this one is nested in."""
        parent = self.get_run(run_id).data.tags.get(_PARENT)
        return self.get_run(parent) if parent else None

    def search_runs(
        self, experiment_ids: List[str], filter_string: str = "", run_view_type: int = ViewType.ACTIVE_ONLY,
        max_results: int = 1000, order_by: Optional[List[str]] = None, page_token: Optional[str] = None,
    ) -> PagedList:
        """A page of runs."""
        ids = [experiment_ids] if isinstance(experiment_ids, (str, int)) else experiment_ids
        found = self._post(
            "runs/search", experiment_ids=[str(each) for each in ids], filter=filter_string,
            run_view_type=_view(run_view_type), max_results=max_results, order_by=order_by, page_token=page_token,
        )
        return PagedList(map(_run, found.get("runs", ())), found.get("next_page_token"))

    def update_run(self, run_id: str, status: Optional[str] = None, name: Optional[str] = None) -> None:
        """Change a run's status or name."""
        self._post("runs/update", run_id=run_id, run_uuid=run_id, status=status, run_name=name)

    def set_terminated(self, run_id: str, status: Optional[str] = None, end_time: Optional[int] = None) -> None:
        """End a run; what was logged in the background is sent first."""
        try:
            _queue(self._to).flush()
        finally:
            self._post(
                "runs/update", run_id=run_id, run_uuid=run_id, status=status or "FINISHED", end_time=end_time or _now()
            )

    def delete_run(self, run_id: str) -> None:
        """Mark a run deleted."""
        self._post("runs/delete", run_id=run_id)

    def restore_run(self, run_id: str) -> None:
        """Mark a deleted run active."""
        self._post("runs/restore", run_id=run_id)

    # What is logged to runs.

    def log_metric(
        self, run_id: str, key: str, value: float, timestamp: Optional[int] = None, step: Optional[int] = None,
        synchronous: Optional[bool] = None, dataset_name: Optional[str] = None, dataset_digest: Optional[str] = None,
        model_id: Optional[str] = None,
    ) -> Optional[RunOperations]:
        """Log one point of a metric. With ``synchronous=False`` it is sent in the background."""
        if model_id or dataset_name:
            point = _point(key, value, timestamp or _now(), step or 0, model_id, dataset_name, dataset_digest)
        else:
            point = _point(key, value, timestamp or time.time_ns() // 1_000_000, step or 0)
        if synchronous is False or not _is_sync(synchronous):
            return _queue(self._to).add(run_id, "metrics", (point,))
        self._to.log_points(run_id, (point,))
        return None

    def log_param(self, run_id: str, key: str, value: Any, synchronous: Optional[bool] = None) -> Any:
        """Log a param and return its value. A param is written once."""
        if not _is_sync(synchronous):
            return _queue(self._to).add(run_id, "params", (_pair(key, value),))
        _quoted_key(key)
        self._post("runs/log-parameter", run_id=run_id, run_uuid=run_id, key=key, value=_text(value))
        return value

    def set_tag(
        self, run_id: str, key: str, value: Any, synchronous: Optional[bool] = None
    ) -> Optional[RunOperations]:
        """Set a tag of a run."""
        if not _is_sync(synchronous):
            return _queue(self._to).add(run_id, "tags", (_pair(key, value),))
        _quoted_key(key)
        self._post("runs/set-tag", run_id=run_id, run_uuid=run_id, key=key, value=_text(value))
        return None

    def delete_tag(self, run_id: str, key: str) -> None:
        """Delete a tag of a run."""
        self._post("runs/delete-tag", run_id=run_id, key=key)

    def log_batch(
        self, run_id: str, metrics: Sequence[Metric] = (), params: Sequence[Param] = (), tags: Sequence[RunTag] = (),
        synchronous: Optional[bool] = None,
    ) -> Optional[RunOperations]:
        """Log any number of metrics, params and tags, in as few requests as the API allows."""
        points = [
            _point(m.key, m.value, m.timestamp, m.step or 0, m.model_id, m.dataset_name, m.dataset_digest)
            for m in metrics
        ]
        pairs = [_pair(each.key, each.value) for each in params]
        named = [_pair(each.key, each.value) for each in tags]
        if not _is_sync(synchronous):
            queue, made = _queue(self._to), None
            for kind, items in (("params", pairs), ("tags", named), ("metrics", points)):
                made = queue.add(run_id, kind, items) if items else made
            return made or RunOperations(queue, 0)
        for kind, items in (("params", pairs), ("tags", named)):
            for start in range(0, len(items), _MOST_PAIRS):
                part = ",".join(items[start : start + _MOST_PAIRS])
                self._to.call("POST", "runs/log-batch", f'{{"run_id":{json.dumps(run_id)},"{kind}":[{part}]}}')
        for start in range(0, len(points), _MOST):
            self._to.log_points(run_id, points[start : start + _MOST])
        return None

    def log_inputs(
        self, run_id: str, datasets: Optional[Sequence[DatasetInput]] = None,
        models: Optional[Sequence[LoggedModelInput]] = None,
    ) -> None:
        """Log the datasets and models that went into a run."""
        given = [
            {
                "dataset": {name: value for name, value in each.dataset._asdict().items() if value is not None},
                "tags": [tag._asdict() for tag in each.tags],
            }
            for each in datasets or ()
        ]
        self._post("runs/log-inputs", run_id=run_id, datasets=given, models=[each._asdict() for each in models or ()])

    def log_outputs(self, run_id: str, models: List[LoggedModelOutput]) -> None:
        """Log the models that came out of a run."""
        self._post("runs/outputs", run_id=run_id, models=[each._asdict() for each in models])

    def get_metric_history(self, run_id: str, key: str) -> PagedList:
        """All points of a metric, by timestamp."""
        return self._all(
            lambda token: self._get(
                "metrics/get-history", run_id=run_id, run_uuid=run_id, metric_key=key, max_results=25000,
                page_token=token,
            ), "metrics", _metric,
        )

    def _all(self, ask: Callable[[Optional[str]], Dict[str, Any]], name: str, make: Callable[[Any], Any]) -> PagedList:
        """The items of all pages."""
        found, token = PagedList(), None
        while True:
            page = ask(token)
            found.extend(map(make, page.get(name, ())))
            token = page.get("next_page_token")
            if not token:
                return found

    # Artifacts.

    def _location(self, run_id: str) -> str:
        return self._locations.get(run_id) or self._remember(run_id, self.get_run(run_id).info.artifact_uri)

    def _put(self, run_id: str, path: str, local: str) -> None:
        self._to.put_file(run_id, self._location(run_id), path, local)

    def log_artifact(self, run_id: str, local_path: str, artifact_path: Optional[str] = None) -> None:
        """Log a file, or a folder with everything in it, below ``artifact_path``."""
        local_path = os.fspath(local_path)
        if os.path.isdir(local_path):
            name = os.path.basename(os.path.normpath(local_path))
            self.log_artifacts(run_id, local_path, f"{artifact_path}/{name}" if artifact_path else name)
            return
        if not os.path.isfile(local_path):
            raise _invalid(f"There is no file {local_path} to log.")
        self._put(run_id, _joined(artifact_path, os.path.basename(local_path)), local_path)

    def log_artifacts(self, run_id: str, local_dir: str, artifact_path: Optional[str] = None) -> None:
        """Log what is in a folder; several files at a time."""
        local_dir = os.fspath(local_dir)
        if not os.path.isdir(local_dir):
            raise _invalid(f"There is no folder {local_dir} to log.")
        location = self._location(run_id)
        _each(_files(local_dir), lambda inner: self._to.put_file(
            run_id, location, _joined(artifact_path, inner), os.path.join(local_dir, *inner.split("/"))
        ))

    def _log_made(self, run_id: str, artifact_file: str, write: Callable[[str], object]) -> None:
        """Log a file that ``write`` makes in a temporary folder."""
        from tempfile import TemporaryDirectory

        with TemporaryDirectory() as folder:
            path = os.path.join(folder, artifact_file.rstrip("/").rsplit("/", 1)[-1])
            write(path)
            self._put(run_id, artifact_file.strip("/"), path)

    def log_text(self, run_id: str, text: str, artifact_file: str) -> None:
        """Log text as a file."""
        self._log_made(run_id, artifact_file, lambda path: _write(path, text.encode("utf-8")))

    def log_stream(self, run_id: str, stream: BinaryIO, artifact_file: str) -> None:
        """Log what a stream of bytes has to read as a file."""
        from shutil import copyfileobj

        def save(path: str) -> None:
            with open(path, "wb") as file:
                copyfileobj(stream, file)

        self._log_made(run_id, artifact_file, save)

    def log_dict(self, run_id: str, dictionary: Dict[str, Any], artifact_file: str) -> None:
        """Log a dict as JSON; as YAML where the name says so and PyYAML is installed (JSON is YAML too)."""
        text = json.dumps(dictionary, indent=2, default=_text)
        if artifact_file.endswith((".yml", ".yaml")):
            try:
                import yaml
            except ImportError:
                pass
            else:
                text = yaml.safe_dump(json.loads(text), sort_keys=False, allow_unicode=True)
        self.log_text(run_id, text, artifact_file)

    def log_figure(
        self, run_id: str, figure: Any, artifact_file: str, *, save_kwargs: Optional[Dict[str, Any]] = None
    ) -> None:
        """Log a figure of matplotlib or plotly."""
        given = save_kwargs or {}
        if hasattr(figure, "savefig"):
            self._log_made(run_id, artifact_file, lambda path: figure.savefig(path, **given))
        elif hasattr(figure, "write_html"):
            is_page = artifact_file.endswith((".html", ".htm"))
            write = figure.write_html if is_page else figure.write_image
            self._log_made(run_id, artifact_file, lambda path: write(path, **given))
        else:
            raise TypeError(f"Unsupported figure object type: {type(figure)}")

    def log_image(
        self, run_id: str, image: Any, artifact_file: Optional[str] = None, key: Optional[str] = None,
        step: Optional[int] = None, timestamp: Optional[int] = None, synchronous: Optional[bool] = None,
    ) -> None:
        """Log an image of Pillow, a numpy array or nested lists; to ``artifact_file``, or to ``key`` at ``step``."""
        if (artifact_file is None) == (key is None) or (artifact_file and (step is not None or timestamp is not None)):
            raise TypeError("Give either artifact_file, or key with step and timestamp as needed.")
        save = image.save if hasattr(image, "save") else lambda path: _write(path, _png(image))
        if artifact_file is not None:
            self._log_made(run_id, artifact_file, save)
            return
        if not re.fullmatch(r"[a-zA-Z0-9_\-./ ]+", key or ""):
            raise ValueError(f"The key {key!r} of an image may have letters, digits and '_', '-', '.', ' ', '/'.")
        bits = _new_id()
        name = f"images/{(key or '').replace('/', '~')}+step+{step or 0}+timestamp+{timestamp or _now()}+" + "-".join(
            (bits[:8], bits[8:12], bits[12:16], bits[16:20], bits[20:])
        )
        self._log_made(run_id, f"{name}.png", save)
        if hasattr(image, "thumbnail"):
            small = image.copy()
            small.thumbnail((256, 256))
            self._log_made(run_id, f"{name}+compressed.webp", small.save)
        self.set_tag(run_id, _IMAGES, True)

    def log_table(self, run_id: str, data: Any, artifact_file: str) -> None:
        """Log a table as JSON: a dict of columns, a list of rows (dicts), or a DataFrame. A table that is there already
        gets the rows appended.
        """
        if not artifact_file.endswith(".json"):
            raise ValueError(f"{artifact_file!r}: the name of a table ends with .json.")
        columns, rows = _table(data)
        tables = json.loads(self.get_run(run_id).data.tags.get(_TABLES, "[]"))
        entry = {"path": artifact_file, "type": "table"}
        if entry in tables:
            earlier = json.loads(self._read(run_id, artifact_file))
            names = [*earlier["columns"], *(name for name in columns if name not in earlier["columns"])]
            both = [dict(zip(earlier["columns"], row)) for row in earlier["data"]]
            both += [dict(zip(columns, row)) for row in rows]
            columns, rows = names, [[row.get(name) for name in names] for row in both]
        self.log_text(run_id, json.dumps({"columns": columns, "data": rows}, default=_text), artifact_file)
        if entry not in tables:
            self.set_tag(run_id, _TABLES, json.dumps([*tables, entry]), synchronous=True)

    def load_table(
        self, experiment_id: str, artifact_file: str, run_ids: Optional[List[str]] = None,
        extra_columns: Optional[List[str]] = None,
    ) -> PagedList:
        """The rows, as dicts, of a table of all runs (or some) of an experiment; ``extra_columns`` are attributes of
        their runs, such as ``run_id``. With ``to_pandas``.
        """
        rows, token = PagedList(), None
        while True:
            page = self.search_runs([experiment_id], page_token=token)
            for run in page:
                tables = json.loads(run.data.tags.get(_TABLES, "[]"))
                if {"path": artifact_file, "type": "table"} not in tables or run.info.run_id not in (
                    run_ids or (run.info.run_id,)
                ):
                    continue
                table = json.loads(self._read(run.info.run_id, artifact_file))
                more = {name: getattr(run.info, name) for name in extra_columns or ()}
                rows += [dict(zip(table["columns"], row), **more) for row in table["data"]]
            token = page.token
            if not token:
                return rows

    def _read(self, run_id: str, path: str) -> bytes:
        from tempfile import TemporaryDirectory

        with TemporaryDirectory() as folder:
            with open(self.download_artifacts(run_id, path, folder), "rb") as file:
                return file.read()

    def list_artifacts(self, run_id: str, path: Optional[str] = None) -> List[FileInfo]:
        """What lies at ``path`` of a run's artifacts, not deeper."""
        return _open_artifacts(self._location(run_id), self._to).list((path or "").strip("/"))

    def download_artifacts(self, run_id: str, path: str, dst_path: Optional[str] = None) -> str:
        """Fetch a file or folder of a run and return where it lies: below ``dst_path``, or a new temporary folder."""
        return _fetch(_open_artifacts(self._location(run_id), self._to), path, dst_path)

    # Registered models.

    def create_registered_model(
        self, name: str, tags: Optional[Dict[str, Any]] = None, description: Optional[str] = None,
    ) -> RegisteredModel:
        """Create a registered model without versions."""
        made = self._registry(
            "POST", "registered-models/create", name=name, tags=_tag_list(tags) or None, description=description
        )
        return _registered_model(made["registered_model"])

    def rename_registered_model(self, name: str, new_name: str) -> RegisteredModel:
        """Give a registered model another name."""
        made = self._registry("POST", "registered-models/rename", name=name, new_name=new_name)
        return _registered_model(made["registered_model"])

    def update_registered_model(self, name: str, description: Optional[str] = None) -> RegisteredModel:
        """Change the description of a registered model."""
        made = self._registry("PATCH", "registered-models/update", name=name, description=description)
        return _registered_model(made["registered_model"])

    def delete_registered_model(self, name: str) -> None:
        """Delete a registered model with its versions."""
        self._registry("DELETE", "registered-models/delete", name=name)

    def get_registered_model(self, name: str) -> RegisteredModel:
        """A registered model."""
        return _registered_model(self._registry("GET", "registered-models/get", name=name)["registered_model"])

    def search_registered_models(
        self, filter_string: Optional[str] = None, max_results: int = 100, order_by: Optional[List[str]] = None,
        page_token: Optional[str] = None,
    ) -> PagedList:
        """A page of registered models."""
        found = self._registry(
            "GET", "registered-models/search", filter=filter_string, max_results=max_results, order_by=order_by,
            page_token=page_token,
        )
        return PagedList(map(_registered_model, found.get("registered_models", ())), found.get("next_page_token"))

    def get_latest_versions(self, name: str, stages: Optional[List[str]] = None) -> List[ModelVersion]:
        """The highest version of each stage."""
        found = self._registry("POST", "registered-models/get-latest-versions", name=name, stages=stages)
        return [_model_version(each) for each in found.get("model_versions", ())]

    def set_registered_model_tag(self, name: str, key: str, value: Any) -> None:
        """Set a tag of a registered model."""
        self._registry("POST", "registered-models/set-tag", name=name, key=key, value=_text(value))

    def delete_registered_model_tag(self, name: str, key: str) -> None:
        """Delete a tag of a registered model."""
        self._registry("DELETE", "registered-models/delete-tag", name=name, key=key)

    def set_registered_model_alias(self, name: str, alias: str, version: str) -> None:
        """Let an alias point at a version."""
        self._registry("POST", "registered-models/alias", name=name, alias=alias, version=str(version))

    def delete_registered_model_alias(self, name: str, alias: str) -> None:
        """Remove an alias."""
        self._registry("DELETE", "registered-models/alias", name=name, alias=alias)

    def get_model_version_by_alias(self, name: str, alias: str) -> ModelVersion:
        """The version that an alias points at."""
        return _model_version(self._registry("GET", "registered-models/alias", name=name, alias=alias)["model_version"])

    # Model versions.

    def create_model_version(
        self, name: str, source: str, run_id: Optional[str] = None, tags: Optional[Dict[str, Any]] = None,
        run_link: Optional[str] = None, description: Optional[str] = None, await_creation_for: int = 300,
        model_id: Optional[str] = None,
    ) -> ModelVersion:
        """Create the next version of a registered model. Versions are ready at once: nothing is waited for."""
        made = self._registry(
            "POST", "model-versions/create", name=name, source=source, run_id=run_id, tags=_tag_list(tags) or None,
            run_link=run_link, description=description, model_id=model_id,
        )
        return _model_version(made["model_version"])

    def copy_model_version(self, src_model_uri: str, dst_name: str) -> ModelVersion:
        """Create a version of ``dst_name`` (made if need be) of ``models:/name/version`` or ``models:/name@alias``."""
        name, version, _ = self._model(src_model_uri)
        source = self.get_model_version(name, version)
        try:
            self.create_registered_model(dst_name)
        except RestException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        return self.create_model_version(
            dst_name, f"models:/{name}/{version}", source.run_id, source.tags, source.run_link, source.description,
            model_id=source.model_id,
        )

    def _model(self, uri: str) -> Tuple[str, str, str]:
        """What ``models:/name/version/path``, ``models:/name@alias/path`` or ``models:/name/latest`` stand for: name,
        version and path.
        """
        name, _, rest = (uri[len("models:/") :] if uri.startswith("models:/") else "").strip("/").partition("/")
        name, _, alias = name.partition("@")
        if alias:
            return name, self.get_model_version_by_alias(name, alias).version, rest
        version, _, path = rest.partition("/")
        if not name or not version:
            raise _invalid(f"{uri!r} is not models:/name/version or models:/name@alias.")
        if version.isdigit():
            return name, version, path
        stages = None if version.lower() == "latest" else [version]
        found = self.get_latest_versions(name, stages)
        if not found:
            raise MlflowException(f"There is no version for {uri}.", "RESOURCE_DOES_NOT_EXIST")
        return name, max(found, key=lambda each: int(each.version)).version, path

    def update_model_version(self, name: str, version: str, description: Optional[str] = None) -> ModelVersion:
        """Change the description of a version."""
        made = self._registry(
            "PATCH", "model-versions/update", name=name, version=str(version), description=description
        )
        return _model_version(made["model_version"])

    def transition_model_version_stage(
        self, name: str, version: str, stage: str, archive_existing_versions: bool = False
    ) -> ModelVersion:
        """Move a version to a stage."""
        made = self._registry(
            "POST", "model-versions/transition-stage", name=name, version=str(version), stage=stage,
            archive_existing_versions=archive_existing_versions,
        )
        return _model_version(made["model_version"])

    def get_model_version_stages(self, name: str, version: str) -> List[str]:
        """The stages that there are."""
        return ["None", "Staging", "Production", "Archived"]

    def delete_model_version(self, name: str, version: str) -> None:
        """Delete a version."""
        self._registry("DELETE", "model-versions/delete", name=name, version=str(version))

    def get_model_version(self, name: str, version: str) -> ModelVersion:
        """A version of a registered model."""
        return _model_version(
            self._registry("GET", "model-versions/get", name=name, version=str(version))["model_version"]
        )

    def get_model_version_download_uri(self, name: str, version: str) -> str:
        """Where the files of a version lie."""
        found = self._registry("GET", "model-versions/get-download-uri", name=name, version=str(version))
        return str(found["artifact_uri"])

    def search_model_versions(
        self, filter_string: Optional[str] = None, max_results: int = 10000, order_by: Optional[List[str]] = None,
        page_token: Optional[str] = None,
    ) -> PagedList:
        """A page of model versions."""
        found = self._registry(
            "GET", "model-versions/search", filter=filter_string, max_results=max_results, order_by=order_by,
            page_token=page_token,
        )
        return PagedList(map(_model_version, found.get("model_versions", ())), found.get("next_page_token"))

    def set_model_version_tag(
        self, name: str, version: Optional[str] = None, key: Optional[str] = None, value: Any = None,
        stage: Optional[str] = None,
    ) -> None:
        """Set a tag of a version, or of the latest version of a stage."""
        version = version or self._of_stage(name, stage)
        self._registry(
            "POST", "model-versions/set-tag", name=name, version=str(version), key=key, value=_text(value)
        )

    def delete_model_version_tag(
        self, name: str, version: Optional[str] = None, key: Optional[str] = None, stage: Optional[str] = None
    ) -> None:
        """Delete a tag of a version, or of the latest version of a stage."""
        version = version or self._of_stage(name, stage)
        self._registry("DELETE", "model-versions/delete-tag", name=name, version=str(version), key=key)

    def _of_stage(self, name: str, stage: Optional[str]) -> str:
        found = self.get_latest_versions(name, [stage]) if stage else []
        if not found:
            raise _invalid(f"Give a version of {name!r}, or a stage that has one.")
        return found[0].version

    # Logged models.

    def create_logged_model(
        self, experiment_id: str, name: Optional[str] = None, source_run_id: Optional[str] = None,
        tags: Optional[Dict[str, str]] = None, params: Optional[Dict[str, str]] = None,
        model_type: Optional[str] = None,
    ) -> LoggedModel:
        """Create a logged model, which is PENDING until ``finalize_logged_model``."""
        made = self._post(
            "logged-models", experiment_id=experiment_id, name=name, source_run_id=source_run_id,
            tags=_tag_list(tags) or None, params=_tag_list(params) or None, model_type=model_type,
        )
        return _logged_model(made["model"])

    def finalize_logged_model(self, model_id: str, status: str) -> LoggedModel:
        """Say that a logged model is READY or FAILED."""
        body = {"model_id": model_id, "status": f"LOGGED_MODEL_{getattr(status, 'value', status)}"}
        return _logged_model(self._to.call("PATCH", f"logged-models/{quote(model_id, '')}", body)["model"])

    def get_logged_model(self, model_id: str) -> LoggedModel:
        """A logged model."""
        return _logged_model(self._get(f"logged-models/{quote(model_id, '')}")["model"])

    def log_model_params(self, model_id: str, params: Dict[str, str]) -> None:
        """Log params of a logged model."""
        items = _tag_list(params)
        for start in range(0, len(items), _MOST_PAIRS):
            body = {"model_id": model_id, "params": items[start : start + _MOST_PAIRS]}
            self._to.call("POST", f"logged-models/{quote(model_id, '')}/params", body)

    def delete_logged_model(self, model_id: str) -> None:
        """Mark a logged model deleted."""
        self._to.call("DELETE", f"logged-models/{quote(model_id, '')}")

    def set_logged_model_tags(self, model_id: str, tags: Dict[str, Any]) -> None:
        """Set tags of a logged model."""
        body = {"model_id": model_id, "tags": _tag_list(tags)}
        self._to.call("PATCH", f"logged-models/{quote(model_id, '')}/tags", body)

    def delete_logged_model_tag(self, model_id: str, key: str) -> None:
        """Delete a tag of a logged model."""
        self._to.call("DELETE", f"logged-models/{quote(model_id, '')}/tags/{quote(key, '')}")

    def search_logged_models(
        self, experiment_ids: List[str], filter_string: Optional[str] = None,
        datasets: Optional[List[Dict[str, Any]]] = None, max_results: Optional[int] = None,
        order_by: Optional[List[Dict[str, Any]]] = None, page_token: Optional[str] = None,
    ) -> PagedList:
        """A page of logged models."""
        found = self._post(
            "logged-models/search", experiment_ids=experiment_ids, filter=filter_string, datasets=datasets,
            max_results=max_results, order_by=order_by, page_token=page_token,
        )
        return PagedList(map(_logged_model, found.get("models", ())), found.get("next_page_token"))

    def list_logged_model_artifacts(self, model_id: str, path: Optional[str] = None) -> List[FileInfo]:
        """What lies at ``path`` of a logged model's files, not deeper."""
        location = self.get_logged_model(model_id).artifact_location
        return _open_artifacts(location, self._to).list((path or "").strip("/"))

    def log_model_artifact(self, model_id: str, local_path: str, artifact_path: Optional[str] = None) -> None:
        """Send a file to a logged model's files."""
        place = _open_artifacts(self.get_logged_model(model_id).artifact_location, self._to)
        place.put(_joined(artifact_path, os.path.basename(local_path)), local_path)

    def log_model_artifacts(self, model_id: str, local_dir: str, artifact_path: Optional[str] = None) -> None:
        """Send what is in a folder to a logged model's files."""
        place = _open_artifacts(self.get_logged_model(model_id).artifact_location, self._to)
        _each(_files(local_dir), lambda inner: place.put(
            _joined(artifact_path, inner), os.path.join(local_dir, *inner.split("/"))
        ))


MlflowClient = Client


def _view(view_type: Any) -> str:
    return {1: "ACTIVE_ONLY", 2: "DELETED_ONLY", 3: "ALL"}.get(view_type, view_type)


def _joined(folder: Optional[str], name: str) -> str:
    """A path below a folder of the artifacts; neither may lead out of them."""
    path = f"{(folder or '').strip('/')}/{name}".strip("/")
    if ".." in path.split("/"):
        raise _invalid(f"The artifact path {path!r} may not have '..' in it.")
    return path


def _files(folder: str) -> List[str]:
    """All files below a folder, as paths with slashes."""
    return [
        os.path.relpath(os.path.join(place, name), folder).replace(os.sep, "/")
        for place, _, names in os.walk(folder) for name in sorted(names)
    ]


def _each(items: Sequence[str], do: Callable[[str], object]) -> None:
    """Do something for all items, up to four at a time; the first error ends it."""
    if len(items) < 2:
        for item in items:
            do(item)
        return
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(do, item) for item in items]:
            done.result()


def _fetch(place: _Artifacts, path: str, folder: Optional[str]) -> str:
    """Fetch a file, or all files below a folder of artifacts; returns where it lies."""
    path = path.strip("/")
    if folder is None:
        from tempfile import mkdtemp

        folder = mkdtemp()
    elif not os.path.isdir(folder):
        raise _invalid(f"There is no folder {folder} to download into.")
    if isinstance(place, _Folder):
        _joined("", path)
    waiting, files = [path], []
    while waiting:
        here = waiting.pop()
        found = place.list(here)
        waiting += [each.path for each in found if each.is_dir]
        files += [each.path for each in found if not each.is_dir]
    for each in files or [path]:
        target = os.path.join(folder, *_joined("", each).split("/"))
        os.makedirs(os.path.dirname(target), exist_ok=True)
        place.get(each, target)
    return os.path.join(folder, *path.split("/")) if path else folder


def _write(path: str, data: bytes) -> None:
    with open(path, "wb") as file:
        file.write(data)


def _table(data: Any) -> Tuple[List[str], List[List[Any]]]:
    """Columns and rows of a plain table: a dict of columns, a list of dicts, or a DataFrame."""
    if hasattr(data, "to_dict") and hasattr(data, "columns"):
        return [_text(name) for name in data.columns], data.values.tolist()
    if isinstance(data, dict):
        lists = {name: value if isinstance(value, (list, tuple)) else [value] for name, value in data.items()}
        lengths = {len(value) for value in lists.values()}
        if len(lengths) > 1:
            raise _invalid(f"The columns of the table have different lengths: {sorted(lengths)}.")
        return list(lists), [list(row) for row in zip(*lists.values())]
    if isinstance(data, (list, tuple)) and all(isinstance(row, dict) for row in data):
        names = list(dict.fromkeys(name for row in data for name in row))
        return names, [[row.get(name) for name in names] for row in data]
    raise _invalid("A table is a dict of columns, a list of rows as dicts, or a DataFrame.")


def _png(image: Any) -> bytes:
    """An array of height x width (x 1, 3 or 4 channels) as PNG (RFC 2083): whole numbers to 255, or floats to 1."""
    import struct
    import zlib

    rows = image.tolist() if hasattr(image, "tolist") else image
    first = rows[0][0]
    channels = len(first) if isinstance(first, (list, tuple)) else 1
    kinds = {1: 0, 3: 2, 4: 6}
    if channels not in kinds:
        raise ValueError(f"An image has 1, 3 or 4 channels, not {channels}.")
    flat = [[v for p in row for v in p] if isinstance(first, (list, tuple)) else list(row) for row in rows]
    if any(isinstance(value, float) for value in flat[0]):
        flat = [[int(min(max(value, 0.0), 1.0) * 255) for value in row] for row in flat]

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", len(rows[0]), len(rows), 8, kinds[channels], 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + bytes(row) for row in flat))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


# -- system metrics ---------------------------------------------------------------------------------------------------


class _System:
    """Logs what this host does, every ``interval`` seconds in a thread: processor, memory, disk, network out of /proc,
    graphics cards out of nvidia-smi. Names and units are MLflow's.
    """

    def __init__(self, client: Client, run_id: str, resume: bool) -> None:
        self._client, self._run_id, self._resume = client, run_id, resume
        self._interval = _system["interval"] or _amount("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", 10)
        samples = _system["samples"] or _amount("MLFLOW_SYSTEM_METRICS_SAMPLES_BEFORE_LOGGING", 1)
        self._samples = max(int(samples), 1)
        node = _system["node"] or _variable("MLFLOW_SYSTEM_METRICS_NODE_ID")
        self._prefix = f"system/{node}/" if node else "system/"
        self._end = threading.Event()
        self._busy = self._processor()
        self._network = self._traffic()
        self._has_cards = True
        self._thread = threading.Thread(target=self._work, name="trackd-system-metrics", daemon=True)
        self._thread.start()

    def finish(self) -> None:
        """Log what there is and end."""
        self._end.set()
        self._thread.join(30)

    def _work(self) -> None:
        try:
            step = self._next_step() if self._resume else 0
            while not self._end.is_set():
                taken: List[Dict[str, float]] = []
                while len(taken) < self._samples and not self._end.wait(self._interval):
                    taken.append(self._sample())
                taken = taken or ([self._sample()] if step == 0 else [])
                means = {key: sum(each.get(key, 0.0) for each in taken) / len(taken) for key in (taken or [{}])[0]}
                points = [Metric(self._prefix + key, value, _now(), step) for key, value in means.items()]
                self._client.log_batch(self._run_id, points, synchronous=True)
                step += 1
        except (MlflowException, OSError, ValueError) as error:
            print(f"trackd: no more system metrics: {error}", file=sys.stderr, flush=True)

    def _next_step(self) -> int:
        found = self._client._get("runs/get", run_id=self._run_id)["run"].get("data", {}).get("metrics", ())
        return max((each.get("step", 0) + 1 for each in found if each["key"].startswith(self._prefix)), default=0)

    def _sample(self) -> Dict[str, float]:
        from shutil import disk_usage

        found: Dict[str, float] = {}
        busy, total = self._processor()
        spent = total - self._busy[1]
        found["cpu_utilization_percentage"] = 100.0 * (busy - self._busy[0]) / spent if spent else 0.0
        self._busy = busy, total
        memory = dict(line.split(":", 1) for line in _lines("/proc/meminfo"))
        sizes = {name: int(value.split()[0]) * 1024 for name, value in memory.items()}
        if "MemTotal" in sizes:
            used = sizes["MemTotal"] - sizes.get("MemAvailable", sizes.get("MemFree", 0))
            found["system_memory_usage_megabytes"] = used / 1e6
            found["system_memory_usage_percentage"] = 100.0 * used / sizes["MemTotal"]
        disk = disk_usage(os.sep)
        found["disk_usage_percentage"] = 100.0 * disk.used / (disk.used + disk.free or 1)
        found["disk_usage_megabytes"], found["disk_available_megabytes"] = disk.used / 1e6, disk.free / 1e6
        received, sent = self._traffic()
        found["network_receive_megabytes"] = (received - self._network[0]) / 1e6
        found["network_transmit_megabytes"] = (sent - self._network[1]) / 1e6
        found.update(self._cards())
        return found

    @staticmethod
    def _processor() -> Tuple[int, int]:
        """Busy and all time of all processors since the start of the system (proc(5), /proc/stat)."""
        times = [int(each) for line in _lines("/proc/stat")[:1] for each in line.split()[1:9]]
        return sum(times) - sum(times[3:5]), sum(times)

    @staticmethod
    def _traffic() -> Tuple[int, int]:
        """Bytes in and out of all network devices but the loopback (proc(5), /proc/net/dev)."""
        rows = [line.split(":", 1) for line in _lines("/proc/net/dev") if ":" in line]
        counts = [[int(each) for each in row[1].split()] for row in rows if row[0].strip() != "lo"]
        return sum(row[0] for row in counts), sum(row[8] for row in counts)

    def _cards(self) -> Dict[str, float]:
        """What nvidia-smi says; nothing where it is not there."""
        from shutil import which
        from subprocess import PIPE, SubprocessError, run

        command = which("nvidia-smi") if self._has_cards else None
        self._has_cards = command is not None
        if command is None:
            return {}
        wanted = "--query-gpu=memory.used,memory.total,utilization.gpu,power.draw,power.limit"
        try:
            done = run([command, wanted, "--format=csv,noheader,nounits"], stdout=PIPE, timeout=10, check=True)
        except (OSError, SubprocessError):
            self._has_cards = False
            return {}
        found = {}
        for number, line in enumerate(done.stdout.decode("ascii", "replace").splitlines()):
            used, total, busy, watts, most = (
                float(word) if word.replace(".", "", 1).isdigit() else None for word in line.replace(" ", "").split(",")
            )
            values = {
                "memory_usage_megabytes": used * 1.048576 if used is not None else None,
                "memory_usage_percentage": 100.0 * used / total if used is not None and total else None,
                "utilization_percentage": busy, "power_usage_watts": watts,
                "power_usage_percentage": 100.0 * watts / most if watts is not None and most else None,
            }
            found.update({f"gpu_{number}_{name}": value for name, value in values.items() if value is not None})
        return found


def _lines(path: str) -> List[str]:
    """The lines of a file of the system; none where the system has no such file."""
    if not os.path.exists(path):
        return []
    with open(path, encoding="ascii", errors="replace") as file:
        return file.read().splitlines()


_system: Dict[str, Any] = {"enabled": None, "interval": None, "samples": None, "node": None}
_monitors: Dict[str, _System] = {}


def enable_system_metrics_logging() -> None:
    """Log system metrics with every run that is started from now on."""
    _system["enabled"] = True


def disable_system_metrics_logging() -> None:
    """Log no system metrics with runs that are started from now on."""
    _system["enabled"] = False


def set_system_metrics_sampling_interval(interval: Optional[float]) -> None:
    """Seconds between samples; ``None`` for the default."""
    _system["interval"] = interval


def set_system_metrics_samples_before_logging(samples: Optional[int]) -> None:
    """How many samples make one point; ``None`` for the default."""
    _system["samples"] = samples


def set_system_metrics_node_id(node_id: Optional[str]) -> None:
    """What stands for this host in the names of system metrics; ``None`` for nothing."""
    _system["node"] = node_id


# -- the active run ---------------------------------------------------------------------------------------------------

_DEFAULT_URI = "http://127.0.0.1:5000"
_chosen: Dict[str, Optional[str]] = {"tracking": None, "registry": None, "experiment": None}


class _Mine(threading.local):
    """Each thread has runs of its own, as in MLflow."""

    def __init__(self) -> None:
        self.stack: List[ActiveRun] = []
        self.last: Optional[str] = None


_mine = _Mine()
_clients: Dict[Tuple[str, str], Client] = {}


class ActiveRun(Run):
    """A run that ends with its ``with`` block: FINISHED, or FAILED if an exception leaves it."""

    def __enter__(self) -> ActiveRun:
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> bool:
        stack = _mine.stack
        if any(run.info.run_id == self.info.run_id for run in stack):
            while stack and stack[-1].info.run_id != self.info.run_id:
                end_run("FINISHED" if kind is None else "FAILED")
            try:
                end_run("FINISHED" if kind is None else "FAILED")
            except MlflowException as problem:
                if kind is None:
                    raise
                print(f"trackd: {problem.message}", file=sys.stderr, flush=True)
        return kind is None


def set_tracking_uri(uri: Any) -> None:
    """Say where to log: ``http://host:port``, ``https://...``, ``spool:FOLDER``; empty: what the environment says."""
    text = str(uri or "")
    if text:
        _target(text)
    _chosen["tracking"] = text or None


def get_tracking_uri() -> str:
    """Where things are logged."""
    return _chosen["tracking"] or _variable("MLFLOW_TRACKING_URI") or _DEFAULT_URI


def is_tracking_uri_set() -> bool:
    """Whether somebody said where to log."""
    return bool(_chosen["tracking"] or _variable("MLFLOW_TRACKING_URI"))


def set_registry_uri(uri: str) -> None:
    """Say where registered models are, if not where things are logged."""
    _chosen["registry"] = str(uri) or None


def get_registry_uri() -> str:
    """Where registered models are."""
    return _chosen["registry"] or _variable("MLFLOW_REGISTRY_URI") or get_tracking_uri()


def _client() -> Client:
    """The client that the functions below use; one per address."""
    place = (_chosen["tracking"] or get_tracking_uri(), _chosen["registry"] or "")
    found = _clients.get(place)
    if found is None:
        found = Client(place[0], place[1])
        found._registry_uri = place[1]
        _clients[place] = found
    return found


def create_experiment(
    name: str, artifact_location: Optional[str] = None, tags: Optional[Dict[str, Any]] = None
) -> str:
    """Create an experiment and return its id."""
    return _client().create_experiment(name, artifact_location, tags)


def set_experiment(experiment_name: Optional[str] = None, experiment_id: Optional[str] = None) -> Experiment:
    """Make an experiment the one that new runs belong to; one that is not there by name is created."""
    if (experiment_name is None) == (experiment_id is None):
        raise _invalid("Give either experiment_name or experiment_id.")
    client = _client()
    if experiment_name is None:
        found: Optional[Experiment] = client.get_experiment(str(experiment_id))
    else:
        found = client.get_experiment_by_name(experiment_name)
        if found is None:
            try:
                found = client.get_experiment(client.create_experiment(experiment_name))
            except RestException as error:
                # Another process was faster.
                found = client.get_experiment_by_name(experiment_name)
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
    if found is None or found.lifecycle_stage != "active":
        raise _invalid(
            f"The experiment {experiment_name or experiment_id!r} is deleted; restore it with "
            "Client().restore_experiment, or choose another name."
        )
    _chosen["experiment"] = found.experiment_id
    return found


def _experiment_id() -> str:
    """The experiment of new runs: what set_experiment said, the environment, or the default one."""
    if _chosen["experiment"]:
        return _chosen["experiment"]
    name, number = _variable("MLFLOW_EXPERIMENT_NAME"), _variable("MLFLOW_EXPERIMENT_ID")
    if name:
        found = _client().get_experiment_by_name(name)
        if found is not None and number and number != found.experiment_id:
            raise _invalid(
                f"MLFLOW_EXPERIMENT_ID is {number}, but the experiment of MLFLOW_EXPERIMENT_NAME has the id "
                f"{found.experiment_id}; unset one of them."
            )
        return found.experiment_id if found else _client().create_experiment(name)
    return number or "0"


def get_experiment(experiment_id: str) -> Experiment:
    """The experiment with this id."""
    return _client().get_experiment(experiment_id)


def get_experiment_by_name(name: str) -> Optional[Experiment]:
    """The experiment of this name, ``None`` if there is none."""
    return _client().get_experiment_by_name(name)


def delete_experiment(experiment_id: str) -> None:
    """Mark an experiment deleted, with its runs."""
    _client().delete_experiment(experiment_id)


def set_experiment_tag(key: str, value: Any) -> None:
    """Set a tag of the active experiment."""
    _client().set_experiment_tag(_experiment_id(), key, value)


def set_experiment_tags(tags: Dict[str, Any]) -> None:
    """Set tags of the active experiment."""
    for key, value in tags.items():
        set_experiment_tag(key, value)


def search_experiments(
    view_type: int = ViewType.ACTIVE_ONLY, max_results: Optional[int] = None, filter_string: Optional[str] = None,
    order_by: Optional[List[str]] = None,
) -> PagedList:
    """All experiments that the filter finds, or the first ``max_results``."""
    return _pages(
        lambda size, token: _client().search_experiments(view_type, size, filter_string, order_by, token), max_results,
        1000,
    )


def _pages(ask: Callable[[int, Optional[str]], PagedList], most: Optional[int], size: int) -> PagedList:
    """The items of all pages, or the first ``most``."""
    found, token = PagedList(), None
    while most is None or len(found) < most:
        page = ask(size if most is None else min(size, most - len(found)), token)
        found.extend(page)
        token = page.token
        if not token:
            break
    return found


def start_run(
    run_id: Optional[str] = None, experiment_id: Optional[str] = None, run_name: Optional[str] = None,
    nested: bool = False, parent_run_id: Optional[str] = None, tags: Optional[Dict[str, Any]] = None,
    description: Optional[str] = None, log_system_metrics: Optional[bool] = None,
) -> ActiveRun:
    """Begin a run, or go on with one by its id, and make it the active run of this thread."""
    stack, client = _mine.stack, _client()
    if stack and not nested:
        raise Exception(
            f"Run {stack[0].info.run_id} is active already. End it with end_run(), or start a run inside of it with "
            "start_run(nested=True)."
        )
    given = dict(tags or {})
    if description:
        if _NOTE in given:
            raise _invalid(f"Give the description either as description or as the tag {_NOTE}.")
        given[_NOTE] = description
    existing = run_id or os.environ.pop("MLFLOW_RUN_ID", "")
    if existing:
        run = _resume(client, existing, run_name, given)
    else:
        run = _begin(client, experiment_id, run_name, parent_run_id, given)
    active = ActiveRun(*run)
    stack.append(active)
    wanted = log_system_metrics if log_system_metrics is not None else _system["enabled"]
    if wanted if wanted is not None else _flag("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING"):
        _monitors[run.info.run_id] = _System(client, run.info.run_id, bool(existing))
    return active


def _resume(client: Client, run_id: str, run_name: Optional[str], tags: Dict[str, Any]) -> Run:
    found = client.get_run(run_id)
    if _chosen["experiment"] not in (None, found.info.experiment_id):
        raise MlflowException(
            f"Run {run_id} belongs to experiment {found.info.experiment_id}, but set_experiment chose "
            f"{_chosen['experiment']}."
        )
    if found.info.lifecycle_stage != "active":
        raise MlflowException(f"Run {run_id} is deleted; restore it with Client().restore_run.")
    client.update_run(run_id, "RUNNING", run_name)
    if tags:
        client.log_batch(run_id, tags=[RunTag(key, _text(value)) for key, value in tags.items()], synchronous=True)
    return client.get_run(run_id)


def _begin(
    client: Client, experiment_id: Optional[str], run_name: Optional[str], parent_run_id: Optional[str],
    tags: Dict[str, Any],
) -> Run:
    stack = _mine.stack
    if parent_run_id and stack and stack[-1].info.run_id != parent_run_id:
        raise MlflowException(
            f"The active run is {stack[-1].info.run_id}, not the parent_run_id {parent_run_id}; end it first."
        )
    if parent_run_id and not stack and client.get_run(parent_run_id).info.lifecycle_stage != "active":
        raise MlflowException(f"The parent run {parent_run_id} is deleted.")
    parent = parent_run_id or (stack[-1].info.run_id if stack else None)
    if parent:
        tags[_PARENT] = parent
    if run_name:
        tags[_NAME] = run_name
    for key, value in _surroundings().items():
        tags.setdefault(key, value)
    return client.create_run(experiment_id or _experiment_id(), tags=tags, run_name=run_name)


def _surroundings() -> Dict[str, str]:
    """Who runs which script, and from which commit, as the tags that MLflow sets."""
    from getpass import getuser

    found = {_SOURCE_TYPE: "LOCAL"}
    try:
        found[_USER] = _variable("MLFLOW_TRACKING_USERNAME") or getuser()
    except (KeyError, OSError, ImportError):
        found[_USER] = "unknown"
    script = sys.argv[0] if sys.argv and sys.argv[0] not in ("", "-c") else ""
    found[_SOURCE] = script or "<console>"
    commit = _commit(os.path.dirname(os.path.abspath(script)) if script else os.getcwd())
    if commit:
        found[_COMMIT] = commit
    return found


def _commit(folder: str) -> str:
    """The commit that is checked out in a folder, empty outside of git. (``git`` itself may not be installed.)"""
    while not os.path.isdir(os.path.join(folder, ".git")):
        above = os.path.dirname(folder)
        if above == folder:
            return ""
        folder = above
    head = "".join(_lines(os.path.join(folder, ".git", "HEAD"))[:1])
    if not head.startswith("ref: "):
        return head.strip()
    name = head[len("ref: ") :].strip()
    loose = "".join(_lines(os.path.join(folder, ".git", *name.split("/")))[:1]).strip()
    packed = _lines(os.path.join(folder, ".git", "packed-refs"))
    return loose or "".join([line.split()[0] for line in packed if line.endswith(" " + name)][:1])


def end_run(status: str = "FINISHED") -> None:
    """End the active run, if there is one; what was logged in the background is sent first."""
    if not _mine.stack:
        return
    os.environ.pop("MLFLOW_RUN_ID", None)
    run_id = _mine.stack.pop().info.run_id
    _mine.last = run_id
    monitor = _monitors.pop(run_id, None)
    if monitor is not None:
        monitor.finish()
    _client().set_terminated(run_id, status if isinstance(status, str) else RunStatus.to_string(status))


def active_run() -> Optional[ActiveRun]:
    """The active run of this thread, as it was when it was started; ``None`` if there is none."""
    return _mine.stack[-1] if _mine.stack else None


def last_active_run() -> Optional[Run]:
    """The active run, or the one that was it last."""
    run_id = _mine.stack[-1].info.run_id if _mine.stack else _mine.last
    return get_run(run_id) if run_id else None


def _id(run_id: Optional[str] = None) -> str:
    """The run to log to: the one named, the active one, or a new one."""
    if run_id:
        return run_id
    stack = _mine.stack
    return (stack[-1] if stack else start_run()).info.run_id


def get_run(run_id: str) -> Run:
    """A run with what was logged to it."""
    return _client().get_run(run_id)


def get_parent_run(run_id: str) -> Optional[Run]:
    """The run that this one is nested in."""
    return _client().get_parent_run(run_id)


def delete_run(run_id: str) -> None:
    """Mark a run deleted."""
    _client().delete_run(run_id)


def search_runs(
    experiment_ids: Optional[List[str]] = None, filter_string: str = "", run_view_type: int = ViewType.ACTIVE_ONLY,
    max_results: int = 100000, order_by: Optional[List[str]] = None, output_format: str = "list",
    search_all_experiments: bool = False, experiment_names: Optional[List[str]] = None,
) -> Any:
    """Runs of the given experiments, or of the active one, as a list with ``to_pandas``; ``output_format="pandas"`` is
    the DataFrame that ``mlflow.search_runs`` makes.
    """
    if output_format not in ("list", "pandas"):
        raise ValueError(f"output_format is {output_format!r}; it is list or pandas.")
    if experiment_ids and experiment_names:
        raise _invalid("Give either experiment_ids or experiment_names.")
    ids = experiment_ids
    if experiment_names:
        found = [get_experiment_by_name(name) for name in experiment_names]
        ids = [each.experiment_id for each in found if each is not None]
    elif not ids:
        ids = [each.experiment_id for each in search_experiments(run_view_type)] if search_all_experiments else None
    wanted = ids if ids is not None else [_experiment_id()]
    runs = _pages(
        lambda size, token: _client().search_runs(wanted, filter_string, run_view_type, size, order_by, token),
        max_results, 10000,
    )
    return runs.to_pandas() if output_format == "pandas" else runs


def log_param(key: str, value: Any, synchronous: Optional[bool] = None) -> Any:
    """Log a param of the active run and return its value."""
    return _client().log_param(_id(), key, value, synchronous)


def log_params(
    params: Dict[str, Any], synchronous: Optional[bool] = None, run_id: Optional[str] = None
) -> Optional[RunOperations]:
    """Log params of the active run."""
    given = [Param(key, _text(value)) for key, value in params.items()]
    return _client().log_batch(_id(run_id), params=given, synchronous=synchronous)


def log_metric(
    key: str, value: float, step: Optional[int] = None, synchronous: Optional[bool] = None,
    timestamp: Optional[int] = None, run_id: Optional[str] = None, model_id: Optional[str] = None,
    dataset: Any = None,
) -> Optional[RunOperations]:
    """Log one point of a metric of the active run. With ``synchronous=False`` it is sent in the background."""
    name, digest = (dataset.name, dataset.digest) if dataset is not None else (None, None)
    return _client().log_metric(
        run_id or _id(), key, value, timestamp, step, synchronous, name, digest, model_id
    )


def log_metrics(
    metrics: Dict[str, float], step: Optional[int] = None, synchronous: Optional[bool] = None,
    run_id: Optional[str] = None, timestamp: Optional[int] = None, model_id: Optional[str] = None,
    dataset: Any = None,
) -> Optional[RunOperations]:
    """Log a point of each metric of the active run."""
    name, digest = (dataset.name, dataset.digest) if dataset is not None else (None, None)
    time_ms = timestamp or _now()
    points = [Metric(key, value, time_ms, step or 0, model_id, name, digest) for key, value in metrics.items()]
    return _client().log_batch(_id(run_id), points, synchronous=synchronous)


def set_tag(key: str, value: Any, synchronous: Optional[bool] = None) -> Optional[RunOperations]:
    """Set a tag of the active run."""
    return _client().set_tag(_id(), key, value, synchronous)


def set_tags(tags: Dict[str, Any], synchronous: Optional[bool] = None) -> Optional[RunOperations]:
    """Set tags of the active run."""
    given = [RunTag(key, _text(value)) for key, value in tags.items()]
    return _client().log_batch(_id(), tags=given, synchronous=synchronous)


def delete_tag(key: str) -> None:
    """Delete a tag of the active run."""
    _client().delete_tag(_id(), key)


def flush_async_logging() -> None:
    """Wait until everything that was logged in the background is at its server."""
    for queue in list(_queues.values()):
        queue.flush()


def log_artifact(local_path: str, artifact_path: Optional[str] = None, run_id: Optional[str] = None) -> None:
    """Log a file, or a folder, of the active run."""
    _client().log_artifact(_id(run_id), local_path, artifact_path)


def log_artifacts(local_dir: str, artifact_path: Optional[str] = None, run_id: Optional[str] = None) -> None:
    """Log what is in a folder."""
    _client().log_artifacts(_id(run_id), local_dir, artifact_path)


def log_text(text: str, artifact_file: str, run_id: Optional[str] = None) -> None:
    """Log text as a file."""
    _client().log_text(_id(run_id), text, artifact_file)


def log_dict(dictionary: Dict[str, Any], artifact_file: str, run_id: Optional[str] = None) -> None:
    """Log a dict as a JSON or YAML file."""
    _client().log_dict(_id(run_id), dictionary, artifact_file)


def log_figure(figure: Any, artifact_file: str, *, save_kwargs: Optional[Dict[str, Any]] = None) -> None:
    """Log a figure of matplotlib or plotly."""
    _client().log_figure(_id(), figure, artifact_file, save_kwargs=save_kwargs)


def log_image(
    image: Any, artifact_file: Optional[str] = None, key: Optional[str] = None, step: Optional[int] = None,
    timestamp: Optional[int] = None, synchronous: Optional[bool] = False,
) -> None:
    """Log an image; to ``artifact_file``, or to ``key`` at ``step``."""
    _client().log_image(_id(), image, artifact_file, key, step, timestamp, synchronous)


def log_table(data: Any, artifact_file: str, run_id: Optional[str] = None) -> None:
    """Log a table as JSON, or append to one."""
    _client().log_table(_id(run_id), data, artifact_file)


def log_input(
    dataset: Any = None, context: Optional[str] = None, tags: Optional[Dict[str, str]] = None,
    model: Optional[LoggedModelInput] = None,
) -> None:
    """Log what went into the active run: a ``Dataset``, or a plain table (see ``table_dataset``)."""
    datasets = []
    if dataset is not None:
        made = dataset if isinstance(dataset, Dataset) else table_dataset(dataset)
        given = dict(tags or {}, **({"mlflow.data.context": context} if context else {}))
        datasets = [DatasetInput(made, [InputTag(key, _text(value)) for key, value in given.items()])]
    _client().log_inputs(_id(), datasets, [model] if model is not None else None)


def log_inputs(
    datasets: Optional[List[Any]] = None, contexts: Optional[List[Optional[str]]] = None,
    tags_list: Optional[List[Optional[Dict[str, str]]]] = None, models: Optional[List[Any]] = None,
) -> None:
    """Log several inputs of the active run at once; the lists go together."""
    given = datasets or []
    for dataset, context, tags in zip(given, contexts or [None] * len(given), tags_list or [None] * len(given)):
        log_input(dataset, context, tags)
    if models:
        _client().log_inputs(_id(), models=[each for each in models if each is not None])


def log_outputs(models: Optional[List[LoggedModelOutput]] = None) -> None:
    """Log the models that came out of the active run."""
    _client().log_outputs(_id(), models or [])


def table_dataset(data: Any, source: Optional[str] = None, name: str = "dataset", digest: str = "") -> Dataset:
    """A dataset out of a plain table (dict of columns, list of rows, DataFrame). Without ``digest`` it is made of the
    values; ``source`` says where they are from.
    """
    from hashlib import sha256

    columns, rows = _table(data)
    types: Dict[type, str] = {bool: "boolean", int: "long", float: "double", str: "string"}
    schema = []
    for place, column in enumerate(columns):
        first = next((row[place] for row in rows if row[place] is not None), "")
        schema.append({"type": types.get(type(first), "string"), "name": column, "required": True})
    digest = digest or sha256(json.dumps([columns, rows], default=_text).encode()).hexdigest()[:8]
    origin = {"uri": source} if source else {"tags": {_SOURCE: sys.argv[0] or "<console>", _SOURCE_TYPE: "LOCAL"}}
    profile = {"num_rows": len(rows), "num_elements": len(rows) * len(columns)}
    return Dataset(
        name, digest, "local" if source else "code", json.dumps(origin), json.dumps({"mlflow_colspec": schema}),
        json.dumps(profile),
    )


def get_artifact_uri(artifact_path: Optional[str] = None) -> str:
    """Where the artifacts of the active run lie, or one of them."""
    location = _client()._location(_id())
    return f"{location.rstrip('/')}/{artifact_path.strip('/')}" if artifact_path else location


def list_artifacts(
    artifact_uri: Optional[str] = None, run_id: Optional[str] = None, artifact_path: Optional[str] = None,
    tracking_uri: Optional[str] = None,
) -> List[FileInfo]:
    """What lies at a place: ``runs:/<run id>/path``, another artifact URI, or a run and a path in it."""
    place, path = _place(artifact_uri, run_id, artifact_path, tracking_uri)
    return place.list(path)


def download_artifacts(
    artifact_uri: Optional[str] = None, run_id: Optional[str] = None, artifact_path: Optional[str] = None,
    dst_path: Optional[str] = None, tracking_uri: Optional[str] = None, registry_uri: Optional[str] = None,
) -> str:
    """Fetch a file or folder from a place as in ``list_artifacts``; returns where it lies now."""
    place, path = _place(artifact_uri, run_id, artifact_path, tracking_uri, registry_uri)
    if dst_path is not None:
        os.makedirs(dst_path, exist_ok=True)
    return _fetch(place, path, dst_path)


def _place(
    uri: Optional[str], run_id: Optional[str], path: Optional[str], tracking_uri: Optional[str],
    registry_uri: Optional[str] = None,
) -> Tuple[_Artifacts, str]:
    """What keeps the artifacts that the arguments name, and the path there."""
    client = Client(tracking_uri, registry_uri) if tracking_uri or registry_uri else _client()
    if (uri is None) == (run_id is None):
        raise _invalid("Give either artifact_uri or run_id.")
    if uri is not None and uri.startswith("runs:/"):
        run_id, _, path = uri[len("runs:/") :].strip("/").partition("/")
    elif uri is not None and uri.startswith("models:/"):
        model_id, _, rest = uri[len("models:/") :].partition("/")
        if re.fullmatch("m-[0-9a-f]{32}", model_id):
            return _open_artifacts(client.get_logged_model(model_id).artifact_location, client._to), rest
        name, version, rest = client._model(uri)
        source = client.get_model_version_download_uri(name, version).rstrip("/")
        if source.startswith("models:/"):
            return _place(f"{source}/{rest}" if rest else source, None, None, tracking_uri, registry_uri)
        return _open_artifacts(source, client._to), rest
    elif uri is not None:
        # The last part may be a file, and stands in front of what is listed, as in MLflow.
        parent, slash, last = uri.rstrip("/").rpartition("/")
        inner = "/".join(part for part in (last, (path or "").strip("/")) if part)
        return _open_artifacts(parent + slash, client._to), unquote(inner) if ":/" in uri else inner
    return _open_artifacts(client._location(run_id or ""), client._to), (path or "").strip("/")


class artifacts:
    """``mlflow.artifacts``, for scripts that name these functions that way."""

    list_artifacts = staticmethod(list_artifacts)
    download_artifacts = staticmethod(download_artifacts)


def register_model(
    model_uri: str, name: str, await_registration_for: int = 300, *, tags: Optional[Dict[str, Any]] = None
) -> ModelVersion:
    """Make what lies at ``runs:/<run id>/path``, ``models:/<model id>`` or an artifact URI the next version of a model,
    which is created if need be.
    """
    client = _client()
    run_id, model_id, source = None, None, model_uri
    if model_uri.startswith("runs:/"):
        run_id, _, path = model_uri[len("runs:/") :].strip("/").partition("/")
        run = client.get_run(run_id)
        source = f"{(run.info.artifact_uri or '').rstrip('/')}/{path}".rstrip("/")
        if not client.list_artifacts(run_id, path):
            logged = [
                each for each in client.search_logged_models([run.info.experiment_id], f"name = '{path}'")
                if each.source_run_id == run_id
            ]
            if not logged:
                raise MlflowException(f"Run {run_id} has neither files nor a logged model at {path!r}.", "NOT_FOUND")
            model_id, source = logged[0].model_id, f"models:/{logged[0].model_id}"
    elif model_uri.startswith("models:/m-"):
        model_id = model_uri[len("models:/") :].split("/")[0]
    try:
        client.create_registered_model(name)
    except RestException as error:
        if error.error_code not in ("RESOURCE_ALREADY_EXISTS", "ALREADY_EXISTS"):
            raise
    return client.create_model_version(name, source, run_id, tags, model_id=model_id)


def search_registered_models(
    max_results: Optional[int] = None, filter_string: Optional[str] = None, order_by: Optional[List[str]] = None
) -> PagedList:
    """All registered models that the filter finds, or the first ``max_results``."""
    return _pages(
        lambda size, token: _client().search_registered_models(filter_string, size, order_by, token), max_results, 100
    )


def search_model_versions(
    max_results: Optional[int] = None, filter_string: Optional[str] = None, order_by: Optional[List[str]] = None
) -> PagedList:
    """All model versions that the filter finds, or the first ``max_results``."""
    return _pages(
        lambda size, token: _client().search_model_versions(filter_string, size, order_by, token), max_results, 10000
    )


def _at_exit() -> None:
    """End the runs of the main thread and send what waits; say in one sentence what could not be sent."""
    while _mine.stack:
        try:
            end_run()
        except MlflowException as error:
            print(f"trackd: at exit: {error.message}", file=sys.stderr, flush=True)
    for queue in list(_queues.values()):
        try:
            queue.flush()
        except MlflowException as error:
            print(f"trackd: at exit: {error.message}", file=sys.stderr, flush=True)


atexit.register(_at_exit)
