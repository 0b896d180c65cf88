"""CSV to frames of text, strictly: one decode ladder, no type sniffing, no repair."""

from __future__ import annotations

import codecs
import csv
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dxai.data.compressed import opened, opened_text
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
from dxai.data.layout import UNITS_HOW, how, with_units
from dxai.errors import DataError, bullet_list

_BLOCK = 1 << 20
_LONGEST_CELL = (1 << 31) - 1
_NAMELESS = "\0"
"""How the name of an empty column at the end begins until it is left out."""


Numbers = Callable[[list[str]], Collection[str]]
"""Which columns of a header are to come as numbers."""


@dataclass(frozen=True)
class Block:
    """Some rows of a file.

    Attributes:
        frame: Text; numbers in the columns asked for, where all cells of the block are numbers or empty.
        spelled: Cells of a column in some rows, as they are written; None: as in the frame.
    """

    frame: pl.DataFrame
    spelled: Callable[[str, Iterable[int]], list[str]] | None = None

    def __len__(self) -> int:
        """Rows."""
        return len(self.frame)


def read_csv(path: Path, *, rows: int = 50_000, dialect: Dialect | None = None) -> Iterator[pl.DataFrame]:
    """Frames of at most ``rows`` text rows each; at least one frame, even for a file with a header only.

    Empty cells become null. Comma separated unless a dialect says otherwise, quotes as in RFC 4180. A file without a
    quote goes through polars' reader, which must find as many cells as there are delimiters; the standard library's
    reader, several times slower, takes the others.

    A dialect also says where the header is and whether units stand below it; then a first column without a name is
    called ``unnamed_1``, and columns without a name at the end are left out as long as they are empty.

    Raises:
        DataError: Duplicate or empty headers, rows of another width, broken quoting, another encoding than the
            dialect's; names rows and columns.
    """
    for block in read_typed_csv(path, lambda _: (), rows=rows, dialect=dialect):
        yield from block.frame.iter_slices(rows) if len(block) else (block.frame,)


def read_typed_csv(
    path: Path, numbers: Numbers, *, rows: int = 50_000, dialect: Dialect | None = None
) -> Iterator[Block]:
    """Blocks of some megabytes, where it can be with numbers; the rest as in `read_csv`.

    Reading numbers at once takes half the time of reading text and then numbers from it.
    """
    strict, dialect = dialect is None, dialect or _plain_dialect(path)
    if dialect.encoding.lower().replace("_", "-").startswith(("utf-16", "utf-32")) or not _is_plain(path):
        return _decoded(map(Block, _quoted_blocks(path, dialect, rows, strict=strict)), path, dialect)
    return _decoded(_plain_blocks(path, dialect, numbers, strict=strict), path, dialect)


def _decoded(blocks: Iterator[Block], path: Path, dialect: Dialect) -> Iterator[Block]:
    """The blocks; bytes in another encoding than the dialect's are told."""
    known_encoding(dialect.encoding)
    try:
        if not dialect.units_row:
            _refuse_units(path, dialect)
        yield from blocks
    except (UnicodeError, pl.exceptions.ComputeError):
        require_encoding(path, dialect.encoding)
        raise


def _plain_dialect(path: Path) -> Dialect:
    """Commas, in UTF-8 or CP949: what a model's rows come in, here as on its web page."""
    encoding = encoding_of(path)
    if encoding == "utf-16":
        fix = "Save the table as CSV UTF-8, or convert it: dxai data convert."
        raise DataError("The file is UTF-16.", where=str(path), fix=fix)
    return Dialect(encoding)


def _refuse_units(path: Path, dialect: Dialect) -> None:
    """A row of units below the header is no row of data; a line with a number in it is none of units."""
    with opened_text(path, dialect.encoding) as file:
        start = file.read(_BLOCK >> 4).split("\n", dialect.header_row + 1)
    below = start[dialect.header_row] if dialect.header_row < len(start) else ""
    cells = [cell.strip(' "\t\r') for cell in below.split(dialect.delimiter)]
    if not any(cells) or any(cell[0].isdigit() or cell[0] in "+-." for cell in cells if len(cell) > 1):
        return
    lines = first_lines(path, dialect.encoding)
    if text_layout(lines, dialect.delimiter, dialect.header_row).units_row:
        line = dialect.header_row + 1
        raise DataError(f"Line {line} holds units, no data.", where=f"{path}, line {line}", fix=UNITS_HOW)


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


def _plain_blocks(path: Path, dialect: Dialect, numbers: Numbers, *, strict: bool) -> Iterator[Block]:
    with _opened_utf8(path, dialect.encoding) as (line, read):
        cells = (line().decode().rstrip("\r\n").split(dialect.delimiter) for _ in range(dialect.first_row))
        header = _header(islice(cells, dialect.header_row - 1, None), path, dialect, strict=strict)
        named = [name for name in header if not name.startswith(_NAMELESS)]
        wanted = _wanted(numbers, named, path, dialect)
        ragged, shape = _Ragged(len(header), path, dialect), _Shape(header, dialect.delimiter, wanted)
        for lines in _whole_lines(read, shape.names):
            block = shape.sound(lines)
            if block is None:
                widths = _cells_of_lines(lines[len(shape.names) :], dialect.delimiter)
                wrong = np.flatnonzero(widths != len(header))
                sound = ragged.sound(len(widths), len(wrong), ((int(i), int(widths[i])) for i in wrong))
                block = shape.block(lines) if sound else None
            else:
                ragged.sound(len(block), 0, ())
            if block is not None:
                yield block if named == header else _named(block, path, ragged)
        if not ragged.rows:
            yield _named(shape.block(shape.names), path, ragged)
        ragged.refuse()


def _wanted(numbers: Numbers, names: list[str], path: Path, dialect: Dialect) -> Collection[str]:
    try:
        return numbers(names)
    except DataError as error:
        fix = likely_place(path, dialect)
        raise DataError(error.problem, where=error.where, fix=fix or error.fix) from None


@contextmanager
def _opened_utf8(path: Path, encoding: str) -> Iterator[tuple[Callable[[], bytes], Callable[[int], bytes]]]:
    """To read a line, and some bytes, of a text as UTF-8 without its byte order mark."""
    if encoding in ("utf-8", "utf-8-sig"):  # no need to decode it for that
        with opened(path) as file:
            if file.read(len(codecs.BOM_UTF8)) != codecs.BOM_UTF8:
                file.seek(0)
            yield file.readline, file.read
        return
    with opened_text(path, encoding) as text:
        yield lambda: text.readline().encode(), lambda size: text.read(size).encode()


def _whole_lines(read: Callable[[int], bytes], names: bytes) -> Iterator[bytes]:
    """Blocks of whole lines under a line of names; the last one ends with a line feed too."""
    rest = b""
    while block := read(8 * _BLOCK):
        if end := block.rfind(b"\n") + 1:
            yield b"".join((names, rest, memoryview(block)[:end]))
            rest = block[end:]
        else:
            rest += block
    if rest:
        yield b"".join((names, rest, b"\n"))


class _Shape:
    """What every line without quotes should hold, to read blocks of them."""

    def __init__(self, header: list[str], delimiter: str, numbers: Collection[str]) -> None:
        self.header, self.delimiter = header, delimiter
        # polars would take a byte order mark off the front of the first cell, so that a header of ours goes before it
        self.names = delimiter.join(map(str, range(len(header)))).encode() + b"\n"
        self._types = {str(i): pl.Float64 for i, name in enumerate(header) if name in numbers}

    def sound(self, lines: bytes) -> Block | None:
        """A block whose every line has the cells of the header; None where that takes a closer look.

        polars refuses a line of more cells, and leaves the last ones of a shorter line empty.
        """
        try:
            block = self.block(lines)
        except pl.exceptions.ComputeError:
            return None
        if len(self.header) == 1:
            return None if b"\n\n" in lines or b"\n\r\n" in lines else block
        if block.frame[self.header[-1]].null_count():
            between = lines.count(self.delimiter.encode()) - (len(self.header) - 1)
            return block if between == (len(self.header) - 1) * len(block) else None
        return block

    def block(self, lines: bytes) -> Block:
        """Lines of which each has the cells of the header."""
        if self._types:
            try:
                frame = self._read(lines, self._types)
            except pl.exceptions.ComputeError:  # not all of them are numbers
                return Block(self._read(lines))
            if not frame.select(pl.any_horizontal(pl.col(pl.Float64).is_nan().any())).item():  # `nan` is a text
                return Block(frame, partial(self._cells, lines))
        return Block(self._read(lines))

    def _read(self, lines: bytes, types: Mapping[str, type[pl.DataType]] | None = None) -> pl.DataFrame:
        return pl.read_csv(
            lines, separator=self.delimiter, quote_char=None, infer_schema=False, schema_overrides=types,
            new_columns=self.header,
        )  # fmt: skip

    def _cells(self, lines: bytes, name: str, rows: Iterable[int]) -> list[str]:
        ends, place = np.flatnonzero(np.frombuffer(lines, np.uint8) == ord("\n")), self.header.index(name)
        of_rows = (lines[ends[row] + 1 : ends[row + 1]].decode() for row in rows)
        return [line.rstrip("\r").split(self.delimiter)[place] for line in of_rows]


def _cells_of_lines(lines: bytes, delimiter: str) -> NDArray[np.int64]:
    """Of each line without quotes; 0 of an empty one."""
    characters = np.frombuffer(lines, np.uint8)
    ends = np.flatnonzero(characters == ord("\n"))
    starts = np.concatenate([[0], ends[:-1] + 1]) if len(ends) else ends
    delimiters = np.searchsorted(np.flatnonzero(characters == ord(delimiter)), ends)
    cells = np.diff(delimiters, prepend=0) + 1
    cells[(ends == starts) | ((ends == starts + 1) & (characters[starts] == ord("\r")))] = 0
    return cells


def _quoted_blocks(path: Path, dialect: Dialect, rows: int, *, strict: bool) -> Iterator[pl.DataFrame]:
    csv.field_size_limit(_LONGEST_CELL)
    above = dialect.header_row - 1
    with opened_text(path, dialect.encoding) as file:
        for _ in islice(file, above):
            pass
        lines = csv.reader(file, strict=True, delimiter=dialect.delimiter)
        try:
            header = _header(lines, path, dialect, strict=strict)
            ragged = _Ragged(len(header), path, dialect)
            while (block := list(islice(lines, rows))) or ragged.rows == 0:
                wrong = [(i, len(row)) for i, row in enumerate(block) if len(row) != ragged.width]
                if ragged.sound(len(block), len(wrong), wrong):
                    yield _named(Block(_frame(header, block)), path, ragged).frame
                if not block:
                    break
        except csv.Error as error:
            raise DataError(
                f"The quoting is broken: {error}.", where=f"{path}, line {above + lines.line_num}"
            ) from None
        ragged.refuse()


def read_table(path: Path) -> pl.DataFrame:
    """The whole CSV file as one frame of text; errors as in `read_csv`."""
    return pl.concat(list(read_csv(path)))


def _header(lines: Iterable[list[str]], path: Path, dialect: Dialect, *, strict: bool) -> list[str]:
    """The names; strict ones as they are, others with the units below them, and those without a name named."""
    rows = iter(lines)
    header = [name.strip() for name in next(rows, [])]
    header = [] if header == [""] else header
    if not strict:
        header = _filled_in(header)
    header = with_units(header, next(rows, [])) if dialect.units_row else header
    problems = [
        f"Column {name!r} stands there {header.count(name)} times."
        for name in sorted(set(header))
        if header.count(name) > 1
    ]
    problems += [f"Column {i + 1} has no name." for i, name in enumerate(header) if not name]
    problems += [] if header else [_nothing(path, dialect)]
    if len(header) == 1 and any(mark in header[0] for mark in ";\t|"):
        problems += ["The columns are not separated by commas."]
    if problems:
        fix = likely_place(path, dialect) or "Give every column one name, separated by commas."
        raise DataError(bullet_list(problems), where=f"{path}, line {dialect.header_row}", fix=fix)
    return header


def _nothing(path: Path, dialect: Dialect) -> str:
    with opened(path) as file:
        return f"Line {dialect.header_row} is empty." if file.read(4).strip(b"\xef\xbb\xbf") else "The file is empty."


def _filled_in(header: list[str]) -> list[str]:
    """A name for a first column without one, as pandas writes its index; a mark for those at the end."""
    last = len(header)
    while last > 1 and not header[last - 1]:
        last -= 1
    marks = [f"{_NAMELESS}{i + 1}" for i in range(last, len(header))]
    return [*(["unnamed_1"] if last > 1 and not header[0] else header[:1]), *header[1:last], *marks]


def _named(block: Block, path: Path, ragged: _Ragged) -> Block:
    """A block less the columns without a name; a value in one of them is no gap to be left out."""
    nameless = [name for name in block.frame.columns if name.startswith(_NAMELESS)]
    for name in nameless:
        cells = block.frame[name]
        if (found := cells.is_not_null().arg_true()).len():
            row = ragged.first_row + ragged.rows - len(cells) + int(found[0])
            told = f"Column {name[1:]} has no name, however a value in row {row}: {str(cells[found[0]])[:40]!r}."
            fix = likely_place(path, ragged.dialect) or "Name it in the header, or take the value away."
            raise DataError(told, where=str(path), fix=fix)
    return Block(block.frame.drop(nameless), block.spelled) if nameless else block


def likely_place(path: Path, dialect: Dialect) -> str:
    """What to do where the header seems to be in another line than a dialect says; empty where it does not."""
    lines = first_lines(path, dialect.encoding)
    seen = dialect_of_lines(lines, dialect.encoding)
    found = text_layout(lines, seen.delimiter)
    if found.two_headers:
        return f"Lines {found.two_headers} and {found.two_headers + 1} both look like a header: name one, {how('N')}."
    if found.header_row != dialect.header_row:
        return f"The header looks to be in line {found.header_row}: {how(found.header_row)}."
    rows, begins = text_rows(lines, dialect.delimiter)
    names = rows[begins.index(found.header_row)] if found.header_row in begins else []
    if any(names[1:-1]) and not all((names[0], names[-1])) and all(names[1:-1]):
        return "`dxai data convert` reads a first column without a name, and leaves out an empty last one."
    return ""


def _frame(header: list[str], block: list[list[str]]) -> pl.DataFrame:
    columns = zip(*block, strict=True) if block else ((),) * len(header)
    frame = pl.DataFrame(
        {name: pl.Series(values, dtype=pl.String) for name, values in zip(header, columns, strict=True)}
    )
    return frame.with_columns(pl.all().replace("", None))


class _Ragged:
    """Rows of a file that do not have the cells of its header, counted block by block."""

    def __init__(self, width: int, path: Path, dialect: Dialect) -> None:
        self.width, self.path, self.dialect = width, path, dialect
        self.first_row = dialect.first_row
        self.rows, self._count = 0, 0
        self._first: list[tuple[int, int]] = []

    def sound(self, rows: int, count: int, wrong: Iterable[tuple[int, int]]) -> bool:
        """Take note of one block (its rows, how many are wrong, and which, with their cells); whether all is well."""
        first = self.rows + self.first_row  # the number a spreadsheet shows for the first row of data
        self._first += [(first + i, cells) for i, cells in islice(wrong, 5 - len(self._first))]
        self.rows, self._count = self.rows + rows, self._count + count
        return not self._count

    def refuse(self) -> None:
        """Raise DataError when there are such rows."""
        if self._count:
            told = ", ".join(f"row {row} has {cells}" for row, cells in self._first)
            raise DataError(
                f"{self._count} rows do not have the {self.width} cells of the header: {told}.",
                where=str(self.path),
                fix=likely_place(self.path, self.dialect) or "Fill or quote the cells of these rows.",
            )  # fmt: skip
