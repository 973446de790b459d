"""The application as tests use it: the real one, on every store there is, called in-process."""

import json
import shutil
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Tuple, Union
from urllib.parse import urlencode

import pytest
from hypothesis import settings

from tests.memory_store import MemoryStore
from trackd.app import App
from trackd.config import Config
from trackd.store.base import Store
from trackd.web.message import Request, Response

# A machine that runs tests may be busy: no example fails for being slow.
settings.register_profile("trackd", deadline=None)
settings.load_profile("trackd")

Query = Union[Dict[str, Any], List[Tuple[str, Any]], str]

#: What the ``store`` fixture runs on.
STORES = ("memory", "file", "sql")


class Reply(NamedTuple):
    """An answer: its status, its JSON (``None`` if it is not JSON), and all of it."""

    status: int
    json: Any
    response: Response

    @property
    def error(self) -> str:
        """The error code, empty for none."""
        return self.json.get("error_code", "") if isinstance(self.json, dict) else ""


class Client:
    """Sends requests to an application without a socket. Paths without a leading slash are below /api/2.0/mlflow/."""

    def __init__(self, app: App) -> None:
        self.app = app

    def send(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        query: str = "",
        headers: Optional[Dict[str, str]] = None,
    ) -> Reply:
        """One request as it is."""
        full = path if path.startswith("/") else "/api/2.0/mlflow/" + path
        given = {"host": "localhost", **(headers or {})}
        response = self.app.handle(Request(method, full, query, given, body, id="r-1"))
        if response.pieces is not None:
            response.body = b"".join(response.pieces)
        is_json = response.content_type == "application/json"
        return Reply(response.status, json.loads(response.body) if is_json and response.body else None, response)

    def get(self, path: str, query: Query = "") -> Reply:
        """A GET; a query that is not text is encoded, lists as repeated keys."""
        text = query if isinstance(query, str) else urlencode(query, doseq=True)
        return self.send("GET", path, query=text)

    def post(self, path: str, body: Any = None, raw: Optional[bytes] = None) -> Reply:
        """A POST of JSON, or of ``raw`` bytes said to be JSON."""
        data = raw if raw is not None else json.dumps(body if body is not None else {}).encode()
        return self.send("POST", path, data, headers={"content-type": "application/json"})

    def patch(self, path: str, body: Any = None) -> Reply:
        """A PATCH of JSON."""
        return self.send("PATCH", path, json.dumps(body or {}).encode(), headers={"content-type": "application/json"})

    def delete(self, path: str, body: Any = None) -> Reply:
        """A DELETE with a JSON body, as clients send it."""
        return self.send("DELETE", path, json.dumps(body or {}).encode(), headers={"content-type": "application/json"})

    def ok(self, path: str, **body: Any) -> Any:
        """The JSON of a POST that must succeed."""
        reply = self.post(path, body)
        assert reply.status == 200, reply.json
        return reply.json

    def run(self, experiment_id: str = "0", **fields: Any) -> str:
        """The id of a new run."""
        return str(self.ok("runs/create", experiment_id=experiment_id, **fields)["run"]["info"]["run_id"])

    def get_run(self, run_id: str) -> Any:
        """A run that must be there."""
        reply = self.get("runs/get", {"run_id": run_id})
        assert reply.status == 200, reply.json
        return reply.json["run"]


def pairs(items: Any) -> Dict[str, Any]:
    """A list of objects with key and value, as a dict."""
    return {item["key"]: item["value"] for item in items}


@pytest.fixture(scope="session")
def new_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new database to copy: making its eighty tables takes ten times as long."""
    from trackd.store import open_store

    path = tmp_path_factory.mktemp("database") / "new.db"
    open_store(f"sqlite:///{path}", sync="off").close()
    return path


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path, new_database: Path) -> Iterator[Store]:
    """An empty store of each kind, which holds the experiment 0, Default."""
    if request.param == "memory":
        opened: Store = MemoryStore()
    else:
        from trackd.store import open_store

        place = str(tmp_path / "mlruns")
        if request.param == "sql":
            shutil.copyfile(new_database, tmp_path / "my.db")
            place = f"sqlite:///{tmp_path / 'my.db'}"
        opened = open_store(place, sync="off")
    yield opened
    problems = opened.check()
    opened.close()
    assert not problems, problems


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """The default settings, with all folders under a temporary one."""
    return Config(backend_store_uri=str(tmp_path / "mlruns"), artifacts_destination=str(tmp_path / "mlartifacts"))


@pytest.fixture
def client(store: Store, config: Config) -> Client:
    """A client of an application on ``store``."""
    return Client(App(store, config))
