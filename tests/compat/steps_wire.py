"""Steps of how requests are read and replies are framed, and of the area misc."""

import json
from typing import Any, Dict, List, Sequence, Tuple

from tests.compat.differ import Step, get, post

T = 1700000000000
JSON = {"Content-Type": "application/json"}


def raw(name: str, body: bytes, path: str = "experiments/create", **more: Any) -> Step:
    """A POST of exactly these bytes, as JSON unless ``headers`` says otherwise."""
    return Step(name, "POST", path, raw=body, **{"headers": JSON, **more})


READING: List[Step] = [
    post("an experiment for the wire", "experiments/create", {"name": "wire"}, keep={"wire": "experiment_id"}),
    post("an experiment for wrong runs", "experiments/create", {"name": "wrong"}, keep={"wrong": "experiment_id"}),
    raw("no body", b""),
    raw("an empty object", b"{}"),
    raw("malformed JSON", b"{\"name\": \"mal"),
    raw("a word", b"name"),
    raw("a number", b"12"),
    raw("null", b"null"),
    raw("true", b"true"),
    raw("an array", b"[]"),
    raw("an array of objects", b"[{\"name\": \"in an array\"}]"),
    raw("bytes that are not UTF-8", b"{\"name\": \"\xff\xfe\"}"),
    raw("UTF-16", "{\"name\": \"utf-16\"}".encode("utf-16")),
    raw("UTF-32", "{\"name\": \"utf-32\"}".encode("utf-32")),
    raw("a byte order mark", b"\xef\xbb\xbf{\"name\": \"bom\"}"),
    raw("JSON in a JSON string", json.dumps(json.dumps({"name": "double"})).encode(), keep={"double": "experiment_id"}),
    get("what JSON in a string made", "experiments/get-by-name", {"experiment_name": "double"}),
    raw("JSON in a string in a string", json.dumps(json.dumps(json.dumps({"name": "triple"}))).encode()),
    raw("a string that is not JSON", b"\"name\""),
    raw("a key twice", b"{\"name\": \"dup one\", \"name\": \"dup two\"}"),
    raw("an integer of 5000 digits", b"{\"name\": \"digits\", \"x\": " + b"9" * 5000 + b"}"),
    raw("deep nesting", b"{\"name\": \"deep\", \"x\": " + b"[" * 2000 + b"]" * 2000 + b"}"),
    raw("a lone surrogate", b"{\"name\": \"a\\ud800b\"}"),
    raw("a run named by half of a pair",
        b"{\"experiment_id\": \"0\", \"start_time\": 9, \"run_name\": \"a\\ud800b\"}", "runs/create",
        keep={"half_name": "run.info.run_name"}),
    raw("a NUL in a name", b"{\"name\": \"a\\u0000b\"}"),
    raw("a bare NaN", b"{\"run_id\": \"x\", \"key\": \"m\", \"value\": NaN, \"timestamp\": 1}", "runs/log-metric"),
    raw("without a content type", b"{\"name\": \"no type\"}", headers={}),
    raw("as text", b"{\"name\": \"text\"}", headers={"Content-Type": "text/plain"}),
    raw("as a form", b"name=form", headers={"Content-Type": "application/x-www-form-urlencoded"}),
    raw("with a charset", b"{\"name\": \"charset\"}", headers={"Content-Type": "application/json; charset=utf-8"},
        keep={"charset": "experiment_id"}),
    raw("a content type in capitals", b"{\"name\": \"capitals\"}", headers={"Content-Type": "Application/JSON"}),
    raw("a problem+json content type", b"{\"name\": \"vendor\"}", headers={"Content-Type": "application/vnd.x+json"}),
    Step("the query of a POST is ignored", "POST", "experiments/create", query=[("name", "in query")], body={}),
    Step("a GET with its arguments in a body", "GET", "experiments/get", raw=b"{\"experiment_id\": \"0\"}",
         headers=JSON),
    Step("a GET with both", "GET", "experiments/get", query=[("experiment_id", "0")],
         raw=b"{\"experiment_id\": \"1\"}", headers=JSON),
    post("unknown fields are ignored", "experiments/create",
         {"name": "unknown fields", "colour": "red", "tags": [{"key": "a", "value": "b", "c": "d"}]},
         keep={"unknown": "experiment_id"}),
    post("null means absent", "experiments/create",
         {"name": "nulls", "tags": None, "artifact_location": None}, keep={"nulls": "experiment_id"}),
    get("what nulls made", "experiments/get", {"experiment_id": "$nulls"}),
    post("camelCase names", "runs/create",
         {"experimentId": "$wire", "runName": "camel", "startTime": T, "userId": "u"},
         keep={"camel": "run.info.run_id"}),
    post("both spellings of a field", "runs/create",
         {"experiment_id": "$wire", "experimentId": "$wire", "run_name": "both"}),
    post("both spellings, one null", "runs/create",
         {"experiment_id": "$wire", "experimentId": None, "run_name": "half", "start_time": T + 1},
         keep={"half": "run.info.run_id"}),
    post("other spellings are unknown", "experiments/create", {"Name": "capital"}),
    get("a query key in camelCase", "experiments/get", {"experimentId": "0"}),
    get("a query key given twice", "experiments/get", [("experiment_id", "0"), ("experiment_id", "424242")]),
    get("a query key with brackets", "experiments/get", {"experiment_id[]": "0"}),
    get("an unknown query key", "experiments/get", {"experiment_id": "0", "colour": "red"}),
    post("all scalars as text, as R sends them", "runs/create",
         {"experiment_id": "$wire", "run_name": "r", "start_time": "1.70001e+12", "user_id": "r"},
         keep={"r": "run.info.run_id"}),
    post("a metric as R sends it", "runs/log-metric",
         {"run_uuid": "$r", "run_id": "$r", "key": "m", "value": "0.5", "timestamp": "1.7e+12", "step": "3"}),
    post("an update as R sends it", "runs/update",
         {"run_uuid": "$r", "run_id": "$r", "status": "FINISHED", "end_time": "1.70000001e+12"}),
    get("what R made", "runs/get", {"run_uuid": "$r", "run_id": "$r"}),
    post("a search as R sends it", "runs/search",
         {"experiment_ids": ["$wire"], "filter": "", "run_view_type": "ACTIVE_ONLY", "max_results": "1",
          "order_by": ["attributes.run_name"]}),
    post("int64 as Java sends it", "runs/create",
         {"experiment_id": "$wire", "run_name": "java wire", "start_time": "1700000000002"},
         keep={"jwire": "run.info.run_id"}),
    post("a batch as Java sends it", "runs/log-batch",
         {"run_id": "$jwire", "metrics": [{"key": "m", "value": "NaN", "timestamp": "1700000000000", "step": "-4"}]}),
    get("what Java made", "runs/get", {"run_id": "$jwire"}),
]

#: Values that do not fit the field: path, the rest of the body, field, values.
WRONG_VALUES: Sequence[Tuple[str, Dict[str, Any], str, Tuple[Any, ...]]] = (
    ("runs/create", {"experiment_id": "$wrong", "run_name": "wrong"}, "start_time",
     ("abc", 12.5, True, {}, [], 2 ** 63, "2e30", "", " 5 ", "5.0", -(2 ** 63))),
    ("runs/create", {"experiment_id": "$wrong", "start_time": 5}, "run_name", (5, True, {}, ["a"])),
    ("runs/create", {"experiment_id": "$wrong", "run_name": "wrong"}, "tags",
     ({}, [5], [[]], {"key": "a", "value": "b"}, [{"key": 5, "value": "b"}])),
    ("runs/update", {"run_id": "$camel"}, "status", (True, {}, [], "finished", "3", 3.0, 0)),
    ("runs/update", {"run_id": "$camel"}, "end_time", ("abc", {}, 1.5)),
    ("runs/search", {"experiment_ids": ["$wire"]}, "max_results", ("abc", 1.5, {}, 2 ** 31, True)),
    ("runs/search", {"experiment_ids": ["$wire"]}, "run_view_type", (True, {}, "all")),
    ("runs/search", {"max_results": 5}, "experiment_ids", ("0", {}, [["0"]], [None])),
)

WRONG: List[Step] = [
    post(f"{path} with {field} = {json.dumps(value)}", path, {**body, field: value})
    for path, body, field, values in WRONG_VALUES
    for value in values
]

FRAMING: List[Step] = [
    Step("an unknown path", "GET", "/api/2.0/mlflow/nothing/here"),
    Step("an unknown path by POST", "POST", "/api/2.0/mlflow/nothing/here", body={}),
    Step("the preview path of old", "GET", "/api/2.0/preview/mlflow/experiments/get", query=[("experiment_id", "0")]),
    Step("the wrong version", "GET", "/api/3.0/mlflow/experiments/get", query=[("experiment_id", "0")]),
    Step("a slash at the end", "GET", "/api/2.0/mlflow/experiments/get/", query=[("experiment_id", "0")]),
    Step("two slashes", "GET", "/api/2.0/mlflow//experiments/get", query=[("experiment_id", "0")]),
    Step("another case", "GET", "/api/2.0/MLflow/experiments/get", query=[("experiment_id", "0")]),
    Step("POST on a GET route", "POST", "experiments/get", body={"experiment_id": "0"}),
    Step("GET on a POST route", "GET", "experiments/create", query=[("name", "by get")]),
    Step("PUT on a POST route", "PUT", "experiments/create", body={"name": "by put"}),
    Step("PATCH on a POST route", "PATCH", "experiments/create", body={"name": "by patch"}),
    Step("DELETE on a POST route", "DELETE", "experiments/create", body={"name": "by delete"}),
    Step("HEAD on a GET route", "HEAD", "experiments/get", query=[("experiment_id", "0")]),
    Step("HEAD on a POST route", "HEAD", "experiments/create"),
    Step("HEAD on an unknown path", "HEAD", "/api/2.0/mlflow/nothing/here"),
    Step("HEAD on health", "HEAD", "/health"),
    Step("OPTIONS on a route", "OPTIONS", "experiments/create"),
    Step("OPTIONS on an unknown path", "OPTIONS", "/api/2.0/mlflow/nothing/here"),
    Step("health", "GET", "/health"),
    Step("version", "GET", "/version"),
    Step("POST on health", "POST", "/health", body={}),
    Step("server-info", "GET", "/api/3.0/mlflow/server-info"),
    Step("server-info for the browser", "GET", "/ajax-api/3.0/mlflow/server-info"),
    Step("server-info in the wrong version", "GET", "/api/2.0/mlflow/server-info"),
    Step("a Host of somewhere else", "GET", "experiments/get", query=[("experiment_id", "0")],
         headers={"Host": "evil.example.com"}),
    Step("health with a Host of somewhere else", "GET", "/health", headers={"Host": "evil.example.com"}),
    Step("a Host in the private range", "GET", "experiments/get", query=[("experiment_id", "0")],
         headers={"Host": "192.168.3.4:5000"}),
    Step("an Origin of somewhere else", "POST", "experiments/create", body={"name": "origin"},
         headers={"Origin": "https://evil.example.com"}),
    Step("a GET with an Origin of somewhere else", "GET", "experiments/get", query=[("experiment_id", "0")],
         headers={"Origin": "https://evil.example.com"}),
    Step("an Origin of here", "POST", "experiments/create", body={"name": "origin here"},
         headers={"Origin": "http://localhost:3000"}, keep={"here": "experiment_id"}),
]

#: Each route answers the same under /ajax-api: one request each, good where that changes nothing.
TWINS: List[Step] = [
    get("twin experiments/get", "/ajax-api/2.0/mlflow/experiments/get", {"experiment_id": "0"}),
    get("twin experiments/get-by-name", "/ajax-api/2.0/mlflow/experiments/get-by-name", {"experiment_name": "wire"}),
    get("twin experiments/search by GET", "/ajax-api/2.0/mlflow/experiments/search",
        {"max_results": 2, "order_by": "name"}),
    get("twin runs/get", "/ajax-api/2.0/mlflow/runs/get", {"run_id": "$camel"}),
    get("twin metrics/get-history", "/ajax-api/2.0/mlflow/metrics/get-history",
        {"run_id": "$r", "metric_key": "m"}),
    *(post(f"twin {path}", f"/ajax-api/2.0/mlflow/{path}", body) for path, body in (
        ("experiments/create", {"name": "wire"}),
        ("experiments/search", {"max_results": 2, "order_by": ["name"]}),
        ("experiments/update", {"experiment_id": "$wire", "new_name": "wire"}),
        ("experiments/set-experiment-tag", {"experiment_id": "$wire", "key": "a", "value": "b"}),
        ("experiments/delete-experiment-tag", {"experiment_id": "$wire", "key": "a"}),
        ("experiments/delete", {"experiment_id": "424242"}),
        ("experiments/restore", {"experiment_id": "424242"}),
        ("runs/create", {"experiment_id": "424242"}),
        ("runs/update", {"run_id": "$camel", "status": "FINISHED", "end_time": T}),
        ("runs/delete", {"run_id": "$camel"}),
        ("runs/restore", {"run_id": "$camel"}),
        ("runs/search", {"experiment_ids": ["$wire"], "filter": "run_name = 'camel'"}),
        ("runs/log-parameter", {"run_id": "$camel", "key": "p", "value": "v"}),
        ("runs/log-metric", {"run_id": "$camel", "key": "m", "value": 1, "timestamp": T}),
        ("runs/log-batch", {"run_id": "$camel", "tags": [{"key": "b", "value": "c"}]}),
        ("runs/set-tag", {"run_id": "$camel", "key": "t", "value": "v"}),
        ("runs/delete-tag", {"run_id": "$camel", "key": "t"}),
        ("runs/log-inputs", {"run_id": "$camel"}),
        ("runs/outputs", {"run_id": "$camel", "models": [{"model_id": "m-y", "step": 1}]}),
        ("runs/log-model", {"run_id": "$camel"}),
    )),
    get("what the twins made", "runs/get", {"run_id": "$camel"}),
]

STEPS: List[Step] = READING + WRONG + FRAMING + TWINS
