"""What a training script does, through a real MLflow client; ``tests.compat.worker_main`` runs it in a process."""

import os
import tempfile
from typing import Any, Dict, List

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Metric

#: A name that would do harm if any page took it for anything else than text.
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)> \"'&amp; \u202eRTL\u202c \u2028 ' OR 1=1 --"


def sweep(uri: str, experiment: str, runs: int, parent: bool = False) -> List[str]:
    """Runs with two params and two metrics each; the n-th has the accuracy n / runs. With ``parent``, all below one."""
    mlflow.set_tracking_uri(uri)
    mlflow.set_experiment(experiment)
    client, made = MlflowClient(), []
    above = mlflow.start_run(run_name="sweep").info.run_id if parent else ""
    for n in range(runs):
        with mlflow.start_run(run_name=f"trial-{n}", nested=bool(above)) as run:
            made.append(run.info.run_id)
            mlflow.log_params({"lr": 0.1 / (n + 1), "model": "cnn" if n % 2 else "mlp"})
            mlflow.log_metrics({"acc": 0.0, "val/loss": 1.0}, step=0)
            mlflow.log_metrics({"acc": (n + 1) / runs, "val/loss": 1 - n / runs}, step=1)
    if above:
        mlflow.end_run()
        made.insert(0, above)
    client.set_tag(made[0], "stage", "dev")
    return made


def begin(uri: str, experiment: str, name: str) -> str:
    """A run that goes on."""
    client = MlflowClient(uri)
    found = client.get_experiment_by_name(experiment)
    experiment_id = found.experiment_id if found else client.create_experiment(experiment)
    return str(client.create_run(experiment_id, run_name=name).info.run_id)


def point(uri: str, run_id: str, key: str, value: float, step: int) -> None:
    """One point of a metric."""
    MlflowClient(uri).log_metric(run_id, key, value, step=step)


def metrics(uri: str, run_id: str, many: int) -> None:
    """So many metrics."""
    points = [Metric(f"layer_{n:04d}/norm", n / 7, 1, 0) for n in range(many)]
    MlflowClient(uri).log_batch(run_id, metrics=points)


def hostile(uri: str) -> Dict[str, Any]:
    """Everything that takes text has text that a page must not take for more."""
    client = MlflowClient(uri)
    experiment_id = client.create_experiment(HOSTILE)
    note = f"{HOSTILE}\n\n[x](javascript:alert(3)) ![y](http://evil.example/y.png)"
    client.set_experiment_tag(experiment_id, "mlflow.note.content", note)
    run_id = client.create_run(experiment_id, run_name=HOSTILE + "\nnext line").info.run_id
    client.log_param(run_id, "long", "x" * 6000)
    client.log_param(run_id, "lines", f"{HOSTILE}\n" * 5)
    client.set_tag(run_id, "hostile", HOSTILE)
    client.set_tag(run_id, "mlflow.note.content", HOSTILE)
    client.log_metric(run_id, "nan", float("nan"))
    client.log_metric(run_id, "inf", float("inf"))
    client.log_text(run_id, HOSTILE, "<b>bold & 'quoted'.txt")
    return {"experiment_id": experiment_id, "run_id": run_id}


def artifacts(uri: str, experiment: str) -> str:
    """A run with a file of every kind that is shown in place."""
    import numpy as np

    mlflow.set_tracking_uri(uri)
    mlflow.set_experiment(experiment)
    with mlflow.start_run(run_name="with-artifacts") as run, tempfile.TemporaryDirectory() as folder:
        mlflow.log_text("epoch 1\nepoch 2\n", "logs/train.log")
        mlflow.log_text("def train(lr=0.1):\n    return 'done'  # in time\n", "code/train.py")
        mlflow.log_dict({"layers": [1, 2, {"size": 1.0}]}, "conf/config.json")
        rows = "".join(f'row {n},{n * 1.5},"a, ""b"""\n' for n in range(3000))
        mlflow.log_text("name,score,comment\n" + rows, "data/table.csv")
        mlflow.log_text(PAGE, "report.html")
        mlflow.log_text(DRAWING, "plot.svg")
        mlflow.log_text("# Card\n\nA *model*.", "README.md")
        mlflow.log_table({"question": ["what", "why"], "score": [0.5, 0.75]}, "eval/table.json")
        for step in range(3):
            mlflow.log_image(np.full((8, 8, 3), 40 * step, dtype="uint8"), key="sample", step=step)
        mlflow.log_image(np.zeros((16, 16, 3), dtype="uint8"), "confusion_matrix.png")
        for name, data in (("weights.bin", os.urandom(3000)), ("paper.pdf", PAPER), ("beep.wav", BEEP)):
            with open(os.path.join(folder, name), "wb") as file:
                file.write(data)
            mlflow.log_artifact(os.path.join(folder, name))
    return str(run.info.run_id)


PAGE = (
    "<h1>Report</h1><p id=ran></p><script>document.title = 'mine'; document.getElementById('ran').textContent = "
    "'ran in ' + origin; try { parent.document.title = 'theirs' } catch (error) { document.body.append('locked up') }"
    "</script>"
)
DRAWING = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><circle r="9"/><script>alert(1)</script></svg>'
PAPER = (
    b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj 2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj "
    b"3 0 obj<</Type/Page/MediaBox[0 0 99 99]/Parent 2 0 R>>endobj\ntrailer<</Root 1 0 R>>"
)
BEEP = (
    b"RIFF$\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00@\x1f\x00\x00@\x1f\x00\x00\x01\x00\x08\x00"
    b"data\x00\x00\x00\x00"
)


def registry(uri: str, run_id: str) -> None:
    """A registered model with three versions, and a prompt with two."""
    mlflow.set_tracking_uri(uri)
    client = MlflowClient()
    client.create_registered_model("churn", tags={"team": "growth"}, description="Predicts **churn**.")
    source = client.get_run(run_id).info.artifact_uri + "/code"
    for _ in range(3):
        client.create_model_version("churn", source, run_id)
    client.set_registered_model_alias("churn", "champion", "2")
    mlflow.genai.register_prompt(name="summary", template="Summarise {{text}}.\nBe brief.", commit_message="first")
    mlflow.genai.register_prompt(name="summary", template="Summarise {{text}}.\nBe exact.", commit_message="exact")


MLMODEL = """\
flavors:
  python_function:
    loader_module: mlflow.sklearn
  sklearn:
    sklearn_version: 1.5.0
signature:
  inputs: '[{"type": "double", "name": "age", "required": true}]'
  outputs: '[{"type": "long", "required": true}]'
"""


def logged_model(uri: str, experiment: str) -> Dict[str, Any]:
    """A run with a logged model and system metrics."""
    mlflow.set_tracking_uri(uri)
    found = mlflow.set_experiment(experiment)
    client = MlflowClient()
    run_id = client.create_run(found.experiment_id, run_name="trained").info.run_id
    params = {"C": "0.5"}
    model = client.create_logged_model(found.experiment_id, name="classifier", source_run_id=run_id, params=params)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "MLmodel")
        with open(path, "w", encoding="utf-8") as file:
            file.write(MLMODEL)
        client.log_model_artifact(model.model_id, path)
    client.finalize_logged_model(model.model_id, "READY")
    client.log_metric(run_id, "f1", 0.875, model_id=model.model_id)
    client.log_metric(run_id, "system/cpu_utilization_percentage", 42.0)
    return {"experiment_id": found.experiment_id, "run_id": run_id, "model_id": model.model_id}


TASKS = {
    each.__name__: each for each in (sweep, begin, point, metrics, hostile, artifacts, registry, logged_model)
}
