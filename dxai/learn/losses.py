"""Training losses on scaled targets."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field, PositiveFloat
from torch import Tensor
from torch.nn import functional

from dxai.contract.signature import LEVELS


def members_squared_error(answers: Tensor, target: Tensor) -> Tensor:
    """Mean squared error of each ensemble member by itself, not of their average.

    Args:
        answers: ``[batch, members, 1]``.
        target: ``[batch]``.
    """
    return ((answers - target[:, None, None]) ** 2).mean()


class ForecastLoss:
    """Pinball loss of the quantiles and Huber loss of the mean, in units of each series' scale.

    Series are weighted by scale ** ``scale_weight``: 0 counts all alike, 1 counts units, as the weighted quantile loss.

    Source: Koenker and Bassett (1978), Regression Quantiles; Huber (1964).
    """

    def __init__(
        self,
        *,
        scale_weight: Annotated[float, Field(ge=0, le=1)] = 0.5,
        mean_weight: PositiveFloat = 0.05,
        mean_delta: PositiveFloat = 20.0,
    ) -> None:
        """``mean_weight``: of the mean's loss beside the quantiles'; ``mean_delta``: from where it is straight."""
        self.scale_weight, self.mean_weight, self.mean_delta = scale_weight, mean_weight, mean_delta

    def __call__(self, answer: tuple[Tensor, Tensor, Tensor], target: Tensor) -> Tensor:
        """Answer of `ScaledForecast`, target ``[series, horizon]`` in its unit, NaN where unknown; one number."""
        quantiles, mean, scale = answer
        known = (~target.isnan()).float()
        scaled = target.nan_to_num(0.0) / scale
        weight = (self.scale_weight * scale.log()).exp()  # a power of one half would be a square root: arithmetic.py
        weight = known * weight / weight.mean()
        levels = torch.tensor(LEVELS, dtype=quantiles.dtype)
        error = scaled[..., None] - quantiles
        pinball = 2 * torch.maximum(levels * error, (levels - 1) * error).mean(dim=-1)
        huber = 2 * functional.huber_loss(mean, scaled, reduction="none", delta=self.mean_delta)
        return ((pinball + self.mean_weight * huber) * weight).sum() / known.sum()


class MembersCrossEntropy:
    """Cross-entropy of each ensemble member by itself, its logits raised by the logarithm of the classes' shares.

    The network learns what speaks for a class beyond its share, so that rare classes are learnt from the start and
    probabilities stay honest; class weights would have to be taken back afterwards.

    Source: Menon et al. (2021), Long-Tail Learning via Logit Adjustment, equation 10.
    """

    def __init__(self, prior: Tensor) -> None:
        """``prior``: logarithm of the shares ``[classes]``."""
        self.prior = prior

    def __call__(self, logits: Tensor, target: Tensor) -> Tensor:
        """Logits ``[batch, members, classes]`` and class numbers ``[batch]`` to one number."""
        return functional.cross_entropy((logits + self.prior).flatten(0, 1), target.repeat_interleave(logits.shape[1]))
