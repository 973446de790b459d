"""Memory stays flat, however many requests come, and so does what is kept beside the folders."""

import re
import socket
import sys
import threading
from pathlib import Path
from typing import List

import pytest

from tests.faults.program import API, Program, create_run

REQUESTS = 200_000
#: By then every pool, cache and table of the server has the size that it keeps.
SETTLED = 50_000
CONNECTIONS = 4
#: Requests that are sent at once before their answers are read.
PIPELINE = 64
#: Growth that is allowed from then on, in bytes: room for the allocator, not for a leak of 40 bytes a request.
ALLOWED = 4 << 20


def _requests(run_id: str, number: int) -> List[bytes]:
    """Reads, writes and mistakes, as clients send them. What they leave behind stays small, so that answers do, too.

    Bytes, because 200,000 times ``json.dumps`` would take longer than the server does.
    """
    run = b'{"run_id":"%s",' % run_id.encode()
    point = b'"value":%d.5,"timestamp":%d,"step":%d}' % (number, 1700000000000 + number, number)
    get = b"GET %sruns/get?run_id=%s HTTP/1.1\r\nHost: localhost\r\n\r\n"
    filter_string = b"metrics.m1 > %d and tags.t != 'x'" % number
    rare = [
        _post(b"runs/search", b'{"experiment_ids":["0"],"filter":"%s","max_results":5}' % filter_string),
        _post(b"runs/log-batch", b'%s"metrics":[{"key":"b",%s],"tags":[{"key":"b","value":"v"}]}' % (run, point)),
    ]
    return [
        _post(b"runs/log-metric", b'%s"key":"m%d",%s' % (run, number % 10, point)),
        get % (_API, run_id.encode()),
        _post(b"runs/log-metric", b'%s"key":"m%d",%s' % (run, number % 7, point)),
        _post(b"runs/set-tag", b'%s"key":"t","value":"value %d"}' % (run, number)),
        get % (_API, run_id.encode()),
        get % (_API, b"%032x" % number),
        get % (_API, run_id.encode()),
        _post(b"runs/log-metric", b'%s"key":"../%d",%s' % (run, number, point)),
        get % (_API, run_id.encode()),
        _post(b"runs/nothing-%d" % number, b"{}"),
        *(rare if number % 10 == 0 else ()),
    ]


_API = API.encode("ascii")
_HEAD = b"Host: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"


def _post(path: bytes, body: bytes) -> bytes:
    return b"POST %s%s HTTP/1.1\r\n" % (_API, path) + _HEAD % len(body) + body


_answer = re.compile(
    rb"HTTP/1\.1 (\d\d\d) [^\r]*\r\n(?:[^\r]+\r\n)*?content-length: (\d+)\r\n(?:[^\r]+\r\n)*\r\n", re.IGNORECASE
).match


def _read(connection: socket.socket, count: int) -> int:
    """Read ``count`` answers; how many of them are a 200."""
    buffer = b""
    good = position = 0
    while count:
        answer = _answer(buffer, position)
        if answer and answer.end() + int(answer[2]) <= len(buffer):
            position = answer.end() + int(answer[2])
            assert int(answer[1]) < 500, buffer[answer.start() : position]
            good += answer[1] == b"200"
            count -= 1
            continue
        received = connection.recv(1 << 18)
        assert received, "the server closed the connection"
        buffer, position = buffer[position:] + received, 0
    return good


def _send(port: int, run_id: str, first: int, count: int) -> int:
    """Send ``count`` requests, many at once; how many were answered 200."""
    good = 0
    number = first
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        while count > 0:
            requests: List[bytes] = []
            while len(requests) < min(PIPELINE, count):
                requests += _requests(run_id, number)
                number += 1
            connection.sendall(b"".join(requests))
            good += _read(connection, len(requests))
            count -= len(requests)
    return good


def _load(program: Program, run_ids: List[str], first: int, count: int) -> None:
    good: List[int] = []

    def work(run_id: str) -> None:
        good.append(_send(program.port, run_id, first, count // CONNECTIONS))

    threads = [threading.Thread(target=work, args=(run_id,)) for run_id in run_ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(good) == CONNECTIONS and sum(good) >= count * 0.6, good


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc for the memory of another process")
def test_memory_and_log_are_flat_from_50_000_to_200_000_requests(tmp_path: Path) -> None:
    with Program(tmp_path / "mlruns") as program:
        with program.client() as client:
            run_ids = [create_run(client) for _ in range(CONNECTIONS)]
        _load(program, run_ids, 0, SETTLED)
        settled = program.memory()
        _load(program, run_ids, SETTLED, REQUESTS - SETTLED)
        assert program.memory() - settled < ALLOWED, f"from {settled} to {program.memory()} bytes"
        # The log of the index begins anew, although somebody writes all the time.
        assert (tmp_path / "mlruns" / ".trackd-index.db-wal").stat().st_size < 64 << 20
