"""Bad input on every route: each answer is a 4xx with MLflow's error body, and nothing is kept.

Nothing, rubbish, wrong types, unknown ids, values too long, NaN tokens, deep nesting, huge numbers, invalid UTF-8; and
keys and ids that would be paths, after which nothing outside of the store's folder has changed.
"""

import json
from pathlib import Path
from typing import Any, Dict, Iterator, List

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import Client, Reply
from tests.memory_store import MemoryStore
from trackd.app import App, routes
from trackd.config import Config
from trackd.store import open_store
from trackd.web.router import Route

#: Routes with arguments in their paths have tests of their own, beside those of their resource; so have those that take
#: or find files.
PLAIN = [
    route for route in routes() if "{" not in route.path and "presigned" not in route.path and not route.stream
]
POSTS = [route for route in PLAIN if route.method == "POST"]
GETS = [
    route for route in PLAIN if route.method == "GET" and "/mlflow/" in route.path and "server-info" not in route.path
]
EVERY = POSTS + GETS


def title(route: Any) -> str:
    """How a test is called after its route."""
    return f"{route.method} {route.path.rsplit('mlflow/', 1)[-1]}" if isinstance(route, Route) else ""


def arguments(route: Route) -> List[str]:
    """The names of an endpoint's arguments."""
    code = route.function.__code__
    return list(code.co_varnames[1 : code.co_argcount])


def plausible(run_id: str) -> Dict[str, Any]:
    """A right value for every argument there is."""
    return {
        "experiment_id": "0", "experiment_ids": ["0"], "experiment_name": "Default", "name": "new", "new_name": "other",
        "artifact_location": "s3://b/p", "tags": [{"key": "t", "value": "v"}], "key": "k", "value": "1.5",
        "max_results": 5, "page_token": "", "filter": "", "order_by": [], "view_type": "ALL", "run_view_type": "ALL",
        "run_id": run_id, "run_ids": [run_id], "run_name": "n", "user_id": "u", "start_time": 1, "end_time": 2,
        "status": "FINISHED", "timestamp": 3, "step": 4, "model_id": "", "dataset_name": "", "dataset_digest": "",
        "metric_key": "m", "start_step": 0, "end_step": 9, "metric_keys": ["m"], "x": "step", "x_metric": None,
        "start": 0, "end": 9.5, "buckets": 5, "smoothing": 0.5, "average": False, "unless": "",
        "metrics": [{"key": "m", "value": 1.5, "timestamp": 1, "step": 0}],
        "params": [{"key": "p", "value": "v"}], "models": [{"model_id": "m-1"}],
        "datasets": [
            {"dataset": {"name": "d", "digest": "e", "source_type": "l", "source": "s"}, "dataset_name": "d"}
        ],
        "description": "d", "source": "s3://b/m", "run_link": "", "version": "1", "stage": "Staging",
        "stages": ["None"], "archive_existing_versions": False, "alias": "a", "model_type": "t",
        "source_run_id": run_id, "path": "folder",
        "model_json": '{"run_id":"r","artifact_path":"a","utc_time_created":"u","flavors":{}}',
    }  # fmt: skip


def ask(client: Client, route: Route, body: Dict[str, Any]) -> Reply:
    """A request of a route, as query or as JSON."""
    if route.method == "POST":
        return client.post(route.path, body)
    return client.get(route.path, {name: value for name, value in body.items() if not isinstance(value, dict)})


def assert_refused(reply: Reply) -> None:
    """A 4xx with the error body that clients read, and no trace of the program in it."""
    assert 400 <= reply.status < 500, (reply.status, reply.json)
    assert set(reply.json) == {"error_code", "message", "sqlstate", "error_class"}
    assert "Traceback" not in reply.json["message"] and 0 < len(reply.json["message"]) < 600


@pytest.fixture
def fresh() -> Client:
    """A client of an application on a store in memory."""
    return Client(App(MemoryStore(), Config()))


@pytest.fixture(scope="module")
def shared() -> Iterator[Client]:
    """The same for all tests that must leave the store as it is; they do."""
    store = MemoryStore()
    yield Client(App(store, Config()))
    assert store.counts() == {"experiments": 1, "runs": 0}


#: Searches that ask for nothing find everything.
ASKS_FOR_ALL = ("runs/search", "registered-models/search", "model-versions/search")


@pytest.mark.parametrize("route", [r for r in EVERY if not r.path.endswith(ASKS_FOR_ALL)], ids=title)
def test_nothing_is_refused_where_something_is_needed(shared: Client, route: Route) -> None:
    assert_refused(shared.post(route.path) if route.method == "POST" else shared.get(route.path))
    assert_refused(shared.post(route.path, raw=b"") if route.method == "POST" else shared.get(route.path, "&&=&"))


RUBBISH = {
    "malformed": b"{",
    "text": b"hello",
    "an array": b"[]",
    "a number": b"5",
    "binary": bytes(range(256)),
    "invalid UTF-8": b'{"run_id":"\xff"}',
    "half a surrogate pair": b'{"run_id":"\\ud800"}',
    "NaN": b'{"run_id":NaN}',
    "deep arrays": b'{"run_id":' + b"[" * 100_000,
    "deep objects": b'{"a":' * 100_000,
    "a huge number": b'{"run_id":' + b"9" * 100_000 + b"}",
    "a name twice": b'{"run_id":"a","run_id":"b"}',
    "NUL": b"\0",
    "a string of rubbish": b'"{"',
}


@pytest.mark.parametrize("route", POSTS, ids=title)
@pytest.mark.parametrize("rubbish", sorted(RUBBISH))
def test_rubbish_is_refused(shared: Client, route: Route, rubbish: str) -> None:
    assert_refused(shared.post(route.path, raw=RUBBISH[rubbish]))


@pytest.mark.parametrize("route", POSTS, ids=title)
def test_a_body_that_is_not_said_to_be_json_is_refused(shared: Client, route: Route) -> None:
    assert_refused(shared.send("POST", route.path, b"{}"))
    assert_refused(shared.send("POST", route.path, b"{}", headers={"content-type": "text/html"}))


@pytest.mark.parametrize("route", GETS, ids=title)
@pytest.mark.parametrize("query", ["run_id=%ff", "experiment_id=%00%ff&x", "%ff=1"])
def test_a_query_that_is_not_utf_8_is_refused(shared: Client, route: Route, query: str) -> None:
    assert_refused(shared.get(route.path, query))


CASES = [(route, name) for route in EVERY for name in arguments(route)]
WRONG: List[Any] = [
    5,
    -1,
    1.5,
    True,
    "x",
    [],
    ["x"],
    [5],
    [[]],
    [{}],
    {},
    {"key": "a"},
    [None],
    "x" * 300_000,
    2**64,
    1e300,
    "\0",
]


@pytest.mark.parametrize("route, name", CASES, ids=title)
def test_a_wrong_type_in_any_argument_is_refused_or_does_no_harm(fresh: Client, route: Route, name: str) -> None:
    run = fresh.run()
    right = {key: value for key, value in plausible(run).items() if key in arguments(route)}
    if route.path.endswith("/trash/remove"):
        fresh.ok("experiments/delete", experiment_id="0")
    assert ask(fresh, route, right).status in (200, 404), "the plausible request itself"
    refused = 0
    for wrong in WRONG:
        reply = ask(fresh, route, {**right, name: wrong})
        assert reply.status < 500, (wrong, reply.json)
        refused += reply.status >= 400
        if reply.status >= 400:
            assert_refused(reply)
    # A list of nothing, a text where any will do, or its number: but never all of them.
    assert refused >= (3 if route.method == "POST" else 0)


@pytest.mark.parametrize("route", EVERY, ids=title)
def test_unknown_ids_are_refused_or_find_nothing(fresh: Client, route: Route) -> None:
    body = {key: value for key, value in plausible("0" * 32).items() if key in arguments(route)}
    body = {**body, **{name: "424242" for name in body if name == "experiment_id"}}
    body = {**body, **{name: ["424242"] for name in body if name == "experiment_ids"}}
    reply = ask(fresh, route, body)
    registered = "/registered-models/" in route.path or "/model-versions/" in route.path
    if route.path.endswith("/trash/remove"):
        assert_refused(reply)
    elif registered and not route.path.endswith(("/search", "/registered-models/create")):
        assert_refused(reply)
        assert reply.status == 404
    elif {"experiment_id", "run_id"} & set(body) and "/metrics/" not in route.path:
        assert_refused(reply)
        assert reply.status == 404
    else:
        assert reply.status == 200


ANY_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["0", "k", "NaN", "../x"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["key", "value", "timestamp", "dataset", "name", "model_id"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)


@pytest.mark.parametrize("route", EVERY, ids=title)
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_whatever_the_arguments_are_the_answer_is_no_error_of_the_server(route: Route, data: Any) -> None:
    fresh = Client(App(MemoryStore(), Config()))
    run = fresh.run()
    body: Dict[str, Any] = {key: value for key, value in plausible(run).items() if key in arguments(route)}
    for name in data.draw(st.lists(st.sampled_from(sorted(body)), min_size=1, unique=True)):
        body[name] = data.draw(ANY_JSON)
    if route.method == "POST":
        text = json.dumps(body).encode("utf-8", "surrogatepass")
        reply = fresh.post(route.path, raw=text)
    else:
        reply = fresh.get(route.path, {name: str(value).encode("utf-8", "replace") for name, value in body.items()})
    assert reply.status < 500, reply.json
    if reply.status != 200:
        assert_refused(reply)


def contents(folder: Path) -> Dict[str, bytes]:
    """Every file under a folder, and what is in it."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


ATTACKS = [
    "../x", "..", ".", "../../outside", "a/../../x", "/etc/passwd", "//host/share", "\\\\host\\share", "..\\x", "C:\\x",
    "C:", "C:/x", "nul\0x", "a\nb", "a\n", "CON", "con.txt", "NUL", "LPT1", "a.", "a ", " a", "...", "~", "~root",
    "$HOME", "%2e%2e/x", "a/b/../../..", "a//b", "a/", "./a", "meta.yaml", "tags", "a/./b", ".trash", "-rf",
    "a\u202eb",
    "\u2024\u2024/x", "x" * 250, "é" * 250, "a/" * 120 + "b", "file:///etc/passwd", "|x", "*", "?", "\x7f", "\ufeff",
    "aux.", "a:b", "a::$DATA",
]  # fmt: skip


@pytest.fixture
def caged(tmp_path: Path) -> Iterator[Client]:
    """A client of an application on a folder with neighbours that must not change."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_text("untouched")
    (tmp_path / "x").write_text("untouched")
    store = open_store(str(tmp_path / "mlruns"), sync="off")
    yield Client(App(store, Config(backend_store_uri=str(tmp_path / "mlruns"))))
    assert store.check() == []
    store.close()


def test_keys_and_ids_that_would_be_paths_are_refused_or_kept_exactly_and_touch_nothing_outside(
    caged: Client, tmp_path: Path
) -> None:
    def outside() -> Dict[str, bytes]:
        return {name: text for name, text in contents(tmp_path).items() if not name.startswith("mlruns")}

    before = outside()
    kept: Dict[str, int] = {}
    for attack in ATTACKS:
        run = caged.run()
        point = {"key": attack, "value": 1, "timestamp": 1}
        pair = {"key": attack, "value": "v"}
        statuses = [
            caged.post("runs/log-metric", {"run_id": run, **point}).status,
            caged.post("runs/log-parameter", {"run_id": run, **pair}).status,
            caged.post("runs/set-tag", {"run_id": run, **pair}).status,
            caged.post("experiments/set-experiment-tag", {"experiment_id": "0", **pair}).status,
        ]
        assert set(statuses) in ({200}, {400}), (attack, statuses)
        batch = {"run_id": run, "metrics": [point], "params": [pair], "tags": [pair]}
        assert caged.post("runs/log-batch", batch).status == statuses[0]
        found = caged.get_run(run)["data"]
        for kind in ("metrics", "params"):
            assert [each["key"] for each in found.get(kind, [])] == ([attack] if statuses[0] == 200 else [])
        kept[attack] = statuses[0]
        for path, body in (
            ("runs/delete-tag", {"run_id": run, "key": attack}),
            ("experiments/delete-experiment-tag", {"experiment_id": "0", "key": attack}),
        ):
            assert caged.post(path, body).status == (200 if statuses[0] == 200 else 404)
        for path in ("runs/delete", "runs/restore", "runs/update", "runs/log-batch"):
            assert caged.post(path, {"run_id": attack}).status in (400, 404)
        assert caged.get("runs/get", {"run_id": attack}).status == 404
        for path in ("experiments/delete", "experiments/restore"):
            assert caged.post(path, {"experiment_id": attack}).status in (400, 404)
        model = caged.post("runs/outputs", {"run_id": run, "models": [{"model_id": attack}]})
        assert model.status in (200, 400) and ("/" not in attack or model.status == 400)
        dataset = {"name": attack, "digest": attack[:36], "source_type": attack, "source": attack}
        inputs = [{"dataset": dataset, "tags": [pair]}]
        assert caged.post("runs/log-inputs", {"run_id": run, "datasets": inputs}).status == 200
        assert caged.post("experiments/create", {"name": attack}).status == 200
        made = caged.post("registered-models/create", {"name": attack, "tags": [pair] if statuses[0] == 200 else []})
        assert made.status == (400 if set("/:") & set(attack) or attack.startswith("..") or attack == "." else 200)
        if made.status == 200:
            caged.ok("model-versions/create", name=attack, source="s3://b/m")
            body = {"name": attack, "alias": attack, "version": "1"}
            assert caged.post("registered-models/alias", body).status in (200, 400)
            tagged = caged.post("model-versions/set-tag", {"name": attack, "version": "1", **pair})
            assert tagged.status == statuses[0]
            assert caged.get("registered-models/get", {"name": attack}).json["registered_model"]["name"] == attack
        for path in ("model-versions/create", "model-versions/get-download-uri"):
            assert caged.post(path, {"name": "x", "version": attack, "source": attack}).status in (400, 404, 405)
    assert outside() == before
    assert (
        kept["../x"] == kept["nul\0x"] == kept["..\\x"] == 400 and kept["CON"] == kept["a."] == kept["meta.yaml"] == 200
    )
