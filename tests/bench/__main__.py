"""``python3 -m tests.bench``: measure and print the table."""

import argparse
import os
import sys
import time
from fnmatch import fnmatchcase
from pathlib import Path
from typing import List, Optional, Sequence

from tests import environments
from tests.bench import artifacts, models, process, registry, report, workloads
from tests.bench.data import EXISTING, LARGE
from tests.bench.runner import Column, Runner, memory_folder, say
from tests.bench.servers import SERVERS, Server
from tests.bench.workloads import Settings, Workload

#: All rows, in the order of the table.
WORKLOADS = (*workloads.WORKLOADS, *models.WORKLOADS, *registry.WORKLOADS, *artifacts.WORKLOADS)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="python3 -m tests.bench", description=__doc__)
    made.add_argument("--quick", action="store_true", help="trackd alone, without the largest stores; under a minute")
    made.add_argument("--peers", metavar="LIST", help="servers: " + ",".join(one.name for one in SERVERS))
    made.add_argument(
        "--only", metavar="NAMES", action="append", default=[], help="only these rows (see --list); * is anything"
    )
    made.add_argument("--list", action="store_true", help="print the names of the rows and stop")
    made.add_argument("--long", action="store_true", help="also the growth of memory over 200,000 requests")
    made.add_argument("--rounds", type=int, metavar="N", help="rounds a row; the median counts (3, with --quick 2)")
    made.add_argument("--seconds", type=float, default=1.0, metavar="S", help="length of a round (1)")
    made.add_argument("--starts", type=int, metavar="N", help="timed starts (5; MLflow 1)")
    made.add_argument("--disk", metavar="DIR", help="where stores lie (bench in the cache of the tests)")
    made.add_argument("--folders", metavar="DIR", help="where stores that are only read lie (in memory, if it fits)")
    made.add_argument("--cpu", action="store_true", help="also a table of the servers' processor time a request")
    made.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    made.add_argument("--json", metavar="FILE", help="also write everything measured to FILE")
    return made


def choose_rows(only: Sequence[str], quick: bool, long: bool) -> List[Workload]:
    """The rows asked for, in the order of the table. Raises ``SystemExit`` for a name that fits none."""
    patterns = [pattern for entry in only for pattern in entry.split(",") if pattern]
    for pattern in patterns:
        if not any(fnmatchcase(row.name, pattern) for row in WORKLOADS):
            raise SystemExit(f"no row is called {pattern}; --list prints their names")
    if patterns:
        return [row for row in WORKLOADS if any(fnmatchcase(row.name, pattern) for pattern in patterns)]
    return [row for row in WORKLOADS if not (quick and row.slow) and (long or not row.asked)]


def choose_servers(peers: Optional[str], quick: bool) -> List[Server]:
    """The servers asked for, in the order of the columns. Raises ``SystemExit`` for an unknown name."""
    names = peers.split(",") if peers else ["trackd"] if quick else [server.name for server in SERVERS]
    known = {server.name: server for server in SERVERS}
    for name in names:
        if name not in known:
            raise SystemExit(f"no server is called {name}; there are {', '.join(known)}")
    return [server for server in SERVERS if server.name in names]


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Measure, print; 1 if trackd failed a row or could not run."""
    options = parser().parse_args(arguments)
    rows = choose_rows(options.only, options.quick, options.long)
    if options.list:
        print("\n".join(f"{row.name:20} {row.title}" for row in WORKLOADS))
        return 0
    begin = time.monotonic()
    busy = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    settings = Settings(rounds=options.rounds or (2 if options.quick else 3), seconds=options.seconds)
    # Not the system's folder for temporary files: where that lies in memory, nothing costs a sync.
    disk = options.disk or str(environments.CACHE / "bench")
    folders = options.folders or memory_folder((LARGE.runs + EXISTING.runs) * 12)
    runner = Runner(settings, disk, folders, options.starts)
    columns: List[Column] = []
    try:
        for server in choose_servers(options.peers, options.quick):
            columns.append(runner.measure(server, rows))
    except KeyboardInterrupt:
        say("interrupted; what was measured until now:")
    finally:
        runner.clean()
    tables = [report.cells(columns, rows)] + ([report.cpu_cells(columns, rows)] if options.cpu else [])
    for table in tables:
        print(report.as_markdown(table) if options.markdown else report.as_text(table))
        print()
    empty = process.empty_python() if any(row.name == "start" for row in rows) else None
    for line in report.notes(columns, runner.ceiling, busy, empty):
        print(line + ("  " if options.markdown else ""))
    if runner.too_soon:
        print("Another run has just removed its stores; ext4 then makes files slowly for 5 min: create-run is too low.")
    say(f"{time.monotonic() - begin:.0f} s in all")
    if options.json:
        Path(options.json).write_text(report.as_json(columns, rows, runner.ceiling), encoding="utf-8")
    return 1 if any(column.server.name == "trackd" and (column.failures or column.missing) for column in columns) else 0


if __name__ == "__main__":
    sys.exit(main())
