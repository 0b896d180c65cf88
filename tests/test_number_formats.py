"""What an Excel file shows behind its numbers is their unit, at every door."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
import xlsxwriter
from conftest import MakeBundle

import dxai
from dxai.data.tables import read_blocks
from dxai.errors import DataError

VALUE = 0.039


def excel(path: Path, **formats: str) -> Path:
    """Five rows under these headers, each column in its format."""
    book = xlsxwriter.Workbook(str(path))
    sheet = book.add_worksheet("재료 1")
    for column, (name, written) in enumerate(formats.items()):
        sheet.write(0, column, name)
        shown = book.add_format({"num_format": written})
        for row in range(5):
            sheet.write_number(row + 1, column, VALUE + row, shown)
    book.close()
    return path


@pytest.mark.parametrize(
    ("written", "header"),
    [
        ("0%", "x (%)"), ("0.0%", "x (%)"), ('0.0"℃"', "x (℃)"), ('#,##0.00\\ "kg"', "x (kg)"), ("0.0 ℃", "x"),
        ("0.0", "x"), ('0"호기"', "x"), ("#,##0", "x"), ('0.0"MPa";-0.0"MPa"', "x (MPa)"),
    ],
)  # fmt: skip
def test_a_format_that_shows_a_unit_names_it(tmp_path: Path, written: str, header: str) -> None:
    table = next(read_blocks(excel(tmp_path / "t.xlsx", x=written, y="0.0")))
    assert table.columns == [header, "y"]
    assert table[header][0] == ("3.9" if "%" in header else "0.039")
    assert table[header][1] == ("103.9" if "%" in header else "1.039")


def test_a_unit_that_the_header_names_too_stands_there_once(tmp_path: Path) -> None:
    names = {"x (%)": "0.0%", "y (degC)": '0.0"℃"'}
    assert next(read_blocks(excel(tmp_path / "t.xlsx", **names))).columns[0] == "x (%)"


def test_formats_that_differ_in_a_column_name_nothing(tmp_path: Path) -> None:
    book = xlsxwriter.Workbook(str(tmp_path / "t.xlsx"))
    sheet = book.add_worksheet()
    sheet.write(0, 0, "x")
    sheet.write_number(1, 0, 0.5, book.add_format({"num_format": "0%"}))
    sheet.write_number(2, 0, 0.5)
    book.close()
    assert next(read_blocks(tmp_path / "t.xlsx")).to_dict(as_series=False) == {"x": ["0.5", "0.5"]}


@pytest.mark.process
def test_a_model_is_told_the_unit_of_the_format(make_bundle: MakeBundle, tmp_path: Path) -> None:
    """The contract has MPa: the same unit goes on, another of its dimension is refused, or converted on request."""
    model = dxai.load(make_bundle(tmp_path / "bundle"), unsigned=True)
    frames = {}
    for unit in ("MPa", "kPa", "kg"):
        file = excel(tmp_path / f"{unit}.xlsx", pressure=f'0.0"{unit}"', melt="0.0")
        frames[unit] = next(read_blocks(file)).with_columns(pl.lit("부산").alias("plant"))
    answers = model.predict(frames["MPa"])
    assert len(answers) == 5
    with pytest.raises(DataError, match="kPa"):
        model.predict(frames["kPa"])
    with pytest.raises(DataError, match="kg"):
        model.predict(frames["kg"])


def test_digits_that_excel_has_lost_are_told(tmp_path: Path) -> None:
    book = xlsxwriter.Workbook(str(tmp_path / "t.xlsx"))
    sheet = book.add_worksheet()
    sheet.write_row(0, 0, ["code", "y"])
    sheet.write_row(1, 0, [8809912345678900, 1.5])
    book.close()
    with pytest.raises(DataError, match="Excel keeps 15 digits"):
        next(read_blocks(tmp_path / "t.xlsx"))
