"""The points of one metric of one run as three arrays, 24 bytes a point, and their order along an axis.

Objects here never change once they are made: many requests read them at once. A history that has grown is a new object
that takes over what was worked out for the old one.
"""

from array import array
from itertools import accumulate, chain, islice
from math import isfinite
from operator import ge, gt
from typing import Dict, Iterable, Optional, Sequence, Tuple, Union

from trackd.entities import Metric

#: An infinite value that came by the API is kept as the largest double (MLflow's SQL store does so, and so do we).
LARGEST = 1.7976931348623157e308

STEP, TIME = "step", "time"

Numbers = Union["array[int]", "array[float]"]


class Line:
    """A history along an axis: ``xs`` ascending, ``values`` beside them.

    ``order`` maps positions here to positions in the history; ``None``: they are the same. ``plain``: every value is a
    finite number.
    """

    __slots__ = ("xs", "values", "order", "plain", "_smooth")

    def __init__(self, xs: Numbers, values: "array[float]", order: "Optional[array[int]]", plain: bool) -> None:
        self.xs, self.values, self.order, self.plain = xs, values, order, plain
        self._smooth: Optional[Tuple[float, "array[float]"]] = None

    def __len__(self) -> int:
        return len(self.xs)

    def smooth(self, weight: float) -> "array[float]":
        """The exponential moving average beside each point, debiased: ``weight`` (0 <= weight < 1) is what stays of it.

        Worked out over every point, so that it does not depend on what part of it a chart shows. A value that is no
        finite number leaves it as it is. (The debiasing is Adam's: without it the curve would begin at 0.)
        """
        known = self._smooth
        if known is None or known[0] != weight:
            smooth = _moving_average(self.values, weight) if self.plain else _careful_average(self.values, weight)
            known = self._smooth = (weight, smooth)
        return known[1]


class History:
    """The points of a metric in the order in which they were logged. Times are milliseconds."""

    __slots__ = ("times", "steps", "values", "plain", "_lines")

    def __init__(self, times: "array[int]", steps: "array[int]", values: "array[float]") -> None:
        self.times, self.steps, self.values = times, steps, values
        self.plain = _is_plain(values)
        self._lines: Dict[str, Line] = {}

    def __len__(self) -> int:
        return len(self.values)

    def extended(self, times: "array[int]", steps: "array[int]", values: "array[float]") -> "History":
        """This history with further points behind it."""
        if not values:
            return self
        new = History.__new__(History)
        new.times, new.steps, new.values = self.times + times, self.steps + steps, self.values + values
        new.plain = self.plain and _is_plain(values)
        new._lines = {}
        if self.values:
            for axis, line in list(self._lines.items()):
                columns, added = ((new.steps, new.times), (steps, times))
                if axis != STEP:
                    columns, added = columns[::-1], added[::-1]
                last = len(self) - 1
                follows = (columns[0][last], columns[1][last]) <= (added[0][0], added[1][0])
                if line.order is None and follows and _in_order(*added):
                    new._lines[axis] = Line(columns[0], new.values, None, new.plain)
        return new

    def line(self, axis: str) -> Line:
        """The points by ``STEP`` or by ``TIME``; those that share it by the other, then as they were logged."""
        line = self._lines.get(axis)
        if line is None:
            first, second = (self.steps, self.times) if axis == STEP else (self.times, self.steps)
            line = self._lines[axis] = _sorted_line(first, second, self.values, self.plain)
        return line


def from_points(points: Iterable[Metric]) -> History:
    """A history out of points."""
    times, steps, values = array("q"), array("q"), array("d")
    for point in points:
        times.append(point.timestamp)
        steps.append(point.step)
        values.append(point.value)
    return History(times, steps, values)


def joined(y: History, x: History) -> Line:
    """``y`` along the values of ``x``: points that share a step. Of several ``x`` at one step the last logged counts.

    Points whose ``x`` is no finite number have no place and are left out.
    """
    places = dict(zip(x.steps, x.values))
    found = ((places.get(step), position) for position, step in enumerate(y.steps))
    pairs = sorted((place, position) for place, position in found if place is not None and _finite(place))
    order = array("q", (position for _, position in pairs))
    values = array("d", map(y.values.__getitem__, order))
    return Line(array("d", (place for place, _ in pairs)), values, order, y.plain or _is_plain(values))


def _sorted_line(first: "array[int]", second: "array[int]", values: "array[float]", plain: bool) -> Line:
    if _in_order(first, second):
        return Line(first, values, None, plain)
    order = array("q", sorted(range(len(first)), key=lambda position: (first[position], second[position])))
    return Line(array("q", map(first.__getitem__, order)), array("d", map(values.__getitem__, order)), order, plain)


def _in_order(first: Sequence[int], second: Sequence[int]) -> bool:
    """Whether points are sorted by the first column and, where that is equal, by the second."""
    if not any(map(ge, first, islice(first, 1, None))):
        return True  # every one is greater than the one before
    pairs = zip(first, second)
    return not any(map(gt, pairs, islice(zip(first, second), 1, None)))


def _finite(value: float) -> bool:
    return -LARGEST < value < LARGEST


def _is_plain(values: "array[float]") -> bool:
    """Whether all are finite numbers, and none stands for infinity."""
    return not values or (all(map(isfinite, values)) and -LARGEST < min(values) and max(values) < LARGEST)


def _moving_average(values: "array[float]", weight: float) -> "array[float]":
    share = 1.0 - weight
    # accumulate begins with its first item itself; the average begins with a share of it.
    shares = chain((value * share for value in values[:1]), islice(values, 1, None))
    result = array("d", accumulate(shares, lambda average, value: average * weight + value * share))
    rest = 1.0
    for position in range(len(result)):
        rest *= weight
        if rest < 1e-17:
            break
        result[position] /= 1.0 - rest
    return result


def _careful_average(values: "array[float]", weight: float) -> "array[float]":
    average, rest, share = 0.0, 1.0, 1.0 - weight
    result = array("d")
    for value in values:
        if _finite(value):
            average = average * weight + value * share
            rest *= weight
        result.append(average / (1.0 - rest) if rest < 1.0 else value)
    return result


#: The history of what is not there.
EMPTY = History(array("q"), array("q"), array("d"))
