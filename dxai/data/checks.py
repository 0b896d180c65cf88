"""Frame against contract: every problem of a table in one message, with column, rule, rows and value."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import polars as pl

from dxai.contract import Column, Contract
from dxai.errors import DataError, bullet_list, nearest

_EXAMPLES, _LONGEST_EXAMPLE = 3, 80
_LOOKS = {
    "number": "numbers", "date": "dates like 2011-12-04", "timestamp": "times like 2011-12-04 13:30:00",
    "category": "texts",
}  # fmt: skip
_UNIT_BEHIND = re.compile(r"\s*[(\[][^()\[\]]*[)\]]$")


@dataclass
class Problem:
    """One rule that one column breaks, with its first rows (file line numbers) and values.

    ``broken`` marks the rows of the block that was checked.
    """

    column: str
    rule: str
    count: int
    examples: list[tuple[int, str]] = field(default_factory=list)
    broken: pl.Series | None = None

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
                self.told(),
                where=where,
                fix="Correct these cells. Where a column may be missing, leave the cell of an unknown value empty.",
            )

    def told(self) -> str:
        """All problems as one message body."""
        return bullet_list(map(str, self._found.values()))

    def __iter__(self) -> Iterator[Problem]:
        """The problems, one per column and rule."""
        return iter(self._found.values())

    def __bool__(self) -> bool:
        """Whether any problem was found."""
        return bool(self._found)


def match_header(names: Sequence[str], contract: Contract, *, target: bool, where: str) -> dict[str, str]:
    """The contract's columns under the names that a file gives them; order does not matter, other columns may be there.

    A column goes by its id or by its English or Korean title, upper or lower case, a unit in brackets behind it or not:
    ``fly_ash``, ``Fly ash``, ``플라이애시 (kg/m3)``.

    Args:
        names: Column names of the table.
        contract: What the columns should be.
        target: Whether all columns must be there, the target too; otherwise only what a prediction needs.
        where: The file, for the message.

    Returns:
        The table's name of each column, by id, in contract order.

    Raises:
        DataError: Missing columns, with the likely misspelling, or two that mean the same.
    """
    needed = [c for c in contract.columns if target or c.role == "feature" or contract.task == "demand"]
    meant = {name: _meaning(name, contract) for name in names}
    strangers = {_plain(name).replace("_", " "): name for name, meaning in meant.items() if meaning is None}
    problems = []
    for column in needed:
        if column.name not in meant.values():
            hint = nearest(column.name.replace("_", " "), strangers) or nearest(column.title_ko, strangers)
            told = f" Is it {strangers[hint]!r}?" if hint else ""
            problems.append(f"Column {column.name!r} ({column.title_en}, {column.title_ko}) is missing.{told}")
    for column in contract.columns:
        same = [name for name, meaning in meant.items() if meaning == column.name]
        if len(same) > 1:
            problems.append(f"The columns {' and '.join(map(repr, same))} both mean {column.name!r}.")
    if problems:
        raise DataError(
            bullet_list(problems), where=where, fix=f"The columns are: {', '.join(c.name for c in needed)}."
        )
    found = {meaning: name for name, meaning in meant.items() if meaning}
    return {c.name: found[c.name] for c in contract.columns if c.name in found}


def _meaning(name: str, contract: Contract) -> str | None:
    """Id of the column that a file's column name stands for; a title that two columns share stands for none."""
    if name in contract.names:
        return name
    plain = _plain(name)
    ids = [c.name for c in contract.columns if plain in (_plain(c.name), _plain(c.title_en), _plain(c.title_ko))]
    return ids[0] if len(ids) == 1 else None


def _plain(name: str) -> str:
    """A name less case, outer blanks and a unit in brackets; Korean syllables composed, which macOS takes apart."""
    text = unicodedata.normalize("NFC", name).strip().casefold()
    return _UNIT_BEHIND.sub("", text).strip()


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
    typed = pl.DataFrame([typed_column(text[c.name], c) for c in columns])
    return typed, violations(text, typed, contract, first_row=first_row)


def typed_column(text: pl.Series, column: Column) -> pl.Series:
    """Text to what the contract says; null where it is none."""
    if column.kind == "number":
        return text.cast(pl.Float64, strict=False)
    if column.kind == "date":
        return _dates(text)
    if column.kind == "timestamp":
        midnight = _dates(text).cast(pl.Datetime("us"))
        stamp = text.str.to_datetime("%Y-%m-%d %H:%M:%S%.f", strict=False, time_unit="us")
        return stamp.zip_with(stamp.is_not_null(), midnight)
    return text


def _dates(text: pl.Series) -> pl.Series:
    """ISO dates; polars alone would read 26-02-03 as a day of the year 26."""
    return text.set(~text.str.contains(r"^\d{4}-"), None).str.to_date("%Y-%m-%d", strict=False)


def violations(text: pl.DataFrame, typed: pl.DataFrame, contract: Contract, *, first_row: int) -> list[Problem]:
    """What breaks the contract, cell by cell; ``text`` and ``typed`` hold the same columns under their ids."""
    columns = [c for c in contract.columns if c.name in typed.columns]
    return [p for c in columns for p in _broken_rules(c, text[c.name], typed[c.name], first_row)]


def _broken_rules(column: Column, text: pl.Series, value: pl.Series, first_row: int) -> list[Problem]:
    rules = {f"holds {_LOOKS[column.kind]}": text.is_not_null() & value.is_null()}
    if column.required:
        rules["must not be empty"] = text.is_null()
    if column.kind == "number":
        finite = value.cast(pl.Float32).is_finite()  # what the graph takes: 1e39 is infinite there
        rules["holds finite numbers"] = ~finite
        if column.minimum is not None:
            rules[f"is at least {_in_unit(column.minimum, column)}"] = finite & (value < column.minimum)
        if column.maximum is not None:
            rules[f"is at most {_in_unit(column.maximum, column)}"] = finite & (value > column.maximum)
    return [
        Problem(column.name, rule, int(bad.sum()), _examples(bad, text, first_row), bad)
        for rule, broken in rules.items()
        if (bad := broken.fill_null(False)).any()
    ]


def _in_unit(value: float, column: Column) -> str:
    return f"{value:g}" + ("" if column.unit == "1" else f" {column.unit}")


def _examples(bad: pl.Series, text: pl.Series, first_row: int) -> list[tuple[int, str]]:
    return [(first_row + i, _shortened(text[i] or "")) for i in bad.arg_true().head(_EXAMPLES).to_list()]


def _shortened(value: str) -> str:
    return value if len(value) <= _LONGEST_EXAMPLE else f"{value[:_LONGEST_EXAMPLE]}…"
