"""Trees, experts and a network together: weighed by how well they forecast a horizon that none was fitted on.

Source: Bates and Granger (1969), The Combination of Forecasts; Lichtendahl et al. (2013), Is It Better to Average
Probabilities or Quantiles?
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import reduce
from itertools import product
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dxai import metrics
from dxai.contract import Frequency
from dxai.learn.fitting import FitRows, part_of
from dxai.learn.parts import in_parts
from dxai.learn.window_network import WindowNetwork
from dxai.learn.window_trees import WindowTrees
from dxai.networks.arguments import PositiveInt
from dxai.networks.beside import Covariate
from dxai.networks.experts import Experts

_PARTS = 4
"""Weights are so many parts of the whole, or all alike."""
_GAIN = 0.01
"""Share of the loss that leaving equal weights must bring: one horizon is a small sample."""
_OF_TREES = 0.6
"""Share of a fit that the trees take."""
_JUDGED = 2_000
"""Series by which the weights are chosen."""


def _grid(members: Sequence[str]) -> list[dict[str, float]]:
    """Weights of the members that are tried; equal ones first, the last those of one member alone."""
    parts = [some for some in product(range(_PARTS, -1, -1), repeat=len(members)) if sum(some) == _PARTS]
    tried = [(1 / len(members),) * len(members)]
    tried += [tuple(part / _PARTS for part in some) for some in sorted(parts, key=max)]
    return [dict(zip(members, weights, strict=True)) for weights in tried]


def _in_units(member: nn.Module, inputs: Sequence[Tensor]) -> NDArray[np.float32]:
    """Quantiles in the target's unit ``[series, horizon, level]``."""
    quantiles, _, level = in_parts(member, inputs)
    made: NDArray[np.float32] = (quantiles * level[:, :, None]).numpy()
    return made


def _loss(truth: NDArray[np.float32], made: Mapping[str, NDArray[np.float32]], weights: Mapping[str, float]) -> float:
    """Of the weighted mean of the members' quantiles."""
    loss = metrics.wql(truth, np.sum([weight * made[name] for name, weight in weights.items()], axis=0))
    return float(loss) if np.isfinite(loss) else float("inf")


class DemandPortfolio(nn.Module):
    """The mean of the quantiles of boosted trees on windows, of experts without training, and of a network on windows.

    Attributes:
        takes_raw: It takes histories in the target's unit, with gaps.
        looks_beside: Its trees take the date and covariates.
        refits: Trees and network are fitted once more on all rows when their weights and the interval are settled.
        weights: Of the members by name, 1 together; a member without weight is no part of the graph.
        minimum: Known steps below which the experts alone forecast a series, where they are part of the graph.
    """

    takes_raw = looks_beside = refits = True

    def __init__(
        self, *, context: int, horizon: int, season: int, frequency: Frequency | None = None,
        columns: Sequence[Covariate] = (), rows: PositiveInt = 120_000, rounds: PositiveInt | None = None,
        network: bool = False,
    ) -> None:  # fmt: skip
        """As `WindowTrees`; ``network``: a member too, but of hours and where something is known ahead."""
        super().__init__()
        self.context, self.horizon, self.minimum = context, horizon, 0
        size: dict[str, Any] = {
            "context": context, "horizon": horizon, "season": season, "frequency": frequency, "columns": columns,
        }  # fmt: skip
        self.trees = WindowTrees(**size, rows=rows, rounds=rounds)
        self.experts = Experts(context=Experts.context_of(season, horizon), horizon=horizon, season=season)
        ahead = any(column.role == "known_future" for column in columns)
        helps = network and not ahead and frequency != "hourly"
        self.network = WindowNetwork(**size, rows=max(1, rows // 2)) if helps else None
        self.weights = _grid(["trees", "experts", *(["network"] if helps else [])])[0]

    @staticmethod
    def context_of(season: int, horizon: int) -> int:
        """Steps of history that are looked at."""
        return max(WindowTrees.context_of(season, horizon), Experts.context_of(season, horizon))

    def forward(self, history: Tensor, last: Tensor, *columns: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """As `WindowTrees`."""
        asked = [name for name, weight in self.weights.items() if weight]
        answers = {name: self._answer(name, history, last, *columns) for name in asked}
        quantiles, mean, level = answers[asked[0]]
        if len(asked) == 1:
            return quantiles, mean, level
        short = (~history.isnan()).sum(dim=1, keepdim=True) < self.minimum
        shares = {
            name: torch.where(short, float(name == "experts"), self.weights[name]) * unit / level  # [series, 1]
            for name, (_, _, unit) in answers.items()
        }
        mixed = [shares[name][:, :, None] * found for name, (found, _, _) in answers.items()]
        means = [shares[name] * found for name, (_, found, _) in answers.items()]
        return reduce(torch.add, mixed), reduce(torch.add, means), level

    def _answer(self, name: str, *inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        quantiles, mean, level = getattr(self, name)(*self._told(name, inputs))
        return quantiles, mean, level

    @staticmethod
    def _told(name: str, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
        """Experts look at nothing beside the history."""
        return inputs[:1] if name == "experts" else inputs

    def fit(self, rows: FitRows) -> None:
        """Fit trees and network; the experts know all they need."""
        if self.network is None:
            self.trees.fit(rows)
            return
        self.trees.fit(replace(rows, on_step=part_of(rows.on_step, 0, _OF_TREES)))
        self.network.fit(replace(rows, on_step=part_of(rows.on_step, _OF_TREES, 1)))

    def leave_short(self, minimum: int) -> bool:
        """Leave series with fewer known steps to the experts; False where these are no part of the graph."""
        has_some = self.weights["experts"] > 0
        self.minimum = minimum if has_some else 0
        return has_some

    def weigh(self, inputs: Sequence[Tensor], truth: Tensor) -> None:
        """Choose the weights on steps that no member was fitted on.

        Args:
            inputs: Of `forward`.
            truth: In the target's unit, NaN where unknown ``[series, horizon]``.
        """
        judged = torch.linspace(0, len(truth) - 1, min(len(truth), _JUDGED)).round().long()
        some, known = [values[judged] for values in inputs], truth[judged].numpy()
        made = {name: _in_units(getattr(self, name), self._told(name, some)) for name in self.weights}
        equal, *others = _grid(list(self.weights))
        losses = [_loss(known, made, weights) for weights in others]
        best = int(np.argmin(losses))
        self.weights = others[best] if losses[best] < (1 - _GAIN) * _loss(known, made, equal) else equal

    def get_extra_state(self) -> Tensor:
        """The weights, for a stored fit."""
        return torch.tensor(list(self.weights.values()), dtype=torch.float64)

    def set_extra_state(self, state: Any) -> None:
        """Take the weights of a stored fit."""
        self.weights = dict(zip(self.weights, state.tolist(), strict=True))
