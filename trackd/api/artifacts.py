"""Artifacts: the listing of a run's, and /api/2.0/mlflow-artifacts, to which clients send and from which they read."""

import io
import os
import re
from typing import Any, BinaryIO, Dict, List, Optional, Tuple

from trackd import fields
from trackd.api import downloads, rules
from trackd.api.context import Context
from trackd.artifacts.base import ArtifactStore, Target
from trackd.artifacts.paths import ROOT, ArtifactPath, artifact_path, joined
from trackd.errors import InvalidParameterValue, PayloadTooLarge
from trackd.web.message import Request, Response
from trackd.web.router import route

#: Where parts of uploads go; what follows is the id of the upload and the number of the part.
PARTS = "/api/2.0/mlflow-artifacts/mpu/parts"
#: The largest file that the browser's own route takes; MLflow's limit.
MOST_FROM_BROWSER = 10 * 1024 * 1024
#: Parts that one listing of uploads tells of, there or missing: one upload of the largest kind, or many common ones.
MOST_LISTED = 50_000


# Of a run, wherever its artifacts are


@route("GET", "/api/2.0/mlflow/artifacts/list")
def list_artifacts(
    ctx: Context, run_id: fields.RunIdOrUuid, path: fields.ArtifactPath = ROOT, page_token: fields.PageToken = None
) -> Dict[str, Any]:
    """List a folder of a run's artifacts, one level; a page token means nothing, as in MLflow."""
    location = rules.find_run(ctx.store, run_id).artifact_uri
    return {"root_uri": location, "files": downloads.files(ctx, location, path)}


@route("GET", "/get-artifact")
def get_artifact(ctx: Context, run_id: fields.RunIdOrUuid, path: fields.ArtifactPath) -> Response:
    """Download a file of a run."""
    return downloads.send(ctx, rules.find_run(ctx.store, run_id).artifact_uri, path)


@route("POST", "/ajax-api/2.0/mlflow/upload-artifact", stream=True)
def upload_artifact(ctx: Context, run_uuid: fields.RunId, path: fields.ArtifactFile) -> Response:
    """Keep the body, a file of at most 10 MiB, among a run's artifacts."""
    run = rules.find_run(ctx.store, run_uuid)
    size = _announced(ctx.request)
    if size == 0:
        raise _no_file()
    if (size or 0) > MOST_FROM_BROWSER:
        raise PayloadTooLarge(f"The file has {size} bytes; this route takes {MOST_FROM_BROWSER} at most.")
    store, base = ctx.locations.find(run.artifact_uri)
    store.write(joined(base, path), _AtMost(ctx.request.stream, MOST_FROM_BROWSER), size)
    return Response(200, b"")


@route("POST", "/api/2.0/mlflow/artifacts/presigned-download-url")
def presigned_download_url(
    ctx: Context, run_id: fields.RunId, path: fields.ArtifactFile, expiration: fields.Expiration = None
) -> Dict[str, Any]:
    """A URL of the storage itself for a file of a run. 400 for artifacts behind this server, 501 for local ones."""
    location = rules.find_run(ctx.store, run_id).artifact_uri
    store, base = _direct(ctx, location)
    found = store.presign_download(joined(base, path), expiration or _url_time())
    return {"presigned_url": found.url, "headers": found.headers or None, "file_size": found.size}


@route("POST", "/api/2.0/mlflow/artifacts/presigned-upload-url")
def presigned_upload_url(
    ctx: Context,
    path: fields.ArtifactFile,
    run_id: fields.SourceRunId = "",
    model_id: fields.ModelId = None,
    expiration: fields.Expiration = None,
) -> Dict[str, Any]:
    """A URL of the storage itself to which one file of a run or logged model can be PUT."""
    location = rules.artifacts_of(ctx.store, run_id, model_id)
    store, base = _direct(ctx, location)
    found = store.presign_upload(joined(base, path), expiration or 900)
    return {"presigned_url": found.url, "headers": found.headers or None}


def _direct(ctx: Context, location: str) -> Tuple[ArtifactStore, ArtifactPath]:
    """The store of artifacts that clients reach without this server."""
    if re.match(r"(https?|mlflow-artifacts):", location, re.IGNORECASE):
        raise InvalidParameterValue(
            f"The artifacts are behind a server ({location}); URLs of the storage are for runs whose location is the "
            "storage itself, such as s3://bucket/prefix."
        )
    return ctx.locations.find(location)


# What clients send to this server


@route("GET", "/api/2.0/mlflow-artifacts/artifacts", bare=True)
def list_proxied(ctx: Context, path: fields.ArtifactPath = ROOT) -> Dict[str, Any]:
    """List a folder of what this server keeps, one level, as bare names. Nothing for a file or a missing folder."""
    return {"files": downloads.file_infos(ctx.artifacts, path, ROOT)}


@route("GET", "/api/2.0/mlflow-artifacts/artifacts/{artifact_path:path}", bare=True)
def download(ctx: Context, artifact_path: fields.ArtifactPath) -> Response:
    """Download a file; ranges and conditions as in RFC 9110."""
    return downloads.send_file(ctx.request, ctx.artifacts, artifact_path)


@route("PUT", "/api/2.0/mlflow-artifacts/artifacts/{artifact_path:path}", bare=True, stream=True)
def upload(ctx: Context, artifact_path: fields.ArtifactFile) -> Response:
    """Keep the body as a file, of any size and type; one that is there is replaced when all has come."""
    ctx.artifacts.write(artifact_path, ctx.request.stream, _announced(ctx.request))
    return Response(200, b"", "")


@route("DELETE", "/api/2.0/mlflow-artifacts/artifacts/{artifact_path:path}", bare=True)
def delete(ctx: Context, artifact_path: fields.ArtifactPath) -> Dict[str, Any]:
    """Delete a file, or a folder with all in it; nothing there is fine."""
    ctx.artifacts.delete(artifact_path)
    return {}


# Large files in parts: ``path`` is the file's name on the client, artifact_path the folder that it goes to


@route("POST", "/api/2.0/mlflow-artifacts/mpu/create/{artifact_path:path}", bare=True)
def create_multipart_upload(
    ctx: Context, artifact_path: fields.ArtifactPath, path: fields.Lookup, num_parts: fields.PartNumber = 1
) -> Dict[str, Any]:
    """Begin an upload in parts, and say where each part goes: URLs that need no permission, for a day."""
    target = _target(artifact_path, path)
    upload_id = ctx.artifacts.create_upload(target, num_parts)
    found = ctx.artifacts.targets(target, upload_id, range(1, num_parts + 1), _here(ctx))
    return {"upload_id": upload_id, "credentials": [_credential(each) for each in found]}


@route("POST", "/api/2.0/mlflow-artifacts/mpu/complete/{artifact_path:path}", bare=True)
def complete_multipart_upload(
    ctx: Context,
    artifact_path: fields.ArtifactPath,
    path: fields.Lookup,
    upload_id: fields.Lookup,
    parts: fields.UploadParts,
) -> Dict[str, Any]:
    """Make one file of all parts, which come in order, each with the ETag that its PUT was answered."""
    ctx.artifacts.complete_upload(_target(artifact_path, path), upload_id, parts)
    return {}


@route("POST", "/api/2.0/mlflow-artifacts/mpu/abort/{artifact_path:path}", bare=True)
def abort_multipart_upload(
    ctx: Context, artifact_path: fields.ArtifactPath, path: fields.Lookup, upload_id: fields.Lookup
) -> Dict[str, Any]:
    """Forget an upload in parts, and what has come of it."""
    ctx.artifacts.abort_upload(_target(artifact_path, path), upload_id)
    return {}


@route("GET", PARTS + "/{artifact_path:path}", bare=True)
def list_multipart_uploads(
    ctx: Context, artifact_path: fields.ArtifactPath, path: fields.Lookup
) -> Dict[str, Any]:
    """List the uploads to a file that are under way, newest first: parts that are there, and URLs for those missing."""
    target = _target(artifact_path, path)
    uploads: List[Dict[str, Any]] = []
    room = MOST_LISTED
    for each in ctx.artifacts.list_uploads(target):
        # Anybody can begin any number of them, and each may have very many parts: the answer has to end somewhere.
        room -= max(each.total, len(each.parts), 1)
        if uploads and room < 0:
            break
        there = {part.number for part in each.parts}
        missing = [number for number in range(1, each.total + 1) if number not in there]
        found = ctx.artifacts.targets(target, each.upload_id, missing, _here(ctx)) if missing else []
        uploads.append({
            "upload_id": each.upload_id,
            "creation_time": each.creation_time,
            "num_parts": each.total,
            "parts": [{"part_number": number, "etag": etag, "size": size} for number, etag, size in each.parts],
            "credentials": [_credential(target) for target in found],
        })
    return {"uploads": uploads}


@route("PUT", PARTS + "/{upload_id}/{number}", bare=True, stream=True)
def upload_part(
    ctx: Context, upload_id: fields.Lookup, number: fields.PartNumber, expires: fields.Lookup, signature: fields.Lookup
) -> Response:
    """Keep one part of an upload; the URL is one that the beginning of the upload was answered."""
    size = _announced(ctx.request)
    etag = ctx.artifacts.write_part(upload_id, number, expires, signature, ctx.request.stream, size)
    return Response(200, b"", "", [("ETag", etag)])


@route("GET", "/api/2.0/mlflow-artifacts/presigned/{artifact_path:path}", bare=True)
def presigned(ctx: Context, artifact_path: fields.ArtifactPath) -> Dict[str, Any]:
    """A URL of the storage itself for a file that this server keeps there; 501 for folders of this host."""
    found = ctx.artifacts.presign_download(artifact_path, _url_time())
    return {"url": found.url, "headers": found.headers, "file_size": found.size}


class _AtMost(io.RawIOBase):
    """A stream that must end within so many bytes; 413 if it does not, or 400 if it has none at all."""

    def __init__(self, stream: BinaryIO, most: int) -> None:
        self._stream = stream
        self._most = most
        self._size = 0

    def readinto(self, buffer: Any) -> int:
        count = int(self._stream.readinto(buffer))  # type: ignore[attr-defined]
        self._size += count
        if self._size > self._most:
            raise PayloadTooLarge(f"The file has more than {self._most} bytes, which is what this route takes.")
        if self._size == 0:
            raise _no_file()
        return count


def _url_time() -> int:
    """Seconds for which the URL of a download lasts, unless the request says so."""
    text = os.environ.get("MLFLOW_PRESIGNED_DOWNLOAD_URL_TTL_SECONDS", "")
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 8 else 300
    if not 1 <= number <= 604_800:
        raise InvalidParameterValue(
            f"The server's MLFLOW_PRESIGNED_DOWNLOAD_URL_TTL_SECONDS is {number}; expected 1 to 604800 seconds."
        )
    return number


def _target(folder: ArtifactPath, name: str) -> ArtifactPath:
    """Where an upload in parts goes. Clients send the whole path of the file on their host, with its own slashes."""
    return joined(folder, artifact_path(re.split(r"[/\\]", name)[-1], leaf=True))


def _no_file() -> InvalidParameterValue:
    return InvalidParameterValue("The body is empty; it must hold the file.")


def _announced(request: Request) -> Optional[int]:
    """Content-Length, which the server has checked; ``None`` for a body in chunks."""
    text = request.headers.get("content-length")
    return int(text) if text is not None else None if "transfer-encoding" in request.headers else 0


def _credential(target: Target) -> Dict[str, Any]:
    return {"url": target.url, "part_number": target.number, "headers": target.headers}


def _here(ctx: Context) -> str:
    """What the URLs of parts begin with: this server by the name that the client, or the proxy before us, knows.

    Nobody else gets the answer: a client that lies about its proxy misleads only itself.
    """
    headers = ctx.request.headers
    scheme = _first(headers.get("x-forwarded-proto")) or "http"
    host = _first(headers.get("x-forwarded-host")) or headers.get("host") or "localhost"
    prefix = _first(headers.get("x-forwarded-prefix")).rstrip("/") + ctx.config.static_prefix
    whole = f"{scheme}://{host}{prefix}{PARTS}"
    return whole if re.fullmatch(r"https?://[^\s\"<>\\?#@]+", whole) else PARTS


def _first(field: Optional[str]) -> str:
    """Of a list that proxies have appended to, what the first of them said."""
    return (field or "").partition(",")[0].strip()


