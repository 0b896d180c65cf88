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
from numpy.typing import NDArray
from torch import Tensor, nn

from dxai.contract import Frequency
from dxai.contract.signature import LEVELS
from dxai.data.steps import LENGTHS, units_of_a_day
from dxai.learn.fitting import FitRows
from dxai.learn.lightgbm_trees import trees_of_lightgbm
from dxai.networks.arguments import PositiveInt
from dxai.networks.beside import Clock, Covariate
from dxai.networks.trees import TreeEnsemble, joined, moved
from dxai.networks.windows import WindowFeatures, bent, unbent

Array = NDArray[np.float32]
Numbers = NDArray[np.int64]

_FITTED = LEVELS[::2]
"""Levels that have trees of their own; those between are the mean of their neighbours."""
_AT_ONCE, _LOOK = 500, 100_000
_BAGS = 2
"""Ensembles of each output, on rows of their own: their mean is steadier than one of all rows."""
_SPARE = 2
"""Pairs that are looked at for one that is fitted: some have no true value."""
_LEAST_KNOWN = 4
"""Steps of a history with a value."""
_FORGETTING = 0.05
"""Share of the windows that a series without history is learned from."""
_FLOOR = 0.05
"""Least level of a series, over the median one."""
_SETTINGS: dict[str, Any] = {
    "learning_rate": 0.08, "num_leaves": 15, "min_child_samples": 40, "bagging_fraction": 0.7, "bagging_freq": 1,
    "feature_fraction": 0.25, "feature_fraction_bynode": 0.5, "verbosity": -1, "num_threads": 1, "deterministic": True,
    "force_col_wise": True,
}  # fmt: skip
_DAY = 24
_OF_HOURS: dict[str, Any] = {"num_leaves": 31, "feature_fraction": 0.4}
"""In place of those: what an hour is like depends on weather, weekday and hour together."""


class WindowTrees(nn.Module):
    """Trees of five quantiles and a mean, in multiples of each series' own level.

    Attributes:
        takes_raw: It takes histories in the target's unit, with gaps.
        looks_beside: It takes the date and covariates.
        refits: It is fitted once more on all rows when its interval is calibrated.
    """

    takes_raw = looks_beside = refits = True
    least: Tensor
    grows: Tensor

    def __init__(
        self, *, context: int, horizon: int, season: int, frequency: Frequency | None = None,  # noqa: ARG002  # every forecaster gets it
        columns: Sequence[Covariate] = (), rows: PositiveInt = 120_000, rounds: PositiveInt = 150,
    ) -> None:  # fmt: skip
        """For histories of one contract.

        Args:
            context: Steps of history that are given; `context_of` of them are looked at.
            horizon: Steps ahead.
            season: Steps after which a season comes again.
            frequency: Of the steps; None: the trees do not see the date.
            columns: Covariates, in contract order.
            rows: Pairs of a history and a step ahead that each ensemble is fitted on, at most.
            rounds: Trees of each output in each of two ensembles.
        """
        super().__init__()
        clock = Clock(horizon=horizon, step=LENGTHS[frequency], day=units_of_a_day(frequency)) if frequency else None
        self.settings = _SETTINGS | (_OF_HOURS if season == _DAY else {})
        self.features = WindowFeatures(horizon=horizon, season=season, clock=clock, columns=columns)
        self.context, self.horizon, self.most, self.rounds = self.features.context, horizon, _BAGS * rows, rounds
        self.roles = [column.role for column in columns]
        self.trees = TreeEnsemble(outputs=len(_FITTED) + 1)
        self.register_buffer("least", torch.ones(()))
        self.register_buffer("grows", torch.zeros((), dtype=torch.bool))

    @staticmethod
    def context_of(season: int, horizon: int) -> int:
        """Steps of history that are looked at."""
        return WindowFeatures(horizon=horizon, season=season).context

    def forward(self, history: Tensor, last: Tensor, *columns: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Histories and what is known beside them to forecasts in units of each level.

        Args:
            history: ``[series, time]`` of any length; NaN: missing.
            last: Days or hours since 1970-01-01 of the last step ``[series]``.
            columns: Covariates; those of steps as long as the context and what is known ahead.

        Returns:
            Quantiles ``[series, horizon, level]``, mean ``[series, horizon]``, level ``[series, 1]``.
        """
        missing = torch.full_like(history[:, :1], torch.nan).expand(-1, self.context)
        history, *own = self._looked_at(torch.cat([missing, history], dim=1), columns)
        level = self._level(history, own)
        rows = self.features(history, level, last, own).flatten(0, 1)
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
        draw = np.random.default_rng(rows.seed)
        window, step, target = self._drawn(rows, draw)
        used, place = np.unique(window, return_inverse=True)
        history, last, *columns = (values[torch.as_tensor(used)] for values in rows.inputs)
        history, *columns = self._looked_at(history, columns)
        self._blank(history, columns, draw)
        level = self._settle(history, columns, rows.target[torch.as_tensor(used)])
        features = self._features(history, level, last, columns, place, step)
        level = level.numpy()[place, 0]
        ratio = target / level
        self.grows = torch.tensor(bool((ratio >= 0).all()))
        weight = np.sqrt(level.astype(np.float64))
        made = []
        half = draw.permutation(len(features)) % _BAGS
        for number, quantile in enumerate((*_FITTED, None)):
            rows.on_step(number / (len(_FITTED) + 1), f"trees of the {f'{quantile} quantile' if quantile else 'mean'}")
            aim: dict[str, Any] = {"objective": "quantile", "alpha": quantile}
            if quantile is None:
                tweedie = {"objective": "tweedie", "tweedie_variance_power": 1.3}
                aim = tweedie if self.grows else {"objective": "regression"}
            label = ratio if quantile is None else bent(torch.as_tensor(ratio)).numpy()
            for bag in range(_BAGS):
                mine = half == bag
                table = lightgbm.Dataset(features[mine], label[mine], weight=weight[mine] / weight[mine].mean())
                booster = lightgbm.train(self.settings | aim | {"seed": rows.seed + 1 + bag}, table, self.rounds)
                made.append(moved(trees_of_lightgbm(booster.dump_model()), 1 / _BAGS, number))
        self.trees.plant(joined(made))

    def _looked_at(self, history: Tensor, columns: Sequence[Tensor]) -> list[Tensor]:
        """History and covariates from the first step on that features look at."""
        lengths = [self.context + self.horizon * (role in ("known_future", "open")) for role in self.roles]
        trimmed = [v[:, -n:] if v.ndim == 2 else v for v, n in zip(columns, lengths, strict=True)]
        return [history[:, -self.context :], *trimmed]

    def _drawn(self, rows: FitRows, draw: np.random.Generator) -> tuple[Numbers, Numbers, Array]:
        """Pairs of a window and a step ahead, by window, with their true values; some history is known, or none."""
        pairs, most = len(rows.target) * self.horizon, round(rows.share * self.most)
        order = (
            draw.permutation(pairs) if pairs <= _SPARE * most
            else draw.choice(pairs, _SPARE * most, replace=False, shuffle=False)
        )  # fmt: skip
        window, step = np.divmod(order, self.horizon)
        target = np.concatenate([
            rows.target[torch.as_tensor(window[first : first + _LOOK])].numpy()[np.arange(len(part)), part]
            for first in range(0, len(order), _LOOK) for part in [step[first : first + _LOOK]]
        ])  # fmt: skip
        known = np.concatenate([
            np.isfinite(rows.inputs[0][torch.as_tensor(window[first : first + _LOOK])].numpy()).sum(axis=1)
            for first in range(0, len(order), _LOOK)
        ])  # fmt: skip
        usable = np.flatnonzero(np.isfinite(target) & ((known >= _LEAST_KNOWN) | (known == 0)))[:most]
        usable = usable[np.argsort(order[usable], kind="stable")]
        return window[usable], step[usable], target[usable]

    def _blank(self, history: Tensor, columns: Sequence[Tensor], draw: np.random.Generator) -> None:
        """Where series begin without a history, let some others forget theirs: a new product is none of a kind."""
        if not history.isnan().all(dim=1).any():
            return
        forgets = torch.as_tensor(draw.random(len(history)) < _FORGETTING)
        history[forgets] = torch.nan
        for values in columns:
            if values.ndim == 2 and values.dtype == torch.float32:
                values[forgets, : self.context] = torch.nan

    def _settle(self, history: Tensor, columns: Sequence[Tensor], target: Tensor) -> Tensor:
        """Take the least level and the statistics of the covariates; returns the levels ``[windows, 1]``."""
        self.least = torch.full((), 1e-12)
        found = self._level(history, ())
        positive = found[found > 1e-9].numpy()  # as numpy's, the median of two is between them
        self.least = torch.tensor(_FLOOR * float(np.median(positive)) if len(positive) else 1.0)
        known = ~history.isnan().all(dim=1)
        if columns:
            told = torch.where(known, found[:, 0].clamp_min(self.least), torch.nan)
            reached = torch.nan_to_num(target, nan=0.0).sum(1) / (~target.isnan()).sum(1).clamp_min(1)
            told = torch.where(known, told, reached.clamp_min(self.least))
            self.features.beside.fit(columns, told, bent(target / told[:, None]))
        return self._level(history, columns)

    def _level(self, history: Tensor, columns: Sequence[Tensor]) -> Tensor:
        level = torch.maximum(self.features.level(history).abs(), self.least)
        if not columns:
            return level
        unknown = history.isnan().all(dim=1, keepdim=True)
        usual = torch.maximum(self.features.beside.usual_level(columns, level), self.least)
        return torch.where(unknown, usual, level)

    def _features(
        self, history: Tensor, level: Tensor, last: Tensor, columns: Sequence[Tensor], window: Numbers, step: Numbers
    ) -> Array:
        """Features of the pairs, which are sorted by window."""
        parts = []
        with torch.inference_mode():
            for first in range(0, len(history), _AT_ONCE):
                some = slice(first, first + _AT_ONCE)
                told = [values[some] for values in columns]
                made = self.features(history[some], level[some], last[some], told).numpy()
                mine = slice(*np.searchsorted(window, [first, first + len(made)]))
                parts.append(made[window[mine] - first, step[mine]])
        return np.concatenate(parts)
