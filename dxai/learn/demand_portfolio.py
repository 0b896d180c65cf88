"""Trees and experts together: weighed by how well they forecast a horizon that the trees were not fitted on.

Source: Bates and Granger (1969), The Combination of Forecasts; Lichtendahl et al. (2013), Is It Better to Average
Probabilities or Quantiles?
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dxai import metrics
from dxai.contract import Frequency
from dxai.learn.fitting import FitRows
from dxai.learn.parts import in_parts
from dxai.learn.window_trees import WindowTrees
from dxai.networks.arguments import PositiveInt
from dxai.networks.beside import Covariate
from dxai.networks.experts import Experts

_SHARES = (0.5, 0.75, 0.25, 1.0, 0.0)
"""Of the trees; of equal ones the first."""
_GAIN = 0.01
"""Share of the loss that leaving the middle must bring: one horizon is a small sample."""
_JUDGED = 2_000
"""Series by which the share is chosen."""


def _in_units(member: nn.Module, *inputs: Tensor) -> NDArray[np.float32]:
    """Quantiles in the target's unit ``[series, horizon, level]``."""
    quantiles, _, level = in_parts(member, inputs)
    made: NDArray[np.float32] = (quantiles * level[:, :, None]).numpy()
    return made


def _loss(truth: NDArray[np.float32], quantiles: NDArray[np.float32]) -> float:
    loss = metrics.wql(truth, quantiles)
    return float(loss) if np.isfinite(loss) else float("inf")


class DemandPortfolio(nn.Module):
    """The mean of the quantiles of boosted trees on windows and of experts without training.

    Attributes:
        takes_raw: It takes histories in the target's unit, with gaps.
        looks_beside: Its trees take the date and covariates.
        refits: The trees are fitted once more on all rows when their share and the interval are settled.
        share: Weight of the trees; a member without weight is no part of the graph.
        minimum: Known steps below which the experts alone forecast a series, where they are part of the graph.
    """

    takes_raw = looks_beside = refits = True

    def __init__(
        self, *, context: int, horizon: int, season: int, frequency: Frequency | None = None,
        columns: Sequence[Covariate] = (), rows: PositiveInt = 120_000, rounds: PositiveInt = 150,
    ) -> None:  # fmt: skip
        """As `WindowTrees`."""
        super().__init__()
        self.context, self.horizon, self.share, self.minimum = context, horizon, _SHARES[0], 0
        self.trees = WindowTrees(
            context=context, horizon=horizon, season=season, frequency=frequency, columns=columns, rows=rows,
            rounds=rounds,
        )  # fmt: skip
        self.experts = Experts(context=Experts.context_of(season, horizon), horizon=horizon, season=season)

    @staticmethod
    def context_of(season: int, horizon: int) -> int:
        """Steps of history that are looked at."""
        return max(WindowTrees.context_of(season, horizon), Experts.context_of(season, horizon))

    def forward(self, history: Tensor, last: Tensor, *columns: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """As `WindowTrees`."""
        if self.share == 0:
            quantiles, mean, unit = self.experts(history)
            return quantiles, mean, unit
        quantiles, mean, level = self.trees(history, last, *columns)
        if self.share == 1:
            return quantiles, mean, level
        others, other, unit = self.experts(history)
        known = (~history.isnan()).sum(dim=1, keepdim=True)
        share = torch.where(known < self.minimum, 0.0, self.share)  # [series, 1]
        rest = (1 - share) * unit / level
        mixed = share[:, :, None] * quantiles + rest[:, :, None] * others
        return mixed, share * mean + rest * other, level

    def fit(self, rows: FitRows) -> None:
        """Fit the trees; the experts know all they need."""
        self.trees.fit(rows)

    def leave_short(self, minimum: int) -> bool:
        """Leave series with fewer known steps to the experts; False where these are no part of the graph."""
        self.minimum = minimum
        return self.share < 1

    def weigh(self, inputs: Sequence[Tensor], truth: Tensor) -> None:
        """Choose the share of the trees on steps that they were not fitted on.

        Args:
            inputs: Of `forward`.
            truth: In the target's unit, NaN where unknown ``[series, horizon]``.
        """
        judged = torch.linspace(0, len(truth) - 1, min(len(truth), _JUDGED)).round().long()
        history, last, *columns = (values[judged] for values in inputs)
        trees, experts = (_in_units(self.trees, history, last, *columns), _in_units(self.experts, history))
        known = truth[judged].numpy()
        losses = {share: _loss(known, share * trees + (1 - share) * experts) for share in _SHARES}
        best = min(losses, key=lambda share: losses[share])
        middle = _SHARES[0]
        self.share = best if losses[best] < (1 - _GAIN) * losses[middle] else middle

    def get_extra_state(self) -> Tensor:
        """The share, for a stored fit."""
        return torch.tensor(self.share)

    def set_extra_state(self, state: Any) -> None:
        """Take the share of a stored fit."""
        self.share = float(state)
