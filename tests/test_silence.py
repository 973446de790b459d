"""Runs that fall silent are marked FAILED, where that is asked for and no sooner."""

from pathlib import Path
from typing import Any, Tuple

import pytest

from tests.conftest import Client
from tests.launch import Running
from tests.memory_store import MemoryStore
from trackd.app import App
from trackd.config import Config
from trackd.silence import TAG, Silence


class Clock:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def parts(tmp_path: Path) -> Tuple[Client, Silence, Clock]:
    """A client of an application whose silence is a minute long, by a clock of its own."""
    store, clock = MemoryStore(), Clock()
    app = App(store, Config(fail_silent_runs=60, backend_store_uri=str(tmp_path)))
    app.silence = Silence(store, 60, clock)
    return Client(app), app.silence, clock


def status(client: Client, run_id: str) -> Any:
    return client.get_run(run_id)["info"]["status"]


def test_a_run_of_which_nothing_is_heard_fails_when_it_was_last_heard_of(parts: Tuple[Client, Silence, Clock]) -> None:
    client, silence, clock = parts
    silent, busy, ended = client.run(), client.run(), client.run()
    client.ok("runs/update", run_id=ended, status="FINISHED", end_time=5)
    clock.now += 50
    client.ok("runs/set-tag", run_id=busy, key="a", value="b")
    assert silence.mark() == []
    clock.now += 10
    assert silence.mark() == [silent] and silence.mark() == []
    found = client.get_run(silent)
    assert found["info"]["status"] == "FAILED" and found["info"]["end_time"] > 0
    assert TAG in [tag["key"] for tag in found["data"]["tags"]]
    assert (status(client, busy), status(client, ended)) == ("RUNNING", "FINISHED")
    clock.now += 45
    client.ok("runs/log-batch", run_id=busy, metrics=[{"key": "m", "value": 1, "timestamp": 1}])
    clock.now += 59
    assert silence.mark() == []
    clock.now += 1
    assert silence.mark() == [busy]


def test_a_marked_run_can_go_on_and_end_as_it_ends(parts: Tuple[Client, Silence, Clock]) -> None:
    client, silence, clock = parts
    run = client.run()
    clock.now += 61
    assert silence.mark() == [run]
    client.ok("runs/log-metric", run_id=run, key="m", value=1, timestamp=1)
    client.ok("runs/update", run_id=run, status="FINISHED", end_time=7)
    assert status(client, run) == "FINISHED"


def test_a_server_that_was_down_gives_scripts_the_whole_time_again(parts: Tuple[Client, Silence, Clock]) -> None:
    client, _, clock = parts
    run = client.run()
    clock.now += 1000
    again = Silence(client.app._store, 60, clock)
    assert again.mark() == []
    clock.now += 60
    assert again.mark() == [run]


def test_without_the_setting_nothing_is_marked_and_with_it_the_server_does(tmp_path: Path) -> None:
    assert App(MemoryStore(), Config(backend_store_uri=str(tmp_path))).silence is None
    import json
    import time

    with Running(tmp_path, "--fail-silent-runs", "1") as server:
        made = server.ask("POST", "/api/2.0/mlflow/runs/create", '{"experiment_id": "0"}')[1]
        run_id = json.loads(made)["run"]["info"]["run_id"]
        end = time.monotonic() + 30
        found = ""
        while found != "FAILED" and time.monotonic() < end:
            time.sleep(0.2)
            asked = server.ask("GET", f"/api/2.0/mlflow/runs/get?run_id={run_id}")[1]
            found = json.loads(asked)["run"]["info"]["status"]
        assert found == "FAILED"
        assert server.stop() == 0
