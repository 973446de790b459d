"""The client's words beside those of the real package: same parameters, same order, same defaults."""

import inspect
import json
import subprocess
from typing import Any, Dict, List, Tuple

import pytest

import trackd.client
from tests import environments
from tests.launch import PATIENCE, environment, python_of

#: Parameters of mlflow that have no meaning here.
LEFT_OUT = {
    "set_experiment": ["trace_location"], "create_experiment": ["trace_location"], "register_model": ["env_pack"],
    "Client.__init__": ["workspace_store_uri"], "Client.create_registered_model": ["deployment_job_id"],
    "Client.update_registered_model": ["deployment_job_id"],
}
#: Defaults that are others on purpose (docs/client.md).
OTHER_DEFAULTS = {("search_runs", "output_format"): "'list'"}
#: Words that mlflow does not have.
OURS = {"table_dataset"}
#: Words of MlflowClient that the client does not have: traces, prompts, webhooks, evaluation, reviews, workspaces, MCP.
ELSEWHERE = (
    "trace", "prompt", "webhook", "dataset", "label_schema", "review", "assessment", "expectation", "feedback",
    "workspace", "mcp", "issue", "span", "assistant", "scorer", "budget", "gateway", "session", "online",
)

PROGRAM = """
import inspect, json, sys
import mlflow, mlflow.artifacts
def shape(function):
    return [[p.name, p.kind.name, "-" if p.default is p.empty else repr(p.default)]
            for p in inspect.signature(function).parameters.values()]
found = {}
for name in json.loads(sys.argv[1]):
    function = getattr(mlflow, name, None) or getattr(mlflow.artifacts, name, None)
    found[name] = shape(function) if function else None
for name, function in inspect.getmembers(mlflow.MlflowClient, inspect.isfunction):
    if name == "__init__" or not name.startswith("_"):
        found["Client." + name] = shape(function)
print(json.dumps(found))
"""

Shape = List[Tuple[str, str, str]]


def shape(function: Any) -> Shape:
    """Names, kinds and defaults of a function's parameters."""
    return [
        (each.name, each.kind.name, "-" if each.default is each.empty else repr(each.default))
        for each in inspect.signature(function).parameters.values()
    ]


def ours() -> Dict[str, Shape]:
    """Every public function of the client and every public method of ``Client``."""
    module = trackd.client
    found = {
        name: shape(function) for name, function in inspect.getmembers(module, inspect.isfunction)
        if not name.startswith("_") and function.__module__ == module.__name__
    }
    for name, function in inspect.getmembers(module.Client, inspect.isfunction):
        if name == "__init__" or not name.startswith("_"):
            found["Client." + name] = shape(function)
    return found


@pytest.fixture(scope="module")
def theirs() -> Dict[str, Any]:
    """The same of mlflow 3.17.2, asked in its own interpreter."""
    names = json.dumps([name for name in ours() if "." not in name])
    done = subprocess.run(
        [python_of(environments.MLFLOW_3), "-c", PROGRAM, names], capture_output=True, encoding="utf-8",
        timeout=10 * PATIENCE, env=environment(MLFLOW_DISABLE_TELEMETRY="true"),
    )
    assert done.returncode == 0, done.stderr
    found: Dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.compat
def test_parameters_and_defaults_are_those_of_mlflow(theirs: Dict[str, Any]) -> None:
    wrong = []
    for name, own in ours().items():
        if name in OURS:
            continue
        if theirs.get(name) is None:
            wrong.append(f"{name}: mlflow has no such word")
            continue
        wanted = [tuple(each) for each in theirs[name] if each[0] not in LEFT_OUT.get(name, [])]
        wanted = [(key, kind, OTHER_DEFAULTS.get((name, key), default)) for key, kind, default in wanted]
        if own != wanted:
            wrong.append(f"{name}: {own} and not {wanted}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.compat
def test_every_word_of_mlflowclient_is_there_or_of_another_field(theirs: Dict[str, Any]) -> None:
    missing = [
        name for name in theirs
        if name.startswith("Client.") and name not in ours() and not any(word in name for word in ELSEWHERE)
    ]
    assert missing == []
