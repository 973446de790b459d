"""Dataset inputs, model inputs and model outputs of runs in MLflow's folder layout."""

from typing import Dict, Sequence

from trackd.entities import DatasetInput, ModelInput, ModelOutput
from trackd.errors import InvalidParameterValue
from trackd.store.file import layout
from trackd.store.file.metafile import dump
from trackd.store.file.moves import MoveFiles
from trackd.store.file.registered_models import RegisteredModelFiles
from trackd.store.sql.schema import RUN_TO_MODEL_INPUT, RUN_TO_MODEL_OUTPUT


class FileTransaction(MoveFiles, RegisteredModelFiles):
    """All writes of ``store.base.Transaction``, in index and files; inputs and outputs here, the rest in its bases."""

    def add_inputs(self, run_id: str, datasets: Sequence[DatasetInput], models: Sequence[ModelInput]) -> None:
        """See ``store.base``."""
        key = self.run_key(run_id)
        experiment_id = key.partition("/")[0]
        for dataset, tags in datasets:
            dataset_id = layout.dataset_id(dataset.name, dataset.digest)
            dataset_uuid = f"{experiment_id}/{dataset_id}"
            if self.insert_dataset(experiment_id, dataset_uuid, dataset):
                name = f"{layout.DATASETS}/{dataset_id}/{layout.META}"
                self.write(experiment_id, {name: _text(dict(dataset._asdict()))})
            input_id = layout.input_id(dataset_id, run_id)
            if self.insert_dataset_input(run_id, dataset_uuid, input_id, tags):
                self._write_link(key, f"{layout.INPUTS}/{input_id}", dataset_id, "DATASET", "RUN", tags=dict(tags))
        for (model_id,) in models:
            input_id = layout.input_id(model_id, run_id)
            if self.insert_input(input_id, RUN_TO_MODEL_INPUT, run_id, model_id):
                self._write_link(key, f"{layout.INPUTS}/{input_id}", model_id, "MODEL", "RUN", tags={})

    def add_outputs(self, run_id: str, models: Sequence[ModelOutput]) -> None:
        """See ``store.base``."""
        key = self.run_key(run_id)
        for model_id, step in models:
            if not layout.RUN_ID.fullmatch(model_id):
                raise InvalidParameterValue(f"{model_id!r} is not the id of a logged model.")
            name = f"{layout.OUTPUTS}/{model_id}"
            if self.insert_input(model_id, RUN_TO_MODEL_OUTPUT, run_id, model_id, step):
                self._write_link(key, name, model_id, "RUN_OUTPUT", "MODEL_OUTPUT", tags={}, step=step)

    def _write_link(self, key: str, name: str, source: str, kind: str, destination: str, **more: object) -> None:
        """MLflow's file store writes the id of the source as that of the destination too, and reads it from there."""
        values: Dict[str, object] = {
            "source_type": kind,
            "source_id": source,
            "destination_type": destination,
            "destination_id": source,
        }
        values.update(more)
        self.write(key, {f"{name}/{layout.META}": _text(values)})


def _text(values: Dict[str, object]) -> str:
    return dump(values).decode("utf-8")
