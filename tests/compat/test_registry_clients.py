"""The registry with real MLflow clients: through trackd on both kinds of store, and beside it in the same folder."""

import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, Iterator

import pytest

from tests import environments
from tests.compat import peers
from tests.compat.conftest import VERSIONS
from tests.compat.differ import differences
from tests.compat.peers import Peer
from tests.compat.test_live_folder import soon
from tests.compat.workers import Worker

pytestmark = pytest.mark.compat

PLACES = {"folder": [], "database": ["--backend-store-uri", "sqlite:///models.db"]}


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dict[str, Worker]]:
    """A worker for the registry with each MLflow."""
    started = {}
    try:
        for version, environment in VERSIONS.items():
            python = environments.ready(environment)
            started[version] = Worker(python, tmp_path_factory.mktemp("worker"), "tests.compat.registry_tasks")
    except environments.Unavailable as error:
        pytest.skip(str(error))
    yield started
    for worker in started.values():
        worker.stop()


@pytest.fixture(params=list(VERSIONS))
def client(request: pytest.FixtureRequest, clients: Dict[str, Worker]) -> Worker:
    """Each in turn."""
    return clients[str(request.param)]


@pytest.fixture(scope="module", params=list(PLACES))
def trackd(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    """trackd on an empty store of each kind."""
    peer = peers.start_trackd(tmp_path_factory.mktemp("registry"), PLACES[request.param])
    try:
        yield peer
    finally:
        peer.stop()
    assert peers.complaints(peer) == []


def test_models_and_prompts_work_as_with_mlflows_own_server(client: Worker, trackd: Peer) -> None:
    name = f"story-{client.log.parent.name}"
    assert client.do("story", uri=trackd.url, name=name) == {
        "stages": [[1, "Archived"], [2, "Production"]], "latest": [["Production", 2]], "copied": [" other", 1],
        "again": 3, "aliases": {}, "listed": [" copy", " other", " renamed"],
        "prompts": [["Hello {{who}}", 1, "one"], ["Bye {{who}}", 2, "two"], ["Hello {{who}}", 1, "one"]],
    }


def served(folder: Path, client: Worker) -> Any:
    """What the client finds in a folder through trackd, started for this; trackd finds nothing wrong with it."""
    peer = peers.start_trackd(folder)
    try:
        found = client.do("dump", uri=peer.url)
    finally:
        peer.stop()
    assert peers.complaints(peer) == []
    check = [sys.executable, "-m", "trackd", "check", str(folder / "mlruns")]
    assert subprocess.run(check, cwd=str(peers.REPOSITORY)).returncode == 0
    return found


def is_rich(found: Any) -> bool:
    """The dump holds what was written, so that equality means something."""
    return len(found["models"]) == 18 and len(found["versions"]) == 38 and all(found["searches"])


def test_trackd_reads_models_of_mlflows_file_store_as_it_does_and_changes_nothing(
    client: Worker, tmp_path: Path
) -> None:
    folder = str(tmp_path / "mlruns")
    client.do("fill", uri=folder)
    expected = client.do("dump", uri=folder)
    assert is_rich(expected)
    before = {path: path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}
    assert differences(expected, served(tmp_path, client)) == []
    assert {path: path.read_bytes() for path in before} == before
    assert client.do("next number", uri=folder, name="busy") == 7


def test_both_file_stores_of_mlflow_read_models_of_trackd_as_it_does(
    clients: Dict[str, Worker], tmp_path: Path
) -> None:
    peer = peers.start_trackd(tmp_path)
    try:
        clients["mlflow 3"].do("fill", uri=peer.url)
    finally:
        peer.stop()
    expected = served(tmp_path, clients["mlflow 3"])
    assert is_rich(expected)
    for own in (tmp_path / "mlruns").glob(".trackd*"):
        own.unlink()
    for worker in clients.values():
        assert differences(expected, worker.do("dump", uri=str(tmp_path / "mlruns"))) == []
    for number, worker in enumerate(clients.values(), 7):
        assert worker.do("next number", uri=str(tmp_path / "mlruns"), name="busy") == number


def test_mlflows_own_store_goes_on_in_a_database_that_trackd_wrote_to(
    clients: Dict[str, Worker], tmp_path: Path
) -> None:
    mlflow, database = clients["mlflow 3"], f"sqlite:///{tmp_path}/models.db"
    peer = peers.start_trackd(tmp_path, ["--backend-store-uri", database])
    try:
        mlflow.do("fill", uri=peer.url)
        expected = mlflow.do("dump", uri=peer.url)
        assert is_rich(expected)
        assert mlflow.do("next number", uri=peer.url, name="busy") == 7
    finally:
        peer.stop()
    assert mlflow.do("next number", uri=database, name="busy") == 8
    found = mlflow.do("dump", uri=database)
    new = [pair for pair in found["versions"] if pair[0] in ("busy/7", "busy/8")]
    assert len(new) == 2
    found["versions"] = [pair for pair in found["versions"] if pair not in new]
    assert differences(expected["versions"], found["versions"]) == []
    peer = peers.start_trackd(tmp_path, ["--backend-store-uri", database])
    try:
        assert mlflow.do("next number", uri=peer.url, name="busy") == 9
    finally:
        peer.stop()


def test_what_a_script_writes_beside_the_server_is_seen_and_the_other_way_round(
    client: Worker, tmp_path: Path
) -> None:
    folder = str(tmp_path / "mlruns")
    peer = peers.start_trackd(tmp_path)

    def got(name: str, number: int) -> Any:
        answer = peer.ask("GET", "/api/2.0/mlflow/model-versions/get", [("name", name), ("version", str(number))])
        return answer.body.get("model_version", {})

    try:
        client.do("touch", uri=folder, name="live", what="create")
        soon(lambda: [each["name"] for each in peer.call("registered-models/search").get("registered_models", [])],
             ["live"])
        assert client.do("touch", uri=folder, name="live", what="version") == 1
        soon(lambda: got("live", 1).get("version"), "1")
        made = peer.call("model-versions/create", {"name": "live", "source": "s3://b/m"})
        assert made["model_version"]["version"] == "2"
        assert client.do("touch", uri=folder, name="live", what="version") == 3
        soon(lambda: got("live", 3).get("version"), "3")
        client.do("touch", uri=folder, name="live", what="alias")
        soon(lambda: got("live", 1).get("aliases"), ["best"])
        client.do("touch", uri=folder, name="live", what="rename")
        soon(lambda: got("live renamed", 3).get("version"), "3")
        soon(lambda: got("live", 3), {})
        client.do("touch", uri=folder, name="live", what="create")
        assert client.do("touch", uri=folder, name="live", what="version") == 1
        client.do("touch", uri=folder, name="live", what="tag")
        soon(lambda: {"key": "t", "value": "there"} in got("live", 1).get("tags", []), True)
        client.do("touch", uri=folder, name="live", what="describe")
        soon(lambda: got("live", 1).get("description"), "there")
        client.do("touch", uri=folder, name="live", what="delete version")
        soon(lambda: got("live", 1), {})
        for name in ("live", "live renamed"):
            client.do("touch", uri=folder, name=name, what="drop")
        soon(lambda: peer.call("registered-models/search"), {})
    finally:
        peer.stop()
    assert peers.complaints(peer) == []
