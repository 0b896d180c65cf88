"""A model's page where prices and promotions are known ahead: it forecasts as Python does, and follows the plan."""

# ruff: noqa: F401, F811 (fixtures of the other site tests)

from __future__ import annotations

import io
import json
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from test_site import Page, column, contract_text, make_bundle
from test_site_browser import (
    CONTRAST,
    DESKTOP,
    PHONE,
    browser,
    close,
    download,
    dxai_server,
    flagged,
    folder,
    model_page,
    pictures,
    runtime,
    same_table,
    site,
    sync_api,
    upload,
    visit,
)
from torch import Tensor, nn

from dxai.bundle.folder import Bundle
from dxai.catalog.site.build import build_site, site_files
from dxai.catalog.site.words import texts
from dxai.contract import load_contract
from dxai.data.calendar import with_holidays
from dxai.learn.predictor import DemandPredictor, RawForecast
from dxai.ship.export import export

pytestmark = pytest.mark.browser

NAME, FESTIVE, HORIZON, CONTEXT, STEPS = "shop-sales", "festive-sales", 4, 8, 12
LIVELY = ("west", "bread")
ANSWERS = [f"sales_{name}" for name in ("q50", "mean", "lower", "upper")]


class Told(nn.Module):
    """The mean of a history, and something more for everything that is known beside it."""

    takes_raw = looks_beside = True
    context = CONTEXT

    def forward(self, history: Tensor, last: Tensor, *columns: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """As `RawForecast` asks for it; the columns in the order of the contract."""
        shop, price, promo, event, size, form, rain, stock, is_open = columns
        known = (~history.isnan()).float()
        level = history.nan_to_num(0.0).sum(1, keepdim=True) / known.sum(1, keepdim=True).clamp_min(1)
        level = level + size.nan_to_num(1.0)[:, None] / 10 + form[:, None] + 3 * shop[:, None]
        wet = (rain.nan_to_num(0.0) + stock.nan_to_num(0.0)).mean(1, keepdim=True)
        mean = level * (1 + promo[:, -HORIZON:] / 2) + event[:, -HORIZON:] + wet - price[:, -HORIZON:]
        mean = mean + price[:, :CONTEXT].nan_to_num(0.0).mean(1, keepdim=True) + last[:, None].float() / 10_000
        fan = torch.arange(-4.0, 5.0) * (1 + is_open[:, :CONTEXT].nan_to_num(1.0).mean(1)[:, None, None])
        return mean[:, :, None] + fan, mean, torch.ones_like(level)


def categories(*values: str) -> list[dict[str, Any]]:
    return [{"metric": "invalidValues", "arguments": {"validValues": list(values)}}]


def shop_sales(folder: Path) -> Bundle:
    flag = {"logicalTypeOptions": {"minimum": 0, "maximum": 1}}
    columns = [
        column("shop", "series", "string", required=True, quality=categories("east", "west"),
               custom={"titleKo": "매장"}),
        column("item", "series", "string", required=True, custom={"titleKo": "품목"}),
        column("day", "time", "date", required=True, custom={"titleKo": "날짜"}),
        column("sales", "target", required=True, custom={"unit": "{unit}", "titleKo": "판매량"}),
        column("price", "known_future", required=True, logicalTypeOptions={"minimum": 0.5}, custom={"titleKo": "가격"}),
        column("promo", "known_future", custom={"titleEn": "Promotion", "titleKo": "행사"}, **flag),
        column("event", "known_future", "string", quality=categories("none", "fair"), custom={"titleKo": "날의 종류"}),
        column("size", "static", custom={"unit": "m2", "titleKo": "면적"}),
        column("form", "static", "string", quality=categories("A", "B"), custom={"titleKo": "형태"}),
        column("rain", "past", required=True, custom={"unit": "mm", "titleKo": "비"}),
        column("stock", "available", custom={"titleKo": "재고"}, **flag),
        column("open", "open", custom={"titleKo": "영업"}, **flag),
    ]  # fmt: skip
    table = {"frequency": "daily", "horizon": HORIZON, "season": 7, "minimumHistory": 3, "absentSteps": "missing"}
    text = contract_text(NAME, "demand", columns, "Sales of shops", table)
    (folder.parent / "contract.yaml").write_text(text, "utf-8")
    contract = load_contract(folder.parent / "contract.yaml")
    graph = export(DemandPredictor(contract, RawForecast(Told())).eval(), contract, context=CONTEXT)
    metrics = {"model": {"wql": 0.5, "coverage": 0.8}, "yardstick": {"last value": {"wql": 0.9}}}
    return make_bundle(folder, text, graph, sales().write_csv(), metrics, context=CONTEXT)


class Festive(nn.Module):
    """The mean of a history, more on holidays ahead, less after holidays."""

    takes_raw = looks_beside = True
    context = CONTEXT

    def forward(self, history: Tensor, last: Tensor, holiday: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """As `RawForecast` asks for it."""
        level = history.mean(1, keepdim=True) + 0 * last[:, None].float()
        mean = level + 10 * holiday[:, -HORIZON:] - 5 * holiday[:, :CONTEXT].sum(1, keepdim=True)
        return mean[:, :, None] + torch.arange(-4.0, 5.0), mean, torch.ones_like(level)


def festive_sales(folder: Path) -> Bundle:
    columns = [
        column("item", "series", "string", required=True, custom={"titleKo": "품목"}),
        column("day", "time", "date", required=True, custom={"titleKo": "날짜"}),
        column("sales", "target", required=True, custom={"unit": "{unit}", "titleKo": "판매량"}),
        column("off", "known_future", custom={"titleEn": "Day off", "titleKo": "공휴일", "holiday": "KR"},
               logicalTypeOptions={"minimum": 0, "maximum": 1}),
    ]  # fmt: skip
    table = {"frequency": "daily", "horizon": HORIZON, "season": 7, "minimumHistory": 3, "absentSteps": "missing"}
    text = contract_text(FESTIVE, "demand", columns, "Sales around holidays", table)
    (folder.parent / "festive.yaml").write_text(text, "utf-8")
    contract = load_contract(folder.parent / "festive.yaml")
    graph = export(DemandPredictor(contract, RawForecast(Festive())).eval(), contract, context=CONTEXT)
    metrics = {"model": {"wql": 0.5, "coverage": 0.8}, "yardstick": {"last value": {"wql": 0.9}}}
    return make_bundle(folder, text, graph, around_new_year().write_csv(), metrics, context=CONTEXT)


def around_new_year(years: int = 0, **more: Any) -> pl.DataFrame:
    """Rice cakes until two days after this year's New Year's Day, with Christmas, and the rows of four days more."""
    last = date(date.today().year - years, 1, 3)
    days = [last + timedelta(days=step) for step in range(1 - STEPS, HORIZON + 1)]
    sold = [float(20 + step % 3) if step < STEPS else None for step in range(len(days))]
    return pl.DataFrame({"item": "rice cake", "day": days, "sales": sold, **more})


def sales() -> pl.DataFrame:
    """Three series of twelve days and what is planned for four more, on some days shut or out of stock.

    One of them sold something on every day.
    """
    random, first, rows = np.random.default_rng(1), date(2025, 1, 1), []
    for shop, item in (("east", "bread"), ("west", "bread"), ("west", "케이크")):
        for step in range(STEPS + HORIZON):
            past, shut = step < STEPS, (step + len(item)) % 7 == 3
            sold = int(random.integers(1, 60)) if step or (shop, item) == LIVELY else 0
            rows.append({
                "shop": shop, "item": item, "day": first + timedelta(days=step),
                "sales": float(sold) if past else None, "price": 3 + 0.1 * int(random.integers(20)),
                "promo": int(step % 5 == 0), "event": ["none", "fair"][step % 2],
                "size": 40.5 if shop == "east" else 82.0, "form": "A" if item == "bread" else "B",
                "rain": float(random.integers(9)) if past else None, "stock": int(step != 7) if past else None,
                "open": int(not shut),
            })  # fmt: skip
    return pl.DataFrame(rows)


def more_sales() -> bytes:
    """The same with series that cannot be forecast or are not asked for, gaps, and a column of the firm's own."""
    whole = sales()
    one, ahead = whole.filter(shop="east"), pl.col("day") >= date(2025, 1, 1) + timedelta(days=STEPS)
    named = {
        name: one.with_columns(item=pl.lit(name))
        for name in ("unasked", "lacking", "unplanned", "bad", "twice", "new", "early")
    }
    cut = [
        named["unasked"].filter(~ahead),
        named["lacking"].filter(pl.col("day") != date(2025, 1, 15)),
        named["unplanned"].with_columns(promo=pl.when(pl.col("day") != date(2025, 1, 14)).then("promo")),
        named["bad"].with_columns(price=pl.when(pl.col("day") == date(2025, 1, 14)).then(0.0).otherwise("price")),
        pl.concat([named["twice"], named["twice"][3:4]]),
        named["new"].filter(pl.col("day") > date(2025, 1, 10)),
        named["early"].filter(ahead | (pl.col("day") < date(2025, 1, 7))),
        whole.with_columns(
            sales=pl.when(pl.col("day") != date(2025, 1, 6)).then("sales"), stock=None,
            event=pl.when(pl.col("day") != date(2025, 1, 13)).then("event").otherwise(pl.lit("unlisted")),
        ).filter(pl.col("day") != date(2025, 1, 9)),
    ]  # fmt: skip
    table = pl.concat(cut, how="vertical_relaxed").with_columns(own=pl.format("{} of {}", "item", "shop"))
    return table.rename({"sales": "판매량", "shop": "매장"}).write_csv().encode()


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Bundle]]:
    folder = tmp_path_factory.mktemp("bundles")
    return {NAME: [shop_sales(folder / NAME)], FESTIVE: [festive_sales(folder / FESTIVE)]}


Shelf = dict[str, list[Bundle]]


def forecast(page: Any) -> None:
    page.click("#row button[type=submit]")
    page.wait_for_selector("#row-answer svg.chart")


def shown(page: Any) -> Any:
    """Median, mean and bounds of the steps ahead, as the page shows them in its last table."""
    values = (
        page.locator("#row-answer table").last.locator("data").evaluate_all("all => all.map((o) => Number(o.value))")
    )
    return np.reshape(values, (-1, 4))


def expected(bundle: Bundle, table: pl.DataFrame, tmp_path: Path) -> Any:
    return flagged(bundle, table.write_csv().encode(), tmp_path)[0].select(ANSWERS).to_numpy()


@pytest.mark.parametrize("backend", ["browser", "server"])
def test_a_table_is_forecast_as_in_python(
    backend: str, visit: Callable[..., Any], shelf: Shelf, tmp_path: Path
) -> None:
    bundle, content = shelf[NAME][0], more_sales()
    right, prediction = flagged(bundle, content, tmp_path)
    assert right["dxai_problem"].drop_nulls().len() == 5 and prediction.counts.unasked == 1

    def check(page: Any) -> None:
        upload(page, content)
        page.wait_for_selector("#file-answer svg.chart")
        same_table(download(page), right, tmp_path)
        answer = page.locator("#file-answer")
        sync_api.expect(answer).to_contain_text("not forecast: 1 series (east · unasked)", use_inner_text=True)
        told = "lacks a row of the next 4 steps, or a value in it (Price, Promotion, Event, Open)"
        for name in ("lacking", "unplanned"):
            row = answer.locator("tr", has_text=f"east · {name}")
            sync_api.expect(row).to_contain_text(told, use_inner_text=True)
        page.get_by_label("Show the series").select_option("west · 케이크")
        sync_api.expect(page.get_by_role("img", name="west · 케이크: history and the next 4")).to_be_visible()
        assert page.locator("#file-answer .plan").count() == 0

    if backend == "browser":
        check(model_page(visit, NAME))
        return
    build_site(shelf, tmp_path / "site", wasm=None, served=True)
    with dxai_server([bundle], tmp_path / "site") as origin:
        page = model_page(visit, NAME, origin=origin)
        check(page)
        forecast(page)
        page.get_by_role("checkbox", name="Promotion 2025-01-14").check()
        page.wait_for_selector("#row-answer .former", state="attached")
        close(shown(page), expected(bundle, changed(promo=1), tmp_path))
        page.context.close()  # or the server waits for its connections


def example() -> pl.DataFrame:
    """The series in the box."""
    return sales().filter(shop=LIVELY[0], item=LIVELY[1])


def changed(**cells: Any) -> pl.DataFrame:
    """The same with other cells on 2025-01-14."""
    then = pl.col("day") == date(2025, 1, 14)
    return example().with_columns(
        pl.when(then).then(pl.lit(value)).otherwise(name).alias(name) for name, value in cells.items()
    )


def test_the_box_holds_a_series_with_its_plan(visit: Callable[..., Any], shelf: Shelf, tmp_path: Path) -> None:
    page = model_page(visit, NAME)
    box = pl.read_csv(io.StringIO(page.input_value("#history")), infer_schema=False)
    assert box.equals(pl.read_csv(io.StringIO(example().write_csv()), infer_schema=False))
    assert len(box) == STEPS + HORIZON
    hint = page.locator("#history-hint")
    sync_api.expect(hint).to_contain_text("next 4 steps hold what is planned, and no Sales", use_inner_text=True)
    forecast(page)
    close(shown(page), expected(shelf[NAME][0], example(), tmp_path))
    sync_api.expect(page.locator("#row-answer path.past")).to_have_count(3)  # gaps: one day shut, one out of stock


def test_a_promotion_moves_the_forecast_at_once(visit: Callable[..., Any], shelf: Shelf, tmp_path: Path) -> None:
    bundle = shelf[NAME][0]
    page = model_page(visit, NAME)
    forecast(page)
    paths, before = page.locator("#row-answer path"), shown(page)
    count = paths.count()
    promotion = page.get_by_role("checkbox", name="Promotion 2025-01-14")
    sync_api.expect(promotion).not_to_be_checked()
    sync_api.expect(page.get_by_role("checkbox", name="Promotion 2025-01-16")).to_be_checked()
    median = page.locator("#row-answer path.median").get_attribute("d")
    promotion.focus()
    page.keyboard.press("Space")
    former = page.locator("#row-answer path.former")
    sync_api.expect(former).to_have_count(1)
    assert len(former.get_attribute("d").split("L")) == HORIZON and paths.count() == count + 1
    assert page.locator("#row-answer path.median").get_attribute("d") != median
    sync_api.expect(promotion).to_be_focused()
    after = shown(page)
    close(after, expected(bundle, changed(promo=1), tmp_path))
    assert (after[1] > before[1] + 1).all() and (after[[0, 2, 3]] == before[[0, 2, 3]]).all()
    status = page.locator("#row-answer [role=status]")
    sync_api.expect(status).to_contain_text("before the change", use_inner_text=True)
    page.get_by_role("combobox", name="Event 2025-01-14").select_option("none")
    page.get_by_role("textbox", name="Price 2025-01-14").fill("2.5")
    page.get_by_role("checkbox", name="Open 2025-01-15").uncheck()
    right = changed(promo=1, event="none", price=2.5)
    right = right.with_columns(open=pl.when(pl.col("day") == date(2025, 1, 15)).then(0).otherwise("open"))
    table = page.locator("#row-answer table").last
    sync_api.expect(table.locator("tbody tr").nth(2).locator("data").first).to_have_attribute("value", "0")
    close(shown(page), expected(bundle, right, tmp_path))


def test_a_wrong_plan_is_marked_and_not_forecast(visit: Callable[..., Any]) -> None:
    page = model_page(visit, NAME)
    forecast(page)
    before, price = shown(page), page.get_by_role("textbox", name="Price 2025-01-14")
    for text, told in (("0.1", "must be at least 0.5"), ("cheap", "must be a number"), ("", "must not be empty")):
        price.fill(text)
        sync_api.expect(price).to_have_accessible_description(told)
        sync_api.expect(price).to_have_attribute("aria-invalid", "true")
    assert (shown(page) == before).all()
    price.fill("5")
    page.wait_for_selector("#row-answer .former", state="attached")
    assert page.locator("[aria-invalid], .wrong").count() == 0


REFUSED = [
    (sales().filter(pl.col("sales").is_not_null()),
     "Add rows of the next 4 steps with what is planned (Price, Promotion, Event, Open) and no Sales."),
    (sales().filter(pl.col("sales").is_null()), "No row has a value of Sales."),
    (sales().with_columns(size=pl.col("price")), "Series east · bread has several values of Size; it may have one."),
    (sales().drop("promo"), "Column Promotion (promo) is missing."),
]  # fmt: skip


def test_a_table_without_a_plan_is_told(visit: Callable[..., Any]) -> None:
    page = model_page(visit, NAME)
    for table, told in REFUSED:
        page.fill("#history", table.write_csv())
        page.click("#row button[type=submit]")
        sync_api.expect(page.locator("#row-status")).to_contain_text(told, use_inner_text=True)
        assert not page.locator("#row-answer").inner_text()
    page.fill("#history", sales().filter(pl.col("day") != date(2025, 1, 15)).write_csv())
    page.click("#row button[type=submit]")
    answer = page.locator("#row-answer")
    sync_api.expect(answer).to_contain_text("No series is left to forecast.", use_inner_text=True)


def test_several_series_in_the_box_each_have_a_plan(visit: Callable[..., Any], shelf: Shelf, tmp_path: Path) -> None:
    page = model_page(visit, NAME)
    page.fill("#history", sales().write_csv())
    forecast(page)
    for series in ("east · bread", "west · bread", "west · 케이크"):
        page.get_by_label("Show the series").select_option(series)
        shop, item = series.split(" · ")
        close(shown(page), expected(shelf[NAME][0], sales(), tmp_path)[_rows(shop, item)])
    page.get_by_label("Show the series").select_option("west · bread")
    page.get_by_role("checkbox", name="Promotion 2025-01-14").check()
    page.wait_for_selector("#row-answer .former", state="attached")
    with page.expect_download() as waiting:
        page.click("#row-answer .button")
    others = sales().filter((pl.col("shop") != "west") | (pl.col("item") != "bread"))
    changes = pl.concat([others, changed(promo=1)])
    right, _ = flagged(shelf[NAME][0], changes.write_csv().encode(), tmp_path)
    same_table(Path(waiting.value.path()).read_bytes(), right, tmp_path)  # the file holds what is shown


def _rows(shop: str, item: str) -> slice:
    place = [("east", "bread"), ("west", "bread"), ("west", "케이크")].index((shop, item))
    return slice(place * HORIZON, (place + 1) * HORIZON)


def test_a_plan_fits_every_screen_and_stands_out(visit: Callable[..., Any], pictures: Path) -> None:
    for scheme in ("light", "dark"):
        page = model_page(visit, NAME, color_scheme=scheme)
        forecast(page)
        page.get_by_role("checkbox", name="Promotion 2025-01-14").check()
        page.wait_for_selector("#row-answer .former", state="attached")
        for kind, size in {"desktop": DESKTOP, "phone": PHONE, "small": {"width": 320, "height": 600}}.items():
            page.set_viewport_size(size)
            for language in ("ko", "en"):
                page.click(f"button[data-language={language}]")
                assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, (kind, language)
                page.locator("#try").screenshot(path=pictures / f"plan-{language}-{kind}-{scheme}.png")
        assert page.evaluate(CONTRAST) == []


def test_the_page_says_what_a_plan_is(shelf: Shelf) -> None:
    text = Page(dict(site_files(shelf, wasm=None))[f"models/{NAME}/index.html"]).text
    assert "Rows of the next 4 steps follow, with what is planned and no Sales" in text
    assert "앞으로 4개 시점의 행에 계획을 적고 판매량" in text
    price = shelf[NAME][0].profile.beside["price"]
    assert f"{price.minimum:g} – {price.maximum:g}" in text


@pytest.mark.parametrize("backend", ["browser", "server"])
def test_holidays_are_filled_where_a_table_has_none(
    backend: str, visit: Callable[..., Any], shelf: Shelf, tmp_path: Path
) -> None:
    bundle = shelf[FESTIVE][0]
    own = [None] * (STEPS + HORIZON - 1) + [1]
    tables = [around_new_year(), around_new_year(off=pl.Series(own, dtype=pl.Int64))]

    def check(page: Any) -> None:
        for table in tables:
            page.fill("#history", table.write_csv())
            forecast(page)
            close(shown(page), expected(bundle, table, tmp_path))
        sync_api.expect(page.get_by_role("checkbox").last).to_be_checked()
        assert shown(page)[-1, 1] - shown(page)[0, 1] == pytest.approx(10, abs=1e-3)

    if backend == "browser":
        check(model_page(visit, FESTIVE))
        return
    build_site(shelf, tmp_path / "site", wasm=None, served=True)
    with dxai_server([bundle], tmp_path / "site") as origin:
        page = model_page(visit, FESTIVE, origin=origin)
        check(page)
        page.context.close()  # or the server waits for its connections


def test_holidays_of_other_years_are_asked_for(visit: Callable[..., Any]) -> None:
    page, year = model_page(visit, FESTIVE), date.today().year
    page.fill("#history", around_new_year(20).write_csv())
    page.click("#row button[type=submit]")
    told = f"Row 2 has no Day off, and this page knows public holidays of the years {year - 6} to {year + 3} alone."
    sync_api.expect(page.locator("#row-status")).to_contain_text(told, use_inner_text=True)
    page.fill("#history", around_new_year(20, off=0).write_csv())
    forecast(page)


def test_calendar_of_a_page_is_that_of_the_command_line_and_small(shelf: Shelf) -> None:
    held = json.loads(dict(site_files(shelf, wasm=None))[f"models/{FESTIVE}/page.json"])
    (off,) = (one for one in held["columns"] if "holidays" in one)
    first, last, days = (off["holidays"][name] for name in ("first", "last", "days"))
    assert last - first == 9 and len(json.dumps(off["holidays"])) < 2000
    year = pl.date_range(date(first, 1, 1), date(last, 12, 31), eager=True).alias("day")
    filled = with_holidays(year.to_frame(), shelf[FESTIVE][0].contract)
    since = (year - date(1970, 1, 1)).dt.total_days()
    assert filled["off"].to_list() == since.is_in(days).cast(pl.Float64).to_list() and 150 < len(days) < 250
