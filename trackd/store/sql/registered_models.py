"""Registered models with their tags and aliases in MLflow's tables."""

from typing import Dict, List, Optional, Sequence, Tuple

from trackd.entities import Alias, ModelVersion, RegisteredModel, Tag
from trackd.search.clause import Clause, Cursor, Order
from trackd.store.sql.connect import Connection
from trackd.store.sql.model_versions import ModelVersionReads, ModelVersionWrites, rows_of
from trackd.store.sql.search import select_registered_models
from trackd.store.sql.tables import ALIASES, IN_WORKSPACE, WORKSPACE_KEY

_MODEL = (
    "SELECT name, creation_time, last_updated_time, description FROM registered_models"
    f" WHERE {IN_WORKSPACE} name = ?"
)
# The names of a page are few and their rows lie together: one range of an index each.
_TAGS = (
    f"SELECT name, key, value FROM registered_model_tags WHERE {IN_WORKSPACE}"
    " name IN :names ORDER BY name, key"
)
_ALIASES = (
    f"SELECT name, alias, version FROM registered_model_aliases WHERE {IN_WORKSPACE}"
    " name IN :names ORDER BY name, alias"
)
_RENAMED = ("registered_model_tags", "registered_model_aliases", "model_versions", "model_version_tags")


class RegisteredModelReads(ModelVersionReads):
    """The questions of ``store.base.Reads`` about registered models."""

    def get_registered_model(self, name: str) -> Optional[RegisteredModel]:
        """See ``store.base``."""
        with self.reading() as connection:
            row = connection.execute(self.tables.sql(_MODEL), (name,)).fetchone()
            return self._list_models(connection, [row])[0] if row else None

    def has_registered_model(self, name: str) -> bool:
        """See ``store.base``."""
        with self.reading() as connection:
            return connection.execute(self.tables.sql(_MODEL), (name,)).fetchone() is not None

    def search_registered_models(
        self,
        prompts: bool,
        clause: Optional[Clause],
        order: Sequence[Order],
        limit: int,
        cursor: Cursor = Cursor(),
    ) -> Tuple[List[RegisteredModel], Optional[Cursor]]:
        """See ``store.base``."""
        statement = select_registered_models(self.tables, prompts, clause, order, limit, cursor)
        with self.reading() as connection:
            rows, next_cursor = statement.page(connection.execute(statement.sql, statement.parameters).fetchall())
            return self._list_models(connection, rows), next_cursor

    def _list_models(self, connection: Connection, rows: Sequence[Tuple]) -> List[RegisteredModel]:
        """Whole models for these rows, in their order, with one query per table."""
        names = [row[0] for row in rows]
        tags: Dict[str, List[Tag]] = {}
        for name, key, value in rows_of(connection, self.tables.sql(_TAGS), names):
            tags.setdefault(name, []).append(Tag(key, value or ""))
        aliases: Dict[str, List[Alias]] = {}
        if self.tables.has(ALIASES):
            for name, alias, version in rows_of(connection, self.tables.sql(_ALIASES), names):
                aliases.setdefault(name, []).append(Alias(alias, version))
        latest: Dict[str, List[ModelVersion]] = self.latest_versions(connection, names)
        return [
            RegisteredModel._make((*row, tags.get(row[0], ()), aliases.get(row[0], ()), latest.get(row[0], ())))
            for row in rows
        ]


class RegisteredModelWrites(RegisteredModelReads, ModelVersionWrites):
    """The writes of ``store.base.Transaction`` to registered models."""

    def add_registered_model(self, model: RegisteredModel) -> None:
        """See ``store.base``."""
        self.connection.execute(
            "INSERT INTO registered_models (name, creation_time, last_updated_time, description) VALUES (?, ?, ?, ?)",
            tuple(model[:4]),
        )
        self.insert_model_tags(model.name, model.tags)

    def put_registered_model(self, model: RegisteredModel) -> None:
        """See ``store.base``."""
        self.connection.execute(
            self.tables.sql(
                "UPDATE registered_models SET creation_time = ?, last_updated_time = ?, description = ?"
                f" WHERE {IN_WORKSPACE} name = ?"
            ),
            (*model[1:4], model.name),
        )

    def touch_registered_model(self, name: str, time: int) -> bool:
        """See ``store.base``."""
        query = self.tables.sql(f"UPDATE registered_models SET last_updated_time = ? WHERE {IN_WORKSPACE} name = ?")
        return self.connection.execute(query, (time, name)).rowcount > 0

    def rename_registered_model(self, name: str, new_name: str, time: int) -> None:
        """See ``store.base``. Where the database renames what belongs to a model by itself, nothing is left to do."""
        self.put_in_table("registered_models", "name = ?, last_updated_time = ?", (new_name, time), name)
        for table in _RENAMED:
            if table != "registered_model_aliases" or self.tables.has(ALIASES):
                self.put_in_table(table, "name = ?", (new_name,), name)
        self.put_in_table("model_versions", "last_updated_time = ?", (time,), new_name)

    def put_in_table(self, table: str, columns: str, values: Tuple, name: str) -> None:
        """Change ``columns`` in all rows of a model."""
        self.connection.execute(
            self.tables.sql(f"UPDATE {table} SET {columns} WHERE {IN_WORKSPACE} name = ?"), (*values, name)
        )

    def drop_registered_model(self, name: str) -> None:
        """See ``store.base``. What refers to other rows goes first."""
        for table in (*reversed(_RENAMED), "registered_models"):
            if table != "registered_model_aliases" or self.tables.has(ALIASES):
                self.connection.execute(
                    self.tables.sql(f"DELETE FROM {table} WHERE {IN_WORKSPACE} name = ?"), (name,)
                )

    def put_registered_model_tags(self, name: str, tags: Sequence[Tag]) -> None:
        """See ``store.base``."""
        self.insert_model_tags(name, tags)

    def insert_model_tags(self, name: str, tags: Sequence[Tag]) -> None:
        """Add or overwrite the rows of tags."""
        self.connection.executemany(
            "INSERT OR REPLACE INTO registered_model_tags (key, value, name) VALUES (?, ?, ?)",
            [(tag.key, tag.value, name) for tag in tags],
        )

    def drop_registered_model_tag(self, name: str, key: str) -> bool:
        """See ``store.base``."""
        cursor = self.connection.execute(
            self.tables.sql(f"DELETE FROM registered_model_tags WHERE {IN_WORKSPACE} name = ? AND key = ?"),
            (name, key),
        )
        return cursor.rowcount > 0

    def put_alias(self, name: str, alias: str, version: int) -> None:
        """See ``store.base``."""
        self.tables.require(ALIASES)
        self.connection.execute(
            self.tables.sql(
                "INSERT INTO registered_model_aliases (name, alias, version) VALUES (?, ?, ?)"
                f" ON CONFLICT ({WORKSPACE_KEY} name, alias) DO UPDATE SET version = excluded.version"
            ),
            (name, alias, version),
        )

    def drop_alias(self, name: str, alias: str) -> bool:
        """See ``store.base``."""
        if not self.tables.has(ALIASES):
            return False
        cursor = self.connection.execute(
            self.tables.sql(f"DELETE FROM registered_model_aliases WHERE {IN_WORKSPACE} name = ? AND alias = ?"),
            (name, alias),
        )
        return cursor.rowcount > 0
