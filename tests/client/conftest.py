"""The servers that the client is tested against: trackd, and MLflow's own (those tests are marked compat)."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Iterator

import pytest

from tests import environments
from tests.compat import peers
from tests.launch import ROOT, Running


@pytest.fixture(scope="session", params=["trackd", pytest.param("mlflow", marks=pytest.mark.compat)])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server."""
    folder = tmp_path_factory.mktemp(str(request.param))
    if request.param == "trackd":
        with Running(folder) as running:
            yield f"http://127.0.0.1:{running.port}"
        return
    try:
        peer = peers.start_mlflow(environments.script(environments.MLFLOW_3, "mlflow"), folder)
    except environments.Unavailable as error:
        pytest.skip(str(error))
    try:
        peers.wait_until_ready(peer)
        yield peer.url
    finally:
        peer.stop()


@pytest.fixture(scope="session")
def trackd_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A trackd for tests that need no other."""
    with Running(tmp_path_factory.mktemp("trackd-alone")) as running:
        yield running


@pytest.fixture
def mlflow(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ModuleType]:
    """The client as a module of its own, without what other tests have set, in a clean environment."""
    import os

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
