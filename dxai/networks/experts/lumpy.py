"""Demand with zeros in it: a mean from experts of Croston's kind, and a distribution of counts or amounts around it.

A smoother forecasts what comes between the zeros; half of the time nothing is sold, and no band around one number says
so. The moments of a history, its newest values counting most, do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from dxai.arithmetic import root
from dxai.networks.experts.intermittent import adida_and_imapa, croston, sba, smoothed, tsb
from dxai.networks.experts.intervals import LEARNT
from dxai.networks.experts.network import HIGHEST, Validation, trimmed_mean, weights

MEMORY = 14.0
"""A value of so many steps ago weighs an eighth of the newest: (1 + age / MEMORY)^-3."""
YEAR_AGO = 0.1
"""Share of the weight that lies on the same time of the last season."""
FEW, MANY = 0.02, 0.06
"""Share of zeros up to which they are accidents, and from which on they are the nature of the series."""
MANY_WEEKS = 0.02
"""The same of weeks, of which none is an accident."""
RAMP = 0.01
"""Share over which one value passes into the next: quantiles do not jump where two engines round differently."""
COUNTS = 160
"""Largest count of a distribution of counts."""
SMALL = (2.0, 3.5)
"""Mean below which whole numbers are counts, and above which they are amounts."""
SPIKE = 2.0
"""A value is believed up to so many times the second largest one."""
EXPERTS = 9
"""Of the mean."""
SEASONAL = 0.25
"""How far the level goes towards the values of a year ago, in the expert that looks at them."""
SHARPNESS, TRIM = 2.0, 0.25
"""Of the weights by the experts' squared errors, and of their mean."""
PSEUDO, USUAL = 2.0, 0.5
"""Values that are added to what a history says of its spread, and their variance of logarithms."""
STOPPED = 0.12
"""Chance that an item whose demand is lumpy is not asked for any more."""
SMALLEST = 1e-6
ROUNDED = 1e-5
"""Share of a whole number by which rounding may move it."""


def lumpiness(values: Tensor, season: int) -> Tensor:
    """0 where zeros are rare or values are negative, up to 1 where they are many ``[series, 1]``.

    Args:
        values: NaN where a value is missing ``[series, time]``.
        season: Steps of one season.
    """
    few, many = (0.0, MANY_WEEKS) if season > LEARNT else (FEW, MANY)
    known = (~values.isnan()).to(values.dtype)
    share = ((values == 0).to(values.dtype)).sum(dim=1, keepdim=True) / known.sum(dim=1, keepdim=True).clamp_min(1.0)
    never = values.nan_to_num(0.0).amin(dim=1, keepdim=True) >= 0
    return torch.where(never, ((share - few) / (many - few)).clamp(0.0, 1.0), 0.0)


class Moments(NamedTuple):
    """Of past values by their weights ``[series, horizon]``; the last two of logarithms of values above 0.

    Attributes:
        values: How many values of equal weight they are worth.
    """

    zeros: Tensor
    mean: Tensor
    variance: Tensor
    values: Tensor
    log_mean: Tensor
    log_variance: Tensor


def distribution(seen: Validation, *, season: int, levels: Sequence[float]) -> tuple[Tensor, Tensor]:
    """Quantiles and mean over the scale of each series, for histories that are never below 0.

    Args:
        seen: Histories, and the origins inside them.
        season: Steps of one season.
        levels: Of the quantiles.

    Returns:
        ``[series, horizon, level]`` and ``[series, horizon]``.
    """
    horizon, scale = seen.truth.shape[2], seen.scale
    values = without_spikes(seen.aligned)
    looks = torch.cat([functional.pad(values[:, : values.shape[1] - o], (o, 0), value=torch.nan) for o in seen.origins])
    made = experts(looks, season=season, horizon=horizon).reshape(len(seen.origins), -1, EXPERTS, horizon)
    weight = weights((seen.truth[1:, :, None] - made[1:]).square(), SHARPNESS)
    mean = trimmed_mean(made[:1], weight, TRIM)[0]
    past = moments(values, season=season, horizon=horizon)
    units = seen.aligned.nan_to_num(0.0) * scale
    whole = ((units - units.round()).abs() <= ROUNDED * units.abs()).all(dim=1, keepdim=True).to(values.dtype)
    share = whole * ((SMALL[1] - past.mean * scale) / (SMALL[1] - SMALL[0])).clamp(0.0, 1.0)
    below = counts(past.mean * scale, past.variance * scale.square(), past.values, mean * scale)
    numbers = torch.stack([((level - below) / RAMP).clamp(0.0, 1.0).sum(dim=2) for level in levels], dim=2)
    highest = HIGHEST * values.nan_to_num(0.0).amax(dim=1)[:, None, None]
    sums = torch.minimum(amounts(past, mean, levels), highest)
    return sums + share[:, :, None] * (numbers / scale[:, :, None] - sums), mean


def experts(values: Tensor, *, season: int, horizon: int) -> Tensor:
    """Forecasts of the mean, each from all of a history ``[series, expert, horizon]``.

    Args:
        values: NaN where a value is missing, else 0 or more ``[series, time]``.
        season: Steps of one season.
        horizon: Steps ahead.
    """
    known = (~values.isnan()).to(values.dtype)
    filled = values.nan_to_num(0.0)
    recent = _by_age(values.shape[1]) * known
    kernel = (recent * filled).sum(dim=1) / recent.sum(dim=1).clamp_min(1e-9)
    flat = [
        smoothed(filled, known, 0.1), smoothed(filled, known, 0.3), kernel, croston(filled, known, 0.1),
        sba(filled, known, 0.1), tsb(filled, known, 0.1, 0.2), *adida_and_imapa(filled, known, 0.2),
    ]  # fmt: skip
    made = torch.stack(flat, dim=1)[:, :, None].expand(-1, -1, horizon)
    yearly = known[:, None] * _by_phase(values.shape[1], season, horizon)[None]
    number = yearly.sum(dim=2)
    year_ago = (yearly * filled[:, None]).sum(dim=2) / number.clamp_min(1.0)
    level = kernel[:, None].expand_as(year_ago)
    seasonal = torch.where(number > 0, level + SEASONAL * (year_ago - level), level)
    return torch.cat([made, seasonal[:, None]], dim=1)


def without_spikes(values: Tensor) -> Tensor:
    """No value above `SPIKE` times the second largest, where that is above 0."""
    second = torch.topk(values.nan_to_num(0.0), 2, dim=1).values[:, 1:]
    return torch.where((second > 0) & (values > SPIKE * second), SPIKE * second, values)


def moments(values: Tensor, *, season: int, horizon: int) -> Moments:
    """Of values 0 or more ``[series, time]``, NaN where missing; newer ones and those of a year ago count most."""
    known = (~values.isnan()).to(values.dtype)
    weight = _shares(known[:, None] * _by_age(values.shape[1])[None, None])
    yearly = known[:, None] * _by_phase(values.shape[1], season, horizon)[None]
    there = (yearly.sum(dim=2, keepdim=True) > 0).to(values.dtype) * YEAR_AGO
    weight = (1 - there) * weight + there * _shares(yearly)  # [series, horizon, time]
    filled = values.nan_to_num(0.0)[:, None]
    mean = (weight * filled).sum(dim=2)
    variance = (weight * (filled - mean[:, :, None]).square()).sum(dim=2)
    sold = weight * (filled > 0).to(values.dtype)
    share = sold.sum(dim=2)
    logs = torch.where(filled > 0, filled, 1.0).log()
    log_mean = (sold * logs).sum(dim=2) / share.clamp_min(1e-9)
    square = (sold * (logs - log_mean[:, :, None]).square()).sum(dim=2) / share.clamp_min(1e-9)
    number = 1 / weight.square().sum(dim=2).clamp_min(1e-9)
    log_variance = (number * share * square + PSEUDO * USUAL) / (number * share + PSEUDO)
    return Moments(1 - share, mean, variance, number, log_mean, log_variance)


def counts(past: Tensor, variance: Tensor, values: Tensor, mean: Tensor) -> Tensor:
    """Chance of each count or less: a negative binomial distribution, and 0 of an item that may have stopped.

    Its variance is that of the past, moved to the mean, and ``mean^2`` of an uncertain level, where the past is no
    regular one.

    Args:
        past: Mean of the past ``[series, horizon]``.
        variance: Of the past ``[series, horizon]``.
        values: How many values these two are worth ``[series, horizon]``.
        mean: Of the forecast ``[series, horizon]``.

    Returns:
        ``[series, horizon, count]``.
    """
    ratio = (mean / past.clamp_min(SMALLEST)).clamp(0.1, 10.0)
    lumpy = (2 * variance / past.clamp_min(SMALLEST).square()).clamp(max=1.0)
    lumpy = (values * lumpy + PSEUDO) / (values + PSEUDO)
    mean = mean.clamp(SMALLEST, float(COUNTS))
    spread = variance * ratio * root(ratio) * (1 + 1 / values) + lumpy * mean.square()
    spread = torch.maximum(spread, 1.02 * mean)
    size, chance = mean.square() / (spread - mean), 1 - mean / spread
    number = torch.arange(1, COUNTS + 1, dtype=mean.dtype)
    none = (size * (mean / spread).log())[..., None]
    steps = ((number - 1 + size[..., None]) / number).log() + chance[..., None].log()
    below = torch.cumsum(torch.cat([none, none + torch.cumsum(steps, dim=2)], dim=2).exp(), dim=2)
    stopped = (STOPPED * lumpy)[..., None]
    return (1 - stopped) * below + stopped


def amounts(past: Moments, mean: Tensor, levels: Sequence[float]) -> Tensor:
    """Quantiles of zeros and a lognormal distribution around a mean ``[series, horizon, level]``."""
    zeros = (past.zeros + 0.03 * (1 - past.zeros))[..., None]
    shift = root(root((mean / past.mean.clamp_min(SMALLEST)).clamp(0.01, 100.0)))[..., None]
    level = torch.tensor(levels, dtype=mean.dtype)
    chance = ((level - zeros) / (1 - zeros).clamp_min(SMALLEST)).clamp(SMALLEST, 1 - SMALLEST)
    logs = past.log_mean[..., None] + root(past.log_variance)[..., None] * normal_quantile(chance)
    return torch.where((level > zeros) & (past.mean[..., None] > 0), logs.exp() * shift, 0.0)


def normal_quantile(chance: Tensor) -> Tensor:
    """Of the standard normal distribution, to .01 between .01 and .99 (Joiner and Rosenblatt 1971, Tukey's lambda).

    It is the form without a root of a small difference: near the median that would multiply a rounding a thousandfold.

    >>> [round(each, 2) for each in normal_quantile(torch.tensor([0.025, 0.5, 0.9])).tolist()]
    [-1.96, 0.0, 1.28]
    """
    return 4.91 * ((0.14 * chance.log()).exp() - (0.14 * (1 - chance).log()).exp())


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
