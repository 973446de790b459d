"""Request bodies: where they end, and a file-like view of those that are read while they arrive."""

import io
from typing import TYPE_CHECKING, Any, Union

from trackd.web.limits import Limits, RequestRefused

if TYPE_CHECKING:
    from trackd.web.connection import Connection

_EARLY = "The connection ended before the body did."
_HEX = frozenset(b"0123456789abcdefABCDEF")


class Sized:
    """A body of a known length (Content-Length).

    ``feed`` takes what was received and returns the part that is body; ``done`` says that the body is complete, and
    ``rest`` is then what was received beyond it: the next request.
    """

    __slots__ = ("remaining", "rest")

    def __init__(self, length: int) -> None:
        self.remaining = length
        self.rest = b""

    @property
    def done(self) -> bool:
        """Whether the body is complete."""
        return self.remaining == 0

    def feed(self, data: bytes) -> bytes:
        """What of the received bytes is body."""
        if len(data) > self.remaining:
            data, self.rest = data[: self.remaining], data[self.remaining :]
        self.remaining -= len(data)
        return data


class Chunked:
    """A body in chunks (RFC 9112, 7.1), decoded as it arrives. The same interface as ``Sized``.

    Chunk extensions and trailers are dropped, under limits. Line ends are CR LF and nothing else: a decoder that is
    lenient here is how requests are smuggled.
    """

    __slots__ = ("done", "rest", "_buffer", "_limit", "_left", "_trailer")

    def __init__(self, limits: Limits) -> None:
        self.done = False
        self.rest = b""
        self._buffer = b""
        self._limit = limits.chunk_line
        # Bytes of the current chunk still to come; -2 to -1: its line end; 0: a size line is next.
        self._left = 0
        # Bytes of the trailer so far, or -1 before the last chunk.
        self._trailer = -1

    @property
    def remaining(self) -> int:
        """What is known to come; at least 1 until the body is complete."""
        return 0 if self.done else max(self._left, 1)

    def feed(self, data: bytes) -> bytes:
        """What of the received bytes is body, decoded. Raises ``TrackdError`` for broken framing."""
        data = self._buffer + data if self._buffer else data
        self._buffer = b""
        pieces = []
        at = 0
        while at < len(data) and not self.done:
            if self._left > 0:
                pieces.append(data[at : at + self._left])
                at += len(pieces[-1])
                self._left -= len(pieces[-1])
                if self._left == 0:
                    self._left = -2
                continue
            end = data.find(b"\n", at)
            if end < 0:
                self._keep(data[at:])
                break
            if end == at or data[end - 1] != 13:
                raise RequestRefused("A line of the chunked body does not end with CR LF.")
            if self._left < 0:
                if end != at + 1:
                    raise RequestRefused("A chunk of the body is longer than its size.")
                self._left = 0
            else:
                self._line(data[at : end - 1])
            at = end + 1
        if self.done:
            self.rest = data[at:]
        return b"".join(pieces) if len(pieces) != 1 else pieces[0]

    def _keep(self, line: bytes) -> None:
        if self._left < 0 and line != b"\r":
            raise RequestRefused("A chunk of the body is longer than its size.")
        if len(line) > self._limit:
            raise RequestRefused("A line of the chunked body is too long.")
        self._buffer = line

    def _line(self, line: bytes) -> None:
        if len(line) > self._limit or line.translate(None, b"\r\0") != line:
            raise RequestRefused("A line of the chunked body is too long or holds a control character.")
        if self._trailer >= 0:
            self._trailer += len(line) + 2
            if self._trailer > self._limit:
                raise RequestRefused("The trailer of the chunked body is too long.")
            self.done = not line
            return
        size = line.partition(b";")[0].rstrip(b" \t")
        # 15 digits are more than any disk holds; int() alone would take signs, underscores and spaces.
        if not size or len(size) > 15 or not _HEX.issuperset(size):
            raise RequestRefused("The size of a chunk is not a hexadecimal number.")
        self._left = int(size, 16)
        if self._left == 0:
            self._trailer = 0


Decoder = Union[Sized, Chunked]


class BodyStream(io.RawIOBase):
    """The body of a request whose route reads it while it arrives.

    ``read(n)`` and ``readinto`` wait for at least one byte and give at most what was asked for; ``b""`` is the end.
    They raise ``TrackdError`` for a body that ends early or breaks its framing (400), or is silent for the transfer
    time (408).
    """

    def __init__(self, connection: "Connection", decoder: Decoder, start: bytes, expected: bool) -> None:
        self._connection = connection
        self._decoder = decoder
        # Decoded, and not yet read.
        self._start = memoryview(start)
        self._expected = expected
        self._patient = False

    @property
    def complete(self) -> bool:
        """Whether the whole body has been received, if not read: reading will not wait."""
        return self._decoder.done

    def readable(self) -> bool:
        """True, as ``io`` asks."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fills the buffer's beginning; the number of bytes, 0 at the end."""
        view = memoryview(buffer).cast("B")
        if self._start or not isinstance(self._decoder, Sized):
            piece = self.read(len(view))
            view[: len(piece)] = piece
            return len(piece)
        # Straight into the caller's buffer: uploads are large.
        view = view[: self._decoder.remaining]
        if not view:
            return 0
        self._prepare()
        count = self._connection.receive_into(view)
        self._decoder.remaining -= count
        if count == 0:
            raise RequestRefused(_EARLY)
        return count

    def read(self, size: int = -1) -> bytes:
        """At most ``size`` bytes; all that is left for -1."""
        if size < 0:
            return self.readall()
        decoder = self._decoder
        while not self._start and size and not decoder.done:
            self._prepare()
            sized = isinstance(decoder, Sized)
            data = self._connection.receive(min(size, decoder.remaining) if sized else max(size, 4096))
            if not data:
                raise RequestRefused(_EARLY)
            piece = decoder.feed(data)
            if sized:
                return piece
            self._start = memoryview(piece)
        found, self._start = self._start[:size], self._start[size:]
        return bytes(found)

    def _prepare(self) -> None:
        """Before the first wait: asks for the body if the client wants to be asked, and has patience with it."""
        if self._expected:
            self._expected = False
            self._connection.send_continue()
        if not self._patient:
            self._patient = True
            self._connection.wait_for_body()

    def finish(self) -> bool:
        """Ends the reading. Whether the body is behind us, so that the next request can be read."""
        if self._patient:
            self._connection.wait_for_request()
        self.close()
        return self._decoder.done
