"""Logs one curve through a real MLflow client, slowly: ``live_logger.py ADDRESS STEPS``. Prints the run's id first."""

import sys
import time

import mlflow

mlflow.set_tracking_uri(sys.argv[1])
with mlflow.start_run() as run:
    mlflow.log_metric("growing", 1.0, step=0)
    print(run.info.run_id, flush=True)
    for step in range(1, int(sys.argv[2])):
        sys.stdin.readline()
        mlflow.log_metric("growing", 1.0 / step, step=step)
        print(time.time(), flush=True)
