"""Page tokens: MLflow's are honoured, ours carry the sort key, and anything else is refused."""

import base64
import json
import math
from typing import Any, List

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trackd.errors import InvalidParameterValue
from trackd.search.clause import Cursor
from trackd.search.paging import MAX_AFTER, MAX_TOKEN, decode, encode


def token(content: Any) -> str:
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    return base64.b64encode(text).decode()


values: Any = (
    st.none()
    | st.text(max_size=10)
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
)


@given(st.integers(1, 2**63 - 1), st.none() | st.lists(values, min_size=1, max_size=6).map(tuple))
def test_a_cursor_comes_back_exactly_as_it_was(offset: int, after: Any) -> None:
    found = decode(encode(Cursor(offset, after)))
    assert found == Cursor(offset, after)
    assert [type(value) for value in found.after or ()] == [type(value) for value in after or ()]


def test_a_token_is_base64_of_json_with_the_offset_that_mlflow_looks_for() -> None:
    assert json.loads(base64.b64decode(encode(Cursor(25)))) == {"offset": 25}
    content = json.loads(base64.b64decode(encode(Cursor(25, (0, math.inf, None, "é")))))
    assert content == {"offset": 25, "after": [0, math.inf, None, "é"]}


WRONG: List[Any] = [None, [], "ab", 5, {"a": 1}, [[1]], [{}], [True]]


def test_no_token_is_the_start_and_one_of_mlflow_is_an_offset() -> None:
    assert decode(None) == decode("") == Cursor(0, None)
    assert decode("eyJvZmZzZXQiOiAyNX0=") == Cursor(25, None)


@pytest.mark.parametrize(
    "text",
    [
        *("x", "!", "%%%%", "é", "\ud800", "eyJvZmZzZXQiOiAyNX0", "eyJvZmZzZXQiOiAyNX0=\n", " eyJvZmZzZXQiOiAyNX0="),
        *(token(b"\xff\xfe"), token(b"{"), token(b'{"offset": 5} x'), token(b"[" * 100_000)),
        *(token(b'{"offset": ' + b"9" * 5000 + b"}"), "A" * (MAX_TOKEN + 4)),
        *(token(content) for content in (None, 5, "5", [], [5], {}, {"Offset": 5}, {"offset": 5, "other": 1})),
        *(token({"offset": offset}) for offset in (None, 0, -1, 2**63, 1.0, 25.5, "25", True, [5], {"a": 1}, math.nan)),
        *(token({"offset": 5, "after": after}) for after in WRONG),
        *(token({"offset": 5, "after": [bad]}) for bad in (2**63, -(2**63) - 1, math.nan, "\ud800")),
        token({"offset": 5, "after": [1] * (MAX_AFTER + 1)}),
    ],
)
def test_anything_else_is_a_400(text: str) -> None:
    with pytest.raises(InvalidParameterValue, match="Invalid page_token"):
        decode(text)


@settings(max_examples=300)
@given(st.text(max_size=40) | st.binary(max_size=40).map(lambda raw: base64.b64encode(raw).decode()))
def test_random_tokens_are_a_cursor_or_a_400(text: str) -> None:
    try:
        assert decode(text).offset >= 0
    except InvalidParameterValue as error:
        assert error.status == 400
