"""A folder of artifacts as one zip file: /api/trackd/artifacts/zip. Made while it is sent."""

import io
import re
import time
from typing import Any, Iterator, List, Tuple

from trackd import fields
from trackd.api import downloads, rules
from trackd.api.context import Context
from trackd.artifacts.base import ArtifactStore
from trackd.artifacts.paths import ROOT, ArtifactPath, joined
from trackd.errors import ResourceDoesNotExist
from trackd.web.message import Response
from trackd.web.router import route

#: Bytes of a file that go into the archive at one time.
_BLOCK = 1 << 18


@route("GET", "/api/trackd/artifacts/zip")
def archive(
    ctx: Context, run_id: fields.SourceRunId = "", model_id: fields.ModelId = None, path: fields.ArtifactPath = ROOT
) -> Response:
    """Send a folder of the artifacts of a run, or of a logged model, as a zip file; all of them without a path."""
    location = rules.artifacts_of(ctx.store, run_id, model_id)
    store, base = ctx.locations.find(location)
    folder = joined(base, path)
    files = list(store.walk(folder))
    if not files:
        raise ResourceDoesNotExist(f"There are no artifacts at {path!r}." if path else "There are no artifacts.")
    name = path.rpartition("/")[2] or "artifacts"
    headers = [("Content-Disposition", downloads.disposition(f"{name}.zip")), ("X-Content-Type-Options", "nosniff")]
    return Response(200, content_type="application/zip", headers=headers, pieces=_pieces(store, folder, name, files))


class _Outgoing(io.RawIOBase):
    """Takes what the archive's maker writes, and gives it away again. Nothing that left can be looked at or changed."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: List[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._parts.append(bytes(data))
        return len(self._parts[-1])

    def taken(self) -> bytes:
        """What was written since the last time."""
        whole = b"".join(self._parts)
        self._parts.clear()
        return whole


def _pieces(
    store: ArtifactStore, folder: ArtifactPath, name: str, files: List[Tuple[ArtifactPath, int]]
) -> Iterator[bytes]:
    import zipfile  # 10 ms with what it imports, for the first archive

    outgoing = _Outgoing()
    with zipfile.ZipFile(outgoing, "w", zipfile.ZIP_DEFLATED) as made:
        for path, _ in files:
            opened = store.open(path)
            try:
                below = path[len(folder) :].lstrip("/") or path.rpartition("/")[2]
                entry = zipfile.ZipInfo(_member(f"{name}/{below}"), time.localtime(max(opened.mtime, 315619200.0))[:6])
                # What is packed already only costs time to pack again.
                packed = below.lower().endswith(_PACKED)
                entry.compress_type = zipfile.ZIP_STORED if packed else zipfile.ZIP_DEFLATED
                entry.external_attr = 0o644 << 16
                # 64-bit sizes: how long a file is stands behind it.
                with made.open(entry, "w", force_zip64=True) as target:
                    for block in opened.read(0, opened.size):
                        target.write(block)
                        yield outgoing.taken()
            finally:
                opened.close()
    yield outgoing.taken()


def _member(path: str) -> str:
    """The name that a file has in the archive: its path, but for what a name in an archive cannot be.

    Programs on Windows take a backslash for a separator, so that ``..\\..\\x`` would leave the folder unpacked into.
    Bytes that are not UTF-8, which names on the disk may have (PEP 383), cannot be written at all.
    """
    return re.sub("[\\\\\ud800-\udfff]", "_", path)


_PACKED = (
    ".png", ".jpg", ".jpeg", ".gif", ".webp", ".mp3", ".mp4", ".webm", ".ogg", ".zip", ".gz", ".bz2", ".xz", ".7z",
    ".zst", ".parquet", ".npz", ".safetensors", ".pt", ".pth", ".whl", ".jar",
)  # fmt: skip
