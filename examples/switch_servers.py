"""One project, two servers, one database: MLflow, then trackd, then MLflow again. Nothing is migrated in between.

Needs an MLflow (2.2 or later) and trackd in the same Python::

    python examples/switch_servers.py my.db

1. A project is logged with MLflow on its own database.
2. ``trackd server`` is started on that database: the old runs are there, and logging and searching go on through it.
3. The server is stopped and MLflow opens the database again: all of it is there, and logging goes on.

After every step the runs, metrics, params and model versions are counted, as MLflow's client sees them and, while the
server runs, as MLflow's own store sees them in the file. They must agree, and they must be as many as were logged.
"""

import os
import re
import subprocess
import sys
from typing import Dict, List

import mlflow
from mlflow import MlflowClient
from mlflow.entities import ViewType

#: What one epoch of work logs.
RUNS, METRICS, POINTS, PARAMS = 4, 3, 25, 5


def main(arguments: List[str]) -> int:
    """Play the project through on the database at the path given; 1 if any count is not as it should be."""
    path = os.path.abspath(arguments[0] if arguments else "project.db")
    if os.path.exists(path):
        print(f"{path} is there already; name a new file")
        return 2
    database = "sqlite:///" + path
    print(f"MLflow {mlflow.__version__}, {database}")
    wrong = 0

    work(database, "with MLflow")
    wrong += compare(1, "logged with MLflow", {"MLflow": database})

    with Server(database) as url:
        wrong += compare(1, "the same through trackd", {"MLflow": database, "trackd": url})
        work(url, "with trackd")
        wrong += compare(2, "went on with trackd", {"MLflow": database, "trackd": url})
        wrong += search(url)
        # Nobody has to stop: a script that writes into the file is seen by the server at once.
        work(database, "beside trackd")
        wrong += compare(3, "a script beside it", {"MLflow": database, "trackd": url})

    work(database, "back with MLflow")
    wrong += compare(4, "back with MLflow", {"MLflow": database})
    wrong += search(database)
    print("all counts agree" if not wrong else f"{wrong} counts are wrong")
    return 1 if wrong else 0


def client_of(uri: str) -> MlflowClient:
    """A client for tracking and registry."""
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def work(uri: str, name: str) -> None:
    """Four runs of an experiment, and a version of a model from each."""
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    mlflow.set_experiment("project")
    client = client_of(uri)
    if not client.search_registered_models("name = 'project-model'"):
        client.create_registered_model("project-model")
    for number in range(RUNS):
        with mlflow.start_run(run_name=f"{name} {number}") as run:
            mlflow.log_params({f"p{at}": at * number for at in range(PARAMS)})
            for step in range(POINTS):
                mlflow.log_metrics({f"m{at}": step / (at + 1) + number for at in range(METRICS)}, step=step)
            mlflow.set_tag("phase", name)
        client.create_model_version("project-model", run.info.artifact_uri + "/model", run.info.run_id)


def counts(uri: str) -> Dict[str, int]:
    """How much a client finds there."""
    client = client_of(uri)
    experiment = client.get_experiment_by_name("project")
    runs = client.search_runs([experiment.experiment_id], run_view_type=ViewType.ALL)
    points = [client.get_metric_history(run.info.run_id, key) for run in runs for key in run.data.metrics]
    return {
        "runs": len(runs),
        "metrics": sum(map(len, points)),
        "params": sum(len(run.data.params) for run in runs),
        "versions": len(client.search_model_versions("name = 'project-model'")),
    }


def compare(rounds: int, step: str, stores: Dict[str, str]) -> int:
    """Print what each store holds after so many rounds of work; how many of the figures are wrong."""
    runs = rounds * RUNS
    expected = {"runs": runs, "metrics": runs * METRICS * POINTS, "params": runs * PARAMS, "versions": runs}
    wrong = 0
    for name, uri in stores.items():
        found = counts(uri)
        wrong += sum(found[kind] != count for kind, count in expected.items())
        print(f"  {step:24} {name:8} " + ", ".join(f"{count} {kind}" for kind, count in found.items()))
    return wrong


def search(uri: str) -> int:
    """The best of all runs, whoever logged them; 1 if it is another than it should be."""
    client = client_of(uri)
    experiment = client.get_experiment_by_name("project")
    filter_string = "metrics.m0 >= 26 AND params.p1 != '0' AND tags.phase LIKE '%MLflow'"
    found = client.search_runs([experiment.experiment_id], filter_string, order_by=["metrics.m0 DESC"])
    best = [run.data.metrics["m0"] for run in found]
    phases = len({run.data.tags["phase"] for run in found})
    print(f"  search: {len(found)} runs, m0 from {max(best)} down to {min(best)}")
    return int(best != sorted(best, reverse=True) or max(best) != 27.0 or len(found) != 2 * phases)


class Server:
    """``trackd server`` on a database, for as long as a ``with`` block lasts."""

    def __init__(self, database: str) -> None:
        command = [sys.executable, "-m", "trackd", "server", "--port", "0", "--backend-store-uri", database]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> str:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            found = re.search(r"http://\S+", line)
            if found:
                return found[0]
        raise SystemExit("trackd did not start")

    def __exit__(self, *unused: object) -> None:
        self.process.terminate()
        self.process.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
