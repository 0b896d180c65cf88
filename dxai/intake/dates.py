"""Dates as a firm writes them: read by their format, in the contract's time zone, moved to the end of their period."""

from __future__ import annotations

from typing import TypeVar

import polars as pl

from dxai.contract import Frequency
from dxai.intake import cells

_STEP_HOURS: dict[Frequency, tuple[int, int]] = {
    "hourly": (1, 1), "daily": (24, 24), "weekly": (168, 168), "monthly": (28 * 24, 31 * 24),
    "quarterly": (90 * 24, 92 * 24), "yearly": (365 * 24, 366 * 24),
}  # fmt: skip
_PERIODS: dict[Frequency, str] = {"monthly": "1mo", "quarterly": "1q", "yearly": "1y"}
_FEWEST_STEPS = 8
_Dates = TypeVar("_Dates", pl.Series, pl.Expr)


def has_offset(written: str) -> bool:
    """Whether the format tells how far a clock is from UTC.

    >>> has_offset("%Y-%m-%dT%H:%M:%S%z"), has_offset("%Y-%m-%dT%H:%M:%SZ"), has_offset("%Y-%m-%d")
    (True, True, False)
    """
    return "%z" in written or written.endswith("Z")


def read_dates(texts: pl.Series, written: str, zone: str = "") -> pl.Series:
    """Instants written in this format, on the clock of ``zone`` where they carry an offset; null for other texts."""
    read = cells.dates(texts, written)
    if has_offset(written) and zone:
        read = read.dt.replace_time_zone("UTC").dt.convert_time_zone(zone).dt.replace_time_zone(None)
    return read


def names_period(written: str) -> bool:
    """Whether the format names a month or a week, not a day."""
    return "%d" not in written and written != cells.SERIAL


def period_end(dates: pl.Series, frequency: Frequency | None) -> pl.Series:
    """Last day of each date's month, quarter or year, which a demand table is dated by; other dates as they are."""
    every = _PERIODS.get(frequency) if frequency else None
    return dates.dt.truncate(every).dt.offset_by(every).dt.offset_by("-1d") if every else dates


def week_end(dates: _Dates) -> _Dates:
    """Sunday of the week of each date."""
    return dates.dt.truncate("1w").dt.offset_by("6d")


def begins_period(dates: pl.Series, frequency: Frequency | None) -> pl.Series:
    """Whether each date is the first day of its month, quarter or year."""
    every = _PERIODS.get(frequency) if frequency else None
    return dates == dates.dt.truncate(every) if every else pl.repeat(False, len(dates), eager=True)


def frequency_of(dates: pl.Series) -> Frequency | None:
    """The step between most neighbouring dates; None where they keep to none."""
    apart = dates.drop_nulls().cast(pl.Datetime("us")).unique().sort().diff().drop_nulls()
    if not len(apart):
        return None
    hours = apart.dt.total_seconds() / 3600
    for frequency, (least, most) in _STEP_HOURS.items():
        if hours.is_between(least, most).mean() > 0.5:  # type: ignore[operator]
            return frequency
    return None


def step(dates: pl.Series) -> str:
    """The commonest distance of neighbouring dates, in words.

    >>> from datetime import date
    >>> step(pl.Series([date(2024, 1, day) for day in range(1, 9)]))
    '1 day'
    """
    apart = dates.drop_nulls().unique().sort().diff().drop_nulls().cast(pl.Duration("us")).mode().min()
    if apart is None:
        return "nothing"
    hours = apart.total_seconds() / 3600  # type: ignore[union-attr]
    count, name = (hours / 24, "day") if hours >= 24 else (hours, "hour") if hours >= 1 else (hours * 60, "minute")
    return f"{count:g} {name}" + ("" if count == 1 else "s")


def dated_headers(headers: list[str]) -> tuple[str, list[str]] | None:
    """The one format in which most of these headers are dates, and those that are; None where fewer than eight are.

    A few other columns, such as the name of a series, do not count: at least eight headers must be dates.
    """
    names = pl.Series(headers, dtype=pl.String)
    likely = names.filter(names.str.contains(r"\d") & ~names.str.contains(r"^\d{1,5}$"))
    digits = [
        text for length, own in cells.DIGIT_FORMATS.items() if (likely.str.len_chars() == length).any() for text in own
    ]
    formats = cells.date_formats(likely, (*cells.DATE_FORMATS, *digits)) if len(likely) >= _FEWEST_STEPS else []
    found = [(written, names.filter(cells.dates(names, written).is_not_null()).to_list()) for written in formats]
    best = max(found, key=lambda each: len(each[1]), default=None)
    return best if best is not None and len(best[1]) >= _FEWEST_STEPS else None
