"""A whole table against its contract: every violation at once, and how good the data are by ISO/IEC 5259-2."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl

from dxai.contract import Contract
from dxai.data.checks import FINITE, REQUIRED, Problem, Problems, Spelled, cast, problem_of
from dxai.data.header import CONVERT_FIRST, Header, match_header
from dxai.data.readers import Block, Numbers
from dxai.data.trainable import Refusal
from dxai.errors import DataError, bullet_list
from dxai.intake.training_facts import asked_of, training_says

_ROW = "any column"
_UNIQUE, _NOT_YET = "names each row once", "does not lie in the future"
_AT_ONCE = 2
"""Blocks that are looked at while the next one is read."""
_EAST_OF_ALL = timedelta(hours=14)
"""What the farthest clock is ahead of UTC: later than that is the future in every zone."""


@dataclass(frozen=True)
class Measure:
    """One quality measure of ISO/IEC 5259-2:2024, a share between 0 and 1.

    Attributes:
        id: Of the standard.
        name: Of the standard.
        value: The more the better, except for the divergence of Bal-ML-8.
        subject: Column or class that it speaks of; empty: the whole table.
    """

    id: str
    name: str
    value: float
    subject: str = ""


@dataclass
class TableCheck:
    """What a check found.

    Attributes:
        contract: That the table was held against.
        rows: Rows read.
        problems: One per column and rule, with counts and first examples.
        gaps: Empty cells per column.
        misshapen: Cells that are no number, date or time although the contract says so.
        incomplete: Rows with an empty cell.
        broken: Rows with at least one violation.
        repeated: Rows whose key an earlier row has.
        labels: Rows per class of the target.
        unseen: Cells of a feature that are none of its categories, which is no violation.
        newest: Latest date or time of the ``time`` column.
        refusals: What `dxai train` would refuse although no cell breaks the contract.
        notes: What training leaves out, and series that ended early; one line each.
    """

    contract: Contract
    rows: int = 0
    problems: Problems = field(default_factory=Problems)
    gaps: Counter[str] = field(default_factory=Counter)
    misshapen: int = 0
    incomplete: int = 0
    broken: int = 0
    repeated: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    unseen: Counter[str] = field(default_factory=Counter)
    newest: str = ""
    refusals: list[Refusal] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, block: TableCheck) -> None:
        """What was found in one more block."""
        self.problems.add(block.problems)
        self.rows += block.rows
        self.misshapen += block.misshapen
        self.incomplete += block.incomplete
        self.broken += block.broken
        self.gaps.update(block.gaps)
        self.labels.update(block.labels)
        self.unseen.update(block.unseen)
        self.newest = max(self.newest, block.newest)

    @property
    def measures(self) -> dict[str, float]:
        """The table in a few shares between 0 and 1; uniqueness is that of the keys, where the contract has some."""
        found = {
            "value completeness": 1 - self._share(self.gaps.total(), self.rows * len(self.gaps)),
            "record validity": 1 - self._share(self.broken, self.rows),
        }
        return found | ({"record uniqueness": 1 - self._share(self.repeated, self.rows)} if self.contract.keys else {})

    @property
    def quality(self) -> list[Measure]:
        """The measures of ISO/IEC 5259-2 that a contract alone can answer.

        Bal-ML-8 leaves the divergence open: here it is that of Kullback and Leibler from the uniform distribution of
        the contract's classes, as a share of the largest possible one: 0 means that all classes are equally frequent.
        """
        cells, target = self.rows * len(self.gaps), self.contract.target.name
        found = [
            Measure("Com-ML-1", "value completeness", 1 - self._share(self.gaps.total(), cells)),
            Measure("Com-ML-4", "record completeness", 1 - self._share(self.incomplete, self.rows)),
            Measure("Com-ML-5", "label completeness", 1 - self._share(self.gaps[target], self.rows), target),
            Measure("Con-ML-3", "data format consistency", 1 - self._share(self.misshapen, cells - self.gaps.total())),
        ]
        found += [
            Measure("Com-ML-3", "feature completeness", 1 - self._share(count, self.rows), name)
            for name, count in self.gaps.items()
            if name != target
        ]
        if labelled := self.labels.total():
            shares = {text: self.labels[text] / labelled for text in self.contract.classes}
            found += [Measure("Div-ML-2", "relative label abundance", share, text) for text, share in shares.items()]
            found += [Measure("Bal-ML-8", "label distribution balance", _divergence(shares.values()), target)]
        return found

    def refuse(self, where: str, *, most: int | None = None) -> None:
        """Raise one DataError of the problems and of what training would refuse, at most so many, with the fixes."""
        found = [(str(problem), _fix(problem, self.contract)) for problem in self.problems]
        found += [(_of_training(refusal, where), refusal.fix) for refusal in self.refusals]
        if found:
            told = bullet_list([told for told, _ in found], most)
            raise DataError(told, where=where, fix=" ".join(dict.fromkeys(fix for _, fix in found)))

    @staticmethod
    def _share(part: int, whole: int) -> float:
        return part / whole if whole else 0.0


_Looked = tuple[TableCheck, pl.Series, pl.DataFrame]


def _of_training(refusal: Refusal, where: str) -> str:
    place = refusal.where.removeprefix(where).removeprefix(", ")
    return f"dxai train would refuse this: {refusal.problem}" + (f" ({place})" if place else "")


def _fix(problem: Problem, contract: Contract) -> str:
    if problem.is_of_shape or problem.rule == FINITE:
        return "Write numbers with a decimal point, dates as in ISO 8601, a gap as an empty cell: dxai data convert."
    if problem.rule == _UNIQUE:
        return "Leave out the rows that stand there twice, or name what tells them apart as a key."
    if problem.rule == _NOT_YET:
        return f"Correct the times, or the time zone of the contract ({contract.time_zone or 'none'})."
    if problem.rule == REQUIRED:
        return "Fill the empty cells, or say in the contract that the column may have gaps."
    if problem.rule.startswith("is one of"):
        return "Correct the classes, or add them to the contract."
    return "Look at the unit of the values out of range: the mapping may name another one."


def _divergence(shares: Iterable[float]) -> float:
    """Kullback-Leibler divergence from the uniform distribution, as a share of its maximum, the log of the classes."""
    each = list(shares)
    return 1 + sum(share * math.log(share, len(each)) for share in each if share)


def plain_numbers(contract: Contract, where: str, header_row: int = 1) -> Numbers:
    """Which columns of a header a check wants to read as numbers: those in the contract's unit, keys left out."""

    def wanted(names: list[str]) -> list[str]:
        header = _header(names, contract, where, header_row)
        kept = {*contract.keys, *header.conversions}
        return [header.names[c.name] for c in contract.columns if c.kind == "number" and c.name not in kept]

    return wanted


def check(
    blocks: Iterable[Block], contract: Contract, *, where: str, now: datetime | None = None, header_row: int = 1
) -> TableCheck:
    """Read a table once, block by block; in memory stay hashes of the keys and what training asks for.

    That is at most 24 bytes a row, and 4 more for each static column of a demand table.

    Args:
        blocks: Of text columns, of Parquet's own types, or with `plain_numbers`.
        contract: What the table should be.
        where: The file, for messages.
        now: Local time after which a ``time`` column lies in the future; None asks the clock.
        header_row: Line of the file that the rows follow.

    Raises:
        DataError: Columns are missing.
    """
    found, keys, asked = TableCheck(contract), list[pl.Series](), list[pl.DataFrame]()
    for of_block, hashes, few in _looked(blocks, contract, where, header_row, now or _now(contract)):
        found.add(of_block)
        keys.append(hashes)
        asked.append(few)
    if contract.keys:
        _count_repeated(pl.concat(keys), found, header_row + 1)
    broken = frozenset(problem.column for problem in found.problems)
    found.refusals, found.notes = training_says(pl.concat(asked), found, where, broken=broken)
    return found


def _header(names: list[str], contract: Contract, where: str, header_row: int) -> Header:
    return match_header(names, contract, target=True, where=f"{where}, line {header_row}", advice=CONVERT_FIRST)


def _looked(
    blocks: Iterable[Block], contract: Contract, where: str, header_row: int, latest: datetime
) -> Iterator[_Looked]:
    """What `_looked_at` gives of each block, while the next ones are read."""
    header, row, waiting = Header({}), header_row + 1, deque[Future[_Looked]]()
    with ThreadPoolExecutor(_AT_ONCE) as pool:  # polars lets go of Python's lock
        for block in blocks:
            header = header if header.names else _header(block.frame.columns, contract, where, header_row)
            waiting.append(pool.submit(_looked_at, block, header, contract, row, latest))
            row += len(block)
            if len(waiting) > _AT_ONCE:
                yield waiting.popleft().result()
        yield from (last.result() for last in waiting)


def _looked_at(block: Block, header: Header, contract: Contract, first_row: int, latest: datetime) -> _Looked:
    """What is found in one block, the hashes of its keys, and the columns that training asks about."""
    found, cells = TableCheck(contract, rows=len(block)), header.columns(block.frame)
    rows_of, spelled = dict[str, dict[str, int]](), _spelled(block, header)
    typed, problems = cast(cells, contract, first_row=first_row, spelled=spelled, rows_of=rows_of)
    problems += _in_the_future(typed, contract, latest, first_row)
    found.problems.add(problems)
    broken = [p.broken.alias(f"{p.column} {p.rule}") for p in problems if p.broken is not None]
    found.broken = pl.DataFrame(broken).select(pl.any_horizontal(pl.all()).sum()).item() if broken else 0
    _count_gaps(typed, problems, found)
    _count_texts(typed, found, rows_of)
    return found, _key_hashes(cells, typed, contract), asked_of(typed, contract)


def _spelled(block: Block, header: Header) -> Spelled | None:
    """Cells of a column of the contract as the file has them."""
    if (cells := block.spelled) is None:
        return None
    return lambda name, rows: [cell.strip() for cell in cells(header.names[name], rows)]


def _in_the_future(typed: pl.DataFrame, contract: Contract, latest: datetime, first_row: int) -> list[Problem]:
    """Rows that nobody can have measured yet; where plans are known ahead, such rows are as they should be."""
    if any(column.role == "known_future" for column in contract.columns):
        return []
    times = [typed[c.name] for c in contract.columns if c.role == "time" and c.kind in ("date", "timestamp")]
    late = [(time, (time > latest).fill_null(False)) for time in times]
    return [problem_of(mask, time, _NOT_YET, first_row) for time, mask in late if mask.any()]


def _count_gaps(typed: pl.DataFrame, problems: list[Problem], found: TableCheck) -> None:
    """Cells that are empty; one that holds what it should not is none, although it has no typed value."""
    misshapen = {p.column: p for p in problems if p.is_of_shape}
    found.misshapen += sum(problem.count for problem in misshapen.values())
    marks = [p.broken.alias(name) for name, p in misshapen.items() if p.broken is not None]
    empty = typed.select(pl.all().is_null()).with_columns(pl.col(mark.name) & ~mark for mark in marks)
    counts = empty.select(pl.all().sum(), pl.any_horizontal(pl.all()).sum().alias(_ROW)).row(0, named=True)
    found.incomplete += counts.pop(_ROW)
    found.gaps.update(counts)


def _count_texts(typed: pl.DataFrame, found: TableCheck, rows_of: dict[str, dict[str, int]]) -> None:
    for column in (c for c in found.contract.columns if c.kind == "category" and c.categories):
        rows = rows_of.get(column.name) or dict(typed[column.name].drop_nulls().value_counts().iter_rows())
        if column.role == "target":
            found.labels.update(rows)
        else:
            found.unseen[column.name] = sum(count for text, count in rows.items() if text not in column.categories)
    for column in found.contract.columns:
        if column.role == "time" and (newest := typed[column.name].max()) is not None:
            found.newest = max(found.newest, str(newest))


def _key_hashes(block: pl.DataFrame, typed: pl.DataFrame, contract: Contract) -> pl.Series:
    """One hash a row; of a whole number every digit counts, also those that a Float64 has no room for."""
    if not contract.keys:
        return pl.Series(dtype=pl.UInt64)
    exact = [
        block[name].cast(pl.Int64, strict=False).fill_null(typed[name].cast(pl.Int64, strict=False)).alias(f"{name} ")
        for name in contract.keys
        if typed[name].dtype == pl.Float64
    ]
    return typed.select(contract.keys).with_columns(exact).hash_rows()


def _count_repeated(keys: pl.Series, found: TableCheck, first_row: int) -> None:
    rows = met_again(keys)
    again = rows.filter(~keys.gather(rows).is_first_distinct())
    if again.is_empty():
        return
    found.repeated = len(again)
    examples = [(row + first_row, "its key stands above") for row in again.head(3)]
    column = ", ".join(found.contract.keys)
    found.problems.add([Problem(column, _UNIQUE, found.repeated, examples)])


def met_again(hashes: pl.Series) -> pl.Series:
    """Rows whose hash another row has: a sort and a look-up of few, a quarter of the time of a hash of all."""
    ordered = hashes.sort()
    return hashes.is_in(ordered.filter(ordered == ordered.shift()).unique().implode()).arg_true()


def _now(contract: Contract) -> datetime:
    """What the clock shows where the data come from; without a zone, where the day begins first."""
    if contract.time_zone:
        return datetime.now(ZoneInfo(contract.time_zone)).replace(tzinfo=None)
    return datetime.now(UTC).replace(tzinfo=None) + _EAST_OF_ALL
