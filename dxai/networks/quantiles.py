"""Quantiles that cannot cross."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


class QuantileHead(nn.Module):
    """A median, gaps that are never negative, and a mean: an odd number of ordered levels and one more channel.

    Args of the constructor: the number of levels, and the median, gap and mean from which training starts.

    >>> quantiles, mean = QuantileHead(9, median=0.6, gap=0.25, mean=0.9)(torch.randn(4, 10, 8))
    >>> quantiles.shape, mean.shape, bool((quantiles.diff(dim=-1) >= 0).all())
    (torch.Size([4, 8, 9]), torch.Size([4, 8]), True)
    """

    def __init__(self, levels: int, *, median: float, gap: float, mean: float) -> None:
        super().__init__()
        self.levels = levels
        start = [median, *[math.log(math.expm1(gap))] * (levels - 1), mean]
        self.start = nn.Parameter(torch.tensor(start))

    def forward(self, channels: Tensor) -> tuple[Tensor, Tensor]:
        """``[series, levels + 1, horizon]`` to ``[series, horizon, level]`` and the mean ``[series, horizon]``."""
        channels = channels + self.start[:, None]
        half = self.levels // 2
        median, gaps = channels[:, :1], functional.softplus(channels[:, 1 : self.levels])
        down = torch.cumsum(gaps[:, :half], dim=1).flip(1)
        up = torch.cumsum(gaps[:, half:], dim=1)
        quantiles = torch.cat([median - down, median, median + up], dim=1)
        return quantiles.transpose(1, 2), channels[:, self.levels]
