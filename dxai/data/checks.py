"""Frame against contract: every problem of a table in one message, with column, rule, rows and value."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date

import polars as pl

from dxai.contract import Column, Contract
from dxai.data.calendar import with_holidays
from dxai.data.tables import as_text
from dxai.errors import DataError, bullet_list

_EXAMPLES, _LONGEST_EXAMPLE, _LISTED = 3, 80, 7
_LOOKS = {
    "number": "numbers", "date": "dates like 2011-12-04", "timestamp": "times like 2011-12-04 13:30:00",
    "category": "texts",
}  # fmt: skip
FINITE, REQUIRED = "holds finite numbers", "must not be empty"
_SHAPES = {kind: f"holds {looks}" for kind, looks in _LOOKS.items()}
_LOWEST = -3.4e38
"""Near the lowest number of a Float32, which is what the graph takes."""
_DAY = "[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}"
_DATED = {
    "date": f"^{_DAY}$",
    "timestamp": rf"^{_DAY}([ T][0-9]{{1,2}}:[0-9]{{1,2}}(:[0-5]?[0-9](\.[0-9]{{1,6}}0*)?)?)?$",
}
"""What is read as a date or time: polars alone would take 26-02-03 as of the year 26, and any blanks between."""
_STAMP = pl.Datetime("us")
_STAMPS = {10: "%Y-%m-%d", 16: "%Y-%m-%d{}%H:%M", 19: "%Y-%m-%d{}%H:%M:%S", 26: "%Y-%m-%d{}%H:%M:%S.%6f"}
_ANY_STAMP = "%Y-%m-%d %H:%M:%S%.f"


Spelled = Callable[[str, Iterable[int]], list[str]]


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

    @property
    def is_of_shape(self) -> bool:
        """Whether its cells are not written as the contract's kind of column is."""
        return self.rule in _SHAPES.values()

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


def cast(
    frame: pl.DataFrame,
    contract: Contract,
    *,
    first_row: int = 2,
    spelled: Spelled | None = None,
    rows_of: dict[str, dict[str, int]] | None = None,
) -> tuple[pl.DataFrame, list[Problem]]:
    """Cells to numbers, dates and categories by the contract; columns outside it are left out.

    Args:
        frame: Text columns, null where a cell is empty, blanks count as empty; or Parquet's own types.
        contract: Kinds, ranges and required columns.
        first_row: File line number of the first row, for messages.
        spelled: Cells of a column in some rows as the file has them, for messages; None: as in the frame.
        rows_of: Filled with the rows of each category, by column, of the columns that hold listed ones only.

    Returns:
        The typed frame (Float64, Date, Datetime, String) in contract order, columns with a calendar filled by it, and
        the problems found.
    """
    columns = [c for c in contract.columns if c.name in frame.columns]
    counts = dict[str, dict[str, int]]() if rows_of is None else rows_of
    cells = frame.select(_standing(frame[c.name], c, counts) for c in columns)
    typed = cells.lazy().select(_typed(c, cells.schema[c.name]) for c in columns).collect()
    hidden = [
        pl.col(c.name).str.strip_chars().replace("", None)
        for c in columns  # blanks around a number are rare, and costly to look for
        if cells.schema[c.name] == pl.String and typed[c.name].null_count() > cells[c.name].null_count()
    ]
    if hidden:
        cells = cells.with_columns(hidden)
        typed = cells.lazy().select(_typed(c, cells.schema[c.name]) for c in columns).collect()
    found = violations(cells, typed, contract, first_row=first_row, spelled=spelled, listed=counts)
    return with_holidays(typed, contract), found


def _standing(cells: pl.Series, column: Column, rows_of: dict[str, dict[str, int]]) -> pl.Series | pl.Expr:
    """The cells as they stand there, as text unless they are stored as what the contract says."""
    if column.kind == "category":
        text = cells if cells.dtype == pl.String else as_text(cells.to_frame()).to_series()
        if column.categories:
            counts = dict(text.drop_nulls().value_counts().iter_rows())
            if counts.keys() <= set(column.categories):
                rows_of[column.name] = counts
                return text
        return text.str.strip_chars().replace("", None)
    if cells.dtype == pl.String:
        return pl.col(column.name)
    if cells.dtype == pl.Float64 and column.kind == "number":
        return pl.col(column.name).fill_nan(None)
    own = {"number": cells.dtype.is_integer(), "date": cells.dtype == pl.Date, "timestamp": cells.dtype == _STAMP}
    return pl.col(column.name) if own[column.kind] else as_text(cells.to_frame()).to_series()


def typed_column(text: pl.Series, column: Column) -> pl.Series:
    """Text to what the contract says; null where it is none."""
    cells = text.alias(column.name).to_frame()
    return cells.lazy().select(_typed(column, pl.String)).collect().to_series().alias(text.name)


def _typed(column: Column, dtype: pl.DataType | type[pl.DataType]) -> pl.Expr:
    """Cells of this type as what the contract says; null where they are none."""
    cells = pl.col(column.name)
    if column.kind == "number":
        return cells.cast(pl.Float64, strict=False)
    if column.kind == "category":
        return cells
    if dtype != pl.String:
        return pl.when(cells.is_between(date.min, date.max)).then(cells)
    dated = pl.when(cells.str.contains(_DATED[column.kind])).then(cells)
    if column.kind == "date":
        return dated.str.to_date("%Y-%m-%d", strict=False, cache=False)
    return dated.map_batches(_timestamps, return_dtype=_STAMP)


def _timestamps(text: pl.Series) -> pl.Series:
    """ISO 8601 stamps, a date being its midnight; polars reads one shape of known length five times faster than any."""
    if not (known := text.drop_nulls().head(1).to_list()):
        return text.cast(_STAMP)
    shape = _STAMPS.get(len(known[0]), _STAMPS[19]).format(known[0][10:11])
    same = text.set(text.str.len_bytes() != len(known[0]), None)
    found = same.str.to_datetime(shape, strict=False, time_unit="us", cache=False)
    if found.null_count() == text.null_count():
        return found
    others = text.set(found.is_not_null(), None).str.replace("T", " ", literal=True)
    others = others.str.replace(r"^(\S+ \d+:\d+)$", "$1:00")
    days = others.str.to_datetime(_STAMPS[10], strict=False, time_unit="us")
    return found.zip_with(
        found.is_not_null(), others.str.to_datetime(_ANY_STAMP, strict=False, time_unit="us")
    ).zip_with(found.is_not_null() | days.is_null(), days)


def violations(
    text: pl.DataFrame,
    typed: pl.DataFrame,
    contract: Contract,
    *,
    first_row: int,
    spelled: Spelled | None = None,
    listed: Container[str] = (),
) -> list[Problem]:
    """What breaks the contract, cell by cell; ``text`` and ``typed`` hold the same columns under their ids.

    ``listed`` names columns that are known to hold listed categories only.
    """
    columns = [c for c in contract.columns if c.name in typed.columns]
    admitted = typed.lazy().select(_admitted(c, listed) for c in columns).collect().row(0)
    suspect = [
        c
        for c, sound in zip(columns, admitted, strict=True)
        if not sound or typed[c.name].null_count() > (0 if c.required else text[c.name].null_count())
    ]
    return [
        problem
        for c in suspect
        for problem in _broken_rules(
            c, text[c.name], typed[c.name], first_row, None if text.schema[c.name] == pl.String else spelled
        )
    ]


def _admitted(column: Column, listed: Container[str]) -> pl.Expr:
    """Whether no value of the column can break a rule: one look, where `_broken_rules` takes several."""
    value = pl.col(column.name)
    if column.kind == "number":
        low = max(_LOWEST, _LOWEST if column.minimum is None else column.minimum)
        high = min(-_LOWEST, -_LOWEST if column.maximum is None else column.maximum)
        return value.is_between(low, high).all()
    if _is_class(column) and column.name not in listed:
        return value.is_in(column.categories).all()
    return pl.lit(True).alias(column.name)


def _is_class(column: Column) -> bool:
    return column.role == "target" and column.kind == "category" and bool(column.categories)


def _broken_rules(
    column: Column, text: pl.Series, value: pl.Series, first_row: int, spelled: Spelled | None
) -> list[Problem]:
    rules = {_SHAPES[column.kind]: text.is_not_null() & value.is_null()}
    if column.required:
        rules[REQUIRED] = text.is_null()
    if column.kind == "number":
        finite = value.cast(pl.Float32).is_finite()  # what the graph takes: 1e39 is infinite there
        rules[FINITE] = ~finite
        if column.minimum is not None:
            rules[f"is at least {_in_unit(column.minimum, column)}"] = finite & (value < column.minimum)
        if column.maximum is not None:
            rules[f"is at most {_in_unit(column.maximum, column)}"] = finite & (value > column.maximum)
    if _is_class(column):
        rules[f"is one of {_listed(column.categories)}"] = ~value.is_in(column.categories)
    broken = {rule: mask.fill_null(False) for rule, mask in rules.items()}
    return [problem_of(mask, text, rule, first_row, spelled) for rule, mask in broken.items() if mask.any()]


def lookalikes(typed: pl.DataFrame, contract: Contract, *, first_row: int) -> list[Problem]:
    """Cells that the contract lists in another spelling: ``1`` for ``01``, ``y`` for ``Y``, ``3.0`` for ``3``.

    The model would take them for categories that it never saw: a program on the way has changed them.
    """
    found = []
    for column in (c for c in contract.features if c.categories and c.name in typed.columns):
        known = {_likeness(text): text for text in column.categories}
        strange = typed[column.name].drop_nulls().unique()
        meant = {text: known.get(_likeness(text)) for text in strange if text not in column.categories}
        for text, listed in sorted((text, listed) for text, listed in meant.items() if listed is not None):
            cells = typed[column.name]
            found.append(problem_of(cells.eq(text).fill_null(False), cells, f"calls it {listed!r}", first_row))
    return found


def _likeness(text: str) -> str:
    """A text less what spreadsheets and readers change: case, width, blanks, leading zeros, ``.0``."""
    plain = unicodedata.normalize("NFKC", text).strip().casefold()
    return re.sub(r"^0+(?=\w)|\.0+$", "", plain)


def problem_of(
    broken: pl.Series, cells: pl.Series, rule: str, first_row: int, spelled: Spelled | None = None
) -> Problem:
    """The problem of the marked cells of a column."""
    rows = broken.arg_true().head(_EXAMPLES).to_list()
    texts = spelled(cells.name, rows) if spelled else cells.gather(rows).cast(pl.String).fill_null("")
    examples = [(first_row + row, _shortened(text)) for row, text in zip(rows, texts, strict=True)]
    return Problem(cells.name, rule, int(broken.sum()), examples, broken)


def _in_unit(value: float, column: Column) -> str:
    return f"{value:g}" + ("" if column.unit == "1" else f" {column.unit}")


def _listed(texts: Sequence[str]) -> str:
    return ", ".join(map(repr, texts[:_LISTED])) + (f" or {len(texts) - _LISTED} more" if len(texts) > _LISTED else "")


def _shortened(value: str) -> str:
    return value if len(value) <= _LONGEST_EXAMPLE else f"{value[:_LONGEST_EXAMPLE]}…"
