"""Routes: the decorator that declares one, and the table that finds it.

A path is written whole, exactly as MLflow writes it, beside the function that answers it. ``{name}`` stands for one
segment, ``{name:path}`` (last only) for everything that is left, slashes included.
"""

import re
from typing import Any, Callable, Dict, Iterable, List, NamedTuple, Optional, Pattern, Tuple, TypeVar

from trackd.errors import EndpointNotFound, MethodNotAllowed

Function = TypeVar("Function", bound=Callable[..., Any])
Shape = Tuple[Tuple[int, str], ...]

_ARGUMENT = re.compile(r"\{([a-z_]+)(:path)?\}")


class Route(NamedTuple):
    """One method and one path template, and the function that answers them.

    ``stream``: the function reads ``request.stream`` itself; the server does not collect the body.
    ``bare``: it is there without the prefix as well.
    """

    method: str
    path: str
    function: Callable[..., Any]
    stream: bool = False
    bare: bool = False

    @property
    def description(self) -> str:
        """The first line of the function's docstring; ``trackd routes`` prints it."""
        return (self.function.__doc__ or "").strip().split("\n")[0]


def route(method: str, path: str, *, stream: bool = False, bare: bool = False) -> Callable[[Function], Function]:
    """Declare an endpoint: appends a ``Route`` to the function's ``routes`` and leaves the function as it is."""

    def declare(function: Function) -> Function:
        routes = function.__dict__.setdefault("routes", [])
        routes.append(Route(method, path, function, stream, bare))
        return function

    return declare


class Router:
    """Finds the route of a request: one dict for plain paths, one regular expression per method for templates.

    Every path that begins with ``/api/`` is there a second time under ``/ajax-api/``, which is what MLflow's browser
    pages use. ``prefix`` (``--static-prefix``) stands before all of them, and is itself another path of
    ``/``. Two functions for one method and path are a ``ValueError``.
    """

    def __init__(self, routes: Iterable[Route], prefix: str = "") -> None:
        if prefix and not prefix.startswith("/"):
            raise ValueError(f"the prefix {prefix!r} does not begin with '/'")
        self.prefix = prefix.rstrip("/")
        #: All routes, twins included, with their full paths.
        self.routes: List[Route] = []
        self._static: Dict[Tuple[str, str], Route] = {}
        self._templates: Dict[str, Dict[Shape, Route]] = {}
        self._compiled: Dict[str, "_Alternation"] = {}
        for each in routes:
            for prefix in [self.prefix, ""] if self.prefix and each.bare else [self.prefix]:
                self._add(each._replace(path=prefix + each.path, bare=prefix != self.prefix))
                if each.path.startswith("/api/"):
                    twin = prefix + "/ajax-api/" + each.path[len("/api/") :]
                    self._add(each._replace(path=twin, bare=prefix != self.prefix))
            if each.path == "/" and self.prefix:
                self._add(each._replace(path=self.prefix))

    def _add(self, new: Route) -> None:
        if "{" in new.path:
            first = self._templates.setdefault(new.method, {}).setdefault(_shape(new.path), new)
        else:
            first = self._static.setdefault((new.method, new.path), new)
        if first is not new:
            raise ValueError(f"{new.method} {new.path} is declared twice")
        self.routes.append(new)

    def match(self, method: str, path: str) -> Tuple[Route, Dict[str, str]]:
        """The route and its path arguments. ``path`` is percent-decoded; so are the arguments.

        A plain path wins over a template. HEAD finds what GET would. A slash too many at the end is another path.
        Raises ``EndpointNotFound`` or ``MethodNotAllowed``.
        """
        found = self._find(method, path)
        if found is not None:
            return found
        allow = self._allow(path)
        if allow:
            raise MethodNotAllowed(f"{method} is not a method of {path}, which has {allow}", allow)
        raise EndpointNotFound(f"There is nothing at {path}")

    def streams(self, method: str, path: str) -> bool:
        """Whether the route of this request reads its body itself; False where there is no route."""
        found = self._find(method, path)
        return found is not None and found[0].stream

    def _find(self, method: str, path: str) -> Optional[Tuple[Route, Dict[str, str]]]:
        if method == "HEAD":
            method = "GET"
        plain = self._static.get((method, path))
        if plain is not None:
            return plain, {}
        alternation = self._compiled.get(method)
        if alternation is None:
            # Compiled when first needed: it costs milliseconds, which start-up does not have. Two threads
            # that do it at once make equal ones.
            alternation = self._compiled[method] = _Alternation(self._templates.get(method, {}))
        return alternation.find(path)

    def _allow(self, path: str) -> str:
        methods = {each.method for each in self.routes}
        allow = [method for method in methods if self._find(method, path) is not None]
        if "GET" in allow:
            allow.append("HEAD")
        return ", ".join(sorted(allow))


class _Alternation:
    """All templates of one method in one regular expression.

    Each branch ends in an empty group of its own: ``lastindex`` of a match then names the branch, and the groups
    just before it are its arguments.
    """

    def __init__(self, templates: Dict[Shape, Route]) -> None:
        branches: List[str] = []
        self._branches: Dict[int, Tuple[Route, List[str], int]] = {}
        group = 0
        for _, each in sorted(templates.items(), key=lambda item: item[0]):
            names = [name for name, _ in _ARGUMENT.findall(each.path)]
            first, group = group + 1, group + len(names) + 1
            self._branches[group] = (each, names, first)
            branches.append(_pattern(each.path) + "()")
        # Without any branch the expression must find nothing, not the empty path.
        self._find: Pattern[str] = re.compile("|".join(branches) if branches else r"(?!)")

    def find(self, path: str) -> Optional[Tuple[Route, Dict[str, str]]]:
        found = self._find.fullmatch(path)
        if found is None or found.lastindex is None:
            return None
        each, names, first = self._branches[found.lastindex]
        return each, {name: found.group(first + place) for place, name in enumerate(names)}


def _shape(path: str) -> Shape:
    """Orders templates that match the same path: a fixed segment before an argument before an argument with slashes.

    Two templates of one shape would match the same paths, whatever their arguments are called.
    """
    shape = []
    for segment in path.split("/"):
        argument = _ARGUMENT.search(segment)
        rank = 0 if argument is None else 2 if argument.group(2) else 1
        shape.append((rank, _ARGUMENT.sub("{}", segment)))
    return tuple(shape)


def _pattern(path: str) -> str:
    """The regular expression of one template; ``ValueError`` for one that cannot mean anything."""
    pieces: List[str] = []
    end = 0
    for argument in _ARGUMENT.finditer(path):
        pieces.append(re.escape(path[end : argument.start()]))
        end = argument.end()
        if argument.group(2) and end != len(path):
            raise ValueError(f"in {path} the argument that takes slashes is not the last")
        # (?s:.) because a decoded path can hold a line feed.
        pieces.append("((?s:.)+)" if argument.group(2) else "([^/]+)")
    if "{" in _ARGUMENT.sub("", path):
        raise ValueError(f"in {path} a brace belongs to no argument")
    return "".join(pieces) + re.escape(path[end:])
