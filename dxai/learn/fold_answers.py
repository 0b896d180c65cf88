"""What a run said of the cases of one fold, as metrics take it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dxai.metrics import Array, Metric

Cases = NDArray[np.integer]
Clusters = Literal["groups", "rows", "series"]
"""What belongs together: a bootstrap draws it as one."""


@dataclass(frozen=True)
class FoldAnswers:
    """Held-out answers of one fold.

    Attributes:
        arrays: By name as `dxai.metrics` takes them, one entry per case along the first axis.
        clusters: Number of the cluster that a case belongs to ``[cases]``; the cases of a cluster are drawn together.
        constants: What a metric takes beside arrays, such as the positive class.
    """

    arrays: Mapping[str, Array]
    clusters: Cases
    constants: Mapping[str, int | None]

    def score(self, metric: Metric, cases: Cases | slice = slice(None)) -> float:
        """The metric of these cases."""
        known = {name: array[cases] for name, array in self.arrays.items()} | dict(self.constants)
        return metric.function(**{need: known[need] for need in metric.needs})
