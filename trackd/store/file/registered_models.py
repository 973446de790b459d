"""Registered models with their tags and aliases in MLflow's folder layout."""

import os
from typing import Dict, Sequence

from trackd.entities import ModelVersion, RegisteredModel, Tag
from trackd.store.file import disk, layout
from trackd.store.file.disk import Change
from trackd.store.file.metafile import dump
from trackd.store.file.model_versions import ModelVersionFiles, version_meta

_FOLDER_TABLES = ("trackd_files", "trackd_folders", "trackd_damaged")
_BELOW = "folder > ?1 || '/' AND folder < ?1 || '0'"


class RegisteredModelFiles(ModelVersionFiles):
    """The writes of ``store.base.Transaction`` to registered models, in index and files."""

    def add_registered_model(self, model: RegisteredModel) -> None:
        """See ``store.base``."""
        super().add_registered_model(model)
        key = self._take_folder(model.name)
        self.connection.execute("INSERT OR IGNORE INTO trackd_folders VALUES (?)", (key,))
        self.make(key, ())
        texts = {layout.value_name(layout.TAGS, tag.key): tag.value for tag in model.tags}
        texts[layout.META] = _model_meta({}, model)
        self.create(key, texts)

    def _take_folder(self, name: str) -> str:
        """Choose the folder of a new name, and keep it."""
        folds = layout.folds_case(self.root)
        taken = set()
        if folds:
            taken = {layout.folded(row[0]) for row in self.connection.execute("SELECT folder FROM trackd_models")}
        for candidate in layout.model_folders(name):
            query = "SELECT 1 FROM trackd_models WHERE folder = ?"
            if self.connection.execute(query, (candidate,)).fetchone() or (folds and layout.folded(candidate) in taken):
                continue
            if os.path.lexists(f"{self.root}/{layout.MODELS}/{candidate}"):
                continue
            break
        self.connection.execute("INSERT INTO trackd_models VALUES (?, ?)", (name, candidate))
        return f"{layout.MODELS}/{candidate}"

    def put_registered_model(self, model: RegisteredModel) -> None:
        """See ``store.base``."""
        super().put_registered_model(model)
        key = self.registered_key(model.name)
        self.write(key, {layout.META: _model_meta(self.unknown_keys(key), model)})

    def touch_registered_model(self, name: str, time: int) -> bool:
        """See ``store.base``. All but the time stays as the file has it."""
        if not super().touch_registered_model(name, time):
            return False
        key = self.registered_key(name)
        values = self.unknown_keys(key)
        if values.get("name") == name:
            values["last_updated_timestamp"] = time
            self.write(key, {layout.META: dump(values).decode("utf-8")})
        else:  # somebody else has just broken it
            model = self.get_registered_model(name)
            assert model is not None, "it has just been updated"
            self.write(key, {layout.META: _model_meta({}, model)})
        return True

    def rename_registered_model(self, name: str, new_name: str, time: int) -> None:
        """See ``store.base``. The folder moves, last of all, with whatever else lies in it."""
        key = self.registered_key(name)
        model = self.get_registered_model(name)
        assert model is not None, "the caller has read it in this transaction"
        super().rename_registered_model(name, new_name, time)
        renamed = model._replace(name=new_name, last_updated_timestamp=time)
        self.write(key, {layout.META: _model_meta(self.unknown_keys(key), renamed)})
        for version in self.all_versions(new_name):
            self._write_version(f"{key}/{layout.VERSION}{version.version}", version)
        self.connection.execute("DELETE FROM trackd_models WHERE name = ?", (name,))
        del self.registered_keys[name]
        new_key = self._take_folder(new_name)
        for table in _FOLDER_TABLES:
            self.connection.execute(
                f"UPDATE {table} SET folder = ?2 || substr(folder, length(?1) + 1) WHERE folder = ?1 OR ({_BELOW})",
                (key, new_key),
            )
        self.touched.add(new_key)
        self.move(key, new_key)

    def _write_version(self, key: str, version: ModelVersion) -> None:
        self.write(key, {layout.META: version_meta(self.unknown_keys(key), version)})

    def drop_registered_model(self, name: str) -> None:
        """See ``store.base``."""
        key = self.registered_key(name)
        super().drop_registered_model(name)
        self.connection.execute("DELETE FROM trackd_models WHERE name = ?", (name,))
        del self.registered_keys[name]
        for table in _FOLDER_TABLES:
            self.connection.execute(f"DELETE FROM {table} WHERE folder = ?1 OR ({_BELOW})", (key,))
        self.touched.add(key)
        # Into the trash, under a name that no other removal has: in the folder of models MLflow would take it for one.
        aside = f"{layout.TRASH}/{layout.TEMPORARY}gone-model-{self.mtime}"
        self.moves.append(Change(disk.DROP, key, aside, "", 0, self.mtime))

    def put_registered_model_tags(self, name: str, tags: Sequence[Tag]) -> None:
        """See ``store.base``."""
        super().put_registered_model_tags(name, tags)
        self.write(self.registered_key(name), {layout.value_name(layout.TAGS, tag.key): tag.value for tag in tags})

    def drop_registered_model_tag(self, name: str, key: str) -> bool:
        """See ``store.base``."""
        found = super().drop_registered_model_tag(name, key)
        if found:
            self.remove(self.registered_key(name), layout.value_name(layout.TAGS, key))
        return found

    def put_alias(self, name: str, alias: str, version: int) -> None:
        """See ``store.base``."""
        file = self._alias_file(name, alias)
        super().put_alias(name, alias, version)
        text = str(version) if file.startswith(layout.ALIASES) else f"{version}\n{alias}"
        self.write(self.registered_key(name), {file: text})

    def drop_alias(self, name: str, alias: str) -> bool:
        """See ``store.base``."""
        file = self._alias_file(name, alias)
        found = super().drop_alias(name, alias)
        if found:
            self.remove(self.registered_key(name), file)
        return found

    def _alias_file(self, name: str, alias: str) -> str:
        """Where an alias lies, or will lie beside the others that the model has."""
        key = self.registered_key(name)
        odd = layout.alias_name(alias, [], False)
        for file in (f"{layout.ALIASES}/{alias}", odd):
            query = "SELECT 1 FROM trackd_files WHERE folder = ? AND name = ?"
            if self.connection.execute(query, (key, file)).fetchone():
                return file
        rows = self.connection.execute("SELECT alias FROM registered_model_aliases WHERE name = ?", (name,))
        return layout.alias_name(alias, [row[0] for row in rows], layout.folds_case(self.root))


def _model_meta(values: Dict[str, object], model: RegisteredModel) -> str:
    """The text of a model's ``meta.yaml``, with the keys that MLflow 3 writes. Aliases have files of their own."""
    values.pop("aliases", None)
    values.setdefault("deployment_job_id", None)
    values.setdefault("deployment_job_state", None)
    values.setdefault("workspace", "default")
    values.update(
        creation_timestamp=model.creation_timestamp,
        description=model.description,
        last_updated_timestamp=model.last_updated_timestamp,
        name=model.name,
    )
    return dump(values).decode("utf-8")
