"""What a bundle predicts from what, as tables on the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from dxai.bundle.folder import Bundle
from dxai.bundle.manifest import MODEL
from dxai.contract import Column, Contract
from dxai.contract.signature import Signature, signature_of
from dxai.inference.graph import refuse_other_interface, walk


def show(bundle: Bundle) -> None:
    """Print name, purpose, score, inputs and outputs of a verified bundle."""
    manifest, contract = bundle.manifest, bundle.contract
    refuse_other_interface(walk(bundle.read(MODEL)), contract)
    console = Console()
    console.print(f"[bold]{manifest.name} {manifest.version}[/]  {contract.title_en} · {contract.title_ko}")
    console.print(contract.purpose)
    console.print(f"limits: {contract.limitations}")
    signature = signature_of(contract)
    console.print(_inputs(signature.reads))
    console.print(f"outputs: {_outputs(signature, contract)}", markup=False)
    scores = bundle.metrics["model"]
    console.print("held-out scores: " + ", ".join(f"{name} {value:.3g}" for name, value in scores.items()))
    if members := bundle.metrics.get("members"):
        console.print(_members(members))
    entry = manifest.files[MODEL]
    console.print(f"{MODEL}: {entry.size / 1e6:.2f} MB, sha256 {entry.sha256}")
    made_by = f"code sha256 {manifest.code[:16]}…" if manifest.code else f"commit {manifest.commit or 'unknown'}"
    console.print(f"made by {made_by}, of data sha256 {manifest.data_sha256[:16]}…")
    console.print(f"licence {bundle.terms.licence}. {bundle.terms.usage.en}", markup=False)
    signed = "signed" if bundle.signature else "not signed"
    console.print(f"all {len(manifest.files)} files are as released, {signed}")


def _outputs(signature: Signature, contract: Contract) -> str:
    """Outputs of the graph; of classes what each stands for."""
    first, *others = (tensor.name for tensor in signature.outputs)
    if not (texts := signature.texts(first)):
        return f"{', '.join([first, *others])}  [{contract.target.unit}]"
    told = ", ".join(f"{name} ({text})" for name, text in zip(others, texts, strict=True))
    return f"{first}, one of {', '.join(texts)}; probabilities {told}"


def _members(members: dict[str, dict[str, float]]) -> Table:
    table = Table(title="What it is made of", title_justify="left", box=None, pad_edge=False)
    for head in ("member", "weight", "loss alone", "loss without"):
        table.add_column(head, justify="left" if head == "member" else "right")
    for title, values in members.items():
        told = (f"{values[key]:+.1%}" if key in values else "" for key in ("alone", "without"))
        table.add_row(title, f"{values['weight']:.0%}", *told)
    return table


def _inputs(columns: tuple[Column, ...]) -> Table:
    table = Table(title="What a row holds", title_justify="left", box=None, pad_edge=False)
    table.add_column("column", no_wrap=True)
    for head in ("title", "unit", "range", "needed"):
        table.add_column(head)
    for c in columns:
        needed = "yes" if c.required else "may be missing"
        table.add_row(c.name, f"{c.title_ko} · {c.title_en}", c.unit, _range(c), needed)
    return table


def _range(column: Column) -> str:
    if column.kind == "category":
        return ", ".join(column.categories)
    low, high = ("" if v is None else f"{v:g}" for v in (column.minimum, column.maximum))
    return f"{low} … {high}" if low or high else ""
