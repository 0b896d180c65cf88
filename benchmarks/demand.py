"""python -m benchmarks.demand --data FOLDER [--model WORDS …] [--sets NAME …] [--part validation|test] [--json].

Demand panels with what is known beside them: dxai's models as `dxai train` fits and calibrates them, one CPU thread.
FOLDER holds the public files; a set whose file is missing is left out. Each set has its last blocks as test and those
before them as validation, on which every choice was made:

- orange-juice (orange_juice_weekly.csv.gz): 83 stores x 11 products, 4 weeks ahead, three blocks, a fit each; price,
  deal and feature of the weeks ahead are known; store_* static; a week without a row is missing, neither trained on nor
  scored. MASE and RMSSE over the change from one week to the next. `orange-juice-alone`: without any column beside.
- seoul-bike (seoul_bike_hourly.csv.gz): one series, 24 hours ahead from 28 midnights, fitted once before the first;
  weather, holiday and whether bicycles were let are known (the weather as it came: an upper bound).
  `seoul-bike-no-weather`: without the weather. MASE over the change from one week to the next.
- retail (data/prepared/retail.parquet of this checkout): 8 weeks ahead, three blocks, a fit each.
- car-parts (carparts_monthly_demand.csv): the complete series, the last 12 months; scaled by the season.

`new-products`: orange juice with every tenth (store, product) left out of the fits and forecast without its history.
`many-series` (only when it is named): 100,000 series of 104 weeks, made up; says seconds and the peak of memory too.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from dxai import metrics
from dxai.arithmetic import make_portable
from dxai.config.compose import find_checkout, settings_from
from dxai.contract import Column, Contract, Frequency
from dxai.contract.model import Kind, Role
from dxai.errors import DxaiError
from dxai.learn.demand import MEDIAN, DemandFold, DemandTask
from dxai.learn.families import task_for

SCORES = ("wql", "wape", "mase", "rmsse", "bias", "coverage", "bias_of_mean", "rmsse_of_mean")
MIDNIGHTS = 28


@dataclass(frozen=True)
class Set:
    """A panel with its forecast origins.

    Attributes:
        origins: Steps before the table's end at which a forecast begins.
        once: Whether one fit, before the first origin, serves all of them.
        lag: Of the naive forecast that scales MASE and RMSSE.
        zero: Whether closed steps count as true zeros.
        cold: Series that no fit sees, forecast from what is known beside their history.
    """

    name: str
    contract: Contract
    table: pl.DataFrame
    origins: tuple[int, ...]
    once: bool = False
    lag: int = 1
    zero: bool = False
    cold: frozenset[str] = frozenset()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", nargs="*", default=["trees"], help="such as 'trees model.rounds=100'")
    parser.add_argument("--sets", nargs="*", default=[name for name in SETS if name != "many-series"])
    parser.add_argument("--part", choices=("validation", "test"), default="test")
    parser.add_argument("--json", action="store_true", help="one line per set and model")
    options = parser.parse_args()
    for name in options.sets:
        try:
            measured = SETS[name](options.data)
        except FileNotFoundError as missing:
            print(f"{name}: left out, {missing.filename} is missing", file=sys.stderr)  # noqa: T201
            continue
        if options.part == "validation":
            back = len(measured.origins) * measured.contract.horizon
            measured = replace(measured, origins=tuple(origin + back for origin in measured.origins))
        for model in options.model:
            print(told(measured, model, as_json=options.json), flush=True)  # noqa: T201


def told(measured: Set, model: str, *, as_json: bool) -> str:
    """One line: means over the origins, processor seconds of all."""
    begun = sum(os.times()[:4])
    scores = forecast(measured, model)
    if measured.name == "many-series":
        scores["peak_gb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2)
    seconds = round(sum(os.times()[:4]) - begun, 1)
    if as_json:
        return json.dumps({"set": measured.name, "model": model, "metrics": scores, "cpu_s": seconds})
    words = "  ".join(f"{name} {value:.4f}" for name, value in scores.items())
    return f"{measured.name:22} {model:22} {words}  {seconds} CPU s"


def forecast(measured: Set, model: str) -> dict[str, float]:
    """Scores of a model, means over the origins; a share of the demand over those with some (a closed day has none)."""
    words = ["experiment=demand", f"split.origins={len(measured.origins)}", *f"model={model}".split()]
    settings = settings_from(words, checkout=find_checkout())
    task = task_for(measured.contract, measured.table, settings)
    assert isinstance(task, DemandTask)
    cold = np.array([name in measured.cold for name in task.panel.ids])
    whole, fitted, found = task.panel, None, []
    for number, origin in enumerate(measured.origins):
        fold = DemandFold("rolling", number, origin)
        task.panel = whole.only(~cold)
        fitted = fitted if measured.once and fitted else task.fit(fold)[0].eval()
        task.panel = _without_history(whole.only(cold), origin) if cold.any() else whole
        held_out = task.held_out(fitted, fold)
        arrays = task.arrays(held_out, fold)
        truth, past = arrays.pop("truth"), whole.until(origin, task.frequency).values[cold | (not cold.any())]
        if measured.zero:
            truth, past = np.nan_to_num(truth, nan=0.0), np.nan_to_num(past, nan=0.0)
        known = {"truth": truth, "past": past, "prediction": arrays["quantiles"][..., MEDIAN]}
        found.append(metrics.score(SCORES, **arrays, **known, lag=measured.lag))
    return {name: round(float(np.nanmean([one[name] for one in found])), 5) for name in SCORES}


def _without_history(panel: Any, origin: int) -> Any:
    """The series as they were before anything was known of them."""
    values = panel.values.copy()
    values[:, : values.shape[1] - origin] = np.nan
    beside = {name: array.copy() for name, array in panel.beside.items()}
    for array in (a for a in beside.values() if a.ndim == 2 and a.dtype == np.float32):
        array[:, : values.shape[1] - origin] = np.nan
    return replace(panel, values=values, beside=beside)


# --- sets -------------------------------------------------------------------------------------------------------------


def column(name: str, role: Role, kind: Kind = "number", categories: Sequence[str] = ()) -> Column:
    """A column that needs no words."""
    low = 0.0 if role == "target" else None
    return Column(
        name=name, kind=kind, role=role, minimum=low, categories=tuple(categories), title_en=name, title_ko=name
    )


def contract(columns: Sequence[Column], frequency: Frequency, horizon: int, season: int, **more: Any) -> Contract:
    """Of a panel."""
    return Contract(
        id="panel", version="1.0.0", title_en="Panel", title_ko="판", purpose="measured", task="demand",
        columns=tuple(columns), frequency=frequency, horizon=horizon, season=season, **more,
    )  # fmt: skip


def orange_juice(folder: Path, *, beside: bool = True, cold: bool = False) -> Set:
    """Units of juice by store, product and week."""
    table = pl.read_csv(folder / "orange_juice_weekly.csv.gz", schema_overrides={"store": pl.String})
    table = table.with_columns(pl.col("week").str.to_date())
    parts = [table[name].unique().sort().to_list() if beside else () for name in ("store", "product")]
    columns = [
        column("store", "series", "category", parts[0]), column("product", "series", "category", parts[1]),
        column("week", "time", "date"), column("units", "target"),
    ]  # fmt: skip
    if beside:
        columns += [column(name, "known_future") for name in ("price_per_oz", "deal", "feature_ad")]
        columns += [column(name, "static") for name in table.columns if name.startswith("store_")]
    agreed = contract(columns, "weekly", 4, 52, minimum_history=0 if cold else 8)
    names = table.select(pl.concat_str("store", "product", separator="\x1f")).to_series().unique().sort()
    return Set(
        "new-products" if cold else "orange-juice" if beside else "orange-juice-alone", agreed, table, (12, 8, 4),
        cold=frozenset(names.gather_every(10).to_list()) if cold else frozenset(),
    )  # fmt: skip


WEATHER = (
    "temperature", "humidity", "wind_speed", "visibility", "dew_point", "solar_radiation", "rainfall", "snowfall",
)  # fmt: skip


def seoul_bike(folder: Path, *, weather: bool = True) -> Set:
    """Bicycles let in Seoul by the hour."""
    path = folder / "seoul_bike_hourly.csv.gz"
    table = pl.read_csv(path, infer_schema=False)
    names = ["date", "rented", "hour", *WEATHER, "seasons", "holiday", "functioning"]
    table = table.rename(dict(zip(table.columns, names, strict=True)))
    made = table.select(
        pl.lit("Seoul").alias("city"),
        (pl.col("date").str.to_datetime("%d/%m/%Y") + pl.duration(hours=pl.col("hour").cast(pl.Int64))).alias("time"),
        pl.col("rented", *WEATHER).cast(pl.Float64),
        (pl.col("holiday") == "Holiday").cast(pl.Float64),
        (pl.col("functioning") == "Yes").cast(pl.Float64).alias("open"),
    )
    columns = [
        column("city", "series", "category"), column("time", "time", "timestamp"), column("rented", "target"),
        *(column(name, "known_future" if weather else "ignore") for name in WEATHER), column("holiday", "known_future"),
        column("open", "open"),
    ]  # fmt: skip
    return Set(
        "seoul-bike" if weather else "seoul-bike-no-weather", contract(columns, "hourly", 24, 24, minimum_history=336),
        made, tuple(24 * day for day in range(MIDNIGHTS, 0, -1)), once=True, lag=168, zero=True,
    )  # fmt: skip


def retail(_: Path) -> Set:
    """Weekly units of a gift distributor."""
    path = find_checkout() / "data/prepared/retail.parquet"
    columns = [column("stock_code", "series", "category"), column("week", "time", "date"), column("units", "target")]
    agreed = contract(columns, "weekly", 8, 52, minimum_history=8, absent="zero")
    return Set("retail", agreed, pl.read_parquet(path), (24, 16, 8))


def car_parts(folder: Path) -> Set:
    """Monthly demand of spare parts, mostly none."""
    wide = pl.read_csv(folder / "carparts_monthly_demand.csv", infer_schema=False)
    wide = wide.filter(pl.all_horizontal(pl.all().is_not_null() & (pl.all() != "")))
    long = wide.unpivot(index="Part", variable_name="month", value_name="units")
    long = long.with_columns(
        pl.col("month").str.to_date("%b-%y", strict=False).fill_null(pl.col("month").str.to_date("%b-%d", strict=False))
        .dt.month_end(), pl.col("units").cast(pl.Float64),
    )  # fmt: skip
    columns = [column("Part", "series", "category"), column("month", "time", "date"), column("units", "target")]
    return Set("car-parts", contract(columns, "monthly", 12, 12, minimum_history=12), long, (12,), lag=12)


def many_series(_: Path) -> Set:
    """Level, season and noise of their own, 100,000 times."""
    count, steps = 100_000, 104
    random = np.random.default_rng(0)
    level = np.exp(random.normal(3, 1.5, (count, 1)))
    wave = 1 + 0.3 * np.sin(2 * np.pi * (np.arange(steps) + random.integers(0, 52, (count, 1))) / 52)
    units = random.poisson(level * wave).astype(np.float64)
    weeks = pl.date_range(pl.date(2023, 1, 1), pl.date(2024, 12, 22), "1w", eager=True)
    table = pl.DataFrame({
        "item": np.repeat(np.arange(count).astype(str), steps), "week": pl.concat([weeks] * count),
        "units": units.ravel(),
    })  # fmt: skip
    columns = [column("item", "series", "category"), column("week", "time", "date"), column("units", "target")]
    return Set("many-series", contract(columns, "weekly", 8, 52, minimum_history=8), table, (8,))


SETS: dict[str, Callable[[Path], Set]] = {
    "orange-juice": orange_juice,
    "orange-juice-alone": lambda folder: orange_juice(folder, beside=False),
    "new-products": lambda folder: orange_juice(folder, cold=True),
    "seoul-bike": seoul_bike,
    "seoul-bike-no-weather": lambda folder: seoul_bike(folder, weather=False),
    "retail": retail,
    "car-parts": car_parts,
    "many-series": many_series,
}
"""By name what reads it from a folder."""


if __name__ == "__main__":
    make_portable()
    try:
        main()
    except DxaiError as error:
        sys.exit(error.message())
