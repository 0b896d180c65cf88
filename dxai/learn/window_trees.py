"""Boosted trees on features of a history: one model for all series, quantiles and a mean of every step ahead.

Source: the direct form of Montero-Manso and Hyndman (2021), Principles and Algorithms for Forecasting Groups of Time
Series; Ke et al. (2017), LightGBM; Tweedie loss: Makridakis et al. (2022), The M5 Accuracy Competition.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import lightgbm
import numpy as np
import torch
from torch import Tensor

from dxai.contract import Frequency
from dxai.contract.signature import LEVELS
from dxai.learn.fitting import FitRows
from dxai.learn.lightgbm_trees import trees_of_lightgbm
from dxai.learn.window_model import WindowModel
from dxai.networks.arguments import PositiveInt
from dxai.networks.beside import Covariate
from dxai.networks.ratios import bent, unbent
from dxai.networks.trees import TreeEnsemble, joined, moved

_FITTED = LEVELS[::2]
"""Levels that have trees of their own; those between are the mean of their neighbours."""
_BAGS = 2
"""Ensembles of each output, on rows of their own: their mean is steadier than one of all rows."""
_SETTINGS: dict[str, Any] = {
    "learning_rate": 0.08, "num_leaves": 15, "min_child_samples": 40, "bagging_fraction": 0.7, "bagging_freq": 1,
    "feature_fraction": 0.25, "feature_fraction_bynode": 0.5, "verbosity": -1, "num_threads": 1, "deterministic": True,
    "force_col_wise": True,
}  # fmt: skip
_ROUNDS, _ROUNDS_OF_HOURS, _DAY = 100, 150, 24
_OF_HOURS: dict[str, Any] = {"num_leaves": 31, "feature_fraction": 0.4}
"""In place of those: what an hour is like depends on weather, weekday and hour together."""


class WindowTrees(WindowModel):
    """Trees of five quantiles and a mean, in multiples of each series' own level."""

    def __init__(
        self, *, context: int, horizon: int, season: int, frequency: Frequency | None = None,  # noqa: ARG002  # every forecaster gets it
        columns: Sequence[Covariate] = (), rows: PositiveInt = 120_000, rounds: PositiveInt | None = None,
    ) -> None:  # fmt: skip
        """For histories of one contract.

        Args:
            context: Steps of history that are given; `context_of` of them are looked at.
            horizon: Steps ahead.
            season: Steps after which a season comes again.
            frequency: Of the steps; None: the trees do not see the date.
            columns: Covariates, in contract order.
            rows: Pairs of a history and a step ahead that each ensemble is fitted on, at most.
            rounds: Trees of each output in each of two ensembles; None: 150 of hours, 100 of longer steps, which begin
                to learn single dates by heart after that.
        """
        super().__init__(
            horizon=horizon, season=season, frequency=frequency, columns=columns, most=_BAGS * rows, rounded=True
        )
        self.settings = _SETTINGS | (_OF_HOURS if season == _DAY else {})
        self.rounds = rounds or (_ROUNDS_OF_HOURS if season == _DAY else _ROUNDS)
        self.trees = TreeEnsemble(outputs=len(_FITTED) + 1)

    def forward(self, history: Tensor, last: Tensor, *columns: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Histories and what is known beside them to forecasts in units of each level.

        Args:
            history: ``[series, time]`` of any length; NaN: missing.
            last: Days or hours since 1970-01-01 of the last step ``[series]``.
            columns: Covariates; those of steps as long as the context and what is known ahead.

        Returns:
            Quantiles ``[series, horizon, level]``, mean ``[series, horizon]``, level ``[series, 1]``.
        """
        _, features, level = self.look(history, last, columns)
        rows = features.flatten(0, 1)
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
        chance = np.random.default_rng(rows.seed)
        pairs = self.draw(rows, chance)
        features, ratio, weight = pairs.features, pairs.ratio, pairs.weight
        made = []
        half = chance.permutation(len(features)) % _BAGS
        for number, quantile in enumerate((*_FITTED, None)):
            rows.on_step(number / (len(_FITTED) + 1), f"trees of the {f'{quantile} quantile' if quantile else 'mean'}")
            aim: dict[str, Any] = {"objective": "quantile", "alpha": quantile}
            if quantile is None:
                tweedie = {"objective": "tweedie", "tweedie_variance_power": 1.3}
                aim = tweedie if self.grows else {"objective": "regression"}
            label = ratio if quantile is None else bent(torch.as_tensor(ratio)).float().numpy()
            for bag in range(_BAGS):
                mine = half == bag
                table = lightgbm.Dataset(features[mine], label[mine], weight=weight[mine] / weight[mine].mean())
                booster = lightgbm.train(self.settings | aim | {"seed": rows.seed + 1 + bag}, table, self.rounds)
                made.append(moved(trees_of_lightgbm(booster.dump_model()), 1 / _BAGS, number))
        self.trees.plant(joined(made))
