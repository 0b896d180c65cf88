"""The experts as a forecaster of demand contracts: quantiles and a mean from a history as it is."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dxai.contract.signature import LEVELS
from dxai.networks.experts.gaps import WEEK
from dxai.networks.experts.hours import CONTEXT, DAY, VALIDATED, HourlyExperts
from dxai.networks.experts.intervals import error_scale, quantiles
from dxai.networks.experts.lumpy import distribution, lumpiness
from dxai.networks.experts.network import Combination
from dxai.networks.experts.year import DAYS

SMALLEST_SCALE = 1e-3
"""Least unit of forecasts, over the size of their series."""


HOURS = (DAY, DAY * WEEK)
"""Seasons of hours, which have experts of their own."""


class Experts(nn.Module):
    """Eight experts with quantiles, or nine of hours; there is nothing to train.

    Attributes:
        takes_raw: It takes histories in the target's unit, with gaps.
        untrained: Its fit looks at no rows.
        context: Steps of history that it looks at.
    """

    takes_raw = untrained = True

    def __init__(self, *, context: int, horizon: int, season: int, validated: int = 0) -> None:
        """``context``: as `context_of` says; ``validated``: as `Combination` says."""
        super().__init__()
        self.context, year = context, season == WEEK and context - horizon == DAYS
        self.network: Combination | HourlyExperts = HourlyExperts(horizon=horizon) if season in HOURS else Combination(
            season=season, horizon=horizon, context=_smoothed(season) if year else context - horizon,
            validated=validated, year=year,
        )  # fmt: skip

    @staticmethod
    def context_of(season: int, horizon: int) -> int:
        """Steps of history that are looked at: whole seasons, and one horizon for the validation inside the graph.

        Twelve years of months, eighteen of quarters, three of weeks and of days, 133 days of hours.

        >>> [Experts.context_of(season, 0) for season in (12, 4, 52, 7, 1, 24)]
        [144, 72, 156, 1092, 48, 3192]
        """
        if season in HOURS:
            return (CONTEXT + VALIDATED) * DAY
        return (DAYS if season == WEEK else _smoothed(season)) + horizon

    def forward(self, history: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """History ``[series, time]`` (NaN: missing) of any length to forecasts in units of their own error scale.

        Returns:
            Quantiles ``[series, horizon, level]``, mean ``[series, horizon]``, unit ``[series, 1]``.
        """
        made, mean, scale, size = self.distribution(history, LEVELS)
        unit = scale.mean(dim=1, keepdim=True).clamp_min(SMALLEST_SCALE)
        return made / unit[:, :, None], mean / unit, unit * size

    def distribution(self, history: Tensor, levels: Sequence[float]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Quantiles, mean and error scale over the size of the series, and that size ``[series, 1]``.

        A history that was never below 0 has no quantile there; with zeros in it, `lumpy` has the say.
        """
        if isinstance(self.network, HourlyExperts):
            return self.network.distribution(history, levels)
        seen, season = self.network.validation(history), self.network.season
        scale, forecast = error_scale(seen, season), seen.forecast[0]
        made = quantiles(forecast, scale, levels)
        never = seen.aligned.nan_to_num(0.0).amin(dim=1)[:, None, None] >= 0
        made = torch.where(never, made.clamp_min(0.0), made)
        past, past_mean = distribution(seen, season=season, levels=levels)
        lumpy = lumpiness(seen.aligned, season)
        made = made + lumpy[:, :, None] * (past - made)
        return made, forecast + lumpy * (past_mean - forecast), scale, seen.scale

    def fit(self, rows: object) -> None:
        """Nothing: all constants are known."""


def _smoothed(season: int) -> int:
    """Steps that the experts of one season look at, whole seasons."""
    steps = max(48, min(144, 18 * season), 3 * season)
    return -(-steps // season) * season
