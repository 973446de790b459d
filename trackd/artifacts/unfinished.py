"""Files that are not complete yet: written under a name of their own, locked, moved into their place at once."""

import os
import sys
import threading
from io import RawIOBase
from itertools import count
from typing import BinaryIO, Callable, Optional, Tuple, Union

#: Bytes that are read from a stream, or from a file that is not sent by the system, at a time. Larger ones are not
#: faster, and each upload holds one.
BLOCK = 512 * 1024

_BINARY = getattr(os, "O_BINARY", 0)
_CLOEXEC = getattr(os, "O_CLOEXEC", 0)
_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | _BINARY | _CLOEXEC
_names = count()


def copy(stream: Union[BinaryIO, RawIOBase], write: Callable[[memoryview], object], size: Optional[int]) -> int:
    """Hands all that a stream gives to ``write``; the number of bytes. ``size``: how much is expected, if known."""
    buffer = memoryview(bytearray(BLOCK if size is None else max(1, min(size, BLOCK))))
    total = 0
    while True:
        count = stream.readinto(buffer)  # type: ignore[union-attr]
        if not count:
            return total
        write(buffer[:count])
        total += count


def write_all(descriptor: int, data: memoryview) -> None:
    """Writes all of the data; the system may take less at a time."""
    while data:
        data = data[os.write(descriptor, data) :]


def locked_file(folder: str, make: bool = True) -> Tuple[str, int]:
    """A new file, locked for as long as it is open: its path and descriptor.

    A folder that is not there is made; with ``make=False`` that is a ``FileNotFoundError``.
    """
    while True:
        path = os.path.join(folder, f"{os.getpid():x}-{threading.get_ident():x}-{next(_names):x}")
        try:
            descriptor = os.open(path, _CREATE, 0o666)
        except FileNotFoundError:
            if not make:
                raise
            os.makedirs(folder, exist_ok=True)
            continue
        except FileExistsError:
            continue  # From a process of the same id, long ago.
        # Whoever sweeps may have come between the two.
        if lock(descriptor) and os.fstat(descriptor).st_nlink:
            return path, descriptor
        os.close(descriptor)


def lock(descriptor: int) -> bool:
    """Locks an open file, if nobody else has; it is free again when closed, or when the process is gone."""
    if sys.platform == "win32":
        return True  # Windows does not remove open files, which is all that the lock is for.
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def sweep(folder: str) -> int:
    """Removes the files of a folder that nobody has locked; how many there were."""
    removed = 0
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return 0
    for name in names:
        path = os.path.join(folder, name)
        try:
            descriptor = os.open(path, os.O_RDWR | _BINARY | _CLOEXEC | getattr(os, "O_NOFOLLOW", 0))
        except OSError:
            continue  # A folder, or gone.
        try:
            if lock(descriptor):
                os.unlink(path)
                removed += 1
        except OSError:
            continue  # Windows: somebody has it open.
        finally:
            os.close(descriptor)
    return removed


def move(source: str, target: str) -> None:
    """Puts a complete file in its place at once; the folders on the way are made."""
    for attempt in range(3):
        try:
            os.replace(source, target)
            return
        except FileNotFoundError:
            # Somebody may delete a folder that we have just made.
            if attempt == 2 or not os.path.exists(source):
                raise
            os.makedirs(os.path.dirname(target), exist_ok=True)


def sync_file(path: str) -> None:
    """Waits until a file is on the disk."""
    descriptor = os.open(path, os.O_RDWR | _BINARY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(path: str) -> None:
    """Waits until the names in a folder are on the disk. (Windows has no such thing.)"""
    if os.name == "posix":
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
