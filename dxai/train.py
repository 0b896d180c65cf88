"""Train: settings in, a run folder out."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

import polars as pl

from dxai.arithmetic import refuse_other
from dxai.config.settings import RunSettings
from dxai.errors import SettingsError
from dxai.files import whole_folder
from dxai.learn.devices import refuse_absent
from dxai.learn.families import AnyTask, refuse_idle_tasks, task_of
from dxai.learn.fitting import Epoch
from dxai.learn.tasks import Share, refuse_other_tasks, refuse_several_runs, together, told_by_the_first
from dxai.record.fits import Fits
from dxai.record.provenance import Provenance, provenance, run_fingerprint
from dxai.record.runs import Run
from dxai.record.seeding import settle
from dxai.record.tracking.sweeps import Job
from dxai.record.tracking.tracker import TrackedRun, Tracker
from dxai.record.unfinished import UnfinishedRun


class FitProgress(Protocol):
    """Told where a training stands."""

    def start(self, name: str, fits: int) -> None:
        """A run begins: so many fits."""

    def step(self, label: str, share: float, told: str) -> None:
        """So much of the fit of this label is done, and that is going on; several fits may go on at once."""


class Judge(Protocol):
    """Told what a training promises; may end it by an exception of its own."""

    def epoch(self, label: str, epoch: Epoch) -> None:
        """An epoch of the fit of this label has ended."""

    def fitted(self, task: AnyTask, label: str, predictor: Any) -> None:
        """The fit of this label has ended; it is not calibrated yet."""


def train(
    settings: RunSettings,
    folder: Path,
    checkout: Path,
    progress: FitProgress,
    *,
    resume: bool = False,
    judge: Judge | None = None,
    job: Job | None = None,
) -> Run:
    """Fit every fold and the model to release, predict the held-out rows, log to MLflow, write the run folder.

    Args:
        settings: All of the run's settings.
        folder: Where the run goes; takes its place whole, or not at all.
        checkout: Holds configs/, data/ and mlflow.db.
        progress: Told of fits and their steps.
        resume: Take up what an interrupted run of this folder has done; the result is that of an unbroken one.
        judge: Asked after every epoch and every fit whether to go on.
        job: Of the sweep that the run belongs to, for MLflow.

    Raises:
        DxaiError: Wrong settings or data, a diverged loss, an interruption; see the subclasses.
    """
    _refuse(settings)
    if job and settings.trainer.started_by == "slurm":
        refuse_several_runs()
    task, made_from = _prepared(settings, checkout)
    tracker = Tracker(checkout, settings.tracking)
    unfinished = UnfinishedRun(folder)
    with (
        unfinished.working(settings, made_from, checkout, resume=resume),
        whole_folder(folder) as work,
        tracker.run(settings, made_from, job) as tracked,
        together(settings.trainer) as share,
    ):
        share(run_fingerprint(settings, made_from))
        held_out = _fit_all(task, checkout, work, tracked, progress, unfinished, judge, share)
        Run.write(work, settings, made_from, held_out)
    return Run(folder)


def follow(settings: RunSettings, checkout: Path) -> None:
    """`train` in every task that SLURM has started but the first: take part in its fits, and leave nothing.

    Args:
        settings: The same as in the first task.
        checkout: The same too, or a copy.

    Raises:
        DxaiError: As `train`; also that this task's code, data or settings are not those of the first.
    """
    _refuse(settings)
    with together(settings.trainer) as share:
        first = share("")  # by now it has prepared the table
        task, made_from = _prepared(settings, checkout)
        if run_fingerprint(settings, made_from) != first:
            raise SettingsError(
                "This task's code, packages, settings or table are not those of the first task.", where=str(checkout),
                fix="Give all machines the same checkout and environment, on a file system that they share.",
            )  # fmt: skip
        folds = {fold.label: fold for fold in task.folds}
        while label := share(""):
            settle(settings.seed, settings.threads)
            with told_by_the_first(shared=True):
                task.fit(folds[label])


def _refuse(settings: RunSettings) -> None:
    refuse_other(settings.arithmetic)
    with told_by_the_first(shared=settings.trainer.started_by == "slurm"):
        refuse_other_tasks(settings.trainer)
        refuse_idle_tasks(settings)
    refuse_absent(settings.trainer)


def _prepared(settings: RunSettings, checkout: Path) -> tuple[AnyTask, Provenance]:
    settle(settings.seed, settings.threads)
    task = task_of(settings, checkout)
    return task, provenance(task.table, task.contract.fingerprint(), task.data_on_disk)


def _fit_all(
    task: AnyTask,
    checkout: Path,
    work: Path,
    tracked: TrackedRun,
    progress: FitProgress,
    unfinished: UnfinishedRun,
    judge: Judge | None,
    share: Share,
) -> pl.DataFrame:
    """Fit one predictor per fold, calibrate them by each other's tests, store and apply them.

    Returns:
        All held-out answers.
    """

    def step(label: str, share: float, told: str, epoch: Epoch | None) -> None:
        progress.step(label, share, told)
        if epoch:
            ended(label, epoch)

    def ended(label: str, epoch: Epoch) -> None:
        tracked.log_epoch(label, epoch)
        told_epochs.add((label, epoch.number))
        if judge:
            judge.epoch(label, epoch)

    fitted, told_epochs = dict[str, Any](), set[tuple[str, int]]()
    progress.start(task.settings.name, len(task.folds))
    with closing(Fits(task, checkout, step, unfinished, share).run()) as fits:
        for label, predictor, curve in fits:
            fitted[label] = predictor
            for epoch in curve:
                if (label, epoch.number) not in told_epochs:  # of before the run was resumed
                    ended(label, epoch)
            tracked.end_fit(label)
            if judge:
                judge.fitted(task, label, predictor)
    task.calibrate(fitted)
    for label, predictor in fitted.items():
        Run.write_predictor(work, label, predictor)
    return pl.concat([task.held_out(fitted[fold.label], fold) for fold in task.folds if fold.is_test])
