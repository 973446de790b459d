"""Runs that go to another experiment in MLflow's folder layout: the run's folder moves."""

import os
from urllib.parse import quote

from trackd.entities import Dataset, RunInfo
from trackd.errors import InvalidParameterValue
from trackd.store.file import layout
from trackd.store.file.metafile import dump
from trackd.store.file.metrics import MetricFiles

_TABLES = ("trackd_files", "trackd_folders", "trackd_damaged")


class MoveFiles(MetricFiles):
    """``store.base.Transaction.move_run``, in index and files. It must be the last that is done to a run in it."""

    def move_run(self, info: RunInfo, experiment_id: str) -> RunInfo:
        """See ``store.base``. Artifacts that lie in the run's own folder go with it, and the URI says so."""
        old, new = f"{info.experiment_id}/{info.run_id}", f"{experiment_id}/{info.run_id}"
        target = f"{self.path(experiment_id)}/{info.run_id}"
        if os.path.lexists(f"{self.root}/{target}"):
            raise InvalidParameterValue(
                f"Run {info.run_id} cannot be moved: there is a folder of that name in experiment {experiment_id}."
            )
        uri = _moved_uri(info.artifact_uri, f"{self.root}/{self.path(old)}", f"{self.root}/{target}")
        moved = super().move_run(info._replace(artifact_uri=uri), experiment_id)
        self.write(old, {layout.META: self.run_meta(self.path(old), moved)})
        for table in _TABLES:
            self.connection.execute(f"UPDATE {table} SET folder = ? WHERE folder = ?", (new, old))
        self.touched.add(new)
        self.move(old, target)
        return moved

    def copied_dataset(self, experiment_id: str, dataset: Dataset) -> str:
        """The id of a dataset in an experiment, which gets it if it lacks it."""
        dataset_id = layout.dataset_id(dataset.name, dataset.digest)
        dataset_uuid = f"{experiment_id}/{dataset_id}"
        if self.insert_dataset(experiment_id, dataset_uuid, dataset):
            name = f"{layout.DATASETS}/{dataset_id}/{layout.META}"
            self.write(experiment_id, {name: dump(dict(dataset._asdict())).decode("utf-8")})
        return dataset_uuid


def _moved_uri(uri: str, old: str, new: str) -> str:
    """Where artifacts lie after the run's folder ``old`` became ``new``: MLflow's own file store keeps them in it."""
    for form in (str, quote):
        for scheme in ("file://", "file:", ""):
            before = scheme + form(old)
            if uri == before or uri.startswith(before + "/"):
                return scheme + form(new) + uri[len(before) :]
    return uri
