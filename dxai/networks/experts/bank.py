"""A bank of filters: one smoother with a whole grid of parameters, of which each series takes the best row."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from dxai.networks.experts.filters import Floats, Kernels

ROWS_AT_ONCE = 16
"""Of the grid: one-step forecasts of 4,096 series by all 120 rows at once would take gigabytes."""
PREFERRED = 1e-5
"""Share by which a row must be better than the one before it. Rows that differ in their season alone make the same
errors on less than a season of history, and other forecasts: a rounding would choose, another one in each engine."""


class FilterBank(nn.Module):
    """One-step forecasts of all rows, and the forecasts of one row for each series.

    Attributes:
        window: Newest steps by whose errors a row is chosen: half of the context. All of it chooses no better.
    """

    one_step_kernels: Tensor
    ahead: Tensor
    level: Tensor
    level_ahead: Tensor

    def __init__(self, kernels: Kernels) -> None:
        super().__init__()
        self.window = kernels.one_step.shape[1] // 2
        oldest_first = kernels.one_step[:, ::-1].copy(), kernels.ahead[:, ::-1].copy()
        self.register_buffer("one_step_kernels", _tensor(oldest_first[0])[:, None, :])  # [rows, 1, context]
        self.register_buffer("ahead", _tensor(oldest_first[1]))  # [rows, context, horizon]
        self.register_buffer("level", _tensor(kernels.level))
        self.register_buffer("level_ahead", _tensor(kernels.level_ahead))

    def one_step(self, deviation: Tensor, level: Tensor) -> Tensor:
        """Forecasts of the window's steps, each from all steps before it.

        Args:
            deviation: History less its level, 0 where there is none ``[series, context]``.
            level: Value that is taken to have lasted for ever before the history ``[series, 1]``.

        Returns:
            ``[series, rows, window]``.
        """
        return self._filtered(self._before(deviation), level, slice(None))

    def forecast(self, deviation: Tensor, level: Tensor, row: Tensor) -> Tensor:
        """Forecasts of the given row of each series ``[series]`` over the horizon ``[series, horizon]``."""
        filtered = torch.bmm(deviation[:, None, :], self.ahead[row])[:, 0]
        return filtered + self.level_ahead[row] * level

    def best_row(self, deviation: Tensor, level: Tensor, counted: Tensor) -> Tensor:
        """Row with the least absolute one-step error over the steps that count, early rows first ``[series]``."""
        values, counted = (deviation + level)[:, None, -self.window :], counted[:, None, -self.window :]
        errors, before = [], self._before(deviation)
        for first in range(0, len(self.level), ROWS_AT_ONCE):
            made = self._filtered(before, level, slice(first, first + ROWS_AT_ONCE))
            errors.append(((values - made).abs() * counted).sum(dim=2))
        handicap = 1 + PREFERRED * torch.arange(len(self.level), dtype=values.dtype)
        return torch.argmin(torch.cat(errors, dim=1) * handicap, dim=1)

    def _before(self, deviation: Tensor) -> Tensor:
        """What the one-step kernels slide over ``[series, 1, time]``."""
        return functional.pad(deviation[:, None, :-1], (self.window, 0))

    def _filtered(self, before: Tensor, level: Tensor, rows: slice) -> Tensor:
        return functional.conv1d(before, self.one_step_kernels[rows]) + (self.level[rows] * level)[:, :, None]


def _tensor(values: Floats) -> Tensor:
    return torch.as_tensor(values, dtype=torch.get_default_dtype())
