"""Workloads of artifacts: large files in one piece and in parts, many at a time, small ones; and the server's memory.

The client is as plain as can be (a file sent by the system, an answer received and dropped), so that the server is
what is measured. What was sent is read back and compared, once for each workload.
"""

import hashlib
import http.client
import json
import os
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any, Callable, List, Optional, Sequence, Tuple
from urllib.parse import urlsplit

from tests.bench.process import memory_of, tree
from tests.bench.workloads import LESS, MORE, Bench, Failed, Measure, Workload

MIB = 1 << 20
GIB = 1 << 30
PROXY = "/api/2.0/mlflow-artifacts/artifacts/"
#: What MLflow's client sends at a time, and how many of these.
PART, PARALLEL = 10 * MIB, 4
#: Seconds without an answer after which a transfer counts as hanging.
LIMIT = 300.0


def source(bench: Bench, size: int) -> Path:
    """A file of so many bytes, made once."""
    path = bench.place / f"source-{size}"
    if not path.exists():
        block = os.urandom(MIB)
        with open(path, "wb") as file:
            for at in range(0, size, MIB):
                file.write(at.to_bytes(8, "big") + block[8 : min(MIB, size - at)])
    return path


def put(port: int, target: str, path: Path, start: int = 0, size: Optional[int] = None) -> Tuple[int, str]:
    """Send a file, or a part of it; the status and the ETag of the answer."""
    length = path.stat().st_size if size is None else size
    with socket.create_connection(("127.0.0.1", port), timeout=LIMIT) as connection, open(path, "rb") as file:
        head = f"PUT {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
        connection.sendall(head.encode())
        if length:
            connection.sendfile(file, start, length)
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        answer.read()
        return answer.status, answer.getheader("ETag", "")


def get(port: int, target: str, take: Callable[[memoryview], object]) -> int:
    """Receive a file; the number of its bytes. ``take`` gets each piece."""
    buffer = memoryview(bytearray(MIB))
    with socket.create_connection(("127.0.0.1", port), timeout=LIMIT) as connection:
        connection.sendall(f"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        if answer.status != 200:
            raise Failed(f"a download is answered {answer.status}: {answer.read(300)!r}")
        total = 0
        while True:
            count = answer.readinto(buffer)
            if not count:
                return total
            take(buffer[:count])
            total += count


def sent(status: int) -> None:
    """``Failed`` if an upload was not kept."""
    if status != 200:
        raise Failed(f"an upload is answered {status}")


def check(bench: Bench, name: str, path: Path) -> None:
    """What the server has must be what was sent."""
    total = hashlib.sha256()
    get(bench.port, PROXY + name, total.update)
    expected = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(MIB), b""):
            expected.update(block)
    if total.digest() != expected.digest():
        raise Failed("what was sent is not what is there")


def rounds(bench: Bench, size: int, transfer: Callable[[int], object], note: str = "") -> Measure:
    """MB a second of a transfer of ``size`` bytes, which is done as often as the settings say."""
    values = []
    for number in range(bench.settings.rounds):
        start = time.perf_counter()
        transfer(number)
        values.append(size / (time.perf_counter() - start) / 1e6)
    return Measure(median(values), values, note)


def put_large(bench: Bench) -> Measure:
    """One PUT of 1 GiB."""
    path = source(bench, GIB)
    found = rounds(bench, GIB, lambda number: sent(put(bench.port, PROXY + "large", path)[0]))
    check(bench, "large", path)
    return found


def get_large(bench: Bench) -> Measure:
    """One GET of the same."""
    sent(put(bench.port, PROXY + "large", source(bench, GIB))[0])
    return rounds(bench, GIB, lambda number: get(bench.port, PROXY + "large", lambda piece: None))


def put_parallel(bench: Bench) -> Measure:
    """Eight PUTs of 256 MiB at one time."""
    path = source(bench, GIB // 4)

    def transfer(number: int) -> None:
        for status, _ in pool.map(lambda at: put(bench.port, f"{PROXY}par/{at}", path), range(8)):
            sent(status)

    with ThreadPoolExecutor(8) as pool:
        found = rounds(bench, 2 * GIB, transfer)
    check(bench, "par/7", path)
    return found


def put_small(bench: Bench) -> Measure:
    """10,000 files of 10 KiB over eight connections that stay open, as log_artifacts sends a folder."""
    data, count, values = os.urandom(10 * 1024), 10_000, []

    def send(where: Tuple[int, int]) -> None:
        number, first = where
        connection = http.client.HTTPConnection("127.0.0.1", bench.port, timeout=LIMIT)
        for at in range(first, count, 8):
            connection.request("PUT", f"{PROXY}small-{number}/{at % 100}/{at}", data)
            answer = connection.getresponse()
            answer.read()
            sent(answer.status)
        connection.close()

    with ThreadPoolExecutor(8) as pool:
        for number in range(bench.settings.rounds):
            start = time.perf_counter()
            list(pool.map(send, [(number, first) for first in range(8)]))
            values.append(count / (time.perf_counter() - start))
    return Measure(median(values), values)


def put_parts(bench: Bench) -> Measure:
    """1 GiB in parts of 10 MiB, four at a time, as MLflow's client sends it."""
    path = source(bench, GIB)
    found = rounds(bench, GIB, lambda number: _in_parts(bench.port, path))
    check(bench, f"parts/{path.name}", path)
    return found


def _in_parts(port: int, path: Path) -> None:
    size = path.stat().st_size
    starts = range(0, size, PART)
    created = _post(port, "create", {"path": str(path), "num_parts": len(starts)})

    def send(index: int) -> Any:
        url = urlsplit(created["credentials"][index]["url"])
        status, etag = put(port, f"{url.path}?{url.query}", path, starts[index], min(PART, size - starts[index]))
        sent(status)
        return {"part_number": index + 1, "etag": etag}

    with ThreadPoolExecutor(PARALLEL) as pool:
        parts = list(pool.map(send, range(len(starts))))
    _post(port, "complete", {"path": str(path), "upload_id": created["upload_id"], "parts": parts})


def _post(port: int, what: str, body: Any) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT)
    path = f"/api/2.0/mlflow-artifacts/mpu/{what}/parts"
    connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    if answer.status != 200:
        raise Failed(f"an upload in parts is answered {answer.status}: {text[:200]!r}")
    return json.loads(text)


def memory_growth(bench: Bench) -> Measure:
    """How far the server's memory rises above its idle one while 1 GiB goes up and down and eight uploads run."""
    large, small = source(bench, GIB), source(bench, GIB // 4)
    with _watched(bench) as sizes:
        sent(put(bench.port, PROXY + "memory", large)[0])
        get(bench.port, PROXY + "memory", lambda piece: None)
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda at: put(bench.port, f"{PROXY}memory-{at}", small), range(8)))
    idle, most = sizes[0], max(sizes)
    return Measure(most - idle, [idle, most], f"{idle:.1f} MiB idle, {most:.1f} at most")


class _watched:
    """The sizes of the server's memory in MiB while the block runs, the idle one first."""

    def __init__(self, bench: Bench) -> None:
        self._family = tree(bench.process.child.pid)
        self._ended = threading.Event()
        self._sizes: List[float] = []
        self._thread = threading.Thread(target=self._watch)

    def _look(self) -> None:
        memory = memory_of(self._family)
        if memory is None:
            raise Failed("this system has no /proc/PID/smaps_rollup")
        self._sizes.append(memory.rss)

    def _watch(self) -> None:
        while not self._ended.wait(0.05):
            self._look()

    def __enter__(self) -> List[float]:
        self._look()
        self._thread.start()
        return self._sizes

    def __exit__(self, *unused: object) -> None:
        self._ended.set()
        self._thread.join()


WORKLOADS: Sequence[Workload] = (
    Workload("artifact-up", "artifact of 1 GiB, one PUT", "MB/s", MORE, 600, "artifacts", put_large, slow=True),
    Workload("artifact-down", "artifact of 1 GiB, one GET", "MB/s", MORE, 1000, "artifacts", get_large, slow=True),
    Workload("artifact-parts", "artifact of 1 GiB in parts of 10 MiB, 4 at a time", "MB/s", MORE, None, "artifacts",
             put_parts, slow=True),
    Workload("artifact-up-8", "8 artifacts of 256 MiB at a time", "MB/s", MORE, None, "artifacts", put_parallel,
             slow=True),
    Workload("artifact-small", "10,000 artifacts of 10 KiB, 8 connections", "/s", MORE, None, "artifacts", put_small,
             slow=True),
    Workload("artifact-memory", "growth of memory with all of these", "MiB", LESS, 16, "artifacts", memory_growth,
             slow=True),
)
