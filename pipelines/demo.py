"""python -m pipelines.demo: reproduce both reference models, predict sample rows, say what to try next."""

import json
import subprocess
import sys
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

TASKS = {"concrete": "concrete-strength", "retail": "retail-demand"}


def demo() -> None:
    """Run the stages that are not up to date, then show what came of them."""
    checkout = find_checkout()
    done = subprocess.run(["dvc", "repro"], cwd=checkout, check=False)
    if done.returncode:
        sys.exit(done.returncode)
    table = Table("task", "metric", "best yardstick", "model", box=SIMPLE, pad_edge=False)
    table.add_column("bundle", no_wrap=True)
    for task, name in TASKS.items():
        table.add_row(*_row(checkout, task, name))
    console = Console()
    for name in TASKS.values():
        console.print(_predict_sample(checkout, name), highlight=False, soft_wrap=True)
    console.print(table)
    console.print(
        "\nTry next (source .venv/bin/activate first)\n"
        "  dxai inspect models/concrete-strength --unsigned\n"
        "  dxai train experiment=concrete budget=quick\n"
        "  make ui",
        highlight=False,
        soft_wrap=True,
    )


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
