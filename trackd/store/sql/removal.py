"""Removing rows for good, with all that hangs on them, from whatever tables a database has.

The tables of a database are those of the MLflow release that made it, and some hold what trackd does not serve (traces,
issues, label schemas). What hangs on a row is therefore read from the database itself: first its foreign keys,
followed as they say (rows that refer to a removed one go, or with SET NULL forget it), then columns of the same name in
tables that declare no keys, as those of the file store's index. MLflow's own deletion leaves some of these behind.
"""

from typing import Dict, List, NamedTuple, Sequence, Tuple

from trackd.store.sql.connect import Connection


class _Reference(NamedTuple):
    """A foreign key: ``columns`` of ``table`` name rows by ``targets``."""

    table: str
    columns: Tuple[str, ...]
    targets: Tuple[str, ...]
    forgets: bool


class Removal:
    """Removes rows on one connection, inside a transaction; knows the tables as they are now."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._columns: Dict[str, List[str]] = {}
        self._references: Dict[str, List[_Reference]] = {}
        for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            self._columns[table] = [row[1] for row in connection.execute(f'PRAGMA table_info("{table}")')]
            self._note_references(table)

    def _note_references(self, table: str) -> None:
        keys: Dict[int, List[Tuple]] = {}
        for row in self._connection.execute(f'PRAGMA foreign_key_list("{table}")'):
            keys.setdefault(row[0], []).append(row)
        for rows in keys.values():
            rows.sort(key=lambda row: row[1])
            parent = rows[0][2]
            # A key that names no columns of the other table means its primary key.
            targets = tuple(row[4] or self._primary_key(parent)[number] for number, row in enumerate(rows))
            reference = _Reference(table, tuple(row[3] for row in rows), targets, rows[0][6] == "SET NULL")
            self._references.setdefault(parent, []).append(reference)

    def _primary_key(self, table: str) -> List[str]:
        rows = [row for row in self._connection.execute(f'PRAGMA table_info("{table}")') if row[5]]
        return [row[1] for row in sorted(rows, key=lambda row: row[5])]

    def has(self, table: str, *columns: str) -> bool:
        """Whether there is such a table, with these columns."""
        return table in self._columns and set(columns) <= set(self._columns[table])

    def drop(self, table: str, column: str, values: str) -> None:
        """Remove the rows of ``table`` whose ``column`` is in ``values`` (a JSON list), and what hangs on them."""
        condition = f"{column} IN (SELECT value FROM json_each(?))"
        referring = {reference.table for reference in self._references.get(table, ())}
        for other, columns in self._columns.items():
            if other != table and column in columns and other not in referring:
                self._remove(other, condition, values, ())
        self._remove(table, condition, values, ())

    def _remove(self, table: str, condition: str, values: str, above: Sequence[str]) -> None:
        """``above``: the tables whose removal led here, so that keys in a circle come to an end."""
        for reference in self._references.get(table, ()):
            if reference.table == table or reference.table in above:
                continue
            columns = ", ".join(reference.columns)
            refers = f"({columns}) IN (SELECT {', '.join(reference.targets)} FROM {table} WHERE {condition})"
            if reference.forgets:
                nothing = ", ".join(f"{column} = NULL" for column in reference.columns)
                self._connection.execute(f"UPDATE {reference.table} SET {nothing} WHERE {refers}", (values,))
            else:
                self._remove(reference.table, refers, values, (*above, table))
        self._connection.execute(f"DELETE FROM {table} WHERE {condition}", (values,))

    def drop_links(self, ids: str) -> None:
        """Remove the inputs and outputs, with their tags, of runs or logged models in ``ids`` (a JSON list)."""
        if not self.has("inputs", "source_id", "destination_id"):
            return
        linked = "destination_id IN (SELECT value FROM json_each(?1)) OR source_id IN (SELECT value FROM json_each(?1))"
        self._connection.execute(
            f"DELETE FROM input_tags WHERE input_uuid IN (SELECT input_uuid FROM inputs WHERE {linked})", (ids,)
        )
        self._connection.execute(f"DELETE FROM inputs WHERE {linked}", (ids,))
