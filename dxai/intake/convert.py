"""A firm's file to a contract's table: renamed, decoded, in the contract's units; every change counted, none silent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import polars as pl

from dxai.contract import Column, Contract
from dxai.data.checks import Problems, typed_column, violations
from dxai.data.tables import as_text
from dxai.intake.mapping import ColumnMapping, FileDialect, Mapping, in_file_unit
from dxai.units import conversion

_EXAMPLES = 3


@dataclass
class Change:
    """One kind of change in one column.

    Attributes:
        examples: The first cells: row, before, after.
    """

    column: str
    what: str
    count: int = 0
    examples: list[tuple[int, str, str]] = field(default_factory=list)


class ConversionLog:
    """What a conversion changed: kinds of changes per column, with counts and the first examples."""

    def __init__(self) -> None:
        self.rows = 0
        self._changes: dict[tuple[str, str], Change] = {}

    def add(self, column: str, what: str, first_row: int, before: pl.Series, after: pl.Series) -> None:
        """Note the cells that differ."""
        differs = before.ne_missing(after).arg_true()
        if not len(differs):
            return
        change = self._changes.setdefault((column, what), Change(column, what))
        change.count += len(differs)
        for i in differs.head(_EXAMPLES - len(change.examples)).to_list():
            change.examples.append((first_row + i, str(before[i]), "" if after[i] is None else str(after[i])))

    def note(self, column: str, what: str) -> None:
        """Note a change that concerns every cell."""
        self._changes.setdefault((column, what), Change(column, what, self.rows))

    @property
    def changes(self) -> list[Change]:
        """In the order in which they were met."""
        return list(self._changes.values())

    def record(self) -> dict[str, Any]:
        """The log as JSON takes it."""
        return {"rows": self.rows, "changes": [asdict(change) for change in self.changes]}


def convert(
    tables: Iterable[pl.DataFrame], contract: Contract, mapping: Mapping, log: ConversionLog, *, where: str
) -> Iterator[pl.DataFrame]:
    """Blocks of a file to blocks of the contract's table, in contract order and units.

    Nothing comes out of a file with a cell that breaks the contract: after the first problem the rest is only read for
    more of them.

    Args:
        tables: Text columns under the file's names, or Parquet's own types.
        contract: What the table is to be.
        mapping: Where its columns come from.
        log: Filled on the way.
        where: The file, for messages.

    Raises:
        DataError: Columns are missing, units do not fit, or cells break the contract; all problems in one message.
    """
    problems, names = Problems(), dict[str, str]()
    for table in tables:
        names = names or mapping.header(table.columns, contract, where)
        first_row = log.rows + 2
        own = as_text(table.select(pl.col(source).alias(name) for name, source in names.items()))
        columns = [c for c in contract.columns if c.name in names]
        text = pl.DataFrame([_text(own[c.name], c, mapping, log, first_row) for c in columns])
        typed = pl.DataFrame([_typed(text[c.name], c, mapping.columns[c.name], log, first_row) for c in columns])
        problems.add(violations(text, typed, contract, first_row=first_row))
        log.rows += len(table)
        if not problems:
            yield typed
    problems.refuse(where)


def _text(cells: pl.Series, column: Column, mapping: Mapping, log: ConversionLog, first_row: int) -> pl.Series:
    """A column's cells as the contract spells them, still as text."""
    mapped, name = mapping.columns[column.name], column.name
    stripped = cells.str.strip_chars().replace("", None)
    missing = [*mapping.missing, *mapped.missing]
    known = stripped.replace(missing, [None] * len(missing)) if missing else stripped
    log.add(name, "a text that means a gap", first_row, stripped, known)
    spelt = known.replace(mapped.values) if mapped.values else known
    log.add(name, "another spelling of the same value", first_row, known, spelt)
    if column.kind == "number":
        plain = _plain_numbers(spelt, mapping.file)
        log.add(name, "decimal mark and thousands separator", first_row, spelt, plain)
        return plain
    if column.kind in ("date", "timestamp") and mapped.date:
        return _iso_dates(spelt, column, mapped.date, log, first_row)
    return spelt


def _plain_numbers(cells: pl.Series, file: FileDialect) -> pl.Series:
    """Numbers with a decimal point; a thousands separator goes only where it parts groups of three digits."""
    if file.thousands:
        mark = "\\" + file.thousands
        grouped = cells.str.contains(rf"^[+-]?\d{{1,3}}({mark}\d{{3}})+(\{file.decimal}\d+)?$")
        cells = cells.zip_with(~grouped.fill_null(False), cells.str.replace_all(file.thousands, "", literal=True))
    return cells.str.replace(",", ".", literal=True) if file.decimal == "," else cells


def _iso_dates(cells: pl.Series, column: Column, written: str, log: ConversionLog, first_row: int) -> pl.Series:
    """Dates as ISO 8601; a cell that is none stays as it is, and breaks the contract."""
    read = cells.str.to_datetime(written, strict=False) if "%H" in written or "%I" in written else None
    dates = read if read is not None else cells.str.to_date(written, strict=False)
    shape = "%Y-%m-%d" if column.kind == "date" else "%Y-%m-%d %H:%M:%S%.f"
    iso = dates.dt.strftime(shape)
    spelt = iso.zip_with(iso.is_not_null(), cells)
    log.add(column.name, f"date written as {written}", first_row, cells, spelt)
    return spelt


def _typed(cells: pl.Series, column: Column, mapped: ColumnMapping, log: ConversionLog, first_row: int) -> pl.Series:
    typed = typed_column(cells, column)
    source = in_file_unit(column, mapped)
    if column.kind != "number" or source == column.unit:
        return typed
    converted = conversion(source, column.unit).apply(typed)
    log.add(column.name, f"unit {source} to {column.unit}", first_row, typed, converted)
    return converted
