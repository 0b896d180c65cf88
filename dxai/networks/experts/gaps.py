"""Missing values and a spike at the end: what a history is taken to be before any expert sees it."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

SPIKE = 3.0
"""Mean absolute changes by which a last value may lie outside what came before."""
WEEK = 7
"""Days: their season."""
RARE = 0.2
"""Share of days without any value above 0, up to which they are closures that do not repeat."""


def filled(values: Tensor, known: Tensor, season: int) -> tuple[Tensor, Tensor]:
    """Gaps interpolated, first between the same phases of other seasons, then in time.

    Args:
        values: ``[series, context]``, anything where it is not known.
        known: Whether a value is known ``[series, context]``.
        season: Steps of one season; the context is a multiple of it.

    Returns:
        Values, 0 before the first known one, and whether the history has begun; both ``[series, context]``.
    """
    shape = (-1, values.shape[1] // season, season)
    begun = torch.cumsum(known, dim=1) > 0
    by_phase = (each.reshape(shape).transpose(1, 2) for each in (values, known))
    seasonal, found = (each.transpose(1, 2).flatten(1) for each in _interpolated(*by_phase))
    level, _ = _interpolated(seasonal, found & begun)
    return torch.where(begun, level, 0.0), begun


def _interpolated(values: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """Linear between the known neighbours in time, constant outside them; and whether there is one ``[..., time]``."""
    values, last = torch.where(known, values, 0.0), values.shape[-1] - 1
    places, number = places_of(known)
    following = number - known.long()
    left, right = places.gather(-1, (number - 1).clamp_min(0)), places.gather(-1, following.clamp_max(last))
    has_left, has_right = number > 0, following < number[..., -1:]
    before, after = values.gather(-1, left), values.gather(-1, right)
    share = (torch.arange(last + 1) - left).to(values.dtype) / (right - left).clamp_min(1)
    between = before + (after - before) * share
    return torch.where(has_left, torch.where(has_right, between, before), after), has_left | has_right


def places_of(marked: Tensor) -> tuple[Tensor, Tensor]:
    """Where the first, second … marked step is, the last place where there are no more; and how many are marked so far.

    Args:
        marked: ``[..., time]``.

    Returns:
        Both ``[..., time]``.
    """
    steps = marked.shape[-1]
    places, _ = torch.sort(torch.where(marked, torch.arange(steps), steps - 1), dim=-1)
    return places, torch.cumsum(marked, dim=-1)


def without_last_spike(values: Tensor, begun: Tensor, season: int) -> Tensor:
    """History whose last value is clipped to what came before.

    It may lie `SPIKE` mean absolute changes outside the range of the value before it and that of a season ago: a spike
    is far from both, a new level is near the first from its second step on, a seasonal peak near the second. Histories
    of five steps or fewer are left alone: they do not show what a usual change is.
    """
    last, before, year_ago = values[:, -1:], values[:, -2:-1], values[:, -1 - season : -season]
    year_ago = torch.where(begun[:, -1 - season : -season], year_ago, before)
    small = _mean_change(values[:, :-1], begun[:, :-1], 1)
    large = torch.maximum(small, _mean_change(values[:, :-1], begun[:, :-1], season))
    lower, upper = torch.minimum(before, year_ago) - SPIKE * large, torch.maximum(before, year_ago) + SPIKE * large
    clipped = torch.minimum(torch.maximum(last, lower), upper)
    enough = begun.sum(dim=1, keepdim=True) > 5
    return torch.cat([values[:, :-1], torch.where(enough, clipped, last)], dim=1)


def without_closures(values: Tensor) -> Tensor:
    """Days, of which those that were closed are missing: their zeros say nothing of the days to come.

    A zero is a closure where zeros are rare, most of the same weekdays are not zero, and open days are far from it:
    their mean is above `SPIKE` mean absolute changes. Poisson demand of a mean below 11 is not, and keeps its zeros.

    Args:
        values: NaN where missing ``[series, time]``.
    """
    zero, known = values == 0, ~values.isnan()
    sizes, opened = torch.where(known, values, 0.0), known & ~zero
    far = _share(sizes, opened) > SPIKE * _mean_change(sizes, opened, 1)
    rare = _share(zero, known) < RARE
    weeks = -(-values.shape[1] // WEEK)
    before = weeks * WEEK - values.shape[1]
    by_weekday = [functional.pad(each, (before, 0)).reshape(-1, weeks, WEEK) for each in (zero, known)]
    usual = (_share(*by_weekday) < 0.5).expand(-1, weeks, -1).flatten(1)[:, before:]
    return torch.where(zero & far & rare & usual, torch.nan, values)


def _share(some: Tensor, of: Tensor) -> Tensor:
    return some.sum(dim=1, keepdim=True) / of.sum(dim=1, keepdim=True).clamp_min(1)


def _mean_change(values: Tensor, begun: Tensor, lag: int) -> Tensor:
    both = begun[:, lag:] & begun[:, :-lag]
    change = torch.where(both, (values[:, lag:] - values[:, :-lag]).abs(), 0.0)
    return change.sum(dim=1, keepdim=True) / both.sum(dim=1, keepdim=True).clamp_min(1)
