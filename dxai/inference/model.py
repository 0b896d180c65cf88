"""One graph in ONNX Runtime: checked rows to predictions, histories to forecasts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnxruntime
import polars as pl
from numpy.typing import NDArray

from dxai.bundle.manifest import FETCH_AGAIN, MODEL
from dxai.contract import Contract
from dxai.data.batch import feature_arrays
from dxai.data.windows import Panel, shift_day
from dxai.errors import ModelError
from dxai.inference.graph import DECILES

Named = dict[str, NDArray[np.float32]]

ROWS_AT_ONCE = 4096
"""Rows, or series, of one call: an ensemble's activations for 50,000 rows took a gigabyte."""


class Model:
    """One graph and its contract, ready to predict.

    Args:
        graph: Bytes of the ONNX file.
        contract: Of the rows it takes.
        context: Steps of history that a demand graph looks at; 0 for quality.
        where: The file, for messages.
        threads: Of ONNX Runtime.

    Raises:
        ModelError: ONNX Runtime does not take the graph.
    """

    def __init__(
        self, graph: bytes, contract: Contract, *, context: int = 0, where: str = MODEL, threads: int = 1
    ) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = threads
        options.log_severity_level = 4  # what it would print on standard error is raised as well
        self.contract, self.context = contract, context
        try:
            self.session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime raises many kinds, all for a graph it does not take
            raise ModelError(
                f"ONNX Runtime refuses the graph: {str(error).splitlines()[0]}",
                where=where,
                fix=FETCH_AGAIN,
            ) from None
        self.outputs = [o.name for o in self.session.get_outputs()]

    @property
    def columns(self) -> list[str]:
        """Names of the columns that predictions add to a table."""
        if self.contract.task == "quality":
            return self.outputs
        levels = [f"q{10 * (i + 1)}" for i in range(DECILES)]
        return [f"{self.contract.target.name}_{name}" for name in ("mean", "lower", "upper", *levels)]

    def run(self, inputs: Mapping[str, NDArray[np.generic]]) -> Named:
        """Named inputs to named outputs."""
        answers = self.session.run(None, dict(inputs))
        return dict(zip(self.outputs, answers, strict=True))

    def predict_rows(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Checked quality rows to `columns`, one row each; a predicted class by its text."""
        nothing = pl.DataFrame(schema=dict.fromkeys(self.outputs, pl.Float32))
        slices = frame.iter_slices(ROWS_AT_ONCE)
        answer = pl.concat(
            [nothing, *(pl.DataFrame(self.run(feature_arrays(s, self.contract))) for s in slices if len(s))]
        )
        if not self.contract.classes:
            return answer
        return answer.with_columns(self.class_texts(answer[self.outputs[0]]))

    def class_texts(self, numbers: pl.Series) -> pl.Series:
        """Classes by their numbers, as the graph gives them; null where the contract has no such class."""
        classes = self.contract.classes
        known = [float(i) for i in range(len(classes))]
        return numbers.replace_strict(known, classes, default=None, return_dtype=pl.String)

    def forecast(self, panel: Panel) -> pl.DataFrame:
        """A panel of histories to forecasts, one row per series and step, dated."""
        contract, horizon = self.contract, self.contract.horizon
        assert contract.frequency is not None  # checked when the contract was read
        inputs: dict[str, NDArray[Any]] = {"history": panel.history(self.context), "last_day": panel.last_day}
        parts = [
            self.run({name: array[first : first + ROWS_AT_ONCE] for name, array in inputs.items()})
            for first in range(0, len(panel.ids), ROWS_AT_ONCE)
        ]
        answer = {name: np.concatenate([part[name] for part in parts]) for name in self.outputs}
        series, time, target = (contract.only(role).name for role in ("series", "time", "target"))
        days = {
            d: [shift_day(d, s, contract.frequency) for s in range(1, horizon + 1)]
            for d in set(panel.last_day.tolist())
        }
        return pl.DataFrame({
            series: np.repeat(np.array(panel.ids, dtype=object), horizon).tolist(),
            time: pl.Series([d for last in panel.last_day.tolist() for d in days[last]], dtype=pl.Int32).cast(pl.Date),
            f"{target}_mean": answer["mean"].ravel(),
            f"{target}_lower": answer["lower"].ravel(),
            f"{target}_upper": answer["upper"].ravel(),
            **{f"{target}_q{10 * (i + 1)}": answer["quantiles"][..., i].ravel() for i in range(DECILES)},
        })  # fmt: skip
