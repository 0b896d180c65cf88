"""What to order: the quantity that covers the demand of all steps of a lead time with a given probability.

Steps are drawn together by a Gaussian copula: all pairs of steps are correlated alike, by so much that orders of the
model's held-out horizons would have been enough. Source: Clemen and Reilly (1999), Correlations and Copulas for
Decision and Risk Analysis.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dxai.contract import Contract
from dxai.contract.signature import LEVELS
from dxai.errors import SettingsError

Array = NDArray[np.float64]

CORRELATION = "step_correlation"
"""Key of a bundle's metrics.json."""

_DRAWS, _AT_ONCE, _LOOKED_AT = 1_000, 200, 500
"""Draws of each step, series at once, and series by which the correlation is found."""
_GRID = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.99)
_ENOUGH = 0.9
"""Share of held-out horizons that an order of this service level must cover."""


def covering_correlation(
    truths: Sequence[NDArray[np.floating]], quantiles: Sequence[NDArray[np.floating]], floor: float | None = None
) -> float:
    """The least correlation of steps with which orders of nine in ten would have been enough nine times in ten.

    It also makes up for errors that all series of an origin share, which no correlation within a series knows.

    Args:
        truths: Of each origin ``[series, horizon]``, NaN where unknown: such series do not count.
        quantiles: Of each origin ``[series, horizon, level]``, the outermost ones calibrated.
        floor: Least value of the target.
    """
    whole = [np.flatnonzero(np.isfinite(truth).all(axis=1)) for truth in truths]
    some = [rows[:: max(1, len(rows) // _LOOKED_AT)][:_LOOKED_AT] for rows in whole]
    parts = [
        (t[rows].sum(axis=1), q[rows].astype(np.float64)) for t, q, rows in zip(truths, quantiles, some, strict=True)
    ]
    parts = [part for part in parts if len(part[0])]
    if not parts:
        return _GRID[-1]

    def covers(correlation: float) -> bool:
        shares = [(sums <= _sums(q, _ENOUGH, correlation, floor)).mean() for sums, q in parts]
        return float(np.mean(shares)) >= _ENOUGH

    return _GRID[min(bisect_left(_GRID, True, key=covers), len(_GRID) - 1)]


def orders(
    forecast: pl.DataFrame, contract: Contract, names: list[str], *, service_level: float, lead_time: int = 0,
    correlation: float = 1.0,
) -> pl.DataFrame:  # fmt: skip
    """One row per series: the order quantity of the first steps, and the mean of what they will need.

    Args:
        forecast: Answer of a demand model, the steps of a series in order; series without a forecast are left out.
        contract: Of the model.
        names: Columns of the answer that name the series.
        service_level: Probability that the quantity is enough.
        lead_time: Steps; 0: the horizon.
        correlation: Of the steps; 1: on the safe side.

    Raises:
        SettingsError: The service level is no probability, or the lead time is longer than the horizon.
    """
    if not 0 < service_level < 1:
        raise SettingsError("A service level lies between 0 and 1.", where="--service-level", fix="Such as 0.95.")
    if not 0 <= lead_time <= contract.horizon:
        told = f"The model looks {contract.horizon} steps ahead, and a lead time of {lead_time} was asked for."
        raise SettingsError(told, where="--lead-time", fix=f"Use 1 to {contract.horizon}.")
    target, steps = contract.target.name, lead_time or contract.horizon
    known = forecast.filter(pl.col(f"{target}_mean").is_not_null())
    inner = [f"{target}_q{round(100 * level)}" for level in LEVELS[1:-1]]
    cells = known.select(f"{target}_lower", *inner, f"{target}_upper").to_numpy()
    quantiles = cells.reshape(-1, contract.horizon, len(LEVELS)).astype(np.float64)[:, :steps]
    mean = known[f"{target}_mean"].to_numpy().reshape(-1, contract.horizon)[:, :steps].sum(axis=1)
    share = f"{100 * service_level:g}".replace(".", "_")
    return known[:: contract.horizon].select(names).with_columns(
        pl.Series("steps", np.full(len(mean), steps)), pl.Series(f"{target}_mean", mean),
        pl.Series(f"{target}_order_{share}", _sums(quantiles, service_level, correlation, contract.target.minimum)),
    )  # fmt: skip


def _sums(quantiles: Array, level: float, correlation: float, floor: float | None) -> Array:
    """That quantile of the sum over the steps ``[series]``."""
    places = _places(quantiles.shape[1], correlation)
    found = []
    for first in range(0, len(quantiles), _AT_ONCE):
        drawn = _drawn(quantiles[first : first + _AT_ONCE], places)
        if floor is not None:
            drawn = np.maximum(drawn, floor)
        found.append(np.quantile(drawn.sum(axis=2), level, axis=1, method="hazen"))
    return np.concatenate([np.empty(0), *found])


def _places(steps: int, correlation: float) -> Array:
    """Probabilities ``[draws, steps]``, the same for all series and for the page of a model (orders.js).

    Correlated normal scores, half of them and their mirror images so that the middle is where it belongs, of which the
    ranks count: so every step has each thousandth of its distribution once.
    Source: Stein (1987), Large Sample Properties of Simulations Using Latin Hypercube Sampling.
    """
    normal = _normal(np.arange(_DRAWS // 2)[:, None], np.arange(steps + 1))
    half = math.sqrt(correlation) * normal[:, :1] + math.sqrt(1 - correlation) * normal[:, 1:]
    score = np.concatenate([half, -half])
    return (score.argsort(axis=0, kind="stable").argsort(axis=0) + 0.5) / _DRAWS


def _normal(draws: NDArray[np.int_], steps: NDArray[np.int_]) -> Array:
    """Standard normal numbers of these draws and steps, by Box and Muller; step 0 is what all steps share.

    They come from a hash of their place and not from numpy's generator, so that JavaScript finds the same.
    """
    first, second = (
        (_hashed(_hashed(draws.astype(np.uint32)) + (2 * steps + part).astype(np.uint32)) + 0.5) / 2**32
        for part in (0, 1)
    )
    return np.asarray(np.sqrt(-2 * np.log(first)) * np.cos(2 * math.pi * second))


def _hashed(number: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Spreads whole numbers over 32 bits. Source: Chris Wellons's hash-prospector, lowbias32."""
    number = (number ^ (number >> np.uint32(16))) * np.uint32(0x7FEB352D)
    number = (number ^ (number >> np.uint32(15))) * np.uint32(0x846CA68B)
    return number ^ (number >> np.uint32(16))


def _drawn(quantiles: Array, places: Array) -> Array:
    """Values at these probabilities ``[series, draws, steps]``: straight between levels, exponential tails beyond."""
    scaled = places * (len(LEVELS) + 1) - 1  # place among the levels, which lie evenly
    below = np.clip(np.floor(scaled).astype(int), 0, len(LEVELS) - 2)
    step = np.arange(quantiles.shape[1])[None, :]
    low, high = quantiles[:, step, below], quantiles[:, step, below + 1]
    made = low + (high - low) * np.clip(scaled - below, 0, 1)
    edge = 1 / (len(LEVELS) + 1)
    last, first = quantiles[:, :, -1] - quantiles[:, :, -2], quantiles[:, :, 1] - quantiles[:, :, 0]
    upper = np.log(np.maximum(edge / np.maximum(1 - places, 1e-12), 1.0)) / math.log(2)
    lower = np.log(np.maximum(edge / np.maximum(places, 1e-12), 1.0)) / math.log(2)
    return np.asarray(made + last[:, None, :] * upper - first[:, None, :] * lower)
