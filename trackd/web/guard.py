"""Host and Origin checks, and the headers that go with them: what a browser must not be talked into.

The Host check stops DNS rebinding (a page on a name of the attacker's that resolves to this server); the Origin
check stops pages of other sites from changing anything. Defaults and settings are MLflow's, with these differences:

* a pattern without a port admits every port, and letters of either case are the same;
* private ranges are addresses, so that ``10.*`` does not admit the name ``10.evil.com``;
* a page that this server itself delivered (Origin equals a Host that is on the list) may change things;
* a preflight is 204 whatever its origin: without the headers the browser stops there.
"""

import fnmatch
import re
from typing import TYPE_CHECKING, Any, Dict, List, NamedTuple, Optional, Pattern, Sequence, Tuple, Union

from trackd.web.message import Request, Response

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv6Address

Headers = List[Tuple[str, str]]
Patterns = Union[str, Sequence[str], None]

#: Names of this machine for itself; ``0.0.0.0`` because people paste what ``--host`` was.
LOCAL_HOSTS = ("localhost", "127.0.0.1", "[::1]", "0.0.0.0")
#: RFC 1918 and RFC 4193. An address in a URL cannot be rebound, whoever wrote the page.
PRIVATE_NETWORKS = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")

_CHANGING = frozenset(("POST", "PUT", "PATCH", "DELETE"))
_EXEMPT = ("/health", "/version")
_METHODS = "GET, POST, PUT, DELETE, OPTIONS, PATCH"
# RFC 9110, 7.2: uri-host [ ":" port ]. In a pattern the port may also be a wildcard.
_HOST = re.compile(r"(\[[^\[\]]*\]|[^\[\]:/?#@,\s]+)(?::([0-9]*))?")
_HOST_PATTERN = re.compile(r"(\[[^\[\]]*:[^\[\]]*\]|[^:]+)(?::([0-9*]*))?")
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/\\?#@\s]+")
_LOCAL_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://(?:localhost|127\.0\.0\.1|\[::1\])(?::[0-9]+)?")
_HOST_REFUSED = b"The Host header does not name this server; --allowed-hosts lists the names it answers to."
_ORIGIN_REFUSED = b"Pages of other sites may not change anything here; --cors-allowed-origins lists those that may."
# Decisions remembered per header value; a client that sends a new value each time must not fill the memory.
_REMEMBERED = 1024


class Guard:
    """Decides by Host and Origin, and makes the headers of every answer.

    * ``prefix``: the static prefix, or empty.
    * ``allowed_hosts``: patterns, or text with commas. Nothing means this machine and private addresses, ``*``
      everything. ``*.example.com`` matches as a shell would; a port in a pattern must match too.
    * ``cors_allowed_origins``: the same for origins (scheme, host, port, written as browsers do). Origins on this
      machine are always allowed. ``*`` allows all, but then browsers are told to send no credentials.
    * ``x_frame_options``: the value of that header; ``NONE`` leaves it out.
    * ``disabled``: no check and no header.
    """

    def __init__(
        self,
        prefix: str = "",
        allowed_hosts: Patterns = None,
        cors_allowed_origins: Patterns = None,
        x_frame_options: str = "SAMEORIGIN",
        disabled: bool = False,
    ) -> None:
        prefix = prefix.rstrip("/")
        # Some routes are there without the prefix, too.
        self._api = (prefix + "/api/", prefix + "/ajax-api/", "/api/", "/ajax-api/")
        self._exempt = frozenset(prefix + path for path in _EXEMPT)
        self._disabled = disabled
        hosts = _listed(allowed_hosts)
        self._any_host = disabled or "*" in hosts
        self._patterns = [_HostPattern.parse(text) for text in hosts or LOCAL_HOSTS]
        self._private = not hosts
        self._origins = _listed(cors_allowed_origins)
        self._any_origin = "*" in self._origins
        self._always: Headers = []
        if not disabled:
            self._always.append(("X-Content-Type-Options", "nosniff"))
            if x_frame_options and x_frame_options.upper() != "NONE":
                self._always.append(("X-Frame-Options", x_frame_options.upper()))
            if not self._any_origin:
                # On every answer, also to requests without an Origin: a cache must not give theirs to another.
                self._always.append(("Vary", "Origin"))
        self._seen_hosts: Dict[str, bool] = {}
        self._seen_origins: Dict[str, Optional[Headers]] = {}

    def check(self, request: Request) -> Optional[Response]:
        """The answer that ends this request here, or ``None``: a 403, or the answer to a preflight."""
        method = request.method
        if self._disabled:
            return Response(204) if method == "OPTIONS" and request.path.startswith(self._api) else None
        headers = request.headers
        host = headers.get("host", "")
        if not self._any_host and request.path not in self._exempt and not self._host_allowed(host):
            return Response(403, _HOST_REFUSED, "text/plain; charset=utf-8")
        if method in _CHANGING:
            origin = headers.get("origin")
            if origin and request.path.startswith(self._api) and not self._may_change(origin, host):
                return Response(403, _ORIGIN_REFUSED, "text/plain; charset=utf-8")
        elif method == "OPTIONS" and request.path.startswith(self._api):
            return Response(204, headers=self._preflight(headers))
        return None

    def headers(self, request: Request) -> Headers:
        """The headers to add to every answer, refusals and preflights included."""
        origin = request.headers.get("origin")
        if not origin or self._disabled:
            return self._always[:]
        return self._always + (self._cors(origin) or [])

    def _host_allowed(self, host: str) -> bool:
        allowed = self._seen_hosts.get(host)
        if allowed is None:
            allowed = self._judge_host(host)
            _remember(self._seen_hosts, host, allowed)
            if not allowed:
                _warn("refused a request for the host %r", host)
        return allowed

    def _judge_host(self, host: str) -> bool:
        found = _HOST.fullmatch(host.lower())
        if found is None:
            return False
        name, port = found.group(1), found.group(2) or ""
        if name.startswith("["):
            # One spelling of each address: ::1 and 0:0:0:0:0:0:0:1 are the same.
            address = _address(name[1:-1])
            if address is None or address.version != 6:
                return False
            name = f"[{address}]"
        return any(each.admits(name, port) for each in self._patterns) or (self._private and _is_private(name))

    def _may_change(self, origin: str, host: str) -> bool:
        if self._cors(origin) is not None:
            return True
        # Our own page. Only with a Host that was checked: a rebound name is its own origin too.
        return not self._any_host and origin in ("http://" + host, "https://" + host)

    def _cors(self, origin: str) -> Optional[Headers]:
        """What tells a browser that this origin may read the answer; ``None`` for an origin that is not allowed."""
        if origin in self._seen_origins:
            return self._seen_origins[origin]
        headers = self._judge_origin(origin)
        _remember(self._seen_origins, origin, headers)
        return headers

    def _judge_origin(self, origin: str) -> Optional[Headers]:
        expose = ("Access-Control-Expose-Headers", "*")
        if self._any_origin:
            # Fetch standard, 3.2.5: the wildcard cannot go with credentials.
            return [("Access-Control-Allow-Origin", "*"), expose]
        listed = origin in self._origins or (
            _ORIGIN.fullmatch(origin) is not None
            and any("*" in pattern and fnmatch.fnmatchcase(origin, pattern) for pattern in self._origins)
        )
        if not listed and _LOCAL_ORIGIN.fullmatch(origin) is None:
            return None
        return [("Access-Control-Allow-Origin", origin), ("Access-Control-Allow-Credentials", "true"), expose]

    def _preflight(self, headers: Dict[str, str]) -> Headers:
        """What an allowed origin may send (``headers()`` says to whom); nothing for others."""
        origin = headers.get("origin")
        if not origin or self._cors(origin) is None:
            return []
        answer = [("Access-Control-Allow-Methods", _METHODS), ("Access-Control-Max-Age", "600")]
        wanted = headers.get("access-control-request-headers")
        if wanted:
            answer.append(("Access-Control-Allow-Headers", wanted))
        return answer


class _HostPattern(NamedTuple):
    """One allowed host: an exact name or an expression, and a port (``None``: any)."""

    name: str
    wild: Optional[Pattern[str]]
    address_only: bool
    port: Optional[str]

    @classmethod
    def parse(cls, text: str) -> "_HostPattern":
        """Reads ``name``, ``name:port``, ``*.name``, ``10.*``, ``[::1]:*`` or a bare IPv6 address."""
        text = text.lower()
        if text.count(":") > 1 and not text.startswith("["):
            text = f"[{text}]"
        found = _HOST_PATTERN.fullmatch(text)
        if found is None:
            raise ValueError(f"{text!r} is not a host pattern")
        name, port = found.group(1), found.group(2)
        wild = None
        if "*" in name:
            # The first bracket of [fd00:*] belongs to the address, it does not open a set of characters.
            wild = re.compile(fnmatch.translate("[[]" + name[1:] if name.startswith("[") else name))
        elif name.startswith("["):
            name = f"[{_address(name[1:-1]) or name[1:-1]}]"
        # "10.*" means addresses: as a name, 10.evil.com can be anybody's.
        address_only = name[:1].isdigit() and not name.strip("0123456789.*?")
        return cls(name, wild, address_only, None if port in (None, "", "*") else port)

    def admits(self, name: str, port: str) -> bool:
        """Whether a host of that name and port (empty where the header has none) matches."""
        if self.port is not None and self.port != port:
            return False
        if self.wild is None:
            return name == self.name
        return self.wild.match(name) is not None and (not self.address_only or _address(name) is not None)


def _is_private(name: str) -> bool:
    from ipaddress import ip_network

    address = _address(name.strip("[]"))
    return address is not None and any(address in ip_network(network) for network in PRIVATE_NETWORKS)


def _address(text: str) -> "Union[IPv4Address, IPv6Address, None]":
    """The address that the text spells, or ``None`` for a name."""
    # Imported when the first address has to be judged: 3 ms that a start does not have.
    from ipaddress import ip_address

    try:
        return ip_address(text)
    except ValueError:
        return None


def _listed(patterns: Patterns) -> List[str]:
    texts = patterns.split(",") if isinstance(patterns, str) else patterns or ()
    return [text.strip() for text in texts if text.strip()]


def _remember(seen: Dict[str, Any], key: str, value: object) -> None:
    if len(seen) >= _REMEMBERED:
        seen.clear()
    seen[key] = value


def _warn(text: str, *arguments: object) -> None:
    import logging

    logging.getLogger("trackd.web").warning(text, *arguments)
