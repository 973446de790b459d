"""Logged models in a folder: what is written, what is read, what others write."""

import math
import shutil
import time
from pathlib import Path
from typing import Any, Callable, Iterator, List

import pytest

from trackd.entities import ACTIVE, DELETED, LoggedModel, LoggedModelInfo, Metric, Param, RunInfo, Tag
from trackd.errors import InvalidParameterValue
from trackd.store import open_store
from trackd.store.base import Problem
from trackd.store.file.metafile import load
from trackd.store.file.store import FileStore

NOW = 1_700_000_000_000
RUN, MODEL = "a" * 32, "m-" + "1" * 32


def model_info(model_id: str = MODEL, experiment_id: str = "0", **changes: Any) -> LoggedModelInfo:
    uri = f"mlflow-artifacts:/{experiment_id}/models/{model_id}/artifacts"
    info = LoggedModelInfo(model_id, experiment_id, "a model", uri, NOW, NOW, 1, ACTIVE, "", RUN)
    return info._replace(**changes)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "mlruns"


@pytest.fixture
def store(root: Path) -> Iterator[FileStore]:
    """A store with a run, and a logged model with a few of everything."""
    store = open_store(str(root), sync="off")
    assert isinstance(store, FileStore)
    with store.transaction() as tx:
        tx.add_run(RunInfo(RUN, "0", "a run", "me", "RUNNING", NOW, None, "mlflow-artifacts:/x", ACTIVE), [])
        tx.add_logged_model(model_info(), [Param("p", "1"), Param("deep/p", "ü")], [Tag("t", "old"), Tag("u", "")])
        tx.add_metrics(RUN, [Metric("acc", 0.5, NOW, 1, MODEL), Metric("acc", 0.75, NOW, 1, MODEL, "my data", "d1")])
    yield store
    store.close()
    assert problems(root) == []


def problems(root: Path) -> List[Problem]:
    """What ``trackd check`` says of a folder that nobody serves."""
    reader = open_store(str(root), read_only=True)
    try:
        return reader.check()
    finally:
        reader.close()


def get(store: FileStore, model_id: str = MODEL) -> LoggedModel:
    found = store.get_logged_model(model_id)
    assert found is not None
    return found


def folder(root: Path, model_id: str = MODEL) -> Path:
    return root / "0" / "models" / model_id


def wait_until(happened: Callable[[], bool]) -> None:
    """What others write shows within two seconds; a busy machine gets more."""
    end = time.monotonic() + 20
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_model_lies_where_mlflow_keeps_it(store: FileStore, root: Path) -> None:
    model = folder(root)
    meta = load((model / "meta.yaml").read_bytes())
    assert meta == {
        "artifact_location": f"mlflow-artifacts:/0/models/{MODEL}/artifacts", "creation_timestamp": NOW,
        "experiment_id": "0", "last_updated_timestamp": NOW, "lifecycle_stage": "active", "model_id": MODEL,
        "model_type": "", "name": "a model", "source_run_id": RUN, "status": 1, "status_message": None,
    }  # fmt: skip
    assert (model / "params" / "deep" / "p").read_text(encoding="utf-8") == "ü"
    assert (model / "tags" / "t").read_text() == "old"
    lines = (model / "metrics" / "acc").read_text().splitlines()
    assert lines == [f"{NOW} 0.5 1 {RUN}", f"{NOW} 0.75 1 {RUN} my%20data d1"]


def test_a_model_is_what_was_put_into_it_also_from_a_new_index(store: FileStore, root: Path) -> None:
    with store.transaction() as tx:
        tx.put_logged_model_info(model_info(status=2, last_updated_timestamp_ms=NOW + 5))
        tx.add_logged_model_params(MODEL, [Param("q", "2")])
        tx.put_logged_model_tags(MODEL, [Tag("t", "new"), Tag("t", "newer")])
        assert tx.drop_logged_model_tag(MODEL, "u") and not tx.drop_logged_model_tag(MODEL, "nobody")
        tx.add_metrics(RUN, [Metric("odd", value, NOW, 0, MODEL, name, "%41")
                             for value, name in ((math.nan, "a%20b"), (math.inf, "tab\there"), (5e-324, "é"))])
    before = get(store)
    assert before.info == model_info(status=2, last_updated_timestamp_ms=NOW + 5)
    assert before.params == [Param("deep/p", "ü"), Param("p", "1"), Param("q", "2")]
    assert before.tags == [Tag("t", "newer")]
    points = [(point.key, repr(point.value), point.dataset_name, point.dataset_digest) for point in before.metrics]
    assert points == [
        ("acc", "0.5", None, None), ("acc", "0.75", "my data", "d1"),
        ("odd", "nan", "a%20b", "%41"), ("odd", "inf", "tab\there", "%41"), ("odd", "5e-324", "é", "%41"),
    ]  # fmt: skip
    assert {(point.model_id, point.run_id) for point in before.metrics} == {(MODEL, RUN)}
    store.close()
    (root / ".trackd-index.db").unlink()
    again = open_store(str(root), sync="off")
    assert isinstance(again, FileStore)
    assert repr(get(again)) == repr(before)
    again.close()


def test_a_point_is_kept_on_the_run_and_once_on_the_model(store: FileStore, root: Path) -> None:
    for _ in range(2):
        with store.transaction() as tx:
            tx.add_metrics(RUN, [Metric("acc", 0.5, NOW, 1, MODEL), Metric("new", math.nan, NOW, 1, MODEL)])
    assert len((folder(root) / "metrics" / "acc").read_text().splitlines()) == 2
    assert len((folder(root) / "metrics" / "new").read_text().splitlines()) == 1
    assert len(store.list_metric_history(RUN, "acc")) == 2
    assert [point.key for point in get(store).metrics] == ["acc", "acc", "new"]


def test_a_run_of_another_experiment_logs_to_the_model_where_it_lies(store: FileStore, root: Path) -> None:
    with store.transaction() as tx:
        other = tx.add_experiment("other", None, [], NOW, "mlflow-artifacts:")
        tx.add_run(RunInfo("b" * 32, other, "b", "me", "RUNNING", NOW, None, "mlflow-artifacts:/y", ACTIVE), [])
        tx.add_metrics("b" * 32, [Metric("far", 1.0, NOW, 0, MODEL)])
    assert (folder(root) / "metrics" / "far").read_text() == f"{NOW} 1.0 0 {'b' * 32}\n"
    with store.transaction() as tx:
        experiment = tx.get_experiment(other)
        assert experiment is not None
        tx.put_experiment(experiment._replace(lifecycle_stage=DELETED))
    with store.transaction() as tx:
        tx.drop_experiment(other)
    assert [point.run_id for point in get(store).metrics] == [RUN, RUN, "b" * 32]


def test_models_go_to_the_trash_with_their_experiment_and_come_back(store: FileStore, root: Path) -> None:
    before = get(store)
    for stage, place in ((DELETED, root / ".trash" / "0"), (ACTIVE, root / "0")):
        with store.transaction() as tx:
            experiment = tx.get_experiment("0")
            assert experiment is not None
            tx.put_experiment(experiment._replace(lifecycle_stage=stage))
        assert (place / "models" / MODEL / "meta.yaml").exists()
        with store.transaction() as tx:
            tx.put_logged_model_tags(MODEL, [Tag("t", stage)])
        assert (place / "models" / MODEL / "tags" / "t").read_text() == stage
        assert get(store).info == before.info
    with store.transaction() as tx:
        experiment = tx.get_experiment("0")
        assert experiment is not None
        tx.put_experiment(experiment._replace(lifecycle_stage=DELETED))
    with store.transaction() as tx:
        tx.drop_experiment("0")
    assert store.get_logged_model(MODEL) is None


def test_a_key_that_would_be_a_file_and_a_folder_is_refused(store: FileStore) -> None:
    with pytest.raises(InvalidParameterValue), store.transaction() as tx:
        tx.add_logged_model_params(MODEL, [Param("p/below", "1")])
    with pytest.raises(InvalidParameterValue), store.transaction() as tx:
        tx.add_logged_model(model_info("m-2"), [Param("a", "1"), Param("a/b", "1")], [])
    with pytest.raises(InvalidParameterValue), store.transaction() as tx:
        tx.put_logged_model_tags(MODEL, [Tag("../../../x", "1")])
    assert store.get_logged_model("m-2") is None
    assert [param.key for param in get(store).params] == ["deep/p", "p"]


def test_keys_that_trackd_does_not_know_survive_in_the_meta_file(store: FileStore, root: Path) -> None:
    meta = folder(root) / "meta.yaml"
    meta.write_bytes(meta.read_bytes() + b"future: x\n")
    with store.transaction() as tx:
        tx.put_logged_model_info(model_info(status=3))
    found = load(meta.read_bytes())
    assert (found["future"], found["status"]) == ("x", 3)


@pytest.mark.slow
def test_what_others_write_shows(store: FileStore, root: Path) -> None:
    source, other = folder(root), folder(root, "m-2")
    other.mkdir()
    text = (source / "meta.yaml").read_text().replace(MODEL, "m-2").replace("lifecycle_stage: active\n", "")
    (other / "meta.yaml").write_text(text.replace("a model", "theirs"))
    wait_until(lambda: store.get_logged_model("m-2") is not None)
    assert (get(store, "m-2").info.name, get(store, "m-2").info.lifecycle_stage) == ("theirs", ACTIVE)
    (other / "metrics").mkdir()
    (other / "metrics" / "m").write_text("5 0.25 3 somebody\n5 0.5 3 somebody d 1\n")
    (other / "tags").mkdir()
    (other / "tags" / "t").write_text("x")
    wait_until(lambda: len(get(store, "m-2").metrics) == 2 and get(store, "m-2").tags == [Tag("t", "x")])
    with open(source / "metrics" / "acc", "a") as file:
        file.write(f"{NOW} 0.125 9 {RUN}\n")
    wait_until(lambda: len(get(store).metrics) == 3)
    with store.transaction() as tx:
        tx.add_metrics(RUN, [Metric("acc", 0.0625, NOW, 10, MODEL)])
    assert (source / "metrics" / "acc").read_text().count("\n") == 4
    (other / "meta.yaml").write_text(text + "lifecycle_stage: deleted\n")
    wait_until(lambda: get(store, "m-2").info.lifecycle_stage == DELETED)
    shutil.rmtree(other)
    wait_until(lambda: store.get_logged_model("m-2") is None)


DAMAGED = {
    "no meta.yaml": ("meta.yaml", None),
    "rubbish": ("meta.yaml", "\0{"),
    "another id": ("meta.yaml", "model_id: m-9\nexperiment_id: '0'\nname: x\nartifact_location: x\nstatus: 1\n"),
    "another experiment": (
        "meta.yaml", f"model_id: {MODEL}\nexperiment_id: '7'\nname: x\nartifact_location: x\nstatus: 1\n"
    ),
    "a status of 9": (
        "meta.yaml", f"model_id: {MODEL}\nexperiment_id: '0'\nname: x\nartifact_location: x\nstatus: 9\n"
    ),
    "bad lines": ("metrics/acc", "1 2 3\n5 0.25 3 somebody\n1 x 3 somebody\n1 2 3 somebody d\n"),
    "a param that is not UTF-8": ("params/p", "\udcff"),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGED)
def test_damage_is_reported_and_hides_nothing_else(root: Path, damage: str) -> None:
    name, text = DAMAGED[damage]
    store = open_store(str(root), sync="off")
    with store.transaction() as tx:
        tx.add_logged_model(model_info(), [Param("p", "1")], [])
        tx.add_logged_model(model_info("m-2"), [], [])
    store.close()
    path = folder(root) / name
    path.unlink(missing_ok=True)
    if text is not None:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
    said: List[str] = []
    again = open_store(str(root), sync="off", log=said.append)
    assert any(str(path) in line for line in said), said
    found, _ = again.search_logged_models(["0"], None, (), 9)
    whole = name != "meta.yaml"
    assert [model.info.model_id for model in found] == ([MODEL] if whole else []) + ["m-2"]
    if name == "metrics/acc":
        assert [point.run_id for point in found[0].metrics] == ["somebody"]
    again.close()
    assert any(str(path) in problem.where for problem in problems(root))
    if text is not None:
        assert path.read_bytes() == text.encode("utf-8", "surrogateescape"), "nothing damaged is rewritten"


def test_a_name_of_a_dataset_with_blanks_as_mlflow_writes_it_is_read(root: Path) -> None:
    store = open_store(str(root), sync="off")
    with store.transaction() as tx:
        tx.add_logged_model(model_info(), [], [])
    store.close()
    (folder(root) / "metrics" / "m").write_text("1 0.5 3 somebody my own data d1\n1 0.25 3 somebody e d1\n")
    again = open_store(str(root), sync="off")
    found = again.get_logged_model(MODEL)
    assert found is not None
    assert [point.dataset_name for point in found.metrics] == ["my own data", "e"]
    assert {point.dataset_digest for point in found.metrics} == {"d1"}
    again.close()
    assert problems(root) == []


def test_a_second_model_of_one_id_is_reported_and_the_first_is_served(root: Path) -> None:
    store = open_store(str(root), sync="off")
    with store.transaction() as tx:
        other = tx.add_experiment("other", None, [], NOW, "mlflow-artifacts:")
        tx.add_logged_model(model_info(), [], [])
    store.close()
    copy = root / other / "models" / MODEL
    shutil.copytree(folder(root), copy)
    meta = (copy / "meta.yaml").read_text().replace("experiment_id: '0'", f"experiment_id: '{other}'")
    (copy / "meta.yaml").write_text(meta)
    (root / other / "models" / "no id!").mkdir()
    said: List[str] = []
    again = open_store(str(root), sync="off", log=said.append)
    assert any(str(copy) in line and "second" in line for line in said) and any("no id!" in line for line in said)
    found, _ = again.search_logged_models(["0", other], None, (), 9)
    assert [model.info.experiment_id for model in found] == ["0"]
    again.close()


def test_check_says_where_an_index_and_a_model_differ(root: Path) -> None:
    import sqlite3

    store = open_store(str(root), sync="off")
    with store.transaction() as tx:
        tx.add_logged_model(model_info(), [Param("p", "1")], [])
    store.close()
    connection = sqlite3.connect(root / ".trackd-index.db")
    connection.execute("UPDATE logged_model_params SET param_value = 'forged'")
    connection.commit()
    connection.close()
    assert {problem.where for problem in problems(root)} == {f"{root}: logged_model_params"}
