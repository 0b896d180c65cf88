"""Steps of a demand table on the calendar, counted since 1970-01-01: in days, or in hours where steps are hours.

Hours are those of the contract's clock, as the file has them: one that is left out or comes twice when clocks change is
a step without a row, or a repeated one.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import polars as pl

from dxai.contract import Frequency
from dxai.errors import DataError

YEAR = 365.2425
"""Days, on average."""
LENGTHS: dict[Frequency, float] = {
    "hourly": 1.0, "daily": 1.0, "weekly": 7.0, "monthly": YEAR / 12, "quarterly": YEAR / 4, "yearly": YEAR,
}  # fmt: skip
"""Mean length of one step, in its clock's unit."""
SEASONS: dict[Frequency, int] = {"hourly": 24, "daily": 7, "weekly": 52, "monthly": 12, "quarterly": 4, "yearly": 1}
"""Steps after which demand is likely to repeat itself."""

UNITS: dict[Frequency, int] = {"hourly": 1, "daily": 1, "weekly": 7}
"""Of a step, in its clock's unit; other steps are as long as their `MONTHS`."""
MONTHS: dict[Frequency, int] = {"monthly": 1, "quarterly": 3, "yearly": 12}
_GRIDS: dict[Frequency, str] = {
    "hourly": "full hours", "daily": "days", "weekly": "one weekday", "monthly": "the last day of a month",
    "quarterly": "the last day of a quarter", "yearly": "the last day of a year",
}  # fmt: skip
_HOUR = 3_600_000_000


def shifted(moment: int, steps: int, frequency: Frequency) -> int:
    """The day or hour ``steps`` steps later; months and longer steps keep to their last days.

    >>> shifted(0, 2, "weekly"), shifted(0, 2, "hourly")
    (14, 2)
    >>> shifted(30, 1, "monthly") - 30
    28
    """
    if frequency in UNITS:
        return moment + UNITS[frequency] * steps
    month = np.datetime64(moment, "D").astype("datetime64[M]") + steps * MONTHS[frequency]
    return int(((month + 1).astype("datetime64[D]") - 1).astype(np.int64))


def moments(dates: pl.Series, frequency: Frequency) -> pl.Series:
    """Numbers of days, or of hours begun, of a column of dates or times."""
    if frequency == "hourly":
        return dates.cast(pl.Datetime("us")).to_physical() // _HOUR
    return dates.cast(pl.Date).cast(pl.Int32).cast(pl.Int64)


def dates_of(numbers: pl.Series, frequency: Frequency) -> pl.Series:
    """What `moments` was made of."""
    if frequency == "hourly":
        return (numbers.cast(pl.Int64) * _HOUR).cast(pl.Datetime("us"))
    return numbers.cast(pl.Int32).cast(pl.Date)


def numbered(dates: pl.Series, frequency: Frequency, where: str) -> pl.Series:
    """Number of each date on the frequency's grid; that of weeks goes through the first date of the table.

    Raises:
        DataError: Dates off the grid.
    """
    between = dates != dates_of(moments(dates, frequency), frequency)
    if frequency in UNITS:
        length, since = UNITS[frequency], moments(dates, frequency) - _first(dates, frequency)
        off, steps = between | (since % length != 0), since // length
    else:
        length, month = MONTHS[frequency], dates.dt.month().cast(pl.Int32)
        off = between | (dates.dt.day() != dates.dt.month_end().dt.day()) | (month % length != 0)
        steps = (dates.dt.year().cast(pl.Int32) * 12 + month) // length
    if off.any():
        first = off.arg_true().head(3).to_list()
        rows = ", ".join(f"row {i + 2}: {dates[i]}" for i in first)
        raise DataError(
            f"{int(off.sum())} dates are not on the {frequency} grid ({rows}).",
            where=f"{where}, column {dates.name!r}",
            fix=f"Use dates on {_GRIDS[frequency]} throughout: add up what lies between, or name another frequency.",
        )  # fmt: skip
    return steps


def moment_of(step: int, frequency: Frequency, dates: pl.Series) -> int:
    """Day or hour of a number of `numbered`."""
    if frequency in UNITS:
        return _first(dates, frequency) + UNITS[frequency] * step
    month = np.datetime64("0000-01") + (step * MONTHS[frequency] - 1)
    return shifted(int(month.astype("datetime64[D]").astype(np.int64)), 0, "monthly")


def cycles(frequency: Frequency) -> tuple[tuple[int, int], ...]:
    """What repeats itself within a year: length in the clock's unit, and how many waves it is drawn with."""
    return {"hourly": ((24, 4), (168, 3)), "daily": ((7, 3),)}.get(frequency, ())


def units_of_a_day(frequency: Frequency | None) -> Literal[1, 24]:
    """That the clock counts: 24 hours, or itself."""
    return 24 if frequency == "hourly" else 1


def _first(dates: pl.Series, frequency: Frequency) -> int:
    return int(moments(dates, frequency).to_numpy().min())
