"""Uploads and downloads of the program as users run it, byte by byte: framing, crashes, room, memory."""

import hashlib
import http.client
import os
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Iterator, List, Optional, Tuple

import pytest

from tests.faults.program import PATIENCE, Program
from tests.web.wire import Answer, Wire
from trackd.artifacts.local import WORKSHOP

PROXY = "/api/2.0/mlflow-artifacts/artifacts/"
MIB = 1 << 20


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """One server for all tests that leave it as it was."""
    with Program(tmp_path_factory.mktemp("transfers") / "mlruns") as program:
        yield program


def root(program: Program) -> Path:
    """Where the server keeps artifacts."""
    return program.root.parent / "mlartifacts"


def left(program: Program) -> List[str]:
    """What is there of uploads that are not complete."""
    workshop = root(program) / WORKSHOP
    return sorted(os.listdir(workshop)) if workshop.is_dir() else []


def wire(program: Program) -> Wire:
    """A connection for bytes as they are."""
    return Wire(("127.0.0.1", program.port), timeout=PATIENCE)


def head(method: str, path: str, *fields: str) -> bytes:
    """A request up to its body."""
    return "\r\n".join([f"{method} {PROXY}{path} HTTP/1.1", "Host: localhost", *fields, "", ""]).encode()


def put(program: Program, path: str, data: bytes) -> Answer:
    """Upload with a length."""
    with wire(program) as one:
        return one.send(head("PUT", path, f"Content-Length: {len(data)}"), data).answer()


def get(program: Program, path: str, *fields: str, method: str = "GET") -> Answer:
    """Download."""
    with wire(program) as one:
        return one.send(head(method, path, *fields)).answer(body=method == "GET")


def chunks(data: bytes, size: int) -> bytes:
    """A body in chunks of this size."""
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def test_a_body_may_have_a_length_or_chunks_any_type_and_be_expected(program: Program) -> None:
    data = os.urandom(300_000)
    with wire(program) as one:
        for fields in (["Content-Type: text/html"], ["Content-Type: application/json"], []):
            assert one.send(head("PUT", "a", f"Content-Length: {len(data)}", *fields), data).answer().status == 200
            assert (root(program) / "a").read_bytes() == data
        for size in (1 << 20, 4096, 977):
            answer = one.send(head("PUT", "b", "Transfer-Encoding: chunked"), chunks(data, size)).answer()
            assert (answer.status, answer.body) == (200, b"")
            assert (root(program) / "b").read_bytes() == data
        one.send(head("PUT", "c", "Content-Length: 5", "Expect: 100-continue"))
        assert one.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert one.send(b"hello").answer().status == 200
        assert one.send(head("PUT", "empty", "Content-Length: 0")).answer().status == 200
        assert one.send(head("GET", "c")).answer().body == b"hello"
    assert (root(program) / "empty").read_bytes() == b"" and left(program) == []


def test_a_client_that_waits_to_be_asked_is_refused_before_it_sends(program: Program) -> None:
    with wire(program) as one:
        answer = one.send(head("PUT", "a/../../b", "Content-Length: 5", "Expect: 100-continue")).answer()
        assert answer.status == 400 and b"100 Continue" not in answer.body


@pytest.mark.parametrize("fields", [
    ["Content-Length: 5", "Content-Length: 6"], ["Content-Length: -1"], ["Content-Length: 5x"],
    ["Content-Length: 5", "Transfer-Encoding: chunked"], ["Transfer-Encoding: gzip"],
])  # fmt: skip
def test_a_body_whose_end_is_unclear_is_refused(program: Program, fields: List[str]) -> None:
    with wire(program) as one:
        assert one.send(head("PUT", "unclear", *fields), b"hello").answer().status in (400, 501)
    assert not (root(program) / "unclear").exists() and left(program) == []


@pytest.mark.parametrize(
    "body", [b"x" * 200_000, b"5\r\nhello\r\nzz\r\n", b"5\r\nhelloX\r\n"], ids=["short", "odd", "long"]
)
def test_a_body_that_is_not_what_was_announced_is_a_400_and_nothing_is_kept(program: Program, body: bytes) -> None:
    put(program, "kept", b"before")
    framing = "Content-Length: 300000" if body[:1] == b"x" else "Transfer-Encoding: chunked"
    with wire(program) as one:
        one.send(head("PUT", "kept", framing), body)
        one.socket.shutdown(socket.SHUT_WR)
        assert one.answer().status == 400
    assert (root(program) / "kept").read_bytes() == b"before" and left(program) == []


def test_nothing_is_seen_of_a_file_before_its_last_byte_has_come(program: Program) -> None:
    data = os.urandom(2 * MIB)
    put(program, "d/whole", b"before")
    with wire(program) as one:
        one.send(head("PUT", "d/whole", f"Content-Length: {len(data)}"), data[:-1])
        one.send(b"")
        until(lambda: len(left(program)) == 1)
        assert get(program, "d/whole").body == b"before"
        assert one.send(data[-1:]).answer().status == 200
    assert get(program, "d/whole").body == data and left(program) == []


def until(true: "object") -> None:
    """Waits for something to become true."""
    end = time.monotonic() + PATIENCE
    while not true():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.005)


def test_a_client_that_is_killed_in_the_middle_leaves_nothing(program: Program) -> None:
    put(program, "e", b"before")
    one = wire(program)
    one.send(head("PUT", "e", f"Content-Length: {10 * MIB}"), b"x" * MIB)
    until(lambda: len(left(program)) == 1)
    one.socket.close()
    until(lambda: left(program) == [])
    assert get(program, "e").body == b"before"


def test_head_says_what_get_would_and_ranges_are_sent_as_asked(program: Program) -> None:
    data = os.urandom(100_000)
    put(program, "f.bin", data)
    whole, bare = get(program, "f.bin"), get(program, "f.bin", method="HEAD")
    whole.headers.pop("date"), bare.headers.pop("date")
    assert whole.headers == bare.headers and bare.headers["content-length"] == "100000"
    part = get(program, "f.bin", "Range: bytes=99990-")
    assert (part.status, part.body) == (206, data[-10:]) and part.headers["content-range"] == "bytes 99990-99999/100000"
    several = get(program, "f.bin", "Range: bytes=0-9,50000-50009")
    assert several.status == 206 and data[:10] in several.body and data[50000:50010] in several.body
    assert get(program, "f.bin", f"If-None-Match: {whole.headers['etag']}").status == 304
    assert get(program, "f.bin", "Range: bytes=100000-").status == 416


def test_a_download_goes_on_with_the_version_that_it_began_with(program: Program) -> None:
    old = os.urandom(16 * MIB)
    put(program, "g", old)
    with wire(program) as one:
        one.send(head("GET", "g"))
        one.until(b"\r\n\r\n")
        put(program, "g", b"new")
        assert one.take(len(old)) == old
    assert get(program, "g").body == b"new"


def test_many_uploads_of_one_file_leave_one_of_them_whole(program: Program) -> None:
    versions = [bytes([65 + number]) * MIB for number in range(6)]
    threads = [threading.Thread(target=put, args=(program, "h", version)) for version in versions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (root(program) / "h").read_bytes() in versions and left(program) == []


def test_a_killed_server_shows_no_half_file_and_its_next_start_sweeps(tmp_path: Path) -> None:
    with Program(tmp_path / "mlruns") as program:
        put(program, "a", b"before")
        one = wire(program)
        one.send(head("PUT", "a", f"Content-Length: {10 * MIB}"), b"x" * MIB)
        until(lambda: len(left(program)) == 1)
        program.kill()
        one.socket.close()
        assert len(left(program)) == 1 and (root(program) / "a").read_bytes() == b"before"
    with Program(tmp_path / "mlruns") as program:
        assert left(program) == [] and get(program, "a").body == b"before"


@pytest.mark.skipif(sys.platform != "linux", reason="limits of a process, as Linux has them")
def test_a_full_disk_is_a_507_that_leaves_what_was_there(tmp_path: Path) -> None:
    import resource
    import signal

    def before() -> None:
        # A file of more than this is as on a full disk: the write fails.
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2 * MIB, 2 * MIB))

    with Program(tmp_path / "mlruns", before=before) as program:
        assert put(program, "a", b"before").status == 200
        connection = http.client.HTTPConnection("127.0.0.1", program.port, timeout=PATIENCE)
        connection.request("PUT", PROXY + "a", b"x" * (3 * MIB))
        assert connection.getresponse().status == 507
        connection.close()
        assert get(program, "a").body == b"before" and left(program) == []


def resident(program: Program) -> int:
    """Memory of the server, in MiB."""
    return program.memory() // MIB


def stream(program: Program, path: str, size: int) -> str:
    """Upload so many random-looking bytes without holding them; their hash."""
    block = os.urandom(MIB)
    total = hashlib.sha256()

    def blocks() -> Iterator[bytes]:
        for _ in range(size // MIB):
            total.update(block)
            yield block

    connection = http.client.HTTPConnection("127.0.0.1", program.port, timeout=PATIENCE)
    connection.request("PUT", PROXY + path, blocks(), {"Content-Length": str(size)})
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (200, b"")
    connection.close()
    return total.hexdigest()


def fetch(program: Program, path: str) -> Tuple[str, Optional[str]]:
    """Download without holding it; hash and length."""
    connection = http.client.HTTPConnection("127.0.0.1", program.port, timeout=PATIENCE)
    connection.request("GET", PROXY + path)
    answer = connection.getresponse()
    total = hashlib.sha256()
    while True:
        block = answer.read(MIB)
        if not block:
            break
        total.update(block)
    connection.close()
    return total.hexdigest(), answer.getheader("Content-Length")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for the memory of a process")
def test_memory_does_not_grow_with_the_size_of_what_is_sent(program: Program) -> None:
    """``TRACKD_TEST_TRANSFER`` is the size in MiB; docs/artifacts.md says how to run it with 2 GiB and more."""
    size = int(os.environ.get("TRACKD_TEST_TRANSFER", "64")) * MIB
    stream(program, "warm", MIB)
    fetch(program, "warm")
    before = resident(program)
    peak = [before]
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.02):
            peak.append(resident(program))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        sent = stream(program, "large", size)
        assert fetch(program, "large") == (sent, str(size))
        chunked = http.client.HTTPConnection("127.0.0.1", program.port, timeout=PATIENCE)
        chunked.request("PUT", PROXY + "large", (b"x" * MIB for _ in range(size // MIB)), encode_chunked=True,
                        headers={"Transfer-Encoding": "chunked"})  # fmt: skip
        assert chunked.getresponse().status == 200
        chunked.close()
    finally:
        ended.set()
        watcher.join()
    assert (root(program) / "large").stat().st_size == size
    assert max(peak) - before <= 16, peak
