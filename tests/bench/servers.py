"""The servers that are compared: how each is started, and how its store is filled before it starts."""

import base64
import os
import subprocess
import sys
from pathlib import Path
from typing import Dict, List, Optional, Sequence

from tests import environments
from tests.bench import database, folder
from tests.bench.data import Shape

REPOSITORY = Path(__file__).resolve().parents[2]


class Missing(Exception):
    """This server cannot be had here; the message says why."""


class Server:
    """One column of the table. ``name`` selects it on the command line, ``label`` heads its column."""

    name = ""
    label = ""
    #: Stages of the run that it takes part in, see ``runner``.
    stages: Sequence[str] = ("start", "write", "read")
    #: How many starts are timed.
    starts = 5
    #: Whether the ratio compares trackd with it.
    is_peer = True
    #: The variable that names a temporary folder which the server makes and leaves behind.
    scratch = ""
    #: What ``--sync`` may be, beyond the server's default.
    sync_modes: Sequence[str] = ()

    def prepare(self) -> None:
        """Make what the server needs (an environment may be installed). Raises ``Missing``."""

    def command(self, port: int, place: Path, sync: str = "") -> List[str]:
        """The command that serves the store at ``place`` on 127.0.0.1."""
        raise NotImplementedError

    def environment(self) -> Dict[str, str]:
        """What is added to the environment."""
        return {}

    def seed(self, place: Path, shapes: Sequence[Shape]) -> None:
        """Put experiments into the store at ``place``, whose server is stopped."""
        raise NotImplementedError

    def page_token(self, token: str) -> str:
        """A page token as it must be sent back: as it came."""
        return token


class Trackd(Server):
    """This checkout, run by this Python, on a folder."""

    name = "trackd"
    label = "trackd"
    stages: Sequence[str] = (
        "start", "write", "write-full", "read", "folder", "models", "registry", "artifacts", "pages", "long",
    )
    is_peer = False
    sync_modes = ("1s", "full")

    def prepare(self) -> None:
        """Ask for its help, which also compiles the modules, as any first use does."""
        command = [sys.executable, "-m", "trackd", "server", "--help"]
        done = subprocess.run(command, cwd=str(REPOSITORY), capture_output=True, text=True, timeout=60)
        if done.returncode != 0:
            raise Missing(f"trackd does not run: {done.stderr.strip()[-300:]}")

    def command(self, port: int, place: Path, sync: str = "1s") -> List[str]:
        """``python3 -m trackd server`` on ``place/mlruns``."""
        return [
            sys.executable, "-m", "trackd", "server", "--port", str(port), "--sync", sync or "1s",
            "--backend-store-uri", str(place / "mlruns"), "--artifacts-destination", str(place / "mlartifacts"),
        ]

    def environment(self) -> Dict[str, str]:
        """Found in the checkout, whatever the working folder."""
        return {"PYTHONPATH": str(REPOSITORY)}

    def seed(self, place: Path, shapes: Sequence[Shape]) -> None:
        """Write MLflow's folder layout, as an existing folder is."""
        root = str(place / "mlruns")
        folder.ensure_default(root)
        for shape in shapes:
            folder.write_shape(root, shape)


class TrackdSqlite(Trackd):
    """The same on a database, which it makes itself; ``--sync`` is ``full`` there unless a row asks for something else.

    (The rows with ``--sync 1s`` in their title are measured with ``full`` here, as by default.)
    """

    name = "trackd-sqlite"
    label = "trackd, sqlite"
    stages: Sequence[str] = ("start", "write", "read", "registry")

    def command(self, port: int, place: Path, sync: str = "") -> List[str]:
        """``python3 -m trackd server`` on ``place/trackd.db``."""
        return [
            sys.executable, "-m", "trackd", "server", "--port", str(port),
            "--backend-store-uri", f"sqlite:///{place / 'trackd.db'}",
            "--artifacts-destination", str(place / "mlartifacts"),
        ]

    def seed(self, place: Path, shapes: Sequence[Shape]) -> None:
        """Write into its database, as MLflow would: without statistics for SQLite."""
        database.write_shapes(str(place / "trackd.db"), shapes, analyze=False)


class Mlflow(Server):
    """``mlflow server`` on SQLite, which is its default; on a folder it refuses to start unless told twice."""

    stages = ("start", "write", "read", "models", "registry", "artifacts")
    starts = 1
    scratch = "_MLFLOW_HUEY_STORAGE_PATH"

    def __init__(self, workers: Optional[int]) -> None:
        self.workers = workers
        self.name = f"mlflow-{workers}" if workers else "mlflow"
        self.label = f"mlflow, {workers} worker" if workers else "mlflow, default"

    def prepare(self) -> None:
        """Find or make its environment."""
        self.script = environment_script(environments.MLFLOW_3, "mlflow")

    def command(self, port: int, place: Path, sync: str = "") -> List[str]:
        """With the default number of workers unless one was given."""
        workers = ["--workers", str(self.workers)] if self.workers else []
        return [
            str(self.script), "server", "--host", "127.0.0.1", "--port", str(port), *workers,
            "--backend-store-uri", f"sqlite:///{place / 'mlflow.db'}",
            "--artifacts-destination", str(place / "mlartifacts"),
        ]

    def environment(self) -> Dict[str, str]:
        """No telemetry: it would leave the machine."""
        return {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}

    def seed(self, place: Path, shapes: Sequence[Shape]) -> None:
        """Write into its database."""
        database.write_shapes(str(place / "mlflow.db"), shapes)


class Fasttrackml(Server):
    """``fml server`` on SQLite, its default."""

    name = "fasttrackml"
    label = "fasttrackml"

    def prepare(self) -> None:
        """Find or make its environment."""
        self.script = environment_script(environments.FASTTRACKML, "fml")

    def command(self, port: int, place: Path, sync: str = "") -> List[str]:
        """The database is where trackd has its folder."""
        return [
            str(self.script), "server", "--listen-address", f"127.0.0.1:{port}",
            "--database-uri", f"sqlite://{place / 'fasttrackml.db'}",
            "--default-artifact-root", str(place / "artifacts"),
        ]

    def seed(self, place: Path, shapes: Sequence[Shape]) -> None:
        """Write into its database."""
        database.write_shapes(str(place / "fasttrackml.db"), shapes)

    def page_token(self, token: str) -> str:
        """Whole again: its tokens lack up to two bytes at the end, and it refuses those that do."""
        text = base64.b64decode(token + "=" * (-len(token) % 4)).decode("ascii")
        return base64.b64encode((text.rstrip("}") + "}").encode("ascii")).decode("ascii")


class Floor(Server):
    """trackd's web server with canned answers: what is left when there is no store and no API."""

    name = "floor"
    label = "floor (no store)"
    is_peer = False

    def prepare(self) -> None:
        """It is part of trackd."""
        if not (REPOSITORY / "trackd" / "web" / "server.py").exists():
            raise Missing("trackd.web.server is not there")

    def command(self, port: int, place: Path, sync: str = "") -> List[str]:
        """``python3 -m tests.bench.floor``."""
        return [sys.executable, "-m", "tests.bench.floor", str(port)]

    def environment(self) -> Dict[str, str]:
        """Found in the checkout, whatever the working folder."""
        return {"PYTHONPATH": str(REPOSITORY)}

    def seed(self, place: Path, shapes: Sequence[Shape]) -> None:
        """It keeps nothing."""


#: In the order of the columns.
SERVERS: Sequence[Server] = (Trackd(), TrackdSqlite(), Mlflow(1), Mlflow(None), Fasttrackml(), Floor())


def environment_script(environment: environments.Environment, name: str) -> Path:
    """A command from a test environment, which is installed if need be; ``Missing`` where that fails."""
    try:
        script = environments.script(environment, name)
    except (environments.Unavailable, subprocess.CalledProcessError, OSError) as error:
        raise Missing(str(error)) from error
    if not os.access(script, os.X_OK):
        raise Missing(f"{script} is not there")
    return script
