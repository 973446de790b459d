"""Steps of the area logged-models: their life, what is logged to them, artifacts, searches, bad input."""

from typing import Any, Dict, List, Optional

from tests.compat.differ import Step, delete, get, patch, post

T = 1700000000000
AJAX = "/ajax-api/2.0/mlflow/"


def create(step: str, **fields: Any) -> Step:
    """A new model in the experiment of the models, kept under the step's name."""
    return post(step, "logged-models", {"experiment_id": "$nursery", "name": "x", **fields})


def finalize(name: str, status: Any, model: str = "$one") -> Step:
    """A change of a model's status."""
    return patch(name, f"logged-models/{model}", {"model_id": model, "status": status})


def measure(name: str, key: str, value: Any, model: Optional[str] = "$one", **more: Any) -> Step:
    """A point on the run of the models and on one of them."""
    body = {"run_id": "$lab_run", "key": key, "value": value, "timestamp": T, "model_id": model}
    return post(name, "runs/log-metric", {**body, **more})


LIFE: List[Step] = [
    post("an experiment for models", "experiments/create", {"name": "models"}, keep={"nursery": "experiment_id"}),
    post("a run for models", "runs/create", {"experiment_id": "$nursery", "start_time": T, "run_name": "models"},
         keep={"lab_run": "run.info.run_id"}),
    post("a model with everything", "logged-models",
         {"experiment_id": "$nursery", "name": "ü model", "model_type": "Agent", "source_run_id": "$lab_run",
          "params": [{"key": "p", "value": "1"}, {"key": "a/b"}],
          "tags": [{"key": "z", "value": "1"}, {"key": "b", "value": ""}]}, keep={"one": "model.info.model_id"}),
    get("get a model", "logged-models/$one"),
    get("get a model as the browser", AJAX + "logged-models/$one"),
    get("get a model that is not there", "logged-models/m-nope"),
    get("get a model by a path", "logged-models/.."),
    create("a model named by a blank", name=" "),
    create("a model of a run that is not there", source_run_id="nope"),
    create("a model with an empty type and run", source_run_id="", model_type=""),
    create("a model with a param without a value", params=[{"key": "p"}]),
    *[create(f"a model named with {char}", name=f"a{char}b") for char in "/:.%\"'"],
    post("a model as the browser makes it", AJAX + "logged-models", {"experiment_id": "$nursery", "name": "ajax"},
         keep={"ajax": "model.info.model_id"}),
    post("a model without an experiment", "logged-models", {"name": "x"}),
    post("a model in an unknown experiment", "logged-models", {"experiment_id": "424242", "name": "x"}),
    post("a model in an experiment of text", "logged-models", {"experiment_id": "abc", "name": "x"}),
    create("a model with equal params", params=[{"key": "p", "value": "1"}] * 2),
    create("a model with equal tags", tags=[{"key": "p", "value": "1"}] * 2),
    create("a model with a param without a key", params=[{"value": "1"}]),
    create("a model with a param key that climbs", params=[{"key": "../x", "value": "1"}]),
    create("a model with a tag key that climbs", tags=[{"key": "../x", "value": "1"}]),
    create("a model with a long name", name="x" * 501),
    create("a model with a name of 500", name="x" * 500),
    create("a model with params of text", params="x"),
    finalize("finalize a model", "LOGGED_MODEL_READY"),
    finalize("finalize by number", 3),
    finalize("finalize by number as text", "1"),
    finalize("finalize to unspecified", 0),
    finalize("finalize to a status of no name", "BOGUS"),
    finalize("finalize to a status of no number", 7),
    finalize("finalize a model that is not there", 2, "m-nope"),
    patch("finalize without a status", "logged-models/$one", {"model_id": "$one"}),
    patch("finalize without an id", "logged-models/$one", {"status": 2}),
    patch("finalize another model than that of the path", "logged-models/$one", {"model_id": "m-nope", "status": 2}),
    patch("finalize as the browser", AJAX + "logged-models/$one", {"model_id": "$one", "status": 2}),
    get("a model after its statuses", "logged-models/$one"),
]

LOG: List[Step] = [
    patch("set tags of a model", "logged-models/$one/tags",
          {"tags": [{"key": "t", "value": "1"}, {"key": "t", "value": "2"}, {"key": "z"}]}),
    patch("set no tags of a model", "logged-models/$one/tags", {}),
    patch("set tags as the browser", AJAX + "logged-models/$one/tags", {"tags": [{"key": "ajax", "value": "1"}]}),
    patch("set tags of a model that is not there", "logged-models/m-nope/tags", {"tags": [{"key": "t", "value": "1"}]}),
    patch("set tags of text", "logged-models/$one/tags", {"tags": "x"}),
    create("a model for odd requests")._replace(keep={"odd_model": "model.info.model_id"}),
    patch("set a tag of a model without a key", "logged-models/$odd_model/tags", {"tags": [{"value": "1"}]}),
    delete("delete a tag of a model", "logged-models/$one/tags/t"),
    delete("delete a tag of a model again", "logged-models/$one/tags/t"),
    delete("delete a tag as the browser", AJAX + "logged-models/$one/tags/ajax"),
    delete("delete a tag of a model that is not there", "logged-models/m-nope/tags/t"),
    patch("set a tag with a slash", "logged-models/$odd_model/tags", {"tags": [{"key": "a/b", "value": "1"}]}),
    delete("delete a tag with a slash", "logged-models/$odd_model/tags/a/b"),
    post("log params of a model", "logged-models/$one/params",
         {"model_id": "$one", "params": [{"key": "q", "value": "1"}]}),
    post("log params of a model again", "logged-models/$one/params",
         {"model_id": "$one", "params": [{"key": "q", "value": "1"}]}),
    post("log params of a model otherwise", "logged-models/$one/params",
         {"model_id": "$one", "params": [{"key": "q", "value": "2"}]}),
    post("log no params of a model", "logged-models/$one/params", {"model_id": "$one"}),
    post("log params as the browser", AJAX + "logged-models/$one/params", {"model_id": "$one", "params": []}),
    post("log params without an id", "logged-models/$one/params", {"params": [{"key": "q2", "value": "1"}]}),
    post("log params of another model than that of the path", "logged-models/$odd_model/params",
         {"model_id": "m-nope", "params": [{"key": "other", "value": "1"}]}),
    post("log params of a model that is not there", "logged-models/m-nope/params", {"model_id": "m-nope"}),
    measure("a point of a model", "acc", 0.5, step=1),
    measure("a point of a model again", "acc", 0.5, step=1),
    measure("a point of a model on a dataset", "auc", 0.5, step=1, dataset_name="d", dataset_digest="1"),
    measure("a point of a model on a dataset without a digest", "auc", 0.5, step=2, dataset_name="d"),
    measure("a point of a model on an empty dataset", "loss", 0.5, dataset_name="", dataset_digest=""),
    measure("an infinite point of a model", "inf", "Infinity"),
    measure("a point of a model that is not there", "acc", 1, "m-" + "e" * 32),
    measure("a point of a model with an empty key", "", 1),
    post("a batch of points of a model", "runs/log-batch",
         {"run_id": "$lab_run", "metrics": [
             {"key": "b", "value": 1, "timestamp": T, "step": step, "model_id": "$one"} for step in (0, 0, 1)]}),
    get("a model with points", "logged-models/$one"),
    get("the run with the points of a model", "runs/get", {"run_id": "$lab_run"}),
    measure("NaN of a model", "nan", "NaN", "$ajax"),
    get("a model with NaN", "logged-models/$ajax"),
    measure("another value of a model at one moment", "moment", 0.25, "$ajax"),
    measure("another value of a model at the same moment", "moment", 0.75, "$ajax"),
    measure("the value of a model at one moment on a dataset", "moment", 0.25, "$ajax",
            dataset_name="d", dataset_digest="1"),
    post("outputs of a run of models", "runs/outputs",
         {"run_id": "$lab_run", "models": [{"model_id": "$one", "step": 3}]}),
    post("inputs of a run of models", "runs/log-inputs",
         {"run_id": "$lab_run", "models": [{"model_id": "$one"}, {"model_id": "m-" + "f" * 32}]}),
    post("a second run for models", "runs/create", {"experiment_id": "$nursery", "start_time": T, "run_name": "links"},
         keep={"links": "run.info.run_id"}),
    post("an output that is no model", "runs/outputs",
         {"run_id": "$links", "models": [{"model_id": "m-x", "step": 1}]}),
    get("the run with links to models", "runs/get", {"run_id": "$links"}),
]

DELETION: List[Step] = [
    create("a model to be deleted", name="doomed")._replace(keep={"doomed": "model.info.model_id"}),
    delete("delete a model", "logged-models/$doomed"),
    delete("delete a model again", "logged-models/$doomed"),
    delete("delete a model as the browser", AJAX + "logged-models/$doomed"),
    delete("delete a model that is not there", "logged-models/m-nope"),
    get("get a deleted model", "logged-models/$doomed"),
    get("get a deleted model if that is allowed", "logged-models/$doomed", {"allow_deleted": "True"}),
    get("get a deleted model if that is not allowed", "logged-models/$doomed", {"allow_deleted": "false"}),
    get("get a deleted model if that is allowed by a word", "logged-models/$doomed", {"allow_deleted": "yes"}),
    finalize("finalize a deleted model", 2, "$doomed"),
    patch("set tags of a deleted model", "logged-models/$doomed/tags", {"tags": [{"key": "t", "value": "1"}]}),
    delete("delete a tag of a deleted model", "logged-models/$doomed/tags/t"),
    post("log params of a deleted model", "logged-models/$doomed/params",
         {"model_id": "$doomed", "params": [{"key": "late", "value": "1"}]}),
    measure("a point of a deleted model", "late", 1, "$doomed"),
    post("outputs of a deleted model", "runs/outputs", {"run_id": "$links", "models": [{"model_id": "$doomed"}]}),
    get("a deleted model after all that", "logged-models/$doomed", {"allow_deleted": "true"}),
    post("an experiment of models to be deleted", "experiments/create", {"name": "doomed models"},
         keep={"ward": "experiment_id"}),
    post("a run beside models", "runs/create", {"experiment_id": "$ward", "run_name": "r", "start_time": T},
         keep={"ward_run": "run.info.run_id"}),
    post("a model of a deleted run", "logged-models",
         {"experiment_id": "$ward", "name": "survivor", "source_run_id": "$ward_run"},
         keep={"survivor": "model.info.model_id"}),
    post("delete the run of a model", "runs/delete", {"run_id": "$ward_run"}),
    get("a model whose run is deleted", "logged-models/$survivor"),
    post("a point of a model on a deleted run", "runs/log-metric",
         {"run_id": "$ward_run", "key": "m", "value": 1, "timestamp": T, "model_id": "$survivor"}),
    post("delete the experiment of a model", "experiments/delete", {"experiment_id": "$ward"}),
    get("a model whose experiment is deleted", "logged-models/$survivor"),
    patch("set tags of a model of a deleted experiment", "logged-models/$survivor/tags",
          {"tags": [{"key": "t", "value": "1"}]}),
    post("a model in a deleted experiment", "logged-models", {"experiment_id": "$ward", "name": "x"}),
    post("search in a deleted experiment", "logged-models/search", {"experiment_ids": ["$ward"]}),
    post("restore the experiment of a model", "experiments/restore", {"experiment_id": "$ward"}),
    get("a model whose experiment is restored", "logged-models/$survivor"),
]


def upload(name: str, path: str, content: bytes) -> Step:
    """A file sent to where the artifacts of a model lie."""
    place = "/api/2.0/mlflow-artifacts/artifacts/$nursery/models/$one/artifacts/"
    return Step(name, "PUT", place + path, raw=content)


def listing(name: str, model: str = "$one", **query: str) -> Step:
    """A folder of a model's artifacts."""
    return get(name, f"logged-models/{model}/artifacts/directories", query)


def fetch(name: str, model: str = "$one", **query: str) -> Step:
    """A file of a model's artifacts."""
    return get(name, AJAX + f"logged-models/{model}/artifacts/files", query)


ARTIFACTS: List[Step] = [
    listing("artifacts of a model before there are any"),
    upload("a file of a model", "MLmodel", b"flavors: {}\n"),
    upload("a file of a model in a folder", "data/deep/weights.bin", b"\0\1\2"),
    upload("an empty file of a model", "data/empty.txt", b""),
    upload("a file of a model with an odd name", "data/\u00fc b.json", b"{}"),
    listing("artifacts of a model"),
    listing("artifacts of a model in a folder", artifact_directory_path="data"),
    listing("artifacts of a model below a file", artifact_directory_path="MLmodel"),
    listing("artifacts of a model in a folder that is not there", artifact_directory_path="nope"),
    listing("artifacts of a model above its place", artifact_directory_path="../x"),
    listing("artifacts of a model by a token", page_token="xx"),
    listing("artifacts of a model that is not there", "m-nope"),
    listing("artifacts of a deleted model", "$doomed"),
    get("artifacts of a model for the browser", AJAX + "logged-models/$one/artifacts/directories"),
    fetch("fetch a file of a model", artifact_file_path="MLmodel"),
    fetch("fetch a file of a model with an odd name", artifact_file_path="data/\u00fc b.json"),
    fetch("fetch a file of a model that is not there", artifact_file_path="nope"),
    fetch("fetch a folder of a model", artifact_file_path="data"),
    fetch("fetch from above a model's place", artifact_file_path="../../x"),
    fetch("fetch an absolute path of a model", artifact_file_path="/etc/passwd"),
    fetch("fetch nothing of a model"),
    fetch("fetch an empty path of a model", artifact_file_path=""),
    fetch("fetch a file of a model that is not there at all", "m-nope", artifact_file_path="MLmodel"),
    fetch("fetch a file of a deleted model", "$doomed", artifact_file_path="MLmodel"),
]


def zoo() -> List[Step]:
    """Six models in two experiments, in turn, of which some have points on datasets."""
    steps = [
        post(f"an experiment of the zoo: {name}", "experiments/create", {"name": name}, keep={name: "experiment_id"})
        for name in ("savanna", "aviary")
    ]
    steps.append(post("a run of the zoo", "runs/create", {"experiment_id": "$savanna", "run_name": "z",
                                                          "start_time": T}, keep={"keeper": "run.info.run_id"}))
    for number in range(6):
        body = {
            "experiment_id": ("$savanna", "$aviary")[number % 2], "name": f"mod{number // 2}",
            "model_type": ("Agent", "", "LLM")[number % 3], "source_run_id": "$keeper" if number < 3 else "",
            "params": [{"key": "lr", "value": str(number)}],
            "tags": [{"key": "team", "value": f"A{number}"}] + ([{"key": "x.y", "value": "v"}] if number == 1 else []),
        }  # fmt: skip
        steps.append(post(f"animal {number}", "logged-models", body, keep={f"animal{number}": "model.info.model_id"}))
    for number, key, value, step, time, dataset in (
        (0, "acc", 0.1, 0, T, None), (0, "acc", 0.9, 1, T + 1, None), (0, "acc", 0.5, 2, T, None),
        (1, "acc", 0.7, 0, T, None), (2, "acc", 0.3, 0, T, ("d", "1")), (2, "acc", 0.8, 1, T + 5, ("d2", "1")),
        (4, "acc", 0.3, 0, T, ("d", "2")), (5, "loss", 2, 0, T, None),
    ):  # fmt: skip
        on = dict(zip(("dataset_name", "dataset_digest"), dataset)) if dataset else {}
        steps.append(post(f"animal {number} has {key} {value} at {step}", "runs/log-metric",
                          {"run_id": "$keeper", "key": key, "value": value, "timestamp": time, "step": step,
                           "model_id": f"$animal{number}", **on}))
    return steps


BOTH = ["$savanna", "$aviary"]


def search(name: str, **fields: Any) -> Step:
    """A search in both experiments of the zoo."""
    return post(name, "logged-models/search", {"experiment_ids": BOTH, **fields})


FILTERS = [
    "", " ", "AND", "x", "name = 'mod1'", "name='mod1'", "name = mod1", "name LIKE 'mod%'", "name like 'MOD%'",
    "name ILIKE 'MOD%'", "name IN ('mod1','mod2')", "name IN ('mod1')", "name NOT IN ('mod1')", "name in ('mod1',)",
    "attributes.name = 'mod1'", "attribute.name = 'mod1'", "model_type = 'Agent'", "model_type = ''",
    "model_type != 'Agent'", "source_run_id = '$keeper'", "model_id = '$animal3'", "status = 1", "status = '1'",
    "status IN ('1')", "status != 1", "status > 0", "experiment_id = '$savanna'", "experiment_id = $savanna",
    "creation_timestamp > 0", "creation_time > 0", "creation_timestamp_ms > 0", "creation_time > 1.5",
    "creation_time LIKE '1'", "creation_time IN (1)", "last_updated_timestamp > 0", "last_updated_time > 0",
    "last_updated_timestamp_ms < 5", "lifecycle_stage = 'active'", "lifecycle_stage = 'deleted'",
    "artifact_location LIKE '%models%'", "status_message = 'x'", "status_message != 'x'", "tags = 'x'",
    "tags.team = 'A1'", "tag.team = 'A1'", "tags.team != 'A1'", "tags.team LIKE 'A%'", "tags.team ilike 'a%'",
    "tags.`team` = 'A1'", "tags.x.y = 'v'", "tags.`x.y` = 'v'", "tags.nope != 'x'", "tags.team IN ('A1','A2')",
    "tags.team NOT IN ('A1')", "tags.team IS NULL", "tags.team IS NOT NULL", "params.lr = '1'", "params.lr = 1",
    "params.lr > 1", "params.lr LIKE '%'", "param.lr = '1'", "metrics.acc > 0.5", "metrics.acc < 0.2",
    "metrics.acc = 0.5", "metrics.acc != 0.5", "metrics.acc >= -1", "metrics.acc > 1e-3", "metrics.`acc` > .5",
    "metrics.nope != 1", "metrics.loss <= 2", "metric.acc > 0", "metrics.acc LIKE '1'",
    "metrics.acc > 0.5 AND params.lr = '0'", "metrics.acc > 0.5 and params.lr = '0'",
    "metrics.acc > 0.85 AND metrics.acc < 0.2", "params.lr = '0' params.lr = '0'", "params.lr = '0' AND",
    "metrics.acc >", "params.lr = '0';", "tags.team='A1' -- c", "dataset.name = 'd'", "name = 'mod1' AND name = 'mod2'",
    "name <> 'x'", "name IS NULL", "tags.team = ''", "metrics.acc > 0.5 OR params.lr = '0'", "(params.lr = '0')",
    "NOT params.lr = '0'", 'name = "mod1"', "bogus = 'x'", "metrics.acc > '0.5'", "metrics.acc > abc",
    "creation_time > '0'", "status = 'READY'", "status LIKE '1'", "metadata = 'x'",
]  # fmt: skip

ORDERS: List[List[Any]] = [
    [{"field_name": "name"}], [{"field_name": "name", "ascending": False}], [{"field_name": "creation_time"}],
    [{"field_name": "creation_timestamp"}], [{"field_name": "creation_timestamp_ms"}],
    [{"field_name": "last_updated_timestamp"}], [{"field_name": "last_updated_time"}], [{"field_name": "model_type"}],
    [{"field_name": "model_type", "ascending": False}], [{"field_name": "status_message"}],
    [{"field_name": "source_run_id"}], [{"field_name": "experiment_id", "ascending": False}],
    [{"field_name": "status"}], [{"field_name": "lifecycle_stage"}], [{"field_name": "metrics.acc"}],
    [{"field_name": "metrics.acc", "ascending": False}], [{"field_name": "metrics.acc", "dataset_name": "d"}],
    [{"field_name": "metrics.acc", "dataset_name": "d", "dataset_digest": "2"}],
    [{"field_name": "metrics.acc", "dataset_digest": "2"}], [{"field_name": "metrics.nope"}],
    [{"field_name": "metrics.loss"}, {"field_name": "metrics.acc", "ascending": False}], [{"field_name": "params.lr"}],
    [{"field_name": "tags.team"}], [{"field_name": "attributes.name"}], [{"field_name": "bogus"}], [{"field_name": ""}],
    [{"field_name": "Name"}], [{"field_name": " name "}], [{"field_name": "name DESC"}], [{"fieldName": "name"}],
    [{"field_name": "metrics.`acc`"}], [{"field_name": "name", "ascending": None}],
    [{"field_name": "name"}, {"field_name": "name", "ascending": False}],
    [{"field_name": "metrics.acc"}, {"field_name": "metrics.acc", "dataset_name": "d"}],
    [{}], ["name"], [{"field_name": "tags"}], [{"field_name": "name", "ascending": "false"}],
]  # fmt: skip

DATASETS: Dict[str, Any] = {
    "a dataset": [{"dataset_name": "d", "dataset_digest": "1"}],
    "two datasets": [{"dataset_name": "d", "dataset_digest": "1"}, {"dataset_name": "d2", "dataset_digest": "1"}],
    "an unknown dataset": [{"dataset_name": "zz", "dataset_digest": "1"}],
    "a dataset without a digest": [{"dataset_name": "d"}],
    "a digest alone": [{"dataset_digest": "1"}],
    "a dataset with an empty name": [{"dataset_name": "", "dataset_digest": "1"}],
    "datasets of text": "d",
}

PAGES: List[Step] = [
    search("every page of models", max_results=4)._replace(follow=True),
    search("every page of models in an order", max_results=2, order_by=[{"field_name": "name"}])._replace(follow=True),
    search("pages of models that fit exactly", max_results=3, filter="name != 'x'")._replace(follow=True),
    search("a page of models of none", max_results=0),
    search("a page of models as text", max_results="3"),
    search("a page of models of a word", max_results="x"),
    search("a page of models of a million", max_results=1000000),
    search("a page of models of less than none", max_results=-1),
    search("the first page of models", max_results=2)._replace(keep={"models_token": "next_page_token"}),
    search("the second page of models", max_results=2, page_token="$models_token"),
    search("a token of models for another filter", page_token="$models_token", filter="name = 'x'"),
    search("a token of models for another order", page_token="$models_token", order_by=[{"field_name": "name"}]),
    post("a token of models for other experiments", "logged-models/search",
         {"experiment_ids": ["$savanna"], "page_token": "$models_token"}),
    search("a token of models for another page size", max_results=3, page_token="$models_token"),
    search("an empty token of models", page_token=""),
    search("a rubbish token of models", page_token="rubbish"),
    post("models of no experiments", "logged-models/search", {"experiment_ids": []}),
    post("models without experiments", "logged-models/search", {}),
    post("models of an unknown experiment", "logged-models/search", {"experiment_ids": ["424242"]}),
    post("models of an experiment of text", "logged-models/search", {"experiment_ids": ["abc"]}),
    post("models of one experiment twice", "logged-models/search", {"experiment_ids": ["$aviary", "$aviary"]}),
    post("models of an experiment as the browser", AJAX + "logged-models/search", {"experiment_ids": ["$aviary"]}),
]

STEPS: List[Step] = [
    *LIFE,
    *LOG,
    *DELETION,
    *ARTIFACTS,
    *zoo(),
    *[search(f"models where {text}", filter=text) for text in FILTERS],
    *[search(f"models ordered by {order}", order_by=order) for order in ORDERS],
    *[search(f"models on {name}", datasets=datasets) for name, datasets in DATASETS.items()],
    *[search(f"models with acc > 0.5 on {name}", datasets=datasets, filter="metrics.acc > 0.5")
      for name, datasets in DATASETS.items()],
    *[search(f"models with acc > 0.2 and < 0.4 on {name}", datasets=datasets,
             filter="metrics.acc > 0.2 AND metrics.acc < 0.4") for name, datasets in DATASETS.items()],
    *PAGES,
]
