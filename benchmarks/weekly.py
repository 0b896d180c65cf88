"""python -m benchmarks.weekly [--table data/prepared/retail.parquet]: how many held-out weeks the intervals hold.

The forecaster without training on weekly retail demand (1,609 products, 104 weeks), 8 and 13 weeks ahead, once with
weeks without a sale as zeros and once as missing. `WEEKLY` of dxai/networks/experts/intervals.py was chosen on the last
but one horizon, as near to 80 % as one number can be for both readings. Since then weeks with a zero among them are
counts, so that it says how wide the interval of missing weeks is. The last horizon was used for no choice.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from benchmarks.forecaster import BOUNDS, MEDIAN, Set, build, in_torch
from dxai import metrics
from dxai.arithmetic import make_portable

Floats = NDArray[np.float64]
HORIZONS = (8, 13)
SEASON = 52


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path, default=Path("data/prepared/retail.parquet"))
    table = parser.parse_args().table
    if not table.is_file():
        sys.exit(f"There is no {table}: python -m pipelines.prepare experiment=retail")
    torch.set_num_threads(1)
    for line in lines(units_of(table)):
        print(line, flush=True)  # noqa: T201


def units_of(table: Path) -> Floats:
    """Units by product and week ``[series, time]``, 0 where nothing was sold."""
    rows = pl.read_parquet(table).pivot("week", index="stock_code", values="units", sort_columns=True)
    return rows.drop("stock_code").fill_null(0.0).to_numpy().astype(np.float64)


def lines(units: Floats) -> Iterator[str]:
    """One for each reading, horizon and part."""
    for reading, values in (("zeros", units), ("missing", np.where(units == 0, np.nan, units))):
        for horizon in HORIZONS:
            for part, end in (("last but one", -horizon), ("last", None)):
                whole = values[:, :end]
                held = Set(reading, whole[:, :-horizon], whole[:, -horizon:], SEASON)
                yield f"{reading:8} {horizon:2} weeks, {part:13} {_scores(held)}"


def _scores(held: Set) -> str:
    made = in_torch(build(held))(held)[0]
    mase = metrics.mase(held.truth, made[..., MEDIAN], held.past, held.season)
    shares = (metrics.coverage(held.truth, made[..., i], made[..., -1 - i]) for i in (1, 0))
    told = (f"{share:.3f} of {BOUNDS[-1 - i] - BOUNDS[i]:.0%}" for i, share in zip((1, 0), shares, strict=True))
    return f"MASE {mase:.3f}  " + ", ".join(told)


if __name__ == "__main__":
    make_portable()
    main()
