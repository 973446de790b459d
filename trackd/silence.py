"""Runs whose script is gone: RUNNING, and nobody has said anything about them for a time. Only where a setting asks.

A script that is killed cannot end its run. With ``--fail-silent-runs SECONDS`` a run counts as silent when the server
has been up for so long and no request has written to it, and is marked FAILED. A run that goes on all the same is
written to as before, and its ``end_run`` says how it ended.
"""

import re
import threading
import time
from typing import Callable, Dict, List

from trackd.entities import ACTIVE, ALL, Tag
from trackd.search.clause import Cursor
from trackd.store.base import Store
from trackd.web.message import Request

#: Set on a run that was marked, with the reason as text.
TAG = "trackd.silent"

_RUN_IN_PATH = re.compile(r"/([0-9a-f]{32})/artifacts/")


class Silence:
    """Remembers when each run was last written to, and marks those of which nothing has been heard for ``seconds``."""

    def __init__(self, store: Store, seconds: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._seconds = seconds
        self._clock = clock
        self._start = clock()
        self._heard: Dict[str, float] = {}
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="silent-runs", daemon=True)

    def heard(self, run_id: str) -> None:
        """A request has written to the run."""
        self._heard[run_id] = self._clock()

    def uploaded(self, request: Request) -> None:
        """An artifact came in; its path has the run's id in it."""
        found = _RUN_IN_PATH.search(request.path)
        if found:
            self.heard(found.group(1))

    def start(self) -> None:
        """Look again and again, in a thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._end.set()
        self._thread.join()

    def _watch(self) -> None:
        import logging

        while not self._end.wait(min(max(self._seconds / 10, 1.0), 60.0)):
            try:
                for run_id in self.mark():
                    logging.getLogger("trackd.silence").info("run %s was silent and is FAILED now", run_id)
            except Exception:
                logging.getLogger("trackd.silence").exception("silent runs could not be marked; the next look may")

    def mark(self) -> List[str]:
        """Mark the silent runs and return their ids."""
        now, running, marked = self._clock(), set(), []
        for experiment_id in self._experiments():
            for info in self._store.list_run_infos(experiment_id):
                if info.status != "RUNNING" or info.lifecycle_stage != ACTIVE:
                    continue
                running.add(info.run_id)
                if now - self._heard.get(info.run_id, self._start) >= self._seconds:
                    marked += self._fail(info.run_id, now)
        for run_id in [each for each, when in list(self._heard.items()) if each not in running and when < now]:
            # It has ended. (One that has begun since the look was heard of after it.)
            self._heard.pop(run_id, None)
        return marked

    def _experiments(self) -> List[str]:
        found, cursor = self._store.search_experiments(ALL, None, [], 1000)
        ids = [each.experiment_id for each in found]
        while cursor is not None and cursor != Cursor():
            found, cursor = self._store.search_experiments(ALL, None, [], 1000, cursor)
            ids += [each.experiment_id for each in found]
        return ids

    def _fail(self, run_id: str, now: float) -> List[str]:
        """Mark one run, unless it has been heard of in the meantime. Its end is when it was heard of last."""
        with self._store.transaction() as tx:
            info = tx.get_run_info(run_id)
            last = self._heard.get(run_id, self._start)
            if info is None or info.status != "RUNNING" or info.lifecycle_stage != ACTIVE:
                return []
            if self._clock() - last < self._seconds:
                return []
            end = int((time.time() - (now - last)) * 1000)
            tx.put_run_info(info._replace(status="FAILED", end_time=max(end, info.start_time or 0)))
            tx.put_tags(run_id, [Tag(TAG, f"nothing was heard of it for {self._seconds} s")])
        return [run_id]
