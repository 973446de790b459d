"""What a filter and an order mean, in plain Python on entities.

This is the reference that ``store/sql/search.py`` must agree with (a property test demands it):

* A comparison is false where the key is missing, ``!=`` and NOT IN included; only IS NULL is true there.
* NOT is the logical complement: ``NOT tags.a = 'x'`` is true for what has no tag ``a``, ``tags.a != 'x'`` is not.
* A metric that is NaN satisfies ``!=`` and nothing else. Infinities compare as numbers do.
* Text compares by code point. In LIKE ``%`` stands for any text and ``_`` for one character; ILIKE ignores the case of
  A to Z, as MLflow's SQLite store does, and no other letters'.
* A logged model has many points of a metric: a comparison is true where *any* of them satisfies it. An order takes the
  latest point, by timestamp, step, and then the first run id.
* A comparison of a dataset is true where *any* dataset of the run satisfies it; two may be true of different ones.
* An order has values first, then NaN, then what is missing, in both directions; ``Schema.complete`` breaks ties.
"""

import math
import operator
from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple, TypeVar, Union

from trackd.entities import (
    IS_PROMPT_TAG,
    Experiment,
    LoggedModel,
    Metric,
    ModelVersion,
    RegisteredModel,
    Run,
)
from trackd.search.clause import ATTRIBUTE, DATASET, METRIC, PARAM, And, Clause, Comparison, Not, Or, Order, Value
from trackd.search.schemas import ID, Schema

#: The tag of a dataset input that holds its context.
CONTEXT_TAG = "mlflow.data.context"

Entity = Union[Run, Experiment, LoggedModel, RegisteredModel, ModelVersion]
_E = TypeVar("_E", Run, Experiment, LoggedModel, RegisteredModel, ModelVersion)

_LOWER = {ord(letter): ord(letter.lower()) for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}


def lower(text: str) -> str:
    """``text`` with A to Z in lower case and all else as it is: SQLite's ``lower``."""
    return text.translate(_LOWER)


def like(text: str, pattern: str) -> bool:
    """Whether all of ``text`` is of the form ``pattern``; never slower than the product of their lengths.

    As in SQLite, a NUL ends ``text``.
    """
    text = text.partition("\0")[0]
    at = part = 0
    retry_at, retry_part = 0, -1  # the last % may swallow one character more
    while at < len(text):
        if part < len(pattern) and pattern[part] == "%":
            retry_at, retry_part = at, part
            part += 1
        elif part < len(pattern) and pattern[part] in ("_", text[at]):
            at += 1
            part += 1
        elif retry_part >= 0:
            retry_at += 1
            at, part = retry_at, retry_part + 1
        else:
            return False
    return not pattern[part:].strip("%")


_OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "LIKE": like,
    "ILIKE": lambda text, pattern: like(lower(text), lower(pattern)),
    "IN": lambda value, values: value in values,
    "NOT IN": lambda value, values: value not in values,
}


def matches(clause: Optional[Clause], entity: Entity) -> bool:
    """Whether the filter is true for the entity; no filter always is."""
    if clause is None:
        return True
    if isinstance(clause, And):
        return all(matches(part, entity) for part in clause.parts)
    if isinstance(clause, Or):
        return any(matches(part, entity) for part in clause.parts)
    if isinstance(clause, Not):
        return not matches(clause.part, entity)
    return _compares(clause, entity)


def _compares(comparison: Comparison, entity: Entity) -> bool:
    if comparison.kind == DATASET:
        found: Sequence[Value] = _dataset_values(entity, comparison.key)
    elif isinstance(entity, LoggedModel) and comparison.kind == METRIC:
        found = [point.value for point in entity.metrics if _counts(point, comparison)]
    else:
        value = _value(entity, comparison.kind, comparison.key)
        found = () if value is None else (value,)
    if comparison.operator in ("IS NULL", "IS NOT NULL"):
        return bool(found) == (comparison.operator == "IS NOT NULL")
    compare = _OPERATORS[comparison.operator]
    return any(compare(value, comparison.value) for value in found)


def _counts(point: Metric, comparison: Comparison) -> bool:
    """Whether a point of a logged model is of the metric, and on one of the datasets if there are any."""
    on_dataset = not comparison.datasets or (point.dataset_name, point.dataset_digest) in comparison.datasets
    return on_dataset and comparison.key in ("", point.key)


def _latest(model: LoggedModel, order: Order) -> Value:
    """The value of the point by which a logged model is sorted; ``None``: it has none."""
    points = [
        point
        for point in model.metrics
        if point.key == order.key
        and order.dataset_name in (None, point.dataset_name)
        and order.dataset_digest in (None, point.dataset_digest)
    ]
    # Of points at one moment of one run a folder may have several; the highest number of them.
    points.sort(key=lambda point: -math.inf if math.isnan(point.value) else point.value, reverse=True)
    points.sort(key=lambda point: math.isnan(point.value))
    points.sort(key=lambda point: point.run_id or "")
    points.sort(key=lambda point: (point.timestamp, point.step), reverse=True)
    return points[0].value if points else None


def _value(entity: Entity, kind: str, key: str) -> Value:
    """What the entity has under the key; ``None``: nothing."""
    if kind == ATTRIBUTE:
        return getattr(entity.info if isinstance(entity, (Run, LoggedModel)) else entity, key)
    if isinstance(entity, Run) and kind == METRIC:
        return next((metric.value for metric in entity.metrics if metric.key == key), None)
    if isinstance(entity, (Run, LoggedModel)) and kind == PARAM:
        return next((param.value for param in entity.params if param.key == key), None)
    return next((tag.value for tag in entity.tags if tag.key == key), None)


def _dataset_values(entity: Entity, key: str) -> List[Value]:
    values: List[Value] = []
    for dataset, tags in entity.dataset_inputs if isinstance(entity, Run) else ():
        if key == "context":
            values.extend(tag.value for tag in tags if tag.key == CONTEXT_TAG)
        else:
            values.append(getattr(dataset, key))
    return values


def is_prompt(entity: Union[RegisteredModel, ModelVersion]) -> bool:
    """Whether a registered model or version is tagged as a prompt. Versions are hidden with others of their model."""
    return any(tag == (IS_PROMPT_TAG, "true") for tag in entity.tags)


def sort_key(entity: Entity, order: Sequence[Order], schema: Schema) -> Tuple[Union[str, int, float, None], ...]:
    """The sort columns of an entity under a complete order, as ``Cursor.after`` holds them.

    A metric has two: 0 and its value, or 1 (NaN) or 2 (missing) and ``None``. All else has its value or ``None``.
    """
    columns: List[Union[str, int, float, None]] = []
    for item in order:
        kind, key = item[:2]
        latest = isinstance(entity, LoggedModel) and kind == METRIC
        value: Any = _latest(entity, item) if latest else _value(entity, kind, key)  # type: ignore[arg-type]
        if kind == METRIC:
            rank = 2 if value is None else int(math.isnan(value))
            columns += [rank, value if rank == 0 else None]
        elif kind == ATTRIBUTE and schema.attribute_type(key) == ID:
            columns.append(int(value))
        else:
            columns.append(value)
    return tuple(columns)


def sorted_entities(entities: Iterable[_E], order: Sequence[Order], schema: Schema) -> List[_E]:
    """The entities in this order, completed by the schema's defaults and ties."""
    found = list(entities)
    for item in reversed(schema.complete(order)):
        ranked: Dict[int, List[Tuple[Any, _E]]] = {0: [], 1: [], 2: []}
        for entity in found:
            value = sort_key(entity, [item], schema)[-1]
            rank = 0 if value is not None else 2
            if item.kind == METRIC:
                rank = int(sort_key(entity, [item], schema)[0])  # type: ignore[arg-type]
            ranked[rank].append((value, entity))
        # Stable in both directions: what this key leaves equal stays as the keys after it put it.
        ranked[0].sort(key=lambda pair: pair[0], reverse=not item.ascending)
        found = [entity for rank in (0, 1, 2) for _, entity in ranked[rank]]
    return found
