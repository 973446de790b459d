"""What users do with models and prompts through a real MLflow client, with the values they must see.

Runs under the Python of an MLflow environment. ``uri`` is a server, or a folder or database for MLflow's own store;
each scenario makes an experiment and registered models whose names begin with ``name``, asserts as it goes, and returns
a summary, which must be the same for all stores. What only one version has is decided here.
"""

import os
import tempfile
import warnings
from typing import Any, Callable, Dict, List

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

IS_3 = int(mlflow.__version__.split(".")[0]) >= 3
T = 1700000000000
SCENARIOS: Dict[str, Callable[[str, str], Dict[str, Any]]] = {}

# Only a guess at what a model needs, for which it starts a Python for every model.
os.environ["MLFLOW_REQUIREMENTS_INFERENCE_TIMEOUT"] = "1"
warnings.filterwarnings("ignore")

Scenario = Callable[[str, str], Dict[str, Any]]


def scenario(function: Scenario) -> Scenario:
    """Keep a scenario by its name."""
    SCENARIOS[function.__name__] = function
    return function


def start(uri: str, name: str) -> MlflowClient:
    """Point the fluent API and a client at a store, in an experiment of that name."""
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    mlflow.set_experiment(name)
    return MlflowClient(uri)


def trained() -> Any:
    """A classifier, its inputs, and what it says of them."""
    import numpy
    from sklearn.linear_model import LogisticRegression

    rows = numpy.array([[float(at % 5), float(at % 3)] for at in range(30)])
    model = LogisticRegression().fit(rows, (rows[:, 0] > 2).astype(int))
    return model, rows, model.predict(rows).tolist()


def logged(model: Any, rows: Any, **fields: Any) -> Any:
    """Log a model of scikit-learn as ``model`` to the active run."""
    fields["name" if IS_3 else "artifact_path"] = "model"
    return mlflow.sklearn.log_model(model, input_example=rows[:2], pip_requirements=["scikit-learn"], **fields)


def says(model_uri: str, rows: Any) -> List[int]:
    """What the model at a URI predicts, loaded as a plain Python function."""
    return [int(value) for value in mlflow.pyfunc.load_model(model_uri).predict(rows)]


@scenario
def sklearn(uri: str, name: str) -> Dict[str, Any]:
    """Log with a registered name, register again, load by every URI that there is."""
    client = start(uri, name)
    model, rows, wanted = trained()
    with mlflow.start_run() as run:
        info = logged(model, rows, registered_model_name=name)
        mlflow.log_metric("accuracy", 0.75)
    run_uri = f"runs:/{run.info.run_id}/model"
    second = mlflow.register_model(run_uri, name, tags={"by": "hand"})
    assert (int(second.version), second.status, second.tags) == (2, "READY", {"by": "hand"})
    client.set_registered_model_alias(name, "champion", "1")
    client.set_model_version_tag(name, "2", "checked", "yes")
    uris = [run_uri, f"models:/{name}/1", f"models:/{name}/2", f"models:/{name}@champion", f"models:/{name}/latest"]
    if IS_3:
        uris.append(info.model_uri)
        assert info.model_uri == f"models:/{info.model_id}"
        assert int(mlflow.register_model(info.model_uri, name).version) == 3
    for each in uris:
        assert says(each, rows) == wanted, each
    found = mlflow.sklearn.load_model(f"models:/{name}@champion")
    assert found.predict(rows).tolist() == wanted
    first = client.get_model_version(name, "1")
    assert first.run_id == run.info.run_id and list(first.aliases) == ["champion"]
    if IS_3:
        kept = client.get_logged_model(info.model_id)
        assert kept.source_run_id == run.info.run_id and kept.name == "model" and str(kept.status) == "READY"
        assert f'"name": "{name}"' in kept.tags["mlflow.modelVersions"], kept.tags
        outputs = client.get_run(run.info.run_id).outputs.model_outputs
        assert [each.model_id for each in outputs] == [info.model_id]
        assert first.source == f"models:/{info.model_id}"
    versions = client.search_model_versions(f"name = '{name}'")
    latest = client.get_latest_versions(name) if not IS_3 else []
    return {
        "predicted": sum(wanted),
        "versions": sorted(int(each.version) for each in versions)[:2],
        "latest": [int(each.version) for each in latest] if not IS_3 else [2],
    }


@scenario
def stages_and_copies(uri: str, name: str) -> Dict[str, Any]:
    """Stages, a copy of a version under another name, renaming, deletion."""
    client = start(uri, name)
    model, rows, wanted = trained()
    with mlflow.start_run():
        logged(model, rows, registered_model_name=name)
        logged(model, rows, registered_model_name=name)
    client.transition_model_version_stage(name, "1", "Staging")
    assert says(f"models:/{name}/Staging", rows) == wanted
    client.transition_model_version_stage(name, "2", "Staging", archive_existing_versions=True)
    stages = [client.get_model_version(name, version).current_stage for version in ("1", "2")]
    copy = client.copy_model_version(f"models:/{name}/2", name + " copy")
    assert int(copy.version) == 1 and says(f"models:/{name} copy/1", rows) == wanted
    again = client.copy_model_version(f"models:/{name} copy/1", name + " copy")
    assert int(again.version) == 2 and says(f"models:/{name} copy/2", rows) == wanted
    client.rename_registered_model(name, name + " renamed")
    assert says(f"models:/{name} renamed/1", rows) == wanted
    client.delete_model_version(name + " renamed", "1")
    left = [int(each.version) for each in client.search_model_versions(f"name = '{name} renamed'")]
    client.delete_registered_model(name + " copy")
    known = sorted(each.name for each in client.search_registered_models(f"name LIKE '{name}%'"))
    return {"stages": stages, "left": left, "known": [each[len(name) :] for each in known]}


@scenario
def autologged(uri: str, name: str) -> Dict[str, Any]:
    """scikit-learn's autologging with its model, which is then found and loaded."""
    client = start(uri, name)
    from sklearn.linear_model import LogisticRegression

    _, rows, _ = trained()
    target = (rows[:, 0] > 2).astype(int)
    mlflow.sklearn.autolog(log_models=True, registered_model_name=name, silent=True)
    try:
        with mlflow.start_run() as run:
            wanted = LogisticRegression(C=2.0).fit(rows, target).predict(rows).tolist()
    finally:
        mlflow.sklearn.autolog(disable=True)
    found = client.get_run(run.info.run_id)
    assert found.data.params["C"] == "2.0" and found.data.metrics["training_accuracy_score"] > 0.9
    assert says(f"runs:/{run.info.run_id}/model", rows) == says(f"models:/{name}/1", rows) == wanted
    if IS_3:
        (model,) = mlflow.search_logged_models(
            experiment_ids=[found.info.experiment_id], filter_string="metrics.training_accuracy_score > 0.5",
            output_format="list",
        )
        assert model.source_run_id == run.info.run_id and model.params["C"] == "2.0"
        assert {each.key for each in model.metrics} >= {"training_accuracy_score", "training_log_loss"}
        assert all(each.dataset_name == "dataset" and each.run_id == run.info.run_id for each in model.metrics)
        assert says(model.model_uri, rows) == wanted
    return {"metrics": len(found.data.metrics)}


@scenario
def logged_models(uri: str, name: str) -> Dict[str, Any]:
    """MLflow 3's logged models: three of them, compared on two datasets, found, tagged, finalized, deleted."""
    if not IS_3:
        return {"best": [2, 1, 0], "good": [2, 1], "on test": [2], "left": 2}
    client = start(uri, name)
    experiment = client.get_experiment_by_name(name).experiment_id
    with mlflow.start_run() as run:
        models = [
            mlflow.initialize_logged_model(name=f"net-{at}", params={"depth": str(at)}, tags={"of": name})
            for at in range(3)
        ]
        for at, model in enumerate(models):
            for step in range(3):
                mlflow.log_metric("acc", at / 4 + step / 100, step=step, model_id=model.model_id)
            client.log_metric(
                run.info.run_id, "acc", 1 - at / 4, timestamp=T, step=9, model_id=model.model_id, dataset_name="test",
                dataset_digest="d1",
            )
            mlflow.finalize_logged_model(model.model_id, "READY" if at else "FAILED")
    number = {model.model_id: at for at, model in enumerate(models)}

    def search(**fields: Any) -> List[int]:
        found = mlflow.search_logged_models(experiment_ids=[experiment], output_format="list", **fields)
        return [number[each.model_id] for each in found]

    order = [{"field_name": "metrics.acc", "ascending": False}]
    on_test = [{"dataset_name": "test", "dataset_digest": "d1"}]
    summary: Dict[str, Any] = {
        "best": search(order_by=order),
        "good": search(filter_string="params.depth != '0' AND metrics.acc >= 0.25", order_by=order),
        "on test": search(filter_string="metrics.acc < 0.6", datasets=on_test),
    }
    table = mlflow.search_logged_models(experiment_ids=[experiment], filter_string="name = 'net-1'")
    assert len(table) == 1 and table.iloc[0]["params"] == {"depth": "1"}
    for model_id in number:
        assert {each.dataset_name for each in client.get_logged_model(model_id).metrics} == {None, "test"}
    mlflow.set_logged_model_tags(models[1].model_id, {"stage": "candidate"})
    assert search(filter_string="tags.stage = 'candidate'") == [1]
    client.delete_logged_model_tag(models[1].model_id, "stage")
    client.delete_logged_model(models[0].model_id)
    try:
        client.get_logged_model(models[0].model_id)
        raise AssertionError("a deleted model was given")
    except MlflowException as error:
        assert error.error_code == "RESOURCE_DOES_NOT_EXIST"
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "weights ü.bin")
        with open(path, "wb") as file:
            file.write(b"\0weights" * 1000)
        client.log_model_artifacts(models[2].model_id, folder)
        client.log_model_artifact(models[2].model_id, path)
        listed = sorted(each.path for each in client.list_logged_model_artifacts(models[2].model_id))
        assert listed == ["weights ü.bin"], listed
        uri = f"models:/{models[2].model_id}"
        fetched = mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=os.path.join(folder, "out"))
        with open(os.path.join(fetched, "weights ü.bin"), "rb") as found:
            assert found.read() == b"\0weights" * 1000
    summary["left"] = len(search())
    return summary


@scenario
def prompts(uri: str, name: str) -> Dict[str, Any]:
    """Prompts: two versions, an alias, loading by each URI, and no prompt among the models."""
    client = start(uri, name)
    api = mlflow.genai if IS_3 else mlflow
    name = name.replace(" ", "-").replace(".", "-")
    for text in ("Say {{what}}.", "Say {{what}} to {{whom}}, please: ü"):
        prompt = api.register_prompt(name=name, template=text, commit_message="as asked", tags={"lang": "en"})
    assert int(prompt.version) == 2 and prompt.format(what="hi", whom="Ada") == "Say hi to Ada, please: ü"
    api.set_prompt_alias(name, "live", 1)
    loaded = [api.load_prompt(f"prompts:/{name}/1"), api.load_prompt(f"prompts:/{name}@live")]
    assert [each.template for each in loaded] == ["Say {{what}}."] * 2
    assert int(api.load_prompt(f"prompts:/{name}/2").version) == 2
    models = [each.name for each in client.search_registered_models()]
    found = [each.name for each in api.search_prompts(filter_string=f"name = '{name}'")] if IS_3 else [name]
    api.delete_prompt_alias(name, "live")
    return {"hidden": name not in models, "found": len(found)}


def all_of(uri: str, name: str, only: List[str], within: str) -> Dict[str, Any]:
    """Some scenarios, one after the other, with artifacts in the folder ``within``; their summaries."""
    before = os.getcwd()
    os.chdir(within)
    try:
        return {each: SCENARIOS[each](uri, f"{name} {each}") for each in only}
    finally:
        os.chdir(before)


def read_back(uri: str, name: str) -> Dict[str, Any]:
    """What ``sklearn`` and ``logged_models`` left under a name, found and loaded through a store."""
    client = start(uri, name + " reader")
    _, rows, wanted = trained()
    model = f"{name} sklearn"
    (version,) = [each for each in client.search_model_versions(f"name = '{model}'") if each.version in (1, "1")]
    uris = [f"models:/{model}/1", f"models:/{model}@champion", f"runs:/{version.run_id}/model"]
    assert [says(each, rows) for each in uris] == [wanted] * 3
    if IS_3:
        assert version.source.startswith("models:/m-") and says(version.source, rows) == wanted
        experiment = client.get_experiment_by_name(f"{name} logged_models").experiment_id
        found = client.search_logged_models([experiment], filter_string="metrics.acc > 0.1")
        return {"models": sorted(each.name for each in found)}
    return {"models": ["net-1", "net-2"]}
