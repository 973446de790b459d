"""Databases made by real MLflows of five releases, served and written by trackd, opened again by the same MLflow.

``database_tasks.py`` writes into a database and says what is in it: through MLflow's own store, or through trackd. Both
must say the same, whoever wrote. And a new database of trackd's is, table by table, the one that MLflow 3.17.2 makes.
"""

import json
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from threading import Thread
from typing import Any, Dict, Iterator, List

import pytest

from tests import environments
from tests.compat import peers
from tests.compat.differ import differences
from tests.compat.workers import Worker
from trackd.app import routes
from trackd.store import open_store
from trackd.store.sql.new_tables import RELEASE, REVISION

pytestmark = pytest.mark.compat

RELEASES = {
    "2.0": environments.MLFLOW_2_0,
    "2.9": environments.MLFLOW_2_9,
    "2.22": environments.MLFLOW_2_22,
    "3.1": environments.MLFLOW_3_1,
    "3.17": environments.MLFLOW_3,
}


#: Whether there are registered models to speak of.
HAS_REGISTRY = any(route.path.endswith("/registered-models/search") for route in routes())
KNOWN = {"registry": HAS_REGISTRY}


class Workers:
    """A worker with each release, started when first asked for."""

    def __init__(self, folders: pytest.TempPathFactory) -> None:
        self.folders = folders
        self.running: Dict[str, Worker] = {}

    def of(self, release: str) -> Worker:
        if release not in self.running:
            try:
                python = environments.ready(RELEASES[release])
            except environments.Unavailable as error:
                pytest.skip(str(error))
            folder = self.folders.mktemp("worker")
            self.running[release] = Worker(python, folder, "tests.compat.database_tasks")
        return self.running[release]


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workers]:
    started = Workers(tmp_path_factory)
    yield started
    for worker in started.running.values():
        worker.stop()


def serving(folder: Path, *options: str) -> peers.Peer:
    """trackd on ``folder/my.db``."""
    return peers.start_trackd(folder, ["--backend-store-uri", "sqlite:///my.db", *options])


def shape(path: Path) -> Dict[str, Any]:
    """What a database is made of, but for the order in which it was made."""
    connection = sqlite3.connect(path)
    found: Dict[str, Any] = {"revision": connection.execute("SELECT version_num FROM alembic_version").fetchall()}
    for kind, name, table, sql in connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master").fetchall():
        if kind == "table":
            found[name] = {
                "columns": connection.execute(f'PRAGMA table_xinfo("{name}")').fetchall(),
                "keys": sorted(row[2:] for row in connection.execute(f'PRAGMA foreign_key_list("{name}")')),
                "constraints": sorted(word for word in sql.split() if word in ("CHECK", "UNIQUE", "GENERATED")),
                "names": sorted(sql.split("CONSTRAINT ")[1:] and [
                    part.split()[0].strip('"') for part in sql.split("CONSTRAINT ")[1:]
                ]),
                "rows": connection.execute(f'SELECT count(*) FROM "{name}"').fetchone(),
            }
        elif kind == "index":
            unique = [row[2:5] for row in connection.execute(f'PRAGMA index_list("{table}")') if row[1] == name]
            found[name] = [table, unique, connection.execute(f'PRAGMA index_xinfo("{name}")').fetchall()]
        else:
            found[name] = [table, " ".join(sql.split())]
    connection.close()
    return found


def test_a_new_database_is_the_one_that_the_real_mlflow_makes(releases: Workers, tmp_path: Path) -> None:
    worker = releases.of("3.17")
    assert worker.do("version") == RELEASE
    worker.do("dump", **KNOWN, uri=f"sqlite:///{tmp_path}/theirs.db")
    open_store(f"sqlite:///{tmp_path}/ours.db").close()
    theirs, ours = shape(tmp_path / "theirs.db"), shape(tmp_path / "ours.db")
    assert theirs["revision"] == [(REVISION,)] and len(theirs) > 100
    assert sorted(theirs) == sorted(ours)
    for name, made in theirs.items():
        assert ours[name] == made, name


@pytest.mark.parametrize("release", list(RELEASES))
def test_a_database_of_mlflow_is_served_written_and_read_again_by_mlflow(
    release: str, releases: Workers, tmp_path: Path
) -> None:
    worker = releases.of(release)
    uri = f"sqlite:///{tmp_path}/my.db"
    made = worker.do("make", uri=uri)
    before, tables = worker.do("dump", **KNOWN, uri=uri), shape(tmp_path / "my.db")
    assert len(before["runs"]) == 3 and (not HAS_REGISTRY or len(before["models"]["model"][-1]) == 2)
    peer = serving(tmp_path)
    try:
        assert differences(before, worker.do("dump", **KNOWN, uri=peer.url)) == []
        worker.do("more", **KNOWN, uri=peer.url, made=made, word="trackd")
        served = worker.do("dump", **KNOWN, uri=peer.url)
        # Another program writes while the server runs: nothing of it may be hidden by what the server has seen before.
        worker.do("more", **KNOWN, uri=uri, made=made, word="beside")
        after = worker.do("dump", **KNOWN, uri=uri)
        assert differences(after, worker.do("dump", **KNOWN, uri=peer.url)) == []
    finally:
        peer.stop()
    assert peers.complaints(peer) == []
    assert len(served["runs"]) == 4 and len(after["runs"]) == 5
    assert not HAS_REGISTRY or len(after["models"]["model"][-1]) == 4
    assert differences(after, worker.do("dump", **KNOWN, uri=uri)) == []
    untouched = shape(tmp_path / "my.db")
    for found in (tables, untouched):
        for each in found.values():
            if isinstance(each, dict):
                each.pop("rows")
    assert untouched == tables
    done = subprocess.run(
        [sys.executable, "-m", "trackd", "check", uri], cwd=str(peers.REPOSITORY), text=True, capture_output=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_an_old_database_cannot_hold_is_an_error_that_names_the_release(
    releases: Workers, tmp_path: Path
) -> None:
    worker = releases.of("2.0")
    made = worker.do("make", uri=f"sqlite:///{tmp_path}/my.db")
    peer = serving(tmp_path)
    try:
        dataset = {"name": "d", "digest": "1", "source_type": "local", "source": "here"}
        refused = {
            "runs/log-inputs": ("2.4", {"run_id": made["run"], "datasets": [{"dataset": dataset}]}),
            "runs/outputs": ("3.0", {"run_id": made["run"], "models": [{"model_id": "m-1", "step": 0}]}),
            "logged-models": ("3.0", {"experiment_id": "0", "name": "m"}),
            "registered-models/alias": ("2.3", {"name": "model", "alias": "a", "version": "1"}),
        }
        if not HAS_REGISTRY:
            refused.pop("registered-models/alias")
        for path, (release, body) in refused.items():
            answer = peer.ask(
                "POST", "/api/2.0/mlflow/" + path, body=json.dumps(body).encode(),
                headers={"Content-Type": "application/json"},
            )
            assert answer.status == 501 and f"MLflow older than {release} " in answer.body["message"], (path, answer)
        found = peer.call("runs/search", {"experiment_ids": ["0", made["experiment"]], "filter": "dataset.name = 'd'"})
        assert "runs" not in found
        assert peer.call("runs/get", run_id=made["run"])["run"]["inputs"] == {}
        assert "models" not in peer.call("logged-models/search", {"experiment_ids": ["0"]})
    finally:
        peer.stop()


def test_an_upgraded_database_of_trackd_is_used_by_both(releases: Workers, tmp_path: Path) -> None:
    """From MLflow 3.1 to 3.17 while trackd had written into it in between."""
    old, new = releases.of("3.1"), releases.of("3.17")
    uri = f"sqlite:///{tmp_path}/my.db"
    made = old.do("make", uri=uri)
    peer = serving(tmp_path)
    try:
        old.do("more", **KNOWN, uri=peer.url, made=made, word="before")
        before = old.do("dump", **KNOWN, uri=peer.url)
    finally:
        peer.stop()
    new.do("upgrade", uri=uri)
    peer = serving(tmp_path)
    try:
        assert differences(before, old.do("dump", **KNOWN, uri=peer.url)) == []
        new.do("more", **KNOWN, uri=peer.url, made=made, word="after")
        served = new.do("dump", **KNOWN, uri=peer.url)
    finally:
        peer.stop()
    assert differences(served, new.do("dump", **KNOWN, uri=uri)) == []
    assert len(served["runs"]) == 5


def test_a_database_of_trackd_is_used_by_mlflow_and_by_both_at_once(releases: Workers, tmp_path: Path) -> None:
    worker = releases.of("3.17")
    uri = f"sqlite:///{tmp_path}/my.db"
    peer = serving(tmp_path)
    try:
        made = worker.do("make", uri=peer.url if HAS_REGISTRY else uri)
        worker.do("more", **KNOWN, uri=uri, made=made, word="beside")
        served = worker.do("dump", **KNOWN, uri=peer.url)
    finally:
        peer.stop()
    assert differences(served, worker.do("dump", **KNOWN, uri=uri)) == []
    assert len(served["runs"]) == 4


def test_a_real_server_and_trackd_write_into_one_database_at_the_same_time(
    releases: Workers, tmp_path: Path
) -> None:
    try:
        mlflow = environments.script(environments.MLFLOW_3, "mlflow")
    except environments.Unavailable as error:
        pytest.skip(str(error))
    real = peers.start_mlflow(mlflow, tmp_path)
    ours = None
    try:
        peers.wait_until_ready(real)
        ours = peers.start_trackd(tmp_path, ["--backend-store-uri", "sqlite:///mlflow.db"])
        run_id = real.call("runs/create", {"experiment_id": "0"})["run"]["info"]["run_id"]
        statuses: List[int] = []
        end = time.monotonic() + 4
        sent = {real.name: 0, ours.name: 0}

        def write(peer: peers.Peer) -> None:
            while time.monotonic() < end:
                number = sent[peer.name]
                body = f'{{"run_id":"{run_id}","key":"{peer.name}","value":1,"timestamp":{number},"step":{number}}}'
                headers = {"Content-Type": "application/json"}
                answer = peer.ask("POST", "/api/2.0/mlflow/runs/log-metric", body=body.encode(), headers=headers)
                if answer.status == 200:
                    sent[peer.name] += 1
                elif peer is ours:
                    statuses.append(answer.status)

        threads = [Thread(target=write, args=(peer,)) for peer in (real, ours)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert statuses == [], "no lock reaches a client of trackd"
        assert min(sent.values()) > 20
        for peer in (real, ours):
            data = peer.call("runs/get", run_id=run_id)["run"]["data"]
            assert {each["key"]: each["step"] for each in data["metrics"]} == {
                name: count - 1 for name, count in sent.items()
            }
            for name, count in sent.items():
                points = peer.call("metrics/get-history", run_id=run_id, metric_key=name)["metrics"]
                assert len(points) == count
    finally:
        real.stop()
        if ours is not None:
            ours.stop()
    assert peers.complaints(ours) == []
