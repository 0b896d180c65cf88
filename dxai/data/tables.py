"""A firm's table file, CSV, Excel or Parquet, to blocks of rows in bounded memory; the first bytes tell which it is."""

from __future__ import annotations

import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, time
from pathlib import Path
from typing import Any, BinaryIO, Literal

import polars as pl

from dxai.data.decoder import decoded
from dxai.data.dialect import Dialect
from dxai.data.readers import Block, Numbers, read_csv, read_typed_csv
from dxai.errors import DataError, DxaiError, NotFoundError

_ROWS = 50_000
_EXCEL_LIMIT = 1 << 30
"""Bytes that an Excel file may have when it is unpacked: twice the largest sheet of plain numbers."""
_EXCEL_CELLS = 1 << 25
"""Cells of a sheet's rectangle, empty ones counted: they are all held in memory."""
_CELL_NAME = re.compile(rb'\br="([A-Z]{1,3})([0-9]{1,7})"')


def read_blocks(path: Path, dialect: Dialect | None = None) -> Iterator[pl.DataFrame]:
    """Blocks of at most 50,000 rows, at least one; CSV and Excel as text, Parquet with its own types.

    Args:
        path: The file.
        dialect: How a CSV file is written; None takes commas only.

    Raises:
        NotFoundError: No such file.
        DataError: The file is none of the three, is broken, or unpacks to more than a gigabyte.
    """
    match format_of(path):
        case "parquet":
            return _read_parquet(path)
        case "excel":
            return _read_excel(path)
    return read_csv(path, rows=_ROWS, dialect=dialect)


def read_typed_blocks(path: Path, numbers: Numbers, dialect: Dialect | None = None) -> Iterator[Block]:
    """The same rows in larger blocks, of a CSV file with numbers in the columns asked for, where all cells are ones."""
    match format_of(path):
        case "parquet":
            return map(Block, _read_parquet(path, 5 * _ROWS))
        case "excel":
            return map(Block, _read_excel(path))
    return read_typed_csv(path, numbers, rows=_ROWS, dialect=dialect)


def format_of(path: Path) -> Literal["csv", "excel", "parquet"]:
    """What the first bytes of a file say.

    Raises:
        NotFoundError: No such file.
    """
    if not path.is_file():
        raise NotFoundError(f"There is no file {path.name!r}.", where=str(path), fix="Check the path.")
    with path.open("rb") as file:
        start = file.read(4)
    return "parquet" if start == b"PAR1" else "excel" if start == b"PK\3\4" else "csv"


def as_text(frame: pl.DataFrame) -> pl.DataFrame:
    """Every column as the text that a CSV file would hold; NaN is a gap, a time stamp at midnight a date."""
    return frame.select(_text(column) for column in frame)


def _text(column: pl.Series) -> pl.Series:
    if isinstance(column.dtype, pl.Datetime) and bool((column.dt.time() == time()).all()):
        column = column.dt.date()
    if column.dtype.is_float():
        column = column.fill_nan(None)
    if column.dtype.is_nested() or column.dtype == pl.Binary:
        raise DataError(
            f"Column {column.name!r} holds {column.dtype}, which is no single value.",
            fix="Give every cell one number, date or text.",
        )
    return column.cast(pl.String)


@contextmanager
def spooled(stream: BinaryIO, name: str) -> Iterator[Path]:
    """A stream as a file for as long as the block runs; messages speak of ``name``."""
    with tempfile.TemporaryDirectory(prefix="dxai-") as folder:
        path = Path(folder) / "rows"
        with path.open("wb") as file:
            shutil.copyfileobj(stream, file)
        try:
            yield path
        except DxaiError as error:
            raise type(error)(error.problem, where=error.where.replace(str(path), name), fix=error.fix) from None


def _read_parquet(path: Path, rows: int = _ROWS) -> Iterator[pl.DataFrame]:
    blocks = decoded(path, rows)
    empty = next(blocks)
    yield next(blocks, empty)
    yield from blocks


def _read_excel(path: Path) -> Iterator[pl.DataFrame]:
    """The first sheet, its first row as the header; empty rows at the end are left out."""
    from python_calamine import load_workbook  # an Excel file is rare

    with _one_message(path):
        _refuse_zip_bomb(path)
        rows = load_workbook(path).get_sheet_by_index(0).to_python(skip_empty_area=False)
    while rows and not any(cell != "" for cell in rows[-1]):
        rows.pop()
    header = [_cell(cell) or "" for cell in rows[0]] if rows else []
    while header and not header[-1] and not any(row[len(header) - 1] != "" for row in rows):
        header.pop()
    _refuse_header(header, path)
    for first in range(1, max(2, len(rows)), _ROWS):
        block = rows[first : first + _ROWS]
        cells = {name: [_cell(row[i]) for row in block] for i, name in enumerate(header)}
        yield pl.DataFrame(cells, schema=dict.fromkeys(header, pl.String))


def _cell(value: Any) -> str | None:
    """What the cell shows: 12 for 12.0, an ISO date for a date, nothing for an empty cell."""
    if isinstance(value, datetime):
        return value.date().isoformat() if value.time() == time() else value.isoformat(sep=" ")
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    return str(value) if value != "" else None


def _refuse_header(header: list[str], path: Path) -> None:
    names = [name.strip() for name in header]
    if not names or "" in names or len(set(names)) < len(names):
        raise DataError(
            "The first row of the first sheet is no header: every column needs a name of its own.",
            where=str(path), fix="Put one row with the column names on top.",
        )  # fmt: skip


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
        told = f"The Excel file cannot be read: {(str(error).splitlines() or [''])[0][:200]}"
        raise DataError(told, where=str(path), fix="Write the file again, or save it as CSV UTF-8.") from None
