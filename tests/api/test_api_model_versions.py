"""Model versions on every store: numbers, sources, stages, searches, and the pattern that sources must have."""

import threading
import time
from pathlib import Path
from typing import Any, Dict, List

import pytest

from tests.api.test_api_artifacts import artifact_uri, body, put
from tests.api.test_api_registered_models import MODEL, PROMPT, VERSION, add, create, get
from tests.conftest import Client, pairs
from tests.memory_store import MemoryStore
from trackd.api import patterns
from trackd.app import App
from trackd.config import Config
from trackd.store.base import Store


def version(client: Client, name: str, number: str) -> Any:
    """A version that must be there."""
    reply = client.get(VERSION + "get", {"name": name, "version": number})
    assert reply.status == 200, reply.json
    return reply.json["model_version"]


def found(client: Client, filter: str = "", **query: Any) -> List[str]:
    """What a search finds, as name and number."""
    reply = client.get(VERSION + "search", {"filter": filter, **query})
    assert reply.status == 200, reply.json
    return [f"{each['name']}{each['version']}" for each in reply.json.get("model_versions", [])]


def refused(client: Client, **fields: Any) -> None:
    """A version that is refused as MLflow refuses it."""
    reply = client.post(VERSION + "create", {"name": "iris", **fields})
    assert (reply.status, reply.error) == (400, "INVALID_PARAMETER_VALUE"), (fields, reply.json)


def test_a_new_version_is_ready_and_comes_back(client: Client) -> None:
    create(client, "iris")
    sent = {"name": "iris", "source": "s3://bucket/m", "run_link": "http://x", "description": "one",
            "tags": [{"key": "b", "value": "2"}, {"key": "a", "value": "1"}]}
    made = client.ok(VERSION + "create", **sent)["model_version"]
    assert made["version"] == "1" and made["current_stage"] == "None" and made["status"] == "READY"
    assert made["creation_timestamp"] == made["last_updated_timestamp"]
    assert {**made, **sent, "tags": sorted(sent["tags"], key=str)} == {**made, "tags": sorted(made["tags"], key=str)}
    assert version(client, "iris", "1") == made
    assert get(client, "iris")["latest_versions"] == [made]
    assert get(client, "iris")["last_updated_timestamp"] == made["creation_timestamp"]
    bare = client.ok(VERSION + "create", name="iris", source="s3://bucket/m")["model_version"]
    assert (bare["description"], bare["run_id"], bare["run_link"]) == ("", "", "")


def test_numbers_count_up_and_are_never_used_again(client: Client) -> None:
    create(client, "iris")
    assert [add(client, "iris") for _ in range(3)] == ["1", "2", "3"]
    for number in ("3", "1"):
        assert client.delete(VERSION + "delete", {"name": "iris", "version": number}).json == {}
        assert client.get(VERSION + "get", {"name": "iris", "version": number}).status == 404
    assert add(client, "iris") == "4"
    assert found(client) == ["iris4", "iris2"] or found(client, order_by="version_number") == ["iris2", "iris4"]
    for reply in (
        client.delete(VERSION + "delete", {"name": "iris", "version": "3"}),
        client.patch(VERSION + "update", {"name": "iris", "version": "3"}),
        client.post(VERSION + "set-tag", {"name": "iris", "version": "3", "key": "a", "value": "1"}),
        client.delete(VERSION + "delete-tag", {"name": "iris", "version": "3", "key": "a"}),
        client.post(VERSION + "transition-stage", {"name": "iris", "version": "3", "stage": "Staging"}),
        client.get(VERSION + "get-download-uri", {"name": "iris", "version": "3"}),
        client.post(MODEL + "alias", {"name": "iris", "alias": "x", "version": "3"}),
    ):
        assert (reply.status, reply.error) == (404, "RESOURCE_DOES_NOT_EXIST")


def test_twenty_threads_get_distinct_numbers_without_gaps(client: Client) -> None:
    create(client, "iris")
    numbers: List[int] = []
    threads = [
        threading.Thread(target=lambda: numbers.extend(int(add(client, "iris")) for _ in range(5))) for _ in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(numbers) == list(range(1, 101))


@pytest.mark.parametrize("number, status", [
    ("one", 400), ("", 400), ("1.0", 400), ("9" * 30, 400), ("99", 404), ("-1", 404), ("0", 404),
    (" 1 ", 200), ("01", 200),
])
def test_a_number_is_an_integer_in_a_string(client: Client, number: str, status: int) -> None:
    create(client, "iris")
    add(client, "iris")
    assert client.get(VERSION + "get", {"name": "iris", "version": number}).status == status


def test_descriptions_and_tags_of_a_version_change(client: Client) -> None:
    create(client, "iris")
    add(client, "iris", tags=[{"key": "a", "value": "1"}])
    assert client.patch(VERSION + "update", {"name": "iris", "version": "1", "description": "x"}).json[
        "model_version"]["description"] == "x"
    assert "description" not in client.patch(VERSION + "update", {"name": "iris", "version": "1"}).json["model_version"]
    client.ok(VERSION + "set-tag", name="iris", version="1", key="a", value="2")
    client.ok(VERSION + "set-tag", name="iris", version="1", key="b/c", value="")
    assert pairs(version(client, "iris", "1")["tags"]) == {"a": "2", "b/c": ""}
    for _ in range(2):
        assert client.delete(VERSION + "delete-tag", {"name": "iris", "version": "1", "key": "a"}).json == {}
    assert pairs(version(client, "iris", "1")["tags"]) == {"b/c": ""}


def test_stages_change_and_archive_the_others(client: Client) -> None:
    create(client, "iris")
    for _ in range(4):
        add(client, "iris")
    for number, stage in (("1", "production"), ("2", "Production"), ("3", "STAGING")):
        client.ok(VERSION + "transition-stage", name="iris", version=number, stage=stage)
    moved = client.ok(
        VERSION + "transition-stage", name="iris", version="4", stage="Production", archive_existing_versions=True
    )["model_version"]
    assert moved["current_stage"] == "Production"
    assert [version(client, "iris", number)["current_stage"] for number in "1234"] == [
        "Archived", "Archived", "Staging", "Production"]
    assert version(client, "iris", "1")["last_updated_timestamp"] == moved["last_updated_timestamp"]
    assert get(client, "iris")["last_updated_timestamp"] == moved["last_updated_timestamp"]
    for stage in ("", "x", "Deleted_Internal"):
        body = {"name": "iris", "version": "1", "stage": stage}
        assert client.post(VERSION + "transition-stage", body).error == "INVALID_PARAMETER_VALUE"


def test_searches_find_versions_by_everything_that_mlflow_names(client: Client) -> None:
    create(client, "iris")
    create(client, "wine")
    run = client.run()
    add(client, "iris", tags=[{"key": "a", "value": "1"}], run_id=run)
    add(client, "iris", source="gs://bucket/x", tags=[{"key": "a", "value": "2"}])
    add(client, "wine")
    by_number: Dict[str, Any] = {"order_by": ["name", "version_number"]}
    assert found(client, **by_number) == ["iris1", "iris2", "wine1"]
    assert found(client, order_by=["version_number DESC", "name DESC"]) == ["iris2", "wine1", "iris1"]
    for text, wanted in (
        ("name = 'iris'", ["iris1", "iris2"]), ("name != 'iris'", ["wine1"]), ("name IN ('wine', 'x')", ["wine1"]),
        (f"run_id = '{run}'", ["iris1"]), (f"run_id != '{run}'", ["iris2", "wine1"]),
        (f"run_id IN ('{run}')", ["iris1"]),
        ("source_path LIKE 'gs%'", ["iris2"]), ("source_path = 's3://bucket/m'", ["iris1", "wine1"]),
        ("version_number = 1", ["iris1", "wine1"]), ("version_number = '2'", ["iris2"]),
        ("version_number > 1", ["iris2"]),
        ("version_number <= 1 AND name ILIKE 'W%'", ["wine1"]), ("version_number != 1", ["iris2"]),
        ("tags.a = '1'", ["iris1"]), ("tags.a != '1'", ["iris2"]), ("tags.a LIKE '%'", ["iris1", "iris2"]),
        ("tags.a IS NULL", ["wine1"]), ("tags.a = '1' OR name = 'wine'", ["iris1", "wine1"]),
    ):
        assert found(client, text, **by_number) == wanted, text
    for text in ("version = 1", "version_number = 'x'", "version_number = 1.5", "version_number LIKE '1'",
                 "source_path IN ('x')", "current_stage = 'None'"):
        assert client.get(VERSION + "search", {"filter": text}).error == "INVALID_PARAMETER_VALUE", text
    for order in ("run_id", "version", "tags.a"):
        assert client.get(VERSION + "search", {"order_by": order}).error == "INVALID_PARAMETER_VALUE", order
    for size, status in (("0", 400), ("200001", 400), ("200000", 200)):
        assert client.get(VERSION + "search", {"max_results": size}).status == status


def test_pages_of_versions_follow_each_other(client: Client) -> None:
    for name in ("a", "b"):
        create(client, name)
        for _ in range(5):
            add(client, name)
    for order in ([], ["name DESC"], ["version_number"]):
        pages: List[str] = []
        query = {"max_results": "3", "order_by": order}
        while True:
            reply = client.get(VERSION + "search", query).json
            pages += [f"{each['name']}{each['version']}" for each in reply["model_versions"]]
            if "next_page_token" not in reply:
                break
            query["page_token"] = reply["next_page_token"]
        assert pages == found(client, order_by=order) and len(set(pages)) == 10


def test_versions_of_prompts_are_hidden_unless_a_filter_asks_for_them(client: Client) -> None:
    create(client, "iris")
    add(client, "iris")
    create(client, "greeting", tags=[PROMPT])
    text = {"key": "mlflow.prompt.text", "value": "Hello {{name}}"}
    assert add(client, "greeting", source="dummy-source", tags=[PROMPT, text]) == "1"
    add(client, "greeting", source="prompt-template", tags=[PROMPT])
    add(client, "greeting")
    tag = f"tags.`{PROMPT['key']}`"
    assert found(client) == found(client, f"{tag} = 'false'") == ["iris1"]
    assert found(client, f"{tag} = 'true'", order_by="version_number") == ["greeting1", "greeting2"]
    assert found(client, "name = 'greeting'") == []
    for source in ("s3://bucket/x", "dummy", "/tmp/x"):
        reply = client.post(VERSION + "create", {"name": "greeting", "source": source, "tags": [PROMPT]})
        assert reply.error == "INVALID_PARAMETER_VALUE"


def test_a_source_must_be_a_place_of_its_own_or_within_what_the_request_names(client: Client) -> None:
    create(client, "iris")
    run, other = client.run(), client.run()
    artifacts = client.get_run(run)["info"]["artifact_uri"]
    for source in ("s3://bucket/m", "gs://b/m", "dbfs:/x/y", "wasbs://c@h/x", f"runs:/{run}/m", artifacts + "/m",
                   artifacts, f"runs:/{run}", artifacts + "/a%20b"):
        assert client.post(VERSION + "create", {"name": "iris", "source": source, "run_id": run}).status == 200, source
    for source in (
        "/etc/passwd", "etc", "file:///etc", "file:etc", "file://host/etc", "http://host/x", "ftp://host/x",
        "s3://b/../c",
        "s3://b/%2e%2e/c", "s3://b/..%252fc", "s3://b/%25252e%25252e/c", "s3://b/a%00", "s3://b", "abc:def",
        "databricks",
        artifacts + "/../x", artifacts + "x", artifacts + "/%2e%2e/%2e%2e/x", "mlflow-artifacts:/",
        "mlflow-artifacts:/9/x",
        "mlflow-artifacts://host/0/x", "https://h/api/2.0/mlflow-artifacts/artifacts/x", f"runs:/{other}/m",
        f"runs://h/{run}/m", "runs:/", "models:/", "models:/iris", "models:/iris/", "models:/a/b/c", "models://h/iris/1",
        "models:/m-" + "0" * 32, "//host/x", "\\\\host\\x", "http://[x", "C:\\x", "./x", "",
    ):
        refused(client, source=source, run_id=run)
    for source in (f"runs:/{run}/m", artifacts + "/m", "/tmp"):
        refused(client, source=source)
        refused(client, source=source, run_id="")
        refused(client, source=source, run_id=other)
        refused(client, source=source, run_id="0" * 32)
        refused(client, source=source, run_id="../" + run)


def test_a_local_source_lies_in_the_artifacts_of_its_run_links_resolved(store: Store, tmp_path: Path) -> None:
    root = tmp_path / "artifacts"
    client = Client(App(store, Config(default_artifact_root=str(root))))
    experiment = client.ok("experiments/create", name="local")["experiment_id"]
    create(client, "iris")
    run = client.run(experiment)
    folder = Path(client.get_run(run)["info"]["artifact_uri"])
    assert folder.is_relative_to(root)
    (folder / "model").mkdir(parents=True)
    (tmp_path / "secret").mkdir()
    (folder / "link").symlink_to(tmp_path / "secret")
    for source in (folder / "model", f"file://{folder}/model", folder, folder / "not-there-yet"):
        assert client.post(VERSION + "create", {"name": "iris", "source": str(source), "run_id": run}).status == 200
    for source in (tmp_path / "secret", folder / "link", folder / ".." / "x", f"{folder}x", f"file://{folder}/../.."):
        refused(client, source=str(source), run_id=run)


def test_a_copy_has_the_origin_of_what_it_copies(client: Client) -> None:
    create(client, "iris")
    create(client, "copy")
    run = client.run()
    add(client, "iris", source="s3://bucket/one")
    add(client, "iris", source="s3://bucket/two", run_id=run)
    client.ok(MODEL + "alias", name="iris", alias="best", version="2")
    client.ok(VERSION + "transition-stage", name="iris", version="1", stage="Production")
    for source, number, named in (
        ("models:/iris/1", "1", ""), ("models:/iris@best", "2", run), ("models:/iris/latest", "2", run),
        ("models:/iris/production", "1", ""), ("models:/copy/2", "2", run),
    ):
        made = client.ok(VERSION + "create", name="copy", source=source)["model_version"]
        wanted = "models:/copy/2" if "copy" in source else f"models:/iris/{number}"
        assert (made["source"], made["run_id"]) == (wanted, named), source
        asked = client.get(VERSION + "get-download-uri", {"name": "copy", "version": made["version"]})
        assert asked.json["artifact_uri"] == ("s3://bucket/one" if number == "1" else "s3://bucket/two")
    for source, error in (("models:/iris/9", 404), ("models:/nobody/1", 404), ("models:/iris@no", 400),
                          ("models:/iris/Staging", 404), ("models:/iris/word", 400), ("models:/iris@", 400)):
        assert client.post(VERSION + "create", {"name": "copy", "source": source}).status == error, source
    refused(client, source="models:/iris/1", run_id=run)
    assert client.post(VERSION + "create", {"name": "copy", "source": "models:/iris/2", "run_id": run}).status == 200


def test_files_of_a_version_are_found_where_it_came_from(client: Client) -> None:
    create(client, "iris")
    run = client.run()
    root = artifact_uri(client, run)
    put(client, root.replace("mlflow-artifacts:/", "") + "/model/MLmodel", b"flavors")
    for source in (root, f"runs:/{run}", "models:/iris/1"):
        add(client, "iris", source=source, run_id=run)
    add(client, "iris", source=f"runs:/{run}/model", run_id=run)
    for number, path in (("1", "model/MLmodel"), ("2", "model/MLmodel"), ("3", "model/MLmodel"), ("4", "MLmodel")):
        reply = client.get("/model-versions/get-artifact", {"name": "iris", "version": number, "path": path})
        assert (reply.status, body(reply)) == (200, b"flavors")
    for path, status in (("nothing", 404), ("../x", 400), ("/etc/passwd", 400), ("", 400)):
        reply = client.get("/model-versions/get-artifact", {"name": "iris", "version": "1", "path": path})
        assert reply.status == status, path
    assert client.get("/model-versions/get-artifact", {"name": "iris", "version": "9", "path": "x"}).status == 404


def test_a_registry_of_its_own_holds_models_and_nothing_else(store: Store) -> None:
    registry = MemoryStore()
    client = Client(App(store, Config(), registry))
    create(client, "iris")
    run = client.run()
    add(client, "iris", source=f"runs:/{run}/m", run_id=run)
    assert registry.get_model_version("iris", 1) is not None and not store.has_registered_model("iris")
    assert store.get_run(run) is not None and registry.get_run(run) is None
    assert found(client) == ["iris1"]


@pytest.fixture
def pattern(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sets the pattern that sources must have, as a server's environment would."""
    return lambda text: monkeypatch.setenv(patterns.VARIABLE, text)


def test_a_source_in_which_the_pattern_is_not_found_is_refused_for_new_versions_only(
    client: Client, pattern: Any
) -> None:
    create(client, "iris")
    create(client, "greeting", tags=[PROMPT])
    add(client, "iris", source="s3://other/m")
    pattern("bucket/[a-z]+$|dummy")
    for source in ("s3://bucket/m", "gs://my-bucket/abc"):
        assert client.post(VERSION + "create", {"name": "iris", "source": source}).status == 200
    for source in ("s3://bucket/1", "s3://other/m", "/etc"):
        refused(client, source=source)
    assert add(client, "greeting", source="dummy-source", tags=[PROMPT]) == "1"
    assert version(client, "iris", "1")["source"] == "s3://other/m"
    assert client.patch(VERSION + "update", {"name": "iris", "version": "1", "description": "x"}).status == 200


def test_a_pattern_that_would_take_for_ever_is_ended_and_stops_nobody_else(
    client: Client, pattern: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    create(client, "iris")
    monkeypatch.setattr(patterns, "PATIENCE", 0.3)
    pattern(r"^s3://(a+)+$")
    hostile = threading.Thread(target=refused, args=(client,), kwargs={"source": "s3://" + "a" * 60 + "!"})
    start = time.monotonic()
    hostile.start()
    for _ in range(50):
        assert client.get(MODEL + "get", {"name": "iris"}).status == 200
    hostile.join()
    assert time.monotonic() - start < 20
    refused(client, source="s3://b")


@pytest.mark.parametrize("text", ["(", "[a", "a{2,1}", "(?P<a>x)(?P<a>y)", "*"])
def test_a_pattern_that_does_not_compile_is_said_in_a_sentence(pattern: Any, text: str) -> None:
    assert patterns.problem() is None
    pattern(text)
    assert str(patterns.problem()).startswith(f"{patterns.VARIABLE} is {text!r}, which is no regular expression: ")
    pattern("a+")
    assert patterns.problem() is None
