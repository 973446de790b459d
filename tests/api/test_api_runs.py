"""Runs over the API: creation, names, lifecycle, params, tags, batches, inputs and outputs."""

import json
import re
import threading
from typing import Any, Dict, List

import pytest

from tests.conftest import Client, pairs
from trackd.app import App
from trackd.config import Config
from trackd.store.base import Store

DATASET = {"name": "d", "digest": "e", "source_type": "local", "source": "s"}


def tag(key: str, value: str) -> Dict[str, str]:
    """A tag or param as it is sent."""
    return {"key": key, "value": value}


def data(client: Client, run_id: str) -> Any:
    """What was logged to a run: tags without the name, params and metrics by key."""
    found = client.get_run(run_id)["data"]
    tags = pairs(found.get("tags", []))
    tags.pop("mlflow.runName", None)
    return tags, pairs(found.get("params", [])), pairs(found.get("metrics", []))


def name(client: Client, run_id: str) -> Any:
    """A run's name, which its info and its tag must both have."""
    run = client.get_run(run_id)
    assert pairs(run["data"]["tags"]).get("mlflow.runName", run["info"]["run_name"]) == run["info"]["run_name"]
    return run["info"]["run_name"]


def test_a_created_run_is_answered_whole_and_found_again(client: Client) -> None:
    tags = [tag("b", "2"), tag("a", "1")]
    run = client.ok("runs/create", experiment_id="0", user_id="u", run_name="n", start_time=17, tags=tags)["run"]
    info = run["info"]
    assert re.fullmatch("[0-9a-f]{12}4[0-9a-f]{3}[89ab][0-9a-f]{15}", info["run_id"])
    assert info == {
        "run_uuid": info["run_id"], "experiment_id": "0", "run_name": "n", "user_id": "u", "status": "RUNNING",
        "start_time": 17, "artifact_uri": f"mlflow-artifacts:/0/{info['run_id']}/artifacts",
        "lifecycle_stage": "active", "run_id": info["run_id"],
    }  # fmt: skip
    assert run["data"] == {"tags": [*reversed(tags), tag("mlflow.runName", "n")]} and run["inputs"] == {}
    assert client.get_run(info["run_id"]) == {**run, "outputs": {}}


def test_a_run_without_anything_has_a_generated_name_no_user_and_time_zero(client: Client) -> None:
    infos = [client.get_run(client.run())["info"] for _ in range(3)]
    assert all(re.fullmatch("[a-z]+-[a-z]+-[0-9]+", info["run_name"]) for info in infos)
    assert len({info["run_name"] for info in infos}) > 1
    assert {(info["user_id"], info["start_time"]) for info in infos} == {("", 0)}


def test_name_and_name_tag_are_one_thing_at_creation(client: Client) -> None:
    for fields in ({"run_name": "n"}, {"tags": [tag("mlflow.runName", "n")]},
                   {"run_name": "n", "tags": [tag("mlflow.runName", "n")]},
                   {"run_name": "", "tags": [tag("mlflow.runName", "n")]},
                   {"run_name": "n", "tags": [tag("mlflow.runName", "")]}):  # fmt: skip
        assert name(client, client.run(**fields)) == "n"
    body = {"experiment_id": "0", "run_name": "n", "tags": [tag("mlflow.runName", "m")]}
    assert client.post("runs/create", body).error == "INVALID_PARAMETER_VALUE"


def test_name_and_name_tag_are_one_thing_ever_after(client: Client) -> None:
    run = client.run(run_name="a")
    assert client.ok("runs/update", run_id=run, run_name="b")["run_info"]["run_name"] == "b"
    assert name(client, run) == "b"
    client.ok("runs/set-tag", run_id=run, key="mlflow.runName", value="c")
    assert name(client, run) == "c"
    client.ok(
        "runs/log-batch", run_id=run, tags=[tag("mlflow.runName", "x"), tag("t", "v"), tag("mlflow.runName", "d")]
    )
    assert name(client, run) == "d"
    client.ok("runs/set-tag", run_id=run, key="mlflow.runName", value="")
    client.ok("runs/update", run_id=run, run_name="")
    client.ok("runs/log-batch", run_id=run, tags=[tag("mlflow.runName", "")])
    assert name(client, run) == "d"
    client.ok("runs/delete-tag", run_id=run, key="mlflow.runName")
    assert client.get_run(run)["info"]["run_name"] == "d"
    client.ok("runs/update", run_id=run, run_name="e")
    assert name(client, run) == "e" and data(client, run)[0] == {"t": "v"}


@pytest.mark.parametrize(
    "body, status",
    [({}, 400), ({"experiment_id": ""}, 400), ({"experiment_id": 0}, 400), ({"experiment_id": "77"}, 404),
     ({"experiment_id": "0", "start_time": 12.5}, 400), ({"experiment_id": "0", "start_time": 2**63}, 400),
     ({"experiment_id": "0", "user_id": 7}, 400), ({"experiment_id": "0", "tags": {}}, 400),
     ({"experiment_id": "0", "tags": [tag("a", "1"), tag("a", "2")]}, 400),
     ({"experiment_id": "0", "tags": [tag("../x", "1")]}, 400), ({"experiment_id": "0", "tags": [{"value": ""}]}, 400)],
)  # fmt: skip
def test_a_wrong_creation_is_refused_and_makes_no_run(client: Client, body: Any, status: int) -> None:
    assert client.post("runs/create", body).status == status
    assert client.ok("runs/search", experiment_ids=["0"]) == {}


def test_status_and_end_time_are_updated_and_what_is_not_sent_stays(client: Client) -> None:
    run = client.run(start_time=5)
    info = client.ok("runs/update", run_id=run, status="FINISHED", end_time="1.7e+12")["run_info"]
    assert (info["status"], info["end_time"], info["start_time"]) == ("FINISHED", 1700000000000, 5)
    for fields in ({}, {"status": "BOGUS"}, {"status": None, "end_time": None}):
        assert client.ok("runs/update", run_id=run, **fields)["run_info"] == info
    assert client.ok("runs/update", run_uuid=run, status=4)["run_info"]["status"] == "FAILED"
    assert client.get_run(run)["info"] == {**info, "status": "FAILED"}
    assert client.post("runs/update", {"run_id": run, "status": 99}).status == 400


def test_deleting_and_restoring_a_run_is_idempotent_and_a_deleted_one_is_still_read(client: Client) -> None:
    run = client.run()
    for path, stage in (("delete", "deleted"), ("delete", "deleted"), ("restore", "active"), ("restore", "active")):
        assert client.ok(f"runs/{path}", run_id=run) == {}
        assert client.get_run(run)["info"]["lifecycle_stage"] == stage


WRITES: List[Any] = [
    ("runs/update", {"status": "FAILED"}),
    ("runs/set-tag", {"key": "a", "value": "b"}),
    ("runs/delete-tag", {"key": "t"}),
    ("runs/log-parameter", {"key": "a", "value": "b"}),
    ("runs/log-metric", {"key": "a", "value": 1, "timestamp": 1}),
    ("runs/log-batch", {"tags": [tag("a", "b")]}),
    ("runs/log-batch", {}),
    ("runs/log-inputs", {"datasets": [{"dataset": DATASET}]}),
    ("runs/outputs", {"models": [{"model_id": "m-1"}]}),
    ("runs/log-model", {"model_json": '{"run_id":"","artifact_path":"","utc_time_created":"","flavors":{}}'}),
]


@pytest.mark.parametrize("path, body", WRITES)
def test_a_deleted_run_takes_no_writes(client: Client, path: str, body: Any) -> None:
    run = client.run(tags=[tag("t", "v")])
    client.ok("runs/delete", run_id=run)
    before = client.get_run(run)
    reply = client.post(path, {"run_id": run, **body})
    assert (reply.status, reply.error) == (400, "INVALID_PARAMETER_VALUE") and "deleted" in reply.json["message"]
    assert client.get_run(run) == before


@pytest.mark.parametrize("path, body", WRITES + [("runs/delete", {}), ("runs/restore", {})])
def test_a_run_that_is_not_there_is_404(client: Client, path: str, body: Any) -> None:
    reply = client.post(path, {"run_id": "0" * 32, **body})
    assert (reply.status, reply.error) == (404, "RESOURCE_DOES_NOT_EXIST")


@pytest.mark.parametrize("run_id", ["../0", "..", "/etc", "a/b", "C:\\x", "a\0b", "0" * 300, "é", "%2e%2e", ".trash"])
def test_an_id_of_another_form_is_a_run_that_is_not_there(client: Client, run_id: str) -> None:
    assert client.get("runs/get", {"run_id": run_id}).status == 404
    assert client.get("metrics/get-history", {"run_id": run_id, "metric_key": "a"}).json == {}
    for path, body in WRITES:
        # Where MLflow looks at the form of the id, it is wrong in itself.
        status = 400 if path in ("runs/log-batch", "runs/log-inputs") else 404
        assert client.post(path, {"run_id": run_id, **body}).status == status


def test_a_param_is_written_once(client: Client) -> None:
    run = client.run()
    client.ok("runs/log-parameter", run_id=run, key="a", value="1")
    client.ok("runs/log-parameter", run_id=run, key="a", value="1")
    reply = client.post("runs/log-parameter", {"run_id": run, "key": "a", "value": "2"})
    assert (reply.status, reply.error) == (400, "INVALID_PARAMETER_VALUE") and "'1'" in reply.json["message"]
    assert client.post("runs/log-batch", {"run_id": run, "params": [tag("b", "1"), tag("a", "2")]}).status == 400
    client.ok("runs/log-batch", run_id=run, params=[tag("a", "1"), tag("c", "3")])
    client.ok("runs/log-parameter", run_id=run, key="empty")
    assert data(client, run)[1] == {"a": "1", "c": "3", "empty": ""}


def test_a_cut_param_is_the_same_value_when_it_is_logged_again(client: Client) -> None:
    run = client.run()
    for value in ("x" * 7000, "x" * 7000, "x" * 6000):
        client.ok("runs/log-parameter", run_id=run, key="a", value=value)
    assert data(client, run)[1] == {"a": "x" * 6000}


def test_a_tag_is_overwritten_cut_and_deleted(client: Client) -> None:
    run = client.run()
    for value in ("1", "2", "y" * 9000):
        client.ok("runs/set-tag", run_uuid=run, key="dir/t", value=value)
    client.ok("runs/set-tag", run_id=run, key="empty")
    assert data(client, run)[0] == {"dir/t": "y" * 8000, "empty": ""}
    client.ok("runs/delete-tag", run_id=run, key="dir/t")
    for key in ("dir/t", "dir", "../meta.yaml", "/etc/passwd", "a\0b", "..\\x"):
        reply = client.post("runs/delete-tag", {"run_id": run, "key": key})
        assert (reply.status, reply.error) == (404, "RESOURCE_DOES_NOT_EXIST")
    assert data(client, run)[0] == {"empty": ""}


@pytest.mark.parametrize(
    "key", ["a", "dir/a", "a b", "é", "CON", "con.txt", "a.", "C:", "-", "0", "a:b", ".a", "a" * 250]
)
def test_keys_are_kept_exactly_whatever_they_are_to_a_file_system(client: Client, key: str) -> None:
    run = client.run()
    client.ok("runs/set-tag", run_id=run, key=key, value="v")
    client.ok("runs/log-parameter", run_id=run, key=key, value="v")
    client.ok("runs/log-metric", run_id=run, key=key, value=1, timestamp=1)
    assert data(client, run) == ({key: "v"}, {key: "v"}, {key: 1.0})
    assert len(client.get("metrics/get-history", {"run_id": run, "metric_key": key}).json["metrics"]) == 1


@pytest.mark.parametrize(
    "value",
    ["", " ", "line\nfeed", "cr\r\nlf", "tab\t", "nul\0x", "日本\U0001f600", "'\"\\{}", "null", "\ufeff", "\x85\u2028"],
)
def test_values_are_kept_exactly(client: Client, value: str) -> None:
    run = client.run(tags=[tag("a", value)], run_name=value)
    client.ok("runs/log-parameter", run_id=run, key="a", value=value)
    assert data(client, run)[:2] == ({"a": value}, {"a": value})
    assert value in ("", name(client, run))


def test_a_batch_logs_everything_at_once(client: Client) -> None:
    run = client.run()
    metrics = [{"key": "m", "value": n / 2, "timestamp": n, "step": n} for n in range(3)]
    assert client.ok("runs/log-batch", run_id=run, metrics=metrics, params=[tag("p", "1")],
                     tags=[tag("t", "1"), tag("t", "2")]) == {}  # fmt: skip
    assert data(client, run) == ({"t": "2"}, {"p": "1"}, {"m": 1.0})
    assert client.ok("runs/log-batch", run_id=run) == {}


POINT = {"key": "m", "value": 1.0, "timestamp": 1, "step": 0}


@pytest.mark.parametrize(
    "wrong",
    [
        {"metrics": [POINT, {**POINT, "timestamp": 1.5}]},
        {"metrics": [POINT, {**POINT, "value": None}]},
        {"metrics": [POINT, {**POINT, "key": "../m"}]},
        {"params": [tag("ok", "1"), tag("old", "other")]},
        {"params": [tag("a", "1"), tag("a", "1")]},
        {"params": [tag("a//b", "1")]},
        {"tags": [tag("a", "1"), tag("b\\c", "1")]},
        {"tags": [tag("a", "1"), {"key": "b", "value": 5}]},
        {"tags": {}},
    ],
)
def test_a_batch_with_anything_wrong_logs_nothing(client: Client, wrong: Any) -> None:
    run = client.run()
    client.ok("runs/log-parameter", run_id=run, key="old", value="1")
    before = client.get_run(run)
    right = {"metrics": [POINT], "params": [tag("p", "1")], "tags": [tag("t", "1"), tag("mlflow.runName", "x")]}
    reply = client.post("runs/log-batch", {"run_id": run, **right, **wrong})
    assert (reply.status, reply.error) == (400, "INVALID_PARAMETER_VALUE")
    assert client.get_run(run) == before


@pytest.mark.parametrize(
    "counts, status",
    [((1000, 0, 0), 200), ((1001, 0, 0), 400), ((0, 100, 0), 200), ((0, 101, 0), 400), ((0, 0, 100), 200),
     ((0, 0, 101), 400), ((800, 100, 100), 200), ((801, 100, 100), 400)],
)  # fmt: skip
def test_a_batch_is_limited(client: Client, counts: Any, status: int) -> None:
    run = client.run()
    body = {
        "run_id": run,
        "metrics": [{**POINT, "step": n} for n in range(counts[0])],
        "params": [tag(f"p{n}", "1") for n in range(counts[1])],
        "tags": [tag(f"t{n}", "1") for n in range(counts[2])],
    }
    assert client.post("runs/log-batch", body).status == status
    tags, params, _ = data(client, run)
    assert (len(params), len(tags)) == ((counts[1], counts[2]) if status == 200 else (0, 0))


def test_threads_that_log_to_one_run_lose_nothing(client: Client) -> None:
    run = client.run()
    replies: List[int] = []

    def log(thread: int) -> None:
        for n in range(10):
            body = {
                "run_id": run,
                "metrics": [{**POINT, "step": thread * 10 + n}],
                "tags": [tag(f"t{thread}.{n}", "v")],
            }
            replies.append(client.post("runs/log-batch", body).status)

    threads = [threading.Thread(target=log, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert replies == [200] * 60 and len(data(client, run)[0]) == 60
    history = client.get("metrics/get-history", {"run_id": run, "metric_key": "m"}).json["metrics"]
    assert [point["step"] for point in history] == list(range(60))


def test_dataset_inputs_are_kept_once_with_the_tags_they_came_with_first(client: Client) -> None:
    run = client.run()
    full = {**DATASET, "name": "é", "schema": "sc", "profile": "pr"}
    first = {"dataset": full, "tags": [tag("mlflow.data.context", "train")]}
    again = {"dataset": full, "tags": [tag("mlflow.data.context", "eval")]}
    client.ok("runs/log-inputs", run_id=run, datasets=[first, again, {"dataset": DATASET}])
    client.ok("runs/log-inputs", run_id=run, datasets=[again])
    found = client.get_run(run)["inputs"]["dataset_inputs"]
    assert sorted(found, key=lambda each: str(each["dataset"]["name"])) == [{"dataset": DATASET}, first]
    assert client.ok("runs/log-inputs", run_id=run) == {}


def test_models_that_went_in_and_came_out_are_kept(client: Client) -> None:
    run = client.run()
    for _ in range(2):
        client.ok("runs/log-inputs", run_id=run, models=[{"model_id": "m-1"}])
        client.ok("runs/outputs", run_id=run, models=[{"model_id": "m-2", "step": "3"}, {"model_id": "m-3"}])
    found = client.get_run(run)
    assert found["inputs"] == {"model_inputs": [{"model_id": "m-1"}]}
    outputs = sorted(found["outputs"]["model_outputs"], key=lambda each: str(each["model_id"]))
    assert outputs == [{"model_id": "m-2", "step": 3}, {"model_id": "m-3", "step": 0}]
    searched = client.ok("runs/search", experiment_ids=["0"])["runs"][0]
    assert "model_inputs" not in searched["inputs"] and searched["outputs"] == found["outputs"]


@pytest.mark.parametrize(
    "path, body",
    [
        ("runs/log-inputs", {"datasets": [{}]}),
        ("runs/log-inputs", {"datasets": [None]}),
        ("runs/log-inputs", {"datasets": [{"dataset": {**DATASET, "name": ""}}]}),
        ("runs/log-inputs", {"datasets": [{"dataset": {**DATASET, "name": "x" * 501}}]}),
        ("runs/log-inputs", {"datasets": [{"dataset": {**DATASET, "digest": "x" * 37}}]}),
        ("runs/log-inputs", {"datasets": [{"dataset": {**DATASET, "source": "x" * 65536}}]}),
        ("runs/log-inputs", {"datasets": [{"dataset": {**DATASET, "schema": "x" * 1048576}}]}),
        ("runs/log-inputs", {"datasets": [{"dataset": {**DATASET, "profile": 5}}]}),
        ("runs/log-inputs", {"datasets": [{"dataset": DATASET, "tags": [tag("x" * 256, "1")]}]}),
        ("runs/log-inputs", {"datasets": [{"dataset": DATASET, "tags": [tag("x", "1" * 501)]}]}),
        ("runs/log-inputs", {"datasets": [{"dataset": DATASET, "tags": [tag("x", "1"), tag("x", "2")]}]}),
        ("runs/log-inputs", {"models": [{"model_id": "../x"}]}),
        ("runs/log-inputs", {"models": [{}]}),
        ("runs/outputs", {}),
        ("runs/outputs", {"models": [{"model_id": "a/b"}]}),
        ("runs/outputs", {"models": [{"model_id": "m-1", "step": 1.5}]}),
    ],
)
def test_wrong_inputs_and_outputs_are_refused(client: Client, path: str, body: Any) -> None:
    run = client.run()
    assert client.post(path, {"run_id": run, **body}).status == 400
    found = client.get_run(run)
    assert (found["inputs"], found["outputs"]) == ({}, {})


def test_a_model_is_appended_to_the_history_tag_as_mlflow_writes_it(client: Client) -> None:
    run = client.run()
    model = {
        "artifact_path": "é",
        "flavors": {"f": {"a": 1, "config": {}}, "g": 5},
        "utc_time_created": "2020",
        "run_id": run,
    }
    client.ok("runs/log-model", run_id=run, model_json=json.dumps({**model, "model_uuid": "u", "extra": 1}))
    client.ok("runs/log-model", run_id=run, model_json=json.dumps(model))
    history = data(client, run)[0]["mlflow.log-model.history"]
    entry = (
        '{"run_id": "%s", "artifact_path": "\\u00e9", "utc_time_created": "2020", "model_uuid": %s, '
        '"flavors": {"f": {"a": 1}, "g": 5}}'
    )
    assert history == "[" + entry % (run, '"u"') + ", " + entry % (run, "null") + "]"


def test_a_long_model_history_is_not_cut(client: Client) -> None:
    run = client.run()
    model = {"artifact_path": "x" * 9000, "flavors": {}, "utc_time_created": "2020", "run_id": run}
    for _ in range(2):
        client.ok("runs/log-model", run_id=run, model_json=json.dumps(model))
    assert len(json.loads(data(client, run)[0]["mlflow.log-model.history"])) == 2


EMPTY_MODEL = '{"run_id":"","artifact_path":"","utc_time_created":""%s}'


@pytest.mark.parametrize(
    "model_json", ["", "x", "[]", "3", "{}", EMPTY_MODEL % "", EMPTY_MODEL % ',"flavors":3', "[" * 100000]
)
def test_a_model_that_is_none_is_refused(client: Client, model_json: str) -> None:
    run = client.run()
    assert client.post("runs/log-model", {"run_id": run, "model_json": model_json}).status == 400
    assert data(client, run)[0] == {}


@pytest.mark.parametrize("junk", ["junk", "{}", "3", ""])
def test_a_history_tag_that_holds_something_else_is_left_alone(client: Client, junk: str) -> None:
    run = client.run(tags=[tag("mlflow.log-model.history", junk)])
    model = {"artifact_path": "x", "flavors": {}, "utc_time_created": "2020", "run_id": run}
    reply = client.post("runs/log-model", {"run_id": run, "model_json": json.dumps(model)})
    assert (reply.status, reply.error) == (400, "INVALID_PARAMETER_VALUE")
    assert data(client, run)[0] == {"mlflow.log-model.history": junk}


def test_a_search_answers_whole_runs_a_page_at_a_time(client: Client) -> None:
    runs = [client.run(start_time=n, tags=[tag("n", str(n))]) for n in range(5)]
    client.ok("runs/delete", run_id=runs[0])
    seen, token = [], None
    for _ in range(4):
        page = client.ok("runs/search", experiment_ids=["0", "0", "99"], max_results=2, page_token=token)
        seen += [run["info"]["run_id"] for run in page.get("runs", [])]
        token = page.get("next_page_token")
        if token is None:
            break
    assert seen == [runs[4], runs[3], runs[2], runs[1]]
    found = client.ok("runs/search", experiment_ids=["0"], filter="tags.n = '3'", run_view_type="ALL")["runs"]
    assert found == [client.get_run(runs[3])]
    found = client.ok("runs/search", experiment_ids=["0"], run_view_type="DELETED_ONLY")["runs"]
    assert [run["info"]["run_id"] for run in found] == [runs[0]]


def test_a_search_without_experiments_finds_nothing_but_checks_its_filter(client: Client) -> None:
    client.run()
    assert client.ok("runs/search") == client.ok("runs/search", experiment_ids=["99"]) == {}
    assert client.post("runs/search", {"filter": "metrics."}).status == 400


@pytest.mark.parametrize(
    "fields",
    [{"max_results": 0}, {"max_results": -1}, {"max_results": 50001}, {"max_results": 1.5}, {"filter": "x"},
     {"filter": 5}, {"filter": " "}, {"order_by": "a"}, {"order_by": ["nope"]}, {"order_by": [5]}, {"page_token": "x"},
     {"run_view_type": 7}, {"experiment_ids": "0"}, {"experiment_ids": [0]}, {"experiment_ids": [None]},
     {"page_token": "eyJvZmZzZXQiOiAwfQ=="}],
)  # fmt: skip
def test_a_wrong_search_is_refused(client: Client, fields: Any) -> None:
    reply = client.post("runs/search", {"experiment_ids": ["0"], **fields})
    assert (reply.status, reply.error) == (400, "INVALID_PARAMETER_VALUE")


def test_artifacts_lie_below_the_configured_root(store: Store) -> None:
    client = Client(App(store, Config(default_artifact_root="s3://bucket/root?x=1")))
    experiment = client.ok("experiments/create", name="a", artifact_location="s3://b/p/?q=2")["experiment_id"]
    run = client.run(experiment)
    assert client.get_run(run)["info"]["artifact_uri"] == f"s3://b/p/{run}/artifacts?q=2"


CREATE_AS = "/api/trackd/runs/create"


def test_a_run_is_created_under_the_id_that_it_has_elsewhere(client: Client) -> None:
    run_id = "0123456789abcdef" * 2
    body = {
        "run_id": run_id, "experiment_id": "0", "run_name": "n", "start_time": 5, "user_id": "u",
        "tags": [{"key": "a", "value": "1"}],
    }
    first = client.post(CREATE_AS, body).json
    assert first["created"] is True and first["run"]["info"]["artifact_uri"].endswith(f"/{run_id}/artifacts")
    client.ok("runs/log-parameter", run_id=run_id, key="p", value="1")
    again = client.post(CREATE_AS, dict(body, run_name="other", tags=[])).json
    assert again["created"] is False and again["run"]["info"]["run_name"] == "n"
    found = client.get_run(run_id)
    assert found["info"] == again["run"]["info"] and pairs(found["data"]["params"]) == {"p": "1"}
    assert pairs(found["data"]["tags"]) == {"a": "1", "mlflow.runName": "n"}
    assert (found["info"]["start_time"], found["info"]["user_id"]) == (5, "u")


def test_an_id_that_no_run_can_have_is_refused(client: Client) -> None:
    for run_id in ("tags", "../" + "0" * 29, "0" * 31, "0" * 33, "A" * 32, "", None, 7):
        reply = client.post(CREATE_AS, {"run_id": run_id, "experiment_id": "0"})
        assert (reply.status, reply.error) == (400, "INVALID_PARAMETER_VALUE"), run_id
    assert client.post(CREATE_AS, {"run_id": "0" * 32, "experiment_id": "77"}).status == 404
