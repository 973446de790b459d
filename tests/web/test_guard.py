"""The guard: which Host and Origin may do what, and the headers of every answer."""

from typing import Dict, List, Optional

import pytest

from trackd.web.guard import Guard
from trackd.web.message import Request, Response

API = "/api/2.0/mlflow/runs/create"
AJAX = "/ajax-api/2.0/mlflow/runs/create"


Answer = Optional[Response]


def ask(
    guard: Guard, host: Optional[str] = "localhost", method: str = "GET", path: str = "/", **headers: str
) -> Answer:
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    if host is not None:
        fields["host"] = host
    return guard.check(Request(method, path, headers=fields))


def answer_headers(guard: Guard, **headers: str) -> Dict[str, str]:
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return dict(guard.headers(Request("GET", "/", headers=fields)))


def refused(response: Answer) -> bool:
    if response is None:
        return False
    assert (response.status, response.content_type) == (403, "text/plain; charset=utf-8")
    return True


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:5000",
        "LocalHost:1",
        "127.0.0.1",
        "127.0.0.1:5000",
        "0.0.0.0:5000",
        "[::1]",
        "[::1]:5000",
        "[0:0:0:0:0:0:0:1]:5000",
        "10.0.0.1",
        "10.255.3.4:80",
        "172.16.0.1",
        "172.31.255.255:9",
        "192.168.1.5:5000",
        "[fd00::1]",
        "[fc00::12:1]:5000",
        "[FD12:3456::1]:80",
        "localhost:",
    ],
)
def test_by_default_this_machine_and_private_addresses_are_allowed(host: str) -> None:
    assert ask(Guard(), host) is None


@pytest.mark.parametrize(
    "host",
    [
        "evil.com",
        "localhost.evil.com",
        "evil.com:5000",
        "10.evil.com",
        "10.0.0.1.evil.com",
        "192.168.evil.com",
        "192.168.1.5.evil.com:80",
        "172.16.evil.com",
        "172.32.0.1",
        "172.15.0.1",
        "11.0.0.1",
        "8.8.8.8",
        "10.0.0",
        "10.0.0.0.1",
        "10.0.0.256",
        "010.0.0.1.2",
        "[2001:db8::1]",
        "[fe80::1]",
        "fd00::1",
        "fd00:evil.com",
        "[fd00::1",
        "[::1]evil.com",
        "[::1].evil.com",
        "localhost@evil.com",
        "localhost:80@evil.com",
        "localhost:80:80",
        "localhost:x",
        "localhost/x",
        "localhost localhost",
        "localhost,evil.com",
        "localhost.",
        "[localhost]",
        "[10.0.0.1]",
        "",
        None,
        "localhost\x00",
        "evil.com#localhost",
        "localhost?",
        "\u0661\u0660.0.0.1",
        "localhost:\u0661",
    ],
)
def test_by_default_every_other_host_is_refused(host: str) -> None:
    assert refused(ask(Guard(), host))


@pytest.mark.parametrize(
    ("pattern", "allowed", "other"),
    [
        (
            "example.com",
            ["example.com", "example.com:5000", "EXAMPLE.com"],
            ["a.example.com", "example.com.evil.org", "localhost"],
        ),
        ("example.com:5000", ["example.com:5000"], ["example.com", "example.com:5001"]),
        ("example.com:*", ["example.com", "example.com:1"], ["example.com.evil.org:1"]),
        (
            "*.example.com",
            ["a.example.com", "a.b.example.com:5000"],
            ["example.com", "a.example.com.evil.org", "evilexample.com"],
        ),
        ("10.*", ["10.1.2.3", "10.0.0.1:80"], ["10.evil.com", "10.1.2.3.evil.com", "11.1.2.3"]),
        ("192.168.*:5000", ["192.168.1.1:5000"], ["192.168.evil.com:5000", "192.168.1.1:80"]),
        ("[2001:db8::1]", ["[2001:db8::1]", "[2001:DB8:0::1]:80"], ["[2001:db8::2]"]),
        ("2001:db8::1", ["[2001:db8::1]:80"], ["2001:db8::1"]),
        ("[fd00:*]", ["[fd00::1]:80"], ["[fd01::1]", "fd00"]),
        ("[::1]:*", ["[::1]:80"], ["localhost"]),
        ("a.org, b.org", ["a.org", "b.org:1"], ["c.org", "a.org,b.org"]),
    ],
)
def test_configured_hosts_replace_the_default_list(pattern: str, allowed: List[str], other: List[str]) -> None:
    guard = Guard(allowed_hosts=pattern)
    assert [host for host in allowed if refused(ask(guard, host))] == []
    assert [host for host in other if not refused(ask(guard, host))] == []


def test_hosts_can_be_given_as_a_list() -> None:
    guard = Guard(allowed_hosts=["a.org", "b.org"])
    assert ask(guard, "b.org") is None
    assert refused(ask(guard, "localhost"))


def test_an_empty_list_of_hosts_means_the_default() -> None:
    assert ask(Guard(allowed_hosts=" , "), "localhost") is None
    assert refused(ask(Guard(allowed_hosts=""), "evil.com"))


def test_a_star_allows_every_host_and_none() -> None:
    guard = Guard(allowed_hosts="a.org,*")
    assert ask(guard, "evil.com") is None
    assert ask(guard, None) is None


def test_a_pattern_that_is_no_host_is_a_mistake_at_the_start() -> None:
    with pytest.raises(ValueError, match="pattern"):
        Guard(allowed_hosts="http://a.org/")


@pytest.mark.parametrize("prefix", ["", "/p"])
def test_health_and_version_answer_under_any_name(prefix: str) -> None:
    guard = Guard(prefix=prefix)
    assert ask(guard, "evil.com", path=prefix + "/health") is None
    assert ask(guard, "evil.com", path=prefix + "/version") is None
    for path in (prefix + "/health/", prefix + "/healthy", "/", "/other/health"):
        assert refused(ask(guard, "evil.com", path=path))


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("path", [API, AJAX])
@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.com",
        "null",
        "http://localhost.evil.com",
        "http://evil.com:80",
        "file://",
        "http://127.0.0.1.evil.com",
        "http://localhost@evil.com",
        "http://localhost:80@evil.com",
        "evil",
        "http://localhost/x",
        "http://[::1].evil.com",
    ],
)
def test_a_page_of_another_site_changes_nothing(method: str, path: str, origin: str) -> None:
    assert refused(ask(Guard(), method=method, path=path, origin=origin))


@pytest.mark.parametrize(
    "origin",
    ["http://localhost", "http://localhost:3000", "https://localhost:1", "http://127.0.0.1:5000", "http://[::1]:8"],
)
def test_pages_on_this_machine_may_change_things(origin: str) -> None:
    assert ask(Guard(), method="POST", path=API, origin=origin) is None


def test_clients_without_an_origin_may_change_things() -> None:
    assert ask(Guard(), method="POST", path=API) is None


def test_our_own_page_may_change_things_under_an_address_that_is_allowed() -> None:
    assert ask(Guard(), "192.168.1.5:5000", "POST", API, origin="http://192.168.1.5:5000") is None
    assert refused(ask(Guard(), "192.168.1.5:5000", "POST", API, origin="http://192.168.1.5:5001"))


def test_our_own_page_is_not_believed_where_the_host_is_not_checked() -> None:
    guard = Guard(allowed_hosts="*")
    assert refused(ask(guard, "evil.com", "POST", API, origin="http://evil.com"))


def test_reading_and_pages_outside_the_api_are_not_a_matter_of_the_origin() -> None:
    assert ask(Guard(), method="GET", path=API, origin="https://evil.com") is None
    assert ask(Guard(), method="POST", path="/elsewhere", origin="https://evil.com") is None
    assert ask(Guard(prefix="/p"), method="POST", path="/p/elsewhere", origin="https://evil.com") is None


def test_the_origin_check_follows_the_prefix_and_covers_what_is_there_without_it() -> None:
    assert refused(ask(Guard(prefix="/p"), method="POST", path=API, origin="https://evil.com"))
    assert refused(ask(Guard(prefix="/p"), method="POST", path="/p" + API, origin="https://evil.com"))


def test_configured_origins_match_exactly_or_by_wildcard() -> None:
    guard = Guard(cors_allowed_origins="https://app.example.com, https://*.wild.org")
    for origin in ("https://app.example.com", "https://a.wild.org", "http://localhost:1"):
        assert ask(guard, method="POST", path=API, origin=origin) is None
    for origin in (
        "http://app.example.com",
        "https://app.example.com:444",
        "https://wild.org",
        "https://evil.com/.wild.org",
    ):
        assert refused(ask(guard, method="POST", path=API, origin=origin))


def test_a_star_allows_every_origin_without_credentials() -> None:
    guard = Guard(cors_allowed_origins="*")
    assert ask(guard, method="POST", path=API, origin="https://evil.com") is None
    headers = answer_headers(guard, origin="https://evil.com")
    assert headers["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Credentials" not in headers
    assert "Vary" not in headers


def test_every_answer_has_the_security_headers() -> None:
    expected = {"X-Content-Type-Options": "nosniff", "X-Frame-Options": "SAMEORIGIN", "Vary": "Origin"}
    assert answer_headers(Guard()) == expected
    assert answer_headers(Guard(), origin="https://evil.com") == expected


def test_the_frame_options_are_configured_or_left_out() -> None:
    assert answer_headers(Guard(x_frame_options="deny"))["X-Frame-Options"] == "DENY"
    assert "X-Frame-Options" not in answer_headers(Guard(x_frame_options="None"))


def test_an_allowed_origin_may_read_the_answer() -> None:
    headers = answer_headers(Guard(cors_allowed_origins="https://a.org"), origin="https://a.org")
    assert headers["Access-Control-Allow-Origin"] == "https://a.org"
    assert headers["Access-Control-Allow-Credentials"] == "true"
    assert answer_headers(Guard(), origin="http://localhost:3")["Access-Control-Allow-Origin"] == "http://localhost:3"


def test_the_headers_of_one_answer_can_be_changed_without_changing_others() -> None:
    guard = Guard()
    guard.headers(Request("GET", "/")).append(("X", "y"))
    assert "X" not in answer_headers(guard)


@pytest.mark.parametrize("path", [API, AJAX])
def test_a_preflight_of_an_allowed_origin_says_what_may_be_sent(path: str) -> None:
    response = ask(
        Guard(),
        method="OPTIONS",
        path=path,
        origin="http://localhost:3000",
        access_control_request_method="POST",
        access_control_request_headers="content-type, x-a",
    )
    assert response is not None
    assert (response.status, response.body) == (204, b"")
    headers = dict(response.headers)
    assert "PATCH" in headers["Access-Control-Allow-Methods"]
    assert headers["Access-Control-Allow-Headers"] == "content-type, x-a"


def test_a_preflight_of_another_origin_is_answered_without_permission() -> None:
    response = ask(Guard(), method="OPTIONS", path=API, origin="https://evil.com", access_control_request_method="POST")
    assert response is not None
    assert (response.status, response.headers) == (204, [])


def test_options_outside_the_api_are_left_to_the_routes() -> None:
    assert ask(Guard(), method="OPTIONS", path="/health") is None


def test_options_with_a_wrong_host_are_refused() -> None:
    assert refused(ask(Guard(), "evil.com", method="OPTIONS", path=API))


def test_a_disabled_guard_checks_nothing_and_adds_nothing() -> None:
    guard = Guard(disabled=True)
    assert ask(guard, "evil.com", "POST", API, origin="https://evil.com") is None
    assert answer_headers(guard, origin="http://localhost") == {}
    response = ask(guard, method="OPTIONS", path=API)
    assert response is not None
    assert response.status == 204


def test_new_names_in_every_request_do_not_fill_the_memory() -> None:
    guard = Guard()
    for number in range(3000):
        assert refused(ask(guard, f"h{number}.evil.com"))
        assert refused(ask(guard, method="POST", path=API, origin=f"http://h{number}.evil.com"))
    assert len(guard._seen_hosts) <= 1024
    assert len(guard._seen_origins) <= 1024
    assert ask(guard, "localhost") is None


def test_a_refused_host_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    guard = Guard()
    for _ in range(5):
        ask(guard, "evil.com")
    assert [record.getMessage() for record in caplog.records] == ["refused a request for the host 'evil.com'"]
