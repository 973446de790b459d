"""Changes to files: what a transaction wants done, done so that nobody sees half of it, undone if there is no room.

A ``Change`` is plain data, kept in the index until it is done and on disk; doing it a second time changes nothing.
The modification time of every file is chosen by us (``mtime``, ns), so that the index knows size and time
of each file before it is written, and anything else found there is somebody else's write.
"""

import errno
import os
import stat
import sys
from contextlib import suppress
from typing import Callable, List, NamedTuple, Optional, Sequence, Set, Tuple

from trackd.errors import PermissionDenied, ResourceDoesNotExist, StorageFull, TrackdError
from trackd.store.file.layout import META, TEMPORARY, is_registry

MAKE, CREATE, APPEND, WRITE, REMOVE, MOVE = "make", "create", "append", "write", "remove", "move"
DROP = "drop"


class Change(NamedTuple):
    """One change below ``folder`` (relative to the root).

    ``make``: the folder itself, and those in it that ``name`` lists (with ``/`` between). ``create``: the file
    ``name`` in a folder that was just made. ``append``: ``text`` (whole lines) to file ``name``, which is expected to
    have ``size`` bytes. ``write``: the whole file ``name``. ``remove``: file ``name``. ``move``: ``folder`` itself to
    ``name`` (relative to the root). ``drop``: ``folder`` itself with all that is in it, by way of ``name``.
    """

    kind: str
    folder: str
    name: str
    text: str = ""
    size: int = 0
    mtime: int = 0


class Applied:
    """What became of a transaction's changes: ``surprised`` if a file was not as the index knew it."""

    def __init__(self) -> None:
        self.surprised = False
        self._temporary: List[str] = []
        self._undo: List[Callable[[], None]] = []
        self._later: List[Callable[[bool], None]] = []
        #: Trees that are out of sight and can go, when nothing can fail any more.
        self._trees: List[str] = []
        #: Where something of such a tree could not be removed, and why.
        self.left: List[Tuple[str, str]] = []

    def undo(self) -> None:
        """Put back what was done, newest first; the temporary files go before that and leave the room it needs.

        What cannot be put back is left: the caller reads the folders of a failed write again and sees it.
        """
        for path in self._temporary:
            with suppress(FileNotFoundError):
                os.unlink(path)
        while self._undo:
            with suppress(OSError):
                self._undo.pop()()


_BINARY = getattr(os, "O_BINARY", 0)
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
_READ_FLAGS = os.O_RDONLY | _BINARY | _NOFOLLOW | getattr(os, "O_NONBLOCK", 0)
_APPEND_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CREAT | _BINARY | _NOFOLLOW
_WRITE_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _BINARY | _NOFOLLOW


def apply(root: str, changes: List[Change], replay: bool = False) -> Applied:
    """Do all changes, or raise ``OSError`` with nothing done.

    First what needs room (new folders, appended lines, new contents under temporary names), which can be taken back;
    then renames, removals and moves, which a folder without write permission can refuse; what these overwrite is kept
    in memory until the last of them is done. ``replay``: at start-up, when some may have been done before the server
    died, and others may have written since: what is newer than the change is left alone.
    """
    applied = Applied()
    try:
        for number, change in enumerate(changes):
            _DO[change.kind](f"{root}/{change.folder}", change, number, applied, replay)
        for number, act in enumerate(applied._later, 1):
            act(number == len(applied._later))
    except OSError:
        applied.undo()
        raise
    for tree in applied._trees:
        _remove_tree(tree, applied)
    return applied


def replay(root: str, transactions: Sequence[List[Change]]) -> None:
    """Do again, in order, what was committed before the last end; some of it, or all, may have been done.

    Changes are done in order, so if a folder is where a transaction was to move it, that one and all before it were
    done: doing them again as they are would make the folder anew where it was before. But after a loss of power the
    move can be on the disk without what was written to files before it; that is looked for where the folder is now. A
    folder that is gone is left so.
    """
    first = 0
    gone: Set[str] = set()
    for number, changes in enumerate(transactions):
        # A name is used again only by registered models. Where the new folder is, or the old one out of sight, all
        # before it is done: doing that again would put what was in the old folder into a new one.
        born = [one for one in changes if one.kind == CREATE and one.name == META and one.folder in gone]
        aside = [one.name for one in changes if one.kind == DROP and is_registry(one.folder)]
        if any(_stands(root, one) for one in born) or any(os.path.lexists(f"{root}/{name}") for name in aside):
            first = number
        gone.update(change.folder for change in changes if change.kind in (MOVE, DROP))
        moves = [change for change in changes if change.kind == MOVE]
        done = [_is_moved(root, one, changes) for one in moves]
        if any(done):
            # With some moves done all before this transaction is done; with all of them it is, too.
            first = number + all(done)
    later = [one for changes in transactions[:first] for one in changes if one.kind in (MOVE, DROP)]
    for changes in transactions[:first]:
        apply(root, _followed(root, changes, later), replay=True)
        del later[: sum(one.kind in (MOVE, DROP) for one in changes)]
    for changes in transactions[first:]:
        made = {change.folder for change in changes if change.kind == MAKE}
        there = [
            one
            for one in changes
            if one.folder in made or one.kind == DROP or os.path.isdir(f"{root}/{one.folder}")
        ]
        apply(root, there, replay=True)


def _followed(root: str, changes: Sequence[Change], moves: Sequence[Change]) -> List[Change]:
    """What a transaction did to files of runs and experiments, where these are after its own and all later ``moves``.

    Their ids are never used again; the names of registered models are, so these are left as they are.
    """
    found = []
    for change in changes:
        place = change.folder
        if change.kind not in (CREATE, APPEND, WRITE, REMOVE) or is_registry(place):
            continue
        for move in moves:
            if place == move.folder or place.startswith(move.folder + "/"):
                place = move.name + place[len(move.folder) :]
        if TEMPORARY not in place and os.path.isdir(f"{root}/{place}"):
            found.append(change._replace(folder=place))
    return found


def _is_moved(root: str, move: Change, changes: Sequence[Change]) -> bool:
    """Whether a folder is where this change of a transaction was to move it."""
    if is_registry(move.folder):  # there may be a new folder of the old name: what was moved says so itself
        metas = [one for one in changes if (one.kind, one.folder, one.name) == (WRITE, move.folder, META)]
        return any(_stands(root, meta._replace(folder=move.name)) for meta in metas)
    return os.path.isdir(f"{root}/{move.name}") and not os.path.isdir(f"{root}/{move.folder}")


def _stands(root: str, change: Change) -> bool:
    """Whether the file of a change is as it, or somebody later, made it."""
    try:
        return os.lstat(f"{root}/{change.folder}/{change.name}").st_mtime_ns >= change.mtime
    except OSError:
        return False


def _make(folder: str, change: Change, number: int, applied: Applied, replay: bool) -> None:
    _make_folders(folder, applied)
    for name in change.name.split("/") if change.name else ():
        _make_folders(f"{folder}/{name}", applied)


def _make_folders(path: str, applied: Applied) -> None:
    try:
        os.mkdir(path)
    except FileExistsError:
        return
    except FileNotFoundError:
        _make_folders(os.path.dirname(path), applied)
        os.mkdir(path)
    applied._undo.append(lambda: os.rmdir(path))


def _create(folder: str, change: Change, number: int, applied: Applied, replay: bool) -> None:
    path = f"{folder}/{change.name}"
    data = change.text.encode("utf-8")
    if replay and _is_done(path, change.mtime, data, True):
        return
    descriptor = _open(folder, change.name, _WRITE_FLAGS, applied)
    applied._undo.append(lambda: os.unlink(path))
    _fill(descriptor, path, data, change.mtime)


def _fill(descriptor: int, path: str, data: bytes, mtime: int) -> None:
    try:
        written = 0
        while written < len(data):
            written += os.write(descriptor, data[written:] if written else data)
        _set_time(descriptor, path, mtime)
    finally:
        os.close(descriptor)


def _open(folder: str, name: str, flags: int, applied: Applied) -> int:
    """Open a file, making the folders between it and ``folder``, but never that: if it is gone, so is what it held."""
    path = f"{folder}/{name}"
    try:
        return os.open(path, flags, 0o666)
    except FileNotFoundError:
        os.stat(folder)
        _make_folders(os.path.dirname(path), applied)
        return os.open(path, flags, 0o666)


def _append(folder: str, change: Change, number: int, applied: Applied, replay: bool) -> None:
    path = f"{folder}/{change.name}"
    data = change.text.encode("utf-8")
    descriptor = _open(folder, change.name, _APPEND_FLAGS, applied)
    try:
        size = os.fstat(descriptor).st_size
        if size != change.size:
            applied.surprised = True
            data = _missing(descriptor, size, change.size, data, replay)
        written = 0
        applied._undo.append(lambda: _shorten(path, size, size + written))
        while written < len(data):
            written += os.write(descriptor, data[written:] if written else data)
        if not applied.surprised:
            _set_time(descriptor, path, change.mtime)
    finally:
        os.close(descriptor)


def _missing(descriptor: int, size: int, expected: int, data: bytes, replay: bool) -> bytes:
    """What is still to be appended to a file that is not as expected: others wrote to it, or we died half-way."""
    if replay and os.pread(descriptor, len(data), expected) == data:
        return b""
    start = min(expected, size)
    os.lseek(descriptor, start, os.SEEK_SET)
    found = b""
    while len(found) < size - start:
        part = os.read(descriptor, size - start - len(found))
        if not part:
            break
        found += part
    if replay and data in found:
        return b""
    if replay and found and start == expected and data.startswith(found):
        return data[len(found) :]
    os.lseek(descriptor, max(size - 1, 0), os.SEEK_SET)
    return data if size == 0 or os.read(descriptor, 1) == b"\n" else b"\n" + data


def _shorten(path: str, size: int, expected: int) -> None:
    if os.stat(path).st_size != expected:
        return  # another process appended behind us: its line is worth more than ours, which nobody was promised
    if size:
        os.truncate(path, size)
    else:
        os.unlink(path)


def _write(folder: str, change: Change, number: int, applied: Applied, replay: bool) -> None:
    path = f"{folder}/{change.name}"
    data = change.text.encode("utf-8")
    if replay and _is_done(path, change.mtime, data, False):
        return
    temporary = f"{folder}/{TEMPORARY}{number}"
    descriptor = os.open(temporary, _WRITE_FLAGS, 0o666)
    applied._temporary.append(temporary)
    _fill(descriptor, temporary, data, change.mtime)
    if "/" in change.name:
        _make_folders(os.path.dirname(path), applied)

    def act(last: bool) -> None:
        put_back = None if last else _kept(path, temporary)
        os.replace(temporary, path)
        if put_back:
            applied._undo.append(put_back)

    applied._later.append(act)


def _kept(path: str, temporary: str) -> Callable[[], None]:
    """What puts back the file that is about to be replaced or removed. Only a readable plain file can be put back."""
    try:
        descriptor = os.open(path, _READ_FLAGS)
    except FileNotFoundError:
        return lambda: os.unlink(path)
    except OSError:
        return lambda: None
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return lambda: None
        data = file.read()

    def put_back() -> None:
        _fill(os.open(temporary, _WRITE_FLAGS, 0o666), temporary, data, status.st_mtime_ns)
        os.replace(temporary, path)

    return put_back


def _remove(folder: str, change: Change, number: int, applied: Applied, replay: bool) -> None:
    path = f"{folder}/{change.name}"
    if replay and (not os.path.lexists(path) or os.lstat(path).st_mtime_ns > change.mtime):
        return

    def act(last: bool) -> None:
        put_back = None if last else _kept(path, f"{folder}/{TEMPORARY}{number}")
        os.unlink(path)
        if put_back:
            applied._undo.append(put_back)

    applied._later.append(act)


def _move(folder: str, change: Change, number: int, applied: Applied, replay: bool) -> None:
    target = f"{folder[: len(folder) - len(change.folder)]}{change.name}"
    if replay and os.path.lexists(target):
        return  # it was moved, and somebody has made a folder of the old name since

    def act(last: bool) -> None:
        os.rename(folder, target)
        applied._undo.append(lambda: os.rename(target, folder))

    applied._later.append(act)


def _drop(folder: str, change: Change, number: int, applied: Applied, replay: bool) -> None:
    """Out of sight by a rename, which can be taken back; then piece by piece, which cannot."""
    aside = f"{folder[: len(folder) - len(change.folder)]}{change.name}"

    def act(last: bool) -> None:
        if replay and (not os.path.lexists(folder) or _came_later(folder, change.mtime)):
            if os.path.lexists(aside):
                applied._trees.append(aside)
            return
        os.rename(folder, aside)
        applied._undo.append(lambda: os.rename(aside, folder))
        applied._trees.append(aside)

    applied._later.append(act)


def _came_later(folder: str, mtime: int) -> bool:
    """Whether somebody put the folder there (back from a copy, say) after it was dropped."""
    try:
        return os.lstat(f"{folder}/{META}").st_mtime_ns > mtime
    except OSError:
        return False


def _remove_tree(path: str, applied: Applied) -> None:
    """Remove a folder and all in it. A link goes, what it points to stays."""
    if os.path.islink(path):
        os.unlink(path)
        return
    import shutil  # 10 ms that the start of a server need not wait for

    def note(function: object, where: str, error: object) -> None:
        reason = error[1] if isinstance(error, tuple) else error
        if not isinstance(reason, FileNotFoundError):
            applied.left.append((where, str(getattr(reason, "strerror", None) or reason)))

    shutil.rmtree(path, onerror=note)


_DO = {MAKE: _make, CREATE: _create, APPEND: _append, WRITE: _write, REMOVE: _remove, MOVE: _move, DROP: _drop}
#: The kinds of changes that there are.
KINDS = frozenset(_DO)


def _is_done(path: str, mtime: int, data: bytes, in_place: bool) -> bool:
    """Whether the file is as the change made it, or as somebody made it later.

    After a loss of power a file of ours can have its name and time but no content yet: systems write that last.
    ``in_place``: the change writes the file where it stays. One that holds only the beginning is not somebody's then:
    we died before it was whole and its time was set.
    """
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return False
    if found.st_mtime_ns <= mtime or not in_place:
        return found.st_mtime_ns > mtime or (found.st_mtime_ns == mtime and found.st_size == len(data))
    with open(path, "rb") as file:
        return not data.startswith(file.read(len(data) + 1))


_UTIME_TAKES_DESCRIPTORS = os.utime in os.supports_fd


def _set_time(descriptor: int, path: str, mtime: int) -> None:
    os.utime(descriptor if _UTIME_TAKES_DESCRIPTORS else path, ns=(mtime, mtime))


def explain(error: OSError) -> TrackdError:
    """The answer for a client whose write could not be done."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageFull("The disk (or quota) is full: nothing of this request was kept. Free some room.")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return PermissionDenied(f"The server may not write there: {error.strerror}: {error.filename}.")
    if error.errno == errno.ENOENT:
        return ResourceDoesNotExist("The folder of this run or experiment is gone: somebody else removed it.")
    return TrackdError(f"The write failed: {error.strerror}: {error.filename}.")


def sync_file(path: str) -> None:
    """Bring one file to the disk."""
    descriptor = os.open(path, os.O_RDWR | _BINARY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


_syncfs: Optional[Callable[[int], int]] = None


def sync_tree(root: str) -> None:
    """Bring everything below ``root`` to the disk: ``syncfs`` on Linux, one call for any number of files.

    Elsewhere ``sync`` for the whole machine, or (Windows) nothing but what each file's own close did.
    """
    global _syncfs
    if sys.platform != "linux":
        if hasattr(os, "sync"):
            os.sync()
        return
    import ctypes  # 10 ms and a megabyte that a server which is never written to does not need

    if _syncfs is None:
        _syncfs = ctypes.CDLL(None, use_errno=True).syncfs
    descriptor = os.open(root, os.O_RDONLY)
    try:
        if _syncfs(descriptor) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), root)
    finally:
        os.close(descriptor)
