"""Logged models in a folder: MLflow 3's own file store and trackd read each other, also while both write."""

import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, Iterator

import pytest

from tests.compat import peers
from tests.compat.conftest import Workers
from tests.compat.differ import differences
from tests.compat.test_live_folder import soon
from tests.compat.workers import Worker

pytestmark = pytest.mark.compat


@pytest.fixture(scope="module")
def mlflow(workers: Workers) -> Worker:
    """A worker with MLflow 3, the first that has logged models."""
    return workers.of("mlflow 3")


def served(folder: Path, mlflow: Worker, made: Dict[str, Any]) -> Any:
    """What MLflow's client finds in the folder through trackd, started for this."""
    peer = peers.start_trackd(folder)
    try:
        found = mlflow.do("model dump", uri=peer.url, made=made)
    finally:
        peer.stop()
    assert peers.complaints(peer) == []
    return found


def is_rich(found: Any, made: Dict[str, Any]) -> bool:
    """The dump holds what was written, so that equality means something."""
    first = found["models"][made["models"][0]]
    return (
        len(found["models"]) == 11 and len(first["metrics"]) == 13 and len(first["tags"]) == 12
        and len(first["params"]) == 6 and [len(ids) for ids in found["searches"]] == [11, 1, 1, 1, 1, 11, 1]
    )


def test_trackd_reads_models_of_mlflow_s_file_store_as_it_does_and_changes_nothing(
    mlflow: Worker, tmp_path: Path
) -> None:
    store = str(tmp_path / "mlruns")
    made = mlflow.do("model fill", uri=store)
    expected = mlflow.do("model dump", uri=store, made=made)
    assert is_rich(expected, made)
    before = {path: path.read_bytes() for path in Path(store).rglob("*") if path.is_file()}
    assert differences(expected, served(tmp_path, mlflow, made)) == []
    assert {path: path.read_bytes() for path in before} == before
    check = [sys.executable, "-m", "trackd", "check", store]
    assert subprocess.run(check, cwd=str(peers.REPOSITORY)).returncode == 0


def test_mlflow_s_file_store_reads_models_of_trackd_as_trackd_does(mlflow: Worker, tmp_path: Path) -> None:
    peer = peers.start_trackd(tmp_path)
    try:
        made = mlflow.do("model fill", uri=peer.url)
    finally:
        peer.stop()
    expected = served(tmp_path, mlflow, made)
    assert is_rich(expected, made)
    assert differences(expected, mlflow.do("model dump", uri=str(tmp_path / "mlruns"), made=made)) == []
    for own in (tmp_path / "mlruns").glob(".trackd*"):
        own.unlink()
    assert differences(expected, served(tmp_path, mlflow, made)) == []


@pytest.fixture
def live(tmp_path: Path) -> Iterator[peers.Peer]:
    """A trackd on an empty folder, ``tmp_path``."""
    peer = peers.start_trackd(tmp_path)
    try:
        yield peer
    finally:
        peer.stop()


def test_a_script_and_the_server_write_to_one_model_and_both_see_all(
    live: peers.Peer, mlflow: Worker, tmp_path: Path
) -> None:
    folder = str(tmp_path / "mlruns")
    run = live.call("runs/create", {"experiment_id": "0", "run_name": "r"})["run"]["info"]["run_id"]
    model_id = mlflow.do("model make", folder=folder, name="live")

    def model(uri: str = live.url) -> Any:
        return mlflow.do("model see", folder=uri, model_id=model_id)

    def found() -> Any:
        asked = {"experiment_ids": ["0"], "filter": "params.p = '1'"}
        return [each["info"]["model_id"] for each in live.call("logged-models/search", asked).get("models", [])]

    soon(found, [model_id])
    soon(lambda: model()["tags"], {"t": "1"})
    for value in (1.0, 2.0):
        mlflow.do("model touch", folder=folder, model_id=model_id, run_id=run, value=value)
        soon(lambda: model()["tags"], {"t": str(value)})
        soon(lambda: [place[0] for place in model()["metrics"].values()], [int(value * 2)])
        soon(lambda: model()["status"], "READY")
        mlflow.do("model touch", folder=live.url, model_id=model_id, run_id=run, value=value + 0.5)
        assert model(folder) == model()
    assert model()["status"] == "READY" and set(model()["params"]) == {"p", "p1.0", "p1.5", "p2.0", "p2.5"}
    mlflow.do("model drop", folder=folder, model_id=model_id)
    soon(found, [])
