"""Page tokens: where the next page starts, as text that clients hand back unread.

A token is base64 of a JSON object, as MLflow's: ``{"offset": n}`` with n > 0. Ours adds ``"after"``, the sort key
of the last entity of the page, so that a page is right although entities came or went meanwhile and costs no
more than the first one. A token is user input: everything about it is checked.
"""

import base64
import binascii
import json
import math
from typing import Any, Callable, Iterator, Mapping, Optional, Sequence, Tuple, TypeVar, Union

from trackd.errors import InvalidParameterValue
from trackd.search.clause import Cursor

#: A sort key may hold tag values of 20,000 characters, four bytes each, and base64 adds a third.
MAX_TOKEN = 1_000_000
#: More values than the longest order has sort columns.
MAX_AFTER = 100
_INT64 = 2**63
Found = TypeVar("Found")


def every(search: Callable[[Cursor], Tuple[Sequence[Found], Optional[Cursor]]]) -> Iterator[Found]:
    """What a search finds, page after page: ``search`` answers the page that begins at a cursor, and the next one."""
    cursor: Optional[Cursor] = Cursor()
    while cursor is not None:
        page, cursor = search(cursor)
        yield from page


def encode(cursor: Cursor, bound: Optional[Mapping[str, Any]] = None) -> str:
    """The token of a cursor. Its offset is above 0; that of a first page has no token.

    ``bound``: what of the request the token holds, because it is good for the same request only (logged models).
    """
    content: dict = {**(bound or {}), "offset": cursor.offset}
    if cursor.after is not None:
        content["after"] = list(cursor.after)
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    return base64.b64encode(text.encode("utf-8")).decode("ascii")


def decode(token: Optional[str], bound: Optional[Mapping[str, Any]] = None) -> Cursor:
    """The cursor of a token; an absent or empty one is the start. Anything that ``encode`` cannot have made is a 400.

    Whether ``after`` fits the order of the request is seen by the store that uses it. A token that is ``bound`` to
    another request is a 400 as well.
    """
    if not token:
        return Cursor()
    content = _content(token)
    if not isinstance(content, dict) or not set(content) - set(bound or ()) <= {"offset", "after"}:
        raise _refused('it does not hold {"offset": n}')
    for name, value in (bound or {}).items():
        if content.get(name) != value:
            raise InvalidParameterValue(
                f"The page_token belongs to a search with another {name}. Send the same search, or none to start again."
            )
    offset = content.get("offset")
    if type(offset) is not int or not 0 < offset < _INT64:
        raise _refused("its offset is not an integer above 0")
    after = content.get("after")
    if "after" in content:
        if not isinstance(after, list) or not 0 < len(after) <= MAX_AFTER or not all(map(_is_value, after)):
            raise _refused('its "after" is not a list of numbers, strings and nulls')
        return Cursor(offset, tuple(after))
    return Cursor(offset)


def _content(token: str) -> Any:
    """The JSON inside; ``Infinity`` is a value that ``encode`` writes (a metric may be infinite), NaN is not."""
    if len(token) > MAX_TOKEN:
        raise _refused(f"it is longer than {MAX_TOKEN} characters")
    try:
        text = base64.b64decode(token.encode("ascii"), validate=True).decode("utf-8")
        return json.loads(text)
    except (UnicodeError, binascii.Error):
        raise _refused("it is not base64 of UTF-8 text") from None
    except (ValueError, RecursionError):
        # ValueError: not JSON, or an integer of more digits than Python converts.
        raise _refused("it does not hold JSON") from None


def _is_value(value: Union[str, int, float, None]) -> bool:
    if isinstance(value, bool):
        return False
    if isinstance(value, int):
        return -_INT64 <= value < _INT64
    if isinstance(value, float):
        return not math.isnan(value)
    if isinstance(value, str):
        # "\ud800" in JSON makes a lone surrogate, which no database takes.
        return not any("\ud800" <= char <= "\udfff" for char in value)
    return value is None


def _refused(why: str) -> InvalidParameterValue:
    return InvalidParameterValue(f"Invalid page_token: {why}. Use the next_page_token of a reply, unchanged.")
