"""Sums of series by the levels of a hierarchy, and forecasts of all levels made to add up.

Sources: Wickramasuriya, Athanasopoulos and Hyndman (2019), Optimal Forecast Reconciliation for Hierarchical and Grouped
Time Series Through Trace Minimization; Schäfer and Strimmer (2005), A Shrinkage Approach to Large-Scale Covariance
Matrix Estimation.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dxai.contract import Contract
from dxai.data.windows import Panel, named

Array = NDArray[np.float64]

TOTAL, SERIES = "total", "series"
"""Names of the topmost level and of the series."""
_LEAST_VARIANCE, _TINY = 2e-8, 2e-8


@dataclass(frozen=True)
class Level:
    """Groups of series that are added up.

    Attributes:
        name: ``total``, or the last of the columns that name its groups.
        members: One row per group, a column per name; the total has one row and no column.
        of: Number of each series' group ``[series]``.
    """

    name: str
    members: pl.DataFrame
    of: NDArray[np.int64]

    def __len__(self) -> int:
        return int(self.of.max()) + 1


@dataclass(frozen=True)
class Hierarchy:
    """The levels above some series, the total first. Their groups, in order, are the upper nodes."""

    levels: tuple[Level, ...]

    @classmethod
    def of(cls, groups: pl.DataFrame) -> Hierarchy:
        """Level k holds the groups of the first k columns.

        A level that splits nothing more than the one above it, or has a group for every series, is left out.

        Args:
            groups: One row per series; texts from the top down, null where a series has none.
        """
        levels = [Level(TOTAL, pl.DataFrame(), np.zeros(len(groups), np.int64))]
        for k, name in enumerate(groups.columns, 1):
            names = groups.columns[:k]
            members = groups.select(names).unique(maintain_order=True).sort(names)
            if len(levels[-1]) < len(members) < len(groups):
                numbered = members.with_row_index("\x00number")
                of = groups.select(names).join(numbered, on=names, how="left", nulls_equal=True, maintain_order="left")
                levels.append(Level(name, members, of["\x00number"].cast(pl.Int64).to_numpy()))
        return cls(tuple(levels))

    @cached_property
    def _places(self) -> NDArray[np.int64]:
        """Number of each series' node at every level ``[level, series]``."""
        first = np.cumsum([0, *(len(level) for level in self.levels[:-1])])
        return np.stack([start + level.of for start, level in zip(first, self.levels, strict=True)])

    def __len__(self) -> int:
        return sum(len(level) for level in self.levels)

    def sums(self, values: NDArray[np.floating]) -> Array:
        """Series ``[series, …]`` added up ``[upper node, …]``; a sum of missing values alone is missing."""
        known, made = np.isfinite(values), np.zeros((len(self), *values.shape[1:]))
        counts = np.zeros_like(made)
        for place in self._places:
            np.add.at(made, place, np.where(known, values, 0.0))
            np.add.at(counts, place, known)
        return np.where(counts > 0, made, np.nan)

    def split(self, values: Array) -> dict[str, Array]:
        """What belongs to the nodes ``[upper node, …]`` by the name of their level."""
        ends = np.cumsum([len(level) for level in self.levels])[:-1]
        return {level.name: part for level, part in zip(self.levels, np.split(values, ends), strict=True)}

    def shares(self, values: Array) -> Array:
        """What every series gets when each node gives its value ``[upper node, …]`` to all of its own."""
        return np.asarray(values[self._places].sum(axis=0))

    def overlaps(self, values: Array) -> Array:
        """Sum of the series ``[series]`` that two upper nodes have in common ``[upper node, upper node]``."""
        made = np.zeros((len(self), len(self)))
        for one in self._places:
            for other in self._places:
                np.add.at(made, (one, other), values)
        return made


def groups_of(panel: Panel, contract: Contract) -> pl.DataFrame:
    """The columns of a contract's hierarchy, one row per series of a panel."""
    parts = {part.name: part for part in named(pl.Series(panel.ids), contract)}
    for column in contract.columns:
        if column.role == "static" and column.name in contract.hierarchy:
            texts = pl.Series([*column.categories, None], dtype=pl.String)
            parts[column.name] = texts.gather(panel.beside[column.name]).alias(column.name)
    return pl.DataFrame([parts[name] for name in contract.hierarchy])


@dataclass(frozen=True)
class Covariance:
    """Of the errors of all nodes, upper ones first: ``common @ common.T`` and on the diagonal also ``own``.

    No matrix of all nodes by all nodes is ever made.
    """

    own: Array
    common: Array

    @classmethod
    def of_widths(cls, widths: NDArray[np.floating]) -> Covariance:
        """Of forecasts that say how sure they are, up to a factor: variances alone.

        Args:
            widths: Of their intervals ``[node, step]``.
        """
        variance = np.mean(np.asarray(widths, np.float64) ** 2, axis=1)
        return cls(np.maximum(variance, _LEAST_VARIANCE), np.zeros((len(variance), 1)))

    @classmethod
    def shrunk(cls, errors: NDArray[np.floating]) -> Covariance:
        """The covariance of errors, their correlations shrunk towards none by Schäfer and Strimmer's estimate.

        Args:
            errors: ``[node, error]``, at least two; a missing one counts as the node's mean error.
        """
        count, known = errors.shape[1], np.isfinite(errors)
        of_node = known.sum(axis=1)
        zeroed = np.where(known, errors, 0.0).astype(np.float64)
        mean = zeroed.sum(axis=1) / np.maximum(of_node, 1)
        centred = np.where(known, zeroed - mean[:, None], 0.0)
        square = (centred**2).sum(axis=1)
        scaled = centred / (np.sqrt(square / np.maximum(of_node, 1)) + _TINY)[:, None]
        # Sums over all pairs of nodes, without their matrix: of the squares of their products, and of their means.
        products = ((scaled**2).sum(axis=0) ** 2 - (scaled**4).sum(axis=0)).sum()
        means = (((scaled.T @ scaled) ** 2).sum() - ((scaled**2).sum(axis=1) ** 2).sum()) / count**2
        noise = (products - count * means) / (count * (count - 1))
        kept = 1 - min(1.0, max(0.0, noise / means)) if means > 0 else 0.0
        variance = np.maximum(square / np.maximum(of_node - 1, 1), _LEAST_VARIANCE)
        common = np.sqrt(kept * variance / count)[:, None] * scaled
        return cls(variance - (common**2).sum(axis=1), common)


def reconciled(hierarchy: Hierarchy, forecasts: NDArray[np.floating], errors: Covariance) -> Array:
    """Forecasts of the series that the forecasts of all levels make together: MinT's, of least variance.

    The equations solved are as many as upper nodes, however many series there are.

    Args:
        hierarchy: Of the series.
        forecasts: Of every node by itself, upper ones first ``[node, step]``.
        errors: Of those forecasts.

    Returns:
        ``[series, step]``; the other levels are their sums.
    """
    upper = len(hierarchy)
    bottom = np.asarray(forecasts[upper:], np.float64)
    own, common = errors.own[upper:], errors.common[upper:]
    gap = forecasts[:upper] - hierarchy.sums(bottom)
    gap_common = errors.common[:upper] - hierarchy.sums(common)
    gap_spread = gap_common @ gap_common.T + hierarchy.overlaps(own) + np.diag(errors.own[:upper])
    weight = np.asarray(np.linalg.solve(gap_spread, gap), np.float64)
    return np.asarray(bottom + own[:, None] * hierarchy.shares(weight) - common @ (gap_common.T @ weight))
