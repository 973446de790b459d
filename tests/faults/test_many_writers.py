"""Many writers on one run, through the server and beside it with MLflow's own file store: nothing is lost."""

import os
import subprocess
import threading
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List

import pytest

from tests.environments import MLFLOW_3, ready
from tests.faults.program import Client, Program, create_experiment, create_run, get_history, get_run, post, trackd

THREADS = 32
POINTS = 1000


@pytest.mark.slow
def test_32_threads_of_1000_metrics_on_one_run_lose_none(tmp_path: Path) -> None:
    root = tmp_path / "mlruns"
    failures: List[BaseException] = []

    def work(port: int, run_id: str, number: int) -> None:
        """Half of the points one by one, half in batches; the same few keys for all threads."""
        try:
            with Client(port) as client:
                step = 0
                while step < POINTS:
                    points = [_point(number, step + i) for i in range(1 if step < POINTS // 4 else 50)]
                    if len(points) == 1:
                        request = post("runs/log-metric", {"run_id": run_id, **points[0]})
                    else:
                        request = post("runs/log-batch", {"run_id": run_id, "metrics": points})
                    answer = client.exchange(request)
                    assert answer.status == 200, answer
                    step += len(points)
        except BaseException as error:
            failures.append(error)

    with Program(root) as program, program.client() as client:
        run_id = create_run(client)
        threads = [threading.Thread(target=work, args=(program.port, run_id, number)) for number in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        _assert_all(client, run_id)
    with Program(root) as program, program.client() as client:
        _assert_all(client, run_id)
    checked = trackd("check", str(root))
    assert checked.returncode == 0, checked.stdout


def _point(thread: int, step: int) -> Dict[str, Any]:
    return {"key": f"m{step % 3}", "value": thread, "timestamp": 1700000000000 + thread, "step": step}


def _assert_all(client: Client, run_id: str) -> None:
    """Every point of every thread is there, once, and the current one is the highest."""
    for key in range(3):
        steps = range(key, POINTS, 3)
        expected = sorted((1700000000000 + thread, step, float(thread)) for thread in range(THREADS) for step in steps)
        found = [(timestamp, step, value) for value, timestamp, step in get_history(client, run_id, f"m{key}")]
        assert found == expected
        last = (THREADS - 1.0, 1700000000000 + THREADS - 1, steps[-1])
        assert get_run(client, run_id)["metrics"][f"m{key}"] == last


#: Does what it is told, a line of Python at a time, with MLflow's client on the folder itself; answers with repr.
SCRIPT = """
import os, sys, time
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag, ViewType
client = MlflowClient(tracking_uri=sys.argv[1])
print("ready", flush=True)
for line in sys.stdin:
    print(repr(eval(line)), flush=True)
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("beside") / "mlruns"


@pytest.fixture(scope="module")
def program(root: Path) -> Iterator[Program]:
    with Program(root) as program:
        yield program


@pytest.fixture(scope="module")
def mlflow(program: Program) -> Iterator[Callable[[str], str]]:
    """MLflow's own file store on the folder that the server has."""
    environment = {**os.environ, "MLFLOW_ALLOW_FILE_STORE": "true", "MLFLOW_DISABLE_TELEMETRY": "true"}
    environment.pop("PYTHONPATH", None)
    process = subprocess.Popen(
        [str(ready(MLFLOW_3)), "-W", "ignore", "-c", SCRIPT, program.root.as_uri()], env=environment,
        cwd=program.root.parent, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8",
    )
    assert process.stdin and process.stdout
    stdin, stdout = process.stdin, process.stdout

    def ask(line: str) -> str:
        stdin.write(line + "\n")
        stdin.flush()
        answer = stdout.readline()
        assert answer, line
        return answer.rstrip("\n").strip("'")

    assert stdout.readline() == "ready\n"
    yield ask
    stdin.close()
    process.wait(timeout=30)
    stdout.close()


def _soon(what: Callable[[], object]) -> None:
    """Wait until it holds: two seconds are promised; a busy machine gets more."""
    end = time.monotonic() + 8
    while not what():
        assert time.monotonic() < end, "what MLflow wrote does not show"
        time.sleep(0.02)


@pytest.mark.compat
@pytest.mark.slow
def test_what_mlflow_writes_into_the_folder_shows_up(program: Program, mlflow: Callable[[str], str]) -> None:
    with program.client() as client:
        # An experiment and a run that only MLflow knows of.
        experiment_id = mlflow("client.create_experiment('from beside')")
        _soon(lambda: client.get("experiments/get", {"experiment_id": experiment_id}).status == 200)
        run_id = mlflow(f"client.create_run('{experiment_id}', run_name='beside').info.run_id")
        _soon(lambda: client.get("runs/get", {"run_id": run_id}).status == 200)
        _soon(lambda: get_run(client, run_id)["info"]["run_name"] == "beside")
        # New files, and lines in files that are there.
        mlflow(f"client.log_param('{run_id}', 'p', 'ünï')")
        mlflow(f"client.set_tag('{run_id}', 'deep/t', 'v')")
        mlflow(f"client.log_metric('{run_id}', 'm', 1.5, 1700000000000, 1)")
        _soon(lambda: get_run(client, run_id)["params"] == {"p": "ünï"})
        _soon(lambda: get_run(client, run_id)["tags"].get("deep/t") == "v")
        _soon(lambda: get_history(client, run_id, "m") == [(1.5, 1700000000000, 1)])
        mlflow(f"client.log_metric('{run_id}', 'm', 2.5, 1700000000001, 2)")
        _soon(lambda: len(get_history(client, run_id, "m")) == 2)
        assert get_run(client, run_id)["metrics"]["m"] == (2.5, 1700000000001, 2)
        # Both write to the same file.
        point = {"key": "m", "value": 3.5, "timestamp": 1700000000002, "step": 3}
        client.ok("runs/log-metric", {"run_id": run_id, **point})
        mlflow(f"client.log_metric('{run_id}', 'm', 4.5, 1700000000003, 4)")
        _soon(lambda: [point[0] for point in get_history(client, run_id, "m")] == [1.5, 2.5, 3.5, 4.5])
        assert mlflow(f"[m.value for m in client.get_metric_history('{run_id}', 'm')]") == "[1.5, 2.5, 3.5, 4.5]"
        # A tag that is set anew, the end of the run, a name.
        mlflow(f"client.set_tag('{run_id}', 'deep/t', 'w')")
        _soon(lambda: get_run(client, run_id)["tags"].get("deep/t") == "w")
        mlflow(f"client.set_terminated('{run_id}')")
        _soon(lambda: get_run(client, run_id)["info"]["status"] == "FINISHED")
        mlflow(f"client.delete_tag('{run_id}', 'deep/t')")
        _soon(lambda: "deep/t" not in get_run(client, run_id)["tags"])
        mlflow(f"client.delete_run('{run_id}')")
        _soon(lambda: get_run(client, run_id)["info"]["lifecycle_stage"] == "deleted")
        assert client.ok("runs/search", {"experiment_ids": [experiment_id]}).get("runs", []) == []
        mlflow(f"client.restore_run('{run_id}')")
        _soon(lambda: get_run(client, run_id)["info"]["lifecycle_stage"] == "active")
    _assert_sound(program)


@pytest.mark.compat
@pytest.mark.slow
def test_experiments_that_mlflow_changes_show_up(program: Program, mlflow: Callable[[str], str]) -> None:
    with program.client() as client:
        ours = create_experiment(client, "ours")
        run_id = create_run(client, ours)

        def experiment() -> Dict[str, Any]:
            found: Dict[str, Any] = client.found("experiments/get", {"experiment_id": ours})["experiment"]
            return found

        mlflow(f"client.rename_experiment('{ours}', 'renamed: ünï')")
        _soon(lambda: experiment()["name"] == "renamed: ünï")
        _soon(lambda: client.get("experiments/get-by-name", {"experiment_name": "ours"}).status == 404)
        mlflow(f"client.set_experiment_tag('{ours}', 'a', 'b')")
        _soon(lambda: experiment().get("tags") == [{"key": "a", "value": "b"}])
        mlflow(f"client.delete_experiment('{ours}')")
        _soon(lambda: experiment()["lifecycle_stage"] == "deleted")
        _soon(lambda: get_run(client, run_id)["info"]["lifecycle_stage"] == "deleted")
        mlflow(f"client.restore_experiment('{ours}')")
        _soon(lambda: experiment()["lifecycle_stage"] == "active")
        _soon(lambda: get_run(client, run_id)["info"]["lifecycle_stage"] == "active")
        # And the other way: MLflow sees at once what the server writes.
        client.ok("runs/set-tag", {"run_id": run_id, "key": "t", "value": "from the server"})
        assert mlflow(f"client.get_run('{run_id}').data.tags['t']") == "from the server"
    _assert_sound(program)


@pytest.mark.compat
@pytest.mark.slow
def test_the_server_and_mlflow_append_to_one_file_at_the_same_time(
    program: Program, mlflow: Callable[[str], str]
) -> None:
    count = 300
    with program.client() as client:
        run_id = create_run(client)
        failures: List[BaseException] = []

        def write() -> None:
            try:
                with program.client() as own:
                    for i in range(count):
                        own.ok("runs/log-metric", {"run_id": run_id, "key": "m", "value": i, "timestamp": i, "step": 1})
            except BaseException as error:
                failures.append(error)

        thread = threading.Thread(target=write)
        thread.start()
        mlflow(f"[client.log_metric('{run_id}', 'm', float(i), i, 2) for i in range({count})] and None")
        thread.join()
        assert failures == []
        expected = sorted((i, step) for i in range(count) for step in (1, 2))
        _soon(lambda: sorted((point[1], point[2]) for point in get_history(client, run_id, "m")) == expected)
    _assert_sound(program)


def _assert_sound(program: Program) -> None:
    """Nothing failed, and check finds nothing. (What MLflow is just writing may look damaged for a moment.)"""
    assert "ERROR" not in program.output and "Traceback" not in program.output, program.output
    checked = trackd("check", str(program.root))
    assert checked.returncode == 0, checked.stdout
