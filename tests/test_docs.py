"""The docs say what is true: generated pages are up to date, names in prose exist, the README's commands run."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import List, Set

import pytest

from tests import docs, environments
from tests.launch import PATIENCE, ROOT, Running, environment, python_of
from trackd import client, config
from trackd.app import routes
from trackd.cli import COMMANDS
from trackd.commands import copy, gc
from trackd.config import SETTINGS

README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FLAGS: Set[str] = {flag for row in SETTINGS for flag in row.flags + row.off}
#: Of commands that have flags of their own.
COMMAND_FLAGS: Set[str] = {flag.name for module in (copy, gc) for flag in module.FLAGS}
VARIABLES: Set[str] = {row.environment for row in SETTINGS if row.environment} | {row.name for row in config.VARIABLES}
#: Flags and variables that are not settings of the server; each must stand in the code (see below).
OTHER_WORDS = {
    "--help": "trackd/cli.py", "--version": "trackd/cli.py", "--core": "tests/__main__.py",
    # Of gunicorn.
    "--timeout": "trackd/arguments.py",
    "--every": "trackd/commands/sync.py",
    # Of mlflow gc.
    **dict.fromkeys(("--jobs", "--job-ids", "--workspace", "--all-workspaces"), "trackd/commands/gc.py"),
}
TEST_VARIABLES = {"TRACKD_TEST_CACHE", "TRACKD_TEST_TRANSFER"}
#: Read by MLflow's client, for what a server must be able to do.
MLFLOWS_OWN = {"MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD", "MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD"}
#: Read by the client, not by the server.
CLIENT_VARIABLES = set(client.VARIABLES)


def blocks(kind: str) -> List[str]:
    """The README's code blocks of a kind."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    return [text for each, text in found if each == kind]


@pytest.mark.parametrize("name", sorted(docs.PAGES))
def test_generated_pages_are_up_to_date(name: str) -> None:
    assert (docs.DOCS / name).read_text(encoding="utf-8") == docs.PAGES[name](), "run: python3 -m tests.docs"


def test_every_setting_is_in_the_docs() -> None:
    page = (docs.DOCS / "settings.md").read_text(encoding="utf-8")
    assert [word for word in FLAGS | VARIABLES if f"`{word}" not in page] == []


def test_every_command_is_in_the_docs() -> None:
    page = (docs.DOCS / "commands.md").read_text(encoding="utf-8")
    assert [command.name for command in COMMANDS if f"`trackd {command.name}" not in page] == []


def test_every_route_is_in_the_docs_with_a_description() -> None:
    page = (docs.DOCS / "routes.md").read_text(encoding="utf-8")
    assert [route for route in routes() if f"| {route.method} | `{route.path}` | " not in page] == []
    assert [route for route in routes() if len(route.description) < 10] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_page_names_a_flag_variable_command_or_route_that_does_not_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    flags = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]+", text))
    unknown = {flag for flag in flags - FLAGS - COMMAND_FLAGS if flag not in in_code(OTHER_WORDS)}
    named = set(re.findall(r"\b(?:TRACKD|MLFLOW)_[A-Z0-9_]+\b", text))
    unknown |= named - VARIABLES - TEST_VARIABLES - CLIENT_VARIABLES - MLFLOWS_OWN
    unknown |= set(re.findall(r"\btrackd ([a-z]+)`", text)) - {command.name for command in COMMANDS}
    paths = {path.rstrip(".:") for path in re.findall(r"/api/[0-9.]+/[\w/.{}:-]+", text)}
    unknown |= {path for path in paths if not any(leads(r.path, path) for r in routes())}
    unknown |= {name for name in re.findall(r"`(?:trackd|tests)/[\w/.]+", text) if not (ROOT / name[1:]).exists()}
    assert not unknown


def leads(route: str, path: str) -> bool:
    """Whether a path on a page is a route as declared, or one with something in the place of its last argument."""
    return path == route or (route.endswith(":path}") and path.startswith(route.partition("{")[0]))


def in_code(words: "dict[str, str]") -> Set[str]:
    """Those of the words that really stand in the file that is said to know them."""
    return {word for word, path in words.items() if f'"{word}"' in (ROOT / path).read_text(encoding="utf-8")}


def test_every_variable_that_the_code_reads_is_a_setting_or_listed_beside_them() -> None:
    found: Set[str] = set()
    for path in set((ROOT / "trackd").rglob("*.py")) - {ROOT / "trackd" / "client.py"}:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.update(re.findall(r"^_?(?:TRACKD|MLFLOW)_[A-Z0-9_]+$", node.value))
    assert found - CLIENT_VARIABLES == VARIABLES - CLIENT_VARIABLES


def test_every_variable_that_the_client_reads_is_in_its_page() -> None:
    page = (docs.DOCS / "client.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `([A-Z_]+)` \| (.+) \|$", page, re.MULTILINE))
    assert rows == client.VARIABLES


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_pages_that_exist(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_readme_fits_a_screen_or_two() -> None:
    assert len(README.splitlines()) <= 100
    assert max(map(len, README.splitlines())) <= 130


def test_the_readmes_two_commands_are_its_plain_blocks() -> None:
    commands = [block.strip() for block in blocks("") if not block.startswith("curl")]
    assert commands == ["python3 -m trackd server", "python3 -m tests"]


def test_the_first_command_of_the_readme_serves_from_a_bare_copy(tmp_path: Path) -> None:
    """Only the package is copied: no tests, no installed package, an interpreter without site-packages."""
    shutil.copytree(str(ROOT / "trackd"), str(tmp_path / "trackd"), ignore=shutil.ignore_patterns("__pycache__"))
    words = blocks("")[0].split()
    assert words[:3] == ["python3", "-m", "trackd"]
    env = environment(MLFLOW_PORT="0")
    del env["PYTHONPATH"]
    python = (sys.executable, "-S", *words[1:3])
    with Running(tmp_path, python=python, command=words[3:], env=env) as server:
        assert server.ask("GET", "/health") == (200, "OK")
        assert (tmp_path / "mlruns").is_dir()


@pytest.mark.skipif(os.name == "nt" or not shutil.which("curl"), reason="needs a shell and curl")
def test_the_curl_example_of_the_readme_finds_a_run(tmp_path: Path) -> None:
    with Running(tmp_path) as server:
        status, run = server.ask("POST", "/api/2.0/mlflow/runs/create", '{"experiment_id": "0"}')
        assert status == 200
        param = {"run_id": json.loads(run)["run"]["info"]["run_id"], "key": "lr", "value": "0.1"}
        assert server.ask("POST", "/api/2.0/mlflow/runs/log-parameter", json.dumps(param))[0] == 200
        (example,) = [block for block in blocks("") if block.startswith("curl")]
        done = subprocess.run(
            ["sh", "-c", example.replace("127.0.0.1:5000", f"127.0.0.1:{server.port}")],
            capture_output=True, encoding="utf-8", timeout=PATIENCE, check=True,
        )
        assert [found["info"]["run_id"] for found in json.loads(done.stdout)["runs"]] == [param["run_id"]]


@pytest.mark.compat
@pytest.mark.parametrize("mlflow", [environments.MLFLOW_3, environments.MLFLOW_2], ids=lambda each: each.name)
def test_the_python_example_of_the_readme_works(tmp_path: Path, mlflow: environments.Environment) -> None:
    (example,) = blocks("python")
    with Running(tmp_path) as server:
        done = subprocess.run(
            [python_of(mlflow), "-c", example.replace("127.0.0.1:5000", f"127.0.0.1:{server.port}")],
            env=environment(MLFLOW_DISABLE_TELEMETRY="true"), cwd=str(tmp_path), capture_output=True,
            encoding="utf-8", timeout=10 * PATIENCE,
        )
        assert done.returncode == 0, done.stderr
        assert re.search(r"\b0\.25\b", done.stdout) and "FINISHED" in done.stdout


def test_the_second_command_of_the_readme_is_what_ci_runs() -> None:
    assert f"exec {blocks('')[-1].strip()}" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert os.name == "nt" or os.access(str(ROOT / ".ci" / "run"), os.X_OK)
    assert (ROOT / "tests" / "__main__.py").is_file()
