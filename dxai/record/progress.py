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

from dxai.learn.module import Epoch

console = Console(stderr=True)

_BYTES = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn())


class FitBar:
    """One bar over all epochs of all fits, the fit and its loss beside it; plain lines without a terminal."""

    def __init__(self, bar: Progress) -> None:
        self.bar, self.task, self.name, self.label, self.fits, self.done = bar, TaskID(0), "", "", 0, 0
        self.begin = time.monotonic()

    def start(self, name: str, fits: int, epochs: int) -> None:
        """A run begins: so many fits of so many epochs."""
        self.name, self.fits, self.done = name, fits, 0
        self.task = self.bar.add_task(name, total=fits * epochs)

    def fit(self, label: str) -> None:
        """One fit begins."""
        self.label, self.done = label, self.done + 1
        if not console.is_terminal:
            console.print(
                f"{self.name}: fit {self.done} of {self.fits} ({label}), {time.monotonic() - self.begin:.0f} s so far"
            )

    def epoch(self, epoch: Epoch) -> None:
        """One epoch of it is done."""
        told = f"{self.name}  fit {self.done}/{self.fits} {self.label}  loss {epoch.fit_loss:.3f}"
        self.bar.update(self.task, advance=1, description=told)


@contextmanager
def fit_bar() -> Iterator[FitBar]:
    """A bar that is shown while the block runs."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        yield FitBar(bar)


@contextmanager
def byte_bar(name: str) -> Iterator[Callable[[int, int], None]]:
    """A bar over the bytes of a download; gives a function of (bytes so far, bytes in all or 0)."""
    with Progress(*_BYTES, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(name, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total or None)
