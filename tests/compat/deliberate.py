"""Where trackd answers otherwise than MLflow 3.17.2 on purpose: the reason, the steps that show it, what trackd says.

``docs/differences.md`` tells users the same. ``where`` is what may differ (a regular expression on the path in the
answer); it keeps a row from hiding a second difference. ``test_same_answers`` fails for a step in this table that no
longer differs.
"""

from typing import Dict, NamedTuple, Optional, Sequence

#: Refused with 400 by trackd: everything in the answer but its headers is another.
REFUSED = r"\.(status|type|body)\b.*"


class Deliberate(NamedTuple):
    """One difference. ``error_code`` is that of trackd's answer, ``None`` where it has none."""

    reason: str
    status: int
    error_code: Optional[str]
    steps: Sequence[str]
    where: str = REFUSED


def refused(reason: str, *steps: str) -> Deliberate:
    """trackd answers 400 INVALID_PARAMETER_VALUE."""
    return Deliberate(reason, 400, "INVALID_PARAMETER_VALUE", steps)


def taken(reason: str, *steps: str) -> Deliberate:
    """trackd answers 200."""
    return Deliberate(reason, 200, None, steps)


DIFFERENCES: Sequence[Deliberate] = (
    refused(
        "A field that does not parse is refused; MLflow goes on with what it has read so far and answers 200",
        "a metric with a text value",
        "log true", "log with a step that is half", "log with a step beyond int64", "log with a step that is true",
        "search by an unknown view number",
        "a page size that is text",
        "runs of an experiment as a number",
        "a key twice",
        "a bare NaN",
        *(f"runs/create with start_time = {value}" for value in ("12.5", "true", "9223372036854775808", '" 5 "')),
        *(f"runs/create with tags = {value}" for value in (
            "{}", "[5]", "[[]]", '{"key": "a", "value": "b"}', '[{"key": 5, "value": "b"}]')),
        "runs/update with status = true", "runs/update with end_time = 1.5",
        "runs/search with max_results = 1.5", "runs/search with max_results = true",
        "runs/search with run_view_type = true", "runs/search with run_view_type = {}",
        'runs/search with experiment_ids = [["0"]]', "runs/search with experiment_ids = [null]",
    ),
    refused(
        "A user's mistake is a 400 with a JSON error; MLflow answers 500 with a page of HTML",
        "a number", "true", "an array", "an array of objects", "JSON in a string in a string",
        "a string that is not JSON", "deep nesting", "metrics with a null", "log a list", "log a model with a list",
        "bulk with a limit that is text",
        "runs/create with start_time = {}", "runs/create with start_time = []", "runs/update with end_time = {}",
        "runs/search with max_results = {}",
    ),
    refused(
        "A user's mistake is a 400; MLflow answers 500 INTERNAL_ERROR",
        "runs ordered twice by one key", "get a huge id",
    ),
    Deliberate(
        "Renaming a deleted experiment is a user's mistake: 400 with MLflow's code, where MLflow answers 500",
        400, "INVALID_STATE", ["rename a deleted experiment"], r"\.status",
    ),
    refused(
        "A missing or doubled part is named as such; MLflow lets its database refuse it, with another code",
        "a run without an experiment", "a run with an empty experiment",
        "delete by run_uuid", "restore by run_uuid",
    ),
    Deliberate(
        "Equal tag keys are refused with the same code everywhere; MLflow says that the experiment is there already",
        400, "BAD_REQUEST", ["create with equal tag keys"], r"\.body\.(error_code|error_class)",
    ),
    refused(
        "What MLflow's own rules ask for is asked for everywhere; MLflow forgets to check it here",
        "a run with a too long tag key", "a run with a tag key that climbs", "a run with a tag without a key",
        "an input without a dataset", "an input without a name", "an input without a digest",
        "an input with a tag without a key", "an output without a model",
        "bulk with a negative limit", "bulk of an empty key", "runs where metrics. > 0", "runs ordered by metrics.",
    ),
    Deliberate(
        "Tag values above 8000 characters are cut at creation too, as set-tag cuts them",
        200, None, ["a run with a too long tag"], r"\.body\.run\.data\.tags\[\d\]\.value",
    ),
    refused(
        "In a folder, a key cannot be a file and the folder of another key at once",
        "a param key below a key", "a param key above a key", "a metric key below a key", "a tag key below a key",
    ),
    refused("Ids are written in the digits 0 to 9", "get an id of another script's digits"),
    taken(
        "Filters have OR, NOT and parentheses",
        "experiments where name = 'alpha' OR name = 'beta'", "experiments where NOT name = 'alpha'",
        "experiments where (name = 'alpha')", "runs where metrics.acc > 0.5 OR metrics.acc < 0.1",
        "runs where NOT metrics.acc > 0.5", "runs where (metrics.acc > 0.5)",
    ),
    taken("Blanks in an order mean nothing", "runs ordered by metrics.acc  DESC "),
    taken(
        "Names of fields are taken in camelCase in a query too, as in a body",
        "get a run as runId", "history in camelCase", "a query key in camelCase",
    ),
    taken("A run with an empty name tag gets a generated name, as one without", "a run with an empty name tag"),
    taken("Logging the same output again changes nothing, as with inputs", "log the same output again"),
    taken("Media types have no case (RFC 9110, 8.3.1)", "a content type in capitals"),
    Deliberate(
        "HEAD is answered as GET would be, without the body (RFC 9110, 9.3.2); MLflow forgets the query",
        200, None, ["HEAD on a GET route", "HEAD on health"], r"\.(status|type)",
    ),
    Deliberate(
        "NaN in get-history-bulk is the string that it is everywhere else; MLflow sends what is not JSON",
        200, None, ["bulk of NaN and infinities"], r"\.body\.metrics\[0\]\.value",
    ),
    Deliberate(
        "An unknown path is MLflow's JSON error, where MLflow has a page of HTML",
        404, "ENDPOINT_NOT_FOUND",
        ["an unknown path", "an unknown path by POST", "the preview path of old", "the wrong version",
         "a slash at the end", "another case", "server-info in the wrong version", "bulk at the client's address"],
        r"\.(type|body)",
    ),
    Deliberate(
        "Two slashes are an unknown path, where MLflow redirects", 404, "ENDPOINT_NOT_FOUND", ["two slashes"],
        r"\.(status|type|body)",
    ),
    Deliberate(
        "A wrong method is MLflow's JSON error, where MLflow has a page of HTML",
        405, "BAD_REQUEST",
        ["POST on a GET route", "GET on a POST route", "PUT on a POST route", "PATCH on a POST route",
         "DELETE on a POST route", "POST on health"],
        r"\.(type|body)",
    ),
    Deliberate("The type of an error that HEAD does not show", 405, None, ["HEAD on a POST route"], r"\.type"),
    Deliberate("The type of an error that HEAD does not show", 404, None, ["HEAD on an unknown path"], r"\.type"),
    Deliberate("OPTIONS has no body and so no type, on any path under /api", 204, None,
               ["OPTIONS on a route", "OPTIONS on an unknown path"], r"\.(status|type|body)"),
    Deliberate(
        "Refusals of a Host or an Origin carry the security headers too",
        403, None, ["a Host of somewhere else", "an Origin of somewhere else"], r"\.(nosniff|frame)",
    ),
    Deliberate(
        "server-info says what this server has: a folder, no gateway, no presigned uploads",
        200, None, ["server-info", "server-info for the browser"],
        r"\.body\.(store_type|features_enabled\.gateway|presigned_upload_(model|run)_id_supported)",
    ),
)

#: The difference that a step shows, by the step's name.
BY_STEP: Dict[str, Deliberate] = {step: row for row in DIFFERENCES for step in row.steps}
