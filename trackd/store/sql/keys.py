"""Which keys the runs of experiments have, and how many runs there are; for completion and headlines."""

import json
from typing import Dict, List, Sequence, Tuple

from trackd.store.base import RunCounts
from trackd.store.sql.connect import Reading

# From the runs to their rows: the other way round it would be the rows of all experiments.
_KEYS = (
    "SELECT k.key, count(*) FROM runs r CROSS JOIN {table} k ON k.run_uuid = r.run_uuid"
    " WHERE r.experiment_id IN (SELECT value FROM json_each(?)) GROUP BY k.key ORDER BY k.key LIMIT ?"
)
_TABLES = {"metrics": "latest_metrics", "params": "params", "tags": "tags"}
_COUNTS = (
    "SELECT CAST(experiment_id AS TEXT), total(lifecycle_stage = 'active'), total(lifecycle_stage = 'deleted'),"
    " total(lifecycle_stage = 'active' AND status = 'RUNNING'), max(start_time) FROM runs GROUP BY experiment_id"
    " ORDER BY experiment_id"
)


class KeyReads(Reading):
    """The questions of ``store.base.Reads`` about keys and counts."""

    def list_keys(self, experiment_ids: Sequence[str], limit: int) -> Dict[str, List[Tuple[str, int]]]:
        """See ``store.base``."""
        ids = json.dumps([int(text) for text in experiment_ids])
        with self.reading() as connection:
            return {
                kind: connection.execute(_KEYS.format(table=table), (ids, limit)).fetchall()
                for kind, table in _TABLES.items()
            }

    def count_runs(self) -> List[RunCounts]:
        """See ``store.base``."""
        with self.reading() as connection:
            rows = connection.execute(_COUNTS).fetchall()
        return [RunCounts(row[0], int(row[1]), int(row[2]), int(row[3]), row[4]) for row in rows]
