"""A server process: started, timed to its first answer, weighed, and stopped with all its children."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Set

#: Seconds between two attempts at a first answer: short against the 100 ms that the fastest servers take.
ATTEMPT_INTERVAL = 0.002
#: Seconds that a server is given to stop when asked; MLflow's job processes take several.
STOP_LIMIT = 10.0
#: What a first answer is: a question that the store must answer, so that listening alone does not count.
FIRST_QUESTION = "/api/2.0/mlflow/experiments/search"


class StartError(Exception):
    """The server ended, or did not answer in time; the message has the end of its log."""


class BadAnswer(Exception):
    """An answer that is not 200 or not JSON."""


class Memory(NamedTuple):
    """Memory of a server and its children in MiB: resident, and proportional (shared pages divided by sharers)."""

    rss: float
    pss: float
    processes: int


class Process:
    """One running server on ``port``. ``seconds`` is the time from its start to its first answer.

    ``scratch`` is the variable by which it tells its children about a temporary folder that it leaves behind.
    """

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        port: int,
        environment: Mapping[str, str],
        scratch: str = "",
        limit: float = 180.0,
    ) -> None:
        self.port = port
        self.scratch = scratch
        self.log = folder / f"server-{port}.log"
        begin = time.perf_counter()
        with open(self.log, "ab") as log:
            self.child = subprocess.Popen(
                list(command),
                cwd=str(folder),
                env=clean_environment(environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            self._wait(begin + limit)
        except BaseException:
            self.stop()
            raise
        self.seconds = time.perf_counter() - begin

    def _wait(self, deadline: float) -> None:
        """Ask until there is an answer."""
        while time.perf_counter() < deadline:
            if self.child.poll() is not None:
                raise StartError(f"the server ended with {self.child.returncode}: {self.last_lines()}")
            if answers(self.port):
                return
            time.sleep(ATTEMPT_INTERVAL)
        raise StartError(f"no answer in time: {self.last_lines()}")

    def last_lines(self) -> str:
        """The end of the server's log."""
        return self.log.read_text(encoding="utf-8", errors="replace")[-600:].strip()

    def settle(self, limit: float = 25.0) -> None:
        """Wait until the server and its children have nothing more to do: they would disturb what is measured."""
        deadline = time.perf_counter() + limit
        quiet = 0
        used = cpu_seconds(tree(self.child.pid))
        while quiet < 2 and time.perf_counter() < deadline:
            time.sleep(0.5)
            before, used = used, cpu_seconds(tree(self.child.pid))
            quiet = quiet + 1 if abs(used - before) < 0.05 else 0

    def memory(self) -> Optional[Memory]:
        """What the server and all its children hold; ``None`` where there is no ``/proc``."""
        return memory_of(tree(self.child.pid))

    def stop(self) -> None:
        """End the server and whatever it has started."""
        family = tree(self.child.pid)
        left = {_variable(pid, self.scratch) for pid in family[1:]} if self.scratch else set()
        if self.child.poll() is None:
            self.child.terminate()
            try:
                self.child.wait(STOP_LIMIT)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()
        for pid in family[1:]:
            # Only what is still the same family: a process of our own session, not a number that was given again.
            if _session(pid) == self.child.pid:
                _kill(pid)
        for path in left - {""}:
            shutil.rmtree(path, ignore_errors=True)


def clean_environment(extra: Mapping[str, str]) -> Dict[str, str]:
    """This environment without what would configure a server or slow its start, plus ``extra``."""
    unwanted = ("MLFLOW_", "TRACKD_", "PYTHON", "FML_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(unwanted)}
    return {**kept, **extra}


def empty_python() -> float:
    """Seconds that this Python takes to start and do nothing: the part of a start that is not the server's."""
    times: List[float] = []
    for _ in range(5):
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-c", "pass"], env=clean_environment({}), check=True)
        times.append(time.perf_counter() - begin)
    return sorted(times)[2]


def free_port() -> int:
    """A port on 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(port: int) -> bool:
    """Whether the server answers ``FIRST_QUESTION`` with 200."""
    body = b'{"max_results": 10}'
    request = (
        f"POST {FIRST_QUESTION} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    ).encode("ascii") + body
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=60) as sock:
            sock.sendall(request)
            reply = b""
            while True:
                piece = sock.recv(65536)
                reply += piece
                if not piece:
                    return reply.startswith(b"HTTP/1.") and reply[9:12] == b"200"
    except OSError:
        return False


def ask(port: int, path: str, body: Optional[Mapping[str, Any]] = None, timeout: float = 120.0) -> Any:
    """The JSON answer to a POST of ``body``, or to a GET without one. Raises ``BadAnswer``."""
    connection = HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        if body is None:
            connection.request("GET", path)
        else:
            connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        response = connection.getresponse()
        content = response.read()
    except (OSError, HTTPException) as error:
        raise BadAnswer(f"{path}: {type(error).__name__}: {error}") from error
    finally:
        connection.close()
    if response.status != 200:
        raise BadAnswer(f"{path}: {response.status} {content[:200].decode('utf-8', 'replace')}")
    try:
        return json.loads(content)
    except ValueError as error:
        raise BadAnswer(f"{path}: {error} in {content[:200]!r}") from error


def tree(pid: int) -> List[int]:
    """A process and all its descendants, parents first."""
    children: Dict[int, List[int]] = {}
    for entry in _numbers("/proc"):
        fields = _stat(entry)
        if fields:
            children.setdefault(int(fields[1]), []).append(entry)
    found: List[int] = [pid]
    seen: Set[int] = {pid}
    for parent in found:
        for child in children.get(parent, []):
            if child not in seen:
                seen.add(child)
                found.append(child)
    return found


def cpu_seconds(pids: Sequence[int]) -> float:
    """Processor time of these processes together."""
    if not hasattr(os, "sysconf"):
        return 0.0
    ticks = 0
    for pid in pids:
        fields = _stat(pid)
        if fields:
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def memory_of(pids: Sequence[int]) -> Optional[Memory]:
    """What these processes hold together."""
    rss = pss = count = 0
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
        except OSError:
            continue
        sizes = {line.split(":")[0]: int(line.split()[1]) for line in lines[1:]}
        if "Rss" not in sizes:
            continue  # it has ended, and nobody has asked about it yet
        rss += sizes["Rss"]
        pss += sizes["Pss"]
        count += 1
    return Memory(rss / 1024, pss / 1024, count) if count else None


def _stat(pid: int) -> List[str]:
    """The fields of ``/proc/PID/stat`` behind the name: state, parent, group, session ...; none if it is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return text.rpartition(")")[2].split()


def _variable(pid: int, name: str) -> str:
    """An environment variable of a process, ``""`` if it has none or is gone."""
    try:
        entries = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return ""
    start = name.encode("ascii") + b"="
    return next((os.fsdecode(entry[len(start) :]) for entry in entries if entry.startswith(start)), "")


def _session(pid: int) -> Optional[int]:
    """The session of a process, ``None`` if it is gone."""
    fields = _stat(pid)
    return int(fields[3]) if fields else None


def _numbers(folder: str) -> List[int]:
    """The entries of a folder that are numbers; none where there is no such folder."""
    try:
        return [int(name) for name in os.listdir(folder) if name.isdigit()]
    except OSError:
        return []


def _kill(pid: int) -> None:
    """Kill a process, unless it has ended by itself."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
