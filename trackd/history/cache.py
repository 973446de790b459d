"""Histories that were read lately, so that each zoom of a chart does not read them again. Bounded in memory."""

import threading
import time
from collections import OrderedDict
from typing import Any, Dict, NamedTuple, Optional, Tuple

from trackd.history.columns import History

Key = Tuple[str, str]

#: Points of all histories together: 24 bytes each, and as much again for what is worked out from them.
MOST_POINTS = 4_000_000
#: An entry counts as so many points at least: there may be many with few.
SMALLEST = 32
#: Seconds after which a history that nobody asked for is forgotten.
IDLE = 300.0


class Entry(NamedTuple):
    """A history and the ``stamp`` by which its store knows whether it is still the whole of it."""

    stamp: Any
    history: History


class Cache:
    """Histories by (run id, key), the least lately used going first. For many threads."""

    def __init__(self, most_points: int = MOST_POINTS) -> None:
        self._most = most_points
        self._lock = threading.Lock()
        self._entries: "OrderedDict[Key, Entry]" = OrderedDict()
        self._used: Dict[Key, float] = {}
        self._points = 0

    def get(self, key: Key) -> Optional[Entry]:
        """What is known, whether still true or not."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is not None:
                self._entries.move_to_end(key)
                self._used[key] = time.monotonic()
            return entry

    def put(self, key: Key, stamp: Any, history: History) -> None:
        """Remember a history, in place of what was known under the key. One that is too large is not kept."""
        size = max(len(history), SMALLEST)
        with self._lock:
            self._drop(key)
            if size > self._most:
                return
            self._entries[key] = Entry(stamp, history)
            self._used[key] = time.monotonic()
            self._points += size
            while self._points > self._most:
                self._drop(next(iter(self._entries)))

    def forget_idle(self) -> None:
        """Let go of what nobody has asked for lately."""
        with self._lock:
            before = time.monotonic() - IDLE
            while self._entries:
                key = next(iter(self._entries))
                if self._used[key] > before:
                    break
                self._drop(key)

    def _drop(self, key: Key) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            del self._used[key]
            self._points -= max(len(entry.history), SMALLEST)
