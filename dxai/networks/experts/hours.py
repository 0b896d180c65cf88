"""Nine experts for hours with a day and a week in them, weighed by the last 21 days: no training.

A history is a row of days of 24 steps, the last of which ends with it, so that any hour may be the last. Each expert
forecasts whole days from whole days ``[series, day, hour]``.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dxai.networks.experts.gaps import filled, without_last_spike
from dxai.networks.experts.lumpy import normal_quantile
from dxai.networks.experts.network import trimmed_mean
from dxai.networks.experts.seasons import powers

DAY, WEEK = 24, 7
"""Hours of a day, days of a week."""
VALIDATED = 21
"""Days whose midnights are the origins of the validation."""
CONTEXT = 16 * WEEK
"""Days that an expert looks at."""
SHARPNESS, TRIM, CAUTION = 5.0, 0.25, 0.05
"""Of the weights by the experts' errors, and of their mean."""
HIGHEST = 1.5
"""A forecast is at most so many times the largest value of its history."""
OFFSET = 0.03
"""Added to values over their mean size before a logarithm."""
RARE = 0.2
"""Share of days without any value above 0, up to which they are closures that do not repeat."""
HALF_KNOWN = DAY // 2
"""Known hours of a day from which on it counts."""
NEIGHBOURS = 1
"""Hours on either side whose errors count as this hour's."""
DAMPED = 0.2
"""Share of the day's mean in the unit of an error; the rest is the forecast of the hour."""
STEPS = 20
"""Of conjugate gradients: as exact as float32 is, for 13 unknowns."""


class HourlyExperts(nn.Module):
    """Quantiles and a mean of the next hours from the hours before.

    Attributes:
        horizon: Hours ahead.
    """

    def __init__(self, *, horizon: int) -> None:
        """``horizon``: hours ahead."""
        super().__init__()
        self.horizon = horizon

    def distribution(self, history: Tensor, levels: Sequence[float]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Histories ``[series, time]`` (NaN: missing, any length) to what `Experts.distribution` gives."""
        total = (CONTEXT + VALIDATED) * DAY
        newest = torch.cat([torch.full_like(history[:, :1], torch.nan).expand(-1, total), history], 1)[:, -total:]
        known = ~newest.isnan()
        values = torch.where(known, newest, 0.0)
        size = values.abs().sum(dim=1, keepdim=True) / known.sum(dim=1, keepdim=True).clamp_min(1)
        size = torch.where(size > 0, size, 1.0)
        values = values / size
        truth = torch.where(known, values, torch.nan).reshape(-1, CONTEXT + VALIDATED, DAY)
        whole, counted = complete(values, known)
        whole, closed = without_closures(whole, counted)
        truth = torch.where(closed[:, :, None], torch.nan, truth)  # a closure is no error
        looks = [(whole[:, o : o + CONTEXT], counted[:, o : o + CONTEXT]) for o in range(VALIDATED, -1, -1)]
        days, are_known = (torch.cat(each) for each in zip(*looks, strict=True))
        made, errors = [], []
        for ahead in range(1, -(-self.horizon // DAY) + 1):
            each = bounded(forecasts(days, are_known, ahead), days).reshape(VALIDATED + 1, -1, len(NAMES), DAY)
            after = [truth[:, CONTEXT + o + ahead - 1] for o in range(VALIDATED - ahead, -1, -1)]
            missing = torch.full_like(truth[:, 0], torch.nan)
            happened = torch.stack([missing] * ahead + after)
            begun = torch.stack([are.sum(dim=1) for are in are_known.reshape(VALIDATED + 1, -1, CONTEXT).unbind(0)])
            happened = torch.where(begun[:, :, None] > 0, happened, torch.nan)
            weight = shares((happened[1:, :, None] - each[1:]).abs())
            forecast = trimmed_mean(each, weight, TRIM)
            made.append(forecast[0])
            errors.append((happened[1:] - forecast[1:]) / unit(forecast[1:]))
        days_ahead = []
        for forecast, error in zip(made, errors, strict=True):
            ordered, grows = spread(error, truth), unit(forecast)
            quantiles = forecast[:, :, None] + grows[:, :, None] * at_levels(ordered, levels)
            days_ahead.append((quantiles, forecast + grows * ordered.mean(dim=2), grows * ordered.abs().mean(dim=2)))
        answer, mean, scale = (torch.cat(each, dim=1)[:, : self.horizon] for each in zip(*days_ahead, strict=True))
        never = (truth.nan_to_num(0.0).amin(dim=(1, 2)) >= 0)[:, None]
        answer = torch.where(never[:, :, None], answer.clamp_min(0.0), answer)
        return answer, torch.where(never, mean.clamp_min(0.0), mean), scale, size


# --- the history ------------------------------------------------------------------------------------------------------


def complete(values: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """Days without gaps ``[series, day, hour]``, and 1 for those that were mostly known ``[series, day]``.

    Gaps are interpolated between the same hours of other weeks; days that are hardly known are the mean of the others.
    """
    full, begun = filled(values, known, DAY * WEEK)
    full = without_last_spike(full, begun, DAY)
    level = (full * known).sum(dim=1, keepdim=True) / known.sum(dim=1, keepdim=True).clamp_min(1)
    days = torch.where(begun, full, level).reshape(-1, CONTEXT + VALIDATED, DAY)
    counted = (known.reshape(days.shape).sum(dim=2) >= HALF_KNOWN).to(values.dtype)
    number = counted.sum(dim=1, keepdim=True)
    usual = (days * counted[:, :, None]).sum(dim=1) / number.clamp_min(1.0)
    usual = torch.where(number > 0, usual, level)
    return torch.where(counted[:, :, None] > 0, days, usual[:, None]), counted


def without_closures(days: Tensor, counted: Tensor) -> tuple[Tensor, Tensor]:
    """Days of zeros, where they are rare, take the values of the same weekday of one or two weeks before.

    Returns:
        The days, and which of them were closed ``[series, day]``.
    """
    closed = (days.abs().amax(dim=2) == 0) & (counted > 0)
    share = closed.sum(dim=1, keepdim=True) / counted.sum(dim=1, keepdim=True).clamp_min(1.0)
    closed = closed & (share < RARE)
    for _ in range(2):
        days = torch.where(closed[:, :, None], shifted(days, WEEK), days)
    return days, closed


def shifted(days: Tensor, number: int) -> Tensor:
    """The day so many days before each; the first one before that."""
    return torch.cat([days[:, :1].expand(-1, number, -1), days[:, :-number]], dim=1) if number else days


# --- the experts ------------------------------------------------------------------------------------------------------

NAMES = (
    "days after similar days", "days after similar evenings, roots", "hours of the week",
    "hours of the week, days since", "the same of logarithms", "hours of the week, level since, logarithms",
    "hours of the day", "day before", "regression on days before, logarithms",
)  # fmt: skip


def forecasts(days: Tensor, known: Tensor, ahead: int) -> Tensor:
    """Every expert's forecast of one day ahead ``[series, expert, hour]``.

    Args:
        days: ``[series, day, hour]``.
        known: 1 where a day is known ``[series, day]``.
        ahead: Which day.
    """
    positive = (days.amin(dim=(1, 2)) >= 0)[:, None, None]
    size = days.abs().mean(dim=(1, 2))[:, None, None].clamp_min(1e-9)
    level = days / size
    roots = torch.where(positive, level.clamp_min(0.0).sqrt(), level)
    logs = torch.where(positive, (level.clamp_min(0.0) + OFFSET).log(), level)
    plain, rest = week_profile(level, known, ahead)
    plain_logs, rest_logs = week_profile(logs, known, ahead)
    all_day, evening = torch.ones(DAY), torch.linspace(0.2, 1.0, DAY).square()
    in_roots = after_similar(roots, known, evening, ahead)
    in_logs = torch.stack(
        [plain_logs + lately(rest_logs), plain_logs + level_since(rest_logs, known), regression(logs, known, ahead)], 1
    )
    from_logs = torch.where(positive, in_logs.clamp(-10.0, 10.0).exp() - OFFSET, in_logs)
    made = [
        after_similar(level, known, all_day, ahead), torch.where(positive[:, 0], in_roots.square(), in_roots),
        plain, plain + lately(rest), *from_logs.unbind(1), hours_of_day(level, known), level[:, -1],
    ]  # fmt: skip
    return torch.stack(made, dim=1) * size


def bounded(made: Tensor, days: Tensor) -> Tensor:
    """Not below 0 where the history never is, and within `HIGHEST` times its largest size."""
    highest = HIGHEST * days.abs().amax(dim=(1, 2))[:, None, None]
    lowest = torch.where(days.amin(dim=(1, 2))[:, None, None] >= 0, 0.0, -highest)
    return torch.minimum(torch.maximum(made, lowest), highest)


def after_similar(days: Tensor, known: Tensor, weight: Tensor, ahead: int) -> Tensor:
    """What followed days like the last one: a softmax of their distances, the same weekday and new days preferred."""
    count = days.shape[1]
    distance = ((days - days[:, -1:]).abs() * weight).sum(dim=2) / weight.sum()
    usual = torch.tensor([3.045 * (age % WEEK == 0) - 0.007 * age for age in range(count - 1, -1, -1)])  # log 21
    score = torch.where(known > 0, usual - distance / 0.15, -1e9)[:, :-ahead]
    score = torch.where(known[:, ahead:] > 0, score, -1e9)
    return (torch.softmax(score, dim=1)[:, :, None] * days[:, ahead:]).sum(dim=1)


def week_profile(days: Tensor, known: Tensor, ahead: int) -> tuple[Tensor, Tensor]:
    """Mean of the same hours of the week, each week weighed by .85 against the next; and the history without it."""
    count = days.shape[1]
    weeks = known.reshape(-1, count // WEEK, WEEK) * powers(0.85, count // WEEK, days.dtype)[:, None]
    total = weeks.sum(dim=1)[:, :, None]
    sums = (weeks[..., None] * days.reshape(-1, count // WEEK, WEEK, DAY)).sum(dim=1)
    everything = days.mean(dim=1, keepdim=True)
    profile = torch.where(total > 0, sums / total.clamp_min(1e-9), everything)  # [series, weekday, hour]
    rest = days - profile.repeat(1, count // WEEK, 1)
    return profile[:, (ahead - 1) % WEEK], rest


def lately(rest: Tensor) -> Tensor:
    """Mean of the last seven days, each weighed by .65 against the next, a day alone by .35: hours of the day."""
    return (0.35 * powers(0.65, WEEK, rest.dtype)[:, None] * rest[:, -WEEK:]).sum(dim=1)


def level_since(rest: Tensor, known: Tensor) -> Tensor:
    """Simple exponential smoothing of what the profile leaves, alpha .15 an hour ``[series, 1]``."""
    hours = rest.flatten(1)
    weight = powers(0.85, hours.shape[1], hours.dtype) * known.repeat_interleave(DAY, dim=1)
    return (weight * hours).sum(dim=1, keepdim=True) / weight.sum(dim=1, keepdim=True).clamp_min(1e-9)


def hours_of_day(days: Tensor, known: Tensor) -> Tensor:
    """Mean of the same hours of all days, each weighed by .7 against the next."""
    weight = (known * powers(0.7, days.shape[1], days.dtype))[:, :, None]
    total = weight.sum(dim=1)
    return torch.where(total > 1e-6, (weight * days).sum(dim=1) / total.clamp_min(1e-9), days.mean(dim=1))


def regression(days: Tensor, known: Tensor, ahead: int) -> Tensor:
    """Ridge regression of a day on the days before, one for all hours, of the last eight weeks.

    It is drawn towards the mean of the same weekday of four weeks.
    """
    count, lags = days.shape[1], [shifted(days, number) for number in range(WEEK)]
    weeks = [shifted(days, WEEK * week - (ahead - 1) % WEEK - 1) for week in range(1, 5)]
    same = torch.stack(weeks).mean(dim=0)
    before = torch.cat([days[:, :1].expand(-1, 4 * WEEK, -1), days], dim=1)
    sums = torch.cumsum(before, dim=1)
    month = (sums[:, 4 * WEEK :] - sums[:, : -4 * WEEK]) / (4 * WEEK)
    away = days - month
    day, evening = away.mean(dim=2, keepdim=True), away[:, :, -6:].mean(dim=2, keepdim=True)
    more = [each.expand_as(days) for each in (day, evening, shifted(day, WEEK - 1))]
    inputs = torch.stack([*lags, same, month, *more, torch.ones_like(days)], dim=3)  # [series, day, hour, input]
    weight = powers(0.98, count, days.dtype) * (torch.arange(count - 1, -1, -1) < 8 * WEEK)
    enough = (torch.cumsum(known, dim=1) > 4 * WEEK).to(days.dtype)
    weight = (weight[ahead:] * enough[:, :-ahead] * known[:, ahead:])[:, :, None, None]
    past = inputs[:, :-ahead].flatten(1, 2)
    weighed = (inputs[:, :-ahead] * weight).flatten(1, 2)
    prior = torch.zeros(inputs.shape[3])
    prior[WEEK] = 1.0
    square = weighed.transpose(1, 2) @ past + torch.eye(len(prior))
    target = (weighed * days[:, ahead:].flatten(1)[:, :, None]).sum(dim=1) + prior
    solved = solve(square, target, prior.expand_as(target))
    return (inputs[:, -1] * solved[:, None]).sum(dim=2)


def solve(square: Tensor, target: Tensor, start: Tensor) -> Tensor:
    """Conjugate gradients with Jacobi's preconditioner: a graph has no solver ``[series, unknown]``.

    Source: Hestenes and Stiefel (1952).
    """
    scale = 1 / torch.diagonal(square, dim1=1, dim2=2)
    solved, left = start, target - (square @ start[:, :, None])[:, :, 0]
    direction = scale * left
    over = (left * direction).sum(dim=1, keepdim=True)
    for _ in range(STEPS):
        turned = (square @ direction[:, :, None])[:, :, 0]
        length = over / (direction * turned).sum(dim=1, keepdim=True).clamp_min(1e-20)
        solved, left = solved + length * direction, left - length * turned
        improved = scale * left
        now = (left * improved).sum(dim=1, keepdim=True)
        direction, over = improved + now / over.clamp_min(1e-20) * direction, now
    return solved


# --- their weights and errors -----------------------------------------------------------------------------------------


def shares(error: Tensor) -> Tensor:
    """Weight of every expert by its errors ``[origin, series, expert, hour]``: ``[series, expert]``."""
    known = ~error.isnan()
    mean = torch.where(known, error, 0.0).sum(dim=(0, 3)) / known.sum(dim=(0, 3)).clamp_min(1)
    relative = mean / mean.amin(dim=1, keepdim=True).clamp_min(1e-6)
    return torch.softmax(-SHARPNESS * (relative + CAUTION).log(), dim=1)


def unit(forecast: Tensor) -> Tensor:
    """What an error grows with: the root of the forecast, of the hour and of its day ``[..., hour]``."""
    mixed = DAMPED * forecast.abs().mean(dim=-1, keepdim=True) + (1 - DAMPED) * forecast.abs()
    return mixed.clamp_min(1e-6).sqrt()


def spread(error: Tensor, truth: Tensor) -> Tensor:
    """Errors of each hour and its neighbours in order, half of their median off ``[series, hour, error]``.

    Errors that are not known are taken to be normal, as large as the known ones; without any, as changes in a day.

    Args:
        error: In their unit, NaN where not known ``[origin, series, hour]``.
        truth: The history ``[series, day, hour]``.
    """
    around = [error.roll(hour, dims=2) for hour in range(-NEIGHBOURS, NEIGHBOURS + 1)]
    values = torch.cat(around).permute(1, 2, 0)  # [series, hour, error]
    known = ~values.isnan()
    change = (truth[:, :, 1:] - truth[:, :, :-1]).abs().flatten(1)
    moved = change.nan_to_num(0.0).sum(dim=1) / (~change.isnan()).sum(dim=1).clamp_min(1)
    size = (torch.where(known, values, 0.0).abs().sum(dim=(1, 2)) + moved) / (known.sum(dim=(1, 2)) + 1)
    count = values.shape[2]
    normal = normal_quantile((torch.arange(count) + 0.5) / count) * 1.25  # of a mean size of 1
    ordered, _ = torch.sort(torch.where(known, values, size[:, None, None] * normal), dim=2)
    return ordered - ordered[:, :, count // 2, None] / 2


def at_levels(ordered: Tensor, levels: Sequence[float]) -> Tensor:
    """Quantiles of errors in order ``[series, hour, error]``, linear in between: one constant matrix."""
    count = ordered.shape[2]
    matrix = torch.zeros(count, len(levels))
    for column, level in enumerate(levels):
        place = min(max((count + 1) * level - 1, 0.0), count - 1.0)
        low = min(int(place), count - 2)
        matrix[low, column], matrix[low + 1, column] = 1 - (place - low), place - low
    return ordered @ matrix
