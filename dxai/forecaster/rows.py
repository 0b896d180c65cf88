"""Blocks of a firm's table to its dated values: a few bytes a row, whatever the file is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import time

import polars as pl

from dxai.data.tables import as_text
from dxai.errors import DataError, bullet_list
from dxai.forecaster.columns import Columns, read_dates
from dxai.intake import cells

_CODE = "\0code"
_CELLS = 2_000_000
"""Of a table with a column per step that are taken at once."""
_EXAMPLES = 3
_GAPS = ("", *cells.MISSING_TEXTS)


@dataclass
class _Problem:
    """Cells of one column that cannot be used."""

    said: str
    count: int = 0
    examples: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.count:,} {self.said}: {', '.join(self.examples)}{' …' if self.count > _EXAMPLES else ''}"


@dataclass(frozen=True)
class Dated:
    """All values of a table.

    Attributes:
        ids: One row per series, in the order of the file; without columns where the table is one series.
        table: ``code`` (row of ``ids``), ``day`` (since 1970-01-01), ``minute`` of the day and ``value``,
            without gaps.
        clock: Whether a date tells a time of day.
        gaps: Rows without a value.
        empty: Series without any value.
    """

    ids: pl.DataFrame
    table: pl.DataFrame
    clock: bool
    gaps: int
    empty: int


class DatedValues:
    """Takes in the blocks of one table.

    Args:
        columns: Of the table.
        first_row: Number of its first row in the file, for messages.
    """

    def __init__(self, columns: Columns, first_row: int = 2) -> None:
        self.columns, self._row = columns, first_row
        self._ids = pl.DataFrame(schema=dict.fromkeys(columns.series, pl.String) | {_CODE: pl.UInt32})
        schema = {"code": pl.UInt32, "day": pl.Int32, "minute": pl.Int16, "value": pl.Float32}
        self._parts = [pl.DataFrame(schema=schema)]
        self._clock, self._gaps, self._problems = False, 0, dict[str, _Problem]()

    def add(self, block: pl.DataFrame) -> None:
        """The next rows."""
        for part in self._long(block):
            self._add(part)

    def collected(self, where: str) -> Dated:
        """Everything that was taken in.

        Raises:
            DataError: Dates, values or names of series that cannot be read; or there is no value at all.
        """
        if self._problems:
            raise DataError(
                bullet_list(map(str, self._problems.values())), where=where,
                fix="Correct these cells, or name other columns: --time, --value, --series.",
            )  # fmt: skip
        table = pl.concat(self._parts)
        if not len(table):
            told = f"The column {self.columns.value!r} has no value in any dated row."
            raise DataError(told, where=where, fix="Name the column of values: --value COLUMN.")
        kept = table["code"].unique().sort()
        empty = max(len(self._ids), 1) - len(kept)
        ids = self._ids.drop(_CODE)[kept] if self.columns.series else pl.DataFrame()
        if empty:
            codes = pl.int_range(len(kept), dtype=pl.UInt32, eager=True)
            table = table.with_columns(pl.col("code").replace_strict(kept, codes, return_dtype=pl.UInt32))
        return Dated(ids, table, self._clock, self._gaps, empty)

    def _long(self, block: pl.DataFrame) -> Iterator[pl.DataFrame]:
        """Text with a row per step, and the row in the file."""
        c = self.columns
        used = [*c.series, *(c.steps or (c.time, c.value))]
        for part in block.iter_slices(max(1, _CELLS // max(1, len(c.steps)))) if len(block) else ():
            text = as_text(part.select(used)).with_columns(pl.all().str.strip_chars())
            text = text.with_columns(pl.int_range(self._row, self._row + len(part)).alias(_CODE))
            self._row += len(part)
            if c.steps:
                text = text.unpivot(on=c.steps, index=[*c.series, _CODE], variable_name=c.time, value_name=c.value)
            yield text

    def _add(self, text: pl.DataFrame) -> None:
        c, rows = self.columns, text[_CODE]
        written = text[c.time].set(text[c.time] == "", None)
        number = self._numbers(text[c.value], rows)
        known = number.is_not_null()
        instants = self._instants(written)
        self._tell(f"dates of {c.time!r} that cannot be read", written.is_not_null() & instants.is_null(),
                   written, rows)  # fmt: skip
        self._tell(f"values without a date in {c.time!r}", written.is_null() & known, text[c.value], rows)
        for name in c.series:
            nameless = (text[name].is_null() | (text[name] == "")).fill_null(True)
            self._tell(f"values without a {name!r}", nameless & known, text[c.value], rows)
        if self._problems:
            return  # the rest is only read for more of them
        self._clock = self._clock or bool((instants.dt.time() != time()).any())
        codes = self._codes(text)
        days = instants.dt.date().cast(pl.Int32)
        minutes = instants.dt.hour().cast(pl.Int16) * 60 + instants.dt.minute().cast(pl.Int16)
        dated = pl.DataFrame({"code": codes, "day": days, "minute": minutes, "value": number.cast(pl.Float32)})
        self._gaps += int((instants.is_not_null() & ~known).sum())
        self._parts.append(dated.drop_nulls())

    def _instants(self, written: pl.Series) -> pl.Series:
        """Each different text is read once."""
        texts = written.drop_nulls().unique()
        if not len(texts):
            return pl.Series([None] * len(written), dtype=pl.Datetime("us"))
        read = read_dates(texts, self.columns.written).cast(pl.Datetime("us"))
        return written.replace_strict(texts, read, default=None, return_dtype=pl.Datetime("us"))

    def _numbers(self, texts: pl.Series, rows: pl.Series) -> pl.Series:
        plain = cells.plain_numbers(pl.DataFrame({"text": texts}))["text"]
        odd = plain.is_null() & texts.is_not_null() & ~texts.is_in(_GAPS)
        if not odd.any():
            return plain
        read = cells.written_numbers(texts.filter(odd), self.columns.mark)["value"]
        numbers = plain.scatter(odd.arg_true(), read)
        self._tell(f"texts of {self.columns.value!r} that are no numbers", odd & numbers.is_null(), texts, rows)
        return numbers

    def _codes(self, text: pl.DataFrame) -> pl.Series:
        """Number of each row's series, in the order in which they are met."""
        series = self.columns.series
        if not series:
            return pl.repeat(0, len(text), dtype=pl.UInt32, eager=True)
        keys = text.select(series)
        new = keys.unique(maintain_order=True).join(self._ids, on=series, how="anti", maintain_order="left")
        start = len(self._ids)
        numbered = new.with_columns(pl.int_range(start, start + len(new), dtype=pl.UInt32).alias(_CODE))
        self._ids = pl.concat([self._ids, numbered])
        return keys.join(self._ids, on=series, how="left", maintain_order="left")[_CODE]

    def _tell(self, said: str, marked: pl.Series, texts: pl.Series, rows: pl.Series) -> None:
        if not (count := int(marked.sum())):
            return
        problem = self._problems.setdefault(said, _Problem(said))
        first: Iterable[int] = marked.arg_true().head(max(0, _EXAMPLES - len(problem.examples))).to_list()
        problem.examples += [f"row {rows[i]}: {str(texts[i])[:40]!r}" for i in first]
        problem.count += count
