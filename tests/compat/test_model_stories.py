"""Models and prompts through unmodified MLflow clients of both versions, on a folder and on a database.

``model_session.py`` asserts; one server per store, one client process per version.
"""

from pathlib import Path
from typing import Any, Dict, Iterator, List

import pytest

from tests import environments
from tests.compat import peers
from tests.compat.conftest import Workers
from tests.compat.peers import Peer
from tests.compat.workers import Worker

pytestmark = pytest.mark.compat

#: What each scenario must report, the same for both versions and stores.
EXPECTED: Dict[str, Dict[str, Any]] = {
    "sklearn": {"predicted": 12, "versions": [1, 2], "latest": [2]},
    "stages_and_copies": {"stages": ["Archived", "Staging"], "left": [2], "known": [" renamed"]},
    "autologged": {"metrics": 7},
    "logged_models": {"best": [2, 1, 0], "good": [2, 1], "on test": [2], "left": 2},
    "prompts": {"hidden": True, "found": 1},
}
STORES: Dict[str, List[str]] = {"folder": [], "database": ["--backend-store-uri", "sqlite:///trackd.db"]}


@pytest.fixture(scope="module", params=list(STORES))
def trackd(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    """One trackd on an empty store, for all scenarios of both clients."""
    peer = peers.start_trackd(tmp_path_factory.mktemp("models"), STORES[str(request.param)])
    try:
        yield peer
    finally:
        peer.stop()
    assert peers.complaints(peer) == []


@pytest.mark.parametrize("scenario", list(EXPECTED))
def test_models_work_as_with_mlflows_own_server(scenario: str, worker: Worker, trackd: Peer) -> None:
    name = f"{scenario} {worker.do('version')}"
    assert worker.do(f"models {scenario}", uri=trackd.url, name=name) == EXPECTED[scenario]


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """MLflow 2.22 with what its own database store needs."""
    try:
        python = environments.ready(environments.MLFLOW_2_MODELS)
    except environments.Unavailable as error:
        pytest.skip(str(error))
    worker = Worker(python, tmp_path_factory.mktemp("older"))
    yield worker
    worker.stop()


def is_served(maker: Worker, uri: str, folder: Path) -> None:
    """Models that MLflow's own store kept at ``uri`` are found and loaded through trackd."""
    only = ["sklearn", "logged_models"]
    made = maker.do("models all of", uri=uri, name="kept", only=only, within=str(folder))
    assert made == {each: EXPECTED[each] for each in only}
    peer = peers.start_trackd(folder, ["--backend-store-uri", uri])
    try:
        assert maker.do("models read back", uri=peer.url, name="kept") == {"models": ["net-1", "net-2"]}
    finally:
        peer.stop()
    assert peers.complaints(peer) == []


def test_models_in_a_folder_of_mlflow_are_served(worker: Worker, tmp_path: Path) -> None:
    is_served(worker, str(tmp_path / "mlruns"), tmp_path)


def test_models_in_a_database_of_mlflow_3_are_served(workers: Workers, tmp_path: Path) -> None:
    is_served(workers.of("mlflow 3"), f"sqlite:///{tmp_path / 'mlflow.db'}", tmp_path)


def test_models_in_a_database_of_mlflow_2_are_served(older: Worker, tmp_path: Path) -> None:
    is_served(older, f"sqlite:///{tmp_path / 'mlflow.db'}", tmp_path)
