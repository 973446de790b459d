"""Whether a folder and its index are sane. Writes nothing into the folder."""

import os
import shutil
import sqlite3
import tempfile
from typing import List

from trackd.store.base import Problem
from trackd.store.file import index as index_file
from trackd.store.file import layout

#: Columns in which the index must agree with the files, by table; the first is the id of the run or logged model.
_COMPARED = {
    "runs": "run_uuid, experiment_id, name, user_id, status, start_time, end_time, lifecycle_stage, artifact_uri",
    "params": "run_uuid, key, value",
    "tags": "run_uuid, key, value",
    "latest_metrics": "run_uuid, key, value, timestamp, step, is_nan",
    "logged_models": "model_id, experiment_id, name, artifact_location, creation_timestamp_ms,"
    " last_updated_timestamp_ms, status, lifecycle_stage, model_type, source_run_id, status_message",
    "logged_model_params": "model_id, param_key, param_value",
    "logged_model_tags": "model_id, tag_key, tag_value",
    "logged_model_metrics": "model_id, metric_name, metric_value, metric_timestamp_ms, metric_step, run_id,"
    " dataset_name, dataset_digest",
}
#: The same for registered models and their versions.
_COMPARED_MODELS = {
    "registered_models": "name, creation_time, last_updated_time, description",
    "registered_model_tags": "name, key, value",
    "registered_model_aliases": "name, alias, version",
    "model_versions": "name, version, creation_time, last_updated_time, description, user_id, current_stage, source,"
    " storage_location, run_id, run_link, status, status_message",
    "model_version_tags": "name, version, key, value",
}
#: Differences that are listed per table; the rest is counted.
_LISTED = 20


def compare_index(root: str, index_path: str, fresh_path: str) -> List[Problem]:
    """What an index says otherwise than ``fresh_path``, one that was just made from the files.

    Folders that changed since the index saw them do not count (the next start reads them again), nor do those of
    changes that a start would finish first.
    """
    if not os.path.exists(index_path) or os.path.samefile(index_path, fresh_path):
        return []
    with tempfile.TemporaryDirectory(prefix="trackd-") as folder:
        copy = os.path.join(folder, layout.INDEX)
        for suffix in ("", "-wal"):
            if os.path.exists(index_path + suffix):
                shutil.copyfile(index_path + suffix, copy + suffix)
        if not index_file.is_usable(copy, root):
            return [Problem(index_path, "is not a usable index; delete it, the next start makes a new one")]
        connection = sqlite3.connect(copy)
        try:
            (broken,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
            if broken != "ok":
                return [Problem(index_path, f"is damaged ({broken}); delete it, the next start makes a new one")]
            connection.execute("ATTACH ? AS fresh", (fresh_path,))
            return _differences(connection, root)
        finally:
            connection.close()


def _differences(connection: sqlite3.Connection, root: str) -> List[Problem]:
    if connection.execute("SELECT count(*) FROM trackd_changes").fetchone()[0]:
        return []
    connection.execute("CREATE TEMP TABLE changed (id TEXT PRIMARY KEY)")
    connection.execute("CREATE TEMP TABLE changed_models (name TEXT PRIMARY KEY)")
    for one, other in (("main", "fresh"), ("fresh", "main")):
        connection.execute(
            "INSERT OR IGNORE INTO changed"
            f" SELECT DISTINCT replace(substr(folder, instr(folder, '/') + 1), '{layout.MODELS}/', '') FROM"
            f" (SELECT folder, name, size, mtime FROM {one}.trackd_files EXCEPT"
            f" SELECT folder, name, size, mtime FROM {other}.trackd_files)"
        )
        connection.execute(
            f"INSERT OR IGNORE INTO changed_models SELECT m.name FROM changed c JOIN {one}.trackd_models m"
            " ON m.folder = substr(c.id, 1, instr(c.id || '/', '/') - 1)"
        )
    problems = []
    compared = [
        (table, columns, f"{columns.partition(',')[0]} NOT IN (SELECT id FROM changed)")
        for table, columns in _COMPARED.items()
    ]
    compared += [
        (table, columns, "name NOT IN (SELECT name FROM changed_models)") for table, columns in _COMPARED_MODELS.items()
    ]
    for table, columns, unchanged in compared:
        for one, other, what in (("main", "fresh", "is not in the files"), ("fresh", "main", "is not in the index")):
            rows = connection.execute(
                f"SELECT {columns} FROM {one}.{table} WHERE {unchanged}"
                f" EXCEPT SELECT {columns} FROM {other}.{table}"
            ).fetchall()
            problems += [Problem(f"{root}: {table}", f"{row} {what}") for row in rows[:_LISTED]]
            if len(rows) > _LISTED:
                problems.append(Problem(f"{root}: {table}", f"and {len(rows) - _LISTED} more: {what}"))
    return problems
