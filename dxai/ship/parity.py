"""torch against ONNX Runtime on real and awkward rows: above the tolerance nothing is released."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from dxai.contract import Contract
from dxai.data.batch import feature_arrays
from dxai.data.windows import Panel
from dxai.errors import ModelError
from dxai.inference.model import Model
from dxai.learn.predictor import ClassPredictor, DemandPredictor, RowPredictor
from dxai.learn.transform import encode

Named = Mapping[str, NDArray[np.generic]]
_MOST_ROWS = 10_000
"""At once: a network holds hundreds of numbers for each cell of a wide table."""


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


def quality_parity(
    predictor: RowPredictor, contract: Contract, rows: pl.DataFrame, model: Model, tolerance: float
) -> Parity:
    """Both engines on held-out rows and on awkward ones; raises ModelError above the tolerance.

    Args:
        predictor: In torch.
        contract: Of the rows.
        rows: Typed rows that training did not see.
        model: The same in ONNX Runtime.
        tolerance: Share of the target's spread.
    """
    cases = {
        "held-out rows": rows,
        "1 row": rows.head(1),
        "3 rows": rows.head(3),
        "10,000 rows": pl.concat([rows] * (_MOST_ROWS // len(rows) + 1)).head(_MOST_ROWS),
        "missing values": _with_gaps(rows, contract),
        **({"limits of the ranges": _at_limits(rows, contract)} if contract.numbers else {}),
        **({"unseen categories": _unseen(rows, contract)} if contract.categories else {}),
    }
    scale = predictor.spread
    found = {name: _quality_difference(predictor, contract, frame, model, scale) for name, frame in cases.items()}
    return _checked(Parity(scale=scale, tolerance=tolerance, cases=found))


def demand_parity(predictor: DemandPredictor, panel: Panel, model: Model, tolerance: float) -> Parity:
    """Both engines on real histories and on awkward ones; raises ModelError above the tolerance."""
    history, days, context = panel.history(predictor.context), panel.last_day, predictor.context
    gaps = history.copy()
    gaps[:, ::3] = np.nan
    short = history.copy()
    short[:, : -max(1, context // 4)] = np.nan
    cases = {
        "real histories": (history, days),
        "1 series": (history[:1], days[:1]),
        "3 series": (history[:3], days[:3]),
        "longer than the context": (panel.values, days),
        "shorter than the context": (history[:, -max(1, context // 4) :], days),
        "short, padded": (short, days),
        "gaps": (gaps, days),
        "all zero": (np.zeros_like(history), days),
        "other seasons": (history, days + 91),
    }
    scale = float(np.nanstd(panel.values))
    found = {
        name: largest_difference(
            predictor.predict(torch.as_tensor(h), torch.as_tensor(d)),
            model.run({"history": h, "last_day": d}),
            scale=scale,
        )
        for name, (h, d) in cases.items()
    }
    return _checked(Parity(scale=scale, tolerance=tolerance, cases=found))


def _checked(parity: Parity) -> Parity:
    refuse_difference(parity)
    return parity


def _quality_difference(
    predictor: RowPredictor, contract: Contract, rows: pl.DataFrame, model: Model, scale: float
) -> float:
    arrays = feature_arrays(rows, contract)
    expected, found = predictor.predict(encode(arrays, contract)), model.run(arrays)
    if isinstance(predictor, ClassPredictor):
        # On the edge of a threshold a rounding turns the class: it is held against the graph's own probabilities.
        chosen, *probabilities = found
        expected[chosen] = predictor.decided(
            torch.as_tensor(np.stack([found[name] for name in probabilities], 1))
        ).numpy()
    return largest_difference(expected, found, scale=scale)


def _with_gaps(rows: pl.DataFrame, contract: Contract) -> pl.DataFrame:
    """Each feature missing in every row once, and all of them in the last copy; of a wide table fewer rows."""
    rows = rows.head(max(8, _MOST_ROWS // (len(contract.features) + 1)))
    each = [rows.with_columns(pl.lit(None, rows.schema[c.name]).alias(c.name)) for c in contract.features]
    return pl.concat(
        [*each, rows.with_columns(pl.lit(None, rows.schema[c.name]).alias(c.name) for c in contract.features)]
    )


def _at_limits(rows: pl.DataFrame, contract: Contract) -> pl.DataFrame:
    """Each number at its smallest and largest admissible value, and zero."""
    limits = [(c.name, v) for c in contract.numbers for v in (c.minimum, c.maximum, 0.0) if v is not None]
    return pl.concat([rows.head(8).with_columns(pl.lit(value, pl.Float64).alias(name)) for name, value in limits])


def _unseen(rows: pl.DataFrame, contract: Contract) -> pl.DataFrame:
    return pl.concat([rows.with_columns(pl.lit("never seen").alias(c.name)) for c in contract.categories])
