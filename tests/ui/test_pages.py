"""The stories of ``page_stories`` in the system's Chromium, and the types of the modules."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests import environments
from tests.launch import ROOT, environment, python_of

pytestmark = pytest.mark.slow


@pytest.mark.compat
def test_pages_do_what_people_expect_of_them() -> None:
    browser, mlflow = python_of(environments.BROWSER), python_of(environments.MLFLOW_3)
    if not any(map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))):
        pytest.skip("no Chromium is installed (Debian's package is called chromium)")
    stories = Path(__file__).with_name("page_stories.py")
    axe = package("axe-core", "4.14.1") / "axe.min.js"
    variables = environment(TRACKD_TEST_MLFLOW=mlflow, TRACKD_TEST_AXE=str(axe))
    done = subprocess.run(
        [browser, "-m", "pytest", "-q", "--noconftest", "-p", "no:cacheprovider", str(stories)],
        cwd=str(ROOT), env={**variables, "HOME": os.environ.get("HOME", "/root")},
        capture_output=True, encoding="utf-8", timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


def test_the_types_of_all_modules_are_right() -> None:
    compiler = package("typescript", "7.0.2") / "bin" / "tsc"
    node = shutil.which("node") or ""
    project = ROOT / "trackd" / "ui" / "jsconfig.json"
    done = subprocess.run([node, str(compiler), "-p", str(project)], capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stdout


def package(name: str, version: str) -> Path:
    """Where a package of npm's is, fetched into the cache of the tests if need be. Nothing of trackd needs any."""
    npm, node = shutil.which("npm"), shutil.which("node")
    if not npm or not node:
        pytest.skip("no Node.js is installed (Debian's packages are called nodejs and npm)")
    place = environments.CACHE / "npm" / f"{name}-{version}"
    found = place / "node_modules" / name
    if not (found / "package.json").is_file():
        place.mkdir(parents=True, exist_ok=True)
        (place / "package.json").write_text("{}", encoding="utf-8")
        fetch = [npm, "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", f"{name}@{version}"]
        subprocess.run(fetch, cwd=str(place), check=True)
    return found
