"""Looking at one folder again, whatever it holds: an experiment, a run, a logged model, a registered one."""

import os

from trackd.store.file import folder, layout, model_folders, registry
from trackd.store.file.index import Index


def refresh_folder(index: Index, key: str, report: folder.Report) -> bool:
    """Read a folder again where it changed, or forget it if it is gone; whether it had changed."""
    if layout.is_registry(key):
        return registry.refresh(index, key, report)
    experiment_id, _, member = key.partition("/")
    if not member:
        return _refresh_experiment(index, key, report)
    path = f"{index.root}/{index.experiment_path(experiment_id)}/{member}"
    if os.path.isdir(path):
        known = index.known_files_or_none(key)
        if "/" in member:
            return model_folders.refresh(index, path, key, known, report)
        return index.refresh_run(path, key, known, report)
    if "/" in member:
        model_folders.clear(index, member.partition("/")[2])
    index.forget_folder(key)
    return True


def _refresh_experiment(index: Index, key: str, report: folder.Report) -> bool:
    for deleted in (False, True):
        if os.path.isdir(f"{index.root}/{layout.experiment_folder(key, deleted)}"):
            moved = index.refresh_experiment(key, deleted, report)
            if moved:
                for member in sorted(index.known_members(key)):
                    refresh_folder(index, member, report)
            return moved
    for member in index.known_members(key):
        refresh_folder(index, member, report)
    index.forget_folder(key)
    return True
