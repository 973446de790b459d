"""Responses whose length nobody knows before the end: sent in chunks (RFC 9112, 7.1) as they are made."""

import time
from typing import Dict, Iterator, List

import pytest

from tests.web.wire import Serve, Wire
from trackd.web.message import Request, Response

GET = b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n"


def pieces(count: int, size: int, made: List[int]) -> Iterator[bytes]:
    """So many pieces; ``made`` gets the number of each when it is made."""
    for number in range(count):
        made.append(number)
        yield bytes([number % 256]) * size


def chunks(wire: Wire) -> bytes:
    """The body of a chunked response whose head has been read."""
    body = b""
    while True:
        size = int(wire.until(b"\r\n"), 16)
        if size == 0:
            assert wire.until(b"\r\n") == b"\r\n"
            return body
        body += wire.take(size + 2)[:-2]


def test_pieces_arrive_in_chunks_and_the_connection_goes_on(serve: Serve) -> None:
    running = serve(lambda request: Response(pieces=iter([b"one", b"", b"two" * 1000]), content_type="x/y"))
    with running.connect() as wire:
        for _ in range(2):
            head = wire.send(GET).until(b"\r\n\r\n").lower()
            assert b"transfer-encoding: chunked" in head and b"content-length" not in head
            assert chunks(wire) == b"one" + b"two" * 1000


def test_a_head_request_gets_no_piece(serve: Serve) -> None:
    made: List[int] = []
    with serve(lambda request: Response(pieces=pieces(3, 5, made))).connect() as wire:
        wire.send(b"HEAD /a HTTP/1.1\r\nHost: h\r\n\r\n").until(b"\r\n\r\n")
        wire.send(GET).until(b"\r\n\r\n")
        assert len(chunks(wire)) == 15
    assert made == [0, 1, 2]


def test_a_client_of_http_1_0_gets_the_pieces_as_they_are_and_then_the_end(serve: Serve) -> None:
    with serve(lambda request: Response(pieces=iter([b"one", b"two"]))).connect() as wire:
        head = wire.send(b"GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").until(b"\r\n\r\n").lower()
        assert b"chunked" not in head and b"connection: close" in head
        assert wire.rest() == b"onetwo"


def test_pieces_wait_for_a_client_that_reads_late_and_hold_no_thread(serve: Serve) -> None:
    made: Dict[int, List[int]] = {}

    def handle(request: Request) -> Response:
        if request.path == "/b":
            return Response()
        return Response(pieces=pieces(100, 200_000, made.setdefault(len(made), [])))

    running = serve(handle, workers=2, send_time=0.01)
    late = [running.connect().send(GET) for _ in range(6)]
    time.sleep(0.3)
    assert running.ask(GET.replace(b"/a", b"/b")).status == 200
    assert len(made) == 6 and all(len(each) < 100 for each in made.values()), "made only as they are taken"
    for wire in late:
        with wire:
            wire.until(b"\r\n\r\n")
            assert len(chunks(wire)) == 20_000_000


def test_a_response_that_breaks_off_ends_the_connection_without_the_last_chunk(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> Iterator[bytes]:
        yield b"good"
        raise RuntimeError("no more")

    with serve(lambda request: Response(pieces=broken())).connect() as wire:
        wire.send(GET).until(b"\r\n\r\n")
        assert wire.rest() == b"4\r\ngood\r\n"
    assert "broke off" in caplog.text and "no more" in caplog.text


def test_the_maker_of_pieces_is_told_when_the_client_goes_away(serve: Serve) -> None:
    ended: List[bool] = []

    def endless() -> Iterator[bytes]:
        try:
            while True:
                yield b"x" * 100_000
        finally:
            ended.append(True)

    running = serve(lambda request: Response(pieces=endless()), send_time=0.01)
    with running.connect() as wire:
        wire.send(GET).until(b"\r\n\r\n")
    running.server.shutdown(5)
    assert ended == [True]
