"""Registered models on every store: names, tags, aliases, stages, searches, prompts."""

from typing import Any, List

import pytest

from tests.conftest import Client, pairs

MODEL, VERSION = "registered-models/", "model-versions/"
PROMPT = {"key": "mlflow.prompt.is_prompt", "value": "true"}


def create(client: Client, name: str, **fields: Any) -> Any:
    """A new model."""
    return client.ok(MODEL + "create", name=name, **fields)["registered_model"]


def get(client: Client, name: str) -> Any:
    """A model that must be there."""
    reply = client.get(MODEL + "get", {"name": name})
    assert reply.status == 200, reply.json
    return reply.json["registered_model"]


def add(client: Client, name: str, **fields: Any) -> str:
    """The number of a new version."""
    reply = client.ok(VERSION + "create", name=name, **{"source": "s3://bucket/m", **fields})
    return str(reply["model_version"]["version"])


def names(client: Client, filter: str = "", **query: Any) -> List[str]:
    """The names of the models that a search finds."""
    reply = client.get(MODEL + "search", {"filter": filter, **query})
    assert reply.status == 200, reply.json
    return [model["name"] for model in reply.json.get("registered_models", [])]


def test_a_new_model_says_its_name_and_times_and_comes_back(client: Client) -> None:
    made = create(client, "iris", tags=[{"key": "a/b", "value": "1"}], description="about flowers")
    assert set(made) == {"name", "creation_timestamp", "last_updated_timestamp", "description", "tags"}
    assert made["creation_timestamp"] == made["last_updated_timestamp"]
    assert get(client, "iris") == made
    assert "description" not in create(client, "plain")


def test_the_last_of_equal_tags_of_a_new_model_counts(client: Client) -> None:
    create(client, "twins", tags=[{"key": "a", "value": "1"}, {"key": "a", "value": "2"}])
    assert pairs(get(client, "twins")["tags"]) == {"a": "2"}


@pytest.mark.parametrize("name", ["", " ", "a/b", "a:b", ".", "..", "..x", "../x", "\t\n"])
def test_a_name_that_mlflow_refuses_is_refused_everywhere(client: Client, name: str) -> None:
    create(client, "good")
    for reply in (
        client.post(MODEL + "create", {"name": name}),
        client.get(MODEL + "get", {"name": name}),
        client.patch(MODEL + "update", {"name": name}),
        client.delete(MODEL + "delete", {"name": name}),
        client.post(MODEL + "rename", {"name": "good", "new_name": name}),
        client.post(VERSION + "create", {"name": name, "source": "s3://b/m"}),
    ):
        assert (reply.status, reply.error) == (400, "INVALID_PARAMETER_VALUE")


@pytest.mark.parametrize("name", [
    "iris", "IRIS", "Iris", "x.", "x ", " x", "con", "NUL.txt", ".hidden", ".trackd-x", "a\\b", "a\nb", "%2e", "a*b?",
    "größe 漢字", "n" * 300, "漢" * 200, "\x00zero", "meta.yaml", "tags", "version-1", "~", "é", "e\u0301", "A~1",
])
def test_any_other_name_comes_back_exact_beside_all_others(client: Client, name: str) -> None:
    others = ["other", name.swapcase() + "2" if name.swapcase() != name else "Other", name + "2"]
    for each in others:
        create(client, each, description=each)
    create(client, name, description="mine")
    add(client, name)
    assert get(client, name)["description"] == "mine"
    assert [get(client, each)["description"] for each in others] == others
    assert sorted(names(client)) == sorted({*others, name})
    assert client.post(MODEL + "rename", {"name": name, "new_name": name + "3"}).status == 200
    assert get(client, name + "3")["latest_versions"][0]["name"] == name + "3"
    assert client.get(MODEL + "get", {"name": name}).status == 404


def test_a_name_is_taken_by_model_or_prompt_until_it_is_deleted(client: Client) -> None:
    create(client, "iris")
    create(client, "greeting", tags=[PROMPT])
    for name, tags in (("iris", []), ("iris", [PROMPT]), ("greeting", []), ("greeting", [PROMPT])):
        reply = client.post(MODEL + "create", {"name": name, "tags": tags})
        assert (reply.status, reply.error) == (400, "RESOURCE_ALREADY_EXISTS")
    assert client.post(MODEL + "rename", {"name": "iris", "new_name": "greeting"}).error == "RESOURCE_ALREADY_EXISTS"
    assert client.delete(MODEL + "delete", {"name": "iris"}).json == {}
    create(client, "iris")


def test_what_is_not_there_is_404(client: Client) -> None:
    for reply in (
        client.get(MODEL + "get", {"name": "nobody"}),
        client.patch(MODEL + "update", {"name": "nobody"}),
        client.delete(MODEL + "delete", {"name": "nobody"}),
        client.post(MODEL + "rename", {"name": "nobody", "new_name": "x"}),
        client.post(MODEL + "set-tag", {"name": "nobody", "key": "a", "value": "b"}),
        client.delete(MODEL + "delete-tag", {"name": "nobody", "key": "a"}),
        client.delete(MODEL + "alias", {"name": "nobody", "alias": "a"}),
        client.get(MODEL + "alias", {"name": "nobody", "alias": "a"}),
        client.post(MODEL + "get-latest-versions", {"name": "nobody"}),
    ):
        assert (reply.status, reply.error) == (404, "RESOURCE_DOES_NOT_EXIST")


def test_an_update_without_a_description_clears_it(client: Client) -> None:
    create(client, "iris", description="one")
    assert client.patch(MODEL + "update", {"name": "iris", "description": "two"}).json["registered_model"][
        "description"] == "two"
    assert "description" not in client.patch(MODEL + "update", {"name": "iris"}).json["registered_model"]
    assert "description" not in get(client, "iris")


def test_tags_are_set_overwritten_and_deleted(client: Client) -> None:
    create(client, "iris", tags=[{"key": "a", "value": "1"}])
    time = get(client, "iris")["last_updated_timestamp"]
    client.ok(MODEL + "set-tag", name="iris", key="a", value="2")
    client.ok(MODEL + "set-tag", name="iris", key="b")
    assert pairs(get(client, "iris")["tags"]) == {"a": "2", "b": ""}
    for _ in range(2):
        assert client.delete(MODEL + "delete-tag", {"name": "iris", "key": "a"}).json == {}
    found = get(client, "iris")
    assert pairs(found["tags"]) == {"b": ""} and found["last_updated_timestamp"] == time


def test_rename_takes_versions_tags_and_aliases_along_and_moves_the_times(client: Client) -> None:
    create(client, "old", tags=[{"key": "a", "value": "1"}])
    add(client, "old", tags=[{"key": "k", "value": "v"}])
    add(client, "old")
    client.ok(MODEL + "alias", name="old", alias="best", version="1")
    client.delete(VERSION + "delete", {"name": "old", "version": "2"})
    client.ok(MODEL + "rename", name="old", new_name="new")
    found = get(client, "new")
    assert pairs(found["tags"]) == {"a": "1"} and found["aliases"] == [{"alias": "best", "version": "1"}]
    version = client.get(VERSION + "get", {"name": "new", "version": "1"}).json["model_version"]
    assert version["name"] == "new" and pairs(version["tags"]) == {"k": "v"} and version["aliases"] == ["best"]
    assert version["last_updated_timestamp"] == found["last_updated_timestamp"]
    assert client.get(VERSION + "get", {"name": "old", "version": "1"}).status == 404
    assert add(client, "new") == "3"
    assert client.post(MODEL + "rename", {"name": "new", "new_name": "new"}).status == 200
    create(client, "old")
    assert add(client, "old") == "1"


def test_a_deleted_model_begins_anew(client: Client) -> None:
    for _ in range(3):
        create(client, "iris", tags=[{"key": "a", "value": "1"}])
        assert [add(client, "iris"), add(client, "iris")] == ["1", "2"]
        client.ok(MODEL + "alias", name="iris", alias="best", version="2")
        client.delete(MODEL + "delete", {"name": "iris"})
        assert client.get(VERSION + "get", {"name": "iris", "version": "1"}).status == 404
        assert names(client) == []
    found = create(client, "iris")
    assert get(client, "iris") == found and "aliases" not in found


def test_aliases_name_one_version_and_go_with_it(client: Client) -> None:
    create(client, "iris")
    for _ in range(3):
        add(client, "iris")
    for alias, version in (("best", "1"), ("best", "2"), ("Best", "3"), ("größe", "3"), ("a" * 255, "2")):
        client.ok(MODEL + "alias", name="iris", alias=alias, version=version)

    def number(alias: str) -> Any:
        reply = client.get(MODEL + "alias", {"name": "iris", "alias": alias})
        return reply.json["model_version"]["version"] if reply.status == 200 else (reply.status, reply.error)

    assert [number(alias) for alias in ("best", "Best", "größe", "a" * 255)] == ["2", "3", "3", "2"]
    assert number("latest") == number("LATEST") == "3"
    assert number("BEST") == (400, "INVALID_PARAMETER_VALUE")
    version = client.get(VERSION + "get", {"name": "iris", "version": "3"}).json["model_version"]
    assert version["aliases"] == ["Best", "größe"]
    client.delete(VERSION + "delete", {"name": "iris", "version": "3"})
    assert [each["alias"] for each in get(client, "iris")["aliases"]] == ["a" * 255, "best"]
    assert number("latest") == "2" and number("Best") == (400, "INVALID_PARAMETER_VALUE")
    for _ in range(2):
        assert client.delete(MODEL + "alias", {"name": "iris", "alias": "best"}).json == {}
    assert number("best") == (400, "INVALID_PARAMETER_VALUE")


def test_an_alias_longer_than_a_file_name_comes_back_exact(client: Client) -> None:
    create(client, "iris")
    add(client, "iris")
    for alias in ("漢" * 255, "é" * 200, "plain"):
        client.ok(MODEL + "alias", name="iris", alias=alias, version="1")
        assert client.get(MODEL + "alias", {"name": "iris", "alias": alias}).json["model_version"]["version"] == "1"
    assert len(get(client, "iris")["aliases"]) == 3
    client.delete(MODEL + "alias", {"name": "iris", "alias": "漢" * 255})
    assert [each["alias"] for each in get(client, "iris")["aliases"]] == ["plain", "é" * 200]


@pytest.mark.parametrize("alias", ["latest", "Latest", "v1", "V12", "", "a b", "a/b", "a.b", "../x", "a" * 256])
def test_an_alias_that_mlflow_refuses_is_refused(client: Client, alias: str) -> None:
    create(client, "iris")
    add(client, "iris")
    reply = client.post(MODEL + "alias", {"name": "iris", "alias": alias, "version": "1"})
    assert (reply.status, reply.error) == (400, "INVALID_PARAMETER_VALUE")


def test_an_alias_needs_a_version_that_is_there(client: Client) -> None:
    create(client, "iris")
    for version, status in (("1", 404), ("x", 400), ("", 400)):
        assert client.post(MODEL + "alias", {"name": "iris", "alias": "a", "version": version}).status == status
    assert client.get(MODEL + "alias", {"name": "iris", "alias": "latest"}).status == 404


def test_latest_versions_are_the_highest_of_each_stage(client: Client) -> None:
    create(client, "iris")
    for stage in ("None", "Production", "Production", "None", "Archived", "Staging"):
        version = add(client, "iris")
        client.ok(VERSION + "transition-stage", name="iris", version=version, stage=stage)
    client.ok(MODEL + "alias", name="iris", alias="best", version="3")
    latest = {each["current_stage"]: each["version"] for each in get(client, "iris")["latest_versions"]}
    assert latest == {"None": "4", "Production": "3", "Archived": "5", "Staging": "6"}
    found = client.ok(MODEL + "get-latest-versions", name="iris", stages=["production", "None"])["model_versions"]
    assert [(each["version"], each.get("aliases")) for each in found] == [("4", None), ("3", ["best"])]
    listed = client.get(MODEL + "get-latest-versions", [("name", "iris"), ("stages", "Staging")]).json
    assert [each["version"] for each in listed["model_versions"]] == ["6"]
    assert len(client.get(MODEL + "get-latest-versions", {"name": "iris"}).json["model_versions"]) == 4
    assert client.post(MODEL + "get-latest-versions", {"name": "iris", "stages": ["x"]}).status == 400


def test_searches_find_by_name_and_tag_in_order_and_by_pages(client: Client) -> None:
    for number in range(7):
        tags = [{"key": "team", "value": "blue" if number % 2 else "red"}] if number < 6 else []
        create(client, f"m{number}", tags=tags)
    add(client, "m3")
    assert names(client) == [f"m{number}" for number in range(7)]
    assert names(client, "name LIKE 'm%' AND tags.team = 'red'") == ["m0", "m2", "m4"]
    assert names(client, "tag.team != 'red'") == ["m1", "m3", "m5"]
    assert names(client, "name ILIKE 'M1' OR name IN ('m4', 'x')") == ["m1", "m4"]
    assert names(client, "NOT tags.team = 'red'") == ["m1", "m3", "m5", "m6"]
    assert names(client, "tags.team IS NULL") == ["m6"]
    assert names(client, order_by="name DESC")[0] == "m6"
    pages, token = [], None
    while token != "":
        query = {"max_results": "3", "order_by": "name DESC", **({"page_token": token} if token else {})}
        reply = client.get(MODEL + "search", query).json
        pages.append([model["name"] for model in reply["registered_models"]])
        token = reply.get("next_page_token", "")
    assert pages == [["m6", "m5", "m4"], ["m3", "m2", "m1"], ["m0"]]
    for bad in ("name > 'a'", "version = 1", "tags.a", " ", "name = x"):
        assert client.get(MODEL + "search", {"filter": bad}).error == "INVALID_PARAMETER_VALUE", bad
    for order in ("creation_timestamp", "x", "tags.a"):
        assert client.get(MODEL + "search", {"order_by": order}).error == "INVALID_PARAMETER_VALUE", order


def test_prompts_are_hidden_unless_a_filter_asks_for_them(client: Client) -> None:
    create(client, "model")
    create(client, "greeting", tags=[PROMPT, {"key": "team", "value": "blue"}])
    create(client, "no-prompt", tags=[{"key": PROMPT["key"], "value": "false"}])
    tag = f"tags.`{PROMPT['key']}`"
    for text in ("", f"{tag} != 'true'", f"{tag} = 'false'"):
        assert names(client, text) == ["model", "no-prompt"]
    assert names(client, f"{tag} = 'true'") == ["greeting"]
    assert names(client, f"{tag} != 'false'") == ["greeting"]
    assert names(client, f"{tag} = 'true' AND tags.team = 'blue'") == ["greeting"]
    assert names(client, "tags.team = 'blue'") == []
    assert names(client, f"tags.team = 'blue' AND {tag} = 'true'") == ["greeting"]
    assert names(client, f"name = 'model' OR {tag} = 'true'") == ["greeting", "model"]
    assert get(client, "greeting")["name"] == "greeting"


def test_r_and_java_send_their_own_spellings(client: Client) -> None:
    create(client, "iris")
    add(client, "iris")
    client.ok(VERSION + "transition-stage", name="iris", version="1", stage="Production",
              archive_existing_versions="FALSE")
    assert client.ok(MODEL + "search", max_results="10", order_by=["name ASC"])["registered_models"]
    found = client.get(MODEL + "get-latest-versions", "name=iris&stages=Production&stages=Staging").json
    assert [each["version"] for each in found["model_versions"]] == ["1"]
    assert client.get(VERSION + "search", "filter=name%3D%27iris%27").json["model_versions"][0]["version"] == "1"
