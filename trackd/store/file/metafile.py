"""The YAML of MLflow's ``meta.yaml`` files: ``dump`` writes it as MLflow does, ``load`` reads it.

MLflow writes these files with PyYAML's ``CSafeDumper`` (libyaml), sorted keys, block style, ``allow_unicode`` and the
default width of 80; ``dump`` writes the same bytes: quoting, folding, escapes and all. (Without libyaml PyYAML folds
double quotes and writes characters beyond U+FFFF differently; ``load`` reads both.)

Data is a dict with string keys; values are str, int, float, bool, None, and dicts and lists of these. ``load`` takes
block and flow style, every kind of scalar, comments and ``---``. Plain scalars mean what YAML 1.1 makes of them
(``yes``, ``0x1F``, ``1_000``, ``1:30``), with one exception: what looks like a date stays text, because MLflow keeps no
dates. Anchors, aliases, tags, merge keys, directives, several documents and duplicate keys are a ``MetafileError``:
MLflow writes none of them, so they are the sign of another kind of file. So is anything binary, cut or not UTF-8.
"""

import re
from functools import lru_cache
from typing import Any, Callable, Dict, Iterator, List, Mapping, Match, Optional, Pattern

from trackd.store.file.yaml_scalars import CONSTANTS, DEPTH, ESCAPES, MetafileError, is_text, resolve

__all__ = ["MetafileError", "dump", "load"]

_WIDTH = 80  # a space beyond this column becomes a line break
_SIMPLE_KEY_BYTES = 128  # a longer key, or one with line breaks, is written as "? key"

# --- Writing ---

_BREAK = "[\n\u2028\u2029]"
_UNPRINTABLE = "[^\n\x20-\x7e\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd]"
#: Text with a line break beside a space, or with something that cannot be shown: only double quotes can hold it.
_NEEDS_DOUBLE = f"{_UNPRINTABLE}|{_BREAK} | {_BREAK}"
_ascii_needs_double = re.compile("[^\n\x20-\x7e]|\n | \n").search
#: Text that would be taken for something else, or lose something, without quotes.
_needs_quotes = re.compile(
    rf"\A(?:---|\.\.\.|[-?:](?: |\Z)|[ #,\[\]{{}}&*!|>'\"%@`])|:(?: |\Z)| (?:#|\Z)|{_BREAK}"
).search
#: The common case, decided in one step: ids, times, URIs.
_is_safe = re.compile(r"[A-Za-z0-9_/](?:[A-Za-z0-9_/.:+=-]*[A-Za-z0-9_/])?").fullmatch
_ESCAPED = f'{_UNPRINTABLE}|["\\\\\n\u2028\u2029]'
_breaks = re.compile("[\r\n\x85\u2028\u2029]").search
_fold_points = re.compile("(?<=[^ ]) (?=[^ ])").finditer
_fold_points_double = re.compile("(?<=[^ ]) (?=.)").finditer


@lru_cache(maxsize=None)
def _compiled(pattern: str) -> Pattern[str]:
    """Sets of characters beyond ASCII take 10 ms to compile each: not before the first text that has some."""
    return re.compile(pattern)


def dump(data: Mapping[str, object]) -> bytes:
    """The file's bytes, keys sorted. MetafileError for what the format or UTF-8 cannot hold (a lone surrogate)."""
    lines: List[str] = []
    if not isinstance(data, Mapping):
        raise MetafileError(f"a mapping is written, not {type(data).__name__}")
    if data:
        _dump_mapping(lines, data, 0, "", 0)
    else:
        lines.append("{}\n")
    try:
        return "".join(lines).encode("utf-8")
    except UnicodeEncodeError as error:
        raise MetafileError(f"text that UTF-8 cannot hold: {error}") from error


def _dump_mapping(lines: List[str], data: Mapping[Any, object], indent: int, lead: str, depth: int) -> None:
    """``lead`` comes before the first entry, where the others have their indentation."""
    _check_depth(depth)
    try:
        keys = sorted(data)
    except TypeError:  # keys of several types stay in their own order
        keys = list(data)
    if any(isinstance(key, tuple) for key in keys):
        raise MetafileError("a key is a list")
    pad = " " * indent
    for key in keys:
        value = data[key]
        text = _key_text(key) if type(key) is str else _scalar(key, 0, 0, False)
        if text is None:
            lines.append(f"{lead}? {_scalar(key, indent + 2, indent + 2, True)}\n{pad}:")
            _dump_node(lines, value, indent, indent + 2, depth)
        elif not (isinstance(value, (dict, list, tuple)) and value):
            lines.append(f"{lead}{text}: {_scalar(value, indent + 2, indent + len(text) + 2, True)}\n")
        elif isinstance(value, dict):
            lines.append(f"{lead}{text}:\n")
            _dump_mapping(lines, value, indent + 2, pad + "  ", depth + 1)
        else:  # a list below a key is not indented
            lines.append(f"{lead}{text}:\n")
            _dump_list(lines, value, indent, pad, depth + 1)
        lead = pad


@lru_cache(maxsize=1024)
def _key_text(key: str) -> Optional[str]:
    """The text of a key that can stand before its colon, else None. What counts is its length without quotes."""
    if len(key.encode("utf-8", "surrogatepass")) > _SIMPLE_KEY_BYTES or _breaks(key):
        return None
    return _scalar(key, 0, 0, False)


def _check_depth(depth: int) -> None:
    if depth + 3 > DEPTH:  # the reader counts the scalar inside, and an empty list twice
        raise MetafileError(f"nested deeper than {DEPTH - 3} levels")


def _dump_list(lines: List[str], items: Any, indent: int, lead: str, depth: int) -> None:
    _check_depth(depth)
    for item in items:
        lines.append(f"{lead}-")
        _dump_node(lines, item, indent, indent + 2, depth)
        lead = " " * indent


def _dump_node(lines: List[str], value: object, indent: int, column: int, depth: int) -> None:
    """A value on the line of its ``-`` or ``? key``'s ``:``, starting at ``column`` after a space."""
    if isinstance(value, dict) and value:
        _dump_mapping(lines, value, indent + 2, " ", depth + 1)
    elif isinstance(value, (list, tuple)) and value:
        _dump_list(lines, value, indent + 2, " ", depth + 1)
    else:
        lines.append(f" {_scalar(value, indent + 2, column, True)}\n")


def _scalar(value: object, indent: int, column: int, fold: bool) -> str:
    """The text of a scalar that starts at ``column`` and is continued, if it is long, at ``indent``."""
    if isinstance(value, str):
        if _is_safe(value):
            return value if is_text(value) else f"'{value}'"
        if _ascii_needs_double(value) if value.isascii() else _compiled(_NEEDS_DOUBLE).search(value):
            text = _compiled(_ESCAPED).sub(_escaped, value)
            return f'"{_fold_text(text, indent, column + 1, _fold_points_double) if fold else text}"'
        if _needs_quotes(value) or not is_text(value):
            return _single_quoted(value, indent, column, fold)
        return _fold_text(value, indent, column) if fold and column + len(value) > _WIDTH else value
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        try:
            return int.__repr__(value)
        except ValueError as error:  # more digits than Python converts
            raise MetafileError(str(error)) from error
    if isinstance(value, float):
        return _float_text(value)
    if isinstance(value, dict):
        return "{}"
    if isinstance(value, (list, tuple)):
        return "[]"
    raise MetafileError(f"a value of type {type(value).__name__} cannot be kept")


def _float_text(value: float) -> str:
    if value != value:
        return ".nan"
    if value in (float("inf"), float("-inf")):
        return ".inf" if value > 0 else "-.inf"
    text = float.__repr__(value)
    return text if "." in text else text.replace("e", ".0e")  # YAML 1.1 takes 1e+20 for text


def _escaped(match: Match[str]) -> str:
    char = match[0]
    if char in ESCAPES:
        return "\\" + ESCAPES[char]
    code = ord(char)
    if 0xD800 <= code <= 0xDFFF:
        raise MetafileError(f"text that UTF-8 cannot hold: a lone surrogate U+{code:04X}")
    return f"\\x{code:02X}" if code <= 0xFF else f"\\u{code:04X}" if code <= 0xFFFF else f"\\U{code:08X}"


def _single_quoted(value: str, indent: int, column: int, fold: bool) -> str:
    """Line breaks are doubled, as a single one would be read as a space; U+2028 and U+2029 are kept as they are."""
    parts = re.split(f"({_BREAK}+)", value.replace("'", "''"))
    column += 1
    for i, part in enumerate(parts):
        if i % 2:
            parts[i] = ("\n" if part[0] == "\n" else "") + part + " " * indent
            column = indent
        elif fold:
            parts[i] = _fold_text(part, indent, column)
    return "'" + "".join(parts) + "'"


def _fold_text(
    text: str, indent: int, column: int, points: Callable[[str], Iterator[Match[str]]] = _fold_points
) -> str:
    """Break at each first space beyond the width; in double quotes a further space is kept by a backslash."""
    if column + len(text) <= _WIDTH:
        return text
    pieces = []
    start = 0
    for match in points(text):
        point = match.start()
        if column + point - start > _WIDTH:
            pieces.append(text[start:point])
            kept = "\\" if text[point + 1] == " " else ""
            pieces.append("\n" + " " * indent + kept)
            start, column = point + 1, indent + len(kept)
    pieces.append(text[start:])
    return "".join(pieces)


# --- Reading ---

#: Letters beyond ASCII that stand in plain text as they are.
_BEYOND = "\xc0-\u1fff\u3040-\ud7ff"


def _simple(letters: str, printable: str) -> str:
    """A line as MLflow writes nearly all of them: a value in one line, plain or quoted, without escapes."""
    word = "A-Za-z0-9_./+,=()@&%~" + letters
    text = "\x20!#-&(-\\[\\]-~" + printable  # without quotes and backslash
    return (
        rf"([A-Za-z_][A-Za-z0-9_.]*):(?: (?:([A-Za-z0-9_./+~{letters}](?:[{word}:-]*[{word}-])?"
        rf"(?: [{word}:-]*[{word}-])*)|'([{text}\\\"]*)'|\"([{text}']*)\"|(\[\]|\{{\}})))?\n"
    )


_ascii_simple_line = re.compile(_simple("", "")).match
_SIMPLE = _simple(_BEYOND, "\xa0-\u1fff\u3040-\ud7ff")


def load(data: bytes) -> Dict[str, object]:
    """The mapping in the file; MetafileError, with the line, if it is damaged or another kind of YAML."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise MetafileError(f"line {line}: not UTF-8: {error.reason}") from error
    simple = _load_simple(text)
    if simple is not None:
        return simple
    from trackd.store.file.yaml_reader import Reader  # its expressions take 15 ms to compile, and few files need them

    return Reader(text).document()


def _load_simple(text: str) -> Optional[Dict[str, object]]:
    """The common file, line by line, at a tenth of the cost; None if anything in it needs the careful reader."""
    result: Dict[str, object] = {}
    pos, end, count = 0, len(text), 0
    simple_line = _ascii_simple_line if text.isascii() else _compiled(_SIMPLE).match
    while pos < end:
        match = simple_line(text, pos)
        if match is None:
            return None
        key, plain, single, double, empty = match.groups()
        if plain is not None:
            try:
                result[key] = resolve(plain)
            except ValueError:
                return None
        elif single is not None:
            result[key] = single
        else:
            result[key] = double if double is not None else [] if empty == "[]" else {} if empty else None
        pos = match.end()
        count += 1
    # An empty file, a key twice and a key like "yes" get their error message from the careful reader.
    return result if count and len(result) == count and CONSTANTS.keys().isdisjoint(result) else None
