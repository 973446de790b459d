"""The contract of a store, on one page. Knows nothing of HTTP, permissions, limits or MLflow's lifecycle rules.

Reading needs no transaction. Writing is only possible inside ``Store.transaction()``::

    with store.transaction() as tx:
        run = tx.get_run_info(run_id)     # what is read here cannot change before the block ends
        tx.put_tags(run_id, [Tag("a", "b")])

When the ``with`` block ends without an exception, all of it is committed: no reader ever sees a part of it, and a
crash at any moment leaves all of it or nothing. When the block has returned, it is durable to the degree of the
store's ``--sync``. An exception inside the block undoes all of it. Transactions of different threads run one after
another. Callers have checked keys, values and lifecycle; a store raises ``TrackdError`` only for its own reasons (no
room, no permission, a value that cannot be kept) and never for an id that is not there: getters answer ``None`` or
nothing.
"""

from typing import ContextManager, Dict, Iterable, List, Mapping, NamedTuple, Optional, Sequence, Tuple, TypeVar

from trackd.entities import (
    DatasetInput,
    Experiment,
    LoggedModel,
    LoggedModelInfo,
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
from trackd.history.columns import History, from_points
from trackd.search.clause import Clause, Cursor, Order

Item = TypeVar("Item")


class Problem(NamedTuple):
    """Something wrong in a store: where (a path, a table and key) and what, in one sentence."""

    where: str
    what: str


class RunCounts(NamedTuple):
    """How many runs an experiment has: active, deleted, and of the active those that run; and the latest start."""

    experiment_id: str
    active: int
    deleted: int
    running: int
    last_start_time: Optional[int]


def sample(items: Sequence[Item], count: int) -> Sequence[Item]:
    """At most ``count`` of the items in their order, evenly taken, the first and the last among them; of one, the last.

    As MLflow's SQL store takes them: they are cut into ``count`` parts of equal size (SQL's NTILE: the first parts have
    one more where it does not come out even), of each the first is taken, and then the last of all stands in for the
    last taken.
    """
    if len(items) <= count:
        return items
    size, longer = divmod(len(items), count)
    return [items[part * size + min(part, longer)] for part in range(count - 1)] + [items[-1]]


def _by_step(point: Metric) -> Tuple[int, int, float, bool]:
    # NaN is kept as 0 with a mark, which comes last.
    is_nan = point.value != point.value
    return point.step, point.timestamp, 0.0 if is_nan else point.value, is_nan


class Reads:
    """What can be asked, of a store or inside a transaction."""

    def get_experiment(self, experiment_id: str) -> Optional[Experiment]:
        """The experiment with its tags (in key order), active or deleted."""
        raise NotImplementedError

    def get_experiment_by_name(self, name: str) -> Optional[Experiment]:
        """The experiment of that exact name, active or deleted."""
        raise NotImplementedError

    def search_experiments(
        self,
        view_type: str,
        clause: Optional[Clause],
        order: Sequence[Order],
        limit: int,
        cursor: Cursor = Cursor(),
    ) -> Tuple[List[Experiment], Optional[Cursor]]:
        """One page of experiments with their tags, and where the next page starts (``None``: this was the last)."""
        raise NotImplementedError

    def get_run_info(self, run_id: str) -> Optional[RunInfo]:
        """The run without what was logged to it, active or deleted."""
        raise NotImplementedError

    def get_run(self, run_id: str) -> Optional[Run]:
        """The whole run; metrics, params and tags in key order."""
        raise NotImplementedError

    def search_runs(
        self,
        experiment_ids: Sequence[str],
        view_type: str,
        clause: Optional[Clause],
        order: Sequence[Order],
        limit: int,
        cursor: Cursor = Cursor(),
    ) -> Tuple[List[Run], Optional[Cursor]]:
        """One page of whole runs of these experiments, and where the next page starts. Unknown ids find nothing."""
        raise NotImplementedError

    def list_run_infos(self, experiment_id: str) -> List[RunInfo]:
        """Every run of an experiment, active and deleted, without what was logged to it."""
        raise NotImplementedError

    def list_deleted_runs(self, before: Optional[int] = None) -> List[RunInfo]:
        """Every deleted run; with ``before`` those that are known to be deleted since then or longer."""
        raise NotImplementedError

    def list_runs(self, run_ids: Sequence[str]) -> List[Run]:
        """The whole runs of these ids that are there, in their order; active or deleted."""
        found = (self.get_run(run_id) for run_id in run_ids)
        return [run for run in found if run is not None]

    def list_keys(self, experiment_ids: Sequence[str], limit: int) -> Dict[str, List[Tuple[str, int]]]:
        """``metrics``, ``params`` and ``tags`` -> the keys that runs of these experiments have, with the number
        of these runs, in key order; ``limit`` of each at most. Deleted runs count."""
        raise NotImplementedError

    def count_runs(self) -> List[RunCounts]:
        """The runs of each experiment that has any."""
        raise NotImplementedError

    def get_params(self, run_id: str, keys: Iterable[str]) -> Dict[str, str]:
        """The values of those of ``keys`` that are logged."""
        raise NotImplementedError

    def get_tags(self, run_id: str, keys: Iterable[str]) -> Dict[str, str]:
        """The values of those of ``keys`` that are set on the run."""
        raise NotImplementedError

    def list_metric_history(
        self, run_id: str, key: str, offset: int = 0, limit: Optional[int] = None
    ) -> List[Metric]:
        """Points of one metric by timestamp, step, value; equal points once."""
        raise NotImplementedError

    def get_histories(self, wanted: Sequence[Tuple[str, str]]) -> List[History]:
        """The history of each (run id, key), all of its points as columns; empty for what is not there.

        Equal points may be there more than once. A store overrides this to remember what it has read.
        """
        return [from_points(self.list_metric_history(run_id, key)) for run_id, key in wanted]

    def sample_metric_histories(
        self, run_ids: Sequence[str], key: str, count: int, steps: Optional[Tuple[int, int]] = None
    ) -> List[List[Metric]]:
        """For each run at most ``count`` points of the metric by step, evenly taken (``sample``); with ``steps`` of
        those from the first of the two to the second."""
        found = []
        for run_id in run_ids:
            points = self.list_metric_history(run_id, key)
            if steps is not None:
                points = [point for point in points if steps[0] <= point.step <= steps[1]]
            found.append(list(sample(sorted(points, key=_by_step), count)))
        return found

    def list_datasets(self, experiment_ids: Sequence[str], limit: int) -> List[Tuple[str, str, str, Optional[str]]]:
        """Distinct (experiment id, dataset name, digest, context) of the inputs of these experiments' active runs."""
        raise NotImplementedError

    def get_logged_model_info(self, model_id: str) -> Optional[LoggedModelInfo]:
        """The logged model without what was logged to it, active or deleted."""
        raise NotImplementedError

    def get_logged_model(self, model_id: str) -> Optional[LoggedModel]:
        """The whole logged model, active or deleted; params and tags in key order, points by key, time and step."""
        raise NotImplementedError

    def search_logged_models(
        self,
        experiment_ids: Sequence[str],
        clause: Optional[Clause],
        order: Sequence[Order],
        limit: int,
        cursor: Cursor = Cursor(),
    ) -> Tuple[List[LoggedModel], Optional[Cursor]]:
        """One page of whole logged models that are not deleted, and where the next page starts."""
        raise NotImplementedError

    def list_logged_model_infos(self, experiment_id: str) -> List[LoggedModelInfo]:
        """Every logged model of an experiment, active and deleted, without what was logged to it."""
        raise NotImplementedError

    def list_deleted_logged_models(self, before: Optional[int] = None) -> List[LoggedModelInfo]:
        """Every deleted logged model; with ``before`` those that are deleted since then or longer."""
        raise NotImplementedError

    def get_logged_model_params(self, model_id: str, keys: Iterable[str]) -> Dict[str, str]:
        """The values of those of ``keys`` that are logged to the model."""
        raise NotImplementedError

    def get_logged_model_tags(self, model_id: str, keys: Iterable[str]) -> Dict[str, str]:
        """The values of those of ``keys`` that are set on the model."""
        raise NotImplementedError

    def get_registered_model(self, name: str) -> Optional[RegisteredModel]:
        """The model of that exact name; tags in key order, aliases in theirs.

        Latest versions come in the order in which the model's versions reached their stages: that of the lowest number
        in each.
        """
        raise NotImplementedError

    def has_registered_model(self, name: str) -> bool:
        """Whether there is a model of that exact name."""
        raise NotImplementedError

    def search_registered_models(
        self,
        prompts: bool,
        clause: Optional[Clause],
        order: Sequence[Order],
        limit: int,
        cursor: Cursor = Cursor(),
    ) -> Tuple[List[RegisteredModel], Optional[Cursor]]:
        """One page of models, and where the next page starts. Without ``prompts`` those tagged as prompts are left out.

        As prompts count those with the tag ``IS_PROMPT_TAG`` of the value ``true``.
        """
        raise NotImplementedError

    def get_model_version(self, name: str, version: int) -> Optional[ModelVersion]:
        """The version with tags in key order and aliases in theirs. (No question finds one in ``DELETED_STAGE``.)"""
        raise NotImplementedError

    def list_model_versions(self, name: str, stage: str) -> List[ModelVersion]:
        """The versions of a model in one stage, by number, without aliases."""
        raise NotImplementedError

    def search_model_versions(
        self,
        prompts: bool,
        clause: Optional[Clause],
        order: Sequence[Order],
        limit: int,
        cursor: Cursor = Cursor(),
    ) -> Tuple[List[ModelVersion], Optional[Cursor]]:
        """One page of versions without aliases, and where the next page starts.

        Without ``prompts`` all versions are left out of each model of which a version, even a deleted one, is tagged
        as a prompt.
        """
        raise NotImplementedError


class Transaction(Reads):
    """What can be written. Reads see the writes of their own transaction."""

    def add_experiment(
        self,
        name: str,
        artifact_location: Optional[str],
        tags: Sequence[Tag],
        time: int,
        artifact_root: str,
    ) -> str:
        """Add an active experiment and return its id, one above the highest ever used.

        Without ``artifact_location`` it gets ``<artifact_root>/<experiment id>``.
        """
        raise NotImplementedError

    def insert_experiment(self, experiment: Experiment) -> None:
        """Add an experiment as it is in another store, under its own id, which must be free; without its tags."""
        raise NotImplementedError

    def put_experiment(self, experiment: Experiment) -> None:
        """Keep the changed name, lifecycle stage and times of an experiment (tags are not looked at)."""
        raise NotImplementedError

    def put_experiment_tags(self, experiment_id: str, tags: Sequence[Tag]) -> None:
        """Set tags; those that are there are overwritten."""
        raise NotImplementedError

    def drop_experiment_tag(self, experiment_id: str, key: str) -> bool:
        """Remove a tag; False if it was not there."""
        raise NotImplementedError

    def add_run(self, info: RunInfo, tags: Sequence[Tag]) -> None:
        """Add a run under a new id."""
        raise NotImplementedError

    def put_run_info(self, info: RunInfo, deleted_time: Optional[int] = None) -> None:
        """Keep the changed name, status, end time and lifecycle stage of a run."""
        raise NotImplementedError

    def put_runs_lifecycle(self, experiment_id: str, lifecycle_stage: str, deleted_time: Optional[int]) -> None:
        """Move every run of an experiment to a lifecycle stage, those already there untouched."""
        raise NotImplementedError

    def drop_runs(self, run_ids: Sequence[str]) -> None:
        """Remove runs for good, with all that was logged to them but artifacts."""
        raise NotImplementedError

    def drop_experiment(self, experiment_id: str) -> None:
        """Remove an experiment for good, with its runs and all else that belongs to it but artifacts."""
        raise NotImplementedError

    def obstacle(self, experiment_id: str, member: Optional[str] = None) -> Optional[str]:
        """Why an experiment, or a run or logged model of it, cannot be dropped, as the rest of a sentence that begins
        with it; else ``None``."""
        return None

    def move_run(self, info: RunInfo, experiment_id: str) -> RunInfo:
        """Let an active run be one of another experiment, which is there; the run as it is then.

        Its artifacts and their URI stay, unless they lie in a folder that the store itself moves. The datasets of its
        inputs are copied to the experiment. Nothing else may be done to the run in the transaction.
        """
        raise NotImplementedError

    def put_tags(self, run_id: str, tags: Sequence[Tag]) -> None:
        """Set a run's tags; the last of equal keys wins."""
        raise NotImplementedError

    def drop_tag(self, run_id: str, key: str) -> bool:
        """Remove a run's tag; False if it was not there."""
        raise NotImplementedError

    def add_params(self, run_id: str, params: Sequence[Param]) -> None:
        """Add params with new keys (the caller has compared those that are there)."""
        raise NotImplementedError

    def add_metrics(self, run_id: str, metrics: Sequence[Metric]) -> None:
        """Add points, in this order. A point with ``model_id`` is kept on that logged model as well, which is there.

        A point that the model has already is left as it is. MLflow's tables hold one point of a metric for each time
        and step of a run on a model; another one there is ``BadRequest``.
        """
        raise NotImplementedError

    def add_inputs(self, run_id: str, datasets: Sequence[DatasetInput], models: Sequence[ModelInput]) -> None:
        """Add inputs; one that the run has already is left as it is."""
        raise NotImplementedError

    def add_outputs(self, run_id: str, models: Sequence[ModelOutput]) -> None:
        """Add model outputs; one that the run has already is left as it is."""
        raise NotImplementedError

    def add_logged_model(self, info: LoggedModelInfo, params: Sequence[Param], tags: Sequence[Tag]) -> None:
        """Add a logged model under a new id."""
        raise NotImplementedError

    def add_model_points(self, run_id: str, metrics: Sequence[Metric]) -> bool:
        """Keep points that a run logged on the logged models that they name, and not on the run, as a copy does.

        False if there is no place for them, because that run is not there (a folder keeps them all the same).
        """
        raise NotImplementedError

    def put_logged_model_info(self, info: LoggedModelInfo) -> None:
        """Keep the changed status, lifecycle stage and time of a logged model."""
        raise NotImplementedError

    def add_logged_model_params(self, model_id: str, params: Sequence[Param]) -> None:
        """Add params with new keys to a logged model (the caller has compared those that are there)."""
        raise NotImplementedError

    def put_logged_model_tags(self, model_id: str, tags: Sequence[Tag]) -> None:
        """Set a logged model's tags; the last of equal keys wins."""
        raise NotImplementedError

    def drop_logged_models(self, model_ids: Sequence[str]) -> None:
        """Remove logged models for good, with all that was logged to them but artifacts."""
        raise NotImplementedError

    def drop_logged_model_tag(self, model_id: str, key: str) -> bool:
        """Remove a logged model's tag; False if it was not there."""
        raise NotImplementedError

    def add_registered_model(self, model: RegisteredModel) -> None:
        """Add a model under a new name, with its tags (aliases and versions are not looked at)."""
        raise NotImplementedError

    def put_registered_model(self, model: RegisteredModel) -> None:
        """Keep the changed times and description of a model."""
        raise NotImplementedError

    def touch_registered_model(self, name: str, time: int) -> bool:
        """Keep that a model was updated, whatever it holds; False if there is none."""
        raise NotImplementedError

    def rename_registered_model(self, name: str, new_name: str, time: int) -> None:
        """Give a model and all that belongs to it a name that nobody has; ``time`` is when all of it was updated."""
        raise NotImplementedError

    def drop_registered_model(self, name: str) -> None:
        """Remove a model and all that belongs to it."""
        raise NotImplementedError

    def put_registered_model_tags(self, name: str, tags: Sequence[Tag]) -> None:
        """Set a model's tags; the last of equal keys wins."""
        raise NotImplementedError

    def drop_registered_model_tag(self, name: str, key: str) -> bool:
        """Remove a model's tag; False if it was not there."""
        raise NotImplementedError

    def put_alias(self, name: str, alias: str, version: int) -> None:
        """Let an alias of a model name this version."""
        raise NotImplementedError

    def drop_alias(self, name: str, alias: str) -> bool:
        """Remove an alias of a model; False if it was not there."""
        raise NotImplementedError

    def next_model_version(self, name: str) -> int:
        """One above the highest number that the model ever had, deleted versions included."""
        raise NotImplementedError

    def add_model_version(self, version: ModelVersion) -> None:
        """Add a version under a new number, with its tags (aliases are not looked at)."""
        raise NotImplementedError

    def put_model_version(self, version: ModelVersion) -> None:
        """Keep what changed of a version (tags and aliases are not looked at)."""
        raise NotImplementedError

    def put_model_version_tags(self, name: str, version: int, tags: Sequence[Tag]) -> None:
        """Set a version's tags; the last of equal keys wins."""
        raise NotImplementedError

    def drop_model_version_tag(self, name: str, version: int, key: str) -> bool:
        """Remove a version's tag; False if it was not there."""
        raise NotImplementedError


class Store(Reads):
    """A place where everything but artifacts is kept."""

    #: What ``server-info`` calls it: ``FileStore`` or ``SqlStore``.
    store_type = ""
    #: True where writes are refused with ``PermissionDenied``.
    read_only = False

    def transaction(self) -> ContextManager[Transaction]:
        """Begin a transaction; see the module's docstring."""
        raise NotImplementedError

    def version(self) -> str:
        """Another text once anything has been written, by whom ever; it may be another for no reason, too."""
        raise NotImplementedError

    def check(self) -> List[Problem]:
        """Everything that is wrong with the store; empty for a sane one."""
        raise NotImplementedError

    def counts(self) -> Mapping[str, int]:
        """How many experiments and runs there are, for the first lines of output."""
        raise NotImplementedError

    def close(self) -> None:
        """Make everything durable and let go of files and locks; nothing can be asked afterwards."""
        raise NotImplementedError


class NoStore(Store):
    """For a server of artifacts alone: there is nothing in it, and nothing may be asked of it."""

    store_type = None  # type: ignore[assignment]
