"""Frame to named arrays by the contract: the same code in training and in serving."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dxai.contract import Contract
from dxai.errors import DataError

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


def class_array(frame: pl.DataFrame, contract: Contract) -> NDArray[np.int64]:
    """The target's classes ``[rows]`` by their number in `Contract.classes`.

    Raises:
        DataError: A row has none of the classes.
    """
    name, classes = contract.target.name, contract.classes
    numbers = frame[name].replace_strict(classes, range(len(classes)), default=None, return_dtype=pl.Int64)
    strange = frame[name].filter(numbers.is_null())
    if len(strange):
        raise DataError(
            f"{len(strange):,} rows of the target {name!r} have no class, such as {strange[0]!r}.",
            where=name, fix=f"Leave these rows out, or add their class to the contract: {', '.join(classes)}.",
        )  # fmt: skip
    return numbers.to_numpy()
