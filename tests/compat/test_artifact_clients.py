"""Unmodified MLflow clients of both versions send artifacts to trackd and get them back, in every mode."""

import os
import sys
import threading
from pathlib import Path
from typing import Any, Iterator, List, Sequence

import pytest

from tests.compat import peers
from tests.compat.peers import Peer
from tests.compat.workers import Worker

pytestmark = pytest.mark.compat

MIB = 1 << 20


class Servers:
    """Servers that were started, each stopped at the end."""

    def __init__(self, folders: pytest.TempPathFactory) -> None:
        self.folders = folders
        self.running: List[Peer] = []

    def start(self, options: Sequence[str] = ()) -> Peer:
        """A new server on folders of its own."""
        self.running.append(peers.start_trackd(self.folders.mktemp("served"), options))
        return self.running[-1]


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """For the tests that need a server of their own."""
    started = Servers(tmp_path_factory)
    yield started
    for peer in started.running:
        peer.stop()
        assert peers.complaints(peer) == []


@pytest.fixture(scope="module")
def trackd(servers: Servers) -> Peer:
    """One server with the default settings."""
    return servers.start()


def name_of(worker: Worker, what: str) -> str:
    """The name of an experiment that no other test uses."""
    return f"{what} {worker.do('version')}"


def folder_of(peer: Peer) -> Path:
    """Where a server was started."""
    return Path(peer.log).parent


def test_everything_that_can_be_logged_is_logged_and_read_back(worker: Worker, trackd: Peer) -> None:
    found = worker.do("artifacts log all kinds", uri=trackd.url, name=name_of(worker, "kinds"))
    assert {"black.png", "d.json", "d.yaml", "figures", "files", "many", "table.json", "texts"} == set(found["root"])


@pytest.mark.parametrize("multipart", [False, True], ids=["in one piece", "in parts"])
@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for the memory of a process")
def test_a_large_file_goes_up_and_down_and_the_servers_memory_stays_flat(
    worker: Worker, trackd: Peer, multipart: bool
) -> None:
    """``TRACKD_TEST_TRANSFER`` is the size in MiB; docs/artifacts.md says how to run it with 2 GiB."""
    size = int(os.environ.get("TRACKD_TEST_TRANSFER", "32")) * MIB
    assert trackd.process is not None
    peak = [resident(trackd)]
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.02):
            peak.append(resident(trackd))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        name = name_of(worker, f"large {multipart}")
        found = worker.do("artifacts large file", uri=trackd.url, name=name, size=size, multipart=multipart)
    finally:
        ended.set()
        watcher.join()
    how, up, down = "in parts" if multipart else "in one piece", size / MIB / found["up"], size / MIB / found["down"]
    print(f"\n{size // MIB} MiB {how}: up {up:.0f} MiB/s, down {down:.0f} MiB/s, "
          f"server {peak[0] / MIB:.1f} MiB before, {max(peak) / MIB:.1f} MiB at most")
    assert max(peak) - peak[0] <= 16 * MIB
    workshop = folder_of(trackd) / "mlartifacts" / ".artifact.uploading.trackd"
    assert list(workshop.iterdir()) == []


def resident(peer: Peer) -> int:
    """The memory of a server, in bytes."""
    assert peer.process is not None
    with open(f"/proc/{peer.process.pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_the_command_line_of_mlflow_works(worker: Worker, trackd: Peer) -> None:
    assert worker.do("artifacts command line", uri=trackd.url, name=name_of(worker, "cli")) == {}


def test_artifacts_are_deleted_by_folder_and_all(worker: Worker, trackd: Peer) -> None:
    assert worker.do("artifacts delete", uri=trackd.url, name=name_of(worker, "delete")) == ["c.txt"]


def test_clients_work_under_a_static_prefix(worker: Worker, servers: Servers) -> None:
    peer = servers.start(["--static-prefix", "/a/prefix"])
    for multipart in (False, True):
        found = worker.do(
            "artifacts large file", uri=peer.url + "/a/prefix", name=name_of(worker, f"prefix {multipart}"),
            size=2 * MIB, multipart=multipart,
        )  # fmt: skip
        assert found["artifact_uri"].startswith("mlflow-artifacts:/")


def test_a_server_of_artifacts_alone_serves_beside_one_for_tracking(worker: Worker, servers: Servers) -> None:
    """MLflow's set-up of two servers: the clients are pointed at both, by the locations that runs get."""
    alone = servers.start(["--artifacts-only"])
    root = f"mlflow-artifacts://127.0.0.1:{alone.port}/shared"
    tracking = servers.start(["--no-serve-artifacts", "--default-artifact-root", root])
    for multipart in (False, True):
        name = name_of(worker, f"beside {multipart}")
        found = worker.do("artifacts large file", uri=tracking.url, name=name, size=2 * MIB, multipart=multipart)
        assert found["artifact_uri"].startswith(root)
    assert (folder_of(alone) / "mlartifacts" / "shared").is_dir()
    assert not (folder_of(tracking) / "mlartifacts").exists() and not (folder_of(alone) / "mlruns").exists()


def listed(peer: Peer, run_id: str) -> Any:
    """What a server says lies in the folder "a" of a run."""
    answer = peer.ask("GET", "/api/2.0/mlflow/artifacts/list", [("run_id", run_id), ("path", "a")])
    assert answer.status == 200, answer.body
    return answer.body["files"]


@pytest.mark.parametrize("form", ["mlflow-artifacts:/own/{}", "mlflow-artifacts://127.0.0.1:{port}/own/{}",
                                  "http://127.0.0.1:{port}/api/2.0/mlflow-artifacts/artifacts/own/{}"])
def test_every_form_of_a_location_is_served(worker: Worker, servers: Servers, form: str) -> None:
    port = peers.free_port()
    destination = servers.folders.mktemp("destination")
    peer = servers.start([
        "--port", str(port), "--artifacts-destination", str(destination), "--default-artifact-root",
        f"http://127.0.0.1:{port}/api/2.0/mlflow-artifacts/artifacts/x" if "{port}" in form else "mlflow-artifacts:/x",
    ])  # fmt: skip
    name = name_of(worker, "form")
    place = form.replace("{port}", str(port)).replace("{}", worker.do("version"))
    found = worker.do("artifacts location", uri=peer.url, name=name, artifact_location=place)
    assert found["listed"] == ["a/b.txt"]
    assert listed(peer, found["run_id"]) == [{"path": "a/b.txt", "is_dir": False, "file_size": 5}]
    assert (destination / "own").is_dir()


def test_without_serving_clients_write_to_the_folder_themselves_and_the_server_shows_it(
    worker: Worker, servers: Servers
) -> None:
    root = servers.folders.mktemp("own")
    peer = servers.start(["--no-serve-artifacts", "--default-artifact-root", str(root)])
    place = root / worker.do("version")
    found = worker.do("artifacts location", uri=peer.url, name=name_of(worker, "own"), artifact_location=str(place))
    assert listed(peer, found["run_id"]) == [{"path": "a/b.txt", "is_dir": False, "file_size": 5}]
    answer = peer.ask("GET", "/get-artifact", [("run_id", found["run_id"]), ("path", "a/b.txt")])
    assert (answer.status, answer.body) == (200, "there")


def test_the_routes_that_a_mode_switches_off_say_so(servers: Servers) -> None:
    alone, unserved = servers.start(["--artifacts-only"]), servers.start(["--no-serve-artifacts"])
    answer = alone.ask("POST", "/api/2.0/mlflow/runs/create", body=b"{}", headers={"Content-Type": "application/json"})
    assert answer.status == 503 and answer.content_type == "text/plain"
    said = "/api/2.0/mlflow/runs/create disabled due to the mlflow server running in `--artifacts-only` mode"
    assert said in answer.body
    answer = unserved.ask("GET", "/api/2.0/mlflow-artifacts/artifacts")
    assert answer.status == 503 and "`--no-serve-artifacts`" in answer.body
