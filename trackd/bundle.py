"""``trackd.pyz``: the whole program as one executable zip application (PEP 441), byte for byte the same wherever made.

It holds the package's sources and the files of the web pages; Python reads them out of the zip and unpacks nothing. No
compiled code is in it: that would tie it to one Python, and compiling at every start costs 0.1 s.

Compressed data depends on who compresses: zlib, its forks and their versions all write something else for the same
input. So the few lines of ``deflate`` write it here, and the zip (APPNOTE 6.3) is laid out by hand: names in order, one
time, one mode.
"""

import os
import struct
import zipfile
import zlib
from typing import Dict, List, Tuple

import trackd

_MAIN = """\
import sys

if sys.version_info < (3, 9):
    sys.exit("trackd: this is Python %d.%d; trackd needs Python 3.9 or newer." % sys.version_info[:2])

from trackd.cli import main

if __name__ == "__main__":
    sys.exit(main())
"""

_SHEBANG = b"#!/usr/bin/env python3\n"

#: 1980-01-01 00:00, the first moment that a zip knows.
_TIME, _DATE = 0, (1 << 5) | 1
#: A plain file that all may read, as the high half of the external attributes; "made by" Unix, zip 2.0.
_MODE, _MADE_BY, _NEEDS, _DEFLATED = 0o100644 << 16, (3 << 8) | 20, 20, 8


def write(path: str) -> int:
    """Write the bundle to ``path``, executable, in place of what was there; returns its size in bytes.

    ``OSError`` if it cannot be written; nothing is left then.
    """
    data = archive(contents())
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        with open(temporary, "wb") as file:
            file.write(data)
        os.chmod(temporary, 0o755)
        os.replace(temporary, path)
    except OSError:
        if os.path.exists(temporary):
            os.remove(temporary)
        raise
    return len(data)


def contents() -> Dict[str, bytes]:
    """What goes into the bundle: ``{name: bytes}``. The running package is read, from folders or from a bundle."""
    files = {f"trackd/{name}": data for name, data in _package().items() if _belongs(name)}
    files["__main__.py"] = _MAIN.encode("ascii")
    return files


def _belongs(name: str) -> bool:
    """Whether a file of the package is part of the program: sources, and what the web pages are made of."""
    parts = name.split("/")
    if any(part.startswith(".") or part == "__pycache__" for part in parts):
        return False
    return name.endswith(".py") or parts[0] == "ui"


def _package() -> Dict[str, bytes]:
    """All files of the package by their path in it, with slashes."""
    inside = getattr(trackd.__loader__, "archive", None)
    found: Dict[str, bytes] = {}
    if inside is not None:
        with zipfile.ZipFile(inside) as opened:
            for name in opened.namelist():
                if name.startswith("trackd/") and not name.endswith("/"):
                    found[name[len("trackd/"):]] = opened.read(name)
        return found
    root = os.path.dirname(os.path.abspath(trackd.__file__))
    for folder, _, names in os.walk(root):
        for name in names:
            path = os.path.join(folder, name)
            inner = os.path.relpath(path, root).replace(os.sep, "/")
            if _belongs(inner):
                with open(path, "rb") as file:
                    found[inner] = file.read()
    return found


def archive(files: Dict[str, bytes]) -> bytes:
    """An executable zip of the files: the shebang, the files by name, the directory."""
    out, directory = bytearray(_SHEBANG), bytearray()
    for name in sorted(files):
        data, encoded = files[name], name.encode("ascii")
        packed = deflate(data)
        sizes = struct.pack("<LLLHH", zlib.crc32(data), len(packed), len(data), len(encoded), 0)
        common = struct.pack("<HHHHH", _NEEDS, 0, _DEFLATED, _TIME, _DATE) + sizes
        directory += struct.pack("<LH", 0x02014B50, _MADE_BY) + common
        directory += struct.pack("<HHHLL", 0, 0, 0, _MODE, len(out)) + encoded
        out += struct.pack("<L", 0x04034B50) + common + encoded + packed
    end = struct.pack("<LHHHHLLH", 0x06054B50, 0, 0, len(files), len(files), len(directory), len(out), 0)
    return bytes(out + directory + end)


def _steps(first: int, counts: List[int]) -> List[Tuple[int, int]]:
    """``(base, extra bits)`` per code: ``counts[n]`` codes have ``n`` extra bits, each begins where the last ended."""
    table, base = [], first
    for extra, count in enumerate(counts):
        for _ in range(count):
            table.append((base, extra))
            base += 1 << extra
    return table


def _reversed(code: int, width: int) -> int:
    """Huffman codes go out with their first bit first (RFC 1951, 3.1.1)."""
    return int(f"{code:0{width}b}"[::-1], 2)


def _literal(symbol: int) -> Tuple[int, int]:
    """The fixed code of a literal or length symbol, and its width (RFC 1951, 3.2.6)."""
    if symbol < 144:
        code, width = 0x30 + symbol, 8
    elif symbol < 256:
        code, width = 0x190 + symbol - 144, 9
    elif symbol < 280:
        code, width = symbol - 256, 7
    else:
        code, width = 0xC0 + symbol - 280, 8
    return _reversed(code, width), width


def _length_codes() -> List[Tuple[int, int]]:
    """For each length from 0 to 257 (258 is not used): its code with extra bits, and the width of both."""
    codes: List[Tuple[int, int]] = [(0, 0)] * 258
    for index, (base, extra) in enumerate(_steps(3, [8, 4, 4, 4, 4, 4])):
        code, width = _literal(257 + index)
        for length in range(base, min(base + (1 << extra), 258)):
            codes[length] = (code | (length - base) << width, width + extra)
    return codes


_WINDOW, _LONGEST = 32768, 257


def deflate(data: bytes) -> bytes:
    """Raw deflate (RFC 1951): one block of fixed codes, matches where the last four bytes of the kind were seen.

    Halves source code and more; zlib gets a quarter further, but not everywhere to the same bytes.
    """
    literals = [_literal(symbol) for symbol in range(257)]
    lengths = _length_codes()
    distances = _steps(1, [4, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2])
    bits, used = 0b011, 3
    out = bytearray()
    seen: Dict[bytes, int] = {}
    place, end = 0, len(data)
    while place < end:
        key = data[place : place + 4]
        earlier = seen.get(key, -_WINDOW)
        seen[key] = place
        distance = place - earlier
        if distance >= _WINDOW or len(key) < 4:
            code, width = literals[data[place]]
            place += 1
        else:
            length = _same(data, earlier, place, min(_LONGEST, end - place))
            code, width = lengths[length]
            number = _distance_code(distance)
            base, extra = distances[number]
            code |= (_reversed(number, 5) | (distance - base) << 5) << width
            width += 5 + extra
            for inner in range(place + 1, place + length):
                seen[data[inner : inner + 4]] = inner
            place += length
        bits |= code << used
        used += width
        if used >= 512:
            out += (bits & (1 << 512) - 1).to_bytes(64, "little")
            bits >>= 512
            used -= 512
    used += literals[256][1]
    return bytes(out + bits.to_bytes((used + 7) // 8, "little"))


def _same(data: bytes, earlier: int, place: int, most: int) -> int:
    """How many bytes are the same at both places, four at least are known to be."""
    length = 4
    while length < most and data[earlier + length] == data[place + length]:
        length += 1
    return length


def _distance_code(distance: int) -> int:
    """The number of the code of a distance (RFC 1951, 3.2.5): two for each power of two."""
    if distance <= 4:
        return distance - 1
    high = (distance - 1).bit_length() - 2
    return 2 * high + 2 + ((distance - 1) >> high & 1)
