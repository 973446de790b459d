"""Points of metrics, logged one by one, and the histories they make: /api/2.0/mlflow/metrics."""

from typing import Any, Dict, List, Sequence

from trackd import fields, wire
from trackd.api import rules
from trackd.api.context import Context
from trackd.entities import Metric
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
        points += [wire.metric_of_run(each, point) for point in found]
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
    points: List[wire.Json] = []
    for each in run_ids:
        found = ctx.store.list_metric_history(each, metric_key) if is_id(each) else []
        if start_step is not None and end_step is not None:
            found = [point for point in found if start_step <= point.step <= end_step]
        points += [wire.metric_of_run(each, point) for point in sample(found, max_results)]
    return {"metrics": points or None}


def _by_step(point: Metric) -> Any:
    # NaN is kept as 0 with a mark, which comes last.
    is_nan = point.value != point.value
    return point.step, point.timestamp, 0.0 if is_nan else point.value, is_nan


def sample(points: Sequence[Metric], count: int) -> List[Metric]:
    """At most ``count`` of the points, by step, evenly taken, the first and the last among them; of one, the last.

    As MLflow's SQL store takes them: the points are cut into ``count`` parts of equal size (SQL's NTILE: the first
    parts have one more where it does not come out even), of each the first is taken, and then the last of all stands
    in for the last taken.
    """
    points = sorted(points, key=_by_step)
    if len(points) <= count:
        return points
    size, longer = divmod(len(points), count)
    taken = [points[part * size + min(part, longer)] for part in range(count)]
    taken[-1] = points[-1]
    return taken
