"""The report of a quality run: scores, pictures, words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from dxai.learn.metrics import COVERAGE
from dxai.learn.quality import QualityTask
from dxai.record import figures
from dxai.record.report import Figure, Report, Table, Verdict


def quality_report(
    task: QualityTask, held_out: pl.DataFrame, scores: dict[str, Any], rises: dict[str, list[float]],
    facts: tuple[tuple[str, str], ...], folder: Path,
) -> Report:  # fmt: skip
    """Draw the figures into ``folder`` and put the report together.

    Args:
        task: The table and its folds.
        held_out: Held-out predictions of all splits.
        scores: Of `QualityTask.scores`.
        rises: Permutation importance per feature.
        facts: What made the run.
        folder: Gets the PNG files.
    """
    target = task.contract.target
    model, yardsticks = scores["model"], scores["yardstick"]
    best = Verdict.against_best("RMSE", target.unit, model["rmse"], {k: v["rmse"] for k, v in yardsticks.items()})
    return Report(
        title=f"{task.contract.title_en}: {task.settings.model.kind}",
        verdict=best,
        notes=_notes(task, scores),
        scores=_score_table(task, scores),
        figures=_draw(task, held_out.filter(split=task.split.kind), rises, folder),
        facts=facts,
    )


def _notes(task: QualityTask, scores: dict[str, Any]) -> tuple[str, ...]:
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


def what_leaks(task: QualityTask) -> str:
    """Why the score of a random split is not honest."""
    if task.split.kind == "ordered":
        reason = "rows made just before and after a test row would be known"
    else:
        reason = f"rows of one group ({', '.join(task.contract.group)}) would stand on both sides"
    return f"{reason}. Only the {task.split.kind} figure is honest."


def _score_table(task: QualityTask, scores: dict[str, Any]) -> Table:
    unit, kind = task.contract.target.unit, task.settings.model.kind
    named = {f"{kind} (this model)": scores["model"]}
    named |= {f"yardstick: {name}": score for name, score in scores["yardstick"].items()}
    if "random_split" in scores:
        named["this model, random split (leaks)"] = scores["random_split"]
    first = f"mean of {task.split.folds} {task.split.kind} folds"
    head = (first, f"RMSE [{unit}]", f"MAE [{unit}]", "R²", "coverage (80 %)", f"width [{unit}]")
    return Table(head, tuple(_score_row(name, score) for name, score in named.items()))


def _score_row(name: str, score: dict[str, float]) -> tuple[str, ...]:
    interval = (f"{score['coverage']:.1%}", f"{score['width']:.1f}") if "coverage" in score else ("", "")
    return (name, f"{score['rmse']:.2f}", f"{score['mae']:.2f}", f"{score['r2']:.3f}", *interval)


def _draw(task: QualityTask, rows: pl.DataFrame, rises: dict[str, list[float]], folder: Path) -> tuple[Figure, ...]:
    target, titles = task.contract.target, {c.name: figures.drawable(c.title_en, c.name) for c in task.contract.columns}
    truth, prediction, lower, upper = (rows[c].to_numpy() for c in ("truth", "prediction", "lower", "upper"))
    label, unit = figures.drawable(target.title_en.lower(), target.name), target.unit
    figures.predicted_true(folder / "predicted_true.png", truth, prediction, label=label, unit=unit)
    figures.residuals(folder / "residuals.png", truth, prediction, label=label, unit=unit)
    figures.coverage_by_size(folder / "coverage.png", truth, prediction, lower, upper, promised=COVERAGE, unit=unit)
    change = f"rise of RMSE when the column is shuffled [{unit}]"
    figures.importance(folder / "importance.png", rises, titles, change=change)
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
        Figure(
            "importance.png",
            "Permutation importance",
            "How much worse held-out predictions become when one column is shuffled; "
            "the grey line is the spread over folds and shuffles.",
        ),
    )
