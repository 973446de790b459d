"""What a client asks before anything else: is it there, which version, what can it do."""

from typing import Any, Dict

from trackd import wire
from trackd.api.context import Context
from trackd.web.message import Response
from trackd.web.router import route


@route("GET", "/health")
def health(ctx: Context) -> Response:
    """Answer OK."""
    return Response(200, b"OK", "text/plain; charset=utf-8")


@route("GET", "/version")
def version(ctx: Context) -> Response:
    """The MLflow version whose API is spoken. Python clients send traces by OTLP only if this parses as one."""
    return Response(200, ctx.config.mlflow_version.encode("utf-8"), "text/html; charset=utf-8")


@route("GET", "/api/3.0/mlflow/server-info")
def server_info(ctx: Context) -> Dict[str, Any]:
    """What this server can do beyond the basics. Clients ask it about proxied artifacts and workspaces."""
    serving = ctx.config.serve_artifacts or ctx.config.artifacts_only
    return {
        "store_type": ctx.store.store_type or wire.Json("null"),
        "workspaces_enabled": False,
        "trace_archival_enabled": False,
        "multipart_uploads_enabled": serving and ctx.artifacts.multipart,
        "multipart_downloads_enabled": serving and ctx.artifacts.presigned,
        "presigned_upload_run_id_supported": True,
        "presigned_upload_model_id_supported": True,
        "features_enabled": {"gateway": False},
    }
