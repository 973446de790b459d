"""Runs with their params and tags in MLflow's folder layout."""

import os
from typing import Dict, Optional, Sequence

from trackd.entities import RUN_STATUS, Param, RunInfo, Tag
from trackd.store.file import layout
from trackd.store.file.experiments import ExperimentFiles
from trackd.store.file.metafile import dump

_STATUS_NUMBER = {name: number for number, name in RUN_STATUS.items()}

#: MLflow takes a folder for a run only if it has these.
_FOLDERS = (layout.METRICS, layout.PARAMS, layout.ARTIFACTS, layout.TAGS)

#: Keys that old MLflow wrote about where a run's code came from; every version still writes them, with these values.
_CONSTANT_META = {
    "entry_point_name": "",
    "source_name": "",
    "source_type": 4,
    "source_version": "",
    "tags": [],
}


class RunFiles(ExperimentFiles):
    """The writes of ``store.base.Transaction`` to runs, in index and files."""

    def add_run(self, info: RunInfo, tags: Sequence[Tag]) -> None:
        """See ``store.base``. The ``meta.yaml`` comes last: without it nobody takes the folder for a run."""
        self.insert_run(info, None)
        key = self.run_key(info.run_id)
        self.connection.execute("INSERT INTO trackd_folders VALUES (?)", (key,))
        self.insert_tags(info.run_id, tags)
        self.make(key, _FOLDERS)
        texts = {layout.value_name(layout.TAGS, tag.key): tag.value for tag in tags}
        texts[layout.META] = _run_meta({}, info, None)
        self.create(key, texts)

    def put_run_info(self, info: RunInfo, deleted_time: Optional[int] = None) -> None:
        """See ``store.base``."""
        super().put_run_info(info, deleted_time)
        key = self.run_key(info.run_id)
        self.write(key, {layout.META: _run_meta(self.unknown_keys(self.path(key)), info, deleted_time)})

    def drop_runs(self, run_ids: Sequence[str]) -> None:
        """See ``store.base``."""
        keys = [self.run_key(run_id) for run_id in run_ids]
        super().drop_runs(run_ids)
        for key in keys:
            self.drop(key)

    def drop_experiment(self, experiment_id: str) -> None:
        """See ``store.base``. Its folder goes as a whole, with what trackd does not know of (traces)."""
        # Should the folder refuse to go, what is in it is read again as well.
        self.touched.update(self.known_members(experiment_id))
        self.drop(experiment_id)
        super().drop_experiment(experiment_id)

    def obstacle(self, experiment_id: str, member: Optional[str] = None) -> Optional[str]:
        """See ``store.base``. A folder behind a link lies somewhere else: it is not ours to remove."""
        path = self.path(experiment_id)
        above = [layout.TRASH] if path.startswith(layout.TRASH + "/") else []
        for link in above + ([path] if member else []):
            if os.path.islink(f"{self.root}/{link}"):
                return f"lies behind the link {self.root}/{link}, which trackd does not follow to remove things"
        return None

    def run_meta(self, path: str, info: RunInfo) -> str:
        """The new text of the ``meta.yaml`` in ``path``, of an active run."""
        return _run_meta(self.unknown_keys(path), info, None)

    def put_tags(self, run_id: str, tags: Sequence[Tag]) -> None:
        """See ``store.base``."""
        super().put_tags(run_id, tags)
        self.write(self.run_key(run_id), {layout.value_name(layout.TAGS, tag.key): tag.value for tag in tags})

    def drop_tag(self, run_id: str, key: str) -> bool:
        """See ``store.base``."""
        found = super().drop_tag(run_id, key)
        if found:
            self.remove(self.run_key(run_id), layout.value_name(layout.TAGS, key))
        return found

    def add_params(self, run_id: str, params: Sequence[Param]) -> None:
        """See ``store.base``."""
        super().add_params(run_id, params)
        self.write(self.run_key(run_id), {layout.value_name(layout.PARAMS, key): value for key, value in params})


def _run_meta(values: Dict[str, object], info: RunInfo, deleted_time: Optional[int]) -> str:
    """The text of a run's ``meta.yaml``; MLflow 2 reads ``run_uuid``, MLflow 3 ``run_id``."""
    values.update(_CONSTANT_META)
    values.update(
        artifact_uri=info.artifact_uri,
        end_time=info.end_time,
        experiment_id=info.experiment_id,
        lifecycle_stage=info.lifecycle_stage,
        run_id=info.run_id,
        run_name=info.run_name,
        run_uuid=info.run_id,
        start_time=info.start_time,
        status=_STATUS_NUMBER[info.status],
        user_id=info.user_id,
    )
    values.pop("deleted_time", None)
    if deleted_time is not None:
        values["deleted_time"] = deleted_time
    return dump(values).decode("utf-8")
