"""Where artifacts are kept: ``base`` is the contract, ``local`` folders of this host, ``s3`` buckets."""

import os
import re
from typing import List, Optional, Tuple
from urllib.parse import urlsplit

from trackd.artifacts.base import ArtifactStore, Locations
from trackd.artifacts.paths import ROOT, ArtifactPath, artifact_path
from trackd.config import Config, is_database, local_path, scheme_of
from trackd.errors import InvalidParameterValue

#: Locations that clients reach through a server like this one.
PROXIED = ("mlflow-artifacts", "http", "https")
#: What stands in a proxied location before the path, where it is written as a URL.
_ANCHOR = re.compile(r"^.*?/(?:ajax-)?api/2\.0/mlflow-artifacts/artifacts(?:/|$)")

#: Folders of the file store whose files are values: one that came there as an artifact would be read as one.
_VALUES = frozenset(("params", "tags", "metrics", "aliases"))


def open_artifacts(uri: str, sync: bool = False, tidy: bool = False) -> ArtifactStore:
    """The store at a location: a path, ``file:`` or ``s3://``. ``InvalidParameterValue`` for any other.

    Nothing is read or made before it is needed. ``sync``: files are on the disk before a write returns.
    ``tidy``: a folder that others look into as well, where not even an empty folder of ours stays after a write.
    """
    scheme = scheme_of(uri)
    if scheme == "s3":
        from trackd.artifacts.s3 import S3Artifacts

        return S3Artifacts(uri)
    folder = local_path(uri)
    if folder is None:
        raise InvalidParameterValue(f"Artifacts at {uri!r} are out of reach: trackd serves local folders and s3://.")
    from trackd.artifacts.local import LocalArtifacts

    return LocalArtifacts(folder, sync, tidy)


class Places(Locations):
    """The stores of a server: ``proxied`` holds what clients send to it, the others are read where runs lie there.

    A location comes from whoever made the experiment, and the server can read more than they can. So only places below
    those that the settings name are opened: where metadata lies, where artifacts go, and ``artifact_roots``.
    """

    def __init__(self, config: Config) -> None:
        self._serving = config.serve_artifacts or config.artifacts_only
        self._sync = config.sync == "full"
        self.proxied = open_artifacts(config.artifacts_destination, self._sync)
        self._backend = None if config.artifacts_only else local_path(config.backend_store_uri)
        named = [config.artifacts_destination, config.default_artifact_root, *(config.artifact_roots or ())]
        if not config.artifacts_only:
            named += _beside(config.backend_store_uri)
        self._folders: List[str] = []
        self._buckets: List[str] = []
        for uri in named:
            folder = local_path(uri)
            if folder is not None:
                self._folders.append(os.path.realpath(folder))
            elif scheme_of(uri) == "s3":
                self._buckets.append(uri.rstrip("/") + "/")

    def find(self, location: str) -> Tuple[ArtifactStore, ArtifactPath]:
        """See ``Locations``. ``mlflow-artifacts:`` and URLs mean the proxied store, whatever host they name."""
        if scheme_of(location) in PROXIED:
            if not self._serving:
                raise InvalidParameterValue(
                    f"The artifacts are at {location}, a server for artifacts, and this one runs with "
                    "--no-serve-artifacts; ask the one that serves them."
                )
            return self.proxied, proxied_path(location)
        folder = local_path(location)
        if folder is not None:
            return open_artifacts(self._folder(location, folder), self._sync, tidy=True), ROOT
        if scheme_of(location) == "s3" and any((location + "/").startswith(bucket) for bucket in self._buckets):
            return open_artifacts(location), ROOT
        raise _out_of_reach(location)

    def _folder(self, location: str, folder: str) -> str:
        """The folder itself if it is one that may be read, or the one where it is now.

        A store that was moved or copied from another host has the old place in all of its runs; their artifacts still
        lie beside their metadata.
        """
        whole = os.path.realpath(folder)
        allowed = any(_within(whole, each) for each in self._folders)
        if self._holds_values(whole):
            raise _out_of_reach(location)
        if allowed and os.path.isdir(whole):
            return whole
        moved = self._moved(folder)
        if moved is None and not allowed:
            raise _out_of_reach(location)
        return moved or whole

    def _holds_values(self, whole: str) -> bool:
        """Whether a folder lies in the metadata of a run, an experiment or a model, rather than beside them."""
        root = None if self._backend is None else os.path.realpath(self._backend)
        if root is None or not _within(whole, root):
            return False
        # Some file systems do not tell cases apart. Nothing before the third part can be a run's folder of artifacts.
        parts = os.path.relpath(whole, root).lower().split(os.sep)
        end = parts.index("artifacts", 2) if "artifacts" in parts[2:] else len(parts)
        return not _VALUES.isdisjoint(parts[1:end])

    def _moved(self, folder: str) -> Optional[str]:
        if self._backend is None:
            return None
        root = os.path.realpath(self._backend)
        parts = folder.replace("\\", "/").rstrip("/").split("/")
        # <experiment>/<run>/artifacts and <experiment>/models/<model>/artifacts.
        for count in (3, 4):
            if len(parts) > count and parts[-1] == "artifacts" and ".." not in parts:
                found = os.path.realpath(os.path.join(root, *parts[-count:]))
                if _within(found, root) and os.path.isdir(found):
                    return found
        return None


def _beside(backend: str) -> List[str]:
    """Where artifacts of these metadata are: in the folder itself, or where MLflow puts them at a database."""
    if not is_database(backend):
        return [backend]
    # Three slashes begin a relative path, four an absolute one, as SQLAlchemy has it.
    file = urlsplit(backend).path[1:]
    return ["./mlruns", os.path.join(os.path.dirname(file), "mlruns")]


def proxied_path(location: str) -> ArtifactPath:
    """``0/abc/artifacts`` for all of ``mlflow-artifacts:/0/abc/artifacts``, with host or port, and the URL forms."""
    path = urlsplit(location).path
    if scheme_of(location) != "mlflow-artifacts" and not _ANCHOR.match(path):
        # A file somewhere on the web.
        raise _out_of_reach(location)
    return artifact_path(_ANCHOR.sub("", path).lstrip("/"))


def _within(path: str, root: str) -> bool:
    """Whether a path lies in a folder or is it; both without links."""
    return path == root or path.startswith(root.rstrip(os.sep) + os.sep)


def _out_of_reach(location: str) -> InvalidParameterValue:
    return InvalidParameterValue(
        f"The artifacts at {location!a} are not served: the server reads the places of its own settings, and those "
        "that --artifact-roots lists."
    )
