"""One sheet of an Excel file, `.xlsx` or the old `.xls`, to blocks of text rows; its rectangle is held in memory."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl

from dxai.data.dialect import OLE, Dialect
from dxai.data.layout import UNITS_HOW, how, layout_of, with_units
from dxai.data.number_formats import PERCENT, percent, units_of_columns
from dxai.data.ole import cells_of
from dxai.errors import DataError, DxaiError, NotFoundError, nearest

_ROWS = 50_000
_SAMPLE = 200
_EXCEL_LIMIT = 1 << 30
"""Bytes that an Excel file may have when it is unpacked: twice the largest sheet of plain numbers."""
_EXCEL_CELLS = 1 << 25
"""Cells of a sheet's rectangle, empty ones counted: they are all held in memory."""
_OF_A_CODE = 13
"""Digits that a measurement does not have."""
_CELL_NAME = re.compile(rb'\br="([A-Z]{1,3})([0-9]{1,7})"')
_LOCKED = "EncryptedPackage".encode("utf-16-le")


@dataclass(frozen=True)
class Sheet:
    """A sheet of an Excel file.

    Attributes:
        name: Of the sheet.
        rows: Cells as calamine gives them, an empty one as an empty text; empty rows at the end are left out.
        merged: Corners of the merged ranges, first and last cell as (row, column), counted from 0.
        hidden: Sheets in front of it that are hidden.
        others: Visible sheets beside it.
        units: What the formats of a column's numbers show behind them, by its place.
    """

    name: str
    rows: list[list[Any]]
    merged: tuple[tuple[tuple[int, int], tuple[int, int]], ...] = ()
    hidden: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    units: Mapping[int, str] = field(default_factory=dict)

    def texts(self) -> list[list[str]]:
        """The first rows as `dxai.data.layout.layout_of` takes them."""
        return [[_cell(cell) or "" for cell in row] for row in self.rows[:_SAMPLE]]

    def merged_below(self, header_row: int, width: int) -> list[tuple[tuple[int, int], tuple[int, int]]]:
        """Merged ranges among the data."""
        return [(first, last) for first, last in self.merged if first[0] >= header_row and first[1] < width]


def open_sheet(path: Path, name: str = "") -> Sheet:
    """The sheet of a name, or the first visible one.

    Raises:
        NotFoundError: There is no such sheet.
        DataError: The file is broken, locked by a password, or unpacks to more than a gigabyte.
    """
    from python_calamine import PasswordError, SheetTypeEnum, SheetVisibleEnum, load_workbook  # an Excel file is rare

    with _one_message(path), path.open("rb") as file:
        _refuse_bomb(path)
        try:
            book = load_workbook(file)
        except PasswordError:
            raise _locked(path) from None
        sheets = [sheet for sheet in book.sheets_metadata if sheet.typ == SheetTypeEnum.WorkSheet]
        visible = [sheet.name for sheet in sheets if sheet.visible == SheetVisibleEnum.Visible]
        names = [sheet.name for sheet in sheets]
        if name and name not in names:
            hint = nearest(name, names)
            fix = f"Did you mean {hint!r}?" if hint else f"The sheets are: {', '.join(names)}."
            raise NotFoundError(f"There is no sheet {name!r}.", where=str(path), fix=fix)
        chosen = name or next(iter([*visible, *names]))
        opened = book.get_sheet_by_name(chosen)
        rows = opened.to_python(skip_empty_area=False)
        merged = tuple(opened.merged_cell_ranges or ())
    while rows and not any(cell != "" for cell in rows[-1]):
        rows.pop()
    _refuse_lost_digits(rows, path)
    units = units_of_columns(path, chosen, rows)
    for row in rows:
        for i in (i for i, unit in units.items() if unit == PERCENT and i < len(row)):
            value = row[i]
            row[i] = percent(value) if isinstance(value, float) else value
    before = tuple(n for n in names[: names.index(chosen)] if n not in visible)
    return Sheet(chosen, rows, merged, () if name else before, tuple(n for n in visible if n != chosen), units)


def read_excel(path: Path, dialect: Dialect | None = None) -> Iterator[pl.DataFrame]:
    """Blocks of text rows; empty columns at the end are left out."""
    strict, dialect = dialect is None, dialect or Dialect()
    with path.open("rb") as file:
        if strict and file.read(4) == OLE:
            if _LOCKED in file.read(_EXCEL_LIMIT):
                raise _locked(path)
            fix = "Save it as .xlsx or CSV UTF-8, or convert it: dxai data convert."
            raise DataError("The file is an old Excel file (.xls).", where=str(path), fix=fix)
    sheet = open_sheet(path, dialect.sheet)
    rows, at = sheet.rows, dialect.header_row - 1
    header = [_cell(cell) or "" for cell in rows[at]] if at < len(rows) else []
    while header and not header[-1] and not any(row[len(header) - 1] != "" for row in rows[at + 1 :]):
        header.pop()
    if not strict and len(header) > 1 and not header[0].strip():
        header[0] = "unnamed_1"
    _refuse_header(header, sheet, dialect, path)
    header = with_units(header, [sheet.units.get(i, "") for i in range(len(header))])
    if dialect.units_row:
        header = with_units(header, [_cell(cell) or "" for cell in rows[at + 1]] if at + 1 < len(rows) else [])
    elif layout_of(sheet.texts(), dialect.header_row).units_row:
        raise DataError(
            f"Row {dialect.header_row + 1} holds units, no data.", where=f"{path}, sheet {sheet.name!r}", fix=UNITS_HOW
        )
    _fill_merged(sheet, len(header), dialect, path)
    start = dialect.first_row - 1
    for first in range(start, max(start + 1, len(rows)), _ROWS):
        block = rows[first : first + _ROWS]
        cells = {name: [_cell(row[i]) for row in block] for i, name in enumerate(header)}
        yield pl.DataFrame(cells, schema=dict.fromkeys(header, pl.String))


def _fill_merged(sheet: Sheet, width: int, dialect: Dialect, path: Path) -> None:
    """Give every cell of a merged range the value of its first one, where the dialect says so.

    Raises:
        DataError: There is one, and the dialect does not.
    """
    below = sheet.merged_below(dialect.header_row, width)
    if below and not dialect.fill_merged:
        (top, left), (bottom, right) = below[0]
        named = f"{_column_name(left)}{top + 1}:{_column_name(right)}{bottom + 1}"
        more = f", and {len(below) - 1} more ranges are" if len(below) > 1 else " is"
        fix = "Unmerge them, or convert with `fill_merged: true` in the mapping's `file:`: all get the first's value."
        raise DataError(
            f"{named}{more} merged: all cells but the first are empty.",
            where=f"{path}, sheet {sheet.name!r}", fix=fix,
        )  # fmt: skip
    for (top, left), (bottom, right) in below:
        value = sheet.rows[top][left] if top < len(sheet.rows) and left < len(sheet.rows[top]) else ""
        for row in sheet.rows[max(top, dialect.header_row) : bottom + 1]:
            row[left : right + 1] = [value] * len(row[left : right + 1])


def _cell(value: Any) -> str | None:
    """What the cell shows: 12 for 12.0, an ISO date for a date, nothing for an empty cell."""
    if isinstance(value, datetime):
        return value.date().isoformat() if value.time() == time() else value.isoformat(sep=" ")
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    return str(value) if value != "" else None


def _refuse_lost_digits(rows: list[list[Any]], path: Path) -> None:
    """Refuse codes of more digits than Excel keeps; 1e20 is a number."""
    for value in (cell for row in rows for cell in row if isinstance(cell, float) and 1e15 <= abs(cell) < 1e21):
        digits = "".join(map(str, Decimal(repr(value)).as_tuple().digits)).rstrip("0")
        if value.is_integer() and len(digits) >= _OF_A_CODE:
            told = f"A cell holds {value:.0f}, however Excel keeps 15 digits of a number: the last ones are lost."
            fix = "Bring codes as texts, from where they were exported, or as CSV UTF-8."
            raise DataError(told, where=str(path), fix=fix)


def _refuse_header(header: list[str], sheet: Sheet, dialect: Dialect, path: Path) -> None:
    names = [name.strip() for name in header]
    if names and "" not in names and len(set(names)) == len(names):
        return
    found = layout_of(sheet.texts())
    fix = "Put one row with the column names on top."
    if found.two_headers:
        fix = f"Rows {found.two_headers} and {found.two_headers + 1} both look like a header: name one, {how('N')}."
    elif found.header_row != dialect.header_row:
        fix = f"The header looks to be in row {found.header_row}: {how(found.header_row)}."
    elif sheet.others and not dialect.sheet:
        fix = f"{fix[:-1]}, or name another sheet for `dxai data convert`: {_flags(sheet.others)}."
    told = f"Row {dialect.header_row} of the sheet is no header: every column needs a name of its own."
    raise DataError(told, where=f"{path}, sheet {sheet.name!r}", fix=fix)


def _flags(names: Sequence[str]) -> str:
    return " or ".join(f"--sheet {name!r}" for name in names[:3])


def _refuse_bomb(path: Path) -> None:
    """Refuse a file that takes too much memory, or that a password locks: that packs a new file into an old one."""
    with path.open("rb") as file:
        if file.read(4) != OLE:
            return _refuse_zip_bomb(path)
        file.seek(0)
        content = file.read(_EXCEL_LIMIT)
    if _LOCKED in content:
        raise _locked(path)
    if (cells := cells_of(content)) > _EXCEL_CELLS:
        told = f"The sheets of the file have {cells:,} cells, empty ones counted: too many for a table."
        raise DataError(told, where=str(path), fix="Save the table as CSV UTF-8.")
    return None


def _locked(path: Path) -> DataError:
    return DataError("The Excel file is locked by a password.", where=str(path), fix="Save it without a password.")


def _refuse_zip_bomb(path: Path) -> None:
    """Unpack once, to nowhere: what a zip file says about its sizes need not be true."""
    unpacked = 0
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            rows, columns, behind = 0, 0, b""
            with archive.open(entry) as part:
                while block := part.read(1 << 20):
                    unpacked += len(block)
                    for column, row in _CELL_NAME.findall(behind + block):
                        rows, columns = max(rows, int(row)), max(columns, _column_number(column))
                    behind = block[-32:]
                    told = ""
                    if unpacked > _EXCEL_LIMIT:
                        told = f"The Excel file unpacks to more than {_EXCEL_LIMIT >> 20} MB."
                    elif rows * columns > _EXCEL_CELLS:
                        told = f"The sheet has a cell in row {rows:,}, column {columns:,}: too far out to be a table's."
                    if told:
                        raise DataError(told, where=str(path), fix="Save the table as CSV UTF-8.")


def _column_number(name: bytes) -> int:
    """1 for A, 27 for AA."""
    number = 0
    for letter in name:
        number = 26 * number + letter - 64
    return number


def _column_name(number: int) -> str:
    """A for 0, AA for 26."""
    return (_column_name(number // 26 - 1) if number > 25 else "") + chr(65 + number % 26)


@contextmanager
def _one_message(path: Path) -> Iterator[None]:
    """A broken file in one sentence; the readers raise many kinds of errors."""
    try:
        yield
    except (DxaiError, GeneratorExit):
        raise
    except BaseException as error:  # calamine, in Rust, panics with an exception that is no Exception
        if isinstance(error, KeyboardInterrupt | SystemExit | MemoryError):
            raise
        with path.open("rb") as file:
            kind = "old Excel file (.xls)" if file.read(4) == OLE else "Excel file"
        told = f"The {kind} cannot be read: {(str(error).splitlines() or [''])[0][:200]}"
        raise DataError(told, where=str(path), fix="Write the file again, or save it as CSV UTF-8.") from None
