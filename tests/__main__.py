"""``python3 -m tests``: everything, on a machine with nothing but Python and a package index.

Makes the virtual environments that the tests need, then runs ruff, mypy, the core tests under the other supported
Pythons that are installed, and last pytest over everything.

* ``--core``: the quick half: ruff, mypy and the core tests, with this Python only.
* other arguments go to pytest, and only pytest runs: ``python3 -m tests -k name``, ``python3 -m tests tests/api``.

The exit code is 0 only if every step passed and at least one test ran.
"""

import subprocess
import sys
from pathlib import Path
from typing import Dict, List, Sequence

from tests import environments

ROOT = Path(__file__).resolve().parent.parent
CORE = ["-m", "not compat and not slow"]
#: Two workers, whole files to one worker: fixtures of a file that start a server start it once.
PARALLEL = ["-n", "2", "--dist", "loadfile"]
#: The oldest and the newest Python that the core tests also run under, where they are installed.
OTHER_PYTHONS = ((3, 9), (3, 13))


def main(arguments: Sequence[str]) -> int:
    """Run the steps; the exit code is 1 if any of them failed."""
    is_core = "--core" in arguments
    rest = [word for word in arguments if word != "--core"]
    try:
        python = str(environments.ready(environments.TOOLS))
    except subprocess.CalledProcessError as error:
        print(f"tests: the environment for the tests could not be made: {error}", flush=True)
        return 1
    results: Dict[str, int] = {}
    if not is_core:
        for environment in environments.FOR_COMPAT:
            results[environment.name] = made(environment)
    if rest:
        return step([python, "-m", "pytest", *(CORE if is_core else []), *rest])
    results.update(lint(python))
    if not is_core:
        results.update(other_pythons())
    report(results)
    results["pytest"] = step([python, "-m", "pytest", *PARALLEL, *(CORE if is_core else [])])
    failed = [name for name, code in results.items() if code]
    if failed:
        print(f"tests: FAILED: {', '.join(failed)}", flush=True)
    return 1 if failed else 0


def lint(python: str) -> Dict[str, int]:
    """Style, likely bugs and types."""
    return {
        "ruff": step([python, "-m", "ruff", "check", "."]),
        "mypy": step([python, "-m", "mypy"]),
    }


def other_pythons() -> Dict[str, int]:
    """The core tests under the other supported Pythons that are installed."""
    results = {}
    for version in OTHER_PYTHONS:
        name = f"core tests under Python {version[0]}.{version[1]}"
        if version == environments.HERE:
            continue
        if environments.find_python(version) is None:
            print(f"tests: {name}: not installed here, left out", flush=True)
            continue
        python = str(environments.ready(environments.core(version)))
        results[name] = step([python, "-m", "pytest", "-q", *PARALLEL, *CORE])
    return results


def made(environment: environments.Environment) -> int:
    """0 if the environment is there; where no Python can make it, its tests say that they were skipped."""
    try:
        environments.ready(environment)
    except environments.Unavailable as error:
        print(f"tests: {error}", flush=True)
    except subprocess.CalledProcessError as error:
        print(f"tests: {environment.name} could not be made: {error}", flush=True)
        return 1
    return 0


def step(command: List[str]) -> int:
    """Run one command in the checkout, its output as it comes; its exit code."""
    print("tests: " + " ".join(["python", *command[1:]]), flush=True)
    return subprocess.run(command, cwd=ROOT).returncode


def report(results: Dict[str, int]) -> None:
    """One line per step, before pytest, whose closing lines come last."""
    for name, code in results.items():
        print(f"tests: {name}: {'FAILED' if code else 'ok'}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
