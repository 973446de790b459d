"""What is refused, and how: nothing may be read in two ways, nothing may grow without end."""

import socket
import time
from typing import List

import pytest

from tests.web.wire import GET, Running, Serve, chunked, post

HEAD = b"POST /a HTTP/1.1\r\nHost: h\r\n"


def refusal(running: Running, message: bytes) -> int:
    """The status of a message that must be refused with MLflow's error body, and end the connection."""
    before = len(running.requests)
    with running.connect() as wire:
        answer = wire.send(message).answer()
        assert answer.headers["connection"] == "close"
        assert answer.headers["content-type"] == "application/json"
        assert set(answer.json) >= {"error_code", "message"}
        assert wire.ended()
    assert len(running.requests) == before, "the request reached its route"
    return answer.status


@pytest.mark.parametrize(
    "message",
    [
        b"GET /a\r\n\r\n",
        b"GET /a HTTP/1.1 x\r\nHost: h\r\n\r\n",
        b"GET  /a HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET /a  HTTP/1.1\r\nHost: h\r\n\r\n",
        b" GET /a HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET /a HTTP/1.1 \r\nHost: h\r\n\r\n",
        b"GET\t/a HTTP/1.1\r\nHost: h\r\n\r\n",
        b"G(T /a HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET /a\tb HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET /\x7f HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET /\xc3\xa9 HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET a HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET * HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET http:///a HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET http://user@h/a HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET ftp://h/a HTTP/1.1\r\nHost: h\r\n\r\n",
        b"CONNECT h:80 HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET /a http/1.1\r\nHost: h\r\n\r\n",
        b"GET /a HTTP/1.10\r\nHost: h\r\n\r\n",
        b"GET /a HTTP/1.\xb2\r\nHost: h\r\n\r\n",
        b"GET /a FTP/1.1\r\nHost: h\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\x00",
    ],
)
def test_a_request_line_is_three_words_with_single_spaces(serve: Serve, message: bytes) -> None:
    assert refusal(serve(), message) == 400


@pytest.mark.parametrize("version", [b"HTTP/0.9", b"HTTP/1.2", b"HTTP/2.0", b"HTTP/9.9"])
def test_other_versions_of_http_are_505(serve: Serve, version: bytes) -> None:
    assert refusal(serve(), b"GET /a " + version + b"\r\nHost: h\r\n\r\n") == 505


@pytest.mark.parametrize(
    "target",
    [b"/%", b"/%2", b"/%zz", b"/%+1", b"/% 1", b"/%\x301%", b"/a%00b", b"/%ff", b"/%c3", b"/%c0%af", b"/%ed%a0%80"],
)
def test_paths_are_percent_encoded_utf8_without_nul(serve: Serve, target: bytes) -> None:
    assert refusal(serve(), b"GET " + target + b" HTTP/1.1\r\nHost: h\r\n\r\n") == 400


@pytest.mark.parametrize(
    "fields",
    [
        b"X: a\r\n folded\r\n",
        b"X: a\r\n\tfolded\r\n",
        b" X: a\r\n",
        b"X : a\r\n",
        b"X\t: a\r\n",
        b"X\r\n",
        b": a\r\n",
        b"X y: a\r\n",
        b"X(y: a\r\n",
        b"X\xe9: a\r\n",
        b"X: a\rb\r\n",
        b"X: a\nb\r\n",
        b"X: a\nY: b\r\n",
        b"X: a\rY: b\r\n",
        b"X: a\r\r\n",
        b"X: a\0b\r\n",
        b"X: a\x01b\r\n",
        b"X: a\x7fb\r\n",
        b"X\0: a\r\n",
    ],
)
def test_fields_are_a_name_a_colon_and_a_value_on_one_line(serve: Serve, fields: bytes) -> None:
    assert refusal(serve(), HEAD + fields + b"\r\n") == 400


@pytest.mark.parametrize(
    "message", [GET.replace(b"\r\n", b"\n"), b"GET /a HTTP/1.1\nHost: h\r\n\r\n", b"GET /a HTTP/1.1\n"]
)
def test_bare_line_feeds_are_refused_at_once(serve: Serve, message: bytes) -> None:
    assert refusal(serve(), message) == 400


@pytest.mark.parametrize("fields", [b"", b"Host: a\r\nHost: b\r\n", b"Host: a\r\nhost: a\r\n"])
def test_there_is_exactly_one_host(serve: Serve, fields: bytes) -> None:
    assert refusal(serve(), b"GET /a HTTP/1.1\r\n" + fields + b"\r\n") == 400


@pytest.mark.parametrize("value", [b"obs-text \xe9", b"tab\tinside", b"", b'a:b,c;d="e"'])
def test_values_that_are_allowed_arrive(serve: Serve, value: bytes) -> None:
    running = serve()
    assert running.ask(HEAD + b"X: " + value + b"\r\n\r\n").status == 200
    assert running.requests[0].headers["x"] == value.decode("latin-1")


# Where a body ends


@pytest.mark.parametrize(
    "length",
    [
        b"+2", b"-2", b"2_0", b"0x2", b"2.0", b"", b"2 2", b"2,2", b"2, 2", b"\xb2", "\u0662".encode(),
        "\uff12".encode(), b"two", b"\x0b2", b"2;",
    ],
)  # fmt: skip
def test_a_length_is_ascii_digits(serve: Serve, length: bytes) -> None:
    assert refusal(serve(), HEAD + b"Content-Length: " + length + b"\r\n\r\nhi") == 400


@pytest.mark.parametrize(
    "fields",
    [
        b"Content-Length: 2\r\nContent-Length: 2\r\n",
        b"Content-Length: 2\r\nContent-Length: 3\r\n",
        b"Content-Length: 2\r\ncontent-length: 2\r\n",
        b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        b"Transfer-Encoding : chunked\r\n",
        b"Transfer-Encoding\x0b: chunked\r\n",
        b"Transfer-Encoding:\x0bchunked\r\n",
        b"X: y\rTransfer-Encoding: chunked\r\n",
        b"X: y\nTransfer-Encoding: chunked\r\n",
    ],
)
@pytest.mark.parametrize("path", [b"/a", b"/stream"])
def test_a_body_has_one_end(serve: Serve, fields: bytes, path: bytes) -> None:
    running = serve()
    message = (
        b"POST "
        + path
        + b" HTTP/1.1\r\nHost: h\r\n"
        + fields
        + b"\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n"
    )
    assert refusal(running, message) == 400


@pytest.mark.parametrize(
    "coding",
    [
        b"identity",
        b"gzip",
        b"gzip, chunked",
        b"chunked, gzip",
        b"chunked, chunked",
        b"xchunked",
        b"",
        b"chunked;q=1",
        b"\xa0chunked",
    ],
)
def test_transfer_codings_other_than_chunked_are_501(serve: Serve, coding: bytes) -> None:
    assert refusal(serve(), HEAD + b"Transfer-Encoding: " + coding + b"\r\n\r\n0\r\n\r\n") == 501


def test_the_name_of_the_coding_has_no_case(serve: Serve) -> None:
    assert serve().ask(HEAD + b"Transfer-Encoding:\tChunked \r\n\r\n2\r\nhi\r\n0\r\n\r\n").json["body"] == "hi"


def test_http_1_0_has_no_chunks(serve: Serve) -> None:
    assert refusal(serve(), b"POST /a HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n") == 400


@pytest.mark.parametrize(
    "lines",
    [
        b"zz\r\n", b"\r\n", b" 5\r\nhello\r\n", b"+5\r\nhello\r\n", b"-5\r\nhello\r\n", b"0x5\r\nhello\r\n", b"5_0\r\n",
        b";a=b\r\n", b"5\nhello\r\n", b"5\r\nhello\n", b"5\r\nhelloX\r\n", b"5\r\nhello0\r\n\r\n", b"5\rhello\r\n",
        b"\n", b"10000000000000000\r\n", "\uff15\r\n".encode(), b"5;a=\0\r\nhello\r\n", b"0\r\nX: y\n\r\n",
        b"0\r\nX: a\rb\r\n\r\n",
        b"5;" + b"x" * 5000 + b"\r\nhello\r\n", b"5;" + b"x" * 5000, b"0\r\n" + b"X: y\r\n" * 1000, b"5" * 5000,
    ],
)  # fmt: skip
@pytest.mark.parametrize("pause", [False, True])
def test_broken_chunks_are_refused(serve: Serve, lines: bytes, pause: bool) -> None:
    running = serve()
    if not pause:
        assert refusal(running, chunked(lines)) == 400
        return
    with running.connect() as wire:
        wire.send(chunked())
        time.sleep(0.01)
        assert wire.send(lines).answer().status == 400
        assert wire.ended()
    assert running.requests == []


# Limits


def test_a_target_above_the_limit_is_414(serve: Serve) -> None:
    running = serve(target=100)
    assert running.ask(b"GET /" + b"x" * 99 + b" HTTP/1.1\r\nHost: h\r\n\r\n").status == 200
    assert refusal(running, b"GET /" + b"x" * 100 + b" HTTP/1.1\r\nHost: h\r\n\r\n") == 414
    assert refusal(running, b"GET /" + b"x" * 100_000) == 414


def test_a_head_above_the_limit_is_431(serve: Serve) -> None:
    running = serve(head=1000)
    assert running.ask(HEAD + b"X: " + b"x" * 900 + b"\r\n\r\n").status == 200
    assert refusal(running, HEAD + b"X: " + b"x" * 1000 + b"\r\n\r\n") == 431
    assert refusal(running, HEAD + b"X: " + b"x" * 2000) == 431
    assert refusal(running, HEAD + b"X: y\r\n" * 500) == 431


def test_too_many_fields_are_431(serve: Serve) -> None:
    running = serve(fields=10)
    assert running.ask(HEAD + b"X: y\r\n" * 9 + b"\r\n").status == 200
    assert refusal(running, HEAD + b"X: y\r\n" * 10 + b"\r\n") == 431


def test_a_body_above_the_limit_is_413(serve: Serve) -> None:
    running = serve(body=1000)
    assert running.ask(post(b"x" * 1000)).status == 200
    assert refusal(running, post(b"x" * 1001)) == 413
    assert refusal(running, HEAD + b"Content-Length: 1001\r\n\r\n") == 413
    assert refusal(running, HEAD + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n") == 413
    assert refusal(running, chunked(*[b"64\r\n" + b"x" * 100 + b"\r\n"] * 11)) == 413


def test_the_client_of_a_body_far_above_the_limit_gets_its_answer(serve: Serve) -> None:
    running = serve(body=1000)
    for _ in range(5):
        assert refusal(running, post(b"x" * 3_000_000)) == 413


def test_a_streamed_body_has_no_limit(serve: Serve) -> None:
    running = serve(body=1000, stream_start=100)
    assert len(running.ask(post(b"x" * 100_000, path=b"/stream")).json["body"]) == 100_000
    lines = [b"2710\r\n" + b"x" * 10_000 + b"\r\n"] * 10
    assert len(running.ask(chunked(*lines, b"0\r\n\r\n", path=b"/stream")).json["body"]) == 100_000


def test_bodies_under_way_have_a_limit_together(serve: Serve) -> None:
    running = serve(body=1_000_000, bodies=1_500_000)
    first = running.connect().send(post(b"x" * 1_000_000)[:-1])
    time.sleep(0.2)
    with running.connect() as second:
        assert second.send(post(b"x" * 1_000_000)[:-1]).answer().status == 503
        assert second.ended()
    with first:
        assert first.send(b"x").answer().status == 200
    deadline = time.monotonic() + 5
    while running.ask(post(b"x" * 900_000)).status == 503 and time.monotonic() < deadline:
        # The refused one is drained for a moment before its memory is free.
        time.sleep(0.05)
    assert running.ask(post(b"x" * 900_000)).status == 200


def test_an_early_end_reaches_no_route(serve: Serve) -> None:
    running = serve()
    messages: List[bytes] = [
        post(b"hello")[:-1],
        HEAD,
        b"G",
        chunked(b"5\r\nhello\r\n"),
        HEAD + b"Content-Length: 5\r\n\r\n",
    ]
    for message in messages:
        with running.connect() as wire:
            wire.send(message)
            wire.socket.shutdown(socket.SHUT_WR)
            assert wire.ended()
    assert running.requests == []
    assert running.ask(GET).status == 200
