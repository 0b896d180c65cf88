"""The reference tasks of the sectors: what their tables hold, and that nothing leaks through their splits."""

from __future__ import annotations

import lzma
from pathlib import Path

import polars as pl
import pytest

from dxai.config.compose import settings_from
from dxai.config.settings import PublishedData
from dxai.contract import load_contract
from dxai.data.prepare import steel_plates
from dxai.data.splits import folds
from dxai.data.table import contract_of, prepare_table


def prepared(name: str, checkout: Path) -> pl.DataFrame:
    """The table of one experiment, made afresh; its groups are whole in the experiment's folds."""
    settings = settings_from([f"experiment={name}"], checkout=checkout)
    assert isinstance(settings.data, PublishedData)
    table = pl.read_parquet(prepare_table(settings.data, checkout))
    contract = contract_of(settings.data, checkout)
    assert table.columns == list(contract.names)
    for fold in folds(table, contract, settings.split):
        if contract.group:
            assert not set(table[fold.fit][contract.group].iter_rows()) & set(
                table[fold.test][contract.group].iter_rows()
            )
    return table


def test_steel_plates_have_one_of_seven_faults_each(checkout: Path) -> None:
    table = prepared("steel_plates", checkout)
    assert dict(table["fault"].value_counts().iter_rows()) == {
        "Pastry": 158, "Z_Scratch": 190, "K_Scatch": 391, "Stains": 72, "Dirtiness": 55, "Bumps": 402,
        "Other_Faults": 673,
    }  # fmt: skip
    assert dict(table["type_of_steel"].value_counts().iter_rows()) == {"A300": 777, "A400": 1164}
    assert table.null_count().sum_horizontal().item() == 0


def test_a_row_of_two_faults_or_of_none_has_no_kind_of_fault(tmp_path: Path) -> None:
    faults = ("Pastry", "Z_Scratch", "K_Scatch", "Stains", "Dirtiness", "Bumps", "Other_Faults")
    head = ["X_Minimum", "TypeOfSteel_A300", "TypeOfSteel_A400", *faults]
    rows = [["7", "1", "0", *"0100000"], ["8", "0", "1", *"0100010"], ["9", "0", "1", *"0000000"]]
    raw = tmp_path / "plates.csv.xz"
    raw.write_bytes(lzma.compress("\n".join(",".join(line) for line in [head, *rows]).encode()))
    assert steel_plates(raw).rows() == [("7", "A300", "Z_Scratch"), ("8", "A400", None), ("9", "A400", None)]


@pytest.mark.network
def test_variants_of_a_car_are_one_group_and_nothing_tells_its_fuel_economy(checkout: Path) -> None:
    table = prepared("epa2021", checkout)
    assert (table.height, table["car"].n_unique()) == (1108, 275)
    assert table.filter(pl.col("car") == "AUDI R8")["drive"].n_unique() == 2
    assert table["combined"].min() == pytest.approx(10 * 1.609344 / 3.785411784)  # 10 miles per US gallon
    assert not set(table.columns) & {"city_mpg", "hwy_mpg", "comb_mpg", "guzzler", "carline"}
    assert table.null_count().sum_horizontal().item() == 0


@pytest.mark.parametrize(("part", "least"), [("compressor", 0.95), ("turbine", 0.975)])
def test_naval_states_are_a_grid_whose_speeds_stay_whole(part: str, least: float, checkout: Path) -> None:
    table = prepared(f"naval_{part}", checkout)
    states = table.group_by("ship_speed").len()
    assert sorted(states["ship_speed"]) == [3, 6, 9, 12, 15, 18, 21, 24, 27]
    assert set(states["len"]) == {51 * 26}
    assert all(table[name].n_unique() > 1 for name in table.columns)
    target = table[f"{part}_decay"]
    assert (target.min(), target.max()) == (least, 1)
    assert sum(name.endswith("_decay") for name in table.columns) == 1  # no sensor tells the other part's


@pytest.mark.network
def test_every_row_of_voices_is_another_person_as_published(checkout: Path) -> None:
    table = prepared("pd_speech", checkout)
    assert sorted(table.group_by("state", "sex").len().iter_rows()) == [
        ("PD", "female", 81), ("PD", "male", 107), ("control", "female", 41), ("control", "male", 23),
    ]  # fmt: skip
    assert not table.drop("sex", "state").is_duplicated().any()
    contract = load_contract(checkout / "contracts" / "pd_speech.yaml")
    assert len(contract.features) == 750  # without the sex, of which the ill have another share
    assert "sex" not in {column.name for column in contract.features}
    assert table.null_count().sum_horizontal().item() == 0
