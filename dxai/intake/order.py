"""A converted table in order and without repeated rows: its second step, from a spool on disk, in bounded memory."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path

import polars as pl

from dxai.contract import Contract
from dxai.data.output import write_table
from dxai.errors import SettingsError
from dxai.intake.check import met_again
from dxai.intake.convert import ConversionLog
from dxai.intake.shape import EXAMPLES

_BLOCK, _RUN = 50_000, 500_000
"""Rows that are handed on, and that are sorted or compared in memory, at once."""

_ROW, _PLACE = "\x00row", "\x00place"


def order_of(contract: Contract, *, told: bool | None) -> tuple[str, ...]:
    """Columns that a table is sorted by: series and time, or its keys when that is told; none keeps the file's order.

    Raises:
        SettingsError: Told to sort by nothing.
    """
    order = tuple(c.name for role in ("series", "time") for c in contract.columns if c.role == role)
    has_time = any(c.role == "time" for c in contract.columns)
    if told is False or (told is None and not has_time):
        return ()
    if not (order if has_time else contract.keys):
        fix = "Give a column the role time, or primaryKey: true."
        raise SettingsError("The contract names no time and no key to sort by.", where="--sort", fix=fix)
    return order if has_time else contract.keys


def arranged(
    blocks: Iterable[pl.DataFrame],
    contract: Contract,
    log: ConversionLog,
    beside: Path,
    *,
    order: Sequence[str],
    once: bool,
) -> Iterator[pl.DataFrame]:
    """The rows sorted, of equal keys the first only; only one column of all rows is in memory at a time.

    Args:
        blocks: Of the converted table.
        contract: Names the keys; without any, rows are repeated when all their cells are.
        log: Told of what is left out or moved.
        beside: The output; its folder holds the spool.
        order: Columns to sort by, gaps last; rows that agree in them stay in the file's order.
        once: Whether repeated rows are left out.
    """
    with tempfile.TemporaryDirectory(prefix=f".{beside.name}.", dir=beside.parent) as folder:
        spool = Path(folder) / "spool.parquet"
        write_table(blocks, spool)
        table = pl.scan_parquet(spool, glob=False)
        if once:
            table = _without_repeated(table, contract, log)
        rows = _rows_in_order(table, order)
        if _note_moved(rows, order, log):
            yield from _sorted(table, rows, Path(folder))
        else:
            yield from _read(table)


def _read(table: pl.LazyFrame, rows: int = 0) -> Iterator[pl.DataFrame]:
    """Blocks, at least one."""
    blocks = table.collect_batches(chunk_size=rows or _BLOCK, maintain_order=True)
    first = next(blocks, None)
    yield from chain([table.head(0).collect() if first is None else first], blocks)


def _without_repeated(table: pl.LazyFrame, contract: Contract, log: ConversionLog) -> pl.LazyFrame:
    """The first row of every key: rows with the same hash are compared, a part of them at a time."""
    names = [name for name in contract.keys or contract.names if name in table.collect_schema()]
    keys, key = table.select(names).with_row_index(_ROW), pl.struct(names)
    suspect = met_again(table.select(key.hash()).collect(engine="streaming").to_series())
    rows = suspect.alias(_ROW).to_frame().lazy()
    parts = 1 + len(suspect) // _RUN
    each = (keys.join(rows, on=_ROW, how="semi").filter(key.hash() % parts == part) for part in range(parts))
    held = (part.collect(engine="streaming").sort(_ROW) for part in each)
    found = pl.concat(part.filter(~key.is_first_distinct()) for part in held).sort(_ROW)
    examples = [(row + 2, ", ".join(map(str, cells)), "") for row, *cells in found.head(EXAMPLES).iter_rows()]
    column = ", ".join(contract.keys) or "all columns"
    log.note(column, "row left out: an earlier one has the same", len(found), examples)
    log.rows -= len(found)
    return table.with_row_index(_ROW).join(found.lazy(), on=_ROW, how="anti", maintain_order="left").drop(_ROW)


def _rows_in_order(table: pl.LazyFrame, order: Sequence[str]) -> pl.Series:
    """Numbers of the rows, sorted by one column after the other, the first one last: one at a time is in memory."""
    rows = table.select(pl.int_range(pl.len(), dtype=pl.UInt32)).collect().to_series()
    for name in reversed(order):
        cells = table.select(name).collect(engine="streaming").to_series().gather(rows).to_frame()
        rows = rows.gather(cells.select(pl.arg_sort_by(name, nulls_last=True, maintain_order=True)).to_series())
    return rows


def _note_moved(rows: pl.Series, order: Sequence[str], log: ConversionLog) -> int:
    """How many rows stand elsewhere when they are in this order."""
    moved = rows != pl.int_range(len(rows), dtype=pl.UInt32, eager=True)
    examples = [(rows[i] + 2, f"row {rows[i] + 2}", f"row {i + 2}") for i in moved.arg_true().head(EXAMPLES)]
    log.note(", ".join(order), "rows sorted", int(moved.sum()), examples)
    return int(moved.sum())


def _sorted(table: pl.LazyFrame, rows: pl.Series, folder: Path) -> Iterator[pl.DataFrame]:
    """Runs on disk, each sorted by the rows' places to come, then range after range of the places from all of them."""
    places, runs, done = rows.arg_sort().alias(_PLACE), list[Path](), 0
    for block in _read(table, _RUN):
        runs.append(folder / f"run-{len(runs)}.parquet")
        run = block.with_columns(places.slice(done, len(block))).sort(_PLACE)
        run.write_parquet(runs[-1], row_group_size=_BLOCK // 2)
        done += len(block)
    for first in range(0, len(rows), _RUN):
        there = pl.col(_PLACE).is_between(first, first + _RUN - 1)  # by their bounds, most row groups are not read
        found = pl.scan_parquet(runs, glob=False).filter(there).collect().sort(_PLACE)
        yield from found.drop(_PLACE).iter_slices(_BLOCK)
