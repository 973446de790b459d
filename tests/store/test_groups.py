"""Transactions that commit together: nobody is answered early, nobody pays for another's failure."""

import sqlite3
import threading
from pathlib import Path
from typing import Iterator, List, Optional

import pytest

from trackd.errors import PermissionDenied
from trackd.store.sql.connect import Database


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(str(tmp_path / "a.db"), full_sync=False)
    database.writer.execute("CREATE TABLE t (value INTEGER UNIQUE)")
    yield database
    database.close()


def values(database: Database) -> List[int]:
    with database.reading() as connection:
        return [row[0] for row in connection.execute("SELECT value FROM t ORDER BY value")]


def run(threads: List[threading.Thread]) -> None:
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()


def test_whoever_is_answered_finds_the_value_committed(database: Database) -> None:
    missed: List[int] = []

    def write(number: int) -> None:
        for value in range(number, 2000, 20):
            connection = database.begin()
            connection.execute("INSERT INTO t VALUES (?)", (value,))
            database.end()
            with database.reading() as reader:
                if not reader.execute("SELECT 1 FROM t WHERE value = ?", (value,)).fetchone():
                    missed.append(value)

    run([threading.Thread(target=write, args=(number,)) for number in range(20)])
    assert missed == []
    assert values(database) == list(range(2000))


def test_those_who_come_while_one_writes_are_committed_as_one(tmp_path: Path) -> None:
    groups: List[int] = []
    path = str(tmp_path / "a.db")
    database = Database(path, full_sync=False, after_commit=lambda members: groups.append(len(members)))
    database.writer.execute("CREATE TABLE t (value INTEGER)")

    def write() -> None:
        database.begin().execute("INSERT INTO t VALUES (1)")
        database.end(None, "member")

    first = database.begin()
    first.execute("INSERT INTO t VALUES (1)")
    threads = [threading.Thread(target=write) for _ in range(10)]
    for thread in threads:
        thread.start()
    while len(database._waiting) < 10:
        pass
    database.end(None, "member")
    for thread in threads:
        thread.join(30)
    assert groups == [11]
    database.close()


def test_a_failed_member_takes_only_its_own_rows_along(database: Database) -> None:
    def write(number: int) -> None:
        for turn in range(50):
            connection = database.begin()
            connection.execute("INSERT INTO t VALUES (?)", (number * 100 + turn,))
            database.end(ValueError() if turn % 2 else None)

    run([threading.Thread(target=write, args=(number,)) for number in range(8)])
    assert values(database) == [number * 100 + turn for number in range(8) for turn in range(0, 50, 2)]


def test_a_commit_that_fails_fails_for_all_members_and_frees_the_way(database: Database) -> None:
    database.writer.execute("PRAGMA max_page_count=3")
    outcomes: List[str] = []

    def write(number: int) -> None:
        try:
            connection = database.begin()
            problem: Optional[Exception] = None
            try:
                connection.execute("INSERT INTO t VALUES (?)", (number,))
                connection.execute("CREATE TABLE IF NOT EXISTS big AS SELECT zeroblob(100000)")
            except sqlite3.Error as error:
                problem = error
            database.end(problem)
            if problem is not None:
                raise problem
            outcomes.append("kept")
        except Exception as error:
            outcomes.append(type(error).__name__)

    run([threading.Thread(target=write, args=(number,)) for number in range(6)])
    assert "kept" not in outcomes and len(outcomes) == 6
    database.writer.execute("PRAGMA max_page_count=100000")
    database.begin().execute("INSERT INTO t VALUES (7)")
    database.end()
    assert values(database) == [7]


def test_after_a_failure_behind_the_commit_no_more_writes_are_taken(tmp_path: Path) -> None:
    def fail(members: List[object]) -> None:
        raise RuntimeError("files")

    database = Database(str(tmp_path / "a.db"), full_sync=False, after_commit=fail)
    database.begin().execute("CREATE TABLE t (value)")
    with pytest.raises(RuntimeError):
        database.end()
    with pytest.raises(Exception, match="restart"):
        database.begin()
    database.close()


def test_a_reader_sees_one_moment(database: Database) -> None:
    with database.reading() as connection:
        before = connection.execute("SELECT count(*) FROM t").fetchone()
        database.begin().execute("INSERT INTO t VALUES (1)")
        database.end()
        assert connection.execute("SELECT count(*) FROM t").fetchone() == before
    assert values(database) == [1]
    with pytest.raises(PermissionDenied), database.reading() as connection:
        connection.execute("INSERT INTO t VALUES (2)")


def test_the_log_does_not_grow_for_as_long_as_somebody_writes(database: Database, tmp_path: Path) -> None:
    database.writer.execute("CREATE TABLE big (text)")
    sizes = []
    for _ in range(4):
        for _ in range(1100):
            database.begin().execute("INSERT INTO big VALUES (zeroblob(16000))")
            database.end()
        database.checkpoint()
        sizes.append((tmp_path / "a.db-wal").stat().st_size)
    assert max(sizes) < 1.5 * sizes[0]
