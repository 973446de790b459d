"""trackd in a process of its own, for tests of what a user sees."""

import http.client
import os
import queue
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Dict, List, Optional, Sequence, Tuple, Type

import pytest

from tests import environments

ROOT = Path(__file__).resolve().parent.parent

#: Seconds until a server that is expected to start or stop counts as hanging; machines that run tests are slow.
PATIENCE = 60.0


def environment(**extra: str) -> Dict[str, str]:
    """This process's environment without settings of MLflow and trackd: those of a developer must not matter."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW_", "TRACKD_"))}
    return dict(kept, PYTHONPATH=str(ROOT), PYTHONIOENCODING="utf-8", **extra)


def run(*words: str, cwd: Path, env: Optional[Dict[str, str]] = None) -> "subprocess.CompletedProcess[str]":
    """``python -m trackd WORDS`` to its end."""
    return subprocess.run(
        [sys.executable, "-m", "trackd", *words], cwd=str(cwd), env=env or environment(), capture_output=True,
        encoding="utf-8", timeout=PATIENCE,
    )


def python_of(wanted: environments.Environment) -> str:
    """The interpreter of a virtual environment, made if need be; where no Python can make it the test is skipped."""
    try:
        return str(environments.ready(wanted))
    except environments.Unavailable as error:
        pytest.skip(str(error))


class Running:
    """A server in ``cwd``; entering waits until it has said its address, leaving stops it.

    ``said`` and ``complained`` hold the lines of stdout and stderr so far.
    """

    def __init__(
        self, cwd: Path, *words: str, command: Sequence[str] = ("server", "--port", "0"),
        env: Optional[Dict[str, str]] = None, python: Sequence[str] = (sys.executable, "-m", "trackd"),
    ) -> None:
        self.process = subprocess.Popen(
            [*python, *command, *words], cwd=str(cwd), env=env or environment(),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8",
        )
        self.said: List[str] = []
        self.complained: List[str] = []
        self.host, self.port, self.prefix = "", 0, ""
        self._lines: "queue.Queue[Optional[str]]" = queue.Queue()
        self._readers = [
            threading.Thread(target=self._read, args=(self.process.stdout, self.said), daemon=True),
            threading.Thread(target=self._read, args=(self.process.stderr, self.complained), daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, stream: "Sequence[str]", lines: List[str]) -> None:
        for line in stream:
            lines.append(line.rstrip("\n"))
            self._lines.put(line)
        self._lines.put(None)

    def __enter__(self) -> "Running":
        ended = 0
        while ended < 2:
            line = self._lines.get(timeout=PATIENCE)
            if line is None:
                ended += 1
                continue
            found = re.search(r"http://(\[[^\]]+\]|[^:/\s]+):(\d+)(/\S*)?", line)
            if found:
                self.host, self.port, self.prefix = found.group(1), int(found.group(2)), found.group(3) or ""
                return self
        self.process.wait()
        raise AssertionError("no server: " + "\n".join(self.said + self.complained))

    def ask(self, method: str, path: str, body: Optional[str] = None) -> Tuple[int, str]:
        """Status and body of one request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            headers = {} if body is None else {"Content-Type": "application/json"}
            connection.request(method, self.prefix + path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode("utf-8")
        finally:
            connection.close()

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Ask it to stop and return its exit code; all its output has been read then."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.ended()

    def ended(self) -> int:
        """Wait for its end and return its exit code."""
        code = self.process.wait(PATIENCE)
        for reader in self._readers:
            reader.join(PATIENCE)
        return code

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE)
        for stream in (self.process.stdout, self.process.stderr):
            if stream:
                stream.close()
