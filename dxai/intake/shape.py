"""Tables of another shape: one column per step of time, or one column per class."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from dxai.contract import Frequency
from dxai.data.tables import as_text
from dxai.errors import DataError, bullet_list
from dxai.intake.dates import period_end, read_dates
from dxai.intake.mapping import Wide

EXAMPLES = 3
"""Cells of one kind that are shown."""


@dataclass(frozen=True)
class Rows:
    """Rows of a table and where they stand in the file: the line and, of a wide file, the header of the step."""

    table: pl.DataFrame
    lines: pl.Series
    steps: pl.Series | None = None

    def place(self, row: int, cell: str) -> tuple[int, str]:
        """Line number and cell, for an example."""
        return self.lines[row], cell if self.steps is None else f"{cell} ({self.steps[row]})"

    def examples(self, marked: pl.Series, cells: pl.Series) -> list[tuple[int, str]]:
        """The same of the first marked rows."""
        return [self.place(i, str(cells[i])) for i in marked.arg_true().head(EXAMPLES).to_list()]


@dataclass(frozen=True)
class Steps:
    """The columns of a wide table that are steps of time, in the order of time, and their dates (ISO 8601)."""

    columns: tuple[str, ...]
    dates: tuple[str, ...]


def steps_of(names: Sequence[str], wide: Wide, frequency: Frequency | None, where: str) -> Steps:
    """The steps of a wide table, each dated by the last day of its month or quarter.

    Raises:
        DataError: No header is a step, one is no date, or two are the same step.
    """
    headers = pl.Series([name for name in names if re.fullmatch(wide.columns, name)], dtype=pl.String)
    dates = period_end(read_dates(headers, wide.header).dt.date(), frequency)
    problems = [] if len(headers) else [f"No header fits wide.columns: {wide.columns!r}."]
    problems += [f"The header {name!r} is no date like {wide.header!r}." for name in headers.filter(dates.is_null())]
    again = dates.is_not_null() & ~dates.is_first_distinct()
    problems += [f"The header {name!r} is a step that another one is already." for name in headers.filter(again)]
    problems += [f"The file has a column {name!r} of its own." for name in (wide.time, wide.value) if name in names]
    if problems:
        raise DataError(bullet_list(problems, most=5), where=where, fix="Correct `wide` in the mapping.")
    in_time = dates.arg_sort()
    return Steps(tuple(headers[in_time]), tuple(dates[in_time].dt.to_string("%Y-%m-%d")))


def lengthened(
    block: pl.DataFrame, wide: Wide, steps: Steps, gaps: Sequence[str], lines: pl.Series
) -> tuple[Rows, Rows]:
    """A row per step instead of a column per step, series by series; then the rows before a series begins.

    A gap that comes after the first value stays a row without a value: it is no zero.
    """
    text, count = as_text(block), len(steps.columns)
    values = text.select(pl.col(steps.columns).str.strip_chars())
    known = values.select(pl.all().is_not_null() & ~pl.all().is_in(["", *gaps])).to_numpy()
    begun = pl.Series(np.logical_or.accumulate(known, axis=1).ravel(), dtype=pl.Boolean)
    table = text.drop(steps.columns).select(pl.all().repeat_by(count).explode())
    table = table.with_columns(
        pl.Series(wide.time, steps.dates * len(text), dtype=pl.String),
        text.select(pl.concat_list(steps.columns).explode()).to_series().alias(wide.value),
    )
    lines = pl.Series(np.repeat(lines.to_numpy(), count), dtype=pl.Int64)
    headers = pl.Series(steps.columns * len(text), dtype=pl.String)
    kept, left = (Rows(table.filter(rows), lines.filter(rows), headers.filter(rows)) for rows in (begun, ~begun))
    return kept, left


def one_of(flags: pl.DataFrame) -> tuple[pl.Series, pl.Series]:
    """The name of the column that is 1, all others being 0; and the rows where it is not so, told by what they hold."""
    numbers = flags.select(pl.all().str.strip_chars().cast(pl.Float64, strict=False))
    ones = numbers.select(pl.when(pl.col(name) == 1).then(pl.lit(name)).alias(name) for name in flags.columns)
    told = ones.select(pl.concat_str(pl.all(), separator=", ", ignore_nulls=True)).to_series()
    sound = numbers.select(
        pl.all_horizontal(pl.all().is_in([0.0, 1.0])) & (pl.sum_horizontal(pl.all()) == 1)
    ).to_series()
    return told.replace("", "none of them"), ~sound.fill_null(False)
