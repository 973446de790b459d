"""Writes runs in the folder layout of MLflow's file store, quickly: the disk trackd finds when it starts.

One open, write, close per file and no YAML library: 100,000 files take some seconds, not minutes.
"""

import os
from pathlib import Path
from typing import List

from tests.bench.data import START_TIME, SeedRun, Shape, seeded_value, shape_runs

EXPERIMENT_META = """\
artifact_location: {location}
creation_time: {time}
experiment_id: '{experiment_id}'
last_update_time: {time}
lifecycle_stage: active
name: {name}
"""
RUN_META = """\
artifact_uri: {location}
end_time: {end_time}
entry_point_name: ''
experiment_id: '{experiment_id}'
lifecycle_stage: active
run_id: {run_id}
run_name: {run_name}
run_uuid: {run_id}
source_name: ''
source_type: 4
source_version: ''
start_time: {start_time}
status: 3
tags: []
user_id: alice
"""


def write_experiment(root: str, experiment_id: int, name: str) -> str:
    """Write an experiment without runs into the store at ``root``; the path of its folder."""
    folder = os.path.join(root, str(experiment_id))
    os.makedirs(folder)
    text = EXPERIMENT_META.format(
        location=f"mlflow-artifacts:/{experiment_id}", time=START_TIME, experiment_id=experiment_id, name=name
    )
    _write(os.path.join(folder, "meta.yaml"), text)
    return folder


def write_shape(root: str, shape: Shape) -> int:
    """Write an experiment with all runs of its shape; how many files that were."""
    folder = write_experiment(root, shape.experiment_id, shape.name)
    return 1 + sum(_write_run(folder, shape, run) for run in shape_runs(shape))


def ensure_default(root: str) -> None:
    """Write experiment 0, which every MLflow folder has, unless it is there."""
    if not (Path(root) / "0" / "meta.yaml").exists():
        write_experiment(root, 0, "Default")


def _write_run(folder: str, shape: Shape, run: SeedRun) -> int:
    """Write one run; how many files it has."""
    path = f"{folder}/{run.run_id}"
    for part in ("", "/metrics", "/params", "/tags", "/artifacts"):
        os.mkdir(path + part)
    meta = RUN_META.format(
        location=f"mlflow-artifacts:/{shape.experiment_id}/{run.run_id}/artifacts",
        experiment_id=shape.experiment_id,
        run_id=run.run_id,
        run_name=run.name,
        start_time=run.start_time,
        end_time=run.start_time + 60_000,
    )
    _write(f"{path}/meta.yaml", meta)
    for key, value in run.metrics:
        _write(f"{path}/metrics/{key}", _metric_lines(run.start_time, value, shape.points))
    for key, text in run.params:
        _write(f"{path}/params/{key}", text)
    for key, text in run.tags:
        _write(f"{path}/tags/{key}", text)
    return 1 + shape.items


def _metric_lines(start_time: int, value: float, points: int) -> str:
    """The lines of a metric file: timestamp, value, step."""
    lines: List[str] = []
    for step in range(points):
        lines.append(f"{start_time + step * 1000} {seeded_value(value, step, points)} {step}\n")
    return "".join(lines)


def _write(path: str, text: str) -> None:
    """One new file."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    try:
        os.write(handle, text.encode("utf-8"))
    finally:
        os.close(handle)
