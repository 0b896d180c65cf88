"""Evaluate: a run folder in; metrics, pictures and a report out."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from dxai.config.settings import RunSettings
from dxai.contract.terms import Terms
from dxai.data.table import terms_of_data
from dxai.files import whole_folder
from dxai.learn.families import AnyTask, task_of
from dxai.record.findings import Facts, Findings
from dxai.record.members import members_of, speed_of
from dxai.record.report import Report
from dxai.record.reports import REPORTS
from dxai.record.runs import Run
from dxai.record.seeding import settle
from dxai.record.tracking.tracker import Tracker


@dataclass(frozen=True)
class Evaluation:
    """Where the evaluation lies and what it says."""

    folder: Path
    scores: dict[str, Any]
    report: Report


def evaluate(run: Run, folder: Path, checkout: Path, now: RunSettings | None = None) -> Evaluation:
    """Score held-out predictions against truths and yardsticks; write metrics.json, plots, figures and the report.

    Args:
        run: As `dxai.train.train` left it.
        folder: Where the evaluation goes; takes its place whole, or not at all.
        checkout: Holds configs/, data/ and mlflow.db.
        now: Takes the place of the run's own settings where they do not concern training.

    Raises:
        DataError: The table is not the one that the run was trained on.
    """
    settings = run.settings_now(now)
    settle(settings.seed, settings.threads)
    task = task_of(settings, checkout)
    run.refuse_other_table(task.table, task.data_on_disk)
    held_out, scores = run.held_out, task.scores(run.held_out)
    with whole_folder(folder) as work:
        (work / "figures").mkdir()
        facts = _facts(task, run, terms_of_data(settings.data, checkout))
        made = Findings(task, run, held_out, scores, facts, work / "figures")
        if members := members_of(made.released):
            scores |= {"members": members, "speed": speed_of(made.released)}
        report = REPORTS[task.contract.family](made)
        report.write(work)
        _write_plots(task, held_out, work / "plots")
        (work / "metrics.json").write_text(json.dumps(_rounded(scores), indent=2) + "\n", "utf-8")
    _log(run, settings, folder, scores, checkout)
    return Evaluation(folder, scores, report)


def _facts(task: AnyTask, run: Run, terms: Terms) -> Facts:
    settings, made_from = task.settings, run.provenance
    versions = ", ".join(f"{name} {number}" for name, number in made_from.packages.items())
    return (
        ("data", f"{settings.data.name}: {task.told_rows}{_left_out(task)}, {terms.licence}"),
        ("source", terms.citation),
        ("rows, sha256", made_from.data),
        ("contract", f"{task.contract.id} {task.contract.version}"),
        ("model", ", ".join(f"{k} {v}" for k, v in settings.model.model_dump().items())),
        ("trainer", ", ".join(f"{k} {v}" for k, v in settings.trainer.model_dump().items())),
        ("split", ", ".join(f"{k} {v}" for k, v in settings.split.model_dump().items())),
        ("seed", str(settings.seed)),
        ("versions", versions),
    )


def _left_out(task: AnyTask) -> str:
    return f", {task.left_out:,} {task.left_out_as} left out" if task.left_out else ""


def _write_plots(task: AnyTask, held_out: pl.DataFrame, folder: Path) -> None:
    """Numbers behind two pictures, for `dvc plots`."""
    folder.mkdir()
    for name, frame in task.plots(held_out).items():
        frame.write_csv(folder / f"{name}.csv", float_precision=4)


def _rounded(scores: dict[str, Any]) -> dict[str, Any]:
    """Six significant digits: differences below that are noise in a diff."""
    return {k: _rounded(v) if isinstance(v, dict) else float(f"{v:.6g}") for k, v in scores.items()}


def _log(run: Run, settings: RunSettings, folder: Path, scores: dict[str, Any], checkout: Path) -> None:
    with Tracker(checkout, settings.tracking).earlier(run.settings.data.name, run.fingerprint) as tracked:
        tracked.log_scores(scores)
        tracked.log_folder(folder, "report")
