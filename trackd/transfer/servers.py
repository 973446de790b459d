"""A running server as a side of a copy, over MLflow's REST API: trackd's, or MLflow's own from 2.0 on.

trackd's takes a run under the id that it has. MLflow's chooses ids itself, and so do both for logged models. So that a
copy can be repeated, what gets a new id gets a tag that names its original (``COPIED_FROM``), and is looked for by
that too.
"""

import math
from contextlib import contextmanager
from typing import Any, Dict, Iterator, List, Optional, Sequence, Set, Tuple

from trackd.artifacts import PROXIED, open_artifacts, proxied_path
from trackd.artifacts.base import ArtifactStore
from trackd.artifacts.paths import ROOT, ArtifactPath
from trackd.config import scheme_of
from trackd.entities import (
    ACTIVE,
    DELETED,
    MODEL_STATUS,
    Dataset,
    DatasetInput,
    Experiment,
    LoggedModel,
    LoggedModelInfo,
    Metric,
    ModelInput,
    ModelOutput,
    Param,
    Run,
    RunInfo,
    Tag,
)
from trackd.fields.kinds import is_hex_id
from trackd.transfer.http import Http
from trackd.transfer.server_files import ServerArtifacts
from trackd.transfer.server_registry import ServerRegistry
from trackd.transfer.sides import COPIED_FROM, Additions, Refused

#: Where a server of ours makes a run under an id that it is given; one that is there already is answered.
CREATE_AS = "/api/trackd/runs/create"
#: What MLflow takes in one log-batch.
_METRICS, _PARAMS, _TAGS, _ALL = 1000, 100, 100, 1000
#: Runs in an answer: MLflow makes some megabytes a second of them.
_PAGE = 200
#: Logged models in an answer, with every point of theirs.
_MODELS = 50
_MODEL_STATUS = {name: number for number, name in MODEL_STATUS.items()}
#: Points in an answer; the most that MLflow gives.
_POINTS = 25_000


class ServerSide(ServerRegistry):
    """``uri`` is what MLflow's clients take for a tracking URI: ``http://host:5000/prefix``."""

    batch = _METRICS

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self.http = Http(uri)
        #: Of the experiments so far: id or id of the original -> id of the run here.
        self._known: Dict[str, str] = {}
        #: The same of logged models.
        self._models: Dict[str, str] = {}
        self._experiment = ""
        self._reopened: Dict[str, bool] = {}
        #: Runs that are deleted here, and take nothing before they are restored.
        self._deleted: Set[str] = set()
        #: Whether runs keep their ids here, as far as it is known: the first run that is made tells.
        self._takes_ids = True

    def close(self) -> None:
        """See ``sides``."""
        self.http.close()

    def check(self) -> None:
        """Ask it something, so that a wrong address shows before anything is done. Raises ``CannotCopy``."""
        self.http.post("experiments/search", {"max_results": 1}, once=True)

    # -- reading ------------------------------------------------------------------------------------------------------

    def experiments(self) -> Iterator[Experiment]:
        """See ``sides``."""
        found = list(self._pages("experiments/search", "experiments", {"max_results": 1000, "view_type": "ALL"}))
        return iter(sorted((_experiment(each) for each in found), key=lambda one: int(one.experiment_id)))

    def runs(self, experiment_id: str) -> Iterator[Run]:
        """See ``sides``."""
        asked = {
            "experiment_ids": [experiment_id],
            "run_view_type": "ALL",
            "max_results": _PAGE,
            "order_by": ["attributes.start_time ASC"],
        }
        return map(_run, self._pages("runs/search", "runs", asked))

    def _pages(self, path: str, name: str, asked: Dict[str, Any]) -> Iterator[Dict[str, Any]]:
        while True:
            answer = self.http.post(path, asked)
            yield from answer.get(name, ())
            if not answer.get("next_page_token"):
                return
            asked = {**asked, "page_token": answer["next_page_token"]}

    def whole(self, run: Run) -> Run:
        """See ``sides``: a search leaves out the models that went into a run."""
        return self._get_run(run.info.run_id) or run

    def _get_run(self, run_id: str) -> Optional[Run]:
        answer = self.http.get("runs/get", {"run_id": run_id}, absent=True)
        return _run(answer["run"]) if answer else None

    def history(self, run_id: str, key: str) -> Iterator[List[Metric]]:
        """See ``sides``."""
        asked: Dict[str, Any] = {"run_id": run_id, "metric_key": key, "max_results": _POINTS}
        while True:
            answer = self.http.get("metrics/get-history", asked) or {}
            yield [_metric(each) for each in answer.get("metrics", ())]
            if not answer.get("next_page_token"):
                return
            asked["page_token"] = answer["next_page_token"]

    def logged_models(self, experiment_id: str) -> Iterator[LoggedModel]:
        """See ``sides``. MLflow before 3.0 has none."""
        asked: Dict[str, Any] = {"experiment_ids": [experiment_id], "max_results": _MODELS}
        if not self.http.has("logged-models/search", asked):
            return iter(())
        return map(_model, self._pages("logged-models/search", "models", asked))

    def artifacts(self, location: str) -> Tuple[ArtifactStore, ArtifactPath]:
        """See ``sides``. Those that the server does not pass on are where it says that clients find them."""
        if scheme_of(location) in PROXIED:
            return ServerArtifacts(self.http), proxied_path(location)
        return open_artifacts(location), ROOT

    # -- writing ------------------------------------------------------------------------------------------------------

    def begin_experiment(self, experiment: Experiment) -> Tuple[str, bool]:
        """See ``sides``."""
        answer = self.http.get("experiments/get-by-name", {"experiment_name": experiment.name}, absent=True)
        new = answer is None
        if answer is None:
            made = self.http.post("experiments/create", {"name": experiment.name, "tags": _pairs(experiment.tags)})
            experiment_id, missing = str(made["experiment_id"]), []
        else:
            there = _experiment(answer["experiment"])
            experiment_id = there.experiment_id
            have = dict(there.tags)
            missing = [tag for tag in experiment.tags if have.get(tag.key) != tag.value]
            if there.lifecycle_stage == DELETED:
                # Nothing can be written into it, and whoever deleted it here may have known why: the runs in it are
                # compared, and it is opened only if something is missing.
                self._reopened[experiment_id] = False
                missing = []
        for tag in missing:
            self.http.post("experiments/set-experiment-tag", {"experiment_id": experiment_id, **_pair(tag)})
        if not new:
            self._learn(experiment_id)
        return experiment_id, new

    def _learn(self, experiment_id: str) -> None:
        """Which runs and models of an experiment are here already."""
        for run in self.runs(experiment_id):
            self._known[run.info.run_id] = run.info.run_id
            self._known.update({tag.value: run.info.run_id for tag in run.tags if tag.key == COPIED_FROM})
        for model in self.logged_models(experiment_id):
            model_id = model.info.model_id
            self._models[model_id] = model_id
            self._models.update({tag.value: model_id for tag in model.tags if tag.key == COPIED_FROM})

    def enter(self, experiment_id: str) -> None:
        """See ``sides``."""
        self._experiment = experiment_id

    def end_experiment(self, experiment: Experiment, experiment_id: str) -> None:
        """See ``sides``."""
        if self._reopened.pop(experiment_id, None) is False:
            return  # deleted, and never opened
        if experiment.lifecycle_stage == DELETED:
            self.http.post("experiments/delete", {"experiment_id": experiment_id})

    def _reopen(self) -> None:
        """Something is to be written into an experiment that is deleted here: restore it until the end."""
        if self._reopened.get(self._experiment) is False:
            self.http.post("experiments/restore", {"experiment_id": self._experiment})
            self._reopened[self._experiment] = True

    def find_run(self, experiment_id: str, run: Run) -> Optional[Run]:
        """See ``sides``."""
        origin = next((tag.value for tag in run.tags if tag.key == COPIED_FROM), "")
        known = self._known.get(run.info.run_id) or self._known.get(origin)
        if known is None and self._takes_ids and is_hex_id(run.info.run_id):
            # Under its own id it is the same run in whichever experiment it is: it may have been moved.
            known = run.info.run_id
        found = self._get_run(known) if known else None
        if found is not None:
            self._known[run.info.run_id] = found.info.run_id
            if found.info.lifecycle_stage == DELETED:
                self._deleted.add(found.info.run_id)
        return found

    def run_here(self, run_id: str) -> Optional[str]:
        """See ``sides``."""
        return self._known.get(run_id)

    def add_run(self, experiment_id: str, run: Run) -> RunInfo:
        """See ``sides``. Under its own id, where the server takes it."""
        self._reopen()
        info = run.info
        asked: Dict[str, Any] = {
            "experiment_id": experiment_id,
            "user_id": info.user_id or "",
            "start_time": info.start_time or 0,
        }
        if info.run_name:
            asked["run_name"] = info.run_name
        answer = None
        if self._takes_ids and is_hex_id(info.run_id):
            answer = self.http.post_if_known(CREATE_AS, {"run_id": info.run_id, **asked})
            self._takes_ids = answer is not None
        if answer is None:
            # Not repeated if no answer comes: a repeated copy finds the run, should it have been made.
            asked["tags"] = [{"key": COPIED_FROM, "value": info.run_id}]
            answer = self.http.post("runs/create", asked, once=True)
        made = _run(answer["run"])
        self._known[info.run_id] = made.info.run_id
        return made.info

    def add_to_run(self, run_id: str, additions: Additions) -> None:
        """See ``sides``."""
        if additions.is_empty():
            return
        with self._writable(run_id):
            self._add_to_run(run_id, additions)

    @contextmanager
    def _writable(self, run_id: str) -> Iterator[None]:
        """A run that takes writes, also one that is deleted here or whose experiment is."""
        self._reopen()
        if run_id in self._deleted:
            self.http.post("runs/restore", {"run_id": run_id})
        try:
            yield
        finally:
            if run_id in self._deleted:
                self.http.post("runs/delete", {"run_id": run_id})

    def _add_to_run(self, run_id: str, additions: Additions) -> None:
        metrics, params, tags = list(additions.metrics), list(additions.params), list(additions.tags)
        while metrics or params or tags:
            asked = {
                "run_id": run_id,
                "params": _pairs(params[:_PARAMS]),
                "tags": _pairs(tags[:_TAGS]),
            }
            room = min(_METRICS, _ALL - len(asked["params"]) - len(asked["tags"]))
            asked["metrics"] = [_point(each) for each in metrics[:room]]
            self.http.post("runs/log-batch", asked)
            del metrics[:room], params[:_PARAMS], tags[:_TAGS]
        if additions.datasets or additions.model_inputs:
            asked = {"run_id": run_id, "datasets": [_dataset_input(each) for each in additions.datasets]}
            if additions.model_inputs:
                asked["models"] = [{"model_id": each.model_id} for each in additions.model_inputs]
            self.http.post("runs/log-inputs", asked)
        if additions.model_outputs:
            models = [{"model_id": each.model_id, "step": each.step} for each in additions.model_outputs]
            self.http.post("runs/outputs", {"run_id": run_id, "models": models})

    def end_run(self, info: RunInfo, source: RunInfo) -> None:
        """See ``sides``."""
        ended = (source.status, source.end_time or 0, source.run_name)
        if (info.status, info.end_time or 0, info.run_name) != ended:
            self._reopen()
            asked: Dict[str, Any] = {"run_id": info.run_id, "status": source.status}
            if source.end_time:
                asked["end_time"] = source.end_time
            if source.run_name:
                asked["run_name"] = source.run_name
            self.http.post("runs/update", asked)
        if source.lifecycle_stage == DELETED and info.lifecycle_stage == ACTIVE:
            self.http.post("runs/delete", {"run_id": info.run_id})
            self._deleted.add(info.run_id)

    # -- logged models ------------------------------------------------------------------------------------------------

    def model_here(self, model_id: str) -> Optional[str]:
        """See ``sides``."""
        return self._models.get(model_id)

    def find_model(self, model: LoggedModel) -> Optional[LoggedModel]:
        """See ``sides``."""
        origin = next((tag.value for tag in model.tags if tag.key == COPIED_FROM), "")
        known = self._models.get(model.info.model_id) or self._models.get(origin)
        answer = self.http.get(f"logged-models/{known}", {}, absent=True) if known else None
        return _model(answer["model"]) if answer else None

    def add_model(self, experiment_id: str, model: LoggedModel, source_run_id: Optional[str]) -> LoggedModel:
        """See ``sides``. Nobody could find a deleted one again."""
        if model.info.lifecycle_stage == DELETED:
            raise Refused("it is deleted, and servers show no deleted models")
        self._reopen()
        asked = {
            "experiment_id": experiment_id,
            "name": model.info.name,
            "tags": [{"key": COPIED_FROM, "value": model.info.model_id}],
        }
        if model.info.model_type:
            asked["model_type"] = model.info.model_type
        if source_run_id:
            asked["source_run_id"] = source_run_id
        made = _model(self.http.post("logged-models", asked, once=True)["model"])
        self._models[model.info.model_id] = made.info.model_id
        return made

    def add_to_model(self, model_id: str, params: Sequence[Param], tags: Sequence[Tag]) -> None:
        """See ``sides``."""
        if params:
            self.http.post(f"logged-models/{model_id}/params", {"model_id": model_id, "params": _pairs(params)})
        if tags:
            self.http.patch(f"logged-models/{model_id}/tags", {"tags": _pairs(tags)})

    def add_model_points(self, run_id: str, points: Sequence[Metric]) -> None:
        """See ``sides``. A server has no way to log to a model alone; the run has these points already."""
        with self._writable(run_id):
            for start in range(0, len(points), _METRICS):
                logged = [{**_point(each), "model_id": each.model_id} for each in points[start : start + _METRICS]]
                self.http.post("runs/log-batch", {"run_id": run_id, "metrics": logged})

    def end_model(self, there: LoggedModel, model: LoggedModel) -> None:
        """See ``sides``."""
        if there.info.status != model.info.status:
            status = MODEL_STATUS[model.info.status]
            self.http.patch(
                f"logged-models/{there.info.model_id}", {"model_id": there.info.model_id, "status": status}
            )


# -- from JSON --------------------------------------------------------------------------------------------------------


def _whole(value: Any) -> Optional[int]:
    """An int64, which comes as a number or, from some servers, as text."""
    return None if value is None else int(value)


def _experiment(found: Dict[str, Any]) -> Experiment:
    return Experiment(
        str(found["experiment_id"]),
        found.get("name", ""),
        found.get("artifact_location", ""),
        found.get("lifecycle_stage", ACTIVE),
        _whole(found.get("creation_time")),
        _whole(found.get("last_update_time")),
        _tags(found.get("tags", ())),
    )


def _tags(found: Sequence[Dict[str, Any]]) -> List[Tag]:
    return [Tag(each["key"], each.get("value", "")) for each in found]


def _run(found: Dict[str, Any]) -> Run:
    info, data, inputs = found["info"], found.get("data", {}), found.get("inputs", {})
    return Run(
        RunInfo(
            info.get("run_id") or info["run_uuid"],
            str(info["experiment_id"]),
            info.get("run_name"),
            info.get("user_id"),
            info.get("status", "RUNNING"),
            _whole(info.get("start_time")),
            _whole(info.get("end_time")) or None,
            info.get("artifact_uri", ""),
            info.get("lifecycle_stage", ACTIVE),
        ),
        [_metric(each) for each in data.get("metrics", ())],
        [Param(each["key"], each.get("value", "")) for each in data.get("params", ())],
        _tags(data.get("tags", ())),
        [
            DatasetInput(
                Dataset(*(each["dataset"].get(name) for name in Dataset._fields)), _tags(each.get("tags", ()))
            )
            for each in inputs.get("dataset_inputs", ())
        ],
        [ModelInput(each["model_id"]) for each in inputs.get("model_inputs", ())],
        [
            ModelOutput(each["model_id"], int(each.get("step", 0)))
            for each in found.get("outputs", {}).get("model_outputs", ())
        ],
    )


def _model(found: Dict[str, Any]) -> LoggedModel:
    info, data = found["info"], found.get("data", {})
    return LoggedModel(
        LoggedModelInfo(
            info["model_id"],
            str(info["experiment_id"]),
            info.get("name", ""),
            info.get("artifact_uri", ""),
            int(info.get("creation_timestamp_ms", 0)),
            int(info.get("last_updated_timestamp_ms", 0)),
            _MODEL_STATUS.get(info.get("status", ""), 0),
            ACTIVE,
            info.get("model_type"),
            info.get("source_run_id"),
            info.get("status_message"),
        ),
        [Param(each["key"], each.get("value", "")) for each in data.get("params", ())],
        _tags(info.get("tags", ())),
        [_metric(each)._replace(run_id=each.get("run_id")) for each in data.get("metrics", ())],
    )


def _metric(found: Dict[str, Any]) -> Metric:
    return Metric(
        found["key"], float(found.get("value", 0)), int(found.get("timestamp", 0)), int(found.get("step", 0)),
        None, found.get("dataset_name"), found.get("dataset_digest"),
    )


# -- to JSON ----------------------------------------------------------------------------------------------------------


def _pair(item: Any) -> Dict[str, str]:
    return {"key": item.key, "value": item.value}


def _pairs(items: Sequence[Any]) -> List[Dict[str, str]]:
    return [_pair(item) for item in items]


def _point(metric: Metric) -> Dict[str, Any]:
    value: Any = metric.value
    if math.isnan(value):
        value = "NaN"
    elif math.isinf(value):
        value = "Infinity" if value > 0 else "-Infinity"
    found = {"key": metric.key, "value": value, "timestamp": metric.timestamp, "step": metric.step}
    if metric.dataset_name is not None and metric.dataset_digest is not None:
        found.update(dataset_name=metric.dataset_name, dataset_digest=metric.dataset_digest)
    return found


def _dataset_input(each: DatasetInput) -> Dict[str, Any]:
    dataset = {name: value for name, value in each.dataset._asdict().items() if value is not None}
    return {"dataset": dataset, "tags": _pairs(each.tags)}
