"""Sweep: a space of settings in; a run folder per trial, the best of them and a report out."""

from __future__ import annotations

import json
import math
import os
import shlex
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from secrets import token_hex
from threading import Event, Thread
from typing import Any, Literal, Protocol

from dxai import metrics
from dxai.config.compose import settings_from, unused
from dxai.config.launchers import run_jobs
from dxai.config.settings import RunSettings
from dxai.config.sweep import sweep_plan
from dxai.data.own import with_own_data
from dxai.errors import (
    DataError,
    IntegrityError,
    InterruptedRunError,
    ModelError,
    NoSpaceError,
    NotFoundError,
    SettingsError,
    TrustError,
)
from dxai.evaluate import evaluate
from dxai.files import short, write_durably
from dxai.learn.families import AnyTask, task_of
from dxai.learn.fitting import Epoch
from dxai.record.report import Verdict
from dxai.record.runs import Run
from dxai.record.seeding import settle
from dxai.record.study import Claim, Study, Trial
from dxai.record.sweep_report import SweepFacts, write_report
from dxai.record.tracking.journal import store_name
from dxai.record.tracking.mlflow_store import flat
from dxai.record.tracking.sweeps import Job, Parent, Pruned, TrackedSweep
from dxai.record.tracking.tracker import Tracker, refuse_other_scheme
from dxai.record.unfinished import UnfinishedRun
from dxai.train import FitProgress, train

RECORD = "sweep.json"
"""Says what a sweep is about; a folder that holds it is one."""
_NOT_ITS_FAULT = (
    InterruptedRunError, NoSpaceError, NotFoundError, DataError, IntegrityError, TrustError, KeyboardInterrupt,
)  # fmt: skip
"""What ends a sweep and not a trial: the next trial would meet it too."""


_LOOKS = 1.0
"""Seconds between two looks at trials that run in jobs."""


class SweepProgress(Protocol):
    """Told where a sweep stands."""

    def at(self, done: int, trials: int, best: str) -> None:
        """So many trials have ended, and this is the best of them."""

    def trial(self) -> AbstractContextManager[FitProgress]:
        """A trial begins; what comes back is told of its fits."""

    def told(self, line: str) -> None:
        """How a trial has ended."""


@dataclass(frozen=True)
class Outcome:
    """What a sweep has found.

    Attributes:
        best: The best trial.
        verdict: Its score against its best yardstick.
        command: That trains it again.
        run: Its folder; None where it lies on another machine.
        report: Folder of the report.
        running: Trials that others still run.
    """

    best: Trial
    verdict: Verdict
    command: str
    run: Path | None
    report: Path
    running: int


class Sweep:
    """The folder of a sweep: ``sweep.json``, ``study.db``, a run folder per trial that ended, ``report/``.

    Args:
        folder: Of the sweep.
        checkout: Holds configs/, data/ and mlflow.db.

    Raises:
        NotFoundError: This is not the folder of a sweep.
    """

    def __init__(self, folder: Path, checkout: Path) -> None:
        if not (folder / RECORD).is_file():
            raise NotFoundError(
                "This is not the folder of a sweep.", where=str(folder),
                fix="Name a folder under runs/ that holds sweep.json, or `last`.",
            )  # fmt: skip
        self.folder, self.checkout = folder, checkout
        self.record: dict[str, Any] = json.loads((folder / RECORD).read_text("utf-8"))
        self.plan = sweep_plan(self.record["given"], checkout)

    @classmethod
    def begin(cls, words: Sequence[str], checkout: Path) -> Sweep:
        """A new sweep, in a folder of its own.

        Args:
            words: As a person gave them: overrides of a run, and ``sweep=NAME`` or ``sweep.KEY=…``.
            checkout: Holds configs/, data/ and mlflow.db.

        Raises:
            SettingsError: All that is wrong with the words or the space, before the first trial.
        """
        given = with_own_data(words, checkout)
        plan = sweep_plan(given, checkout)
        first = plan.first(checkout)
        refuse_other_scheme(first.tracking)
        task_of(first, checkout)  # refuses a model of another kind of task
        name = settings_from(plan.words, checkout=checkout).name
        folder = Path(unused(f"runs/{name}/sweep_{time.strftime('%Y-%m-%d_%H-%M-%S')}")).absolute()
        settings = plan.settings.model_dump(mode="json")
        record = {"words": list(words), "given": given, "sweep": settings, "place": token_hex(4)}
        write_durably(folder / RECORD, json.dumps(record, indent=2, ensure_ascii=False).encode())
        try:
            sweep = cls(folder, checkout)
            assert sweep.study
        except BaseException:
            shutil.rmtree(folder)
            for empty in (folder.parent, folder.parent.parent):
                with suppress(OSError):
                    empty.rmdir()
            raise
        return sweep

    @classmethod
    def newest(cls, checkout: Path) -> Sweep:
        """The sweep that was begun last and has no report.

        Raises:
            NotFoundError: There is none.
        """
        found = [file.parent for file in Path.cwd().glob(f"runs/**/{RECORD}")]
        for folder in sorted(found, key=lambda folder: -(folder / RECORD).stat().st_mtime_ns):
            if not (folder / "report").exists():
                return cls(folder, checkout)
        raise NotFoundError(
            "There is no unfinished sweep.", where=str(Path.cwd() / "runs"), fix="Begin one: dxai sweep sweep=NAME …"
        )

    @cached_property
    def _first(self) -> RunSettings:
        return self.plan.first(self.checkout)

    @cached_property
    def _task(self) -> AnyTask:
        return task_of(self._first, self.checkout)

    @cached_property
    def study(self) -> Study:
        """Its trials."""
        task, lead = self._task, self.lead
        epochs = self._first.trainer.max_epochs
        steps = epochs if task.watches else len(task.honest)
        origin = {
            "settings": json.dumps(list(self.plan.words)), "space": json.dumps(self.plan.settings.space),
            "metric": lead.name, "contract": task.contract.fingerprint(),
        }  # fmt: skip
        return Study(self.folder, self.record["place"], self.plan.settings, lead.better, steps, origin)

    @cached_property
    def _tracker(self) -> Tracker:
        return Tracker(self.checkout, self._first.tracking)

    @cached_property
    def _parent(self) -> Parent:
        """In MLflow: of this folder, or of the study that several machines share."""
        settings = self.plan.settings
        shared = settings.storage and settings.study
        key = store_name(f"{settings.storage} {settings.study}") if shared else self.record["place"]
        told = settings.model_dump(mode="json", exclude={"storage"})  # which may hold a password
        params = {f"sweep.{name}": str(value) for name, value in flat(told)}
        name = settings.study or f"{self.folder.parent.name}_{self.folder.name}"
        return Parent(self._first.data.name, f"sweep-{key}", name, self.lead, params)

    @property
    def arithmetic(self) -> str:
        """Of its trials."""
        return self._first.arithmetic

    @property
    def bundle(self) -> str:
        """As its best model would be called."""
        return self._first.release.bundle

    @property
    def lead(self) -> metrics.Metric:
        """The metric by which trials are compared."""
        return metrics.lead(self._task.contract.family)

    def run(self, progress: SweepProgress) -> Outcome:
        """Run trials until all are done, then write the report.

        Raises:
            InterruptedRunError: Says how to go on.
            ModelError: No trial has ended well.
            DxaiError: What would meet every trial, such as a missing table or a full disk.
        """
        try:
            with self._tracker.sweep(self._parent) as tracked:
                self._at(progress)
                if self.plan.launcher:
                    with self._watched(progress):
                        self._launch()
                self._at(progress)
                while self._next(progress):
                    self._at(progress)
                return self._outcome(tracked)
        except (InterruptedRunError, KeyboardInterrupt):
            done = len(self.study.trials)
            raise InterruptedRunError(
                f"The sweep was interrupted; {done} of {self.plan.settings.trials} trials are done and kept.",
                fix=f"Give the command `dxai sweep --resume {short(self.folder)}`: it goes on from there.",
            ) from None

    def _next(self, progress: SweepProgress) -> bool:
        """Run one trial; whether there was one."""
        with self.study.claim() as claim:
            if claim is None:
                return False
            begun = time.monotonic()
            state: Literal["ended", "pruned", "failed"]
            note: dict[str, Any]
            try:
                with progress.trial() as fits:
                    verdict = self._verdict(self._run(claim, fits))
            except _NOT_ITS_FAULT:
                raise
            except Pruned:
                state, value, note = "pruned", None, {}
            except Exception as error:  # whatever a setting brings about is the trial's result
                state, value, note = "failed", None, {"problem": getattr(error, "problem", "") or repr(error)}
            else:
                state, value, note = "ended", verdict.model, {"verdict": asdict(verdict)}
            if state != "ended":
                shutil.rmtree(self.folder / str(claim.number), ignore_errors=True)
            seconds = time.monotonic() - begun
            note["seconds"] = round(seconds, 1)
            self.study.tell(claim, state, value, note)
            progress.told(self._line(Trial(claim.number, state, value, claim.parameters, note)))
        return True

    def _line(self, trial: Trial) -> str:
        value, note = trial.value, trial.note
        words = f"{self.lead.en} {self.lead.printed(value)}" if value is not None else note.get("problem", trial.state)
        told = ", ".join(f"{key}={_printed(v)}" for key, v in trial.parameters.items())
        return f"trial {trial.number}: {words}  ({told}; {note['seconds']:.0f} s)"

    def _launch(self) -> None:
        """Run trials in jobs of the launcher until none is left.

        A job that dies may take others with it, so each trial that is lost is tried once more, alone; one that is lost
        again has failed.
        """
        while (left := self.plan.settings.trials - len(self.study.trials)) > 0:
            begun, problem = self._batch(min(self.plan.settings.jobs or 2, left))
            lost = self.study.lost()
            for number in lost:
                _, problem = self._batch(1)
                if number in self.study.lost():
                    self._give_up(number, problem)
            if problem and not begun and not lost:
                raise SettingsError(
                    f"The launcher has run no trial: {problem}", where=" ".join(self.plan.launcher),
                    fix="Correct its keys, or leave the launcher out.",
                )  # fmt: skip
            if not begun and not lost:  # all are given; the last ones run elsewhere
                return

    def _batch(self, jobs: int) -> tuple[bool, str]:
        """Run as many jobs; whether a trial has ended, and what the launcher said where a job died."""
        before = len(self.study.trials)
        try:
            job = _Job(self.folder, self.checkout, Path.cwd())
            returned = run_jobs(job, jobs, self.plan.launcher, self.folder / ".jobs", self.checkout)
        except Exception as error:  # of whatever launcher
            told = str(error).strip().splitlines() or [""]
            return len(self.study.trials) > before, f"{type(error).__name__}: {told[0]}"
        for ended in returned:
            if ended is not None:
                raise ended
        return len(self.study.trials) > before, ""

    def _give_up(self, number: int, problem: str) -> None:
        with self.study.claim() as claim:
            if claim is not None and claim.number == number:
                shutil.rmtree(self.folder / str(number), ignore_errors=True)
                note = {"problem": f"Its job has died twice. {problem}".strip(), "seconds": 0.0}
                self.study.tell(claim, "failed", None, note)

    @contextmanager
    def _watched(self, progress: SweepProgress) -> Iterator[None]:
        """Tell of trials that end in other processes while the block runs."""
        told, ended = {trial.number for trial in self.study.trials}, Event()

        def tell() -> None:
            for trial in self.study.trials:
                if trial.number not in told:
                    told.add(trial.number)
                    progress.told(self._line(trial))
                    self._at(progress)

        def work() -> None:
            while not ended.wait(_LOOKS):
                tell()

        thread = Thread(target=work, name="trials", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            tell()

    def _run(self, claim: Claim, fits: FitProgress) -> Run:
        """The finished run of a trial: as it is, resumed, or trained anew."""
        folder = self.folder / str(claim.number) / "train"
        unfinished = UnfinishedRun(folder)
        if (folder / "run.json").is_file() and not unfinished.exists:
            return Run(folder)
        settings = settings_from(self.plan.trial(claim.parameters), checkout=self.checkout)
        judge, job = _Judge(claim), Job(self._parent, str(claim.number))
        if unfinished.exists:
            try:
                return train(settings, folder, self.checkout, fits, resume=True, judge=judge, job=job)
            except SettingsError:  # the code has changed since: the same parameters, from the start
                pass
        return train(settings, folder, self.checkout, fits, judge=judge, job=job)

    def _verdict(self, run: Run) -> Verdict:
        """The mean of the lead metric over the honest folds, against the best yardstick.

        Raises:
            ModelError: It is no number.
        """
        settings = run.settings
        settle(settings.seed, settings.threads)
        task = task_of(settings, self.checkout)
        verdict = Verdict.of(self.lead, task.contract.target.unit, task.scores(run.held_out))
        if not math.isfinite(verdict.model):
            raise ModelError(f"{self.lead.en} is {verdict.model}.")
        with self._tracker.earlier(settings.data.name, run.fingerprint) as tracked:
            tracked.log_scores({"model": {self.lead.name: verdict.model}})
        return verdict

    def _at(self, progress: SweepProgress) -> None:
        best = self.study.best
        told = "" if best is None or best.value is None else f"best {self.lead.printed(best.value)} ({best.number})"
        progress.at(len(self.study.trials), self.plan.settings.trials, told)

    def _outcome(self, tracked: TrackedSweep) -> Outcome:
        trials, best = self.study.trials, self.study.best
        if best is None:
            problems = [trial.note["problem"] for trial in trials if "problem" in trial.note]
            raise ModelError(
                f"None of {len(trials)} trials has ended well" + (f"; the first: {problems[0]}" if problems else "."),
                where=short(self.folder), fix="Sweep other values.",
            )  # fmt: skip
        told = sweep_plan(self.record["words"], self.checkout)  # own data as the person named it
        command = shlex.join(["dxai", "train", *told.trial(best.parameters)])
        verdict, run = Verdict(**best.note["verdict"]), self.folder / str(best.number)
        here = (run / "train" / "run.json").is_file()
        if here and not (run / "evaluate" / "metrics.json").is_file():
            evaluate(Run(run / "train"), run / "evaluate", self.checkout)
        running = self.plan.settings.trials - len(trials)
        if running:
            tracked.leave_to_others()
        else:
            tracked.best(best.number, best.parameters, verdict.model)
        facts = SweepFacts(
            title=f"Sweep of {self._first.data.name}", lead=self.lead, unit=verdict.unit, verdict=verdict,
            trials=trials, best=best, importance=self.study.importance, command=command,
            settings=self.plan.settings, running=running,
        )  # fmt: skip
        write_report(facts, self.folder / "report")
        return Outcome(best, verdict, command, run if here else None, self.folder / "report", running)


@dataclass(frozen=True)
class _Job:
    """One trial of a sweep, in whatever process a launcher has for it.

    Attributes:
        folder: Of the sweep.
        checkout: As the sweep's.
        here: Where the command was given: relative paths start there.
    """

    folder: Path
    checkout: Path
    here: Path

    def __call__(self) -> Exception | None:
        """Run a trial, if there is one; return what ends the sweep: each launcher treats exceptions in its own way."""
        os.chdir(self.here)
        try:
            Sweep(self.folder, self.checkout)._next(_Silent())
        except Exception as error:
            return error
        return None


class _Silent:
    """Progress of a job: whoever launched it reads the study."""

    def at(self, done: int, trials: int, best: str) -> None:
        """Nobody is told."""

    def trial(self) -> AbstractContextManager[_Silent]:
        """Nobody is told."""
        return nullcontext(self)

    def told(self, line: str) -> None:
        """Nobody is told."""

    def start(self, name: str, fits: int) -> None:
        """Nobody is told."""

    def step(self, label: str, share: float, told: str) -> None:
        """Nobody is told."""


class _Judge:
    """Ends a trial that promises little.

    By the loss of the first fit on watched rows after each epoch, where a fit watches any; otherwise, because a loss on
    the fitted rows says little, by the mean of the lead metric over the honest folds that have ended.
    """

    def __init__(self, claim: Claim) -> None:
        self.claim, self.fit = claim, ""
        self.scores = dict[str, float]()

    def epoch(self, label: str, epoch: Epoch) -> None:
        """An epoch of a fit has ended."""
        if math.isfinite(epoch.watched_loss):
            self.fit = self.fit or label
            if label == self.fit:
                self._ask(epoch.number + 1, epoch.watched_loss, "epoch")

    def fitted(self, task: AnyTask, label: str, predictor: Any) -> None:
        """A fit has ended."""
        folds = task.honest
        fold = next((fold for fold in folds if fold.label == label), None)
        if fold is None or task.watches:
            return
        self.scores[label] = task.fold_scores(predictor, fold)[metrics.lead(task.contract.family).name]
        count = 0
        while count < len(folds) and folds[count].label in self.scores:  # in their order, whichever process was faster
            count += 1
        if folds[max(0, count - 1)].label == label and count < len(folds):
            self._ask(count, sum(self.scores[f.label] for f in folds[:count]) / count, "fold")

    def _ask(self, step: int, value: float, what: str) -> None:
        if self.claim.promises_little(step, value):
            raise Pruned(f"after {what} {step}")


def _printed(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
