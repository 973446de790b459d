"""The tree of a parsed filter, and a parsed order. Made by ``grammar``, consumed by stores and ``evaluate``."""

from typing import NamedTuple, Optional, Sequence, Tuple, Union

#: Kinds of keys, as stores see them (aliases are resolved by ``schemas``).
ATTRIBUTE, METRIC, PARAM, TAG, DATASET = "attribute", "metric", "param", "tag", "dataset"

Value = Union[str, int, float, Tuple[str, ...], None]


class Comparison(NamedTuple):
    """``<kind>.<key> <operator> <value>``.

    ``operator`` is one of ``= != < <= > >= LIKE ILIKE IN "NOT IN" "IS NULL" "IS NOT NULL"``, upper case;
    ``value`` is a string, a number, a tuple of strings for IN, ``None`` for IS NULL. ``key`` is canonical.
    """

    kind: str
    key: str
    operator: str
    value: Value


class And(NamedTuple):
    """True where all parts are."""

    parts: Tuple["Clause", ...]


class Or(NamedTuple):
    """True where any part is."""

    parts: Tuple["Clause", ...]


class Not(NamedTuple):
    """True where its part is not."""

    part: "Clause"


Clause = Union[Comparison, And, Or, Not]


class Order(NamedTuple):
    """One key of an order; ``kind`` is attribute, metric, param or tag."""

    kind: str
    key: str
    ascending: bool = True


class Cursor(NamedTuple):
    """Where a page starts.

    ``offset`` counts the entities before it. ``after`` holds the sort key of the last entity of the page before
    (one value per sort column, last of all the id), so that the next page is right although entities came or
    went meanwhile; ``None`` where a token carried only the offset, as MLflow's do.
    """

    offset: int = 0
    after: Optional[Sequence[Union[str, int, float, None]]] = None
