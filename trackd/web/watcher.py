"""Waiting for many sockets at once.

A watched connection is reported once and then left alone until it is watched again, which any thread may do. On Linux
that is what epoll does by itself (EPOLLONESHOT): a worker puts a connection back with one system call, and the
selector's thread does not even wake up. Elsewhere the selector's thread is woken to do it.
"""

import select
import selectors
import socket
from collections import deque
from typing import Callable, Deque, Dict, List, Optional, Tuple, Union

from trackd.web.connection import Connection

Ready = Union[Connection, socket.socket]

_epoll = getattr(select, "epoll", None)


def make_watcher(wake: Callable[[], None]) -> "Watcher":
    """The best there is on this system. ``wake`` ends a ``wait`` that is under way."""
    return Watcher(wake) if _epoll is None else EpollWatcher(wake)


class Watcher:
    """For every system: on ``selectors``, which only the thread that waits may touch."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._selector = selectors.DefaultSelector()
        self._new: Deque[Tuple[Connection, bool]] = deque()

    def always(self, sock: socket.socket) -> None:
        """Reports this socket whenever it is readable, until ``never``."""
        self._selector.register(sock, selectors.EVENT_READ, sock)

    def never(self, sock: socket.socket) -> None:
        """Takes back ``always``."""
        self._selector.unregister(sock)

    def watch(self, connection: Connection, write: bool = False) -> None:
        """Reports the connection once when it is readable, or writable. From any thread."""
        self._new.append((connection, write))
        self._wake()

    def forget(self, connection: Connection) -> None:
        """To be called before the socket is closed, by the thread that holds the connection."""
        if connection.watched:
            connection.watched = False
            self._selector.unregister(connection.sock)

    def wait(self, timeout: Optional[float]) -> List[Ready]:
        """What is ready, after at most ``timeout`` seconds."""
        while self._new:
            connection, write = self._new.popleft()
            event = selectors.EVENT_WRITE if write else selectors.EVENT_READ
            if connection.watched:
                # Still, for something else: a head that was too slow, for one, becomes the wait for the client's end.
                self._selector.modify(connection.sock, event, connection)
            elif connection.sock.fileno() >= 0:
                connection.watched = True
                self._selector.register(connection.sock, event, connection)
        ready = [key.data for key, _ in self._selector.select(timeout)]
        for each in ready:
            if isinstance(each, Connection):
                self.forget(each)
        return ready

    def close(self) -> None:
        """Ends the watching; the sockets stay open."""
        self._selector.close()


class EpollWatcher(Watcher):
    """For Linux: any thread may watch while another one waits."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._epoll = select.epoll()
        self._known: Dict[int, Ready] = {}

    def always(self, sock: socket.socket) -> None:
        self._known[sock.fileno()] = sock
        self._epoll.register(sock, select.EPOLLIN)

    def never(self, sock: socket.socket) -> None:
        del self._known[sock.fileno()]
        self._epoll.unregister(sock)

    def watch(self, connection: Connection, write: bool = False) -> None:
        events = select.EPOLLONESHOT | (select.EPOLLOUT if write else select.EPOLLIN)
        try:
            if connection.watched:
                self._epoll.modify(connection.sock, events)
            else:
                connection.watched = True
                self._known[connection.sock.fileno()] = connection
                self._epoll.register(connection.sock, events)
        except (OSError, ValueError):
            # Closed by the end of the server, in this moment: there is nothing to watch any more.
            return

    def forget(self, connection: Connection) -> None:
        # Closing takes it out of the epoll; by then its number must not lead here.
        if connection.watched:
            self._known.pop(connection.sock.fileno(), None)

    def wait(self, timeout: Optional[float]) -> List[Ready]:
        known = self._known
        return [known[number] for number, _ in self._epoll.poll(timeout) if number in known]

    def close(self) -> None:
        self._epoll.close()
