"""Describe a table nobody has described yet: types, ranges, gaps, and what is suspicious about it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dxai.errors import DataError, nearest
from dxai.intake.describe.columns import MANY, ColumnTally, add_block, decimal_mark, profile
from dxai.intake.describe.findings import Sample, suspicions
from dxai.intake.describe.record import (
    Bars,
    ColumnDescription,
    Description,
    Histogram,
    Kind,
    Suspicion,
    Type,
)
from dxai.units import of_header

_SAMPLED_ROWS, _SAMPLED_CELLS = 50_000, 4_000_000
_HASHES = 1 << 21


class RowSample:
    """Each row of the stream is as likely as any other to be among the rows kept; they stay in order.

    Args:
        width: Columns, which decide how many rows are kept: at most 50,000 rows and 4,000,000 cells.
    """

    def __init__(self, width: int) -> None:
        self._most = max(100, min(_SAMPLED_ROWS, _SAMPLED_CELLS // width))
        self._random = np.random.default_rng(0)
        self._rows, self._limit = 0, 1.0
        self._parts: list[pl.DataFrame] = []
        self._drawn: list[NDArray[np.float64]] = []

    def add(self, block: pl.DataFrame) -> None:
        """Take in the next rows."""
        drawn = np.column_stack([self._random.random(len(block)), np.arange(self._rows, self._rows + len(block))])
        kept = drawn[:, 0] <= self._limit
        self._rows += len(block)
        own = block.filter(pl.Series(kept)).select(pl.all() + "")  # a copy: a view would keep the whole block alive
        self._parts.append(own)
        self._drawn.append(drawn[kept])
        if sum(map(len, self._drawn)) > 2 * self._most:
            self._prune()

    def rows(self) -> tuple[pl.DataFrame, NDArray[np.float64]]:
        """The rows kept, and their numbers in the stream, from 0."""
        self._prune()
        return self._parts[0], self._drawn[0][:, 1]

    def _prune(self) -> None:
        frame, drawn = pl.concat(self._parts), np.concatenate(self._drawn)
        if len(drawn) > self._most:
            self._limit = float(np.partition(drawn[:, 0], self._most - 1)[self._most - 1])
            kept = drawn[:, 0] <= self._limit
            frame, drawn = frame.filter(pl.Series(kept)).select(pl.all() + ""), drawn[kept]
        self._parts, self._drawn = [frame], [drawn]


class RepeatedRows:
    """Counts rows that are equal to an earlier one.

    Rows are compared by a hash of 64 bits. Beyond two million different rows only those are kept whose hash is a
    multiple of a growing power of two: equal rows stay together, so the share among them is the share among all.
    """

    def __init__(self) -> None:
        self._rows, self._divisor = 0, 1
        self._counts = pl.DataFrame(schema={"hash": pl.UInt64, "count": pl.UInt32})
        self._pending: list[pl.DataFrame] = []

    def add(self, block: pl.DataFrame) -> None:
        """Take in the next rows."""
        hashes = pl.DataFrame(
            {"hash": block.hash_rows(seed=0), "count": pl.repeat(1, len(block), dtype=pl.UInt32, eager=True)}
        )
        self._rows += len(block)
        self._pending.append(self._thinned(hashes))
        if sum(map(len, self._pending)) > _HASHES // 2:
            self._merge()

    def count(self) -> int:
        """Rows that repeat another; an estimate where not all are kept."""
        self._merge()
        kept = int(self._counts["count"].sum())
        return round(self._rows * (1 - len(self._counts) / kept)) if kept else 0

    def _merge(self) -> None:
        self._counts = pl.concat([self._counts, *self._pending]).group_by("hash").agg(pl.col("count").sum())
        self._pending = []
        while len(self._counts) > _HASHES:
            self._divisor *= 2
            self._counts = self._thinned(self._counts)

    def _thinned(self, hashes: pl.DataFrame) -> pl.DataFrame:
        return hashes.filter(pl.col("hash") % self._divisor == 0) if self._divisor > 1 else hashes


__all__ = [
    "MANY", "Bars", "ColumnDescription", "Description", "Histogram", "Kind", "Suspicion", "Type", "describe",
    "header_of",
]  # fmt: skip

_CELLS, _ROWS = 2_000_000, 1_000
"""Cells, and of a very wide table rows, that are looked at together; more would take too much memory."""


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
    tallies = [ColumnTally(name) for name in first.columns]
    sample, repeated = RowSample(first.width), RepeatedRows()
    for block in _chained(first, blocks):
        add_block(tallies, block)
        sample.add(block)
        repeated.add(block)
    texts, positions = sample.rows()
    mark = decimal_mark(tallies)
    profiles = tuple(profile(tally, texts[tally.name], mark) for tally in tallies)
    rows, duplicates = tallies[0].rows, repeated.count()
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


def _chained(first: pl.DataFrame, rest: Iterable[pl.DataFrame]) -> Iterable[pl.DataFrame]:
    yield first
    yield from rest


def _unknown_target(target: str, names: list[str]) -> DataError:
    close = nearest(target, names)
    fix = f"Did you mean {close!r}?" if close else "Give one of the headers."
    return DataError(f"There is no column {target!r}.", where="the header", fix=fix)
