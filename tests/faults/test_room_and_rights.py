"""No room is a 507, no right to write is a 403; either keeps nothing of the request and passes when the reason does."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, Iterator

import pytest

from tests.faults.program import (
    Failed,
    Program,
    create_run,
    everything,
    get_history,
    get_run,
    obey_permissions,
    snapshot,
    trackd,
    uri_of,
)

needs_permissions = pytest.mark.skipif(
    os.name == "nt" or (sys.platform != "linux" and os.geteuid() == 0), reason="root ignores file permissions here"
)

SIZE = 32 << 20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of ``SIZE`` bytes."""
    place = tmp_path / "small"
    place.mkdir()
    if sys.platform != "linux":
        pytest.skip("a small disk is made with Linux's tmpfs")
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "trackd-test", str(place)], capture_output=True, text=True
    )
    if done.returncode != 0:
        # tests/faults/test_crash_points.py tries the same without a disk of its own.
        pytest.skip(f"the right to mount is needed for a small disk: {done.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def _fill(place: Path, room: int) -> Path:
    """Fill the disk of ``place`` up to ``room`` bytes."""
    filler = place / "filler"
    free = os.statvfs(place).f_bavail * os.statvfs(place).f_bsize
    with open(filler, "wb", buffering=0) as file:
        left = free - room
        while left > 0:
            try:
                left -= file.write(b"x" * min(left, 65536))
            except OSError:  # the server took some of it meanwhile
                break
    return filler


def _batch(run_id: str, mark: str) -> Dict[str, Any]:
    """About 700 KB in 1,000 files of every kind."""
    return {
        "run_id": run_id,
        "metrics": [{"key": f"{mark}/k{i}", "value": i, "timestamp": 1700000000000, "step": i} for i in range(800)],
        "params": [{"key": f"{mark}.p{i}", "value": "v" * 6000} for i in range(100)],
        "tags": [{"key": f"t{i}", "value": mark} for i in range(100)],
    }


@pytest.mark.slow
def test_a_full_disk_is_a_507_that_keeps_nothing_and_passes(small_disk: Path, tmp_path: Path) -> None:
    root = small_disk / "mlruns"
    with Program(root, place=tmp_path) as program, program.client() as client:
        run_id = create_run(client)
        client.ok("runs/log-batch", {"run_id": run_id, "tags": [{"key": f"t{i}", "value": "old"} for i in range(100)]})
        # From none at all, over room for the index but not for the files, to nearly enough.
        for room in (0, 1 << 12, 1 << 15, 1 << 17, 1 << 19, 1 << 20, 3 << 19, 2 << 20, 5 << 19):
            before = everything(client), snapshot(root)
            filler = _fill(small_disk, room)
            answer = client.post("runs/log-batch", _batch(run_id, f"room{room}"))
            assert (answer.status, answer.json()["error_code"]) == (507, "RESOURCE_EXHAUSTED"), answer
            assert (everything(client), snapshot(root)) == before, room
            # Small requests are refused, too, or kept; never half-kept.
            created = client.post("runs/create", {"experiment_id": "0"})
            assert created.status in (200, 507), created
            filler.unlink()
        client.ok("runs/log-batch", _batch(run_id, "with room"))
        found = everything(client)
    with Program(root, place=tmp_path) as program, program.client() as client:
        assert everything(client) == found
    checked = trackd("check", str(root))
    assert checked.returncode == 0, checked.stdout


@pytest.mark.slow
def test_a_full_disk_under_a_database_is_a_507_that_keeps_nothing_and_passes(small_disk: Path, tmp_path: Path) -> None:
    root = small_disk / "my.db"
    full = 0
    with Program(root, place=tmp_path) as program, program.client() as client:
        run_id = create_run(client)
        for room in (0, 1 << 12, 1 << 15, 1 << 17, 1 << 19):
            before = everything(client)
            filler = _fill(small_disk, room)
            answer = client.post("runs/log-batch", _batch(run_id, f"room{room}"))
            # (The log of the database may hold room of its own that an earlier write has left.)
            assert answer.status in (200, 507), answer
            full += answer.status == 507
            assert (everything(client) == before) == (answer.status == 507), room
            filler.unlink()
        client.ok("runs/log-batch", _batch(run_id, "with room"))
        found = everything(client)
    assert full >= 3
    with Program(root, place=tmp_path) as program, program.client() as client:
        assert everything(client) == found
    checked = trackd("check", uri_of(root))
    assert checked.returncode == 0, checked.stdout


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mlruns", "my.db"])
def test_a_kill_after_a_full_disk_keeps_what_was_acknowledged(small_disk: Path, tmp_path: Path, name: str) -> None:
    root = small_disk / name
    program = Program(root, place=tmp_path)
    points = []
    try:
        with program.client() as client:
            run_id = create_run(client)
            _fill(small_disk, 1 << 17)
            for step in range(20_000):
                body = {"run_id": run_id, "key": f"m{step % 50}", "value": step, "timestamp": step, "step": step}
                answer = client.post("runs/log-metric", body)
                if answer.status != 200:
                    assert answer.status == 507, answer
                    break
                points.append(step)
            else:
                pytest.fail("the disk never became full")
    finally:
        program.kill()
    (small_disk / "filler").unlink()
    with Program(root, place=tmp_path) as program, program.client() as client:
        found = [point[2] for key in range(50) for point in get_history(client, run_id, f"m{key}")]
    assert sorted(found) == points


def _forbid(folder: Path) -> None:
    """Take the right to write from a folder and all below, not from their parents."""
    for path in [folder, *folder.rglob("*")]:
        path.chmod(path.stat().st_mode & ~0o222)


def _allow(folder: Path) -> None:
    for path in [folder, *folder.rglob("*")]:
        path.chmod(path.stat().st_mode | 0o200)


@needs_permissions
@pytest.mark.parametrize("part", ["", "tags", "params", "metrics"])
def test_a_folder_without_write_permission_is_a_403_that_keeps_nothing_and_passes(tmp_path: Path, part: str) -> None:
    root = tmp_path / "mlruns"
    with Program(root, before=obey_permissions) as program, program.client() as client:
        run_id = create_run(client)
        other = create_run(client)
        first = {"metrics": [{"key": "m", "value": 1, "timestamp": 1}], "params": [{"key": "p", "value": "1"}]}
        client.ok("runs/log-batch", {"run_id": run_id, **first, "tags": [{"key": "t", "value": "1"}]})
        run = get_run(client, run_id)
        before = snapshot(root)
        _forbid(root / "0" / run_id / part)
        body = {
            "run_id": run_id,
            "metrics": [{"key": key, "value": 2, "timestamp": 2} for key in ("m", "n", "deep/er")],
            "params": [{"key": key, "value": "2"} for key in ("q", "deep/er")],
            "tags": [{"key": key, "value": "2"} for key in ("t", "u", "deep/er", "mlflow.runName")],
        }
        answer = client.post("runs/log-batch", body)
        assert (answer.status, answer.json()["error_code"]) == (403, "PERMISSION_DENIED")
        assert get_run(client, run_id) == run and get_history(client, run_id, "n") == []
        # Others are not affected.
        client.ok("runs/set-tag", {"run_id": other, "key": "works", "value": "yes"})
        _allow(root / "0" / run_id)
        client.ok("runs/delete-tag", {"run_id": other, "key": "works"})
        assert {name: what for name, what in snapshot(root).items() if run_id in name} == {
            name: what for name, what in before.items() if run_id in name
        }
        client.ok("runs/log-batch", body)
        assert get_run(client, run_id)["tags"]["t"] == "2"
    checked = trackd("check", str(root))
    assert checked.returncode == 0, checked.stdout


@needs_permissions
def test_deleting_an_experiment_into_a_trash_without_write_permission_keeps_it_as_it_was(tmp_path: Path) -> None:
    root = tmp_path / "mlruns"
    with Program(root, before=obey_permissions) as program, program.client() as client:
        experiment_id = str(client.ok("experiments/create", {"name": "kept"})["experiment_id"])
        create_run(client, experiment_id)
        before = everything(client), snapshot(root)
        (root / ".trash").chmod(0o555)
        answer = client.post("experiments/delete", {"experiment_id": experiment_id})
        assert answer.status == 403, answer
        (root / ".trash").chmod(0o755)
        assert (everything(client), snapshot(root)) == before
        client.ok("experiments/delete", {"experiment_id": experiment_id})


@needs_permissions
def test_a_root_without_write_permission_is_refused_with_a_hint_and_served_read_only(tmp_path: Path) -> None:
    root = tmp_path / "mlruns"
    with Program(root) as program, program.client() as client:
        run_id = create_run(client)
        found = everything(client)
    _forbid(root)
    try:
        with pytest.raises(Failed) as failed:
            Program(root, before=obey_permissions)
        assert "--read-only" in str(failed.value) and "Traceback" not in str(failed.value)
        with Program(root, "--read-only", before=obey_permissions) as program, program.client() as client:
            assert everything(client) == found
            assert client.post("runs/set-tag", {"run_id": run_id, "key": "a", "value": "b"}).status == 403
    finally:
        _allow(root)
