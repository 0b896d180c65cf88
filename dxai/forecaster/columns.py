"""Which columns of a firm's table are the time, the value and the name of a series: as named, else as they look."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace

import polars as pl

from dxai.errors import DataError, NotFoundError, SettingsError, nearest
from dxai.intake import cells
from dxai.intake.cells import Mark
from dxai.intake.dates import dated_headers, frequency_of
from dxai.intake.describe import describe, header_of
from dxai.intake.describe.record import ColumnDescription

QUARTER = "quarter"
"""In place of a date format: 2024-Q1, 1Q 2024, 2024년 1분기."""
_QUARTERS = (r"^(\d{4})\s*[-./년]?\s*[Qq]([1-4])$", r"^(\d{4})\s*[-./년]?\s*([1-4])\s*(?:[Qq]|/4|분기|사분기)$")
_QUARTERS_FIRST = (r"^(?:[Qq]([1-4])|([1-4])[Qq])\s*[-./]?\s*(\d{4})$",)
YEAR = "year"
"""The same of years alone: 2024, 2024년. Only a column that a person named: other numbers look like them."""
_YEAR = r"^((?:19|20)\d\d)\s*(?:년도?)?$"
_SHOWN = 8
"""Columns named in a message."""


@dataclass(frozen=True)
class Wanted:
    """Columns that a person named; empty: they are guessed."""

    series: tuple[str, ...] = ()
    time: str = ""
    value: str = ""


@dataclass(frozen=True)
class Columns:
    """Where things stand in a table.

    Attributes:
        series: Columns that together name a series; none: the table is one series.
        time, value: Headers; of a table with a column per step the names that they get.
        written: Format of the dates, or `QUARTER` or `YEAR`.
        mark: Decimal mark of numbers that can be read in two ways.
        steps: Headers that are dates, of a table with a column per step.
        said: What was guessed, for a person.
    """

    series: tuple[str, ...]
    time: str
    value: str
    written: str
    mark: Mark = "."
    steps: tuple[str, ...] = ()
    said: tuple[str, ...] = ()


def columns_of(sample: pl.DataFrame, wanted: Wanted, where: str) -> Columns:
    """Find the columns.

    Args:
        sample: First rows of the table as text.
        wanted: What a person named.
        where: The table, for messages.

    Raises:
        NotFoundError: A named column is not there.
        SettingsError: A column cannot be guessed.
        DataError: No column holds dates, or the named one does not.
    """
    names = sample.columns
    wanted = replace(
        wanted, series=tuple(header_of(name, names) for name in wanted.series),
        time=header_of(wanted.time, names), value=header_of(wanted.value, names),
    )  # fmt: skip
    wide = None if wanted.time in names else dated_headers(names)
    _refuse_unknown((*wanted.series, *(() if wide else (wanted.time, wanted.value))), names, where)
    seen = {column.name: column for column in describe([sample], where=where).columns}
    return _wide(sample, seen, wanted, wide) if wide else _long(sample, seen, wanted, where)


def read_dates(texts: pl.Series, written: str) -> pl.Series:
    """Instants of texts in this format, the first day where a text names a period; null for others."""
    if written not in (QUARTER, YEAR):
        return cells.dates(texts, written)
    text = pl.col("text").str.strip_chars()
    if written == YEAR:
        number = text.str.extract(_YEAR, 1).cast(pl.Int32)
        return pl.DataFrame({"text": texts}).select(pl.datetime(number, 1, 1)).to_series()
    year = pl.coalesce(
        *(text.str.extract(way, 1) for way in _QUARTERS), *(text.str.extract(way, 3) for way in _QUARTERS_FIRST)
    )
    number = pl.coalesce(
        *(text.str.extract(way, 2) for way in _QUARTERS),
        *(text.str.extract(way, group) for way in _QUARTERS_FIRST for group in (1, 2)),
    )
    month = number.cast(pl.Int32) * 3 - 2
    return pl.DataFrame({"text": texts}).select(pl.datetime(year.cast(pl.Int32), month, 1)).to_series()


# --- one row per step -------------------------------------------------------------------------------------------------


def _long(sample: pl.DataFrame, seen: dict[str, ColumnDescription], wanted: Wanted, where: str) -> Columns:
    formats = {name: _formats(sample[name], seen[name]) for name in sample.columns if name not in wanted.series}
    time = wanted.time or _only(
        [name for name, found in formats.items() if found], "dates", "--time", sample.columns, where
    )
    written = _format(sample[time], formats.get(time) or _formats(sample[time], seen[time], asked=True), time, where)
    numbers = [name for name in _of_type(seen, "integer", "number") if name != time and name not in wanted.series]
    numbers = numbers or [name for name in _of_type(seen, "boolean") if name not in (time, *wanted.series)]
    value = wanted.value or _only(numbers, "numbers", "--value", sample.columns, where)
    texts = [name for name in _of_type(seen, "category", "text") if name not in (time, value)]
    series = wanted.series or _naming(sample, texts, time)
    said: tuple[str, ...] = () if wanted.time and wanted.value and wanted.series else (_guess(series, time, value),)
    if len(formats.get(time) or ()) > 1:
        said += (f"dates read as {_in_words(written)}",)
    return Columns(series, time, value, written, seen[value].decimal_mark or ".", said=said)


def _formats(texts: pl.Series, seen: ColumnDescription, *, asked: bool = False) -> list[str]:
    """Date formats of a column; one that a person named is looked at more closely."""
    if seen.type in ("date", "timestamp"):
        return list(seen.date_formats)
    known = texts.drop_nulls().unique(maintain_order=True).head(1000)
    if not len(known):
        return []
    if read_dates(known, QUARTER).is_not_null().mean() > 0.5:  # type: ignore[operator]
        return [QUARTER]
    if not asked:
        return []
    if read_dates(known, YEAR).is_not_null().all():
        return [YEAR]
    digits = [each for own in cells.DIGIT_FORMATS.values() for each in own]
    return cells.date_formats(known, (*cells.DATE_FORMATS, *digits, cells.SERIAL))


def _format(texts: pl.Series, formats: Sequence[str], name: str, where: str) -> str:
    """Of several formats that fit (01/02/2024), the one whose dates keep to a step."""
    if not formats:
        examples = ", ".join(map(repr, texts.drop_nulls().head(3).to_list())) or "nothing"
        fix = "Name the column of dates: --time COLUMN. Dates look like 2024-01-31, 2024-01, 2024-W05, 2024-Q1 or 2024."
        raise DataError(f"The column {name!r} holds no dates that can be read: {examples}.", where=where, fix=fix)
    stepped = (each for each in formats if frequency_of(read_dates(texts, each)))
    return formats[0] if len(formats) == 1 else next(stepped, formats[0])


def _naming(sample: pl.DataFrame, texts: Sequence[str], time: str) -> tuple[str, ...]:
    """The fewest text columns, from the left, that tell apart rows of one date."""
    rows = sample.filter(pl.col(time).is_not_null())
    chosen: tuple[str, ...] = ()
    distinct = rows[time].n_unique()
    for name in texts:
        if distinct == len(rows):
            break
        more = rows.select(time, *chosen, name).n_unique()
        if more > distinct:
            chosen, distinct = (*chosen, name), more
    return chosen


def _only(found: Sequence[str], kind: str, option: str, names: Sequence[str], where: str) -> str:
    if len(found) == 1:
        return found[0]
    if not found:
        fix = f"Name it: {option} COLUMN. The columns are: {_listed(names)}."
        raise DataError(f"No column holds {kind}.", where=where, fix=fix)
    told = f"Several columns hold {kind}: {_listed(found)}."
    raise SettingsError(told, where=where, fix=f"Name one, such as {option} {shlex.quote(found[0])}")


def _of_type(seen: dict[str, ColumnDescription], *types: str) -> list[str]:
    return [name for name, column in seen.items() if column.type in types and not column.long_code]


# --- one column per step ----------------------------------------------------------------------------------------------


def _wide(
    sample: pl.DataFrame, seen: dict[str, ColumnDescription], wanted: Wanted, wide: tuple[str, list[str]]
) -> Columns:
    written, steps = wide
    others = [name for name in sample.columns if name not in steps]
    texts = [name for name in others if seen[name].type in ("category", "text")]
    series = wanted.series or _naming(sample.with_columns(pl.lit("").alias("\0")), texts, "\0") or tuple(others[:1])
    if len(sample) == 1 and not wanted.series:
        series = tuple(texts)
    taken = set(sample.columns)
    time, value = (
        name if name not in taken else f"{name}_" for name in (wanted.time or "date", wanted.value or "value")
    )
    mark: Mark = next((seen[name].decimal_mark for name in steps if seen[name].decimal_mark), ".")
    said = f"{len(steps)} columns are steps of time, {steps[0]} to {steps[-1]}; {_guess(series, time, value)}"
    return Columns(series, time, value, written, mark, tuple(steps), (said,))


# --- words ------------------------------------------------------------------------------------------------------------


def _guess(series: Sequence[str], time: str, value: str) -> str:
    named = " / ".join(series) if series else "none, the table is one"
    return f"columns: time {time!r}, value {value!r}, series {named if not series else repr(named)}"


def _in_words(written: str) -> str:
    names = {"%d": "day", "%m": "month", "%b": "month", "%Y": "year", "%y": "year"}
    order = sorted((written.find(mark), name) for mark, name in names.items() if mark in written)
    return ", ".join(name for _, name in order) or written


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(map(repr, names[:_SHOWN])) + more


def _refuse_unknown(headers: Sequence[str], names: Sequence[str], where: str) -> None:
    for header in headers:
        if header and header not in names:
            hint = nearest(header, names)
            fix = f"Did you mean {hint!r}?" if hint else f"The columns are: {_listed(names)}."
            raise NotFoundError(f"The file has no column {header!r}.", where=where, fix=fix)
