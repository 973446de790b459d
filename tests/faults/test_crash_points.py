"""A crash between any two changes of files leaves the whole of a write or nothing of it; so does a disk that is full.

Each write of ``crash.WRITES`` is broken off at each of its changes in turn, on a fresh copy of the same folder.
"""

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, List, NamedTuple

import pytest

from tests.faults import crash
from tests.faults.program import CHECKOUT, snapshot
from trackd.errors import PermissionDenied, StorageFull, TrackdError
from trackd.store.file.store import FileStore


class State(NamedTuple):
    """What a store answers, and the files it has (without times)."""

    answers: Dict[str, Any]
    files: Dict[str, object]


def _state(root: Path) -> State:
    """The state of a folder after its opening, which must find it sane."""
    log: List[str] = []
    store = FileStore(str(root), sync="off", log=log.append)
    try:
        answers = _answers(store)
        assert store.check() == []
    finally:
        store.close()
    assert log == []
    return State(answers, snapshot(root))


def _answers(store: FileStore) -> Dict[str, Any]:
    experiments, _ = store.search_experiments("ALL", None, (), 100)
    runs = [store.get_run(run_id) for run_id in (crash.RUN, crash.NEW_RUN)]
    found, _ = store.search_runs([each.experiment_id for each in experiments], "ALL", None, (), 100)
    assert sorted(run.info.run_id for run in found) == [run.info.run_id for run in runs if run]
    models = [store.get_logged_model(model_id) for model_id in (crash.MODEL, crash.NEW_MODEL)]
    return {
        "models": [repr(model) for model in models],
        "experiments": sorted(repr(each) for each in experiments),
        "runs": [repr(run) for run in runs],
        "registered": store.search_registered_models(True, None, (), 100)[0],
        "versions": store.search_model_versions(True, None, (), 100)[0],
        "history": [store.list_metric_history(crash.RUN, key) for key in ("m", "new", "deep/er/key")],
    }


class Folders:
    """A template that was written once; every broken write gets a copy, at the same path (the index knows its root)."""

    def __init__(self, place: Path) -> None:
        self.root = place / "mlruns"
        self._template = place / "template"
        assert _crash(self.root, "", "prepare", 0) == ""
        shutil.copytree(self.root, self._template)
        self.before = _state(self.root)
        self.after: Dict[str, State] = {}
        self.changes: Dict[str, List[str]] = {}
        for name, write in crash.WRITES.items():
            self.renew()
            store = FileStore(str(self.root), sync="off")
            with crash.count_changes(lambda number, name: None) as changes:
                with store.transaction() as tx:
                    write(tx)
            store.close()
            self.changes[name] = list(changes)
            self.after[name] = _state(self.root)
            assert self.after[name].answers != self.before.answers

    def renew(self) -> None:
        """Put the folder back to what it was before any write."""
        shutil.rmtree(self.root)
        shutil.copytree(self._template, self.root)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    return Folders(tmp_path_factory.mktemp("crash"))


def _crash(root: Path, write: str, at: str, number: int) -> str:
    """Run ``crash`` in a process of its own; what it said."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.crash", str(root), write, at, str(number)],
        cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8", timeout=60,
    )
    assert done.returncode in (0, 9), done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("write", crash.WRITES)
def test_a_crash_before_any_change_of_a_file_leaves_all_or_nothing(folders: Folders, write: str) -> None:
    count = len(folders.changes[write])
    assert count > 0
    for number in range(count + 1):
        folders.renew()
        said = _crash(folders.root, write, "end", number)
        assert said == ("done" if number == count else "")
        found = _state(folders.root)
        assert found == folders.after[write] or (found == folders.before and said == ""), f"change {number}"
        if number % 5 == 0:
            (folders.root / ".trackd-index.db").unlink()
            assert _state(folders.root) == found, f"change {number}: the files alone say something else"


@pytest.mark.slow
@pytest.mark.parametrize("first", [0, 17, 38])
def test_a_crash_while_an_earlier_one_is_repaired_leaves_all_or_nothing(folders: Folders, first: int) -> None:
    for second in range(0, 60, 3):
        folders.renew()
        assert _crash(folders.root, "log_batch", "end", first) == ""
        _crash(folders.root, "", "open", second)
        assert _state(folders.root) in (folders.before, folders.after["log_batch"]), f"change {second} of the repair"


@pytest.mark.slow
def test_a_crash_among_moves_of_a_folder_finds_every_change_its_place(folders: Folders) -> None:
    folders.renew()
    store = FileStore(str(folders.root), sync="off")
    with crash.count_changes(lambda number, name: None) as changes:
        crash.delete_and_restore(store)
    store.close()
    whole = _state(folders.root)
    for number in range(0, len(changes) + 1, 2):
        folders.renew()
        _crash(folders.root, "delete_and_restore", "end", number)
        found = _state(folders.root)
        assert ("0" in found.files) != (".trash/0" in found.files), f"change {number}"
        assert not ("1" in found.files and ".trash/1" in found.files), f"change {number}"
    folders.renew()
    assert _crash(folders.root, "delete_and_restore", "end", 10_000) == "done"
    assert _state(folders.root) == whole


@pytest.mark.slow
def test_a_crash_while_names_of_models_are_used_again_mixes_no_two_models(folders: Folders) -> None:
    folders.renew()
    store = FileStore(str(folders.root), sync="off")
    with crash.count_changes(lambda number, name: None) as changes:
        crash.use_names_again(store)
    store.close()
    whole = _state(folders.root)
    assert [model.name for model in whole.answers["registered"]] == ["iris", "old", "older"]
    for number in range(0, len(changes) + 1, 3):
        folders.renew()
        _crash(folders.root, "use_names_again", "end", number)
        found = _state(folders.root)
        for model in found.answers["registered"]:
            mine = [each for each in found.answers["versions"] if each.name == model.name]
            assert {each.creation_timestamp for each in mine} == {model.creation_timestamp}, f"change {number}"
            times = {tag.value for each in mine for tag in each.tags if tag.key == "only"}
            assert times <= {str(model.creation_timestamp)}, f"change {number}"
        (folders.root / ".trackd-index.db").unlink()
        assert _state(folders.root) == found, f"change {number}: the files alone say something else"
    folders.renew()
    assert _crash(folders.root, "use_names_again", "end", 10_000) == "done"
    # Times of writing apart, which these models have as text.
    assert _state(folders.root) == whole


#: What needs room for sure; a rename or a move may need some.
_NEED_ROOM = ("mkdir", "open", "write")


@pytest.mark.parametrize("write", crash.WRITES)
def test_a_disk_that_is_full_at_any_change_keeps_nothing_and_later_works(folders: Folders, write: str) -> None:
    folders.renew()
    store = FileStore(str(folders.root), sync="off")
    refused = 0
    try:
        before = _answers(store)
        for number, name in enumerate(folders.changes[write]):
            if name in (*_NEED_ROOM, "replace", "rename"):
                refused += 1
                _refused(store, write, number, name, errno.ENOSPC, StorageFull)
                assert _answers(store) == before, f"change {number}, {name}"
        assert snapshot(folders.root) == folders.before.files
        with store.transaction() as tx:
            crash.WRITES[write](tx)
    finally:
        store.close()
    assert refused > 0 or write == "delete_tag"
    found, after = _state(folders.root), folders.after[write]
    # Refused experiments may use up ids: only what is not about ids can be compared.
    assert found == after or (write == "create_experiment" and len(found.files) == len(after.files))


@pytest.mark.parametrize("write", crash.WRITES)
def test_a_write_that_is_forbidden_at_any_change_keeps_nothing(folders: Folders, write: str) -> None:
    folders.renew()
    store = FileStore(str(folders.root), sync="off")
    try:
        before = _answers(store)
        for number, name in enumerate(folders.changes[write]):
            if write.startswith("drop") and "rename" in folders.changes[write][:number]:
                break  # it is out of sight, and the write is done: what is then forbidden is reported and left
            if name not in ("write", "utime"):  # these work on what is open already
                _refused(store, write, number, name, errno.EACCES, PermissionDenied)
                assert _answers(store) == before, f"change {number}, {name}"
    finally:
        store.close()
    assert _state(folders.root) == folders.before


def _refused(
    store: FileStore, write: str, number: int, name: str, code: int, kind: "type[TrackdError]"
) -> None:
    """Do a write whose change ``number`` fails; if that was for want of room, so does all after it that needs room."""
    failing = True

    def fail(count: int, call: str) -> None:
        if failing and (count == number or (count > number and call in needed)):
            raise OSError(code, os.strerror(code))

    needed = _NEED_ROOM if code == errno.ENOSPC and name in _NEED_ROOM else ()
    with crash.count_changes(fail):
        with pytest.raises(kind):
            with store.transaction() as tx:
                crash.WRITES[write](tx)
        failing = False
