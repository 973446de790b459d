"""The router: which function answers which path."""

from typing import Any, Callable, Dict, Tuple

import pytest

from trackd.errors import EndpointNotFound, MethodNotAllowed
from trackd.web.router import Route, Router, route


@route("GET", "/api/2.0/mlflow/things/get")
@route("POST", "/api/2.0/mlflow/things/search")
def things() -> None:
    """Things, one or many.

    More about them.
    """


@route("GET", "/api/2.0/mlflow/traces/{trace_id}")
def trace() -> None:
    """One trace."""


@route("GET", "/api/2.0/mlflow/traces/get")
def fixed_trace() -> None:
    """A path that a template also matches."""


@route("GET", "/api/2.0/mlflow/traces/{trace_id}/tags/{key}")
def trace_tag() -> None:
    """One tag of one trace."""


@route("GET", "/api/2.0/mlflow/traces/{trace_id}/tags/all")
def trace_tags() -> None:
    """More fixed segments than its neighbour."""


@route("PUT", "/api/2.0/artifacts/{path:path}", stream=True)
@route("GET", "/api/2.0/artifacts/{path:path}")
def artifact() -> None:
    """A path below a path."""


@route("GET", "/api/2.0/artifacts")
def artifacts() -> None:
    """The list."""


@route("POST", "/ajax-api/2.0/mlflow/upload", stream=True)
def upload() -> None:
    """Only for browsers."""


@route("GET", "/health")
def health() -> None:
    """Alive."""


ALL = [
    each
    for function in (things, trace, fixed_trace, trace_tag, trace_tags, artifact, artifacts, upload, health)
    for each in function.routes  # type: ignore[attr-defined]
]


@pytest.fixture
def router() -> Router:
    return Router(ALL)


def found(router: Router, method: str, path: str) -> Tuple[Callable[..., Any], Dict[str, str]]:
    each, arguments = router.match(method, path)
    return each.function, arguments


def test_the_decorator_leaves_the_function_as_it_is_and_lists_its_routes() -> None:
    def endpoint() -> None:
        """What it does.

        And why.
        """

    decorated = route("POST", "/b", stream=True)(route("GET", "/a")(endpoint))
    assert decorated is endpoint
    routes = vars(endpoint)["routes"]
    assert routes == [Route("GET", "/a", endpoint, False), Route("POST", "/b", endpoint, True)]
    assert routes[0].description == "What it does."


def test_a_plain_path_has_no_arguments(router: Router) -> None:
    assert found(router, "GET", "/health") == (health, {})
    assert found(router, "POST", "/api/2.0/mlflow/things/search") == (things, {})


def test_every_api_path_has_a_twin_for_browsers(router: Router) -> None:
    assert found(router, "GET", "/ajax-api/2.0/mlflow/things/get") == (things, {})
    assert found(router, "GET", "/ajax-api/2.0/mlflow/traces/t1") == (trace, {"trace_id": "t1"})


def test_a_path_for_browsers_has_no_twin(router: Router) -> None:
    assert found(router, "POST", "/ajax-api/2.0/mlflow/upload") == (upload, {})
    with pytest.raises(EndpointNotFound):
        router.match("POST", "/api/2.0/mlflow/upload")


def test_a_plain_path_wins_over_a_template(router: Router) -> None:
    assert found(router, "GET", "/api/2.0/mlflow/traces/get") == (fixed_trace, {})


def test_the_template_with_more_fixed_segments_wins(router: Router) -> None:
    assert found(router, "GET", "/api/2.0/mlflow/traces/t1/tags/all") == (trace_tags, {"trace_id": "t1"})
    assert found(router, "GET", "/api/2.0/mlflow/traces/t1/tags/k") == (trace_tag, {"trace_id": "t1", "key": "k"})


def test_an_argument_is_one_segment_and_never_empty(router: Router) -> None:
    for path in ("/api/2.0/mlflow/traces/", "/api/2.0/mlflow/traces/a/b", "/api/2.0/mlflow/traces/t1/tags/"):
        with pytest.raises(EndpointNotFound):
            router.match("GET", path)


def test_the_rest_of_a_path_may_hold_slashes_and_line_feeds(router: Router) -> None:
    assert found(router, "PUT", "/api/2.0/artifacts/a/b c/\nd\n") == (artifact, {"path": "a/b c/\nd\n"})
    assert found(router, "GET", "/api/2.0/artifacts") == (artifacts, {})


def test_a_slash_too_many_is_another_path(router: Router) -> None:
    for path in ("/health/", "//health", "/api/2.0/mlflow/things/get/", "/api/2.0/artifacts/"):
        with pytest.raises(EndpointNotFound):
            router.match("GET", path)


def test_a_line_feed_after_a_path_is_another_path(router: Router) -> None:
    with pytest.raises(EndpointNotFound):
        router.match("GET", "/health\n")


def test_head_finds_what_get_would(router: Router) -> None:
    assert found(router, "HEAD", "/health") == (health, {})
    assert found(router, "HEAD", "/api/2.0/mlflow/traces/t1") == (trace, {"trace_id": "t1"})


def test_a_known_path_with_another_method_lists_the_methods_it_has(router: Router) -> None:
    with pytest.raises(MethodNotAllowed) as raised:
        router.match("DELETE", "/api/2.0/artifacts/a/b")
    assert raised.value.allow == "GET, HEAD, PUT"
    with pytest.raises(MethodNotAllowed) as raised:
        router.match("HEAD", "/api/2.0/mlflow/things/search")
    assert raised.value.allow == "POST"
    assert raised.value.status == 405


def test_the_prefix_stands_before_every_path() -> None:
    router = Router(ALL, prefix="/p/")
    assert found(router, "GET", "/p/health") == (health, {})
    assert found(router, "GET", "/p/ajax-api/2.0/artifacts/x") == (artifact, {"path": "x"})
    for path in ("/health", "/api/2.0/artifacts", "/ajax-api/p/2.0/artifacts"):
        with pytest.raises(EndpointNotFound):
            router.match("GET", path)


def test_a_prefix_without_a_slash_is_refused() -> None:
    with pytest.raises(ValueError, match="does not begin"):
        Router(ALL, prefix="p")


def test_streaming_is_known_before_the_body_is_read(router: Router) -> None:
    assert router.streams("PUT", "/api/2.0/artifacts/a/b")
    assert router.streams("PUT", "/ajax-api/2.0/artifacts/a/b")
    assert router.streams("POST", "/ajax-api/2.0/mlflow/upload")
    for method, path in (("GET", "/api/2.0/artifacts/a"), ("POST", "/health"), ("PUT", "/nowhere")):
        assert not router.streams(method, path)


def test_all_routes_are_listed_with_their_full_paths() -> None:
    paths = [each.path for each in Router(ALL, prefix="/p").routes]
    assert "/p/health" in paths
    assert "/p/ajax-api/2.0/mlflow/traces/{trace_id}" in paths
    assert len(paths) == 2 * (len(ALL) - 2) + 2


def test_two_functions_for_one_path_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="twice"):
        Router([Route("GET", "/a", health), Route("GET", "/a", trace)])
    with pytest.raises(ValueError, match="twice"):
        Router([Route("GET", "/a/{x}", health), Route("GET", "/a/{y}", trace)])


@pytest.mark.parametrize("path", ["/a/{x:path}/b", "/a/{X}", "/a/{x"])
def test_a_template_that_cannot_mean_anything_is_a_mistake(path: str) -> None:
    with pytest.raises(ValueError, match="argument"):
        Router([Route("GET", path, health)]).match("GET", "/a/b")


def test_characters_with_a_meaning_in_expressions_are_plain_in_paths() -> None:
    router = Router([Route("GET", "/a.b/{x}+", health)])
    assert found(router, "GET", "/a.b/1+") == (health, {"x": "1"})
    with pytest.raises(EndpointNotFound):
        router.match("GET", "/aXb/1+")
