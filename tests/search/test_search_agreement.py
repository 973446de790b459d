"""``store/sql/search.py`` against ``evaluate``, the reference: random entities, filters, orders and page sizes."""

import math
import os
import sqlite3
from typing import Any, List, Optional, Sequence, Tuple

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from trackd.entities import (
    ACTIVE_ONLY,
    ALL,
    DELETED_ONLY,
    RUN_NAME_TAG,
    Dataset,
    DatasetInput,
    Experiment,
    LoggedModel,
    LoggedModelInfo,
    Metric,
    Param,
    Run,
    RunInfo,
    Tag,
)
from trackd.errors import InvalidParameterValue
from trackd.search import paging
from trackd.search.clause import ATTRIBUTE, DATASET, METRIC, PARAM, TAG, And, Clause, Comparison, Cursor, Not, Or, Order
from trackd.search.evaluate import matches, sort_key, sorted_entities
from trackd.search.grammar import MAX_COMPARISONS, MAX_DEPTH, MAX_ORDERS, parse_filter, parse_order_by
from trackd.search.schemas import COUNT, EXPERIMENTS, ID, INTEGER, LOGGED_MODELS, RUNS
from trackd.store.sql.schema import TABLES
from trackd.store.sql.search import MAX_JOINS, select_experiments, select_logged_models, select_runs

# The columns and keys of MLflow's own tables (rowid tables, key first), which differ from the index's.
MLFLOW_TABLES = """
CREATE TABLE experiments (experiment_id INTEGER NOT NULL PRIMARY KEY, name VARCHAR(256) NOT NULL,
    artifact_location VARCHAR(256), lifecycle_stage VARCHAR(32), creation_time BIGINT, last_update_time BIGINT);
CREATE TABLE experiment_tags (key VARCHAR(250) NOT NULL, value TEXT, experiment_id INTEGER NOT NULL,
    PRIMARY KEY (key, experiment_id));
CREATE TABLE runs (run_uuid VARCHAR(32) NOT NULL, name VARCHAR(250), user_id VARCHAR(256), status VARCHAR(9),
    start_time BIGINT, end_time BIGINT, lifecycle_stage VARCHAR(20), artifact_uri VARCHAR(200), experiment_id INTEGER,
    deleted_time BIGINT, PRIMARY KEY (run_uuid));
CREATE TABLE tags (key VARCHAR(250) NOT NULL, value VARCHAR(8000), run_uuid VARCHAR(32) NOT NULL,
    PRIMARY KEY (key, run_uuid));
CREATE INDEX index_tags_run_uuid ON tags (run_uuid);
CREATE TABLE params (key VARCHAR(250) NOT NULL, value VARCHAR(8000) NOT NULL, run_uuid VARCHAR(32) NOT NULL,
    PRIMARY KEY (key, run_uuid));
CREATE TABLE latest_metrics (key VARCHAR(250) NOT NULL, value FLOAT NOT NULL, timestamp BIGINT, step BIGINT NOT NULL,
    is_nan BOOLEAN NOT NULL, run_uuid VARCHAR(32) NOT NULL, PRIMARY KEY (key, run_uuid));
CREATE INDEX index_latest_metrics_run_uuid ON latest_metrics (run_uuid);
CREATE TABLE datasets (dataset_uuid VARCHAR(36) NOT NULL, experiment_id INTEGER NOT NULL, name VARCHAR(500) NOT NULL,
    digest VARCHAR(36) NOT NULL, dataset_source_type VARCHAR(36) NOT NULL, dataset_source TEXT NOT NULL,
    dataset_schema TEXT, dataset_profile TEXT, PRIMARY KEY (experiment_id, name, digest));
CREATE INDEX index_datasets_dataset_uuid ON datasets (dataset_uuid);
CREATE TABLE inputs (input_uuid VARCHAR(36) NOT NULL, source_type VARCHAR(36) NOT NULL, source_id VARCHAR(36) NOT NULL,
    destination_type VARCHAR(36) NOT NULL, destination_id VARCHAR(36) NOT NULL, step BIGINT DEFAULT '0' NOT NULL,
    PRIMARY KEY (source_type, source_id, destination_type, destination_id));
CREATE TABLE input_tags (input_uuid VARCHAR(36) NOT NULL, name VARCHAR(255) NOT NULL, value VARCHAR(500) NOT NULL,
    PRIMARY KEY (input_uuid, name));
CREATE TABLE logged_models (model_id VARCHAR(36) NOT NULL, experiment_id INTEGER NOT NULL, name VARCHAR(500) NOT NULL,
    artifact_location VARCHAR(1000) NOT NULL, creation_timestamp_ms BIGINT NOT NULL,
    last_updated_timestamp_ms BIGINT NOT NULL, status INTEGER NOT NULL, lifecycle_stage VARCHAR(32),
    model_type VARCHAR(500), source_run_id VARCHAR(32), status_message VARCHAR(1000), PRIMARY KEY (model_id));
CREATE TABLE logged_model_metrics (model_id VARCHAR(36) NOT NULL, metric_name VARCHAR(500) NOT NULL,
    metric_timestamp_ms BIGINT NOT NULL, metric_step BIGINT NOT NULL, metric_value FLOAT,
    experiment_id INTEGER NOT NULL, run_id VARCHAR(32) NOT NULL, dataset_uuid VARCHAR(36), dataset_name VARCHAR(500),
    dataset_digest VARCHAR(36), PRIMARY KEY (model_id, metric_name, metric_timestamp_ms, metric_step, run_id));
CREATE INDEX index_logged_model_metrics_model_id ON logged_model_metrics (model_id);
CREATE TABLE logged_model_params (model_id VARCHAR(36) NOT NULL, experiment_id INTEGER NOT NULL,
    param_key VARCHAR(255) NOT NULL, param_value TEXT NOT NULL, PRIMARY KEY (model_id, param_key));
CREATE TABLE logged_model_tags (model_id VARCHAR(36) NOT NULL, experiment_id INTEGER NOT NULL,
    tag_key VARCHAR(255) NOT NULL, tag_value TEXT NOT NULL, PRIMARY KEY (model_id, tag_key));
"""

# Wildcards of LIKE and of GLOB, both cases, letters outside A to Z, order by code point (an emoji is above U+FFFD).
TEXTS = ["", "a", "A", "ab", "aB", "b", "10", "9", "%", "_", "[a]", "[", "*", "?", "a*b", "a\nb", "é", "É"]
TEXTS += ["\ufffd", "😀"]
PATTERNS = TEXTS + ["%a%", "a%", "_", "__", "%b", "%%", "a_b", "[%", "*%", "_%_", "A%", "É%", "%😀", "?", "[a-z]"]
KEYS = ["k", "K", "a.b", "key with 'quotes\"", "c0"]
FLOATS = [math.nan, math.inf, -math.inf, 0.0, -0.0, 1.0, -1.0, 0.1, 1e308, 1.7976931348623157e308, 5e-324]
TIMES = [None, 0, 1, 2, 1700000000000, 2**62]

texts, keys = st.sampled_from(TEXTS), st.sampled_from(KEYS)


def pairs(kind: type, values: Any) -> Any:
    return st.dictionaries(keys, values, max_size=3).map(lambda d: tuple(kind(*item) for item in sorted(d.items())))


@st.composite
def runs(draw: Any) -> List[Run]:
    """Up to eight runs in two experiments, with many ties."""
    found = []
    for number in range(draw(st.integers(0, 8))):
        run_id = draw(st.sampled_from("abcdefgh")) + str(number)
        tags = {tag.key: tag for tag in draw(pairs(Tag, texts))}
        name = draw(st.sampled_from([None, "", "a", "A%"]))
        if name is not None and draw(st.booleans()):
            tags[RUN_NAME_TAG] = Tag(RUN_NAME_TAG, name)
        info = RunInfo(
            run_id,
            draw(st.sampled_from(["0", "7"])),
            name,
            draw(st.sampled_from([None, "", "u", "U"])),
            draw(st.sampled_from(["RUNNING", "FINISHED", "FAILED"])),
            draw(st.sampled_from(TIMES)),
            draw(st.sampled_from(TIMES)),
            f"file:///{run_id}",
            draw(st.sampled_from(["active", "deleted"])),
        )
        metrics = tuple(
            Metric(key, value, 0)
            for key, value in draw(st.dictionaries(keys, st.sampled_from(FLOATS), max_size=3)).items()
        )
        inputs = draw(
            st.lists(
                st.builds(
                    lambda name, digest, tags: DatasetInput(Dataset(name, digest, "local", "x"), tags),
                    st.sampled_from(["a", "A%", "é"]),
                    st.sampled_from(["1", "2"]),
                    st.sampled_from([(), (Tag("mlflow.data.context", "a"),), (Tag("other", "a"),)]),
                ),
                max_size=2,
                unique_by=lambda one: one.dataset[:2],
            )
        )
        found.append(Run(info, metrics, draw(pairs(Param, texts)), tuple(tags.values()), tuple(inputs)))
    return found


@st.composite
def experiments(draw: Any) -> List[Experiment]:
    """Up to eight experiments; ids of one and two digits, so that order by number and by text differ."""
    return [
        Experiment(
            str(number),
            draw(st.sampled_from(TEXTS)),
            "x",
            draw(st.sampled_from(["active", "deleted"])),
            draw(st.sampled_from(TIMES)),
            draw(st.sampled_from(TIMES)),
            draw(pairs(Tag, texts)),
        )
        for number in draw(st.lists(st.integers(0, 20), max_size=8, unique=True))
    ]


POINTS = st.builds(
    Metric,
    key=keys,
    value=st.sampled_from(FLOATS),
    timestamp=st.sampled_from([0, 1]),
    step=st.sampled_from([0, 1]),
    dataset_name=st.sampled_from(["d", "e"]),
    dataset_digest=st.sampled_from(["1", "2"]),
    run_id=st.sampled_from(["r", "s"]),
)


@st.composite
def logged_models(draw: Any) -> List[LoggedModel]:
    """Up to eight logged models in two experiments, with many ties, and points of which several are the latest."""
    found = []
    for number in range(draw(st.integers(0, 8))):
        model_id = draw(st.sampled_from("abcdefgh")) + str(number)
        info = LoggedModelInfo(
            model_id,
            draw(st.sampled_from(["0", "7"])),
            draw(texts),
            f"file:///{model_id}",
            draw(st.integers(0, 2)),
            draw(st.integers(0, 2)),
            draw(st.integers(0, 3)),
            draw(st.sampled_from(["active", "active", "deleted"])),
            draw(st.sampled_from([None, "", "t"])),
            draw(st.sampled_from([None, "", "r"])),
            draw(st.sampled_from([None, "", "m"])),
        )
        # One point for each time, step and run of a metric: more are not possible in MLflow's table.
        points = draw(st.lists(POINTS, max_size=6, unique_by=lambda p: (p.key, p.timestamp, p.step, p.run_id)))
        some = [point if draw(st.booleans()) else point._replace(dataset_name=None, dataset_digest=None)
                for point in points]
        found.append(LoggedModel(info, draw(pairs(Param, texts)), draw(pairs(Tag, texts)), some))
    return found


@st.composite
def comparisons(draw: Any, schema: Any = RUNS) -> Comparison:
    """Any comparison that the schema allows."""
    kind = draw(st.sampled_from(schema.kinds))
    row = draw(st.sampled_from(kind.keys)) if kind.keys else kind.key(draw(keys))
    operator = draw(st.sampled_from(row.operators))
    looks_at = row.filters_as or (kind.kind, row.name)
    value: Any = None
    if schema is LOGGED_MODELS and kind.kind == METRIC:
        datasets = tuple(draw(st.lists(st.tuples(st.sampled_from("def"), st.sampled_from("12")), max_size=2)))
        if datasets and draw(st.booleans()):
            return Comparison(METRIC, "", "IS NOT NULL", None, datasets)
        return Comparison(METRIC, row.name, operator, draw(st.sampled_from([0.0, 1, 0.1, -1.5, math.inf])), datasets)
    if row.type == INTEGER and operator in ("IN", "NOT IN"):
        value = tuple(draw(st.lists(st.integers(0, 3), min_size=1, max_size=3)))
    elif row.type in (INTEGER, COUNT, "number", "float"):
        whole = row.type in (INTEGER, COUNT)
        value = draw(st.sampled_from([0, 1, 2, 2**62] if whole else [0.0, 1, 0.1, -1.5, 1e308, math.inf]))
    elif operator in ("IN", "NOT IN"):
        numbers = ["0", "1", "12", "-5"] if row.type == ID else TEXTS
        value = tuple(draw(st.lists(st.sampled_from(numbers), min_size=1, max_size=3)))
    elif row.type == ID:
        value = draw(st.sampled_from(["0", "1", "12"]))
    elif "NULL" not in operator:
        value = draw(st.sampled_from(PATTERNS))
    return Comparison(looks_at[0], looks_at[1], operator, value)


def clauses(schema: Any) -> Any:
    return st.none() | st.recursive(
        comparisons(schema),
        lambda part: st.one_of(
            part.map(Not),
            st.lists(part, min_size=2, max_size=3).map(lambda parts: And(tuple(parts))),
            st.lists(part, min_size=2, max_size=3).map(lambda parts: Or(tuple(parts))),
        ),
        max_leaves=6,
    )


@st.composite
def orders(draw: Any, schema: Any) -> Tuple[Order, ...]:
    found = []
    for kind in draw(st.lists(st.sampled_from([kind for kind in schema.kinds if kind.kind != DATASET]), max_size=3)):
        if kind.keys:
            found.append(Order(ATTRIBUTE, draw(st.sampled_from(kind.keys)).name, draw(st.booleans())))
        elif kind.any_key.order_spellings:
            order = Order(kind.kind, draw(keys), draw(st.booleans()))
            if schema is LOGGED_MODELS:
                name, digest = draw(st.sampled_from([None, "d"])), draw(st.sampled_from([None, "1"]))
                order = order._replace(dataset_name=name, dataset_digest=digest)
            found.append(order)
    return tuple({order.identity(): order for order in found}.values())


def database(tables: str, entities: Sequence[Any]) -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    connection.executescript({"index": TABLES, "mlflow": MLFLOW_TABLES}[tables])
    for entity in entities:
        add(connection, entity)
    return connection


def add(connection: sqlite3.Connection, entity: Any) -> None:
    if isinstance(entity, Experiment):
        columns = "experiment_id, name, artifact_location, lifecycle_stage, creation_time, last_update_time"
        insert(connection, "experiments", columns, *entity[:6])
        for tag in entity.tags:
            insert(connection, "experiment_tags", "key, value, experiment_id", *tag, entity.experiment_id)
        return
    info = entity.info
    if isinstance(entity, LoggedModel):
        columns = "model_id, experiment_id, name, artifact_location, creation_timestamp_ms, last_updated_timestamp_ms"
        columns += ", status, lifecycle_stage, model_type, source_run_id, status_message"
        insert(connection, "logged_models", columns, *info)
        for table, values in (("param", entity.params), ("tag", entity.tags)):
            columns = f"{table}_key, {table}_value, model_id, experiment_id"
            for value in values:
                insert(connection, f"logged_model_{table}s", columns, *value, info.model_id, info.experiment_id)
        columns = "metric_name, metric_value, metric_timestamp_ms, metric_step, dataset_name, dataset_digest, run_id"
        for point in entity.metrics:
            number = None if math.isnan(point.value) else point.value
            place = (*point[2:4], *point[5:8], *info[:2])
            insert(connection, "logged_model_metrics", columns + ", model_id, experiment_id", point.key, number, *place)
        return
    columns = "run_uuid, experiment_id, name, user_id, status, start_time, end_time, artifact_uri, lifecycle_stage"
    insert(connection, "runs", columns, *info)
    for metric in entity.metrics:
        nan = math.isnan(metric.value)
        row = (metric.key, 0 if nan else metric.value, nan, info.run_id, 0, 0)
        insert(connection, "latest_metrics", "key, value, is_nan, run_uuid, timestamp, step", *row)
    for table, values in (("params", entity.params), ("tags", entity.tags)):
        for value in values:
            insert(connection, table, "key, value, run_uuid", *value, info.run_id)
    for dataset, tags in entity.dataset_inputs:
        uuid = f"{info.experiment_id} {dataset.name} {dataset.digest}"
        columns = "dataset_uuid, experiment_id, name, digest, dataset_source_type, dataset_source"
        insert(connection, "datasets", columns, uuid, info.experiment_id, dataset.name, dataset.digest, "local", "x")
        columns = "input_uuid, source_type, source_id, destination_type, destination_id"
        insert(connection, "inputs", columns, uuid + info.run_id, "DATASET", uuid, "RUN", info.run_id)
        for tag in tags:
            insert(connection, "input_tags", "input_uuid, name, value", uuid + info.run_id, *tag)


def insert(connection: sqlite3.Connection, table: str, columns: str, *values: Any) -> None:
    """Add a row; a dataset that another run had already is there."""
    marks = ", ".join("?" * len(values))
    either = "OR IGNORE " if table == "datasets" else ""
    connection.execute(f"INSERT {either}INTO {table} ({columns}) VALUES ({marks})", values)


def page(
    connection: sqlite3.Connection,
    clause: Optional[Clause],
    order: Sequence[Order] = (),
    limit: int = 100,
    cursor: Cursor = Cursor(),
    view: str = ALL,
    experiment_ids: Sequence[str] = ("0", "7"),
    schema: Any = RUNS,
) -> Tuple[List[Tuple[Any, ...]], Optional[Cursor]]:
    """One page; its cursor goes through a token, as it does between two requests."""
    if schema is RUNS:
        statement = select_runs(experiment_ids, view, clause, order, limit, cursor)
    elif schema is LOGGED_MODELS:
        statement = select_logged_models(experiment_ids, clause, order, limit, cursor)
    else:
        statement = select_experiments(view, clause, order, limit, cursor)
    rows, following = statement.page(connection.execute(statement.sql, statement.parameters).fetchall())
    return rows, paging.decode(paging.encode(following)) if following else None


def all_pages(
    connection: sqlite3.Connection, clause: Optional[Clause], order: Sequence[Order] = (), **options: Any
) -> List[Tuple[Any, ...]]:
    """All pages, one after the other, each found by the token of the one before."""
    rows, cursor = page(connection, clause, order, **options)
    while cursor is not None:
        more, cursor = page(connection, clause, order, cursor=cursor, **options)
        assert more, "a token was given although nothing follows"
        rows += more
    return rows


STAGES = {ACTIVE_ONLY: ["active"], DELETED_ONLY: ["deleted"], ALL: ["active", "deleted"]}
views = st.sampled_from(sorted(STAGES))
relaxed = settings(
    max_examples=int(os.environ.get("TRACKD_EXAMPLES", "50")),
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
)


@relaxed
@given(
    runs(),
    clauses(RUNS),
    orders(RUNS),
    st.integers(1, 5),
    views,
    st.sampled_from([("0",), ("7", "0"), ("0", "99", "x"), ()]),
    st.sampled_from(["index", "mlflow"]),
)
def test_pages_of_runs_from_sql_are_the_answer_of_the_reference(
    found: List[Run], clause: Any, order: Any, limit: int, view: str, experiment_ids: Any, tables: str
) -> None:
    wanted = [
        run
        for run in sorted_entities(found, order, RUNS)
        if run.info.experiment_id in experiment_ids
        and run.info.lifecycle_stage in STAGES[view]
        and matches(clause, run)
    ]
    connection = database(tables, found)
    rows = all_pages(connection, clause, order, limit=limit, view=view, experiment_ids=experiment_ids)
    assert [RunInfo(*row) for row in rows] == [run.info for run in wanted]


@relaxed
@given(
    experiments(),
    clauses(EXPERIMENTS),
    orders(EXPERIMENTS),
    st.integers(1, 5),
    views,
    st.sampled_from(["index", "mlflow"]),
)
def test_pages_of_experiments_from_sql_are_the_answer_of_the_reference(
    found: List[Experiment], clause: Any, order: Any, limit: int, view: str, tables: str
) -> None:
    wanted = [
        experiment[:6]
        for experiment in sorted_entities(found, order, EXPERIMENTS)
        if experiment.lifecycle_stage in STAGES[view] and matches(clause, experiment)
    ]
    connection = database(tables, found)
    assert all_pages(connection, clause, order, limit=limit, view=view, schema=EXPERIMENTS) == wanted


@relaxed
@given(
    logged_models(),
    clauses(LOGGED_MODELS),
    orders(LOGGED_MODELS),
    st.integers(1, 5),
    st.sampled_from([("0",), ("7", "0"), ("0", "99", "x"), ()]),
    st.sampled_from(["index", "mlflow"]),
)
def test_pages_of_logged_models_from_sql_are_the_answer_of_the_reference(
    found: List[LoggedModel], clause: Any, order: Any, limit: int, experiment_ids: Any, tables: str
) -> None:
    wanted = [
        model.info
        for model in sorted_entities(found, order, LOGGED_MODELS)
        if model.info.experiment_id in experiment_ids
        and model.info.lifecycle_stage == "active"
        and matches(clause, model)
    ]
    connection = database(tables, found)
    options = {"limit": limit, "experiment_ids": experiment_ids, "schema": LOGGED_MODELS}
    rows = all_pages(connection, clause, order, **options)
    assert [LoggedModelInfo(*row) for row in rows] == wanted


@pytest.mark.parametrize("tables", ["index", "mlflow"])
def test_searches_of_logged_models_read_the_points_of_each_by_an_index(tables: str) -> None:
    connection = database(tables, [])
    clause = parse_filter("metrics.a > 1 AND NOT (metrics.b < 2 OR params.c = 1)", LOGGED_MODELS)
    order = (Order(METRIC, "a", False, "d", "1"), Order(METRIC, "b"))
    statement = select_logged_models(["0"], clause, order, 50)
    plan = [row[3] for row in connection.execute("EXPLAIN QUERY PLAN " + statement.sql, statement.parameters)]
    points = [line for line in plan if "logged_model_metrics" in line or " m " in line]
    assert points and not [line for line in points if line.startswith("SCAN")], plan
    named = [line for line in points if "metric_name=?" in line]
    assert len(named) == 4, plan


def test_a_search_of_more_values_than_sqlite_binds_is_refused_and_the_longest_of_models_is_not() -> None:
    points = (Comparison(METRIC, "a", ">", 1.0),) * MAX_COMPARISONS
    order = tuple(Order(METRIC, f"m{number}", True, "d", "1") for number in range(MAX_ORDERS))
    connection = database("mlflow", [])
    for cursor in (Cursor(), Cursor(1, (0, 0.5) * MAX_ORDERS + (0, "a"))):
        statement = select_logged_models(["0"], And(points), order, 5, cursor)
        connection.execute(statement.sql, statement.parameters)
        assert len(statement.parameters) < 999
    narrowed = And(tuple(point._replace(datasets=(("d", "1"),)) for point in points))
    with pytest.raises(InvalidParameterValue, match="too much"):
        select_logged_models(["0"], narrowed, order, 5, Cursor(1, (0, 0.5) * MAX_ORDERS + (0, "a")))


@relaxed
@given(runs(), orders(RUNS))
def test_the_cursor_of_sql_is_the_sort_key_of_the_reference(found: List[Run], order: Any) -> None:
    rows, cursor = page(database("index", found), None, order, limit=1)
    if cursor is not None:
        (last,) = [run for run in found if run.info.run_id == rows[0][0]]
        assert cursor == Cursor(1, sort_key(last, RUNS.complete(order), RUNS))


@relaxed
@given(runs(), orders(RUNS), st.integers(1, 4), st.data())
def test_a_next_page_is_right_although_runs_before_it_came_and_went(
    found: List[Run], order: Any, limit: int, data: Any
) -> None:
    connection = database("mlflow", found)
    rows, cursor = page(connection, None, order, limit=limit)
    if cursor is None:
        return
    for row in data.draw(st.lists(st.sampled_from(rows), unique=True)):
        connection.execute("DELETE FROM runs WHERE run_uuid = ?", row[:1])
    ids = [run.info.run_id for run in sorted_entities(found, order, RUNS)]
    assert [row[0] for row in page(connection, None, order, cursor=cursor)[0]] == ids[limit:]


@relaxed
@given(runs(), orders(RUNS), st.integers(1, 8))
def test_a_token_with_only_an_offset_is_honoured(found: List[Run], order: Any, offset: int) -> None:
    ids = [run.info.run_id for run in sorted_entities(found, order, RUNS)]
    rows, cursor = page(database("index", found), None, order, limit=2, cursor=Cursor(offset))
    assert [row[0] for row in rows] == ids[offset : offset + 2]
    assert (cursor.offset if cursor else None) == (offset + 2 if len(ids) > offset + 2 else None)


def one_run(run_id: str = "a", **fields: Any) -> Run:
    return Run(RunInfo(run_id, "0", "n", "u", "RUNNING", 1, None, "x", "active"), **fields)


def test_a_cursor_of_another_order_is_refused() -> None:
    by_metric, by_name = (Order(METRIC, "k"),), (Order(ATTRIBUTE, "run_name"),)
    for after, order in (
        ((0, 1.0, 5, "a"), by_name),
        (("n", 5, "a"), by_metric),
        ((5, "a"), by_name),
        ((1, 5, "a"), by_name),
        (("n", 5, None), by_name),
    ):
        with pytest.raises(InvalidParameterValue, match="another order_by"):
            select_runs(["0"], ALL, None, order, 1, Cursor(1, after))
    with pytest.raises(InvalidParameterValue, match="another order_by"):
        select_experiments(ALL, None, (), 1, Cursor(1, (1, "not a number")))


def test_the_longest_and_deepest_search_is_within_what_sqlite_takes() -> None:
    connection = database("mlflow", [one_run(tags=(Tag("t0", "x"),)), one_run("b")])
    text = ""
    for level in range(MAX_DEPTH):
        word = "AND" if level % 2 else "OR"
        text += f"NOT tags.t{level} = 'x' {word} (" if level % 3 else f"tags.t{level} != 'y' {word} ("
    text += " AND ".join(["tags.t0 LIKE '%x' AND dataset.name = 'q'"] * ((MAX_COMPARISONS - MAX_DEPTH) // 2))
    clause = parse_filter(text + ")" * MAX_DEPTH, RUNS)
    order = parse_order_by([f"metrics.m{i}" for i in range(MAX_JOINS - MAX_DEPTH)], RUNS)
    wanted = [run.info.run_id for run in (one_run(tags=(Tag("t0", "x"),)), one_run("b")) if matches(clause, run)]
    assert [row[0] for row in all_pages(connection, clause, order, limit=1)] == wanted != []


def test_an_order_of_most_keys_can_be_paged() -> None:
    found = [one_run(name, metrics=[Metric("m0", number, 0)]) for number, name in enumerate("cab")]
    order = parse_order_by([f"metrics.m{i} {'DESC' if i % 2 else 'ASC'}" for i in range(MAX_ORDERS)], RUNS)
    rows = all_pages(database("mlflow", found), None, order, limit=1)
    assert [row[0] for row in rows] == ["c", "a", "b"]


def test_more_keys_than_sqlite_joins_are_refused() -> None:
    clause = And(tuple(Comparison(TAG, str(number), "=", "x") for number in range(MAX_JOINS + 1)))
    with pytest.raises(InvalidParameterValue, match="different metrics, params and tags"):
        select_runs(["0"], ALL, clause, (), 1)
    same = And(tuple(Comparison(PARAM, "k", "!=", str(number)) for number in range(MAX_COMPARISONS)))
    connection = database("index", [one_run(params=(Param("k", "x"),))])
    assert len(page(connection, same)[0]) == 1


def test_thousands_of_experiment_ids_and_listed_run_ids_are_no_more_parameters_than_one() -> None:
    connection = database("mlflow", [one_run()])
    many = [str(number) for number in range(5000)]
    clause = Comparison(ATTRIBUTE, "run_id", "IN", ("a", *many))
    statement = select_runs(many, ALL, clause, (), 1)
    assert len(statement.parameters) < 10
    assert [row[0] for row in page(connection, clause, experiment_ids=many)[0]] == ["a"]


@pytest.mark.parametrize("setting", ["0", "1"])
def test_like_minds_the_case_whatever_the_connection_says(setting: str) -> None:
    connection = database("mlflow", [one_run(tags=(Tag("k", "aB%"),))])
    connection.execute(f"PRAGMA case_sensitive_like = {setting}")
    for operator, pattern, found in (
        ("LIKE", "aB_", True),
        ("LIKE", "AB_", False),
        ("ILIKE", "Ab_", True),
        ("ILIKE", "é%", False),
    ):
        assert bool(page(connection, Comparison(TAG, "k", operator, pattern))[0]) == found


def test_keys_and_values_never_become_sql() -> None:
    evil = "'; DROP TABLE runs; --\" ?1 :a"
    found = one_run(tags=(Tag(evil, evil),), params=(Param(evil, evil),), metrics=(Metric(evil, 1.0, 0),))
    connection = database("index", [found])
    clause = And(
        (
            Comparison(TAG, evil, "=", evil),
            Comparison(PARAM, evil, "LIKE", evil),
            Comparison(METRIC, evil, ">", 0.5),
            Comparison(DATASET, "name", "NOT IN", (evil,)),
        )
    )
    statement = select_runs(["0"], ALL, clause, (Order(METRIC, evil),), 1)
    assert "DROP" not in statement.sql
    connection.execute(statement.sql, statement.parameters)
    assert [row[0] for row in page(connection, And(clause.parts[:3]), (Order(TAG, evil),))[0]] == ["a"]
