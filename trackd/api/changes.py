"""Has anything changed? /api/trackd/changes, for pages that stay open."""

from typing import Any, Dict

from trackd.api.context import Context
from trackd.web.router import route


@route("GET", "/api/trackd/changes")
def changes(ctx: Context) -> Dict[str, Any]:
    """Answer a text that is another once anything was written, by whom ever: cheap enough to be asked every second."""
    return {"version": ctx.store.version()}
