"""A transaction that changes the index now and gathers the changes to files that go with it."""

import json
import time
from typing import Dict, Iterable, List, Mapping, Optional, Sequence, Set

from trackd.entities import RunInfo
from trackd.errors import InvalidParameterValue, TrackdError
from trackd.store.file import disk, layout
from trackd.store.file.disk import Change
from trackd.store.file.index import Index
from trackd.store.sql.connect import Connection

_NOTE = "INSERT OR REPLACE INTO trackd_files (folder, name, size, mtime) VALUES (?, ?, ?, ?)"
_SIZES = (
    "SELECT name, size FROM trackd_files WHERE folder = ? AND name IN (SELECT value FROM json_each(?))"
)
_BELOW = "SELECT name FROM trackd_files WHERE folder = ? AND name > ? AND name < ? LIMIT 1"
#: From so many names on, one question for all of them is cheaper than one each.
_MANY = 4
_SIZE = "SELECT size FROM trackd_files WHERE folder = ? AND name = ?"


class Changing(Index):
    """What the resources share: the list of changes, and where things lie.

    ``paths`` remembers where experiments lie from one transaction to the next; a move forgets it, once it is asked for.
    ``changes`` are done after the commit, in order. Folders are where they were when the transaction began, because
    moves come last. ``touched`` names the folders, should the changes fail and the files be read again.
    """

    def __init__(self, connection: Connection, root: str, paths: Dict[str, str]) -> None:
        super().__init__(connection, root)
        self.changes: List[Change] = []
        self.moves: List[Change] = []
        self.touched: Set[str] = set()
        self.error: Optional[TrackdError] = None
        self.sequence = 0
        # Microseconds: the finest step that common file systems keep exactly.
        self.mtime = time.time_ns() // 1000 * 1000
        self._keys: Dict[str, str] = {}
        #: Where registered models lie, by their names.
        self.registered_keys: Dict[str, str] = {}
        self._paths = paths

    def all_changes(self) -> List[Change]:
        """Every change, in the order to do them."""
        return self.changes + self.moves

    def get_run_info(self, run_id: str) -> Optional[RunInfo]:
        """See ``store.base``. Every write to a run begins with this: the run's folder need not be asked for again."""
        info = super().get_run_info(run_id)
        if info is not None:
            self._keys[run_id] = f"{info.experiment_id}/{run_id}"
        return info

    def run_key(self, run_id: str) -> str:
        """``<experiment id>/<run id>``, the name of the run's folder in the index."""
        key = self._keys.get(run_id)
        if key is None:
            key = self._keys[run_id] = f"{self.experiment_of(run_id)}/{run_id}"
        return key

    def path(self, key: str) -> str:
        """The folder of a run or experiment relative to the root, as it was when the transaction began."""
        experiment_id, slash, run_id = key.partition("/")
        path = self._paths.get(experiment_id)
        if path is None:
            path = self._paths[experiment_id] = self.experiment_path(experiment_id)
        return f"{path}{slash}{run_id}"

    def make(self, key: str, names: Sequence[str]) -> None:
        """Make the folder of ``key``, those above it, and ``names`` in it."""
        self.touched.add(key)
        self.changes.append(Change(disk.MAKE, self.path(key), "/".join(names)))

    def create(self, key: str, texts: Mapping[str, str]) -> None:
        """Write files into a folder that was made in this transaction, so nobody reads them before it is complete."""
        for name in texts:
            for other in _above(name):
                if other in texts:
                    raise _collision(name, other)
        path = self.path(key)
        self._note(key, {name: len(text.encode("utf-8")) for name, text in texts.items()})
        self.changes += [Change(disk.CREATE, path, name, text, 0, self.mtime) for name, text in texts.items()]

    def write(self, key: str, texts: Mapping[str, str]) -> None:
        """Write or replace files of a run or experiment, named as ``layout`` names them."""
        sizes = self._sizes(key, texts)
        path = self.path(key)
        self._note(key, {name: len(text.encode("utf-8")) for name, text in texts.items()}, sizes)
        self.changes += [Change(disk.WRITE, path, name, text, 0, self.mtime) for name, text in texts.items()]

    def append(self, key: str, texts: Mapping[str, str]) -> None:
        """Append whole lines to files of a run."""
        sizes = self._sizes(key, texts)
        path = self.path(key)
        notes = {name: max(sizes.get(name, 0), 0) + len(text.encode("utf-8")) for name, text in texts.items()}
        self._note(key, notes, sizes)
        self.changes += [
            Change(disk.APPEND, path, name, text, sizes.get(name, 0), self.mtime) for name, text in texts.items()
        ]

    def _sizes(self, key: str, names: Iterable[str]) -> Dict[str, int]:
        """The sizes of those of these files that are there."""
        wanted = list(names)
        if len(wanted) > _MANY:
            rows = self.connection.execute(_SIZES, (key, json.dumps(wanted))).fetchall()
            return dict(rows)
        sizes = {}
        for name in wanted:
            row = self.connection.execute(_SIZE, (key, name)).fetchone()
            if row is not None:
                sizes[name] = row[0]
        return sizes

    def _note(self, key: str, sizes: Mapping[str, int], known: Optional[Mapping[str, int]] = None) -> None:
        """Let the index know the sizes; refuse new names that collide with those that are there."""
        self.touched.add(key)
        if known is not None:
            for name in sizes:
                if name not in known:
                    self._refuse_collision(key, name)
                    for other in _above(name):
                        if other in sizes:
                            raise _collision(name, other)
        mtime = self.mtime
        self.connection.executemany(_NOTE, [(key, name, size, mtime) for name, size in sizes.items()])

    def remove(self, key: str, name: str) -> None:
        """Remove the file ``name`` of a run or experiment."""
        self.touched.add(key)
        self.connection.execute("DELETE FROM trackd_files WHERE folder = ? AND name = ?", (key, name))
        self.changes.append(Change(disk.REMOVE, self.path(key), name, "", 0, self.mtime))

    def move(self, key: str, target: str) -> None:
        """Move the folder of an experiment, when all else is done."""
        self.touched.add(key)
        self.moves.append(Change(disk.MOVE, self.path(key), target))
        self._paths = dict(self._paths)

    def drop(self, key: str) -> None:
        """Remove the folder of a run or experiment with all that is in it, when all else is done."""
        self.touched.add(key)
        path = self.path(key)
        # Beside a run, but in the trash for an experiment: MLflow takes every folder in the root for an experiment.
        place, _, name = path.rpartition("/") if "/" in key else (layout.TRASH, "", key)
        self.moves.append(Change(disk.DROP, path, f"{place}/{layout.TEMPORARY}gone-{name}", "", 0, self.mtime))
        self.connection.execute(
            "DELETE FROM trackd_files WHERE folder = ?1 OR (folder > ?1 || '/' AND folder < ?1 || '0')", (key,)
        )
        self.connection.execute(
            "DELETE FROM trackd_folders WHERE folder = ?1 OR (folder > ?1 || '/' AND folder < ?1 || '0')", (key,)
        )

    def _refuse_collision(self, key: str, name: str) -> None:
        """A key cannot be both a file and a folder: ``a`` and ``a/b`` of one run exclude each other here."""
        for other in _above(name):
            if self.connection.execute(_SIZE, (key, other)).fetchone():
                raise _collision(name, other)
        row = self.connection.execute(_BELOW, (key, name + "/", name + "0")).fetchone()
        if row:
            raise _collision(name, row[0])


def _above(name: str) -> List[str]:
    """The names that would be folders for this one: ``tags/a`` and ``tags/a/b`` for ``tags/a/b/c``."""
    kind, *parts = name.split("/")
    return ["/".join([kind] + parts[:count]) for count in range(1, len(parts))]


def _collision(name: str, other: str) -> InvalidParameterValue:
    new, old = (text.partition("/")[2] for text in (name, other))
    return InvalidParameterValue(
        f"The key {new!r} cannot be kept beside {old!r}: in a folder one would be a file and the other a folder"
        " of the same name. Choose another key."
    )
