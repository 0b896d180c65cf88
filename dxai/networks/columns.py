"""Columns as trees and kernels take them: filled, encoded, combined in pairs; the same in training and in the graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dxai.networks.fitted import Fitted

_TINY = 1e-35
"""LightGBM takes smaller numbers for 0."""
_FEW = 10
"""Categories up to which each has a column of its own."""
_DOUBT = 10.0
"""Rows that the mean of all rows counts in the mean of a category."""
_LEAST_SHARE, _LEAST_RATIO, _MOST_SLOPES = 0.01, 10.0, 8
"""Share of the target's variance, and times what chance brings (F), that slopes of categories explain at the least."""

Array = NDArray[np.float32]


class RawColumns(Fitted):
    """Numbers with NaN where missing, one column per category of a few, the mean target of each category, and slopes.

    Where the target follows a number in another way in each of many categories (machines, materials), the number times
    the category's slope is a feature too: a tree would need a split for each category to see it.

    A number that was never missing in training is filled with its median; others keep their gaps, which trees take.
    ±inf is missing. An unseen category has no column, the mean of all rows and the slope of all rows.
    """

    fill: Tensor
    median: Tensor
    means: Tensor
    sloped: Tensor
    slopes: Tensor

    def __init__(self, *, numbers: int, cardinalities: Sequence[int]) -> None:
        real = dict.fromkeys(("fill", "median", "means", "slopes"), torch.float32)
        super().__init__(**real, sloped=torch.int64)
        self.numbers, self.cardinalities = numbers, list(cardinalities)
        self.few = [(i, c) for i, c in enumerate(self.cardinalities) if c <= _FEW]
        self.coded = [(i, c) for i, c in enumerate(self.cardinalities) if c > 2]

    @property
    def owners(self) -> list[tuple[int, int]]:
        """The column, or both columns, of which each feature is made: numbers first, categories behind them."""
        few = [i for i, c in self.few for _ in range(c)]
        means = [i for i, _ in self.coded for _ in range(self.means.shape[1])]
        alone = [*range(self.numbers), *(self.numbers + i for i in (*few, *means))]
        both = [(self.numbers + i, j) for i, j in self.sloped.tolist() for _ in range(self.means.shape[1])]
        return [*((column, column) for column in alone), *both]

    def fit(self, numbers: Array, categories: NDArray[np.int64], target: Array, held: Sequence[int] = ()) -> RawColumns:
        """Take medians, means and slopes of training rows.

        Args:
            numbers: ``[rows, numbers]``.
            categories: Their numbers ``[rows, categories]``.
            target: ``[rows, k]``.
            held: Numbers that get no slopes, since the prediction must follow them in one direction.
        """
        clean = np.where(np.isfinite(numbers), numbers, np.nan)
        with np.errstate(all="ignore"):
            median = np.nan_to_num(np.nanmedian(clean, axis=0)) if clean.size else np.zeros(self.numbers)
        self.keep(fill=np.where(np.isnan(clean).any(axis=0), np.nan, median), median=median)
        self.keep(sloped=self._telling(numbers, categories, target, held))
        self._learn(numbers, categories, target)
        return self

    def crossed(self, numbers: Array, categories: NDArray[np.int64], target: Array, folds: NDArray[np.int64]) -> Array:
        """What `forward` gives, but for means and slopes of a row's categories, which other folds tell."""
        made = self.encode(numbers, categories)
        width = target.shape[1] * (len(self.coded) + len(self.sloped))
        for fold in np.unique(folds) if width else ():
            rows = folds == fold
            other = RawColumns(numbers=self.numbers, cardinalities=self.cardinalities)
            other.keep(fill=self.fill.numpy(), median=self.median.numpy(), sloped=self.sloped.numpy())
            other._learn(numbers[~rows], categories[~rows], target[~rows])
            made[rows, -width:] = other.encode(numbers[rows], categories[rows])[:, -width:]
        return made

    def encode(self, numbers: Array, categories: NDArray[np.int64]) -> Array:
        """`forward` of arrays."""
        with torch.inference_mode():
            made: Array = self(torch.as_tensor(numbers), torch.as_tensor(categories)).numpy().copy()
        return made

    def forward(self, numbers: Tensor, categories: Tensor) -> Tensor:
        """``[rows, numbers]`` and category numbers ``[rows, categories]`` to ``[rows, features]``."""
        parts = []
        known = torch.where(numbers.isinf(), torch.nan, numbers)
        if self.numbers:
            known = torch.where(known.abs() <= _TINY, 0.0, known)
            parts.append(torch.where(known.isnan(), self.fill, known))
        parts += [(categories[:, i : i + 1] == torch.arange(c)).float() for i, c in self.few]
        start = 0
        for i, c in self.coded:
            parts.append(self.means[start : start + c + 1][categories[:, i]])
            start += c + 1
        if len(self.slopes):
            category, number = self.sloped.T
            first = torch.arange(len(category)) * (max(self.cardinalities) + 1)
            about = known[:, number] - self.median[number]
            parts.append((self.slopes[categories[:, category] + first] * about[:, :, None]).flatten(1))
        return torch.cat(parts, dim=1)

    def filled(self, features: Tensor) -> Tensor:
        """The features without a gap and without slopes: the medians in place of missing numbers."""
        alone = features[:, : features.shape[1] - len(self.sloped) * self.means.shape[1]]
        gaps = torch.cat([self.median, torch.zeros(alone.shape[1] - self.numbers)])
        return torch.where(alone.isnan(), gaps, alone)

    def _learn(self, numbers: Array, categories: NDArray[np.int64], target: Array) -> None:
        """Means and slopes of some rows."""
        slopes = np.zeros((len(self.sloped), max(self.cardinalities, default=0) + 1, target.shape[1]), np.float32)
        for (i, j), table in zip(self.sloped.tolist(), slopes, strict=True):
            count = self.cardinalities[i]
            table[: count + 1] = _Slopes(self._known(numbers, j), categories[:, i], target, count).smoothed()
        self.keep(means=self._means(categories, target), slopes=slopes.reshape(-1, target.shape[1]))

    def _known(self, numbers: Array, j: int) -> NDArray[np.float64]:
        """A number about its median; 0 where it is missing."""
        values = numbers[:, j].astype(np.float64) - float(self.median[j])
        return np.where(np.isfinite(values), values, 0)

    def _telling(
        self, numbers: Array, categories: NDArray[np.int64], target: Array, held: Sequence[int]
    ) -> NDArray[np.int64]:
        """Categories and numbers ``[pairs, 2]`` whose slopes explain most."""
        found = []
        for i, c in self.coded:
            for j in set(range(self.numbers)) - set(held) if c > _FEW else ():
                share, ratio = _Slopes(self._known(numbers, j), categories[:, i], target, c).strength()
                if share > _LEAST_SHARE and ratio > _LEAST_RATIO:
                    found.append((-share, i, j))
        return np.array([pair for _, *pair in sorted(found)[:_MOST_SLOPES]], np.int64).reshape(-1, 2)

    def _means(self, categories: NDArray[np.int64], target: Array) -> Array:
        """Smoothed mean of the target ``[categories and unseen of all coded columns, k]``."""
        overall, tables = target.mean(axis=0), []
        for i, c in self.coded:
            rows = np.bincount(categories[:, i], minlength=c + 1)[:, None]
            sums = np.stack([np.bincount(categories[:, i], part, minlength=c + 1) for part in target.T], axis=1)
            table = (sums + _DOUBT * overall) / (rows + _DOUBT)
            table[c] = overall
            tables.append(table)
        return np.concatenate(tables).astype(np.float32) if tables else np.zeros((0, target.shape[1]), np.float32)


class _Slopes:
    """How a target ``[rows, k]`` follows a number ``[rows]`` within each of so many categories."""

    def __init__(self, x: NDArray[np.float64], category: NDArray[np.int64], target: Array, count: int) -> None:
        def sums(values: NDArray[Any]) -> NDArray[np.float64]:
            return np.bincount(category, values, minlength=count + 1).astype(np.float64)

        self.rows, rows = len(x), np.maximum(np.bincount(category, minlength=count + 1), 1)
        x = x - (sums(x) / rows)[category]
        within = [part - (sums(part) / rows)[category] for part in target.T.astype(np.float64)]
        self.squares = sums(x * x)
        self.products = np.stack([sums(x * part) for part in within], axis=1)
        self.variance = np.array([part.var() for part in within])

    @property
    def common(self) -> NDArray[np.float64]:
        """The slope of all rows ``[k]``."""
        slope: NDArray[np.float64] = self.products.sum(axis=0) / max(self.squares.sum(), 1e-30)
        return slope

    def smoothed(self) -> Array:
        """Slopes ``[categories and unseen, k]``, of few rows drawn to the common one."""
        doubt = _DOUBT * self.squares.sum() / max(self.rows, 1)
        slopes = (self.products + doubt * self.common) / np.maximum(self.squares + doubt, 1e-30)[:, None]
        slopes[-1] = self.common
        return np.asarray(slopes, np.float32)

    def strength(self) -> tuple[float, float]:
        """Share of the variance within categories that slopes of their own explain, and times what chance would (F)."""
        known = self.squares > 1e-12 * max(self.squares.max(), 1e-30)
        if known.sum() < 2:
            return 0.0, 0.0
        own = self.products[known] / self.squares[known, None]
        explained = (self.squares[known, None] * (own - self.common) ** 2).sum(axis=0)
        share = (explained / np.maximum(self.rows * self.variance, 1e-30)).max()
        freedom = known.sum() - 1, max(self.rows - 2 * known.sum(), 1)
        return float(share), float(share / max(1 - share, 1e-9) * freedom[1] / freedom[0])


class Pairs(Fitted):
    """Products, sums, differences and ratios of chosen features, in single steps of float32."""

    times: Tensor
    plus: Tensor
    minus: Tensor
    ratio: Tensor

    def __init__(self) -> None:
        super().__init__(times=torch.int64, plus=torch.int64, minus=torch.int64, ratio=torch.int64)
        self.choose([])

    def choose(self, pairs: Sequence[tuple[str, int, int]]) -> Pairs:
        """Take pairs: ``times``, ``plus``, ``minus`` or ``ratio``, and the numbers of two features."""
        kinds = ("times", "plus", "minus", "ratio")
        self.keep(**{k: np.array([p[1:] for p in pairs if p[0] == k], np.int64).reshape(-1, 2) for k in kinds})
        return self

    @property
    def all(self) -> list[tuple[int, int]]:
        """Both features of every pair, in the order of `forward`."""
        return [(int(a), int(b)) for kind in (self.times, self.plus, self.minus, self.ratio) for a, b in kind]

    def forward(self, features: Tensor) -> Tensor:
        """``[rows, features]`` to the same with a column per pair behind; a ratio to 0 is missing."""
        kinds = (self.times, self.plus, self.minus, self.ratio)
        (ta, tb), (pa, pb), (ma, mb), (ra, rb) = ((features[:, k[:, 0]], features[:, k[:, 1]]) for k in kinds)
        ratio = torch.where(rb == 0, torch.nan, ra / rb)
        made = torch.cat([ta * tb, pa + pb, ma - mb, ratio], dim=1)
        return torch.cat([features, torch.where(made.isinf(), torch.nan, made)], dim=1)
