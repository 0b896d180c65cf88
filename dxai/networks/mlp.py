"""Multilayer perceptron on embedded numbers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from dxai.networks.arguments import PositiveFloat, PositiveInt, Share
from dxai.networks.embeddings import OneHot, embed, periodic


class Mlp(nn.Module):
    """Blocks of Linear, ReLU and Dropout on periodic embeddings of the numbers.

    Source: Gorishniy, Rubachev, Babenko (2022), On Embeddings for Numerical Features in Tabular Deep Learning.
    """

    def __init__(
        self,
        *,
        numbers: int,
        cardinalities: Sequence[int],
        embedding: PositiveInt,
        frequencies: PositiveInt,
        frequency_scale: PositiveFloat,
        width: PositiveInt,
        blocks: PositiveInt,
        dropout: Share,
        outputs: int = 1,
    ) -> None:
        """Of one number: width of its ``embedding``, ``frequencies``, and their deviation at the start.

        The smaller ``frequency_scale`` is, the smoother is what the network begins with.
        """
        super().__init__()
        self.numbers = periodic(numbers, embedding=embedding, frequencies=frequencies, frequency_scale=frequency_scale)
        self.categories = OneHot(cardinalities) if cardinalities else None
        widths = [numbers * embedding + (self.categories.width if self.categories else 0)] + [width] * blocks
        self.hidden = nn.Sequential(
            *(
                nn.Sequential(nn.Linear(before, after), nn.ReLU(), nn.Dropout(dropout))
                for before, after in pairwise(widths)
            )
        )
        self.output = nn.Linear(width, outputs)

    def forward(self, numbers: Tensor, categories: Tensor) -> Tensor:
        """``[batch, numbers]`` and ``[batch, categories]`` to ``[batch, 1, outputs]``, scaled."""
        hidden = self.hidden(embed(numbers, categories, self.numbers, self.categories))
        return torch.as_tensor(self.output(hidden).unsqueeze(1))
