"""What is garbage and how it goes for good: the rules behind ``trackd gc`` and behind emptying the trash over HTTP.

As in ``mlflow gc``: deleted runs and deleted experiments with all of their runs. Otherwise than there, who names runs
or experiments means these and nothing else. Three steps, so that a user sees what goes before it goes::

    plan = find(store, Wanted(older_than=30 * 86_400_000), now)
    plan = measure(plan, artifacts)
    outcome = remove(store, artifacts, plan, say)

Artifacts go first, then the run that names them: whenever this is broken off, what is left is still in the store, still
deleted, and goes with the next call. What is being removed is *claimed* (in this process), and nobody can restore it.
"""

import re
import threading
from contextlib import contextmanager
from typing import Callable, Dict, Iterator, List, NamedTuple, Optional, Protocol, Sequence, Set, Tuple

from trackd.entities import DELETED, DELETED_ONLY, Experiment, RunInfo
from trackd.errors import InvalidParameterValue, InvalidState, ResourceDoesNotExist, TrackdError
from trackd.fields.kinds import is_id, shown
from trackd.store.base import Reads, Store, Transaction

#: Runs that are removed in one transaction: others wait no longer than that takes.
CHUNK = 50

RUN, EXPERIMENT = "run", "experiment"


class Wanted(NamedTuple):
    """What to look for. ``older_than`` is the least time since the deletion, in milliseconds.

    Without ids it is all that is deleted; with ids of either kind it is what they name.
    """

    older_than: int = 0
    run_ids: Optional[Sequence[str]] = None
    experiment_ids: Optional[Sequence[str]] = None


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
    """What goes, runs before experiments; ``kept`` has a sentence for each thing that is deleted and stays."""

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
    everything = wanted.run_ids is None and wanted.experiment_ids is None
    experiments = _experiments(store, wanted, before, everything, plan.kept)
    of_experiments = [info for each in experiments for info in store.list_run_infos(each.experiment_id)]
    runs = {info.run_id: info for info in of_experiments}
    for info in _runs(store, wanted, before, everything, plan.kept):
        runs.setdefault(info.run_id, info)
    for info in runs.values():
        plan.items.append(Item(RUN, info.run_id, info.experiment_id, info.run_name or "", info.artifact_uri))
    plan.items.extend(Item(EXPERIMENT, each.experiment_id, each.experiment_id, each.name) for each in experiments)
    return plan


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
        if experiment.lifecycle_stage != DELETED:
            raise InvalidParameterValue(f"Experiment {experiment_id} is not deleted; only deleted ones can be removed.")
        if not _is_old(experiment, before):
            raise InvalidParameterValue(f"Experiment {experiment_id} was deleted more recently than that.")
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
    page, cursor = store.search_experiments(DELETED_ONLY, None, (), 1000)
    while True:
        yield from page
        if cursor is None:
            return
        page, cursor = store.search_experiments(DELETED_ONLY, None, (), 1000, cursor)


def _is_old(experiment: Experiment, before: Optional[int]) -> bool:
    """As MLflow: the last change of a deleted experiment is its deletion; one without a time is of no known age."""
    return before is None or (experiment.last_update_time is not None and experiment.last_update_time <= before)


def _runs(store: Reads, wanted: Wanted, before: Optional[int], everything: bool, kept: List[str]) -> List[RunInfo]:
    """The runs to go, apart from those that go with their experiment."""
    if everything:
        return store.list_deleted_runs(before)
    found: List[RunInfo] = []
    old = {info.run_id for info in store.list_deleted_runs(before)} if wanted.run_ids and before is not None else None
    for run_id in dict.fromkeys(wanted.run_ids or ()):
        info = store.get_run_info(run_id) if is_id(run_id) else None
        if info is None:
            raise ResourceDoesNotExist(f"There is no run with the id {shown(run_id)}.")
        if info.lifecycle_stage != DELETED:
            raise InvalidParameterValue(f"Run {run_id} is not deleted; only deleted ones can be removed.")
        if old is not None and run_id not in old:
            raise InvalidParameterValue(f"Run {run_id} was deleted more recently than that, or it is not known when.")
        found.append(info)
    return found


# -- measuring --------------------------------------------------------------------------------------------------------


def measure(plan: Plan, artifacts: Artifacts) -> Plan:
    """The plan with the number and size of the artifacts. Those that are out of reach are marked, not counted."""
    return plan._replace(items=[_measured(item, artifacts) if item.location else item for item in plan.items])


def _measured(item: Item, artifacts: Artifacts) -> Item:
    if not _is_own(item):
        return item._replace(out_of_reach=f"{item.location} is not a place of its own, so it is left alone")
    try:
        files, size = artifacts.measure(item.location)
    except (TrackdError, OSError) as error:
        return item._replace(out_of_reach=str(error))
    return item._replace(files=files, size=size)


def _is_own(item: Item) -> bool:
    """Whether a location is one of this run alone: MLflow gives every run ``.../<run id>/artifacts``.

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
    info = tx.get_run_info(item.id)
    if info is None:
        return "is gone already"
    if info.lifecycle_stage != DELETED and not goes_too:
        return "stays: it was restored meanwhile"
    # Behind a link, it goes with the experiment: then the link is what is removed.
    return None if goes_too else tx.obstacle(item.experiment_id, item.id)


def remove(store: Store, artifacts: Artifacts, plan: Plan, say: Callable[[str], object] = lambda line: None) -> Outcome:
    """Remove what is planned; ``say`` gets a line for each thing that is gone.

    What was restored since it was planned stays. So does what cannot be removed, with the reason; the rest goes on.
    """
    outcome = Outcome([], [])
    with _claimed(store, plan, outcome.kept) as items:
        runs = [item for item in items if item.kind == RUN]
        for start in range(0, len(runs), CHUNK):
            _remove_runs(store, artifacts, runs[start : start + CHUNK], outcome, say)
        for item in items:
            if item.kind == EXPERIMENT:
                _remove_experiment(store, item, outcome, say)
    return outcome


def _remove_runs(
    store: Store, artifacts: Artifacts, items: Sequence[Item], outcome: Outcome, say: Callable[[str], object]
) -> None:
    gone = []
    for item in items:
        why = _remove_artifacts(item, artifacts)
        if why:
            outcome.kept.append(f"{item.kind} {item.id} stays, its artifacts could not be removed: {why}")
        else:
            gone.append(item)
    with store.transaction() as tx:
        tx.drop_runs([item.id for item in gone if not tx.obstacle(item.experiment_id, item.id)])
    for item in gone:
        outcome.removed.append(item)
        say(f"{item.kind} {item.id} is gone")


def _remove_artifacts(item: Item, artifacts: Artifacts) -> str:
    """Why the artifacts could not be removed; empty if they are gone, or never were in reach."""
    if not item.location or item.out_of_reach:
        return ""
    try:
        artifacts.remove(item.location)
    except (TrackdError, OSError) as error:
        return str(error)
    return ""


def _remove_experiment(store: Store, item: Item, outcome: Outcome, say: Callable[[str], object]) -> None:
    """Remove an experiment, unless one of its runs had to stay."""
    gone = {each.id for each in outcome.removed if each.kind == RUN}
    with store.transaction() as tx:
        left = [info.run_id for info in tx.list_run_infos(item.id) if info.run_id not in gone]
        if not left:
            tx.drop_experiment(item.id)
    if left:
        outcome.kept.append(f"experiment {item.id} stays: its run {left[0]} is still there")
    else:
        outcome.removed.append(item)
        say(f"experiment {item.id} is gone")
