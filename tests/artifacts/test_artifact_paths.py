"""The gate from text to an artifact path: what it means, and what never gets through."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trackd.artifacts.paths import ROOT, ArtifactPath, artifact_path, joined
from trackd.errors import InvalidParameterValue

#: Every shape in which somebody has tried to leave a folder.
OUTSIDE = [
    "..", "../x", "a/..", "a/../..", "a/../../x", "%2e%2e/x", "%2E%2E%2Fx", "..%2fx", "%252e%252e/x",
    "%25252e%25252e/x", ".%2e/x", "a/%2e./x", "..\\x", "a\\..\\..\\x", "%5c..%5c", "\\\\host\\share", "a\\b",
    "/etc/passwd", "//etc/passwd", "%2fetc/passwd", "%252fetc", "/",
    "C:/x", "c:\\x", "C%3a/x", "file:///etc/passwd", "file:/etc", "FILE:a", "file:a#b",
    "file%3a///etc/passwd", "file:../x", "a\0b", "a%00b", "\0", "%00", "a#b", "a%23b", "#", "\ud800", "%ff", "a/%80",
    "%" + "25" * 12 + "2e",
]  # fmt: skip


@pytest.mark.parametrize("text", OUTSIDE)
def test_what_leaves_its_place_is_refused(text: str) -> None:
    for leaf in (False, True):
        with pytest.raises(InvalidParameterValue):
            artifact_path(text, leaf)


@pytest.mark.parametrize(
    "text, path",
    [
        ("", ""), ("a", "a"), ("a/b.txt", "a/b.txt"), ("a/", "a"), ("a//b", "a/b"), ("./a/./b", "a/b"), (".", ""),
        ("a b+c", "a b+c"), ("a%20b", "a b"), ("a%2520b", "a b"), ("100%", "100%"), ("50%25 x", "50% x"),
        ("ü/日本", "ü/日本"), ("%C3%BC", "ü"), ("a\nb", "a%0ab"), ("a\x7f", "a%7f"), ("...", "..."), ("..a", "..a"),
        ("a..", "a.."), ("a:b", "a:b"), ("~/x", "~/x"), ("-rf", "-rf"), ("a?b=c&d", "a?b=c&d"),
    ],
)  # fmt: skip
def test_other_text_means_one_path_below_the_root(text: str, path: str) -> None:
    assert artifact_path(text) == path


@pytest.mark.parametrize("text", ["", "/", "a/", ".", "a/.", "a//"])
def test_a_file_has_a_name(text: str) -> None:
    with pytest.raises(InvalidParameterValue):
        artifact_path(text, leaf=True)


def test_names_of_uploads_under_way_are_nobodys() -> None:
    names = (".artifact.uploading.x", "a/.artifact.uploading.t/b", "%2eartifact.uploading.", ".ARTIFACT.Uploading.x")
    for text in names:
        with pytest.raises(InvalidParameterValue):
            artifact_path(text)


@given(st.text(st.sampled_from("ab./\\%25eE2fF0cC:#\0\n é"), max_size=12))
def test_whatever_gets_through_stays_below_and_means_the_same_again(text: str) -> None:
    try:
        path = artifact_path(text)
    except InvalidParameterValue as error:
        assert len(error.message) < 500 and error.message.isascii()
        return
    parts = path.split("/") if path else []
    assert not {"", ".", ".."} & set(parts) and not set(path) & set("\\\0\n#")


def test_paths_join_below_their_base() -> None:
    a, b = ArtifactPath("a/b"), ArtifactPath("c")
    assert [joined(a, b), joined(ROOT, b), joined(a, ROOT), joined(ROOT, ROOT)] == ["a/b/c", "c", "a/b", ""]
