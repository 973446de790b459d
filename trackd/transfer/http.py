"""Requests to a tracking server: JSON in and out, one connection, repeated where that is safe and may help."""

import base64
import http.client
import json
import os
import ssl
import time
from typing import Any, Dict, Optional
from urllib.parse import unquote, urlencode, urlsplit

from trackd.transfer.sides import CannotCopy, Refused

#: Seconds without a byte until a server counts as gone; a search of MLflow's can take long.
TIMEOUT = 120
#: How often a request is made before giving up, and the seconds before each further time.
_PAUSES = (0.25, 0.5, 1, 2, 4)
#: Answers after which the same request may succeed.
_AGAIN = frozenset((408, 429, 502, 503, 504))


class Http:
    """A server at ``uri``. User and password come from it, or from MLflow's ``MLFLOW_TRACKING_*`` variables."""

    def __init__(self, uri: str) -> None:
        parts = urlsplit(uri)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise CannotCopy(f"{uri!r} is not the address of a server; expected http://host:port.")
        self._https = parts.scheme == "https"
        self._host, self._port = parts.hostname, parts.port
        self.shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}"
        self.prefix = parts.path.rstrip("/")
        self._headers = _authorization(unquote(parts.username or ""), unquote(parts.password or ""))
        self._connection: Optional[http.client.HTTPConnection] = None

    def get(self, path: str, query: Dict[str, Any], absent: bool = False) -> Optional[Dict[str, Any]]:
        """A GET below /api/2.0/mlflow; with ``absent`` a 404 is ``None``."""
        return self._json("GET", f"{path}?{urlencode(query)}", None, absent)

    def post(self, path: str, body: Dict[str, Any], once: bool = False) -> Dict[str, Any]:
        """A POST below /api/2.0/mlflow; with ``once`` it is never repeated after it may have been done."""
        return self._json("POST", path, json.dumps(body).encode("ascii"), False, once) or {}

    def patch(self, path: str, body: Dict[str, Any]) -> Dict[str, Any]:
        """A PATCH below /api/2.0/mlflow."""
        return self._json("PATCH", path, json.dumps(body).encode("ascii"), False) or {}

    def delete(self, path: str, body: Dict[str, Any]) -> None:
        """A DELETE below /api/2.0/mlflow."""
        self._json("DELETE", path, json.dumps(body).encode("ascii"), False)

    def has(self, path: str, body: Dict[str, Any]) -> bool:
        """Whether the server has this route below /api/2.0/mlflow; an old MLflow lacks some."""
        return self.post_if_known(f"/api/2.0/mlflow/{path}", body) is not None

    def post_if_known(self, path: str, body: Dict[str, Any]) -> Optional[Dict[str, Any]]:
        """A POST to any path below the server's own; ``None`` if the server has no such route."""
        status, data = self._repeated("POST", path, json.dumps(body).encode("ascii"), False)
        if lacks_route(status, _code(data)):
            return None
        if status != 200:
            raise self.error("POST", path, status, data)
        return self._read(path, data)

    def _json(
        self, method: str, path: str, body: Optional[bytes], absent: bool, once: bool = False
    ) -> Optional[Dict[str, Any]]:
        status, data = self._repeated(method, f"/api/2.0/mlflow/{path}", body, once)
        if status == 404 and absent and _code(data) == "RESOURCE_DOES_NOT_EXIST":
            return None
        if status != 200:
            raise self.error(method, path.partition("?")[0], status, data)
        return self._read(path, data)

    def _read(self, path: str, data: bytes) -> Dict[str, Any]:
        try:
            return json.loads(data)
        except ValueError:
            raise CannotCopy(f"{self.shown} is no tracking server: its answer to {path} is not JSON.") from None

    def error(self, method: str, path: str, status: int, data: bytes) -> Exception:
        """What an answer means: the server refused this one thing, or is not what it should be."""
        message = _message(data)
        sentence = f"{self.shown} answers {status} to {method} {path}: {message}"
        # MLflow answers 500 to much that is wrong with one request only.
        if status in (401, 403) or status > 500 or not message:
            return CannotCopy(sentence if message else f"{self.shown} answers {status} to {method} {path}.")
        return Refused(sentence)

    def _repeated(self, method: str, target: str, body: Optional[bytes], once: bool) -> Any:
        for pause in (*_PAUSES, None):
            try:
                status, data = self._ask(method, target, body)
                if status not in _AGAIN or pause is None or (once and status != 429):
                    return status, data
            except (OSError, http.client.HTTPException) as error:
                self.close()
                if pause is None or once:
                    raise CannotCopy(f"{self.shown} does not answer: {str(error) or type(error).__name__}.") from None
            time.sleep(pause)
        raise AssertionError("the last pause is None")

    def _ask(self, method: str, target: str, body: Optional[bytes]) -> Any:
        headers = {"Accept": "application/json", **self._headers}
        if body is not None:
            headers["Content-Type"] = "application/json"
        connection = self.connect()
        connection.request(method, self.prefix + target, body, headers)
        answer = connection.getresponse()
        data = answer.read()
        if answer.will_close:
            self.close()
        return answer.status, data

    def connect(self) -> http.client.HTTPConnection:
        """The connection, made if need be."""
        if self._connection is None:
            self._connection = self.new_connection()
        return self._connection

    def new_connection(self) -> http.client.HTTPConnection:
        """A connection for one transfer, which the caller closes."""
        if self._https:
            return http.client.HTTPSConnection(self._host, self._port, timeout=TIMEOUT, context=_tls())
        return http.client.HTTPConnection(self._host, self._port, timeout=TIMEOUT)

    def headers(self) -> Dict[str, str]:
        """What says who we are."""
        return dict(self._headers)

    def get_from(self, path: str, query: Dict[str, str]) -> Dict[str, Any]:
        """The JSON of a GET of any path below the server's own."""
        status, data = self._repeated("GET", f"{path}?{urlencode(query)}", None, False)
        if status != 200:
            raise self.error("GET", path, status, data)
        return _object(data)

    def close(self) -> None:
        """Let go of the connection; the next request makes a new one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def lacks_route(status: Optional[int], code: Optional[str]) -> bool:
    """Whether an answer means that the server has no such route: MLflow's is 404, or 405 for a page of its own."""
    return status in (404, 405) and code != "RESOURCE_DOES_NOT_EXIST"


def _authorization(user: str, password: str) -> Dict[str, str]:
    user = user or os.environ.get("MLFLOW_TRACKING_USERNAME", "")
    password = password or os.environ.get("MLFLOW_TRACKING_PASSWORD", "")
    token = os.environ.get("MLFLOW_TRACKING_TOKEN", "")
    if user:
        token = base64.b64encode(f"{user}:{password}".encode()).decode("ascii")
        return {"Authorization": f"Basic {token}"}
    return {"Authorization": f"Bearer {token}"} if token else {}


def _tls() -> ssl.SSLContext:
    if os.environ.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() in ("1", "true"):
        return ssl._create_unverified_context()
    return ssl.create_default_context(cafile=os.environ.get("MLFLOW_TRACKING_SERVER_CERT_PATH") or None)


def _code(data: bytes) -> str:
    return str(_object(data).get("error_code", ""))


def _message(data: bytes) -> str:
    return str(_object(data).get("message", ""))


def _object(data: bytes) -> Dict[str, Any]:
    try:
        found = json.loads(data)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
