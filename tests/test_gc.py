"""``trackd gc`` as it is typed: what it prints, what is gone afterwards, and what it never touches."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Iterator, Tuple

import pytest

from tests.launch import Running, environment
from tests.store.test_file_store import NOW, add_run, problems
from trackd.cli import main
from trackd.entities import DELETED
from trackd.store import open_store

GONE, KEPT = "a" * 32, "b" * 32
Said = Tuple[int, str, str]


class Here:
    """A folder with a store and artifacts, and the command in it."""

    def __init__(self, path: Path, capsys: "pytest.CaptureFixture[str]") -> None:
        self.path = path
        self._capsys = capsys

    def gc(self, *words: str) -> Said:
        code = main(["gc", *words])
        captured = self._capsys.readouterr()
        return code, captured.out, captured.err

    def artifacts(self, run_id: str) -> Path:
        return self.path / "mlartifacts" / "0" / run_id / "artifacts"


@pytest.fixture
def here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: "pytest.CaptureFixture[str]"
) -> Iterator[Here]:
    """Two runs with artifacts, one of them deleted."""
    monkeypatch.chdir(tmp_path)
    for name in ("MLFLOW_BACKEND_STORE_URI", "MLFLOW_ARTIFACTS_DESTINATION", "MLFLOW_DEFAULT_ARTIFACT_ROOT"):
        monkeypatch.delenv(name, raising=False)
    place = Here(tmp_path, capsys)
    store = open_store("mlruns", sync="off")
    for run_id in (GONE, KEPT):
        add_run(store, run_id)
        place.artifacts(run_id).mkdir(parents=True)
        (place.artifacts(run_id) / "f").write_bytes(b"x" * 3000)
    with store.transaction() as tx:
        info = tx.get_run_info(GONE)
        assert info is not None
        tx.put_run_info(info._replace(lifecycle_stage=DELETED), NOW)
    store.close()
    yield place
    assert problems(tmp_path / "mlruns") == []


def test_what_goes_is_printed_with_its_size_before_it_goes(here: Here) -> None:
    (here.artifacts(GONE) / "deep").mkdir()
    (here.artifacts(GONE) / "deep" / "g").write_bytes(b"1" * 72)
    code, out, _ = here.gc("--dry-run")
    assert code == 0 and f"run {GONE} (a name): 2 artifacts, 3.0 KiB" in out
    assert "would free: 1 run, 2 artifacts of 3.0 KiB" in out and KEPT not in out
    assert (here.path / "mlruns/0" / GONE).exists() and here.artifacts(GONE).exists()
    code, out, _ = here.gc()
    assert code == 0 and "to free: 1 run, 2 artifacts of 3.0 KiB" in out
    assert f"run {GONE} is gone\nremoved for good: 1 run, 2 artifacts of 3.0 KiB" in out
    assert os.listdir(here.path / "mlartifacts/0") == [KEPT] and (here.artifacts(KEPT) / "f").exists()
    assert sorted(os.listdir(here.path / "mlruns/0")) == [KEPT, "meta.yaml"]
    assert here.gc() == (0, "nothing to remove\n", "")


@pytest.mark.parametrize("words, code, text", [
    (("--older-than", "soon"), 2, "no time|is not a time such as 30d"),
    (("--run-ids", " , "), 2, "names no ids"),
    (("--run-ids", KEPT), 1, "is not deleted"),
    (("--run-ids", GONE, "--older-than", "90000d"), 1, "more recently"),
    (("--experiment-ids", "0"), 1, "is not deleted"),
    (("--experiment-ids", "../x"), 1, "no experiment"),
    (("--jobs",), 2, "neither jobs nor workspaces"),
    (("--dryrun",), 2, "did you mean --dry-run"),
    (("--backend-store-uri", "nowhere/at/all", "--dry-run"), 1, "no folder"),
])
def test_a_mistake_gets_a_sentence_and_removes_nothing(
    here: Here, words: "tuple[str, ...]", code: int, text: str
) -> None:
    found, _, err = here.gc(*words)
    assert found == code and any(part in err for part in text.split("|")), err
    assert here.artifacts(GONE).exists() and (here.path / "mlruns/0" / GONE / "meta.yaml").exists()


def test_no_link_is_followed_out_of_the_root(here: Here) -> None:
    outside = here.path / "outside"
    (outside / "deep").mkdir(parents=True)
    for name in ("precious", "deep/precious"):
        (outside / name).write_text("x")
    (here.artifacts(GONE) / "file").symlink_to(outside / "precious")
    (here.artifacts(GONE) / "folder").symlink_to(outside)
    (here.path / "mlruns/0" / GONE / "artifacts" / "folder").symlink_to(outside)
    code, out, _ = here.gc()
    assert code == 0 and not (here.path / "mlruns/0" / GONE).exists() and not here.artifacts(GONE).exists()
    assert (outside / "precious").read_text() == "x" == (outside / "deep/precious").read_text()


def test_artifacts_behind_a_link_that_leads_out_stay_and_so_does_their_run(here: Here) -> None:
    outside = here.path / "outside"
    os.rename(here.artifacts(GONE).parent, outside)
    here.artifacts(GONE).parent.symlink_to(outside)
    code, out, err = here.gc()
    assert code == 1 and GONE in err and "link" in err
    assert (outside / "artifacts" / "f").exists() and (here.path / "mlruns/0" / GONE / "meta.yaml").exists()


def test_a_location_elsewhere_is_out_of_reach_until_it_is_named(here: Here) -> None:
    elsewhere = here.path / "elsewhere" / GONE / "artifacts"
    elsewhere.mkdir(parents=True)
    (elsewhere / "f").write_text("x")
    store = open_store("mlruns", sync="off")
    with store.transaction() as tx:
        info = tx.get_run_info(GONE)
        assert info is not None
        tx.put_run_info(info._replace(artifact_uri=str(elsewhere)), NOW)
    store.close()
    code, out, err = here.gc()
    assert code == 1 and "out of reach" in out and (elsewhere / "f").exists()
    assert here.gc("--artifact-roots", str(here.path / "elsewhere"))[0] == 0
    assert not elsewhere.exists()


@pytest.mark.slow
def test_a_folder_that_is_served_is_looked_at_and_not_touched(here: Here) -> None:
    with Running(here.path):
        assert here.gc("--dry-run")[0] == 0
        code, _, err = here.gc()
        assert code == 1 and "is served right now. Stop that server first" in err
        assert here.artifacts(GONE).exists()


@pytest.mark.slow
def test_a_removal_that_is_killed_anywhere_is_finished_by_the_next(here: Here) -> None:
    store = open_store("mlruns", sync="off")
    runs = [f"{number:032x}" for number in range(120)]
    for run_id in runs:
        add_run(store, run_id)
        here.artifacts(run_id).mkdir(parents=True)
        for name in range(5):
            (here.artifacts(run_id) / str(name)).write_text("x")
        with store.transaction() as tx:
            info = tx.get_run_info(run_id)
            assert info is not None
            tx.put_run_info(info._replace(lifecycle_stage=DELETED), NOW)
    store.close()
    for delay in (0.0, 0.01, 0.03):
        process = subprocess.Popen(
            [sys.executable, "-m", "trackd", "gc"], cwd=str(here.path), env=environment(), stdout=subprocess.PIPE,
            encoding="utf-8",
        )
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("to free"):
                break
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.wait(60)
        process.stdout.close()
        assert problems(here.path / "mlruns") == []
    assert here.gc()[0] == 0
    assert os.listdir(here.path / "mlartifacts/0") == [KEPT]
    assert sorted(os.listdir(here.path / "mlruns/0")) == [KEPT, "meta.yaml"]
    assert (here.artifacts(KEPT) / "f").exists()
