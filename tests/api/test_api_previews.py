"""Artifacts shown in place: as what they are, and locked up."""

from typing import Dict

import pytest

from tests.conftest import Client


def put(client: Client, run: str, name: str, data: bytes) -> None:
    """Keep a file among a run's artifacts, as a client does."""
    uri = client.get_run(run)["info"]["artifact_uri"]
    place = uri.partition(":/")[2]
    headers = {"content-length": str(len(data))}
    path = f"/api/2.0/mlflow-artifacts/artifacts/{place}/{name}"
    assert client.send("PUT", path, data, headers=headers).status == 200


def policy(client: Client, run: str, name: str) -> Dict[str, str]:
    """The headers of a preview that must succeed."""
    reply = client.get("/api/trackd/preview", {"run_id": run, "path": name})
    assert reply.status == 200, reply.json
    return {**dict(reply.response.headers), "Content-Type": reply.response.content_type}


@pytest.mark.parametrize("name", ["page.html", "page.HTM", "plot.svg"])
def test_pages_and_drawings_get_an_origin_of_their_own_and_no_network(client: Client, name: str) -> None:
    run = client.run()
    put(client, run, name, b"<script>alert(1)</script>")
    headers = policy(client, run, name)
    assert headers["Content-Type"].startswith(("text/html", "image/svg+xml"))
    assert headers["Content-Security-Policy"].startswith("sandbox")
    assert "allow-same-origin" not in headers["Content-Security-Policy"]
    assert "http" not in headers["Content-Security-Policy"] and "'self'" not in headers["Content-Security-Policy"]
    assert headers["Content-Disposition"] == "inline"


def test_a_document_is_shown_by_the_browsers_own_program(client: Client) -> None:
    run = client.run()
    put(client, run, "paper.pdf", b"%PDF-1.4")
    headers = policy(client, run, "paper.pdf")
    assert headers["Content-Type"] == "application/pdf"
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")


@pytest.mark.parametrize("name", ["run.js", "notes.txt", "html", "a.html.txt", "x.xml"])
def test_what_is_no_page_drawing_or_document_is_not_shown_in_place(client: Client, name: str) -> None:
    run = client.run()
    put(client, run, name, b"<script>alert(1)</script>")
    assert client.get("/api/trackd/preview", {"run_id": run, "path": name}).status == 400


def test_a_preview_needs_one_owner_and_a_file_that_is_there(client: Client) -> None:
    run = client.run()
    assert client.get("/api/trackd/preview", {"path": "a.html"}).status == 400
    assert client.get("/api/trackd/preview", {"run_id": run, "path": "a.html"}).status == 404
    assert client.get("/api/trackd/preview", {"run_id": run, "path": "../a.html"}).status == 400
    assert client.get("/api/trackd/preview", {"run_id": "0" * 32, "path": "a.html"}).status == 404
