"""The same arithmetic on every x86-64 processor with AVX2: which kernels the numerical libraries may choose.

MKL, torch, oneDNN, OpenBLAS and numpy look at the processor and take the widest vectors that it has, and another width
adds up in another order: the last digits differ, and after an epoch of training all of them. Held to one width they
give the same bytes everywhere, for 15 to 20 % more time. They read these variables once, when they are imported, so
`make_portable` comes first. Two operators stay different even so and are not used (tests/test_arithmetic.py looks for
them): MKL's vectorised square root and ``gelu``; `square_root` takes the first one's place.
"""

from __future__ import annotations

import os
import platform
from typing import TYPE_CHECKING, Literal

from dxai.errors import SettingsError

if TYPE_CHECKING:
    from torch import Tensor

Arithmetic = Literal["portable", "native"]

PORTABLE = {
    "MKL_CBWR": "COMPATIBLE",
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "OPENBLAS_CORETYPE": "Haswell",
    "OPENBLAS_NUM_THREADS": "1",
    "POLARS_MAX_THREADS": "1",
}
WITHOUT_AVX512 = {"NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR"}
"""Numpy's; a longer list that stands there already is kept."""


def make_portable() -> None:
    """Ask for portable kernels; on other processors than x86-64 there is nothing to choose."""
    if platform.machine() in ("x86_64", "AMD64"):
        os.environ.update(PORTABLE)
        for name, features in WITHOUT_AVX512.items():
            os.environ.setdefault(name, features)


def make_native() -> None:
    """Leave the choice to the libraries again, where they have not been imported yet."""
    for name in PORTABLE:
        os.environ.pop(name, None)


def is_portable() -> bool:
    """Whether torch computes with portable kernels in this process."""
    import torch

    if platform.machine() not in ("x86_64", "AMD64"):
        return True
    return torch.backends.cpu.get_cpu_capability() == "AVX2" and os.environ.get("MKL_CBWR") == "COMPATIBLE"


def refuse_other(arithmetic: Arithmetic) -> None:
    """Hold what a run asks for against what this process does.

    Raises:
        SettingsError: Portable arithmetic is asked for, and torch was imported without it.
    """
    if arithmetic == "portable" and not is_portable():
        raise SettingsError(
            "This process computes with the kernels of this processor.", where="arithmetic",
            fix="Call dxai.arithmetic.make_portable() before torch is imported, or set arithmetic=native.",
        )  # fmt: skip


def square_root(values: Tensor) -> Tensor:
    """Square root of values that are not negative, the same on every processor.

    >>> import torch
    >>> square_root(torch.tensor([0.0, 4.0, 9.0])).tolist()
    [0.0, 2.0, 3.0]
    """
    return values * values.clamp_min(1e-30).rsqrt()


def root(values: Tensor) -> Tensor:
    """`square_root` while torch computes; in a graph the operator, of which ONNX Runtime has one for all processors."""
    import torch

    return values.sqrt() if torch.compiler.is_exporting() else square_root(values)
