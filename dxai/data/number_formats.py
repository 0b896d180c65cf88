"""Units that an Excel file shows behind its numbers by their format only: ``0.0%``, ``0.0"℃"``.

calamine gives the bare values; what a person sees stands in ``xl/styles.xml`` ([ECMA-376] part 1, 18.8.30).
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from dxai.errors import DataError
from dxai.units import understand

PERCENT = "%"

_MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_RELATION = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
_BUILT_IN = {9: "0%", 10: "0.00%"}
_BEHIND = re.compile(r'[0#?]((?:"[^"]*"|\\.|_.|[%℃℉°])+)$')
_LITERAL = re.compile(r'"([^"]*)"|\\(.)|([%℃℉°])')
_CELL = re.compile(rb"<(?:\w+:)?c\b([^>]*)>")
_PLACE, _STYLE = re.compile(rb'\br="([A-Z]{1,3})([0-9]{1,7})"'), re.compile(rb'\bs="([0-9]+)"')
_BLOCK = 1 << 20


def units_of_columns(path: Path, sheet: str, rows: list[list[Any]]) -> dict[int, str]:
    """The unit that the format of every number of a column shows, by the column's place; rows are counted from 0.

    A file whose styles cannot be read, such as an old one, shows none.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            styles = dict(_styles(archive.read("xl/styles.xml")))
            found = _cells(archive, _part(archive, sheet), styles) if styles else {}
    except (zipfile.BadZipFile, KeyError, ElementTree.ParseError):
        return {}
    units = {column: set(by_row.values()) for column, by_row in found.items()}
    return {
        column: one.pop()
        for column, one in units.items()
        if len(one) == 1 and all(_has(found[column], i, row, column) for i, row in enumerate(rows))
    }


def percent(value: float) -> float:
    """What a cell shows that is formatted as percent, without the rounding errors of a product.

    >>> percent(0.039), percent(1.1)
    (3.9, 110.0)
    """
    return float(Decimal(repr(value)) * 100)


def _has(by_row: dict[int, str], i: int, row: list[Any], column: int) -> bool:
    is_number = column < len(row) and isinstance(row[column], (int, float)) and not isinstance(row[column], bool)
    return not is_number or i in by_row


def _styles(content: bytes) -> Iterator[tuple[int, str]]:
    """Numbers of the cell styles that show a unit, and the unit."""
    root = ElementTree.fromstring(content)
    codes = _BUILT_IN | {int(f.get("numFmtId", 0)): f.get("formatCode", "") for f in root.iter(f"{_MAIN}numFmt")}
    for number, style in enumerate(root.iterfind(f"{_MAIN}cellXfs/{_MAIN}xf")):
        behind = _BEHIND.search(codes.get(int(style.get("numFmtId", 0)), "").partition(";")[0])
        text = "".join(map("".join, _LITERAL.findall(behind[1]))).strip() if behind else ""
        if text and _is_unit(text):
            yield number, text


def _is_unit(text: str) -> bool:
    try:
        return bool(understand(text))
    except DataError:
        return False


def _part(archive: zipfile.ZipFile, sheet: str) -> str:
    book = ElementTree.fromstring(archive.read("xl/workbook.xml"))
    relation = next(s.get(_RELATION) for s in book.iter(f"{_MAIN}sheet") if s.get("name") == sheet)
    relations = ElementTree.fromstring(archive.read("xl/_rels/workbook.xml.rels"))
    target = next(r.get("Target", "") for r in relations if r.get("Id") == relation)
    return target.removeprefix("/") if target.startswith("/") else f"xl/{target}"


def _cells(archive: zipfile.ZipFile, part: str, styles: dict[int, str]) -> dict[int, dict[int, str]]:
    """Units of the cells with such a style: column, row, unit."""
    found, behind = dict[int, dict[int, str]](), b""
    with archive.open(part) as sheet:
        while block := sheet.read(_BLOCK):
            block = behind + block
            whole = block.rfind(b">") + 1
            for attributes in _CELL.findall(block[:whole]):
                place, style = _PLACE.search(attributes), _STYLE.search(attributes)
                if place and style and (unit := styles.get(int(style[1]))):
                    found.setdefault(_number(place[1]), {})[int(place[2]) - 1] = unit
            behind = block[whole:]
    return found


def _number(name: bytes) -> int:
    """0 for A, 26 for AA."""
    number = 0
    for letter in name:
        number = 26 * number + letter - 64
    return number - 1
