"""Fills a store with varied content through MLflow's client: names that YAML finds hard, odd keys, odd numbers.

Runs under the Python of an MLflow environment; ``write`` on a folder (MLflow's own file store), ``write_by_http`` on
a server. What only MLflow 3 can do is left out under 2.x.
"""

import math
from typing import Dict, List

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag

T = 1700000000000
IS_3 = int(mlflow.__version__.split(".")[0]) >= 3

EXPERIMENT_NAMES = [
    "plain",
    "it's \"quoted\": #yes & *no",
    "ünï çødé 漢字 🙂",
    "word " * 60 + "end",
    "x" * 300,
    "null", "true", "123", "1e5", "0x1F", "2024-01-01", "~", "- dash", "? question", "[a, b]", "{a: b}", "!tag",
    "%percent",
    "@at", "`tick`", "=", "yes", "012", "1_000", "12:30:45", ".5", "a: b", "a #b", "ends with colon:", "|", ">",
    " leading and trailing ",
    "tab\tinside",
    "two\nlines\n",
    "back\\slash \\n",
    "zero\u200bwidth \u00a0nbsp \u2028line \ufeffbom \u0085nel",
    "'", "''", '"',
]

RUN_NAMES = [
    "run", "404", "false", "1.5e3", "null", "~", "", "it's", "näme 漢 🙂", "long " * 40, "y" * 200, "a: b # c",
    "two\nlines",
    "  spaces  ", "\ttab", "-", "0o17", "=", "<<", "a\\b",
]

VALUES = {
    "simple": "1", "empty": "", "blank": " ", "lines": "one\ntwo\n\nfour", "trailing": "end\n", "leading": "\nstart",
    "unicode": "ü 漢字 🙂", "long": "v" * 5000, "yaml": "{a: [1, 2], 'b': \"c\"} # x", "crlf": "a\r\nb",
    "spaces": "  x  ",
    "tab": "\t", "separators": "a\u2028b\u0085c",
}

KEYS = [
    "dots.and-dashes_", "with space", "dir/file", "dir/deeper/file", "Ünïcode漢", "UPPER", "upper", "a:b", "1",
    "k" * 200,
]


def write(folder: str) -> Dict[str, List[str]]:
    """Fill the folder with MLflow's own file store; the ids that were made."""
    client = MlflowClient(tracking_uri=folder, registry_uri=folder)
    # MLflow's file store looks names up with a filter that has no escape: it cannot make one with this quote.
    made = fill(client, [name for name in EXPERIMENT_NAMES if "'" not in name])
    beside(client)
    return made


def write_by_http(uri: str) -> Dict[str, List[str]]:
    """The same through a server (without what trackd does not serve yet)."""
    return fill(MlflowClient(tracking_uri=uri), EXPERIMENT_NAMES)


def what_mlflow_3_adds(uri: str) -> str:
    """A run with what MLflow 2 cannot read: models that went in and came out, points of five fields; its id."""
    from mlflow.entities import LoggedModelInput, LoggedModelOutput

    client = MlflowClient(tracking_uri=uri)
    run = str(client.create_run("0", start_time=T, run_name="with MLflow 3").info.run_id)
    client.log_metric(run, "m", 0.25, timestamp=T, step=3)
    client.log_metric(run, "m", 0.5, timestamp=T, step=4, dataset_name="iris", dataset_digest="d1")
    client.log_inputs(run, models=[LoggedModelInput("m-" + "a" * 32), LoggedModelInput("m-" + "b" * 32)])
    client.log_outputs(run, [LoggedModelOutput("m-" + "c" * 32, 3), LoggedModelOutput("m-" + "d" * 32, 0)])
    return run


def fill(client: MlflowClient, names: List[str]) -> Dict[str, List[str]]:
    """All experiments and runs."""
    experiments = [
        client.create_experiment(name, tags={"at": str(at), "lines": "a\nb", "ü/漢": name})
        for at, name in enumerate(names)
    ]
    first, second = experiments[:2]
    runs = [many_values(client, first), many_metrics(client, first), nested(client, first), *statuses(client, first)]
    runs.append(inputs(client, first))
    for at, name in enumerate(RUN_NAMES):
        runs.append(client.create_run(second, start_time=T + at, run_name=name or None).info.run_id)
    changed(client, experiments, runs)
    return {"experiments": experiments, "runs": runs}


def many_values(client: MlflowClient, experiment: str) -> str:
    """A run with every odd key and value."""
    run = str(client.create_run(experiment, start_time=T, run_name="values", tags={"from": "creation"}).info.run_id)
    for key, value in VALUES.items():
        client.log_param(run, key, value)
        client.set_tag(run, key, value)
    for key in KEYS:
        client.log_param(run, "p/" + key, key)
        client.set_tag(run, "t/" + key, key)
        client.log_metric(run, "m/" + key, len(key), timestamp=T, step=1)
    client.set_tag(run, "simple", "overwritten")
    client.set_tag(run, "long", "short now")
    client.set_tag(run, "gone", "x")
    client.delete_tag(run, "gone")
    client.set_tag(run, "mlflow.note.content", "# Title\n\nText with `code`.\n")
    return run


def many_metrics(client: MlflowClient, experiment: str) -> str:
    """A run with every odd number."""
    run = str(client.create_run(experiment, start_time=T + 1, run_name="metrics").info.run_id)
    numbers = [0.1, -0.0, 1e-300, 1.7976931348623157e308, 5e-324, 1 / 3, float(2 ** 53), -1e22, 123456789012345678.0]
    for at, number in enumerate(numbers):
        client.log_metric(run, "numbers", number, timestamp=T + at, step=at)
    for at, number in enumerate([math.nan, math.inf, -math.inf, 1.0]):
        client.log_metric(run, f"each odd/{at}", number, timestamp=T, step=at)
        client.log_metric(run, "odd", number, timestamp=T, step=at)
    client.log_metric(run, "ends with nan", 1.0, timestamp=T, step=0)
    client.log_metric(run, "ends with nan", math.nan, timestamp=T, step=1)
    for step in (5, -3, 0, 2 ** 40, -(2 ** 40)):
        client.log_metric(run, "steps", float(step), timestamp=T, step=step)
    for timestamp in (0, 5, T):
        client.log_metric(run, "times", 1.0, timestamp=timestamp, step=0)
    client.log_batch(run, metrics=[Metric("batch", at * 0.5, T + at, at) for at in range(500)],
                     params=[Param(f"b{at}", str(at)) for at in range(50)],
                     tags=[RunTag(f"b{at}", str(at)) for at in range(50)])
    return run


def nested(client: MlflowClient, experiment: str) -> str:
    """A parent and its child; the child's id."""
    parent = client.create_run(experiment, start_time=T + 2, run_name="parent").info.run_id
    tags = {"mlflow.parentRunId": parent, "mlflow.user": "ada", "mlflow.source.name": "train.py"}
    return str(client.create_run(experiment, start_time=T + 3, run_name="child", tags=tags).info.run_id)


def statuses(client: MlflowClient, experiment: str) -> List[str]:
    """A run in every state."""
    runs = []
    for at, status in enumerate(["RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED"]):
        run = str(client.create_run(experiment, start_time=T + 10 + at, run_name=status).info.run_id)
        if status == "SCHEDULED":
            client.update_run(run, status=status)
        elif status != "RUNNING":
            client.set_terminated(run, status, end_time=T + 100 + at)
        runs.append(run)
    return runs


def inputs(client: MlflowClient, experiment: str) -> str:
    """A run with datasets."""
    run = str(client.create_run(experiment, start_time=T + 4, run_name="inputs").info.run_id)
    datasets = [
        DatasetInput(Dataset("iris", "d1", "local", "/data/iris", schema='{"a": 1}', profile='{"rows": 3}'),
                     [InputTag("mlflow.data.context", "training")]),
        DatasetInput(Dataset("wein ü 漢", "w1", "http", "http://example.com/?a=b#c", schema="s" * 2000), []),
        DatasetInput(Dataset("null", "123", "code", "two\nlines: {}"), [InputTag("x", "y"), InputTag("a", "b: c")]),
    ]
    client.log_inputs(run, datasets)
    return run


def changed(client: MlflowClient, experiments: List[str], runs: List[str]) -> None:
    """Renamed, tagged, deleted and restored experiments and runs."""
    third, fourth, fifth, sixth = experiments[2:6]
    client.set_experiment_tag(third, "at", "overwritten")
    kept = client.create_run(fourth, start_time=T, run_name="of a deleted experiment").info.run_id
    client.log_param(kept, "p", "1")
    client.log_metric(kept, "m", 1.5, timestamp=T)
    client.delete_experiment(fourth)
    client.create_run(fifth, start_time=T, run_name="of a restored experiment")
    client.delete_experiment(fifth)
    client.restore_experiment(fifth)
    client.rename_experiment(sixth, "renamed: é \"q\" " + "long " * 40)
    client.delete_run(runs[-1])
    client.delete_run(runs[-2])
    client.restore_run(runs[-2])
    client.update_run(runs[-3], name="updated: name\nof two lines")
    client.set_tag(runs[-4], "mlflow.runName", "named by tag")


def beside(client: MlflowClient) -> None:
    """What else MLflow keeps in such a folder and trackd must leave alone: registered models, logged models."""
    client.create_registered_model("a model", tags={"a": "b"})
    if IS_3:
        experiment = client.get_experiment_by_name("plain").experiment_id
        run = client.create_run(experiment, start_time=T + 5, run_name="with a model").info.run_id
        model = client.create_logged_model(experiment, name="model", source_run_id=run)
        client.log_metric(run, "of a model", 0.25, timestamp=T, step=7, model_id=model.model_id)
        client.log_metric(run, "of a model", 0.5, timestamp=T, step=8, model_id=model.model_id)
