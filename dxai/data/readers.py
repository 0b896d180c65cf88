"""CSV to frames of text, strictly: one decode ladder, no type sniffing, no repair."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import polars as pl

from dxai.data.compressed import opened, opened_text
from dxai.data.dialect import Dialect, encoding_of
from dxai.errors import DataError, bullet_list

_BLOCK = 1 << 20
_LONGEST_CELL = (1 << 31) - 1


def read_csv(path: Path, *, rows: int = 50_000, dialect: Dialect | None = None) -> Iterator[pl.DataFrame]:
    """Frames of at most ``rows`` text rows each; at least one frame, even for a file with a header only.

    Empty cells become null. Comma separated unless a dialect says otherwise, quotes as in RFC 4180. A file without a
    quote goes through polars' reader after the cells of every line are counted; the standard library's reader, three
    times slower, takes the others.

    Raises:
        DataError: Duplicate or empty headers, rows of another width, broken quoting; names rows and columns.
    """
    dialect = dialect or _plain_dialect(path)
    plain = dialect.encoding != "utf-16" and _is_plain(path)
    blocks = _plain_blocks(path, dialect) if plain else _quoted_blocks(path, dialect, rows)
    for frame in blocks:
        yield from frame.iter_slices(rows) if len(frame) else (frame,)


def _plain_dialect(path: Path) -> Dialect:
    """Commas, in UTF-8 or CP949: what a model's rows come in, here as on its web page."""
    encoding = encoding_of(path)
    if encoding == "utf-16":
        fix = "Save the table as CSV UTF-8, or convert it: dxai data convert."
        raise DataError("The file is UTF-16.", where=str(path), fix=fix)
    return Dialect(encoding)


def _is_plain(path: Path) -> bool:
    """Whether lines end at line feeds and cells at commas, whatever they hold: no quote, no lone carriage return."""
    last = b""
    with opened(path) as file:
        while block := file.read(_BLOCK):
            if b'"' in block or (last == b"\r" and block[:1] != b"\n"):
                return False
            if b"\r" in block and block.count(b"\r") != _line_ends(block):  # to count is slow, to find is not
                return False
            last = block[-1:]
    return last != b"\r"


def _line_ends(block: bytes) -> int:
    """Carriage returns in front of a line feed, one at the very end counted as well: the next block tells."""
    return block.count(b"\r\n") + block.endswith(b"\r")


def _plain_blocks(path: Path, dialect: Dialect) -> Iterator[pl.DataFrame]:
    with opened_text(path, dialect.encoding) as file:
        header = _header([file.readline().rstrip("\r\n").split(dialect.delimiter)], path)
        ragged, rest, at_end = _Ragged(len(header), path), "", False
        while not at_end:
            text = file.read(4 * _BLOCK)
            at_end = len(text) < 4 * _BLOCK
            whole, line_feed, behind = (rest + text).rpartition("\n")
            last = behind + "\n" if at_end and behind else ""
            rest = behind
            lines = (whole + line_feed + last).encode()
            yield from _plain_frame(header, lines, dialect.delimiter, ragged, alone=ragged.rows == 0 and at_end)
        ragged.refuse()


def _plain_frame(
    header: list[str], lines: bytes, delimiter: str, ragged: _Ragged, *, alone: bool
) -> Iterator[pl.DataFrame]:
    """Whole lines without quotes to a frame, once every line is known to have the cells of the header."""
    characters = np.frombuffer(lines, np.uint8)
    ends = np.flatnonzero(characters == ord("\n"))
    starts = np.concatenate([[0], ends[:-1] + 1]) if len(ends) else ends
    delimiters = np.searchsorted(np.flatnonzero(characters == ord(delimiter)), ends)
    cells = np.diff(delimiters, prepend=0) + 1
    cells[(ends == starts) | ((ends == starts + 1) & (characters[starts] == ord("\r")))] = 0
    wrong = np.flatnonzero(cells != ragged.width)
    if ragged.sound(len(cells), len(wrong), ((int(i), int(cells[i])) for i in wrong)) and (len(lines) or alone):
        # a header of our own: polars would take a byte order mark off the front of the first cell
        numbered = delimiter.join(map(str, range(ragged.width))).encode() + b"\n" + lines
        yield pl.read_csv(numbered, infer_schema=False, separator=delimiter, quote_char=None, new_columns=header)


def _quoted_blocks(path: Path, dialect: Dialect, rows: int) -> Iterator[pl.DataFrame]:
    csv.field_size_limit(_LONGEST_CELL)
    with opened_text(path, dialect.encoding) as file:
        lines = csv.reader(file, strict=True, delimiter=dialect.delimiter)
        try:
            header = _header(lines, path)
            ragged = _Ragged(len(header), path)
            while (block := list(islice(lines, rows))) or ragged.rows == 0:
                wrong = [(i, len(row)) for i, row in enumerate(block) if len(row) != ragged.width]
                if ragged.sound(len(block), len(wrong), wrong):
                    yield _frame(header, block)
                if not block:
                    break
        except csv.Error as error:
            raise DataError(f"The quoting is broken: {error}.", where=f"{path}, line {lines.line_num}") from None
        ragged.refuse()


def read_table(path: Path) -> pl.DataFrame:
    """The whole CSV file as one frame of text; errors as in `read_csv`."""
    return pl.concat(list(read_csv(path)))


def _header(lines: Iterable[list[str]], path: Path) -> list[str]:
    header = [name.strip() for name in next(iter(lines), [])]
    header = [] if header == [""] else header
    problems = [
        f"Column {name!r} stands there {header.count(name)} times."
        for name in sorted(set(header))
        if header.count(name) > 1
    ]
    problems += [f"Column {i + 1} has no name." for i, name in enumerate(header) if not name]
    problems += [] if header else ["The file is empty."]
    if len(header) == 1 and any(mark in header[0] for mark in ";\t|"):
        problems += ["The columns are not separated by commas."]
    if problems:
        raise DataError(
            bullet_list(problems), where=f"{path}, line 1", fix="Give every column one name, separated by commas."
        )
    return header


def _frame(header: list[str], block: list[list[str]]) -> pl.DataFrame:
    columns = zip(*block, strict=True) if block else ((),) * len(header)
    frame = pl.DataFrame(
        {name: pl.Series(values, dtype=pl.String) for name, values in zip(header, columns, strict=True)}
    )
    return frame.with_columns(pl.all().replace("", None))


class _Ragged:
    """Rows of a file that do not have the cells of its header, counted block by block."""

    def __init__(self, width: int, path: Path) -> None:
        self.width, self.path = width, path
        self.rows, self._count = 0, 0
        self._first: list[tuple[int, int]] = []

    def sound(self, rows: int, count: int, wrong: Iterable[tuple[int, int]]) -> bool:
        """Take note of one block (its rows, how many are wrong, and which, with their cells); whether all is well."""
        first = self.rows + 2  # the number a spreadsheet shows for the first row of data
        self._first += [(first + i, cells) for i, cells in islice(wrong, 5 - len(self._first))]
        self.rows, self._count = self.rows + rows, self._count + count
        return not self._count

    def refuse(self) -> None:
        """Raise DataError when there are such rows."""
        if self._count:
            told = ", ".join(f"row {row} has {cells}" for row, cells in self._first)
            raise DataError(
                f"{self._count} rows do not have the {self.width} cells of the header: {told}.",
                where=str(self.path), fix="Fill or quote the cells of these rows.",
            )  # fmt: skip
