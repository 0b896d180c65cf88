"""Boosted trees on features of a history: one model for all series, quantiles and a mean of every step ahead.

Source: the direct form of Montero-Manso and Hyndman (2021), Principles and Algorithms for Forecasting Groups of Time
Series; Ke et al. (2017), LightGBM; Tweedie loss: Makridakis et al. (2022), The M5 Accuracy Competition.
"""

from __future__ import annotations

from typing import Any

import lightgbm
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dxai.contract.signature import LEVELS
from dxai.learn.fitting import FitRows
from dxai.learn.lightgbm_trees import trees_of_lightgbm
from dxai.networks.arguments import PositiveInt
from dxai.networks.trees import TreeEnsemble, joined, moved
from dxai.networks.windows import WindowFeatures, bent, unbent

Array = NDArray[np.float32]

_FITTED = LEVELS[::2]
"""Levels that have trees of their own; those between are the mean of their neighbours."""
_AT_ONCE = 2_000
_FLOOR = 0.05
"""Least level of a series, over the median one."""
_SETTINGS: dict[str, Any] = {
    "learning_rate": 0.08, "num_leaves": 15, "min_child_samples": 40, "bagging_fraction": 0.7, "bagging_freq": 1,
    "feature_fraction": 0.25, "feature_fraction_bynode": 0.5, "verbosity": -1, "num_threads": 1, "deterministic": True,
    "force_col_wise": True,
}  # fmt: skip


class WindowTrees(nn.Module):
    """Trees of five quantiles and a mean, in multiples of each series' own level.

    Attributes:
        takes_raw: It takes histories in the target's unit, with gaps.
    """

    takes_raw = True
    least: Tensor
    grows: Tensor

    def __init__(
        self, *, context: int, horizon: int, season: int, rows: PositiveInt = 120_000, rounds: PositiveInt = 150
    ) -> None:
        """``rows``: pairs of a history and a step ahead that are fitted, at most; ``rounds``: trees of each output."""
        super().__init__()
        self.features = WindowFeatures(horizon=horizon, season=season)
        self.context, self.horizon, self.most, self.rounds = context, horizon, rows, rounds
        self.trees = TreeEnsemble(outputs=len(_FITTED) + 1)
        self.register_buffer("least", torch.ones(()))
        self.register_buffer("grows", torch.zeros((), dtype=torch.bool))

    @staticmethod
    def context_of(season: int, horizon: int) -> int:
        """Steps of history that are looked at."""
        return WindowFeatures(horizon=horizon, season=season).context

    def forward(self, history: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """History ``[series, time]`` (NaN: missing) of any length to forecasts in units of its level.

        Returns:
            Quantiles ``[series, horizon, level]``, mean ``[series, horizon]``, level ``[series, 1]``.
        """
        missing = torch.full_like(history[:, :1], torch.nan).expand(-1, self.context)
        history = torch.cat([missing, history], dim=1)[:, -self.context :]
        level = self._level(history)
        rows = self.features(history, level).flatten(0, 1)
        raw = self.trees(rows).reshape(-1, self.horizon, len(_FITTED) + 1)
        found = [raw[..., 0]]
        for place in range(1, len(_FITTED)):
            above = torch.maximum(raw[..., place], found[-1])
            found += [(found[-1] + above) / 2, above]
        quantiles = unbent(torch.stack(found, dim=2))
        mean = torch.where(self.grows, raw[..., -1].clamp_max(4.0).exp(), raw[..., -1])
        return quantiles, mean, level

    def fit(self, rows: FitRows) -> None:
        """Fit on pairs of a history and a step ahead, drawn by chance; a series counts by the root of its level."""
        history, target = rows.inputs[0].numpy(), rows.target.numpy()
        draw = np.random.default_rng(rows.seed)
        level = self._settle_level(history)
        known = np.isfinite(target) & (np.isfinite(history).sum(axis=1) >= 4)[:, None]
        window, step = np.nonzero(known)
        chosen = np.sort(draw.permutation(len(window))[: self.most])
        window, step = window[chosen], step[chosen]
        features = self._features(history, level, window, step)
        ratio = target[window, step] / level[window, 0]
        self.grows = torch.tensor(bool((ratio >= 0).all()))
        weight = np.sqrt(level[window, 0].astype(np.float64))
        made = []
        for place, quantile in enumerate((*_FITTED, None)):
            rows.on_step(place / (len(_FITTED) + 1), f"trees of the {f'{quantile} quantile' if quantile else 'mean'}")
            aim: dict[str, Any] = {"objective": "quantile", "alpha": quantile}
            if quantile is None:
                tweedie = {"objective": "tweedie", "tweedie_variance_power": 1.3}
                aim = tweedie if self.grows else {"objective": "regression"}
            label = ratio if quantile is None else bent(torch.as_tensor(ratio)).numpy()
            table = lightgbm.Dataset(features, label, weight=weight / weight.mean())
            booster = lightgbm.train(_SETTINGS | aim | {"seed": rows.seed + 1}, table, self.rounds)
            made.append(moved(trees_of_lightgbm(booster.dump_model()), 1.0, place))
        self.trees.plant(joined(made))

    def _level(self, history: Tensor) -> Tensor:
        return torch.maximum(self.features.level(history).abs(), self.least)

    def _settle_level(self, history: Array) -> Array:
        """Take the least level from the training histories; returns the levels ``[windows, 1]``."""
        self.least = torch.full((), 1e-12)
        found = self._level(torch.as_tensor(history)).numpy()
        positive = found[found > 1e-9]
        self.least = torch.tensor(_FLOOR * float(np.median(positive)) if len(positive) else 1.0)
        made: Array = np.maximum(found, self.least.numpy())
        return made

    def _features(self, history: Array, level: Array, window: NDArray[np.int64], step: NDArray[np.int64]) -> Array:
        parts = []
        used, place = np.unique(window, return_inverse=True)
        with torch.inference_mode():
            for first in range(0, len(used), _AT_ONCE):
                some = used[first : first + _AT_ONCE]
                made = self.features(torch.as_tensor(history[some]), torch.as_tensor(level[some])).numpy()
                mine = (place >= first) & (place < first + len(some))
                parts.append(made[place[mine] - first, step[mine]])
        return np.concatenate(parts)
