"""No text of a request becomes a path unchecked: nothing beside the root is touched, and nothing is a 5xx."""

import json
from pathlib import Path
from typing import Any, Dict, Iterator, List, Tuple

import pytest

from tests.faults.program import API, Program, create_run, everything, get_run, post, snapshot
from trackd.app import routes

ATTACKS = [
    "..", ".", "/", "//", "../..", "../outside", "../../outside", "a/../../outside", "a/../../../outside/x", "./a",
    "a/.", "a//b", "a/", "/a", "/etc/passwd", "/tmp/outside", "~", "~/x", "~root", "$HOME", "%2e%2e%2foutside",
    "..%2foutside",
    "%252e%252e%252foutside", "..\\outside", "..\\..\\outside", "\\\\server\\share", "C:\\outside", "C:outside",
    "C:/outside", "file:///etc/passwd", "con", "CON", "nul.txt", "COM1", "a.", "a ", " a", "...", "a:b", "a:stream",
    "a\0b", "\0", "a\nb", "a\rb", "\x7f", "meta.yaml", "../meta.yaml", "metrics", "params/../tags/x", ".trash", "-rf",
    ".trackd-index.db", "../.trackd-lock", "0", "0/../0", "00", "０", "٣", "1e3", "-1", "é" * 130, "x" * 251,
    "x" * 5000,
    "a" * 32, "../" * 50 + "outside", "․․/outside", "‥/outside", "．．/outside", "\u202e/..", "\ud800", "<script>",
    "a?b", "a#b", "a*b", "a|b", "a;b", "a'b", 'a"b', "a`b", "*", "?",
]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with things beside the root that nobody may touch."""
    place = tmp_path_factory.mktemp("paths")
    (place / "outside").write_text("secret")
    (place / "folder").mkdir()
    (place / "folder" / "meta.yaml").write_text("experiment_id: '0'\nname: outside\nartifact_location: x\n")
    return place


@pytest.fixture(scope="module")
def program(place: Path) -> Iterator[Program]:
    logs = place.parent / f"{place.name}-logs"
    logs.mkdir()
    with Program(place / "mlruns", place=logs) as program:
        yield program


def _beside(place: Path) -> Dict[str, object]:
    """All that lies beside the root."""
    return {name: what for name, what in snapshot(place).items() if not name.startswith("mlruns")}


def _bodies(run_id: str, text: str) -> Iterator[Tuple[str, Dict[str, Any]]]:
    """Every place of every write where a text could become a path. A method other than POST stands before the path."""
    run: Dict[str, Any] = {"run_id": run_id}
    point = {"value": 1, "timestamp": 1, "step": 0}
    yield "runs/set-tag", {**run, "key": text, "value": "v"}
    yield "runs/delete-tag", {**run, "key": text}
    yield "runs/log-parameter", {**run, "key": text, "value": "v"}
    yield "runs/log-metric", {**run, "key": text, **point}
    yield "runs/log-metric", {**run, "key": "m", **point, "model_id": text}
    yield "runs/log-batch", {**run, "metrics": [{"key": text, **point}]}
    yield "runs/log-batch", {**run, "metrics": [{"key": "m", **point, "model_id": text}]}
    yield "runs/log-batch", {**run, "params": [{"key": text, "value": text}]}
    yield "runs/log-batch", {**run, "tags": [{"key": text, "value": text}]}
    yield "runs/update", {**run, "run_name": text}
    dataset = {"name": text, "digest": text, "source_type": text, "source": text}
    yield "runs/log-inputs", {**run, "datasets": [{"dataset": dataset, "tags": [{"key": text, "value": text}]}]}
    yield "runs/log-inputs", {**run, "models": [{"model_id": text}]}
    yield "runs/outputs", {**run, "models": [{"model_id": text, "step": 1}]}
    yield "runs/log-model", {**run, "model_json": json.dumps({"run_id": text, "artifact_path": text})}
    for path in ("set-tag", "delete-tag", "log-parameter", "log-metric", "log-batch", "delete", "restore", "update",
                 "log-inputs", "outputs", "log-model"):
        yield f"runs/{path}", {"run_id": text, "run_uuid": text, "key": "k", "value": "1", "timestamp": 1,
                               "status": "FINISHED", "tags": [{"key": "k", "value": "v"}], "model_json": "{}"}
    yield "runs/create", {"experiment_id": text, "run_name": "x"}
    tags = [{"key": text, "value": "v"}]
    yield "runs/create", {"experiment_id": "0", "run_name": text, "user_id": text, "tags": tags}
    yield "experiments/create", {"name": text, "artifact_location": text}
    yield "experiments/create", {"name": text, "tags": tags}
    yield "experiments/set-experiment-tag", {"experiment_id": "0", "key": text, "value": "v"}
    yield "experiments/delete-experiment-tag", {"experiment_id": "0", "key": text}
    for path in ("delete", "restore", "update", "set-experiment-tag", "delete-experiment-tag"):
        yield f"experiments/{path}", {"experiment_id": text, "key": "k", "value": "v", "new_name": "n"}
    model = {"experiment_id": "0", "name": text, "model_type": text, "source_run_id": text}
    yield "logged-models", model
    yield "logged-models", {"experiment_id": text, "name": "m"}
    yield "logged-models", {"experiment_id": "0", "name": "m", "params": tags}
    yield "logged-models", {"experiment_id": "0", "name": "m", "tags": tags}
    for path in ("artifacts/presigned-upload-url", "artifacts/presigned-download-url"):
        yield path, {**run, "path": text}
        yield path, {"run_id": text, "path": "a"}
    yield "logged-models/search", {"experiment_ids": [text], "filter": f"name = '{text}'"}
    yield from _registry_bodies(text, tags)


def _registry_bodies(text: str, tags: List[Dict[str, str]]) -> Iterator[Tuple[str, Dict[str, Any]]]:
    """The same of the registry: a model of that name, if it can be, and all that it can have."""
    model, version = {"name": text}, {"name": text, "version": "1"}
    yield "registered-models/create", {**model, "description": text}
    yield "registered-models/create", {"name": text + "2", "tags": tags}
    yield "PATCH registered-models/update", {**model, "description": text}
    for source in ("s3://b/m", text, "models:/" + text, f"models:/{text}/1", "runs:/" + text, "file:" + text):
        yield "model-versions/create", {**model, "source": source, "run_id": text}
    yield "model-versions/create", {**model, "source": "s3://b/m", "model_id": text}
    yield "model-versions/create", {**model, "source": "s3://b/m", "tags": tags}
    yield "PATCH model-versions/update", {**version, "description": text}
    yield "model-versions/transition-stage", {**version, "stage": text}
    yield "model-versions/transition-stage", {"name": text, "version": text, "stage": "Staging"}
    for one in (version, {"name": text, "version": text}):
        yield "model-versions/set-tag", {**one, "key": text, "value": text}
        yield "registered-models/alias", {**one, "alias": text}
        yield "registered-models/alias", {**one, "alias": "a"}
        yield "DELETE model-versions/delete-tag", {**one, "key": text}
    yield "registered-models/set-tag", {**model, "key": text, "value": text}
    yield "DELETE registered-models/delete-tag", {**model, "key": text}
    yield "DELETE registered-models/alias", {**model, "alias": text}
    yield "registered-models/get-latest-versions", {**model, "stages": [text]}
    yield "registered-models/search", {"filter": f"name = '{text}'"}
    yield "registered-models/rename", {**model, "new_name": text + "3"}
    yield "registered-models/rename", {"name": text + "3", "new_name": text}
    yield "DELETE model-versions/delete", version
    yield "DELETE registered-models/delete", {"name": text + "2"}
    if len(text) % 2:
        yield "DELETE registered-models/delete", model


def _queries(run_id: str, text: str) -> Iterator[Tuple[str, Dict[str, object]]]:
    """Every place of every read where a text could become a path."""
    yield "runs/get", {"run_id": text, "run_uuid": text}
    yield "experiments/get", {"experiment_id": text}
    yield "experiments/get-by-name", {"experiment_name": text}
    yield "artifacts/list", {"run_id": run_id, "path": text}
    yield "artifacts/list", {"run_id": text}
    yield "metrics/get-history", {"run_id": run_id, "metric_key": text}
    yield "metrics/get-history", {"run_id": text, "metric_key": "m"}
    yield "metrics/get-history-bulk-interval", {"run_ids": [run_id, text], "metric_key": text, "max_results": 10}
    for path in ("get", "get-latest-versions"):
        yield f"registered-models/{path}", {"name": text, "stages": [text]}
    yield "registered-models/alias", {"name": text, "alias": text}
    for path in ("get", "get-download-uri"):
        yield f"model-versions/{path}", {"name": text, "version": text}
        yield f"model-versions/{path}", {"name": text, "version": "1"}
    for path in ("registered-models/search", "model-versions/search"):
        yield path, {"filter": f"tags.`{text}` = '{text}'", "order_by": [text], "page_token": text, "max_results": 10}
    yield "/ajax-api/2.0/mlflow/metrics/get-history-bulk", {"run_id": [run_id, text], "metric_key": text}


def _is_sound(status: int, sent: object, body: bytes) -> None:
    assert status < 500, (sent, status, body)
    assert b"Traceback" not in body and b"secret" not in body


def test_attacks_in_every_field_of_every_write_stay_inside(program: Program, place: Path) -> None:
    before = _beside(place)
    with program.client() as client:
        run_id = create_run(client)
        for text in ATTACKS:
            for path, body in _bodies(run_id, text):
                method, _, path = path.rpartition(" ")
                answer = client.exchange(post(path, body, method or "POST"))
                _is_sound(answer.status, (path, body), answer.body)
        assert _beside(place) == before
        # The server is whole: what was accepted is kept in the folder of its run and reads back.
        assert get_run(client, run_id)["info"]["run_id"] == run_id
        everything(client)
    allowed = {".trash", ".DS_Store", "models"}
    for entry in (place / "mlruns").iterdir():
        assert entry.name.isdigit() or entry.name in allowed or entry.name.startswith(".trackd"), entry
    for entry in (place / "mlruns").rglob("*"):
        assert (entry.is_file() or entry.is_dir()) and not entry.is_symlink()


def test_attacks_in_every_field_of_every_read_tell_nothing(program: Program, place: Path) -> None:
    with program.client() as client:
        run_id = create_run(client)
    before = snapshot(place)
    for text in ATTACKS:
        # A target that is too long ends its connection.
        for path, query in _queries(run_id, text.encode("utf-8", "replace").decode("utf-8")):
            with program.client() as client:
                answer = client.get(path, query)
                _is_sound(answer.status, (path, query), answer.body)
        filter_string = f"tags.`{text}` = '{text}'"
        search = {"experiment_ids": [text], "filter": filter_string, "order_by": [f"metrics.`{text}`"]}
        with program.client() as client:
            answer = client.post("runs/search", search)
            _is_sound(answer.status, search, answer.body)
    assert snapshot(place) == before


def test_attacks_in_the_target_of_a_request_reach_no_file(program: Program, place: Path) -> None:
    before = snapshot(place)
    targets: List[bytes] = [
        b"/../outside", b"/..", b"//outside", b"/%2e%2e/outside", b"/%2e%2e%2foutside",
        b"/api/2.0/mlflow/../../../../outside", b"/%00", b"/%ff", b"/\\..\\outside", b"http://localhost/../outside",
        b"/static-files/../../outside", b"/static-files/%2e%2e/outside",
        b"/get-artifact?path=../../outside&run_uuid=..", b"/get-artifact?path=outside&run_uuid=../..",
        b"/api/2.0/mlflow-artifacts/artifacts/../../outside", b"/api/2.0/mlflow-artifacts/artifacts/%2e%2e%2foutside",
        b"/api/2.0/mlflow-artifacts/artifacts?path=../..",
        b"/model-versions/get-artifact?path=../outside&name=a&version=1",
        b"/ajax-api/2.0/mlflow/upload-artifact?run_uuid=..&path=../../outside",
        b"/api/2.0/mlflow/logged-models/%2e%2e/artifacts/files?artifact_file_path=..%2foutside",
    ]
    for method in (b"GET", b"PUT", b"DELETE"):
        for target in targets:
            with program.client() as client:
                request = method + b" " + target + b" HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"
                answer = client.exchange(request)
                assert 400 <= answer.status < 600 and answer.status not in (500, 502, 503), (method, target, answer)
                assert b"secret" not in answer.body
    assert snapshot(place) == before


def test_every_route_is_attacked() -> None:
    """A route that is added later must be added here, too."""
    paths = [path.rpartition(" ")[2] for path, _ in [*_bodies("", "x"), *_queries("", "x")]]
    tried = {path if path.startswith("/") else API + path for path in paths}
    tried |= {API + "runs/search", API + "experiments/search"}
    for route in routes():
        if "{" not in route.path and "/mlflow/" in route.path:
            name = route.path.replace("/ajax-api/", "/api/") if route.path not in tried else route.path
            assert name in tried or name.endswith(("/search-datasets", "/server-info", "/upload-artifact")), route.path
