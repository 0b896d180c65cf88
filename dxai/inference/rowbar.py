"""A progress bar over the rows of a table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol, TypeVar

from rich.console import Console
from rich.progress import Progress

from dxai.data.compressed import opened
from dxai.data.dialect import OLE
from dxai.errors import DataError

_Rows = TypeVar("_Rows", bound=Sized)


class Counted(Protocol):
    """Passes blocks of rows on, and counts them."""

    def __call__(self, blocks: Iterable[_Rows]) -> Iterator[_Rows]:
        """The same blocks, on the bar."""
        ...

    def forecasts(self, blocks: Iterable[_Rows], series: Callable[[], int], *, per_row: int) -> Iterator[_Rows]:
        """The same on a second bar, which the first block begins: of so many series, each with so many rows."""
        ...


_BLOCK = 1 << 20


def row_bar(path: Path) -> AbstractContextManager[Counted]:
    """Show a bar while the block runs; gives a function that passes blocks of rows on and counts them."""
    return _bar(path.name, lambda: _rows(path))


def series_bar(series: int, *, per_row: int) -> AbstractContextManager[Counted]:
    """The same over blocks of forecasts, of which each series has so many rows."""
    return _bar("series", lambda: series, rows=per_row)


class _Bars:
    """Bars on a terminal, one below the other; each has a step for so many rows."""

    def __init__(self, bar: Progress, told: str, total: int | None, rows: int) -> None:
        self.bar, self.told, self.total, self.rows = bar, told, total, rows

    def __call__(self, blocks: Iterable[_Rows]) -> Iterator[_Rows]:
        task = self.bar.add_task(self.told, total=self.total)
        for block in blocks:
            yield block
            self.bar.advance(task, len(block) // self.rows)

    def forecasts(self, blocks: Iterable[_Rows], series: Callable[[], int], *, per_row: int) -> Iterator[_Rows]:
        task = None
        for block in blocks:
            if task is None:
                task = self.bar.add_task("series", total=series())
            self.bar.advance(task, len(block) // per_row)
            yield block


@contextmanager
def _bar(told: str, total: Callable[[], int | None], *, rows: int = 1) -> Iterator[Counted]:
    """Bars while the block runs; the total is only counted where there is a terminal."""
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal, transient=True) as bar:
        yield _Bars(bar, told, total() if console.is_terminal else None, rows)


def _rows(path: Path) -> int | None:
    """About the number of rows: the lines of a text; None for other files and for one that cannot be read."""
    try:
        with opened(path) as file:
            if file.read(4) in (b"PAR1", b"PK\3\4", OLE):
                return None
            return sum(block.count(b"\n") for block in iter(lambda: file.read(_BLOCK), b""))
    except (OSError, DataError):
        return None
