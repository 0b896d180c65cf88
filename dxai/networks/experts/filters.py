"""Exponential smoothing as linear filters: from a model's state-space form to impulse responses.

An exponential smoother with fixed parameters is linear in its history. In innovations form (Hyndman et al. 2008,
*Forecasting with Exponential Smoothing*, chapter 3) it forecasts ``w'x`` and corrects its state by the error:

    error[t] = y[t] - w'x[t-1]        x[t] = F x[t-1] + g error[t] = D x[t-1] + g y[t],   D = F - g w'

so the value ``j`` steps before the newest enters the state with ``D^j g`` and the forecast ``k`` steps ahead with
``w' F^(k-1) D^j g``. Those numbers are computed here once, for every row of a parameter grid; a network then needs one
convolution for the fit and one matrix product for the forecast, and no loop over time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_DOUBLINGS = 22
"""Constants are taken to have lasted for two to this power steps before a history begins: a level that trades with 52
indices settles to 1e-9 then, and was off by .015 with 14."""


@dataclass(frozen=True)
class StateSpace:
    """Models of one form with different parameters.

    Attributes:
        transition: ``F`` ``[rows, states, states]``.
        gain: ``g`` ``[rows, states]``.
        observation: ``w`` ``[rows, states]``.
    """

    transition: Floats
    gain: Floats
    observation: Floats

    @property
    def closed(self) -> Floats:
        """``D = F - g w'`` ``[rows, states, states]``."""
        return np.asarray(self.transition - self.gain[:, :, None] * self.observation[:, None, :])


@dataclass(frozen=True)
class Kernels:
    """What a history gives to forecasts; lag 0 is the newest value.

    Attributes:
        one_step: By lag, to the forecast of the next step ``[rows, length]``.
        ahead: By lag, to the forecast of every step of the horizon ``[rows, length, horizon]``.
        level: Sum of ``one_step`` over an endless history: what a constant of 1 is forecast as ``[rows]``.
        level_ahead: The same for ``ahead`` ``[rows, horizon]``.
    """

    one_step: Floats
    ahead: Floats
    level: Floats
    level_ahead: Floats


def stable(models: StateSpace, radius: float = 0.98) -> StateSpace:
    """Those models that forget their beginnings: all eigenvalues of ``D`` within ``radius``."""
    kept = np.abs(np.linalg.eigvals(models.closed)).max(axis=1) < radius
    return StateSpace(models.transition[kept], models.gain[kept], models.observation[kept])


def kernels(models: StateSpace, *, length: int, horizon: int) -> Kernels:
    """Impulse responses of every model, over ``length`` lags and ``horizon`` steps.

    >>> halves = kernels(simple([0.5]), length=3, horizon=1)
    >>> halves.one_step.tolist(), halves.level.round(6).tolist()
    ([[0.5, 0.25, 0.125]], [1.0])
    """
    closed, state = models.closed, models.gain
    states = []
    for _ in range(length):
        states.append(state)
        state = np.einsum("rij,rj->ri", closed, state)
    readers = [models.observation]
    for _ in range(horizon - 1):
        readers.append(np.einsum("ri,rij->rj", readers[-1], models.transition))
    by_lag, by_step = np.stack(states, axis=1), np.stack(readers, axis=2)
    ahead = by_lag @ by_step
    level_ahead = np.einsum("ri,rik->rk", _settled(models), by_step)
    return Kernels(ahead[:, :, 0], ahead, level_ahead[:, 0], level_ahead)


def _settled(models: StateSpace) -> Floats:
    """State after an endless history of ones ``[rows, states]``: the sum of ``D^j g``, doubled up."""
    total, power = models.gain, models.closed
    for _ in range(_DOUBLINGS):
        total = total + np.einsum("rij,rj->ri", power, total)
        power = power @ power
    return total


# --- forms ------------------------------------------------------------------------------------------------------------


def simple(alpha: Sequence[float]) -> StateSpace:
    """Simple exponential smoothing, ETS(A,N,N): the state is the level."""
    gain = np.asarray(alpha, dtype=np.float64)[:, None]
    return StateSpace(np.ones((len(gain), 1, 1)), gain, np.ones((len(gain), 1)))


def complex_smoothing(parameters: Sequence[tuple[float, float]]) -> StateSpace:
    """Complex exponential smoothing without a season: rows of (real part, imaginary part) of the parameter.

    An imaginary part of 1 is simple smoothing with alpha = real part - 1; away from 1 it follows growth.
    Source: Svetunkov, Kourentzes and Ord (2022), Complex exponential smoothing, equation 14.
    """
    rows = np.asarray(parameters, dtype=np.float64)
    real, imaginary = rows[:, 0], rows[:, 1]
    transition = np.ones((len(rows), 2, 2))
    transition[:, 0, 1], transition[:, 1, 1] = imaginary - 1, 1 - real
    observation = np.tile([1.0, 0.0], (len(rows), 1))
    return StateSpace(transition, np.stack([real - imaginary, real + imaginary], axis=1), observation)


def holt_winters(parameters: Sequence[tuple[float, float, float, float]], season: int) -> StateSpace:
    """Damped Holt-Winters with an additive season, ETS(A,Ad,A): rows of (alpha, beta, gamma, phi).

    ``beta`` and ``gamma`` are the gains of trend and season themselves. The state is the level, the trend and the last
    ``season`` indices, the newest first. With a ``gamma`` of 0 it is Holt's damped trend.
    """
    rows = np.asarray(parameters, dtype=np.float64)
    alpha, beta, gamma, phi = rows.T
    states = 2 + season
    transition, gain = np.zeros((len(rows), states, states)), np.zeros((len(rows), states))
    transition[:, 0, 0] = 1.0
    transition[:, 0, 1] = transition[:, 1, 1] = phi
    transition[:, 2, states - 1] = 1.0  # the index of a year ago becomes the newest
    transition[:, range(3, states), range(2, states - 1)] = 1.0
    gain[:, 0], gain[:, 1], gain[:, 2] = alpha, beta, gamma
    observation = np.zeros((len(rows), states))
    observation[:, 0], observation[:, 1], observation[:, states - 1] = 1.0, phi, 1.0
    return StateSpace(transition, gain, observation)
