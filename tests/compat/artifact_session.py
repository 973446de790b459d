"""What users do with artifacts and a real MLflow client; runs under the Python of an MLflow environment.

Each task takes a tracking URI and a name for its experiment, asserts as it goes and returns a summary.
"""

import hashlib
import os
import tempfile
import time
from typing import Any, Callable, Dict, List

import mlflow
from mlflow import MlflowClient

TASKS: Dict[str, Callable[..., Any]] = {}

#: Names that survive the client's own way of writing URLs, which knows no '?' and '#' and reads %20 as a blank.
ODD = ["a b", "ü日本", "100%", "a+b", "a&b=c", "semi;colon", "quo'te", "(1)", "-rf", "..a", "n" * 255]


def task(function: Callable[..., Any]) -> Callable[..., Any]:
    """Keep a task by its name."""
    TASKS[function.__name__.replace("_", " ")] = function
    return function


def random_file(folder: str, name: str, size: int) -> str:
    """A file of random bytes; its path."""
    path = os.path.join(folder, name)
    block = os.urandom(min(size, 1 << 20))
    with open(path, "wb") as file:
        for at in range(0, size, len(block)):
            file.write(at.to_bytes(8, "big") + block[8 : size - at])
    return path


def digest(path: str) -> str:
    """The hash of a file's content."""
    total = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            total.update(block)
    return total.hexdigest()


def tree(folder: str) -> Dict[str, str]:
    """The path of every file of a folder and its hash."""
    return {
        os.path.relpath(os.path.join(where, name), folder).replace(os.sep, "/"): digest(os.path.join(where, name))
        for where, _, names in os.walk(folder)
        for name in names
    }


@task
def log_all_kinds(uri: str, name: str) -> Dict[str, Any]:
    """log_artifact(s), log_text, log_dict, log_image, log_figure, log_table, and back."""
    import matplotlib
    import numpy

    matplotlib.use("agg")
    from matplotlib import pyplot

    mlflow.set_tracking_uri(uri)
    mlflow.set_experiment(name)
    with tempfile.TemporaryDirectory() as folder, mlflow.start_run() as run:
        mlflow.log_text("a text, ü", "texts/a.txt")
        mlflow.log_dict({"a": [1, 2.5, None]}, "d.json")
        mlflow.log_dict({"b": {"c": "x"}}, "d.yaml")
        mlflow.log_image(numpy.zeros((8, 8, 3), dtype=numpy.uint8), "black.png")
        figure, axes = pyplot.subplots()
        axes.plot([1, 2])
        mlflow.log_figure(figure, "figures/line.png")
        mlflow.log_table({"x": [1, 2], "y": ["a", "b"]}, "table.json")
        mlflow.log_table({"x": [3], "y": ["c"]}, "table.json")
        mlflow.log_artifact(random_file(folder, "one.bin", 100_000), "files")
        os.makedirs(os.path.join(folder, "many", "deeper"))
        for index in range(60):
            random_file(os.path.join(folder, "many"), f"{index:02}.bin", 50 + index)
        for odd in ODD:
            random_file(os.path.join(folder, "many", "deeper"), odd, 20)
        open(os.path.join(folder, "many", "empty"), "wb").close()
        mlflow.log_artifacts(os.path.join(folder, "many"), "many")
        run_id = run.info.run_id
        assert mlflow.artifacts.load_text(f"runs:/{run_id}/texts/a.txt") == "a text, ü"
        assert mlflow.artifacts.load_dict(f"runs:/{run_id}/d.json") == {"a": [1, 2.5, None]}
        assert mlflow.artifacts.load_image(f"runs:/{run_id}/black.png").size == (8, 8)
        assert list(mlflow.load_table("table.json", run_ids=[run_id])["x"]) == [1, 2, 3]
        target = os.path.join(folder, "back")
        mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path="many", dst_path=target)
        assert tree(os.path.join(target, "many")) == tree(os.path.join(folder, "many"))
        one = mlflow.artifacts.download_artifacts(artifact_uri=run.info.artifact_uri + "/files/one.bin")
        assert digest(one) == digest(os.path.join(folder, "one.bin"))
    client = MlflowClient(uri)
    assert client.list_artifacts(run_id, "d.json") == []
    deeper = [each.path.rpartition("/")[2] for each in client.list_artifacts(run_id, "many/deeper")]
    assert sorted(deeper) == sorted(ODD), deeper
    return {"root": [each.path for each in client.list_artifacts(run_id)]}


@task
def large_file(uri: str, name: str, size: int, multipart: bool) -> Dict[str, Any]:
    """Log a large file, in parts or not, and download it again."""
    settings = {"MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD": "true" if multipart else "false"}
    if size < 1 << 30:
        settings["MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE"] = str(1 << 20)
        settings["MLFLOW_MULTIPART_UPLOAD_CHUNK_SIZE"] = str(5 << 20)
    os.environ.update(settings)
    try:
        mlflow.set_tracking_uri(uri)
        mlflow.set_experiment(name)
        with tempfile.TemporaryDirectory() as folder, mlflow.start_run() as run:
            path = random_file(folder, "large.bin", size)
            start = time.monotonic()
            mlflow.log_artifact(path, "models")
            sent = time.monotonic()
            back = mlflow.artifacts.download_artifacts(
                run_id=run.info.run_id, artifact_path="models/large.bin", dst_path=os.path.join(folder, "back")
            )
            end = time.monotonic()
            assert digest(back) == digest(path)
        (found,) = MlflowClient(uri).list_artifacts(run.info.run_id, "models")
        assert (found.path, found.file_size) == ("models/large.bin", size)
        return {"up": sent - start, "down": end - sent, "artifact_uri": run.info.artifact_uri}
    finally:
        for variable in settings:
            del os.environ[variable]


@task
def command_line(uri: str, name: str) -> Dict[str, Any]:
    """``mlflow artifacts`` log-artifact, log-artifacts, list and download."""
    mlflow.set_tracking_uri(uri)
    client = MlflowClient(uri)
    run_id = client.create_run(client.create_experiment(name)).info.run_id
    from click.testing import CliRunner
    from mlflow.store.artifact.cli import commands

    def artifacts(*words: str) -> str:
        # In this process: to start another one takes the time of everything else together.
        done = CliRunner().invoke(commands, words, env={"MLFLOW_TRACKING_URI": uri}, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return str(done.output)

    with tempfile.TemporaryDirectory() as folder:
        os.mkdir(os.path.join(folder, "d"))
        path = random_file(os.path.join(folder, "d"), "a.bin", 3000)
        artifacts("log-artifact", "--local-file", path, "--run-id", run_id, "--artifact-path", "one")
        artifacts("log-artifacts", "--local-dir", os.path.join(folder, "d"), "--run-id", run_id)
        listed = artifacts("list", "--run-id", run_id)
        assert '"a.bin"' in listed and '"one"' in listed
        os.mkdir(os.path.join(folder, "back"))
        artifacts("download", "--run-id", run_id, "--artifact-path", "one", "--dst-path", os.path.join(folder, "back"))
        assert digest(os.path.join(folder, "back", "one", "a.bin")) == digest(path)
    return {}


@task
def location(uri: str, name: str, artifact_location: str) -> Dict[str, Any]:
    """An experiment with a location of its own: log, list and download there."""
    mlflow.set_tracking_uri(uri)
    experiment = mlflow.create_experiment(name, artifact_location=artifact_location)
    with mlflow.start_run(experiment_id=experiment) as run:
        mlflow.log_text("there", "a/b.txt")
        assert mlflow.artifacts.load_text(run.info.artifact_uri + "/a/b.txt") == "there"
    client = MlflowClient(uri)
    listed = [each.path for each in client.list_artifacts(run.info.run_id, "a")]
    return {"artifact_uri": run.info.artifact_uri, "run_id": run.info.run_id, "listed": listed}


@task
def delete(uri: str, name: str) -> List[str]:
    """Delete the artifacts of a run through its repository, as ``mlflow gc`` does."""
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    mlflow.set_tracking_uri(uri)
    mlflow.set_experiment(name)
    with mlflow.start_run() as run:
        mlflow.log_text("x", "a/b.txt")
        mlflow.log_text("x", "c.txt")
    repository = get_artifact_repository(run.info.artifact_uri)
    repository.delete_artifacts("a")
    left = [each.path for each in repository.list_artifacts()]
    repository.delete_artifacts()
    return left + [each.path for each in repository.list_artifacts()]
