"""python -m benchmarks.check_rows [--rows N] [--repeats N]: `dxai data check` against pandera, side by side.

The same rules on the same rows, of CSV and of Parquet: 12 numbers with ranges, 4 categories with lists, 2 dates, a time
stamp and a key that no two rows share; some cells break them. pandera's backend for polars gets what it is best with:
columns that polars has already parsed to their types. `dxai data check` is the whole command. Each way runs in a
process of its own, whose peak of memory is told; both must find the same cells. Prints one JSON line; the promises are
a ratio of less than 1 and a peak below 2 GB.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import polars as pl

from dxai.data.output import write_table

RATIO, PEAK_MB = 1.0, 2_000
NUMBERS = [f"sensor_{i:02d}" for i in range(1, 13)]
CATEGORIES = {f"state_{i}": [f"S{i}{letter}" for letter in "ABCDEFGH"[: 2 * i]] for i in range(1, 4)}
CATEGORIES |= {"verdict": ["good", "rework", "scrap"]}
DATES, STAMP, KEY = ["made", "tested"], "measured", "lot"
MINIMUM, MAXIMUM = -500.0, 500.0
_BLOCK, _EVERY = 250_000, 100_000
"""Rows of a block; in which one of so many rows breaks a rule."""


def main() -> None:
    """Measure and print, or be one of the two measured processes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--pandera", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.pandera:
        print(json.dumps(_pandera(options.pandera)))  # noqa: T201
        return
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(options.rows, options.repeats, Path(folder))))  # noqa: T201


def measure(rows: int, repeats: int, work: Path) -> dict[str, object]:
    """Seconds and peaks of memory of both ways, taken in turns, for each kind of file."""
    contract, found, kept = work / "lots.contract.yaml", dict[str, object](), True
    contract.write_text(json.dumps(_contract()))
    for kind in ("parquet", "csv"):
        table = work / f"lots.{kind}"
        write_table(_blocks(rows), table)
        check = ["-c", "from dxai.cli.main import main; main()", "data", "check", str(table), "-c", str(contract)]
        ours, theirs = list[_Run](), list[_Run]()
        for _ in range(repeats):
            ours.append(_run([*check, "--json"]))
            theirs.append(_run(["-m", "benchmarks.check_rows", "--pandera", str(table)]))
        ratio = median(run.seconds for run in ours) / median(run.seconds for run in theirs)
        same = _broken_cells(ours[0].answer) == theirs[0].answer
        kept &= same and ratio < RATIO and max(run.peak_mb for run in ours) < PEAK_MB
        found[kind] = {
            "file_mb": table.stat().st_size >> 20, "dxai": [run.told for run in ours],
            "pandera": [run.told for run in theirs], "ratio": round(ratio, 2), "same_cells_found": same,
        }  # fmt: skip
        table.unlink()
    return {"benchmark": "check_rows", "rows": rows, "columns": len(_schema()), **found, "kept": kept}


class _Run:
    """One process: what it answered, how long it took, how much memory it held at most."""

    def __init__(self, answer: Any, seconds: float, peak_mb: int) -> None:
        self.answer, self.seconds, self.peak_mb = answer, seconds, peak_mb

    @property
    def told(self) -> dict[str, float]:
        return {"seconds": round(self.seconds, 1), "peak_mb": self.peak_mb}


def _run(words: list[str]) -> _Run:
    """Run this Python; a shell of its own between, since the peak of children is that of the largest so far."""
    program = f"import json, resource, subprocess, sys; run = subprocess.run({[sys.executable, *words]!r}, stdout=-1)\n"
    program += "peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss\n"
    program += "print(json.dumps([run.returncode, peak, run.stdout.decode()]))"
    started = time.perf_counter()
    ran = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, env=os.environ)
    seconds = time.perf_counter() - started
    code, peak_kb, answer = json.loads(ran.stdout)
    assert code in (0, 6), ran.stderr
    return _Run(json.loads(answer), seconds, peak_kb >> 10)


# The rows


def _blocks(rows: int) -> Iterator[pl.DataFrame]:
    random = np.random.default_rng(0)
    for first in range(0, rows, _BLOCK):
        yield _block(random, first, min(_BLOCK, rows - first))


def _block(random: np.random.Generator, first: int, rows: int) -> pl.DataFrame:
    number = np.arange(first, first + rows)
    numbers = {name: np.round(random.normal(20 * i, 30, rows).clip(-490, 490), 3) for i, name in enumerate(NUMBERS)}
    numbers["sensor_03"][number % _EVERY == 17] = 1e6
    texts = {name: np.array(words)[random.integers(0, len(words), rows)] for name, words in CATEGORIES.items()}
    verdict = np.where(number % _EVERY == 99, "lost", texts.pop("verdict"))
    days = {name: pl.Series(random.integers(18_000, 20_000, rows).astype(np.int32)).cast(pl.Date) for name in DATES}
    stamp = pl.Series(1_600_000_000_000_000 + 1_000_000 * number).cast(pl.Datetime("us"))
    frame = pl.DataFrame(
        {
            KEY: np.where(number % _EVERY == 500, number - 1, number),
            **numbers,
            **texts,
            **days,
            STAMP: stamp,
            "verdict": verdict,
        }
    )
    gap = pl.Series(random.random(rows) < 0.01)
    return frame.with_columns(pl.when(~gap).then(pl.col(NUMBERS[0], NUMBERS[1])))


def _schema() -> dict[str, type[pl.DataType] | pl.DataType]:
    return {
        KEY: pl.Int64, **dict.fromkeys(NUMBERS, pl.Float64), **dict.fromkeys(list(CATEGORIES)[:-1], pl.String),
        **dict.fromkeys(DATES, pl.Date), STAMP: pl.Datetime("us"), "verdict": pl.String,
    }  # fmt: skip


# The rules, told to both


def _contract() -> dict[str, Any]:
    def column(name: str, kind: str, role: str, **more: Any) -> dict[str, Any]:
        told = [
            {"property": key, "value": value} for key, value in (("role", role), ("titleEn", name), ("titleKo", name))
        ]
        return {"name": name, "logicalType": kind, "customProperties": told, **more}

    def listed(words: list[str]) -> list[dict[str, Any]]:
        return [{"metric": "invalidValues", "mustBe": 0, "arguments": {"validValues": words}}]

    limits = {"minimum": MINIMUM, "maximum": MAXIMUM}
    columns = [column(KEY, "integer", "ignore", required=True, primaryKey=True)]
    columns += [
        column(name, "number", "feature", required=i > 1, logicalTypeOptions=limits) for i, name in enumerate(NUMBERS)
    ]
    columns += [
        column(name, "string", "target" if name == "verdict" else "feature", required=True, quality=listed(words))
        for name, words in CATEGORIES.items()
    ]
    columns += [column(name, "date", "ignore", required=True) for name in DATES]
    columns += [column(STAMP, "timestamp", "time", required=True)]
    titles = [{"property": "titleEn", "value": "Lots"}, {"property": "titleKo", "value": "로트"}]
    table = {"name": "lots", "logicalType": "object", "customProperties": [{"property": "task", "value": "quality"}]}
    return {
        "apiVersion": "v3.1.0", "kind": "DataContract", "id": "lots", "version": "1.0.0", "status": "active",
        "description": {"purpose": "Tell bad lots."}, "customProperties": titles,
        "schema": [{**table, "properties": columns}],
    }  # fmt: skip


def _broken_cells(answer: Any) -> dict[str, int]:
    """Cells that break a rule, by column, as `dxai data check --json` tells them."""
    found: dict[str, int] = {}
    for problem in answer["problems"]:
        found[problem["column"]] = found.get(problem["column"], 0) + problem["count"]
    return dict(sorted(found.items()))


def _pandera(table: Path) -> dict[str, int]:
    """Cells that break a rule, by column."""
    import pandera.polars as pa

    def between(low: Any, high: Any) -> pa.Check:
        return pa.Check.in_range(low, high)

    read = pl.read_parquet(table) if table.suffix == ".parquet" else pl.read_csv(table, schema_overrides=_schema())
    columns = {KEY: pa.Column(pl.Int64, unique=True)}
    columns |= {n: pa.Column(pl.Float64, between(MINIMUM, MAXIMUM), nullable=i < 2) for i, n in enumerate(NUMBERS)}
    columns |= {name: pa.Column(pl.String, pa.Check.isin(words)) for name, words in CATEGORIES.items()}
    columns |= {name: pa.Column(pl.Date) for name in DATES}
    columns |= {STAMP: pa.Column(pl.Datetime("us"), pa.Check.le(datetime.now()))}
    try:
        pa.DataFrameSchema(columns).validate(read, lazy=True)
    except pa.errors.SchemaErrors as errors:
        counts = dict(errors.failure_cases["column"].value_counts().iter_rows())
        counts[KEY] //= 2  # it tells the first of two equal keys as well
        return dict(sorted(counts.items()))
    return {}


if __name__ == "__main__":
    main()
