"""The profile: how the training rows were spread, column by column, without holding a single row.

Nothing in it tells of one row: every bin and every named category holds at least `FEWEST` rows, and edges and ends are
rounded to three digits.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer

from dxai.contract import Column, Contract
from dxai.data.windows import Panel

BINS = 10
"""Bins of a number: tenths of the training rows."""

FEWEST = 5
"""Rows that a bin or a category must hold to be told of."""

Counts = NDArray[np.int64]


class ColumnProfile(BaseModel):
    """Spread of one column over the training rows.

    Attributes:
        rows: Rows that were looked at.
        missing: Share of them without a value.
        minimum, maximum: Range of a number, rounded outwards to three digits.
        edges: Inner edges of a number's bins: its deciles, rounded to three digits.
        shares: Share of the known values per bin (one more than edges) or category.
        categories: Texts that the shares of a category belong to; the last share is that of all other texts.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rows: int
    missing: float
    minimum: float | None = None
    maximum: float | None = None
    edges: tuple[float, ...] = ()
    shares: tuple[float, ...]
    categories: tuple[str, ...] = ()

    @property
    def known(self) -> int:
        """Rows with a value."""
        return round(self.rows * (1 - self.missing))

    def counts(self, values: pl.Series) -> Counts:
        """How many of these values lie in each bin or category; a value on an edge belongs to the bin below it."""
        known = values.drop_nulls()
        if values.dtype == pl.String:
            named = [int((known == text).sum()) for text in self.categories]
            return np.array([*named, len(known) - sum(named)])
        numbers = known.filter(known.is_finite()).to_numpy()
        return np.bincount(np.searchsorted(self.edges, numbers, side="left"), minlength=len(self.edges) + 1)


class Profile(BaseModel):
    """Profiles by column name.

    Attributes:
        rows: Training rows; series of a demand table.
        cases: Rows that are independent of each other: groups of the contract, series; otherwise the rows.
        columns: Of a quality table every feature and the target, of a demand table every `series_features`.
        beside: Of a demand table the `known_beside`; older bundles have none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rows: int
    cases: int
    columns: dict[str, ColumnProfile]
    beside: dict[str, ColumnProfile] = {}

    @model_serializer(mode="wrap")
    def _without_an_empty_beside(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """So that versions which know no such key read every other bundle."""
        return {name: value for name, value in write(self).items() if name != "beside" or value}


def profile_rows(frame: pl.DataFrame, contract: Contract) -> Profile:
    """Profile of typed quality rows: every feature and the target."""
    columns = [c for c in contract.columns if c.role in ("feature", "target") and c.name in frame.columns]
    cases = frame.select(pl.struct(contract.group).n_unique()).item() if contract.group else len(frame)
    return Profile(rows=len(frame), cases=cases, columns={c.name: _profile(frame[c.name], c) for c in columns})


def profile_panel(panel: Panel, contract: Contract, table: pl.DataFrame) -> Profile:
    """Profile of demand histories: the features of every series, and of the typed rows what is known beside them."""
    features = series_features(panel, contract)
    columns = {name: profile_numbers(pl.Series(values)) for name, values in features.items()}
    beside = {column.name: _profile(known_beside(table, column, contract), column) for column in profiled(contract)}
    return Profile(rows=len(panel.ids), cases=len(panel.ids), columns=columns, beside=beside)


def profiled(contract: Contract) -> tuple[Column, ...]:
    """Columns beside a history that may drift, such as a price; a calendar does not, nor do masks and names."""
    roles = ("known_future", "past", "static")
    return tuple(c for c in contract.covariates if c.role in roles and not c.holiday)


def known_beside(table: pl.DataFrame, column: Column, contract: Contract) -> pl.Series:
    """Values of a column beside the history: one per row, of a static one the first known one of each series."""
    if column.role != "static":
        return table[column.name]
    series = table.group_by([part.name for part in contract.series], maintain_order=True)
    return series.agg(pl.col(column.name).drop_nulls().first())[column.name]


def series_features(panel: Panel, contract: Contract) -> dict[str, NDArray[np.float64]]:
    """What makes series alike or not, over their last two seasons: one value per series, NaN where it has none.

    ``level`` is the mean size in the target's unit, ``zeros`` the share of steps at zero, ``variation`` the standard
    deviation over the level, ``trend`` the change from the first half to the second over the level; a series too young
    for a first half has none. The length itself does not count: training looks at every series from its
    ``minimumHistory`` on.
    """
    window = panel.values[:, -max(2 * contract.season, contract.horizon) :].astype(np.float64)
    size, middle = np.abs(window), window.shape[1] // 2
    level = _mean(size)
    with np.errstate(divide="ignore", invalid="ignore"):
        return {
            "level": level,
            "zeros": _mean(np.where(np.isfinite(window), window == 0, np.nan)),
            "variation": np.sqrt(_mean((window - _mean(window)[:, None]) ** 2)) / level,
            "trend": (_mean(size[:, middle:]) - _mean(size[:, :middle])) / level,
        }


def _mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over the known steps ``[series]``; NaN where none is known."""
    known = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        mean: NDArray[np.float64] = np.where(known, values, 0).sum(axis=1) / known.sum(axis=1)
    return mean


def _profile(values: pl.Series, column: Column) -> ColumnProfile:
    return _profile_texts(values, column) if column.kind == "category" else profile_numbers(values)


def _profile_texts(values: pl.Series, column: Column) -> ColumnProfile:
    known = values.drop_nulls()
    categories = tuple(text for text in column.categories if (known == text).sum() >= FEWEST)
    empty = ColumnProfile(rows=len(values), missing=_missing(known, values), shares=(), categories=categories)
    counts = empty.counts(known)
    counts[-1] *= counts[-1] >= FEWEST
    return empty.model_copy(update={"shares": _shares(counts)})


def profile_numbers(values: pl.Series) -> ColumnProfile:
    """Profile of numbers, null or NaN where missing."""
    numbers = values.cast(pl.Float64)
    known = numbers.filter(numbers.is_finite()).sort()
    empty = ColumnProfile(rows=len(values), missing=_missing(known, values), shares=())
    if len(known) < FEWEST:
        return empty
    binned = empty.model_copy(update={
        "edges": _edges(known.to_numpy()),
        "minimum": _three_digits(float(known[0]), math.floor), "maximum": _three_digits(float(known[-1]), math.ceil),
    })  # fmt: skip
    return binned.model_copy(update={"shares": _shares(binned.counts(known))})


def _edges(ordered: NDArray[np.float64]) -> tuple[float, ...]:
    """Rounded deciles; those between which too few values would lie are left out."""
    kept: list[float] = []
    counted = 0
    for decile in np.quantile(ordered, np.arange(1, BINS) / BINS):
        edge = _three_digits(float(decile), round)
        below = int(np.searchsorted(ordered, edge, side="right"))
        if min(below - counted, len(ordered) - below) >= FEWEST:
            kept.append(edge)
            counted = below
    return tuple(kept)


def _missing(known: pl.Series, values: pl.Series) -> float:
    return round(1 - len(known) / len(values), 6) if len(values) else 0.0


def _shares(counts: Counts) -> tuple[float, ...]:
    return tuple(round(int(count) / max(int(counts.sum()), 1), 6) for count in counts)


def _three_digits(value: float, towards: Callable[[float], int]) -> float:
    """Three significant digits: a shipped edge is nobody's exact value.

    >>> _three_digits(1168.7, math.floor), _three_digits(0.07, math.ceil)
    (1160.0, 0.07)
    """
    if value == 0:
        return 0.0
    unit = 10.0 ** (math.floor(math.log10(abs(value))) - 2)
    return float(f"{towards(round(value / unit, 6)) * unit:.12g}")
