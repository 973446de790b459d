"""The reference meaning of filters and orders, on cases that say what the rules are."""

import math
import random
import re
from typing import Any, List, Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trackd.entities import Dataset, DatasetInput, Experiment, Metric, Param, Run, RunInfo, Tag
from trackd.search.evaluate import like, lower, matches, sorted_entities
from trackd.search.grammar import parse_filter, parse_order_by
from trackd.search.schemas import EXPERIMENTS, RUNS


def make_run(run_id: str = "r", start: Optional[int] = 5, **fields: Any) -> Run:
    return Run(RunInfo(run_id, "0", "n", None, "FINISHED", start, None, "s3://b/x", "active"), **fields)


RUN = make_run(
    metrics=[Metric("m", 1.5, 0), Metric("nan", math.nan, 0), Metric("inf", math.inf, 0), Metric("neg", -math.inf, 0)],
    params=[Param("p", "Value"), Param("empty", ""), Param("ten", "10")],
    tags=[Tag("t", "x"), Tag("mlflow.runName", "Name")],
    dataset_inputs=[
        DatasetInput(Dataset("a", "1", "local", "x"), [Tag("mlflow.data.context", "train"), Tag("other", "zzz")]),
        DatasetInput(Dataset("b", "2", "local", "x")),
    ],
)
TRUE = [
    *("metrics.m > 1", "metrics.m = 1.5", "metrics.m != 2", "metrics.m <= 1.5"),
    *("metrics.nan != 0", "metrics.inf > 1e308", "metrics.neg < -1e308", "metrics.inf != 5"),
    *("params.p = 'Value'", "params.p LIKE 'V%e'", "params.p LIKE '_alu_'", "params.p ILIKE 'vALUE'"),
    *("params.ten != '9'", "params.empty = ''", "params.empty LIKE '%'", "params.empty IS NOT NULL"),
    *("params.gone IS NULL", "tags.t IS NOT NULL", "run_name = 'Name'", "status != 'RUNNING'", "start_time >= 5"),
    *("run_id IN ('q', 'r')", "run_id NOT IN ('q')", "artifact_uri LIKE 's3://%'"),
    *("dataset.name = 'a'", "dataset.name != 'a'", "dataset.digest IN ('2', '3')", "dataset.context = 'train'"),
    *("dataset.name = 'a' AND dataset.digest = '2'", "dataset.name NOT IN ('a')", "dataset.name ILIKE 'A'"),
    *("NOT tags.gone = 'x'", "NOT tags.gone != 'x'", "NOT metrics.nan = 0", "NOT end_time > 0", "NOT user_id != 'x'"),
    *("metrics.m > 9 OR tags.t = 'x'", "NOT (metrics.m > 9 OR tags.t = 'y')", "NOT dataset.name = 'c'"),
    "metrics.m > 9 AND tags.t = 'y' OR tags.t = 'x'",
]
FALSE = [
    *("metrics.gone != 0", "params.gone != 'x'", "tags.gone != 'x'", "tags.gone LIKE '%'", "params.p IS NULL"),
    *("metrics.nan = 0", "metrics.nan < 1", "metrics.nan <= 0", "metrics.nan > -1", "metrics.nan >= 0"),
    *("params.p = 'value'", "params.p LIKE 'v%'", "params.p LIKE 'Val'", "params.p LIKE '____'"),
    *("end_time > 0", "end_time != 5", "user_id != 'x'", "run_name = 'n'", "run_id NOT IN ('r')"),
    *("dataset.context = 'zzz'", "dataset.context != 'train'", "dataset.name = 'c'", "dataset.digest LIKE '__'"),
    *("NOT metrics.nan != 0", "NOT (tags.t = 'x')", "(metrics.m > 9 OR tags.t = 'x') AND tags.t = 'y'"),
    "NOT (NOT metrics.m > 9)",
]


@pytest.mark.parametrize("text", TRUE)
def test_a_true_filter_matches(text: str) -> None:
    assert matches(parse_filter(text, RUNS), RUN)


@pytest.mark.parametrize("text", FALSE)
def test_a_false_filter_does_not(text: str) -> None:
    assert not matches(parse_filter(text, RUNS), RUN)


def test_no_filter_matches_all() -> None:
    assert matches(None, RUN)
    assert matches(None, Experiment("1", "n", "x", "active", None, None))


def test_a_run_without_datasets_matches_no_comparison_of_one() -> None:
    for text in ("dataset.name != 'a'", "dataset.context NOT IN ('a')", "dataset.digest LIKE '%'"):
        assert not matches(parse_filter(text, RUNS), make_run())
        assert matches(parse_filter(f"NOT {text}", RUNS), make_run())


def test_experiments_compare_ids_as_integers() -> None:
    experiment = Experiment("7", "Name", "x", "active", 5, None, [Tag("t", "x")])
    for text, found in (
        ("experiment_id = '07'", True),
        ("experiment_id NOT IN ('7')", False),
        ("name ILIKE 'nAM_'", True),
        ("creation_time = 5 AND tags.t = 'x'", True),
        ("last_update_time != 5", False),
    ):
        assert matches(parse_filter(text, EXPERIMENTS), experiment) == found


@given(st.text("aAb%_é\n.*[", max_size=8), st.text("aAb%_é\n.*[", max_size=8))
def test_like_is_a_match_of_the_whole_text(text: str, pattern: str) -> None:
    regex = "".join({"%": ".*", "_": "."}.get(char, re.escape(char)) for char in pattern)
    assert like(text, pattern) == bool(re.fullmatch(regex, text, re.DOTALL))


def test_like_takes_no_more_than_the_product_of_the_lengths() -> None:
    assert not like("a" * 2000, "%a" * 500 + "%b")
    assert like("a" * 2000, "%a" * 500 + "%")


def test_ilike_knows_the_letters_a_to_z_only() -> None:
    assert lower("AZÉİ\u212a") == "azÉİ\u212a"


def ids(found: List[Any], *order: str) -> str:
    random.Random(len(found)).shuffle(found)
    return "".join(run.info.run_id for run in sorted_entities(found, parse_order_by(order, RUNS), RUNS))


def test_values_come_first_then_nan_then_missing_in_both_directions() -> None:
    values = {"a": 1.0, "b": -1.0, "c": math.nan, "e": math.inf, "f": -math.inf}
    found = [make_run(run_id, metrics=[Metric("m", value, 0)]) for run_id, value in values.items()]
    found.append(make_run("d"))
    assert ids(found, "metrics.m") == "fbaecd"
    assert ids(found, "metrics.m DESC") == "eabfcd"


def test_text_is_ordered_by_code_point_and_params_are_text() -> None:
    values = {"a": "10", "b": "9", "c": "B", "d": "a", "e": "\uffff", "f": "😀", "g": ""}
    found = [make_run(run_id, params=[Param("p", value)]) for run_id, value in values.items()]
    assert ids(found + [make_run("z")], "params.p") == "gabcdefz"
    assert ids(found + [make_run("z")], "params.p DESC") == "fedcbagz"


def test_ties_are_broken_by_the_latest_start_and_then_the_id() -> None:
    found = [make_run("a", 5), make_run("b", 9), make_run("c", 5), make_run("d", None)]
    assert ids(found) == ids(found, "status") == ids(found, "metrics.gone DESC") == "bacd"
    assert ids(found, "start_time") == "acbd"
    assert ids(found, "run_id DESC") == "dcba"
    assert ids(found, "status", "run_id DESC") == "dcba"


def test_experiments_are_ordered_by_number_and_newest_first() -> None:
    found = [
        Experiment(experiment_id, name, "x", "active", time, None)
        for experiment_id, name, time in (("9", "b", 5), ("10", "a", 5), ("2", "b", 7), ("3", "c", None))
    ]

    def order(*texts: str) -> List[str]:
        return [one.experiment_id for one in sorted_entities(found, parse_order_by(texts, EXPERIMENTS), EXPERIMENTS)]

    assert order() == ["2", "9", "10", "3"]
    assert order("name") == ["10", "9", "2", "3"]
    assert order("experiment_id") == ["2", "3", "9", "10"]
    assert order("creation_time") == ["10", "9", "2", "3"]
