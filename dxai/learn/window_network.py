"""A network on windows of a history: all quantiles and a mean of every step ahead, bounded so that none explodes.

Source: Koenker and Bassett (1978), Regression Quantiles; Ba et al. (2016), Layer Normalization; Loshchilov and Hutter
(2017), SGDR: the cosine rate.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from dxai.arithmetic import square_root
from dxai.contract import Frequency
from dxai.contract.signature import LEVELS
from dxai.data.batches import Batches
from dxai.learn.fitting import FitRows
from dxai.learn.window_model import Numbers, WindowModel
from dxai.networks.arguments import PositiveInt
from dxai.networks.beside import Covariate
from dxai.networks.quantiles import QuantileHead
from dxai.networks.ratios import bent, unbent

_STEPS = 52
"""Last ones that are given as they are, beside the features."""
_BATCH, _RATE, _DECAY = 512, 2e-3, 1e-2
_FAR = 4.0
"""Standard deviations beyond which a feature says no more."""
_NO_SPREAD = 1e-3
"""Below it a feature is the same everywhere."""
_TOLD = 0.1
"""Share of the pairs in which a feature must be known: of a few the network would learn them by heart."""
_MOST = math.asinh(5 * 60.0)
"""Largest forecast, 60 times the level, as `bent`."""
_MOST_OF_MEAN, _CLIP = 20.0, 10.0
"""Largest mean, and the multiple of the level beyond which a true value does not pull it further up."""
_MEAN_WEIGHT = 0.1
"""Of the mean's loss beside the quantiles'."""


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.block = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, width), nn.ReLU(), nn.Dropout(0.1), nn.Linear(width, width)
        )

    def forward(self, hidden: Tensor) -> Tensor:
        return hidden + torch.as_tensor(self.block(hidden))


class _Layers(nn.Module):
    """What is learned by gradients."""

    def __init__(self, steps: int, features: int, *, encoded: int = 96, width: int = 160) -> None:
        super().__init__()
        self.encode = nn.Sequential(nn.Linear(steps, encoded), nn.ReLU(), nn.Linear(encoded, encoded), nn.ReLU())
        self.join = nn.Sequential(nn.Linear(encoded + features, width), _Residual(width), _Residual(width))
        self.answer = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, len(LEVELS) + 1))
        self.head = QuantileHead(len(LEVELS), median=bent(torch.tensor(0.8)).item(), gap=0.2, mean=0.0)

    def forward(self, seen: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
        """``[series, steps]``, ``[series, steps ahead, features]`` to bent quantiles and the mean's logarithm."""
        encoded = self.encode(seen)[:, None, :].expand(-1, features.shape[1], -1)
        channels = self.answer(self.join(torch.cat([encoded, features], dim=2)))
        quantiles, mean = self.head(channels.transpose(1, 2))
        return quantiles.clamp(-_MOST, _MOST), mean


class WindowNetwork(WindowModel):
    """The last steps and the features of `WindowTrees` to nine quantiles and a mean, in multiples of each level.

    Attributes:
        middle, gain: Of each feature: what is taken off it and what it is then multiplied by ``[features]``.
        lowest, highest: Of each feature in the fit: beyond what it has seen a network would make things up.
    """

    middle: Tensor
    gain: Tensor
    lowest: Tensor
    highest: Tensor

    def __init__(
        self, *, context: int, horizon: int, season: int, frequency: Frequency | None = None,  # noqa: ARG002  # every forecaster gets it
        columns: Sequence[Covariate] = (), rows: PositiveInt = 60_000, passes: PositiveInt = 4,
    ) -> None:  # fmt: skip
        """As `WindowTrees`.

        Args:
            context: Steps of history that are given; `context_of` of them are looked at.
            horizon: Steps ahead.
            season: Steps after which a season comes again.
            frequency: Not looked at: a network learns the weeks of the past by heart and fails in the next ones.
            columns: Covariates, in contract order.
            rows: Pairs of a history and a step ahead that it is fitted on, at most.
            passes: How many times it sees each of them.
        """
        super().__init__(horizon=horizon, season=season, frequency=None, columns=columns, most=rows, rounded=False)
        self.passes, features = passes, self.width
        for name in ("middle", "gain", "lowest", "highest"):
            self.register_buffer(name, torch.zeros(features))
        self.layers = _Layers(min(_STEPS, self.context), features)

    def forward(self, history: Tensor, last: Tensor, *columns: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """As `WindowTrees`."""
        history, features, level = self.look(history, last, columns)
        quantiles, raw = self.layers(self._seen(history, level), self._standardised(features))
        return unbent(quantiles), self._mean(raw), level

    def fit(self, rows: FitRows) -> None:
        """Fit anew on pairs of a history and a step ahead, drawn by chance; weighed as those of the trees."""
        pairs = self.draw(rows, np.random.default_rng(rows.seed), min(_STEPS, self.context))
        features = torch.as_tensor(pairs.features)
        self._standardise(features)
        seen, ratio = self._seen(pairs.recent, pairs.level), torch.as_tensor(pairs.ratio)
        weight = torch.as_tensor(pairs.weight / pairs.weight.mean()).float()
        batches = Batches(
            (self._standardised(features), torch.as_tensor(pairs.window), ratio, weight), _BATCH, seed=rows.seed
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(rows.seed)
            self.layers = _Layers(seen.shape[1], features.shape[1])
            optimizer = torch.optim.AdamW(self.layers.parameters(), lr=_RATE, weight_decay=_DECAY, fused=True)
            schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.passes * len(batches))
            for turn in range(self.passes):
                rows.on_step(turn / self.passes, f"network, pass {turn + 1} of {self.passes}")
                for some, window, truth, counts in batches:
                    quantiles, raw = self.layers(seen[window], some[:, None])
                    optimizer.zero_grad()
                    torch.autograd.backward(self._loss(quantiles, raw, truth, counts))
                    optimizer.step()
                    schedule.step()
        self.layers.eval()

    def _kept(self, windows: int, new: bool, chance: np.random.Generator) -> Numbers:
        """Half of the windows also forget what is older than some step: how much is known would tell the date."""
        kept = super()._kept(windows, new, chance)
        return np.minimum(kept, chance.integers(self.features.steps, 2 * self.context, windows))

    def _loss(self, quantiles: Tensor, raw: Tensor, ratio: Tensor, weight: Tensor) -> Tensor:
        """Pinball loss of the bent quantiles ``[pairs, 1, level]`` and Poisson (or squared) loss of the mean."""
        levels = torch.tensor(LEVELS)
        error = bent(ratio).float()[:, None] - quantiles[:, 0]
        pinball = 2 * torch.maximum(levels * error, (levels - 1) * error).mean(dim=1)
        aim, mean = ratio.clamp(-_CLIP, _CLIP), self._mean(raw)[:, 0]
        of_mean = mean - aim * raw[:, 0].clamp_max(math.log(_MOST_OF_MEAN)) if self.grows else (mean - aim) ** 2 / 2
        return ((pinball + _MEAN_WEIGHT * of_mean) * weight).mean()

    def _mean(self, raw: Tensor) -> Tensor:
        """Where values never fall below zero, the layers give the mean's logarithm."""
        growing = raw.clamp_max(math.log(_MOST_OF_MEAN)).exp()
        return torch.where(self.grows, growing, raw.clamp(-_MOST_OF_MEAN, _MOST_OF_MEAN))

    def _seen(self, history: Tensor, level: Tensor) -> Tensor:
        """The last steps ``[series, steps]``; a missing one is the mean: which are missing would tell the date."""
        seen = bent(history[:, -_STEPS:] / level).float().clamp(-_MOST, _MOST)
        known, filled = (~seen.isnan()).float(), seen.nan_to_num(0.0)
        mean = filled.sum(1, keepdim=True) / known.sum(1, keepdim=True).clamp_min(1)
        return torch.where(known > 0, filled, mean)

    def _standardise(self, features: Tensor) -> None:
        """Take middle, gain and range of the features ``[pairs, features]``."""
        known = (~features.isnan()).sum(0)
        self.middle = features.nansum(0) / known.clamp_min(1)
        spread = square_root(((features - self.middle) ** 2).nansum(0) / known.clamp_min(1))
        told = (spread > _NO_SPREAD) & (known > _TOLD * len(features))
        self.gain = torch.where(told, 1 / spread.clamp_min(_NO_SPREAD), 0.0)
        scaled = (features - self.middle) * self.gain
        self.lowest = scaled.nan_to_num(0.0).amin(0).clamp_min(-_FAR)
        self.highest = scaled.nan_to_num(0.0).amax(0).clamp_max(_FAR)

    def _standardised(self, features: Tensor) -> Tensor:
        scaled = ((features - self.middle) * self.gain).nan_to_num(0.0)
        return torch.minimum(torch.maximum(scaled, self.lowest), self.highest)
