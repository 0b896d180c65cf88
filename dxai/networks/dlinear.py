"""DLinear: one linear map for the trend, one for the rest."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from dxai.networks.arguments import OddSteps


class DLinear(nn.Module):
    """Splits the past into a moving average and its remainder and maps each linearly to the horizon.

    Source: Zeng et al. (2023), Are Transformers Effective for Time Series Forecasting?
    """

    def __init__(self, *, context: int, horizon: int, calendar: int, channels: int, kernel: OddSteps) -> None:
        """``kernel``: steps of the moving average, odd; the rest as in `NHits`."""
        super().__init__()
        self.kernel, self.shape = kernel, (-1, channels, horizon)
        self.trend = nn.Linear(context, channels * horizon)
        self.remainder = nn.Linear(context, channels * horizon, bias=False)
        self.calendar = nn.Linear(calendar, channels, bias=False) if calendar else None
        with torch.no_grad():
            self.trend.weight.mul_(0.1)
            self.remainder.weight.mul_(0.1)

    def forward(self, past: Tensor, known: Tensor, calendar: Tensor) -> Tensor:
        """Scaled past and 0/1 mask ``[series, context]``, calendar ``[series, horizon, features]`` to channels.

        Returns:
            ``[series, channels, horizon]``.
        """
        level = past.sum(dim=1, keepdim=True) / known.sum(dim=1, keepdim=True).clamp(min=1)
        past = past + (1 - known) * level
        half = self.kernel // 2
        padded = torch.cat([past[:, :1].expand(-1, half), past, past[:, -1:].expand(-1, half)], dim=1)
        trend = functional.avg_pool1d(padded[:, None], self.kernel, 1)[:, 0]
        channels = (self.trend(trend) + self.remainder(past - trend)).reshape(self.shape)
        if self.calendar is not None:
            channels = channels + self.calendar(calendar).transpose(1, 2)
        return torch.as_tensor(channels)
