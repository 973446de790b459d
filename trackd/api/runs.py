"""Runs and what is logged to them: /api/2.0/mlflow/runs. Points of metrics are in ``metrics``, batches here."""

import json
import os
from typing import Any, Dict, List, Optional, Sequence

from trackd import fields, garbage, wire
from trackd.api import locations, names, rules
from trackd.api.context import Context
from trackd.entities import ACTIVE, ACTIVE_ONLY, DELETED, RUN_NAME_TAG, Param, Run, RunInfo, Tag
from trackd.errors import InvalidParameterValue, ResourceDoesNotExist
from trackd.fields.kinds import is_id, shown
from trackd.search import paging, schemas
from trackd.search.grammar import parse_filter, parse_order_by
from trackd.store.base import Transaction
from trackd.web.router import route

#: Where clients of MLflow 1 and 2 keep a JSON list of the models of a run.
MODEL_HISTORY = "mlflow.log-model.history"
#: What the clients send of a model, in the order in which MLflow writes it.
MODEL_FIELDS = ("run_id", "artifact_path", "utc_time_created", "model_uuid", "flavors")


def new_run_id() -> str:
    """A random id: 32 hex digits of a UUID, version 4 (RFC 9562, 5.4). The uuid module takes 5 ms to import."""
    bits = int.from_bytes(os.urandom(16), "big")
    bits = bits & ~(0xF000 << 64) & ~(0xC000 << 48) | (0x4000 << 64) | (0x8000 << 48)
    return f"{bits:032x}"


@route("POST", "/api/2.0/mlflow/runs/create")
def create(
    ctx: Context,
    experiment_id: fields.ExperimentId,
    user_id: fields.UserId = "",
    run_name: fields.RunName = None,
    start_time: fields.Time = 0,
    tags: fields.NewRunTags = (),
) -> Dict[str, Any]:
    """Create a run in an active experiment. Without a name it gets two words and a number."""
    with ctx.store.transaction() as tx:
        made = _add(tx, new_run_id(), experiment_id, user_id, run_name, start_time or 0, tags)
    return {"run": wire.run(made, outputs=False)}


@route("POST", "/api/trackd/runs/create")
def create_as(
    ctx: Context,
    run_id: fields.NewRunId,
    experiment_id: fields.ExperimentId,
    user_id: fields.UserId = "",
    run_name: fields.RunName = None,
    start_time: fields.Time = 0,
    tags: fields.NewRunTags = (),
) -> Dict[str, Any]:
    """Create a run under the id that it got elsewhere. One that is there already is left as it is and answered."""
    with ctx.store.transaction() as tx:
        found = tx.get_run(run_id)
        made = found or _add(tx, run_id, experiment_id, user_id, run_name, start_time or 0, tags)
    return {"run": wire.run(made, outputs=False), "created": found is None}


def _add(
    tx: Transaction, run_id: str, experiment_id: str, user_id: str, run_name: Optional[str], start_time: int,
    tags: Sequence[Tag],
) -> Run:
    """A new run in an active experiment; its name and the tag that says it a second time are the same."""
    tagged = next((value for key, value in tags if key == RUN_NAME_TAG), "")
    if run_name and tagged and run_name != tagged:
        raise InvalidParameterValue(
            f"run_name is {shown(run_name)}, but the tag {RUN_NAME_TAG} is {shown(tagged)}; "
            "send one of them, or both the same."
        )
    name = run_name or tagged or names.generate()
    tags = [tag for tag in tags if tag.key != RUN_NAME_TAG]
    tags.append(Tag(RUN_NAME_TAG, name))
    experiment = rules.active_experiment(tx, experiment_id)
    location = locations.join(experiment.artifact_location, run_id, "artifacts")
    info = RunInfo(run_id, experiment_id, name, user_id, "RUNNING", start_time, None, location, ACTIVE)
    tx.add_run(info, tags)
    return Run(info, tags=sorted(tags))


@route("GET", "/api/2.0/mlflow/runs/get")
def get(ctx: Context, run_id: fields.RunIdOrUuid) -> Dict[str, Any]:
    """Get a run with all that was logged to it, active or deleted."""
    found = ctx.store.get_run(run_id) if is_id(run_id) else None
    if found is None:
        raise rules.no_run(run_id)
    return {"run": wire.run(found)}


@route("POST", "/api/2.0/mlflow/runs/search")
def search(
    ctx: Context,
    experiment_ids: fields.ExperimentIds = (),
    filter: fields.Filter = "",
    run_view_type: fields.ViewType = ACTIVE_ONLY,
    max_results: fields.PageSize = 1000,
    order_by: fields.OrderBy = (),
    page_token: fields.PageToken = None,
) -> Dict[str, Any]:
    """Search runs of some experiments, a page at a time. No experiments, no runs."""
    clause = parse_filter(filter, schemas.RUNS)
    order = parse_order_by(order_by, schemas.RUNS)
    cursor = paging.decode(page_token)
    ids = fields.unique(experiment_ids)
    found, following = ctx.store.search_runs(ids, run_view_type, clause, order, max_results, cursor)
    return {
        "runs": [wire.run(run, model_inputs=False) for run in found] or None,
        "next_page_token": paging.encode(following) if following else None,
    }


@route("POST", "/api/2.0/mlflow/runs/update")
def update(
    ctx: Context,
    run_id: fields.RunIdOrUuid,
    status: fields.RunStatus = None,
    end_time: fields.Time = None,
    run_name: fields.RunName = None,
) -> Dict[str, Any]:
    """Change a run's status, end time or name; what is not sent stays."""
    with ctx.store.transaction() as tx:
        info = rules.active_run(tx, run_id)
        changed = info._replace(
            status=status if status is not None else info.status,
            end_time=end_time if end_time is not None else info.end_time,
        )
        if run_name:
            changed = rules.rename_run(tx, changed, run_name)
        elif changed != info:
            tx.put_run_info(changed)
    return {"run_info": wire.run_info(changed)}


@route("POST", "/api/2.0/mlflow/runs/delete")
def delete(ctx: Context, run_id: fields.RunId) -> Dict[str, Any]:
    """Mark a run deleted; one that is already stays so."""
    with ctx.store.transaction() as tx:
        info = rules.find_run(tx, run_id)
        tx.put_run_info(info._replace(lifecycle_stage=DELETED), rules.now())
    return {}


@route("POST", "/api/2.0/mlflow/runs/restore")
def restore(ctx: Context, run_id: fields.RunId) -> Dict[str, Any]:
    """Mark a run active; one that is already stays so."""
    with ctx.store.transaction() as tx:
        info = rules.find_run(tx, run_id)
        garbage.refuse_run(run_id)
        tx.put_run_info(info._replace(lifecycle_stage=ACTIVE), None)
    return {}


@route("POST", "/api/trackd/runs/list")
def list_many(ctx: Context, run_ids: fields.ManyRunIds) -> Dict[str, Any]:
    """List the runs of these ids in their order, active or deleted; those that are not there are left out."""
    found = ctx.store.list_runs([run_id for run_id in fields.unique(run_ids) if is_id(run_id)])
    return {"runs": [wire.run(run) for run in found] or None}


@route("POST", "/api/trackd/runs/move")
def move(ctx: Context, run_ids: fields.ManyRunIds, experiment_id: fields.ExperimentId) -> Dict[str, Any]:
    """Move active runs to another active experiment, all or none. Their artifacts stay where they are."""
    moved = []
    with ctx.store.transaction() as tx:
        rules.active_experiment(tx, experiment_id)
        for run_id in fields.unique(run_ids):
            info = rules.active_run(tx, run_id)
            if info.experiment_id != experiment_id:
                info = tx.move_run(info, experiment_id)
            moved.append(wire.run_info(info))
    return {"run_infos": moved or None}


@route("POST", "/api/2.0/mlflow/runs/log-parameter")
def log_parameter(
    ctx: Context, run_id: fields.RunIdOrUuid, key: fields.SetKey, value: fields.ParamValue = ""
) -> Dict[str, Any]:
    """Log a param. It is written once: the same value again is fine, another one is refused."""
    with ctx.store.transaction() as tx:
        rules.active_run(tx, run_id)
        rules.add_params(tx, run_id, [Param(key, value)])
    return {}


@route("POST", "/api/2.0/mlflow/runs/set-tag")
def set_tag(
    ctx: Context, run_id: fields.RunIdOrUuid, key: fields.SetKey, value: fields.TagValue = ""
) -> Dict[str, Any]:
    """Set a tag of a run; one that is there is overwritten. The tag mlflow.runName renames the run."""
    with ctx.store.transaction() as tx:
        rules.put_tags(tx, rules.active_run(tx, run_id), [Tag(key, value)])
    return {}


@route("POST", "/api/2.0/mlflow/runs/delete-tag")
def delete_tag(ctx: Context, run_id: fields.RunId, key: fields.Lookup) -> Dict[str, Any]:
    """Delete a tag of a run. The run keeps its name when the tag that repeats it goes."""
    with ctx.store.transaction() as tx:
        rules.active_run(tx, run_id)
        # Looked up first: a key of a form that nothing is stored under stays away from the store.
        if key not in tx.get_tags(run_id, [key]) or not tx.drop_tag(run_id, key):
            raise ResourceDoesNotExist(f"Run {run_id} has no tag {shown(key)}.")
    return {}


@route("POST", "/api/2.0/mlflow/runs/log-batch")
def log_batch(
    ctx: Context,
    run_id: fields.CheckedRunId,
    metrics: fields.Metrics = (),
    params: fields.Params = (),
    tags: fields.RunTags = (),
) -> Dict[str, Any]:
    """Log metrics, params and tags at once: all of them or, if anything is wrong with one, none."""
    total = len(metrics) + len(params) + len(tags)
    if total > 1000:
        raise InvalidParameterValue(
            f"The batch has {total} metrics, params and tags; at most 1000 are allowed in one request, send the rest "
            "in further ones."
        )
    with ctx.store.transaction() as tx:
        info = rules.active_run(tx, run_id)
        if params:
            rules.add_params(tx, run_id, params)
        if metrics:
            rules.find_measured_models(tx, metrics)
            tx.add_metrics(run_id, metrics)
        if tags:
            rules.put_tags(tx, info, tags)
    return {}


@route("POST", "/api/2.0/mlflow/runs/log-inputs")
def log_inputs(
    ctx: Context,
    run_id: fields.CheckedRunId,
    datasets: fields.DatasetInputs = (),
    models: fields.ModelInputs = (),
) -> Dict[str, Any]:
    """Log the datasets and models that went into a run. Of datasets with one name and digest the first counts."""
    first = {(each.dataset.name, each.dataset.digest): each for each in reversed(datasets)}
    with ctx.store.transaction() as tx:
        rules.active_run(tx, run_id)
        if datasets or models:
            tx.add_inputs(run_id, list(reversed(list(first.values()))), models)
    return {}


@route("POST", "/api/2.0/mlflow/runs/outputs")
def outputs(ctx: Context, run_id: fields.RunId, models: fields.ModelOutputs) -> Dict[str, Any]:
    """Log the models that came out of a run."""
    with ctx.store.transaction() as tx:
        rules.active_run(tx, run_id)
        if models:
            tx.add_outputs(run_id, models)
    return {}


@route("POST", "/api/2.0/mlflow/runs/log-model")
def log_model(ctx: Context, run_id: fields.RunId, model_json: fields.ModelJson) -> Dict[str, Any]:
    """Append a model to the tag that lists a run's models; clients of MLflow 1 and 2 send this."""
    model = _history_entry(model_json)
    with ctx.store.transaction() as tx:
        rules.active_run(tx, run_id)
        history = _history(tx.get_tags(run_id, [MODEL_HISTORY]).get(MODEL_HISTORY, "[]"))
        # Not cut to a tag's limit, which would leave half a list.
        tx.put_tags(run_id, [Tag(MODEL_HISTORY, json.dumps([*history, model]))])
    return {}


def _history_entry(model_json: str) -> Dict[str, Any]:
    """What of a model's description goes into the list: as MLflow, without the flavors' ``config``."""
    try:
        model = json.loads(model_json)
    except (ValueError, RecursionError):
        raise InvalidParameterValue("model_json is not JSON; expected the JSON of an MLmodel file.") from None
    if not isinstance(model, dict):
        raise InvalidParameterValue(f"model_json is {shown(model)}; expected a JSON object.")
    absent = [name for name in MODEL_FIELDS if name not in model and name != "model_uuid"]
    if absent:
        raise InvalidParameterValue(f"model_json lacks {', '.join(absent)}.")
    flavors = model["flavors"]
    if not isinstance(flavors, dict):
        raise InvalidParameterValue(f"flavors in model_json is {shown(flavors)}; expected an object.")
    model["flavors"] = {
        name: {key: value for key, value in flavor.items() if key != "config"} if isinstance(flavor, dict) else flavor
        for name, flavor in flavors.items()
    }
    return {name: model.get(name) for name in MODEL_FIELDS}


def _history(text: str) -> List[Any]:
    """The list in the tag; 400 if somebody has set the tag to something else."""
    try:
        history = json.loads(text)
    except (ValueError, RecursionError):
        history = None
    if not isinstance(history, list):
        raise InvalidParameterValue(f"The tag {MODEL_HISTORY} of the run does not hold a JSON list; delete it first.")
    return history
