"""One report per run, as a single HTML file and as Markdown with its figures beside it."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined


@dataclass(frozen=True)
class Table:
    """Rows of text under column heads; the first column names the row."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Figure:
    """A picture in the report's figures/ folder and the sentence that says how to read it."""

    file: str
    title: str
    caption: str


@dataclass(frozen=True)
class Report:
    """What a person reads after a run.

    Attributes:
        verdict: One plain sentence: does the model beat its yardstick?
        beats: The same as a truth value.
        notes: Further sentences a reader must not miss.
        facts: Data, settings, commit; key and value.
    """

    title: str
    verdict: str
    beats: bool
    notes: tuple[str, ...]
    scores: Table
    figures: tuple[Figure, ...]
    facts: tuple[tuple[str, str], ...]

    def write(self, folder: Path) -> None:
        """Write report.html (pictures inside) and report.md (pictures linked) into ``folder``."""
        pictures = {f.file: base64.b64encode((folder / "figures" / f.file).read_bytes()).decode() for f in self.figures}
        for name in ("report.html", "report.md"):
            text = _templates().get_template(f"{name}.j2").render(report=self, pictures=pictures)
            (folder / name).write_text(text, "utf-8")


def verdict(model: float, yardsticks: dict[str, float], *, metric: str, unit: str = "") -> tuple[bool, str]:
    """Whether the model beats its best yardstick, and the sentence that says so; smaller is better.

    >>> verdict(5.0, {"mean": 16.0, "linear": 10.0}, metric="RMSE", unit="MPa")[1]
    'The model beats its best yardstick: RMSE 5.00 MPa against 10.0 MPa of linear, 50 % less.'
    """
    name = min(yardsticks, key=lambda key: yardsticks[key])
    best, behind = yardsticks[name], f" {unit}" if unit else ""
    told = f"{metric} {model:#.3g}{behind} against {best:#.3g}{behind} of {name}, {abs(model - best) / best * 100:.0f} %"
    if model < best:
        return True, f"The model beats its best yardstick: {told} less."
    return False, f"The model does NOT beat its best yardstick: {told} more. Use the yardstick instead."


def _templates() -> Environment:
    return Environment(
        loader=PackageLoader("dxai.record", "."),
        autoescape=lambda name: bool(name and ".html" in name),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
