"""The client as a module of its own, for tests of several folders."""

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Iterator

import pytest

from tests.launch import ROOT


@pytest.fixture
def mlflow(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ModuleType]:
    """The client as a module of its own, without what other tests have set, in a clean environment."""
    for name in list(os.environ):
        if name.startswith(("MLFLOW_", "TRACKD_")) and name != "TRACKD_TEST_CACHE" or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_JITTER", "0")
    spec = importlib.util.spec_from_file_location("client_alone", str(ROOT / "trackd" / "client.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "client_alone", module)
    spec.loader.exec_module(module)
    yield module
    while module.active_run():
        module.end_run()
    for target in module._targets.values():
        target.close()
