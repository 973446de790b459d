"""Virtual environments are made once, whole or not at all; and the package installs into one."""

import multiprocessing
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import List

import pytest

from tests import environments
from tests.environments import HERE, MARKER, Environment, Unavailable, interpreter, ready
from tests.launch import ROOT

#: Nothing to install, not even pip: made in no time and without a network.
EMPTY = Environment("empty", (), "import sys", (HERE,))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own."""
    monkeypatch.setattr(environments, "CACHE", tmp_path / "cache")
    return tmp_path / "cache"


def test_an_environment_is_made_when_it_is_asked_for_and_found_the_next_time(
    cache: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    python = ready(EMPTY)
    assert subprocess.run([str(python), "-c", "import sys; assert sys.prefix != sys.base_prefix"]).returncode == 0
    assert "making" in capfd.readouterr().err
    assert ready(EMPTY) == python
    assert capfd.readouterr().err == ""


def test_a_half_made_environment_is_made_anew(cache: Path) -> None:
    place = cache / EMPTY.name
    (place / "lib").mkdir(parents=True)
    (place / "lib" / "left over").touch()
    ready(EMPTY)
    assert not (place / "lib" / "left over").exists() and (place / MARKER).exists()


def test_one_that_was_made_for_other_requirements_is_made_anew(cache: Path) -> None:
    place = cache / EMPTY.name
    ready(EMPTY)
    (place / MARKER).write_text("something==1\n")
    (place / "left over").touch()
    ready(EMPTY)
    assert not (place / "left over").exists()


def test_one_without_a_marker_is_kept_if_it_answers(cache: Path) -> None:
    place = cache / EMPTY.name
    ready(EMPTY)
    (place / MARKER).unlink()
    (place / "kept").touch()
    ready(EMPTY)
    assert (place / "kept").exists() and (place / MARKER).exists()


def test_one_that_fails_its_probe_is_not_marked(cache: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        ready(EMPTY._replace(probe="raise SystemExit(1)"))
    assert not (cache / EMPTY.name / MARKER).exists()


def test_without_a_fitting_python_it_is_unavailable_and_says_which_is_needed(cache: Path) -> None:
    with pytest.raises(Unavailable, match=r"empty needs Python 2\.3"):
        ready(EMPTY._replace(pythons=((2, 3),)))


def _ready_in(cache: str, said: "multiprocessing.Queue[str]") -> None:
    environments.CACHE = Path(cache)
    made: List[str] = []
    make = environments._make

    def counted(place: Path, environment: Environment) -> None:
        made.append(str(place))
        make(place, environment)

    environments._make = counted
    said.put(f"{ready(EMPTY)} {len(made)}")


def test_two_processes_make_it_once(cache: Path) -> None:
    context = multiprocessing.get_context("spawn")
    said: "multiprocessing.Queue[str]" = context.Queue()
    processes = [context.Process(target=_ready_in, args=(str(cache), said)) for _ in range(2)]
    for process in processes:
        process.start()
    answers = sorted(said.get(timeout=300) for _ in processes)
    for process in processes:
        process.join(60)
    python = interpreter(cache / EMPTY.name)
    assert answers == [f"{python} 0", f"{python} 1"]


@pytest.mark.slow
def test_pip_installs_the_package_without_dependencies_and_with_its_command(tmp_path: Path) -> None:
    # A copy, because building leaves files behind.
    source = tmp_path / "source"
    source.mkdir()
    for name in ("setup.cfg", "pyproject.toml", "README.md"):
        shutil.copy(str(ROOT / name), str(source / name))
    shutil.copytree(str(ROOT / "trackd"), str(source / "trackd"), ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    python = interpreter(tmp_path / "venv")
    pip = [str(python), "-m", "pip", "install", "-qq", "--disable-pip-version-check", str(source)]
    subprocess.run(pip, check=True)
    trackd = python.with_name("trackd.exe" if os.name == "nt" else "trackd")
    said = subprocess.run([str(trackd), "routes"], cwd=str(tmp_path), capture_output=True, encoding="utf-8", check=True)
    assert "runs/log-batch" in said.stdout
    ask = "from importlib.metadata import requires; print([each for each in requires('trackd') if 'extra' not in each])"
    needs = subprocess.run([str(python), "-c", ask], cwd=str(tmp_path), capture_output=True, encoding="utf-8")
    assert needs.stdout == "[]\n"
