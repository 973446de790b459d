"""Artifacts that a running server passes on, over /api/2.0/mlflow-artifacts."""

import http.client
from typing import Any, Iterator, List, Optional, Tuple
from urllib.parse import quote

from trackd.artifacts.base import ArtifactStore, Entry, Opened, Stream
from trackd.artifacts.paths import ArtifactPath, joined
from trackd.transfer.http import Http
from trackd.transfer.sides import CannotCopy

_ROUTE = "/api/2.0/mlflow-artifacts/artifacts"
#: Bytes that are read at a time.
BLOCK = 256 << 10


class ServerArtifacts(ArtifactStore):
    """What lies behind a server. Each transfer has a connection of its own."""

    def __init__(self, server: Http) -> None:
        self.uri = server.shown
        self._http = server

    def list(self, path: ArtifactPath) -> List[Entry]:
        """See ``artifacts.base``."""
        answer = self._http.get_from(_ROUTE, {"path": path} if path else {})
        found = [
            Entry(each["path"].rpartition("/")[2], bool(each.get("is_dir")), int(each.get("file_size", 0)))
            for each in answer.get("files", ())
        ]
        return sorted(found)

    def walk(self, path: ArtifactPath) -> Iterator[Tuple[ArtifactPath, int]]:
        """See ``artifacts.base``. A folder at a time, as servers list them."""
        for entry in self.list(path):
            below = joined(path, ArtifactPath(entry.name))
            if entry.is_dir:
                yield from self.walk(below)
            else:
                yield below, entry.size

    def open(self, path: ArtifactPath) -> Opened:
        """See ``artifacts.base``."""
        connection, answer = self._ask("GET", path)
        if answer.status != 200:
            data = answer.read()
            connection.close()
            raise self._http.error("GET", f"artifact {path}", answer.status, data)
        return _Download(connection, answer)

    def write(self, path: ArtifactPath, stream: Stream, size: Optional[int] = None) -> None:
        """See ``artifacts.base``."""
        connection, answer = self._ask("PUT", path, stream, size)
        data = answer.read()
        connection.close()
        if answer.status != 200:
            raise self._http.error("PUT", f"artifact {path}", answer.status, data)

    def _ask(self, method: str, path: ArtifactPath, body: Any = None, size: Optional[int] = None) -> Any:
        connection = self._http.new_connection()
        headers = self._http.headers()
        if body is not None:
            headers["Content-Type"] = "application/octet-stream"
        if size is not None:
            headers["Content-Length"] = str(size)
        try:
            connection.request(method, f"{self._http.prefix}{_ROUTE}/{quote(path)}", body, headers)
            return connection, connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise CannotCopy(f"{self.uri} does not answer: {str(error) or type(error).__name__}.") from None


class _Download(Opened):
    """A file that comes while it is read, once and from the start."""

    def __init__(self, connection: http.client.HTTPConnection, answer: http.client.HTTPResponse) -> None:
        length = answer.headers.get("Content-Length")
        super().__init__(int(length) if length is not None else -1, 0.0, answer.headers.get("ETag", ""))
        self._connection = connection
        self._answer = answer

    def read(self, start: int, stop: int) -> Iterator[bytes]:
        """See ``artifacts.base``."""
        left = self.size
        while True:
            block = self._answer.read(BLOCK)
            if not block:
                break
            left -= len(block)
            yield block
        if self.size >= 0 and left:
            raise CannotCopy("the connection was lost in the middle of a file.")

    def close(self) -> None:
        """See ``artifacts.base``."""
        self._connection.close()
