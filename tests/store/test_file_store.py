"""The file store: what it writes, what it survives, what it notices."""

import errno
import math
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Callable, Iterator, List

import pytest

from trackd.entities import (
    ALL,
    Dataset,
    DatasetInput,
    Metric,
    ModelInput,
    ModelOutput,
    Param,
    RunInfo,
    Tag,
)
from trackd.errors import InvalidParameterValue, PermissionDenied, StorageFull, TrackdError
from trackd.store import open_store
from trackd.store.base import Problem, Store
from trackd.store.file import disk, watch
from trackd.store.file.metafile import dump, load
from trackd.store.file.store import FileStore

NOW = 1_700_000_000_000


def run_info(run_id: str, experiment_id: str = "0", **changes: Any) -> RunInfo:
    uri = f"mlflow-artifacts:/{experiment_id}/{run_id}/artifacts"
    info = RunInfo(run_id, experiment_id, "a name", "me", "RUNNING", NOW, None, uri, "active")
    return info._replace(**changes)


def add_run(store: Store, run_id: str, experiment_id: str = "0") -> None:
    with store.transaction() as tx:
        tx.add_run(run_info(run_id, experiment_id), [Tag("mlflow.runName", "a name"), Tag("a/b", "c")])


def everything(store: Store) -> List[Any]:
    """All runs of all experiments, with their histories in place of the current points."""
    experiments, _ = store.search_experiments(ALL, None, (), 1000)
    runs, _ = store.search_runs([one.experiment_id for one in experiments], ALL, None, (), 1000)
    whole: List[Any] = []
    for run in sorted(runs, key=lambda run: run.info.run_id):
        points = [point for metric in run.metrics for point in store.list_metric_history(run.info.run_id, metric.key)]
        shown = [(point.key, repr(point.value), point.timestamp, point.step) for point in points]  # NaN equals nothing
        whole.append((run._replace(metrics=()), shown))
    return whole


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "mlruns"


@pytest.fixture
def store(root: Path) -> Iterator[FileStore]:
    store = open_store(str(root))
    assert isinstance(store, FileStore)
    yield store
    store.close()
    assert problems(root) == []


def problems(root: Path) -> List[Problem]:
    """What ``trackd check`` says of a folder that nobody serves."""
    reader = open_store(str(root), read_only=True)
    try:
        return reader.check()
    finally:
        reader.close()


def test_a_new_folder_has_the_default_experiment_and_the_trash(store: FileStore, root: Path) -> None:
    experiment = store.get_experiment("0")
    assert experiment is not None and experiment.name == "Default"
    assert load((root / "0" / "meta.yaml").read_bytes())["name"] == "Default"
    assert (root / ".trash").is_dir()


def test_a_run_lies_where_mlflow_looks_for_it(store: FileStore, root: Path) -> None:
    add_run(store, "a" * 32)
    with store.transaction() as tx:
        tx.add_params("a" * 32, [Param("p/q", "1\n2")])
        tx.add_metrics("a" * 32, [Metric("m", 0.1, NOW, -3), Metric("m", math.nan, NOW + 1, 4)])
    folder = root / "0" / ("a" * 32)
    assert set(os.listdir(folder)) == {"artifacts", "meta.yaml", "metrics", "params", "tags"}
    assert (folder / "params/p/q").read_bytes() == b"1\n2"
    assert (folder / "metrics/m").read_text() == f"{NOW} 0.1 -3\n{NOW + 1} nan 4\n"
    assert (folder / "tags/a/b").read_text() == "c"
    meta = load((folder / "meta.yaml").read_bytes())
    assert meta["run_id"] == meta["run_uuid"] == "a" * 32
    assert (meta["status"], meta["source_type"], meta["tags"], meta["end_time"]) == (1, 4, [], None)


def test_all_that_was_written_reads_the_same_from_a_new_index(store: FileStore, root: Path) -> None:
    add_run(store, "a" * 32)
    with store.transaction() as tx:
        experiment_id = tx.add_experiment("é: 'x'", None, [Tag("k", "v")], NOW, "mlflow-artifacts:")
    add_run(store, "b" * 32, experiment_id)
    with store.transaction() as tx:
        tx.add_metrics("b" * 32, [Metric("m", float(i), NOW + i, i) for i in range(5)])
        tx.add_inputs("b" * 32, [DatasetInput(Dataset("d", "1", "code", "s", None, "p"), [Tag("c", "t")])], [])
        tx.add_inputs("b" * 32, [], [ModelInput("m-1")])
        tx.add_outputs("b" * 32, [ModelOutput("m-2", 7)])
        tx.put_run_info(run_info("b" * 32, experiment_id, status="FINISHED", end_time=NOW + 9))
    before, experiment = everything(store), store.get_experiment(experiment_id)
    store.close()
    for name in os.listdir(root):
        if name.startswith(".trackd"):
            os.unlink(root / name)
    again = open_store(str(root))
    try:
        assert everything(again) == before
        assert again.get_experiment(experiment_id) == experiment
    finally:
        again.close()


def test_deleting_an_experiment_moves_it_to_the_trash_and_back(store: FileStore, root: Path) -> None:
    with store.transaction() as tx:
        experiment_id = tx.add_experiment("e", None, (), NOW, "mlflow-artifacts:")
    add_run(store, "a" * 32, experiment_id)
    with store.transaction() as tx:
        tx.add_metrics("a" * 32, [Metric("m", 1.0, NOW, 0)])
    for stage, folder in (("deleted", root / ".trash" / experiment_id), ("active", root / experiment_id)):
        with store.transaction() as tx:
            experiment = tx.get_experiment(experiment_id)
            assert experiment is not None
            tx.put_runs_lifecycle(experiment_id, stage, NOW if stage == "deleted" else None)
            tx.put_experiment(experiment._replace(lifecycle_stage=stage))
        assert load((folder / "meta.yaml").read_bytes())["lifecycle_stage"] == stage
        meta = load((folder / ("a" * 32) / "meta.yaml").read_bytes())
        assert (meta["lifecycle_stage"], meta.get("deleted_time")) == (stage, NOW if stage == "deleted" else None)
        assert len(store.list_metric_history("a" * 32, "m")) == 1


def test_experiment_ids_count_up_beside_those_that_mlflow_draws_and_are_never_used_again(
    store: FileStore, root: Path
) -> None:
    drawn = "738089888091856756"
    write_experiment(root, drawn)
    store.refresh({drawn})
    with store.transaction() as tx:
        first = tx.add_experiment("one", None, (), NOW, "x:")
    shutil.rmtree(root / first)
    store.refresh({first})
    with store.transaction() as tx:
        second = tx.add_experiment("two", None, (), NOW, "x:")
    assert (first, second) == ("1", "2")
    assert store.get_experiment(drawn) is not None


def write_experiment(root: Path, experiment_id: str, **more: object) -> Path:
    folder = root / experiment_id
    folder.mkdir(parents=True)
    values = {
        "artifact_location": "x:/" + experiment_id,
        "creation_time": NOW,
        "experiment_id": experiment_id,
        "last_update_time": NOW,
        "lifecycle_stage": "active",
        "name": "experiment " + experiment_id,
    }
    (folder / "meta.yaml").write_bytes(dump({**values, **more}))
    return folder


def test_keys_of_a_meta_yaml_that_are_not_ours_survive_a_rewrite(store: FileStore, root: Path) -> None:
    folder = write_experiment(root, "5", workspace="default", trace_location=None)
    store.refresh({"5"})
    with store.transaction() as tx:
        experiment = tx.get_experiment("5")
        assert experiment is not None
        tx.put_experiment(experiment._replace(name="other"))
    meta = load((folder / "meta.yaml").read_bytes())
    assert (meta["name"], meta["workspace"], meta["trace_location"]) == ("other", "default", None)


def test_equal_points_are_listed_once_and_by_time_step_and_value(store: FileStore) -> None:
    add_run(store, "a" * 32)
    points = [Metric("m", 2.0, 5, 1), Metric("m", 1.0, 5, 1), Metric("m", 2.0, 5, 1), Metric("m", 9.0, 4, 2)]
    with store.transaction() as tx:
        tx.add_metrics("a" * 32, points + [Metric("m", math.nan, 6, 0)] * 2)
    history = store.list_metric_history("a" * 32, "m")
    assert [repr(point.value) for point in history] == ["9.0", "1.0", "2.0", "nan"]
    assert store.list_metric_history("a" * 32, "m", 1, 2) == history[1:3]
    run = store.get_run("a" * 32)
    assert run is not None and run.metrics[0][:4] == ("m", 9.0, 4, 2)


def test_a_key_cannot_be_a_file_and_a_folder(store: FileStore) -> None:
    add_run(store, "a" * 32)
    for first, second in (("x", "x/y"), ("z/y/w", "z/y")):
        with store.transaction() as tx:
            tx.add_params("a" * 32, [Param(first, "1")])
        with pytest.raises(InvalidParameterValue), store.transaction() as tx:
            tx.add_params("a" * 32, [Param("other" + first, "1"), Param(second, "1")])
        assert store.get_params("a" * 32, ["other" + first, second]) == {}


@pytest.mark.parametrize("key", ["../x", "a/../b", "/etc/x", "a\0b", "a//b", ".", "é" * 200])
def test_no_key_names_a_file_outside_of_its_folder(store: FileStore, key: str) -> None:
    add_run(store, "a" * 32)
    with pytest.raises(InvalidParameterValue), store.transaction() as tx:
        tx.put_tags("a" * 32, [Tag(key, "v")])


def test_one_dataset_in_two_experiments_is_an_input_of_each_once(store: FileStore, root: Path) -> None:
    with store.transaction() as tx:
        other = tx.add_experiment("e", None, (), NOW, "mlflow-artifacts:")
    dataset = DatasetInput(Dataset("d", "1", "code", "s"), [Tag("mlflow.data.context", "train")])
    for run_id, experiment_id in (("a" * 32, "0"), ("b" * 32, other)):
        add_run(store, run_id, experiment_id)
        with store.transaction() as tx:
            tx.add_inputs(run_id, [dataset], [])
    before = everything(store)
    assert [run.dataset_inputs for run, _ in before] == [[dataset], [dataset]]
    assert sorted(store.list_datasets(["0", other], 9)) == [(key, "d", "1", "train") for key in ("0", other)]
    store.close()
    (root / ".trackd-index.db").unlink()
    again = open_store(str(root))
    assert everything(again) == before
    again.close()


def test_an_exception_in_a_transaction_undoes_it_and_no_other(store: FileStore) -> None:
    add_run(store, "a" * 32)
    failures: List[int] = []

    def work(number: int) -> None:
        for turn in range(20):
            try:
                with store.transaction() as tx:
                    tx.add_metrics("a" * 32, [Metric(f"m{number}", turn, turn, turn)])
                    if turn % 3 == 0:
                        raise RuntimeError("no")
            except RuntimeError:
                failures.append(turn)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(failures) == 8 * 7
    for number in range(8):
        steps = [point.step for point in store.list_metric_history("a" * 32, f"m{number}")]
        assert steps == [turn for turn in range(20) if turn % 3]


def test_threads_that_write_at_once_lose_nothing(store: FileStore, root: Path) -> None:
    add_run(store, "a" * 32)

    def work(number: int) -> None:
        for turn in range(50):
            with store.transaction() as tx:
                tx.add_metrics("a" * 32, [Metric("m", number, turn, turn), Metric(f"m{number}", turn, turn, turn)])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store.list_metric_history("a" * 32, "m")) == 800
    assert len((root / "0" / ("a" * 32) / "metrics/m").read_text().splitlines()) == 800


_CRASH = """
import os, sys
sys.path.insert(0, {source!r})
from trackd.store import open_store
from trackd.store.file import disk, watch
from tests.store.test_file_store import scenario
left = int(sys.argv[2])
def dying(name):
    real = getattr(os, name)
    def call(*arguments, **keywords):
        global left
        if left == 0:
            os._exit(9)
        left -= 1
        return real(*arguments, **keywords)
    return call
store = open_store(sys.argv[1])
for name in ("mkdir", "open", "write", "utime", "replace", "rename", "unlink"):
    setattr(disk.os, name, dying(name))
scenario(store, sys.argv[3])
print("done", left)
os._exit(0)
"""


def scenario(store: Store, name: str) -> None:
    """One acknowledged-or-not transaction on a store that holds run aaa... in experiment 1."""
    with store.transaction() as tx:
        if name == "batch":
            tx.add_params("a" * 32, [Param("p/x", "1"), Param("q", "2")])
            tx.add_metrics("a" * 32, [Metric(f"m{i}", i, NOW, i) for i in range(4)] + [Metric("old", 2.0, NOW, 2)])
            tx.put_tags("a" * 32, [Tag("a/b", "changed")])
        elif name == "create":
            tx.add_run(run_info("b" * 32, "1"), [Tag("mlflow.runName", "n")])
        else:
            experiment = tx.get_experiment("1")
            assert experiment is not None
            tx.put_runs_lifecycle("1", "deleted", NOW)
            tx.put_experiment(experiment._replace(lifecycle_stage="deleted"))


@pytest.mark.parametrize("name", ["batch", "create", "delete"])
def test_a_crash_between_any_two_file_operations_leaves_all_or_nothing(tmp_path: Path, name: str) -> None:
    source = str(Path(__file__).resolve().parents[2])
    start = tmp_path / "start"
    store = open_store(str(start))
    with store.transaction() as tx:
        tx.add_experiment("e", None, (), NOW, "mlflow-artifacts:")
    add_run(store, "a" * 32, "1")
    with store.transaction() as tx:
        tx.add_metrics("a" * 32, [Metric("old", 1.0, NOW, 1)])
    nothing = everything(store)
    scenario(store, name)
    whole = everything(store)
    store.close()
    outcomes = set()
    for left in (0, 1, 2, 4, 7, 11, 17, 60):
        root = tmp_path / f"{left}"
        fresh = open_store(str(root))
        with fresh.transaction() as tx:
            tx.add_experiment("e", None, (), NOW, "mlflow-artifacts:")
        add_run(fresh, "a" * 32, "1")
        with fresh.transaction() as tx:
            tx.add_metrics("a" * 32, [Metric("old", 1.0, NOW, 1)])
        fresh.close()
        command = [sys.executable, "-c", _CRASH.format(source=source), str(root), str(left), name]
        done = subprocess.run(command, capture_output=True, text=True, cwd=source)
        assert done.returncode in (0, 9), done.stderr
        again = open_store(str(root))
        found = everything(again)
        again.close()
        assert found in (nothing, whole)
        if done.returncode == 0:
            assert found == whole
        outcomes.add(done.returncode)
        assert problems(root) == []
    assert outcomes == {0, 9}


def failing(monkeypatch: pytest.MonkeyPatch, number: int, after: int, name: str = "write") -> None:
    """Let the given system call fail with ``number`` from its ``after``th use on."""
    real = getattr(os, name)
    left = [after]

    def call(*arguments: object, **keywords: object) -> object:
        if left[0] == 0:
            raise OSError(number, os.strerror(number), "there")
        left[0] -= 1
        return real(*arguments, **keywords)

    monkeypatch.setattr(disk.os, name, call)


@pytest.mark.parametrize("number, kind", [(errno.ENOSPC, StorageFull), (errno.EACCES, PermissionDenied)])
@pytest.mark.parametrize("after", [0, 1])
def test_a_write_for_which_there_is_no_room_leaves_nothing(
    store: FileStore, monkeypatch: pytest.MonkeyPatch, number: int, kind: Callable[..., TrackdError], after: int
) -> None:
    with store.transaction() as tx:
        tx.add_experiment("e", None, (), NOW, "mlflow-artifacts:")
    add_run(store, "a" * 32, "1")
    with store.transaction() as tx:
        tx.add_metrics("a" * 32, [Metric("old", 1.0, NOW, 1)])
    before = everything(store)
    for name in ("batch", "create"):
        failing(monkeypatch, number, after)
        with pytest.raises(kind):  # type: ignore[call-overload]
            scenario(store, name)
        monkeypatch.undo()
        assert everything(store) == before
    scenario(store, "batch")
    assert [point.step for point in store.list_metric_history("a" * 32, "old")] == [1, 2]


def wait_for(condition: Callable[[], object], seconds: float = 10.0) -> None:
    """Poll until the condition holds; fail after ``seconds``."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.05)


def test_what_others_write_shows_without_a_restart(store: FileStore, root: Path) -> None:
    add_run(store, "a" * 32)
    folder = root / "0" / ("a" * 32)
    with store.transaction() as tx:
        tx.add_metrics("a" * 32, [Metric("m", 1.0, NOW, 1)])
    with open(folder / "metrics" / "m", "a") as file:
        file.write(f"{NOW} 5.0 2\n")
    (folder / "params" / "new").write_text("p")
    (folder / "tags" / "a" / "b").write_text("other")
    write_experiment(root, "7")
    shutil.copytree(folder, root / "7" / ("c" * 32))
    meta = load((folder / "meta.yaml").read_bytes())
    (root / "7" / ("c" * 32) / "meta.yaml").write_bytes(dump({**meta, "run_id": "c" * 32, "experiment_id": "7"}))

    wait_for(lambda: len(store.list_metric_history("a" * 32, "m")) == 2)
    wait_for(lambda: store.get_params("a" * 32, ["new"]) == {"new": "p"})
    wait_for(lambda: store.get_tags("a" * 32, ["a/b"]) == {"a/b": "other"})
    wait_for(lambda: store.get_run("c" * 32) is not None)
    shutil.rmtree(root / "7")
    wait_for(lambda: store.get_experiment("7") is None and store.get_run("c" * 32) is None)


def test_a_meta_yaml_that_is_just_being_written_hides_nothing(tmp_path: Path) -> None:
    lines: List[str] = []
    store = open_store(str(tmp_path / "mlruns"), log=lines.append)
    assert isinstance(store, FileStore)
    add_run(store, "a" * 32)
    metas = [tmp_path / "mlruns" / "0" / "meta.yaml", tmp_path / "mlruns" / "0" / ("a" * 32) / "meta.yaml"]
    texts = [meta.read_bytes() for meta in metas]
    for meta, text in zip(metas, texts):
        meta.write_bytes(text[:20])
    store.refresh({"0", "0/" + "a" * 32})
    assert store.get_run("a" * 32) is not None and store.get_experiment("0") is not None and lines == []
    for meta, text in zip(metas, texts):
        meta.write_bytes(text.replace(b"name: a name", b"name: b name"))
    wait_for(lambda: getattr(store.get_run_info("a" * 32), "run_name", "") == "b name")
    for meta in metas:
        meta.write_bytes(b"cut")
    wait_for(lambda: store.get_run("a" * 32) is None and store.get_experiment("0") is None)
    assert len(lines) == 2
    store.close()


def test_lines_that_others_append_meanwhile_are_neither_lost_nor_broken(store: FileStore, root: Path) -> None:
    add_run(store, "a" * 32)
    path = root / "0" / ("a" * 32) / "metrics" / "m"
    with store.transaction() as tx:
        tx.add_metrics("a" * 32, [Metric("m", 1.0, NOW, 1)])
    with open(path, "a") as file:
        file.write(f"{NOW} 2.0 2")  # no end of line: its writer died
    with store.transaction() as tx:
        tx.add_metrics("a" * 32, [Metric("m", 3.0, NOW, 3)])
    assert path.read_text() == f"{NOW} 1.0 1\n{NOW} 2.0 2\n{NOW} 3.0 3\n"
    assert [point.step for point in store.list_metric_history("a" * 32, "m")] == [1, 2, 3]


def test_damage_is_reported_with_its_path_and_hides_nothing_else(tmp_path: Path) -> None:
    root = tmp_path / "mlruns"
    store = open_store(str(root))
    for letter in "abcdefg":
        add_run(store, letter * 32)
        with store.transaction() as tx:
            tx.add_metrics(letter * 32, [Metric("m", 1.0, NOW, 1)])
            tx.add_params(letter * 32, [Param("p", "1")])
    store.close()
    runs = {letter: root / "0" / (letter * 32) for letter in "abcdefg"}
    (runs["a"] / "meta.yaml").write_bytes(b"")
    (runs["b"] / "meta.yaml").write_bytes(b"run_id: [\x00")
    (runs["c"] / "meta.yaml").unlink()
    (runs["d"] / "params" / "p").write_bytes(b"\xff\xfe")
    (runs["e"] / "metrics" / "m").write_text("1 2 3\nrubbish\n4 5")
    os.mkfifo(runs["f"] / "tags" / "pipe")
    os.symlink("/etc/hostname", runs["f"] / "params" / "link")
    (root / "no experiment").mkdir()
    (root / "9").mkdir()
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file() and ".trackd" not in path.name}
    lines: List[str] = []
    again = open_store(str(root), log=lines.append)
    served = {run.info.run_id[0] for run, _ in everything(again)}
    assert served == set("defg")
    assert again.get_params("d" * 32, ["p"]) == {}
    assert [point.value for point in again.list_metric_history("e" * 32, "m")] == [2.0]
    again.close()
    damaged = ["params/p", "metrics/m", "tags/pipe", "params/link", "no experiment", "9/meta.yaml"]
    for name in damaged + [letter * 32 for letter in "abc"]:
        assert any(name in line for line in lines), name
    assert {f"{problem.where}: {problem.what}" for problem in problems(root)} == set(lines)
    after = {path: path.read_bytes() for path in root.rglob("*") if path.is_file() and ".trackd" not in path.name}
    assert after == before


def test_a_second_server_is_told_who_has_the_folder(store: FileStore, root: Path) -> None:
    with pytest.raises(TrackdError, match=f"process {os.getpid()} on"):
        open_store(str(root))


def test_read_only_writes_nothing_into_the_folder(store: FileStore, root: Path, tmp_path: Path) -> None:
    add_run(store, "a" * 32)
    copy = tmp_path / "copy"
    shutil.copytree(root, copy, ignore=shutil.ignore_patterns(".trackd*"))
    before = {path: os.lstat(path).st_mtime_ns for path in copy.rglob("*")}
    reader = open_store(str(copy), read_only=True)
    assert reader.get_run("a" * 32) == store.get_run("a" * 32)
    with pytest.raises(PermissionDenied):
        reader.transaction()
    reader.close()
    assert {path: os.lstat(path).st_mtime_ns for path in copy.rglob("*")} == before


def test_a_damaged_index_is_made_anew(store: FileStore, root: Path) -> None:
    add_run(store, "a" * 32)
    before = everything(store)
    store.close()
    index = root / ".trackd-index.db"
    index.write_bytes(b"no database" * 1000)
    again = open_store(str(root))
    assert everything(again) == before
    again.close()
    with sqlite3.connect(index) as connection:
        connection.execute("UPDATE trackd_state SET value = '0' WHERE key = 'format'")
    connection.close()
    once_more = open_store(str(root))
    assert everything(once_more) == before
    once_more.close()


def after_power_loss(store: FileStore, root: Path, place: Path, text: str = "") -> Path:
    """A copy of the folder in which a point is in the index only, as the system writes files when it sees fit.

    ``text``: what the index holds in place of the changes to files.
    """
    add_run(store, "a" * 32)
    shutil.copytree(root, place, ignore=shutil.ignore_patterns(".trackd*"))
    with store.transaction() as tx:
        tx.add_metrics("a" * 32, [Metric("m", 0.5, NOW, 1)])
    with store.reading() as connection:
        copy = sqlite3.connect(place / ".trackd-index.db")
        connection.backup(copy)
    with copy:
        if text:
            copy.execute("UPDATE trackd_changes SET changes = ?", (text,))
    copy.close()
    return place


@pytest.mark.parametrize("reason", ["format", "root"])
def test_what_only_an_unusable_index_holds_is_not_lost_with_it(
    store: FileStore, root: Path, tmp_path: Path, reason: str
) -> None:
    place = after_power_loss(store, root, tmp_path / "copy")
    with sqlite3.connect(place / ".trackd-index.db") as connection:
        # The copy lies elsewhere: with its own place in the index, only the format makes it unusable.
        state = {"format": "4", "root": os.path.realpath(place)} if reason == "format" else {}
        connection.executemany("UPDATE trackd_state SET value = ? WHERE key = ?", [(b, a) for a, b in state.items()])
    connection.close()
    for _ in ("once", "and again"):
        again = open_store(str(place))
        assert [point.value for point in again.list_metric_history("a" * 32, "m")] == [0.5]
        again.close()
    assert (place / "0" / ("a" * 32) / "metrics" / "m").read_text() == f"{NOW} 0.5 1\n"
    assert problems(place) == []


@pytest.mark.parametrize("text", ['[["shrink", "0", "x"]]', "[[1, 2, 3, 4, 5, 6, 7]]", "none"])
def test_an_unusable_index_with_writes_of_another_kind_is_kept(
    store: FileStore, root: Path, tmp_path: Path, text: str
) -> None:
    place = after_power_loss(store, root, tmp_path / "copy", text)
    before = (place / ".trackd-index.db").read_bytes()
    with pytest.raises(TrackdError, match="another version of trackd"):
        open_store(str(place))
    assert (place / ".trackd-index.db").read_bytes() == before


def test_a_failed_write_does_not_let_the_next_be_forgotten_before_it_is_on_the_disk(
    store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_run(store, "a" * 32)
    store.watch.flush()
    failing(monkeypatch, errno.EACCES, 0)
    with pytest.raises(PermissionDenied):
        write_tag(store, "1")
    monkeypatch.undo()
    real = disk.sync_tree

    def late(root: str) -> None:
        real(root)
        write_tag(store, "2")

    monkeypatch.setattr(disk, "sync_tree", late)
    store.watch.flush()
    monkeypatch.undo()
    with store.reading() as connection:
        assert connection.execute("SELECT count(*) FROM trackd_changes").fetchone() == (1,)


def write_tag(store: FileStore, value: str) -> None:
    """Write a tag."""
    with store.transaction() as tx:
        tx.put_tags("a" * 32, [Tag("t", value)])


def test_files_that_a_power_loss_left_empty_are_filled_again(store: FileStore, root: Path, tmp_path: Path) -> None:
    place = after_power_loss(store, root, tmp_path / "copy")
    with store.transaction() as tx:
        tx.add_params("a" * 32, [Param("p", "1")])
        tx.put_tags("a" * 32, [Tag("t", "text")])
    whole = everything(store)
    (place / ".trackd-index.db").unlink()
    shutil.rmtree(place)
    shutil.copytree(root, place, ignore=shutil.ignore_patterns(".trackd*"))
    with store.reading() as connection:
        copy = sqlite3.connect(place / ".trackd-index.db")
        connection.backup(copy)
    copy.close()
    for name in ("params/p", "tags/t", "tags/a/b", "metrics/m", "meta.yaml"):
        file = place / "0" / ("a" * 32) / name
        time_of = file.stat().st_mtime_ns
        os.truncate(file, 0)
        os.utime(file, ns=(time_of, time_of))
    again = open_store(str(place))
    assert everything(again) == whole
    again.close()
    assert problems(place) == []


@pytest.mark.parametrize("moves", [["deleted"], ["deleted", "active"], ["deleted", "active", "deleted"]])
@pytest.mark.parametrize("moved", [False, True], ids=["nothing is on the disk", "moves are on the disk"])
def test_a_power_loss_after_an_experiment_was_deleted_or_restored_takes_nothing_that_was_logged_before(
    store: FileStore, root: Path, tmp_path: Path, moves: List[str], moved: bool
) -> None:
    place = tmp_path / "copy"
    with store.transaction() as tx:
        tx.add_experiment("e", None, (), NOW, "mlflow-artifacts:")
    for run_id, experiment_id in (("a" * 32, "0"), ("b" * 32, "1")):
        add_run(store, run_id, experiment_id)
    shutil.copytree(root, place, ignore=shutil.ignore_patterns(".trackd*"))
    for run_id in ("a" * 32, "b" * 32):
        with store.transaction() as tx:
            tx.add_metrics(run_id, [Metric("m", 0.5, NOW, 1)])
            tx.add_params(run_id, [Param("p", "1")])
    for stage in moves:
        with store.transaction() as tx:
            experiment = tx.get_experiment("1")
            assert experiment is not None
            tx.put_experiment(experiment._replace(lifecycle_stage=stage))
    whole = everything(store)
    with store.reading() as connection:
        copy = sqlite3.connect(place / ".trackd-index.db")
        connection.backup(copy)
    copy.close()
    if moved and moves[-1] == "deleted":
        (place / "1").rename(place / ".trash" / "1")
    again = open_store(str(place))
    assert everything(again) == whole
    again.close()
    assert problems(place) == []


def test_an_index_that_disagrees_with_the_files_is_found_by_check(store: FileStore, root: Path) -> None:
    add_run(store, "a" * 32)
    with store.transaction() as tx:
        tx.add_params("a" * 32, [Param("p", "1")])
    store.close()
    with sqlite3.connect(root / ".trackd-index.db") as connection:
        connection.execute("UPDATE params SET value = '2'")
    connection.close()
    assert [problem.what for problem in problems(root)] == [
        f"{('a' * 32, 'p', '2')} is not in the files",
        f"{('a' * 32, 'p', '1')} is not in the index",
    ]
    (root / ".trackd-index.db").unlink()


@pytest.mark.parametrize("limit", ["FORGET_AFTER", "FORGET_CHANGES"])
def test_changes_are_forgotten_when_they_are_on_disk(
    store: FileStore, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    monkeypatch.setattr(watch, limit, 1)
    add_run(store, "a" * 32)

    def waiting() -> int:
        with store.reading() as connection:
            return int(connection.execute("SELECT count(*) FROM trackd_changes").fetchone()[0])

    wait_for(lambda: waiting() == 0)
