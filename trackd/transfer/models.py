"""Copying logged models, and the links from runs to them."""

from typing import Callable, Dict, List, Optional, Tuple

from trackd.entities import DELETED, LoggedModel, Metric, ModelInput, ModelOutput, Run, Tag
from trackd.transfer.counts import Counts
from trackd.transfer.sides import Additions, Refused, Target, pairs, point

#: From the id of a run at the source to that at the target; ``None`` if it was not copied.
RunHere = Callable[[str], Optional[str]]


def copy_model(
    target: Target, experiment_id: str, model: LoggedModel, run_here: RunHere, counts: Counts
) -> LoggedModel:
    """Copy a logged model with every point of its metrics; what the target knew of it.

    Its status comes last, as the end of a run does.
    """
    there = target.find_model(model)
    if there is not None and there.info.lifecycle_stage == DELETED:
        counts.note("logged models", skipped=1)
        return there
    new = there is None
    if there is None:
        run_id = run_here(model.info.source_run_id) if model.info.source_run_id else None
        there = target.add_model(experiment_id, model, run_id)
    params, tags = dict(there.params), pairs(there.tags)
    for param in model.params:
        if params.get(param.key, param.value) != param.value:
            counts.refused.append(
                f"logged model {model.info.model_id}: its param {param.key!r} has another value at the target"
            )
    new_params = [param for param in model.params if param.key not in params]
    new_tags = [Tag(key, value) for key, value in pairs(model.tags).items() if tags.get(key) != value]
    if new_params or new_tags:
        target.add_to_model(there.info.model_id, new_params, new_tags)
    written = _copy_points(target, model, there, run_here, counts)
    target.end_model(there, model)
    counts.note("logged models", written=int(new), skipped=int(not new))
    counts.note("points of models", written=written, skipped=len(model.metrics) - written)
    return there


def _copy_points(target: Target, model: LoggedModel, there: LoggedModel, run_here: RunHere, counts: Counts) -> int:
    """Write the points that are missing; how many there were. What one run has logged may be refused."""
    written = 0
    for run_id, logged in _missing_points(model, there, run_here).items():
        try:
            target.add_model_points(run_id, logged)
            written += len(logged)
        except Refused as error:
            counts.refused.append(f"logged model {model.info.model_id}, points of run {run_id}: {error.message}")
    return written


def _missing_points(model: LoggedModel, there: LoggedModel, run_here: RunHere) -> Dict[str, List[Metric]]:
    """By run of the target. A point whose run is not there has no place there either."""
    have = {_mark(each, each.run_id) for each in there.metrics}
    found: Dict[str, List[Metric]] = {}
    for each in model.metrics:
        run_id = run_here(each.run_id or "")
        if run_id is not None and _mark(each, run_id) not in have:
            found.setdefault(run_id, []).append(each._replace(model_id=there.info.model_id, run_id=run_id))
    return found


def _mark(each: Metric, run_id: Optional[str]) -> Tuple[object, ...]:
    return (each.key, run_id, each.dataset_name or None, each.dataset_digest or None, *point(each))


def copy_links(target: Target, run: Run, there: Run, counts: Counts) -> None:
    """Let a run at the target name the models that its original names, as far as these are there."""
    inputs = [(each.model_id, target.model_here(each.model_id)) for each in run.model_inputs]
    outputs = [(each, target.model_here(each.model_id)) for each in run.model_outputs]
    for model_id in [one for one, here in inputs if here is None] + [one.model_id for one, here in outputs if not here]:
        counts.refused.append(f"run {run.info.run_id}: the logged model {model_id} that it names is not at the target")
    have_inputs = {each.model_id for each in there.model_inputs}
    have_outputs = {each.model_id for each in there.model_outputs}
    new_inputs = [ModelInput(here) for _, here in inputs if here is not None and here not in have_inputs]
    new_outputs = [
        ModelOutput(here, each.step) for each, here in outputs if here is not None and here not in have_outputs
    ]
    additions = Additions(model_inputs=new_inputs, model_outputs=new_outputs)
    if not additions.is_empty():
        target.add_to_run(there.info.run_id, additions)
    counts.note("inputs", written=len(new_inputs), skipped=len(inputs) - len(new_inputs))
    counts.note("outputs", written=len(new_outputs), skipped=len(outputs) - len(new_outputs))
