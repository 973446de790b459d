"""An S3 server for tests: moto's, with a proxy before it that can be told to fail like a network or a busy S3."""

import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Callable, Dict, List, Optional, Type

import pytest

from tests import environments

#: What stands in tests for the secret that must never be shown.
SECRET = "never-show-this-secret"
BUCKET = "trackd-tests"


class Moto:
    """``moto_server`` with an empty bucket; entering starts it."""

    def __init__(self, folder: Path) -> None:
        try:
            command = environments.script(environments.MOTO, "moto_server")
            self.boto3 = environments.packages(environments.BOTO3)
        except environments.Unavailable as error:
            pytest.skip(str(error))
        self.port = free_port()
        self._log = open(folder / "moto.log", "w", encoding="utf-8")
        self.process = subprocess.Popen(
            [str(command), "-H", "127.0.0.1", "-p", str(self.port)], stdout=self._log, stderr=subprocess.STDOUT
        )

    @property
    def url(self) -> str:
        """The endpoint."""
        return f"http://127.0.0.1:{self.port}"

    def variables(self, endpoint: Optional[str] = None) -> Dict[str, str]:
        """The environment of a program that is to use it, but for the path to boto3."""
        return {
            "MLFLOW_S3_ENDPOINT_URL": endpoint or self.url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def with_boto3(self, environment: Dict[str, str]) -> Dict[str, str]:
        """That environment for a trackd in a process of its own."""
        path = os.pathsep.join([environment.get("PYTHONPATH", ""), self.boto3])
        return {**environment, **self.variables(), "PYTHONPATH": path}

    def __enter__(self) -> "Moto":
        wait_for(self.port, self.process)
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.process.terminate()
        self.process.wait(30)
        self._log.close()


class S3rver:
    """``s3rver`` of the npm registry, another S3 server by other people, with an empty bucket; entering starts it."""

    _VERSION = "3.7.1"

    def __init__(self, folder: Path) -> None:
        npm, node = shutil.which("npm"), shutil.which("node")
        if npm is None or node is None:
            pytest.skip("node and npm are not installed (Debian: apt-get install nodejs npm)")
        place = environments.CACHE / f"s3rver-{self._VERSION}"
        program = place / "node_modules" / "s3rver" / "bin" / "s3rver.js"
        if not program.exists():
            place.mkdir(parents=True, exist_ok=True)
            words = [npm, "install", "--silent", "--no-audit", "--no-fund", f"s3rver@{self._VERSION}"]
            subprocess.run(words, cwd=str(place), check=True)
        self.port = free_port()
        # It makes its tokens with a cipher that OpenSSL 3 calls old.
        env = dict(os.environ, NODE_OPTIONS="--openssl-legacy-provider")
        words = [node, str(program), "-d", str(folder), "-a", "127.0.0.1", "-p", str(self.port), "--silent"]
        self.process = subprocess.Popen([*words, "--configure-bucket", BUCKET], env=env)
        wait_for(self.port, self.process)

    def variables(self) -> Dict[str, str]:
        """The environment of a program that is to use it."""
        return {
            "MLFLOW_S3_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
            "AWS_ACCESS_KEY_ID": "S3RVER",
            "AWS_SECRET_ACCESS_KEY": "S3RVER",
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait(30)


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(port: int, process: "subprocess.Popen[bytes]") -> None:
    """Return when something listens there; an AssertionError if the process ends, or takes too long."""
    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    process.kill()
    raise AssertionError("the S3 server did not start")


class Proxy:
    """Passes connections on to a port. ``cut(direction, count)`` is asked for what to do with each block of bytes.

    ``spoil`` may be set to a function of the request's first bytes: what it returns is answered instead of asking S3.
    ``limit`` bytes of answers are passed on until it closes a connection, once for each entry of ``limits``.
    """

    def __init__(self, port: int) -> None:
        self.requests: List[bytes] = []
        self.spoil: Callable[[bytes], Optional[bytes]] = lambda head: None
        #: Each connection takes one: bytes of answers after which it is cut.
        self.limits: List[int] = []
        #: Bytes of requests after which every connection is cut and none is taken; ``None`` for no end.
        self.dies_after: Optional[int] = None
        self._sent = 0
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        """The endpoint."""
        return f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        """Take no more connections."""
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        if self._is_dead():
            client.close()
            return
        server = socket.create_connection(("127.0.0.1", self._target))
        limit = self.limits.pop(0) if self.limits else sys.maxsize
        back = threading.Thread(target=self._pass_back, args=(server, client, limit), daemon=True)
        back.start()
        try:
            while True:
                block = client.recv(65536)
                if not block:
                    break
                if block[:4] in (b"GET ", b"PUT ", b"POST", b"HEAD", b"DELE"):
                    self.requests.append(block.split(b"\r\n", 1)[0])
                    answer = self.spoil(block)
                    if answer is not None:
                        client.sendall(answer)
                        break
                self._sent += len(block)
                if self._is_dead():
                    break
                server.sendall(block)
        except OSError:
            return
        finally:
            for each in (client, server):
                try:
                    each.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue

    def _is_dead(self) -> bool:
        return self.dies_after is not None and self._sent >= self.dies_after

    def _pass_back(self, server: socket.socket, client: socket.socket, limit: int) -> None:
        try:
            while limit > 0:
                block = server.recv(min(65536, limit))
                if not block:
                    break
                limit -= len(block)
                client.sendall(block)
        except OSError:
            return
        finally:
            try:
                client.shutdown(socket.SHUT_RDWR)
            except OSError:
                return
