"""Many series through a network, some at a time: experts hold megabytes for each while they forecast."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

SERIES_AT_ONCE = 256


def in_parts(network: nn.Module, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """What a network answers, without gradients.

    Args:
        network: Tensors with the series first to such tensors.
        inputs: Of all series.
    """
    with torch.inference_mode():
        parts = [
            network(*part) for part in zip(*(torch.split(values, SERIES_AT_ONCE) for values in inputs), strict=True)
        ]
    return tuple(torch.cat(answers) for answers in zip(*parts, strict=True))
