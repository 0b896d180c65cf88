"""A table is CSV, Excel or Parquet by its first bytes, gives the same rows in each, and never takes all memory."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import xlsxwriter
from polars.testing import assert_frame_equal

from dxai.data import excel as excel_reader
from dxai.data.tables import as_text, read_blocks, spooled
from dxai.errors import DataError, NotFoundError


def excel(path: Path, rows: list[list[Any]], **options: Any) -> Path:
    book = xlsxwriter.Workbook(path, {"default_date_format": "yyyy-mm-dd", **options})
    sheet = book.add_worksheet()
    for number, row in enumerate(rows):
        sheet.write_row(number, 0, row)
    book.close()
    return path


def table(path: Path) -> pl.DataFrame:
    return pl.concat(list(read_blocks(path)))


def refusal(path: Path) -> DataError:
    with pytest.raises(DataError) as caught:
        list(read_blocks(path))
    assert caught.value.exit_code == 6
    assert str(path) in caught.value.where
    assert caught.value.fix
    assert len(caught.value.problem) < 400
    return caught.value


FRAME = pl.DataFrame({
    "code": ["0012", None, "가나"], "n": [1, None, 2], "x": [1.5, None, -2.0],
    "day": [date(2024, 1, 31), None, date(2024, 2, 29)],
})  # fmt: skip


def write_csv(path: Path) -> None:
    FRAME.write_csv(path)


def write_parquet(path: Path) -> None:
    FRAME.write_parquet(path)


def write_excel(path: Path) -> None:
    excel(path, [FRAME.columns, *map(list, FRAME.rows())])


@pytest.mark.parametrize("suffix", [".csv", ".xlsx", ".parquet", ".txt", ""])
@pytest.mark.parametrize("write", [write_csv, write_excel, write_parquet])
def test_first_bytes_tell_the_kind_whatever_the_suffix(
    tmp_path: Path, write: Callable[[Path], None], suffix: str
) -> None:
    source = tmp_path / f"made{'.xlsx' if write is write_excel else ''}"
    write(source)
    path = source.rename(tmp_path / f"rows{suffix}")
    text = as_text(table(path))
    assert text.schema == pl.Schema(dict.fromkeys(FRAME.columns, pl.String))
    assert_frame_equal(text.select("code", "n", "day"), FRAME.select("code", "n", "day").cast(pl.String))
    assert text["x"].cast(pl.Float64).to_list() == [1.5, None, -2.0]


def test_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError) as caught:
        read_blocks(tmp_path / "rows.xlsx")
    assert caught.value.exit_code == 3
    assert "rows.xlsx" in caught.value.problem


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ([1.0, 0.1, float("nan"), None], ["1.0", "0.1", None, None]),
        ([datetime(2024, 1, 31), None], ["2024-01-31", None]),
        ([datetime(2024, 1, 31), datetime(2024, 2, 1, 8, 30)], ["2024-01-31 00:00:00", "2024-02-01 08:30:00"]),
        ([date(2024, 1, 31), None], ["2024-01-31", None]),
        ([True, False, None], ["true", "false", None]),
        ([2**62, None], [str(2**62), None]),
        (["0012", ""], ["0012", ""]),
        ([None, None], [None, None]),
    ],
    ids=["floats", "midnights", "times", "dates", "truths", "integers", "texts", "nothing"],
)
def test_every_type_becomes_the_text_of_a_csv_file(values: list[Any], texts: list[str | None]) -> None:
    starts = [text[:16] if text else text for text in as_text(pl.DataFrame({"c": values}))["c"]]
    assert starts == [text[:16] if text else text for text in texts]


@pytest.mark.parametrize("dtype", [pl.Categorical, pl.Enum(["창원", "부산"])])
def test_categories_become_their_texts(dtype: pl.DataType) -> None:
    assert as_text(pl.DataFrame({"c": pl.Series(["부산", None, "창원"], dtype=dtype)}))["c"].to_list() == [
        "부산",
        None,
        "창원",
    ]


@pytest.mark.parametrize("value", [[1, 2], {"a": 1}, b"bytes"], ids=["list", "struct", "bytes"])
def test_cells_that_hold_more_than_one_value_are_refused(value: Any) -> None:
    with pytest.raises(DataError, match=r"'c' holds .*, which is no single value") as caught:
        as_text(pl.DataFrame({"c": [value]}))
    assert caught.value.exit_code == 6


def test_excel_cells_read_as_they_are_shown(tmp_path: Path) -> None:
    cells = [12, 12.5, 1e20, "0012", " a ", True, date(2024, 1, 31), datetime(2024, 1, 31, 8, 30), None]
    found = table(excel(tmp_path / "t.xlsx", [["c", "id"], *([cell, i] for i, cell in enumerate(cells))]))
    assert found["c"].to_list() == [
        "12", "12.5", "1e+20", "0012", " a ", "True", "2024-01-31", "2024-01-31 08:30:00", None,
    ]  # fmt: skip
    assert found["id"].to_list() == [str(i) for i in range(len(cells))]


def test_excel_time_is_told_as_a_time(tmp_path: Path) -> None:
    path = tmp_path / "t.xlsx"
    book = xlsxwriter.Workbook(path)
    sheet = book.add_worksheet()
    sheet.write_row(0, 0, ["c"])
    sheet.write_datetime(1, 0, time(8, 30), book.add_format({"num_format": "hh:mm"}))
    book.close()
    assert table(path)["c"].to_list() == ["08:30:00"]


def test_excel_formula_gives_the_value_that_was_saved(tmp_path: Path) -> None:
    path = tmp_path / "t.xlsx"
    book = xlsxwriter.Workbook(path)
    sheet = book.add_worksheet()
    sheet.write_row(0, 0, ["c"])
    sheet.write_formula(1, 0, "=6*7", value=42)
    book.close()
    assert table(path)["c"].to_list() == ["42"]


def test_empty_rows_and_columns_around_an_excel_table_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "t.xlsx"
    book = xlsxwriter.Workbook(path)
    sheet, grey = book.add_worksheet(), book.add_format({"bg_color": "#cccccc"})
    for row in range(8):
        for column in range(6):
            sheet.write_blank(row, column, None, grey)
    for number, row_cells in enumerate([["a", "b"], [1, 2], [None, None], [3, None]]):
        sheet.write_row(number, 0, row_cells)
    book.add_worksheet("second").write_row(0, 0, ["other"])
    book.close()
    assert table(path).rows() == [("1", "2"), (None, None), ("3", None)]


@pytest.mark.parametrize(
    "rows",
    [[], [[None, None]], [["a", None, "c"], [1, 2, 3]], [["a", "a"], [1, 2]], [["a", " a "], [1, 2]],
     [[None], ["a"], [1]], [["a"], [1, 2]]],
    ids=["empty", "blank", "gap", "twice", "twice but for blanks", "title on top", "cell beside the table"],
)  # fmt: skip
def test_excel_sheet_without_a_header_on_top_is_refused(tmp_path: Path, rows: list[list[Any]]) -> None:
    error = refusal(excel(tmp_path / "t.xlsx", rows))
    assert "Row 1 of the sheet is no header" in error.problem


def test_excel_header_alone_has_columns_and_no_rows(tmp_path: Path) -> None:
    found = table(excel(tmp_path / "t.xlsx", [["a", "b"]]))
    assert (found.schema, len(found)) == (pl.Schema({"a": pl.String, "b": pl.String}), 0)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["excel", "parquet"])
def test_large_table_comes_in_blocks_in_order(tmp_path: Path, kind: str) -> None:
    path, count = tmp_path / "t", 120_001
    if kind == "excel":
        excel(tmp_path / "t.xlsx", [["n"], *([i] for i in range(count))], constant_memory=True).rename(path)
    else:
        pl.DataFrame({"n": range(count)}).write_parquet(path)
    blocks = list(read_blocks(path))
    assert max(len(block) for block in blocks) <= 50_000
    assert pl.concat(blocks)["n"].cast(pl.Int64).to_list() == list(range(count))


def zipped(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize("cut", [0.2, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("write", [write_excel, write_parquet])
def test_cut_file_is_refused_in_one_sentence(tmp_path: Path, write: Callable[[Path], None], cut: float) -> None:
    write(tmp_path / "t.xlsx")
    content = (tmp_path / "t.xlsx").read_bytes()
    (tmp_path / "t.xlsx").write_bytes(content[: int(len(content) * cut)])
    assert "file cannot be read" in refusal(tmp_path / "t.xlsx").problem


@pytest.mark.parametrize("write", [write_excel, write_parquet])
def test_changed_byte_gives_a_table_or_one_sentence(tmp_path: Path, write: Callable[[Path], None]) -> None:
    write(tmp_path / "t.xlsx")
    content = (tmp_path / "t.xlsx").read_bytes()
    refused = 0
    for place in range(4, len(content), max(1, len(content) // 150)):
        changed = bytearray(content)
        changed[place] ^= 0xFF
        (tmp_path / "t.xlsx").write_bytes(changed)
        try:
            table(tmp_path / "t.xlsx")
        except DataError as error:
            assert str(tmp_path / "t.xlsx") in error.where
            refused += 1
    assert refused > 20


def test_zip_file_that_is_no_excel_file_is_refused(tmp_path: Path) -> None:
    assert "Excel file cannot be read" in refusal(zipped(tmp_path / "t.xlsx", readme=b"hello")).problem


def test_old_or_locked_excel_file_is_refused(tmp_path: Path) -> None:
    """Both are OLE files, which begin with D0 CF 11 E0."""
    (tmp_path / "t.xls").write_bytes(bytes.fromhex("d0cf11e0a1b11ae1") + bytes(504))
    assert "old Excel file" in refusal(tmp_path / "t.xls").problem


def test_zip_bomb_is_refused_before_it_unpacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(excel_reader, "_EXCEL_LIMIT", 50 << 20)
    bomb = zipped(tmp_path / "t.xlsx", sheet=bytes(51 << 20))
    assert bomb.stat().st_size < 100_000
    assert "50 MB" in refusal(bomb).problem


def lying_bomb(path: Path, size: int) -> Path:
    """An Excel file whose sheet says that it has 100 bytes, with their checksum, and unpacks to ``size``."""
    honest = zipfile.ZipFile(excel(path.with_suffix(".honest"), [["a"], [1]]))
    parts = {name: honest.read(name) for name in honest.namelist()}
    sheet = "xl/worksheets/sheet1.xml"
    head, mark, tail = parts[sheet].partition(b"</sheetData>")
    text = head + b'<row r="3"><c r="A3"><v>' + b"1" * size + b"</v></c></row>" + mark + tail
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = packer.compress(text) + packer.flush()
    out, directory = io.BytesIO(), b""
    for name, content in parts.items():
        data, method, shown = (packed, 8, text[:100]) if name == sheet else (content, 0, content)
        common = struct.pack(
            "<HHHHHIIIHH", 20, 0, method, 0, 33, zlib.crc32(shown), len(data), len(shown), len(name), 0
        )
        directory += b"PK\1\2" + struct.pack("<H", 20) + common + struct.pack("<HHHII", 0, 0, 0, 0, out.tell())
        directory += name.encode()
        out.write(b"PK\3\4" + common + name.encode() + data)
    end = struct.pack("<HHHHIIH", 0, 0, len(parts), len(parts), len(directory), out.tell(), 0)
    path.write_bytes(out.getvalue() + directory + b"PK\5\6" + end)
    return path


def test_zip_bomb_that_lies_about_its_size_is_refused(tmp_path: Path) -> None:
    assert "file cannot be read" in refusal(lying_bomb(tmp_path / "t.xlsx", 20 << 20)).problem


@pytest.mark.process
def test_lone_cell_far_out_does_not_take_the_memory(tmp_path: Path) -> None:
    """A slip of the hand at XFD1048576 makes a file of five kilobytes; a dense sheet would hold 17 billion cells."""
    path = excel(tmp_path / "t.xlsx", [["a"], [1]])
    book = xlsxwriter.Workbook(path)
    sheet = book.add_worksheet()
    sheet.write_row(0, 0, ["a"])
    sheet.write(1_048_575, 16_383, 1)
    book.close()
    program = (
        "import resource, sys; from pathlib import Path; from dxai.data.tables import read_blocks\n"
        "from dxai.errors import DataError\n"
        "resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))\n"
        "try:\n    list(read_blocks(Path(sys.argv[1])))\nexcept DataError as error:\n    print(error.problem)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:200]
    assert done.stdout


def test_parquet_columns_keep_their_types(tmp_path: Path) -> None:
    FRAME.write_parquet(tmp_path / "t")
    assert_frame_equal(table(tmp_path / "t"), FRAME)


def test_parquet_without_rows_keeps_its_columns(tmp_path: Path) -> None:
    FRAME.clear().write_parquet(tmp_path / "t")
    (block,) = read_blocks(tmp_path / "t")
    assert_frame_equal(block, FRAME.clear())


def test_name_with_a_star_is_one_file(tmp_path: Path) -> None:
    """No pattern: a firm's `rows[1].parquet` and `a*.parquet` are names."""
    for name in ("rows[1].parquet", "a*.parquet", "b?.parquet"):
        FRAME.write_parquet(tmp_path / name)
        FRAME.clear().write_parquet(tmp_path / "ab.parquet")
        assert_frame_equal(table(tmp_path / name), FRAME)


def test_stream_is_a_file_for_a_while_and_messages_speak_of_its_name(tmp_path: Path) -> None:
    with spooled(io.BytesIO(b"a,b\n1,2\n"), "standard input") as path:
        assert table(path).rows() == [("1", "2")]
    assert not path.exists()
    with pytest.raises(DataError) as caught, spooled(io.BytesIO(b"a,b\n1\n"), "standard input") as path:
        list(read_blocks(path))
    assert caught.value.where.startswith("standard input")
    assert str(path) not in str(caught.value)
    assert not path.exists()


@pytest.mark.parametrize(
    ("at", "value"), [(37, 0), (40, 1)], ids=["the batches end early, without an error", "the process is aborted"]
)
def test_a_byte_at_which_the_decoder_panics_is_told(at: int, value: int, tmp_path: Path) -> None:
    content = io.BytesIO()
    pl.DataFrame({"code": ["0012", None, "1E5"]}).write_parquet(content, compression="uncompressed", statistics=False)
    damaged = bytearray(content.getvalue())
    assert (damaged[37], damaged[40]) == (18, 6)
    damaged[at] = value
    (tmp_path / "rows.parquet").write_bytes(damaged)
    assert "Parquet file is broken" in refusal(tmp_path / "rows.parquet").problem
    damaged[at] = (18, 6)[at == 40]
    (tmp_path / "rows.parquet").write_bytes(damaged)
    assert table(tmp_path / "rows.parquet")["code"].to_list() == ["0012", None, "1E5"]
