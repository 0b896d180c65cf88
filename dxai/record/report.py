"""One report per run, as a single HTML file and as Markdown with its figures beside it."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from jinja2 import Environment, PackageLoader, StrictUndefined

from dxai.metrics import METRICS, Metric


@dataclass(frozen=True)
class Table:
    """Rows of text under column heads; the first column names the row."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    @classmethod
    def of_scores(cls, first: str, names: Sequence[str], scores: Mapping[str, Mapping[str, float]], unit: str) -> Table:
        """Scores by predictor and by metric; a cell is empty where a predictor has no such score.

        >>> Table.of_scores("mean of 5 folds", ["rmse", "coverage"], {"a": {"rmse": 6.194}}, "MPa")
        Table(head=('mean of 5 folds', 'RMSE [MPa]', 'coverage (80 %)'), rows=(('a', '6.19', ''),))
        """
        metrics = [METRICS[name] for name in names]
        rows = ((who, *(m.printed(s[m.name]) if m.name in s else "" for m in metrics)) for who, s in scores.items())
        return cls((first, *(m.title(unit) for m in metrics)), tuple(rows))


@dataclass(frozen=True)
class Figure:
    """A picture in the report's figures/ folder and the sentence that says how to read it."""

    file: str
    title: str
    caption: str


@dataclass(frozen=True)
class Verdict:
    """The model against its best yardstick, by the metric that leads.

    Attributes:
        metric: What people call it.
        unit: Of its values.
        model, yardstick: Its values.
        name: Of the yardstick.
        better: Which way is better.
    """

    metric: str
    unit: str
    model: float
    yardstick: float
    name: str
    better: Literal["less", "more", ""] = "less"

    @property
    def beats(self) -> bool:
        """Whether the model is better than the yardstick."""
        return self.model > self.yardstick if self.better == "more" else self.model < self.yardstick

    @property
    def sentence(self) -> str:
        """The same in plain words.

        >>> Verdict("RMSE", "MPa", model=5.0, yardstick=10.0, name="linear").sentence
        'The model beats its best yardstick: RMSE 5.00 MPa against 10.0 MPa of linear, 50 % less.'
        >>> Verdict("PR-AUC", "", model=0.8, yardstick=0.5, name="logistic", better="more").sentence
        'The model beats its best yardstick: PR-AUC 0.800 against 0.500 of logistic, 60 % more.'
        >>> Verdict("WQL", "", model=0.1, yardstick=0.0, name="naive").sentence
        'The model does NOT beat its best yardstick: WQL 0.100 against 0.00 of naive. Use the yardstick instead.'
        """
        behind = f" {self.unit}" if self.unit else ""
        ours, theirs = f"{self.model:#.3g}{behind}", f"{self.yardstick:#.3g}{behind}"
        told = f"{self.metric} {ours} against {theirs} of {self.name}"
        if self.yardstick:
            change = abs(self.model / self.yardstick - 1) * 100
            told += f", {change:.0f} % {'less' if self.model < self.yardstick else 'more'}"
        if self.beats:
            return f"The model beats its best yardstick: {told}."
        return f"The model does NOT beat its best yardstick: {told}. Use the yardstick instead."

    @classmethod
    def of(cls, metric: Metric, unit: str, scores: Mapping[str, Any]) -> Verdict:
        """Hold the model's score against the best of its yardsticks'."""
        yardsticks = {name: values[metric.name] for name, values in scores["yardstick"].items()}
        name, unit = metric.best(yardsticks), unit if metric.in_unit and unit not in ("1", "{unit}") else ""
        return cls(metric.en, unit, scores["model"][metric.name], yardsticks[name], name, metric.better)


@dataclass(frozen=True)
class Report:
    """What a person reads after a run.

    Attributes:
        verdict: Does the model beat its yardstick?
        notes: Further sentences a reader must not miss.
        facts: Data, settings, versions; key and value.
        members: Of a model of several, what each brings; None where there is one.
        levels: Of a demand contract with a hierarchy, scores of the sums; None elsewhere.
        groups: Scores of parts of the table, such as stores, one table for each way to part it.
    """

    title: str
    verdict: Verdict
    notes: tuple[str, ...]
    scores: Table
    figures: tuple[Figure, ...]
    facts: tuple[tuple[str, str], ...]
    members: Table | None = None
    levels: Table | None = None
    groups: tuple[Table, ...] = ()

    def write(self, folder: Path) -> None:
        """Write report.html (pictures inside), report.md (pictures linked) and summary.json into ``folder``."""
        pictures = {f.file: base64.b64encode((folder / "figures" / f.file).read_bytes()).decode() for f in self.figures}
        for name in ("report.html", "report.md"):
            text = templates().get_template(f"{name}.j2").render(report=self, pictures=pictures)
            (folder / name).write_text(text, "utf-8")
        summary = {**asdict(self), "sentence": self.verdict.sentence}
        (folder / "summary.json").write_text(json.dumps(summary, indent=2, ensure_ascii=False) + "\n", "utf-8")


def templates() -> Environment:
    """The pages of reports."""
    return Environment(
        loader=PackageLoader("dxai.record", "."),
        autoescape=lambda name: bool(name and ".html" in name),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
