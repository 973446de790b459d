"""Copying artifacts: files that are at the target in the same size are taken for the same, and left."""

import io
from typing import Any, Iterator

from trackd.artifacts.paths import ArtifactPath, joined
from trackd.transfer.counts import Counts
from trackd.transfer.sides import Source, Target


def copy_files(source: Source, target: Target, before: str, after: str, counts: Counts) -> None:
    """Copy what lies at the location ``before`` of the source to ``after`` at the target. Nothing is removed there."""
    here, base = source.artifacts(before)
    there, beside = target.artifacts(after)
    if (here.uri, base) == (there.uri, beside):
        return
    have = {_below(beside, path): size for path, size in there.walk(beside)}
    for path, size in here.walk(base):
        name = _below(base, path)
        new = have.get(name) != size
        if new:
            opened = here.open(path)
            try:
                # A server may not say how large a file is.
                length = opened.size if opened.size >= 0 else None
                there.write(joined(beside, name), Body(opened.read(0, opened.size)), length)
            finally:
                opened.close()
        counts.note("artifacts", written=int(new), skipped=int(not new))
        counts.note("bytes", written=size * new, skipped=size * (not new))


def _below(base: ArtifactPath, path: ArtifactPath) -> ArtifactPath:
    return ArtifactPath(path[len(base) + 1 :] if base else path)


class Body(io.RawIOBase):
    """Blocks as a stream."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """What is left of the block at hand, or of the next one."""
        if not self._rest:
            self._rest = memoryview(next(self._blocks, b""))
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


