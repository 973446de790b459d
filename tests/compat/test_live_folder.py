"""A script that writes with MLflow's own file store into the folder that trackd serves is seen within two seconds."""

import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, NamedTuple

import pytest

from tests.compat import peers
from tests.compat.peers import Peer
from tests.compat.workers import Worker

pytestmark = pytest.mark.compat

#: The promise is two seconds; the rest is for a busy machine's scheduling.
LIMIT = 2.0 + 1.0


class Shared(NamedTuple):
    """A trackd and the folder that it serves."""

    peer: Peer
    folder: str


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    """One trackd for all tests here; each makes its own experiment."""
    folder = tmp_path_factory.mktemp("live")
    peer = peers.start_trackd(folder)
    try:
        yield Shared(peer, str(Path(folder) / "mlruns"))
    finally:
        peer.stop()


def soon(ask: Callable[[], Any], wanted: Any) -> None:
    """Ask until the answer is ``wanted``; the last answer must be, at the latest when the limit is over."""
    end = time.monotonic() + LIMIT
    while ask() != wanted and time.monotonic() < end:
        time.sleep(0.05)
    assert ask() == wanted


def found_experiments(shared: Shared, name: str, view: str = "ACTIVE_ONLY") -> Dict[str, str]:
    """Id and stage by name of the experiments whose name begins so."""
    asked = {"max_results": 100, "filter": f"name LIKE '{name}%'", "view_type": view}
    body = shared.peer.call("experiments/search", asked)
    return {each["name"]: each["lifecycle_stage"] for each in body.get("experiments", [])}


def run_of(shared: Shared, run_id: str) -> Dict[str, Any]:
    """The run as runs/get has it, or the status that was answered instead."""
    answer = shared.peer.ask("GET", "/api/2.0/mlflow/runs/get", query=[("run_id", run_id)])
    if answer.status != 200:
        return {"status": answer.status}
    data = answer.body["run"]["data"]
    return {
        "info": answer.body["run"]["info"],
        "params": {each["key"]: each["value"] for each in data.get("params", [])},
        "tags": {each["key"]: each["value"] for each in data.get("tags", []) if not each["key"].startswith("mlflow.")},
        "metrics": {each["key"]: each["value"] for each in data.get("metrics", [])},
    }


def names_of_runs(shared: Shared, experiment_id: str, text: str, view: str = "ACTIVE_ONLY") -> Any:
    """The names of the runs that a filter finds."""
    asked = {"experiment_ids": [experiment_id], "filter": text, "run_view_type": view, "order_by": ["run_name"]}
    body = shared.peer.call("runs/search", asked)
    return [run["info"]["run_name"] for run in body.get("runs", [])]


def started(shared: Shared, worker: Worker, name: str) -> Dict[str, str]:
    """A new experiment with a run, both written by the script and seen by trackd."""
    version = worker.do("version")
    experiment_id = worker.do("live experiment", folder=shared.folder, name=f"{name} {version}")
    run_id = worker.do("live run", folder=shared.folder, experiment_id=experiment_id, name="one")
    soon(lambda: run_of(shared, run_id).get("tags"), {"made": "live"})
    return {"experiment": experiment_id, "run": run_id, "name": f"{name} {version}"}


def test_a_new_experiment_and_a_new_run_appear(shared: Shared, worker: Worker) -> None:
    name = f"new {worker.do('version')}"
    experiment_id = worker.do("live experiment", folder=shared.folder, name=name)
    soon(lambda: found_experiments(shared, name), {name: "active"})
    assert shared.peer.call("experiments/get", experiment_id=experiment_id)["experiment"]["tags"] == [
        {"key": "by", "value": "script"}]
    worker.do("live run", folder=shared.folder, experiment_id=experiment_id, name="one")
    soon(lambda: names_of_runs(shared, experiment_id, "tags.made = 'live'"), ["one"])
    worker.do("live run", folder=shared.folder, experiment_id=experiment_id, name="two")
    soon(lambda: names_of_runs(shared, experiment_id, ""), ["one", "two"])


def test_params_tags_and_metrics_appear_in_reads_and_searches(shared: Shared, worker: Worker) -> None:
    made = started(shared, worker, "values")
    worker.do("live values", folder=shared.folder, run_id=made["run"], params={"lr": "0.1", "deep/er": "x"},
              tags={"team": "blue"},
              metrics=[["loss", 0.5, 1000, 0], ["loss", 0.25, 2000, 1], ["val/acc", 0.75, 1000, 0]])
    soon(lambda: run_of(shared, made["run"])["metrics"], {"batched": 1.0, "loss": 0.25, "val/acc": 0.75})
    soon(lambda: run_of(shared, made["run"])["params"], {"batched": "1", "lr": "0.1", "deep/er": "x"})
    soon(lambda: run_of(shared, made["run"])["tags"], {"batched": "1", "made": "live", "team": "blue"})
    soon(lambda: names_of_runs(shared, made["experiment"], "metrics.loss < 0.3 AND params.lr = '0.1'"), ["one"])
    history = shared.peer.call("metrics/get-history", run_id=made["run"], metric_key="loss")["metrics"]
    found = [(point["value"], point["timestamp"], point["step"]) for point in history]
    assert found == [(0.5, 1000, 0), (0.25, 2000, 1)]


def test_points_appended_to_a_metric_appear_again_and_again(shared: Shared, worker: Worker) -> None:
    made = started(shared, worker, "appended")
    for step in range(3):
        worker.do("live metric", folder=shared.folder, run_id=made["run"], key="m", value=step * 0.5, step=step)
        soon(lambda: run_of(shared, made["run"])["metrics"], {"m": step * 0.5})
    history = shared.peer.call("metrics/get-history", run_id=made["run"], metric_key="m")["metrics"]
    assert [point["step"] for point in history] == [0, 1, 2]


def test_overwritten_and_removed_tags_appear(shared: Shared, worker: Worker) -> None:
    made = started(shared, worker, "tags")
    for value in ("first", "other", "third"):
        worker.do("live tag", folder=shared.folder, run_id=made["run"], key="t", value=value)
        soon(lambda: run_of(shared, made["run"])["tags"].get("t"), value)
    soon(lambda: names_of_runs(shared, made["experiment"], "tags.t = 'third'"), ["one"])
    worker.do("live drop tag", folder=shared.folder, run_id=made["run"], key="t")
    soon(lambda: run_of(shared, made["run"])["tags"], {"made": "live"})


def test_the_end_of_a_run_its_deletion_and_its_restoration_appear(shared: Shared, worker: Worker) -> None:
    made = started(shared, worker, "lifecycle")
    worker.do("live finish", folder=shared.folder, run_id=made["run"], status="FAILED")
    soon(lambda: run_of(shared, made["run"])["info"]["status"], "FAILED")
    worker.do("live delete", folder=shared.folder, run_id=made["run"])
    soon(lambda: run_of(shared, made["run"])["info"]["lifecycle_stage"], "deleted")
    soon(lambda: names_of_runs(shared, made["experiment"], ""), [])
    worker.do("live restore", folder=shared.folder, run_id=made["run"])
    soon(lambda: names_of_runs(shared, made["experiment"], "status = 'FAILED'"), ["one"])


def test_a_renamed_deleted_and_restored_experiment_appears(shared: Shared, worker: Worker) -> None:
    made = started(shared, worker, "experiment")
    new = made["name"] + " new"
    worker.do("live rename experiment", folder=shared.folder, experiment_id=made["experiment"], name=new)
    soon(lambda: found_experiments(shared, made["name"]), {new: "active"})
    worker.do("live delete experiment", folder=shared.folder, experiment_id=made["experiment"])
    soon(lambda: found_experiments(shared, made["name"], "ALL"), {new: "deleted"})
    worker.do("live restore experiment", folder=shared.folder, experiment_id=made["experiment"])
    soon(lambda: found_experiments(shared, made["name"], "ALL"), {new: "active"})
    soon(lambda: names_of_runs(shared, made["experiment"], ""), ["one"])


def test_script_and_server_write_to_one_run_and_both_see_all(shared: Shared, worker: Worker) -> None:
    made = started(shared, worker, "both")
    run_id = made["run"]
    for step in range(3):
        worker.do("live metric", folder=shared.folder, run_id=run_id, key="m", value=float(step), step=step)
        point = {"run_id": run_id, "key": "m", "value": step + 0.5, "timestamp": 5, "step": step}
        shared.peer.call("runs/log-metric", point)
    shared.peer.call("runs/log-parameter", {"run_id": run_id, "key": "p", "value": "ours"})
    shared.peer.call("runs/set-tag", {"run_id": run_id, "key": "made", "value": "together"})
    seen = worker.do("live see", folder=shared.folder, run_id=run_id)
    assert seen["params"] == {"p": "ours"} and seen["tags"]["made"] == "together"

    def points() -> Any:
        history = shared.peer.call("metrics/get-history", run_id=run_id, metric_key="m")["metrics"]
        return sorted(point["value"] for point in history)

    soon(points, [0.0, 0.5, 1.0, 1.5, 2.0, 2.5])


def test_what_trackd_writes_is_there_for_the_script_at_once(shared: Shared, worker: Worker) -> None:
    name = f"ours {worker.do('version')}"
    experiment_id = shared.peer.call("experiments/create", {"name": name})["experiment_id"]
    run = shared.peer.call("runs/create", {"experiment_id": experiment_id, "run_name": "ours", "start_time": 5})["run"]
    run_id = run["info"]["run_id"]
    shared.peer.call("runs/log-batch", {"run_id": run_id, "params": [{"key": "p", "value": "1"}],
                                        "metrics": [{"key": "m", "value": 0.5, "timestamp": 5, "step": 2}]})
    shared.peer.call("runs/update", {"run_id": run_id, "status": "FINISHED", "end_time": 9, "run_name": "renamed"})
    seen = worker.do("live see", folder=shared.folder, run_id=run_id)
    assert (seen["status"], seen["name"], seen["params"], seen["metrics"], seen["stage"]) == (
        "FINISHED", "renamed", {"p": "1"}, {"m": 0.5}, "active")
    shared.peer.call("runs/delete", {"run_id": run_id})
    assert worker.do("live see", folder=shared.folder, run_id=run_id)["stage"] == "deleted"
    shared.peer.call("runs/restore", {"run_id": run_id})
    assert worker.do("live see", folder=shared.folder, run_id=run_id)["stage"] == "active"
