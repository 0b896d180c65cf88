"""Eight experts, weighed by how they would have forecast the end of the history: no training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from dxai.networks.experts.bank import FilterBank
from dxai.networks.experts.filters import kernels, simple
from dxai.networks.experts.gaps import WEEK, filled, without_closures, without_last_spike
from dxai.networks.experts.history import SMALLEST, History
from dxai.networks.experts.members import (
    ALPHAS,
    COMPLEX,
    DAMPED,
    LINE_WEIGHTS,
    ComplexSmoothing,
    HarmonicRegression,
    HoltWinters,
    Size,
    Theta,
    drift,
    seasonal_naive,
)
from dxai.networks.experts.year import DAYS
from dxai.networks.experts.year import year as year_of

NAMES = (
    "complex smoothing", "theta", "theta, weighed line", "Holt-Winters", "Holt-Winters of logarithms",
    "harmonic regression of logarithms", "seasonal naive", "seasonal naive with drift",
)  # fmt: skip
CAUTION = 0.2
"""Added to an expert's error over that of all: a perfect score on few steps is partly luck."""
HIGHEST = 3.0
"""A forecast is at most so many times the largest value of its history."""


class Validation(NamedTuple):
    """What the experts say from the end of a history and from earlier origins in it, over the scale of the series.

    Attributes:
        experts: ``[origin, series, expert, horizon]``.
        weights: ``[series, expert]``.
        forecast: Their combination ``[origin, series, horizon]``.
        truth: NaN where it is not known ``[origin, series, horizon]``.
        aligned: The history, NaN where a value is missing ``[series, context + validated]``.
        scale: ``[series, 1]``.
        origins: Steps before the end of the history.
    """

    experts: Tensor
    weights: Tensor
    forecast: Tensor
    truth: Tensor
    aligned: Tensor
    scale: Tensor
    origins: Sequence[int]


class Combination(nn.Module):
    """Point forecasts of any series from its history alone.

    The forecast of every step is a trimmed mean of the eight, weighed by their errors from rolling origins inside the
    history. Everything is a tensor operation without a loop over time, so the whole exports as one ONNX graph.
    """

    def __init__(
        self,
        *,
        season: int,
        horizon: int,
        context: int,
        validated: int = 0,
        year: bool = False,
        sharpness: float = 1.5,
        trim: float = 0.2,
        discount: float = 0.7,
        mild: float = 0.85,
        complex_rows: Sequence[tuple[float, float]] = COMPLEX,
        damped_rows: Sequence[tuple[float, float, float, float]] = DAMPED,
    ) -> None:
        """Build the filters.

        Args:
            season: Steps of one season.
            horizon: Steps ahead.
            context: Newest steps that are looked at, a multiple of the season.
            validated: Steps ahead by whose errors the experts are weighed; 0: the whole horizon.
            year: Whether days have a year beside their week, which is taken off before the experts look.
            sharpness: How strongly lower validation errors raise a weight; 0 weighs all experts alike.
            trim: Share of the weight that is left out at either end.
            discount: Weight of a season's index against that of a season later, in both thetas.
            mild: The same in the other experts.
            complex_rows: Grid of complex smoothing.
            damped_rows: Grid of Holt-Winters.
        """
        super().__init__()
        assert context % season == 0 and context >= 2 * season, "a context is two whole seasons or more"
        assert not year or season == WEEK, "days have a year beside their season"
        self.season, self.horizon, self.context = season, horizon, context
        self.looked = DAYS if year else context
        self.sharpness, self.trim = sharpness, trim
        self.validated = validated or horizon
        assert self.validated <= horizon, "no step beyond the horizon is forecast"
        self.origins = sorted({0, -(-self.validated // 3), -(-2 * self.validated // 3), self.validated})
        size = Size(context, horizon, season)
        self.complex = ComplexSmoothing(size, discount=mild, rows=complex_rows)
        smoothing = FilterBank(kernels(simple(ALPHAS), length=context, horizon=horizon))
        self.theta = Theta(smoothing, discount=discount, ratio=False)
        self.weighed_theta = Theta(smoothing, discount=discount, ratio=True, weights=LINE_WEIGHTS)
        self.holt_winters = HoltWinters(size, discount=mild, rows=damped_rows)
        self.harmonic = HarmonicRegression(size, discount=0.98, season_discount=mild)

    def forward(self, history: Tensor) -> tuple[Tensor, Tensor]:
        """Forecast.

        Args:
            history: NaN where a value is missing; any length ``[series, time]``.

        Returns:
            Forecasts ``[series, horizon]`` and, of the earlier origins inside the history, truth minus forecast by
            step ``[series, origin, horizon]``, NaN where no truth is known; both in the unit of the history.
        """
        seen = self.validation(history)
        return seen.forecast[0] * seen.scale, ((seen.truth - seen.forecast)[1:] * seen.scale).transpose(0, 1)

    def validation(self, history: Tensor) -> Validation:
        """Every expert from every origin, the end of the history first, and their combination."""
        aligned, scale = self.aligned(history)
        ends = [self.validated - origin for origin in self.origins]
        looks = torch.cat([aligned[:, end : end + self.looked] for end in ends])
        after = functional.pad(aligned, (0, self.horizon), value=torch.nan)
        truth = torch.stack([after[:, end + self.looked :][:, : self.horizon] for end in ends])
        experts = self.experts(looks).reshape(len(ends), -1, len(NAMES), self.horizon)
        weight = weights((truth[1:, :, None] - experts[1:]).abs(), self.sharpness)
        forecast = trimmed_mean(experts, weight, self.trim)
        newest = aligned[:, self.looked - self.context :]
        return Validation(experts, weight, forecast, truth, newest, scale, self.origins)

    def aligned(self, history: Tensor) -> tuple[Tensor, Tensor]:
        """The newest steps over their mean size ``[series, looked + validated]``, and that size ``[series, 1]``."""
        length = self.looked + self.validated
        missing = torch.full_like(history[:, :1], torch.nan).expand(-1, length)
        newest = torch.cat([missing, history], 1)[:, -length:]
        if self.season == WEEK:
            older = newest[:, : self.looked - self.context]
            lately = without_closures(newest[:, self.looked - self.context :])  # which days are closed may change
            newest = torch.cat([without_closures(older), lately], dim=1) if older.shape[1] else lately
        size = torch.where(newest.isnan(), 0.0, newest).abs().sum(dim=1, keepdim=True)
        scale = size / (~newest.isnan()).sum(dim=1, keepdim=True).clamp_min(1)
        scale = torch.where(scale > 0, scale, 1.0)
        return newest / scale, scale

    def experts(self, look: Tensor) -> Tensor:
        """Every expert's forecast of scaled histories ``[series, looked]``: ``[series, expert, horizon]``."""
        known = ~look.isnan()
        values, begun = filled(torch.where(known, look, 0.0), known, self.season)
        if self.looked == self.context:
            return self.of_one_season(values, begun, known)
        year, ratio = year_of(values, begun.to(look.dtype), known.to(look.dtype), self.horizon)
        plain = torch.where(ratio, values / year.past, values - year.past) * begun
        made = self.of_one_season(*(each[:, -self.context :] for each in (plain, begun, known)))
        ahead = year.future[:, None]
        made = torch.where(ratio[:, :, None], made * ahead, made + ahead)
        return torch.where(values.amin(dim=1)[:, None, None] >= 0, made.clamp_min(0.0), made)

    def of_one_season(self, values: Tensor, begun: Tensor, known: Tensor) -> Tensor:
        """Forecasts of histories whose one season is that of the experts ``[series, expert, horizon]``."""
        values = without_last_spike(values, begun, self.season)
        history = History(values, begun.to(values.dtype), known.to(values.dtype), self.season, self.horizon)
        naive = seasonal_naive(history)
        logarithms = in_logarithms(history)
        trend = [
            self.complex(history), self.theta(history), self.weighed_theta(history), self.holt_winters(history),
            *(out_of_logarithms(expert(logarithms), history) for expert in (self.holt_winters, self.harmonic)),
        ]  # fmt: skip
        level = (1 - history.trust) * history.recent()
        made = torch.stack([*(level + history.trust * each for each in trend), naive, naive + drift(history)], dim=1)
        return _bounded(made, history)


def in_logarithms(history: History) -> History:
    """Logarithms where all values are above 0, the values themselves elsewhere."""
    logarithms = history.values.clamp_min(SMALLEST).log()
    return history.holding(torch.where(history.positive, logarithms, history.values))


def out_of_logarithms(made: Tensor, history: History) -> Tensor:
    """Forecasts of what `in_logarithms` makes of a history, back in its unit."""
    return torch.where(history.positive, made.clamp(-20.0, 20.0).exp(), made)


def _bounded(forecasts: Tensor, history: History) -> Tensor:
    """Not below 0 where the history never is, and within `HIGHEST` times its largest size."""
    highest = HIGHEST * history.values.abs().amax(dim=1)[:, None, None]
    lowest = torch.where(history.values.amin(dim=1)[:, None, None] >= 0, 0.0, -highest)
    return torch.minimum(torch.maximum(forecasts, lowest), highest)


def weights(error: Tensor, sharpness: float) -> Tensor:
    """Share of every expert, by its mean absolute error from earlier origins, the nearest counting most.

    Args:
        error: NaN where no truth is known; the nearest origin first ``[origin, series, expert, horizon]``.
        sharpness: Power of the inverse error.

    Returns:
        ``[series, expert]``.
    """
    known = ~error.isnan()
    steps = known.sum(dim=3)  # [origin, series, expert]
    mean = torch.where(known, error, 0.0).sum(dim=3) / steps.clamp_min(1)
    near = torch.arange(error.shape[0], 0, -1, dtype=error.dtype)[:, None, None] * (steps > 0)
    mean = (mean * near).sum(dim=0) / near.sum(dim=0).clamp_min(1.0)
    relative = mean / mean.mean(dim=1, keepdim=True).clamp_min(SMALLEST**2)
    return torch.softmax(-sharpness * (relative + CAUTION).log(), dim=1)


def trimmed_mean(forecasts: Tensor, weights: Tensor, trim: float) -> Tensor:
    """Mean over the experts without the outermost ``trim`` of the weight on either side.

    Args:
        forecasts: ``[origin, series, expert, horizon]``.
        weights: ``[series, expert]``, 1 in all.
        trim: Below one half.

    Returns:
        ``[origin, series, horizon]``.
    """
    ordered, order = torch.sort(forecasts, dim=2)
    share = weights[None, :, :, None].expand_as(forecasts).gather(2, order)
    upto = torch.cumsum(share, dim=2)
    inside = (upto.clamp(max=1 - trim) - (upto - share).clamp(min=trim)).clamp_min(0.0)
    return torch.as_tensor((ordered * inside).sum(dim=2) / inside.sum(dim=2))
