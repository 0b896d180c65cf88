"""A table that does not begin in line 1, is in another sheet or in another encoding finds its way in, and says so."""

from __future__ import annotations

import struct
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import xlsxwriter
import yaml
from click.testing import CliRunner, Result

from dxai.cli.main import cli
from dxai.contract import load_contract
from dxai.data import tables
from dxai.data.dialect import Dialect, encoding_of
from dxai.data.encodings import is_korean
from dxai.data.layout import Layout, layout_of, with_units
from dxai.data.recognise import Given, Recognised, recognise
from dxai.data.tables import as_text, read_blocks
from dxai.errors import DataError, NotFoundError, SettingsError
from dxai.intake.mapping import FileDialect

ROWS = [[f"{20 + i / 4}", f"{i % 7}", f"{3 + i * i % 5}.5"] for i in range(30)]


def text(folder: Path, lines: Sequence[Sequence[str] | str], mark: str = ",", encoding: str = "utf-8") -> Path:
    path = folder / "raw.csv"
    content = "".join((line if isinstance(line, str) else mark.join(line)) + "\n" for line in lines)
    path.write_bytes(content.encode(encoding))
    return path


def workbook(folder: Path, fill: Callable[[xlsxwriter.Workbook], None]) -> Path:
    path = folder / "raw.xlsx"
    book = xlsxwriter.Workbook(path)
    fill(book)
    book.close()
    return path


def sheet(book: xlsxwriter.Workbook, name: str, rows: Sequence[Sequence[Any]]) -> xlsxwriter.workbook.Worksheet:
    made = book.add_worksheet(name)
    for number, row in enumerate(rows):
        made.write_row(number, 0, row)
    return made


def table(path: Path, given: Given | None = None) -> tuple[Recognised, pl.DataFrame]:
    found = recognise(path, given or Given())
    return found, pl.concat(list(read_blocks(path, found.dialect)))


def refusal(path: Path, dialect: Dialect | None = None) -> DataError:
    with pytest.raises(DataError) as caught:
        list(read_blocks(path, dialect))
    assert str(path) in caught.value.where
    assert caught.value.fix
    return caught.value


def data(*words: str | Path) -> Result:
    return CliRunner().invoke(cli, ["data", *map(str, words)])


ORDINARY = [["heat", "p", "y"], *ROWS]
LOGGER = [["Datalogger 7"], ["2025-01-31 08:00"], []]
PLACES: dict[str, tuple[list[Sequence[str] | str], int]] = {
    "ordinary": (ORDINARY, 1),
    "title": (["Line 3", *ORDINARY], 2),
    "preamble": ([*LOGGER, *ORDINARY], 4),
    "blank lines": (["", "", *ORDINARY], 3),
    "pairs with a blank line": ([["Operator", "Kim"], ["Recipe", "B-12"], [], *ORDINARY], 4),
    "padded by Excel": ([["생산 일보", "", ""], ["", "", ""], *ORDINARY], 3),
    "one line is quoted": ([['"Plant, hall 2"'], *ORDINARY], 2),
}


@pytest.mark.parametrize("encoding", ["utf-8", "cp949", "utf-16"])
@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
@pytest.mark.parametrize("place", PLACES)
def test_header_below_line_1_is_found(tmp_path: Path, place: str, mark: str, encoding: str) -> None:
    lines, row = PLACES[place]
    path = text(tmp_path, lines, mark, encoding)
    found, read = table(path)
    assert (found.dialect.header_row, found.dialect.delimiter) == (row, mark)
    assert read.columns == ["heat", "p", "y"]
    assert read.rows() == [tuple(cells) for cells in ROWS]
    assert found.line == ("" if row == 1 else f"read as: header in line {row}")
    assert [key for key, _ in found.guesses] == ["header_row"] * (row > 1)


@pytest.mark.parametrize("row", [4, 1])
def test_quoted_cells_below_a_preamble_are_read(tmp_path: Path, row: int) -> None:
    body = [['"heat, in"', '"y\nkN"'], *([f'"{i},5"', str(i)] for i in range(20))]
    found, read = table(text(tmp_path, [*LOGGER, *body] if row == 4 else body))
    assert found.dialect.header_row == row
    assert read.columns == ["heat, in", "y\nkN"]
    assert read.rows()[3] == ("3,5", "3")


def test_sep_line_says_the_delimiter(tmp_path: Path) -> None:
    found, read = table(text(tmp_path, ["sep=;", ["온도", "x,y"], *([f"{i},5", "a,b"] for i in range(9))], ";"))
    assert found.dialect == Dialect("utf-8-sig", ";", ",", header_row=2)
    assert read.rows()[2] == ("2,5", "a,b")


@pytest.mark.parametrize("mark", [",", ";"])
def test_index_of_pandas_gets_a_name_and_stays(tmp_path: Path, mark: str) -> None:
    lines = [["", "heat", "y"], *([str(i), row[0], row[2]] for i, row in enumerate(ROWS))]
    found, read = table(text(tmp_path, lines, mark))
    assert read.columns == ["unnamed_1", "heat", "y"]
    assert read["unnamed_1"].to_list() == [str(i) for i in range(30)]
    assert found.line == "read as: the first column has no name and is called 'unnamed_1', it counts the rows"
    assert "dxai data convert" in refusal(text(tmp_path, lines)).fix


@pytest.mark.parametrize("quote", ["", '"'])
@pytest.mark.parametrize("ends", [1, 2])
def test_empty_last_column_is_left_out(tmp_path: Path, ends: int, quote: str) -> None:
    lines = [[f"{quote}heat{quote}", "p", "y", *[""] * ends], *([*row, *[""] * ends] for row in ROWS)]
    found, read = table(text(tmp_path, lines, ";"))
    assert read.columns == ["heat", "p", "y"]
    assert read.rows() == [tuple(row) for row in ROWS]
    assert "left out" in found.line
    lines[17][3] = "see note"
    error = refusal(text(tmp_path, lines, ";"), found.dialect)
    assert error.problem == "Column 4 has no name, however a value in row 18: 'see note'."


@pytest.mark.parametrize(
    ("names", "units", "shown"),
    [
        (["온도", "압력", "두께"], ["℃", "MPa", "mm"], ["온도 (℃)", "압력 (MPa)", "두께 (mm)"]),
        (["heat", "p", "y"], ["(degC)", "[bar]", "-"], ["heat (degC)", "p (bar)", "y"]),
        (["I", "U", "t"], ["A", "V", "s"], ["I (A)", "U (V)", "t (s)"]),
        (["heat (℃)", "p", "y"], ["℃", "", "kN"], ["heat (℃)", "p", "y (kN)"]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("above", [0, 3])
def test_units_in_the_row_below_go_behind_the_names(
    tmp_path: Path, above: int, names: list[str], units: list[str], shown: list[str]
) -> None:
    found, read = table(text(tmp_path, [*LOGGER[:above], names, units, *ROWS], ";"))
    assert (found.dialect.header_row, found.dialect.units_row, found.dialect.first_row) == (above + 1, True, above + 3)
    assert read.columns == shown
    assert read.rows() == [tuple(row) for row in ROWS]
    assert f"units in line {above + 2}" in found.line


def test_units_beside_columns_of_text(tmp_path: Path) -> None:
    lines = [["lot", "heat", "force"], ["", "℃", "kN"], *([f"L{i}", row[0], row[1]] for i, row in enumerate(ROWS))]
    assert table(text(tmp_path, lines))[1].columns == ["lot", "heat (℃)", "force (kN)"]


@pytest.mark.parametrize(
    "rows",
    [
        [["a", "b"], ["1", "2"], ["3", "4"]],
        [["grade", "n"], ["A", "1"], ["B", "2"]],  # ampere is no unit of a text
        [["x", "n"], ["ND", "-"], ["1", "2"], ["3", "4"]],
        [["x", "n"], ["", ""], ["1", "2"], ["3", "4"]],
        [["x", "n"], ["5", "m"], ["1", "2"], ["3", "4"]],
        [["a"], ["m"], ["k"]],
        [["grade", "n"], ["m", "m"], ["1", "2"], ["3", "4"]],
        [["age", "", "water"], ["1", "2", "3"], ["4", "5", "6"]],
        [["a", "a"], ["1", "2"]],
        [["lot", "grade"], [], ["L1", "A"], ["L2", "5"], ["L3", "B"], ["L4", "7"]],
        [],
    ],
)
def test_ordinary_rows_are_left_as_they_are(rows: list[list[str]]) -> None:
    assert layout_of(rows) == Layout()


@pytest.mark.parametrize(
    ("upper", "lower"),
    [
        (["Temp", "", "Press", ""], ["in", "out", "in", "out"]),
        (["온도", "온도", "압력", "압력"], ["입구", "출구", "입구", "출구"]),
        (["heat", "speed", "force", "y"], ["furnace", "belt", "press", "gauge"]),
    ],
)
@pytest.mark.parametrize("above", [0, 3])
def test_two_header_rows_are_not_guessed(tmp_path: Path, above: int, upper: list[str], lower: list[str]) -> None:
    path = text(tmp_path, [*LOGGER[:above], upper, lower, *([*row, "1"] for row in ROWS)])
    with pytest.raises(DataError) as caught:
        recognise(path)
    assert caught.value.problem == f"Lines {above + 1} and {above + 2} both look like a header."
    assert f"--header-row {above + 2}" in caught.value.fix
    assert recognise(path, Given(header_row=above + 2)).dialect.header_row == above + 2


def test_header_row_that_a_person_names_is_taken(tmp_path: Path) -> None:
    found, read = table(text(tmp_path, [["heat", "p", "y"], ["T", "P", "Y"], *ROWS]), Given(header_row=2))
    assert read.columns == ["T", "P", "Y"]
    assert found.guesses == ()


def test_row_numbers_are_the_lines_of_the_file(tmp_path: Path) -> None:
    lines = [*LOGGER, ["heat", "y"], ["℃", "kN"], ["1", "2"], ["3"], ["4", "5"]]
    error = refusal(text(tmp_path, lines), Dialect(header_row=4, units_row=True))
    assert "row 7 has 1" in error.problem
    broken = text(tmp_path, [*lines[:5], ['"1"', "2"], ['"3"x', "4"]])
    with pytest.raises(DataError, match="line 7"):
        list(read_blocks(broken, Dialect(header_row=4, units_row=True)))


@pytest.mark.parametrize("place", [name for name in PLACES if name not in ("ordinary", "one line is quoted")])
def test_strict_doors_refuse_and_name_the_row(tmp_path: Path, place: str) -> None:
    lines, row = PLACES[place]
    path = text(tmp_path, lines)
    for dialect in (None, Dialect()):
        assert f"`dxai data convert --header-row {row}`" in refusal(path, dialect).fix


def test_strict_doors_refuse_a_row_of_units(tmp_path: Path) -> None:
    path = text(tmp_path, [["heat", "y", "p"], ["℃", "kN", "bar"], *ROWS])
    error = refusal(path)
    assert error.problem == "Line 2 holds units, no data."
    assert "units_row: true" in error.fix


# Encodings


@pytest.mark.parametrize(
    "words", ["온도,압력", "품명\n뷁\n펲시\n똠방각하", "heat (℃),무게 (㎏)", "部品 번호,규격,수량,단위"]
)
def test_korean_in_cp949_is_korean(tmp_path: Path, words: str) -> None:
    assert is_korean(words)
    path = tmp_path / "raw.csv"
    path.write_bytes(f"{words}\n1,2\n".encode("cp949"))
    assert encoding_of(path) == "cp949"


@pytest.mark.parametrize(
    ("header", "encoding"),
    [
        ("Temp (°C),y", "windows-1252"),
        ("d (µm),load", "windows-1252"),
        ("温度,圧力,品名", "shift_jis"),
        ("サイズ,数量", "shift_jis"),
        ("温度,压力,产量", "gb18030"),
        ("产品名称,重量", "gb18030"),
    ],
)
def test_what_only_decodes_as_cp949_is_refused_with_the_likely_encodings(
    tmp_path: Path, header: str, encoding: str
) -> None:
    path = text(tmp_path, [header, *(["1"] * (header.count(",") + 1) for _ in range(5))], encoding=encoding)
    error = refusal(path)
    assert "is not Korean" in error.problem
    assert f"--encoding {encoding} reads {header!r}" in error.fix
    found, read = table(path, Given(encoding=encoding))
    assert read.columns == header.split(",")
    assert found.dialect.encoding == encoding


def test_bytes_that_are_no_cp949_are_offered_other_encodings(tmp_path: Path) -> None:
    error = refusal(text(tmp_path, ["Qualité,y", "1,2"], encoding="windows-1252"))
    assert "nor CP949" in error.problem
    assert "--encoding windows-1252 reads 'Qualité,y'" in error.fix


@pytest.mark.parametrize("quote", ["", '"'])
@pytest.mark.parametrize("line", ["온도,y", "heat,y"])
def test_wrong_encoding_of_a_mapping_is_told_with_the_likely_one(tmp_path: Path, line: str, quote: str) -> None:
    path = text(tmp_path, [line, "1,2", f"{quote}강철{quote},3"], encoding="cp949")
    error = refusal(path, Dialect("utf-8"))
    assert error.problem.startswith("The file is not utf-8: byte ")
    assert "cp949" in error.fix
    with pytest.raises(DataError, match="is not utf-8"):
        recognise(path, Given(encoding="utf-8"))


def test_unknown_encoding_is_told(tmp_path: Path) -> None:
    path = text(tmp_path, ORDINARY)
    with pytest.raises(DataError, match="no text encoding 'klingon'"):
        recognise(path, Given(encoding="klingon"))
    with pytest.raises(ValueError, match="no text encoding 'hex'"):
        FileDialect(encoding="hex")


@pytest.mark.parametrize("quote", ["", '"'])
@pytest.mark.parametrize("name", ["utf8", "UTF-8", "utf-8", "utf_8_sig"])
def test_utf8_takes_its_mark_by_any_name(tmp_path: Path, name: str, quote: str) -> None:
    path = text(tmp_path, [f"{quote}온도{quote},y", "1,2"], encoding="utf-8-sig")
    assert table(path, Given(encoding=name))[1].columns == ["온도", "y"]
    assert next(iter(read_blocks(path, FileDialect(encoding=name).dialect))).columns == ["온도", "y"]


# Excel


def test_hidden_first_sheet_is_passed_over(tmp_path: Path) -> None:
    def fill(book: xlsxwriter.Workbook) -> None:
        sheet(book, "Lists", [["code"], ["A"]]).hide()
        shown = sheet(book, "Data", ORDINARY)
        shown.activate()
        shown.set_first_sheet()

    found, read = table(workbook(tmp_path, fill))
    assert (found.dialect.sheet, read.columns, len(read)) == ("Data", ["heat", "p", "y"], 30)
    assert found.line == "read as: sheet 'Data'; hidden and left out: Lists"
    assert pl.concat(list(read_blocks(tmp_path / "raw.xlsx"))).equals(read)
    assert table(tmp_path / "raw.xlsx", Given(sheet="Lists"))[1].rows() == [("A",)]


def test_one_of_several_sheets_is_named(tmp_path: Path) -> None:
    path = workbook(tmp_path, lambda book: [sheet(book, n, [[n], [1]]) for n in ("2024", "2025 상반기")] and None)
    found, read = table(path)
    assert (read.columns, found.guesses) == (["2024"], (("sheet", "other sheets: 2025 상반기 (--sheet)"),))
    assert table(path, Given(sheet="2025 상반기"))[1].columns == ["2025 상반기"]
    with pytest.raises(NotFoundError, match="no sheet '2025 하반기'"):
        recognise(path, Given(sheet="2025 하반기"))
    with pytest.raises(SettingsError, match="has no encoding"):
        recognise(path, Given(encoding="cp949"))
    with pytest.raises(SettingsError, match="has no sheet"):
        recognise(text(tmp_path, ORDINARY), Given(sheet="2024"))


@pytest.mark.parametrize("units", [[], [["℃", "bar", "kN"]]], ids=["no units", "units"])
@pytest.mark.parametrize("above", [[], [["월간 보고"], [None], ["담당", "김"], []]], ids=["row 1", "row 5"])
def test_header_and_units_of_a_sheet_are_found(tmp_path: Path, above: list[Any], units: list[list[str]]) -> None:
    numbers = [[float(cell) for cell in row] for row in ROWS]
    path = workbook(tmp_path, lambda book: sheet(book, "s", [*above, ORDINARY[0], *units, *numbers]) and None)
    found, read = table(path)
    assert (found.dialect.header_row, found.dialect.units_row) == (len(above) + 1, bool(units))
    assert read.columns == (["heat (℃)", "p (bar)", "y (kN)"] if units else ["heat", "p", "y"])
    assert read.cast(pl.Float64).rows() == [tuple(row) for row in numbers]
    if above:
        assert f"--header-row {len(above) + 1}" in refusal(path).fix
    elif units:
        assert refusal(path).problem == "Row 2 holds units, no data."


def merged(book: xlsxwriter.Workbook) -> None:
    made = sheet(book, "s", [["로트", "y", "grade"]])
    for lot in range(3):
        made.merge_range(1 + 4 * lot, 0, 4 + 4 * lot, 0, f"L{lot}")
        made.write_column(1 + 4 * lot, 1, [lot + i / 10 for i in range(4)])
    made.merge_range(1, 2, 12, 2, 7)


def test_merged_cells_are_filled_where_the_mapping_says_so(tmp_path: Path) -> None:
    path = workbook(tmp_path, merged)
    error = refusal(path)
    assert error.problem.startswith("A2:A5, and 3 more ranges are merged")
    assert "fill_merged: true" in error.fix
    found, read = table(path)
    assert read["로트"].to_list() == [f"L{lot}" for lot in range(3) for _ in range(4)]
    assert read["grade"].to_list() == ["7"] * 12
    assert ("fill_merged", "each cell of a merged range means what its first one says") in found.guesses


def test_merged_title_above_the_header_is_no_matter(tmp_path: Path) -> None:
    def fill(book: xlsxwriter.Workbook) -> None:
        made = sheet(book, "s", [[], *ORDINARY])
        made.merge_range(0, 0, 0, 2, "Report")

    found, read = table(workbook(tmp_path, fill))
    assert (found.dialect.header_row, found.dialect.fill_merged, len(read)) == (2, False, 30)


@pytest.mark.parametrize("across", [True, False])
def test_merged_header_of_two_rows_is_not_guessed(tmp_path: Path, across: bool) -> None:
    def fill(book: xlsxwriter.Workbook) -> None:
        made = sheet(book, "s", [[], ["in", "out", "in", "out", "y"], *([1, 2, 3, 4, 5] for _ in range(9))])
        made.merge_range(0, 4, 1, 4, "y")
        if across:
            made.merge_range(0, 0, 0, 1, "heat")
            made.merge_range(0, 2, 0, 3, "force")
        else:
            made.write_row(0, 0, ["a", "b", "c", "d"])

    with pytest.raises(DataError, match="Rows 1 and 2 both look like a header"):
        recognise(workbook(tmp_path, fill))


def biff(*records: tuple[int, bytes]) -> bytes:
    return b"".join(struct.pack("<HH", kind, len(body)) + body for kind, body in records)


def ole(path: Path, name: str, stream: bytes) -> Path:
    """An OLE file of one stream: sector 0 its table of sectors, 1 the directory, the stream behind."""
    stream += bytes(-len(stream) % 512) if len(stream) >= 4096 else bytes(4096 - len(stream))
    count, end, free = len(stream) // 512, 0xFFFFFFFE, 0xFFFFFFFF
    chain = [0xFFFFFFFD, end, *range(3, 2 + count), end]
    sectors = struct.pack("<128I", *chain, *[free] * (128 - len(chain)))
    head = bytes.fromhex("d0cf11e0a1b11ae1") + bytes(16) + struct.pack("<HHHHH", 0x3E, 3, 0xFFFE, 9, 6) + bytes(6)
    head += struct.pack("<IIIIIIIII", 0, 1, 1, 0, 4096, end, 0, end, 0) + struct.pack("<109I", 0, *[free] * 108)

    def entry(title: str, kind: int, child: int, start: int, size: int) -> bytes:
        letters = (title + "\0").encode("utf-16-le")
        return (
            letters.ljust(64, b"\0") + struct.pack("<HBBIII", len(letters), kind, 1, free, free, child) + bytes(36)
            + struct.pack("<IQ", start, size)
        )  # fmt: skip

    entries = entry("Root Entry", 5, 1, end, 0) + entry(name, 2, free, 2, len(stream)) + bytes(256)
    path.write_bytes(head + sectors + entries + stream)
    return path


def old_excel(path: Path, rows: list[list[str | float]]) -> Path:
    """A file of Excel 97 with one sheet."""
    cells = []
    for r, row in enumerate(rows):
        for c, cell in enumerate(row):
            place = struct.pack("<HHH", r, c, 0)
            if isinstance(cell, str):
                letters = cell.encode("utf-16-le")
                cells.append((0x0204, place + struct.pack("<HB", len(letters) // 2, 1) + letters))
            else:
                cells.append((0x0203, place + struct.pack("<d", cell)))
    begin, end = (0x0809, struct.pack("<HHHHII", 0x0600, 0x0010, 0, 0, 0, 0)), (0x000A, b"")
    top = (0x0809, struct.pack("<HHHHII", 0x0600, 0x0005, 0, 0, 0, 0))
    bound = struct.pack("<IHBB", len(biff(top, end)) + 4 + 9, 0, 1, 0) + b"s"
    return ole(path, "Workbook", biff(top, (0x0085, bound), end, begin, *cells, end))


def test_old_excel_file_is_read_where_it_is_converted(tmp_path: Path) -> None:
    rows = [["온도", "y"], ["℃", "kN"], *([20.5 + i, float(i)] for i in range(9))]
    found, read = table(old_excel(tmp_path / "raw.xls", rows))
    assert (found.kind, read.columns) == ("excel", ["온도 (℃)", "y (kN)"])
    assert read.rows()[:2] == [("20.5", "0"), ("21.5", "1")]
    assert "dxai data convert" in refusal(tmp_path / "raw.xls").fix


@pytest.mark.parametrize("at", [4, 8, 4 * 3])
def test_old_excel_file_whose_sectors_run_in_a_circle_is_refused(tmp_path: Path, at: int) -> None:
    path = old_excel(tmp_path / "raw.xls", [["a"], [1.0]])
    content = bytearray(path.read_bytes())
    content[512 + at : 516 + at] = struct.pack("<I", at // 4)
    path.write_bytes(content)
    assert "runs in a circle" in refusal(path, Dialect()).problem


def test_old_excel_file_that_declares_too_much_is_refused(tmp_path: Path) -> None:
    path = old_excel(tmp_path / "raw.xls", [["a"], [1.0]])
    content, begin = path.read_bytes(), biff((0x0204, struct.pack("<HHHHB", 0, 0, 0, 1, 1) + "a".encode("utf-16-le")))
    assert begin in content
    declared = biff((0x0200, struct.pack("<IIHHH", 0, 1 << 31, 0, 255, 0)))
    path.write_bytes(content.replace(begin, declared + begin, 1)[: len(content)])
    assert "cells, empty ones counted" in refusal(path, Dialect()).problem


def test_old_excel_file_with_a_changed_byte_gives_a_table_or_one_sentence(tmp_path: Path) -> None:
    path = old_excel(tmp_path / "raw.xls", [["a", "b"], *([float(i), "x"] for i in range(20))])
    content = path.read_bytes()
    for place in [*range(8, 640, 7), *range(1024, 2600, 11)]:
        path.write_bytes(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])
        try:
            list(read_blocks(path, Dialect()))
        except DataError as error:
            assert str(path) in error.where


def test_locked_excel_file_is_refused_in_one_sentence(tmp_path: Path) -> None:
    path = ole(tmp_path / "raw.xlsx", "EncryptedPackage", b"x" * 5000)
    for dialect in (None, Dialect()):
        assert refusal(path, dialect).problem == "The Excel file is locked by a password."


# Parquet


@pytest.mark.parametrize("unit", ["ns", "us", "ms"])
def test_durations_are_seconds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, unit: Any) -> None:
    times = pl.Series("cycle", [timedelta(minutes=1, milliseconds=250), None, timedelta(0)], dtype=pl.Duration(unit))
    frame = pl.DataFrame([times, pl.Series("day", [date(2025, 1, 1)] * 3)])
    assert as_text(frame)["cycle"].to_list() == ["60.25", None, "0.0"]
    frame.write_parquet(tmp_path / "raw.parquet")
    monkeypatch.setattr(tables, "decoded", lambda *_: iter([frame.clear(), frame]))  # its child process
    found, read = table(tmp_path / "raw.parquet")
    assert read["cycle (s)"].to_list() == [60.25, None, 0.0]
    assert read["day"].dtype == pl.Date
    assert found.line == ""


# The verbs


def test_draft_has_what_was_recognised_and_converts_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text(tmp_path, [*LOGGER, ["온도", "압력", "y"], ["℃", "MPa", "mm"], *ROWS], ";")
    ran = data("init", "raw.csv", "-t", "y (mm)")
    assert ran.exit_code == 0, ran.exception
    assert "read as: header in line 4; units in line 5" in ran.output
    draft = Path("raw/mapping.yaml").read_text("utf-8")
    assert "header_row: 4  # decide: what stands above line 4 is left out" in draft
    assert "units_row: true  # decide: line 5 holds units, no data" in draft
    assert yaml.safe_load(draft)["file"]["units_row"] is True
    ran = data("convert", "raw.csv", "-c", "raw/contract.yaml", "-m", "raw/mapping.yaml", "-o", "raw/table.csv")
    assert ran.exit_code == 0, ran.exception
    made = pl.read_csv("raw/table.csv")
    assert made.rows() == [tuple(map(float, row)) for row in ROWS]
    assert [c.unit for c in load_contract(Path("raw/contract.yaml")).columns] == ["Cel", "MPa", "mm"]


def test_options_stand_above_a_mapping(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text(tmp_path, ORDINARY)
    assert data("init", "raw.csv", "-t", "y").exit_code == 0
    text(tmp_path, ["Menge in °C", *ORDINARY], encoding="windows-1252")
    words = ("convert", "raw.csv", "-c", "raw/contract.yaml", "-m", "raw/mapping.yaml", "-o", "raw/t.csv")
    ran = data(*words)
    assert isinstance(ran.exception, DataError) and "is not utf-8-sig" in ran.exception.problem
    ran = data(*words, "--encoding", "windows-1252")
    assert isinstance(ran.exception, DataError) and "--header-row 2" in ran.exception.fix
    ran = data(*words, "--encoding", "windows-1252", "--header-row", "2")
    assert ran.exit_code == 0, ran.exception
    assert len(pl.read_csv("raw/t.csv")) == 30


def test_check_guesses_nothing_and_counts_the_lines_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text(tmp_path, ORDINARY)
    assert data("init", "raw.csv", "-t", "y").exit_code == 0
    rows = [list(row) for row in ROWS]
    rows[2][0] = "hot"
    text(tmp_path, [*LOGGER, ORDINARY[0], *rows])
    ran = data("check", "raw.csv", "-c", "raw/contract.yaml")
    assert isinstance(ran.exception, DataError) and "--header-row 4" in ran.exception.fix
    ran = data("check", "raw.csv", "-c", "raw/contract.yaml", "--header-row", "4")
    assert isinstance(ran.exception, DataError) and "row 7" in ran.exception.problem


def test_describe_says_what_it_recognised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    workbook(tmp_path, merged)
    ran = data("describe", "raw.xlsx")
    assert ran.exit_code == 0, ran.exception
    assert "read as: merged cells are filled with the value of the first" in ran.output
    text(tmp_path, ORDINARY)
    ran = data("describe", "raw.csv", "--header-row", "1")
    assert "read as" not in ran.output


def test_units_behind_names_are_none_where_there_is_none() -> None:
    assert with_units(["a", "b", ""], ["-", "n/a"]) == ["a", "b", ""]


@pytest.mark.process
def test_rows_of_values_load_no_grammar_of_units() -> None:
    program = (
        "import sys; from dxai.data.layout import layout_of\n"
        "print(layout_of([['date', 'sold'], *[[f'2024-01-{day}', f'{day}.5'] for day in range(10, 30)]]).header_row)\n"
        "print([name for name in ('pint', 'lark', 'ucumvert') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "1\n[]\n"
