"""Models of classes behind the web site and the server's pages: every class by its name, and as `dxai predict` says."""

# ruff: noqa: F401, F811 (fixtures of the other site tests)

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import uvicorn
from test_class_doors import CLASSES, PLATES, class_bundle
from test_site import Page, examples
from test_site_browser import (
    PHONE,
    browser,
    download,
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

from dxai.bundle.folder import Bundle
from dxai.catalog.site.build import build_site, site_files
from dxai.catalog.site.words import texts
from dxai.contract.signature import signature_of
from dxai.inference.model import Model
from dxai.inference.predict import Prediction
from dxai.serve.app import create_app
from dxai.serve.connection import Connection
from dxai.serve.limits import Limits
from dxai.serve.served import ServedModel

pytestmark = pytest.mark.process

TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Bundle]]:
    place = tmp_path_factory.mktemp("bundles")
    return {name: [class_bundle(place / name, classes)] for name, classes in CLASSES.items()}


Shelf = dict[str, list[Bundle]]
every = pytest.mark.parametrize("name", CLASSES)


@every
def test_the_page_says_how_well_the_classes_are_told(name: str, shelf: Shelf) -> None:
    files = dict(site_files(shelf, wasm=None))
    text = Page(files[f"models/{name}/index.html"]).text
    for fact in (
        ", ".join(CLASSES[name]), "PR-AUC 0.834", "0.210 above the best simple yardstick (Logistic regression)",
        "PR-AUC: higher is better", "off by 2.1 points", "Shares of the classes", "88.0%", "로지스틱 회귀",
        texts()["caption.confusion"].ko, "균형 정확도",
    ):  # fmt: skip
        assert fact in text, fact
    assert ("0: 양품, 1: 불량." in text) == (name == "casting-fault")
    assert "80 % interval" not in text
    card = Page(files["index.html"]).text
    assert "0.834" in card and "0.210 above" in card
    assert json.loads(files[f"models/{name}/page.json"])["answers"][0]["texts"] == list(CLASSES[name])


@every
def test_the_card_shows_the_class_of_a_row_and_its_probability(name: str, shelf: Shelf) -> None:
    (bundle,) = shelf[name]
    row = pl.read_csv(bundle.read("golden/outputs.csv")).row(0, named=True)
    predicted, *chances = (row[answer] for answer in signature_of(bundle.contract).columns)
    chance = chances[CLASSES[name].index(predicted)]
    (told,) = examples(dict(site_files({name: [bundle]}, wasm=None))["index.html"])
    assert told.endswith(f"Alloy A Comes out Fault {predicted} probability {chance:.0%}")


def predicted(bundle: Bundle, **cells: str) -> dict[str, Any]:
    """What `dxai predict` answers for one row."""
    model = Model(bundle.read("model.onnx"), bundle.contract)
    (answer,) = Prediction(model, bundle.profile).blocks([pl.DataFrame({k: [v or None] for k, v in cells.items()})])
    return answer.drop(cells).row(0, named=True)


def shown(page: Any) -> tuple[str, list[float]]:
    """Class and probabilities that the page shows for the typed row."""
    page.wait_for_selector("#row-answer .bars")
    values = page.locator("#row-answer data").evaluate_all("all => all.map((one) => Number(one.value))")
    return page.locator("#row-answer .big").inner_text(), values


@every
@pytest.mark.parametrize("locale", ["ko-KR", "en-US"])
def test_a_typed_row_shows_its_class_and_a_bar_for_every_class(
    name: str,
    locale: str,
    visit: Callable[..., Any],
    shelf: Shelf,
    pictures: Path,
) -> None:
    page = model_page(visit, name, locale=locale)
    for heat, speed in (("333", "1"), ("120.5", ""), ("870", "7.5")):
        page.fill("#column-heat", heat)
        page.fill("#column-speed", speed)
        page.click("#row button[type=submit]")
        text, values = shown(page)
        right, *probabilities = predicted(shelf[name][0], heat=heat, speed=speed, alloy="A").values()
        assert text == right
        assert values == pytest.approx(probabilities, abs=TOLERANCE)
        assert page.locator("#row-answer .bars tr.model th").inner_text() == right
        widths = page.locator("#row-answer rect").evaluate_all(
            "all => all.map((one) => Number(one.getAttribute('width')))"
        )
        assert widths == pytest.approx([100 * p for p in probabilities], abs=1e-3)
        likeliest = CLASSES[name][probabilities.index(max(probabilities))]
        notice = texts()["result.threshold"].ko if locale == "ko-KR" else texts()["result.threshold"].en
        assert (notice.format(value=right) in page.locator("#row-answer").inner_text()) == (right != likeliest)
    page.locator("#try").screenshot(path=pictures / f"{name}-{locale}-row.png")
    page.screenshot(path=pictures / f"{name}-{locale}.png", full_page=True)


def test_a_class_below_one_half_is_explained(visit: Callable[..., Any], shelf: Shelf) -> None:
    page = model_page(visit, "casting-fault")
    page.fill("#column-heat", "380")
    page.fill("#column-speed", "4.5")
    page.click("#row button[type=submit]")
    text, values = shown(page)
    assert text == "불량" and 0.3 < values[1] < 0.5
    assert "불량 is not the most probable class" in page.locator("#row-answer").inner_text()
    told = page.locator("#row-status").inner_text()
    assert told == f"Fault: 불량, probability {100 * values[1]:.1f} %."


@every
def test_a_dropped_file_gets_the_columns_of_dxai_predict(
    name: str,
    visit: Callable[..., Any],
    shelf: Shelf,
    tmp_path: Path,
    pictures: Path,
) -> None:
    page = model_page(visit, name, locale="ko-KR", viewport=PHONE if name == "plate-fault" else None)
    upload(page, PLATES.encode("cp949"))
    page.wait_for_selector("#file-answer .scroll")
    expected, _ = flagged(shelf[name][0], PLATES.encode(), tmp_path)
    assert list(expected.columns[-2 - len(CLASSES[name]) : -1]) == signature_of(shelf[name][0].contract).columns
    same_table(download(page), expected, tmp_path)
    rows = page.locator("#file-answer table").last
    assert [f"{text} 확률" in rows.inner_text() for text in CLASSES[name]] == [True] * len(CLASSES[name])
    cells = rows.locator("tbody tr").evaluate_all("all => all.map((row) => row.cells[1].textContent)")
    assert cells == [text or "–" for text in expected["fault_predicted"]]
    page.locator("#try").screenshot(path=pictures / f"{name}-file.png")


@contextmanager
def served_site(bundles: Shelf, place: Path) -> Iterator[str]:
    """The pages of `dxai serve`, over its real application."""
    pages = place / "pages"
    build_site(bundles, pages, wasm=None, served=True)
    served = [ServedModel(b, Model(b.read("model.onnx"), b.contract)) for (b,) in bundles.values()]
    app = create_app(served, Limits(), pages=pages)
    server = uvicorn.Server(uvicorn.Config(app, port=0, http=Connection, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/"
    server.should_exit = True
    thread.join()


@every
def test_pages_of_a_server_show_the_same(name: str, browser: Any, shelf: Shelf, tmp_path: Path) -> None:
    with served_site(shelf, tmp_path) as address:
        page = browser.new_page(locale="ko-KR")
        page.goto(f"{address}models/{name}/index.html")
        page.wait_for_selector("#program:not([hidden])")
        page.fill("#column-heat", "333")
        page.click("#row button[type=submit]")
        right, *probabilities = predicted(shelf[name][0], heat="333", speed="4", alloy="A").values()
        text, values = shown(page)
        assert text == right and values == pytest.approx(probabilities, abs=TOLERANCE)
        upload(page, PLATES.encode())
        page.wait_for_selector("#file-answer .scroll")
        expected, _ = flagged(shelf[name][0], PLATES.encode(), tmp_path)
        same_table(download(page), expected, tmp_path)
        page.close()
