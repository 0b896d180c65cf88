"""What models on windows of a history share: pairs of a window and a step ahead, levels, features."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

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

_AT_ONCE, _CELLS, _LOOK = 500, 600_000, 20_000
"""Windows whose features are computed at once, at most; steps of a history that steps ahead are held against at once
(more do not fit into a processor's cache, and take three times as long); windows whose histories are read at once.
"""
_MEASURED = 64_000_000
"""Numbers of covariates by which they are scaled, about."""
_SPARE = 2
"""Pairs that are looked at for one that is fitted: some have no true value."""
_LEAST_KNOWN = 4
"""Steps of a history with a value."""
_FORGETTING = 0.05
"""Share of the windows that a series without history is learned from."""
_NOTHING = 1e-9
"""A level up to which a series counts as one of zeros."""
_FLOOR = 0.05
"""Least level of a series, over the median one."""


@dataclass(frozen=True)
class Pairs:
    """Windows of a history, each with some of the steps ahead.

    Attributes:
        recent: The newest steps of each history, in the target's unit, NaN where missing ``[windows, steps]``.
        level: Of each window ``[windows, 1]``, in double precision.
        window: Number of the window of each pair, in order ``[pairs]``.
        features: Of each pair ``[pairs, features]``.
        ratio: True values in multiples of the level ``[pairs]``.
        weight: How much a pair counts: the root of its level ``[pairs]``.
    """

    recent: Tensor
    level: Tensor
    window: Numbers
    features: Array
    ratio: Array
    weight: NDArray[np.float64]


@dataclass(frozen=True)
class _Windows:
    """Windows that were drawn, read a part at a time: whole, those of days with ten columns would be gigabytes.

    Attributes:
        inputs: Of all windows: history, last step, covariates.
        numbers: Of the drawn ones, in order.
        kept: How many of its newest steps each still knows; one that knows none has no past of a covariate either.
        lengths: Steps of the history, and of each covariate, that are looked at.
    """

    inputs: Sequence[Any]
    numbers: Tensor
    kept: Tensor
    lengths: Sequence[int]

    def __len__(self) -> int:
        return len(self.numbers)

    def parts(self) -> Iterator[slice]:
        """All of them."""
        return (slice(first, first + _LOOK) for first in range(0, len(self), _LOOK))

    def history(self, some: Any) -> Tensor:
        """``[windows, context]``."""
        history: Tensor = self.inputs[0][self.numbers[some]][:, -self.lengths[0] :]
        age = torch.arange(history.shape[1], 0, -1)
        return torch.where(age > self.kept[some][:, None], torch.nan, history)

    def last(self, some: Any) -> Tensor:
        """``[windows]``."""
        last: Tensor = self.inputs[1][self.numbers[some]]
        return last

    def chosen(self, columns: Sequence[int]) -> list[Tensor]:
        """Covariates that do not change by the step, by number ``[windows]``."""
        return [self.inputs[2 + column][self.numbers] for column in columns]

    def columns(self, some: Any) -> list[Tensor]:
        """Covariates in contract order."""
        numbers, forgot = self.numbers[some], self.kept[some] == 0
        told = [values[numbers] for values in self.inputs[2:]]
        told = [v[:, -n:] if v.ndim == 2 else v for v, n in zip(told, self.lengths[1:], strict=True)]
        for values in told if forgot.any() else ():
            if values.ndim == 2 and values.is_floating_point():
                values[forgot, : self.lengths[0]] = torch.nan
        return told


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

    def draw(self, rows: FitRows, chance: np.random.Generator, recent: int = 0) -> Pairs:
        """Pairs to fit, drawn by chance; takes the least level and the statistics of the covariates from them.

        Args:
            rows: All windows.
            chance: Draws.
            recent: Steps of each history that are handed over.
        """
        window, step, target, new = self._drawn(rows, chance)
        used, place = np.unique(window, return_inverse=True)
        lengths = [self.context, *(self._steps(column) for column in self.columns)]
        kept = torch.as_tensor(self._kept(len(used), new, chance))
        windows = _Windows(rows.inputs, torch.as_tensor(used), kept, lengths)
        level = self._settle(windows, rows.target[windows.numbers])
        features = self._features(windows, level, place, step)
        own = level.numpy()[place, 0]
        ratio = (target / own).astype(np.float32)
        self.grows = torch.tensor(bool((ratio >= 0).all()))
        newest = [windows.history(some)[:, self.context - recent :] for some in windows.parts() if recent]
        return Pairs(torch.cat(newest or [level[:, :0]]), level, place, features, ratio, np.sqrt(own))

    def _looked_at(self, history: Tensor, columns: Sequence[Tensor]) -> list[Tensor]:
        """History and covariates from the first step on that features look at."""
        lengths = [self._steps(column) for column in self.columns]
        trimmed = [v[:, -n:] if v.ndim == 2 else v for v, n in zip(columns, lengths, strict=True)]
        return [history[:, -self.context :], *trimmed]

    def _steps(self, column: Covariate) -> int:
        return self.context + self.horizon * (column.role in ("known_future", "open"))

    def _drawn(self, rows: FitRows, chance: np.random.Generator) -> tuple[Numbers, Numbers, Array, bool]:
        """Pairs of a window and a step ahead, by window, with their true values; some history is known, or none.

        Returns:
            Also whether some has none.
        """
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
        return window[usable], step[usable], target[usable], bool((known[usable] == 0).any())

    def _kept(self, windows: int, new: bool, chance: np.random.Generator) -> Numbers:
        """Newest steps that each window keeps: where series begin without a history, some others forget theirs, too."""
        kept = np.full(windows, self.context)
        if new:
            kept[chance.random(windows) < _FORGETTING] = 0
        return kept

    def _settle(self, windows: _Windows, target: Tensor) -> Tensor:
        """Take the least level and the statistics of the covariates; returns the levels ``[windows, 1]``."""
        histories = (windows.history(some) for some in windows.parts())
        parts = [(self.features.level(history).abs(), ~history.isnan().all(dim=1)) for history in histories]
        found, known = (torch.cat(each) for each in zip(*parts, strict=True))
        positive = found[found > _NOTHING].numpy()  # as numpy's, the median of two is between them
        self.least = torch.tensor(_FLOOR * float(np.median(positive)) if len(positive) else 1.0)
        level = torch.maximum(found, self.least)
        if not self.columns:
            return level
        reached = torch.nan_to_num(target, nan=0.0).sum(1) / (~target.isnan()).sum(1).clamp_min(1)
        told = torch.where(known, level[:, 0], reached.clamp_min(self.least))
        some = torch.arange(0, len(windows), max(1, len(windows) * sum(windows.lengths[1:]) // _MEASURED))
        beside = self.features.beside
        beside.fit(windows.columns(some), bent(target[some] / told[some, None]))
        beside.fit_level(windows.chosen(beside.static_codes), told)
        if known.all():
            return level
        return torch.cat([self._level(windows.history(part), windows.columns(part)) for part in windows.parts()])

    def _level(self, history: Tensor, columns: Sequence[Tensor]) -> Tensor:
        level = torch.maximum(self.features.level(history).abs(), self.least)
        if not columns:
            return level
        unknown = history.isnan().all(dim=1, keepdim=True)
        usual = torch.maximum(self.features.beside.usual_level(columns, level), self.least)
        return torch.where(unknown, usual, level)

    def _features(self, windows: _Windows, level: Tensor, window: Numbers, step: Numbers) -> Array:
        """Features of the pairs, which are sorted by window; of steps that hardly a window asks for, not of the others.

        Steps are looked at in groups of as many as a window asks for on average.
        """
        made: Array | None = None
        group = max(1, round(len(window) / len(windows)))
        at_once = min(_AT_ONCE, max(1, _CELLS // (group * self.context)))
        with torch.inference_mode():
            for start in range(0, self.horizon, group):
                steps = range(start, min(start + group, self.horizon))
                pairs = np.flatnonzero((step >= steps.start) & (step < steps.stop))
                asked, place = np.unique(window[pairs], return_inverse=True)
                for first in range(0, len(asked), at_once):
                    some = torch.as_tensor(asked[first : first + at_once])
                    told = windows.history(some), level[some], windows.last(some), windows.columns(some)
                    found = self.features(*told, steps).numpy()
                    mine = slice(*np.searchsorted(place, [first, first + len(found)]))
                    made = np.empty((len(window), found.shape[2]), np.float32) if made is None else made
                    made[pairs[mine]] = found[place[mine] - first, step[pairs[mine]] - start]
        assert made is not None, "there is a pair"
        return made
