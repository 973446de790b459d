"""Metrics over the API: logging points, and reading histories in pages, in bulk and in samples."""

from typing import Any, Dict, List

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import Client, pairs
from trackd.entities import Metric
from trackd.fields.kinds import LARGEST
from trackd.store.base import sample


def log(client: Client, run_id: str, **fields: Any) -> None:
    """Log one point."""
    body: Dict[str, Any] = {"run_id": run_id, "key": "m", "value": 1.0, "timestamp": 1, **fields}
    assert client.ok("runs/log-metric", **body) == {}


def history(client: Client, run_id: str, **query: Any) -> Any:
    """The reply of get-history."""
    reply = client.get("metrics/get-history", {"run_id": run_id, "metric_key": "m", **query})
    assert reply.status == 200, reply.json
    return reply.json


def test_a_point_is_kept_and_read_back(client: Client) -> None:
    run = client.run()
    log(client, run, value=0.1, timestamp="1700000000000", step="-3")
    point = {"key": "m", "value": 0.1, "timestamp": 1700000000000, "step": -3}
    assert history(client, run) == {"metrics": [point]}
    assert client.get_run(run)["data"]["metrics"] == [point]


def test_a_history_is_in_the_order_of_time_step_and_value_and_has_equal_points_once(client: Client) -> None:
    run = client.run()
    for value, timestamp, step in [
        (1, 3, 0),
        (2, 1, 5),
        (1, 1, 5),
        (1, 1, -5),
        (2, 1, 5),
        ("NaN", 2, 0),
        ("NaN", 2, 0),
    ]:
        log(client, run, value=value, timestamp=timestamp, step=step)
    found = [(p["timestamp"], p["step"], p["value"]) for p in history(client, run)["metrics"]]
    assert found == [(1, -5, 1.0), (1, 5, 1.0), (1, 5, 2.0), (2, 0, "NaN"), (3, 0, 1.0)]


def test_infinities_are_kept_as_the_largest_doubles_and_nan_as_nan(client: Client) -> None:
    run = client.run()
    for timestamp, value in enumerate(["Infinity", "-Infinity", "inf", "NaN"]):
        log(client, run, value=value, timestamp=timestamp)
    metrics = [{"key": "b", "value": "-Infinity", "timestamp": 1, "step": 0}]
    client.ok("runs/log-batch", run_id=run, metrics=metrics)
    assert [p["value"] for p in history(client, run)["metrics"]] == [LARGEST, -LARGEST, LARGEST, "NaN"]
    assert pairs(client.get_run(run)["data"]["metrics"]) == {"m": "NaN", "b": -LARGEST}


def test_the_current_point_has_the_highest_step_then_time_then_value(client: Client) -> None:
    run = client.run()
    for value, timestamp, step in [(5, 9, 1), (1, 1, 2), (2, 1, 2), (7, 0, 2), (9, 9, 1)]:
        log(client, run, value=value, timestamp=timestamp, step=step)
    assert client.get_run(run)["data"]["metrics"] == [{"key": "m", "value": 2.0, "timestamp": 1, "step": 2}]


def test_a_point_with_a_dataset_is_kept_on_the_run_without_it(client: Client) -> None:
    run = client.run()
    log(client, run, dataset_name="a set", dataset_digest="abc")
    log(client, run, model_id="", dataset_name="", dataset_digest="", timestamp=2)
    assert [set(p) for p in history(client, run)["metrics"]] == [{"key", "value", "timestamp", "step"}] * 2


def test_a_point_of_a_model_that_is_not_there_is_refused_whole(client: Client) -> None:
    run = client.run()
    plain = {"key": "m", "value": 1.0, "timestamp": 1, "step": 0}
    model = {**plain, "model_id": "m-" + "0" * 32}
    for path, body in (("runs/log-metric", model), ("runs/log-batch", {"metrics": [plain, model]})):
        reply = client.post(path, {"run_id": run, **body})
        assert (reply.status, reply.error) == (404, "RESOURCE_DOES_NOT_EXIST")
    assert history(client, run) == {}


@pytest.mark.parametrize(
    "fields",
    [{"key": None}, {"key": ""}, {"key": "a//b"}, {"key": "x" * 251}, {"value": None}, {"value": ""}, {"value": True},
     {"value": "x"}, {"value": 10**400}, {"timestamp": None}, {"timestamp": 12.5}, {"timestamp": -1},
     {"timestamp": 2**63}, {"timestamp": True}, {"step": 2**63}, {"step": 0.5}, {"model_id": "../x"}, {"model_id": 5},
     {"dataset_name": "d"}, {"dataset_digest": "d"}, {"dataset_name": "x" * 501, "dataset_digest": "d"},
     {"dataset_name": "d", "dataset_digest": "x" * 37}, {"run_id": None}, {"run_id": 5}],
)  # fmt: skip
def test_a_wrong_point_is_refused_and_nothing_is_kept_of_it(client: Client, fields: Any) -> None:
    run = client.run()
    body = {"run_id": run, "key": "m", "value": 1, "timestamp": 1, **fields}
    reply = client.post("runs/log-metric", body)
    assert (reply.status, reply.error) == (400, "INVALID_PARAMETER_VALUE")
    assert client.get_run(run)["data"].get("metrics") is None


@pytest.mark.parametrize("token", [b"NaN", b"Infinity", b"-Infinity", b"1e999"])
def test_a_bare_value_that_is_not_json_is_refused(client: Client, token: bytes) -> None:
    run = client.run()
    raw = b'{"run_id":"%s","key":"m","value":%s,"timestamp":1}' % (run.encode(), token)
    assert client.post("runs/log-metric", raw=raw).status == 400
    assert history(client, run) == {}


def test_a_history_comes_in_pages_if_asked_and_whole_if_not(client: Client) -> None:
    run = client.run()
    points = [{"key": "m", "value": float(n), "timestamp": n, "step": n} for n in range(7)]
    client.ok("runs/log-batch", run_id=run, metrics=points)
    assert history(client, run) == {"metrics": points}
    seen: List[Any] = []
    token = None
    for size in (3, 3, 1):
        page = history(client, run, max_results=3, **({"page_token": token} if token else {}))
        assert len(page["metrics"]) == size
        seen += page["metrics"]
        token = page.get("next_page_token")
    assert token is None and seen == points
    # MLflow's own token for the same place.
    assert history(client, run, max_results=3, page_token="eyJvZmZzZXQiOiA2fQ==")["metrics"] == points[6:]
    assert "next_page_token" not in history(client, run, max_results=7)


def test_the_history_of_nothing_is_empty(client: Client) -> None:
    run = client.run()
    log(client, run)
    assert history(client, "0" * 32) == history(client, "../" + run) == {}
    for key in ("other", "../metrics/m", "m/", "a\0b"):
        assert client.get("metrics/get-history", {"run_id": run, "metric_key": key}).json == {}


def test_a_deleted_runs_history_is_still_read(client: Client) -> None:
    run = client.run()
    log(client, run)
    client.ok("runs/delete", run_id=run)
    assert len(history(client, run)["metrics"]) == 1


@pytest.mark.parametrize(
    "query",
    [{"max_results": 0}, {"max_results": -1}, {"max_results": "x"}, {"max_results": 2**31}, {"page_token": "x"},
     {"metric_key": ""}, {"run_id": ""}],
)  # fmt: skip
def test_a_wrong_question_about_a_history_is_refused(client: Client, query: Any) -> None:
    reply = client.get("metrics/get-history", {"run_id": "a", "metric_key": "m", **query})
    assert (reply.status, reply.error) == (400, "INVALID_PARAMETER_VALUE")


BULK = "/ajax-api/2.0/mlflow/metrics/get-history-bulk"


def test_histories_in_bulk_are_sorted_by_run_and_cut_at_the_limit(client: Client) -> None:
    runs = sorted(client.run() for _ in range(3))
    for run in runs:
        log(client, run, timestamp=2, value="NaN")
        log(client, run, timestamp=1)
    query = {"run_id": [*reversed(runs), "0" * 32, "../x", runs[0]], "metric_key": "m"}
    found = client.get(BULK, query).json["metrics"]
    assert [(p["run_id"], p["timestamp"]) for p in found] == [(run, time) for run in runs for time in (1, 2)]
    assert found[1] == {"key": "m", "value": "NaN", "timestamp": 2, "step": 0, "run_id": runs[0]}
    for limit in (0, 1, 3, 6, 10**6):
        assert client.get(BULK, {**query, "max_results": limit}).json["metrics"] == found[:limit]
    assert client.get(BULK, {"run_id": "0" * 32, "metric_key": "m"}).json == {"metrics": []}


@pytest.mark.parametrize(
    "query",
    ["metric_key=m", "run_id=a", "run_id=a&metric_key=m&max_results=x", "run_id=a&metric_key=m&max_results=-1",
              "metric_key=m" + "&run_id=a" * 101]
)  # fmt: skip
def test_a_wrong_question_in_bulk_is_refused(client: Client, query: str) -> None:
    assert client.get(BULK, query).status == 400


def test_a_sample_of_histories_has_at_most_so_many_points_of_each_run(client: Client) -> None:
    runs = [client.run() for _ in range(2)]
    points = [{"key": "m", "value": float(n), "timestamp": n, "step": n} for n in range(10)]
    for run in runs:
        client.ok("runs/log-batch", run_id=run, metrics=points)
    path = "metrics/get-history-bulk-interval"
    query = {"run_ids": [*runs, "0" * 32, "../x"], "metric_key": "m", "max_results": 3}
    found = client.get(path, query).json["metrics"]
    assert [(p["run_id"], p["step"]) for p in found] == [(run, step) for run in runs for step in (0, 4, 9)]
    assert list(found[0]) == ["key", "value", "timestamp", "step", "run_id"]
    found = client.get(path, {**query, "start_step": 2, "end_step": 5, "max_results": 9}).json["metrics"]
    assert [p["step"] for p in found] == [2, 3, 4, 5] * 2
    assert client.get(path, {**query, "metric_key": "other"}).json == {}
    assert client.send("GET", "/ajax-api/2.0/mlflow/" + path, query=f"run_ids={runs[0]}&metric_key=m").status == 200


@pytest.mark.parametrize(
    "query",
    ["metric_key=m", "run_ids=a", "run_ids=a&metric_key=m&max_results=0", "run_ids=a&metric_key=m&max_results=2501",
     "run_ids=a&metric_key=m&start_step=1", "run_ids=a&metric_key=m&end_step=1",
     "run_ids=a&metric_key=m&start_step=2&end_step=1", "run_ids=a&metric_key=m&start_step=x&end_step=1",
     "metric_key=m" + "&run_ids=a" * 101],
)  # fmt: skip
def test_a_wrong_question_for_a_sample_is_refused(client: Client, query: str) -> None:
    assert client.get("metrics/get-history-bulk-interval", query).status == 400


def points(count: int) -> List[Metric]:
    """Points at the steps 0, 1, 2 ..."""
    return [Metric("m", 1.0, 0, step) for step in range(count)]


# As a real server of MLflow 3.17.2 on SQLite answered, for this many points and this max_results.
@pytest.mark.parametrize(
    "count, limit, steps",
    [
        (0, 3, []),
        (2, 3, [0, 1]),
        (3, 3, [0, 1, 2]),
        (10, 1, [9]),
        (10, 2, [0, 9]),
        (10, 3, [0, 4, 9]),
        (10, 4, [0, 3, 6, 9]),
        (10, 7, [0, 2, 4, 6, 7, 8, 9]),
        (11, 5, [0, 3, 5, 7, 10]),
    ],
)
def test_a_sample_is_taken_as_mlflow_takes_it(count: int, limit: int, steps: List[int]) -> None:
    assert [point.step for point in sample(points(count), limit)] == steps


@given(st.integers(0, 60), st.integers(1, 30))
def test_a_sample_is_even_and_keeps_both_ends(count: int, limit: int) -> None:
    steps = [point.step for point in sample(points(count), limit)]
    assert len(steps) == min(count, limit) and steps == sorted(set(steps))
    if steps:
        assert steps[-1] == count - 1 and (limit == 1 or steps[0] == 0)
        gaps = [after - before for before, after in zip(steps[:-1], steps[1:-1])]
        assert not gaps or max(gaps) - min(gaps) <= 1


def test_points_are_sampled_by_step_then_time_then_value_with_nan_as_zero(client: Client) -> None:
    run_id = client.run()
    for value, timestamp, step in ((1.0, 5, 1), ("NaN", 4, 1), (0.0, 4, 1), (-1.0, 4, 1), (9.0, 9, 0)):
        log(client, run_id, value=value, timestamp=timestamp, step=step)
    reply = client.get("metrics/get-history-bulk-interval", {"run_ids": run_id, "metric_key": "m", "max_results": 9})
    found = [(each["step"], each["timestamp"], str(each["value"])) for each in reply.json["metrics"]]
    assert found == [(0, 9, "9.0"), (1, 4, "-1.0"), (1, 4, "0.0"), (1, 4, "NaN"), (1, 5, "1.0")]
