"""Where a model version may come from: the checks of MLflow on ``source``, and what it stands for.

A version's files are read by whoever loads it, some of them by this server. So a source is either a place that names
itself (``s3://``, ``gs://`` ...), or lies within the artifacts of the run or logged model that the request names.
"""

import os
import posixpath
import re
from typing import List, NamedTuple, NoReturn, Optional, Tuple
from urllib.parse import SplitResult, unquote, unquote_plus, urlparse, urlsplit

from trackd.api import locations, rules
from trackd.api.context import Context
from trackd.entities import ACTIVE, STAGES, ModelVersion
from trackd.errors import InvalidParameterValue, ResourceDoesNotExist
from trackd.fields.kinds import shown

#: What MLflow's clients and stores send as the source of a prompt's version.
PROMPT_SOURCES = frozenset(("dummy-source", "prompt-template"))

_PROXY_ROUTE = ["api", "2.0", "mlflow-artifacts", "artifacts"]


class Origin(NamedTuple):
    """What is kept of where a version came from. ``location`` is where its files are."""

    source: str
    location: str
    run_id: str
    model_id: Optional[str] = None


def check_prompt(source: str) -> Origin:
    """The origin of a prompt's version, which has no files; its source is a placeholder."""
    if source not in PROMPT_SOURCES:
        _refuse(source, f"a prompt's version has the source {' or '.join(sorted(PROMPT_SOURCES))}")
    return Origin(source, source, "")


def resolve(ctx: Context, source: str, run_id: Optional[str], model_id: Optional[str]) -> Origin:
    """The origin of a model's version. ``run_id`` and ``model_id`` are ``None`` where the request has none.

    :raises InvalidParameterValue: where the source is not one that the run or logged model holds, or climbs.
    :raises ResourceDoesNotExist: for a model, version or logged model that is not there.
    """
    try:
        parts = urlparse(source)
        hosted = locations.names_another_host(source, ctx.config)
    except ValueError as error:
        raise InvalidParameterValue(f"source {shown(source)} is not a URI ({error}).") from None
    if hosted:
        _refuse(source, f"{parts.scheme} names a host other than that of the server's own artifacts")
    if parts.scheme == "models" and parts.netloc:
        _refuse(source, "models:/ has no host; versions are copied within this registry")
    if parts.scheme == "models":
        reference = _reference(source)
        if reference.model_id is None:
            return _copy(ctx, source, reference, run_id, model_id)
    if model_id:
        return _of_model(ctx, source, run_id, model_id)
    return _of_run(ctx, source, run_id or "")


def files_of(ctx: Context, version: ModelVersion) -> str:
    """The location of a version's files; for ``runs:/<run id>/<path>`` where the run has them."""
    location = version.storage_location or version.source or ""
    if not location.startswith("runs:/"):
        return location
    run_id, _, path = location[len("runs:/") :].lstrip("/").partition("/")
    root = rules.find_run(ctx.store, run_id).artifact_uri
    return locations.join(root, path) if path else root


class _Reference(NamedTuple):
    """What a models:/ URI names: a logged model, or a version by number, stage or alias (else the latest)."""

    model_id: Optional[str] = None
    name: str = ""
    version: Optional[int] = None
    stage: Optional[str] = None
    alias: Optional[str] = None


def _reference(source: str) -> _Reference:
    """Reads ``models:/<model id>``, ``models:/<name>/<version, stage or latest>`` and ``models:/<name>@<alias>``."""
    path = source.partition(":")[2]
    parts = path.lstrip("/").split("/")
    if not path.startswith("/") or len(parts) > 2 or not parts[0].strip() or not parts[-1].strip():
        _refuse(source, "it is neither models:/<name>/<version> nor models:/<model id>")
    if len(parts) == 2:
        name, word = parts
        if word.isdecimal():
            return _Reference(name=name, version=int(word) if len(word) < 19 else -1)
        return _Reference(name=name, stage=None if word.lower() == "latest" else word)
    if "@" in parts[0]:
        name, _, alias = parts[0].rpartition("@")
        if not alias.strip():
            _refuse(source, "the alias behind @ is missing")
        return _Reference(name=name, alias=alias)
    return _Reference(model_id=parts[0])


def _copy(
    ctx: Context, source: str, reference: _Reference, run_id: Optional[str], model_id: Optional[str]
) -> Origin:
    """The origin of a version that copies another one: that of the other, and nobody else's."""
    model = rules.find_model(ctx.registry, reference.name)
    if rules.is_prompt(model):
        _refuse(source, "versions of prompts have no files")
    if reference.alias is not None:
        copied = rules.version_by_alias(ctx.registry, model.name, reference.alias)
    elif reference.version is not None:
        copied = rules.find_version(ctx.registry, model.name, reference.version)
    else:
        stage = {each.lower(): each for each in STAGES}.get((reference.stage or "").lower())
        if reference.stage is not None and stage is None:
            _refuse(source, f"{shown(reference.stage)} is no version, stage or 'latest'")
        numbers = [each.version for each in model.latest_versions if stage in (None, each.current_stage)]
        if not numbers:
            raise ResourceDoesNotExist(f"The registered model {shown(model.name)} has no such version.")
        copied = rules.find_version(ctx.registry, model.name, max(numbers))
    if (run_id or "") != (copied.run_id or "") and run_id is not None:
        _refuse(source, f"the version that it names has the run_id {shown(copied.run_id or '')}")
    if (model_id or "") != (copied.model_id or "") and model_id is not None:
        _refuse(source, "the version that it names was not made of that logged model")
    location = copied.storage_location or copied.source or ""
    return Origin(f"models:/{model.name}/{copied.version}", location, copied.run_id or "", copied.model_id)


def _of_run(ctx: Context, source: str, run_id: str) -> Origin:
    """The origin of a version whose files a run logged, or that lie at a place of their own."""
    parts = urlsplit(source)
    if _is_local(source, parts):
        root = _run_artifacts(ctx, source, run_id)
        if root is None or not _is_within_folder(source, root):
            _refuse(source, "a local path must lie in the artifact folder of the run that run_id names")
        return Origin(source, source, run_id)
    _refuse_climbing(source)
    if parts.scheme == "runs" and (parts.netloc or not run_id or parts.path.split("/")[1:2] != [run_id]):
        _refuse(source, "run_id must be that of the run that it names")
    if parts.scheme == "models":
        _refuse(source, "model_id must be that of the logged model that it names")
    if _is_proxied(source):
        root = _run_artifacts(ctx, source, run_id)
        if root is None or not _is_within(source, root):
            _refuse(source, "it must lie in the artifacts of the run that run_id names")
    return Origin(source, source, run_id)


def _run_artifacts(ctx: Context, source: str, run_id: str) -> Optional[str]:
    if not run_id:
        return None
    try:
        return rules.find_run(ctx.store, run_id).artifact_uri
    except ResourceDoesNotExist:
        return None


def _of_model(ctx: Context, source: str, run_id: Optional[str], model_id: str) -> Origin:
    """The origin of a version that is a logged model: its files, and by default the run that logged it."""
    model = rules.find_logged_model(ctx.store, model_id)
    if model.lifecycle_stage != ACTIVE:
        raise rules.no_logged_model(model_id)
    run_id = run_id or model.source_run_id or ""
    parts = urlsplit(source)
    if _is_local(source, parts):
        if not _is_within_folder(source, model.artifact_location):
            _refuse(source, "a local path must lie in the artifact folder of the logged model that model_id names")
        return Origin(source, source, run_id, model_id)
    _refuse_climbing(source)
    if parts.scheme == "models":
        if _reference(source).model_id != model_id:
            _refuse(source, "model_id must be that of the logged model that it names")
        return Origin(source, model.artifact_location, run_id, model_id)
    if parts.scheme == "runs":
        _refuse(source, "runs:/ names a run, but the request a logged model")
    if _is_proxied(source) and not _is_within(source, model.artifact_location):
        _refuse(source, "it must lie in the artifacts of the logged model that model_id names")
    return Origin(source, source, run_id, model_id)


def _is_local(source: str, parts: SplitResult) -> bool:
    """Whether it is a path on this host. A file URI of another host is refused."""
    if parts.scheme == "file" and locations.is_remote(parts):
        _refuse(source, "a file URI cannot name another host")
    return parts.scheme in ("", "file")


def _is_within_folder(source: str, root: str) -> bool:
    """Whether a local path lies in a local folder, links resolved."""
    parts = urlsplit(root)
    if not _is_local(root, parts):
        return False
    folder, path = (os.path.realpath(locations.local_path(each)) for each in (root, source))
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def _refuse_climbing(source: str) -> None:
    """400 for a source with a path that is not its own normal form, decoded until nothing changes."""
    decoded = source
    while True:
        further = unquote_plus(decoded)
        if further == decoded:
            break
        decoded = further
    path = re.sub("/+", "/", urlparse(decoded).path.rstrip("/"))
    if "\0" in path or ".." in decoded.split("/") or not path.startswith("/") or posixpath.normpath(path) != path:
        _refuse(source, "its path must be absolute, without '.' and '..'")


def _uri_parts(uri: str) -> Tuple[str, str, List[str]]:
    parts = urlsplit(uri)
    path = []
    for part in parts.path.split("/"):
        while unquote(part) != part:
            part = unquote(part)
        if part:
            path.append(part)
    return parts.scheme.lower(), parts.netloc.lower(), path


def _is_within(source: str, root: str) -> bool:
    """Whether a URI lies below another one of the same scheme and host."""
    ours, theirs = _uri_parts(source), _uri_parts(root)
    return ours[:2] == theirs[:2] and bool(theirs[2]) and ours[2][: len(theirs[2])] == theirs[2]


def _is_proxied(source: str) -> bool:
    """Whether the server would be asked for its files."""
    scheme, _, path = _uri_parts(source)
    if scheme in ("http", "https"):
        return any(path[at : at + 4] == _PROXY_ROUTE for at in range(len(path)))
    return scheme == "mlflow-artifacts"


def _refuse(source: str, why: str) -> NoReturn:
    raise InvalidParameterValue(f"Invalid model version source {shown(source)}: {why}.")
