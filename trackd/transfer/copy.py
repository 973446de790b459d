"""The order of a copy: experiment by experiment, its runs the oldest first, then what refers to them."""

from typing import Callable

from trackd.entities import Experiment
from trackd.errors import TrackdError
from trackd.transfer.counts import Counts
from trackd.transfer.runs import copy_run
from trackd.transfer.sides import CannotCopy, Source, Target

Progress = Callable[[str], None]


def copy(source: Source, target: Target, counts: Counts, progress: Progress = lambda line: None) -> None:
    """Copy all of it into ``target``; ``counts`` grows meanwhile. Raises ``CannotCopy`` where it cannot go on."""
    for experiment in source.experiments():
        _copy_experiment(source, target, experiment, counts, progress)


def _copy_experiment(
    source: Source, target: Target, experiment: Experiment, counts: Counts, progress: Progress
) -> None:
    experiment_id, new = target.begin_experiment(experiment)
    counts.note("experiments", written=int(new), skipped=int(not new))
    shown = f"experiment {experiment.experiment_id} ({experiment.name})"
    if experiment_id != experiment.experiment_id:
        shown += f", there {experiment_id}"
    number = 0
    for run in source.runs(experiment.experiment_id):
        try:
            copy_run(source, target, experiment_id, run, counts)
        except CannotCopy:
            raise
        except TrackdError as error:
            counts.refused.append(f"run {run.info.run_id}: {error.message}")
        number += 1
        progress(f"{shown}: {number} runs")
    target.end_experiment(experiment, experiment_id)
