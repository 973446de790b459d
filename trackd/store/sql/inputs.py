"""Dataset inputs, model inputs and model outputs of runs, in MLflow's tables."""

import json
import uuid
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

from trackd.entities import Dataset, DatasetInput, ModelInput, ModelOutput, Tag
from trackd.store.sql.connect import Connection, Reading
from trackd.store.sql.schema import DATASET_TO_RUN, RUN_TO_MODEL_INPUT, RUN_TO_MODEL_OUTPUT
from trackd.store.sql.tables import ALL, DATASETS, LOGGED_MODELS, Tables

_CONTEXT = "mlflow.data.context"
_DATASETS = (
    "SELECT destination_id, input_uuid, name, digest, dataset_source_type, dataset_source, dataset_schema,"
    " dataset_profile FROM json_each(?) AS wanted"
    " JOIN inputs ON destination_type = 'RUN' AND destination_id = wanted.value AND source_type = 'DATASET'"
    " JOIN datasets ON dataset_uuid = source_id ORDER BY inputs.rowid"
)
_INPUT_TAGS = (
    "SELECT input_tags.input_uuid, input_tags.name, input_tags.value FROM json_each(?) AS wanted"
    " JOIN input_tags ON input_tags.input_uuid = wanted.value ORDER BY input_tags.input_uuid, name"
)
_MODELS = (
    "SELECT inputs.source_id, destination_id, step FROM json_each(?) AS wanted"
    " JOIN inputs ON source_type = ? AND source_id = wanted.value AND destination_type = ? ORDER BY inputs.rowid"
)
_SUMMARIES = (
    "SELECT DISTINCT CAST(datasets.experiment_id AS TEXT), datasets.name, digest, input_tags.value"
    " FROM json_each(?) AS wanted JOIN runs ON runs.experiment_id = CAST(wanted.value AS INTEGER)"
    " JOIN inputs ON destination_type = 'RUN' AND destination_id = runs.run_uuid AND inputs.source_type = 'DATASET'"
    " JOIN datasets ON dataset_uuid = source_id"
    f" LEFT JOIN input_tags ON input_tags.input_uuid = inputs.input_uuid AND input_tags.name = '{_CONTEXT}'"
    " WHERE runs.lifecycle_stage = 'active' LIMIT ?"
)
#: ``step`` came with logged models; it is 0 for datasets.
_INPUT_COLUMNS = ("input_uuid", "source_type", "source_id", "destination_type", "destination_id", "step")


class Inputs(NamedTuple):
    """Inputs and outputs by run id."""

    datasets: Dict[str, List[DatasetInput]]
    models: Dict[str, List[ModelInput]]
    outputs: Dict[str, List[ModelOutput]]


def fill_inputs(connection: Connection, wanted: str, tables: Tables = ALL) -> Inputs:
    """Inputs and outputs of the runs whose ids are in ``wanted`` (a JSON list), in the order they were logged."""
    found = Inputs({}, {}, {})
    if not tables.has(DATASETS):
        return found
    if connection.execute("SELECT 1 FROM inputs LIMIT 1").fetchone() is None:
        return found  # most stores have none, and three questions for each run of a page are a tenth of its time
    rows = connection.execute(_DATASETS, (wanted,)).fetchall()
    if rows:
        tags = _tags_by_input(connection, [row[1] for row in rows])
        for run_id, input_uuid, *dataset in rows:
            one = DatasetInput(Dataset(*dataset), tags.get(input_uuid, ()))
            found.datasets.setdefault(run_id, []).append(one)
    if not tables.has(LOGGED_MODELS):
        return found
    for run_id, model_id, _ in connection.execute(_MODELS, (wanted,) + RUN_TO_MODEL_INPUT):
        found.models.setdefault(run_id, []).append(ModelInput(model_id))
    for run_id, model_id, step in connection.execute(_MODELS, (wanted,) + RUN_TO_MODEL_OUTPUT):
        found.outputs.setdefault(run_id, []).append(ModelOutput(model_id, step))
    return found


def _tags_by_input(connection: Connection, input_uuids: Sequence[str]) -> Dict[str, List[Tag]]:
    tags: Dict[str, List[Tag]] = {}
    for input_uuid, name, value in connection.execute(_INPUT_TAGS, (json.dumps(input_uuids),)):
        tags.setdefault(input_uuid, []).append(Tag(name, value))
    return tags


class InputReads(Reading):
    """The questions of ``store.base.Reads`` about datasets."""

    def list_datasets(self, experiment_ids: Sequence[str], limit: int) -> List[Tuple[str, str, str, Optional[str]]]:
        """See ``store.base``."""
        if not self.tables.has(DATASETS):
            return []
        with self.reading() as connection:
            return connection.execute(_SUMMARIES, (json.dumps(list(experiment_ids)), limit)).fetchall()


class InputWrites(InputReads):
    """Writes to the three tables. Each answers whether the row is new."""

    def insert_dataset(self, experiment_id: str, dataset_uuid: str, dataset: Dataset) -> bool:
        """Keep a dataset of an experiment, unless one of that name and digest is there."""
        cursor = self.connection.execute(
            "INSERT OR IGNORE INTO datasets (dataset_uuid, experiment_id, name, digest, dataset_source_type,"
            " dataset_source, dataset_schema, dataset_profile) VALUES (?, CAST(? AS INTEGER), ?, ?, ?, ?, ?, ?)",
            (dataset_uuid, experiment_id) + tuple(dataset),
        )
        return cursor.rowcount > 0

    def insert_input(
        self, input_uuid: str, ends: Tuple[str, str], source: str, destination: str, step: int = 0
    ) -> bool:
        """Keep that ``source`` went into (or came out as) ``destination``; ``ends`` names what they are."""
        row = (input_uuid, ends[0], source, ends[1], destination, step)
        values = dict(zip(_INPUT_COLUMNS, row))
        cursor = self.connection.execute(self.tables.insert("inputs", _INPUT_COLUMNS, "INSERT OR IGNORE"), values)
        return cursor.rowcount > 0

    def insert_input_tags(self, input_uuid: str, tags: Sequence[Tag]) -> None:
        """Keep the tags of a dataset input."""
        self.connection.executemany(
            "INSERT OR REPLACE INTO input_tags (input_uuid, name, value) VALUES (?, ?, ?)",
            [(input_uuid, tag.key, tag.value) for tag in tags],
        )

    def insert_dataset_input(self, run_id: str, dataset_uuid: str, input_uuid: str, tags: Sequence[Tag]) -> bool:
        """Keep that a dataset went into a run, with the tags of that use; False if that was known."""
        new = self.insert_input(input_uuid, DATASET_TO_RUN, dataset_uuid, run_id)
        if new:
            self.insert_input_tags(input_uuid, tags)
        return new

    def add_inputs(self, run_id: str, datasets: Sequence[DatasetInput], models: Sequence[ModelInput]) -> None:
        """See ``store.base``."""
        if datasets:
            self.tables.require(DATASETS)
        if models:
            self.tables.require(LOGGED_MODELS)
        experiment_id = self.experiment_of(run_id)
        for one in datasets:
            dataset_uuid = self.dataset_uuid(experiment_id, one.dataset)
            self.insert_dataset_input(run_id, dataset_uuid, uuid.uuid4().hex, one.tags)
        for model in models:
            self.insert_input(uuid.uuid4().hex, RUN_TO_MODEL_INPUT, run_id, model.model_id)

    def add_outputs(self, run_id: str, models: Sequence[ModelOutput]) -> None:
        """See ``store.base``."""
        self.tables.require(LOGGED_MODELS)
        for model in models:
            self.insert_input(uuid.uuid4().hex, RUN_TO_MODEL_OUTPUT, run_id, model.model_id, model.step)

    def dataset_uuid(self, experiment_id: str, dataset: Dataset) -> str:
        """The id under which an experiment keeps this dataset, new if it does not yet."""
        query = "SELECT dataset_uuid FROM datasets WHERE experiment_id = ? AND name = ? AND digest = ?"
        row = self.connection.execute(query, (int(experiment_id), dataset.name, dataset.digest)).fetchone()
        if row:
            return row[0]
        new = uuid.uuid4().hex
        self.insert_dataset(experiment_id, new, dataset)
        return new

    def copied_dataset(self, experiment_id: str, dataset: Dataset) -> str:
        """The id of a dataset in an experiment, which gets it if it lacks it."""
        return self.dataset_uuid(experiment_id, dataset)

    def experiment_of(self, run_id: str) -> str:
        """The experiment of a run that is there."""
        query = "SELECT CAST(experiment_id AS TEXT) FROM runs WHERE run_uuid = ?"
        return self.connection.execute(query, (run_id,)).fetchone()[0]
