"""Artifacts that a browser shows in place: /api/trackd/preview, where a plain download would not do.

Downloads are attachments of types that no browser runs. A page, a drawing or a document in a frame has to come as what
it is. So that whatever is in it runs nothing as this server: the answer's own policy gives it an origin of its own
(CSP ``sandbox``, which holds however the address is opened) and no network; a page's scripts do run, inside of that.
"""

import os

from trackd import fields
from trackd.api import downloads, rules
from trackd.api.context import Context
from trackd.errors import InvalidParameterValue
from trackd.web.message import Response
from trackd.web.router import route

_PAGE = (
    "sandbox allow-scripts; default-src data: blob:; style-src 'unsafe-inline' data:; "
    "script-src 'unsafe-inline' 'unsafe-eval' data: blob:"
)
_DRAWING = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:"
#: Browsers show documents by programs of their own, which have no access to any page and refuse to start in a sandbox.
_DOCUMENT = "default-src 'none'; style-src 'unsafe-inline'"
_SHOWN = {
    ".html": ("text/html; charset=utf-8", _PAGE),
    ".htm": ("text/html; charset=utf-8", _PAGE),
    ".svg": ("image/svg+xml", _DRAWING),
    ".pdf": ("application/pdf", _DOCUMENT),
}


@route("GET", "/api/trackd/preview")
def preview(
    ctx: Context, path: fields.ArtifactPath, run_id: fields.SourceRunId = "", model_id: fields.ModelId = None
) -> Response:
    """Send a page, drawing or document of a run or logged model to be shown in a frame, locked up."""
    location = rules.artifacts_of(ctx.store, run_id, model_id)
    kind, policy = _SHOWN.get(os.path.splitext(path)[1].lower(), ("", ""))
    if not kind:
        raise InvalidParameterValue(f"Only files that end in {', '.join(_SHOWN)} are shown in place; download others.")
    response = downloads.send(ctx, location, path)
    if response.status in (200, 206):
        response.content_type = kind
    response.headers = [each for each in response.headers if each[0] != "Content-Disposition"]
    response.headers += [("Content-Disposition", "inline"), ("Content-Security-Policy", policy)]
    return response
