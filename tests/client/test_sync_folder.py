"""Folders that MLflow's own file store wrote offline, sent to a server; and what a sync does when it is turned away."""

import json
import shutil
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any, Dict, Iterator, List, Tuple

import pytest

from tests import environments
from tests.launch import PATIENCE, Running, environment, python_of, run

#: Runs with mlflow, against a folder and against a server.
SCRIPT = """
import sys, mlflow
mlflow.set_tracking_uri(sys.argv[1])
mlflow.set_experiment(sys.argv[2])
mlflow.set_experiment_tag("kind", "test")
with mlflow.start_run(run_name="parent", description="why"):
    mlflow.log_params({"lr": 0.1, "a/b": "c"})
    client = mlflow.MlflowClient()
    points = [mlflow.entities.Metric("loss", 1 / (step + 1), 1000 + step, step) for step in range(1500)]
    client.log_batch(mlflow.active_run().info.run_id, points[:800])
    client.log_batch(mlflow.active_run().info.run_id, points[800:])
    mlflow.log_metric("nan", float("nan"), timestamp=5)
    mlflow.log_text("Grüße", "notes/a b.txt")
    mlflow.log_dict({"x": 1}, "config.json")
    with mlflow.start_run(run_name="child", nested=True):
        mlflow.log_metric("m", 2, timestamp=7)
try:
    with mlflow.start_run(run_name="failed"):
        raise KeyError
except KeyError:
    pass
with mlflow.start_run(run_name="deleted") as run:
    pass
mlflow.delete_run(run.info.run_id)
"""


def write(place: str, name: str, folder: Path) -> None:
    """Run the script with mlflow."""
    variables = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_ALLOW_FILE_STORE": "true"}
    done = subprocess.run(
        [python_of(environments.MLFLOW_3), "-c", SCRIPT, place, name], cwd=str(folder), env=environment(**variables),
        capture_output=True, encoding="utf-8", timeout=10 * PATIENCE,
    )
    assert done.returncode == 0, done.stderr


def seen(mlflow: ModuleType, uri: str, name: str) -> Tuple[Any, Dict[str, str]]:
    """What a server has of an experiment, without ids and places; and the ids by the names of the runs."""
    client = mlflow.Client(uri)
    experiment = client.get_experiment_by_name(name)
    assert experiment is not None
    found, ids = [], {}
    for each in client.search_runs([experiment.experiment_id], run_view_type=mlflow.ViewType.ALL):
        run_id = each.info.run_id
        ids[each.info.run_name] = run_id
        tags = {key: value for key, value in each.data.tags.items() if key not in ("mlflow.parentRunId", "mlflow.user")}
        histories = {
            key: [(at.timestamp, at.step, repr(at.value)) for at in client.get_metric_history(run_id, key)]
            for key in each.data.metrics
        }
        files = {
            path: Path(client.download_artifacts(run_id, path)).read_bytes()
            for path in ("notes/a b.txt", "config.json") if client.list_artifacts(run_id)
        }
        found.append((
            each.info.run_name, each.info.status, each.info.lifecycle_stage, bool(each.info.end_time),
            each.data.params, tags, "mlflow.parentRunId" in each.data.tags, histories, files,
        ))
    return (experiment.tags, sorted(found, key=lambda row: str(row[0]))), ids


@pytest.mark.compat
def test_a_folder_of_mlflow_is_sent_as_if_it_had_been_logged_online(
    mlflow: ModuleType, trackd_server: Running, tmp_path: Path
) -> None:
    uri = f"http://127.0.0.1:{trackd_server.port}"
    write(uri, "folder online", tmp_path)
    write((tmp_path / "mlruns").as_uri(), "folder offline", tmp_path)
    original = {path.name for path in (tmp_path / "mlruns").glob("[0-9]*/*") if (path / "meta.yaml").is_file()}
    shutil.move(str(tmp_path / "mlruns"), str(tmp_path / "carried"))
    done = run("sync", "carried", uri, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    wanted, _ = seen(mlflow, uri, "folder online")
    found, ids = seen(mlflow, uri, "folder offline")
    # trackd.copiedFrom is set by copies to servers that give ids themselves: not here.
    assert found == wanted
    assert set(ids.values()) == original
    parent = mlflow.Client(uri).get_run(ids["child"]).data.tags["mlflow.parentRunId"]
    assert parent == ids["parent"]
    again = run("sync", "carried", uri, cwd=tmp_path)
    assert again.returncode == 0
    table = {line.split()[0]: line.split()[-2] for line in again.stdout.splitlines()[1:]}
    assert {table[kind] for kind in ("runs", "artifacts", "experiments", "params", "tags")} == {"0"}
    assert seen(mlflow, uri, "folder offline") == (found, ids)


@pytest.fixture
def turning_away() -> Iterator[Tuple[str, List[Tuple[int, bytes]]]]:
    """A server that answers everything with the last of a list of answers."""
    answers: List[Tuple[int, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, body = answers[-1]
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = answer

        def log_message(self, *words: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}", answers
    server.shutdown()
    server.server_close()


@pytest.mark.slow
def test_a_sync_that_is_turned_away_refuses_nothing_and_goes_on_later(
    mlflow: ModuleType, trackd_server: Running, tmp_path: Path, turning_away: Tuple[str, List[Tuple[int, bytes]]]
) -> None:
    """A wrong password or address is no fault of what was logged."""
    mlflow.set_tracking_uri(f"spool:{tmp_path / 'spool'}")
    with mlflow.start_run() as active:
        mlflow.log_metric("m", 1.0)
    uri, answers = turning_away
    busy = json.dumps({"error_code": "TEMPORARILY_UNAVAILABLE", "message": "busy"}).encode()
    page = b"<html>hello</html>"
    for answer in ((401, b"who?"), (403, b"no"), (404, page), (503, busy), (200, page)):
        answers.append(answer)
        done = run("sync", "spool", uri, cwd=tmp_path, env=environment(
            MLFLOW_HTTP_REQUEST_MAX_RETRIES="1", MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR="0",
        ))
        assert done.returncode == 1 and done.stderr.count("\n") <= 2, done.stderr
        assert not list((tmp_path / "spool").glob("*.refused"))
    server = f"http://127.0.0.1:{trackd_server.port}"
    assert run("sync", "spool", server, cwd=tmp_path).returncode == 0
    assert mlflow.Client(server).get_run(active.info.run_id).data.metrics == {"m": 1.0}


@pytest.mark.compat
def test_a_list_of_runs_is_the_data_frame_of_mlflow(trackd_server: Running, tmp_path: Path) -> None:
    code = """
import os, sys
import mlflow, pandas
sys.path.insert(0, sys.argv[2])
import trackd.client as ours
for module in (mlflow, ours):
    module.set_tracking_uri(sys.argv[1])
    module.set_experiment("frames")
for number in range(3):
    with ours.start_run(run_name=str(number)):
        ours.log_metric("m", number)
        if number:
            ours.log_param("p", number)
theirs = mlflow.search_runs(order_by=["metrics.m DESC"])
mine = ours.search_runs(order_by=["metrics.m DESC"]).to_pandas()
assert set(mine.columns) == set(theirs.columns), (sorted(mine.columns), sorted(theirs.columns))
mine = ours.search_runs(order_by=["metrics.m DESC"], output_format="pandas")
for name in theirs.columns:
    mine_values = [None if pandas.isna(value) else value for value in mine[name]]
    their_values = [None if pandas.isna(value) else value for value in theirs[name]]
    assert mine_values == their_values, (name, mine_values, their_values)
ours.log_table(pandas.DataFrame({"a": [1, 2]}), "t.json")
frame = mlflow.load_table("t.json")
assert list(frame["a"]) == [1, 2]
ours.log_input(pandas.DataFrame({"a": [1.5, 2]}), "training")
ours.end_run()
"""
    done = subprocess.run(
        [python_of(environments.MLFLOW_3), "-c", code, f"http://127.0.0.1:{trackd_server.port}",
         str(Path(__file__).resolve().parents[2])],
        env=environment(MLFLOW_DISABLE_TELEMETRY="true"), capture_output=True, encoding="utf-8", cwd=str(tmp_path),
        timeout=10 * PATIENCE,
    )
    assert done.returncode == 0, done.stderr
