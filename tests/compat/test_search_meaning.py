"""Searches mean what they mean to MLflow 3.17.2: its store and our SQL answer the same questions on one database."""

import json
import os
import sqlite3
import subprocess
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import pytest

from tests import environments
from tests.search.test_grammar import (
    BEYOND,
    EXPERIMENT_MEANINGS,
    EXPERIMENT_REFUSED,
    MEANINGS,
    ORDERS,
    ORDERS_REFUSED,
    REFUSED,
)
from trackd.entities import ALL
from trackd.errors import InvalidParameterValue
from trackd.search import paging
from trackd.search.grammar import parse_filter, parse_order_by
from trackd.search.schemas import EXPERIMENTS, ID, INTEGER, RUNS, TEXT, Schema
from trackd.store.sql.search import select_experiments, select_runs

pytestmark = pytest.mark.compat

OPERATORS = "= != < <= > >= LIKE ILIKE IN IS|NULL IS|NOT|NULL NOT|IN like ilike in not|in is|null == <> RLIKE".split()
#: What a filter compares with, where the type fits.
VALUES = {TEXT: ["'x%'", '"a_b"'], ID: ["'2'"], INTEGER: ["5"]}
NUMBERS = ["0", "-1.5", "1003"]
LISTS = {ID: "('2', '11')", TEXT: "('data 1', '2', 'train')"}

#: Refused by MLflow and taken by us, beside what has OR, NOT or parentheses in it (the table BEYOND in test_grammar).
TOLERATED = {
    " metrics.a ": "blanks around an order",
    "start_time > 9223372036854775808": "an integer above 64 bits, at which MLflow answers 500",
}
#: Taken by MLflow and refused by us.
STRICTER = {
    "metrics. a > 0": "a key that begins with a blank, which no key can",
    "metrics.[a] > 0": "a key that keeps its brackets",
    "run_id IN (('a','b'))": "a list in a list",
    "run_id IN ('\\0')": "NUL in a list, which no id or name has",
}
#: The digit grouping of Python is no id.
STRICTER_EXPERIMENTS = ["experiment_id = '1_0'"]


class Question(NamedTuple):
    """One search of runs."""

    ids: Sequence[str]
    view: str
    text: Optional[str]
    order: Sequence[str] = ()
    size: int = 1000
    token: Optional[str] = None


def combined(schema: Schema, any_keys: Sequence[str]) -> Iterator[str]:
    """Every key with every operator, each with values that fit and one that does not."""
    for kind in schema.kinds:
        before = kind.spellings[-1]
        for row in kind.keys or [kind.key(key) for key in any_keys]:
            assert row is not None
            for operator in OPERATORS:
                word = operator.replace("|", " ")
                fitting = VALUES.get(row.type, NUMBERS)
                if "NULL" in word.upper():
                    fitting = [""]
                elif word.upper().endswith("IN"):
                    fitting = [LISTS.get(row.type, "('x')")]
                unfitting = ["5"] if row.type in VALUES and row.type != INTEGER else ["'5'"]
                for value in [*fitting, *unfitting]:
                    yield f"{before}.`{row.name}` {word} {value}".strip()


PATTERNS = ["%", "_", "%x%", "X%", "a%b", "a_b", "a\nb", "[a]", "a*b", "É", "_é", "%_%", "", "%%x", "it''s", "中_"]


def filters() -> List[Optional[str]]:
    """Filters of runs: generated ones, all of the grammar's tables, and some of our own."""
    found: List[Optional[str]] = list(combined(RUNS, ["m", "p", "t"]))
    found += [f"tags.t {word} '{pattern}'" for pattern in PATTERNS for word in ("LIKE", "ILIKE", "=", "!=")]
    found += [text for text in MEANINGS if not (text and "\0" in text)]
    found += [text for text in REFUSED if "\ud800" not in text and "\0" not in text and len(text) < 1000]
    found += list(BEYOND)
    found += [
        f"metrics.m {operator} {value}"
        for operator in ("=", "!=", "<", ">=")
        for value in ("1e308", "1.7976931348623157e308", "1e999", "-1e999", "0.1", ".1", "-1.5", "1e-07", "9" * 400)
    ]
    found += [
        "dataset.name = 'data 1' AND dataset.digest = '7'",
        "dataset.name = 'data 1' AND dataset.context = 'train'",
        "dataset.context LIKE '%r%' AND dataset.name != 'data 1'",
        "dataset.name IN ('data 0', 'data 2') AND dataset.digest NOT IN ('7')",
        "run_name = 'run 3' AND metrics.m != 0 AND params.p IS NOT NULL AND tags.t != 'x'",
        "metrics.`deep/er m` >= 1 AND tags.`with space` = 'x' AND status != 'RUNNING'",
        "start_time >= 1003 and start_time < 1009.5 and end_time > 5000",
        "user_id ILIKE 'ADA' AND user_id != ''",
        *(f"start_time {operator} {value}" for operator in ("<", "!=") for value in ("1e3", "9" * 15, "-1")),
    ]
    return list(dict.fromkeys(found))


def orders() -> List[List[str]]:
    """Orders of runs: each key in both directions, two keys, what is refused."""
    keys = ["metrics.m", "params.p", "tags.t", "metrics.gone", "metrics.`deep/er m`", "tags.`mlflow.runName`"]
    keys += ["start_time", "end_time", "run_id", "run_name", "user_id", "status", "artifact_uri", "created"]
    found = [[f"{key}{direction}"] for key in keys for direction in ("", " ASC", " desc")]
    found += [[first, f"{second} DESC"] for first in keys[:6] for second in keys[3:10] if first != second]
    found += [[text] for text in [*ORDERS, *ORDERS_REFUSED]]
    return found


def questions() -> List[Question]:
    """All searches of runs."""
    both = ["1", "2"]
    found = [Question(both, "ALL", text) for text in filters()]
    found += [Question(both, "ACTIVE_ONLY", None, order) for order in orders()]
    found += [Question(ids, view, None) for ids in (["1"], ["2", "99"], []) for view in ("DELETED_ONLY", "ACTIVE_ONLY")]
    return found


#: Pages of seven; the tokens are MLflow's own.
PAGED = [["metrics.m DESC"], ["params.p"], [], ["end_time DESC", "run_id DESC"]]


def experiment_questions() -> List[Tuple[Optional[str], List[str]]]:
    """All searches of experiments: a filter and an order."""
    found: List[Optional[str]] = list(combined(EXPERIMENTS, ["t"]))
    found += [f"name {word} '{pattern}'" for pattern in PATTERNS for word in ("LIKE", "ILIKE")]
    found += [*EXPERIMENT_MEANINGS, *EXPERIMENT_REFUSED, *STRICTER_EXPERIMENTS]
    asked: List[Tuple[Optional[str], List[str]]] = [(text, []) for text in dict.fromkeys(found)]
    for key in ("name", "experiment_id", "attribute.creation_time", "last_update_time", "tags.t", "attributes.name"):
        asked += [(None, [key]), (None, [f"{key} DESC"]), (None, ["name DESC", key])]
    return asked


class Asked(NamedTuple):
    """What MLflow answered, and the database that it did it on."""

    runs: List[Tuple[Question, Any]]
    pages: List[Tuple[Question, Any]]
    experiments: List[Tuple[Tuple[Optional[str], List[str]], Any]]
    connection: sqlite3.Connection


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    """One process of MLflow's Python answers everything."""
    try:
        python = environments.ready(environments.MLFLOW_3)
    except environments.Unavailable as error:
        pytest.skip(str(error))
    folder = tmp_path_factory.mktemp("mlflow")
    tokens = [None, *(paging.encode(paging.Cursor(offset)) for offset in (7, 21, 49, 200))]
    pages = [Question(["1", "2"], "ALL", "", order, 7, token) for order in PAGED for token in tokens]
    runs, experiments = questions(), experiment_questions()
    done = subprocess.run(
        [str(python), str(Path(__file__).with_name("search_answers.py"))],
        input=json.dumps({"folder": str(folder), "experiments": experiments, "runs": runs + pages}),
        env=dict(os.environ, MLFLOW_DISABLE_TELEMETRY="true", PYTHONIOENCODING="utf-8"),
        capture_output=True,
        encoding="utf-8",
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    answers: Dict[str, List[Any]] = json.loads(done.stdout.splitlines()[-1])
    connection = sqlite3.connect(str(folder / "mlflow.db"))
    yield Asked(
        list(zip(runs, answers["runs"])),
        list(zip(pages, answers["runs"][len(runs) :])),
        list(zip(experiments, answers["experiments"])),
        connection,
    )
    connection.close()


def ours(connection: sqlite3.Connection, question: Question) -> Any:
    """Our answer in the form of MLflow's."""
    try:
        clause = parse_filter(question.text, RUNS)
        order = parse_order_by(question.order, RUNS)
        cursor = paging.decode(question.token)
        statement = select_runs(question.ids, question.view, clause, order, question.size, cursor)
    except InvalidParameterValue:
        return {"status": 400}
    rows, following = statement.page(connection.execute(statement.sql, statement.parameters).fetchall())
    return [[row[0] for row in rows], following]


def test_runs_are_found_and_ordered_as_mlflow_does_or_refused_as_it_does(asked: Asked) -> None:
    differing = []
    accepted = refused = 0
    for question, theirs in asked.runs:
        texts = [question.text, *question.order]
        mine = ours(asked.connection, question)
        if isinstance(theirs, dict):
            refused += 1
            if mine != {"status": 400} and not any(text in BEYOND or text in TOLERATED for text in texts):
                differing.append((question, theirs, mine))
        elif not any(text in STRICTER or text in BEYOND for text in texts):
            accepted += 1
            if isinstance(mine, dict) or mine[0] != theirs[0]:
                differing.append((question, theirs, mine))
    assert not differing, "\n".join(map(repr, differing))
    assert accepted > 250 and refused > 200, (accepted, refused)


def test_what_differs_on_purpose_still_does(asked: Asked) -> None:
    answers = {text: (question, theirs) for question, theirs in asked.runs for text in [question.text, *question.order]}
    for text in [*BEYOND, *TOLERATED]:
        question, theirs = answers[text]
        assert not isinstance(ours(asked.connection, question), dict)
        # MLflow takes the one, as a question about a param whose key is "b = 'x' params.a".
        assert isinstance(theirs, dict) or text == "params.b = 'x' params.a IS NULL", text
    for text in STRICTER:
        question, theirs = answers[text]
        assert not isinstance(theirs, dict) and ours(asked.connection, question) == {"status": 400}, text


def test_the_questions_tell_different_meanings_apart(asked: Asked) -> None:
    """A guard for the data: enough answers are neither nothing nor everything."""
    everything = max(len(theirs[0]) for _, theirs in asked.runs if not isinstance(theirs, dict))
    some = [theirs for _, theirs in asked.runs if not isinstance(theirs, dict) and 0 < len(theirs[0]) < everything]
    assert everything == 60 and len(some) > 150


def test_pages_begin_where_mlflows_tokens_say_and_a_next_one_is_announced_alike(asked: Asked) -> None:
    for question, theirs in asked.pages:
        mine = ours(asked.connection, question)
        assert mine[0] == theirs[0], question
        following = None if theirs[1] is None else paging.decode(theirs[1]).offset
        assert (mine[1].offset if mine[1] else None) == following, question


def test_experiments_are_found_and_ordered_as_mlflow_does_or_refused_as_it_does(asked: Asked) -> None:
    differing = []
    accepted = 0
    for (text, order), theirs in asked.experiments:
        mine: Any
        try:
            clause, parsed = parse_filter(text, EXPERIMENTS), parse_order_by(order, EXPERIMENTS)
            statement = select_experiments(ALL, clause, parsed, 1000)
            rows = asked.connection.execute(statement.sql, statement.parameters).fetchall()
            mine = [row[0] for row in statement.page(rows)[0]]
        except InvalidParameterValue:
            mine = {"status": 400}
        if text in STRICTER_EXPERIMENTS:
            assert not isinstance(theirs, dict) and isinstance(mine, dict)
        elif isinstance(theirs, dict) != isinstance(mine, dict) or (not isinstance(mine, dict) and mine != theirs[0]):
            differing.append((text, order, theirs, mine))
        accepted += not isinstance(theirs, dict)
    assert not differing, "\n".join(map(repr, differing))
    assert accepted > 60
