"""Simple predictions that a quality model must beat, scored on the same rows; for demand see `dxai.data.naive`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

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
