"""From a run to a model that others find by name and alias.

    PYTHONPATH=trackd.pyz python3 registry.py
"""

from pathlib import Path

import trackd.client as mlflow

NAME = "digits"

mlflow.set_experiment("registry")
with mlflow.start_run() as run:
    mlflow.log_metric("accuracy", 0.97)
    mlflow.log_text("the weights", "model/weights.txt")

version = mlflow.register_model(f"runs:/{run.info.run_id}/model", NAME, tags={"accuracy": "0.97"})
client = mlflow.Client()
client.set_registered_model_alias(NAME, "champion", version.version)

champion = client.get_model_version_by_alias(NAME, "champion")
folder = mlflow.download_artifacts(f"models:/{NAME}@champion")
print(f"{NAME}@champion is version {champion.version} of run {champion.run_id}")
print("it holds:", (Path(folder) / "weights.txt").read_text())
