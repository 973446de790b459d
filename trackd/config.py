"""Settings as rows: each gives its flags, its environment variables, its default, its check, its help and its docs.

A flag beats the environment, the environment beats the default; an empty environment variable counts as unset, as in
MLflow. Every flag and variable of ``mlflow server`` (2.22 and 3.17) has a row, so that a working ``mlflow server ...``
line keeps working: it does the same thing (``WORKS``), is accepted with a note because it is about worker processes
(``NOTED``), or is refused because what it asks for is not built yet (``REFUSED``; its default is accepted).
"""

import os
import re
from typing import Any, Callable, List, NamedTuple, Optional, Tuple
from urllib.parse import unquote, urlsplit

from trackd import MLFLOW_VERSION

WORKS, NOTED, REFUSED = "works", "noted", "refused"

#: Where clients are told to send artifacts when the server passes them on.
ARTIFACT_PROXY = "mlflow-artifacts:/"

#: Largest read timeout in seconds: epoll counts milliseconds in 31 bits, which is 24 days; this is 11.
LONGEST_TIMEOUT = 1_000_000

#: The words that MLflow's command line takes for true and false, in any case.
_BOOLEANS = {word: True for word in ("1", "true", "t", "yes", "y", "on")}
_BOOLEANS.update({word: False for word in ("0", "false", "f", "no", "n", "off")})


# What a setting's text may be. Each takes the text and returns the value, or raises ValueError with what was expected.


def text(value: str) -> str:
    """Any text without control characters (it may end up in a response header or in a log line)."""
    if any(ord(c) < 32 or ord(c) == 127 for c in value):
        raise ValueError("has a control character in it")
    return value


def boolean(value: str) -> bool:
    """A truth value in the words of MLflow's command line."""
    if value.strip().lower() not in _BOOLEANS:
        raise ValueError("is neither true nor false")
    return _BOOLEANS[value.strip().lower()]


def whole(low: int, high: int) -> Callable[[str], int]:
    """A check for a whole number from ``low`` to ``high``, both included."""

    def check(value: str) -> int:
        if not (value.isascii() and value.isdigit() and len(value) < 20 and low <= int(value) <= high):
            raise ValueError(f"is not a whole number from {low} to {high}")
        return int(value)

    return check


def words(value: str) -> Optional[List[str]]:
    """A list separated by commas; ``None`` if it has no entry, which stands for the default."""
    return [word.strip() for word in text(value).split(",") if word.strip()] or None


def one_of(*choices: str) -> Callable[[str], str]:
    """A check for one of a few words."""

    def check(value: str) -> str:
        if value not in choices:
            raise ValueError(f"is not one of {', '.join(choices)}")
        return value

    return check


def prefix(value: str) -> str:
    """A path in front of all routes, under MLflow's own rules for it."""
    if value and not value.startswith("/"):
        raise ValueError("does not begin with '/'")
    if value.endswith("/"):
        raise ValueError("ends with '/'")
    if re.search(r"[{}?#%\s]", text(value)):
        raise ValueError("has one of { } ? # % or a space in it")
    return value


def version(value: str) -> str:
    """A release number that MLflow's clients can parse (``/version`` answers it)."""
    if not re.fullmatch(r"[0-9]+(\.[0-9]+){1,3}((a|b|rc|\.dev|\.post)[0-9]+)?", value):
        raise ValueError("is not a version number such as " + MLFLOW_VERSION)
    return value


def frame(value: str) -> str:
    """A value for ``X-Frame-Options``, in capitals as MLflow sends it; ``NONE`` leaves the header away."""
    return text(value).upper()


def store_uri(value: str) -> str:
    """A place for metadata: a folder, as a path or a ``file:`` URI, or a ``sqlite:`` database."""
    scheme = scheme_of(text(value))
    if is_database(value):
        return value
    if scheme in ("mysql", "mssql", "postgresql", "postgres"):
        raise ValueError("is a database; of these only SQLite's can be served (sqlite:///my.db)")
    return _folder(value, scheme)


def artifact_folder(value: str) -> str:
    """A place that the server keeps artifacts in: a folder, as a path or a ``file:`` URI, or ``s3://bucket/prefix``."""
    scheme = scheme_of(text(value))
    if scheme == "s3" and re.match(r"[Ss]3://[^/]", value):
        return value
    if scheme not in ("", "file"):
        raise ValueError("is no place for artifacts, which is a path, file:///path or s3://bucket/prefix")
    return _folder(value, scheme)


def _folder(value: str, scheme: str) -> str:
    """``value`` if it names a folder on this host."""
    if scheme not in ("", "file"):
        raise ValueError(f"has the scheme {scheme!r}; a folder is a path or file:///path")
    if not local_path(value):
        raise ValueError("does not name a folder on this host")
    return value


def scheme_of(uri: str) -> str:
    """The scheme in lower case, ``""`` for a path. ``C:\\folder`` is a path; ``mysql+pymysql`` is ``mysql``."""
    match = re.match(r"([A-Za-z][A-Za-z0-9.-]+)(\+[A-Za-z0-9.-]+)?:", uri)
    return match.group(1).lower() if match else ""


def is_database(uri: str) -> bool:
    """Whether a place for metadata is a database; else it is a folder."""
    return scheme_of(uri) == "sqlite"


def local_path(uri: str) -> Optional[str]:
    """The path of a folder given as a path or as a ``file:`` URI (RFC 8089); ``None`` if it is not on this host.

    ``file:relative`` is taken as well, as MLflow does, and ``~`` is the home folder where no shell has replaced it.
    """
    scheme = scheme_of(uri)
    if scheme != "file":
        return None if scheme else os.path.expanduser(uri)
    parts = urlsplit(uri)
    if parts.netloc not in ("", "localhost"):
        return None
    path = unquote(parts.path)
    # file:///C:/folder has the path /C:/folder (RFC 8089, appendix E.2).
    return path[1:] if os.name == "nt" and re.match(r"/[A-Za-z]:", path) else path


class Setting(NamedTuple):
    """One row. ``off`` are flags that turn a boolean off; ``remark`` says what a noted or refused one is about.

    ``metavar`` is empty for booleans, which take no value on the command line.
    """

    name: str
    group: str
    flags: Tuple[str, ...]
    environment: str
    default: Any
    parse: Callable[[str], Any]
    metavar: str
    help: str
    state: str = WORKS
    remark: str = ""
    off: Tuple[str, ...] = ()

    @property
    def shown_default(self) -> str:
        """The default as text for help and docs."""
        if isinstance(self.default, bool):
            return str(self.default).lower()
        return "" if self.default in (None, "") else str(self.default)


_ONE_PROCESS = "trackd is one process with threads"

SETTINGS: Tuple[Setting, ...] = (
    # Where things are kept.
    Setting(
        "backend_store_uri", "Storage", ("--backend-store-uri",), "MLFLOW_BACKEND_STORE_URI", "./mlruns", store_uri,
        "URI", "Where experiments and runs are: a folder in the layout of MLflow's file store (a path or file:///path) "
        "or a database of MLflow's (sqlite:///relative.db, sqlite:////absolute.db).",
    ),
    Setting(
        "read_only", "Storage", ("--read-only",), "TRACKD_READ_ONLY", False, boolean,
        "", "Write nothing into the folder or database; writes are answered 403. For copies and mounted shares.",
    ),
    Setting(
        "sync", "Storage", ("--sync",), "TRACKD_SYNC", None, one_of("full", "1s", "off"),
        "WHEN", "What a power loss may cost: full = nothing that was acknowledged, 1s = the last second, "
        "off = what the system had not written. A crash of the server never costs anything acknowledged. Default: 1s "
        "for folders, full for databases.",
    ),
    Setting(
        "index", "Storage", ("--index",), "TRACKD_INDEX", None, text,
        "FILE", "Where the search index lies, instead of .trackd-index.db in the folder: for a folder that is "
        "read-only or on a network file system. It can be deleted while no server runs.",
    ),
    Setting(
        "registry_store_uri", "Storage", ("--registry-store-uri",), "MLFLOW_REGISTRY_STORE_URI", None, store_uri,
        "URI", "Where registered models and prompts are kept, if not in --backend-store-uri: a folder or a database.",
    ),
    Setting(
        "read_replica_backend_store_uri", "Storage", ("--read-replica-backend-store-uri",),
        "MLFLOW_READ_REPLICA_BACKEND_STORE_URI", None, text,
        "URI", "A copy of the store for reading.", REFUSED, "reading from a replica of the store",
    ),
    # Artifacts.
    Setting(
        "default_artifact_root", "Artifacts", ("--default-artifact-root",), "MLFLOW_DEFAULT_ARTIFACT_ROOT", None, text,
        "URI", "Where new experiments keep artifacts. Default: " + ARTIFACT_PROXY + " (clients send them to the "
        "server), with --no-serve-artifacts the folder of --backend-store-uri (./mlruns beside a database).",
    ),
    Setting(
        "serve_artifacts", "Artifacts", ("--serve-artifacts",), "MLFLOW_SERVE_ARTIFACTS", True, boolean,
        "", "Whether clients send artifacts to the server, or write them to their place themselves.",
        off=("--no-serve-artifacts",),
    ),
    Setting(
        "artifacts_destination", "Artifacts", ("--artifacts-destination",), "MLFLOW_ARTIFACTS_DESTINATION",
        "./mlartifacts", artifact_folder,
        "URI", "Where the server keeps the artifacts that clients send to it: a path, file:///path or "
        "s3://bucket/prefix.",
    ),
    Setting(
        "artifacts_only", "Artifacts", ("--artifacts-only",), "MLFLOW_ARTIFACTS_ONLY", False, boolean,
        "", "Serve artifacts and nothing else: a server beside the one for experiments and runs.",
    ),
    Setting(
        "artifact_roots", "Artifacts", ("--artifact-roots",), "TRACKD_ARTIFACT_ROOTS", None, words,
        "URIS", "Further places, separated by commas, that artifacts of runs are shown from. Those below "
        "--artifacts-destination, --default-artifact-root and the folder of --backend-store-uri are shown anyway.",
    ),
    # The network.
    Setting(
        "host", "Network", ("--host", "-h"), "MLFLOW_HOST", "127.0.0.1", text,
        "HOST", "Address to listen on; 0.0.0.0 is every IPv4 address of this host.",
    ),
    Setting(
        "port", "Network", ("--port", "-p"), "MLFLOW_PORT", 5000, whole(0, 65535),
        "PORT", "Port to listen on; with 0 the system chooses one, and the first lines of output say which.",
    ),
    Setting(
        "static_prefix", "Network", ("--static-prefix",), "MLFLOW_STATIC_PREFIX", "", prefix,
        "PREFIX", "Path in front of every route, /api included: begins with '/' and does not end with it.",
    ),
    Setting(
        "read_timeout", "Network", ("--read-timeout",), "TRACKD_READ_TIMEOUT", None, whole(0, LONGEST_TIMEOUT),
        "SECONDS", "How long a request's body may be silent before 408; 0 is no limit. --timeout in --gunicorn-opts "
        "sets it too.",
    ),
    # Who may ask.
    Setting(
        "allowed_hosts", "Security", ("--allowed-hosts",), "MLFLOW_SERVER_ALLOWED_HOSTS", None, words,
        "HOSTS", "Host headers to answer, separated by commas; * stands for anything. Default: localhost and private "
        "addresses. A pattern without a port matches every port.",
    ),
    Setting(
        "cors_allowed_origins", "Security", ("--cors-allowed-origins",), "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS", None,
        words,
        "ORIGINS", "Origins of other web pages that may write, separated by commas; * stands for anything. Default: "
        "localhost.",
    ),
    Setting(
        "x_frame_options", "Security", ("--x-frame-options",), "MLFLOW_SERVER_X_FRAME_OPTIONS", "SAMEORIGIN", frame,
        "VALUE", "The X-Frame-Options header: SAMEORIGIN, DENY, or NONE to leave it away.",
    ),
    Setting(
        "disable_security_middleware", "Security", ("--disable-security-middleware",),
        "MLFLOW_SERVER_DISABLE_SECURITY_MIDDLEWARE", False, boolean,
        "", "Switch off the checks of Host and Origin and the security headers: any web page can then read and write.",
    ),
    Setting(
        "app_name", "Security", ("--app-name",), "", None, text,
        "NAME", "basic-auth asks for users and passwords.", REFUSED, "users, passwords and permissions",
    ),
    # This process.
    Setting(
        "mlflow_version", "Server", ("--mlflow-version",), "TRACKD_MLFLOW_VERSION", MLFLOW_VERSION, version,
        "VERSION", "What /version answers, for clients that insist on their own version.",
    ),
    Setting(
        "fail_silent_runs", "Server", ("--fail-silent-runs",), "TRACKD_FAIL_SILENT_RUNS", 0, whole(0, LONGEST_TIMEOUT),
        "SECONDS", "Mark a run FAILED that is RUNNING although nothing was written to it for so long and the server "
        "was up all the time; 0 marks none. For scripts that were killed.",
    ),
    Setting(
        "verbose", "Server", ("--verbose",), "TRACKD_VERBOSE", False, boolean,
        "", "Log every request with its status and time, and connections that end early.",
    ),
    Setting(
        "workers", "Server", ("--workers", "-w"), "MLFLOW_WORKERS", None, text,
        "N", "Number of worker processes.", NOTED, _ONE_PROCESS,
    ),
    Setting(
        "gunicorn_opts", "Server", ("--gunicorn-opts",), "MLFLOW_GUNICORN_OPTS", None, text,
        "OPTS", "Options of gunicorn; --timeout=N in them sets the read timeout, the others mean nothing here.",
        NOTED, "trackd does not use gunicorn",
    ),
    Setting(
        "uvicorn_opts", "Server", ("--uvicorn-opts",), "MLFLOW_UVICORN_OPTS", None, text,
        "OPTS", "Options of uvicorn.", NOTED, "trackd does not use uvicorn",
    ),
    Setting(
        "waitress_opts", "Server", ("--waitress-opts",), "", None, text,
        "OPTS", "Options of waitress.", NOTED, "trackd does not use waitress",
    ),
    Setting(
        "dev", "Server", ("--dev",), "", False, boolean,
        "", "Development mode.", NOTED, "trackd does not reload itself; --verbose logs more",
    ),
    Setting(
        "expose_prometheus", "Server", ("--expose-prometheus",), "MLFLOW_EXPOSE_PROMETHEUS", None, text,
        "PATH", "Answer /metrics in the format of Prometheus.", REFUSED, "metrics for Prometheus",
    ),
    Setting(
        "enable_workspaces", "Server", ("--enable-workspaces",), "MLFLOW_ENABLE_WORKSPACES", False, boolean,
        "", "Keep experiments apart in workspaces.", REFUSED, "workspaces", off=("--disable-workspaces",),
    ),
    Setting(
        "workspace_store_uri", "Server", ("--workspace-store-uri",), "MLFLOW_WORKSPACE_STORE_URI", None, text,
        "URI", "Where workspaces are kept.", NOTED, "it means something with --enable-workspaces only",
    ),
    Setting(
        "trace_archival_config", "Server", ("--trace-archival-config",), "MLFLOW_TRACE_ARCHIVAL_CONFIG", None, text,
        "PATH", "How traces are archived.", REFUSED, "archiving of traces",
    ),
    Setting(
        "secrets_cache_ttl", "Server", ("--secrets-cache-ttl",), "", 60, whole(10, 300),
        "SECONDS", "How long secrets of the gateway stay in memory.", REFUSED, "the gateway and its secrets",
    ),
    Setting(
        "secrets_cache_max_size", "Server", ("--secrets-cache-max-size",), "", 1000, whole(1, 10000),
        "N", "How many secrets of the gateway stay in memory.", REFUSED, "the gateway and its secrets",
    ),
)


class Variable(NamedTuple):
    """An environment variable of MLflow's that is read where it matters, when it matters, and has no flag."""

    name: str
    default: str
    help: str


VARIABLES: Tuple[Variable, ...] = (
    Variable(
        "MLFLOW_TRUNCATE_LONG_VALUES", "true",
        "Cut params and tags that are too long, as MLflow does; false or 0 answers 400 instead.",
    ),
    Variable(
        "MLFLOW_CREATE_MODEL_VERSION_SOURCE_VALIDATION_REGEX", "",
        "A regular expression of Python's that must be found in the source of every new model version. One that does "
        "not compile stops the server at its start; a search that takes longer than a second refuses the source.",
    ),
    Variable("MLFLOW_ARTIFACT_LOCATION_MAX_LENGTH", "2048", "How long an experiment's artifact location may be."),
    Variable(
        "MLFLOW_PRESIGNED_DOWNLOAD_URL_TTL_SECONDS", "300",
        "Seconds for which a URL of the storage itself can be used for a download.",
    ),
    Variable(
        "MLFLOW_ALLOWED_HOST_ADDRESSED_ARTIFACT_SCHEMES", "",
        "Schemes, separated by commas, that artifact locations of new experiments may have although they name another "
        "host (http, hdfs, ftp ...).",
    ),
    Variable("MLFLOW_S3_ENDPOINT_URL", "", "Where S3 is, if not at Amazon: http://minio:9000."),
    Variable("MLFLOW_S3_IGNORE_TLS", "false", "true takes any certificate of that S3."),
    Variable(
        "MLFLOW_S3_UPLOAD_EXTRA_ARGS", "",
        "JSON object of boto3's arguments for every upload to S3, such as {\"ServerSideEncryption\": \"aws:kms\"}.",
    ),
    Variable("MLFLOW_S3_EXPECTED_BUCKET_OWNER", "", "Account that must own the bucket; else S3 refuses."),
    Variable("MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE", "auto", "path or virtual: where the bucket stands in S3's URLs."),
    Variable("MLFLOW_EXPERIMENTAL_S3_SIGNATURE_VERSION", "s3v4", "How requests to S3 are signed; unsigned for none."),
    Variable("MLFLOW_TRACKING_USERNAME", "", "User for a server that trackd copy reads or writes."),
    Variable("MLFLOW_TRACKING_PASSWORD", "", "Password for such a server."),
    Variable("MLFLOW_TRACKING_TOKEN", "", "Bearer token for such a server, instead of user and password."),
    Variable("MLFLOW_TRACKING_INSECURE_TLS", "false", "true takes any certificate of such a server."),
    Variable("MLFLOW_TRACKING_SERVER_CERT_PATH", "", "Certificates that such a server is checked against."),
)


class Config:
    """The settings in force, one attribute per row of ``SETTINGS``; ``Config()`` holds the defaults.

    ``default_artifact_root`` is always set and absolute. ``read_timeout`` is in seconds, ``None`` for the server's own
    limit and 0 for none. ``notes`` are sentences for the user about what was given and has no effect.
    """

    backend_store_uri: str
    read_only: bool
    sync: Optional[str]
    index: Optional[str]
    registry_store_uri: Optional[str]
    default_artifact_root: str
    serve_artifacts: bool
    artifacts_destination: str
    artifacts_only: bool
    artifact_roots: Optional[List[str]]
    host: str
    port: int
    static_prefix: str
    read_timeout: Optional[int]
    allowed_hosts: Optional[List[str]]
    cors_allowed_origins: Optional[List[str]]
    x_frame_options: str
    disable_security_middleware: bool
    mlflow_version: str
    verbose: bool
    fail_silent_runs: int
    gunicorn_opts: Optional[str]

    def __init__(self, **values: Any) -> None:
        self.notes: List[str] = []
        for setting in SETTINGS:
            setattr(self, setting.name, values.pop(setting.name, setting.default))
        if values:
            raise TypeError(f"no such setting: {', '.join(values)}")
        self.default_artifact_root = self._artifact_root()

    def _artifact_root(self) -> str:
        """Where new experiments keep artifacts, by MLflow's rule; a local path is made absolute as MLflow makes it."""
        root = self.default_artifact_root
        if not root:
            # Beside a database MLflow keeps artifacts in ./mlruns.
            place = "./mlruns" if is_database(self.backend_store_uri) else self.backend_store_uri
            root = ARTIFACT_PROXY if self.serve_artifacts else place
        scheme = scheme_of(root)
        path = local_path(root) if scheme == "file" else None
        if path and not path.startswith("/"):
            from pathlib import Path

            return Path(os.path.abspath(path)).as_uri()
        return root if scheme else os.path.abspath(root)
