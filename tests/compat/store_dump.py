"""Everything that MLflow's client says of a store, as plain JSON: the same for a folder and for a server.

Runs under the Python of an MLflow environment.
"""

from typing import Any, Dict, List

from mlflow import MlflowClient
from mlflow.entities import ViewType

#: Pages that are read at most.
MOST_PAGES = 200


def dump(uri: str) -> Dict[str, Any]:
    """All experiments and runs of ``uri`` by id, with all that belongs to them."""
    client = MlflowClient(tracking_uri=uri)
    found: Dict[str, Any] = {"experiments": {}, "runs": {}}
    for experiment in everything(client.search_experiments, view_type=ViewType.ALL):
        found["experiments"][experiment.experiment_id] = {
            "name": experiment.name,
            "artifact_location": experiment.artifact_location,
            "lifecycle_stage": experiment.lifecycle_stage,
            "creation_time": experiment.creation_time,
            "last_update_time": experiment.last_update_time,
            "tags": dict(experiment.tags),
        }
    ids = list(found["experiments"])
    for run in everything(client.search_runs, experiment_ids=ids, run_view_type=ViewType.ALL):
        found["runs"][run.info.run_id] = run_as_json(client, run)
    return found


def everything(search: Any, **fields: Any) -> List[Any]:
    """All pages of a search."""
    parts: List[Any] = []
    token = None
    for _ in range(MOST_PAGES):
        page = search(page_token=token, max_results=50, **fields)
        parts += page
        token = page.token
        if not token:
            return parts
    raise AssertionError("the pages do not end")


def run_as_json(client: MlflowClient, run: Any) -> Dict[str, Any]:
    """One run with its inputs, outputs and the whole history of its metrics."""
    info = run.info
    same = client.get_run(info.run_id)
    assert same.data.params == run.data.params and same.data.tags == run.data.tags, "search and get differ"
    assert shown(same.data.metrics) == shown(run.data.metrics), "search and get differ"
    outputs = getattr(same, "outputs", None)
    return {
        "experiment_id": info.experiment_id,
        "run_name": info.run_name,
        "user_id": info.user_id,
        "status": info.status,
        "start_time": info.start_time,
        "end_time": info.end_time,
        "artifact_uri": info.artifact_uri,
        "lifecycle_stage": info.lifecycle_stage,
        "params": dict(run.data.params),
        "tags": dict(run.data.tags),
        "metrics": shown(run.data.metrics),
        "history": {key: history(client, info.run_id, key) for key in sorted(run.data.metrics)},
        "datasets": sorted(dataset(each) for each in same.inputs.dataset_inputs) if same.inputs else [],
        "model_inputs": sorted(each.model_id for each in getattr(same.inputs, "model_inputs", None) or []),
        "model_outputs": sorted(
            [each.model_id, each.step] for each in (outputs.model_outputs if outputs else None) or []
        ),
    }


def shown(metrics: Dict[str, float]) -> Dict[str, str]:
    """Values as text: NaN and infinities are not JSON."""
    return {key: repr(float(value)) for key, value in metrics.items()}


def history(client: MlflowClient, run_id: str, key: str) -> List[List[Any]]:
    """Points as [timestamp, step, value, model, dataset, digest], sorted: the folder keeps the order of writing."""
    points = []
    for metric in client.get_metric_history(run_id, key):
        more = [getattr(metric, name, None) for name in ("model_id", "dataset_name", "dataset_digest")]
        points.append([metric.timestamp, metric.step, repr(float(metric.value)), *more])
    return sorted(points, key=repr)


def dataset(each: Any) -> List[Any]:
    """A dataset input as a list."""
    data = each.dataset
    tags = sorted([tag.key, tag.value] for tag in each.tags)
    return [data.name, data.digest, data.source_type, data.source, data.schema or "", data.profile or "", tags]
