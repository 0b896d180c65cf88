"""TabM: one network that answers like ``k`` of them."""

from __future__ import annotations

from collections.abc import Sequence

import tabm
import torch
from torch import Tensor, nn

from dxai.networks.arguments import PositiveFloat, PositiveInt, Share
from dxai.networks.embeddings import OneHot, embed, periodic


class TabM(nn.Module):
    """``k`` MLPs that share most weights, each with its own scaling of inputs and outputs.

    The parts are those of the ``tabm`` package, called one by one: its own ``TabM.forward`` freezes the batch size
    on export, and its one-hot is an integer that ONNX Runtime refuses.

    Source: Gorishniy, Kotelnikov, Babenko (2025), TabM: Advancing Tabular Deep Learning with Parameter-Efficient
    Ensembling.
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
        k: PositiveInt,
        outputs: int = 1,
    ) -> None:
        """``k``: members; the rest as in `Mlp`."""
        super().__init__()
        self.parts = tabm.TabM.make(
            n_num_features=numbers,
            cat_cardinalities=[c + 1 for c in cardinalities],
            num_embeddings=periodic(
                numbers, embedding=embedding, frequencies=frequencies, frequency_scale=frequency_scale
            ),
            d_out=outputs,
            d_block=width,
            n_blocks=blocks,
            dropout=dropout,
            k=k,
        )
        self.parts.cat_module = OneHot(cardinalities) if cardinalities else None

    def forward(self, numbers: Tensor, categories: Tensor) -> Tensor:
        """``[batch, numbers]`` and ``[batch, categories]`` to the members' answers ``[batch, k, outputs]``, scaled."""
        parts = self.parts
        members = parts.ensemble_view(embed(numbers, categories, parts.num_module, parts.cat_module))
        return torch.as_tensor(parts.output(parts.backbone(members)))
