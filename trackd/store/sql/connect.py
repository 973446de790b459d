"""Connections and transactions: one writer that commits in groups, a few pooled readers.

Everything that differs between database engines stays in this file.

**Groups.** Only one thread at a time runs a transaction. When its body is done and others are already waiting for
their turn, it does not commit: it leaves the database transaction open, lets the next one join, and waits. Whoever
finds nobody waiting commits for all of them. So a commit, and the sync that may go with it, is shared by all that
came meanwhile, and a lone writer never waits for company.
"""

import os
import sqlite3
import threading
import time
from collections import deque
from contextlib import contextmanager
from typing import Callable, ContextManager, Deque, Iterator, List, Optional

from trackd.errors import PermissionDenied, StorageFull, TemporarilyUnavailable
from trackd.store.sql.tables import ALL, Tables

#: Transactions in one group at most. Larger groups gain nothing (a sync is already divided by 64) and make the first
#: wait.
GROUP_SIZE = 64
#: Milliseconds to wait for another process's lock before the client is told to come back.
BUSY_TIMEOUT = 10_000
#: Threads that may read at once; the others wait. Each statement lets go of the interpreter's lock, and twenty threads
#: that take it from each other answer a third as many requests as two.
READERS = 2

#: Pages in the log (of 2 or 4 KiB) from which on writers wait for a checkpoint to be finished.
LONG_LOG = 4000
#: Milliseconds that this waits for readers of the log; if one takes longer, the next checkpoint tries again.
LOG_TIMEOUT = 100
#: KiB of pages that a connection may keep, of which there are four. The system caches the file as well.
PAGE_CACHE = 2_000

Connection = sqlite3.Connection


class Reading:
    """Something that can be asked: a store, or a transaction that sees its own writes."""

    #: The writer's connection, inside a transaction only.
    connection: Connection
    #: Which tables and columns there are.
    tables: Tables = ALL

    def reading(self) -> ContextManager[Connection]:
        """A connection that sees one moment of the database."""
        raise NotImplementedError


class _Group:
    """Transactions that are committed together."""

    __slots__ = ("members", "done", "error")

    def __init__(self) -> None:
        self.members: List[object] = []
        self.done: Optional[threading.Event] = None
        self.error: Optional[BaseException] = None


class Database:
    """A SQLite file: ``reading()``, and ``begin()`` ... ``end()``.

    * ``after_commit`` gets the members of a group that was just committed, before anybody else can begin and before
      anybody is answered. If it raises, the database accepts no further writes: what was committed is in doubt outside
      of it, and only a restart can put that right.
    * ``full_sync``: a commit is on disk before it counts (``PRAGMA synchronous=FULL``).
    * ``path`` may be a ``file:`` URI. With ``read_only`` nothing is written, not even the journal mode; without ``wal``
      the file keeps the journal mode that it has (on network file systems, where readers must wait for writers).
    * ``timeout``: seconds to wait for another process's lock.
    * ``journal_afterwards``: the journal mode that the file gets back at the end, if nobody else has it open.
    """

    def __init__(
        self,
        path: str,
        *,
        full_sync: bool,
        after_commit: Callable[[List[object]], object] = lambda members: None,
        read_only: bool = False,
        wal: bool = True,
        timeout: float = BUSY_TIMEOUT / 1000,
        journal_afterwards: str = "wal",
    ) -> None:
        self.path = path
        self._full_sync = full_sync
        self._read_only = read_only
        self._wal = wal and not read_only
        self._timeout = timeout
        self._journal_afterwards = journal_afterwards
        self._after_commit = after_commit
        self._lock = threading.Lock()
        self._waiting: Deque[None] = deque()
        self._group = _Group()
        self._failed: Optional[BaseException] = None
        #: When a writer last found another process's lock in its way for as long as it may wait.
        self._gave_up = 0.0
        self._readers: List[Connection] = []
        self._gate = threading.Semaphore(READERS)
        self.writer = self._connect()
        #: Numbers of versions begin again with each opening; this tells them apart.
        self._opened = os.urandom(4).hex()
        self._listener: Optional[Connection] = None
        self._listening = threading.Lock()

    def _connect(self) -> Connection:
        connection = sqlite3.connect(
            self.path,
            timeout=self._timeout,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
            uri=self.path.startswith("file:"),
        )
        connection.execute(f"PRAGMA cache_size=-{PAGE_CACHE}")
        if self._read_only:
            connection.execute("PRAGMA query_only=1")
            return connection
        if self._wal:
            connection.execute("PRAGMA journal_mode=WAL")
        # NORMAL is safe only in a log that a crash cannot tear.
        connection.execute("PRAGMA synchronous=" + ("FULL" if self._full_sync or not self._wal else "NORMAL"))
        # A log that grew long in a burst is cut when it begins anew.
        connection.execute(f"PRAGMA journal_size_limit={4096 * LONG_LOG}")
        # Some systems build SQLite to overwrite what is deleted with zeros: twice the writing for every pending change.
        connection.execute("PRAGMA secure_delete=0")
        # Checkpoints are made in the background (``checkpoint``), so that no request pays for one.
        connection.execute("PRAGMA wal_autocheckpoint=0")
        return connection

    def version(self) -> str:
        """Another text once somebody, in this process or another, has committed.

        SQLite tells a connection of other connections' commits only, so this is one that commits nothing.
        """
        with self._listening:
            if self._listener is None:
                self._listener = self._connect()
            return f"{self._opened}-{self._listener.execute('PRAGMA data_version').fetchone()[0]}"

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection that sees one moment of the database, whatever is committed meanwhile. Not to be nested."""
        with self._gate:
            try:
                connection = self._readers.pop()
            except IndexError:
                connection = self._connect()
                connection.execute("PRAGMA query_only=1")
            try:
                connection.execute("BEGIN")
                yield connection
                connection.execute("COMMIT")
            except BaseException as error:
                connection.close()
                if isinstance(error, sqlite3.Error):
                    raise explain(error) from error
                raise
            self._readers.append(connection)

    def begin(self) -> Connection:
        """Wait for the turn and begin a transaction, alone or in the group that is open."""
        self._waiting.append(None)
        began = time.monotonic()
        self._lock.acquire()
        self._waiting.pop()
        try:
            if self._failed is not None:
                raise TemporarilyUnavailable(
                    f"The store stopped taking writes after a failure ({self._failed}); restart the server."
                )
            if self._group.members:
                self.writer.execute("SAVEPOINT member")
            elif began < self._gave_up:
                # Who stood in line while another waited in vain for the lock has waited as long: one try is enough.
                self._begin_at_once()
            else:
                self.writer.execute("BEGIN IMMEDIATE")
        except BaseException as error:
            self._gave_up = time.monotonic()
            self._leave(self._others_come())
            if isinstance(error, sqlite3.Error):
                raise explain(error) from error
            raise
        return self.writer

    def _begin_at_once(self) -> None:
        """Begin, or fail without waiting for another process's lock."""
        self.writer.execute("PRAGMA busy_timeout=0")
        try:
            self.writer.execute("BEGIN IMMEDIATE")
        finally:
            self.writer.execute(f"PRAGMA busy_timeout={int(self._timeout * 1000)}")

    def end(self, error: Optional[BaseException] = None, member: object = None) -> None:
        """End the transaction. After an ``error`` it is undone; else it is committed (now, or with those that wait),
        which is done when this returns."""
        group = self._group
        if error is not None and not self.writer.in_transaction:
            # For want of room SQLite rolls back all of it by itself, with those of the group that were done.
            self._undo(explain(error) if isinstance(error, sqlite3.Error) else error)
            self._lock.release()
            return
        try:
            # The first of a group has no savepoint of its own: with nobody before it the whole transaction goes.
            if error is not None:
                self.writer.execute("ROLLBACK TO member" if group.members else "ROLLBACK")
            if group.members:
                self.writer.execute("RELEASE member")
        except sqlite3.Error as problem:
            self._undo(explain(problem))
            self._lock.release()
            raise explain(problem) from problem
        if error is None:
            group.members.append(member)
        # Asked once: somebody can begin to wait at any moment, and who leaves the commit to others must wait for it.
        others = self._others_come()
        if others and error is None and group.done is None:
            group.done = threading.Event()
        done = group.done
        self._leave(others)
        if error is not None:
            return
        if done is not None:
            done.wait()
        if group.error is not None:
            raise group.error

    def _others_come(self) -> bool:
        return bool(self._waiting) and len(self._group.members) < GROUP_SIZE

    def _leave(self, others: bool) -> None:
        """Give up the turn; commit what the group holds unless one of the ``others`` who wait will."""
        try:
            if self._group.members and not others:
                self._commit()
        finally:
            self._lock.release()

    def _commit(self) -> None:
        group, self._group = self._group, _Group()
        try:
            self.writer.execute("COMMIT")
        except sqlite3.Error as error:
            self._group = group
            self._undo(explain(error))
            return
        try:
            self._after_commit(group.members)
        except BaseException as error:
            self.fail(error)
            group.error = error
        if group.done is not None:
            group.done.set()

    def _undo(self, error: BaseException) -> None:
        """Nothing of the group was kept: let those who wait for it know."""
        group, self._group = self._group, _Group()
        group.error = error
        if self.writer.in_transaction:
            self.writer.execute("ROLLBACK")
        if group.done is not None:
            group.done.set()

    @contextmanager
    def exclusive(self) -> Iterator[Connection]:
        """The writer's connection, outside of any transaction, while nobody else writes."""
        with self._lock:
            if self._group.members:
                self._commit()
            yield self.writer

    def fail(self, error: BaseException) -> None:
        """Take no more writes: what is on disk is in doubt until a restart has read it."""
        self._failed = error

    def checkpoint(self) -> None:
        """Move what was committed from the log into the database; readers and writers go on meanwhile.

        A log that writers never let be finished would grow for as long as they go on: a long one is finished while
        they wait, which takes the little that came since.
        """
        try:
            with self.reading_connection() as connection:
                _, pages, _ = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            if pages > LONG_LOG:
                with self.exclusive() as connection:
                    connection.execute(f"PRAGMA busy_timeout={LOG_TIMEOUT}")
                    # Readers that were still in the log would keep the next writer from beginning it anew.
                    connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
                    connection.execute(f"PRAGMA busy_timeout={int(self._timeout * 1000)}")
        except sqlite3.Error as error:
            raise explain(error) from error

    @contextmanager
    def reading_connection(self) -> Iterator[Connection]:
        """A connection of its own, closed afterwards."""
        connection = self._connect()
        try:
            yield connection
        finally:
            connection.close()

    def close(self) -> None:
        """Close all connections; waits for a transaction under way."""
        with self.exclusive():
            while self._readers:
                self._readers.pop().close()
            if self._listener is not None:
                self._listener.close()
            if self._wal and self._journal_afterwards in ("delete", "truncate", "persist"):
                self._leave_wal()
            self.writer.close()

    def _leave_wal(self) -> None:
        """Give the file back as it was found. Somebody else who has it open keeps it in WAL, which is as good."""
        self.writer.execute("PRAGMA busy_timeout=0")
        try:
            self.writer.execute(f"PRAGMA journal_mode={self._journal_afterwards}")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error):
                raise explain(error) from error


def explain(error: sqlite3.Error) -> Exception:
    """The answer for a client whose write the database refused."""
    text = str(error)
    if "disk is full" in text:
        return StorageFull("The disk is full: nothing of this request was kept. Free some room.")
    if "readonly" in text or "read-only" in text:
        return PermissionDenied(f"The server may not write to its database: {text}.")
    if "locked" in text or "busy" in text:
        return TemporarilyUnavailable("The database is in use by another process; try again.")
    return error
