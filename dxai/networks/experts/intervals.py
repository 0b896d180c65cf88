"""How far a forecast may be off: one law for every frequency, whose constants were learnt once from public series.

An error at step ``h`` over its scale has the same distribution for every series:

    scale(h) = SIZE · v^a · n^b · c^e · d(h)^f · exp(growth · √(h / season))

with a series' mean absolute validation error ``v``, its mean absolute change from season to season ``n`` and from step
to step ``c``, and the mean distance ``d(h)`` of the experts from their forecast. The exponents maximise the likelihood
of Laplace's distribution; the quantiles are those of errors over this scale that followed histories cut one horizon
before their end (split-conformal), of the training parts of M1 and M3, each series counting alike. One command prints
all of them but `WEEKLY` and `DAILY`:

    python -m benchmarks.forecaster --calibrate

Source of conformal scores over a scale: Lei et al. (2018), Distribution-Free Predictive Inference for Regression.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from dxai.networks.experts.gaps import WEEK
from dxai.networks.experts.network import Validation

EXPONENTS = (0.203, 0.51, 0.032, 0.25, 0.779)
"""Of validation error, seasonal change, change and disagreement; growth over a season."""
SIZE = 0.605
LEARNT = 12
"""Steps of the longest season that these constants were learnt from."""
DAILY, DAILY_GROWTH = 1.3, 0.4
"""Size of the scale of days over that, and their growth over a week: four weeks are no four years. Found by
`python -m benchmarks.days` on every second series."""
WEEKLY = 1.22
"""Size of a scale whose season is longer, over that: found on the last but one horizon of weekly retail demand."""
QUANTILES = {
    0.025: -2.532, 0.1: -1.441, 0.2: -0.84, 0.3: -0.46, 0.4: -0.164, 0.5: 0.0,
    0.6: 0.347, 0.7: 0.642, 0.8: 1.016, 0.9: 1.639, 0.975: 2.998,
}  # fmt: skip
"""Of an error over its scale, by level. The median is the forecast (.091 was learnt: it differs from year to year)."""

USUAL = 0.2
"""Change from step to step of which nothing is known, over the size of its series: counts as one observation."""
AGREED = 0.1
"""Least disagreement, as a share of the change from step to step."""


def error_scale(seen: Validation, season: int) -> Tensor:
    """Scale of the errors ahead, over the scale of the series ``[series, horizon]``; 0 where all values were 0."""
    size, growth = SIZE, EXPONENTS[-1]
    if season > LEARNT:
        size = SIZE * WEEKLY
    elif season == WEEK:
        size, growth = SIZE * DAILY, DAILY_GROWTH
    exponents = torch.tensor([*EXPONENTS[:-1], growth], dtype=seen.aligned.dtype)
    made = size * torch.exp((logarithms(seen, season) * exponents).sum(dim=2))
    return torch.where(_moved(seen), made, 0.0)


def quantiles(forecast: Tensor, scale: Tensor, levels: Sequence[float]) -> Tensor:
    """Forecast and error scale ``[series, horizon]`` to ordered quantiles ``[series, horizon, level]``."""
    return forecast[:, :, None] + scale[:, :, None] * torch.tensor([QUANTILES[level] for level in levels])


def logarithms(seen: Validation, season: int) -> Tensor:
    """What the scale is a product of: its logarithms ``[series, horizon, factor]``, in the order of `EXPONENTS`.

    The step is no power: the first of 52 steps of a year would have a third of the error of the last, and it has more.

    Each mean is shrunk to the one before it, by one observation: two steps say little of how a series changes.
    """
    error, horizon = (seen.truth - seen.forecast)[1:], seen.forecast.shape[2]
    change = _mean(_changes(seen.aligned, 1), torch.full_like(seen.scale, USUAL))
    seasonal = _mean(_changes(seen.aligned, season), change)
    own = _mean(error.transpose(0, 1).flatten(1).abs(), seasonal)
    away = (seen.experts[0] - seen.forecast[0][:, None]).abs()
    disagreement = (seen.weights[:, :, None] * away).sum(dim=1) + AGREED * change
    steps = torch.tensor([[math.sqrt(step / season) for step in range(1, horizon + 1)]], dtype=error.dtype)
    factors = [*(each.log() for each in (own, seasonal, change, disagreement)), steps]
    return torch.stack([each.expand_as(disagreement) for each in factors], dim=2)


def _changes(values: Tensor, lag: int) -> Tensor:
    return (values[:, lag:] - values[:, :-lag]).abs()


def _mean(values: Tensor, prior: Tensor) -> Tensor:
    """Mean of what is known, and of the prior as one more observation ``[series, 1]``."""
    known = ~values.isnan()
    total = torch.where(known, values, 0.0).sum(dim=1, keepdim=True)
    return (total + prior) / (known.sum(dim=1, keepdim=True) + 1)


def _moved(seen: Validation) -> Tensor:
    return seen.aligned.nan_to_num(0.0).abs().amax(dim=1, keepdim=True) > 0
