"""The year in days: an index of weeks, whose first harmonics are taken off, so that a week's experts need not see it.

Two years or more are looked at; a shorter history has no year in it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from dxai.networks.experts.gaps import WEEK
from dxai.networks.experts.history import SMALLEST
from dxai.networks.experts.seasons import Season, indices, moving_average

WEEKS = 52
"""Of a year."""
YEARS = 3
"""That are looked at."""
DAYS = YEARS * WEEKS * WEEK
"""Of these."""
HARMONICS = 5
"""Of the year; what is narrower than a season of the weather is a holiday, which moves, or noise."""
DISCOUNT = 0.85
"""Weight of a week's index against that of a year later."""


def year(values: Tensor, begun: Tensor, known: Tensor, horizon: int) -> tuple[Season, Tensor]:
    """Index of every day.

    Args:
        values: Days of `YEARS` years ``[series, day]``.
        begun: 1 from the first known value on ``[series, day]``.
        known: 1 where a value is known ``[series, day]``.
        horizon: Days ahead.

    Returns:
        The index of past and future days; and whether it is a ratio, of histories above 0, not a difference
        ``[series, 1]``.
    """
    days, some = (each.reshape(-1, YEARS * WEEKS, WEEK).sum(dim=2) for each in (values * begun, begun))
    weeks, whole_weeks = days / some.clamp_min(1.0), (some == WEEK).to(values.dtype)
    mostly = (known.reshape(-1, YEARS * WEEKS, WEEK).sum(dim=2) > WEEK / 2).to(values.dtype)
    ratio = (torch.where(whole_weeks > 0, weeks, 1.0).amin(dim=1, keepdim=True) > 0) & (
        values.amin(dim=1, keepdim=True) >= 0
    )
    average, whole = moving_average(weeks, whole_weeks, WEEKS)
    relative = torch.where(ratio, weeks / average.clamp_min(SMALLEST) - 1.0, weeks - average) * whole
    index = indices(relative, whole * mostly, season=WEEKS, horizon=WEEKS, discount=DISCOUNT, neutral=0.0).future
    smooth = index @ waves([week * WEEK + WEEK // 2 for week in range(WEEKS)]).T * 2 / WEEKS
    both = smooth @ waves(list(range(DAYS + horizon)))
    both = torch.where(ratio, (1.0 + both).clamp_min(SMALLEST), both)
    return Season(both[:, :DAYS], both[:, DAYS:]), ratio


def waves(days: Sequence[int]) -> Tensor:
    """Harmonics of a year of whole weeks ``[cosine and sine, day]``: Python's, as `seasons.powers`."""
    angles = [[2 * math.pi * number * day / (WEEKS * WEEK) for day in days] for number in range(1, HARMONICS + 1)]
    return torch.tensor([[wave(angle) for angle in row] for row in angles for wave in (math.cos, math.sin)])
