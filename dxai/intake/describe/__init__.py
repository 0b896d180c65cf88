"""Describe a table nobody has described yet: types, ranges, gaps, and what is suspicious about it."""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl

from dxai.errors import DataError, nearest
from dxai.intake.choices import header_of
from dxai.intake.describe.profile import decimal_mark, profile
from dxai.intake.describe.record import (
    Bars,
    ColumnDescription,
    Description,
    Histogram,
    Kind,
    Suspicion,
    Type,
)
from dxai.intake.describe.relations import Sample
from dxai.intake.describe.sample import RepeatedRows, RowSample
from dxai.intake.describe.suspicions import suspicions
from dxai.intake.describe.tally import MANY, ColumnTally, add_block

__all__ = ["MANY", "Bars", "ColumnDescription", "Description", "Histogram", "Kind", "Suspicion", "Type", "describe"]

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


def _parts(table: pl.DataFrame) -> Iterable[pl.DataFrame]:
    return table.iter_slices(max(_ROWS, _CELLS // table.width)) if len(table) else (table,)


def _chained(first: pl.DataFrame, rest: Iterable[pl.DataFrame]) -> Iterable[pl.DataFrame]:
    yield first
    yield from rest


def _unknown_target(target: str, names: list[str]) -> DataError:
    close = nearest(target, names)
    fix = f"Did you mean {close!r}?" if close else "Give one of the headers."
    return DataError(f"There is no column {target!r}.", where="the header", fix=fix)
