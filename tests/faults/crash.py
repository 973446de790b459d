"""Does one write on a file store, with the process ended, or the disk full, at the N-th change of a file.

``python -m tests.faults.crash ROOT WRITE N`` prints ``done`` if the write was acknowledged. N counts calls that change
files; the process ends before the N-th (``end``: N of the write; ``open``: N of the opening, which finishes what an
earlier process left). ``count_changes`` is used in-process to make calls fail instead.
"""

import os
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List

from trackd.entities import (
    ACTIVE,
    DELETED,
    LoggedModelInfo,
    Metric,
    ModelVersion,
    Param,
    RegisteredModel,
    RunInfo,
    Tag,
)
from trackd.store.base import Transaction
from trackd.store.file.store import FileStore

EXPERIMENT, RUN, NEW_RUN = "0", "a" * 32, "b" * 32
MODEL, NEW_MODEL = "m-" + "c" * 32, "m-" + "d" * 32
#: What changes files. (SQLite does its own, and has its own answer to crashes.)
CALLS = "mkdir open write utime replace rename unlink remove rmdir truncate ftruncate link symlink".split()


@contextmanager
def count_changes(at_change: Callable[[int, str], None]) -> Iterator[List[str]]:
    """Call ``at_change(number, name)`` before each change of a file in this thread; yields the names so far."""
    seen: List[str] = []
    thread = threading.get_ident()
    originals = {name: getattr(os, name) for name in CALLS if hasattr(os, name)}

    def counted(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **more: Any) -> Any:
            changes = name != "open" or arguments[1] & os.O_CREAT
            if threading.get_ident() == thread and changes:
                seen.append(name)
                at_change(len(seen) - 1, name)
            return original(*arguments, **more)

        return call

    supported = set(os.supports_fd)
    for name, original in originals.items():
        replacement = counted(name, original)
        if original in supported:
            os.supports_fd.add(replacement)
        setattr(os, name, replacement)
    try:
        yield seen
    finally:
        os.supports_fd.clear()
        os.supports_fd.update(supported)
        for name, original in originals.items():
            setattr(os, name, original)


def run_info(run_id: str, **changes: Any) -> RunInfo:
    """An active run; ``changes`` are other fields."""
    uri = f"mlflow-artifacts:/0/{run_id}/artifacts"
    info = RunInfo(run_id, EXPERIMENT, "a run", "me", "RUNNING", 1700000000000, None, uri, ACTIVE)
    return info._replace(**changes)


def model_info(model_id: str, **changes: Any) -> LoggedModelInfo:
    """A pending logged model; ``changes`` are other fields."""
    uri = f"mlflow-artifacts:/0/models/{model_id}/artifacts"
    time = 1700000000000
    return LoggedModelInfo(model_id, EXPERIMENT, "a model", uri, time, time, 1, ACTIVE, "", RUN)._replace(**changes)


def prepare(store: FileStore) -> None:
    """The state before each of ``WRITES``: one run with a few of everything, and a second experiment."""
    with store.transaction() as tx:
        tx.add_run(run_info(RUN), [Tag("mlflow.runName", "a run"), Tag("t", "old"), Tag("gone", "x")])
    with store.transaction() as tx:
        tx.add_metrics(RUN, [Metric("m", float(i), 1700000000000 + i, i) for i in range(3)])
        tx.add_params(RUN, [Param("p", "1")])
        tx.add_logged_model(model_info(MODEL), [Param("p", "1")], [Tag("t", "old"), Tag("gone", "x")])
        tx.add_metrics(RUN, [Metric("m", 0.25, 1700000000000, 7, MODEL)])
        tx.add_experiment("another one", None, [], 1700000000000, "mlflow-artifacts:")
    with store.transaction() as tx:
        add_model(tx, "iris", 1)
        tx.put_alias("iris", "best", 1)


def add_model(tx: Transaction, name: str, time: int) -> None:
    """A registered model with tags and two versions."""
    tx.add_registered_model(RegisteredModel(name, time, time, str(time), [Tag("a", "1"), Tag("deep/t", "2")]))
    for number in (1, 2):
        tx.add_model_version(model_version(name, number, time))


def model_version(name: str, number: int, time: int) -> ModelVersion:
    """A version with tags."""
    return ModelVersion(
        name, number, time, time, str(time), None, "None", "s3://b/m", "s3://b/m", "", "", "READY", None,
        [Tag("k", str(time)), Tag("deep/k", "")],
    )


def create_version(tx: Transaction) -> None:
    """As model-versions/create does."""
    assert tx.touch_registered_model("iris", 1700000000000) and tx.next_model_version("iris") == 3
    tx.add_model_version(model_version("iris", 3, 1700000000000))


def rename_model(tx: Transaction) -> None:
    """As registered-models/rename does."""
    tx.rename_registered_model("iris", "wine%", 1700000001000)


def drop_model(tx: Transaction) -> None:
    """As registered-models/delete does."""
    tx.drop_registered_model("iris")


def use_names_again(store: FileStore) -> None:
    """Several transactions after which a name means another model than before, twice."""

    def rename(name: str, new_name: str, time: int) -> None:
        with store.transaction() as tx:
            tx.put_registered_model_tags(name, [Tag("before", str(time))])
        with store.transaction() as tx:
            tx.rename_registered_model(name, new_name, time)

    rename("iris", "old", 10)
    for time in (20, 30):
        with store.transaction() as tx:
            add_model(tx, "iris", time)
        with store.transaction() as tx:
            tx.add_model_version(model_version("iris", 3, time))
            tx.put_model_version_tags("iris", 1, [Tag("only", str(time))])
        if time == 20:
            with store.transaction() as tx:
                tx.drop_registered_model("iris")
    rename("iris", "older", 40)
    with store.transaction() as tx:
        add_model(tx, "iris", 50)


def log_batch(tx: Transaction) -> None:
    """New and old keys of every kind, in new and old folders, and a new name."""
    points = [Metric(key, i + 0.5, 1700000001000 + i, i) for i in range(3) for key in ("m", "new", "deep/er/key")]
    tx.add_metrics(RUN, points)
    tx.add_params(RUN, [Param("q", "2\n"), Param("deep/p", "ünï")])
    tx.put_tags(RUN, [Tag("t", "new"), Tag("deep/t", ""), Tag("mlflow.runName", "renamed")])
    tx.put_run_info(run_info(RUN, run_name="renamed"))


def create_run(tx: Transaction) -> None:
    """A run with tags."""
    tx.add_run(run_info(NEW_RUN), [Tag("mlflow.runName", "a run"), Tag("mlflow.user", "me"), Tag("deep/t", "1")])


def delete_run(tx: Transaction) -> None:
    """As runs/delete does."""
    tx.put_run_info(run_info(RUN, lifecycle_stage=DELETED), 1700000002000)


def delete_tag(tx: Transaction) -> None:
    """As runs/delete-tag does."""
    assert tx.drop_tag(RUN, "gone")


def create_experiment(tx: Transaction) -> None:
    """An experiment with tags."""
    tx.add_experiment("another: one", None, [Tag("a", "b"), Tag("deep/t", "1")], 1700000003000, "mlflow-artifacts:")


def delete_experiment(tx: Transaction) -> None:
    """As experiments/delete does: the folder moves, its runs become deleted."""
    experiment = tx.get_experiment(EXPERIMENT)
    assert experiment is not None
    tx.put_experiment(experiment._replace(lifecycle_stage=DELETED, last_update_time=1700000004000))
    tx.put_runs_lifecycle(EXPERIMENT, DELETED, 1700000004000)


def log_to_model(tx: Transaction) -> None:
    """Points on a run and on a logged model, old and new params, tags and files of it, and its status."""
    points = [Metric(key, i + 0.5, 1700000001000 + i, i, MODEL, "d", "1") for i in range(3) for key in ("m", "deep/er")]
    tx.add_metrics(RUN, points)
    tx.add_logged_model_params(MODEL, [Param("q", "2"), Param("deep/p", "ünï")])
    tx.put_logged_model_tags(MODEL, [Tag("t", "new"), Tag("deep/t", "")])
    assert tx.drop_logged_model_tag(MODEL, "gone")
    tx.put_logged_model_info(model_info(MODEL, status=2, last_updated_timestamp_ms=1700000002000))


def create_logged_model(tx: Transaction) -> None:
    """A logged model with params and tags."""
    tx.add_logged_model(model_info(NEW_MODEL), [Param("p", "1"), Param("deep/p", "2")], [Tag("t", "x")])


def drop_run(tx: Transaction) -> None:
    """As the removal of garbage does."""
    tx.drop_runs([RUN])


def drop_experiment(tx: Transaction) -> None:
    """As the removal of garbage does."""
    tx.drop_experiment(EXPERIMENT)


def delete_and_restore(store: FileStore) -> None:
    """Several transactions whose folder moves, and writes before, between and after the moves."""
    for stage, time in ((DELETED, 1700000005000), (ACTIVE, 1700000006000), (DELETED, 1700000007000)):
        with store.transaction() as tx:
            tx.add_metrics(RUN, [Metric("m", 1.0, time)])
            tx.put_tags(RUN, [Tag(stage, str(time))])
        with store.transaction() as tx:
            experiment = tx.get_experiment(EXPERIMENT)
            assert experiment is not None
            tx.put_experiment(experiment._replace(lifecycle_stage=stage, last_update_time=time))
            tx.put_runs_lifecycle(EXPERIMENT, stage, time if stage == DELETED else None)
    with store.transaction() as tx:
        tx.add_experiment("short-lived", None, [], 1700000008000, "mlflow-artifacts:")
    with store.transaction() as tx:
        experiment = tx.get_experiment_by_name("short-lived")
        assert experiment is not None
        tx.put_experiment(experiment._replace(lifecycle_stage=DELETED, last_update_time=1700000009000))


WRITES: Dict[str, Callable[[Transaction], None]] = {
    each.__name__: each
    for each in (
        log_batch, create_run, delete_run, delete_tag, create_experiment, delete_experiment, drop_run, drop_experiment,
        log_to_model, create_logged_model, create_version, rename_model, drop_model,
    )
}


def main(root: str, write: str, at: str, number: str) -> None:
    """See the module's docstring."""

    def end(count: int, name: str) -> None:
        if count == int(number):
            os._exit(9)

    if at == "open":
        with count_changes(end):
            FileStore(root, sync="off")
        os._exit(0)
    store = FileStore(root, sync="off")
    if at == "prepare":
        prepare(store)
        store.close()
        return
    with count_changes(end):
        if write == "delete_and_restore":
            delete_and_restore(store)
        elif write == "use_names_again":
            use_names_again(store)
        else:
            with store.transaction() as tx:
                WRITES[write](tx)
    os.write(1, b"done")
    os._exit(0)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))
    main(*sys.argv[1:])
