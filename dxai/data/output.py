"""Where tables go: CSV or Parquet, a file that appears whole or not at all, or standard output."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

import polars as pl
from polars.io.plugins import register_io_source

from dxai.errors import NotFoundError, SettingsError
from dxai.files import whole_file

STANDARD = Path("-")
TIMES = "%Y-%m-%d %H:%M:%S%.f"
"""How CSV writes them: as it is read; parts of a second where there are any."""


def write_table(blocks: Iterable[pl.DataFrame], target: Path) -> None:
    """Write the blocks of one table as CSV or, by the suffix ``.parquet``, as Parquet; ``-`` is standard output.

    Raises:
        SettingsError: Another suffix.
        NotFoundError: The folder is not there.
        NoSpaceError: The disk is full; what was there before is untouched.
    """
    if target.suffix.lower() not in (".csv", ".parquet") and target != STANDARD:
        fix = "Name a file that ends in .csv or .parquet, or - for standard output."
        raise SettingsError(
            f"dxai does not write {target.suffix or 'files without a suffix'}.", where=str(target), fix=fix
        )
    if not target.parent.is_dir():
        fix = f"mkdir -p {target.parent}"
        raise NotFoundError("The folder of the output is not there.", where=str(target.parent), fix=fix)
    with _opened(target) as out:
        write = _write_parquet if target.suffix.lower() == ".parquet" else _write_csv
        write(blocks, out)


@contextmanager
def _opened(target: Path) -> Iterator[BinaryIO]:
    if target == STANDARD:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
    else:
        with whole_file(target) as file:
            yield file


def _write_csv(blocks: Iterable[pl.DataFrame], out: BinaryIO) -> None:
    for number, block in enumerate(blocks):
        block.write_csv(out, include_header=number == 0, datetime_format=TIMES)


def _write_parquet(blocks: Iterable[pl.DataFrame], out: BinaryIO) -> None:
    """Stream the blocks through polars' writer, which asks for them one by one."""
    each = iter(blocks)
    first = next(each)

    def source(*_: Any) -> Iterator[pl.DataFrame]:
        yield from chain([first], each)

    register_io_source(source, schema=first.schema).sink_parquet(out)
