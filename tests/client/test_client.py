"""The usual script, with the client, against trackd and against MLflow's own server."""

import math
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import ModuleType
from typing import Any, List

import pytest

from tests.launch import PATIENCE, ROOT, environment


def fresh(mlflow: ModuleType, server: str, name: str) -> str:
    """An experiment of its own for a test; its id."""
    mlflow.set_tracking_uri(server)
    return str(mlflow.set_experiment(f"{name} {time.time_ns()}").experiment_id)


def test_the_usual_script_logs_what_it_says(mlflow: ModuleType, server: str) -> None:
    experiment_id = fresh(mlflow, server, "usual")
    with mlflow.start_run(run_name="first", tags={"team": "a"}, description="why") as run:
        assert mlflow.active_run() is run
        mlflow.log_param("lr", 0.1)
        mlflow.log_params({"layers": 3, "name": "n", "none": None})
        for step in range(3):
            mlflow.log_metric("loss", 1 / (step + 1), step=step, timestamp=1000 + step)
        mlflow.log_metrics({"a/b": 1, "c": float("nan")}, step=7)
        mlflow.set_tag("x", 1)
        mlflow.set_tags({"y": "2", "z": True})
        mlflow.delete_tag("z")
    assert mlflow.active_run() is None
    found = mlflow.get_run(run.info.run_id)
    assert found.info.status == "FINISHED" and found.info.end_time >= found.info.start_time > 1_600_000_000_000
    assert found.info.run_name == "first" and found.info.experiment_id == experiment_id
    assert found.data.params == {"lr": "0.1", "layers": "3", "name": "n", "none": "None"}
    assert found.data.metrics["loss"] == 1 / 3 and math.isnan(found.data.metrics["c"])
    tags = found.data.tags
    assert (tags["x"], tags["y"], tags["team"], tags["mlflow.note.content"]) == ("1", "2", "a", "why")
    assert "z" not in tags and tags["mlflow.source.type"] == "LOCAL" and tags["mlflow.user"] == found.info.user_id
    history = mlflow.Client().get_metric_history(run.info.run_id, "loss")
    assert [(point.step, point.timestamp, point.value) for point in history] == [
        (0, 1000, 1.0), (1, 1001, 0.5), (2, 1002, 1 / 3)
    ]
    assert mlflow.last_active_run().info.run_id == run.info.run_id


def test_runs_nest_fail_and_go_on(mlflow: ModuleType, server: str) -> None:
    fresh(mlflow, server, "nest")
    with mlflow.start_run() as parent:
        with pytest.raises(Exception, match="active already"):
            mlflow.start_run()
        with mlflow.start_run(nested=True) as child:
            mlflow.log_metric("m", 1)
        with pytest.raises(ZeroDivisionError), mlflow.start_run(nested=True) as failed:
            raise ZeroDivisionError
        assert mlflow.active_run() is parent
    assert mlflow.get_parent_run(child.info.run_id).info.run_id == parent.info.run_id
    assert mlflow.get_run(failed.info.run_id).info.status == "FAILED"
    with mlflow.start_run(run_id=child.info.run_id) as again:
        assert again.info.status == "RUNNING"
        mlflow.log_metric("m", 2)
    assert mlflow.get_run(child.info.run_id).data.metrics == {"m": 2.0}
    mlflow.start_run()
    mlflow.end_run("KILLED")
    assert mlflow.last_active_run().info.status == "KILLED"


def test_the_environment_chooses_server_experiment_and_run(
    mlflow: ModuleType, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    name = f"by name {time.time_ns()}"
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", name)
    with mlflow.start_run() as run:
        pass
    assert mlflow.get_experiment(run.info.experiment_id).name == name
    monkeypatch.setenv("MLFLOW_RUN_ID", run.info.run_id)
    with mlflow.start_run() as again:
        assert again.info.run_id == run.info.run_id
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "0")
    with pytest.raises(mlflow.MlflowException, match="unset one"):
        mlflow.start_run()
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME")
    with mlflow.start_run() as other:
        assert other.info.experiment_id == "0"


def test_what_is_not_waited_for_arrives_whole_and_in_order(mlflow: ModuleType, server: str) -> None:
    fresh(mlflow, server, "later")
    with mlflow.start_run() as run:
        first = mlflow.log_metric("m", 0.0, step=0, synchronous=False)
        first.wait()
        for step in range(1, 2500):
            mlflow.log_metric("m", step * 0.5, step=step, synchronous=False)
        mlflow.log_params({f"p{number}": number for number in range(250)}, synchronous=False)
        for number in range(5):
            mlflow.set_tag("last", number, synchronous=False)
    history = mlflow.Client().get_metric_history(run.info.run_id, "m")
    assert [point.value for point in history] == [step * 0.5 for step in range(2500)]
    found = mlflow.get_run(run.info.run_id)
    assert len(found.data.params) == 250 and found.data.tags["last"] == "4" and found.info.status == "FINISHED"


def test_what_went_wrong_in_the_background_is_said_at_the_end_of_the_run(mlflow: ModuleType, server: str) -> None:
    fresh(mlflow, server, "later wrong")
    with pytest.raises(mlflow.MlflowException, match="in the background failed"), mlflow.start_run() as run:
        mlflow.log_param("p", 1)
        mlflow.log_params({"p": 2}, synchronous=False)
    assert mlflow.get_run(run.info.run_id).info.status == "FINISHED"


def test_batches_of_any_size_are_logged(mlflow: ModuleType, server: str) -> None:
    client = mlflow.Client(server)
    run_id = client.create_run("0").info.run_id
    client.log_batch(
        run_id,
        [mlflow.Metric("m", float(step), 5, step) for step in range(2100)],
        [mlflow.Param(f"p{number}", "v") for number in range(150)],
        [mlflow.RunTag(f"t{number}", "v") for number in range(150)],
    )
    found = client.get_run(run_id)
    assert found.data.metrics == {"m": 2099.0}
    assert len(found.data.params) == 150 and sum(key.startswith("t") for key in found.data.tags) == 150
    assert len(client.get_metric_history(run_id, "m")) == 2100


def test_searches_find_pages_and_all(mlflow: ModuleType, server: str) -> None:
    experiment_id = fresh(mlflow, server, "search")
    for number in range(5):
        with mlflow.start_run():
            mlflow.log_metric("m", number)
            mlflow.log_param("p", number)
    found = mlflow.search_runs(filter_string="metrics.m >= 2", order_by=["metrics.m DESC"])
    assert [run.data.params["p"] for run in found] == ["4", "3", "2"]
    assert len(mlflow.search_runs(max_results=2)) == 2
    page = mlflow.Client().search_runs([experiment_id], max_results=2)
    assert len(page) == 2 and page.token
    assert len(mlflow.Client().search_runs([experiment_id], max_results=4, page_token=page.token)) == 3
    names = [mlflow.get_experiment(experiment_id).name]
    assert len(mlflow.search_runs(experiment_names=names)) == 5
    assert mlflow.search_runs(experiment_names=["no such"]) == []
    assert [each.name for each in mlflow.search_experiments(filter_string=f"name = '{names[0]}'")] == names
    assert len(mlflow.search_runs(search_all_experiments=True)) >= 5


def test_experiments_and_runs_are_renamed_deleted_and_restored(mlflow: ModuleType, server: str) -> None:
    client = mlflow.MlflowClient(server)
    name = f"life {time.time_ns()}"
    experiment_id = client.create_experiment(name, tags={"a": 1})
    client.set_experiment_tag(experiment_id, "b", 2)
    client.rename_experiment(experiment_id, name + " renamed")
    found = client.get_experiment(experiment_id)
    assert found.name == name + " renamed" and found.tags == {"a": "1", "b": "2"} and found.lifecycle_stage == "active"
    assert client.get_experiment_by_name("no such name") is None
    run_id = client.create_run(experiment_id, start_time=77, run_name="r").info.run_id
    client.update_run(run_id, "FAILED", "s")
    assert client.get_run(run_id).info[3:5] == ("FAILED", 77) and client.get_run(run_id).info.run_name == "s"
    client.delete_run(run_id)
    assert client.get_run(run_id).info.lifecycle_stage == "deleted"
    client.restore_run(run_id)
    client.set_terminated(run_id, end_time=99)
    assert client.get_run(run_id).info.end_time == 99
    client.delete_experiment(experiment_id)
    mlflow.set_tracking_uri(server)
    with pytest.raises(mlflow.MlflowException, match="restore"):
        mlflow.set_experiment(name + " renamed")
    client.restore_experiment(experiment_id)
    assert mlflow.set_experiment(experiment_id=experiment_id).experiment_id == experiment_id


def test_a_plain_table_is_a_dataset(mlflow: ModuleType, server: str) -> None:
    fresh(mlflow, server, "inputs")
    table = [{"x": 1, "y": "a"}, {"x": 2, "y": None}]
    with mlflow.start_run() as run:
        mlflow.log_input(table, context="training", tags={"k": "v"})
        mlflow.log_input(mlflow.table_dataset({"x": [1.5]}, source="/data/x.csv", name="named"))
    inputs = mlflow.get_run(run.info.run_id).inputs.dataset_inputs
    plain, named = sorted(inputs, key=lambda each: each.dataset.name)
    assert plain.dataset.name == "dataset" and '"long"' in plain.dataset.schema
    assert '"num_rows": 2' in plain.dataset.profile
    assert {tag.key: tag.value for tag in plain.tags} == {"k": "v", "mlflow.data.context": "training"}
    assert named.dataset.source_type == "local" and "x.csv" in named.dataset.source


def test_errors_are_those_of_mlflow(mlflow: ModuleType, server: str) -> None:
    client = mlflow.Client(server)
    with pytest.raises(mlflow.MlflowException) as caught:
        client.get_run("0" * 32)
    assert isinstance(caught.value, mlflow.RestException) and caught.value.error_code == "RESOURCE_DOES_NOT_EXIST"
    assert caught.value.get_http_status_code() == 404 and caught.value.json["error_code"] == "RESOURCE_DOES_NOT_EXIST"
    run_id = client.create_run("0").info.run_id
    client.log_param(run_id, "p", 1)
    client.log_param(run_id, "p", 1)
    with pytest.raises(mlflow.exceptions.MlflowException) as caught:
        client.log_param(run_id, "p", 2)
    assert caught.value.error_code == "INVALID_PARAMETER_VALUE"
    for key, value in (("bad\nkey", 1.0), ("m", "many"), ("m", None)):
        with pytest.raises(mlflow.MlflowException) as caught:
            client.log_metric(run_id, key, value)
        assert caught.value.error_code == "INVALID_PARAMETER_VALUE"


def test_threads_share_connections_and_have_runs_of_their_own(mlflow: ModuleType, server: str) -> None:
    experiment_id = fresh(mlflow, server, "threads")
    wrong: List[BaseException] = []

    def work(number: int) -> None:
        try:
            with mlflow.start_run(run_name=f"t{number}"):
                for step in range(20):
                    mlflow.log_metric("m", number, step=step)
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    runs = mlflow.Client().search_runs([experiment_id])
    assert sorted((run.info.run_name, run.data.metrics["m"]) for run in runs) == [(f"t{n}", float(n)) for n in range(4)]


def script(text: str, folder: Path, **extra: str) -> "subprocess.CompletedProcess[str]":
    """Run a script that has the client beside it, alone, under another name."""
    (folder / "client_copy.py").write_bytes((ROOT / "trackd" / "client.py").read_bytes())
    (folder / "script.py").write_text("import client_copy as mlflow\n" + text, encoding="utf-8")
    env = environment(HOME=str(folder), **extra)
    env["PYTHONPATH"] = ""
    return subprocess.run(
        [sys.executable, "script.py"], cwd=str(folder), env=env, capture_output=True, encoding="utf-8",
        timeout=PATIENCE,
    )


def test_a_copy_of_the_file_alone_flushes_at_exit(mlflow: ModuleType, server: str, tmp_path: Path) -> None:
    done = script(
        "run = mlflow.start_run()\nprint(run.info.run_id)\n"
        "for step in range(1500): mlflow.log_metric('m', step, step=step, synchronous=False)\n",
        tmp_path, MLFLOW_TRACKING_URI=server,
    )
    assert (done.returncode, done.stderr) == (0, "")
    client = mlflow.Client(server)
    assert len(client.get_metric_history(done.stdout.strip(), "m")) == 1500
    found = client.get_run(done.stdout.strip())
    assert found.info.status == "FINISHED" and found.data.tags["mlflow.source.name"].endswith("script.py")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system does not fork")
def test_a_forked_child_has_connections_and_a_queue_of_its_own(
    mlflow: ModuleType, trackd_server: Any, tmp_path: Path
) -> None:
    done = script(
        # Pythons from 3.12 on warn of forks beside threads; this is about one.
        "import os, warnings\nwarnings.simplefilter('ignore')\n"
        "client = mlflow.Client()\nrun = client.create_run('0').info.run_id\nprint(run, flush=True)\n"
        "client.log_metric(run, 'parent', 1, synchronous=False).wait()\n"
        "child = os.fork()\n"
        "for step in range(50): client.log_metric(run, 'child' if not child else 'parent', step, step=step)\n"
        "if not child:\n    client.log_metric(run, 'late', 1, synchronous=False).wait()\n    os._exit(0)\n"
        "assert os.waitpid(child, 0)[1] == 0\n",
        tmp_path, MLFLOW_TRACKING_URI=f"http://127.0.0.1:{trackd_server.port}",
    )
    assert (done.returncode, done.stderr) == (0, "")
    client = mlflow.Client(f"http://127.0.0.1:{trackd_server.port}")
    assert client.get_run(done.stdout.strip()).data.metrics == {"child": 49.0, "parent": 49.0, "late": 1.0}


def test_importing_the_client_imports_little() -> None:
    code = "import sys; before = set(sys.modules); import trackd.client; print(*sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, encoding="utf-8")
    loaded = set(done.stdout.split())
    assert not loaded & {"http.client", "ssl", "email", "urllib.request", "logging", "asyncio", "tempfile"}
