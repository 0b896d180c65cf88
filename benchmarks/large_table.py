"""python -m benchmarks.large_table [--rows N] [--in-memory M] [--model NAME]: a network trained from disk.

The table of `benchmarks.vast_table`, of more rows than are held in memory: `dxai train` writes them as numbers into a
file, fits two folds and the released model for one epoch of all rows each, block by block, and scores the rows in
memory. Prints one JSON line: seconds, processor seconds and the peak of memory of all processes together, to which the
page cache does not belong. Sizes: 1,000,000 rows beside the tests, 50,000,000 before a release; the promise is less
than 4 GB.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from benchmarks.vast_table import run, table
from dxai.config.compose import find_checkout
from dxai.data.output import write_table

PEAK_GB = 4.0
_BLOCK = 500_000


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--in-memory", type=int, default=200_000)
    parser.add_argument("--model", default="mlp")
    parser.add_argument(
        "--work", type=Path, help="where the table goes, 150 bytes a row; by default the system's place"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.work) as folder:
        print(json.dumps(measure(options.rows, options.in_memory, options.model, Path(folder))))  # noqa: T201


def measure(rows: int, in_memory: int, model: str, work: Path) -> dict[str, object]:
    """Seconds, processor seconds, gigabytes and score of one training."""
    sizes = [min(_BLOCK, rows - first) for first in range(0, rows, _BLOCK)]
    table(sizes[0]).write_parquet(work / "large.parquet")
    run(["data", "init", "large.parquet", "--target", "y", "--name", "large"], work)
    write_table((table(size, seed) for seed, size in enumerate(sizes)), work / "large/table.parquet")
    words = [
        f"data={work / 'large'}", f"data.rows_in_memory={in_memory}", f"model={model}", "split=random", "split.folds=2",
        "trainer.max_epochs=1", "trainer.epoch_batches=null", "trainer.batch_size=4096", "folds_at_once=1",
        f"hydra.run.dir={work / 'run'}",
    ]  # fmt: skip
    seconds, processor, peak = run(["train", *words], find_checkout())
    assert (work / "large/table.rows").is_dir(), "the rows were held in memory"
    scores = json.loads((work / "run/evaluate/metrics.json").read_text("utf-8"))["model"]
    return {
        "benchmark": "large_table", "rows": rows, "in_memory": in_memory, "model": model, "wall_s": round(seconds),
        "cpu_s": round(processor), "peak_gb": round(peak, 2), **scores, "kept": peak < PEAK_GB,
    }  # fmt: skip


if __name__ == "__main__":
    main()
