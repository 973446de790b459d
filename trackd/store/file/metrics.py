"""Metrics in MLflow's folder layout: one file per key, one line per point."""

from typing import Dict, List, Sequence

from trackd.entities import Metric
from trackd.store.file import layout
from trackd.store.file.folder import rank
from trackd.store.file.logged_models import LoggedModelFiles
from trackd.store.file.points import line


class MetricFiles(LoggedModelFiles):
    """The writes of ``store.base.Transaction`` to metrics, in index and files."""

    def add_metrics(self, run_id: str, metrics: Sequence[Metric]) -> None:
        """See ``store.base``."""
        key = self.run_key(run_id)
        lines: Dict[str, List[str]] = {}
        latest: Dict[str, Metric] = {}
        of_models: List[Metric] = []
        for metric in metrics:
            name = metric.key
            if name in lines:
                lines[name].append(line(metric))
                if rank(metric) > rank(latest[name]):
                    latest[name] = metric
            else:
                lines[name] = [line(metric)]
                latest[name] = metric
            if metric.model_id is not None:
                of_models.append(metric)
        if of_models:
            self.add_model_points(run_id, of_models)
        self.put_latest_metrics(run_id, list(latest.values()))
        self.append(key, {layout.value_name(layout.METRICS, name): "".join(texts) for name, texts in lines.items()})
