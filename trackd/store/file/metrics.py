"""Metrics in MLflow's folder layout: one file per key, one line per point."""

import os
import re
from typing import Dict, List, Sequence
from urllib.parse import quote

from trackd.entities import Metric
from trackd.errors import ResourceDoesNotExist
from trackd.store.file import layout
from trackd.store.file.folder import rank
from trackd.store.file.runs import RunFiles

_SPACE = re.compile(r"\s")


class MetricFiles(RunFiles):
    """The writes of ``store.base.Transaction`` to metrics, in index and files."""

    def add_metrics(self, run_id: str, metrics: Sequence[Metric]) -> None:
        """See ``store.base``."""
        key = self.run_key(run_id)
        lines: Dict[str, List[str]] = {}
        latest: Dict[str, Metric] = {}
        for metric in metrics:
            name = metric.key
            if name in lines:
                lines[name].append(_line(metric, ""))
                if rank(metric) > rank(latest[name]):
                    latest[name] = metric
            else:
                lines[name] = [_line(metric, "")]
                latest[name] = metric
            if metric.model_id is not None:
                self._add_model_metric(key, metric)
        self.put_latest_metrics(run_id, list(latest.values()))
        self.append(key, {layout.value_name(layout.METRICS, name): "".join(texts) for name, texts in lines.items()})

    def _add_model_metric(self, run_key: str, metric: Metric) -> None:
        """Keep the point on the logged model as well, where MLflow's file store looks for it."""
        experiment_id, _, run_id = run_key.partition("/")
        model_id = metric.model_id or ""
        if not layout.RUN_ID.fullmatch(model_id) or not self._has_model(experiment_id, model_id):
            raise ResourceDoesNotExist(f"There is no logged model {model_id!r} in experiment {experiment_id}.")
        key = f"{experiment_id}/{layout.MODELS}/{model_id}"
        self.append(key, {layout.value_name(layout.METRICS, metric.key): _line(metric, f" {run_id}")})

    def _has_model(self, experiment_id: str, model_id: str) -> bool:
        return os.path.isfile(f"{self.root}/{self.path(experiment_id)}/{layout.MODELS}/{model_id}/{layout.META}")


def _line(metric: Metric, run: str) -> str:
    """``timestamp value step [run id] [dataset name, digest]``, as MLflow's file store writes it."""
    line = f"{metric.timestamp} {metric.value!r} {metric.step}{run}"
    if metric.dataset_name is not None and metric.dataset_digest is not None:
        line += f" {_field(metric.dataset_name)} {_field(metric.dataset_digest)}"
    return line + "\n"


def _field(text: str) -> str:
    """A field without white space, which would make MLflow refuse the whole file; percent-encoded where it has some."""
    return quote(text, safe="") if _SPACE.search(text) or not text else text
