"""Numbers and categories to vectors, in a form that ONNX can carry."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from rtdl_num_embeddings import PeriodicEmbeddings
from torch import Tensor, nn


class OneHot(nn.Module):
    """Category numbers to float one-hot vectors; the number after the last category stands for unseen.

    Float, because an int64 one-hot beside float numbers makes a graph that ONNX Runtime refuses.

    >>> OneHot([2])(torch.tensor([[0], [2]]))
    tensor([[1., 0., 0.],
            [0., 0., 1.]])
    """

    def __init__(self, cardinalities: Sequence[int]) -> None:
        super().__init__()
        self.cardinalities = list(cardinalities)

    @property
    def width(self) -> int:
        """Number of output features."""
        return sum(self.cardinalities) + len(self.cardinalities)

    def forward(self, categories: Tensor) -> Tensor:
        """``[batch, columns]`` int64 to ``[batch, width]`` float32."""
        return torch.cat(
            [
                (categories[:, i : i + 1] == torch.arange(c + 1, device=categories.device)).float()
                for i, c in enumerate(self.cardinalities)
            ],
            dim=1,
        )


def periodic(numbers: int, *, embedding: int, frequencies: int, frequency_scale: float) -> PeriodicEmbeddings | None:
    """Sines and cosines of learnt frequencies for each number, then one shared linear layer and a ReLU.

    None where there are no numbers.

    Source: Gorishniy, Rubachev, Babenko (2022), On Embeddings for Numerical Features in Tabular Deep Learning.
    """
    if not numbers:
        return None
    return PeriodicEmbeddings(
        numbers, embedding, n_frequencies=frequencies, frequency_init_scale=frequency_scale, lite=True
    )


def embed(
    numbers: Tensor, categories: Tensor, number_module: nn.Module | None, category_module: nn.Module | None
) -> Tensor:
    """Both kinds of input side by side ``[batch, features]``; a kind without a module is absent."""
    parts = [] if number_module is None else [number_module(numbers).flatten(1)]
    parts += [] if category_module is None else [category_module(categories)]
    return torch.cat(parts, dim=1)
