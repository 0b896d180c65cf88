"""Seasonal indices: classical decomposition, discounted by age and shrunk by what they are worth.

Phases are counted from the end of the history, so every series of a batch has its last step in the last column and
nothing is indexed series by series.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

TINY = 1e-12
"""Least divisor; values are over the scale of their series."""
ALIKE = 13
"""Steps of a season for each observation that neighbouring phases are worth: 4 of weeks, none of months."""


@dataclass(frozen=True)
class Season:
    """Index of every step.

    Attributes:
        past: ``[series, context]``.
        future: ``[series, horizon]``.
    """

    past: Tensor
    future: Tensor


def moving_average(values: Tensor, begun: Tensor, season: int) -> tuple[Tensor, Tensor]:
    """Centred moving average over one season, and whether all its values exist; both ``[series, context]``.

    An even season takes half of the outermost two values (2 x m average).
    """
    half = season // 2
    weights = torch.full((2 * half + 1,), 1.0 / season, dtype=values.dtype)
    if season % 2 == 0:
        weights[0] = weights[-1] = 0.5 / season
    both = torch.stack([values * begun, begun], dim=1)
    means = functional.conv1d(both, weights.expand(2, 1, -1), padding=half, groups=2)
    return means[:, 0], (means[:, 1] > 1 - 1e-4).to(values.dtype)


def powers(base: float, count: int, dtype: torch.dtype) -> Tensor:
    """Powers of a base from ``count - 1`` down to 0: weights by age, the newest last.

    They are Python's, because vectorised powers differ in the last digit from processor to processor, and an exported
    graph holds them.

    >>> powers(0.5, 3, torch.float32).tolist()
    [0.25, 0.5, 1.0]
    """
    return torch.tensor([base**age for age in range(count - 1, -1, -1)], dtype=dtype)


def indices(relative: Tensor, counted: Tensor, *, season: int, horizon: int, discount: float, neutral: float) -> Season:
    """Weighted mean of each phase, shrunk towards none (James and Stein 1961).

    The shrinkage is 1 - noise variance / variance of the indices, not below 0: it takes the place of a test for
    seasonality. Two seasons give one value a phase, which says nothing of the noise; where a season has many steps,
    neighbouring phases do (von Neumann 1941). A series without a value in some phase has no season.

    Args:
        relative: Values over, or less, their moving average ``[series, context]``.
        counted: 1 where ``relative`` counts ``[series, context]``.
        season: Steps of one season; the context is a multiple of it.
        horizon: Steps ahead.
        discount: Weight of a value against one a season younger.
        neutral: Index of no season: 1 of ratios, 0 of differences.
    """
    context = relative.shape[1]
    years = context // season
    values, counts = relative.reshape(-1, years, season), counted.reshape(-1, years, season)
    weight = counts * powers(discount, years, relative.dtype)[None, :, None]
    total = weight.sum(dim=1).clamp_min(TINY)  # [series, season]
    mean = (values * weight).sum(dim=1) / total
    centre = mean.mean(dim=1, keepdim=True)
    variance = (weight * (values - mean[:, None]) ** 2).sum(dim=(1, 2)) / total.sum(dim=1)
    seen = counts.sum(dim=(1, 2))
    variance = variance * seen / (seen - season).clamp_min(1.0)  # a mean of each phase is estimated
    noise = variance[:, None] * ((weight * weight).sum(dim=1) / (total * total)).mean(dim=1, keepdim=True)
    if alike := season // ALIKE:
        free = (seen - season).clamp_min(0.0)[:, None]
        rough = ((mean - mean.roll(1, dims=1)) ** 2).mean(dim=1, keepdim=True) / 2
        noise = (free * noise + alike * rough) / (free + alike)
    spread = ((mean - centre) ** 2).mean(dim=1, keepdim=True)
    whole = (counts.sum(dim=1).amin(dim=1, keepdim=True) > 0).to(relative.dtype)
    kept = (1 - noise / spread.clamp_min(TINY)).clamp_min(0.0) * whole
    index = neutral + kept * (mean / centre.clamp_min(TINY) - 1 if neutral else mean - centre)
    ahead = index.repeat(1, -(-horizon // season))[:, :horizon]
    return Season(index.repeat(1, years), ahead)
