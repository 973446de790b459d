"""A sweep: one parent run, a nested run per setting, the best of them marked.

    PYTHONPATH=trackd.pyz python3 sweep.py
"""

import itertools

import trackd.client as mlflow


def train(lr: float, layers: int) -> float:
    """Stands for a training; logs a loss per step and returns the last one."""
    loss = 1.0
    for step in range(20):
        loss = loss * (1 - lr / layers) + 0.01 * lr * layers
        mlflow.log_metric("loss", loss, step=step, synchronous=False)
    return loss


mlflow.set_experiment("sweep")
with mlflow.start_run(run_name="sweep") as parent:
    for lr, layers in itertools.product((0.01, 0.1, 0.5), (1, 2, 4)):
        with mlflow.start_run(run_name=f"lr={lr} layers={layers}", nested=True):
            mlflow.log_params({"lr": lr, "layers": layers})
            mlflow.log_metric("final", train(lr, layers))

children = mlflow.search_runs(
    filter_string=f"tags.mlflow.parentRunId = '{parent.info.run_id}'", order_by=["metrics.final ASC"]
)
mlflow.Client().set_tag(children[0].info.run_id, "best", "true")
print(f"best of {len(children)}: {children[0].data.params}, loss {children[0].data.metrics['final']:.4f}")
