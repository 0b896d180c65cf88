"""Conformal calibration: how far intervals must reach, from rows that the training did not see."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dxai.contract.signature import COVERAGE
from dxai.errors import DataError


def conformal_quantile(scores: NDArray[np.floating], coverage: float = COVERAGE) -> float:
    """The ⌈(n+1)·coverage⌉-th smallest of n nonconformity scores.

    An interval that admits this score covers a new exchangeable row with at least the promised probability.

    Source: Vovk, Gammerman, Shafer (2005); scores divided by a difficulty: Papadopoulos et al. (2002), Lei et al.
    (2018); scores of quantile bounds: Romano, Patterson, Candès (2019).

    Raises:
        DataError: Too few rows to promise this coverage.

    >>> conformal_quantile(np.array([3.0, 1.0, 2.0, 4.0]), 0.8)
    4.0
    """
    rank = math.ceil((scores.size + 1) * coverage)
    if rank > scores.size:
        raise DataError(
            f"{scores.size} rows cannot promise {coverage:.0%} coverage.",
            where="split", fix="Bring more data, or use more folds.",
        )  # fmt: skip
    return float(np.partition(scores.ravel(), rank - 1)[rank - 1])
