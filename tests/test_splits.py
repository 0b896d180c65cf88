"""A split never lets rows that belong together stand on both sides, and says how bad a random one would be."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from dxai.config.settings import GroupedSplit, OrderedSplit, RandomSplit
from dxai.contract import Contract, load_contract
from dxai.data.splits import Fold, folds, groups_of, random_folds, whole
from dxai.errors import DataError, SettingsError


@pytest.fixture(scope="module")
def concrete(checkout: Path) -> Contract:
    return load_contract(checkout / "contracts" / "concrete_strength.yaml")


@pytest.fixture(scope="module")
def without_groups(concrete: Contract) -> Contract:
    return Contract.model_validate({**concrete.model_dump(), "group": ()})


def grouped(*, number: int = 5, seed: int = 0) -> GroupedSplit:
    return GroupedSplit(kind="grouped", folds=number, seed=seed)


def at_random(*, number: int = 5, seed: int = 0) -> RandomSplit:
    return RandomSplit(kind="random", folds=number, seed=seed)


def in_order(number: int) -> OrderedSplit:
    return OrderedSplit(kind="ordered", folds=number)


def specimens(recipes: int, ages: int = 4) -> pl.DataFrame:
    """``recipes`` mixes, each tested at ``ages`` ages, in mixed order."""
    recipe = np.tile(np.arange(recipes), ages)
    constant = dict.fromkeys(
        ["blast_furnace_slag", "fly_ash", "superplasticizer", "coarse_aggregate", "fine_aggregate"], 1.0
    )
    return pl.DataFrame(
        {"cement": recipe * 10.0, "water": recipe % 3 + 100.0, "age": np.repeat(np.arange(ages), recipes) * 7.0}
    ).with_columns(**{name: pl.lit(value) for name, value in constant.items()}, strength=pl.lit(30.0))


def recipes_of(frame: pl.DataFrame, contract: Contract, rows: np.ndarray) -> set[tuple[float, ...]]:
    return set(frame[rows].select(contract.group).iter_rows())


def same(one: list[Fold], other: list[Fold]) -> bool:
    return all(
        np.array_equal(getattr(a, part), getattr(b, part))
        for a, b in zip(one, other, strict=True)
        for part in ("fit", "test")
    )


def test_rows_of_one_recipe_are_one_group(concrete: Contract) -> None:
    groups = groups_of(specimens(7), concrete)
    assert len(set(groups)) == 7
    assert groups.tolist() == np.tile(groups[:7], 4).tolist()


def test_gaps_in_the_group_columns_are_a_value_like_others(concrete: Contract) -> None:
    frame = specimens(4).with_columns(
        pl.when(pl.col("cement") < 20).then(None).otherwise(pl.col("fly_ash")).alias("fly_ash")
    )
    assert len(set(groups_of(frame, concrete))) == 4


@pytest.mark.network
def test_grouped_folds_never_share_a_recipe(concrete_table: pl.DataFrame, concrete: Contract) -> None:
    for fold in folds(concrete_table, concrete, grouped()):
        fit, test = (recipes_of(concrete_table, concrete, rows) for rows in (fold.fit, fold.test))
        assert fit
        assert test
        assert not fit & test


@pytest.mark.network
def test_random_split_of_grouped_rows_is_refused_with_the_share_that_leaks(
    concrete_table: pl.DataFrame, concrete: Contract
) -> None:
    with pytest.raises(SettingsError) as caught:
        folds(concrete_table, concrete, at_random())
    assert caught.value.exit_code == 2
    share = re.search(r"(\d+)% of the test rows have a row of the same group", str(caught.value))
    assert share
    assert 50 < int(share[1]) <= 100
    assert "cement, blast_furnace_slag" in str(caught.value)
    assert "fix:   Use split=grouped." in str(caught.value)


def test_share_that_leaks_is_counted_right(concrete: Contract) -> None:
    pairs = specimens(100, ages=2)
    with pytest.raises(SettingsError) as caught:
        folds(pairs, concrete, at_random(number=5))
    share = int(re.search(r"(\d+)%", str(caught.value))[1])  # type: ignore[index]
    # Of 200 rows, 40 test: the one partner of a test row is among the 160 others in 160/199 = 80 %.
    assert share == pytest.approx(80, abs=5)


def test_every_row_is_tested_once(concrete: Contract) -> None:
    frame = specimens(50)
    made = folds(frame, concrete, grouped())
    assert len(made) == 5
    assert sorted(np.concatenate([fold.test for fold in made])) == list(range(200))
    for fold in made:
        assert sorted(np.concatenate([fold.fit, fold.test])) == list(range(200))
        assert len(fold.test) == 40


def test_same_seed_gives_the_same_folds_and_another_seed_others(concrete: Contract) -> None:
    frame = specimens(50)
    assert same(folds(frame, concrete, grouped(seed=3)), folds(frame, concrete, grouped(seed=3)))
    assert not same(folds(frame, concrete, grouped(seed=3)), folds(frame, concrete, grouped(seed=4)))


def test_folds_do_not_depend_on_the_order_of_recipe_values(concrete: Contract) -> None:
    frame = specimens(50)
    shifted = frame.with_columns(pl.col("cement") * 2 + 5)
    assert same(folds(frame, concrete, grouped()), folds(shifted, concrete, grouped()))


def test_too_few_groups_are_told(concrete: Contract) -> None:
    with pytest.raises(DataError) as caught:
        folds(specimens(3), concrete, grouped(number=5))
    assert caught.value.exit_code == 6
    assert "5 folds need 5 groups, however the table has 3" in str(caught.value)
    assert "where: split.folds" in str(caught.value)
    assert "split.folds=3" in str(caught.value)


@pytest.mark.parametrize("recipes", [2, 3])
def test_number_of_folds_that_the_message_advises_works_or_is_refused_in_words(
    concrete: Contract, recipes: int
) -> None:
    """Two groups are too few for any number of folds."""
    try:
        made = folds(specimens(recipes), concrete, grouped(number=recipes))
    except DataError:
        assert recipes == 2
    else:
        assert all(len(fold.fit) and len(fold.test) for fold in made)


@pytest.mark.filterwarnings("error")
def test_contract_without_groups_may_split_at_random(without_groups: Contract) -> None:
    frame = specimens(50)
    made = folds(frame, without_groups, at_random())
    assert sorted(np.concatenate([fold.test for fold in made])) == list(range(200))
    for fold in made:
        assert len(set(fold.fit) | set(fold.test)) == len(fold.fit) + len(fold.test) == 200


def test_random_twin_of_a_grouped_split_does_share_recipes(concrete: Contract) -> None:
    frame = specimens(50)
    twin = random_folds(frame, concrete, grouped())
    assert sorted(np.concatenate([fold.test for fold in twin])) == list(range(200))
    for fold in twin:
        assert recipes_of(frame, concrete, fold.fit) & recipes_of(frame, concrete, fold.test)


def test_whole_fits_every_row() -> None:
    fold = whole(specimens(50))
    assert len(fold.test) == 0
    assert fold.fit.tolist() == list(range(200))


def days_in_order(count: int, rows_a_day: int = 3) -> pl.DataFrame:
    """``count`` days in mixed order, some rows of the same day."""
    day = np.random.default_rng(0).permutation(np.repeat(np.arange(count), rows_a_day))
    return pl.DataFrame({"day": (np.datetime64("2026-01-01") + day), "x": day * 1.0, "y": day * 2.0})


def with_time(concrete: Contract, *roles: str) -> Contract:
    kinds = {"day": "date", "x": "number", "y": "number"}
    columns = [
        {"name": name, "kind": kind, "role": role, "title_en": name, "title_ko": name}
        for (name, kind), role in zip(kinds.items(), roles, strict=True)
    ]
    return Contract.model_validate({**concrete.model_dump(), "group": (), "columns": columns})


@pytest.mark.parametrize("number", [2, 3, 5])
def test_every_ordered_test_is_later_than_all_rows_before_it(number: int, concrete: Contract) -> None:
    table, contract = days_in_order(40), with_time(concrete, "time", "feature", "target")
    days = table["day"].to_numpy()
    made = folds(table, contract, in_order(number))
    tests = [set(fold.test) for fold in made]
    for fold in made:
        assert days[fold.fit].max() < days[fold.test].min()
    assert len(set.union(*tests)) == sum(map(len, tests)), "no row is tested twice"
    assert days[made[-1].test].max() == days.max()


def test_an_ordered_split_has_a_random_twin(concrete: Contract) -> None:
    table, contract = days_in_order(40), with_time(concrete, "time", "feature", "target")
    assert len(random_folds(table, contract, in_order(4))) == 4


def test_an_ordered_split_without_a_time_is_told(concrete: Contract) -> None:
    with pytest.raises(SettingsError, match="needs to know when a row was made"):
        folds(days_in_order(40), with_time(concrete, "ignore", "feature", "target"), in_order(5))


def test_a_row_without_a_time_is_told(concrete: Contract) -> None:
    table = days_in_order(40).with_columns(pl.col("day").replace(np.datetime64("2026-01-02"), None))
    with pytest.raises(DataError, match="3 rows have no time"):
        folds(table, with_time(concrete, "time", "feature", "target"), in_order(5))


def test_too_few_times_are_told(concrete: Contract) -> None:
    with pytest.raises(DataError, match="5 folds need 12 times, however the table has 8"):
        folds(days_in_order(8), with_time(concrete, "time", "feature", "target"), in_order(5))
