"""Every file of examples/ is run: scripts with the bundle, units and jobs by the command lines that stand in them."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any, Dict, Iterator, List, Tuple

import pytest

from tests import environments
from tests.compat.peers import free_port
from tests.launch import PATIENCE, ROOT, Running, environment, run

EXAMPLES = ROOT / "examples"
#: Which test runs which file; a file that no test runs fails.
RUN = {
    "quickstart.py": "scripts", "sweep.py": "scripts", "artifacts.py": "scripts", "registry.py": "scripts",
    "move_from_mlflow.sh": "move", "backup.sh": "backup", "trackd.service": "unit", "nginx.conf": "proxies",
    "apache.conf": "proxies", "Containerfile": "container", "slurm_server.sh": "slurm", "slurm_offline.sh": "slurm",
}

on_posix = pytest.mark.skipif(os.name == "nt", reason="for systems with a shell")


@pytest.fixture(scope="module")
def pyz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle."""
    folder = tmp_path_factory.mktemp("pyz")
    assert run("bundle", cwd=folder).returncode == 0
    return folder / "trackd.pyz"


@pytest.fixture(scope="module")
def served(pyz: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server out of the bundle."""
    with Running(tmp_path_factory.mktemp("served"), python=(sys.executable, str(pyz)), env=bare()) as running:
        yield running


def bare(**extra: str) -> Dict[str, str]:
    """An environment without the checkout."""
    return {**{name: value for name, value in environment().items() if name != "PYTHONPATH"}, **extra}


def execute(words: List[str], cwd: Path, **extra: str) -> str:
    """The output of a command that must succeed."""
    done = subprocess.run(
        words, cwd=str(cwd), env=bare(**extra), capture_output=True, encoding="utf-8", timeout=2 * PATIENCE
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_every_example_is_run_by_a_test() -> None:
    """Here, or in the test file that names it."""
    tests = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    names = {path.name for path in EXAMPLES.iterdir() if path.name != "__pycache__"}
    assert not {name for name in names - set(RUN) if name not in tests} and not set(RUN) - names


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, said",
    [
        ("quickstart.py", "runs with a loss below 0.5: ['first']"),
        ("sweep.py", "best of 9: "),
        ("artifacts.py", "config: {'lr': 0.1, 'layers': [64, 64]}"),
        ("registry.py", "it holds: the weights"),
    ],
)
def test_scripts_work_against_a_server_out_of_the_bundle(
    pyz: Path, served: Running, tmp_path: Path, name: str, said: str
) -> None:
    shutil.copy(str(EXAMPLES / name), str(tmp_path / name))
    uri = f"http://127.0.0.1:{served.port}"
    output = execute([sys.executable, name], tmp_path, PYTHONPATH=str(pyz), MLFLOW_TRACKING_URI=uri)
    assert said in output


def runs(mlflow: ModuleType, uri: str, name: str = "Default") -> List[Any]:
    """The runs of an experiment at a server."""
    client = mlflow.Client(uri)
    return list(client.search_runs([client.get_experiment_by_name(name).experiment_id]))


TRAIN = """
import trackd.client as mlflow
with mlflow.start_run(run_name="trained"):
    mlflow.log_metric("m", 1, step=1)
    mlflow.log_text("kept", "a.txt")
"""


@on_posix
@pytest.mark.slow
def test_slurm_jobs_log_online_on_a_node_and_offline_into_a_spool(
    pyz: Path, mlflow: ModuleType, tmp_path: Path
) -> None:
    (tmp_path / "train.py").write_text(TRAIN, encoding="utf-8")
    shutil.copy(str(pyz), str(tmp_path / "trackd.pyz"))
    given = {
        "SLURM_SUBMIT_DIR": str(tmp_path), "SLURM_JOB_ID": "7", "TMPDIR": str(tmp_path),
        "PATH": str(Path(sys.executable).parent) + os.pathsep + os.environ["PATH"],
    }
    for name in ("slurm_server.sh", "slurm_offline.sh"):
        text = (EXAMPLES / name).read_text(encoding="utf-8")
        assert text.startswith("#!/bin/bash\n#SBATCH ") and re.search(r"^#SBATCH --time=\d\d:\d\d:\d\d$", text, re.M)
        execute(["bash", str(EXAMPLES / name)], tmp_path, **given)
    data = tmp_path / "tracking"
    with Running(
        data, "--artifacts-destination", "mlartifacts", python=(sys.executable, str(pyz)), env=bare()
    ) as server:
        uri = f"http://127.0.0.1:{server.port}"
        assert [each.info.run_name for each in runs(mlflow, uri)] == ["trained"]
        # The lines that the offline job has in its comment.
        execute([sys.executable, str(pyz), "sync", "tracking-spool", uri], tmp_path)
        found = runs(mlflow, uri)
        assert [each.info.status for each in found] == ["FINISHED", "FINISHED"]
        for each in found:
            assert [file.path for file in mlflow.Client(uri).list_artifacts(each.info.run_id)] == ["a.txt"]


@on_posix
@pytest.mark.slow
def test_backup_and_move_make_a_folder_that_holds_everything(
    pyz: Path, mlflow: ModuleType, tmp_path: Path
) -> None:
    tool = f"{sys.executable} {pyz}"
    source = tmp_path / "srv"
    source.mkdir()
    with Running(source) as server:
        uri = f"http://127.0.0.1:{server.port}"
        mlflow.set_tracking_uri(uri)
        with mlflow.start_run(run_name="kept"):
            mlflow.log_metric("m", 2, step=1)
            mlflow.log_text("kept", "a.txt")
        for _ in range(2):
            execute(["sh", str(EXAMPLES / "backup.sh"), str(source), str(tmp_path / "backup")], tmp_path, TRACKD=tool)
        words = ["sh", str(EXAMPLES / "move_from_mlflow.sh"), uri, "moved/mlruns", "moved/mlartifacts"]
        (tmp_path / "moved").mkdir()
        execute(words, tmp_path, TRACKD=tool)
    for place in ("backup", "moved"):
        with Running(tmp_path / place) as server:
            uri = f"http://127.0.0.1:{server.port}"
            (found,) = runs(mlflow, uri)
            assert (found.info.run_name, found.data.metrics) == ("kept", {"m": 2.0})
            path = mlflow.Client(uri).download_artifacts(found.info.run_id, "a.txt")
            assert Path(path).read_text(encoding="utf-8") == "kept"


def serves(words: List[str], folder: Path) -> None:
    """A server command with another port starts and answers."""
    with Running(folder, command=words[2:], python=words[:2], env=bare()) as server:
        assert server.ask("GET", "/health") == (200, "OK")


def test_the_systemd_unit_is_one_and_its_command_starts(pyz: Path, tmp_path: Path) -> None:
    sections: Dict[str, Dict[str, str]] = {}
    for line in (EXAMPLES / "trackd.service").read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            name = line.strip("[]")
            sections[name] = {}
        elif line and not line.startswith("#"):
            key, _, value = line.partition("=")
            sections[name][key] = value
    assert set(sections) == {"Unit", "Service", "Install"}
    words = shlex.split(sections["Service"]["ExecStart"])
    assert words[:2] == ["/usr/bin/python3", "/usr/local/lib/trackd.pyz"]
    serves([sys.executable, str(pyz), *(word.replace("5000", "0") for word in words[2:])], tmp_path)
    analyze = shutil.which("systemd-analyze")
    if analyze:
        text = (EXAMPLES / "trackd.service").read_text(encoding="utf-8").replace("User=trackd", "User=root")
        (tmp_path / "trackd.service").write_text(
            text.replace("/usr/bin/python3 /usr/local/lib/trackd.pyz", f"{sys.executable} {pyz}"), encoding="utf-8"
        )
        done = subprocess.run(
            [analyze, "verify", "--man=no", str(tmp_path / "trackd.service")], capture_output=True, encoding="utf-8"
        )
        said = done.stdout + done.stderr
        assert not [line for line in said.splitlines() if "trackd.service:" in line and "nknown" in line], said


def test_the_containerfile_is_one_and_its_commands_run(pyz: Path, tmp_path: Path) -> None:
    found: List[Tuple[str, str]] = []
    for line in (EXAMPLES / "Containerfile").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            word, _, rest = line.partition(" ")
            found.append((word, rest))
    words = [word for word, _ in found]
    assert words[0] == "FROM" and set(words) <= {
        "FROM", "RUN", "COPY", "USER", "WORKDIR", "VOLUME", "EXPOSE", "HEALTHCHECK", "ENTRYPOINT", "CMD"
    }
    entry, command = (json.loads(dict(found)[word]) for word in ("ENTRYPOINT", "CMD"))
    assert entry == ["python3", dict(found)["COPY"].split()[-1]]
    port = str(free_port())
    given = [word.replace("5000", port).replace("0.0.0.0", "127.0.0.1") for word in command]
    check = json.loads(dict(found)["HEALTHCHECK"].partition(" ")[2])
    with Running(tmp_path, command=given, python=(sys.executable, str(pyz)), env=bare()):
        execute([sys.executable, *(word.replace("5000", port) for word in check[1:])], tmp_path)


# What all of it is for: a host without package index, Python 3.9, one file.


@on_posix
@pytest.mark.slow
def test_a_bare_python_3_9_serves_logs_and_syncs_out_of_one_file(
    pyz: Path, mlflow: ModuleType, tmp_path: Path
) -> None:
    python = environments.find_python((3, 9))
    if python is None:
        pytest.skip("needs Python 3.9")
    shutil.copy(str(pyz), str(tmp_path / "trackd.pyz"))
    shutil.copy(str(EXAMPLES / "quickstart.py"), str(tmp_path / "quickstart.py"))
    alone = [python, "-I", "-S"]  # Neither site-packages nor the environment's paths.
    start = "import sys; sys.path.insert(0, 'trackd.pyz'); import runpy; runpy.run_path('quickstart.py')"
    (tmp_path / "online").mkdir()
    with Running(tmp_path / "online", python=(*alone, "../trackd.pyz"), env=bare()) as server:
        uri = f"http://127.0.0.1:{server.port}"
        said = execute([*alone, "-c", start], tmp_path, MLFLOW_TRACKING_URI=uri)
        assert "['first']" in said
        status, page = server.ask("GET", "/")
        assert status == 200 and "trackd" in page
        online = everything(mlflow, uri)
        server.stop()
    # The network is gone: the same script, with a spool to fall back on; its last lines search, which takes a server.
    text = (EXAMPLES / "quickstart.py").read_text(encoding="utf-8")
    (tmp_path / "quickstart.py").write_text(text[: text.index("best = ")], encoding="utf-8")
    execute([*alone, "-c", start], tmp_path, MLFLOW_TRACKING_URI=uri, TRACKD_SPOOL=str(tmp_path / "spool"))
    (tmp_path / "later").mkdir()
    with Running(tmp_path / "later", python=(*alone, "../trackd.pyz"), env=bare()) as server:
        uri = f"http://127.0.0.1:{server.port}"
        execute([*alone, "trackd.pyz", "sync", "spool", uri], tmp_path)
        assert everything(mlflow, uri) == online


def everything(mlflow: ModuleType, uri: str) -> Any:
    """What a server has of the quickstart, without ids and times."""
    found = []
    for each in runs(mlflow, uri, "quickstart"):
        history = mlflow.Client(uri).get_metric_history(each.info.run_id, "loss")
        found.append((
            each.info.run_name, each.info.status, each.info.user_id, each.data.params, each.data.tags,
            [(point.step, point.value) for point in history],
        ))
        assert time.time() * 1000 - each.info.start_time < 600_000
    return found
