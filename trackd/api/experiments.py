"""Experiments: /api/2.0/mlflow/experiments."""

from typing import Any, Dict, Sequence

from trackd import fields, garbage, wire
from trackd.api import locations, rules
from trackd.api.context import Context
from trackd.entities import ACTIVE, ACTIVE_ONLY, DELETED, Tag
from trackd.errors import BadRequest, InvalidParameterValue, InvalidState, ResourceAlreadyExists, ResourceDoesNotExist
from trackd.fields.kinds import shown
from trackd.search import paging, schemas
from trackd.search.grammar import parse_filter, parse_order_by
from trackd.store.base import RunCounts
from trackd.web.router import route

#: Tags that hold the views a user has made in the browser; MLflow allows so many per experiment.
CUSTOM_VIEW, MOST_CUSTOM_VIEWS = "mlflow.customView.view", 50


def _check_custom_views(tags: Sequence[Tag]) -> None:
    if sum(tag.key.startswith(CUSTOM_VIEW) for tag in tags) > MOST_CUSTOM_VIEWS:
        raise InvalidParameterValue(f"An experiment has at most {MOST_CUSTOM_VIEWS} custom views; delete one first.")


@route("POST", "/api/2.0/mlflow/experiments/create")
def create(
    ctx: Context,
    name: fields.ExperimentName,
    artifact_location: fields.ArtifactLocation = None,
    tags: fields.ExperimentTags = (),
) -> Dict[str, Any]:
    """Create an experiment. Names are unique among active and deleted experiments."""
    _check_custom_views(tags)
    location = locations.checked(artifact_location, ctx.config) if artifact_location else None
    with ctx.store.transaction() as tx:
        same = tx.get_experiment_by_name(name)
        if same is not None:
            state = "is there" if same.lifecycle_stage == ACTIVE else "is there, deleted: restore it or"
            raise ResourceAlreadyExists(
                f"An experiment named {shown(name)} {state} (id {same.experiment_id}); choose another name."
            )
        experiment_id = tx.add_experiment(name, location, tags, rules.now(), ctx.config.default_artifact_root)
    return {"experiment_id": experiment_id}


@route("GET", "/api/2.0/mlflow/experiments/get")
def get(ctx: Context, experiment_id: fields.ExperimentId) -> Dict[str, Any]:
    """Get an experiment by its id, active or deleted."""
    return {"experiment": wire.experiment(rules.find_experiment(ctx.store, experiment_id))}


@route("GET", "/api/2.0/mlflow/experiments/get-by-name")
def get_by_name(ctx: Context, experiment_name: fields.Lookup) -> Dict[str, Any]:
    """Get an experiment by its name, active or deleted."""
    found = ctx.store.get_experiment_by_name(experiment_name)
    if found is None:
        raise ResourceDoesNotExist(f"There is no experiment named {shown(experiment_name)}.")
    return {"experiment": wire.experiment(found)}


@route("GET", "/api/2.0/mlflow/experiments/search")
@route("POST", "/api/2.0/mlflow/experiments/search")
def search(
    ctx: Context,
    max_results: fields.PageSize,
    page_token: fields.PageToken = None,
    filter: fields.Filter = "",
    order_by: fields.OrderBy = (),
    view_type: fields.ViewType = ACTIVE_ONLY,
) -> Dict[str, Any]:
    """Search experiments, a page at a time. ``max_results`` has no default, as in MLflow."""
    clause = parse_filter(filter, schemas.EXPERIMENTS)
    order = parse_order_by(order_by, schemas.EXPERIMENTS)
    cursor = paging.decode(page_token)
    found, following = ctx.store.search_experiments(view_type, clause, order, max_results, cursor)
    return {
        "experiments": [wire.experiment(each) for each in found] or None,
        "next_page_token": paging.encode(following) if following else None,
    }


@route("GET", "/api/trackd/experiments")
def overview(
    ctx: Context,
    view_type: fields.ViewType = ACTIVE_ONLY,
    max_results: fields.PageSize = 10_000,
    page_token: fields.PageToken = None,
) -> Dict[str, Any]:
    """List experiments, each with the number of its runs, and say what trackd/changes answers: all in one request."""
    # Asked before the rest: a change in between is told twice rather than never.
    version = ctx.store.version()
    found, following = ctx.store.search_experiments(view_type, None, (), max_results, paging.decode(page_token))
    counts = {each.experiment_id: each for each in ctx.store.count_runs()}
    experiments = []
    for each in found:
        runs = counts.get(each.experiment_id, RunCounts(each.experiment_id, 0, 0, 0, None))
        experiments.append({**wire.experiment(each), "runs": runs._asdict()})
    return {
        "experiments": experiments or None,
        "next_page_token": paging.encode(following) if following else None,
        "version": version,
    }


@route("POST", "/api/2.0/mlflow/experiments/update")
def update(ctx: Context, experiment_id: fields.ExperimentId, new_name: fields.ExperimentName) -> Dict[str, Any]:
    """Rename an active experiment."""
    with ctx.store.transaction() as tx:
        found = rules.find_experiment(tx, experiment_id)
        if found.lifecycle_stage != ACTIVE:
            raise InvalidState(f"Experiment {experiment_id} is deleted and cannot be renamed; restore it first.")
        same = tx.get_experiment_by_name(new_name)
        if same is not None and same.experiment_id != experiment_id:
            raise BadRequest(
                f"An experiment named {shown(new_name)} is there already, active or deleted "
                f"(id {same.experiment_id}); choose another name."
            )
        tx.put_experiment(found._replace(name=new_name, last_update_time=rules.now()))
    return {}


@route("POST", "/api/2.0/mlflow/experiments/delete")
def delete(ctx: Context, experiment_id: fields.ExperimentId) -> Dict[str, Any]:
    """Mark an active experiment and all its runs deleted."""
    with ctx.store.transaction() as tx:
        found = rules.find_experiment(tx, experiment_id)
        if found.lifecycle_stage != ACTIVE:
            raise ResourceDoesNotExist(f"There is no active experiment with the id {experiment_id}: it is deleted.")
        time = rules.now()
        tx.put_experiment(found._replace(lifecycle_stage=DELETED, last_update_time=time))
        tx.put_runs_lifecycle(experiment_id, DELETED, time)
    return {}


@route("POST", "/api/2.0/mlflow/experiments/restore")
def restore(ctx: Context, experiment_id: fields.ExperimentId) -> Dict[str, Any]:
    """Mark a deleted experiment active, and all its runs, also those deleted one by one before it."""
    with ctx.store.transaction() as tx:
        found = rules.find_experiment(tx, experiment_id)
        if found.lifecycle_stage != DELETED:
            raise ResourceDoesNotExist(f"There is no deleted experiment with the id {experiment_id}: it is active.")
        garbage.refuse_experiment(experiment_id)
        tx.put_experiment(found._replace(lifecycle_stage=ACTIVE, last_update_time=rules.now()))
        tx.put_runs_lifecycle(experiment_id, ACTIVE, None)
    return {}


@route("POST", "/api/2.0/mlflow/experiments/set-experiment-tag")
def set_experiment_tag(
    ctx: Context,
    experiment_id: fields.ExperimentId,
    key: fields.SetKey,
    value: fields.ExperimentTagValue = "",
) -> Dict[str, Any]:
    """Set a tag of an active experiment; one that is there is overwritten."""
    with ctx.store.transaction() as tx:
        found = rules.active_experiment(tx, experiment_id)
        if key.startswith(CUSTOM_VIEW) and all(tag.key != key for tag in found.tags):
            _check_custom_views([*found.tags, Tag(key, value)])
        tx.put_experiment_tags(experiment_id, [Tag(key, value)])
    return {}


@route("POST", "/api/2.0/mlflow/experiments/delete-experiment-tag")
def delete_experiment_tag(ctx: Context, experiment_id: fields.ExperimentId, key: fields.Lookup) -> Dict[str, Any]:
    """Delete a tag of an active experiment."""
    with ctx.store.transaction() as tx:
        found = rules.active_experiment(tx, experiment_id)
        # Looked up first: a key of a form that nothing is stored under stays away from the store.
        if all(tag.key != key for tag in found.tags) or not tx.drop_experiment_tag(experiment_id, key):
            raise ResourceDoesNotExist(f"Experiment {experiment_id} has no tag {shown(key)}.")
    return {}


@route("POST", "/ajax-api/2.0/mlflow/experiments/search-datasets")
def search_datasets(ctx: Context, experiment_ids: fields.DatasetExperimentIds) -> Dict[str, Any]:
    """List the datasets that went into runs of these experiments, for the browser; 1,000 at most."""
    if not experiment_ids:
        raise InvalidParameterValue("experiment_ids is empty; the request must name an experiment.")
    rows = ctx.store.list_datasets(fields.unique(experiment_ids), 1000)
    return {"dataset_summaries": wire.dataset_summaries(rows) or None}
