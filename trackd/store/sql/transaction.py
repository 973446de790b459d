"""All reads and writes on MLflow's tables, put together from one file per resource."""

from contextlib import contextmanager
from typing import Iterator

from trackd.store.base import Reads, Transaction
from trackd.store.sql.connect import Connection
from trackd.store.sql.inputs import InputReads
from trackd.store.sql.keys import KeyReads
from trackd.store.sql.logged_models import LoggedModelReads, LoggedModelWrites
from trackd.store.sql.metrics import MetricWrites
from trackd.store.sql.moves import MoveWrites
from trackd.store.sql.runs import RunReads
from trackd.store.sql.tables import ALL, Tables


class SqlReads(RunReads, InputReads, KeyReads, LoggedModelReads, Reads):
    """Every question that the tables answer, for a store or a transaction."""


class SqlTransaction(MoveWrites, MetricWrites, LoggedModelWrites, SqlReads, Transaction):
    """A transaction on the writer's ``connection``."""

    def __init__(self, connection: Connection, tables: Tables = ALL) -> None:
        self.connection = connection
        self.tables = tables

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """The writer's connection: a transaction sees its own writes."""
        yield self.connection
