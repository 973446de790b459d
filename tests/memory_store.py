"""A store in memory, for tests: the contract of ``store.base`` in its plainest form; ``search.evaluate`` searches."""

import copy
import threading
import time
from contextlib import contextmanager
from typing import Any, Dict, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from trackd.entities import (
    ACTIVE,
    ACTIVE_ONLY,
    ALL,
    DELETED_STAGE,
    Alias,
    DatasetInput,
    Experiment,
    LoggedModel,
    LoggedModelInfo,
    Metric,
    ModelInput,
    ModelOutput,
    ModelVersion,
    Param,
    RegisteredModel,
    Run,
    RunInfo,
    Tag,
)
from trackd.errors import PermissionDenied
from trackd.search import evaluate, schemas
from trackd.search.clause import Clause, Cursor, Order
from trackd.store.base import Problem, RunCounts, Store, Transaction


class _Run:
    def __init__(self, info: RunInfo) -> None:
        self.info = info
        self.deleted_time: Optional[int] = None
        self.tags: Dict[str, str] = {}
        self.params: Dict[str, str] = {}
        self.points: List[Metric] = []
        self.datasets: Dict[Tuple[str, str], DatasetInput] = {}
        self.inputs: Dict[str, ModelInput] = {}
        self.outputs: Dict[str, ModelOutput] = {}

    def entity(self) -> Run:
        current: Dict[str, Metric] = {}
        for point in self.points:
            if point.key not in current or _rank(point) >= _rank(current[point.key]):
                current[point.key] = point
        return Run(
            self.info,
            [current[key] for key in sorted(current)],
            [Param(key, self.params[key]) for key in sorted(self.params)],
            [Tag(key, self.tags[key]) for key in sorted(self.tags)],
            list(self.datasets.values()),
            list(self.inputs.values()),
            list(self.outputs.values()),
        )


def _kept(value: float) -> float:
    return 0.0 if value != value else value


def _rank(point: Metric) -> Tuple[int, int, float]:
    return point.step, point.timestamp, _kept(point.value)


class _Model:
    def __init__(self, info: LoggedModelInfo) -> None:
        self.info = info
        self.params: Dict[str, str] = {}
        self.tags: Dict[str, str] = {}
        self.points: List[Metric] = []

    def entity(self) -> LoggedModel:
        return LoggedModel(
            self.info,
            [Param(*item) for item in sorted(self.params.items())],
            [Tag(*item) for item in sorted(self.tags.items())],
            sorted(self.points, key=lambda point: (point.key, point.timestamp, point.step)),
        )


class _State(NamedTuple):
    experiments: Dict[str, Experiment]
    runs: Dict[str, _Run]
    models: Dict[str, _Model]
    registered: Dict[str, RegisteredModel]
    versions: Dict[Tuple[str, int], ModelVersion]


class _Memory(Transaction):
    """Reads and writes on one state."""

    def __init__(self, state: _State) -> None:
        self._state = state

    def get_experiment(self, experiment_id: str) -> Optional[Experiment]:
        return self._state.experiments.get(experiment_id)

    def get_experiment_by_name(self, name: str) -> Optional[Experiment]:
        return next((each for each in self._state.experiments.values() if each.name == name), None)

    def search_experiments(
        self, view_type: str, clause: Optional[Clause], order: Sequence[Order], limit: int, cursor: Cursor = Cursor()
    ) -> Tuple[List[Experiment], Optional[Cursor]]:
        found = [e for e in self._state.experiments.values() if _seen(view_type, e.lifecycle_stage)]
        found = [each for each in found if evaluate.matches(clause, each)]
        return _page(evaluate.sorted_entities(found, order, schemas.EXPERIMENTS), limit, cursor)

    def get_run_info(self, run_id: str) -> Optional[RunInfo]:
        found = self._state.runs.get(run_id)
        return found.info if found else None

    def get_run(self, run_id: str) -> Optional[Run]:
        found = self._state.runs.get(run_id)
        return found.entity() if found else None

    def search_runs(
        self,
        experiment_ids: Sequence[str],
        view_type: str,
        clause: Optional[Clause],
        order: Sequence[Order],
        limit: int,
        cursor: Cursor = Cursor(),
    ) -> Tuple[List[Run], Optional[Cursor]]:
        runs = [each.entity() for each in self._state.runs.values() if each.info.experiment_id in experiment_ids]
        runs = [each for each in runs if _seen(view_type, each.info.lifecycle_stage) and evaluate.matches(clause, each)]
        return _page(evaluate.sorted_entities(runs, order, schemas.RUNS), limit, cursor)

    def list_run_infos(self, experiment_id: str) -> List[RunInfo]:
        return [run.info for run in self._state.runs.values() if run.info.experiment_id == experiment_id]

    def list_deleted_runs(self, before: Optional[int] = None) -> List[RunInfo]:
        deleted = [run for run in self._state.runs.values() if run.info.lifecycle_stage != ACTIVE]
        return [
            run.info
            for run in deleted
            if before is None or (run.deleted_time is not None and run.deleted_time <= before)
        ]

    def list_keys(self, experiment_ids: Sequence[str], limit: int) -> Dict[str, List[Tuple[str, int]]]:
        counts: Dict[str, Dict[str, int]] = {"metrics": {}, "params": {}, "tags": {}}
        for run in self._state.runs.values():
            if run.info.experiment_id in experiment_ids:
                found = {"metrics": {point.key for point in run.points}, "params": run.params, "tags": run.tags}
                for kind, keys in found.items():
                    for key in keys:
                        counts[kind][key] = counts[kind].get(key, 0) + 1
        return {kind: sorted(each.items())[:limit] for kind, each in counts.items()}

    def count_runs(self) -> List[RunCounts]:
        found = []
        for experiment_id in sorted({run.info.experiment_id for run in self._state.runs.values()}, key=int):
            infos = [run.info for run in self._state.runs.values() if run.info.experiment_id == experiment_id]
            active = [info for info in infos if info.lifecycle_stage == ACTIVE]
            running = sum(info.status == "RUNNING" for info in active)
            starts = [info.start_time for info in infos if info.start_time is not None]
            found.append(
                RunCounts(experiment_id, len(active), len(infos) - len(active), running, max(starts, default=None))
            )
        return found

    def get_params(self, run_id: str, keys: Iterable[str]) -> Dict[str, str]:
        params = self._state.runs[run_id].params
        return {key: params[key] for key in keys if key in params}

    def get_tags(self, run_id: str, keys: Iterable[str]) -> Dict[str, str]:
        tags = self._state.runs[run_id].tags
        return {key: tags[key] for key in keys if key in tags}

    def list_metric_history(self, run_id: str, key: str, offset: int = 0, limit: Optional[int] = None) -> List[Metric]:
        run = self._state.runs.get(run_id)
        points = [point for point in run.points if point.key == key] if run else []
        points.sort(key=lambda point: (point.timestamp, point.step, _kept(point.value)))
        return points[offset:][:limit]

    def list_datasets(self, experiment_ids: Sequence[str], limit: int) -> List[Tuple[str, str, str, Optional[str]]]:
        rows = set()
        for run in self._state.runs.values():
            if run.info.experiment_id in experiment_ids and run.info.lifecycle_stage == ACTIVE:
                for dataset, tags in run.datasets.values():
                    context = next((tag.value for tag in tags if tag.key == evaluate.CONTEXT_TAG), None)
                    rows.add((run.info.experiment_id, dataset.name, dataset.digest, context))
        return sorted(rows, key=str)[:limit]

    def get_logged_model_info(self, model_id: str) -> Optional[LoggedModelInfo]:
        found = self._state.models.get(model_id)
        return found.info if found else None

    def get_logged_model(self, model_id: str) -> Optional[LoggedModel]:
        found = self._state.models.get(model_id)
        return found.entity() if found else None

    def search_logged_models(
        self,
        experiment_ids: Sequence[str],
        clause: Optional[Clause],
        order: Sequence[Order],
        limit: int,
        cursor: Cursor = Cursor(),
    ) -> Tuple[List[LoggedModel], Optional[Cursor]]:
        models = [model.entity() for model in self._state.models.values() if model.info.lifecycle_stage == ACTIVE]
        models = [model for model in models if model.info.experiment_id in experiment_ids]
        found = [model for model in models if evaluate.matches(clause, model)]
        return _page(evaluate.sorted_entities(found, order, schemas.LOGGED_MODELS), limit, cursor)

    def list_logged_model_infos(self, experiment_id: str) -> List[LoggedModelInfo]:
        return [model.info for model in self._state.models.values() if model.info.experiment_id == experiment_id]

    def list_deleted_logged_models(self, before: Optional[int] = None) -> List[LoggedModelInfo]:
        return [
            model.info
            for model in self._state.models.values()
            if model.info.lifecycle_stage != ACTIVE
            and (before is None or model.info.last_updated_timestamp_ms <= before)
        ]

    def get_logged_model_params(self, model_id: str, keys: Iterable[str]) -> Dict[str, str]:
        params = self._state.models[model_id].params
        return {key: params[key] for key in keys if key in params}

    def get_logged_model_tags(self, model_id: str, keys: Iterable[str]) -> Dict[str, str]:
        tags = self._state.models[model_id].tags
        return {key: tags[key] for key in keys if key in tags}

    def add_logged_model(self, info: LoggedModelInfo, params: Sequence[Param], tags: Sequence[Tag]) -> None:
        self._state.models[info.model_id] = _Model(info)
        self.add_logged_model_params(info.model_id, params)
        self.put_logged_model_tags(info.model_id, tags)

    def add_model_points(self, run_id: str, metrics: Sequence[Metric]) -> bool:
        for metric in metrics:
            logged = self._state.models[str(metric.model_id)].points
            if metric._replace(run_id=run_id) not in logged:
                logged.append(metric._replace(run_id=run_id))
        return True

    def put_logged_model_info(self, info: LoggedModelInfo) -> None:
        self._state.models[info.model_id].info = info

    def add_logged_model_params(self, model_id: str, params: Sequence[Param]) -> None:
        self._state.models[model_id].params.update(dict(params))

    def put_logged_model_tags(self, model_id: str, tags: Sequence[Tag]) -> None:
        self._state.models[model_id].tags.update(dict(tags))

    def drop_logged_models(self, model_ids: Sequence[str]) -> None:
        for model_id in model_ids:
            del self._state.models[model_id]

    def drop_logged_model_tag(self, model_id: str, key: str) -> bool:
        return self._state.models[model_id].tags.pop(key, None) is not None

    def add_experiment(
        self, name: str, artifact_location: Optional[str], tags: Sequence[Tag], time: int, artifact_root: str
    ) -> str:
        new = str(max(map(int, self._state.experiments)) + 1)
        location = artifact_location or f"{artifact_root.rstrip('/')}/{new}"
        self._state.experiments[new] = Experiment(new, name, location, ACTIVE, time, time, tuple(sorted(tags)))
        return new

    def insert_experiment(self, experiment: Experiment) -> None:
        self._state.experiments[experiment.experiment_id] = experiment._replace(tags=())

    def put_experiment(self, experiment: Experiment) -> None:
        old = self._state.experiments[experiment.experiment_id]
        self._state.experiments[experiment.experiment_id] = experiment._replace(tags=old.tags)

    def put_experiment_tags(self, experiment_id: str, tags: Sequence[Tag]) -> None:
        old = self._state.experiments[experiment_id]
        merged = {**dict(old.tags), **dict(tags)}
        self._state.experiments[experiment_id] = old._replace(tags=tuple(Tag(k, merged[k]) for k in sorted(merged)))

    def drop_experiment_tag(self, experiment_id: str, key: str) -> bool:
        old = self._state.experiments[experiment_id]
        left = tuple(tag for tag in old.tags if tag.key != key)
        self._state.experiments[experiment_id] = old._replace(tags=left)
        return len(left) < len(old.tags)

    def add_run(self, info: RunInfo, tags: Sequence[Tag]) -> None:
        self._state.runs[info.run_id] = _Run(info)
        self.put_tags(info.run_id, tags)

    def put_run_info(self, info: RunInfo, deleted_time: Optional[int] = None) -> None:
        self._state.runs[info.run_id].info = info
        self._state.runs[info.run_id].deleted_time = deleted_time

    def move_run(self, info: RunInfo, experiment_id: str) -> RunInfo:
        moved = self._state.runs[info.run_id].info = info._replace(experiment_id=experiment_id)
        return moved

    def put_runs_lifecycle(self, experiment_id: str, lifecycle_stage: str, deleted_time: Optional[int]) -> None:
        for run in self._state.runs.values():
            if run.info.experiment_id == experiment_id and run.info.lifecycle_stage != lifecycle_stage:
                run.deleted_time = deleted_time
                run.info = run.info._replace(lifecycle_stage=lifecycle_stage)

    def drop_runs(self, run_ids: Sequence[str]) -> None:
        for run_id in run_ids:
            del self._state.runs[run_id]

    def drop_experiment(self, experiment_id: str) -> None:
        self.drop_runs([info.run_id for info in self.list_run_infos(experiment_id)])
        self.drop_logged_models([info.model_id for info in self.list_logged_model_infos(experiment_id)])
        del self._state.experiments[experiment_id]

    def put_tags(self, run_id: str, tags: Sequence[Tag]) -> None:
        self._state.runs[run_id].tags.update(dict(tags))

    def drop_tag(self, run_id: str, key: str) -> bool:
        return self._state.runs[run_id].tags.pop(key, None) is not None

    def add_params(self, run_id: str, params: Sequence[Param]) -> None:
        self._state.runs[run_id].params.update(dict(params))

    def add_metrics(self, run_id: str, metrics: Sequence[Metric]) -> None:
        for metric in metrics:
            if metric.model_id is not None:
                logged = self._state.models[metric.model_id].points
                if metric._replace(run_id=run_id) not in logged:
                    logged.append(metric._replace(run_id=run_id))
        points = self._state.runs[run_id].points
        seen = {(p.key, *_rank(p), p.value != p.value) for p in points}
        for point in metrics:
            mark = (point.key, *_rank(point), point.value != point.value)
            if mark not in seen:
                seen.add(mark)
                points.append(point)

    def add_inputs(self, run_id: str, datasets: Sequence[DatasetInput], models: Sequence[ModelInput]) -> None:
        run = self._state.runs[run_id]
        for each in datasets:
            run.datasets.setdefault((each.dataset.name, each.dataset.digest), each)
        for model in models:
            run.inputs.setdefault(model.model_id, model)

    def add_outputs(self, run_id: str, models: Sequence[ModelOutput]) -> None:
        for model in models:
            self._state.runs[run_id].outputs.setdefault(model.model_id, model)

    # Registered models and versions. Aliases are kept with the model, tags with each.

    def _versions(self, name: str) -> List[ModelVersion]:
        return [each for key, each in sorted(self._state.versions.items()) if key[0] == name]

    def get_registered_model(self, name: str) -> Optional[RegisteredModel]:
        found = self._state.registered.get(name)
        if found is None:
            return None
        # A stage has the place of its lowest version, and the highest for its value.
        latest = {each.current_stage: each for each in self._versions(name) if each.current_stage != DELETED_STAGE}
        return found._replace(latest_versions=list(latest.values()))

    def has_registered_model(self, name: str) -> bool:
        return name in self._state.registered

    def search_registered_models(
        self, prompts: bool, clause: Optional[Clause], order: Sequence[Order], limit: int, cursor: Cursor = Cursor()
    ) -> Tuple[List[RegisteredModel], Optional[Cursor]]:
        found = [each for each in map(self.get_registered_model, self._state.registered) if each is not None]
        found = [each for each in found if evaluate.matches(clause, each) and (prompts or not evaluate.is_prompt(each))]
        return _page(evaluate.sorted_entities(found, order, schemas.REGISTERED_MODELS), limit, cursor)

    def get_model_version(self, name: str, version: int) -> Optional[ModelVersion]:
        found = self._state.versions.get((name, version))
        if found is None or found.current_stage == DELETED_STAGE:
            return None
        aliases = [each.alias for each in self._state.registered[name].aliases if each.version == version]
        return found._replace(aliases=aliases)

    def list_model_versions(self, name: str, stage: str) -> List[ModelVersion]:
        return [each for each in self._versions(name) if each.current_stage == stage]

    def search_model_versions(
        self, prompts: bool, clause: Optional[Clause], order: Sequence[Order], limit: int, cursor: Cursor = Cursor()
    ) -> Tuple[List[ModelVersion], Optional[Cursor]]:
        versions = self._state.versions.values()
        hidden = set() if prompts else {each.name for each in versions if evaluate.is_prompt(each)}
        found = [each for each in versions if each.current_stage != DELETED_STAGE and each.name not in hidden]
        found = [each for each in found if evaluate.matches(clause, each)]
        return _page(evaluate.sorted_entities(found, order, schemas.MODEL_VERSIONS), limit, cursor)

    def add_registered_model(self, model: RegisteredModel) -> None:
        self._state.registered[model.name] = model._replace(aliases=(), latest_versions=())

    def put_registered_model(self, model: RegisteredModel) -> None:
        old = self._state.registered[model.name]
        self._state.registered[model.name] = model._replace(tags=old.tags, aliases=old.aliases)

    def touch_registered_model(self, name: str, time: int) -> bool:
        if name in self._state.registered:
            self._state.registered[name] = self._state.registered[name]._replace(last_updated_timestamp=time)
        return name in self._state.registered

    def rename_registered_model(self, name: str, new_name: str, time: int) -> None:
        old = self._state.registered.pop(name)
        self._state.registered[new_name] = old._replace(name=new_name, last_updated_timestamp=time)
        for version in self._versions(name):
            del self._state.versions[name, version.version]
            moved = version._replace(name=new_name, last_updated_timestamp=time)
            self._state.versions[new_name, version.version] = moved

    def drop_registered_model(self, name: str) -> None:
        del self._state.registered[name]
        for version in self._versions(name):
            del self._state.versions[name, version.version]

    def put_registered_model_tags(self, name: str, tags: Sequence[Tag]) -> None:
        old = self._state.registered[name]
        self._state.registered[name] = old._replace(tags=_with_tags(old.tags, tags))

    def drop_registered_model_tag(self, name: str, key: str) -> bool:
        old = self._state.registered[name]
        self._state.registered[name] = old._replace(tags=[tag for tag in old.tags if tag.key != key])
        return any(tag.key == key for tag in old.tags)

    def put_alias(self, name: str, alias: str, version: int) -> None:
        old = self._state.registered[name]
        aliases = {**dict(old.aliases), alias: version}
        self._state.registered[name] = old._replace(aliases=[Alias(*pair) for pair in sorted(aliases.items())])

    def drop_alias(self, name: str, alias: str) -> bool:
        old = self._state.registered[name]
        self._state.registered[name] = old._replace(aliases=[each for each in old.aliases if each.alias != alias])
        return any(each.alias == alias for each in old.aliases)

    def next_model_version(self, name: str) -> int:
        return max([each.version for each in self._versions(name)], default=0) + 1

    def add_model_version(self, version: ModelVersion) -> None:
        self._state.versions[version.name, version.version] = version._replace(aliases=())

    def put_model_version(self, version: ModelVersion) -> None:
        old = self._state.versions[version.name, version.version]
        self._state.versions[version.name, version.version] = version._replace(tags=old.tags, aliases=())

    def put_model_version_tags(self, name: str, version: int, tags: Sequence[Tag]) -> None:
        old = self._state.versions[name, version]
        self._state.versions[name, version] = old._replace(tags=_with_tags(old.tags, tags))

    def drop_model_version_tag(self, name: str, version: int, key: str) -> bool:
        old = self._state.versions[name, version]
        self._state.versions[name, version] = old._replace(tags=[tag for tag in old.tags if tag.key != key])
        return any(tag.key == key for tag in old.tags)


def _with_tags(old: Sequence[Tag], new: Sequence[Tag]) -> List[Tag]:
    return [Tag(*pair) for pair in sorted({**dict(old), **dict(new)}.items())]


def _seen(view_type: str, lifecycle_stage: str) -> bool:
    return view_type == ALL or (view_type == ACTIVE_ONLY) == (lifecycle_stage == ACTIVE)


def _page(entities: List[Any], limit: int, cursor: Cursor) -> Tuple[List[Any], Optional[Cursor]]:
    start = cursor.offset
    more = len(entities) > start + limit
    return entities[start : start + limit], Cursor(start + limit) if more else None


class MemoryStore(_Memory, Store):
    """The whole store. A transaction works on a copy, which becomes the state when it ends well."""

    store_type = "FileStore"

    def __init__(self, artifact_root: str = "mlflow-artifacts:/") -> None:
        now = int(time.time() * 1000)
        default = Experiment("0", "Default", artifact_root.rstrip("/") + "/0", ACTIVE, now, now)
        super().__init__(_State({"0": default}, {}, {}, {}, {}))
        self._lock = threading.Lock()
        self._version = 0

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        if self.read_only:
            raise PermissionDenied("The store is read-only.")
        with self._lock:
            state = copy.deepcopy(self._state)
            yield _Memory(state)
            self._state = state
            self._version += 1

    def version(self) -> str:
        return str(self._version)

    def check(self) -> List[Problem]:
        return []

    def counts(self) -> Mapping[str, int]:
        return {"experiments": len(self._state.experiments), "runs": len(self._state.runs)}

    def close(self) -> None:
        pass
