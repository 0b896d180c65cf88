"""python -m pipelines.demo: reproduce two reference models, predict sample rows, say what to try next."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from dxai.api import load
from dxai.bundle.manifest import GOLDEN_ROWS
from dxai.config.compose import find_checkout
from dxai.data.output import write_table
from dxai.data.tables import read_blocks
from dxai.inference.predict import Prediction
from pipelines.tables import tasks

TASKS = ("concrete", "retail")


def demo() -> None:
    """Run the stages that are not up to date, then show what came of them."""
    checkout, console = find_checkout(), Console()
    reproduce(checkout, TASKS)
    shown = {task: tasks(checkout)[task] for task in TASKS}
    for item in shown.values():
        console.print(_predict_sample(checkout, item["bundle"]), highlight=False, soft_wrap=True)
    console.print(scores_table(checkout, shown))
    console.print(
        "\nTry next (source .venv/bin/activate first)\n"
        "  dxai inspect models/concrete-strength --unsigned\n"
        "  dxai train experiment=concrete budget=quick\n"
        "  make sectors\n"
        "  make ui",
        highlight=False,
        soft_wrap=True,
    )


def reproduce(checkout: Path, names: Sequence[str]) -> None:
    """Run what is not up to date of these tasks; where a stage fails, it has said why, and this ends with its code."""
    done = subprocess.run(["dvc", "repro", *(f"release@{name}" for name in names)], cwd=checkout, check=False)
    if done.returncode:
        sys.exit(done.returncode)


def scores_table(checkout: Path, shown: Mapping[str, Mapping[str, str]]) -> Table:
    """Score of every task beside its best baseline, as its evaluation has just measured them."""
    table = Table("task", "metric", "best baseline", "model", box=SIMPLE, pad_edge=False)
    table.add_column("bundle", no_wrap=True)
    for task, item in shown.items():
        table.add_row(*_row(checkout, task, item["bundle"]))
    return table


def _predict_sample(checkout: Path, name: str) -> str:
    """Predict the bundle's own sample rows as a member firm would; says where the answer lies."""
    folder, output = checkout / "models" / name, checkout / "runs" / f"{name}.csv"
    loaded = load(folder, unsigned=True)
    prediction = Prediction(loaded.model, loaded.bundle.profile)
    write_table(prediction.blocks(read_blocks(folder / GOLDEN_ROWS)), output)
    return f"models/{name}/{GOLDEN_ROWS} -> runs/{output.name}: {prediction.counts.written} predictions by ONNX Runtime"


def _row(checkout: Path, task: str, name: str) -> list[str]:
    summary = checkout / "runs/reference" / task / "evaluate/summary.json"
    verdict = json.loads(summary.read_text("utf-8"))["verdict"]
    metric = f"{verdict['metric']} [{verdict['unit']}]" if verdict["unit"] else verdict["metric"]
    yardstick = f"{verdict['yardstick']:#.3g} ({verdict['name']})"
    return [task, metric, yardstick, f"{verdict['model']:#.3g}", f"models/{name}"]


if __name__ == "__main__":
    demo()
