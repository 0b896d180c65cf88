"""What is fitted outside torch: buffers whose sizes are known after the fit only."""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray
from torch import nn


def as_buffer(array: NDArray[Any], kind: torch.dtype) -> torch.Tensor:
    """A copy with the strides of a tensor that was stored and loaded: an empty array has others, which are stored."""
    return torch.zeros(array.shape, dtype=kind).copy_(torch.as_tensor(array))


class Fitted(nn.Module):
    """A module of buffers that begin empty; `keep` or `load_state_dict` gives them their fitted size."""

    def __init__(self, **kinds: torch.dtype) -> None:
        """Names and types of the buffers."""
        super().__init__()
        self._names = tuple(kinds)
        for name, kind in kinds.items():
            self.register_buffer(name, torch.zeros(0, dtype=kind))

    def keep(self, **arrays: NDArray[Any]) -> None:
        """Take fitted arrays as buffers of their types."""
        for name, array in arrays.items():
            own: torch.Tensor = getattr(self, name)
            setattr(self, name, as_buffer(array, own.dtype))

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *others: Any) -> None:
        """Take the stored sizes before torch compares them."""
        for name in self._names:
            if (stored := state_dict.get(prefix + name)) is not None:
                setattr(self, name, torch.zeros(stored.shape, dtype=stored.dtype))
        super()._load_from_state_dict(state_dict, prefix, *others)
