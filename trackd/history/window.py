"""What of a history a chart can show: a window of its axis, cut into as many buckets as the chart has pixels.

Of each bucket the first, the last, the least and the greatest point stay, which draws the same picture as all of them
would (Jugel and others, "M4", VLDB 2014), and one point each for NaN and the infinities. Where all points of the window
are no more than that, all of them stay.
"""

from array import array
from bisect import bisect_left, bisect_right
from typing import List, NamedTuple, Optional, Sequence, Set, Tuple

from trackd.history.columns import LARGEST, Line, Numbers

#: Points that stay of a bucket of finite numbers.
PER_BUCKET = 4


class Window(NamedTuple):
    """Positions in a line, ascending. ``inside``: how many points lie in the window; ``raw``: all of these are here.

    The nearest point on each side of the window is among the positions too, so that a line goes on to the edge.
    """

    positions: Sequence[int]
    inside: int
    raw: bool


def look(line: Line, start: Optional[float], end: Optional[float], buckets: int) -> Window:
    """The points of ``line`` from ``start`` to ``end`` (both may lie on the edge; ``None``: without end)."""
    xs = line.xs
    low = 0 if start is None else bisect_left(xs, start)
    high = len(xs) if end is None else bisect_right(xs, end)
    before = [low - 1] if 0 < low else []
    after = [high] if high < len(xs) else []
    count = max(high - low, 0)
    if count <= PER_BUCKET * buckets:
        return Window([*before, *range(low, high), *after], count, True)
    first = xs[low] if start is None else start
    last = xs[high - 1] if end is None else end
    positions = before
    for left, right in _cut(xs, low, high, first, last, buckets):
        positions += _kept(line, left, right)
    return Window(positions + after, count, False)


def _cut(
    xs: Numbers, low: int, high: int, first: float, last: float, buckets: int
) -> List[Tuple[int, int]]:
    """The positions of each bucket that has points, as (from, to)."""
    width = (last - first) / buckets
    left, parts = low, []
    for number in range(1, buckets + 1):
        right = high if number == buckets else bisect_left(xs, first + number * width, left, high)
        if right > left:
            parts.append((left, right))
        left = right
    return parts


def _kept(line: Line, left: int, right: int) -> List[int]:
    """The positions that stay of one bucket."""
    if right - left <= PER_BUCKET:
        return list(range(left, right))
    part = line.values[left:right]
    kept = {left, right - 1}
    if line.plain:
        kept.add(left + part.index(min(part)))
        kept.add(left + part.index(max(part)))
    else:
        finite = [value for value in part if -LARGEST < value < LARGEST]
        if finite:
            kept.add(left + part.index(min(finite)))
            kept.add(left + part.index(max(finite)))
        if len(finite) < len(part):
            kept.update(left + position for position in _odd(part))
    return sorted(kept)


def _odd(part: "array[float]") -> List[int]:
    """The first NaN, the first positive and the first negative infinity."""
    tests = (lambda value: value != value, lambda value: value >= LARGEST, lambda value: value <= -LARGEST)
    found = (next((place for place, value in enumerate(part) if test(value)), None) for test in tests)
    return [place for place in found if place is not None]


def grid(lines: Sequence[Line], start: Optional[float], end: Optional[float], buckets: int) -> List[float]:
    """Places along the axis that several lines are averaged at: their own, or the middles of ``buckets`` equal parts
    where they have more than that."""
    places: Set[float] = set()
    for line in lines:
        low = 0 if start is None else bisect_left(line.xs, start)
        high = len(line.xs) if end is None else bisect_right(line.xs, end)
        if len(places) <= buckets:
            places.update(line.xs[low : min(high, low + buckets + 1)])
    if len(places) <= buckets:
        return sorted(places)
    first = min(line.xs[0] for line in lines if len(line)) if start is None else start
    last = max(line.xs[-1] for line in lines if len(line)) if end is None else end
    width = (last - first) / buckets
    middles = (first + (number + 0.5) * width for number in range(buckets))
    return [place for place in middles if -LARGEST < place < LARGEST]


def averages(line: Line, values: "array[float]", places: Sequence[float]) -> List[Optional[float]]:
    """The mean of ``values`` (those of the line or its ``smooth``) around each place, half-way to its neighbours.

    Where there is none around a place, the height of the straight line between the points beside it; ``None`` before
    the first and after the last.
    """
    result: List[Optional[float]] = []
    edges = [_edge(places, number) for number in range(len(places) + 1)]
    left = bisect_left(line.xs, edges[0])
    for place, edge in zip(places, edges[1:]):
        right = bisect_left(line.xs, edge, left)
        part = values[left:right]
        if not line.plain:
            part = array("d", [value for value in part if -LARGEST < value < LARGEST])
        result.append(sum(part) / len(part) if part else _between(line.xs, values, left, place))
        left = right
    return result


def _edge(places: Sequence[float], number: int) -> float:
    """Where the surroundings of place ``number`` begin, which is where those before it end."""
    if len(places) < 2:
        return places[0] - 0.5 if number == 0 else places[0] + 0.5
    if number == 0:
        return places[0] - (places[1] - places[0]) / 2
    if number == len(places):
        return places[-1] + (places[-1] - places[-2]) / 2
    return (places[number - 1] + places[number]) / 2


def _between(xs: Numbers, values: "array[float]", position: int, place: float) -> Optional[float]:
    """The height of the straight line between the neighbours of ``position`` at ``place``."""
    if not 0 < position < len(xs):
        return None
    x0, y0, x1, y1 = xs[position - 1], values[position - 1], xs[position], values[position]
    if not (-LARGEST < y0 < LARGEST and -LARGEST < y1 < LARGEST) or x1 == x0:
        return None
    return y0 + (y1 - y0) * (place - x0) / (x1 - x0)
