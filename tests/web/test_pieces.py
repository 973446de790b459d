"""A request means the same however it is cut into pieces on its way."""

import itertools
import random
import socket
from typing import Iterable, Iterator, List, Tuple

import pytest

from tests.web.wire import GET, chunked, post
from trackd.errors import TrackdError
from trackd.web.connection import Connection, Memory
from trackd.web.head import Heads
from trackd.web.limits import Limits

LIMITS = Limits(target=100, head=400, fields=6, body=2000, chunk_line=60, stream_start=50)

MESSAGES = {
    "get": GET,
    "three": GET + post(b"hello") + GET,
    "empty lines": b"\r\n\r\n" + GET + b"\r\n" + post(b"x"),
    "absolute": b"GET http://x/y?z HTTP/1.1\r\nHost: h\r\n\r\n" + GET,
    "chunks": chunked(b"5;a=b\r\nhello\r\n3\r\n\r\n\r\r\n0\r\nA: b\r\n\r\n") + GET,
    "old": b"POST / HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc",
    "bare line feed": b"GET / HTTP/1.1\nHost: h\r\n\r\n",
    "bare return": b"GET / HTTP/1.1\r\nHost: h\rX: y\r\n\r\n",
    "nul": b"GET / HTTP/1.1\r\nHost: h\0\r\n\r\n",
    "folded": b"GET / HTTP/1.1\r\nHost: h\r\nX: y\r\n z\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
    "length and chunks": chunked(b"0\r\n\r\n").replace(b"Host", b"Content-Length: 5\r\nHost"),
    "good, then bad": GET + b"GET / HTTP/1.1\r\n\r\n",
    "long target": b"GET /" + b"x" * 120 + b" HTTP/1.1\r\nHost: h\r\n\r\n",
    "long head": b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"x" * 420 + b"\r\n\r\n",
    "many fields": b"GET / HTTP/1.1\r\nHost: h\r\n" + b"X: y\r\n" * 6 + b"\r\n",
    "large": post(b"x" * 2001),
    "large chunks": chunked(b"400\r\n" + b"x" * 1024 + b"\r\n", b"400\r\n" + b"x" * 1024 + b"\r\n", b"0\r\n\r\n"),
    "bad size": chunked(b"5\r\nhello\r\ng\r\n"),
    "long chunk": chunked(b"5\r\nhello!\r\n0\r\n\r\n"),
    "chunk of line feeds": chunked(b"5\nhello\r\n0\r\n\r\n"),
    "long extension": chunked(b"5;" + b"x" * 80 + b"\r\nhello\r\n0\r\n\r\n"),
    "long trailer": chunked(b"5\r\nhello\r\n0\r\n" + b"A: b\r\n" * 12 + b"\r\n"),
}


@pytest.fixture(scope="module")
def sock() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with socket.create_connection(listener.getsockname()) as client:
            server, _ = listener.accept()
            with server, client:
                yield server


def outcome(sock: socket.socket, pieces: Iterable[bytes]) -> List[Tuple[object, ...]]:
    """The requests that the pieces make, and at the end the status of what is wrong with them."""
    heads = Heads(LIMITS, lambda method, path: False)
    connection = Connection(sock, "", LIMITS, heads, itertools.count(), Memory(10**6))
    seen: List[Tuple[object, ...]] = []
    try:
        for piece in pieces:
            request = connection.take(piece)
            while request is not None:
                seen.append((request.method, request.path, request.query, request.headers, request.body))
                request = connection.take(b"") if connection.rest else None
    except TrackdError as error:
        seen.append((error.status,))
    return seen


@pytest.mark.parametrize("name", MESSAGES)
def test_every_cut_in_two_makes_no_difference(sock: socket.socket, name: str) -> None:
    message = MESSAGES[name]
    whole = outcome(sock, [message])
    assert whole
    different = [at for at in range(1, len(message)) if outcome(sock, [message[:at], message[at:]]) != whole]
    assert different == []


@pytest.mark.parametrize("name", MESSAGES)
def test_random_pieces_and_single_bytes_make_no_difference(sock: socket.socket, name: str) -> None:
    message = MESSAGES[name]
    whole = outcome(sock, [message])
    assert outcome(sock, [message[at : at + 1] for at in range(len(message))]) == whole
    chance = random.Random(name)
    for _ in range(20):
        cuts = sorted(chance.randrange(len(message)) for _ in range(chance.randrange(2, 12)))
        pieces = [message[start:end] for start, end in zip([0, *cuts], [*cuts, len(message)]) if start < end]
        assert outcome(sock, pieces) == whole


def test_random_bytes_are_requests_or_refused_and_nothing_else(sock: socket.socket) -> None:
    chance = random.Random(1)
    parts = [
        b"GET",
        b"POST",
        b" ",
        b"/",
        b"HTTP/1.1",
        b"\r\n",
        b"\r",
        b"\n",
        b"Host: h",
        b":",
        b"\0",
        b"%41",
        b"%",
        b"0",
        b"5",
    ]
    parts += [
        b"Content-Length: 5",
        b"Transfer-Encoding: chunked",
        b"hello",
        b"\xff",
        b"\t",
        b"x" * 90,
        b"Expect: 100-continue",
    ]
    for _ in range(3000):
        pieces = [chance.choice(parts) for _ in range(chance.randrange(1, 30))]
        for result in outcome(sock, [b"POST / HTTP/1.1\r\nHost: h\r\n", *pieces] if chance.random() < 0.5 else pieces):
            assert len(result) == 5 or (len(result) == 1 and str(result[0]).startswith(("4", "5")))
