"""The forecaster as a yardstick: what a demand model must beat on a firm's own series."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dxai.contract import Contract
from dxai.contract.signature import LEVELS
from dxai.data.levels import Bounds
from dxai.data.naive import Forecast
from dxai.forecaster.graph import AT_ONCE, Forecaster, Forecasts

Array = NDArray[np.float32]


def experts(past: Array, contract: Contract) -> Forecast | None:
    """Forecasts by experts that were never trained; None where the contract's horizon is longer than their graph's.

    Args:
        past: ``[series, time]``, NaN before a series begins and where a value is missing.
        contract: Of a demand task.
    """
    made = _forecasts(past, contract)
    if made is None:
        return None
    return Forecast(made.quantiles[..., LEVELS.index(0.5)], made.quantiles)


def expert_bounds(past: Array, contract: Contract) -> Bounds | None:
    """Means of the same forecasts, and the outermost of `LEVELS` around them ``[series, horizon]``."""
    made = _forecasts(past, contract)
    return None if made is None else Bounds(made.mean, made.quantiles[..., 0], made.quantiles[..., -1])


def _forecasts(past: Array, contract: Contract) -> Forecasts | None:
    """Means, and quantiles at `LEVELS`."""
    assert contract.frequency is not None  # checked when the contract was read
    forecaster = Forecaster(contract.frequency)
    if contract.horizon > forecaster.horizon:
        return None
    history = past[:, -forecaster.longest :]
    places = [forecaster.levels.index(level) for level in LEVELS]
    parts = [
        forecaster.forecast(history[first : first + AT_ONCE], contract.horizon)
        for first in range(0, len(history), AT_ONCE)
    ]
    quantiles = np.concatenate([part.quantiles[..., places] for part in parts])
    return Forecasts(np.concatenate([part.mean for part in parts]), quantiles)
