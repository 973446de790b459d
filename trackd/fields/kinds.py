"""The kinds of values that a field of a request may hold: how each is read, and what is said about a wrong one.

``fields`` makes the types of arguments out of these.
"""

import os
import re
from functools import lru_cache
from typing import Any, Callable, Dict, List, Mapping, NoReturn, Optional, Sequence, Tuple, Type

from trackd.artifacts.paths import ArtifactPath, artifact_path
from trackd.errors import BadRequest, InvalidParameterValue

INT32 = (-(2**31), 2**31 - 1)
INT64 = (-(2**63), 2**63 - 1)
#: SQL cannot hold infinities: MLflow keeps the largest finite double of the same sign.
LARGEST = 1.7976931348623157e308

_INTEGER = re.compile(r"[+-]?[0-9]{1,40}")
_INTEGRAL = re.compile(r"[+-]?[0-9]{1,40}(?:\.[0-9]{0,40})?(?:[eE][+-]?[0-9]{1,4})?")
# The class of MLflow; \w is Unicode's. The line feed at the end is in MLflow's by accident, and accepted there.
_KEY = re.compile(r"[/\w.\- ]*\n?" if os.name == "nt" else r"[/\w.\- :]*\n?")
_ID = re.compile(r"[a-zA-Z0-9][\w\-]{0,255}")
# As in MLflow with a line feed at the end, by accident.
_ALIAS = re.compile(r"[\w\-]*\n?")
_VERSION_ALIAS = re.compile(r"[vV]\d+\n?")
_EXPERIMENT_ID = re.compile(r"[+-]?[0-9]{1,40}")


def shown(value: object) -> str:
    """A value for a message: short, on one line, without control characters."""
    if isinstance(value, (list, tuple)):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, bool):
        return "true" if value else "false"
    text = repr(value[:61] if isinstance(value, str) else value)
    return text if len(text) <= 64 else text[:60] + "..."


def refuse(name: str, value: object, expected: str) -> NoReturn:
    """Raise the error for a field that holds something else than what was expected."""
    raise InvalidParameterValue(f"{name} is {shown(value)}; expected {expected}.")


def missing(name: str) -> NoReturn:
    """Raise the error for a required field that is absent, null or empty."""
    raise InvalidParameterValue(f"{name} is missing or empty; the request must have it.")


class Field:
    """One kind of value. ``read`` returns the checked value, or raises ``InvalidParameterValue`` that names it."""

    #: Read as a list: a repeated key of a query, an array in JSON.
    repeated = False
    #: Other names under which the value may come.
    aliases: Tuple[str, ...] = ()
    #: Stands in the path, and must stand in the body a second time.
    in_body = False

    def read(self, value: Any, name: str) -> Any:
        """``value`` is as it came from JSON or from a query, never ``None``. ``None`` returned means unset."""
        raise NotImplementedError


class Text(Field):
    """A string of at most ``limit`` characters. ``blank``: what an empty one stands for, where not for itself."""

    def __init__(
        self, limit: Optional[int] = None, *, aliases: Tuple[str, ...] = (), blank: Optional[str] = ""
    ) -> None:
        self.limit, self.aliases, self.blank = limit, aliases, blank

    def read(self, value: Any, name: str) -> Any:
        if type(value) is not str:
            refuse(name, value, "a string (in quotes)")
        if self.limit is not None and len(value) > self.limit:
            return self.too_long(value, name)
        return value or self.blank

    def too_long(self, value: str, name: str) -> str:
        """What becomes of a value above the limit."""
        raise InvalidParameterValue(f"{name} has {len(value)} characters; at most {self.limit} are allowed.")


class CutText(Text):
    """A string that is cut to its limit, unless ``MLFLOW_TRUNCATE_LONG_VALUES`` is off: then it is refused."""

    def too_long(self, value: str, name: str) -> str:
        # Asked only here, for the few values that are too long.
        if os.environ.get("MLFLOW_TRUNCATE_LONG_VALUES", "true").strip().lower() in ("false", "0"):
            return super().too_long(value, name)
        return value[: self.limit]


class Key(Field):
    """A key of a metric, param or tag: also a file name in the folder layout, hence the path rule."""

    def read(self, value: Any, name: str) -> str:
        if type(value) is not str:
            refuse(name, value, "a string (in quotes)")
        if value == "":
            missing(name)
        if len(value) > 250:
            raise InvalidParameterValue(f"{name} has {len(value)} characters; at most 250 are allowed.")
        wrong = key_problem(value)
        if wrong:
            refuse(name, value, wrong)
        return str(value)


@lru_cache(maxsize=4096)
def key_problem(key: str) -> str:
    """What was expected of this key, or empty if it may be used. Remembered, since a run logs the same keys often."""
    if not _KEY.fullmatch(key):
        return "only letters, digits, spaces and any of _ - . / :"
    if key.startswith("..") or any(part in ("", ".", "..") for part in key.split("/")):
        return "a name that is its own normalised path: no '.', '..' or empty part between slashes, none at the ends"
    return ""


class RegisteredName(Text):
    """The name of a registered model: not blank, no ``/`` or ``:``, and its own normalised path, as in MLflow."""

    def read(self, value: Any, name: str) -> Any:
        text = super().read(value, name)
        if not text.strip():
            missing(name)
        if "/" in text or ":" in text:
            refuse(name, value, "a model's name, without '/' and ':'")
        if text == "." or text.startswith(".."):
            refuse(name, value, "a model's name, which is neither '.' nor begins with '..'")
        return text


class AliasName(Text):
    """An alias: letters, digits, ``_`` and ``-``. ``new``: not one of those with a meaning, ``latest`` and ``v1``."""

    def __init__(self, *, new: bool) -> None:
        super().__init__(255)
        self.new = new

    def read(self, value: Any, name: str) -> Any:
        text = super().read(value, name)
        if not _ALIAS.fullmatch(text):
            refuse(name, value, "an alias: letters, digits, '_' and '-'")
        if self.new and (text.lower() == "latest" or _VERSION_ALIAS.fullmatch(text)):
            refuse(name, value, "another alias; 'latest' and 'v' with a number are reserved")
        return text


class VersionNumber(Field):
    """A model version's number: an integer in a string."""

    def read(self, value: Any, name: str) -> int:
        text = value.strip() if type(value) is str else ""
        if not _EXPERIMENT_ID.fullmatch(text) or not INT64[0] <= int(text) <= INT64[1]:
            refuse(name, value, 'a model version, which is an integer in a string, such as "1"')
        return int(text)


class StageName(Text):
    """One of some words, in any case; read into the spelling that it has here."""

    def __init__(self, words: Sequence[str]) -> None:
        super().__init__()
        self.words = {word.lower(): word for word in words}

    def read(self, value: Any, name: str) -> Any:
        found = self.words.get(super().read(value, name).lower())
        return found or refuse(name, value, "one of " + ", ".join(self.words.values()))


class Identifier(Text):
    """An id that may stand in a path: a letter or digit, then letters, digits, ``_`` and ``-``; at most 256."""

    def read(self, value: Any, name: str) -> Any:
        if super().read(value, name) and not is_id(value):
            refuse(name, value, "an id: a letter or digit, then up to 255 letters, digits, '_' or '-'")
        return value or self.blank


class RepeatedId(Text):
    """An id of the path that the body must repeat, as MLflow wants it."""

    in_body = True


class ModelName(Text):
    """A logged model's name, which may stand in a URI."""

    def read(self, value: Any, name: str) -> Any:
        read = super().read(value, name)
        if read and set(read) & set("/:.%\"'"):
            refuse(name, value, "a name without any of / : . % \" '")
        return read


class HexId(Text):
    """An id of the form that MLflow gives to runs: 32 hex digits in lower case."""

    def read(self, value: Any, name: str) -> Any:
        text = super().read(value, name)
        if not is_hex_id(text):
            refuse(name, value, "32 hex digits in lower case, as MLflow makes ids of runs")
        return text


def is_id(text: str) -> bool:
    """Whether the text has the form of a run's or model's id. Nothing of another form is ever stored under an id."""
    return _ID.fullmatch(text) is not None


def is_hex_id(text: str) -> bool:
    """Whether the text has the form that MLflow gives to ids of runs, the only one under which a run can be made."""
    return re.fullmatch("[0-9a-f]{32}", text) is not None


class PathOfArtifact(Field):
    """A path below an artifact location, through the one gate. ``leaf``: that of a file, so it cannot be empty."""

    def __init__(self, leaf: bool = False) -> None:
        self.leaf = leaf

    def read(self, value: Any, name: str) -> ArtifactPath:
        if type(value) is not str:
            refuse(name, value, "a string (in quotes)")
        if not value and self.leaf:
            missing(name)
        return artifact_path(value, self.leaf)


class ExperimentNumber(Field):
    """An experiment's id: a string that holds an integer; read into its one spelling (``"01"`` is ``"1"``)."""

    def read(self, value: Any, name: str) -> str:
        text = value.strip() if type(value) is str else ""
        if not _EXPERIMENT_ID.fullmatch(text) or not INT64[0] <= int(text) <= INT64[1]:
            refuse(name, value, 'an experiment id, which is an integer of 64 bits in a string, such as "0"')
        return str(int(text))


class Integer(Field):
    """An integer from ``low`` to ``high``: a number, an integral float, or one in a string (``"1.7e+12"``, from R)."""

    def __init__(self, low: int, high: int, what: str = "") -> None:
        self.low, self.high = low, high
        self.what = what or f"a whole number from {low} to {high}"

    def read(self, value: Any, name: str) -> int:
        number = value
        if type(number) is str:
            number = self._from_text(number)
        elif type(number) is float:
            number = int(number) if number.is_integer() else None
        if type(number) is not int or not self.low <= number <= self.high:
            refuse(name, value, self.what)
        return number

    @staticmethod
    def _from_text(text: str) -> Optional[int]:
        if _INTEGER.fullmatch(text):
            return int(text)
        if _INTEGRAL.fullmatch(text):
            number = float(text)
            return int(number) if number.is_integer() else None
        return None


class Double(Field):
    """A double: a number, a numeric string, or ``NaN``, ``Infinity``, ``inf`` in a string, any case and sign."""

    def read(self, value: Any, name: str) -> float:
        kind = type(value)
        number = None
        if kind is float:
            # A literal such as 1e999, which is no double and not marked as infinity either.
            number = value if abs(value) <= LARGEST else None
        elif kind is int:
            number = float(value) if -LARGEST <= value <= LARGEST else None
        elif kind is str and "_" not in value and value.isascii():
            try:
                number = float(value)
            except ValueError:
                number = None
        if number is None:
            refuse(name, value, 'a number, or "NaN", "Infinity" or "-Infinity" in quotes')
        return max(-LARGEST, min(LARGEST, number)) if number == number else number


class Range(Field):
    """A finite number from ``low`` (included) to ``high`` (``open_end``: not included); a number or one in a string."""

    def __init__(self, low: float, high: float, what: str, open_end: bool = False) -> None:
        self.low, self.high, self.what, self.open_end = low, high, what, open_end

    def read(self, value: Any, name: str) -> float:
        number = Double().read(value, name)
        if not self.low <= number <= self.high or (self.open_end and number == self.high):
            refuse(name, value, self.what)
        return number


class Word(Field):
    """One of some words, exactly so written."""

    def __init__(self, *words: str) -> None:
        self.words = words

    def read(self, value: Any, name: str) -> str:
        if type(value) is not str or value not in self.words:
            refuse(name, value, "one of " + ", ".join(self.words))
        return value


class Flag(Field):
    """A boolean, or ``true`` or ``false`` in a string, any case (queries, R)."""

    def read(self, value: Any, name: str) -> bool:
        if type(value) is str and value.lower() in ("true", "false"):
            return value.lower() == "true"
        if type(value) is not bool:
            refuse(name, value, "true or false")
        return bool(value)


class Choice(Field):
    """One of some names, given as name or number. Another name is as good as none, as in MLflow."""

    def __init__(self, names: Mapping[int, str]) -> None:
        self.names = names
        self._by_text: Dict[object, str] = {name: name for name in names.values()}
        self._by_text.update({str(number): name for number, name in names.items()})

    def read(self, value: Any, name: str) -> Optional[str]:
        if type(value) is str and not _INTEGER.fullmatch(value):
            return self._by_text.get(value)
        if type(value) is float and value.is_integer():
            value = int(value)
        if type(value) not in (str, int) or str(value) not in self._by_text:
            refuse(name, value, "one of " + ", ".join(self.names.values()))
        return self._by_text[str(value)]


class Items(Field):
    """A list of values of one kind, at most ``limit``; ``noun`` is what the message calls them."""

    repeated = True

    def __init__(self, item: Field, limit: Optional[int] = None, noun: str = "items") -> None:
        self.item, self.limit, self.noun = item, limit, noun

    def read(self, value: Any, name: str) -> List[Any]:
        if type(value) is not list:
            refuse(name, value, "a list")
        if self.limit is not None and len(value) > self.limit:
            raise InvalidParameterValue(
                f"{name} has {len(value)} {self.noun}; at most {self.limit} are allowed in one request, send the rest "
                "in further ones."
            )
        read = self.item.read
        items = []
        for index, item in enumerate(value):
            if item is None:
                missing(f"{name}[{index}]")
            items.append(read(item, f"{name}[{index}]"))
        return items


class Unique(Items):
    """A list of records with a key in front, no key twice. ``error`` is what MLflow answers to that."""

    def __init__(
        self,
        item: Field,
        limit: Optional[int] = None,
        noun: str = "items",
        error: Type[InvalidParameterValue] = BadRequest,
    ) -> None:
        super().__init__(item, limit, noun)
        self.error = error

    def read(self, value: Any, name: str) -> List[Any]:
        items = super().read(value, name)
        if len({item[0] for item in items}) != len(items):
            seen: Dict[str, int] = {}
            for index, item in enumerate(items):
                first = seen.setdefault(item[0], index)
                if first != index:
                    raise self.error(
                        f"{name}[{first}] and {name}[{index}] have the same key {shown(item[0])}; send each key once."
                    )
        return items


class Slot:
    """One named place of an object: a request's argument or a record's field."""

    __slots__ = ("name", "camel", "aliases", "field", "required", "default", "read")

    def __init__(self, name: str, field: Field, required: bool, default: object = None) -> None:
        self.name, self.field, self.required, self.default = name, field, required, default
        camel = camel_case(name)
        self.camel = camel if camel != name else None
        self.aliases = tuple(other for each in field.aliases for other in (each, camel_case(each)))
        self.read = field.read


def camel_case(name: str) -> str:
    """The lowerCamelCase spelling of a field's name, as protobuf's JSON has it."""
    first, *others = name.split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in others)


def read_slots(slots: Sequence[Slot], values: Mapping[str, Any], where: str = "") -> List[Any]:
    """The slots' values out of an object; ``where`` stands before the names in messages. Other names are ignored."""
    result = []
    for slot in slots:
        name = slot.name
        value = values.get(name)
        camel = slot.camel
        if camel and camel in values:
            if name in values:
                raise InvalidParameterValue(f"{where}{name} is there twice, also as {camel}; send one of them.")
            value = values[camel]
        if slot.aliases and (value is None or value == ""):
            value = next((values[other] for other in slot.aliases if values.get(other) is not None), value)
        if value is None or (slot.required and value == ""):
            if slot.required:
                missing(where + name)
            result.append(slot.default)
        else:
            value = slot.read(value, where + name if where else name)
            result.append(slot.default if value is None else value)
    return result


class Record(Field):
    """An object with named fields, read into ``make(*values)``. A field given with a default is optional."""

    def __init__(self, make: Callable[..., Any], **kinds: Any) -> None:
        self.make = make
        self.slots = [
            Slot(name, kind[0], False, kind[1]) if isinstance(kind, tuple) else Slot(name, kind, True)
            for name, kind in kinds.items()
        ]

    def read(self, value: Any, name: str) -> Any:
        if type(value) is not dict:
            refuse(name, value, "an object")
        return self.make(*read_slots(self.slots, value, name + "."))
