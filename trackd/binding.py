"""From a request to an endpoint's arguments: reads JSON and queries, and compiles signatures into what reads them.

GET takes its arguments from the query alone, the other methods from a JSON object in the body alone (wire-rules,
section 2). What MLflow takes for an empty object although it is none (malformed JSON) or answers with a 500 (an array,
deep nesting) is a 400 here. So is JSON in which one name stands twice: who checked the first would act on the last.
"""

import json
import sys
from typing import Any, Callable, Dict, List, Mapping, NoReturn, Set, Tuple
from urllib.parse import unquote_to_bytes

from trackd.errors import InvalidParameterValue
from trackd.fields.kinds import Field, Slot, read_slots, shown
from trackd.web.message import Request
from trackd.web.router import Route


def _refuse_constant(token: str) -> NoReturn:
    raise InvalidParameterValue(f'The body holds {token}, which is not JSON; send it as a string: "{token}".')


def _short_int(digits: str) -> int:
    if len(digits) > 4300:
        raise ValueError("a number of more than 4300 digits")
    return int(digits)


def _distinct(pairs: List[Tuple[str, Any]]) -> Dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: Set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise InvalidParameterValue(f"The body has an object with the name {shown(name)} twice; send it once.")
            seen.add(name)
    return found


# int() is quadratic in the digits. Pythons from 3.9.14 on refuse more than 4300 themselves, and then the scanner
# stays in C.
_PARSE_INT = None if hasattr(sys, "get_int_max_str_digits") else _short_int
_DECODER = json.JSONDecoder(parse_constant=_refuse_constant, parse_int=_PARSE_INT)
_CAREFUL = json.JSONDecoder(parse_constant=_refuse_constant, parse_int=_PARSE_INT, object_pairs_hook=_distinct)


def read_body(body: bytes) -> Dict[str, Any]:
    """The object in a JSON body (RFC 8259; UTF-8, a byte order mark is skipped). An empty body is an empty object.

    A string that holds JSON is read once more, as old clients send it.
    """
    if not body:
        return {}
    try:
        text = body.decode("utf-8-sig" if body.startswith(b"\xef\xbb\xbf") else "utf-8")
    except UnicodeDecodeError as error:
        raise InvalidParameterValue(f"The body is not UTF-8: a wrong byte at {error.start}.") from None
    if not text.strip():
        return {}
    value = _decode(text)
    if type(value) is str:
        text = value
        value = _decode(text)
    if value is None:
        return {}
    if type(value) is not dict:
        raise InvalidParameterValue(f"The body is {shown(value)}; expected a JSON object.")
    return value


def _decode(text: str) -> Any:
    try:
        value = _DECODER.decode(text)
        if not _names_are_distinct(text, value):
            _CAREFUL.decode(text)
    except json.JSONDecodeError as error:
        raise InvalidParameterValue(f"The body is not JSON: {error.msg} at character {error.pos}.") from None
    except ValueError as error:
        raise InvalidParameterValue(f"The body holds a number that cannot be read: {error}.") from None
    except RecursionError:
        raise InvalidParameterValue("The body is nested too deeply; no request needs more than a few levels.") from None
    if "\\" in text and ("\\ud" in text or "\\uD" in text):
        _refuse_surrogates(value)
    return value


def _names_are_distinct(text: str, value: Any) -> bool:
    """Whether it is certain, at a glance, that no object of this JSON has a name twice.

    Each name written in an object is followed by a colon. If there are no more colons than names in the objects read,
    none was written twice. Colons in strings are told apart by the quote before them, if no blank stands before a
    colon. Looks at the top two levels only and gives up if there are others. For a thousand metrics this costs 0.1 us
    each; asking at every object as it is read, 1 us.
    """
    if type(value) is not dict:
        return True  # Of no use to any route, and refused as such.
    objects, names = 1, len(value)
    for item in value.values():
        kind = type(item)
        if kind is dict:
            objects, names = objects + 1, names + len(item)
        elif kind is list and item:
            if set(map(type, item)) == {dict}:
                objects, names = objects + len(item), names + sum(map(len, item))
    if text.count("{") != objects:
        return False
    if text.count(":") == names:
        return True
    blank = " :" in text or "\n:" in text or "\t:" in text or "\r:" in text
    return not blank and text.count('":') == names


def _refuse_surrogates(value: Any) -> None:
    """Half a surrogate pair (``"\\ud800"``) is a Python string that no file and no database can hold."""
    try:
        # As one text: nesting is not deeper than what has just been read.
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except (UnicodeEncodeError, RecursionError):
        raise InvalidParameterValue("The body holds half of a surrogate pair, which is no character.") from None


def read_query(query: str) -> Dict[str, List[str]]:
    """The values of each name of a query, in their order, percent-decoded; ``+`` is a blank."""
    values: Dict[str, List[str]] = {}
    for pair in query.split("&"):
        if pair:
            name, _, value = pair.partition("=")
            values.setdefault(_unquote(name), []).append(_unquote(value))
    return values


def _unquote(text: str) -> str:
    text = text.replace("+", " ")
    if "%" not in text and text.isascii():
        return text
    try:
        return unquote_to_bytes(text).decode("utf-8")
    except UnicodeError:
        raise InvalidParameterValue(f"The query has {shown(text)} in it, which is not UTF-8.") from None


class Binding:
    """Reads the arguments of one route out of requests; compiled from the signature when the application is made.

    The function's first parameter is the context. Each other one is annotated with a type of ``fields``; its default,
    if it has one, stands for an absent or null value.
    """

    def __init__(self, route: Route) -> None:
        # Whose body is read as it comes, by the endpoint itself, has no arguments in it.
        self._query = route.method == "GET" or route.stream
        self._check_type = route.method in ("POST", "PUT")
        self._slots = _slots(route.function)
        self._path = "{" in route.path
        self._repeated = [slot for slot in self._slots if slot.field.in_body]

    def arguments(self, request: Request, path: Mapping[str, str]) -> List[Any]:
        """The arguments after the context. ``path`` holds those of the path, which win over others of their name.

        Raises ``InvalidParameterValue`` for whatever is wrong with them.
        """
        if self._query:
            if not self._slots:
                return []
            # A query that nothing is read from is not looked at.
            values = self._from_query(request.query) if request.query else {}
        else:
            if self._check_type:
                _check_content_type(request.headers.get("content-type", ""))
            values = read_body(request.body)
        if self._path:
            for slot in self._repeated:
                _check_repeated(slot, values, path[slot.name])
                values.pop(slot.camel or slot.name, None)
            values.update(path)
        return read_slots(self._slots, values)

    def _from_query(self, query: str) -> Dict[str, Any]:
        given = read_query(query)
        values: Dict[str, Any] = {}
        for slot in self._slots:
            for name in (slot.name, slot.camel, *slot.aliases):
                if name in given:
                    # Of a scalar given twice, the first counts.
                    values[name] = given[name] if slot.field.repeated else given[name][0]
        return values


def _check_repeated(slot: Slot, values: Mapping[str, Any], in_path: str) -> None:
    """Refuse a body that does not repeat what the path says: MLflow wants it, and acts on one or the other."""
    (in_body,) = read_slots([slot], values)
    if in_body != in_path:
        raise InvalidParameterValue(
            f"{slot.name} is {shown(in_body)} in the body, but {shown(in_path)} in the path; send the same in both."
        )


def _slots(function: Callable[..., Any]) -> List[Slot]:
    """The parameters of an endpoint as slots; ``TypeError`` for one that is not annotated with a request type."""
    # Not by the inspect module: its import alone is 10 ms, and start-up has 150 for everything.
    code = function.__code__
    names = code.co_varnames[1 : code.co_argcount]
    defaults = function.__defaults__ or ()
    first_default = len(names) - len(defaults)
    slots = []
    for index, name in enumerate(names):
        metadata = getattr(function.__annotations__.get(name), "__metadata__", ())
        if not metadata or not isinstance(metadata[0], Field):
            raise TypeError(f"{function.__module__}.{function.__name__}: {name} has no type of trackd.fields")
        required = index < first_default
        slots.append(Slot(name, metadata[0], required, None if required else defaults[index - first_default]))
    return slots


def _check_content_type(value: str) -> None:
    # Media types are case-insensitive and may have parameters (RFC 9110, 8.3.1).
    if value != "application/json" and value.partition(";")[0].strip().lower() != "application/json":
        given = shown(value) if value else "missing"
        raise InvalidParameterValue(f"Content-Type is {given}; expected application/json.")
