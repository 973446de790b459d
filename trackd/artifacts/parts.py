"""Uploads in parts to a folder of this host: what S3 does with multipart uploads, on files.

Each upload is a folder::

    upload.json                    where it goes, how many parts, the secret that signs the URLs of its parts
    stride                         the size of its parts, fixed by the first that is not the last
    data                           parts of that size, each at the offset where it will stay
    slot-<number>                  somebody has begun to write that part into data; nobody else may
    part-<number>-<size>-<crc>     the part is there, in data
    own-<number>-<size>-<crc>      the part is there, in this file: sent again, of another size, or of unknown length

So an upload whose parts are of one size, which is what clients send, is complete by a rename, whatever its size;
other parts are copied into their place by the system. ETags are CRC-32 and size: any client can check what lies here
against its own file before it sends the rest, and that costs a tenth of what MD5 would.

The secret lies with the upload, so that URLs outlive a restart and reach any server on the same folder.
"""

import errno
import hmac
import json
import os
import sys
import time
import zlib
from contextlib import contextmanager, suppress
from typing import Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from trackd.artifacts.base import Part, Stream, Target, Upload
from trackd.artifacts.paths import ArtifactPath
from trackd.artifacts.unfinished import BLOCK, copy, locked_file, write_all
from trackd.errors import InvalidParameterValue, PermissionDenied, ResourceDoesNotExist

#: Seconds for which the URL of a part can be used: 100 GiB at 2 MiB a second.
URL_TIME = 24 * 3600
#: Seconds without a new part after which an upload is taken for given up. Nobody has a URL for it by then.
STALE = 48 * 3600
#: Clients send 10 MiB each, so this is 488 GiB. Their URLs come in one answer.
MOST_PARTS = 50_000

_BINARY = getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
_HEX = frozenset("0123456789abcdef")
# The end of the names of folders that are on their way out.
_GONE = ".gone"


class _Meta(NamedTuple):
    """What upload.json holds."""

    path: str
    total: int
    secret: str
    creation_time: int


class _Found(NamedTuple):
    """A part that is there; ``own`` is the name of its file, empty if it lies in ``data``."""

    part: Part
    own: str


class Parts:
    """All uploads below one folder."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def create(self, path: ArtifactPath, total: int) -> str:
        """Begin an upload; its id."""
        if not 1 <= total <= MOST_PARTS:
            raise InvalidParameterValue(f"num_parts is {total}; an upload has 1 to {MOST_PARTS} parts.")
        upload_id = os.urandom(16).hex()
        folder = os.path.join(self._folder, upload_id)
        os.makedirs(folder, 0o700)
        meta = _Meta(path, total, os.urandom(32).hex(), int(time.time() * 1000))
        temporary = os.path.join(folder, "new")
        with open(temporary, "w", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            json.dump(meta._asdict(), file)
        os.replace(temporary, os.path.join(folder, "upload.json"))
        return upload_id

    def targets(self, path: ArtifactPath, upload_id: str, numbers: Sequence[int], here: str) -> List[Target]:
        """See ``ArtifactStore.targets``."""
        meta = self._meta(upload_id, path)
        expires = int(time.time()) + URL_TIME
        return [
            Target(
                number,
                f"{here}/{upload_id}/{number}?expires={expires}&signature={_sign(meta, upload_id, number, expires)}",
                {},
            )
            for number in numbers
        ]

    def write(
        self, upload_id: str, number: int, expires: str, signature: str, stream: Stream, size: Optional[int]
    ) -> str:
        """See ``ArtifactStore.write_part``."""
        meta = self._meta(upload_id)
        # Digits only: int() takes more, and then two texts would have one signature.
        known = expires.isascii() and expires.isdigit() and len(expires) < 20
        expected = _sign(meta, upload_id, number, int(expires)) if known else ""
        if not known or not hmac.compare_digest(expected.encode(), signature.encode()):
            raise PermissionDenied("The signature of this URL is not one of this server.")
        if int(expires) < time.time():
            raise PermissionDenied("The time of this URL is over; ask for a new one.")
        folder = os.path.join(self._folder, upload_id)
        with _held(folder, exclusive=False):
            try:
                return self._write(folder, meta, number, stream, size)
            except FileNotFoundError:
                raise _no_upload(upload_id) from None

    def _write(self, folder: str, meta: _Meta, number: int, stream: Stream, size: Optional[int]) -> str:
        offset = None if size is None else _offset(folder, meta, number, size)
        first = _created(os.path.join(folder, f"slot-{number}"))
        if first and offset is not None:
            descriptor = os.open(os.path.join(folder, "data"), os.O_WRONLY | os.O_CREAT | _BINARY, 0o666)
            with _Sum(descriptor, offset) as written:
                written.take(stream, size)
            part = Part(number, written.etag, written.size)
            os.close(os.open(os.path.join(folder, _name("part", part)), os.O_WRONLY | os.O_CREAT | _BINARY, 0o600))
            return part.etag
        path, descriptor = locked_file(folder, make=False)
        try:
            with _Sum(descriptor, 0) as written:
                written.take(stream, size)
            part = Part(number, written.etag, written.size)
            whole = os.path.join(folder, _name("own", part))
            os.replace(path, whole)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(path)
            raise
        if not first:
            # It takes the place of what was there.
            for name in os.listdir(folder):
                if name.startswith((f"part-{number}-", f"own-{number}-")) and name != os.path.basename(whole):
                    os.unlink(os.path.join(folder, name))
        return part.etag

    @contextmanager
    def complete(self, path: ArtifactPath, upload_id: str, parts: Sequence[Tuple[int, str]]) -> Iterator[str]:
        """The finished file, to be moved into its place within the ``with`` block; then the upload is gone."""
        meta = self._meta(upload_id, path)
        folder = os.path.join(self._folder, upload_id)
        with _held(folder, exclusive=True):
            found = _checked(meta, _listed(folder), parts)
            yield _assembled(folder, found)
            _remove(folder)

    def abort(self, path: ArtifactPath, upload_id: str) -> None:
        """Forget an upload. Parts that are being written fail at their end."""
        try:
            self._meta(upload_id, path)
        except ResourceDoesNotExist:
            return
        folder = os.path.join(self._folder, upload_id)
        with _held(folder, exclusive=False):
            _remove(folder)

    def list(self, path: ArtifactPath) -> List[Upload]:
        """The uploads to a path that are under way, the newest first."""
        uploads = []
        for upload_id in self._ids():
            try:
                meta = self._meta(upload_id, path)
                found = _listed(os.path.join(self._folder, upload_id))
            except (ResourceDoesNotExist, FileNotFoundError):
                continue
            parts = [each.part for _, each in sorted(found.items())]
            uploads.append(Upload(upload_id, meta.creation_time, meta.total, parts))
        return sorted(uploads, key=lambda upload: -upload.creation_time)

    def sweep(self, now: float) -> int:
        """Remove the uploads to which nothing has come for long; how many."""
        removed = 0
        for name in self._names():
            folder = os.path.join(self._folder, name)
            if name.endswith(_GONE):
                # Somebody was killed while it went.
                _remove_tree(folder)
            if not _is_id(name):
                continue
            try:
                if now - os.stat(folder).st_mtime > STALE:
                    _remove(folder)
                    removed += 1
            except FileNotFoundError:
                continue  # Another sweep was faster.
        return removed

    def _ids(self) -> List[str]:
        return [name for name in self._names() if _is_id(name)]

    def _names(self) -> List[str]:
        try:
            return os.listdir(self._folder)
        except FileNotFoundError:
            return []

    def _meta(self, upload_id: str, path: Optional[ArtifactPath] = None) -> _Meta:
        """What is known of an upload; 404 if there is none of that id, or not to that path."""
        if not _is_id(upload_id):
            raise _no_upload(upload_id)
        try:
            with open(os.path.join(self._folder, upload_id, "upload.json"), encoding="utf-8") as file:
                meta = _Meta(**json.load(file))
        except (FileNotFoundError, NotADirectoryError):
            raise _no_upload(upload_id) from None
        if path is not None and meta.path != path:
            raise _no_upload(upload_id)
        return meta


class _Sum:
    """Writes a stream into an open file from an offset on, and closes it; ``etag`` and ``size`` are then known."""

    def __init__(self, descriptor: int, offset: int) -> None:
        self._descriptor = descriptor
        self._crc = 0
        self.size = 0
        os.lseek(descriptor, offset, os.SEEK_SET)

    def __enter__(self) -> "_Sum":
        return self

    def __exit__(self, *unused: object) -> None:
        os.close(self._descriptor)

    def take(self, stream: Stream, size: Optional[int]) -> None:
        """All of the stream; 400 if it is not of that size."""
        self.size = copy(stream, self._write, size)
        if size is not None and self.size != size:
            raise InvalidParameterValue(f"The body has {self.size} bytes, {size} were announced; nothing was kept.")

    def _write(self, data: memoryview) -> None:
        self._crc = zlib.crc32(data, self._crc)
        write_all(self._descriptor, data)

    @property
    def etag(self) -> str:
        """CRC-32 and size."""
        return f'"{self._crc:08x}-{self.size:x}"'


def _sign(meta: _Meta, upload_id: str, number: int, expires: int) -> str:
    return hmac.new(bytes.fromhex(meta.secret), f"{upload_id}/{number}/{expires}".encode(), "sha256").hexdigest()


def _is_id(text: str) -> bool:
    return len(text) == 32 and _HEX.issuperset(text)


def _no_upload(upload_id: str) -> ResourceDoesNotExist:
    return ResourceDoesNotExist(f"There is no upload {upload_id[:64]!a} of this file: complete, aborted or too old.")


def _name(kind: str, part: Part) -> str:
    return f"{kind}-{part.number}-{part.size:x}-{part.etag[1:9]}"


def _created(path: str) -> bool:
    """Whether it is we who made the file."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, 0o600))
    except FileExistsError:
        return False
    return True


def _offset(folder: str, meta: _Meta, number: int, size: int) -> Optional[int]:
    """Where a part lies in ``data``; ``None`` if that is not certain yet."""
    if meta.total == 1:
        return 0
    stride = _stride(folder)
    if stride is None and number < meta.total and size > 0:
        path, descriptor = locked_file(folder, make=False)
        write_all(descriptor, memoryview(b"%d" % size))
        os.close(descriptor)
        # A link, because it is not there before it is complete, and is not replaced.
        with suppress(OSError):
            os.link(path, os.path.join(folder, "stride"))
        os.unlink(path)
        stride = _stride(folder)
    if stride is None or size > stride or (size < stride and number < meta.total):
        return None
    return (number - 1) * stride


def _stride(folder: str) -> Optional[int]:
    try:
        with open(os.path.join(folder, "stride"), "rb") as file:
            return int(file.read())
    except FileNotFoundError:
        return None


def _listed(folder: str) -> Dict[int, _Found]:
    """The parts that are there, by number."""
    found = {}
    for name in os.listdir(folder):
        kind, _, rest = name.partition("-")
        if kind in ("part", "own"):
            number, size, crc = rest.split("-")
            part = Part(int(number), f'"{crc}-{size}"', int(size, 16))
            found[part.number] = _Found(part, name if kind == "own" else "")
    return found


def _checked(meta: _Meta, found: Dict[int, _Found], parts: Sequence[Tuple[int, str]]) -> List[_Found]:
    """The parts of a file in their order; 400 if they are not those that the client names."""
    numbers = [number for number, _ in parts]
    if numbers != list(range(1, meta.total + 1)):
        raise InvalidParameterValue(
            f"parts must list the numbers 1 to {meta.total}, each once and in this order; there are {len(numbers)}."
        )
    for number, etag in parts:
        there = found.get(number)
        if there is None:
            raise InvalidParameterValue(f"Part {number} of {meta.total} has not been sent, or not to its end.")
        if etag.strip('"') != there.part.etag.strip('"'):
            known = there.part.etag
            raise InvalidParameterValue(f"Part {number} has the ETag {known}, not {etag[:100]!a}; send the part again.")
    return [found[number] for number in numbers]


def _assembled(folder: str, found: List[_Found]) -> str:
    """Makes one file of the parts and gives its path. May be done again if it, or what follows, fails."""
    offsets, total = [], 0
    for each in found:
        offsets.append(total)
        total += each.part.size
    data, stride = os.path.join(folder, "data"), _stride(folder) or 0
    fits = all(each.own or offset == index * stride for index, (each, offset) in enumerate(zip(found, offsets)))
    whole = data if fits else os.path.join(folder, "whole")
    # Where parts lie in data, it is not made: it is in its place already if we died, or failed, just after moving it,
    # and a new one would put zeros over a good file.
    make = 0 if fits and not all(each.own for each in found) else os.O_CREAT
    try:
        target = os.open(whole, os.O_RDWR | make | _BINARY, 0o666)
    except FileNotFoundError:
        _remove(folder)
        raise _no_upload(os.path.basename(folder)) from None
    try:
        for index, (each, offset) in enumerate(zip(found, offsets)):
            if each.own:
                _copy_range(os.path.join(folder, each.own), 0, target, offset, each.part.size)
            elif not fits:
                _copy_range(data, index * stride, target, offset, each.part.size)
        os.ftruncate(target, total)
    finally:
        os.close(target)
    return whole


def _copy_range(source: str, start: int, target: int, offset: int, size: int) -> None:
    """Copies bytes between files: by the system, which may share the blocks instead, or by ourselves."""
    descriptor = os.open(source, os.O_RDONLY | _BINARY)
    try:
        os.lseek(descriptor, start, os.SEEK_SET)
        os.lseek(target, offset, os.SEEK_SET)
        by_system = sys.platform == "linux"
        while size > 0:
            if sys.platform == "linux" and by_system:
                try:
                    done = os.copy_file_range(descriptor, target, size)
                except OSError as error:
                    if error.errno not in (errno.ENOSYS, errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM):
                        raise
                    by_system = False
                    continue
            else:
                data = os.read(descriptor, min(BLOCK, size))
                write_all(target, memoryview(data))
                done = len(data)
            if done == 0:
                raise OSError(errno.EIO, "a part of an upload is shorter than it was")
            size -= done
    finally:
        os.close(descriptor)


@contextmanager
def _held(folder: str, exclusive: bool) -> Iterator[None]:
    """While parts are written (many at a time) nobody completes the upload, and the other way round: 400."""
    if sys.platform == "win32":
        yield
        return
    import fcntl

    try:
        descriptor = os.open(os.path.join(folder, "upload.json"), os.O_RDONLY | _BINARY)
    except FileNotFoundError:
        raise _no_upload(os.path.basename(folder)) from None
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        busy = "parts of it are being written" if exclusive else "it is being completed"
        raise InvalidParameterValue(f"The upload is in use: {busy}; try again when that is done.") from None
    try:
        yield
    finally:
        os.close(descriptor)


def _remove(folder: str) -> None:
    """Out of sight first, then gone. Somebody else may be faster."""
    try:
        os.rename(folder, folder + _GONE)
    except FileNotFoundError:
        return
    _remove_tree(folder + _GONE)


def _remove_tree(folder: str) -> None:
    import shutil  # Takes 10 ms, which a start does not have.

    shutil.rmtree(folder, ignore_errors=True)
