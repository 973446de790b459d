"""Steps of the area metrics: log-metric, get-history, get-history-bulk, get-history-bulk-interval."""

from typing import Any, Dict, List

from tests.compat.differ import Step, get, post

T = 1700000000000

BULK = "/ajax-api/2.0/mlflow/metrics/get-history-bulk"
INTERVAL = "metrics/get-history-bulk-interval"


def log(name: str, **fields: Any) -> Step:
    """A log-metric to the run of the metrics."""
    return post(name, "runs/log-metric", {"run_id": "$metrics", "timestamp": T, **fields})


def odd(name: str, **fields: Any) -> Step:
    """A log-metric that MLflow may take in spite of it all; to another run, so that nothing else shows it."""
    return post(name, "runs/log-metric", {"run_id": "$odd", "timestamp": T, **fields})


def history(name: str, key: str, **fields: Any) -> Step:
    """A get-history of the run of the metrics."""
    return get(name, "metrics/get-history", {"run_id": "$metrics", "metric_key": key, **fields})


LOG: List[Step] = [
    post("an experiment for metrics", "experiments/create", {"name": "metrics"}, keep={"lab": "experiment_id"}),
    post("an experiment for odd metrics", "experiments/create", {"name": "odd metrics"},
         keep={"lab2": "experiment_id"}),
    post("a run for metrics", "runs/create",
         {"experiment_id": "$lab", "run_name": "metrics", "start_time": T}, keep={"metrics": "run.info.run_id"}),
    post("a run for odd metrics", "runs/create",
         {"experiment_id": "$lab2", "run_name": "odd", "start_time": T}, keep={"odd": "run.info.run_id"}),
    log("log a metric", key="m", value=0.5, step=1),
    log("log a metric without a step", key="m", value=0.25),
    log("log a metric at a negative step", key="m", value=4, step=-3),
    log("log a metric at a large step", key="m", value=1e-300, step=2 ** 62),
    history("history of one key", "m"),
    log("log an equal point", key="m", value=0.5, step=1),
    log("log a point that differs in time", key="m", value=0.5, step=1, timestamp=T + 1),
    history("history after equal points", "m"),
    log("log NaN", key="nan", value="NaN"),
    log("log NaN after a number", key="mixed", value=1, step=1),
    log("log NaN at a later step", key="mixed", value="NaN", step=2),
    history("history with NaN", "mixed"),
    log("log two NaN at one step", key="nan", value="NaN", timestamp=T + 1),
    log("log a number beside NaN at one step and time", key="nan", value=-1, timestamp=T + 1),
    history("history of NaN and a number", "nan"),
    log("log Infinity", key="inf", value="Infinity", step=1),
    log("log minus Infinity", key="inf", value="-Infinity", step=2),
    log("log inf", key="inf", value="inf", step=3),
    history("history with infinities", "inf"),
    odd("log nan in lower case", key="lower", value="nan"),
    log("log a numeric text", key="text", value="2.5"),
    odd("log a text", key="text", value="much"),
    odd("log a number with an underscore", key="underscore", value="1_0"),
    odd("log with a timestamp with a blank", key="blank", value=1, timestamp=" 12"),
    odd("log with a dataset and no such model", key="model", value=1, model_id="m-" + "e" * 32,
        dataset_name="iris", dataset_digest="d1"),
    odd("log with an empty model", key="nomodel", value=1, model_id=""),
    odd("log with a model id that is a path", key="pathmodel", value=1, model_id="../x"),
    odd("log true", key="text", value=True),
    odd("log null", key="text", value=None),
    odd("log a list", key="text", value=[1]),
    odd("log without a value", key="text"),
    log("log without a key", value=1),
    log("log with an empty key", key="", value=1),
    log("log with a key of 251", key="k" * 251, value=1),
    log("log with a key of 250", key="k" * 250, value=1),
    log("log with a key that climbs", key="../m", value=1),
    log("log with a slash in the key", key="val/loss", value=1),
    log("log with an odd key", key="val loss: 漢-é.x_y", value=1),
    history("history of a key with a slash", "val/loss"),
    history("history of an odd key", "val loss: 漢-é.x_y"),
    log("log the largest number", key="max", value=1.7976931348623157e308),
    odd("log a number too large", key="huge", value="1e400"),
    log("log a small number", key="small", value=5e-324),
    log("log minus zero", key="zero", value=-0.0),
    log("log an integer beyond 2^53", key="big", value=2 ** 53 + 1),
    log("log with a negative timestamp", key="t", value=1, timestamp=-1),
    log("log with timestamp zero", key="t0", value=1, timestamp=0),
    log("log with a timestamp as text", key="tt", value=1, timestamp=str(T), step="7"),
    log("log as R does", key="r", value="0.75", timestamp="1.70000e+12", step="2"),
    odd("log with a fraction of a millisecond", key="frac", value=1, timestamp=12.5),
    odd("log with a step that is half", key="half", value=1, step=0.5),
    odd("log with a step beyond int64", key="beyond", value=1, step=2 ** 63),
    odd("log with a step that is text", key="steptext", value=1, step="one"),
    odd("log with a step that is true", key="steptrue", value=1, step=True),
    post("log without a timestamp", "runs/log-metric", {"run_id": "$metrics", "key": "m", "value": 1}),
    post("log to no run", "runs/log-metric", {"key": "m", "value": 1, "timestamp": T}),
    post("log to an unknown run", "runs/log-metric", {"run_id": "f" * 32, "key": "m", "value": 1, "timestamp": T}),
    post("log by run_uuid", "runs/log-metric", {"run_uuid": "$metrics", "key": "uuid", "value": 1, "timestamp": T}),
    log("log with a dataset", key="acc", value=0.9, dataset_name="iris", dataset_digest="d1"),
    log("log with a dataset name alone", key="acc2", value=0.9, dataset_name="iris"),
    log("log with a dataset digest alone", key="acc2", value=0.9, dataset_digest="d"),
    log("log with an empty dataset", key="acc3", value=0.9, dataset_name="", dataset_digest=""),
    post("current metrics", "runs/search", {"experiment_ids": ["$lab"]}),
    get("a run's metrics", "runs/get", {"run_id": "$metrics"}),
]

CURRENT: List[Step] = [
    log("the current value: step 5", key="cur", value=1, step=5, timestamp=T),
    log("the current value: a later time at a lower step", key="cur", value=2, step=4, timestamp=T + 9),
    get("the highest step is current", "runs/get", {"run_id": "$metrics"}),
    log("the current value: a later time at the same step", key="cur", value=0.5, step=5, timestamp=T + 1),
    log("the current value: a larger value at the same place", key="cur", value=0.75, step=5, timestamp=T + 1),
    log("the current value: a smaller value at the same place", key="cur", value=0.25, step=5, timestamp=T + 1),
    get("the largest value is current", "runs/get", {"run_id": "$metrics"}),
    log("NaN after a negative number", key="curnan", value=-1, step=0),
    log("NaN counts as zero: above", key="curnan", value="NaN", step=0),
    log("NaN after a positive number", key="curnan2", value=1, step=0),
    log("NaN counts as zero: below", key="curnan2", value="NaN", step=0),
    get("NaN as the current value", "runs/get", {"run_id": "$metrics"}),
]

PAGES: List[Step] = [
    post("a run with 50 points", "runs/create",
         {"experiment_id": "$lab", "run_name": "points", "start_time": T + 1}, keep={"points": "run.info.run_id"}),
    post("log 50 points", "runs/log-batch",
         {"run_id": "$points", "metrics": [{"key": "p", "value": at * 0.5, "timestamp": T + at // 3, "step": at}
                                           for at in range(50)]}),
    get("all points", "metrics/get-history", {"run_id": "$points", "metric_key": "p"}),
    get("every page of points", "metrics/get-history",
        {"run_id": "$points", "metric_key": "p", "max_results": 7}, follow=True),
    get("pages that fit exactly", "metrics/get-history",
        {"run_id": "$points", "metric_key": "p", "max_results": 25}, follow=True),
    get("a page larger than all", "metrics/get-history", {"run_id": "$points", "metric_key": "p", "max_results": 99}),
    get("a page of none", "metrics/get-history", {"run_id": "$points", "metric_key": "p", "max_results": 0}),
    get("a page of less than none", "metrics/get-history", {"run_id": "$points", "metric_key": "p", "max_results": -1}),
    get("a page size that is text", "metrics/get-history",
        {"run_id": "$points", "metric_key": "p", "max_results": "x"}),
    get("a rubbish token", "metrics/get-history",
        {"run_id": "$points", "metric_key": "p", "max_results": 7, "page_token": "rubbish"}),
    get("a rubbish token without a page size", "metrics/get-history",
        {"run_id": "$points", "metric_key": "p", "page_token": "rubbish"}),
    get("history of an unknown key", "metrics/get-history", {"run_id": "$points", "metric_key": "nobody"}),
    get("history of an unknown run", "metrics/get-history", {"run_id": "f" * 32, "metric_key": "p"}),
    get("history without a key", "metrics/get-history", {"run_id": "$points"}),
    get("history with an empty key", "metrics/get-history", {"run_id": "$points", "metric_key": ""}),
    get("history without a run", "metrics/get-history", {"metric_key": "p"}),
    get("history by run_uuid", "metrics/get-history", {"run_uuid": "$points", "metric_key": "p", "max_results": 2}),
    get("history in camelCase", "metrics/get-history", {"runId": "$points", "metricKey": "p", "maxResults": 2}),
    get("history of a key that climbs", "metrics/get-history", {"run_id": "$points", "metric_key": "../params/x"}),
]


def batch(run: str, key: str, values: List[Dict[str, Any]], at: int) -> Step:
    """One of the batches that fill the runs of the sampling steps."""
    return post(f"fill {run} {key} {at}", "runs/log-batch", {"run_id": f"${run}", "metrics": values})


def points(key: str, steps: range) -> List[Dict[str, Any]]:
    """A point at each step, two of three milliseconds apart."""
    return [{"key": key, "value": at * 0.001, "timestamp": T + at * 2 // 3, "step": at} for at in steps]


def fill(run: str, key: str, steps: range) -> List[Step]:
    """Batches of 1,000 points."""
    return [batch(run, key, points(key, steps[at:at + 1000]), at) for at in range(0, len(steps), 1000)]


def interval(name: str, *runs: str, key: str = "long", **fields: Any) -> Step:
    """A get-history-bulk-interval of several runs."""
    query = [("run_ids", f"${run}") for run in runs] + [("metric_key", key)]
    return get(name, INTERVAL, query + [(field, str(value)) for field, value in fields.items()])


def bulk(name: str, *runs: str, key: str = "long", **fields: Any) -> Step:
    """A get-history-bulk of several runs."""
    query = [("run_id", f"${run}") for run in runs] + [("metric_key", key)]
    return get(name, BULK, query + [(field, str(value)) for field, value in fields.items()])


SAMPLING: List[Step] = [
    post("a run of 3000 points", "runs/create",
         {"experiment_id": "$lab", "run_name": "long", "start_time": T + 2}, keep={"long": "run.info.run_id"}),
    post("a run of 400 points", "runs/create",
         {"experiment_id": "$lab", "run_name": "mid", "start_time": T + 3}, keep={"mid": "run.info.run_id"}),
    post("a run of 10 points", "runs/create",
         {"experiment_id": "$lab", "run_name": "short", "start_time": T + 4}, keep={"short": "run.info.run_id"}),
    *fill("long", "long", range(3000)),
    *fill("mid", "long", range(100, 2900, 7)),
    *fill("short", "long", range(-5, 5)),
    post("several points at one step", "runs/log-batch",
         {"run_id": "$short", "metrics": [{"key": "dense", "value": at, "timestamp": T + at, "step": at // 4}
                                          for at in range(40)]}),
    post("NaN and infinities among the points", "runs/log-batch",
         {"run_id": "$short", "metrics": [{"key": "odd", "value": value, "timestamp": T, "step": at}
                                          for at, value in enumerate(["NaN", 1.5, "Infinity", "-Infinity"])]}),
    interval("sample one long run", "long", max_results=320),
    interval("sample without a limit", "long"),
    interval("sample ten points", "long", max_results=10),
    interval("sample one point", "long", max_results=1),
    interval("sample two points", "long", max_results=2),
    interval("sample three points", "long", max_results=3),
    interval("sample 2500 points", "long", max_results=2500),
    interval("sample 2501 points", "long", max_results=2501),
    interval("sample no points", "long", max_results=0),
    interval("sample less than none", "long", max_results=-1),
    interval("sample several runs", "long", "mid", "short", max_results=50),
    interval("sample several runs in another order", "short", "mid", "long", max_results=7),
    interval("sample one run named twice", "mid", "mid", max_results=7),
    interval("sample a range", "long", start_step=100, end_step=200, max_results=20),
    interval("sample a range of several runs", "long", "mid", "short", start_step=-3, end_step=500, max_results=25),
    interval("sample a range of one step", "long", start_step=7, end_step=7, max_results=20),
    interval("sample a range without points", "long", start_step=9000, end_step=9100, max_results=20),
    interval("sample a range that runs backwards", "long", start_step=20, end_step=10, max_results=20),
    interval("sample from a start without an end", "long", start_step=20, max_results=20),
    interval("sample to an end without a start", "long", end_step=20, max_results=20),
    interval("sample a range between the steps", "mid", start_step=101, end_step=106, max_results=20),
    interval("sample a dense run", "short", key="dense", max_results=4),
    interval("sample a dense run fully", "short", key="dense", max_results=100),
    interval("sample odd values", "short", key="odd", max_results=10),
    interval("sample an unknown key", "long", key="nobody", max_results=10),
    get("sample an unknown run", INTERVAL, {"run_ids": "f" * 32, "metric_key": "long", "max_results": 10}),
    get("sample no runs", INTERVAL, {"metric_key": "long", "max_results": 10}),
    get("sample no key", INTERVAL, {"run_ids": "$long", "max_results": 10}),
    get("sample an empty run", INTERVAL, {"run_ids": "", "metric_key": "long", "max_results": 10}),
    get("sample 101 runs", INTERVAL,
        [("run_ids", f"{at:032x}") for at in range(101)] + [("metric_key", "long"), ("max_results", "5")]),
    get("sample 100 runs", INTERVAL,
        [("run_ids", f"{at:032x}") for at in range(99)]
        + [("run_ids", "$short"), ("metric_key", "long"), ("max_results", "5")]),
    get("sample with a step that is text", INTERVAL,
        {"run_ids": "$long", "metric_key": "long", "max_results": 10, "start_step": "a", "end_step": "b"}),
    get("sample at the browser's address", "/ajax-api/2.0/mlflow/" + INTERVAL,
        {"run_ids": "$short", "metric_key": "long", "max_results": 10}),
    bulk("bulk of one run", "short"),
    bulk("bulk of several runs", "short", "mid", max_results=500)._replace(ids_ascend=True),
    bulk("bulk of NaN and infinities", "short", key="odd"),
    bulk("bulk with a limit", "long", max_results=5),
    bulk("bulk with no limit", "long"),
    bulk("bulk with a limit of 0", "short", max_results=0),
    bulk("bulk with a limit that is text", "short", max_results="x"),
    bulk("bulk with a negative limit", "short", max_results=-1),
    bulk("bulk of an unknown key", "short", key="nobody"),
    get("bulk of no runs", BULK, {"metric_key": "long"}),
    get("bulk of no key", BULK, {"run_id": "$short"}),
    get("bulk of an empty key", BULK, {"run_id": "$short", "metric_key": ""}),
    get("bulk of an unknown run", BULK, {"run_id": "f" * 32, "metric_key": "long"}),
    get("bulk of 101 runs", BULK, [("run_id", f"{at:032x}") for at in range(101)] + [("metric_key", "long")]),
    get("bulk at the client's address", "metrics/get-history-bulk", {"run_id": "$short", "metric_key": "long"}),
]

STEPS: List[Step] = LOG + CURRENT + PAGES + SAMPLING
