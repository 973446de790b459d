"""Where a database lies: ``sqlite:`` URIs, read as SQLAlchemy reads them for MLflow.

``sqlite:///relative.db``, ``sqlite:////absolute.db``, and ``sqlite://``, ``sqlite:///`` or ``sqlite:///:memory:`` for
one that ends with the server. Of the query ``timeout`` counts (seconds that a lock of another program is waited for);
with ``uri=true`` the path is one of SQLite's own ``file:`` URIs, and the rest of the query belongs to it (``mode=ro``,
``immutable=1``, ``vfs``). Anything else in the query is ignored, as SQLAlchemy ignores it.
"""

import os
import re
from typing import List, NamedTuple, Tuple
from urllib.parse import parse_qsl, quote, unquote

_URI = re.compile(r"sqlite(?:\+(\w+))?://(?P<host>[^/?]*)(?:/(?P<path>[^?]*))?(?:\?(?P<query>.*))?", re.I | re.S)
#: Options of Python's and SQLAlchemy's connections; with ``uri=true`` all others are SQLite's.
_DRIVER = frozenset(
    "uri timeout isolation_level detect_types check_same_thread cached_statements factory autocommit".split()
)
#: A shared cache has locks that no time-out helps against; what else is in the way is ``mode``, which is read here.
_DROPPED = frozenset(("mode", "cache", "immutable"))


class Place(NamedTuple):
    """A database: its absolute path (empty: in memory), and how it wants to be opened.

    ``options`` are SQLite's own; ``timeout`` is in seconds.
    """

    path: str
    read_only: bool = False
    immutable: bool = False
    timeout: float = 10.0
    options: Tuple[Tuple[str, str], ...] = ()

    def uri(self, mode: str) -> str:
        """The URI that SQLite opens. ``mode`` is ``ro``, ``rw`` or ``rwc`` (make it if it is not there)."""
        path = quote(self.path.replace("\\", "/") if os.name == "nt" else self.path)
        more = self.options + ((("immutable", "1"),) if self.immutable else ())
        return f"file:{'' if path.startswith('/') else '/'}{path}?mode={mode}" + "".join(
            f"&{quote(name)}={quote(value)}" for name, value in more
        )


def parse(uri: str) -> Place:
    """The database that a URI names; ``ValueError`` says what is wrong with it."""
    found = _URI.fullmatch(uri)
    if found is None or found["host"]:
        raise ValueError(
            "is not a database: write sqlite:///relative/path.db (three slashes) or sqlite:////absolute/path.db (four)"
        )
    if found[1] not in (None, "pysqlite"):
        raise ValueError(f"asks for the driver {found[1]!r}; plain sqlite:/// is what trackd can open")
    query = dict(parse_qsl(found["query"] or "", keep_blank_values=True))
    options = [(name, value) for name, value in query.items() if name not in _DRIVER]
    place = _place(found["path"] or "", options, query.get("uri", "").lower() in ("true", "1", "yes", "on", "t", "y"))
    if "timeout" in query:
        try:
            seconds = float(query["timeout"])
        except ValueError:
            seconds = -1.0
        if not 0 <= seconds <= 3600:
            raise ValueError("has a timeout that is not a number of seconds from 0 to 3600")
        place = place._replace(timeout=seconds)
    return place


def _place(database: str, options: List[Tuple[str, str]], is_uri: bool) -> Place:
    """The place for the part of a URI between the third slash and the question mark."""
    if is_uri and database.startswith("file:"):
        own = dict(options)
        path = unquote(re.sub(r"^file:(//(localhost)?(?=/))?", "", database))
        if path in ("", ":memory:") or own.get("mode") == "memory":
            return Place("")
        immutable = own.get("immutable", "0") not in ("0", "no", "false", "off")
        rest = tuple((name, value) for name, value in options if name not in _DROPPED)
        return Place(os.path.abspath(path), own.get("mode") == "ro" or immutable, immutable, options=rest)
    if database in ("", ":memory:"):
        return Place("")
    # SQLAlchemy decodes %20 since 2.1 and took it as it is before: the file that is there is the one that is meant.
    decoded = unquote(database)
    return Place(os.path.abspath(database if os.path.exists(database) else decoded))
