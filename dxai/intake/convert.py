"""A firm's file to a contract's table: renamed, decoded, in the contract's units; every change counted, none silent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, time
from itertools import chain
from typing import Any

import polars as pl

from dxai.contract import Column, Contract
from dxai.data.checks import Problem, Problems, typed_column, violations
from dxai.data.tables import as_text
from dxai.intake.cells import censored, plainly_signed
from dxai.intake.dates import begins_period, names_period, period_end, read_dates, week_end
from dxai.intake.mapping import ColumnMapping, Mapping, in_file_unit
from dxai.intake.shape import EXAMPLES, Rows, Steps, lengthened, one_of, steps_of
from dxai.units import conversion

_CELLS = 1_000_000
"""Of a wide table, that are made rows at once."""


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
    """What a conversion changed: kinds of changes per column, with counts and the first examples.

    Attributes:
        read, rows: Rows of the file, and of the table made of it.
    """

    def __init__(self) -> None:
        self.read = self.rows = 0
        self._changes: dict[tuple[str, str], Change] = {}

    def add(self, column: str, what: str, rows: Rows, before: pl.Series, after: pl.Series) -> None:
        """Note the cells that differ."""
        differs = before.ne_missing(after)
        if differs.any():
            shown = zip(rows.examples(differs, before), after.filter(differs), strict=False)
            examples = [(*place, "" if cell is None else str(cell)) for place, cell in shown]
            self.note(column, what, int(differs.sum()), examples)

    def note(self, column: str, what: str, count: int, examples: Sequence[tuple[int, str, str]] = ()) -> None:
        """Note a change of so many cells or rows."""
        if count:
            change = self._changes.setdefault((column, what), Change(column, what))
            change.count += count
            change.examples += examples[: EXAMPLES - len(change.examples)]

    @property
    def changes(self) -> list[Change]:
        """In the order in which they were met."""
        return list(self._changes.values())

    def record(self) -> dict[str, Any]:
        """The log as JSON takes it."""
        return {"read": self.read, "rows": self.rows, "changes": [asdict(change) for change in self.changes]}


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
    problems, sources, left_out = Problems(), dict[str, tuple[str, ...]](), list[str]()
    for rows in _rows(tables, contract, mapping, log, where):
        if not sources:
            sources = mapping.sources(rows.table.columns, contract, where)
            known = {*mapping.unused, *chain.from_iterable(sources.values())}
            left_out = [name for name in rows.table.columns if name not in known]
        columns = [
            _Conversion(c, contract, mapping, rows, log, problems) for c in contract.columns if c.name in sources
        ]
        text = pl.DataFrame([column.text() for column in columns])
        typed = pl.DataFrame([column.typed(text[column.name]) for column in columns])
        for found in violations(text, typed, contract, first_row=0):
            places = [rows.place(row, cell) for row, cell in found.examples]
            problems.add([Problem(found.column, found.rule, found.count, places)])
        log.rows += len(typed)
        if not problems:
            yield typed
    problems.refuse(where)
    for name in left_out:
        log.note(name, "left out: the mapping does not name it", log.rows)


def _rows(
    tables: Iterable[pl.DataFrame], contract: Contract, mapping: Mapping, log: ConversionLog, where: str
) -> Iterator[Rows]:
    """Blocks in the contract's shape, with the lines of the file that their rows come from."""
    wide, steps = mapping.wide, None
    for table in tables:
        first_line = log.read + mapping.file.dialect.first_row
        lines = pl.int_range(first_line, first_line + len(table), eager=True)
        log.read += len(table)
        rows = _without_totals(Rows(table, lines), mapping, log)
        if wide is None:
            yield rows
            continue
        steps = steps or steps_of(table.columns, wide, contract.frequency, where)
        yield from _long_rows(rows, mapping, steps, log)


def _without_totals(rows: Rows, mapping: Mapping, log: ConversionLog) -> Rows:
    """The rows that are rows of their own."""
    for name in mapping.leave_out.keys() & set(rows.table.columns):
        texts = as_text(rows.table.select(name)).to_series().str.strip_chars()
        total = texts.is_in(mapping.leave_out[name]).fill_null(False)
        examples = [(*place, "") for place in rows.examples(total, texts)]
        log.note(name, "row left out: a total of others", int(total.sum()), examples)
        rows = Rows(rows.table.filter(~total), rows.lines.filter(~total))
    return rows


def _long_rows(rows: Rows, mapping: Mapping, steps: Steps, log: ConversionLog) -> Iterator[Rows]:
    assert mapping.wide is not None  # asked for wide tables only
    value = mapping.wide.value
    gaps = [text for c in mapping.columns.values() if c.source == value for text in c.missing]
    table, most = rows.table, max(1, _CELLS // rows.table.width)
    for first in range(0, max(1, len(table)), most):
        lines = rows.lines.slice(first, most)
        kept, left = lengthened(table.slice(first, most), mapping.wide, steps, [*mapping.missing, *gaps], lines)
        examples = [(*left.place(i, "empty"), "") for i in range(min(len(left.lines), EXAMPLES))]
        log.note(value, "no row for a step before the first value", len(left.lines), examples)
        yield kept


@dataclass(frozen=True)
class _Conversion:
    """One column of one block on its way to the contract."""

    column: Column
    contract: Contract
    mapping: Mapping
    rows: Rows
    log: ConversionLog
    problems: Problems

    @property
    def name(self) -> str:
        return self.column.name

    @property
    def mapped(self) -> ColumnMapping:
        return self.mapping.columns[self.name]

    def text(self) -> pl.Series:
        """The cells as the contract spells them, still as text."""
        mapped, cells = self.mapped, self._cells().str.strip_chars().replace("", None)
        missing = [*self.mapping.missing, *mapped.missing]
        known = cells.replace(missing, [None] * len(missing)) if missing else cells
        self._log("a text that means a gap", cells, known)
        spelt = known.replace(mapped.values) if mapped.values else known
        self._log("another spelling of the same value", known, spelt)
        if self.column.kind == "number":
            return self._plain_numbers(spelt)
        if self.column.kind in ("date", "timestamp") and (mapped.date or mapped.period):
            return self._iso_dates(spelt, mapped.date or "%Y-%m-%d")
        return spelt

    def typed(self, text: pl.Series) -> pl.Series:
        """The cells as the contract types them, in its unit."""
        typed = typed_column(text, self.column)
        source = in_file_unit(self.column, self.mapped)
        if self.column.kind != "number" or source == self.column.unit:
            return typed
        converted = conversion(source, self.column.unit).apply(typed)
        self._log(f"unit {source} to {self.column.unit}", typed, converted)
        return converted

    def _cells(self) -> pl.Series:
        sources = self.mapped.sources
        if constant := self.mapped.constant:
            cells = pl.repeat(constant, len(self.rows.table), dtype=pl.String, eager=True)
            self.log.note(self.name, f"{constant!r} in every row", len(cells))
            return cells.alias(self.name)
        own = as_text(self.rows.table.select(sources))
        if self.mapped.joined:
            separator = " " if self.column.kind in ("date", "timestamp") else " / "
            joined = own.select(pl.concat_str(pl.all().str.strip_chars(), separator=separator)).to_series()
            self.log.note(self.name, f"{' and '.join(sources)} as one", len(joined))
            return joined.alias(self.name)
        if not self.mapped.one_hot:
            return own.to_series().alias(self.name)
        told, broken = one_of(own)
        shown = ", ".join(sources[:3]) + (", …" if len(sources) > 3 else "")
        self._refuse(f"is the one of {shown} that is 1, all others being 0", broken, told)
        self.log.note(self.name, f"the one of {len(sources)} columns that is 1", len(told))
        return told.alias(self.name)

    def _plain_numbers(self, cells: pl.Series) -> pl.Series:
        """Numbers with a decimal point; a thousands separator goes only where it parts groups of three digits."""
        mapped, file = self.mapped, self.mapping.file
        decimal, mark = mapped.decimal or file.decimal, mapped.thousands or file.thousands
        bare = cells.str.normalize("NFKC") if mapped.full_width else cells
        for suffix in mapped.suffix:
            bare = bare.str.strip_suffix(suffix).str.strip_chars_end()
        self._log("digits alone, of full width or with a unit behind", cells, bare)
        plain = plainly_signed(bare)
        self._log("the sign in front, spaces plain", bare, plain)
        plain = bare = self._uncensored(plain, decimal) if mapped.censored else plain
        if mark and mark != decimal:
            grouped = plain.str.contains(rf"^[+-]?\d{{1,3}}(\{mark}\d{{3}})+(\{decimal}\d+)?$").fill_null(False)
            plain = plain.zip_with(~grouped, plain.str.replace_all(mark, "", literal=True))
        if decimal == ",":
            points = plain.str.contains(".", literal=True).fill_null(False)
            self._refuse("writes its fractions with a comma", points, cells)
            plain = plain.str.replace(",", ".", literal=True)
        self._log("decimal mark and thousands separator", bare, plain)
        return plain

    def _uncensored(self, cells: pl.Series, decimal: str) -> pl.Series:
        """A limit in place of a number as what the mapping says."""
        found, how = censored(cells), self.mapped.censored
        limit = found["limit"]
        if how == "half":
            number = limit.str.replace(",", ".", literal=True) if decimal == "," else limit
            half = (number.cast(pl.Float64, strict=False) / 2).cast(pl.String)
            half = half.str.replace(".", ",", literal=True) if decimal == "," else half
            limit = half.zip_with(found["below"] & half.is_not_null(), limit)
        value = pl.repeat(None, len(cells), dtype=pl.String, eager=True) if how == "gap" else limit
        plain = cells.zip_with(found["limit"].is_null(), value)
        taken = {"gap": "a gap", "half": "half of it, where it is an upper one"}.get(how, "the number")
        self._log(f"a limit taken as {taken}", cells, plain)
        return plain

    def _iso_dates(self, cells: pl.Series, written: str) -> pl.Series:
        """Dates as ISO 8601; a cell that is none stays as it is, and breaks the contract."""
        dates = read_dates(cells, written, self.contract.time_zone or "UTC")
        what, is_day = f"date written as {written}", self.column.kind == "date"
        period = self.mapped.period
        if period == "day":
            dates, what = dates.dt.truncate("1d"), f"{what}, to its day"
        elif period in ("week", "month"):
            dates = week_end(dates) if period == "week" else dates.dt.month_end()
            what = f"{what}, to the last day of its {period}"
        elif self.column.role == "time" and (period == "start" or names_period(written)):
            if period == "start":
                off = dates.is_not_null() & ~begins_period(dates, self.contract.frequency)
                self._refuse(f"is the first day of a step, {self.contract.frequency}", off, cells)
            dates, what = period_end(dates, self.contract.frequency), f"{what}, to the last day of its step"
        if is_day:
            dates = dates.set((dates.dt.time() != time()).fill_null(False), None)
        iso = dates.dt.strftime("%Y-%m-%d" if is_day else "%Y-%m-%d %H:%M:%S%.f")
        spelt = iso.zip_with(iso.is_not_null(), cells)
        self._log(what, cells, spelt)
        return spelt

    def _log(self, what: str, before: pl.Series, after: pl.Series) -> None:
        self.log.add(self.name, what, self.rows, before, after)

    def _refuse(self, rule: str, broken: pl.Series, cells: pl.Series) -> None:
        if broken.any():
            self.problems.add([Problem(self.name, rule, int(broken.sum()), self.rows.examples(broken, cells))])


def added_up(
    tables: Iterable[pl.DataFrame], contract: Contract, step: str, log: ConversionLog
) -> Iterator[pl.DataFrame]:
    """Demand of short steps as demand of hours, of days, of weeks, dated by their Sundays, or of months, by last days.

    Steps that the file holds a part of, at its ends, are left out; where an hour or a day has many rows, a first or
    last one with fewer rows than most is such a part. A step is unknown where no part of it is known; of other columns
    its last value is kept. One block.
    """
    series, name = [column.name for column in contract.series], contract.target.name
    step_of = [*series, contract.only("time").name]
    time, target = pl.col(step_of[-1]), pl.col(name)
    table = pl.concat(tables)
    table = table.with_columns(time.dt.truncate("1h")) if step == "hourly" else table
    end = {"weekly": week_end(time), "monthly": time.dt.month_end()}.get(step, time)
    begin = end.dt.truncate({"weekly": "1w", "monthly": "1mo"}[step]) if step in ("weekly", "monthly") else end
    first, last = _whole_ends(table, series, step_of[-1])
    whole = (begin >= first) & (end <= last)
    log.note(name, f"row of a {step} step that the file holds a part of", int(table.select((~whole).sum()).item()))
    table, others = table.filter(whole), [other for other in table.columns if other not in (*step_of, name)]
    made = table.with_columns(end.alias(step_of[-1])).group_by(step_of, maintain_order=True)
    result = made.agg(pl.when(target.count() > 0).then(target.sum()).alias(name), pl.col(others).last())
    log.note(name, f"rows added up to {step} steps", len(table) - len(result))
    log.rows = len(result)
    yield result.select(table.columns).sort(step_of)


def _whole_ends(table: pl.DataFrame, series: Sequence[str], time: str) -> tuple[date, date]:
    """The first and the last day, or hour, that the file holds all of."""
    counts = table.group_by(time).agg(pl.len(), pl.struct(series).n_unique().alias("series")).sort(time)
    if (counts["len"] > counts["series"]).any():
        counts = counts.filter(pl.col("len") >= pl.col("len").median())
    return counts[time][0], counts[time][-1]
