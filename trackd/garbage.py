"""What is garbage and how it goes for good: the rules behind ``trackd gc`` and behind emptying the trash over HTTP.

As in ``mlflow gc``: deleted runs, deleted logged models, and deleted experiments with all that is in them. Otherwise
than there, who names some means these and nothing else, and what holds the files of a model version stays. Three steps,
so that a user sees what goes before it goes::

    plan = find(store, Wanted(older_than=30 * 86_400_000), now)
    plan = measure(plan, Reach(locations))
    outcome = remove(store, Reach(locations), plan, say=print)

Artifacts go first, then the run that names them: whenever this is broken off, what is left is still in the store, still
deleted, and goes with the next call. What is being removed is *claimed* (in this process), and nobody can restore it.
"""

import os
import re
import threading
from contextlib import contextmanager, suppress
from typing import Callable, Dict, Iterator, List, NamedTuple, Optional, Protocol, Sequence, Set, Tuple

from trackd.artifacts.base import Locations
from trackd.artifacts.paths import ArtifactPath
from trackd.entities import DELETED, DELETED_ONLY, Experiment, LoggedModelInfo, ModelVersion, RunInfo
from trackd.errors import InvalidParameterValue, InvalidState, ResourceDoesNotExist, TrackdError
from trackd.fields.kinds import is_id, shown
from trackd.search import paging
from trackd.store.base import Reads, Store, Transaction

#: Runs that are removed in one transaction: others wait no longer than that takes.
CHUNK = 50

RUN, MODEL, EXPERIMENT = "run", "logged model", "experiment"


class Wanted(NamedTuple):
    """What to look for. ``older_than`` is the least time since the deletion, in milliseconds.

    Without ids it is all that is deleted; with ids of either kind it is what they name.
    """

    older_than: int = 0
    run_ids: Optional[Sequence[str]] = None
    experiment_ids: Optional[Sequence[str]] = None
    model_ids: Optional[Sequence[str]] = None


class Item(NamedTuple):
    """Something that can go. ``location`` is where its artifacts lie, empty for none; ``size`` is in bytes.

    ``out_of_reach``: why trackd cannot remove its artifacts; they stay.
    """

    kind: str
    id: str
    experiment_id: str
    name: str
    location: str = ""
    files: int = 0
    size: int = 0
    out_of_reach: str = ""


class Plan(NamedTuple):
    """What goes, experiments last; ``kept`` has a sentence for each thing that is deleted and stays."""

    items: List[Item]
    kept: List[str]


class Outcome(NamedTuple):
    """What went; ``kept`` has a sentence for each thing that could not be removed."""

    removed: List[Item]
    kept: List[str]


class Artifacts(Protocol):
    """Where artifacts lie, by the location that a run names."""

    def measure(self, location: str) -> Tuple[int, int]:
        """How many files there are, and how many bytes. ``TrackdError`` if trackd cannot look there."""

    def remove(self, location: str) -> None:
        """Remove all there is; nothing there is fine. ``TrackdError`` or ``OSError`` if some of it stays."""


class Reach:
    """The artifacts that some settings reach."""

    def __init__(self, locations: Locations) -> None:
        self._locations = locations

    def measure(self, location: str) -> Tuple[int, int]:
        """See ``Artifacts``."""
        store, path = self._locations.find(location)
        files = size = 0
        for _, each in store.walk(path):
            files += 1
            size += each
        return files, size

    def remove(self, location: str) -> None:
        """See ``Artifacts``. Folders that held nothing else go, too."""
        store, path = self._locations.find(location)
        store.delete(path)
        above = ArtifactPath(path.rpartition("/")[0])
        if above and not store.list(above):
            store.delete(above)
        if not path and os.path.isdir(store.uri):
            for folder in (store.uri, os.path.dirname(store.uri)):
                with suppress(OSError):
                    os.rmdir(folder)


_PART = re.compile(r"([0-9.]+)([dhms])")
_MILLISECONDS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000}


def duration(text: str) -> int:
    """MLflow's ``1d2h3m4s``, in this order, each part a number with or without a fraction; in milliseconds."""
    if not re.fullmatch(r"([0-9.]+d)?([0-9.]+h)?([0-9.]+m)?([0-9.]+s)?", text, re.ASCII) or not text:
        raise ValueError("is not a time such as 30d, 8h or 1d2h3m4s")
    try:
        return int(sum(float(number) * _MILLISECONDS[unit] for number, unit in _PART.findall(text)))
    except (ValueError, OverflowError):
        raise ValueError("has a number in it that is none") from None


# -- finding ----------------------------------------------------------------------------------------------------------


def find(store: Reads, wanted: Wanted, now: int) -> Plan:
    """What is garbage at the time ``now`` (milliseconds).

    An id that is not there, not deleted, or not old enough is an error, and nothing is planned.
    """
    before = now - wanted.older_than if wanted.older_than else None
    plan = Plan([], [])
    everything = (wanted.run_ids, wanted.experiment_ids, wanted.model_ids) == (None, None, None)
    experiments = _experiments(store, wanted, before, everything, plan.kept)
    items: Dict[Tuple[str, str], Item] = {}
    for each in experiments:
        for info in store.list_run_infos(each.experiment_id):
            _add(items, _of_run(info))
        for model in store.list_logged_model_infos(each.experiment_id):
            _add(items, _of_model(model))
    for info in _runs(store, wanted, before, everything):
        _add(items, _of_run(info))
    for model in _models(store, wanted, before, everything):
        _add(items, _of_model(model))
    if everything:
        spared = _spare(store, items, plan.kept)
        experiments = [each for each in experiments if each.experiment_id not in spared]
    plan.items.extend(items.values())
    plan.items.extend(Item(EXPERIMENT, each.experiment_id, each.experiment_id, each.name) for each in experiments)
    return plan


def _spare(store: Reads, items: Dict[Tuple[str, str], Item], kept: List[str]) -> Set[str]:
    """Leave what holds the files of a model version: who deleted a run may not have thought of it. Its experiments."""
    spared: Set[str] = set()
    for version in _all_versions(store):
        for place in (version.storage_location, version.source):
            for part in re.split(r"[/:]", place or ""):
                for kind, flag in ((RUN, "--run-ids"), (MODEL, "--logged-model-ids")):
                    item = items.pop((kind, part), None)
                    if item is not None:
                        spared.add(item.experiment_id)
                        kept.append(
                            f"{kind} {part} stays: version {version.version} of the model {version.name!r} has its "
                            f"files there; {flag} {part} removes it all the same"
                        )
    return spared


def _all_versions(store: Reads) -> Iterator[ModelVersion]:
    return paging.every(lambda cursor: store.search_model_versions(True, None, (), 1000, cursor))


def _add(items: Dict[Tuple[str, str], Item], item: Item) -> None:
    items.setdefault((item.kind, item.id), item)


def _of_run(info: RunInfo) -> Item:
    return Item(RUN, info.run_id, info.experiment_id, info.run_name or "", info.artifact_uri)


def _of_model(info: LoggedModelInfo) -> Item:
    return Item(MODEL, info.model_id, info.experiment_id, info.name, info.artifact_location)


def _experiments(
    store: Reads, wanted: Wanted, before: Optional[int], everything: bool, kept: List[str]
) -> List[Experiment]:
    """The experiments to go. One that was deleted and holds a run that is not goes only if it is named."""
    found: List[Experiment] = []
    for experiment_id in dict.fromkeys(wanted.experiment_ids or ()):
        is_one = experiment_id.isascii() and experiment_id.isdigit() and len(experiment_id) < 19
        experiment = store.get_experiment(experiment_id) if is_one else None
        if experiment is None:
            raise ResourceDoesNotExist(f"There is no experiment with the id {shown(experiment_id)}.")
        _check_deleted(f"Experiment {experiment_id}", experiment.lifecycle_stage, _is_old(experiment, before))
        found.append(experiment)
    if not everything:
        return found
    for experiment in _all_deleted_experiments(store):
        if not _is_old(experiment, before):
            continue
        active = [info for info in store.list_run_infos(experiment.experiment_id) if info.lifecycle_stage != DELETED]
        if active:
            kept.append(
                f"experiment {experiment.experiment_id} stays: its run {active[0].run_id} is not deleted; "
                f"--experiment-ids {experiment.experiment_id} removes both"
            )
        else:
            found.append(experiment)
    return found


def _all_deleted_experiments(store: Reads) -> Iterator[Experiment]:
    return paging.every(lambda cursor: store.search_experiments(DELETED_ONLY, None, (), 1000, cursor))


def _is_old(experiment: Experiment, before: Optional[int]) -> bool:
    """As MLflow: the last change of a deleted experiment is its deletion; one without a time is of no known age."""
    return before is None or (experiment.last_update_time is not None and experiment.last_update_time <= before)


def _runs(store: Reads, wanted: Wanted, before: Optional[int], everything: bool) -> List[RunInfo]:
    """The runs to go, apart from those that go with their experiment."""
    if everything:
        return store.list_deleted_runs(before)
    found: List[RunInfo] = []
    old = {info.run_id for info in store.list_deleted_runs(before)} if wanted.run_ids else set()
    for run_id in dict.fromkeys(wanted.run_ids or ()):
        info = store.get_run_info(run_id) if is_id(run_id) else None
        if info is None:
            raise ResourceDoesNotExist(f"There is no run with the id {shown(run_id)}.")
        _check_deleted(f"Run {run_id}", info.lifecycle_stage, run_id in old)
        found.append(info)
    return found


def _models(store: Reads, wanted: Wanted, before: Optional[int], everything: bool) -> List[LoggedModelInfo]:
    """The logged models to go, apart from those that go with their experiment."""
    if everything:
        return store.list_deleted_logged_models(before)
    found: List[LoggedModelInfo] = []
    old = {info.model_id for info in store.list_deleted_logged_models(before)} if wanted.model_ids else set()
    for model_id in dict.fromkeys(wanted.model_ids or ()):
        info = store.get_logged_model_info(model_id) if is_id(model_id) else None
        if info is None:
            raise ResourceDoesNotExist(f"There is no logged model with the id {shown(model_id)}.")
        _check_deleted(f"Logged model {model_id}", info.lifecycle_stage, model_id in old)
        found.append(info)
    return found


def _check_deleted(what: str, lifecycle_stage: str, is_old: bool) -> None:
    if lifecycle_stage != DELETED:
        raise InvalidParameterValue(f"{what} is not deleted; only deleted ones can be removed.")
    if not is_old:
        raise InvalidParameterValue(f"{what} was deleted more recently than that, or it is not known when.")


# -- measuring --------------------------------------------------------------------------------------------------------


def measure(plan: Plan, artifacts: Artifacts) -> Plan:
    """The plan with the number and size of the artifacts. Those that are out of reach are marked, not counted."""
    return plan._replace(items=[_measured(item, artifacts) if item.location else item for item in plan.items])


def _measured(item: Item, artifacts: Artifacts) -> Item:
    if not _is_own(item):
        return item._replace(out_of_reach=f"its artifacts lie in {item.location}, which is not a place of its own")
    try:
        files, size = artifacts.measure(item.location)
    except (TrackdError, OSError) as error:
        return item._replace(out_of_reach=str(error))
    return item._replace(files=files, size=size)


def _is_own(item: Item) -> bool:
    """Whether a location is one of this run or model alone: MLflow gives each ``.../<its id>/artifacts``.

    A meta.yaml or a row that somebody wrote may name any place; the trash of one run must not take others along.
    """
    path = re.split(r"[?#]", item.location, maxsplit=1)[0].rstrip("/")
    return path.split("/")[-2:] == [item.id, "artifacts"]


# -- removing ---------------------------------------------------------------------------------------------------------

#: (kind, id) of what is being removed -> its experiment.
_claims: Dict[Tuple[str, str], str] = {}
_claims_lock = threading.Lock()


def refuse_run(run_id: str) -> None:
    """400 if the run is being removed; asked in the transaction that would restore it."""
    with _claims_lock:
        if (RUN, run_id) in _claims:
            raise InvalidState(f"Run {run_id} is being removed for good and cannot be restored.")


def refuse_experiment(experiment_id: str) -> None:
    """400 if the experiment or one of its runs is being removed; asked in the transaction that would restore both."""
    with _claims_lock:
        if experiment_id in _claims.values():
            raise InvalidState(f"Experiment {experiment_id}, or a run of it, is being removed for good; try again.")


@contextmanager
def _claimed(store: Store, plan: Plan, kept: List[str]) -> Iterator[List[Item]]:
    """What of the plan is still deleted, and can go; until the end of the block nobody restores it."""
    items: List[Item] = []
    leaving = {item.id for item in plan.items if item.kind == EXPERIMENT}
    try:
        with store.transaction() as tx:
            for item in plan.items:
                why = _not_now(tx, item, leaving)
                if (item.kind, item.id) in _claims:
                    why = "is being removed by somebody else"
                if why:
                    kept.append(f"{item.kind} {item.id} {why}")
                else:
                    items.append(item)
            with _claims_lock:
                _claims.update({(item.kind, item.id): item.experiment_id for item in items})
        yield items
    finally:
        with _claims_lock:
            for item in items:
                _claims.pop((item.kind, item.id), None)


def _not_now(tx: Transaction, item: Item, leaving: Set[str]) -> Optional[str]:
    """Why a thing cannot go, as the rest of a sentence."""
    experiment = tx.get_experiment(item.experiment_id)
    if experiment is None:
        return "is gone already"
    goes_too = item.experiment_id in leaving and experiment.lifecycle_stage == DELETED
    if item.kind == EXPERIMENT:
        return tx.obstacle(item.id) if goes_too else "stays: it was restored meanwhile"
    info = tx.get_run_info(item.id) if item.kind == RUN else tx.get_logged_model_info(item.id)
    if info is None:
        return "is gone already"
    if info.lifecycle_stage != DELETED and not goes_too:
        return "stays: it was restored meanwhile"
    # Behind a link, it goes with the experiment: then the link is what is removed.
    return None if goes_too else tx.obstacle(item.experiment_id, item.id)


def remove(
    store: Store,
    artifacts: Artifacts,
    plan: Plan,
    leave_artifacts: bool = False,
    say: Callable[[str], object] = lambda line: None,
) -> Outcome:
    """Remove what is planned; ``say`` gets a line for each thing that is gone.

    What was restored since it was planned stays. So does what cannot be removed, with the reason; the rest goes on.
    What has artifacts out of reach stays too: nobody would find them any more. ``leave_artifacts``: it goes all the
    same, and they stay where they are.
    """
    outcome = Outcome([], [])
    with _claimed(store, plan, outcome.kept) as items:
        members = [item for item in items if item.kind != EXPERIMENT]
        for start in range(0, len(members), CHUNK):
            bare = _without_artifacts(artifacts, members[start : start + CHUNK], leave_artifacts, outcome)
            for item in _drop_members(store, bare, {each.id for each in items if each.kind == EXPERIMENT}, outcome):
                outcome.removed.append(item)
                say(f"{item.kind} {item.id} is gone")
        for item in items:
            if item.kind == EXPERIMENT:
                _drop_experiment(store, item, outcome, say)
    return outcome


def _without_artifacts(
    artifacts: Artifacts, items: Sequence[Item], leave_artifacts: bool, outcome: Outcome
) -> List[Item]:
    """Remove the artifacts of these runs and models; those that have none any more."""
    gone = []
    for item in items:
        why = "" if leave_artifacts else item.out_of_reach
        if item.location and not item.out_of_reach:
            try:
                artifacts.remove(item.location)
            except (TrackdError, OSError) as error:
                why = str(error)
        if why:
            outcome.kept.append(f"{item.kind} {item.id} stays, its artifacts cannot be removed: {why}")
        else:
            gone.append(item)
    return gone


def _drop_members(store: Store, items: Sequence[Item], leaving: Set[str], outcome: Outcome) -> List[Item]:
    """Remove these runs and models from the store; those that are gone, or will be with their experiment."""
    gone = []
    with store.transaction() as tx:
        for item in items:
            # Another program that works on the same database knows of no claims.
            why = _not_now(tx, item, leaving)
            if why:
                outcome.kept.append(f"{item.kind} {item.id} {why}; its artifacts are gone")
            else:
                gone.append(item)
        # What lies behind the link of an experiment goes with it.
        here = [item for item in gone if not tx.obstacle(item.experiment_id, item.id)]
        models = [item.id for item in here if item.kind == MODEL]
        if models:
            tx.drop_logged_models(models)
        tx.drop_runs([item.id for item in here if item.kind == RUN])
    return gone


def _drop_experiment(store: Store, item: Item, outcome: Outcome, say: Callable[[str], object]) -> None:
    """Remove an experiment, unless something in it had to stay."""
    gone = {(each.kind, each.id) for each in outcome.removed}
    with store.transaction() as tx:
        left = [f"run {info.run_id}" for info in tx.list_run_infos(item.id) if (RUN, info.run_id) not in gone]
        models = tx.list_logged_model_infos(item.id)
        left += [f"logged model {info.model_id}" for info in models if (MODEL, info.model_id) not in gone]
        if not left:
            tx.drop_experiment(item.id)
    if left:
        outcome.kept.append(f"experiment {item.id} stays: its {left[0]} is still there")
    else:
        outcome.removed.append(item)
        say(f"experiment {item.id} is gone")
