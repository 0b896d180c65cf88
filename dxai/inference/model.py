"""One graph in ONNX Runtime: checked rows to answers."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnxruntime
import polars as pl
from numpy.typing import NDArray

from dxai.bundle.manifest import FETCH_AGAIN, MODEL
from dxai.contract import Contract
from dxai.data.batch import Batch, codec_of
from dxai.errors import ModelError

Named = dict[str, NDArray[np.float32]]

ROWS_AT_ONCE = 1024
"""Rows of one call: with 4,096 a Gaussian process leaves the processor's cache and is half as fast."""
SERIES_AT_ONCE = 256
"""Series of one call: a day of hours is held against four weeks, column by column, and 1,024 would take gigabytes."""


def at_once(contract: Contract) -> int:
    """Cases of one call to a model of this contract, at most."""
    return SERIES_AT_ONCE if contract.series else ROWS_AT_ONCE


class Model:
    """One graph and its contract, ready to predict.

    Args:
        graph: Bytes of the ONNX file.
        contract: Of the rows it takes.
        context: Steps of history that the graph looks at; 0 where it takes rows.
        shortest: Known steps from which it forecasts a series, where these are fewer than the contract's minimum.
        where: The file, for messages.
        threads: Of ONNX Runtime.

    Attributes:
        contract: With the fewest steps that the graph forecasts from as its minimum.
        trained_from: Known steps from which the trained model forecasts, the contract's minimum.

    Raises:
        ModelError: ONNX Runtime does not take the graph.
    """

    def __init__(
        self, graph: bytes, contract: Contract, *, context: int = 0, shortest: int | None = None, where: str = MODEL,
        threads: int = 1,
    ) -> None:  # fmt: skip
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = threads
        options.log_severity_level = 4  # what it would print on standard error is raised as well
        self._agree(contract, context, shortest)
        try:
            self.session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime raises many kinds, all for a graph it does not take
            raise ModelError(
                f"ONNX Runtime refuses the graph: {str(error).splitlines()[0]}",
                where=where,
                fix=FETCH_AGAIN,
            ) from None

    def _agree(self, contract: Contract, context: int, shortest: int | None) -> None:
        self.context, self.trained_from = context, contract.minimum_history
        self.contract = contract if shortest is None else contract.model_copy(update={"minimum_history": shortest})
        self.codec = codec_of(self.contract, context)

    @property
    def outputs(self) -> list[str]:
        """Names of the graph's outputs."""
        return [tensor.name for tensor in self.codec.signature.outputs]

    @property
    def columns(self) -> list[str]:
        """Names of the columns that predictions add to a table."""
        return self.codec.signature.columns

    def run(self, inputs: Mapping[str, NDArray[np.generic]]) -> Named:
        """Named inputs to named outputs, `at_once` cases of them at a time."""
        count, most = len(next(iter(inputs.values()))), at_once(self.contract)
        parts = [
            self.session.run(self.outputs, {name: values[first : first + most] for name, values in inputs.items()})
            for first in range(0, max(count, 1), most)
        ]
        return {name: np.concatenate(each) for name, each in zip(self.outputs, zip(*parts, strict=True), strict=True)}

    def predict(self, frame: pl.DataFrame, where: str = "the table", *, carry_forward: bool = False) -> pl.DataFrame:
        """Checked rows to the columns of an answer, one row each; of histories the steps that follow, dated."""
        return self.answer(self.codec.encode(frame, where, carry_forward=carry_forward))

    def answer(self, batch: Batch) -> pl.DataFrame:
        """The same of what the codec has encoded."""
        return self.codec.decode(self.compute(batch), batch)

    def compute(self, batch: Batch) -> Named:
        """Outputs for all cases of a batch."""
        if batch.count:
            return self.run(batch.arrays)
        tensors = self.codec.signature.outputs
        return {t.name: np.empty((0, *(int(size) for size in t.shape[1:])), np.float32) for t in tensors}
