"""Forecasts of every level of a hierarchy add up, and are those of hierarchicalforecast where they are reconciled."""

from __future__ import annotations

import json
import shutil
from collections import defaultdict
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml
from conftest import MakeBundle
from test_covariates import described
from test_own_data import data_folder, dxai

from dxai.api import load
from dxai.config.compose import settings_from
from dxai.contract import Contract
from dxai.contract.odcs import parse_contract
from dxai.data.hierarchy import Covariance, Hierarchy, groups_of, reconciled
from dxai.data.levels import Bounds, coverages, covering_correlations
from dxai.data.windows import to_panel
from dxai.errors import DataError, SettingsError
from dxai.forecaster.yardstick import expert_bounds
from dxai.inference.predict import Prediction
from dxai.learn.families import task_for
from dxai.learn.levels import Origin, level_scores

GROUPS = pl.DataFrame({"region": list("aaabbbbc"), "store": list("xxyxyyzx")})
WEEKS, HORIZON = 70, 4
SIZES = ("large", "small")


def contract_text(hierarchy: list[str], columns: list[dict[str, Any]] | None = None) -> str:
    keys = {"task": "demand", "frequency": "weekly", "horizon": HORIZON, "season": 52, "minimumHistory": 1}
    properties = [{"property": k, "value": v} for k, v in (keys | {"hierarchy": hierarchy}).items()]
    return yaml.safe_dump({
        "apiVersion": "v3.1.0", "kind": "DataContract", "id": "shops", "version": "1.0.0", "status": "draft",
        "description": {"purpose": "Forecast units per week."},
        "customProperties": [{"property": "titleEn", "value": "Shops"}, {"property": "titleKo", "value": "가게"}],
        "schema": [{"name": "demand", "logicalType": "object", "customProperties": properties,
                    "properties": columns or [
            described("size", "string", "static", SIZES),
            described("store", "string", "series", required=True),
            described("product", "string", "series", required=True),
            described("week", "date", "time", required=True),
            described("units", "number", "target", required=True, logicalTypeOptions={"minimum": 0}),
        ]}],
    }, allow_unicode=True)  # fmt: skip


def contract(*hierarchy: str) -> Contract:
    return parse_contract(contract_text(list(hierarchy)), where="shops.yaml")


def sales(weeks: int = WEEKS, seed: int = 0) -> pl.DataFrame:
    """Five stores of three products; what moves all of them is drawn once a week."""
    random = np.random.default_rng(seed)
    common = np.exp(random.normal(0, 0.2, weeks))
    days = [date(2024, 1, 7) + timedelta(weeks=week) for week in range(weeks)]
    return pl.concat(
        pl.DataFrame({
            "size": SIZES[s % 2], "store": f"s{s}", "product": product, "week": days,
            "units": random.poisson(4.0 * (s + 1) * (p + 1) * common).astype(float),
        })
        for s in range(5) for p, product in enumerate(("juice", "milk", "bread"))
    )  # fmt: skip


# --- levels -----------------------------------------------------------------------------------------------------------


def test_a_level_is_the_groups_of_the_names_so_far_and_none_that_says_nothing_new() -> None:
    levels = Hierarchy.of(GROUPS.with_columns(same=pl.col("store"), each=pl.int_range(8).cast(pl.String))).levels
    assert [(level.name, len(level)) for level in levels] == [("total", 1), ("region", 3), ("store", 6)]
    assert levels[2].members.rows()[levels[2].of[6]] == ("b", "z")


def test_sums_by_hand_with_gaps_and_series_without_a_group() -> None:
    levels = Hierarchy.of(pl.DataFrame({"store": ["a", None, "a", None]}))
    values = np.array([[1.0, np.nan], [2.0, 20.0], [4.0, np.nan], [8.0, 80.0]])
    np.testing.assert_array_equal(levels.sums(values), [[15, 100], [10, 100], [5, np.nan]])


def test_groups_come_from_names_and_static_columns() -> None:
    agreed = contract("size", "store")
    panel = to_panel(sales(), agreed, where="x")
    groups = groups_of(panel, agreed)
    assert groups.columns == ["size", "store"]
    assert set(groups.rows()) == {(SIZES[s % 2], f"s{s}") for s in range(5)}
    assert [len(level) for level in Hierarchy.of(groups).levels] == [1, 2, 5]


@pytest.mark.parametrize("hierarchy", [["shop"], ["week"], ["store", "store"]])
def test_a_hierarchy_that_is_none_is_refused(hierarchy: list[str]) -> None:
    with pytest.raises(DataError, match="hierarchy names columns with the role series"):
        contract(*hierarchy)


# --- reconciliation ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [6, 60])
@pytest.mark.parametrize("seed", range(3))
def test_reconciled_forecasts_are_those_of_hierarchicalforecast(seed: int, steps: int) -> None:
    methods = pytest.importorskip(
        "hierarchicalforecast.methods",
        reason='hierarchicalforecast is not installed: pip install -c constraints.txt -e ".[dev]"',
    )
    levels, random = Hierarchy.of(GROUPS), np.random.default_rng(seed)
    summing = np.vstack([levels.sums(np.eye(len(GROUPS))), np.eye(len(GROUPS))])
    nodes = len(summing)
    errors = random.normal(size=(nodes, steps)) * random.uniform(1, 5, (nodes, 1)) + random.normal(size=steps)
    forecasts = random.normal(50, 20, (nodes, HORIZON))
    ours = reconciled(levels, forecasts, Covariance.shrunk(errors))
    judged = methods.MinTrace("mint_shrink").fit_predict(
        S=summing, y_hat=forecasts, y_insample=errors, y_hat_insample=np.zeros_like(errors)
    )["mean"]
    np.testing.assert_allclose(np.vstack([levels.sums(ours), ours]), judged, rtol=1e-6)
    below = methods.BottomUp().fit_predict(S=summing, y_hat=forecasts)["mean"]
    np.testing.assert_allclose(levels.sums(forecasts[len(levels) :]), below[: len(levels)], rtol=1e-6)


def test_forecasts_that_add_up_stay_as_they_are() -> None:
    levels, random = Hierarchy.of(GROUPS), np.random.default_rng(0)
    bottom = random.normal(50, 20, (8, HORIZON))
    errors = Covariance.shrunk(random.normal(size=(len(levels) + 8, 12)))
    np.testing.assert_allclose(reconciled(levels, np.vstack([levels.sums(bottom), bottom]), errors), bottom)


def test_a_sure_total_carries_the_series_and_gaps_count_as_usual_errors() -> None:
    """The total is known to one unit, the series to a hundred: their sum becomes the total."""
    levels, random = Hierarchy.of(pl.DataFrame({"store": ["a", "a", "b", "b", "b"]})), np.random.default_rng(0)
    spread = np.array([1.0, 100, 100, *[100] * 5])[:, None]
    errors = random.normal(size=(8, 40)) * spread
    errors[4, ::3] = np.nan
    forecasts = np.vstack([[[600.0]], [[250.0]], [[250.0]], np.full((5, 1), 100.0)])
    made = reconciled(levels, forecasts, Covariance.shrunk(errors))
    assert made.sum() == pytest.approx(600, abs=1)


# --- training and prediction ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def released(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of trees for stores of two sizes, trained with three origins."""
    home = tmp_path_factory.mktemp("hierarchy")
    shutil.copytree(checkout / "configs", home / "checkout/configs")
    folder = data_folder(home / "shops", contract_text(["size", "store"]), sales())
    told = dxai(home / "checkout", "train", f"data={folder}", "model=trees", "model.rounds=20", "split.origins=3")
    run = next(line.split()[-3] for line in told.splitlines() if "dxai release" in line)
    dxai(home / "checkout", "release", run, "--to", "models/shops")
    return home / "checkout/models/shops"


slow = pytest.mark.slow(seconds=60)


@slow
@pytest.mark.process
def test_every_level_is_scored_in_every_way_and_stands_in_the_report(released: Path) -> None:
    scores = json.loads((released / "metrics.json").read_text())
    assert {name: level["nodes"] for name, level in scores["levels"].items()} == {
        "total": 1, "size": 2, "store": 5, "series": 15,
    }  # fmt: skip
    for level in scores["levels"].values():
        assert all(0 < level[way]["wape"] < 1 for way in ("bottom_up", "mint_width", "mint_shrink"))
    assert scores["levels"]["total"]["bottom_up"]["wape"] < scores["levels"]["series"]["bottom_up"]["wape"]
    bias = {name: level["bottom_up"]["bias"] for name, level in scores["levels"].items()}
    assert list(bias.values()) == pytest.approx([bias["total"]] * 4, abs=1e-5)
    report = next(released.parents[1].rglob("report.md")).read_text("utf-8")
    assert "## Levels" in report and "| store | 5 |" in report and "dxai predict --levels" in report


@slow
@pytest.mark.process
def test_printed_means_add_up_to_the_last_digit(released: Path, tmp_path: Path) -> None:
    sales().write_csv(tmp_path / "past.csv")
    words = ["predict", str(released), "past.csv", "-o", "out.csv", "--unsigned"]
    dxai(tmp_path, *words, "--levels", "levels.csv")
    made = pl.read_csv(tmp_path / "levels.csv", infer_schema=False)
    rows = pl.read_csv(tmp_path / words[2], try_parse_dates=True)
    assert load(str(released), unsigned=True).predict(rows, levels=True).height == made.height
    assert made.columns == ["level", "size", "store", "product", "week", "units_mean", "units_lower", "units_upper"]
    assert made["level"].unique(maintain_order=True).to_list() == ["total", "size", "store", "series"]
    assert len(made) == (1 + 2 + 5 + 15) * HORIZON
    exact = [row | {"units_mean": Decimal(row["units_mean"])} for row in made.to_dicts()]
    for level, names in {"total": ["week"], "size": ["size", "week"], "store": ["size", "store", "week"]}.items():
        sums: dict[tuple[str, ...], Decimal] = defaultdict(Decimal)
        for row in (row for row in exact if row["level"] == "series"):
            sums[tuple(row[name] for name in names)] += row["units_mean"]
        told = {tuple(row[name] for name in names): row["units_mean"] for row in exact if row["level"] == level}
        assert told == dict(sums)


@slow
@pytest.mark.process
def test_series_that_end_early_are_not_added_up(released: Path) -> None:
    table = sales()
    early = table.filter((pl.col("store") != "s1") | (pl.col("week") < table["week"].max()))
    model = load(str(released), unsigned=True)
    prediction = Prediction(model.model)
    with pytest.raises(DataError, match="3 series end before the others"):
        prediction.levels(prediction.blocks([early]), {}, expert_bounds)


@slow
@pytest.mark.process
def test_reconciled_levels_are_between_the_series_and_the_experts(released: Path) -> None:
    model, table = load(str(released), unsigned=True), sales()
    made = {}
    for chosen in (0.0, 1.0):
        prediction = Prediction(model.model)
        metrics = {"reconciliation": {"chosen": chosen}}
        made[chosen] = prediction.levels(prediction.blocks([table.reverse()]), metrics, expert_bounds)[1]
    total = table.group_by("week").agg(pl.col("units").sum()).sort("week")["units"].to_numpy()
    alone = expert_bounds(total[None].astype(np.float32), model.contract).mean[0]
    summed, agreed = (frame.filter(level="total")["units_mean"].to_numpy() for frame in made.values())
    assert (np.abs(summed - agreed) > 0.01).any()
    short_sighted = Prediction(model.model)
    beyond = short_sighted.levels(short_sighted.blocks([table.reverse()]), metrics, lambda *_: None)[1]
    assert beyond.equals(made[0.0])
    assert ((np.minimum(summed, alone) <= agreed + 1) & (agreed - 1 <= np.maximum(summed, alone))).all()


def test_training_refuses_series_that_end_early(checkout: Path) -> None:
    table = sales()
    early = table.filter((pl.col("store") != "s1") | (pl.col("week") < table["week"].max()))
    settings = settings_from(["experiment=demand", "model=experts"], checkout=checkout)
    with pytest.raises(DataError, match="3 series end before the others"):
        task_for(contract("size", "store"), early, settings)


@pytest.mark.parametrize(("total", "chosen"), [(1.0, 1.0), (1.5, 0.0)])
def test_levels_are_reconciled_where_that_was_better_before_the_last_origin(total: float, chosen: float) -> None:
    """Unsure series that are a fifth too high, beside a sure total that is right, or further off than they are."""
    levels, random = Hierarchy.of(GROUPS), np.random.default_rng(0)
    origins = []
    for last in (False, False, True):
        truth = random.uniform(40, 60, (len(GROUPS), HORIZON))
        mean, sums = 1.2 * truth, levels.sums(truth) * (2.5 - total if last else total)
        origins.append(Origin(truth, Bounds(mean, mean - 20, mean + 20), Bounds(sums, sums - 1, sums + 1)))
    made = level_scores(levels, origins, 0.0)
    assert made["reconciliation"]["chosen"] == chosen  # whatever the last origin says
    reconciled_is_better = made["levels"]["total"]["mint_width"]["wape"] < made["levels"]["total"]["bottom_up"]["wape"]
    assert reconciled_is_better == (chosen == 0.0)
    assert "coverage" in made["levels"]["total"]


@pytest.mark.process
def test_a_model_without_a_hierarchy_has_no_levels(make_bundle: MakeBundle, tmp_path: Path) -> None:
    model = load(make_bundle(tmp_path / "b", task="demand", name="spare-parts"), unsigned=True).model
    with pytest.raises(SettingsError, match="no hierarchy"):
        Prediction(model).levels([], {}, expert_bounds)


def test_experts_train_on_a_table_whose_columns_only_name_levels(checkout: Path) -> None:
    settings = settings_from(["experiment=demand", "model=experts", "split.origins=2"], checkout=checkout)
    task = task_for(contract("size", "store"), sales(), settings)
    held_out = pl.concat([task.held_out(task.fit(fold)[0], fold) for fold in task.folds[:2]])
    scores = task.scores(held_out)
    assert set(scores["levels"]) == {"total", "size", "store", "series"}
    assert set(scores["reconciliation"]) == {"bottom_up", "mint_width", "chosen"}
    with pytest.raises(SettingsError, match="'size' \\(static\\)"):
        task_for(contract("store"), sales(), settings)


def test_intervals_of_sums_hold_as_many_truths_as_promised() -> None:
    """Errors that go together need wider sums: the correlation is found on some origins and holds on others."""
    levels, random = Hierarchy.of(pl.DataFrame({"store": [str(i // 20) for i in range(200)]})), np.random.default_rng(0)

    def origin(shared: float) -> tuple[Any, Bounds]:
        score = np.sqrt(shared) * random.normal(size=(1, 8)) + np.sqrt(1 - shared) * random.normal(size=(200, 8))
        mean = np.full((200, 8), 50.0)
        return mean + 10 * score, Bounds(mean, mean - 12.816, mean + 12.816)

    for shared in (0.0, 0.3):
        known, new = ([origin(shared) for _ in range(60)] for _ in range(2))
        found = covering_correlations(levels, *zip(*known, strict=True))
        held = [coverages(levels, truth, made, found) for truth, made in new]
        assert np.mean([each["store"] for each in held]) == pytest.approx(0.8, abs=0.05)
        assert np.mean([each["total"] for each in held]) == pytest.approx(0.8, abs=0.08)
        narrow = [coverages(levels, truth, made, {"total": 0.0, "store": 0.0}) for truth, made in new]
        assert shared == 0 or np.mean([each["total"] for each in narrow]) < 0.4
