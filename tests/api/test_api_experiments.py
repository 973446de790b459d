"""Experiments over the API: what is answered, what is kept, what is refused."""

import os
from typing import Any

import pytest

from tests.conftest import Client, pairs
from trackd.app import App
from trackd.config import Config
from trackd.store.base import Store


def create(client: Client, name: str, **fields: Any) -> str:
    """The id of a new experiment."""
    return str(client.ok("experiments/create", name=name, **fields)["experiment_id"])


def get(client: Client, experiment_id: str) -> Any:
    """An experiment that must be there."""
    reply = client.get("experiments/get", {"experiment_id": experiment_id})
    assert reply.status == 200, reply.json
    return reply.json["experiment"]


def test_the_default_experiment_is_there_from_the_start(client: Client) -> None:
    experiment = get(client, "0")
    assert (experiment["name"], experiment["lifecycle_stage"], experiment["workspace"]) == (
        "Default",
        "active",
        "default",
    )
    assert experiment["artifact_location"] == "mlflow-artifacts:/0"


def test_a_created_experiment_is_found_by_id_and_by_name(client: Client) -> None:
    new = create(client, "näme / 1", tags=[{"key": "team", "value": "a"}, {"key": "empty"}])
    experiment = get(client, new)
    assert client.get("experiments/get-by-name", {"experiment_name": "näme / 1"}).json == {"experiment": experiment}
    assert pairs(experiment["tags"]) == {"team": "a", "empty": ""}
    assert experiment["artifact_location"] == f"mlflow-artifacts:/{new}"
    assert experiment["creation_time"] == experiment["last_update_time"] > 1_600_000_000_000


def test_a_name_is_unique_among_active_and_deleted_experiments(client: Client) -> None:
    first = create(client, "a")
    for _ in range(2):
        reply = client.post("experiments/create", {"name": "a"})
        assert (reply.status, reply.error) == (400, "RESOURCE_ALREADY_EXISTS")
        client.post("experiments/delete", {"experiment_id": first})
    assert create(client, "A") != first


@pytest.mark.parametrize("name", [" ", ".", "../x", "a/../b", "CON", "C:\\x", "x" * 500, "line\nfeed", "nul\0", "日本"])
def test_any_text_is_a_name_and_kept_exactly(client: Client, name: str) -> None:
    assert get(client, create(client, name))["name"] == name


@pytest.mark.parametrize("body", [{}, {"name": ""}, {"name": None}, {"name": 5}, {"name": "x" * 501}])
def test_a_name_is_needed_and_limited(client: Client, body: Any) -> None:
    reply = client.post("experiments/create", body)
    assert (reply.status, reply.error) == (400, "INVALID_PARAMETER_VALUE") and "name" in reply.json["message"]


def test_nothing_is_created_by_a_refused_request(client: Client) -> None:
    assert client.post("experiments/create", {"name": "a", "tags": [{"key": "../x"}]}).status == 400
    assert client.get("experiments/get-by-name", {"experiment_name": "a"}).status == 404


def test_an_unknown_experiment_is_404_by_id_and_by_name(client: Client) -> None:
    for path, query in (
        ("experiments/get", {"experiment_id": "12345"}),
        ("experiments/get", {"experiment_id": "-1"}),
        ("experiments/get", {"experiment_id": str(2**63 - 1)}),
        ("experiments/get-by-name", {"experiment_name": "nope"}),
        ("experiments/get-by-name", {"experiment_name": "../mlruns"}),
    ):
        reply = client.get(path, query)
        assert (reply.status, reply.error) == (404, "RESOURCE_DOES_NOT_EXIST")


@pytest.mark.parametrize("experiment_id", ["x", "../0", "0/..", "0\0", "1.0", "", "9" * 30, ".trash", "models"])
def test_an_experiment_id_that_is_no_integer_is_refused(client: Client, experiment_id: str) -> None:
    assert client.get("experiments/get", {"experiment_id": experiment_id}).status == 400
    for path in ("experiments/delete", "experiments/restore", "runs/create"):
        assert client.post(path, {"experiment_id": experiment_id}).status == 400
    assert client.post("runs/search", {"experiment_ids": [experiment_id]}).status == 400


def test_an_experiment_is_deleted_and_restored_with_all_its_runs(client: Client) -> None:
    experiment = create(client, "a")
    first, second = client.run(experiment), client.run(experiment)
    client.ok("runs/delete", run_id=first)
    client.ok("experiments/delete", experiment_id=experiment)
    assert get(client, experiment)["lifecycle_stage"] == "deleted"
    assert {client.get_run(run)["info"]["lifecycle_stage"] for run in (first, second)} == {"deleted"}
    client.ok("experiments/restore", experiment_id=experiment)
    assert get(client, experiment)["lifecycle_stage"] == "active"
    assert {client.get_run(run)["info"]["lifecycle_stage"] for run in (first, second)} == {"active"}


def test_deleting_twice_and_restoring_what_is_active_is_404(client: Client) -> None:
    experiment = create(client, "a")
    assert client.post("experiments/restore", {"experiment_id": experiment}).error == "RESOURCE_DOES_NOT_EXIST"
    client.ok("experiments/delete", experiment_id=experiment)
    reply = client.post("experiments/delete", {"experiment_id": experiment})
    assert (reply.status, reply.error) == (404, "RESOURCE_DOES_NOT_EXIST")
    assert client.post("experiments/delete", {"experiment_id": "77"}).status == 404


def test_a_deleted_experiment_takes_no_writes(client: Client) -> None:
    experiment = create(client, "a", tags=[{"key": "t", "value": "v"}])
    run = client.run(experiment)
    client.ok("experiments/delete", experiment_id=experiment)
    for path, body in (
        ("experiments/set-experiment-tag", {"experiment_id": experiment, "key": "t", "value": "w"}),
        ("experiments/delete-experiment-tag", {"experiment_id": experiment, "key": "t"}),
        ("runs/create", {"experiment_id": experiment}),
        ("runs/set-tag", {"run_id": run, "key": "t", "value": "w"}),
        ("runs/log-metric", {"run_id": run, "key": "t", "value": 1, "timestamp": 1}),
    ):
        reply = client.post(path, body)
        assert (reply.status, reply.error) == (400, "INVALID_PARAMETER_VALUE") and "restore" in reply.json["message"]


def test_an_experiment_is_renamed(client: Client) -> None:
    experiment = create(client, "a")
    before = get(client, experiment)
    assert client.ok("experiments/update", experiment_id=experiment, new_name="b") == {}
    after = get(client, experiment)
    assert after["name"] == "b" and after["last_update_time"] >= before["last_update_time"]
    assert client.get("experiments/get-by-name", {"experiment_name": "a"}).status == 404
    client.ok("experiments/update", experiment_id=experiment, new_name="b")
    assert create(client, "a") != experiment


def test_a_rename_needs_a_free_name_and_an_active_experiment(client: Client) -> None:
    experiment = create(client, "a")
    reply = client.post("experiments/update", {"experiment_id": experiment, "new_name": "Default"})
    assert (reply.status, reply.error) == (400, "BAD_REQUEST")
    assert client.post("experiments/update", {"experiment_id": experiment}).status == 400
    assert client.post("experiments/update", {"experiment_id": experiment, "new_name": "x" * 501}).status == 400
    client.ok("experiments/delete", experiment_id=experiment)
    reply = client.post("experiments/update", {"experiment_id": experiment, "new_name": "b"})
    assert (reply.status, reply.error) == (400, "INVALID_STATE")


def test_tags_are_set_overwritten_and_deleted(client: Client) -> None:
    client.ok("experiments/set-experiment-tag", experiment_id="0", key="dir/é", value="1")
    client.ok("experiments/set-experiment-tag", experiment_id="0", key="dir/é", value="2")
    client.ok("experiments/set-experiment-tag", experiment_id="0", key="long", value="x" * 20000)
    assert pairs(get(client, "0")["tags"]) == {"dir/é": "2", "long": "x" * 20000}
    client.ok("experiments/delete-experiment-tag", experiment_id="0", key="dir/é")
    for key in ("dir/é", "dir", "nope", "../meta.yaml", "/etc/passwd", "a\0b"):
        reply = client.post("experiments/delete-experiment-tag", {"experiment_id": "0", "key": key})
        assert (reply.status, reply.error) == (404, "RESOURCE_DOES_NOT_EXIST")
    assert set(pairs(get(client, "0")["tags"])) == {"long"}


def test_an_experiments_tags_are_limited(client: Client) -> None:
    for body in ({"key": "a", "value": "x" * 20001}, {"key": "x" * 251}, {"key": ""}, {"key": "a/../b"}, {}):
        assert client.post("experiments/set-experiment-tag", {"experiment_id": "0", **body}).status == 400
    reply = client.post("experiments/create", {"name": "a", "tags": [{"key": "k"}, {"key": "k"}]})
    assert (reply.status, reply.error) == (400, "BAD_REQUEST")


def test_an_experiment_has_at_most_fifty_custom_views(client: Client) -> None:
    views = [{"key": f"mlflow.customView.view{n}", "value": "{}"} for n in range(50)]
    assert (
        client.post("experiments/create", {"name": "a", "tags": [*views, {"key": "mlflow.customView.viewX"}]}).status
        == 400
    )
    experiment = create(client, "a", tags=views)
    for key, status in (("mlflow.customView.view7", 200), ("mlflow.customView.viewX", 400), ("other", 200)):
        body = {"experiment_id": experiment, "key": key, "value": "new"}
        assert client.post("experiments/set-experiment-tag", body).status == status


@pytest.mark.parametrize(
    "given, kept",
    [
        ("s3://bucket/path", "s3://bucket/path"),
        ("s3://bucket/path?x=1", "s3://bucket/path?x=1"),
        ("s3://bucket/a;b", "s3://bucket/a;b"),
        ("/tmp/x y/../z", "/tmp/x y/../z"),
        ("file:///tmp/a", "file:///tmp/a"),
        ("file://localhost/tmp/a", "file://localhost/tmp/a"),
        ("mlflow-artifacts:/foo", "mlflow-artifacts:/foo"),
        ("dbfs:/x", "dbfs:/x"),
        ("C:\\foo", "C:\\foo"),
        ("bogus://host/x", "bogus://host/x"),
    ],
)
def test_an_artifact_location_is_kept_and_runs_lie_below_it(client: Client, given: str, kept: str) -> None:
    experiment = create(client, "a", artifact_location=given)
    assert get(client, experiment)["artifact_location"] == kept
    run = client.run(experiment)
    path, question, query = kept.partition("?")
    assert client.get_run(run)["info"]["artifact_uri"] == f"{path}/{run}/artifacts{question}{query}"


@pytest.mark.skipif(os.name == "nt", reason="paths of Windows become URIs")
def test_relative_artifact_locations_are_made_absolute(
    client: Client, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert get(client, create(client, "a", artifact_location="./x/y"))["artifact_location"] == f"{tmp_path}/x/y"
    location = get(client, create(client, "b", artifact_location="file:x/y"))["artifact_location"]
    assert location == f"file://{tmp_path}/x/y"
    assert get(client, create(client, "c", artifact_location=""))["artifact_location"].startswith("mlflow-artifacts:/")


@pytest.mark.parametrize(
    "location",
    [
        "s3://b/p#frag", "http://h/x", "https://h/x", "hdfs://h/x", "ftp://h/x", "mlflow-artifacts://h/x", "file://host/x",
        "runs:/abc", "s3://b/p?a=../b", "s3://b/p?a=%2e%2e/b", "s3://b/p?a=%25252e%25252e", "s3://b/" + "x" * 2048,
        "http://[bad/x", "/tmp/a#b", "abfss://c@evil/x", "HTTP://h/x", "http://h\\@x/y",
    ],
)  # fmt: skip
def test_an_artifact_location_of_another_host_or_form_is_refused(client: Client, location: str) -> None:
    reply = client.post("experiments/create", {"name": "a", "artifact_location": location})
    assert (reply.status, reply.error) == (400, "INVALID_PARAMETER_VALUE")
    assert "artifact_location" in reply.json["message"]


def test_a_scheme_with_a_host_is_allowed_by_the_environment_and_for_the_servers_own_host(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = Client(App(store, Config(default_artifact_root="hdfs://own:9000/root")))
    create(client, "own", artifact_location="hdfs://own:9000/elsewhere")
    body = {"name": "other", "artifact_location": "hdfs://other:9000/x"}
    assert client.post("experiments/create", body).status == 400
    monkeypatch.setenv("MLFLOW_ALLOWED_HOST_ADDRESSED_ARTIFACT_SCHEMES", "ftp, hdfs")
    assert client.post("experiments/create", body).status == 200


def test_the_length_of_an_artifact_location_is_limited_by_the_environment(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_ARTIFACT_LOCATION_MAX_LENGTH", "12")
    assert client.post("experiments/create", {"name": "a", "artifact_location": "s3://b/12345"}).status == 200
    assert client.post("experiments/create", {"name": "b", "artifact_location": "s3://b/123456"}).status == 400


def test_the_default_artifact_root_is_that_of_the_configuration(store: Store) -> None:
    client = Client(App(store, Config(default_artifact_root="s3://bucket/root")))
    new = create(client, "a")
    assert get(client, new)["artifact_location"] == f"s3://bucket/root/{new}"


def test_a_search_finds_by_view_filter_and_order_a_page_at_a_time(client: Client) -> None:
    ids = [create(client, f"exp {n}") for n in range(5)]
    client.ok("experiments/delete", experiment_id=ids[4])
    seen, token = [], None
    for _ in range(4):
        page = client.ok(
            "experiments/search", max_results=2, filter="name LIKE 'exp %'", order_by=["name"], page_token=token
        )
        seen += [each["name"] for each in page.get("experiments", [])]
        token = page.get("next_page_token")
        if token is None:
            break
    assert seen == ["exp 0", "exp 1", "exp 2", "exp 3"]
    deleted = client.ok("experiments/search", max_results=9, view_type="DELETED_ONLY")["experiments"]
    assert [each["name"] for each in deleted] == ["exp 4"]
    assert len(client.ok("experiments/search", max_results=9, view_type=3)["experiments"]) == 6
    assert client.ok("experiments/search", max_results=9, filter="name = 'nope'") == {}


def test_a_search_by_get_is_the_same(client: Client) -> None:
    create(client, "a")
    create(client, "b")
    found = client.get("experiments/search", {"max_results": 9, "order_by": ["name DESC", "experiment_id"]}).json
    assert [each["name"] for each in found["experiments"]] == ["b", "a", "Default"]


@pytest.mark.parametrize(
    "fields",
    [{}, {"max_results": 0}, {"max_results": -1}, {"max_results": 50001}, {"max_results": "x"}, {"max_results": 1.5},
     {"max_results": 1, "page_token": "x"}, {"max_results": 1, "filter": "x"}, {"max_results": 1, "view_type": 9},
     {"max_results": 1, "order_by": ["x y z"]}, {"max_results": 1, "order_by": "name"}],
)  # fmt: skip
def test_a_wrong_search_is_refused(client: Client, fields: Any) -> None:
    reply = client.post("experiments/search", fields)
    assert (reply.status, reply.error) == (400, "INVALID_PARAMETER_VALUE")


def test_datasets_of_experiments_are_listed_for_the_browser(client: Client) -> None:
    run = client.run()
    dataset = {"name": "d", "digest": "e", "source_type": "local", "source": "s"}
    tags = [{"key": "mlflow.data.context", "value": "train"}]
    client.ok("runs/log-inputs", run_id=run, datasets=[{"dataset": dataset, "tags": tags}])
    path = "/ajax-api/2.0/mlflow/experiments/search-datasets"
    expected = {"experiment_id": "0", "name": "d", "digest": "e", "context": "train"}
    assert client.post(path, {"experiment_ids": ["0", "0", "99"]}).json == {"dataset_summaries": [expected]}
    assert client.post(path, {"experiment_ids": ["99"]}).json == {}
    for ids in ([], None, ["x"], ["0"] * 21):
        assert client.post(path, {"experiment_ids": ids}).status == 400
