"""Features of what is known beside a history: prices, promotions, weather; what a series is; the date."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from dxai.networks.ratios import bent

_TINY, _WEEK = 1e-6, 7
_NEAR = {"logged": 0.05, "plain": 0.25}
"""How far apart values may be and still be alike: 5 % of a price, a quarter of a flag or of the usual spread."""
_SOFTER = (1.0, 0.25)
_FADES = 0.01
"""What a step counts less than the next one, where earlier steps like the one to forecast are looked for."""
_DOUBT = 10.0
"""Windows that the mean of all counts in that of a category."""
_SWEEPS = 3


_PLACES = {
    ("known_future", False): "numbers", ("known_future", True): "codes", ("past", False): "past",
    ("static", False): "statics", ("static", True): "static_codes", ("series", True): "static_codes",
}  # fmt: skip
"""Where a column of a role, with categories or without, stands in `_Parts`; another is no feature."""


@dataclass(frozen=True)
class Covariate:
    """A column beside histories.

    Attributes:
        role: As the contract names it.
        categories: How many there are; 0 for a number.
    """

    role: str
    categories: int = 0


class _Parts(NamedTuple):
    """Columns by what they are; numbers ``[series, steps]`` or ``[series]``, categories as their numbers."""

    numbers: list[Tensor]
    codes: list[Tensor]
    past: list[Tensor]
    statics: list[Tensor]
    static_codes: list[Tensor]


class BesideFeatures(nn.Module):
    """Covariates to features of every step ahead, in contract order.

    Attributes:
        logged, spread: Of each number that is known ahead: whether its logarithm is taken, and what it is divided by.
        middle, width: Of each static number.
        base, effects: Logarithm of the level of a series by its categories: what all have, and what each adds.
        shifts: Mean of the scaled target by each category that is known ahead.
    """

    logged: Tensor
    spread: Tensor
    middle: Tensor
    width: Tensor
    base: Tensor

    def __init__(self, columns: Sequence[Covariate], *, horizon: int, steps: int) -> None:
        """``steps``: the last ones, whose mean is what a column recently was."""
        super().__init__()
        self.places, self.horizon, self.steps = (
            [_PLACES.get((c.role, c.categories > 0)) for c in columns],
            horizon,
            steps,
        )
        numbers, statics = self.places.count("numbers"), self.places.count("statics")
        self.register_buffer("logged", torch.zeros(numbers, dtype=torch.bool))
        self.register_buffer("spread", torch.ones(numbers))
        self.register_buffer("middle", torch.zeros(statics))
        self.register_buffer("width", torch.ones(statics))
        self.register_buffer("base", torch.zeros(()))
        for kind, place in (("effect", "static_codes"), ("shift", "codes")):
            counts = [c.categories for c, found in zip(columns, self.places, strict=True) if found == place]
            for number, count in enumerate(counts):
                self.register_buffer(f"{kind}{number}", torch.zeros(count + 1))

    def parts(self, columns: Sequence[Tensor]) -> _Parts:
        """Columns in contract order by what they are, numbers in double precision."""
        found = _Parts([], [], [], [], [])
        for place, values in zip(self.places, columns, strict=True):
            if place:
                getattr(found, place).append(values.double() if values.is_floating_point() else values)
        return found

    @property
    def static_codes(self) -> list[int]:
        """Numbers of the columns that are categories of a series."""
        return [number for number, place in enumerate(self.places) if place == "static_codes"]

    def fit(self, columns: Sequence[Tensor], target: Tensor) -> None:
        """Take the statistics of training windows: a price is logged, a flag or share stays, another number is scaled.

        Args:
            columns: In contract order.
            target: Scaled true values of the steps ahead, NaN where unknown ``[windows, horizon]``.
        """
        parts = self.parts(columns)
        for place, values in enumerate(parts.numbers):
            known = values[~values.isnan()]
            share = bool(((known >= 0) & (known <= 1)).all() and ((known == 0) | (known == 1)).any())
            self.logged[place] = not share and bool((known > 0).all())
            if not share and not self.logged[place]:
                self.spread[place] = _spread(known)
        for place, values in enumerate(parts.statics):
            known = values[~values.isnan()]
            self.middle[place] = known.mean() if len(known) else 0.0
            self.width[place] = _spread(known)
        for place, codes in enumerate(parts.codes):
            shift = self._buffer(f"shift{place}")
            shift[:] = _means(codes[:, -self.horizon :], target, len(shift))

    def fit_level(self, codes: Sequence[Tensor], level: Tensor) -> None:
        """Take the effects of the categories on the logarithm of the level, one after the other, three times over.

        Args:
            codes: Of each category of a series, see `static_codes` ``[windows]``.
            level: Of each window, NaN where none is known ``[windows]``.
        """
        told = level.clamp_min(_TINY).log()
        known = ~told.isnan()
        self.base = told[known].mean() if known.any() else torch.zeros(())
        left = told - self.base
        effects = [torch.zeros_like(self._buffer(f"effect{place}")) for place in range(len(codes))]
        for _ in range(_SWEEPS):
            for place, numbers in enumerate(codes):
                left = left + effects[place][numbers]
                effects[place] = _means(numbers, left, len(effects[place]))
                left = left - effects[place][numbers]
        for place, effect in enumerate(effects):
            self._buffer(f"effect{place}")[:] = effect

    def usual_level(self, columns: Sequence[Tensor], like: Tensor) -> Tensor:
        """What the level of series of these categories is ``[series, 1]``; ``like`` is any such tensor."""
        logarithm = torch.zeros_like(like) + self.base
        for place, codes in enumerate(self.parts(columns).static_codes):
            logarithm = logarithm + self._buffer(f"effect{place}")[codes][:, None]
        return logarithm.exp()

    def forward(self, ratio: Tensor, seen: Tensor, columns: Sequence[Tensor], steps: range) -> list[Tensor]:
        """Features, each ``[series, steps]``.

        Args:
            ratio: History in multiples of the level ``[series, context]``, in double precision, NaN where missing.
            seen: The same on the scale of the target.
            columns: In contract order; those that are known ahead ``[series, context + horizon]``.
            steps: Those ahead from 0 on that are asked for.
        """
        there = slice(seen.shape[1] + steps.start, seen.shape[1] + steps.stop)
        parts, made = self.parts(columns), list[Tensor]()
        numbers = [self._scaled(values, place) for place, values in enumerate(parts.numbers)]
        for values in numbers:
            made += self._of_number(values, there)
        for place, codes in enumerate(parts.codes):
            made.append(self._buffer(f"shift{place}")[codes[:, there]].double())
        common = [values[:, -1:] for values in parts.past] + [_mean(values[:, -self.steps :]) for values in parts.past]
        for place, values in enumerate(parts.statics):
            common.append(((values - self.middle[place]) / self.width[place])[:, None])
        for place, codes in enumerate(parts.static_codes):
            common.append(self._buffer(f"effect{place}")[codes][:, None].double())
        made += [values.expand(-1, len(steps)) for values in common]
        if numbers or parts.codes:
            made += self._alike(ratio, seen, numbers, parts.codes, there)
        return made

    def _scaled(self, values: Tensor, place: int) -> Tensor:
        logarithm = values.clamp_min(_TINY).log()
        return torch.where(self.logged[place], logarithm, values / self.spread[place])

    def _of_number(self, values: Tensor, there: slice) -> list[Tensor]:
        """The value, what it recently was and the difference, the change from the step before and to the next."""
        context = values.shape[1] - self.horizon
        now, before = values[:, there], values[:, there.start - 1 : there.stop - 1]
        recent = _mean(values[:, context - self.steps : context]).expand(-1, there.stop - there.start)
        followed = torch.cat([values, torch.full_like(values[:, :1], torch.nan)], dim=1)
        after = followed[:, there.start + 1 : there.stop + 1]
        return [now, recent, now - recent, now - before, after - now]

    def _alike(
        self, ratio: Tensor, seen: Tensor, numbers: Sequence[Tensor], codes: Sequence[Tensor], there: slice
    ) -> list[Tensor]:
        """Mean of the earlier steps that were like the one to forecast, and how many such there were."""
        context = seen.shape[1]
        apart = torch.zeros_like(seen)[:, None, :].expand(-1, there.stop - there.start, -1)
        for place, values in enumerate(numbers):
            near = torch.where(self.logged[place], _NEAR["logged"], _NEAR["plain"])
            away = (values[:, None, :context] - values[:, there, None]).abs() / near
            apart = apart + away.nan_to_num(0.0)
        for numbered in codes:
            other = numbered[:, None, :context] != numbered[:, there, None]
            apart = apart + other.double() / _NEAR["plain"]
        known = ~seen.isnan()
        age = torch.arange(context, 0, -1).double() * _FADES
        values = torch.stack([seen.nan_to_num(0.0), ratio.nan_to_num(0.0)], dim=2)
        made = []
        for softer in _SOFTER:
            weight = torch.exp(-(softer * apart + age)) * known.double()[:, None, :]
            whole = weight.sum(2, keepdim=True)
            means = torch.bmm(weight, values) / whole.clamp_min(_TINY)
            means = torch.where(whole > _TINY, means, torch.nan)
            made += [means[..., 0], bent(means[..., 1]), whole[..., 0].clamp_min(_TINY).log()]
        return made

    def _buffer(self, name: str) -> Tensor:
        found: Tensor = getattr(self, name)
        return found


class Clock(nn.Module):
    """What the date says of every step ahead: the time of the year, and of shorter steps that of month, week and day.

    Of a week the day of the month on which it ends is told: money comes and budgets end by the month.

    Args of the constructor: length of a step in days or hours; 24 where it is in hours, or 1.
    """

    def __init__(self, *, step: float, day: int) -> None:
        super().__init__()
        self.step, self.hourly = step, day > 1

    def forward(self, last: Tensor, steps: range) -> list[Tensor]:
        """Days or hours since 1970-01-01 ``[series]`` to features of some steps ahead, each ``[series, steps]``."""
        ahead = torch.arange(steps.start + 1, steps.stop + 1)
        moment = last[:, None] + torch.round(ahead * self.step).to(torch.int64)
        day = torch.div(moment, 24, rounding_mode="floor") if self.hourly else moment
        angle = torch.remainder(day.double(), 365.2425) / 365.2425 * 6.283185307179586
        made = [angle.sin(), angle.cos(), (2 * angle).sin(), (2 * angle).cos()]
        if self.step <= _WEEK:
            made.append(day_of_month(day).double())
        if self.step == 1:
            made.append(torch.remainder(day + 3, 7).double())  # 1970-01-01 was a Thursday; Monday is 0
        if self.hourly:
            made.append(torch.remainder(moment, 24).double())
        return made

    def same_of_month(self, seen: Tensor, last: Tensor, steps: range) -> list[Tensor]:
        """How far the same days of earlier months, by number and by what is left of the month, were off all days.

        Trees see a pay day in few rows, and would learn it slowly from its number. Nothing but days has such features.

        Args:
            seen: A history ``[series, context]``, NaN where missing.
            last: Day of its last step ``[series]``.
            steps: Those ahead from 0 on that are asked for.

        Returns:
            Two features ``[series, steps]``, NaN where no such day is known.
        """
        if self.step != 1 or self.hourly:
            return []
        ahead = last[:, None] + torch.arange(steps.start + 1, steps.stop + 1)
        past = last[:, None] - torch.arange(seen.shape[1] - 1, -1, -1)
        known = (~seen.isnan()).double()
        away = ((seen - _mean(seen)) * known).nan_to_num(0.0)
        both = torch.stack([away, known], dim=2)
        made = []
        for number in (day_of_month, days_left_of_month):
            same = (number(ahead)[:, :, None] == number(past)[:, None, :]).double()
            sums, count = torch.bmm(same, both).unbind(2)
            made.append(torch.where(count > 0, sums / count.clamp_min(1), torch.nan))
        return made


def day_of_month(day: Tensor) -> Tensor:
    """Days since 1970-01-01 to 1 … 31, by whole numbers alone.

    Source: Howard Hinnant, chrono-compatible low-level date algorithms, `civil_from_days`: years begin in March, so
    that the day that is not in every year is their last.

    >>> day_of_month(torch.tensor([0, 30, 31, 11_016, 11_017])).tolist()  # 29 February and 1 March 2000
    [1, 31, 1, 29, 1]
    """

    def whole(number: Tensor, parts: int) -> Tensor:
        return torch.div(number, parts, rounding_mode="floor")

    shifted = day + 719_468
    of_era = shifted - 146_097 * whole(shifted, 146_097)
    year = whole(of_era - whole(of_era, 1460) + whole(of_era, 36_524) - whole(of_era, 146_096), 365)
    of_year = of_era - (365 * year + whole(year, 4) - whole(year, 100))
    month = whole(5 * of_year + 2, 153)
    return of_year - whole(153 * month + 2, 5) + 1


def days_left_of_month(day: Tensor) -> Tensor:
    """Days since 1970-01-01 to those that follow in the same month, 0 … 30.

    >>> days_left_of_month(torch.tensor([0, 30, 11_016])).tolist()
    [30, 0, 0]
    """
    number = day_of_month(day)
    return 32 - day_of_month(day + 32 - number) - number  # 32 days from the last day before a month lie in the next one


def _mean(values: Tensor) -> Tensor:
    """Mean of the known values ``[series, 1]``, NaN where there is none."""
    known = (~values.isnan()).double().sum(1, keepdim=True)
    return torch.where(known > 0, values.nan_to_num(0.0).sum(1, keepdim=True) / known.clamp_min(1), torch.nan)


def _spread(known: Tensor) -> Tensor:
    return known.std().clamp_min(_TINY) if len(known) > 1 else torch.ones(())


def _means(codes: Tensor, values: Tensor, size: int) -> Tensor:
    """Mean of the known values of each category, drawn to 0 where it has few."""
    kept = ~values.isnan()
    nothing = torch.zeros(size, dtype=values.dtype)
    sums = nothing.index_add(0, codes[kept], values[kept])
    counts = nothing.index_add(0, codes[kept], torch.ones_like(values[kept]))
    return sums / (counts + _DOUBT)
