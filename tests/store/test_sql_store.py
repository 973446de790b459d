"""Databases: which URIs are understood, what is in the way of opening one, and what is promised of one that is open."""

import os
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any, Dict, List

import pytest

from tests.conftest import Client
from trackd.app import App
from trackd.config import Config
from trackd.entities import Metric
from trackd.errors import PermissionDenied, TemporarilyUnavailable, TrackdError
from trackd.store import open_store
from trackd.store.base import Store
from trackd.store.sql.histories import _RANKED
from trackd.store.sql.store import SqlStore
from trackd.store.sql.uri import parse


def opened(path: Path, **options: Any) -> SqlStore:
    store = open_store(f"sqlite:///{path}", **{"sync": "off", **options})
    assert isinstance(store, SqlStore)
    return store


def client_of(store: Store) -> Client:
    return Client(App(store, Config()))


@pytest.mark.parametrize(
    "uri, path",
    [
        ("sqlite:///a.db", "a.db"),
        ("sqlite:////x/a.db", "/x/a.db"),
        ("SQLite:///a.db", "a.db"),
        ("sqlite+pysqlite:///d/a.db", "d/a.db"),
        ("sqlite:///a%20b.db", "a b.db"),
        ("sqlite:///a b.db?foo=bar", "a b.db"),
        ("sqlite:///~/a.db", "~/a.db"),
        ("sqlite:///a.db#x", "a.db#x"),
        ("sqlite:///file:a.db?mode=rwc&uri=true", "a.db"),
        ("sqlite:///file:///x/a.db?uri=true", "/x/a.db"),
        ("sqlite:///a.db?mode=ro", "a.db"),
    ],
)
def test_a_uri_names_the_file_that_sqlalchemy_would_open(uri: str, path: str) -> None:
    place = parse(uri)
    assert place.path == os.path.abspath(path) and not place.read_only


@pytest.mark.parametrize("uri", ["sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite:///file::memory:?uri=true"])
def test_without_a_file_a_database_is_in_memory_and_ends_with_the_store(uri: str) -> None:
    assert parse(uri).path == ""
    with_data = open_store(uri)
    assert isinstance(with_data, SqlStore)
    client_of(with_data).run()
    assert with_data.counts()["runs"] == 1
    with_data.close()
    assert not os.path.exists(os.path.dirname(with_data.path))
    fresh = open_store(uri)
    assert fresh.counts()["runs"] == 0
    fresh.close()


def test_options_in_a_uri_count_where_sqlalchemy_lets_them() -> None:
    assert parse("sqlite:///a.db?timeout=2.5").timeout == 2.5
    read_only = parse("sqlite:///file:a.db?mode=ro&uri=true&nolock=1&cache=shared")
    assert read_only.read_only and read_only.options == (("nolock", "1"),)
    assert parse("sqlite:///file:a.db?immutable=1&uri=true").immutable


@pytest.mark.parametrize(
    "uri", ["sqlite:/a.db", "sqlite:a.db", "sqlite://host/a.db", "sqlite:///a.db?timeout=x", "sqlite+aiosqlite:///a.db"]
)
def test_a_uri_that_sqlalchemy_refuses_is_refused_with_a_sentence(uri: str) -> None:
    with pytest.raises(TrackdError, match="sqlite:///|timeout"):
        open_store(uri)


def refusal(path: Path, **options: Any) -> str:
    with pytest.raises(TrackdError) as caught:
        opened(path, **options)
    return caught.value.message


def test_what_is_no_database_is_refused_at_the_start(tmp_path: Path) -> None:
    text = tmp_path / "a.db"
    text.write_text("hello " * 1000)
    assert "not a SQLite database" in refusal(text)
    assert text.read_text().startswith("hello")
    assert "is a folder" in refusal(tmp_path)
    assert "no database" in refusal(tmp_path / "none.db", read_only=True)
    other = tmp_path / "other.db"
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE mine (a)")
    assert "not one of MLflow" in refusal(other)
    assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("mine",)]


def test_a_database_that_another_program_has_locked_is_refused_at_the_start(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    opened(path).close()
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("PRAGMA journal_mode=DELETE")
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(TrackdError, match="locked by another program"):
        open_store(f"sqlite:///{path}?timeout=0.1")
    holder.execute("ROLLBACK")
    opened(path).close()


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="the administrator may write everywhere")
def test_a_database_without_permission_to_write_is_refused_unless_read_only(tmp_path: Path) -> None:
    path = tmp_path / "d" / "a.db"
    opened(path).close()
    path.parent.chmod(0o500)
    try:
        assert "--read-only" in refusal(path)
        opened(path, read_only=True).close()
    finally:
        path.parent.chmod(0o700)


def test_a_read_only_database_is_served_and_not_changed_by_a_byte(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    store = opened(path)
    run_id = client_of(store).run()
    store.close()
    before = path.read_bytes()
    store = opened(path, read_only=True)
    client = client_of(store)
    assert client.get_run(run_id)["info"]["run_id"] == run_id and store.check() == []
    assert client.post("runs/set-tag", {"run_id": run_id, "key": "a", "value": "b"}).error == "PERMISSION_DENIED"
    with pytest.raises(PermissionDenied):
        store.transaction()
    store.close()
    assert path.read_bytes() == before and sorted(os.listdir(tmp_path)) == ["a.db"]


def test_the_journal_mode_is_afterwards_what_it_was(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    for mode in ("delete", "wal"):
        opened(path).close()
        connection = sqlite3.connect(path)
        connection.execute(f"PRAGMA journal_mode={mode}")
        connection.close()
        store = opened(path)
        assert store.database.writer.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        store.close()
        assert sqlite3.connect(path).execute("PRAGMA journal_mode").fetchone() == (mode,)


def changed(path: Path, *statements: str) -> Path:
    """A new database, with changes made to it."""
    opened(path).close()
    connection = sqlite3.connect(path)
    connection.executescript(";".join(statements))
    connection.close()
    return path


def test_what_was_committed_is_moved_from_the_log_into_the_database_within_a_second(tmp_path: Path) -> None:
    store = opened(tmp_path / "a.db", sync="1s")
    with store.transaction() as tx:
        time.sleep(1.0)  # longer than the pause between two looks at the log
        tx.add_experiment("late", None, (), 1, "mlflow-artifacts:")
    end = time.monotonic() + 30
    while b"late" not in (tmp_path / "a.db").read_bytes():
        assert time.monotonic() < end
        time.sleep(0.05)
    store.close()


def test_what_was_committed_is_on_the_disk_within_a_second_while_somebody_reads_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened(tmp_path / "my.db", sync="1s")
    reader = sqlite3.connect(tmp_path / "my.db", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM experiments").fetchone()
    real, synced = os.fsync, threading.Event()

    def fsync(descriptor: int) -> None:
        real(descriptor)
        if os.path.sameopenfile(descriptor, log.fileno()):
            synced.set()

    with open(tmp_path / "my.db-wal", "rb") as log:
        monkeypatch.setattr(os, "fsync", fsync)
        with store.transaction() as tx:
            tx.add_experiment("e", None, (), 1, "mlflow-artifacts:")
        assert synced.wait(5)
    reader.close()
    store.close()


def test_an_unknown_newer_revision_is_opened_if_what_is_needed_is_there(tmp_path: Path) -> None:
    path = changed(
        tmp_path / "a.db",
        "UPDATE alembic_version SET version_num = 'f00'",
        "ALTER TABLE runs ADD COLUMN mood TEXT",
        "ALTER TABLE metrics ADD COLUMN unit TEXT DEFAULT 'm' NOT NULL",
        "CREATE TABLE novelties (a)",
    )
    store = opened(path)
    client = client_of(store)
    run_id = client.run()
    client.ok("runs/log-metric", run_id=run_id, key="m", value=1, timestamp=1)
    assert store.check() == []
    store.close()
    assert sqlite3.connect(path).execute("SELECT version_num FROM alembic_version").fetchall() == [("f00",)]


def test_a_newer_revision_that_lacks_or_wants_something_is_refused(tmp_path: Path) -> None:
    renamed = "ALTER TABLE latest_metrics RENAME TO newest"
    gone = changed(tmp_path / "a.db", renamed, "UPDATE alembic_version SET version_num = 'f0'")
    assert "latest_metrics" in refusal(gone) and "f0" in refusal(gone)
    wants = changed(
        tmp_path / "b.db",
        "DROP TABLE params",
        "CREATE TABLE params (key TEXT NOT NULL, value TEXT NOT NULL, run_uuid TEXT NOT NULL, unit TEXT NOT NULL)",
    )
    assert "params.unit" in refusal(wants) and "--read-only" in refusal(wants)
    opened(wants, read_only=True).close()


def test_a_database_with_other_workspaces_is_refused(tmp_path: Path) -> None:
    path = changed(
        tmp_path / "a.db",
        "INSERT INTO experiments (experiment_id, name, lifecycle_stage, workspace) VALUES (5, 'a', 'active', 'team')",
    )
    assert "'team'" in refusal(path)


def test_two_stores_on_one_database_see_each_others_writes_at_once(tmp_path: Path) -> None:
    one, other = opened(tmp_path / "a.db"), opened(tmp_path / "a.db")
    clients = [client_of(one), client_of(other)]
    created = [clients[number % 2].ok("experiments/create", name=f"e{number}")["experiment_id"] for number in range(6)]
    assert created == ["1", "2", "3", "4", "5", "6"]
    run_id = clients[0].run("3")
    failures: List[Any] = []

    def write(number: int) -> None:
        for step in range(60):
            reply = clients[number % 2].post(
                "runs/log-metric", {"run_id": run_id, "key": "m", "value": number, "timestamp": number, "step": step}
            )
            if reply.status != 200:
                failures.append(reply.json)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    for client in clients:
        assert client.get_run(run_id)["data"]["metrics"][0]["value"] == 3
    assert len(one.list_metric_history(run_id, "m")) == len(other.list_metric_history(run_id, "m")) == 240
    for store in (one, other):
        assert store.check() == []
        store.close()


def test_a_lock_of_another_program_is_waited_for_and_then_503(tmp_path: Path) -> None:
    store = opened(tmp_path / "a.db")
    client = client_of(store)
    other = sqlite3.connect(tmp_path / "a.db", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    timer = threading.Timer(0.3, lambda: other.execute("COMMIT"))
    timer.start()
    client.run()
    timer.join()
    store.database.writer.execute("PRAGMA busy_timeout=50")
    other.execute("BEGIN IMMEDIATE")
    reply = client.post("experiments/create", {"name": "a"})
    assert (reply.status, reply.error) == (503, TemporarilyUnavailable.error_code)
    assert client.get("experiments/get", {"experiment_id": "0"}).status == 200, "readers never wait"
    other.execute("ROLLBACK")
    client.ok("experiments/create", name="a")
    store.close()


def test_writers_in_line_behind_a_lock_wait_for_it_together(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path / 'a.db'}?timeout=0.4", sync="off")
    client = client_of(store)
    other = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    statuses: List[int] = []

    def create(number: int) -> None:
        statuses.append(client.post("experiments/create", {"name": f"e{number}"}).status)

    threads = [threading.Thread(target=create, args=(number,)) for number in range(12)]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [503] * 12 and time.monotonic() - started < 12 * 0.4 / 2
    other.execute("ROLLBACK")
    client.ok("experiments/create", name="e0")
    store.close()


def test_no_room_is_507_and_leaves_nothing_half_done(tmp_path: Path) -> None:
    store = opened(tmp_path / "a.db")
    client = client_of(store)
    run_id = client.run()
    (pages,) = store.database.writer.execute("PRAGMA page_count").fetchone()
    store.database.writer.execute(f"PRAGMA max_page_count={pages + 2}")
    batch: Dict[str, Any] = {
        "run_id": run_id,
        "metrics": [{"key": f"m{n}", "value": n, "timestamp": 1} for n in range(900)],
        "tags": [{"key": f"t{n}", "value": "x" * 4000} for n in range(50)],
    }
    reply = client.post("runs/log-batch", batch)
    assert (reply.status, reply.error) == (507, "RESOURCE_EXHAUSTED")
    assert "metrics" not in client.get_run(run_id)["data"]
    store.database.writer.execute("PRAGMA max_page_count=1000000")
    client.ok("runs/log-batch", **batch)
    assert len(client.get_run(run_id)["data"]["metrics"]) == 900
    assert store.check() == []
    store.close()


def test_a_sample_of_a_long_history_keeps_both_ends_and_is_even(tmp_path: Path) -> None:
    store = opened(tmp_path / "a.db")
    run_id = client_of(store).run()
    count = _RANKED + 5000
    for key, step in (("dense", lambda n: n), ("steps", lambda n: n * 7 % 100_000), ("none", lambda n: 0)):
        with store.transaction() as tx:
            tx.add_metrics(run_id, [Metric(key, n / 8, n, step(n)) for n in range(count)])
        (found,) = store.sample_metric_histories([run_id], key, 250)
        ordered = sorted((step(n), n) for n in range(count))
        places = [ordered.index((point.step, point.timestamp)) for point in found]
        assert len(places) == 250 and places[0] == 0 and places[-1] == count - 1 and places == sorted(set(places))
        assert max(b - a for a, b in zip(places, places[1:])) <= 4 * count / 250
        (last,) = store.sample_metric_histories([run_id], key, 1)
        assert [(point.step, point.timestamp) for point in last] == ordered[-1:]
        (part,) = store.sample_metric_histories([run_id], key, 10, (100, 199))
        assert all(100 <= point.step < 200 for point in part) and len(part) == (0 if key == "none" else 10)
    store.close()


def test_check_names_what_does_not_fit_together(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    store = opened(path)
    client = client_of(store)
    run_id = client.run()
    client.ok("runs/log-metric", run_id=run_id, key="m", value=1, timestamp=1, step=2)
    client.ok("runs/log-metric", run_id=run_id, key="lost", value=1, timestamp=1, step=2)
    assert store.check() == []
    store.close()
    connection = sqlite3.connect(path)
    connection.execute("UPDATE latest_metrics SET value = 5 WHERE key = 'm'")
    connection.execute("DELETE FROM latest_metrics WHERE key = 'lost'")
    connection.execute("INSERT INTO params VALUES ('p', 'v', 'nobody')")
    connection.execute("INSERT INTO inputs VALUES ('i', 'DATASET', 'd', 'RUN', 'nobody', 0)")
    connection.commit()
    connection.close()
    store = opened(path, read_only=True)
    problems = sorted(f"{problem.where}: {problem.what}" for problem in store.check())
    store.close()
    tables = [text.split(" ")[0] for text in problems]
    assert tables == ["inputs", "inputs", "latest_metrics", "latest_metrics", "params"]
    assert any("says 5.0 at step 2" in text and "ends with 1.0" in text for text in problems)
    assert any("lost: is not there, but there is a history" in text for text in problems)
