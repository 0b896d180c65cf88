"""The forecaster of a frequency: its graph in ONNX Runtime, as this package carries it."""

from __future__ import annotations

import json
import lzma
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from dxai.contract import Frequency

Array = NDArray[np.float32]
AT_ONCE = 256
"""Series of one call: the memory stays bounded."""


@dataclass(frozen=True)
class Forecasts:
    """Of every step ahead: the mean ``[series, horizon]`` and quantiles ``[series, horizon, level]``."""

    mean: Array
    quantiles: Array


def packed_graph(frequency: Frequency) -> bytes:
    """The ONNX file of a frequency. `python -m pipelines.forecaster` makes it."""
    return lzma.decompress(files(__package__).joinpath(f"{frequency}.onnx.xz").read_bytes())


class Forecaster:
    """Histories to forecasts.

    Attributes:
        frequency: Of the steps.
        season: Steps of a year; of a week for days and hours.
        horizon: Steps ahead at most.
        levels: Of the quantiles, in order.
        longest: Steps of history that it looks at.
    """

    def __init__(self, frequency: Frequency, *, threads: int = 1) -> None:
        self._session = _session(frequency, threads)
        told = json.loads(self._session.get_modelmeta().custom_metadata_map["dxai.forecaster"])
        self.frequency, self.season, self.horizon = frequency, int(told["season"]), int(told["horizon"])
        self.levels = tuple(told["levels"])
        self.longest = int(told["context"])

    def forecast(self, history: Array, horizon: int) -> Forecasts:
        """Forecasts of the steps that follow.

        Args:
            history: NaN where a value is missing and before a series begins; the last step at the right
                ``[series, time]``.
            horizon: Steps ahead.
        """
        assert horizon <= self.horizon, "the horizon was checked"
        quantiles, mean = self._session.run(["quantiles", "mean"], {"history": history.astype(np.float32)})
        # the runtime adds up in an order of its own, so that equal quantiles may cross in their last digit
        ordered = np.maximum.accumulate(quantiles[:, :horizon], axis=2)
        return Forecasts(mean[:, :horizon], ordered)


@cache
def _session(frequency: Frequency, threads: int) -> Any:
    """To unpack and prepare a graph takes longer than to forecast some series: once in a process."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = threads
    options.log_severity_level = 4
    # the file is simplified already: looking for more takes longer than it saves
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(packed_graph(frequency), options, providers=["CPUExecutionProvider"])
