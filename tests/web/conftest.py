"""A server on a free port, and a client that sends exactly the bytes it is told to."""

import json
import socket
import threading
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Tuple

import pytest

from trackd.web.limits import Limits
from trackd.web.message import Request, Response
from trackd.web.server import Server


class Answer(NamedTuple):
    """A response as it came: status, header fields with lower-case names, body."""

    status: int
    headers: Dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Wire:
    """One connection to the server under test."""

    def __init__(self, address: Tuple[str, int], timeout: float = 10.0) -> None:
        self.socket = socket.create_connection(address, timeout=timeout)
        self._received = b""

    def __enter__(self) -> "Wire":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, *pieces: bytes) -> "Wire":
        for piece in pieces:
            self.socket.sendall(piece)
        return self

    def until(self, end: bytes) -> bytes:
        while end not in self._received:
            data = self.socket.recv(65536)
            assert data, f"the server closed the connection after {self._received!r}"
            self._received += data
        found, _, self._received = self._received.partition(end)
        return found + end

    def answer(self, body: bool = True) -> Answer:
        """The next response; ``body=False`` for those that have none whatever their length says."""
        lines = self.until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        version, status, _ = lines[0].split(" ", 2)
        assert version == "HTTP/1.1"
        fields = [line.partition(": ") for line in lines[1:-2]]
        headers = {name.lower(): value for name, _, value in fields}
        assert len(headers) == len(fields), f"a field came twice: {lines}"
        length = int(headers.get("content-length", 0)) if body else 0
        content = bytearray(self._received[:length])
        self._received = self._received[length:]
        while len(content) < length:
            data = self.socket.recv(min(1_000_000, length - len(content)))
            assert data, "the server closed the connection within a body"
            content += data
        return Answer(int(status), headers, bytes(content))

    def ended(self) -> bool:
        """Waits for the end of the connection; False if more bytes come instead."""
        if self._received:
            return False
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True


class Running:
    """A server in a thread of this process; what its handler saw is in ``requests``."""

    def __init__(
        self, handle: Optional[Callable[[Request], Response]], streams: Callable[[str, str], bool], limits: Limits
    ) -> None:
        self.requests: List[Request] = []
        self.handle = handle or self.echo
        self.server = Server("127.0.0.1", 0, self._keep, streams, limits)
        self.address = self.server.address
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def _keep(self, request: Request) -> Response:
        self.requests.append(request)
        return self.handle(request)

    def echo(self, request: Request) -> Response:
        seen = {"method": request.method, "path": request.path, "query": request.query, "headers": request.headers}
        seen["body"] = (request.body or request.stream.read(-1)).decode("latin-1")
        return Response(200, json.dumps(seen).encode())

    def connect(self) -> Wire:
        return Wire(self.address)

    def ask(self, *pieces: bytes) -> Answer:
        with self.connect() as wire:
            return wire.send(*pieces).answer()


@pytest.fixture
def serve() -> Iterator[Callable[..., Running]]:
    """Starts servers: ``serve(handle, streams=..., body=..., ...)``, the last being limits. All end with the test."""
    started: List[Running] = []

    def start(
        handle: Optional[Callable[[Request], Response]] = None,
        streams: Callable[[str, str], bool] = lambda method, path: path.startswith("/stream"),
        **limits: Any,
    ) -> Running:
        started.append(Running(handle, streams, Limits(**limits)))
        return started[-1]

    yield start
    for running in started:
        running.server.shutdown(grace=1.0)
        running.thread.join(10.0)
        assert not running.thread.is_alive()
