"""A whole search as one file: /api/trackd/runs/export. Made page by page, while it is sent."""

import io
import json
from typing import IO, Any, Dict, Iterator, List, Sequence, Set, Tuple

from trackd import fields, wire
from trackd.api.context import Context
from trackd.entities import ACTIVE_ONLY, Run
from trackd.search import schemas
from trackd.search.clause import Cursor
from trackd.search.grammar import parse_filter, parse_order_by
from trackd.web.message import Response
from trackd.web.router import route

#: Runs that are read, and held, at one time.
_PAGE = 500
_INFO = (
    "run_id", "run_name", "experiment_id", "status", "user_id", "start_time", "end_time", "lifecycle_stage",
    "artifact_uri",
)  # fmt: skip
_TYPES = {"csv": "text/csv; charset=utf-8", "json": "application/json"}


@route("GET", "/api/trackd/runs/export")
def export(
    ctx: Context,
    experiment_ids: fields.ExperimentIds,
    filter: fields.Filter = "",
    run_view_type: fields.ViewType = ACTIVE_ONLY,
    order_by: fields.OrderBy = (),
    format: fields.ExportFormat = "csv",
) -> Response:
    """Send all runs that a search finds as one CSV table, or as the JSON of runs/search without pages."""
    clause = parse_filter(filter, schemas.RUNS)
    order = parse_order_by(order_by, schemas.RUNS)
    ids = fields.unique(experiment_ids)

    def search() -> Iterator[List[Run]]:
        following = Cursor()
        while True:
            runs, cursor = ctx.store.search_runs(ids, run_view_type, clause, order, _PAGE, following)
            yield runs
            if cursor is None:
                return
            following = cursor

    pages = search()
    # The first page is read before anything is sent: whatever is wrong with the search is a plain error.
    first = next(pages)
    pieces = _csv(first, pages) if format == "csv" else _json(first, pages)
    name = "runs" + "".join("-" + each for each in ids[:3])
    headers = [("Content-Disposition", f'attachment; filename="{name}.{format}"')]
    return Response(200, content_type=_TYPES[format], headers=headers, pieces=pieces)


def _json(first: List[Run], pages: Iterator[List[Run]]) -> Iterator[bytes]:
    start = b'{"runs":['
    for runs in _all(first, pages):
        if runs:
            yield start + ",\n".join([wire.run(run) for run in runs]).encode("ascii")
            start = b",\n"
    yield b"]}" if start == b",\n" else start + b"]}"


def _all(first: List[Run], pages: Iterator[List[Run]]) -> Iterator[List[Run]]:
    yield first
    yield from pages


def _csv(first: List[Run], pages: Iterator[List[Run]]) -> Iterator[bytes]:
    """Rows with a column for every key that any run has, named as MLflow names them in a data frame.

    Which keys there are only the last run tells: what was found waits in a temporary file. With a byte order mark,
    without which spreadsheets take UTF-8 for something else.
    """
    import tempfile  # with ``shutil`` 15 ms that the start of a server need not wait for

    keys: Set[Tuple[str, str]] = set()
    with tempfile.TemporaryFile("w+", encoding="utf-8") as waiting:
        for runs in _all(first, pages):
            for run in runs:
                cells = dict(_cells(run))
                keys.update(cells)
                json.dump([_info(run), [[*key, cell] for key, cell in cells.items()]], waiting)
                waiting.write("\n")
        waiting.seek(0)
        columns = sorted(keys)
        yield b"\xef\xbb\xbf" + _line([*_INFO, *(f"{kind}.{key}" for kind, key in columns)]).encode("utf-8")
        yield from _rows(waiting, columns)


def _rows(waiting: IO[str], columns: Sequence[Tuple[str, str]]) -> Iterator[bytes]:
    lines: List[str] = []
    size = 0
    for text in waiting:
        info, found = json.loads(text)
        cells = {(kind, key): cell for kind, key, cell in found}
        lines.append(_line([*info, *(cells.get(column, "") for column in columns)]))
        size += len(lines[-1])
        if size > 1 << 16:
            yield "".join(lines).encode("utf-8")
            lines, size = [], 0
    yield "".join(lines).encode("utf-8")


def _line(cells: Sequence[Any]) -> str:
    """One line of CSV (RFC 4180)."""
    import csv  # 1 ms, for the first export

    line = io.StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue()


def _info(run: Run) -> List[Any]:
    values: Dict[str, Any] = run.info._asdict()
    for name in ("start_time", "end_time"):
        values[name] = _time(values[name])
    return ["" if values[name] is None else values[name] for name in _INFO]


def _time(milliseconds: Any) -> str:
    """A time as ISO 8601, UTC; a number that no calendar has stays one."""
    from datetime import datetime, timedelta

    if milliseconds is None:
        return ""
    try:
        time = datetime(1970, 1, 1) + timedelta(milliseconds=milliseconds)
    except OverflowError:
        return str(milliseconds)
    return time.isoformat(timespec="milliseconds") + "Z"


def _cells(run: Run) -> Iterator[Tuple[Tuple[str, str], str]]:
    for metric in run.metrics:
        yield ("metrics", metric.key), repr(metric.value)
    for param in run.params:
        yield ("params", param.key), param.value
    for tag in run.tags:
        yield ("tags", tag.key), tag.value
