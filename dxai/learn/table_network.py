"""The network of a quality table, sized by its contract."""

from __future__ import annotations

from typing import Any

from torch import nn

from dxai.config.settings import LinearModel, MlpModel, TabmModel
from dxai.contract import Contract
from dxai.networks.linear import Linear
from dxai.networks.mlp import Mlp
from dxai.networks.tabm import TabM


def table_network(model: Any, contract: Contract) -> nn.Module:
    """The network that the model settings name, sized for the contract; answers ``[rows, members, outputs]``.

    Outputs are the classes of the target, or the one number.
    """
    size = {
        "numbers": len(contract.numbers),
        "cardinalities": [len(c.categories) for c in contract.categories],
        "outputs": len(contract.classes) or 1,
    }
    networks: dict[type, type[nn.Module]] = {LinearModel: Linear, MlpModel: Mlp, TabmModel: TabM}
    return networks[type(model)](**size, **model.model_dump(exclude={"kind"}))
