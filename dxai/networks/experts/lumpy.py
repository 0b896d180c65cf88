"""Demand with zeros in it: its own past values are its distribution, recent ones and those of a year ago counting most.

A smoother forecasts what comes between the zeros; half of the time nothing is sold, and no band around one number says
so. The weighted empirical distribution does, and it beat the experts on every share of zeros of retail demand.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

MEMORY = 14.0
"""A value of so many steps ago weighs an eighth of the newest: (1 + age / MEMORY)^-3."""
YEAR_AGO = 0.1
"""Share of the weight that lies on the same time of the last season."""
FEW, MANY = 0.02, 0.06
"""Share of zeros up to which they are accidents, and from which on they are the nature of the series."""
RAMP = 0.01
"""Share over which one value passes into the next: quantiles do not jump where two engines round differently."""


def lumpiness(values: Tensor) -> Tensor:
    """0 where zeros are rare or values are negative, up to 1 where they are many ``[series, 1]``.

    Args:
        values: NaN where a value is missing ``[series, time]``.
    """
    known = (~values.isnan()).to(values.dtype)
    share = ((values == 0).to(values.dtype)).sum(dim=1, keepdim=True) / known.sum(dim=1, keepdim=True).clamp_min(1.0)
    never = values.nan_to_num(0.0).amin(dim=1, keepdim=True) >= 0
    return torch.where(never, ((share - FEW) / (MANY - FEW)).clamp(0.0, 1.0), 0.0)


def empirical(values: Tensor, *, season: int, horizon: int, levels: Sequence[float]) -> tuple[Tensor, Tensor]:
    """Quantiles and mean of past values, weighed by their age and by the time of the year.

    Args:
        values: NaN where a value is missing ``[series, time]``.
        season: Steps of one season.
        horizon: Steps ahead.
        levels: Of the quantiles.

    Returns:
        ``[series, horizon, level]`` and ``[series, horizon]``.
    """
    known = (~values.isnan()).to(values.dtype)
    weight = _shares(known[:, None] * _by_age(values.shape[1])[None, None])
    yearly = known[:, None] * _by_phase(values.shape[1], season, horizon)[None]
    there = (yearly.sum(dim=2, keepdim=True) > 0).to(values.dtype) * YEAR_AGO
    weight = (1 - there) * weight + there * _shares(yearly)  # [series, horizon, time]
    filled = values.nan_to_num(0.0)
    mean = (weight * filled[:, None]).sum(dim=2)
    filled = torch.where(known > 0, filled, filled.amax(dim=1, keepdim=True))  # without weight, at the upper end
    ordered, order = torch.sort(filled, dim=1)
    share = weight.gather(2, order[:, None].expand_as(weight))
    below = torch.cumsum(share, dim=2)[..., :-1]  # what is at or below each value but the largest
    gap = ordered.diff(dim=1)[:, None]
    made = [ordered[:, None, 0] + (gap * ((level - below) / RAMP).clamp(0.0, 1.0)).sum(dim=2) for level in levels]
    return torch.stack(made, dim=2), mean


def _shares(weight: Tensor) -> Tensor:
    return weight / weight.sum(dim=2, keepdim=True).clamp_min(1e-9)


def _by_age(length: int) -> Tensor:
    ages = range(length - 1, -1, -1)
    return torch.tensor([(1 + age / MEMORY) ** -3 for age in ages])  # Python's powers: as in `seasons.powers`


def _by_phase(length: int, season: int, horizon: int) -> Tensor:
    """1 at the steps a season before each step ahead ``[horizon, length]``; of 52 weeks also two on either side."""
    age = torch.arange(length - 1, -1, -1)[None]
    away = age - (season - 1 - torch.arange(horizon)[:, None] % season)
    return (away.abs() <= (season + 12) // 26).to(torch.get_default_dtype())
