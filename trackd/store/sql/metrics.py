"""The current point of each metric, in MLflow's table ``latest_metrics``."""

import math
from operator import itemgetter
from typing import Dict, List, Sequence, Tuple

from trackd.entities import Metric
from trackd.store.sql.connect import Connection, Reading

_LATEST = (
    "SELECT wanted.key, latest_metrics.key, latest_metrics.value, timestamp, step, is_nan"
    " FROM json_each(?) AS wanted CROSS JOIN latest_metrics ON run_uuid = wanted.value"
)
# The current point is the maximum of (step, timestamp, value); NaN is kept as value 0 with a flag, and compares as 0.
_PUT_LATEST = (
    "INSERT INTO latest_metrics (key, value, timestamp, step, is_nan, run_uuid) VALUES (?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (run_uuid, key) DO UPDATE SET value = excluded.value, timestamp = excluded.timestamp,"
    " step = excluded.step, is_nan = excluded.is_nan"
    " WHERE (excluded.step, excluded.timestamp, excluded.value) > (step, timestamp, value)"
)


def latest_metrics(connection: Connection, wanted: str) -> Dict[int, List[Metric]]:
    """The current points of the runs whose ids are in ``wanted`` (a JSON list), by position there, in key order."""
    found: Dict[int, List[Metric]] = {}
    new = tuple.__new__  # what Metric() ends in; the way there costs as much again, and there can be a million
    for position, key, value, timestamp, step, is_nan in connection.execute(_LATEST, (wanted,)):
        metric = new(Metric, (key, math.nan if is_nan else value, timestamp, step, None, None, None, None))
        if position in found:
            found[position].append(metric)
        else:
            found[position] = [metric]
    for metrics in found.values():
        metrics.sort(key=_key)
    return found


_key = itemgetter(0)


Row = Tuple[str, float, int, int, int, str]


class MetricWrites(Reading):
    """Writes to ``latest_metrics``."""

    def metric_rows(self, run_id: str, metrics: Sequence[Metric]) -> List[Row]:
        """(key, value, timestamp, step, is_nan, run id) of each point, as the tables have it: NaN is 0 and a flag."""
        return [
            (metric[0], 0.0, metric[2], metric[3], 1, run_id)
            if metric[1] != metric[1]
            else (metric[0], metric[1], metric[2], metric[3], 0, run_id)
            for metric in metrics
        ]

    def put_latest_metrics(self, run_id: str, metrics: Sequence[Metric]) -> None:
        """Let these points count for what is current."""
        self.connection.executemany(_PUT_LATEST, self.metric_rows(run_id, metrics))

    def put_latest_rows(self, rows: Sequence[Row]) -> None:
        """The same for rows: of each key only the greatest is written."""
        if len(rows) > 1:
            greatest: Dict[str, Row] = {}
            for row in rows:
                known = greatest.get(row[0])
                if known is None or (row[3], row[2], row[1]) > (known[3], known[2], known[1]):
                    greatest[row[0]] = row
            rows = list(greatest.values())
        self.connection.executemany(_PUT_LATEST, rows)
