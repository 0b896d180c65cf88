"""Units that a Parquet file names in the metadata of its fields, as pyarrow writes them: ``{"unit": "℃"}``.

polars gives the metadata of the file only; that of its fields stands in there, in Arrow's schema (base64 of a message
of Arrow's IPC format, a flatbuffer; Schema.fbs and Message.fbs of Apache Arrow say which slot holds what).
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

_SCHEMA = "ARROW:schema"
_KEYS = ("unit", "units")
_PREFIX = struct.Struct("<ii")
"""Of a message: a continuation mark, and its length."""
_HEADER, _FIELDS, _NAME, _METADATA, _KEY, _VALUE = 2, 1, 0, 6, 0, 1
"""Slots of a message, a schema, a field (two), and a word of metadata (two)."""
_MOST = 100
"""Words of metadata of a field that are looked at."""


def units_of_fields(path: Path) -> dict[str, str]:
    """Units by the columns' names; none where the file says none, or says it in no way that can be read."""
    written = pl.read_parquet_metadata(path).get(_SCHEMA)
    if written is None:
        return {}
    try:
        return dict(_units(base64.b64decode(written)))
    except (ValueError, struct.error, IndexError, TypeError):  # not Arrow's schema, or a damaged one
        return {}


def _units(message: bytes) -> Iterator[tuple[str, str]]:
    from flatbuffers.table import Table  # type: ignore[import-untyped]  # few files are Parquet

    buffer = message[_PREFIX.size :]
    (root,) = struct.unpack_from("<I", buffer)
    header, schema = Table(buffer, root), Table(buffer, 0)
    header.Union(schema, _place(header, _HEADER))
    for field in _tables(schema, _FIELDS, len(buffer)):
        words = {_text(word, _KEY): _text(word, _VALUE) for word in _tables(field, _METADATA, _MOST)}
        if unit := next((words[key].strip() for key in _KEYS if words.get(key, "").strip()), ""):
            yield _text(field, _NAME), unit


def _place(table: Any, slot: int) -> int:
    """Where a slot's value stands; 0: it has none."""
    place: int = table.Offset(4 + 2 * slot)
    return place


def _tables(table: Any, slot: int, most: int) -> Iterator[Any]:
    from flatbuffers.table import Table

    if place := _place(table, slot):
        first, count = table.Vector(place), min(table.VectorLen(place), most)
        for number in range(count):
            yield Table(table.Bytes, table.Indirect(first + 4 * number))


def _text(table: Any, slot: int) -> str:
    place = _place(table, slot)
    return table.String(place + table.Pos).decode() if place else ""
