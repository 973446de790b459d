"""Folders that MLflow's own file stores wrote are read by trackd, and folders that trackd wrote are read by them.

``folder_writer.py`` fills a store, ``store_dump.py`` says what MLflow's client finds in one: through MLflow's own file
store, or through trackd. Both must say the same, whoever wrote.
"""

import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple

import pytest

from tests.compat import peers
from tests.compat.conftest import VERSIONS, Workers
from tests.compat.differ import differences
from tests.compat.workers import Worker

pytestmark = pytest.mark.compat

Dump = Dict[str, Any]


class Folder(NamedTuple):
    """A folder that was filled, and with which MLflow."""

    path: Path
    version: str

    @property
    def store(self) -> str:
        """Where the experiments are."""
        return str(self.path / "mlruns")


@pytest.fixture(scope="module", params=list(VERSIONS))
def by_mlflow(request: pytest.FixtureRequest, workers: Workers, tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """A folder that MLflow's own file store wrote."""
    folder = Folder(tmp_path_factory.mktemp("by_mlflow"), str(request.param))
    workers.of(folder.version).do("write", folder=folder.store)
    return folder


@pytest.fixture(scope="module", params=list(VERSIONS))
def by_trackd(request: pytest.FixtureRequest, workers: Workers, tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """A folder that trackd wrote, driven by one version's client, and then let go of."""
    folder = Folder(tmp_path_factory.mktemp("by_trackd"), str(request.param))
    peer = peers.start_trackd(folder.path)
    try:
        workers.of(folder.version).do("write by http", uri=peer.url)
    finally:
        peer.stop()
    assert peers.complaints(peer) == []
    return folder


def served(folder: Folder, worker: Worker) -> Dump:
    """What a client finds in the folder through trackd, started for this."""
    peer = peers.start_trackd(folder.path)
    try:
        found: Dump = worker.do("dump", uri=peer.url)
    finally:
        peer.stop()
    assert peers.complaints(peer) == []
    return found


def files(folder: Folder) -> Dict[str, bytes]:
    """Every file of the store but trackd's own."""
    root = Path(folder.store)
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*")) if path.is_file() and not path.name.startswith(".trackd")
    }


def check(folder: Folder) -> "subprocess.CompletedProcess[str]":
    """The answer of ``trackd check``."""
    return subprocess.run(
        [sys.executable, "-m", "trackd", "check", folder.store], cwd=str(peers.REPOSITORY), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )


def is_rich(found: Dump) -> bool:
    """The dump holds what the writer wrote, so that equality means something."""
    runs: List[Dict[str, Any]] = list(found["runs"].values())
    return (
        len(found["experiments"]) > 30 and len(runs) > 30
        and {run["status"] for run in runs} == {"RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED"}
        and {run["lifecycle_stage"] for run in runs} == {"active", "deleted"}
        and sum(len(points) for run in runs for points in run["history"].values()) > 500
        and sorted(len(run["datasets"]) for run in runs)[-1] == 3
        and any(tag == "a\nb" for each in found["experiments"].values() for tag in each["tags"].values())
    )


def test_trackd_reads_a_folder_of_mlflow_as_mlflow_does_and_changes_nothing(
    by_mlflow: Folder, workers: Workers
) -> None:
    worker = workers.of(by_mlflow.version)
    expected = worker.do("dump", uri=by_mlflow.store)
    before = files(by_mlflow)
    assert is_rich(expected)
    assert differences(expected, served(by_mlflow, worker)) == []
    assert files(by_mlflow) == before


def test_trackd_finds_nothing_wrong_with_a_folder_of_mlflow(by_mlflow: Folder) -> None:
    found = check(by_mlflow)
    assert found.returncode == 0, found.stdout


@pytest.mark.parametrize("reader", list(VERSIONS))
def test_mlflow_reads_a_folder_of_trackd_as_trackd_does(by_trackd: Folder, reader: str, workers: Workers) -> None:
    worker = workers.of(reader)
    expected = served(by_trackd, worker)
    assert is_rich(expected)
    assert differences(expected, worker.do("dump", uri=by_trackd.store)) == []


def test_trackd_finds_nothing_wrong_with_its_own_folder(by_trackd: Folder) -> None:
    found = check(by_trackd)
    assert found.returncode == 0, found.stdout


def test_a_folder_of_trackd_is_the_same_without_its_index(by_trackd: Folder, workers: Workers) -> None:
    worker = workers.of(by_trackd.version)
    expected = served(by_trackd, worker)
    for own in Path(by_trackd.store).glob(".trackd*"):
        own.unlink()
    assert differences(expected, served(by_trackd, worker)) == []


@pytest.fixture()
def empty(tmp_path: Path, workers: Workers) -> Iterator[peers.Peer]:
    """A trackd on an empty folder, ``tmp_path``."""
    peer = peers.start_trackd(tmp_path)
    try:
        yield peer
    finally:
        peer.stop()


#: What ``what_mlflow_3_adds`` logged: value and step of each point, model inputs, model outputs.
POINTS = [(0.25, 3), (0.5, 4)]
MODELS_IN = ["m-" + "a" * 32, "m-" + "b" * 32]
MODELS_OUT = [["m-" + "c" * 32, 3], ["m-" + "d" * 32, 0]]


def points(peer: peers.Peer, run_id: str) -> Any:
    """Value and step of each point of ``m``."""
    history = peer.call("metrics/get-history", run_id=run_id, metric_key="m")["metrics"]
    return [(point["value"], point["step"]) for point in history]


def test_mlflow_3_reads_models_and_points_of_datasets_that_trackd_wrote(
    empty: peers.Peer, tmp_path: Path, workers: Workers
) -> None:
    worker = workers.of("mlflow 3")
    run_id = worker.do("write with MLflow 3", uri=empty.url)
    assert points(empty, run_id) == POINTS
    found = worker.do("dump", uri=str(tmp_path / "mlruns"))["runs"][run_id]
    assert (found["model_inputs"], found["model_outputs"]) == (MODELS_IN, MODELS_OUT)
    # MLflow reads the value and the dataset that trackd wrote but, as with its own files, takes 0 for the step.
    assert [point[1:] for point in found["history"]["m"]] == [
        [0, "0.5", None, "iris", "d1"], [3, "0.25", None, None, None],
    ]
    found = worker.do("dump", uri=empty.url)["runs"][run_id]
    assert (found["model_inputs"], found["model_outputs"]) == (MODELS_IN, MODELS_OUT)


def test_trackd_reads_models_and_points_of_datasets_that_mlflow_3_wrote(tmp_path: Path, workers: Workers) -> None:
    worker = workers.of("mlflow 3")
    run_id = worker.do("write with MLflow 3", uri=str(tmp_path / "mlruns"))
    peer = peers.start_trackd(tmp_path)
    try:
        assert points(peer, run_id) == POINTS
        found = worker.do("dump", uri=peer.url)["runs"][run_id]
    finally:
        peer.stop()
    assert (found["model_inputs"], found["model_outputs"]) == (MODELS_IN, MODELS_OUT)
    assert found["metrics"] == {"m": "0.5"}
