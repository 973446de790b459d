"""The connection: kept, tried again, given up, and what is said then. The server here is a script of answers."""

import os
import socket
import threading
import time
from pathlib import Path
from types import ModuleType
from typing import Any, Callable, Iterator, List

import pytest

from tests.compat.peers import free_port
from tests.launch import Running

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;x=y\r\n{\r\n1\r\n}\r\n0\r\nX: y\r\n\r\n"
TO_THE_END = b"HTTP/1.0 200 OK\r\n\r\n{}"


def error(status: int, *headers: str, body: bytes = b"") -> bytes:
    lines = [f"HTTP/1.1 {status} x", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Scripted:
    """Answers one request after another with what it is given; ``b""`` closes the connection. Then ``OK``."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)
        self.requests: List[bytes] = []
        self.connections = 0
        self.times: List[float] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.uri = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        reader = connection.makefile("rb")
        with connection:
            while True:
                head = b""
                while not head.endswith(b"\r\n\r\n"):
                    line = reader.readline()
                    if not line:
                        return
                    head += line
                lines = head.lower().split(b"\r\n")
                length = [int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length")]
                self.requests.append(head + reader.read(length[0] if length else 0))
                self.times.append(time.monotonic())
                answer = self.answers.pop(0) if self.answers else OK
                connection.sendall(answer)
                if not answer or answer == TO_THE_END:
                    return

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def scripted() -> Iterator[Callable[..., Scripted]]:
    """Makes scripted servers, which are closed at the end."""
    made: List[Scripted] = []

    def make(*answers: bytes) -> Scripted:
        made.append(Scripted(*answers))
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_one_connection_serves_many_requests(mlflow: ModuleType, scripted: Callable[..., Scripted]) -> None:
    server = scripted(OK, CHUNKED, OK)
    client = mlflow.Client(server.uri)
    for _ in range(3):
        assert client.search_experiments() == []
    assert (server.connections, len(server.requests)) == (1, 3)
    head = server.requests[0].split(b"\r\n\r\n")[0]
    assert b"User-Agent: trackd-client/" in head and b"Content-Type: application/json" in head
    assert server.requests[0].startswith(b"POST /api/2.0/mlflow/experiments/search HTTP/1.1\r\nHost: 127.0.0.1:")


def test_a_connection_that_was_closed_meanwhile_is_replaced_without_a_try(
    mlflow: ModuleType, scripted: Callable[..., Scripted], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    server = scripted(OK, b"", OK, TO_THE_END, OK)
    client = mlflow.Client(server.uri)
    for _ in range(4):
        assert client.search_experiments() == []
    assert server.connections == 3


def test_what_fails_in_passing_is_tried_again_as_often_as_the_variables_say(
    mlflow: ModuleType, scripted: Callable[..., Scripted], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = scripted(b"", error(503), error(500), error(429), error(408), error(504), error(502), OK)
    assert mlflow.Client(server.uri).search_experiments() == []
    assert len(server.requests) == 8
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    server = scripted(*[error(503, body=b'{"error_code": "TEMPORARILY_UNAVAILABLE", "message": "busy"}')] * 5)
    with pytest.raises(mlflow.RestException, match="busy"):
        mlflow.Client(server.uri).search_experiments()
    assert len(server.requests) == 3
    server = scripted(error(400, body=b'{"error_code": "BAD_REQUEST", "message": "no"}'))
    with pytest.raises(mlflow.RestException, match="no"):
        mlflow.Client(server.uri).search_experiments()
    assert len(server.requests) == 1


def test_pauses_grow_and_the_server_may_choose_them(
    mlflow: ModuleType, scripted: Callable[..., Scripted], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "1.5")
    slept: List[float] = []
    monkeypatch.setattr(mlflow.time, "sleep", slept.append)
    server = scripted(error(503), error(503), error(503), error(503, "Retry-After: 7"), OK)
    mlflow.Client(server.uri).search_experiments()
    assert slept == [0.0, 3.0, 6.0, 7.0]
    monkeypatch.setenv("MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER", "false")
    server = scripted(error(503, "Retry-After: 7"), OK)
    mlflow.Client(server.uri).search_experiments()
    assert slept[-1] == 0.0


def test_a_silent_server_is_given_up_after_the_time_out(
    mlflow: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "0.2")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        with pytest.raises(mlflow.Unreachable, match=r"has not answered in 0\.2 s"):
            mlflow.Client(f"http://127.0.0.1:{silent.getsockname()[1]}").search_experiments()


def test_after_all_tries_have_failed_the_next_request_is_not_waited_for(
    mlflow: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: List[float] = []
    monkeypatch.setattr(mlflow.time, "sleep", slept.append)
    client = mlflow.Client(f"http://127.0.0.1:{free_port()}")
    for _ in range(3):
        with pytest.raises(mlflow.Unreachable, match="connection refused"):
            client.search_experiments()
    assert len(slept) == 7


@pytest.mark.parametrize(
    "answer, said",
    [
        (b"SSH-2.0-OpenSSH_9\r\n", "does not speak HTTP"),
        (error(200, body=b"<html>hello</html>"), "not as an MLflow server does"),
        (error(302, "Location: https://login.example.com/"), "https://login.example.com/"),
        (error(404, body=b"<html><title>x</title>404 Not Found</html>"), "MLFLOW_TRACKING_URI"),
        (error(403, body=b"<html><p>not <b>you</b></p></html>"), "not you"),
        (error(413), "413"),
        (error(418, body=b"teapot"), "418: teapot"),
    ],
    ids=["ssh", "page", "redirect", "nothing", "forbidden", "large", "other"],
)
def test_an_answer_that_is_none_is_one_sentence(
    mlflow: ModuleType, scripted: Callable[..., Scripted], answer: bytes, said: str
) -> None:
    server = scripted(answer)
    with pytest.raises(mlflow.MlflowException) as caught:
        mlflow.Client(server.uri).get_run("0" * 32)
    assert said in caught.value.message and "\n" not in caught.value.message


@pytest.mark.parametrize(
    "uri", ["ftp://host", "localhost:5000", "http://", "http://host:99999", "http://h/?a=b", "./mlruns", "spool:"]
)
def test_an_address_that_is_none_is_refused_at_once(mlflow: ModuleType, uri: str) -> None:
    with pytest.raises(mlflow.MlflowException) as caught:
        mlflow.set_tracking_uri(uri)
    assert caught.value.error_code == "INVALID_PARAMETER_VALUE" and "\n" not in caught.value.message
    assert mlflow.get_tracking_uri() == "http://127.0.0.1:5000"


@pytest.mark.parametrize(
    "name, value",
    [("MLFLOW_HTTP_REQUEST_TIMEOUT", "soon"), ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "-1"),
     ("MLFLOW_ENABLE_ASYNC_LOGGING", "perhaps")],
)
def test_a_variable_that_means_nothing_is_named(
    mlflow: ModuleType, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(mlflow.MlflowException, match=name):
        mlflow.Client(f"http://127.0.0.1:{free_port()}").log_metric("0" * 32, "m", 1.0)


def test_basic_goes_before_bearer_and_the_file_fills_in(
    mlflow: ModuleType, scripted: Callable[..., Scripted], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def sent(**variables: str) -> str:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        server = scripted()
        mlflow.Client(server.uri).search_experiments()
        found = [line for line in server.requests[0].split(b"\r\n") if line.startswith(b"Authorization: ")]
        return found[0].decode() if found else ""

    assert sent() == ""
    assert sent(MLFLOW_TRACKING_TOKEN="t") == "Authorization: Bearer t"
    assert sent(MLFLOW_TRACKING_USERNAME="ann") == "Authorization: Bearer t"
    assert sent(MLFLOW_TRACKING_PASSWORD="p") == "Authorization: Basic YW5uOnA="
    monkeypatch.delenv("MLFLOW_TRACKING_PASSWORD")
    (tmp_path / ".mlflow").mkdir()
    credentials = tmp_path / ".mlflow" / "credentials"
    credentials.write_text("[mlflow]\nmlflow_tracking_username = bob\nmlflow_tracking_password = q%\n", "utf-8")
    assert sent() == "Authorization: Basic YW5uOnEl"
    credentials.write_text("no section\n", "utf-8")
    with pytest.raises(mlflow.MlflowException, match="credentials cannot be read"):
        sent()


def test_system_metrics_come_with_a_run_that_asks_for_them(
    mlflow: ModuleType, trackd_server: Running, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if not os.path.exists("/proc/stat"):
        pytest.skip("reads /proc")
    card = tmp_path / "nvidia-smi"
    card.write_text("#!/bin/sh\necho '1024, 4096, 37, 50.5, [N/A]'\n", encoding="ascii")
    card.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path) + os.pathsep + os.environ["PATH"])
    mlflow.set_tracking_uri(f"http://127.0.0.1:{trackd_server.port}")
    mlflow.set_system_metrics_sampling_interval(0.05)
    mlflow.set_system_metrics_samples_before_logging(2)
    with mlflow.start_run(log_system_metrics=True) as run:
        time.sleep(0.4)
    found = mlflow.get_run(run.info.run_id).data.metrics
    assert {name.split("/", 1)[1] for name in found} == {
        "cpu_utilization_percentage", "system_memory_usage_megabytes", "system_memory_usage_percentage",
        "disk_usage_percentage", "disk_usage_megabytes", "disk_available_megabytes", "network_receive_megabytes",
        "network_transmit_megabytes", "gpu_0_memory_usage_megabytes", "gpu_0_memory_usage_percentage",
        "gpu_0_utilization_percentage", "gpu_0_power_usage_watts",
    }
    assert found["system/gpu_0_memory_usage_percentage"] == 25.0
    busy = "system/cpu_utilization_percentage"
    assert 0 <= found[busy] <= 100
    steps: Any = [at.step for at in mlflow.Client().get_metric_history(run.info.run_id, busy)]
    assert steps == list(range(len(steps))) and len(steps) >= 2
    mlflow.set_system_metrics_node_id("node7")
    mlflow.enable_system_metrics_logging()
    with mlflow.start_run(run_id=run.info.run_id):
        time.sleep(0.2)
    assert [name for name in mlflow.get_run(run.info.run_id).data.metrics if name.startswith("system/node7/")]
    mlflow.disable_system_metrics_logging()
    with mlflow.start_run() as other:
        time.sleep(0.1)
    assert mlflow.get_run(other.info.run_id).data.metrics == {}
