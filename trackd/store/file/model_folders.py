"""Reading a logged model's folder as it is on disk, and letting the index say what it says."""

import json
from typing import Dict, List, NamedTuple, Optional, Sequence

from trackd.entities import ACTIVE, DELETED, MODEL_STATUS, LoggedModel, LoggedModelInfo, Metric, Param, Tag
from trackd.store.file import folder, layout, points
from trackd.store.file.folder import Meta, Report, Stats
from trackd.store.file.index import Index, is_fresh, same_but_growing
from trackd.store.file.metafile import MetafileError


class ModelFolder(NamedTuple):
    """A logged model as its folder holds it. ``model.metrics`` has the points of the metrics that were read."""

    model: LoggedModel
    stats: Stats


def read_model(
    path: str, experiment_id: str, model_id: str, stats: Stats, unchanged: Stats, report: Report
) -> Optional[ModelFolder]:
    """The logged model in this folder; ``None`` and a report if its ``meta.yaml`` does not say.

    Metrics whose size and time are as in ``unchanged`` are not read again and not among ``model.metrics``.
    """
    values = folder.read_meta(f"{path}/{layout.META}", report)
    if values is None:
        return None
    try:
        info = _read_info(Meta(values), experiment_id, model_id)
    except MetafileError as error:
        report(f"{path}/{layout.META}", f"is damaged: {error}")
        return None
    found: List[Metric] = []
    prefix = layout.METRICS + "/"
    for name in [name for name in stats if name.startswith(prefix)]:
        if unchanged.get(name) != stats[name]:
            key = name[len(prefix) :]
            read, whole = folder.read_points(f"{path}/{name}", key, report, points.model_point)
            found += read
            if not whole:
                stats[name] = (-1, stats[name][1])
    model = LoggedModel(
        info,
        [Param(key, value) for key, value in folder.read_values(path, layout.PARAMS, stats, report)],
        [Tag(key, value) for key, value in folder.read_values(path, layout.TAGS, stats, report)],
        found,
    )
    return ModelFolder(model, stats)


def _read_info(meta: Meta, experiment_id: str, model_id: str) -> LoggedModelInfo:
    if meta.text("model_id") != model_id:
        raise MetafileError(f"model_id is {meta.text('model_id')!r}, not the folder's name")
    if meta.text("experiment_id") != experiment_id:
        raise MetafileError(f"experiment_id is {meta.text('experiment_id')!r}, but the model lies in {experiment_id!r}")
    status = meta.number("status") or 0
    if status not in MODEL_STATUS:
        raise MetafileError(f"status should be 0 to 3, but is {status}")
    # MLflow writes no stage when it finalizes a model, which makes it active.
    stage = meta.text_or_none("lifecycle_stage") or ACTIVE
    if stage not in (ACTIVE, DELETED):
        raise MetafileError(f"lifecycle_stage should be active or deleted, but is {stage!r}")
    created = meta.number("creation_timestamp") or 0
    return LoggedModelInfo(
        model_id,
        experiment_id,
        meta.text("name"),
        meta.text("artifact_location"),
        created,
        meta.number("last_updated_timestamp") or created,
        status,
        stage,
        meta.text_or_none("model_type"),
        meta.text_or_none("source_run_id"),
        meta.text_or_none("status_message"),
    )


def refresh(index: Index, path: str, key: str, known: Optional[Stats], report: Report) -> bool:
    """Read a model's folder again if any of its files changed; whether one had. ``known`` is what the index knows."""
    report = index.noting_damage(key, report)
    stats = folder.stat_files(path, folder.LOGGED_MODEL_KINDS, report)
    if known is not None and (stats == known or same_but_growing(stats, known)):
        return False
    experiment_id, _, model_id = key.split("/")
    if index.patient and is_fresh(stats, known or {}):
        if read_model(path, experiment_id, model_id, {}, {}, lambda where, what: None) is None:
            return False
    holder = index.get_logged_model_info(model_id)
    found = None
    if layout.META in stats:
        if holder is not None and holder.experiment_id != experiment_id:
            report(path, f"is a second model with the id of {holder.experiment_id}/{model_id}; only that one is served")
        else:
            found = read_model(path, experiment_id, model_id, stats, (known or {}) if holder else {}, report)
    if found is not None:
        _put(index, found)
    elif holder is not None and holder.experiment_id == experiment_id:
        clear(index, model_id)
    index.note_folder(key, stats)
    return True


def _put(index: Index, found: ModelFolder) -> None:
    """Let the index say what a model's folder says. Metrics that were not read again keep their rows."""
    model_id = found.model.info.model_id
    read = {point.key for point in found.model.metrics}
    prefix = layout.METRICS + "/"
    on_disk = [name[len(prefix) :] for name in found.stats if name.startswith(prefix)]
    clear(index, model_id, [name for name in on_disk if name not in read])
    index.insert_logged_model(found.model.info)
    index.insert_logged_model_params(model_id, found.model.params)
    index.insert_logged_model_tags(model_id, found.model.tags)
    by_run: Dict[str, List[Metric]] = {}
    for point in found.model.metrics:
        by_run.setdefault(point.run_id or "", []).append(point._replace(model_id=model_id))
    for run_id, logged in by_run.items():
        index.insert_model_points(found.model.info.experiment_id, run_id, logged)


def clear(index: Index, model_id: str, keep_metrics: Sequence[str] = ()) -> None:
    """Remove the rows of a model, but for these metrics."""
    for table in ("logged_models", "logged_model_params", "logged_model_tags"):
        index.connection.execute(f"DELETE FROM {table} WHERE model_id = ?", (model_id,))
    index.connection.execute(
        "DELETE FROM logged_model_metrics WHERE model_id = ?"
        " AND metric_name NOT IN (SELECT value FROM json_each(?))",
        (model_id, json.dumps(list(keep_metrics))),
    )
