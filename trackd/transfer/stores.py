"""A store of ours as a side of a copy: everything keeps its id, and a run of usual size appears at once."""

import time
from typing import Iterator, List, Optional, Sequence, Tuple

from trackd.artifacts.base import ArtifactStore, Locations
from trackd.artifacts.paths import ArtifactPath
from trackd.entities import (
    ACTIVE,
    ALL,
    STAGES,
    Experiment,
    LoggedModel,
    Metric,
    ModelVersion,
    Param,
    RegisteredModel,
    Run,
    RunInfo,
    Tag,
)
from trackd.search import paging
from trackd.search.clause import Order
from trackd.store.base import Store, Transaction
from trackd.transfer.sides import COPIED_FROM, Additions, Refused, Target

#: The status of a logged model that is not complete.
PENDING = 1
#: Runs that are read at once: some megabytes with all that was logged to them.
_PAGE = 200


class StoreSide(Target):
    """``artifact_root``: where new experiments keep artifacts, if these are copied too; else they stay in place."""

    def __init__(
        self, uri: str, store: Store, artifact_root: Optional[str] = None, places: Optional[Locations] = None
    ) -> None:
        self.uri = uri
        self.store = store
        self._places = places
        self._artifact_root = artifact_root

    # -- reading ------------------------------------------------------------------------------------------------------

    def experiments(self) -> Iterator[Experiment]:
        """See ``sides``."""
        order = [Order("attribute", "experiment_id")]
        return paging.every(lambda cursor: self.store.search_experiments(ALL, None, order, 1000, cursor))

    def runs(self, experiment_id: str) -> Iterator[Run]:
        """See ``sides``. The oldest first, so that a copy grows as the original did."""
        order = [Order("attribute", "start_time")]
        return paging.every(lambda cursor: self.store.search_runs([experiment_id], ALL, None, order, _PAGE, cursor))

    def history(self, run_id: str, key: str) -> Iterator[List[Metric]]:
        """See ``sides``."""
        yield self.store.list_metric_history(run_id, key)

    def logged_models(self, experiment_id: str) -> Iterator[LoggedModel]:
        """See ``sides``."""
        for info in self.store.list_logged_model_infos(experiment_id):
            model = self.store.get_logged_model(info.model_id)
            if model is not None:
                yield model

    def registered_models(self) -> Iterator[RegisteredModel]:
        """See ``sides``."""
        order = [Order("attribute", "name")]
        return paging.every(lambda cursor: self.store.search_registered_models(True, None, order, 1000, cursor))

    def model_versions(self, model: RegisteredModel) -> List[ModelVersion]:
        """See ``sides``."""
        found = [version for stage in STAGES for version in self.store.list_model_versions(model.name, stage)]
        return sorted(found, key=lambda version: version.version)

    def artifacts(self, location: str) -> Tuple[ArtifactStore, ArtifactPath]:
        """See ``sides``."""
        assert self._places is not None, "whoever copies artifacts says where they are"
        return self._places.find(location)

    def close(self) -> None:
        """See ``sides``."""
        self.store.close()

    # -- writing ------------------------------------------------------------------------------------------------------

    def begin_experiment(self, experiment: Experiment) -> Tuple[str, bool]:
        """See ``sides``. One of another name under the same id makes way for nobody: then the copy gets a new id."""
        with self.store.transaction() as tx:
            there = tx.get_experiment_by_name(experiment.name)
            new = there is None
            if there is None:
                there = self._add(tx, experiment)
            have = dict(there.tags)
            missing = [tag for tag in experiment.tags if have.get(tag.key) != tag.value]
            if missing:
                tx.put_experiment_tags(there.experiment_id, missing)
        return there.experiment_id, new

    def _add(self, tx: Transaction, experiment: Experiment) -> Experiment:
        location = None if self._artifact_root else experiment.artifact_location
        if tx.get_experiment(experiment.experiment_id) is None:
            if location is None:
                location = f"{(self._artifact_root or '').rstrip('/')}/{experiment.experiment_id}"
            copy = experiment._replace(artifact_location=location, tags=())
            tx.insert_experiment(copy)
            return copy
        now = int(time.time() * 1000)
        created = experiment.creation_time or now
        new = tx.add_experiment(experiment.name, location, (), created, self._artifact_root or "")
        added = tx.get_experiment(new)
        assert added is not None, "it was added in this transaction"
        tx.put_experiment(
            added._replace(creation_time=experiment.creation_time, last_update_time=experiment.last_update_time)
        )
        return added

    def end_experiment(self, experiment: Experiment, experiment_id: str) -> None:
        """See ``sides``."""
        with self.store.transaction() as tx:
            there = tx.get_experiment(experiment_id)
            if there is not None and there.lifecycle_stage != experiment.lifecycle_stage:
                tx.put_experiment(
                    there._replace(
                        lifecycle_stage=experiment.lifecycle_stage, last_update_time=experiment.last_update_time
                    )
                )

    def find_run(self, experiment_id: str, run: Run) -> Optional[Run]:
        """See ``sides``."""
        found = self.store.get_run(run.info.run_id)
        if found is None:
            origin = next((tag.value for tag in run.tags if tag.key == COPIED_FROM), None)
            found = self.store.get_run(origin) if origin else None
        return found

    def run_here(self, run_id: str) -> Optional[str]:
        """See ``sides``. A model may name a run that was removed for good."""
        return run_id or None

    def add_run(self, experiment_id: str, run: Run) -> RunInfo:
        """See ``sides``."""
        info = run.info._replace(experiment_id=experiment_id, status="RUNNING", end_time=None, lifecycle_stage=ACTIVE)
        with self.store.transaction() as tx:
            if self._artifact_root:
                experiment = tx.get_experiment(experiment_id)
                assert experiment is not None, "the caller has begun it"
                info = info._replace(artifact_uri=f"{experiment.artifact_location}/{info.run_id}/artifacts")
            tx.add_run(info, ())
        return info

    def add_to_run(self, run_id: str, additions: Additions) -> None:
        """See ``sides``."""
        with self.store.transaction() as tx:
            if tx.get_run_info(run_id) is None:
                raise Refused(f"Run {run_id} was removed while it was copied.")
            if additions.params:
                tx.add_params(run_id, additions.params)
            if additions.metrics:
                tx.add_metrics(run_id, additions.metrics)
            if additions.tags:
                tx.put_tags(run_id, additions.tags)
            if additions.datasets or additions.model_inputs:
                tx.add_inputs(run_id, additions.datasets, additions.model_inputs)
            if additions.model_outputs:
                tx.add_outputs(run_id, additions.model_outputs)

    def end_run(self, info: RunInfo, source: RunInfo) -> None:
        """See ``sides``. A deleted run counts as deleted now: nobody knows for how long it was."""
        deleted = None if source.lifecycle_stage == ACTIVE else int(time.time() * 1000)
        whole = source._replace(
            run_id=info.run_id, experiment_id=info.experiment_id, artifact_uri=info.artifact_uri
        )
        with self.store.transaction() as tx:
            if tx.get_run_info(info.run_id) != whole:
                tx.put_run_info(whole, deleted)

    # -- logged models ------------------------------------------------------------------------------------------------

    def model_here(self, model_id: str) -> Optional[str]:
        """See ``sides``. A run may name a model that was removed for good."""
        return model_id

    def find_model(self, model: LoggedModel) -> Optional[LoggedModel]:
        """See ``sides``."""
        return self.store.get_logged_model(model.info.model_id)

    def add_model(self, experiment_id: str, model: LoggedModel, source_run_id: Optional[str]) -> LoggedModel:
        """See ``sides``."""
        info = model.info._replace(experiment_id=experiment_id, status=PENDING, lifecycle_stage=ACTIVE)
        with self.store.transaction() as tx:
            if self._artifact_root:
                experiment = tx.get_experiment(experiment_id)
                assert experiment is not None, "the caller has begun it"
                location = f"{experiment.artifact_location}/models/{info.model_id}/artifacts"
                info = info._replace(artifact_location=location)
            tx.add_logged_model(info, (), ())
        return LoggedModel(info)

    def add_to_model(self, model_id: str, params: Sequence[Param], tags: Sequence[Tag]) -> None:
        """See ``sides``."""
        with self.store.transaction() as tx:
            if params:
                tx.add_logged_model_params(model_id, params)
            if tags:
                tx.put_logged_model_tags(model_id, tags)

    def add_model_points(self, run_id: str, points: Sequence[Metric]) -> None:
        """See ``sides``."""
        with self.store.transaction() as tx:
            if not tx.add_model_points(run_id, points):
                raise Refused("that run is not at the target.")

    def end_model(self, there: LoggedModel, model: LoggedModel) -> None:
        """See ``sides``."""
        info = model.info._replace(
            experiment_id=there.info.experiment_id, artifact_location=there.info.artifact_location
        )
        if info != there.info:
            with self.store.transaction() as tx:
                tx.put_logged_model_info(info)

    # -- the registry -------------------------------------------------------------------------------------------------

    def find_registered_model(self, name: str) -> Optional[RegisteredModel]:
        """See ``sides``."""
        return self.store.get_registered_model(name)

    def add_registered_model(self, model: RegisteredModel) -> RegisteredModel:
        """See ``sides``."""
        bare = model._replace(tags=(), aliases=(), latest_versions=())
        with self.store.transaction() as tx:
            tx.add_registered_model(bare)
        return bare

    def add_to_registered_model(self, there: RegisteredModel, model: RegisteredModel, tags: Sequence[Tag]) -> None:
        """See ``sides``."""
        if tags or there.description != model.description:
            with self.store.transaction() as tx:
                tx.put_registered_model(model)
                tx.put_registered_model_tags(model.name, tags)

    def put_alias(self, name: str, alias: str, version: int) -> None:
        """See ``sides``."""
        with self.store.transaction() as tx:
            if tx.get_model_version(name, version) is not None:
                tx.put_alias(name, alias, version)

    def add_model_version(self, version: ModelVersion) -> ModelVersion:
        """See ``sides``. In its stage at once: nothing is appended to a version."""
        with self.store.transaction() as tx:
            tx.add_model_version(version._replace(aliases=()))
        return version

    def add_to_model_version(self, there: ModelVersion, version: ModelVersion, tags: Sequence[Tag]) -> None:
        """See ``sides``."""
        if tags or (there.description, there.current_stage) != (version.description, version.current_stage):
            with self.store.transaction() as tx:
                tx.put_model_version(version._replace(storage_location=there.storage_location))
                tx.put_model_version_tags(version.name, version.version, tags)
