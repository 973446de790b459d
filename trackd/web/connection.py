"""One client's connection: the bytes that came, the request they make, the answer that has not left yet.

A ``Connection`` belongs to one thread at a time, the server's selector or a worker, and is handed over whole.
Bytes are given to ``take`` as they come, by whom does not matter, so that a slow request costs no thread.
"""

import errno
import os
import socket
import struct
import threading
from typing import Iterator, List, Optional, Union

from trackd.errors import PayloadTooLarge, TemporarilyUnavailable
from trackd.web.body import BodyStream, Chunked, Decoder, Sized
from trackd.web.head import CHUNKED, Head, Heads, check_partial
from trackd.web.limits import Limits, RequestRefused
from trackd.web.message import FileBody, Request

#: For taking what is there and not waiting; Windows has no such flag and waits for the linger time at most.
NOWAIT = getattr(socket, "MSG_DONTWAIT", 0)
# More follows at once: the head of a file's response leaves in one packet with the beginning of the file.
_MORE = getattr(socket, "MSG_MORE", 0)
_sendfile = getattr(os, "sendfile", None)
# One step of sendfile; a stop is noticed between steps.
_FILE_STEP = 4 * 1024 * 1024
_COPY_STEP = 256 * 1024

# What a connection waits for when it is parked with the selector: its first request ever, another one, the rest of
# a head or of a body, that the client takes a response, that the client closes.
NEW, IDLE, HEAD, BODY, WRITING, DRAINING = range(6)


class Memory:
    """How much all bodies under collection hold together."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._used = 0
        self._lock = threading.Lock()

    def add(self, size: int) -> bool:
        """Counts bytes, or with a negative size no longer; whether that is within the limit."""
        with self._lock:
            self._used += size
            return self._used <= self._limit


class Connection:
    """A socket, what has been read from it and what is to be written to it.

    * ``state``, ``deadline``, ``drained``, ``watched`` are the selector's, ``waiting`` is the worker's, ``admitted``
      that of ``Workers``.
    * ``request``: complete, waiting for a worker. ``stream``: its body, if its route reads it itself.
    * ``keep``: stay open after the current response. ``old``: the current request speaks HTTP/1.0.
    * ``rest``: what came behind the current request.
    """

    # fmt: off
    __slots__ = (
        "sock", "client", "state", "deadline", "drained", "watched", "waiting", "admitted", "request", "stream",
        "keep", "old", "rest", "_limits", "_heads", "_ids", "_memory", "_scanned", "_head", "_decoder", "_parts",
        "_size", "_output", "_file", "_pieces", "_plain", "_name",
    )
    # fmt: on

    def __init__(
        self,
        sock: socket.socket,
        client: str,
        limits: Limits,
        heads: Heads,
        ids: Iterator[int],
        memory: Memory,
    ) -> None:
        self.sock = sock
        self.client = client
        self.state = NEW
        self.deadline = 0.0
        self.request: Optional[Request] = None
        self.stream: Optional[BodyStream] = None
        self.keep = True
        self.old = False
        self.waiting = False
        self.admitted = False
        self.drained = 0
        self.watched = False
        self._limits = limits
        self._heads = heads
        self._ids = ids
        self._memory = memory
        self.rest: Union[bytes, bytearray] = b""
        self._scanned = 0
        self._head: Optional[Head] = None
        self._decoder: Optional[Decoder] = None
        self._parts: List[bytes] = []
        self._size = 0
        self._output: Union[bytes, memoryview] = b""
        self._file: Optional[FileBody] = None
        self._pieces: Optional[Iterator[bytes]] = None
        self._plain = False
        self._name = ""
        # Python's own timeouts cost a second system call, and a second hand-over of the interpreter lock, per
        # receive; the system's do not.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if os.name == "posix":
            sock.setblocking(True)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _timeval(limits.send_time))
        self._patience(limits.linger_time)

    # Reading

    def take(self, data: Union[bytes, bytearray]) -> Optional[Request]:
        """Adds what was received; the request that is complete with it, or ``None``.

        ``data`` may be empty: then what came earlier behind another request is looked at. Raises ``TrackdError``
        for a request to refuse; the connection is of no use after that.
        """
        if self._head is not None:
            return self._take_body(bytes(data))
        if self.rest:
            data = self._joined(data)
        if data[:1] == b"\r":
            # Some clients send an empty line behind a body (RFC 9112, 2.2).
            while data.startswith(b"\r\n"):
                data = data[2:]
            if data == b"\r":
                self.rest = data
                return None
        end = data.find(b"\r\n\r\n", self._scanned)
        if end < 0:
            if data:
                check_partial(data, self._scanned, self._limits)
            self._scanned = max(0, len(data) - 3)
            self.rest = data
            return None
        self._scanned = 0
        head = self._heads.read(bytes(data[:end]))
        body = bytes(data[end + 4 :])
        self.rest = b""
        if head.length == len(body) and not head.streaming and head.length <= self._limits.body:
            # The usual case: one request, all of it, and nothing else.
            return self._request(head, body)
        if head.length == 0:
            self.rest = body
            return self._request(head, b"")
        return self._start_body(head, body)

    def _joined(self, data: Union[bytes, bytearray]) -> bytearray:
        # A bytearray grows in place: a head that comes in single bytes would else be copied for each.
        rest = self.rest if isinstance(self.rest, bytearray) else bytearray(self.rest)
        rest += data
        return rest

    def _start_body(self, head: Head, data: bytes) -> Optional[Request]:
        if head.length > self._limits.body and not head.streaming:
            raise PayloadTooLarge(f"The body is longer than {self._limits.body} bytes.")
        self._decoder = Chunked(self._limits) if head.length == CHUNKED else Sized(head.length)
        expected = head.expect and not data
        if head.streaming and expected:
            # Whether the body is wanted is the route's to say: its first read sends the 100.
            return self._request_with_stream(head, b"", True)
        if expected:
            self.send_continue()
        self._head = head
        return self._take_body(data)

    def _take_body(self, data: bytes) -> Optional[Request]:
        head, decoder = self._head, self._decoder
        assert head is not None and decoder is not None
        piece = decoder.feed(data)
        self._parts.append(piece)
        self._size += len(piece)
        fits = self._memory.add(len(piece))
        if self._size > self._limits.body and not head.streaming:
            raise PayloadTooLarge(f"The body is longer than {self._limits.body} bytes.")
        if not decoder.done and not (head.streaming and self._size >= self._limits.stream_start):
            if not fits:
                raise TemporarilyUnavailable("Too many large requests at one time; try again in a moment.")
            return None
        body = b"".join(self._parts)
        self._forget_body()
        if head.streaming:
            return self._request_with_stream(head, body, False)
        self.rest = decoder.rest
        return self._request(head, body)

    def _forget_body(self) -> None:
        if self._size:
            self._memory.add(-self._size)
        self._head, self._parts, self._size = None, [], 0

    def _request(self, head: Head, body: bytes) -> Request:
        method, target, path, query, headers, _, _, self.keep, _, self.old = head
        return Request(method, path, query, headers.copy(), body, None, target, self.client, f"{next(self._ids):x}")

    def _request_with_stream(self, head: Head, start: bytes, expected: bool) -> Request:
        assert self._decoder is not None
        request = self._request(head, b"")
        self.stream = BodyStream(self, self._decoder, start, expected)
        request.stream = self.stream  # type: ignore[assignment]
        return request

    def end_stream(self) -> None:
        """Ends the body that the route was reading. What it has left unread ends the connection after the response."""
        if self.stream is not None:
            if self.stream.finish() and self._decoder is not None:
                self.rest = self._decoder.rest
            else:
                self.keep = False
            self.stream = None

    @property
    def progress(self) -> int:
        """What the connection waits for, as long as no request is complete: ``IDLE``, ``HEAD`` or ``BODY``."""
        if self._head is not None:
            return BODY
        return HEAD if self.rest else IDLE

    @property
    def wanted(self) -> int:
        """How much to receive at a time. Small while small requests are expected: the buffer is made each time."""
        if self._head is None or self._decoder is None:
            return 16 * 1024
        return min(max(self._decoder.remaining, 16 * 1024), 256 * 1024)

    @property
    def unread(self) -> bool:
        """Whether the client has sent, or is sending, what nobody is going to read: the drain needs to know."""
        return bool(self.rest) or (self._decoder is not None and not self._decoder.done)

    def receive(self, size: int) -> bytes:
        """For streamed bodies: waits for the transfer time. Nothing is the end of the connection."""
        try:
            return self.sock.recv(size)
        except OSError as error:
            raise self._broken_body(error) from None

    def receive_into(self, view: memoryview) -> int:
        """The same, into a buffer; the number of bytes."""
        try:
            return self.sock.recv_into(view)
        except OSError as error:
            raise self._broken_body(error) from None

    def _broken_body(self, error: OSError) -> RequestRefused:
        if isinstance(error, (BlockingIOError, socket.timeout)):
            return RequestRefused(f"Nothing of the body came for {self._limits.transfer_time:g} seconds.", 408)
        return RequestRefused(f"The connection broke within the body: {error}.")

    def wait_for_body(self) -> None:
        """A receive waits for the transfer time from now on."""
        self._patience(self._limits.transfer_time)

    def wait_for_request(self) -> None:
        """A receive waits for the linger time from now on."""
        self._patience(self._limits.linger_time)

    def _patience(self, seconds: float) -> None:
        if os.name == "posix":
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _timeval(seconds))
        else:
            self.sock.settimeout(seconds)

    # Writing

    def send_continue(self) -> None:
        """Asks for the body (RFC 9110, 10.1.1). A client that is gone is noticed by the receive that follows."""
        try:
            self.sock.send(b"HTTP/1.1 100 Continue\r\n\r\n", NOWAIT)
        except OSError:
            return

    def send(self, data: bytes, file: Optional[FileBody] = None) -> bool:
        """Sends a response. False if the client does not take it all now: ``flush`` again when it does.

        The file is closed when it is sent, or with the connection. Raises ``OSError`` if the client is gone.
        """
        if file is None:
            try:
                sent = self.sock.send(data)
            except (BlockingIOError, socket.timeout):
                sent = 0
            if sent == len(data):
                return True
            self._output = memoryview(data)[sent:]
            return False
        self._output, self._file = data, file
        return self.flush()

    def send_pieces(self, head: bytes, pieces: Iterator[bytes], length: Optional[int], name: str) -> bool:
        """Sends a response whose body is made piece by piece; the same answers as ``send``.

        In chunks, unless the length is known or the client speaks HTTP/1.0. ``name``: the request, for the log.
        """
        self._output, self._name = head, name
        self._pieces = pieces if length is None else _exactly(pieces, length)
        self._plain = self.old or length is not None
        return self.flush()

    def flush(self) -> bool:
        """Goes on sending; the same answers as ``send``."""
        try:
            while self._output:
                sent = self.sock.send(self._output, _MORE if self._file else 0)
                self._output = memoryview(self._output)[sent:]
                if self._output:
                    return False
                if self._pieces is not None:
                    self._output = self._next_piece(self._pieces)
            return self._file is None or self._send_file(self._file)
        except (BlockingIOError, socket.timeout):
            return False

    def _next_piece(self, pieces: Iterator[bytes]) -> bytes:
        """The next piece as it goes on the wire; nothing after the last."""
        try:
            piece = next((piece for piece in pieces if piece), None)
        except Exception as error:
            import logging  # Not before something goes wrong.

            logging.getLogger("trackd.web").exception("request %s: its response broke off", self._name)
            raise OSError(f"the response broke off: {error}") from error
        if piece is None:
            self._pieces = None
            return b"" if self._plain else b"0\r\n\r\n"
        return piece if self._plain else b"%x\r\n%b\r\n" % (len(piece), piece)

    def _send_file(self, file: FileBody) -> bool:
        while file.length > 0:
            sent = self._send_step(file)
            if sent == 0:
                raise OSError(f"the file of the response ended {file.length} bytes too early")
            file.offset += sent
            file.length -= sent
        file.file.close()
        self._file = None
        return True

    def _send_step(self, file: FileBody) -> int:
        if _sendfile is not None:
            try:
                return int(_sendfile(self.sock.fileno(), file.file.fileno(), file.offset, min(file.length, _FILE_STEP)))
            except OSError as error:
                # What is no file of the system's, or lies where the system cannot do it, is copied.
                if error.errno not in (None, errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
                    raise
        file.file.seek(file.offset)
        data = file.file.read(min(file.length, _COPY_STEP))
        return self.sock.send(data) if data else 0

    @property
    def writing(self) -> bool:
        """Whether a part of a response has not left yet."""
        return bool(self._output) or self._file is not None or self._pieces is not None

    @property
    def transfers(self) -> bool:
        """Whether what is under way, in either direction, is a file and not a message."""
        return self._file is not None or self._pieces is not None or (self._head is not None and self._head.streaming)

    def close(self) -> None:
        """Closes the socket, and the file of a response that was not sent to its end."""
        self._forget_body()
        if self._file is not None:
            self._file.file.close()
            self._file = None
        self._output, self._pieces = b"", None
        self.sock.close()


def _exactly(pieces: Iterator[bytes], length: int) -> Iterator[bytes]:
    """The pieces; ``ValueError`` if they turn out to be of another length together."""
    for piece in pieces:
        length -= len(piece)
        if length < 0:
            break
        yield piece
    if length:
        raise ValueError(f"the body is {abs(length)} bytes too {'short' if length > 0 else 'long'}")


def _timeval(seconds: float) -> bytes:
    # Zero would mean to wait without end.
    microseconds = max(1, int(seconds * 1_000_000))
    return struct.pack("ll", microseconds // 1_000_000, microseconds % 1_000_000)
