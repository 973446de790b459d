"""The rows about the registry: 2,000 models with 10 versions each, written while the servers are stopped.

Through MLflow's API they would take it a quarter of an hour. FastTrackML has no registry.
"""

import os
import sqlite3
from pathlib import Path
from typing import Any, Iterator, List
from urllib.parse import quote

from tests.bench import data, database
from tests.bench.load import FIRST_NUMBER
from tests.bench.process import ask
from tests.bench.workloads import LESS, MANY, MORE, Bench, Failed, Measure, Workload, latencies, rates

MODELS, VERSIONS, TAGS = 2000, 10, 3
API = "/api/2.0/mlflow/"

MODEL_META = """\
creation_timestamp: {time}
description: model {number}
last_updated_timestamp: {time}
name: {name}
"""
VERSION_META = """\
creation_timestamp: {time}
current_stage: {stage}
description: version {version}
last_updated_timestamp: {time}
name: {name}
run_id: {run_id}
source: s3://bucket/{name}/{version}
status: READY
storage_location: s3://bucket/{name}/{version}
version: {version}
"""


def models() -> Iterator[database.Row]:
    """All models, as rows of MLflow's tables."""
    for number in range(MODELS):
        time = data.START_TIME + number * 1000
        yield {
            "name": f"model-{number:04d}", "number": number, "description": f"model {number}", "time": time,
            "creation_time": time, "last_updated_time": time,
        }


def versions(model: database.Row) -> Iterator[database.Row]:
    """The versions of a model."""
    for version in range(1, VERSIONS + 1):
        time, source = model["time"] + version, f"s3://bucket/{model['name']}/{version}"
        yield {
            "name": model["name"], "version": version, "creation_time": time, "last_updated_time": time, "time": time,
            "description": f"version {version}", "source": source, "storage_location": source, "status": "READY",
            "stage": "Production" if version == 3 else "None", "run_id": f"{model['number'] * 100 + version:032x}",
            "current_stage": "Production" if version == 3 else "None",
        }


def tags(number: int) -> Iterator[database.Row]:
    """The tags of a model or version: the first has ten values."""
    for index in range(TAGS):
        yield {"key": data.TAG_NAMES[index], "value": f"value-{number % 10}"}


def seed(place: Path) -> None:
    """Write everything into the store of a server that has made it and is stopped."""
    for path in place.glob("*.db"):
        _seed_database(str(path))
        return
    root = str(place / "mlruns" / "models")
    for model in models():
        folder = os.path.join(root, model["name"])
        _write(folder, MODEL_META.format(**model), model["number"])
        for version in versions(model):
            text = VERSION_META.format(**version)
            _write(os.path.join(folder, f"version-{version['version']}"), text, version["version"])


def _write(folder: str, meta: str, number: int) -> None:
    os.makedirs(os.path.join(folder, "tags"))
    for name, text in [("meta.yaml", meta), *((f"tags/{tag['key']}", tag["value"]) for tag in tags(number))]:
        with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
            file.write(text)


def _seed_database(path: str) -> None:
    connection = sqlite3.connect(path, timeout=30, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    database.insert(connection, "registered_models", models())
    database.insert(connection, "model_versions", (version for model in models() for version in versions(model)))
    database.insert(connection, "registered_model_tags", (
        {"name": model["name"], **tag} for model in models() for tag in tags(model["number"])
    ))
    database.insert(connection, "model_version_tags", (
        {"name": version["name"], "version": version["version"], **tag}
        for model in models() for version in versions(model) for tag in tags(version["version"])
    ))
    connection.execute("COMMIT")
    connection.close()


def _search(bench: Bench, kind: str, expected: int, **fields: Any) -> Measure:
    """Median latency of a search that must find so many."""
    path = f"{API}{kind.replace('_', '-')}/search?" + "&".join(f"{key}={quote(str(fields[key]))}" for key in fields)
    found = ask(bench.port, path).get(kind, [])
    if len(found) != expected or any(len(each.get("tags", ())) != TAGS for each in found):
        raise Failed(f"found {len(found)}, not {expected}, or not all they have")
    return latencies(bench.drive([data.get(path, bench.port)], 1, max_requests=200))


def by_name(bench: Bench) -> Measure:
    """The first 100 of the 1,000 models whose names fit a pattern."""
    return _search(bench, "registered_models", 100, filter="name LIKE 'model-%1__'", max_results=100)


def by_tag(bench: Bench) -> Measure:
    """The first 100 of the 200 models with a tag's value."""
    return _search(bench, "registered_models", 100, filter=f"tags.`{data.TAG_NAMES[0]}` = 'value-3'", max_results=100)


def first_page(bench: Bench) -> Measure:
    """The first 100 models, each with its tags and its two latest versions."""
    return _search(bench, "registered_models", 100, max_results=100)


def last_page(bench: Bench) -> Measure:
    """The last 100 models."""
    before = f"{API}registered-models/search?max_results=950"
    token = ask(bench.port, before)["next_page_token"]
    token = ask(bench.port, f"{before}&page_token={quote(token)}")["next_page_token"]
    return _search(bench, "registered_models", 100, max_results=100, page_token=token)


def versions_by_tag(bench: Bench) -> Measure:
    """The first 100 of the 2,000 versions with a tag's value."""
    return _search(bench, "model_versions", 100, filter=f"tags.`{data.TAG_NAMES[0]}` = 'value-3'", max_results=100)


def versions_first(bench: Bench) -> Measure:
    """The 100 versions that changed last."""
    return _search(bench, "model_versions", 100, max_results=100)


def versions_last(bench: Bench) -> Measure:
    """The last 100 of 20,000 versions."""
    before = f"{API}model-versions/search?max_results={MODELS * VERSIONS - 100}"
    token = ask(bench.port, before)["next_page_token"]
    return _search(bench, "model_versions", 100, max_results=100, page_token=token)


def latest(bench: Bench) -> Measure:
    """The latest versions of a model."""
    path = f"{API}registered-models/get-latest-versions"
    found: List[Any] = ask(bench.port, path, {"name": "model-0700"})["model_versions"]
    if sorted(each["version"] for each in found) != ["10", "3"]:
        raise Failed(f"found {found}")
    return latencies(bench.drive([data.post(path, {"name": "model-0700"}, bench.port)], 1, max_requests=200))


def create(bench: Bench) -> Measure:
    """Versions created on many connections, of twenty models; afterwards their numbers have no gap."""
    names = [f"model-{number:04d}" for number in range(MANY)]
    bodies = [{"name": name, "source": "s3://bucket/m", "tags": list(tags(1))} for name in names]
    driven = bench.drive([data.post(f"{API}model-versions/create", body, bench.port) for body in bodies], MANY)
    numbers = {}
    for name in names:
        path = f"{API}model-versions/search?filter={quote(f'''name = '{name}' ''')}&max_results=200000"
        numbers[name] = sorted(int(each["version"]) for each in ask(bench.port, path)["model_versions"])
    if any(found != list(range(1, len(found) + 1)) for found in numbers.values()):
        raise Failed("the numbers of versions have gaps")
    kept = sum(len(found) - VERSIONS for found in numbers.values())
    if kept != driven.result.next_number - FIRST_NUMBER:
        raise Failed(f"{driven.result.next_number - FIRST_NUMBER} versions were acknowledged, {kept} are there")
    return rates(driven)


def _row(name: str, title: str, measure: Any) -> Workload:
    return Workload(f"registry-{name}", title, "ms", LESS, 20, "registry", measure, slow=True)


WORKLOADS = (
    _row("name", "models by name, 100 of 2,000", by_name),
    _row("tag", "models by tag, 100 of 2,000", by_tag),
    _row("first", "first page of 100 of 2,000 models", first_page),
    _row("last", "last page of 100 of 2,000 models", last_page),
    _row("latest", "latest versions of a model", latest),
    _row("versions-tag", "versions by tag, 100 of 20,000", versions_by_tag),
    _row("versions-first", "first page of 100 of 20,000 versions", versions_first),
    _row("versions-last", "last page of 100 of 20,000 versions", versions_last),
    Workload("registry-create", "create version, 20 connections", "/s", MORE, 1000, "registry", create, slow=True),
)
