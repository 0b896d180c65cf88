"""What a model must beat without much ado, scored on the same rows; naive forecasts are in `dxai.data.naive`."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from dxai.contract.signature import LEVELS
from dxai.data.levels import Bounds
from dxai.data.naive import Forecast
from dxai.learn.parts import in_parts
from dxai.networks.experts import Experts

Array = NDArray[np.float32]
Numbers = NDArray[np.int64]

NEIGHBOURS = 15


def mean(features: Array, target: Array, test: Array) -> Array:
    """The mean of the training target for every test row ``[rows]``."""
    return np.full(len(test), target.mean(), dtype=np.float32)


def linear(features: Array, target: Array, test: Array) -> Array:
    """Ordinary least squares; features ``[rows, columns]`` without missing values."""

    def with_constant(x: Array) -> Array:
        return np.column_stack([np.ones(len(x), np.float32), x])

    weights, *_ = np.linalg.lstsq(with_constant(features).astype(np.float64), target.astype(np.float64), rcond=None)
    return (with_constant(test) @ weights).astype(np.float32)


def prior(features: Array, target: Numbers, test: Array) -> Array:
    """The classes' shares among the training rows for every test row ``[rows, classes]``; all classes are there."""
    return np.tile(np.bincount(target) / len(target), (len(test), 1)).astype(np.float32)


def logistic(features: Array, target: Numbers, test: Array) -> Array:
    """Logistic regression with the usual ridge; features ``[rows, columns]`` without missing values."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # near its optimum it is a yardstick as well
        return _shares(LogisticRegression(max_iter=1000).fit(features, target), test)


def nearest(features: Array, target: Numbers, test: Array) -> Array:
    """Shares of the classes among the `NEIGHBOURS` nearest training rows."""
    return _shares(KNeighborsClassifier(min(NEIGHBOURS, len(features))).fit(features, target), test)


def experts(past: Array, horizon: int, season: int) -> Forecast:
    """Forecasts of experts that were never trained, see `dxai.networks.experts`.

    Args:
        past: ``[series, time]``, NaN before a series begins and where a value is missing.
        horizon: Steps to forecast.
        season: Steps of one season.
    """
    quantiles, _ = _of_experts(past, horizon, season)
    return Forecast(quantiles[..., LEVELS.index(0.5)], quantiles)


def expert_bounds(past: Array, horizon: int, season: int) -> Bounds:
    """Means of the same forecasts, and the outermost of `LEVELS` around them."""
    quantiles, mean = _of_experts(past, horizon, season)
    return Bounds(mean, quantiles[..., 0], quantiles[..., -1])


def _of_experts(past: Array, horizon: int, season: int) -> tuple[Array, Array]:
    network = Experts(context=Experts.context_of(season, horizon), horizon=horizon, season=season).eval()
    quantiles, mean, unit = in_parts(network, [torch.as_tensor(past)])
    return (quantiles * unit[:, :, None]).numpy(), (mean * unit).numpy()


def _shares(fitted: Any, test: Array) -> Array:
    made: Array = fitted.predict_proba(test).astype(np.float32)
    return made


QUALITY: dict[str, Callable[[Array, Array, Array], Array]] = {"mean": mean, "linear": linear}
CLASSES: dict[str, Callable[[Array, Numbers, Array], Array]] = {
    "prior": prior,
    "logistic": logistic,
    "nearest": nearest,
}
