"""Request and Response: what the server hands to the application and takes back."""

import io
from typing import BinaryIO, Dict, Iterator, List, Optional, Tuple


class Request:
    """One HTTP request, already under all limits of ``web.server``.

    * ``method``: upper case. ``path``: percent-decoded, without the query, begins with ``/``.
      ``target``: as it stood on the request line. ``query``: raw, without ``?``.
    * ``headers``: lower-case names; a repeated field is joined with ``", "`` (RFC 9110, 5.3).
    * ``body``: the whole body, for routes that do not stream. ``stream``: file-like ``read(n)`` for those that do;
      it ends at the body's end, whatever its framing, and raises ``TrackdError`` for a broken or silent one.
    * ``client``: the peer's address. ``id``: short text that also stands in the log and in a 500's message.
    """

    __slots__ = ("method", "target", "path", "query", "headers", "body", "stream", "client", "id")

    def __init__(
        self,
        method: str,
        path: str,
        query: str = "",
        headers: Optional[Dict[str, str]] = None,
        body: bytes = b"",
        stream: Optional[BinaryIO] = None,
        target: str = "",
        client: str = "",
        id: str = "",
    ) -> None:
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers if headers is not None else {}
        self.body = body
        self.stream = stream if stream is not None else io.BytesIO(body)
        self.target = target or path
        self.client = client
        self.id = id


class FileBody:
    """A part of an open file as a response body; the server sends it with ``sendfile`` and closes it.

    ``offset`` and ``length`` are in bytes.
    """

    __slots__ = ("file", "offset", "length")

    def __init__(self, file: BinaryIO, offset: int, length: int) -> None:
        self.file = file
        self.offset = offset
        self.length = length


class Response:
    """One HTTP response. The server adds Date, Content-Length and Connection.

    ``body`` is used unless ``file`` or ``pieces`` is given. ``pieces``: a body each piece of which is made when the
    client has taken the one before; an exception ends the connection, so that nobody takes what was sent for all.
    ``length``: that of all pieces, where it is known; they must keep to it.
    An empty ``content_type`` is for empty bodies. Header names are as they go on the wire.
    """

    __slots__ = ("status", "body", "content_type", "headers", "file", "pieces", "length")

    def __init__(
        self,
        status: int = 200,
        body: bytes = b"",
        content_type: str = "application/json",
        headers: Optional[List[Tuple[str, str]]] = None,
        file: Optional[FileBody] = None,
        pieces: Optional[Iterator[bytes]] = None,
        length: Optional[int] = None,
    ) -> None:
        self.pieces = pieces
        self.length = length
        self.status = status
        self.body = body
        self.content_type = content_type
        self.headers = headers if headers is not None else []
        self.file = file
