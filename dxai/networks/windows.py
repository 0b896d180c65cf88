"""Features of a history for each step ahead: recent values, windows, the same season before.

They are computed in double precision and then rounded: in single precision one in ten thousand would be rounded the
other way where another engine adds up in another order, and now and then fall on the other side of a threshold.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dxai.networks.beside import BesideFeatures, Clock, Covariate
from dxai.networks.ratios import bent

_GRAIN = 1024.0
"""Features are rounded to so many parts: sums in another order must not fall on the other side of a threshold."""
_WINDOWS = {
    1: (2, 4, 8), 4: (2, 4, 8, 12), 7: (7, 28, 91, 364), 12: (3, 6, 12, 24), 24: (6, 24, 168, 672), 52: (4, 13, 26, 52),
}  # fmt: skip
_LEVELS = {1: 4, 4: 4, 7: 28, 12: 12, 24: 168, 52: 13}
"""Steps whose mean is the level of a series, by season."""


class WindowFeatures(nn.Module):
    """Histories to one row of features per step ahead.

    Attributes:
        beside: Of what is known beside the history.
    """

    def __init__(
        self, *, horizon: int, season: int, clock: Clock | None = None, columns: Sequence[Covariate] = (),
        rounded: bool = True,
    ) -> None:  # fmt: skip
        """For a number of steps ahead.

        Args:
            horizon: Steps ahead.
            season: Steps after which a season comes again.
            clock: None: features do not see the date.
            columns: Covariates, in contract order.
            rounded: To 1/1024, for models with thresholds; a smooth one is better off with what it sees.
        """
        super().__init__()
        nearest = min(_WINDOWS, key=lambda known: abs(known - season))
        self.horizon, self.rounded = horizon, rounded
        self.windows, self.steps = _WINDOWS[nearest], _LEVELS[nearest]
        self.seasons = [(season, 7 if season == 24 else 2 if season >= 50 else 4)] if season > 1 else []
        self.seasons += [(168, 4)] if season == 24 else [(364, 2)] if season == 7 else []
        self.clock = clock
        self.beside = BesideFeatures(columns, horizon=horizon, steps=self.steps)
        self.context = max([*self.windows, self.steps + 1, *(length * count for length, count in self.seasons)])

    def level(self, history: Tensor) -> Tensor:
        """Mean of the last known values ``[series, 1]``, in double precision; 0 where none is known."""
        return _mean(history[:, -self.steps :].double())[0]

    def forward(
        self, history: Tensor, level: Tensor, last: Tensor, columns: Sequence[Tensor] = (), steps: range | None = None
    ) -> Tensor:
        """Features of every step ahead ``[series, steps, features]``.

        Args:
            history: ``[series, context]``, NaN where missing.
            level: ``[series, 1]``.
            last: Days or hours since 1970-01-01 of the last step ``[series]``.
            columns: Covariates in contract order, those of steps as long as the history and what is known ahead of it.
            steps: Those from 0 on that are asked for, one after the other; None: the whole horizon.
        """
        steps = steps or range(self.horizon)
        ratio = history.double() / level
        seen = bent(ratio)
        of_all = torch.cat([*self._recent(seen), *self._in_windows(ratio, seen)], dim=1)
        common = of_all[:, None, :].expand(-1, len(steps), -1)
        ahead = torch.arange(steps.start + 1, steps.stop + 1).double()[None, :, None].expand(history.shape[0], -1, 1)
        of_steps = [part for length, count in self.seasons for part in self._season(seen, length, count, steps)]
        of_steps += [*self.clock(last, steps), *self.clock.same_of_month(seen, last, steps)] if self.clock else []
        of_steps += self.beside(ratio, seen, columns, steps)
        made = torch.cat([common, ahead, *(part[:, :, None] for part in of_steps)], dim=2)
        return (torch.round(made * _GRAIN) / _GRAIN if self.rounded else made).float()

    def _recent(self, seen: Tensor) -> list[Tensor]:
        lags = [seen[:, -lag:][:, :1] for lag in (1, 2, 3, 4, 5, 6, 8) if lag <= self.context]
        known, age = (~seen.isnan()).double(), torch.arange(self.context - 1, -1, -1).double()
        weight = known * torch.exp(-0.223 * age)  # .8 a step
        smooth = (seen.nan_to_num(0.0) * weight).sum(1, keepdim=True) / weight.sum(1, keepdim=True).clamp_min(1e-6)
        lately = known[:, -self.steps :].mean(dim=1, keepdim=True)  # the share of the whole history would tell the date
        return [*lags, smooth, lately]

    def _in_windows(self, ratio: Tensor, seen: Tensor) -> list[Tensor]:
        made = []
        for length in self.windows:
            part, bends = ratio[:, -length:], seen[:, -length:]
            mean, known = _mean(part)
            middle, _ = _mean(bends)
            apart, _ = _mean((bends - middle).abs())
            zeros = ((part == 0).double().sum(1, keepdim=True)) / known.clamp_min(1)
            largest = bends.nan_to_num(-1e9).amax(dim=1, keepdim=True).clamp_min(-20)
            made += [bent(mean), middle, apart, largest, zeros]
        return made

    def _season(self, seen: Tensor, length: int, count: int, steps: range) -> list[Tensor]:
        """Values of whole seasons before each step; where a season is shorter than the horizon, the first known one."""
        places = torch.arange(steps.start, steps.stop)
        first = length * (places // length + 1)
        looks = []
        for turn in range(count):
            place = self.context + places - first - turn * length
            value = seen[:, place.clamp_min(0)]
            looks.append(torch.where(place >= 0, value, torch.nan))
        stacked = torch.stack(looks, dim=2)
        known = (~stacked.isnan()).double()
        mean = stacked.nan_to_num(0.0).sum(2) / known.sum(2).clamp_min(1)
        mean = torch.where(known.sum(2) > 0, mean, torch.nan)
        if length < 50:
            return [*looks, mean]
        beside = [(self.context + places - first + shift).clamp(0, self.context - 1) for shift in range(-2, 3)]
        around = torch.stack([seen[:, place] for place in beside], dim=2)
        near = around.nan_to_num(0.0).sum(2) / (~around.isnan()).double().sum(2).clamp_min(1)
        start = max(0, self.context - length - self.steps)
        then, _ = _mean(seen[:, start : max(start + 1, self.context - length)])
        return [*looks, mean, near, near - then]


def _mean(values: Tensor) -> tuple[Tensor, Tensor]:
    """Mean of the known values ``[series, 1]``, 0 where there is none, and their number."""
    known = (~values.isnan()).double().sum(1, keepdim=True)
    return values.nan_to_num(0.0).sum(1, keepdim=True) / known.clamp_min(1), known
