"""The registry through MLflow's own client: filled and read in a folder, a database or through a server.

Runs under the Python of an MLflow environment, 2.22 or 3.17.2. ``uri`` is where both runs and models are kept.
"""

import warnings
from typing import Any, Callable, Dict, List

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

IS_3 = int(mlflow.__version__.split(".")[0]) >= 3
#: Names and texts at which a YAML file, a path or a query could break.
NAMES = [
    "iris", "ünï 漢字 🙂", "null", "123", "1e5", "- dash", "a #b", " spaces ", "two\nlines", "{a}", "`tick`", "a\\b",
    ".dot", "CON", "Iris", "x" * 200,
]  # fmt: skip
TEXTS = ["", "plain", "one\ntwo\n", "{a: [1]} # x", " spaces ", "long " * 300, "ünï 漢字 🙂", "null"]
# Stages are deprecated, and MLflow says so each time.
warnings.filterwarnings("ignore", category=FutureWarning)


def client_of(uri: str) -> MlflowClient:
    """A client whose runs and models are in one place; MLflow's registries also ask the global one."""
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def fill(uri: str) -> None:
    """Models of all kinds, with versions, tags, aliases, stages, and what has gone again."""
    client = client_of(uri)
    for at, name in enumerate(NAMES):
        client.create_registered_model(name, tags={"at": str(at), "dir/key": TEXTS[at % 8]}, description=TEXTS[at % 8])
        for number in range(1 + at % 3):
            tags = {"k": TEXTS[number], "dir/key": "v"}
            client.create_model_version(name, f"s3://bucket/{at}/{number}", tags=tags, description=TEXTS[number + 1])
        client.set_registered_model_alias(name, "best", "1")
    name = "busy"
    client.create_registered_model(name)
    for _ in range(6):
        client.create_model_version(name, "s3://bucket/m", run_id="a" * 32)
    for number, stage in ((1, "Staging"), (2, "Production"), (3, "Production"), (4, "Archived")):
        client.transition_model_version_stage(name, str(number), stage)
    client.transition_model_version_stage(name, "5", "Production", archive_existing_versions=True)
    client.set_registered_model_alias(name, "gone", "6")
    client.set_registered_model_alias(name, "kept", "5")
    client.delete_model_version(name, "6")
    client.delete_model_version(name, "1")
    client.update_model_version(name, "2", "changed")
    client.set_model_version_tag(name, "2", "t", "1")
    client.set_model_version_tag(name, "2", "t", "2")
    client.set_model_version_tag(name, "3", "t", "1")
    client.delete_model_version_tag(name, "3", "t")
    client.create_registered_model("old name", tags={"t": "1"})
    client.create_model_version("old name", "s3://bucket/m")  # with tags, MLflow's file store fails to rename it
    client.rename_registered_model("old name", "new name")
    client.create_registered_model("dropped")
    client.create_model_version("dropped", "s3://bucket/m")
    client.delete_registered_model("dropped")
    register_prompt("greeting", "Hello {{name}}", commit_message="first", tags={"team": "blue"})
    register_prompt("greeting", "Hi {{name}}", commit_message="second")


def register_prompt(name: str, template: str, **more: Any) -> Any:
    """A new version of a prompt; MLflow 3 has moved the function."""
    return (mlflow.genai if IS_3 else mlflow).register_prompt(name, template, **more)


def load_prompt(name: str, **more: Any) -> Any:
    """A version of a prompt."""
    return (mlflow.genai if IS_3 else mlflow).load_prompt(name, **more)


def dump(uri: str) -> Dict[str, Any]:
    """All that a client finds: each model and version, and some searches in their order."""
    client = client_of(uri)
    models = {each.name: model(each) for each in client.search_registered_models(max_results=1000)}
    for name in models:
        models[name] = model(client.get_registered_model(name))
    found = [
        [f"{each.name}/{each.version}", version(client.get_model_version(each.name, each.version))]
        for each in client.search_model_versions(max_results=10000)
    ]
    # MLflow's clients hide prompts from all but their own functions.
    prompts = [load_prompt(f"prompts:/greeting/{number}") for number in (1, 2)]
    found += [[f"greeting/{each.version}", [each.template, each.commit_message]] for each in prompts]
    searches = [
        [each.name for each in client.search_registered_models(text, order_by=order, max_results=500)]
        for text, order in (
            ("", ["name DESC"]), ("name LIKE 'i%'", []), ("name ILIKE 'I%'", []), ("tags.at = '3'", []),
            ("tags.at != '3'", ["name ASC"]), ("name = 'two\nlines'", []),
        )
    ]
    searches += [
        [f"{each.name}/{each.version}" for each in client.search_model_versions(text, order_by=order)]
        for text, order in (
            ("name = 'busy'", ["version_number ASC"]), ("run_id = '" + "a" * 32 + "'", ["version_number DESC"]),
            ("tags.k = 'plain'", ["name ASC"]), ("source_path LIKE 's3://bucket/1%'", ["name ASC"]),
        )
    ]
    return {"models": models, "versions": sorted(found), "searches": searches}


def model(found: Any) -> List[Any]:
    """A registered model without the times that depend on tags (MLflow's stores differ in that)."""
    latest = sorted([each.current_stage, int(each.version)] for each in found.latest_versions)
    aliases = {alias: int(number) for alias, number in dict(found.aliases).items()}
    # A folder that trackd wrote has the experiment of a prompt from its server, MLflow's own from its client.
    tags = {key: value for key, value in found._tags.items() if key != "_mlflow_experiment_ids"}
    return [found.creation_timestamp, found.description or None, tags, aliases, latest]


def version(found: Any) -> List[Any]:
    """A version; MLflow's stores differ in whether there is nothing or an empty text."""
    return [
        found.creation_timestamp, found.last_updated_timestamp, found.description or None, found.current_stage,
        found.source, found.run_id or None, found.status, sorted(dict(found.tags).items()), sorted(found.aliases),
    ]


def next_number(uri: str, name: str) -> int:
    """The number of a new version."""
    return int(client_of(uri).create_model_version(name, "s3://bucket/m").version)


def story(uri: str, name: str) -> Dict[str, Any]:
    """What a user does with models and prompts, with the values that must be seen."""
    client = client_of(uri)
    with mlflow.start_run() as run:
        mlflow.log_text("flavors: {}\n", "model/MLmodel")
    run_id = run.info.run_id
    artifacts = client.get_run(run_id).info.artifact_uri
    first = mlflow.register_model(f"runs:/{run_id}/model", name, tags={"how": "runs"})
    second = client.create_model_version(name, f"{artifacts}/model", run_id, description="second")
    assert [int(first.version), int(second.version)] == [1, 2] and second.status == "READY"
    refused("INVALID_PARAMETER_VALUE", client.create_model_version, name, "/etc/passwd", run_id)
    refused("RESOURCE_ALREADY_EXISTS", client.create_registered_model, name)
    refused("RESOURCE_DOES_NOT_EXIST", client.get_registered_model, name + " that is not there")
    refused("INVALID_PARAMETER_VALUE", client.set_registered_model_alias, name, "v1", "1")
    refused("INVALID_PARAMETER_VALUE", client.get_model_version_by_alias, name, "nobody")
    client.set_registered_model_alias(name, "champion", "2")
    assert int(client.get_model_version_by_alias(name, "champion").version) == 2
    places = []
    for reference in (f"runs:/{run_id}/model", *(f"models:/{name}{which}" for which in ("/1", "@champion", "/latest"))):
        folder = mlflow.artifacts.download_artifacts(reference)
        with open(f"{folder}/MLmodel", encoding="utf-8") as file:
            places.append(file.read())
    assert places == ["flavors: {}\n"] * 4, places
    client.transition_model_version_stage(name, "1", "Production")
    client.transition_model_version_stage(name, "2", "Production", archive_existing_versions=True)
    stages = {int(each.version): each.current_stage for each in client.search_model_versions(f"name = '{name}'")}
    found = client.get_latest_versions(name, ["Production", "None"])
    latest = [[each.current_stage, int(each.version)] for each in found]
    client.create_registered_model(name + " copy")
    copied = client.copy_model_version(f"models:/{name}/1", name + " other")
    uris = {client.get_model_version_download_uri(name, "1"), client.get_model_version_download_uri(copied.name, "1")}
    assert len(uris) == 1, uris
    client.delete_registered_model_alias(name, "champion")
    client.delete_model_version(name, "2")
    again = client.create_model_version(name, "s3://bucket/m")
    client.rename_registered_model(name, name + " renamed")
    left = client.get_registered_model(name + " renamed")
    prompts = prompt_story(client, name + "-prompt")
    listed = [each.name for each in client.search_registered_models(f"name LIKE '{name}%'")]
    return {
        "stages": sorted(stages.items()), "latest": latest, "copied": [copied.name[len(name):], int(copied.version)],
        "again": int(again.version), "aliases": dict(left.aliases), "prompts": prompts,
        "listed": [each[len(name):] for each in listed],
    }


def prompt_story(client: MlflowClient, name: str) -> List[Any]:
    """Two versions of a prompt, an alias, and both ways to load one."""
    register_prompt(name, "Hello {{who}}", commit_message="one")
    register_prompt(name, "Bye {{who}}", commit_message="two")
    api = mlflow.genai if IS_3 else mlflow
    api.set_prompt_alias(name, alias="prod", version=1)
    loaded = [
        load_prompt(f"prompts:/{name}/1"), load_prompt(f"prompts:/{name}/2"), load_prompt(f"prompts:/{name}@prod"),
    ]
    refused("RESOURCE_ALREADY_EXISTS", client.create_registered_model, name)
    return [[each.template, int(each.version), each.commit_message] for each in loaded]


def refused(code: str, function: Callable[..., Any], *words: Any) -> None:
    """Call what must be refused with this code."""
    try:
        result = function(*words)
    except MlflowException as error:
        assert error.error_code == code, (error.error_code, str(error))
        return
    raise AssertionError(f"{function} should have been refused with {code}, gave {result!r}")


def touch(uri: str, name: str, what: str) -> Any:
    """One write of a script to a model."""
    client = client_of(uri)
    if what == "create":
        return client.create_registered_model(name, tags={"t": "1"}).name
    if what == "version":
        return int(client.create_model_version(name, "s3://bucket/m").version)
    if what == "alias":
        return client.set_registered_model_alias(name, "best", "1")
    if what == "tag":
        return client.set_model_version_tag(name, "1", "t", "there")
    if what == "describe":
        return str(client.update_model_version(name, "1", "there"))
    if what == "delete version":
        return client.delete_model_version(name, "1")
    if what == "rename":
        return str(client.rename_registered_model(name, name + " renamed"))
    return client.delete_registered_model(name)


TASKS: Dict[str, Callable[..., Any]] = {
    "fill": fill, "dump": dump, "story": story, "next number": next_number, "touch": touch,
}
