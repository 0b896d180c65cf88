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
from dxai.data.naive import Forecast
from dxai.networks.experts import Experts

Array = NDArray[np.float32]
Numbers = NDArray[np.int64]

NEIGHBOURS = 15
_SERIES_AT_ONCE = 128


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
    network = Experts(context=Experts.context_of(season, horizon), horizon=horizon, season=season).eval()
    with torch.inference_mode():
        parts = [network(part) for part in torch.split(torch.as_tensor(past), _SERIES_AT_ONCE)]
    made: Array = torch.cat([quantiles * unit[:, :, None] for quantiles, _, unit in parts]).numpy()
    return Forecast(made[..., LEVELS.index(0.5)], made)


def _shares(fitted: Any, test: Array) -> Array:
    made: Array = fitted.predict_proba(test).astype(np.float32)
    return made


QUALITY: dict[str, Callable[[Array, Array, Array], Array]] = {"mean": mean, "linear": linear}
CLASSES: dict[str, Callable[[Array, Numbers, Array], Array]] = {
    "prior": prior,
    "logistic": logistic,
    "nearest": nearest,
}
