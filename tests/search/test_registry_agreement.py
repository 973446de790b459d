"""The same agreement for the registry, on the tables of the index and on MLflow's, with workspaces and without."""

import sqlite3
from typing import Any, Dict, FrozenSet, List, Sequence, Tuple

from hypothesis import given
from hypothesis import strategies as st

from tests.search.test_search_agreement import TIMES, clauses, insert, orders, pairs, relaxed, texts
from trackd.entities import DELETED_STAGE, IS_PROMPT_TAG, ModelVersion, RegisteredModel, Tag
from trackd.search import paging, prompts
from trackd.search.clause import TAG, And, Comparison, Cursor, Not, Or
from trackd.search.evaluate import is_prompt, matches, sorted_entities
from trackd.search.grammar import parse_filter
from trackd.search.schemas import MODEL_VERSIONS, REGISTERED_MODELS
from trackd.store.sql.schema import TABLES
from trackd.store.sql.search import Statement, select_model_versions, select_registered_models
from trackd.store.sql.tables import ALL, Tables

_WORKSPACE = "workspace VARCHAR(63) DEFAULT 'default' NOT NULL"
#: MLflow's tables of today; without the workspace, those of MLflow 2.
MLFLOW_TABLES = f"""
CREATE TABLE registered_models (name VARCHAR(256) NOT NULL, creation_time BIGINT, last_updated_time BIGINT,
    description VARCHAR(5000), {_WORKSPACE}, PRIMARY KEY (workspace, name));
CREATE TABLE registered_model_tags (key VARCHAR(250) NOT NULL, value VARCHAR(5000), name VARCHAR(256) NOT NULL,
    {_WORKSPACE}, PRIMARY KEY (workspace, key, name));
CREATE TABLE model_versions (name VARCHAR(256) NOT NULL, version INTEGER NOT NULL, creation_time BIGINT,
    last_updated_time BIGINT, description VARCHAR(5000), user_id VARCHAR(256), current_stage VARCHAR(20),
    source VARCHAR(500), run_id VARCHAR(32), status VARCHAR(20), status_message VARCHAR(500), run_link VARCHAR(500),
    storage_location VARCHAR(500), {_WORKSPACE}, PRIMARY KEY (workspace, name, version));
CREATE TABLE model_version_tags (key VARCHAR(250) NOT NULL, value TEXT, name VARCHAR(256) NOT NULL,
    version INTEGER NOT NULL, {_WORKSPACE}, PRIMARY KEY (workspace, key, name, version));
"""
OLD_TABLES = MLFLOW_TABLES.replace(f"{_WORKSPACE}, ", "").replace("workspace, ", "")
SCRIPTS = {"index": TABLES, "mlflow": MLFLOW_TABLES, "old": OLD_TABLES}

names = st.sampled_from(["a", "A", "ab", "%", "_", "é", "😀", "b*", "\ufffd"])
prompt_tags = st.sampled_from([(), (), (Tag(IS_PROMPT_TAG, "true"),), (Tag(IS_PROMPT_TAG, "TRUE"),)])


@st.composite
def models(draw: Any) -> List[RegisteredModel]:
    """Up to six models, some of them prompts."""
    return [
        RegisteredModel(
            name, 1, draw(st.sampled_from([time for time in TIMES if time is not None])), "d",
            (*draw(pairs(Tag, texts)), *draw(prompt_tags)),
        )
        for name in draw(st.lists(names, max_size=6, unique=True))
    ]


@st.composite
def versions(draw: Any) -> List[ModelVersion]:
    """Up to ten versions of few models, some of them deleted."""
    time = st.sampled_from([time for time in TIMES if time is not None])
    return [
        ModelVersion(
            name, number, draw(time), draw(time), "d", None,
            draw(st.sampled_from(["None", "None", "Production", DELETED_STAGE])), draw(texts), "s",
            draw(st.sampled_from([None, "", "a", "A%"])), "", "READY", None,
            (*draw(pairs(Tag, texts)), *draw(prompt_tags)),
        )
        for name, number in draw(
            st.lists(st.tuples(st.sampled_from("aAb"), st.integers(1, 12)), max_size=10, unique=True)
        )
    ]


def database(kind: str, entities: Sequence[Any]) -> Tuple[sqlite3.Connection, Tables]:
    """The tables with these entities; beside them, where there are workspaces, the same in another one."""
    connection = sqlite3.connect(":memory:")
    connection.executescript(SCRIPTS[kind])
    columns: Dict[str, FrozenSet[str]] = {
        table: frozenset(row[1] for row in connection.execute(f"PRAGMA table_info({table})"))
        for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    }
    for workspace in ("default", "other") if kind == "mlflow" else (None,):
        more, value = (", workspace", (workspace,)) if workspace else ("", ())
        for entity in entities:
            if isinstance(entity, RegisteredModel):
                fields = "name, creation_time, last_updated_time, description" + more
                insert(connection, "registered_models", fields, *entity[:4], *value)
                for tag in entity.tags:
                    insert(connection, "registered_model_tags", "key, value, name" + more, *tag, entity.name, *value)
            else:
                fields = "name, version, creation_time, last_updated_time, description, user_id, current_stage, source,"
                fields += "storage_location, run_id, run_link, status, status_message" + more
                insert(connection, "model_versions", fields, *entity[:13], *value)
                for tag in entity.tags:
                    fields = "key, value, name, version" + more
                    insert(connection, "model_version_tags", fields, *tag, entity.name, entity.version, *value)
    return connection, ALL if kind == "index" else Tables(columns)


def all_pages(connection: sqlite3.Connection, select: Any) -> List[Tuple[Any, ...]]:
    """All pages, each found by the token of the one before."""
    found: List[Tuple[Any, ...]] = []
    cursor = Cursor()
    while True:
        statement: Statement = select(cursor)
        rows, following = statement.page(connection.execute(statement.sql, statement.parameters).fetchall())
        found += rows
        if following is None:
            return found
        assert rows
        cursor = paging.decode(paging.encode(following))


kinds = st.sampled_from(sorted(SCRIPTS))


@relaxed
@given(models(), clauses(REGISTERED_MODELS), orders(REGISTERED_MODELS), st.integers(1, 4), st.booleans(), kinds)
def test_pages_of_registered_models_from_sql_are_the_answer_of_the_reference(
    found: List[RegisteredModel], clause: Any, order: Any, limit: int, wants_prompts: bool, kind: str
) -> None:
    wanted = [each for each in found if matches(clause, each) and (wants_prompts or not is_prompt(each))]
    connection, tables = database(kind, found)
    rows = all_pages(
        connection, lambda cursor: select_registered_models(tables, wants_prompts, clause, order, limit, cursor)
    )
    assert rows == [each[:4] for each in sorted_entities(wanted, order, REGISTERED_MODELS)]


@relaxed
@given(versions(), clauses(MODEL_VERSIONS), orders(MODEL_VERSIONS), st.integers(1, 4), st.booleans(), kinds)
def test_pages_of_model_versions_from_sql_are_the_answer_of_the_reference(
    found: List[ModelVersion], clause: Any, order: Any, limit: int, wants_prompts: bool, kind: str
) -> None:
    hidden = set() if wants_prompts else {each.name for each in found if is_prompt(each)}
    wanted = [
        each
        for each in found
        if each.current_stage != DELETED_STAGE and each.name not in hidden and matches(clause, each)
    ]
    connection, tables = database(kind, found)
    rows = all_pages(
        connection, lambda cursor: select_model_versions(tables, wants_prompts, clause, order, limit, cursor)
    )
    assert rows == [each[:13] for each in sorted_entities(wanted, order, MODEL_VERSIONS)]


def test_the_first_comparison_of_the_tag_decides_whether_prompts_are_asked_for() -> None:
    tag = f"tags.`{IS_PROMPT_TAG}`"
    name = Comparison("attribute", "name", "=", "a")
    for text, wants, left in (
        ("", False, None),
        ("name = 'a'", False, name),
        (f"{tag} = 'true'", True, Comparison(TAG, IS_PROMPT_TAG, "=", "true")),
        (f"{tag} = 'TRUE'", True, Comparison(TAG, IS_PROMPT_TAG, "=", "TRUE")),
        (f"{tag} != 'false'", True, Comparison(TAG, IS_PROMPT_TAG, "!=", "false")),
        (f"{tag} = 'false'", False, None),
        (f"{tag} LIKE 'true'", False, None),
        (f"{tag} != 'true' AND name = 'a' AND {tag} = 'true'", False, name),
        (f"name = 'a' AND {tag} = 'true'", True, And((name, Comparison(TAG, IS_PROMPT_TAG, "=", "true")))),
        (f"NOT {tag} = 'true'", True, Not(Comparison(TAG, IS_PROMPT_TAG, "=", "true"))),
        (f"name = 'a' OR {tag} = 'x'", True, Or((name, Comparison(TAG, IS_PROMPT_TAG, "=", "x")))),
    ):
        assert prompts.split(parse_filter(text, REGISTERED_MODELS)) == (wants, left), text
