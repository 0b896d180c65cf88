"""The description of a table on the terminal: what to look at, then the columns."""

from __future__ import annotations

from itertools import groupby

from rich.console import Console
from rich.table import Table
from rich.text import Text

from dxai.intake.describe.record import ColumnDescription, Description
from dxai.intake.describe.words import TYPES, distinct, ends, percent, shortened

_COLUMNS = 40
_OF_A_KIND = 5
_STYLES = {"care": "yellow", "note": "dim"}


def show(description: Description, *, console: Console | None = None, everything: bool = False) -> None:
    """Print the suspicions and the columns; of many columns those that need a look, unless everything is asked for."""
    console = console or Console()
    for line in _head(description):
        console.print(line, markup=False, highlight=False)
    found = _suspicions(description, most=len(description.suspicions) if everything else _OF_A_KIND)
    console.print(found if description.suspicions else "Nothing suspicious was found.")
    columns = description.columns if everything else _foremost(description)
    console.print(_table(description, columns))
    left_out = len(description.columns) - len(columns)
    if left_out:
        console.print(f"{left_out:,} more columns: --all shows them.", highlight=False)


def _head(seen: Description) -> list[str]:
    about = (seen.where and shortened(seen.where), seen.encoding, seen.delimiter and repr(seen.delimiter))
    count = (
        f"{seen.rows:,} rows, {len(seen.columns):,} columns, {percent(seen.share_of_gaps or 0)} of the cells are gaps, "
        f"{seen.duplicates:,} repeated rows"
    )
    sampled = f"what concerns several columns rests on {seen.sampled:,} rows drawn at random"
    lines = (seen.where and ", ".join(filter(None, about)), count, sampled if seen.sampled < seen.rows else "")
    return list(filter(None, lines))


def _suspicions(description: Description, most: int) -> Table:
    """The suspicions, of each kind so many."""
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 1, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for _, group in groupby(description.suspicions, key=lambda suspicion: suspicion.kind):
        found = list(group)
        style = _STYLES[found[0].grade]
        for suspicion in found[:most]:
            table.add_row(Text(suspicion.name.en, style), Text(suspicion.message.en))
        if found[most:]:
            table.add_row("", Text(f"… and {len(found) - most:,} more of this kind", style))
    return table


def _foremost(description: Description) -> tuple[ColumnDescription, ...]:
    """Columns in the order of the file; of too many the target and those with the weightiest suspicions."""
    names = [description.target, *(name for suspicion in description.suspicions for name in suspicion.columns)]
    names += [column.name for column in description.columns]
    kept = set(list(dict.fromkeys(filter(None, names)))[:_COLUMNS])
    return tuple(column for column in description.columns if column.name in kept)


def _table(description: Description, columns: tuple[ColumnDescription, ...]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("column", max_width=34, overflow="fold")
    for head in ("type", "unit"):
        table.add_column(head, no_wrap=True)
    for head in ("gaps", "different"):
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("range or commonest", max_width=34, overflow="fold")
    table.add_column("look at", overflow="fold")
    for column in columns:
        commonest = ", ".join(shortened(text, 20) for text, _ in column.frequent[:3])
        cells = (
            shortened(column.name) + (" (target)" if column.name == description.target else ""),
            TYPES[column.type].en, column.unit or shortened(column.unit_text, 12),
            percent(column.gaps / column.rows) if column.gaps else "", distinct(column),
            " … ".join(ends(column)) or commonest,
            ", ".join(dict.fromkeys(suspicion.name.en for suspicion in description.about(column.name))),
        )  # fmt: skip
        table.add_row(*map(Text, cells))
    return table
