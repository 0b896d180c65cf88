"""The report of a run that predicts classes: scores, pictures, words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from dxai.inference.class_metrics import confusion
from dxai.learn.classification import ClassTarget
from dxai.learn.predictor import ClassPredictor
from dxai.learn.quality import QualityTask
from dxai.record import class_figures, figures
from dxai.record.quality_report import what_leaks
from dxai.record.report import Figure, Gain, Report, Table


def class_report(
    task: QualityTask, held_out: pl.DataFrame, scores: dict[str, Any], rises: dict[str, list[float]],
    released: ClassPredictor, facts: tuple[tuple[str, str], ...], folder: Path,
) -> Report:  # fmt: skip
    """Draw the figures into ``folder`` and put the report together.

    Args:
        task: The table and its folds.
        held_out: Held-out predictions of all splits.
        scores: Of `QualityTask.scores`.
        rises: Permutation importance per feature.
        released: The predictor that is released.
        facts: What made the run.
        folder: Gets the PNG files.
    """
    assert isinstance(task.target, ClassTarget)
    yardsticks = {name: score["pr_auc"] for name, score in scores["yardstick"].items()}
    return Report(
        title=f"{task.contract.title_en}: {task.settings.model.kind}",
        verdict=Gain.against_best("PR-AUC", "", scores["model"]["pr_auc"], yardsticks),
        notes=_notes(task, task.target, scores, released),
        scores=_score_table(task, scores),
        figures=_draw(task, task.target, held_out.filter(split=task.split.kind), rises, folder),
        facts=facts,
    )


def _notes(task: QualityTask, target: ClassTarget, scores: dict[str, Any], released: ClassPredictor) -> tuple[str, ...]:
    classes, model = task.contract.classes, scores["model"]
    shares = ", ".join(f"{text} {share:.1%}" for text, share in zip(classes, target.shares, strict=True))
    often = int(np.argmax(target.shares))
    of = "the mean over classes" if target.positive is None else f"that of the class {classes[target.positive]!r}"
    notes = [
        f"Classes among the rows: {shares}. Always saying {classes[often]!r} would be right in "
        f"{target.shares[often]:.1%} of them, so that accuracy alone says little.",
        f"PR-AUC, the area under the precision-recall curve, is {of}: "
        f"{scores['yardstick']['prior']['pr_auc']:.3f} for a guess, 1 for a perfect model.",
        _decision(target, classes, released),
        f"Probabilities are calibrated (temperature {float(released.temperature):.2f}): on held-out rows the shares "
        f"differ from them by {model['ece'] * 100:.1f} percentage points on average.",
        *_worthless(model["log_loss"], scores["yardstick"]["prior"]["log_loss"]),
    ]
    if twin := scores.get("random_split"):
        notes.append(
            f"Scored on a random split the PR-AUC would read {twin['pr_auc']:.3f} ({twin['pr_auc_gap']:+.3f}): "
            f"{what_leaks(task)}"
        )
    return tuple(notes)


def _worthless(log_loss: float, guess: float) -> tuple[str, ...]:
    """Told where the shares of the classes, said of every row, are the better probabilities."""
    if log_loss < guess:
        return ()
    told = f"log loss {log_loss:.3f} against {guess:.3f}. Do not act on them."
    return (f"The probabilities are worth less than the plain shares of the classes: {told}",)


def _decision(target: ClassTarget, classes: tuple[str, ...], released: ClassPredictor) -> str:
    threshold = target.threshold(released)
    if threshold is None or target.positive is None:
        return "The predicted class is the most probable one."
    return (
        f"A row is called {classes[target.positive]!r} from a probability of {threshold:.1%} on: "
        "the threshold with the best F1 on rows that the network was not fitted on."
    )


_HEADS = {
    "pr_auc": "PR-AUC", "log_loss": "log loss", "brier": "Brier", "ece": "calibration error",
    "balanced_accuracy": "balanced accuracy", "macro_f1": "macro F1", "accuracy": "accuracy",
}  # fmt: skip


def _score_table(task: QualityTask, scores: dict[str, Any]) -> Table:
    named = {f"{task.settings.model.kind} (this model)": scores["model"]}
    named |= {f"yardstick: {name}": score for name, score in scores["yardstick"].items()}
    if "random_split" in scores:
        named["this model, random split (leaks)"] = scores["random_split"]
    first = f"mean of {task.split.folds} {task.split.kind} folds"
    rows = tuple((name, *(f"{score[metric]:.3f}" for metric in _HEADS)) for name, score in named.items())
    return Table((first, *_HEADS.values()), rows)


def _draw(
    task: QualityTask, target: ClassTarget, rows: pl.DataFrame, rises: dict[str, list[float]], folder: Path
) -> tuple[Figure, ...]:
    classes, probability = task.contract.classes, target.probabilities(rows)
    truth, predicted = (rows[name].cast(pl.Int64).to_numpy() for name in ("truth", "predicted"))
    # Classes that no font of this machine can draw go by their numbers, and the caption says which is which.
    drawn = tuple(figures.drawable(text, "") for text in classes)
    labels = classes if all(drawn) else tuple(map(str, range(len(classes))))
    key = "" if labels == classes else " " + ", ".join(f"{i}: {text}" for i, text in enumerate(classes)) + "."
    curves = {labels[c]: (truth == c, probability[:, c]) for c in target.counted}
    class_figures.confusion(folder / "confusion.png", confusion(truth, predicted, len(classes)), labels)
    class_figures.precision_recall_curves(folder / "precision_recall.png", curves)
    marks, told = (np.concatenate(parts) for parts in zip(*curves.values(), strict=True))
    class_figures.reliability(folder / "reliability.png", marks, told)
    titles = {c.name: figures.drawable(c.title_en, c.name) for c in task.contract.columns}
    figures.importance(folder / "importance.png", rises, titles, change="fall of PR-AUC when the column is shuffled")
    return (
        Figure(
            "confusion.png",
            "Confusion matrix",
            f"Rows that the network did not see, by true and predicted class: on the diagonal it is right.{key}",
        ),
        Figure(
            "precision_recall.png",
            "Precision and recall",
            f"How many of the found are right, and how many of the class are found, at every threshold.{key}",
        ),
        Figure(
            "reliability.png",
            "Calibration of the probabilities",
            "Left: on the line, of rows with a probability of 30 % three in ten are of the class. "
            "Right: how often which probability was predicted.",
        ),
        Figure(
            "importance.png",
            "Permutation importance",
            "How much worse held-out predictions become when one column is shuffled; "
            "the grey line is the spread over folds and shuffles.",
        ),
    )
