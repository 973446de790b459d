"""The rows about logged models, on models that are made through the API: 12 items each.

FastTrackML has no logged models. MLflow makes some 40 of these a second.
"""

import random
from typing import Any, Dict, List
from urllib.parse import quote

from tests.bench import data
from tests.bench.load import FIRST_NUMBER
from tests.bench.process import BadAnswer, ask
from tests.bench.workloads import LESS, MANY, MORE, Bench, Failed, Measure, Workload, latencies, rates

#: Models that are searched.
COUNT = 500
NAME = "bench of models"
PATH = "/api/2.0/mlflow/logged-models"


def filled(bench: Bench) -> str:
    """The id of the experiment with the models, which the first row makes."""
    try:
        path = f"/api/2.0/mlflow/experiments/get-by-name?experiment_name={quote(NAME)}"
        return str(ask(bench.port, path)["experiment"]["experiment_id"])
    except BadAnswer:
        pass
    experiment = str(ask(bench.port, "/api/2.0/mlflow/experiments/create", {"name": NAME})["experiment_id"])
    body = {"experiment_id": experiment, "start_time": data.START_TIME, "run_name": "bench", "user_id": "alice"}
    run = ask(bench.port, "/api/2.0/mlflow/runs/create", body)["run"]["info"]["run_id"]
    rng = random.Random(7)
    for number in range(COUNT):
        made = ask(bench.port, PATH, model(experiment, f"model-{number:03d}", number))
        points = [
            {
                "key": key, "value": round(rng.random(), 6), "timestamp": data.START_TIME, "step": number,
                "model_id": made["model"]["info"]["model_id"], "dataset_name": "iris", "dataset_digest": "d1",
            }
            for key in data.METRIC_NAMES[:4]
        ]  # fmt: skip
        ask(bench.port, "/api/2.0/mlflow/runs/log-batch", {"run_id": run, "metrics": points})
    return experiment


def model(experiment: str, name: str, number: int = 0) -> Dict[str, Any]:
    """What creates a model."""
    return {
        "experiment_id": experiment, "name": name, "model_type": "classifier",
        "params": [{"key": key, "value": f"{number % 7}"} for key in data.PARAM_NAMES[:4]],
        "tags": [{"key": key, "value": f"value-{number % 10}"} for key in data.TAG_NAMES[1:5]],
    }  # fmt: skip


def _search(bench: Bench, expected: int, **fields: Any) -> Measure:
    """Median latency of a search that must find ``expected`` models."""
    body = {"experiment_ids": [filled(bench)], **fields}
    found: List[Any] = ask(bench.port, PATH + "/search", body).get("models", [])
    if len(found) != expected or any(len(each["data"]["metrics"]) != 4 for each in found):
        raise Failed(f"found {len(found)} models, not {expected}, or not all they have")
    return latencies(bench.drive([data.post(PATH + "/search", body, bench.port)], 1, max_requests=200))


def search_all(bench: Bench) -> Measure:
    """All models with all they have, in one reply."""
    return _search(bench, COUNT, max_results=COUNT)


def search_best(bench: Bench) -> Measure:
    """The best 100 of those above a value."""
    order = [{"field_name": "metrics.accuracy", "ascending": False, "dataset_name": "iris"}]
    return _search(bench, 100, max_results=100, filter="metrics.accuracy > 0.5", order_by=order)


def create(bench: Bench) -> Measure:
    """Models created on many connections, per second."""
    experiment = bench.new_experiment()
    driven = bench.drive([data.post(PATH, model(experiment, f"model-{data.MARK_TEXT}"), bench.port)], MANY)
    body = {"experiment_ids": [experiment], "max_results": 1_000_000}
    sent = driven.result.next_number - FIRST_NUMBER
    kept = len(ask(bench.port, PATH + "/search", body).get("models", []))
    if kept != sent:
        raise Failed(f"{sent} models were acknowledged, {kept} are there")
    return rates(driven)


WORKLOADS = (
    Workload("models-create", "create logged model (8 items), 20 connections", "/s", MORE, None, "models", create,
             slow=True),
    Workload("models-search", f"search, {COUNT} logged models of 12 items", "ms", LESS, None, "models", search_all,
             slow=True),
    Workload("models-filter", f"filter + order by metric, first 100 of {COUNT} logged models", "ms", LESS, None,
             "models", search_best, slow=True),
)  # fmt: skip
