"""One owner per root: a locked file that names the process which serves the folder."""

import json
import os
import socket
import sys
from typing import IO, Dict, Optional

from trackd.errors import TrackdError
from trackd.store.file import layout


class Locked(TrackdError):
    """Another server has the folder."""


class Lock:
    """Holds ``.trackd-lock`` until ``release``. The system lets go of it when the process dies, however it dies."""

    def __init__(self, root: str) -> None:
        self._path = os.path.join(root, layout.LOCK)
        self._file: Optional[IO[str]] = open(self._path, "a+", encoding="utf-8")
        try:
            _lock(self._file)
        except OSError:
            owner = owner_of(root)
            self._file.close()
            who = f"process {owner.get('pid')} on {owner.get('host')}" if owner else "another process"
            raise Locked(
                f"{root} is already served by {who}. Stop that server first, or open the folder with --read-only."
            ) from None
        self._file.seek(0)
        self._file.truncate()
        json.dump({"pid": os.getpid(), "host": socket.gethostname()}, self._file)
        self._file.flush()

    def release(self) -> None:
        """Let go. The file stays: removing it would race with the next server's locking it."""
        if self._file is not None:
            self._file.seek(0)
            self._file.truncate()
            self._file.close()
            self._file = None


def owner_of(root: str) -> Dict[str, object]:
    """Pid and host that the lock file names; empty if it names none."""
    try:
        with open(os.path.join(root, layout.LOCK), encoding="utf-8") as file:
            found = json.load(file)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


if sys.platform == "win32":
    import msvcrt

    def _lock(file: IO[str]) -> None:
        # Beyond the text, because Windows keeps others from reading a locked byte.
        file.seek(1 << 20)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(file: IO[str]) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
