"""Naive forecasts of a panel: what every demand model must beat, in training and on a firm's own series."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dxai.contract.signature import LEVELS

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Forecast:
    """A point forecast ``[series, horizon]`` and its quantiles ``[series, horizon, level]``."""

    point: Array
    quantiles: Array


@dataclass(frozen=True)
class Past:
    """Histories up to an origin.

    Attributes:
        values: NaN where a value is missing ``[series, time]``.
        filled: Gaps filled with the value before them; NaN stays before a series begins.
        season: Steps of one season.
    """

    values: Array
    filled: Array
    season: int

    @classmethod
    def of(cls, values: Array, *, season: int) -> Past:
        """Histories with their gaps."""
        known = np.where(np.isnan(values), 0, np.arange(values.shape[1])[None, :])
        return cls(values, np.take_along_axis(values, np.maximum.accumulate(known, axis=1), axis=1), season)

    def until(self, origin: int) -> Past:
        """The same before an origin: what fills a gap lies before it."""
        return Past(self.values[:, :origin], self.filled[:, :origin], self.season)


def last_value(past: Past, horizon: int) -> Array:
    """The last known value, carried on (naive)."""
    return np.repeat(past.filled[:, -1:], horizon, axis=1)


def seasonal_naive(past: Past, horizon: int) -> Array:
    """The value of one season ago; the last value where the series is shorter than a season."""
    if past.filled.shape[1] < past.season:
        return last_value(past, horizon)
    cycle = np.tile(past.filled[:, -past.season :], (1, -(-horizon // past.season)))[:, :horizon]
    return np.where(np.isnan(cycle), past.filled[:, -1:], cycle)


def four_step_average(past: Past, horizon: int) -> Array:
    """The average of the last four steps, carried on; the last known value where all four are missing."""
    recent = past.values[:, -4:]
    known = np.isfinite(recent).sum(axis=1, keepdims=True)
    average = np.nansum(recent, axis=1, keepdims=True) / np.maximum(known, 1)
    return np.repeat(np.where(known > 0, average, past.filled[:, -1:]), horizon, axis=1)


DEMAND: dict[str, Callable[[Past, int], Array]] = {
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
    whole = Past.of(past, season=season)
    point = rule(whole, horizon)
    first = max(season, 4) if name == "seasonal naive" else 4
    origins = range(max(1, min(first, past.shape[1] - horizon - 1)), past.shape[1] - horizon + 1)
    errors = [past[:, o : o + horizon] - rule(whole.until(o), horizon) for o in origins]
    none = np.full((len(past), 1), np.nan, np.float32)  # a history of one horizon has no error to learn from
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        spread = np.nanquantile(np.concatenate([*errors, none], axis=1), LEVELS, axis=1).T[:, None, :]
    return Forecast(point, (point[:, :, None] + np.nan_to_num(spread)).astype(np.float32))
