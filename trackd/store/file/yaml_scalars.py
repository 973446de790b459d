"""What a plain scalar of YAML means: YAML 1.1 (http://yaml.org/type/) as PyYAML narrows it."""

import re
from typing import Dict

DEPTH = 64  # deeper nesting is refused: nothing of MLflow's has more than 3, and the stack is finite


class MetafileError(ValueError):
    """Not this kind of file, or damaged: says what is wrong and, for ``load``, in which line."""


#: Plain scalars that are not text.
CONSTANTS: Dict[str, object] = {"~": None, "": None}
_WORDS = {"null": None, "yes": True, "no": False, "true": True, "false": False, "on": True, "off": False}
for _word, _value in _WORDS.items():
    CONSTANTS.update(dict.fromkeys((_word, _word.capitalize(), _word.upper()), _value))

_INT = r"[-+]?(?:0b[01_]+|0x[0-9a-fA-F_]+|0[0-7_]*|[1-9][0-9_]*(?::[0-5]?[0-9])*)"
_FLOAT = (
    r"[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+][0-9]+)?|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?"
    r"|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)
_DATE = (
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt]|[ \t]+)[0-9]{1,2}:[0-9]{2}:[0-9]{2}"
    r"(?:\.[0-9]*)?(?:[ \t]*(?:Z|[-+][0-9]{1,2}(?::[0-9]{2})?))?"
)
_is_number = re.compile(f"({_INT})|{_FLOAT}").fullmatch
_is_number_or_date = re.compile(f"{_INT}|{_FLOAT}|{_DATE}").fullmatch
#: The letter after the backslash for characters that have one.
ESCAPES = {"\0": "0", "\x07": "a", "\b": "b", "\t": "t", "\n": "n", "\v": "v", "\f": "f", "\r": "r", "\x1b": "e",
            '"': '"', "\\": "\\", "\x85": "N", "\u2028": "L", "\u2029": "P"}


def is_text(text: str) -> bool:
    """Whether a plain scalar would be read as this text, and not as something else (a date is, for PyYAML)."""
    if text[:1] in "0123456789+-.":
        return text != "" and not _is_number_or_date(text)
    return text not in CONSTANTS and text not in ("=", "<<")  # these two have meanings of their own


def resolve(text: str) -> object:
    """The value of a plain scalar; ValueError for a number without digits such as ``0x_``."""
    if text.isdecimal() and text.isascii() and text[0] != "0":
        return int(text)
    if text in CONSTANTS:
        return CONSTANTS[text]
    number = _is_number(text)
    if not number:
        return text
    digits = text.replace("_", "").lower()
    sign = -1 if digits[0] == "-" else 1
    digits = digits.lstrip("+-")
    if ":" in digits:
        value: float = 0
        for part in digits.split(":"):
            value = value * 60 + (int(part) if number[1] else float(part))
        return sign * value
    if not number[1]:
        return sign * float(digits.replace(".inf", "inf").replace(".nan", "nan"))
    if digits[0] == "0" and digits != "0":
        return sign * (int(digits, 0) if digits[1] in "xb" else int(digits, 8))
    return sign * int(digits)
