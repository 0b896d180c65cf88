"""How a table is written: encoding, delimiter, decimal mark, place. Seen in the file, never guessed from its name."""

from __future__ import annotations

import codecs
import csv
import re
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from dxai.data.compressed import opened, opened_text
from dxai.data.encodings import decodes_to_korean, first_strange_line, likely_encodings
from dxai.data.layout import Layout, layout_of
from dxai.errors import DataError, NotFoundError

Delimiter = Literal[",", ";", "\t", "|"]
_DELIMITERS: tuple[Delimiter, ...] = (",", ";", "\t", "|")
_BLOCK = 1 << 20
_LONGEST_LINE = 1 << 28
_SAMPLE_LINES = 200
_HALF = 0.5
_MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_LADDER = ("utf-8", "cp949")
_SEP = re.compile(r"sep=([,;|\t])", re.IGNORECASE)
OLE = b"\xd0\xcf\x11\xe0"
"""First bytes of an old Excel file, ``.xls``, and of one that is locked by a password."""
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")


@dataclass(frozen=True)
class Dialect:
    """How a table is written.

    Attributes:
        encoding: Python's name; ``utf-8-sig`` takes a byte order mark for what it is.
        delimiter: Between cells.
        decimal: Mark before the fraction of a number.
        sheet: Of an Excel file; empty: the first visible one.
        header_row: Line of the file, or row of the sheet, counted from 1; those above it are left out.
        units_row: Whether the row below the header holds units: they go behind the names, in brackets.
        fill_merged: Whether the empty cells of a merged range have the value of its first one.
    """

    encoding: str = "utf-8-sig"
    delimiter: Delimiter = ","
    decimal: Literal[".", ","] = "."
    sheet: str = ""
    header_row: int = 1
    units_row: bool = False
    fill_merged: bool = False

    @property
    def first_row(self) -> int:
        """Number of the first row of data: its line in the file."""
        return Layout(self.header_row, self.units_row).first_row


def detect_dialect(path: Path, encoding: str = "") -> Dialect:
    """Encoding of the whole file; delimiter and decimal mark of its first lines. The header is taken to be in line 1.

    Raises:
        NotFoundError: No such file.
        DataError: No encoding fits, or not the one given; names the byte offset.
    """
    encoding = known_encoding(encoding) if encoding else encoding_of(path)
    return dialect_of_lines(first_lines(path, encoding), encoding)


def dialect_of_lines(lines: list[str], encoding: str) -> Dialect:
    """The dialect of a text that begins with these lines."""
    delimiter = _delimiter(lines)
    comma = delimiter != "," and _has_decimal_commas(lines, delimiter)
    return Dialect(encoding, delimiter, "," if comma else ".")


def text_layout(lines: list[str], delimiter: str, header_row: int = 0) -> Layout:
    """Where the header of a text is that begins with these lines; 0 looks for it."""
    rows, begins = text_rows(lines, delimiter)
    found = layout_of(rows, begins.index(header_row) + 1 if header_row in begins else header_row)
    if header_row:
        return replace(found, header_row=header_row)
    upper = found.two_headers
    return Layout(begins[found.header_row - 1] if begins else 1, found.units_row, begins[upper - 1] if upper else 0)


def text_rows(lines: list[str], delimiter: str) -> tuple[list[list[str]], list[int]]:
    """Rows of a text that begins with these lines, and the line, counted from 1, where each begins."""
    reader, rows, begins, end = csv.reader(lines, delimiter=delimiter), list[list[str]](), list[int](), 0
    with suppress(csv.Error):  # the reader tells it
        for row in reader:
            rows.append([] if not rows and _SEP.fullmatch(lines[0].strip()) else row)
            begins.append(end + 1)
            end = reader.line_num
    return rows, begins


def dialect_of(path: Path) -> Dialect | None:
    """The dialect of a text file; None for Excel and Parquet. Errors as in `detect_dialect`."""
    if path.is_file():
        with opened(path) as file:
            if file.read(4) in (b"PAR1", b"PK\3\4", OLE):
                return None
    return detect_dialect(path)


def encoding_of(path: Path) -> str:
    """The first rung of byte order mark → UTF-8 → CP949 that decodes every byte of the file.

    CP949, not EUC-KR: the latter lacks syllables in use.

    Raises:
        NotFoundError: No such file.
        DataError: NUL bytes, or no rung fits (names the byte offset), or what CP949 decodes is not Korean.
    """
    if not path.is_file():
        raise NotFoundError(f"There is no file {path.name!r}.", where=str(path), fix="Check the path.")
    with opened(path) as file:
        start = file.read(3)
    marked = next((encoding for mark, encoding in _MARKS.items() if start.startswith(mark)), None)
    if marked == "utf-16":
        return _whole(path, marked)
    failures = []
    for encoding in _LADDER:
        bad = _first_bad_byte(path, encoding)
        if bad is None:
            if encoding == "cp949" and not decodes_to_korean(path):
                _refuse_foreign(path)
            return "utf-8-sig" if encoding == "utf-8" else encoding  # a byte order mark is no part of the header
        failures.append(bad)
    raise DataError(
        f"The file is neither UTF-8 (byte {failures[0]:,} breaks it) nor CP949 (byte {failures[1]:,} breaks it).",
        where=str(path),
        fix=f"Save it as CSV UTF-8{_offered(path)}.",
    )


def require_encoding(path: Path, encoding: str) -> None:
    """Raise DataError where a file is not in the encoding that a person named, or Python has none of that name."""
    bad = _first_bad_byte(path, known_encoding(encoding), zeros=encoding.lower().startswith(("utf-16", "utf-32")))
    if bad is None:
        return
    try:
        likely = f"it looks like {(seen := encoding_of(path))}: `encoding: {seen}` in the mapping, or --encoding {seen}"
    except DataError as error:
        likely = error.fix.rstrip(".")
    told = f"The file is not {encoding}: byte {bad:,} breaks it."
    raise DataError(told, where=str(path), fix=f"{likely[:1].upper()}{likely[1:]}.")


def known_encoding(name: str) -> str:
    """The name itself, where Python knows such a text encoding; UTF-8 takes a byte order mark for what it is.

    Raises:
        DataError: It does not.
    """
    try:
        "a".encode(name)
    except (LookupError, UnicodeError):
        fix = "Known are utf-8, cp949, windows-1252, shift_jis, gb18030 and Python's others."
        raise DataError(f"There is no text encoding {name!r}.", where="encoding", fix=fix) from None
    return "utf-8-sig" if codecs.lookup(name).name == "utf-8" else name


def _refuse_foreign(path: Path) -> None:
    told = f"The file is not UTF-8, and what CP949 makes of it is not Korean: {first_strange_line(path)!r}."
    fix = f"Save it as CSV UTF-8{_offered(path)}. Should it be Korean: --encoding cp949."
    raise DataError(told, where=str(path), fix=fix)


def _offered(path: Path) -> str:
    """Encodings to choose from, as the end of a sentence; empty where none decodes the file."""
    likely = [f"--encoding {encoding} reads {line!r}" for encoding, line in likely_encodings(path)]
    return f", or name its encoding for `dxai data init` and `dxai data convert`: {'; '.join(likely)}" if likely else ""


def _whole(path: Path, encoding: str) -> str:
    bad = _first_bad_byte(path, encoding, zeros=True)
    if bad is not None:
        told = f"The file begins as UTF-16, however byte {bad:,} breaks it."
        raise DataError(told, where=str(path), fix="Save it as CSV UTF-8.")
    return encoding


def _first_bad_byte(path: Path, encoding: str, *, zeros: bool = False) -> int | None:
    decoder, offset, unbroken = codecs.getincrementaldecoder(encoding)("strict"), 0, 0
    with opened(path) as file:
        while block := file.read(_BLOCK):
            if not zeros and b"\0" in block:
                raise DataError(
                    f"The file has a NUL byte at offset {offset + block.index(0):,}: it is no text.",
                    where=str(path), fix="Save the table as CSV UTF-8.",
                )  # fmt: skip
            unbroken = len(block) - 1 - end if (end := block.rfind(b"\n")) >= 0 else unbroken + len(block)
            _refuse_endless(unbroken, offset, path)
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


def _refuse_endless(unbroken: int, offset: int, path: Path) -> None:
    """A line is held in memory: a few packed bytes must not unpack to one that fills it."""
    if unbroken > _LONGEST_LINE:
        raise DataError(
            f"A line is longer than {_LONGEST_LINE >> 20} MB (at byte {offset:,}).",
            where=str(path), fix="Save the table with line ends, as CSV UTF-8.",
        )  # fmt: skip


def first_lines(path: Path, encoding: str) -> list[str]:
    """At most 200 of a text, blank ones included."""
    try:
        with opened_text(path, encoding) as file:
            text = file.read(_BLOCK)
    except UnicodeDecodeError:
        require_encoding(path, encoding)
        raise
    lines = re.split(r"\r\n|\r|\n", text)[: _SAMPLE_LINES + 1]
    lines = lines[:-1] if len(lines) > 1 and (len(text) < _BLOCK and not lines[-1]) else lines
    return lines if len(lines) == 1 or len(text) < _BLOCK else lines[:-1] or lines


def _delimiter(lines: list[str]) -> Delimiter:
    """What ``sep=`` says, or the mark that parts the lines most often into as many cells as the header has.

    Of equals the one with more cells. Where no mark parts the first line so, the lines below it decide: it may stand
    above the table.
    """
    said = _SEP.fullmatch(lines[0].strip()) if lines else None
    if said:
        return next(mark for mark in _DELIMITERS if mark == said[1])
    filled = [line for line in lines if line]
    best = max(_DELIMITERS, key=lambda mark: _agreement(filled, mark))
    if _agreement(filled, best)[0] > _HALF:
        return best
    return max(_DELIMITERS, key=lambda mark: (_usual(filled[len(filled) // 2 :], mark), _agreement(filled, mark)))


def _usual(lines: list[str], mark: str) -> tuple[float, int]:
    """How many of the lines have the width that most have, and that width; nothing where it is 1."""
    widths = Counter(len(row) for row in csv.reader(lines, delimiter=mark))
    width, count = widths.most_common(1)[0] if widths else (1, 0)
    return (count / widths.total(), width) if width > 1 else (0.0, 0)


def _agreement(lines: list[str], mark: str) -> tuple[float, int]:
    widths = [len(row) for row in csv.reader(lines, delimiter=mark)]
    if not widths or widths[0] < 2:
        return 0.0, 0
    return Counter(widths)[widths[0]] / len(widths), widths[0]


def _has_decimal_commas(lines: list[str], delimiter: str) -> bool:
    cells = [cell.strip() for row in csv.reader(lines[1:], delimiter=delimiter) for cell in row]
    comma = sum(bool(_DECIMAL_COMMA.fullmatch(cell)) for cell in cells)
    point = sum("." in cell and cell.replace(".", "", 1).lstrip("+-").isdigit() for cell in cells)
    return comma > point
