"""Artifacts in a folder of this host.

What is being written lies in one folder of the root until it is complete (``UNFINISHED``), and its file is locked: the
next start of a server, or another server on the same root, can tell what a killed one has left from what goes on.
"""

import errno
import os
import stat
from contextlib import suppress
from typing import Callable, Dict, Iterator, List, Optional, Sequence, Tuple, Type

from trackd.artifacts.base import ArtifactStore, Entry, Opened, Stream, Target, Upload
from trackd.artifacts.parts import Parts
from trackd.artifacts.paths import UNFINISHED, ArtifactPath
from trackd.artifacts.unfinished import BLOCK, copy, locked_file, move, sweep, sync_file, sync_folder, write_all
from trackd.errors import InvalidParameterValue, PermissionDenied, ResourceDoesNotExist, TrackdError

#: The folder of what is not complete.
WORKSHOP = UNFINISHED + "trackd"
_BINARY = getattr(os, "O_BINARY", 0)
_CLOEXEC = getattr(os, "O_CLOEXEC", 0)
# A pipe that somebody left there must not hold a thread.
_READ = os.O_RDONLY | _BINARY | _CLOEXEC | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0)
# Names that the file system cannot hold: too long, or with bytes that it does not take.
_UNFIT = frozenset((errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL, errno.ELOOP))


class LocalArtifacts(ArtifactStore):
    """The files below a folder, which is made when the first is written.

    ``sync``: on the disk before the answer. ``tidy``: nothing of ours stays there after a write.
    """

    multipart = True

    def __init__(self, folder: str, sync: bool = False, tidy: bool = False) -> None:
        self.uri = os.path.abspath(folder)
        self._root = os.path.realpath(folder)
        self._workshop = os.path.join(self._root, WORKSHOP)
        self._sync = sync
        self._tidy = tidy
        self._parts = Parts(self._workshop)

    # Reading

    def list(self, path: ArtifactPath) -> List[Entry]:
        try:
            with os.scandir(self._resolved(path)) as found:
                entries = [entry for entry in map(self._entry, found) if entry is not None]
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise _explained(error, path) from None
        return sorted(entries)

    def _entry(self, found: "os.DirEntry[str]") -> Optional[Entry]:
        """What a listing says of something; ``None`` for what is no artifact, or not to be had."""
        if found.name.startswith(UNFINISHED) or not _is_text(found.name):
            return None
        try:
            if found.is_symlink() and not self._holds(os.path.realpath(found.path)):
                return None
            if found.is_dir():
                return Entry(found.name, True, 0)
            status = found.stat()
        except OSError:
            return None  # It went away, or is a link to nothing.
        return Entry(found.name, False, status.st_size) if stat.S_ISREG(status.st_mode) else None

    def walk(self, path: ArtifactPath) -> Iterator[Tuple[ArtifactPath, int]]:
        whole = self._resolved(path)
        if os.path.isfile(whole):
            yield path, os.stat(whole).st_size
        for folder, folders, files in os.walk(whole):
            folders[:] = sorted(name for name in folders if not name.startswith(UNFINISHED))
            for name in sorted(files):
                status = os.lstat(os.path.join(folder, name))
                if stat.S_ISREG(status.st_mode):
                    below = os.path.relpath(os.path.join(folder, name), self._root)
                    yield ArtifactPath(below.replace(os.sep, "/")), status.st_size

    def open(self, path: ArtifactPath) -> Opened:
        try:
            descriptor = os.open(self._resolved(path), _READ)
        except OSError as error:
            raise _explained(error, path) from None
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            os.close(descriptor)
            raise _not_a_file(path)
        etag = f'"{status.st_mtime_ns:x}-{status.st_size:x}-{status.st_ino:x}"'
        return _File(status.st_size, status.st_mtime, etag, open(descriptor, "rb", buffering=0))

    # Writing

    def write(self, path: ArtifactPath, stream: Stream, size: Optional[int] = None) -> None:
        target = self._target(path)
        with self._unfinished(target, path) as file:
            copied = copy(stream, file.write, size)
            if size is not None and copied != size:
                raise InvalidParameterValue(f"The body has {copied} bytes, {size} were announced; nothing was kept.")
        if self._tidy:
            sweep(self._workshop)
            with suppress(OSError):
                # Not while something else is being written there.
                os.rmdir(self._workshop)

    def _unfinished(self, target: str, path: ArtifactPath) -> "_Unfinished":
        try:
            return _Unfinished(self._workshop, target, self._sync)
        except OSError as error:
            raise _explained(error, path, writing=True) from None

    def delete(self, path: ArtifactPath) -> None:
        if not path:
            for entry in self.list(path):
                self.delete(ArtifactPath(entry.name))
            return
        target = self._target(path)
        try:
            if stat.S_ISDIR(os.lstat(target).st_mode):
                import shutil  # Takes 10 ms, and few delete.

                shutil.rmtree(target)
            else:
                os.unlink(target)
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            raise _explained(error, path, writing=True) from None

    # Uploads in parts

    def create_upload(self, path: ArtifactPath, total: int) -> str:
        self._target(path)
        return self._parts.create(path, total)

    def targets(self, path: ArtifactPath, upload_id: str, numbers: Sequence[int], here: str) -> List[Target]:
        return self._parts.targets(path, upload_id, numbers, here)

    def write_part(
        self, upload_id: str, number: int, expires: str, signature: str, stream: Stream, size: Optional[int]
    ) -> str:
        return self._parts.write(upload_id, number, expires, signature, stream, size)

    def complete_upload(self, path: ArtifactPath, upload_id: str, parts: Sequence[Tuple[int, str]]) -> None:
        target = self._target(path)
        with self._parts.complete(path, upload_id, parts) as finished:
            if self._sync:
                sync_file(finished)
            try:
                move(finished, target)
            except OSError as error:
                raise _explained(error, path, writing=True) from None
            if self._sync:
                sync_folder(os.path.dirname(target))

    def abort_upload(self, path: ArtifactPath, upload_id: str) -> None:
        self._parts.abort(path, upload_id)

    def list_uploads(self, path: ArtifactPath) -> List[Upload]:
        return self._parts.list(path)

    def sweep(self, now: float) -> int:
        """Removes the files of writers that are dead, and uploads in parts that nothing has come to for long."""
        return sweep(self._workshop) + self._parts.sweep(now)

    # Places

    def _resolved(self, path: ArtifactPath) -> str:
        """The place of what a path names, through all links; 400 for one that leads out of the root."""
        try:
            whole = os.path.realpath(os.path.join(self._root, path))
        except OSError as error:
            raise _explained(error, path) from None
        if not self._holds(whole):
            raise InvalidParameterValue(f"{path!a} leads out of the artifacts' folder by a link; it is not served.")
        return whole

    def _target(self, path: ArtifactPath) -> str:
        """Where something is written or removed: through links of folders, but not through one in its own place."""
        folder, _, name = path.rpartition("/")
        if not name:
            raise _not_a_file(path)
        return os.path.join(self._resolved(ArtifactPath(folder)), name)

    def _holds(self, whole: str) -> bool:
        return whole == self._root or whole.startswith(self._root.rstrip(os.sep) + os.sep)


class _File(Opened):
    """A file of this host."""

    def read(self, start: int, stop: int) -> Iterator[bytes]:
        """Blocks of the file; it is read where the system cannot send it by itself."""
        assert self.file is not None
        self.file.seek(start)
        while start < stop:
            block = self.file.read(min(BLOCK, stop - start))
            if not block:
                raise OSError(f"the file ended {stop - start} bytes too early")
            start += len(block)
            yield block


class _Unfinished:
    """A file that takes its place when the ``with`` block ends, and vanishes if that fails."""

    def __init__(self, workshop: str, target: str, sync: bool) -> None:
        self._target = target
        self._sync = sync
        self.path, self._descriptor = locked_file(workshop)

    def __enter__(self) -> "_Unfinished":
        return self

    def write(self, data: memoryview) -> None:
        """Appends all of the data."""
        write_all(self._descriptor, data)

    def __exit__(self, kind: Optional[Type[BaseException]], error: object, trace: object) -> None:
        try:
            if kind is None:
                if self._sync:
                    os.fsync(self._descriptor)
                self._place()
        except OSError as problem:
            raise _explained(problem, ArtifactPath(os.path.basename(self._target)), writing=True) from None
        finally:
            if self._descriptor >= 0:
                os.close(self._descriptor)
            with suppress(FileNotFoundError):
                os.unlink(self.path)

    def _place(self) -> None:
        if os.name == "nt":
            # Windows does not move open files.
            os.close(self._descriptor)
            self._descriptor = -1
        move(self.path, self._target)
        if self._sync:
            sync_folder(os.path.dirname(self._target))


def _is_text(name: str) -> bool:
    """Whether a name can be told to anybody: one of bytes that are not UTF-8 cannot."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


_ANSWERS: Dict[int, Callable[[ArtifactPath], TrackdError]] = {
    errno.ENOENT: lambda path: ResourceDoesNotExist(f"There is no artifact {path!a}."),
    errno.EISDIR: lambda path: _not_a_file(path),
    errno.ENXIO: lambda path: _not_a_file(path),
}


def _explained(error: OSError, path: ArtifactPath, writing: bool = False) -> Exception:
    """What the system's trouble with a path means to a client; trouble of its own as it is."""
    number = error.errno
    if number in _UNFIT:
        return InvalidParameterValue(f"The file system cannot hold the name {str(path)[:300]!a}: {error.strerror}.")
    if number in (errno.EACCES, errno.EPERM, errno.EROFS):
        return PermissionDenied(f"The server may not {'write' if writing else 'read'} {path!a}.")
    if writing and number in (errno.ENOTDIR, errno.EEXIST):
        return InvalidParameterValue(f"{path!a} cannot be written: a part of it is a file, not a folder.")
    if writing and number in (errno.EISDIR, errno.ENOTEMPTY):
        return InvalidParameterValue(f"{path!a} is a folder; a file cannot take its place.")
    if number == errno.ENOTDIR:
        number = errno.ENOENT
    answer = None if writing and number == errno.ENOENT else _ANSWERS.get(number or 0)
    return answer(path) if answer is not None else error


def _not_a_file(path: ArtifactPath) -> InvalidParameterValue:
    return InvalidParameterValue(f"{path!a} is a folder, not a file; list it, or name a file in it.")
