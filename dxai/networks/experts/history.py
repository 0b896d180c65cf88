"""What the experts look at: a clean history, its seasonal adjustment, its level and its line."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial

import torch
from torch import Tensor

from dxai.networks.experts.seasons import Season, indices, moving_average, powers

SMALLEST = 1e-3
"""Share of the series' scale below which a value counts as that share in logarithms and ratios."""


@dataclass(frozen=True)
class History:
    """A batch of histories of one length, right-aligned, without gaps.

    Attributes:
        values: 0 before the first known value ``[series, context]``.
        begun: 1 from the first known value on ``[series, context]``.
        known: 1 where a value was known; the others are interpolated ``[series, context]``.
        season: Steps of one season.
        horizon: Steps ahead.
    """

    values: Tensor
    begun: Tensor
    known: Tensor
    season: int
    horizon: int

    def holding(self, values: Tensor) -> History:
        """The same steps with other values."""
        return History(values * self.begun, self.begun, self.known, self.season, self.horizon)

    @cached_property
    def length(self) -> Tensor:
        """Steps since the first known value ``[series, 1]``."""
        return self.begun.sum(dim=1, keepdim=True)

    @cached_property
    def trust(self) -> Tensor:
        """How far a trend is believed: from 0 of one step to 1 of two seasons ``[series, 1]``."""
        return ((self.length - 1) / (2 * self.season)).clamp(0.0, 1.0)

    @cached_property
    def positive(self) -> Tensor:
        """Whether all values are above 0 ``[series, 1]``."""
        return torch.where(self.begun > 0, self.values, 1.0).amin(dim=1, keepdim=True) > 0

    @cached_property
    def average(self) -> tuple[Tensor, Tensor]:
        """Its `moving_average`."""
        return moving_average(self.values, self.begun, self.season)

    def years(self, number: int) -> tuple[Tensor, Tensor]:
        """Mean of the first, second … season, and whether it is whole; both ``[series, 1]``."""
        place = torch.cumsum(self.begun, dim=1)
        inside = self.begun * (place > self.season * number) * (place <= self.season * (number + 1))
        count = inside.sum(dim=1, keepdim=True)
        return (self.values * inside).sum(dim=1, keepdim=True) / count.clamp_min(1.0), count >= self.season

    def recent(self) -> Tensor:
        """Mean of the last three values ``[series, 1]``."""
        last = self.begun[:, -3:]
        return (self.values[:, -3:] * last).sum(dim=1, keepdim=True) / last.sum(dim=1, keepdim=True).clamp_min(1.0)

    def line(self, discount: float = 1.0) -> tuple[Tensor, Tensor, Tensor]:
        """Least squares, each step weighed by ``discount`` against the next one.

        Returns:
            Past ``[series, context]``, also before the history; future ``[series, horizon]``; slope ``[series, 1]``.
        """
        context = self.values.shape[1]
        time = torch.arange(1 - context, 1 + self.horizon, dtype=self.values.dtype)[None, :]
        past, future = time[:, :context], time[:, context:]
        weight = self.begun * powers(discount, context, past.dtype)
        total = weight.sum(dim=1, keepdim=True).clamp_min(1e-9)
        centre = (past * weight).sum(dim=1, keepdim=True) / total
        mean = (self.values * weight).sum(dim=1, keepdim=True) / total
        away = past - centre
        square = (away * away * weight).sum(dim=1, keepdim=True)
        slope = self.trust * (away * weight * self.values).sum(dim=1, keepdim=True) / square.clamp_min(1e-3)
        return mean + slope * away, mean + slope * (future - centre), slope

    def continued_back(self) -> Tensor:
        """Values with a line through the means of the first two seasons before them ``[series, context]``."""
        first, _ = self.years(0)
        second, whole = self.years(1)
        slope = torch.where(whole, (second - first) / self.season, 0.0)
        context = self.values.shape[1]
        place = torch.arange(context, dtype=self.values.dtype)[None, :] - (context - self.length)
        line = first + slope * (place - (self.season - 1) / 2)
        return torch.where(self.begun > 0, self.values, line)


@dataclass(frozen=True)
class Adjusted:
    """A history without its season, and the way back.

    Attributes:
        history: Seasonally adjusted.
        season: Its indices.
        ratio: Whether they are ratios, not differences ``[series, 1]``.
    """

    history: History
    season: Season
    ratio: Tensor

    def restored(self, forecast: Tensor) -> Tensor:
        """Forecast with the season ``[series, horizon]``."""
        return torch.where(self.ratio, forecast * self.season.future, forecast + self.season.future)


def adjusted(history: History, *, discount: float = 1.0, ratio: bool = False) -> Adjusted:
    """Take the season off; ratios only from histories above 0, from others differences."""
    average, whole = history.average
    counted = whole * history.known
    indices_of = partial(indices, counted=counted, season=history.season, horizon=history.horizon, discount=discount)
    plain = indices_of((history.values - average) * whole, neutral=0.0)
    if not ratio:
        return Adjusted(history.holding(history.values - plain.past), plain, torch.zeros_like(history.positive))
    share = indices_of(torch.where(whole > 0, history.values / average.clamp_min(SMALLEST), 1.0), neutral=1.0)
    shares = Season(share.past.clamp_min(SMALLEST), share.future.clamp_min(SMALLEST))
    values = torch.where(history.positive, history.values / shares.past, history.values - plain.past)
    season = Season(
        torch.where(history.positive, shares.past, plain.past),
        torch.where(history.positive, shares.future, plain.future),
    )
    return Adjusted(history.holding(values), season, history.positive)
