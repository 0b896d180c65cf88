"""Each column of a table: running figures block by block, then what it is, how it is written, and its picture."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dxai.errors import DataError
from dxai.intake import cells
from dxai.intake.cells import Mark
from dxai.intake.describe.record import FEWEST, NUMERIC, TEMPORAL, Bars, ColumnDescription, Histogram, Type
from dxai.units import of_header, understand

Floats = NDArray[np.float64]

MANY = 10_000
"""Different texts of a column that are counted; more are told as more."""

_MOST = 1_000
"""Different units, say, of a column whose figures are held."""

_LONGEST_TOTAL = 20
"""Letters of a text that may name a total; longer ones are not looked at."""

_SETTLED = 500
"""Cells of a block that, when next to none of them is a number or a date, show that the column is text."""

_FRACTION = r"^[+-]?\d*\.\d*(?:[eE][+-]?\d+)?$|^[+-]?\d+[eE]"
_GAPS = ("", *cells.MISSING_TEXTS)

_SHARE = 0.5
"""Known cells that must be numbers or dates for the column to be of them; the others are told as misfits."""

_WORDS = 20
"""Different texts up to which a column of some words and some numbers is one of categories."""

_SERIALS = (20_000, 60_000)
"""Excel's numbers of the days from 1954 to 2064."""

_DATED = re.compile(r"날짜|일자|일시|시각|년월일|측정일|date|time|timestamp|\bday\b", re.IGNORECASE)
_BINS, _BARS = 24, 5


@dataclass(frozen=True)
class Figures:
    """Count of cells, sum and range of their numbers (dates: microseconds since 1970), whether one has a fraction."""

    count: int = 0
    total: float = 0.0
    minimum: float = math.inf
    maximum: float = -math.inf
    fraction: bool = False

    def __add__(self, other: Figures) -> Figures:
        return Figures(
            self.count + other.count, self.total + other.total, min(self.minimum, other.minimum),
            max(self.maximum, other.maximum), self.fraction or other.fraction,
        )  # fmt: skip


_COUNTED = {"text": pl.String, "count": pl.UInt32}
_ROW = {"column": pl.String, "kind": pl.String, "text": pl.String, "count": pl.Int64, "total": pl.Float64}
_ROW |= {"minimum": pl.Float64, "maximum": pl.Float64, "fraction": pl.Boolean}
_TOGETHER = (
    pl.col("count", "total").sum(), pl.col("minimum").min(), pl.col("maximum").max(), pl.col("fraction").any(),
)  # fmt: skip


class Tally:
    """Figures of all columns of a table, block by block, in memory that does not grow with the rows.

    There is one row of figures per column, kind and text. The kinds are: ``number``, its texts being the styles of
    `cells.written_numbers` and ``plain`` as a program writes it; ``date`` by its format; ``gap`` by its text, empty for
    none; ``unit`` behind a number; ``total`` by the text that names one; ``way`` in which a number is written:
    ``full_width``, ``signed`` with another sign than ``-``, ``limit`` instead of a number, ``zeros`` in front.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.rows = 0
        self._columns = [Column(name) for name in names]
        self._figures = pl.DataFrame(schema=_ROW)

    def add(self, block: pl.DataFrame) -> None:
        """Take in one block of text."""
        self.rows += len(block)
        numbers = cells.plain_numbers(block)
        parts = [self._figures, *self._plain(block, numbers)]
        for column in self._columns:
            own = column.add(block[column.name], numbers[column.name].is_not_null())
            parts += [part.select(pl.lit(column.name).alias("column"), pl.all()) for part in own]
        together = pl.concat(parts).group_by("column", "kind", "text").agg(_TOGETHER)
        together = together.sort("count", "text", descending=[True, False])
        self._figures = together.filter(pl.int_range(pl.len()).over("column", "kind") < _MOST)

    def columns(self) -> list[Column]:
        """The columns with all their figures."""
        named = {column.name: column for column in self._columns}
        for name, kind, text, *figures in self._figures.iter_rows():
            named[name].figures.setdefault(kind, {})[text] = Figures(*figures)
        return self._columns

    def _plain(self, block: pl.DataFrame, numbers: pl.DataFrame) -> Iterator[pl.DataFrame]:
        """Figures of the plain numbers, of all columns at once: most tables hold little else."""
        every, names = pl.all(), block.columns
        sums = [every.count(), every.sum(), every.min(), every.max()]
        counts, *figures = (numbers.select(each).row(0) for each in sums)
        fractional = set(self._figures.filter((pl.col("text") == "plain") & pl.col("fraction"))["column"])
        texts = block.select(n for n, count in zip(names, counts, strict=True) if count and n not in fractional)
        fractions = next(iter(texts.select(every.str.contains(_FRACTION).any()).to_dicts()), {})
        yield _rows(names, "number", "plain", counts, *figures, [fractions.get(name, False) for name in names])
        if texts.width:
            zeros = texts.select(every.str.contains(r"^[+-]?0\d+$").sum()).row(0)
            yield _rows(texts.columns, "way", "zeros", zeros, *[[None] * len(zeros)] * 4)


def _rows(names: list[str], kind: str, text: str, *figures: Sequence[object]) -> pl.DataFrame:
    """One row of figures per column."""
    columns = [names, [kind] * len(names), [text] * len(names), *map(list, figures)]
    return pl.DataFrame(columns, schema=_ROW, orient="col").filter(pl.col("count") > 0)


@dataclass
class Column:
    """What the blocks say of a column, and what its figures mean.

    Attributes:
        values: Texts and their counts; None once there are more than `MANY`.
        formats: Of dates, as the first cells that are ones say.
        settled: Whether it is text, in which no numbers or dates are looked for any more.
        figures: By kind and text, the commonest first, see `Tally`; of all blocks, when the last has gone by.
    """

    name: str
    values: pl.DataFrame | None = field(default_factory=lambda: pl.DataFrame(schema=_COUNTED))
    formats: Sequence[str] = ()
    settled: bool = False
    figures: dict[str, dict[str, Figures]] = field(default_factory=dict)

    def add(self, texts: pl.Series, plain: pl.Series) -> list[pl.DataFrame]:
        """Take in the cells of a block; gives the figures of those that are no plain numbers."""
        counted = (texts if self.values is not None else texts.filter(~plain)).alias("text").value_counts(name="count")
        if self.values is not None:
            values = pl.concat([self.values, counted.drop_nulls()]).group_by("text").agg(pl.col("count").sum())
            self.values = values if len(values) <= MANY else None
        others = counted.filter(cells.plain_numbers(counted.select("text")).to_series().is_null())
        if not len(others):
            return []
        others = others.with_columns(pl.col("text").fill_null("").str.strip_chars())
        gap = pl.col("text").is_in(_GAPS)
        known = others.filter(~gap)
        short = known.filter((pl.col("text").str.len_chars() <= _LONGEST_TOTAL) & ~pl.col("text").str.contains(r"\d"))
        parts = [("gap", others.filter(gap)), ("total", short.filter(cells.is_total(short["text"])))]
        if len(known) and not self.settled:
            read = list(self._read(known))
            parts += read
            many = int(known["count"].sum())
            self.settled = many >= _SETTLED and sum(int(part["count"].sum()) for _, part in read) < 0.05 * many
        return [_figures(kind, part) for kind, part in parts if len(part)]

    def _read(self, known: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame]]:
        """Cells by what they may be: dates, numbers in other styles, limits."""
        if not self.formats:
            first = known["text"].head(2 * _SETTLED)
            written = cells.written_numbers(first)
            self.formats = cells.date_formats(first.filter(written["style"].is_null() & ~written["limit"]))
        read = pl.repeat(False, len(known), eager=True)
        for each in self.formats:
            value = cells.dates(known["text"], each).dt.epoch("us").cast(pl.Float64).alias("value")
            yield "date", known.select("count", value, text=pl.lit(each)).drop_nulls()
            read |= value.is_not_null()
        rest = known.filter(~read)
        written = rest.hstack(cells.written_numbers(rest["text"]))
        numbers = written.drop_nulls("style")
        fraction = (pl.col("style") == "comma") | (pl.col("value") != pl.col("value").floor())
        yield "number", numbers.select("count", "value", text="style", fraction=fraction)
        yield "unit", numbers.select("count", text="unit").drop_nulls()
        for way, part in (("full_width", numbers), ("signed", numbers), ("limit", written)):
            yield "way", part.filter(way).select("count", text=pl.lit(way))

    def counts(self, kind: str) -> dict[str, int]:
        """Cells by text, the commonest first."""
        return {text: figures.count for text, figures in self.figures.get(kind, {}).items()}

    def styled(self, *styles: str) -> Figures:
        """The numbers of several styles together."""
        numbers = self.figures.get("number", {})
        return sum((numbers[style] for style in styles if style in numbers), Figures())

    def numbers(self, mark: Mark) -> Figures:
        """All numbers; those with a unit only where it is one, so that ``3호기`` stays a text."""
        if (units := self.counts("unit")) and not _understood(next(iter(units))):
            return self.styled("plain")  # with other signs, too, where a unit is none: they are told as misfits
        either = self.styled("either")
        if mark == ",":  # 1,234 is then less than two
            ends = (either.minimum / 1000, either.maximum / 1000)
            either = Figures(either.count, either.total / 1000, *ends, either.fraction)
        return self.styled("plain", "point", "grouped", "comma") + either

    @cached_property
    def distinct(self) -> pl.DataFrame | None:
        """Different texts and their counts without gaps, the commonest first; None where there are too many."""
        if self.values is None:
            return None
        known = self.values.filter(~pl.col("text").str.strip_chars().is_in(_GAPS))
        return known.sort("count", "text", descending=[True, False])

    @property
    def whole(self) -> bool:
        """Whether all numbers are whole."""
        return not any(figures.fraction for figures in self.figures.get("number", {}).values())

    @property
    def mark(self) -> Mark:
        """The decimal mark that its own cells show."""
        comma, grouped = self.styled("comma").count, self.styled("grouped").count
        if comma > grouped:
            return ","
        return "." if grouped or self.styled("plain").fraction else ""

    def shown_mark(self, mark: Mark) -> Mark:
        """The decimal mark of the table where cells of this column can be read by it."""
        return mark if self.mark or (mark == "," and self.styled("either").count) else ""


def _figures(kind: str, counted: pl.DataFrame) -> pl.DataFrame:
    """Figures of cells by their text; of numbers and dates with their value."""
    value = pl.col("value") if "value" in counted.columns else pl.lit(None, pl.Float64)
    fraction = pl.col("fraction") if "fraction" in counted.columns else pl.lit(False)
    count = pl.col("count").cast(pl.Int64)
    rows = counted.select("text", count, total=value * count, minimum=value, maximum=value, fraction=fraction)
    return rows.group_by("text").agg(_TOGETHER).select(pl.lit(kind).alias("kind"), pl.all())


@dataclass(frozen=True)
class Profile:
    """A column's description and its sampled cells as numbers (dates: seconds since 1970); NaN is none."""

    description: ColumnDescription
    values: Floats | None


def decimal_mark(columns: Iterable[Column]) -> Mark:
    """The mark of the whole table, for columns of which ``1,234`` could be either."""
    marks = {column.mark for column in columns}
    return "," if "," in marks and "." not in marks else "."


def profile(column: Column, rows: int, texts: pl.Series, table_mark: Mark) -> Profile:
    """Describe one column by its figures and its sampled cells."""
    mark = column.mark or table_mark
    gaps, ways = column.counts("gap"), column.counts("way")
    known = rows - sum(gaps.values())
    type_, found, formats = _type(column, known, texts, mark)
    numeric, temporal, distinct = type_ in NUMERIC, type_ in TEMPORAL, column.distinct
    limits = ways.get("limit", 0) if numeric else 0
    read = found.count + limits
    values = _values(texts, formats[0] if temporal else "", mark) if read else None
    title, unit_text = of_header(column.name)
    units = [unit for unit in list(column.counts("unit").items())[:5] if numeric and _understood(unit[0])]
    unit_text = unit_text or (units[0][0] if units else "")
    ends = (found.minimum, found.maximum) if found.count else (None, None)
    commas = column.styled("grouped", "either").count if numeric and mark != "," else 0
    both = column.styled("plain").fraction or column.styled("grouped").count > 0
    description = ColumnDescription(
        name=column.name, type=type_, rows=rows, title=title or column.name, unit_text=unit_text,
        unit=_understood(unit_text), missing=gaps.pop("", 0), missing_texts=tuple(gaps.items()),
        misfits=known - read if read else 0,
        minimum=_moment(ends[0]) if temporal else ends[0], maximum=_moment(ends[1]) if temporal else ends[1],
        mean=found.total / found.count if numeric and found.count else None,
        distinct=None if distinct is None else len(distinct),
        frequent=() if distinct is None else _frequent(distinct, 10), date_formats=formats,
        decimal_mark=column.shown_mark(mark) if numeric else "", thousands="," if commas else "",
        mixed_marks=numeric and both and column.styled("comma").count > 0,
        leading_zeros=ways.get("zeros", 0) if not numeric and column.whole else 0,
        full_width=ways.get("full_width", 0) if numeric else 0, cell_units=tuple(units),
        signed=ways.get("signed", 0) if numeric else 0, censored=limits,
        long_code=not temporal and _long(column, column.numbers(mark)), totals=_totals(column, known),
        variants=_variants(distinct) if type_ in ("category", "boolean") and distinct is not None else 0,
        picture=_picture(type_, distinct, values),
    )  # fmt: skip
    return Profile(description, values)


def _totals(column: Column, known: int) -> tuple[tuple[str, int], ...]:
    """Texts that name totals, where they are few: where they are many they name something else."""
    found = column.counts("total")
    return tuple(found.items()) if 4 * sum(found.values()) <= known else ()


def _type(column: Column, known: int, texts: pl.Series, mark: Mark) -> tuple[Type, Figures, tuple[str, ...]]:
    """What the cells of a column are; of numbers and dates the figures, of dates the formats."""
    numbers, limits = column.numbers(mark), column.counts("way").get("limit", 0)
    if not known:
        return "empty", Figures(), ()
    words = column.distinct is not None and len(column.distinct) <= _WORDS and not limits
    read = numbers.count + limits
    numeric = read >= _SHARE * known and (read == known or not words)
    code = column.whole and "zeros" in column.counts("way") and 2 * numbers.count >= known
    long = _long(column, numbers)
    if (long or (numeric and not code)) and (dates := _digit_dates(column, texts, numbers)):
        return dates
    if numeric and not long and not code:
        return _number_type(column, mark), numbers, ()
    dated = column.figures.get("date", {})
    best = max((dates.count for dates in dated.values()), default=0)
    if best >= _SHARE * known and not long and not code:
        formats = tuple(each for each in cells.DATE_FORMATS if each in dated and dated[each].count == best)
        return _date_type(formats[0]), dated[formats[0]], formats
    return _text_type(column, known), Figures(), ()


def _long(column: Column, numbers: Figures) -> bool:
    """Whether it holds whole numbers of more digits than a float keeps."""
    return column.whole and numbers.count > 0 and max(abs(numbers.minimum), abs(numbers.maximum)) >= cells.LONG


def _number_type(column: Column, mark: Mark) -> Type:
    if column.distinct is not None and set(column.distinct["text"]) in ({"0", "1"}, {"0.0", "1.0"}):
        return "boolean"
    return "integer" if column.whole and column.shown_mark(mark) != "," else "number"


def _digit_dates(column: Column, texts: pl.Series, numbers: Figures) -> tuple[Type, Figures, tuple[str, ...]] | None:
    """Dates such as 20260131, where every sampled cell is one, or as Excel counts them, where the header says so."""
    low, high = numbers.minimum, numbers.maximum
    if low == high or not numbers.count:
        return None
    if _SERIALS[0] <= low < high <= _SERIALS[1] and _DATED.search(column.name):
        first, last = cells.dates(pl.Series([str(low), str(high)]), cells.SERIAL).dt.epoch("us")
        return "date" if column.whole else "timestamp", Figures(numbers.count, 0.0, first, last), (cells.SERIAL,)
    lowest, highest = f"{low:.0f}", f"{high:.0f}"
    if not column.whole or len(highest) != len(lowest) or not "1950" <= lowest[:4] <= highest[:4] <= "2049":
        return None
    known = texts.fill_null("").str.strip_chars()
    known = known.filter(~known.is_in(_GAPS))
    for written in cells.DIGIT_FORMATS.get(len(lowest), ()):
        first, last = cells.dates(pl.Series([lowest, highest]), written).dt.epoch("us")
        if first is not None and last is not None and not cells.dates(known, written).null_count():
            return _date_type(written), Figures(numbers.count, 0.0, first, last), (written,)
    return None


def _date_type(written: str) -> Type:
    return "timestamp" if cells.has_time(written) else "date"


def _text_type(column: Column, known: int) -> Type:
    if column.distinct is None:
        return "text"
    if frozenset(column.distinct["text"].str.to_lowercase()) in cells.BOOLEANS:
        return "boolean"
    return "category" if 2 * len(column.distinct) <= known else "text"


def _moment(microseconds: float | None) -> datetime | None:
    return None if microseconds is None else datetime(1970, 1, 1) + timedelta(microseconds=microseconds)


def _frequent(values: pl.DataFrame, most: int) -> tuple[tuple[str, int], ...]:
    return tuple(values.filter(pl.col("count") >= FEWEST).head(most).iter_rows())


def _understood(unit_text: str) -> str:
    try:
        return understand(unit_text) if unit_text else ""
    except DataError:
        return ""


def _values(texts: pl.Series, date_format: str, mark: Mark) -> Floats:
    """Cells as numbers, of dates the seconds since 1970; NaN is none."""
    if date_format:
        return cells.dates(texts.str.strip_chars(), date_format).dt.epoch("s").cast(pl.Float64).to_numpy()
    numbers = cells.plain_numbers(texts.to_frame()).to_series()
    if numbers.null_count() > texts.null_count():
        written = cells.written_numbers(texts.str.strip_chars(), mark)
        numbers = numbers.zip_with(numbers.is_not_null(), written["value"])
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
