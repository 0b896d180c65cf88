"""The frequency of dated values, and the values by its steps: as they are, or added up from shorter steps."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dxai.contract import Frequency
from dxai.data.steps import MONTHS, UNITS, dates_of
from dxai.errors import DataError, SettingsError
from dxai.forecaster.rows import Dated

Aggregate = Literal["", "sum", "mean"]
Source = Frequency | Literal["minutely", "irregular"]

FREQUENCIES: tuple[Frequency, ...] = get_args(Frequency)
_ORDER: dict[Source, int] = {
    "minutely": -1, "hourly": 0, "daily": 1, "irregular": 1, "weekly": 2, "monthly": 3, "quarterly": 4, "yearly": 5,
}  # fmt: skip
_SPANS: dict[Source, tuple[int, int]] = {
    "daily": (1, 4), "monthly": (25, 35), "quarterly": (84, 98), "yearly": (350, 380),
}  # fmt: skip
"""Days from one date to the next, where dates are not those of a calendar."""
_FEW = 4
"""Rows of a series up to which their distance proves nothing."""
_STEPS: dict[Frequency, str] = {
    "hourly": "hours", "daily": "days", "weekly": "weeks", "monthly": "months", "quarterly": "quarters",
    "yearly": "years",
}  # fmt: skip
_MOSTLY = 0.8
_SUNDAY = 3
"""Days since 1970-01-01 are Sundays where they leave this after a division by 7."""


@dataclass(frozen=True)
class Histories:
    """Series by step.

    Attributes:
        ids: One row per series.
        frequency: Of the steps.
        step, value: Of every known value, sorted ``[value]``; steps are counted without gaps in the calendar.
        starts: Where each series begins among them, and the end ``[series + 1]``.
        last: Date of the last step of each series, days since 1970-01-01; of hours: hours since then ``[series]``.
        month_ends: Whether steps are dated by the last day of their month.
        said: What was done, for a person.
        changed: Of these, what changed the values.
    """

    ids: pl.DataFrame
    frequency: Frequency
    step: NDArray[np.int32]
    value: NDArray[np.float32]
    starts: NDArray[np.int64]
    last: NDArray[np.int32]
    month_ends: bool
    said: tuple[str, ...]
    changed: tuple[str, ...]

    def __len__(self) -> int:
        """Series."""
        return len(self.last)

    def panel(self, codes: NDArray[np.int64], *, before: int = 0, longest: int = 1 << 20) -> NDArray[np.float32]:
        """Series side by side, aligned at their last step, NaN where a value is missing ``[series, time]``.

        Args:
            codes: Which series.
            before: Steps of every series that are left out at its end.
            longest: Steps of history at most.
        """
        last = self.step[self.starts[codes + 1] - 1] - before
        length = int(np.clip((last - self.step[self.starts[codes]]).max() + 1, 1, longest))
        made = np.full((len(codes), length), np.nan, np.float32)
        for row, code in enumerate(codes):
            part = slice(self.starts[code], self.starts[code + 1])
            place = self.step[part] - last[row] + length - 1
            inside = (place >= 0) & (place < length)
            made[row, place[inside]] = self.value[part][inside]
        return made

    def total(self) -> NDArray[np.float32]:
        """The sum of what is known at each step, NaN where nothing is ``[1, time]``."""
        first = int(self.step.min())
        made, known = (
            np.bincount(self.step - first, weights)
            for weights in (self.value.astype(np.float64), np.ones(len(self.step)))
        )
        return np.where(known > 0, made, np.nan).astype(np.float32)[None]

    def dates(self, codes: NDArray[np.int64], horizon: int) -> pl.Series:
        """Dates of the steps that follow, series by series ``[series x horizon]``; hours by the clock of the table."""
        last, steps = np.repeat(self.last[codes], horizon), np.tile(np.arange(1, horizon + 1), len(codes))
        if self.frequency in UNITS:
            return dates_of(pl.Series(last + UNITS[self.frequency] * steps), self.frequency)
        months = pl.Series(MONTHS[self.frequency] * steps).cast(pl.String) + "mo"
        moved = dates_of(pl.Series(last), self.frequency).dt.offset_by(months)
        return moved.dt.month_end() if self.month_ends else moved


def by_step(dated: Dated, frequency: Frequency | Literal["auto"], aggregate: Aggregate, where: str) -> Histories:
    """Number the steps.

    Raises:
        SettingsError: A frequency that the dates cannot give, or that is not known here.
        DataError: The dates keep to no step and none is named, or a series has two values in one step.
    """
    table = dated.table.sort("code", "day", "minute")
    source = source_of(table, clock=dated.clock)
    chosen = _chosen(source, frequency, where, rows=len(table) / table["code"].n_unique())
    table = table.with_columns(_numbering(table, chosen).alias("step"))
    table, twice = _without_second_hours(table, source) if chosen == "hourly" else (table, [])
    again = int(table.select("code", "step").is_duplicated().sum())
    same = source in (None, chosen) or (not again and frequency != "auto" and source in ("irregular", "yearly"))
    days_again = table.select("code", "day", "minute").is_duplicated()
    if not aggregate and (again if same else days_again.any()):
        shared = chosen if same else "hourly" if dated.clock else "daily"
        _refuse_repeats(dated, table.filter(days_again) if not same else table, shared, where)
    changed = twice
    if not same:
        table, cut = _whole_periods(table, chosen)
        changed += cut
    if again or not same:
        changed.insert(0, _added_up("" if same else str(source), chosen, aggregate, again))
        table = _aggregated(table, chosen, aggregate or "sum", to_end=not same)
    if not len(table):
        fix = "Give more rows, or a shorter step: --frequency weekly."
        raise DataError(f"No {chosen} step is whole.", where=where, fix=fix)
    kept = table["code"].unique().sort()
    if len(kept) < len(dated.ids):
        codes = pl.int_range(len(kept), dtype=pl.UInt32, eager=True)
        table = table.with_columns(pl.col("code").replace_strict(kept, codes, return_dtype=pl.UInt32))
    ids = dated.ids[kept] if dated.ids.width else dated.ids
    counts = table.group_by("code", maintain_order=True).len()["len"].to_numpy()
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    days = table["day"].cast(pl.Date)
    ends = chosen in MONTHS and bool((days == days.dt.month_end()).all())
    last = table["step"] if chosen == "hourly" else table["day"]
    made = Histories(
        ids, chosen, table["step"].to_numpy(), table["value"].to_numpy(), starts,
        last.to_numpy()[starts[1:] - 1], ends, (), tuple(changed),
    )  # fmt: skip
    return _with_words(made, dated, table)


def source_of(table: pl.DataFrame, *, clock: bool = False) -> Source | None:
    """The step that dates of the same series keep to; None where no series has two dates.

    Args:
        table: ``code``, ``day`` and ``minute``, sorted.
        clock: Whether the dates tell a time of day.
    """
    if clock and table.select("code", "day").is_duplicated().any():
        minutes = _gaps(table, pl.col("day").cast(pl.Int64) * 1440 + pl.col("minute"))
        return "hourly" if len(minutes) and float(minutes.median()) >= 60 else "minutely"  # type: ignore[arg-type]
    apart = table.filter(pl.col("code") == pl.col("code").shift()).height
    gap = _gaps(table, pl.col("day"))
    if not apart or not len(gap):
        return None
    dates = table["day"].unique().cast(pl.Date)
    if dates.dt.day().n_unique() == 1 or bool((dates == dates.dt.month_end()).all()):
        month = table["day"].cast(pl.Date)
        number = pl.DataFrame({"code": table["code"], "month": month.dt.year() * 12 + month.dt.month()})
        months = number.select(pl.when(pl.col("code") == pl.col("code").shift()).then(pl.col("month").diff()))
        every = int(np.gcd.reduce(months.to_series().drop_nulls().to_numpy()))
        return "yearly" if every % 12 == 0 else "quarterly" if every % 3 == 0 else "monthly"
    median = float(gap.median())  # type: ignore[arg-type]
    off = (gap - (gap / 7).round().cast(pl.Int32) * 7).abs()
    if median >= 6 and ((off == 0).all() or (median <= 14 and ((off <= 1) & (gap >= 5)).mean() > _MOSTLY)):  # type: ignore[operator]
        return "weekly"
    for name, (least, most) in _SPANS.items():
        if gap.is_between(least, most).mean() > _MOSTLY:  # type: ignore[operator]
            return name
    return "irregular"


def _gaps(table: pl.DataFrame, time: pl.Expr) -> pl.Series:
    """Distances of times of the same series, other than 0."""
    gap = table.select(pl.when(pl.col("code") == pl.col("code").shift()).then(time.cast(pl.Int64).diff())).to_series()
    gap = gap.drop_nulls()
    return gap.filter(gap > 0)


def _chosen(source: Source | None, frequency: Frequency | Literal["auto"], where: str, *, rows: float) -> Frequency:
    """What is named, unless the rows of a series are plainly further apart; else what is seen."""
    known = ", ".join(FREQUENCIES)
    if frequency == "auto":
        if source is None:
            told = "No series has two dates, so the frequency cannot be seen."
            raise DataError(told, where=where, fix=f"Name it: --frequency {known.replace(', ', '|')}.")
        shorter: dict[Source, Frequency] = {"minutely": "hourly", "irregular": "monthly"}
        return next((each for each in FREQUENCIES if each == source), None) or shorter[source]
    if source and _ORDER[source] > _ORDER[frequency] and rows >= _FEW:
        raise SettingsError(
            f"The dates are {source}, so that there are no {_STEPS[frequency]} in them.",
            where="--frequency", fix=f"Leave --frequency away, or choose {source} or longer.",
        )  # fmt: skip
    return frequency


def _numbering(table: pl.DataFrame, frequency: Frequency) -> pl.Series:
    """Number of each row's step; weeks are centred on the weekday that most rows have, where one has them all."""
    days = table["day"]
    if frequency == "hourly":
        return days * 24 + (table["minute"] // 60).cast(pl.Int32)
    if frequency == "daily":
        return days
    if frequency == "weekly":
        weekday = table.select(pl.col("day") % 7).to_series().value_counts(sort=True)
        usual, share = int(weekday.row(0)[0]), int(weekday.row(0)[1]) / len(table)
        first = usual - 3 if share > _MOSTLY else _SUNDAY - 6
        return (days - first) // 7
    dates = days.cast(pl.Date)
    return (dates.dt.year().cast(pl.Int32) * 12 + dates.dt.month().cast(pl.Int32) - 1) // MONTHS[frequency]


def _without_second_hours(table: pl.DataFrame, source: Source | None) -> tuple[pl.DataFrame, list[str]]:
    """The hour that a clock shows twice when it is set back, on a Sunday before four, is the mean of both."""
    early = (table["day"] % 7 == _SUNDAY) & (table["minute"] < 240)
    twice = table.select("code", "day", "minute").is_duplicated() & early
    again, years = table.filter(twice), (int(table["day"].max()) - int(table["day"].min())) / 365  # type: ignore[arg-type]
    hours, pairs = again["step"].n_unique(), again.select("code", "step").n_unique()
    if source != "hourly" or len(again) != 2 * pairs or not 0 < hours <= 1 + years:
        return table, []
    table = table.group_by("code", "step", maintain_order=True).agg(
        pl.col("day", "minute").first(), pl.col("value").cast(pl.Float64).mean().cast(pl.Float32)
    )
    return table, [f"{hours:,} hours that the clock shows twice, when it is set back, are averaged"]


def _period(step: pl.Series, frequency: Frequency) -> tuple[pl.Series, pl.Series]:
    """First and last day of steps of the calendar."""
    if frequency in ("hourly", "daily"):
        day = step // 24 if frequency == "hourly" else step
        return day, day
    if frequency == "weekly":
        first = step * 7 + _SUNDAY - 6
        return first, first + 6
    months = MONTHS[frequency]

    def begin(number: pl.Series) -> pl.Series:
        month = number * months
        parts = pl.DataFrame({"year": month // 12, "month": month % 12 + 1})
        return parts.select(pl.date("year", "month", 1)).to_series().cast(pl.Int32)

    return begin(step), begin(step + 1) - 1


# --- longer steps -----------------------------------------------------------------------------------------------------


def _whole_periods(table: pl.DataFrame, frequency: Frequency) -> tuple[pl.DataFrame, list[str]]:
    """Rows of whole periods: at the ends of the table, one in which another row would still fit is left out."""
    if frequency == "weekly":
        table = table.with_columns(((pl.col("day") - (_SUNDAY - 6)) // 7).alias("step"))
    if frequency in ("hourly", "daily"):
        return _whole_ends(table, frequency)
    days = table["day"].unique().sort()
    usual = days.diff().quantile(0.95) or 1
    edges = pl.Series([table["step"].min(), table["step"].max()], dtype=pl.Int32)
    begins, ends = _period(edges, frequency)
    cut = [days[0] - usual >= begins[0], days[-1] + usual <= ends[1]]
    said = [
        f"the {name} {_STEPS[frequency][:-1]} is not whole and is left out"
        for name, is_cut in zip(("first", "last"), cut, strict=True) if is_cut
    ]  # fmt: skip
    kept = pl.lit(True)
    for edge, is_cut in zip(edges, cut, strict=True):
        kept = kept & (pl.col("step") != edge) if is_cut else kept
    return table.filter(kept), said


def _whole_ends(table: pl.DataFrame, frequency: Frequency) -> tuple[pl.DataFrame, list[str]]:
    """The same of hours and days: a first or last one with fewer rows than usual is left out."""
    moments = table.select("step", "day", "minute").unique()
    rows = moments.group_by("step").len().sort("step")
    usual = rows["len"].mode().max()
    said, kept = list[str](), pl.lit(True)
    for name, row in (("first", rows.row(0)), ("last", rows.row(-1))):
        if row[1] < usual:
            kept = kept & (pl.col("step") != row[0])
            said.append(f"the {name} {_STEPS[frequency][:-1]} is not whole and is left out")
    return table.filter(kept), said


def _aggregated(table: pl.DataFrame, frequency: Frequency, aggregate: Aggregate, *, to_end: bool) -> pl.DataFrame:
    """One row per step, dated by the last day of its period or by its last row."""
    value = pl.col("value").cast(pl.Float64)
    made = table.group_by("code", "step", maintain_order=True).agg(
        (value.sum() if aggregate == "sum" else value.mean()).cast(pl.Float32), pl.col("day").max()
    )
    return made.with_columns(_period(made["step"], frequency)[1].cast(pl.Int32).alias("day")) if to_end else made


def _added_up(source: str, frequency: Frequency, aggregate: Aggregate, again: int) -> str:
    way = {"sum": "added up", "mean": "averaged", "": "added up (--aggregate mean takes their mean)"}[aggregate]
    if not source:
        return f"{again:,} rows that share a step with another one are {way}"
    dated = "" if frequency in ("hourly", "daily") else ", dated by their last day"
    return f"{source} rows are {way} to {_STEPS[frequency]}{dated}"


def _refuse_repeats(dated: Dated, table: pl.DataFrame, step: str, where: str) -> None:
    repeated = table.filter(table.select("code", "step").is_duplicated())
    first, again = repeated.row(0, named=True), len(repeated)
    name = " / ".join(map(str, dated.ids.row(first["code"]))) if dated.ids.width else ""
    article = "an" if step == "hourly" else "a"
    day = pl.Series([first["day"]]).cast(pl.Int32).cast(pl.Date)[0]
    which = f", the first of series {name!r} at {day}" if name else f", the first at {day}"
    raise DataError(
        f"{again:,} rows share {article} {step} step with another row of their series{which}.",
        where=where,
        fix="Name every column that tells series apart (--series A --series B), or --aggregate sum (or mean).",
    )  # fmt: skip


# --- words ------------------------------------------------------------------------------------------------------------


def _with_words(made: Histories, dated: Dated, table: pl.DataFrame) -> Histories:
    """The same with what a person should know of it."""
    lasts = made.step[made.starts[1:] - 1]
    firsts = made.step[made.starts[:-1]]
    ended, holes = int((lasts < lasts.max()).sum()), int((lasts - firsts + 1).sum()) - len(made.step)
    steps, series = int(made.step.max() - made.step.min()) + 1, f"{len(made):,} series"
    name = _STEPS[made.frequency] if steps != 1 else _STEPS[made.frequency][:-1]
    days = table["day"].to_numpy()
    if made.frequency == "hourly":
        days = made.step
    first, last = (_dated(int(day), made.frequency) for day in (days.min(), days.max()))
    said = [f"{made.frequency}: {steps:,} {name} from {first} to {last}, {series}"]
    said += [f"{holes:,} steps without a value are missing, not 0"] * bool(holes)
    said += [f"{ended:,} series ended earlier: their forecasts begin after their own last step"] * bool(ended)
    lost = max(1, len(dated.ids)) - len(made) + dated.empty
    said += [f"{lost:,} series without a value are left out"] * bool(lost)
    return replace(made, said=(*made.changed, *said))


def _dated(day: int, frequency: Frequency) -> str:
    if frequency == "hourly":
        return str(np.datetime64(day, "h")).replace("T", " ") + ":00"
    written = str(np.datetime64(day, "D"))
    if frequency == "quarterly":
        return f"{written[:4]}-Q{(int(written[5:7]) + 2) // 3}"
    return written[: {"monthly": 7, "yearly": 4}.get(frequency, 10)]
