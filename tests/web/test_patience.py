"""Slow, silent and many clients; running out of files; stopping. What takes time takes as little as it can."""

import os
import resource
import socket
import threading
import time
from pathlib import Path
from typing import Callable, List

import pytest

from tests.web.wire import GET, Running, Serve, Wire, chunked, post
from trackd.errors import TrackdError
from trackd.web.message import Request, Response
from trackd.web.server import Server

HEAD = b"POST /a HTTP/1.1\r\nHost: h\r\n"


def threads() -> int:
    """Threads of this process, or where the system does not say, those that Python knows."""
    path = Path("/proc/self/task")
    return len(list(path.iterdir())) if path.exists() else threading.active_count()


def wait_until(condition: Callable[[], bool]) -> None:
    """Waits for something that must become true; ten seconds are more than it can take."""
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


# Silence


@pytest.mark.parametrize("start", [b"G", b"GET /a HTTP/1.1\r\nHost", HEAD + b"Content-Length: 1\r\n", b"\r\n\r"])
def test_a_head_that_is_not_complete_in_time_is_408(serve: Serve, start: bytes) -> None:
    running = serve(head_time=0.3)
    with running.connect() as wire:
        answer = wire.send(start).answer()
        assert (answer.status, answer.headers["connection"]) == (408, "close")
        assert wire.ended()
    assert running.requests == []


def test_a_head_in_drops_is_408_however_often_they_fall(serve: Serve) -> None:
    with serve(head_time=0.3).connect() as wire:
        started = time.monotonic()
        wire.socket.settimeout(0.02)
        received = b""
        while not received and time.monotonic() < started + 5:
            wire.send(b"x")
            try:
                received = wire.socket.recv(4096)
            except socket.timeout:
                continue
        assert received.startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize(
    "message", [post(b"hello")[:-1], HEAD + b"Content-Length: 5\r\n\r\n", chunked(b"5\r\nhe"), chunked(b"2\r\nhi\r\n")]
)
def test_a_body_that_falls_silent_is_408(serve: Serve, message: bytes) -> None:
    running = serve(read_time=0.2)
    with running.connect() as wire:
        answer = wire.send(message).answer()
        assert (answer.status, answer.headers["connection"]) == (408, "close")
        assert wire.ended()
    assert running.requests == []


def test_a_slow_body_that_never_falls_silent_is_served(serve: Serve) -> None:
    with serve(read_time=0.5, linger_time=0.05).connect() as wire:
        for _ in range(2):
            message = post(b"x" * 12)
            wire.send(message[:-12])
            for _ in range(12):
                time.sleep(0.06)
                wire.send(b"x")
            assert wire.answer().json["body"] == "x" * 12


def test_a_second_request_that_falls_silent_is_408_too(serve: Serve) -> None:
    running = serve(head_time=0.2, read_time=0.2, linger_time=0.05)
    for message in (GET[:-1], post(b"hello")[:-1]):
        with running.connect() as wire:
            assert wire.send(GET).answer().status == 200
            assert wire.send(message).answer().status == 408
            assert wire.ended()


def test_a_streamed_body_that_falls_silent_is_an_error_to_its_reader(serve: Serve) -> None:
    errors: List[TrackdError] = []

    def handle(request: Request) -> Response:
        try:
            request.stream.read(-1)
        except TrackdError as error:
            errors.append(error)
            return Response(error.status)
        return Response(200)

    with serve(handle, transfer_time=0.2).connect() as wire:
        wire.send(post(b"x" * 100_000, path=b"/stream")[:-1])
        assert wire.answer().status == 408
        assert wire.ended()
    assert [error.status for error in errors] == [408]


def test_a_connection_that_is_idle_for_long_is_closed_without_a_word(serve: Serve) -> None:
    running = serve(idle_time=0.3, linger_time=0.05)
    with running.connect() as silent, running.connect() as wire:
        assert wire.send(GET).answer().status == 200
        assert wire.ended()
        assert silent.ended()


def test_a_client_that_never_takes_its_answer_is_given_up(serve: Serve) -> None:
    running = serve(lambda request: Response(200, b"x" * 50_000_000), read_time=0.2, send_time=0.01)
    with running.connect() as wire:
        wire.send(GET)
        wait_until(lambda: len(running.requests) == 1)
        wait_until(lambda: not running.server._connections)


# Many


def test_idle_and_slow_clients_hold_no_threads(serve: Serve) -> None:
    before = threads()
    running = serve(head_time=60.0)
    idle = [running.connect() for _ in range(500)]
    slow = [running.connect().send(HEAD) for _ in range(60)]
    slow += [running.connect().send(HEAD + b"Content-Length: 50\r\n\r\n") for _ in range(20)]
    slow += [running.connect().send(post(b"x" * 50, path=b"/stream")[:-40]) for _ in range(20)]
    try:
        with running.connect() as wire:
            for _ in range(10):
                for each in slow:
                    each.send(b"x")
                assert wire.send(GET).answer().status == 200
                assert threads() - before < 8
        assert idle[-1].send(GET).answer().status == 200
        for each in slow[60:]:
            assert each.send(b"x" * 40).answer().status == 200
    finally:
        for each in idle + slow:
            each.socket.close()


def test_more_busy_clients_than_threads_are_all_served(serve: Serve) -> None:
    running = serve(workers=4, lingering=2, streaming=1)
    before = threads()
    wires = [running.connect() for _ in range(50)]
    started = time.monotonic()
    for _ in range(5):
        for wire in wires:
            wire.send(GET)
        for wire in wires:
            assert wire.answer().status == 200
    # Four workers that each waited a second for its connection would take a minute.
    assert time.monotonic() - started < 30
    assert threads() - before <= 4
    for wire in wires:
        wire.socket.close()


def test_slow_uploads_leave_threads_for_everything_else(serve: Serve) -> None:
    running = serve(workers=3, lingering=1, streaming=1, stream_start=10)
    uploads = [running.connect().send(post(b"x" * 100, path=b"/stream")[:-50]) for _ in range(5)]
    try:
        wait_until(lambda: len(running.requests) == 1)
        for _ in range(5):
            assert running.ask(GET).status == 200
        assert len([request for request in running.requests if request.path == "/stream"]) == 1
        for wire in uploads:
            wire.send(b"x" * 50)
        for wire in uploads:
            assert len(wire.answer().json["body"]) == 100
            assert wire.send(GET).answer().status == 200
    finally:
        for wire in uploads:
            wire.socket.close()


def test_a_slow_upload_on_a_busy_connection_counts_too(serve: Serve) -> None:
    running = serve(workers=3, lingering=2, streaming=1, stream_start=10)
    with running.connect() as first, running.connect() as second:
        for wire in (first, second):
            assert wire.send(GET).answer().status == 200
        for wire in (first, second):
            wire.send(post(b"x" * 100, path=b"/stream")[:-50])
            time.sleep(0.1)
        assert len(running.requests) == 3
        for wire in (second, first):
            wire.send(b"x" * 50)
        for wire in (second, first):
            assert wire.answer().status == 200


def test_a_handler_that_takes_long_holds_up_nobody(serve: Serve) -> None:
    release = threading.Event()

    def handle(request: Request) -> Response:
        if request.path == "/slow":
            release.wait(10)
        return Response(200)

    running = serve(handle)
    slow = [running.connect().send(GET.replace(b"/a", b"/slow")) for _ in range(20)]
    assert running.ask(GET).status == 200
    release.set()
    for wire in slow:
        assert wire.answer().status == 200
        wire.socket.close()


# Running out of files


def test_with_no_file_left_the_longest_idle_makes_room(serve: Serve) -> None:
    running = serve()
    running.server._room = 20
    wires = [running.connect() for _ in range(40)]
    assert wires[-1].send(GET).answer().status == 200
    assert wires[0].ended()
    for wire in wires:
        wire.socket.close()


def test_with_no_file_left_and_nobody_idle_new_clients_wait(serve: Serve) -> None:
    running = serve(drain_time=0.2)
    running.server._room = 10
    busy = [running.connect().send(HEAD) for _ in range(10)]
    wait_until(lambda: len(running.server._connections) == 10)
    with running.connect() as late:
        late.send(GET)
        used = time.process_time()
        time.sleep(0.3)
        assert time.process_time() - used < 0.2, "the server spins"
        for wire in busy:
            wire.socket.close()
        assert late.answer().status == 200


def test_accept_without_a_free_descriptor_does_not_end_the_server(serve: Serve) -> None:
    running = serve(drain_time=0.2)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with running.connect() as wire, socket.socket() as late:
        assert wire.send(GET).answer().status == 200
        lowest = os.dup(0)
        os.close(lowest)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, limits[1]))
            late.connect(running.address)
            late.sendall(GET)
            assert wire.send(GET).answer().status == 200
            used = time.process_time()
            time.sleep(0.3)
            assert time.process_time() - used < 0.2, "the server spins"
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        late.settimeout(10)
        assert late.recv(100).startswith(b"HTTP/1.1 200")


# Stopping


def stop(running: Running, grace: float) -> threading.Thread:
    """Shuts down on another thread, after which nothing is accepted any more."""
    thread = threading.Thread(target=running.server.shutdown, args=(grace,))
    thread.start()
    wait_until(lambda: running.server._stopping)
    return thread


def test_a_stop_finishes_what_is_in_flight(serve: Serve) -> None:
    entered, release = threading.Event(), threading.Event()

    def handle(request: Request) -> Response:
        entered.set()
        release.wait(10)
        return Response(200, b"finished")

    running = serve(handle)
    with running.connect() as wire, running.connect() as idle:
        wire.send(GET)
        assert entered.wait(10)
        stopping = stop(running, 10.0)
        assert idle.ended()
        release.set()
        answer = wire.answer()
        assert (answer.body, answer.headers["connection"]) == (b"finished", "close")
        assert wire.ended()
    stopping.join(10)
    assert not stopping.is_alive()
    with pytest.raises(OSError):
        Wire(running.address)


def test_a_stop_lets_a_request_that_has_begun_come_in(serve: Serve) -> None:
    running = serve()
    with running.connect() as wire:
        wire.send(post(b"hello")[:-1])
        wait_until(lambda: len(running.server._connections) == 1)
        time.sleep(0.05)
        stopping = stop(running, 10.0)
        assert wire.send(b"o").answer().json["body"] == "hello"
        assert wire.ended()
    stopping.join(10)
    assert not stopping.is_alive()


def test_a_stop_does_not_wait_beyond_its_grace(serve: Serve) -> None:
    release = threading.Event()

    def handle(request: Request) -> Response:
        release.wait(20)
        return Response(200)

    running = serve(handle)
    with running.connect() as wire:
        wire.send(GET)
        wait_until(lambda: len(running.requests) == 1)
        running.server.shutdown(grace=0.1)
        assert wire.ended()
    release.set()


def test_a_stop_closes_connections_between_requests_at_once(serve: Serve) -> None:
    running = serve(linger_time=30.0)
    wires = [running.connect() for _ in range(5)]
    for wire in wires:
        assert wire.send(GET).answer().status == 200
    stopping = stop(running, 30.0)
    for wire in wires:
        assert wire.ended()
        wire.socket.close()
    stopping.join(10)
    assert not stopping.is_alive()


def test_a_stop_from_within_a_request_or_twice_is_a_stop(serve: Serve) -> None:
    running = serve()

    def handle(request: Request) -> Response:
        threading.Thread(target=running.server.shutdown).start()
        return Response(200)

    running.handle = handle
    assert running.ask(GET).status == 200
    running.server.shutdown()
    running.thread.join(10)
    assert not running.thread.is_alive()


def test_a_stop_on_the_serving_thread_itself_does_not_wait_for_itself() -> None:
    server = Server("127.0.0.1", 0, lambda request: Response(200), lambda method, path: False)
    tick = server._step
    stopped = []

    def once() -> None:
        server.shutdown()
        stopped.append(True)
        tick()

    server._step = once  # type: ignore[method-assign]
    server.serve_forever()
    assert stopped == [True]


def test_a_server_that_never_served_gives_its_port_back() -> None:
    first = Server("127.0.0.1", 0, lambda request: Response(200), lambda method, path: False)
    first.shutdown()
    first.serve_forever()
    second = Server("127.0.0.1", first.address[1], lambda request: Response(200), lambda method, path: False)
    second.shutdown()


def test_servers_start_and_stop_again_and_leave_no_thread_behind(serve: Serve) -> None:
    before = threads()
    for _ in range(5):
        running = serve()
        with running.connect() as wire:
            assert wire.send(GET).answer().status == 200
            running.server.shutdown()
        running.thread.join(10)
    # The system forgets a thread a moment after Python does.
    wait_until(lambda: threads() <= before)
