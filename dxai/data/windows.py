"""Long demand tables to panels, and panels to forecast windows: past, dates and truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dxai.contract import Column, Contract, Frequency
from dxai.data.steps import LENGTHS, moment_of, numbered, shifted
from dxai.errors import DataError

_JOINT, _BESIDE = "\x1f", "beside."
"""Between the parts of a series' name, and before the name of a covariate: in no text and no column of a contract."""


@dataclass(frozen=True)
class Panel:
    """Series side by side, aligned at their last step.

    Attributes:
        ids: Series names ``[series]``, as `named` makes them.
        values: ``[series, time]`` in the target's unit; NaN before a series begins and where a value is missing.
        last: Of the last step ``[series]``: days since 1970-01-01, hours where steps are hours.
        beside: By name of each of the contract's covariates ``[series]`` or ``[series, time + ahead]``: numbers, NaN
            where missing, or numbers of categories, the one after the last where missing or not listed.
        ahead: Steps after the last one that ``beside`` goes on for.
    """

    ids: tuple[str, ...]
    values: NDArray[np.float32]
    last: NDArray[np.int64]
    beside: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    ahead: int = 0

    def until(self, steps_before_end: int, frequency: Frequency) -> Panel:
        """The panel as it stood ``steps_before_end`` steps before its end."""
        if steps_before_end == 0:
            return self
        last = np.array([shifted(int(moment), -steps_before_end, frequency) for moment in np.unique(self.last)])
        return replace(
            self, values=self.values[:, :-steps_before_end], last=last[np.unique(self.last, return_inverse=True)[1]],
            ahead=self.ahead + steps_before_end,
        )  # fmt: skip

    @property
    def known_steps(self) -> NDArray[np.int64]:
        """Steps of each series that have a value ``[series]``."""
        known: NDArray[np.int64] = np.isfinite(self.values).sum(axis=1)
        return known

    def only(self, series: NDArray[np.bool_]) -> Panel:
        """The marked series."""
        ids, beside = tuple(np.array(self.ids, dtype=object)[series]), {n: a[series] for n, a in self.beside.items()}
        return replace(self, ids=ids, values=self.values[series], last=self.last[series], beside=beside)

    def history(self, context: int) -> NDArray[np.float32]:
        """The last ``context`` steps ``[series, context]``, padded with NaN on the left."""
        return _right(self.values, context, np.nan)

    def covariate(self, column: Column, context: int, horizon: int) -> NDArray[Any]:
        """A covariate as the graph takes it, but for the texts of a category: ``[series]``, or ``[series, steps]``.

        Steps are those of `history` and, where the column is known ahead, so many ahead of it.
        """
        values, time = self.beside[column.name], self.values.shape[1]
        nothing = np.nan if column.kind == "number" else len(column.categories)
        if values.ndim == 1:
            return values
        if column.role not in ("known_future", "open"):
            return _right(values[:, :time], context, nothing)
        lacking = max(0, horizon - self.ahead)
        known = np.pad(values[:, : time + horizon], ((0, 0), (0, lacking)), constant_values=nothing)
        return _right(known, context + horizon, nothing)


def _right(values: NDArray[Any], length: int, nothing: float) -> NDArray[Any]:
    """The last steps, so many, with nothing before them where there are fewer."""
    held = values[:, -length:]
    return np.pad(held, ((0, 0), (length - held.shape[1], 0)), constant_values=nothing)


def naming(contract: Contract) -> pl.Expr:
    """Name of each row's series: the column with that role, or all of them joined; null where one is empty."""
    names = [column.name for column in contract.series]
    return pl.col(names[0]) if len(names) == 1 else pl.concat_str(names, separator=_JOINT)


def named(ids: pl.Series, contract: Contract) -> list[pl.Series]:
    """The columns that `naming` made these names of."""
    names = [column.name for column in contract.series]
    if len(names) == 1:
        return [ids.alias(names[0])]
    parts = ids.str.split_exact(_JOINT, len(names) - 1).struct.unnest()
    return [part.alias(name) for part, name in zip(parts, names, strict=True)]


def told(name: object) -> str:
    """The name of a series for a person."""
    return str(name).replace(_JOINT, " · ")


def to_panel(frame: pl.DataFrame, contract: Contract, *, where: str) -> Panel:
    """Long rows (series, time, target, covariates) to a panel.

    Steps without a row become 0 or NaN as the contract says (``absentSteps``), from each series' first row on.
    With ``zero`` all series end at the table's last step. Where the contract has columns that are known ahead, all end
    at the last step with a value of the target; rows after it hold what is known of the steps to forecast. Steps that
    are not open, and those at which not all demand could be met, have no value.

    Raises:
        DataError: Rows without a series or a date, dates off the contract's grid, repeated steps, several values of a
            static column in one series, or a history that is too short.
    """
    assert contract.frequency is not None  # checked when the contract was read
    dates, table = frame[contract.only("time").name], numbered_steps(frame, contract, where=where, beside=True)
    newest = newest_step(table, contract, where)
    ends = table.group_by("series", maintain_order=True).agg(
        pl.col("step").min().alias("first"), pl.col("step").max().alias("last")
    )
    if contract.absent == "zero" or contract.ahead:
        ends = ends.with_columns(pl.lit(newest).alias("last"))
    first, last = ends["first"].to_numpy(), ends["last"].to_numpy()
    length = int((last - first).max()) + 1
    column = np.arange(length)[None, :]
    begin = (length - 1 - (last - first))[:, None]
    values = np.where((column >= begin) & (contract.absent == "zero"), np.float32(0), np.float32(np.nan))
    row = np.repeat(np.arange(len(ends)), table.group_by("series", maintain_order=True).len()["len"].to_numpy())
    place = length - 1 - (last[row] - table["step"].to_numpy())
    past = place < length
    values[row[past], place[past]] = table["value"].to_numpy()[past]
    ids = tuple(ends["series"].to_list())
    ahead = min(contract.horizon, int(place.max()) + 1 - length) if contract.ahead else 0
    beside = _beside(table, contract, row, place, (len(ids), length + ahead), where)
    for mask in (c for c in contract.covariates if c.role in ("open", "available")):
        values[beside[mask.name][:, :length] == 0] = np.nan
    moment = {step: moment_of(step, contract.frequency, dates) for step in set(last.tolist())}
    panel = Panel(ids, values, np.array([moment[step] for step in last.tolist()], dtype=np.int64), beside, ahead)
    refuse_short(panel, contract, where)
    return panel


def _beside(
    table: pl.DataFrame, contract: Contract, row: NDArray[np.int64], place: NDArray[np.int64], shape: tuple[int, int],
    where: str,
) -> dict[str, NDArray[Any]]:  # fmt: skip
    """The covariates of a sorted table, whose rows belong to these series and places."""
    made: dict[str, NDArray[Any]] = {}
    kept = place < shape[1]
    for column in contract.covariates:
        cells = table[_BESIDE + column.name]
        if column.kind == "number":
            values: NDArray[Any] = cells.cast(pl.Float32).fill_null(np.nan).to_numpy()
            nothing: float = np.nan
        else:
            listed, nothing = list(column.categories), len(column.categories)
            numbers = cells.cast(pl.String).replace_strict(
                listed, range(nothing), default=nothing, return_dtype=pl.Int64
            )
            values = numbers.fill_null(nothing).to_numpy()
        if column.role in ("static", "series"):
            made[column.name] = _single(values, row, shape[0], nothing, column, table, where)
            continue
        made[column.name] = np.full(shape, nothing, dtype=values.dtype)
        made[column.name][row[kept], place[kept]] = values[kept]
    return made


def _single(
    values: NDArray[Any], row: NDArray[np.int64], series: int, nothing: float, column: Column, table: pl.DataFrame,
    where: str,
) -> NDArray[Any]:  # fmt: skip
    """The one known value of each series."""
    made = np.full(series, nothing, dtype=values.dtype)
    known = ~np.isnan(values) if column.kind == "number" else values != nothing
    made[row[known]] = values[known]
    if (several := known & (made[row] != values)).any():
        raise several_values(column.name, table["series"][int(several.argmax())], where)
    return made


def several_values(column: str, series: str, where: str) -> DataError:
    """A static column that changes within a series."""
    return DataError(
        f"Column {column!r} has the role static, however series {told(series)!r} has several values of it.",
        where=where, fix="Give every series one value, or give the column the role known_future or past.",
    )  # fmt: skip


def newest_step(table: pl.DataFrame, contract: Contract, where: str) -> int:
    """The last step of `numbered_steps`; where columns are known ahead, the last one with a value of the target.

    Raises:
        DataError: There is none.
    """
    steps = table["step"].filter(table["value"].is_not_null()) if contract.ahead else table["step"]
    if steps.is_empty():
        name = contract.target.name
        raise DataError(f"No row has a value of {name!r}.", where=where, fix="Bring the history of the series.")
    return int(steps.to_numpy().max())


def numbered_steps(frame: pl.DataFrame, contract: Contract, *, where: str, beside: bool = False) -> pl.DataFrame:
    """Long rows as ``series``, ``day``, ``step`` and ``value``, sorted by series and step.

    Args:
        frame: At least one row.
        contract: Of a demand task.
        where: The table, for messages.
        beside: Whether the covariates come too.

    Raises:
        DataError: Rows without a series or a date, dates off the contract's grid, or repeated steps.
    """
    time, target = (contract.only(role).name for role in ("time", "target"))
    assert contract.frequency is not None  # checked when the contract was read
    for name in (*(column.name for column in contract.series), time):
        if gaps := frame[name].null_count():
            empty = f"{gaps:,} rows have no {name!r}."
            raise DataError(empty, where=f"column {name}", fix="Fill them in, or leave those rows out.")
    steps = numbered(frame[time], contract.frequency, where)
    table = frame.select(
        naming(contract).alias("series"), pl.col(time).alias("day"), steps.alias("step"), pl.col(target).alias("value"),
        *(pl.col(c.name).alias(_BESIDE + c.name) for c in contract.covariates if beside),
    ).sort("series", "step")  # fmt: skip
    _refuse_repeats(table, where)
    return table


def _refuse_repeats(table: pl.DataFrame, where: str) -> None:
    """Of steps in order, one that is the same as its neighbour stands there twice."""
    again = ((pl.col("series") == pl.col("series").shift()) & (pl.col("step") == pl.col("step").shift())).fill_null(
        False
    )
    twice = table.select(again.alias("again")).to_series()
    repeated = twice | twice.shift(-1, fill_value=False)
    if repeated.any():
        first = table["series"][int(repeated.arg_true()[0])]
        raise DataError(
            f"{int(repeated.sum())} rows repeat a step of their series, "
            f"the first of series {told(first)!r}.",
            where=where, fix="Give every series one row per step: add up or drop the repeats.",
        )  # fmt: skip


def refuse_short(panel: Panel, contract: Contract, where: str) -> None:
    """Raise DataError where series have fewer known steps than the contract asks for."""
    known = panel.known_steps
    short = [(panel.ids[i], int(known[i])) for i in np.flatnonzero(known < contract.minimum_history)]
    if short:
        examples = ", ".join(f"{told(name)!r} has {steps}" for name, steps in short[:5])
        count = "1 series has" if len(short) == 1 else f"{len(short)} series have"
        needed = f"{contract.minimum_history} {contract.frequency} steps"
        raise DataError(
            f"{count} fewer than the {needed} that a forecast needs: {examples}.",
            where=where,
            fix="Add their earlier rows, or leave these series out.",
        )


def training_origins(panel: Panel, contract: Contract) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Every origin of a panel with enough history before and at least one known step after.

    Returns:
        Numbers of its series and of its last step of history, counted from 0; -1: before the first ``[origins]``.
    """
    known = np.cumsum(np.isfinite(panel.values), axis=1, dtype=np.int32)
    if contract.minimum_history == 0:
        known = np.pad(known, ((0, 0), (1, 0)))
    within_horizon = np.pad(known, ((0, 0), (0, contract.horizon)), mode="edge")[:, contract.horizon :]
    series, step = np.nonzero((known >= contract.minimum_history) & (within_horizon > known))
    return series, step - (contract.minimum_history == 0)


def moments_before(
    panel: Panel, series: NDArray[np.int64], step: NDArray[np.int64], frequency: Frequency
) -> NDArray[np.int64]:
    """When each origin's history ends ``[origins]``, to a few days where steps are months or longer."""
    back = panel.values.shape[1] - 1 - step
    ends: NDArray[np.int64] = panel.last[series] - np.round(back * LENGTHS[frequency]).astype(np.int64)
    return ends
