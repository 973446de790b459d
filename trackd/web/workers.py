"""The worker threads: started when needed, never more than the limit, gone when idle for long."""

import threading
import time
from collections import deque
from typing import Callable, Deque, List

from trackd.web.connection import Connection
from trackd.web.limits import Limits

# A thread costs little while it sleeps; after a burst the number goes down again.
_SPARE_TIME = 30.0


class Workers:
    """Runs ``work(connection)`` for every connection that is put in, in order, on some thread.

    Connections whose request has a body still under way come second: at most ``Limits.streaming`` of them hold a
    thread, so that slow uploads never stand in the way of everything else.
    """

    def __init__(self, work: Callable[[Connection], None], limits: Limits) -> None:
        self._work = work
        self._limits = limits
        self._changed = threading.Condition(threading.Lock())
        #: Connections that wait for a thread. Looked at without the lock by workers that could do something else.
        self.queue: Deque[Connection] = deque()
        self._streams: Deque[Connection] = deque()
        self._streaming = 0
        self._threads: List[threading.Thread] = []
        self._free = 0
        self._stopping = False

    def put(self, connection: Connection) -> None:
        """Hands a connection over. The caller must not touch it afterwards."""
        with self._changed:
            if self._admit(connection):
                self._append(connection)
            else:
                self._streams.append(connection)

    def admit(self, connection: Connection) -> bool:
        """For a worker that read the next request itself: whether it may go on. If not, it must ``put`` it."""
        stream = connection.stream
        if stream is None or stream.complete:
            return True
        with self._changed:
            return self._admit(connection)

    def _admit(self, connection: Connection) -> bool:
        stream = connection.stream
        if stream is None or stream.complete or connection.admitted:
            return True
        if self._streaming >= self._limits.streaming:
            return False
        self._streaming += 1
        connection.admitted = True
        return True

    def _append(self, connection: Connection) -> None:
        self.queue.append(connection)
        if self._free >= len(self.queue):
            self._changed.notify()
        elif len(self._threads) < self._limits.workers:
            thread = threading.Thread(target=self._run, name="trackd-worker", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:
                # The system has no thread for us now. Those that run get to the queue; the next put tries again.
                import logging

                logging.getLogger("trackd.web").error("no new thread beside %d: %s", len(self._threads), error)
            else:
                self._threads.append(thread)

    def streamed(self, connection: Connection) -> None:
        """The body of this connection's request has been dealt with; the next that waits for that comes in."""
        if connection.admitted:
            with self._changed:
                connection.admitted = False
                self._streaming -= 1
                if self._streams:
                    following = self._streams.popleft()
                    self._admit(following)
                    self._append(following)

    def _run(self) -> None:
        while True:
            with self._changed:
                told = True
                while not self.queue:
                    if self._stopping or not told:
                        self._threads.remove(threading.current_thread())
                        return
                    self._free += 1
                    told = self._changed.wait(_SPARE_TIME)
                    self._free -= 1
                connection = self.queue.popleft()
            self._work(connection)

    def stop(self, timeout: float) -> None:
        """Ends the threads that have nothing to do; waits for the others at most ``timeout`` seconds in all."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
            threads = list(self._threads)
        end = time.monotonic() + timeout
        for thread in threads:
            thread.join(max(0.0, end - time.monotonic()))
