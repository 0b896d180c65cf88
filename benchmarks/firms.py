"""Car parts of `benchmarks.forecaster`: the monthly graph of `dxai forecast`, the last 12 months of complete series."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dxai import metrics
from dxai.contract import Frequency
from dxai.contract.signature import LEVELS
from dxai.errors import NotFoundError
from dxai.forecaster.graph import AT_ONCE, Forecaster

Floats = NDArray[np.float64]
FILES = {"car-parts": "carparts_monthly_demand.csv"}
"""By set."""


def scored(name: str, folder: Path) -> Iterator[dict[str, Any]]:
    """Lines of one set.

    Raises:
        NotFoundError: Its file is not in the folder.
    """
    file = folder / FILES[name]
    if not file.is_file():
        raise NotFoundError(f"There is no {file.name}.", where=str(folder), fix="Name its folder: --files FOLDER.")
    return _car_parts(pl.read_csv(file, infer_schema=False))


def _car_parts(table: pl.DataFrame) -> Iterator[dict[str, Any]]:
    units = table.drop("Part").cast(pl.Float64).to_numpy()
    units = units[np.isfinite(units).all(axis=1)]
    for part, end in (("months 28 to 39", 39), ("the last 12 months", 51)):
        past, truth = units[:, : end - 12], units[:, end - 12 : end]
        quantiles, mean, seconds = _asked("monthly", past, 12)
        change = np.sqrt(np.square(past[:, 12:] - past[:, :-12]).mean(axis=1))
        moved = change > 0
        scores = {
            "rmsse": float((np.sqrt(np.square(truth - mean).mean(axis=1))[moved] / change[moved]).mean()),
            "bias": float(mean.sum() / truth.sum() - 1),
        }
        yield _line("car-parts", part, _common(truth, quantiles) | scores, seconds)


def _asked(frequency: Frequency, past: Floats, horizon: int) -> tuple[Floats, Floats, float]:
    forecaster = Forecaster(frequency)
    begun = time.process_time()
    parts = [
        forecaster.forecast(past[i : i + AT_ONCE].astype(np.float32), horizon) for i in range(0, len(past), AT_ONCE)
    ]
    seconds = time.process_time() - begun
    quantiles, mean = (np.concatenate([getattr(part, name) for part in parts]) for name in ("quantiles", "mean"))
    return quantiles.astype(float), mean.astype(float), seconds


def _common(truth: Floats, quantiles: Floats) -> dict[str, float]:
    assert quantiles.shape[2] == len(LEVELS) + 2, "2.5 %, the deciles, 97.5 %"
    scores = {"wql": metrics.wql(truth, quantiles[..., 1:-1])}
    for name, place in (("80%", 1), ("95%", 0)):
        scores[name] = metrics.coverage(truth, quantiles[..., place], quantiles[..., -1 - place])
    return scores


def _line(name: str, part: str, scores: dict[str, float], seconds: float) -> dict[str, Any]:
    rounded = {key: round(float(value), 4) for key, value in scores.items()}
    return {"set": name, "model": part, "metrics": rounded, "cpu_s": round(seconds, 2)}
