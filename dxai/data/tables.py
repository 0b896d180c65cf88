"""A firm's table file, CSV, Excel or Parquet, to blocks of rows in bounded memory; the first bytes tell which it is."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import time
from itertools import chain
from pathlib import Path
from typing import BinaryIO, Literal

import polars as pl

from dxai.data.decoder import decoded
from dxai.data.dialect import OLE, Dialect
from dxai.data.excel import read_excel
from dxai.data.layout import with_units
from dxai.data.parquet_units import units_of_fields
from dxai.data.readers import Block, Numbers, read_csv, read_typed_csv
from dxai.errors import DataError, DxaiError, NotFoundError

_ROWS = 50_000


def read_blocks(path: Path, dialect: Dialect | None = None) -> Iterator[pl.DataFrame]:
    """Blocks of at most 50,000 rows, at least one; CSV and Excel as text, Parquet with its types, durations as seconds.

    Args:
        path: The file.
        dialect: How the file is written; None takes commas only, and of Excel the first visible sheet with its header
            in row 1.

    Raises:
        NotFoundError: No such file.
        DataError: The file is none of the three, is broken, or unpacks to more than a gigabyte.
    """
    match format_of(path):
        case "parquet":
            return _read_parquet(path)
        case "excel":
            return read_excel(path, dialect)
    return read_csv(path, rows=_ROWS, dialect=dialect)


def read_typed_blocks(path: Path, numbers: Numbers, dialect: Dialect | None = None) -> Iterator[Block]:
    """The same rows in larger blocks, of a CSV file with numbers in the columns asked for, where all cells are ones."""
    match format_of(path):
        case "parquet":
            return map(Block, _read_parquet(path, 5 * _ROWS))
        case "excel":
            return map(Block, read_excel(path, dialect))
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
    return "parquet" if start == b"PAR1" else "excel" if start in (b"PK\3\4", OLE) else "csv"


def as_text(frame: pl.DataFrame) -> pl.DataFrame:
    """Every column as the text that a CSV file would hold.

    NaN is a gap, a time stamp at midnight a date, a duration the number of its seconds.
    """
    return frame.select(_text(column) for column in frame)


def _text(column: pl.Series) -> pl.Series:
    if isinstance(column.dtype, pl.Datetime) and bool((column.dt.time() == time()).all()):
        column = column.dt.date()
    column = _in_seconds(column)
    if column.dtype.is_float():
        column = column.fill_nan(None)
    if column.dtype.is_nested() or column.dtype == pl.Binary:
        raise DataError(
            f"Column {column.name!r} holds {column.dtype}, which is no single value.",
            fix="Give every cell one number, date or text.",
        )
    return column.cast(pl.String)


def _in_seconds(column: pl.Series) -> pl.Series:
    """A duration as the number of its seconds; other columns as they are."""
    if not isinstance(column.dtype, pl.Duration):
        return column
    return pl.Series(column.name, column.dt.total_nanoseconds().to_numpy() / 1e9, nan_to_null=True)


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
    """Blocks whose headers name the units of the fields' metadata and of durations, which are seconds: ``soak (s)``."""
    blocks = decoded(path, rows)
    empty = next(blocks)
    times = [name for name, dtype in empty.schema.items() if isinstance(dtype, pl.Duration)]
    units = units_of_fields(path) | dict.fromkeys(times, "s")
    named = {name: with_units([name], [units[name]])[0] for name in empty.columns if name in units}
    header = [named.get(name, name) for name in empty.columns]
    if twice := next((name for name in header if header.count(name) > 1), ""):
        fix = "Rename one of them, or leave the unit out of the file's metadata."
        raise DataError(f"Two columns are {twice!r} with their units.", where=str(path), fix=fix)
    for block in chain([next(blocks, empty)], blocks):
        yield block.with_columns(_in_seconds(block[name]) for name in times).rename(named)
