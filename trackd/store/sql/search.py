"""Filter, order and cursor -> SQL on MLflow's tables: the only WHERE builder. ``evaluate`` says what it must mean.

The shape of a statement::

    SELECT <the entity's columns>, k.c0, k.c1, ...          -- what entities are filled from, then the sort key
    FROM (SELECT <sort key> AS c0, ...                      -- narrow rows, of which the sorter keeps limit + 1
          FROM runs r LEFT JOIN latest_metrics j0 ON j0.run_uuid = r.run_uuid AND j0.key = ? ...
          WHERE <experiments, stage> AND <filter> AND <after the cursor> ORDER BY c0, ... LIMIT ?) k
    CROSS JOIN runs r ON r.run_uuid = k.c1 ORDER BY c0, ...  -- the last of the sort key is the id

* Each metric, param or tag that a filter or order names is joined once, by its primary key. Conditions on them are
  written ``(...) IS TRUE``, which makes them two-valued (a missing row is false, so NOT is the complement) and keeps
  SQLite from turning LEFT JOIN into JOIN and starting at the key's rows, which may be those of all experiments. So the
  cost of a search grows with the runs of the experiments searched, and with nothing else.
* NOT is carried down to the comparisons, and the deepest operand is written first: SQLite's parser has a stack of 100,
  and this takes one place of it per level.
* LIKE is GLOB with its wildcards exchanged, which is the same engine and minds the case whatever the connection's
  ``case_sensitive_like`` says; ILIKE is GLOB on ``lower()``, which knows A to Z.
* All values and keys are bound; lists are one JSON text each (``json_each``: SQLite's JSON1, in every usual build).
  Nothing newer than SQLite 3.31 is used, and no function of ours.
"""

import json
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

from trackd.entities import ACTIVE_ONLY, ALL, DELETED_ONLY, DELETED_STAGE, IS_PROMPT_TAG
from trackd.errors import InvalidParameterValue
from trackd.search.clause import ATTRIBUTE, DATASET, METRIC, TAG, And, Clause, Comparison, Cursor, Not, Or, Order
from trackd.search.evaluate import CONTEXT_TAG, lower
from trackd.search.schemas import ID, TEXT
from trackd.store.sql.sources import (
    EXPERIMENTS_SOURCE,
    INDEXED,
    LOGGED_MODELS_SOURCE,
    MODEL_VERSIONS_SOURCE,
    NEVER_NULL,
    REGISTERED_MODELS_SOURCE,
    RUNS_SOURCE,
    Source,
)
from trackd.store.sql.tables import Tables

#: Different metrics, params and tags in a filter and order together. SQLite joins 64 tables at most.
MAX_JOINS = 60
#: Bound values of a statement: SQLite before 3.32 takes no more.
MAX_VALUES = 999

_STAGES = {
    ACTIVE_ONLY: "r.lifecycle_stage = 'active'",
    DELETED_ONLY: "r.lifecycle_stage = 'deleted'",
    ALL: "r.lifecycle_stage IN ('active', 'deleted')",
}
_INT64 = 2**63
_GLOB = str.maketrans({"%": "*", "_": "?", "*": "[*]", "?": "[?]", "[": "[[]"})


class Statement(NamedTuple):
    """A query for one page. ``page`` makes what it fetched into the page."""

    sql: str
    parameters: List[Any]
    width: int
    limit: int
    offset: int

    def page(self, fetched: Sequence[Sequence[Any]]) -> Tuple[List[Tuple[Any, ...]], Optional[Cursor]]:
        """The rows of the page (the entity's columns only), and the cursor of the next page, if there is one.

        The statement fetches one row above the limit to know.
        """
        rows = [tuple(row[: self.width]) for row in fetched[: self.limit]]
        if len(fetched) <= self.limit:
            return rows, None
        return rows, Cursor(self.offset + self.limit, tuple(fetched[self.limit - 1][self.width :]))


class _Column(NamedTuple):
    """A sort column. ``types`` are those of its values in a cursor; ``nullable`` ones may be missing, which is last.

    ``indexed``: there may be an index that has it.
    """

    expression: str
    ascending: bool
    nullable: bool
    types: Tuple[type, ...]
    indexed: bool = False


def select_runs(
    experiment_ids: Sequence[str],
    view_type: str,
    clause: Optional[Clause],
    order: Sequence[Order],
    limit: int,
    cursor: Cursor = Cursor(),
    has_datasets: bool = True,
) -> Statement:
    """The statement for a page of at most ``limit`` (> 0) runs; its rows begin with the columns of ``RunInfo``.

    Without ``has_datasets`` there are no tables for them, and no run has one.
    ``order`` is as ``parse_order_by`` makes it. Ids that are no integers find nothing, as those that are not there.

    :raises InvalidParameterValue: for a cursor that belongs to another order, and above ``MAX_JOINS``.
    """
    source = RUNS_SOURCE if has_datasets else RUNS_SOURCE._replace(datasets=False)
    among, ids = _in_experiments(experiment_ids)
    return _statement(source, f"{among} AND {_STAGES[view_type]}", ids, clause, order, limit, cursor)


def select_logged_models(
    experiment_ids: Sequence[str],
    clause: Optional[Clause],
    order: Sequence[Order],
    limit: int,
    cursor: Cursor = Cursor(),
) -> Statement:
    """The statement for a page of logged models that are not deleted; its rows are those of ``LoggedModelInfo``.

    Otherwise as ``select_runs``.
    """
    among, ids = _in_experiments(experiment_ids)
    among += f" AND {_STAGES[ACTIVE_ONLY]}"
    return _statement(LOGGED_MODELS_SOURCE, among, ids, clause, order, limit, cursor)


def _in_experiments(experiment_ids: Sequence[str]) -> Tuple[str, List[Any]]:
    """The condition that something belongs to one of these experiments, with its values."""
    ids = sorted({int(text) for text in experiment_ids if text.isdecimal() and len(text) < 19})
    if len(ids) == 1:
        return "r.experiment_id = ?", list(ids)
    return "r.experiment_id IN (SELECT value FROM json_each(?))", [json.dumps(ids)]


def select_experiments(
    view_type: str,
    clause: Optional[Clause],
    order: Sequence[Order],
    limit: int,
    cursor: Cursor = Cursor(),
) -> Statement:
    """The statement for a page of experiments; its rows begin with the columns of ``Experiment``, without the tags.

    Otherwise as ``select_runs``.
    """
    return _statement(EXPERIMENTS_SOURCE, _STAGES[view_type], [], clause, order, limit, cursor)


def select_registered_models(
    tables: Tables,
    prompts: bool,
    clause: Optional[Clause],
    order: Sequence[Order],
    limit: int,
    cursor: Cursor = Cursor(),
) -> Statement:
    """The statement for a page of registered models; its rows begin with the columns of ``RegisteredModel``.

    ``prompts``: as in ``store.base``. Otherwise as ``select_runs``.
    """
    source, among = _in_workspace(REGISTERED_MODELS_SOURCE, tables, prompts)
    return _statement(source, among or "1", [], clause, order, limit, cursor)


def select_model_versions(
    tables: Tables,
    prompts: bool,
    clause: Optional[Clause],
    order: Sequence[Order],
    limit: int,
    cursor: Cursor = Cursor(),
) -> Statement:
    """The statement for a page of model versions; its rows begin with ``MODEL_VERSION_COLUMNS``.

    ``prompts``: as in ``store.base``. Otherwise as ``select_runs``.
    """
    source, among = _in_workspace(MODEL_VERSIONS_SOURCE, tables, prompts)
    source = source._replace(columns=tuple(tables.select(source.table, source.columns).split(", ")))
    kept = f"r.current_stage != '{DELETED_STAGE}'"
    return _statement(source, f"{among} AND {kept}" if among else kept, [], clause, order, limit, cursor)


def _in_workspace(source: Source, tables: Tables, prompts: bool) -> Tuple[Source, str]:
    """The source and the condition on its rows, for a database with or without workspaces."""
    conditions = []
    if tables.has_workspaces:
        source = source._replace(scope="t.workspace = 'default' AND ")
        conditions.append("r.workspace = 'default'")
    if not prompts:
        conditions.append(
            f"r.name NOT IN (SELECT t.name FROM {source.keys[TAG].table} t"
            f" WHERE {source.scope}t.key = '{IS_PROMPT_TAG}' AND t.value = 'true')"
        )
    return source, " AND ".join(conditions)


def _statement(
    source: Source,
    among: str,
    among_parameters: Sequence[Any],
    clause: Optional[Clause],
    order: Sequence[Order],
    limit: int,
    cursor: Cursor,
) -> Statement:
    where = _Where(source)
    condition = among
    parameters: List[Any] = list(among_parameters)
    if clause is not None:
        condition += f" AND {where.text(clause)}"
        parameters += where.parameters
    columns = [column for item in source.schema.complete(order) for column in _columns(where, item)]
    names = [f"c{number}" for number in range(len(columns))]
    ordering = ", ".join(map(_term, names, columns))
    sort_key = ", ".join(f"{column.expression} AS {name}" for name, column in zip(names, columns))
    # The id is nearly always one of the sort columns: twice in a row of the sorter, it would double the sorter's time.
    ids = [name for name, column in zip(names, columns) if column.expression == f"r.{source.id}"]
    id_name, selected = (ids[0], sort_key) if ids else ("id", f"r.{source.id} AS id, {sort_key}")
    select = f"SELECT {selected} FROM {source.table} r{where.joins()} WHERE {condition}"
    parameters = where.join_keys() + parameters
    if cursor.after is None:
        inner, parameters = f"{select} ORDER BY {ordering} LIMIT ? OFFSET ?", parameters + [limit + 1, cursor.offset]
    else:
        _check(cursor.after, columns)
        inner, parameters = _rest(select, parameters, ordering, cursor.after, columns, limit + 1)
    if len(parameters) > MAX_VALUES:
        raise InvalidParameterValue("Invalid search: filter, datasets and order_by hold too much; ask for less.")
    sql = (
        f"SELECT {', '.join(source.columns)}, {', '.join('k.' + name for name in names)}"
        f" FROM ({inner}) k CROSS JOIN {source.table} r ON r.{source.id} = k.{id_name} ORDER BY {ordering}"
    )
    return Statement(sql, parameters, len(source.columns), limit, cursor.offset)


def _rest(
    select: str, parameters: List[Any], ordering: str, after: Sequence[Any], columns: Sequence[_Column], count: int
) -> Tuple[str, List[Any]]:
    """What of ``select`` comes after the cursor, in order, ``count`` rows of it.

    Where the first column can be read from an index, its values and what has none are asked for apart: so SQLite begins
    at the cursor's place in the index, and comes to the second part only if the first has not filled the page. The +
    there keeps it from reading a whole table in the order of its id when there is no such index.
    """
    text, values = _after(after, columns)
    first = columns[0]
    if not first.indexed or after[0] is None:
        return f"{select} AND ({text}) ORDER BY {ordering} LIMIT ?", parameters + values + [count]
    bound = f"{first.expression} {'>=' if first.ascending else '<='} ?"
    if not first.nullable:
        there = f"{select} AND {bound} AND ({text}) ORDER BY {ordering} LIMIT ?"
        return there, parameters + [after[0]] + values + [count]
    unindexed = ", ".join(f"+{term}" for term in ordering.split(", "))
    return (
        f"SELECT * FROM ({select} AND {bound} AND ({text}) ORDER BY {ordering} LIMIT ?) UNION ALL"
        f" SELECT * FROM ({select} AND {first.expression} IS NULL ORDER BY {unindexed} LIMIT ?) LIMIT ?",
        parameters + [after[0]] + values + [count] + parameters + [count, count],
    )


def _term(name: str, column: _Column) -> str:
    """A column in ORDER BY; without a word NULL is the smallest to SQLite, so it is last in DESC anyway."""
    if not column.ascending:
        return f"{name} DESC"
    return f"{name} NULLS LAST" if column.nullable else name


class _Where:
    """Makes a clause into a condition; collects the joins and bound values that it needs, in the order of the text."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._joined: Dict[Order, str] = {}
        self.parameters: List[Any] = []

    def alias(self, item: Order) -> str:
        """The join of a metric, param or tag; one for all uses of the key."""
        item = item._replace(ascending=True)
        if item not in self._joined and len(self._joined) == MAX_JOINS:
            raise InvalidParameterValue(
                f"Invalid search: filter and order_by name more than {MAX_JOINS} different metrics, params and tags."
            )
        return self._joined.setdefault(item, f"j{len(self._joined)}")

    def joins(self) -> str:
        """All joins, with a placeholder each for the key."""
        return "".join([self._join(item, alias) for item, alias in self._joined.items()])

    def _join(self, item: Order, alias: str) -> str:
        keys, id = self.source.keys[item.kind], self.source.id
        if not keys.latest:
            return f" LEFT JOIN {keys.table} {alias} ON {alias}.{id} = r.{id} AND {alias}.{keys.key} = ?"
        name = " AND dataset_name = ?" if item.dataset_name is not None else ""
        digest = " AND dataset_digest = ?" if item.dataset_digest is not None else ""
        # Read from the index of the table, from the last point on, up to the first that fits.
        return (
            f" LEFT JOIN {keys.table} {alias} ON {alias}.rowid = (SELECT rowid FROM {keys.table}"
            f" WHERE {id} = r.{id} AND {keys.key} = ?{name}{digest} ORDER BY {keys.latest} LIMIT 1)"
        )

    def join_keys(self) -> List[Any]:
        """The values of these placeholders."""
        return [
            value
            for item in self._joined
            for value in (item.key, item.dataset_name, item.dataset_digest)
            if value is not None
        ]

    def text(self, clause: Clause, wanted: bool = True) -> str:
        """The condition that the clause is true, or that it is not."""
        if isinstance(clause, Not):
            return self.text(clause.part, not wanted)
        if isinstance(clause, (And, Or)):
            word = " AND " if isinstance(clause, And) == wanted else " OR "
            parts = sorted(clause.parts, key=_depth, reverse=True)
            return f"({word.join([self.text(part, wanted) for part in parts])})"
        return self._comparison(clause, wanted)

    def _comparison(self, comparison: Comparison, wanted: bool) -> str:
        kind, key, operator, value = comparison[:4]
        if kind == METRIC and self.source.keys[METRIC].latest:
            return self._any_point(comparison, wanted)
        if kind == DATASET:
            return f"r.{self.source.id} {'IN' if wanted else 'NOT IN'} {self._runs_with_dataset(comparison)}"
        if kind == ATTRIBUTE:
            condition = self._compare(self._attribute(key), operator, value)
            return condition if wanted else f"({condition}) IS NOT TRUE"
        if self.source.looked_up:
            return self._look_up(comparison, wanted)
        alias, keys = self.alias(Order(kind, key)), self.source.keys[kind]
        if operator in ("IS NULL", "IS NOT NULL"):
            missing = (operator == "IS NULL") == wanted
            return f"{alias}.{keys.key} IS {'' if missing else 'NOT '}NULL"
        condition = self._compare(f"{alias}.{keys.value}", operator, value)
        if kind == METRIC:
            # NaN is kept as 0 and a flag; it differs from every number and compares with none.
            condition += f" OR {alias}.is_nan" if operator == "!=" else f" AND NOT {alias}.is_nan"
        return f"({condition}) IS {'' if wanted else 'NOT '}TRUE"

    def _any_point(self, comparison: Comparison, wanted: bool) -> str:
        """Whether any point of a metric satisfies it. NaN is NULL here (or 0, where MLflow wrote it)."""
        keys, id = self.source.keys[METRIC], self.source.id
        conditions = [f"m.{id} = r.{id}"]
        if comparison.key:
            conditions.append(f"m.{keys.key} = ?")
            self.parameters.append(comparison.key)
        if comparison.operator != "IS NOT NULL":
            condition = self._compare(f"m.{keys.value}", comparison.operator, comparison.value)
            conditions.append(f"({condition} OR m.{keys.value} IS NULL)" if comparison.operator == "!=" else condition)
        if comparison.datasets:
            conditions.append(
                "EXISTS (SELECT 1 FROM json_each(?) d WHERE m.dataset_name = json_extract(d.value, '$[0]')"
                " AND m.dataset_digest = json_extract(d.value, '$[1]'))"
            )
            self.parameters.append(json.dumps(comparison.datasets))
        return f"{'' if wanted else 'NOT '}EXISTS (SELECT 1 FROM {keys.table} m WHERE {' AND '.join(conditions)})"

    def _look_up(self, comparison: Comparison, wanted: bool) -> str:
        """Whether the entity is one of those that have such a tag."""
        kind, key, operator, value = comparison[:4]
        self.parameters.append(key)
        condition = ""
        if operator == "IS NULL":
            wanted = not wanted
        elif operator != "IS NOT NULL":
            condition = f" AND {self._compare('t.value', operator, value)}"
        columns = self.source.looked_up
        whole, found = (", ".join(f"{alias}.{column}" for column in columns) for alias in "rt")
        return (
            f"({whole}) {'IN' if wanted else 'NOT IN'} (SELECT {found} FROM {self.source.keys[kind].table} t"
            f" WHERE {self.source.scope}t.key = ?{condition})"
        )

    def _attribute(self, name: str) -> str:
        column = f"r.{self.source.renamed.get(name, name)}"
        return f"CAST({column} AS TEXT)" if self.source.schema.attribute_type(name) == ID else column

    def _runs_with_dataset(self, comparison: Comparison) -> str:
        if not self.source.datasets:
            return "(SELECT NULL WHERE 0)"
        # Few datasets are shared by many runs, so what matches is looked up once. The + keeps SQLite from an index that
        # begins with the type, which nearly all rows have in common.
        if comparison.key == "context":
            condition = self._compare("t.value", comparison.operator, comparison.value)
            return (
                "(SELECT i.destination_id FROM input_tags t CROSS JOIN inputs i ON i.input_uuid = t.input_uuid"
                f" WHERE t.name = '{CONTEXT_TAG}' AND {condition}"
                " AND +i.source_type = 'DATASET' AND +i.destination_type = 'RUN')"
            )
        # The key is one of the two others that the schema lists.
        column = {"name": "d.name", "digest": "d.digest"}[comparison.key]
        return (
            "(SELECT i.destination_id FROM datasets d CROSS JOIN inputs i"
            " ON i.source_type = 'DATASET' AND i.source_id = d.dataset_uuid AND i.destination_type = 'RUN'"
            f" WHERE {self._compare(column, comparison.operator, comparison.value)})"
        )

    def _compare(self, column: str, operator: str, value: Any) -> str:
        if operator == "LIKE":
            self.parameters.append(value.translate(_GLOB))
            return f"{column} GLOB ?"
        if operator == "ILIKE":
            self.parameters.append(lower(value).translate(_GLOB))
            return f"lower({column}) GLOB ?"
        if operator in ("IN", "NOT IN"):
            self.parameters.append(json.dumps(value))
            return f"{column} {operator} (SELECT value FROM json_each(?))"
        self.parameters.append(value)
        return f"{column} {operator} ?"


def _depth(clause: Clause) -> int:
    if isinstance(clause, Comparison):
        return 0
    if isinstance(clause, Not):
        return _depth(clause.part)
    return 1 + max(map(_depth, clause.parts))


def _columns(where: _Where, order: Order) -> List[_Column]:
    """The sort columns of one key, as ``evaluate.sort_key`` has them."""
    source = where.source
    if order.kind == ATTRIBUTE:
        name, value_type = order.key, source.schema.attribute_type(order.key)
        column = f"r.{source.renamed.get(name, name)}"
        types: Tuple[type, ...] = (str,) if value_type == TEXT else (int, float)
        nullable = name not in source.schema.ids and column not in NEVER_NULL
        return [_Column(column, order.ascending, nullable, types, column in INDEXED)]
    alias, keys = where.alias(order), source.keys[order.kind]
    if order.kind != METRIC:
        return [_Column(f"{alias}.{keys.value}", order.ascending, True, (str,))]
    if keys.latest:
        value = f"{alias}.{keys.value}"
        rank = f"CASE WHEN {value} IS NOT NULL THEN 0 WHEN {alias}.{keys.key} IS NOT NULL THEN 1 ELSE 2 END"
        return [_Column(rank, True, False, (int,)), _Column(value, order.ascending, True, (int, float))]
    rank = f"CASE WHEN {alias}.is_nan THEN 1 WHEN {alias}.value IS NULL THEN 2 ELSE 0 END"
    value = f"CASE WHEN NOT {alias}.is_nan THEN {alias}.value END"
    return [_Column(rank, True, False, (int,)), _Column(value, order.ascending, True, (int, float))]


def _check(after: Sequence[Any], columns: Sequence[_Column]) -> None:
    """Refuse a cursor of another order: SQLite would compare its values all the same, and answer nonsense."""
    fits = len(after) == len(columns) and all(
        isinstance(value, column.types) or (value is None and column.nullable) for value, column in zip(after, columns)
    )
    if not fits:
        raise InvalidParameterValue(
            "Invalid page_token: it belongs to a search with another order_by. Start again without a token."
        )


def _after(after: Sequence[Any], columns: Sequence[_Column]) -> Tuple[str, List[Any]]:
    """The condition that a row comes after the cursor, with its values. What is nested deepest is written first."""
    text = ""
    values: List[Any] = []
    for column, value in zip(reversed(columns), reversed(after)):
        expression = column.expression
        equal, later = (f"{expression} IS NULL", []) if value is None else (f"{expression} = ?", [value])
        ways = [f"({text}) AND {equal}"] if text else []
        if text:
            values += later
        if value is not None:
            ways.append(f"{expression} {'>' if column.ascending else '<'} ?")
            values.append(value)
            if column.nullable:
                ways.append(f"{expression} IS NULL")
        text = " OR ".join(ways)
    return text, values
