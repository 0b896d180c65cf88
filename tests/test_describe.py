"""A file nobody has described yet: its types, ranges and gaps as they are, and what is suspicious about it."""

from __future__ import annotations

import gzip
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from dxai.data.tables import as_text, read_blocks
from dxai.errors import DataError
from dxai.intake.describe import Bars, ColumnDescription, Description, Histogram, RepeatedRows, RowSample, describe
from dxai.intake.describe.record import Kind
from dxai.intake.describe.report import write_report


def table(**columns: list[object]) -> Description:
    return describe([text_of(columns)])


def text_of(columns: dict[str, list[object]]) -> pl.DataFrame:
    texts = {name: [None if v is None else str(v) for v in values] for name, values in columns.items()}
    return pl.DataFrame(texts, schema=dict.fromkeys(texts, pl.String))


def column(*cells: object, name: str = "x") -> ColumnDescription:
    return describe([text_of({name: list(cells)})]).columns[0]


def kinds(description: Description) -> set[Kind]:
    return {suspicion.kind for suspicion in description.suspicions}


def found(description: Description, kind: Kind) -> list[tuple[str, ...]]:
    return [suspicion.columns for suspicion in description.suspicions if suspicion.kind == kind]


@pytest.fixture(scope="module")
def real(shared_data: Path, tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("real")

    def described(name: str, target: str = "") -> Description:
        path = shared_data / name
        if path.suffix == ".gz":
            path = folder / path.stem
            path.write_bytes(gzip.decompress((shared_data / name).read_bytes()))
        return describe(map(as_text, read_blocks(path)), target=target)

    return described


@pytest.mark.parametrize(
    ("cells", "type_"),
    [
        (["1", "2", "3"], "integer"),
        (["1", "2.5", "-3e2"], "number"),
        (["0", "1", "1"], "boolean"),
        (["Y", "N", "Y"], "boolean"),
        (["합격", "불합격", "합격"], "boolean"),
        (["red", "blue", "red", "blue"], "category"),
        (["ab", "cd", "ef"], "text"),
        (["2024-01-31", "2024-02-29"], "date"),
        (["2024-01-31 10:00", "2024-02-29 23:59"], "timestamp"),
        (["20240131", "20240229"], "date"),
        (["20240131101500", "20240229101500"], "timestamp"),
        ([None, " ", "-"], "empty"),
        (["0012", "0013", "7"], "text"),
        (["3호기", "4호기", "3호기", "4호기"], "category"),
        (["2026-02-30", "2026-02-31"], "text"),
        (["10 of 12", "11 of 12"], "text"),
        (["12345678", "99999999"], "integer"),
    ],
)
def test_type(cells: list[str], type_: str) -> None:
    assert column(*cells).type == type_


@pytest.mark.parametrize(
    ("cells", "formats"),
    [
        (["25/12/2018 00:15", "01/02/2018 23:45"], ("%d/%m/%Y %H:%M",)),
        (["12/25/2018", "01/02/2018"], ("%m/%d/%Y",)),
        (["01/02/2018", "03/04/2018"], ("%d/%m/%Y", "%m/%d/%Y")),
        (["2024. 1. 5.", "2024. 12. 31."], ("%Y. %m. %d.",)),
        (["2024년 1월 5일", "2024년 12월 31일"], ("%Y년 %m월 %d일",)),
        (["Jan-98", "Feb-98"], ("%b-%y",)),
        (["2024-01", "2024-12"], ("%Y-%m",)),
        (["2024-01-05T10:00:00Z", "2024-01-06T10:00:00Z"], ("%Y-%m-%dT%H:%M:%SZ",)),
        (["2024-01-05 10:00:00+09:00", "2024-01-06 10:00:00+09:00"], ("%Y-%m-%d %H:%M:%S%z",)),
        (["1/5/2018 3:04 PM", "1/25/2018 3:04 AM"], ("%m/%d/%Y %I:%M %p",)),
        (["20240131", "20240229"], ("%Y%m%d",)),
    ],
)
def test_date_format(cells: list[str], formats: tuple[str, ...]) -> None:
    assert column(*cells).date_formats == formats


def test_a_later_block_settles_day_or_month_first() -> None:
    blocks = [text_of({"x": ["01/02/2018", "03/04/2018"]}), text_of({"x": ["25/12/2018"]})]
    described = describe(blocks).columns[0]
    assert described.date_formats == ("%d/%m/%Y",)
    assert (described.minimum, described.maximum) == (datetime(2018, 2, 1), datetime(2018, 12, 25))


@pytest.mark.parametrize(
    ("cells", "decimal", "thousands", "ends", "type_"),
    [
        (["12,5", "3,25", "7"], ",", "", (3.25, 12.5), "number"),
        (["1.234,5", "2,5"], ",", "", (2.5, 1234.5), "number"),
        (["1,234", "12,345,678", "5"], ".", ",", (5, 12345678), "integer"),
        (["1,234.5", "2.5"], ".", ",", (2.5, 1234.5), "number"),
        (["1,234", "5,678"], "", ",", (1234, 5678), "integer"),
        (["１２．５", "１３"], "", "", (12.5, 13), "number"),
    ],
)
def test_numbers_as_people_write_them(
    cells: list[str], decimal: str, thousands: str, ends: tuple[float, float], type_: str
) -> None:
    told = column(*cells)
    assert (told.decimal_mark, told.thousands, told.type) == (decimal, thousands, type_)
    assert (told.minimum, told.maximum) == pytest.approx(ends)


def test_the_marks_of_other_columns_settle_what_one_column_leaves_open() -> None:
    told = table(open=["1,234", "5,678"], settled=["1,5", "2,25"])
    assert told.column("open").maximum == pytest.approx(5.678)
    assert told.column("open").type == "number"


def test_both_decimal_marks_in_one_column_are_told() -> None:
    assert "decimal-marks" in kinds(table(x=["1,5", "2,5", "3,75", "4.5"]))


def test_gaps_as_text_are_counted_and_left_out() -> None:
    told = column("1", "-", "없음", "#N/A", "nan", None, "  ", "4")
    assert (told.missing, dict(told.missing_texts)) == (2, {"-": 1, "없음": 1, "#N/A": 1, "nan": 1})
    assert (told.type, told.gaps, told.mean, told.distinct) == ("integer", 6, 2.5, 2)


def test_units_in_cells_and_headers() -> None:
    told = table(**{"온도": ["12.5℃", "13℃"], "press_kgf/cm2": ["1", "2"]})
    assert told.column("온도").cell_units == (("℃", 2),)
    assert (told.column("온도").unit, told.column("온도").maximum) == ("Cel", 13)
    assert (told.column("press_kgf/cm2").title, told.column("press_kgf/cm2").unit) == ("press", "kgf/cm2")


def test_few_strangers_among_numbers_are_told() -> None:
    described = table(x=[*range(95), *["error"] * 5])
    assert (described.columns[0].type, described.columns[0].misfits) == ("integer", 5)
    assert found(described, "mixed") == [("x",)]


@pytest.mark.parametrize("cells", [["<0.5", ">100"] * 20, ["<0.5", "100 초과", "12.5 mm", "3.25 mm"] * 20])
def test_a_limit_counts_once(cells: list[str]) -> None:
    told = column(*cells)
    assert (told.type in ("integer", "number"), told.misfits) == (True, 0)
    assert told.censored == sum(" mm" not in cell for cell in cells)


def test_blocks_do_not_matter() -> None:
    rng = np.random.default_rng(0)
    days, months = rng.integers(1, 29, 3000), rng.integers(1, 13, 3000)
    frame = text_of({
        "a": rng.integers(0, 50, 3000).tolist(),
        "b": [f"{v:.2f}".replace(".", ",") for v in rng.normal(size=3000)],
        "c": rng.choice(["x", "y", None], 3000).tolist(),
        "d": [f"{d:02d}/{m:02d}/2024" for d, m in zip(days, months, strict=True)],
    })  # fmt: skip
    whole, parts = describe([frame]), describe(frame.iter_slices(97))
    assert (whole.suspicions, whole.duplicates) == (parts.suspicions, parts.duplicates)
    for one, other in zip(whole.columns, parts.columns, strict=True):
        assert one.mean == pytest.approx(other.mean) if one.mean else other.mean is None
        for name in ("type", "minimum", "distinct", "frequent", "missing", "date_formats", "decimal_mark", "picture"):
            assert getattr(one, name) == getattr(other, name)


def test_only_texts_of_five_cells_are_shown() -> None:
    told = column(*["common"] * 30, *["rare"] * 4)
    assert told.frequent == (("common", 30),)
    assert told.picture == Bars((("common", 30),), 4)


def test_histogram_counts_every_cell() -> None:
    picture = column(*np.linspace(0, 1, 500).tolist()).picture
    assert isinstance(picture, Histogram)
    assert sum(picture.counts) == 500
    assert (picture.edges[0], picture.edges[-1]) == (0, 1)


def test_a_header_without_rows() -> None:
    described = describe([pl.DataFrame(schema={"a": pl.String, "b": pl.String})])
    assert [c.type for c in described.columns] == ["empty", "empty"]


def test_an_unknown_target_is_refused_with_the_nearest_header() -> None:
    with pytest.raises(DataError, match=r"(?s)'strenght'.*Did you mean 'strength'"):
        describe([text_of({"strength": ["1"]})], target="strenght")


def test_clean_columns_raise_no_alarm() -> None:
    rng = np.random.default_rng(1)
    columns = {f"sensor {i}": rng.normal(size=2000).round(3).tolist() for i in range(20)}
    columns |= {f"flag {i}": rng.integers(0, 2, 2000).tolist() for i in range(8)}
    columns |= {
        "line": rng.choice(["A", "B", "C"], 2000).tolist(),
        "ok": (rng.random(2000) < 0.05).astype(int).tolist(),
    }
    assert describe([text_of(columns)], target="ok").suspicions == ()


def test_patterns_of_columns() -> None:
    rng = np.random.default_rng(2)
    n = 300
    celsius = rng.normal(20, 3, n).round(2)
    described = table(
        number=list(range(5, n + 5)), code=[f"M{i:05d}" for i in rng.permutation(n)], celsius=celsius.tolist(),
        fahrenheit=(celsius * 1.8 + 32).tolist(), copy=[f"{v:.4f}" for v in celsius], one=["same"] * n,
        gappy=["1.5"] * 20 + ["2"] * 20 + [None] * (n - 40), sentinel=[-999, *rng.normal(5, 1, n - 1).tolist()],
        lot=["0012", "0013"] * (n // 2), color=["Red", "red ", "blue"] * (n // 3),
    )  # fmt: skip
    assert found(described, "id") == [("number",), ("code",)]
    assert found(described, "equal") == [("celsius", "copy")]
    assert found(described, "correlated") == [("celsius", "fahrenheit")]
    assert found(described, "constant") == [("one",)]
    assert found(described, "mostly-missing") == [("gappy",)]
    assert found(described, "placeholder") == [("sentinel",)]
    assert found(described, "leading-zeros") == [("lot",)]
    assert found(described, "spelling") == [("color",)]
    assert described.column("lot").type == "category"


@pytest.mark.parametrize("kind", ["equal", "monotone", "linear"])
def test_leak_of_a_number(kind: str) -> None:
    truth = np.random.default_rng(3).lognormal(size=200).round(4)
    given = {"equal": truth, "monotone": np.log(truth), "linear": 3 * truth + 1}[kind]
    other = np.random.default_rng(4).normal(size=200)
    frame = text_of({"y": truth.tolist(), "given": given.tolist(), "other": other.tolist()})
    assert found(describe([frame], target="y"), "leak") == [("given",)]


def test_leaks_of_a_class() -> None:
    rng = np.random.default_rng(5)
    truth = rng.random(1000) < 0.1
    frame = text_of({
        "y": np.where(truth, "NG", "OK").tolist(),
        "code": np.where(truth, rng.choice(["e1", "e2"], 1000), rng.choice(["none here", "fine"], 1000)).tolist(),
        "rework minutes": [round(v, 3) if t else None for v, t in zip(rng.random(1000).tolist(), truth, strict=True)],
        "score": np.where(truth, rng.uniform(5, 6, 1000), rng.uniform(0, 4, 1000)).tolist(),
        "honest": (rng.normal(size=1000) + truth).tolist(),
    })  # fmt: skip
    described = describe([frame], target="y")
    assert sorted(found(described, "leak")) == [("code",), ("rework minutes",), ("score",)]
    assert described.suspicions[0].kind == "leak"


def test_rows_of_one_part_after_another_are_in_no_time_order() -> None:
    days = [f"2024-{m:02d}-01" for m in range(1, 13)]
    assert "time-order" not in kinds(table(part=[p for p in range(90) for _ in days], month=days * 90))


def test_a_machine_that_stands_still_shares_no_recipe() -> None:
    rng = np.random.default_rng(6)
    running = rng.random(2000) < 0.5
    columns = {name: np.where(running, rng.normal(size=2000), 0).tolist() for name in "abcde"}
    assert "group" not in kinds(table(clock=rng.random(2000).tolist(), **columns))


def test_the_sample_is_even_and_in_order() -> None:
    sample = RowSample(width=1)
    for first in range(0, 400_000, 1_000):
        sample.add(pl.DataFrame({"x": range(first, first + 1_000)}).cast(pl.String))
    rows, positions = sample.rows()
    assert len(rows) == 50_000
    assert rows["x"].cast(pl.Int64).to_list() == positions.tolist() == sorted(positions)
    tenths = np.bincount((positions // 40_000).astype(int))
    assert abs(tenths - 5_000).max() < 300  # 4.5 standard deviations


@pytest.mark.parametrize(("different", "tolerance"), [(100_000, 0.0), (5_000_000, 0.01)])
def test_repeated_rows(different: int, tolerance: float) -> None:
    repeated = RepeatedRows()
    for first in range(0, different, 50_000):
        repeated.add(pl.DataFrame({"x": np.arange(first, first + 50_000)}))
    repeats = different // 4
    for first in range(0, repeats, 25_000):
        repeated.add(pl.DataFrame({"x": np.arange(first, first + 25_000)}))
    assert repeated.count() == pytest.approx(repeats, rel=tolerance, abs=0)


def test_ai4i(real) -> None:
    described = real("ai4i2020.csv", "Machine failure")
    # RNF is no leak: of its 19 rows only one is a failure
    assert found(described, "leak") == [("TWF",), ("HDF",), ("PWF",), ("OSF",)]
    assert found(described, "id") == [("UID",), ("Product ID",)]
    assert kinds(described) == {"leak", "id"}
    assert described.column("Type").frequent == (("L", 6000), ("M", 2997), ("H", 1003))


def test_one_value_of_a_measured_number_with_one_class_is_no_leak() -> None:
    """40 of 1,000 plates of one thickness, all of one fault; a second thickness like it makes a rule."""
    draw = np.random.default_rng(0)
    thickness, fault = draw.integers(0, 20, 1000) * 10, draw.choice(["scratch", "stain", "bump"], 1000)
    one = pl.DataFrame({"thickness": thickness, "fault": np.where(thickness == 50, "stain", fault)})
    assert found(describe([one.cast(pl.String)], target="fault"), "leak") == []
    two = one.with_columns(fault=pl.when(pl.col("thickness") == 90).then(pl.lit("bump")).otherwise("fault"))
    assert set(found(describe([two.cast(pl.String)], target="fault"), "leak")) == {("thickness",)}
    flag = one.with_columns(thickness=pl.col("thickness") == 50).with_columns(pl.col("thickness").cast(pl.Int8))
    assert found(describe([flag.cast(pl.String)], target="fault"), "leak") == [("thickness",)]


def test_the_thickness_of_steel_plates_is_kept(shared_data: Path) -> None:
    table = pl.read_csv(shared_data / "steel_plates_faults.csv")
    faults = table.columns[-7:]
    named = pl.coalesce(pl.when(pl.col(fault) == 1).then(pl.lit(fault)) for fault in faults).alias("fault")
    assert "leak" not in kinds(describe([table.select(pl.exclude(faults), named).cast(pl.String)], target="fault"))


def test_steel_plates(real) -> None:
    described = real("steel_plates_faults.csv", "Pastry")
    classes = ("Pastry", "Z_Scratch", "K_Scatch", "Stains", "Dirtiness", "Bumps", "Other_Faults")
    assert found(described, "one-hot") == [("TypeOfSteel_A300", "TypeOfSteel_A400"), classes]
    assert found(described, "leak") == [classes[1:]]
    assert found(described, "correlated") == [("Y_Minimum", "Y_Maximum")]
    assert kinds(described) == {"one-hot", "leak", "correlated"}


@pytest.mark.slow
def test_secom(real) -> None:
    described = real("secom.csv.gz", "Pass/Fail")
    assert (described.rows, len(described.columns)) == (1567, 592)
    assert sum(c.missing for c in described.columns) == 41_951
    assert sum(c.missing > 0 for c in described.columns) == 538
    assert [len(names) for names in found(described, "constant")] == [116]
    assert found(described, "time-order") == found(described, "date-format") == [("Time",)]
    assert described.column("Time").date_formats == ("%d/%m/%Y %H:%M:%S",)
    assert kinds(described) == {"time-order", "date-format", "constant", "correlated", "mostly-missing", "far"}
    assert found(described, "far") == [("152",), ("287",), ("516",)]


def test_concrete(real) -> None:
    strength = "Concrete compressive strength(MPa, megapascals)"
    described = real("concrete_compressive_strength.csv", strength)
    assert described.duplicates == 25
    assert kinds(described) <= {"duplicate-rows", "group", "unit"}
    (recipe,) = found(described, "group")
    assert set(recipe) == {c.name for c in described.columns} - {"Age (day)", strength}
    assert described.column(strength).mean == pytest.approx(35.82, abs=0.005)


def test_car_parts(real) -> None:
    described = real("carparts_monthly_demand.csv")
    assert found(described, "dated-headers") == [tuple(c.name for c in described.columns[1:])]
    assert found(described, "maybe-id") == [("Part",)]
    assert kinds(described) == {"dated-headers", "maybe-id"}
    assert sum(c.missing for c in described.columns) == 6_122


def test_naval(real) -> None:
    described = real("naval_propulsion_cbm.csv", "GT Turbine decay state coefficient")
    assert found(described, "constant") == [(
        "GT Compressor inlet air temperature (T1) [C]", "GT Compressor inlet air pressure (P1) [bar]"
    )]  # fmt: skip
    assert found(described, "equal") == [(
        "Starboard Propeller Torque (Ts) [kN]", "Port Propeller Torque (Tp) [kN]"
    )]  # fmt: skip
    assert kinds(described) <= {"constant", "equal", "correlated", "unit"}


def test_energy(real) -> None:
    described = real("korea_steel_industry_energy.csv", "Usage_kWh")
    assert described.column("date").date_formats == ("%d/%m/%Y %H:%M",)
    assert found(described, "time-order") == [("date",)]
    assert kinds(described) <= {"time-order", "date-format", "unit"}
    assert described.column("Load_Type").frequent[0] == ("Light_Load", 18_072)


@pytest.mark.slow
def test_prices(real) -> None:
    described = real("korea_necessaries_price_ko.csv.gz", "판매가격")
    assert (described.rows, described.sampled) == (182_381, 50_000)
    assert {c.name: c.missing for c in described.columns if c.missing} == {"세일여부": 51_934, "원플러스원": 94_700}
    assert [described.column(name).distinct for name in ("상품명", "판매업소", "제조사")] == [332, 543, 80]
    assert kinds(described) == {"mostly-missing", "constant"}
    assert found(described, "constant") == [("원플러스원",)]


@pytest.mark.parametrize(
    "cells",
    [
        ["1e308", "-1e308", "5", "inf", "nan"],
        ["9" * 400, "1", "2"],
        ["1." + "0" * 5000, "2"],
        ["0.1", "0.10000000000000001"] * 20,
        ["20240000", "20240101", "20241399"],
        ["9007199254740993", "9007199254740992"] * 20,
        ["\u202e12", "１２℃", "٣", "½", "1,2,3", ",", ".", "+", "e5", "--5", "1 2", "1:2"],
        ["𝟙", "①", "Ⅳ", "\x00", "\ufeff1"],
        ["x" * 200_000, "y"],
        ["9999-12-31", "0001-01-01"],
        ["31/12/1899", "01/01/2101"],
    ],
)  # fmt: skip
def test_strange_cells_are_described(cells: list[str], tmp_path: Path) -> None:
    rows = cells * 20
    description = describe([text_of({"x": rows, "y": list(range(len(rows)))})], target="y")
    assert description.columns[0].rows == len(rows)
    write_report(description, tmp_path / "report.html", language="ko")
    assert (tmp_path / "report.html").stat().st_size < 100_000
