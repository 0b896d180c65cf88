"""The fits of a run, several at once: in processes of their own, with the same bytes as one after the other."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from dxai.config.settings import RunSettings, checked
from dxai.errors import DxaiError
from dxai.learn.devices import processors
from dxai.learn.families import AnyTask, task_of
from dxai.learn.fitting import Epoch
from dxai.learn.tasks import Share
from dxai.record.seeding import settle
from dxai.record.unfinished import UnfinishedRun

OnStep = Callable[[str, float, str, Epoch | None], None]
"""Told the label of a fit, the share of it that is done, what is going on, and which epoch has ended, if any."""

_SHORT = 3.0
"""Seconds of one fit in this process, before others are worth their start."""
_LOOK = 0.2
"""Seconds between looks at the other processes."""


class Fits:
    """All fits of a task; this process takes the folds from the front, the others those from the back.

    Others are started when the fits turn out to be long. A fit begins with the seed of the run and takes nothing from
    those before it, so that neither the order nor the process shows in what comes of it. One that ended is stored at
    once by the process that made it, and is not fitted again when the run is resumed. The tasks that SLURM has started
    are told of each fit that begins here, and take part.
    """

    def __init__(self, task: AnyTask, checkout: Path, on_step: OnStep, unfinished: UnfinishedRun, share: Share) -> None:
        self.task, self.checkout, self.on_step, self.unfinished, self.share = task, checkout, on_step, unfinished, share
        self.waiting, self.elsewhere = deque(enumerate(task.folds)), dict[str, Future[None]]()
        self.others = min(task.settings.folds_at_once or processors() // task.settings.threads, len(task.folds)) - 1
        if task.settings.trainer.accelerator != "cpu" or task.settings.trainer.processes > 1:
            self.others = 0  # the devices are taken by one fit
        self.pool: ProcessPoolExecutor | None = None
        self.taking = threading.RLock()
        self.begun = time.monotonic()

    def run(self) -> Generator[tuple[str, Any, list[Epoch]]]:
        """Label, predictor and curve of every fit, as they end.

        Raises:
            DxaiError: What a fit raises, or that a process was killed.
        """
        try:
            while fold := self._next():
                if known := self._stored(fold.label):
                    yield known
                    continue
                self.share(fold.label)
                settle(self.task.settings.seed, self.task.settings.threads)
                step, checkpoint = partial(self._here, fold.label), self.unfinished.checkpoint(fold.label)
                predictor, curve = self.task.fit(fold, step, checkpoint)
                self.unfinished.store(fold.label, predictor, curve)
                self.on_step(fold.label, 1.0, "", None)
                yield fold.label, predictor, curve
                yield from self._ended()
            while self.elsewhere:
                wait(list(self.elsewhere.values()), timeout=_LOOK)
                self._pass_on()
                yield from self._ended()
        except BrokenProcessPool:
            raise DxaiError(
                "The process of a fit was ended from outside: the memory may not be enough for several fits at once.",
                where="folds_at_once", fix="Give the command again with folds_at_once=1.",
            ) from None  # fmt: skip
        finally:
            self._stop()

    def _next(self) -> Any | None:
        with self.taking:
            return self.waiting.popleft()[1] if self.waiting else None

    def _here(self, label: str, share: float, told: str, epoch: Epoch | None = None, /) -> None:
        """A step of the fit in this process: also the time to pass on what the others say."""
        self.on_step(label, share, told, epoch)
        if self.pool is None and self.others > 0 and self.waiting and time.monotonic() - self.begun > _SHORT:
            self._start()
        self._pass_on()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")  # a fork would inherit the locks of other libraries' threads
        self.news = context.SimpleQueue()
        told = self.task.settings.model_dump(mode="json"), self.checkout, self.news, self.unfinished
        self.pool = ProcessPoolExecutor(self.others, context, _begin, told)
        for _ in range(self.others):
            self._give()

    def _give(self, ended: Future[None] | None = None) -> None:
        """The last fold that waits to a free process: at once, since a step of the fit here may take long."""
        if self.pool is None or (ended is not None and (ended.cancelled() or ended.exception())):
            return
        with self.taking, suppress(RuntimeError):  # the run may be about to end
            if self.waiting:
                number, fold = self.waiting.pop()
                self.elsewhere[fold.label] = self.pool.submit(_fit, number)
                self.elsewhere[fold.label].add_done_callback(self._give)

    def _pass_on(self) -> None:
        while self.pool is not None and not self.news.empty():
            self.on_step(*self.news.get())

    def _ended(self) -> Iterator[tuple[str, Any, list[Epoch]]]:
        ended = [label for label, future in list(self.elsewhere.items()) if future.done()]
        if ended:
            self._pass_on()  # all that they said before they ended
        for label in ended:
            self.elsewhere.pop(label).result()
            known = self._stored(label)
            assert known is not None
            yield known

    def _stored(self, label: str) -> tuple[str, Any, list[Epoch]] | None:
        """A fit that ended, in another process or before this run was resumed."""
        known = self.unfinished.stored(label)
        if known is None:
            return None
        self.on_step(label, 1.0, "", None)
        return label, self.task.restored(known[0]), known[1]

    def _stop(self) -> None:
        """Leave no process behind, and wait for none that is no longer asked."""
        if self.pool is not None:
            for future in list(self.elsewhere.values()):
                future.cancel()
            if self.elsewhere:
                for process in multiprocessing.active_children():
                    process.kill()
            self.pool.shutdown(wait=True, cancel_futures=True)


# --- in another process -----------------------------------------------------------------------------------------------

_here: dict[str, Any] = {}


def _begin(settings: dict[str, Any], checkout: Path, news: Any, unfinished: UnfinishedRun) -> None:
    """Read the table once; end with the process that asked, even where that is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes, and the first one stops the others
    threading.Thread(target=_end_with_parent, daemon=True).start()
    made: RunSettings = checked(settings)
    settle(made.seed, made.threads)
    _here.update(task=task_of(made, checkout), news=news, unfinished=unfinished)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _fit(number: int) -> None:
    task: AnyTask = _here["task"]
    unfinished: UnfinishedRun = _here["unfinished"]
    fold = task.folds[number]
    if unfinished.stored(fold.label):
        return
    settle(task.settings.seed, task.settings.threads)
    checkpoint = unfinished.checkpoint(fold.label)
    predictor, curve = task.fit(
        fold, lambda share, told, epoch=None: _here["news"].put((fold.label, share, told, epoch)), checkpoint
    )
    unfinished.store(fold.label, predictor, curve)
