"""Every recipe turns its raw file into the table that is published under its name, and trusts no file."""

from __future__ import annotations

import io
import json
import lzma
import os
import pickle
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from dxai.contract import load_contract
from dxai.data.prepare import FrameUnpickler, concrete, m3_monthly, m3_quarterly, online_retail, prepare
from dxai.errors import DataError


class Calls:
    """Pickles to a call of a function: what a hostile file looks like."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return self.function, self.arguments


@pytest.mark.network
def test_concrete_has_the_published_rows_in_contract_columns(concrete_table: pl.DataFrame, checkout: Path) -> None:
    contract = load_contract(checkout / "contracts" / "concrete_strength.yaml")
    assert concrete_table.height == 1030
    assert concrete_table.columns == list(contract.names)
    assert set(concrete_table.dtypes) == {pl.Float64}
    assert concrete_table.null_count().sum_horizontal().item() == 0


@pytest.mark.network
def test_concrete_equals_the_original_spreadsheet_within_rounding(
    concrete_table: pl.DataFrame, shared_data: Path
) -> None:
    original = pl.read_csv(shared_data / "concrete_compressive_strength.csv")
    assert original.shape == concrete_table.shape
    for ours, theirs in zip(concrete_table, original, strict=True):  # both have the inputs in the order of UCI
        rounding = 0.01 if ours.name == "strength" else 0.06
        np.testing.assert_allclose(
            np.sort(ours), np.sort(theirs.cast(pl.Float64)), atol=rounding, rtol=0, err_msg=ours.name
        )


@pytest.mark.network
def test_retail_has_every_product_in_every_week(retail_table: pl.DataFrame) -> None:
    assert retail_table["stock_code"].n_unique() == 1609
    assert retail_table["week"].n_unique() == 104
    assert retail_table.height == 1609 * 104
    assert retail_table.select("stock_code", "week").is_duplicated().sum() == 0
    assert (retail_table["week"].min(), retail_table["week"].max()) == (date(2009, 12, 13), date(2011, 12, 4))
    assert retail_table["week"].dt.weekday().unique().to_list() == [7]
    assert retail_table["stock_code"].str.contains(r"^\d{5}[A-Z]*$").all()


@pytest.mark.network
def test_retail_units_are_the_known_ones(retail_table: pl.DataFrame) -> None:
    units = retail_table["units"]
    assert round(100 * float((units == 0).mean()), 1) == 24.6
    assert (units.min(), units.median(), units.max()) == (0, 10, 11_414)
    sold_weeks = retail_table.filter(pl.col("units") > 0).group_by("stock_code").len()["len"]
    assert sold_weeks.min() == 52


@pytest.mark.network
def test_m3_monthly_has_the_published_series(m3_monthly_table: pl.DataFrame) -> None:
    lengths = m3_monthly_table.group_by("series").len()["len"]
    assert len(lengths) == 1428
    assert (lengths.min(), lengths.max()) == (66, 144)
    assert m3_monthly_table.group_by("series").agg(pl.col("date").max())["date"].unique().to_list() == [
        date(1999, 12, 31)
    ]
    assert (m3_monthly_table["date"] == m3_monthly_table["date"].dt.month_end()).all()


@pytest.mark.network
def test_m3_quarterly_has_the_published_series(checkout: Path) -> None:
    from dxai.config.compose import settings_from
    from dxai.data.table import prepared_table

    table = prepared_table(settings_from(["experiment=m3_quarterly"], checkout=checkout).data, checkout)
    lengths = table.group_by("series").len()["len"]
    assert len(lengths) == 756
    assert (lengths.min(), lengths.max()) == (24, 72)
    assert set(table["date"].dt.month().to_list()) == {3, 6, 9, 12}


def m3_file(folder: Path, **series: object) -> Path:
    path = folder / "m3.json"
    path.write_text(json.dumps({name: {"sn": [name], **one} for name, one in series.items()}), "utf-8")  # type: ignore[dict-item]
    return path


def test_m3_joins_training_and_test_part_and_dates_them_backwards(tmp_path: Path) -> None:
    path = m3_file(
        tmp_path,
        N1={"period": ["MONTHLY"], "x": [1, 2], "xx": [3]},
        N2={"period": ["QUARTERLY"], "x": [4, 5], "xx": [6]},
        N3={"period": ["YEARLY"], "x": [7], "xx": [8]},
    )
    assert m3_monthly(path).rows() == [
        ("N1", "1999-10-31", "1.0"), ("N1", "1999-11-30", "2.0"), ("N1", "1999-12-31", "3.0"),
    ]  # fmt: skip
    assert m3_quarterly(path)["date"].to_list() == ["1999-06-30", "1999-09-30", "1999-12-31"]


def test_retail_recipe_keeps_sales_of_regular_products_in_whole_weeks(tmp_path: Path) -> None:
    def line(code: str, week: int, *, invoice: str = "5", quantity: int = 2, price: str = "1.5") -> str:
        day = date.fromordinal(date(2010, 1, 6).toordinal() + 7 * week)  # a Wednesday
        return f"{invoice},{code},{quantity},{day:%-m/%-d/%Y} 8:05,{price}"

    weeks = [week for week in range(55) if week != 10]  # closed in week 10; less the first and the last: 52 weeks
    lines = [line("85123a", week) for week in weeks]
    lines += [
        line("85123A", 3, quantity=5),
        line("85123A", 4, quantity=-9),
        line("85123A", 4, invoice="C5", quantity=9),
    ]
    lines += [line("85123A", 4, price="0"), line("85123A", 4, quantity=0)]
    lines += [line("POST", week) for week in weeks] + [line("10002", week) for week in weeks[:-2]]
    raw = tmp_path / "retail.csv.xz"
    raw.write_bytes(
        lzma.compress(("Invoice,StockCode,Quantity,InvoiceDate,Price\n" + "\n".join(lines) + "\n").encode())
    )
    table = online_retail(raw)
    assert table.columns == ["stock_code", "week", "units"]
    assert table["stock_code"].unique().to_list() == ["85123A"]  # POST is a fee, 10002 was sold in 51 weeks
    assert (table["week"].min(), table["week"].max()) == ("2010-01-17", "2011-01-16")
    units = dict(table.select("week", "units").iter_rows())
    assert (units["2010-01-24"], units["2010-01-31"], units["2010-02-07"]) == ("2", "7", "2")
    assert units.get("2010-03-21") == "0", "a week without any sale is a week of zeros"


def hostile_payloads(proof: Path) -> dict[str, bytes]:
    create = f"open({str(proof)!r}, 'w').close()"
    return {
        "os.system": pickle.dumps(Calls(os.system, f"touch '{proof}'")),
        "builtins.eval": pickle.dumps(Calls(eval, create)),
        "builtins.exec in an old protocol": pickle.dumps(Calls(exec, create), protocol=0),
        "builtins.getattr": pickle.dumps(Calls(getattr, Path, "touch")),
        "method of an admitted class": b"\x80\x04\x8c\x11pandas.core.frame\x8c\x0fDataFrame.query\x93.",
        "admitted name of another module": b"cpandas.io.common\nDataFrame\n.",
    }


@pytest.mark.parametrize("name", hostile_payloads(Path("proof")))
def test_pickle_that_asks_for_code_is_refused_and_runs_nothing(tmp_path: Path, name: str) -> None:
    proof = tmp_path / "proof"
    raw = tmp_path / "hostile.pkl.compress"
    raw.write_bytes(lzma.compress(hostile_payloads(proof)[name]))
    with pytest.raises(DataError, match=r"The pickle asks for \w+") as caught:
        concrete(raw)
    assert caught.value.exit_code == 6
    assert "Do not use this file" in str(caught.value)
    assert not proof.exists()


@pytest.mark.process
def test_hostile_pickles_would_run_without_the_closed_list(tmp_path: Path) -> None:
    """The payloads above are live: the plain unpickler obeys them."""
    for name in ("os.system", "builtins.eval", "builtins.exec in an old protocol"):
        proof = tmp_path / "proof"
        pickle.loads(hostile_payloads(proof)[name])
        assert proof.exists(), name
        proof.unlink()


def test_unpickler_admits_a_frame_of_numbers_only(tmp_path: Path) -> None:
    assert FrameUnpickler(io.BytesIO(pickle.dumps({"a": [1, 2.5, "x"]}))).load() == {"a": [1, 2.5, "x"]}
    with pytest.raises(DataError, match="pathlib"):
        FrameUnpickler(io.BytesIO(pickle.dumps(tmp_path))).load()


BROKEN = {
    "not compressed": b"no archive",
    "empty": b"",
    "cut": lzma.compress(pickle.dumps(list(range(1000))))[:-40],
    "compressed text": lzma.compress(b"a,b\n1,2\n"),
    "another object": lzma.compress(pickle.dumps([1, 2, 3])),
}


@pytest.mark.parametrize("recipe", ["concrete", "online_retail"])
@pytest.mark.parametrize("name", BROKEN)
def test_broken_archive_is_refused(checkout: Path, tmp_path: Path, recipe: str, name: str) -> None:
    refuse_raw(checkout, tmp_path, recipe, BROKEN[name])


@pytest.mark.parametrize("content", [b"", b"{", b"[1, 2]", b'{"N1": {"period": ["MONTHLY"]}}', b"\xff\xfe"])
def test_broken_json_is_refused(checkout: Path, tmp_path: Path, content: bytes) -> None:
    refuse_raw(checkout, tmp_path, "m3_monthly", content)


def refuse_raw(checkout: Path, folder: Path, recipe: str, content: bytes) -> None:
    contracts = {"concrete": "concrete_strength", "online_retail": "retail_demand", "m3_monthly": "m3_monthly"}
    raw = folder / "raw.file"
    raw.write_bytes(content)
    with pytest.raises(DataError) as caught:
        prepare(raw, f"dxai.data.prepare.{recipe}", load_contract(checkout / "contracts" / f"{contracts[recipe]}.yaml"))
    assert caught.value.exit_code == 6
    assert "raw.file" in str(caught.value)


def test_table_that_breaks_its_contract_is_refused(checkout: Path, tmp_path: Path) -> None:
    path = m3_file(tmp_path, N1={"period": ["MONTHLY"], "x": [1, -2], "xx": [3]})
    with pytest.raises(DataError, match=r"'value' is at least 0, .*row 3: '-2.0'") as caught:
        prepare(path, "dxai.data.prepare.m3_monthly", load_contract(checkout / "contracts" / "m3_monthly.yaml"))
    assert "m3.json, recipe 'dxai.data.prepare.m3_monthly'" in str(caught.value)


@pytest.mark.parametrize(("name", "step"), [("hourly_series", "1h"), ("daily_series", "1d")])
def test_household_power_is_energy_of_whole_steps(name: str, step: str, checkout: Path, tmp_path: Path) -> None:
    """Two days of minutes, of which one hour of the second misses a minute: neither it nor its day is whole."""
    start = datetime(2007, 1, 1)
    minutes = [start + timedelta(minutes=number) for number in range(2 * 24 * 60)]
    lines = ["Date,Time,Global_active_power,Sub_metering_1,Sub_metering_2,Sub_metering_3"]
    for number, minute in enumerate(minutes):
        power = "?" if number == 24 * 60 + 90 else "3.000"
        day = f"{minute.day}/{minute.month}/{minute.year}"
        lines.append(f"{day},{minute:%H:%M:%S},{power},6.000,0.000,{minute.minute % 2}.000")
    raw = tmp_path / "power.csv.xz"
    raw.write_bytes(lzma.compress("\n".join(lines).encode()))
    contract = load_contract(checkout / "contracts" / f"{name}.yaml")
    recipe = {"1h": "household_hours", "1d": "household_days"}[step]
    table = prepare(raw, f"dxai.data.prepare.{recipe}", contract)
    hours = 1 if step == "1h" else 24
    assert table.group_by("series").agg(pl.col("value").first()).sort("series").rows() == [
        ("heater", pytest.approx(0.03 * hours)), ("house", 3.0 * hours), ("kitchen", pytest.approx(0.36 * hours)),
        ("laundry", 0.0),
    ]  # fmt: skip
    assert table.height == 4 * (47 if step == "1h" else 1)


def test_yearly_series_of_the_competition_end_in_december(checkout: Path, tmp_path: Path) -> None:
    raw = tmp_path / "m3.json"
    raw.write_text(json.dumps({"N1": {"sn": ["N1"], "period": ["YEARLY"], "x": [1.5, 2, 3, 4], "xx": [5]}}), "utf-8")
    contract = load_contract(checkout / "contracts/yearly_series.yaml")
    table = prepare(raw, "dxai.data.prepare.m3_yearly", contract)
    assert table["date"].to_list() == [date(year, 12, 31) for year in range(1995, 2000)]
    assert table["value"].to_list() == [1.5, 2, 3, 4, 5]
