"""Metric files as columns, remembered: a file that has grown is read on from where it ended.

A file counts for what the index says of it (size and time), as in ``list_metric_history``, so that batches appear as
one. What lies before a known end is not looked at again while the bytes just before it are the same: files of metrics
are appended to, by us and by MLflow.
"""

import json
import os
from array import array
from typing import TYPE_CHECKING, Dict, List, NamedTuple, Optional, Sequence

from trackd.history.cache import Cache, Entry, Key
from trackd.history.columns import EMPTY, History
from trackd.store.file import folder, layout
from trackd.store.file.index import Index
from trackd.store.sql.connect import Database

if TYPE_CHECKING:
    from trackd.store.file.store import FileStore

_SIZES = (
    "SELECT name, size, mtime FROM trackd_files WHERE folder = ? AND name IN (SELECT value FROM json_each(?))"
)
#: Bytes before the end of what was read that tell whether a file has only grown: more than a line.
_TAIL = 96


class _Known(NamedTuple):
    """What a remembered history was read from. ``end``: the end of its last whole line. ``tail``: what ends there."""

    path: str
    size: int
    mtime: int
    end: int
    tail: bytes


class _File(NamedTuple):
    """A metric file as the index knows it."""

    path: str
    size: int
    mtime: int


class Histories:
    """The histories of a file store."""

    def __init__(self, store: "FileStore", database: Database) -> None:
        self._store = store
        self._database = database
        self._cache = Cache()
        self.forget_idle = self._cache.forget_idle

    def get(self, wanted: Sequence[Key]) -> List[History]:
        """See ``store.base.Reads.get_histories``."""
        found: Dict[Key, History] = {}
        for _attempt in (1, 2):
            missing = [key for key in dict.fromkeys(wanted) if key not in found]
            files = self._files(missing)
            for key in missing:
                history = self._read(key, files[key]) if key in files else EMPTY
                if history is not None:
                    found[key] = history
            if len(found) == len(set(wanted)):
                break
            # Committed, but not yet in the file (or the folder is on the move): wait for the writer, look once more.
            with self._database.exclusive():
                continue
        return [found[key] if key in found else self._read_shorter(key, files) for key in wanted]

    def _files(self, wanted: Sequence[Key]) -> Dict[Key, _File]:
        """Where these histories lie, in one moment of the index."""
        keys: Dict[str, List[str]] = {}
        for run_id, key in wanted:
            keys.setdefault(run_id, []).append(key)
        files = {}
        prefix = layout.METRICS + "/"
        with self._store.reading() as connection:
            index = Index(connection, self._store.root)
            for run_id, names in keys.items():
                info = index.get_run_info(run_id)
                if info is None:
                    continue
                path = f"{self._store.root}/{index.experiment_path(info.experiment_id)}/{run_id}"
                rows = connection.execute(
                    _SIZES, (f"{info.experiment_id}/{run_id}", json.dumps([prefix + name for name in names]))
                )
                for name, size, mtime in rows:
                    files[run_id, name[len(prefix) :]] = _File(f"{path}/{name}", size, mtime)
        return files

    def _read(self, key: Key, file: _File) -> Optional[History]:
        """The history as the index knows the file; ``None`` if it is shorter than that."""
        entry = self._cache.get(key)
        if entry is not None and file.size >= 0 and entry.stamp[:3] == file:
            return entry.history
        try:
            # A size of -1: the last line has no end yet.
            size = file.size if file.size >= 0 else os.stat(file.path).st_size
            return self._read_on(key, file._replace(size=size), entry)
        except FileNotFoundError:
            return None
        except OSError:
            return EMPTY  # damaged, and reported where the run was read

    def _read_shorter(self, key: Key, files: Dict[Key, _File]) -> History:
        """What there is of a file that is shorter than it should be."""
        return (self._read(key, files[key]._replace(size=-1)) or EMPTY) if key in files else EMPTY

    def _read_on(self, key: Key, file: _File, entry: Optional[Entry]) -> Optional[History]:
        known: Optional[_Known] = entry.stamp if entry is not None else None
        if known is None or entry is None or known.path != file.path or known.size >= file.size:
            return self._read_from(key, file, EMPTY, 0, b"")
        history = self._read_from(key, file, entry.history, known.end, known.tail)
        return history if history is not None else self._read_from(key, file, EMPTY, 0, b"")

    def _read_from(self, key: Key, file: _File, before: History, start: int, tail: bytes) -> Optional[History]:
        """``before`` with the points after ``start``; ``None`` if the file is too short or ``tail`` is not there."""
        points = _Points()
        rest, read = b"", start - len(tail)
        for piece in folder.read_pieces(file.path, read, file.size):
            if read < start:
                if not piece.startswith(tail):
                    return None
                read, piece = start, piece[len(tail) :]
            read += len(piece)
            whole = piece.rfind(b"\n") + 1
            if whole:
                lines = rest + piece[:whole]
                points.add(lines)
                tail = lines[-_TAIL:] if len(lines) >= _TAIL else (tail + lines)[-_TAIL:]
                rest = piece[whole:]
            else:
                rest += piece
        if read < file.size:
            return None
        history = before.extended(points.times, points.steps, points.values)
        self._cache.put(key, _Known(*file, read - len(rest), tail), history)
        return history


class _Points:
    """Three columns that grow by whole lines."""

    def __init__(self) -> None:
        self.times, self.steps, self.values = array("q"), array("q"), array("d")

    def add(self, lines: bytes) -> None:
        """Add the points in ``lines``; what is no point is left out, and reported where the run was read."""
        fields = lines.replace(b"\n", b" \x00 ").split()
        count = lines.count(b"\n")
        # Every line has three fields if all ends of lines are at fourth places.
        if len(fields) == 4 * count and fields[3::4].count(b"\x00") == count and self._add_columns(fields):
            return
        for point in folder.parse_points(lines, "", "", _ignore)[0]:
            self.times.append(point.timestamp)
            self.steps.append(point.step)
            self.values.append(point.value)

    def _add_columns(self, fields: List[bytes]) -> bool:
        try:
            times, steps = array("q", map(int, fields[0::4])), array("q", map(int, fields[2::4]))
            values = array("d", map(float, fields[1::4]))
        except (ValueError, OverflowError):
            return False
        self.times += times
        self.steps += steps
        self.values += values
        return True


def _ignore(where: str, what: str) -> None:
    """For what was reported before."""
