"""A converted table in order and without repeated rows: its second step, from a spool on disk, in bounded memory."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import polars as pl

from dxai.contract import Contract
from dxai.data.output import write_table
from dxai.errors import SettingsError
from dxai.intake.convert import ConversionLog

_BLOCK, _RUN, _KEYS = 50_000, 500_000, 1_000_000
"""Rows that are handed on, sorted in memory, and compared by their keys at once."""

_ROW = "\x00row"
_EXAMPLES = 3


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
    """The rows sorted, of equal keys the first only; in the file's order where it has that order already.

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
        watch = _Watch(order)
        write_table(watch(blocks), spool)
        rows = _read(pl.scan_parquet(spool, row_index_name=_ROW), _BLOCK)
        if once:
            repeated = _repeated(spool, contract.keys or contract.names)
            _note_repeated(repeated, contract, log)
            rows = _without(rows, repeated[_ROW])
        if watch.in_order:
            yield from (block.drop(_ROW) for block in rows)
        else:
            yield from _sorted(rows, order, Path(folder), log)


class _Watch:
    """Passes blocks on and sees whether their rows are in order."""

    def __init__(self, order: Sequence[str]) -> None:
        self._order, self.in_order = list(order), True

    def __call__(self, blocks: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
        last: list[pl.DataFrame] = []
        for block in blocks:
            if self._order and self.in_order:
                keys = pl.concat([*last, block.select(self._order)])
                self.in_order, last = keys.equals(keys.sort(self._order, nulls_last=True)), [keys.tail(1)]
            yield block


def _read(table: pl.LazyFrame, rows: int) -> Iterator[pl.DataFrame]:
    """Blocks, at least one."""
    count = 0
    for block in table.collect_batches(chunk_size=rows, maintain_order=True):
        count += 1
        yield block
    if not count:
        yield table.head(0).collect()


def _repeated(spool: Path, keys: Sequence[str]) -> pl.DataFrame:
    """Number and key of every row whose key stands above; a part of the keys at a time, so that few are in memory."""
    own = pl.scan_parquet(spool).collect_schema().names()
    table = pl.scan_parquet(spool, row_index_name=_ROW).select(_ROW, *(name for name in keys if name in own))
    parts = 1 + table.select(pl.len()).collect().item() // _KEYS
    found = []
    for part in range(parts):
        blocks = (b.filter(b.drop(_ROW).hash_rows() % parts == part) for b in _read(table, _BLOCK))
        held = pl.concat(blocks)
        found.append(held.filter(~held.select(pl.struct(pl.exclude(_ROW)).is_first_distinct()).to_series()))
    return pl.concat(found).sort(_ROW)


def _note_repeated(repeated: pl.DataFrame, contract: Contract, log: ConversionLog) -> None:
    examples = [(row + 2, ", ".join(map(str, key)), "") for row, *key in repeated.head(_EXAMPLES).iter_rows()]
    column = ", ".join(contract.keys) or "all columns"
    log.note(column, "row left out: an earlier one has the same", len(repeated), examples)
    log.rows -= len(repeated)


def _without(blocks: Iterable[pl.DataFrame], rows: pl.Series) -> Iterator[pl.DataFrame]:
    """The other rows, numbered anew."""
    count = 0
    for block in blocks:
        kept = block.filter(~pl.col(_ROW).is_in(rows.implode())).drop(_ROW).with_row_index(_ROW, offset=count)
        count += len(kept)
        yield kept


def _sorted(
    blocks: Iterable[pl.DataFrame], order: Sequence[str], folder: Path, log: ConversionLog
) -> Iterator[pl.DataFrame]:
    """Sorted runs on disk, then range after range of the keys from all of them: each range fits into memory.

    Row numbers are the last key: no two rows are equal, however many share a date.
    """
    keys = [*order, _ROW]
    runs = _write_runs(blocks, keys, folder)
    borders = _borders(runs, keys)
    cuts = [_cuts(run, borders, keys) for run in runs]
    place = 0
    for part in range(len(borders) + 1):
        slices = [pl.scan_parquet(run).slice(c[part], c[part + 1] - c[part]) for run, c in zip(runs, cuts, strict=True)]
        table = pl.concat([found.collect() for found in slices]).sort(keys, nulls_last=True)
        moved = table[_ROW].cast(pl.Int64) != pl.int_range(place, place + len(table), eager=True)
        from_to = ((int(table[_ROW][i]) + 2, place + i + 2) for i in moved.arg_true().head(_EXAMPLES).to_list())
        examples = [(old, f"row {old}", f"row {new}") for old, new in from_to]
        log.note(", ".join(order), "rows sorted", int(moved.sum()), examples)
        place += len(table)
        yield from table.drop(_ROW).iter_slices(_BLOCK)


def _write_runs(blocks: Iterable[pl.DataFrame], keys: Sequence[str], folder: Path) -> list[Path]:
    runs, held = list[Path](), list[pl.DataFrame]()

    def flush() -> None:
        runs.append(folder / f"run-{len(runs)}.parquet")
        pl.concat(held).sort(keys, nulls_last=True).write_parquet(runs[-1], row_group_size=_BLOCK // 2)
        held.clear()

    for block in blocks:
        held.append(block)
        if sum(map(len, held)) >= _RUN:
            flush()
    if held:
        flush()
    return runs


def _borders(runs: Sequence[Path], keys: Sequence[str]) -> pl.DataFrame:
    """Keys that part the table into about as many ranges as there are runs."""
    every = max(1, _RUN // 1_000)
    sample = pl.concat([pl.scan_parquet(run).select(keys).gather_every(every).collect() for run in runs])
    step = len(sample) // len(runs)
    return sample.sort(keys, nulls_last=True)[step::step] if len(runs) > 1 else sample.head(0)


def _cuts(run: Path, borders: pl.DataFrame, keys: Sequence[str]) -> list[int]:
    """Rows of a run that come before each border, from 0 to all of them."""
    own = pl.read_parquet(run, columns=list(keys)).select(keys)
    marked = pl.concat([own.with_columns(border=False), borders.with_columns(border=True)])
    at = marked.sort([*keys, "border"], nulls_last=True)["border"].arg_true()
    return [0, *(int(i) - number for number, i in enumerate(at)), len(own)]
