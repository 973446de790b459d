"""Artifact locations: which of them an experiment may be given, and what lies under them. URIs, never opened here."""

import os
from typing import FrozenSet, Optional, Tuple
from urllib.parse import SplitResult, unquote, urlparse, urlsplit

from trackd.config import Config
from trackd.errors import InvalidParameterValue
from trackd.fields.kinds import shown

#: Schemes whose host somebody would be made to connect to: only that of the server's own locations (MLflow's list).
#: Each with the family in which it is compared and the ports it means when it names none.
_HOSTED = {
    "http": ("http", (80,)),
    "https": ("http", (443,)),
    "mlflow-artifacts": ("http", (80, 443)),
    "ftp": ("ftp", (21,)),
    "sftp": ("sftp", (22,)),
    "hdfs": ("hdfs", (None,)),
    "viewfs": ("hdfs", (None,)),
    "r2": ("r2", (443,)),
    "b2": ("b2", (443,)),
    "abfss": ("abfss", (443,)),
}
_LOCAL_HOSTS = ("localhost", "127.0.0.1")

Target = Tuple[str, str, Optional[int]]


def join(location: str, *parts: str) -> str:
    """The location of something below ``location``. A query stays at the end; a path without a scheme has none."""
    path, rest = location, ""
    if urlsplit(location).scheme:
        end = min(found for found in (location.find("?"), location.find("#"), len(location)) if found >= 0)
        path, rest = location[:end], location[end:]
    between = "" if path.endswith(("/", ":")) else "/"
    return path + between + "/".join(parts) + rest


def checked(location: str, config: Config) -> str:
    """The location as it is kept: relative local paths made absolute. 400 for one that MLflow does not take."""
    try:
        parts = urlparse(location)
        targets = _targets(location)
    except ValueError as error:
        raise _refused(location, f"it is not a URI ({error})") from None
    if parts.fragment or parts.params:
        raise _refused(location, "it may have neither a fragment ('#') nor parameters (';')")
    if ".." in _decoded(parts.query):
        raise _refused(location, "its query may not have '..' in it")
    if location.startswith("runs:"):
        raise _refused(location, "a place inside of a run (runs:/) cannot be the place of an experiment")
    if targets and not _allowed(parts.scheme, targets, config):
        raise _refused(
            location,
            f"{parts.scheme} names a host other than that of the server's own artifacts. "
            "MLFLOW_ALLOWED_HOST_ADDRESSED_ARTIFACT_SCHEMES in the server's environment allows schemes",
        )
    location = _absolute(location)
    limit = _longest()
    if len(location) > limit:
        raise _refused(location, f"it has {len(location)} characters, at most {limit} are allowed")
    return location


def names_another_host(location: str, config: Config) -> bool:
    """Whether who uses the location would connect to a host that is neither the server's own nor allowed."""
    targets = _targets(location)
    return bool(targets) and not _allowed(urlsplit(location).scheme, targets, config)


def is_remote(parts: SplitResult) -> bool:
    """Whether a file URI names another host than this one."""
    host = parts.hostname or ""
    return bool(host) and host != "." and not host.startswith(_LOCAL_HOSTS)


def local_path(location: str) -> str:
    """The path that a path or a file URI names."""
    parts = urlsplit(location)
    return unquote(parts.path) if parts.scheme == "file" else location


def _refused(location: str, why: str) -> InvalidParameterValue:
    return InvalidParameterValue(f"artifact_location {shown(location)} cannot be used: {why}.")


def _longest() -> int:
    text = os.environ.get("MLFLOW_ARTIFACT_LOCATION_MAX_LENGTH", "")
    return int(text) if text.isascii() and text.isdigit() else 2048


def _decoded(query: str) -> str:
    """Percent-decoded until nothing changes, which a client that builds a path of it may do as well."""
    for _ in range(10):
        decoded = unquote(query)
        if decoded == query:
            return query
        query = decoded
    return ".."  # Encoded more than ten times: that hides something.


def _targets(location: str) -> FrozenSet[Target]:
    """The (family, host, port) that somebody who uses the location would connect to; empty where it names no host."""
    parts = urlsplit(location)
    if parts.scheme not in _HOSTED or (parts.scheme == "mlflow-artifacts" and not parts.netloc):
        return frozenset()
    family, ports = _HOSTED[parts.scheme]
    if "\\" in parts.netloc or any(c.isspace() for c in parts.netloc):
        # Where such a host ends, clients do not agree.
        return frozenset({("unclear", parts.netloc, None)})
    named = (parts.port,) if parts.port is not None else ports
    return frozenset((family, parts.hostname or "", port) for port in named)


def _allowed(scheme: str, targets: FrozenSet[Target], config: Config) -> bool:
    allowed = os.environ.get("MLFLOW_ALLOWED_HOST_ADDRESSED_ARTIFACT_SCHEMES", "")
    if scheme in [word.strip().lower() for word in allowed.split(",")]:
        return True
    own = _targets(config.default_artifact_root) | _targets(config.artifacts_destination)
    return targets <= own


def _absolute(location: str) -> str:
    """A relative local path (also ``file:a/b``) made absolute; anything else as it is."""
    parts = urlsplit(location)
    if parts.scheme not in ("", "file"):
        return location
    if parts.scheme == "file":
        host = parts.hostname or ""
        if host and host != "." and not host.startswith(_LOCAL_HOSTS):
            raise _refused(location, "a file URI cannot name another host")
        if host or parts.path.startswith("/"):
            return location
    path = unquote(parts.path) if parts.scheme else location
    if os.path.isabs(path):
        return location
    # pathlib takes 10 ms to import and is needed by few.
    from pathlib import Path

    whole = (Path.cwd() / path).as_posix()
    return f"file://{whole}" if parts.scheme or os.name == "nt" else whole
