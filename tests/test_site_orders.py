"""Order quantities on a demand model's page are those of `dxai predict --service-level`, for one series and for all."""

# ruff: noqa: F401, F811 (fixtures of the other site tests)

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from test_site_browser import (
    TOLERANCE,
    browser,
    flagged,
    folder,
    model_page,
    runtime,
    site,
    sync_api,
    upload,
    visit,
)
from test_site_plans import HORIZON, NAME, changed, more_sales, shop_sales

from dxai.bundle.folder import Bundle
from dxai.data.orders import _places

pytestmark = pytest.mark.browser

RETAIL = "retail-demand"

Shelf = dict[str, list[Bundle]]


@pytest.fixture(scope="module")
def shelf(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    retail = checkout / "models" / RETAIL
    bundles = {NAME: [shop_sales(tmp_path_factory.mktemp("bundles") / NAME)]}
    return bundles | ({RETAIL: [Bundle.open(retail)]} if (retail / "model.onnx").is_file() else {})


def expected(bundle: Bundle, content: bytes, level: float, steps: int, tmp_path: Path) -> pl.DataFrame:
    """What `dxai predict --service-level --lead-time --on-bad-rows flag` writes for the file."""
    answer, prediction = flagged(bundle, content, tmp_path)
    return pl.concat(list(prediction.orders([answer], level, steps, bundle.metrics)))


def ask(page: Any, percent: int, steps: int) -> None:
    page.get_by_label("Service level").select_option(f"{percent} %")
    page.get_by_label("Lead time").select_option(str(steps))


def downloaded(page: Any) -> pl.DataFrame:
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download the order quantities").click()
    return pl.read_csv(waiting.value.path(), infer_schema=False)


def same_orders(got: pl.DataFrame, right: pl.DataFrame) -> None:
    """Names and steps to the letter, quantities to 1e-5 of the largest."""
    assert got.columns == right.columns
    assert got[:, :-2].equals(right[:, :-2].cast(pl.String))
    values, wanted = (table[:, -2:].cast(pl.Float64).to_numpy() for table in (got, right))
    np.testing.assert_allclose(values, wanted, rtol=0, atol=TOLERANCE * wanted.max())


def test_the_page_draws_as_python_does(visit: Callable[..., Any]) -> None:
    script = """async ([steps, correlation]) => {
      const { places } = await import("/assets/orders.js");
      return places(steps, correlation);
    }"""
    page = visit()
    for steps, correlation in ((1, 0.0), (8, 0.5), (48, 0.99), (3, 1.0)):
        drawn = page.evaluate(script, [steps, correlation])
        np.testing.assert_allclose(drawn, _places(steps, correlation), rtol=0, atol=1e-6)


def test_orders_of_retail_are_those_of_python(visit: Callable[..., Any], shelf: Shelf, tmp_path: Path) -> None:
    if RETAIL not in shelf:
        pytest.skip(f"models/{RETAIL} is not here: dvc pull, or make demo")
    bundle = shelf[RETAIL][0]
    lines = bundle.read("golden/rows.csv").splitlines()
    lines[5] = lines[5].rsplit(b",", 1)[0] + b",many"
    page = model_page(visit, RETAIL)
    upload(page, b"\n".join(lines))
    page.wait_for_selector("#file-answer svg.chart")
    for percent, steps in ((95, 8), (80, 1), (99, 3)):
        ask(page, percent, steps)
        right = expected(bundle, b"\n".join(lines), percent / 100, steps, tmp_path)
        assert len(right) and lines[5].split(b",")[0].decode() not in right["stock_code"]
        same_orders(downloaded(page), right)


def test_the_order_of_the_series_in_view_follows_every_choice(
    visit: Callable[..., Any], shelf: Shelf, tmp_path: Path
) -> None:
    page = model_page(visit, NAME)
    upload(page, more_sales())
    page.wait_for_selector("#file-answer svg.chart")
    shown = page.locator("#file-answer output")
    asked = ((95, HORIZON, "east", "bread"), (80, 2, "east", "bread"), (80, 2, "west", "케이크"))
    for percent, steps, shop, item in asked:
        ask(page, percent, steps)
        page.get_by_label("Show the series").select_option(f"{shop} · {item}")
        right = expected(shelf[NAME][0], more_sales(), percent / 100, steps, tmp_path)
        same_orders(downloaded(page), right)
        (row,) = right.filter((pl.col("매장") == shop) & (pl.col("item") == item)).rows()
        told = f"{shop} · {item}: covers the demand of the whole lead time with a probability of {percent} %."
        sync_api.expect(shown).to_contain_text(told, use_inner_text=True)
        assert float(shown.locator("data").get_attribute("value")) == pytest.approx(row[-1], rel=TOLERANCE)
        (mean,) = re.findall(r"Mean of the demand: ([\d.]+) units\.", shown.inner_text())
        assert float(mean) == pytest.approx(row[-2], abs=1e-3 * row[-1])


def test_a_change_of_the_plan_changes_the_order(visit: Callable[..., Any], shelf: Shelf, tmp_path: Path) -> None:
    page = model_page(visit, NAME)
    page.click("#row button[type=submit]")
    page.wait_for_selector("#row-answer svg.chart")
    page.get_by_role("checkbox", name="Promotion 2025-01-14").check()
    page.wait_for_selector("#row-answer .former", state="attached")
    right = expected(shelf[NAME][0], changed(promo=1).write_csv().encode(), 0.95, HORIZON, tmp_path)
    got = page.locator("#row-answer output data").get_attribute("value")
    assert float(got) == pytest.approx(right.item(0, -1), rel=TOLERANCE)
    same_orders(downloaded(page), right)


def test_without_a_forecast_there_is_nothing_to_order(visit: Callable[..., Any]) -> None:
    page = model_page(visit, NAME)
    page.fill("#history", page.input_value("#history").replace("2025-01-03", "2025-02-30"))
    page.click("#row button[type=submit]")
    answer = page.locator("#row-answer")
    sync_api.expect(answer).to_contain_text("No series is left to forecast.", use_inner_text=True)
    sync_api.expect(page.get_by_label("Service level")).to_have_count(0)
