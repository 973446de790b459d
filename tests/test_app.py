"""The application: routes, errors, headers. Whatever a request or a store does, what comes out is an answer."""

import errno
import logging
import sqlite3
from pathlib import Path
from typing import Any, Iterator

import pytest

from tests.conftest import Client
from tests.memory_store import MemoryStore
from trackd.app import App, routes
from trackd.config import Config
from trackd.store.sql.connect import explain
from trackd.web.message import Request

REFERENCE = {
    ("GET", "/api/2.0/mlflow/experiments/get-by-name"),
    ("POST", "/api/2.0/mlflow/experiments/create"),
    ("POST", "/api/2.0/mlflow/experiments/search"),
    ("GET", "/api/2.0/mlflow/experiments/search"),
    ("GET", "/api/2.0/mlflow/experiments/get"),
    ("POST", "/api/2.0/mlflow/experiments/delete"),
    ("POST", "/api/2.0/mlflow/experiments/restore"),
    ("POST", "/api/2.0/mlflow/experiments/update"),
    ("POST", "/api/2.0/mlflow/experiments/set-experiment-tag"),
    ("POST", "/api/2.0/mlflow/experiments/delete-experiment-tag"),
    ("POST", "/api/2.0/mlflow/runs/create"),
    ("POST", "/api/2.0/mlflow/runs/update"),
    ("POST", "/api/2.0/mlflow/runs/delete"),
    ("POST", "/api/2.0/mlflow/runs/restore"),
    ("POST", "/api/2.0/mlflow/runs/log-parameter"),
    ("POST", "/api/2.0/mlflow/runs/set-tag"),
    ("POST", "/api/2.0/mlflow/runs/delete-tag"),
    ("GET", "/api/2.0/mlflow/runs/get"),
    ("POST", "/api/2.0/mlflow/runs/search"),
    ("POST", "/api/2.0/mlflow/runs/log-batch"),
    ("POST", "/api/2.0/mlflow/runs/log-model"),
    ("POST", "/api/2.0/mlflow/runs/log-inputs"),
    ("POST", "/api/2.0/mlflow/runs/outputs"),
    ("POST", "/api/2.0/mlflow/runs/log-metric"),
    ("GET", "/api/2.0/mlflow/metrics/get-history"),
    ("GET", "/api/2.0/mlflow/metrics/get-history-bulk-interval"),
    ("GET", "/ajax-api/2.0/mlflow/metrics/get-history-bulk"),
    ("POST", "/ajax-api/2.0/mlflow/experiments/search-datasets"),
    ("GET", "/"),
    ("GET", "/health"),
    ("GET", "/version"),
    ("GET", "/api/3.0/mlflow/server-info"),
}


def test_every_route_of_tracking_is_there() -> None:
    assert REFERENCE <= {(route.method, route.path) for route in routes()}


def test_every_route_has_a_description() -> None:
    assert all(len(route.description) > 10 for route in routes() if route.path != "/health")


def test_api_routes_have_their_twin_for_browsers(client: Client) -> None:
    for prefix in ("/api", "/ajax-api"):
        assert client.get(prefix + "/2.0/mlflow/experiments/get", {"experiment_id": "0"}).status == 200
    assert client.get("/api/2.0/mlflow/metrics/get-history-bulk", {"run_id": "a", "metric_key": "b"}).status == 404


@pytest.mark.parametrize("path", ["/nope", "/api/2.0/mlflow/runs/get/", "/api/2.0/preview/mlflow/runs/get", "/metrics"])
def test_an_unknown_path_is_a_404_that_clients_take_for_a_missing_feature(client: Client, path: str) -> None:
    reply = client.get(path)
    assert (reply.status, reply.error) == (404, "ENDPOINT_NOT_FOUND")


def test_a_wrong_method_is_a_405_that_lists_the_right_ones(client: Client) -> None:
    reply = client.get("runs/create")
    assert reply.status == 405 and ("Allow", "POST") in reply.response.headers
    assert ("Allow", "GET, HEAD, POST") in client.send("DELETE", "experiments/search").response.headers


def test_head_is_answered_as_get(client: Client) -> None:
    assert client.send("HEAD", "/health").status == 200
    assert client.send("HEAD", "experiments/get", query="experiment_id=0").status == 200


def test_a_prefix_stands_before_every_route() -> None:
    client = Client(App(MemoryStore(), Config(static_prefix="/p")))
    assert client.get("/p/health").status == client.get("/p/version").status == 200
    assert client.get("/p/api/2.0/mlflow/experiments/get", {"experiment_id": "0"}).status == 200
    assert client.get("/p/ajax-api/2.0/mlflow/experiments/get", {"experiment_id": "0"}).status == 200
    assert client.get("/health").status == 404


def test_every_answer_has_the_headers_of_the_guard(client: Client) -> None:
    for reply in (client.get("/health"), client.get("/nope"), client.post("runs/create"), client.get("/", "")):
        assert ("X-Content-Type-Options", "nosniff") in reply.response.headers
        assert ("X-Frame-Options", "SAMEORIGIN") in reply.response.headers


def test_a_foreign_host_or_origin_is_stopped_before_the_endpoint(client: Client) -> None:
    assert (
        client.send("GET", "experiments/get", query="experiment_id=0", headers={"host": "evil.example"}).status == 403
    )
    headers = {"content-type": "application/json", "origin": "http://evil.example"}
    assert client.send("POST", "experiments/create", b'{"name":"x"}', headers=headers).status == 403
    assert client.get("experiments/get-by-name", {"experiment_name": "x"}).status == 404


def test_guard_settings_come_from_the_configuration() -> None:
    config = Config(allowed_hosts=["good.example"], x_frame_options="DENY", cors_allowed_origins=["http://a.example"])
    client = Client(App(MemoryStore(), config))
    reply = client.send("GET", "experiments/get", query="experiment_id=0", headers={"host": "good.example"})
    assert reply.status == 200 and ("X-Frame-Options", "DENY") in reply.response.headers
    headers = {"host": "good.example", "content-type": "application/json", "origin": "http://a.example"}
    reply = client.send("POST", "experiments/create", b'{"name":"x"}', headers=headers)
    assert ("Access-Control-Allow-Origin", "http://a.example") in reply.response.headers
    open_app = App(MemoryStore(), Config(disable_security_middleware=True))
    assert Client(open_app).send("GET", "/health", headers={"host": "evil.example"}).response.headers == []


def test_endpoints_that_take_files_read_their_bodies_as_streams_and_no_others(client: Client) -> None:
    streams = {(route.method, route.path) for route in routes() if client.app.streams(route.method, route.path)}
    assert streams == {
        ("POST", "/ajax-api/2.0/mlflow/upload-artifact"),
        ("PUT", "/api/2.0/mlflow-artifacts/artifacts/{artifact_path:path}"),
        ("PUT", "/api/2.0/mlflow-artifacts/mpu/parts/{upload_id}/{number}"),
    }
    assert not client.app.streams("PUT", "/nope")


class Failing(MemoryStore):
    """A store whose every transaction and every read of a run fails in one way."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def transaction(self) -> Any:
        """Fails."""
        raise self.error

    def get_run(self, run_id: str) -> Any:
        """Fails."""
        raise self.error


@pytest.mark.parametrize(
    "error, status, code",
    [
        (OSError(errno.ENOSPC, "full"), 507, "RESOURCE_EXHAUSTED"),
        (OSError(errno.EDQUOT, "full"), 507, "RESOURCE_EXHAUSTED"),
        (explain(sqlite3.OperationalError("database or disk is full")), 507, "RESOURCE_EXHAUSTED"),
        (PermissionError(errno.EACCES, "no"), 403, "PERMISSION_DENIED"),
        (OSError(errno.EROFS, "no"), 403, "PERMISSION_DENIED"),
        (explain(sqlite3.OperationalError("attempt to write a readonly database")), 403, "PERMISSION_DENIED"),
        (explain(sqlite3.OperationalError("database is locked")), 503, "TEMPORARILY_UNAVAILABLE"),
        (explain(sqlite3.OperationalError("no such table: runs")), 500, "INTERNAL_ERROR"),
        (OSError(errno.EIO, "input/output error at /secret/path"), 500, "INTERNAL_ERROR"),
        (ValueError("secret detail"), 500, "INTERNAL_ERROR"),
        (RecursionError("secret detail"), 500, "INTERNAL_ERROR"),
    ],
)
def test_what_the_store_fails_of_becomes_a_code_that_clients_understand(
    error: Exception, status: int, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    client = Client(App(Failing(error), Config()))
    for reply in (client.post("experiments/create", {"name": "a"}), client.get("runs/get", {"run_id": "a"})):
        assert (reply.status, reply.error) == (status, code)
        assert "secret" not in reply.json["message"] and "Traceback" not in reply.json["message"]


def test_an_unexpected_error_is_in_the_log_under_the_id_that_the_client_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = App(Failing(ValueError("secret detail")), Config())
    with caplog.at_level(logging.ERROR):
        response = app.handle(Request("GET", "/api/2.0/mlflow/runs/get", "run_id=a", {"host": "localhost"}, id="r-77"))
    assert b"r-77" in response.body and b"secret" not in response.body
    assert "r-77" in caplog.text and "secret detail" in caplog.text and "Traceback" in caplog.text


def test_a_path_cannot_write_lines_into_the_log(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = App(MemoryStore(), Config())
    monkeypatch.setattr("trackd.app.Router.match", lambda *_: 1 / 0)
    with caplog.at_level(logging.ERROR):
        assert app.handle(Request("GET", "/a\nERROR forged", "", {"host": "localhost"})).status == 500
    assert "\nERROR forged" not in caplog.text and "forged" in caplog.text


def test_a_read_only_store_answers_reads_and_refuses_writes() -> None:
    store = MemoryStore()
    client = Client(App(store, Config()))
    run = client.run()
    store.read_only = True
    assert client.get("runs/get", {"run_id": run}).status == 200
    for path, body in (
        ("experiments/create", {"name": "a"}),
        ("runs/create", {"experiment_id": "0"}),
        ("runs/log-metric", {"run_id": run, "key": "a", "value": 1, "timestamp": 1}),
        ("runs/delete", {"run_id": run}),
    ):
        reply = client.post(path, body)
        assert (reply.status, reply.error) == (403, "PERMISSION_DENIED")


@pytest.fixture
def folder_client(tmp_path: Path) -> Iterator[Client]:
    """A client of an application on a folder."""
    from trackd.store import open_store

    store = open_store(str(tmp_path / "mlruns"), sync="off")
    yield Client(App(store, Config()))
    store.close()


def test_the_application_works_on_a_folder(folder_client: Client) -> None:
    run = folder_client.run(run_name="n")
    assert folder_client.get_run(run)["info"]["run_name"] == "n"
    assert folder_client.get("/api/3.0/mlflow/server-info").json["store_type"] == "FileStore"
