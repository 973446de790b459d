"""Metric history in MLflow's table ``metrics``: a row per point. (The file store keeps it in the metric files.)

MLflow's primary key begins with the metric's key alone, and a plan that uses it, which SQLite likes for the order,
reads that metric of every run. So the index is named: on run, key and step since MLflow 3.11, on the run before.
"""

import json
import math
from typing import List, Optional, Sequence, Tuple

from trackd.entities import Metric
from trackd.store.base import sample
from trackd.store.sql.connect import Connection, Reading
from trackd.store.sql.metrics import MetricWrites

#: In the order in which points are sorted when they are sampled.
_POINT = "step, timestamp, value, is_nan"
#: Of longer histories a sample is looked up by step; to rank every point of them would take longer than a chart should.
_RANKED = 20_000

Row = Tuple[int, int, float, int]
Steps = Optional[Tuple[int, int]]


def _points(key: str, rows: Sequence[Row]) -> List[Metric]:
    return [Metric(key, math.nan if is_nan else value, timestamp, step) for step, timestamp, value, is_nan in rows]


class HistoryReads(Reading):
    """The questions of ``store.base.Reads`` about the points of metrics."""

    def _from(self, steps: Steps = None) -> str:
        """``FROM ... WHERE`` for one run and key, on the index that this database has for it."""
        index = self.tables.index("metrics", "run_uuid", "key", "step") or self.tables.index("metrics", "run_uuid")
        table = f'metrics INDEXED BY "{index}"' if index else "metrics"
        between = "" if steps is None else " AND step BETWEEN ? AND ?"
        return f"FROM {table} WHERE run_uuid = ? AND key = ?{between}"

    def list_metric_history(
        self, run_id: str, key: str, offset: int = 0, limit: Optional[int] = None
    ) -> List[Metric]:
        """See ``store.base``."""
        query = f"SELECT {_POINT} {self._from()} ORDER BY timestamp, step, value, is_nan LIMIT ? OFFSET ?"
        with self.reading() as connection:
            rows = connection.execute(query, (run_id, key, -1 if limit is None else limit, offset)).fetchall()
        return _points(key, rows)

    def sample_metric_histories(
        self, run_ids: Sequence[str], key: str, count: int, steps: Steps = None
    ) -> List[List[Metric]]:
        """See ``store.base``. Of more than 20,000 points those at evenly spaced steps are taken, not at evenly spaced
        ranks: where steps are without gaps, as nearly always, that is the same."""
        with self.reading() as connection:
            return [_points(key, self._sample(connection, (run_id, key), count, steps)) for run_id in run_ids]

    def _sample(self, connection: Connection, which: Tuple[str, str], count: int, steps: Steps) -> List[Row]:
        condition = self._from(steps)
        values = which + (steps or ())
        rows = connection.execute(f"SELECT {_POINT} {condition} LIMIT ?", (*values, count + 1)).fetchall()
        if len(rows) <= count:
            rows.sort()
            return rows
        most = max(_RANKED, count)
        points = f"SELECT count(*) FROM (SELECT 1 {condition} LIMIT ?)"
        (length,) = connection.execute(points, (*values, most + 1)).fetchone()
        if length > most:
            rows = self._at_steps(connection, which, count, steps)
            if len(rows) == count:
                return rows
            (length,) = connection.execute(points, (*values, -1)).fetchone()
        ranks = json.dumps([rank + 1 for rank in sample(range(length), count)])
        query = (
            f"SELECT {_POINT} FROM (SELECT {_POINT}, row_number() OVER (ORDER BY {_POINT}) AS rank {condition})"
            " WHERE rank IN (SELECT value FROM json_each(?)) ORDER BY rank"
        )
        return connection.execute(query, (*values, ranks)).fetchall()

    def _at_steps(self, connection: Connection, which: Tuple[str, str], count: int, steps: Steps) -> List[Row]:
        """The first point at or after each of ``count`` even steps, and the last of all; fewer where these coincide."""
        low, high = (self._end(connection, which, steps, word) for word in ("", "DESC"))
        if count == 1:
            return [high]
        if high[0] - low[0] < count:
            return []
        wanted = sample(range(low[0], high[0] + 1), count)[1:-1]
        query = (
            "SELECT metrics.rowid, step, timestamp, metrics.value, is_nan FROM"
            f" (SELECT (SELECT rowid {self._from()} AND step >= wanted.value ORDER BY step LIMIT 1) AS point"
            " FROM json_each(?) AS wanted) CROSS JOIN metrics ON metrics.rowid = point"
        )
        found = dict.fromkeys(connection.execute(query, (*which, json.dumps(wanted))).fetchall())
        return [low, *sorted(row[1:] for row in found if low[0] < row[1] < high[0]), high]

    def _end(self, connection: Connection, which: Tuple[str, str], steps: Steps, word: str) -> Row:
        """The first point, or with DESC the last. Two questions: SQLite would sort all points to answer one."""
        values = which + (steps or ())
        (step,) = connection.execute(f"SELECT step {self._from(steps)} ORDER BY step {word} LIMIT 1", values).fetchone()
        order = ", ".join(f"{column} {word}" for column in _POINT.split(", "))
        query = f"SELECT {_POINT} {self._from()} AND step = ? ORDER BY {order} LIMIT 1"
        end: Row = connection.execute(query, (*which, step)).fetchone()
        return end


_ADD = (
    "INSERT OR IGNORE INTO metrics (key, value, timestamp, step, is_nan, run_uuid) VALUES (?, ?, ?, ?, ?, ?)"
)


class HistoryWrites(HistoryReads, MetricWrites):
    """Writes to ``metrics`` and ``latest_metrics``."""

    def insert_points(self, run_id: str, metrics: Sequence[Metric]) -> None:
        """Add points, in this order. A point that is there already, to the last bit, is nothing new."""
        rows = self.metric_rows(run_id, metrics)
        self.connection.executemany(_ADD, rows)
        self.put_latest_rows(rows)
