"""The differential test's engine: steps are sent to two servers, their answers made comparable and compared.

A *step* is one request of a table (``steps_*.py``). ``$name`` in its path, query or body stands for a value that an
earlier step kept from its own answer on the same server (ids, names, page tokens). ``normalise`` then takes out of an
answer what two servers cannot have in common, and nothing else:

* kept ids and generated names become ``<name>`` (a value that nobody kept stays, and so is compared); the id of
  every created run and experiment is kept under the step's name if the step does not name it;
* experiment ids, which are short numbers, are replaced only in the fields that hold one;
* the times that servers set (``SET_BY_SERVERS``) become ``<now>`` if they lie within a day of now (all times that the
  tables send are years old);
* page tokens become ``<token>``, the text of an error becomes ``<text>``, both only if they are non-empty strings;
* tags, params, current metrics, aliases, inputs and outputs of an entity are sorted: their order carries no meaning.
"""

import json
import re
import time
from typing import Any, Dict, Iterable, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

from tests.compat.peers import Answer, Peer

PREFIX = "/api/2.0/mlflow/"

#: Pages that ``follow`` reads at most; a token that never ends is a failure, not a hang.
MOST_PAGES = 60

DAY = 86400

SET_BY_SERVERS = (
    "creation_time", "last_update_time", "creation_timestamp_ms", "last_updated_timestamp_ms", "creation_timestamp",
    "last_updated_timestamp",
)

#: Where a reply has the id of what was created.
CREATED = {
    "experiments/create": "experiment_id",
    "runs/create": "run.info.run_id",
    "logged-models": "model.info.model_id",
}

Pairs = Sequence[Tuple[str, str]]


class Step(NamedTuple):
    """One request of a table.

    ``path`` is relative to ``/api/2.0/mlflow/`` unless it starts with ``/``. ``query`` goes on the request line,
    ``body`` is sent as JSON, ``raw`` as it is. ``keep`` names parts of the answer (dotted path) for later steps.
    ``follow``: ask again with ``next_page_token`` to the last page; the answer is the list of pages.
    ``ids_ascend``: entities that are equal in every sort key must come in the order of their random ids; checked on
    each server by itself, then put into the order of their symbols.
    """

    name: str
    method: str
    path: str
    query: Pairs = ()
    body: Any = None
    raw: Optional[bytes] = None
    headers: Optional[Mapping[str, str]] = None
    keep: Mapping[str, str] = {}
    follow: bool = False
    ids_ascend: bool = False


def get(name: str, path: str, query: Union[Mapping[str, Any], Pairs, None] = None, **more: Any) -> Step:
    """A GET step; ``query`` as a mapping, or as pairs where a key repeats."""
    pairs = list(query.items()) if isinstance(query, Mapping) else list(query or ())
    return Step(name, "GET", path, query=[(key, str(value)) for key, value in pairs], **more)


def post(name: str, path: str, body: Any = None, **more: Any) -> Step:
    """A POST step with a JSON body."""
    return Step(name, "POST", path, body={} if body is None else body, **more)


def patch(name: str, path: str, body: Any = None, **more: Any) -> Step:
    """A PATCH step with a JSON body."""
    return post(name, path, body, **more)._replace(method="PATCH")


def delete(name: str, path: str, body: Any = None, **more: Any) -> Step:
    """A DELETE step with a JSON body."""
    return post(name, path, body, **more)._replace(method="DELETE")


class Ledger:
    """What the steps kept on one server, and which symbol stands for it."""

    def __init__(self) -> None:
        self.values: Dict[str, str] = {}
        self.symbols: Dict[str, str] = {}
        self.experiments: Dict[str, str] = {}

    def keep(self, name: str, path: str, body: Any) -> None:
        """Keep the part of ``body`` at the dotted ``path`` as ``$name``; a part that is not there is kept as such."""
        part: Any = body
        for piece in path.split("."):
            if isinstance(part, list) and piece.isdigit() and int(piece) < len(part):
                part = part[int(piece)]
            elif isinstance(part, Mapping):
                part = part.get(piece)
            else:
                part = None
        if not isinstance(part, str) or not part:
            self.values[name] = f"no-{name}"
            return
        self.values[name] = part
        last = path.rsplit(".", 1)[-1]
        if last == "experiment_id":
            self.experiments[part] = name
        elif last != "next_page_token":
            self.symbols[part] = name

    def fill(self, value: Any) -> Any:
        """``value`` with every ``$name`` replaced; a name that nobody kept is a mistake in the table."""
        if isinstance(value, str):
            return re.sub(r"\$([a-z][a-z0-9_]*)", lambda found: self.values[found.group(1)], value)
        if isinstance(value, Mapping):
            return {self.fill(key): self.fill(part) for key, part in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.fill(part) for part in value]
        return value


def send(peer: Peer, ledger: Ledger, step: Step) -> Answer:
    """Send one step with its names filled in."""
    path = ledger.fill(step.path)
    headers = dict(step.headers or {})
    raw = step.raw
    if step.body is not None:
        raw = json.dumps(ledger.fill(step.body)).encode("utf-8")
        headers.setdefault("Content-Type", "application/json")
    query = [(key, ledger.fill(value)) for key, value in step.query]
    return peer.ask(step.method, path if path.startswith("/") else PREFIX + path, query, raw, headers)


def pages(peer: Peer, ledger: Ledger, step: Step) -> Answer:
    """Send a step, then again with each ``next_page_token``; the body of the answer is the list of the pages."""
    found: List[Any] = []
    for _ in range(MOST_PAGES):
        answer = send(peer, ledger, step)
        found.append(answer.body)
        token = answer.body.get("next_page_token") if isinstance(answer.body, Mapping) else None
        if not token:
            return answer._replace(body=found)
        if step.body is not None:
            step = step._replace(body=dict(step.body, page_token=token))
        else:
            kept = [(key, value) for key, value in step.query if key != "page_token"]
            step = step._replace(query=kept + [("page_token", token)])
    raise AssertionError(f"{peer.name}: {step.name}: more than {MOST_PAGES} pages")


def run(peer: Peer, steps: Iterable[Step]) -> Dict[str, Dict[str, Any]]:
    """Send all steps in order to one server; the normalised answer of each, by the step's name."""
    ledger = Ledger()
    answers: Dict[str, Dict[str, Any]] = {}
    for step in steps:
        assert step.name not in answers, f"two steps are called {step.name!r}"
        answer = pages(peer, ledger, step) if step.follow else send(peer, ledger, step)
        if step.path.startswith(("experiments/", "logged-models", "registered-models/", "model-versions/")):
            # Their times are set by the server and are sort keys: no two in one millisecond.
            time.sleep(0.002)
        for name, path in step.keep.items():
            ledger.keep(name, path, answer.body)
        created = CREATED.get(step.path)
        if created and created not in step.keep.values():
            ledger.keep(step.name, created, answer.body)
        body = by_symbol(answer.body, ledger) if step.ids_ascend else answer.body
        answers[step.name] = normalise(answer._replace(body=body), ledger)
    return answers


def normalise(answer: Answer, ledger: Ledger) -> Dict[str, Any]:
    """The comparable form of an answer: status, media type, the two headers MLflow sends everywhere, body."""
    body = answer.body
    if answer.status >= 400 and isinstance(body, Mapping) and is_text(body.get("message")):
        body = dict(body, message="<text>")
    if answer.content_type == "text/plain" and answer.status >= 400 and is_text(body):
        body = "<text>"
    if answer.content_type == "text/html" and isinstance(body, str) and body.lstrip().startswith("<"):
        body = "<page>"
    return {
        "status": answer.status,
        "type": answer.content_type,
        "nosniff": answer.headers.get("x-content-type-options"),
        "frame": answer.headers.get("x-frame-options"),
        "body": plain(body, ledger),
    }


def is_text(value: Any) -> bool:
    """A string with something in it."""
    return isinstance(value, str) and bool(value.strip())


def plain(value: Any, ledger: Ledger, key: str = "", parent: str = "") -> Any:
    """``value`` without what belongs to one server only; ``key`` is the field it is in, ``parent`` the one above."""
    if isinstance(value, Mapping):
        return {name: plain(part, ledger, name, key) for name, part in value.items()}
    if isinstance(value, list):
        parts = [plain(part, ledger, key, parent) for part in value]
        return in_key_order(parts, key, parent)
    if isinstance(value, str):
        return plain_text(value, ledger, key)
    if key in SET_BY_SERVERS and isinstance(value, int):
        return "<now>" if abs(value / 1000 - time.time()) < DAY else value
    return value


def in_key_order(parts: List[Any], key: str, parent: str) -> List[Any]:
    """Lists whose order carries no meaning, sorted: tags, params, current metrics, aliases, inputs and outputs."""
    loose = key in ("tags", "params", "aliases", "latest_versions") or (key == "metrics" and parent == "data")
    if loose or key in ("dataset_inputs", "model_inputs", "model_outputs", "dataset_summaries"):
        return sorted(parts, key=lambda part: json.dumps(part, sort_keys=True))
    return parts


def plain_text(value: str, ledger: Ledger, key: str) -> str:
    """A string with symbols in place of the ids, names and tokens of one server."""
    if key == "next_page_token" and value:
        return "<token>"
    if key in ("experiment_id", "experiment_ids") and value in ledger.experiments:
        return f"<{ledger.experiments[value]}>"
    if key in ("artifact_location", "artifact_uri", "root_uri", "source"):
        value = re.sub(
            r"^(mlflow-artifacts:/)(\d+)(?=/|$)",
            lambda found: found.group(1) + "<" + ledger.experiments.get(found.group(2), found.group(2)) + ">",
            value,
        )
    for own, symbol in ledger.symbols.items():
        if value == own:
            return f"<{symbol}>"
        if len(own) in (32, 34) and own in value:
            value = value.replace(own, f"<{symbol}>")
    return value


def by_symbol(body: Any, ledger: Ledger) -> Any:
    """Runs (or metric points) whose run ids ascend, in the order of their symbols; if they do not, the body says so."""
    field = "runs" if isinstance(body, Mapping) and "runs" in body else "metrics"
    parts = body.get(field, []) if isinstance(body, Mapping) else []
    ids = [part["info"]["run_id"] if field == "runs" else part["run_id"] for part in parts]
    if ids != sorted(ids):
        return {f"{field} are not in the order of their run ids": ids}
    order = sorted(range(len(parts)), key=lambda at: (ledger.symbols.get(ids[at], ""), at))
    return dict(body, **{field: [parts[at] for at in order]}) if parts else body


def differences(one: Any, other: Any, where: str = "") -> List[str]:
    """Every place where two normalised answers differ, as ``path: one / other`` lines."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        found: List[str] = []
        for key in sorted(set(one) | set(other)):
            if key not in one or key not in other:
                side = "only the second has" if key in other else "only the first has"
                found.append(f"{where}.{key}: {side} {show(other.get(key, one.get(key)))}")
            else:
                found += differences(one[key], other[key], f"{where}.{key}")
        return found
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return [line for at, pair in enumerate(zip(one, other)) for line in differences(*pair, f"{where}[{at}]")]
    if isinstance(one, list) and isinstance(other, list):
        gone = [show(part) for part in one if part not in other]
        new = [show(part) for part in other if part not in one]
        return [f"{where}: {len(one)} / {len(other)} entries; only the first has {gone}; only the second has {new}"]
    # 1 and 1.0 are one JSON number; true is not 1.
    same = one == other and isinstance(one, bool) == isinstance(other, bool)
    return [] if same else [f"{where}: {show(one)} / {show(other)}"]


def show(value: Any) -> str:
    """A value on one line, cut to a readable length."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 300 else text[:300] + "..."
