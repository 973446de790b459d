"""Reading requests: bodies, queries, signatures. Includes how the Python, Java and R clients write the same thing."""

import json
import threading
from typing import Any, Dict, List

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trackd import fields
from trackd.binding import Binding, read_body, read_query
from trackd.errors import InvalidParameterValue
from trackd.web.message import Request
from trackd.web.router import Route


def refused(body: bytes) -> str:
    """What is said about a body that must be refused."""
    with pytest.raises(InvalidParameterValue) as caught:
        read_body(body)
    return caught.value.message


@pytest.mark.parametrize("body", [b"", b"  \r\n\t", b"null", b'"null"', b"{}", b'"{}"', b"\xef\xbb\xbf{}"])
def test_nothing_and_null_are_an_empty_object(body: bytes) -> None:
    assert read_body(body) == {}


def test_json_in_a_string_is_read_once_more_but_not_twice() -> None:
    inner = json.dumps({"a": "é"})
    assert read_body(json.dumps(inner).encode()) == {"a": "é"}
    assert "expected a JSON object" in refused(json.dumps(json.dumps(inner)).encode())


@pytest.mark.parametrize("body", [b"[]", b'[{"a":1}]', b"5", b"true", b'"[]"', b"1.5"])
def test_anything_but_an_object_is_refused(body: bytes) -> None:
    assert "expected a JSON object" in refused(body)


@pytest.mark.parametrize(
    "body", [b"{", b'{"a":1,}', b"{'a':1}", b"{a:1}", b'{"a":01}', b'{"a":1}x', b'"{"', b'{"a":"\n"}', b"\0"]
)
def test_malformed_json_is_refused_with_its_place(body: bytes) -> None:
    assert "not JSON" in refused(body) and "at character" in refused(body)


@pytest.mark.parametrize(
    "body", [b'{"a":"\xff"}', b'{"a":"\xe9"}', b'{"a":"\xed\xa0\x80"}', '{"a":1}'.encode("utf-16")]
)
def test_what_is_not_utf_8_is_refused(body: bytes) -> None:
    assert "UTF-8" in refused(body)


@pytest.mark.parametrize("token", ["NaN", "Infinity", "-Infinity"])
def test_bare_nan_and_infinity_are_refused_with_the_way_to_send_them(token: str) -> None:
    assert f'"{token}"' in refused(f'{{"a":[{token}]}}'.encode())


@pytest.mark.parametrize("size", [5000, 200_000])
def test_a_number_of_thousands_of_digits_is_refused(size: int) -> None:
    assert "number" in refused(b'{"a":' + b"9" * size + b"}")


@pytest.mark.parametrize("opening, closing", [(b"[", b"]"), (b'{"a":', b"}")])
@pytest.mark.parametrize("closed", [True, False])
def test_deep_nesting_is_refused_in_a_thread_as_well(opening: bytes, closing: bytes, closed: bool) -> None:
    depth = 200_000
    body = b'{"a":' + opening * depth + (b"1" + closing * depth + b"}" if closed else b"")
    said: List[str] = []
    thread = threading.Thread(target=lambda: said.append(refused(body)))
    thread.start()
    thread.join()
    assert said and "nested" in said[0]


@pytest.mark.parametrize("text", ['{"a":"\\ud800"}', '{"a":"\\uDFFFx"}', '{"\\ud83d":1}', '{"a":[{"b":"\\ud83d\\n"}]}'])
def test_half_a_surrogate_pair_is_refused(text: str) -> None:
    assert "surrogate" in refused(text.encode())


def test_a_whole_surrogate_pair_is_a_character() -> None:
    assert read_body(b'{"a":"\\ud83d\\ude00 \\\\ud800"}') == {"a": "\U0001f600 \\ud800"}


@pytest.mark.parametrize(
    "text",
    [
        '{"a":1,"a":1}',
        '{"a":1, "b":2, "a":3}',
        '{"a" :1,"a":2,"b":"\\":c"}',
        '{"a":{"b":1,"b":2}}',
        '{"a":[{"b":1},{"b":1,"b":2}]}',
        '{"a":[[{"b":1,"b":2}]]}',
        '{"a":"x:y","a":"z"}',
        '{"a":1,"\\u0061":2}',
        '"{\\"a\\":1,\\"a\\":2}"',
        '{"x":{"y":{"a":1,"a":2}}}',
        '{"a":":","b":{"c":1}, "b":{}}',
    ],
)
def test_a_name_twice_in_one_object_is_refused(text: str) -> None:
    assert "twice" in refused(text.encode())


def test_a_name_twice_among_very_many_is_found_in_one_pass() -> None:
    # With a look at all names for each, this takes some minutes; 32 MB of them would take a day.
    names = ",".join(f'"{number}":0' for number in range(100_000))
    assert "'99999' twice" in refused(f'{{{names},"99999":1}}'.encode())


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(alphabet=':{}" ,\\ab', max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(alphabet=':{" ab', max_size=3), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(
    st.dictionaries(st.text(alphabet=':{" ab', max_size=3), JSON_VALUES, max_size=4), st.sampled_from([None, 1, "\t"])
)
def test_every_object_without_repeated_names_is_read_as_it_is(value: Dict[str, Any], indent: Any) -> None:
    assert read_body(json.dumps(value, indent=indent).encode()) == value
    assert read_body(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()) == value


@given(st.dictionaries(st.text(alphabet=":{ab", max_size=2), JSON_VALUES, min_size=1, max_size=3), st.randoms())
def test_a_repeated_name_is_found_wherever_it_stands(value: Dict[str, Any], random: Any) -> None:
    twice = random.choice(sorted(value))
    members = [f"{json.dumps(name)}:{json.dumps(item)}" for name, item in value.items()] + [f"{json.dumps(twice)}: 0"]
    random.shuffle(members)
    text = "{" + ",".join(members) + "}"
    for wrapped in (text, f'{{"in": {text}}}', f'{{"in":[{text},{{}}]}}', f'{{"in":[[{text}]]}}'):
        assert "twice" in refused(wrapped.encode())


@given(st.binary(max_size=40))
def test_no_body_is_worse_than_refused(body: bytes) -> None:
    try:
        assert isinstance(read_body(body), dict)
    except InvalidParameterValue:
        pass


def test_a_query_keeps_repeated_names_in_order_and_decodes_them() -> None:
    assert read_query("a=1&b=x+y&a=%C3%A9%2B&c&d=&=e&&f=1=2") == {
        "a": ["1", "é+"], "b": ["x y"], "c": [""], "d": [""], "": ["e"], "f": ["1=2"],
    }  # fmt: skip


def test_a_query_that_is_not_utf_8_is_refused() -> None:
    with pytest.raises(InvalidParameterValue, match="UTF-8"):
        read_query("a=%ff")


def everything(
    ctx: Any,
    run_id: fields.RunIdOrUuid,
    timestamp: fields.Timestamp,
    order_by: fields.OrderBy = ("none",),
    run_view_type: fields.ViewType = "DEFAULT",
    page_token: fields.PageToken = None,
) -> Any:
    """An endpoint with one argument of each sort."""


def bind(
    method: str, query: str = "", body: Any = None, headers: Any = None, path: str = "/x", **params: str
) -> List[Any]:
    """The arguments that ``everything`` would be called with."""
    given_headers = {"content-type": "application/json"} if headers is None else headers
    request = Request(method, path, query, given_headers, json.dumps(body).encode() if body is not None else b"")
    return Binding(Route(method, path, everything)).arguments(request, params)


def test_get_reads_the_query_alone() -> None:
    query = "run_id=a&run_id=b&timestamp=5&order_by=x&order_by=y&run_view_type=2&other=1"
    assert bind("GET", query, body={"run_id": "z"}) == ["a", 5, ["x", "y"], "DELETED_ONLY", None]


def test_one_occurrence_of_a_repeated_field_is_a_list_of_one() -> None:
    assert bind("GET", "runId=a&timestamp=5&orderBy=x")[2] == ["x"]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_other_methods_read_the_body_alone(method: str) -> None:
    with pytest.raises(InvalidParameterValue, match="run_id is missing"):
        bind(method, "run_id=a&timestamp=5")
    assert bind(method, "run_id=z", {"run_id": "a", "timestamp": 5}) == ["a", 5, ("none",), "DEFAULT", None]


@pytest.mark.parametrize(
    "body",
    [
        {"run_id": "a", "run_uuid": "a", "timestamp": 1700000000000, "order_by": ["x"], "run_view_type": "ALL"},
        {"run_uuid": "a", "timestamp": "1700000000000", "order_by": ["x"], "run_view_type": "ALL"},
        {"run_id": "a", "timestamp": "1.7e+12", "order_by": ["x"], "run_view_type": "3", "page_token": ""},
        {"runId": "a", "timestamp": 1.7e12, "orderBy": ["x"], "runViewType": 3, "pageToken": None},
        {"run_id": "", "runUuid": "a", "timestamp": "1700000000000.0", "order_by": ["x"], "run_view_type": "ALL"},
    ],
)
def test_python_java_r_and_protobuf_spellings_mean_the_same(body: Any) -> None:
    assert bind("POST", body=body) == ["a", 1700000000000, ["x"], "ALL", None]


def test_null_is_absent_and_an_unknown_name_of_a_choice_is_unset() -> None:
    body = {"run_id": "a", "timestamp": 1, "order_by": None, "run_view_type": "BOGUS"}
    assert bind("POST", body=body) == ["a", 1, ("none",), "DEFAULT", None]


@pytest.mark.parametrize("second", ["b", None])
def test_one_field_in_both_spellings_is_refused(second: Any) -> None:
    with pytest.raises(InvalidParameterValue, match="pageToken"):
        bind("POST", body={"run_id": "a", "timestamp": 1, "page_token": "a", "pageToken": second})
    with pytest.raises(InvalidParameterValue, match="runId"):
        bind("GET", "run_id=a&runId=a&timestamp=1")


def test_an_argument_of_the_path_wins_over_the_body() -> None:
    path = "/x/{run_id}"
    assert bind("POST", body={"run_id": "a", "timestamp": 1}, path=path, run_id="p")[0] == "p"
    assert bind("GET", "run_id=a&timestamp=1", path=path, run_id="p")[0] == "p"


@pytest.mark.parametrize("value", ["application/json", "application/json; charset=utf-8", "Application/JSON ;x=y"])
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_the_content_type_may_have_parameters_and_any_case(method: str, value: str) -> None:
    assert bind(method, body={"run_id": "a", "timestamp": 1}, headers={"content-type": value})[0] == "a"


@pytest.mark.parametrize("headers", [{}, {"content-type": "text/plain"}, {"content-type": "application/jsonx"}])
def test_post_and_put_need_json_and_the_others_do_not_ask(headers: Any) -> None:
    for method in ("POST", "PUT"):
        with pytest.raises(InvalidParameterValue, match="Content-Type"):
            bind(method, body={"run_id": "a", "timestamp": 1}, headers=headers)
    for method in ("PATCH", "DELETE"):
        assert bind(method, body={"run_id": "a", "timestamp": 1}, headers=headers)[0] == "a"


def test_a_parameter_without_a_request_type_is_found_when_the_route_is_made() -> None:
    def endpoint(ctx: Any, name: str) -> None:
        """Has a parameter that nothing says how to read."""

    with pytest.raises(TypeError, match="name has no type"):
        Binding(Route("GET", "/x", endpoint))
