"""The kinds of values in requests: what each takes, what it makes of it, what it says of what it refuses."""

import math
import posixpath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trackd import fields
from trackd.entities import RUN_STATUS, Metric, Param, Tag
from trackd.errors import BadRequest, InvalidParameterValue
from trackd.fields.kinds import (
    LARGEST,
    Choice,
    CutText,
    Double,
    ExperimentNumber,
    Field,
    Flag,
    Identifier,
    Integer,
    Items,
    Key,
    Record,
    Text,
    Unique,
    camel_case,
    is_id,
    key_problem,
    shown,
)


def kind_of(annotated: Any) -> Field:
    """The kind behind a type of an argument."""
    kind = annotated.__metadata__[0]
    assert isinstance(kind, Field)
    return kind


def refused(kind: Field, value: Any, name: str = "field") -> str:
    """What is said about a value that must be refused."""
    with pytest.raises(InvalidParameterValue) as caught:
        kind.read(value, name)
    assert name in caught.value.message
    return caught.value.message


WHOLE = Integer(-(2**63), 2**63 - 1)


@pytest.mark.parametrize(
    "given_value, read",
    [
        (0, 0),
        (-5, -5),
        (12.0, 12),
        (1e12, 10**12),
        ("12", 12),
        ("-12", -12),
        ("+12", 12),
        ("12.0", 12),
        ("1.79535e+12", 1795350000000),
        ("1E3", 1000),
        (2**63 - 1, 2**63 - 1),
        (str(-(2**63)), -(2**63)),
    ],
)
def test_an_integer_is_read_from_numbers_and_from_strings(given_value: Any, read: int) -> None:
    number = WHOLE.read(given_value, "field")
    assert number == read and type(number) is int


@pytest.mark.parametrize(
    "value",
    [12.5, "12.5", "", " 12", "12 ", "1_2", "0x10", "abc", "1e", True, False, [], {}, 2**63, -(2**63) - 1, 1e300,
     float("inf"), float("nan"), "1e999", "NaN", "٣", "9" * 5000, str(2**63)],
)  # fmt: skip
def test_an_integer_is_nothing_else(value: Any) -> None:
    assert "whole number" in refused(WHOLE, value)


@given(st.integers(-(2**63), 2**63 - 1))
def test_every_integer_of_64_bits_survives_as_number_and_as_string(number: int) -> None:
    assert WHOLE.read(number, "f") == number == WHOLE.read(str(number), "f")


@pytest.mark.parametrize(
    "given_value, read",
    [
        (1, 1.0),
        (1.5, 1.5),
        ("1.5", 1.5),
        (" 1.5 ", 1.5),
        ("1e3", 1000.0),
        ("Infinity", LARGEST),
        ("-Infinity", -LARGEST),
        ("inf", LARGEST),
        ("+inf", LARGEST),
        ("-INF", -LARGEST),
        ("1e999", LARGEST),
        (10**308, 1e308),
        (-0.0, 0.0),
    ],
)
def test_a_double_is_read_from_numbers_and_strings_and_infinity_is_the_largest(given_value: Any, read: float) -> None:
    number = Double().read(given_value, "field")
    assert number == read and type(number) is float


@pytest.mark.parametrize("value", ["NaN", "nan", "-NaN", "NAN"])
def test_nan_stays_nan(value: str) -> None:
    assert math.isnan(Double().read(value, "field"))


@pytest.mark.parametrize(
    "value", ["", "abc", "1_0", "٣", True, False, [], {}, 10**400, -(10**400), float("inf"), float("nan")]
)
def test_a_double_is_nothing_else(value: Any) -> None:
    assert '"NaN"' in refused(Double(), value)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_finite_double_survives_as_number_and_as_string(number: float) -> None:
    assert Double().read(number, "f") == number == Double().read(repr(number), "f")


@pytest.mark.parametrize(
    "value, read", [(True, True), (False, False), ("TRUE", True), ("false", False), ("fAlSe", False)]
)
def test_a_boolean_may_be_a_string_as_r_sends_it(value: Any, read: bool) -> None:
    assert Flag().read(value, "field") is read


@pytest.mark.parametrize("value", [1, 0, "yes", "1", "", [], 1.0])
def test_a_boolean_is_nothing_else(value: Any) -> None:
    assert "true or false" in refused(Flag(), value)


@pytest.mark.parametrize(
    "value, read",
    [
        ("FINISHED", "FINISHED"),
        (3, "FINISHED"),
        ("3", "FINISHED"),
        (3.0, "FINISHED"),
        ("BOGUS", None),
        ("finished", None),
    ],
)
def test_a_choice_is_a_name_or_a_number_and_an_unknown_name_is_none(value: Any, read: Any) -> None:
    assert Choice(RUN_STATUS).read(value, "field") == read


@pytest.mark.parametrize("value", [0, 99, "99", 2.5, True, [], {}])
def test_a_choice_of_an_unknown_number_is_refused_with_the_names(value: Any) -> None:
    assert "RUNNING, SCHEDULED" in refused(Choice(RUN_STATUS), value)


def test_a_text_is_limited_in_characters_not_bytes() -> None:
    assert Text(3).read("日本語", "field") == "日本語"
    assert "4 characters" in refused(Text(3), "日本語x")


@pytest.mark.parametrize("value", [5, 1.5, True, [], {}])
def test_a_text_is_never_a_number(value: Any) -> None:
    assert "string" in refused(Text(), value)


def test_a_long_value_is_cut_or_refused_if_the_environment_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRUNCATE_LONG_VALUES", raising=False)
    assert CutText(3).read("abcde", "field") == "abc"
    monkeypatch.setenv("MLFLOW_TRUNCATE_LONG_VALUES", "false")
    assert "at most 3" in refused(CutText(3), "abcde")
    assert CutText(3).read("abc", "field") == "abc"


@pytest.mark.parametrize("kind, limit", [(fields.ParamValue, 6000), (fields.TagValue, 8000)])
def test_params_and_tags_are_cut_at_the_limits_of_mlflow(kind: Any, limit: int) -> None:
    assert len(kind_of(kind).read("x" * 10000, "value")) == limit


@pytest.mark.parametrize(
    "kind, limit",
    [
        (fields.ExperimentName, 500),
        (fields.ExperimentTagValue, 20000),
        (fields.SetKey, 250),
        (fields.DatasetName, 500),
        (fields.DatasetDigest, 36),
    ],
)
def test_what_is_too_long_is_refused(kind: Any, limit: int) -> None:
    assert kind_of(kind).read("x" * limit, "value") == "x" * limit
    assert f"at most {limit}" in refused(kind_of(kind), "x" * (limit + 1))


@pytest.mark.parametrize(
    "key",
    [
        "a",
        "a/b",
        "a.b",
        "A-Z_0 9:x",
        "é",
        "日本",
        "CON",
        "nul.txt",
        "a.",
        "C:",
        "C:/x",
        "a..b",
        "a/..b",
        ".hidden",
        "a\n",
    ],
)
def test_keys_that_mlflow_takes_are_taken_and_kept_as_they_are(key: str) -> None:
    assert Key().read(key, "key") == key


@pytest.mark.parametrize(
    "key",
    ["../x", "..", ".", "a/../b", "/a", "//a", "a//b", "a/", "./a", "a/.", "..x", "...", "a\\b", "a\0b", "a\nb", "a\tb",
     "a#", "a?b", "a%2e", "a=b", "a,b", "\\\\host\\x", "C:\\x", "a\n\n"],
)  # fmt: skip
def test_keys_that_are_no_path_of_their_own_are_refused(key: str) -> None:
    refused(Key(), key, "key")


@given(st.text(alphabet="ab./ _-:", min_size=1, max_size=12))
def test_the_path_rule_is_that_of_posix_normalisation(key: str) -> None:
    norm = posixpath.normpath(key)
    allowed = norm == key and norm != "." and not norm.startswith(("..", "/"))
    assert (key_problem(key) == "") == allowed


@pytest.mark.parametrize("value", ["m-1", "0a" * 16, "a_b", "x" * 256])
def test_ids_are_letters_digits_underscores_and_hyphens(value: str) -> None:
    assert Identifier().read(value, "run_id") == value and is_id(value)


@pytest.mark.parametrize("value", ["", "../x", "-a", "_a", "a/b", "a.b", "a b", "x" * 257, "a\n", "é"])
def test_nothing_else_is_an_id(value: str) -> None:
    assert not is_id(value)


@pytest.mark.parametrize(
    "value, read", [("0", "0"), ("007", "7"), (" 1 ", "1"), ("+1", "1"), ("-1", "-1"), (str(2**63 - 1), str(2**63 - 1))]
)
def test_an_experiment_id_has_one_spelling(value: str, read: str) -> None:
    assert ExperimentNumber().read(value, "experiment_id") == read


@pytest.mark.parametrize(
    "value", ["x", "1.0", "1_0", "", "٣", "../0", "0x1", "0\0", 0, None, 1.5, "9" * 30, "9" * 9999, str(2**63)]
)
def test_an_experiment_id_is_an_integer_in_a_string(value: Any) -> None:
    assert "experiment id" in refused(ExperimentNumber(), value, "experiment_id")


def test_a_list_names_the_item_that_is_wrong() -> None:
    assert Items(Integer(0, 9)).read([1, "2"], "field") == [1, 2]
    assert refused(Items(Integer(0, 9)), [1, 10], "field").startswith("field[1] is 10;")
    assert "field[0]" in refused(Items(Text()), [None])
    assert "a list" in refused(Items(Text()), "abc")
    assert "3 things; at most 2" in refused(Items(Text(), 2, "things"), ["a", "b", "c"])


def test_a_record_reads_either_spelling_and_ignores_other_names() -> None:
    kind = Record(lambda *values: values, some_key=Text(), other_value=(Integer(0, 9), 7))
    assert kind.read({"some_key": "a"}, "r") == ("a", 7)
    assert kind.read({"someKey": "a", "otherValue": "3", "extra": {}}, "r") == ("a", 3)
    assert kind.read({"some_key": "a", "other_value": None}, "r") == ("a", 7)
    assert "otherValue" in refused(kind, {"some_key": "a", "other_value": 1, "otherValue": 1}, "r")
    assert refused(kind, {}, "r").startswith("r.some_key is missing")
    assert refused(kind, {"some_key": ""}, "r").startswith("r.some_key is missing")
    assert "an object" in refused(kind, [], "r")


def test_equal_keys_are_refused_with_their_places() -> None:
    kind = Unique(Record(Tag, key=Key(), value=(Text(), "")))
    assert kind.read([{"key": "a"}, {"key": "b", "value": "x"}], "tags") == [Tag("a", ""), Tag("b", "x")]
    with pytest.raises(BadRequest, match=r"tags\[0\] and tags\[2\] have the same key 'a'"):
        kind.read([{"key": "a"}, {"key": "b"}, {"key": "a"}], "tags")


def test_params_of_a_batch_are_read_into_entities() -> None:
    kind = kind_of(fields.Params)
    assert kind.read([{"key": "a", "value": "1"}, {"key": "b"}], "params") == [Param("a", "1"), Param("b", "")]
    refused(kind, [{"key": str(n)} for n in range(101)], "params")


PLAIN = {"key": "a", "value": 1.5, "timestamp": 3, "step": -2}


@pytest.mark.parametrize(
    "point, read",
    [
        (PLAIN, Metric("a", 1.5, 3, -2)),
        ({**PLAIN, "value": 1}, Metric("a", 1.0, 3, -2)),
        ({**PLAIN, "value": "Infinity"}, Metric("a", LARGEST, 3, -2)),
        ({**PLAIN, "timestamp": "3", "step": "-2"}, Metric("a", 1.5, 3, -2)),
        ({"key": "a", "value": 1.5, "timestamp": 3}, Metric("a", 1.5, 3, 0)),
        ({"key": "a", "value": 1.5, "timestamp": 3, "run_id": "x"}, Metric("a", 1.5, 3, 0)),
        ({**PLAIN, "model_id": "m-1"}, Metric("a", 1.5, 3, -2, "m-1")),
        ({**PLAIN, "modelId": ""}, Metric("a", 1.5, 3, -2)),
        ({**PLAIN, "dataset_name": "d", "datasetDigest": "e"}, Metric("a", 1.5, 3, -2, None, "d", "e")),
    ],
)
def test_a_point_of_a_batch_is_read_the_same_in_its_plain_and_its_odd_forms(point: Any, read: Metric) -> None:
    found = kind_of(fields.Metrics).read([PLAIN, point], "metrics")
    assert found == [Metric("a", 1.5, 3, -2), read]
    assert all(type(each) is Metric and type(each.value) is float for each in found)


@pytest.mark.parametrize(
    "point",
    [
        None,
        5,
        [],
        {},
        {**PLAIN, "key": ""},
        {**PLAIN, "key": None},
        {**PLAIN, "key": 5},
        {**PLAIN, "key": "a//b"},
        {**PLAIN, "key": "a" * 251},
        {**PLAIN, "value": None},
        {**PLAIN, "value": ""},
        {**PLAIN, "value": True},
        {**PLAIN, "value": float("inf")},
        {**PLAIN, "timestamp": -1},
        {**PLAIN, "timestamp": 12.5},
        {**PLAIN, "timestamp": True},
        {**PLAIN, "timestamp": 2**63},
        {**PLAIN, "timestamp": None},
        {**PLAIN, "step": 2**63},
        {**PLAIN, "step": 1.5},
        {**PLAIN, "model_id": "../x"},
        {**PLAIN, "model_id": "a", "modelId": "a"},
        {**PLAIN, "dataset_name": "d"},
        {"key": "a", "value": 1.5, "step": 3, "other": 1},
    ],
)
def test_a_wrong_point_is_refused(point: Any) -> None:
    with pytest.raises(InvalidParameterValue):
        kind_of(fields.Metrics).read([PLAIN, point], "metrics")


def test_the_place_of_a_wrong_point_is_named() -> None:
    message = refused(kind_of(fields.Metrics), [PLAIN, PLAIN, {**PLAIN, "timestamp": 12.5}], "metrics")
    assert message.startswith("metrics[2].timestamp is 12.5;")


def test_a_batch_has_at_most_a_thousand_points() -> None:
    assert len(kind_of(fields.Metrics).read([PLAIN] * 1000, "metrics")) == 1000
    assert "1001 metrics" in refused(kind_of(fields.Metrics), [PLAIN] * 1001, "metrics")


def test_names_have_the_camel_case_of_protobuf() -> None:
    assert [camel_case(name) for name in ("run_id", "key", "run_view_type")] == ["runId", "key", "runViewType"]


@pytest.mark.parametrize("value", ["x" * 10**6, [1] * 1000, {"a": {}}, 10**4000, "a\nb\0", True, 1.5])
def test_what_is_shown_in_messages_is_short_and_on_one_line(value: Any) -> None:
    assert len(shown(value)) <= 64 and shown(value).isprintable()
