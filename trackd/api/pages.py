"""The user interface's own files: the page at /, and what it is made of under /static-files.

Files are sent as they are written, with an ETag each; browsers ask again and get 304. They are read from wherever the
package lies, a folder or ``trackd.pyz``.

**Joined**: the first view should not cost a request per module. So the page asks for ``static-files/joined/app.js``,
which is ``app.js`` and every module that it imports, one after another, without their import statements; they keep
their exports. Any other module under ``joined/`` is the file as it is written, but that an import of one of those
modules leads to the joined one, so that each module is there once. docs/ui.md has the rules that make this plain text
work: ``import { name } from "./file.js";``, and no name twice at the top of those modules.
"""

import os
import re
from functools import lru_cache
from typing import Dict, List
from zlib import crc32

import trackd
from trackd import fields
from trackd.api.context import Context
from trackd.errors import EndpointNotFound
from trackd.web.message import Response
from trackd.web.router import route

_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_NAME = re.compile(r"(?:[a-z][a-z0-9_]*/)*[a-z][a-z0-9_]*\.(html|css|js|svg)")
#: Nothing but the server's own files, and no code or style inline: what is shown can hold any text. The page's icon is
#: in the page.
_POLICY = "default-src 'self'; img-src 'self' data: blob:; base-uri 'none'; form-action 'none'"
_IMPORT = re.compile(r'^import \{([^}"]*)\} from "(\.\.?/[a-z0-9_./]+)";\n', re.MULTILINE)
_FIRST = "app.js"
#: No two neighbours in it take the same character: however long a header is, looking takes time in proportion.
_GZIP = re.compile(
    r"(?:^|[ \t,])(?:x-)?gzip[ \t]*(?:;[ \t]*q=(?:1(?:\.0*)?|0?\.0*[1-9][0-9]*)[ \t]*)?(?:,|$)", re.IGNORECASE
)


@route("GET", "/")
def index(ctx: Context) -> Response:
    """Send the page of the user interface; its views are behind the #, with the paths of MLflow's own."""
    if not ctx.request.path.endswith("/"):
        # Behind the slash that was left out. Relative, as everything in the page: only a proxy in front of us knows
        # what stands before the prefix.
        place = ctx.config.static_prefix.rpartition("/")[2] + "/"
        return Response(308, content_type="text/plain; charset=utf-8", headers=[("Location", place)])
    return _answer(ctx, "index.html", _read("index.html"))


@route("GET", "/static-files/{path:path}")
def static_file(ctx: Context, path: fields.Lookup) -> Response:
    """Send a file of the user interface as it is written."""
    return _answer(ctx, path, _read(path))


@route("GET", "/static-files/joined/{path:path}")
def joined(ctx: Context, path: fields.Lookup) -> Response:
    """Send a module of the user interface; app.js with all that it imports, in one piece."""
    first = _first()
    if path == _FIRST:
        texts = [f"// {name}\n{_IMPORT.sub('', text)}" for name, text in first.items()]
        return _answer(ctx, path, "\n".join(texts).encode("utf-8"))

    def lead(found: "re.Match[str]") -> str:
        if _resolve(path, found.group(2)) not in first:
            return found.group(0)
        return f'import {{{found.group(1)}}} from "{"../" * path.count("/") or "./"}{_FIRST}";\n'

    return _answer(ctx, path, _IMPORT.sub(lead, _read(path).decode("utf-8")).encode("utf-8"))


def _first() -> Dict[str, str]:
    """The modules that make the first view, by name: each behind those that it imports."""
    found: Dict[str, str] = {}

    def visit(name: str, above: List[str]) -> None:
        if name in found or name in above:
            return
        text = _read(name).decode("utf-8")
        for _, other in _IMPORT.findall(text):
            visit(_resolve(name, other), [*above, name])
        found[name] = text

    visit(_FIRST, [])
    return found


def _resolve(name: str, other: str) -> str:
    """``./`` and ``../`` of an import in the file ``name``."""
    folders = name.split("/")[:-1]
    for step in other.split("/"):
        if step == "..":
            folders = folders[:-1]
        elif step != ".":
            folders.append(step)
    return "/".join(folders)


def _read(name: str) -> bytes:
    """A file of ``trackd/ui``; ``EndpointNotFound`` for a name that none can have, and for one that none has."""
    if _NAME.fullmatch(name):
        place = os.path.join(os.path.dirname(trackd.__file__), "ui", *name.split("/"))
        try:
            # The loader reads out of a zip as well.
            return trackd.__loader__.get_data(place)  # type: ignore[union-attr]
        except OSError:
            raise EndpointNotFound(f"The user interface has no file {name}.") from None
    raise EndpointNotFound("The user interface has no file of that name.")


@lru_cache(maxsize=128)
def _packed(body: bytes) -> bytes:
    """The body as gzip (RFC 1952): a third of it."""
    import gzip  # for the first browser; a start does not need it

    return gzip.compress(body, 9, mtime=0)


def _answer(ctx: Context, name: str, body: bytes) -> Response:
    """The file, packed where the browser takes that, or 304 where it has it (RFC 9110, 12.5.3 and 13.1.2)."""
    packed = _GZIP.search(ctx.request.headers.get("accept-encoding", "")) is not None
    # Each form is a representation of its own.
    tag = f'"{len(body):x}-{crc32(body):08x}{"-gzip" if packed else ""}"'
    headers = [("ETag", tag), ("Cache-Control", "no-cache"), ("Content-Security-Policy", _POLICY)]
    headers.append(("Vary", "Accept-Encoding"))
    content_type = _TYPES[name.rpartition(".")[2]]
    wanted = [each.strip() for each in ctx.request.headers.get("if-none-match", "").split(",")]
    if tag in wanted or "W/" + tag in wanted or "*" in wanted:
        return Response(304, content_type=content_type, headers=headers)
    if packed:
        body = _packed(body)
        headers.append(("Content-Encoding", "gzip"))
    return Response(200, body, content_type, headers=headers)
