"""What a bundle predicts from what, as tables on the terminal."""

from __future__ import annotations

import json

from rich.console import Console
from rich.table import Table

from dxai.contract import Column
from dxai.ship.bundle import MODEL, Bundle
from dxai.ship.runtime import Model


def show(bundle: Bundle) -> None:
    """Print name, purpose, score, inputs and outputs of a verified bundle."""
    manifest, contract, model = bundle.manifest, bundle.contract, Model.load(bundle)
    console = Console()
    console.print(f"[bold]{manifest.name} {manifest.version}[/]  {contract.title_en} · {contract.title_ko}")
    console.print(contract.purpose)
    console.print(f"limits: {contract.limitations}")
    console.print(_inputs(contract.features if contract.task == "quality" else contract.columns))
    console.print(f"outputs: {', '.join(model.outputs)}  [{contract.target.unit}]", markup=False)
    scores = json.loads(bundle.read("metrics.json"))["model"]
    console.print("held-out scores: " + ", ".join(f"{name} {value:.3g}" for name, value in scores.items()))
    entry = manifest.files[MODEL]
    console.print(f"{MODEL}: {entry.size / 1e6:.2f} MB, sha256 {entry.sha256}")
    console.print(f"made from commit {manifest.commit or 'unknown'}, data sha256 {manifest.data_sha256[:16]}…")
    console.print(f"all {len(manifest.files)} files are as released")


def _inputs(columns: tuple[Column, ...]) -> Table:
    table = Table("column", "title", "항목", "unit", "range", "needed", title="What a row holds", title_justify="left")
    for c in columns:
        table.add_row(c.name, c.title_en, c.title_ko, c.unit, _range(c), "yes" if c.required else "may be missing")
    return table


def _range(column: Column) -> str:
    if column.kind == "category":
        return ", ".join(column.categories)
    low, high = ("" if v is None else f"{v:g}" for v in (column.minimum, column.maximum))
    return f"{low} … {high}" if low or high else ""
