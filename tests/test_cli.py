"""The command line as a user sees it: real processes, their output, their exit codes."""

import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Dict, List, Tuple

import pytest

from tests.launch import PATIENCE, Running, environment, run
from trackd import MLFLOW_VERSION, __version__, cli
from trackd.config import Config
from trackd.serving import Signals, Stopped, counted, first_lines
from trackd.store.base import NoStore, Store

on_posix = pytest.mark.skipif(os.name == "nt", reason="Windows cannot send these signals to one process")


class TwoRuns(Store):
    """A store that only counts."""

    def counts(self) -> Dict[str, int]:
        return {"experiments": 1, "runs": 2}


def tree(folder: Path) -> List[Tuple[str, int, int]]:
    """Everything below a folder with size and modification time."""
    found = [(path, path.lstat()) for path in sorted(folder.rglob("*"))]
    return [(str(path), status.st_size, status.st_mtime_ns) for path, status in found]


def half_a_request(server: Running) -> socket.socket:
    """A connection whose request the server has begun to read and cannot finish."""
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE)
    body = b'{"name": "late"}'
    head = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n"
    connection.sendall(b"POST /api/2.0/mlflow/experiments/create HTTP/1.1\r\nHost: localhost\r\n" + head.encode())
    assert connection.recv(100).startswith(b"HTTP/1.1 100 ")
    connection.sendall(body[:5])
    return connection


REST = b'e": "late"}'


@pytest.mark.parametrize("command", [("server", "--port", "0"), ("ui", "--port", "0"), ("--port", "0")], ids=" ".join)
def test_server_ui_and_no_command_at_all_serve(tmp_path: Path, command: Tuple[str, ...]) -> None:
    with Running(tmp_path, command=command) as server:
        assert server.ask("GET", "/health") == (200, "OK")
        assert server.stop() == (0 if os.name != "nt" else 1)


def test_the_first_lines_name_version_address_store_and_how_to_stop(tmp_path: Path) -> None:
    with Running(tmp_path) as server:
        server.stop()
        said = "\n".join(server.said)
        assert f"trackd {__version__}" in said and f"API {MLFLOW_VERSION}" in said
        assert f"http://127.0.0.1:{server.port}" in said and server.port != 0
        assert str(tmp_path / "mlruns") in said and "1 experiment, 0 runs" in said
        assert "Ctrl-C" in said


@on_posix
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda each: each.name)
def test_a_signal_stops_it_with_exit_code_0_and_without_complaint(tmp_path: Path, number: signal.Signals) -> None:
    with Running(tmp_path) as server:
        assert server.ask("POST", "/api/2.0/mlflow/experiments/create", '{"name": "kept"}')[0] == 200
        assert server.stop(number) == 0
        assert server.complained == []
    with Running(tmp_path) as server:
        assert server.ask("GET", "/api/2.0/mlflow/experiments/get-by-name?experiment_name=kept")[0] == 200


@on_posix
def test_a_request_in_flight_is_finished_before_it_stops(tmp_path: Path) -> None:
    with Running(tmp_path) as server:
        with half_a_request(server) as connection:
            server.process.send_signal(signal.SIGTERM)
            stopped_listening(server.port)
            connection.sendall(REST)
            assert b" 200 " in connection.recv(4096).split(b"\r\n")[0]
        assert server.ended() == 0


def stopped_listening(port: int) -> None:
    """Wait until nobody accepts connections there, which is how a server shows that it has noticed a signal."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=PATIENCE).close()
        except OSError:
            return
        time.sleep(0.01)
    raise AssertionError(f"port {port} is still open")


@on_posix
def test_a_second_signal_stops_it_at_once(tmp_path: Path) -> None:
    with Running(tmp_path) as server:
        with half_a_request(server):
            server.process.send_signal(signal.SIGTERM)
            stopped_listening(server.port)
            assert server.process.poll() is None
            assert server.stop(signal.SIGINT) == 128 + signal.SIGINT


@on_posix
def test_a_signal_before_serving_ends_the_start() -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        Signals().install()
        with pytest.raises(Stopped):
            signal.raise_signal(signal.SIGTERM)
    finally:
        for number, what in before.items():
            signal.signal(number, what)


def test_a_port_in_use_is_one_sentence_and_nothing_is_created(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run("server", "--port", str(port), cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1 and f"port {port} is in use" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "words, said",
    [
        (["--host", "no.such.host.invalid"], "'no.such.host.invalid' is not known"),
        # RFC 5737: an address that no host has.
        (["--host", "192.0.2.1"], "no address of this host"),
        (["--backend-store-uri", "a file"], "is not a folder"),
        (["--backend-store-uri", "a file/mlruns"], "a file/mlruns"),
        (["--allowed-hosts", "a:b:c:d::[x"], "is not a host pattern"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_keeps_it_from_starting_is_one_sentence_and_exit_code_1(
    tmp_path: Path, words: List[str], said: str
) -> None:
    (tmp_path / "a file").write_text("x")
    done = run("server", "--port", "0", *words, cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    assert done.stderr.startswith("trackd: ") and done.stderr.count("\n") == 1 and said in done.stderr
    assert done.stdout == ""


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_one_sentence(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    done = run("server", "--port", "0", "--backend-store-uri", str(closed / "mlruns"), cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1 and str(closed) in done.stderr


def test_a_folder_that_another_server_serves_is_refused_with_its_pid(tmp_path: Path) -> None:
    with Running(tmp_path) as server:
        done = run("server", "--port", "0", cwd=tmp_path)
        assert done.returncode == 1
        assert done.stderr.count("\n") == 1 and str(server.process.pid) in done.stderr
        assert server.ask("GET", "/health") == (200, "OK")


@pytest.mark.parametrize(
    "words, said",
    [
        (["server", "--prot", "1"], "unknown flag '--prot'; did you mean --port?"),
        (["sevrer"], "unknown command 'sevrer'; did you mean server?"),
        (["server", "--backend-store-uri", "postgresql://h/a"], "sqlite:///my.db"),
        (["server", "--app-name", "basic-auth"], "does not have yet"),
        (["--port", "x"], "--port: 'x' is not a whole number"),
        (["check", "--qq"], "unknown flag '--qq'"),
        (["check", "a", "b"], "unknown argument 'b'"),
        (["check", "mysql://h/a"], "sqlite:///my.db"),
        (["routes", "x"], "unknown argument 'x'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_on_the_command_line_is_one_sentence_and_exit_code_2(
    tmp_path: Path, words: List[str], said: str
) -> None:
    done = run(*words, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("trackd: ") and done.stderr.count("\n") == 1 and said in done.stderr
    assert done.stdout == "" and list(tmp_path.iterdir()) == []


def test_flags_without_effect_are_noted_one_line_each(tmp_path: Path) -> None:
    env = environment(MLFLOW_UVICORN_OPTS="--log-level debug")
    with Running(tmp_path, "--workers", "4", "--dev", env=env) as server:
        server.stop()
        notes = [line for line in server.complained if line.startswith("trackd: note: ")]
        assert [note.split()[2] for note in notes] == ["--workers", "MLFLOW_UVICORN_OPTS", "--dev"]


def test_verbose_logs_each_request_with_time_level_and_status(tmp_path: Path) -> None:
    with Running(tmp_path, "--verbose") as server:
        server.ask("GET", "/api/2.0/mlflow/experiments/get?experiment_id=7")
        server.stop()
        lines = [line for line in server.complained if "experiments/get?experiment_id=7" in line]
    assert len(lines) == 1
    assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d+ DEBUG trackd\.request: .* GET .*: 404 in [\d.]+ ms$", lines[0])


def test_the_timeout_of_gunicorn_ends_a_silent_body(tmp_path: Path) -> None:
    with Running(tmp_path, "--gunicorn-opts", "--timeout 1 --log-level debug") as server:
        with half_a_request(server) as connection:
            assert connection.recv(4096).startswith(b"HTTP/1.1 408 ")


def test_the_static_prefix_stands_before_every_route_and_in_the_address(tmp_path: Path) -> None:
    with Running(tmp_path, "--static-prefix", "/team/a") as server:
        assert server.prefix == "/team/a"
        assert server.ask("GET", "/health")[0] == 200
        assert server.ask("POST", "/api/2.0/mlflow/experiments/search", '{"max_results": 1}')[0] == 200
        server.prefix = ""
        assert server.ask("GET", "/health")[0] == 404
        assert server.ask("POST", "/api/2.0/mlflow/experiments/search", '{"max_results": 1}')[0] == 404


def test_a_read_only_server_answers_and_takes_no_writes(tmp_path: Path) -> None:
    with Running(tmp_path) as server:
        server.stop()
    (tmp_path / "mlruns" / ".trackd-index.db").unlink()
    before = tree(tmp_path / "mlruns")
    with Running(tmp_path, "--read-only", "--index", str(tmp_path / "index.db")) as server:
        assert "read-only" in "\n".join(server.said)
        assert server.ask("GET", "/api/2.0/mlflow/experiments/get?experiment_id=0")[0] == 200
        assert server.ask("POST", "/api/2.0/mlflow/experiments/create", '{"name": "x"}')[0] == 403
    assert tree(tmp_path / "mlruns") == before


def test_all_addresses_are_shown_with_one_that_works_from_here() -> None:
    said = "\n".join(first_lines(Config(host="0.0.0.0", static_prefix="/p"), TwoRuns(), 5001))
    assert "http://0.0.0.0:5001/p" in said and "http://localhost:5001/p" in said
    said = "\n".join(first_lines(Config(host="::1"), TwoRuns(), 5001))
    assert "http://[::1]:5001" in said and "localhost" not in said


def test_the_first_lines_say_which_hosts_are_answered_where_that_can_surprise() -> None:
    def said(**settings: object) -> str:
        return "\n".join(first_lines(Config(**settings), TwoRuns(), 1))

    assert "--allowed-hosts" not in said()
    assert "--allowed-hosts" in said(host="0.0.0.0")
    assert "--allowed-hosts" not in said(host="0.0.0.0", allowed_hosts=["a.example"])
    assert "not checked" in said(disable_security_middleware=True)


def test_the_first_lines_say_where_artifacts_go() -> None:
    assert os.path.abspath("mlartifacts") in "\n".join(first_lines(Config(), TwoRuns(), 1))
    assert "s3://b/p" in "\n".join(first_lines(Config(artifacts_destination="s3://b/p"), TwoRuns(), 1))
    config = Config(serve_artifacts=False, default_artifact_root="s3://bucket")
    said = "\n".join(first_lines(config, TwoRuns(), 1))
    assert "s3://bucket" in said and "clients" in said and "mlartifacts" not in said
    assert "none" in first_lines(Config(artifacts_only=True), NoStore(), 1)[2]


def test_a_database_that_mlflow_would_have_opened_is_pointed_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "mlflow.db" not in "\n".join(first_lines(Config(), TwoRuns(), 1))
    (tmp_path / "mlflow.db").touch()
    assert "mlflow.db is not looked at" in "\n".join(first_lines(Config(), TwoRuns(), 1))


def test_one_is_counted_in_the_singular() -> None:
    assert counted({"experiments": 1, "runs": 20}) == "1 experiment, 20 runs"


def test_version_and_help_are_printed(tmp_path: Path) -> None:
    lines = run("--version", cwd=tmp_path).stdout.splitlines()
    assert lines[0] == f"trackd {__version__} (MLflow API {MLFLOW_VERSION})"
    python = ".".join(map(str, sys.version_info[:3]))
    assert re.match(rf"Python {re.escape(python)}, SQLite {re.escape(sqlite3.sqlite_version)}, boto3 ", lines[1])
    said = run("--help", cwd=tmp_path).stdout
    assert all(command.name in said and command.help in said for command in cli.COMMANDS)
    said = run("server", "--help", cwd=tmp_path).stdout
    assert "--backend-store-uri" in said and "MLFLOW_BACKEND_STORE_URI" in said
    assert run("check", "--help", cwd=tmp_path).stdout.startswith("usage: trackd check [PATH or URI]")


def test_routes_prints_each_route_with_its_description(tmp_path: Path) -> None:
    done = run("routes", cwd=tmp_path)
    assert done.returncode == 0 and list(tmp_path.iterdir()) == []
    lines = [line.split(None, 2) for line in done.stdout.splitlines()]
    assert ["POST", "/api/2.0/mlflow/runs/log-batch"] in [line[:2] for line in lines]
    assert all(len(line) == 3 and line[0].isupper() and line[1].startswith("/") for line in lines)


@on_posix
def test_output_into_a_pipe_that_closes_early_is_no_traceback(tmp_path: Path) -> None:
    code = "import sys, trackd.cli; sys.stdin.read(); sys.exit(trackd.cli.main(['routes']))"
    reader, writer = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=writer, stderr=subprocess.PIPE,
        env=environment(), cwd=str(tmp_path),
    )
    os.close(writer)
    os.close(reader)
    _, complained = process.communicate(b"", timeout=PATIENCE)
    assert process.returncode == 1 and complained == b""


def test_check_of_a_sane_folder_says_ok_and_writes_nothing(tmp_path: Path) -> None:
    with Running(tmp_path) as server:
        assert server.ask("POST", "/api/2.0/mlflow/runs/create", '{"experiment_id": "0"}')[0] == 200
        server.stop()
    before = tree(tmp_path)
    for words in (["check"], ["check", "mlruns"], ["check", (tmp_path / "mlruns").as_uri()]):
        done = run(*words, cwd=tmp_path)
        assert (done.returncode, done.stdout, done.stderr) == (0, "ok: 1 experiment, 1 run\n", "")
    assert tree(tmp_path) == before


def test_check_works_while_a_server_has_the_folder(tmp_path: Path) -> None:
    with Running(tmp_path):
        assert run("check", cwd=tmp_path).returncode == 0


def test_check_names_every_problem_with_its_path_and_exits_with_1(tmp_path: Path) -> None:
    with Running(tmp_path) as server:
        server.stop()
    for name in ("17", "18"):
        (tmp_path / "mlruns" / name).mkdir()
        (tmp_path / "mlruns" / name / "meta.yaml").write_bytes(b"\x00\xff")
    before = tree(tmp_path)
    done = run("check", cwd=tmp_path)
    assert done.returncode == 1 and done.stderr == ""
    lines = done.stdout.splitlines()
    assert [line for line in lines if line.startswith(str(tmp_path / "mlruns" / "17"))]
    assert [line for line in lines if line.startswith(str(tmp_path / "mlruns" / "18"))]
    assert lines[-1] == "2 problems beside 1 experiment, 0 runs"
    assert tree(tmp_path) == before


def test_check_of_nothing_is_one_sentence(tmp_path: Path) -> None:
    done = run("check", "nowhere", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, "trackd: there is no folder nowhere.\n")


def test_progress_shows_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    cli.progress(5, 10)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    cli.progress(5, 10)
    cli.progress(10, 10)
    assert capsys.readouterr().err == "\rreading the folder: 5 of 10 runs\rreading the folder: 10 of 10 runs\n"


@pytest.mark.parametrize("place", ["models", "sqlite:///models.db"])
def test_a_registry_lies_where_registry_store_uri_says(tmp_path: Path, place: str) -> None:
    for made in (200, 400):
        with Running(tmp_path, "--registry-store-uri", place) as server:
            models = next(line for line in server.said if line.startswith("  models"))
            assert models.endswith(place)
            status, _ = server.ask("POST", "/api/2.0/mlflow/registered-models/create", '{"name": "iris"}')
            assert status == made
            assert server.ask("GET", "/api/2.0/mlflow/registered-models/get?name=iris")[0] == 200
            assert server.stop() == 0
    assert not (tmp_path / "mlruns" / "models").exists()
    with Running(tmp_path, "--registry-store-uri", "./mlruns/") as server:
        assert not [line for line in server.said if line.startswith("  models")]
        assert server.ask("GET", "/api/2.0/mlflow/registered-models/get?name=iris")[0] == 404


def test_a_pattern_for_sources_that_does_not_compile_stops_the_start_with_a_sentence(tmp_path: Path) -> None:
    variable = "MLFLOW_CREATE_MODEL_VERSION_SOURCE_VALIDATION_REGEX"
    done = run("server", "--port", "0", cwd=tmp_path, env=environment(**{variable: "s3://(bucket"}))
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.splitlines()[-1].startswith(f"trackd: {variable} is 's3://(bucket', which is no regular")
