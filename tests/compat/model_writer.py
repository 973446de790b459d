"""Logged models through the client of MLflow 3: made, written to and read, in a folder or through a server.

Runs under the Python of an MLflow environment. ``uri`` is a folder (MLflow's own file store) or a server.
"""

import math
from typing import Any, Callable, Dict, List

from mlflow import MlflowClient
from mlflow.entities import Metric

T = 1700000000000

NAMES = [
    "plain", "ünï 漢字 🙂", "null", "123", "1e5", "- dash", "a #b", " spaces ", "two\nlines", "{a}", "`tick`",
    "x" * 400,
]  # fmt: skip
VALUES = {
    "simple": "1", "empty": "", "lines": "one\ntwo\n", "long": "v" * 5000, "yaml": "{a: [1]} # x", "spaces": " x ",
}  # fmt: skip
KEYS = ["dots.and-dashes_", "with space", "dir/file", "dir/deeper/file", "Ünïcode漢", "a:b"]


def fill(uri: str) -> Dict[str, Any]:
    """An experiment with a run and models of every kind; ids."""
    client = MlflowClient(tracking_uri=uri)
    experiment = str(client.create_experiment("models of all kinds"))
    run = str(client.create_run(experiment, start_time=T, run_name="trainer").info.run_id)
    models = [
        client.create_logged_model(experiment, name=name, source_run_id=run, model_type="kind" if at % 2 else None)
        for at, name in enumerate(NAMES)
    ]
    ids = [model.model_id for model in models]
    client.log_model_params(ids[0], VALUES)
    client.set_logged_model_tags(ids[0], {**VALUES, **{key: key for key in KEYS}})
    client.set_logged_model_tags(ids[0], {"simple": "overwritten", "gone": "x"})
    client.delete_logged_model_tag(ids[0], "gone")
    for step, value in enumerate([0.5, 0.25, math.inf, 1 / 3, -1e22]):
        client.log_metric(run, "loss", value, timestamp=T + step, step=step, model_id=ids[0])
        client.log_metric(
            run, "loss", value / 2, timestamp=T + 10 + step, step=step, model_id=ids[0], dataset_name="iris",
            dataset_digest=f"d{step % 2}",
        )
    client.log_batch(
        run, metrics=[Metric(f"m/{at}", at * 0.5, T + at, at, model_id=ids[at % 3]) for at in range(30)]
    )
    for at, status in enumerate(["READY", "FAILED", "PENDING"]):
        client.finalize_logged_model(ids[at], status)
    client.delete_logged_model(ids[3])
    return {"experiment": experiment, "run": run, "models": ids}


def dump(uri: str, made: Dict[str, Any]) -> Dict[str, Any]:
    """What a client finds: each model, and the names of some searches in their order."""
    client = MlflowClient(tracking_uri=uri)
    found = {model_id: model(client, model_id) for model_id in made["models"] if model_id != made["models"][3]}
    return {"models": found, "searches": searches(client, made["experiment"])}


def model(client: MlflowClient, model_id: str) -> Dict[str, Any]:
    """A model, with the last point of each metric and dataset: more is not what MLflow's file store gives."""
    same = client.get_logged_model(model_id)
    last: Dict[str, Any] = {}
    for point in same.metrics or []:
        key = repr((point.key, point.dataset_name, point.dataset_digest))
        place = [point.step, point.timestamp, repr(float(point.value)), point.run_id]
        if key not in last or place[:2] > last[key][:2]:
            last[key] = place
    return {
        "name": same.name, "type": same.model_type or "", "status": str(same.status), "run": same.source_run_id or "",
        "experiment": same.experiment_id, "location": same.artifact_location, "created": same.creation_timestamp,
        "updated": same.last_updated_timestamp, "tags": dict(same.tags), "params": dict(same.params), "metrics": last,
    }


def searches(client: MlflowClient, experiment: str) -> List[List[str]]:
    """The ids that some searches find, in their order."""
    asked: List[Dict[str, Any]] = [
        {}, {"filter_string": "name = 'plain'"}, {"filter_string": "params.simple = '1'"},
        {"filter_string": "tags.simple = 'overwritten' AND name LIKE 'pl%'"}, {"filter_string": "metrics.`m/3` >= 1.5"},
        {"order_by": [{"field_name": "name", "ascending": False}]},
        {"datasets": [{"dataset_name": "iris", "dataset_digest": "d1"}]},
    ]  # fmt: skip
    return [
        [each.model_id for each in client.search_logged_models(experiment_ids=[experiment], max_results=50, **one)]
        for one in asked
    ]


def make(folder: str, name: str) -> str:
    """A model in the default experiment; its id."""
    client = MlflowClient(tracking_uri=folder)
    made = client.create_logged_model("0", name=name, params={"p": "1"}, tags={"t": "1"})
    return str(made.model_id)


def touch(folder: str, model_id: str, run_id: str, value: float) -> None:
    """A tag, a param, a point and a status."""
    client = MlflowClient(tracking_uri=folder)
    client.set_logged_model_tags(model_id, {"t": str(value)})
    client.log_model_params(model_id, {f"p{value}": "x"})
    client.log_metric(run_id, "live", value, timestamp=T, step=int(value * 2), model_id=model_id)
    client.finalize_logged_model(model_id, "READY")


def see(folder: str, model_id: str) -> Dict[str, Any]:
    """What a client finds of one model."""
    return model(MlflowClient(tracking_uri=folder), model_id)


def drop(folder: str, model_id: str) -> None:
    """A model deleted."""
    MlflowClient(tracking_uri=folder).delete_logged_model(model_id)


TASKS: Dict[str, Callable[..., Any]] = {
    "fill": fill, "dump": dump, "make": make, "touch": touch, "see": see, "drop": drop,
}  # fmt: skip
