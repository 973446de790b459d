"""Copying one run: what is missing at the target is written, and what is there is left."""

from typing import Iterator, List, Set, Tuple

from trackd.entities import DELETED, Metric, Run, Tag
from trackd.transfer.counts import Counts
from trackd.transfer.sides import Additions, Source, Target, pairs, point

#: A run in one of these states may still grow; its histories are compared whenever a copy is repeated.
_GROWING = ("RUNNING", "SCHEDULED")


def copy_run(
    source: Source, target: Target, experiment_id: str, run: Run, counts: Counts, all_points: bool = False
) -> Tuple[Run, Run]:
    """Copy a run, but for its links to logged models; as it is at the source, and what the target knew of it.

    Raises ``Refused`` if it cannot be kept there at all.

    Its end (status, end time, deletion) comes last: a copy that broke off looks like a run that goes on, and is looked
    into when the copy is repeated. One that has ended and says the same as its original is complete, unless somebody
    has since logged points that are not its last; ``all_points`` looks into it for them.
    """
    there = target.find_run(experiment_id, run)
    # Who deleted the copy does not want it back.
    if there is not None and (
        there.info.lifecycle_stage == DELETED or not all_points and _is_complete(run, there)
    ):
        _count_skipped(run, counts)
        return run, there
    run = source.whole(run)
    new = there is None
    if there is None:
        there = Run(target.add_run(experiment_id, run))
    for additions in _missing(source, target, run, there, new, counts):
        target.add_to_run(there.info.run_id, additions)
    target.end_run(there.info, run.info)
    counts.note("runs", written=int(new), skipped=int(not new))
    return run, there


def _is_complete(run: Run, there: Run) -> bool:
    """Whether all of a run that has ended is there."""
    if run.info.status in _GROWING:
        return False
    one, other = run.info, there.info
    same_info = (one.run_name, one.status, one.end_time or 0, one.lifecycle_stage) == (
        other.run_name, other.status, other.end_time or 0, other.lifecycle_stage
    )
    return (
        same_info
        and {m.key: point(m) for m in run.metrics}.items() <= {m.key: point(m) for m in there.metrics}.items()
        and dict(run.params).items() <= dict(there.params).items()
        and pairs(run.tags).items() <= pairs(there.tags).items()
        and _inputs(run) <= _inputs(there)
    )


def _inputs(run: Run) -> Set[Tuple[str, str]]:
    return {(each.dataset.name, each.dataset.digest) for each in run.dataset_inputs}


def _count_skipped(run: Run, counts: Counts) -> None:
    """A run that is there; its points are not read, and do not count."""
    counts.note("runs", skipped=1)
    counts.note("params", skipped=len(run.params))
    counts.note("tags", skipped=len(pairs(run.tags)))
    counts.note("inputs", skipped=len(run.dataset_inputs))


def _missing(
    source: Source, target: Target, run: Run, there: Run, new: bool, counts: Counts
) -> Iterator[Additions]:
    """What the target lacks, in pieces that it takes."""
    yield _missing_values(run, there, counts)
    batch: List[Metric] = []
    for metric in run.metrics:
        have: Set[Tuple[int, int, str]] = set()
        if not new:
            for part in target.history(there.info.run_id, metric.key):
                have.update(map(point, part))
        before = len(have)
        for part in source.history(run.info.run_id, metric.key):
            for each in part:
                mark = point(each)
                if mark in have:
                    continue
                have.add(mark)
                batch.append(each._replace(model_id=None))
                if len(batch) >= target.batch:
                    yield Additions(metrics=batch)
                    batch = []
        counts.note("points", written=len(have) - before, skipped=before)
    if batch:
        yield Additions(metrics=batch)


def _missing_values(run: Run, there: Run, counts: Counts) -> Additions:
    """Params, tags and datasets that are missing. Tags of the source win, params are written once."""
    params, tags = dict(there.params), pairs(there.tags)
    new_params = [param for param in run.params if param.key not in params]
    for param in run.params:
        if params.get(param.key, param.value) != param.value:
            counts.refused.append(
                f"run {run.info.run_id}: its param {param.key!r} has another value at the target, and params are "
                "written once"
            )
    new_tags = [Tag(key, value) for key, value in pairs(run.tags).items() if tags.get(key) != value]
    have = _inputs(there)
    datasets = [each for each in run.dataset_inputs if (each.dataset.name, each.dataset.digest) not in have]
    _note(counts, "params", len(run.params), len(new_params))
    _note(counts, "tags", len(pairs(run.tags)), len(new_tags))
    _note(counts, "inputs", len(run.dataset_inputs), len(datasets))
    return Additions((), new_params, new_tags, datasets)


def _note(counts: Counts, kind: str, read: int, written: int) -> None:
    counts.note(kind, written=written, skipped=read - written)
