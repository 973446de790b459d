"""trackd.pyz: one file, the same bytes wherever it is made, the same program as the checkout."""

import hashlib
import os
import random
import shutil
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path
from typing import Dict, List

import pytest

from tests import environments
from tests.launch import PATIENCE, ROOT, Running, environment, run
from trackd import MLFLOW_VERSION, __version__, bundle

TO_FIT = 1_000_000


@pytest.fixture(scope="module")
def pyz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle made by the command, from the checkout."""
    folder = tmp_path_factory.mktemp("bundle")
    done = run("bundle", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in folder.iterdir()] == ["trackd.pyz"]
    return folder / "trackd.pyz"


def bare(**extra: str) -> Dict[str, str]:
    """An environment in which only the bundle can be ``trackd``."""
    return {**{key: value for key, value in environment().items() if key != "PYTHONPATH"}, **extra}


def call(python: str, *words: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [python, *words], cwd=str(cwd), env=bare(), capture_output=True, encoding="utf-8", timeout=PATIENCE
    )


def other_pythons() -> List[str]:
    """Interpreters of other supported versions that are installed here."""
    found = [environments.find_python(version) for version in ((3, 9), (3, 10), (3, 12), (3, 13))]
    return [python for python in found if python]


def test_the_bundle_is_small_executable_and_all_there(pyz: Path) -> None:
    assert pyz.stat().st_size < TO_FIT
    assert os.name == "nt" or os.access(str(pyz), os.X_OK)
    assert pyz.read_bytes().startswith(b"#!/usr/bin/env python3\n")
    with zipfile.ZipFile(pyz) as opened:
        assert opened.testzip() is None
        names = opened.namelist()
        for name in names:
            if name != "__main__.py":
                assert opened.read(name) == (ROOT / name).read_bytes(), name
    assert names == sorted(names)
    expected = {path.relative_to(ROOT).as_posix() for path in (ROOT / "trackd").rglob("*.py")}
    if (ROOT / "trackd" / "ui").is_dir():
        assets = [path for path in (ROOT / "trackd" / "ui").rglob("*") if path.is_file()]
        expected |= {path.relative_to(ROOT).as_posix() for path in assets if "__pycache__" not in path.parts}
    assert set(names) == expected | {"__main__.py"}


@pytest.mark.slow
def test_the_same_bytes_come_out_of_a_checkout_a_copy_and_a_bundle_under_each_python(
    pyz: Path, tmp_path: Path
) -> None:
    wanted = hashlib.sha256(pyz.read_bytes()).hexdigest()
    copy = tmp_path / "installed"
    shutil.copytree(str(ROOT / "trackd"), str(copy / "trackd"))
    (copy / "trackd" / "__pycache__" / "left.pyc").parent.mkdir(exist_ok=True)
    (copy / "trackd" / "__pycache__" / "left.pyc").write_bytes(b"not part of the program")
    for path in (copy / "trackd").rglob("*.py"):
        path.chmod(0o600)
        os.utime(str(path), (1, 1))
    made = [call(sys.executable, "-m", "trackd", "bundle", str(tmp_path / "from-copy.pyz"), cwd=copy)]
    for number, python in enumerate([sys.executable, *other_pythons()]):
        made.append(call(python, str(pyz), "bundle", str(tmp_path / f"{number}.pyz"), cwd=tmp_path))
    assert [done.stderr for done in made if done.returncode] == []
    found = {hashlib.sha256(path.read_bytes()).hexdigest() for path in tmp_path.glob("*.pyz")}
    assert found == {wanted} and len(list(tmp_path.glob("*.pyz"))) == len(made)


@pytest.mark.slow
def test_an_installed_package_makes_the_same_bundle(pyz: Path, tmp_path: Path) -> None:
    """pip copies what ``setup.cfg`` lists: a file that is missing there would be missing in the bundle."""
    source = tmp_path / "source"
    source.mkdir()
    for name in ("setup.cfg", "pyproject.toml", "README.md"):
        shutil.copy(str(ROOT / name), str(source / name))
    shutil.copytree(str(ROOT / "trackd"), str(source / "trackd"), ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    python = str(environments.interpreter(tmp_path / "venv"))
    subprocess.run([python, "-m", "pip", "install", "-q", str(source)], check=True, capture_output=True)
    done = call(python, "-m", "trackd", "bundle", "here.pyz", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "here.pyz").read_bytes() == pyz.read_bytes()


def test_deflate_writes_what_zlib_reads_back() -> None:
    dice = random.Random(7)
    inputs = [b"", b"a", b"abcd" * 3, bytes(range(256)) * 300, b"x" * 100_000, os.urandom(50_000)]
    for size in (10, 1_000, 40_000, 70_000):
        some = bytes(dice.choice(b"abc") for _ in range(size))
        inputs += [some, some + os.urandom(33_000) + some]
    for data in inputs:
        assert zlib.decompress(bundle.deflate(data), -15) == data


def test_exit_codes_and_complaints_come_through(pyz: Path, tmp_path: Path) -> None:
    assert call(sys.executable, str(pyz), "--help", cwd=tmp_path).returncode == 0
    done = call(sys.executable, str(pyz), "check", "nowhere", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, "trackd: there is no folder nowhere.\n")
    assert call(sys.executable, str(pyz), "sevrer", cwd=tmp_path).returncode == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="Windows has no executable bit")
def test_the_file_itself_is_a_command_and_says_its_versions(pyz: Path, tmp_path: Path) -> None:
    path = str(Path(sys.executable).parent) + os.pathsep + os.environ["PATH"]
    done = subprocess.run(
        [str(pyz), "--version"], cwd=str(tmp_path), env=bare(PATH=path), capture_output=True, encoding="utf-8"
    )
    assert done.returncode == 0
    assert done.stdout.startswith(f"trackd {__version__} (MLflow API {MLFLOW_VERSION})\nPython ")
    assert "SQLite " in done.stdout and "boto3 " in done.stdout


def test_a_python_that_is_too_old_is_told_so(pyz: Path) -> None:
    with zipfile.ZipFile(pyz) as opened:
        main = opened.read("__main__.py").decode("ascii")
    old = main.replace("sys.version_info", "(3, 6)").replace("from trackd", "raise AssertionError  # from trackd")
    done = subprocess.run([sys.executable, "-c", old], capture_output=True, encoding="utf-8")
    assert done.returncode == 1 and done.stderr == "trackd: this is Python 3.6; trackd needs Python 3.9 or newer.\n"


def test_a_bundle_that_cannot_be_written_is_one_sentence_and_leaves_nothing(tmp_path: Path) -> None:
    done = run("bundle", "no/such/folder.pyz", cwd=tmp_path)
    assert done.returncode == 1 and done.stderr.startswith("trackd: no/such/folder.pyz cannot be written: ")
    (tmp_path / "folder.pyz").mkdir()
    assert run("bundle", "folder.pyz", cwd=tmp_path).returncode == 1
    assert [path.name for path in tmp_path.iterdir()] == ["folder.pyz"]


def test_the_bundle_serves_and_unpacks_nothing(pyz: Path, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    env = bare(TMPDIR=str(scratch))
    with Running(tmp_path, python=(sys.executable, str(pyz)), env=env) as server:
        assert server.ask("GET", "/health") == (200, "OK")
        status, _ = server.ask("POST", "/api/2.0/mlflow/runs/create", '{"experiment_id": "0"}')
        assert status == 200
        assert server.stop() == (0 if os.name != "nt" else 1)
    assert list(scratch.iterdir()) == []
    assert sorted(path.name for path in pyz.parent.iterdir()) == ["trackd.pyz"]


def test_pages_come_out_of_the_bundle_as_they_are_in_the_checkout(pyz: Path, tmp_path: Path) -> None:
    """The page at / and each file of the user interface, byte for byte."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    ui = ROOT / "trackd" / "ui"
    kinds = (".js", ".css", ".html")
    names = [path.relative_to(ui).as_posix() for path in sorted(ui.rglob("*")) if path.suffix in kinds]
    targets = ["/", "/static-files/joined/app.js", *(f"/static-files/{name}" for name in names)]
    assert len(targets) > 5
    with Running(tmp_path / "a") as plain, Running(
        tmp_path / "b", python=(sys.executable, str(pyz)), env=bare()
    ) as packed:
        for target in targets:
            status, text = plain.ask("GET", target)
            assert status == 200, target
            assert packed.ask("GET", target) == (status, text.replace(str(plain.port), str(packed.port))), target


@pytest.mark.slow
def test_the_api_tests_pass_against_the_bundle(pyz: Path, tmp_path: Path) -> None:
    """Their own files are copied, so that ``trackd`` can only come out of the bundle. On folders, which is enough: what
    a bundle could lack is the same for all stores.
    """
    shutil.copytree(str(ROOT / "tests"), str(tmp_path / "tests"), ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(str(ROOT / "docs"), str(tmp_path / "docs"))
    shutil.copy(str(ROOT / "setup.cfg"), str(tmp_path / "setup.cfg"))
    proof = "import trackd, sys; assert trackd.__loader__.archive == sys.argv[1]"
    env = bare(PYTHONPATH=os.pathsep.join((str(pyz), str(tmp_path))))
    subprocess.run([sys.executable, "-c", proof, str(pyz)], cwd=str(tmp_path), env=env, check=True)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-qx", "-p", "no:cacheprovider", "-k", "not memory and not sql", "tests/api"],
        cwd=str(tmp_path), env=env, capture_output=True, encoding="utf-8", timeout=10 * PATIENCE,
    )
    assert done.returncode == 0, done.stdout[-3000:]
