"""Writes runs into the SQLite databases of trackd, MLflow and FastTrackML, while their servers are stopped.

Through their APIs 20,000 runs would take them minutes. Both keep nearly the same tables; a row is given every value
that either knows, and the columns that a table does not have are left out.
"""

import sqlite3
from typing import Any, Dict, Iterable, Iterator, List, Sequence

from tests.bench.data import START_TIME, SeedRun, Shape, seeded_value, shape_runs

Row = Dict[str, Any]


def write_shapes(path: str, shapes: Sequence[Shape], analyze: bool = True) -> None:
    """Add experiments with all their runs to the database at ``path``, in one transaction each."""
    connection = sqlite3.connect(path, timeout=30, isolation_level=None)
    try:
        for shape in shapes:
            connection.execute("BEGIN IMMEDIATE")
            _write_shape(connection, shape)
            connection.execute("COMMIT")
        if analyze:
            connection.execute("ANALYZE")
    finally:
        connection.close()


def _write_shape(connection: sqlite3.Connection, shape: Shape) -> None:
    """Add one experiment and its runs."""
    insert(
        connection,
        "experiments",
        [
            {
                "experiment_id": shape.experiment_id,
                "name": shape.name,
                "artifact_location": f"mlflow-artifacts:/{shape.experiment_id}",
                "lifecycle_stage": "active",
                "creation_time": START_TIME,
                "last_update_time": START_TIME,
                "workspace": "default",
                "namespace_id": 1,
            }
        ],
    )
    insert(connection, "runs", _run_rows(shape))
    insert(connection, "metrics", _metric_rows(shape))
    insert(connection, "latest_metrics", _latest_rows(shape))
    insert(
        connection,
        "params",
        (
            {"key": key, "value": value, "value_str": value, "run_uuid": run.run_id}
            for run in shape_runs(shape)
            for key, value in run.params
        ),
    )
    insert(
        connection,
        "tags",
        ({"key": key, "value": value, "run_uuid": run.run_id} for run in shape_runs(shape) for key, value in run.tags),
    )


def insert(connection: sqlite3.Connection, table: str, rows: Iterable[Row]) -> None:
    """Insert rows, taking of each what the table has a column for."""
    columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
    taken: List[str] = []

    def values() -> Iterator[List[Any]]:
        for row in rows:
            yield [row[column] for column in taken]

    iterator = iter(rows)
    first = next(iterator)
    taken.extend(column for column in columns if column in first)
    names = ", ".join(f'"{column}"' for column in taken)
    statement = f"INSERT INTO {table} ({names}) VALUES ({', '.join('?' * len(taken))})"
    connection.execute(statement, [first[column] for column in taken])
    rows = iterator
    connection.executemany(statement, values())


def _run_rows(shape: Shape) -> Iterator[Row]:
    """Rows of ``runs``. ``row_num`` (FastTrackML) counts within the experiment."""
    for number, run in enumerate(shape_runs(shape)):
        yield {
            "run_uuid": run.run_id,
            "name": run.name,
            "source_type": "UNKNOWN",
            "source_name": "",
            "entry_point_name": "",
            "user_id": "alice",
            "status": "FINISHED",
            "start_time": run.start_time,
            "end_time": run.start_time + 60_000,
            "source_version": "",
            "lifecycle_stage": "active",
            "artifact_uri": f"mlflow-artifacts:/{shape.experiment_id}/{run.run_id}/artifacts",
            "experiment_id": shape.experiment_id,
            "row_num": number,
        }


def _metric_rows(shape: Shape) -> Iterator[Row]:
    """Rows of ``metrics``: every point. ``iter`` and ``context_id`` are FastTrackML's."""
    for run in shape_runs(shape):
        for key, value in run.metrics:
            for step in range(shape.points):
                row = _point(run, key, seeded_value(value, step, shape.points), step)
                row["iter"] = step + 1
                yield row


def _latest_rows(shape: Shape) -> Iterator[Row]:
    """Rows of ``latest_metrics``: the last point of each metric."""
    for run in shape_runs(shape):
        for key, value in run.metrics:
            row = _point(run, key, value, shape.points - 1)
            row["last_iter"] = shape.points
            yield row


def _point(run: SeedRun, key: str, value: float, step: int) -> Row:
    """What both metric tables have in common."""
    return {
        "key": key,
        "value": value,
        "timestamp": run.start_time + step * 1000,
        "step": step,
        "is_nan": 0,
        "run_uuid": run.run_id,
        "context_id": 1,
    }
