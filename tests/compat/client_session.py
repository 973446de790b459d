"""What users do with a real MLflow client, step by step, with the values they must see.

Runs under the Python of an MLflow environment. Each scenario takes a tracking URI and a name for its own experiments,
asserts as it goes and returns a summary. What only one version has is decided here.
"""

import math
import os
import tempfile
import time
from typing import Any, Callable, Dict, List

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag, ViewType
from mlflow.exceptions import MlflowException

T = 1700000000000
IS_3 = int(mlflow.__version__.split(".")[0]) >= 3
SCENARIOS: Dict[str, Callable[[str, str], Dict[str, Any]]] = {}

Scenario = Callable[[str, str], Dict[str, Any]]


def scenario(function: Scenario) -> Scenario:
    """Keep a scenario by its name."""
    SCENARIOS[function.__name__] = function
    return function


def version() -> str:
    """The version of the MLflow in use."""
    return str(mlflow.__version__)


def refused(code: str, function: Callable[..., Any], *words: Any, **fields: Any) -> str:
    """Call what must be refused with ``code``; the text of the error."""
    try:
        result = function(*words, **fields)
    except MlflowException as error:
        assert error.error_code == code, (error.error_code, str(error))
        return str(error)
    raise AssertionError(f"{function} should have been refused with {code}, gave {result!r}")


def every_page(search: Callable[..., Any], **fields: Any) -> List[Any]:
    """All pages of a search; there must be an end to them."""
    pages: List[Any] = []
    token = None
    for _ in range(50):
        pages.append(search(page_token=token, **fields))
        token = pages[-1].token
        if not token:
            return pages
    raise AssertionError("more than 50 pages")


@scenario
def experiments(uri: str, name: str) -> Dict[str, Any]:
    """Create, find, tag, rename, delete and restore experiments."""
    mlflow.set_tracking_uri(uri)
    client = MlflowClient()
    made = mlflow.set_experiment(name)
    assert mlflow.set_experiment(name).experiment_id == made.experiment_id
    assert mlflow.set_experiment(experiment_id=made.experiment_id).name == name
    assert made.lifecycle_stage == "active" and abs(made.creation_time / 1000 - time.time()) < 3600
    other = mlflow.create_experiment(name + " other", tags={"team": "blau ü", "n": "1"})
    assert client.get_experiment(other).tags == {"team": "blau ü", "n": "1"}
    refused("RESOURCE_ALREADY_EXISTS", mlflow.create_experiment, name)
    client.set_experiment_tag(other, "team", "red")
    mlflow.set_experiment_tags({"a": "1", "b": "2"})
    assert mlflow.get_experiment(made.experiment_id).tags == {"a": "1", "b": "2"}
    assert client.get_experiment_by_name(name + " other").tags["team"] == "red"
    assert client.get_experiment_by_name("nobody has this name") is None
    client.rename_experiment(other, name + " renamed")
    assert client.get_experiment_by_name(name + " other") is None
    client.delete_experiment(other)
    assert client.get_experiment(other).lifecycle_stage == "deleted"
    refused("RESOURCE_ALREADY_EXISTS", mlflow.create_experiment, name + " renamed")
    refused("INVALID_PARAMETER_VALUE", mlflow.set_experiment, name + " renamed")
    client.restore_experiment(other)
    found = client.search_experiments(filter_string=f"name LIKE '{name}%' AND tags.team = 'red'")
    assert [each.experiment_id for each in found] == [other]
    return {"names": [each.name for each in client.search_experiments(
        filter_string=f"name LIKE '{name}%'", order_by=["name DESC"])]}


@scenario
def pages_of_experiments(uri: str, name: str) -> Dict[str, Any]:
    """Follow the pages of search_experiments to the end."""
    client = MlflowClient(uri)
    made = [client.create_experiment(f"{name} {at:02d}") for at in range(23)]
    client.delete_experiment(made[3])
    found = every_page(
        client.search_experiments, max_results=5, filter_string=f"name LIKE '{name} %'", order_by=["name"],
        view_type=ViewType.ALL)
    seen = [each.name for page in found for each in page]
    assert seen == [f"{name} {at:02d}" for at in range(23)], seen
    active = mlflow.MlflowClient(uri).search_experiments(filter_string=f"name LIKE '{name} %'")
    return {"pages": len(found), "all": len(seen), "active": len(active)}


@scenario
def fluent_run(uri: str, name: str) -> Dict[str, Any]:
    """A run as in the first example of every tutorial, read back."""
    mlflow.set_tracking_uri(uri)
    mlflow.set_experiment(name)
    with mlflow.start_run(description="a note", tags={"team": "blue"}) as run:
        assert mlflow.log_param("lr", 0.1) == 0.1
        mlflow.log_params({"layers": 3, "optimizer": "adam", "long": "p" * 3000})
        for step in range(10):
            mlflow.log_metric("loss", 1 / (step + 1), step=step)
        mlflow.log_metrics({"acc": 0.5, "f1": math.nan}, step=3)
        mlflow.set_tag("a", "1")
        mlflow.set_tags({"a": 2, "b/c": "ü\n漢"})
        mlflow.log_param("lr", 0.1)
        refused("INVALID_PARAMETER_VALUE", mlflow.log_param, "lr", 0.2)
    found = mlflow.get_run(run.info.run_id)
    assert found.info.status == "FINISHED" and found.info.end_time >= found.info.start_time
    assert found.info.run_name == found.data.tags["mlflow.runName"] == run.info.run_name != ""
    assert found.data.params == {"lr": "0.1", "layers": "3", "optimizer": "adam", "long": "p" * 3000}
    assert found.data.metrics["loss"] == 0.1 and found.data.metrics["acc"] == 0.5
    assert math.isnan(found.data.metrics["f1"])
    assert found.data.tags["a"] == "2" and found.data.tags["b/c"] == "ü\n漢"
    assert found.data.tags["mlflow.note.content"] == "a note" and found.data.tags["mlflow.user"]
    with mlflow.start_run(run_id=run.info.run_id):
        assert mlflow.active_run().info.status == "RUNNING"
        mlflow.log_metric("loss", 0.01, step=10)
    history = MlflowClient().get_metric_history(run.info.run_id, "loss")
    assert [point.step for point in history] == list(range(11))
    assert [point.value for point in history] == [1 / (step + 1) for step in range(10)] + [0.01]
    return {"tags": sorted(key for key in found.data.tags if not key.startswith("mlflow.")),
            "artifact_uri": found.info.artifact_uri.split("/")[-1], "last": mlflow.last_active_run().info.status}


@scenario
def nested_and_failed(uri: str, name: str) -> Dict[str, Any]:
    """Runs in runs, a run that raises, one that was killed."""
    mlflow.set_tracking_uri(uri)
    mlflow.set_experiment(name)
    with mlflow.start_run(run_name="parent") as parent:
        for at in range(3):
            with mlflow.start_run(run_name=f"child {at}", nested=True) as child:
                mlflow.log_metric("at", at)
        try:
            with mlflow.start_run(run_name="unlucky", nested=True) as failed:
                raise RuntimeError("on purpose")
        except RuntimeError:
            assert mlflow.get_run(failed.info.run_id).info.status == "FAILED"
    killed = mlflow.start_run(run_name="killed")
    mlflow.end_run("KILLED")
    text = f"tags.mlflow.parentRunId = '{parent.info.run_id}'"
    found = MlflowClient().search_runs([parent.info.experiment_id], text, order_by=["attributes.run_name"])
    assert mlflow.get_run(child.info.run_id).data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert mlflow.get_parent_run(child.info.run_id).info.run_id == parent.info.run_id
    return {"children": [[run.info.run_name, run.info.status] for run in found],
            "killed": mlflow.get_run(killed.info.run_id).info.status,
            "parent": mlflow.get_run(parent.info.run_id).info.status}


@scenario
def asynchronous(uri: str, name: str) -> Dict[str, Any]:
    """Metrics, params and tags logged from MLflow's own threads."""
    mlflow.set_tracking_uri(uri)
    mlflow.set_experiment(name)
    with mlflow.start_run() as run:
        for step in range(300):
            mlflow.log_metric("m", step * 0.5, step=step, synchronous=False)
        for at in range(40):
            mlflow.log_param(f"p{at}", at, synchronous=False)
        mlflow.log_metrics({f"k{at}": at for at in range(50)}, step=1, synchronous=False)
        waiting = mlflow.log_params({f"q{at}": at for at in range(20)}, synchronous=False)
        mlflow.set_tags({"a": "1", "b": "2"}, synchronous=False)
        last = mlflow.set_tag("c", "3", synchronous=False)
        waiting.wait()
        last.wait()
        mlflow.flush_async_logging()
    found = mlflow.get_run(run.info.run_id)
    history = MlflowClient().get_metric_history(run.info.run_id, "m")
    assert [point.value for point in history] == [step * 0.5 for step in range(300)]
    assert {key: found.data.tags[key] for key in "abc"} == {"a": "1", "b": "2", "c": "3"}
    return {"points": len(history), "params": len(found.data.params), "metrics": len(found.data.metrics)}


@scenario
def batches(uri: str, name: str) -> Dict[str, Any]:
    """log_batch up to its limits, and beyond them."""
    client = MlflowClient(uri)
    run = client.create_run(client.create_experiment(name), start_time=T).info.run_id
    client.log_batch(run, metrics=[Metric("m", at / 7, T + at, at) for at in range(1000)])
    client.log_batch(run, metrics=[Metric(f"k/{at}", at, T, -at) for at in range(800)],
                     params=[Param(f"p{at}", "x" * at) for at in range(100)],
                     tags=[RunTag(f"t{at}", "ü" * at) for at in range(100)])
    refused("INVALID_PARAMETER_VALUE", client.log_batch, run, params=[Param("p5", "other")])
    found = client.get_run(run)
    assert found.data.metrics["m"] == 999 / 7 and found.data.metrics["k/799"] == 799
    assert found.data.params["p99"] == "x" * 99 and found.data.tags["t99"] == "ü" * 99
    assert [point.value for point in client.get_metric_history(run, "m")] == [at / 7 for at in range(1000)]
    return {"metrics": len(found.data.metrics), "params": len(found.data.params)}


@scenario
def long_history(uri: str, name: str) -> Dict[str, Any]:
    """A history that the client of MLflow 3 reads in two pages."""
    client = MlflowClient(uri)
    run = client.create_run(client.create_experiment(name), start_time=T).info.run_id
    count = 26000
    for start in range(0, count, 1000):
        client.log_batch(run, metrics=[Metric("m", at * 0.25, T + at, at) for at in range(start, start + 1000)])
    points = client.get_metric_history(run, "m")
    assert [point.step for point in points] == list(range(count))
    assert all(point.value == point.step * 0.25 and point.timestamp == T + point.step for point in points)
    return {"points": len(points), "current": client.get_run(run).data.metrics["m"]}


@scenario
def data_frame(uri: str, name: str) -> Dict[str, Any]:
    """search_runs as a pandas DataFrame, with filters and orders."""
    mlflow.set_tracking_uri(uri)
    client = MlflowClient()
    experiment = client.create_experiment(name)
    for at in range(12):
        run = client.create_run(experiment, start_time=T + at, run_name=f"r{at:02d}", tags={"parity": str(at % 2)})
        client.log_param(run.info.run_id, "at", at)
        if at % 3:
            client.log_metric(run.info.run_id, "score", math.nan if at == 7 else at / 10)
        client.set_terminated(run.info.run_id, "FAILED" if at == 5 else "FINISHED", end_time=T + 100 + at)
    frame = mlflow.search_runs([experiment])
    assert list(frame["tags.mlflow.runName"]) == [f"r{at:02d}" for at in reversed(range(12))]
    expected = {"run_id", "status", "start_time", "end_time", "metrics.score", "params.at", "tags.parity"}
    assert expected <= set(frame.columns)
    assert str(frame["start_time"].dtype).startswith("datetime64") and frame["metrics.score"].isna().sum() == 5
    text = "metrics.score > 0.2 AND tags.parity = '0'"
    best = mlflow.search_runs([experiment], text, order_by=["metrics.score DESC"])
    ordered = mlflow.search_runs([experiment], order_by=["metrics.score DESC"], output_format="list")
    failed = mlflow.search_runs(experiment_names=[name], filter_string="status = 'FAILED'")
    some = mlflow.search_runs([experiment], "params.at LIKE '1%'")
    return {"best": list(best["params.at"]), "order": [run.data.params["at"] for run in ordered],
            "failed": list(failed["tags.mlflow.runName"]), "like": sorted(some["params.at"]), "rows": len(frame)}


@scenario
def pages_of_runs(uri: str, name: str) -> Dict[str, Any]:
    """Follow the pages of search_runs to the end, in several orders."""
    client = MlflowClient(uri)
    experiment = client.create_experiment(name)
    for at in range(60):
        run = client.create_run(experiment, start_time=T + at // 4, run_name=f"r{at}").info.run_id
        client.log_batch(run, metrics=[Metric("m", at % 7, T, 0)] if at % 5 else [], params=[Param("p", str(at))])
    pages = {}
    for order in (["metrics.m DESC"], ["params.p"], [], ["attributes.start_time ASC"], ["tags.nobody", "metrics.m"]):
        found = every_page(client.search_runs, experiment_ids=[experiment], max_results=7, order_by=order)
        seen = [run.info.run_id for page in found for run in page]
        whole = [run.info.run_id for run in client.search_runs([experiment], order_by=order)]
        assert seen == whole and len(set(seen)) == 60, order
        pages[",".join(order)] = len(found)
    return {"pages": pages}


@scenario
def inputs(uri: str, name: str) -> Dict[str, Any]:
    """log_input with real datasets, and searching for them."""
    import numpy
    import pandas

    mlflow.set_tracking_uri(uri)
    experiment = mlflow.set_experiment(name).experiment_id
    frame = pandas.DataFrame({"x": [1, 2, 3], "y": [0.1, 0.2, 0.3]})
    table = mlflow.data.from_pandas(frame, source="https://example.com/table.csv", name="table", targets="y")
    array = mlflow.data.from_numpy(numpy.arange(12).reshape(3, 4), source="https://example.com/array.npy", name="array")
    with mlflow.start_run() as run:
        mlflow.log_input(table, context="training")
        mlflow.log_input(array, context="eval", tags={"split": "a"})
        mlflow.log_input(table, context="training")
    with mlflow.start_run() as other:
        mlflow.log_input(table, context="testing")
    found = mlflow.get_run(run.info.run_id).inputs.dataset_inputs
    by_name = {each.dataset.name: each for each in found}
    assert by_name["table"].dataset.digest == table.digest and "mlflow_colspec" in by_name["table"].dataset.schema
    assert {tag.key: tag.value for tag in by_name["array"].tags} == {"split": "a", "mlflow.data.context": "eval"}

    def where(text: str) -> List[str]:
        runs = MlflowClient().search_runs([experiment], text, order_by=["start_time ASC"])
        return [each.info.run_id for each in runs]

    assert where(f"datasets.digest = '{table.digest}'") == [run.info.run_id, other.info.run_id]
    assert where("dataset.context = 'eval'") == [run.info.run_id]
    return {"inputs": sorted(by_name), "sources": sorted(each.dataset.source_type for each in found)}


@scenario
def lifecycle(uri: str, name: str) -> Dict[str, Any]:
    """Delete and restore runs; what a deleted run refuses."""
    client = MlflowClient(uri)
    experiment = client.create_experiment(name)
    keep, drop = (client.create_run(experiment, run_name=word, start_time=T).info.run_id for word in ("keep", "drop"))
    client.log_metric(drop, "m", 1.5, step=2)
    client.delete_run(drop)
    assert client.get_run(drop).info.lifecycle_stage == "deleted"
    refused("INVALID_PARAMETER_VALUE", client.log_metric, drop, "m", 1)
    refused("INVALID_PARAMETER_VALUE", client.log_param, drop, "p", 1)
    refused("INVALID_PARAMETER_VALUE", client.set_tag, drop, "t", 1)
    refused("INVALID_PARAMETER_VALUE", client.log_batch, drop, metrics=[Metric("m", 1.0, T, 0)])

    def seen(view: int) -> List[str]:
        return sorted(run.info.run_name for run in client.search_runs([experiment], run_view_type=view))

    views = {"active": seen(ViewType.ACTIVE_ONLY), "deleted": seen(ViewType.DELETED_ONLY), "all": seen(ViewType.ALL)}
    client.restore_run(drop)
    client.log_metric(drop, "m", 2.5, step=3)
    assert [point.value for point in client.get_metric_history(drop, "m")] == [1.5, 2.5]
    client.delete_experiment(experiment)
    assert client.get_run(keep).info.lifecycle_stage == "deleted"
    refused("INVALID_PARAMETER_VALUE", client.create_run, experiment)
    client.restore_experiment(experiment)
    assert client.get_run(keep).info.lifecycle_stage == "active"
    return views


@scenario
def names_and_tags(uri: str, name: str) -> Dict[str, Any]:
    """A run's name and its tag are one; set_terminated; delete_tag."""
    client = MlflowClient(uri)
    run = client.create_run(client.create_experiment(name), run_name="first", start_time=T).info.run_id
    names = [client.get_run(run).info.run_name]
    client.update_run(run, name="second")
    names.append(client.get_run(run).data.tags["mlflow.runName"])
    client.set_tag(run, "mlflow.runName", "third")
    names.append(client.get_run(run).info.run_name)
    client.update_run(run, status="SCHEDULED")
    states = [client.get_run(run).info.status]
    client.set_terminated(run, "FAILED", end_time=T + 5)
    found = client.get_run(run)
    states.append(found.info.status)
    assert found.info.end_time == T + 5 and found.info.run_name == "third"
    client.set_tag(run, "gone", "x")
    client.delete_tag(run, "gone")
    assert "gone" not in client.get_run(run).data.tags
    refused("RESOURCE_DOES_NOT_EXIST", client.delete_tag, run, "gone")
    return {"names": names, "states": states}


@scenario
def errors(uri: str, name: str) -> Dict[str, Any]:
    """What goes wrong arrives as MlflowException with the right code, at once."""
    client = MlflowClient(uri)
    experiment = client.create_experiment(name)
    run = client.create_run(experiment, start_time=T).info.run_id
    began = time.monotonic()
    nobody = "f" * 32
    refused("RESOURCE_DOES_NOT_EXIST", client.get_run, nobody)
    refused("RESOURCE_DOES_NOT_EXIST", client.get_experiment, "987654321")
    refused("RESOURCE_DOES_NOT_EXIST", client.log_metric, nobody, "m", 1)
    refused("RESOURCE_DOES_NOT_EXIST", client.delete_experiment, "987654321")
    refused("RESOURCE_DOES_NOT_EXIST", client.delete_run, nobody)
    refused("RESOURCE_DOES_NOT_EXIST", client.create_run, "987654321")
    refused("INVALID_PARAMETER_VALUE", client.search_runs, [experiment], "metrics.x ~ 3")
    refused("INVALID_PARAMETER_VALUE", client.search_runs, [experiment], "nonsense")
    refused("INVALID_PARAMETER_VALUE", client.search_experiments, filter_string="nonsense = 3")
    refused("INVALID_PARAMETER_VALUE", client.log_param, run, "bad#key", "x")
    refused("INVALID_PARAMETER_VALUE", client.log_metric, run, "../escape", 1)
    refused("INVALID_PARAMETER_VALUE", client.log_metric, run, "k" * 300, 1)
    refused("INVALID_PARAMETER_VALUE", client.set_tag, run, "k" * 300, "x")
    refused("INVALID_PARAMETER_VALUE", client.search_runs, [experiment], page_token="rubbish")
    refused("BAD_REQUEST", client.rename_experiment, experiment, "Default")
    assert client.get_metric_history(run, "nobody logged this") == []
    # Retried answers would have taken minutes.
    return {"quick": time.monotonic() - began < 30}


@scenario
def autolog(uri: str, name: str) -> Dict[str, Any]:
    """scikit-learn's autologging, without models; its drawing of the estimator goes to a folder, past the server."""
    import numpy
    from sklearn.linear_model import LinearRegression

    mlflow.set_tracking_uri(uri)
    mlflow.create_experiment(name, artifact_location=tempfile.mkdtemp(dir=os.getcwd()))
    mlflow.set_experiment(name)
    mlflow.sklearn.autolog(log_models=False, log_input_examples=False, log_model_signatures=False, silent=True)
    try:
        with mlflow.start_run() as run:
            rows = numpy.array([[float(at), float(at * at % 7)] for at in range(20)])
            target = 2 * rows[:, 0] + rows[:, 1]
            assert LinearRegression().fit(rows, target).score(rows, target) > 0.99
    finally:
        mlflow.sklearn.autolog(disable=True)
    found = mlflow.get_run(run.info.run_id)
    assert found.data.params["fit_intercept"] == "True" and found.data.tags["estimator_name"] == "LinearRegression"
    assert found.data.metrics["training_r2_score"] > 0.99
    return {"metrics": sorted(found.data.metrics), "status": found.info.status,
            "datasets": len(found.inputs.dataset_inputs)}


@scenario
def models_in_and_out(uri: str, name: str) -> Dict[str, Any]:
    """Model inputs and outputs of a run (MLflow 3 only)."""
    if not IS_3:
        return {"inputs": ["m-in"], "outputs": [["m-out", 4]]}
    from mlflow.entities import LoggedModelInput, LoggedModelOutput

    client = MlflowClient(uri)
    run = client.create_run(client.create_experiment(name), start_time=T).info.run_id
    client.log_inputs(run, models=[LoggedModelInput("m-in")])
    client.log_outputs(run, [LoggedModelOutput("m-out", 4)])
    found = client.get_run(run)
    return {"inputs": [each.model_id for each in found.inputs.model_inputs],
            "outputs": [[each.model_id, each.step] for each in found.outputs.model_outputs]}
