"""Running figures of every column, block by block: exact, and bounded however long the file is."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

import polars as pl

from dxai.intake import cells

MANY = 10_000
"""Different texts of a column that are counted; more are told as more."""

_LONGEST_TOTAL = 20
"""Letters of a text that may name a total; longer ones are not looked at in a column of many."""

_SETTLED = 1_000
"""Cells that, when next to none of them is a number or a date, show that the column is text."""


@dataclass
class Span:
    """Count, sum and range of the numbers seen so far."""

    count: int = 0
    total: float = 0.0
    minimum: float = math.inf
    maximum: float = -math.inf

    def add(self, count: int, total: float | None, minimum: float | None, maximum: float | None) -> None:
        """Take in more numbers by their own figures, which are None where there are none."""
        if count and total is not None and minimum is not None and maximum is not None:
            self.count, self.total = self.count + count, self.total + total
            self.minimum, self.maximum = min(self.minimum, minimum), max(self.maximum, maximum)

    def __add__(self, other: Span) -> Span:
        return Span(
            self.count + other.count, self.total + other.total,
            min(self.minimum, other.minimum), max(self.maximum, other.maximum),
        )  # fmt: skip


@dataclass
class DateSpan:
    """Count and range of the dates that one format has read so far."""

    count: int = 0
    first: datetime = datetime.max
    last: datetime = datetime.min


@dataclass
class ColumnTally:
    """Figures of one column.

    Attributes:
        cells: With any text in them.
        values: Texts and their counts; None once there are more than `MANY`.
        numbers: By the style they are written in, see `cells.written_numbers`; ``plain`` as a program does, and
            ``either,`` for the style ``either`` with ``,`` as the decimal mark.
        signed, censored: Cells with another sign than ``-`` in front, or with a limit instead of a number.
        whole, point_seen: Whether all numbers are whole, and whether one has a decimal point.
    """

    name: str
    rows: int = 0
    cells: int = 0
    values: pl.DataFrame | None = None
    missing_texts: Counter[str] = field(default_factory=Counter)
    numbers: dict[str, Span] = field(default_factory=dict)
    whole: bool = True
    point_seen: bool = False
    leading_zeros: int = 0
    full_width: int = 0
    signed: int = 0
    censored: int = 0
    units: Counter[str] = field(default_factory=Counter)
    dates: dict[str, DateSpan] = field(default_factory=dict)
    _totals: Counter[str] = field(default_factory=Counter)
    _many: bool = False
    _counted_now: bool = False
    _others: int = 0
    _settled: bool = False

    @property
    def many(self) -> bool:
        """Whether the column has more than `MANY` different texts."""
        return self._many

    def span(self, *styles: str) -> Span:
        """The figures of several styles together."""
        return sum((self.numbers.get(style, Span()) for style in styles), Span())

    def count_values(self, texts: pl.Series) -> None:
        """Count the different texts, as long as they are few."""
        self._counted_now = False
        if self._many:
            return
        found = texts.drop_nulls().alias("text").value_counts(name="count")
        if self.values is not None:
            found = pl.concat([self.values, found]).group_by("text").agg(pl.col("count").sum())
        self._many = len(found) > MANY
        self.values = None if self._many else found
        self._counted_now = self._many
        if self._many:
            self._add_totals(found)

    def add_others(self, texts: pl.Series) -> None:
        """Take in cells that are no plain numbers."""
        texts = texts.str.strip_chars()
        self.cells -= int((texts == "").sum())
        gap = texts.is_in(cells.MISSING_TEXTS)
        for text, count in texts.filter(gap).value_counts(name="count").iter_rows():
            self.missing_texts[text] += count
        known = texts.filter(~gap & (texts != ""))
        if self._many and not self._counted_now:
            short = known.filter((known.str.len_chars() <= _LONGEST_TOTAL) & ~known.str.contains(r"\d"))
            self._add_totals(short.alias("text").value_counts(name="count"))
        if self._settled or not len(known):
            return
        counted = known.alias("text").value_counts(name="count")
        read = self._add_written(counted)
        if self.dates or 2 * read < len(known):
            read += self._add_dates(counted)
        self._others += len(known)
        self._settled = self._others >= _SETTLED and read < 0.05 * len(known)

    def total_rows(self) -> tuple[tuple[str, int], ...]:
        """Texts that name a total of other rows, and how many cells have each."""
        if self.values is not None:
            self._totals.clear()
            self._add_totals(self.values)
        return tuple(self._totals.most_common())

    def _add_totals(self, counted: pl.DataFrame) -> None:
        for text, count in counted.filter(cells.is_total(counted["text"])).iter_rows():
            self._totals[text.strip()] += count

    def _add_written(self, counted: pl.DataFrame) -> int:
        read = counted.hstack(cells.written_numbers(counted["text"])).filter(pl.col("style").is_not_null())
        for (style,), part in read.group_by("style"):
            self._add_style(str(style), part["count"], part["comma" if style == "comma" else "point"])
            if style == "either":
                self._add_style("either,", part["count"], part["comma"])
        wholes = read.select(((pl.col("style") != "comma") & (pl.col("point") == pl.col("point").floor())).all()).item()
        self.whole = self.whole and bool(wholes)
        self.full_width += int(read.filter("full_width")["count"].sum())
        self.signed += int(read.filter("signed")["count"].sum())
        for unit, count in read.drop_nulls("unit").group_by("unit").agg(pl.col("count").sum()).iter_rows():
            if len(self.units) < 100 or unit in self.units:
                self.units[unit] += count
        limits = int(counted.filter(cells.censored(counted["text"])["limit"].is_not_null())["count"].sum())
        self.censored += limits
        return int(read["count"].sum()) + limits

    def _add_style(self, style: str, counts: pl.Series, values: pl.Series) -> None:
        total = (counts * values).sum()
        self.numbers.setdefault(style, Span()).add(int(counts.sum()), total, values.min(), values.max())  # type: ignore[arg-type]

    def _add_dates(self, counted: pl.DataFrame) -> int:
        formats = list(self.dates) or cells.date_formats(counted["text"].head(_SETTLED))
        best = 0
        for date_format in formats:
            read = counted.select(cells.dates(counted["text"], date_format).alias("date"), "count").drop_nulls()
            span = self.dates.setdefault(date_format, DateSpan())
            if len(read):
                span.count += int(read["count"].sum())
                first, last = read.select(first=pl.col("date").min(), last=pl.col("date").max()).row(0)
                span.first, span.last = min(span.first, first), max(span.last, last)
            best = max(best, span.count)
        self.dates = {text: span for text, span in self.dates.items() if 2 * span.count >= best}
        return best


def add_block(tallies: list[ColumnTally], block: pl.DataFrame) -> None:
    """Take in one block of text, one tally per column in its order."""
    numbers = cells.plain_numbers(block)
    known = block.select(pl.all().count()).row(0)
    aggregates = (pl.all().count(), pl.all().sum(), pl.all().min(), pl.all().max())
    figures = zip(*(numbers.select(aggregate).row(0) for aggregate in aggregates), strict=True)
    _add_wholes(tallies, block)
    for tally, cell_count, (count, total, minimum, maximum) in zip(tallies, known, figures, strict=True):
        tally.rows += len(block)
        tally.cells += cell_count
        tally.numbers.setdefault("plain", Span()).add(count, total, minimum, maximum)
        texts = block[tally.name]
        tally.count_values(texts)
        if count < cell_count:
            tally.add_others(texts.filter(texts.is_not_null() & numbers[tally.name].is_null()))


def _add_wholes(tallies: list[ColumnTally], block: pl.DataFrame) -> None:
    """Note which columns have a decimal point, and of the others how many numbers begin with a zero."""
    live = [tally for tally in tallies if not tally.point_seen]
    if not live:
        return
    names = [tally.name for tally in live]
    texts = block.select(names)
    fractions = texts.select(pl.all().str.contains(r"^[+-]?\d*\.\d*(?:[eE][+-]?\d+)?$|^[+-]?\d+[eE]").any()).row(0)
    zeros = texts.select(pl.all().str.contains(r"^[+-]?0\d+$").sum()).row(0)
    for tally, fraction, zero in zip(live, fractions, zeros, strict=True):
        tally.whole, tally.point_seen = tally.whole and not fraction, bool(fraction)
        tally.leading_zeros += zero
