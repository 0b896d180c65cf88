"""CSV to frames of text, strictly: one decode ladder, no type sniffing, no repair."""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import polars as pl

from dxai.errors import DataError, NotFoundError, bullet_list

_BLOCK = 1 << 20
_LADDER = ("utf-8", "cp949")


def encoding_of(path: Path) -> str:
    """The first rung of BOM → UTF-8 → CP949 that decodes every byte of the file.

    CP949, not EUC-KR: the latter lacks syllables in use.

    Raises:
        NotFoundError: No such file.
        DataError: NUL bytes, or neither rung fits; names the byte offset.
    """
    if not path.is_file():
        raise NotFoundError(f"There is no file {path.name!r}.", where=str(path), fix="Check the path.")
    failures = [_first_bad_byte(path, encoding) for encoding in _LADDER]
    for encoding, bad in zip(_LADDER, failures, strict=True):
        if bad is None:
            return "utf-8-sig" if encoding == "utf-8" else encoding  # a byte order mark is no part of the header
    raise DataError(
        f"The file is neither UTF-8 (byte {failures[0]:,} breaks it) nor CP949 (byte {failures[1]:,} breaks it).",
        where=str(path),
        fix="Save it as CSV UTF-8.",
    )


def _first_bad_byte(path: Path, encoding: str) -> int | None:
    decoder, offset = codecs.getincrementaldecoder(encoding)("strict"), 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            if b"\0" in block:
                raise DataError(
                    f"The file has a NUL byte at offset {offset + block.index(0):,}: it is no text.",
                    where=str(path), fix="Save the table as CSV UTF-8.",
                )  # fmt: skip
            held = len(decoder.getstate()[0])
            try:
                decoder.decode(block)
            except UnicodeDecodeError as error:
                return offset - held + error.start
            offset += len(block)
    held_at_end = len(decoder.getstate()[0])
    try:
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return offset - held_at_end
    return None


def read_csv(path: Path, *, rows: int = 50_000) -> Iterator[pl.DataFrame]:
    """Frames of at most ``rows`` text rows each; at least one frame, even for a file with a header only.

    Empty cells become null. Comma separated, quotes as in RFC 4180.

    Raises:
        DataError: Duplicate or empty headers, rows of another width, broken quoting; names rows and columns.
    """
    with path.open(encoding=encoding_of(path), newline="") as file:
        lines = csv.reader(file, strict=True)
        try:
            header = _header(lines, path)
        except csv.Error as error:
            raise DataError(f"The quoting is broken: {error}.", where=f"{path}, line {lines.line_num}") from None
        first = 2  # the number a spreadsheet shows for the first row of data
        while True:
            try:
                block = list(islice(lines, rows))
            except csv.Error as error:
                raise DataError(f"The quoting is broken: {error}.", where=f"{path}, line {lines.line_num}") from None
            if block or first == 2:
                yield _frame(header, block, path, first)
            if len(block) < rows:
                return
            first += len(block)


def read_table(path: Path) -> pl.DataFrame:
    """The whole CSV file as one frame of text; errors as in `read_csv`."""
    return pl.concat(list(read_csv(path)))


def _header(lines: Iterator[list[str]], path: Path) -> list[str]:
    header = [name.strip() for name in next(lines, [])]
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


def _frame(header: list[str], block: list[list[str]], path: Path, first: int) -> pl.DataFrame:
    width = len(header)
    ragged = [(first + i, len(row)) for i, row in enumerate(block) if len(row) != width]
    if ragged:
        told = ", ".join(f"row {row} has {cells}" for row, cells in ragged[:5])
        raise DataError(
            f"{len(ragged)} rows do not have the {width} cells of the header: {told}.",
            where=str(path), fix="Fill or quote the cells of these rows.",
        )  # fmt: skip
    columns = zip(*block, strict=True) if block else ((),) * width
    frame = pl.DataFrame(
        {name: pl.Series(values, dtype=pl.String) for name, values in zip(header, columns, strict=True)}
    )
    return frame.with_columns(pl.all().replace("", None))
