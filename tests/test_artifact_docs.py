"""docs/artifacts.md: its servers start as written, and its examples work against them."""

import json
import os
import re
import shutil
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Tuple

import pytest

from tests import environments
from tests.compat.peers import free_port
from tests.launch import PATIENCE, ROOT, Running, environment, python_of

PAGE = (ROOT / "docs" / "artifacts.md").read_text(encoding="utf-8")


class Section(NamedTuple):
    """A part of the page: commands that start servers, and what is then done with them (kind, text)."""

    title: str
    servers: List[str]
    examples: List[Tuple[str, str]]


def sections() -> Iterator[Section]:
    """The parts of the page that start a server."""
    for part in re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]:
        blocks = re.findall(r"^```(\w*)\n(.*?)^```$", part, re.MULTILINE | re.DOTALL)
        servers = [line for kind, text in blocks if kind == "" for line in text.splitlines()]
        if servers:
            yield Section(part.splitlines()[0], servers, [block for block in blocks if block[0]])


SECTIONS = list(sections())


class Place:
    """The servers of a section, running in one folder; ``text`` puts their ports in place of those of the page."""

    def __init__(self, folder: Path, section: Section, stack: ExitStack) -> None:
        self.folder = folder
        self.ports: Dict[str, str] = {}
        for command in section.servers:
            words = self.text(command).split()
            assert words[:4] == ["python3", "-m", "trackd", "server"]
            port = re.search(r"--port (\d+)", command)
            own = str(free_port())
            self.ports[port.group(1) if port else "5000"] = own
            words = self.text(command).split()[4:]
            env = environment(MLFLOW_PORT=own)
            stack.enter_context(Running(folder, *words, command=["server"], env=env))

    def text(self, text: str) -> str:
        """The text of the page for these servers."""
        for port, own in self.ports.items():
            text = re.sub(rf"\b{port}\b", own, text)
        return text

    def run(self, command: List[str], **variables: str) -> str:
        """What a command prints; it must succeed."""
        done = subprocess.run(
            command, cwd=str(self.folder), env=environment(MLFLOW_DISABLE_TELEMETRY="true", **variables),
            capture_output=True, encoding="utf-8", timeout=5 * PATIENCE,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout


def test_the_page_has_every_mode() -> None:
    titles = [section.title for section in SECTIONS]
    assert len(titles) == 5 and sum(len(section.servers) for section in SECTIONS) == 6


@pytest.mark.skipif(os.name == "nt" or not shutil.which("curl"), reason="needs a shell and curl")
@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.title)
def test_the_servers_of_the_page_start_and_its_curl_lines_work(section: Section, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("x" * 250)
    with ExitStack() as stack:
        place = Place(tmp_path, section, stack)
        said = [
            place.run(["sh", "-c", "curl -sS --fail-with-body " + line[len("curl ") :]])
            for kind, text in section.examples if kind == "sh"
            for line in place.text(text).splitlines()
        ]
    if section.title == "Through the server":
        assert said[0] == "" and said[2] == "x" * 100 and said[3] == "{}"
        assert json.loads(said[1]) == {"files": [{"path": "README.md", "is_dir": False, "file_size": 250}]}
    elif section.title.startswith("Large"):
        assert json.loads(said[0]) == {"uploads": []}


@pytest.mark.compat
@pytest.mark.parametrize(
    "section", [each for each in SECTIONS if "python" in dict(each.examples)], ids=lambda section: section.title
)
def test_the_python_examples_of_the_page_work(section: Section, tmp_path: Path) -> None:
    expected = {
        "Through the server": "some notes", "Large files, in parts": "file_size=3500000",
        "Written by clients themselves": "/shared/0/", "Through a server of their own": "on the big disk",
    }  # fmt: skip
    with ExitStack() as stack:
        place = Place(tmp_path, section, stack)
        (example,) = [text for kind, text in section.examples if kind == "python"]
        said = place.run([python_of(environments.MLFLOW_3), "-c", place.text(example)])
        assert expected[section.title] in said
    written = [path for path in tmp_path.rglob("*") if path.name in ("a.txt", "today.txt", "weights.bin")]
    assert any({"mlartifacts", "shared", "big-disk"} & set(path.parts) for path in written)
