"""A table is held against its contract once: every problem in one message, with column, rule, rows and value."""

from __future__ import annotations

import unicodedata
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from dxai.contract import Contract, load_contract
from dxai.data.checks import Problems, cast
from dxai.data.header import match_header
from dxai.errors import DataError

ROW = {
    "cement": "540", "blast_furnace_slag": "0", "fly_ash": "0", "water": "162", "superplasticizer": "2.5",
    "coarse_aggregate": "1040", "fine_aggregate": "676", "age": "28", "strength": "79.99",
}  # fmt: skip


@pytest.fixture(scope="module")
def concrete(checkout: Path) -> Contract:
    return load_contract(checkout / "contracts" / "concrete_strength.yaml")


@pytest.fixture(scope="module")
def retail(checkout: Path) -> Contract:
    return load_contract(checkout / "contracts" / "retail_demand.yaml")


def specimens(*changes: dict[str, str | None]) -> pl.DataFrame:
    return pl.DataFrame([{**ROW, **change} for change in changes], schema=dict.fromkeys(ROW, pl.String))


def header_refusal(names: list[str], contract: Contract, *, target: bool = True) -> str:
    with pytest.raises(DataError) as caught:
        match_header(names, contract, target=target, where="mine.csv")
    assert caught.value.exit_code == 6
    assert "mine.csv" in str(caught.value)
    return str(caught.value)


def refusal(frame: pl.DataFrame, contract: Contract) -> str:
    problems = Problems()
    problems.add(cast(frame, contract)[1])
    with pytest.raises(DataError) as caught:
        problems.refuse("mine.csv")
    assert "mine.csv" in str(caught.value)
    assert "Correct these cells" in str(caught.value)
    return str(caught.value)


def found(names: list[str], contract: Contract, *, target: bool = False) -> dict[str, str]:
    return match_header(names, contract, target=target, where="mine.csv").names


def test_header_in_any_order_is_found_in_contract_order(concrete: Contract) -> None:
    names = found(list(reversed(concrete.names)), concrete, target=True)
    assert list(names) == list(names.values()) == list(concrete.names)


def test_missing_column_is_named_with_its_titles(concrete: Contract) -> None:
    message = header_refusal([n for n in concrete.names if n != "age"], concrete)
    assert "Column 'age' (Age, 재령) is missing." in message
    assert "The columns are: cement, blast_furnace_slag, fly_ash," in message


@pytest.mark.parametrize(
    "name",
    ["Fly ash", "FLY ASH", " fly ash ", "fly ash (kg/m3)", "Fly Ash [kg/m³]", "플라이애시", "플라이애시(kg/m3)",
     "fly_ash (g/L)", unicodedata.normalize("NFD", "플라이애시")],
)  # fmt: skip
def test_column_goes_by_id_or_title_with_or_without_its_unit(name: str, concrete: Contract) -> None:
    names = found([name if n == "fly_ash" else n for n in concrete.names], concrete)
    assert names["fly_ash"] == name


@pytest.mark.parametrize(
    "name", ["fly-ash", "flyash", "ash", "플라이", "fly ash kg/m3", "(kg/m3)", "fly ash (a) (b)", ""]
)
def test_column_goes_by_nothing_else(name: str, concrete: Contract) -> None:
    assert "'fly_ash'" in header_refusal([name if n == "fly_ash" else n for n in concrete.names], concrete)


def test_title_that_two_columns_share_stands_for_none(concrete: Contract) -> None:
    shared = [
        c.model_copy(update={"title_ko": "골재"}) if c.name.endswith("aggregate") else c for c in concrete.columns
    ]
    contract = concrete.model_copy(update={"columns": tuple(shared)})
    names = ["골재" if n == "fine_aggregate" else n for n in contract.names]
    assert "'fine_aggregate' (Fine aggregate, 골재) is missing" in header_refusal(names, contract)


def test_misspelt_column_is_matched_with_the_missing_one(concrete: Contract) -> None:
    message = header_refusal(["Watr" if n == "water" else n for n in concrete.names], concrete)
    assert "Column 'water' (Water, 물) is missing. Is it 'Watr'?" in message


def test_two_columns_that_mean_the_same_are_refused(concrete: Contract) -> None:
    message = header_refusal([*concrete.names, "시멘트"], concrete)
    assert "The columns 'cement' and '시멘트' both mean 'cement'." in message


def test_header_problems_come_in_one_message(concrete: Contract) -> None:
    names = ["Cement" if n == "age" else n for n in concrete.names if n != "water"]
    message = header_refusal(names, concrete)
    assert message.startswith("3 problems:")
    for told in ("'age' (Age, 재령) is missing", "'water' (Water, 물) is missing", "both mean 'cement'"):
        assert told in message


def test_own_columns_are_always_let_through(concrete: Contract) -> None:
    names = found(["batch", *concrete.names, "operator", "비고"], concrete, target=True)
    assert set(names.values()) == set(concrete.names)


def test_target_may_be_absent_when_predicting(concrete: Contract) -> None:
    features = [c.name for c in concrete.features]
    assert "strength" not in found(features, concrete)
    assert found(list(concrete.names), concrete)["strength"] == "strength"
    assert "'strength'" in header_refusal(features, concrete, target=True)


def test_demand_needs_its_past_units_when_forecasting(retail: Contract) -> None:
    assert "'units' (Units sold, 판매 수량) is missing" in header_refusal(["stock_code", "week"], retail, target=False)


def test_good_rows_become_numbers_in_contract_order(concrete: Contract) -> None:
    typed, problems = cast(specimens({}, {"fly_ash": None, "water": " 170.5 "}).select(reversed(ROW)), concrete)
    assert problems == []
    assert typed.columns == list(concrete.names)
    assert set(typed.dtypes) == {pl.Float64}
    assert typed["fly_ash"].to_list() == [0.0, None]
    assert typed["water"].to_list() == [162.0, 170.5]


def test_columns_outside_the_contract_are_left_out(concrete: Contract) -> None:
    typed, _ = cast(specimens({}).with_columns(pl.lit("Kim").alias("operator")), concrete)
    assert "operator" not in typed.columns


@pytest.mark.parametrize("text", ["28 days", "1,040", "스물", "-", "12_3"])
def test_text_in_a_number_column_is_told_with_row_and_value(concrete: Contract, text: str) -> None:
    message = refusal(specimens({}, {"age": text}), concrete)
    assert f"Column 'age' holds numbers, however 1 row breaks that (row 3: {text!r})." in message


def test_row_numbers_go_on_over_blocks(concrete: Contract) -> None:
    _, problems = cast(specimens({"age": "x"}), concrete, first_row=50_002)
    assert problems[0].examples == [(50_002, "x")]


@pytest.mark.parametrize("cell", [None, "  "])
def test_empty_required_cell_is_refused(concrete: Contract, cell: str | None) -> None:
    message = refusal(specimens({}, {}, {"cement": cell}), concrete)
    assert "Column 'cement'" in message
    assert "row 4" in message


def test_empty_cell_of_an_optional_column_is_missing(concrete: Contract) -> None:
    typed, problems = cast(specimens({"superplasticizer": None}), concrete)
    assert problems == []
    assert typed["superplasticizer"].to_list() == [None]


def test_required_category_of_blanks_is_refused(retail: Contract) -> None:
    frame = pl.DataFrame({"stock_code": ["  "], "week": ["2011-12-04"], "units": ["3"]})
    assert "'stock_code' must not be empty" in refusal(frame, retail)


@pytest.mark.parametrize(("value", "rule"), [("1000.5", "is at most 1000 kg/m3"), ("-1", "is at least 0 kg/m3")])
def test_value_out_of_range_is_told_with_its_unit(concrete: Contract, value: str, rule: str) -> None:
    assert f"Column 'cement' {rule}, however 1 row breaks that (row 2: '{value}')" in refusal(
        specimens({"cement": value}), concrete
    )


@pytest.mark.parametrize("value", ["0", "1000"])
def test_range_ends_are_inside(concrete: Contract, value: str) -> None:
    assert cast(specimens({"cement": value}), concrete)[1] == []


@pytest.mark.parametrize("text", ["inf", "-inf", "nan", "NaN", "Infinity", "1e999"])
def test_numbers_that_are_not_finite_are_refused(concrete: Contract, text: str) -> None:
    message = refusal(specimens({"fly_ash": text}), concrete)
    assert "Column 'fly_ash'" in message
    assert f"row 2: {text!r}" in message


def test_not_finite_target_without_an_upper_limit_is_refused(retail: Contract) -> None:
    frame = pl.DataFrame({"stock_code": ["85123A"], "week": ["2011-12-04"], "units": ["inf"]})
    assert "Column 'units' holds finite numbers" in refusal(frame, retail)


def test_all_problems_come_in_one_message(concrete: Contract) -> None:
    message = refusal(specimens({"age": "x", "cement": None}, {"water": "4000"}), concrete)
    assert message.startswith("3 problems:")
    for told in ("'age' holds numbers", "'cement' must not be empty", "'water' is at most 400 kg/m3"):
        assert told in message


def test_same_problem_of_several_blocks_is_counted_once_with_three_examples(concrete: Contract) -> None:
    problems = Problems()
    for block in range(3):
        frame = specimens({"age": "x"}, {"age": "y"})
        problems.add(cast(frame, concrete, first_row=2 + 2 * block)[1])
    with pytest.raises(DataError, match=r"6 rows break that \(row 2: 'x', row 3: 'y', row 4: 'x'\)"):
        problems.refuse("mine.csv")


def test_no_problem_raises_nothing(concrete: Contract) -> None:
    problems = Problems()
    problems.add(cast(specimens({}), concrete)[1])
    assert not problems
    problems.refuse("mine.csv")


def test_iso_dates_are_read(retail: Contract) -> None:
    typed, problems = cast(pl.DataFrame({"stock_code": ["0012"], "week": [" 2011-12-04"], "units": ["3"]}), retail)
    assert problems == []
    assert typed.rows() == [("0012", date(2011, 12, 4), 3.0)]


@pytest.mark.parametrize("text", ["2011/12/04", "04.12.2011", "2011-02-30", "2011-12-04 00:00", "20111204"])
def test_other_dates_are_refused_with_an_example(retail: Contract, text: str) -> None:
    message = refusal(pl.DataFrame({"stock_code": ["1"], "week": [text], "units": ["3"]}), retail)
    assert f"Column 'week' holds dates like 2011-12-04, however 1 row breaks that (row 2: {text!r})" in message
