"""`dxai data check` refuses what `dxai train` would refuse of a table and its contract, with the same sentence."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner
from test_covariates import COLUMNS, START, contract_text, described, sales
from test_own_data import BY_MELT, DEMAND, castings, data_folder, parts, quality

from dxai.cli.main import cli
from dxai.config.compose import settings_from
from dxai.contract import load_contract
from dxai.data.own import with_own_data
from dxai.data.readers import Block
from dxai.data.trainable import FOLDS, ORIGINS
from dxai.errors import DxaiError
from dxai.intake.check import TableCheck, check
from dxai.learn.families import task_of

CLASSES = quality("random", "").replace(
    "name: weight, logicalType: number, required: true,",
    "name: weight, logicalType: string, required: true, quality: [{metric: invalidValues, mustBe: 0, "
    "arguments: {validValues: [good, bad]}}],",
)
IN_ORDER = CLASSES.replace("value: random}", "value: ordered}")
OPTIONAL = quality("random", "").replace(
    "name: weight, logicalType: number, required: true", "name: weight, logicalType: number"
)
WEEKLY = DEMAND.replace("value: monthly", "value: weekly")


@pytest.fixture
def workplace(checkout: Path, tmp_path: Path) -> Path:
    shutil.copytree(checkout / "configs", tmp_path / "configs")
    return tmp_path


def refused_by_training(workplace: Path, contract: str, table: pl.DataFrame) -> DxaiError:
    """As `dxai train data=own-table` refuses it, before any fit."""
    folder = data_folder(workplace / "own-table", contract, table)
    with pytest.raises(DxaiError) as caught:
        made = task_of(settings_from(with_own_data([f"data={folder}"], workplace), checkout=workplace), workplace)
        assert made.folds
    return caught.value


def checked(folder: Path, contract: str, table: pl.DataFrame, *, rows: int = 0) -> TableCheck:
    """The check of the same table, in blocks of so many rows."""
    (folder / "agreed.yaml").write_text(contract, "utf-8")
    agreed = load_contract(folder / "agreed.yaml")
    blocks = [Block(part) for part in (table.iter_slices(rows) if rows else [table])]
    return check(blocks, agreed, where="mine.csv")


def classes(bad: int, rows: int = 80) -> pl.DataFrame:
    return castings(rows).with_columns(
        weight=pl.when(pl.int_range(pl.len()) < bad).then(pl.lit("bad")).otherwise(pl.lit("good"))
    )


def dated(step: Callable[[int], date], steps: int = 110) -> pl.DataFrame:
    rows = [(f"P-{s}", step(i), float(5 + (i + s) % 7)) for s in range(3) for i in range(steps)]
    return pl.DataFrame(rows, schema={"part": pl.String, "month": pl.Date, "units": pl.Float64}, orient="row")


def on_day(i: int) -> date:
    return date(2024, 1, 1) + timedelta(days=i)


SHELVED = contract_text([*COLUMNS, described("shelf", "string", "static", ("warm", "cold"))])


def shelved() -> pl.DataFrame:
    """A text that is not listed is no value, so that it is no other one."""
    other = pl.when(pl.col("week") > START).then(pl.lit("cellar")).otherwise(pl.lit("cold"))
    return sales().with_columns(shelf=pl.when(pl.col("product") == "juice").then(pl.lit("warm")).otherwise(other))


DEAD = pl.when(pl.col("month") < pl.date(2024, 1, 1)).then("units").otherwise(0.0)
CASES = {
    "constant target": (OPTIONAL, castings().with_columns(weight=pl.lit(7.0)), "All 80 rows have the value 7.0"),
    "no target": (OPTIONAL, castings().with_columns(weight=pl.lit(None, pl.Float64)), "No row has a value in 'weight'"),
    "one class": (CLASSES, classes(0), "All 80 rows have the value 'good'"),
    "rare class": (CLASSES, classes(3), "5 folds need 7 rows of every class, however there are fewer of: 'bad' (3)"),
    "rare class by group": (
        CLASSES.replace("value: random}", "value: grouped}\n" + BY_MELT), classes(12), "7 groups of every class",
    ),
    "grouped without a group": (quality("grouped", ""), castings(), "The contract names no group"),
    "fewer groups than folds": (quality(), castings(12), "5 folds need 5 groups, however the table has 3"),
    "fewer rows than folds": (quality("random", ""), castings(4), "5 folds need 5 rows, however the table has 4"),
    "fewer times than tests": (quality("ordered", ""), castings(8), "5 folds need 12 times, however the table has 8"),
    "class that came late": (
        IN_ORDER, classes(30).with_columns(pl.col("made").reverse()),
        "Fold 0 of the ordered split has no row to fit of the class 'bad'",
    ),
    "ordered without a time": (
        quality("ordered", "").replace("role, value: time", "role, value: ignore"), castings(), "when a row was made",
    ),
    "rows without a time": (
        quality("ordered", "").replace("made, logicalType: date, required: true", "made, logicalType: date"),
        castings().with_columns(made=pl.when(pl.int_range(pl.len()) > 2).then("made")), "3 rows have no time",
    ),
    "daily, monthly": (DEMAND, dated(on_day), "dates are not on the monthly grid (row 2: 2024-01-01"),
    "daily, weekly": (WEEKLY, dated(on_day), "dates are not on the weekly grid (row 3: 2024-01-02"),
    "shifted week": (
        WEEKLY, dated(lambda i: on_day(7 * i + (i % 13 == 12))),
        "24 dates are not on the weekly grid (row 14: 2024-03-26",
    ),
    "repeated": (DEMAND, pl.concat([parts(), parts().tail(2)]), "4 rows repeat a step of their series, the first of "),
    "no date": (
        DEMAND.replace("name: month, logicalType: date, required: true", "name: month, logicalType: date"),
        parts().with_columns(month=pl.when(pl.int_range(pl.len()) > 1).then("month")), "2 rows have no 'month'",
    ),
    "no series": (
        DEMAND.replace("name: part, logicalType: string, required: true", "name: part, logicalType: string"),
        parts().with_columns(part=pl.when(pl.int_range(pl.len()) > 2).then("part")), "3 rows have no 'part'",
    ),
    "new products alone": (DEMAND, parts().filter(pl.col("month") > pl.date(2025, 9, 1)), "No series has the 12"),
    "short table": (
        DEMAND, parts().filter(pl.col("month") > pl.date(2024, 7, 1)), "1 origins of 3 steps need 21 steps, however",
    ),
    "constant sales": (DEMAND, parts().with_columns(units=pl.lit(10.0)), "No series ever changes"),
    "static number that changes": (
        contract_text(), sales().with_columns(size=pl.int_range(pl.len()).cast(pl.Float64)),
        "Column 'size' has the role static, however series 'east · bread' has several values of it.",
    ),
    "static category that changes": (
        SHELVED, shelved().with_columns(shelf=pl.when(pl.col("week") == START).then(pl.lit("cold")).otherwise("shelf")),
        "Column 'shelf' has the role static, however series 'east · juice' has several values of it.",
    ),
    "dead assortment": (DEMAND, parts().with_columns(units=DEAD), "Every value of the last 3 steps"),
}  # fmt: skip
"""By rule: contract, table, part of the sentence."""


@pytest.mark.parametrize("rule", CASES)
def test_both_doors_refuse_it_with_the_same_sentence(rule: str, workplace: Path) -> None:
    contract, table, told = CASES[rule]
    by_training = refused_by_training(workplace, contract, table)
    assert told in by_training.problem
    for rows in (0, 7):
        found = checked(workplace, contract, table, rows=rows)
        assert not found.problems
        (refusal,) = found.refusals
        assert refusal.problem == by_training.problem
        assert refusal.fix == by_training.fix != ""


def test_random_split_of_groups_is_refused_by_both(workplace: Path) -> None:
    by_training = refused_by_training(workplace, quality("random"), castings())
    (refusal,) = checked(workplace, quality("random"), castings()).refusals
    assert "test rows have a row of the same group (melt) among the training rows" in by_training.problem
    assert refusal.problem.removeprefix("This split leaks: ") in by_training.problem


def test_contract_without_a_feature_is_refused_by_both_when_it_is_read(workplace: Path) -> None:
    contract = quality("random", "").replace("role, value: feature", "role, value: ignore")
    by_training = refused_by_training(workplace, contract, castings())
    with pytest.raises(DxaiError) as caught:
        checked(workplace, contract, castings())
    assert caught.value.problem == by_training.problem


@pytest.mark.parametrize(
    ("contract", "table"),
    [
        (quality(), castings()),
        (quality("ordered", ""), castings()),
        (CLASSES, classes(30)),
        (DEMAND, parts()),
        (SHELVED, shelved()),
        (
            CLASSES.replace("value: random}", "value: ordered}"),
            classes(30).with_columns(
                weight=pl.when(pl.int_range(80) % 3 > 0).then(pl.lit("good")).otherwise(pl.lit("bad"))
            ),
        ),
    ],
)
def test_what_training_takes_is_not_refused(contract: str, table: pl.DataFrame, workplace: Path) -> None:
    folder = data_folder(workplace / "own-table", contract, table)
    assert task_of(settings_from(with_own_data([f"data={folder}"], workplace), checkout=workplace), workplace).folds
    for rows in (0, 7):
        found = checked(workplace, contract, table, rows=rows)
        assert not found.refusals and not found.notes


@pytest.mark.parametrize("split", ["grouped", "ordered", "random", ""])
def test_settings_that_a_check_takes_for_granted_are_those_of_own_data(split: str, workplace: Path) -> None:
    contract = quality(split) if split else DEMAND
    folder = data_folder(workplace / "own-table", contract, castings() if split else parts())
    settings = settings_from(with_own_data([f"data={folder}"], workplace), checkout=workplace).split
    assert settings.model_dump()["folds" if split else "origins"] == (FOLDS if split else ORIGINS)


def test_broken_column_is_told_alone(workplace: Path) -> None:
    """What follows from its broken cells is no news."""
    found = checked(workplace, quality("random", ""), castings().with_columns(weight=pl.lit("heavy")))
    assert [problem.column for problem in found.problems] == ["weight"]
    assert not found.refusals


def test_rows_without_a_target_are_told_and_not_refused(workplace: Path) -> None:
    gaps = castings().with_columns(weight=pl.when(pl.int_range(pl.len()) % 5 > 0).then("weight"))
    found = checked(workplace, OPTIONAL, gaps, rows=7)
    assert not found.refusals
    assert found.notes == [
        "rows without a value of 'weight': 16; dxai train leaves them out, dxai predict can fill them"
    ]


@pytest.mark.parametrize("absent", ["missing", "zero"])
def test_new_products_and_series_that_ended_early_are_told(absent: str, workplace: Path) -> None:
    contract = DEMAND.replace(
        "value: monthly}", f"value: monthly}}\n      - {{property: absentSteps, value: {absent}}}"
    )
    old = parts().filter((pl.col("part") != "P-1") | (pl.col("month") < pl.date(2025, 6, 1)))
    new = parts().filter(pl.col("part") == "P-0").tail(3).with_columns(part=pl.lit("new"))
    found = checked(workplace, contract, pl.concat([old, new]), rows=11)
    assert not found.refusals
    assert found.notes == [
        "series with fewer than 12 monthly steps, which dxai train leaves out: 1 of 7 ('new' has 3)",
        "series that ended before 2025-12-31, the newest date: 1 of 7 ('P-1' on 2025-05-31)",
    ]


@pytest.mark.parametrize("absent", ["missing", "zero"])
@pytest.mark.parametrize("seed", range(25))
def test_histories_see_what_the_panel_shows(absent: str, seed: int, workplace: Path) -> None:
    """Random gaps and zeros: lengths, movement and late sales as in the panel that training makes."""
    from dxai.data.trainable import histories
    from dxai.data.windows import to_panel

    (workplace / "agreed.yaml").write_text(DEMAND, "utf-8")
    agreed = load_contract(workplace / "agreed.yaml").model_copy(update={"absent": absent, "minimum_history": 3})
    random = np.random.default_rng(seed)
    table = parts().filter(pl.Series(random.random(6 * 48) < random.choice([0.05, 0.2, 0.9])))
    values = random.choice([0.0, 0.0, 4.0], len(table)) if seed % 2 else np.full(len(table), 4.0 * (seed % 4))
    table = table.with_columns(units=pl.Series(values))
    table = table.with_columns(units=pl.when(pl.Series(random.random(len(table)) > 0.1)).then("units"))
    whole = to_panel(table, agreed.model_copy(update={"minimum_history": 0}), where="t")
    found = histories(table, agreed, origins=2, where="t")
    enough = whole.known_steps >= 3
    panel = whole.only(enough)
    assert dict(found.series.select("name", "known").iter_rows()) == dict(
        zip(whole.ids, whole.known_steps, strict=True)
    )
    assert found.steps == whole.values.shape[1]
    assert found.moves == bool(np.nansum(np.abs(np.diff(panel.values, axis=1))))
    assert found.sold == bool(np.nansum(np.abs(panel.values[:, -6:])))


def told_by(folder: Path, contract: str, table: pl.DataFrame, *words: str) -> tuple[int, str, str]:
    (folder / "agreed.yaml").write_text(contract, "utf-8")
    table.write_csv(folder / "mine.csv")
    ran = CliRunner().invoke(
        cli, ["data", "check", str(folder / "mine.csv"), "-c", str(folder / "agreed.yaml"), *words]
    )
    error = ran.exception
    return (
        (error.exit_code, ran.output, error.message())
        if isinstance(error, DxaiError)
        else (ran.exit_code, ran.output, "")
    )


def test_command_refuses_with_exit_code_6_and_tells_what_to_do(workplace: Path) -> None:
    code, _, message = told_by(workplace, DEMAND, dated(on_day))
    assert code == 6
    assert message.startswith("dxai train would refuse this: 321 dates are not on the monthly grid (row 2: 2024-01-01")
    assert "fix:   Use dates on the last day of a month throughout" in message


def test_command_tells_notes_to_people_and_to_programs(workplace: Path) -> None:
    table = parts().filter((pl.col("part") != "P-1") | (pl.col("month") < pl.date(2025, 6, 1)))
    code, output, _ = told_by(workplace, DEMAND, table)
    assert code == 0 and "no violation" in output and "series that ended before 2025-12-31" in output
    code, output, _ = told_by(workplace, DEMAND, dated(on_day), "--json")
    record = json.loads(output)
    assert code == 6 and not record["problems"]
    assert record["training"][0]["problem"].startswith("321 dates are not on the monthly grid")
