"""Logged models, which came with MLflow 3: /api/2.0/mlflow/logged-models.

A deleted model is hidden from ``get`` and ``search`` and can still be written to, as in MLflow. Deleting a run or an
experiment does not delete its models.
"""

from typing import Any, Dict, List, Optional, Sequence

from trackd import fields, wire
from trackd.api import downloads, locations, names, rules
from trackd.api.context import Context
from trackd.api.runs import new_run_id
from trackd.artifacts.paths import ROOT
from trackd.entities import ACTIVE, DELETED, MODEL_STATUS, LoggedModel, LoggedModelInfo, Param
from trackd.errors import AttributeNotFound, BadRequest, InvalidParameterValue, ResourceDoesNotExist
from trackd.fields.kinds import is_id, shown
from trackd.search import paging, schemas
from trackd.search.clause import ATTRIBUTE, METRIC, And, Clause, Comparison, Not, Or, Order
from trackd.search.grammar import parse_filter
from trackd.store.base import Reads
from trackd.web.message import Response
from trackd.web.router import route

_STATUS_NUMBER = {name: number for number, name in MODEL_STATUS.items()}
PENDING = 1
#: What ``max_results`` of 0 stands for.
DEFAULT_PAGE = 100


@route("POST", "/api/2.0/mlflow/logged-models")
def create(
    ctx: Context,
    experiment_id: fields.ExperimentId,
    name: fields.LoggedModelName = None,
    model_type: fields.LoggedModelType = "",
    source_run_id: fields.SourceRunId = "",
    params: fields.LoggedModelParams = (),
    tags: fields.NewLoggedModelTags = (),
) -> Dict[str, Any]:
    """Create a logged model in an active experiment, pending. Without a name it gets two words and a number."""
    model_id = f"m-{new_run_id()}"
    time = rules.now()
    with ctx.store.transaction() as tx:
        experiment = rules.active_experiment(tx, experiment_id)
        info = LoggedModelInfo(
            model_id,
            experiment_id,
            name or names.generate(),
            locations.join(experiment.artifact_location, "models", model_id, "artifacts"),
            time,
            time,
            PENDING,
            ACTIVE,
            model_type,
            source_run_id,
        )
        tx.add_logged_model(info, params, tags)
    return {"model": wire.logged_model(LoggedModel(info, sorted(params), sorted(tags)))}


@route("GET", "/api/2.0/mlflow/logged-models/{model_id}")
def get(ctx: Context, model_id: fields.LoggedModelId, allow_deleted: fields.AllowDeleted = False) -> Dict[str, Any]:
    """Get a logged model with its params, tags and all points of its metrics; a deleted one only if that is allowed."""
    return {"model": wire.logged_model(_find(ctx.store, model_id, allow_deleted))}


@route("PATCH", "/api/2.0/mlflow/logged-models/{model_id}")
def finalize(ctx: Context, model_id: fields.RepeatedModelId, status: fields.LoggedModelStatus) -> Dict[str, Any]:
    """Set a logged model's status: ready, failed, or pending again."""
    with ctx.store.transaction() as tx:
        info = rules.find_logged_model(tx, model_id)
        number = _STATUS_NUMBER[status] if status else 0
        tx.put_logged_model_info(info._replace(status=number, last_updated_timestamp_ms=rules.now()))
        return {"model": wire.logged_model(_find(tx, model_id, True))}


@route("DELETE", "/api/2.0/mlflow/logged-models/{model_id}")
def delete(ctx: Context, model_id: fields.LoggedModelId) -> Dict[str, Any]:
    """Mark a logged model deleted; one that is already stays so."""
    with ctx.store.transaction() as tx:
        info = rules.find_logged_model(tx, model_id)
        tx.put_logged_model_info(info._replace(lifecycle_stage=DELETED, last_updated_timestamp_ms=rules.now()))
    return {}


@route("POST", "/api/2.0/mlflow/logged-models/search")
def search(
    ctx: Context,
    experiment_ids: fields.ExperimentIds,
    filter: fields.Filter = "",
    datasets: fields.LoggedModelDatasets = (),
    max_results: fields.LoggedModelPageSize = 50,
    order_by: fields.LoggedModelOrders = (),
    page_token: fields.PageToken = None,
) -> Dict[str, Any]:
    """Search logged models of some experiments, a page at a time. Datasets narrow what counts as a metric."""
    clause = _on_datasets(parse_filter(filter, schemas.LOGGED_MODELS), datasets)
    order = [_order(each) for each in order_by]
    bound = {
        "experiment_ids": list(experiment_ids),
        "filter_string": filter or None,
        "order_by": [each._asdict() for each in order_by] or None,
    }
    cursor = paging.decode(page_token, bound)
    ids = fields.unique(experiment_ids)
    found, following = ctx.store.search_logged_models(ids, clause, order, max_results or DEFAULT_PAGE, cursor)
    return {
        "models": [wire.logged_model(model) for model in found] or None,
        "next_page_token": paging.encode(following, bound) if following else None,
    }


@route("PATCH", "/api/2.0/mlflow/logged-models/{model_id}/tags")
def set_tags(ctx: Context, model_id: fields.LoggedModelId, tags: fields.LoggedModelTags = ()) -> Dict[str, Any]:
    """Set tags of a logged model; those that are there are overwritten, the last of equal keys wins."""
    with ctx.store.transaction() as tx:
        rules.find_logged_model(tx, model_id)
        if tags:
            tx.put_logged_model_tags(model_id, tags)
    return {}


@route("DELETE", "/api/2.0/mlflow/logged-models/{model_id}/tags/{tag_key}")
@route("DELETE", "/api/2.0/mlflow/logged-models/{model_id}/tags/{tag_key:path}")
def delete_tag(ctx: Context, model_id: fields.LoggedModelId, tag_key: fields.Lookup) -> Dict[str, Any]:
    """Delete a tag of a logged model; also one with slashes in its key, which MLflow cannot."""
    with ctx.store.transaction() as tx:
        rules.find_logged_model(tx, model_id)
        # Looked up first: a key of a form that nothing is stored under stays away from the store.
        if tag_key not in tx.get_logged_model_tags(model_id, [tag_key]) or not tx.drop_logged_model_tag(
            model_id, tag_key
        ):
            raise ResourceDoesNotExist(f"The logged model {model_id} has no tag {shown(tag_key)}.")
    return {}


@route("POST", "/api/2.0/mlflow/logged-models/{model_id}/params")
def log_params(
    ctx: Context, model_id: fields.RepeatedModelId, params: fields.LoggedModelParams = ()
) -> Dict[str, Any]:
    """Log params of a logged model. They are written once: the same value again is fine, another one is refused."""
    with ctx.store.transaction() as tx:
        rules.find_logged_model(tx, model_id)
        logged = tx.get_logged_model_params(model_id, [param.key for param in params])
        new: List[Param] = [param for param in params if param.key not in logged]
        for param in params:
            if logged.get(param.key, param.value) != param.value:
                raise BadRequest(
                    f"Param {shown(param.key)} of the logged model {model_id} is {shown(logged[param.key])} already and"
                    f" cannot become {shown(param.value)}: params are written once. Use a tag."
                )
        if new:
            tx.add_logged_model_params(model_id, new)
    return {}


@route("GET", "/api/2.0/mlflow/logged-models/{model_id}/artifacts/directories")
def list_artifacts(
    ctx: Context,
    model_id: fields.LoggedModelId,
    artifact_directory_path: fields.ArtifactPath = ROOT,
    page_token: fields.PageToken = None,
) -> Dict[str, Any]:
    """List a folder of a logged model's artifacts, one level; a page token means nothing, as in MLflow."""
    location = _find(ctx.store, model_id, False).info.artifact_location
    return {"root_uri": location, "files": downloads.files(ctx, location, artifact_directory_path)}


@route("GET", "/ajax-api/2.0/mlflow/logged-models/{model_id}/artifacts/files")
def get_artifact(
    ctx: Context, model_id: fields.LoggedModelId, artifact_file_path: fields.ArtifactPath = ROOT
) -> Response:
    """Download a file of a logged model."""
    if artifact_file_path == ROOT:
        raise BadRequest("artifact_file_path is missing or empty; the request must have it.")
    return downloads.send(ctx, _find(ctx.store, model_id, False).info.artifact_location, artifact_file_path)


def _find(store: Reads, model_id: str, allow_deleted: bool) -> LoggedModel:
    """The whole logged model; 404 if there is none, or a deleted one that is not allowed."""
    found = store.get_logged_model(model_id) if is_id(model_id) else None
    if found is None:
        raise rules.no_logged_model(model_id)
    if found.info.lifecycle_stage != ACTIVE and not allow_deleted:
        raise ResourceDoesNotExist(
            f"The logged model {model_id} is deleted; allow_deleted=true in the query shows it all the same."
        )
    return found


def _order(given: fields.LoggedModelOrder) -> Order:
    """A key of an order: a field of logged models by its name, or ``metrics.<key>``, if need be of one dataset."""
    before, dot, key = given.field_name.partition(".")
    if dot:
        if before != "metrics" or not key:
            raise InvalidParameterValue(
                f"Invalid order_by: field_name is {shown(given.field_name)}; of what has a dot only metrics.<name> is"
                " possible."
            )
        return Order(METRIC, key, given.ascending, given.dataset_name, given.dataset_digest)
    kind = schemas.LOGGED_MODELS.kind(None)
    assert kind is not None, "the schema has attributes"
    found = kind.key(given.field_name, ordering=True)
    if found is None:
        known = ", ".join(spelling for row in kind.keys for spelling in row.order_spellings)
        raise AttributeNotFound(
            f"Invalid order_by: field_name is {shown(given.field_name)}; expected metrics.<name> or one of {known}."
        )
    return Order(ATTRIBUTE, found.name, given.ascending)


def _on_datasets(clause: Optional[Clause], datasets: Sequence[fields.LoggedModelDataset]) -> Optional[Clause]:
    """The filter narrowed to points on these datasets; one without metrics wants any metric on one of them.

    A dataset is a name and a digest. With a name alone it is none that a point can have, as in MLflow.
    """
    if not datasets:
        return clause
    if not all(each.dataset_name for each in datasets):
        raise InvalidParameterValue("A dataset in datasets has no dataset_name; each must have one.")
    wanted = tuple((each.dataset_name or "", each.dataset_digest or "") for each in datasets)
    if clause is not None and _has_metrics(clause):
        return _narrowed(clause, wanted)
    measured = Comparison(METRIC, "", "IS NOT NULL", None, wanted)
    return measured if clause is None else And((clause, measured))


def _has_metrics(clause: Clause) -> bool:
    if isinstance(clause, Comparison):
        return clause.kind == METRIC
    parts = (clause.part,) if isinstance(clause, Not) else clause.parts
    return any(map(_has_metrics, parts))


def _narrowed(clause: Clause, datasets: Sequence[Any]) -> Clause:
    if isinstance(clause, Comparison):
        return clause._replace(datasets=tuple(datasets)) if clause.kind == METRIC else clause
    if isinstance(clause, Not):
        return Not(_narrowed(clause.part, datasets))
    parts = tuple(_narrowed(part, datasets) for part in clause.parts)
    return Or(parts) if isinstance(clause, Or) else And(parts)
