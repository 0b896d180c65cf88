"""The eight experts: each takes a clean history and returns forecasts ``[series, horizon]``."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from dxai.networks.experts.bank import PREFERRED, FilterBank
from dxai.networks.experts.filters import complex_smoothing, holt_winters, kernels, stable
from dxai.networks.experts.history import History, adjusted

ALPHAS = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.65, 0.8, 0.95)
"""Smoothing parameters of both thetas."""
LINE_WEIGHTS = (0.0, 0.25, 0.5, 0.75)
"""Share of the line in the second theta."""
COMPLEX = tuple(product((1.05, 1.1, 1.2, 1.3, 1.45, 1.6, 1.8, 2.0), (1.0, 1.005, 1.01, 1.02)))
"""Real and imaginary part of complex smoothing."""
DAMPED = tuple(
    (alpha, alpha * beta, (1 - alpha) * gamma, phi)
    for alpha, beta in product((0.05, 0.15, 0.3, 0.5, 0.8), (0.0, 0.1, 0.3))
    for gamma, phi in product((0.0, 0.05, 0.1, 0.3), (0.85, 0.97))
)
"""Gains of level, trend and season, and damping of Holt-Winters. Both grids lose their unstable rows."""

ON_CIRCLE = 1 + 1e-6
"""Radius of Holt-Winters: level and season may trade a constant for ever, which no forecast shows."""


class Size(NamedTuple):
    """Steps that are looked at, steps ahead, steps of one season."""

    context: int
    horizon: int
    season: int


class ComplexSmoothing(nn.Module):
    """Complex exponential smoothing of seasonal ratios off."""

    def __init__(self, size: Size, *, discount: float, rows: Sequence[tuple[float, float]]) -> None:
        super().__init__()
        self.discount = discount
        self.bank = FilterBank(kernels(stable(complex_smoothing(rows)), length=size.context, horizon=size.horizon))

    def forward(self, history: History) -> Tensor:
        """Forecasts of the row with the least absolute error."""
        plain = adjusted(history, discount=self.discount, ratio=True)
        level, _ = plain.history.years(0)
        deviation = (plain.history.values - level) * history.begun
        row = self.bank.best_row(deviation, level, history.known)
        return plain.restored(self.bank.forecast(deviation, level, row))


class Theta(nn.Module):
    """Theta: a share of the least-squares line, the rest smoothed simply.

    With weight w of the line, y - w·line is smoothed and w·line added again; w = 1/2 is the method of Assimakopoulos
    and Nikolopoulos (2000), and w = 1 - 1/theta that of Fiorucci et al. (2016).
    """

    weights: Tensor

    def __init__(self, bank: FilterBank, *, discount: float, ratio: bool, weights: tuple[float, ...] = (0.5,)) -> None:
        """``bank``: simple smoothing by `ALPHAS`, which both thetas share."""
        super().__init__()
        self.bank, self.discount, self.ratio = bank, discount, ratio
        self.register_buffer("weights", torch.tensor(weights))

    def forward(self, history: History) -> Tensor:
        """Forecasts of the smoothing parameter and weight with the least squared error."""
        plain = adjusted(history, discount=self.discount, ratio=self.ratio)
        line, ahead, _ = plain.history.line()
        line = line * history.begun
        parts = [self._parts(series, history) for series in (plain.history.values, line)]
        (value_error, value), (line_error, smooth_line) = parts
        counted = history.known[:, None, -self.bank.window :]
        # (a - w b)² summed over time, for every alpha and w
        squares = (value_error * value_error * counted).sum(2), (line_error * line_error * counted).sum(2)
        both = (value_error * line_error * counted).sum(2)
        error = squares[0][..., None] - 2 * self.weights * both[..., None] + self.weights**2 * squares[1][..., None]
        # early ones first, by a share of what they are differences of: those are what a rounding is a share of
        late = PREFERRED * torch.arange(error[0].numel(), dtype=error.dtype)
        best = torch.argmin(error.flatten(1) + late * squares[0].amin(dim=1, keepdim=True), dim=1)
        alpha, weight = best // len(self.weights), self.weights[best % len(self.weights)][:, None]
        smooth = self.bank.forecast(*value, alpha) - weight * self.bank.forecast(*smooth_line, alpha)
        return plain.restored(smooth + weight * ahead)

    def _parts(self, values: Tensor, history: History) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Errors of simple smoothing ``[series, alphas, window]``, and what it starts from."""
        level, _ = history.holding(values).years(0)
        deviation = (values - level) * history.begun
        return values[:, None, -self.bank.window :] - self.bank.one_step(deviation, level), (deviation, level)


class HoltWinters(nn.Module):
    """Damped Holt-Winters around constant seasonal differences."""

    def __init__(self, size: Size, *, discount: float, rows: Sequence[tuple[float, float, float, float]]) -> None:
        super().__init__()
        self.discount = discount
        self.bank = FilterBank(
            kernels(
                stable(holt_winters(rows, size.season), radius=ON_CIRCLE), length=size.context, horizon=size.horizon
            )
        )

    def forward(self, history: History) -> Tensor:
        """Forecasts of the row with the least absolute error."""
        plain = adjusted(history, discount=self.discount)
        level, _ = plain.history.years(0)
        deviation = plain.history.continued_back() - level
        row = self.bank.best_row(deviation, level, history.known)
        return plain.restored(self.bank.forecast(deviation, level, row))


class HarmonicRegression(nn.Module):
    """A line and all harmonics of the season, least squares discounted by age: one constant matrix."""

    matrix: Tensor

    def __init__(self, size: Size, *, discount: float, season_discount: float) -> None:
        super().__init__()
        context, season = size.context, size.season
        time = np.arange(1 - context, 1 + size.horizon)
        angles = 2 * np.pi * time[:, None] * np.arange(1, season // 2 + 1) / season
        columns = [
            np.ones((len(time), 1)),
            time[:, None] / season,
            np.cos(angles),
            np.sin(angles[:, : (season - 1) // 2]),
        ]
        design = np.hstack(columns)
        past, future = design[:context], design[context:]
        weighted = past * discount ** -time[:context, None].astype(float)
        matrix = np.linalg.solve(weighted.T @ past, weighted.T).T @ future.T
        self.discount, self.season_discount = discount, season_discount
        self.register_buffer("matrix", torch.as_tensor(matrix, dtype=torch.get_default_dtype()))

    def forward(self, history: History) -> Tensor:
        """Forecasts; before its start the history is taken to be its own line and season, which moves neither."""
        plain = adjusted(history, discount=self.season_discount)
        line, _, _ = plain.history.line(self.discount)
        whole = torch.where(history.begun > 0, history.values, line + plain.season.past)
        return torch.as_tensor(whole @ self.matrix)


def seasonal_naive(history: History) -> Tensor:
    """Value of the same phase a season ago; the recent level where there is none."""
    season, horizon = history.season, history.horizon
    last, begun = history.values[:, -season:], history.begun[:, -season:]
    value = torch.where(begun > 0, last, history.recent())
    return value.repeat(1, -(-horizon // season))[:, :horizon]


def drift(history: History) -> Tensor:
    """What the least-squares line adds to the value of some whole seasons ago."""
    _, _, slope = history.line()
    seasons = torch.arange(history.horizon, dtype=history.values.dtype) // history.season + 1
    return slope * seasons * history.season
