"""Columns as trees and kernels take them: filled, encoded, combined in pairs; the same in training and in the graph."""

from __future__ import annotations

from collections.abc import Sequence

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

Array = NDArray[np.float32]


class RawColumns(Fitted):
    """Numbers with NaN where missing, one column per category of a few, and the mean target of each category.

    A number that was never missing in training is filled with its median; others keep their gaps, which trees take.
    ±inf is missing. An unseen category has no column, and the mean of all rows.
    """

    fill: Tensor
    median: Tensor
    means: Tensor

    def __init__(self, *, numbers: int, cardinalities: Sequence[int]) -> None:
        super().__init__(fill=torch.float32, median=torch.float32, means=torch.float32)
        self.numbers, self.cardinalities = numbers, list(cardinalities)
        self.few = [(i, c) for i, c in enumerate(self.cardinalities) if c <= _FEW]
        self.coded = [(i, c) for i, c in enumerate(self.cardinalities) if c > 2]

    @property
    def owners(self) -> list[int]:
        """The column of which each feature is made: numbers first, categories behind them."""
        few = [self.numbers + i for i, c in self.few for _ in range(c)]
        return [
            *range(self.numbers),
            *few,
            *(self.numbers + i for i, _ in self.coded for _ in range(self.means.shape[1])),
        ]

    def fit(self, numbers: Array, categories: NDArray[np.int64], target: Array) -> RawColumns:
        """Take medians and means of training rows: numbers and categories ``[rows, columns]``, target ``[rows, k]``."""
        clean = np.where(np.isfinite(numbers), numbers, np.nan)
        with np.errstate(all="ignore"):
            median = np.nan_to_num(np.nanmedian(clean, axis=0)) if clean.size else np.zeros(self.numbers)
        self.keep(
            fill=np.where(np.isnan(clean).any(axis=0), np.nan, median),
            median=median,
            means=self._means(categories, target),
        )
        return self

    def crossed(self, numbers: Array, categories: NDArray[np.int64], target: Array, folds: NDArray[np.int64]) -> Array:
        """What `forward` gives, but for the means of a row's categories, which other folds tell."""
        made = self.encode(numbers, categories)
        width = target.shape[1] * len(self.coded)
        for fold in np.unique(folds) if width else ():
            rows = folds == fold
            other = RawColumns(numbers=self.numbers, cardinalities=self.cardinalities)
            other.keep(
                fill=self.fill.numpy(), median=self.median.numpy(), means=self._means(categories[~rows], target[~rows])
            )
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
        if self.numbers:
            known = torch.where(numbers.isinf(), torch.nan, numbers)
            known = torch.where(known.abs() <= _TINY, 0.0, known)
            parts.append(torch.where(known.isnan(), self.fill, known))
        parts += [(categories[:, i : i + 1] == torch.arange(c)).float() for i, c in self.few]
        start = 0
        for i, c in self.coded:
            parts.append(self.means[start : start + c + 1][categories[:, i]])
            start += c + 1
        return torch.cat(parts, dim=1)

    def filled(self, features: Tensor) -> Tensor:
        """The features without a gap: the medians in place of missing numbers."""
        gaps = torch.cat([self.median, torch.zeros(features.shape[1] - self.numbers)])
        return torch.where(features.isnan(), gaps, features)

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
