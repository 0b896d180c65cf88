"""Sums of forecasts by the levels of a hierarchy: means that add up as printed, and intervals.

Where training found it better, the series' means first give way to forecasts of the levels by themselves (MinT with the
variances that all forecasts' intervals tell, so that series which no training saw are no worse off).

An interval of a sum is an approximation: the series' half-widths go together as if all pairs of series were correlated
alike, by so much that the level's intervals would have covered the sums of the model's held-out origins.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dxai.contract import Contract
from dxai.contract.signature import COVERAGE
from dxai.data.hierarchy import SERIES, Array, Covariance, Hierarchy, reconciled
from dxai.errors import DataError

MINT = "mint_width"
"""Reconciled by the widths of intervals: the way's name in a bundle's metrics.json."""

_GRID = (0.0, *(10 ** (power / 8) for power in range(-32, 1)))
"""Correlations that are tried: of many series little ones matter, too."""
_DIGITS, _DECIMALS = 3, 2
"""Significant digits that a usual mean keeps, and decimals that all keep at least."""


@dataclass(frozen=True)
class Bounds:
    """Forecasts of series with their intervals, each ``[series, step]``."""

    mean: NDArray[np.floating]
    lower: NDArray[np.floating]
    upper: NDArray[np.floating]

    def where(self, known: NDArray[np.bool_]) -> Bounds:
        """The same, missing elsewhere."""
        return Bounds(*(np.where(known, part, np.nan) for part in (self.mean, self.lower, self.upper)))


def agreed(hierarchy: Hierarchy, made: Bounds, upper: Bounds, minimum: float | None) -> Bounds:
    """Forecasts of the series that agree with those of the upper nodes; intervals move with their means.

    Args:
        hierarchy: Of the series.
        made: Of the series ``[series, step]``.
        upper: Of each upper node by itself ``[upper node, step]``.
        minimum: Least value of the target.
    """
    widths = np.concatenate([upper.upper - upper.lower, made.upper - made.lower])
    mean = reconciled(hierarchy, np.concatenate([upper.mean, made.mean]), Covariance.of_widths(widths))
    moved = [mean, made.lower + (mean - made.mean), made.upper + (mean - made.mean)]
    return Bounds(*moved) if minimum is None else Bounds(*(np.maximum(part, minimum) for part in moved))


def interval(made: Bounds, hierarchy: Hierarchy, correlation: Mapping[str, float]) -> tuple[Array, Array]:
    """Bounds of the sums ``[upper node, step]``.

    Args:
        made: Forecasts of the series; missing ones do not count.
        hierarchy: Of the series.
        correlation: Of the series' errors by level; 1, the widest, where none is given.
    """
    mean = hierarchy.sums(made.mean)
    each = np.array([correlation.get(level.name, 1.0) for level in hierarchy.levels])
    alike = np.repeat(each, [len(level) for level in hierarchy.levels])[:, None]

    def together(width: Array) -> Array:
        width = np.maximum(width, 0.0)
        return np.sqrt((1 - alike) * hierarchy.sums(width**2) + alike * hierarchy.sums(width) ** 2)

    return mean - together(made.mean - made.lower), mean + together(made.upper - made.mean)


def covering_correlations(
    hierarchy: Hierarchy, truths: Sequence[NDArray[np.floating]], made: Sequence[Bounds]
) -> dict[str, float]:
    """By level the least correlation of series with which its intervals cover as promised.

    Args:
        hierarchy: Of the series.
        truths: Of each origin ``[series, step]``; a step of a series without one does not count.
        made: Of each origin.
    """

    def covers(name: str, correlation: float) -> bool:
        found = [coverages(hierarchy, t, m, {name: correlation})[name] for t, m in zip(truths, made, strict=True)]
        return float(np.mean(found)) >= COVERAGE

    return {
        level.name: _GRID[min(bisect_left(_GRID, True, key=lambda c, n=level.name: covers(n, c)), len(_GRID) - 1)]  # type: ignore[misc]
        for level in hierarchy.levels
    }


def coverages(
    hierarchy: Hierarchy, truth: NDArray[np.floating], made: Bounds, correlation: Mapping[str, float]
) -> dict[str, float]:
    """By level the share of an origin's sums that their intervals hold."""
    sums = hierarchy.sums(truth)
    lower, upper = interval(made.where(np.isfinite(truth)), hierarchy, correlation)
    held = np.where(np.isfinite(sums), (lower <= sums) & (sums <= upper), np.nan)
    return {name: float(np.nanmean(part)) for name, part in hierarchy.split(held).items()}


def levels_of(
    forecast: pl.DataFrame, groups: pl.DataFrame, contract: Contract, correlation: Mapping[str, float],
    upper: Callable[[Hierarchy], Bounds | None] | None = None,
) -> pl.DataFrame:  # fmt: skip
    """One row per level, group and step: the total first, the series last; a name that is summed over is empty.

    The series' means are rounded first, so that the rows above are their sums to the last digit.

    Args:
        forecast: Answer of a demand model, the steps of a series in order; series without a forecast are left out.
        groups: Names of the hierarchy and of the series; one row per series of the answer that has a forecast.
        contract: Of the model.
        correlation: Of the series' errors by level.
        upper: Forecasts of the upper nodes by themselves, with which the series' are to agree; None, or where it has
            none: they stay.
    """
    target, time = contract.target.name, contract.only("time").name
    columns = [f"{target}_{name}" for name in ("mean", "lower", "upper")]
    known = forecast.filter(pl.col(columns[0]).is_not_null())
    _refuse_other_days(known, time, contract.horizon)
    days = known[time][: contract.horizon]
    made = Bounds(*(known[c].cast(pl.Float64).to_numpy().reshape(-1, len(days)) for c in columns))
    hierarchy = Hierarchy.of(groups.select(contract.hierarchy))
    if upper is not None and (above := upper(hierarchy)) is not None:
        made = agreed(hierarchy, made, above, contract.target.minimum)
    scale = 10 ** _decimals(np.asarray(made.mean))
    whole = np.round(made.mean * scale)  # sums of whole numbers are exact
    low, high = interval(made, hierarchy, correlation)
    if contract.target.minimum is not None:
        low = np.maximum(low, contract.target.minimum)
    sums = {
        level.name: (level.members, cells)
        for level, *cells in zip(
            hierarchy.levels, *(hierarchy.split(part).values() for part in (hierarchy.sums(whole), low, high)),
            strict=True,
        )
    }  # fmt: skip
    parts = []
    for name, (members, (tens, *bounds)) in (sums | {SERIES: (groups, [whole, made.lower, made.upper])}).items():
        numbers = [tens / scale, *(np.round(bound * scale) / scale for bound in bounds)]
        row = pl.Series(np.repeat(np.arange(len(tens)), len(days)))
        keys = [pl.repeat(name, len(row), eager=True).alias("level"), *(part.gather(row) for part in members)]
        told = [pl.Series(column, cells.ravel()) for column, cells in zip(columns, numbers, strict=True)]
        parts.append(pl.DataFrame([*keys, pl.concat([days] * len(tens)), *told]))
    return pl.concat(parts, how="diagonal").select("level", *groups.columns, time, *columns)


def _decimals(mean: Array) -> int:
    """Decimals of all printed numbers, by what is usual among the means."""
    usual = float(np.median(mean[mean > 0])) if (mean > 0).any() else 1.0
    return max(_DECIMALS, _DIGITS - 1 - math.floor(math.log10(usual)))


def _refuse_other_days(known: pl.DataFrame, time: str, horizon: int) -> None:
    """Forecasts of different days are not added up."""
    first = known[time].gather_every(horizon)
    early = int((first < first.max()).sum())
    if early:
        series = "1 series ends" if early == 1 else f"{early:,} series end"
        raise DataError(
            f"{series} before the others: forecasts of other steps cannot be added up.", where=f"column {time}",
            fix="Bring their rows up to the last step, or leave these series out.",
        )  # fmt: skip
