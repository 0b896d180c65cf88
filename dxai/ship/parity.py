"""torch against ONNX Runtime on real and awkward rows: above the tolerance nothing is released."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from dxai.data.batch import Arrays
from dxai.errors import ModelError
from dxai.inference.model import Model
from dxai.learn.predictor import Predictor

Named = Mapping[str, NDArray[np.generic]]


class Parity(BaseModel):
    """Largest differences found, told on the card.

    Attributes:
        scale: Spread of the target, in its unit: what a difference is held against; 1 for probabilities.
        tolerance: Share of ``scale`` that a difference may reach.
        cases: Largest difference of each case, as a share of ``scale``.
    """

    model_config = ConfigDict(frozen=True)

    scale: float
    tolerance: float
    cases: dict[str, float]

    @property
    def worst(self) -> float:
        """Largest difference of all cases, as a share of ``scale``."""
        return max(self.cases.values())


def largest_difference(expected: Named, found: Named, *, scale: float) -> float:
    """Largest absolute difference over all outputs as a share of ``scale``; infinite when shapes or NaN differ."""
    worst = 0.0
    for name, values in expected.items():
        other = np.asarray(found[name], dtype=np.float64)
        mine = np.asarray(values, dtype=np.float64)
        if mine.shape != other.shape or not np.isfinite(other).all():
            return float("inf")
        worst = max(worst, float(np.abs(mine - other).max(initial=0.0)) / scale)
    return worst


def refuse_difference(parity: Parity) -> None:
    """Raise ModelError when any case is above the tolerance."""
    bad = {name: value for name, value in parity.cases.items() if not value <= parity.tolerance}
    if bad:
        told = ", ".join(f"{name} {value:.2g}" for name, value in bad.items())
        raise ModelError(
            f"The exported graph does not repeat the trained model: {told} of the target's spread, "
            f"however {parity.tolerance:g} is allowed.",
            where="export", fix="Nothing was released. Report this with the settings: it is a defect of the export.",
        )  # fmt: skip


def parity(
    predictor: Predictor, cases: Mapping[str, Arrays], model: Model, *, scale: float, tolerance: float
) -> Parity:
    """Both engines on the same inputs; raises ModelError above the tolerance.

    Args:
        predictor: In torch.
        cases: Inputs of the graph, by a name for people.
        model: The same in ONNX Runtime.
        scale: Spread of the target.
        tolerance: Share of it that a difference may reach.
    """
    found = {}
    for name, arrays in cases.items():
        theirs = model.run(arrays)
        found[name] = largest_difference(predictor.expected(arrays, theirs), theirs, scale=scale)
    made = Parity(scale=scale, tolerance=tolerance, cases=found)
    refuse_difference(made)
    return made
