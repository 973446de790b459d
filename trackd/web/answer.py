"""Responses as bytes."""

import json
import time
from typing import Dict, Tuple

from trackd.errors import TrackdError
from trackd.web.message import Response

# Phrases of RFC 9110, 15, and its relatives. They carry no meaning; a status that is not here goes without.
# fmt: off
_PHRASES = {
    100: "Continue", 200: "OK", 201: "Created", 202: "Accepted", 204: "No Content", 206: "Partial Content",
    301: "Moved Permanently", 302: "Found", 303: "See Other", 304: "Not Modified", 307: "Temporary Redirect",
    308: "Permanent Redirect", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found",
    405: "Method Not Allowed", 406: "Not Acceptable", 408: "Request Timeout", 409: "Conflict", 410: "Gone",
    411: "Length Required", 412: "Precondition Failed", 413: "Content Too Large", 414: "URI Too Long",
    415: "Unsupported Media Type", 416: "Range Not Satisfiable", 417: "Expectation Failed",
    422: "Unprocessable Content", 429: "Too Many Requests", 431: "Request Header Fields Too Large",
    500: "Internal Server Error", 501: "Not Implemented", 503: "Service Unavailable", 504: "Gateway Timeout",
    505: "HTTP Version Not Supported", 507: "Insufficient Storage",
}
# fmt: on
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

#: The ``Connection`` field of a response: nothing needs to be said on HTTP/1.1 that stays open.
KEEP, KEEP_OLD, CLOSE = "", "Connection: keep-alive\r\n", "Connection: close\r\n"


class Answers:
    """Makes the head of each response; one of these per server, because the date is made once a second."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._starts: Tuple[int, Dict[int, str]] = (0, {})

    def head(self, response: Response, connection: str, chunked: bool = True) -> bytes:
        """Status line and header fields, with the empty line.

        ``connection``: ``KEEP``, ``KEEP_OLD`` or ``CLOSE``. ``chunked``: how a body in pieces goes out (RFC 9112, 7.1);
        otherwise it ends with the connection, as clients of HTTP/1.0 know it.
        Raises ``ValueError`` for a field that would end its line.
        """
        status = response.status
        now = int(time.time())
        second, starts = self._starts
        if now != second:
            second, starts = self._starts = (now, {})
        start = starts.get(status)
        if start is None:
            start = starts[status] = (
                f"HTTP/1.1 {status} {_PHRASES.get(status, '')}\r\nServer: {self._name}\r\nDate: {http_date(second)}\r\n"
            )
        # RFC 9110, 8.6: 204 has no length, and 304 would need that of what it leaves out.
        if status == 204 or status == 304:
            fields = ""
        elif response.pieces is not None and response.length is None:
            fields = f"Content-Type: {response.content_type}\r\n{'Transfer-Encoding: chunked' * chunked}"
            fields += "\r\n" * chunked
        else:
            length = response.length
            if length is None:
                length = len(response.body) if response.file is None else response.file.length
            fields = f"Content-Type: {response.content_type}\r\n" if response.content_type else ""
            fields += f"Content-Length: {length}\r\n"
        count = 1
        for name, value in response.headers:
            fields += f"{name}: {value}\r\n"
            count += 1
        if fields.count("\n") > count + 1 or fields.count("\r") > count + 1 or "\0" in fields:
            raise ValueError(f"a header field of this response holds a line end: {response.headers!r}")
        return (start + fields + connection + "\r\n").encode("latin-1")


def http_date(seconds: float) -> str:
    """A time as header fields write it (RFC 9110, 5.6.7); ``email.utils`` does the same for 10 ms of start-up."""
    year, month, day, hour, minute, second, weekday, _, _ = time.gmtime(seconds)
    return f"{_DAYS[weekday]}, {day:02} {_MONTHS[month - 1]} {year} {hour:02}:{minute:02}:{second:02} GMT"


def error_response(error: TrackdError) -> Response:
    """An error that the server itself noticed, in the shape that MLflow's clients read."""
    return Response(error.status, json.dumps(error.body()).encode())
