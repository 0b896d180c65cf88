"""Car parts and hours of `benchmarks.forecaster`: the graphs of `dxai forecast` on tables that are not fetched.

Car parts: the complete series, the last 12 months. Hours: each of the last 28 midnights, 24 hours ahead, from what lies
before it; steel energy and appliances added up to hours; MASE over the mean change from week to week. The 28 midnights
before them, on which settings were chosen, come first. Days: the hours of the bikes added up, 7, 14 and 28 days ahead
from each of the last 28 midnights with so many days behind it, beside the mean of statsforecast's ETS, DOT and CES.
"""

from __future__ import annotations

import subprocess
import tempfile
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
    "seoul-bike-days": ("seoul_bike_hourly.csv.gz", "Rented Bike Count"),
    "steel-energy": ("korea_steel_industry_energy.csv", "Usage_kWh"),
    "appliances": ("appliances_energy_10min.csv.gz", "Appliances"),
}
"""File and column of values by set."""
AHEAD = (7, 14, 28)
"""Days."""


def scored(name: str, folder: Path, statsforecast: Path | None = None) -> Iterator[dict[str, Any]]:
    """Lines of one set.

    Args:
        name: Of the set.
        folder: Holds its file.
        statsforecast: Python of an environment that has statsforecast, to set beside the forecasts of days.

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
    for part, back in (("the 28 midnights before", MIDNIGHTS), ("the last 28 midnights", 0)):
        end = len(hours) - back * DAY
        if name != "seoul-bike-days":
            yield from _midnights(name, part, hours[:end])
            continue
        for ahead in AHEAD:
            yield from _days(f"{part}, {ahead} days", hours[:end].reshape(-1, DAY).sum(axis=1), ahead, statsforecast)


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
    past, truth, unit = _origins(hours, DAY, DAY, WEEK)
    quantiles, _, seconds = _asked("hourly", past, DAY)
    naive = past[:, -WEEK:][:, :DAY]
    scores = {
        "mase": float(np.abs(truth - quantiles[..., 5]).mean() / unit),
        "mase_of_last_week": float(np.abs(truth - naive).mean() / unit),
    }
    yield _line(name, part, scores | _common(truth, quantiles), seconds)


def _days(part: str, days: Floats, ahead: int, statsforecast: Path | None) -> Iterator[dict[str, Any]]:
    past, truth, unit = _origins(days, 1, ahead, 7)
    quantiles, _, seconds = _asked("daily", past, ahead)
    scores = {"mase": float(np.abs(truth - quantiles[..., 5]).mean() / unit)}
    if statsforecast:
        scores["mase_of_ets_dot_ces"] = float(np.abs(truth - _peers(statsforecast, past, 7, ahead)).mean() / unit)
    yield _line("seoul-bike-days", part, scores | _common(truth, quantiles), seconds)


def _origins(values: Floats, day: int, ahead: int, week: int) -> tuple[Floats, Floats, float]:
    """Pasts and truths of 28 midnights, a row each, and the mean change from week to week before the first of them."""
    ends = [len(values) - ahead - day * back for back in range(MIDNIGHTS - 1, -1, -1)]
    past = np.full((len(ends), ends[-1]), np.nan)
    for row, end in zip(past, ends, strict=True):
        row[len(row) - end :] = values[:end]
    first = values[: ends[0]]
    truth = np.stack([values[end : end + ahead] for end in ends])
    return past, truth, float(np.abs(first[week:] - first[:-week]).mean())


def _peers(python: Path, past: Floats, season: int, ahead: int) -> Floats:
    """In a process of its own Python; see benchmarks/statsforecast_fit.py."""
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "past.npy", past)
        program = Path(__file__).with_name("statsforecast_fit.py")
        subprocess.run([str(python), str(program), folder, str(season), str(ahead)], check=True)
        return np.asarray(np.load(Path(folder) / "said.npy"))


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
