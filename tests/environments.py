"""Virtual environments that the tests need: made on first use, kept in a cache, found again.

They lie under ``TRACKD_TEST_CACHE`` or ``~/.cache/trackd-tests`` and may be deleted at any time. Making one takes
nothing but Python, its ``venv`` and ``pip``, and a package index. An environment is whole when its marker names what it
was made for (or, without a marker, when its own interpreter says so); anything else is made anew. A lock keeps two
processes from making the same one; the system drops it if its owner dies.

``ready(MLFLOW_3)`` is the path of an interpreter that can ``import mlflow``.
"""

import glob
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, List, NamedTuple, Optional, Tuple

CACHE = Path(os.environ.get("TRACKD_TEST_CACHE") or os.path.join("~", ".cache", "trackd-tests")).expanduser()

#: Present in an environment that is whole; holds its requirements, one a line.
MARKER = ".trackd-complete"

Version = Tuple[int, int]


class Environment(NamedTuple):
    """What is in an environment. ``pythons``: which interpreters can make it, the first that is found does.

    ``probe`` is a line of Python that fails unless the environment has what it should.
    """

    name: str
    requirements: Tuple[str, ...]
    probe: str
    pythons: Tuple[Version, ...]


HERE: Version = (sys.version_info[0], sys.version_info[1])

#: MLflow 3 needs 3.10; compiled packages that it wants may be missing for the newest Python.
_FOR_MLFLOW: Tuple[Version, ...] = tuple(dict.fromkeys([
    *([HERE] if (3, 10) <= HERE <= (3, 13) else []), (3, 11), (3, 12), (3, 10), (3, 13)
]))

_SUITE = ("pytest>=8,<10", "pytest-xdist>=3,<4", "hypothesis>=6.100,<7")

TOOLS = Environment(
    f"tools-{HERE[0]}.{HERE[1]}", (*_SUITE, "ruff>=0.9,<1", "mypy>=1.14,<3"), "import pytest, hypothesis, mypy", (HERE,)
)
MLFLOW_3 = Environment(
    "mlflow-3.17.2", ("mlflow==3.17.2",), "import mlflow; assert mlflow.__version__ == '3.17.2'", _FOR_MLFLOW
)
MLFLOW_2 = Environment(
    # It imports pkg_resources, which setuptools 81 no longer has.
    "mlflow-2.22", ("mlflow==2.22.*", "setuptools<81"),
    "import mlflow; assert mlflow.__version__.startswith('2.22.')", _FOR_MLFLOW,
)


def _skinny(version: str, *more: str) -> Environment:
    """An MLflow that can work on a database, without what only its server and its models need (100 MB, not 800)."""
    return Environment(
        f"mlflow-skinny-{version}", (f"mlflow-skinny=={version}", "setuptools<81", *more),
        f"import mlflow, mlflow.store.tracking.sqlalchemy_store; assert mlflow.__version__ == '{version}'",
        ((3, 10), (3, 9), (3, 11)),
    )


#: Others that made databases which trackd serves. Of SQLAlchemy each needs one of its time.
MLFLOW_2_0 = _skinny("2.0.1", "sqlalchemy<2", "alembic<2", "sqlparse")
MLFLOW_2_9 = _skinny("2.9.2", "sqlalchemy<2.1", "alembic<2")
MLFLOW_2_22 = _skinny("2.22.5", "sqlalchemy<2.1", "alembic<2")
MLFLOW_3_1 = _skinny("3.1.4", "sqlalchemy<2.1", "alembic<2")

#: MLflow 2.22 with models of scikit-learn on a database: what ``mlflow==2.22.*`` brings is too new for its own tables.
MLFLOW_2_MODELS = Environment(
    "mlflow-models-2.22",
    ("mlflow-skinny==2.22.5", "setuptools<81", "sqlalchemy<2.1", "alembic<2", "scikit-learn", "pandas<3"),
    "import mlflow.sklearn, mlflow.pyfunc, mlflow.store.tracking.sqlalchemy_store, sklearn, pandas",
    ((3, 11), (3, 10)),
)

#: All that the compat tests need.
FOR_COMPAT = (MLFLOW_3, MLFLOW_2, MLFLOW_2_0, MLFLOW_2_9, MLFLOW_2_22, MLFLOW_3_1, MLFLOW_2_MODELS)

#: For the benchmark only: the server ``fml``. (Its Python module does not import beside the MLflow that comes with it.)
FASTTRACKML = Environment(
    "fasttrackml", ("fasttrackml",),
    "import subprocess, sysconfig; subprocess.run([sysconfig.get_path('scripts') + '/fml', '--help'], check=True)",
    _FOR_MLFLOW,
)

#: What a trackd or an MLflow that works with S3 has on its path; pure Python, so any Python of the suite can import it.
BOTO3 = Environment("boto3", ("boto3>=1.36,<2",), "import boto3", (HERE, (3, 11), (3, 12), (3, 10), (3, 13)))
#: An S3 server: the command ``moto_server``.
MOTO = Environment("moto", ("moto[s3,server]>=5,<6",), "import moto.server", (HERE, (3, 11), (3, 12), (3, 10), (3, 13)))

#: For the stories in a browser, which run under its own pytest. The browser itself is the system's Chromium.
BROWSER = Environment(
    "browser", ("playwright>=1.40,<2", "pytest>=8,<10"), "import playwright.sync_api, pytest",
    tuple(dict.fromkeys([*([HERE] if HERE >= (3, 9) else []), (3, 11), (3, 12), (3, 10), (3, 13)])),
)


def core(version: Version) -> Environment:
    """What the core tests need, for another Python."""
    return Environment(f"core-{version[0]}.{version[1]}", _SUITE, "import pytest, hypothesis", (version,))


class Unavailable(Exception):
    """No Python on this machine can make the environment."""


def ready(environment: Environment) -> Path:
    """The interpreter of an environment, which is made first if need be (minutes, for MLflow).

    Raises ``Unavailable`` where no fitting Python is found, ``CalledProcessError`` where pip fails.
    """
    place = CACHE / environment.name
    if _marked(place, environment):
        return interpreter(place)
    CACHE.mkdir(parents=True, exist_ok=True)
    with _locked(CACHE / (environment.name + ".lock")):
        if not _marked(place, environment):
            if not _answers(place, environment):
                _make(place, environment)
            (place / MARKER).write_text(_listed(environment), encoding="utf-8")
    return interpreter(place)


def packages(environment: Environment) -> str:
    """The folder of an environment's packages, for the path of another interpreter."""
    ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
    done = subprocess.run([str(ready(environment)), "-c", ask], stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.strip()


def interpreter(place: Path) -> Path:
    """Where ``venv`` puts the interpreter of an environment."""
    return place / "Scripts" / "python.exe" if os.name == "nt" else place / "bin" / "python"


def script(environment: Environment, name: str) -> Path:
    """A command that was installed into an environment, such as ``mlflow``."""
    return ready(environment).with_name(name + (".exe" if os.name == "nt" else ""))


def _marked(place: Path, environment: Environment) -> bool:
    """Whether the marker says that this environment holds these requirements, and its Python is still there.

    (A system upgrade can remove the Python that an environment links to.)
    """
    marker = place / MARKER
    if not (interpreter(place).exists() and marker.is_file()):
        return False
    return marker.read_text(encoding="utf-8") == _listed(environment)


def _listed(environment: Environment) -> str:
    """What a marker holds."""
    return "".join(each + "\n" for each in environment.requirements)


def _answers(place: Path, environment: Environment) -> bool:
    """Whether an environment without marker is whole all the same, as when it was made by hand."""
    if (place / MARKER).exists() or not interpreter(place).exists():
        return False
    return subprocess.run([str(interpreter(place)), "-c", environment.probe], capture_output=True).returncode == 0


def _make(place: Path, environment: Environment) -> None:
    """Make the environment from nothing, in place: environments cannot be moved."""
    python = None
    for version in environment.pythons:
        python = python or find_python(version)
    if python is None:
        wanted = ", ".join(f"{major}.{minor}" for major, minor in environment.pythons)
        raise Unavailable(f"{environment.name} needs Python {wanted}; none of these is installed")
    print(f"tests: making {place} ({', '.join(environment.requirements)})", file=sys.stderr, flush=True)
    if place.exists():
        shutil.rmtree(place)
    without = [] if environment.requirements else ["--without-pip"]
    subprocess.run([python, "-m", "venv", *without, str(place)], check=True)
    if environment.requirements:
        _install(place, environment.requirements)
    subprocess.run([str(interpreter(place)), "-c", environment.probe], stdout=subprocess.DEVNULL, check=True)


def _install(place: Path, requirements: Tuple[str, ...]) -> None:
    """Install packages from the package index."""
    pip = [str(interpreter(place)), "-m", "pip", "install", "-qq", "--disable-pip-version-check", "--no-input"]
    # An old pip cannot read the metadata of some new packages.
    subprocess.run([*pip, "--upgrade", "pip"], check=True)
    subprocess.run([*pip, *requirements], check=True)


def find_python(version: Version) -> Optional[str]:
    """A Python of that version: this one, one on PATH, one of pyenv's; ``None`` if there is none."""
    if version == HERE:
        return sys.executable
    name = f"python{version[0]}.{version[1]}"
    pyenv = os.environ.get("PYENV_ROOT") or os.path.expanduser("~/.pyenv")
    candidates: List[Optional[str]] = [shutil.which(name)]
    candidates += sorted(glob.glob(f"{glob.escape(pyenv)}/versions/{version[0]}.{version[1]}.*/bin/{name}"))
    if os.name == "nt":
        candidates.append(os.path.expandvars(rf"%LOCALAPPDATA%\Programs\Python\Python{version[0]}{version[1]}\python.exe"))
    for candidate in candidates:
        found = candidate and _itself(candidate, version)
        if found:
            return found
    return None


def _itself(candidate: str, version: Version) -> Optional[str]:
    """The real path of an interpreter if it runs and is of that version (pyenv's shims are there, and fail)."""
    ask = "import sys, venv, sqlite3; print(sys.executable if sys.version_info[:2] == %r else '')" % (version,)
    try:
        done = subprocess.run([candidate, "-c", ask], capture_output=True, text=True, timeout=60)
    except OSError:
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock file; waits for another process that holds it."""
    with open(path, "a+b") as file:
        if sys.platform == "win32":
            import msvcrt

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)
            try:
                yield
            finally:
                file.seek(0)
                msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)
        else:
            import fcntl

            # Closing the file lets go of the lock.
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
