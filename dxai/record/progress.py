"""Progress bars for people who wait."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

console = Console(stderr=True)

_WIDE = 90
"""Letters beside the bar."""
_BYTES = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn())


class FitBar:
    """One bar over all fits, what is being fitted beside it; plain ``lines`` where no bar is shown."""

    def __init__(self, bar: Progress, *, lines: bool = True, job: str = "") -> None:
        self.lines, self.job = lines and bar.disable, job
        self.bar, self.task, self.name, self.fits, self.shares = bar, TaskID(0), "", 0, dict[str, float]()
        self.begin = time.monotonic()

    def start(self, name: str, fits: int) -> None:
        """A run begins: so many fits."""
        self.name, self.fits, self.shares = name, fits, {}
        self.task = self.bar.add_task(name, total=fits)

    def step(self, label: str, share: float, told: str) -> None:
        """So much of the fit of this label is done."""
        if label not in self.shares and self.lines:
            number, passed = len(self.shares) + 1, time.monotonic() - self.begin
            line = f"{self.job or self.name}: fit {number} of {self.fits} ({label}), {passed:.0f} s so far"
            console.print(line, highlight=False, markup=False, soft_wrap=True)
        self.shares[label] = share
        done = sum(share == 1 for share in self.shares.values())
        words = f"{self.name}  {done}/{self.fits} fits  {label} {told}"
        self.bar.update(self.task, completed=sum(self.shares.values()), description=words[:_WIDE])


class SweepBar:
    """A bar over the trials of a sweep with the best so far, one over the fits of a trial, and a line per trial."""

    def __init__(self, bar: Progress) -> None:
        self.bar, self.task, self.fits = bar, bar.add_task("sweep", total=None), FitBar(bar, lines=False)

    def at(self, done: int, trials: int, best: str) -> None:
        """So many trials have ended, and this is the best of them."""
        self.bar.update(self.task, completed=done, total=trials, description=f"sweep  {done}/{trials} trials  {best}")

    @contextmanager
    def trial(self) -> Iterator[FitBar]:
        """The bar of one trial's fits, shown while the block runs."""
        self.fits = FitBar(self.bar, lines=False)
        try:
            yield self.fits
        finally:
            if self.fits.name:
                self.bar.remove_task(self.fits.task)

    def told(self, line: str) -> None:
        """One line that stays."""
        self.bar.console.print(line, highlight=False, markup=False, soft_wrap=True)


@contextmanager
def fit_bar(job: str = "") -> Iterator[FitBar]:
    """A bar that is shown while the block runs; lines with its name for a job that runs beside others."""
    with _fits(hidden=bool(job)) as bar:
        yield FitBar(bar, job=job)


@contextmanager
def sweep_bar() -> Iterator[SweepBar]:
    """The bars of a sweep, shown while the block runs."""
    with _fits() as bar:
        yield SweepBar(bar)


def _fits(*, hidden: bool = False) -> Progress:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=console, disable=hidden or not console.is_terminal)


@contextmanager
def byte_bar(name: str) -> Iterator[Callable[[int, int], None]]:
    """A bar over the bytes of a download; gives a function of (bytes so far, bytes in all or 0)."""
    with Progress(*_BYTES, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(name, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total or None)
