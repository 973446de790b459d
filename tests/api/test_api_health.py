"""What clients ask before anything else."""

from tests.conftest import Client
from trackd.app import App
from trackd.config import Config
from trackd.store.base import Store


def test_health_answers_ok_to_any_host(client: Client) -> None:
    reply = client.send("GET", "/health", headers={"host": "probe.example"})
    assert (reply.status, reply.response.body, reply.response.content_type) == (200, b"OK", "text/plain; charset=utf-8")


def test_version_is_the_mlflow_version_as_plain_text(store: Store, client: Client) -> None:
    reply = client.send("GET", "/version", headers={"host": "probe.example"})
    assert (reply.status, reply.response.body) == (200, b"3.17.2")
    assert reply.response.content_type == "text/html; charset=utf-8"
    other = Client(App(store, Config(mlflow_version="3.5.0")))
    assert other.get("/version").response.body == b"3.5.0"


def test_server_info_names_the_store_and_promises_nothing_that_is_not_there(store: Store, client: Client) -> None:
    info = client.get("/api/3.0/mlflow/server-info").json
    assert info == client.get("/ajax-api/3.0/mlflow/server-info").json
    assert info.pop("store_type") == store.store_type in ("FileStore", "SqlStore")
    assert info.pop("features_enabled") == {"gateway": False}
    there = {"multipart_uploads_enabled", "presigned_upload_run_id_supported", "presigned_upload_model_id_supported"}
    assert {name for name, value in info.items() if value} == there
    assert "multipart_downloads_enabled" in info and "workspaces_enabled" in info
    assert client.get("/api/2.0/mlflow/server-info").status == 404


def test_the_page_is_the_same_whatever_the_host_header_says(store: Store) -> None:
    client = Client(App(store, Config(disable_security_middleware=True, static_prefix="/p")))
    reply = client.send("GET", "/p/", headers={"host": '"><script>'})
    assert reply.status == 200 and reply.response.content_type == "text/html; charset=utf-8"
    assert reply.response.body == client.send("GET", "/p/").response.body
