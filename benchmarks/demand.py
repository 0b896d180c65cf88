"""python -m benchmarks.demand --data FOLDER [--model WORDS …] [--peers PYTHON] [--sets NAME …] [--part …] [--json].

Demand panels with what is known beside them: dxai's models as `dxai train` fits and calibrates them, one CPU thread;
after them, with the same origins, truths and scores, those of benchmarks/demand_peers.py in the environment of PYTHON
(`--model` without words: these alone). No forecast of theirs is below 0, and it is 0 where a step is closed.
FOLDER holds the public files; a set whose file is missing is left out. Each set has its last blocks as test and those
before them as validation, on which every choice was made:

- orange-juice (orange_juice_weekly.csv.gz): 83 stores x 11 products, 4 weeks ahead, three blocks, a fit each; price,
  deal and feature of the weeks ahead are known; store_* static; a week without a row is missing, neither trained on nor
  scored. MASE and RMSSE over the change from one week to the next. `orange-juice-alone`: without any column beside;
  `orange-juice-across`: with the price over that of the store's other products and how many of these are advertised.
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
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks import demand_peers
from dxai import metrics
from dxai.arithmetic import make_portable
from dxai.config.compose import find_checkout, settings_from
from dxai.contract import Column, Contract, Frequency
from dxai.contract.model import Kind, Role
from dxai.data.steps import dates_of, shifted
from dxai.data.windows import Panel
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
    parser.add_argument("--peers", type=Path, metavar="PYTHON", help="such as peers/bin/python")
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
        models = {model: partial(forecast, measured, model) for model in options.model}
        if options.peers and not measured.cold:
            models |= {peer: partial(forecast_elsewhere, measured, options.peers, peer) for peer in demand_peers.PEERS}
        for name, forecasting in models.items():
            if line := told(measured, name, forecasting, as_json=options.json):
                print(line, flush=True)  # noqa: T201


def told(measured: Set, model: str, forecasting: Callable[[], dict[str, float]], *, as_json: bool) -> str:
    """One line: means over the origins, processor seconds of all; none where there are no scores."""
    begun = sum(os.times()[:4])
    scores = forecasting()
    if not scores:
        return ""
    if measured.name == "many-series":
        scores["peak_gb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2)
    seconds = round(sum(os.times()[:4]) - begun, 1)
    if as_json:
        return json.dumps({"set": measured.name, "model": model, "metrics": scores, "cpu_s": seconds})
    words = "  ".join(f"{name} {value:.4f}" for name, value in scores.items())
    return f"{measured.name:22} {model:22} {words}  {seconds} CPU s"


def forecast(measured: Set, model: str) -> dict[str, float]:
    """Scores of a model, means over the origins; a share of the demand over those with some (a closed day has none)."""
    task = _task(measured, model)
    cold = np.array([name in measured.cold for name in task.panel.ids])
    whole, fitted, found = task.panel, None, []
    for number, origin in enumerate(measured.origins):
        fold = DemandFold("rolling", number, origin)
        task.panel = whole.only(~cold)
        fitted = fitted if measured.once and fitted else task.fit(fold)[0].eval()
        task.panel = _without_history(whole.only(cold), origin) if cold.any() else whole
        arrays = task.arrays(task.held_out(fitted, fold), fold)
        arrays["prediction"] = arrays["quantiles"][..., MEDIAN]
        found.append(_scored(measured, whole.only(cold) if cold.any() else whole, origin, arrays))
    return _means(found)


def _task(measured: Set, model: str) -> DemandTask:
    words = ["experiment=demand", f"split.origins={len(measured.origins)}", *f"model={model}".split()]
    task = task_for(measured.contract, measured.table, settings_from(words, checkout=find_checkout()))
    assert isinstance(task, DemandTask)
    return task


def _scored(measured: Set, panel: Panel, origin: int, said: dict[str, Any]) -> dict[str, float]:
    """Scores of one origin, for which ``prediction``, ``quantiles``, ``mean``, ``lower`` and ``upper`` suffice."""
    begin = panel.values.shape[1] - origin
    past, truth = panel.values[:, :begin], panel.values[:, begin : begin + measured.contract.horizon]
    if measured.zero:
        truth, past = np.nan_to_num(truth, nan=0.0), np.nan_to_num(past, nan=0.0)
    return metrics.score(SCORES, **(said | {"truth": truth, "past": past}), lag=measured.lag)


def _means(found: Sequence[dict[str, float]]) -> dict[str, float]:
    return {
        name: round(float(np.nanmean([one[name] for one in found])), 5) for name in SCORES if name in found[0]
    }  # fmt: skip


def forecast_elsewhere(measured: Set, python: Path, peer: str) -> dict[str, float]:
    """Scores of a peer, of what it says: without quantiles neither WQL nor coverage; none where it cannot be run."""
    contract, panel = measured.contract, _task(measured, "trees").panel
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number, origin in enumerate(measured.origins):
            _rows(contract, panel, origin).write_parquet(folder / f"{number}.parquet")
        columns = {
            "known": [c.name for c in contract.ahead], "static": [c.name for c in _static(contract)],
            "categories": [c.name for c in _static(contract) if c.kind == "category"],
        }  # fmt: skip
        about = {
            "origins": len(measured.origins), "once": measured.once, "series": len(panel.ids),
            "horizon": contract.horizon, "season": contract.season, **columns,
        }  # fmt: skip
        (folder / "about.json").write_text(json.dumps(about))
        ended = subprocess.run(
            [str(python), "-W", "ignore", demand_peers.__file__, name, peer], stdout=subprocess.DEVNULL
        )
        if ended.returncode:
            if ended.returncode != os.EX_UNAVAILABLE:
                print(f"{peer}: failed on {measured.name}, see above", file=sys.stderr)  # noqa: T201
            return {}
        said = np.load(folder / "said.npz")
        quantiles, mean = said["quantiles"], said["mean"]
    found = []
    for number, origin in enumerate(measured.origins):
        closed = _closed(contract, panel, origin)
        levels = np.maximum(quantiles[number], 0.0) * ~closed[..., None]
        arrays = {
            "prediction": levels[..., MEDIAN], "quantiles": levels, "lower": levels[..., 0], "upper": levels[..., -1],
            "mean": np.maximum(mean[number], 0.0) * ~closed,
        }  # fmt: skip
        given = {name: values for name, values in arrays.items() if np.isfinite(values).all()}
        found.append(_scored(measured, panel, origin, given))
    return _means(found)


def _rows(contract: Contract, panel: Panel, origin: int) -> pl.DataFrame:
    """What is known at an origin, a row for each series and step from its first value to the end of the horizon."""
    assert contract.frequency is not None  # checked when the contract was read
    past = panel.until(origin, contract.frequency)
    begin, end = past.values.shape[1], past.values.shape[1] + contract.horizon
    values = np.pad(past.values, ((0, 0), (0, contract.horizon)), constant_values=np.nan)
    series, step = np.nonzero(np.isfinite(values).cumsum(axis=1).astype(bool) | (np.arange(end) >= begin))
    dates = {
        last: [shifted(last, ahead, contract.frequency) for ahead in range(1 - begin, contract.horizon + 1)]
        for last in np.unique(past.last).tolist()
    }
    days = np.array([dates[last] for last in past.last.tolist()])[series, step]
    beside = {c.name: past.beside[c.name][series, step] for c in contract.ahead}
    beside |= {c.name: past.beside[c.name][series] for c in _static(contract)}
    rows = pl.DataFrame({"series": series, "step": step, "value": values[series, step], **beside}, nan_to_null=True)
    return rows.with_columns(dates_of(pl.Series("date", days), contract.frequency).cast(pl.Datetime("us")))


def _static(contract: Contract) -> list[Column]:
    return [column for column in contract.covariates if column.role in ("static", "series")]


def _closed(contract: Contract, panel: Panel, origin: int) -> Any:
    """Steps of the horizon ``[series, horizon]`` at which nothing is open."""
    begin = panel.values.shape[1] - origin
    closed = np.zeros((len(panel.ids), contract.horizon), bool)
    for column in (c for c in contract.ahead if c.role == "open"):
        closed |= panel.beside[column.name][:, begin : begin + contract.horizon] == 0
    return closed


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


def orange_juice(folder: Path, *, beside: bool = True, cold: bool = False, across: bool = False) -> Set:
    """Units of juice by store, product and week; ``across``: with what the store's other products cost."""
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
    if across:
        table = table.with_columns(**of_others(pl.col("price_per_oz").log(), pl.col("feature_ad")))
        columns += [column(name, "known_future") for name in ("over_others", "others_advertised", "over_cheapest")]
    agreed = contract(columns, "weekly", 4, 52, minimum_history=0 if cold else 8)
    names = table.select(pl.concat_str("store", "product", separator="\x1f")).to_series().unique().sort()
    return Set(
        "new-products" if cold else "orange-juice-across" if across else "orange-juice" if beside else
        "orange-juice-alone", agreed, table, (12, 8, 4),
        cold=frozenset(names.gather_every(10).to_list()) if cold else frozenset(),
    )  # fmt: skip


def of_others(price: pl.Expr, advertised: pl.Expr) -> dict[str, pl.Expr]:
    """What the other products of a store in a week have to do with one: a data step of one's own makes such columns."""
    place = ["store", "week"]
    lowest, second = price.min().over(place), price.bottom_k(2).max().over(place)
    return {
        "over_others": price - (price.sum().over(place) - price) / (price.count().over(place) - 1),
        "others_advertised": advertised.sum().over(place) - advertised,
        "over_cheapest": price - pl.when(price > lowest).then(lowest).otherwise(second),
    }


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
    "orange-juice-across": lambda folder: orange_juice(folder, across=True),
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
