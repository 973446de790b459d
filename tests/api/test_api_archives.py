"""Folders of artifacts as zip files."""

import io
import os
import sys
import zipfile
from pathlib import Path
from typing import Any, Dict

import pytest

from tests.conftest import Client

ZIP = "/api/trackd/artifacts/zip"


def put(client: Client, run: str, path: str, data: bytes) -> None:
    """Upload an artifact of a run through the proxy."""
    root = str(client.get_run(run)["info"]["artifact_uri"]).replace("mlflow-artifacts:/", "").lstrip("/")
    full = f"/api/2.0/mlflow-artifacts/artifacts/{root}/{path}"
    assert client.send("PUT", full, data, headers={"content-length": str(len(data))}).status == 200


def unzipped(client: Client, **query: str) -> Dict[str, bytes]:
    """The files of an archive by their names; the archive must be whole."""
    reply = client.get(ZIP, query)
    assert reply.status == 200 and reply.response.content_type == "application/zip"
    with zipfile.ZipFile(io.BytesIO(reply.response.body)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def test_a_folder_comes_as_a_zip_file_with_all_below_it(client: Client) -> None:
    run = client.run()
    large = bytes(range(256)) * 4000
    put(client, run, "model/weights.bin", large)
    put(client, run, "model/deep/a b \u00fc.txt", b"text " * 1000)
    put(client, run, "model/empty", b"")
    put(client, run, "plot.png", large)
    expected = {"model/weights.bin": large, "model/deep/a b \u00fc.txt": b"text " * 1000, "model/empty": b""}
    assert unzipped(client, run_id=run, path="model") == expected
    assert unzipped(client, run_id=run, path="model/deep") == {"deep/a b \u00fc.txt": b"text " * 1000}
    whole = unzipped(client, run_id=run)
    assert whole == {**{f"artifacts/{name}": data for name, data in expected.items()}, "artifacts/plot.png": large}
    assert unzipped(client, run_id=run, path="plot.png") == {"plot.png/plot.png": large}
    headers = dict(client.get(ZIP, {"run_id": run, "path": "model"}).response.headers)
    assert headers["Content-Disposition"].startswith("attachment; filename=") and "model.zip" in str(headers)


@pytest.mark.parametrize(
    "query, status",
    [({}, 400), ({"run_id": "r", "model_id": "m"}, 400), ({"run_id": "0" * 32}, 404), ({"run_id": "../x"}, 404),
     ({"model_id": "m-0"}, 404), ({"path": "../.."}, 400)],
)  # fmt: skip
def test_what_is_not_there_is_refused_before_anything_is_sent(client: Client, query: Any, status: int) -> None:
    run = client.run()
    asked = {"run_id": run, **query} if "path" in query else query
    assert client.get(ZIP, asked).status == status
    assert client.get(ZIP, {"run_id": run}).status == 404
    assert client.get(ZIP, {"run_id": run, "path": "nothing"}).status == 404


@pytest.mark.skipif(sys.platform != "linux", reason="other systems keep no such names")
def test_names_that_an_archive_cannot_hold_leave_neither_the_folder_nor_the_archive_broken(
    client: Client, tmp_path: Path
) -> None:
    run = client.run()
    put(client, run, "a.txt", b"a")
    folder = next((tmp_path / "mlartifacts").glob("**/a.txt")).parent
    (folder / "..\\..\\evil.bat").write_bytes(b"b")
    with open(os.path.join(os.fsencode(folder), b"c\xff"), "wb") as file:
        file.write(b"c")
    names = unzipped(client, run_id=run)
    assert names == {"artifacts/a.txt": b"a", "artifacts/.._.._evil.bat": b"b", "artifacts/c_": b"c"}
