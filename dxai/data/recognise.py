"""How a firm's file is written and where its table begins: what was recognised, said in words, and what was guessed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from dxai.data.dialect import (
    Dialect,
    dialect_of_lines,
    encoding_of,
    first_lines,
    known_encoding,
    require_encoding,
    text_layout,
    text_rows,
)
from dxai.data.excel import Sheet, open_sheet
from dxai.data.layout import Layout, layout_of
from dxai.data.tables import format_of
from dxai.errors import DataError, SettingsError


@dataclass(frozen=True)
class Given:
    """What a person says of a file; empty or 0: it is to be seen in the file."""

    sheet: str = ""
    header_row: int = 0
    encoding: str = ""


@dataclass(frozen=True)
class Recognised:
    """How a file is to be read.

    Attributes:
        dialect: As `read_blocks` takes it.
        kind: ``csv``, ``excel`` or ``parquet``.
        told: What is not as in an ordinary file, to be shown.
        guesses: By key of the dialect, what a person should decide.
    """

    dialect: Dialect
    kind: str = "csv"
    told: tuple[str, ...] = ()
    guesses: tuple[tuple[str, str], ...] = ()

    @property
    def encoding(self) -> str:
        """Of a text; the kind of another file."""
        return self.dialect.encoding if self.kind == "csv" else self.kind

    @property
    def delimiter(self) -> str:
        """Of a text; empty for another file."""
        return self.dialect.delimiter if self.kind == "csv" else ""

    @property
    def line(self) -> str:
        """What is told, on one line; empty for an ordinary file."""
        return f"read as: {'; '.join(self.told)}" if self.told else ""


def recognise(path: Path, given: Given = Given(), *, guess: bool = True) -> Recognised:
    """See how a file is written.

    Args:
        path: The file.
        given: What a person says of it.
        guess: Whether the header is looked for, and units and merged cells are taken for what they look like; else the
            header is in line 1 or where it is said to be.

    Raises:
        NotFoundError: There is no such file or sheet.
        SettingsError: Something is said that such a file does not have.
        DataError: No encoding fits, two rows look like a header, or the file is broken.
    """
    kind = _kind(path, given)
    if kind == "parquet":
        return Recognised(Dialect(), kind)
    return _text(path, given, guess) if kind == "csv" else _excel(path, given, guess)


def refuse_unfit(path: Path, given: Given) -> None:
    """Raise SettingsError or DataError where a file is not what a person says of it."""
    if _kind(path, given) == "csv" and given.encoding:
        require_encoding(path, given.encoding)


def _kind(path: Path, given: Given) -> Literal["csv", "excel", "parquet"]:
    kind = format_of(path)
    said = {"--sheet": given.sheet, "--header-row": given.header_row, "--encoding": given.encoding}
    lacks = {"csv": ("--sheet",), "excel": ("--encoding",), "parquet": tuple(said)}[kind]
    if wrong := next((option for option in lacks if said[option]), ""):
        told = f"A file of the kind {kind} has no {wrong[2:].replace('-', ' ')}."
        raise SettingsError(told, where=str(path), fix=f"Leave {wrong} away.")
    return kind


def _text(path: Path, given: Given, guess: bool) -> Recognised:
    encoding = known_encoding(given.encoding) if given.encoding else encoding_of(path)
    if given.encoding:
        require_encoding(path, encoding)
    lines = first_lines(path, encoding)
    dialect = dialect_of_lines(lines, encoding)
    rows, begins = text_rows(lines, dialect.delimiter)
    layout = _layout(text_layout(lines, dialect.delimiter, given.header_row), given, guess, "Lines", path)
    dialect = replace(dialect, header_row=layout.header_row, units_row=layout.units_row)
    below = [row for row, begin in zip(rows, begins, strict=True) if begin >= layout.header_row]
    told, guesses = _of_header(layout, below, "line", given)
    empty = len(below[0]) - len(_trimmed(below[0])) if below else 0
    told += [f"{'the last column has' if empty == 1 else f'the last {empty} columns have'} no name and is left out"] * (
        0 < empty < len(below[0])
    )
    return Recognised(dialect, "csv", tuple(told), tuple(guesses))


def _excel(path: Path, given: Given, guess: bool) -> Recognised:
    sheet = open_sheet(path, given.sheet)
    rows = sheet.texts()
    layout = layout_of(rows, given.header_row)
    if not given.header_row and any(top == layout.header_row - 1 < bottom for (top, _), (bottom, _) in sheet.merged):
        layout = replace(layout, two_headers=layout.header_row)
    layout = _layout(layout, given, guess, "Rows", path)
    told, guesses = _of_sheet(sheet, given)
    of_header, guessed = _of_header(layout, rows[layout.header_row - 1 :], "row", given)
    width = len(_trimmed(rows[layout.header_row - 1])) if layout.header_row <= len(rows) else 0
    merged = guess and bool(sheet.merged_below(layout.header_row, width))
    if merged:
        of_header.append("merged cells are filled with the value of the first")
        guessed.append(("fill_merged", "each cell of a merged range means what its first one says"))
    name = sheet.name if given.sheet or sheet.hidden or sheet.others else ""
    dialect = Dialect(
        sheet=name, header_row=layout.header_row, units_row=layout.units_row, fill_merged=merged
    )  # fmt: skip
    return Recognised(dialect, "excel", (*told, *of_header), (*guesses, *guessed))


def _layout(found: Layout, given: Given, guess: bool, rows: str, path: Path) -> Layout:
    if not guess:
        return Layout(given.header_row or 1)
    if found.two_headers:
        upper = found.two_headers
        raise DataError(
            f"{rows} {upper} and {upper + 1} both look like a header.", where=str(path),
            fix=f"Put both into one row, or name one that has a name for every column: --header-row {upper + 1}.",
        )  # fmt: skip
    return found


def _of_sheet(sheet: Sheet, given: Given) -> tuple[list[str], list[tuple[str, str]]]:
    if given.sheet or not (sheet.hidden or sheet.others):
        return [], []
    told = [f"sheet {sheet.name!r}"]
    told += [f"hidden and left out: {', '.join(sheet.hidden)}"] * bool(sheet.hidden)
    told += [f"other sheets: {', '.join(sheet.others)} (--sheet)"] * bool(sheet.others)
    return told, [("sheet", "; ".join(told[1:]))]


def _of_header(
    layout: Layout, rows: Sequence[Sequence[str]], line: str, given: Given
) -> tuple[list[str], list[tuple[str, str]]]:
    """What is said of the header and the rows below it, and what was guessed of them."""
    told, guesses = list[str](), list[tuple[str, str]]()
    if layout.header_row > 1:
        told.append(f"header in {line} {layout.header_row}")
        guesses += (
            [] if given.header_row else [("header_row", f"what stands above {line} {layout.header_row} is left out")]
        )
    if layout.units_row:
        told.append(f"units in {line} {layout.header_row + 1}")
        guesses.append(("units_row", f"{line} {layout.header_row + 1} holds units, no data"))
    names = rows[0] if rows else []
    if len(_trimmed(names)) > 1 and not names[0].strip():
        first = [row[0].strip() for row in rows[1 + layout.units_row :] if row]
        counts = (
            bool(first) and all(cell.isdigit() for cell in first) and int(first[-1]) - int(first[0]) == len(first) - 1
        )
        told.append(f"the first column has no name and is called 'unnamed_1'{', it counts the rows' if counts else ''}")
    return told, guesses


def _trimmed(names: Sequence[str]) -> list[str]:
    """Less the empty ones at the end."""
    last = len(names)
    while last and not names[last - 1].strip():
        last -= 1
    return list(names[:last])
