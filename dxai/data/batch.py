"""Frame to named arrays by the contract: the same code in training and in serving."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dxai.contract import Contract

Arrays = dict[str, NDArray[np.float32] | NDArray[np.object_]]


def feature_arrays(frame: pl.DataFrame, contract: Contract) -> Arrays:
    """One array ``[rows]`` per feature column: float32 with NaN for missing, text with ``""`` for missing."""
    return {
        column.name: (
            frame[column.name].fill_null(float("nan")).to_numpy().astype(np.float32)
            if column.kind == "number"
            else frame[column.name].fill_null("").to_numpy().astype(object)
        )
        for column in contract.features
    }


def target_array(frame: pl.DataFrame, contract: Contract) -> NDArray[np.float32]:
    """The target ``[rows]`` in the contract's unit."""
    return frame[contract.target.name].to_numpy().astype(np.float32)
