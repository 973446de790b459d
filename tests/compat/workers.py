"""Worker processes that hold a real MLflow: ``Worker(python, log).do("dump", uri=...)``."""

import json
import os
import subprocess
import threading
from pathlib import Path
from typing import Any

from tests.compat.peers import REPOSITORY

#: Seconds that a task may take, importing MLflow included; a client that hangs is killed then.
TASK_LIMIT = 180.0


class Worker:
    """A process under an MLflow environment's Python that runs the ``tasks`` of ``worker_main``.

    Those in ``tests.compat.database_tasks`` are for any release, the others for 2.22 and 3.17.2.
    """

    def __init__(self, python: Path, folder: Path, tasks: str = "") -> None:
        self.log = folder / "worker.log"
        variables = dict(
            os.environ,
            PYTHONPATH=str(REPOSITORY),
            MLFLOW_DISABLE_TELEMETRY="true",
            MLFLOW_ALLOW_FILE_STORE="true",
            # A retried 5xx would hide a fault for minutes.
            MLFLOW_HTTP_REQUEST_MAX_RETRIES="1",
            MLFLOW_HTTP_REQUEST_TIMEOUT="30",
            GIT_PYTHON_REFRESH="quiet",
        )
        variables.pop("MLFLOW_TRACKING_URI", None)
        self._err = open(self.log, "w", encoding="utf-8")
        command = [str(python), "-m", "tests.compat.worker_main", *([tasks] if tasks else [])]
        self.process = subprocess.Popen(
            command, cwd=str(folder), env=variables,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._err, text=True, encoding="utf-8",
        )

    def do(self, task: str, **arguments: Any) -> Any:
        """The result of a task; an AssertionError with its traceback if it failed, or if it took too long."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps({"do": task, "with": arguments}) + "\n")
        self.process.stdin.flush()
        watchdog = threading.Timer(TASK_LIMIT, self.process.kill)
        watchdog.start()
        line = self.process.stdout.readline()
        watchdog.cancel()
        if not line:
            raise AssertionError("the worker has gone:\n" + self.log.read_text(encoding="utf-8")[-3000:])
        answer = json.loads(line)
        if "failed" in answer:
            raise AssertionError(f"{task}:\n{answer['failed']}")
        return answer["done"]

    def stop(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._err.close()
