"""Room that is kept for taking a refused write back.

On a full disk the index may still have room for a commit when the files have not. Taking the commit back is a commit,
too: it gets the room of a file that is there for nothing else.
"""

import os

#: Far more than the rows of a usual write; a log-batch of the greatest size needs about this much.
SIZE = 1 << 20


class Reserve:
    """A file of ``SIZE`` bytes; ``is_short`` while there is room for less. It may be deleted when no server runs."""

    def __init__(self, path: str) -> None:
        self._path = path
        self.is_short = True
        self.take()

    def take(self) -> None:
        """Make the file as large as it should be, or as there is room for."""
        try:
            with open(self._path, "ab", buffering=0) as file:
                missing = SIZE - file.tell()
                while missing > 0:
                    missing -= file.write(bytes(min(missing, 65536)))
            self.is_short = False
        except OSError:
            self.is_short = True

    def release(self) -> None:
        """Give the room away."""
        if os.path.exists(self._path):
            os.truncate(self._path, 0)
        self.is_short = True
