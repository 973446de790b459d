"""Steps of runs/search: filters of every kind, orders, pages, view types."""

from typing import Any, Dict, List, Optional

from tests.compat.differ import Step, post

T = 1700000000000


def tag(key: str, value: str) -> Dict[str, str]:
    """A tag or param as it goes on the wire."""
    return {"key": key, "value": value}


def metric(key: str, value: Any, step: int = 0) -> Dict[str, Any]:
    """A metric as it goes on the wire."""
    return {"key": key, "value": value, "timestamp": T, "step": step}


def made(
    name: str,
    start: int,
    end: Optional[int] = None,
    status: str = "RUNNING",
    user: str = "ada",
    metrics: Optional[Dict[str, Any]] = None,
    params: Optional[Dict[str, str]] = None,
    tags: Optional[Dict[str, str]] = None,
    datasets: Optional[List[Dict[str, Any]]] = None,
) -> List[Step]:
    """The steps that make one run for the searches."""
    steps = [
        post(f"make {name}", "runs/create",
             {"experiment_id": "$hunt", "run_name": name, "start_time": T + start, "user_id": user},
             keep={name.replace("-", "_"): "run.info.run_id"}),
        post(f"fill {name}", "runs/log-batch", {
            "run_id": "$" + name.replace("-", "_"),
            "metrics": [metric(key, value) for key, value in (metrics or {}).items()],
            "params": [tag(key, value) for key, value in (params or {}).items()],
            "tags": [tag(key, value) for key, value in (tags or {}).items()],
        }),
    ]
    if datasets:
        steps.append(post(f"feed {name}", "runs/log-inputs",
                          {"run_id": "$" + name.replace("-", "_"), "datasets": datasets}))
    if status != "RUNNING" or end is not None:
        update: Dict[str, Any] = {"run_id": "$" + name.replace("-", "_"), "status": status}
        if end is not None:
            update["end_time"] = T + end
        steps.append(post(f"end {name}", "runs/update", update))
    return steps


def data(name: str, digest: str, context: Optional[str] = None) -> Dict[str, Any]:
    """A dataset input."""
    tags = [tag("mlflow.data.context", context)] if context else []
    return {"dataset": {"name": name, "digest": digest, "source_type": "s", "source": "x"}, "tags": tags}


MAKE: List[Step] = [
    post("an experiment for searches", "experiments/create", {"name": "hunt"}, keep={"hunt": "experiment_id"}),
    post("another experiment for searches", "experiments/create", {"name": "hunt two"},
         keep={"hunt2": "experiment_id"}),
    *made("ant", 10, 100, "FINISHED", metrics={"acc": 0.9, "loss": 0.1, "tie": 1},
          params={"lr": "0.1", "model": "tree", "same": "x"}, tags={"team": "blue", "Size": "XL"},
          datasets=[data("iris", "d1", "training"), data("wine", "w1", "eval")]),
    *made("bee", 20, 90, "FAILED", metrics={"acc": 0.8, "loss": "NaN", "tie": 1},
          params={"lr": "0.01", "model": "Tree", "same": "x"}, tags={"team": "red"},
          datasets=[data("iris", "d2", "eval")]),
    *made("cat", 30, 80, "KILLED", "bob", metrics={"acc": "NaN", "loss": 0.2, "tie": 1},
          params={"lr": "10", "model": "linear_1"}, tags={"team": "BLUE", "with space": "a b"}),
    *made("dog", 40, None, metrics={"acc": "Infinity", "loss": "-Infinity"}, params={"lr": "9", "model": "100% pure"}),
    *made("elk", 50, None, "SCHEDULED", "bob", metrics={"acc": "-Infinity", "deep/er loss": 3},
          params={"model": "été", "deep/er key": "v"}, tags={"deep/er tag": "v", "dotted.tag.name": "d"}),
    *made("fox", 60, 60, "FINISHED", metrics={"acc": 0.8, "neg": -1}, params={"lr": "0.1"}, tags={"team": "green"},
          datasets=[data("iris", "d1", "training")]),
    *made("gnu", 70, 1000, "FINISHED", metrics={"neg": -2, "zero": 0}, params={"empty": ""}, tags={"empty": ""}),
    *made("hen", 80),
    post("make a run with no user", "runs/create",
         {"experiment_id": "$hunt2", "run_name": "ibis", "start_time": T + 5}, keep={"ibis": "run.info.run_id"}),
    post("make a run to delete", "runs/create",
         {"experiment_id": "$hunt", "run_name": "dodo", "start_time": T + 15}, keep={"dodo": "run.info.run_id"}),
    post("delete it for the searches", "runs/delete", {"run_id": "$dodo"}),
    *(post(f"make twin {at}", "runs/create",
           {"experiment_id": "$hunt2", "run_name": f"twin{at}", "start_time": T + 500, "tags": [tag("kind", "twin")]},
           keep={f"twin{at}": "run.info.run_id"}) for at in range(5)),
]

GOOD_FILTERS = (
    "",
    "metrics.acc > 0.8",
    "metrics.acc >= 0.8",
    "metrics.acc < 0.85",
    "metrics.acc <= 0.8",
    "metrics.acc = 0.8",
    "metrics.acc != 0.8",
    "metric.acc = 0.9",
    "metrics.loss > -1",
    "metrics.loss != 0.1",
    "metrics.loss <= 0",
    "metrics.acc > 1e307",
    "metrics.acc < -1e307",
    "metrics.acc > 1.7976931348623157e308",
    "metrics.acc = 1.7976931348623157e308",
    "metrics.acc >= 1.7976931348623157e308",
    "metrics.neg = -1",
    "metrics.neg > -1.5",
    "metrics.neg <= -2",
    "metrics.zero = 0",
    "metrics.zero = 0.0",
    "metrics.zero < 1E2",
    "metrics.tie = 1",
    "metrics.`deep/er loss` = 3",
    'metrics."deep/er loss" = 3',
    "metrics.nobody > 0",
    "metrics.nobody != 0",
    "params.lr = '0.1'",
    'params.lr = "0.1"',
    "param.lr != '0.1'",
    "parameters.lr = '0.1'",
    "parameter.lr = '0.1'",
    "params.model LIKE '%ree'",
    "params.model LIKE 'tree'",
    "params.model ILIKE 'TREE'",
    "params.model ILIKE '%E%'",
    "params.model ilike 'TREE'",
    "params.model like 'tree'",
    "params.model LIKE 'linear_1'",
    "params.model LIKE 'linear__'",
    "params.model LIKE '100% pure'",
    "params.model LIKE 'été'",
    "params.model ILIKE 'ÉTÉ'",
    "params.model LIKE ''",
    "params.model LIKE '%'",
    "params.empty = ''",
    "params.empty != ''",
    "params.lr IS NULL",
    "params.lr IS NOT NULL",
    "params.lr is null",
    "params.`deep/er key` = 'v'",
    "params.nobody IS NULL",
    "tags.team = 'blue'",
    "tag.team != 'blue'",
    "tags.team LIKE 'bl%'",
    "tags.team ILIKE 'bl%'",
    "tags.team IS NULL",
    "tags.team IS NOT NULL",
    "tags.`with space` = 'a b'",
    "tags.'with space' = 'a b'",
    "tags.dotted.tag.name = 'd'",
    "tags.`dotted.tag.name` = 'd'",
    "tags.mlflow.runName = 'ant'",
    "tags.`mlflow.runName` LIKE 'a%'",
    "tags.empty = ''",
    "attributes.status = 'FINISHED'",
    "attribute.status = 'FINISHED'",
    "attr.status = 'FINISHED'",
    "run.status = 'FINISHED'",
    "status = 'FINISHED'",
    "status != 'FINISHED'",
    "status LIKE 'F%'",
    "status ILIKE 'finished'",
    "status = 'finished'",
    "attributes.run_name = 'ant'",
    "run_name = 'ant'",
    "attributes.run_name LIKE '%n%'",
    "attributes.`run name` = 'ant'",
    "attributes.`Run name` = 'ant'",
    "attributes.`Run Name` ILIKE 'ANT'",
    "attributes.run_id = '$ant'",
    "run_id != '$ant'",
    "attributes.run_id IN ('$ant', '$bee')",
    "attributes.run_id NOT IN ('$ant', '$bee')",
    "attributes.run_id in ('$ant')",
    "attributes.run_id LIKE '$ant'",
    "attributes.run_id IN ('nobody')",
    "attributes.user_id = 'bob'",
    "attributes.user_id != 'bob'",
    "user_id LIKE 'b%'",
    f"attributes.start_time > {T + 40}",
    f"start_time >= {T + 40}",
    f"attributes.created = {T + 40}",
    f"attributes.Created < {T + 40}",
    f"attributes.end_time < {T + 100}",
    f"end_time >= {T + 90}",
    f"end_time != {T + 90}",
    "attributes.artifact_uri LIKE '%$ant%'",
    "datasets.name = 'iris'",
    "dataset.name = 'iris'",
    "datasets.name != 'iris'",
    "datasets.digest = 'd1'",
    "dataset.context = 'eval'",
    "dataset.context LIKE 'train%'",
    "dataset.name ILIKE 'IRIS'",
    "dataset.name IN ('wine', 'beer')",
    "dataset.digest NOT IN ('d1')",
    "dataset.name = 'iris' AND dataset.context = 'eval'",
    "dataset.name = 'iris' AND dataset.name = 'wine'",
    "dataset.digest = 'd1' AND dataset.context = 'eval'",
    "metrics.acc > 0.5 AND params.lr = '0.1' AND tags.team = 'blue' AND status = 'FINISHED'",
    "metrics.acc > 0.5 and params.lr = '0.1'",
    "metrics.acc>0.5 AND params.lr='0.1'",
    "  metrics.acc   >   0.5  ",
    "metrics.acc > 0.5 AND metrics.acc < 0.85",
    "params.model = 'it''s'",
    "params.model = \"it's\"",
)

BAD_FILTERS = (
    "metrics.acc > '0.8'",
    "metrics.acc > abc",
    "metrics.acc",
    "metrics.acc >",
    "> 0.8",
    "metrics.acc LIKE '0.8'",
    "metrics.acc IN (1)",
    "metrics.acc IS NULL",
    "metrics.acc == 0.8",
    "metrics.acc <> 0.8",
    "metrics.acc ! 0.8",
    "metrics.acc > 0.5 OR metrics.acc < 0.1",
    "NOT metrics.acc > 0.5",
    "(metrics.acc > 0.5)",
    "metrics.acc > 0.5;",
    "metrics.acc > 0.5 -- x",
    "metrics.acc > 0.5 AND",
    "AND metrics.acc > 0.5",
    "metrics.acc > 0.5 params.lr = '0.1'",
    "metrics.acc > 0.5, params.lr = '0.1'",
    "params.lr = 0.1",
    "params.lr = abc",
    "params.lr > '0.1'",
    "params.lr IN ('0.1')",
    "params.lr = '0.1",
    "params.lr IS 'x'",
    "params.lr NOT NULL",
    "tags.team > 'a'",
    "tags.team = 1",
    "attributes.nobody = 'x'",
    "nobody = 'x'",
    "nobody.x = 'x'",
    "Metrics.acc > 0",
    "METRICS.acc > 0",
    "attributes.status > 'A'",
    "attributes.status IN ('FINISHED')",
    "attributes.status = 3",
    "attributes.start_time > '5'",
    "attributes.start_time > 1.5",
    "attributes.start_time LIKE '5'",
    "attributes.start_time IN (5)",
    "attributes.run_id IN ()",
    "attributes.run_id IN ('a',)",
    "attributes.run_id IN ('a'",
    "attributes.run_id IN (1, 2)",
    "attributes.run_id IN 'a'",
    "attributes.run_id > 'a'",
    "attributes.run_id NOT IN ()",
    "attributes.lifecycle_stage = 'active'",
    "attributes.experiment_id = '1'",
    "datasets.nobody = 'x'",
    "datasets.name > 'x'",
    "datasets.name = 3",
    "datasets.name IS NULL",
    "metrics. > 0",
    "metrics.`acc > 0",
    "params.`` = 'x'",
    "   ",
    "\t",
    "''",
    "'a' = 'a'",
    "1 = 1",
    "metrics.acc = 1 = 1",
    "metrics.acc > 1e400",
    "metrics.acc > NaN",
    "metrics.acc > Infinity",
    "metrics.acc > -Infinity",
    "metrics.acc > +1",
    "metrics.acc > 0x10",
    "metrics.acc > 1_000",
    "metrics.acc > .5",
    "metrics.acc > 5.",
    "metrics.acc > - 5",
)

ORDERS = (
    "metrics.acc", "metrics.acc DESC", "metrics.acc ASC", "metrics.acc desc", "metrics.loss", "metrics.loss DESC",
    "metrics.tie", "metrics.nobody", "metric.acc", "metrics.`deep/er loss` DESC",
    "params.lr", "params.lr DESC", "params.model", "params.model DESC", "param.lr", "params.nobody",
    "tags.team", "tags.team DESC", "tags.`with space`", "tags.mlflow.runName",
    "attributes.start_time", "attributes.start_time DESC", "start_time ASC", "attributes.end_time",
    "attributes.end_time DESC", "status", "attributes.status DESC", "run_name", "attributes.run_name DESC",
    "attributes.`Run Name`", "attributes.created", "attributes.Created DESC", "user_id", "user_id DESC",
    "artifact_uri", "run_id", "attributes.run_id DESC",
    "", "nobody", "attributes.nobody", "metrics", "metrics.", "datasets.name", "metrics.acc sideways",
    "metrics.acc ASC DESC", "`metrics.acc`", "metrics.acc, metrics.loss", "start_time; drop",
    "attributes.lifecycle_stage",
    "attributes.experiment_id", "metrics.acc  DESC ", "DESC",
)

#: Orders by a random id: only each server's own ids can tell whether they are right.
BY_ID = ("artifact_uri", "run_id")


def search(name: str, **fields: Any) -> Step:
    """A search of the runs made here."""
    return post(name, "runs/search", {"experiment_ids": ["$hunt"], **fields})


SEARCH: List[Step] = [
    *(search(f"runs where {text}", filter=text) for text in GOOD_FILTERS + BAD_FILTERS),
    *(search(f"runs ordered by {order}", order_by=[order])._replace(ids_ascend=order in BY_ID)
      for order in ORDERS if order != "attributes.run_id DESC"),
    search("runs in two orders", order_by=["params.model DESC", "metrics.acc"]),
    search("runs by tie and then name", order_by=["metrics.tie DESC", "run_name DESC"]),
    search("runs by status and start", order_by=["status", "start_time ASC"]),
    search("runs ordered twice by one key", order_by=["metrics.acc", "metrics.acc DESC"]),
    search("runs ordered and filtered", filter="metrics.acc > 0", order_by=["metrics.acc DESC"]),
    post("runs of equal start come by id", "runs/search",
         {"experiment_ids": ["$hunt2"], "filter": "tags.kind = 'twin'"}, ids_ascend=True),
    post("runs of two experiments", "runs/search",
         {"experiment_ids": ["$hunt", "$hunt2"], "filter": "run_name LIKE '%i%'", "order_by": ["run_name"]}),
    post("runs of no experiment", "runs/search", {}),
    post("runs of an empty list", "runs/search", {"experiment_ids": []}),
    post("runs of an unknown experiment", "runs/search", {"experiment_ids": ["424242"]}),
    post("runs of an experiment that is no number", "runs/search", {"experiment_ids": ["x"]}),
    post("runs of an experiment as a number", "runs/search", {"experiment_ids": [0]}),
    post("runs of one experiment named twice", "runs/search",
         {"experiment_ids": ["$hunt", "$hunt"], "filter": "run_name = 'ant'"}),
    search("active runs", run_view_type="ACTIVE_ONLY", filter="run_name LIKE 'd%'"),
    search("deleted runs", run_view_type="DELETED_ONLY"),
    search("all runs", run_view_type="ALL", filter="run_name LIKE 'd%'"),
    search("all runs by number", run_view_type=3, filter="run_name LIKE 'd%'"),
    search("runs of an unknown view", run_view_type="SOME", filter="run_name LIKE 'd%'"),
    search("every page of runs", max_results=3)._replace(follow=True),
    search("every page in order", max_results=2, order_by=["metrics.acc DESC"])._replace(follow=True),
    search("every page by a param", max_results=1, order_by=["params.lr"])._replace(follow=True),
    search("every page filtered", max_results=1, filter="metrics.acc >= 0.8")._replace(follow=True),
    search("every page of all", max_results=4, run_view_type="ALL")._replace(follow=True),
    search("a limit of 0", max_results=0),
    search("a negative limit", max_results=-1),
    search("a limit of 50000", max_results=50000, filter="run_name = 'ant'"),
    search("a limit of 50001", max_results=50001),
    search("a limit as text", max_results="2"),
    search("a rubbish page token", page_token="rubbish"),
    search("an empty page token", page_token="", filter="run_name = 'ant'"),
    search("a page token of offset 0", page_token="eyJvZmZzZXQiOiAwfQ=="),
    search("a page token as MLflow makes them", page_token="eyJvZmZzZXQiOiAyfQ==", max_results=2),
    search("a page token past the end", page_token="eyJvZmZzZXQiOiA5OTl9"),
    search("an order that is text", order_by="metrics.acc")._replace(name="runs with an order that is text"),
    search("a filter that is a number", filter=7)._replace(name="runs with a filter that is a number"),
    post("a search in camelCase", "runs/search",
         {"experimentIds": ["$hunt"], "filter": "run_name LIKE 'd%'", "runViewType": "ALL", "maxResults": 2,
          "orderBy": ["run_name"]}),
]

def datasets(name: str, *experiments: str) -> Step:
    """A search for the datasets of experiments, as the browser sends it."""
    return post(name, "/ajax-api/2.0/mlflow/experiments/search-datasets", {"experiment_ids": list(experiments)})


DATASETS: List[Step] = [
    datasets("datasets of an experiment", "$hunt"),
    datasets("datasets of an experiment that has none", "$hunt2"),
    datasets("datasets of two experiments", "$hunt", "$hunt2"),
    datasets("datasets of an experiment named twice", "$hunt", "$hunt"),
    datasets("datasets of no experiment"),
    datasets("datasets of an unknown experiment", "424242"),
    datasets("datasets of 20 experiments", *map(str, range(1000, 1020))),
    datasets("datasets of 21 experiments", *map(str, range(1000, 1021))),
]

STEPS: List[Step] = MAKE + SEARCH + DATASETS
