"""Opening a folder: what can go wrong before anything is served, said in one sentence."""

import os
import sqlite3
from typing import Callable, Optional

from trackd.errors import TrackdError
from trackd.store.file import layout
from trackd.store.file.store import FileStore
from trackd.store.sql.network import is_on_network


class CannotOpenFolder(TrackdError):
    """The folder cannot be served; the message says why and what to do."""


def open_folder(
    root: str,
    *,
    sync: str,
    read_only: bool,
    index: Optional[str],
    artifact_root: str,
    progress: Callable[[int, int], None],
    log: Callable[[str], None],
) -> FileStore:
    """A store on ``root``. Without ``index`` a read-only one has its index in a temporary folder."""
    if read_only and not os.path.isdir(root):
        raise CannotOpenFolder(f"There is no folder {root!r} to open with --read-only.")
    temporary = read_only and index is None
    if temporary:
        import tempfile  # not needed by most servers, and their start waits for it

        index = os.path.join(tempfile.mkdtemp(prefix="trackd-"), layout.INDEX)
    if index is None and is_on_network(root):
        raise CannotOpenFolder(
            f"{root!r} lies on a network file system, where the index cannot be kept. Name a local file for it:"
            " --index FILE."
        )
    try:
        return FileStore(
            root,
            index=index,
            temporary=temporary,
            sync=sync,
            read_only=read_only,
            artifact_root=artifact_root,
            progress=progress,
            log=log,
        )
    except PermissionError as error:
        raise CannotOpenFolder(
            f"The server may not write to {error.filename or root!r}. Give it the permission, or open the folder with"
            " --read-only."
        ) from error
    except OSError as error:
        raise CannotOpenFolder(f"Cannot open {root!r}: {error.strerror}: {error.filename}.") from error
    except sqlite3.Error as error:
        path = index or os.path.join(root, layout.INDEX)
        raise CannotOpenFolder(f"Cannot use the index {path!r}: {error}.") from error
