"""Raw rows to predictions with ONNX Runtime: no training package, bounded memory, nothing half-written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import onnxruntime
import polars as pl
from numpy.typing import NDArray

from dxai.contract import Contract
from dxai.data.batch import feature_arrays
from dxai.data.checks import Problems, cast, check_header
from dxai.data.readers import read_csv, read_table
from dxai.data.windows import Panel, shift_day, to_panel
from dxai.errors import DataError, ModelError, NotFoundError
from dxai.files import whole_file
from dxai.ship.bundle import MODEL, Bundle

Named = dict[str, NDArray[np.float32]]
OnRows = Callable[[int], None]
"""Told how many more rows are done."""

_ROWS_AT_ONCE = 4096
"""An ensemble's activations for 50,000 rows took a gigabyte."""

_LEVELS = tuple(range(10, 100, 10))


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
        options.log_severity_level = 3
        self.contract, self.context = contract, context
        try:
            self.session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime raises many kinds, all for a graph it does not take
            raise ModelError(
                f"ONNX Runtime refuses the graph: {str(error).splitlines()[0]}",
                where=where,
                fix="Fetch the bundle again.",
            ) from None
        self.outputs = [o.name for o in self.session.get_outputs()]

    @staticmethod
    def load(bundle: Bundle, *, threads: int = 1) -> Model:
        """The model of a verified bundle."""
        where = str(bundle.folder / MODEL)
        return Model(bundle.read(MODEL), bundle.contract, context=bundle.manifest.context, where=where, threads=threads)

    def run(self, inputs: Mapping[str, NDArray[np.generic]]) -> Named:
        """Named inputs to named outputs."""
        answers = self.session.run(None, dict(inputs))
        return dict(zip(self.outputs, answers, strict=True))

    def predict_rows(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Checked quality rows to prediction, lower and upper bound, one row each."""
        nothing = pl.DataFrame(schema=dict.fromkeys(self.outputs, pl.Float32))
        slices = frame.iter_slices(_ROWS_AT_ONCE)
        return pl.concat(
            [nothing, *(pl.DataFrame(self.run(feature_arrays(s, self.contract))) for s in slices if len(s))]
        )

    def forecast(self, panel: Panel) -> pl.DataFrame:
        """A panel of histories to forecasts, one row per series and step, dated."""
        contract, horizon = self.contract, self.contract.horizon
        assert contract.frequency is not None  # checked when the contract was read
        answer = self.run({"history": panel.history(self.context), "last_day": panel.last_day})
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
            **{f"{target}_q{level}": answer["quantiles"][..., i].ravel() for i, level in enumerate(_LEVELS)},
        })  # fmt: skip


def predict_file(
    model: Model, rows: Path, target: Path, *, keep_extra: bool = False, on_rows: OnRows = lambda *_: None
) -> int:
    """Predict a CSV file into another, which appears whole or not at all; returns the number of rows written.

    A quality file is streamed: rows keep their columns, predictions stand behind them. A demand file is a long table
    of histories (series, time, target); the answer holds the steps that follow.

    Raises:
        DataError: The file breaks the contract; all its problems in one message.
    """
    if not target.parent.is_dir():
        raise NotFoundError(
            "The folder of the output is not there.", where=str(target.parent), fix=f"mkdir -p {target.parent}"
        )
    frames = _quality(model, rows, keep_extra) if model.contract.task == "quality" else _demand(model, rows)
    written = 0
    with whole_file(target) as out:
        for frame in frames:
            frame.write_csv(out, include_header=written == 0)
            written += len(frame)
            on_rows(len(frame))
    return written


def _quality(model: Model, path: Path, keep_extra: bool) -> Iterator[pl.DataFrame]:
    problems, row = Problems(), 2
    for text in read_csv(path):
        if row == 2:
            check_header(text.columns, model.contract, target=False, extra=keep_extra, where=f"{path}, line 1")
            _refuse_output_names(text.columns, model, path)
        typed, found = cast(text, model.contract, first_row=row)
        problems.add(found)
        row += len(text)
        if not problems:  # after the first problem the rest is only read for more of them
            yield pl.concat([text, model.predict_rows(typed)], how="horizontal")
    problems.refuse(str(path))


def _refuse_output_names(columns: list[str], model: Model, path: Path) -> None:
    clash = sorted(set(columns) & set(model.outputs))
    if clash:
        raise DataError(
            f"The model itself writes the column {clash[0]!r}.", where=f"{path}, line 1", fix="Rename it in the file."
        )


def _demand(model: Model, path: Path) -> Iterator[pl.DataFrame]:
    text = read_table(path)
    check_header(text.columns, model.contract, target=True, where=f"{path}, line 1")
    if not len(text):
        raise DataError(
            "The table has no rows.", where=str(path), fix="Give every series its history, one row per step."
        )
    typed, found = cast(text, model.contract)
    problems = Problems()
    problems.add(found)
    problems.refuse(str(path))
    yield model.forecast(to_panel(typed, model.contract, where=str(path)))
