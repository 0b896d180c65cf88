"""python -m tests.trials.malformed_tables --size ci|release [--seed N]

Small sound tables as CSV (several encodings, delimiters and line ends), Excel and Parquet; then cells, header, rows,
types or bytes are changed: every text that spreadsheets and hands are known to change in silence in every column, the
kinds of tests/test_malformed_tables.py made by hand (cells; at release size files too), and as many as Hypothesis is
asked to make. `dxai data convert` must end with 0 or 6. With 6: one short message, which names
row and column where a cell was changed, and nothing is written. With 0: the output holds exactly what the file says,
read here a second time with Python's own means; `dxai data check` finds nothing wrong with it, and converting it again
changes nothing. A table that is sound must not be refused.
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import polars as pl
import xlsxwriter
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests import test_malformed_tables as by_hand
from tests.trials.scene import Answer, Finding, Setting, dxai_here, run

CASES = {"ci": 400, "release": 10_000}
SILENT = {
    "zeros in front": "0012", "exponent": "1E5", "unit behind": "12.5℃", "full-width digits": "８５０",
    "Excel serial date": "46056", "two digits of a year": "26-02-03", "day first": "03/02/26",
}  # fmt: skip
"""Texts that other readers change without a word."""
MANY_LINES, MANY_LETTERS = 10, 1_200
KINDS = {"code": "text", "heat": "number", "day": "date", "at": "timestamp", "weight": "number", "verdict": "class"}
REQUIRED, LOWEST, HIGHEST, CLASSES = {"code", "heat", "verdict"}, -300.0, 2000.0, ("good", "bad")
Row = dict[str, Any]

_LOGICAL = {"text": "string", "class": "string", "number": "number", "date": "date", "timestamp": "timestamp"}
_KOREAN = {"code": "부호", "heat": "온도", "day": "날짜", "at": "시각", "weight": "무게", "verdict": "판정"}
_BLANKS = "".join(map(chr, [*range(9, 14), 32, 133, 160, 5760, *range(8192, 8203), 8232, 8233, 8239, 8287, 12288]))
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_DATE = re.compile(r"([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})")
_STAMP = re.compile(rf"{_DATE.pattern}[ T]([0-9]{{1,2}}):([0-9]{{1,2}}):([0-9]{{1,2}})(?:\.([0-9]{{1,6}})0*)?")
_ODD = (
    "-", "N/A", "없음", "?", "#DIV/0!", "12.5℃", "12.5 K", "12.5%", "<5", "5~7", "８５０", "٨٥", "−5", "0x1F", "1_000",
    "inf", "nan", "1e39", "2000.1", "-300", "TRUE", "1.2.3", "1e", "8\u200b5", "=1+1", "", "   ", "0012", "1E5", "+1",
    ".5", "5.", " 7 ", "1,850.5", "1 850", "1'850", "850,5", "2026-02-30", "2025-02-29", "2024-02-29", "2026-13-01",
    "03/02/2026", "2026.02.03", "26-02-03", "20260203", "46056", "2026년 2월 3일", "2026-02-03 13:00", "0000-00-00",
    "2026-02-03T13:00:00", "2026-02-03 13:00:00.5", "2026-02-03 25:00:00", "2026-02-03 24:00:00", "2026-2-3", "good ",
    "GOOD", "maybe", "가나다", "뷁", "a\nb", 'a"b', "a,b", "a;b", "1e5", "1e-400", "-0", "99999999999999999999",
    "\ufeff1", "2026-\r02-03", "2026- 2-03", "+2026-02-03", "2026-02-03 13:00:60",
)  # fmt: skip


@dataclass
class Case:
    """A table that was changed.

    Attributes:
        kind: What was done to it.
        suffix: Of its file.
        content: Its bytes.
        rows: What it says, cell by cell; None where only a second reading of the bytes tells.
        cells: Changed ones, as row of the file and column.
    """

    kind: str
    suffix: str
    content: bytes
    rows: list[Row] | None = None
    cells: list[tuple[int, str]] = field(default_factory=list)


# What a sound table holds, and what a cell means


def sound_rows(random: Random) -> list[Row]:
    """Texts of a sound table."""
    return [
        {
            "code": random.choice((f"{i:04d}", "1E5", "007.50", "가", "A-1")),
            "heat": f"{random.uniform(-299, 1999):.2f}", "day": f"2026-02-{random.randint(1, 28):02d}",
            "at": f"2026-02-03 {random.randint(0, 23):02d}:30:00", "weight": random.choice(("12.5", "0.1", "1e2", "")),
            "verdict": random.choice(CLASSES),
        }
        for i in range(random.randint(8, 15))
    ]  # fmt: skip


class Unsound(Exception):
    """A cell that breaks the contract."""


def meaning(name: str, text: str | None, *, comma: bool = False) -> Any:
    """What the contract makes of a cell's text, worked out a second time."""
    text = (text or "").strip(_BLANKS)
    if not text:
        if name in REQUIRED:
            raise Unsound
        return None
    kind = KINDS[name]
    if kind == "number":
        return _number(name, text.replace(",", ".") if comma else text)
    if kind in ("date", "timestamp"):
        return _moment(kind, text)
    if kind == "class" and text not in CLASSES:
        raise Unsound
    return text


def _number(name: str, text: str) -> float:
    if not _NUMBER.fullmatch(text) or not math.isfinite(value := float(text)) or abs(value) > 3.4e38:
        raise Unsound
    if name == "heat" and not LOWEST <= value <= HIGHEST:
        raise Unsound
    return value


def _moment(kind: str, text: str) -> date | datetime:
    day, stamp = _DATE.fullmatch(text), _STAMP.fullmatch(text)
    try:
        if stamp and kind == "timestamp":
            *parts, fraction = stamp.groups()
            return datetime(*map(int, parts), int((fraction or "").ljust(6, "0")))  # type: ignore[arg-type]
        if day:
            read = datetime(*map(int, day.groups()))  # type: ignore[arg-type]
            return read if kind == "timestamp" else read.date()
    except ValueError:
        pass
    raise Unsound


def table_of(rows: list[Row], *, comma: bool = False) -> list[Row] | None:
    """What the output must hold; None when the table must be refused."""
    try:
        return [{name: meaning(name, row[name], comma=comma) for name in KINDS} for row in rows]
    except (Unsound, KeyError):
        return None


def _contract() -> dict[str, Any]:
    def column(name: str) -> dict[str, Any]:
        role = "target" if name == "verdict" else "feature" if KINDS[name] == "number" else "ignore"
        told: dict[str, Any] = {"name": name, "logicalType": _LOGICAL[KINDS[name]], "required": name in REQUIRED}
        told["customProperties"] = _properties(role=role, titleEn=name, titleKo=_KOREAN[name])
        if name == "heat":
            told["logicalTypeOptions"] = {"minimum": LOWEST, "maximum": HIGHEST}
        if name == "verdict":
            told["quality"] = [{"metric": "invalidValues", "mustBe": 0, "arguments": {"validValues": list(CLASSES)}}]
        return told

    table = {"name": "parts", "logicalType": "object", "customProperties": _properties(task="quality")}
    return {
        "apiVersion": "v3.1.0", "kind": "DataContract", "id": "parts", "version": "1.0.0", "status": "active",
        "description": {"purpose": "Tell parts."}, "customProperties": _properties(titleEn="Parts", titleKo="부품"),
        "schema": [{**table, "properties": [column(name) for name in KINDS]}],
    }  # fmt: skip


def _properties(**told: str) -> list[dict[str, str]]:
    return [{"property": name, "value": value} for name, value in told.items()]


# Files


def as_csv(rows: list[list[str]], random: Random) -> bytes:
    """Lines of cells in some dialect that can hold them."""
    out = io.StringIO()
    delimiter, end = random.choice(",,,;\t|"), random.choice(("\n", "\r\n"))
    quoting = random.choice((csv.QUOTE_MINIMAL, csv.QUOTE_MINIMAL, csv.QUOTE_ALL))
    if any("\r" in cell for row in rows for cell in row):
        quoting = csv.QUOTE_ALL  # where lines end with a line feed, the writer leaves a carriage return bare
    csv.writer(out, delimiter=delimiter, lineterminator=end, quoting=quoting).writerows(rows)
    encoding = random.choice(("utf-8", "utf-8-sig", "cp949", "utf-16"))
    try:
        content = out.getvalue().encode(encoding)
        if encoding == "cp949":
            content.decode()  # texts of few letters can be both
            return out.getvalue().encode()
        return content
    except UnicodeEncodeError:
        return out.getvalue().encode()
    except UnicodeDecodeError:
        return content


def as_excel(rows: list[list[Any]]) -> bytes:
    """A workbook of one sheet."""
    content = io.BytesIO()
    options = {"in_memory": True, "strings_to_numbers": False, "strings_to_formulas": False, "strings_to_urls": False}
    with xlsxwriter.Workbook(content, options) as book:
        book.set_properties({"created": datetime(2026, 1, 1)})  # or the same case has other bytes a second later
        sheet = book.add_worksheet()
        for i, row in enumerate(rows):
            for j, cell in enumerate(row):
                if cell != "":
                    sheet.write_string(i, j, cell) if isinstance(cell, str) else sheet.write_number(i, j, cell)
    return content.getvalue()


def as_parquet(rows: list[Row]) -> pl.DataFrame:
    """A frame of the types that the contract asks for."""
    return pl.DataFrame(table_of(rows), schema={
        "code": pl.String, "heat": pl.Float64, "day": pl.Date, "at": pl.Datetime("us"), "weight": pl.Float64,
        "verdict": pl.String,
    })  # fmt: skip


def _parquet_bytes(frame: pl.DataFrame) -> bytes:
    out = io.BytesIO()
    frame.write_parquet(out)
    return out.getvalue()


# Changes


def changed_text(text: str, random: Random, stranger: str) -> str:
    """Another cell: an odd one, a damaged one, or the stranger."""
    match random.randrange(3):
        case 0:
            return random.choice(_ODD)
        case 1:
            at, letter = random.randint(0, len(text)), random.choice("0123456789.,-+eE: T'\"℃가")
            return text[:at] + letter * random.randint(0, 1) + text[at + random.randint(0, 1) :]
    return stranger


def cells(random: Random, strangers: list[str]) -> Case:
    """As many cells of a CSV or Excel file as there are strangers."""
    rows, told = sound_rows(random), list[tuple[int, str]]()
    for stranger in strangers:
        i, name = random.randrange(len(rows)), random.choice(list(KINDS))
        rows[i][name] = changed_text(rows[i][name], random, stranger)
        told.append((i + 2, name))
    lines = [list(KINDS), *([row[name] for name in KINDS] for row in rows)]
    if random.random() < 0.3:
        return Case("cells of Excel", ".xlsx", as_excel(lines), rows, told)
    return Case("cells of CSV", ".csv", as_csv(lines, random), rows, told)


def numbers_in_excel(random: Random) -> Case:
    """Cells that Excel holds as numbers, in any column."""
    rows = sound_rows(random)
    lines: list[list[Any]] = [list(KINDS), *([row[name] for name in KINDS] for row in rows)]
    i, name = random.randrange(len(rows)), random.choice(list(KINDS))
    value = random.choice((12.0, 46056.0, 0.1, -1e20, 1e300, 1234567.25, random.uniform(-1e6, 1e6)))
    value = float(f"{value:.16G}")  # the digits that xlsxwriter writes
    lines[i + 1][list(KINDS).index(name)] = value
    rows[i][name] = str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    return Case("numbers of Excel", ".xlsx", as_excel(lines), rows, [(i + 2, name)])


def structure(random: Random) -> Case:
    """Header and rows of a CSV or Excel file; what comes out is told by reading it a second time."""
    rows = sound_rows(random)
    lines = [list(KINDS), *([row[name] for name in KINDS] for row in rows)]
    at, column = random.randint(1, len(lines) - 1), random.randrange(len(KINDS))
    changes: dict[str, Callable[[], object]] = {
        "column gone": lambda: [line.pop(column) for line in lines],
        "column twice": lambda: [line.append(line[column]) for line in lines],
        "title beside id": lambda: [line.append(_KOREAN["heat"] if i == 0 else "1") for i, line in enumerate(lines)],
        "titles": lambda: lines[0].__setitem__(slice(None), list(_KOREAN.values())),
        "misspelt": lambda: lines[0].__setitem__(column, lines[0][column] + "x"),
        "no name": lambda: lines[0].__setitem__(column, ""),
        "merged header": lambda: lines.insert(0, ["2026", *[""] * (len(KINDS) - 1)]),
        "header twice": lambda: lines.insert(at, list(lines[0])),
        "short row": lambda: lines[at].pop(),
        "long row": lambda: lines[at].append("1"),
        "long row of a gap": lambda: lines[at].append(""),
        "blank line": lambda: lines.insert(at, []),
        "header only": lambda: lines.__delitem__(slice(1, None)),
        "nothing": lines.clear,
        "another order": lambda: [line.reverse() for line in lines],
        "row twice": lambda: lines.append(list(lines[at])),
        "own column": lambda: [line.insert(column, "note" if i == 0 else "0012") for i, line in enumerate(lines)],
    }  # fmt: skip
    kind = random.choice(list(changes))
    changes[kind]()
    return Case(f"structure, {kind}", ".csv", as_csv(lines, random))


def types(random: Random) -> Case:
    """Columns of a Parquet file in other types."""
    frame, name = as_parquet(sound_rows(random)), random.choice(list(KINDS))
    kinds = [pl.String, pl.Float32, pl.Int32, pl.Categorical, pl.Boolean, pl.Datetime("ns"), pl.Date, pl.Binary]
    kind = random.choice([*kinds, pl.List(pl.String), pl.Struct({"a": pl.String}), pl.Null, pl.Decimal(20, 2)])
    text = pl.col(name).cast(pl.String)
    column = {
        pl.List: pl.concat_list(text), pl.Struct: pl.struct(text.alias("a")), pl.Null: pl.lit(None),
        pl.Binary: text.cast(pl.Binary),
    }.get(kind.base_type(), pl.col(name).cast(kind, strict=False))  # fmt: skip
    try:
        frame = frame.with_columns(column.alias(name))
    except pl.exceptions.PolarsError:  # no such cast
        frame = frame.with_columns(text.alias(name))
    return Case(f"type {kind.base_type()}", ".parquet", _parquet_bytes(frame))


def damaged(content: bytes, random: Random) -> bytes:
    """Some bytes flipped, left out, put in, repeated, or all behind a place lost."""
    for _ in range(random.choice((1, 1, 2, 5))):
        at, length = random.randrange(len(content) + 1), random.choice((1, 1, 2, 9, 100))
        piece = random.choice((random.randbytes(length), content[at : at + length], b"", b"\0", b"\r", b'"', b"\xff"))
        content = content[:at] + piece + content[at + random.choice((0, length)) :]
        if random.random() < 0.1:
            content = content[: random.randrange(len(content) + 1)]
    return content


def bytes_of_csv(random: Random) -> Case:
    """Bytes of a CSV file."""
    rows = sound_rows(random)
    lines = [list(KINDS), *([row[name] for name in KINDS] for row in rows)]
    return Case("bytes of CSV", ".csv", damaged(as_csv(lines, random), random))


def bytes_of_excel(random: Random) -> Case:
    """Bytes of an Excel file: its members have checksums, so nothing may come out but what was put in."""
    rows = sound_rows(random)
    content = as_excel([list(KINDS), *([row[name] for name in KINDS] for row in rows)])
    return Case("bytes of Excel", ".xlsx", damaged(content, random), rows)


def bytes_of_parquet(random: Random) -> Case:
    """Bytes of a Parquet file: no checksum says what was put in, only that the file says it."""
    return Case("bytes of Parquet", ".parquet", damaged(_parquet_bytes(as_parquet(sound_rows(random))), random))


_RANDOMS = st.randoms(use_true_random=False)
_STRANGERS = st.text(st.characters(exclude_categories=("Cc", "Cs", "Cn")), max_size=8)
_CELLS = st.builds(cells, _RANDOMS, st.lists(_STRANGERS, min_size=1, max_size=3))
MADE_UP = st.integers(0, 11).flatmap(
    lambda number: _CELLS
    if number < 4
    else st.builds(
        (
            numbers_in_excel, structure, structure, types, bytes_of_csv, bytes_of_csv, bytes_of_excel, bytes_of_parquet
        )[number - 4],
        _RANDOMS,
    )
)  # fmt: skip
"""Every kind of change, by how often it is met."""


def silent(random: Random) -> Iterator[Case]:
    """Each of the texts in each column, as CSV and as text of Excel; the serial date also as Excel's own number."""
    for kind, text in SILENT.items():
        for name in KINDS:
            rows = sound_rows(random)
            i = random.randrange(len(rows))
            rows[i][name] = text
            lines: list[list[Any]] = [list(KINDS), *([row[name] for name in KINDS] for row in rows)]
            yield Case(f"silent, {kind}", ".csv", as_csv(lines, random), rows, [(i + 2, name)])
            yield Case(f"silent, {kind}", ".xlsx", as_excel(lines), rows, [(i + 2, name)])
            if kind == "Excel serial date":
                lines[i + 1][list(KINDS).index(name)] = float(text)
                yield Case(f"silent, {kind}", ".xlsx", as_excel(lines), rows, [(i + 2, name)])


def made_by_hand(*, files: bool) -> Iterator[Case]:
    """Those of the unit test, which keep its contract."""
    for kind, (name, row) in by_hand.CELLS.items():
        content = by_hand.lines(by_hand.GOOD, row, by_hand.GOOD)
        yield Case(f"by hand, {kind}", ".csv", content, None, [(3, name)])
    for kind, content_of in by_hand.FILES.items() if files else ():
        yield Case(f"by hand, {kind}", ".csv", content_of())


# A second reading


def read_again(case: Case) -> list[Row] | None:
    """What a file says, by other means than those of dxai; None when the table must be refused, or cannot be told."""
    if case.rows is not None:
        return table_of(case.rows) or table_of(case.rows, comma=True)
    if case.content[:4] == b"PAR1":
        return _parquet_again(case.content)
    for encoding in ("utf-16",) if case.content[:2] in (b"\xff\xfe", b"\xfe\xff") else ("utf-8-sig", "cp949"):
        try:
            text = case.content.decode(encoding)
            break
        except UnicodeDecodeError:
            continue
    else:
        return None
    readings = (_csv_again(text, delimiter) for delimiter in ",;\t|")
    return next((reading for reading in readings if reading is not None), None)


def _csv_again(text: str, delimiter: str) -> list[Row] | None:
    try:
        header, *lines = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)) or [[]]
    except csv.Error:
        return None
    while lines and 2 * sum(bool(name.strip()) for name in header) <= len(KINDS):  # a title above the header
        header, *lines = lines
    known = {**{name: name for name in KINDS}, **{title: name for name, title in _KOREAN.items()}}
    ids = [known.get(name.strip().casefold(), name) for name in header]
    if any(ids.count(name) != 1 for name in KINDS) or any(len(line) != len(ids) for line in lines):
        return None
    rows = [dict(zip(ids, line, strict=True)) for line in lines]
    plain = table_of(rows)
    return plain if plain is not None or delimiter == "," else table_of(rows, comma=True)


def _parquet_again(content: bytes) -> list[Row] | None:
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(io.BytesIO(content))
        short = {f.name for f in table.schema if str(f.type) == "float"}
        rows = [{n: _shown(np.float32(v) if n in short and v else v) for n, v in r.items()} for r in table.to_pylist()]
    except Exception:
        return None
    return table_of(rows)


def _shown(value: Any) -> Any:
    """A typed cell as a CSV file would hold it."""
    if value is None or (isinstance(value, float | np.floating) and math.isnan(value)):
        return ""
    if isinstance(value, datetime) and not (value.hour or value.minute or value.second or value.microsecond):
        value = value.date()
    return str(value)


# The judgement


def judge(case: Case, folder: Path) -> tuple[int, list[str]]:
    """Convert the table in this folder, by the contract beside it; the exit code and what is wrong with it."""
    for path in folder.glob("*"):
        path.unlink()
    source, out = folder / f"rows{case.suffix}", folder / "out.parquet"
    source.write_bytes(case.content)
    contract = folder.parent / "parts.yaml"
    with _noise_of(folder.parent / "noise") as noise:
        answer = dxai_here("data", "convert", source, "-c", contract, "-o", out, "--keep-order", home=folder)
    wrong = _refused(case, answer, folder) if answer.code else _taken(case, out, contract)
    wrong += [f"noise behind the message: {noise[0][:200]!r}"] if noise[0] else []
    if answer.code not in (0, 6):
        wrong = [f"exit code {answer.code}: {answer.err[-300:]}"]
    return answer.code, wrong


@contextmanager
def _noise_of(place: Path) -> Iterator[list[str]]:
    """What libraries that are not Python write on standard error while the block runs."""
    sys.stderr.flush()
    kept, noise = os.dup(2), list[str]()
    with place.open("w+b") as file:
        os.dup2(file.fileno(), 2)
        try:
            yield noise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            file.seek(0)
            noise.append(file.read().decode(errors="replace"))


def _refused(case: Case, answer: Answer, folder: Path) -> list[str]:
    wrong, lines = [], answer.message.rstrip("\n").splitlines()
    if "Traceback" in answer.err or answer.err.count("dxai: ") != 1:
        wrong.append(f"not one message: {answer.err[-300:]!r}")
    if len(lines) > MANY_LINES or len(answer.message) > MANY_LETTERS or not all(map(str.isprintable, lines)):
        wrong.append(f"not short or not printable: {answer.message[:500]!r}")
    if case.cells and not any(
        f"'{name}'" in answer.message and f"row {row}" in answer.message for row, name in case.cells
    ):
        wrong.append(f"row and column of none of {case.cells} named: {answer.message[:300]!r}")
    if len(left := sorted(path.name for path in folder.iterdir())) > 1:
        wrong.append(f"something was written: {left}")
    if case.rows is not None and not case.kind.startswith("bytes") and read_again(case) is not None:
        wrong.append(f"refused although sound: {answer.message[:300]!r}")
    return wrong


def _taken(case: Case, out: Path, contract: Path) -> list[str]:
    told, written = read_again(case), pl.read_parquet(out)
    if told is None:
        return [f"taken although unsound: {written.rows(named=True)[:2]}"]
    if written.columns != list(KINDS):
        return [f"other columns: {written.columns}"]
    differ = [(a, b) for a, b in zip(told, written.rows(named=True), strict=False) if a != b]
    if differ or len(told) != len(written):
        return [f"changed in silence: {differ[:1] or (len(told), len(written))}"]
    again = out.with_name("again.parquet")
    wrong = []
    checked = dxai_here("data", "check", out, "-c", contract, "--json", home=out.parent)  # too few rows to train on
    if checked.code not in (0, 6) or json.loads(checked.out)["problems"]:
        wrong.append(f"check of the output: {checked.code} {checked.out[-300:]}{checked.message[:300]}")
    answer = dxai_here("data", "convert", out, "-c", contract, "-o", again, "--keep-order", home=out.parent)
    if answer.code:
        wrong.append(f"convert of the output: {answer.code} {answer.message[:300]}")
    return wrong or ([] if pl.read_parquet(again).equals(written) else ["twice is not the same as once"])


@dataclass
class Tally:
    """What became of the tables so far."""

    found: Finding = field(default_factory=Finding)
    codes: Counter[int] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)

    def take(self, case: Case, folder: Path) -> int:
        """One more; its exit code."""
        code, wrong = judge(case, folder)
        self.found.broken += [
            f"{case.kind}, {text.partition(':')[0]}: {text} (case {self.codes.total()})" for text in wrong
        ]
        self.codes[code] += 1
        self.kinds[case.kind] += 1
        return code


def malformed_tables(setting: Setting) -> Finding:
    """Those that must be met, then so many made up."""
    tally, folders = Tally(), [setting.folder / name / "rows" for name in ("made", "hand")]
    for folder, contract in zip(folders, (json.dumps(_contract()), by_hand.CONTRACT), strict=True):
        folder.mkdir(parents=True)
        (folder.parent / "parts.yaml").write_text(contract, "utf-8")
    for case in silent(setting.random):
        tally.take(case, folders[0])
    sure = tally.codes.total()
    for case in made_by_hand(files=setting.is_release):
        if (code := tally.take(case, folders[1])) != 6:
            tally.found.broken.append(f"{case.kind}: it ended with {code}")
    hand = tally.codes.total() - sure

    @seed(setting.seed)
    @settings(
        max_examples=CASES[setting.size],
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(MADE_UP)
    def make_up(case: Case) -> None:
        tally.take(case, folders[0])

    make_up()
    found = tally.found
    found.facts = {
        "n": tally.codes.total(), "silent_kinds": sure, "by_hand": hand, "made_up": tally.codes.total() - sure - hand,
        "by_exit_code": dict(sorted(tally.codes.items())), "kinds": len(tally.kinds),
        "changed_in_silence": sum("in silence" in text for text in found.broken),
        "no_short_message": sum("not one message" in text or "not short" in text for text in found.broken),
        "noisy": sum("noise behind" in text for text in found.broken),
    }  # fmt: skip
    return found


if __name__ == "__main__":
    run("malformed_tables", __doc__, malformed_tables)
