"""Golden outputs: what every healthy copy of a released model answers to the rows that travel with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from dxai.inference.model import Model, Named
from dxai.learn.predictor import Predictor


class TrainedModel(Model):
    """The trained predictor in the place of its graph.

    Golden outputs come from torch: ONNX Runtime chooses kernels by the processor, so its last digits would be those of
    the machine that released. The loader allows for such differences.
    """

    def __init__(self, predictor: Predictor, context: int) -> None:
        self.predictor = predictor
        self._agree(predictor.contract, context, None)

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> Named:
        """Named inputs to named outputs."""
        return self.predictor.answer(inputs)
