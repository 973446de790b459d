"""Runs that move to another experiment, what there is in experiments, and whether anything has changed."""

import shutil
import sqlite3
from pathlib import Path
from typing import Any, Dict, List

import pytest

from tests.conftest import Client, pairs
from trackd.app import App
from trackd.config import Config
from trackd.entities import ACTIVE, RunInfo
from trackd.store import open_store
from trackd.store.base import Store
from trackd.store.file import disk, index

MOVE = "/api/trackd/runs/move"


def experiment(client: Client, name: str) -> str:
    """The id of a new experiment."""
    return str(client.ok("experiments/create", name=name)["experiment_id"])


def found(client: Client, experiment_id: str, filter: str = "") -> List[str]:
    """The ids of the runs that a search in an experiment finds."""
    runs = client.ok("runs/search", experiment_ids=[experiment_id], filter=filter).get("runs", [])
    return sorted(run["info"]["run_id"] for run in runs)


def full_run(client: Client, **fields: Any) -> str:
    """A run with something of everything."""
    run = client.run(**fields)
    client.ok(
        "runs/log-batch", run_id=run, params=[{"key": "a/p", "value": "1"}], tags=[{"key": "t", "value": "2"}],
        metrics=[{"key": "m", "value": float(step), "timestamp": step, "step": step} for step in range(3)],
    )  # fmt: skip
    dataset = {"name": "d", "digest": "e", "source_type": "l", "source": "s"}
    client.ok("runs/log-inputs", run_id=run, datasets=[
        {"dataset": dataset, "tags": [{"key": "mlflow.data.context", "value": "train"}]}
    ])  # fmt: skip
    return run


def test_moved_runs_keep_all_they_have_and_can_be_written_to(client: Client) -> None:
    target = experiment(client, "target")
    runs = sorted([full_run(client), full_run(client)])
    before = [client.get_run(run) for run in runs]
    reply = client.ok(MOVE, run_ids=runs, experiment_id=target)
    assert [info["experiment_id"] for info in reply["run_infos"]] == [target, target]
    assert found(client, "0") == [] and found(client, target) == runs
    assert found(client, target, "dataset.name = 'd' and metrics.m = 2 and params.`a/p` = '1'") == runs
    for run, old in zip(runs, before):
        now = client.get_run(run)
        assert now["data"] == old["data"] and now["inputs"] == old["inputs"]
        assert {**now["info"], "experiment_id": "0"} == old["info"], "the artifacts' URI among it"
        client.ok("runs/log-metric", run_id=run, key="m", value=9.0, timestamp=9, step=9)
        client.ok("runs/set-tag", run_id=run, key="after", value="yes")
        history = client.get("metrics/get-history", {"run_id": run, "metric_key": "m"}).json["metrics"]
        assert [point["value"] for point in history] == [0.0, 1.0, 2.0, 9.0]
        assert pairs(client.get_run(run)["data"]["tags"])["after"] == "yes"
    datasets = client.ok("/ajax-api/2.0/mlflow/experiments/search-datasets", experiment_ids=[target])
    assert [(each["name"], each["context"]) for each in datasets["dataset_summaries"]] == [("d", "train")]
    client.ok(MOVE, run_ids=runs[:1], experiment_id="0")
    assert found(client, "0") == runs[:1] and found(client, target) == runs[1:]


@pytest.mark.parametrize("wrong", ["no run", "deleted run", "no experiment", "deleted experiment"])
def test_a_move_that_cannot_be_done_moves_nothing(client: Client, wrong: str) -> None:
    runs, target = [client.run(), client.run()], experiment(client, "target")
    body: Dict[str, Any] = {"run_ids": list(runs), "experiment_id": target}
    if wrong == "no run":
        body["run_ids"].append("0" * 32)
    elif wrong == "no experiment":
        body["experiment_id"] = "77"
    elif wrong == "deleted run":
        client.ok("runs/delete", run_id=runs[1])
    else:
        client.ok("experiments/delete", experiment_id=target)
    reply = client.post(MOVE, body)
    assert reply.status == (404 if wrong.startswith("no ") else 400), reply.json
    assert all(client.get_run(run)["info"]["experiment_id"] == "0" for run in runs)


def test_a_move_to_where_a_run_is_changes_nothing(client: Client) -> None:
    run = client.run()
    assert client.ok(MOVE, run_ids=[run, run], experiment_id="0")["run_infos"][0]["experiment_id"] == "0"


def files(root: Path) -> List[str]:
    """All files below a folder but the store's own."""
    paths = (path for path in root.rglob("*") if path.is_file() and not path.name.startswith(".trackd"))
    return sorted(path.relative_to(root).as_posix() for path in paths)


def test_artifacts_in_the_folder_of_a_run_move_with_it_and_a_new_index_finds_all(tmp_path: Path) -> None:
    root = tmp_path / "ml runs"
    store = open_store(str(root), sync="off")
    client = Client(App(store, Config(backend_store_uri=str(root))))
    target = experiment(client, "target")
    run = "a" * 32
    with store.transaction() as tx:
        uri = (root / "0" / run / "artifacts").as_uri()
        tx.add_run(RunInfo(run, "0", "n", "u", "RUNNING", 1, None, uri, ACTIVE), [])
    (root / "0" / run / "artifacts" / "model.txt").write_text("weights")
    client.ok("runs/log-metric", run_id=run, key="m", value=1.0, timestamp=1)
    assert client.ok(MOVE, run_ids=[run], experiment_id=target)["run_infos"][0]["artifact_uri"] == (
        (root / target / run / "artifacts").as_uri()
    )
    assert not (root / "0" / run).exists() and f"{target}/{run}/artifacts/model.txt" in files(root)
    before = client.get_run(run)
    store.close()
    for path in root.glob(".trackd-index*"):
        path.unlink()
    again = open_store(str(root), sync="off")
    assert Client(App(again, Config(backend_store_uri=str(root)))).get_run(run) == before
    assert again.check() == []
    again.close()


def test_a_folder_that_is_in_the_way_is_not_touched(tmp_path: Path) -> None:
    store = open_store(str(tmp_path), sync="off")
    client = Client(App(store, Config(backend_store_uri=str(tmp_path))))
    target, run = experiment(client, "target"), client.run()
    (tmp_path / target / run).mkdir()
    assert client.post(MOVE, {"run_ids": [run], "experiment_id": target}).status == 400
    assert client.get_run(run)["info"]["experiment_id"] == "0" and (tmp_path / "0" / run / "meta.yaml").exists()
    store.close()


def test_a_crash_between_two_moves_of_one_transaction_is_finished_by_the_next_start(tmp_path: Path) -> None:
    root, copy = tmp_path / "mlruns", tmp_path / "copy"
    store = open_store(str(root), sync="off")
    client = Client(App(store, Config(backend_store_uri=str(root))))
    target, runs = experiment(client, "target"), sorted([full_run(client), full_run(client)])
    client.ok("runs/set-tag", run_id=runs[0], key="last", value="before the move")
    client.ok(MOVE, run_ids=runs, experiment_id=target)
    expected = [client.get_run(run) for run in runs]
    # The folder as it would be had the server died between the two: changes pending, the second move not done.
    shutil.copytree(root, copy)
    store.close()
    shutil.rmtree(root)
    copy.rename(root)
    (root / target / runs[1]).rename(root / "0" / runs[1])
    assert [change.kind for change in index.decode_changes(_pending(root)[-1])][-2:] == [disk.MOVE] * 2
    again = open_store(str(root), sync="off")
    other = Client(App(again, Config(backend_store_uri=str(root))))
    assert [other.get_run(run) for run in runs] == expected
    assert not (root / "0" / runs[0]).exists() and not (root / "0" / runs[1]).exists()
    assert again.check() == []
    again.close()


def _pending(root: Path) -> List[str]:
    connection = sqlite3.connect(root / ".trackd-index.db")
    try:
        return [row[0] for row in connection.execute("SELECT changes FROM trackd_changes ORDER BY sequence")]
    finally:
        connection.close()


def test_many_runs_are_listed_in_the_order_they_were_asked_for(client: Client) -> None:
    runs = [full_run(client), client.run(), client.run()]
    client.ok("runs/delete", run_id=runs[2])
    reply = client.ok("/api/trackd/runs/list", run_ids=[runs[2], "../x", "0" * 32, runs[0], runs[1], runs[0]])
    assert [run["info"]["run_id"] for run in reply["runs"]] == [runs[2], runs[0], runs[1]]
    assert reply["runs"][1] == client.get_run(runs[0])
    assert client.ok("/api/trackd/runs/list", run_ids=["x"]) == {}


def test_the_keys_of_experiments_come_with_the_number_of_runs_that_have_them(client: Client) -> None:
    other = experiment(client, "other")
    full_run(client)
    full_run(client)
    client.ok("runs/log-parameter", run_id=client.run(other), key="elsewhere", value="1")
    reply = client.get("/api/trackd/keys", {"experiment_ids": ["0"]}).json
    assert reply["metrics"] == [{"key": "m", "runs": 2}] and reply["params"] == [{"key": "a/p", "runs": 2}]
    assert {"key": "t", "runs": 2} in reply["tags"]
    reply = client.get("/api/trackd/keys", {"experiment_ids": ["0", other]}).json
    assert [each["key"] for each in reply["params"]] == ["a/p", "elsewhere"]
    assert client.get("/api/trackd/keys", {"experiment_ids": ["99"]}).json["params"] == []


def test_runs_are_counted_by_experiment(client: Client) -> None:
    assert client.get("/api/trackd/counts").json == {"experiments": []}
    other = experiment(client, "other")
    runs = [client.run(start_time=5), client.run(start_time=7), client.run(), client.run(other)]
    client.ok("runs/update", run_id=runs[0], status="FINISHED")
    client.ok("runs/delete", run_id=runs[2])
    assert client.get("/api/trackd/counts").json["experiments"] == [
        {"experiment_id": "0", "active": 2, "deleted": 1, "running": 1, "last_start_time": 7},
        {"experiment_id": other, "active": 1, "deleted": 0, "running": 1, "last_start_time": 0},
    ]


def test_the_version_changes_with_every_write_and_with_nothing_else(client: Client, store: Store) -> None:
    def version() -> str:
        return str(client.get("/api/trackd/changes").json["version"])

    first = version()
    client.get("/api/trackd/counts")
    assert version() == first
    seen = {first}
    run = client.run()
    seen.add(version())
    client.ok("runs/log-metric", run_id=run, key="m", value=1.0, timestamp=1)
    seen.add(version())
    client.ok("runs/set-tag", run_id=run, key="a", value="b")
    seen.add(version())
    assert len(seen) == 4
