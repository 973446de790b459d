"""The contract of a place for artifacts, on one page. Knows nothing of HTTP, runs or permissions.

A store holds files in folders below its root. Paths are ``ArtifactPath``s (see ``paths``): they have been judged where
they came in. A file appears, or is replaced, when all of it is there; a write that breaks off leaves what was there
before. Folders exist while something lies in them, and need not be made.

Stores raise ``TrackdError`` where the answer is the client's to read: 404 for what is not there, 400 for a folder where
a file is wanted and for a name that cannot be kept, 403 for what the server may not read or write. What a store
cannot do at all is ``NotHere`` (501), which MLflow's clients know and work around. ``OSError`` is the system's trouble.
"""

from io import RawIOBase
from typing import BinaryIO, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple, Union

from trackd.artifacts.paths import ArtifactPath
from trackd.errors import NotImplementedHere

#: The one error message that MLflow's clients read: it tells them to send the file in one piece.
NO_MULTIPART = "Multipart upload is not supported for the current artifact repository"

#: What is written comes from one of these; ``readinto`` and ``read`` give at least a byte until it ends.
Stream = Union[BinaryIO, RawIOBase]


class NotHere(NotImplementedHere):
    """This kind of place cannot do that."""


class Entry(NamedTuple):
    """Something in a folder. ``size`` is in bytes, 0 for folders."""

    name: str
    is_dir: bool
    size: int


class Opened:
    """A file that is being read, as it was when it was opened: who replaces it meanwhile is not seen.

    ``size`` in bytes, ``mtime`` in seconds since 1970, ``etag`` with its quotes: it changes whenever the content does.
    ``file`` is there for files of this host, which the web server sends by itself and closes; else ``read``.
    """

    def __init__(self, size: int, mtime: float, etag: str, file: Optional[BinaryIO] = None) -> None:
        self.size = size
        self.mtime = mtime
        self.etag = etag
        self.file = file

    def read(self, start: int, stop: int) -> Iterator[bytes]:
        """The bytes from ``start`` to before ``stop`` in blocks. May be called several times, one after the other."""
        raise NotImplementedError

    def close(self) -> None:
        """Lets go of the file; nothing is read any more. A second time is fine."""
        if self.file is not None:
            self.file.close()


class Part(NamedTuple):
    """A part of an upload that is there. Numbers start with 1; ``size`` in bytes."""

    number: int
    etag: str
    size: int


class Target(NamedTuple):
    """Where a client PUTs one part, and the headers that it must send."""

    number: int
    url: str
    headers: Dict[str, str]


class Upload(NamedTuple):
    """An upload in parts that is under way. ``creation_time`` in milliseconds; it will have ``total`` parts."""

    upload_id: str
    creation_time: int
    total: int
    parts: List[Part]


class Presigned(NamedTuple):
    """A URL that needs no permission while it lasts, and the headers that go with it; ``size`` of a download."""

    url: str
    headers: Dict[str, str]
    size: Optional[int] = None


class ArtifactStore:
    """A place for artifacts. One for all threads.

    * ``uri``: where it is, for people. ``multipart``: whether uploads in parts work. ``presigned``: whether clients can
      be sent to the storage itself for downloads.
    """

    uri = ""
    multipart = False
    presigned = False

    def list(self, path: ArtifactPath) -> List[Entry]:
        """What lies in a folder, one level, sorted by name (code points). Nothing for a file or what is not there."""
        raise NotImplementedError

    def walk(self, path: ArtifactPath) -> Iterator[Tuple[ArtifactPath, int]]:
        """Path and size of every file at or below ``path``. Links are not followed."""
        raise NotImplementedError

    def open(self, path: ArtifactPath) -> Opened:
        """A file for reading; 404, 400 for a folder, 403."""
        raise NotImplementedError

    def write(self, path: ArtifactPath, stream: Stream, size: Optional[int] = None) -> None:
        """Keep what the stream gives until it ends; ``size`` is how much that will be, where it is known.

        Memory does not grow with the size. What ``stream`` raises goes on to the caller, and nothing is kept.
        """
        raise NotImplementedError

    def delete(self, path: ArtifactPath) -> None:
        """Remove a file, or a folder with all in it. Nothing there is fine. A link goes, what it points to stays."""
        raise NotImplementedError

    # Uploads in parts. A store with ``multipart`` has all of these.

    def create_upload(self, path: ArtifactPath, total: int) -> str:
        """Begin an upload of ``total`` parts; its id."""
        raise NotHere(NO_MULTIPART)

    def targets(self, path: ArtifactPath, upload_id: str, numbers: Sequence[int], here: str) -> List[Target]:
        """Where the parts of these numbers go. ``here``: what the URLs of parts that come to this server begin with;
        they reach ``write_part``. 404 for no such upload.
        """
        raise NotHere(NO_MULTIPART)

    def write_part(
        self, upload_id: str, number: int, expires: str, signature: str, stream: Stream, size: Optional[int]
    ) -> str:
        """Keep one part, in place of one of the same number; its ETag. 403 for a target that is not one of ours."""
        raise NotHere(NO_MULTIPART)

    def complete_upload(self, path: ArtifactPath, upload_id: str, parts: Sequence[Tuple[int, str]]) -> None:
        """Let the file appear, made of these parts (number, ETag), which come in ascending order.

        400 if one is missing or its ETag is another; then the upload is still there and can be mended.
        """
        raise NotHere(NO_MULTIPART)

    def abort_upload(self, path: ArtifactPath, upload_id: str) -> None:
        """Forget an upload and its parts; one that is not there is fine."""
        raise NotHere(NO_MULTIPART)

    def list_uploads(self, path: ArtifactPath) -> List[Upload]:
        """The uploads to this path that are under way, the newest first, each with the parts that are there."""
        raise NotHere(NO_MULTIPART)

    def sweep(self, now: float) -> int:
        """Remove what writes and uploads have left that will never go on (``now``: seconds since 1970); how many."""
        return 0

    # Clients that go to the storage itself.

    def presign_download(self, path: ArtifactPath, seconds: int) -> Presigned:
        """Where anybody can GET a file for so long."""
        raise NotHere("Presigned download is not supported for the current artifact repository")

    def presign_upload(self, path: ArtifactPath, seconds: int) -> Presigned:
        """Where anybody can PUT a file for so long."""
        raise NotHere("Presigned upload is not supported for the current artifact repository")


class Locations:
    """Finds the store for a location that a run, an experiment or a model names."""

    def find(self, location: str) -> Tuple[ArtifactStore, ArtifactPath]:
        """The store, and the path below it. 400 for a place that this server does not read."""
        raise NotImplementedError
