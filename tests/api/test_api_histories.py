"""Windows of histories and summaries of metrics: what /api/trackd/metrics answers on every store."""

import json
import math
import random
import sqlite3
from pathlib import Path
from typing import Any, Dict, List, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import Client
from trackd.app import App
from trackd.config import Config
from trackd.entities import Metric
from trackd.history import window
from trackd.history.columns import LARGEST, STEP, History, from_points
from trackd.store import open_store

HISTORY = "/api/trackd/metrics/history"
SUMMARY = "/api/trackd/metrics/summary"


def log(client: Client, run_id: str, values: Sequence[Any], key: str = "m", first: int = 0) -> None:
    """Points at steps that go on from ``first``, one second apart."""
    points = [
        {"key": key, "value": value, "timestamp": 1000 * (first + place), "step": first + place}
        for place, value in enumerate(values)
    ]
    for begin in range(0, len(points), 1000):
        client.ok("runs/log-batch", run_id=run_id, metrics=points[begin : begin + 1000])


def show(client: Client, run_id: str, **more: Any) -> Dict[str, Any]:
    """The one series of one run's metric m."""
    (series,) = client.ok(HISTORY, **{"run_ids": [run_id], "metric_keys": ["m"], **more})["series"]
    return dict(series)


def test_few_points_are_all_there_with_step_time_and_value(client: Client) -> None:
    run = client.run()
    log(client, run, [1.5, "NaN", -2.0])
    assert show(client, run) == {
        "run_id": run, "metric_key": "m", "total": 3, "count": 3, "raw": True,
        "step": [0, 1, 2], "time": [0, 1000, 2000], "value": [1.5, "NaN", -2.0],
    }  # fmt: skip


def test_many_points_become_telling_ones_and_a_zoom_brings_every_point(client: Client) -> None:
    run = client.run()
    values = [math.sin(place / 50) for place in range(5000)]
    values[2345] = 99.0
    log(client, run, values)
    seen = show(client, run, buckets=100)
    assert not seen["raw"] and seen["count"] == seen["total"] == 5000 and len(seen["step"]) <= 400
    assert 99.0 in seen["value"] and (seen["step"][0], seen["step"][-1]) == (0, 4999)
    near = show(client, run, buckets=100, start=2300, end=2400)
    assert near["raw"] and near["count"] == 101 and near["step"] == list(range(2299, 2402))
    assert near["value"] == values[2299:2402]


def test_infinities_are_named_and_each_bucket_keeps_its_marks(client: Client) -> None:
    run = client.run()
    values: List[Any] = [float(place) for place in range(1000)]
    values[123], values[124], values[125] = "NaN", "Infinity", "-Infinity"
    log(client, run, values)
    seen = show(client, run, buckets=10)
    assert {"NaN", "Infinity", "-Infinity"} <= set(map(str, seen["value"]))


def test_the_axis_may_be_time_relative_time_or_another_metric(client: Client) -> None:
    run = client.run(start_time=500)
    log(client, run, [1.0, 2.0, 3.0])
    log(client, run, [30.0, 20.0], key="other", first=1)
    assert show(client, run, x="time", start=1000, end=1000)["count"] == 1
    relative = show(client, run, x="relative", start=500, end=500)
    # The first point is earlier than the start of the run, so times count from it.
    assert relative["base"] == 0 and relative["count"] == 0
    late = client.run(start_time=500)
    log(client, late, [1.0, 2.0], first=1)
    assert show(client, late, x="relative", start=500, end=500)["count"] == 1
    joined = show(client, run, x="metric", x_metric="other")
    assert (joined["x"], joined["value"], joined["step"]) == ([20.0, 30.0], [3.0, 2.0], [2, 1])


def test_smoothing_is_a_debiased_average_over_all_points_that_a_window_does_not_change(client: Client) -> None:
    run = client.run()
    log(client, run, [1.0, 3.0, "NaN", 5.0])
    first, second, third, fourth = show(client, run, smoothing=0.5)["smooth"]
    assert (first, third) == (1.0, second) and second == pytest.approx((0.5 * 0.5 * 1 + 0.5 * 3) / 0.75)
    assert fourth == pytest.approx((0.125 * 1 + 0.25 * 3 + 0.5 * 5) / 0.875)
    assert show(client, run, smoothing=0.5, start=3)["smooth"][-1] == fourth


def test_averages_of_all_series_stand_at_the_same_places(client: Client) -> None:
    runs = [client.run(), client.run()]
    log(client, runs[0], [0.0, 1.0, 2.0, 3.0])
    client.ok("runs/log-batch", run_id=runs[1], metrics=[
        {"key": "m", "value": value, "timestamp": 0, "step": step} for step, value in ((0, 10.0), (2, 30.0))
    ])  # fmt: skip
    found = client.ok(HISTORY, run_ids=runs, metric_keys=["m"], average=True)
    assert found["places"] == [0, 1, 2, 3]
    assert [row["value"] for row in found["series"]] == [[0.0, 1.0, 2.0, 3.0], [10.0, 20.0, 30.0, None]]
    wide = client.run()
    log(client, wide, [float(place) for place in range(1000)])
    found = client.ok(HISTORY, run_ids=[wide], metric_keys=["m"], average=True, buckets=10)
    assert found["places"][0] == pytest.approx(49.95)
    assert found["series"][0]["value"] == pytest.approx([49.5 + 100 * place for place in range(10)], abs=1)


def test_what_has_not_changed_is_not_sent_again(client: Client) -> None:
    run = client.run()
    log(client, run, [1.0])
    question = {"run_ids": [run], "metric_keys": ["m"]}
    state = client.ok(HISTORY, **question)["state"]
    assert client.ok(HISTORY, **question, unless=state) == {"state": state, "unchanged": True}
    assert "series" in client.ok(HISTORY, **question, buckets=7, unless=state)
    log(client, run, [2.0], first=1)
    assert client.ok(HISTORY, **question, unless=state)["series"][0]["value"] == [1.0, 2.0]


def test_points_show_once_they_are_written_in_whatever_order_they_come(client: Client) -> None:
    run = client.run()
    given_steps: List[int] = []
    for steps in ([5, 6], [7], [1], [9, 8]):
        for step in steps:
            client.ok("runs/log-metric", run_id=run, key="m", value=float(step), timestamp=step, step=step)
        given_steps += steps
        assert show(client, run)["step"] == sorted(given_steps)


def test_runs_and_keys_that_are_not_there_are_left_out(client: Client) -> None:
    run = client.run()
    log(client, run, [1.0])
    body = {"run_ids": ["0" * 32, "../x", run, run], "metric_keys": ["no", "m", "../m", "a/../../b"]}
    assert [each["run_id"] for each in client.ok(HISTORY, **body)["series"]] == [run]
    assert [each["run_id"] for each in client.ok(SUMMARY, **body)["metrics"]] == [run]


@pytest.mark.parametrize(
    "wrong",
    [{"x": "steps"}, {"start": 2, "end": 1}, {"start": "NaN"}, {"end": "x"}, {"buckets": 0}, {"buckets": 10001},
     {"smoothing": 1}, {"smoothing": -0.1}, {"smoothing": "NaN"}, {"x": "metric"}, {"x_metric": "m"},
     {"average": "maybe"}, {"run_ids": []}, {"run_ids": ["a"] * 101}, {"metric_keys": ["m"] * 3001},
     {"run_ids": [f"r{n}" for n in range(100)], "metric_keys": [f"m{n}" for n in range(31)], "buckets": 1},
     {"run_ids": [f"r{n}" for n in range(100)], "metric_keys": ["m"], "buckets": 4001}, {"unless": 5}],
)  # fmt: skip
def test_a_wrong_question_about_a_window_is_refused(client: Client, wrong: Dict[str, Any]) -> None:
    reply = client.post(HISTORY, {"run_ids": ["a"], "metric_keys": ["m"], **wrong})
    assert (reply.status, reply.error) == ((200, "") if wrong == {"run_ids": []} else (400, "INVALID_PARAMETER_VALUE"))


def test_a_summary_has_the_last_the_least_and_the_greatest(client: Client) -> None:
    run = client.run()
    log(client, run, [3.0, "NaN", 1.0, 2.0])
    log(client, run, ["NaN"], key="odd")
    found = client.ok(SUMMARY, run_ids=[run], metric_keys=["m", "odd"])["metrics"]
    assert found == [
        {"run_id": run, "metric_key": "m", "count": 4, "last": 2.0,
         "min": 1.0, "min_step": 2, "max": 3.0, "max_step": 0},
        {"run_id": run, "metric_key": "odd", "count": 1, "last": "NaN"},
    ]  # fmt: skip


NUMBERS = st.one_of(st.floats(allow_nan=True, allow_infinity=True), st.sampled_from([0.0, 1.0, LARGEST, -LARGEST]))
POINTS = st.lists(st.tuples(st.integers(-50, 50), NUMBERS), max_size=120)


def history(points: Sequence[Any]) -> History:
    """A history of (step, value), logged in that order."""
    return from_points(Metric("m", value, place, step) for place, (step, value) in enumerate(points))


@settings(max_examples=150)
@given(POINTS, st.integers(1, 9), st.one_of(st.none(), st.integers(-60, 60)), st.one_of(st.none(), st.integers(0, 80)))
def test_each_bucket_keeps_its_ends_its_extremes_and_what_is_no_number(
    points: Sequence[Any], buckets: int, start: Any, length: Any
) -> None:
    end = None if length is None else (start or 0) + length
    line = history(points).line(STEP)
    seen = window.look(line, start, end, buckets)
    positions = list(seen.positions)
    assert positions == sorted(set(positions))
    inside = [
        place for place, step in enumerate(line.xs)
        if (start is None or step >= start) and (end is None or step <= end)
    ]  # fmt: skip
    assert seen.inside == len(inside)
    kept = [place for place in positions if place in set(inside)]
    outside = [place for place in positions if place not in set(inside)]
    assert len(outside) <= 2
    if seen.raw:
        assert kept == inside
        return
    first = line.xs[inside[0]] if start is None else start
    last = line.xs[inside[-1]] if end is None else end
    width = (last - first) / buckets
    for number in range(buckets):
        low = first + number * width
        high = first + (number + 1) * width
        bucket = [p for p in inside if low <= line.xs[p] and (line.xs[p] < high or number == buckets - 1)]
        shown = [line.values[p] for p in bucket if p in set(kept)]
        values = [line.values[p] for p in bucket]
        if not bucket:
            continue
        assert {bucket[0], bucket[-1]} <= set(kept)
        finite = [value for value in values if -LARGEST < value < LARGEST]
        if finite:
            assert min(finite) in shown and max(finite) in shown
        for test in (math.isnan, lambda v: v >= LARGEST, lambda v: v <= -LARGEST):
            assert any(map(test, values)) == any(map(test, shown))
        assert len(shown) <= 7


@settings(max_examples=60)
@given(st.lists(POINTS, min_size=1, max_size=4))
def test_a_history_that_grew_is_the_same_as_one_read_at_once(parts: Sequence[Sequence[Any]]) -> None:
    grown = history([])
    for part in parts:
        grown.line(STEP)
        more = history(part)
        grown = grown.extended(more.times, more.steps, more.values)
    whole = history([point for part in parts for point in part])
    # Times begin anew in each part, so only steps are compared.
    assert list(grown.steps) == list(whole.steps) and repr(grown.values) == repr(whole.values)
    assert grown.plain == whole.plain and list(grown.line(STEP).xs) == list(whole.line(STEP).xs)


def test_a_metric_file_that_others_append_to_and_rewrite_is_shown_as_it_is(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "mlruns"), sync="off")
    try:
        client = Client(App(store, Config(backend_store_uri=str(tmp_path / "mlruns"))))
        run = client.run()
        log(client, run, [1.0, 2.0])
        assert show(client, run)["value"] == [1.0, 2.0]
        path = tmp_path / "mlruns" / "0" / run / "metrics" / "m"
        refresh: Any = store
        for text, values in (
            ("3000 3.0 3\n", [1.0, 2.0, 3.0]),
            ("4000 nan 4\n5000 inf 5\n6000 oops\n7000 7.5\n", [1.0, 7.5, 2.0, 3.0, "NaN", "Infinity"]),
            ("8000 8.0 8", [1.0, 7.5, 2.0, 3.0, "NaN", "Infinity"]),
            ("5\n", [1.0, 7.5, 2.0, 3.0, "NaN", "Infinity", 8.0]),
        ):
            with open(path, "a", encoding="utf-8") as file:
                file.write(text)
            refresh.refresh({f"0/{run}"})
            assert show(client, run)["value"] == values
        path.write_text("1 5.0 0\n2 6.0 1\n", encoding="utf-8")
        refresh.refresh({f"0/{run}"})
        assert show(client, run)["value"] == [5.0, 6.0]
        old = path.read_bytes()
        path.write_bytes(old.replace(b"5.0", b"9.0"))
        refresh.refresh({f"0/{run}"})
        assert show(client, run)["value"] == [9.0, 6.0]
    finally:
        store.close()


def test_rows_that_others_write_to_a_database_and_runs_that_go_show_at_once(tmp_path: Path) -> None:
    path = tmp_path / "my.db"
    store = open_store(f"sqlite:///{path}", sync="off")
    try:
        client = Client(App(store, Config(backend_store_uri=f"sqlite:///{path}")))
        runs = [client.run(), client.run()]
        for run in runs:
            log(client, run, [1.0, 2.0])
            assert show(client, run)["value"] == [1.0, 2.0]
        other = sqlite3.connect(path)
        insert = "INSERT INTO metrics (key, value, timestamp, run_uuid, step, is_nan) VALUES ('m', ?, 9, ?, ?, ?)"
        with other:
            other.execute(insert, (0.0, runs[0], 2, 1))
            other.execute(insert, (5.0, runs[0], 1, 0))
        other.close()
        seen = show(client, runs[0])
        assert list(zip(seen["step"], seen["value"])) == [(0, 1.0), (1, 5.0), (1, 2.0), (2, "NaN")]
        with store.transaction() as tx:
            tx.drop_runs([runs[0]])
        log(client, runs[1], [3.0], first=2)
        found = client.ok(HISTORY, run_ids=runs, metric_keys=["m"])["series"]
        assert [each["value"] for each in found] == [[1.0, 2.0, 3.0]]
    finally:
        store.close()


def test_the_cache_of_histories_is_bounded_and_forgets_the_least_lately_used() -> None:
    from trackd.history.cache import SMALLEST, Cache

    cache = Cache(most_points=3 * SMALLEST)
    small = history([(0, 1.0)])
    for name in "abc":
        cache.put(("r", name), 1, small)
    assert cache.get(("r", "a"))
    cache.put(("r", "d"), 1, small)
    assert [name for name in "abcd" if cache.get(("r", name))] == ["a", "c", "d"]
    cache.put(("r", "a"), 1, history([(0, 1.0)] * (3 * SMALLEST + 1)))
    assert not cache.get(("r", "a"))


def test_random_walks_of_many_orders_of_magnitude_survive_the_way_through_json(client: Client) -> None:
    random_numbers = random.Random(5)
    values = [random_numbers.uniform(-1, 1) * 10.0 ** random_numbers.randint(-300, 300) for _ in range(500)]
    run = client.run()
    log(client, run, values)
    assert show(client, run)["value"] == values == json.loads(json.dumps(values))
