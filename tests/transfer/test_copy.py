"""A copy holds all of the original; repeated, whenever it broke off, it holds nothing twice."""

import math
import os
from pathlib import Path
from typing import Any, Dict, Iterator, List

import pytest

from tests.launch import Running, run
from tests.memory_store import MemoryStore
from tests.store.test_file_store import NOW, run_info
from tests.store.test_file_store import everything as listed
from trackd.cli import main
from trackd.entities import (
    ALL,
    DELETED,
    Dataset,
    DatasetInput,
    LoggedModelInfo,
    Metric,
    ModelInput,
    ModelOutput,
    ModelVersion,
    Param,
    RegisteredModel,
    RunInfo,
    Tag,
)
from trackd.store import open_store
from trackd.store.base import Store
from trackd.transfer.copy import copy
from trackd.transfer.counts import Counts
from trackd.transfer.servers import ServerSide
from trackd.transfer.sides import COPIED_FROM, Additions, CannotCopy
from trackd.transfer.stores import StoreSide

RUNS = [f"{number:032x}" for number in (1, 2, 3)]


def everything(store: Store) -> List[Any]:
    """All runs with their histories; a store may say with any kind of sequence that there are no inputs."""
    return [(run.info, [list(part) for part in run[2:]], points) for run, points in listed(store)]


def fill(store: Store, with_models: bool = True) -> None:
    """Two experiments, one of them deleted, and runs with a few of everything."""
    with store.transaction() as tx:
        other = tx.add_experiment("ö'ther", "mlflow-artifacts:/elsewhere", [Tag("k", "v")], NOW, "")
    infos = [
        run_info(RUNS[0], status="FINISHED", end_time=NOW + 5),
        run_info(RUNS[1], status="FAILED", end_time=NOW + 6, lifecycle_stage="active"),
        run_info(RUNS[2], other, start_time=NOW + 1),
    ]
    for info in infos:
        with store.transaction() as tx:
            tx.add_run(info, [Tag("mlflow.runName", "a name"), Tag("note", "ü\n2")])
            tx.add_params(info.run_id, [Param("p", "1"), Param("empty", "")])
            tx.add_metrics(info.run_id, [Metric("loss", 1.0 / step, NOW + step, step) for step in range(1, 6)])
            tx.add_metrics(info.run_id, [Metric("odd", value, NOW, 0) for value in (math.nan, -0.0, 1e300)])
            source = DatasetInput(Dataset("d", "1", "local", "{}", "s"), [Tag("mlflow.data.context", "train")])
            tx.add_inputs(info.run_id, [source], [ModelInput("m-1")] if with_models else [])
            if with_models:
                tx.add_outputs(info.run_id, [ModelOutput("m-2", 3)])
    model = LoggedModelInfo(
        "m-1", "0", "model", "mlflow-artifacts:/0/models/m-1/artifacts", NOW, NOW + 2, 2, "active", "llm", RUNS[0]
    )
    if with_models:
        with store.transaction() as tx:
            tx.add_logged_model(model, [Param("depth", "3")], [Tag("t", "ü")])
            location = model.artifact_location.replace("m-1", "m-2")
            deleted = model._replace(model_id="m-2", artifact_location=location, lifecycle_stage=DELETED, status=3)
            tx.add_logged_model(deleted, [], [])
            for run_id in (RUNS[0], RUNS[2]):
                point = Metric("loss", 1.0, NOW + 1, 1, "m-1", "d", "1", run_id)
                tx.add_model_points(run_id, [point, point._replace(step=2, dataset_name=None, dataset_digest=None)])
        fill_registry(store)
    with store.transaction() as tx:
        tx.put_run_info(infos[1]._replace(lifecycle_stage=DELETED), NOW + 9)
        experiment = tx.get_experiment(other)
        assert experiment is not None
        tx.put_experiment(experiment._replace(lifecycle_stage=DELETED, last_update_time=NOW + 9))
        tx.put_runs_lifecycle(other, DELETED, NOW + 9)


def models(store: Store) -> List[Any]:
    """All logged models with what was logged to them."""
    found = [store.get_logged_model(info.model_id) for info in store.list_logged_model_infos("0")]
    return sorted((one.info, list(one.params), list(one.tags), sorted(one.metrics, key=repr)) for one in found if one)


def fill_registry(store: Store) -> None:
    """A model with a gap between its versions, and a prompt."""
    with store.transaction() as tx:
        tx.add_registered_model(RegisteredModel("it's ü", NOW, NOW + 1, "about", [Tag("t", "1")]))
        tx.add_registered_model(RegisteredModel("greeting", NOW, NOW, None, [Tag("mlflow.prompt.is_prompt", "true")]))
    first = ModelVersion(
        "it's ü", 1, NOW, NOW, "one", None, "None", f"mlflow-artifacts:/0/{RUNS[0]}/artifacts/model", None, RUNS[0], "",
        "READY", None, [Tag("v", "ü")],
    )
    prompt = first._replace(
        name="greeting", source="dummy-source", run_id="", tags=[Tag("mlflow.prompt.is_prompt", "true"), Tag("x", "hi")]
    )
    for version in (first, first._replace(version=3, current_stage="Production", tags=()), prompt):
        with store.transaction() as tx:
            tx.add_model_version(version)
    with store.transaction() as tx:
        tx.put_alias("it's ü", "champion", 3)


def registry(store: Store) -> List[Any]:
    """Every registered model with its versions."""
    side = StoreSide("", store)
    return [
        (model._replace(latest_versions=(), tags=list(model.tags), aliases=list(model.aliases)),
         [version._replace(tags=list(version.tags)) for version in side.model_versions(model)])
        for model in side.registered_models()
    ]


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Store]:
    store = open_store(str(tmp_path / "from"), sync="off")
    fill(store)
    yield store
    store.close()


@pytest.fixture(params=["file", "memory"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    store = MemoryStore() if request.param == "memory" else open_store(str(tmp_path / "to"), sync="off")
    yield store
    assert store.check() == []
    store.close()


def copied(source: Store, target: Store) -> Counts:
    counts = Counts()
    copy(StoreSide("FROM", source), StoreSide("TO", target), counts)
    return counts


def experiments(store: Store) -> List[Any]:
    found, _ = store.search_experiments(ALL, None, (), 100)
    # Each store has made its own experiment 0.
    return sorted(
        (one if one.experiment_id != "0" else one._replace(creation_time=0, last_update_time=0, artifact_location=""))
        ._replace(tags=tuple(one.tags))
        for one in found
    )


def test_a_copy_between_stores_is_the_same_under_the_same_ids(source: Store, target: Store) -> None:
    counts = copied(source, target)
    assert everything(target) == everything(source)
    assert experiments(target) == experiments(source)
    assert models(target) == models(source) and len(models(source)) == 2
    assert registry(target) == registry(source) and len(registry(source)) == 2
    assert counts.read == {
        "experiments": 2, "runs": 3, "points": 24, "params": 6, "tags": 6, "inputs": 6, "outputs": 3,
        "logged models": 2, "points of models": 4, "registered models": 2, "model versions": 3,
    }
    assert counts.written == {**counts.read, "experiments": 1} and counts.refused == []


def test_a_repeated_copy_writes_nothing(source: Store, target: Store) -> None:
    copied(source, target)
    before = everything(target)
    counts = copied(source, target)
    assert sum(counts.written.values()) == 0 and counts.skipped["runs"] == 3
    assert everything(target) == before


class Breaks(StoreSide):
    """A target that fails at the N-th thing it is told to write."""

    def __init__(self, store: Store, at: int) -> None:
        super().__init__("TO", store)
        self.left = at

    def _count(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise CannotCopy("broke off")

    def add_run(self, experiment_id: str, run: Any) -> RunInfo:
        self._count()
        return super().add_run(experiment_id, run)

    def add_to_run(self, run_id: str, additions: Additions) -> None:
        self._count()
        super().add_to_run(run_id, additions)

    def end_run(self, info: RunInfo, source: RunInfo) -> None:
        self._count()
        super().end_run(info, source)


def test_a_copy_that_breaks_off_anywhere_goes_on_where_it_stopped(source: Store, tmp_path: Path) -> None:
    for at in range(12):
        target = MemoryStore()
        side = Breaks(target, at)
        side.batch = 3
        with pytest.raises(CannotCopy):
            copy(StoreSide("FROM", source), side, Counts())
        counts = copied(source, target)
        assert everything(target) == everything(source), at
        assert counts.skipped.get("runs", 0) >= at // 7


def test_what_came_to_a_running_run_since_is_added(source: Store, target: Store) -> None:
    with source.transaction() as tx:
        tx.add_run(run_info("a" * 32), [Tag("t", "1")])
        tx.add_metrics("a" * 32, [Metric("m", 5.0, NOW, 5)])
    copied(source, target)
    with source.transaction() as tx:
        # A late point of an early step: the current value does not tell.
        tx.add_metrics("a" * 32, [Metric("m", 1.0, NOW, 1)])
        tx.put_tags("a" * 32, [Tag("t", "2"), Tag("new", "x")])
    counts = copied(source, target)
    assert everything(target) == everything(source)
    assert (counts.written["points"], counts.written["tags"], counts.written["runs"]) == (1, 2, 0)


def test_points_that_an_ended_run_got_late_come_when_all_points_are_compared(source: Store, target: Store) -> None:
    copied(source, target)
    with source.transaction() as tx:
        tx.add_metrics(RUNS[0], [Metric("loss", 7.0, NOW, 0)])
    copied(source, target)
    late = [point for point in source.list_metric_history(RUNS[0], "loss") if point.step == 0]
    assert len(late) == 1 and late[0] not in target.list_metric_history(RUNS[0], "loss")
    counts = Counts()
    copy(StoreSide("FROM", source), StoreSide("TO", target), counts, all_points=True)
    assert target.list_metric_history(RUNS[0], "loss") == source.list_metric_history(RUNS[0], "loss")
    assert counts.written["points"] == 1


def test_an_id_that_is_taken_by_another_experiment_makes_way_for_nobody(source: Store, target: Store) -> None:
    with target.transaction() as tx:
        taken = tx.add_experiment("was here first", None, (), NOW, "mlflow-artifacts:")
    assert taken == "1"
    copied(source, target)
    kept, new = target.get_experiment(taken), target.get_experiment_by_name("ö'ther")
    assert kept is not None and kept.name == "was here first"
    assert new is not None and new.experiment_id != taken and new.lifecycle_stage == DELETED
    info = target.get_run_info(RUNS[2])
    assert info is not None and info.experiment_id == new.experiment_id
    assert sum(copied(source, target).written.values()) == 0


def test_a_param_that_differs_is_named_and_the_rest_is_copied(source: Store, target: Store) -> None:
    with target.transaction() as tx:
        tx.add_run(run_info(RUNS[0]), [])
        tx.add_params(RUNS[0], [Param("p", "another")])
    counts = copied(source, target)
    assert len(counts.refused) == 1 and RUNS[0] in counts.refused[0] and "'p'" in counts.refused[0]
    run_there = target.get_run(RUNS[0])
    assert run_there is not None and dict(run_there.params) == {"p": "another", "empty": ""}
    assert len(target.list_metric_history(RUNS[0], "loss")) == 5


def test_a_copy_that_was_deleted_stays_deleted(source: Store, target: Store) -> None:
    copied(source, target)
    with target.transaction() as tx:
        info = tx.get_run_info(RUNS[0])
        assert info is not None
        tx.put_run_info(info._replace(lifecycle_stage=DELETED), NOW)
    copied(source, target)
    after = target.get_run_info(RUNS[0])
    assert after is not None and after.lifecycle_stage == DELETED


def test_what_a_folder_cannot_hold_is_named_and_the_rest_is_copied(tmp_path: Path) -> None:
    memory = MemoryStore()
    with memory.transaction() as tx:
        tx.add_run(run_info(RUNS[0]), [])
        tx.add_params(RUNS[0], [Param("a", "1"), Param("a/b", "2")])
        tx.add_run(run_info(RUNS[1]), [])
    folder = open_store(str(tmp_path / "to"), sync="off")
    counts = copied(memory, folder)
    assert folder.get_run(RUNS[1]) is not None
    assert len(counts.refused) == 1 and RUNS[0] in counts.refused[0] and "a/b" in counts.refused[0]
    folder.close()


def by_origin(store: Store) -> Dict[str, Any]:
    """What was logged to each run, by the id of its original."""
    found = {}
    ids = [each.experiment_id for each in store.search_experiments(ALL, None, (), 99)[0]]
    runs, _ = store.search_runs(ids, ALL, None, (), 99)
    for one in runs:
        tags = dict(one.tags)
        origin = tags.pop(COPIED_FROM, one.info.run_id)
        points = {
            (m.key, p.timestamp, p.step, repr(p.value))
            for m in one.metrics for p in store.list_metric_history(one.info.run_id, m.key)
        }
        info = one.info._replace(run_id="", experiment_id="", artifact_uri="", start_time=None)
        assert origin not in found, "copied twice"
        found[origin] = (info, tags, dict(one.params), points, one.dataset_inputs)
    return found


def test_a_copy_to_a_server_and_back_holds_all_of_it_once(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "from"), sync="off")
    fill(store, with_models=False)
    expected = by_origin(store)
    with Running(tmp_path) as server:
        uri = f"http://127.0.0.1:{server.port}"
        counts = Counts()
        side = ServerSide(uri)
        copy(StoreSide("FROM", store), side, counts)
        assert counts.refused == [] and counts.written["points"] == 24
        again = Counts()
        copy(StoreSide("FROM", store), side, again)
        assert sum(again.written.values()) == 0 and again.skipped["runs"] == 3
        back = MemoryStore()
        copy(side, StoreSide("TO", back), Counts())
        repeated = Counts()
        copy(side, StoreSide("TO", back), repeated)
        assert sum(repeated.written.values()) == 0
        # And where it came from nothing is new: these are its own runs.
        home = Counts()
        copy(side, StoreSide("TO", store), home)
        assert home.written.get("runs") == 0
        side.close()
    names = {e.name: (e.lifecycle_stage, dict(e.tags)) for e in back.search_experiments(ALL, None, (), 99)[0]}
    assert names == {"Default": ("active", {}), "ö'ther": (DELETED, {"k": "v"})}
    served = open_store(str(tmp_path / "mlruns"), read_only=True)
    assert by_origin(served) == expected
    assert ids(served) == ids(store) == RUNS
    served.close()
    store.close()


def ids(store: Store) -> List[str]:
    """The ids of all runs, none of which may have the tag of a copy."""
    found = [each.experiment_id for each in store.search_experiments(ALL, None, (), 99)[0]]
    runs, _ = store.search_runs(found, ALL, None, (), 99)
    assert not any(COPIED_FROM in dict(one.tags) for one in runs)
    return sorted(one.info.run_id for one in runs)


def test_a_server_gets_no_second_copy_of_a_run_it_has_under_another_id_or_elsewhere(tmp_path: Path) -> None:
    odd = "of-no-usual-form"
    store = open_store(str(tmp_path / "from"), sync="off")
    fill(store, with_models=False)
    with store.transaction() as tx:
        tx.add_run(run_info(odd), [])
    with Running(tmp_path) as server:
        side = ServerSide(f"http://127.0.0.1:{server.port}")
        side._takes_ids = False  # As copies were made before, and still are to MLflow's own server.
        copy(StoreSide("FROM", store), side, Counts())
        side.close()
        one_more = "a" * 32
        with store.transaction() as tx:
            tx.add_run(run_info(one_more), [Tag("mlflow.runName", "late")])
        for runs in (1, 0):
            side, counts = ServerSide(f"http://127.0.0.1:{server.port}"), Counts()
            copy(StoreSide("FROM", store), side, counts)
            assert (counts.refused, counts.written["runs"], counts.skipped["runs"]) == ([], runs, 5 - runs)
            if runs:
                away = side.http.post("experiments/create", {"name": "away"})["experiment_id"]
                moved = {"run_ids": [one_more], "experiment_id": away}
                assert side.http.post_if_known("/api/trackd/runs/move", moved) is not None
            side.close()
    served = open_store(str(tmp_path / "mlruns"), read_only=True)
    assert sorted(by_origin(served)) == sorted([*RUNS, odd, one_more])
    kept = served.get_run(one_more)
    assert kept is not None and kept.info.experiment_id == away and served.get_run(RUNS[0]) is None
    served.close()
    store.close()


def test_logged_models_go_to_a_server_with_what_links_them(source: Store, tmp_path: Path) -> None:
    with Running(tmp_path) as server:
        side = ServerSide(f"http://127.0.0.1:{server.port}")
        for written in (1, 0):
            counts = Counts()
            copy(StoreSide("FROM", source), side, counts)
            kinds = ("logged models", "points of models", "inputs", "outputs", "registered models", "model versions")
            expected = [written, 4 * written, 6 * written, 0, 2 * written, 3 * written]
            assert [counts.written.get(kind) for kind in kinds] == expected, counts.refused
            # A deleted model is not shown by servers, so none is made there, and three runs name it.
            assert len(counts.refused) == 4 and all("m-2" in line for line in counts.refused)
        side.close()
    served = open_store(str(tmp_path / "mlruns"), read_only=True)
    (info,) = served.list_logged_model_infos("0")
    model, original = served.get_logged_model(info.model_id), source.get_logged_model("m-1")
    assert model is not None and original is not None
    assert (info.name, info.status, info.model_type) == ("model", 2, "llm") and dict(model.params) == {"depth": "3"}
    assert [p[1:4] + p[5:7] for p in model.metrics] == [p[1:4] + p[5:7] for p in original.metrics]
    runs = by_origin(served)
    run = served.get_run(str(info.source_run_id))
    assert run is not None and run.info.run_id == RUNS[0] and COPIED_FROM not in dict(run.tags)
    assert [each.model_id for each in run.model_inputs] == [info.model_id]
    assert [runs[run_id][0].lifecycle_stage for run_id in RUNS] == ["active", "deleted", "deleted"]
    (prompt, one_of_it), (registered, versions) = registry(served)
    assert (registered.name, registered.description, registered.tags) == ("it's ü", "about", [Tag("t", "1")])
    assert [(each.version, each.current_stage, each.run_id) for each in versions] == [
        (1, "None", info.source_run_id), (3, "Production", info.source_run_id)
    ]
    assert versions[0].source == f"{run.info.artifact_uri}/model" and versions[0].tags == [Tag("v", "ü")]
    assert [(alias.alias, alias.version) for alias in registered.aliases] == [("champion", 3)]
    assert prompt.name == "greeting" and dict(one_of_it[0].tags)["x"] == "hi"
    served.close()


def test_the_command_copies_and_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: "pytest.CaptureFixture[str]"
) -> None:
    store = open_store(str(tmp_path / "from"), sync="off")
    fill(store, with_models=False)
    store.close()
    monkeypatch.chdir(tmp_path)
    assert main(["copy", "from", "to"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["runs", "3", "3", "0"] in lines and ["points", "24", "24", "0"] in lines
    assert main(["copy", "from", "to"]) == 0
    assert ["runs", "3", "0", "3"] in [line.split() for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize("words, code, text", [
    (("copy", "from"), 2, "copy takes two places"),
    (("copy", "nowhere", "to"), 1, "no folder"),
    (("copy", "from", "from"), 2, "the same place"),
    (("copy", "from", "ftp://x"), 2, "ftp"),
    (("copy", "from", "http://127.0.0.1:9"), 1, "does not answer"),
])
def test_a_mistake_gets_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: "pytest.CaptureFixture[str]", words: "tuple[str, ...]",
    code: int, text: str,
) -> None:
    os.mkdir(tmp_path / "from")
    monkeypatch.chdir(tmp_path)
    assert main(words) == code
    assert text in capsys.readouterr().err
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.slow
def test_a_folder_that_is_served_is_copied_from_and_not_to(tmp_path: Path) -> None:
    with Running(tmp_path):
        assert run("copy", "mlruns", "to", cwd=tmp_path).returncode == 0
        refused = run("copy", "to", "mlruns", cwd=tmp_path)
        assert refused.returncode == 1 and "already served" in refused.stderr


def artifacts(folder: Path) -> Dict[str, bytes]:
    """Every file below a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    }


def test_artifacts_are_copied_on_request_and_once(
    source: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: "pytest.CaptureFixture[str]"
) -> None:
    source.close()
    monkeypatch.chdir(tmp_path)
    files = {
        f"0/{RUNS[0]}/artifacts/a b/ü.txt": b"1", f"0/{RUNS[0]}/artifacts/big": os.urandom(700_000),
        f"0/{RUNS[1]}/artifacts/empty": b"", "0/models/m-1/artifacts/MLmodel": b"m",
    }
    for name, data in files.items():
        path = tmp_path / "there" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    words = ["copy", "from", "to", "--artifacts", "--from-artifacts", "there", "--to-artifacts", "here"]
    assert main(words) == 0, capsys.readouterr().err
    assert artifacts(tmp_path / "here") == files
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["artifacts", "4", "4", "0"] in lines and ["bytes", "700,002", "700,002", "0"] in lines
    os.truncate(tmp_path / "here" / "0" / RUNS[0] / "artifacts" / "big", 5)
    assert main(words) == 0
    assert ["artifacts", "4", "1", "3"] in [line.split() for line in capsys.readouterr().out.splitlines()]
    assert artifacts(tmp_path / "here") == files


def test_artifacts_go_through_servers_to_where_the_copies_of_their_runs_look(
    source: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: "pytest.CaptureFixture[str]"
) -> None:
    source.close()
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "there" / "0" / RUNS[0] / "artifacts" / "a b" / "ü+.txt"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x" * 300_000)
    (tmp_path / "served").mkdir()
    with Running(tmp_path / "served") as server:
        uri = f"http://127.0.0.1:{server.port}"
        main(["copy", "from", uri, "--artifacts", "--from-artifacts", "there"])
        out = capsys.readouterr().out
        assert ["artifacts", "1", "1", "0"] in [line.split() for line in out.splitlines()]
        assert main(["copy", uri, "back", "--artifacts", "--to-artifacts", "again"]) == 0
        out = capsys.readouterr().out
        assert ["bytes", "300,000", "300,000", "0"] in [line.split() for line in out.splitlines()]
    (kept,) = artifacts(tmp_path / "served" / "mlartifacts").items()
    assert kept[1] == path.read_bytes() and artifacts(tmp_path / "again") == dict([kept])


def test_a_copy_into_a_database_and_back_is_the_same(source: Store, tmp_path: Path) -> None:
    database = open_store(f"sqlite:///{tmp_path / 'my.db'}", sync="off")
    first = copied(source, database)
    assert sum(copied(source, database).written.values()) == 0 and first.written["runs"] == 3
    back = open_store(str(tmp_path / "back"), sync="off")
    counts = copied(database, back)
    assert [one[:2] for one in everything(back)] == [one[:2] for one in everything(source)]
    for one, original in zip(everything(back), everything(source)):
        assert sorted(one[2]) == sorted((key, text.replace("-0.0", "0.0"), *rest) for key, text, *rest in original[2])
    assert registry(back) == registry(source)
    assert experiments(back) == experiments(source) and models(back) == models(source)
    assert counts.refused == [] and database.check() == []
    database.close()
    back.close()
