"""``python3 -m tests.bench.clients``: the client beside the package mlflow against the same trackd, and the spool.

Each figure comes from a process of its own. Importing is timed with an interpreter that has the compiled file, less the
time of an empty program; the others by the calls alone, from the first to the moment when all is at the server.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Callable, Dict, List, NamedTuple, Optional, Sequence

from tests import environments
from tests.bench.report import as_markdown, as_text, figure
from tests.launch import Running, environment

CALLS, POINTS = 10_000, 1_000_000

#: Waiting, and not waiting until all is sent: how long the calls took.
LOG = """
import sys, time
{module}
mlflow.set_tracking_uri({uri!r})
with mlflow.start_run():
    mlflow.log_metric("warm", 0.5, synchronous={waits})
    begin = time.perf_counter()
    for step in range({calls}):
        mlflow.log_metric("m", step * 0.5, step=step, synchronous={waits})
    mlflow.flush_async_logging()
    print("took", time.perf_counter() - begin)
"""
SPOOL = """
import time
import trackd.client as mlflow
mlflow.set_tracking_uri("spool:" + {folder!r})
with mlflow.start_run():
    begin = time.perf_counter()
    for step in range({calls}):
        mlflow.log_metric("m", step * 0.5, step=step, timestamp=1_700_000_000_000 + step)
    print("took", time.perf_counter() - begin)
"""

OURS, THEIRS = "import trackd.client as mlflow", "import mlflow"


class Row(NamedTuple):
    """One line of the table: what, its budget in ``unit``, and the figures."""

    title: str
    budget: float
    unit: str
    ours: Optional[float]
    theirs: Optional[float]


def seconds(python: str, code: str, folder: Path) -> float:
    """What a program prints, in its own process."""
    compiled = str(environments.CACHE / "bench" / "pycache")
    env = environment(MLFLOW_DISABLE_TELEMETRY="true", PYTHONPYCACHEPREFIX=compiled)
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run([python, "-c", code], cwd=str(folder), env=env, capture_output=True, encoding="utf-8")
    if done.returncode != 0:
        raise SystemExit(f"bench: {done.stderr[-2000:]}")
    # (mlflow prints after it where the run can be seen.)
    return float(re.findall(r"^took (\S+)$", done.stdout, re.MULTILINE)[0])


def importing(python: str, module: str, folder: Path, repeat: int) -> float:
    """Milliseconds that an import takes: of the best of some whole processes, less those of an empty one."""
    def whole(code: str) -> float:
        begin = time.perf_counter()
        seconds(python, code + "\nprint('took', 0)", folder)
        return time.perf_counter() - begin

    return 1000 * (min(whole(module) for _ in range(repeat)) - min(whole("") for _ in range(repeat)))


def rate(calls: int, take: Callable[[], float], rounds: int) -> float:
    """Calls a second, the median of some rounds."""
    return calls / median(take() for _ in range(rounds))


def syncing(folder: Path, uri: str, points: int) -> float:
    """Points a second that ``trackd sync`` sends."""
    spool = folder / "large"
    seconds(sys.executable, SPOOL.format(folder=str(spool), calls=points), folder)
    begin = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "trackd", "sync", str(spool), uri], check=True, cwd=str(folder), env=environment(),
        stdout=subprocess.DEVNULL,
    )
    return points / (time.perf_counter() - begin)


def measure(folder: Path, mlflow: Optional[str], scale: float, rounds: int) -> List[Row]:
    """All rows. ``mlflow`` is an interpreter with the package; ``scale`` shortens everything."""
    calls, points = max(int(CALLS * scale), 100), max(int(POINTS * scale), 1000)
    rows: List[Row] = []

    def both(title: str, budget: float, unit: str, take: Callable[[str, str], float]) -> None:
        say(title)
        ours = take(sys.executable, OURS)
        rows.append(Row(title, budget, unit, ours, take(mlflow, THEIRS) if mlflow else None))

    both("import the client", 50, "ms", lambda python, module: importing(python, module, folder, rounds + 2))
    with Running(folder) as server:
        uri = f"http://127.0.0.1:{server.port}"
        for title, budget, waits in (
            (f"{calls:,} log_metric, waiting", 2_000, "True"), (f"{calls:,} log_metric, not waiting", 100_000, "False"),
        ):
            def take(python: str, module: str, waits: str = waits) -> float:
                code = LOG.format(module=module, uri=uri, waits=waits, calls=calls)
                return rate(calls, lambda: seconds(python, code, folder), rounds)

            both(title, budget, "/s", take)
        title = f"spooling {10 * calls:,} metrics, one by one"
        say(title)
        code = SPOOL.format(folder=str(folder / "spool"), calls=10 * calls)
        spooled = rate(10 * calls, lambda: seconds(sys.executable, code, folder), rounds)
        rows.append(Row(title, 200_000, " metrics/s", spooled, None))
        title = f"trackd sync of {points:,} points"
        say(title)
        rows.append(Row(title, 100_000, " points/s", syncing(folder, uri, points), None))
    return rows


def table(rows: Sequence[Row]) -> List[List[str]]:
    """The rows as text, head first."""
    lines = [["client", "budget", "", "trackd.client", "mlflow 3.17.2", "trackd : mlflow"]]
    for row in rows:
        less = row.unit == "ms"
        kept = row.ours is not None and (row.ours <= row.budget if less else row.ours >= row.budget)
        factor = ""
        if row.ours and row.theirs:
            factor = f"{row.theirs / row.ours if less else row.ours / row.theirs:.3g}x"
        cells: Dict[str, str] = {name: figure(value, row.unit.strip()) for name, value in
                                 (("budget", row.budget), ("ours", row.ours), ("theirs", row.theirs))}
        lines.append([row.title, cells["budget"], "ok" if kept else "over", cells["ours"], cells["theirs"], factor])
    return lines


def say(text: str) -> None:
    """Progress, on stderr."""
    print(f"bench: {text}", file=sys.stderr, flush=True)


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Measure and print."""
    made = argparse.ArgumentParser(prog="python3 -m tests.bench.clients", description=__doc__)
    made.add_argument("--quick", action="store_true", help="a hundredth of everything, without mlflow")
    made.add_argument("--rounds", type=int, default=3, metavar="N", help="rounds a row; the median counts (3)")
    made.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    options = made.parse_args(arguments)
    python = None if options.quick else str(environments.ready(environments.MLFLOW_3))
    parent = environments.CACHE / "bench"
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="trackd-clients-", dir=str(parent)) as folder:
        rows = measure(Path(folder), python, 0.01 if options.quick else 1.0, 1 if options.quick else options.rounds)
    print(as_markdown(table(rows)) if options.markdown else as_text(table(rows)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
