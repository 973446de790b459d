"""Steps of the area registry: registered models, model versions, aliases, stages, tags, searches, prompts."""

from typing import Any, Dict, List, Sequence

from tests.compat.differ import Step, delete, get, patch, post

PROMPT = [{"key": "mlflow.prompt.is_prompt", "value": "true"}]
MODEL, VERSION = "registered-models/", "model-versions/"


def tags(**values: str) -> List[Dict[str, str]]:
    """Tags as a request has them."""
    return [{"key": key, "value": value} for key, value in values.items()]


def model(name: str, called: str, **fields: Any) -> Step:
    """Create a registered model."""
    return post(name, MODEL + "create", {"name": called, **fields})


def version(name: str, of: str, source: str = "s3://bucket/m", **fields: Any) -> Step:
    """Create a model version."""
    return post(name, VERSION + "create", {"name": of, "source": source, **fields})


MODELS: List[Step] = [
    model("create a model", "iris"),
    get("a new model", MODEL + "get", {"name": "iris"}),
    model("a model's name can be used once", "iris"),
    model("a prompt cannot have a model's name", "iris", tags=PROMPT),
    model("create a model with tags and description", "wine", tags=tags(team="blue", note="Ω \n two"), description="d"),
    get("a model with tags", MODEL + "get", {"name": "wine"}),
    model("create a model with equal tag keys", "twins", tags=tags(a="1") + tags(a="2")),
    get("a model with equal tag keys", MODEL + "get", {"name": "twins"}),
    model("create a model with an empty description", "plain", description=""),
    get("a model with an empty description", MODEL + "get", {"name": "plain"}),
    post("create a model without a name", MODEL + "create", {}),
    *[
        model(f"create a model named {name!r}", name)
        for name in ["", " ", "a/b", "a:b", "..", ".", "../x", "..x", "x ", " x", "a\\b", "a\nb", "IRIS", "007",
                     "größe 漢", "con", "x.", ".hidden", "-", "%2e", "a*b", "version-1", "meta.yaml", "tags"]
    ],
    model("create a model with a long name", "n" * 256),
    model("create a model with a very long name", "n" * 300),
    get("a model with a very long name", MODEL + "get", {"name": "n" * 300}),
    model("create a model with a number for a name", 12),  # type: ignore[arg-type]
    model("create a model with a tag without a key", "keyless", tags=[{"value": "1"}]),
    model("create a model with a tag without a value", "valueless", tags=[{"key": "a"}]),
    model("create a model with a long tag key", "longkey", tags=tags(**{"k" * 251: "v"})),
    model("create a model with a tag key that climbs", "climbs", tags=tags(**{"../x": "v"})),
    model("create a model with a long tag value", "longvalue", tags=tags(k="v" * 5001)),
    model("create a model with a too long tag value", "longervalue", tags=tags(k="v" * 100001)),
    get("get a registered model that is not there", MODEL + "get", {"name": "nobody"}),
    get("get a model without a name", MODEL + "get"),
    get("get a model by an empty name", MODEL + "get", {"name": ""}),
    get("get a model by a name with a slash", MODEL + "get", {"name": "a/b"}),
    get("get a model by another case", MODEL + "get", {"name": "Iris"}),
    patch("update a model", MODEL + "update", {"name": "iris", "description": "about flowers"}),
    get("an updated model", MODEL + "get", {"name": "iris"}),
    patch("update a model without a description", MODEL + "update", {"name": "iris"}),
    get("a model without its description", MODEL + "get", {"name": "iris"}),
    patch("update a model that is not there", MODEL + "update", {"name": "nobody", "description": "x"}),
    patch("update a model without a name", MODEL + "update", {"description": "x"}),
    post("update a model by POST", MODEL + "update", {"name": "iris"}),
    post("set a model's tag", MODEL + "set-tag", {"name": "iris", "key": "stage/x", "value": "one"}),
    post("set a model's tag again", MODEL + "set-tag", {"name": "iris", "key": "stage/x", "value": "two"}),
    post("set a model's tag without a value", MODEL + "set-tag", {"name": "iris", "key": "empty"}),
    post("set a model's tag without a key", MODEL + "set-tag", {"name": "iris", "value": "x"}),
    post("set a model's tag with a bad key", MODEL + "set-tag", {"name": "iris", "key": "a//b", "value": "x"}),
    post("set a tag of no model", MODEL + "set-tag", {"name": "nobody", "key": "a", "value": "x"}),
    get("a model with tags that were set", MODEL + "get", {"name": "iris"}),
    delete("delete a model's tag", MODEL + "delete-tag", {"name": "iris", "key": "empty"}),
    delete("delete a model's tag again", MODEL + "delete-tag", {"name": "iris", "key": "empty"}),
    delete("delete a model's tag with a bad key", MODEL + "delete-tag", {"name": "iris", "key": "../x"}),
    delete("delete a tag of no model", MODEL + "delete-tag", {"name": "nobody", "key": "a"}),
    delete("delete a model's tag without a key", MODEL + "delete-tag", {"name": "iris"}),
    model("a model to rename", "old"),
    version("a version of a model to rename", "old", tags=tags(t="1")),
    post("an alias of a model to rename", MODEL + "alias", {"name": "old", "alias": "best", "version": "1"}),
    post("rename a model", MODEL + "rename", {"name": "old", "new_name": "new"}),
    get("a renamed model", MODEL + "get", {"name": "new"}),
    get("a renamed model by its old name", MODEL + "get", {"name": "old"}),
    get("a renamed model's version", VERSION + "get", {"name": "new", "version": "1"}),
    get("a renamed model's alias", MODEL + "alias", {"name": "new", "alias": "best"}),
    post("rename a registered model onto a taken name", MODEL + "rename", {"name": "new", "new_name": "iris"}),
    post("rename to the same name", MODEL + "rename", {"name": "new", "new_name": "new"}),
    post("rename to a bad name", MODEL + "rename", {"name": "new", "new_name": "a/b"}),
    post("rename to a blank name", MODEL + "rename", {"name": "new", "new_name": " "}),
    post("rename without a new name", MODEL + "rename", {"name": "new"}),
    post("rename no model", MODEL + "rename", {"name": "nobody", "new_name": "somebody"}),
    delete("delete a registered model", MODEL + "delete", {"name": "new"}),
    delete("delete a registered model again", MODEL + "delete", {"name": "new"}),
    get("a deleted model", MODEL + "get", {"name": "new"}),
    get("a version of a deleted model", VERSION + "get", {"name": "new", "version": "1"}),
    delete("delete a model without a name", MODEL + "delete", {}),
    model("create a deleted model again", "new"),
    version("its first version is 1 again", "new"),
]

VERSIONS: List[Step] = [
    post("an experiment for versions", "experiments/create", {"name": "versions"}, keep={"home": "experiment_id"}),
    post("a run for versions", "runs/create", {"experiment_id": "$home", "start_time": 1, "run_name": "r"},
         keep={"maker": "run.info.run_id"}),
    version("create a version", "iris"),
    version("create a version with everything", "iris", "s3://bucket/n", tags=tags(a="1", b="x y"), description="two",
            run_link="http://somewhere/else"),
    get("a version with everything", VERSION + "get", {"name": "iris", "version": "2"}),
    version("create a version of no model", "nobody"),
    version("create a version of a bad name", "a/b"),
    post("create a version without a source", VERSION + "create", {"name": "iris"}),
    post("create a version with an empty source", VERSION + "create", {"name": "iris", "source": ""}),
    post("create a version without a name", VERSION + "create", {"source": "s3://bucket/m"}),
    version("create a version with equal tag keys", "iris", tags=tags(a="1") + tags(a="2")),
    version("create a version with a tag without a key", "iris", tags=[{"value": "1"}]),
    version("create a version with a tag key that climbs", "iris", tags=tags(**{"../x": "v"})),
    version("create a version with a long tag value", "iris", tags=tags(k="v" * 100001)),
    version("create a version with a long description", "iris", description="d" * 6000),
    version("a version from a run's artifacts", "iris", "mlflow-artifacts:/$home/$maker/artifacts/m",
            run_id="$maker"),
    version("a version from runs:/", "iris", "runs:/$maker/model", run_id="$maker"),
    get("a version from runs:/ as it is kept", VERSION + "search", {"filter": "run_id = '$maker'"}),
    version("a version from runs:/ without the run", "iris", "runs:/$maker/model"),
    version("a version from runs:/ of another run", "iris", "runs:/" + "0" * 32 + "/model", run_id="$maker"),
    version("a version from runs:/ without a path", "iris", "runs:/$maker", run_id="$maker"),
    version("a version with a run that is not there", "iris", "s3://bucket/m", run_id="0" * 32),
    version("a version with a run id that is none", "iris", "s3://bucket/m", run_id="../x"),
    *[
        version(f"a version from {source}", "iris", source, run_id="$maker")
        for source in [
            "/tmp/x", "relative/x", "file:///etc", "file://host/etc", "mlflow-artifacts:/9/x/artifacts",
            "mlflow-artifacts:/$home/$maker/artifacts/../../x", "s3://bucket/../x", "s3://bucket/a/%2e%2e/x",
            "s3://bucket/a/..%252fx", "http://host/x", "https://host/api/2.0/mlflow-artifacts/artifacts/x", "dbfs:/x/y",
            "gs://b/m", "hdfs://host/x", "models:/", "models:/nobody/1", "models:/iris", "models://host/iris/1",
            "models:/m-" + "0" * 32, "s3://bucket/a%00b", "s3:/bucket//x/", "wasbs://c@h/x", "abc:def", "databricks",
            "runs://host/$maker/model", "dummy-source", "ftp://host/x", "  s3://bucket/x",
        ]
    ],
    version("a version from /tmp without a run", "iris", "/tmp/x"),
    model("a model for a very long source", "long"),
    version("a version from a very long source", "long", "s3://bucket/" + "x" * 10000),
    delete("delete the model of the long source", MODEL + "delete", {"name": "long"}),
    version("a proxied version without a run", "iris", "mlflow-artifacts:/$home/$maker/artifacts/m"),
    version("a version from an empty run id", "iris", "s3://bucket/m", run_id=""),
    version("a version with a model id that is not there", "iris", "models:/m-" + "0" * 32, model_id="m-" + "0" * 32),
    version("a version in s3 with a model id that is not there", "wine", "s3://bucket/m", model_id="m-" + "0" * 32),
    model("a copy of a model", "copy"),
    version("a version that copies a version", "copy", "models:/iris/2"),
    version("a version that copies one of a run", "copy", "models:/iris/5"),
    version("a version that copies a copy", "copy", "models:/copy/2"),
    version("a version that copies by an alias that is not there", "copy", "models:/iris@nobody"),
    version("a version that copies with another run", "copy", "models:/iris/2", run_id="$maker"),
    version("a version that copies the latest", "copy", "models:/iris/latest"),
    version("a version that copies what is not there", "copy", "models:/iris/999"),
    get("where a copied version lies", VERSION + "get-download-uri", {"name": "copy", "version": "1"}),
    get("where a version lies", VERSION + "get-download-uri", {"name": "iris", "version": "2"}),
    get("where a version of runs:/ lies", VERSION + "get-download-uri", {"name": "iris", "version": "5"}),
    get("where a version lies that is not there", VERSION + "get-download-uri", {"name": "iris", "version": "99"}),
    get("where no version lies", VERSION + "get-download-uri", {"name": "iris"}),
    get("a version that is not there", VERSION + "get", {"name": "iris", "version": "99"}),
    get("a version that is no number", VERSION + "get", {"name": "iris", "version": "one"}),
    get("a version with zeros in front", VERSION + "get", {"name": "iris", "version": "02"}),
    get("a version with blanks", VERSION + "get", {"name": "iris", "version": " 2 "}),
    get("a version that is negative", VERSION + "get", {"name": "iris", "version": "-1"}),
    get("a version that is huge", VERSION + "get", {"name": "iris", "version": "9" * 30}),
    get("a version without a number", VERSION + "get", {"name": "iris"}),
    post("a version's number as a number", VERSION + "set-tag",
         {"name": "iris", "version": 1, "key": "k", "value": "v"}),
    patch("update a version", VERSION + "update", {"name": "iris", "version": "1", "description": "first"}),
    get("an updated version", VERSION + "get", {"name": "iris", "version": "1"}),
    patch("update a version without a description", VERSION + "update", {"name": "iris", "version": "1"}),
    get("a version without its description", VERSION + "get", {"name": "iris", "version": "1"}),
    patch("update a version with an empty description", VERSION + "update",
          {"name": "iris", "version": "1", "description": ""}),
    patch("update a version that is not there", VERSION + "update", {"name": "iris", "version": "99"}),
    post("set a version's tag", VERSION + "set-tag", {"name": "iris", "version": "1", "key": "a", "value": "1"}),
    post("set a version's tag again", VERSION + "set-tag", {"name": "iris", "version": "1", "key": "a", "value": "2"}),
    post("set a version's tag without a value", VERSION + "set-tag", {"name": "iris", "version": "1", "key": "e"}),
    post("set a version's tag with a bad key", VERSION + "set-tag", {"name": "iris", "version": "1", "key": "a/"}),
    post("set a tag of no version", VERSION + "set-tag", {"name": "iris", "version": "99", "key": "a", "value": "1"}),
    get("a version with tags that were set", VERSION + "get", {"name": "iris", "version": "1"}),
    delete("delete a version's tag", VERSION + "delete-tag", {"name": "iris", "version": "1", "key": "e"}),
    delete("delete a version's tag again", VERSION + "delete-tag", {"name": "iris", "version": "1", "key": "e"}),
    delete("delete a tag of no version", VERSION + "delete-tag", {"name": "iris", "version": "99", "key": "e"}),
]


def stage(name: str, of: str, number: str, to: str, **fields: Any) -> Step:
    """Move a version to a stage."""
    return post(name, VERSION + "transition-stage", {"name": of, "version": number, "stage": to, **fields})


STAGES: List[Step] = [
    stage("to Staging", "iris", "1", "Staging", archive_existing_versions=False),
    stage("to production, in lower case", "iris", "2", "production"),
    stage("another to Production", "iris", "3", "Production", archive_existing_versions=False),
    get("latest versions in several stages", MODEL + "get", {"name": "iris"}),
    stage("a third to Production, archiving", "iris", "4", "Production", archive_existing_versions=True),
    get("latest versions after archiving", MODEL + "get", {"name": "iris"}),
    get("an archived version", VERSION + "get", {"name": "iris", "version": "2"}),
    stage("archive to Archived", "iris", "1", "Archived", archive_existing_versions=True),
    stage("to Archived", "iris", "1", "Archived"),
    stage("to None", "iris", "1", "None"),
    stage("to a stage that is none", "iris", "1", "Deleted_Internal"),
    stage("to an empty stage", "iris", "1", ""),
    stage("to a stage of no version", "iris", "99", "Staging"),
    stage("archiving for no version", "iris", "99", "Production", archive_existing_versions=True),
    stage("to the stage that it has", "iris", "4", "Production", archive_existing_versions=True),
    stage("a string for archiving", "iris", "4", "Production", archive_existing_versions="FALSE"),
    stage("a version with a zero in front, archiving", "iris", "04", "Production", archive_existing_versions=True),
    post("latest versions", MODEL + "get-latest-versions", {"name": "iris"}),
    get("latest versions by GET", MODEL + "get-latest-versions", {"name": "iris"}),
    get("latest versions of two stages", MODEL + "get-latest-versions",
        [("name", "iris"), ("stages", "production"), ("stages", "None")]),
    post("latest versions of a stage that is none", MODEL + "get-latest-versions", {"name": "iris", "stages": ["x"]}),
    post("latest versions of no model", MODEL + "get-latest-versions", {"name": "nobody"}),
    post("latest versions of a model without any", MODEL + "get-latest-versions", {"name": "plain"}),
    post("latest versions without a name", MODEL + "get-latest-versions", {}),
]


def alias(name: str, of: str, called: str, number: str) -> Step:
    """Set an alias."""
    return post(name, MODEL + "alias", {"name": of, "alias": called, "version": number})


ALIASES: List[Step] = [
    alias("set an alias", "iris", "champion", "1"),
    alias("set an alias with a dash", "iris", "the-best_1", "1"),
    alias("move an alias", "iris", "champion", "2"),
    alias("set an alias in another case", "iris", "Champion", "3"),
    alias("set an alias in another script", "iris", "größe漢", "3"),
    get("a version by its alias", MODEL + "alias", {"name": "iris", "alias": "champion"}),
    get("a version by an alias in another case", MODEL + "alias", {"name": "iris", "alias": "CHAMPION"}),
    get("a version by an alias that is not there", MODEL + "alias", {"name": "iris", "alias": "nobody"}),
    get("a version by an alias of no model", MODEL + "alias", {"name": "nobody", "alias": "x"}),
    get("a version by the alias latest", MODEL + "alias", {"name": "iris", "alias": "latest"}),
    get("a version by the alias Latest", MODEL + "alias", {"name": "iris", "alias": "Latest"}),
    get("the latest of no version", MODEL + "alias", {"name": "plain", "alias": "latest"}),
    get("the latest of no model", MODEL + "alias", {"name": "nobody", "alias": "latest"}),
    get("a version by a bad alias", MODEL + "alias", {"name": "iris", "alias": "a b"}),
    get("a version without an alias", MODEL + "alias", {"name": "iris"}),
    get("a model with aliases", MODEL + "get", {"name": "iris"}),
    get("a version with an alias", VERSION + "get", {"name": "iris", "version": "3"}),
    alias("the alias latest", "iris", "latest", "1"),
    alias("the alias LATEST", "iris", "LATEST", "1"),
    alias("the alias v1", "iris", "v1", "1"),
    alias("the alias V12", "iris", "V12", "1"),
    alias("the alias v", "iris", "v", "1"),
    alias("the alias v1x", "iris", "v1x", "1"),
    alias("an empty alias", "iris", "", "1"),
    alias("an alias with a blank", "iris", "a b", "1"),
    alias("an alias with a slash", "iris", "a/b", "1"),
    alias("an alias with a dot", "iris", "a.b", "1"),
    alias("an alias with a line feed", "iris", "a\n", "1"),
    alias("an alias of 255 characters", "iris", "a" * 255, "1"),
    alias("an alias of 256 characters", "iris", "a" * 256, "1"),
    alias("an alias of no version", "iris", "x", "99"),
    alias("an alias of a bad version", "iris", "x", "one"),
    alias("an alias of no model", "nobody", "x", "1"),
    version("a version that copies by alias", "copy", "models:/iris@champion"),
    delete("delete an alias", MODEL + "alias", {"name": "iris", "alias": "v"}),
    delete("delete an alias again", MODEL + "alias", {"name": "iris", "alias": "v"}),
    delete("delete a bad alias", MODEL + "alias", {"name": "iris", "alias": "a b"}),
    delete("delete an alias of no model", MODEL + "alias", {"name": "nobody", "alias": "v"}),
    delete("delete the alias latest", MODEL + "alias", {"name": "iris", "alias": "latest"}),
    delete("delete a version with aliases", VERSION + "delete", {"name": "iris", "version": "3"}),
    get("a deleted version", VERSION + "get", {"name": "iris", "version": "3"}),
    get("where a deleted version lies", VERSION + "get-download-uri", {"name": "iris", "version": "3"}),
    get("an alias of a deleted version", MODEL + "alias", {"name": "iris", "alias": "Champion"}),
    get("a model after a version's end", MODEL + "get", {"name": "iris"}),
    alias("an alias of a deleted version again", "iris", "x", "3"),
    stage("a deleted version's stage", "iris", "3", "Staging"),
    patch("a deleted version's description", VERSION + "update", {"name": "iris", "version": "3", "description": "x"}),
    post("a deleted version's tag", VERSION + "set-tag", {"name": "iris", "version": "3", "key": "a", "value": "1"}),
    delete("delete a version again", VERSION + "delete", {"name": "iris", "version": "3"}),
    delete("delete a version that is no number", VERSION + "delete", {"name": "iris", "version": "x"}),
    model("a model that loses its last version", "shrinking"),
    version("the first of a shrinking model", "shrinking"),
    version("the second of a shrinking model", "shrinking"),
    delete("delete the highest version", VERSION + "delete", {"name": "shrinking", "version": "2"}),
    version("a number is not used again", "shrinking"),
    post("rename a model with a deleted version", MODEL + "rename", {"name": "shrinking", "new_name": "grown"}),
    version("a number is not used again after renaming", "grown"),
    get("a copy of a deleted version", VERSION + "get-download-uri", {"name": "copy", "version": "4"}),
]

PROMPTS: List[Step] = [
    model("create a prompt", "greeting", tags=PROMPT),
    version("create a prompt's version", "greeting", "dummy-source",
            tags=PROMPT + [{"key": "mlflow.prompt.text", "value": "Hello {{name}}"}]),
    version("a prompt's version from elsewhere", "greeting", "s3://bucket/x", tags=PROMPT),
    version("a prompt's version with the other placeholder", "greeting", "prompt-template", tags=PROMPT),
    version("a prompt's version without the tag", "greeting", "s3://bucket/x"),
    version("a version that copies a prompt", "copy", "models:/greeting/1"),
    model("a model cannot have a prompt's name", "greeting"),
    get("a prompt is a model", MODEL + "get", {"name": "greeting"}),
    model("a model that says it is no prompt", "no-prompt", tags=tags(**{"mlflow.prompt.is_prompt": "false"})),
    model("a prompt in capitals", "loud", tags=tags(**{"mlflow.prompt.is_prompt": "TRUE"})),
]


def searches(kind: str, filters: Sequence[str]) -> List[Step]:
    """One search per filter."""
    return [get(f"{kind} where {text}", kind + "/search", {"filter": text}) for text in filters]


TAG = "tags.`mlflow.prompt.is_prompt`"
SEARCHES: List[Step] = [
    get("all models", MODEL + "search"),
    get("all models by pages", MODEL + "search", {"max_results": "5"}, follow=True),
    get("no models", MODEL + "search", {"max_results": "0"}),
    get("too many models", MODEL + "search", {"max_results": "1001"}),
    get("most models", MODEL + "search", {"max_results": "1000"}),
    get("models of a page that is none", MODEL + "search", {"page_token": "x"}),
    post("models by POST, as R asks", MODEL + "search", {"max_results": 3}),
    *[
        get(f"models by {order}", MODEL + "search", {"order_by": order})
        for order in ["name DESC", "last_updated_timestamp", "timestamp DESC", "creation_timestamp", "x", "name desc"]
    ],
    get("models by two keys", MODEL + "search", [("order_by", "timestamp ASC"), ("order_by", "name DESC")]),
    get("models by one key twice", MODEL + "search", [("order_by", "name ASC"), ("order_by", "name DESC")]),
    *searches("registered-models", [
        "name = 'iris'", "name != 'iris'", "name LIKE 'i%'", "name ILIKE 'I%'", "name like '%r%'",
        "name IN ('iris', 'wine')",
        "name NOT IN ('iris', 'wine')", "attribute.name = 'iris'", "tags.team = 'blue'", "tag.team != 'red'",
        "tags.team LIKE 'b%'", "tags.`stage/x` = 'two'", "tags.team = 'blue' AND name = 'wine'",
        "tags.team = 'blue' and tags.note LIKE '%two'",
        "name = \"iris\"", "name = iris", "version = 1", "name > 'a'",
        "tags.team IS NULL",
        "name = 'iris' OR name = 'wine'", "tags.team", "", " ", "tags.a = '1'",
        f"{TAG} = 'true'", f"{TAG} = 'false'", f"{TAG} != 'true'", f"{TAG} != 'false'", f"{TAG} = 'TRUE'",
        f"{TAG} = 'true' AND name LIKE 'g%'", f"name LIKE 'g%' AND {TAG} != 'true'", f"{TAG} LIKE 'true'",
    ]),
    get("all versions", VERSION + "search"),
    get("all versions by pages", VERSION + "search", {"max_results": "4"}, follow=True),
    get("no versions", VERSION + "search", {"max_results": "0"}),
    get("too many versions", VERSION + "search", {"max_results": "200001"}),
    *[
        get(f"versions by {order}", VERSION + "search", {"order_by": order, "filter": "name LIKE '%i%'"})
        for order in ["name DESC", "version_number ASC", "version_number DESC", "creation_timestamp",
                      "last_updated_timestamp ASC", "run_id", "version"]
    ],
    get("versions by two keys", VERSION + "search", [("order_by", "version_number ASC"), ("order_by", "name DESC")]),
    *searches("model-versions", [
        "name = 'iris'", "name = 'Iris'", "name LIKE 'i%'", "name IN ('iris', 'copy')", "name NOT IN ('iris')",
        "run_id = '$maker'", "run_id != '$maker'", "run_id IN ('$maker', 'x')", "run_id LIKE '%a%' AND name = 'nobody'",
        "source_path = 's3://bucket/n'", "source_path LIKE 's3:%'", "source_path IN ('s3://bucket/n')",
        "version_number = 1", "version_number = '1'", "version_number > 2", "version_number <= 1 AND name = 'copy'",
        "version_number = 1.5", "version_number = 'x'", "version_number LIKE '1'", "version_number != 1", "version = 1",
        "tags.a = '1'", "tags.a = '2'", "tags.a != '1'", "tags.b LIKE 'x%' AND tags.a = '1'", "current_stage = 'None'",
        "tags.a IS NULL", "name = 'iris' AND tags.a = '2'", "name = 'greeting'",
        f"{TAG} = 'true'", f"{TAG} != 'false'", f"{TAG} = 'false'", f"{TAG} = 'true' AND name = 'greeting'",
    ]),
]

LOGGED: List[Step] = [
    post("a logged model to register", "logged-models",
         {"experiment_id": "$home", "name": "logged", "source_run_id": "$maker"},
         keep={"logged": "model.info.model_id"}),
    model("a model for logged ones", "of-logged"),
    version("a version that is a logged model", "of-logged", "models:/$logged", model_id="$logged"),
    version("a version in a logged model's artifacts", "of-logged",
            "mlflow-artifacts:/$home/models/$logged/artifacts/x", model_id="$logged"),
    version("a version in s3 of a logged model", "of-logged", "s3://bucket/m", model_id="$logged", run_id="$maker"),
    version("a version of a logged model with an empty run id", "of-logged", "s3://bucket/m", model_id="$logged",
            run_id=""),
    version("a version of a logged model from its run", "of-logged", "runs:/$maker/m", model_id="$logged",
            run_id="$maker"),
    version("a version of another logged model", "of-logged", "models:/m-" + "1" * 32, model_id="$logged"),
    version("a version of a logged model from a local path", "of-logged", "/tmp/x", model_id="$logged"),
    version("a version of a logged model from elsewhere", "of-logged", "mlflow-artifacts:/0/x", model_id="$logged"),
    version("a version of a logged model without its id", "of-logged", "models:/$logged"),
    version("a version that copies one of a logged model", "copy", "models:/of-logged/1"),
    get("where a version of a logged model lies", VERSION + "get-download-uri", {"name": "of-logged", "version": "1"}),
    get("the versions on a logged model", "logged-models/$logged"),
    delete("delete the logged model that is registered", "logged-models/$logged"),
    version("a version in s3 of a deleted logged model", "of-logged", "s3://bucket/m", model_id="$logged"),
    version("a version that is a deleted logged model", "of-logged", "models:/$logged", model_id="$logged"),
]

#: Every route once more, where the browser finds it.
TWINS: List[Step] = [
    Step(
        f"the browser's {method} {path}", method, "/ajax-api/2.0/mlflow/" + path,
        query=list(fields.items()) if method == "GET" else (), body=None if method == "GET" else fields,
    )
    for method, path, fields in [
        ("POST", MODEL + "create", {"name": "browsed"}),
        ("POST", VERSION + "create", {"name": "browsed", "source": "s3://bucket/m"}),
        ("PATCH", MODEL + "update", {"name": "browsed", "description": "x"}),
        ("PATCH", VERSION + "update", {"name": "browsed", "version": "1", "description": "y"}),
        ("POST", VERSION + "transition-stage", {"name": "browsed", "version": "1", "stage": "Staging"}),
        ("POST", MODEL + "set-tag", {"name": "browsed", "key": "a", "value": "b"}),
        ("POST", VERSION + "set-tag", {"name": "browsed", "version": "1", "key": "a", "value": "b"}),
        ("POST", MODEL + "alias", {"name": "browsed", "alias": "x", "version": "1"}),
        ("GET", MODEL + "alias", {"name": "browsed", "alias": "x"}),
        ("GET", MODEL + "get", {"name": "browsed"}),
        ("GET", VERSION + "get", {"name": "browsed", "version": "1"}),
        ("GET", VERSION + "get-download-uri", {"name": "browsed", "version": "1"}),
        ("GET", MODEL + "search", {"filter": "name = 'browsed'"}),
        ("GET", VERSION + "search", {"filter": "name = 'browsed'"}),
        ("GET", MODEL + "get-latest-versions", {"name": "browsed"}),
        ("POST", MODEL + "get-latest-versions", {"name": "browsed"}),
        ("DELETE", MODEL + "alias", {"name": "browsed", "alias": "x"}),
        ("DELETE", MODEL + "delete-tag", {"name": "browsed", "key": "a"}),
        ("DELETE", VERSION + "delete-tag", {"name": "browsed", "version": "1", "key": "a"}),
        ("POST", MODEL + "rename", {"name": "browsed", "new_name": "seen"}),
        ("DELETE", VERSION + "delete", {"name": "seen", "version": "1"}),
        ("DELETE", MODEL + "delete", {"name": "seen"}),
    ]
]

STEPS: List[Step] = [*MODELS, *VERSIONS, *STAGES, *ALIASES, *PROMPTS, *SEARCHES, *LOGGED, *TWINS]
