"""Sends a folder in MLflow's layout, written offline by MLflow's own file store, to a server: a copy that brings the
artifacts that lie in the folder.
"""

import os
from typing import Callable, Iterator, Optional, Tuple

from trackd import client
from trackd.config import local_path
from trackd.entities import ACTIVE, Run, RunInfo
from trackd.transfer.copy import copy
from trackd.transfer.counts import Counts
from trackd.transfer.servers import ServerSide
from trackd.transfer.sides import Source, Target


class FolderTarget(ServerSide):
    """A server that is sent the artifacts of its runs too, from where they lie in the folder."""

    def __init__(self, uri: str) -> None:
        super().__init__(uri)
        self._client = client.Client(uri)
        #: Run in the folder -> run at the server and its artifact location.
        self.places: "dict[str, Tuple[str, str]]" = {}

    def find_run(self, experiment_id: str, run: Run) -> Optional[Run]:
        """See ``sides``; what is found is remembered."""
        found = super().find_run(experiment_id, run)
        if found is not None and found.info.lifecycle_stage == ACTIVE:
            self.places[run.info.run_id] = (found.info.run_id, found.info.artifact_uri)
        return found

    def add_run(self, experiment_id: str, run: Run) -> RunInfo:
        """See ``sides``."""
        made = super().add_run(experiment_id, run)
        self.places[run.info.run_id] = (made.run_id, made.artifact_uri)
        return made

    def send_files(self, source: Source, root: str, counts: Counts, say: Callable[[str], None]) -> None:
        """Send the artifacts of all runs that are at the server now; a file of the same size there is left."""
        for experiment in source.experiments():
            for run in source.runs(experiment.experiment_id):
                if run.info.run_id in self.places:
                    run_id, location = self.places[run.info.run_id]
                    folder = _folder(root, run.info)
                    there = dict(self._there(run_id)) if folder else {}
                    for path, size in _files(folder):
                        new = there.get(path) != size
                        if new:
                            say(f"sending {path} of run {run.info.run_id}")
                            local = os.path.join(folder, *path.split("/"))
                            self._client._to.put_file(run_id, location, path, local)
                        counts.note("artifacts", written=int(new), skipped=int(not new))

    def _there(self, run_id: str, path: str = "") -> Iterator[Tuple[str, int]]:
        """Files of a run at the server with their sizes."""
        for each in self._client.list_artifacts(run_id, path):
            if each.is_dir:
                yield from self._there(run_id, each.path)
            else:
                yield each.path, each.file_size or 0


def _folder(root: str, info: RunInfo) -> str:
    """Where the artifacts of a run lie on this host: beside its metadata (the folder may have been moved), or where it
    says; empty for another place.
    """
    beside = os.path.join(root, info.experiment_id, info.run_id, "artifacts")
    named = info.artifact_uri
    elsewhere = local_path(named) if named.startswith("file:") or ":" not in named else ""
    return next((folder for folder in (beside, elsewhere) if folder and os.path.isdir(folder)), "")


def _files(folder: str) -> Iterator[Tuple[str, int]]:
    """All files below a folder as paths with slashes, with their sizes."""
    for place, _, names in os.walk(folder) if folder else ():
        for name in sorted(names):
            path = os.path.join(place, name)
            yield os.path.relpath(path, folder).replace(os.sep, "/"), os.path.getsize(path)


def is_folder(folder: str) -> bool:
    """Whether this is a folder in MLflow's layout: one with an experiment in it."""
    names = [name for name in os.listdir(folder) if not name.startswith(".")]
    return any(os.path.isfile(os.path.join(folder, name, "meta.yaml")) for name in names)


def send(source: Target, root: str, uri: str, say: Callable[[str], None]) -> Counts:
    """Send a folder, opened as ``source``. ``TrackdError`` or ``MlflowException`` where it cannot go on."""
    counts = Counts()
    target = FolderTarget(uri)
    try:
        target.check()
        copy(source, target, counts, say)
        target.send_files(source, root, counts, say)
    finally:
        target.close()
    return counts
