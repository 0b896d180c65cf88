"""The report of a quality run: scores, pictures, words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from dxai.contract.signature import COVERAGE
from dxai.learn.regression import RegressionTask
from dxai.learn.rows import RowTask
from dxai.metrics import METRICS
from dxai.record import figures
from dxai.record.drift import coverage_over_time, drift_note
from dxai.record.explanations import explain
from dxai.record.findings import Findings
from dxai.record.members import members_sentence, members_table
from dxai.record.report import Figure, Report, Table, Verdict


def quality_report(made: Findings[RegressionTask]) -> Report:
    """Draw the figures and put the report together."""
    task, target, members = made.task, made.task.contract.target, made.scores.get("members", {})
    held_out = made.held_out.filter(split=task.split.kind)
    return Report(
        title=f"{task.contract.title_en}: {task.settings.model.name}",
        verdict=Verdict.of(METRICS["rmse"], target.unit, made.scores),
        notes=(*members_sentence(made.scores), *_notes(task, made.scores), *drift_note(task, made.scores)),
        scores=score_table(task, made.scores),
        figures=(
            *_draw(task, held_out, made.figures),
            *coverage_over_time(task, held_out, made.figures),
            *explain(
                made,
                change=f"rise of RMSE when the column is shuffled [{target.unit}]",
                lines=(),
                answer=f"mean prediction [{target.unit}]",
                score=f"change of the prediction [{target.unit}]",
            ),
        ),
        facts=made.facts,
        members=members_table(members),
    )


def score_table(task: RowTask[Any], scores: dict[str, Any]) -> Table:
    """The model, its yardsticks and, where there is one, its score on the split that leaks."""
    named = {f"{task.settings.model.name} (this model)": scores["model"]}
    named |= {f"yardstick: {name}": score for name, score in scores["yardstick"].items()}
    if "random_split" in scores:
        named["this model, random split (leaks)"] = scores["random_split"]
    first = f"mean of {len(task.honest)} {task.split.kind} folds"
    return Table.of_scores(first, task.metrics, named, task.contract.target.unit)


def _notes(task: RegressionTask, scores: dict[str, Any]) -> tuple[str, ...]:
    model, unit = scores["model"], task.contract.target.unit
    notes = [
        f"The {COVERAGE:.0%} interval covers {model['coverage']:.0%} of held-out rows "
        f"and is {model['width']:.3g} {unit} wide on average."
    ]
    if twin := scores.get("random_split"):
        notes.append(
            f"Scored on a random split the RMSE would read {twin['rmse']:.3g} {unit} ({-twin['rmse_gap']:+.2g}): "
            f"{what_leaks(task)}"
        )
    return tuple(notes)


def what_leaks(task: RowTask[Any]) -> str:
    """Why the score of a random split is not honest."""
    if task.split.kind == "ordered":
        reason = "rows made just before and after a test row would be known"
    else:
        reason = f"rows of one group ({', '.join(task.contract.group)}) would stand on both sides"
    return f"{reason}. Only the {task.split.kind} figure is honest."


def _draw(task: RegressionTask, rows: pl.DataFrame, folder: Path) -> tuple[Figure, ...]:
    target = task.contract.target
    truth, prediction, lower, upper = (rows[c].to_numpy() for c in ("truth", "prediction", "lower", "upper"))
    label, unit = figures.drawable(target.title_en.lower(), target.name), target.unit
    figures.predicted_true(folder / "predicted_true.png", truth, prediction, label=label, unit=unit)
    figures.residuals(folder / "residuals.png", truth, prediction, label=label, unit=unit)
    figures.coverage_by_size(folder / "coverage.png", truth, prediction, lower, upper, promised=COVERAGE, unit=unit)
    return (
        Figure(
            "predicted_true.png",
            "Predicted against true",
            "Every dot is a row that the network which predicts it did not see. On the line the prediction is right.",
        ),
        Figure(
            "residuals.png",
            "Residuals",
            "Left: errors should scatter evenly around zero at every prediction. Right: how they are distributed.",
        ),
        Figure(
            "coverage.png",
            "Coverage of the interval",
            "Fifths of the rows by prediction. Bars near the dashed line: the interval keeps its promise there.",
        ),
    )
