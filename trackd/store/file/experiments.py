"""Experiments in MLflow's folder layout."""

from typing import Dict, List, Optional, Sequence

from trackd.entities import ACTIVE, DELETED, Experiment, Tag
from trackd.store.file import folder, layout
from trackd.store.file.changing import Changing
from trackd.store.file.metafile import dump


class ExperimentFiles(Changing):
    """The writes of ``store.base.Transaction`` to experiments, in index and files."""

    def insert_experiment(self, experiment: Experiment) -> None:
        """Add an experiment's row, and its folder."""
        super().insert_experiment(experiment)
        key = experiment.experiment_id
        self.connection.execute("INSERT OR IGNORE INTO trackd_folders VALUES (?)", (key,))
        self.make(key, ())
        self.write(key, {layout.META: self._experiment_meta(experiment)})

    def put_experiment(self, experiment: Experiment) -> None:
        """See ``store.base``. A deleted experiment's folder lies in the trash."""
        key = experiment.experiment_id
        before = self.get_experiment(key)
        assert before is not None, "the caller has read it in this transaction"
        self.write(key, {layout.META: self._experiment_meta(experiment)})
        if before.lifecycle_stage != experiment.lifecycle_stage:
            self.move(key, layout.experiment_folder(key, experiment.lifecycle_stage == DELETED))
        super().put_experiment(experiment)

    def put_experiment_tags(self, experiment_id: str, tags: Sequence[Tag]) -> None:
        """See ``store.base``."""
        super().put_experiment_tags(experiment_id, tags)
        self.write(experiment_id, {layout.value_name(layout.TAGS, tag.key): tag.value for tag in tags})

    def drop_experiment_tag(self, experiment_id: str, key: str) -> bool:
        """See ``store.base``."""
        found = super().drop_experiment_tag(experiment_id, key)
        if found:
            self.remove(experiment_id, layout.value_name(layout.TAGS, key))
        return found

    def _experiment_meta(self, experiment: Experiment) -> str:
        values = self.unknown_keys(self.path(experiment.experiment_id))
        values.update(
            artifact_location=experiment.artifact_location,
            creation_time=experiment.creation_time,
            experiment_id=experiment.experiment_id,
            last_update_time=experiment.last_update_time,
            lifecycle_stage=experiment.lifecycle_stage or ACTIVE,
            name=experiment.name,
        )
        return dump(values).decode("utf-8")

    def unknown_keys(self, path: str) -> Dict[str, object]:
        """What a ``meta.yaml`` holds now: keys that we do not know survive a rewrite."""
        problems: List[Optional[str]] = []
        found = folder.read_meta(f"{self.root}/{path}/{layout.META}", lambda where, what: problems.append(what))
        return found or {}
