"""A run goes to another experiment, with what its experiment keeps for it."""

from trackd.entities import RunInfo
from trackd.store.sql.inputs import InputWrites, fill_inputs
from trackd.store.sql.runs import RunWrites
from trackd.store.sql.schema import DATASET_TO_RUN

_REPOINT = (
    "UPDATE OR REPLACE inputs SET source_id = ? WHERE source_type = ? AND destination_type = ? AND destination_id = ?"
    " AND source_id = ?"
)


class MoveWrites(RunWrites, InputWrites):
    """``store.base.Transaction.move_run`` on MLflow's tables."""

    def move_run(self, info: RunInfo, experiment_id: str) -> RunInfo:
        """See ``store.base``."""
        self.move_datasets(info, experiment_id)
        self.connection.execute(
            "UPDATE runs SET experiment_id = CAST(? AS INTEGER), artifact_uri = ? WHERE run_uuid = ?",
            (experiment_id, info.artifact_uri, info.run_id),
        )
        return info._replace(experiment_id=experiment_id)

    def move_datasets(self, info: RunInfo, experiment_id: str) -> None:
        """Let the run's dataset inputs be those of the other experiment, which gets the datasets that it lacks."""
        wanted = f'["{info.run_id}"]'
        for one in fill_inputs(self.connection, wanted, self.tables).datasets.get(info.run_id, ()):
            old = self.dataset_uuid(info.experiment_id, one.dataset)
            new = self.copied_dataset(experiment_id, one.dataset)
            self.connection.execute(_REPOINT, (new, *DATASET_TO_RUN, info.run_id, old))
