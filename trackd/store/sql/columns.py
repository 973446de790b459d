"""Histories of MLflow's table ``metrics`` as columns, remembered: of one that has grown only the new rows are read.

Rows get ascending rowids and are never changed, and who removes some removes all of a run. So what is known of a
history is still its beginning as long as nothing of it is missing.
"""

from array import array
from math import nan
from typing import Any, List, NamedTuple, Sequence

from trackd.history.cache import Cache, Key
from trackd.history.columns import EMPTY, History
from trackd.store.sql.connect import Connection
from trackd.store.sql.histories import HistoryReads

#: Rows that are objects at one time.
_ROWS = 20_000


class _Known(NamedTuple):
    """The version of the database at which it was so, the number of rows, and the greatest rowid."""

    version: str
    rows: int
    last: int


class HistoryColumns(HistoryReads):
    """``store.base.Reads.get_histories`` for a store; ``remember`` comes first."""

    def remember(self) -> None:
        """Begin with nothing remembered."""
        self._remembered = Cache()

    def version(self) -> str:
        """See ``store.base``."""
        raise NotImplementedError

    def get_histories(self, wanted: Sequence[Key]) -> List[History]:
        """See ``store.base``."""
        self._remembered.forget_idle()
        # Asked before anything is read: what is written meanwhile makes another one.
        version = self.version()
        found = {}
        for key in dict.fromkeys(wanted):
            entry = self._remembered.get(key)
            if entry is not None and entry.stamp.version == version:
                found[key] = entry.history
        missing = [key for key in dict.fromkeys(wanted) if key not in found]
        if missing:
            with self.reading() as connection:
                for key in missing:
                    found[key] = self._history(connection, key, version)
        return [found[key] for key in wanted]

    def _history(self, connection: Connection, key: Key, version: str) -> History:
        rows, last = connection.execute(f"SELECT count(*), max(rowid) {self._from()}", key).fetchone()
        entry = self._remembered.get(key)
        history, known = EMPTY, _Known(version, 0, 0)
        if entry is not None and entry.stamp.rows <= rows:
            history, known = entry.history, entry.stamp
        if rows > known.rows or known.last != (last or 0):
            more = self._read(connection, key, history, known.last)
            # Some of what was known is gone: all of it anew.
            history = more if len(more) == rows else self._read(connection, key, EMPTY, 0)
        if len(history):
            self._remembered.put(key, _Known(version, rows, last), history)
        return history

    def _read(self, connection: Connection, key: Key, before: History, after: int) -> History:
        """``before`` with the rows behind rowid ``after``."""
        later = " AND rowid > ?" if after else ""
        cursor = connection.execute(
            f"SELECT timestamp, step, value, is_nan {self._from()}{later}",
            (*key, after) if after else key,
        )
        times, steps, values = array("q"), array("q"), array("d")
        while True:
            rows = cursor.fetchmany(_ROWS)
            if not rows:
                return before.extended(times, steps, values)
            columns: Sequence[Sequence[Any]] = list(zip(*rows))
            times.extend(columns[0])
            steps.extend(columns[1])
            if any(columns[3]):
                values.extend([nan if odd else value for _, _, value, odd in rows])
            else:
                values.extend(columns[2])
