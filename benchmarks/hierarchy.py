"""python -m benchmarks.hierarchy --data FOLDER [--sets NAME …] [--model WORDS] [--origins N].

Sums of a demand model's forecasts by level, added up and reconciled, at rolling origins with a fit each:

- retail (data/prepared/retail.parquet of this checkout): total, groups by the first two characters of the stock code,
  1,609 products; 8 weeks ahead.
- orange-juice (orange_juice_weekly.csv.gz in FOLDER): total, 83 stores, 11 products each; 4 weeks ahead with prices.

WAPE of each way, mean over the origins but the first; the difference to adding up, with its standard error over those
origins. Reconciling by past errors learns from the origins before each.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.demand import SETS, column
from dxai.arithmetic import make_portable
from dxai.config.compose import find_checkout, settings_from
from dxai.contract import Contract
from dxai.learn.demand import DemandTask
from dxai.learn.families import task_for
from dxai.learn.levels import ALONE, BOTTOM_UP, SHRUNK, level_scores

WAYS = (BOTTOM_UP, "mint_width", SHRUNK, ALONE)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", nargs="*", default=["retail", "orange-juice"])
    parser.add_argument("--model", default="trees model.rows=40000")
    parser.add_argument("--origins", type=int, default=6)
    options = parser.parse_args()
    for name in options.sets:
        print(told(name, options.data, options.model, options.origins), flush=True)  # noqa: T201


def told(name: str, folder: Path, model: str, origins: int) -> str:
    """One line per level and way."""
    begun = sum(os.times()[:4])
    agreed, table = with_hierarchy(name, folder)
    words = ["experiment=demand", f"split.origins={origins}", *f"model={model}".split()]
    task = task_for(agreed, table, settings_from(words, checkout=find_checkout()))
    assert isinstance(task, DemandTask)
    tested = [fold for fold in task.folds if fold.is_test]
    found = task.origins(pl.concat([task.held_out(task.fit(fold)[0].eval(), fold) for fold in tested]))
    parts = [level_scores(task.hierarchy, found[:count], 0.0)["levels"] for count in range(2, origins + 1)]
    lines = [f"{name}, model={model}, {origins - 1} origins, {sum(os.times()[:4]) - begun:.0f} CPU s"]
    for level, known in parts[0].items():
        for way in (way for way in WAYS if way in known):
            wape, summed = (np.array([part[level][w]["wape"] for part in parts]) for w in (way, BOTTOM_UP))
            less = wape - summed
            error = less.std(ddof=1) / np.sqrt(len(less))
            lines.append(f"  {level:8} {way:12} WAPE {wape.mean():.4f}  {less.mean():+.4f} ± {error:.4f}")
        if "coverage" in known:
            held = np.mean([part[level]["coverage"] for part in parts])
            lines.append(f"  {level:8} of the sums inside their 80 % interval: {held:.2f}")
    return "\n".join(lines)


def with_hierarchy(name: str, folder: Path) -> tuple[Contract, pl.DataFrame]:
    """The contract and the table of a set, with levels."""
    measured: Any = SETS[name](folder)
    agreed, table = measured.contract, measured.table
    if name == "orange-juice":
        return agreed.model_copy(update={"hierarchy": ("store",)}), table
    table = table.with_columns(pl.col("stock_code").str.slice(0, 2).alias("range"))
    listed = table["range"].unique().sort().to_list()
    agreed = agreed.with_columns([*agreed.columns, column("range", "static", "category", listed)])
    return agreed.model_copy(update={"hierarchy": ("range",)}), table


if __name__ == "__main__":
    make_portable()
    main()
