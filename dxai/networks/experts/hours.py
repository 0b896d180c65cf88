"""Nine experts for hours with a day and a week in them, weighed by the last 21 days: no training.

A history is a row of days of 24 steps, the last of which ends with it, so that any hour may be the last. Each expert
forecasts whole days from whole days ``[series, day, hour]``.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dxai.arithmetic import root
from dxai.networks.experts.gaps import RARE, WEEK, filled, without_last_spike
from dxai.networks.experts.lumpy import normal_quantile
from dxai.networks.experts.network import trimmed_mean
from dxai.networks.experts.seasons import powers

DAY = 24
"""Hours."""
VALIDATED = 21
"""Days whose midnights are the origins of the validation."""
CONTEXT = 16 * WEEK
"""Days that an expert looks at."""
ENDS = tuple(range(CONTEXT + VALIDATED, CONTEXT - 1, -1))
"""Days before each origin of the validation, the end of the history first."""
SHARPNESS, TRIM, CAUTION = 5.0, 0.25, 0.05
"""Of the weights by the experts' errors, and of their mean."""
HIGHEST = 1.5
"""A forecast is at most so many times the largest value of its history."""
OFFSET = 0.03
"""Added to values over their mean size before a logarithm."""
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
        made, errors = [], []
        for ahead in range(1, -(-self.horizon // DAY) + 1):
            each = forecasts(whole, counted, ahead, ENDS).transpose(0, 1)
            missing = torch.full_like(truth[:, :1], torch.nan).expand(-1, ahead, -1)
            happened = torch.cat([missing, truth[:, CONTEXT + ahead - 1 :].flip(1)], dim=1).transpose(0, 1)
            begun = (counted @ looked_at(1.0, counted, ENDS).T).T > 0
            happened = torch.where(begun[:, :, None], happened, torch.nan)
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


def forecasts(days: Tensor, known: Tensor, ahead: int, ends: Sequence[int]) -> Tensor:
    """Every expert's forecast of one day ahead ``[series, origin, expert, hour]``.

    What the origins share is computed once: the memory of a series does not grow with them.

    Args:
        days: ``[series, day, hour]``, of a mean size of about 1.
        known: 1 where a day is known ``[series, day]``.
        ahead: Which day.
        ends: Of every origin the days before it, `CONTEXT` or more.
    """
    positive = (days.amin(dim=(1, 2)) >= 0)[:, None, None]
    roots = torch.where(positive, root(days.clamp_min(0.0)), days)
    logs = torch.where(positive, (days.clamp_min(0.0) + OFFSET).log(), days)
    plain, rest = week_profile(days, known, ahead, ends)
    plain_logs, rest_logs = week_profile(logs, known, ahead, ends)
    all_day, evening = torch.ones(DAY), torch.linspace(0.2, 1.0, DAY).square()
    in_roots = after_similar(roots, known, evening, ahead, ends)
    since = level_since(rest_logs, last_week(known, ends))
    in_logs = torch.stack(
        [plain_logs + lately(rest_logs), plain_logs + since, regression(logs, known, ahead, ends)], dim=2
    )
    from_logs = torch.where(positive[..., None], in_logs.clamp(-10.0, 10.0).exp() - OFFSET, in_logs)
    made = [
        after_similar(days, known, all_day, ahead, ends), torch.where(positive, in_roots.square(), in_roots),
        plain, plain + lately(rest), *from_logs.unbind(2), hours_of_day(days, known, ends),
        latest(days, 1, ends)[:, :, 0],
    ]  # fmt: skip
    return bounded(torch.stack(made, dim=2), days, ends)


def bounded(made: Tensor, days: Tensor, ends: Sequence[int]) -> Tensor:
    """Not below 0 where the history never is, and within `HIGHEST` times its largest size before the origin."""
    largest = days.abs().amax(dim=2)
    highest = HIGHEST * latest(largest, CONTEXT, ends).amax(dim=2)
    lowest = torch.where(days.amin(dim=(1, 2))[:, None] >= 0, 0.0, -highest)
    return torch.minimum(torch.maximum(made, lowest[:, :, None, None]), highest[:, :, None, None])


def looked_at(base: float, days: Tensor, ends: Sequence[int], newest: int = CONTEXT) -> Tensor:
    """Weights ``[origin, day]``: a power of the base by age; 0 after the origin and of days older than the newest."""
    ages = [[end - 1 - day for day in range(days.shape[1])] for end in ends]
    return torch.tensor([[base**age if 0 <= age < newest else 0.0 for age in row] for row in ages])


def last_week(values: Tensor, ends: Sequence[int]) -> Tensor:
    """The seven days before each origin ``[series, origin, day, ...]``."""
    return latest(values, WEEK, ends)


def latest(values: Tensor, number: int, ends: Sequence[int]) -> Tensor:
    """So many days before each origin ``[series, origin, day, ...]``."""
    places = torch.tensor([[*range(end - number, end)] for end in ends])
    return values.index_select(1, places.flatten()).reshape(-1, *places.shape, *values.shape[2:])


def usual_day(days: Tensor, ends: Sequence[int]) -> Tensor:
    """Mean of the days before each origin ``[series, origin, hour]``."""
    return looked_at(1.0, days, ends) @ days / CONTEXT


def after_similar(days: Tensor, known: Tensor, weight: Tensor, ahead: int, ends: Sequence[int]) -> Tensor:
    """What followed days like the last one: a softmax of their distances, the same weekday and new days preferred."""
    share = weight / weight.sum()
    distance = torch.stack([((days - days[:, end - 1 : end]).abs() * share).sum(dim=2) for end in ends], dim=1)
    size = (looked_at(1.0, days, ends) @ days.abs().mean(dim=2, keepdim=True) / CONTEXT).clamp_min(1e-9)
    ages = [[end - 1 - day for day in range(days.shape[1] - ahead)] for end in ends]
    usual = torch.tensor([[3.045 * (age % WEEK == 0) - 0.007 * age for age in row] for row in ages])  # log 21
    allowed = torch.tensor([[ahead <= age < CONTEXT for age in row] for row in ages])
    both = allowed & ((known[:, :-ahead] * known[:, ahead:]) > 0)[:, None]
    score = torch.where(both, usual - distance[:, :, :-ahead] / (0.15 * size), -1e9)
    score = torch.where(allowed, score, -2e9)
    return torch.softmax(score, dim=2) @ days[:, ahead:]


def week_profile(days: Tensor, known: Tensor, ahead: int, ends: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Mean of the same hours of the week, each week weighed by .85 against the next.

    Returns:
        Of the day ahead ``[series, origin, hour]``, and the last week without it ``[series, origin, day, hour]``.
    """
    ages = [[end - 1 - day for day in range(days.shape[1])] for end in ends]
    weight = torch.tensor([
        [0.85 ** (age // WEEK) if 0 <= age < CONTEXT and age % WEEK == weekday else 0.0 for age in row]
        for row in ages for weekday in range(WEEK - 1, -1, -1)
    ])  # fmt: skip
    total = (known @ weight.T).reshape(-1, len(ends), WEEK, 1)
    sums = (weight @ (known[:, :, None] * days)).reshape(-1, len(ends), WEEK, DAY)
    profile = torch.where(total > 0, sums / total.clamp_min(1e-9), usual_day(days, ends)[:, :, None])
    return profile[:, :, (ahead - 1) % WEEK], last_week(days, ends) - profile


def lately(rest: Tensor) -> Tensor:
    """Mean of the last seven days, each weighed by .65 against the next, a day alone by .35: hours of the day."""
    return (0.35 * powers(0.65, WEEK, rest.dtype)[:, None] * rest).sum(dim=2)


def level_since(rest: Tensor, known: Tensor) -> Tensor:
    """Simple exponential smoothing of what the profile leaves of a week, alpha .15 an hour ``[series, origin, 1]``."""
    weight = powers(0.85, WEEK * DAY, rest.dtype).reshape(WEEK, DAY) * known[..., None]
    return ((weight * rest).sum(dim=(2, 3)) / weight.sum(dim=(2, 3)).clamp_min(1e-9))[:, :, None]


def hours_of_day(days: Tensor, known: Tensor, ends: Sequence[int]) -> Tensor:
    """Mean of the same hours of all days, each weighed by .7 against the next."""
    weight = looked_at(0.7, days, ends)
    total = (known @ weight.T)[:, :, None]
    sums = weight @ (known[:, :, None] * days)
    return torch.where(total > 1e-6, sums / total.clamp_min(1e-9), usual_day(days, ends))


def regression(days: Tensor, known: Tensor, ahead: int, ends: Sequence[int]) -> Tensor:
    """Ridge regression of a day on the days before, one for all hours, of the last eight weeks.

    It is drawn towards the mean of the same weekday of four weeks.
    """
    lags = [shifted(days, number) for number in range(WEEK)]
    weeks = [shifted(days, WEEK * week - (ahead - 1) % WEEK - 1) for week in range(1, 5)]
    same = torch.stack(weeks).mean(dim=0)
    before = torch.cat([days[:, :1].expand(-1, 4 * WEEK, -1), days], dim=1)
    sums = torch.cumsum(before, dim=1)
    month = (sums[:, 4 * WEEK :] - sums[:, : -4 * WEEK]) / (4 * WEEK)
    away = days - month
    day, evening = away.mean(dim=2, keepdim=True), away[:, :, -6:].mean(dim=2, keepdim=True)
    more = [each.expand_as(days) for each in (day, evening, shifted(day, WEEK - 1))]
    inputs = torch.stack([*lags, same, month, *more, torch.ones_like(days)], dim=3)  # [series, day, hour, input]
    enough = (torch.cumsum(known, dim=1) > 4 * WEEK).to(days.dtype)
    weight = looked_at(0.98, days, ends, 8 * WEEK)[:, ahead:] * (enough[:, :-ahead] * known[:, ahead:])[:, None]
    past, after = inputs[:, :-ahead], days[:, ahead:, :, None]
    prior = torch.zeros(inputs.shape[3])
    prior[WEEK] = 1.0
    squares = (past.transpose(2, 3) @ past).flatten(2)  # of every day: [series, day, input x input]
    square = (weight @ squares).reshape(-1, len(prior), len(prior))
    square = square + on_the_diagonal(len(prior)).to(square.dtype)
    target = (weight @ (past * after).sum(dim=2) + prior).flatten(0, 1)
    solved = solve(square, target, prior.expand_as(target)).reshape(-1, len(ends), 1, len(prior))
    return (latest(inputs, 1, ends)[:, :, 0] * solved).sum(dim=3)


def on_the_diagonal(size: int) -> Tensor:
    """Marks ``[size, size]``; what torch has for it becomes an operator that no careful loader takes."""
    places = torch.arange(size)
    return places[:, None] == places


def solve(square: Tensor, target: Tensor, start: Tensor) -> Tensor:
    """Conjugate gradients with Jacobi's preconditioner: a graph has no solver ``[series, unknown]``.

    Source: Hestenes and Stiefel (1952).
    """
    start, target = start[:, :, None], target[:, :, None]
    scale = 1 / torch.where(on_the_diagonal(square.shape[1]), square, 0.0).sum(dim=2, keepdim=True)
    solved, left = start, target - square @ start
    direction = scale * left
    over = (left * direction).sum(dim=1, keepdim=True)
    for _ in range(STEPS):
        turned = square @ direction
        length = over / (direction * turned).sum(dim=1, keepdim=True).clamp_min(1e-20)
        solved, left = solved + length * direction, left - length * turned
        improved = scale * left
        now = (left * improved).sum(dim=1, keepdim=True)
        direction, over = improved + now / over.clamp_min(1e-20) * direction, now
    return solved[:, :, 0]


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
    return root(mixed.clamp_min(1e-6))


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
