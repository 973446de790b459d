"""Registered models in MLflow's folders: what lies where, what others wrote, what is damaged, names of all kinds."""

import shutil
import time
from pathlib import Path
from typing import Any, Callable, List, Tuple

import pytest

from trackd.entities import DELETED_STAGE, ModelVersion, RegisteredModel, Tag
from trackd.errors import InvalidParameterValue
from trackd.store.file import layout
from trackd.store.file.metafile import load
from trackd.store.file.store import FileStore

MLFLOW_MODEL = """aliases: {}
creation_timestamp: 1700000000000
deployment_job_id: null
deployment_job_state: null
description: from elsewhere
last_updated_timestamp: 1700000000001
name: NAME
workspace: default
"""
MLFLOW_VERSION = """creation_timestamp: 1700000000002
current_stage: Production
description: null
last_updated_timestamp: 1700000000003
name: NAME
run_id: null
run_link: null
source: s3://bucket/m
status: READY
status_message: null
storage_location: s3://bucket/m
user_id: null
version: NUMBER
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "mlruns"


def opened(root: Path, log: Callable[[str], None] = lambda line: None) -> FileStore:
    return FileStore(str(root), sync="off", log=log)


def add_model(store: FileStore, name: str, *tags: Tag) -> None:
    with store.transaction() as tx:
        tx.add_registered_model(RegisteredModel(name, 1, 2, "d", tags))


def add_version(store: FileStore, name: str, *tags: Tag) -> int:
    with store.transaction() as tx:
        number = tx.next_model_version(name)
        tx.add_model_version(
            ModelVersion(name, number, 3, 4, "d", None, "None", "s3://b/m", "s3://b/m", "", "", "READY", None, tags)
        )
    return number


def everything(store: FileStore) -> Tuple[List[RegisteredModel], List[ModelVersion]]:
    return store.search_registered_models(True, None, (), 1000)[0], store.search_model_versions(True, None, (), 9999)[0]


def by_mlflow(root: Path, folder: str, name: str, *numbers: int) -> Path:
    """A model as MLflow's file store leaves it."""
    place = root / "models" / folder
    place.mkdir(parents=True, exist_ok=True)
    (place / "meta.yaml").write_text(MLFLOW_MODEL.replace("NAME", name))
    for number in numbers:
        (place / f"version-{number}").mkdir()
        text = MLFLOW_VERSION.replace("NAME", name).replace("NUMBER", str(number))
        (place / f"version-{number}" / "meta.yaml").write_text(text)
    return place


def seen(store: FileStore, condition: Callable[[], Any]) -> bool:
    """Whether it becomes true within the two seconds that others' writes may take to be seen."""
    end = time.monotonic() + 2
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return bool(condition())


def test_a_model_lies_where_mlflow_looks_for_it(root: Path) -> None:
    store = opened(root)
    add_model(store, "iris", Tag("a/b", "1"))
    assert [add_version(store, "iris", Tag("k", "v")), add_version(store, "iris")] == [1, 2]
    with store.transaction() as tx:
        tx.put_alias("iris", "best", 2)
        version = tx.get_model_version("iris", 1)
        assert version is not None
        tx.put_model_version(version._replace(current_stage=DELETED_STAGE, source="gone"))
    store.close()
    place = root / "models" / "iris"
    files = {str(path.relative_to(place)) for path in place.rglob("*") if path.is_file()}
    assert files == {"meta.yaml", "tags/a/b", "aliases/best", "version-1/meta.yaml", "version-1/tags/k",
                     "version-2/meta.yaml"}
    assert (place / "aliases" / "best").read_text() == "2" and (place / "version-1/tags/k").read_text() == "v"
    meta = load((place / "meta.yaml").read_bytes())
    assert meta == {"creation_timestamp": 1, "deployment_job_id": None, "deployment_job_state": None,
                    "description": "d", "last_updated_timestamp": 2, "name": "iris", "workspace": "default"}
    gone = load((place / "version-1" / "meta.yaml").read_bytes())
    assert (gone["current_stage"], gone["source"], gone["version"]) == (DELETED_STAGE, "gone", 1)


def test_the_index_can_be_deleted_and_nothing_is_lost(root: Path) -> None:
    store = opened(root)
    for name in ("iris", "n" * 300, "50%", ".hidden", "zero\0", "größe"):
        add_model(store, name, Tag("t", name))
        for _ in range(3):
            add_version(store, name, Tag("v", name))
        with store.transaction() as tx:
            tx.put_alias(name, "best", 2)
            tx.put_alias(name, "漢" * 200, 3)
    before = everything(store)
    store.close()
    (root / ".trackd-index.db").unlink()
    log: List[str] = []
    store = opened(root, log.append)
    assert everything(store) == before and len(before[0]) == 6 and len(before[1]) == 18
    assert store.check() == [] and log == []
    store.close()


def test_what_mlflow_wrote_is_there_at_the_start_and_survives_a_rewrite(root: Path) -> None:
    place = by_mlflow(root, "iris", "iris", 1, 2)
    (place / "tags").mkdir()
    (place / "tags" / "team").write_text("blue")
    (place / "aliases").mkdir()
    (place / "aliases" / "best").write_text("1")
    (place / "version-2" / "meta.yaml").open("a").write("model_id: m-1\nunknown: 5\n")
    store = opened(root)
    (model,), versions = everything(store)
    assert (model.name, model.description, model.tags, model.aliases) == (
        "iris", "from elsewhere", [("team", "blue")], [("best", 1)])
    assert [(each.version, each.current_stage, each.source) for each in versions] == [
        (2, "Production", "s3://bucket/m"), (1, "Production", "s3://bucket/m")]
    with store.transaction() as tx:
        version = tx.get_model_version("iris", 2)
        assert version is not None
        tx.put_model_version(version._replace(description="ours"))
        tx.put_registered_model(model._replace(description="ours, too"))
    store.close()
    kept = load((place / "version-2" / "meta.yaml").read_bytes())
    assert (kept["description"], kept["model_id"], kept["unknown"]) == ("ours", "m-1", 5)
    assert load((place / "meta.yaml").read_bytes())["description"] == "ours, too"


def test_what_others_write_is_seen_within_two_seconds(root: Path) -> None:
    store = opened(root)
    try:
        add_model(store, "ours")
        add_version(store, "ours")
        place = by_mlflow(root, "theirs", "theirs", 1)
        assert seen(store, lambda: store.get_model_version("theirs", 1))
        by_mlflow(root, "theirs", "theirs")
        text = MLFLOW_VERSION.replace("NAME", "theirs").replace("NUMBER", "2")
        (place / "version-2").mkdir()
        (place / "version-2" / "meta.yaml").write_text(text)
        assert seen(store, lambda: store.get_model_version("theirs", 2))
        (place / "version-1" / "meta.yaml").write_text(text.replace("version: 2", "version: 1").replace("null", "x", 1))
        assert seen(store, lambda: (store.get_model_version("theirs", 1) or version())[4] == "x")
        (place / "version-2" / "tags").mkdir()
        (place / "version-2" / "tags" / "k").write_text("v")
        (place / "meta.yaml").write_text(MLFLOW_MODEL.replace("NAME", "theirs").replace("elsewhere", "there"))
        assert seen(store, lambda: (store.get_model_version("theirs", 2) or version()).tags == [("k", "v")])
        assert seen(store, lambda: store.search_registered_models(True, None, (), 9)[0][1].description == "from there")
        (root / "models" / "ours" / "aliases").mkdir()
        (root / "models" / "ours" / "aliases" / "best").write_text("1")
        assert seen(store, lambda: (store.get_model_version("ours", 1) or version()).aliases == ["best"])
        # As MLflow renames: everything is copied, then the old folder goes.
        by_mlflow(root, "new", "new", 1, 2)
        shutil.rmtree(place)
        assert seen(store, lambda: not store.has_registered_model("theirs") and store.get_model_version("new", 2))
        (root / "models" / "new" / "version-3").mkdir()  # MLflow has begun a version
        assert add_version(store, "new") == 4
        assert store.check() == []
    finally:
        store.close()


def version() -> ModelVersion:
    """A version that equals none."""
    return ModelVersion("", 0, 0, 0, None, None, "", None, None, None, None, None, None)


def test_damage_is_reported_with_its_path_and_hides_nothing_else(root: Path) -> None:
    good = by_mlflow(root, "good", "good", 1, 2)
    bad = by_mlflow(root, "bad", "bad", 1)
    (bad / "meta.yaml").write_bytes(b"name: [\n")
    (good / "version-2" / "meta.yaml").write_text("version: 3\n")
    (good / "version-x").mkdir()
    (good / "aliases").mkdir()
    (good / "aliases" / "word").write_text("one")
    (good / "aliases" / "best").write_text("1")
    by_mlflow(root, "copy-of-good", "good", 7)
    (root / "models" / "empty").mkdir()
    (root / "models" / "file").write_text("x")
    log: List[str] = []
    store = opened(root, log.append)
    (model,), versions = everything(store)
    assert (model.name, model.aliases) == ("good", [("best", 1)]) and [each.version for each in versions] == [1]
    for path, what in (
        ("models/bad/meta.yaml", "is damaged"), ("good/version-2/meta.yaml", "version is '3'"),
        ("good/version-x", "is not a version"), ("good/aliases/word", "should hold a version's number"),
        ("models/empty/meta.yaml", "is missing"),
    ):
        assert [line for line in log if path in line and what in line], (path, log)
    assert len([line for line in log if "is a second model named 'good'" in line]) == 1
    assert {Path(problem.where).name for problem in store.check()} >= {"word", "version-x", "copy-of-good"}
    # A name whose folder cannot be read is not taken, and nothing is written into that folder.
    add_model(store, "bad")
    assert (bad / "meta.yaml").read_bytes() == b"name: [\n"
    with store.transaction() as tx:
        tx.drop_registered_model("bad")
    # What is mended is served.
    (good / "version-2" / "meta.yaml").write_text(
        MLFLOW_VERSION.replace("NAME", "good").replace("NUMBER", "2"))
    (bad / "meta.yaml").write_text(MLFLOW_MODEL.replace("NAME", "bad"))
    assert seen(store, lambda: store.get_model_version("good", 2) and store.get_model_version("bad", 1))
    store.close()


@pytest.mark.parametrize("name, plain", [
    ("iris", True), (".hidden", True), ("größe 漢", True), ("a\\b", True), ("~", True), ("con", True),
    ("n" * 255, True),
    ("n" * 256, False), ("漢" * 86, False), ("50%", False), ("zero\0", False), (".trackd-x", False),
])
def test_a_name_is_its_folder_wherever_a_file_system_and_mlflow_can_have_it(root: Path, name: str, plain: bool) -> None:
    store = opened(root)
    add_model(store, name)
    (folder,) = [entry.name for entry in (root / "models").iterdir()]
    assert (folder == name) == plain and "%" not in folder and len(folder.encode()) <= 255
    # The folder of a stand-in can be the name of another model.
    add_model(store, folder) if not plain else None
    assert store.has_registered_model(name) and store.has_registered_model(folder)
    store.close()


def test_names_that_are_one_to_the_file_system_have_folders_of_their_own(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layout, "folds_case", lambda root: True)
    names = ["Iris", "iris", "IRIS", "e\u0301", "\u00e9", "STRASSE", "straße"]
    store = opened(root)
    for name in names:
        add_model(store, name, Tag("mine", name))
        add_version(store, name)
        with store.transaction() as tx:
            for alias in ("Best", "best", "BEST"):
                tx.put_alias(name, alias, 1)
    folders = [entry.name for entry in (root / "models").iterdir()]
    assert len({layout.folded(folder) for folder in folders}) == len(folders) == len(names)
    assert {"Iris", "e\u0301", "STRASSE"} <= set(folders)
    for folder in folders:
        assert [entry.name for entry in (root / "models" / folder / "aliases").iterdir()] == ["Best"]
    before = everything(store)
    assert sorted(model.name for model in before[0]) == sorted(names)
    assert all(model.tags == [("mine", model.name)] and len(model.aliases) == 3 for model in before[0])
    with store.transaction() as tx:
        assert tx.drop_alias("iris", "best") and tx.drop_alias("iris", "Best")
        tx.rename_registered_model("iris", "ıris", 9)
    store.close()
    (root / ".trackd-index.db").unlink()
    store = opened(root)
    model = store.get_registered_model("ıris")
    assert model is not None and model.aliases == [("BEST", 1)]
    assert len(everything(store)[0]) == len(names)
    store.close()


def test_a_tag_that_cannot_be_a_file_is_refused_and_nothing_of_the_write_is_kept(root: Path) -> None:
    store = opened(root)
    add_model(store, "iris", Tag("a", "1"))
    for key in ("x" * 256, "a/b"):
        with pytest.raises(InvalidParameterValue):
            with store.transaction() as tx:
                tx.put_registered_model_tags("iris", [Tag("fine", "1"), Tag(key, "2")])
    assert everything(store)[0][0].tags == [("a", "1")]
    store.close()
