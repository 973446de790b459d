"""What can be asked of each entity: kinds of keys, their spellings, operators and value types, as rows.

A new entity is a new table here and nothing in ``grammar``. The rows say what MLflow 3.17.2 accepts
(wire-rules, section 5); what its SQLite store answers is the meaning.
"""

from typing import NamedTuple, Optional, Sequence, Tuple

from trackd.entities import RUN_NAME_TAG
from trackd.search.clause import ATTRIBUTE, DATASET, METRIC, PARAM, TAG, Order

#: Types of values: a quoted string; a number, always made a float; a number, an integer where it is written as one;
#: only integers; a quoted string that holds an integer; an integer, quoted or not.
TEXT, FLOAT, NUMBER, INTEGER, ID, COUNT = "text", "float", "number", "integer", "id", "count"

EQUALITY = ("=", "!=")
COMPARE = ("=", "!=", "<", "<=", ">", ">=")
PATTERN = EQUALITY + ("LIKE", "ILIKE")
LIST = ("IN", "NOT IN")
PRESENCE = ("IS NULL", "IS NOT NULL")


class Key(NamedTuple):
    """One key: its canonical name, the type of its value, its operators.

    ``spellings`` are all its names in filters, ``order_spellings`` in an order (empty: nothing can be ordered by it).
    ``filters_as`` is the (kind, key) that a filter really looks at, where that is another one.
    """

    name: str
    type: str
    operators: Tuple[str, ...]
    spellings: Tuple[str, ...]
    order_spellings: Tuple[str, ...] = ()
    filters_as: Optional[Tuple[str, str]] = None


class Kind(NamedTuple):
    """A kind of keys: what stands before the first dot, and the keys after it.

    ``keys`` lists all there are; ``any_key`` is set instead where users choose the keys (tags, params, metrics).
    """

    kind: str
    spellings: Tuple[str, ...]
    keys: Tuple[Key, ...] = ()
    any_key: Optional[Key] = None

    def key(self, text: str, ordering: bool = False) -> Optional[Key]:
        """The row of the key spelt ``text`` in a filter, or in an order; ``None``: there is no such key."""
        if self.any_key is not None:
            return self.any_key._replace(name=text) if self.any_key.order_spellings or not ordering else None
        for key in self.keys:
            if text in (key.order_spellings if ordering else key.spellings):
                return key
        return None


class Schema(NamedTuple):
    """All that can be asked of one entity, which messages call ``entity``.

    ``default_order`` is used where none is given; ``ties`` follow a given order, each unless its key is in it.
    ``id`` is the attribute that no two entities share, alone or together with those ``beside_id``.
    ``any_case``: LIKE, ILIKE and IN may be written in lower case
    (NOT IN, IS NULL, AND, OR, NOT, ASC and DESC always may). ``repeats``: an order may name a key twice.
    ``loose``: texts of one word need no quotes, and integers may have them.
    """

    entity: str
    kinds: Tuple[Kind, ...]
    id: str
    default_order: Tuple[Order, ...]
    ties: Tuple[Order, ...]
    any_case: bool = True
    repeats: bool = False
    loose: bool = False
    beside_id: Tuple[str, ...] = ()

    def kind(self, spelling: Optional[str]) -> Optional[Kind]:
        """The kind that is written ``spelling`` before the dot; the attributes where there is no dot (``None``)."""
        for kind in self.kinds:
            if (kind.kind == ATTRIBUTE) if spelling is None else (spelling in kind.spellings):
                return kind
        return None

    def attribute_type(self, name: str) -> str:
        """The type of an attribute by its canonical name."""
        for kind in self.kinds:
            for key in kind.keys:
                if kind.kind == ATTRIBUTE and key.name == name:
                    return key.type
        raise KeyError(name)

    def complete(self, order: Sequence[Order]) -> Tuple[Order, ...]:
        """``order`` as it is really sorted by: with defaults and ties, ending at the id, each key once.

        What stands behind the id or repeats a key cannot make a difference and is left out, so that the sort key
        of an entity is unique and its last value is the id.
        """
        result = []
        seen = set()
        wanted = {Order(ATTRIBUTE, name).identity() for name in self.ids}
        for item in tuple(order or self.default_order) + self.ties:
            if item.identity() not in seen:
                seen.add(item.identity())
                result.append(item)
            if wanted <= seen:
                break
        return tuple(result)

    @property
    def ids(self) -> Tuple[str, ...]:
        """The attributes that tell entities apart; they are never missing."""
        return (self.id, *self.beside_id)


def _text(name: str, operators: Tuple[str, ...] = PATTERN) -> Key:
    return Key(name, TEXT, operators, (name,), (name,))


def _any(value_type: str, operators: Tuple[str, ...]) -> Key:
    return Key("", value_type, operators, (), ("*",))


EXPERIMENTS = Schema(
    entity="an experiment",
    kinds=(
        Kind(
            ATTRIBUTE,
            ("attribute",),
            (
                _text("name"),
                Key("experiment_id", ID, EQUALITY + LIST, ("experiment_id",), ("experiment_id",)),
                Key("creation_time", INTEGER, COMPARE, ("creation_time",), ("creation_time",)),
                Key("last_update_time", INTEGER, COMPARE, ("last_update_time",), ("last_update_time",)),
            ),
        ),
        Kind(TAG, ("tag", "tags"), any_key=Key("", TEXT, PATTERN + PRESENCE, ())),
    ),
    id="experiment_id",
    default_order=(Order(ATTRIBUTE, "creation_time", False), Order(ATTRIBUTE, "experiment_id")),
    ties=(Order(ATTRIBUTE, "experiment_id", False),),
    any_case=False,
    repeats=True,
)

_START_TIME = ("start_time", "created", "Created")

RUNS = Schema(
    entity="a run",
    kinds=(
        Kind(
            ATTRIBUTE,
            ("attribute", "attributes", "attr", "run"),
            (
                _text("run_id", PATTERN + LIST),
                # The name column is empty for runs of MLflow <= 1.29, the tag is not; an order uses the column.
                Key(
                    "run_name",
                    TEXT,
                    PATTERN,
                    ("run_name", "run name", "Run name", "Run Name"),
                    ("run_name",),
                    filters_as=(TAG, RUN_NAME_TAG),
                ),
                _text("user_id"),
                _text("status"),
                _text("artifact_uri"),
                Key("start_time", NUMBER, COMPARE, _START_TIME, _START_TIME),
                Key("end_time", NUMBER, COMPARE, ("end_time",), ("end_time",)),
            ),
        ),
        Kind(METRIC, ("metric", "metrics"), any_key=_any(FLOAT, COMPARE)),
        Kind(PARAM, ("param", "params", "parameter", "parameters"), any_key=_any(TEXT, PATTERN + PRESENCE)),
        Kind(TAG, ("tag", "tags"), any_key=_any(TEXT, PATTERN + PRESENCE)),
        Kind(
            DATASET,
            ("dataset", "datasets"),
            tuple(Key(name, TEXT, PATTERN + LIST, (name,)) for name in ("name", "digest", "context")),
        ),
    ),
    id="run_id",
    default_order=(),
    ties=(Order(ATTRIBUTE, "start_time", False), Order(ATTRIBUTE, "run_id")),
)

_CREATED = ("creation_timestamp_ms", "creation_timestamp", "creation_time")
_UPDATED = ("last_updated_timestamp_ms", "last_updated_timestamp")

LOGGED_MODELS = Schema(
    entity="a logged model",
    kinds=(
        Kind(
            ATTRIBUTE,
            ("attributes",),
            (
                _text("model_id", PATTERN + LIST),
                _text("name", PATTERN + LIST),
                _text("model_type", PATTERN + LIST),
                Key("status", INTEGER, EQUALITY + LIST, ("status",), ("status",)),
                _text("source_run_id", PATTERN + LIST),
                Key("experiment_id", ID, EQUALITY + LIST, ("experiment_id",), ("experiment_id",)),
                Key("creation_timestamp_ms", NUMBER, COMPARE, _CREATED, _CREATED),
                Key("last_updated_timestamp_ms", NUMBER, COMPARE, _UPDATED, _UPDATED),
                _text("lifecycle_stage", PATTERN + LIST),
                _text("artifact_location", PATTERN + LIST),
                _text("status_message", PATTERN + LIST),
            ),
        ),
        # A model may have many points of a metric: a comparison is true where one of them satisfies it.
        Kind(METRIC, ("metrics",), any_key=_any(FLOAT, COMPARE)),
        Kind(PARAM, ("params",), any_key=Key("", TEXT, PATTERN + LIST, ())),
        Kind(TAG, ("tags",), any_key=Key("", TEXT, PATTERN + LIST, ())),
    ),
    id="model_id",
    default_order=(),
    ties=(Order(ATTRIBUTE, "creation_timestamp_ms", False), Order(ATTRIBUTE, "model_id")),
    repeats=True,
    loose=True,
)

_TIMES = ("last_updated_timestamp", "timestamp")

REGISTERED_MODELS = Schema(
    entity="a registered model",
    kinds=(
        Kind(
            ATTRIBUTE,
            ("attribute",),
            (
                _text("name", PATTERN + LIST),
                Key("last_updated_timestamp", INTEGER, COMPARE, (), _TIMES),
            ),
        ),
        Kind(TAG, ("tag", "tags"), any_key=Key("", TEXT, PATTERN + PRESENCE, ())),
    ),
    id="name",
    default_order=(),
    ties=(Order(ATTRIBUTE, "name"),),
)

MODEL_VERSIONS = Schema(
    entity="a model version",
    kinds=(
        Kind(
            ATTRIBUTE,
            ("attribute",),
            (
                _text("name", PATTERN + LIST),
                Key("run_id", TEXT, PATTERN + LIST, ("run_id",)),
                Key("source", TEXT, PATTERN, ("source_path",)),
                Key("version", COUNT, COMPARE, ("version_number",), ("version_number",)),
                Key("creation_timestamp", INTEGER, COMPARE, (), ("creation_timestamp",)),
                Key("last_updated_timestamp", INTEGER, COMPARE, (), ("last_updated_timestamp",)),
            ),
        ),
        Kind(TAG, ("tag", "tags"), any_key=Key("", TEXT, PATTERN + PRESENCE, ())),
    ),
    id="version",
    default_order=(Order(ATTRIBUTE, "last_updated_timestamp", False),),
    ties=(Order(ATTRIBUTE, "name"), Order(ATTRIBUTE, "version", False)),
    beside_id=("name",),
)
