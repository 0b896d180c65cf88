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

    def __call__(self, blocks: Iterable[_Rows]) -> Iterator[_Rows]: ...  # noqa: D102


_BLOCK = 1 << 20


def row_bar(path: Path) -> AbstractContextManager[Counted]:
    """Show a bar while the block runs; gives a function that passes blocks of rows on and counts them."""
    return _bar(path.name, lambda: _rows(path))


def series_bar(series: int, *, per_row: int) -> AbstractContextManager[Counted]:
    """The same over blocks of forecasts, of which each series has so many rows."""
    return _bar("series", lambda: series, rows=per_row)


@contextmanager
def _bar(told: str, total: Callable[[], int | None], *, rows: int = 1) -> Iterator[Counted]:
    """A bar on a terminal, one step for so many rows; the total is only counted where there is one."""
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task(told, total=total() if console.is_terminal else None)

        def counted(blocks: Iterable[_Rows]) -> Iterator[_Rows]:
            for block in blocks:
                yield block
                bar.advance(task, len(block) // rows)

        yield counted


def _rows(path: Path) -> int | None:
    """About the number of rows: the lines of a text; None for other files and for one that cannot be read."""
    try:
        with opened(path) as file:
            if file.read(4) in (b"PAR1", b"PK\3\4", OLE):
                return None
            return sum(block.count(b"\n") for block in iter(lambda: file.read(_BLOCK), b""))
    except (OSError, DataError):
        return None
