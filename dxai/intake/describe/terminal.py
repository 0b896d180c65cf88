"""The description of a table on the terminal: what to look at, then the columns."""

from __future__ import annotations

from collections import Counter

from rich.console import Console
from rich.table import Table
from rich.text import Text

from dxai.intake.describe import words
from dxai.intake.describe.record import ColumnDescription, Description

_COLUMNS = 40
_OF_A_KIND = 5
_STYLES = {"care": "yellow", "note": "dim"}


def show(description: Description, *, console: Console | None = None, everything: bool = False) -> None:
    """Print the suspicions and the columns; of many columns those that need a look, unless everything is asked for."""
    console = console or Console()
    for line in _head(description):
        console.print(line, markup=False, highlight=False)
    _show_suspicions(description, console, everything=everything)
    columns = description.columns if everything else _foremost(description)
    console.print(_table(description, columns))
    left_out = len(description.columns) - len(columns)
    if left_out:
        console.print(f"{left_out:,} more columns: --all shows them.", highlight=False)


def _head(description: Description) -> list[str]:
    gaps = sum(column.gaps for column in description.columns)
    cells = max(1, description.rows * len(description.columns))
    written = filter(None, (description.encoding, repr(description.delimiter) if description.delimiter else ""))
    about = ", ".join([words.shortened(description.where), *written]) if description.where else ""
    count = (
        f"{description.rows:,} rows, {len(description.columns):,} columns, {words.percent(gaps / cells)} of the "
        f"cells are gaps, {description.duplicates:,} repeated rows"
    )
    sampled = f"what concerns several columns rests on {description.sampled:,} rows drawn at random"
    return [*([about] if about else []), count, *([sampled] if description.sampled < description.rows else [])]


def _show_suspicions(description: Description, console: Console, *, everything: bool) -> None:
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 1, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    counts = Counter(suspicion.kind for suspicion in description.suspicions)
    shown: Counter[str] = Counter()
    for suspicion in description.suspicions:
        shown[suspicion.kind] += 1
        style = _STYLES[suspicion.grade]
        if everything or shown[suspicion.kind] <= _OF_A_KIND:
            kind = words.KINDS[suspicion.kind].en
            table.add_row(Text(kind, style), Text(suspicion.message.en))
        elif shown[suspicion.kind] == counts[suspicion.kind]:
            table.add_row("", Text(f"… and {counts[suspicion.kind] - _OF_A_KIND:,} more of this kind", style))
    console.print(table if description.suspicions else "Nothing suspicious was found.")


def _foremost(description: Description) -> tuple[ColumnDescription, ...]:
    """Columns in the order of the file; of too many the target and those with the weightiest suspicions."""
    if len(description.columns) <= _COLUMNS:
        return description.columns
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
    about: dict[str, list[str]] = {}
    for suspicion in description.suspicions:
        for name in suspicion.columns:
            about.setdefault(name, []).append(words.KINDS[suspicion.kind].en)
    for column in columns:
        look = ", ".join(dict.fromkeys(about.get(column.name, [])))
        table.add_row(*map(Text, (*_cells(description, column), look)))
    return table


def _cells(description: Description, column: ColumnDescription) -> tuple[str, ...]:
    name = words.shortened(column.name) + (" (target)" if column.name == description.target else "")
    commonest = ", ".join(words.shortened(text, 20) for text, _ in column.frequent[:3])
    distinct = "> 10,000" if column.distinct is None else f"{column.distinct:,}"
    return (
        name, words.TYPES[column.type].en, column.unit or words.shortened(column.unit_text, 12),
        words.percent(column.gaps / column.rows) if column.gaps else "", distinct,
        " … ".join(words.ends(column)) or commonest,
    )  # fmt: skip
