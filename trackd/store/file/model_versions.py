"""Versions of registered models with their tags in MLflow's folder layout."""

import os
from typing import Dict, Sequence

from trackd.entities import ModelVersion, Tag
from trackd.store.file import layout
from trackd.store.file.experiments import ExperimentFiles
from trackd.store.file.metafile import dump


class ModelVersionFiles(ExperimentFiles):
    """The writes of ``store.base.Transaction`` to model versions, in index and files."""

    def registered_key(self, name: str) -> str:
        """``models/<folder>`` of a model that is there: the name of its folder in the index, and below the root."""
        key = self.registered_keys.get(name)
        if key is None:
            (found,) = self.connection.execute("SELECT folder FROM trackd_models WHERE name = ?", (name,)).fetchone()
            key = self.registered_keys[name] = f"{layout.MODELS}/{found}"
        return key

    def version_key(self, name: str, version: int) -> str:
        """The same of a version."""
        return f"{self.registered_key(name)}/{layout.VERSION}{version}"

    def next_model_version(self, name: str) -> int:
        """See ``store.base``. A folder that MLflow made a moment ago counts, though nobody has looked at it yet."""
        number = super().next_model_version(name)
        while os.path.lexists(f"{self.root}/{self.version_key(name, number)}"):
            number += 1
        return number

    def add_model_version(self, version: ModelVersion) -> None:
        """See ``store.base``. The ``meta.yaml`` comes last."""
        super().add_model_version(version)
        key = self.version_key(version.name, version.version)
        self.connection.execute("INSERT OR IGNORE INTO trackd_folders VALUES (?)", (key,))
        self.make(key, ())
        texts = {layout.value_name(layout.TAGS, tag.key): tag.value for tag in version.tags}
        texts[layout.META] = version_meta({}, version)
        self.create(key, texts)

    def put_model_version(self, version: ModelVersion) -> None:
        """See ``store.base``."""
        super().put_model_version(version)
        key = self.version_key(version.name, version.version)
        self.write(key, {layout.META: version_meta(self.unknown_keys(key), version)})

    def put_model_version_tags(self, name: str, version: int, tags: Sequence[Tag]) -> None:
        """See ``store.base``."""
        super().put_model_version_tags(name, version, tags)
        texts = {layout.value_name(layout.TAGS, tag.key): tag.value for tag in tags}
        self.write(self.version_key(name, version), texts)

    def drop_model_version_tag(self, name: str, version: int, key: str) -> bool:
        """See ``store.base``."""
        found = super().drop_model_version_tag(name, version, key)
        if found:
            self.remove(self.version_key(name, version), layout.value_name(layout.TAGS, key))
        return found


def version_meta(values: Dict[str, object], version: ModelVersion) -> str:
    """The text of a version's ``meta.yaml``, with the keys that MLflow 3 writes."""
    values.setdefault("deployment_job_state", None)
    values.setdefault("model_id", version.model_id)
    values.setdefault("workspace", "default")
    values.update(
        creation_timestamp=version.creation_timestamp,
        current_stage=version.current_stage,
        description=version.description,
        last_updated_timestamp=version.last_updated_timestamp,
        name=version.name,
        run_id=version.run_id,
        run_link=version.run_link,
        source=version.source,
        status=version.status,
        status_message=version.status_message,
        storage_location=version.storage_location,
        user_id=version.user_id,
        version=version.version,
    )
    return dump(values).decode("utf-8")
