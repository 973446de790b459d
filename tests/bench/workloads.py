"""The workloads: one row of the table each, with its budget from DESIGN.md and the function that measures it.

A new row is one entry of ``WORKLOADS`` and one function. Those of models and artifacts have modules of their own.
"""

from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any, Callable, List, NamedTuple, Optional, Sequence

from tests.bench import data, pages
from tests.bench.load import FIRST_NUMBER, Plan, Result
from tests.bench.process import Memory, Process, ask, cpu_seconds, tree
from tests.bench.servers import Server

LESS, MORE = "less", "more"
#: Connections of the workloads with many clients.
MANY = 20


class Failed(Exception):
    """A workload that did not run as it should; the message stands in the notes instead of a figure."""


class Measure(NamedTuple):
    """One figure: the median of ``rounds``.

    ``cpu`` is the server's processor time in microseconds a request; other work on the machine moves it least.
    """

    value: float
    rounds: List[float]
    note: str = ""
    cpu: float = 0.0


class Settings(NamedTuple):
    """How long to measure."""

    rounds: int = 3
    seconds: float = 1.0
    warmup: float = 0.3


class Driven(NamedTuple):
    """What the load generator saw, and the server's processor time in microseconds a request."""

    result: Result
    cpu: float


class Bench(NamedTuple):
    """What a workload may use: the running server, and what was seen when it started.

    ``load`` carries a plan out in a process of its own.
    """

    server: Server
    process: Process
    settings: Settings
    load: Callable[[Plan], Result]
    place: Path
    starts: Sequence[float] = ()
    memory: Optional[Memory] = None

    @property
    def port(self) -> int:
        """Where the server listens."""
        return self.process.port

    def drive(self, requests: List[bytes], connections: int, max_requests: int = 1_000_000) -> Driven:
        """Send requests as the settings say. Raises ``Failed`` if any answer was not 200."""
        settings = self.settings
        plan = Plan(
            self.port,
            connections,
            requests,
            seconds=settings.seconds,
            rounds=settings.rounds,
            max_requests=max_requests,
            warmup_seconds=settings.warmup,
            warmup_requests=max_requests,
        )
        family = tree(self.process.child.pid)
        before = cpu_seconds(family)
        result = self.load(plan)
        if result.errors:
            raise Failed(f"{result.errors} answers were not 200: {' '.join(result.samples[0].split())[:300]}")
        spent = cpu_seconds(family) - before
        return Driven(result, spent / (result.next_number - plan.first_number) * 1e6)

    def new_runs(self, count: int) -> List[str]:
        """Ids of new runs in a new experiment of its own (the floor keeps nothing and needs none)."""
        if self.server.name == "floor":
            return [f"{number:032x}" for number in range(count)]
        experiment = self.new_experiment()
        body = {"experiment_id": experiment, "start_time": data.START_TIME, "run_name": "bench", "user_id": "alice"}
        created = [ask(self.port, "/api/2.0/mlflow/runs/create", body) for _ in range(count)]
        return [answer["run"]["info"]["run_id"] for answer in created]

    def new_experiment(self) -> str:
        """The id of a new experiment."""
        if self.server.name == "floor":
            return "1"
        known = ask(self.port, "/api/2.0/mlflow/experiments/search", {"max_results": 1000}).get("experiments", [])
        body = {"name": f"bench-{len(known)}"}
        return str(ask(self.port, "/api/2.0/mlflow/experiments/create", body)["experiment_id"])


class Workload(NamedTuple):
    """One row. ``better`` says whether less or more is; ``budget`` is DESIGN.md's, in ``unit``.

    ``twin``: the row whose figure a server without a choice of ``--sync`` shows here. ``slow`` rows are left out by
    ``--quick``, ``asked`` rows run only when named.
    """

    name: str
    title: str
    unit: str
    better: str
    budget: Optional[float]
    stage: str
    measure: Callable[[Bench], Measure]
    shapes: Sequence[data.Shape] = ()
    twin: str = ""
    slow: bool = False
    asked: bool = False


def rates(driven: Driven, per_request: float = 1.0) -> Measure:
    """What was done per second."""
    values = [one.rate * per_request for one in driven.result.rounds]
    return Measure(median(values), values, cpu=driven.cpu)


def latencies(driven: Driven) -> Measure:
    """The median time of a request in milliseconds."""
    values = [one.p50 for one in driven.result.rounds]
    return Measure(median(values), values, cpu=driven.cpu)


# Starts and memory. The runner has seen them already.


def first_start(bench: Bench) -> Measure:
    """The start in an empty folder."""
    return Measure(bench.starts[0], [bench.starts[0]])


def later_starts(bench: Bench) -> Measure:
    """The starts after it, on the store that the first has made."""
    return Measure(median(bench.starts[1:]), list(bench.starts[1:]))


def memory_rss(bench: Bench) -> Measure:
    """Resident memory of the server and its children."""
    memory = _memory(bench)
    return Measure(memory.rss, [memory.rss], f"{memory.processes} processes" if memory.processes > 1 else "")


def memory_pss(bench: Bench) -> Measure:
    """The same with each shared page divided by the processes that share it."""
    memory = _memory(bench)
    return Measure(memory.pss, [memory.pss])


def _memory(bench: Bench) -> Memory:
    """The idle memory, if this system can tell it."""
    if bench.memory is None:
        raise Failed("this system has no /proc/PID/smaps_rollup")
    return bench.memory


# Writes.


def _log_metric(bench: Bench, connections: int) -> Driven:
    """Log single points, one run a connection; afterwards all of them must be there."""
    run_ids = bench.new_runs(connections)
    driven = bench.drive([data.log_metric(run_id, bench.port) for run_id in run_ids], connections)
    if bench.server.name != "floor":
        sent = driven.result.next_number - FIRST_NUMBER
        kept = sum(len(_history(bench, run_id, "loss")) for run_id in run_ids)
        if kept != sent:
            raise Failed(f"{sent} points were acknowledged, {kept} are there")
    return driven


def _history(bench: Bench, run_id: str, key: str) -> List[Any]:
    """All points of a metric."""
    path = f"/api/2.0/mlflow/metrics/get-history?run_id={run_id}&run_uuid={run_id}&metric_key={key}"
    return list(ask(bench.port, path).get("metrics", []))


def log_metric_one(bench: Bench) -> Measure:
    """Median latency of log-metric on one connection."""
    return latencies(_log_metric(bench, 1))


def log_metric_many(bench: Bench) -> Measure:
    """log-metric on many connections, per second."""
    return rates(_log_metric(bench, MANY))


def log_batch(bench: Bench) -> Measure:
    """Metrics per second in batches of 1,000: ten metrics at a hundred steps, as async logging sends them."""
    (run_id,) = bench.new_runs(1)
    return rates(bench.drive([data.log_batch(run_id, bench.port, keys=10)], 1), 1000)


def log_batch_keys(bench: Bench) -> Measure:
    """The same with a thousand different metrics at one step."""
    (run_id,) = bench.new_runs(1)
    return rates(bench.drive([data.log_batch(run_id, bench.port, keys=1000)], 1), 1000)


def create_run(bench: Bench) -> Measure:
    """runs/create on many connections, per second."""
    return rates(bench.drive([data.create_run(bench.new_experiment(), bench.port)], MANY))


# Reads.


def get_run(bench: Bench) -> Measure:
    """runs/get of 100 different runs on many connections, per second."""
    requests = [data.get_run(run.run_id, bench.port) for run in data.shape_runs(data.SINGLES)]
    return rates(bench.drive(requests, MANY))


def _search(bench: Bench, body: Any, expected: int) -> Measure:
    """Median latency of a runs/search that must find ``expected`` runs."""
    path = "/api/2.0/mlflow/runs/search"
    found = len(ask(bench.port, path, body).get("runs", []))
    if found != expected:
        raise Failed(f"found {found} runs, not {expected}")
    return latencies(bench.drive([data.post(path, body, bench.port)], 1, max_requests=200))


def search_full(bench: Bench) -> Measure:
    """1,000 runs with all they have, in one reply."""
    return _search(bench, data.search_body(data.FULL, 1000), 1000)


def filter_full(bench: Bench) -> Measure:
    """The best 100 of 1,000 runs."""
    return _search(bench, data.search_body(data.FULL, 100, by_metric=True), 100)


def filter_large(bench: Bench) -> Measure:
    """The best 100 of 20,000 runs."""
    return _search(bench, data.search_body(data.LARGE, 100, by_metric=True), 100)


def page_first(bench: Bench) -> Measure:
    """The first 100 of 20,000 runs."""
    return _search(bench, data.search_body(data.LARGE, 100), 100)


def page_last(bench: Bench) -> Measure:
    """The last 100 of 20,000 runs; one large page leads there, so that any kind of token will do."""
    before = data.search_body(data.LARGE, data.LARGE.runs - 100)
    token = ask(bench.port, "/api/2.0/mlflow/runs/search", before).get("next_page_token")
    if not token:
        raise Failed("no token for the last page")
    return _search(bench, data.search_body(data.LARGE, 100, page_token=bench.server.page_token(token)), 100)


def interval_long(bench: Bench) -> Measure:
    """2,500 points of a history of 1,000,000."""
    return _interval(bench, data.LONG, 1, 2500, 2500)


def interval_many(bench: Bench) -> Measure:
    """The points of a metric of 100 runs, as one chart wants them."""
    return _interval(bench, data.DEEP, 100, 320, 100 * data.DEEP.points)


def _interval(bench: Bench, shape: data.Shape, runs: int, size: int, expected: int) -> Measure:
    """Median latency of a get-history-bulk-interval that must find ``expected`` points."""
    ids = [run.run_id for run in islice(data.shape_runs(shape), runs)]
    path = "/ajax-api/2.0/mlflow/metrics/get-history-bulk-interval?"
    path += "".join(f"run_ids={run_id}&" for run_id in ids) + f"metric_key={data.METRIC_NAMES[0]}&max_results={size}"
    found = len(ask(bench.port, path).get("metrics", []))
    if found != expected:
        raise Failed(f"found {found} points, not {expected}")
    return latencies(bench.drive([data.get(path, bench.port)], 1, max_requests=200))


def filter_deep(bench: Bench) -> Measure:
    """The best 100 of 20,000 runs that have 8,000,000 points."""
    return _search(bench, data.search_body(data.DEEP, 100, by_metric=True), 100)


def page_deep(bench: Bench) -> Measure:
    """The first 100 of them."""
    return _search(bench, data.search_body(data.DEEP, 100), 100)


# An existing folder. The runner has started the server on it, twice.


def folder_search(bench: Bench) -> Measure:
    """1,000 of the folder's runs with all they have."""
    return _search(bench, data.search_body(data.EXISTING, 1000), 1000)


def folder_filter(bench: Bench) -> Measure:
    """The best 100 of the folder's runs."""
    return _search(bench, data.search_body(data.EXISTING, 100, by_metric=True), 100)


# A long run.


def memory_long(bench: Bench) -> Measure:
    """How much resident memory grows from request 20,000 to request 200,000, logging and reading."""
    run_ids = bench.new_runs(MANY)
    requests = [data.log_metric(run_id, bench.port) for run_id in run_ids]
    requests += [data.get_run(run_id, bench.port) for run_id in run_ids]
    sizes: List[float] = []
    number = FIRST_NUMBER
    for _ in range(10):
        plan = Plan(
            bench.port, MANY, requests, seconds=600.0, rounds=1, max_requests=20_000,
            warmup_requests=0, first_number=number,
        )
        result = bench.load(plan)
        if result.errors:
            raise Failed(f"{result.errors} answers were not 200: {result.samples[0][:200]}")
        number = result.next_number
        memory = bench.process.memory()
        if memory is None:
            raise Failed("this system has no /proc/PID/smaps_rollup")
        sizes.append(memory.rss)
    return Measure(sizes[-1] - sizes[0], sizes, f"{sizes[0]:.1f} MiB after 20,000, {sizes[-1]:.1f} after 200,000")


# What a browser shows. One visit of it measures all rows.


def _page(bench: Bench, name: str) -> Measure:
    """The median of the rounds of one row."""
    seen = pages.seen(bench.port, str(bench.place), max(bench.settings.rounds, 3))
    if name not in seen:
        raise Failed(str(seen["missing"]))
    return Measure(median(seen[name]), list(seen[name]))


def page_list(bench: Bench) -> Measure:
    """From the address to the first rows of 10,000 runs."""
    return _page(bench, "list")


def page_scroll(bench: Bench) -> Measure:
    """Frames per second while their table is scrolled through."""
    return _page(bench, "scroll")


def page_chart(bench: Bench) -> Measure:
    """From the address to a chart of 1,000,000 points that the server has not read yet."""
    return _page(bench, "chart")


def page_chart_again(bench: Bench) -> Measure:
    """The same when it has."""
    return _page(bench, "chart-again")


def page_zoom(bench: Bench) -> Measure:
    """From the end of a drag to the points of that part."""
    return _page(bench, "zoom")


def page_overlay(bench: Bench) -> Measure:
    """From the address to a chart of 100 runs with 1,000 points each."""
    return _page(bench, "overlay")


def page_wide(bench: Bench) -> Measure:
    """From the address to the first charts of a run with 3,000 metrics."""
    return _page(bench, "wide")


_READ = (data.SINGLES, data.FULL)

WORKLOADS: Sequence[Workload] = (
    Workload("first-start", "first start, empty folder", "s", LESS, None, "start", first_start),
    Workload("start", "start to first answer", "s", LESS, 0.15, "start", later_starts),
    Workload("memory", "idle memory, resident", "MiB", LESS, 30, "start", memory_rss),
    Workload("memory-pss", "idle memory, proportional", "MiB", LESS, None, "start", memory_pss),
    Workload("log-metric-1", "log-metric, 1 connection, --sync 1s: p50", "ms", LESS, 0.3, "write", log_metric_one),
    Workload("log-metric-20", "log-metric, 20 connections, --sync 1s", "/s", MORE, 6_000, "write", log_metric_many),
    Workload(
        "log-metric-1-full", "log-metric, 1 connection, --sync full: p50", "ms", LESS, 0.6, "write-full",
        log_metric_one, twin="log-metric-1",
    ),
    Workload(
        "log-metric-20-full", "log-metric, 20 connections, --sync full", "/s", MORE, 4_500, "write-full",
        log_metric_many, twin="log-metric-20",
    ),
    Workload(
        "log-batch", "log-batch of 1,000 metrics (10 keys, 100 steps), 1 client", "metrics/s", MORE, 150_000, "write",
        log_batch,
    ),
    Workload(
        "log-batch-keys", "log-batch of 1,000 metrics (1,000 keys), 1 client", "metrics/s", MORE, None, "write",
        log_batch_keys,
    ),
    Workload("create-run", "create run, 20 connections", "/s", MORE, 2_500, "write", create_run),
    Workload("get-run", "get run (20 items), 20 connections", "/s", MORE, 4_000, "read", get_run, _READ),
    Workload("search-1000", "search, 1,000 full runs of 18 items", "ms", LESS, 40, "read", search_full, _READ),
    Workload(
        "filter-1000", "filter + order by metric, first 100 of 1,000", "ms", LESS, 4, "read", filter_full, _READ
    ),
    Workload(
        "filter-20000", "filter + order by metric, first 100 of 20,000", "ms", LESS, 30, "read", filter_large,
        (data.LARGE,), slow=True,
    ),
    Workload("page-first", "first page of 100 of 20,000 runs", "ms", LESS, None, "read", page_first,
             (data.LARGE,), slow=True),
    Workload("page-last", "last page of 100 of 20,000 runs", "ms", LESS, None, "read", page_last,
             (data.LARGE,), slow=True),
    Workload("interval", "2,500 points of a history of 1,000,000", "ms", LESS, 10, "read", interval_long,
             (data.LONG,), slow=True),
    Workload("deep-filter", "filter + order, 20,000 runs x 4 metrics x 100 points", "ms", LESS, 30, "read", filter_deep,
             (data.DEEP,), asked=True),
    Workload("deep-page", "first page of 100 of the same", "ms", LESS, 10, "read", page_deep, (data.DEEP,), asked=True),
    Workload("deep-interval", "the points of a metric of 100 of the same", "ms", LESS, 20, "read", interval_many,
             (data.DEEP,), asked=True),
    Workload(
        "folder-first", "folder of 3,000 runs (102,000 files): first list", "s", LESS, 10, "folder", first_start,
        (data.EXISTING,), slow=True,
    ),
    Workload(
        "folder-later", "the same, later start to first list", "s", LESS, 1, "folder", later_starts,
        (data.EXISTING,), slow=True,
    ),
    Workload(
        "folder-search", "the same, search of 1,000 runs of 33 items", "ms", LESS, None, "folder", folder_search,
        (data.EXISTING,), slow=True,
    ),
    Workload(
        "folder-filter", "the same, filter + order by metric, first 100", "ms", LESS, None, "folder", folder_filter,
        (data.EXISTING,), slow=True,
    ),
    Workload("page-list", "page: first list of 10,000 runs", "ms", LESS, 500, "pages", page_list, slow=True),
    Workload("page-scroll", "page: scrolling through them", "frames/s", MORE, 50, "pages", page_scroll, slow=True),
    Workload(
        "page-chart", "page: chart of 1,000,000 points, first after the start", "ms", LESS, 500, "pages", page_chart,
        slow=True,
    ),
    Workload("page-chart-again", "page: the same, later", "ms", LESS, 500, "pages", page_chart_again, slow=True),
    Workload("page-zoom", "page: each zoom in it", "ms", LESS, 200, "pages", page_zoom, slow=True),
    Workload("page-overlay", "page: 100 runs overlaid", "ms", LESS, 1_000, "pages", page_overlay, slow=True),
    Workload("page-wide", "page: charts of a run with 3,000 metrics", "ms", LESS, 500, "pages", page_wide, slow=True),
    Workload(
        "memory-long", "growth of memory over 200,000 requests", "MiB", LESS, None, "long", memory_long, asked=True
    ),
)
