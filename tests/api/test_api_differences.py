"""Each row of docs/differences.md, held by a test of the same name: what trackd answers where MLflow does otherwise."""

import errno
import json
import re
from pathlib import Path
from typing import Any, Callable, Dict, List

import pytest

from tests.conftest import Client
from tests.memory_store import MemoryStore
from trackd.app import App
from trackd.config import Config
from trackd.errors import TemporarilyUnavailable
from trackd.fields.kinds import Flag
from trackd.store import open_store

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "differences.md"
BULK = "/ajax-api/2.0/mlflow/metrics/get-history-bulk"

Check = Callable[[Client], None]
CHECKS: Dict[str, Check] = {}


def row(request: str) -> Callable[[Check], Check]:
    """Says which row of the page a check is for, by the row's first cell."""

    def declare(check: Check) -> Check:
        assert request not in CHECKS
        CHECKS[request] = check
        return check

    return declare


def refused(client: Client, path: str, *bodies: Any, error: str = "INVALID_PARAMETER_VALUE") -> None:
    """Each of the bodies is a 400 with that code."""
    for body in bodies:
        reply = client.post(path, raw=body) if isinstance(body, bytes) else client.post(path, body)
        assert (reply.status, reply.error) == (400, error), (body, reply.json)


def point(client: Client, **fields: Any) -> Any:
    """A point of a metric of a new run."""
    return {"run_id": client.run(), "key": "m", "value": 1.0, "timestamp": 1, **fields}


@row('An integer that is none: `12.5`, `true`, `" 12"`, beyond 64 bits')
def _(client: Client) -> None:
    for value in (12.5, True, " 12", 2**63):
        refused(client, "runs/log-metric", point(client, timestamp=value))
        refused(client, "runs/create", {"experiment_id": "0", "start_time": value})


@row('A metric\'s value that is `true`, `"abc"`, `"1_0"` or a bare `NaN`')
def _(client: Client) -> None:
    for value in (True, "abc", "1_0"):
        refused(client, "runs/log-metric", point(client, value=value))
    refused(client, "runs/log-metric", json.dumps(point(client, value=float("nan"))).encode())
    assert client.ok("runs/log-metric", **point(client, value="NaN")) == {}


@row("A string field that holds a number or an object")
def _(client: Client) -> None:
    refused(client, "runs/create", {"experiment_id": "0", "user_id": 7}, {"experiment_id": "0", "user_id": {}})
    refused(client, "runs/log-parameter", {"run_id": client.run(), "key": "a", "value": 5})


@row("A number of a status or view type that does not exist, `true` for one")
def _(client: Client) -> None:
    run = client.run()
    refused(client, "runs/update", {"run_id": run, "status": 99}, {"run_id": run, "status": True})
    refused(client, "runs/search", {"run_view_type": 7}, {"run_view_type": True})
    assert client.ok("runs/update", run_id=run, status="BOGUS")["run_info"]["status"] == "RUNNING"


@row("A list that holds `null`, a number or a list in the place of an id or object")
def _(client: Client) -> None:
    refused(client, "runs/search", *({"experiment_ids": [wrong]} for wrong in (None, 0, ["0"])))
    items: List[Any] = [None, 5, []]
    refused(client, "runs/create", *({"experiment_id": "0", "tags": [item]} for item in items))


@row("JSON with a name twice in one object")
def _(client: Client) -> None:
    refused(client, "experiments/create", b'{"name":"a","name":"b"}')


@row("Malformed JSON")
def _(client: Client) -> None:
    refused(client, "runs/search", b"{", b'{"experiment_ids":["0"],}')
    assert "at character" in client.post("runs/search", raw=b"{").json["message"]


@row('Half of a surrogate pair in a string (`"\\ud800"`)')
def _(client: Client) -> None:
    refused(client, "experiments/create", b'{"name":"\\ud800"}')


@row("Bodies in UTF-16 or UTF-32")
def _(client: Client) -> None:
    refused(client, "experiments/create", *('{"name":"a"}'.encode(coding) for coding in ("utf-16", "utf-32")))


@row("Tags of a new run with a key that is empty, too long or climbs (`../x`)")
def _(client: Client) -> None:
    for key in ("", "x" * 251, "../x"):
        refused(client, "runs/create", {"experiment_id": "0", "tags": [{"key": key, "value": "v"}]})


@row("Tags of a new run with values above 8000 characters")
def _(client: Client) -> None:
    run = client.run(tags=[{"key": "a", "value": "x" * 9000}])
    assert {"key": "a", "value": "x" * 8000} in client.get_run(run)["data"]["tags"]


@row("Dataset inputs without dataset, name, digest or a tag's key; models without an id")
def _(client: Client) -> None:
    run, dataset = client.run(), {"name": "d", "digest": "e"}
    inputs: List[Any] = [
        {},
        {"dataset": {"name": "d"}},
        {"dataset": {"digest": "e"}},
        {"dataset": dataset, "tags": [{}]},
    ]
    for each in inputs:
        refused(client, "runs/log-inputs", {"run_id": run, "datasets": [each]})
    refused(client, "runs/log-inputs", {"run_id": run, "models": [{}]})
    refused(client, "runs/outputs", {"run_id": run, "models": [{"model_id": ""}]})


@row("Model ids that are no ids (`../x`) in inputs, outputs and points of metrics")
def _(client: Client) -> None:
    for path in ("runs/log-inputs", "runs/outputs"):
        refused(client, path, {"run_id": client.run(), "models": [{"model_id": "../x"}]})
    refused(client, "runs/log-metric", point(client, model_id="../x"))


@row("A metric point of a logged model that is not there")
def _(client: Client) -> None:
    reply = client.post("runs/log-metric", point(client, model_id="m-1"))
    assert (reply.status, reply.error) == (404, "RESOURCE_DOES_NOT_EXIST")


def new_model(client: Client, **fields: Any) -> str:
    """The id of a new logged model."""
    return str(client.ok("logged-models", experiment_id="0", **fields)["model"]["info"]["model_id"])


def change(client: Client, method: str, path: str, body: Any = None) -> Any:
    """The reply to a PATCH or DELETE below ``logged-models``."""
    return client.send(method, "logged-models/" + path, json.dumps(body or {}).encode())


def in_a_database(client: Client) -> bool:
    """Whether logged models are in MLflow's tables, which hold less than its folders."""
    return bool(client.get("/api/3.0/mlflow/server-info").json["store_type"] == "SqlStore")


@row("Params and tags of logged models with a key that is empty, too long or climbs")
def _(client: Client) -> None:
    model = new_model(client)
    for key in ("", "k" * 251, "../x"):
        for field in ("params", "tags"):
            refused(client, "logged-models", {"experiment_id": "0", field: [{"key": key, "value": "1"}]})
        refused(client, f"logged-models/{model}/params", {"model_id": model, "params": [{"key": key}]})
        assert change(client, "PATCH", f"{model}/tags", {"tags": [{"key": key}]}).status == 400


@row("A logged model's name or type above 500 characters, a value above 1,000,000")
def _(client: Client) -> None:
    for field in ("name", "model_type"):
        refused(client, "logged-models", {"experiment_id": "0", field: "x" * 501})
        assert client.ok("logged-models", experiment_id="0", **{field: "x" * 500})
    refused(client, "logged-models", {"experiment_id": "0", "params": [{"key": "k", "value": "x" * 1_000_001}]})


@row("A logged model's id in the body that is not the one in the path")
def _(client: Client) -> None:
    one, other = new_model(client), new_model(client)
    refused(client, f"logged-models/{one}/params", {"model_id": other, "params": []})
    reply = change(client, "PATCH", one, {"model_id": other, "status": 2})
    assert (reply.status, reply.error) == (400, "INVALID_PARAMETER_VALUE")


@row("`allow_deleted` that is neither true nor false")
def _(client: Client) -> None:
    model = new_model(client)
    for word, status in (("yes", 400), ("1", 400), ("TRUE", 200), ("false", 200)):
        assert client.get(f"logged-models/{model}", {"allow_deleted": word}).status == status


@row("Filters of logged models by a status that is no number, or by `metadata`")
def _(client: Client) -> None:
    for text in ("status = 'READY'", "status LIKE '1'", "metadata = 'x'", "tags = 'x'"):
        refused(client, "logged-models/search", {"experiment_ids": ["0"], "filter": text})


@row("logged-models/search with a negative `max_results`")
def _(client: Client) -> None:
    refused(client, "logged-models/search", {"experiment_ids": ["0"], "max_results": -1})


@row("Filters of logged models by an unknown attribute, or by text in the place of a number")
def _(client: Client) -> None:
    for text in ("bogus = 'x'", "metrics.acc > '0.5'", "metrics.acc > abc", "creation_time > '0'"):
        refused(client, "logged-models/search", {"experiment_ids": ["0"], "filter": text})


@row("Logged models ordered by `tags`; a page token of theirs that is none")
def _(client: Client) -> None:
    refused(client, "logged-models/search", {"experiment_ids": ["0"], "order_by": [{"field_name": "tags"}]})
    refused(client, "logged-models/search", {"experiment_ids": ["0"], "page_token": "rubbish"})


@row("Logging a logged model's param again with the same value")
def _(client: Client) -> None:
    model = new_model(client)
    for value, status in (("1", 200), ("1", 200), ("2", 400)):
        body = {"model_id": model, "params": [{"key": "p", "value": value}]}
        assert client.post(f"logged-models/{model}/params", body).status == status


@row("A string in double quotes in a filter of logged models")
def _(client: Client) -> None:
    new_model(client, name="mod")
    assert len(client.ok("logged-models/search", experiment_ids=["0"], filter='name = "mod"')["models"]) == 1


@row("Deleting a logged model's tag with a slash in its key")
def _(client: Client) -> None:
    model = new_model(client, tags=[{"key": "a/b", "value": "1"}])
    assert [change(client, "DELETE", f"{model}/tags/a/b").status for _ in range(2)] == [200, 404]


@row("Two points of a logged model's metric at one time and step of a run")
def _(client: Client) -> None:
    body = point(client, model_id=new_model(client))
    client.ok("runs/log-metric", **body)
    reply = client.post("runs/log-metric", {**body, "value": 2.0})
    assert (reply.status, reply.error) == ((400, "BAD_REQUEST") if in_a_database(client) else (200, ""))


@row("NaN among a logged model's metrics")
def _(client: Client) -> None:
    model = new_model(client)
    client.ok("runs/log-metric", **point(client, value="NaN", model_id=model))
    (kept,) = client.get(f"logged-models/{model}").json["model"]["data"]["metrics"]
    assert kept["value"] == (0.0 if in_a_database(client) else "NaN")


@row("Equal tag keys in experiments/create")
def _(client: Client) -> None:
    refused(client, "experiments/create", {"name": "a", "tags": [{"key": "k"}, {"key": "k"}]}, error="BAD_REQUEST")


@row("runs/create without an experiment")
def _(client: Client) -> None:
    refused(client, "runs/create", {}, {"experiment_id": ""})


@row("`run_uuid` alone where the message has only `run_id` (delete, restore, log-batch)")
def _(client: Client) -> None:
    for path in ("runs/delete", "runs/restore", "runs/log-batch"):
        refused(client, path, {"run_uuid": client.run()})


@row("get-history-bulk with an empty key or a negative limit")
def _(client: Client) -> None:
    assert client.get(BULK, "run_id=a&metric_key=").status == 400
    assert client.get(BULK, "run_id=a&metric_key=m&max_results=-1").status == 400


@row("An experiment id in another script's digits")
def _(client: Client) -> None:
    assert client.get("experiments/get", {"experiment_id": "٠"}).status == 400


@row("An array, a number or `true` as the body; JSON in a string twice over")
def _(client: Client) -> None:
    twice = json.dumps(json.dumps(json.dumps({"name": "a"}))).encode()
    refused(client, "experiments/create", b"[]", b"5", b"true", twice)


@row("Deep nesting, integers of thousands of digits, a value beyond a double")
def _(client: Client) -> None:
    refused(client, "experiments/create", b'{"name":' + b"[" * 100_000, b'{"name":' + b"9" * 5000 + b"}")
    refused(client, "runs/log-metric", point(client, value=10**400))


@row("`null` or text in the place of a metric; objects in the place of integers")
def _(client: Client) -> None:
    run = client.run()
    refused(client, "runs/log-batch", {"run_id": run, "metrics": [None]}, {"run_id": run, "metrics": ["x"]})
    refused(client, "runs/create", {"experiment_id": "0", "start_time": {}})
    refused(client, "runs/search", {"max_results": {}})


@row("Renaming a deleted experiment")
def _(client: Client) -> None:
    experiment = client.ok("experiments/create", name="a")["experiment_id"]
    client.ok("experiments/delete", experiment_id=experiment)
    refused(client, "experiments/update", {"experiment_id": experiment, "new_name": "b"}, error="INVALID_STATE")


@row("An experiment id beyond 64 bits")
def _(client: Client) -> None:
    assert client.get("experiments/get", {"experiment_id": "9" * 30}).status == 400
    refused(client, "runs/search", {"experiment_ids": ["9" * 30]})


@row("An artifact location with a file URI of another host")
def _(client: Client) -> None:
    refused(client, "experiments/create", {"name": "a", "artifact_location": "file://host/x"})


@row("log-model with JSON that is no object, flavors that are none, or a history tag that holds no list")
def _(client: Client) -> None:
    model = {"run_id": "", "artifact_path": "", "utc_time_created": "", "flavors": {}}
    run = client.run()
    for wrong in ("[]", "3", json.dumps({**model, "flavors": 3})):
        refused(client, "runs/log-model", {"run_id": run, "model_json": wrong})
    client.ok("runs/set-tag", run_id=run, key="mlflow.log-model.history", value="junk")
    refused(client, "runs/log-model", {"run_id": run, "model_json": json.dumps(model)})


@row("get-history-bulk with a limit that is no number")
def _(client: Client) -> None:
    assert client.get(BULK, "run_id=a&metric_key=m&max_results=x").status == 400


@row("runs/search ordered twice by one key")
def _(client: Client) -> None:
    refused(client, "runs/search", {"experiment_ids": ["0"], "order_by": ["metrics.a", "metrics.a DESC"]})


@row("A store without room, without permission, or locked")
def _(client: Client) -> None:
    class Failing(MemoryStore):
        """Every write fails in one way."""

        error: Exception

        def transaction(self) -> Any:
            """Fails."""
            raise self.error

    store = Failing()
    for error, status in (
        (OSError(errno.ENOSPC, ""), 507),
        (OSError(errno.EACCES, ""), 403),
        (TemporarilyUnavailable("locked"), 503),
    ):
        store.error = error
        assert Client(App(store, Config())).post("experiments/create", {"name": "a"}).status == status


@row("Required fields in lowerCamelCase, in bodies and queries")
def _(client: Client) -> None:
    client.ok("experiments/set-experiment-tag", experimentId="0", key="a", value="b")
    assert client.get("experiments/get", {"experimentId": "0"}).status == 200


@row("`Content-Type: Application/JSON`")
def _(client: Client) -> None:
    headers = {"content-type": "Application/JSON"}
    assert client.send("POST", "experiments/create", b'{"name":"a"}', headers=headers).status == 200


@row('Booleans as strings in bodies (`"TRUE"`), as R sends them')
def _(client: Client) -> None:
    assert Flag().read("TRUE", "flag") is True


@row("OR, NOT and parentheses in filters")
def _(client: Client) -> None:
    run = client.run(tags=[{"key": "a", "value": "1"}])
    client.run(tags=[{"key": "a", "value": "2"}])
    for text in ("tags.a = '1' OR tags.a = '3'", "NOT tags.a = '2'", "(tags.a = '1')"):
        found = client.ok("runs/search", experiment_ids=["0"], filter=text)["runs"]
        assert [each["info"]["run_id"] for each in found] == [run]


@row("Logging an output again")
def _(client: Client) -> None:
    run = client.run()
    for step in (1, 2):
        client.ok("runs/outputs", run_id=run, models=[{"model_id": "m-1", "step": step}])
    assert client.get_run(run)["outputs"] == {"model_outputs": [{"model_id": "m-1", "step": 1}]}


@row("A run with an empty mlflow.runName tag")
def _(client: Client) -> None:
    assert client.get_run(client.run(tags=[{"key": "mlflow.runName", "value": ""}]))["info"]["run_name"]


@row("log-batch with something wrong in its middle")
def _(client: Client) -> None:
    run = client.run()
    client.ok("runs/log-parameter", run_id=run, key="p", value="1")
    before = client.get_run(run)
    metrics = [{"key": "m", "value": 1, "timestamp": 1}]
    refused(client, "runs/log-batch", {"run_id": run, "metrics": metrics, "params": [{"key": "p", "value": "2"}]})
    refused(client, "runs/log-batch", {"run_id": run, "metrics": metrics, "tags": [{"key": "../t"}]})
    assert client.get_run(run) == before


@row("An unknown path")
def _(client: Client) -> None:
    assert (client.get("/nope").status, client.get("/nope").error) == (404, "ENDPOINT_NOT_FOUND")


@row("A wrong method")
def _(client: Client) -> None:
    assert (client.get("runs/create").status, client.get("runs/create").error) == (405, "BAD_REQUEST")


@row("NaN in get-history-bulk")
def _(client: Client) -> None:
    body = point(client, value="NaN")
    client.ok("runs/log-metric", **body)
    assert client.get(BULK, {"run_id": body["run_id"], "metric_key": "m"}).json["metrics"][0]["value"] == "NaN"


@row("HEAD")
def _(client: Client) -> None:
    assert client.send("HEAD", "experiments/get", query="experiment_id=0").status == 200


@row("GET with its arguments in a body")
def _(client: Client) -> None:
    headers = {"content-type": "application/json"}
    assert client.send("GET", "experiments/get", b'{"experiment_id":"0"}', headers=headers).status == 400


@row("The order of a run's tags and params")
def _(client: Client) -> None:
    run = client.run(tags=[{"key": "z"}, {"key": "a"}])
    keys = [tag["key"] for tag in client.get_run(run)["data"]["tags"]]
    assert keys == sorted(keys) == ["a", "mlflow.runName", "z"]


@row("A backslash in an artifact's path")
def _(client: Client) -> None:
    for path in ("a\\b", "..\\x"):
        reply = client.send("PUT", f"/api/2.0/mlflow-artifacts/artifacts/{path}", b"x", headers={"content-length": "1"})
        assert (reply.status, reply.error) == (400, "INVALID_PARAMETER_VALUE")


@row("Artifacts of a run whose location is a folder elsewhere on the server's host")
def _(client: Client) -> None:
    made = client.ok("experiments/create", name="elsewhere", artifact_location="/etc")
    reply = client.get("artifacts/list", {"run_id": client.run(made["experiment_id"])})
    assert (reply.status, reply.error) == (400, "INVALID_PARAMETER_VALUE")
    assert "--artifact-roots" in reply.json["message"]


@row("Uploads in parts, where artifacts are kept in a folder")
def _(client: Client) -> None:
    reply = client.post("/api/2.0/mlflow-artifacts/mpu/create/a", {"path": "b", "num_parts": 2})
    assert reply.status == 200 and len(reply.json["credentials"]) == 2


@row("A page, a script or SVG among the artifacts, downloaded")
def _(client: Client) -> None:
    for name in ("a.html", "a.js", "a.svg"):
        path = f"/api/2.0/mlflow-artifacts/artifacts/{name}"
        assert client.send("PUT", path, b"x", headers={"content-length": "1"}).status == 200
        response = client.get(path).response
        assert response.file is not None
        response.file.file.close()
        assert response.content_type == "text/plain"
        assert dict(response.headers)["Content-Disposition"].startswith("attachment")


@row("server-info")
def _(client: Client) -> None:
    info = client.get("/api/3.0/mlflow/server-info").json
    assert info["features_enabled"] == {"gateway": False} and info["multipart_uploads_enabled"]


@row("Refusals of a Host or an Origin")
def _(client: Client) -> None:
    reply = client.send("GET", "/", headers={"host": "evil.example"})
    assert reply.status == 403 and ("X-Content-Type-Options", "nosniff") in reply.response.headers


def model(client: Client, versions: int = 0) -> str:
    """The name of a new registered model with so many versions."""
    client.ok("registered-models/create", name="m")
    for _ in range(versions):
        client.ok("model-versions/create", name="m", source="s3://bucket/m")
    return "m"


@row("registered-models/search with `max_results` 0 or below")
def _(client: Client) -> None:
    for size in ("0", "-1"):
        assert client.get("registered-models/search", {"max_results": size}).status == 400


@row("A model version's source above 10,000 characters")
def _(client: Client) -> None:
    model(client)
    refused(client, "model-versions/create", {"name": "m", "source": "s3://b/" + "x" * 10_000})


@row("A search of the registry ordered twice by one key")
def _(client: Client) -> None:
    for path in ("registered-models/search", "model-versions/search"):
        assert client.get(path, {"order_by": ["name", "name DESC"]}).error == "INVALID_PARAMETER_VALUE"


@row("A model version beyond 64 bits")
def _(client: Client) -> None:
    assert client.get("model-versions/get", {"name": model(client), "version": "9" * 20}).status == 400


@row("A model version's source with a file URI of another host")
def _(client: Client) -> None:
    refused(client, "model-versions/create", {"name": model(client), "source": "file://host/etc"})


@row("Archiving what is in the stage None or Archived")
def _(client: Client) -> None:
    body = {"name": model(client, 1), "version": "1", "archive_existing_versions": True}
    refused(client, "model-versions/transition-stage", *({**body, "stage": stage} for stage in ("None", "Archived")))


@row("A version of a logged model that is not there")
def _(client: Client) -> None:
    gone = "m-" + "0" * 32
    for source in ("s3://bucket/m", f"models:/{gone}"):
        body = {"name": "m", "source": source, "model_id": gone}
        assert client.post("model-versions/create", body).error == "RESOURCE_DOES_NOT_EXIST"


@row("POST to registered-models/search, as R sends it")
def _(client: Client) -> None:
    model(client)
    found = client.ok("registered-models/search", max_results="1")["registered_models"]
    assert [each["name"] for each in found] == ["m"]


@row("IS NULL and IS NOT NULL of tags in searches of the registry")
def _(client: Client) -> None:
    model(client, 1)
    client.ok("registered-models/set-tag", name="m", key="a", value="")
    for path, found in (("registered-models", True), ("model-versions", False)):
        words = ("IS NOT NULL", "IS NULL")
        answers = [client.get(path + "/search", {"filter": f"tags.a {word}"}).json for word in words]
        assert [bool(answer) for answer in answers] == [found, not found]


FOLDER_ROW = "Two keys of which one is the folder of the other (`a`, `a/b`)"


def test_one_key_cannot_be_the_folder_of_another_in_a_folder(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "mlruns"), sync="off")
    client = Client(App(store, Config()))
    run = client.run()
    client.ok("runs/set-tag", run_id=run, key="a", value="1")
    refused(client, "runs/set-tag", {"run_id": run, "key": "a/b", "value": "1"})
    assert store.check() == []
    store.close()


def rows() -> List[str]:
    """The first cell of every row on the page."""
    cells = re.findall(r"^\| (.+?) \| .* \|.*\|.*\|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return [cell for cell in cells if cell != "request"]


@pytest.mark.parametrize("request_row", sorted(CHECKS))
def test_trackd_answers_as_the_page_says(client: Client, request_row: str) -> None:
    CHECKS[request_row](client)


def test_every_row_of_the_page_has_its_test() -> None:
    assert sorted(rows()) == sorted([*CHECKS, FOLDER_ROW])
