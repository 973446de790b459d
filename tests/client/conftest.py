"""The servers that the client is tested against: trackd, and MLflow's own (those tests are marked compat)."""

from typing import Iterator

import pytest

from tests import environments
from tests.client_module import mlflow
from tests.compat import peers
from tests.launch import Running

__all__ = ["mlflow"]


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
