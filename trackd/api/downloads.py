"""Artifacts as responses: one file to download, one folder to list, by the location of whatever they belong to.

Endpoints of runs, logged models and model versions look up the location, these do the rest::

    return downloads.send(ctx, info.artifact_uri, path)
    return {"files": downloads.files(ctx, info.artifact_uri, path)}
"""

import os
import re
from typing import Any, Dict, Iterator, List, Optional, Tuple
from urllib.parse import quote

from trackd.api.context import Context
from trackd.artifacts.base import ArtifactStore, Opened
from trackd.artifacts.paths import ArtifactPath, joined
from trackd.web.answer import http_date
from trackd.web.message import FileBody, Request, Response
from trackd.web.ranges import Range, select

#: Extensions (or whole names without one) that MLflow sends as plain text, and those of pages, which a browser would
#: run: as text it shows their source.
TEXT = frozenset(
    "txt log err cfg conf cnf cf ini properties prop hocon toml yaml yml xml json js py py3 csv tsv md rst ipynb "
    "MLmodel MLproject html htm xhtml xht shtml mht mhtml svg svgz xsl xslt mjs cjs".split()
)
#: Of the types that the table of the host knows, those that a browser acts upon.
_ACTIVE = re.compile(r"html|xml|svg|script|css|wasm|flash|java|manifest|multipart|message|mhtml")
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


def send(ctx: Context, location: str, path: ArtifactPath) -> Response:
    """The file at a path below a location, as an attachment; as much of it as the request asks for."""
    store, base = ctx.locations.find(location)
    return send_file(ctx.request, store, joined(base, path))


def files(ctx: Context, location: str, path: ArtifactPath, prefix: bool = True) -> Optional[List[Dict[str, Any]]]:
    """What lies in a folder below a location, as MLflow's FileInfo; ``None`` for nothing.

    ``prefix``: paths from the location on; else bare names.
    """
    store, base = ctx.locations.find(location)
    return file_infos(store, joined(base, path), path if prefix else ArtifactPath(""))


def file_infos(store: ArtifactStore, path: ArtifactPath, shown: ArtifactPath) -> Optional[List[Dict[str, Any]]]:
    """The entries of a folder as MLflow's FileInfo, their paths beginning with ``shown``. Empty files have no size."""
    infos = []
    for name, is_dir, size in store.list(path):
        info = {"path": f"{shown}/{name}" if shown else name, "is_dir": is_dir}
        if size and not is_dir:
            info["file_size"] = size
        infos.append(info)
    return infos or None


def send_file(request: Request, store: ArtifactStore, path: ArtifactPath) -> Response:
    """A file of a store as the answer to a GET or HEAD: always an attachment, never of a type that a browser runs."""
    opened = store.open(path)
    try:
        return _answer(request, opened, path.rpartition("/")[2])
    except BaseException:
        opened.close()
        raise


def _answer(request: Request, opened: Opened, name: str) -> Response:
    modified = http_date(opened.mtime)
    # Ranges have a meaning for GET only (RFC 9110, 14.2).
    ranged = request.headers if request.method == "GET" else {**request.headers, "range": ""}
    status, ranges = select(ranged, opened.size, opened.etag, modified)
    headers = [
        ("Accept-Ranges", "bytes"),
        ("ETag", opened.etag),
        ("Last-Modified", modified),
        # It may be replaced at any time; with the ETag, asking again is cheap.
        ("Cache-Control", "no-cache"),
        ("Content-Disposition", disposition(name)),
        ("X-Content-Type-Options", "nosniff"),
    ]
    kind = content_type(name)
    if status in (304, 412, 416):
        opened.close()
        if status == 416:
            headers.append(("Content-Range", f"bytes */{opened.size}"))
        return Response(status, b"", "text/plain; charset=utf-8", headers)
    if len(ranges) > 1:
        return _several(opened, ranges, kind, headers)
    start, stop = ranges[0]
    if status == 206:
        headers.append(("Content-Range", f"bytes {start}-{stop - 1}/{opened.size}"))
    if opened.file is not None:
        return Response(status, b"", kind, headers, FileBody(opened.file, start, stop - start))
    pieces: Iterator[bytes] = iter(())
    if request.method == "HEAD":
        opened.close()
    else:
        pieces = _closing(opened, opened.read(start, stop))
    return Response(status, b"", kind, headers, pieces=pieces, length=stop - start)


def _several(opened: Opened, ranges: List[Range], kind: str, headers: List[Tuple[str, str]]) -> Response:
    """Several ranges in one answer: multipart/byteranges (RFC 9110, 14.6)."""
    boundary = os.urandom(12).hex()
    heads = [
        f"--{boundary}\r\nContent-Type: {kind}\r\n"
        f"Content-Range: bytes {start}-{stop - 1}/{opened.size}\r\n\r\n".encode()
        for start, stop in ranges
    ]
    end = f"--{boundary}--\r\n".encode()

    def pieces() -> Iterator[bytes]:
        for head, (start, stop) in zip(heads, ranges):
            yield head
            yield from opened.read(start, stop)
            yield b"\r\n"
        yield end

    length = sum(len(head) + stop - start + 2 for head, (start, stop) in zip(heads, ranges)) + len(end)
    parts = f"multipart/byteranges; boundary={boundary}"
    return Response(206, b"", parts, headers, pieces=_closing(opened, pieces()), length=length)


def _closing(opened: Opened, pieces: Iterator[bytes]) -> Iterator[bytes]:
    try:
        yield from pieces
    finally:
        opened.close()


def content_type(name: str) -> str:
    """The type that a file of this name is sent as."""
    extension = name.rpartition(".")[2]
    if extension in TEXT or extension.lower() in TEXT:
        return "text/plain"
    import mimetypes  # Reads the tables of the host, which takes some milliseconds.

    found = mimetypes.guess_type(name)[0]
    return found if found and not _ACTIVE.search(found) else "application/octet-stream"


def disposition(name: str) -> str:
    """Content-Disposition for a download under this name (RFC 6266; RFC 8187 for what is not ASCII)."""
    plain = "".join(c if " " <= c <= "~" else "_" for c in _decomposed(name)).strip() or "download"
    escaped = plain if _TOKEN.fullmatch(plain) else '"' + re.sub(r'(["\\])', r"\\\1", plain) + '"'
    if name.isascii():
        return f"attachment; filename={escaped}"
    safe = "!#$&+-.^_`|~"
    return f"attachment; filename={escaped}; filename*=UTF-8''{quote(name, safe=safe)}"


def _decomposed(name: str) -> str:
    """The name without the accents of its letters and without what ASCII has nothing like."""
    if name.isascii():
        return name
    from unicodedata import normalize

    return normalize("NFKD", name).encode("ascii", "ignore").decode("ascii")
