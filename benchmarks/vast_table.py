"""python -m benchmarks.vast_table [--rows N] [--budget B]: `dxai train` of a table of a million rows, from its file.

16 numbers and 3 categories, of which some act together, and noise of .5. What a person types: a contract is drafted,
the file converted, the portfolio fitted on five folds and on all rows, the report written. Prints one JSON line:
seconds, processor seconds and peak of memory of all processes together, and the score. The promises at 1,000,000 rows
are 600 s and 6 GB on two cores.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl
import psutil  # type: ignore[import-untyped]

from dxai.config.compose import find_checkout

SECONDS, PEAK_GB = 600, 6.0
_DXAI = [sys.executable, "-c", "from dxai.cli.main import main; main()"]
_LOOK = 0.5


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--budget", default="standard")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(options.rows, options.budget, Path(folder))))  # noqa: T201


def measure(rows: int, budget: str, work: Path) -> dict[str, object]:
    """Seconds, processor seconds, gigabytes and score of one training."""
    table(rows).write_parquet(work / "vast.parquet")
    run(["data", "init", "vast.parquet", "--target", "y", "--name", "vast"], work)
    parts = ["-c", "vast/contract.yaml", "-m", "vast/mapping.yaml", "-o", "vast/table.parquet"]
    run(["data", "convert", "vast.parquet", *parts], work)
    words = [f"data={work / 'vast'}", f"budget={budget}", f"hydra.run.dir={work / 'run'}"]
    seconds, processor, peak = run(["train", *words], find_checkout())
    scores = json.loads((work / "run/evaluate/metrics.json").read_text("utf-8"))["model"]
    return {
        "rows": rows, "budget": budget, "wall_s": round(seconds), "cpu_s": round(processor), "peak_gb": round(peak, 2),
        **scores, "kept": seconds <= SECONDS and peak <= PEAK_GB,
    }  # fmt: skip


def run(words: list[str], folder: Path) -> tuple[float, float, float]:
    """Wall and processor seconds of a command and its peak of gigabytes, with those of all processes it starts."""
    begun, before, peak = time.monotonic(), os.times(), 0.0
    command = psutil.Popen([*_DXAI, *words], cwd=folder, stdout=subprocess.DEVNULL)
    while command.poll() is None:
        total = 0
        for process in [command, *_children(command)]:
            try:
                total += process.memory_info().rss
            except psutil.Error:  # it has just ended
                continue
        peak = max(peak, total / 1e9)
        time.sleep(_LOOK)
    if command.returncode:
        sys.exit(f"dxai {' '.join(words)} ended with {command.returncode}")
    after = os.times()
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    return time.monotonic() - begun, spent, peak


def table(rows: int, seed: int = 0) -> pl.DataFrame:
    """Numbers and categories, and a target that hangs on seven of them."""
    draw = np.random.default_rng(seed)
    x, categories = draw.normal(size=(rows, 16)), [draw.integers(0, levels, rows) for levels in (3, 8, 40)]
    y = x[:, 0] * x[:, 1] + np.sin(2 * x[:, 2]) + 0.5 * x[:, 3] + 1.5 * (categories[0] == 1) + 0.2 * categories[1]
    y += 0.05 * categories[2] * x[:, 4] + 0.5 * draw.normal(size=rows)
    numbers = {f"x{i}": x[:, i].round(4) for i in range(16)}
    texts = {f"c{i}": pl.Series(category).cast(pl.String) + "k" for i, category in enumerate(categories)}
    return pl.DataFrame({**numbers, **texts, "y": y.round(4)})


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return list(process.children(recursive=True))
    except psutil.Error:
        return []


if __name__ == "__main__":
    main()
