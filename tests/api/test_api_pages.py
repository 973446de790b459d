"""The files of the user interface: served as written, joined for the first view, from a folder and out of a bundle."""

import gzip
import posixpath
import re
from importlib import resources
from typing import Any, Dict, Iterator, List, Tuple

import pytest

from tests.conftest import Client
from tests.memory_store import MemoryStore
from trackd.app import App
from trackd.config import Config


def written(folder: Any, prefix: str = "") -> Iterator[Tuple[str, str]]:
    """Name and text of every file of the interface, wherever the package lies: these tests run on a bundle as well."""
    for each in folder.iterdir():
        if each.is_dir():
            yield from written(each, f"{prefix}{each.name}/")
        elif each.name.endswith((".html", ".css", ".js")):
            yield prefix + each.name, each.read_text(encoding="utf-8")


TEXTS = dict(sorted(written(resources.files("trackd") / "ui")))
FILES = list(TEXTS)
MODULES = {name: text for name, text in TEXTS.items() if name.endswith(".js")}
TOP = r"^(?:export )?(?:async )?(?:function|class|const|let) (\{[^}]+\}|\[[^\]]+\]|\w+)"
MARKUP = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|createContextualFragment|srcdoc|setHTML"
REQUESTS = r"\bfetch\(|XMLHttpRequest|WebSocket|EventSource|sendBeacon"
IMPORT = re.compile(r'^import \{ ([\w, ]+) \} from "(\.\.?/[\w./]+\.js)";$')


@pytest.fixture
def client() -> Client:
    """The application on one store only: the pages are the same on all."""
    return Client(App(MemoryStore(), Config()))


def test_the_page_is_at_the_root_and_may_load_nothing_from_elsewhere(client: Client) -> None:
    reply = client.send("GET", "/")
    assert reply.status == 200 and reply.response.content_type.startswith("text/html")
    assert dict(reply.response.headers)["Content-Security-Policy"].startswith("default-src 'self'; ")
    assert re.findall(rb"(?:src|href)=\"(?!data:)(?!static-files/)", reply.response.body) == []


def test_every_file_is_served_as_it_is_written(client: Client) -> None:
    for name in FILES:
        reply = client.send("GET", f"/static-files/{name}")
        assert reply.status == 200
        assert reply.response.body == TEXTS[name].encode("utf-8")


@pytest.mark.parametrize("path", ["/", "/static-files/style.css", "/static-files/joined/app.js"])
def test_a_browser_that_has_a_file_gets_304(client: Client, path: str) -> None:
    tag = dict(client.send("GET", path).response.headers)["ETag"]
    for held in (tag, f'"other", W/{tag}', "*"):
        again = client.send("GET", path, headers={"if-none-match": held})
        assert (again.status, again.response.body) == (304, b"")
        assert dict(again.response.headers)["ETag"] == tag
    assert client.send("GET", path, headers={"if-none-match": '"other"'}).status == 200


@pytest.mark.parametrize(
    "name", ["../errors.py", "..%2ferrors.py", "/etc/passwd", "nothing.js", "views", "jsconfig.json", "a\0.js", "A.js"]
)
def test_nothing_else_is_served(client: Client, name: str) -> None:
    assert client.send("GET", f"/static-files/{name}").status == 404
    assert client.send("GET", f"/static-files/joined/{name}").status == 404


def test_under_a_prefix_the_page_is_behind_the_slash() -> None:
    client = Client(App(MemoryStore(), Config(static_prefix="/ml/flow")))
    assert client.send("GET", "/ml/flow/").status == 200
    assert client.send("GET", "/ml/flow/static-files/joined/app.js").status == 200
    reply = client.send("GET", "/ml/flow")
    assert (reply.status, dict(reply.response.headers)["Location"]) == (308, "flow/")


def names(client: Client) -> List[str]:
    """The modules that are joined into one, in their order."""
    text = client.send("GET", "/static-files/joined/app.js").response.body.decode("utf-8")
    return [name for name in re.findall(r"^// (\S+\.js)$", text, re.MULTILINE) if name in MODULES]


def test_joined_modules_stand_behind_those_that_they_import(client: Client) -> None:
    first = names(client)
    assert first[-1] == "app.js"
    for place, name in enumerate(first):
        for other in imported(name):
            assert other in first[:place], f"{name} imports {other}, which stands behind it"


def sibling(name: str, other: str) -> str:
    """The name of the module that ``name`` imports as ``other``."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(name), other))


def imported(name: str) -> List[str]:
    """The modules that a module imports at its start."""
    found = [IMPORT.match(line) for line in MODULES[name].splitlines() if line.startswith("import ")]
    return [sibling(name, each.group(2)) for each in found if each]


def test_joined_modules_are_as_written_but_for_their_imports(client: Client) -> None:
    text = client.send("GET", "/static-files/joined/app.js").response.body.decode("utf-8")
    kept = [line for name in names(client) for line in [f"// {name}", *MODULES[name].split("\n")]]
    assert text.split("\n") == [line for line in kept if not line.startswith("import ")]


def test_no_name_stands_twice_at_the_top_of_joined_modules(client: Client) -> None:
    seen: Dict[str, str] = {}
    for name in names(client):
        tops = re.findall(TOP, MODULES[name], re.MULTILINE)
        # const A = 1, B = 2;
        several = re.findall(r"^(?:export )?(?:const|let) [A-Z].*;$", MODULES[name], re.MULTILINE)
        tops += re.findall(r", (\w+) = ", "\n".join(several))
        for top in re.findall(r"\w+", " ".join(tops)):
            assert top not in seen, f"{top} of {name} is in {seen[top]} too"
            seen[top] = name


def test_every_import_is_a_plain_line_and_leads_to_a_module_that_exports_it() -> None:
    for name, text in MODULES.items():
        for line in text.splitlines():
            if not line.startswith("import "):
                assert not re.match(r"\s*(export .* from|import )", line), f"{name}: {line}"
                continue
            found = IMPORT.match(line)
            assert found, f"{name}: {line}"
            other = sibling(name, found.group(2))
            for wanted in found.group(1).split(", "):
                export = rf"^export (?:async )?(?:function\*?|class|const|let) {wanted}\b"
                assert re.search(export, MODULES[other], re.MULTILINE), line


def test_of_joined_modules_only_those_beside_the_shell_import_while_they_run(client: Client) -> None:
    for name in [name for name in names(client) if "/" in name]:
        code = re.sub(r"/\*.*?\*/|//.*", "", MODULES[name], flags=re.DOTALL)
        assert "import(" not in code, name


def test_other_modules_share_the_joined_ones(client: Client) -> None:
    first = set(names(client))
    for name in set(MODULES) - first:
        text = client.send("GET", f"/static-files/joined/{name}").response.body.decode("utf-8")
        for line in text.splitlines():
            found = IMPORT.match(line)
            if found:
                led = sibling(name, found.group(2))
                assert led == "app.js" or led not in first, f"{name}: {line}"


def test_elements_are_made_of_text_only_and_one_module_talks_to_the_server() -> None:
    for name, text in MODULES.items():
        code = re.sub(r"/\*.*?\*/|//.*", "", text, flags=re.DOTALL)
        assert not re.search(MARKUP, code), name
        assert not re.search(r"\beval\(|new Function|javascript:", code), name
        assert name == "api.js" or not re.search(REQUESTS, code), name
        assert name == "dom.js" or "createElement(" not in code, name


def test_all_files_together_are_small_as_they_travel(client: Client) -> None:
    sent = [client.send("GET", f"/static-files/{name}", headers={"accept-encoding": "gzip"}) for name in FILES]
    assert sum(len(reply.response.body) for reply in sent) < 200_000


@pytest.mark.parametrize(
    "accepted, packed",
    [("gzip", True), ("gzip, deflate, br", True), ("br;q=1.0, GZIP;q=0.8", True), ("x-gzip", True), ("", False),
     ("identity", False), ("gzip;q=0", False), ("gzip; q=0.000, br", False), ("gzipped", False),
     ("gzip ; q=0.25 , br", True), ("gzip x", False), ("gzip;q=1.5", False)],
)  # fmt: skip
def test_files_are_packed_for_those_that_take_it(client: Client, accepted: str, packed: bool) -> None:
    plain = client.send("GET", "/static-files/style.css").response
    reply = client.send("GET", "/static-files/style.css", headers={"accept-encoding": accepted}).response
    headers = dict(reply.headers)
    assert ("Vary", "Accept-Encoding") in reply.headers and (headers.get("Content-Encoding") == "gzip") == packed
    assert (gzip.decompress(reply.body) if packed else reply.body) == plain.body
    assert (headers["ETag"] == dict(plain.headers)["ETag"]) != packed
    again = {"accept-encoding": accepted, "if-none-match": headers["ETag"]}
    assert client.send("GET", "/static-files/style.css", headers=again).status == 304


@pytest.mark.parametrize("start, filling", [("gzip", " "), ("gzip;q=0.", "1"), ("gzip;q=0.", "0"), ("gzip;", "\t")])
def test_no_header_of_any_length_keeps_the_server_busy(client: Client, start: str, filling: str) -> None:
    # As long as a head may be. In quadratic time each takes a minute, in which no other request is answered.
    accepted = start + filling * 60_000 + "x"
    reply = client.send("GET", "/static-files/style.css", headers={"accept-encoding": accepted}).response
    assert reply.status == 200 and "Content-Encoding" not in dict(reply.headers)


def test_no_file_names_another_host() -> None:
    for name in FILES:
        for url in re.findall(r"https?://[\w.-]+", TEXTS[name]):
            assert url == "http://www.w3.org", f"{name}: {url}"


def test_experiments_come_with_their_counts_in_one_request(client: Client) -> None:
    made = client.ok("experiments/create", name="counted")["experiment_id"]
    client.run(made, start_time=5)
    client.ok("runs/update", run_id=client.run(made, start_time=7), status="FINISHED")
    client.ok("runs/delete", run_id=client.run(made))
    reply = client.get("/api/trackd/experiments").json
    runs = {each["name"]: each["runs"] for each in reply["experiments"]}
    assert runs["counted"] == {"experiment_id": made, "active": 2, "deleted": 1, "running": 1, "last_start_time": 7}
    assert runs["Default"]["active"] == 0
    assert reply["version"] == client.get("/api/trackd/changes").json["version"]
    first = client.get("/api/trackd/experiments", {"max_results": 1}).json
    second = client.get("/api/trackd/experiments", {"max_results": 1, "page_token": first["next_page_token"]}).json
    assert [each["name"] for each in first["experiments"] + second["experiments"]] == ["counted", "Default"]
