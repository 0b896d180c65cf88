"""What prices and promotions do: forecasts of the last horizon with other plans, all else equal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dxai.contract import Column
from dxai.data.batch import Arrays
from dxai.learn.demand import DemandTask
from dxai.learn.predictor import DemandPredictor

Array = NDArray[np.float64]

_MOST, _GRID = 6, (0.1, 0.25, 0.5, 0.75, 0.9)
"""Columns that are drawn, and quantiles of a number that are tried."""
_DRAWS = 200
_SERIES = 500
"""Drawn with replacement for the band; forecast at most, evenly chosen."""


@dataclass(frozen=True)
class PlanEffect:
    """Of one column that is known ahead.

    Attributes:
        column: Of the contract.
        values: That every step ahead had: numbers, or texts.
        ratio: Sum of the mean forecasts, over that with the first value ``[values]``.
        low, high: Of the middle 80 % of resampled series; equal to ``ratio`` where there are fewer than ten.
    """

    column: Column
    values: list[Any]
    ratio: Array
    low: Array
    high: Array

    @property
    def sentence(self) -> str:
        """For a person: the last value against the first."""
        band = f" ({self.low[-1]:.2f} to {self.high[-1]:.2f})" if self.high[-1] > self.low[-1] else ""
        first, last = (
            f"{value:g}" if isinstance(value, float) else str(value) for value in (self.values[0], self.values[-1])
        )
        return (
            f"{self.column.title_en}: with {last} in place of {first} the forecast is {self.ratio[-1]:.2f} times{band}."
        )


def plan_effects(task: DemandTask, predictor: DemandPredictor) -> list[PlanEffect]:
    """Of the columns that are known ahead and are no mask, in contract order."""
    horizon = task.contract.horizon
    panel = task.panel.until(horizon, task.frequency)
    every = max(1, -(-len(panel.ids) // _SERIES))
    panel = panel.only(np.arange(len(panel.ids)) % every == 0)
    arrays = task.codec.encode_panel(panel).arrays
    found = []
    for column in [c for c in task.contract.ahead if c.role == "known_future"][:_MOST]:
        values = _values(column, panel.beside[column.name])
        if len(values) < 2:
            continue
        sums = [_sum_of(predictor, arrays | {column.name: _planned(arrays[column.name], v, horizon)}) for v in values]
        found.append(_effect(column, values, np.stack(sums)))
    return found


def _sum_of(predictor: DemandPredictor, arrays: Arrays) -> Array:
    """Mean forecasts of each series, summed over the steps ahead ``[series]``."""
    return np.asarray(np.nansum(predictor.answer(arrays)["mean"], axis=1), np.float64)


def _values(column: Column, beside: NDArray[Any]) -> list[Any]:
    """What is tried: all categories, a flag's two values, else five quantiles of a number."""
    if column.kind == "category":
        return list(column.categories)
    known = beside[np.isfinite(beside)]
    different = np.unique(known)
    if len(different) <= len(_GRID):
        return [float(value) for value in different]
    return [float(f"{value:.4g}") for value in np.unique(np.quantile(known, _GRID))]


def _planned(values: NDArray[Any], value: Any, horizon: int) -> NDArray[Any]:
    made = values.copy()
    made[:, -horizon:] = value
    return made


def _effect(column: Column, values: list[Any], sums: Array) -> PlanEffect:
    total = sums.sum(axis=1)
    ratio = total / total[0] if total[0] else np.ones(len(values))
    if sums.shape[1] < 10 or not total[0]:
        return PlanEffect(column, values, ratio, ratio, ratio)
    draw = np.random.default_rng(0).integers(0, sums.shape[1], (_DRAWS, sums.shape[1]))
    resampled = sums[:, draw].sum(axis=2)
    low, high = np.quantile(resampled / np.maximum(resampled[0], 1e-12), (0.1, 0.9), axis=1)
    return PlanEffect(column, values, ratio, low, high)
