"""How things are kept: ``base`` is the contract, ``file`` MLflow's folder layout, ``sql`` its tables."""

import os
from typing import Callable, Optional

from trackd.config import is_database, local_path, store_uri
from trackd.errors import TrackdError
from trackd.store.base import Store


class CannotOpen(TrackdError):
    """There is no store to be had there; the message says why and what to do."""


def same_place(uri: str, other: str) -> bool:
    """Whether two URIs of stores name one store, links resolved."""
    return uri == other or _place(uri) == _place(other)


def _place(uri: str) -> str:
    if is_database(uri):
        from trackd.store.sql.uri import parse

        # One in memory belongs to whoever opened it.
        path = parse(uri).path
        return f"sqlite:{os.path.realpath(path) if path else id(uri)}"
    return os.path.realpath(local_path(uri) or uri)


def open_store(
    uri: str,
    *,
    sync: Optional[str] = None,
    read_only: bool = False,
    index: Optional[str] = None,
    artifact_root: str = "mlflow-artifacts:",
    progress: Callable[[int, int], None] = lambda done, total: None,
    log: Callable[[str], None] = lambda line: None,
) -> Store:
    """The store at ``uri``: a path, a ``file:`` URI, or ``sqlite:`` for a database. ``TrackdError`` if there is none.

    ``sync`` is ``full``, ``1s`` or ``off``; by default what MLflow's own store of that kind does or better: ``1s``
    for folders, ``full`` for databases.
    ``progress(done, total)`` is called while a large folder is read for the first time; ``log`` gets a line per
    problem.
    """
    if is_database(uri):
        from trackd.store.sql.open import open_database

        return open_database(uri, sync=sync or "full", read_only=read_only, artifact_root=artifact_root, log=log)
    try:
        root = local_path(store_uri(uri)) or ""
    except ValueError as error:
        raise CannotOpen(f"Cannot open {uri!r}: it {error}.") from None
    if os.path.lexists(root) and not os.path.isdir(root):
        raise CannotOpen(f"Cannot open {root!r}: it is not a folder.")
    from trackd.store.file.open import open_folder

    return open_folder(
        root,
        sync=sync or "1s",
        read_only=read_only,
        index=index,
        artifact_root=artifact_root,
        progress=progress,
        log=log,
    )
