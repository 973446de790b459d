"""A server on a free port, and a client that sends exactly the bytes it is told to."""

import json
import socket
import threading
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

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
        """The body, parsed."""
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
        """Sends the pieces, each as a segment of its own."""
        for piece in pieces:
            self.socket.sendall(piece)
        return self

    def until(self, end: bytes) -> bytes:
        """Everything up to and with ``end``."""
        while end not in self._received:
            data = self.socket.recv(65536)
            assert data, f"the server closed the connection after {self._received!r}"
            self._received += data
        found, _, self._received = self._received.partition(end)
        return found + end

    def take(self, size: int) -> bytes:
        """Exactly so many bytes."""
        parts = [self._received]
        while size > sum(map(len, parts)):
            data = self.socket.recv(1 << 20)
            assert data, "the server closed the connection"
            parts.append(data)
        whole = b"".join(parts)
        self._received = whole[size:]
        return whole[:size]

    def rest(self) -> bytes:
        """Everything until the server closes the connection."""
        found, self._received = self._received, b""
        while True:
            data = self.socket.recv(65536)
            if not data:
                return found
            found += data

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
        """Answers with what it was asked."""
        seen = {"method": request.method, "path": request.path, "query": request.query, "headers": request.headers}
        seen["body"] = (request.body or request.stream.read(-1)).decode("latin-1")
        return Response(200, json.dumps(seen).encode())

    def connect(self) -> Wire:
        """A new connection to the server."""
        return Wire(self.address)

    def ask(self, *pieces: bytes) -> Answer:
        """The answer to one request on a connection of its own."""
        with self.connect() as wire:
            return wire.send(*pieces).answer()


#: What the fixture ``serve`` gives: starts a server with this handler (default: ``Running.echo``) and these limits.
Serve = Callable[..., Running]

GET = b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n"


def post(body: bytes, *fields: bytes, path: bytes = b"/a") -> bytes:
    """A POST with its length."""
    lines = [b"POST " + path + b" HTTP/1.1", b"Host: h", b"Content-Length: %d" % len(body), *fields]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def chunked(*lines: bytes, path: bytes = b"/a") -> bytes:
    """A POST in chunks, which are given as they stand on the wire."""
    head = b"POST " + path + b" HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(lines)
