"""Systems without epoll: the same server on what Python has everywhere."""

import threading
import time
from pathlib import Path

import pytest

from tests.web.wire import GET, Running, Serve, chunked, post
from trackd.web.message import FileBody, Response
from trackd.web.watcher import EpollWatcher, Watcher


@pytest.fixture(autouse=True)
def portable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trackd.web.watcher._epoll", None)


def in_use(running: Running) -> type:
    """What the server waits with."""
    return type(running.server._watcher)


def test_the_portable_watcher_is_under_test(serve: Serve) -> None:
    running = serve()
    assert in_use(running) is Watcher
    assert not isinstance(running.server._watcher, EpollWatcher)


def test_requests_come_whole_in_pieces_and_after_a_pause(serve: Serve) -> None:
    with serve(linger_time=0.05).connect() as wire:
        for message in (
            GET,
            post(b"x" * 500_000),
            chunked(b"5\r\nhello\r\n0\r\n\r\n"),
            post(b"y" * 300, path=b"/stream"),
        ):
            assert wire.send(message).answer().status == 200
            time.sleep(0.1)
            for start in range(0, len(message), 1 + len(message) // 40):
                wire.send(message[start : start + 1 + len(message) // 40])
            assert wire.answer().status == 200


def test_many_clients_share_few_threads(serve: Serve) -> None:
    running = serve(workers=4, lingering=2)
    wires = [running.connect() for _ in range(60)]
    for _ in range(4):
        for wire in wires:
            wire.send(GET)
        for wire in wires:
            assert wire.answer().status == 200
    for wire in wires:
        wire.socket.close()


def test_slow_readers_get_everything(serve: Serve, tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(b"x" * 20_000_000)
    running = serve(lambda request: Response(file=FileBody(open(path, "rb"), 0, 20_000_000)), send_time=0.01, workers=2)
    wires = [running.connect().send(GET) for _ in range(4)]
    time.sleep(0.2)
    for wire in wires:
        assert len(wire.answer().body) == 20_000_000
        wire.socket.close()


def test_silence_and_refusals_end_connections(serve: Serve) -> None:
    running = serve(head_time=0.2, read_time=0.2, idle_time=0.4, drain_time=0.2)
    for message, status in ((b"GET", 408), (post(b"hello")[:-1], 408), (b"GET / HTTP/1.1\r\n\r\n", 400)):
        with running.connect() as wire:
            assert wire.send(message).answer().status == status
            assert wire.ended()
    with running.connect() as wire:
        assert wire.send(GET).answer().status == 200
        assert wire.ended()


def test_a_stop_is_prompt(serve: Serve) -> None:
    running = serve()
    wires = [running.connect() for _ in range(10)]
    for wire in wires[:5]:
        assert wire.send(GET).answer().status == 200
    stopping = threading.Thread(target=running.server.shutdown, args=(30.0,))
    stopping.start()
    for wire in wires:
        assert wire.ended()
        wire.socket.close()
    stopping.join(10)
    assert not stopping.is_alive()
