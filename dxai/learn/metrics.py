"""Scores, each with its definition and source. Arrays in, one number out; steps without a known truth do not count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]

QUANTILES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""Levels of every probabilistic forecast; .1 and .9 bound the 80 % interval."""

COVERAGE = 0.8
"""Promised coverage of every interval."""


def rmse(truth: Array, prediction: Array) -> float:
    """Root mean squared error, in the target's unit."""
    return float(np.sqrt(np.mean((truth - prediction) ** 2)))


def mae(truth: Array, prediction: Array) -> float:
    """Mean absolute error, in the target's unit."""
    return float(np.mean(np.abs(truth - prediction)))


def r2(truth: Array, prediction: Array) -> float:
    """Coefficient of determination: 1 is perfect, 0 is as good as the mean of these rows."""
    return float(1 - np.sum((truth - prediction) ** 2) / np.sum((truth - truth.mean()) ** 2))


def coverage(truth: Array, lower: Array, upper: Array) -> float:
    """Share of truths inside the closed interval."""
    known = np.isfinite(truth)
    return float(np.mean(((lower <= truth) & (truth <= upper))[known]))


def width(lower: Array, upper: Array) -> float:
    """Mean width of the interval, in the target's unit."""
    return float(np.mean(upper - lower))


def wape(truth: Array, prediction: Array) -> float:
    """Weighted absolute percentage error: Σ|y−f| / Σ|y| (Kolassa and Schütz 2007)."""
    return float(np.nansum(np.abs(truth - prediction)) / np.nansum(np.abs(truth)))


def bias(truth: Array, prediction: Array) -> float:
    """Share by which the total is over- (+) or under-forecast (−): Σ(f−y) / Σy."""
    return float(np.nansum(prediction - truth) / np.nansum(truth))


def mase(truth: Array, prediction: Array, past: Array, lag: int) -> float:
    """Mean absolute scaled error, per series, then averaged (Hyndman and Koehler 2006).

    Args:
        truth: ``[series, horizon]``.
        prediction: ``[series, horizon]``.
        past: Training part ``[series, time]``, NaN before a series begins.
        lag: Step of the naive forecast that scales the error, 1 or the season.
    """
    scale = np.nanmean(np.abs(past[:, lag:] - past[:, :-lag]), axis=1)
    return _mean_scaled(_mean_per_series(np.abs(truth - prediction)), scale)


def rmsse(truth: Array, prediction: Array, past: Array, lag: int) -> float:
    """Root mean squared scaled error, per series, then averaged (Makridakis et al. 2022, M5); arguments as `mase`."""
    scale = np.sqrt(np.nanmean((past[:, lag:] - past[:, :-lag]) ** 2, axis=1))
    return _mean_scaled(np.sqrt(_mean_per_series((truth - prediction) ** 2)), scale)


def _mean_scaled(error: Array, scale: Array) -> float:
    """Mean over series; one whose past never moves, or of which no truth is known, is left out."""
    usable = (scale > 0) & np.isfinite(error)
    return float((error[usable] / scale[usable]).mean())


def _mean_per_series(error: Array) -> Array:
    """Mean over the known steps ``[series]``, NaN where none is known."""
    known = np.isfinite(error).sum(axis=1)
    return np.where(known > 0, np.nansum(error, axis=1) / np.maximum(known, 1), np.nan)


def weighted_quantile_loss(truth: Array, quantiles: Array) -> float:
    """Mean over the levels of 2·Σ pinball / Σ|y| (Gneiting 2011; the wQL of the M5 and of GluonTS).

    Args:
        truth: ``[series, horizon]``.
        quantiles: Forecasts ``[series, horizon, level]`` at `QUANTILES`.
    """
    levels = np.asarray(QUANTILES)
    error = truth[..., None] - quantiles
    pinball = np.maximum(levels * error, (levels - 1) * error)
    return float((2 * np.nansum(pinball, axis=(0, 1)) / np.nansum(np.abs(truth))).mean())


def mean_scores(folds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Mean of every score over folds or origins, each counted alike."""
    return {name: float(np.mean([fold[name] for fold in folds])) for name in folds[0]}
