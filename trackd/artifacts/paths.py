"""The one gate from text that somebody sent to the path of an artifact. Nothing else joins such text to a path.

An ``ArtifactPath`` is relative, has ``/`` between its parts and none of ``.``, ``..`` and empty parts; ``""`` is the
root itself. It cannot leave the place that it is joined to but by a link, which is the store's to see.

The rules are MLflow's (percent-decoded until nothing changes, control characters escaped again), and stricter in this:
no backslash, no ``file:``, no NUL, and no name that only uploads under way have.
"""

import os
import re
from typing import NewType
from urllib.parse import unquote

from trackd.errors import InvalidParameterValue

ArtifactPath = NewType("ArtifactPath", str)

#: The root of a store.
ROOT = ArtifactPath("")

#: What is not complete lies under names that begin so. MLflow gives it the same meaning: its own listings of a
#: folder leave them out, and its server takes no upload of such a name.
UNFINISHED = ".artifact.uploading."

_ROUNDS = 10
_CONTROL = re.compile("[\x01-\x1f\x7f]")
_DRIVE = re.compile(r"[A-Za-z]:/")
# What Windows takes for a device, whatever the extension, and the characters that its names cannot have.
_DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|$)", re.IGNORECASE)
_NOT_ON_WINDOWS = re.compile(r'[<>:"|?*]|[. ]$')


def artifact_path(text: str, leaf: bool = False) -> ArtifactPath:
    """The path that the text means; ``InvalidParameterValue`` if it is none, or tries to leave its place.

    ``leaf``: it must name a file, so it is neither empty nor ends with ``/``.
    """
    path = _decoded(text)
    if "\0" in path or "\\" in path or "#" in path:
        raise _refused(text, "it has a backslash, a '#' or a NUL in it")
    if path.startswith("/") or _DRIVE.match(path) or path[:5].lower() == "file:":
        raise _refused(text, "it is absolute; expected a path below the artifacts of a run, such as model/weights.bin")
    parts = path.split("/")
    if ".." in parts:
        raise _refused(text, "it has '..' in it")
    if leaf and (parts[-1] in ("", ".")):
        raise _refused(text, "it ends without the name of a file")
    parts = [_CONTROL.sub(lambda found: f"%{ord(found.group()):02x}", part) for part in parts if part not in ("", ".")]
    for part in parts:
        # macOS and Windows take other cases for the same name.
        if part.lower().startswith(UNFINISHED):
            raise _refused(text, f"names that begin with {UNFINISHED} are kept for uploads under way")
        if os.name == "nt" and (_NOT_ON_WINDOWS.search(part) or _DEVICE.match(part)):
            raise _refused(text, f"Windows has no files named {part!r}")
    return ArtifactPath("/".join(parts))


def joined(base: ArtifactPath, path: ArtifactPath) -> ArtifactPath:
    """What ``path`` means below ``base``."""
    return ArtifactPath(f"{base}/{path}" if base and path else base or path)


def _decoded(text: str) -> str:
    """Percent-decoded until nothing changes, as MLflow's server and clients both do."""
    path = text
    for _ in range(_ROUNDS):
        try:
            decoded = unquote(path, errors="strict") if "%" in path else path
            decoded.encode("utf-8")
        except UnicodeError:
            raise _refused(text, "it is not UTF-8") from None
        if decoded == path:
            return path
        path = decoded
    raise _refused(text, "it is percent-encoded more than ten times")


def _refused(text: str, why: str) -> InvalidParameterValue:
    shown = text if len(text) <= 200 else text[:200] + "..."
    return InvalidParameterValue(f"The artifact path {shown!a} cannot be used: {why}.")
