"""Points of metrics, logged one by one, and the histories they make: /api/2.0/mlflow/metrics."""

from typing import Any, Dict, List

from trackd import fields, wire
from trackd.api import rules
from trackd.api.context import Context
from trackd.errors import InvalidParameterValue
from trackd.fields.kinds import is_id
from trackd.search import paging
from trackd.search.clause import Cursor
from trackd.web.router import route


@route("POST", "/api/2.0/mlflow/runs/log-metric")
def log_metric(
    ctx: Context,
    run_id: fields.RunIdOrUuid,
    key: fields.SetKey,
    value: fields.MetricValue,
    timestamp: fields.Timestamp,
    step: fields.Step = 0,
    model_id: fields.ModelId = None,
    dataset_name: fields.DatasetName = None,
    dataset_digest: fields.DatasetDigest = None,
) -> Dict[str, Any]:
    """Log one point of a metric. With a model it is kept on that model as well, with the dataset it was measured on."""
    point = fields.point(key, value, timestamp, step, model_id, dataset_name, dataset_digest)
    with ctx.store.transaction() as tx:
        rules.active_run(tx, run_id)
        rules.find_measured_models(tx, [point])
        tx.add_metrics(run_id, [point])
    return {}


@route("GET", "/api/2.0/mlflow/metrics/get-history")
def get_history(
    ctx: Context,
    run_id: fields.RunIdOrUuid,
    metric_key: fields.Lookup,
    page_token: fields.PageToken = None,
    max_results: fields.HistorySize = None,
) -> Dict[str, Any]:
    """List a metric's points by timestamp, step and value; all of them unless ``max_results`` asks for pages."""
    offset = paging.decode(page_token).offset
    limit = None if max_results is None else max_results + 1
    points = ctx.store.list_metric_history(run_id, metric_key, offset, limit) if is_id(run_id) else []
    token = None
    if max_results is not None and len(points) > max_results:
        points = points[:max_results]
        token = paging.encode(Cursor(offset + max_results))
    return {"metrics": [wire.metric(point) for point in points] or None, "next_page_token": token}


@route("GET", "/ajax-api/2.0/mlflow/metrics/get-history-bulk")
def get_history_bulk(
    ctx: Context, run_id: fields.RunIds, metric_key: fields.Lookup, max_results: fields.BulkSize = 25000
) -> Dict[str, Any]:
    """List one metric's points in several runs, by run id first, for the browser; 25,000 at most."""
    if not run_id:
        raise InvalidParameterValue("run_id is empty; the request must name a run.")
    left = min(max_results, 25000)
    points: List[wire.Json] = []
    for each in sorted(set(filter(is_id, run_id))):
        found = ctx.store.list_metric_history(each, metric_key, 0, left) if left else []
        points += wire.points_of_run(each, metric_key, found)
        left -= len(found)
    return {"metrics": points}


@route("GET", "/api/2.0/mlflow/metrics/get-history-bulk-interval")
def get_history_bulk_interval(
    ctx: Context,
    run_ids: fields.RunIds,
    metric_key: fields.Lookup,
    start_step: fields.StepBound = None,
    end_step: fields.StepBound = None,
    max_results: fields.IntervalSize = 2500,
) -> Dict[str, Any]:
    """List one metric's points in several runs, at most ``max_results`` of each, evenly taken, for charts."""
    if (start_step is None) != (end_step is None):
        raise InvalidParameterValue("start_step and end_step belong together; send both or neither.")
    if start_step is not None and end_step is not None and start_step > end_step:
        raise InvalidParameterValue(f"start_step {start_step} is above end_step {end_step}; exchange them.")
    steps = None if start_step is None or end_step is None else (start_step, end_step)
    ids = list(filter(is_id, run_ids))
    histories = ctx.store.sample_metric_histories(ids, metric_key, max_results, steps)
    points: List[wire.Json] = []
    for each, history in zip(ids, histories):
        points += wire.points_of_run(each, metric_key, history)
    return {"metrics": points or None}
