"""Steps of the area artifacts: proxied upload, download, listing and deletion, and the artifacts of a run."""

from typing import Any, Dict, List, Mapping, Optional

from tests.compat.differ import Step, delete, get, post

PROXY = "/api/2.0/mlflow-artifacts/artifacts"
AJAX = "/ajax-api/2.0/mlflow-artifacts/artifacts"
MPU = "/api/2.0/mlflow-artifacts/mpu"
UPLOAD = "/ajax-api/2.0/mlflow/upload-artifact"


def put(
    name: str, path: str, data: bytes = b"data", root: str = PROXY, headers: Optional[Mapping[str, str]] = None
) -> Step:
    """An upload."""
    return Step(name, "PUT", f"{root}/{path}", raw=data, headers=headers)


def fetch(name: str, path: str, root: str = PROXY, **headers: str) -> Step:
    """A download."""
    return Step(name, "GET", f"{root}/{path}", headers={key.replace("_", "-"): each for key, each in headers.items()})


def upload(name: str, data: bytes = b"small", **query: str) -> Step:
    """An upload from the browser."""
    return Step(name, "POST", UPLOAD, query=list(query.items()), raw=data)


def part(**body: Any) -> Dict[str, Any]:
    """What a request about an upload in parts holds."""
    return {"path": "big.bin", **body}


TRAVERSALS = [
    "..", "../x", "a/../../x", "a/..", "%2e%2e/x", "%252e%252e/x", "/etc/passwd", "//x", "C:/x", "a#b",
    "file:///etc/passwd", "\\\\host\\share", "C:\\x",
]  # fmt: skip

FILES: List[Step] = [
    post("an experiment for artifacts", "experiments/create", {"name": "artifacts"}, keep={"art": "experiment_id"}),
    post("a run for artifacts", "runs/create", {"experiment_id": "$art", "run_name": "a"},
         keep={"artrun": "run.info.run_id"}),
    put("upload", "$art/$artrun/artifacts/notes.txt", b"some notes\n"),
    put("upload into folders", "$art/$artrun/artifacts/model/data/weights.bin", bytes(range(100))),
    put("upload for the browser", "$art/$artrun/artifacts/model/MLmodel", b"flavors:\n", AJAX),
    put("upload as JSON", "$art/$artrun/artifacts/d.json", b"{}", headers={"Content-Type": "application/json"}),
    put("upload as HTML", "$art/$artrun/artifacts/kind", b"<b>", headers={"Content-Type": "text/html"}),
    put("upload nothing", "$art/$artrun/artifacts/empty", b""),
    put("upload again", "$art/$artrun/artifacts/notes.txt", b"other notes\n"),
    put("upload a name with a space", "odd/a b.txt"),
    put("upload a name with letters of all sorts", "odd/ü日本 €.txt"),
    put("upload a name with signs", "odd/a+b=c&d;e'f,g!h~i(j)k@l.txt"),
    put("upload a percent sign", "odd/100%.txt"),
    put("upload an encoded name", "odd/a%20c.txt"),
    put("upload a control character", "odd/a\x01b.txt"),
    put("upload a name of 255 bytes", "odd/" + "n" * 255),
    put("upload with a slash at the end", "odd/x/"),
    put("upload with two slashes", "odd//two.txt"),
    put("upload a backslash", "odd/a\\b.txt"),
    put("upload a relative file URI", "file:odd/f.txt"),
    put("upload a page", "types/page.html", b"<script>1</script>"),
    put("upload a picture", "types/picture.png", b"no png"),
    put("upload an archive", "types/archive.tar.gz", b"no tar"),
    put("upload a name kept for uploads under way", "odd/.artifact.uploading.x"),
    fetch("download", "$art/$artrun/artifacts/notes.txt"),
    fetch("download for the browser", "$art/$artrun/artifacts/model/MLmodel", AJAX),
    fetch("download nothing", "$art/$artrun/artifacts/empty"),
    fetch("download an encoded name", "odd/a%20b.txt"),
    fetch("download a name with letters of all sorts", "odd/ü日本 €.txt"),
    fetch("download a percent sign", "odd/100%.txt"),
    fetch("download a folder", "$art/$artrun/artifacts/model"),
    fetch("download a missing file", "$art/$artrun/artifacts/missing"),
    fetch("download below a file", "$art/$artrun/artifacts/notes.txt/x"),
    fetch("download a range", "$art/$artrun/artifacts/notes.txt", range="bytes=2-5"),
    fetch("download the end", "$art/$artrun/artifacts/notes.txt", range="bytes=-3"),
    fetch("download from the middle", "$art/$artrun/artifacts/notes.txt", range="bytes=4-"),
    fetch("download beyond the end", "$art/$artrun/artifacts/notes.txt", range="bytes=400-"),
    fetch("download a page", "types/page.html"),
    fetch("download a picture", "types/picture.png"),
    fetch("download an archive", "types/archive.tar.gz"),
    get("list the root of a run", PROXY, {"path": "$art/$artrun/artifacts"}),
    get("list a folder", PROXY, {"path": "$art/$artrun/artifacts/model"}),
    get("list for the browser", AJAX, {"path": "$art/$artrun/artifacts/model/data"}),
    get("list with a slash at the end", PROXY, {"path": "$art/$artrun/artifacts/model/"}),
    get("list a file", PROXY, {"path": "$art/$artrun/artifacts/notes.txt"}),
    get("list nothing", PROXY, {"path": "missing"}),
    delete("delete the backslash", f"{PROXY}/odd/a\\b.txt"),
    delete("delete the relative file URI", f"{PROXY}/odd/f.txt"),
    get("list odd names", PROXY, {"path": "odd"}),
    get("list a dot", PROXY, {"path": "odd/."}),
    *[put(f"upload to {path!r}", path) for path in TRAVERSALS],
    *[fetch(f"download {path!r}", path) for path in TRAVERSALS],
    *[get(f"list {path!r}", PROXY, {"path": path}) for path in TRAVERSALS],
    *[delete(f"delete {path!r}", f"{PROXY}/{path}") for path in TRAVERSALS],
]

OF_RUNS: List[Step] = [
    get("artifacts of a run", "artifacts/list", {"run_id": "$artrun"}),
    get("artifacts of a run for the browser", "/ajax-api/2.0/mlflow/artifacts/list", {"run_uuid": "$artrun"}),
    get("artifacts of a folder", "artifacts/list", {"run_id": "$artrun", "path": "model"}),
    get("artifacts of a folder with a slash", "artifacts/list", {"run_id": "$artrun", "path": "model/"}),
    get("artifacts of a file", "artifacts/list", {"run_id": "$artrun", "path": "notes.txt"}),
    get("artifacts of nothing", "artifacts/list", {"run_id": "$artrun", "path": "missing"}),
    get("artifacts with a page token", "artifacts/list", {"run_id": "$artrun", "page_token": "x"}),
    get("artifacts of no run", "artifacts/list"),
    get("artifacts of an unknown run", "artifacts/list", {"run_id": "0" * 32}),
    get("artifacts of an empty path", "artifacts/list", {"run_id": "$artrun", "path": ""}),
    *[get(f"artifacts of {path!r}", "artifacts/list", {"run_id": "$artrun", "path": path}) for path in TRAVERSALS],
    get("get an artifact", "/get-artifact", {"run_id": "$artrun", "path": "notes.txt"}),
    get("get an artifact as run_uuid", "/get-artifact", {"run_uuid": "$artrun", "path": "model/MLmodel"}),
    get("get a missing artifact", "/get-artifact", {"run_id": "$artrun", "path": "missing"}),
    get("get a folder", "/get-artifact", {"run_id": "$artrun", "path": "model"}),
    get("get an artifact of an unknown run", "/get-artifact", {"run_id": "0" * 32, "path": "a"}),
    *[get(f"get {path!r}", "/get-artifact", {"run_id": "$artrun", "path": path}) for path in TRAVERSALS],
    upload("upload from the browser", run_uuid="$artrun", path="browser/small.txt"),
    get("artifacts from the browser", "artifacts/list", {"run_id": "$artrun", "path": "browser"}),
    upload("upload from the browser without a path", run_uuid="$artrun"),
    upload("upload from the browser without a run", path="a"),
    upload("upload nothing from the browser", b"", run_uuid="$artrun", path="a"),
    upload("upload from the browser to an unknown run", run_uuid="0" * 32, path="a"),
    upload("upload from the browser to '../x'", run_uuid="$artrun", path="../x"),
    upload("upload too much from the browser", b"x" * (10 * 1024 * 1024 + 1), run_uuid="$artrun", path="a"),
    post("a URL for a download", "artifacts/presigned-download-url", {"run_id": "$artrun", "path": "notes.txt"}),
    post("a URL for a download for the browser", "/ajax-api/2.0/mlflow/artifacts/presigned-download-url",
         {"run_id": "$artrun", "path": "notes.txt"}),
    post("a URL for too long", "artifacts/presigned-download-url",
         {"run_id": "$artrun", "path": "notes.txt", "expiration": 604801}),
    post("a URL for no time", "artifacts/presigned-download-url",
         {"run_id": "$artrun", "path": "notes.txt", "expiration": 0}),
    post("a URL for a download without a path", "artifacts/presigned-download-url", {"run_id": "$artrun"}),
    post("a URL for a download of an unknown run", "artifacts/presigned-download-url",
         {"run_id": "0" * 32, "path": "a"}),
    post("a URL for an upload", "artifacts/presigned-upload-url", {"run_id": "$artrun", "path": "a"}),
    post("a URL for an upload for the browser", "/ajax-api/2.0/mlflow/artifacts/presigned-upload-url",
         {"run_id": "$artrun", "path": "a"}),
    post("a URL for an upload of nobody", "artifacts/presigned-upload-url", {"path": "a"}),
    post("a URL for an upload of two", "artifacts/presigned-upload-url",
         {"run_id": "$artrun", "model_id": "m-1", "path": "a"}),
    get("a presigned URL", "/api/2.0/mlflow-artifacts/presigned/a"),
    get("a presigned URL for the browser", "/ajax-api/2.0/mlflow-artifacts/presigned/a"),
    post("create an upload in parts", f"{MPU}/create/dir", part(num_parts=2)),
    post("create an upload in parts for the browser", f"{MPU.replace('/api', '/ajax-api')}/create/dir",
         part(num_parts=2)),
    post("create an upload in parts without a name", f"{MPU}/create/dir", {"num_parts": 2}),
    post("create an upload in parts outside", f"{MPU}/create/../x", part(num_parts=2)),
    post("complete an unknown upload", f"{MPU}/complete/dir", part(upload_id="x", parts=[{"part_number": 1}])),
    post("complete an unknown upload for the browser", f"{MPU.replace('/api', '/ajax-api')}/complete/dir",
         part(upload_id="x", parts=[{"part_number": 1}])),
    post("complete an upload without parts", f"{MPU}/complete/dir", part(upload_id="x")),
    post("abort an unknown upload", f"{MPU}/abort/dir", part(upload_id="x")),
    post("abort an unknown upload for the browser", f"{MPU.replace('/api', '/ajax-api')}/abort/dir",
         part(upload_id="x")),
    delete("delete an artifact", f"{PROXY}/$art/$artrun/artifacts/notes.txt"),
    delete("delete an artifact for the browser", f"{AJAX}/$art/$artrun/artifacts/d.json"),
    delete("delete a folder of artifacts", f"{PROXY}/$art/$artrun/artifacts/model"),
    delete("delete what is gone", f"{PROXY}/$art/$artrun/artifacts/model"),
    Step("delete without a body", "DELETE", f"{PROXY}/$art/$artrun/artifacts/kind"),
    get("artifacts of what is left", "artifacts/list", {"run_id": "$artrun"}),
]

STEPS: List[Step] = [*FILES, *OF_RUNS]
