"""Unmodified MLflow clients whose artifacts end up in S3: through trackd, around it, and through nginx before it."""

import http.client
import io
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Dict, Iterator, List

import pytest

from tests import environments
from tests.launch import PATIENCE, Running, environment, python_of
from tests.s3_server import BUCKET, Moto
from trackd.artifacts import s3_client
from trackd.artifacts.paths import ROOT, ArtifactPath
from trackd.artifacts.s3 import S3Artifacts

pytestmark = [pytest.mark.compat, pytest.mark.slow]

VERSIONS = [environments.MLFLOW_3, environments.MLFLOW_2]

#: Logs files of all kinds and reads them back; ``argv``: tracking URI, MiB of the large file, a word for the name.
SESSION = """
import os, sys, tempfile
import mlflow
from mlflow import MlflowClient, artifacts
uri, size = sys.argv[1], int(sys.argv[2])
mlflow.set_tracking_uri(uri)
client = MlflowClient()
experiment = client.create_experiment("s3 " + mlflow.__version__ + sys.argv[3])
run = client.create_run(experiment).info.run_id
folder = tempfile.mkdtemp()
names = ["a b.txt", "ü+% 1.json", "deep/er/x&y=z.bin", "empty"]
for number, name in enumerate(names):
    os.makedirs(os.path.dirname(os.path.join(folder, name)), exist_ok=True)
    with open(os.path.join(folder, name), "wb") as file:
        file.write(b"x" * number * 100 if name != "empty" else b"")
client.log_artifacts(run, folder, "all")
client.log_text(run, "text", "note.txt")
client.log_dict(run, {"a": [1]}, "d/e.json")
big = os.path.join(folder, "big.bin")
block = os.urandom(1 << 20)
with open(big, "wb") as file:
    for _ in range(size):
        file.write(block)
client.log_artifact(run, big, "large")
assert sorted(each.path for each in client.list_artifacts(run)) == ["all", "d", "large", "note.txt"]
assert [(each.path, each.file_size) for each in client.list_artifacts(run, "large")] == [("large/big.bin", size << 20)]
there = client.download_artifacts(run, "")
for name in names:
    with open(os.path.join(folder, name), "rb") as one, open(os.path.join(there, "all", name), "rb") as other:
        assert one.read() == other.read(), name
with open(os.path.join(there, "large", "big.bin"), "rb") as file:
    for _ in range(size):
        assert file.read(1 << 20) == block
    assert file.read() == b""
assert artifacts.load_dict(client.get_run(run).info.artifact_uri + "/d/e.json") == {"a": [1]}
print(client.get_run(run).info.artifact_uri)
"""

#: What makes clients send a file of 12 MiB in parts, and fetch it in parts.
IN_PARTS = {
    "MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD": "true",
    "MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE": str(6 << 20),
    "MLFLOW_MULTIPART_UPLOAD_CHUNK_SIZE": str(5 << 20),
    "MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD": "true",
    "MLFLOW_MULTIPART_DOWNLOAD_MINIMUM_FILE_SIZE": str(6 << 20),
}


@pytest.fixture(scope="module")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moto]:
    """An S3 server with a bucket."""
    with Moto(tmp_path_factory.mktemp("moto")) as server, pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(server.boto3)
        for name, value in server.variables().items():
            patch.setenv(name, value)
        patch.setattr(s3_client, "_client", None)
        s3_client.client().create_bucket(Bucket=BUCKET)
        yield server
        patch.setattr(s3_client, "_client", None)


def session(mlflow: environments.Environment, uri: str, mebibytes: int, env: Dict[str, str], name: str = "") -> str:
    """Run ``SESSION`` with that MLflow; the artifact URI of its run."""
    done = subprocess.run(
        [python_of(mlflow), "-c", SESSION, uri, str(mebibytes), name],
        env={**env, "MLFLOW_DISABLE_TELEMETRY": "true"}, capture_output=True, encoding="utf-8", timeout=5 * PATIENCE,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.split()[-1]


def sizes(uri: str) -> Dict[str, int]:
    """What lies in the bucket."""
    return {str(path): size for path, size in S3Artifacts(uri).walk(ROOT)}


@pytest.fixture(scope="module")
def proxied(moto: Moto, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """trackd that passes artifacts on to the bucket."""
    words = ("--artifacts-destination", f"s3://{BUCKET}/proxied")
    with Running(tmp_path_factory.mktemp("proxied"), *words, env=moto.with_boto3(environment())) as server:
        yield server


@pytest.mark.parametrize("mlflow", VERSIONS, ids=lambda each: each.name)
def test_a_client_logs_and_reads_through_trackd_and_knows_nothing_of_s3(
    moto: Moto, proxied: Running, mlflow: environments.Environment
) -> None:
    uri = session(mlflow, f"http://127.0.0.1:{proxied.port}", 12, environment())
    assert uri.startswith("mlflow-artifacts:/")
    path = uri.partition("mlflow-artifacts:/")[2]
    found = sizes(f"s3://{BUCKET}/proxied/{path}")
    assert found["large/big.bin"] == 12 << 20 and found["all/ü+% 1.json"] == 100


def test_a_client_sends_large_files_in_parts_to_s3_itself(moto: Moto, proxied: Running) -> None:
    env = {**environment(), **IN_PARTS}
    uri = session(environments.MLFLOW_3, f"http://127.0.0.1:{proxied.port}", 12, env, " in parts")
    path = uri.partition("mlflow-artifacts:/")[2]
    opened = S3Artifacts(f"s3://{BUCKET}/proxied/{path}").open(ArtifactPath("large/big.bin"))
    assert opened.etag.endswith('-3"'), "an object of three parts"


@pytest.mark.parametrize("mlflow", VERSIONS, ids=lambda each: each.name)
def test_a_client_goes_to_the_bucket_by_itself_when_trackd_serves_no_artifacts(
    moto: Moto, tmp_path: Path, mlflow: environments.Environment
) -> None:
    env = moto.with_boto3(environment())
    words = ("--no-serve-artifacts", "--default-artifact-root", f"s3://{BUCKET}/direct/{mlflow.name}")
    with Running(tmp_path, *words, env=env) as server:
        client = dict(env, PYTHONPATH=moto.boto3)
        uri = session(mlflow, f"http://127.0.0.1:{server.port}", 6, client)
        assert uri.startswith(f"s3://{BUCKET}/direct/{mlflow.name}/1/")
        assert sizes(uri)["large/big.bin"] == 6 << 20
        run_id = uri.split("/")[-2]
        # What a browser shows of such a run comes through trackd all the same.
        status, body = server.ask("GET", f"/get-artifact?run_id={run_id}&path=note.txt")
        assert (status, body) == (200, "text")
        status, _ = server.ask("GET", "/api/2.0/mlflow-artifacts/artifacts?path=x")
        assert status == 503


def test_a_server_that_is_killed_in_mid_upload_leaves_the_old_file_and_no_parts(moto: Moto, tmp_path: Path) -> None:
    words = ("--artifacts-destination", f"s3://{BUCKET}/killed")
    store = S3Artifacts(f"s3://{BUCKET}/killed")
    path = ArtifactPath("0/run/artifacts/f")
    store.write(path, io.BytesIO(b"old"))
    with Running(tmp_path, *words, env=moto.with_boto3(environment())) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
        connection.putrequest("PUT", f"/api/2.0/mlflow-artifacts/artifacts/{path}")
        connection.putheader("Content-Length", str(64 << 20))
        connection.endheaders()
        for _ in range(20):
            connection.send(b"x" * (1 << 20))
        end = time.monotonic() + PATIENCE
        while not any(upload.parts for upload in store.list_uploads(path)):
            assert time.monotonic() < end, "no part has come"
            time.sleep(0.02)
        server.process.kill()
        server.ended()
        connection.close()
    opened = store.open(path)
    assert b"".join(opened.read(0, opened.size)) == b"old" and store.list_uploads(path)
    # moto dates every upload 2010, so that the next start takes this one for given up.
    with Running(tmp_path, *words, env=moto.with_boto3(environment())):
        while store.list_uploads(path):
            assert time.monotonic() < end, "the parts are still there"
            time.sleep(0.05)


NGINX = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/f;
    uwsgi_temp_path {folder}/u;
    scgi_temp_path {folder}/s;
    server {{
        listen 127.0.0.1:{port};
        client_max_body_size 0;
        location /ml/flow/ {{
            proxy_pass http://127.0.0.1:{behind};
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_request_buffering off;
            proxy_buffering off;
        }}
    }}
}}
"""


def _nginx() -> str:
    """The program; installed from Debian's packages where the tests may do that."""
    found = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if found is None and hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get"):
        for words in (["update"], ["install", "-y", "--no-install-recommends", "nginx-light"]):
            subprocess.run(["apt-get", "-qq", *words], stdout=subprocess.DEVNULL, check=False)
        found = shutil.which("nginx", path="/usr/sbin:/usr/bin")
    if found is None:
        pytest.skip("nginx is not installed (Debian: apt-get install nginx-light)")
    return found


@pytest.fixture
def nginx(tmp_path: Path, moto: Moto) -> Iterator[List[str]]:
    """trackd under a sub-path behind nginx: the tracking URI, and the folder where nginx would keep bodies."""
    program = _nginx()
    words = ("--static-prefix", "/ml/flow", "--artifacts-destination", f"s3://{BUCKET}/nginx")
    with Running(tmp_path, *words, env=moto.with_boto3(environment())) as server:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        config = tmp_path / "nginx.conf"
        config.write_text(NGINX.format(folder=tmp_path, port=port, behind=server.port), encoding="utf-8")
        process = subprocess.Popen([program, "-c", str(config), "-p", str(tmp_path)], stderr=subprocess.DEVNULL)
        try:
            end = time.monotonic() + PATIENCE
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    assert process.poll() is None and time.monotonic() < end, "nginx did not start"
                    time.sleep(0.05)
            yield [f"http://127.0.0.1:{port}/ml/flow", str(tmp_path / "body")]
        finally:
            process.terminate()
            process.wait(PATIENCE)


@pytest.mark.parametrize("parts", [{}, IN_PARTS], ids=["whole", "in parts"])
def test_a_client_behind_nginx_with_a_sub_path_streams_both_ways(nginx: List[str], parts: Dict[str, str]) -> None:
    uri, kept = nginx
    session(environments.MLFLOW_3, uri, 12, {**environment(), **parts})
    assert not any(files for _, _, files in os.walk(kept)), "nginx passes bodies on as they come"
