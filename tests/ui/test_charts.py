"""The stories of ``charts_stories``, under an interpreter that has Playwright, in the system's Chromium."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests import environments
from tests.launch import ROOT, environment, python_of

pytestmark = pytest.mark.slow


@pytest.mark.compat
def test_charts_do_what_people_expect_of_them() -> None:
    browser = python_of(environments.BROWSER)
    mlflow = python_of(environments.MLFLOW_3)
    if not any(map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))):
        pytest.skip("no Chromium is installed (Debian's package is called chromium)")
    stories = Path(__file__).with_name("charts_stories.py")
    done = subprocess.run(
        [browser, "-m", "pytest", "-q", "--noconftest", "-p", "no:cacheprovider", str(stories)],
        cwd=str(ROOT), env={**environment(TRACKD_TEST_MLFLOW=mlflow), "HOME": os.environ.get("HOME", "/root")},
        capture_output=True, encoding="utf-8", timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
