"""The same story as the clients of Python, Java and R tell it: what each sends must be understood, and kept the same.

Java prints protobuf's JSON (64-bit integers as strings); R makes a string of every scalar; Python repeats ids under
their old names and in queries. ``curl`` users write numbers.
"""

import json
from typing import Any, Dict, List, Tuple

import pytest

from tests.conftest import Client

Requests = List[Tuple[str, Any]]


def python(run: str) -> Requests:
    """As ``mlflow`` 2 and 3 for Python send it."""
    ids = {"run_uuid": run, "run_id": run}
    loss = {"key": "loss", "value": 0.25, "timestamp": 1700000000001, "step": 3}
    nan = {"key": "nan", "value": "NaN", "timestamp": 1700000000001, "step": 0, "model_id": "", "dataset_name": ""}
    acc = {"key": "acc", "value": 1.0, "timestamp": 1, "step": 0}
    return [
        ("runs/log-metric", {**ids, **loss}),
        ("runs/log-metric", {**ids, **nan}),
        ("runs/log-parameter", {**ids, "key": "lr", "value": "0.1"}),
        ("runs/set-tag", {**ids, "key": "t", "value": "v"}),
        ("runs/log-batch", {"run_id": run, "metrics": [acc], "params": [{"key": "depth", "value": "3"}], "tags": []}),
        ("runs/update", {**ids, "status": "FINISHED", "end_time": 1700000000009}),
    ]


def java(run: str) -> Requests:
    """As the Java client sends it."""
    ids = {"run_uuid": run, "run_id": run}
    acc = {"key": "acc", "value": 1.0, "timestamp": "1", "step": "0"}
    return [
        ("runs/log-metric", {**ids, "key": "loss", "value": 0.25, "timestamp": "1700000000001", "step": "3"}),
        ("runs/log-metric", {**ids, "key": "nan", "value": "NaN", "timestamp": "1700000000001", "step": "0"}),
        ("runs/log-parameter", {**ids, "key": "lr", "value": "0.1"}),
        ("runs/set-tag", {**ids, "key": "t", "value": "v"}),
        ("runs/log-batch", {"run_id": run, "metrics": [acc], "params": [{"key": "depth", "value": "3"}]}),
        ("runs/update", {**ids, "status": "FINISHED", "end_time": "1700000000009"}),
    ]


def r(run: str) -> Requests:
    """As the R client sends it: every scalar is a string, large numbers in scientific notation."""
    ids = {"run_uuid": run, "run_id": run}
    acc = {"key": "acc", "value": "1", "timestamp": "1", "step": "0"}
    return [
        ("runs/log-metric", {**ids, "key": "loss", "value": "0.25", "timestamp": "1.700000000001e+12", "step": "3"}),
        ("runs/log-metric", {**ids, "key": "nan", "value": "NaN", "timestamp": "1.700000000001e+12", "step": "0"}),
        ("runs/log-parameter", {**ids, "key": "lr", "value": "0.1"}),
        ("runs/set-tag", {**ids, "key": "t", "value": "v"}),
        ("runs/log-batch", {"run_id": run, "metrics": [acc], "params": [{"key": "depth", "value": "3"}], "tags": None}),
        ("runs/update", {**ids, "status": "FINISHED", "end_time": "1.700000000009e+12"}),
    ]


def camel_case(run: str) -> Requests:
    """As a program sends it that prints protobuf's own JSON names, floats for integers, and JSON inside a string."""
    acc = {"key": "acc", "value": 1, "timestamp": 1, "step": None}
    return [
        ("runs/log-metric", {"runId": run, "key": "loss", "value": 0.25, "timestamp": 1700000000001.0, "step": 3.0}),
        ("runs/log-metric", {"runUuid": run, "key": "nan", "value": "NaN", "timestamp": 1700000000001}),
        ("runs/log-parameter", json.dumps({"runId": run, "key": "lr", "value": "0.1"})),
        ("runs/set-tag", {"runId": run, "key": "t", "value": "v", "unknown": {"a": []}}),
        ("runs/log-batch", {"runId": run, "metrics": [acc], "params": [{"key": "depth", "value": "3", "x": 1}]}),
        ("runs/update", {"runId": run, "status": 3, "endTime": "1700000000009"}),
    ]


@pytest.mark.parametrize("dialect", [python, java, r, camel_case])
def test_every_client_is_understood_and_what_is_kept_is_the_same(client: Client, dialect: Any) -> None:
    run = client.run(run_name="n")
    for path, body in dialect(run):
        reply = client.post(path, body)
        assert (reply.status, reply.json is not None) == (200, True), (path, reply.json)
    found = client.get_run(run)
    assert found["info"]["status"] == "FINISHED" and found["info"]["end_time"] == 1700000000009
    assert found["data"] == {
        "metrics": [
            {"key": "acc", "value": 1.0, "timestamp": 1, "step": 0},
            {"key": "loss", "value": 0.25, "timestamp": 1700000000001, "step": 3},
            {"key": "nan", "value": "NaN", "timestamp": 1700000000001, "step": 0},
        ],
        "params": [{"key": "depth", "value": "3"}, {"key": "lr", "value": "0.1"}],
        "tags": [{"key": "mlflow.runName", "value": "n"}, {"key": "t", "value": "v"}],
    }


@pytest.mark.parametrize(
    "query",
    [
        "run_uuid={run}&run_id={run}",
        "run_uuid={run}",
        "runId={run}",
        "run_id={run}&run_id=other",
        "run_id={run}&anything=else",
    ],
)
def test_every_way_to_ask_for_a_run_finds_it(client: Client, query: str) -> None:
    run = client.run()
    assert client.get("runs/get", query.format(run=run)).json["run"]["info"]["run_id"] == run


@pytest.mark.parametrize(
    "body",
    [
        {"experiment_ids": ["0"], "filter": "", "run_view_type": "ACTIVE_ONLY", "max_results": 1000, "order_by": []},
        {"experiment_ids": ["0"], "run_view_type": 1, "max_results": "1000", "page_token": None},
        {
            "experimentIds": ["0"],
            "runViewType": "1",
            "maxResults": "1e+03",
            "orderBy": ["start_time DESC"],
            "pageToken": "",
        },
    ],
)
def test_every_way_to_search_finds_the_same(client: Client, body: Dict[str, Any]) -> None:
    runs = [client.run(start_time=n) for n in range(2)]
    assert [each["info"]["run_id"] for each in client.ok("runs/search", **body)["runs"]] == runs[::-1]


def test_an_experiment_that_is_not_there_is_an_error_that_the_r_client_recognises(client: Client) -> None:
    reply = client.get("experiments/get-by-name", {"experiment_name": "nope"})
    assert reply.status == 404 and b"RESOURCE_DOES_NOT_EXIST" in reply.response.body
