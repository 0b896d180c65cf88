"""What is known of the steps to forecast: rows after the last known value of the target, complete or refused."""

from __future__ import annotations

import numpy as np
import polars as pl

from dxai.contract import Contract
from dxai.data.calendar import with_holidays
from dxai.data.steps import dates_of, moment_of, numbered
from dxai.data.windows import named, naming, told
from dxai.errors import DataError

CARRY_FORWARD = (
    "--carry-forward takes the last known ones (in Python: carry_forward=True; over HTTP: ?carry_forward=true)"
)
"""What a person may do who has no plan."""

_ID, _STEP, _NEWEST = "\x00series", "\x00step", "\x00newest"


def planned(
    frame: pl.DataFrame, contract: Contract, *, where: str, carry_forward: bool = False
) -> tuple[pl.DataFrame, list[str]]:
    """All rows, and the names of the series that are asked for: those with rows ahead, which are complete.

    Args:
        frame: Typed rows of a contract with columns that are known ahead: the history, and the steps to forecast.
        contract: Of a demand task.
        where: The table, for messages.
        carry_forward: Whether a value that is missing ahead is the last one before; then all series are asked for.

    Raises:
        DataError: There is no row ahead, or a series lacks one, or a value in it; dates off the grid.
    """
    rows, newest = _stepped(frame, contract, where)
    columns, horizon = [column.name for column in contract.ahead], contract.horizon
    if carry_forward:
        rows = _carried(rows, contract, newest)
    ahead = _ahead(rows, contract, newest)
    if ahead.is_empty():
        raise DataError(
            f"The table ends where the forecast begins, however the model wants to know: {', '.join(columns)}.",
            where=where, fix=f"Add rows of the next {horizon} steps with these columns and no {contract.target.name}; "
            f"or {CARRY_FORWARD}.",
        )  # fmt: skip
    if lacking := _lacking(ahead, contract):
        first = ", ".join(f"{told(name)!r}" for name in lacking[:3])
        count = "1 series lacks" if len(lacking) == 1 else f"{len(lacking):,} series lack"
        raise DataError(
            f"{count} a row of the next {horizon} steps, or a value in it ({', '.join(columns)}): {first}.",
            where=where, fix=f"Fill them in; or {CARRY_FORWARD}.",
        )  # fmt: skip
    return rows.select(frame.columns), ahead[_ID].unique().to_list()


def lacking_plans(frame: pl.DataFrame, contract: Contract, *, where: str) -> list[str]:
    """Names of the series that have rows ahead, but not all of them or not every value in them."""
    rows, newest = _stepped(frame, contract, where)
    return _lacking(_ahead(rows, contract, newest), contract)


def _stepped(frame: pl.DataFrame, contract: Contract, where: str) -> tuple[pl.DataFrame, int]:
    """The rows with name and step, and the last step with a value of the target."""
    assert contract.frequency is not None  # checked when the contract was read
    target = contract.target.name
    steps = numbered(frame[contract.only("time").name], contract.frequency, where)
    rows = frame.with_columns(naming(contract).alias(_ID), steps.alias(_STEP))
    known = rows.filter(pl.col(target).is_not_null())[_STEP]
    if known.is_empty():
        raise DataError(f"No row has a value of {target!r}.", where=where, fix="Bring the history of the series.")
    return rows, int(known.to_numpy().max())


def _ahead(rows: pl.DataFrame, contract: Contract, newest: int) -> pl.DataFrame:
    return rows.filter((pl.col(_STEP) > newest) & (pl.col(_STEP) <= newest + contract.horizon))


def _lacking(ahead: pl.DataFrame, contract: Contract) -> list[str]:
    whole = pl.all_horizontal(pl.col(column.name).is_not_null() for column in contract.ahead)
    counts = ahead.group_by(_ID, maintain_order=True).agg(pl.col(_STEP).filter(whole).n_unique())
    return counts.filter(pl.col(_STEP) < contract.horizon)[_ID].to_list()


def _carried(rows: pl.DataFrame, contract: Contract, newest: int) -> pl.DataFrame:
    """Every series with a row for each step ahead, and in it the last known values."""
    assert contract.frequency is not None  # checked when the contract was read
    time, frequency = contract.only("time").name, contract.frequency
    ids, steps = rows[_ID].unique(maintain_order=True), np.arange(newest + 1, newest + 1 + contract.horizon)
    moments = pl.Series([moment_of(int(step), frequency, rows[time]) for step in steps], dtype=pl.Int64)
    grid = pl.DataFrame({_STEP: pl.Series(steps, dtype=rows.schema[_STEP]), time: dates_of(moments, frequency)})
    grid = grid.with_columns(pl.col(time).cast(rows.schema[time]))
    every = ids.to_frame().join(grid, how="cross")
    every = every.with_columns(named(every[_ID], contract))
    there = _ahead(rows, contract, newest).select(_ID, _STEP)
    whole = pl.concat([rows, every.join(there, on=[_ID, _STEP], how="anti")], how="diagonal").sort(_ID, _STEP)
    whole = whole.with_columns(with_holidays(whole, contract).select(c.name for c in contract.columns if c.holiday))
    columns = [column.name for column in contract.ahead]
    filled = [pl.col(name).fill_null(strategy="forward").over(_ID) for name in columns]
    future = pl.col(_STEP) > newest
    return whole.with_columns(
        pl.when(future).then(fill).otherwise(pl.col(name)).alias(name)
        for fill, name in zip(filled, columns, strict=True)
    )
