"""Long demand tables to panels, and panels to forecast windows: past, dates and truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dxai.contract import Contract, Frequency
from dxai.data.steps import LENGTHS, moment_of, numbered, shifted
from dxai.errors import DataError


@dataclass(frozen=True)
class Panel:
    """Series side by side, aligned at their last step.

    Attributes:
        ids: Series names ``[series]``.
        values: ``[series, time]`` in the target's unit; NaN before a series begins and where a value is missing.
        last: Of the last step ``[series]``: days since 1970-01-01, hours where steps are hours.
    """

    ids: tuple[str, ...]
    values: NDArray[np.float32]
    last: NDArray[np.int64]

    def until(self, steps_before_end: int, frequency: Frequency) -> Panel:
        """The panel as it stood ``steps_before_end`` steps before its end."""
        if steps_before_end == 0:
            return self
        last = np.array([shifted(int(moment), -steps_before_end, frequency) for moment in np.unique(self.last)])
        return Panel(self.ids, self.values[:, :-steps_before_end], last[np.unique(self.last, return_inverse=True)[1]])

    @property
    def known_steps(self) -> NDArray[np.int64]:
        """Steps of each series that have a value ``[series]``."""
        known: NDArray[np.int64] = np.isfinite(self.values).sum(axis=1)
        return known

    def only(self, series: NDArray[np.bool_]) -> Panel:
        """The marked series."""
        return Panel(tuple(np.array(self.ids, dtype=object)[series]), self.values[series], self.last[series])

    def history(self, context: int) -> NDArray[np.float32]:
        """The last ``context`` steps ``[series, context]``, padded with NaN on the left."""
        held = self.values[:, -context:]
        return np.pad(held, ((0, 0), (context - held.shape[1], 0)), constant_values=np.nan)


def to_panel(frame: pl.DataFrame, contract: Contract, *, where: str) -> Panel:
    """Long rows (series, time, target) to a panel.

    Steps without a row become 0 or NaN as the contract says (``absentSteps``), from each series' first row on.
    With ``zero`` all series end at the table's last step.

    Raises:
        DataError: Rows without a series or a date, dates off the contract's grid, repeated steps, or a history that is
            too short.
    """
    assert contract.frequency is not None  # checked when the contract was read
    dates, table = frame[contract.only("time").name], numbered_steps(frame, contract, where=where)
    newest = int(table["step"].to_numpy().max())
    ends = table.group_by("series", maintain_order=True).agg(
        pl.col("step").min().alias("first"), pl.col("step").max().alias("last")
    )
    if contract.absent == "zero":
        ends = ends.with_columns(pl.lit(newest).alias("last"))
    first, last = ends["first"].to_numpy(), ends["last"].to_numpy()
    length = int((last - first).max()) + 1
    column = np.arange(length)[None, :]
    begin = (length - 1 - (last - first))[:, None]
    values = np.where((column >= begin) & (contract.absent == "zero"), np.float32(0), np.float32(np.nan))
    row = np.repeat(np.arange(len(ends)), table.group_by("series", maintain_order=True).len()["len"].to_numpy())
    values[row, length - 1 - (last[row] - table["step"].to_numpy())] = table["value"].to_numpy()
    ids = tuple(ends["series"].to_list())
    _refuse_short(ids, values, contract, where)
    moment = {step: moment_of(step, contract.frequency, dates) for step in set(last.tolist())}
    return Panel(ids, values, np.array([moment[step] for step in last.tolist()], dtype=np.int64))


def numbered_steps(frame: pl.DataFrame, contract: Contract, *, where: str) -> pl.DataFrame:
    """Long rows as ``series``, ``day``, ``step`` and ``value``, sorted by series and step.

    Args:
        frame: At least one row.
        contract: Of a demand task.
        where: The table, for messages.

    Raises:
        DataError: Rows without a series or a date, dates off the contract's grid, or repeated steps.
    """
    series, time, target = (contract.only(role).name for role in ("series", "time", "target"))
    assert contract.frequency is not None  # checked when the contract was read
    for name in (series, time):
        if gaps := frame[name].null_count():
            told = f"{gaps:,} rows have no {name!r}."
            raise DataError(told, where=f"column {name}", fix="Fill them in, or leave those rows out.")
    steps = numbered(frame[time], contract.frequency, where)
    table = frame.select(
        pl.col(series).alias("series"), pl.col(time).alias("day"), steps.alias("step"), pl.col(target).alias("value")
    ).sort("series", "step")
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
            f"the first of series {first!r}.",
            where=where, fix="Give every series one row per step: add up or drop the repeats.",
        )  # fmt: skip


def _refuse_short(ids: tuple[str, ...], values: NDArray[np.float32], contract: Contract, where: str) -> None:
    known = np.isfinite(values).sum(axis=1)
    short = [(ids[i], int(known[i])) for i in np.flatnonzero(known < contract.minimum_history)]
    if short:
        told = ", ".join(f"{name!r} has {steps}" for name, steps in short[:5])
        count = "1 series has" if len(short) == 1 else f"{len(short)} series have"
        needed = f"{contract.minimum_history} {contract.frequency} steps"
        raise DataError(
            f"{count} fewer than the {needed} that a forecast needs: {told}.",
            where=where,
            fix="Add their earlier rows, or leave these series out.",
        )


def training_windows(
    panel: Panel, contract: Contract, context: int
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32]]:
    """Every (series, origin) of a panel with enough history before and at least one known step after.

    Returns:
        Histories ``[windows, context]`` and targets ``[windows, horizon]``, NaN where unknown, and the last step of
        each origin ``[windows]``, to a few days where steps are months or longer.
    """
    assert contract.frequency is not None  # checked when the contract was read
    steps, horizon = panel.values.shape[1], contract.horizon
    padded = np.pad(panel.values, ((0, 0), (context, horizon)), constant_values=np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(padded, context + horizon, axis=1)
    known = np.cumsum(np.isfinite(panel.values), axis=1)
    within_horizon = np.pad(known, ((0, 0), (0, horizon)), mode="edge")[:, horizon:]
    row, step = np.nonzero((known >= contract.minimum_history) & (within_horizon > known))
    chosen = windows[row, step + 1]
    ends = panel.last[row] - np.round((steps - 1 - step) * LENGTHS[contract.frequency]).astype(np.int64)
    return chosen[:, :context], ends, chosen[:, context:]
