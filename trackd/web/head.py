"""The head of a request, read strictly: what two servers could read differently is refused (RFC 9112, 11.2)."""

import re
from typing import Callable, Dict, List, NamedTuple, Tuple, Union

from trackd.errors import NotImplementedHere, PayloadTooLarge
from trackd.web.limits import Limits, RequestRefused

#: ``Head.length`` of a body in chunks.
CHUNKED = -1

# All that may stand in a head besides line ends: printable ASCII, tab, and obs-text (RFC 9110, 5.5).
_PLAIN = bytes([0x09, *range(0x20, 0x7F), *range(0x80, 0x100)])
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VERSION = re.compile(r"HTTP/[0-9]\.[0-9]")
_ABSOLUTE = re.compile(r"https?://([^/?#@]+)([/?].*)?", re.IGNORECASE)
# Fields that decide where a request ends and whom it is for. A second one is an attempt to be read in two ways.
_SINGLE = frozenset(("host", "content-length", "transfer-encoding"))
# Heads remembered by one server, and up to which size; together 1 MB at most. A head is cheap to read again.
_REMEMBERED, _REMEMBERED_SIZE = 512, 1024


class Head(NamedTuple):
    """A request without its body.

    ``length`` is the body's in bytes, or ``CHUNKED``. ``streaming``: the route reads the body itself. ``keep``: the
    client wants the connection to stay open. ``expect``: it waits for ``100 Continue``. ``old``: it speaks HTTP/1.0.
    """

    method: str
    target: str
    path: str
    query: str
    headers: Dict[str, str]
    length: int
    streaming: bool
    keep: bool
    expect: bool
    old: bool


class Heads:
    """Reads heads. A client in a loop sends a few different ones again and again: those are remembered."""

    def __init__(self, limits: Limits, streams: Callable[[str, str], bool]) -> None:
        self._limits = limits
        self._streams = streams
        self._seen: Dict[bytes, Head] = {}

    def read(self, head: bytes) -> Head:
        """Reads everything up to, and without, the empty line. The result is shared: its ``headers`` must be copied.

        Raises ``TrackdError`` with the status to answer.
        """
        known = self._seen.get(head)
        if known is None:
            known = self._parse(head)
            if len(head) <= _REMEMBERED_SIZE:
                if len(self._seen) >= _REMEMBERED:
                    self._seen.clear()
                self._seen[head] = known
        return known

    def _parse(self, head: bytes) -> Head:
        limits = self._limits
        if len(head) > limits.head:
            raise RequestRefused(f"The head of the request is longer than {limits.head} bytes.", 431)
        lines = head.decode("latin-1").split("\r\n")
        # What is left after taking out all plain bytes must be the line ends: one comparison finds every
        # bare CR, bare LF, NUL and other control character.
        if len(head.translate(None, _PLAIN)) != 2 * (len(lines) - 1):
            raise RequestRefused("The head of the request holds a control character, or a line end that is not CR LF.")
        if len(lines) > limits.fields + 1:
            raise RequestRefused(f"The request has more than {limits.fields} header fields.", 431)
        method, target, old = _request_line(lines[0], limits)
        headers = _fields(lines)
        if "host" not in headers and not old:
            raise RequestRefused("The request has no Host field (RFC 9112, 3.2).")
        path, query = _split_target(target, headers)
        length = _length(headers, old)
        expect = headers.get("expect")
        if expect is not None and expect.lower() != "100-continue":
            raise RequestRefused("The only expectation that is met here is 100-continue.", 417)
        connection = headers.get("connection")
        keep = not old if connection is None else _keeps(connection, old)
        # An HTTP/1.0 client knows no 100 Continue (RFC 9110, 10.1.1).
        waits = expect is not None and not old and length != 0
        streaming = length != 0 and self._streams(method, path)
        return Head(method, target, path, query, headers, length, streaming, keep, waits, old)


def _fields(lines: List[str]) -> Dict[str, str]:
    """The header fields, from all lines after the first."""
    headers: Dict[str, str] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        name = name.lower()
        # Folded lines, spaces before the colon and lines without one all fail here (RFC 9112, 5.1 and 5.2).
        if not colon or not _TOKEN.fullmatch(name):
            raise RequestRefused("A header line is not a name, a colon and a value.")
        if name in headers:
            if name in _SINGLE:
                raise RequestRefused(f"The request has more than one {name} field.")
            headers[name] += ", " + value.strip(" \t")
        else:
            headers[name] = value.strip(" \t")
    return headers


def check_partial(data: Union[bytes, bytearray], start: int, limits: Limits) -> None:
    """Refuses the beginning of a head that can only get worse. ``start``: what an earlier call has seen."""
    if len(data) > limits.head:
        raise RequestRefused(f"The head of the request is longer than {limits.head} bytes.", 431)
    # A TLS hello, for instance: told at once, not after the time for a head.
    if not data[:1].isalpha():
        raise RequestRefused("This is not an HTTP request; the server speaks plain HTTP.")
    if len(data) > limits.target and data.find(b"\r\n", 0, limits.target + 32) < 0:
        raise RequestRefused(f"The request line is longer than {limits.target} bytes.", 414)
    if data.count(b"\n", start) != data.count(b"\r\n", max(0, start - 1)):
        raise RequestRefused("A line of the request does not end with CR LF.")


def _request_line(line: str, limits: Limits) -> Tuple[str, str, bool]:
    parts = line.split(" ")
    if len(parts) != 3:
        raise RequestRefused("The request line is not a method, a target and a version with single spaces between.")
    method, target, version = parts
    if not _TOKEN.fullmatch(method):
        raise RequestRefused("The method is not a token.")
    if len(target) > limits.target:
        raise RequestRefused(f"The target of the request is longer than {limits.target} bytes.", 414)
    # isprintable refuses the tab, which is the one control character left by now.
    if not target.isascii() or not target.isprintable():
        raise RequestRefused("The target holds a character that has to be percent-encoded.")
    if version != "HTTP/1.1" and version != "HTTP/1.0":
        if _VERSION.fullmatch(version):
            raise RequestRefused("This server speaks HTTP/1.1 and HTTP/1.0.", 505)
        raise RequestRefused("The request line does not end with an HTTP version.")
    return method, target, version == "HTTP/1.0"


def _split_target(target: str, headers: Dict[str, str]) -> Tuple[str, str]:
    """Path, decoded, and query, as it came. The authority of an absolute target replaces Host (RFC 9112, 3.2.2)."""
    if not target.startswith("/"):
        absolute = _ABSOLUTE.fullmatch(target)
        if absolute is None:
            raise RequestRefused("The target is neither a path nor an http URL.")
        headers["host"] = absolute.group(1)
        target = absolute.group(2) or "/"
        if target.startswith("?"):
            target = "/" + target
    path, _, query = target.partition("?")
    return (_decoded(path) if "%" in path else path), query


def _decoded(path: str) -> str:
    first, *others = path.split("%")
    try:
        raw = first.encode() + b"".join(bytes.fromhex(other[:2]) + other[2:].encode() for other in others)
        # A short or empty escape: fromhex takes "" and nothing else that is not two digits.
        if all(len(other) >= 2 for other in others) and b"\0" not in raw:
            return raw.decode("utf-8")
    except ValueError:
        raise RequestRefused("The path is not percent-encoded UTF-8.") from None
    raise RequestRefused("The path holds a NUL or an incomplete percent-encoding.")


def _length(headers: Dict[str, str], old: bool) -> int:
    """Where the body ends (RFC 9112, 6.3). ``CHUNKED``, or the number of bytes."""
    coding = headers.get("transfer-encoding")
    length = headers.get("content-length")
    if coding is not None:
        if length is not None or old:
            raise RequestRefused("Transfer-Encoding goes neither with Content-Length nor with HTTP/1.0.")
        if coding.lower() != "chunked":
            raise NotImplementedHere("The only transfer coding that is understood here is chunked.")
        return CHUNKED
    if length is None:
        return 0
    # isdigit alone would take other scripts' digits, int() also signs and underscores.
    if not (length.isascii() and length.isdigit()):
        raise RequestRefused("Content-Length is not a number.")
    if len(length) > 18:
        raise PayloadTooLarge("The body is longer than anything that fits here.")
    return int(length)


def _keeps(connection: str, old: bool) -> bool:
    """Whether the connection stays after the answer (RFC 9112, 9.3)."""
    options = [option.strip().lower() for option in connection.split(",")]
    return "close" not in options and (not old or "keep-alive" in options)
