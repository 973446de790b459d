"""Unmodified MLflow clients of both versions drive trackd: ``client_session.py`` asserts, its summaries are checked."""

import math
from typing import Any, Dict, Iterator

import pytest

from tests.compat import peers
from tests.compat.peers import Peer
from tests.compat.workers import Worker

pytestmark = pytest.mark.compat

#: What each scenario must report, the same for both versions. ``{name}`` is the scenario's own prefix.
EXPECTED: Dict[str, Dict[str, Any]] = {
    "experiments": {"names": ["{name} renamed", "{name}"]},
    "pages_of_experiments": {"pages": 5, "all": 23, "active": 22},
    "fluent_run": {"tags": ["a", "b/c", "team"], "artifact_uri": "artifacts", "last": "FINISHED"},
    "nested_and_failed": {
        "children": [["child 0", "FINISHED"], ["child 1", "FINISHED"], ["child 2", "FINISHED"], ["unlucky", "FAILED"]],
        "killed": "KILLED", "parent": "FINISHED",
    },
    "asynchronous": {"points": 300, "params": 60, "metrics": 51},
    "batches": {"metrics": 801, "params": 100},
    "long_history": {"points": 26000, "current": 25999 * 0.25},
    "data_frame": {
        "best": ["10", "8", "4"], "order": ["11", "10", "8", "5", "4", "2", "1", "7", "9", "6", "3", "0"],
        "failed": ["r05"], "like": ["1", "10", "11"], "rows": 12,
    },
    "pages_of_runs": {"pages": {
        order: math.ceil(60 / 7)
        for order in ("metrics.m DESC", "params.p", "", "attributes.start_time ASC", "tags.nobody,metrics.m")
    }},
    "inputs": {"inputs": ["array", "table"], "sources": ["http", "http"]},
    "lifecycle": {"active": ["keep"], "deleted": ["drop"], "all": ["drop", "keep"]},
    "names_and_tags": {"names": ["first", "second", "third"], "states": ["SCHEDULED", "FAILED"]},
    "errors": {"quick": True},
    "autolog": {
        "metrics": ["LinearRegression_score_rows", "training_mean_absolute_error", "training_mean_squared_error",
                    "training_r2_score", "training_root_mean_squared_error", "training_score"],
        "status": "FINISHED", "datasets": 1,
    },
    "models_in_and_out": {"inputs": ["m-in"], "outputs": [["m-out", 4]]},
}


@pytest.fixture(scope="module", params=["folder", "database"])
def trackd(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    """One trackd on an empty folder, and one on a new database, for all scenarios of both clients."""
    options = ["--backend-store-uri", "sqlite:///my.db"] if request.param == "database" else []
    peer = peers.start_trackd(tmp_path_factory.mktemp("clients"), options)
    try:
        yield peer
    finally:
        peer.stop()
    assert peers.complaints(peer) == []


@pytest.mark.parametrize("scenario", list(EXPECTED))
def test_an_unmodified_client_works_as_with_mlflows_own_server(scenario: str, worker: Worker, trackd: Peer) -> None:
    name = f"{scenario} {worker.do('version')}"
    expected = {
        key: [word.replace("{name}", name) if isinstance(word, str) else word for word in value]
        if isinstance(value, list) else value for key, value in EXPECTED[scenario].items()
    }
    assert worker.do(f"client {scenario}", uri=trackd.url, name=name) == expected


def test_both_versions_are_the_ones_that_are_meant(worker: Worker) -> None:
    assert worker.do("version").startswith(("3.17.2", "2.22."))
