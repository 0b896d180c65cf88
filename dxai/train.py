"""Train: settings in, a run folder out."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import polars as pl

from dxai.arithmetic import refuse_other
from dxai.config.settings import RunSettings
from dxai.files import whole_folder
from dxai.learn.families import AnyTask, task_of
from dxai.learn.module import Epoch
from dxai.record.provenance import provenance
from dxai.record.runs import Run
from dxai.record.seeding import settle
from dxai.record.tracking import Tracker


class FitProgress(Protocol):
    """Told where a training stands."""

    def start(self, name: str, fits: int, epochs: int) -> None:
        """A run begins: so many fits of so many epochs."""

    def fit(self, label: str) -> None:
        """One fit begins."""

    def epoch(self, epoch: Epoch) -> None:
        """One epoch of it is done."""


def train(settings: RunSettings, folder: Path, checkout: Path, progress: FitProgress) -> Run:
    """Fit every fold and the model to release, predict the held-out rows, log to MLflow, write the run folder.

    Args:
        settings: All of the run's settings.
        folder: Where the run goes; takes its place whole, or not at all.
        checkout: Holds configs/, data/ and mlflow.db.
        progress: Told of fits and epochs.

    Raises:
        DxaiError: Wrong settings or data, a diverged loss, an interruption; see the subclasses.
    """
    refuse_other(settings.arithmetic)
    settle(settings.seed, settings.threads)
    task = task_of(settings, checkout)
    made_from = provenance(task.table, task.contract.fingerprint())
    tracker = Tracker(checkout)
    with (
        whole_folder(folder) as work,
        tracker.run(settings, made_from) as run_id,
    ):
        held_out = _fit_all(task, work, tracker, run_id, progress)
        Run.write(work, settings, made_from, held_out)
    return Run(folder)


def _fit_all(task: AnyTask, work: Path, tracker: Tracker, run_id: str, progress: FitProgress) -> pl.DataFrame:
    """Fit one predictor per fold, calibrate them by each other's tests, store and apply them.

    Returns:
        All held-out answers.
    """
    settings, fitted = task.settings, dict[str, Any]()
    progress.start(settings.name, len(task.folds), settings.trainer.max_epochs)
    for fold in task.folds:
        progress.fit(fold.label)
        fitted[fold.label], curve = task.fit(fold, progress.epoch)
        tracker.log_curve(run_id, fold.label, curve)
    task.calibrate(fitted)
    for label, predictor in fitted.items():
        Run.write_predictor(work, label, predictor)
    return pl.concat([task.held_out(fitted[fold.label], fold) for fold in task.folds if fold.is_test])
