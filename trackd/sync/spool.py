"""Replays a spool (``client._Spool``): sends to a server what was logged into a folder, in order, each line once.

How far it is stands in a file beside the spool, one per server, written some times a second. What was sent after the
last writing is sent again when a sync was killed, and that changes nothing: a run is made under its own id (or found by
a tag, on a server that gives ids itself), equal points are one point, params and tags are set to what they are.

Several processes may have written, each its own file; they are replayed in the order in which they were begun. A last
line that has no end yet is left for later: its writer is at work, or was killed in the middle of it.
"""

import json
import os
import time
from typing import Any, BinaryIO, Callable, Dict, List, Optional, Tuple

from trackd import client
from trackd.client import MlflowException, RestException
from trackd.transfer.http import lacks_route
from trackd.transfer.servers import CREATE_AS

#: On a server that chooses ids itself: the id that a run had in the spool.
ORIGIN_TAG = "trackd.spoolRunId"
#: In front of the name of an experiment, in the place of its id.
_BY_NAME = "spool:"
#: Seconds between two writings of how far it is.
_SAVE_EVERY = 0.2
_PARENT = "mlflow.parentRunId"


#: What a server says of a single request. Anything else (who are you, nothing here, come again) is about all of them.
_REFUSALS = frozenset((
    "INVALID_PARAMETER_VALUE", "BAD_REQUEST", "INVALID_STATE", "RESOURCE_DOES_NOT_EXIST", "RESOURCE_ALREADY_EXISTS",
    "RESOURCE_CONFLICT",
))


class _FileGone(Exception):
    """A file that was logged has been removed from the spool."""


def _is_refusal(error: Exception) -> bool:
    """Whether the line is at fault, and not the server or the way to it."""
    return isinstance(error, _FileGone) or (isinstance(error, RestException) and error.error_code in _REFUSALS)


class Sent:
    """What a sync has done. ``refused`` has a sentence for each line that the server did not take."""

    def __init__(self) -> None:
        self.runs = self.points = self.requests = self.files = self.failed = 0
        self.refused: List[str] = []

    def __bool__(self) -> bool:
        return bool(self.runs or self.points or self.requests or self.files or self.failed or self.refused)

    def line(self) -> str:
        """All of it on one line."""
        parts = [f"{self.runs:,} runs", f"{self.points:,} points of metrics", f"{self.requests:,} other requests"]
        parts.append(f"{self.files:,} files")
        if self.failed:
            parts.append(f"{self.failed:,} runs marked FAILED")
        return "sent: " + ", ".join(parts) + (f"; refused: {len(self.refused):,} lines" if self.refused else "")


class State:
    """How far the files of a spool are at one server; what is at the server under another name."""

    def __init__(self, folder: str, uri: str) -> None:
        from hashlib import sha256

        mark = sha256(uri.encode()).hexdigest()[:12]
        self._path = os.path.join(folder, f".trackd-sync-{mark}.json")
        self._saved = 0.0
        #: File -> how many bytes are done, and whose points would follow.
        self.done: Dict[str, Tuple[int, str]] = {}
        #: Id in the spool -> id at the server, where they differ.
        self.ids: Dict[str, str] = {}
        #: Runs that have not ended -> the file that spoke of them last.
        self.running: Dict[str, str] = {}
        if os.path.exists(self._path):
            with open(self._path, encoding="utf-8") as file:
                found = json.load(file)
            self.done = {name: (offset, whose) for name, (offset, whose) in found["done"].items()}
            self.ids, self.running = found["ids"], found["running"]
        self._uri = uri

    def save(self, now: bool = True) -> None:
        """Write it down; unless ``now``, only if the last time is some while ago."""
        if not now and time.monotonic() - self._saved < _SAVE_EVERY:
            return
        found = {"server": self._uri, "done": self.done, "ids": self.ids, "running": self.running}
        temporary = f"{self._path}.{os.getpid()}.tmp"
        with open(temporary, "w", encoding="utf-8") as file:
            json.dump(found, file)
        os.replace(temporary, self._path)
        self._saved = time.monotonic()


def spooled(folder: str) -> List[str]:
    """The names of the files of a spool, the oldest first."""
    return sorted(name for name in os.listdir(folder) if name.endswith(".jsonl"))


def server_of(folder: str) -> str:
    """The server that the spool stood in for, empty if none is named."""
    for name in spooled(folder):
        with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as file:
            line = file.readline()
        try:
            about = json.loads(line)[1]
            if about.get("server"):
                return str(about["server"])
        except (ValueError, IndexError, AttributeError, KeyError):
            continue
    return ""


class SpoolSync:
    """Sends a spool to a server. Errors of the connection are ``Unreachable``; what was done until then is kept."""

    def __init__(self, folder: str, uri: str, say: Callable[[str], None] = lambda line: None) -> None:
        self.folder = folder
        self.sent = Sent()
        self._say = say
        self._client = client.Client(uri)
        self._server = self._client._to
        self._state = State(folder, uri)
        self._experiments: Dict[str, str] = {}
        self._locations: Dict[str, str] = {}
        self._takes_ids = True
        self._name = ""
        self._whose = ""
        self._points: List[str] = []

    def run(self) -> Sent:
        """Send all that is there now."""
        self.sent = Sent()
        try:
            for name in spooled(self.folder):
                self._file(name)
        finally:
            if self.sent:
                self._state.save()
        return self.sent

    def _file(self, name: str) -> None:
        path = os.path.join(self.folder, name)
        offset, self._whose = self._state.done.get(name, (0, ""))
        if os.path.getsize(path) <= offset:
            return
        self._name, self._points = name, []
        with open(path, "rb") as file:
            file.seek(offset)
            self._lines(file, offset)

    def _lines(self, file: BinaryIO, offset: int) -> None:
        """Lines until the end, or until one that is not whole. Points are collected, everything else is sent alone."""
        points = self._points
        for line in file:
            if not line.endswith(b"\n"):
                break
            if line.startswith(b'{"key":') and self._whose:
                points.append(line[:-1].decode("utf-8", "replace"))
                offset += len(line)
                if len(points) == 1000:
                    self._flush(offset)
                continue
            self._flush(offset)
            self._other(line)
            offset += len(line)
            self._done(offset)
        self._flush(offset)

    def _flush(self, offset: int) -> None:
        """Send the points that are collected."""
        if self._points:
            self._send_points(self._points)
            del self._points[:]
            self._done(offset)

    def _done(self, offset: int) -> None:
        self._state.done[self._name] = (offset, self._whose)
        self._state.save(now=False)

    def _send_points(self, points: List[str]) -> None:
        """Send points; where one is refused, find out which, and send the others."""
        try:
            self._server.log_points(self._at_server(self._whose), points)
            self.sent.points += len(points)
        except MlflowException as error:
            if not _is_refusal(error):
                raise
            if len(points) == 1 or error.error_code == "RESOURCE_DOES_NOT_EXIST":
                self._refuse("\n".join(points), error.message)
                return
            middle = len(points) // 2
            self._send_points(points[:middle])
            self._send_points(points[middle:])

    def _refuse(self, line: str, reason: str) -> None:
        """Keep a line that the server does not take, beside its file, with the reason."""
        with open(os.path.join(self.folder, self._name + ".refused"), "a", encoding="utf-8") as file:
            file.write(json.dumps([reason, line]) + "\n")
        self.sent.refused.append(f"{self._name}: {reason}")

    def _other(self, line: bytes) -> None:
        """A line that is no point."""
        try:
            words = json.loads(line)
            if not isinstance(words, list):
                raise ValueError
        except ValueError:
            if line.strip():
                self._refuse(line[:-1].decode("utf-8", "replace"), "this line is damaged and was left out")
            return
        try:
            if words[0] == "run":
                self._whose = words[1]
            elif words[0] == "call":
                self._call(words[1], words[2], dict(words[3]))
            elif words[0] == "file":
                self._send_file(words[1], words[2])
        except (_FileGone, MlflowException) as error:
            if not _is_refusal(error):
                raise
            self._refuse(line[:-1].decode("utf-8"), str(error))

    def _at_server(self, run_id: str) -> str:
        return self._state.ids.get(run_id, run_id)

    def _experiment(self, given: str) -> str:
        """The id of an experiment at the server; one that is known by name is created if need be."""
        if not given.startswith(_BY_NAME):
            return given
        name = given[len(_BY_NAME) :]
        if name not in self._experiments:
            found = self._client.get_experiment_by_name(name)
            self._experiments[name] = found.experiment_id if found else self._client.create_experiment(name)
        return self._experiments[name]

    def _call(self, method: str, route: str, body: Dict[str, Any]) -> None:
        run_id = str(body.get("run_id") or "")
        if "experiment_id" in body:
            body["experiment_id"] = self._experiment(body["experiment_id"])
        for tag in body.get("tags") or ():
            if tag.get("key") == _PARENT:
                tag["value"] = self._at_server(tag["value"])
        if route == "runs/create":
            self._create(run_id, body)
            return
        if route == "experiments/create":
            if self._client.get_experiment_by_name(body["name"]) is None:
                self._server.call(method, route, body)
                self.sent.requests += 1
            return
        for name in ("run_id", "run_uuid"):
            if body.get(name):
                body[name] = self._at_server(body[name])
        try:
            self._server.call(method, route, body)
        except MlflowException as error:
            # What is to be deleted and is not there was deleted before.
            if "delete" not in route or not isinstance(error, RestException) or error.get_http_status_code() != 404:
                raise
        self.sent.requests += 1
        if route == "runs/update" and body.get("status"):
            if client.RunStatus.is_terminated(body["status"]):
                self._state.running.pop(run_id, None)
            else:
                self._state.running[run_id] = self._name

    def _create(self, run_id: str, body: Dict[str, Any]) -> None:
        """Make a run, unless it is there: under its own id, or found by a tag where the server gives ids itself."""
        made: Optional[Dict[str, Any]] = None
        if self._takes_ids:
            try:
                made = self._server.call("POST", CREATE_AS, body)
            except MlflowException as error:
                if not lacks_route(error.get_http_status_code(), error.error_code):
                    raise
                self._takes_ids = False
        if made is None:
            made = self._create_elsewhere(run_id, body)
        self.sent.runs += int(bool(made.get("created", True)))
        info = made["run"]["info"]
        if info["run_id"] != run_id:
            self._state.ids[run_id] = info["run_id"]
        self._state.running[run_id] = self._name
        self._state.save()
        self._locations[run_id] = info["artifact_uri"]

    def _create_elsewhere(self, run_id: str, body: Dict[str, Any]) -> Dict[str, Any]:
        found = self._client.search_runs(
            [body["experiment_id"]], f"tags.`{ORIGIN_TAG}` = '{run_id}'", client.ViewType.ALL, 1
        )
        if found:
            asked = self._server.call("GET", "runs/get", {"run_id": found[0].info.run_id})
            return {"run": asked["run"], "created": False}
        given = {name: value for name, value in body.items() if name != "run_id"}
        given["tags"] = [*(body.get("tags") or ()), {"key": ORIGIN_TAG, "value": run_id}]
        return self._server.call("POST", "runs/create", given)

    def _send_file(self, run_id: str, path: str) -> None:
        local = os.path.join(self.folder, "artifacts", run_id, *path.split("/"))
        if not os.path.isfile(local):
            raise _FileGone(f"The file {local} is not there any more.")
        at_server = self._at_server(run_id)
        if run_id not in self._locations:
            asked = self._server.call("GET", "runs/get", {"run_id": at_server})
            self._locations[run_id] = asked["run"]["info"]["artifact_uri"]
        self._say(f"sending {path} of run {run_id}")
        self._server.put_file(at_server, self._locations[run_id], path, local)
        self.sent.files += 1

    def fail_silent(self, seconds: float) -> None:
        """Mark FAILED what has not ended although its file was silent for so long; it ended when that was written."""
        for run_id, name in list(self._state.running.items()):
            path = os.path.join(self.folder, name)
            last = os.path.getmtime(path) if os.path.exists(path) else 0.0
            if time.time() - last < seconds:
                continue
            at_server = self._at_server(run_id)
            found = self._client.get_run(at_server).info
            if found.status == "RUNNING" and found.lifecycle_stage == "active":
                self._client.set_terminated(at_server, "FAILED", int(last * 1000) or None)
                self.sent.failed += 1
            self._state.running.pop(run_id)
        self._state.save()
