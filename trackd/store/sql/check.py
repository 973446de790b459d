"""Whether a database is sane: the file itself, rows whose parent is gone, and current points that are not."""

from typing import List, Tuple

from trackd.store.base import Problem
from trackd.store.sql.connect import Connection
from trackd.store.sql.tables import DATASETS, Tables

#: Problems of one kind that are listed; the rest is counted.
_LISTED = 20

# What has no foreign key in MLflow's tables. (A run may name a logged model that never was: MLflow takes any id.)
_LOST_INPUTS = """
SELECT 'inputs', input_uuid, destination_type || ' ' || destination_id || ', which is not there' FROM inputs
WHERE destination_type = 'RUN' AND destination_id NOT IN (SELECT run_uuid FROM runs)
UNION ALL
SELECT 'inputs', input_uuid, source_type || ' ' || source_id || ', which is not there' FROM inputs
WHERE source_type = 'DATASET' AND source_id NOT IN (SELECT dataset_uuid FROM datasets)
   OR source_type IN ('RUN_INPUT', 'RUN_OUTPUT') AND source_id NOT IN (SELECT run_uuid FROM runs)
UNION ALL
SELECT 'input_tags', input_uuid, 'input ' || input_uuid || ', which is not there' FROM input_tags
WHERE input_uuid NOT IN (SELECT input_uuid FROM inputs)
"""
# The current point is the greatest by step, time and value (NaN counts as 0, which is how it is kept).
_LATEST = """
SELECT l.run_uuid, l.key, l.step, l.timestamp, l.value, m.step, m.timestamp, m.value FROM latest_metrics l
LEFT JOIN metrics m ON m.rowid = (
    SELECT h.rowid FROM metrics h WHERE h.run_uuid = l.run_uuid AND {key} = l.key
    ORDER BY h.step DESC, h.timestamp DESC, h.value DESC LIMIT 1)
WHERE (l.step, l.timestamp, l.value) IS NOT (m.step, m.timestamp, m.value)
"""
_NO_LATEST = "SELECT run_uuid, key FROM metrics EXCEPT SELECT run_uuid, key FROM latest_metrics"


def problems(connection: Connection, path: str, tables: Tables) -> List[Problem]:
    """Everything that is wrong, by table and key."""
    found = [
        Problem(path, f"is damaged: {text}")
        for (text,) in connection.execute("PRAGMA integrity_check(100)")
        if text != "ok"
    ]
    if found:
        return found  # what a damaged file says of its rows means little
    lost = [
        (table, str(rowid), f"{parent}, where the row that it belongs to is not there")
        for table, rowid, parent, _ in connection.execute("PRAGMA foreign_key_check")
    ]
    if tables.has(DATASETS):
        lost += connection.execute(_LOST_INPUTS).fetchall()
    found += _listed([(f"{table} {row}", f"belongs to {what}") for table, row, what in lost])
    key = "h.key" if tables.index("metrics", "run_uuid", "key", "step") else "+h.key"
    wrong = []
    for run_id, name, *points in connection.execute(_LATEST.format(key=key)):
        step, time, value, *history = points
        says = f"says {value!r} at step {step}, time {time}"
        right = f"the history ends with {history[2]!r} at step {history[0]}, time {history[1]}"
        if history[0] is None:
            right = "there is no history"
        wrong.append((f"latest_metrics {run_id} {name}", f"{says}; {right}"))
    wrong += [
        (f"latest_metrics {run_id} {name}", "is not there, but there is a history")
        for run_id, name in connection.execute(_NO_LATEST)
    ]
    return found + _listed(wrong)


def _listed(rows: List[Tuple[str, str]]) -> List[Problem]:
    some = [Problem(where, what) for where, what in rows[:_LISTED]]
    if len(rows) > _LISTED:
        some.append(Problem(rows[0][0].split(" ")[0], f"and {len(rows) - _LISTED} more of this kind"))
    return some
