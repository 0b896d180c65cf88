"""Dates as a firm writes them: read by their format, in the contract's time zone, moved to the end of their period."""

from __future__ import annotations

import polars as pl

from dxai.contract import Frequency
from dxai.intake.describe import cells

_STEP_DAYS: dict[Frequency, tuple[int, int]] = {"weekly": (7, 7), "monthly": (28, 31), "quarterly": (90, 92)}
SEASONS: dict[Frequency, int] = {"weekly": 52, "monthly": 12, "quarterly": 4}
"""Steps of a year."""

_FEWEST_STEPS = 8


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
    """Whether the format names a month, not a day."""
    return "%d" not in written


def period_end(dates: pl.Series, frequency: Frequency | None) -> pl.Series:
    """Last day of the month or quarter of each date, which a demand table is dated by; other dates as they are."""
    if frequency == "monthly":
        return dates.dt.month_end()
    if frequency == "quarterly":
        return dates.dt.truncate("1q").dt.offset_by("1q").dt.offset_by("-1d")
    return dates


def begins_period(dates: pl.Series, frequency: Frequency | None) -> pl.Series:
    """Whether each date is the first day of its month or quarter."""
    every = {"monthly": "1mo", "quarterly": "1q"}.get(frequency or "")
    return dates == dates.dt.truncate(every) if every else pl.repeat(False, len(dates), eager=True)


def frequency_of(dates: pl.Series) -> Frequency | None:
    """The step between most neighbouring dates; None where they keep to none."""
    days = dates.drop_nulls().unique().sort().dt.date().diff().dt.total_days().drop_nulls()
    if not len(days):
        return None
    for frequency, (least, most) in _STEP_DAYS.items():
        if days.is_between(least, most).mean() > 0.5:  # type: ignore[operator]
            return frequency
    return None


def dated_headers(headers: list[str]) -> tuple[str, list[str]] | None:
    """The one format in which most of these headers are dates, and those that are; None where fewer than eight are.

    A few other columns, such as the name of a series, do not count: at least eight headers must be dates.
    """
    names = pl.Series(headers, dtype=pl.String)
    likely = names.filter(names.str.contains(r"\d") & ~names.str.contains(r"^\d{1,5}$"))
    digits = [text for length, text in cells.DIGIT_FORMATS.items() if (likely.str.len_chars() == length).any()]
    formats = cells.date_formats(likely, (*cells.DATE_FORMATS, *digits)) if len(likely) >= _FEWEST_STEPS else []
    found = [(written, names.filter(cells.dates(names, written).is_not_null()).to_list()) for written in formats]
    best = max(found, key=lambda each: len(each[1]), default=None)
    return best if best is not None and len(best[1]) >= _FEWEST_STEPS else None
