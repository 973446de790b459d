"""Which server runs when, on what, and which rows it then answers. One server runs at a time.

The stages, each with a fresh start: ``start`` and ``write`` on an empty store (the same server), ``write-full`` with
``--sync full``, ``read`` on a store filled with the runs that the wanted rows search, ``folder`` on an existing folder
that trackd has not seen, ``models`` on logged models that its first row makes, ``pages`` for
what a browser shows, ``long`` for many requests.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence

from tests.bench import load, registry
from tests.bench.data import Shape
from tests.bench.pages import fill_for_pages
from tests.bench.process import BadAnswer, Process, StartError, free_port
from tests.bench.servers import REPOSITORY, Missing, Server
from tests.bench.workloads import MANY, Bench, Failed, Measure, Settings, Workload

#: Seconds that one load process may take before it is given up.
LOAD_LIMIT = 900.0
#: Seconds for which ext4 avoids an inode that was freed while its table was being written.
REMOVAL_ECHO = 300.0


class Column(NamedTuple):
    """What was measured of one server: figures and failures by the names of the rows."""

    server: Server
    measures: Dict[str, Measure]
    failures: Dict[str, str]
    missing: str = ""


class Ceiling(NamedTuple):
    """What the load generator itself needs: processor microseconds a request."""

    microseconds: float
    floor_rate: float


class Runner:
    """Measures servers. Stores lie under ``disk``, folders that are only read under ``memory`` if that is given.

    ``clean`` removes what lies on disk, at the end and not before: for some minutes after a removal ext4 passes over
    every inode that has become free, and a new file costs twenty times what it should. ``too_soon`` says whether an
    earlier run has removed its stores within these minutes.
    """

    def __init__(self, settings: Settings, disk: str, memory: Optional[str], starts: Optional[int] = None) -> None:
        self.settings = settings
        self.disk = disk
        self.memory = memory
        self.starts = starts
        self.ceiling: Optional[Ceiling] = None
        self._left: List[str] = []
        os.makedirs(disk, exist_ok=True)
        self._removal = Path(disk) / "last-removal"
        self.too_soon = self._removal.exists() and time.time() - self._removal.stat().st_mtime < REMOVAL_ECHO

    def clean(self) -> None:
        """Remove all stores."""
        if self._left:
            self._removal.touch()
        while self._left:
            shutil.rmtree(self._left.pop(), ignore_errors=True)

    def measure(self, server: Server, wanted: Sequence[Workload]) -> Column:
        """Measure all wanted rows that this server has a stage for."""
        column = Column(server, {}, {})
        try:
            server.prepare()
        except Missing as reason:
            return Column(server, {}, {}, str(reason))
        rows = {stage: [one for one in wanted if one.stage == stage] for stage in server.stages}
        if rows.get("start") or rows.get("write"):
            self._empty(server, rows.get("start", []), rows.get("write", []), column)
        if rows.get("write-full"):
            self._once(server, rows["write-full"], column, sync="full")
        if rows.get("read"):
            self._read(server, rows["read"], column)
        if rows.get("folder"):
            self._folder(server, rows["folder"], column)
        if rows.get("models"):
            self._once(server, rows["models"], column)
        if rows.get("registry"):
            self._registry(server, rows["registry"], column)
        if rows.get("artifacts"):
            self._once(server, rows["artifacts"], column)
        if rows.get("pages"):
            self._pages(server, rows["pages"], column)
        if rows.get("long"):
            self._once(server, rows["long"], column)
        return column

    def _empty(self, server: Server, starts: List[Workload], writes: List[Workload], column: Column) -> None:
        """Starts, idle memory and writes, on a store that the first start makes."""
        with self._place(self.disk) as place, self._failing(starts + writes, column):
            times: List[float] = []
            repeat = (self.starts or server.starts) if starts else 0
            for _ in range(repeat):
                process = self._start(server, place)
                times.append(process.seconds)
                process.stop()
            process = self._start(server, place)
            times.append(process.seconds)
            try:
                process.settle()
                bench = self._bench(server, process, place, times)
                self._rows(starts + writes, bench, column)
            finally:
                process.stop()

    def _once(self, server: Server, rows: List[Workload], column: Column, sync: str = "") -> None:
        """Rows on an empty store of their own."""
        with self._place(self.disk) as place, self._failing(rows, column):
            process = self._start(server, place, sync)
            try:
                process.settle()
                self._rows(rows, self._bench(server, process, place, [process.seconds]), column)
            finally:
                process.stop()

    def _read(self, server: Server, rows: List[Workload], column: Column) -> None:
        """Rows on a store that is filled while the server is stopped."""
        with self._place(self.memory or self.disk) as place, self._failing(rows, column):
            if server.name not in ("trackd", "floor"):
                self._start(server, place).stop()  # makes the tables
            server.seed(place, shapes_of(rows))
            process = self._start(server, place)
            try:
                process.settle()
                self._rows(rows, self._bench(server, process, place, [process.seconds]), column)
            finally:
                process.stop()

    def _registry(self, server: Server, rows: List[Workload], column: Column) -> None:
        """Rows on a registry that is filled while the server is stopped."""
        with self._place(self.disk) as place, self._failing(rows, column):
            self._start(server, place).stop()  # makes the store
            registry.seed(place)
            process = self._start(server, place)
            try:
                process.settle()
                self._rows(rows, self._bench(server, process, place, [process.seconds]), column)
            finally:
                process.stop()

    def _folder(self, server: Server, rows: List[Workload], column: Column) -> None:
        """An existing folder: the start that reads all of it, later starts, searches."""
        with self._place(self.memory or self.disk) as place, self._failing(rows, column):
            server.seed(place, shapes_of(rows))
            process = self._start(server, place)
            times = [process.seconds]
            for _ in range(3):
                process.stop()
                process = self._start(server, place)
                times.append(process.seconds)
            try:
                process.settle()
                self._rows(rows, self._bench(server, process, place, times), column)
            finally:
                process.stop()

    def _pages(self, server: Server, rows: List[Workload], column: Column) -> None:
        """Rows that a browser measures, on runs that the store itself writes."""
        with self._place(self.memory or self.disk) as place, self._failing(rows, column):
            fill_for_pages(place)
            process = self._start(server, place)
            try:
                process.settle()
                self._rows(rows, self._bench(server, process, place, [process.seconds]), column)
            finally:
                process.stop()

    def _rows(self, rows: Sequence[Workload], bench: Bench, column: Column) -> None:
        """Measure rows on a running server; a row that fails leaves the others alone."""
        for row in rows:
            say(f"{bench.server.name}: {row.title}")
            try:
                column.measures[row.name] = row.measure(bench)
            except (Failed, BadAnswer) as error:
                column.failures[row.name] = str(error)
                say(f"  failed: {error}")

    def _start(self, server: Server, place: Path, sync: str = "") -> Process:
        """Start a server on a store."""
        port = free_port()
        say(f"{server.name}: starting")
        return Process(server.command(port, place, sync), place, port, server.environment(), server.scratch)

    def _bench(self, server: Server, process: Process, place: Path, times: Sequence[float]) -> Bench:
        """What the workloads see."""
        return Bench(server, process, self.settings, self._load(server), place, tuple(times), process.memory())

    def _load(self, server: Server) -> Callable[[load.Plan], load.Result]:
        """``drive_elsewhere``, which keeps what the floor says about the load generator."""

        def carry_out(plan: load.Plan) -> load.Result:
            result = drive_elsewhere(plan)
            count = sum(one.replies for one in result.rounds)
            if server.name == "floor" and plan.connections == MANY and self.ceiling is None and count:
                rate = sorted(one.rate for one in result.rounds)[len(result.rounds) // 2]
                self.ceiling = Ceiling(result.cpu_seconds / count * 1e6, rate)
            return result

        return carry_out

    @contextmanager
    def _place(self, parent: str) -> Iterator[Path]:
        """A new folder for a store; it goes afterwards from memory, and with ``clean`` from the disk."""
        path = tempfile.mkdtemp(prefix="trackd-bench-", dir=parent)
        self._left.append(path)
        try:
            yield Path(path)
        finally:
            if parent == self.memory:
                self._left.remove(path)
                shutil.rmtree(path, ignore_errors=True)

    @contextmanager
    def _failing(self, rows: Sequence[Workload], column: Column) -> Iterator[None]:
        """A server that does not start, or is gone, fails the rows that are not measured yet."""
        try:
            yield
        except (StartError, BadAnswer) as error:
            say(f"{column.server.name}: {error}")
            for row in rows:
                if row.name not in column.measures:
                    column.failures.setdefault(row.name, str(error))


def shapes_of(rows: Sequence[Workload]) -> List[Shape]:
    """The experiments that these rows search, each once."""
    return list(dict.fromkeys(shape for row in rows for shape in row.shapes))


def drive_elsewhere(plan: load.Plan) -> load.Result:
    """Carry out a plan in a process of its own. Raises ``Failed`` with what that process says."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.load"],
        input=load.plan_to_json(plan),
        capture_output=True,
        text=True,
        cwd=str(REPOSITORY),
        timeout=LOAD_LIMIT,
    )
    if done.returncode != 0:
        raise Failed(done.stderr.strip()[-400:])
    return load.result_from_json(done.stdout)


def memory_folder(files: int) -> Optional[str]:
    """A file system in memory with room for so many small files; ``None`` if there is none.

    Folders that are only read lie there: the kernel would keep them in memory all the same, but making and removing
    100,000 files takes some disks minutes.
    """
    place = Path("/dev/shm")
    if not place.is_dir():
        return None
    return str(place) if shutil.disk_usage(str(place)).free > files * 16_384 else None


def say(text: str) -> None:
    """Progress, away from the table."""
    print(text, file=sys.stderr, flush=True)
