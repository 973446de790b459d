"""Conditional requests and ranges: which bytes of a file a client wants, if any (RFC 9110, 13 and 14)."""

import re
from typing import List, Mapping, NamedTuple, Optional, Tuple

#: More ranges than this in one request, or more bytes than the file has, are nobody's honest wish (RFC 9110, 17.15).
MOST_RANGES = 32

Range = Tuple[int, int]

_RANGE = re.compile(r"([0-9]{1,18})?-([0-9]{1,18})?")


class Selection(NamedTuple):
    """The status (200, 206, 304, 412 or 416), and the ranges (start, stop before) that make up the body."""

    status: int
    ranges: List[Range]


def select(headers: Mapping[str, str], size: int, etag: str, modified: str) -> Selection:
    """What to answer to a GET with these header fields (lower-case names).

    ``etag`` is a strong one with its quotes, ``modified`` is Last-Modified as it is sent. The order of the conditions
    is that of RFC 9110, 13.2.2.
    """
    wanted = headers.get("if-match")
    if wanted is not None:
        if not _lists(wanted, etag, weak=False):
            return Selection(412, [])
    elif _is_later(modified, headers.get("if-unmodified-since")):
        return Selection(412, [])
    known = headers.get("if-none-match")
    if known is not None:
        if _lists(known, etag, weak=True):
            return Selection(304, [])
    elif "if-modified-since" in headers and _is_later(modified, headers["if-modified-since"]) is False:
        return Selection(304, [])
    whole = Selection(200, [(0, size)])
    condition = headers.get("if-range")
    if condition is not None and condition.strip() not in (etag, modified):
        return whole
    ranges = _ranges(headers.get("range", ""), size)
    if ranges is None:
        return whole
    return Selection(206, ranges) if ranges else Selection(416, [])


def _lists(field: str, etag: str, weak: bool) -> bool:
    """Whether an If-Match or If-None-Match names this file. With ``weak`` a weak mark does not count (8.8.3.2)."""
    if field.strip() == "*":
        return True
    tags = [tag.strip() for tag in field.split(",")]
    return etag in tags or (weak and "W/" + etag in tags)


def _is_later(modified: str, than: Optional[str]) -> Optional[bool]:
    """Whether one HTTP date is later than another; ``None`` if there is none, or it is none."""
    if than is None:
        return None
    from email.utils import parsedate_to_datetime  # 10 ms that few clients need.

    try:
        return parsedate_to_datetime(modified) > parsedate_to_datetime(than)
    except (TypeError, ValueError, IndexError):
        return None


def _ranges(field: str, size: int) -> Optional[List[Range]]:
    """The satisfiable ranges in their order; ``None`` if the field is absent, wrong or too much, and so ignored."""
    unit, _, text = field.partition("=")
    if unit.strip().lower() != "bytes":
        return None
    ranges: List[Range] = []
    texts = [each.strip() for each in text.split(",") if each.strip()]
    for each in texts:
        found = _RANGE.fullmatch(each)
        if found is None or each == "-":
            return None
        first, last = found.groups()
        if first is None:
            start, stop = max(0, size - int(last)), size
        else:
            start, stop = int(first), size if last is None else min(size, int(last) + 1)
            if last is not None and int(last) < int(first):
                return None
        if start < stop:
            ranges.append((start, stop))
    if not texts or len(texts) > MOST_RANGES or sum(stop - start for start, stop in ranges) > size:
        return None
    return ranges
