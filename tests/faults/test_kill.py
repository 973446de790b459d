"""``kill -9`` under load: what was acknowledged is there, what was under way is there whole or not at all."""

import statistics
import threading
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Set, Tuple

import pytest

from tests.faults.program import Client, Program, create_run, get_history, get_run, trackd, uri_of

WRITERS = 8
ROUNDS = 20
#: Seconds of load before each kill.
LOAD = 0.6

Point = Tuple[float, int, int]


class Write(NamedTuple):
    """One request and what it must leave behind, if anything: every entry of it or none."""

    path: str
    body: Dict[str, Any]
    params: Dict[str, str]
    tags: Dict[str, str]
    points: Dict[str, Point]


class Ledger:
    """What one writer did to one run: acknowledged writes, and the one that was under way at the kill."""

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        self.done: List[Write] = []
        self.pending: Optional[Write] = None

    def next_write(self) -> Write:
        """A log-metric, log-param, set-tag or log-batch of 50 to 150 entries, in turn."""
        number = len(self.done)
        kind = number % 5
        at = 1700000000000 + number
        if kind == 0:
            point = (number / 8, at, number)
            body: Dict[str, Any] = {"run_id": self.run_id, "key": "m", "value": point[0], "timestamp": at}
            body["step"] = number
            return Write("runs/log-metric", body, {}, {}, {"m": point})
        if kind == 1:
            key, value = f"single/{number}", f"value {number}"
            body = {"run_id": self.run_id, "key": key, "value": value}
            return Write("runs/log-parameter", body, {key: value}, {}, {})
        if kind == 2:
            value = f"round {number}"
            body = {"run_id": self.run_id, "key": "t", "value": value}
            return Write("runs/set-tag", body, {}, {"t": value}, {})
        entries = range(20 + 10 * (number % 4))
        points = {f"b{number % 7}/k{i}": (i + number / 8, at, number) for i in entries}
        params = {f"b{number}.p{i}": f"{number}\n{i}" for i in entries[:15]}
        tags = {f"b{number % 3}.t{i}": f"{number}:{i}" for i in entries[:10]}
        body = {
            "run_id": self.run_id,
            "metrics": [{"key": k, "value": p[0], "timestamp": p[1], "step": p[2]} for k, p in points.items()],
            "params": [{"key": k, "value": v} for k, v in params.items()],
            "tags": [{"key": k, "value": v} for k, v in tags.items()],
        }
        return Write("runs/log-batch", body, params, tags, points)

    def verify(self, client: Client) -> None:
        """Compare with what the server says: all of ``done``, and ``pending`` whole or absent."""
        run = get_run(client, self.run_id)
        keys = {key for write in [*self.done, self.pending] if write for key in write.points}
        histories = {key: get_history(client, self.run_id, key) for key in sorted(keys)}
        found = run["params"], run["tags"], {key: points for key, points in histories.items() if points}
        assert {key: points[-1] for key, points in found[2].items()} == run["metrics"]
        assert run["tags"].pop("mlflow.runName") == "a run"
        if self.pending and found != _state(self.done):
            # It was committed but not answered; from now on it must stay.
            self.done.append(self.pending)
        self.pending = None
        assert found == _state(self.done)


def _state(writes: List[Write]) -> Tuple[Dict[str, str], Dict[str, str], Dict[str, List[Point]]]:
    """Params, tags and metric histories after these writes."""
    params: Dict[str, str] = {}
    tags: Dict[str, str] = {}
    points: Dict[str, List[Point]] = {}
    for write in writes:
        params.update(write.params)
        tags.update(write.tags)
        for key, point in write.points.items():
            points.setdefault(key, []).append(point)
    return params, tags, points


def _write_until_killed(port: int, ledgers: List[Ledger], created: Set[str]) -> None:
    """One writer: a new run after every 40 writes. Ends when the connection does."""
    try:
        with Client(port) as client:
            while True:
                ledger = Ledger(create_run(client))
                created.add(ledger.run_id)
                ledgers.append(ledger)
                for _ in range(40):
                    write = ledger.next_write()
                    ledger.pending = write
                    answer = client.post(write.path, write.body)
                    assert answer.status == 200, answer
                    ledger.pending = None
                    ledger.done.append(write)
    except OSError:
        return


def _load(program: Program) -> Tuple[List[Ledger], Set[str]]:
    """Let the writers write, kill the server under them; what they did, and the runs they created."""
    ledgers: List[Ledger] = []
    created: Set[str] = set()
    failures: List[BaseException] = []

    def work() -> None:
        try:
            _write_until_killed(program.port, ledgers, created)
        except BaseException as error:
            failures.append(error)

    writers = [threading.Thread(target=work) for _ in range(WRITERS)]
    for writer in writers:
        writer.start()
    writers[0].join(LOAD)
    program.kill()
    for writer in writers:
        writer.join()
    assert not failures, failures
    return ledgers, created


def _all_runs(client: Client) -> List[Dict[str, Any]]:
    runs: List[Dict[str, Any]] = []
    body: Dict[str, Any] = {"experiment_ids": ["0"], "max_results": 1000}
    while True:
        page = client.ok("runs/search", body)
        runs += page.get("runs", [])
        if "next_page_token" not in page:
            return runs
        body["page_token"] = page["next_page_token"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mlruns", "my.db"])
def test_a_kill_under_load_loses_nothing_acknowledged_and_leaves_no_half_batch(tmp_path: Path, name: str) -> None:
    root = tmp_path / name
    ledgers: List[Ledger] = []
    sample: List[Ledger] = []
    created: Set[str] = set()
    seconds = []
    writes = 0
    for number in range(ROUNDS):
        program = Program(root, "--sync", ("1s", "full", "off")[number % 3])
        seconds.append(program.seconds)
        with program.client() as client:
            for ledger in ledgers:
                ledger.verify(client)
        ledgers, new = _load(program)
        sample += ledgers[:2]
        created |= new
        writes += sum(len(ledger.done) for ledger in ledgers)
        if number % 5 == 4:
            with Program(root) as program, program.client() as client:
                for ledger in [*ledgers, *sample]:
                    ledger.verify(client)
                runs = _all_runs(client)
            assert created <= {run["info"]["run_id"] for run in runs}
            # Creations that were not answered may be there, but then whole.
            assert len(runs) - len(created) <= WRITERS * (number + 1)
            assert all(run["info"]["run_name"] == "a run" and run["data"]["tags"] for run in runs)
            checked = trackd("check", uri_of(root))
            assert checked.returncode == 0 and "ok" in checked.stdout, checked.stdout
            ledgers = []
    assert writes > 20 * ROUNDS, "too little load to say anything"
    # The median, because a single start can meet a busy machine.
    assert statistics.median(seconds) < 2
