"""The nginx and Apache configurations of examples/, run as they are but for ports and paths, with trackd behind them.

The client's variables are tested through them: passwords, certificates, and what is said when one of them is wrong. The
stock mlflow client goes the same way.
"""

import os
import re
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import ModuleType
from typing import Dict, Iterator, List, NamedTuple

import pytest

from tests import environments
from tests.compat.peers import free_port
from tests.debian import Authority, program
from tests.launch import PATIENCE, ROOT, Running, environment, python_of

pytestmark = pytest.mark.slow

EXAMPLES = ROOT / "examples"


class Proxy(NamedTuple):
    """Addresses of one proxy: with TLS and a password, and with a client certificate as well; what it needs."""

    tls: str
    mutual: str
    plain: str
    authority: Path
    certificate: Path
    stranger: Path


def listening(port: int, process: "subprocess.Popen[bytes]") -> None:
    """Wait until something listens."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and process.poll() is None:
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    out = process.communicate(timeout=5)[0] if process.poll() is not None else b""
    raise AssertionError(f"the proxy does not listen: {out.decode()}")


def adapted(name: str, port: int, backend: int, folder: Path, mutual: bool, plain: bool = False) -> str:
    """An example with this test's ports and paths in the places of those that stand in it."""
    text = (EXAMPLES / name).read_text(encoding="utf-8")
    for old, new in (
        ("/etc/ssl/certs/mlflow.example.com.pem", str(folder / "localhost.pem")),
        ("/etc/ssl/private/mlflow.example.com.key", str(folder / "localhost.key")),
        ("/etc/ssl/certs/trackd-clients.pem", str(folder / "ca.pem")),
        ("/etc/nginx/trackd.htpasswd", str(folder / "htpasswd")),
        ("/etc/apache2/trackd.htpasswd", str(folder / "htpasswd")),
        ("listen 443 ssl", f"listen 127.0.0.1:{port}" + ("" if plain else " ssl")),
        ("<VirtualHost *:443>", f"Listen 127.0.0.1:{port}\n<VirtualHost *:{port}>"),
        ("127.0.0.1:5000", f"127.0.0.1:{backend}"),
        ("mlflow.example.com", "localhost"),
    ):
        text = text.replace(old, new)
    if plain:
        text = text.replace("$host", "localhost")
    if mutual:
        text = re.sub(r"^(\s+)#(ssl_|SSL)", r"\1\2", text, flags=re.MULTILINE)
    return text


def nginx(folder: Path, servers: List[str]) -> "subprocess.Popen[bytes]":
    text = "\n".join(servers)
    user = "user root;" if hasattr(os, "geteuid") and os.geteuid() == 0 else ""
    places = " ".join(f"{kind}_temp_path {folder};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    (folder / "nginx.conf").write_text(
        f"{user} daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;\n"
        f"events {{}}\nhttp {{ access_log off; {places}\n{text} }}\n", encoding="utf-8",
    )
    command = [program("nginx"), "-p", str(folder), "-c", str(folder / "nginx.conf")]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def apache(folder: Path, servers: List[str]) -> "subprocess.Popen[bytes]":
    modules = Path("/usr/lib/apache2/modules")
    wanted = ("mpm_event", "authn_core", "authn_file", "authz_core", "authz_user", "auth_basic", "proxy", "proxy_http",
              "ssl", "socache_shmcb", "headers")
    loads = "\n".join(f"LoadModule {name}_module {modules}/mod_{name}.so" for name in wanted)
    (folder / "httpd.conf").write_text(
        f"ServerRoot {folder}\nServerName localhost\nPidFile {folder}/apache.pid\nErrorLog {folder}/apache.log\n"
        f"DefaultRuntimeDir {folder}\n{loads}\nUser www-data\nGroup www-data\nMutex pthread default\n"
        + "\n".join(servers), encoding="utf-8",
    )
    command = [program("apache2"), "-d", str(folder), "-f", str(folder / "httpd.conf"), "-DFOREGROUND"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """trackd as trackd.service starts it, but for the port."""
    unit = (EXAMPLES / "trackd.service").read_text(encoding="utf-8")
    found = re.search(r"^ExecStart=\S+ \S+ (server .*)$", unit, re.MULTILINE)
    assert found is not None
    words = found.group(1).replace("--port 5000", "--port 0").replace("mlflow.example.com", "localhost").split()
    with Running(tmp_path_factory.mktemp("behind"), command=words) as running:
        yield running


@pytest.fixture(scope="module")
def public() -> Iterator[Path]:
    """A folder that the proxies' own users may read. pytest's folders are the owner's alone, again and again: whenever
    another pytest starts."""
    with tempfile.TemporaryDirectory(prefix="trackd-proxies-") as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


@pytest.fixture(scope="module", params=["nginx", "apache"])
def proxy(request: pytest.FixtureRequest, behind: Running, public: Path) -> Iterator[Proxy]:
    """A proxy in front of it."""
    if os.name == "nt":
        pytest.skip("needs Debian's nginx or apache2")
    folder = public / request.param
    folder.mkdir()
    folder.chmod(0o755)
    authority = Authority(folder)
    authority.sign("localhost", "DNS:localhost,IP:127.0.0.1")
    certificate = authority.sign("client")
    (folder / "other").mkdir()
    stranger = Authority(folder / "other").sign("stranger")
    done = subprocess.run([program("openssl"), "passwd", "-apr1", "p%w:d"], capture_output=True, encoding="ascii")
    (folder / "htpasswd").write_text(f"ann:{done.stdout.strip()}\n", encoding="ascii")
    for path in folder.iterdir():
        if path.is_file():
            path.chmod(0o644)
    tls, mutual, plain = free_port(), free_port(), free_port()
    name = "nginx.conf" if request.param == "nginx" else "apache.conf"
    servers = [
        adapted(name, tls, behind.port, folder, False), adapted(name, mutual, behind.port, folder, True),
    ]
    if request.param == "nginx":
        servers.append(adapted(name, plain, behind.port, folder, False, plain=True))
        process = nginx(folder, servers)
    else:
        process = apache(folder, servers)
    try:
        listening(mutual, process)
        yield Proxy(
            f"https://localhost:{tls}/trackd", f"https://localhost:{mutual}/trackd",
            f"http://localhost:{plain}/trackd" if request.param == "nginx" else "", authority.certificate, certificate,
            stranger,
        )
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE)
        if process.stdout:
            process.stdout.close()


LOGIN = {"MLFLOW_TRACKING_USERNAME": "ann", "MLFLOW_TRACKING_PASSWORD": "p%w:d"}


def set_all(monkeypatch: pytest.MonkeyPatch, **variables: str) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


def logs_a_run(mlflow: ModuleType, uri: str) -> None:
    """The usual script, with files, through the proxy."""
    mlflow.set_tracking_uri(uri)
    mlflow.set_experiment("proxied")
    with mlflow.start_run() as run:
        mlflow.log_metric("m", 1.5, step=2)
        mlflow.log_metric("later", 1, synchronous=False)
        mlflow.log_text("x" * 2_000_000, "dir/a b.txt")
    found = mlflow.get_run(run.info.run_id)
    assert (found.info.status, found.data.metrics) == ("FINISHED", {"m": 1.5, "later": 1.0})
    path = mlflow.download_artifacts(f"runs:/{run.info.run_id}/dir/a b.txt")
    assert os.path.getsize(path) == 2_000_000


def refused(mlflow: ModuleType, uri: str, *words: str) -> None:
    """It is one sentence in which these words stand."""
    client = mlflow.Client(uri)
    with pytest.raises(mlflow.MlflowException) as caught:
        client.search_experiments()
    message = caught.value.message
    assert all(word in message for word in words), message
    assert "\n" not in message and len(message) < 400, message


def test_password_and_certificate_of_the_server(
    mlflow: ModuleType, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_all(monkeypatch, MLFLOW_TRACKING_SERVER_CERT_PATH=str(proxy.authority), **LOGIN)
    logs_a_run(mlflow, proxy.tls)


def test_certificate_of_the_client(mlflow: ModuleType, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch, MLFLOW_TRACKING_SERVER_CERT_PATH=str(proxy.authority), **LOGIN)
    refused(mlflow, proxy.mutual, "MLFLOW_TRACKING_CLIENT_CERT_PATH")
    set_all(monkeypatch, MLFLOW_TRACKING_CLIENT_CERT_PATH=str(proxy.certificate))
    logs_a_run(mlflow, proxy.mutual)
    set_all(monkeypatch, MLFLOW_TRACKING_CLIENT_CERT_PATH=str(proxy.stranger))
    refused(mlflow, proxy.mutual, "MLFLOW_TRACKING_CLIENT_CERT_PATH")
    set_all(monkeypatch, MLFLOW_TRACKING_CLIENT_CERT_PATH=str(proxy.authority))
    refused(mlflow, proxy.mutual, "MLFLOW_TRACKING_CLIENT_CERT_PATH", "key")


def test_an_unchecked_certificate(mlflow: ModuleType, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch, MLFLOW_TRACKING_INSECURE_TLS="true", **LOGIN)
    logs_a_run(mlflow, proxy.tls)
    set_all(monkeypatch, MLFLOW_TRACKING_SERVER_CERT_PATH=str(proxy.authority))
    refused(mlflow, proxy.tls, "MLFLOW_TRACKING_INSECURE_TLS", "MLFLOW_TRACKING_SERVER_CERT_PATH", "unset one")


def test_the_credentials_file_and_the_address_hold_passwords_too(
    mlflow: ModuleType, proxy: Proxy, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    set_all(monkeypatch, MLFLOW_TRACKING_SERVER_CERT_PATH=str(proxy.authority))
    assert mlflow.Client(proxy.tls.replace("//", "//ann:p%25w%3Ad@")).search_experiments()
    (tmp_path / ".mlflow").mkdir()
    (tmp_path / ".mlflow" / "credentials").write_text(
        "[mlflow]\nmlflow_tracking_username = ann\nmlflow_tracking_password = p%w:d\n", encoding="utf-8"
    )
    assert mlflow.Client(proxy.tls).search_experiments()


def test_what_is_wrong_is_one_sentence_that_says_what_to_change(
    mlflow: ModuleType, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused(mlflow, proxy.tls, "certificate", "MLFLOW_TRACKING_SERVER_CERT_PATH")
    set_all(monkeypatch, MLFLOW_TRACKING_SERVER_CERT_PATH=str(proxy.certificate))
    refused(mlflow, proxy.tls, "certificate", str(proxy.certificate))
    set_all(monkeypatch, MLFLOW_TRACKING_SERVER_CERT_PATH=str(proxy.authority))
    refused(mlflow, proxy.tls, "who you are", "MLFLOW_TRACKING_USERNAME")
    set_all(monkeypatch, MLFLOW_TRACKING_TOKEN="none")
    refused(mlflow, proxy.tls, "401", "MLFLOW_TRACKING_TOKEN")
    set_all(monkeypatch, MLFLOW_TRACKING_USERNAME="ann", MLFLOW_TRACKING_PASSWORD="wrong")
    refused(mlflow, proxy.tls, "MLFLOW_TRACKING_PASSWORD")
    set_all(monkeypatch, **LOGIN)
    refused(mlflow, proxy.tls.replace("https", "http"), "https://")
    refused(mlflow, proxy.tls.replace("/trackd", "/elsewhere"), "MLFLOW_TRACKING_URI")
    refused(mlflow, proxy.tls.replace("localhost", "no-such-host.invalid"), "not known", "MLFLOW_TRACKING_URI")
    refused(mlflow, f"https://localhost:{free_port()}", "Nothing listens", "MLFLOW_TRACKING_URI")


def test_tls_to_a_server_without_it_is_said(mlflow: ModuleType, behind: Running) -> None:
    refused(mlflow, f"https://127.0.0.1:{behind.port}", "http://")


def test_a_server_that_is_gone_behind_its_proxy_is_said(
    mlflow: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its proxy answers 502."""
    port = free_port()
    tmp_path.chmod(0o755)
    server = f"server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://127.0.0.1:{free_port()}; }} }}"
    process = nginx(tmp_path, [server])
    try:
        listening(port, process)
        set_all(monkeypatch, MLFLOW_HTTP_REQUEST_MAX_RETRIES="1")
        refused(mlflow, f"http://127.0.0.1:{port}", "502", "start it")
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE)


def test_requests_go_through_a_proxy_of_the_environment(
    mlflow: ModuleType, proxy: Proxy, behind: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not proxy.plain:
        pytest.skip("one plain proxy is enough")
    uri = "http://trackd.invalid:1/trackd"
    set_all(monkeypatch, http_proxy=proxy.plain.replace("/trackd", ""), **LOGIN)
    assert mlflow.Client(uri).search_experiments()
    set_all(monkeypatch, no_proxy="trackd.invalid")
    refused(mlflow, uri.replace(":1/", ":2/"), "not known")


STOCK = """
import mlflow, os, sys
mlflow.set_tracking_uri(sys.argv[1])
mlflow.set_experiment("stock")
with mlflow.start_run() as run:
    mlflow.log_metric("m", 1.5)
    mlflow.log_text("x" * 2_000_000, "dir/a b.txt")
assert mlflow.get_run(run.info.run_id).data.metrics == {"m": 1.5}
assert os.path.getsize(mlflow.artifacts.download_artifacts(f"runs:/{run.info.run_id}/dir/a b.txt")) == 2_000_000
"""


@pytest.mark.compat
def test_the_stock_client_goes_the_same_way(proxy: Proxy, tmp_path: Path) -> None:
    variables: Dict[str, str] = {
        "MLFLOW_TRACKING_SERVER_CERT_PATH": str(proxy.authority), "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_TRACKING_CLIENT_CERT_PATH": str(proxy.certificate), **LOGIN,
    }
    done = subprocess.run(
        [python_of(environments.MLFLOW_3), "-c", STOCK, proxy.mutual], env=environment(**variables), cwd=str(tmp_path),
        capture_output=True, encoding="utf-8", timeout=10 * PATIENCE,
    )
    assert done.returncode == 0, done.stderr
