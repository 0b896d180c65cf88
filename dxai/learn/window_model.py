"""What models on windows of a history share: pairs of a window and a step ahead, levels, features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dxai.contract import Frequency
from dxai.data.steps import LENGTHS, units_of_a_day
from dxai.learn.fitting import FitRows
from dxai.networks.beside import Clock, Covariate
from dxai.networks.ratios import bent
from dxai.networks.windows import WindowFeatures

Array = NDArray[np.float32]
Numbers = NDArray[np.int64]

_AT_ONCE, _LOOK = 500, 100_000
_SPARE = 2
"""Pairs that are looked at for one that is fitted: some have no true value."""
_LEAST_KNOWN = 4
"""Steps of a history with a value."""
_FORGETTING = 0.05
"""Share of the windows that a series without history is learned from."""
_FLOOR = 0.05
"""Least level of a series, over the median one."""


@dataclass(frozen=True)
class Pairs:
    """Windows of a history, each with some of the steps ahead.

    Attributes:
        history: In the target's unit, NaN where missing ``[windows, context]``.
        level: Of each window ``[windows, 1]``, in double precision.
        window: Number of the window of each pair, in order ``[pairs]``.
        features: Of each pair ``[pairs, features]``.
        ratio: True values in multiples of the level ``[pairs]``.
        weight: How much a pair counts: the root of its level ``[pairs]``.
    """

    history: Tensor
    level: Tensor
    window: Numbers
    features: Array
    ratio: Array
    weight: NDArray[np.float64]


class WindowModel(nn.Module):
    """A model of quantiles and a mean in multiples of each series' own level.

    Attributes:
        takes_raw: It takes histories in the target's unit, with gaps.
        looks_beside: It takes the date and covariates.
        refits: It is fitted once more on all rows when its interval is calibrated.
        most: Pairs that are drawn for a fit.
        grows: Whether no true value was below zero.
    """

    takes_raw = looks_beside = refits = True
    least: Tensor
    grows: Tensor

    def __init__(
        self, *, horizon: int, season: int, frequency: Frequency | None, columns: Sequence[Covariate], most: int,
        rounded: bool,
    ) -> None:  # fmt: skip
        """As `WindowTrees`; ``most`` pairs are drawn; ``rounded``: as `WindowFeatures`."""
        super().__init__()
        clock = Clock(step=LENGTHS[frequency], day=units_of_a_day(frequency)) if frequency else None
        self.features = WindowFeatures(horizon=horizon, season=season, clock=clock, columns=columns, rounded=rounded)
        self.context, self.horizon, self.most = self.features.context, horizon, most
        self.columns = tuple(columns)
        self.register_buffer("least", torch.ones(()))
        self.register_buffer("grows", torch.zeros((), dtype=torch.bool))

    @staticmethod
    def context_of(season: int, horizon: int) -> int:
        """Steps of history that are looked at."""
        return WindowFeatures(horizon=horizon, season=season).context

    def look(self, history: Tensor, last: Tensor, columns: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Histories of any length as a model sees them, and the covariates as `forward` gets them.

        Returns:
            Histories ``[series, context]``, features ``[series, horizon, features]``, level ``[series, 1]``.
        """
        missing = torch.full_like(history[:, :1], torch.nan).expand(-1, self.context)
        history, *own = self._looked_at(torch.cat([missing, history], dim=1), columns)
        level = self._level(history, own)
        return history, self.features(history, level, last, own), level.float()

    @property
    def width(self) -> int:
        """Features of a pair, counted at a series of which nothing is known."""
        unknown = [
            torch.zeros(
                (1,) if column.role in ("static", "series") else (1, self._steps(column)),
                dtype=torch.int64 if column.categories else torch.float32,
            )
            for column in self.columns
        ]
        with torch.no_grad():
            _, features, _ = self.look(torch.zeros(1, 1), torch.zeros(1, dtype=torch.int64), unknown)
        return features.shape[2]

    def draw(self, rows: FitRows, chance: np.random.Generator) -> Pairs:
        """Pairs to fit, drawn by chance; takes the least level and the statistics of the covariates from them."""
        window, step, target = self._drawn(rows, chance)
        used, place = np.unique(window, return_inverse=True)
        history, last, *columns = (values[torch.as_tensor(used)] for values in rows.inputs)
        history, *columns = self._looked_at(history, columns)
        self._blank(history, columns, chance)
        level = self._settle(history, columns, rows.target[torch.as_tensor(used)])
        features = self._features(history, level, last, columns, place, step)
        own = level.numpy()[place, 0]
        ratio = (target / own).astype(np.float32)
        self.grows = torch.tensor(bool((ratio >= 0).all()))
        return Pairs(history, level, place, features, ratio, np.sqrt(own))

    def _looked_at(self, history: Tensor, columns: Sequence[Tensor]) -> list[Tensor]:
        """History and covariates from the first step on that features look at."""
        lengths = [self._steps(column) for column in self.columns]
        trimmed = [v[:, -n:] if v.ndim == 2 else v for v, n in zip(columns, lengths, strict=True)]
        return [history[:, -self.context :], *trimmed]

    def _steps(self, column: Covariate) -> int:
        return self.context + self.horizon * (column.role in ("known_future", "open"))

    def _drawn(self, rows: FitRows, chance: np.random.Generator) -> tuple[Numbers, Numbers, Array]:
        """Pairs of a window and a step ahead, by window, with their true values; some history is known, or none."""
        pairs, most = len(rows.target) * self.horizon, round(rows.share * self.most)
        order = (
            chance.permutation(pairs) if pairs <= _SPARE * most
            else chance.choice(pairs, _SPARE * most, replace=False, shuffle=False)
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

    def _blank(self, history: Tensor, columns: Sequence[Tensor], chance: np.random.Generator) -> None:
        """Where series begin without a history, let some others forget theirs: a new product is none of a kind."""
        if not history.isnan().all(dim=1).any():
            return
        forgets = torch.as_tensor(chance.random(len(history)) < _FORGETTING)
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
        """Features of the pairs, which are sorted by window; of steps that hardly a window asks for, not of the others.

        Steps are looked at in groups of as many as a window asks for on average.
        """
        made: Array | None = None
        group = max(1, round(len(window) / len(history)))
        with torch.inference_mode():
            for start in range(0, self.horizon, group):
                steps = range(start, min(start + group, self.horizon))
                pairs = np.flatnonzero((step >= steps.start) & (step < steps.stop))
                asked, place = np.unique(window[pairs], return_inverse=True)
                for first in range(0, len(asked), _AT_ONCE):
                    some = torch.as_tensor(asked[first : first + _AT_ONCE])
                    told = [values[some] for values in columns]
                    found = self.features(history[some], level[some], last[some], told, steps).numpy()
                    mine = slice(*np.searchsorted(place, [first, first + len(found)]))
                    made = np.empty((len(window), found.shape[2]), np.float32) if made is None else made
                    made[pairs[mine]] = found[place[mine] - first, step[pairs[mine]] - start]
        assert made is not None, "there is a pair"
        return made
