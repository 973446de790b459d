"""The runs that are kept and searched, and the requests that are sent: the same for every server.

Everything is computed from the run's number, so that a folder of files and a database hold the same runs and two
benchmarks on two days search the same values.
"""

import json
import random
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from tests.bench.load import MARK

#: 2023-11-14; run n starts n seconds later.
START_TIME = 1_700_000_000_000
#: The digits of ``MARK`` as text, for bodies built with ``json``.
MARK_TEXT = MARK.decode("ascii")
#: What MLflow's Python client sends with every request.
CLIENT_HEADERS = (
    "User-Agent: mlflow-python-client/3.17.2\r\n"
    "X-MLflow-Client-Version: 3.17.2\r\n"
    "Accept-Encoding: gzip, deflate\r\n"
    "Accept: */*\r\n"
    "Connection: keep-alive\r\n"
)
METRIC_NAMES = ("loss", "accuracy", "f1_score", "val_loss", "val_accuracy", "epoch_time", "grad_norm", "lr", "mae")
PARAM_NAMES = ("lr", "batch_size", "optimizer", "layers", "dropout", "epochs", "seed", "hidden", "warmup")
TAG_NAMES = ("mlflow.runName", "mlflow.user", "mlflow.source.name", "mlflow.source.type", "team", "stage", "model")
OPTIMIZERS = ("adam", "sgd", "adamw", "rmsprop")


class SeedRun(NamedTuple):
    """One run: metrics are (key, value), of ``points`` lines each; params and tags are (key, value)."""

    run_id: str
    name: str
    start_time: int
    metrics: List[Tuple[str, float]]
    params: List[Tuple[str, str]]
    tags: List[Tuple[str, str]]


class Shape(NamedTuple):
    """An experiment of equal runs: how many, and how many items each has; ``points`` is the length of a metric."""

    experiment_id: int
    name: str
    runs: int
    metrics: int
    params: int
    tags: int
    points: int = 1

    @property
    def items(self) -> int:
        """Metrics, params and tags of one run together."""
        return self.metrics + self.params + self.tags


#: What ``get run`` reads, in turn.
SINGLES = Shape(101, "single runs", 100, 7, 7, 6)
#: What ``search`` returns whole: 18 items a run.
FULL = Shape(102, "full runs", 1_000, 6, 6, 6)
#: What is filtered and paged through. Six items a run, not eighteen: so many files take long enough to write.
LARGE = Shape(103, "many runs", 20_000, 2, 2, 2)
#: An existing folder: 34 files a run, 102,000 in all, ten points a metric.
EXISTING = Shape(104, "existing folder", 3_000, 12, 12, 9, points=10)
#: A history that a chart takes a sample of.
LONG = Shape(105, "a long run", 1, 1, 1, 1, points=1_000_000)
#: Eight million points: what a database of years holds.
DEEP = Shape(106, "deep runs", 20_000, 4, 4, 4, points=100)


def shape_runs(shape: Shape) -> Iterator[SeedRun]:
    """The runs of a shape, oldest first."""
    rng = random.Random(shape.experiment_id)
    for number in range(shape.runs):
        name = f"run-{number:05d}"
        values = {
            "mlflow.runName": name,
            "mlflow.user": "alice",
            "mlflow.source.name": "/home/alice/projects/classifier/train.py",
            "mlflow.source.type": "LOCAL",
            "model": f"resnet{18 + number % 5}",
            "optimizer": OPTIMIZERS[number % 4],
            "batch_size": str(16 << number % 5),
        }
        yield SeedRun(
            run_id=f"{shape.experiment_id:04x}{number:08x}{rng.getrandbits(80):020x}",
            name=name,
            start_time=START_TIME + number * 1000,
            metrics=[(key, round(rng.random(), 6)) for key in _names(METRIC_NAMES, shape.metrics)],
            params=[(key, values.get(key, f"{rng.random():.5f}")) for key in _names(PARAM_NAMES, shape.params)],
            tags=[(key, values.get(key, f"value-{number % 10}")) for key in _names(TAG_NAMES, shape.tags)],
        )


def _names(names: Sequence[str], count: int) -> List[str]:
    """The first ``count`` names; numbered ones where the list ends."""
    return [names[at] if at < len(names) else f"{names[at % len(names)]}_{at}" for at in range(count)]


def seeded_value(value: float, point: int, points: int) -> float:
    """The value of a metric at one of its points; the last is the run's ``value``."""
    return round(value + (points - 1 - point) * 0.01, 6)


def post(path: str, body: Any, port: int = 5000) -> bytes:
    """A POST of a JSON body, as bytes ready to send; ``MARK_TEXT`` in quotes becomes a bare number."""
    text = json.dumps(body).replace(f'"{MARK_TEXT}"', MARK_TEXT).encode("utf-8")
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{CLIENT_HEADERS}Content-Type: application/json\r\n"
    return f"{head}Content-Length: {len(text)}\r\n\r\n".encode("ascii") + text


def get(path: str, port: int = 5000) -> bytes:
    """A GET, as bytes ready to send."""
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{CLIENT_HEADERS}\r\n".encode("ascii")


def log_metric(run_id: str, port: int) -> bytes:
    """One point of one metric; the step differs in each request sent."""
    body = {
        "run_uuid": run_id,
        "run_id": run_id,
        "key": "loss",
        "value": 0.4375,
        "timestamp": MARK_TEXT,
        "step": MARK_TEXT,
    }
    return post("/api/2.0/mlflow/runs/log-metric", body, port)


def log_batch(run_id: str, port: int, keys: int, count: int = 1000) -> bytes:
    """``count`` points over ``keys`` metrics; the timestamps differ in each request sent, the steps within it."""
    metrics = [
        {"key": f"metric_{at % keys}", "value": at / 1000, "timestamp": MARK_TEXT, "step": at // keys}
        for at in range(count)
    ]
    body = {"run_id": run_id, "metrics": metrics, "params": [], "tags": []}
    return post("/api/2.0/mlflow/runs/log-batch", body, port)


def create_run(experiment_id: str, port: int) -> bytes:
    """What ``mlflow.start_run()`` sends; the name differs in each request."""
    body = {
        "experiment_id": experiment_id,
        "user_id": "alice",
        "run_name": f"run-{MARK_TEXT}",
        "start_time": START_TIME,
        "tags": [
            {"key": "mlflow.user", "value": "alice"},
            {"key": "mlflow.source.name", "value": "/home/alice/projects/classifier/train.py"},
            {"key": "mlflow.source.type", "value": "LOCAL"},
        ],
    }
    return post("/api/2.0/mlflow/runs/create", body, port)


def get_run(run_id: str, port: int) -> bytes:
    """What the Python client's ``get_run`` sends: both names of the id."""
    return get(f"/api/2.0/mlflow/runs/get?run_uuid={run_id}&run_id={run_id}", port)


def search_body(
    shape: Shape,
    max_results: int,
    by_metric: bool = False,
    page_token: Optional[str] = None,
) -> Dict[str, Any]:
    """A runs/search: all runs of an experiment in default order, or about half of them by a metric, best first."""
    body: Dict[str, Any] = {
        "experiment_ids": [str(shape.experiment_id)],
        "run_view_type": "ACTIVE_ONLY",
        "max_results": max_results,
    }
    if by_metric:
        body["filter"] = "metrics.accuracy > 0.5"
        body["order_by"] = ["metrics.accuracy DESC"]
    if page_token is not None:
        body["page_token"] = page_token
    return body
