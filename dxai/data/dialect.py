"""How a text table is written: encoding, delimiter, decimal mark. Seen in the file, never guessed from its name."""

from __future__ import annotations

import codecs
import csv
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dxai.data.compressed import opened, opened_text
from dxai.errors import DataError, NotFoundError

Delimiter = Literal[",", ";", "\t", "|"]
_DELIMITERS: tuple[Delimiter, ...] = (",", ";", "\t", "|")
_BLOCK = 1 << 20
_LONGEST_LINE = 1 << 28
_SAMPLE_LINES = 200
_MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_LADDER = ("utf-8", "cp949")
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")


@dataclass(frozen=True)
class Dialect:
    """How a text table is written.

    Attributes:
        encoding: Python's name; ``utf-8-sig`` takes a byte order mark for what it is.
        delimiter: Between cells.
        decimal: Mark before the fraction of a number.
    """

    encoding: str = "utf-8-sig"
    delimiter: Delimiter = ","
    decimal: Literal[".", ","] = "."


def detect_dialect(path: Path) -> Dialect:
    """Encoding of the whole file; delimiter and decimal mark of its first lines.

    Raises:
        NotFoundError: No such file.
        DataError: No encoding fits; names the byte offset.
    """
    encoding = encoding_of(path)
    lines = _first_lines(path, encoding)
    delimiter = _delimiter(lines)
    comma = delimiter != "," and _has_decimal_commas(lines, delimiter)
    return Dialect(encoding, delimiter, "," if comma else ".")


def dialect_of(path: Path) -> Dialect | None:
    """The dialect of a text file; None for Excel and Parquet. Errors as in `detect_dialect`."""
    if path.is_file():
        with opened(path) as file:
            if file.read(4) in (b"PAR1", b"PK\3\4"):
                return None
    return detect_dialect(path)


def encoding_of(path: Path) -> str:
    """The first rung of byte order mark → UTF-8 → CP949 that decodes every byte of the file.

    CP949, not EUC-KR: the latter lacks syllables in use.

    Raises:
        NotFoundError: No such file.
        DataError: NUL bytes, or no rung fits; names the byte offset.
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
            return "utf-8-sig" if encoding == "utf-8" else encoding  # a byte order mark is no part of the header
        failures.append(bad)
    raise DataError(
        f"The file is neither UTF-8 (byte {failures[0]:,} breaks it) nor CP949 (byte {failures[1]:,} breaks it).",
        where=str(path),
        fix="Save it as CSV UTF-8.",
    )


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


def _first_lines(path: Path, encoding: str) -> list[str]:
    with opened_text(path, encoding) as file:
        text = file.read(_BLOCK)
    lines = [line for line in text.splitlines()[: _SAMPLE_LINES + 1] if line]
    return lines if len(lines) == 1 or len(text) < _BLOCK else lines[:-1] or lines


def _delimiter(lines: list[str]) -> Delimiter:
    """The mark that parts the lines most often into as many cells as the header has; of equals the one with more."""
    return max(_DELIMITERS, key=lambda mark: _agreement(lines, mark))


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
