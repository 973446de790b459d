"""Filter and order text -> tree: one tokenizer and one recursive-descent parser for all entities.

::

    filter      := [either]                        (an empty text is no filter; ANDs alone match all)
    either      := all (OR all)*
    all         := AND* one ([AND]* one)* AND*     (a missing AND counts as one, a dangling one as none: MLflow's)
    one         := NOT one | "(" either ")" | comparison
    comparison  := key operator value | key [NOT] IN "(" string ("," string)* [","] ")" | key IS [NOT] NULL
    order       := key [ASC | DESC]

A key is ``<kind>.<key>`` or a bare attribute; only its first dot separates, and either side may be quoted with
backticks, the key also with ``"`` or ``'``. A string stands in ``'`` or ``"`` and means what is between them: there is
no escape (a doubled or backslashed quote does not end it, but stays as it is). In a list for IN backslash escapes are
Python's. All this is MLflow's meaning; OR, NOT and parentheses are ours. Which keys, operators and values an entity
has is in ``schemas``.

More than MLflow takes: blanks around an order, ``1e+5``, any unquoted key of letters and digits (``metrics.in``),
several blanks within IS NOT NULL. Less: ``[key]``, ``metrics. key``, lists in lists, prefixes of Python's strings.
"""

import codecs
import re
from typing import List, NamedTuple, Optional, Sequence, Tuple, Union

from trackd.errors import InvalidParameterValue
from trackd.search.clause import And, Clause, Comparison, Not, Or, Order, Value
from trackd.search.schemas import COUNT, FLOAT, ID, INTEGER, NUMBER, Key, Kind, Schema

#: Room for 10,000 run ids in a list. The worst text of that length takes less than half a second.
MAX_LENGTH = 400_000
#: Parentheses and NOTs within each other. SQLite's own parser has a stack of 100, and an expression costs some of it.
MAX_DEPTH = 50
#: Two bound values each must stay below the 999 of SQLite before 3.32.
MAX_COMPARISONS = 300
#: SQLite refuses LIKE patterns above 50,000 bytes; escaping triples a character at worst, UTF-8 quadruples it.
MAX_PATTERN = 10_000
#: Keys of an order; each becomes a join, of which SQLite takes 64.
MAX_ORDERS = 16

_INT64 = 2**63

# The quoted forms are unrolled so that an unclosed quote costs linear time.
_SINGLE = r"""'[^'\\]*(?:(?:''|\\'|\\)[^'\\]*)*'"""
_DOUBLE = r"""\"[^\"\\]*(?:(?:\"\"|\\\"|\\)[^\"\\]*)*\""""
_BACKTICKED = r"`[^`]*(?:``[^`]*)*`"
_BARE = r"\w[$#\w]*"
_TOKEN = re.compile(
    rf"(?P<number>-?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?(?![\w.]))"
    rf"|(?P<string>{_SINGLE}|{_DOUBLE})"
    rf"|(?P<name>(?:{_BARE}|{_BACKTICKED})(?:\.(?:{_BARE}|{_BACKTICKED}|{_DOUBLE}|{_SINGLE}))*)"
    r"|(?P<symbol>[<>=!~]+|[(),])"
)
_BLANKS = re.compile(r"\s*")
# Strings and escapes in lists, which MLflow leaves to Python.
_LISTED = re.compile(r"'[^'\\]*(?:\\.[^'\\]*)*'|\"[^\"\\]*(?:\\.[^\"\\]*)*\"", re.DOTALL)
_ESCAPE = re.compile(
    r"\\(?:x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|N\{[\w -]{1,100}\}|[0-3]?[0-7]{1,2}|[\\'\"abfnrtv\n])"
)
_INTEGER_TEXT = re.compile(r"\s*([+-]?[0-9]{1,18})\s*")
#: Where a key cannot go on without quotes; found right behind a key, the advice is to quote it.
_NEEDS_QUOTES = re.compile(r"[-/:@#$.+%&*]")


def parse_filter(text: Optional[str], schema: Schema) -> Optional[Clause]:
    """The tree of a filter; ``None`` where there is nothing to filter by.

    :raises InvalidParameterValue: says what was expected, what was found and at which character (from 1).
    """
    if not text:
        return None
    return _Parser(text, schema, "filter").filter()


def parse_order_by(items: Sequence[str], schema: Schema) -> Tuple[Order, ...]:
    """The keys of an order, as given: ``Schema.complete`` adds defaults and ties.

    :raises InvalidParameterValue: as ``parse_filter``; also where a key is there twice and ``schema`` refuses that.
    """
    if len(items) > MAX_ORDERS:
        raise InvalidParameterValue(f"Invalid order_by: {len(items)} keys, at most {MAX_ORDERS} are possible.")
    orders: List[Order] = []
    for item in items:
        order = _Parser(item, schema, "order_by").order()
        if not schema.repeats and any(order[:2] == other[:2] for other in orders):
            raise InvalidParameterValue(f"Invalid order_by: the {order.kind} {order.key!r} is there twice.")
        orders.append(order)
    return tuple(orders)


class _Token(NamedTuple):
    kind: str  # number, string, name, symbol; end behind the last; other for a character of no token
    text: str
    position: int

    def word(self) -> str:
        """The token as a keyword, which are compared in upper case; nothing for what is no word."""
        return self.text.upper() if self.kind == "name" else ""


class _Parser:
    """One pass over one text, a token ahead."""

    def __init__(self, text: str, schema: Schema, what: str) -> None:
        self._what = what
        if not isinstance(text, str):
            raise InvalidParameterValue(f"Invalid {what}: expected text, found {type(text).__name__}.")
        if len(text) > MAX_LENGTH:
            raise InvalidParameterValue(f"Invalid {what}: {len(text)} characters, at most {MAX_LENGTH} are possible.")
        self._text = text
        self._schema = schema
        self._comparisons = 0
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise self._error("text", "half of a surrogate pair", error.start) from None
        self._token = self._scan(0)

    def filter(self) -> Optional[Clause]:
        """The whole text as a filter."""
        if self._token.kind == "end":
            raise self._expected("a comparison")
        clause = self._either(0)
        if self._token.kind != "end":
            raise self._expected("AND, OR or the end")
        return clause

    def order(self) -> Order:
        """The whole text as one key of an order."""
        token = self._token
        kind, key = self._key(ordering=True)
        direction = self._token.word()
        if direction in ("ASC", "DESC"):
            self._next()
        if self._token.kind != "end":
            raise self._expected("ASC, DESC or the end", after=token)
        return Order(kind.kind, key.name, direction != "DESC")

    # Tokens

    def _scan(self, start: int) -> _Token:
        start = _BLANKS.match(self._text, start).end()  # type: ignore[union-attr]
        match = _TOKEN.match(self._text, start)
        if match is not None:
            return _Token(match.lastgroup or "", match.group(), start)
        text = self._text[start : start + 1]
        return _Token("other" if text else "end", text, start)

    def _next(self) -> _Token:
        """The token that was ahead; the one after it is ahead now."""
        token = self._token
        self._token = self._scan(token.position + len(token.text))
        return token

    def _expected(self, what: str, token: Optional[_Token] = None, after: Optional[_Token] = None) -> Exception:
        """The error of a token (the one ahead) that is not ``what``; ``after`` is the key it follows."""
        token = token or self._token
        found = repr(token.text if len(token.text) <= 60 else token.text[:57] + "...")
        if token.kind == "end":
            found = "the end"
        elif token.text in ("'", '"', "`"):
            found = f"a {token.text} without its closing one"
        error = self._error(what, found, token.position)
        if after is not None and _NEEDS_QUOTES.match(self._text, after.position + len(after.text)):
            error.message += " Put backticks around a key with other characters than letters, digits and _ in it."
        return error

    def _error(self, expected: str, found: str, start: int) -> InvalidParameterValue:
        return InvalidParameterValue(
            f"Invalid {self._what}: expected {expected}, found {found} at character {start + 1}."
        )

    # The tree. Depth counts NOTs and parentheses; three Python frames for each are far from any limit.

    def _either(self, depth: int) -> Optional[Clause]:
        parts = [self._all(depth)]
        while self._token.word() == "OR":
            if parts[-1] is None:
                raise self._expected("a comparison")
            self._next()
            parts.append(self._all(depth))
        if parts[-1] is None and (depth or len(parts) > 1):
            raise self._expected("a comparison")
        known = tuple(part for part in parts if part is not None)
        return Or(known) if len(known) > 1 else parts[0]

    def _all(self, depth: int) -> Optional[Clause]:
        parts: List[Clause] = []
        while True:
            word = self._token.word()
            if word == "AND":
                self._next()
            elif word == "OR" or self._token.kind == "end" or self._token.text == ")":
                break
            elif parts and not self._begins_comparison():
                raise self._expected("AND, OR or the end" if depth == 0 else "AND, OR or )")
            else:
                parts.append(self._one(depth))
        if len(parts) > 1:
            return And(tuple(parts))
        return parts[0] if parts else None

    def _begins_comparison(self) -> bool:
        token = self._token
        return token.kind == "name" or token.text == "(" or (token.kind == "string" and token.text[0] == '"')

    def _one(self, depth: int) -> Clause:
        if depth >= MAX_DEPTH and (self._token.word() == "NOT" or self._token.text == "("):
            raise self._expected(f"at most {MAX_DEPTH} parentheses and NOTs within each other")
        if self._token.word() == "NOT":
            self._next()
            return Not(self._one(depth + 1))
        if self._token.text == "(":
            self._next()
            clause = self._either(depth + 1)
            if self._token.text != ")" or clause is None:
                raise self._expected("AND, OR or )")
            self._next()
            return clause
        return self._comparison()

    def _comparison(self) -> Comparison:
        self._comparisons += 1
        if self._comparisons > MAX_COMPARISONS:
            raise self._expected(f"at most {MAX_COMPARISONS} comparisons")
        start = self._token
        kind, key = self._key()
        operator = self._operator(kind, key, start)
        value: Value = None
        if operator in ("IN", "NOT IN"):
            value = self._list(key)
        elif operator not in ("IS NULL", "IS NOT NULL"):
            value = self._value(key, operator)
        looks_at = key.filters_as or (kind.kind, key.name)
        return Comparison(looks_at[0], looks_at[1], operator, value)

    def _key(self, ordering: bool = False) -> Tuple[Kind, Key]:
        """The key ahead, as its rows in the schema; ``key.name`` is canonical."""
        token = self._token
        # A key in double quotes alone is an attribute; in single quotes it is a value.
        if not self._begins_comparison() or token.text == "(":
            raise self._expected("a key to order by" if ordering else "a comparison")
        end = token.position + len(token.text)
        if token.kind == "name" and self._text.startswith(".", end):
            raise self._expected("a key right after the dot", self._scan(end + 1))
        before, dot, name = token.text.partition(".") if token.kind == "name" else ("", "", token.text)
        kind = self._schema.kind(_unquoted(before, "`") if dot else None)
        if kind is None:
            known = ", ".join(spelling for row in self._schema.kinds for spelling in row.spellings)
            raise self._expected(f"one of {known} before the dot")
        key = kind.key(_unquoted(_unquoted(name if dot else token.text, "'\""), "`"), ordering)
        if key is None:
            raise self._expected(self._known_keys(kind, ordering))
        self._next()
        return kind, key

    def _known_keys(self, kind: Kind, ordering: bool) -> str:
        spellings = [key.order_spellings if ordering else key.spellings for key in kind.keys]
        names = [spelt[0] for spelt in spellings if spelt]
        if not names:
            return f"a key to order by ({kind.kind}s are none)"
        return f"one of the {kind.kind}s {', '.join(names)} of {self._schema.entity}"

    def _operator(self, kind: Kind, key: Key, start: _Token) -> str:
        """The operator ahead, in upper case, which must be one of the key's."""
        token = self._token
        name = f"the {kind.kind} {key.spellings[0]!r}" if kind.keys else f"a {kind.kind}"
        expected = f"one of the operators {', '.join(key.operators)} for {name}"
        operator = token.word() or (token.text if token.kind == "symbol" else "")
        if operator in ("LIKE", "ILIKE", "IN") and not self._schema.any_case and token.text != operator:
            raise self._expected(expected)
        if operator not in ("NOT", "IS") and operator not in key.operators:
            raise self._expected(expected, after=start)
        self._next()
        if operator == "NOT":
            operator = f"NOT {self._next().word()}"
        elif operator == "IS":
            operator = "IS NOT" if self._token.word() == "NOT" else "IS"
            if operator == "IS NOT":
                self._next()
            operator += f" {self._next().word()}"
        if operator not in key.operators:
            raise self._expected(expected, token)
        return operator

    def _value(self, key: Key, operator: str) -> Value:
        token = self._token
        if key.type == INTEGER and token.kind == "string" and self._schema.loose:
            return int(self._id(self._next().text[1:-1], token))
        if key.type in (FLOAT, NUMBER, INTEGER) or (key.type == COUNT and token.kind != "string"):
            integer = token.kind == "number" and not set(token.text) & set(".eE")
            if token.kind != "number" or (key.type in (INTEGER, COUNT) and not integer):
                raise self._expected("a number" if key.type in (FLOAT, NUMBER) else "an integer")
            self._next()
            return _number(token.text, integer and key.type != FLOAT)
        if token.kind != "string" and not (self._schema.loose and token.kind in ("number", "name")):
            raise self._expected("a string in quotes")
        value = token.text[1:-1] if token.kind == "string" else token.text
        if key.type == ID:
            value = self._id(value, token)
        if key.type == COUNT:
            number = int(self._id(value, token))
            self._next()
            return number
        if operator in ("LIKE", "ILIKE") and (len(value) > MAX_PATTERN or "\0" in value):
            raise self._expected(f"a pattern of at most {MAX_PATTERN} characters without NUL")
        self._next()
        return value

    def _list(self, key: Key) -> Tuple[Union[str, int], ...]:
        if self._token.text != "(":
            raise self._expected("( and a list of strings in quotes")
        self._next()
        values: List[Union[str, int]] = []
        while self._token.text != ")" or not values:
            start = self._token
            value = self._listed("a string in quotes" if not values else "a string in quotes or )")
            number = self._id(value, start) if key.type in (ID, INTEGER) else value
            values.append(int(number) if key.type == INTEGER else number)
            if self._token.text not in (",", ")"):
                raise self._expected(", or )")
            if self._token.text == ",":
                self._next()
        self._next()
        return tuple(values)

    def _listed(self, expected: str) -> str:
        """A string of a list as Python reads it: escapes count, and strings side by side are one."""
        value, start = "", self._token
        match = _LISTED.match(self._text, self._token.position)
        if match is None:
            raise self._expected(expected)
        while match is not None:
            try:
                value += _ESCAPE.sub(_unescaped, match.group()[1:-1])
                value.encode("utf-8")
            except ValueError:
                raise self._expected("a string with valid escapes", start) from None
            self._token = self._scan(match.end())
            match = _LISTED.match(self._text, self._token.position)
        if "\0" in value:
            raise self._expected("a string without NUL", start)
        return value

    def _id(self, text: str, token: _Token) -> str:
        match = _INTEGER_TEXT.fullmatch(text)
        if match is None:
            raise self._expected("an integer in quotes", token)
        return str(int(match.group(1)))


def _unescaped(match: "re.Match[str]") -> str:
    """What an escape stands for; a backslash at the end of a line for nothing."""
    return codecs.decode(match.group(), "unicode_escape") if match.group() != "\\\n" else ""


def _unquoted(text: str, quotes: str) -> str:
    """``text`` without one pair of any of ``quotes`` around it, if there is one."""
    if len(text) >= 2 and text[0] in quotes and text[0] == text[-1]:
        return text[1:-1]
    return text


def _number(text: str, integer: bool) -> Value:
    """The number; an integer beyond 64 bits becomes a float, which compares with every stored one as it would."""
    if integer and len(text) <= 20 and -_INT64 <= int(text) < _INT64:
        return int(text)
    return float(text)
