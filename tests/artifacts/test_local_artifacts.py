"""A folder of artifacts: the contract of ``artifacts.base`` on files, links and all."""

import io
import os
from pathlib import Path
from typing import Any, Iterator, List

import pytest

from trackd.artifacts import open_artifacts
from trackd.artifacts.base import NotHere
from trackd.artifacts.local import WORKSHOP, LocalArtifacts
from trackd.artifacts.paths import ROOT, ArtifactPath
from trackd.errors import InvalidParameterValue, PermissionDenied, ResourceDoesNotExist, TrackdError

P = ArtifactPath


@pytest.fixture
def store(tmp_path: Path) -> LocalArtifacts:
    """An empty folder that is not there yet."""
    return LocalArtifacts(str(tmp_path / "root"))


def put(store: LocalArtifacts, path: str, data: bytes = b"data") -> None:
    """Keep a file."""
    store.write(P(path), io.BytesIO(data), len(data))


def content(store: LocalArtifacts, path: str) -> bytes:
    """What a file holds."""
    opened = store.open(P(path))
    try:
        return b"".join(opened.read(0, opened.size))
    finally:
        opened.close()


def names(store: LocalArtifacts, path: str = "") -> List[str]:
    """The names in a folder."""
    return [entry.name for entry in store.list(P(path))]


def unfinished(store: LocalArtifacts) -> List[str]:
    """What is left of writes that are not complete."""
    folder = os.path.join(store.uri, WORKSHOP)
    return sorted(os.listdir(folder)) if os.path.isdir(folder) else []


class Broken(io.RawIOBase):
    """A stream that gives some bytes and then fails."""

    def __init__(self, size: int) -> None:
        self.left = size

    def readinto(self, buffer: Any) -> int:
        if self.left == 0:
            raise ConnectionResetError("gone")
        count = min(len(buffer), self.left)
        buffer[:count] = b"x" * count
        self.left -= count
        return count


def test_what_was_written_is_read_and_listed_one_level_sorted(store: LocalArtifacts) -> None:
    assert store.list(ROOT) == [] and store.list(P("nowhere")) == []
    for path in ("b.txt", "a/x", "a/y/z", "B", "ä", "a.txt"):
        put(store, path, path.encode())
    assert names(store) == ["B", "a", "a.txt", "b.txt", "ä"]
    assert store.list(P("a")) == [("x", False, 3), ("y", True, 0)]
    assert store.list(P("a/x")) == []
    assert content(store, "a/y/z") == b"a/y/z"
    assert list(store.walk(ROOT)) == [
        ("B", 1), ("a.txt", 5), ("b.txt", 5), ("ä", 2), ("a/x", 3), ("a/y/z", 5)
    ]  # fmt: skip
    assert list(store.walk(P("a/x"))) == [("a/x", 3)]


def test_a_file_is_replaced_at_once_and_its_etag_changes(store: LocalArtifacts) -> None:
    put(store, "a", b"one")
    before = store.open(P("a"))
    put(store, "a", b"three")
    after = store.open(P("a"))
    assert b"".join(before.read(0, before.size)) == b"one" and before.etag != after.etag
    before.close()
    after.close()
    assert content(store, "a") == b"three" and unfinished(store) == []


@pytest.mark.parametrize("size", [None, 3_000_000])
def test_a_write_that_breaks_off_leaves_what_was_there(store: LocalArtifacts, size: Any) -> None:
    put(store, "a", b"old")
    for path in ("a", "new/b"):
        with pytest.raises(ConnectionResetError):
            store.write(P(path), Broken(2_000_000), size)
    assert content(store, "a") == b"old" and names(store) == ["a"] and unfinished(store) == []


def test_a_body_of_another_length_than_announced_is_not_kept(store: LocalArtifacts) -> None:
    for size in (3, 5):
        with pytest.raises(InvalidParameterValue):
            store.write(P("a"), io.BytesIO(b"data"), size)
    assert names(store) == [] and unfinished(store) == []


def test_files_and_folders_do_not_take_each_others_place(store: LocalArtifacts) -> None:
    put(store, "a/b")
    for path in ("a", "a/b/c", "a/b/c/d"):
        with pytest.raises(InvalidParameterValue):
            put(store, path)
    assert content(store, "a/b") == b"data" and unfinished(store) == []


def test_reading_a_folder_a_missing_and_a_forbidden_file_are_three_errors(store: LocalArtifacts) -> None:
    put(store, "a/b")
    for path, error in (("a", InvalidParameterValue), ("", InvalidParameterValue), ("c", ResourceDoesNotExist),
                        ("a/b/c", ResourceDoesNotExist), ("x/y", ResourceDoesNotExist)):  # fmt: skip
        with pytest.raises(error):
            store.open(P(path))
    os.chmod(os.path.join(store.uri, "a", "b"), 0)
    if not os.access(os.path.join(store.uri, "a", "b"), os.R_OK):
        with pytest.raises(PermissionDenied):
            store.open(P("a/b"))


@pytest.mark.parametrize("path", ["x" * 256, "a/" + "é" * 128, "y" * 5000, "z/" * 3000 + "z"])
def test_a_name_that_the_file_system_cannot_hold_is_refused(store: LocalArtifacts, path: str) -> None:
    put(store, "x" * 255)
    with pytest.raises(InvalidParameterValue):
        put(store, path)
    with pytest.raises((InvalidParameterValue, ResourceDoesNotExist)):
        store.open(P(path))
    assert unfinished(store) == []


def test_delete_removes_files_and_trees_and_is_fine_with_nothing(store: LocalArtifacts) -> None:
    for path in ("a/b/c", "a/d", "e"):
        put(store, path)
    store.delete(P("a/b"))
    store.delete(P("nowhere"))
    store.delete(P("e/below"))
    assert names(store, "a") == ["d"]
    store.delete(ROOT)
    assert names(store) == []


@pytest.fixture
def outside(store: LocalArtifacts, tmp_path: Path) -> Iterator[Path]:
    """A folder beside the root that links in the root point to; nothing in it may be read, changed or listed."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "secret").write_text("secret")
    put(store, "in/a")
    root = Path(store.uri)
    (root / "to-folder").symlink_to(folder)
    (root / "to-file").symlink_to(folder / "secret")
    (root / "to-nothing").symlink_to(tmp_path / "nothing")
    (root / "to-in").symlink_to(root / "in")
    (root / "in" / "up").symlink_to("../../outside")
    yield folder
    assert {each.name: each.read_text() for each in folder.iterdir()} == {"secret": "secret"}
    assert not (tmp_path / "nothing").exists()


def test_a_link_that_leads_out_is_neither_read_nor_listed_nor_written_through(
    store: LocalArtifacts, outside: Path
) -> None:
    assert names(store) == ["in", "to-in"] and names(store, "in") == ["a"]
    for path in ("to-folder/secret", "to-file", "to-folder", "to-nothing", "in/up/secret", "to-in/up/secret"):
        with pytest.raises(InvalidParameterValue):
            store.open(P(path))
    for path in ("to-folder/new", "to-folder/secret", "in/up/new"):
        with pytest.raises(InvalidParameterValue):
            put(store, path)
    assert content(store, "to-in/a") == b"data"


def test_writing_and_deleting_a_link_takes_the_link_and_not_what_it_points_to(
    store: LocalArtifacts, outside: Path
) -> None:
    put(store, "to-file", b"mine")
    assert content(store, "to-file") == b"mine"
    store.delete(P("to-folder"))
    store.delete(P("in"))
    with pytest.raises(TrackdError):
        store.delete(P("to-nothing/x"))
    store.delete(ROOT)
    assert names(store) == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_no_artifact_and_holds_nobody_up(store: LocalArtifacts) -> None:
    put(store, "a")
    os.mkfifo(os.path.join(store.uri, "pipe"))
    assert names(store) == ["a"]
    with pytest.raises(InvalidParameterValue):
        store.open(P("pipe"))


def test_what_a_killed_writer_left_is_swept_but_not_what_is_being_written(store: LocalArtifacts) -> None:
    class Watching(io.RawIOBase):
        """Looks for what is there while it is read."""

        def readinto(self, buffer: Any) -> int:
            seen.append(unfinished(store))
            store.sweep(0.0)
            return 0

    seen: List[List[str]] = []
    put(store, "a")
    left = Path(store.uri, WORKSHOP, "left-by-somebody")
    left.write_text("half")
    store.write(P("b"), Watching(), None)
    assert len(seen[0]) == 2 and not left.exists()
    assert names(store) == ["a", "b"] and unfinished(store) == []


def test_a_folder_has_no_presigned_urls_and_says_so_in_words_that_clients_know(store: LocalArtifacts) -> None:
    for call in (store.presign_download, store.presign_upload):
        with pytest.raises(NotHere) as caught:
            call(P("a"), 60)
        assert caught.value.status == 501 and "not supported" in caught.value.message


def test_a_location_is_opened_by_its_form(tmp_path: Path) -> None:
    assert open_artifacts(str(tmp_path)).uri == open_artifacts(tmp_path.as_uri()).uri == str(tmp_path)
    for location in ("gs://bucket/a", "file://elsewhere/a", "hdfs://h/p"):
        with pytest.raises(InvalidParameterValue):
            open_artifacts(location)
