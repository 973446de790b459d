"""Uploads in parts to a folder: what clients get, what is checked, what is left behind."""

import io
import os
import threading
from pathlib import Path
from typing import Any, Dict, List, Tuple
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.conftest import Client, Reply
from tests.memory_store import MemoryStore
from trackd.app import App
from trackd.artifacts import parts as parts_module
from trackd.artifacts.local import WORKSHOP, LocalArtifacts
from trackd.artifacts.paths import ArtifactPath
from trackd.config import Config
from trackd.errors import ResourceDoesNotExist

MPU = "/api/2.0/mlflow-artifacts/mpu"
PROXY = "/api/2.0/mlflow-artifacts/artifacts"
#: The parts of a file: all of one size but the last.
EVEN = [b"a" * 1000, b"b" * 1000, b"c" * 1000, b"d" * 10]


@pytest.fixture
def client(tmp_path: Path) -> Client:
    """A client of an application with an empty folder of artifacts."""
    return Client(App(MemoryStore(), Config(artifacts_destination=str(tmp_path / "arts"))))


def create(client: Client, count: int, folder: str = "run/artifacts", name: str = "/home/me/big.bin") -> Any:
    """Begin an upload; its id and credentials."""
    reply = client.post(f"{MPU}/create/{folder}", {"path": name, "num_parts": count})
    assert reply.status == 200, reply.json
    assert [each["part_number"] for each in reply.json["credentials"]] == list(range(1, count + 1))
    return reply.json


def put(client: Client, url: str, data: bytes, chunked: bool = False) -> Reply:
    """PUT a part where its URL says."""
    where = urlsplit(url)
    headers = {"transfer-encoding": "chunked"} if chunked else {"content-length": str(len(data))}
    return client.send("PUT", where.path, data, where.query, headers)


def sent(client: Client, upload: Any, parts: List[bytes], order: List[int]) -> List[Dict[str, Any]]:
    """PUT all parts in an order; what complete wants to know of them."""
    etags = {}
    for index in order:
        reply = put(client, upload["credentials"][index]["url"], parts[index])
        assert reply.status == 200, reply.json
        etags[index] = dict(reply.response.headers)["ETag"]
    return [{"part_number": index + 1, "etag": etags[index], "url": "x"} for index in range(len(parts))]


def complete(client: Client, upload: Any, parts: Any, folder: str = "run/artifacts", name: str = "big.bin") -> Reply:
    """Complete an upload."""
    body = {"path": name, "upload_id": upload["upload_id"], "parts": parts}
    return client.post(f"{MPU}/complete/{folder}", body)


def content(tmp_path: Path, name: str = "run/artifacts/big.bin") -> bytes:
    """The file as it lies in the folder."""
    return (tmp_path / "arts" / name).read_bytes()


def left(tmp_path: Path) -> List[str]:
    """What is left of uploads."""
    folder = tmp_path / "arts" / WORKSHOP
    return sorted(os.listdir(folder)) if folder.is_dir() else []


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [3, 2, 1, 0], [3, 0, 2, 1]])
@pytest.mark.parametrize(
    "parts",
    [EVEN, [b"1" * 5, b"22", b"3" * 700, b""], [b"1" * 5, b"2" * 5, b"3" * 5, b"4" * 9], [b"", b"", b"", b"x"]],
    ids=["even", "uneven", "a longer end", "almost nothing"],
)
def test_parts_become_one_file_in_whatever_order_and_of_whatever_size_they_come(
    client: Client, tmp_path: Path, parts: List[bytes], order: List[int]
) -> None:
    upload = create(client, len(parts))
    listed = sent(client, upload, parts, order)
    assert not (tmp_path / "arts" / "run").exists()
    assert complete(client, upload, listed).json == {}
    assert content(tmp_path) == b"".join(parts) and left(tmp_path) == []


def test_an_upload_of_even_parts_is_complete_without_copying(client: Client, tmp_path: Path) -> None:
    upload = create(client, 4)
    listed = sent(client, upload, EVEN, [1, 0, 2, 3])
    folder = tmp_path / "arts" / WORKSHOP / upload["upload_id"]
    inode = (folder / "data").stat().st_ino
    assert [name for name in os.listdir(folder) if name.startswith("own-")] == []
    assert complete(client, upload, listed).status == 200
    assert (tmp_path / "arts/run/artifacts/big.bin").stat().st_ino == inode


def test_a_part_that_is_sent_again_counts_and_the_first_does_not(client: Client, tmp_path: Path) -> None:
    upload = create(client, 4)
    first = sent(client, upload, EVEN, [0, 1, 2, 3])
    for again in ([b"A" * 1000], [b"B" * 1000], [b"C" * 7], [b"D" * 2000]):
        second = put(client, upload["credentials"][1]["url"], again[0])
        listed = [*first]
        assert complete(client, upload, listed).status == 400, "the ETag of a part that is gone"
        listed[1] = {"part_number": 2, "etag": dict(second.response.headers)["ETag"]}
    assert complete(client, upload, listed).status == 200
    assert content(tmp_path) == EVEN[0] + b"D" * 2000 + EVEN[2] + EVEN[3] and left(tmp_path) == []


def test_a_part_in_chunks_is_as_good(client: Client, tmp_path: Path) -> None:
    upload = create(client, 2)
    replies = [put(client, upload["credentials"][at]["url"], EVEN[at], True) for at in (0, 1)]
    etags = [dict(reply.response.headers)["ETag"] for reply in replies]
    listed = [{"part_number": at + 1, "etag": etag.strip('"')} for at, etag in enumerate(etags)]
    assert complete(client, upload, listed).status == 200
    assert content(tmp_path) == EVEN[0] + EVEN[1]


def wrong_lists(listed: List[Dict[str, Any]]) -> List[Any]:
    """Lists of parts that are not those that were sent."""
    return [
        [], listed[:-1], listed[1:], listed[::-1], [*listed, listed[-1]], [listed[0], *listed[:3]],
        [*listed[:3], {**listed[3], "etag": listed[0]["etag"]}], [*listed[:3], {"part_number": 4}],
        [*listed, {**listed[3], "part_number": 5}], [{**listed[0], "part_number": 0}, *listed[1:]], "x", [5], None,
    ]  # fmt: skip


def test_complete_checks_numbers_order_and_etags_and_the_upload_can_be_mended(client: Client, tmp_path: Path) -> None:
    upload = create(client, 4)
    listed = sent(client, upload, EVEN, [0, 1, 2, 3])
    for wrong in wrong_lists(listed):
        reply = complete(client, upload, wrong)
        assert (reply.status, reply.error) == (400, "INVALID_PARAMETER_VALUE"), wrong
    assert complete(client, upload, listed, name="other.bin").status == 404
    assert complete(client, {"upload_id": "0" * 32}, listed).status == 404
    assert complete(client, {"upload_id": "../" * 3}, listed).status == 404
    assert not (tmp_path / "arts" / "run").exists()
    assert complete(client, upload, listed).status == 200 and content(tmp_path) == b"".join(EVEN)
    assert complete(client, upload, listed).status == 404


def test_a_part_that_was_never_sent_or_broke_off_is_missing(client: Client, tmp_path: Path) -> None:
    upload = create(client, 4)
    listed = []
    for index in (0, 1, 3):
        reply = put(client, upload["credentials"][index]["url"], EVEN[index])
        listed.append({"part_number": index + 1, "etag": dict(reply.response.headers)["ETag"]})
    short = urlsplit(upload["credentials"][2]["url"])
    reply = client.send("PUT", short.path, b"x" * 500, short.query, {"content-length": "1000"})
    assert reply.status == 400
    listed.insert(2, {"part_number": 3, "etag": listed[0]["etag"]})
    assert complete(client, upload, listed).status == 400
    again = put(client, upload["credentials"][2]["url"], EVEN[2])
    listed[2] = {"part_number": 3, "etag": dict(again.response.headers)["ETag"]}
    assert complete(client, upload, listed).status == 200 and content(tmp_path) == b"".join(EVEN)


def test_abort_leaves_nothing_and_may_come_twice(client: Client, tmp_path: Path) -> None:
    upload = create(client, 4)
    listed = sent(client, upload, EVEN, [0, 1, 2, 3])
    for _ in range(2):
        reply = client.post(f"{MPU}/abort/run/artifacts", {"path": "big.bin", "upload_id": upload["upload_id"]})
        assert reply.json == {} and left(tmp_path) == []
    assert put(client, upload["credentials"][0]["url"], b"late").status == 404
    assert complete(client, upload, listed).status == 404


def test_the_url_of_a_part_is_good_for_that_part_of_that_upload_and_for_a_time(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload, other = create(client, 2), create(client, 2)
    good = urlsplit(upload["credentials"][0]["url"])
    query = {name: values[0] for name, values in parse_qs(good.query).items()}
    assert good.scheme == "http" and good.netloc == "localhost"

    def status(path: str, **changed: str) -> int:
        text = "&".join(f"{name}={value}" for name, value in {**query, **changed}.items())
        return client.send("PUT", path, b"x", text, {"content-length": "1"}).status

    assert status(good.path[:-1] + "2") == 403
    assert status(good.path.replace(upload["upload_id"], other["upload_id"])) == 403
    assert status(good.path, expires=str(int(query["expires"]) + 1)) == 403
    assert status(good.path, expires="+" + query["expires"]) == 403
    assert status(good.path, signature="0" * 64) == status(good.path, signature="é") == 403
    assert status(good.path[:-1] + "0") == status(good.path[:-1] + "x") == 400
    assert status(good.path.replace(upload["upload_id"], "f" * 32)) == 404
    assert status(good.path, signature="") == 400
    assert status(good.path) == 200
    monkeypatch.setattr(parts_module.time, "time", lambda: float(query["expires"]) + 1)
    assert status(good.path) == 403


def test_urls_name_the_server_as_the_client_or_its_proxy_knows_it(tmp_path: Path) -> None:
    config = Config(artifacts_destination=str(tmp_path / "arts"), static_prefix="/p", allowed_hosts=["*"])
    client = Client(App(MemoryStore(), config))

    def url(**headers: str) -> str:
        given = {"content-type": "application/json", **{name.replace("_", "-"): each for name, each in headers.items()}}
        reply = client.send("POST", f"/p{MPU}/create/a", b'{"path":"f","num_parts":1}', headers=given)
        return str(reply.json["credentials"][0]["url"]).split("?")[0].rpartition("/mpu/")[0]

    end = "/p/api/2.0/mlflow-artifacts"
    assert url(host="server:5000") == f"http://server:5000{end}"
    proxied = {"x_forwarded_proto": "https, http", "x_forwarded_host": "front.example", "x_forwarded_prefix": "/sub/"}
    assert url(host="server:5000", **proxied) == f"https://front.example/sub{end}"
    assert url(host="h", x_forwarded_proto='javascript:"') == "/api/2.0/mlflow-artifacts"


def test_the_parts_that_are_there_are_listed_and_the_others_can_be_sent_after_a_restart(
    client: Client, tmp_path: Path
) -> None:
    upload = create(client, 4)
    put(client, upload["credentials"][1]["url"], EVEN[1])
    put(client, upload["credentials"][3]["url"], EVEN[3])
    again = Client(App(MemoryStore(), Config(artifacts_destination=str(tmp_path / "arts"))))
    listing = again.get(f"{MPU}/parts/run/artifacts", {"path": "/elsewhere/big.bin"})
    (found,) = listing.json["uploads"]
    assert found["upload_id"] == upload["upload_id"] and found["num_parts"] == 4
    assert [(part["part_number"], part["size"]) for part in found["parts"]] == [(2, 1000), (4, 10)]
    listed = {part["part_number"]: part["etag"] for part in found["parts"]}
    assert [each["part_number"] for each in found["credentials"]] == [1, 3]
    for each in found["credentials"]:
        reply = put(again, each["url"], EVEN[each["part_number"] - 1])
        listed[each["part_number"]] = dict(reply.response.headers)["ETag"]
    parts = [{"part_number": number, "etag": listed[number]} for number in sorted(listed)]
    assert complete(again, upload, parts).status == 200 and content(tmp_path) == b"".join(EVEN)
    assert again.get(f"{MPU}/parts/run/artifacts", {"path": "big.bin"}).json == {"uploads": []}


def test_uploads_that_nothing_comes_to_are_swept_and_others_stay(client: Client, tmp_path: Path) -> None:
    old, new = create(client, 1), create(client, 1, name="b")
    sent(client, old, [b"x"], [0])
    folder = tmp_path / "arts" / WORKSHOP
    store = LocalArtifacts(str(tmp_path / "arts"))
    now = (folder / old["upload_id"]).stat().st_mtime
    assert store.sweep(now + parts_module.STALE - 60) == 0
    os.utime(folder / old["upload_id"], (now - parts_module.STALE - 1,) * 2)
    (folder / ("0" * 32 + ".gone")).mkdir()
    assert store.sweep(now) == 1 and left(tmp_path) == [new["upload_id"]]


def test_numbers_of_parts_that_nobody_needs_are_refused(client: Client, tmp_path: Path) -> None:
    for count in (0, -1, 100_001, "x", 1.5):
        assert client.post(f"{MPU}/create/a", {"path": "f", "num_parts": count}).status == 400
    assert client.post(f"{MPU}/create/a", {"num_parts": 1}).status == 400
    for name in ("", "/", "a/", "..", "a/.."):
        assert client.post(f"{MPU}/create/a", {"path": name, "num_parts": 1}).status == 400
    assert left(tmp_path) == []


def test_a_file_in_parts_replaces_one_that_is_there_but_no_folder(client: Client, tmp_path: Path) -> None:
    client.send("PUT", f"{PROXY}/run/artifacts/big.bin", b"old", headers={"content-length": "3"})
    client.send("PUT", f"{PROXY}/run/artifacts/folder/x", b"old", headers={"content-length": "3"})
    upload = create(client, 4)
    listed = sent(client, upload, EVEN, [0, 1, 2, 3])
    assert content(tmp_path) == b"old"
    assert complete(client, upload, listed).status == 200 and content(tmp_path) == b"".join(EVEN)
    blocked = create(client, 4, name="folder")
    listed = sent(client, blocked, EVEN, [0, 1, 2, 3])
    assert complete(client, blocked, listed, name="folder").status == 400
    assert content(tmp_path, "run/artifacts/folder/x") == b"old"


@pytest.mark.parametrize("again", [[], [1], [0, 1, 2, 3]], ids=["none", "one", "all"])
def test_who_completes_again_after_a_death_puts_no_zeros_over_the_file(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, again: List[int]
) -> None:
    upload = create(client, 4)
    listed = sent(client, upload, EVEN, [0, 1, 2, 3])
    for index in again:
        put(client, upload["credentials"][index]["url"], EVEN[index])

    def die(folder: str) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        # The file is in its place, and the upload is not gone yet.
        patch.setattr(parts_module, "_remove", die)
        with pytest.raises(KeyboardInterrupt):
            complete(client, upload, listed)
    assert content(tmp_path) == b"".join(EVEN)
    assert complete(client, upload, listed).status == (200 if len(again) == 4 else 404)
    assert content(tmp_path) == b"".join(EVEN) and left(tmp_path) == []


class Waiting(io.RawIOBase):
    """A stream that gives one byte, waits to be released, and ends."""

    def __init__(self) -> None:
        self.begun, self.released = threading.Event(), threading.Event()

    def readinto(self, buffer: Any) -> int:
        if self.begun.is_set():
            self.released.wait(10)
            return 0
        self.begun.set()
        buffer[:1] = b"x"
        return 1


def target(store: LocalArtifacts, upload_id: str) -> Tuple[str, str]:
    """What the URL of part 1 has in its query."""
    (found,) = store.targets(ArtifactPath("f"), upload_id, [1], "http://h")
    query = parse_qs(urlsplit(found.url).query)
    return query["expires"][0], query["signature"][0]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such locks")
def test_an_upload_is_not_completed_while_a_part_is_being_written(tmp_path: Path) -> None:
    store = LocalArtifacts(str(tmp_path))
    upload_id = store.create_upload(ArtifactPath("f"), 1)
    stream, errors = Waiting(), []

    def write() -> None:
        try:
            store.write_part(upload_id, 1, *target(store, upload_id), stream, None)
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=write)
    thread.start()
    stream.begun.wait(10)
    with pytest.raises(Exception, match="being written"):
        store.complete_upload(ArtifactPath("f"), upload_id, [(1, "x")])
    stream.released.set()
    thread.join(10)
    assert errors == []
    (upload,) = store.list_uploads(ArtifactPath("f"))
    store.complete_upload(ArtifactPath("f"), upload_id, [(1, upload.parts[0].etag)])
    assert (tmp_path / "f").read_bytes() == b"x"


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps open files where they are")
def test_a_part_that_is_being_written_when_its_upload_is_aborted_fails_and_leaves_nothing(tmp_path: Path) -> None:
    store = LocalArtifacts(str(tmp_path))
    upload_id = store.create_upload(ArtifactPath("f"), 1)

    class Aborting(io.RawIOBase):
        """A stream that aborts the upload while it is read."""

        def readinto(self, buffer: Any) -> int:
            store.abort_upload(ArtifactPath("f"), upload_id)
            return 0

    for size in (None, 0):
        with pytest.raises(ResourceDoesNotExist):
            store.write_part(upload_id, 1, *target(store, upload_id), Aborting(), size)
        assert os.listdir(tmp_path / WORKSHOP) == [] and store.list_uploads(ArtifactPath("f")) == []
        upload_id = store.create_upload(ArtifactPath("f"), 1)
