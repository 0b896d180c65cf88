"""A profile tells how a column was spread and nothing of any single row."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from test_calendar import HOLIDAY as CALENDAR
from test_covariates import COLUMNS, WEEKS, described, sales
from test_covariates import contract as demand_contract

from dxai.bundle.profile import (
    FEWEST,
    ColumnProfile,
    Profile,
    profile_numbers,
    profile_panel,
    profile_rows,
    series_features,
)
from dxai.contract import Column, Contract, load_contract
from dxai.data.windows import Panel, to_panel

SPREADS = {
    "normal": lambda r, n: r.normal(0, 1, n),
    "long tail": lambda r, n: np.exp(r.normal(0, 2, n)),
    "half zero": lambda r, n: np.where(r.random(n) < 0.5, 0, r.gamma(2, 40, n)),
    "integers": lambda r, n: r.poisson(2, n).astype(float),
    "far from zero": lambda r, n: 101_325 + r.normal(0, 30, n),
    "tiny": lambda r, n: r.normal(0, 1e-9, n),
    "negative": lambda r, n: -r.gamma(2, 1000, n),
    "constant": lambda _, n: np.full(n, 12.3456),
}


def contract(*columns: Column, **more: object) -> Contract:
    target = Column(name="y", kind="number", role="target", title_en="Y", title_ko="와이")
    return Contract.model_validate({
        "id": "c", "version": "1.0.0", "title_en": "C", "title_ko": "씨", "purpose": "p", "task": "quality",
        "columns": (*columns, target), **more,
    })  # fmt: skip


def feature(name: str, **more: object) -> Column:
    made = {"name": name, "kind": "number", "role": "feature", "title_en": name, "title_ko": name, **more}
    return Column.model_validate(made)


def is_exact(value: float) -> bool:
    """Whether a number has more than three significant digits."""
    return value != float(f"{value:.3g}")


def counted(profile: ColumnProfile) -> list[int]:
    return [round(share * profile.known) for share in profile.shares]


@pytest.mark.parametrize("rows", [5, 9, 23, 100, 3000])
@pytest.mark.parametrize("name", SPREADS)
def test_every_bin_holds_five_rows_and_no_edge_or_end_is_a_raw_value(name: str, rows: int) -> None:
    for seed in range(5):
        values = SPREADS[name](np.random.default_rng(seed), rows)
        profile = profile_numbers(pl.Series(values))
        assert min(counted(profile)) >= FEWEST
        assert sum(counted(profile)) == rows
        told = {*profile.edges, profile.minimum, profile.maximum}
        assert not any(is_exact(value) for value in told if value is not None)
        assert profile.minimum is not None
        assert profile.maximum is not None
        assert profile.minimum <= values.min()
        assert profile.maximum >= values.max()


def test_a_spread_column_gets_ten_bins() -> None:
    profile = profile_numbers(pl.Series(np.random.default_rng(0).normal(0, 1, 1000)))
    assert len(profile.shares) == 10
    assert max(profile.shares) < 0.12


def test_fewer_than_five_values_are_not_told_of() -> None:
    profile = profile_numbers(pl.Series([1.5, 2.25, None, 3.125, float("nan"), 4.0625]))
    assert profile == ColumnProfile(rows=6, missing=0.333333, shares=())


def test_the_profile_of_a_real_table_holds_no_raw_value(shared_data: Path) -> None:
    table = pl.read_csv(shared_data / "naval_propulsion_cbm.csv")
    names = {f"x{i}": name for i, name in enumerate(table.columns)}
    made = profile_rows(table.select(pl.col(old).alias(new).cast(pl.Float64) for new, old in names.items()),
                        contract(*(feature(name) for name in names)))  # fmt: skip
    told = json.loads(made.model_dump_json())["columns"]
    assert len(told) == len(table.columns)
    raw = {float(value) for column in table for value in column.unique() if is_exact(float(value))}
    ends = {value for c in told.values() for value in (*c["edges"], c["minimum"], c["maximum"])}
    assert len(raw) > 10_000
    assert not raw & ends


def test_a_profile_reads_back_as_it_was_written() -> None:
    table = pl.DataFrame({"a": np.random.default_rng(0).normal(0, 1, 50), "y": np.arange(50.0)})
    made = profile_rows(table, contract(feature("a")))
    assert set(made.columns) == {"a", "y"}
    assert Profile.model_validate_json(made.model_dump_json()) == made


def test_counting_the_training_rows_again_gives_their_shares() -> None:
    for spread in SPREADS.values():
        values = pl.Series(spread(np.random.default_rng(1), 400))
        profile = profile_numbers(values)
        assert profile.counts(values).tolist() == counted(profile)


def test_a_value_on_an_edge_belongs_below_it_and_values_beyond_the_ends_to_the_end_bins() -> None:
    profile = ColumnProfile(rows=9, missing=0.0, minimum=0.0, maximum=9.0, edges=(3.0, 6.0), shares=(0.3, 0.3, 0.4))
    assert profile.counts(pl.Series([-5.0, 3.0, 3.1, 6.0, 99.0, None])).tolist() == [2, 2, 1]


def test_rare_categories_are_told_together_and_rare_strangers_not_at_all() -> None:
    column = feature("line", kind="category", categories=("A", "B", "C"))
    rows = ["A"] * 20 + ["B"] * 10 + ["C"] * 3 + ["X"] * 3 + [None] * 4
    profile = profile_rows(pl.DataFrame({"line": rows}), contract(column)).columns["line"]
    assert profile.categories == ("A", "B")
    assert profile.shares == pytest.approx((20 / 36, 10 / 36, 6 / 36), abs=1e-6)
    assert profile.missing == 0.1
    few = profile_rows(pl.DataFrame({"line": ["A"] * 20 + ["C"] * 3}), contract(column)).columns["line"]
    assert (few.categories, few.shares) == (("A",), (1.0, 0.0))


def test_cases_are_groups_where_the_contract_has_some() -> None:
    table = pl.DataFrame({"mix": [1.0, 1.0, 2.0, 2.0, 3.0, 3.0], "age": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]})
    columns = (feature("mix"), feature("age"))
    assert profile_rows(table, contract(*columns)).cases == 6
    assert profile_rows(table, contract(*columns, group=("mix",))).cases == 3


@pytest.fixture(scope="module")
def monthly(checkout: Path) -> Contract:
    return load_contract(checkout / "contracts" / "m3_monthly.yaml")


def panel(*series: list[float]) -> Panel:
    values = np.array(series, dtype=np.float32)
    return Panel(tuple(f"s{i}" for i in range(len(series))), values, np.zeros(len(series), dtype=np.int64))


def test_series_features_are_what_their_names_say(monthly: Contract) -> None:
    nothing = math.nan
    made = series_features(
        panel([1.0] * 12 + [3.0] * 12, [nothing] * 12 + [0.0, 4.0] * 6, [0.0] * 24, [9.0] * 24), monthly
    )
    assert made["level"].tolist() == [2.0, 2.0, 0.0, 9.0]
    assert made["zeros"].tolist() == [0.0, 0.5, 1.0, 0.0]
    assert made["variation"][:2].tolist() == [0.5, 1.0]
    assert made["trend"][0] == 1.0
    assert np.isnan(made["trend"][1:3]).all()  # too young, and nothing to compare with
    assert made["trend"][3] == 0.0


def test_only_the_level_knows_the_size_of_a_firm(monthly: Contract) -> None:
    random = np.random.default_rng(0)
    one = panel(*random.gamma(2, 50, (40, 60)).tolist())
    large = Panel(one.ids, one.values * 1000, one.last)
    small, big = (profile_panel(p, monthly, pl.DataFrame()).columns for p in (one, large))
    assert set(small) == {"level", "zeros", "variation", "trend"}
    assert [name for name in small if small[name] != big[name]] == ["level"]
    assert profile_panel(one, monthly, pl.DataFrame()).cases == 40


def test_columns_beside_a_history_are_told_apart_from_its_features_and_masks_are_not() -> None:
    agreed = demand_contract(columns=[*COLUMNS, described("level", "number", "known_future"), CALENDAR])
    table = sales().with_columns(level=7.0, holiday=0.0)
    made = profile_panel(to_panel(table, agreed, where="x"), agreed, table)
    assert set(made.beside) == {"price", "promo", "visitors", "size", "level"}
    assert made.columns["level"].maximum != 7.0 and made.beside["level"].maximum == 7.0
    price, promo, size = (made.beside[name] for name in ("price", "promo", "size"))
    assert (price.rows, price.minimum, price.maximum) == (12 * WEEKS, 2.0, 3.3)
    assert promo.categories == ("none", "flyer") and promo.shares[2] == 0
    assert size.rows == 12  # one value per series
    assert Profile.model_validate_json(made.model_dump_json()) == made


def test_profiles_without_such_columns_have_the_bytes_of_older_ones() -> None:
    plain = Profile(rows=5, cases=5, columns={})
    assert json.loads(plain.model_dump_json()) == {"rows": 5, "cases": 5, "columns": {}}
    assert Profile.model_validate_json('{"rows": 5, "cases": 5, "columns": {}}').beside == {}
