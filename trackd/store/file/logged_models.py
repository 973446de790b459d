"""Logged models with their params, tags and points of metrics in MLflow's folder layout."""

from typing import Dict, List, Sequence

from trackd.entities import LoggedModelInfo, Metric, Param, Tag
from trackd.store.file import layout, points
from trackd.store.file.metafile import dump
from trackd.store.file.runs import RunFiles

#: MLflow looks into these of a model's folder.
_FOLDERS = (layout.METRICS, layout.PARAMS, layout.TAGS)


class LoggedModelFiles(RunFiles):
    """The writes of ``store.base.Transaction`` to logged models, in index and files."""

    def add_logged_model(self, info: LoggedModelInfo, params: Sequence[Param], tags: Sequence[Tag]) -> None:
        """See ``store.base``. The ``meta.yaml`` comes last: without it nobody takes the folder for a model."""
        super().add_logged_model(info, params, tags)
        key = f"{info.experiment_id}/{layout.MODELS}/{info.model_id}"
        self.connection.execute("INSERT INTO trackd_folders VALUES (?)", (key,))
        self.make(key, _FOLDERS)
        texts = {layout.value_name(layout.PARAMS, param.key): param.value for param in params}
        texts.update({layout.value_name(layout.TAGS, tag.key): tag.value for tag in tags})
        texts[layout.META] = _model_meta({}, info)
        self.create(key, texts)

    def put_logged_model_info(self, info: LoggedModelInfo) -> None:
        """See ``store.base``."""
        super().put_logged_model_info(info)
        key = self.model_key(info.model_id)
        self.write(key, {layout.META: _model_meta(self.unknown_keys(self.path(key)), info)})

    def add_logged_model_params(self, model_id: str, params: Sequence[Param]) -> None:
        """See ``store.base``."""
        super().add_logged_model_params(model_id, params)
        self.write(self.model_key(model_id), {layout.value_name(layout.PARAMS, key): value for key, value in params})

    def put_logged_model_tags(self, model_id: str, tags: Sequence[Tag]) -> None:
        """See ``store.base``."""
        super().put_logged_model_tags(model_id, tags)
        self.write(self.model_key(model_id), {layout.value_name(layout.TAGS, key): value for key, value in tags})

    def drop_logged_model_tag(self, model_id: str, key: str) -> bool:
        """See ``store.base``."""
        found = super().drop_logged_model_tag(model_id, key)
        if found:
            self.remove(self.model_key(model_id), layout.value_name(layout.TAGS, key))
        return found

    def drop_logged_models(self, model_ids: Sequence[str]) -> None:
        """See ``store.base``."""
        keys = [self.model_key(model_id) for model_id in model_ids]
        super().drop_logged_models(model_ids)
        for key in keys:
            self.drop(key)

    def add_model_points(self, run_id: str, metrics: Sequence[Metric]) -> bool:
        """See ``store.base``. Models lie where they were made, whoever logs to them."""
        by_model: Dict[str, List[Metric]] = {}
        for metric in metrics:
            by_model.setdefault(metric.model_id or "", []).append(metric)
        for model_id, logged in by_model.items():
            key = self.model_key(model_id)
            texts: Dict[str, str] = {}
            for metric in self.insert_model_points(key.partition("/")[0], run_id, logged):
                name = layout.value_name(layout.METRICS, metric.key)
                texts[name] = texts.get(name, "") + points.line(metric, run_id)
            if texts:
                self.append(key, texts)
        return True

    def model_key(self, model_id: str) -> str:
        """``<experiment id>/models/<model id>``, the name of the folder of a model that is there."""
        info = self.get_logged_model_info(model_id)
        assert info is not None, "the caller has read it in this transaction"
        return f"{info.experiment_id}/{layout.MODELS}/{model_id}"


def _model_meta(values: Dict[str, object], info: LoggedModelInfo) -> str:
    """The text of a model's ``meta.yaml``, in MLflow's names."""
    values.update(
        artifact_location=info.artifact_location,
        creation_timestamp=info.creation_timestamp_ms,
        experiment_id=info.experiment_id,
        last_updated_timestamp=info.last_updated_timestamp_ms,
        lifecycle_stage=info.lifecycle_stage,
        model_id=info.model_id,
        model_type=info.model_type,
        name=info.name,
        source_run_id=info.source_run_id,
        status=info.status,
        status_message=info.status_message,
    )
    return dump(values).decode("utf-8")
