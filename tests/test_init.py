"""Drafts: what init sees, proposes, asks, and how sure it says it is."""

from __future__ import annotations

import os
import pty
import select
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml
from click.testing import CliRunner, Result

from dxai.cli.main import cli
from dxai.contract import Contract, load_contract
from dxai.data.windows import to_panel
from dxai.errors import DxaiError, NotFoundError, SettingsError
from dxai.intake.mapping import Mapping, load_mapping


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def data(*words: str) -> Result:
    return CliRunner().invoke(cli, ["data", *words])


def drafts(name: str = "raw") -> tuple[Contract, Mapping]:
    contract = load_contract(Path(name) / "contract.yaml")
    return contract, load_mapping(Path(name) / "mapping.yaml", contract)


def init(table: str | pl.DataFrame, *flags: str) -> Result:
    Path("raw.csv").write_text(table if isinstance(table, str) else table.write_csv(), "utf-8")
    ran = data("init", "raw.csv", *flags)
    assert ran.exit_code == 0, ran.exception
    return ran


def convert(name: str = "raw") -> pl.DataFrame:
    ran = data(
        "convert", "raw.csv", "-c", f"{name}/contract.yaml", "-m", f"{name}/mapping.yaml", "-o", f"{name}/table.parquet"
    )
    assert ran.exit_code == 0, ran.exception
    return pl.read_parquet(f"{name}/table.parquet")


def wide(headers: list[str]) -> str:
    rows = [f"P{i:03d}," + ",".join(str((i * j) % 7) for j in range(len(headers))) for i in range(40)]
    return "\n".join(["part," + ",".join(headers), *rows]) + "\n"


MONTHS = [f"{year}-{month:02d}" for year in (2024, 2025) for month in range(1, 13)]


@pytest.mark.parametrize(
    ("headers", "frequency", "season", "first"),
    [
        (MONTHS, "monthly", 12, "2024-01-31"),
        ([m.replace("-", "") for m in MONTHS], "monthly", 12, "2024-01-31"),
        ([f"{m[:4]}년 {m[5:]}월" for m in MONTHS], "monthly", 12, "2024-01-31"),
        ([f"{day}" for day in np.arange("2024-01-01", "2024-05-01", 7, dtype="M8[D]")], "weekly", 52, "2024-01-01"),
        ([f"{y}-{m:02d}-01" for y in range(2020, 2025) for m in (1, 4, 7, 10)], "quarterly", 4, "2020-03-31"),
    ],
)
def test_headers_that_are_dates_are_steps(
    folder: Path, headers: list[str], frequency: str, season: int, first: str
) -> None:
    init(wide(headers), "--kind", "demand")
    contract, mapping = drafts()
    assert (contract.frequency, contract.season, contract.split) == (frequency, season, "rolling")
    assert mapping.wide is not None
    table = convert()
    assert str(table[contract.only("time").name][0]) == first
    relaxed = contract.model_copy(update={"minimum_history": 1})
    assert to_panel(table, relaxed, where="t").values.shape == (40, len(headers))


def test_names_of_the_long_columns_can_be_chosen(folder: Path) -> None:
    init(wide(MONTHS), "--kind", "demand", "--series", "part", "--time", "월", "--target", "수량")
    assert drafts()[0].names == ("part", "wol", "sulyang")
    assert convert().columns == ["part", "wol", "sulyang"]


def test_a_table_with_a_column_per_step_may_name_its_series_by_several(folder: Path) -> None:
    rows = [f"{s},{p},{','.join(str((i + len(s + p)) % 7) for i in range(24))}" for s in ("N", "So") for p in "xyz"]
    table = "store,product," + ",".join(MONTHS) + "\n" + "\n".join(rows) + "\n"
    init(table, "--kind", "demand", "--series", "store", "--series", "product")
    contract, _ = drafts()
    assert [sorted(column.categories) for column in contract.series] == [["N", "So"], ["x", "y", "z"]]
    relaxed = contract.model_copy(update={"minimum_history": 1})
    assert to_panel(convert(), relaxed, where="t").values.shape == (6, 24)


@pytest.mark.parametrize(("lowest", "minimum"), [("0", 0), ("-1", None)])
def test_demand_is_never_negative_where_none_was(folder: Path, lowest: str, minimum: int | None) -> None:
    """A forecast of less than nothing is told by no store; returns are another matter."""
    init(wide(MONTHS).replace("P001,0,", f"P001,{lowest},"), "--kind", "demand")
    assert drafts()[0].target.minimum == minimum
    assert Path("raw/contract.yaml").read_text().count("take it out where returns count") == (minimum is not None)


def test_a_gap_written_out_before_the_first_value_is_none(folder: Path) -> None:
    init(wide(MONTHS).replace("P001,0,1,", "P001,-,-,").replace("P002,0,", "P002,,"), "--kind", "demand")
    assert drafts()[1].columns["value"].missing == ("-",)
    assert len(convert()) == 40 * 24 - 3


def test_seven_dated_headers_are_no_series(folder: Path) -> None:
    Path("raw.csv").write_text(wide(MONTHS[:7]))
    told = data("init", "raw.csv", "--kind", "demand", "--series", "part").exception
    assert isinstance(told, SettingsError) and "--time COLUMN" in str(told)


def test_dates_at_the_start_of_a_month_are_moved_to_its_end(folder: Path) -> None:
    rows = [f"A,{m}-01,{i}" for i, m in enumerate(MONTHS)]
    init("part,month,units\n" + "\n".join(rows) + "\n", "--kind", "demand", "--series", "part", "--time", "month",
         "-t", "units")  # fmt: skip
    contract, mapping = drafts()
    assert mapping.columns["month"].period == "start"
    assert len(to_panel(convert(), contract, where="t").ids) == 1


HOT = "size,a,b,c\n" + "".join(f"{i}.5,{int(i % 3 == 0)},{int(i % 3 == 1)},{int(i % 3 == 2)}\n" for i in range(60))


def test_one_of_several_classes_is_told(folder: Path) -> None:
    init(HOT, "--target", "b")
    assert "decide: the target is one of 3 classes in columns of their own; all of them: --target a --target b" in (
        Path("raw/contract.yaml").read_text()
    )


def test_several_targets_are_the_classes_of_one(folder: Path) -> None:
    init(HOT, "--target", "a", "--target", "b", "--target", "c", "--class-name", "결함")
    contract, mapping = drafts()
    assert (contract.target.name, contract.target.title_ko, contract.classes) == ("gyeolham", "결함", ("a", "b", "c"))
    assert mapping.columns["gyeolham"].one_hot == ("a", "b", "c")
    assert convert()["gyeolham"].to_list()[:4] == ["a", "b", "c", "a"]


def test_plates_and_parts(shared_data: Path, folder: Path) -> None:
    (folder / "raw.csv").write_bytes((shared_data / "steel_plates_faults.csv").read_bytes())
    classes = ["Pastry", "Z_Scratch", "K_Scatch", "Stains", "Dirtiness", "Bumps", "Other_Faults"]
    flags = [word for name in classes for word in ("--target", name)]
    assert data("init", "raw.csv", *flags).exit_code == 0
    counts = convert()["class"].value_counts().rows()
    assert dict(counts) == dict(zip(classes, [158, 190, 391, 72, 55, 402, 673], strict=True))


def test_marks_of_numbers_are_drafted(folder: Path) -> None:
    rows = [f"1.{i:03d},5;{i}.25;{i + 10};{i * 7 % 13} ℃;{i * 37 % 101}" for i in range(100, 160)]
    init("euro;point;whole;heat;y\n" + "\n".join(rows) + "\n", "--target", "y")
    mapping = drafts()[1]
    assert (mapping.file.decimal, mapping.file.delimiter) == (".", ";")
    assert (mapping.columns["euro"].decimal, mapping.columns["euro"].thousands) == (",", ".")
    assert (mapping.columns["heat"].suffix, mapping.columns["heat"].unit) == (("℃",), "Cel")
    table = convert()
    assert table.row(0) == (1100.5, 100.25, 110.0, 11.0, 64.0)


def test_each_column_says_how_sure_it_is(folder: Path) -> None:
    rows = [f"{i},{i}.5,{1 + i % 12:02d}/{1 + i % 11:02d}/2026,{i % 7},x,00{i % 10}" for i in range(60)]
    table = 'a,"b [kW]",day,"c [flurbs]",note,code\n' + "\n".join(rows) + "\n"
    init(table, "--target", "a")
    text = Path("raw/mapping.yaml").read_text()
    told = dict(line.strip().split(":  # ") for line in text.splitlines() if ":  # " in line)
    assert told["b"] == "sure: unit in the header"
    assert "# decide: %d/%m/%Y or %m/%d/%Y?" in text
    assert "# decide: is 'flurbs' a unit?" in text
    assert told["a"] == "likely: no unit was seen; a pure number"
    assert told["code"] == "sure: digits with leading zeros are a code"


def test_more_than_ten_classes_are_kept(folder: Path) -> None:
    init("x,y\n" + "".join(f"{i}.5,class{i % 15:02d}\n" for i in range(150)), "--target", "y")
    assert drafts()[0].classes == tuple(f"class{i:02d}" for i in range(15))


def recipes() -> pl.DataFrame:
    """Sixty recipes of three rows each, of which one column differs; each recipe has a strength of its own."""
    rng = np.random.default_rng(0)
    settings = np.repeat(rng.normal(size=(60, 4)).round(4), 3, axis=0)
    strength = np.repeat(rng.normal(size=60) * 10, 3) + rng.normal(size=180)
    order = rng.permutation(180)
    columns = {f"s{i}": settings[order, i] for i in range(4)}
    age = np.tile([1.0, 7.0, 28.0], 60)[order]
    return pl.DataFrame({**columns, "age": age, "strength [MPa]": strength[order].round(3)})


def test_a_recipe_becomes_the_group_and_its_worth_is_told(folder: Path) -> None:
    ran = init(recipes(), "--target", "strength [MPa]")
    contract, _ = drafts()
    assert (contract.split, contract.group) == ("grouped", ("s0", "s1", "s2", "s3"))
    (line,) = (line for line in ran.output.splitlines() if line.startswith("split: "))
    assert line.startswith("split: grouped by recipe (4 columns): ")
    assert line in Path("raw/contract.yaml").read_text()


def test_time_order_becomes_the_split(folder: Path) -> None:
    walk = np.random.default_rng(0).normal(size=400).cumsum()
    stamps = np.datetime64("2026-01-01T00:00") + np.arange(400) * np.timedelta64(15, "m")
    table = pl.DataFrame({"at": stamps.astype(str), "load": walk.round(3), "y": np.roll(walk, 1).round(3)})
    ran = init(table.with_columns(pl.col("at").str.replace("T", " ")), "--target", "y")
    contract, _ = drafts()
    assert (contract.split, contract.only("time").name) == ("ordered", "at")
    assert "split: ordered by at: " in ran.output


@pytest.mark.parametrize("classes", [("-1", "1"), ("0", "1"), ("good", "bad")])
def test_two_values_are_classes(folder: Path, classes: tuple[str, str]) -> None:
    table = recipes().with_columns(
        pl.when(pl.col("strength [MPa]") > 0).then(pl.lit(classes[1])).otherwise(pl.lit(classes[0])).alias("y")
    )
    init(table.drop("strength [MPa]"), "--target", "y")
    assert set(drafts()[0].classes) == set(classes)


def test_real_files_get_the_split_they_need(shared_data: Path, folder: Path) -> None:
    expected = {
        "concrete_compressive_strength.csv": ("Concrete compressive strength(MPa, megapascals)", "grouped"),
        "korea_steel_industry_energy.csv": ("Usage_kWh", "ordered"),
    }
    for name, (target, split) in expected.items():
        ran = data("init", str(shared_data / name), "--target", target, "--to", name)
        assert ran.exit_code == 0, ran.exception
        assert load_contract(Path(name) / "contract.yaml").split == split


@pytest.mark.parametrize(
    ("flags", "kind", "told"),
    [
        ([], SettingsError, "--target COLUMN"),
        (["--target", "sise"], NotFoundError, "Did you mean 'size'?"),
        (["--target", "a", "--time", "size"], SettingsError, "'size' holds no dates"),
        (["--target", "a", "--target", "b", "--class-name", "size"], SettingsError, "--class-name"),
        (["--target", "a", "--kind", "demand"], SettingsError, "--series COLUMN"),
        (["-t", "a", "-t", "b", "--kind", "demand"], SettingsError, "one target"),
        (["--target", "a", "--group", "lot"], NotFoundError, "no column 'lot'"),
        (["--target", "a", "--known", "size"], SettingsError, "--kind demand"),
        (["--target", "a", "--known", "sise", "--kind", "demand"], NotFoundError, "Did you mean 'size'?"),
        (["--target", "a", "--time", "size", "--known", "size", "--kind", "demand"], SettingsError, "named twice"),
        (["--target", "a", "--time", "size", "--kind", "demand"], SettingsError, "'size' holds no dates"),
    ],
)
def test_choices_that_do_not_fit_are_told(folder: Path, flags: list[str], kind: type[DxaiError], told: str) -> None:
    Path("raw.csv").write_text(HOT)
    error = data("init", "raw.csv", *flags).exception
    assert isinstance(error, kind) and told in str(error)
    assert not Path("raw").exists()


def test_drafts_go_where_they_are_told(folder: Path) -> None:
    ran = init(HOT, "--target", "a", "--to", "shared/my plates", "--name", "plates")
    assert load_contract(folder / "shared" / "my plates" / "contract.yaml").id == "plates"
    assert "-o 'shared/my plates/table.parquet'" in ran.output


def test_strange_headers_stay_within_the_yaml(folder: Path) -> None:
    table = '"a: b # c","{{ x }}","- d","\'e""",y\n' + "".join(
        f"{i},{i * 3 % 7},{i * 5 % 11},{i % 4},{i}\n" for i in range(50)
    )
    init(table, "--target", "y")
    contract, _ = drafts()
    assert [c.title_en for c in contract.columns] == ["a: b # c", "{{ x }}", "- d", "'e\"", "y"]
    assert len(convert()) == 50


DAYS = [np.datetime64("2024-01-01") + i for i in range(120)]


def shops(**columns: list[str]) -> pl.DataFrame:
    """Demand of four products by day, none on Sundays, beside other columns of as many texts as there are days."""
    rows = [
        {"sku": sku, "brand": "ab"[i // 2], "name": f"name of {sku}", "size": str(i + 1), "day": str(day),
         "sold": str(0 if at % 7 == 6 else 3 + (at + i) % 5), **{key: texts[at] for key, texts in columns.items()}}
        for i, sku in enumerate("wxyz") for at, day in enumerate(DAYS)
    ]  # fmt: skip
    return pl.DataFrame(rows)


SHOPS = ["--kind", "demand", "--series", "sku", "--time", "day", "-t", "sold"]
SUNDAYS = [i % 7 == 6 for i in range(len(DAYS))]


def roles(contract: Contract) -> dict[str, str]:
    return {column.name: column.role for column in contract.columns}


def test_one_value_in_each_series_is_static_and_a_second_name_is_none(folder: Path) -> None:
    ran = init(shops(price=[f"{1 + i % 3}.5" for i in range(len(DAYS))]), *SHOPS)
    contract, _ = drafts()
    assert roles(contract) == {
        "sku": "series", "brand": "static", "name": "ignore", "size": "static", "day": "time", "sold": "target",
        "price": "ignore",
    }  # fmt: skip
    listed = {column.name: column.categories for column in contract.columns}
    assert listed["brand"] == ("a", "b") and listed["sku"] == ()
    assert "static: brand, size: one value in each series" in ran.output
    (line,) = (line for line in ran.output.splitlines() if "--known" in line)
    assert line.startswith("decide: name, price: left out, ")
    assert "known ahead (a price, a promotion)" in line
    assert convert().columns == list(contract.names)


@pytest.mark.parametrize(
    ("shut", "trading"), [("0", "1"), ("1", "0"), ("No", "Yes"), ("예", "아니오"), ("휴무", "영업")]
)
def test_closed_is_where_nothing_is_sold(folder: Path, shut: str, trading: str) -> None:
    ran = init(shops(state=[shut if sunday else trading for sunday in SUNDAYS]), *SHOPS, "--closed", "state")
    assert roles(drafts()[0])["state"] == "open"
    assert f"decide: state: closed where it says {shut!r}: nothing is sold there" in ran.output
    table = convert()
    assert table["state"].to_list() == [float(not sunday) for sunday in SUNDAYS] * 4
    assert table.filter(pl.col("state") == 0)["sold"].sum() == 0


@pytest.mark.parametrize(("low", "high"), [("0", "1"), ("No", "Yes"), ("아니오", "예"), ("0.0", "1.0")])
def test_available_is_what_says_yes(folder: Path, low: str, high: str) -> None:
    init(shops(stock=[low if i % 5 == 0 else high for i in range(len(DAYS))]), *SHOPS, "--available", "stock")
    assert roles(drafts()[0])["stock"] == "available"
    assert convert()["stock"].to_list()[:6] == [0, 1, 1, 1, 1, 0]


def test_known_categories_are_listed(folder: Path) -> None:
    init(shops(flyer=["plain", "page", "cover"] * 40), *SHOPS, "--known", "flyer", "--known", "size")
    contract, _ = drafts()
    assert roles(contract)["flyer"] == roles(contract)["size"] == "known_future"
    assert {c.name: set(c.categories) for c in contract.columns}["flyer"] == {"plain", "page", "cover"}


@pytest.mark.parametrize(
    ("flag", "texts", "told"),
    [
        ("--closed", ["a", "b", "c"], "3 different values"),
        ("--closed", ["open"], "1 different values"),
        ("--closed", ["a", "b"], "'sold' is seldom 0 or empty where the column says 'a' and where it says 'b'"),
        ("--available", ["full", "short"], "Which of 'full' and 'short'"),
        ("--known", [f"note {i}" for i in range(120)], "neither numbers nor texts that come again"),
    ],
)
def test_what_is_said_of_columns_beside_a_history_must_fit(
    folder: Path, flag: str, texts: list[str], told: str
) -> None:
    texts = [texts[i % len(texts)] for i in range(len(DAYS))]
    Path("raw.csv").write_text(shops(beside=texts).write_csv(), "utf-8")
    error = data("init", "raw.csv", *SHOPS, flag, "beside").exception
    assert isinstance(error, SettingsError) and told in str(error) and flag in error.message()
    assert not Path("raw").exists()


def test_several_series_are_not_taken_for_one(folder: Path) -> None:
    Path("raw.csv").write_text(shops().write_csv())
    one = ["--kind", "demand", "--time", "day", "-t", "sold"]
    error = data("init", "raw.csv", *one).exception
    assert isinstance(error, SettingsError) and "--series COLUMN" in error.message()
    ran = init(shops(), *one, "--add-up", "weekly", "--known", "size")  # a total is asked for
    assert "decide: size: of the rows that are added up, weekly, the last value is kept" in ran.output
    table = convert()
    assert table["series"].unique().to_list() == ["raw"] and table["day"].is_unique().all()


def test_a_column_of_that_name_leaves_the_one_series_another(folder: Path) -> None:
    rows = [f"{day},{i % 5},note {i}" for i, day in enumerate(DAYS)]
    init("day,sold,series\n" + "\n".join(rows) + "\n", "--kind", "demand", "--time", "day", "-t", "sold")
    contract, mapping = drafts()
    assert (contract.only("series").name, mapping.columns["series_2"].constant) == ("series_2", "raw")


def test_orange_juice(shared_data: Path, folder: Path) -> None:
    file = str(shared_data / "orange_juice_weekly.csv.gz")
    words = ["--kind", "demand", "--series", "store", "--series", "product", "--time", "week", "-t", "units"]
    ran = data("init", file, *words, "--to", "raw", "--known", "price_per_oz", "--known", "deal")
    assert ran.exit_code == 0, ran.exception
    contract, mapping = drafts()
    assert roles(contract) == {
        "store": "series", "product": "series", "week": "time", "units": "target", "price_per_oz": "known_future",
        "deal": "known_future", "feature_ad": "ignore", "store_log_income": "static", "store_age60": "static",
        "store_education": "static", "store_large_households": "static",
    }  # fmt: skip
    assert [len(column.categories) for column in contract.series] == [83, 11]
    assert contract.keys == ("store", "product", "week")
    assert all(not column.joined for column in mapping.columns.values())
    assert "decide: feature_ad: left out, no role was named: --known COLUMN" in ran.output


def test_bicycles_of_a_city(shared_data: Path, folder: Path) -> None:
    import gzip

    content = gzip.decompress((shared_data / "seoul_bike_hourly.csv.gz").read_bytes())
    words = ["--kind", "demand", "--time", "Date", "--time", "Hour", "-t", "Rented Bike Count"]
    ran = init(content.decode(), *words, "--known", "Holiday", "--known", "Temperature", "--closed", "Functioning Day")
    contract, _ = drafts()
    told = roles(contract)
    assert (told["series"], told["date_hour"], told["functioning_day"]) == ("series", "time", "open")
    assert told["holiday"] == told["temperature"] == "known_future"
    assert contract.frequency == "hourly"
    assert "decide: Functioning Day: closed where it says 'No'" in ran.output
    table = convert()
    assert (table["functioning_day"] == 0).sum() == 295  # as the source says
    panel = to_panel(table, contract, where="t")
    assert panel.values.shape == (1, 8760) and int(np.isnan(panel.values).sum()) == 295


def on_terminal(answers: list[str], *words: str) -> tuple[int, str]:
    """Run the command on a terminal of its own, giving the answers as they are asked for."""
    program = "from dxai.cli.main import main; main()"
    child, terminal = pty.fork()
    if child == 0:
        os.execv(sys.executable, [sys.executable, "-c", program, "data", *words])
    said = ""
    while select.select([terminal], [], [], 30)[0]:
        try:
            part = os.read(terminal, 4096).decode(errors="replace")
        except OSError:  # the program has ended
            break
        said += part
        if said.endswith("]: "):
            if not answers:
                break
            os.write(terminal, f"{answers.pop(0)}\n".encode())
    os.close(terminal)  # a program that still asks is hung up
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), said


@pytest.mark.process
def test_questions_on_a_terminal(folder: Path) -> None:
    rows = [f"{i},{i * 7 % 13},{i * 3 % 11},{i % 9}.5" for i in range(60)]
    Path("raw.csv").write_text("row,c [flurbs],d,e [kW]\n" + "\n".join(rows) + "\n")
    code, said = on_terminal(["", "yy", "d", "n", "℃", "kPa", "", "1"], "init", "raw.csv")
    assert code == 0, said
    assert "c [flurbs] (integer)" in said and "e [kW] (number, kW)" in said
    assert "there is no column 'yy'" in said
    assert "row: it names rows. Leave it out?" in said
    assert "write Cel" in said
    contract, _ = drafts()
    assert contract.target.name == "d"
    assert {c.name: (c.role, c.unit) for c in contract.columns} == {
        "row": ("feature", "1"), "c_flurbs": ("feature", "kPa"), "d": ("target", "1"), "e": ("feature", "kW"),
    }  # fmt: skip


@pytest.mark.process
def test_enter_takes_the_draft_and_yes_asks_nothing(folder: Path) -> None:
    Path("raw.csv").write_text(wide(MONTHS))
    code, said = on_terminal(["", "", ""], "init", "raw.csv")
    assert code == 0, said
    contract, mapping = drafts()
    assert contract.task == "demand" and contract.only("series").name == "part" and mapping.wide is not None
    code, said = on_terminal([], "init", "raw.csv", "--kind", "demand", "--yes", "--force")
    assert code == 0 and "]: " not in said


@pytest.mark.process
def test_a_table_without_a_column_of_series_says_so_on_a_terminal(folder: Path) -> None:
    rows = [f"{day},{i % 5}" for i, day in enumerate(DAYS)]
    Path("raw.csv").write_text("day,sold\n" + "\n".join(rows) + "\n")
    code, said = on_terminal(["demand", "-", "", "", ""], "init", "raw.csv")
    assert code == 0, said
    contract, mapping = drafts()
    assert contract.only("series").name == "series" and mapping.columns["series"].constant == "raw"
    assert (contract.only("time").name, contract.target.name) == ("day", "sold")


def test_the_mapping_is_yaml_a_person_can_read(folder: Path) -> None:
    init(HOT, "--target", "a")
    written = yaml.safe_load(Path("raw/mapping.yaml").read_text())
    assert written["version"] == "1.0.0" and written["contract"] == "raw"
    assert written["columns"]["size"] == {"from": "size"}
