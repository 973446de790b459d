"""``trackd copy`` from and to a real MLflow server."""

from pathlib import Path
from typing import Any, Dict, Iterator, List

import pytest

from tests import environments
from tests.compat.peers import Peer, start_mlflow, wait_until_ready
from tests.memory_store import MemoryStore
from tests.transfer.test_copy import by_origin, fill, registry
from trackd.entities import ALL
from trackd.store import open_store
from trackd.store.base import Store
from trackd.transfer.copy import copy
from trackd.transfer.counts import Counts
from trackd.transfer.servers import ServerSide
from trackd.transfer.sides import Target
from trackd.transfer.stores import StoreSide

pytestmark = [pytest.mark.compat, pytest.mark.slow]


@pytest.fixture(scope="module")
def mlflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    """A server of MLflow 3, on SQLite."""
    try:
        command = environments.script(environments.MLFLOW_3, "mlflow")
    except environments.Unavailable as error:
        pytest.skip(str(error))
    peer = start_mlflow(command, tmp_path_factory.mktemp("mlflow"))
    try:
        wait_until_ready(peer)
        yield peer
    finally:
        peer.stop()


def copied(source: Target, target: Target) -> Counts:
    counts = Counts()
    copy(source, target, counts)
    assert counts.refused == []
    return counts


def contents(store: Store) -> List[str]:
    """What was logged to each run, whatever its id is here; SQLite keeps no sign of zero."""
    return sorted(
        repr((info, tags, params, sorted((*rest, value.replace("-0.0", "0.0")) for *rest, value in points),
              [(each.dataset, list(each.tags)) for each in datasets]))
        for info, tags, params, points, datasets in by_origin(store).values()
    )


def names(store: Store) -> Dict[str, Any]:
    return {one.name: (one.lifecycle_stage, dict(one.tags)) for one in store.search_experiments(ALL, None, (), 99)[0]}


def test_a_folder_goes_to_mlflow_and_comes_back_whole(mlflow: Peer, tmp_path: Path) -> None:
    folder = open_store(str(tmp_path / "from"), sync="off")
    fill(folder, with_models=False)
    server = ServerSide(mlflow.url)
    first = copied(StoreSide("FROM", folder), server)
    assert (first.written["runs"], first.written["points"]) == (3, 24)
    again = copied(StoreSide("FROM", folder), server)
    assert sum(again.written.values()) == 0 and again.skipped["runs"] == 3
    back = MemoryStore()
    copied(server, StoreSide("TO", back))
    assert contents(back) == contents(folder)
    assert names(back) == names(folder)
    assert sum(copied(server, StoreSide("TO", back)).written.values()) == 0
    # A run that goes on at MLflow grows in the copy too.
    run_id = mlflow.call("runs/create", {"experiment_id": "0", "start_time": 5})["run"]["info"]["run_id"]
    for step in (2, 1):
        mlflow.call("runs/log-metric", {"run_id": run_id, "key": "m", "value": 0.5, "timestamp": 7, "step": step})
        counts = copied(server, StoreSide("TO", back))
        assert counts.written["points"] == 1
    assert [point.step for point in back.list_metric_history(run_id, "m")] == [1, 2]
    server.close()
    folder.close()


def test_models_and_the_registry_go_to_mlflow_and_come_back(mlflow: Peer, tmp_path: Path) -> None:
    folder = open_store(str(tmp_path / "from"), sync="off")
    fill(folder)
    with folder.transaction() as tx:
        # MLflow shows no deleted model; all else must arrive.
        tx.drop_logged_models(["m-2"])
    server = ServerSide(mlflow.url)
    first = copied(StoreSide("FROM", folder), server)
    kinds = ("logged models", "points of models", "registered models", "model versions")
    assert [first.written[kind] for kind in kinds] == [1, 4, 2, 3]
    again = copied(StoreSide("FROM", folder), server)
    assert sum(again.written.values()) == 0, again.written
    back = MemoryStore()
    copied(server, StoreSide("TO", back))
    (prompt, texts), (model, versions) = registry(back)
    assert [(each.version, each.current_stage) for each in versions] == [(1, "None"), (3, "Production")]
    assert dict(model.aliases) == {"champion": 3} and dict(prompt.tags)["mlflow.prompt.is_prompt"] == "true"
    run = back.get_run(str(versions[0].run_id))
    assert run is not None and versions[0].source == f"{run.info.artifact_uri}/model"
    (info,) = back.list_logged_model_infos("0")
    logged, original = back.get_logged_model(info.model_id), folder.get_logged_model("m-1")
    assert logged is not None and original is not None and info.source_run_id == run.info.run_id
    assert sorted(each[1:4] + each[5:7] for each in logged.metrics) == sorted(
        each[1:4] + each[5:7] for each in original.metrics
    )
    assert [each.model_id for each in run.model_inputs] == [info.model_id]
    server.close()
    folder.close()
