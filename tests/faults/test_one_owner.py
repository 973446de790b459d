"""One server per root; ``--read-only`` writes nothing into it; the index beside it can go at any time."""

import json
import os
import shutil
import socket
import time
from pathlib import Path
from typing import List

import pytest

from tests.faults.program import (
    Client,
    Failed,
    Program,
    create_experiment,
    create_run,
    everything,
    get_run,
    snapshot,
    trackd,
)


def _fill(client: Client) -> List[str]:
    """Experiments and runs in every state; the ids of the runs."""
    experiment_id = create_experiment(client, "another ünï: one")
    client.ok("experiments/set-experiment-tag", {"experiment_id": experiment_id, "key": "a/b", "value": "line\nline"})
    gone = create_experiment(client, "gone")
    run_ids = [create_run(client, each, f"run {i}") for i in range(5) for each in ("0", experiment_id, gone)]
    for number, run_id in enumerate(run_ids):
        client.ok("runs/log-batch", {
            "run_id": run_id,
            "metrics": [
                {"key": "m", "value": value, "timestamp": 1700000000000 + i, "step": i}
                for i, value in enumerate([number, "NaN", -number, "Infinity"][: 1 + number % 4])
            ],
            "params": [{"key": "p", "value": f"{number % 3}"}, {"key": "deep/er", "value": "'quoted' \\ \n"}],
            "tags": [{"key": "t", "value": "x" * number}] if number % 2 else [],
        })
    client.ok("runs/log-inputs", {"run_id": run_ids[0], "datasets": [{
        "dataset": {"name": "d", "digest": "1", "source_type": "local", "source": "s", "schema": "{}" * 100},
        "tags": [{"key": "mlflow.data.context", "value": "train"}],
    }]})
    client.ok("runs/update", {"run_id": run_ids[1], "status": "FINISHED", "end_time": 1700000009000})
    client.ok("runs/delete", {"run_id": run_ids[3]})
    client.ok("experiments/delete", {"experiment_id": gone})
    return run_ids


def test_without_its_index_a_folder_gives_the_same_answers(tmp_path: Path) -> None:
    root = tmp_path / "mlruns"
    with Program(root) as program, program.client() as client:
        _fill(client)
        before = everything(client)
    files = snapshot(root)
    index = sorted(root.glob(".trackd-index.db*"))
    assert index
    for path in index:
        path.unlink()
    with Program(root) as program, program.client() as client:
        assert everything(client) == before
    assert snapshot(root) == files
    assert trackd("check", str(root)).returncode == 0


def test_read_only_writes_nothing_and_answers_writes_with_403(tmp_path: Path) -> None:
    root = tmp_path / "mlruns"
    with Program(root) as program, program.client() as client:
        run_id = _fill(client)[0]
        before = everything(client)
    copy = tmp_path / "copy"
    shutil.copytree(root, copy)
    for path in copy.glob(".trackd*"):
        path.unlink()
    files = snapshot(copy, times=True)
    with Program(copy, "--read-only") as program, program.client() as client:
        assert everything(client) == before
        model = {"run_id": run_id, "artifact_path": "m", "flavors": {"python_function": {}}}
        model["utc_time_created"] = "2023-01-01 00:00:00"
        writes = {
            "experiments/create": {"name": "new"},
            "experiments/delete": {"experiment_id": "0"},
            "experiments/restore": {"experiment_id": "2"},
            "experiments/update": {"experiment_id": "0", "new_name": "new"},
            "experiments/set-experiment-tag": {"experiment_id": "0", "key": "a", "value": "b"},
            "experiments/delete-experiment-tag": {"experiment_id": "1", "key": "a/b"},
            "runs/create": {"experiment_id": "0"},
            "runs/update": {"run_id": run_id, "status": "FINISHED"},
            "runs/delete": {"run_id": run_id},
            "runs/restore": {"run_id": run_id},
            "runs/log-metric": {"run_id": run_id, "key": "a", "value": 1, "timestamp": 1},
            "runs/log-parameter": {"run_id": run_id, "key": "a", "value": "b"},
            "runs/set-tag": {"run_id": run_id, "key": "a", "value": "b"},
            "runs/delete-tag": {"run_id": run_id, "key": "mlflow.runName"},
            "runs/log-batch": {"run_id": run_id, "tags": [{"key": "a", "value": "b"}]},
            "runs/log-inputs": {"run_id": run_id, "datasets": []},
            "runs/outputs": {"run_id": run_id, "models": [{"model_id": "m-1", "step": 1}]},
            "runs/log-model": {"run_id": run_id, "model_json": json.dumps(model)},
        }
        for write, body in writes.items():
            answer = client.post(write, body)
            assert (answer.status, answer.json()["error_code"]) == (403, "PERMISSION_DENIED"), (write, answer)
        time.sleep(1)  # the look at other people's writes writes nothing, either
    assert snapshot(copy, times=True) == files


def test_read_only_shows_what_another_server_writes_into_the_same_folder(tmp_path: Path) -> None:
    root = tmp_path / "mlruns"
    with Program(root) as writer, writer.client() as writes:
        with Program(root, "--read-only", place=tmp_path) as reader, reader.client() as reads:
            run_id = create_run(writes)
            writes.ok("runs/set-tag", {"run_id": run_id, "key": "a", "value": "b"})
            end = time.monotonic() + 10
            while reads.get("runs/get", {"run_id": run_id}).status != 200 and time.monotonic() < end:
                time.sleep(0.05)
            while "a" not in get_run(reads, run_id)["tags"] and time.monotonic() < end:
                time.sleep(0.05)
            assert get_run(reads, run_id) == get_run(writes, run_id)


def test_a_second_server_is_refused_with_the_name_of_the_first(tmp_path: Path) -> None:
    root = tmp_path / "mlruns"
    with Program(root) as first, first.client() as client:
        with pytest.raises(Failed) as failed:
            Program(root)
        text = str(failed.value)
        assert str(first.process.pid) in text and socket.gethostname() in text and "Traceback" not in text
        run_id = create_run(client)
        assert get_run(client, run_id)["info"]["run_id"] == run_id
        # By another path it is the same folder.
        link = tmp_path / "link"
        try:
            link.symlink_to(root, target_is_directory=True)
        except OSError:
            pytest.skip("no right to make links here")
        with pytest.raises(Failed):
            Program(link)
    with Program(root) as second:
        assert second.process.pid != first.process.pid


def test_the_lock_of_a_killed_server_is_taken_over(tmp_path: Path) -> None:
    root = tmp_path / "mlruns"
    first = Program(root)
    first.kill()
    assert str(first.process.pid) in (root / ".trackd-lock").read_text(encoding="utf-8")
    with Program(root) as second:
        assert str(second.process.pid) in (root / ".trackd-lock").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "content",
    [b"", b"rubbish \xff", b'{"pid": %d}' % os.getpid(), b"[1]"],
    # The same names in every process: pytest-xdist compares them.
    ids=["empty", "rubbish", "own pid", "a list"],
)
def test_a_lock_file_that_nobody_holds_stops_nobody(tmp_path: Path, content: bytes) -> None:
    root = tmp_path / "mlruns"
    root.mkdir()
    (root / ".trackd-lock").write_bytes(content)
    with Program(root) as program, program.client() as client:
        create_run(client)


def test_check_beside_a_running_server_reads_and_writes_nothing(tmp_path: Path) -> None:
    root = tmp_path / "mlruns"
    with Program(root) as program, program.client() as client:
        _fill(client)
        time.sleep(1)
        files = snapshot(root)
        checked = trackd("check", str(root))
        assert checked.returncode == 0, checked.stdout
        assert snapshot(root) == files
        create_run(client)
