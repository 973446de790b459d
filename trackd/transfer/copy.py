"""The order of a copy: experiments with their runs, the oldest first, then what refers to them."""

from contextlib import contextmanager
from typing import Callable, Dict, Iterator, List, Optional, Tuple

from trackd.entities import Experiment, Run
from trackd.errors import TrackdError
from trackd.transfer.counts import Counts
from trackd.transfer.files import copy_files
from trackd.transfer.models import copy_links, copy_model
from trackd.transfer.registry import copy_registered_model
from trackd.transfer.runs import copy_run
from trackd.transfer.sides import CannotCopy, Source, Target

Progress = Callable[[str], None]


def copy(
    source: Source,
    target: Target,
    counts: Counts,
    progress: Progress = lambda line: None,
    artifacts: bool = False,
    all_points: bool = False,
) -> None:
    """Copy all of it into ``target``; ``counts`` grows meanwhile. Raises ``CannotCopy`` where it cannot go on."""
    Copying(source, target, counts, progress, artifacts, all_points).everything()


class Copying:
    """One copy under way."""

    def __init__(
        self, source: Source, target: Target, counts: Counts, progress: Progress, artifacts: bool, all_points: bool
    ) -> None:
        self._artifacts = artifacts
        self._all_points = all_points
        self._source = source
        self._target = target
        self._counts = counts
        self._progress = progress
        #: Where a run has another id at the target.
        self._runs: Dict[str, str] = {}
        #: By id of a run or logged model: where its artifacts are at the source and at the target, if that differs.
        self._places: Dict[str, Tuple[str, str]] = {}
        #: Runs that name logged models, which may be of any experiment: these links come last.
        self._linked: List[Tuple[Run, Run]] = []

    def everything(self) -> None:
        """Runs, then logged models, whose points are of runs of any experiment, then what links runs to models."""
        begun: List[Tuple[Experiment, str]] = []
        for experiment in self._source.experiments():
            with self._noting(f"experiment {experiment.experiment_id}"):
                begun.append((experiment, self._runs_of(experiment)))
        for experiment, experiment_id in begun:
            self._target.enter(experiment_id)
            with self._noting(f"logged models of experiment {experiment.experiment_id}"):
                self._models_of(experiment, experiment_id)
        for registered in self._source.registered_models():
            with self._noting(f"registered model {registered.name!r}"):
                copy_registered_model(
                    self._source, self._target, registered, self._run_or_none, self._place_here, self._counts
                )
            self._progress(f"registered model {registered.name}")
        for run, there in self._linked:
            self._target.enter(there.info.experiment_id)
            with self._noting(f"run {run.info.run_id}"):
                copy_links(self._target, run, there, self._counts)
        for experiment, experiment_id in begun:
            with self._noting(f"experiment {experiment.experiment_id}"):
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
        whole, there = copy_run(self._source, self._target, experiment_id, run, self._counts, self._all_points)
        if there.info.run_id != run.info.run_id:
            self._runs[run.info.run_id] = there.info.run_id
        if there.info.artifact_uri != run.info.artifact_uri:
            self._places[run.info.run_id] = (run.info.artifact_uri, there.info.artifact_uri)
        self._files(run.info.artifact_uri, there.info.artifact_uri)
        if whole.model_inputs or whole.model_outputs:
            # What both say of themselves is all that is needed, and there may be many.
            self._linked.append((_links(whole), _links(there)))

    def _models_of(self, experiment: Experiment, experiment_id: str) -> None:
        for number, model in enumerate(self._source.logged_models(experiment.experiment_id), 1):
            with self._noting(f"logged model {model.info.model_id}"):
                there = copy_model(self._target, experiment_id, model, self._run_here, self._counts)
                if there.info.artifact_location != model.info.artifact_location:
                    self._places[model.info.model_id] = (model.info.artifact_location, there.info.artifact_location)
                self._files(model.info.artifact_location, there.info.artifact_location)
            self._progress(f"experiment {experiment.experiment_id} ({experiment.name}): {number} logged models")

    def _files(self, before: str, after: str) -> None:
        if self._artifacts and before:
            copy_files(self._source, self._target, before, after, self._counts)

    def _run_or_none(self, run_id: Optional[str]) -> Optional[str]:
        return self._run_here(run_id) if run_id else None

    def _place_here(self, uri: Optional[str]) -> Optional[str]:
        """Where the files of a model version are at the target, by the run or logged model that they belong to."""
        if not uri:
            return uri
        if uri.startswith("models:/m-"):
            model_id, slash, rest = uri[len("models:/") :].partition("/")
            return f"models:/{self._target.model_here(model_id) or model_id}{slash}{rest}"
        for part in uri.split("/"):
            before, after = self._places.get(part, ("", ""))
            if before and (uri == before or uri.startswith(before.rstrip("/") + "/")):
                return after.rstrip("/") + uri[len(before.rstrip("/")) :]
        return uri

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
