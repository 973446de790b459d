"""What an MLflow of any release from 2.0 on does with a database, through its client; runs under its Python.

``make`` and ``more`` write, ``dump`` says what is there, and all take a ``sqlite:`` URI (MLflow's own store) or that of
a server. What a release does not have yet is left out.
"""

import math
from typing import Any, Callable, Dict, List

import mlflow
from mlflow import MlflowClient, entities
from mlflow.entities import Metric, Param, RunTag, ViewType

T = 1700000000000
HAS_DATASETS = hasattr(entities, "DatasetInput")
HAS_ALIASES = hasattr(MlflowClient, "set_registered_model_alias")
HAS_LOGGED_MODELS = hasattr(MlflowClient, "create_logged_model")


def client_of(uri: str) -> MlflowClient:
    """A client whose registry is the same store."""
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def features() -> Dict[str, bool]:
    """What this release can do."""
    return {"datasets": HAS_DATASETS, "aliases": HAS_ALIASES, "logged models": HAS_LOGGED_MODELS}


def make(uri: str) -> Dict[str, str]:
    """Experiments, runs and registered models with all that they can have; the ids of some."""
    client = client_of(uri)
    first = client.create_experiment("first: 'quoted' \u00fc \u6f22", tags={"team": "blue", "lines": "a\nb"})
    second = client.create_experiment("second")
    run = client.create_run(first, start_time=T, tags={"mlflow.runName": "one", "t": "x"}).info.run_id
    for step, value in enumerate([0.1, math.nan, math.inf, -math.inf, -0.0, 1 / 3]):
        client.log_metric(run, "odd", value, timestamp=T + step, step=step)
    client.log_metric(run, "back", 2.0, timestamp=T, step=5)
    client.log_metric(run, "back", 1.0, timestamp=T + 1, step=-3)
    points = [Metric("many", at * 0.5, T + at, at) for at in range(200)]
    client.log_batch(run, points, [Param(f"p{at}", str(at)) for at in range(20)], [RunTag("long", "v" * 4000)])
    client.set_terminated(run, "FINISHED", end_time=T + 9)
    gone = client.create_run(first, start_time=T + 1).info.run_id
    client.delete_run(gone)
    client.create_run(second, start_time=T + 2)
    client.delete_experiment(second)
    made = {"experiment": first, "run": run, "gone": gone}
    if HAS_DATASETS:
        client.log_inputs(run, [dataset("iris", "d1", "training"), dataset("wine", "w1", "eval")])
    client.create_registered_model("model", tags={"a": "b"}, description="words")
    for _ in range(2):
        client.create_model_version("model", "s3://bucket/model", run)
    client.set_model_version_tag("model", "1", "checked", "yes")
    if HAS_ALIASES:
        client.set_registered_model_alias("model", "best", "2")
    if HAS_LOGGED_MODELS:
        model = client.create_logged_model(first, name="logged", source_run_id=run, params={"depth": "3"})
        client.log_metric(run, "of a model", 0.25, timestamp=T, step=1, model_id=model.model_id)
        made["model"] = model.model_id
    return made


def more(uri: str, made: Dict[str, str], word: str, registry: bool = True) -> None:
    """Go on with what ``make`` made: a further run, further values of the first."""
    client = client_of(uri)
    run = made["run"]
    client.log_metric(run, "odd", float(len(word)), timestamp=T + 100, step=100 + len(word))
    client.log_metric(run, word, math.nan, timestamp=T, step=0)
    client.log_param(run, word, word)
    client.set_tag(run, "t", word)
    further = client.create_run(made["experiment"], start_time=T + 50, tags={"mlflow.runName": word}).info.run_id
    client.log_batch(further, [Metric("m", at * 1.0, T + at, at) for at in range(30)], [Param("p", "v")], [])
    client.set_terminated(further)
    client.restore_run(made["gone"])
    client.delete_run(made["gone"])
    client.create_experiment(word)
    if registry:
        client.create_model_version("model", "s3://bucket/model", further)
    if HAS_DATASETS:
        client.log_inputs(further, [dataset("iris", "d1", "testing")])


def dataset(name: str, digest: str, context: str) -> Any:
    """A dataset with the context of its use."""
    tags = [entities.InputTag("mlflow.data.context", context)]
    return entities.DatasetInput(entities.Dataset(name, digest, "local", "/data/" + name, schema="{}"), tags)


def dump(uri: str, registry: bool = True) -> Dict[str, Any]:
    """All that is there, as plain JSON; searches and gets must agree."""
    client = client_of(uri)
    found: Dict[str, Any] = {"experiments": {}, "runs": {}, "models": {}}
    for each in client.search_experiments(view_type=ViewType.ALL):
        found["experiments"][each.experiment_id] = [
            each.name, each.lifecycle_stage, each.creation_time, each.last_update_time, dict(each.tags),
        ]
    ids = list(found["experiments"])
    for each in client.search_runs(ids, run_view_type=ViewType.ALL):
        found["runs"][each.info.run_id] = run_of(client, each)
    for each in client.search_registered_models() if registry else []:
        versions = client.search_model_versions(f"name='{each.name}'")
        found["models"][each.name] = [
            each.description, dict(each.tags), each.creation_timestamp, aliases_of(each),
            sorted([int(one.version), one.run_id, one.status, one.source, dict(one.tags)] for one in versions),
        ]
    if HAS_LOGGED_MODELS:
        models = client.search_logged_models(ids)
        found["logged models"] = {each.model_id: logged_model(each) for each in models}
    return found


def run_of(client: MlflowClient, run: Any) -> List[Any]:
    """One run, with the whole history of its metrics."""
    info, data = run.info, run.data
    same = client.get_run(info.run_id)
    assert same.data.params == data.params and same.data.tags == data.tags, "search and get differ"
    history = {
        key: sorted([each.timestamp, each.step, repr(float(each.value))] for each in histories)
        for key in sorted(data.metrics)
        for histories in [client.get_metric_history(info.run_id, key)]
    }
    inputs = getattr(same, "inputs", None)
    datasets = [
        [one.dataset.name, one.dataset.digest, sorted([tag.key, tag.value] for tag in one.tags)]
        for one in (inputs.dataset_inputs if inputs else [])
    ]
    return [
        info.experiment_id, info.status, info.start_time, info.end_time, info.lifecycle_stage, info.artifact_uri,
        dict(data.params), dict(data.tags), {key: repr(float(value)) for key, value in data.metrics.items()},
        history, sorted(datasets),
    ]


def aliases_of(model: Any) -> Dict[str, str]:
    """The aliases of a registered model, where it can have any."""
    return {alias: str(version) for alias, version in dict(getattr(model, "aliases", None) or {}).items()}


def logged_model(each: Any) -> List[Any]:
    """A logged model."""
    points = sorted([one.key, one.value, one.step] for one in each.metrics or [])
    return [each.name, str(each.status), each.source_run_id, dict(each.params or {}), points]


def version() -> str:
    """Which MLflow this is."""
    return str(mlflow.__version__)


def upgrade(uri: str) -> None:
    """``mlflow db upgrade``, as the command does it."""
    from mlflow.store.db import utils

    utils._upgrade_db(utils.create_sqlalchemy_engine_with_retry(uri))


TASKS: Dict[str, Callable[..., Any]] = {
    "features": features, "make": make, "more": more, "dump": dump, "version": version, "upgrade": upgrade,
}
