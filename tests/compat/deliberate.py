"""Where trackd answers otherwise than MLflow 3.17.2 on purpose, and the steps that show it.

Each row names its row on ``docs/differences.md``, by the first cell; the reason stands there. ``where`` is what may
differ (a regular expression on the path in the answer) and keeps a row from hiding a second difference.
``test_same_answers`` fails for a step in this table that no longer differs.
"""

from typing import Dict, List, NamedTuple, Optional, Sequence

#: Anything in the answer but its headers.
ANYTHING = r"\.(status|type|body)\b"


class Deliberate(NamedTuple):
    """One difference. ``error_code`` is that of trackd's answer, ``None`` where it has none."""

    row: str
    status: int
    error_code: Optional[str]
    steps: Sequence[str]
    where: str = ANYTHING
    #: A folder can do less or more than a database: on that trackd answers as MLflow does.
    folders_only: bool = False


def refused(row: str, *steps: str) -> Deliberate:
    """trackd answers 400 INVALID_PARAMETER_VALUE."""
    return Deliberate(row, 400, "INVALID_PARAMETER_VALUE", steps)


def taken(row: str, *steps: str) -> Deliberate:
    """trackd answers 200."""
    return Deliberate(row, 200, None, steps)


def each(path: str, field: str, *values: str) -> List[str]:
    """The names of steps that put a wrong value into a field (``steps_wire.WRONG``)."""
    return [f"{path} with {field} = {value}" for value in values]


NOT_KEPT_WRONGLY: Sequence[Deliberate] = (
    refused(
        'An integer that is none: `12.5`, `true`, `" 12"`, beyond 64 bits',
        "log with a step that is half", "log with a step beyond int64", "log with a step that is true",
        "a page size that is text",
        *each("runs/create", "start_time", "12.5", "true", "9223372036854775808", '" 5 "'),
        *each("runs/update", "end_time", "1.5"), *each("runs/search", "max_results", "1.5", "true"),
    ),
    refused(
        'A metric\'s value that is `true`, `"abc"`, `"1_0"` or a bare `NaN`',
        "a metric with a text value", "log true", "log a number with an underscore", "a bare NaN",
    ),
    refused(
        "A number of a status or view type that does not exist, `true` for one",
        "search by an unknown view number", "finalize to a status of no number",
        *each("runs/update", "status", "true"), *each("runs/search", "run_view_type", "true", "{}"),
    ),
    refused(
        "A list that holds `null`, a number or a list in the place of an id or object",
        "runs of an experiment as a number",
        *each("runs/create", "tags", "{}", "[5]", "[[]]", '{"key": "a", "value": "b"}'),
        *each("runs/search", "experiment_ids", '[["0"]]', "[null]"),
    ),
    refused(
        "A string field that holds a number or an object", *each("runs/create", "tags", '[{"key": 5, "value": "b"}]')
    ),
    refused("JSON with a name twice in one object", "a key twice"),
    refused('Half of a surrogate pair in a string (`"\\ud800"`)', "a run named by half of a pair"),
    refused("Bodies in UTF-16 or UTF-32", "UTF-16", "UTF-32"),
    refused(
        "Tags of a new run with a key that is empty, too long or climbs (`../x`)",
        "a run with a too long tag key", "a run with a tag key that climbs", "a run with a tag without a key",
    ),
    Deliberate(
        "Tags of a new run with values above 8000 characters",
        200, None, ["a run with a too long tag"], r"\.body\.run\.data\.tags\[\d\]\.value",
    ),
    refused(
        "Dataset inputs without dataset, name, digest or a tag's key; models without an id",
        "an input without a dataset", "an input without a name", "an input without a digest",
        "an input with a tag without a key", "an output without a model", "log an input of a model without an id",
    ),
    refused(
        "Model ids that are no ids (`../x`) in inputs, outputs and points of metrics",
        "log an input of a model id that is a path", "log with a model id that is a path",
    ),
    Deliberate(
        "A metric point of a logged model that is not there",
        404, "RESOURCE_DOES_NOT_EXIST",
        ["log with a dataset and no such model", "a batch that fails late", "a point of a model that is not there"],
    ),
    refused(
        "Params and tags of logged models with a key that is empty, too long or climbs",
        "a model with a param without a key", "a model with a param key that climbs",
        "a model with a tag key that climbs", "set a tag of a model without a key",
    ),
    refused(
        "A logged model's name or type above 500 characters, a value above 1,000,000", "a model with a long name",
    ),
    refused(
        "A logged model's id in the body that is not the one in the path",
        "finalize another model than that of the path", "log params of another model than that of the path",
    ),
    refused(
        "`allow_deleted` that is neither true nor false", "get a deleted model if that is allowed by a word",
    ),
    refused(
        "Filters of logged models by a status that is no number, or by `metadata`",
        "models where status = 'READY'", "models where status LIKE '1'", "models where metadata = 'x'",
        "models where tags = 'x'",
    ),
    refused(
        "logged-models/search with a negative `max_results`", "a page of models of less than none",
    ),
    Deliberate(
        "Equal tag keys in experiments/create",
        400, "BAD_REQUEST", ["create with equal tag keys"], r"\.body\.(error_code|error_class)",
    ),
    refused(
        "runs/create without an experiment", "a run without an experiment", "a run with an empty experiment",
    ),
    refused(
        "`run_uuid` alone where the message has only `run_id` (delete, restore, log-batch)",
        "delete by run_uuid", "restore by run_uuid",
    ),
    refused(
        "get-history-bulk with an empty key or a negative limit", "bulk of an empty key", "bulk with a negative limit",
    ),
    refused("An experiment id in another script's digits", "get an id of another script's digits"),
    refused("registered-models/search with `max_results` 0 or below", "no models"),
    refused("A model version's source above 10,000 characters", "a version from a very long source"),
    refused("A backslash in an artifact's path", "upload a backslash", "delete the backslash"),
)

NEVER_A_SERVER_ERROR: Sequence[Deliberate] = (
    refused(
        "An array, a number or `true` as the body; JSON in a string twice over",
        "a number", "true", "an array", "an array of objects", "JSON in a string in a string",
        "a string that is not JSON",
    ),
    refused("Deep nesting, integers of thousands of digits, a value beyond a double", "deep nesting"),
    refused(
        "`null` or text in the place of a metric; objects in the place of integers",
        "metrics with a null", "log a list", *each("runs/create", "start_time", "{}", "[]"),
        *each("runs/update", "end_time", "{}"), *each("runs/search", "max_results", "{}"),
    ),
    Deliberate(
        "Renaming a deleted experiment", 400, "INVALID_STATE", ["rename a deleted experiment"], r"\.status",
    ),
    refused("An experiment id beyond 64 bits", "get a huge id"),
    refused("An artifact location with a file URI of another host", "a file location on another host"),
    refused(
        "log-model with JSON that is no object, flavors that are none, or a history tag that holds no list",
        "log a model with a list", "log a model with flavors that are none", "log a model after that",
    ),
    refused("get-history-bulk with a limit that is no number", "bulk with a limit that is text"),
    refused("runs/search ordered twice by one key", "runs ordered twice by one key"),
    refused(
        "Filters of logged models by an unknown attribute, or by text in the place of a number",
        "models where bogus = 'x'", "models where metrics.acc > '0.5'", "models where metrics.acc > abc",
        "models where creation_time > '0'",
    ),
    refused(
        "Logged models ordered by `tags`; a page token of theirs that is none",
        "models ordered by [{'field_name': 'tags'}]", "a rubbish token of models",
    ),
    refused("A search of the registry ordered twice by one key", "models by one key twice"),
    refused("A model version beyond 64 bits", "a version that is huge"),
    refused("A model version's source with a file URI of another host", "a version from file://host/etc"),
    refused("Archiving what is in the stage None or Archived", "archive to Archived"),
    Deliberate(
        "A version of a logged model that is not there", 404, "RESOURCE_DOES_NOT_EXIST",
        ["a version with a model id that is not there", "a version that is a deleted logged model"],
    ),
)

ACCEPTED: Sequence[Deliberate] = (
    taken(
        "Required fields in lowerCamelCase, in bodies and queries",
        "get a run as runId", "history in camelCase", "a query key in camelCase",
    ),
    taken("`Content-Type: Application/JSON`", "a content type in capitals"),
    taken(
        "OR, NOT and parentheses in filters",
        "experiments where name = 'alpha' OR name = 'beta'", "experiments where NOT name = 'alpha'",
        "experiments where (name = 'alpha')", "runs where metrics.acc > 0.5 OR metrics.acc < 0.1",
        "runs where NOT metrics.acc > 0.5", "runs where (metrics.acc > 0.5)",
        "models where metrics.acc > 0.5 OR params.lr = '0'", "models where (params.lr = '0')",
        "models where NOT params.lr = '0'", "registered-models where name = 'iris' OR name = 'wine'",
    ),
    taken("Booleans as strings in bodies (`\"TRUE\"`), as R sends them", "a string for archiving"),
    taken("POST to registered-models/search, as R sends it", "models by POST, as R asks"),
    taken(
        "IS NULL and IS NOT NULL of tags in searches of the registry",
        "registered-models where tags.team IS NULL", "model-versions where tags.a IS NULL",
    ),
    taken("Logging a logged model's param again with the same value", "log params of a model again"),
    taken("A string in double quotes in a filter of logged models", 'models where name = "mod1"'),
    taken("Deleting a logged model's tag with a slash in its key", "delete a tag with a slash"),
    taken(
        "Two points of a logged model's metric at one time and step of a run",
        "another value of a model at the same moment", "the value of a model at one moment on a dataset",
    )._replace(folders_only=True),
    taken("Logging an output again", "log the same output again"),
    taken("A run with an empty mlflow.runName tag", "a run with an empty name tag"),
    taken(
        "Uploads in parts, where artifacts are kept in a folder",
        "create an upload in parts", "create an upload in parts for the browser",
    ),
)

KEPT_TOGETHER: Sequence[Deliberate] = (
    Deliberate(
        "log-batch with something wrong in its middle",
        200, None, ["a run after a batch that failed late"], r"\.body\.run\.data\.(params|metrics)",
    ),
    refused(
        "Two keys of which one is the folder of the other (`a`, `a/b`)",
        "a param key below a key", "a param key above a key", "a metric key below a key", "a tag key below a key",
    )._replace(folders_only=True),
)

REPLIES: Sequence[Deliberate] = (
    Deliberate(
        "An unknown path", 404, "ENDPOINT_NOT_FOUND",
        ["an unknown path", "an unknown path by POST", "the preview path of old", "the wrong version",
         "a slash at the end", "another case", "server-info in the wrong version", "bulk at the client's address"],
        r"\.(type|body)",
    ),
    Deliberate("An unknown path", 404, None, ["HEAD on an unknown path"], r"\.type"),
    Deliberate(
        "A wrong method", 405, "BAD_REQUEST",
        ["POST on a GET route", "GET on a POST route", "PUT on a POST route", "PATCH on a POST route",
         "DELETE on a POST route", "POST on health", "update a model by POST"],
        r"\.(type|body)",
    ),
    Deliberate("A wrong method", 405, None, ["HEAD on a POST route"], r"\.type"),
    Deliberate(
        "NaN among a logged model's metrics", 200, None, ["a model with NaN"],
        r"\.body\.model\.data\.metrics\[0\]\.value", folders_only=True,
    ),
    Deliberate("NaN in get-history-bulk", 200, None, ["bulk of NaN and infinities"], r"\.body\.metrics\[0\]\.value"),
    Deliberate("HEAD", 200, None, ["HEAD on a GET route", "HEAD on health"], r"\.(status|type)"),
    refused("GET with its arguments in a body", "a GET with its arguments in a body"),
    Deliberate(
        "server-info", 200, None, ["server-info", "server-info for the browser"],
        r"\.body\.(store_type|features_enabled\.gateway|multipart_uploads_enabled)",
    ),
    Deliberate(
        "Refusals of a Host or an Origin", 403, None,
        ["a Host of somewhere else", "an Origin of somewhere else"], r"\.(nosniff|frame)",
    ),
    Deliberate(
        "A page, a script or SVG among the artifacts, downloaded", 200, None, ["download a page"], r"\.(type|body)",
    ),
)

#: Too small for the page: nobody sends these, and either answer serves.
TRIFLES: Sequence[Deliberate] = (
    taken("More than one blank in an order, or one at its end", "runs ordered by metrics.acc  DESC "),
    refused("An order of logged models that is no object: the error's class", "models ordered by ['name']"),
    taken(
        "`ascending` of logged models as a string, as R would send it",
        "models ordered by [{'field_name': 'name', 'ascending': 'false'}]",
    ),
    refused("A metric without a name in a filter or an order", "runs where metrics. > 0", "runs ordered by metrics."),
    Deliberate(
        "Two slashes: MLflow redirects, here it is an unknown path", 404, "ENDPOINT_NOT_FOUND", ["two slashes"],
    ),
    Deliberate(
        "OPTIONS: without a type, as there is no body; 204 on every path", 204, None,
        ["OPTIONS on a route", "OPTIONS on an unknown path"],
    ),
    Deliberate(
        "Errors of uploads and downloads: in the form of all others", 400, "INVALID_PARAMETER_VALUE",
        ["upload with a slash at the end", "download a folder"], r"\.body",
    ),
    refused("Two slashes before a path to delete: MLflow redirects", "delete '/etc/passwd'", "delete '//x'"),
    Deliberate(
        "A file above the limit of the browser's route: as any body above its limit", 413, "INVALID_PARAMETER_VALUE",
        ["upload too much from the browser"], r"\.status",
    ),
    Deliberate(
        "Uploads in parts are there, so that one that is not is missing", 404, "RESOURCE_DOES_NOT_EXIST",
        ["complete an unknown upload", "complete an unknown upload for the browser"],
    ),
    taken(
        "Aborting an upload that is not there is fine, as in S3",
        "abort an unknown upload", "abort an unknown upload for the browser",
    ),
)

#: The rows that the page has.
ON_THE_PAGE: Sequence[Deliberate] = (
    *NOT_KEPT_WRONGLY, *NEVER_A_SERVER_ERROR, *ACCEPTED, *KEPT_TOGETHER, *REPLIES,
)
DIFFERENCES: Sequence[Deliberate] = (*ON_THE_PAGE, *TRIFLES)

#: Rows of the page that no step here shows, and why.
SHOWN_ELSEWHERE: Dict[str, str] = {
    "Artifacts of a run whose location is a folder elsewhere on the server's host": "the test beside the page",
    "Malformed JSON": "both answer 400 with the same code; only the words say more",
    "The order of a run's tags and params": "the normaliser sorts them, as the order carries no meaning",
    "A store without room, without permission, or locked": "tests/faults",
}

#: The difference that a step shows, by the step's name.
BY_STEP: Dict[str, Deliberate] = {step: row for row in DIFFERENCES for step in row.steps}
