"""``trackd gc`` on what MLflow wrote, and MLflow on what is left."""

import json
import sqlite3
import subprocess
from pathlib import Path
from typing import Any, Dict

import pytest

from tests import environments
from tests.launch import PATIENCE, environment, python_of, run

pytestmark = [pytest.mark.compat, pytest.mark.slow]

#: Logs to the store in ``argv[1]``, deletes some of it, and prints the ids.
WRITE = """
import json, sys
import mlflow
from mlflow import MlflowClient
mlflow.set_tracking_uri(sys.argv[1])
client = MlflowClient()
ids = {}
gone = client.create_experiment("gone", artifact_location=sys.argv[2] + "/gone")
kept = client.create_experiment("kept", artifact_location=sys.argv[2] + "/kept")
for name, experiment in (("inside", gone), ("deleted", kept), ("kept", kept)):
    run = client.create_run(experiment).info.run_id
    client.log_metric(run, "m", 0.5, step=3)
    client.log_param(run, "p", "1")
    client.log_text(run, "x" * 1000, "a/b.txt")
    client.log_inputs(run, [mlflow.entities.DatasetInput(mlflow.entities.Dataset("d", "1", "local", "{}"))])
    ids[name] = run
model = client.create_logged_model(kept, name="m", source_run_id=ids["deleted"])
client.log_metric(ids["deleted"], "acc", 1.0, step=1, model_id=model.model_id)
ids["model"] = model.model_id
client.delete_run(ids["deleted"])
client.delete_experiment(gone)
ids.update(gone_experiment=gone, kept_experiment=kept)
print(json.dumps(ids))
"""

#: Prints what MLflow still sees, deleted or not.
READ = """
import json, sys
import mlflow
from mlflow import MlflowClient
from mlflow.entities import ViewType
mlflow.set_tracking_uri(sys.argv[1])
client = MlflowClient()
experiments = client.search_experiments(view_type=ViewType.ALL)
runs = client.search_runs([each.experiment_id for each in experiments], run_view_type=ViewType.ALL)
model = client.get_logged_model(sys.argv[2])
print(json.dumps({
    "experiments": sorted(each.name for each in experiments),
    "runs": [each.info.run_id for each in runs],
    "metrics": [each.data.metrics for each in runs],
    "inputs": [len(each.inputs.dataset_inputs) for each in runs],
    "text": mlflow.artifacts.load_text(runs[0].info.artifact_uri + "/a/b.txt"),
    "model": model.name,
}))
"""


def python(text: str, *words: str) -> Dict[str, Any]:
    env = environment(MLFLOW_DISABLE_TELEMETRY="true", MLFLOW_ALLOW_FILE_STORE="true")
    done = subprocess.run(
        [python_of(environments.MLFLOW_3), "-c", text, *words], env=env, capture_output=True, encoding="utf-8",
        timeout=5 * PATIENCE,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: Dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("kind", ["folder", "database"])
def test_mlflow_sees_all_that_was_not_deleted_and_nothing_else(tmp_path: Path, kind: str) -> None:
    uri = str(tmp_path / "mlruns") if kind == "folder" else f"sqlite:///{tmp_path / 'mlflow.db'}"
    ids = python(WRITE, uri, str(tmp_path / "files"))
    words = ("gc", "--backend-store-uri", uri, "--artifact-roots", str(tmp_path / "files"))
    dry = run(*words, "--dry-run", cwd=tmp_path)
    assert dry.returncode == 0, dry.stderr
    assert "would free: 1 experiment, 2 runs, 2 artifacts of 2.0 KiB" in dry.stdout
    assert all(ids[name] in dry.stdout for name in ("inside", "deleted", "gone_experiment"))
    done = run(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    after = python(READ, uri, ids["model"])
    assert after == {
        "experiments": ["Default", "kept"], "runs": [ids["kept"]], "metrics": [{"m": 0.5}], "inputs": [1],
        "text": "x" * 1000, "model": "m",
    }
    assert not (tmp_path / "files" / "gone" / ids["inside"]).exists()
    if kind == "database":
        connection = sqlite3.connect(str(tmp_path / "mlflow.db"))
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        for table in ("metrics", "latest_metrics", "params", "tags"):
            assert {row[0] for row in connection.execute(f"SELECT run_uuid FROM {table}")} == {ids["kept"]}
        assert connection.execute("SELECT count(*) FROM inputs WHERE source_type = 'DATASET'").fetchone() == (1,)
        connection.close()
    assert run("check", uri, cwd=tmp_path).returncode == 0
    assert "nothing to remove" in run(*words, cwd=tmp_path).stdout
