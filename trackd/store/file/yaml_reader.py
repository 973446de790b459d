"""A careful reader of the YAML that ``metafile`` describes: a recursive descent over the text, one mapping per file.

What a plain scalar means is in ``yaml_scalars``; folding follows YAML 1.1, chapter 4.6.
"""

import re
from typing import Dict, List, Match, Optional

from trackd.store.file.yaml_scalars import DEPTH, ESCAPES, MetafileError, resolve

_forbidden = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]").search
_gap = re.compile(r"(?:[ \t]*(?:#[^\n]*)?\n)*([ \t]*)(?:#[^\n]*\Z)?").match
_line_end = re.compile(r"[ \t]*(?:#[^\n]*)?(?:\n|\Z)").match
_document_start = re.compile(r"(?:[ \t]*(?:#[^\n]*)?\n)*---(?=[ \t\n]|\Z)").match
_document_end = re.compile(r"^(?:\.\.\.|---)(?=[ \t\n]|\Z)", re.MULTILINE).search
_after_document = re.compile(r"(?:\.\.\.)?(?:[ \t]*(?:#[^\n]*)?(?:\n|\Z))*\Z").match
_indicator = re.compile(r"[-?:](?=[ \t\n]|\Z)").match
_colon = re.compile(r"[ \t]*:(?=[ \t\n]|\Z)").match
_plain = re.compile(r"(?:[^ \t\n:]+|:(?![ \t\n]|\Z)|[ \t]+(?![ \t\n#]|\Z))*").match
_plain_in_flow = re.compile(r"(?:[^ \t\n:,\[\]{}]+|:(?![ \t\n,\[\]{}]|\Z)|[ \t]+(?![ \t\n#]|\Z))*").match
_next_line = re.compile(r"[ \t]*\n((?:[ \t]*\n)*)( *)(?:\t[ \t]*)?(?![ \t\n#]|\Z)").match
_single = re.compile(r"'([^']*(?:''[^']*)*)'(?!')").match
_double = re.compile(r'"([^"\\]*(?:\\.[^"\\]*)*)"', re.DOTALL).match
_fold = re.compile(r"(?:(?<![ \t])|(?<=\\[ \t]))[ \t]*([\n\u2028\u2029])((?:[ \t]*[\n\u2028\u2029])*)[ \t]*")
_backslash = re.compile(
    r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|\n[ \t]*((?:\n[ \t]*)*)|(.?))|" + _fold.pattern
).sub
_block_header = re.compile(r"([|>])(?:([-+])([1-9])?|([1-9])([-+])?)?[ \t]*(?:[ \t]#[^\n]*)?(?:\n|\Z)").match
_UNESCAPES = {letter: char for char, letter in ESCAPES.items()}
_UNESCAPES.update({" ": " ", "/": "/", "_": "\xa0", "\t": "\t"})


class Reader:
    """Reads one text: ``pos`` is where it stands, columns are counted from 0."""

    def __init__(self, text: str) -> None:
        self.text = text[1:] if text.startswith("\ufeff") else text
        self.pos = 0
        self.depth = 0
        bad = _forbidden(self.text)
        if bad:
            raise self.error(f"the character U+{ord(bad[0]):04X}, which YAML does not allow", bad.start())
        if "\r" in self.text or "\x85" in self.text:
            self.text = re.sub("\r\n|[\r\x85]", "\n", self.text)

    def error(self, what: str, pos: Optional[int] = None) -> MetafileError:
        """An error at ``pos``, or where the reader stands."""
        line = self.text.count("\n", 0, self.pos if pos is None else pos) + 1
        return MetafileError(f"line {line}: {what}")

    def document(self) -> Dict[str, object]:
        """The whole text, which is one mapping."""
        if self.text.startswith("%"):
            raise self.error("a directive")
        start = _document_start(self.text)
        if start:
            self.pos = start.end()
        end = _document_end(self.text, self.pos)
        if end:
            if not _after_document(self.text, end.start()):
                raise self.error("a second document", end.start())
            self.text = self.text[: end.start()]
        value = self.node(-1, start is None)
        self.skip()
        if self.pos < len(self.text):
            raise self.error("text outside of the mapping")
        if not isinstance(value, dict):
            raise self.error("nothing in it" if value is None else "not a mapping")
        for key in value:
            if not isinstance(key, str):
                raise MetafileError(f"line 1: the key {key!r} is not text")
        return value

    def skip(self, flow: bool = False) -> bool:
        """Go on to the next thing that is neither blank nor comment; True if it is on another line."""
        start = self.pos
        match = _gap(self.text, start)
        assert match is not None  # it matches nothing, too
        self.pos = match.end()
        crossed = start == 0 or "\n" in self.text[start : self.pos]
        if crossed and not flow and "\t" in match[1] and self.pos < len(self.text):
            raise self.error("a tab in the indentation")
        return crossed

    def column(self) -> int:
        """Where in its line the reader stands."""
        return self.pos - self.text.rfind("\n", 0, self.pos) - 1

    def node(self, indent: int, inline: bool) -> object:
        """The value that follows; ``indent`` is that of the collection it belongs to.

        ``inline``: it may be a mapping or list that begins on this line, as after ``-`` and ``?``. After ``key:`` it
        may not, but there a list may begin at ``indent`` on the next line.
        """
        crossed = self.skip()
        if self.pos == len(self.text):
            return None
        column = self.column()
        char = self.text[self.pos]
        mark = _indicator(self.text, self.pos)
        if crossed and column <= indent and not (
            column == indent and mark and char == "-" and not inline
        ):
            return None
        self.deeper()
        value: object
        if mark and char == "-" and (crossed or inline):
            value = self.sequence(column)
        elif char in "|>":
            value = self.block_scalar(indent)
        elif (crossed or inline) and (mark and char == "?" or self.key_end()):
            value = self.mapping(column)
        else:
            value = self.flow(indent)
            if not _line_end(self.text, self.pos):
                raise self.error("more text after the value, or a key inside of it")
        self.depth -= 1
        return value

    def deeper(self) -> None:
        """Note one more level of nesting."""
        self.depth += 1
        if self.depth > DEPTH:
            raise self.error(f"nested deeper than {DEPTH} levels")

    def key_end(self) -> int:
        """Where the colon of the ``key:`` that stands here ends, or 0 if none does."""
        char = self.text[self.pos]
        if char in "'\"":
            match = (_single if char == "'" else _double)(self.text, self.pos)
            if not match or "\n" in match[0]:
                return 0
        elif char in "[]{},#&*!|>%@`" or _indicator(self.text, self.pos):
            return 0
        else:
            match = _plain(self.text, self.pos)
        colon = match and _colon(self.text, match.end())
        return colon.end() if colon else 0

    def mapping(self, indent: int) -> Dict[object, object]:
        """A block mapping whose first key stands here, at column ``indent``."""
        result: Dict[object, object] = {}
        while True:
            start = self.pos
            if _indicator(self.text, start) and self.text[start] == "?":
                self.pos += 1
                key = self.node(indent, True)
                self.skip()
                has_value = self.pos < len(self.text) and self.column() == indent and _colon(self.text, self.pos)
                if has_value:
                    self.pos += 1
                value = self.node(indent, True) if has_value else None
            else:
                end = self.key_end()
                if not end:
                    raise self.error("a line that is not `key: value`")
                key = self.flow(indent)
                self.pos = end
                value = self.node(indent, False)
            self.add(result, key, value, start)
            self.skip()
            if self.pos == len(self.text) or self.column() < indent:
                return result
            if self.column() > indent:
                raise self.error("wrong indentation")

    def add(self, result: Dict[object, object], key: object, value: object, start: int) -> None:
        """Put an entry that begins at ``start`` into its mapping."""
        if isinstance(key, (dict, list)):
            raise self.error("a key that is a mapping or a list", start)
        if key in result:
            raise self.error(f"the key {key!r} a second time", start)
        if key == "<<" and self.text[start] == "<":
            raise self.error("a merge key", start)
        result[key] = value

    def sequence(self, indent: int) -> List[object]:
        """A block list whose first ``-`` stands here, at column ``indent``."""
        result = []
        while True:
            self.pos += 1
            result.append(self.node(indent, True))
            self.skip()
            if self.pos == len(self.text) or self.column() < indent:
                return result
            if self.column() > indent:
                raise self.error("wrong indentation")
            if self.text[self.pos] != "-" or not _indicator(self.text, self.pos):
                return result  # the next key of the mapping that this list is a value of

    def flow(self, indent: int, inside: bool = False) -> object:
        """A scalar, or a collection in brackets. ``inside`` brackets, plain text ends at commas and brackets."""
        char = self.text[self.pos : self.pos + 1]
        if char in ("'", '"'):
            return self.quoted(char)
        if char in ("[", "{"):
            self.deeper()
            self.pos += 1
            value = self.flow_list() if char == "[" else self.flow_mapping()
            self.depth -= 1
            return value
        if char and char in "&*!":
            raise self.error("an anchor, alias or tag")
        # In brackets PyYAML takes every ? for the mark of a key.
        if not char or char in ",]}#|>%@`" or _indicator(self.text, self.pos) or inside and char == "?":
            raise self.error(f"{char or 'the end of the file'} where a value should begin")
        return self.plain(indent, inside)

    def flow_list(self) -> List[object]:
        """What follows a ``[``."""
        result = []
        self.skip(flow=True)
        while self.peek() != "]":
            result.append(self.flow(-1, inside=True))
            self.next_in_flow("]")
        self.pos += 1
        return result

    def flow_mapping(self) -> Dict[object, object]:
        """What follows a ``{``."""
        result: Dict[object, object] = {}
        self.skip(flow=True)
        while self.peek() != "}":
            start = self.pos
            if _indicator(self.text, start) and self.peek() == "?":
                self.pos += 1
                self.skip(flow=True)
            key = self.flow(-1, inside=True)
            self.skip(flow=True)
            value = None
            if self.peek() == ":":
                self.pos += 1
                self.skip(flow=True)
                if self.peek() not in (",", "}"):
                    value = self.flow(-1, inside=True)
            self.add(result, key, value, start)
            self.next_in_flow("}")
        self.pos += 1
        return result

    def peek(self) -> str:
        """The character that comes next, empty at the end."""
        return self.text[self.pos : self.pos + 1]

    def next_in_flow(self, bracket: str) -> None:
        """Go over the comma to the next entry, or to the closing bracket."""
        self.skip(flow=True)
        if self.peek() == ",":
            self.pos += 1
            self.skip(flow=True)
        elif self.peek() != bracket:
            raise self.error(f"no comma and no {bracket} after a value in brackets")

    def plain(self, indent: int, inside: bool) -> object:
        """A scalar without quotes; further lines belong to it if they are indented more than its collection."""
        line = _plain_in_flow if inside else _plain
        start = self.pos
        match = line(self.text, start)
        text = match[0].rstrip(" \t") if match else ""
        while match:
            self.pos = match.start() + len(match[0].rstrip(" \t"))
            gap = _next_line(self.text, self.pos)
            if not gap or not inside and len(gap[2]) <= indent:
                break
            match = line(self.text, gap.end())
            if match and match[0]:
                text += ("\n" * gap[1].count("\n") or " ") + match[0].rstrip(" \t")
            else:
                break
        if "\u2028" in text or "\u2029" in text:
            raise self.error("a line separator outside of quotes", start)
        try:
            return resolve(text)
        except (ValueError, OverflowError) as error:
            raise self.error(f"{text[:40]} is not a number", start) from error

    def quoted(self, quote: str) -> str:
        """A scalar in quotes. Single line breaks are spaces, further ones stay."""
        match = (_single if quote == "'" else _double)(self.text, self.pos)
        if not match:
            raise self.error("quotes that are not closed")
        self.pos = match.end()
        if quote == "'":
            return _fold.sub(lambda fold: _folded(fold[1], fold[2]), match[1]).replace("''", "'")
        try:
            text = _backslash(_unescaped, match[1])
            if re.search("[\ud800-\udfff]", text):  # a character beyond U+FFFF, written as two escapes
                text = text.encode("utf-16", "surrogatepass").decode("utf-16")
        except (ValueError, OverflowError) as error:
            raise self.error(f"a wrong escape: {error}", match.start()) from error
        return text

    def block_scalar(self, indent: int) -> str:
        """A scalar after ``|`` (lines kept) or ``>`` (lines folded), with ``-`` or ``+`` for its last line break."""
        header = _block_header(self.text, self.pos)
        if not header:
            raise self.error(f"an unknown mark after {self.text[self.pos]}")
        self.pos = header.end()
        chomp, digit = header[2] or header[5], header[3] or header[4]
        lines: List[str] = []
        column = max(indent, 0) + int(digit) if digit else 0
        while self.pos < len(self.text):
            end = self.text.find("\n", self.pos)
            line = self.text[self.pos : end if end >= 0 else len(self.text)]
            spaces = len(line) - len(line.lstrip(" "))
            if not column and spaces < len(line):
                column = max([spaces, indent + 1, 1] if spaces > indent else [indent + 1, 1])
            if column and spaces < column and spaces < len(line):
                break
            lines.append(line[column:] if column else "")
            self.pos += len(line) + 1
        self.pos = min(self.pos, len(self.text))
        final = "\n" if lines and self.text[self.pos - 1 : self.pos] == "\n" else ""
        kept = len(lines)
        while kept and not lines[kept - 1]:
            kept -= 1
        if any("\u2028" in line or "\u2029" in line for line in lines):
            raise self.error("a line separator outside of quotes", header.start())
        text = ("\n".join if header[1] == "|" else _folded_lines)(lines[:kept])
        if chomp == "-":
            return text
        if chomp == "+":
            return text + "\n" * (len(lines) - max(kept, 1)) + final
        return text + final if kept else ""


def _folded(first: str, rest: str) -> str:
    """What is left of line breaks inside quotes: the first becomes a space if it is alone, U+2028 and U+2029 stay."""
    rest = rest.replace(" ", "").replace("\t", "")
    return rest or " " if first == "\n" else first + rest


def _unescaped(match: Match[str]) -> str:
    code = match[1] or match[2] or match[3]
    if code:
        return chr(int(code, 16))
    if match[4] is not None:  # an escaped line break is nothing
        return "\n" * match[4].count("\n")
    if match[6] is not None:
        return _folded(match[6], match[7])
    if match[5] not in _UNESCAPES:
        raise ValueError(f"\\{match[5]}")
    return _UNESCAPES[match[5]]


def _folded_lines(lines: List[str]) -> str:
    """Lines of a ``>`` scalar: a break between two lines that do not start with a blank becomes a space."""
    text = ""
    breaks = 0
    previous = ""
    for line in lines:
        if not line:
            breaks += 1
            continue
        if previous and not (previous[0] in " \t" or line[0] in " \t"):
            text += "\n" * breaks or " "
        else:
            text += "\n" * (breaks + (1 if previous else 0))
        text += line
        previous, breaks = line, 0
    return text
