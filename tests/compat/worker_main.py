"""Runs under the Python of an MLflow environment and does what it is told, one line of JSON at a time.

``python -m tests.compat.worker_main [MODULE]`` reads lines ``{"do": name, "with": {...}}`` and answers each with a line
``{"done": result}`` or ``{"failed": traceback}``. One process serves many tests: ``import mlflow`` takes seconds.
"""

import json
import os
import sys
import traceback
from typing import Any, Callable, Dict


def tasks(module: str) -> Dict[str, Callable[..., Any]]:
    """What can be asked for: the ``TASKS`` of a module, or else those of all that 2.22 and 3.17.2 share."""
    if module:
        from importlib import import_module

        return dict(import_module(module).TASKS)
    from tests.compat import (
        artifact_session,
        client_session,
        folder_writer,
        live_writer,
        model_session,
        model_writer,
        store_dump,
    )

    return {
        **{"client " + name: task for name, task in client_session.SCENARIOS.items()},
        "version": client_session.version,
        "write": folder_writer.write,
        "write by http": folder_writer.write_by_http,
        "write with MLflow 3": folder_writer.what_mlflow_3_adds,
        "dump": store_dump.dump,
        **{"model " + name: task for name, task in model_writer.TASKS.items()},
        **{"models " + name: task for name, task in model_session.SCENARIOS.items()},
        "models all of": model_session.all_of,
        "models read back": model_session.read_back,
        **{"artifacts " + name: task for name, task in artifact_session.TASKS.items()},
        **{"live " + name: task for name, task in live_writer.TASKS.items()},
    }


def main() -> None:
    """Answer lines until there are no more."""
    # MLflow prints to standard output; answers go to the real one, everything else to standard error.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    known = tasks(sys.argv[1] if len(sys.argv) > 1 else "")
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            answer = {"done": known[asked["do"]](**asked["with"])}
        except Exception:
            answer = {"failed": traceback.format_exc()}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
