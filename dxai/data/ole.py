"""How large an old Excel file (`.xls`, BIFF in OLE) is when it is read, told before it is: its parser trusts the file.

The container is [MS-CFB], the records are [MS-XLS]. A chain of sectors that runs in a circle would be followed until
the memory is full, and a sheet's declared rectangle is reserved before its first cell is read.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

_END = 0xFFFFFFFA
"""Sector numbers from here on are marks, no sectors."""
_ENTRY, _SMALL, _MINI = 128, 4096, 64
_BOUND_SHEET, _DIMENSIONS, _MANY = 0x85, 0x200, (0xBD, 0xBE)
_CELLS = (0x06, 0x206, 0x406, 0x201, 0x203, 0x204, 0x205, 0x207, 0x27E, 0xFD, 0xD6, *_MANY)
_MOST_RECORDS = 1 << 25


def cells_of(content: bytes) -> int:
    """Cells of all sheets' rectangles together; 0 where the file is none of Excel.

    Raises:
        ValueError: The file is broken, a chain runs in a circle, or its sheets overlap without end.
    """
    try:
        return sum(_cells(stream, offset) for stream in _workbooks(content) for offset in _sheets(stream))
    except (struct.error, IndexError, MemoryError) as error:
        raise ValueError(f"its parts do not fit together ({error})") from None


def _workbooks(content: bytes) -> Iterator[bytes]:
    """Streams of the names under which Excel keeps its records."""
    size = 1 << struct.unpack_from("<H", content, 30)[0] % 32
    if size not in (512, 4096):
        raise ValueError("its sectors have no usual size")
    directory, mini_table, far = (struct.unpack_from("<I", content, at)[0] for at in (48, 60, 68))
    table = _table(content, size, far)
    mini = np.frombuffer(_chain(content, size, table, mini_table), "<u4")
    _refuse_circles(mini)
    entries = _chain(content, size, table, directory)
    small = b""
    for at in range(0, len(entries) - _ENTRY + 1, _ENTRY):
        entry = entries[at : at + _ENTRY]
        letters = min(struct.unpack_from("<H", entry, 64)[0], 64)
        name = entry[: max(0, letters - 2)].decode("utf-16-le", "replace").casefold()
        start, length = struct.unpack_from("<II", entry, 116)
        if at == 0:
            small = _chain(content, size, table, start)
        elif name in ("workbook", "book"):
            is_small = length < _SMALL
            yield (_chain(small, _MINI, mini, start, first=0) if is_small else _chain(content, size, table, start))


def _table(content: bytes, size: int, far: int) -> NDArray[np.uint32]:
    """Which sector follows which."""
    places = [place for place in struct.unpack_from("<109I", content, 76) if place < _END]
    for _ in range(len(content) // size + 1):
        if far >= _END:
            break
        *more, far = struct.unpack_from(f"<{size // 4}I", content, size * (far + 1))
        places += [place for place in more if place < _END]
    else:
        raise ValueError("its table runs in a circle")
    if len(places) > len(content) // size:
        raise ValueError("its table is larger than the file")
    table = np.frombuffer(b"".join(content[size * (p + 1) : size * (p + 2)] for p in places), "<u4")
    _refuse_circles(table)
    return table


def _refuse_circles(table: NDArray[np.uint32]) -> None:
    """Follow all chains at once, in steps of doubling length: each must have come to its end."""
    end = len(table)
    reached = np.append(np.minimum(table, end), end).astype(np.int64)
    for _ in range(max(1, end.bit_length()) + 1):
        reached = reached[reached]
    if (reached != end).any():
        raise ValueError("a chain of its sectors runs in a circle")


def _chain(content: bytes, size: int, table: NDArray[np.uint32], sector: int, *, first: int = 1) -> bytes:
    """Sectors one after another; there is no circle."""
    parts = []
    while sector < _END:
        parts.append(content[size * (sector + first) : size * (sector + first + 1)])
        sector = int(table[sector])
    return b"".join(parts)


def _records(stream: bytes, at: int) -> Iterator[tuple[int, bytes]]:
    """Records up to the end of a part."""
    while at + 4 <= len(stream):
        kind, length = struct.unpack_from("<HH", stream, at)
        yield kind, stream[at + 4 : at + 4 + length]
        if kind == 0x0A:
            return
        at += 4 + length


def _sheets(stream: bytes) -> list[int]:
    """Where the sheets begin."""
    return [struct.unpack_from("<I", body)[0] for kind, body in _records(stream, 0) if kind == _BOUND_SHEET]


def _cells(stream: bytes, offset: int) -> int:
    """Of the rectangle of a sheet, as it is declared or as its cells lie."""
    rows, columns, declared = 0, 0, 0
    for count, (kind, body) in enumerate(_records(stream, offset)):
        if count > _MOST_RECORDS:
            raise ValueError("a sheet has too many records")
        if kind in _CELLS and len(body) >= 6:
            row, column = struct.unpack_from("<HH", body)
            last = struct.unpack_from("<H", body, len(body) - 2)[0] if kind in _MANY else column
            rows, columns = max(rows, row + 1), max(columns, column + 1, last + 1)
        elif kind == _DIMENSIONS and len(body) >= 12:
            top, bottom, left, right = struct.unpack_from("<IIHH", body)
            declared = max(declared, (max(bottom, top) + 1) * (max(right, left) + 1))
        elif kind == _DIMENSIONS and len(body) >= 8:
            top, bottom, left, right = struct.unpack_from("<HHHH", body)
            declared = max(declared, (bottom + 1) * (right + 1))
    return max(rows * columns, declared)
