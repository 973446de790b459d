"""The program as users run it, in a process of its own, and a plain client for it."""

import ctypes
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Mapping, NamedTuple, Optional, Tuple
from urllib.parse import urlencode

CHECKOUT = Path(__file__).parents[2]
API = "/api/2.0/mlflow/"
#: Far above what a start takes: only a program that hangs gets there.
PATIENCE = 60.0


def trackd(*arguments: str, before: Optional[Callable[[], None]] = None) -> "subprocess.CompletedProcess[str]":
    """Run a command of the program to its end; stdout and stderr are one text."""
    return subprocess.run(
        [sys.executable, "-m", "trackd", *arguments], env=_environment(), encoding="utf-8", timeout=PATIENCE,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, preexec_fn=before,
    )


def _environment() -> Dict[str, str]:
    """Ours, without settings that would reach the program, and with a path to it."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW_", "TRACKD_"))}
    return {**environment, "PYTHONPATH": str(CHECKOUT), "PYTHONUNBUFFERED": "1"}


class Failed(AssertionError):
    """The program ended instead of serving; the text is its output."""


def uri_of(root: Path) -> str:
    """What the program is told of a store: a folder's path, a database's URI."""
    return f"sqlite:///{root}" if root.suffix == ".db" else str(root)


class Program:
    """``trackd server`` on a folder, or a database whose name ends so, from its start until ``stop`` or ``kill``.

    ``output`` is its log so far.

    ``place`` is where it is started and where its log lies: beside the folder unless there is no room.
    """

    def __init__(
        self, root: Path, *flags: str, before: Optional[Callable[[], None]] = None, place: Optional[Path] = None
    ) -> None:
        self.root = root
        place = place or root.parent
        self._log = place / f"{root.name}.{time.monotonic_ns()}.log"
        command = [sys.executable, "-m", "trackd", "server", "--port", "0", "--backend-store-uri", uri_of(root), *flags]
        started = time.monotonic()
        with open(self._log, "wb") as log:
            self.process = subprocess.Popen(
                command, cwd=place, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=_environment(),
                preexec_fn=before,
            )
        try:
            self.port = self._wait_for_port()
            with self.client() as client:
                assert client.get("/health").status == 200
        except BaseException:
            self.kill()
            raise
        #: Seconds from the start to the first answer.
        self.seconds = time.monotonic() - started

    def _wait_for_port(self) -> int:
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            found = re.search(r"http://127\.0\.0\.1:(\d+)", self.output)
            if found:
                return int(found[1])
            if self.process.poll() is not None:
                raise Failed(self.output)
            time.sleep(0.005)
        raise Failed(f"not up after {PATIENCE} s: {self.output}")

    @property
    def output(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")

    def client(self) -> "Client":
        """A connection of its own."""
        return Client(self.port)

    def memory(self) -> int:
        """Resident bytes (Linux)."""
        with open(f"/proc/{self.process.pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def kill(self) -> None:
        """End it as a power cut or the kernel would: no handler runs."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """Ask it to stop, as systemd and Ctrl-C do."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        assert code == 0, self.output

    def __enter__(self) -> "Program":
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if kind is None and self.process.poll() is None:
            self.stop()
        else:
            self.kill()


class Answer(NamedTuple):
    """Status and body; ``json()`` for those that are JSON."""

    status: int
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """One keep-alive connection. Nothing is ever repeated: an error is an error.

    ``closing`` is set when the server said that it closes the connection.
    """

    def __init__(self, port: int) -> None:
        self.closing = False
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._socket.makefile("rb")

    def get(self, path: str, query: Optional[Mapping[str, object]] = None) -> Answer:
        """GET; ``path`` is below the API unless it begins with a slash."""
        target = path if path.startswith("/") else API + path
        if query:
            target += "?" + urlencode(query, doseq=True)
        return self.exchange(f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode("ascii"))

    def post(self, path: str, body: object) -> Answer:
        """POST a body as JSON; ``path`` as for ``get``."""
        return self.exchange(post(path, body))

    def ok(self, path: str, body: object) -> Any:
        """POST what must be answered with 200; the JSON of the answer."""
        answer = self.post(path, body)
        assert answer.status == 200, (path, answer)
        return answer.json()

    def found(self, path: str, query: Mapping[str, object]) -> Any:
        """GET what must be answered with 200; the JSON of the answer."""
        answer = self.get(path, query)
        assert answer.status == 200, (path, query, answer)
        return answer.json()

    def exchange(self, request: bytes) -> Answer:
        """Send bytes, read one answer."""
        self._socket.sendall(request)
        return self.answer()

    def send(self, request: bytes) -> None:
        """Send bytes whose answers are read later."""
        self._socket.sendall(request)

    def answer(self) -> Answer:
        """Read one answer; ConnectionError if the server went away before its end."""
        line = self._file.readline()
        if not line.endswith(b"\n"):
            raise ConnectionError("no answer")
        length = 0
        while True:
            header = self._file.readline()
            if header == b"\r\n":
                break
            if not header.endswith(b"\n"):
                raise ConnectionError("a cut answer")
            name, _, value = header.lower().partition(b":")
            if name == b"content-length":
                length = int(value)
            elif name == b"connection":
                self.closing = b"close" in value
        body = self._file.read(length)
        if len(body) < length:
            raise ConnectionError("a cut answer")
        return Answer(int(line.split(None, 2)[1]), body)

    def close(self) -> None:
        self._file.close()
        self._socket.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.close()


def post(path: str, body: object, method: str = "POST") -> bytes:
    """The bytes of a POST request, or of another one with a body of JSON."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode("utf-8")
    target = path if path.startswith("/") else API + path
    head = f"{method} {target} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(data)}\r\n\r\n".encode("ascii") + data


def create_experiment(client: Client, name: str) -> str:
    """A new experiment's id."""
    return str(client.ok("experiments/create", {"name": name})["experiment_id"])


def create_run(client: Client, experiment_id: str = "0", name: str = "a run") -> str:
    """A new run's id."""
    body = {"experiment_id": experiment_id, "run_name": name, "start_time": 1700000000000, "user_id": "me"}
    return str(client.ok("runs/create", body)["run"]["info"]["run_id"])


def get_run(client: Client, run_id: str) -> Dict[str, Any]:
    """A run with its lists as dicts: params and tags as key -> value, metrics as key -> (value, timestamp, step)."""
    run = client.found("runs/get", {"run_id": run_id})["run"]
    data = run.get("data", {})
    return {
        "info": run["info"],
        "params": {each["key"]: each["value"] for each in data.get("params", [])},
        "tags": {each["key"]: each["value"] for each in data.get("tags", [])},
        "metrics": {each["key"]: _point(each) for each in data.get("metrics", [])},
    }


def get_history(client: Client, run_id: str, key: str) -> List[Tuple[float, int, int]]:
    """All points of a metric as (value, timestamp, step), as the server orders them."""
    answer = client.found("metrics/get-history", {"run_id": run_id, "metric_key": key})
    return [_point(each) for each in answer.get("metrics", [])]


def _point(metric: Mapping[str, Any]) -> Tuple[float, int, int]:
    return float(metric["value"]), int(metric["timestamp"]), int(metric.get("step", 0))


def everything(client: Client) -> Dict[str, Any]:
    """All that can be asked: experiments, runs in search order, metric histories."""
    experiments = client.ok("experiments/search", {"max_results": 1000, "view_type": "ALL"}).get("experiments", [])
    ids = [each["experiment_id"] for each in experiments]
    found: Dict[str, Any] = {"experiments": experiments, "runs": [], "history": {}}
    for order in ([], ["metrics.m DESC"], ["params.p", "tags.t"], ["attributes.run_name DESC"]):
        body: Dict[str, Any] = {
            "experiment_ids": ids, "max_results": 50, "run_view_type": "ALL", "order_by": order, "filter": ""
        }
        pages = []
        for _ in range(1000):
            page = client.ok("runs/search", body)
            pages += page.get("runs", [])
            if "next_page_token" not in page:
                break
            body["page_token"] = page["next_page_token"]
        found["runs"].append(pages)
    for run in found["runs"][0]:
        run_id = run["info"]["run_id"]
        for metric in run.get("data", {}).get("metrics", []):
            query = {"run_id": run_id, "metric_key": metric["key"]}
            found["history"][run_id, metric["key"]] = client.found("metrics/get-history", query)
    return found


def snapshot(root: Path, times: bool = False) -> Dict[str, object]:
    """Every path below a folder with what it is: the bytes of files, the targets of links; with ``times`` also mtimes.

    The server's index and lock are left out unless ``times`` asks for everything.
    """
    found: Dict[str, object] = {}
    for path in _walk(root):
        name = str(path.relative_to(root))
        if not times and path.name.startswith((".trackd-index", ".trackd-lock")):
            continue
        status = path.lstat()
        kind: object = oct(status.st_mode)
        if path.is_symlink():
            kind = os.readlink(path)
        elif path.is_file():
            kind = path.read_bytes() if status.st_size < 1 << 20 else status.st_size
        found[name] = (kind, status.st_mtime_ns) if times else kind
    return found


def _walk(folder: Path) -> Iterator[Path]:
    """Everything below a folder, links not followed."""
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        yield Path(entry.path)
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(Path(entry.path))


_PR_CAPBSET_DROP = 24
_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH = 1, 2


def obey_permissions() -> None:
    """For ``before``: as root on Linux, let go of the right to ignore file permissions; others have to obey anyway."""
    if sys.platform == "linux" and os.geteuid() == 0:
        libc = ctypes.CDLL(None, use_errno=True)
        for capability in (_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH):
            if libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
                raise OSError(ctypes.get_errno(), "prctl")
