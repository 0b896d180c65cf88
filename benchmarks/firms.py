"""Car parts and hours of `benchmarks.forecaster`: the graphs of `dxai forecast` on tables that are not fetched.

Car parts: the complete series, the last 12 months. Hours: each of the last 28 midnights, 24 hours ahead, from what lies
before it; steel energy and appliances added up to hours; MASE over the mean change from week to week. The 28 midnights
before them, on which settings were chosen, come first.
"""

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
DAY, WEEK, MIDNIGHTS = 24, 168, 28
FILES = {
    "car-parts": ("carparts_monthly_demand.csv", ""),
    "seoul-bike": ("seoul_bike_hourly.csv.gz", "Rented Bike Count"),
    "steel-energy": ("korea_steel_industry_energy.csv", "Usage_kWh"),
    "appliances": ("appliances_energy_10min.csv.gz", "Appliances"),
}
"""File and column of values by set."""


def scored(name: str, folder: Path) -> Iterator[dict[str, Any]]:
    """Lines of one set.

    Raises:
        NotFoundError: Its file is not in the folder.
    """
    file, value = FILES[name]
    if not (folder / file).is_file():
        raise NotFoundError(f"There is no {file}.", where=str(folder), fix="Name its folder: --files FOLDER.")
    table = pl.read_csv(folder / file, infer_schema=False)
    if name == "car-parts":
        yield from _car_parts(table)
        return
    hours = _by_hour(table[value].cast(pl.Float64).to_numpy(), {"steel-energy": 4, "appliances": 6}.get(name, 1), name)
    for part, end in (("the 28 midnights before", len(hours) - MIDNIGHTS * DAY), ("the last 28 midnights", len(hours))):
        yield from _midnights(name, part, hours[:end])


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


def _by_hour(values: Floats, rows: int, name: str) -> Floats:
    """Sums of whole hours up to the last midnight; appliances begin at 17:00, the others at midnight."""
    sums = values[: len(values) // rows * rows].reshape(-1, rows).sum(axis=1)
    return np.asarray(sums[: len(sums) - (len(sums) + 17 * (name == "appliances")) % DAY])


def _midnights(name: str, part: str, hours: Floats) -> Iterator[dict[str, Any]]:
    ends = [len(hours) - DAY * day for day in range(MIDNIGHTS, 0, -1)]
    past = np.full((len(ends), ends[-1]), np.nan)
    for row, end in zip(past, ends, strict=True):
        row[len(row) - end :] = hours[:end]
    truth = np.stack([hours[end : end + DAY] for end in ends])
    quantiles, _, seconds = _asked("hourly", past, DAY)
    first = hours[: ends[0]]
    unit = np.abs(first[WEEK:] - first[:-WEEK]).mean()
    naive = np.stack([hours[end - WEEK : end - WEEK + DAY] for end in ends])
    scores = {
        "mase": float(np.abs(truth - quantiles[..., 5]).mean() / unit),
        "mase_of_last_week": float(np.abs(truth - naive).mean() / unit),
    }
    yield _line(name, part, scores | _common(truth, quantiles), seconds)


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
