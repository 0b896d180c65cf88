"""Series that are too short for a trained model are forecast by experts that need no training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from dxai.contract import Contract
from dxai.learn.predictor import DemandPredictor, Predictor, RawForecast
from dxai.networks.experts import Experts

SHORTEST = 1
"""Known steps from which the experts forecast a series."""


def experts_of(contract: Contract) -> DemandPredictor:
    """Experts for histories of a few steps."""
    horizon, season = contract.horizon, contract.season
    experts = Experts(context=Experts.context_of(season, horizon), horizon=horizon, season=season)
    return DemandPredictor(contract, RawForecast(experts)).eval()


@runtime_checkable
class LeavesShort(Protocol):
    """A network that may hold experts of its own."""

    def leave_short(self, minimum: int) -> bool:
        """Leave series with fewer known steps to them; False where there are none."""


class ShortHistories(Predictor):
    """A trained predictor for series with enough known steps, experts for the others of the same batch.

    Attributes:
        trained: For series with the contract's minimum of known steps, and more.
        experts: For those with fewer.
    """

    def __init__(self, trained: DemandPredictor, experts: DemandPredictor) -> None:
        super().__init__(trained.contract)
        self.trained, self.experts = trained, experts

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """As `DemandPredictor`."""
        answers: dict[str, Tensor] = self.trained(inputs)
        known = (~inputs["history"].isnan()).sum(dim=1)
        (short,) = torch.nonzero(known < self.contract.minimum_history, as_tuple=True)
        if len(short):
            others = self.experts({name: values[short] for name, values in inputs.items()})
            answers = {name: values.index_copy(0, short, others[name]) for name, values in answers.items()}
        return answers
