"""Registered models and their versions as the folders below ``models`` hold them: read, and put into the index.

A folder is called as its model wherever a file system can have that name (``layout.model_folders``); the name that
counts stands in its ``meta.yaml``. Of two folders with one name only one is served, the other is reported.
"""

import os
from typing import Iterable, List, Optional, Tuple

from trackd.entities import DELETED_STAGE, NO_STAGE, READY, STAGES, Alias, ModelVersion, RegisteredModel, Tag
from trackd.store.file import folder, layout
from trackd.store.file.folder import Meta, Report, Stats
from trackd.store.file.index import Index, is_fresh
from trackd.store.file.metafile import MetafileError

_HOLDER = "SELECT folder FROM trackd_models WHERE name = ?"
_HELD = "SELECT name FROM trackd_models WHERE folder = ?"
_BELOW = "folder > ? || '/' AND folder < ? || '0'"


def list_models(root: str, report: Report) -> List[str]:
    """The index's names of all model folders: ``models/<folder>``. No folder ``models`` is none."""
    path = f"{root}/{layout.MODELS}"
    return [f"{layout.MODELS}/{name}" for name in _list(path, report)] if os.path.isdir(path) else []


def list_versions(root: str, key: str, report: Report) -> List[str]:
    """The index's names of a model's version folders."""
    found = []
    for name in _list(f"{root}/{key}", report):
        if layout.version_number(name) is not None:
            found.append(f"{key}/{name}")
        elif name not in folder.REGISTERED_MODEL_KINDS:
            report(f"{root}/{key}/{name}", "is not a version of this model: its name is not version-<number>")
    return found


def latest(keys: Iterable[str], count: int) -> List[str]:
    """The last ``count`` of a model's version folders, by number."""
    return sorted(keys, key=lambda key: split(key)[1] or 0)[-count:]


def _list(path: str, report: Report) -> List[str]:
    """Names of the sub-folders; one may begin with a dot, as a model's name may."""
    names = []
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                if folder.is_text(entry.name) and folder.is_folder(entry, report):
                    names.append(entry.name)
    except FileNotFoundError:
        return []
    except OSError as error:
        report(path, f"cannot be listed: {error.strerror}")
    return sorted(names)


def read_model(path: str, stats: Stats, report: Report) -> Optional[RegisteredModel]:
    """The model in this folder, without its versions; ``None`` and a report if its ``meta.yaml`` does not say."""
    values = folder.read_meta(f"{path}/{layout.META}", report)
    if values is None:
        return None
    meta = Meta(values)
    try:
        name = meta.text("name")
        if not name or "/" in name:
            raise MetafileError(f"name is {name!r}, which no model can have")
        return RegisteredModel(
            name,
            meta.number("creation_timestamp"),
            meta.number("last_updated_timestamp"),
            meta.text_or_none("description"),
            _read_tags(path, stats, report),
            _read_aliases(path, stats, report),
        )
    except MetafileError as error:
        report(f"{path}/{layout.META}", f"is damaged: {error}")
        return None


def _read_tags(path: str, stats: Stats, report: Report) -> List[Tag]:
    return [Tag(key, value) for key, value in folder.read_values(path, layout.TAGS, stats, report)]


def _read_aliases(path: str, stats: Stats, report: Report) -> List[Alias]:
    """Each file is called as its alias and holds the version's number; in an odd one the alias comes behind that."""
    found = []
    for kind in (layout.ALIASES, layout.ODD_ALIASES):
        for name, text in folder.read_values(path, kind, stats, report):
            number, _, alias = text.partition("\n")
            if number.strip().isdecimal() and len(number) < 19 and (alias or kind == layout.ALIASES):
                found.append(Alias(alias if kind == layout.ODD_ALIASES else name, int(number)))
            else:
                report(f"{path}/{kind}/{name}", f"is damaged: it should hold a version's number, not {text[:40]!r}")
    return found


def read_version(path: str, name: str, number: int, stats: Stats, report: Report) -> Optional[ModelVersion]:
    """The version in this folder; ``None`` and a report if its ``meta.yaml`` does not say."""
    values = folder.read_meta(f"{path}/{layout.META}", report)
    if values is None:
        return None
    meta = Meta(values)
    try:
        if meta.text("version") != str(number):
            raise MetafileError(f"version is {meta.text('version')!r}, not the folder's number")
        stage = meta.text_or_none("current_stage") or NO_STAGE
        if stage not in (*STAGES, DELETED_STAGE):
            raise MetafileError(f"current_stage should be one of {', '.join(STAGES)}, but is {stage!r}")
        return ModelVersion(
            name,
            number,
            meta.number("creation_timestamp"),
            meta.number("last_updated_timestamp"),
            meta.text_or_none("description"),
            meta.text_or_none("user_id"),
            stage,
            meta.text_or_none("source"),
            meta.text_or_none("storage_location"),
            meta.text_or_none("run_id"),
            meta.text_or_none("run_link"),
            meta.text_or_none("status") or READY,
            meta.text_or_none("status_message"),
            _read_tags(path, stats, report),
            (),
            meta.text_or_none("model_id"),
        )
    except MetafileError as error:
        report(f"{path}/{layout.META}", f"is damaged: {error}")
        return None


# -- into the index ---------------------------------------------------------------------------------------------------


def refresh(index: Index, key: str, report: Report) -> bool:
    """Read a model's or version's folder again where it changed, or forget it if it is gone; whether it had changed."""
    model_key, version = split(key)
    noting = index.noting_damage(key, report)
    if version is not None:
        return _refresh_version(index, key, model_key, version, noting)
    changed = _refresh_model(index, key, noting)
    if changed:
        on_disk = set(list_versions(index.root, key, noting))
        for each in sorted(on_disk | index.known_members(key)):
            refresh(index, each, report)
    return changed


def split(key: str) -> Tuple[str, Optional[int]]:
    """The index's name of the model, and the version's number if the folder is a version's."""
    parts = key.split("/")
    return "/".join(parts[:2]), layout.version_number(parts[2]) if len(parts) > 2 else None


def held_name(index: Index, model_key: str) -> Optional[str]:
    """The name of the model in a folder, as the index knows it."""
    row = index.connection.execute(_HELD, (model_key.partition("/")[2],)).fetchone()
    return row[0] if row else None


def _stats(index: Index, key: str, report: Report) -> Stats:
    return folder.stat_files(f"{index.root}/{key}", folder.kinds_of(key), report)


def _refresh_model(index: Index, key: str, report: Report) -> bool:
    path = f"{index.root}/{key}"
    if not os.path.isdir(path):
        known = index.known_files_or_none(key)
        forget(index, key)
        return known is not None
    stats = _stats(index, key, report)
    known = index.known_files_or_none(key)
    if known == stats:
        return False
    if index.patient and is_fresh(stats, known or {}) and read_model(path, {}, _silent) is None:
        return False
    found = read_model(path, stats, report) if layout.META in stats else None
    if found is not None and not _takes_name(index, key, found.name, report):
        found = None
    before = held_name(index, key)
    if before is None or found is None or found.name != before:
        forget(index, key)
    if found is not None:
        put_model(index, key, found)
    index.note_folder(key, stats)
    return True


def _takes_name(index: Index, key: str, name: str, report: Report) -> bool:
    """Whether the model in a folder is served under its name. Of two, that in the folder of the name is."""
    own = key.partition("/")[2]
    (holder,) = index.connection.execute(_HOLDER, (name,)).fetchone() or (own,)
    if holder == own:
        return True
    other = f"{layout.MODELS}/{holder}"
    if os.path.isdir(f"{index.root}/{other}"):
        served, second = (key, other) if own == name else (other, key)
        report(f"{index.root}/{second}", f"is a second model named {name!r}; only that in {served} is served")
        if served == other:
            return False
    forget(index, other)
    return True


def put_model(index: Index, key: str, model: RegisteredModel) -> None:
    """Let the tables say of a model what its folder says; its versions stay as they are."""
    connection = index.connection
    for table in ("registered_models", "registered_model_tags", "registered_model_aliases"):
        connection.execute(f"DELETE FROM {table} WHERE name = ?", (model.name,))
    connection.execute("INSERT OR REPLACE INTO trackd_models VALUES (?, ?)", (model.name, key.partition("/")[2]))
    index.add_registered_model(model)
    connection.executemany(
        "INSERT OR REPLACE INTO registered_model_aliases (name, alias, version) VALUES (?, ?, ?)",
        [(model.name, *alias) for alias in model.aliases],
    )


def forget(index: Index, key: str) -> None:
    """Take a model with its versions out of the tables, or nothing but what was noted about its folders."""
    name = held_name(index, key)
    if name is not None:
        for table in (
            "registered_models", "registered_model_tags", "registered_model_aliases", "model_versions",
            "model_version_tags", "trackd_models",
        ):
            index.connection.execute(f"DELETE FROM {table} WHERE name = ?", (name,))
    for table in ("trackd_folders", "trackd_files"):
        index.connection.execute(f"DELETE FROM {table} WHERE folder = ? OR ({_BELOW})", (key, key, key))


def _refresh_version(index: Index, key: str, model_key: str, number: int, report: Report) -> bool:
    path = f"{index.root}/{key}"
    name = held_name(index, model_key)
    known = index.known_files_or_none(key)
    if not os.path.isdir(path):
        for table in ("trackd_folders", "trackd_files"):
            index.connection.execute(f"DELETE FROM {table} WHERE folder = ?", (key,))
        if name is not None:
            _clear_version(index, name, number)
        return known is not None
    stats = _stats(index, key, report)
    if known == stats:
        return False
    if name is None:  # its model is not served; when it is, its versions are looked at again
        index.note_folder(key, stats)
        return False
    if index.patient and is_fresh(stats, known or {}) and read_version(path, name, number, {}, _silent) is None:
        return False
    found = read_version(path, name, number, stats, report) if layout.META in stats else None
    _clear_version(index, name, number)
    if found is not None:
        index.add_model_version(found)
    index.note_folder(key, stats)
    return True


def _clear_version(index: Index, name: str, number: int) -> None:
    for table in ("model_versions", "model_version_tags"):
        index.connection.execute(f"DELETE FROM {table} WHERE name = ? AND version = ?", (name, number))


def _silent(where: str, what: str) -> None:
    """For a look that is repeated."""
