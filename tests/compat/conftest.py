"""Processes that several compat tests share: a worker with each MLflow, started once."""

from typing import Dict, Iterator

import pytest

from tests import environments
from tests.compat.workers import Worker

VERSIONS = {"mlflow 3": environments.MLFLOW_3, "mlflow 2": environments.MLFLOW_2}


class Workers:
    """The workers that are running, by version; each is started when first asked for."""

    def __init__(self, folders: pytest.TempPathFactory) -> None:
        self.folders = folders
        self.running: Dict[str, Worker] = {}

    def of(self, version: str) -> Worker:
        """The worker with that MLflow; skips the test where no Python here can hold it."""
        if version not in self.running:
            try:
                python = environments.ready(VERSIONS[version])
            except environments.Unavailable as error:
                pytest.skip(str(error))
            self.running[version] = Worker(python, self.folders.mktemp("worker"))
        return self.running[version]


@pytest.fixture(scope="session")
def workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workers]:
    """All workers; they end with the session."""
    started = Workers(tmp_path_factory)
    yield started
    for worker in started.running.values():
        worker.stop()


@pytest.fixture(scope="session", params=list(VERSIONS))
def worker(request: pytest.FixtureRequest, workers: Workers) -> Worker:
    """Each version's worker in turn."""
    return workers.of(str(request.param))
