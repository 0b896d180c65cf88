"""Shapes and order: one column per step, one column per class, rows out of order and repeated."""

from __future__ import annotations

import json
from datetime import date, datetime
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner, Result

from dxai.cli.main import cli
from dxai.errors import DataError, SettingsError
from dxai.intake import order


def contract(columns: str, *, task: str = "demand, frequency: monthly", version: str = "1.0.0") -> str:
    """ODCS of columns given as lines of ``name logicalType role [key] [required]``."""
    properties = []
    for name, kind, role, *marks in map(str.split, columns.strip().splitlines()):
        custom = [{"property": "role", "value": role}]
        custom += [{"property": f"title{language}", "value": name} for language in ("En", "Ko")]
        classes = [{"metric": "invalidValues", "mustBe": 0, "arguments": {"validValues": ["good", "bad"]}}]
        one = {"name": name, "logicalType": kind, "customProperties": custom, "required": "required" in marks}
        one |= {"primaryKey": True} if "key" in marks else {}
        one |= {"quality": classes} if (kind, role) == ("string", "target") else {}
        properties.append(one)
    settings = dict(pair.split(": ") for pair in f"task: {task}".split(", "))
    table = {
        "name": "t", "logicalType": "object", "properties": properties,
        "customProperties": [{"property": key, "value": value} for key, value in settings.items()],
    }  # fmt: skip
    titles = [{"property": f"title{language}", "value": "T"} for language in ("En", "Ko")]
    odcs = {
        "apiVersion": "v3.1.0", "kind": "DataContract", "id": "t", "version": version, "status": "draft",
        "description": {"purpose": "p"}, "customProperties": titles, "schema": [table],
    }  # fmt: skip
    return json.dumps(odcs)


DEMAND = """
part string series required
month date time required
units number target
"""
QUALITY = """
plate integer feature
fault string target required
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def convert(table: str, odcs: str, mapping: str, *flags: str, output: str = "out.parquet") -> Result:
    Path("raw.csv").write_text(table, "utf-8")
    Path("c.yaml").write_text(odcs, "utf-8")
    Path("m.yaml").write_text(f"contract: t\n{mapping}", "utf-8")
    return CliRunner().invoke(cli, ["data", "convert", "raw.csv", "-c", "c.yaml", "-m", "m.yaml", "-o", output, *flags])


def again(source: str = "out.parquet", *flags: str) -> Result:
    return CliRunner().invoke(cli, ["data", "convert", source, "-c", "c.yaml", "-o", "again.parquet", *flags])


def changes(name: str = "out-conversion.json") -> dict[str, dict[str, object]]:
    return {change["what"]: change for change in json.loads(Path(name).read_text("utf-8"))["changes"]}


WIDE = """
wide: {columns: '[A-Z][a-z]+-[0-9]+', header: '%b-%y', time: month, value: units}
columns: {part: {from: Part}, month: {from: month}, units: {from: units, missing: [n/a]}}
"""


def test_a_column_per_step_becomes_a_row_per_step(folder: Path) -> None:
    ran = convert("Part,Jan-98,Feb-98,Mar-98,Apr-98\nA,0,,2,\nB,,n/a,0,4\nC,,,,\n", contract(DEMAND), WIDE)
    assert ran.exit_code == 0, ran.exception
    ends = [date(1998, 1, 31), date(1998, 2, 28), date(1998, 3, 31), date(1998, 4, 30)]
    rows = [("A", ends[0], 0.0), ("A", ends[1], None), ("A", ends[2], 2.0), ("A", ends[3], None)]
    assert pl.read_parquet("out.parquet").rows() == [*rows, ("B", ends[2], 0.0), ("B", ends[3], 4.0)]
    left = changes()["no row for a step before the first value"]
    assert left["count"] == 6  # two of B, the four of C, which has no value at all
    assert left["examples"][0] == [3, "empty (Jan-98)", ""]  # type: ignore[index]


@pytest.mark.parametrize(
    ("frequency", "header", "headers", "dates"),
    [
        ("weekly", "%Y-%m-%d", "2026-01-05,2026-01-12", [date(2026, 1, 5), date(2026, 1, 12)]),
        ("monthly", "%Y%m", "202602,202601", [date(2026, 1, 31), date(2026, 2, 28)]),
        ("monthly", "%Y년 %m월", "2026년 1월,2026년 2월", [date(2026, 1, 31), date(2026, 2, 28)]),
        ("quarterly", "%Y-%m-%d", "2026-01-01,2026-04-01", [date(2026, 3, 31), date(2026, 6, 30)]),
    ],
)
def test_steps_are_dated_as_the_panel_takes_them(
    folder: Path, frequency: str, header: str, headers: str, dates: list[date]
) -> None:
    odcs = contract(DEMAND, task=f"demand, frequency: {frequency}")
    mapping = WIDE.replace("%b-%y", header).replace("[A-Z][a-z]+-[0-9]+", "2026.*|202602|202601")
    ran = convert(f"Part,{headers}\nA,1,2\n", odcs, mapping)
    assert ran.exit_code == 0, ran.exception
    assert pl.read_parquet("out.parquet")["month"].to_list() == dates


@pytest.mark.parametrize(
    ("table", "mapping", "told"),
    [
        ("Part,Jan-98,Feb-98\nA,1,x\nB,1,\n", WIDE, "row 2: 'x (Feb-98)'"),
        ("Part,Jan-98,Xyz-98\nA,1,1\n", WIDE, "'Xyz-98' is no date"),
        ("Part,Jan-98,Jan-1998\nA,1,1\n", WIDE.replace("+', h", "+|Jan-1998', h"), "'Jan-1998' is no date"),
        ("Part,a,b\nA,1,1\n", WIDE, "No header fits"),
        ("Part,month,Jan-98\nA,1,1\n", WIDE, "a column 'month' of its own"),
    ],
)
def test_a_wide_table_that_does_not_fit_is_told(folder: Path, table: str, mapping: str, told: str) -> None:
    ran = convert(table, contract(DEMAND), mapping)
    assert isinstance(ran.exception, DataError), ran.exception
    assert told in str(ran.exception)
    assert not Path("out.parquet").exists()


HOT = "columns: {plate: {from: plate}, fault: {one_hot: [ok, Crack], values: {ok: good, Crack: bad}}}"


def test_one_hot_columns_become_one(folder: Path) -> None:
    ran = convert("plate,ok,Crack\n1,1,0\n2,0,1.0\n", contract(QUALITY, task="quality"), HOT)
    assert ran.exit_code == 0, ran.exception
    assert pl.read_parquet("out.parquet").rows() == [(1.0, "good"), (2.0, "bad")]


def test_rows_of_no_class_or_several_are_told(folder: Path) -> None:
    table = "plate,ok,Crack\n1,1,0\n2,0,0\n3,1,1\n4,,1\n5,2,0\n"
    ran = convert(table, contract(QUALITY, task="quality"), HOT)
    assert isinstance(ran.exception, DataError)
    told = str(ran.exception)
    assert "'fault' is the one of ok, Crack that is 1" in told and "4 rows break that" in told
    assert "row 3: 'none of them', row 4: 'ok, Crack'" in told
    assert not Path("out.parquet").exists()


ORDER = """
machine string series required
at timestamp time required
x number target
"""
PLAIN = "columns: {machine: {from: machine}, at: {from: at}, x: {from: x}}"
MIXED = """machine,at,x
b,2026-01-01 00:00:02,1
a,2026-01-01 00:00:03,2
a,2026-01-01 00:00:01,3
a,2026-01-01 00:00:03,4
b,2026-01-01 00:00:02,1
"""


def test_rows_are_sorted_by_series_and_time_and_stay_in_order_otherwise(folder: Path) -> None:
    ran = convert(MIXED, contract(ORDER), PLAIN)
    assert ran.exit_code == 0, ran.exception
    assert pl.read_parquet("out.parquet")["x"].to_list() == [3, 2, 4, 1, 1]
    moved = changes()["rows sorted"]
    assert moved["count"] == 3 and moved["examples"][0] == [4, "row 4", "row 2"]  # type: ignore[index]
    assert convert(MIXED, contract(ORDER), PLAIN, "--keep-order").exit_code == 0
    assert pl.read_parquet("out.parquet")["x"].to_list() == [1, 2, 3, 4, 1]


def test_repeated_rows_go_when_told(folder: Path) -> None:
    assert convert(MIXED, contract(ORDER), PLAIN, "--drop-duplicates").exit_code == 0
    assert pl.read_parquet("out.parquet")["x"].to_list() == [3, 2, 4, 1]
    keyed = contract(ORDER.replace("series", "series key").replace("time req", "time key req"))
    assert convert(MIXED, keyed, PLAIN, "--drop-duplicates").exit_code == 0
    assert pl.read_parquet("out.parquet")["x"].to_list() == [3, 2, 1]
    gone = changes()["row left out: an earlier one has the same"]
    assert (gone["column"], gone["count"]) == ("machine, at", 2)
    assert gone["examples"][0] == [5, "a, 2026-01-01 00:00:03", ""]  # type: ignore[index]
    assert json.loads(Path("out-conversion.json").read_text("utf-8"))["rows"] == 3


def test_without_time_the_keys_sort_and_nothing_cannot(folder: Path) -> None:
    table, mapping = "plate,fault\n2,bad\n1,good\n", "columns: {plate: {from: plate}, fault: {from: fault}}"
    assert convert(table, contract(QUALITY, task="quality"), mapping).exit_code == 0
    assert pl.read_parquet("out.parquet")["plate"].to_list() == [2, 1]
    told = convert(table, contract(QUALITY, task="quality"), mapping, "--sort").exception
    assert isinstance(told, SettingsError) and "primaryKey" in str(told)
    keyed = contract(QUALITY.replace("feature", "feature key"), task="quality")
    assert convert(table, keyed, mapping, "--sort").exit_code == 0
    assert pl.read_parquet("out.parquet")["plate"].to_list() == [1, 2]


@pytest.mark.parametrize("few", [1, 2, 5, 1000])
def test_runs_on_disk_sort_as_memory_does(folder: Path, few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order, "_RUN", few * 10)
    monkeypatch.setattr(order, "_BLOCK", 7)
    rows = [(f"m{i * 7 % 5}", datetime(2026, 1, 1, 0, i * 31 % 13), i % 40) for i in range(300)]
    table = "machine,at,x\n" + "".join(f"{m},{at},{x}\n" for m, at, x in rows)
    assert convert(table, contract(ORDER), PLAIN).exit_code == 0
    assert pl.read_parquet("out.parquet").rows() == sorted(rows, key=lambda row: row[:2])
    assert convert(table, contract(ORDER), PLAIN, "--drop-duplicates").exit_code == 0
    assert pl.read_parquet("out.parquet").rows() == sorted(dict.fromkeys(rows), key=lambda row: row[:2])


@pytest.mark.parametrize("flags", [[], ["--drop-duplicates"], ["--keep-order"]])
def test_twice_writes_the_same_bytes_and_of_its_output_as_well(folder: Path, flags: list[str]) -> None:
    convert(MIXED, contract(ORDER), PLAIN, *flags)
    first = Path("out.parquet").read_bytes()
    convert(MIXED, contract(ORDER), PLAIN, *flags)
    assert Path("out.parquet").read_bytes() == first
    assert again("out.parquet", *flags).exit_code == 0
    assert Path("again.parquet").read_bytes() == first
    assert not changes("again-conversion.json")
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


MARKS = """
x number feature
day date ignore
label string target required
"""


@pytest.mark.parametrize(
    ("cell", "how", "value"),
    [
        ("1.234,5", "decimal: ',', thousands: .", 1234.5),
        ("1 234.5", "thousands: ' '", 1234.5),
        ("1'234'567", 'thousands: "\'"', 1234567.0),
        ("12.5 ℃", "suffix: [℃]", 12.5),
        ("１２．５", "full_width: true", 12.5),
        ("12,5", "decimal: ','", 12.5),
    ],
)
def test_numbers_as_the_mapping_says(folder: Path, cell: str, how: str, value: float) -> None:
    mapping = f"columns: {{x: {{from: x, {how}}}, label: {{from: label}}}}"
    ran = convert(f'x,label\n"{cell}",good\n', contract(MARKS, task="quality"), mapping)
    assert ran.exit_code == 0, ran.exception
    assert pl.read_parquet("out.parquet")["x"].to_list() == [value]


def test_a_point_is_no_decimal_mark_where_a_comma_is(folder: Path) -> None:
    mapping = "columns: {x: {from: x, decimal: ','}, label: {from: label}}"
    ran = convert('x,label\n"12,5",good\n12.5,good\n', contract(MARKS, task="quality"), mapping)
    assert isinstance(ran.exception, DataError)
    assert "'x' writes its fractions with a comma" in str(ran.exception) and "row 3: '12.5'" in str(ran.exception)


TIMES = """
part string series required
when timestamp ignore
day date time required
x number target
"""


def test_dates_mean_what_they_say(folder: Path) -> None:
    odcs = contract(TIMES, task="demand, frequency: monthly, timeZone: Asia/Seoul")
    mapping = (
        "columns: {part: {from: p}, when: {from: w, date: '%Y-%m-%dT%H:%M:%S%z'}, "
        "day: {from: d, period: start}, x: {from: x}}"
    )
    ran = convert("p,w,d,x\na,2026-01-01T00:30:00+01:00,2026-02-01,1\n", odcs, mapping)
    assert ran.exit_code == 0, ran.exception
    row = pl.read_parquet("out.parquet").row(0)
    assert row == ("a", datetime(2026, 1, 1, 8, 30), date(2026, 2, 28), 1.0)
    told = convert("p,w,d,x\na,2026-01-01T00:30:00+01:00,2026-02-02,1\n", odcs, mapping)
    assert "is the first day of a step, monthly" in str(told.exception) and "row 2: '2026-02-02'" in str(told.exception)


def test_a_time_of_day_is_not_cut_off(folder: Path) -> None:
    mapping = "columns: {day: {from: d, date: '%d.%m.%Y %H:%M'}, x: {from: x}, label: {from: label}}"
    odcs = contract(MARKS, task="quality")
    assert convert("d,x,label\n03.02.2026 00:00,1,good\n", odcs, mapping).exit_code == 0
    told = convert("d,x,label\n03.02.2026 13:30,1,good\n", odcs, mapping)
    assert "'day' holds dates" in str(told.exception) and "03.02.2026 13:30" in str(told.exception)


def test_another_major_version_is_refused(folder: Path) -> None:
    mapping = "version: 1.4.0\ncolumns: {plate: {from: plate}, fault: {from: fault}}"
    table = "plate,fault\n2,bad\n"
    assert convert(table, contract(QUALITY, task="quality", version="1.9.3"), mapping).exit_code == 0
    told = convert(table, contract(QUALITY, task="quality", version="2.0.0"), mapping).exception
    assert isinstance(told, DataError) and "version 1.4.0 of the contract, however this is 2.0.0" in str(told)
    told = convert(table, contract(QUALITY, task="quality"), mapping.replace("1.4.0", "one")).exception
    assert isinstance(told, DataError) and "version" in str(told)


def test_columns_left_out_are_in_the_log(folder: Path) -> None:
    mapping = "unused: [b]\ncolumns: {plate: {from: plate}, fault: {from: fault}}"
    ran = convert("plate,a,b,fault\n2,1,1,bad\n", contract(QUALITY, task="quality"), mapping)
    assert ran.exit_code == 0, ran.exception
    assert [(c["column"], what) for what, c in changes().items()] == [("a", "left out: the mapping does not name it")]


def test_the_next_command_is_told_beside_a_contract(folder: Path) -> None:
    table, mapping = "plate,fault\n2,bad\n", "columns: {plate: {from: plate}, fault: {from: fault}}"
    odcs = contract(QUALITY, task="quality")
    (folder / "my plates").mkdir()
    (folder / "my plates" / "contract.yaml").write_text(odcs)
    ran = convert(table, odcs, mapping, output="my plates/table.parquet")
    assert "dxai train data='my plates'" in ran.output
    assert "dxai train" not in convert(table, odcs, mapping, output="my plates/other.parquet").output
