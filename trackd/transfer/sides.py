"""What a place must be able to do to be copied from (``Source``) or to (``Target``)."""

from typing import Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from trackd.artifacts.base import ArtifactStore
from trackd.artifacts.paths import ArtifactPath
from trackd.entities import (
    DatasetInput,
    Experiment,
    LoggedModel,
    Metric,
    ModelInput,
    ModelOutput,
    ModelVersion,
    Param,
    RegisteredModel,
    Run,
    RunInfo,
    Tag,
)
from trackd.errors import TrackdError

#: A tag of what gets a new id from a server that chooses ids itself: the id that it has where it came from.
COPIED_FROM = "trackd.copiedFrom"


class CannotCopy(TrackdError):
    """The copy cannot go on; the message says why."""


class Refused(TrackdError):
    """One thing could not be copied; the rest can."""


class Additions(NamedTuple):
    """What a run lacks."""

    metrics: Sequence[Metric] = ()
    params: Sequence[Param] = ()
    tags: Sequence[Tag] = ()
    datasets: Sequence[DatasetInput] = ()
    model_inputs: Sequence[ModelInput] = ()
    model_outputs: Sequence[ModelOutput] = ()

    def is_empty(self) -> bool:
        """Whether nothing is missing."""
        return not any(self)


class Source:
    """Where a copy is made from. Nothing here is changed."""

    #: As the user named it.
    uri = ""

    def experiments(self) -> Iterator[Experiment]:
        """All experiments with their tags, active and deleted, in the order of their ids."""
        raise NotImplementedError

    def runs(self, experiment_id: str) -> Iterator[Run]:
        """All runs of an experiment, active and deleted; model inputs may be left out."""
        raise NotImplementedError

    def whole(self, run: Run) -> Run:
        """The run with what ``runs`` may leave out."""
        return run

    def history(self, run_id: str, key: str) -> Iterator[List[Metric]]:
        """All points of a metric, some at a time, in the order of their times."""
        raise NotImplementedError

    def logged_models(self, experiment_id: str) -> Iterator[LoggedModel]:
        """The logged models of an experiment; a server shows no deleted ones."""
        raise NotImplementedError

    def registered_models(self) -> Iterator[RegisteredModel]:
        """All registered models, prompts among them, with tags and aliases."""
        raise NotImplementedError

    def model_versions(self, model: RegisteredModel) -> List[ModelVersion]:
        """The versions of a registered model by number, with tags; deleted ones are not shown."""
        raise NotImplementedError

    def artifacts(self, location: str) -> Tuple[ArtifactStore, ArtifactPath]:
        """The place that a run or model of this side names. ``TrackdError`` if it is out of reach."""
        raise NotImplementedError

    def close(self) -> None:
        """Nothing is asked afterwards."""


class Target(Source):
    """Where a copy is made to. It can be read as well, to find out what is there."""

    #: Points that are written in one go at most.
    batch = 10_000

    def begin_experiment(self, experiment: Experiment) -> Tuple[str, bool]:
        """The id under which this experiment is at the target, by its name; whether it is new. Tags are set."""
        raise NotImplementedError

    def enter(self, experiment_id: str) -> None:
        """What is written next belongs to this experiment."""

    def end_experiment(self, experiment: Experiment, experiment_id: str) -> None:
        """All runs are there: give it the lifecycle stage that it has at the source."""

    def find_run(self, experiment_id: str, run: Run) -> Optional[Run]:
        """The run that is the copy of this one, or this one itself."""
        raise NotImplementedError

    def run_here(self, run_id: str) -> Optional[str]:
        """The id of the run here that has, or whose original has, this id; ``None`` if it is not known."""
        raise NotImplementedError

    def add_run(self, experiment_id: str, run: Run) -> RunInfo:
        """Begin a copy of a run, as one that is still running; its id and its place are in the answer."""
        raise NotImplementedError

    def add_to_run(self, run_id: str, additions: Additions) -> None:
        """Log what is missing."""
        raise NotImplementedError

    def end_run(self, info: RunInfo, source: RunInfo) -> None:
        """All is there: give the run the name, status, times and lifecycle stage that it has at the source."""
        raise NotImplementedError

    # Logged models. They come after the runs that they name, and the links from runs to models after both.

    def model_here(self, model_id: str) -> Optional[str]:
        """The id that a model has at the target; ``None`` if it is not known there (yet)."""
        raise NotImplementedError

    def find_model(self, model: LoggedModel) -> Optional[LoggedModel]:
        """The logged model that is the copy of this one, or this one itself."""
        raise NotImplementedError

    def add_model(self, experiment_id: str, model: LoggedModel, source_run_id: Optional[str]) -> LoggedModel:
        """Begin a copy of a logged model, pending and without anything logged to it."""
        raise NotImplementedError

    def add_to_model(self, model_id: str, params: Sequence[Param], tags: Sequence[Tag]) -> None:
        """Log what is missing."""
        raise NotImplementedError

    def add_model_points(self, run_id: str, points: Sequence[Metric]) -> None:
        """Keep points on the models that they name (by the target's ids), as logged by that run of the target."""
        raise NotImplementedError

    def end_model(self, there: LoggedModel, model: LoggedModel) -> None:
        """All is there: give the model the status and lifecycle stage that it has at the source."""
        raise NotImplementedError

    # The registry. What the source says of a model or version wins.

    def find_registered_model(self, name: str) -> Optional[RegisteredModel]:
        """The model of that name."""
        raise NotImplementedError

    def add_registered_model(self, model: RegisteredModel) -> RegisteredModel:
        """Begin a copy of a model, without tags, aliases and versions."""
        raise NotImplementedError

    def add_to_registered_model(self, there: RegisteredModel, model: RegisteredModel, tags: Sequence[Tag]) -> None:
        """Set these tags, and the description if it is another."""
        raise NotImplementedError

    def put_alias(self, name: str, alias: str, version: int) -> None:
        """Let an alias name a version."""
        raise NotImplementedError

    def add_model_version(self, version: ModelVersion) -> ModelVersion:
        """Begin a copy of a version under its own number, without tags and in no stage."""
        raise NotImplementedError

    def add_to_model_version(self, there: ModelVersion, version: ModelVersion, tags: Sequence[Tag]) -> None:
        """Set these tags, and description and stage if they are others."""
        raise NotImplementedError


def point(metric: Metric) -> Tuple[int, int, str]:
    """What makes a point of a metric: NaN equals itself, and what SQL stores make of a value is that value.

    They keep an infinite one as the largest double, and no sign of zero.
    """
    value = metric.value
    if value in (float("inf"), float("-inf")):
        value = 1.7976931348623157e308 if value > 0 else -1.7976931348623157e308
    return metric.timestamp, metric.step, repr(value + 0.0)


def pairs(items: Sequence[Tag]) -> Dict[str, str]:
    """Tags by key, without the one that a copy adds."""
    return {tag.key: tag.value for tag in items if tag.key != COPIED_FROM}
