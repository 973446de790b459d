"""The first five minutes: log a run, find it again.

    python3 trackd.pyz server                            # in one terminal
    PYTHONPATH=trackd.pyz python3 quickstart.py          # in another

With MLflow's own package instead: write ``import mlflow``.
"""

import math

import trackd.client as mlflow

mlflow.set_experiment("quickstart")
with mlflow.start_run(run_name="first") as run:
    mlflow.log_params({"lr": 0.1, "batch": 32})
    for step in range(100):
        mlflow.log_metric("loss", math.exp(-step / 20), step=step, synchronous=False)
    mlflow.set_tag("stage", "try-out")

best = mlflow.search_runs(filter_string="metrics.loss < 0.5", order_by=["metrics.loss ASC"])
print("runs with a loss below 0.5:", [each.info.run_name for each in best])
print(f"look at it: {mlflow.get_tracking_uri()}, run {run.info.run_id}")
