"""From a firm's messy file to a table that keeps its contract: nothing in silence, and twice is the same as once."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from dxai.cli.main import cli
from dxai.contract import load_contract, parse_contract
from dxai.data.dialect import Dialect, detect_dialect
from dxai.errors import DataError, DxaiError
from dxai.intake.convert import ConversionLog, convert
from dxai.intake.ids import ascii_id, ascii_ids
from dxai.intake.mapping import ColumnMapping, Mapping, load_mapping

FURNACE = """로트;온도(℃);압력(kgf/cm2);측정일;불량
0012;850,5;1.200,25;03.02.2026;양품
0012;861,0;-;04.02.2026;불량
0013;849,25;990,5;25.02.2026;양품
0014;855,5;1.001,5;26.02.2026;양품
"""

CONTRACT = """
apiVersion: v3.1.0
kind: DataContract
id: furnace
version: 1.0.0
status: active
description: {purpose: Tell bad lots.}
customProperties: [{property: titleEn, value: Furnace}, {property: titleKo, value: 로}]
schema:
  - name: lots
    logicalType: object
    customProperties: [{property: task, value: quality}, {property: timeZone, value: Asia/Seoul}]
    properties:
      - name: lot
        logicalType: string
        required: true
        customProperties:
          - {property: role, value: group}
          - {property: titleEn, value: Lot}
          - {property: titleKo, value: 로트}
      - name: temperature
        logicalType: number
        required: true
        logicalTypeOptions: {minimum: 1000}
        customProperties:
          - {property: role, value: feature}
          - {property: unit, value: K}
          - {property: titleEn, value: Temperature}
          - {property: titleKo, value: 온도}
      - name: pressure
        logicalType: number
        customProperties:
          - {property: role, value: feature}
          - {property: unit, value: MPa}
          - {property: titleEn, value: Pressure}
          - {property: titleKo, value: 압력}
      - name: day
        logicalType: date
        required: true
        primaryKey: true
        customProperties:
          - {property: role, value: ignore}
          - {property: titleEn, value: Day}
          - {property: titleKo, value: 측정일}
      - name: verdict
        logicalType: string
        required: true
        quality: [{metric: invalidValues, mustBe: 0, arguments: {validValues: [good, bad]}}]
        customProperties:
          - {property: role, value: target}
          - {property: titleEn, value: Verdict}
          - {property: titleKo, value: 불량}
"""

MAPPING = """
contract: furnace
file: {encoding: cp949, delimiter: ";", decimal: ",", thousands: "."}
missing: ["-"]
columns:
  lot: {from: 로트}
  temperature: {from: 온도(℃), unit: Cel}
  pressure: {from: 압력(kgf/cm2), unit: kgf/cm2}
  day: {from: 측정일, date: "%d.%m.%Y"}
  verdict: {from: 불량, values: {양품: good, 불량: bad}}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "furnace.csv").write_text(FURNACE, "cp949")
    (tmp_path / "furnace.contract.yaml").write_text(CONTRACT, "utf-8")
    (tmp_path / "furnace.mapping.yaml").write_text(MAPPING, "utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def dxai(*words: str) -> Result:
    return CliRunner().invoke(cli, ["data", *words], catch_exceptions=True)


CONVERT = ("convert", "furnace.csv", "-c", "furnace.contract.yaml", "-m", "furnace.mapping.yaml", "-o", "out.parquet")


def test_a_messy_file_becomes_the_contracts_table(folder: Path) -> None:
    ran = dxai(*CONVERT)
    assert ran.exit_code == 0, ran.exception
    table = pl.read_parquet("out.parquet")
    assert table.columns == ["lot", "temperature", "pressure", "day", "verdict"]
    assert table["lot"].to_list() == ["0012", "0012", "0013", "0014"]
    assert table["temperature"].to_list() == pytest.approx([1123.65, 1134.15, 1122.4, 1128.65], rel=1e-12)
    assert table["pressure"].null_count() == 1
    assert table["pressure"].drop_nulls().to_list() == pytest.approx([117.7043165, 97.1348682, 98.2135315], rel=1e-6)
    assert table["day"].to_list() == [date(2026, 2, day) for day in (3, 4, 25, 26)]
    assert table["verdict"].to_list() == ["good", "bad", "good", "good"]


def test_every_change_is_in_the_log(folder: Path) -> None:
    dxai(*CONVERT)
    log = json.loads((folder / "out-conversion.json").read_text("utf-8"))
    changes = {(change["column"], change["what"]): change for change in log["changes"]}
    assert log["rows"] == 4
    assert changes["pressure", "a text that means a gap"]["count"] == 1
    assert changes["pressure", "a text that means a gap"]["examples"] == [[3, "-", ""]]
    assert changes["temperature", "unit Cel to K"]["count"] == 4
    assert changes["verdict", "another spelling of the same value"]["examples"][1] == [3, "불량", "bad"]
    assert changes["day", "date written as %d.%m.%Y"]["count"] == 4
    assert not [column for column, _ in changes if column == "lot"]


def test_twice_changes_nothing(folder: Path) -> None:
    dxai(*CONVERT)
    ran = dxai("convert", "out.parquet", "-c", "furnace.contract.yaml", "-o", "again.parquet")
    assert ran.exit_code == 0, ran.exception
    assert pl.read_parquet("again.parquet").equals(pl.read_parquet("out.parquet"))
    assert json.loads((folder / "again-conversion.json").read_text("utf-8"))["changes"] == []


def test_all_problems_come_at_once_and_nothing_is_written(folder: Path) -> None:
    broken = FURNACE.replace("861,0", "heiß").replace("25.02.2026", "30.02.2026").replace("850,5", "20,5")
    (folder / "furnace.csv").write_text(broken.replace("heiß", "뜨거움"), "cp949")
    ran = dxai(*CONVERT)
    assert isinstance(ran.exception, DataError)
    told = str(ran.exception)
    assert "'temperature' holds numbers" in told and "row 3: '뜨거움'" in told
    assert "'temperature' is at least 1000 K" in told and "row 2: '20.5'" in told
    assert "'day' holds dates" in told and "row 4: '30.02.2026'" in told
    assert not (folder / "out.parquet").exists() and not (folder / "out-conversion.json").exists()


def test_check_tells_violations_and_measures(folder: Path) -> None:
    dxai(*CONVERT)
    good = dxai("check", "out.parquet", "-c", "furnace.contract.yaml")
    assert isinstance(good.exception, DataError) and "record validity 100.00%" in good.output
    assert "dxai train would refuse this: 5 folds need 5 rows, however the table has 4" in str(good.exception)
    table = pl.read_parquet("out.parquet")
    twice = pl.concat([table, table.head(1).with_columns(temperature=pl.lit(1.0))])
    twice.write_parquet("twice.parquet")
    bad = dxai("check", "twice.parquet", "-c", "furnace.contract.yaml", "--json")
    found = json.loads(bad.output)
    assert bad.exit_code == 6
    assert {(p["column"], p["rule"]) for p in found["problems"]} == {
        ("temperature", "is at least 1000 K"), ("day", "names each row once"),
    }  # fmt: skip
    assert found["measures"] == {"value completeness": 0.96, "record validity": 0.8, "record uniqueness": 0.8}


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("contract: furnace", "contract: oven", "for the contract 'oven'"),
        ("  lot:", "  lots:", "no column 'lots'"),
        ("unit: Cel", "unit: ℃", "Cel"),
        ("unit: Cel", "unit: MPa", "MPa"),
        ("압력(kgf/cm2)", "압력(kgf/cm)", "Is it '압력(kgf/cm2)'"),
        ("  lot: {from: 로트}\n", "", "says nothing of 'lot'"),
        ("decimal:", "decimals:", "decimals"),
        ("columns:", "columns: [", "YAML"),
    ],
)
def test_a_mapping_that_does_not_fit_is_told(folder: Path, old: str, new: str, told: str) -> None:
    (folder / "furnace.mapping.yaml").write_text(MAPPING.replace(old, new), "utf-8")
    ran = dxai(*CONVERT)
    assert isinstance(ran.exception, DxaiError), ran.exception
    assert told in str(ran.exception)
    assert not (folder / "out.parquet").exists()


def test_drafts_of_the_messy_file_convert_it(folder: Path) -> None:
    more = FURNACE + "".join(
        f"{20 + i:04d};85{i % 10},5;99{i % 10},25;{1 + i % 28:02d}.03.2026;양품\n" for i in range(60)
    )
    more += "".join(f"{90 + i:04d};84{i % 10},5;98{i % 10},25;{1 + i % 28:02d}.04.2026;불량\n" for i in range(9))
    (folder / "lots.csv").write_text(more, "cp949")
    ran = dxai("init", "lots.csv", "--target", "불량", "--group", "로트")
    assert ran.exit_code == 0, ran.exception
    contract = load_contract(folder / "lots" / "contract.yaml")
    assert contract.classes == ("양품", "불량")
    assert contract.group == (ascii_id("로트"),)
    assert {c.name: c.unit for c in contract.columns}[ascii_id("온도")] == "Cel"
    mapping = load_mapping(folder / "lots" / "mapping.yaml", contract)
    assert (mapping.file.encoding, mapping.file.delimiter, mapping.file.decimal) == ("cp949", ";", ",")
    assert mapping.columns[ascii_id("압력")].thousands == "."
    done = dxai(*ran.output.splitlines()[-1].split()[3:])
    assert done.exit_code == 0, done.exception
    assert pl.read_parquet("lots/table.parquet")[ascii_id("압력")].head(4).to_list() == [1200.25, None, 990.5, 1001.5]
    again = dxai("init", "lots.csv", "--target", "불량")
    assert isinstance(again.exception, DxaiError) and "--force" in str(again.exception)


FILES = {
    "steel_plates_faults.csv": ["--target", "Other_Faults"],
    "secom.csv.gz": ["--target", "Pass/Fail"],
    "ai4i2020.csv": ["--target", "Machine failure"],
    "concrete_compressive_strength.csv": ["--target", "Concrete compressive strength(MPa, megapascals)"],
    "naval_propulsion_cbm.csv": ["--target", "GT Compressor decay state coefficient"],
    "korea_steel_industry_energy.csv": ["--target", "Usage_kWh"],
    "korea_necessaries_price_ko.csv.gz": ["--target", "판매가격"],
    "carparts_monthly_demand.csv": ["--kind", "demand", "--series", "Part"],
    "orange_juice_weekly.csv.gz": ["--kind", "demand", "--series", "store", "--series", "product", "--time", "week",
                                   "--target", "units", "--known", "price_per_oz", "--known", "deal"],
    "seoul_bike_hourly.csv.gz": ["--kind", "demand", "--time", "Date", "--time", "Hour", "--target",
                                 "Rented Bike Count", "--known", "Holiday", "--closed", "Functioning Day"],
}  # fmt: skip
"""What a person has to say of each real file."""


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_real_files_go_from_draft_to_check(
    name: str, shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import gzip

    monkeypatch.chdir(tmp_path)
    content = (shared_data / name).read_bytes()
    raw = gzip.decompress(content) if name.endswith(".gz") else content
    Path("raw.csv").write_bytes(raw)
    drafted = dxai("init", "raw.csv", *FILES[name])
    assert drafted.exit_code == 0, drafted.exception
    assert "dxai data convert raw.csv -c raw/contract.yaml -m raw/mapping.yaml -o raw/table.parquet" in drafted.output
    converted = dxai(
        "convert", "raw.csv", "-c", "raw/contract.yaml", "-m", "raw/mapping.yaml", "-o", "raw/table.parquet"
    )
    assert converted.exit_code == 0, converted.exception
    assert "dxai data check raw/table.parquet -c raw/contract.yaml" in converted.output
    assert "dxai train data=raw" in converted.output
    assert dxai("check", "raw/table.parquet", "-c", "raw/contract.yaml").exit_code == 0
    steps = 51 if "carparts" in name else 1
    assert len(pl.read_parquet("raw/table.parquet")) == (raw.count(b"\n") - 1) * steps


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp949", "utf-16"])
@pytest.mark.parametrize(("delimiter", "decimal"), [(",", "."), (";", ","), ("\t", ","), ("|", ".")])
def test_the_dialect_is_seen(tmp_path: Path, encoding: str, delimiter: str, decimal: str) -> None:
    lines = [["온도", "압력", "이름"], *([f"1{decimal}5", f"22{decimal}25", "가"] for _ in range(9))]
    path = tmp_path / "a.csv"
    path.write_text("\n".join(map(delimiter.join, lines)) + "\n", encoding)
    found = detect_dialect(path)
    expected = "utf-8-sig" if encoding == "utf-8" else encoding
    assert found == Dialect(expected, delimiter, decimal)  # type: ignore[arg-type]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-1e12, 1e12, allow_subnormal=False), min_size=1, max_size=20))
def test_conversion_is_lossless_for_what_it_keeps(values: list[float]) -> None:
    contract = parse_contract(CONTRACT.replace("minimum: 1000", "minimum: -1e15"), where="c")
    rows = [{"lot": f"00{i}", "temperature": repr(v), "pressure": None, "day": "2026-01-01", "verdict": "good"}
            for i, v in enumerate(values)]  # fmt: skip
    mapping = Mapping(contract="furnace", columns={name: ColumnMapping(source=name) for name in contract.names})
    table = pl.DataFrame(rows, schema=dict.fromkeys(contract.names, pl.String))
    log = ConversionLog()
    (typed,) = convert([table], contract, mapping, log, where="t")
    assert typed["temperature"].to_list() == values
    assert typed["lot"].to_list() == table["lot"].to_list()
    assert not log.changes
    (again,) = convert([typed], contract, mapping, ConversionLog(), where="t")
    assert again.equals(typed)


def test_ids_are_ascii_and_differ() -> None:
    assert ascii_ids(["온도", "온도", "Fly ash", "2020", "㎏", ""]) == [
        "ondo",
        "ondo_2",
        "fly_ash",
        "c_2020",
        "kg",
        "c",
    ]
