"""What charts and the table of runs need of metric histories: /api/trackd/metrics. MLflow's API has no such thing."""

from array import array
from math import isfinite
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple
from zlib import crc32

from trackd import fields
from trackd.api.context import Context
from trackd.errors import InvalidParameterValue
from trackd.fields.kinds import is_id
from trackd.history import window
from trackd.history.columns import LARGEST, STEP, TIME, History, Line, joined
from trackd.web.router import route

#: Histories in one request, and buckets in all of its answer: some hundred thousand points.
MOST_SERIES, MOST_BUCKETS = 3000, 400_000


class _Series(NamedTuple):
    """One metric of one run. ``base``: what an axis of relative time begins at, in ms; else 0."""

    run_id: str
    key: str
    history: History
    line: Line
    base: int


@route("POST", "/api/trackd/metrics/history")
def history(
    ctx: Context,
    run_ids: fields.RunIds,
    metric_keys: fields.MetricKeys,
    x: fields.Axis = STEP,
    x_metric: fields.AxisKey = None,
    start: fields.AxisBound = None,
    end: fields.AxisBound = None,
    buckets: fields.Buckets = 1000,
    smoothing: fields.Smoothing = 0.0,
    average: fields.Wanted = False,
    unless: fields.StateToken = None,
) -> Dict[str, Any]:
    """Show the histories of many metrics and runs in a window, each point of it or the telling ones of each bucket."""
    if start is not None and end is not None and start > end:
        raise InvalidParameterValue(f"start {start} is above end {end}; exchange them.")
    if (x == "metric") != (x_metric is not None):
        raise InvalidParameterValue("x_metric names the metric of the axis: send it with x = metric, and only then.")
    wanted = [(run_id, key) for run_id in _ids(run_ids) for key in fields.unique(metric_keys)]
    _check_size(len(wanted), buckets)
    histories = ctx.store.get_histories(wanted)
    others = ctx.store.get_histories([(run_id, x_metric) for run_id, _ in wanted]) if x_metric is not None else []
    state = _state([x, x_metric, start, end, buckets, smoothing, average], wanted, [*histories, *others])
    if state == unless:
        return {"state": state, "unchanged": True}
    bases = _bases(ctx, x, wanted, histories)
    series = []
    for number, (run_id, key) in enumerate(wanted):
        found = histories[number]
        if len(found):
            line = joined(found, others[number]) if others else found.line(STEP if x == "step" else TIME)
            series.append(_Series(run_id, key, found, line, bases.get(run_id, 0)))
    if average:
        return {"state": state, **_averages(series, start, end, buckets, smoothing)}
    return {"state": state, "series": [_shown(each, x, start, end, buckets, smoothing) for each in series]}


@route("POST", "/api/trackd/metrics/summary")
def summary(ctx: Context, run_ids: fields.ManyRunIds, metric_keys: fields.MetricKeys) -> Dict[str, Any]:
    """Say of metrics of runs how many points they have; the last, least and greatest value and at which step it was."""
    wanted = [(run_id, key) for run_id in _ids(run_ids) for key in fields.unique(metric_keys)]
    if len(wanted) > 10 * MOST_SERIES:
        raise InvalidParameterValue(
            f"The request asks for {len(wanted)} metrics of runs; at most {10 * MOST_SERIES} are allowed in one."
        )
    found = zip(wanted, ctx.store.get_histories(wanted))
    return {"metrics": [_summary(run_id, key, each) for (run_id, key), each in found if len(each)]}


def _ids(run_ids: Sequence[str]) -> List[str]:
    """Those of the ids that a run may have, each once."""
    return [run_id for run_id in fields.unique(run_ids) if is_id(run_id)]


def _check_size(series: int, buckets: int) -> None:
    if series > MOST_SERIES:
        raise InvalidParameterValue(
            f"The request asks for {series} histories (run ids times metric keys); at most {MOST_SERIES} are allowed."
        )
    if series * buckets > MOST_BUCKETS:
        raise InvalidParameterValue(
            f"The request asks for {series} histories of {buckets} buckets; at most {MOST_BUCKETS} buckets are allowed "
            f"in one answer, so ask for {MOST_BUCKETS // series} of each."
        )


def _state(question: Sequence[object], wanted: Sequence[Tuple[str, str]], histories: Sequence[History]) -> str:
    """A token that is another once the answer may be: histories grow at their ends."""
    ends = [(len(each), each.times[-1], each.steps[-1], each.values[-1]) if len(each) else () for each in histories]
    points = sum(map(len, histories))
    return f"{points}-{crc32(repr((question, wanted, ends)).encode('utf-8', 'surrogatepass')):08x}"


def _bases(ctx: Context, x: str, wanted: Sequence[Tuple[str, str]], histories: Sequence[History]) -> Dict[str, int]:
    """What relative times of each run count from: its start; its first point, where that is earlier or none is set."""
    bases: Dict[str, int] = {}
    if x != "relative":
        return bases
    for (run_id, _), each in zip(wanted, histories):
        if len(each):
            first = each.line(TIME).xs[0]
            bases[run_id] = int(min(first, bases.get(run_id, first)))
    for run_id, first in bases.items():
        info = ctx.store.get_run_info(run_id)
        if info is not None and info.start_time and info.start_time < first:
            bases[run_id] = info.start_time
    return bases


def _shown(
    series: _Series, x: str, start: Optional[float], end: Optional[float], buckets: int, smoothing: float
) -> Dict[str, Any]:
    line, base = series.line, series.base
    low, high = (None if bound is None else bound + base for bound in (start, end))
    seen = window.look(line, low, high, buckets)
    order = line.order
    places = seen.positions if order is None else [order[position] for position in seen.positions]
    answer: Dict[str, Any] = {
        "run_id": series.run_id,
        "metric_key": series.key,
        "total": len(series.history),
        "count": seen.inside,
        "raw": seen.raw,
        "step": [series.history.steps[place] for place in places],
        "time": [series.history.times[place] for place in places],
        "value": _numbers(line.values, seen.positions, line.plain),
    }
    if x == "relative":
        answer["base"] = base
    if x == "metric":
        answer["x"] = [line.xs[position] for position in seen.positions]
    if smoothing:
        answer["smooth"] = _numbers(line.smooth(smoothing), seen.positions, line.plain)
    return answer


def _numbers(values: "array[float]", positions: Sequence[int], plain: bool) -> List[Any]:
    if plain:
        return [values[position] for position in positions]
    return [_number(values[position]) for position in positions]


def _number(value: float) -> Any:
    """A value as JSON has it; the largest doubles stand for infinity."""
    if -LARGEST < value < LARGEST:
        return value
    return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"


def _averages(
    series: Sequence[_Series], start: Optional[float], end: Optional[float], buckets: int, smoothing: float
) -> Dict[str, Any]:
    """All series at the same places of the axis."""
    # Relative times: every line is moved to its base, so that the places are the same for all.
    lines = [_moved(each) for each in series]
    places = window.grid(lines, start, end, buckets)
    rows = []
    for each, line in zip(series, lines):
        values = each.line.smooth(smoothing) if smoothing else each.line.values
        means = window.averages(line, values, places) if places else []
        row = {"run_id": each.run_id, "metric_key": each.key, "total": len(each.history)}
        rows.append({**row, "value": [None if mean is None or not isfinite(mean) else mean for mean in means]})
    return {"places": places, "series": rows}


def _moved(series: _Series) -> Line:
    line, base = series.line, series.base
    if not base:
        return line
    return Line(array("q", [place - base for place in line.xs]), line.values, line.order, line.plain)


def _summary(run_id: str, key: str, found: History) -> Dict[str, Any]:
    """The last is what ``runs/get`` has: that of the greatest step, of these the latest, of these the greatest."""
    line = found.line(STEP)
    size = len(line)
    last = max(range(_first_of_last(line), size), key=lambda place: _rank(found, line, place))
    answer = {"run_id": run_id, "metric_key": key, "count": size, "last": _number(line.values[last])}
    finite = line.values if line.plain else [value for value in line.values if -LARGEST < value < LARGEST]
    if len(finite):
        for name, pick in (("min", min), ("max", max)):
            value = pick(finite)
            answer[name] = value
            answer[name + "_step"] = line.xs[line.values.index(value)]
    return answer


def _first_of_last(line: Line) -> int:
    """The position of the first point at the greatest step."""
    place = len(line) - 1
    while place and line.xs[place - 1] == line.xs[place]:
        place -= 1
    return place


def _rank(found: History, line: Line, place: int) -> Tuple[int, float]:
    value = line.values[place]
    time = found.times[place if line.order is None else line.order[place]]
    return time, 0.0 if value != value else value
