"""Requests and responses on one connection, byte by byte."""

import calendar
import io
import os
import socket
import threading
import time
from pathlib import Path
from typing import Any, Tuple

import pytest

from tests.web.wire import GET, Serve, chunked, post
from trackd.errors import TrackdError
from trackd.web.message import FileBody, Request, Response
from trackd.web.server import Server

# Requests


def test_a_request_arrives_as_it_was_sent(serve: Serve) -> None:
    running = serve()
    answer = running.ask(
        b"POST /a%20b/%C3%A9?x=%31&y HTTP/1.1\r\nHost: h:1\r\nX-One:  1 \r\nx-one: 2\r\nContent-Length: 2\r\n\r\nhi"
    )
    request = running.requests[0]
    assert (request.method, request.path, request.query) == ("POST", "/a b/\u00e9", "x=%31&y")
    assert request.target == "/a%20b/%C3%A9?x=%31&y"
    assert request.headers == {"host": "h:1", "x-one": "1, 2", "content-length": "2"}
    assert request.body == b"hi"
    assert request.stream.read() == b"hi"
    assert request.client == "127.0.0.1"
    assert request.id
    assert answer.status == 200


def test_every_request_has_its_own_id(serve: Serve) -> None:
    running = serve()
    with running.connect() as wire:
        for _ in range(3):
            wire.send(GET).answer()
    assert len({request.id for request in running.requests}) == 3


def test_what_a_route_does_to_its_headers_is_not_seen_by_the_next_request(serve: Serve) -> None:
    def handle(request: Request) -> Response:
        seen = "x" in request.headers
        request.headers["x"] = "changed"
        return Response(200, str(seen).encode())

    running = serve(handle)
    with running.connect() as wire:
        assert [wire.send(GET).answer().body for _ in range(3)] == [b"False"] * 3


@pytest.mark.parametrize(
    ("target", "path", "query", "host"),
    [
        (b"http://other:80/a?b", "/a", "b", "other:80"),
        (b"HTTP://other", "/", "", "other"),
        (b"http://other?q", "/", "q", "other"),
        (b"https://[::1]:5/x", "/x", "", "[::1]:5"),
        (b"//a//b/../c", "//a//b/../c", "", "h"),
        (b"/%2e%2E/%2F", "/..//", "", "h"),
        (b"/a?b?c%zz", "/a", "b?c%zz", "h"),
        (b"/?", "/", "", "h"),
    ],
)
def test_targets_are_split_and_decoded_once(serve: Serve, target: bytes, path: str, query: str, host: str) -> None:
    seen = serve().ask(b"GET " + target + b" HTTP/1.1\r\nHost: h\r\n\r\n").json
    assert (seen["path"], seen["query"], seen["headers"]["host"]) == (path, query, host)


def test_a_request_may_come_in_single_bytes(serve: Serve) -> None:
    running = serve()
    with running.connect() as wire:
        for message in (post(b"first"), post(b"second"), GET):
            for at in range(len(message)):
                wire.send(message[at : at + 1])
            assert wire.answer().status == 200
    assert [request.body for request in running.requests] == [b"first", b"second", b""]


def test_head_and_body_may_come_apart(serve: Serve) -> None:
    running = serve()
    with running.connect() as wire:
        for _ in range(3):
            message = post(b"x" * 100)
            wire.send(message[:-100])
            time.sleep(0.02)
            assert wire.send(message[-100:]).answer().json["body"] == "x" * 100


@pytest.mark.parametrize("size", [0, 1, 16 * 1024, 300_000, 3_000_000])
def test_bodies_of_any_size_below_the_limit_arrive_whole(serve: Serve, size: int) -> None:
    running = serve()
    body = os.urandom(size)
    with running.connect() as wire:
        for _ in range(2):
            assert wire.send(post(body)).answer().status == 200
    assert [request.body == body for request in running.requests] == [True, True]


def test_pipelined_requests_are_answered_in_order(serve: Serve) -> None:
    running = serve(lambda request: Response(200, request.path.encode() + b" " + request.body))
    messages = [post(b"b" * number, path=b"/%d" % number) for number in range(50)]
    with running.connect() as wire:
        wire.send(b"".join(messages))
        assert [wire.answer().body for _ in messages] == [b"/%d " % n + b"b" * n for n in range(50)]


def test_a_pipelined_request_that_is_wrong_ends_the_connection_after_the_answers_before_it(serve: Serve) -> None:
    running = serve()
    with running.connect() as wire:
        wire.send(GET + GET + b"GET /a b HTTP/1.1\r\n\r\n" + GET)
        assert [wire.answer().status for _ in range(3)] == [200, 200, 400]
        assert wire.ended()
    assert len(running.requests) == 2


def test_empty_lines_before_a_request_are_skipped(serve: Serve) -> None:
    with serve().connect() as wire:
        assert wire.send(b"\r\n", b"\r", b"\n" + GET).answer().status == 200
        assert wire.send(post(b"x") + b"\r\n" + GET).answer().status == 200
        assert wire.answer().status == 200


def test_a_client_may_close_its_side_after_the_request(serve: Serve) -> None:
    with serve().connect() as wire:
        wire.send(GET)
        wire.socket.shutdown(socket.SHUT_WR)
        assert wire.answer().status == 200
        assert wire.ended()


# Connections


def test_connections_stay_open_unless_the_client_says_otherwise(serve: Serve) -> None:
    running = serve()
    with running.connect() as wire:
        for _ in range(3):
            assert "connection" not in wire.send(GET).answer().headers
        answer = wire.send(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: x, Close\r\n\r\n").answer()
        assert answer.headers["connection"] == "close"
        assert wire.ended()


def test_http_1_0_closes_unless_the_client_asks_to_keep(serve: Serve) -> None:
    running = serve()
    with running.connect() as wire:
        answer = wire.send(b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").answer()
        assert answer.headers["connection"] == "keep-alive"
        answer = wire.send(b"POST / HTTP/1.0\r\nContent-Length: 1\r\n\r\nx").answer()
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert wire.ended()


def test_a_connection_is_served_again_after_it_was_parked(serve: Serve) -> None:
    running = serve(linger_time=0.05)
    with running.connect() as wire:
        for _ in range(3):
            assert wire.send(GET).answer().status == 200
            time.sleep(0.2)


# Responses


def test_a_response_has_date_length_type_and_a_short_server_name(serve: Serve) -> None:
    answer = serve(lambda request: Response(201, b"abc", "text/plain", [("X-A", "1"), ("ETag", '"e"')])).ask(GET)
    assert (answer.status, answer.body) == (201, b"abc")
    assert answer.headers["content-length"] == "3"
    assert answer.headers["content-type"] == "text/plain"
    assert answer.headers["x-a"] == "1"
    assert answer.headers["server"] == "trackd"
    date = time.strptime(answer.headers["date"], "%a, %d %b %Y %H:%M:%S GMT")
    assert abs(time.time() - calendar.timegm(date)) < 60


def test_head_is_answered_with_the_length_and_without_the_body(serve: Serve) -> None:
    with serve(lambda request: Response(200, b"abc")).connect() as wire:
        answer = wire.send(b"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n").answer(body=False)
        assert answer.headers["content-length"] == "3"
        assert wire.send(GET).answer().body == b"abc"


@pytest.mark.parametrize("status", [204, 304])
def test_statuses_without_a_body_have_none(serve: Serve, status: int) -> None:
    with serve(lambda request: Response(status, b"never sent")).connect() as wire:
        for _ in range(2):
            answer = wire.send(GET).answer()
            assert (answer.status, answer.body) == (status, b"")
            assert "content-length" not in answer.headers


def test_a_small_response_leaves_in_one_piece(serve: Serve) -> None:
    with serve(lambda request: Response(200, b"x" * 1000)).connect() as wire:
        for _ in range(20):
            wire.send(GET)
            data = wire.socket.recv(65536)
            assert data.endswith(b"\r\n\r\n" + b"x" * 1000)


def test_a_large_response_waits_for_a_client_that_reads_late(serve: Serve) -> None:
    running = serve(lambda request: Response(200, b"x" * 30_000_000), send_time=0.01)
    with running.connect() as wire:
        wire.send(GET + GET)
        time.sleep(0.3)
        assert len(running.requests) == 1
        assert wire.answer().body == b"x" * 30_000_000
        assert len(wire.answer().body) == 30_000_000


def test_an_exception_is_a_plain_500_and_a_traceback_in_the_log(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    def handle(request: Request) -> Response:
        raise KeyError("secret")

    with serve(handle).connect() as wire:
        answer = wire.send(GET).answer()
        assert wire.ended()
    assert (answer.status, answer.headers["connection"]) == (500, "close")
    assert answer.json["error_code"] == "INTERNAL_ERROR"
    assert b"secret" not in answer.body
    assert "KeyError" in caplog.text
    assert caplog.records[0].name == "trackd.web"


@pytest.mark.parametrize("field", [("X", "a\r\nSet-Cookie: b"), ("X\r\nY", "a"), ("X", "a\nb"), ("X", "a\rb")])
def test_a_response_field_cannot_smuggle_another(
    serve: Serve, field: Tuple[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    with serve(lambda request: Response(200, b"", headers=[field])).connect() as wire:
        wire.send(GET)
        assert wire.ended()
    assert "line end" in caplog.text


def test_a_client_that_goes_away_is_no_news(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    gone = threading.Event()

    def handle(request: Request) -> Response:
        gone.wait(5)
        return Response(200, b"x" * 10_000_000)

    running = serve(handle)
    with running.connect() as wire:
        wire.send(GET)
        while not running.requests:
            time.sleep(0.01)
        wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    gone.set()
    running.server.shutdown(5)
    assert caplog.records == []


# Files


@pytest.fixture
def content(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(bytes(range(256)) * 20_000)
    return path


def test_a_part_of_a_file_is_sent_and_the_file_closed(serve: Serve, content: Path) -> None:
    files = []

    def handle(request: Request) -> Response:
        files.append(open(content, "rb"))
        return Response(206, content_type="x/y", file=FileBody(files[-1], 256, 1_000_000))

    with serve(handle).connect() as wire:
        for _ in range(2):
            answer = wire.send(GET).answer()
            assert answer.body == content.read_bytes()[256:1_000_256]
        answer = wire.send(b"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n").answer(body=False)
        assert answer.headers["content-length"] == "1000000"
        assert wire.send(GET).answer().status == 206
    assert [file.closed for file in files] == [True] * 4


@pytest.mark.parametrize("how", ["no sendfile", "no descriptor"])
def test_a_file_is_copied_where_the_system_cannot_send_it(
    serve: Serve, content: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if how == "no sendfile":
        monkeypatch.setattr("trackd.web.connection._sendfile", None)
        running = serve(lambda request: Response(file=FileBody(open(content, "rb"), 10, 5_000_000)), send_time=0.01)
    else:
        running = serve(lambda request: Response(file=FileBody(io.BytesIO(content.read_bytes()), 10, 5_000_000)))
    with running.connect() as wire:
        wire.send(GET)
        time.sleep(0.1)
        assert wire.answer().body == content.read_bytes()[10:5_000_010]
        assert len(wire.send(GET).answer().body) == 5_000_000


def test_an_empty_part_of_a_file_is_an_empty_body(serve: Serve, content: Path) -> None:
    with serve(lambda request: Response(file=FileBody(open(content, "rb"), 5, 0))).connect() as wire:
        assert wire.send(GET).answer().body == b""
        assert wire.send(GET).answer().body == b""


def test_a_file_waits_for_a_client_that_reads_late_and_holds_no_thread(serve: Serve, tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(b"x" * 30_000_000)
    running = serve(
        lambda request: (
            Response(file=FileBody(open(path, "rb"), 0, 30_000_000)) if request.path == "/a" else Response()
        ),
        workers=2,
        send_time=0.01,
    )
    late = [running.connect().send(GET) for _ in range(6)]
    time.sleep(0.3)
    assert running.ask(GET.replace(b"/a", b"/b")).status == 200
    for wire in late:
        with wire:
            assert len(wire.answer().body) == 30_000_000


def test_a_file_that_became_shorter_ends_the_connection(serve: Serve, content: Path) -> None:
    with serve(lambda request: Response(file=FileBody(open(content, "rb"), 5_000_000, 1_000_000))).connect() as wire:
        wire.send(GET).until(b"\r\n\r\n")
        received = b""
        while True:
            data = wire.socket.recv(65536)
            if not data:
                break
            received += data
    assert len(received) < 1_000_000


def test_the_file_is_closed_when_the_client_goes_away(serve: Serve, tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(b"x" * 100_000_000)
    file = open(path, "rb")
    running = serve(lambda request: Response(file=FileBody(file, 0, 100_000_000)), send_time=0.01)
    with running.connect() as wire:
        wire.send(GET).until(b"\r\n\r\n")
    running.server.shutdown(5)
    assert file.closed


# Expect: 100-continue


def test_a_wanted_body_is_asked_for(serve: Serve) -> None:
    with serve().connect() as wire:
        wire.send(b"POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-Continue\r\nContent-Length: 2\r\n\r\n")
        assert wire.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert wire.send(b"hi").answer().json["body"] == "hi"


@pytest.mark.parametrize(
    "message",
    [
        b"POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi",
        b"GET / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n\r\n",
        b"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi",
    ],
)
def test_nothing_is_asked_for_that_is_there_or_never_comes(serve: Serve, message: bytes) -> None:
    assert serve().ask(message).status == 200


def test_a_body_above_the_limit_is_not_asked_for(serve: Serve) -> None:
    answer = serve(body=10).ask(b"POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 11\r\n\r\n")
    assert answer.status == 413


def test_a_streamed_body_is_asked_for_by_the_first_read(serve: Serve) -> None:
    def handle(request: Request) -> Response:
        return Response(403) if request.path == "/stream/no" else Response(200, request.stream.read(-1))

    running = serve(handle)
    with running.connect() as wire:
        wire.send(b"PUT /stream/yes HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        assert wire.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert wire.send(b"hi").answer().body == b"hi"
        wire.send(b"PUT /stream/no HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        answer = wire.answer()
        assert (answer.status, answer.headers["connection"]) == (403, "close")
        assert wire.ended()


def test_other_expectations_are_refused(serve: Serve) -> None:
    with serve().connect() as wire:
        assert wire.send(b"GET / HTTP/1.1\r\nHost: h\r\nExpect: cake\r\n\r\n").answer().status == 417
        assert wire.ended()


# Chunks


def test_chunks_are_decoded(serve: Serve) -> None:
    running = serve()
    body = chunked(
        b"5\r\nhello\r\n", b"00A;name=value;x\r\n0123456789\r\n", b"1 \t\r\n!\r\n", b"0\r\nTrailer: x\r\n\r\n"
    )
    with running.connect() as wire:
        wire.send(body + GET)
        assert wire.answer().json["body"] == "hello0123456789!"
        assert wire.answer().json["method"] == "GET"


def test_chunks_may_come_in_single_bytes(serve: Serve) -> None:
    message = chunked(b"5;a=b\r\nhello\r\n", b"3\r\n\r\n\r\r\n", b"0\r\nX: y\r\n\r\n")
    with serve().connect() as wire:
        for at in range(len(message)):
            wire.send(message[at : at + 1])
        assert wire.answer().json["body"] == "hello\r\n\r"
        assert wire.send(GET).answer().status == 200


@pytest.mark.parametrize("path", [b"/a", b"/stream"])
def test_many_chunks_make_one_body(serve: Serve, path: bytes) -> None:
    body = os.urandom(500_000)
    pieces = [body[at : at + 7000] for at in range(0, len(body), 7000)]
    message = chunked(*(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces), b"0\r\n\r\n", path=path)
    with serve().connect() as wire:
        for _ in range(2):
            assert wire.send(message).answer().json["body"] == body.decode("latin-1")


# Streams


def test_a_stream_gives_what_came_and_then_its_end(serve: Serve) -> None:
    sizes = []

    def handle(request: Request) -> Response:
        while True:
            piece = request.stream.read(100_000)
            sizes.append(len(piece))
            if not piece:
                return Response(200, b"%d" % sum(sizes))

    with serve(handle).connect() as wire:
        assert wire.send(post(b"x" * 1_000_000, path=b"/stream")).answer().body == b"1000000"
        assert wire.send(post(b"x" * 10, path=b"/stream")).answer().body == b"1000010"
        assert max(sizes) <= 100_000
        assert wire.send(post(b"", path=b"/stream")).answer().status == 200


def test_a_stream_fills_a_buffer(serve: Serve) -> None:
    def handle(request: Request) -> Response:
        stream: Any = request.stream
        buffer, total = bytearray(64 * 1024), b""
        while True:
            count = stream.readinto(buffer)
            if not count:
                return Response(200, total)
            total += buffer[:count]

    body = os.urandom(400_000)
    with serve(handle).connect() as wire:
        for message in (
            post(body, path=b"/stream"),
            chunked(b"%x\r\n" % len(body), body, b"\r\n0\r\n\r\n", path=b"/stream"),
        ):
            assert wire.send(message).answer().body == body


def test_a_body_that_nobody_reads_does_not_become_the_next_request(serve: Serve) -> None:
    running = serve(lambda request: Response(200, b"done"))
    inner = b"GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n"
    with running.connect() as wire:
        answer = wire.send(post(inner, path=b"/stream")).answer()
        assert (answer.status, answer.body) == (200, b"done")
        assert wire.send(GET).answer().status == 200
        answer = wire.send(post(inner * 10_000, path=b"/stream")).answer()
        assert answer.headers["connection"] == "close"
        assert wire.ended()
    assert [request.path for request in running.requests] == ["/stream", "/a", "/stream"]


def test_an_answer_arrives_though_the_body_was_not_read(serve: Serve) -> None:
    running = serve(lambda request: Response(403, b"no"))
    for _ in range(5):
        with running.connect() as wire:
            wire.send(post(b"x" * 2_000_000, path=b"/stream"))
            assert wire.answer().body == b"no"


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (post(b"x" * 200_000, path=b"/stream")[:-1], "ended"),
        (chunked(b"11000\r\n" + b"x" * 69632 + b"\r\nzz\r\n", path=b"/stream"), "hexadecimal"),
        (chunked(b"11000\r\n" + b"x" * 69632 + b"\r\n5\r\nab", path=b"/stream"), "ended"),
    ],
)
def test_a_broken_stream_is_an_error_to_its_reader(serve: Serve, message: bytes, text: str) -> None:
    errors = []

    def handle(request: Request) -> Response:
        try:
            request.stream.read(-1)
        except TrackdError as error:
            errors.append(error)
            return Response(error.status)
        return Response(200)

    with serve(handle).connect() as wire:
        wire.send(message)
        wire.socket.shutdown(socket.SHUT_WR)
        assert wire.answer().status == 400
        assert wire.ended()
    assert text in errors[0].message


# Addresses


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0", "::1", "::"])
def test_it_listens_where_it_is_told_and_says_on_which_port(host: str) -> None:
    try:
        server = Server(host, 0, lambda request: Response(200, request.client.encode()), lambda method, path: False)
    except OSError:
        pytest.skip("this machine has no IPv6")
    assert server.address[1] > 0
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        target = {"0.0.0.0": "127.0.0.1", "::": "127.0.0.1"}.get(host, host)
        with socket.create_connection((target, server.address[1]), timeout=5) as client:
            client.sendall(GET)
            assert client.recv(4096).startswith(b"HTTP/1.1 200")
    finally:
        server.shutdown(1)
        thread.join(5)


def test_a_port_in_use_is_an_error_at_once(serve: Serve) -> None:
    running = serve()
    with pytest.raises(OSError):
        Server("127.0.0.1", running.address[1], running.echo, lambda method, path: False)
