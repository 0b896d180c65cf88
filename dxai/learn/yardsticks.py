"""Simple forecasts and predictions that a model must beat, scored on the same rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dxai.learn.metrics import QUANTILES

Array = NDArray[np.float32]


def mean(features: Array, target: Array, test: Array) -> Array:
    """The mean of the training target for every test row ``[rows]``."""
    return np.full(len(test), target.mean(), dtype=np.float32)


def linear(features: Array, target: Array, test: Array) -> Array:
    """Ordinary least squares; features ``[rows, columns]`` without missing values."""

    def with_constant(x: Array) -> Array:
        return np.column_stack([np.ones(len(x), np.float32), x])

    weights, *_ = np.linalg.lstsq(with_constant(features).astype(np.float64), target.astype(np.float64), rcond=None)
    return (with_constant(test) @ weights).astype(np.float32)


QUALITY: dict[str, Callable[[Array, Array, Array], Array]] = {"mean": mean, "linear": linear}


@dataclass(frozen=True)
class Forecast:
    """A point forecast ``[series, horizon]`` and its quantiles ``[series, horizon, level]``."""

    point: Array
    quantiles: Array


def last_value(past: Array, horizon: int, season: int) -> Array:
    """The last known value, carried on (naive)."""
    return np.repeat(_filled(past)[:, -1:], horizon, axis=1)


def seasonal_naive(past: Array, horizon: int, season: int) -> Array:
    """The value of one season ago; the last value where the series is shorter than a season."""
    filled = _filled(past)
    if filled.shape[1] < season:
        return last_value(past, horizon, season)
    cycle = np.tile(filled[:, -season:], (1, -(-horizon // season)))[:, :horizon]
    return np.where(np.isnan(cycle), filled[:, -1:], cycle)


def four_step_average(past: Array, horizon: int, season: int) -> Array:
    """The average of the last four steps, carried on; the last known value where all four are missing."""
    recent = past[:, -4:]
    known = np.isfinite(recent).sum(axis=1, keepdims=True)
    average = np.nansum(recent, axis=1, keepdims=True) / np.maximum(known, 1)
    return np.repeat(np.where(known > 0, average, _filled(past)[:, -1:]), horizon, axis=1)


DEMAND: dict[str, Callable[[Array, int, int], Array]] = {
    "last value": last_value,
    "seasonal naive": seasonal_naive,
    "4-step average": four_step_average,
}


def forecast(name: str, past: Array, horizon: int, season: int) -> Forecast:
    """A yardstick with quantiles: its point plus the quantiles of its own errors on the same series' past.

    Args:
        name: Key of `DEMAND`.
        past: ``[series, time]``, NaN before a series begins.
        horizon: Steps to forecast.
        season: Steps of one season.
    """
    rule = DEMAND[name]
    point = rule(past, horizon, season)
    first = max(season, 4) if name == "seasonal naive" else 4
    origins = range(min(first, past.shape[1] - horizon - 1), past.shape[1] - horizon + 1)
    errors = np.concatenate(
        [past[:, o : o + horizon] - rule(past[:, :o], horizon, season) for o in origins if o > 0], axis=1
    )
    spread = np.nanquantile(errors, QUANTILES, axis=1).T[:, None, :]
    return Forecast(point, (point[:, :, None] + np.nan_to_num(spread)).astype(np.float32))


def _filled(past: Array) -> Array:
    """Gaps filled with the value before them; NaN stays before a series begins."""
    known = np.where(np.isnan(past), 0, np.arange(past.shape[1])[None, :])
    return np.take_along_axis(past, np.maximum.accumulate(known, axis=1), axis=1)
