"""Tables as they come: refused in one short message with nothing written, or read without a silent change."""

from __future__ import annotations

import io
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
import xlsxwriter

from dxai.contract import Contract, parse_contract
from dxai.data.output import write_table
from dxai.data.tables import read_blocks
from dxai.errors import DataError
from dxai.intake.convert import ConversionLog, convert
from dxai.intake.mapping import mapping_of

CONTRACT = """
apiVersion: v3.1.0
kind: DataContract
id: parts
version: 1.0.0
status: active
description: {purpose: Tell weights.}
customProperties: [{property: titleEn, value: Parts}, {property: titleKo, value: 부품}]
schema:
  - name: parts
    logicalType: object
    customProperties: [{property: task, value: quality}]
    properties:
      - name: code
        logicalType: string
        required: true
        customProperties: [{property: role, value: ignore}, {property: titleEn, value: Code}, {property: titleKo, value: 부호}]
      - name: heat
        logicalType: number
        required: true
        logicalTypeOptions: {minimum: -300, maximum: 2000}
        customProperties: [{property: role, value: feature}, {property: titleEn, value: Heat}, {property: titleKo, value: 온도}]
      - name: day
        logicalType: date
        customProperties: [{property: role, value: ignore}, {property: titleEn, value: Day}, {property: titleKo, value: 날짜}]
      - name: weight
        logicalType: number
        customProperties: [{property: role, value: target}, {property: titleEn, value: Weight}, {property: titleKo, value: 무게}]
"""  # noqa: E501
HEADER = "code,heat,day,weight"
GOOD = "0012,850.5,2026-02-03,12.5"


@pytest.fixture(scope="module")
def contract() -> Contract:
    return parse_contract(CONTRACT, where="parts.yaml")


def converted(content: bytes, contract: Contract, folder: Path) -> pl.DataFrame:
    """The table that `dxai data convert` writes without a mapping."""
    source, target = folder / "rows.csv", folder / "out.parquet"
    source.write_bytes(content)
    mapping = mapping_of(source, contract)
    blocks = read_blocks(source, mapping.file.dialect)
    write_table(convert(blocks, contract, mapping, ConversionLog(), where="rows.csv"), target)
    return pl.read_parquet(target)


def lines(*rows: str, header: str = HEADER) -> bytes:
    return ("\n".join([header, *rows]) + "\n").encode()


CELLS = {
    "decimal comma in quotes": ("heat", '0012,"850,5",2026-02-03,1'),
    "thousands separator": ("heat", '0012,"1,850.5",2026-02-03,1'),
    "thousands blank": ("heat", "0012,1 850,2026-02-03,1"),
    "thousands apostrophe": ("heat", "0012,1'850,2026-02-03,1"),
    "hyphen": ("heat", "0012,-,2026-02-03,1"),
    "not available": ("heat", "0012,N/A,2026-02-03,1"),
    "nothing in Korean": ("heat", "0012,없음,2026-02-03,1"),
    "question mark": ("heat", "0012,?,2026-02-03,1"),
    "spreadsheet error": ("heat", "0012,#DIV/0!,2026-02-03,1"),
    "unit in the cell": ("heat", "0012,12.5℃,2026-02-03,1"),
    "unit behind a blank": ("heat", "0012,12.5 K,2026-02-03,1"),
    "per cent": ("heat", "0012,12.5%,2026-02-03,1"),
    "less than": ("heat", "0012,<5,2026-02-03,1"),
    "two numbers": ("heat", "0012,5~7,2026-02-03,1"),
    "plus or minus": ("heat", "0012,5±1,2026-02-03,1"),
    "full-width digits": ("heat", "0012,８５０,2026-02-03,1"),
    "Arabic digits": ("heat", "0012,٨٥,2026-02-03,1"),
    "plus and minus": ("heat", "0012,+-5,2026-02-03,1"),
    "hexadecimal": ("heat", "0012,0x1F,2026-02-03,1"),
    "underscore": ("heat", "0012,1_000,2026-02-03,1"),
    "infinite": ("heat", "0012,inf,2026-02-03,1"),
    "not a number": ("heat", "0012,nan,2026-02-03,1"),
    "too large for the graph": ("heat", "0012,1e39,2026-02-03,1"),
    "out of range": ("heat", "0012,2000.1,2026-02-03,1"),
    "truth": ("heat", "0012,TRUE,2026-02-03,1"),
    "two points": ("heat", "0012,1.2.3,2026-02-03,1"),
    "exponent alone": ("heat", "0012,1e,2026-02-03,1"),
    "zero-width blank": ("heat", "0012,8\u200b5,2026-02-03,1"),
    "formula": ("heat", "0012,=1+1,2026-02-03,1"),
    "required gap": ("heat", "0012,,2026-02-03,1"),
    "required blanks": ("heat", "0012,   ,2026-02-03,1"),
    "no code": ("code", ",850.5,2026-02-03,1"),
    "30 February": ("day", "0012,850.5,2026-02-30,1"),
    "29 February of a common year": ("day", "0012,850.5,2026-02-29,1"),
    "month 13": ("day", "0012,850.5,2026-13-01,1"),
    "day first": ("day", "0012,850.5,03/02/2026,1"),
    "dots": ("day", "0012,850.5,2026.02.03,1"),
    "two digits of a year": ("day", "0012,850.5,26-02-03,1"),
    "compact date": ("day", "0012,850.5,20260203,1"),
    "spreadsheet serial": ("day", "0012,850.5,46056,1"),
    "Korean date": ("day", "0012,850.5,2026년 2월 3일,1"),
    "date with a time": ("day", "0012,850.5,2026-02-03 13:00,1"),
    "zeros": ("day", "0012,850.5,0000-00-00,1"),
}


@pytest.mark.parametrize("kind", CELLS)
def test_a_wrong_cell_is_told_with_row_and_column(kind: str, contract: Contract, tmp_path: Path) -> None:
    column, row = CELLS[kind]
    with pytest.raises(DataError) as refused:
        converted(lines(GOOD, row, GOOD), contract, tmp_path)
    told = refused.value.message()
    assert f"'{column}'" in told and "row 3" in told, told
    assert told.count("\n") == 2 and len(told) < 400
    assert refused.value.exit_code == 6
    assert sorted(p.name for p in tmp_path.iterdir()) == ["rows.csv"]


def excel(*rows: list[object]) -> bytes:
    content = io.BytesIO()
    with xlsxwriter.Workbook(content, {"in_memory": True}) as book:
        sheet = book.add_worksheet()
        for i, row in enumerate(rows):
            sheet.write_row(i, 0, row)
    return content.getvalue()


def zip_bomb() -> bytes:
    content = io.BytesIO()
    with (
        zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("xl/worksheets/sheet1.xml", "w") as part,
    ):
        for _ in range(70):
            part.write(bytes(1 << 20))
    return content.getvalue()


def parquet(**columns: list[object]) -> bytes:
    content = io.BytesIO()
    pl.DataFrame(columns).write_parquet(content)
    return content.getvalue()


FILES: dict[str, Callable[[], bytes]] = {
    "empty": lambda: b"",
    "blank lines": lambda: b"\n\n\n",
    "another header": lambda: lines("1,2", header="a,b"),
    "misspelt column": lambda: lines(GOOD, header="code,heet,day,weight"),
    "column twice": lambda: lines(GOOD + ",1", header=HEADER + ",heat"),
    "two names of one column": lambda: lines(GOOD + ",1", header=HEADER + ",온도"),
    "column without a name": lambda: lines(GOOD + ",1", header=HEADER + ","),
    "short row": lambda: lines(GOOD, "0012,1", GOOD),
    "long row": lambda: lines(GOOD, GOOD + ",1", GOOD),
    "blank line in between": lambda: lines(GOOD, "", GOOD),
    "open quote": lambda: lines(GOOD, '0012,"850.5,2026-02-03,1'),
    "quote in the middle": lambda: lines(GOOD, '0012,"850".5,2026-02-03,1'),
    "NUL": lambda: lines(GOOD, "00\x0012,1,2026-02-03,1"),
    "Johab": lambda: f"{HEADER}\n가나,x,2026-02-03,뷁\n".encode("johab") + b"\x84\xff\n",
    "CP949 and UTF-8 mixed": lambda: (
        lines(GOOD) + "가나,1,2026-02-03,1\n".encode("cp949") + "가,1,2026-02-03,1\n".encode()
    ),
    "UTF-16 without a mark": lambda: lines(GOOD).decode().encode("utf-16-le"),
    "UTF-16 cut off": lambda: lines(GOOD).decode().encode("utf-16")[:-1],
    "UTF-32": lambda: lines(GOOD).decode().encode("utf-32"),
    "Latin-1": lambda: lines(GOOD) + b"St\xfcck,1,2026-02-03,1\n",
    "torn gzip": lambda: __import__("gzip").compress(lines(GOOD))[:-9],
    "picture": lambda: b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 9,
    "web page": lambda: b"<!DOCTYPE html><html><body><table><tr><td>1</td></tr></table></body></html>",
    "JSON": lambda: b'[{"code": "0012", "heat": 850.5}]',
    "torn Parquet": lambda: parquet(code=["0012"], heat=[1.0], day=["2026-02-03"], weight=[1.0])[:-20],
    "Parquet in name only": lambda: b"PAR1" + bytes(100) + b"PAR1",
    "nested Parquet": lambda: parquet(code=["0012"], heat=[[1.0]], day=["2026-02-03"], weight=[1.0]),
    "Parquet without a column": lambda: parquet(code=["0012"], day=["2026-02-03"], weight=[1.0]),
    "torn Excel": lambda: excel(["code", "heat", "day", "weight"], ["0012", 1, "2026-02-03", 1])[:-300],
    "Excel with a title above": lambda: excel(["Report"], ["code", "heat"], ["0012", 1]),
    "Excel serial date": lambda: excel(HEADER.split(","), ["0012", 850.5, 46056, 1]),
    "empty Excel": lambda: excel(),
    "zip that is no Excel": lambda: b"PK\3\4" + bytes(200),
    "Excel zip bomb": zip_bomb,
    "twenty thousand columns": lambda: lines(",".join("1" * 20_000), header=",".join(f"c{i}" for i in range(20_000))),
    "ten million characters": lambda: lines("0012," + "9" * 10_000_000 + "x,2026-02-03,1"),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", FILES)
def test_a_wrong_file_is_told_in_one_short_message(
    kind: str, contract: Contract, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dxai.data.excel._EXCEL_LIMIT", 1 << 26)  # a gigabyte takes a quarter of a minute
    with pytest.raises(DataError) as refused:
        converted(FILES[kind](), contract, tmp_path)
    told = refused.value.message()
    assert len(told) < 1200 and told.count("\n") <= 8, told[:2000]
    assert "Traceback" not in told
    assert sorted(p.name for p in tmp_path.iterdir()) == ["rows.csv"]


READ: dict[str, bytes] = {
    "as it should be": lines(GOOD),
    "title above the header": lines("code,heat,day,weight", GOOD, header="2026,,,"),
    "byte order mark": b"\xef\xbb\xbf" + lines(GOOD),
    "CP949": ("부호,온도,날짜,무게\n" + GOOD + "\n").encode("cp949"),
    "UTF-16": lines(GOOD).decode().encode("utf-16"),
    "line ends of Windows": lines(GOOD).replace(b"\n", b"\r\n"),
    "no line end at the end": lines(GOOD)[:-1],
    "quotes": lines('"0012","850.5","2026-02-03","12.5"'),
    "semicolons and decimal commas": b"code;heat;day;weight\n0012;850,5;2026-02-03;12,5\n",
    "tabs": lines(GOOD).replace(b",", b"\t"),
    "blanks around": lines(" 0012 , 850.5 , 2026-02-03 , 12.5 "),
    "other order, more columns": b"weight,note,day,heat,code\n12.5,x,2026-02-03,850.5,0012\n",
    "exponent": lines("0012,8.505e2,2026-02-03,1.25E1"),
    "sign": lines("0012,+850.5,2026-02-03,12.50"),
    "Excel": excel(HEADER.split(","), ["0012", 850.5, "2026-02-03", 12.5]),
    "Parquet": parquet(code=["0012"], heat=[850.5], day=["2026-02-03"], weight=[12.5]),
}


@pytest.mark.parametrize("kind", READ)
def test_what_can_be_read_is_read_without_a_change(kind: str, contract: Contract, tmp_path: Path) -> None:
    (row,) = converted(READ[kind], contract, tmp_path).with_columns(pl.col("day").cast(pl.String)).rows()
    assert row == ("0012", 850.5, "2026-02-03", 12.5)


@pytest.mark.parametrize(
    "code", ["0012", "1E5", "007.50", "1,5", "TRUE", "2026-02-30", "12.5℃", "=1+1", "１２", "NaN", "-"]
)
def test_a_text_stays_the_text_it_is(code: str, contract: Contract, tmp_path: Path) -> None:
    (row,) = converted(lines(f'"{code}",1,2026-02-03,1'), contract, tmp_path).rows()
    assert row[0] == code


@pytest.mark.process
def test_a_panic_of_the_reader_stays_off_the_screen(tmp_path: Path) -> None:
    content = io.BytesIO()
    rows = pl.DataFrame({"code": ["0012", None, "1E5"], "heat": 850.5, "day": "2026-02-03", "weight": 1.0})
    rows.write_parquet(content, compression="uncompressed", statistics=False)
    damaged = bytearray(content.getvalue())
    assert damaged[37] == 18
    damaged[37] = 0
    (tmp_path / "rows.parquet").write_bytes(damaged)
    (tmp_path / "parts.yaml").write_text(CONTRACT)
    words = ["data", "convert", "rows.parquet", "-c", "parts.yaml", "-o", "out.parquet"]
    command = [sys.executable, "-c", "from dxai.cli.main import main; main()", *words]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 6 and not (tmp_path / "out.parquet").exists()
    assert ran.stderr.startswith("dxai: The Parquet file") and len(ran.stderr.splitlines()) == 3, ran.stderr
