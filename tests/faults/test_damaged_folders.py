"""A folder with damage is served as far as it is healthy, the damage is named, and nothing in it is touched."""

import os
import shutil
import socket
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, Set, Tuple

import pytest

from tests.faults.program import (
    Client,
    Program,
    create_experiment,
    create_run,
    get_history,
    get_run,
    obey_permissions,
    snapshot,
    trackd,
)

pytestmark = pytest.mark.skipif(os.name == "nt", reason="FIFOs, links and modes of a POSIX system")

Damage = Callable[[Path], None]


def _meta(change: Callable[[bytes], bytes]) -> Damage:
    """Change the bytes of a run's meta.yaml."""
    return lambda run: _rewrite(run / "meta.yaml", change)


def _rewrite(path: Path, change: Callable[[bytes], bytes]) -> None:
    path.write_bytes(change(path.read_bytes()))


def _instead(name: str, make: Callable[[Path], object]) -> Damage:
    """Put something else in the place of a file."""

    def damage(run: Path) -> None:
        path = run / name
        path.unlink(missing_ok=True)
        make(path)

    return damage


def _sparse(path: Path) -> None:
    with open(path, "wb") as file:
        file.truncate(64 << 20)


def _socket(path: Path) -> None:
    # The path of a socket is short: bind it by its name in the folder.
    here = os.getcwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path.name)
    finally:
        os.chdir(here)


def _loop(path: Path) -> None:
    path.symlink_to(path.name)


#: Damage after which a run cannot be served.
HIDING: Dict[str, Damage] = {
    "cut": _meta(lambda data: data[: len(data) // 2]),
    "empty": _meta(lambda data: b""),
    "binary": _meta(lambda data: bytes(range(256))),
    "zeros": _meta(lambda data: b"\0" * len(data)),
    "not yaml": _meta(lambda data: b"<html>\n" + data),
    "a list": _meta(lambda data: b"- 1\n- 2\n"),
    "another id": _meta(lambda data: data.replace(b"run_id: ", b"run_id: f")),
    "a wrong status": _meta(lambda data: data.replace(b"status: 1", b"status: running")),
    "a wrong time": _meta(lambda data: data.replace(b"start_time: 1", b"start_time: x1")),
    "a wrong stage": _meta(lambda data: data.replace(b"stage: active", b"stage: on")),
    "latin-1": _meta(lambda data: data.replace(b"user_id: me", b"user_id: m\xe9")),
    "utf-16": _meta(lambda data: data.decode().encode("utf-16")),
    "huge": _instead("meta.yaml", _sparse),
    "missing": _instead("meta.yaml", lambda path: None),
    "a folder": _instead("meta.yaml", lambda path: path.mkdir()),
    "a link": _instead("meta.yaml", lambda path: path.symlink_to("/etc/hostname")),
    "a loop": _instead("meta.yaml", _loop),
    "a pipe": _instead("meta.yaml", lambda path: os.mkfifo(path)),
    "a socket": _instead("meta.yaml", _socket),
    "unreadable": lambda run: (run / "meta.yaml").chmod(0),
    "a closed folder": lambda run: run.chmod(0),
}

#: File of a run -> damage after which all but this file is served.
PARTIAL: Dict[str, Tuple[str, Damage]] = {
    "binary param": ("params/p", _instead("params/p", lambda path: path.write_bytes(b"\xff\xfe\0"))),
    "huge param": ("params/p", _instead("params/p", _sparse)),
    "unreadable param": ("params/p", lambda run: (run / "params/p").chmod(0)),
    "piped param": ("params/p", _instead("params/p", lambda path: os.mkfifo(path))),
    "linked tag": ("tags/t", _instead("tags/t", lambda path: path.symlink_to("/etc/hostname"))),
    "looped tag": ("tags/t", _instead("tags/t", _loop)),
    "latin-1 tag": ("tags/t", _instead("tags/t", lambda path: path.write_bytes("é".encode("latin-1")))),
    "socket for a tag": ("tags/t", _instead("tags/t", _socket)),
    "empty metric": ("metrics/m", _instead("metrics/m", lambda path: path.write_bytes(b""))),
    "binary metric": ("metrics/m", _instead("metrics/m", lambda path: path.write_bytes(bytes(range(256))))),
    "zeros for a metric": ("metrics/m", _instead("metrics/m", lambda path: path.write_bytes(b"\0" * 4096))),
    "unreadable metric": ("metrics/m", lambda run: (run / "metrics/m").chmod(0)),
    "linked metric": ("metrics/m", _instead("metrics/m", lambda path: path.symlink_to("../params/p"))),
    "piped metric": ("metrics/m", _instead("metrics/m", lambda path: os.mkfifo(path))),
}


def _fill(client: Client, run_id: str) -> None:
    """A few of everything."""
    client.ok("runs/log-batch", {
        "run_id": run_id,
        "metrics": [{"key": k, "value": i, "timestamp": i, "step": i} for i in range(3) for k in ("m", "n", "deep/er")],
        "params": [{"key": key, "value": "1"} for key in ("p", "q", "deep/er")],
        "tags": [{"key": key, "value": "1"} for key in ("t", "u", "deep/er")],
    })


def _whole(client: Client, run_id: str) -> Tuple[Dict[str, Any], List[Any]]:
    return get_run(client, run_id), [get_history(client, run_id, key) for key in ("m", "n", "deep/er")]


class Folder:
    """A root with healthy runs and one run for each kind of damage. ``named``: what must be named by log and check."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.named: Set[Path] = set()
        with Program(root) as program, program.client() as client:
            self.experiment = create_experiment(client, "with damage")
            self.broken_experiment = create_experiment(client, "broken")
            self.deleted = create_experiment(client, "deleted")
            self.healthy = [create_run(client, each) for each in ("0", "0", self.experiment, self.deleted)]
            self.hidden = {name: create_run(client, self.experiment) for name in HIDING}
            self.partial = {name: create_run(client, self.experiment) for name in PARTIAL}
            self.twin = create_run(client, self.experiment)
            for run_id in [*self.healthy, *self.hidden.values(), *self.partial.values(), self.twin]:
                _fill(client, run_id)
            self.lost = create_run(client, self.broken_experiment)
            client.ok("experiments/delete", {"experiment_id": self.deleted})
            self.answers = {run_id: _whole(client, run_id) for run_id in [*self.healthy, *self.partial.values()]}
        for path in root.glob(".trackd*"):
            path.unlink()
        self._damage_runs()
        self._damage_the_rest()

    def _damage_runs(self) -> None:
        place = self.root / self.experiment
        for name, damage in HIDING.items():
            damage(place / self.hidden[name])
            self.named.add(place / self.hidden[name])
        for name, (file, damage) in PARTIAL.items():
            damage(place / self.partial[name])
            self.named.add(place / self.partial[name] / file)
        shutil.copytree(place / self.twin, self.root / "0" / self.twin)
        _rewrite(
            self.root / "0" / self.twin / "meta.yaml",
            lambda data: data.replace(f"experiment_id: '{self.experiment}'".encode(), b"experiment_id: '0'"),
        )

    def _damage_the_rest(self) -> None:
        _rewrite(self.root / self.broken_experiment / "meta.yaml", lambda data: data[:20])
        copy = self.root / "7"
        shutil.copytree(self.root / self.experiment / self.healthy[2], copy / ("c" * 32))
        (copy / "meta.yaml").write_bytes(b"experiment_id: '8'\nname: x\n")
        for name, make in (("a loop", _loop), ("not an id", Path.mkdir)):
            make(self.root / name)
        (self.root / self.experiment / "no run at all!").mkdir()
        (self.root / "9").mkdir()
        shutil.copytree(self.root / ".trash" / self.deleted, self.root / ".trash" / "0")
        self.named |= {
            self.root / self.broken_experiment / "meta.yaml", copy / "meta.yaml", self.root / "not an id",
            self.root / self.experiment / "no run at all!", self.root / "9" / "meta.yaml", self.root / ".trash" / "0",
        }
        # Stray files are nobody's business.
        for stray in (".DS_Store", "notes.txt", "0/notes.txt", f"0/{self.healthy[0]}/notes.txt", "10", ".trash/11"):
            (self.root / stray).write_bytes(b"\0\1")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    if sys.platform != "linux" and os.geteuid() == 0:
        pytest.skip("root reads what is unreadable here")
    return Folder(tmp_path_factory.mktemp("damage") / "mlruns")


@pytest.fixture(scope="module")
def before(folder: Folder) -> Dict[str, object]:
    """Every byte before a server came."""
    return snapshot(folder.root)


def test_healthy_runs_are_served_complete_and_damage_is_named_and_left_alone(
    folder: Folder, before: Dict[str, object]
) -> None:
    with Program(folder.root, before=obey_permissions) as program, program.client() as client:
        for run_id in folder.healthy:
            assert _whole(client, run_id) == folder.answers[run_id]
        for run_id in [*folder.hidden.values(), "c" * 32]:
            assert client.get("runs/get", {"run_id": run_id}).status == 404
        for name, run_id in folder.partial.items():
            _assert_all_but(client, run_id, PARTIAL[name][0], folder.answers[run_id])
        search = {"experiment_ids": ["0", folder.experiment, folder.deleted], "run_view_type": "ALL"}
        found = [run["info"]["run_id"] for run in client.ok("runs/search", search)["runs"]]
        assert sorted(found) == sorted([*folder.healthy, *folder.partial.values(), folder.twin])
        assert client.get("experiments/get", {"experiment_id": folder.broken_experiment}).status == 404
        # Writing to what is healthy works beside the damage, also in a run that has some.
        new = create_run(client, folder.experiment)
        _fill(client, new)
        assert _whole(client, new)[1] == folder.answers[folder.healthy[0]][1]
        end = time.monotonic() + 10
        while _unnamed(folder, program.output) and time.monotonic() < end:
            time.sleep(0.1)
        assert _unnamed(folder, program.output) == []
        assert "Traceback" not in program.output
    # A start that finds an index names it all again.
    with Program(folder.root, before=obey_permissions) as program, program.client() as client:
        for run_id in [*folder.healthy, new]:
            assert get_run(client, run_id)["params"] == {"p": "1", "q": "1", "deep/er": "1"}
        assert _unnamed(folder, program.output) == []
    shutil.rmtree(folder.root / folder.experiment / new)
    assert snapshot(folder.root) == before


def _unnamed(folder: Folder, text: str) -> List[Path]:
    """What should be named and is not. Of two runs with one id either may be the one that is served."""
    twins = [folder.root / each / folder.twin for each in ("0", folder.experiment)]
    missing = [path for path in sorted(folder.named) if str(path) not in text]
    return missing if any(f"{path}: is a second run" in text for path in twins) else [*missing, twins[0]]


def _assert_all_but(client: Client, run_id: str, file: str, whole: Tuple[Dict[str, Any], List[Any]]) -> None:
    """All of the run is served but what is in ``file``."""
    kind, key = file.split("/")
    expected = dict(whole[0])
    expected[kind] = {name: value for name, value in expected[kind].items() if name != key}
    found, histories = _whole(client, run_id)
    assert found == expected
    assert histories == ([[], *whole[1][1:]] if file == "metrics/m" else whole[1])


def test_check_names_all_damage_and_fails(folder: Folder, before: Dict[str, object]) -> None:
    checked = trackd("check", str(folder.root), before=obey_permissions)
    assert checked.returncode == 1
    assert _unnamed(folder, checked.stdout) == []
    assert "Traceback" not in checked.stdout
    assert snapshot(folder.root) == before


def test_damage_that_is_repaired_while_the_server_runs_shows_up(tmp_path: Path) -> None:
    root = tmp_path / "mlruns"
    with Program(root) as program, program.client() as client:
        run_id = create_run(client)
        _fill(client, run_id)
        whole = _whole(client, run_id)
    meta = root / "0" / run_id / "meta.yaml"
    good = meta.read_bytes()
    meta.write_bytes(good[:50])
    with Program(root) as program, program.client() as client:
        assert client.get("runs/get", {"run_id": run_id}).status == 404
        meta.write_bytes(good)
        end = time.monotonic() + 10
        while client.get("runs/get", {"run_id": run_id}).status != 200 and time.monotonic() < end:
            time.sleep(0.05)
        assert _whole(client, run_id) == whole


@pytest.mark.parametrize("what", ["a file", "a loop"])
def test_a_root_that_is_no_folder_is_refused_in_one_sentence(tmp_path: Path, what: str) -> None:
    root = tmp_path / "mlruns"
    if what == "a file":
        root.write_bytes(b"x")
    else:
        _loop(root)
    for command in ("server", "check"):
        arguments = ["--port", "0", "--backend-store-uri", str(root)] if command == "server" else [str(root)]
        done = trackd(command, *arguments)
        assert done.returncode == 1
        assert "mlruns" in done.stdout and "Traceback" not in done.stdout and len(done.stdout) < 500


@pytest.mark.parametrize("damage", ["empty", "rubbish", "cut", "a folder"])
def test_a_damaged_index_is_made_anew(tmp_path: Path, damage: str) -> None:
    root = tmp_path / "mlruns"
    with Program(root) as program, program.client() as client:
        run_id = create_run(client)
        _fill(client, run_id)
        whole = _whole(client, run_id)
    index = root / ".trackd-index.db"
    size = index.stat().st_size
    if damage == "empty":
        index.write_bytes(b"")
    elif damage == "rubbish":
        index.write_bytes(os.urandom(size))
    elif damage == "cut":
        os.truncate(index, size // 2)
    else:
        index.unlink()
        index.mkdir()
    if damage == "a folder":
        done = trackd("server", "--port", "0", "--backend-store-uri", str(root))
        assert done.returncode == 1 and ".trackd-index.db" in done.stdout and "Traceback" not in done.stdout
        return
    with Program(root) as program, program.client() as client:
        assert _whole(client, run_id) == whole
    assert trackd("check", str(root)).returncode == 0
