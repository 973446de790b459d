"""The differential test: the same requests to ``mlflow server`` 3.17.2 and to trackd, on a folder and on a database.

``steps_*.py`` holds the requests, ``deliberate.py`` every difference that is meant. To see all others at once::

    python3 -m tests.compat.compare_peers URL-OF-MLFLOW URL-OF-TRACKD
"""

import re
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Dict, Iterator, Mapping, Optional, Tuple

import pytest

from tests import environments
from tests.compat import peers
from tests.compat.deliberate import BY_STEP, DIFFERENCES, ON_THE_PAGE, SHOWN_ELSEWHERE
from tests.compat.differ import Ledger, differences, normalise, run
from tests.compat.peers import Answer
from tests.compat.steps import STEPS

pytestmark = pytest.mark.compat

Answers = Dict[str, Dict[str, Any]]


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Future[Dict[str, Any]]"]:
    """The answers of MLflow to all steps, which come while others are asked."""
    try:
        mlflow = environments.script(environments.MLFLOW_3, "mlflow")
    except environments.Unavailable as error:
        pytest.skip(str(error))
    real = peers.start_mlflow(mlflow, tmp_path_factory.mktemp("mlflow"))

    def ask() -> Dict[str, Any]:
        peers.wait_until_ready(real)
        return run(real, STEPS)

    try:
        with ThreadPoolExecutor(1) as pool:
            yield pool.submit(ask)
    finally:
        real.stop()


#: What trackd keeps its data in, and what it is told so.
STORES = {"folder": [], "database": ["--backend-store-uri", "sqlite:///my.db"]}


@pytest.fixture(scope="module", params=list(STORES))
def answers(
    request: pytest.FixtureRequest, theirs: "Future[Dict[str, Any]]", tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Tuple[Answers, Answers]]:
    """The answers of MLflow and of trackd to all steps."""
    ours = peers.start_trackd(tmp_path_factory.mktemp("trackd"), STORES[str(request.param)])
    try:
        other = run(ours, STEPS)
        yield theirs.result(), other
    finally:
        ours.stop()
        # Two steps send a Host or an Origin of somewhere else.
        assert [line for line in peers.complaints(ours) if "evil.example.com" not in line] == []


@pytest.mark.parametrize("name", [step.name for step in STEPS if step.name not in BY_STEP])
def test_trackd_answers_as_mlflow_does(name: str, answers: Tuple[Answers, Answers]) -> None:
    assert differences(answers[0][name], answers[1][name]) == []


@pytest.mark.parametrize("name", list(BY_STEP))
def test_a_deliberate_difference_is_there_and_is_the_only_one(name: str, answers: Tuple[Answers, Answers]) -> None:
    row = BY_STEP[name]
    real, ours = answers[0][name], answers[1][name]
    found = differences(real, ours)
    if row.folders_only and answers[1]["server-info"]["body"]["store_type"] == "SqlStore":
        assert found == []
        return
    assert found, f"no longer different, take it out of deliberate.py and docs/differences.md: {row.row}"
    assert [line for line in found if not re.match(row.where, line)] == [], row.row
    code = ours["body"].get("error_code") if isinstance(ours["body"], Mapping) else None
    assert (ours["status"], code) == (row.status, row.error_code), row.row


def test_no_answer_of_trackd_is_a_server_error(answers: Tuple[Answers, Answers]) -> None:
    # What a place for artifacts cannot do is a 501 in both: clients know it and do not repeat it.
    unwanted = {name: answer for name, answer in answers[1].items() if answer["status"] >= 500}
    assert {name for name, answer in unwanted.items() if answer != answers[0][name] or answer["status"] != 501} == set()


def test_the_table_of_differences_names_steps_that_exist_once() -> None:
    named = [step for row in DIFFERENCES for step in row.steps]
    assert sorted(set(named)) == sorted(named)
    assert set(named) <= {step.name for step in STEPS}


def test_every_row_of_the_page_of_differences_is_shown_by_a_step_and_the_other_way_round() -> None:
    text = (peers.REPOSITORY / "docs" / "differences.md").read_text(encoding="utf-8")
    tables = [line.split(" | ")[0][2:] for line in text.splitlines() if line.startswith("| ")]
    page = set(tables) - {"request"}
    shown = {row.row for row in ON_THE_PAGE}
    assert page - shown - set(SHOWN_ELSEWHERE) == set(), "rows of docs/differences.md without a step"
    assert (shown | set(SHOWN_ELSEWHERE)) - page == set(), "rows here that docs/differences.md has not"
    assert shown & set(SHOWN_ELSEWHERE) == set()


def test_at_least_700_requests_reach_every_route_of_these_areas() -> None:
    text = (Path(__file__).parent / "steps_routes.txt").read_text(encoding="utf-8")
    wanted = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert len(set(wanted)) == len(wanted) == 131
    paths = [step.path if step.path.startswith("/") else "/api/2.0/mlflow/" + step.path for step in STEPS]
    sent = {f"{step.method} {path}" for step, path in zip(STEPS, paths)}
    missing = [line for line in wanted if line not in sent]
    templates = {line: re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(line))) for line in missing}
    assert [line for line in missing if not any(map(templates[line].fullmatch, sent))] == []
    assert len(STEPS) >= 700


def answer(
    body: Any, status: int = 200, kind: str = "application/json", headers: Optional[Dict[str, str]] = None
) -> Answer:
    """An answer as a peer gives it."""
    return Answer(status, {"content-type": kind, **(headers or {})}, body)


def seen(body: Any, ledger: Ledger, **fields: Any) -> Any:
    """The body of an answer after normalising."""
    return normalise(answer(body, **fields), ledger)["body"]


def test_the_normaliser_replaces_kept_ids_only() -> None:
    ledger = Ledger()
    ledger.keep("one", "run.info.run_id", {"run": {"info": {"run_id": "a" * 32}}})
    ledger.keep("home", "experiment_id", {"experiment_id": "7"})
    body = {"run_id": "a" * 32, "other": "b" * 32, "experiment_id": "7", "step": 7, "value": "7", "experiment": "7"}
    body["artifact_uri"] = "mlflow-artifacts:/7/" + "a" * 32 + "/artifacts"
    assert seen(body, ledger) == {
        "run_id": "<one>", "other": "b" * 32, "experiment_id": "<home>", "step": 7, "value": "7", "experiment": "7",
        "artifact_uri": "mlflow-artifacts:/<home>/<one>/artifacts",
    }


def test_the_normaliser_hides_no_time_but_those_the_server_sets_now() -> None:
    old = {"creation_time": 1700000000000, "start_time": 1, "end_time": 4102444800000, "timestamp": 5}
    assert seen(old, Ledger()) == old


def test_the_normaliser_keeps_the_order_of_what_has_one() -> None:
    runs = {"runs": [{"run_id": "b"}, {"run_id": "a"}], "metrics": [{"key": "m", "step": 2}, {"key": "m", "step": 1}]}
    assert seen(runs, Ledger()) == runs
    loose = {"data": {"metrics": [{"key": "b"}, {"key": "a"}], "tags": [{"key": "d"}, {"key": "c"}]}}
    assert seen(loose, Ledger()) == {
        "data": {"metrics": [{"key": "a"}, {"key": "b"}], "tags": [{"key": "c"}, {"key": "d"}]}
    }


def test_the_normaliser_hides_the_words_of_an_error_but_not_that_there_are_none() -> None:
    wrong = {"error_code": "BAD_REQUEST", "message": "Words."}
    assert seen(wrong, Ledger(), status=400) == {"error_code": "BAD_REQUEST", "message": "<text>"}
    assert seen({"message": ""}, Ledger(), status=400) == {"message": ""}
    assert seen(wrong, Ledger(), status=200) == wrong


@pytest.mark.parametrize("one, other", [
    ({"a": 1}, {"a": 2}), ({"a": 1}, {}), ({}, {"a": None}),
    ({"a": [1, 2]}, {"a": [1, 3]}), ({"a": [1]}, {"a": [1, 1]}),
    ({"a": True}, {"a": 1}), ({"a": "1"}, {"a": 1}), ({"a": {"b": [{"c": 0.1}]}}, {"a": {"b": [{"c": 0.2}]}}), ([], {}),
    ({"a": "NaN"}, {"a": "<bare NaN>"}), ({"next_page_token": "<token>"}, {}),
])
def test_differences_are_found_at_any_depth(one: Any, other: Any) -> None:
    assert len(differences(one, other)) == 1
    assert differences(one, one) == [] and differences(other, other) == []


def test_the_order_of_a_list_counts() -> None:
    assert differences({"a": [1, 2]}, {"a": [2, 1]}) == [".a[0]: 1 / 2", ".a[1]: 2 / 1"]


def test_one_and_one_point_zero_are_the_same_number() -> None:
    assert differences({"a": 1}, {"a": 1.0}) == []


def test_a_header_a_status_and_a_type_are_compared() -> None:
    base = normalise(answer({}), Ledger())
    others = [
        answer({}, 201), answer({}, kind="text/plain"),
        answer({}, headers={"x-frame-options": "DENY"}), answer({}, headers={"x-content-type-options": "nosniff"}),
    ]
    for changed in others:
        assert len(differences(base, normalise(changed, Ledger()))) == 1


def test_a_value_that_was_not_kept_makes_a_later_step_differ_not_vanish() -> None:
    ledger = Ledger()
    ledger.keep("gone", "run.info.run_id", {"error_code": "X"})
    assert ledger.fill({"id": "$gone"}) == {"id": "no-gone"}
    with pytest.raises(KeyError):
        ledger.fill("$never")
