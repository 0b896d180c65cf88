"""Each column of a table: running figures block by block, then what it is, how it is written, and its picture."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dxai.errors import DataError
from dxai.intake import cells
from dxai.intake.describe.record import FEWEST, NUMERIC, TEMPORAL, Bars, ColumnDescription, Histogram, Type
from dxai.units import of_header, understand

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


Mark = Literal["", ".", ","]
Floats = NDArray[np.float64]

_SHARE = 0.5
"""Known cells that must be numbers or dates for the column to be of them; the others are told as misfits."""

_WORDS = 20
"""Different texts up to which a column of some words and some numbers is one of categories."""
_SERIALS = (20_000, 60_000)
"""Excel's numbers of the days from 1954 to 2064."""
_DATED = re.compile(r"날짜|일자|일시|시각|년월일|측정일|date|time|timestamp|\bday\b", re.IGNORECASE)

_BINS, _BARS = 24, 5


@dataclass(frozen=True)
class Profile:
    """A column's description and its sampled cells as numbers (dates: seconds since 1970); NaN is none."""

    description: ColumnDescription
    values: Floats | None


@dataclass(frozen=True)
class _Found:
    """What the cells of a column are, and how many of them."""

    type: Type
    count: int
    span: Span | None = None
    first: datetime | None = None
    last: datetime | None = None
    formats: tuple[str, ...] = ()
    long: bool = False


def decimal_mark(tallies: Sequence[ColumnTally]) -> Mark:
    """The mark of the whole table, for columns of which ``1,234`` could be either."""
    marks = {_own_mark(tally) for tally in tallies}
    return "," if "," in marks and "." not in marks else "."


def profile(tally: ColumnTally, texts: pl.Series, table_mark: Mark) -> Profile:
    """Describe one column by its figures and its sampled cells."""
    mark = _own_mark(tally) or table_mark
    missing = tally.rows - tally.cells
    known = tally.cells - tally.missing_texts.total()
    found = _found(tally, texts, known, mark)
    values = _values(texts, found, mark)
    distinct = _values_known(tally)
    span, numeric = found.span, found.type in NUMERIC
    title, unit_text = of_header(tally.name)
    cell_units = tuple(unit for unit in tally.units.most_common(5) if numeric and _understood(unit[0]))
    unit_text = unit_text or (cell_units[0][0] if cell_units else "")
    commas = tally.span("grouped", "either").count if mark != "," else 0
    description = ColumnDescription(
        name=tally.name, type=found.type, rows=tally.rows, title=title or tally.name, unit_text=unit_text,
        unit=_understood(unit_text), missing=missing, missing_texts=tuple(tally.missing_texts.most_common()),
        misfits=known - found.count,
        minimum=span.minimum if span else found.first, maximum=span.maximum if span else found.last,
        mean=span.total / span.count if span else None, distinct=None if distinct is None else len(distinct),
        frequent=() if distinct is None else _frequent(distinct),
        date_formats=found.formats,
        decimal_mark=_shown_mark(tally, mark) if numeric else "",
        thousands=("," if commas else "") if numeric else "",
        mixed_marks=numeric and tally.span("comma").count > 0 and (tally.point_seen or tally.span("grouped").count > 0),
        leading_zeros=tally.leading_zeros if not numeric and tally.whole else 0,
        full_width=tally.full_width if numeric else 0, cell_units=cell_units,
        signed=tally.signed if numeric else 0, censored=tally.censored if numeric else 0, long_code=found.long,
        totals=_totals(tally, known),
        variants=_variants(distinct) if found.type in ("category", "boolean") and distinct is not None else 0,
        picture=_picture(found.type, distinct, values),
    )  # fmt: skip
    return Profile(description, values)


def _totals(tally: ColumnTally, known: int) -> tuple[tuple[str, int], ...]:
    """Texts that name totals, where they are few: where they are many they name something else."""
    found = tally.total_rows()
    return found if 4 * sum(count for _, count in found) <= known else ()


def _own_mark(tally: ColumnTally) -> Mark:
    comma, grouped = tally.span("comma").count, tally.span("grouped").count
    if comma > grouped:
        return ","
    return "." if grouped or tally.point_seen else ""


def _shown_mark(tally: ColumnTally, mark: Mark) -> Mark:
    either = tally.span("either").count
    return mark if _own_mark(tally) or (mark == "," and either) else ""


def _found(tally: ColumnTally, texts: pl.Series, known: int, mark: Mark) -> _Found:
    if not known:
        return _Found("empty", 0)
    span = _numbers(tally, mark)
    long = tally.whole and span.count and max(abs(span.minimum), abs(span.maximum)) >= cells.LONG
    count = span.count + tally.censored
    if long and (dates := _digit_dates(tally, texts, span)):
        return dates
    if long or (tally.whole and tally.leading_zeros and 2 * span.count >= known):
        return _Found(_text_type(tally, known), known, long=bool(long))
    if count >= _SHARE * known and (count == known or not _is_of_words(tally)):
        dates = _digit_dates(tally, texts, span) or _serial_dates(tally, span)
        return dates or _Found(_number_type(tally, mark), count, span if span.count else None)
    best = max((dates.count for dates in tally.dates.values()), default=0)
    if best >= _SHARE * known:
        formats = [text for text, dates in tally.dates.items() if dates.count == best]
        span_of_dates = tally.dates[formats[0]]
        type_: Type = "timestamp" if cells.has_time(formats[0]) else "date"
        return _Found(type_, best, None, span_of_dates.first, span_of_dates.last, tuple(formats))
    return _Found(_text_type(tally, known), known)


def _numbers(tally: ColumnTally, mark: Mark) -> Span:
    """All numbers; those with a unit only where it is one, so that ``3호기`` stays a text."""
    either = "either," if mark == "," else "either"
    if tally.units and not _understood(tally.units.most_common(1)[0][0]):
        return tally.span("plain")  # with other signs, too, where a unit is none: they are told as misfits
    return tally.span("plain", "point", "grouped", "comma", either)


def _number_type(tally: ColumnTally, mark: Mark) -> Type:
    known = _values_known(tally)
    if known is not None and set(known["text"]) in ({"0", "1"}, {"0.0", "1.0"}):
        return "boolean"
    return "integer" if tally.whole and _shown_mark(tally, mark) != "," else "number"


def _digit_dates(tally: ColumnTally, texts: pl.Series, span: Span) -> _Found | None:
    """Dates such as 20260131, where every sampled cell is one."""
    lowest, highest = f"{span.minimum:.0f}", f"{span.maximum:.0f}"
    if not tally.whole or len(highest) != len(lowest) or span.minimum == span.maximum:
        return None
    if not (lowest[:4] >= "1950" and highest[:4] <= "2049"):
        return None
    known = texts.drop_nulls().str.strip_chars()
    known = known.filter(~known.is_in(cells.MISSING_TEXTS) & (known != ""))
    for written in cells.DIGIT_FORMATS.get(len(lowest), ()):
        first, last = cells.dates(pl.Series([lowest, highest]), written)
        if first is not None and last is not None and not cells.dates(known, written).null_count():
            return _Found("timestamp" if cells.has_time(written) else "date", span.count, None, first, last, (written,))
    return None


def _serial_dates(tally: ColumnTally, span: Span) -> _Found | None:
    """Dates as Excel counts them, where the header speaks of a date."""
    if not (_SERIALS[0] <= span.minimum < span.maximum <= _SERIALS[1] and _DATED.search(tally.name)):
        return None
    first, last = cells.dates(pl.Series([str(span.minimum), str(span.maximum)]), cells.SERIAL)
    return _Found("date" if tally.whole else "timestamp", span.count, None, first, last, (cells.SERIAL,))


def _is_of_words(tally: ColumnTally) -> bool:
    """Whether a column of numbers and other texts has so few of them that it is one of categories."""
    known = _values_known(tally)
    return known is not None and len(known) <= _WORDS and not tally.censored


def _text_type(tally: ColumnTally, known: int) -> Type:
    values = _values_known(tally)
    if values is None:
        return "text"
    if frozenset(values["text"].str.to_lowercase()) in cells.BOOLEANS:
        return "boolean"
    return "category" if 2 * len(values) <= known else "text"


def _values_known(tally: ColumnTally) -> pl.DataFrame | None:
    """Different texts and their counts without gaps, the commonest first; None where there are too many."""
    if tally.many:
        return None
    if tally.values is None:
        return pl.DataFrame(schema={"text": pl.String, "count": pl.UInt32})
    texts = tally.values.with_columns(pl.col("text").str.strip_chars())
    gap = pl.col("text").is_in(cells.MISSING_TEXTS) | (pl.col("text") == "")
    return tally.values.filter(~texts.select(gap).to_series()).sort("count", "text", descending=[True, False])


def _frequent(values: pl.DataFrame) -> tuple[tuple[str, int], ...]:
    return tuple(values.filter(pl.col("count") >= FEWEST).head(10).iter_rows())


def _understood(unit_text: str) -> str:
    try:
        return understand(unit_text) if unit_text else ""
    except DataError:
        return ""


def _values(texts: pl.Series, found: _Found, mark: Mark) -> Floats | None:
    if found.type in TEMPORAL:
        return cells.dates(texts.str.strip_chars(), found.formats[0]).dt.epoch("s").cast(pl.Float64).to_numpy()
    if found.span is None:
        return None
    numbers = cells.plain_numbers(texts.to_frame()).to_series()
    if numbers.null_count() > texts.null_count():
        written = cells.written_numbers(texts.str.strip_chars())
        point = mark != ","
        read = written.select(pl.when(pl.col("style").is_not_null()).then(pl.col("point" if point else "comma")))
        numbers = numbers.zip_with(numbers.is_not_null(), read.to_series())
    return numbers.fill_null(float("nan")).to_numpy()


def _variants(values: pl.DataFrame) -> int:
    """Texts that become another's equal without their case, width and spaces."""
    plain = values.select(pl.col("text").str.normalize("NFKC").str.to_lowercase().str.replace_all(r"\s", ""))
    return len(values) - plain.n_unique()


def _picture(type_: Type, values: pl.DataFrame | None, numbers: Floats | None) -> Histogram | Bars | None:
    few = values is not None and len(values) <= _BARS
    if numbers is not None and not few:
        known = numbers[np.isfinite(numbers)]
        return _histogram(known, whole=type_ == "integer") if len(known) else None
    if values is None:
        return None
    shown = values.filter(pl.col("count") >= FEWEST).head(_BARS)
    others = int(values["count"].sum()) - int(shown["count"].sum())
    if numbers is not None:  # in their order; the commonest first otherwise
        shown = shown.sort(pl.col("text").cast(pl.Float64, strict=False), "text")
    return Bars(tuple(shown.iter_rows()), others) if len(shown) else None


def _histogram(numbers: Floats, *, whole: bool) -> Histogram:
    """Up to 24 bins, of whole width for whole numbers; far-off values go into the outermost bins."""
    low, high = float(numbers.min()), float(numbers.max())
    near = np.quantile(numbers, [0.01, 0.99])
    clipped = high - low > 5 * (near[1] - near[0]) > 0
    if clipped:
        margin = 0.25 * float(near[1] - near[0])
        low, high = max(low, float(near[0]) - margin), min(high, float(near[1]) + margin)
    if whole:
        width = max(1.0, np.ceil((high - low + 1) / _BINS))
        low = np.floor(low) - 0.5
        edges = low + width * np.arange(int(np.ceil((high + 0.5 - low) / width)) + 1)
    else:
        edges = np.linspace(low, high if high > low else low + 1, _BINS + 1)
    counts, _ = np.histogram(np.clip(numbers, edges[0], edges[-1]), edges)
    return Histogram(tuple(edges.tolist()), tuple(counts.tolist()), clipped)
