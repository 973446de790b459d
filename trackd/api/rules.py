"""Rules that several resources share; all of them need stored state (wire-rules, "State rules")."""

import time
from typing import Dict, List, Sequence

from trackd.entities import ACTIVE, RUN_NAME_TAG, Experiment, Param, RunInfo, Tag
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
