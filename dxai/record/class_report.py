"""The report of a run that predicts classes: scores, pictures, words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from dxai.learn.classification import ClassTask
from dxai.learn.predictor import ClassPredictor
from dxai.metrics import METRICS, confusion
from dxai.record import class_figures, figures
from dxai.record.drift import drift_note
from dxai.record.explanations import explain
from dxai.record.findings import Findings
from dxai.record.members import members_sentence, members_table
from dxai.record.quality_report import score_table, what_leaks
from dxai.record.report import Figure, Report, Verdict


def class_report(made: Findings[ClassTask]) -> Report:
    """Draw the figures and put the report together."""
    task, scores, members = made.task, made.scores, made.scores.get("members", {})
    return Report(
        title=f"{task.contract.title_en}: {task.settings.model.name}",
        verdict=Verdict.of(METRICS["pr_auc"], "", scores),
        notes=(*members_sentence(made.scores), *_notes(made), *drift_note(task, scores)),
        scores=score_table(task, scores),
        figures=(
            *_draw(task, made.held_out.filter(split=task.split.kind), made.figures),
            *explain(
                made,
                change="fall of PR-AUC when the column is shuffled",
                answer="mean probability",
                lines=tuple(_labels(task)[0][number] for number in task.counted),
                score="change of the logarithm of the odds",
            ),
        ),
        facts=made.facts,
        members=members_table(members),
    )


def _notes(made: Findings[ClassTask]) -> tuple[str, ...]:
    task, scores, released = made.task, made.scores, made.released
    classes, model = task.contract.classes, scores["model"]
    shares = ", ".join(f"{text} {share:.1%}" for text, share in zip(classes, task.shares, strict=True))
    often = int(np.argmax(task.shares))
    of = "the mean over classes" if task.positive is None else f"that of the class {classes[task.positive]!r}"
    notes = [
        f"Classes among the rows: {shares}. Always saying {classes[often]!r} would be right in "
        f"{task.shares[often]:.1%} of them, so that accuracy alone says little.",
        f"PR-AUC, the area under the precision-recall curve, is {of}: "
        f"{scores['yardstick']['prior']['pr_auc']:.3f} for a guess, 1 for a perfect model.",
        _decision(task, released, made.held_out.filter(split=task.split.kind)),
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


def _decision(task: ClassTask, released: ClassPredictor, held_out: pl.DataFrame) -> str:
    threshold = task.threshold(released)
    if threshold is None or task.called is None:
        return "The predicted class is the most probable one."
    called = f"A row is called {task.contract.classes[task.called]!r} from a probability of {threshold:.1%} on: "
    if task.sensitivity is None:
        return f"{called}the threshold with the best F1 on rows that the network was not fitted on."
    truth, said = (held_out[name].cast(pl.Int64).to_numpy() == task.called for name in ("truth", "predicted"))
    found, alarms = said[truth].mean(), said[~truth].mean()
    return (
        f"{called}the contract asks for a sensitivity of {task.sensitivity:.0%}. With thresholds set likewise in "
        f"every fold, {found:.1%} of the held-out rows of that class were found, and {alarms:.1%} of the others were "
        "called so."
    )


def _draw(task: ClassTask, rows: pl.DataFrame, folder: Path) -> tuple[Figure, ...]:
    classes, probability = task.contract.classes, task.probabilities(rows)
    truth, predicted = (rows[name].cast(pl.Int64).to_numpy() for name in ("truth", "predicted"))
    labels, key = _labels(task)
    curves = {labels[c]: (truth == c, probability[:, c]) for c in task.counted}
    class_figures.confusion(folder / "confusion.png", confusion(truth, predicted, len(classes)), labels)
    class_figures.precision_recall_curves(folder / "precision_recall.png", curves)
    marks, told = (np.concatenate(parts) for parts in zip(*curves.values(), strict=True))
    class_figures.reliability(folder / "reliability.png", marks, told)
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
    )


def _labels(task: ClassTask) -> tuple[tuple[str, ...], str]:
    """The classes as a picture can show them, and what its caption must say of them.

    Classes that no font of this machine can draw go by their numbers, and the caption says which is which.
    """
    classes = task.contract.classes
    if all(figures.drawable(text, "") for text in classes):
        return classes, ""
    told = ", ".join(f"{i}: {text}" for i, text in enumerate(classes))
    return tuple(map(str, range(len(classes)))), f" {told}."
