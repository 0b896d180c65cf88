"""Describe a table nobody has described yet: types, ranges, gaps, and what is suspicious about it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dxai.errors import DataError, nearest
from dxai.intake.describe.columns import Tally, decimal_mark, profile
from dxai.intake.describe.findings import Sample, suspicions
from dxai.intake.describe.record import Bars, ColumnDescription, Description, Histogram
from dxai.units import of_header

__all__ = [
    "Bars",
    "ColumnDescription",
    "Description",
    "Histogram",
    "RepeatedRows",
    "RowSample",
    "describe",
    "header_of",
]

_CELLS, _ROWS = 2_000_000, 1_000
"""Cells, and of a very wide table rows, that are looked at together; more would take too much memory."""

_SAMPLED_ROWS, _SAMPLED_CELLS = 50_000, 4_000_000
_HASHES = 1 << 21
_NUMBER = "\0row"
"""Column of the numbers of rows, a name that no header has."""


class RowSample:
    """Each row of the stream is as likely as any other to be among the rows kept; they stay in order.

    Those are kept whose number has the lowest hashes.

    Args:
        width: Columns, which decide how many rows are kept: at most 50,000 rows and 4,000,000 cells.
    """

    def __init__(self, width: int) -> None:
        self._most = max(100, min(_SAMPLED_ROWS, _SAMPLED_CELLS // width))
        self._rows, self._highest = 0, 2**64 - 1
        self._parts: list[pl.DataFrame] = []

    def add(self, block: pl.DataFrame) -> None:
        """Take in the next rows."""
        self._parts.append(self._kept(block.with_row_index(_NUMBER, self._rows)))
        self._rows += len(block)
        if 4 * sum(map(len, self._parts)) > 5 * self._most:
            self.rows()

    def rows(self) -> tuple[pl.DataFrame, NDArray[np.float64]]:
        """The rows kept, and their numbers in the stream, from 0."""
        kept = pl.concat(self._parts)
        if len(kept) > self._most:
            self._highest = int(kept[_NUMBER].hash(seed=0).sort()[self._most - 1])
            kept = self._kept(kept)
        self._parts = [kept]
        return kept.drop(_NUMBER), kept[_NUMBER].cast(pl.Float64).to_numpy()

    def _kept(self, rows: pl.DataFrame) -> pl.DataFrame:
        kept = rows.filter(pl.col(_NUMBER).hash(seed=0) <= self._highest)
        return kept.with_columns(pl.col(pl.String) + "")  # a copy: a view would keep the whole block alive


class RepeatedRows:
    """Counts rows that are equal to an earlier one.

    Rows are compared by a hash of 64 bits. Beyond two million different rows only those are kept whose hash is a
    multiple of a growing power of two: equal rows stay together, so the share among them is the share among all.
    """

    def __init__(self) -> None:
        self._rows, self._divisor = 0, 1
        self._parts = [pl.DataFrame(schema={"hash": pl.UInt64, "count": pl.UInt32})]

    def add(self, block: pl.DataFrame) -> None:
        """Take in the next rows."""
        self._rows += len(block)
        hashes = pl.DataFrame({"hash": block.hash_rows(seed=0)}).with_columns(count=pl.lit(1, pl.UInt32))
        self._parts.append(self._thinned(hashes))
        if 4 * sum(map(len, self._parts)) > 5 * _HASHES:
            self.count()

    def count(self) -> int:
        """Rows that repeat another; an estimate where not all are kept."""
        kept = pl.concat(self._parts).sort("hash")  # sorted, they are grouped in less memory
        kept = kept.group_by("hash", maintain_order=True).agg(pl.col("count").sum())
        while len(kept) > _HASHES:
            self._divisor *= 2
            kept = self._thinned(kept)
        self._parts, rows = [kept], int(kept["count"].sum())
        return round(self._rows * (1 - len(kept) / rows)) if rows else 0

    def _thinned(self, hashes: pl.DataFrame) -> pl.DataFrame:
        return hashes.filter(pl.col("hash") % self._divisor == 0)


def describe(
    tables: Iterable[pl.DataFrame], *, target: str = "", where: str = "", encoding: str = "", delimiter: str = ""
) -> Description:
    """Describe a table given as blocks of text, in one pass and bounded memory.

    Counts, gaps and ranges are exact; what concerns several columns is found on at most 50,000 rows drawn at random.

    Args:
        tables: Blocks of one table, at least one, every column text; null is an empty cell.
        target: Column that is to be predicted: other columns that give it away are told.
        where: The file, for the report.
        encoding: Of the file, for the report.
        delimiter: Of the file, for the report.

    Raises:
        DataError: No column has the name of the target.
    """
    blocks = (part for table in tables for part in _parts(table))
    first = next(blocks)
    target = header_of(target, first.columns)
    if target and target not in first.columns:
        raise _unknown_target(target, first.columns)
    tally, sample, repeated = Tally(first.columns), RowSample(first.width), RepeatedRows()
    for block in chain([first], blocks):
        tally.add(block)
        sample.add(block)
        repeated.add(block)
    texts, positions = sample.rows()
    columns = tally.columns()
    mark = decimal_mark(columns)
    profiles = tuple(profile(column, tally.rows, texts[column.name], mark) for column in columns)
    rows, duplicates = tally.rows, repeated.count()
    return Description(
        rows=rows, columns=tuple(p.description for p in profiles), sampled=len(texts), duplicates=duplicates,
        suspicions=suspicions(Sample(profiles, texts, positions, target), rows=rows, duplicates=duplicates),
        target=target, where=where, encoding=encoding, delimiter=delimiter,
    )  # fmt: skip


def header_of(told: str, names: Sequence[str]) -> str:
    """The header that is told without its unit: ``y`` for ``y (MPa)``; the same where none, or several, are.

    >>> header_of("y", ["x (mm)", "y (MPa)"]), header_of("z", ["x (mm)"])
    ('y (MPa)', 'z')
    """
    if told in names:
        return told
    likely = [name for name in names if of_header(name)[0] == told]
    return likely[0] if len(likely) == 1 else told


def _parts(table: pl.DataFrame) -> Iterable[pl.DataFrame]:
    return table.iter_slices(max(_ROWS, _CELLS // table.width)) if len(table) else (table,)


def _unknown_target(target: str, names: list[str]) -> DataError:
    close = nearest(target, names)
    fix = f"Did you mean {close!r}?" if close else "Give one of the headers."
    return DataError(f"There is no column {target!r}.", where="the header", fix=fix)
