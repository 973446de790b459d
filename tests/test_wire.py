"""Entities as MLflow's JSON: what is sent, in which order, and what is left out."""

import json
from typing import Any, List

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trackd import wire
from trackd.entities import (
    Dataset,
    DatasetInput,
    Experiment,
    Metric,
    ModelInput,
    ModelOutput,
    Param,
    Run,
    RunInfo,
    Tag,
)

INFO = RunInfo("r1", "0", "name", "", "RUNNING", 0, None, "mlflow-artifacts:/0/r1/artifacts", "active")


def sent(value: Any) -> Any:
    """What a client reads."""
    return json.loads(wire.encode({"it": value}))["it"]


def test_an_experiment_is_sent_in_the_order_of_its_fields() -> None:
    text = wire.encode({"experiment": wire.experiment(Experiment("1", "n", "l", "active", 5, 6, (Tag("k", "v"),)))})
    assert text == (
        b'{"experiment":{"experiment_id":"1","name":"n","artifact_location":"l","lifecycle_stage":"active",'
        b'"last_update_time":6,"creation_time":5,"tags":[{"key":"k","value":"v"}],"workspace":"default"}}'
    )


def test_times_and_tags_that_an_experiment_lacks_are_left_out() -> None:
    assert sent(wire.experiment(Experiment("1", "", "", "deleted", None, None))) == {
        "experiment_id": "1", "name": "", "artifact_location": "", "lifecycle_stage": "deleted", "workspace": "default",
    }  # fmt: skip


def test_a_runs_info_is_sent_in_the_order_of_its_fields_with_its_id_twice() -> None:
    assert wire.run_info(INFO._replace(end_time=7)) == (
        '{"run_uuid":"r1","experiment_id":"0","run_name":"name","user_id":"","status":"RUNNING","start_time":0,'
        '"end_time":7,"artifact_uri":"mlflow-artifacts:/0/r1/artifacts","lifecycle_stage":"active","run_id":"r1"}'
    )


@pytest.mark.parametrize("end_time", [None, 0])
def test_the_end_time_is_left_out_until_it_is_set_and_not_zero(end_time: Any) -> None:
    assert "end_time" not in sent(wire.run_info(INFO._replace(end_time=end_time)))


def test_what_a_run_was_not_given_is_left_out_and_zeros_are_sent() -> None:
    info = sent(wire.run_info(INFO._replace(run_name=None, user_id=None, start_time=None)))
    assert not {"run_name", "user_id", "start_time"} & set(info)
    assert sent(wire.run_info(INFO))["start_time"] == 0


def test_an_empty_run_has_empty_objects_but_no_empty_lists() -> None:
    run = sent(wire.run(Run(INFO)))
    assert (run["data"], run["inputs"], run["outputs"]) == ({}, {}, {})
    assert "outputs" not in sent(wire.run(Run(INFO), outputs=False))


FULL = Run(
    INFO,
    [Metric("m", 0.5, 3, 0, "m-1", "d", "e", "r1"), Metric("n", float("nan"), 4, -1)],
    [Param("p", "1"), Param("q", "")],
    [Tag("t", "v")],
    [
        DatasetInput(Dataset("d", "e", "local", "s", None, "pr"), [Tag("c", "train")]),
        DatasetInput(Dataset("a", "b", "", "")),
    ],
    [ModelInput("m-1")],
    [ModelOutput("m-2", 0), ModelOutput("m-3", 5)],
)


def test_a_full_run_is_sent_whole() -> None:
    run = sent(wire.run(FULL))
    assert run["data"] == {
        "metrics": [
            {"key": "m", "value": 0.5, "timestamp": 3, "step": 0},
            {"key": "n", "value": "NaN", "timestamp": 4, "step": -1},
        ],
        "params": [{"key": "p", "value": "1"}, {"key": "q", "value": ""}],
        "tags": [{"key": "t", "value": "v"}],
    }
    assert run["inputs"] == {
        "dataset_inputs": [
            {
                "tags": [{"key": "c", "value": "train"}],
                "dataset": {"name": "d", "digest": "e", "source_type": "local", "source": "s", "profile": "pr"},
            },
            {"dataset": {"name": "a", "digest": "b", "source_type": "", "source": ""}},
        ],
        "model_inputs": [{"model_id": "m-1"}],
    }
    assert run["outputs"] == {"model_outputs": [{"model_id": "m-2", "step": 0}, {"model_id": "m-3", "step": 5}]}


def test_a_search_leaves_out_model_inputs() -> None:
    assert "model_inputs" not in sent(wire.run(FULL, model_inputs=False))["inputs"]


def test_a_point_is_sent_without_its_model_and_dataset() -> None:
    assert wire.metric(FULL.metrics[0]) == '{"key":"m","value":0.5,"timestamp":3,"step":0}'
    (point,) = wire.points_of_run("r1", "m", FULL.metrics[:1])
    assert point == '{"key":"m","value":0.5,"timestamp":3,"step":0,"run_id":"r1"}'


@pytest.mark.parametrize(
    "value, text", [(float("nan"), '"NaN"'), (float("inf"), '"Infinity"'), (float("-inf"), '"-Infinity"'), (1.0, "1.0")]
)
def test_what_json_has_no_number_for_is_a_string(value: float, text: str) -> None:
    assert wire.number(value) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_double_reads_back_as_the_same(value: float) -> None:
    assert json.loads(wire.number(value)) == value


@given(st.lists(st.tuples(st.text(), st.text()), max_size=4))
def test_any_text_is_ascii_json_that_reads_back_as_the_same(items: List[Any]) -> None:
    run = Run(INFO, params=[Param(*item) for item in items], tags=[Tag(*item) for item in items])
    body = wire.encode({"run": wire.run(run)})
    assert body.isascii()
    data = json.loads(body)["run"]["data"]
    assert [(each["key"], each["value"]) for each in data.get("params", [])] == items
    assert data.get("tags", []) == data.get("params", [])


def test_a_reply_is_made_of_plain_values_of_text_and_of_lists_of_text() -> None:
    reply = {"a": 1, "b": wire.Json("[1]"), "c": [wire.Json("{}"), wire.Json("2")], "d": [], "e": None, "f": "\u00e9"}
    assert wire.encode(reply) == b'{"a":1,"b":[1],"c":[{},2],"d":[],"f":"\\u00e9"}'
    assert wire.encode({}) == b"{}"


def test_a_bare_nan_is_never_sent() -> None:
    with pytest.raises(ValueError):
        wire.encode({"value": float("nan")})


def test_dataset_summaries_have_a_context_only_if_there_is_one() -> None:
    assert wire.dataset_summaries([("0", "d", "e", None), ("1", "f", "g", "train")]) == [
        {"experiment_id": "0", "name": "d", "digest": "e"},
        {"experiment_id": "1", "name": "f", "digest": "g", "context": "train"},
    ]
