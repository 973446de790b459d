"""The tree of a parsed filter, and a parsed order. Made by ``grammar``, consumed by stores and ``evaluate``."""

from typing import NamedTuple, Optional, Sequence, Tuple, Union

#: Kinds of keys, as stores see them (aliases are resolved by ``schemas``).
ATTRIBUTE, METRIC, PARAM, TAG, DATASET = "attribute", "metric", "param", "tag", "dataset"

Value = Union[str, int, float, Tuple[Union[str, int], ...], None]


class Comparison(NamedTuple):
    """``<kind>.<key> <operator> <value>``.

    ``operator`` is one of ``= != < <= > >= LIKE ILIKE IN "NOT IN" "IS NULL" "IS NOT NULL"``, upper case;
    ``value`` is a string, a number, a tuple of strings or integers for IN, ``None`` for IS NULL. ``key`` is canonical.
    ``datasets``, each a name and digest, narrow the metrics of logged models: only points on one of them count; an
    empty ``key`` is any metric there.
    """

    kind: str
    key: str
    operator: str
    value: Value
    datasets: Tuple[Tuple[str, str], ...] = ()


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
    """One key of an order; ``kind`` is attribute, metric, param or tag.

    The dataset's name and digest narrow a metric of logged models to the points on it, each by itself.
    """

    kind: str
    key: str
    ascending: bool = True
    dataset_name: Optional[str] = None
    dataset_digest: Optional[str] = None

    def identity(self) -> Tuple[Optional[str], ...]:
        """What is sorted by, in whatever direction."""
        return self.kind, self.key, self.dataset_name, self.dataset_digest


class Cursor(NamedTuple):
    """Where a page starts.

    ``offset`` counts the entities before it. ``after`` holds the sort key of the last entity of the page before
    (one value per sort column, last of all the id), so that the next page is right although entities came or
    went meanwhile; ``None`` where a token carried only the offset, as MLflow's do.
    """

    offset: int = 0
    after: Optional[Sequence[Union[str, int, float, None]]] = None
