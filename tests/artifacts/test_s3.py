"""Artifacts in S3, against moto's server: the contract of ``artifacts.base``, and what networks and S3 do to it."""

import io
import os
import sys
import urllib.request
from pathlib import Path
from typing import Iterator, List, Optional

import pytest

from tests.s3_server import BUCKET, SECRET, Moto, Proxy, S3rver
from trackd.artifacts import open_artifacts, s3, s3_client
from trackd.artifacts.base import ArtifactStore
from trackd.artifacts.paths import ROOT, ArtifactPath
from trackd.artifacts.s3 import PART, S3Artifacts
from trackd.errors import (
    InvalidParameterValue,
    NotImplementedHere,
    PermissionDenied,
    ResourceDoesNotExist,
    TemporarilyUnavailable,
    TrackdError,
)

slow = pytest.mark.slow


def P(text: str) -> ArtifactPath:
    return ArtifactPath(text)


@pytest.fixture(scope="module")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moto]:
    with Moto(tmp_path_factory.mktemp("moto")) as server:
        sys.path.append(server.boto3)
        try:
            yield server
        finally:
            sys.path.remove(server.boto3)


@pytest.fixture
def proxy(moto: Moto) -> Iterator[Proxy]:
    server = Proxy(moto.port)
    yield server
    server.close()


@pytest.fixture
def store(moto: Moto, proxy: Proxy, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> S3Artifacts:
    """A store on a prefix of its own."""
    for name, value in moto.variables(proxy.url).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(s3_client, "_client", None)
    opened = S3Artifacts(f"s3://{BUCKET}/pre fix/{abs(hash(request.node.name)):x}")
    opened._s3.create_bucket(Bucket=BUCKET)
    return opened


def put(store: ArtifactStore, path: str, data: bytes, size: Optional[int] = None) -> None:
    store.write(P(path), io.BytesIO(data), size)


def got(store: ArtifactStore, path: str) -> bytes:
    opened = store.open(P(path))
    return b"".join(opened.read(0, opened.size))


@slow
@pytest.mark.parametrize("size", [0, 10, PART - 1, PART, PART + 1, 2 * PART + 5])
def test_what_was_written_is_read_again_whole_and_in_ranges(store: S3Artifacts, size: int) -> None:
    data = os.urandom(size)
    for announced in (None, size):
        put(store, "d/f", data, announced)
        opened = store.open(P("d/f"))
        assert (opened.size, opened.etag[0], opened.etag[-1]) == (size, '"', '"') and opened.mtime > 1e9
        assert got(store, "d/f") == data
        assert b"".join(opened.read(3, 9)) == data[3:9] if size > 9 else True
    assert store.list_uploads(P("d/f")) == []


@slow
def test_an_upload_that_is_shorter_or_longer_than_announced_leaves_what_was_there(store: S3Artifacts) -> None:
    put(store, "f", b"old")
    for size, announced in ((5, 6), (5, 4), (PART, PART + 1), (PART + 7, PART + 8), (PART + 7, PART + 6)):
        with pytest.raises(InvalidParameterValue, match="announced"):
            put(store, "f", b"x" * size, announced)
    assert got(store, "f") == b"old" and store.list_uploads(P("f")) == []


@slow
def test_a_client_that_goes_away_leaves_what_was_there(store: S3Artifacts) -> None:
    class Breaks(io.RawIOBase):
        left = PART + PART // 2

        def read(self, count: int = -1) -> bytes:
            if self.left <= 0:
                raise ConnectionResetError("gone")
            self.left -= count
            return b"x" * count

    put(store, "f", b"old")
    with pytest.raises(ConnectionResetError):
        store.write(P("f"), Breaks())
    assert got(store, "f") == b"old" and store.list_uploads(P("f")) == []


@slow
def test_listings_are_sorted_and_one_level_and_have_no_end_after_a_page(
    store: S3Artifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "PAGE", 40)
    client, prefix = store._s3, store._prefix
    for number in range(125):
        client.put_object(Bucket=BUCKET, Key=f"{prefix}/many/{number:04}", Body=b"12")
    for name in ("many/deep/er/x", "z", "a b", "ü", "many-more/x"):
        put(store, name, b"1")
    client.put_object(Bucket=BUCKET, Key=f"{prefix}/many/", Body=b"")  # how some programs make a folder
    assert [(e.name, e.is_dir, e.size) for e in store.list(ROOT)] == [
        ("a b", False, 1), ("many", True, 0), ("many-more", True, 0), ("z", False, 1), ("ü", False, 1)
    ]
    listed = store.list(P("many"))
    assert [e.name for e in listed] == [f"{number:04}" for number in range(125)] + ["deep"]
    assert store.list(P("z")) == [] == store.list(P("nothing"))
    store.delete(P("many"))
    assert sorted(store.walk(ROOT)) == [("a b", 1), ("many-more/x", 1), ("z", 1), ("ü", 1)]
    store.delete(P("z"))
    store.delete(P("z"))
    assert [e.name for e in store.list(ROOT)] == ["a b", "many-more", "ü"]


@slow
def test_odd_names_are_names_like_any_other(store: S3Artifacts) -> None:
    names = ["a b", "ü+%41", "x?y=z&w", "<>'\"", "q" * 255, "\u202e", "emoji 🎈", "%2e%2e", "~"]
    for name in names:
        put(store, "odd/" + name, name.encode())
    assert [entry.name for entry in store.list(P("odd"))] == sorted(names)
    assert all(got(store, "odd/" + name) == name.encode() for name in names)
    with pytest.raises(InvalidParameterValue, match="1024"):
        put(store, "x/" * 600 + "x", b"")


@slow
def test_a_missing_object_is_404_and_a_folder_400(store: S3Artifacts) -> None:
    put(store, "folder/f", b"1")
    with pytest.raises(ResourceDoesNotExist, match=f"s3://{BUCKET}/{store._prefix}/missing"):
        store.open(P("missing"))
    with pytest.raises(InvalidParameterValue, match="folder"):
        store.open(P("folder"))


BUSY = (
    b"HTTP/1.1 503 Slow Down\r\nContent-Length: 56\r\nConnection: close\r\n\r\n"
    b"<Error><Code>SlowDown</Code><Message>x</Message></Error>"
)

GONE = (
    b"HTTP/1.1 404 Not Found\r\nContent-Length: 60\r\nConnection: close\r\n\r\n"
    b"<Error><Code>NoSuchUpload</Code><Message>x</Message></Error>"
)


@slow
def test_a_busy_s3_is_asked_again(store: S3Artifacts, proxy: Proxy) -> None:
    left = [2]

    def spoil(head: bytes) -> Optional[bytes]:
        left[0] -= 1
        return BUSY if left[0] >= 0 else None

    proxy.spoil = spoil
    put(store, "f", b"1" * 1000)
    left[0] = 2
    assert got(store, "f") == b"1" * 1000
    left[0] = 2
    assert [entry.name for entry in store.list(ROOT)] == ["f"]


@slow
def test_an_s3_that_stays_busy_is_a_503_that_says_so(
    store: S3Artifacts, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")
    monkeypatch.setattr(s3_client, "_client", None)
    proxy.spoil = lambda head: BUSY
    with pytest.raises(TemporarilyUnavailable, match="SlowDown"):
        put(S3Artifacts(store.uri), "f", b"1")
    assert len(proxy.requests) == 1 + 2, "boto3's own variable counts"


@slow
def test_a_download_whose_connection_is_lost_goes_on_where_it_was(store: S3Artifacts, proxy: Proxy) -> None:
    data = os.urandom(3 << 20)
    put(store, "f", data)
    opened = store.open(P("f"))
    store._s3.close()
    proxy.requests.clear()
    proxy.limits = [1 << 20, 700_000, 10_000]
    assert b"".join(opened.read(0, opened.size)) == data
    assert len([line for line in proxy.requests if line.startswith(b"GET")]) >= 3


@slow
def test_what_was_replaced_while_it_was_read_is_never_mixed(store: S3Artifacts, proxy: Proxy) -> None:
    put(store, "f", b"a" * (1 << 20))
    opened = store.open(P("f"))
    put(store, "f", b"b" * (1 << 20))
    with pytest.raises(TemporarilyUnavailable, match="replaced"):
        b"".join(opened.read(0, opened.size))


@slow
def test_an_s3_that_is_lost_in_mid_upload_shows_nothing_of_it(
    moto: Moto, store: S3Artifacts, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, "f", b"old")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setattr(s3_client, "_client", None)
    lossy = S3Artifacts(store.uri)
    proxy._sent = 0
    proxy.dies_after = PART + PART // 2
    with pytest.raises(TemporarilyUnavailable):
        put(lossy, "f", b"new" * PART)
    proxy.dies_after = None
    assert got(store, "f") == b"old"
    # The parts that are there can be listed, and are swept when they are old. (moto dates every upload 2010.)
    assert [len(upload.parts) for upload in store.list_uploads(P("f"))] == [1]
    assert store.sweep(1.9e9) == 1 and store.list_uploads(P("f")) == []


@slow
def test_clients_upload_parts_to_s3_itself_and_see_which_are_there(store: S3Artifacts, proxy: Proxy) -> None:
    path = P("m/big")
    upload_id = store.create_upload(path, 2)
    targets = store.targets(path, upload_id, [1, 2], "http://unused")
    etags = {}
    for target, data in zip(targets, (b"x" * (6 << 20), b"end")):
        asked = urllib.request.Request(
            target.url, data, {"Content-Type": "application/octet-stream", **target.headers}, method="PUT"
        )
        with urllib.request.urlopen(asked) as answer:
            etags[target.number] = answer.headers["ETag"]
        (upload,) = store.list_uploads(path)
        assert {part.number: part.etag for part in upload.parts} == etags and upload.upload_id == upload_id
    with pytest.raises(TrackdError) as refused:
        store.complete_upload(path, upload_id, [(1, etags[1]), (2, '"another"')])
    assert refused.value.status == 400
    store.complete_upload(path, upload_id, sorted(etags.items()))
    assert got(store, "m/big") == b"x" * (6 << 20) + b"end"
    proxy.spoil = lambda head: GONE if b"uploadId" in head else None
    with pytest.raises(ResourceDoesNotExist, match="no such upload"):
        store.complete_upload(path, upload_id, sorted(etags.items()))
    proxy.spoil = lambda head: None
    other = store.create_upload(path, 1)
    store.abort_upload(path, other)
    store.abort_upload(path, other)
    assert store.list_uploads(path) == []


@slow
def test_presigned_urls_need_no_credentials(store: S3Artifacts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_S3_UPLOAD_EXTRA_ARGS", '{"ServerSideEncryption": "AES256"}')
    encrypting = S3Artifacts(store.uri)
    put(encrypting, "ü x.json", b"{}")
    found = store._s3.head_object(Bucket=BUCKET, Key=f"{store._prefix}/ü x.json")
    assert (found["ServerSideEncryption"], found["ContentType"]) == ("AES256", "application/json")
    download = encrypting.presign_download(P("ü x.json"), 60)
    with urllib.request.urlopen(urllib.request.Request(download.url, headers=download.headers)) as answer:
        assert answer.read() == b"{}" and download.size == 2
        assert answer.headers["Content-Disposition"] == "attachment; filename*=UTF-8''%C3%BC%20x.json"
    upload = encrypting.presign_upload(P("new.txt"), 60)
    assert upload.headers == {"Content-Type": "text/plain", "x-amz-server-side-encryption": "AES256"}
    urllib.request.urlopen(urllib.request.Request(upload.url, b"new", upload.headers, method="PUT")).close()
    assert got(store, "new.txt") == b"new"
    assert SECRET not in download.url + upload.url


@slow
def test_errors_name_bucket_and_key_and_never_the_secret(
    moto: Moto, store: S3Artifacts, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    said: List[str] = []

    def refused(kind: "type[TrackdError]", path: str = "x", uri: str = store.uri, **variables: str) -> str:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(s3_client, "_client", None)
        with pytest.raises(kind) as caught:
            S3Artifacts(uri).write(P(path), io.BytesIO(b"1"))
        said.append(caught.value.message)
        return caught.value.message

    assert "s3://no-such-bucket/p/x: there is no bucket 'no-such-bucket'" in refused(
        ResourceDoesNotExist, uri="s3://no-such-bucket/p"
    )
    refused(InvalidParameterValue, uri="s3://not a/p")
    denied = b"HTTP/1.1 403 Forbidden\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s"
    body = b"<Error><Code>SignatureDoesNotMatch</Code><Message>" + SECRET.encode() + b"</Message></Error>"
    proxy.spoil = lambda head: denied % (len(body), body)
    assert f"{BUCKET}/{store._prefix}/x" in refused(PermissionDenied)
    proxy.spoil = lambda head: None
    assert "does not answer" in refused(
        TemporarilyUnavailable, MLFLOW_S3_ENDPOINT_URL=f"http://user:{SECRET}@127.0.0.1:9"
    )
    refused(PermissionDenied, MLFLOW_S3_ENDPOINT_URL=f"no endpoint {SECRET}")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    assert "AWS_ACCESS_KEY_ID" in refused(PermissionDenied, MLFLOW_S3_ENDPOINT_URL=moto.url)
    refused(InvalidParameterValue, MLFLOW_S3_UPLOAD_EXTRA_ARGS="{")
    assert SECRET not in "".join(said)


@slow
def test_an_upload_holds_two_parts_in_memory_at_most(store: S3Artifacts) -> None:
    import tracemalloc

    class Zeros(io.RawIOBase):
        left = 12 * PART

        def read(self, count: int = -1) -> bytes:
            count = min(count, self.left)
            self.left -= count
            return bytes(count)

    put(store, "f", b"1")  # what boto3 loads and keeps is no part of it
    tracemalloc.start()
    try:
        store.write(P("f"), Zeros(), 12 * PART)
        assert tracemalloc.get_traced_memory()[1] < 2 * PART
        tracemalloc.reset_peak()
        opened = store.open(P("f"))
        assert sum(map(len, opened.read(0, opened.size))) == 12 * PART
        assert tracemalloc.get_traced_memory()[1] < PART
    finally:
        tracemalloc.stop()


@slow
def test_an_s3_server_by_other_people_understands_the_same(
    moto: Moto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = S3rver(tmp_path)
    try:
        for name, value in server.variables().items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(s3_client, "_client", None)
        other = S3Artifacts(f"s3://{BUCKET}/pre fix")
        for size in (0, 10, PART + 1):
            data = os.urandom(size)
            put(other, f"d/ü {size}", data)
            assert got(other, f"d/ü {size}") == data
            assert b"".join(other.open(P(f"d/ü {size}")).read(2, min(9, size))) == data[2:9]
        put(other, "d/10/x", b"1")
        assert [(e.name, e.is_dir, e.size) for e in other.list(P("d"))] == [
            ("10", True, 0), ("ü 0", False, 0), ("ü 10", False, 10), (f"ü {PART + 1}", False, PART + 1)
        ]
        upload_id = other.create_upload(P("parts"), 1)
        (target,) = other.targets(P("parts"), upload_id, [1], "")
        asked = urllib.request.Request(target.url, b"part", {"Content-Type": "application/octet-stream"}, method="PUT")
        with urllib.request.urlopen(asked) as answer:
            other.complete_upload(P("parts"), upload_id, [(1, answer.headers["ETag"])])
        with urllib.request.urlopen(other.presign_download(P("parts"), 60).url) as answer:
            assert answer.read() == b"part"
        with pytest.raises(ResourceDoesNotExist):
            other.open(P("missing"))
        with pytest.raises(InvalidParameterValue, match="folder"):
            other.open(P("d/10"))
        other.delete(P("d"))
        assert dict(other.walk(ROOT)) == {"parts": 4}
        assert other.sweep(1.9e9) == 0, "it cannot list uploads, and that is no reason not to start"
    finally:
        server.stop()


def test_without_boto3_a_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    monkeypatch.setattr(s3_client, "_client", None)
    with pytest.raises(NotImplementedHere, match="pip install boto3"):
        open_artifacts("s3://bucket/prefix")


@pytest.mark.parametrize("uri", ["s3:///prefix", "s3://", "s3://user:pass@bucket/x"])
def test_a_location_without_a_bucket_is_refused(uri: str) -> None:
    with pytest.raises(InvalidParameterValue, match="names no bucket") as refused:
        S3Artifacts(uri)
    assert "pass@" not in refused.value.message
