"""The order of a copy: experiment by experiment, its runs the oldest first, then what refers to them."""

from contextlib import contextmanager
from typing import Callable, Dict, Iterator, List, Optional, Tuple

from trackd.entities import Experiment, Run
from trackd.errors import TrackdError
from trackd.transfer.counts import Counts
from trackd.transfer.models import copy_links, copy_model
from trackd.transfer.runs import copy_run
from trackd.transfer.sides import CannotCopy, Source, Target

Progress = Callable[[str], None]


def copy(source: Source, target: Target, counts: Counts, progress: Progress = lambda line: None) -> None:
    """Copy all of it into ``target``; ``counts`` grows meanwhile. Raises ``CannotCopy`` where it cannot go on."""
    Copying(source, target, counts, progress).everything()


class Copying:
    """One copy under way."""

    def __init__(self, source: Source, target: Target, counts: Counts, progress: Progress) -> None:
        self._source = source
        self._target = target
        self._counts = counts
        self._progress = progress
        #: Where a run has another id at the target.
        self._runs: Dict[str, str] = {}
        #: Runs that name logged models, which may be of any experiment: these links come last.
        self._linked: List[Tuple[Run, Run]] = []

    def everything(self) -> None:
        """Runs, then logged models, whose points are of runs of any experiment, then what links runs to models."""
        begun = [(experiment, self._runs_of(experiment)) for experiment in self._source.experiments()]
        for experiment, experiment_id in begun:
            self._target.enter(experiment_id)
            self._models_of(experiment, experiment_id)
        for run, there in self._linked:
            self._target.enter(there.info.experiment_id)
            with self._noting(f"run {run.info.run_id}"):
                copy_links(self._target, run, there, self._counts)
        for experiment, experiment_id in begun:
            self._target.end_experiment(experiment, experiment_id)

    def _runs_of(self, experiment: Experiment) -> str:
        """Copy an experiment and its runs; its id at the target."""
        experiment_id, new = self._target.begin_experiment(experiment)
        self._counts.note("experiments", written=int(new), skipped=int(not new))
        self._target.enter(experiment_id)
        shown = f"experiment {experiment.experiment_id} ({experiment.name})"
        if experiment_id != experiment.experiment_id:
            shown += f", there {experiment_id}"
        for number, run in enumerate(self._source.runs(experiment.experiment_id), 1):
            with self._noting(f"run {run.info.run_id}"):
                self._run(experiment_id, run)
            self._progress(f"{shown}: {number} runs")
        return experiment_id

    def _run(self, experiment_id: str, run: Run) -> None:
        whole, there = copy_run(self._source, self._target, experiment_id, run, self._counts)
        if there.info.run_id != run.info.run_id:
            self._runs[run.info.run_id] = there.info.run_id
        if whole.model_inputs or whole.model_outputs:
            # What both say of themselves is all that is needed, and there may be many.
            self._linked.append((_links(whole), _links(there)))

    def _models_of(self, experiment: Experiment, experiment_id: str) -> None:
        for number, model in enumerate(self._source.logged_models(experiment.experiment_id), 1):
            with self._noting(f"logged model {model.info.model_id}"):
                copy_model(self._target, experiment_id, model, self._run_here, self._counts)
            self._progress(f"experiment {experiment.experiment_id} ({experiment.name}): {number} logged models")

    def _run_here(self, run_id: str) -> Optional[str]:
        return self._runs.get(run_id) or self._target.run_here(run_id)

    @contextmanager
    def _noting(self, what: str) -> Iterator[None]:
        """What the target refuses is noted, and the rest goes on."""
        try:
            yield
        except CannotCopy:
            raise
        except TrackdError as error:
            self._counts.refused.append(f"{what}: {error.message}")


def _links(run: Run) -> Run:
    return Run(run.info, model_inputs=run.model_inputs, model_outputs=run.model_outputs)
