"""Files: logged, listed, fetched, through a server that passes them on and in folders of this host."""

import json
import os
import struct
import sys
import threading
import time
import zlib
from pathlib import Path
from types import ModuleType
from typing import Any, Dict, Iterator, List, Tuple

import pytest

from tests.compat.peers import free_port
from tests.launch import Running


@pytest.fixture
def run_id(mlflow: ModuleType, server: str) -> Iterator[str]:
    """A run that is active."""
    mlflow.set_tracking_uri(server)
    mlflow.set_experiment(f"files {time.time_ns()}")
    with mlflow.start_run() as run:
        yield run.info.run_id


def paths(mlflow: ModuleType, run_id: str, path: str = "") -> List[Tuple[str, bool, Any]]:
    return [(each.path, each.is_dir, each.file_size) for each in mlflow.Client().list_artifacts(run_id, path)]


def content(mlflow: ModuleType, run_id: str, path: str, client: Any = None) -> bytes:
    return Path((client or mlflow.Client()).download_artifacts(run_id, path)).read_bytes()


def test_files_and_folders_are_logged_listed_and_fetched(mlflow: ModuleType, run_id: str, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    (folder / "sub").mkdir(parents=True)
    (folder / "a b.txt").write_text("a")
    (folder / "sub" / "ü + ö.bin").write_bytes(b"\0\1")
    (folder / "empty").write_bytes(b"")
    mlflow.log_artifact(str(folder / "a b.txt"))
    mlflow.log_artifact(str(folder / "a b.txt"), "in/side")
    mlflow.log_artifacts(str(folder), "all")
    mlflow.log_artifact(str(folder), "whole")
    assert paths(mlflow, run_id) == [
        ("a b.txt", False, 1), ("all", True, None), ("in", True, None), ("whole", True, None)
    ]
    assert paths(mlflow, run_id, "all") == [
        ("all/a b.txt", False, 1), ("all/empty", False, 0), ("all/sub", True, None)
    ]
    assert paths(mlflow, run_id, "whole/data/sub") == [("whole/data/sub/ü + ö.bin", False, 2)]
    there = tmp_path / "there"
    got = mlflow.download_artifacts(f"runs:/{run_id}/all", dst_path=str(there))
    assert got == os.path.join(str(there), "all") and (there / "all" / "sub" / "ü + ö.bin").read_bytes() == b"\0\1"
    assert (there / "all" / "empty").read_bytes() == b""
    everything = Path(mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path=""))
    assert sorted(path.name for path in everything.iterdir()) == ["a b.txt", "all", "in", "whole"]
    assert mlflow.get_artifact_uri("all").endswith(f"{run_id}/artifacts/all")
    assert [each.path for each in mlflow.list_artifacts(f"runs:/{run_id}", )] == ["a b.txt", "all", "in", "whole"]


def test_text_dicts_tables_images_and_figures_become_files(mlflow: ModuleType, run_id: str) -> None:
    class Figure:
        """As matplotlib's."""

        def savefig(self, path: str, **given: Any) -> None:
            Path(path).write_bytes(json.dumps(given).encode())

    mlflow.log_text("Grüße\n", "notes/a.txt")
    mlflow.log_dict({"a": [1, {"b": None}]}, "d.json")
    mlflow.log_dict({"a": 1}, "d.yaml")
    mlflow.log_figure(Figure(), "f.png", save_kwargs={"dpi": 5})
    mlflow.log_image([[0, 255], [128, 1]], "gray.png")
    mlflow.log_image([[[0.0, 1.0, 0.5]]], key="dogs/a", step=3, timestamp=9)
    assert content(mlflow, run_id, "notes/a.txt") == "Grüße\n".encode()
    assert json.loads(content(mlflow, run_id, "d.json")) == {"a": [1, {"b": None}]}
    assert b"a" in content(mlflow, run_id, "d.yaml") and content(mlflow, run_id, "f.png") == b'{"dpi": 5}'
    image = content(mlflow, run_id, "gray.png")
    assert image.startswith(b"\x89PNG\r\n\x1a\n") and struct.unpack(">II", image[16:24]) == (2, 2)
    start = image.index(b"IDAT") + 4
    assert zlib.decompress(image[start : image.index(b"IEND") - 8]) == b"\0\0\xff\0\x80\x01"
    (named,) = mlflow.Client().list_artifacts(run_id, "images")
    assert named.path.startswith("images/dogs~a+step+3+timestamp+9+") and named.path.endswith(".png")
    assert mlflow.get_run(run_id).data.tags["mlflow.loggedImages"] == "True"
    with pytest.raises(TypeError):
        mlflow.log_image([[0]], "a.png", key="b")
    with pytest.raises(TypeError):
        mlflow.log_figure(object(), "a.png")


def test_a_table_grows(mlflow: ModuleType, run_id: str) -> None:
    mlflow.log_table({"q": ["a", "b"], "n": [1, 2]}, "t.json")
    mlflow.log_table([{"q": "c", "x": 0.5}], "t.json")
    assert json.loads(content(mlflow, run_id, "t.json")) == {
        "columns": ["q", "n", "x"], "data": [["a", 1, None], ["b", 2, None], ["c", None, 0.5]]
    }
    tags = mlflow.get_run(run_id).data.tags
    assert json.loads(tags["mlflow.loggedArtifacts"]) == [{"path": "t.json", "type": "table"}]
    rows = mlflow.Client().load_table(mlflow.get_run(run_id).info.experiment_id, "t.json", extra_columns=["run_id"])
    assert rows[2] == {"q": "c", "n": None, "x": 0.5, "run_id": run_id}
    for bad in ({"a": [1], "b": [1, 2]}, "text", [1]):
        with pytest.raises(mlflow.MlflowException):
            mlflow.log_table(bad, "u.json")


def test_what_is_not_there_and_what_leads_out_is_refused(mlflow: ModuleType, run_id: str, tmp_path: Path) -> None:
    for path in ("nothing.txt", "no/such"):
        with pytest.raises(mlflow.MlflowException) as caught:
            mlflow.download_artifacts(run_id=run_id, artifact_path=path)
        assert caught.value.error_code == "RESOURCE_DOES_NOT_EXIST"
    assert paths(mlflow, run_id, "nothing") == []
    with pytest.raises(mlflow.MlflowException):
        mlflow.log_artifact(str(tmp_path / "nothing"))
    (tmp_path / "a").write_text("a")
    with pytest.raises(mlflow.MlflowException):
        mlflow.log_artifact(str(tmp_path / "a"), "../out")
    with pytest.raises(mlflow.MlflowException):
        mlflow.download_artifacts()


def test_models_are_registered_aliased_and_fetched(mlflow: ModuleType, run_id: str) -> None:
    name = f"model {time.time_ns()}"
    mlflow.log_text("weights", "model/data.txt")
    first = mlflow.register_model(f"runs:/{run_id}/model", name, tags={"a": 1})
    second = mlflow.register_model(f"runs:/{run_id}/model", name)
    assert (first.version, second.version, first.run_id, first.status) == ("1", "2", run_id, "READY")
    client = mlflow.Client()
    client.set_registered_model_alias(name, "best", "1")
    client.set_registered_model_tag(name, "team", "x")
    client.set_model_version_tag(name, "2", "k", "v")
    assert client.get_model_version_by_alias(name, "best").version == "1"
    found = client.get_registered_model(name)
    assert found.aliases == {"best": "1"} and found.tags == {"team": "x"}
    assert [version.version for version in found.latest_versions] == ["2"]
    assert client.get_model_version(name, "2").tags == {"k": "v"}
    assert client.get_model_version(name, 1).tags == {"a": "1"}
    assert [each.version for each in mlflow.search_model_versions(filter_string=f"name = '{name}'")] == ["2", "1"]
    assert [each.name for each in mlflow.search_registered_models(filter_string=f"name = '{name}'")] == [name]
    for uri in (f"models:/{name}/1", f"models:/{name}@best", f"models:/{name}/latest"):
        assert (Path(mlflow.download_artifacts(uri)) / "data.txt").read_text() == "weights"
    client.update_model_version(name, "1", "text")
    assert client.update_registered_model(name, "about").description == "about"
    assert client.transition_model_version_stage(name, "1", "Production").current_stage == "Production"
    assert [each.version for each in client.get_latest_versions(name, ["Production"])] == ["1"]
    copied = client.copy_model_version(f"models:/{name}/1", name + " copy")
    assert copied.version == "1" and copied.run_id == run_id
    client.delete_registered_model_alias(name, "best")
    client.delete_model_version_tag(name, "2", "k")
    client.delete_registered_model_tag(name, "team")
    client.delete_model_version(name, "2")
    assert client.rename_registered_model(name, name + " renamed").name == name + " renamed"
    client.delete_registered_model(name + " renamed")
    with pytest.raises(mlflow.MlflowException) as caught:
        client.get_registered_model(name)
    assert caught.value.error_code == "RESOURCE_DOES_NOT_EXIST"


def test_logged_models_are_created_finished_and_found(mlflow: ModuleType, run_id: str, tmp_path: Path) -> None:
    client = mlflow.Client()
    experiment_id = mlflow.get_run(run_id).info.experiment_id
    made = client.create_logged_model(experiment_id, "net", run_id, {"t": "1"}, {"p": "2"}, "kind")
    assert (made.name, made.status, made.tags["t"], made.params) == ("net", "PENDING", "1", {"p": "2"})
    (tmp_path / "m.bin").write_bytes(b"123")
    client.log_model_artifacts(made.model_id, str(tmp_path))
    files = client.list_logged_model_artifacts(made.model_id)
    assert ("m.bin", 3) in [(each.path, each.file_size) for each in files]
    client.log_model_params(made.model_id, {"q": "3"})
    client.set_logged_model_tags(made.model_id, {"u": "4"})
    client.delete_logged_model_tag(made.model_id, "t")
    assert client.finalize_logged_model(made.model_id, "READY").status == "READY"
    mlflow.log_metric("acc", 0.5, model_id=made.model_id)
    found = client.get_logged_model(made.model_id)
    assert found.params == {"p": "2", "q": "3"} and found.tags["u"] == "4" and "t" not in found.tags
    assert [(each.key, each.value) for each in found.metrics] == [("acc", 0.5)]
    assert [each.model_id for each in client.search_logged_models([experiment_id])] == [made.model_id]
    version = mlflow.register_model(f"models:/{made.model_id}", f"from logged {time.time_ns()}")
    assert version.source in (f"models:/{made.model_id}", made.artifact_location)
    assert Path(mlflow.download_artifacts(f"models:/{made.model_id}/m.bin")).read_bytes() == b"123"
    client.delete_logged_model(made.model_id)
    assert client.search_logged_models([experiment_id]) == []


# What follows needs no server of a kind: a socket that answers as it is told.


class Breaking:
    """A server that sends a file of ``data``, and breaks off after ``after`` bytes of each answer."""

    def __init__(self, data: bytes, after: int) -> None:
        from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

        asked: List[Dict[str, str]] = []
        self.asked = asked

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                asked.append({name.lower(): value for name, value in self.headers.items()})
                if "path=" in self.path or self.path.endswith("/artifacts"):
                    self.send_response(200)
                    self.send_header("Content-Length", "2")
                    self.end_headers()
                    self.wfile.write(b"{}")
                    return
                wanted = self.headers.get("Range", "bytes=0-")
                start = int(wanted[len("bytes=") :].rstrip("-"))
                part = data[start:]
                self.send_response(206 if start else 200)
                self.send_header("Content-Length", str(len(part)))
                self.send_header("ETag", '"e"')
                self.end_headers()
                self.wfile.write(part[:after])
                self.wfile.flush()
                if len(part) > after:
                    self.close_connection = True

            def log_message(self, *words: Any) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.uri = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def test_a_download_goes_on_where_it_broke(mlflow: ModuleType, tmp_path: Path) -> None:
    data = os.urandom(2_500_000)
    breaking = Breaking(data, 1_000_000)
    try:
        mlflow.set_tracking_uri(breaking.uri)
        got = mlflow.download_artifacts("mlflow-artifacts:/0/x/big.bin", dst_path=str(tmp_path))
    finally:
        breaking.stop()
    assert got == str(tmp_path / "big.bin") and Path(got).read_bytes() == data
    ranges = [each["range"] for each in breaking.asked if "range" in each]
    assert ranges == ["bytes=1000000-", "bytes=2000000-"] and breaking.asked[-1]["if-range"] == '"e"'
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".part")] == []


def test_an_upload_in_parts_goes_on_where_it_broke(
    mlflow: ModuleType, trackd_server: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = os.urandom(5_300_000)
    (tmp_path / "big.bin").write_bytes(data)
    monkeypatch.setenv("MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE", "2000000")
    monkeypatch.setenv("MLFLOW_MULTIPART_UPLOAD_CHUNK_SIZE", "1000000")
    client = mlflow.Client(f"http://127.0.0.1:{trackd_server.port}")
    run_id = client.create_run("0").info.run_id
    sent: List[int] = []
    send = mlflow._Proxied._put_part

    def breaks(self: Any, url: str, source: Any, headers: Any) -> Any:
        if len(sent) == 3:
            raise mlflow.Unreachable("gone")
        sent.append(source.start // 1_000_000)
        return send(self, url, source, headers)

    monkeypatch.setattr(mlflow._Proxied, "_put_part", breaks)
    with pytest.raises(mlflow.Unreachable):
        client.log_artifact(run_id, str(tmp_path / "big.bin"), "dir")
    assert client.list_artifacts(run_id, "dir") == [] and sent == [0, 1, 2]
    sent[:] = [-1] * 10
    client.log_artifact(run_id, str(tmp_path / "big.bin"), "dir")
    assert sent[10:] == [3, 4, 5]
    assert content(mlflow, run_id, "dir/big.bin", client) == data
    # Another file of the same size is not mixed with what came of the first one.
    sent[:] = []
    with pytest.raises(mlflow.Unreachable):
        client.log_artifact(run_id, str(tmp_path / "big.bin"), "other")
    (tmp_path / "big.bin").write_bytes(data[::-1])
    sent[:] = [-1] * 10
    client.log_artifact(run_id, str(tmp_path / "big.bin"), "other")
    assert sent[10:] == [0, 1, 2, 3, 4, 5] and content(mlflow, run_id, "other/big.bin", client) == data[::-1]


def test_a_server_without_the_artifacts_says_what_to_do(mlflow: ModuleType) -> None:
    mlflow.set_tracking_uri(f"http://127.0.0.1:{free_port()}")
    with pytest.raises(mlflow.MlflowException, match="--serve-artifacts"):
        mlflow.list_artifacts("s3://bucket/x")


def test_artifacts_in_a_folder_of_this_host(mlflow: ModuleType, tmp_path: Path) -> None:
    place = mlflow._open_artifacts((tmp_path / "with space").as_uri(), mlflow._target("http://127.0.0.1:1"))
    (tmp_path / "f").write_text("x")
    place.put("a/f", str(tmp_path / "f"))
    assert (tmp_path / "with space" / "a" / "f").read_text() == "x"
    assert [each.path for each in place.list("a")] == ["a/f"] and place.list("a/f") == []
    with pytest.raises(mlflow.MlflowException):
        place.put("../f", str(tmp_path / "f"))


def test_a_progress_bar_shows_for_large_files_on_a_terminal_only(
    mlflow: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def shown(size: int) -> str:
        bar = mlflow._Bar("f.bin", size)
        bar.at(size // 2)
        bar.at(size)
        return capsys.readouterr().err

    assert shown(100 << 20) == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert "50 of 100 MiB" in shown(100 << 20) and shown(1 << 20) == ""
    monkeypatch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    assert shown(100 << 20) == ""
