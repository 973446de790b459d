"""The benchmark itself: its load generator reads replies right, its table tells the truth, its data are equal."""

import contextlib
import json
import os
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Iterator, List

import pytest

from tests.bench import __main__ as program
from tests.bench import data, database, folder, load, process, report
from tests.bench.__main__ import WORKLOADS
from tests.bench.runner import Ceiling, Column, Runner
from tests.bench.servers import SERVERS
from tests.bench.workloads import Measure, Settings

BY_NAME = {server.name: server for server in SERVERS}
ROWS = {row.name: row for row in WORKLOADS}
SMALL = data.Shape(7, "small", 4, 2, 2, 2, points=3)


class Canned:
    """A server that answers each request with the next of ``replies``; keeps what it was sent.

    A reply is a list of pieces sent apart; ``None`` as the last closes the connection.
    """

    def __init__(self, replies: List[List[bytes]], close: bool = False) -> None:
        self.replies = replies
        self.close = close
        self.seen: List[bytes] = []
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with connection, contextlib.suppress(OSError):
            waiting = b""
            while True:
                waiting += connection.recv(1 << 16)
                head, separator, rest = waiting.partition(b"\r\n\r\n")
                if not waiting:
                    return
                length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0] or b"0")
                if not separator or len(rest) < length:
                    continue
                with self.lock:
                    reply = self.replies[len(self.seen) % len(self.replies)]
                    self.seen.append(waiting)
                waiting = b""
                for piece in reply:
                    connection.sendall(piece)
                if self.close:
                    return


@contextlib.contextmanager
def canned(*replies: List[bytes], close: bool = False) -> Iterator[Canned]:
    """A canned server for the length of a test."""
    server = Canned(list(replies), close)
    try:
        yield server
    finally:
        server.listener.close()


def plan(port: int, count: int, connections: int = 1, **more: object) -> load.Plan:
    """Exactly ``count`` requests, no warm-up."""
    request = data.log_metric("a" * 32, port)
    fields = {"seconds": 30.0, "rounds": 1, "max_requests": count, "warmup_requests": 0, "timeout": 20.0, **more}
    return load.Plan(port, connections, [request], **fields)  # type: ignore[arg-type]


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


def test_each_request_sent_differs_and_its_length_is_true() -> None:
    with canned([OK]) as server:
        result = load.drive(plan(server.port, 25, connections=5))
        bodies = [json.loads(seen.partition(b"\r\n\r\n")[2]) for seen in server.seen]
    assert [one.replies for one in result.rounds] == [25]
    assert result.errors == 0
    assert sorted(body["step"] for body in bodies) == list(range(load.FIRST_NUMBER, load.FIRST_NUMBER + 25))


@pytest.mark.parametrize(
    "pieces",
    [
        [OK],
        [OK[:5], OK[5:30], OK[30:39], OK[39:]],
        [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"],
        [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"2\r\n{}\r", b"\n0\r\n", b"\r\n"],
        [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"],
        [b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n", b"x" * 300_000],
        [b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"],
    ],
)
def test_a_reply_is_read_to_its_end_whatever_its_framing_and_pieces(pieces: List[bytes]) -> None:
    with canned(pieces) as server:
        result = load.drive(plan(server.port, 6))
    assert (result.rounds[0].replies, result.errors, result.reconnects) == (6, 0, 0)


def test_a_connection_that_the_server_ends_is_opened_again() -> None:
    ending = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}"
    unframed = b"HTTP/1.0 200 OK\r\n\r\n{}"
    for reply in (ending, unframed):
        with canned([reply], close=True) as server:
            result = load.drive(plan(server.port, 4))
        assert (result.rounds[0].replies, result.reconnects) == (4, 4)


def test_answers_that_are_not_200_are_counted_and_end_the_round() -> None:
    with canned([b"HTTP/1.1 500 Oh\r\nContent-Length: 4\r\n\r\nfour"]) as server:
        result = load.drive(plan(server.port, 1000))
    assert load.MAX_ERRORS <= result.errors <= load.MAX_ERRORS + 1
    assert "500 Oh" in result.samples[0] and "four" in result.samples[0]


def test_a_connection_lost_inside_a_reply_is_an_error() -> None:
    with canned([b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"], close=True) as server:
        with pytest.raises(load.LoadError, match="closed the connection"):
            load.drive(plan(server.port, 1))


def test_a_large_request_is_sent_whole() -> None:
    with canned([OK]) as server:
        request = data.log_batch("b" * 32, server.port, keys=1000)
        load.drive(plan(server.port, 2)._replace(requests=[request]))
        lengths = [len(seen) for seen in server.seen]
        body = json.loads(server.seen[-1].partition(b"\r\n\r\n")[2])
    assert lengths == [len(request)] * 2 and len(request) > 70_000
    assert len({metric["key"] for metric in body["metrics"]}) == 1000


def test_the_load_process_gives_back_what_it_saw() -> None:
    with canned([OK]) as server:
        done = subprocess.run(
            [sys.executable, "-m", "tests.bench.load"], input=load.plan_to_json(plan(server.port, 10, connections=2)),
            capture_output=True, text=True, timeout=60, cwd=str(Path(__file__).parents[1]),
        )
    assert done.returncode == 0, done.stderr
    result = load.result_from_json(done.stdout)
    assert result.rounds[0].replies == len(server.seen) == 10
    assert result.next_number == load.FIRST_NUMBER + 10


def test_the_load_process_says_why_it_failed() -> None:
    port = process.free_port()
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.load"], input=load.plan_to_json(plan(port, 1)),
        capture_output=True, text=True, timeout=60, cwd=str(Path(__file__).parents[1]),
    )
    assert done.returncode == 1 and "ConnectionRefusedError" in done.stderr


def test_percentiles_are_of_the_ordered_latencies_in_milliseconds() -> None:
    found = load.summarise([0.001 * number for number in range(100, 0, -1)], 2.0, 0)
    assert (found.replies, found.rate, round(found.p50), round(found.p99)) == (100, 50.0, 51, 100)


def test_a_folder_has_every_file_of_its_shape_in_mlflows_layout(tmp_path: Path) -> None:
    count = folder.write_shape(str(tmp_path), SMALL)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert count == len(files) == 1 + SMALL.runs * (1 + SMALL.items)
    run = next(data.shape_runs(SMALL))
    lines = (tmp_path / "7" / run.run_id / "metrics" / "accuracy").read_text().splitlines()
    last = dict(run.metrics)["accuracy"]
    assert [line.split()[2] for line in lines] == ["0", "1", "2"]
    assert float(lines[-1].split()[1]) == last
    meta = (tmp_path / "7" / run.run_id / "meta.yaml").read_text()
    assert f"run_id: {run.run_id}\n" in meta and "experiment_id: '7'\n" in meta
    assert (tmp_path / "7" / run.run_id / "tags" / "mlflow.runName").read_text() == "run-00000"


def test_a_database_gets_the_same_runs_and_only_columns_that_it_has(tmp_path: Path) -> None:
    path = str(tmp_path / "some.db")
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            "CREATE TABLE experiments (experiment_id INTEGER, name TEXT, namespace_id INTEGER);"
            "CREATE TABLE runs (run_uuid TEXT, experiment_id INTEGER, row_num INTEGER);"
            "CREATE TABLE metrics (key TEXT, value REAL, step INTEGER, run_uuid TEXT, is_nan INTEGER);"
            "CREATE TABLE latest_metrics (key TEXT, value REAL, run_uuid TEXT, last_iter INTEGER);"
            "CREATE TABLE params (key TEXT, value_str TEXT, run_uuid TEXT);"
            "CREATE TABLE tags (key TEXT, value TEXT, run_uuid TEXT);"
        )
    database.write_shapes(path, [SMALL])
    with contextlib.closing(sqlite3.connect(path)) as connection:
        counts = {
            table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table in ("experiments", "runs", "metrics", "latest_metrics", "params", "tags")
        }
        latest = connection.execute("SELECT run_uuid, key, value FROM latest_metrics").fetchall()
        missing = connection.execute("SELECT count(*) FROM params WHERE value_str IS NULL").fetchone()[0]
    assert counts == {"experiments": 1, "runs": 4, "metrics": 24, "latest_metrics": 8, "params": 8, "tags": 8}
    assert sorted(latest) == sorted((run.run_id, *metric) for run in data.shape_runs(SMALL) for metric in run.metrics)
    assert missing == 0


def test_the_runs_are_the_same_each_time_and_as_many_as_the_table_says() -> None:
    assert list(data.shape_runs(data.FULL)) == list(data.shape_runs(data.FULL))
    assert (data.FULL.runs, data.FULL.items, data.SINGLES.items, data.LARGE.runs) == (1000, 18, 20, 20_000)
    assert data.EXISTING.runs == 3000 and data.EXISTING.runs * (data.EXISTING.items + 1) > 100_000
    ids = {run.run_id for run in data.shape_runs(data.FULL)}
    assert len(ids) == 1000 and all(len(one) == 32 for one in ids)
    # Half of the runs pass the filter, so that its first 100 are a choice.
    passing = [run for run in data.shape_runs(data.FULL) if dict(run.metrics)["accuracy"] > 0.5]
    assert 400 < len(passing) < 600


def columns() -> List[Column]:
    """trackd and two peers with figures for a few rows, the floor with none."""
    def measured(**values: float) -> dict:
        return {name.replace("_", "-"): Measure(value, [value]) for name, value in values.items()}

    own = measured(start=0.1, log_metric_20=8000.0, log_metric_20_full=5000.0, search_1000=50.0)
    return [
        Column(BY_NAME["trackd"], own, {"create-run": "no room"}),
        Column(BY_NAME["mlflow"], measured(start=15.0, log_metric_20=100.0, search_1000=900.0), {}),
        Column(BY_NAME["fasttrackml"], measured(start=0.2, log_metric_20=800.0, search_1000=25.0), {}),
        Column(BY_NAME["floor"], {}, {}, "not there"),
    ]


def test_the_ratio_is_against_the_best_peer_and_above_one_when_trackd_is_better() -> None:
    found = {name: report.ratio(columns(), ROWS[name]) for name in ("start", "log-metric-20", "search-1000", "get-run")}
    assert found == {"start": 2.0, "log-metric-20": 10.0, "search-1000": 0.5, "get-run": None}
    # A peer without --sync is compared with its only figure.
    assert report.ratio(columns(), ROWS["log-metric-20-full"]) == 6.25


def test_the_table_shows_figures_budgets_and_failures() -> None:
    table = report.cells(columns(), WORKLOADS)
    lines = {line[0]: line[1:] for line in table}
    assert lines[ROWS["search-1000"].title] == ["40.0 ms", "over", "50.0 ms", "900 ms", "25.0 ms", "-", "0.5x"]
    assert lines[ROWS["log-metric-20"].title] == ["6,000/s", "ok", "8,000/s", "100/s", "800/s", "-", "10x"]
    assert lines[ROWS["create-run"].title][2] == "failed"
    assert ROWS["get-run"].title not in lines
    assert len({len(line) for line in table}) == 1


def test_the_table_prints_as_text_and_as_markdown() -> None:
    table = report.cells(columns(), WORKLOADS)
    text = report.as_text(table).splitlines()
    assert len(text) == len(table) + 1 and text[0].startswith("workload")
    ends = {line.index("/s", line.index("6,000/s") if "6,000/s" in line else 0) for line in text if "8,000/s" in line}
    assert len(ends) == 1
    markdown = report.as_markdown(table).splitlines()
    assert {line.count("|") for line in markdown} == {len(table[0]) + 1}
    assert markdown[1].startswith("|---|---:|")


def test_the_notes_say_what_is_missing_and_what_failed() -> None:
    found = "\n".join(report.notes(columns(), Ceiling(12.0, 15_000.0), busy=4.0, empty=0.0123))
    assert "floor (no store): missing: not there" in found
    assert "trackd: create-run: no room" in found
    assert "python3 -c pass takes 0.012 s" in found
    assert "15,000/s" in found and "load average 4.0" in found


def test_one_reason_for_many_rows_is_said_once() -> None:
    (own, *_) = columns()
    notes = report.notes([own._replace(failures={"start": "no port", "memory": "no port", "get-run": "lost"})], None)
    assert [line for line in notes if "no port" in line] == ["trackd: start, memory: no port"]
    assert "trackd: get-run: lost" in notes


def test_stores_go_at_the_end_and_the_next_run_knows_that_they_went(tmp_path: Path) -> None:
    first = Runner(Settings(), str(tmp_path), None)
    with first._place(first.disk) as place:
        (place / "file").touch()
    assert place.exists() and not first.too_soon
    first.clean()
    assert not place.exists() and Runner(Settings(), str(tmp_path), None).too_soon


def test_the_json_holds_every_round() -> None:
    found = json.loads(report.as_json(columns(), WORKLOADS, None))
    rows = {row["name"]: row for row in found["workloads"]}
    assert rows["start"]["servers"]["trackd"]["rounds"] == [0.1]
    assert found["failures"] == {"trackd": {"create-run": "no room"}} and found["missing"] == {"floor": "not there"}


@pytest.mark.parametrize(
    "value, unit, shown",
    [
        (123_456.0, "/s", "123,000/s"), (999.6, "ms", "1000 ms"), (42.0, "ms", "42.0 ms"), (1.234, "s", "1.23 s"),
        (0.04567, "s", "0.046 s"), (None, "s", "-"), (-2.5, "MiB", "-2.50 MiB"),
    ],
)
def test_figures_have_three_digits(value: float, unit: str, shown: str) -> None:
    assert report.figure(value, unit) == shown


def test_rows_and_servers_are_chosen_by_name() -> None:
    names = [row.name for row in program.choose_rows(["log-metric-*,start"], False, False)]
    assert names == ["start", "log-metric-1", "log-metric-20", "log-metric-1-full", "log-metric-20-full"]
    assert not any(row.slow or row.asked for row in program.choose_rows([], True, False))
    assert [server.name for server in program.choose_servers("floor,trackd", False)] == ["trackd", "floor"]
    assert [server.name for server in program.choose_servers(None, True)] == ["trackd"]
    with pytest.raises(SystemExit, match="no row is called nonsense"):
        program.choose_rows(["nonsense"], False, False)
    with pytest.raises(SystemExit, match="no server is called nonsense"):
        program.choose_servers("nonsense", False)


def test_every_row_has_a_stage_that_trackd_takes_part_in_and_its_twin_exists() -> None:
    assert {row.stage for row in WORKLOADS} <= set(BY_NAME["trackd"].stages)
    assert {row.twin for row in WORKLOADS if row.twin} <= set(ROWS)
    assert len(ROWS) == len(WORKLOADS)


SERVER = """
import http.server, os, subprocess, sys
class Answer(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.send_response(200); self.send_header("Content-Length", "2"); self.end_headers(); self.wfile.write(b"{}")
    def log_message(self, *args): pass
environment = {**os.environ, "SCRATCH": sys.argv[2]}
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], env=environment)
print(child.pid, flush=True)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/smaps_rollup"), reason="needs Linux's /proc")
def test_a_server_is_timed_weighed_and_stopped_with_its_children(tmp_path: Path) -> None:
    port = process.free_port()
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    command = [sys.executable, "-c", SERVER, str(port), str(scratch)]
    running = process.Process(command, tmp_path, port, {}, scratch="SCRATCH")
    try:
        child = int(running.log.read_text().split()[0])
        memory = running.memory()
        assert memory is not None and memory.processes == 2 and memory.rss >= memory.pss > 0
        assert process.tree(running.child.pid) == [running.child.pid, child]
        assert running.seconds > 0 and process.answers(port)
    finally:
        running.stop()
    assert running.child.returncode is not None
    assert not process.answers(port)
    assert not scratch.exists()
    # A killed process is gone a moment later.
    deadline = time.monotonic() + 20
    while process.memory_of([child]) is not None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert process.memory_of([child]) is None


def test_a_server_that_ends_is_reported_with_its_last_words(tmp_path: Path) -> None:
    port = process.free_port()
    with pytest.raises(process.StartError, match="ended with 3: no such thing"):
        process.Process([sys.executable, "-c", "print('no such thing'); raise SystemExit(3)"], tmp_path, port, {})
