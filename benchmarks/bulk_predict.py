"""python -m benchmarks.bulk_predict [--rows N] [--repeats N]: `dxai predict` against a bare loop, side by side.

The bare loop is what nobody can do without: polars reads the file, ONNX Runtime runs over arrays that are already in
memory (1,024 rows a call, one thread), polars writes the answer. It checks nothing. `dxai predict` is the whole
command, in a process of its own: verification, decoding, contract, counts, a file that appears whole. Prints one JSON
line; the promise is a ratio of at most 1.5.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import onnxruntime
import polars as pl
from numpy.typing import NDArray

from dxai.bundle.folder import Bundle
from dxai.bundle.manifest import GOLDEN_ROWS, MODEL
from dxai.data.batch import RowCodec
from dxai.inference.model import ROWS_AT_ONCE

PROMISE = 1.5


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--bundle", type=Path, default=Path("models/concrete-strength"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(options.bundle, options.rows, options.repeats, Path(folder))))  # noqa: T201


def measure(folder: Path, rows: int, repeats: int, work: Path) -> dict[str, object]:
    """Seconds of both ways, taken in turns, and the ratio of their medians; how far the answers lie apart is told."""
    bundle, source = Bundle.open(folder), work / "rows.csv"
    header, *golden = bundle.read(GOLDEN_ROWS).decode().splitlines()
    numbered = (f"{number},{row}" for number, row in enumerate(islice(cycle(golden), rows)))
    source.write_text("\n".join([f"id,{header}", *numbered]) + "\n", "utf-8")
    session = _session(bundle.read(MODEL))
    arrays = RowCodec(bundle.contract).encode(pl.read_csv(source)).arrays
    bare, ours = [], []
    for _ in range(repeats):
        bare.append(_bare_loop(source, work / "bare.csv", session, arrays))
        ours.append(_command(folder, source, work / "ours.csv"))
    apart = _largest_difference(pl.read_csv(work / "bare.csv"), pl.read_csv(work / "ours.csv"))
    ratio = median(ours) / median(bare)
    return {
        "benchmark": "bulk_predict", "rows": rows, "bare_s": [round(s, 2) for s in bare],
        "dxai_s": [round(s, 2) for s in ours], "ratio": round(ratio, 2), "kept": ratio <= PROMISE,
        "largest_difference": apart,
    }  # fmt: skip


def _largest_difference(bare: pl.DataFrame, ours: pl.DataFrame) -> float:
    """Of any two numbers in the same place, as a share; the rows of a call decide a float32's last digit."""
    one, other = bare.to_numpy(), ours.select(bare.columns).to_numpy()
    return float((np.abs(one - other) / np.maximum(np.abs(one), 1)).max())


def _session(graph: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def _bare_loop(
    source: Path, target: Path, session: onnxruntime.InferenceSession, arrays: Mapping[str, NDArray[Any]]
) -> float:
    started = time.perf_counter()
    table, names = pl.read_csv(source), [output.name for output in session.get_outputs()]
    calls = range(0, len(table), ROWS_AT_ONCE)
    parts = [session.run(None, {n: a[i : i + ROWS_AT_ONCE] for n, a in arrays.items()}) for i in calls]
    columns = [
        pl.Series(name, np.concatenate(each)) for name, each in zip(names, zip(*parts, strict=True), strict=True)
    ]
    table.with_columns(columns).write_csv(target)
    return time.perf_counter() - started


def _command(bundle: Path, source: Path, target: Path) -> float:
    started = time.perf_counter()
    words = [
        str(Path(sys.executable).parent / "dxai"),
        "predict",
        str(bundle),
        str(source),
        "-o",
        str(target),
        "--unsigned",
    ]
    subprocess.run(words, check=True, capture_output=True, env=os.environ)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
