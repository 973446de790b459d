"""What databases of older MLflow releases are too old for, and the statements that fit them."""

import sqlite3
from typing import Dict, FrozenSet

import pytest

from trackd.errors import NotImplementedHere
from trackd.store.sql.tables import ALIASES, ALL, DATASETS, IN_WORKSPACE, LOGGED_MODELS, WORKSPACE_KEY, Tables


def columns(**of: str) -> Dict[str, FrozenSet[str]]:
    return {table: frozenset(names.split()) for table, names in of.items()}


OLD = Tables(columns(registered_models="name", model_versions="name version"))
INPUTS = "input_uuid source_type source_id destination_type destination_id"
WITH_DATASETS = Tables(
    columns(datasets="dataset_uuid experiment_id name digest", input_tags="input_uuid name value", inputs=INPUTS)
)
NEW = Tables(columns(registered_models="workspace name", model_versions="workspace name version storage_location"))


def test_what_a_database_is_too_old_for_names_the_release_from_which_it_can() -> None:
    for feature, release in ((ALIASES, "2.3"), (DATASETS, "2.4"), (LOGGED_MODELS, "3.0")):
        with pytest.raises(NotImplementedHere) as caught:
            OLD.require(feature)
        assert f"older than {release} " in caught.value.message and "mlflow db upgrade" in caught.value.message


def test_a_feature_needs_its_columns_as_well_as_its_tables() -> None:
    assert WITH_DATASETS.has(DATASETS) and not OLD.has(DATASETS)
    WITH_DATASETS.require(DATASETS)
    assert not WITH_DATASETS.has(LOGGED_MODELS), "the column inputs.step came with logged models"


def test_the_index_of_a_folder_has_everything_but_workspaces() -> None:
    for feature in (ALIASES, DATASETS, LOGGED_MODELS):
        ALL.require(feature)
    assert not ALL.has_workspaces
    assert ALL.insert("model_versions", ("name", "storage_location")).count("storage_location") == 2


@pytest.mark.parametrize("tables", [OLD, NEW, ALL], ids=["old", "new", "index"])
def test_one_statement_fits_tables_with_and_without_workspaces_and_columns(tables: Tables) -> None:
    connection = sqlite3.connect(":memory:")
    shape = "name TEXT, version INTEGER"
    if tables is not OLD:
        shape += ", storage_location TEXT"
    shape += ", workspace TEXT DEFAULT 'default', UNIQUE (workspace, name)" if tables is NEW else ", UNIQUE (name)"
    connection.execute(f"CREATE TABLE model_versions ({shape})")
    names = ("name", "version", "storage_location")
    insert = tables.insert("model_versions", names)
    connection.execute(insert, {"name": "a", "version": 1, "storage_location": "here"})
    connection.execute(
        tables.sql(
            "INSERT INTO model_versions (name, version) VALUES ('a', 2)"
            f" ON CONFLICT ({WORKSPACE_KEY} name) DO UPDATE SET version = excluded.version"
        )
    )
    select = f"SELECT {tables.select('model_versions', names)} FROM model_versions WHERE {IN_WORKSPACE} name = ?"
    rows = connection.execute(tables.sql(select), ("a",)).fetchall()
    assert rows == [("a", 2, None if tables is OLD else "here")]
    if tables is NEW:
        connection.execute("INSERT INTO model_versions (workspace, name, version) VALUES ('other', 'a', 9)")
        assert len(connection.execute(tables.sql(select), ("a",)).fetchall()) == 1
