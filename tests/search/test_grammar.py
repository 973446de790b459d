"""Filter and order text to trees: what is accepted and what it means, what is refused and where."""

import string
from typing import Any, Optional

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trackd.errors import InvalidParameterValue
from trackd.search import grammar
from trackd.search.clause import (
    ATTRIBUTE,
    DATASET,
    METRIC,
    PARAM,
    TAG,
    And,
    Clause,
    Comparison,
    Not,
    Or,
    Order,
)
from trackd.search.grammar import parse_filter, parse_order_by
from trackd.search.schemas import EXPERIMENTS, RUNS


def metric(key: str = "a", operator: str = ">", value: float = 0.0) -> Comparison:
    return Comparison(METRIC, key, operator, value)


def param(value: Any = "x", operator: str = "=", key: str = "a") -> Comparison:
    return Comparison(PARAM, key, operator, value)


def listed(*values: str) -> Comparison:
    return Comparison(ATTRIBUTE, "run_id", "IN", values)


# What MLflow 3.17.2 accepts and the tree of its meaning there.
MEANINGS = {
    # Kinds and keys
    "metrics.a > 0": metric(),
    "metric.a > 0": metric(),
    "`metrics`.`a` > 0": metric(),
    'metrics."a b" > 0': metric("a b"),
    "metrics.'a b' > 0": metric("a b"),
    "metrics.`a.b/c-d e` > 0": metric("a.b/c-d e"),
    "metrics.a.b.c > 0": metric("a.b.c"),
    "metrics.1st > 0": metric("1st"),
    "metrics.order > 0": metric("order"),
    "metrics.é > 0": metric("é"),
    "metrics.中 > 0": metric("中"),
    "metrics.`` > 0": metric(""),
    "params.`a``b` = 'x'": param(key="a``b"),
    "param.a = 'x'": param(),
    "parameter.a = 'x'": param(),
    "parameters.a = 'x'": param(),
    "tag.a = 'x'": Comparison(TAG, "a", "=", "x"),
    "tags.mlflow.source.name = 'x'": Comparison(TAG, "mlflow.source.name", "=", "x"),
    "status = 'x'": Comparison(ATTRIBUTE, "status", "=", "x"),
    "attribute.status='x'": Comparison(ATTRIBUTE, "status", "=", "x"),
    "attributes.status = 'x'": Comparison(ATTRIBUTE, "status", "=", "x"),
    "attr.status = 'x'": Comparison(ATTRIBUTE, "status", "=", "x"),
    "run.status = 'x'": Comparison(ATTRIBUTE, "status", "=", "x"),
    '"start_time" > 5': Comparison(ATTRIBUTE, "start_time", ">", 5),
    "created > 5": Comparison(ATTRIBUTE, "start_time", ">", 5),
    "attr.Created > 5": Comparison(ATTRIBUTE, "start_time", ">", 5),
    "run_name = 'x'": Comparison(TAG, "mlflow.runName", "=", "x"),
    "`run name` = 'x'": Comparison(TAG, "mlflow.runName", "=", "x"),
    "attributes.`Run name` = 'x'": Comparison(TAG, "mlflow.runName", "=", "x"),
    'attributes."Run Name" = \'x\'': Comparison(TAG, "mlflow.runName", "=", "x"),
    "dataset.name = 'x'": Comparison(DATASET, "name", "=", "x"),
    "datasets.context ILIKE 'x'": Comparison(DATASET, "context", "ILIKE", "x"),
    # Values: no escapes in strings, Python's in lists
    'params.a = "x"': param(),
    "params.a = ''": param(""),
    "params.a = 'it''s'": param("it''s"),
    "params.a = 'it\\'s'": param("it\\'s"),
    "params.a = 'C:\\dir\\'": param("C:\\dir\\"),
    'params.a = "say ""x"""': param('say ""x""'),
    "params.a = 'a ; -- b /* c */ AND'": param("a ; -- b /* c */ AND"),
    "params.a = 'é\n中'": param("é\n中"),
    "metrics.a > 5.": metric(value=5.0),
    "metrics.a>-.5": metric(value=-0.5),
    "metrics.a > 1E5": metric(value=1e5),
    "metrics.a > 1.5e-3": metric(value=0.0015),
    "metrics.a > 1e999": metric(value=float("inf")),
    "start_time > 5.5": Comparison(ATTRIBUTE, "start_time", ">", 5.5),
    "start_time > 1e5": Comparison(ATTRIBUTE, "start_time", ">", 1e5),
    "start_time > -9223372036854775808": Comparison(ATTRIBUTE, "start_time", ">", -(2**63)),
    "start_time > 9223372036854775808": Comparison(ATTRIBUTE, "start_time", ">", 2.0**63),
    "run_id IN ('a')": listed("a"),
    "run_id IN('a',)": listed("a"),
    "run_id in (\"a\", 'b' ,\n'c')": listed("a", "b", "c"),
    "run_id IN ('a\\tb\\x41\\u00e9\\101\\'\\\\', 'it''s', \"a\"\"b'\")": listed("a\tbAéA'\\", "its", "ab'"),
    "run_id IN ('C:\\\\', 'a' \"b\")": listed("C:\\", "ab"),
    "run_id not in ('a')": Comparison(ATTRIBUTE, "run_id", "NOT IN", ("a",)),
    "dataset.name NOT  IN ('a', 'b')": Comparison(DATASET, "name", "NOT IN", ("a", "b")),
    # Operators
    "metrics.a<=1": metric(operator="<=", value=1.0),
    "metrics.a != 1": metric(operator="!=", value=1.0),
    "params.a like 'x'": param(operator="LIKE"),
    "params.a iLiKe 'x'": param(operator="ILIKE"),
    "params.a is null": param(None, "IS NULL"),
    "tags.a IS not NULL": Comparison(TAG, "a", "IS NOT NULL", None),
    # AND, missing, dangling, alone
    "metrics.a > 0 and params.a = 'x'": And((metric(), param())),
    "metrics.a > 0 params.a = 'x'": And((metric(), param())),
    "params.a = 'x'AND metrics.a > 0": And((param(), metric())),
    "AND metrics.a > 0 AND": metric(),
    "metrics.a > 0 AND AND params.a = 'x'": And((metric(), param())),
    "params.a IS NULL metrics.a > 0": And((param(None, "IS NULL"), metric())),
    " metrics.a\t>\n0 ": metric(),
    "AND AND": None,
    "": None,
    None: None,
}

# Ours alone. NOT binds before AND, AND before OR.
BEYOND = {
    "(metrics.a > 0)": metric(),
    "NOT params.a = 'x'": Not(param()),
    "not not params.a = 'x'": Not(Not(param())),
    "metrics.a > 0 OR params.a = 'x' AND status = 'y'": Or(
        (metric(), And((param(), Comparison(ATTRIBUTE, "status", "=", "y"))))
    ),
    "(metrics.a > 0 or params.a = 'x') status = 'y'": And(
        (Or((metric(), param())), Comparison(ATTRIBUTE, "status", "=", "y"))
    ),
    "NOT params.a = 'x' AND metrics.a > 0": And((Not(param()), metric())),
    "NOT (params.a = 'x' AND metrics.a > 0)": Not(And((param(), metric()))),
    "metrics.a > 0 OR metrics.a > 0 OR params.a = 'x'": Or((metric(), metric(), param())),
    "metrics.a > 1e+5": metric(value=1e5),
    "metrics.a > .5e1": metric(value=5.0),
    "metrics.in > 0": metric("in"),
    "metrics.1 > 0": metric("1"),
    "params.a IS   NOT\nNULL": param(None, "IS NOT NULL"),
    "params.b = 'x' params.a IS NULL": And((param(key="b"), param(None, "IS NULL"))),
}


@pytest.mark.parametrize("text", MEANINGS)
def test_what_mlflow_accepts_means_what_it_means_there(text: Optional[str]) -> None:
    assert parse_filter(text, RUNS) == MEANINGS[text]


@pytest.mark.parametrize("text", BEYOND)
def test_or_not_and_parentheses_have_the_usual_precedence(text: str) -> None:
    assert parse_filter(text, RUNS) == BEYOND[text]


# What is refused: the character at which (from 1), and a part of what is said.
REFUSED = {
    "   ": (4, "a comparison, found the end"),
    "metrics.a > 0;": (14, "AND, OR or the end, found ';'"),
    "metrics.a > 0 -- c": (15, "AND, OR or the end"),
    "metrics.a > 0 /* c */": (15, "AND, OR or the end"),
    "params.a = 'x' # c": (16, "AND, OR or the end"),
    "metrics.a > 0, metrics.b > 0": (14, "AND, OR or the end"),
    "metrics.a > 1 2": (15, "AND, OR or the end, found '2'"),
    "params.a = 'b' 'c'": (16, "AND, OR or the end"),
    "0 < metrics.a": (1, "a comparison, found '0'"),
    "'start_time' > 5": (1, "a comparison"),
    "metrics": (1, "one of the attributes run_id"),
    "run name = 'x'": (1, "one of the attributes run_id"),
    "experiment_id = '1'": (1, "run_name, user_id, status, artifact_uri, start_time, end_time of a run"),
    "lifecycle_stage = 'active'": (1, "one of the attributes"),
    "foo.a = 'a'": (1, "metrics"),
    "Metrics.a > 0": (1, "before the dot"),
    "`metrics.a` > 0": (1, "before the dot"),
    "dataset.foo = 'a'": (1, "name, digest, context"),
    "metrics. a > 0": (10, "a key right after the dot, found 'a'"),
    "metrics.[a] > 0": (9, "a key right after the dot"),
    "tags.`a = 'x'": (6, "found a ` without its closing one"),
    "metrics.a-b > 0": (10, "Put backticks around a key"),
    "tags.a/b = 'x'": (7, "Put backticks around a key"),
    "metrics.a": (10, "one of the operators =, !=, <, <=, >, >= for a metric, found the end"),
    "metrics.a LIKE 'x'": (11, "one of the operators"),
    "metrics.a IS NULL": (11, "one of the operators"),
    "status IS NULL": (8, "for the attribute 'status'"),
    "status > 'a'": (8, "one of the operators =, !=, LIKE, ILIKE"),
    "status IN ('a')": (8, "one of the operators"),
    "params.a IN ('a')": (10, "one of the operators"),
    "params.a == 'a'": (10, "found '=='"),
    "params.a <> 'a'": (10, "found '<>'"),
    "params.a NOT LIKE 'a'": (10, "one of the operators"),
    "params.a RLIKE 'a'": (10, "one of the operators"),
    "metrics.a BETWEEN 1 AND 2": (11, "one of the operators"),
    "params.a IS": (10, "one of the operators"),
    "params.a IS NOT 'x'": (10, "one of the operators"),
    "metrics.a >": (12, "a number, found the end"),
    "metrics.a = '5'": (13, "a number"),
    "metrics.a = nan": (13, "a number, found 'nan'"),
    "metrics.a > +5": (13, "a number, found '+'"),
    "metrics.a > 0x10": (13, "a number"),
    "metrics.a > 1_000": (13, "a number"),
    "metrics.a > 1AND metrics.b > 2": (13, "a number"),
    "start_time = '5'": (14, "a number"),
    "params.a = 5": (12, "a string in quotes, found '5'"),
    "params.a = b": (12, "a string in quotes"),
    "params.a = `5`": (12, "a string in quotes"),
    "params.a = 'a": (12, "found a ' without its closing one"),
    "params.a LIKE 'a\0'": (15, "without NUL"),
    f"params.a LIKE '{'%' * (grammar.MAX_PATTERN + 1)}'": (15, "a pattern of at most"),
    "params.a = 'a\ud800'": (14, "half of a surrogate pair"),
    "run_id IN ()": (12, "a string in quotes"),
    "run_id IN 'a'": (11, "( and a list"),
    "run_id IN (1)": (12, "a string in quotes"),
    "run_id IN ('a' b)": (16, ", or )"),
    "run_id IN ('a\\')": (12, "a string in quotes"),
    "run_id IN (('a','b'))": (12, "a string in quotes"),
    "run_id IN ('a'": (15, ", or ), found the end"),
    "run_id IN ('a',,)": (16, "a string in quotes or )"),
    "run_id IN ('\\0')": (12, "without NUL"),
    "run_id IN ('\\ud800')": (12, "valid escapes"),
    "run_id IN ('\\N{no such name}')": (12, "valid escapes"),
    "run_id = ('a')": (10, "a string in quotes"),
    "(metrics.a > 0": (15, "AND, OR or ), found the end"),
    "metrics.a > 0)": (14, "AND, OR or the end, found ')'"),
    "()": (2, "a comparison"),
    "(AND)": (5, "a comparison"),
    "NOT": (4, "a comparison"),
    "params.a = 'x' OR": (18, "a comparison, found the end"),
    "OR params.a = 'x'": (1, "a comparison, found 'OR'"),
    "params.a = 'x' OR OR params.b = 'y'": (19, "a comparison"),
    "params.a = 'x' OR AND": (22, "a comparison"),
    "metrics.a > (0)": (13, "a number"),
}


@pytest.mark.parametrize("text", REFUSED)
def test_a_bad_filter_says_what_was_expected_and_where(text: str) -> None:
    position, expected = REFUSED[text]
    with pytest.raises(InvalidParameterValue) as caught:
        parse_filter(text, RUNS)
    assert caught.value.message.startswith("Invalid filter: expected ")
    assert f" at character {position}." in caught.value.message
    assert expected in caught.value.message


EXPERIMENT_MEANINGS = {
    "name LIKE 'a%'": Comparison(ATTRIBUTE, "name", "LIKE", "a%"),
    "attribute.`name` ILIKE 'a'": Comparison(ATTRIBUTE, "name", "ILIKE", "a"),
    "experiment_id = ' 07 '": Comparison(ATTRIBUTE, "experiment_id", "=", "7"),
    "experiment_id IN ('1', '-02')": Comparison(ATTRIBUTE, "experiment_id", "IN", ("1", "-2")),
    "experiment_id not in ('1')": Comparison(ATTRIBUTE, "experiment_id", "NOT IN", ("1",)),
    "creation_time >= 5": Comparison(ATTRIBUTE, "creation_time", ">=", 5),
    "tags.a is not null and tag.b != 'x'": And(
        (Comparison(TAG, "a", "IS NOT NULL", None), Comparison(TAG, "b", "!=", "x"))
    ),
}
EXPERIMENT_REFUSED = [
    *("attributes.name = 'a'", "attr.name = 'a'", "params.a = 'x'", "metrics.a > 0", "lifecycle_stage = 'active'"),
    *("created > 5", "name like 'a'", "tags.a ilike 'a'", "experiment_id in ('1')", "name IN ('a')", "name IS NULL"),
    *("experiment_id = 1", "experiment_id < '1'", "experiment_id LIKE '1'", "experiment_id = 'x'"),
    *("experiment_id IN ('x')", "creation_time > 5.0", "creation_time > 1e5", "creation_time > '5'", "tags.a IN ('x')"),
]


@pytest.mark.parametrize("text", EXPERIMENT_MEANINGS)
def test_experiments_have_their_own_keys(text: str) -> None:
    assert parse_filter(text, EXPERIMENTS) == EXPERIMENT_MEANINGS[text]


@pytest.mark.parametrize("text", EXPERIMENT_REFUSED)
def test_experiments_take_operators_in_upper_case_and_integers_only(text: str) -> None:
    with pytest.raises(InvalidParameterValue, match="at character"):
        parse_filter(text, EXPERIMENTS)


ORDERS = {
    "metrics.a": Order(METRIC, "a"),
    "metrics.a ASC": Order(METRIC, "a"),
    "metrics.`a b`\tdesc": Order(METRIC, "a b", False),
    "params.'a b'  Desc": Order(PARAM, "a b", False),
    'tags."mlflow.x"': Order(TAG, "mlflow.x"),
    "metrics.desc desc": Order(METRIC, "desc", False),
    "start_time": Order(ATTRIBUTE, "start_time"),
    "Created DESC": Order(ATTRIBUTE, "start_time", False),
    '"status"': Order(ATTRIBUTE, "status"),
    "run_name": Order(ATTRIBUTE, "run_name"),
    "run.run_id": Order(ATTRIBUTE, "run_id"),
    " metrics.a ": Order(METRIC, "a"),
}
ORDERS_REFUSED = {
    "": (1, "a key to order by"),
    "a": (1, "one of the attributes"),
    "run name": (1, "one of the attributes"),
    "`run name`": (1, "one of the attributes"),
    "experiment_id": (1, "one of the attributes"),
    "dataset.name": (1, "datasets are none"),
    "metrics.a foo": (11, "ASC, DESC or the end, found 'foo'"),
    "metrics.a desc nulls last": (16, "ASC, DESC or the end"),
    "metrics.a, metrics.b": (10, "ASC, DESC or the end"),
    "metrics.a-b": (10, "Put backticks"),
    "params.a ASC;": (13, "ASC, DESC or the end"),
    "'start_time'": (1, "a key to order by"),
    "metrics.`a": (9, "closing"),
    "(metrics.a)": (1, "a key to order by"),
    "desc": (1, "one of the attributes"),
}


@pytest.mark.parametrize("text", ORDERS)
def test_an_order_is_a_key_and_a_direction(text: str) -> None:
    assert parse_order_by([text], RUNS) == (ORDERS[text],)


@pytest.mark.parametrize("text", ORDERS_REFUSED)
def test_a_bad_order_says_what_was_expected_and_where(text: str) -> None:
    position, expected = ORDERS_REFUSED[text]
    with pytest.raises(InvalidParameterValue) as caught:
        parse_order_by(["run_id", text], RUNS)
    assert caught.value.message.startswith("Invalid order_by: expected ")
    assert f" at character {position}." in caught.value.message
    assert expected in caught.value.message


def test_the_same_key_twice_is_refused_for_runs_and_ignored_for_experiments() -> None:
    with pytest.raises(InvalidParameterValue, match="'start_time' is there twice"):
        parse_order_by(["start_time", "created DESC"], RUNS)
    assert len(parse_order_by(["metrics.a", "params.a"], RUNS)) == 2
    order = parse_order_by(["name", "name DESC"], EXPERIMENTS)
    assert EXPERIMENTS.complete(order) == (Order(ATTRIBUTE, "name"), Order(ATTRIBUTE, "experiment_id", False))


def test_experiments_are_ordered_by_attributes_only() -> None:
    assert parse_order_by(["attribute.name DESC"], EXPERIMENTS) == (Order(ATTRIBUTE, "name", False),)
    for text in ("tags.a", "attributes.name", "lifecycle_stage"):
        with pytest.raises(InvalidParameterValue):
            parse_order_by([text], EXPERIMENTS)


def test_an_order_is_completed_to_a_unique_one_that_ends_at_the_id() -> None:
    start, run_id = Order(ATTRIBUTE, "start_time", False), Order(ATTRIBUTE, "run_id")
    assert RUNS.complete(()) == (start, run_id)
    assert RUNS.complete([Order(METRIC, "a")]) == (Order(METRIC, "a"), start, run_id)
    assert RUNS.complete([Order(ATTRIBUTE, "start_time")]) == (Order(ATTRIBUTE, "start_time"), run_id)
    assert RUNS.complete([run_id._replace(ascending=False), Order(METRIC, "a")]) == (Order(ATTRIBUTE, "run_id", False),)
    assert EXPERIMENTS.complete(()) == (Order(ATTRIBUTE, "creation_time", False), Order(ATTRIBUTE, "experiment_id"))


def test_depth_length_and_number_are_bounded() -> None:
    deep, comparison = grammar.MAX_DEPTH, "params.a = 'x'"
    assert parse_filter("(" * deep + comparison + ")" * deep, RUNS) == param()
    for text, expected in (
        ("(" * (deep + 1) + comparison + ")" * (deep + 1), "within each other"),
        ("(" * grammar.MAX_LENGTH, "within each other"),
        ("NOT " * 10_000 + comparison, "within each other"),
        ("NOT (" * (deep // 2 + 1) + comparison, "within each other"),
        (" ".join([comparison] * (grammar.MAX_COMPARISONS + 1)), "comparisons"),
        (" " * grammar.MAX_LENGTH + comparison, "characters"),
    ):
        with pytest.raises(InvalidParameterValue, match=expected):
            parse_filter(text, RUNS)
    most = grammar.MAX_COMPARISONS
    assert parse_filter(" ".join([comparison] * most), RUNS) == And((param(),) * most)
    with pytest.raises(InvalidParameterValue, match="at most"):
        parse_order_by([f"metrics.{number}" for number in range(grammar.MAX_ORDERS + 1)], RUNS)


def test_a_list_may_hold_ten_thousand_run_ids() -> None:
    ids = [f"{number:032x}" for number in range(10_000)]
    assert parse_filter(f"run_id IN ({','.join(map(repr, ids))})", RUNS) == listed(*ids)


# The pieces of filters in any order, and any characters at all.
pieces = st.lists(
    st.sampled_from(
        "metrics.a params.`b c` tags.\"d\" status start_time dataset.name run_id = != < LIKE ilike IN NOT OR AND"
        " IS NULL ( ) , 1 -2.5e3 'x' \"y\" 'unclosed ` . ; -- \\ \0".split(" ")
    ),
    max_size=12,
).map(" ".join)


@settings(max_examples=300, deadline=None)
@given(pieces | st.text(st.characters(exclude_categories=()), max_size=30), st.sampled_from([RUNS, EXPERIMENTS]))
def test_any_text_is_a_tree_or_a_400(text: str, schema: Any) -> None:
    for parse in (lambda: parse_filter(text, schema), lambda: parse_order_by([text], schema)):
        try:
            parse()
        except InvalidParameterValue as error:
            assert error.message.startswith("Invalid ")


key_texts = st.text(string.ascii_letters + string.digits + "_-. /:é中", max_size=8)
value_texts = st.text(max_size=8).map(lambda text: text.replace("'", "").replace("\\", ""))


@st.composite
def trees(draw: Any) -> Clause:
    """A tree as the parser makes it: no AND right within an AND, no OR right within an OR."""
    leaf = st.builds(Comparison, st.just(TAG), key_texts, st.sampled_from(["=", "!="]), value_texts, st.just(()))

    def grow(part: Any) -> Any:
        parts = st.lists(part, min_size=2, max_size=3).map(tuple)
        return st.one_of(part.map(Not), parts.map(And), parts.map(Or))

    return draw(st.recursive(leaf, grow, max_leaves=6))


def written(clause: Clause) -> str:
    """The clause as text, with parentheses around everything but a comparison."""
    if isinstance(clause, Comparison):
        return f"tags.`{clause.key}` {clause.operator} '{clause.value}'"
    if isinstance(clause, Not):
        return f"NOT ({written(clause.part)})"
    word = " AND " if isinstance(clause, And) else " OR "
    return word.join(f"({written(part)})" for part in clause.parts)


@settings(max_examples=200, deadline=None)
@given(trees())
def test_a_tree_written_out_parses_to_itself(clause: Clause) -> None:
    assert parse_filter(written(clause), RUNS) == clause
