"""Run by a real MLflow's Python: fill its SQLite store with varied runs, then answer searches, as JSON on stdout.

Reads ``{"folder", "experiments": [text, order], "runs": [ids, view, text, order, page size, token]}`` from stdin; an
answer is ``[ids, token]`` or ``{"status": 400}``.
"""

import json
import sys
import warnings
from typing import Any, Callable, Dict, List

from mlflow.entities import (
    Dataset,
    DatasetInput,
    ExperimentTag,
    InputTag,
    Metric,
    Param,
    RunStatus,
    RunTag,
    ViewType,
)
from mlflow.exceptions import MlflowException
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

TEXTS = ["x", "X", "xy", "Xy", "", "10", "9", "%", "_", "a%b", "a_b", "a*b", "[a]", "a\nb", "é", "É", "it''s", "中"]
TEXTS += ["😀"]
NUMBERS = [0.0, 1.0, -1.5, float("nan"), float("inf"), float("-inf"), 0.1, 1e-7, 1e308]
STATUSES = [RunStatus.RUNNING, RunStatus.FINISHED, RunStatus.FAILED, RunStatus.SCHEDULED, RunStatus.KILLED]


def add_experiments(store: SqlAlchemyStore) -> None:
    """Experiments 1 to 12: names of every kind, some tagged, the last deleted. Creation times are in their order."""
    names = ["first", "second", "Second", "a%b", "a_b", "axb", "[a]", "é", "É", "it''s", "10", "gone"]
    for number, name in enumerate(names):
        tags = [ExperimentTag("t", TEXTS[number])] if number % 2 else []
        store.create_experiment(name, f"file:///somewhere/{number}", tags)
    store.delete_experiment("12")


def add_runs(store: SqlAlchemyStore) -> None:
    """Sixty runs in experiments 1 and 2, every value with several others; some without this or that; some deleted."""
    for number in range(60):
        tags = [RunTag("t", TEXTS[number % len(TEXTS)])] if number % 4 else []
        tags += [RunTag("with space", "x")] if number % 7 == 0 else []
        info = store.create_run(
            experiment_id="1" if number % 3 else "2",
            user_id=["ada", "Ada", "", "bob"][number % 4],
            start_time=1000 + number // 4,
            tags=tags,
            run_name=f"run {number % 10}" if number % 5 else TEXTS[number % len(TEXTS)] or "n",
        ).info
        metrics = [Metric("m", NUMBERS[number % len(NUMBERS)], 0, 0)] if number % 5 else []
        metrics += [Metric("deep/er m", float(number % 3), 0, 0)] if number % 2 else []
        params = [Param("p", TEXTS[number % 13])] if number % 6 else []
        store.log_batch(info.run_id, metrics, params, [])
        if number % 4 == 1:
            inputs = [
                DatasetInput(Dataset(f"data {digit % 3}", str(digit), "local", "{}"), tags)
                for digit, tags in (
                    (number % 5, [InputTag("mlflow.data.context", ["train", "Eval"][number // 4 % 2])]),
                    (7, [InputTag("other", "train")]),
                )
            ]
            store.log_inputs(info.run_id, inputs)
        if number % 8:
            end_time = 5000 + number % 9 if number % 3 else None
            store.update_run_info(info.run_id, STATUSES[number % 5], end_time, None)
        if number % 11 == 10:
            store.delete_run(info.run_id)


def answered(search: Callable[..., Any], id_of: Callable[[Any], str], *arguments: Any) -> Any:
    """What the search found, or the status that a server would answer."""
    try:
        page = search(*arguments)
    except MlflowException as error:
        return {"status": error.get_http_status_code()}
    except Exception as error:
        return {"status": 500, "error": repr(error)}
    token = page.token
    return [[id_of(one) for one in page], token.decode() if isinstance(token, bytes) else token]


def main() -> None:
    """Fill, answer, print."""
    warnings.simplefilter("ignore")
    asked: Dict[str, Any] = json.load(sys.stdin)
    store = SqlAlchemyStore(f"sqlite:///{asked['folder']}/mlflow.db", f"{asked['folder']}/artifacts")
    add_experiments(store)
    add_runs(store)
    answers: Dict[str, List[Any]] = {"experiments": [], "runs": []}
    for text, order in asked["experiments"]:
        answers["experiments"].append(
            answered(store.search_experiments, lambda one: one.experiment_id, ViewType.ALL, 1000, text, order)
        )
    for ids, view, text, order, size, token in asked["runs"]:
        answers["runs"].append(
            answered(
                store.search_runs, lambda one: one.info.run_id, ids, text, getattr(ViewType, view), size, order, token
            )
        )
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
