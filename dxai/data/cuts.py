"""Training windows of a panel, cut from it batch by batch: as many as there are origins, and no copy of any."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dxai.contract import Contract
from dxai.data.windows import Panel, moments_before, training_origins


class Cut:
    """Stands for a tensor ``[windows, …]``, of which a batch takes some.

    Args of the constructor: values by series ``[series]`` or ``[series, steps]``; the series of each window
    ``[windows]``; of steps also the first one of each window ``[windows]``, and how many there are.
    """

    def __init__(self, whole: Tensor, series: Tensor, first: Tensor | None = None, length: int = 0) -> None:
        self.whole, self.series, self.first, self.length = whole, series, first, length

    def __len__(self) -> int:
        return len(self.series)

    def __getitem__(self, chosen: Any) -> Tensor:
        """The windows of these numbers."""
        series = self.series[chosen]
        if self.first is None:
            return self.whole[series]
        steps = self.first[chosen][..., None] + torch.arange(self.length, device=self.whole.device)
        return self.whole[series[..., None], steps]

    def numpy(self) -> NDArray[Any]:
        """All windows at once."""
        return self[:].numpy()

    @property
    def device(self) -> torch.device:
        """Where the values are."""
        return self.whole.device

    def to(self, device: torch.device) -> Cut:
        """The same there."""
        first = None if self.first is None else self.first.to(device)
        return Cut(self.whole.to(device), self.series.to(device), first, self.length)


def training_windows(panel: Panel, contract: Contract, context: int) -> tuple[tuple[Tensor | Cut, ...], Cut]:
    """Inputs of a forecaster for every origin of a panel that can be learned from, and what came after it.

    Returns:
        Histories ``[windows, context]``, when each ends ``[windows]`` and the covariates in contract order, as a graph
        takes them but for categories, which are numbers; and the target ``[windows, horizon]``, NaN where unknown.
    """
    assert contract.frequency is not None  # checked when the contract was read
    series, step = training_origins(panel, contract)
    row, first, horizon, time = (
        torch.as_tensor(series),
        torch.as_tensor(step + 1),
        contract.horizon,
        panel.values.shape[1],
    )

    def cut(values: NDArray[Any], nothing: float, before: int, after: int) -> Cut:
        """So many steps before each origin and so many after it."""
        padded = np.pad(values[:, :time], ((0, 0), (context, horizon)), constant_values=nothing)
        return Cut(torch.as_tensor(padded), row, first + context - before, before + after)

    ends = torch.as_tensor(moments_before(panel, series, step, contract.frequency))
    inputs: list[Tensor | Cut] = [cut(panel.values, np.nan, context, 0), ends]
    for column in contract.covariates:
        values, nothing = panel.beside[column.name], np.nan if column.kind == "number" else len(column.categories)
        after = horizon if column in contract.ahead else 0
        one_each = values.ndim == 1
        inputs.append(Cut(torch.as_tensor(values), row) if one_each else cut(values, nothing, context, after))
    return tuple(inputs), cut(panel.values, np.nan, 0, horizon)
