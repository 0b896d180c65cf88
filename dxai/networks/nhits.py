"""N-HiTS: several looks at the past, from coarse to fine."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from dxai.networks.arguments import Knots, Pools, PositiveInt


class Stack(nn.Module):
    """Pools the past, answers with a few knots, and interpolates them to the context and to the horizon."""

    to_context: Tensor
    to_horizon: Tensor

    def __init__(
        self,
        *,
        context: int,
        horizon: int,
        calendar: int,
        channels: int,
        pool: int,
        knots: int,
        width: int,
        last: bool,
    ) -> None:
        """``last``: nothing follows that could use what this stack leaves unexplained."""
        super().__init__()
        pooled = -(-context // pool)
        self.channels, self.knots = channels, min(knots, horizon)
        self.pool = nn.MaxPool1d(pool, stride=pool, ceil_mode=True)
        self.hidden = nn.Sequential(
            nn.Linear(2 * pooled + calendar * horizon, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()
        )
        self.backcast = None if last else nn.Linear(width, pooled)
        self.forecast = nn.Linear(width, channels * self.knots)
        with torch.no_grad():
            self.forecast.weight.mul_(0.5)
        self.register_buffer("to_context", _interpolation(pooled, context))
        self.register_buffer("to_horizon", _interpolation(self.knots, horizon))

    def forward(self, past: Tensor, known: Tensor, calendar: Tensor) -> tuple[Tensor, Tensor]:
        """What of the past is explained ``[series, context]``, and what follows ``[series, channels, horizon]``."""
        pooled = self.pool(torch.stack([past, known], dim=1)).flatten(1)
        hidden = self.hidden(torch.cat([pooled, calendar.flatten(1)], dim=1))
        knots = self.forecast(hidden).reshape(-1, self.channels, self.knots)
        explained = past if self.backcast is None else self.backcast(hidden) @ self.to_context
        return explained, knots @ self.to_horizon


class NHits(nn.Module):
    """Neural hierarchical interpolation: each stack forecasts from what the ones before left unexplained.

    Source: Challu et al. (2023), N-HiTS: Neural Hierarchical Interpolation for Time Series Forecasting.
    """

    def __init__(
        self,
        *,
        context: int,
        horizon: int,
        calendar: int,
        channels: int,
        pools: Pools,
        knots: Knots,
        width: PositiveInt,
    ) -> None:
        """``calendar`` features per future step, ``channels`` answers per step; one stack per pool and knots."""
        super().__init__()
        size = {"context": context, "horizon": horizon, "calendar": calendar, "channels": channels, "width": width}
        last = len(pools) - 1
        self.stacks = nn.ModuleList(
            Stack(**size, pool=pool, knots=count, last=i == last)
            for i, (pool, count) in enumerate(zip(pools, knots, strict=True))
        )

    def forward(self, past: Tensor, known: Tensor, calendar: Tensor) -> Tensor:
        """Scaled past and 0/1 mask ``[series, context]``, calendar ``[series, horizon, features]`` to channels.

        Returns:
            ``[series, channels, horizon]``.
        """
        total = torch.zeros(())
        for stack in self.stacks:
            explained, forecast = stack(past, known, calendar)
            past, total = (past - explained) * known, total + forecast
        return total


def _interpolation(points: int, steps: int) -> Tensor:
    """Linear interpolation from ``points`` knots to ``steps`` values as a matrix: exports as one product."""
    return functional.interpolate(torch.eye(points)[None], size=steps, mode="linear", align_corners=True)[0]
