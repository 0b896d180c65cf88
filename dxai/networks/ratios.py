"""Multiples of a level on a scale on which their errors are alike: straight near 0, logarithmic far from it."""

from __future__ import annotations

from torch import Tensor

from dxai.arithmetic import root


def bent(ratio: Tensor) -> Tensor:
    """asinh(5 ratio) in double precision, of operators that ONNX Runtime has in double precision.

    >>> import torch
    >>> bent(torch.tensor([-1.0, 0.0, 1.0])).round(decimals=6).tolist()
    [-2.312438, 0.0, 2.312438]
    """
    wide = 5 * ratio.double()
    return wide.sign() * (wide.abs() + root(wide * wide + 1)).log()


def unbent(value: Tensor) -> Tensor:
    """The inverse of `bent`, in the value's own precision."""
    return value.sinh() / 5
