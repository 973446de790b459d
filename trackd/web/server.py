"""The HTTP/1.1 server: one selector thread for all connections that wait, worker threads for those that do not.

The selector accepts, and holds every connection that has nothing to do: before its first byte, after a moment of
silence between requests, while a request is incomplete, while a client does not take its response. It collects what
comes and hands a connection to a worker when a request is complete. A worker answers, and then waits a moment for the
next request of the same connection itself, which is the fast path: one ``recv`` and one ``send`` per request, and no
hand-over between threads. So thousands of silent or slow clients cost their sockets, and busy ones do not feel them.

Not built on ``socketserver`` and ``http.server``: what they share with this is a loop around ``accept``. A
thread and two buffered files per connection are what had to go, and importing them takes longer than all of this.
"""

import errno
import os
import socket
import threading
import time
from itertools import count
from typing import TYPE_CHECKING, Any, Callable, Optional, Set, Tuple

from trackd.errors import TrackdError
from trackd.web.answer import CLOSE, KEEP, KEEP_OLD, Answers, error_response
from trackd.web.connection import BODY, DRAINING, HEAD, IDLE, NEW, NOWAIT, WRITING, Connection, Memory
from trackd.web.head import Heads
from trackd.web.limits import Limits, RequestRefused
from trackd.web.listener import listen, room
from trackd.web.message import Request, Response
from trackd.web.watcher import make_watcher
from trackd.web.workers import Workers

if TYPE_CHECKING:
    import logging

__all__ = ["Limits", "Server"]

# What accept reports when files or memory run out. The connection stays in the backlog.
_EXHAUSTED = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))
# Accepted at one time before those that are connected get their turn.
_ACCEPTS = 64
# Closed at one time to make room for new ones: the longest idle first.
_EVICTED = 16
# A request often comes as head and body apart. Its worker waits for this many pieces below this many bytes; a client
# that sends in smaller drops goes back to the selector.
_SMALL_PIECES, _SMALL = 2, 4096
# How long threads are waited for at the end: when all was answered, and when something was given up.
_UNHURRIED, _ABANDONED = 5.0, 0.5
_DEFAULTS = Limits()


class Server:
    """Listens at once, serves in ``serve_forever``.

    * ``host``, ``port``: an address or a name; port 0 takes a free one. ``address`` says what it became.
    * ``handle``: called on a worker thread for every request, many at a time. An exception from it is logged, answered
      with a plain 500, and ends the connection.
    * ``streams(method, path)``: whether the route of a request reads ``request.stream`` itself.
    * ``name``: the ``Server`` field of responses.
    """

    def __init__(
        self,
        host: str,
        port: int,
        handle: Callable[[Request], Response],
        streams: Callable[[str, str], bool],
        limits: Limits = _DEFAULTS,
        name: str = "trackd",
    ) -> None:
        self._handle = handle
        self._heads = Heads(limits, streams)
        self._limits = limits
        self._answers = Answers(name)
        self._ids = count(int.from_bytes(os.urandom(3), "big") << 20)
        self._memory = Memory(limits.bodies)
        self._workers = Workers(self._work, limits)
        #: All connections; those that wait with the selector; those whose worker stays with them between requests.
        self._connections: Set[Connection] = set()
        self._parked: Set[Connection] = set()
        self._lingering: Set[Connection] = set()
        self._watcher = make_watcher(self._wake)
        # How long each state may last, and how late that may be noticed.
        self._times = {
            NEW: limits.idle_time,
            IDLE: limits.idle_time,
            HEAD: limits.head_time,
            BODY: limits.read_time,
            WRITING: limits.read_time,
            DRAINING: limits.drain_time,
        }
        self._tick = min(1.0, min(self._times.values()) / 2)
        self._next_sweep = 0.0
        # Whether the selector looks up by itself before long.
        self._ticking = False
        self._woken = False
        self._paused = False
        self._wake_receiver, self._wake_sender = socket.socketpair()
        self._wake_receiver.setblocking(False)
        self._wake_sender.setblocking(False)
        self._stopping = False
        self._stop_at = 0.0
        # Taken for good by who is going to call _end: serve_forever, or shutdown if that was first.
        self._ending = threading.Lock()
        self._thread: Optional[int] = None
        self._ended = threading.Event()
        self._room = room(limits.spare_files)
        self._listener = listen(host, port, limits.backlog)
        self.address: Tuple[str, int] = self._listener.getsockname()[:2]

    def serve_forever(self) -> None:
        """Serves until ``shutdown``; returns when all that was in flight is done, or its grace is over."""
        self._thread = threading.get_ident()
        if not self._ending.acquire(blocking=False):
            return
        try:
            self._watcher.always(self._wake_receiver)
            self._watcher.always(self._listener)
            while not self._stopping:
                self._step()
            self._stop_accepting()
            while self._connections and time.monotonic() < self._stop_at:
                self._step()
                self._close_idle()
        finally:
            self._end()

    def shutdown(self, grace: float = 10.0) -> None:
        """Stops accepting, closes idle connections, lets the others finish for at most ``grace`` seconds.

        Returns when that is done; but at once on the thread of ``serve_forever`` itself, where a signal's function
        runs, because it would wait for itself. A server that never served is closed.
        """
        self._stop_at = time.monotonic() + grace
        self._stopping = True
        if self._thread == threading.get_ident():
            self._wake()
        elif self._ending.acquire(blocking=False):
            self._end()
        else:
            self._wake()
            self._ended.wait()

    def wakeup_fd(self) -> int:
        """For ``signal.set_wakeup_fd``: a signal just before the selector waits is then not slept over."""
        return self._wake_sender.fileno()

    def _stop_accepting(self) -> None:
        self._pause()
        self._listener.close()
        self._close_idle()
        for connection in list(self._lingering):
            if connection.waiting:
                # Wakes its worker, which reads what has come and then the end. A worker that has just begun to wait is
                # not seen here; it comes back after the linger time.
                _quietly(connection.sock.shutdown, socket.SHUT_RD)

    def _close_idle(self) -> None:
        for connection in list(self._parked):
            if connection.state in (NEW, IDLE, DRAINING):
                self._drop(connection)

    def _end(self) -> None:
        self._listener.close()
        left = list(self._connections)
        for connection in left:
            # A worker that is in the middle of this one gets an error and closes it.
            _quietly(connection.sock.shutdown, socket.SHUT_RDWR)
            if connection in self._parked:
                self._drop(connection)
        self._workers.stop(_ABANDONED if left else _UNHURRIED)
        self._watcher.close()
        self._wake_receiver.close()
        self._wake_sender.close()
        self._ended.set()

    # The selector's thread

    def _step(self) -> None:
        # First the flag, then the look: a worker that parks a connection in between sees the flag and wakes us.
        self._ticking = False
        self._ticking = bool(self._parked) or self._paused or self._stopping
        for each in self._watcher.wait(self._tick if self._ticking else None):
            if each is self._listener:
                self._accept()
            elif each is self._wake_receiver:
                self._woken_up()
            elif each in self._parked:
                # Not so if an earlier event of this round has closed it.
                try:
                    self._ready(each)
                except Exception:
                    # One connection must not be the end of all.
                    _log().exception("a connection of %s was given up", each.client)
                    self._drop(each)
        now = time.monotonic()
        if now >= self._next_sweep:
            self._next_sweep = now + self._tick
            self._sweep(now)

    def _woken_up(self) -> None:
        _quietly(self._wake_receiver.recv, 4096)
        self._woken = False

    def _wake(self) -> None:
        if not self._woken:
            self._woken = True
            _quietly(self._wake_sender.send, b"\0")

    def _accept(self) -> None:
        for _ in range(_ACCEPTS):
            if len(self._connections) >= self._room and not self._make_room():
                return
            try:
                sock, address = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                # Anything else is a connection that broke before it was accepted.
                if error.errno in _EXHAUSTED and not self._make_room():
                    return
                continue
            try:
                connection = Connection(sock, address[0], self._limits, self._heads, self._ids, self._memory)
            except OSError:
                sock.close()
                continue
            self._connections.add(connection)
            self._park(connection, NEW)

    def _make_room(self) -> bool:
        """Closes those that were idle for longest. If nobody is, accepting pauses instead: False."""
        now = time.monotonic()
        # Not those that have just come: they are about to ask.
        latest = now + self._limits.idle_time - self._tick
        idle = [each for each in list(self._parked) if each.state in (NEW, IDLE) and each.deadline < latest]
        for connection in sorted(idle, key=lambda each: each.deadline)[:_EVICTED]:
            self._drop(connection)
        if not idle:
            _log().warning("no room for another connection: %d are open and none is idle", len(self._connections))
            self._pause()
        return bool(idle)

    def _pause(self) -> None:
        if not self._paused:
            self._paused = True
            self._next_sweep = time.monotonic() + self._tick
            self._watcher.never(self._listener)

    def _ready(self, connection: Connection) -> None:
        if connection.state in (IDLE, WRITING):
            # Whoever has come as far as a whole request gets a worker at once. Strangers are collected here.
            self._parked.discard(connection)
            self._workers.put(connection)
            return
        try:
            data = connection.sock.recv(connection.wanted, NOWAIT)
        except (BlockingIOError, socket.timeout):
            self._watcher.watch(connection)
            return
        except OSError as error:
            self._drop(connection, error)
            return
        connection.drained += len(data) if connection.state == DRAINING else 0
        if not data or connection.drained > self._limits.drain:
            self._drop(connection, "the client closed it")
        elif connection.state == DRAINING:
            self._watcher.watch(connection)
        else:
            self._collect(connection, data)

    def _collect(self, connection: Connection, data: bytes) -> None:
        try:
            connection.request = connection.take(data)
        except TrackdError as error:
            self._refuse(connection, error)
            return
        if connection.request is not None:
            self._parked.discard(connection)
            self._workers.put(connection)
            return
        before, connection.state = connection.state, connection.progress
        # The time for a head is for all of it, the time for a body is for each silence.
        if connection.state != before or connection.state == BODY:
            connection.deadline = time.monotonic() + self._seconds(connection)
        self._watcher.watch(connection)

    def _seconds(self, connection: Connection) -> float:
        """How long the connection may stay in its state."""
        if connection.state in (BODY, WRITING) and connection.transfers:
            return self._limits.transfer_time
        return self._times[connection.state]

    def _sweep(self, now: float) -> None:
        for connection in [each for each in list(self._parked) if each.deadline <= now]:
            if connection.state in (HEAD, BODY):
                part = "head" if connection.state == HEAD else "body"
                seconds = self._seconds(connection)
                error = RequestRefused(f"The {part} of the request took over {seconds:g} seconds.", 408)
                self._refuse(connection, error)
            else:
                self._drop(connection, "it was silent for too long")
        if self._paused and not self._stopping:
            self._paused = False
            self._watcher.always(self._listener)

    # Any thread that holds the connection

    def _refuse(self, connection: Connection, error: TrackdError) -> None:
        """Answers a request that never reached its route, and ends the connection."""
        _log().debug("refused a request of %s: %s", connection.client, error.message)
        response = error_response(error)
        try:
            connection.sock.send(self._answers.head(response, CLOSE) + response.body, NOWAIT)
        except OSError as broken:
            self._drop(connection, broken)
        else:
            self._drain(connection)

    def _drain(self, connection: Connection) -> None:
        """Says that nothing more comes from here, and lets the selector read on for a moment: RFC 9112, 9.6."""
        try:
            connection.sock.shutdown(socket.SHUT_WR)
        except OSError as broken:
            self._drop(connection, broken)
        else:
            self._park(connection, DRAINING)

    def _park(self, connection: Connection, state: int) -> None:
        """Leaves the connection to the selector; the last that the caller may do with it."""
        self._lingering.discard(connection)
        connection.state = state
        connection.deadline = time.monotonic() + self._seconds(connection)
        self._parked.add(connection)
        self._watcher.watch(connection, state == WRITING)
        if not self._ticking or self._stopping:
            self._wake()

    def _drop(self, connection: Connection, why: object = None) -> None:
        if why is not None and (connection.progress != IDLE or connection.writing):
            _log().debug("a connection of %s ended in the middle of a request: %s", connection.client, why)
        self._parked.discard(connection)
        self._lingering.discard(connection)
        self._watcher.forget(connection)
        connection.close()
        self._connections.discard(connection)
        if self._stopping:
            self._wake()

    # A worker's thread

    def _work(self, connection: Connection) -> None:
        try:
            self._converse(connection)
        except TrackdError as error:
            self._refuse(connection, error)
        except OSError as error:
            _log().debug("a client at %s went away: %s", connection.client, error)
            self._drop(connection)
        except Exception:
            _log().exception("a connection of %s was given up", connection.client)
            self._drop(connection)

    def _converse(self, connection: Connection) -> None:
        """Answers the connection's request, and those that follow without much of a pause."""
        request, connection.request = connection.request, None
        if request is not None:
            sent = self._answer(connection, request)
        elif connection.writing:
            sent = connection.flush()
        else:
            request = self._arrived(connection)
            sent = request is not None and self._answer(connection, request)
            if request is None:
                return
        while sent and connection.keep:
            request = self._following(connection)
            if request is None:
                return
            sent = self._answer(connection, request)
        if not sent:
            self._park(connection, WRITING)
        elif connection.unread:
            self._drain(connection)
        else:
            self._drop(connection)

    def _answer(self, connection: Connection, request: Request) -> bool:
        """Whether the whole response has left."""
        try:
            response = self._handle(request)
        except Exception:
            _log().exception("request %s: %s %s", request.id, request.method, request.path)
            response = error_response(TrackdError(f"Something went wrong here; the log tells more under {request.id}."))
            connection.keep = False
        if connection.stream is not None:
            connection.end_stream()
            self._workers.streamed(connection)
        if self._stopping or (response.pieces is not None and response.length is None and connection.old):
            connection.keep = False
        try:
            how = CLOSE if not connection.keep else KEEP_OLD if connection.old else KEEP
            head = self._answers.head(response, how, chunked=not connection.old)
        except ValueError:
            if response.file is not None:
                response.file.file.close()
            raise
        bare = request.method == "HEAD" or response.status in (204, 304)
        if response.pieces is not None and not bare:
            return connection.send_pieces(head, response.pieces, response.length, request.id)
        if response.file is None:
            return connection.send(head if bare else head + response.body)
        if bare:
            response.file.file.close()
            return connection.send(head)
        return connection.send(head, response.file)

    def _arrived(self, connection: Connection) -> Optional[Request]:
        """The request whose arrival was reported. ``None``: it is not complete, and somebody else's now."""
        data = self._received(connection, NOWAIT)
        request = connection.take(data) if data else None
        if data and request is None:
            self._park(connection, connection.progress)
        return request if request is None or self._admitted(connection, request) else None

    def _following(self, connection: Connection) -> Optional[Request]:
        """The next request, if it comes soon and nobody else needs this thread. ``None``: it is somebody else's now."""
        request = connection.take(b"") if connection.rest else None
        small = 0
        while request is None:
            if self._stopping or self._workers.queue or small == _SMALL_PIECES or not self._may_linger(connection):
                self._park(connection, connection.progress)
                return None
            data = self._received(connection, 0)
            if not data:
                return None
            request = connection.take(data)
            small += len(data) < _SMALL
        if self._workers.queue:
            # Others wait. They come first, then this one again.
            self._hand_over(connection, request)
            return None
        return request if connection.stream is None or self._admitted(connection, request) else None

    def _received(self, connection: Connection, flags: int) -> bytes:
        """What the client sent; nothing if it sent nothing or left, and then the connection is not ours any more."""
        connection.waiting = flags == 0
        try:
            data = connection.sock.recv(connection.wanted, flags)
        except (BlockingIOError, socket.timeout):
            connection.waiting = False
            self._park(connection, connection.progress)
            return b""
        connection.waiting = False
        if not data:
            self._drop(connection, "the client closed it")
        return data

    def _admitted(self, connection: Connection, request: Request) -> bool:
        """Whether this thread may go on; for too many slow bodies at one time it may not."""
        if self._workers.admit(connection):
            return True
        self._hand_over(connection, request)
        return False

    def _hand_over(self, connection: Connection, request: Request) -> None:
        self._lingering.discard(connection)
        connection.request = request
        self._workers.put(connection)

    def _may_linger(self, connection: Connection) -> bool:
        if connection not in self._lingering:
            if len(self._lingering) >= self._limits.lingering:
                return False
            self._lingering.add(connection)
        return True


def _quietly(call: Callable[[Any], object], argument: Any) -> None:
    """For sockets that the other side, or another thread, may have closed already: then there is nothing to do."""
    try:
        call(argument)
    except OSError as error:
        _log().debug("nothing to do: %s", error)


def _log() -> "logging.Logger":
    # Imported when there is something to say; it takes 6 ms.
    import logging

    return logging.getLogger("trackd.web")
