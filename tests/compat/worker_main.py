"""Runs under the Python of an MLflow environment and does what it is told, one line of JSON at a time.

``python -m tests.compat.worker_main`` reads lines ``{"do": name, "with": {...}}`` and answers each with a line
``{"done": result}`` or ``{"failed": traceback}``. One process serves many tests: ``import mlflow`` takes seconds.
"""

import json
import os
import sys
import traceback
from typing import Any, Callable, Dict

from tests.compat import client_session, folder_writer, live_writer, model_writer, store_dump

#: What can be asked for.
TASKS: Dict[str, Callable[..., Any]] = {
    **{"client " + name: task for name, task in client_session.SCENARIOS.items()},
    "version": client_session.version,
    "write": folder_writer.write,
    "write by http": folder_writer.write_by_http,
    "write with MLflow 3": folder_writer.what_mlflow_3_adds,
    "dump": store_dump.dump,
    **{"model " + name: task for name, task in model_writer.TASKS.items()},
    **{"live " + name: task for name, task in live_writer.TASKS.items()},
}


def main() -> None:
    """Answer lines until there are no more."""
    # MLflow prints to standard output; answers go to the real one, everything else to standard error.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            answer = {"done": TASKS[asked["do"]](**asked["with"])}
        except Exception:
            answer = {"failed": traceback.format_exc()}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
