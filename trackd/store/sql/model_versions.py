"""Versions of registered models with their tags in MLflow's tables.

A deleted version stays as a row, so that its number is not used again; no question of the contract sees it.
"""

import json
from typing import Dict, List, Optional, Sequence, Tuple

from trackd.entities import DELETED_STAGE, ModelVersion, Tag
from trackd.search.clause import Clause, Cursor, Order
from trackd.store.sql.connect import Connection, Reading
from trackd.store.sql.search import select_model_versions
from trackd.store.sql.sources import MODEL_VERSION_COLUMNS
from trackd.store.sql.tables import ALIASES, IN_WORKSPACE

_KEPT = f"current_stage != '{DELETED_STAGE}'"
_ALIASES = (
    f"SELECT alias FROM registered_model_aliases WHERE {IN_WORKSPACE} name = ? AND version = ? ORDER BY alias"
)
# The + keeps SQLite from the primary key, which has the order and every tag of every version before it.
_TAGS = (
    f"SELECT key, value FROM model_version_tags WHERE {IN_WORKSPACE} name = ? AND version = ? ORDER BY +key"
)
# The highest version of each stage, of many models at once; with the lowest, in whose order MLflow lists them.
_LATEST = (
    f"SELECT name, max(version), min(version) FROM model_versions WHERE {IN_WORKSPACE} name IN :names AND {_KEPT}"
    " GROUP BY name, current_stage"
)
_TAGS_OF = (
    "SELECT t.name, t.version, t.key, t.value FROM json_each(?) w CROSS JOIN model_version_tags t"
    " ON {workspace} t.name = json_extract(w.value, '$[0]') AND t.version = json_extract(w.value, '$[1]')"
)

Key = Tuple[str, int]


def rows_of(connection: Connection, query: str, names: Sequence[str]) -> List[Tuple]:
    """The rows of a query that has ``name IN :names`` in it, with these names for that.

    As one text of JSON, unless a name has NUL in it: there SQLite's JSON ends.
    """
    text = json.dumps(names)
    if "\\u0000" not in text:
        return connection.execute(query.replace(":names", "(SELECT value FROM json_each(?))"), (text,)).fetchall()
    query = query.replace(":names", "(?)")
    return [row for name in names for row in connection.execute(query, (name,))]


class ModelVersionReads(Reading):
    """The questions of ``store.base.Reads`` about model versions."""

    def _select(self, where: str) -> str:
        """A statement for versions in the order of the entity's fields, tags and aliases apart."""
        columns = self.tables.select("model_versions", MODEL_VERSION_COLUMNS)
        return self.tables.sql(f"SELECT {columns} FROM model_versions WHERE {IN_WORKSPACE} {where}")

    def get_model_version(self, name: str, version: int) -> Optional[ModelVersion]:
        """See ``store.base``."""
        with self.reading() as connection:
            row = connection.execute(self._select(f"name = ? AND version = ? AND {_KEPT}"), (name, version)).fetchone()
            if row is None:
                return None
            tags = [Tag(*pair) for pair in connection.execute(self.tables.sql(_TAGS), (name, version))]
            aliases = []
            if self.tables.has(ALIASES):
                aliases = [alias for (alias,) in connection.execute(self.tables.sql(_ALIASES), (name, version))]
        return ModelVersion._make((*row, tags, aliases, None))

    def list_model_versions(self, name: str, stage: str) -> List[ModelVersion]:
        """See ``store.base``."""
        with self.reading() as connection:
            rows = connection.execute(self._select("name = ? AND current_stage = ? ORDER BY version"), (name, stage))
            return self._fill(connection, rows.fetchall())

    def all_versions(self, name: str) -> List[ModelVersion]:
        """Every version of a model, deleted ones too, by number."""
        with self.reading() as connection:
            rows = connection.execute(self._select("name = ? ORDER BY version"), (name,)).fetchall()
            return self._fill(connection, rows)

    def search_model_versions(
        self,
        prompts: bool,
        clause: Optional[Clause],
        order: Sequence[Order],
        limit: int,
        cursor: Cursor = Cursor(),
    ) -> Tuple[List[ModelVersion], Optional[Cursor]]:
        """See ``store.base``."""
        statement = select_model_versions(self.tables, prompts, clause, order, limit, cursor)
        with self.reading() as connection:
            rows, next_cursor = statement.page(connection.execute(statement.sql, statement.parameters).fetchall())
            return self._fill(connection, rows), next_cursor

    def latest_versions(self, connection: Connection, names: Sequence[str]) -> Dict[str, List[ModelVersion]]:
        """The highest version of each stage of these models, in the order of ``store.base``."""
        keys = rows_of(connection, self.tables.sql(_LATEST), names)
        found: Dict[str, List[ModelVersion]] = {}
        query = self._select("name = ? AND version = ?")
        keys.sort(key=lambda row: (row[0], row[2]))
        rows = [connection.execute(query, key[:2]).fetchone() for key in keys]
        for version in self._fill(connection, rows):
            found.setdefault(version.name, []).append(version)
        return found

    def _fill(self, connection: Connection, rows: Sequence[Tuple]) -> List[ModelVersion]:
        """Versions for these rows, with their tags and without aliases."""
        wanted = [row[:2] for row in rows]
        text = json.dumps(wanted)
        tags: Dict[Key, List[Tag]] = {}
        if "\\u0000" in text:
            for key in wanted:
                tags[key] = [Tag(*pair) for pair in connection.execute(self.tables.sql(_TAGS), key)]
        else:
            workspace = "t.workspace = 'default' AND" if self.tables.has_workspaces else ""
            for name, version, *pair in connection.execute(_TAGS_OF.format(workspace=workspace), (text,)):
                tags.setdefault((name, version), []).append(Tag(pair[0], pair[1] or ""))
        return [ModelVersion._make((*row, sorted(tags.get((row[0], row[1]), ())), (), None)) for row in rows]


class ModelVersionWrites(ModelVersionReads):
    """The writes of ``store.base.Transaction`` to model versions."""

    def next_model_version(self, name: str) -> int:
        """See ``store.base``."""
        (highest,) = self.connection.execute(
            self.tables.sql(f"SELECT max(version) FROM model_versions WHERE {IN_WORKSPACE} name = ?"), (name,)
        ).fetchone()
        return (highest or 0) + 1

    def add_model_version(self, version: ModelVersion) -> None:
        """See ``store.base``."""
        values = dict(zip(MODEL_VERSION_COLUMNS, version))
        self.connection.execute(self.tables.insert("model_versions", MODEL_VERSION_COLUMNS), values)
        self.insert_version_tags(version.name, version.version, version.tags)

    def put_model_version(self, version: ModelVersion) -> None:
        """See ``store.base``."""
        changed = [
            f"{column} = ?" for column in MODEL_VERSION_COLUMNS[2:] if self.tables.has_column("model_versions", column)
        ]
        values = [
            value
            for column, value in zip(MODEL_VERSION_COLUMNS[2:], version[2:])
            if self.tables.has_column("model_versions", column)
        ]
        self.connection.execute(
            self.tables.sql(
                f"UPDATE model_versions SET {', '.join(changed)} WHERE {IN_WORKSPACE} name = ? AND version = ?"
            ),
            (*values, version.name, version.version),
        )

    def put_model_version_tags(self, name: str, version: int, tags: Sequence[Tag]) -> None:
        """See ``store.base``."""
        self.insert_version_tags(name, version, tags)

    def insert_version_tags(self, name: str, version: int, tags: Sequence[Tag]) -> None:
        """Add or overwrite the rows of tags."""
        self.connection.executemany(
            "INSERT OR REPLACE INTO model_version_tags (key, value, name, version) VALUES (?, ?, ?, ?)",
            [(tag.key, tag.value, name, version) for tag in tags],
        )

    def drop_model_version_tag(self, name: str, version: int, key: str) -> bool:
        """See ``store.base``."""
        cursor = self.connection.execute(
            self.tables.sql(
                f"DELETE FROM model_version_tags WHERE {IN_WORKSPACE} name = ? AND version = ? AND key = ?"
            ),
            (name, version, key),
        )
        return cursor.rowcount > 0
