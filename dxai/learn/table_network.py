"""The network of a quality table, sized by its contract."""

from __future__ import annotations

from typing import Any

import tabm
from torch import Tensor, nn

from dxai.config.settings import LinearModel, MlpModel, TabmModel
from dxai.contract import Contract
from dxai.networks.linear import Linear
from dxai.networks.mlp import Mlp
from dxai.networks.tabm import TabM


def table_network(model: Any, contract: Contract) -> nn.Module:
    """The network that the model settings name, sized for the contract's features; answers ``[rows, members]``."""
    size = {"numbers": len(contract.numbers), "cardinalities": [len(c.categories) for c in contract.categories]}
    networks: dict[type, type[nn.Module]] = {LinearModel: Linear, MlpModel: Mlp, TabmModel: TabM}
    return networks[type(model)](**size, **model.model_dump(exclude={"kind"}))


class ClassNetwork(nn.Module):
    """The same with an output per class: logits ``[rows, members, classes]``."""

    def __init__(self, model: Any, contract: Contract) -> None:
        super().__init__()
        self.network = table_network(model, contract)
        _widen(self.network, len(contract.classes))

    def forward(self, numbers: Tensor, categories: Tensor) -> Tensor:
        """``[rows, numbers]`` and ``[rows, categories]`` to logits; networks without members count as one."""
        logits: Tensor = self.network(numbers, categories)
        return logits if logits.dim() == 3 else logits[:, None]


def _widen(network: nn.Module, outputs: int) -> None:
    """Give the network a fresh last layer with so many outputs in place of one."""
    if isinstance(network, TabM):
        weight = network.parts.output.weight  # [members, inputs, 1]
        ensemble = tabm.LinearEnsemble(weight.shape[1], outputs, k=weight.shape[0])
        network.parts.output = nn.Sequential(ensemble, nn.Unflatten(2, (outputs, 1)))  # TabM drops the last axis
    else:
        assert isinstance(network.output, nn.Linear)
        network.output = nn.Linear(network.output.in_features, outputs)
