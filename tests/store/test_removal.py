"""What is dropped is gone from tables and folders, with all that hung on it and nothing else."""

import os
import sqlite3
from pathlib import Path
from typing import Iterator, List

import pytest

from tests.store.test_file_store import NOW, add_run, problems
from trackd.entities import DELETED, Dataset, DatasetInput, LoggedModelInfo, Metric, ModelOutput, Param, Tag
from trackd.errors import PermissionDenied
from trackd.store import open_store
from trackd.store.base import Store
from trackd.store.file.store import FileStore
from trackd.store.sql.removal import Removal

GONE, KEPT = "a" * 32, "b" * 32


def fill(store: Store, run_id: str, experiment_id: str = "0") -> None:
    add_run(store, run_id, experiment_id)
    with store.transaction() as tx:
        tx.add_params(run_id, [Param("p", "1")])
        tx.add_metrics(run_id, [Metric("m", 1.0, NOW, 1)])
        tx.add_inputs(run_id, [DatasetInput(Dataset("d", "1", "local", "{}"), [Tag("mlflow.data.context", "t")])], [])
        tx.add_outputs(run_id, [ModelOutput("m-" + run_id)])


def test_a_dropped_run_is_gone_and_the_others_are_whole(store: Store) -> None:
    fill(store, GONE)
    fill(store, KEPT)
    kept = store.get_run(KEPT)
    with store.transaction() as tx:
        tx.drop_runs([GONE])
        assert tx.get_run_info(GONE) is None
    assert store.get_run(GONE) is None and store.list_metric_history(GONE, "m") == []
    assert store.get_run(KEPT) == kept and len(store.list_metric_history(KEPT, "m")) == 1
    assert [info.run_id for info in store.list_run_infos("0")] == [KEPT]
    with store.transaction() as tx:
        tx.add_run(kept.info._replace(run_id=GONE), [])  # type: ignore[union-attr]
    again = store.get_run(GONE)
    assert again is not None and not (again.metrics or again.params or again.dataset_inputs or again.model_outputs)


def test_a_dropped_experiment_takes_its_runs_with_it(store: Store) -> None:
    with store.transaction() as tx:
        gone = tx.add_experiment("gone", None, [Tag("a", "b")], NOW, "mlflow-artifacts:")
    fill(store, GONE, gone)
    fill(store, KEPT)
    with store.transaction() as tx:
        tx.drop_experiment(gone)
    assert store.get_experiment(gone) is None and store.get_experiment_by_name("gone") is None
    assert store.get_run(GONE) is None and store.get_run(KEPT) is not None
    with store.transaction() as tx:
        assert tx.add_experiment("gone", None, [], NOW, "mlflow-artifacts:") != "0"


def test_a_write_that_fails_after_a_drop_takes_it_back(store: Store) -> None:
    fill(store, GONE)
    before = store.get_run(GONE)
    with pytest.raises(PermissionDenied):
        with store.transaction() as tx:
            tx.drop_runs([GONE])
            raise PermissionDenied("no")
    assert store.get_run(GONE) == before


def test_deleted_runs_are_listed_by_the_time_of_their_deletion(store: Store) -> None:
    add_run(store, GONE)
    add_run(store, KEPT)
    for run_id, time in ((GONE, NOW), (KEPT, NOW + 10)):
        with store.transaction() as tx:
            info = tx.get_run_info(run_id)
            assert info is not None
            tx.put_run_info(info._replace(lifecycle_stage=DELETED), time)
    assert {info.run_id for info in store.list_deleted_runs()} == {GONE, KEPT}
    assert [info.run_id for info in store.list_deleted_runs(NOW)] == [GONE]
    assert store.list_deleted_runs(NOW - 1) == []


@pytest.fixture
def files(tmp_path: Path) -> Iterator[FileStore]:
    opened = open_store(str(tmp_path / "mlruns"), sync="off")
    assert isinstance(opened, FileStore)
    yield opened
    opened.close()
    assert problems(tmp_path / "mlruns") == []


def test_dropped_folders_leave_nothing_behind(files: FileStore) -> None:
    root = Path(files.root)
    with files.transaction() as tx:
        experiment_id = tx.add_experiment("gone", None, [], NOW, "mlflow-artifacts:")
    fill(files, KEPT, experiment_id)
    fill(files, GONE)
    with files.transaction() as tx:
        tx.drop_runs([GONE])
    assert sorted(os.listdir(root / "0")) == ["datasets", "meta.yaml"]
    with files.transaction() as tx:
        found = tx.get_experiment(experiment_id)
        assert found is not None
        tx.put_experiment(found._replace(lifecycle_stage=DELETED))
    (root / ".trash" / experiment_id / "traces").mkdir()
    with files.transaction() as tx:
        tx.drop_experiment(experiment_id)
    assert os.listdir(root / ".trash") == [] and not (root / experiment_id).exists()
    assert files.counts() == {"experiments": 1, "runs": 0}


def test_a_link_goes_and_what_it_points_to_stays(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    store = open_store(str(tmp_path / "mlruns"), sync="off")
    root = tmp_path / "mlruns"
    with store.transaction() as tx:
        experiment_id = tx.add_experiment("linked", None, [], NOW, "mlflow-artifacts:")
    fill(store, GONE)
    fill(store, KEPT, experiment_id)
    store.close()
    (outside / "runs").mkdir(parents=True)
    (outside / "precious").write_text("x")
    (root / "0" / GONE / "artifacts" / "out").symlink_to(outside)
    os.rename(root / experiment_id, outside / "experiment")
    (root / experiment_id).symlink_to(outside / "experiment")
    store = open_store(str(root), sync="off")
    with store.transaction() as tx:
        assert tx.obstacle("0", GONE) is None and tx.obstacle(experiment_id) is None
        assert str(root / experiment_id) in (tx.obstacle(experiment_id, KEPT) or "")
        tx.drop_runs([GONE])
        tx.drop_experiment(experiment_id)
    store.close()
    assert (outside / "precious").read_text() == "x" and (outside / "experiment" / KEPT / "meta.yaml").exists()
    assert not os.path.lexists(root / experiment_id) and not (root / "0" / GONE).exists()


TABLES = """
CREATE TABLE experiments (experiment_id INTEGER PRIMARY KEY);
CREATE TABLE runs (run_uuid TEXT PRIMARY KEY, experiment_id INTEGER REFERENCES experiments (experiment_id));
CREATE TABLE metrics (key TEXT, run_uuid TEXT REFERENCES runs (run_uuid));
CREATE TABLE issues (id INTEGER, source TEXT REFERENCES runs (run_uuid) ON DELETE SET NULL);
CREATE TABLE traces (id TEXT PRIMARY KEY, experiment_id INTEGER REFERENCES experiments ON DELETE CASCADE);
CREATE TABLE spans (trace TEXT REFERENCES traces, id TEXT, PRIMARY KEY (trace, id));
CREATE TABLE span_metrics (trace TEXT, span TEXT, FOREIGN KEY (trace, span) REFERENCES spans (trace, id));
CREATE TABLE rollups (experiment_id INTEGER);
INSERT INTO experiments VALUES (1), (2);
INSERT INTO runs VALUES ('a', 1), ('b', 2);
INSERT INTO metrics VALUES ('m', 'a'), ('m', 'b');
INSERT INTO issues VALUES (1, 'a'), (2, 'b');
INSERT INTO traces VALUES ('t1', 1), ('t2', 2);
INSERT INTO spans VALUES ('t1', 's'), ('t2', 's');
INSERT INTO span_metrics VALUES ('t1', 's'), ('t2', 's');
INSERT INTO rollups VALUES (1), (2);
"""


def test_what_hangs_on_a_row_is_read_from_the_keys_of_the_database() -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.executescript(TABLES)

    def rows(table: str) -> List[tuple]:
        return connection.execute(f"SELECT * FROM {table}").fetchall()

    Removal(connection).drop("runs", "run_uuid", '["a"]')
    assert rows("metrics") == [("m", "b")] and rows("issues") == [(1, None), (2, "b")]
    assert len(rows("traces")) == 2
    Removal(connection).drop("experiments", "experiment_id", "[2]")
    assert rows("runs") == [] and rows("traces") == [("t1", 1)] and rows("spans") == [("t1", "s")]
    assert rows("span_metrics") == [("t1", "s")] and rows("rollups") == [(1,)] and rows("issues")[1] == (2, None)
    assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    connection.close()


def test_a_dropped_model_is_gone_with_its_points_and_links(store: Store) -> None:
    fill(store, KEPT)
    info = LoggedModelInfo("m-1", "0", "model", "mlflow-artifacts:/0/models/m-1/artifacts", NOW, NOW, 2, DELETED)
    with store.transaction() as tx:
        tx.add_logged_model(info, [Param("p", "1")], [Tag("t", "1")])
        tx.add_logged_model(info._replace(model_id="m-2", lifecycle_stage="active"), [], [])
        tx.add_metrics(KEPT, [Metric("acc", 0.5, NOW, 1, model_id="m-1")])
        tx.add_outputs(KEPT, [ModelOutput("m-1"), ModelOutput("m-2")])
    assert [one.model_id for one in store.list_deleted_logged_models()] == ["m-1"]
    assert store.list_deleted_logged_models(NOW - 1) == []
    with store.transaction() as tx:
        tx.drop_logged_models(["m-1"])
    assert store.get_logged_model("m-1") is None and store.get_logged_model("m-2") is not None
    assert [one.model_id for one in store.list_logged_model_infos("0")] == ["m-2"]
    if isinstance(store, FileStore):
        assert os.listdir(Path(store.root) / "0" / "models") == ["m-2"]
