"""All reads and writes on MLflow's tables, put together from one file per resource."""

import json
from contextlib import contextmanager
from typing import Iterator

from trackd.store.base import Reads, Transaction
from trackd.store.sql.connect import Connection
from trackd.store.sql.inputs import InputReads
from trackd.store.sql.keys import KeyReads
from trackd.store.sql.logged_models import LoggedModelReads, LoggedModelWrites
from trackd.store.sql.metrics import MetricWrites
from trackd.store.sql.moves import MoveWrites
from trackd.store.sql.registered_models import RegisteredModelReads, RegisteredModelWrites
from trackd.store.sql.removal import Removal
from trackd.store.sql.runs import RunReads
from trackd.store.sql.tables import ALL, Tables


class SqlReads(RunReads, InputReads, KeyReads, LoggedModelReads, RegisteredModelReads, Reads):
    """Every question that the tables answer, for a store or a transaction."""


class SqlTransaction(MoveWrites, MetricWrites, LoggedModelWrites, RegisteredModelWrites, SqlReads, Transaction):
    """A transaction on the writer's ``connection``."""

    def __init__(self, connection: Connection, tables: Tables = ALL) -> None:
        self.connection = connection
        self.tables = tables

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """The writer's connection: a transaction sees its own writes."""
        yield self.connection

    def drop_experiment(self, experiment_id: str) -> None:
        """See ``store.base``."""
        self.remove_run_rows([info.run_id for info in self.list_run_infos(experiment_id)])
        removal = Removal(self.connection)
        removal.drop_links(json.dumps([info.model_id for info in self.list_logged_model_infos(experiment_id)]))
        removal.drop("experiments", "experiment_id", json.dumps([int(experiment_id)]))
