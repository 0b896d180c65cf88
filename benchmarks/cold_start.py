"""python -m benchmarks.cold_start [--repeats N]: how long a firm waits for the first answer of each command.

Publishes a released bundle with fresh keys, pulls it into an empty store, and times whole commands, each in a process
of its own: `dxai --help`, `dxai verify`, the first `dxai predict` after a pull (the careful loader tries the model in
its sandbox) and the next one (its verdict is remembered), and `dxai forecast` of 48 months. Prints one JSON line; the
promises stand beside the medians.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from dxai.bundle.manifest import GOLDEN_ROWS

PROMISES = {"help": 0.3, "verify": 1.0, "first_predict": 1.0, "forecast": 1.0}
NAME = "concrete-strength"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--bundle", type=Path, default=Path("models") / NAME)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(options.bundle.resolve(), options.repeats, Path(folder))))  # noqa: T201


def measure(bundle: Path, repeats: int, work: Path) -> dict[str, object]:
    """Medians in seconds."""
    os.environ["DXAI_HOME"] = str(work / "home")
    _timed(work, "keys", "init", "keys")
    _timed(work, "publish", str(bundle), "--catalog", "catalog", "--keys", "keys")
    _timed(work, "pull", NAME, "--from", "catalog", "--root", "keys/root.json", "--accept-terms")
    predict = ("predict", NAME, str(bundle / GOLDEN_ROWS), "-o", "out.csv")
    seconds: dict[str, list[float]] = {
        "help": [],
        "verify": [],
        "first_predict": [],
        "next_predict": [],
        "forecast": [],
    }
    months = [f"{2020 + month // 12}-{month % 12 + 1:02d}-01,{100 + month % 12}\n" for month in range(48)]
    (work / "sales.csv").write_text("month,sales\n" + "".join(months), "utf-8")
    for _ in range(repeats):
        seconds["help"].append(_timed(work, "--help"))
        seconds["verify"].append(_timed(work, "verify", NAME))
        shutil.rmtree(work / "home/checked", ignore_errors=True)
        seconds["first_predict"].append(_timed(work, *predict))
        seconds["next_predict"].append(_timed(work, *predict))
        seconds["forecast"].append(_timed(work, "forecast", "sales.csv", "-o", "forecast.csv"))
    medians = {name: round(median(values), 3) for name, values in seconds.items()}
    kept = all(medians[name] <= limit for name, limit in PROMISES.items())
    return {"benchmark": "cold_start", "seconds": medians, "promised": PROMISES, "kept": kept, "repeats": repeats}


def _timed(work: Path, *words: str) -> float:
    started = time.perf_counter()
    subprocess.run([str(Path(sys.executable).parent / "dxai"), *words], cwd=work, check=True, capture_output=True)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
