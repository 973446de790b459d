"""Rules that several resources share; all of them need stored state (wire-rules, "State rules")."""

import json
import time
from typing import Dict, List, Optional, Sequence, Union

from trackd.entities import (
    ACTIVE,
    IS_PROMPT_TAG,
    RUN_NAME_TAG,
    Experiment,
    LoggedModelInfo,
    Metric,
    ModelVersion,
    Param,
    RegisteredModel,
    RunInfo,
    Tag,
)
from trackd.errors import InvalidParameterValue, ResourceDoesNotExist
from trackd.fields.kinds import is_id, shown
from trackd.store.base import Reads, Transaction


def now() -> int:
    """Milliseconds since 1970."""
    return int(time.time() * 1000)


def find_experiment(store: Reads, experiment_id: str) -> Experiment:
    """The experiment, active or deleted; 404 if there is none."""
    found = store.get_experiment(experiment_id)
    if found is None:
        raise ResourceDoesNotExist(f"There is no experiment with the id {experiment_id}.")
    return found


def active_experiment(store: Reads, experiment_id: str) -> Experiment:
    """The experiment, which may be changed; 400 if it is deleted."""
    found = find_experiment(store, experiment_id)
    if found.lifecycle_stage != ACTIVE:
        raise InvalidParameterValue(f"Experiment {experiment_id} is deleted; restore it first.")
    return found


def no_run(run_id: str) -> ResourceDoesNotExist:
    """The error for a run that is not there."""
    return ResourceDoesNotExist(f"There is no run with the id {shown(run_id)}.")


def find_run(store: Reads, run_id: str) -> RunInfo:
    """The run, active or deleted; 404 if there is none. An id of a form that no run has reaches no store."""
    found = store.get_run_info(run_id) if is_id(run_id) else None
    if found is None:
        raise no_run(run_id)
    return found


def active_run(store: Reads, run_id: str) -> RunInfo:
    """The run, which may be written to; 400 if it is deleted. Deleting an experiment deletes its runs."""
    found = find_run(store, run_id)
    if found.lifecycle_stage != ACTIVE:
        raise InvalidParameterValue(f"Run {run_id} is deleted and cannot be written to; restore it first.")
    return found


def put_tags(tx: Transaction, run: RunInfo, tags: Sequence[Tag]) -> RunInfo:
    """Set tags of a run. Its name is one of them: the tag renames the run, and an empty one changes nothing."""
    names = [value for key, value in tags if key == RUN_NAME_TAG and value]
    plain = [tag for tag in tags if tag.key != RUN_NAME_TAG]
    if plain:
        tx.put_tags(run.run_id, plain)
    return rename_run(tx, run, names[-1]) if names else run


def rename_run(tx: Transaction, run: RunInfo, name: str) -> RunInfo:
    """Give a run another name, and the tag that says it a second time."""
    renamed = run._replace(run_name=name)
    tx.put_run_info(renamed)
    tx.put_tags(run.run_id, [Tag(RUN_NAME_TAG, name)])
    return renamed


def add_params(tx: Transaction, run_id: str, params: Sequence[Param]) -> None:
    """Log params, which are written once: the same value again is nothing new, another one is a 400."""
    logged: Dict[str, str] = tx.get_params(run_id, [param.key for param in params])
    new: List[Param] = []
    for param in params:
        value = logged.get(param.key)
        if value is None:
            new.append(param)
        elif value != param.value:
            raise InvalidParameterValue(
                f"Param {shown(param.key)} of run {run_id} is {shown(value)} already and cannot become "
                f"{shown(param.value)}: params are written once. Log to another run, or use a tag."
            )
    if new:
        tx.add_params(run_id, new)


def no_logged_model(model_id: str) -> ResourceDoesNotExist:
    """The error for a logged model that is not there."""
    return ResourceDoesNotExist(f"There is no logged model with the id {shown(model_id)}.")


def find_logged_model(store: Reads, model_id: str) -> LoggedModelInfo:
    """The logged model, active or deleted (which may be written to, as in MLflow); 404 if there is none."""
    found = store.get_logged_model_info(model_id) if is_id(model_id) else None
    if found is None:
        raise no_logged_model(model_id)
    return found


def artifacts_of(store: Reads, run_id: Optional[str], model_id: Optional[str]) -> str:
    """Where the artifacts of a run or of a logged model are, of whichever is named; 400 unless it is one of them."""
    if bool(run_id) == bool(model_id):
        raise InvalidParameterValue("Exactly one of run_id and model_id must be given.")
    if model_id:
        return find_logged_model(store, model_id).artifact_location
    return find_run(store, run_id or "").artifact_uri


def find_measured_models(store: Reads, metrics: Sequence[Metric]) -> None:
    """404 if a point belongs to a logged model that is not there."""
    for model_id in sorted({metric[4] for metric in metrics if metric[4] is not None}):
        find_logged_model(store, model_id)


#: The tag of a logged model that lists the versions registered from it: a JSON list of objects with name and version.
MODEL_VERSIONS_TAG = "mlflow.modelVersions"


def add_model_version(tx: Transaction, model_id: str, name: str, version: Union[int, str]) -> None:
    """Note on a logged model, which may be deleted, that a version of a registered model was made from it.

    404 if there is no such logged model. MLflow's server writes the number as an integer, and its client adds the same
    as a string: only what is there in the same form is not added again. What somebody else has put into the tag and is
    no list is replaced.
    """
    find_logged_model(tx, model_id)
    try:
        listed = json.loads(tx.get_logged_model_tags(model_id, [MODEL_VERSIONS_TAG]).get(MODEL_VERSIONS_TAG, "[]"))
    except (ValueError, RecursionError):
        listed = []
    versions = listed if isinstance(listed, list) else []
    one = {"name": name, "version": version}
    if one not in versions:
        tx.put_logged_model_tags(model_id, [Tag(MODEL_VERSIONS_TAG, json.dumps([*versions, one]))])


def find_model(store: Reads, name: str) -> RegisteredModel:
    """The registered model; 404 if there is none."""
    found = store.get_registered_model(name)
    if found is None:
        raise _no_model(name)
    return found


def require_model(store: Reads, name: str) -> None:
    """404 if there is no such registered model."""
    if not store.has_registered_model(name):
        raise _no_model(name)


def touch_model(tx: Transaction, name: str, time: int) -> None:
    """Note when a registered model was updated; 404 if there is none. Looks at nothing that it holds, however much."""
    if not tx.touch_registered_model(name, time):
        raise _no_model(name)


def _no_model(name: str) -> ResourceDoesNotExist:
    return ResourceDoesNotExist(f"There is no registered model named {shown(name)}.")


def is_prompt(model: RegisteredModel) -> bool:
    """Whether a registered model is a prompt, as MLflow's client sees it: the tag's case does not matter."""
    return any(key == IS_PROMPT_TAG and value.lower() == "true" for key, value in model.tags)


def find_version(store: Reads, name: str, version: int) -> ModelVersion:
    """The version of a registered model; 404 if there is none, or if it was deleted."""
    found = store.get_model_version(name, version)
    if found is None:
        raise ResourceDoesNotExist(f"There is no version {version} of a registered model named {shown(name)}.")
    return found


def version_by_alias(store: Reads, name: str, alias: str) -> ModelVersion:
    """The version that an alias names; 400 if there is no such alias. ``latest`` (any case) is the highest version."""
    model = find_model(store, name)
    if alias.lower() == "latest":
        if not model.latest_versions:
            raise ResourceDoesNotExist(f"The registered model {shown(name)} has no version.")
        return find_version(store, name, max(version.version for version in model.latest_versions))
    for known, version in model.aliases:
        if known == alias:
            return find_version(store, name, version)
    raise InvalidParameterValue(f"The registered model {shown(name)} has no alias {shown(alias)}.")
