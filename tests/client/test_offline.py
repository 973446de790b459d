"""Logging without a network: what was logged is all there afterwards, once, whatever happens in between."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any, Dict, List, Tuple

import pytest

from tests.compat.peers import free_port
from tests.launch import PATIENCE, ROOT, Running, environment, run

SCRIPT = """
import sys, client_copy as mlflow
mlflow.set_experiment("off " + sys.argv[1])
mlflow.set_experiment_tag("kind", "test")
with mlflow.start_run(run_name="parent", tags={"team": "a"}, description="why") as parent:
    mlflow.log_params({"lr": 0.1, "n": 3})
    for step in range(2500):
        mlflow.log_metric("loss", 1 / (step + 1), step, step < 10, 1_700_000_000_000 + step)
    mlflow.log_metric("nan", float("nan"), timestamp=5)
    mlflow.log_metrics({"a": 1.5, "b": -2}, step=3, timestamp=7)
    for number in range(3):
        mlflow.log_metric("later", number, step=number, timestamp=9, synchronous=False)
    mlflow.set_tag("mark", "first")
    mlflow.set_tag("mark", "second")
    mlflow.set_tag("gone", 1)
    mlflow.delete_tag("gone")
    mlflow.log_input({"x": [1, 2]}, context="training")
    mlflow.log_text("words", "notes/a.txt")
    mlflow.log_dict({"lr": 0.1}, "config.json")
    with mlflow.start_run(run_name="child", nested=True):
        mlflow.log_metric("m", 4, timestamp=3)
try:
    with mlflow.start_run(run_name="failed"):
        raise KeyError
except KeyError:
    pass
"""


def script(text: str, folder: Path, *words: str, **extra: str) -> "subprocess.CompletedProcess[str]":
    """Run a script with a copy of the client beside it."""
    prepare(text, folder)
    return subprocess.run(
        [sys.executable, "script.py", *words], cwd=str(folder), env=variables(folder, **extra), capture_output=True,
        encoding="utf-8", timeout=PATIENCE,
    )


def prepare(text: str, folder: Path) -> None:
    (folder / "client_copy.py").write_bytes((ROOT / "trackd" / "client.py").read_bytes())
    (folder / "script.py").write_text(text, encoding="utf-8")


def variables(folder: Path, **extra: str) -> Dict[str, str]:
    quick = {"MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "0", "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER": "0"}
    return dict(environment(HOME=str(folder), **{**quick, **extra}), PYTHONPATH="")


def seen(mlflow: ModuleType, server: str, name: str) -> Any:
    """What a server has of an experiment, without what must differ from run to run."""
    client = mlflow.Client(server)
    experiment = client.get_experiment_by_name(name)
    assert experiment is not None
    found = []
    for each in client.search_runs([experiment.experiment_id]):
        whole = client.get_run(each.info.run_id)
        other = ("mlflow.parentRunId", "trackd.spoolRunId", "mlflow.source.name")
        tags = {key: value for key, value in whole.data.tags.items() if key not in other}
        parent = whole.data.tags.get("mlflow.parentRunId")
        histories = {
            key: [(at.timestamp, at.step, repr(at.value)) for at in client.get_metric_history(each.info.run_id, key)]
            for key in whole.data.metrics
        }
        found.append((
            whole.info.run_name, whole.info.status, whole.info.user_id, bool(whole.info.end_time),
            client.get_run(parent).info.run_name if parent else None, whole.data.params, tags, histories,
            [(each.dataset.name, each.dataset.digest, each.tags) for each in whole.inputs.dataset_inputs],
            {path: Path(client.download_artifacts(each.info.run_id, path)).read_bytes()
             for path in ("notes/a.txt", "config.json") if client.list_artifacts(each.info.run_id)},
        ))
    return {**experiment.tags}, sorted(found, key=lambda row: str(row[0]))


def spool_files(spool: Path) -> List[Path]:
    return sorted(spool.glob("*.jsonl"))


def created(spool: Path) -> Dict[str, Tuple[str, int]]:
    """Name -> id and start of the runs that were made in a spool."""
    found = {}
    for path in spool_files(spool):
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith('["call","POST","runs/create"'):
                body = json.loads(line)[3]
                found[body["run_name"]] = (body["run_id"], body["start_time"])
    return found


def sync(folder: Path, *words: str) -> str:
    """``trackd sync``, which must succeed; what it said."""
    done = run("sync", *words, cwd=folder)
    assert done.returncode == 0, (done.stdout, done.stderr)
    return done.stdout


@pytest.mark.slow
def test_what_was_logged_offline_equals_what_was_logged_online(mlflow: ModuleType, server: str, tmp_path: Path) -> None:
    online, offline = f"on {time.time_ns()}", f"of {time.time_ns()}"
    done = script(SCRIPT, tmp_path, online, MLFLOW_TRACKING_URI=server)
    assert (done.returncode, done.stderr) == (0, "")
    spool = tmp_path / "spool"
    done = script(SCRIPT, tmp_path, offline, MLFLOW_TRACKING_URI=f"spool:{spool}")
    assert (done.returncode, done.stderr) == (0, "")
    assert sync(tmp_path, str(spool), server).startswith("sent: 3 runs, 2,507 points of metrics")
    wanted = seen(mlflow, server, "off " + online)
    assert seen(mlflow, server, "off " + offline) == wanted and len(wanted[1]) == 3
    assert sync(tmp_path, str(spool), server) == "nothing new in the spool\n"
    assert seen(mlflow, server, "off " + offline) == wanted
    for path in spool.glob(".trackd-sync-*"):
        path.unlink()
    sync(tmp_path, str(spool), server)
    assert seen(mlflow, server, "off " + offline) == wanted


@pytest.mark.slow
def test_trackd_keeps_run_ids_and_times(mlflow: ModuleType, trackd_server: Running, tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    assert script(SCRIPT, tmp_path, f"ids {time.time_ns()}", MLFLOW_TRACKING_URI=f"spool:{spool}").returncode == 0
    client = mlflow.Client(f"http://127.0.0.1:{trackd_server.port}")
    sync(tmp_path, str(spool), client.tracking_uri)
    runs = created(spool)
    assert len(runs) == 3
    for name, (run_id, start) in runs.items():
        found = client.get_run(run_id)
        assert (found.info.run_name, found.info.start_time) == (name, start)
        assert "trackd.spoolRunId" not in found.data.tags


@pytest.mark.slow
def test_a_sync_that_is_killed_anywhere_goes_on(mlflow: ModuleType, trackd_server: Running, tmp_path: Path) -> None:
    spool, name = tmp_path / "spool", f"killed {time.time_ns()}"
    assert script(SCRIPT, tmp_path, name, MLFLOW_TRACKING_URI=f"spool:{spool}").returncode == 0
    server = f"http://127.0.0.1:{trackd_server.port}"
    whole = spool_files(spool)[0].read_bytes()
    lines = whole.splitlines(keepends=True)
    for number in (1, 3, 8, 1200, len(lines) - 3):
        # The state of an earlier moment, and a spool that had only grown so far, with a torn last line.
        spool_files(spool)[0].write_bytes(b"".join(lines[:number]) + lines[number][: len(lines[number]) // 2])
        sync(tmp_path, str(spool), server)
        for path in spool.glob(".trackd-sync-*"):
            if number % 2:
                path.unlink()
    spool_files(spool)[0].write_bytes(whole)
    sync(tmp_path, str(spool), server)
    other = tmp_path / "other"
    other.mkdir()
    assert script(SCRIPT, other, name + " once", MLFLOW_TRACKING_URI=f"spool:{other / 'spool'}").returncode == 0
    sync(other, str(other / "spool"), server)
    assert seen(mlflow, server, f"off {name}") == seen(mlflow, server, f"off {name} once")


@pytest.mark.slow
def test_a_script_that_is_killed_has_logged_what_it_logged(
    mlflow: ModuleType, trackd_server: Running, tmp_path: Path
) -> None:
    spool = tmp_path / "spool"
    prepare(
        "import client_copy as mlflow, itertools\nmlflow.start_run(run_name='endless')\n"
        "for step in itertools.count():\n    mlflow.log_metric('m', step, step=step)\n"
        "    if step == 500: print('now', flush=True)\n", tmp_path,
    )
    process = subprocess.Popen(
        [sys.executable, "script.py"], cwd=str(tmp_path), env=variables(tmp_path, MLFLOW_TRACKING_URI=f"spool:{spool}"),
        stdout=subprocess.PIPE, encoding="utf-8",
    )
    assert process.stdout is not None and process.stdout.readline() == "now\n"
    process.send_signal(signal.SIGKILL if os.name != "nt" else signal.SIGTERM)
    process.wait(PATIENCE)
    process.stdout.close()
    server = f"http://127.0.0.1:{trackd_server.port}"
    sync(tmp_path, str(spool), server)
    run_id = created(spool)["endless"][0]
    client = mlflow.Client(server)
    steps = [point.step for point in client.get_metric_history(run_id, "m")]
    assert steps == list(range(len(steps))) and len(steps) > 500
    assert client.get_run(run_id).info.status == "RUNNING"
    assert "FAILED" not in sync(tmp_path, "--fail-silent-runs", "1000", str(spool), server)
    path = spool_files(spool)[0]
    os.utime(str(path), (1_700_000_000, 1_700_000_000))
    assert run("sync", "--fail-silent-runs", "1000", str(spool), server, cwd=tmp_path).returncode == 0
    assert client.get_run(run_id).info[3:6] == ("FAILED", client.get_run(run_id).info.start_time, 1_700_000_000_000)


@pytest.mark.slow
def test_a_server_that_goes_in_the_middle_is_replaced_by_the_spool(mlflow: ModuleType, tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    text = (
        "import sys, client_copy as mlflow\nmlflow.set_experiment('middle')\n"
        "with mlflow.start_run(run_name='before') as run:\n"
        "    for step in range(10):\n"
        "        if step == 5:\n            print('stop', flush=True)\n            sys.stdin.readline()\n"
        "        mlflow.log_metric('m', step, step=step)\n"
        "        mlflow.log_metric('later', step, step=step, synchronous=False)\n"
        "    mlflow.log_text('kept', 'notes/a.txt')\n"
        "    with mlflow.start_run(run_name='after', nested=True):\n        mlflow.log_param('p', 1)\n"
    )
    prepare(text, tmp_path)
    folder = tmp_path / "server"
    folder.mkdir()
    with Running(folder) as server:
        port = server.port
        process = subprocess.Popen(
            [sys.executable, "script.py"], cwd=str(tmp_path), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, encoding="utf-8",
            env=variables(tmp_path, MLFLOW_TRACKING_URI=f"http://127.0.0.1:{port}", TRACKD_SPOOL=str(spool)),
        )
        assert process.stdout is not None and process.stdout.readline() == "stop\n"
        server.stop()
    _, complained = process.communicate("\n", timeout=PATIENCE)
    assert process.returncode == 0, complained
    assert complained.count("\n") == 1 and "trackd sync" in complained and "connection refused" in complained
    with Running(folder, "--port", str(port)):
        said = sync(tmp_path, str(spool))  # The spool knows which server it stood in for.
        assert "1 runs" in said
        client = mlflow.Client(f"http://127.0.0.1:{port}")
        runs = {run.info.run_name: run for run in client.search_runs(
            [client.get_experiment_by_name("middle").experiment_id]
        )}
        assert runs["before"].info.status == runs["after"].info.status == "FINISHED"
        assert runs["after"].data.tags["mlflow.parentRunId"] == runs["before"].info.run_id
        kept = client.download_artifacts(runs["before"].info.run_id, "notes/a.txt")
        assert Path(kept).read_text(encoding="utf-8") == "kept"
        for key in ("m", "later"):
            history = client.get_metric_history(runs["before"].info.run_id, key)
            assert [point.step for point in history] == list(range(10))


def test_without_a_spool_a_server_that_goes_is_one_sentence(mlflow: ModuleType, tmp_path: Path) -> None:
    text = (
        "import client_copy as mlflow\n"
        "try:\n    mlflow.start_run()\nexcept mlflow.MlflowException as error:\n    print(error.message)\n"
    )
    done = script(text, tmp_path, MLFLOW_TRACKING_URI=f"http://127.0.0.1:{free_port()}")
    assert done.returncode == 0 and done.stdout.count("\n") == 1
    assert "connection refused" in done.stdout and "MLFLOW_TRACKING_URI" in done.stdout


@pytest.mark.slow
def test_damaged_and_refused_lines_are_kept_and_said_and_the_rest_is_sent(
    mlflow: ModuleType, trackd_server: Running, tmp_path: Path
) -> None:
    spool = tmp_path / "spool"
    mlflow.set_tracking_uri(f"spool:{spool}")
    with mlflow.start_run(run_name="r") as active:
        mlflow.log_metric("m", 1.0, step=1)
        mlflow.log_param("p", "1")
        mlflow.log_param("p", "2")
        mlflow.log_metric("m", 2.0, step=2)
        mlflow.log_metric("m", 3.0, step=3)
    path = spool_files(spool)[0]
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('"value":2.0', '"value":2..0').replace('"FINISHED"', '"FINISHED"'), encoding="utf-8")
    server = f"http://127.0.0.1:{trackd_server.port}"
    done = run("sync", str(spool), server, cwd=tmp_path)
    assert done.returncode == 1 and done.stdout.count("refused") >= 3
    refused = [json.loads(line) for line in (spool / (path.name + ".refused")).read_text("utf-8").splitlines()]
    assert [line for _, line in refused if '"p"' in line] and [line for _, line in refused if "2..0" in line]
    client = mlflow.Client(server)
    assert [point.value for point in client.get_metric_history(active.info.run_id, "m")] == [1.0, 3.0]
    found = client.get_run(active.info.run_id)
    assert found.data.params == {"p": "1"} and found.info.status == "FINISHED"
    assert run("sync", str(spool), server, cwd=tmp_path).returncode == 0


def test_a_spool_answers_what_a_script_needs_and_refuses_the_rest(mlflow: ModuleType, tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    mlflow.set_tracking_uri(f"spool:{spool}")
    experiment = mlflow.set_experiment("named")
    assert mlflow.get_experiment(experiment.experiment_id).name == "named"
    with mlflow.start_run() as active:
        assert active.info.run_name and active.info.status == "RUNNING"
        mlflow.log_text("hello", "a/b.txt")
        assert [each.path for each in mlflow.list_artifacts(run_id=active.info.run_id)] == ["a"]
        with pytest.raises(mlflow.MlflowException, match="needs a server"):
            mlflow.search_runs()
        with pytest.raises(mlflow.MlflowException, match="needs a server"):
            mlflow.register_model(f"runs:/{active.info.run_id}/a", "m")
    assert mlflow.get_run(active.info.run_id).info.status == "FINISHED"
    for bad in ("key\n", "a" * 300):
        with pytest.raises(mlflow.MlflowException):
            mlflow.log_metric(bad, 1, run_id=active.info.run_id)
    (tmp_path / "file").write_text("")
    mlflow.set_tracking_uri(f"spool:{tmp_path / 'file'}")
    with pytest.raises(mlflow.MlflowException, match="cannot be written"):
        mlflow.start_run()


def test_a_run_goes_on_in_another_process(mlflow: ModuleType, trackd_server: Running, tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    first = "import client_copy as m\nwith m.start_run(run_name='two') as r:\n    m.log_metric('m', 1, step=1)\n"
    first += "print(r.info.run_id)\n"
    done = script(first, tmp_path, MLFLOW_TRACKING_URI=f"spool:{spool}")
    run_id = done.stdout.strip()
    second = "import client_copy as m\nwith m.start_run():\n    m.log_metric('m', 2, step=2)\n"
    done = script(second, tmp_path, MLFLOW_TRACKING_URI=f"spool:{spool}", MLFLOW_RUN_ID=run_id)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(spool_files(spool)) == 2
    server = f"http://127.0.0.1:{trackd_server.port}"
    sync(tmp_path, str(spool), server)
    found = mlflow.Client(server).get_run(run_id)
    assert (found.data.metrics, found.info.status) == ({"m": 2.0}, "FINISHED")


@pytest.mark.slow
def test_sync_says_in_one_sentence_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    nowhere = f"http://127.0.0.1:{free_port()}"
    for words, code, said in (
        (["sync"], 2, "takes a folder"),
        (["sync", "nowhere"], 2, "there is no folder nowhere"),
        (["sync", "empty", "ftp://x"], 2, "is no server's address"),
        (["sync", "--fail-silent-runs", "x", "empty"], 2, "--fail-silent-runs"),
    ):
        done = run(*words, cwd=tmp_path)
        assert done.returncode == code and done.stderr.count("\n") == 1 and said in done.stderr, done.stderr
    assert "neither a spool nor a folder" in run("sync", "empty", nowhere, cwd=tmp_path).stdout


@pytest.mark.slow
def test_watch_keeps_sending(mlflow: ModuleType, trackd_server: Running, tmp_path: Path) -> None:
    spool, server = tmp_path / "spool", f"http://127.0.0.1:{trackd_server.port}"
    process = subprocess.Popen(
        [sys.executable, "-m", "trackd", "watch", "--every", "1", str(spool), server], cwd=str(tmp_path),
        env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8",
    )
    try:
        assert process.stdout is not None and process.stdout.readline().startswith("watching ")
        mlflow.set_tracking_uri(f"spool:{spool}")
        with mlflow.start_run() as active:
            mlflow.log_metric("m", 1)
            assert process.stdout.readline().startswith("sent: ")
            assert mlflow.Client(server).get_run(active.info.run_id).info.status == "RUNNING"
        end = time.monotonic() + PATIENCE
        while mlflow.Client(server).get_run(active.info.run_id).info.status != "FINISHED":
            assert time.monotonic() < end
            time.sleep(0.1)
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE)
    assert process.returncode in (0, 130)
