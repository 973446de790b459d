"""Logged models over the API: their life, what is logged to them, searches, and bad input on every route."""

import itertools
import json
from typing import Any, Dict, List, Optional, Sequence, Tuple

import pytest

from tests.conftest import Client, Reply, pairs
from trackd.api import rules
from trackd.store.base import Store

T = 1700000000000


def ask(client: Client, method: str, path: str, body: Any = None) -> Reply:
    """A request below ``logged-models`` with a JSON body."""
    raw = b"" if body is None else json.dumps(body).encode()
    return client.send(method, "logged-models" + path, raw, headers={"content-type": "application/json"})


def create(client: Client, **fields: Any) -> str:
    """The id of a new model."""
    fields.setdefault("experiment_id", "0")
    return str(client.ok("logged-models", **fields)["model"]["info"]["model_id"])


def get(client: Client, model_id: str, **query: Any) -> Any:
    """A model that must be there."""
    reply = client.get(f"logged-models/{model_id}", query)
    assert reply.status == 200, reply.json
    return reply.json["model"]


def measure(client: Client, run_id: str, model_id: str, key: str, value: Any, *dataset: str, step: int = 0) -> None:
    """Log a point to a run and a model, on a dataset if one is named."""
    on = dict(zip(("dataset_name", "dataset_digest"), dataset))
    body = {"run_id": run_id, "key": key, "value": value, "timestamp": T + step, "step": step, "model_id": model_id}
    assert client.ok("runs/log-metric", **body, **on) == {}


def search(client: Client, filter: str = "", **fields: Any) -> List[str]:
    """The names of what a search finds."""
    fields.setdefault("experiment_ids", ["0"])
    reply = client.ok("logged-models/search", filter=filter, **fields)
    return [model["info"]["name"] for model in reply.get("models", [])]


def refused(reply: Reply, status: int = 400, error: str = "INVALID_PARAMETER_VALUE") -> None:
    """An answer with that error and a sentence."""
    assert (reply.status, reply.error) == (status, error), reply.json
    assert reply.json["message"]


def test_a_new_model_is_pending_and_has_what_it_was_made_with(client: Client) -> None:
    run = client.run()
    given = {
        "name": "ü model", "model_type": "Agent", "source_run_id": run,
        "params": [{"key": "p", "value": "1"}, {"key": "a/b"}], "tags": [{"key": "z", "value": "1"}, {"key": "b"}],
    }  # fmt: skip
    made = client.ok("logged-models", experiment_id="0", **given)["model"]
    info = made["info"]
    assert info["artifact_uri"].endswith(f"/0/models/{info['model_id']}/artifacts")
    assert (info["status"], info["name"], info["model_type"]) == ("LOGGED_MODEL_PENDING", "ü model", "Agent")
    assert (info["source_run_id"], info["experiment_id"]) == (run, "0")
    assert info["creation_timestamp_ms"] == info["last_updated_timestamp_ms"] > T
    assert info["tags"] == [{"key": "b", "value": ""}, {"key": "z", "value": "1"}]
    assert made["data"] == {"params": [{"key": "a/b", "value": ""}, {"key": "p", "value": "1"}]}
    assert get(client, info["model_id"]) == made
    bare = client.ok("logged-models", experiment_id="0", name="")["model"]
    assert bare["info"]["name"] and bare["data"] == {} and "tags" not in bare["info"]


def test_a_model_is_finalized_deleted_and_still_written_to(client: Client) -> None:
    model = create(client)
    for given, status in ((2, "READY"), ("LOGGED_MODEL_UPLOAD_FAILED", "UPLOAD_FAILED"), ("1", "PENDING")):
        reply = ask(client, "PATCH", f"/{model}", {"model_id": model, "status": given})
        assert reply.json["model"]["info"]["status"] == "LOGGED_MODEL_" + status
    assert ask(client, "PATCH", f"/{model}", {"model_id": model, "status": "BOGUS"}).status == 200
    assert get(client, model)["info"]["status"] == "LOGGED_MODEL_STATUS_UNSPECIFIED"
    for _ in range(2):
        assert ask(client, "DELETE", f"/{model}").json == {}
    refused(client.get(f"logged-models/{model}"), 404, "RESOURCE_DOES_NOT_EXIST")
    assert search(client) == []
    assert get(client, model, allow_deleted="True")["info"]["model_id"] == model
    assert ask(client, "PATCH", f"/{model}/tags", {"tags": [{"key": "t", "value": "1"}]}).json == {}
    assert ask(client, "PATCH", f"/{model}", {"model_id": model, "status": 2}).status == 200
    refused(client.get(f"logged-models/{model}"), 404, "RESOURCE_DOES_NOT_EXIST")


def test_tags_are_overwritten_and_deleted_and_params_written_once(client: Client) -> None:
    model = create(client, tags=[{"key": "t", "value": "old"}, {"key": "a/b", "value": "x"}])
    tags = [{"key": "t", "value": "1"}, {"key": "t", "value": "2"}, {"key": "new"}]
    assert ask(client, "PATCH", f"/{model}/tags", {"tags": tags}).json == {}
    assert ask(client, "PATCH", f"/{model}/tags", {}).json == {}
    assert pairs(get(client, model)["info"]["tags"]) == {"t": "2", "new": "", "a/b": "x"}
    assert ask(client, "DELETE", f"/{model}/tags/t").json == {}
    assert ask(client, "DELETE", f"/{model}/tags/a/b").json == {}
    for key in ("t", "../../x", "\0"):
        refused(ask(client, "DELETE", f"/{model}/tags/{key}"), 404, "RESOURCE_DOES_NOT_EXIST")
    body = {"model_id": model, "params": [{"key": "p", "value": "1"}]}
    for _ in range(2):
        assert ask(client, "POST", f"/{model}/params", body).json == {}
    changed = {"model_id": model, "params": [{"key": "q", "value": "1"}, {"key": "p", "value": "2"}]}
    refused(ask(client, "POST", f"/{model}/params", changed), 400, "BAD_REQUEST")
    assert get(client, model)["data"]["params"] == [{"key": "p", "value": "1"}]


def test_a_point_is_on_the_run_and_on_the_model_with_its_dataset(client: Client, store: Store) -> None:
    run, model = client.run(), create(client)
    measure(client, run, model, "acc", 0.5)
    measure(client, run, model, "acc", 0.5)
    measure(client, run, model, "acc", 0.75, "d", "1", step=1)
    batch = [{"key": key, "value": value, "timestamp": T, "step": 0, "model_id": model}
             for key, value in (("nan", "NaN"), ("inf", "Infinity"))]
    client.ok("runs/log-batch", run_id=run, metrics=batch)
    common = {"model_id": model, "run_id": run}
    assert get(client, model)["data"]["metrics"] == [
        {"key": "acc", "value": 0.5, "timestamp": T, "step": 0, **common},
        {"key": "acc", "value": 0.75, "timestamp": T + 1, "step": 1, "dataset_name": "d", "dataset_digest": "1",
         **common},
        {"key": "inf", "value": 1.7976931348623157e308, "timestamp": T, "step": 0, **common},
        # MLflow's table of models' points has no place for NaN: in a database it is 0, as MLflow makes it.
        {"key": "nan", "value": 0.0 if store.store_type == "SqlStore" else "NaN", "timestamp": T, "step": 0, **common},
    ]  # fmt: skip
    assert pairs(client.get_run(run)["data"]["metrics"]) == {
        "acc": 0.75, "inf": 1.7976931348623157e308, "nan": "NaN",
    }  # fmt: skip


def test_a_point_of_a_model_that_is_not_there_is_kept_nowhere(client: Client) -> None:
    run = client.run()
    body = {"key": "m", "value": 1, "timestamp": T, "step": 0, "model_id": "m-" + "0" * 32}
    refused(client.post("runs/log-metric", {"run_id": run, **body}), 404, "RESOURCE_DOES_NOT_EXIST")
    batch = {"run_id": run, "metrics": [{"key": "ok", "value": 1, "timestamp": T, "step": 0}, body]}
    refused(client.post("runs/log-batch", batch), 404, "RESOURCE_DOES_NOT_EXIST")
    assert "metrics" not in client.get_run(run)["data"]


def test_deleting_and_restoring_runs_and_experiments_leaves_models_alone(client: Client) -> None:
    experiment = client.ok("experiments/create", name="e")["experiment_id"]
    run = client.run(experiment)
    model = create(client, experiment_id=experiment, source_run_id=run)
    measure(client, run, model, "acc", 1)
    before = get(client, model)
    client.ok("runs/delete", run_id=run)
    assert get(client, model) == before
    client.ok("experiments/delete", experiment_id=experiment)
    assert get(client, model) == before
    assert len(search(client, experiment_ids=[experiment])) == 1
    refused(client.post("logged-models", {"experiment_id": experiment}))
    client.ok("experiments/restore", experiment_id=experiment)
    assert get(client, model) == before


@pytest.fixture
def zoo(client: Client, monkeypatch: pytest.MonkeyPatch) -> Client:
    """Six models, no two of one millisecond, of which some have points on datasets."""
    times = itertools.count(T)
    monkeypatch.setattr(rules, "now", lambda: next(times))
    run = client.run()
    models = [
        create(client, name=f"mod{number // 2}", model_type=["Agent", "", "LLM"][number % 3],
               params=[{"key": "lr", "value": str(number)}], tags=[{"key": "team", "value": f"A{number}"}])
        for number in range(6)
    ]  # fmt: skip
    points: Sequence[Tuple[Any, ...]] = (
        (0, "acc", 0.1), (0, "acc", 0.9, 1), (0, "acc", 0.5, 2), (1, "acc", 0.7), (2, "acc", 0.3, 0, "d", "1"),
        (2, "acc", 0.8, 1, "d2", "1"), (3, "nan", "NaN"), (4, "acc", 0.3, 0, "d", "2"),
    )  # fmt: skip
    for number, key, value, *rest in points:
        step = int(rest[0]) if rest else 0
        measure(client, run, models[number], key, value, *map(str, rest[1:]), step=step)
    return client


def found(client: Client, filter: str = "", **fields: Any) -> str:
    """The param ``lr`` of what a search finds, in order."""
    fields.setdefault("experiment_ids", ["0"])
    reply = client.ok("logged-models/search", filter=filter, **fields)
    return "".join(model["data"]["params"][0]["value"] for model in reply.get("models", []))


FILTERS = {
    "": "543210", "name = 'mod1'": "32", "name=mod1": "32", "name IN ('mod1','mod2')": "5432",
    "name NOT IN ('mod1')": "5410", "name ilike 'MOD%'": "543210", "attributes.name LIKE 'mod0'": "10",
    "model_type = ''": "41", "status = 1": "543210", "status = '2'": "", "status IN ('1', '2')": "543210",
    "experiment_id = '0'": "543210", "creation_time > 5 AND last_updated_timestamp_ms >= 1.5": "543210",
    "lifecycle_stage = 'deleted'": "", "status_message != 'x'": "", "tags.team = 'A1'": "1", "tags.nope != 'x'": "",
    "tags.`team` IN ('A1','A2')": "21", "params.lr = 1": "1", "params.lr LIKE '%' and params.lr != '5'": "43210",
    "metrics.acc > 0.5": "210", "metrics.acc > 0.85 AND metrics.acc < 0.2": "0", "metrics.acc != 0.5": "4210",
    "metrics.nan != 1": "3", "metrics.nan = 0": "", "metrics.acc > 0.6 AND params.lr = '1'": "1",
    "metrics.acc > 0.85 OR name = 'mod2'": "540", "NOT metrics.acc > 0": "53",
}  # fmt: skip


def test_a_filter_finds_what_it_says(zoo: Client, store: Store) -> None:
    in_database = {"metrics.nan = 0": "3"} if store.store_type == "SqlStore" else {}
    assert {filter: found(zoo, filter) for filter in FILTERS} == {**FILTERS, **in_database}


def test_orders_take_the_latest_point_and_have_what_lacks_one_last(zoo: Client) -> None:
    for order, wanted in (
        ({"field_name": "name"}, "103254"),
        ({"field_name": "creation_time"}, "012345"),
        ({"field_name": "model_type", "ascending": False}, "523041"),
        ({"field_name": "metrics.acc"}, "401253"),
        ({"field_name": "metrics.acc", "ascending": "FALSE"}, "210453"),
        ({"fieldName": "metrics.acc", "dataset_name": "d"}, "425310"),
        ({"field_name": "metrics.acc", "dataset_name": "d", "datasetDigest": "2"}, "453210"),
        ({"field_name": "metrics.nan"}, "354210"),
    ):
        assert found(zoo, order_by=[order]) == wanted, order
    assert found(zoo, order_by=[{"field_name": "name"}, {"field_name": "name", "ascending": False}]) == "103254"


def test_datasets_narrow_what_counts_as_a_metric(zoo: Client) -> None:
    one, two, name = [{"dataset_name": "d", "dataset_digest": "1"}], [{"dataset_name": "d2", "dataset_digest": "1"}], [
        {"dataset_name": "d"}
    ]
    assert found(zoo, datasets=one) == found(zoo, "params.lr = '2'", datasets=one) == "2"
    assert found(zoo, "metrics.acc > 0.5", datasets=one) == ""
    assert found(zoo, "metrics.acc > 0.5", datasets=one + two) == "2"
    assert found(zoo, "metrics.acc > 0.5 OR name = 'mod0'", datasets=one) == "10"
    assert found(zoo, datasets=name) == ""


def test_pages_follow_one_another_and_a_token_is_good_for_its_search_only(zoo: Client) -> None:
    body: Dict[str, Any] = {"experiment_ids": ["0"], "max_results": 4}
    first = zoo.ok("logged-models/search", **body)
    token = first["next_page_token"]
    last = zoo.ok("logged-models/search", **body, page_token=token)
    assert len(first["models"]) == 4 and len(last["models"]) == 2 and "next_page_token" not in last
    for other in ({"experiment_ids": ["0", "1"]}, {"filter": "name = 'x'"}, {"order_by": [{"field_name": "name"}]}):
        refused(zoo.post("logged-models/search", {**body, "page_token": token, **other}))
    for wrong in ("rubbish", "W10=", "e30=", "eyJvZmZzZXQiOiAxfQ=="):
        refused(zoo.post("logged-models/search", {**body, "page_token": wrong}))
    assert found(zoo, max_results=0) == "543210" and found(zoo, max_results="1") == "5"


def test_a_version_of_a_registered_model_is_noted_on_the_model_once(client: Client, store: Store) -> None:
    model = create(client)
    for name, version in (("a", "1"), ("b", "1"), ("a", "1")):
        with store.transaction() as tx:
            rules.add_model_version(tx, model, name, version)
    noted = pairs(get(client, model)["info"]["tags"])["mlflow.modelVersions"]
    assert json.loads(noted) == [{"name": "a", "version": "1"}, {"name": "b", "version": "1"}]
    ask(client, "PATCH", f"/{model}/tags", {"tags": [{"key": "mlflow.modelVersions", "value": "rubbish"}]})
    with store.transaction() as tx:
        rules.add_model_version(tx, model, "a", "2")
    assert '"2"' in pairs(get(client, model)["info"]["tags"])["mlflow.modelVersions"]


NO_MODELS: List[Dict[str, Any]] = [
    {}, {"experiment_id": ""}, {"experiment_id": "x"}, {"experiment_id": 0}, {"name": 5}, {"name": "a/b"},
    {"name": "a:b"}, {"name": "a.b"}, {"name": "a%b"}, {"name": 'a"b'}, {"name": "a'b"}, {"name": "x" * 501},
    {"model_type": "x" * 501}, {"source_run_id": []}, {"params": "x"}, {"params": [5]}, {"params": [{"value": "x"}]},
    {"params": [{"key": "../x", "value": "x"}]}, {"params": [{"key": "k", "value": 5}]}, {"tags": {}},
    {"tags": [{"key": "", "value": "x"}]}, {"tags": [{"key": "k" * 251}]}, {"tags": [None]},
    {"tags": [{"key": "t", "value": "x" * 1_000_001}]},
]  # fmt: skip


def test_a_model_that_cannot_be_is_refused(client: Client) -> None:
    for body in NO_MODELS:
        refused(client.post("logged-models", {**({"experiment_id": "0"} if body else {}), **body}))
    assert search(client) == []


def test_equal_keys_and_unknown_experiments_are_refused_as_mlflow_refuses_them(client: Client) -> None:
    twice = [{"key": "p", "value": "1"}, {"key": "p", "value": "1"}]
    for field in ("params", "tags"):
        refused(client.post("logged-models", {"experiment_id": "0", field: twice}), 400, "BAD_REQUEST")
    refused(client.post("logged-models", {"experiment_id": "99"}), 404, "RESOURCE_DOES_NOT_EXIST")


ROUTES = [("GET", ""), ("PATCH", ""), ("DELETE", ""), ("PATCH", "/tags"), ("DELETE", "/tags/t"), ("POST", "/params")]


def test_a_model_that_is_not_there_is_a_404(client: Client) -> None:
    for model_id in ("m-nope", "m-" + "0" * 32, "..", "a\0b", "é", "x" * 300, " "):
        body = {"model_id": model_id, "status": 2, "tags": [{"key": "t"}], "params": [{"key": "p"}]}
        for method, below in ROUTES:
            reply = ask(client, method, f"/{model_id}{below}", None if method == "GET" else body)
            refused(reply, 404, "RESOURCE_DOES_NOT_EXIST")


WRONG: List[Tuple[str, str, Any]] = [
    ("PATCH", "", {}), ("PATCH", "", {"status": 2}), ("PATCH", "", {"model_id": "$", "status": 9}),
    ("PATCH", "", {"model_id": "$"}), ("PATCH", "", {"model_id": "other", "status": 2}), ("PATCH", "", [1]),
    ("PATCH", "", {"modelId": "other", "status": 2}), ("PATCH", "", {"model_id": 5, "status": 2}),
    ("PATCH", "", {"model_id": "$", "status": []}), ("PATCH", "/tags", {"tags": "x"}),
    ("PATCH", "/tags", {"tags": [5]}),
    ("PATCH", "/tags", {"tags": [{"value": "x"}]}), ("PATCH", "/tags", {"tags": [{"key": "../x"}]}),
    ("POST", "/params", {"params": []}), ("POST", "/params", {"model_id": "other", "params": []}),
    ("POST", "/params", {"model_id": "$", "params": [{"key": "a//b"}]}),
    ("POST", "/params", {"model_id": "$", "params": 5}),
    ("DELETE", "", [1]),
]  # fmt: skip


def test_a_wrong_body_is_refused_and_changes_nothing(client: Client) -> None:
    model = create(client)
    before = get(client, model)
    for method, below, body in WRONG:
        refused(ask(client, method, f"/{model}{below}", json.loads(json.dumps(body).replace("$", model))))
    assert get(client, model) == before


SEARCHES: List[Dict[str, Any]] = [
    {"experiment_ids": None}, {"experiment_ids": "0"}, {"experiment_ids": ["x"]}, {"experiment_ids": [0]},
    {"max_results": -1}, {"max_results": "x"}, {"max_results": 2**31}, {"max_results": 1.5}, {"order_by": "name"},
    {"order_by": ["name"]}, {"order_by": [{"field_name": "params.lr"}]}, {"order_by": [{"field_name": "metrics."}]},
    {"order_by": [{"field_name": "name"}] * 17}, {"order_by": [{"field_name": "name", "ascending": "x"}]},
    {"datasets": "d"}, {"datasets": ["d"]}, {"datasets": [{}]}, {"datasets": [{"dataset_digest": "1"}]},
    {"filter": 5}, {"filter": "tag.a = 'x'"}, {"filter": "bogus = 'x'"}, {"filter": "metrics.a = 'x'"},
    {"filter": "status > 1"}, {"filter": "status = 'READY'"}, {"filter": "name IS NULL"}, {"filter": "("},
    {"filter": "dataset.name = 'd'"}, {"filter": "status IN ('x')"}, {"filter": "experiment_id LIKE '1'"},
]  # fmt: skip


def test_a_search_that_cannot_be_is_refused(client: Client) -> None:
    for fields in SEARCHES:
        refused(client.post("logged-models/search", {"experiment_ids": ["0"], **fields}))


def test_an_order_by_no_field_has_mlflow_s_error_class(client: Client) -> None:
    for name in ("bogus", "", "tags", "Name", " name", "last_updated_time", "metadata"):
        reply = client.post("logged-models/search", {"experiment_ids": ["0"], "order_by": [{"field_name": name}]})
        refused(reply)
        assert (reply.json["sqlstate"], reply.json["error_class"]) == ("KAM04", "ATTRIBUTE_NOT_FOUND")


def test_allow_deleted_is_true_or_false(client: Client) -> None:
    model: Optional[str] = create(client)
    refused(client.get(f"logged-models/{model}", {"allow_deleted": "yes"}))
    assert client.get(f"logged-models/{model}", {"allow_deleted": "FALSE"}).status == 200


def test_artifacts_of_a_model_are_listed_and_fetched(client: Client) -> None:
    model = create(client)
    location = get(client, model)["info"]["artifact_uri"]
    listing, files = f"logged-models/{model}/artifacts/directories", f"/ajax-api/2.0/mlflow/logged-models/{model}"
    assert client.get(listing).json == {"root_uri": location}
    place = "/api/2.0/mlflow-artifacts/artifacts/" + location.split(":", 1)[1].lstrip("/")
    for name, content in (("MLmodel", b"flavors"), ("data/ü.bin", b"\0\1")):
        length = {"content-length": str(len(content))}
        assert client.send("PUT", f"{place}/{name}", content, headers=length).status == 200
    assert client.get(listing).json["files"] == [
        {"path": "MLmodel", "is_dir": False, "file_size": 7}, {"path": "data", "is_dir": True},
    ]  # fmt: skip
    inner = client.get(listing, {"artifact_directory_path": "data"}).json["files"]
    assert inner == [{"path": "data/ü.bin", "is_dir": False, "file_size": 2}]
    fetched = client.get(files + "/artifacts/files", {"artifact_file_path": "data/ü.bin"})
    assert fetched.status == 200 and fetched.response.headers
    refused(client.get(files + "/artifacts/files"), 400, "BAD_REQUEST")
    for path, status in (("data", 400), ("../../x", 400), ("/etc/passwd", 400), ("nope", 404)):
        assert client.get(files + "/artifacts/files", {"artifact_file_path": path}).status == status
    refused(client.get(listing, {"artifact_directory_path": "../x"}))
    ask(client, "DELETE", f"/{model}")
    refused(client.get(listing), 404, "RESOURCE_DOES_NOT_EXIST")
    refused(client.get(files + "/artifacts/files", {"artifact_file_path": "MLmodel"}), 404, "RESOURCE_DOES_NOT_EXIST")
