"""Metric history in MLflow's table ``metrics``: a row per point. (The file store keeps it in the metric files.)

MLflow's primary key begins with the metric's key alone, so a plan that uses it reads that metric of every run. From
MLflow 3.11 on there is an index on run, key and step; before, one on the run. A ``+`` before a column keeps SQLite from
the wrong one.
"""

import json
import math
from typing import List, Optional, Sequence, Tuple

from trackd.entities import Metric
from trackd.store.base import sample
from trackd.store.sql.connect import Connection, Reading
from trackd.store.sql.metrics import MetricWrites

_POINT = "value, timestamp, step, is_nan"
#: Of longer histories a sample is looked up by step; to rank every point of them would take longer than a chart should.
_RANKED = 20_000

Row = Tuple[float, int, int, int]
Steps = Optional[Tuple[int, int]]


def _points(key: str, rows: Sequence[Row]) -> List[Metric]:
    return [Metric(key, math.nan if is_nan else value, timestamp, step) for value, timestamp, step, is_nan in rows]


class HistoryReads(Reading):
    """The questions of ``store.base.Reads`` about the points of metrics."""

    def _from(self, steps: Steps = None) -> str:
        """``FROM ... WHERE`` for one run and key, on the index that this database has for it."""
        by_key = "key" if self.tables.has_index("metrics", "run_uuid", "key", "step") else "+key"
        between = "" if steps is None else " AND step BETWEEN ? AND ?"
        return f"FROM metrics WHERE run_uuid = ? AND {by_key} = ?{between}"

    def list_metric_history(
        self, run_id: str, key: str, offset: int = 0, limit: Optional[int] = None
    ) -> List[Metric]:
        """See ``store.base``."""
        query = f"SELECT {_POINT} {self._from()} ORDER BY +timestamp, step, value, is_nan LIMIT ? OFFSET ?"
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
        most = max(_RANKED, count)
        (points,) = connection.execute(
            f"SELECT count(*) FROM (SELECT 1 {condition} LIMIT ?)", (*values, most + 1)
        ).fetchone()
        order = "step, timestamp, value, is_nan"
        if points <= count:
            return connection.execute(f"SELECT {_POINT} {condition} ORDER BY {order}", values).fetchall()
        if points > most:
            rows = self._at_steps(connection, which, count, steps)
            if len(rows) == count:
                return rows
            (points,) = connection.execute(f"SELECT count(*) {condition}", values).fetchone()
        ranks = json.dumps([rank + 1 for rank in sample(range(points), count)])
        query = (
            f"SELECT {_POINT} FROM (SELECT {_POINT}, row_number() OVER (ORDER BY {order}) AS rank {condition})"
            " WHERE rank IN (SELECT value FROM json_each(?))"
        )
        return connection.execute(query, (*values, ranks)).fetchall()

    def _at_steps(self, connection: Connection, which: Tuple[str, str], count: int, steps: Steps) -> List[Row]:
        """The first point at or after each of ``count`` even steps, and the last of all; fewer where these coincide."""
        condition = self._from(steps)
        values = which + (steps or ())
        ends = [
            connection.execute(f"SELECT {_POINT} {condition} ORDER BY {order} LIMIT 1", values).fetchone()
            for order in ("step, timestamp, value, is_nan", "step DESC, timestamp DESC, value DESC, is_nan DESC")
        ]
        if count == 1:
            return ends[1:]
        low, high = ends[0][2], ends[1][2]
        if high - low < count:
            return []
        wanted = sample(range(low, high + 1), count)[1:-1]
        query = (
            "SELECT DISTINCT metrics.value, timestamp, step, is_nan FROM"
            f" (SELECT (SELECT rowid {self._from()} AND step >= wanted.value ORDER BY step LIMIT 1) AS point"
            " FROM json_each(?) AS wanted) CROSS JOIN metrics ON metrics.rowid = point WHERE step BETWEEN ? AND ?"
        )
        between = connection.execute(query, (*which, json.dumps(wanted), low + 1, high - 1)).fetchall()
        return [ends[0], *between, ends[1]]


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
