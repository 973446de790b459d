"""The servers that answer the compat tests: a real ``mlflow server`` and trackd, each in its own process.

``Peer.ask`` sends one request exactly as written (no client library in between) and gives back status, headers
and body. A peer is stopped by its own process group, never by name.
"""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, List, Mapping, NamedTuple, Optional, Sequence, Tuple
from urllib.parse import quote, urlencode

REPOSITORY = Path(__file__).resolve().parents[2]

#: Seconds until a peer must have answered ``/health``. MLflow makes its tables first: 10 s, a minute if busy.
START_LIMIT = 300.0


class Answer(NamedTuple):
    """What came back: ``body`` parsed where the type is JSON (a bare NaN token becomes ``<bare NaN>``), else text."""

    status: int
    headers: Mapping[str, str]
    body: Any

    @property
    def content_type(self) -> str:
        """The media type without its parameters."""
        return self.headers.get("content-type", "").split(";")[0].strip()


class Peer:
    """A running server and one keep-alive connection to it."""

    def __init__(self, name: str, port: int, process: "Optional[subprocess.Popen[str]]" = None, log: str = "") -> None:
        self.name = name
        self.port = port
        self.process = process
        self.log = log
        self._connection: Optional[http.client.HTTPConnection] = None

    @property
    def url(self) -> str:
        """What a client is given as its tracking URI."""
        return f"http://127.0.0.1:{self.port}"

    def ask(
        self,
        method: str,
        path: str,
        query: Sequence[Tuple[str, str]] = (),
        body: Optional[bytes] = None,
        headers: Optional[Mapping[str, str]] = None,
    ) -> Answer:
        """Send one request and read the whole answer; one new connection if the server had closed the old one."""
        target = quote(path) + ("?" + urlencode(list(query)) if query else "")
        for attempt in (1, 2):
            if self._connection is None:
                self._connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
            try:
                self._connection.request(method, target, body=body, headers=dict(headers or {}))
                response = self._connection.getresponse()
                raw = response.read()
            except (http.client.HTTPException, ConnectionError, socket.timeout):
                self._connection.close()
                self._connection = None
                if attempt == 2:
                    raise
                continue
            found = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, found, parse_body(found.get("content-type", ""), raw))
        raise AssertionError("unreachable")

    def call(self, path: str, body: Optional[Mapping[str, Any]] = None, **query: str) -> Any:
        """POST ``body`` (or GET with ``query``) under ``/api/2.0/mlflow/``; the parsed reply, which must be a 200."""
        full = "/api/2.0/mlflow/" + path
        if body is None:
            answer = self.ask("GET", full, query=list(query.items()))
        else:
            sent = json.dumps(body).encode()
            answer = self.ask("POST", full, body=sent, headers={"Content-Type": "application/json"})
        assert answer.status == 200, (path, body, query, answer)
        return answer.body

    def stop(self) -> None:
        """End the process group that was started for this peer and wait for it."""
        if self._connection is not None:
            self._connection.close()
        if self.process is None or self.process.poll() is not None:
            return
        for sign in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.process.pid, sign)
                self.process.wait(timeout=15)
                return
            except ProcessLookupError:
                return
            except subprocess.TimeoutExpired:
                continue


def complaints(peer: Peer) -> List[str]:
    """The lines of a server's log that are warnings or worse."""
    text = Path(peer.log).read_text(encoding="utf-8")
    return [line for line in text.splitlines() if re.search(r" (WARNING|ERROR|CRITICAL) |^Traceback", line)]


def parse_body(content_type: str, raw: bytes) -> Any:
    """JSON where the type says so and it parses; else text."""
    text = raw.decode("utf-8", "replace")
    if content_type.split(";")[0].strip() == "application/json" and text:
        try:
            return json.loads(text, parse_constant=lambda token: f"<bare {token}>")
        except ValueError:
            return text
    return text


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def start_mlflow(mlflow: Path, folder: Path, name: str = "mlflow") -> Peer:
    """``mlflow server`` (the command at ``mlflow``) on SQLite in ``folder``, one worker, not waited for."""
    port = free_port()
    command = [str(mlflow), "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", "1", "--backend-store-uri", "sqlite:///" + str(folder / "mlflow.db")]
    variables = dict(os.environ, MLFLOW_DISABLE_TELEMETRY="true", MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false")
    log = folder / (name + ".log")
    with open(log, "w", encoding="utf-8") as out:
        process = subprocess.Popen(
            command, cwd=str(folder), env=variables, stdout=out, stderr=subprocess.STDOUT, text=True,
            start_new_session=True,
        )
    return Peer(name, port, process, str(log))


def start_trackd(folder: Path, options: Sequence[str] = (), name: str = "trackd") -> Peer:
    """trackd in ``folder`` (``./mlruns`` there); returns when it has printed its address."""
    log = folder / (name + ".log")
    variables = dict(os.environ, PYTHONPATH=str(REPOSITORY), PYTHONUNBUFFERED="1")
    command: List[str] = [sys.executable, "-m", "trackd", "server", "--port", "0", *options]
    with open(log, "w", encoding="utf-8") as out:
        process = subprocess.Popen(
            command, cwd=str(folder), env=variables, stdout=out, stderr=subprocess.STDOUT, text=True,
            start_new_session=True,
        )
    end = time.monotonic() + 30
    while time.monotonic() < end:
        said = log.read_text(encoding="utf-8")
        found = re.search(r"http://127\.0\.0\.1:(\d+)", said)
        if found:
            return Peer(name, int(found.group(1)), process, str(log))
        if process.poll() is not None:
            break
        time.sleep(0.02)
    process.kill()
    raise AssertionError("trackd did not print its address:\n" + log.read_text(encoding="utf-8"))


def answers(peer: Peer) -> bool:
    """True when ``/health`` is a 200 by now."""
    try:
        return peer.ask("GET", "/health").status == 200
    except (OSError, http.client.HTTPException):
        return False


def wait_until_ready(peer: Peer, limit: float = START_LIMIT) -> None:
    """Return when ``/health`` answers 200; an AssertionError with the log's end otherwise."""
    end = time.monotonic() + limit
    while time.monotonic() < end:
        if answers(peer):
            return
        if peer.process is not None and peer.process.poll() is not None:
            break
        time.sleep(0.1)
    tail = Path(peer.log).read_text(encoding="utf-8")[-3000:]
    raise AssertionError(f"{peer.name} did not become ready:\n{tail}")
