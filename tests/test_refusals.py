"""What would train or predict on something else than a person means is refused by name, or left out and counted."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner
from conftest import MakeBundle
from test_own_data import DEMAND, castings, data_folder, parts, quality

from dxai.api import LoadedModel, UnseenCategoryWarning
from dxai.bundle.folder import Bundle
from dxai.cli.main import cli
from dxai.config.compose import settings_from
from dxai.data.own import with_own_data
from dxai.errors import DataError, SettingsError
from dxai.inference.model import Model
from dxai.inference.predict import Prediction
from dxai.learn.families import AnyTask as Task
from dxai.learn.families import task_of

CASTINGS = pl.DataFrame({"pressure": [20.0, 30.0, 40.0], "melt": [700.0] * 3, "plant": ["부산", "창원", "Ulsan"]})


@pytest.fixture
def workplace(checkout: Path, tmp_path: Path) -> Path:
    shutil.copytree(checkout / "configs", tmp_path / "configs")
    return tmp_path


def task(workplace: Path, contract: str, table: pl.DataFrame, *words: str) -> Task:
    """The task of an own table, as `dxai train data=own-table` makes it; nothing is fitted yet."""
    folder = data_folder(workplace / "own-table", contract, table)
    chosen = with_own_data([f"data={folder}", *words], workplace)
    made = task_of(settings_from(chosen, checkout=workplace), workplace)
    assert made.folds
    return made


def optional_target(contract: str) -> str:
    return contract.replace("name: weight, logicalType: number, required: true", "name: weight, logicalType: number")


def test_rows_without_a_true_value_are_left_out_and_counted(workplace: Path) -> None:
    gaps = castings().with_columns(weight=pl.when(pl.int_range(pl.len()) % 5 > 0).then("weight"))
    made = task(workplace, optional_target(quality("random", "")), gaps)
    assert (len(made.table), made.left_out) == (64, 16)
    assert made.table["weight"].null_count() == 0


@pytest.mark.parametrize(("weight", "told"), [(7.0, "All 80 rows have the value 7.0"), (None, "No row has a value")])
def test_target_that_tells_nothing_is_refused_before_the_fits(weight: float | None, told: str, workplace: Path) -> None:
    table = castings().with_columns(weight=pl.lit(weight, pl.Float64))
    with pytest.raises(DataError, match=told):
        task(workplace, optional_target(quality("random", "")), table)


def test_grouped_split_without_a_group_is_refused(workplace: Path) -> None:
    with pytest.raises(SettingsError, match="names no group"):
        task(workplace, quality("random", ""), castings(), "split=grouped")


def test_new_product_is_left_out_and_counted(workplace: Path) -> None:
    table = parts()
    new = table.filter(pl.col("part") == "P-0").tail(3).with_columns(part=pl.lit("new"))
    made = task(workplace, DEMAND, pl.concat([table, new]))
    assert made.left_out == 1
    assert "new" not in made.panel.ids and len(made.panel.ids) == 6


def test_table_of_new_products_alone_is_refused(workplace: Path) -> None:
    with pytest.raises(DataError, match="No series has the 12 monthly steps"):
        task(workplace, DEMAND, parts().filter(pl.col("month") > pl.date(2025, 9, 1)))


def test_sales_that_never_change_and_an_assortment_that_died_are_refused(workplace: Path) -> None:
    with pytest.raises(DataError, match="No series ever changes"):
        task(workplace, DEMAND, parts().with_columns(units=pl.lit(10.0)))
    shutil.rmtree(workplace / "own-table")
    dead = parts().with_columns(units=pl.when(pl.col("month") < pl.date(2024, 1, 1)).then("units").otherwise(0.0))
    with pytest.raises(DataError, match="on which a forecast is tested, is 0"):
        task(workplace, DEMAND, dead)


def test_option_that_is_given_twice_is_refused(workplace: Path) -> None:
    castings().write_csv(workplace / "sales.csv")
    words = ["data", "init", str(workplace / "sales.csv"), "--name", "a", "--kind", "demand", "--name", "b"]
    told = CliRunner().invoke(cli, words)
    assert told.exit_code == 2
    assert "--name is given 2 times; it takes one value" in told.output
    repeatable = [
        "data",
        "init",
        str(workplace / "sales.csv"),
        "-t",
        "weight",
        "--group",
        "melt",
        "--group",
        "made",
        "-y",
    ]
    assert CliRunner().invoke(cli, [*repeatable, "--to", str(workplace / "out")]).exit_code == 0


# Categories: what the model never saw, and what a program on the way has respelt


@pytest.fixture(scope="module")
def bundle(make_bundle: MakeBundle, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return Bundle.open(make_bundle(tmp_path_factory.mktemp("refusals") / "b"))


@pytest.fixture(scope="module")
def model(bundle: Bundle) -> Model:
    return Model(bundle.read("model.onnx"), bundle.contract)


def test_unseen_category_is_told_by_column_value_and_count(bundle: Bundle, model: Model) -> None:
    rows = CASTINGS.with_columns(plant=pl.Series(["Seoul", "Seoul", "부산"]), pressure=pl.Series([20.0, 199.0, 30.0]))
    prediction = Prediction(model, bundle.profile)
    assert len(pl.concat(prediction.blocks([rows]))) == 3
    assert (prediction.counts.unseen, prediction.counts.outside) == (2, 1)
    assert prediction.unseen == {("plant", "Seoul"): 2}


@pytest.mark.parametrize("spelling", ["ulsan", "ULSAN ", "Ｕｌｓａｎ", "0Ulsan", "Ulsan.0"])
def test_category_in_another_spelling_is_refused_naming_the_likely_one(
    spelling: str, bundle: Bundle, model: Model
) -> None:
    rows = CASTINGS.with_columns(plant=pl.Series(["부산", spelling, spelling]))
    with pytest.raises(DataError, match="Column 'plant' calls it 'Ulsan', however 2 rows break that"):
        list(Prediction(model, bundle.profile).blocks([rows]))
    flagged = Prediction(model, bundle.profile, on_bad_rows="flag")
    answer = pl.concat(flagged.blocks([rows]))
    assert answer["hardness_predicted"].null_count() == flagged.counts.bad == 2


def test_loaded_model_warns_of_unseen_categories_alone(bundle: Bundle, model: Model) -> None:
    with pytest.warns(UnseenCategoryWarning, match="1 rows have 'Seoul' in 'plant'"):
        LoadedModel(bundle, model).predict(CASTINGS.with_columns(plant=pl.Series(["부산", "창원", "Seoul"])))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        LoadedModel(bundle, model).predict(CASTINGS)
