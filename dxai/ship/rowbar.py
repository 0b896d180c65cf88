"""A progress bar over the rows of a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

_BLOCK = 1 << 20


@contextmanager
def row_bar(path: Path) -> Iterator[Callable[[int], None]]:
    """Show a bar while the block runs; gives a function that is told how many more rows are done."""
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task(path.name, total=_lines(path) if console.is_terminal else None)
        yield lambda rows: bar.update(task, advance=rows)


def _lines(path: Path) -> int | None:
    """Lines of the file, about the number of rows; None when it cannot be read (the reader will say why)."""
    try:
        with path.open("rb") as file:
            return sum(block.count(b"\n") for block in iter(lambda: file.read(_BLOCK), b""))
    except OSError:
        return None
