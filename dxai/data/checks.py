"""Frame against contract: every problem of a table in one message, with column, rule, rows and value."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import polars as pl

from dxai.contract import Column, Contract
from dxai.errors import DataError, bullet_list, nearest

_EXAMPLES = 3


@dataclass
class Problem:
    """One rule that one column breaks, with its first rows (file line numbers) and values."""

    column: str
    rule: str
    count: int
    examples: list[tuple[int, str]] = field(default_factory=list)

    def __str__(self) -> str:
        """One sentence for a person."""
        rows = ", ".join(f"row {row}: {value!r}" for row, value in self.examples)
        broken = "1 row breaks that" if self.count == 1 else f"{self.count:,} rows break that"
        return f"Column {self.column!r} {self.rule}, however {broken} ({rows})."


class Problems:
    """Collects the problems of a table that is read block by block."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], Problem] = {}

    def add(self, new: Iterable[Problem]) -> None:
        """Merge the problems of one more block."""
        for problem in new:
            known = self._found.setdefault((problem.column, problem.rule), Problem(problem.column, problem.rule, 0))
            known.count += problem.count
            known.examples += problem.examples[: _EXAMPLES - len(known.examples)]

    def refuse(self, where: str) -> None:
        """Raise one DataError that tells all problems; return when there are none."""
        if self._found:
            raise DataError(
                bullet_list(map(str, self._found.values())),
                where=where,
                fix="Correct these cells. Where a column may be missing, leave the cell of an unknown value empty.",
            )

    def __bool__(self) -> bool:
        """Whether any problem was found."""
        return bool(self._found)


def check_header(names: Sequence[str], contract: Contract, *, target: bool, extra: bool = False, where: str) -> None:
    """Refuse a table whose columns are not the contract's; order does not matter.

    Args:
        names: Column names of the table.
        contract: What the columns should be.
        target: Whether the target must be there; otherwise it may.
        extra: Whether further columns are let through.
        where: The file, for the message.

    Raises:
        DataError: Missing or unknown columns, with the likely misspelling.
    """
    needed = [c for c in contract.columns if target or c.role != "target" or contract.task == "demand"]
    missing = {c.name: c for c in needed if c.name not in names}
    unknown = [name for name in names if name not in contract.names]
    meant = {name: nearest(name.lower().replace(" ", "_"), missing) for name in unknown}
    problems = [f"Column {name!r} ({column.title_en}) is missing." for name, column in missing.items()]
    for name in unknown:
        if meant[name]:
            problems.append(f"Column {name!r} is not in the contract: did you mean {meant[name]!r}?")
        elif not extra:
            problems.append(f"Column {name!r} is not in the contract.")
    if problems:
        fix = f"The columns are: {', '.join(c.name for c in needed)}."
        own = "" if extra or target else " Own columns go through with --keep-extra."
        raise DataError(bullet_list(problems), where=where, fix=fix + own)


def cast(frame: pl.DataFrame, contract: Contract, *, first_row: int = 2) -> tuple[pl.DataFrame, list[Problem]]:
    """Text to numbers, dates and categories by the contract; columns outside it are left out.

    Args:
        frame: Text columns, null where a cell is empty; blanks count as empty.
        contract: Kinds, ranges and required columns.
        first_row: File line number of the first row, for messages.

    Returns:
        The typed frame (Float64, Date, String) in contract order, and the problems found.
    """
    columns = [c for c in contract.columns if c.name in frame.columns]
    text = frame.select(pl.col(c.name).str.strip_chars().replace("", None) for c in columns)
    typed = text.select(_typed(c) for c in columns)
    return typed, [p for c in columns for p in _broken_rules(c, text[c.name], typed[c.name], first_row)]


def _typed(column: Column) -> pl.Expr:
    text = pl.col(column.name)
    if column.kind == "number":
        return text.cast(pl.Float64, strict=False)
    if column.kind == "date":
        return text.str.to_date("%Y-%m-%d", strict=False)
    return text


def _broken_rules(column: Column, text: pl.Series, value: pl.Series, first_row: int) -> list[Problem]:
    kind = "numbers" if column.kind == "number" else "dates like 2011-12-04"
    rules = {f"holds {kind}": text.is_not_null() & value.is_null()}
    if column.required:
        rules["must not be empty"] = text.is_null()
    if column.kind == "number":
        finite = value.is_finite()
        rules["holds finite numbers"] = ~finite
        if column.minimum is not None:
            rules[f"is at least {_in_unit(column.minimum, column)}"] = finite & (value < column.minimum)
        if column.maximum is not None:
            rules[f"is at most {_in_unit(column.maximum, column)}"] = finite & (value > column.maximum)
    return [
        Problem(column.name, rule, int(bad.sum()), _examples(bad, text, first_row))
        for rule, broken in rules.items()
        if (bad := broken.fill_null(False)).any()
    ]


def _in_unit(value: float, column: Column) -> str:
    return f"{value:g}" + ("" if column.unit == "1" else f" {column.unit}")


def _examples(bad: pl.Series, text: pl.Series, first_row: int) -> list[tuple[int, str]]:
    return [(first_row + i, text[i] or "") for i in bad.arg_true().head(_EXAMPLES).to_list()]
