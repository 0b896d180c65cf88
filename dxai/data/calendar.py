"""Public holidays: a column of the contract that the calendar of a country fills where a table has no value."""

from __future__ import annotations

from datetime import date

import polars as pl

from dxai.contract import Contract


def with_holidays(typed: pl.DataFrame, contract: Contract) -> pl.DataFrame:
    """The same table with 1 on public holidays and 0 on other days, in columns of a calendar where there is no value.

    Lunar days, their neighbours and substitute days count as the law of the day has them. A row without a date stays
    without a value.

    Args:
        typed: Rows of the contract; the column may be absent.
        contract: Which columns have a calendar, and which one holds the time.
    """
    columns = [column for column in contract.columns if column.holiday]
    times = [column.name for column in contract.columns if column.role == "time" and column.name in typed.columns]
    if not columns or not times:
        return typed
    dates = typed[times[0]].cast(pl.Date)
    for column in columns:
        filled = _holidays(dates, column.holiday).alias(column.name)
        there = column.name in typed.columns
        typed = typed.with_columns(typed[column.name].fill_null(filled) if there else filled)
    return typed.select(name for name in contract.names if name in typed.columns)


def _holidays(dates: pl.Series, country: str) -> pl.Series:
    known = dates.drop_nulls()
    if known.is_empty():
        return pl.repeat(None, len(dates), dtype=pl.Float64, eager=True)
    first, last = known.dt.year().min(), known.dt.year().max()
    days = holidays_of(country, int(first), int(last))  # type: ignore[arg-type]
    return dates.is_in(pl.Series(days, dtype=pl.Date).implode()).cast(pl.Float64)


def holidays_of(country: str, first: int, last: int) -> list[date]:
    """Public holidays of some years, the last one included."""
    import holidays

    return sorted(holidays.country_holidays(country, years=range(first, last + 1)))
