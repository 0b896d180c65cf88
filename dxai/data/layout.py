"""Where a table begins among the first rows of a file, and whether a row of units stands below its header."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from dxai.errors import DataError
from dxai.units import of_header, understand

_NUMBER = re.compile(r"[+\-−]?\d[\d., ']*(?:[eE][+-]?\d+)?\s*%?")
_GAPS = {"", "-", "–", "—", "na", "n/a", "nan", "nd", "null", "none"}
_CLEAR_UNIT = re.compile(r"[^\W\d_].*[^\W\d_]|[%°]|[^\x00-\x7f]")
_MOSTLY = 0.8
_PAIR = 2
"""Cells of a line such as ``Operator;Kim`` above a table."""


@dataclass(frozen=True)
class Layout:
    """Which of the first rows of a file are its header and its units.

    Attributes:
        header_row: Counted from 1.
        units_row: Whether the row below the header holds units.
        two_headers: The upper one of two rows that both look like a header; 0: there is one.
    """

    header_row: int = 1
    units_row: bool = False
    two_headers: int = 0

    @property
    def first_row(self) -> int:
        """Of the data, counted from 1."""
        return self.header_row + 1 + self.units_row


Row = Sequence[str]

UNITS_HOW = (
    "Convert it with `units_row: true` in the mapping's `file:` (`dxai data init` writes it), or take the row away."
)
"""What to do about a row of units."""


def how(header_row: int | str) -> str:
    """What to do about a header that is in another row."""
    return f"`dxai data convert --header-row {header_row}`, or `header_row: {header_row}` in the mapping's `file:`"


def layout_of(rows: Sequence[Row], header_row: int = 0) -> Layout:
    """Recognise the layout of a file from its first rows, blank ones included.

    The header is the first row that fills more than half of the columns in use further below. Lines of one or two
    cells with a blank line behind them are a preamble, where a row of names over numbers follows.

    Args:
        rows: Cells; of a blank line none.
        header_row: Where a person says that the header is; 0 looks for it.
    """
    used = sorted(set[int]().union(*map(_filled, rows[len(rows) // 2 :])))
    at = header_row - 1 if header_row else _header_at(rows, used)
    if at >= len(rows):
        return Layout(at + 1)
    numeric = _numeric(rows[at + 2 :], used)
    units = at + 1 < len(rows) and _is_of_units(rows[at + 1], numeric)
    upper = 0
    if not header_row and not units:
        upper = at if _is_spread(rows[at - 1] if at else ()) else at + 1 if _is_second(rows, at, numeric) else 0
    return Layout(at + 1, units, upper)


def with_units(names: Sequence[str], units: Sequence[str]) -> list[str]:
    """Names with the units that stand below them, in brackets: ``온도 (℃)``; one that a name already shows, once.

    >>> with_units(["lot", "heat", "p (MPa)"], ["-", "℃", "MPa"])
    ['lot', 'heat (℃)', 'p (MPa)']
    """
    below = [*(unit.strip() for unit in units), *[""] * (len(names) - len(units))]
    return [_with_unit(name.strip(), unit) for name, unit in zip(names, below, strict=False)]


def _with_unit(name: str, unit: str) -> str:
    unit = unit[1:-1].strip() if re.fullmatch(r"[(\[].*[)\]]", unit) else unit
    return name if unit.casefold() in _GAPS or not name or of_header(name)[1] == unit else f"{name} ({unit})"


def _filled(row: Row) -> set[int]:
    return {i for i, cell in enumerate(row) if cell.strip()}


def _is_number(cell: str) -> bool:
    return bool(_NUMBER.fullmatch(cell.strip()))


def _header_at(rows: Sequence[Row], used: Sequence[int]) -> int:
    filled = [_filled(row) for row in rows]
    first = next((i for i, cells in enumerate(filled) if cells and 2 * len(cells) > len(used)), 0)
    for blank in range(first + 1, len(rows) - 2):
        if len(filled[blank - 1]) > _PAIR:
            break
        names = rows[blank + 1]
        if filled[blank] or not filled[blank + 1].issuperset(used) or not used:
            continue
        if not any(map(_is_number, names)) and _numeric(rows[blank + 2 :], used):
            return blank + 1
    return first


def _numeric(rows: Sequence[Row], used: Sequence[int]) -> list[int]:
    """Columns of which nearly all cells are numbers."""
    found = []
    for i in used:
        cells = [row[i] for row in rows if i < len(row) and row[i].strip().casefold() not in _GAPS]
        if cells and sum(map(_is_number, cells)) >= _MOSTLY * len(cells):
            found.append(i)
    return found


def _is_of_units(row: Row, numeric: Sequence[int]) -> bool:
    """Whether most of what the row says is units, at least one over numbers, and nothing over numbers is a number.

    The unit 1 alone makes no such row, nor does one letter or mark in all places, which may be a value.
    """
    cells = {i: cell.strip() for i, cell in enumerate(row) if cell.strip().casefold() not in {*_GAPS, "1"}}
    over = [i for i in numeric if i in cells]
    clear = any(_CLEAR_UNIT.search(cells[i]) for i in over) or (len({cells[i] for i in over}) > 1 and len(cells) > 1)
    if not clear or not all(_is_unit(cells[i]) for i in over):  # first: a row of values never asks what a unit is,
        return False  # whose grammar takes a fifth of a second to load
    return 2 * sum(map(_is_unit, cells.values())) > len(cells)


def _is_unit(cell: str) -> bool:
    if _is_number(cell):
        return False
    try:
        understand(cell[1:-1] if re.fullmatch(r"[(\[].+[)\]]", cell) else cell)
    except DataError:
        return False
    return True


def _is_spread(above: Row) -> bool:
    """Whether the row above the header names groups of columns; a title or a pair at its left end does not."""
    filled = _filled(above)
    return len(filled) > 1 and not filled <= {0, 1}


def _is_second(rows: Sequence[Row], at: int, numeric: Sequence[int]) -> bool:
    """Whether the row below the header has a name of its own over every column of numbers."""
    below = rows[at + 1] if at + 1 < len(rows) else ()
    cells = [below[i].strip() for i in numeric if i < len(below)]
    names = [cell for cell in cells if cell.casefold() not in _GAPS and not re.search(r"\d", cell)]
    return len(numeric) > 1 and len(names) == len(numeric) and len(set(names)) > 1
