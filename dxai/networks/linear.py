"""A straight line: the network against which the others must earn their keep."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dxai.networks.embeddings import OneHot, embed


class Linear(nn.Module):
    """Linear maps of scaled numbers and one-hot categories.

    >>> Linear(numbers=3, cardinalities=[])(torch.zeros(5, 3), torch.zeros(5, 0, dtype=torch.int64)).shape
    torch.Size([5, 1, 1])
    """

    def __init__(self, *, numbers: int, cardinalities: Sequence[int], outputs: int = 1) -> None:
        super().__init__()
        self.numbers = nn.Identity() if numbers else None
        self.categories = OneHot(cardinalities) if cardinalities else None
        self.output = nn.Linear(numbers + (self.categories.width if self.categories else 0), outputs)

    def forward(self, numbers: Tensor, categories: Tensor) -> Tensor:
        """``[batch, numbers]`` and ``[batch, categories]`` to ``[batch, 1, outputs]``, scaled."""
        return torch.as_tensor(self.output(embed(numbers, categories, self.numbers, self.categories)).unsqueeze(1))
