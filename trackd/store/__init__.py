"""How things are kept: ``base`` is the contract, ``file`` MLflow's folder layout, ``sql`` its tables."""

import os
from typing import Callable, Optional
from urllib.parse import unquote, urlsplit

from trackd.errors import TrackdError
from trackd.store.base import Store


class CannotOpen(TrackdError):
    """There is no store to be had there; the message says why and what to do."""


def folder_of(uri: str) -> Optional[str]:
    """The local folder that a path or a ``file:`` URI names; ``None`` for another scheme."""
    if "://" not in uri and not uri.startswith("file:"):
        return os.path.expanduser(uri)
    parts = urlsplit(uri)
    if parts.scheme != "file" or parts.netloc not in ("", "localhost"):
        return None
    path = unquote(parts.path)
    return path[1:] if os.name == "nt" and path[2:3] == ":" else path


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
    """The store at ``uri``: a path or ``file:`` URI. ``TrackdError`` if there is none to be had.

    ``sync`` is ``full``, ``1s`` or ``off``; by default what MLflow's own store of that kind does or better: ``1s``
    for folders.
    ``progress(done, total)`` is called while a large folder is read for the first time; ``log`` gets a line per
    problem.
    """
    root = folder_of(uri)
    if root is None:
        raise CannotOpen(f"Cannot open {uri!r}: a folder (a path or a file: URI) is what this version can serve.")
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
