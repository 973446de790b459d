"""Small writes with MLflow's own file store into a folder that trackd is serving.

Runs under the Python of an MLflow environment. Each task is one write, as a training script would do it.
"""

import time
from typing import Any, Callable, Dict, List

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag


def client_of(folder: str) -> MlflowClient:
    """A client of the folder's own file store."""
    return MlflowClient(tracking_uri=folder)


def experiment(folder: str, name: str) -> str:
    """A new experiment; its id."""
    return str(client_of(folder).create_experiment(name, tags={"by": "script"}))


def run(folder: str, experiment_id: str, name: str) -> str:
    """A new run; its id."""
    return str(client_of(folder).create_run(experiment_id, run_name=name, tags={"made": "live"}).info.run_id)


def values(folder: str, run_id: str, params: Dict[str, str], tags: Dict[str, str], metrics: List[Any]) -> None:
    """Params, tags and [key, value, timestamp, step] points, one write each and the last ones in a batch."""
    client = client_of(folder)
    for key, value in params.items():
        client.log_param(run_id, key, value)
    for key, value in tags.items():
        client.set_tag(run_id, key, value)
    for key, value, timestamp, step in metrics:
        client.log_metric(run_id, key, value, timestamp=timestamp, step=step)
    client.log_batch(run_id, metrics=[Metric("batched", 1.0, int(time.time() * 1000), 0)],
                     params=[Param("batched", "1")], tags=[RunTag("batched", "1")])


def metric(folder: str, run_id: str, key: str, value: float, step: int) -> None:
    """One more point."""
    client_of(folder).log_metric(run_id, key, value, step=step)


def tag(folder: str, run_id: str, key: str, value: str) -> None:
    """A tag, new or overwritten."""
    client_of(folder).set_tag(run_id, key, value)


def drop_tag(folder: str, run_id: str, key: str) -> None:
    """A tag removed."""
    client_of(folder).delete_tag(run_id, key)


def finish(folder: str, run_id: str, status: str) -> None:
    """A run ended."""
    client_of(folder).set_terminated(run_id, status)


def delete(folder: str, run_id: str) -> None:
    """A run deleted."""
    client_of(folder).delete_run(run_id)


def restore(folder: str, run_id: str) -> None:
    """A run restored."""
    client_of(folder).restore_run(run_id)


def delete_experiment(folder: str, experiment_id: str) -> None:
    """An experiment deleted: its folder moves to ``.trash``."""
    client_of(folder).delete_experiment(experiment_id)


def restore_experiment(folder: str, experiment_id: str) -> None:
    """An experiment restored from ``.trash``."""
    client_of(folder).restore_experiment(experiment_id)


def rename_experiment(folder: str, experiment_id: str, name: str) -> None:
    """An experiment renamed."""
    client_of(folder).rename_experiment(experiment_id, name)


def see(folder: str, run_id: str) -> Dict[str, Any]:
    """What the file store itself says of a run that trackd wrote."""
    found = client_of(folder).get_run(run_id)
    return {"status": found.info.status, "name": found.info.run_name, "params": found.data.params,
            "tags": found.data.tags, "metrics": found.data.metrics, "stage": found.info.lifecycle_stage}


TASKS: Dict[str, Callable[..., Any]] = {
    "experiment": experiment, "run": run, "values": values, "metric": metric, "tag": tag, "drop tag": drop_tag,
    "finish": finish, "delete": delete, "restore": restore, "delete experiment": delete_experiment,
    "restore experiment": restore_experiment, "rename experiment": rename_experiment, "see": see,
}
