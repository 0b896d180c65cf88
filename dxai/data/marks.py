"""Promotions and holidays of a chart: the steps at which a flag that is known ahead is 1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dxai.contract import Column, Contract
from dxai.data.windows import Panel

COLORS = ("#c2570c", "#6d4aa8", "#1f7a4d")
"""Of the flags that are drawn; a chart of more is hard to read."""


@dataclass(frozen=True)
class Marks:
    """Steps of one series at which a flag is 1.

    Attributes:
        column: Of the contract.
        runs: First and last step of each stretch; step 1 is the first one ahead, 0 the last one of the history.
    """

    column: Column
    runs: tuple[tuple[int, int], ...]

    @property
    def ahead(self) -> int:
        """How many steps ahead are marked."""
        return sum(last - max(first, 1) + 1 for first, last in self.runs if last >= 1)


def flags(panel: Panel, contract: Contract) -> list[Column]:
    """Columns that are known ahead, hold nothing but 0 and 1, and both of them; in contract order."""
    numbers = [c for c in contract.columns if (c.role, c.kind) == ("known_future", "number")]
    values = {c.name: panel.beside[c.name] for c in numbers}
    known = {name: set(np.unique(cells[np.isfinite(cells)])[:3].tolist()) for name, cells in values.items()}
    return [column for column in numbers if known[column.name] == {0.0, 1.0}][: len(COLORS)]


def marks(panel: Panel, contract: Contract, series: int, shown: int) -> tuple[Marks, ...]:
    """Of all `flags` of a panel, those of one series.

    Args:
        panel: As it stood at the origin of the chart.
        contract: Of the panel.
        series: Its number.
        shown: Steps of history on the chart.
    """
    now = panel.values.shape[1]
    first = max(0, now - shown)
    return tuple(
        Marks(column, _runs(panel.beside[column.name][series, first : now + contract.horizon] == 1, first - now + 1))
        for column in flags(panel, contract)
    )


def drawn(charts: Sequence[tuple[Marks, ...]]) -> list[tuple[Marks, ...]]:
    """The same of charts that are shown together, without flags of which none of them has a step."""
    there = [any(each.runs for each in of_flag) for of_flag in zip(*charts, strict=True)]
    return [tuple(each for each, is_there in zip(chart, there, strict=True) if is_there) for chart in charts]


def _runs(marked: np.ndarray, first: int) -> tuple[tuple[int, int], ...]:
    edges = np.diff(marked.astype(np.int8), prepend=0, append=0)
    begins, ends = np.flatnonzero(edges == 1) + first, np.flatnonzero(edges == -1) + first - 1
    return tuple(zip(begins.tolist(), ends.tolist(), strict=True))
