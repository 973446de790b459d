"""Files of a run: text, tables, a folder; listed and fetched again.

    PYTHONPATH=trackd.pyz python3 artifacts.py
"""

import json
import tempfile
from pathlib import Path

import trackd.client as mlflow

mlflow.set_experiment("artifacts")
with mlflow.start_run() as run:
    mlflow.log_text("what was tried, and why", "notes/readme.txt")
    mlflow.log_dict({"lr": 0.1, "layers": [64, 64]}, "config.json")
    mlflow.log_table({"question": ["2 + 2", "3 * 3"], "answer": [4, 9]}, "answers.json")
    mlflow.log_image([[x * y % 256 for x in range(64)] for y in range(64)], "pattern.png")
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "weights.bin").write_bytes(bytes(1000))
        mlflow.log_artifacts(folder, "model")

for each in mlflow.list_artifacts(run_id=run.info.run_id):
    print(each.path, "(folder)" if each.is_dir else f"{each.file_size} bytes")
path = mlflow.download_artifacts(run_id=run.info.run_id, artifact_path="config.json")
print("config:", json.loads(Path(path).read_text()))
