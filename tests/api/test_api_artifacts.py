"""Artifacts over the API: routes, locations, modes. Bytes on sockets are in tests/artifacts."""

from pathlib import Path
from typing import Any, Dict, List, Optional

import pytest

from tests.conftest import Client, Reply
from tests.memory_store import MemoryStore
from trackd.app import App, routes
from trackd.config import Config
from trackd.store.base import NoStore

PROXY = "/api/2.0/mlflow-artifacts/artifacts"
MPU = "/api/2.0/mlflow-artifacts/mpu"


def put(client: Client, path: str, data: bytes = b"data") -> Reply:
    """Upload through the proxy."""
    return client.send("PUT", f"{PROXY}/{path}", data, headers={"content-length": str(len(data))})


def body(reply: Reply) -> bytes:
    """What a download holds."""
    file = reply.response.file
    if file is None:
        return reply.response.body
    with file.file:
        file.file.seek(file.offset)
        return file.file.read(file.length)


def download(client: Client, path: str, **headers: str) -> Reply:
    """Download through the proxy."""
    fields = {name.replace("_", "-"): each for name, each in headers.items()}
    return client.send("GET", f"{PROXY}/{path}", headers=fields)


def header(reply: Reply, name: str) -> Optional[str]:
    """A header field of a reply."""
    return dict(reply.response.headers).get(name)


def artifact_uri(client: Client, run: str) -> str:
    """Where a run's artifacts are."""
    return str(client.get_run(run)["info"]["artifact_uri"])


def test_a_file_goes_through_the_proxy_and_is_found_at_its_run(client: Client) -> None:
    run = client.run()
    root = artifact_uri(client, run).replace("mlflow-artifacts:/", "")
    for path in ("model/weights.bin", "model/MLmodel", "notes.txt", "empty"):
        assert put(client, f"{root}/{path}", b"" if path == "empty" else path.encode()).status == 200
    listed = client.get("artifacts/list", {"run_id": run}).json
    assert listed == {
        "root_uri": f"mlflow-artifacts:/{root}",
        "files": [
            {"path": "empty", "is_dir": False},
            {"path": "model", "is_dir": True},
            {"path": "notes.txt", "is_dir": False, "file_size": 9},
        ],
    }
    inner = client.get("artifacts/list", {"run_id": run, "path": "model"}).json["files"]
    assert [each["path"] for each in inner] == ["model/MLmodel", "model/weights.bin"]
    proxied = client.get(PROXY, {"path": f"{root}/model"}).json["files"]
    assert [each["path"] for each in proxied] == ["MLmodel", "weights.bin"]
    assert body(download(client, f"{root}/model/MLmodel")) == b"model/MLmodel"
    assert body(client.get("/get-artifact", {"run_id": run, "path": "notes.txt"})) == b"notes.txt"
    assert body(client.get("/get-artifact", {"run_uuid": run, "path": "model/MLmodel"})) == b"model/MLmodel"
    assert client.send("DELETE", f"{PROXY}/{root}/model").json == {}
    assert "model" not in str(client.get("artifacts/list", {"run_id": run}).json)


def test_listing_nothing_is_an_empty_object(client: Client) -> None:
    put(client, "a/b")
    for query in ({"path": "a/b"}, {"path": "missing"}, {"path": "a/b/c"}):
        assert client.get(PROXY, query).json == {}
    run = client.run()
    assert client.get("artifacts/list", {"run_id": run}).json == {"root_uri": artifact_uri(client, run)}
    assert client.get("artifacts/list", {"run_id": "0" * 32}).status == 404


@pytest.mark.parametrize("form", [
    "mlflow-artifacts:/p", "mlflow-artifacts://host/p", "mlflow-artifacts://host:5001/p",
    "http://host/api/2.0/mlflow-artifacts/artifacts/p", "https://host:80/some/api/2.0/mlflow-artifacts/artifacts/p",
])  # fmt: skip
def test_every_form_of_a_proxied_location_is_the_same_place(
    client: Client, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_ALLOWED_HOST_ADDRESSED_ARTIFACT_SCHEMES", "http,https,mlflow-artifacts")
    experiment = client.ok("experiments/create", name="e", artifact_location=form)["experiment_id"]
    run = client.run(experiment)
    assert put(client, f"p/{run}/artifacts/a.txt").status == 200
    assert client.get("artifacts/list", {"run_id": run}).json["files"][0]["path"] == "a.txt"
    assert body(client.get("/get-artifact", {"run_id": run, "path": "a.txt"})) == b"data"


def test_a_location_somewhere_on_the_web_is_not_served(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_ALLOWED_HOST_ADDRESSED_ARTIFACT_SCHEMES", "https,hdfs")
    put(client, "a/b", b"x")
    for location in ("https://example.com/a", "hdfs://host/a", "gs://bucket/a", "dbfs:/a"):
        experiment = client.ok("experiments/create", name=location, artifact_location=location)["experiment_id"]
        run = client.run(experiment)
        for reply in (client.get("artifacts/list", {"run_id": run}),
                      client.get("/get-artifact", {"run_id": run, "path": "b"})):  # fmt: skip
            assert (reply.status, reply.error) == (400, "INVALID_PARAMETER_VALUE")


def test_the_artifacts_of_a_run_in_a_folder_are_shown_from_there(tmp_path: Path) -> None:
    client = folder_client(tmp_path, default_artifact_root=str(tmp_path / "mlruns"), serve_artifacts=False)
    place = str(tmp_path / "mlruns" / "0")
    run = client.run(client.ok("experiments/create", name="e", artifact_location=place)["experiment_id"])
    folder = tmp_path / "mlruns" / "0" / run / "artifacts"
    folder.mkdir(parents=True)
    (folder / "a.txt").write_text("written by a client")
    assert client.get("artifacts/list", {"run_id": run}).json["files"] == [
        {"path": "a.txt", "is_dir": False, "file_size": 19}
    ]
    assert body(client.get("/get-artifact", {"run_id": run, "path": "a.txt"})) == b"written by a client"


def folder_client(tmp_path: Path, **settings: Any) -> Client:
    """A client of an application whose metadata would be in a folder."""
    given: Dict[str, Any] = {
        "backend_store_uri": str(tmp_path / "mlruns"),
        "artifacts_destination": str(tmp_path / "mlartifacts"),
        **settings,
    }
    return Client(App(MemoryStore(), Config(**given)))


def test_artifacts_of_a_folder_that_was_moved_are_found_where_they_are_now(tmp_path: Path) -> None:
    client = folder_client(tmp_path)
    experiment = client.ok("experiments/create", name="e", artifact_location="/home/somebody/mlruns/7")["experiment_id"]
    run = client.run(experiment)
    folder = tmp_path / "mlruns" / "7" / run / "artifacts"
    folder.mkdir(parents=True)
    (folder / "a.txt").write_text("moved")
    assert body(client.get("/get-artifact", {"run_id": run, "path": "a.txt"})) == b"moved"


def test_a_location_outside_of_the_servers_own_places_is_not_served_unless_it_is_listed(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    for listed in (False, True):
        roots = [str(tmp_path / "elsewhere"), secret.as_uri()] if listed else None
        client = folder_client(tmp_path, artifact_roots=roots)
        experiment = client.ok("experiments/create", name="e", artifact_location=str(secret))["experiment_id"]
        run = client.run(experiment)
        folder = secret / run / "artifacts"
        folder.mkdir(parents=True)
        (folder / "a").write_text("secret")
        reply = client.get("/get-artifact", {"run_id": run, "path": "a"})
        listing = client.get("artifacts/list", {"run_id": run})
        upload = client.send(
            "POST", "/ajax-api/2.0/mlflow/upload-artifact", b"new", f"run_uuid={run}&path=b", {"content-length": "3"}
        )
        statuses = {reply.status, listing.status, upload.status}
        assert statuses == ({200} if listed else {400})
        assert sorted(each.name for each in folder.iterdir()) == (["a", "b"] if listed else ["a"])
        if not listed:
            assert "--artifact-roots" in reply.json["message"] and "secret" not in str(reply.json.get("files"))


@pytest.mark.parametrize("kind", ["params", "tags", "metrics"])
def test_no_artifact_becomes_a_value_of_another_run(tmp_path: Path, kind: str) -> None:
    client = folder_client(tmp_path)
    other = tmp_path / "mlruns" / "0" / client.run()
    for place in (other / kind, tmp_path / "mlruns" / "0" / kind, other / "artifacts" / kind):
        experiment = client.ok("experiments/create", name=str(place), artifact_location=str(place))["experiment_id"]
        run = client.run(experiment)
        sent = client.send(
            "POST", "/ajax-api/2.0/mlflow/upload-artifact", b"1", f"run_uuid={run}&path=a", {"content-length": "1"}
        )
        is_artifact = place.parent.name == "artifacts"
        assert (sent.status == 200) == (place / run / "artifacts" / "a").exists() == is_artifact


def test_a_browser_uploads_small_files_only(client: Client) -> None:
    run = client.run()
    path = "/ajax-api/2.0/mlflow/upload-artifact"

    def post(query: str, data: bytes) -> Reply:
        return client.send("POST", path, data, query, {"content-length": str(len(data))})

    assert post(f"run_uuid={run}&path=d/a.txt", b"x").status == 200
    assert body(client.get("/get-artifact", {"run_id": run, "path": "d/a.txt"})) == b"x"
    for query, data in ((f"path=a&run_uuid={'0' * 32}", b"x"), ("path=a", b"x"), (f"run_uuid={run}", b"x"),
                        (f"run_uuid={run}&path=a", b""), (f"run_uuid={run}&path=../a", b"x"),
                        (f"run_uuid={run}&path=a", b"x" * (10 * 1024 * 1024 + 1))):  # fmt: skip
        reply = post(query, data)
        assert 400 <= reply.status < 500 and reply.error, (query, len(data))
    chunked = client.send("POST", path, b"x" * (10 * 1024 * 1024 + 1), f"run_uuid={run}&path=a",
                          {"transfer-encoding": "chunked"})  # fmt: skip
    assert chunked.status == 413
    assert [each["path"] for each in client.get("artifacts/list", {"run_id": run}).json["files"]] == ["d"]


TRAVERSALS = [
    "../x", "a/../../x", "%2e%2e/x", "%252e%252e/x", "..\\x", "/etc/passwd", "C:/x", "a\0b", "file:///x", "a#b"
]  # fmt: skip


@pytest.mark.parametrize("path", TRAVERSALS)
def test_no_route_takes_a_path_out_of_its_place(client: Client, path: str, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("outside")
    run = client.run()
    replies: List[Reply] = [
        put(client, path, b"new"),
        download(client, path),
        client.send("DELETE", f"{PROXY}/{path}"),
        client.get(PROXY, {"path": path}),
        client.get("artifacts/list", {"run_id": run, "path": path}),
        client.get("/get-artifact", {"run_id": run, "path": path}),
        client.post(f"{MPU}/create/{path}", {"path": "a", "num_parts": 1}),
        client.post(f"{MPU}/abort/a", {"path": "a/..", "upload_id": "0" * 32}),
        client.get(f"{MPU}/parts/{path}", {"path": "a"}),
        client.send("POST", "/ajax-api/2.0/mlflow/upload-artifact", b"x", f"run_uuid={run}&path=..%2F..%2Fx"),
    ]
    assert [(reply.status, reply.error) for reply in replies] == [(400, "INVALID_PARAMETER_VALUE")] * len(replies)
    assert (tmp_path / "x").read_text() == "outside" and not (tmp_path / "mlartifacts").exists()


def test_a_download_is_an_attachment_that_no_browser_runs(client: Client) -> None:
    for name, kind in (
        ("a.txt", "text/plain"), ("MLmodel", "text/plain"), ("m.json", "text/plain"), ("c.yaml", "text/plain"),
        ("p.png", "image/png"), ("x.bin", "application/octet-stream"), ("page.html", "text/plain"),
        ("s.svg", "text/plain"), ("j.js", "text/plain"), ("x.xhtml", "text/plain"), ("PAGE.HTML", "text/plain"),
        ("m.pkl", "application/octet-stream"), ("none", "application/octet-stream"),
        ("t.tar.gz", "application/x-tar"), ("a.css", "application/octet-stream"), ("d.pdf", "application/pdf"),
    ):  # fmt: skip
        put(client, name)
        reply = download(client, name)
        body(reply)
        assert (reply.status, reply.response.content_type) == (200, kind), name
        assert header(reply, "X-Content-Type-Options") == "nosniff"
        assert header(reply, "Content-Disposition") == f"attachment; filename={name}"


@pytest.mark.parametrize("name, value", [
    ("a b.txt", 'attachment; filename="a b.txt"'),
    ('q"u.txt', 'attachment; filename="q\\"u.txt"'),
    ("ü.txt", "attachment; filename=u.txt; filename*=UTF-8''%C3%BC.txt"),
    ("日本", "attachment; filename=download; filename*=UTF-8''%E6%97%A5%E6%9C%AC"),
    ("a;b=c.txt", 'attachment; filename="a;b=c.txt"'),
])  # fmt: skip
def test_a_name_of_any_letters_reaches_the_browser(client: Client, name: str, value: str) -> None:
    put(client, name)
    reply = download(client, name)
    body(reply)
    assert header(reply, "Content-Disposition") == value


def test_downloading_a_folder_or_nothing_are_400_and_404(client: Client) -> None:
    put(client, "a/b")
    assert [(reply.status, reply.error) for reply in (download(client, "a"), download(client, "c"))] == [
        (400, "INVALID_PARAMETER_VALUE"), (404, "RESOURCE_DOES_NOT_EXIST")
    ]  # fmt: skip


def test_conditions_and_ranges_select_what_is_sent(client: Client) -> None:
    put(client, "a", bytes(range(100)))
    whole = download(client, "a")
    body(whole)
    etag, modified = header(whole, "ETag") or "", header(whole, "Last-Modified") or ""
    assert header(whole, "Accept-Ranges") == "bytes"
    for headers, status, content in (
        ({"range": "bytes=0-9"}, 206, bytes(range(10))),
        ({"range": "bytes=90-"}, 206, bytes(range(90, 100))),
        ({"range": "bytes=-5"}, 206, bytes(range(95, 100))),
        ({"range": "bytes=-500"}, 206, bytes(range(100))),
        ({"range": "bytes=5-1000"}, 206, bytes(range(5, 100))),
        ({"range": "bytes=100-"}, 416, b""),
        ({"range": "bytes=-0"}, 416, b""),
        ({"range": "bytes=9-5"}, 200, bytes(range(100))),
        ({"range": "bytes=x"}, 200, bytes(range(100))),
        ({"range": "lines=0-1"}, 200, bytes(range(100))),
        ({"range": "bytes=0-1", "if_range": etag}, 206, bytes(range(2))),
        ({"range": "bytes=0-1", "if_range": modified}, 206, bytes(range(2))),
        ({"range": "bytes=0-1", "if_range": '"other"'}, 200, bytes(range(100))),
        ({"if_none_match": etag}, 304, b""),
        ({"if_none_match": f'"x", W/{etag}'}, 304, b""),
        ({"if_none_match": "*"}, 304, b""),
        ({"if_none_match": '"x"'}, 200, bytes(range(100))),
        ({"if_modified_since": modified}, 304, b""),
        ({"if_modified_since": "Thu, 01 Jan 1970 00:00:00 GMT"}, 200, bytes(range(100))),
        ({"if_modified_since": "nonsense"}, 200, bytes(range(100))),
        ({"if_none_match": '"x"', "if_modified_since": modified}, 200, bytes(range(100))),
        ({"if_match": '"x"'}, 412, b""),
        ({"if_match": etag}, 200, bytes(range(100))),
        ({"if_unmodified_since": "Thu, 01 Jan 1970 00:00:00 GMT"}, 412, b""),
    ):
        reply = download(client, "a", **headers)
        assert (reply.status, body(reply)) == (status, content), headers
        assert header(reply, "ETag") == etag
    assert header(download(client, "a", range="bytes=100-"), "Content-Range") == "bytes */100"
    assert header(download(client, "a", range="bytes=2-3"), "Content-Range") == "bytes 2-3/100"


def test_several_ranges_come_in_one_body_of_the_length_that_is_said(client: Client) -> None:
    put(client, "a.txt", b"0123456789")
    reply = download(client, "a.txt", range="bytes=0-1, 4-5,-1")
    kind, _, boundary = reply.response.content_type.partition("; boundary=")
    whole = body(reply)
    assert (reply.status, kind) == (206, "multipart/byteranges") and len(whole) == reply.response.length
    parts = [part.split(b"\r\n\r\n") for part in whole.split(b"--" + boundary.encode())[1:-1]]
    assert [content[:-2] for _, content in parts] == [b"01", b"45", b"9"]
    assert b"Content-Range: bytes 4-5/10" in parts[1][0] and b"Content-Type: text/plain" in parts[1][0]
    # As many as nobody needs, or more than there is: the whole file.
    for many in ("bytes=" + ",".join(["0-0"] * 33), "bytes=0-9,0-9"):
        reply = download(client, "a.txt", range=many)
        assert (reply.status, body(reply)) == (200, b"0123456789")


def test_presigned_urls_are_for_storage_that_clients_reach(client: Client, tmp_path: Path) -> None:
    run = client.run()
    local = client.ok("experiments/create", name="l", artifact_location=str(tmp_path / "mlruns" / "l"))["experiment_id"]
    in_folder = client.run(local)
    for path in ("artifacts/presigned-download-url", "artifacts/presigned-upload-url"):
        assert client.post(path, {"run_id": run, "path": "a"}).status == 400
        assert client.post(path, {"run_id": in_folder, "path": "a"}).error == "NOT_IMPLEMENTED"
        assert client.post(path, {"run_id": "0" * 32, "path": "a"}).status == 404
        assert client.post(path, {"run_id": run, "path": "../a"}).status == 400
        assert client.post(path, {"run_id": run, "path": "a", "expiration": 604_801}).status == 400
    assert client.post("artifacts/presigned-upload-url", {"path": "a"}).status == 400
    assert client.post("artifacts/presigned-upload-url", {"path": "a", "run_id": run, "model_id": "m-1"}).status == 400
    assert client.get("/api/2.0/mlflow-artifacts/presigned/a").error == "NOT_IMPLEMENTED"


def statuses(client: Client) -> Dict[str, int]:
    """The status of every route, asked for nothing in particular."""
    found = {}
    for each in routes():
        path = each.path.replace("{artifact_path:path}", "a")
        reply = client.send(each.method, path, headers={"content-type": "application/json"})
        found[f"{each.method} {each.path}"] = reply.status
        if reply.status == 503:
            assert reply.response.content_type.startswith("text/plain")
            assert f"Endpoint: {each.path.split('{')[0]}" in reply.response.body.decode()
    return found


def test_a_listing_of_uploads_ends_however_many_there_are(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trackd.api.artifacts.MOST_LISTED", 5)
    begun = [client.post(f"{MPU}/create/d", {"path": "f", "num_parts": 2}).json["upload_id"] for _ in range(3)]
    found = client.get(f"{MPU}/parts/d", {"path": "f"}).json["uploads"]
    assert len(found) == 2 and {each["upload_id"] for each in found} < set(begun)
    assert [len(each["credentials"]) for each in found] == [2, 2]
    # One alone is told of, whatever its size.
    large = client.post(f"{MPU}/create/d", {"path": "g", "num_parts": 9}).json["upload_id"]
    assert [each["upload_id"] for each in client.get(f"{MPU}/parts/d", {"path": "g"}).json["uploads"]] == [large]


def test_without_serving_the_routes_of_the_proxy_are_switched_off_and_no_others(tmp_path: Path) -> None:
    found = statuses(folder_client(tmp_path, serve_artifacts=False))
    off = {path for path, status in found.items() if status == 503}
    assert off == {path for path in found if "/mlflow-artifacts/" in path} and len(off) >= 9
    reply = folder_client(tmp_path, serve_artifacts=False).get(PROXY)
    assert b"`--no-serve-artifacts`" in reply.response.body


def test_artifacts_only_answers_artifacts_and_health_and_nothing_else(tmp_path: Path) -> None:
    config = Config(artifacts_only=True, artifacts_destination=str(tmp_path / "mlartifacts"), fail_silent_runs=60)
    client = Client(App(NoStore(), config))
    found = statuses(client)
    on = {path for path, status in found.items() if status != 503}
    assert {path for path in on if "/mlflow/" in path} == {"GET /api/3.0/mlflow/server-info"}
    assert {path for path in found if "/mlflow-artifacts/" in path} <= on
    assert found["GET /health"] == found["GET /version"] == found["GET /api/3.0/mlflow/server-info"] == 200
    assert found["GET /get-artifact"] == found["POST /api/2.0/mlflow/runs/create"] == 503
    message = client.post("runs/create").response.body.decode()
    assert "/api/2.0/mlflow/runs/create" in message
    assert "disabled due to the mlflow server running in `--artifacts-only` mode" in message
    assert put(client, "a/b").status == 200 and body(download(client, "a/b")) == b"data"
    assert client.get("/api/3.0/mlflow/server-info").json["store_type"] is None


def test_under_a_prefix_the_proxy_is_there_with_and_without_it(tmp_path: Path) -> None:
    client = folder_client(tmp_path, static_prefix="/p")
    for prefix in ("", "/p"):
        path = f"{prefix}{PROXY}/a"
        assert client.send("PUT", path, b"x", headers={"content-length": "1"}).status == 200
        assert body(client.get(path)) == b"x"
        assert client.get(f"{prefix}/ajax-api/2.0/mlflow-artifacts/artifacts").status == 200
    assert client.get("artifacts/list", {"run_id": "a"}).status == 404
    headers = {"content-length": "1", "origin": "https://evil.example"}
    assert client.send("PUT", f"{PROXY}/b", b"x", headers=headers).status == 403
