"""The web site in a real browser: found, read, tried and printed; and it answers as Python does."""

from __future__ import annotations

import functools
import json
import os
import shutil
import struct
import subprocess
import sys
import threading
import time
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import cycle, product
from pathlib import Path
from typing import Any, get_args

import numpy as np
import polars as pl
import polars.selectors as cs
import pytest
import uvicorn
from test_site import demand_bundle, quality_bundle

from dxai.bundle.folder import Bundle
from dxai.catalog.site.build import build_site
from dxai.catalog.site.onnxruntime_web import WasmSource
from dxai.catalog.site.program import page_data
from dxai.catalog.site.sectors import PROGRAMME
from dxai.catalog.site.words import texts, word
from dxai.config.compose import find_checkout
from dxai.contract import Column, Contract, Frequency
from dxai.data.checks import cast
from dxai.data.header import match_header
from dxai.data.plans import lacking_plans
from dxai.data.readers import read_csv
from dxai.data.steps import dates_of, moments, shifted
from dxai.data.windows import Panel, naming, to_panel
from dxai.errors import DataError, NotFoundError
from dxai.inference.model import Model
from dxai.inference.predict import Prediction
from dxai.serve.app import create_app
from dxai.serve.connection import Connection
from dxai.serve.limits import Limits
from dxai.serve.served import ServedModel
from pipelines.tables import tasks

pytestmark = pytest.mark.browser

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
]  # fmt: skip
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
RELEASED = tuple(item["bundle"] for item in tasks(find_checkout(Path(__file__).parent)).values())
"""Those whose weights are here: `make demo` makes the first two, `make sectors` all."""
TOLERANCE = 1e-5
FRONT_PAGE = 100_000
"""Bytes of all that the front page of ten models loads, uncompressed."""

VIOLATIONS = """addEventListener("securitypolicyviolation", (event) =>
  console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`))"""

PLATES = """노 온도 (Cel),벨트 속도 (평균),ALLOY,비고
450.5,4,A,"하나, 둘"
뜨거움,4,B,두 번째 행
300,,C,
1200,1,A,너무 뜨거움
 612 ,0.25,B,끝
"""


@pytest.fixture(scope="module")
def shelf(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Bundle]]:
    """Two small models, and the released ones where they are."""
    folder = tmp_path_factory.mktemp("bundles")
    bundles = [quality_bundle(folder / "plate-hardness"), demand_bundle(folder / "shop-orders")]
    here = [checkout / "models" / name for name in RELEASED]
    bundles += [Bundle.open(folder) for folder in here if (folder / "manifest.json").exists()]
    return {bundle.manifest.name: [bundle] for bundle in bundles}


@pytest.fixture(scope="module")
def runtime() -> WasmSource:
    source = WasmSource.of_user()
    try:
        source.files()
    except NotFoundError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no npm registry: {error.problem}")
    return source


@pytest.fixture(scope="module")
def folder(shelf: dict[str, list[Bundle]], runtime: WasmSource, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site") / "out"
    build_site(shelf, out, wasm=runtime, catalog_url="https://models.example/catalog")
    return out


@pytest.fixture(scope="module")
def site(folder: Path) -> Iterator[str]:
    with serving(folder) as address:
        yield address


class Quiet(SimpleHTTPRequestHandler):
    """Hands out files and says nothing."""

    def log_message(self, format: str, *args: object) -> None:
        """Keep the test output clean."""


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """A plain web server for as long as the block runs."""
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    chromium = os.environ.get("DXAI_CHROMIUM") or shutil.which("chromium")
    if not chromium:
        assert not os.environ.get("CI"), "chromium is missing: apt-get install chromium"
        pytest.skip("chromium is not installed")
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture
def visit(browser: Any, site: str) -> Iterator[Callable[..., Any]]:
    """Opens pages; in the end no request left the site, and nothing was blocked or reported."""
    contexts, requests, reports = [], [], []

    def opened(path: str = "", **options: Any) -> Any:
        origin = options.pop("origin", site)
        context = browser.new_context(**{"viewport": DESKTOP, "locale": "en-US", **options})
        contexts.append(context)
        context.add_init_script(VIOLATIONS)
        page = context.new_page()
        page.set_default_timeout(10_000)
        context.on("request", lambda request: requests.append((origin, request.url)))
        page.on(
            "console", lambda message: reports.append(message.text) if message.type in ("error", "warning") else None
        )
        page.on("pageerror", lambda error: reports.append(str(error)))
        page.goto(origin + path)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not contexts or requests  # the watch has seen something
    assert not [url for origin, url in requests if not url.removeprefix("blob:").startswith(origin)]
    assert not reports


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where screenshots go: the folder in DXAI_TEST_ARTIFACTS, or a temporary one."""
    named = os.environ.get("DXAI_TEST_ARTIFACTS")
    place = Path(named) / "site" if named else tmp_path_factory.mktemp("pictures")
    place.mkdir(parents=True, exist_ok=True)
    return place


def model_page(visit: Callable[..., Any], name: str, **options: Any) -> Any:
    page = visit(f"models/{name}/index.html", **options)
    page.wait_for_selector("#program:not([hidden])")
    return page


def upload(page: Any, content: bytes, name: str = "rows.csv") -> None:
    page.set_input_files("#file", files=[{"name": name, "mimeType": "text/csv", "buffer": content}])


def download(page: Any) -> bytes:
    """The predictions that the page hands out."""
    with page.expect_download() as waiting:
        page.click("#file-answer .button")
    return Path(waiting.value.path()).read_bytes()


def flagged(bundle: Bundle, content: bytes, tmp_path: Path) -> tuple[pl.DataFrame, Prediction]:
    """What `dxai predict --on-bad-rows flag` writes for the file."""
    path = tmp_path / "rows.csv"
    path.write_bytes(content)
    model = Model(bundle.read("model.onnx"), bundle.contract, context=bundle.manifest.context)
    prediction = Prediction(model, bundle.profile, where="rows.csv", on_bad_rows="flag")
    return pl.concat(list(prediction.blocks(read_csv(path)))), prediction


def same_table(got: bytes, expected: pl.DataFrame, tmp_path: Path) -> None:
    """The CSV file holds the frame: texts to the letter, numbers to 1e-5 of the largest number in their row."""
    (tmp_path / "got.csv").write_bytes(got)
    frame = pl.concat(list(read_csv(tmp_path / "got.csv")))
    assert frame.columns == expected.columns
    numbers = [name for name, kind in expected.schema.items() if kind == pl.Float32]
    hours = cs.datetime().dt.to_string("%Y-%m-%d %H:%M:%S")
    told = expected.drop(numbers).with_columns(hours).select(pl.all().cast(pl.String).replace("", None))
    assert frame.drop(numbers).equals(told)
    values, right = (table.select(pl.col(numbers).cast(pl.Float64)).to_numpy() for table in (frame, expected))
    close(values, right)


def close(values: Any, right: Any) -> None:
    """Alike to 1e-5 of the row's largest number: a bound that was cut off at zero has no scale of its own."""
    values, right = np.asarray(values), np.asarray(right)
    assert values.shape == right.shape and (np.isnan(values) == np.isnan(right)).all()
    allowed = TOLERANCE * np.abs(right).max(axis=1, keepdims=True)
    assert (np.isnan(right) | (np.abs(values - right) <= allowed)).all()


def test_a_visitor_finds_a_model(visit: Callable[..., Any], shelf: dict[str, list[Bundle]]) -> None:
    page = visit()
    expect, count = sync_api.expect, page.locator("#count")
    expect(count).to_contain_text(f"{len(shelf)} of {len(shelf)} models")
    page.click("button[data-language=ko]")
    assert page.evaluate("document.documentElement.lang") == "ko"
    expect(page.get_by_role("heading", level=1)).to_have_text(texts()["list.heading"].ko, use_inner_text=True)
    expect(page.locator("#task option:checked")).to_have_text("전체")
    page.select_option("#task", label="수요 예측")
    page.fill("#search", "주문량")
    expect(count).to_contain_text(f"모델 {len(shelf)}개 중 1개")
    page.fill("#search", "no such thing")
    expect(page.locator("#nothing")).to_be_visible()
    page.click("#reset")
    expect(count).to_contain_text(f"{len(shelf)}개 중 {len(shelf)}개")
    page.get_by_role("button", name="소재·부품").click()
    page.get_by_role("link", name="Hardness of a plate 모델").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Hardness of a plate 모델", use_inner_text=True)
    assert page.title() == "Hardness of a plate 모델"  # the language went along


def in_sector(shelf: dict[str, list[Bundle]], sector: str) -> list[str]:
    return sorted(name for name, (bundle, *_) in shelf.items() if bundle.contract.sector == sector)


def empty_sectors(shelf: dict[str, list[Bundle]]) -> list[str]:
    """Those of the programme without a model: some, or none where all released models are here."""
    return [sector for sector in PROGRAMME if not in_sector(shelf, sector)]


def listed(page: Any) -> list[str]:
    """Names of the models whose cards are seen."""
    links = page.locator(".card h2 a").all()
    return [link.get_attribute("href").split("/")[1] for link in links if link.is_visible()]


def test_a_tile_leaves_its_sector_and_the_address_says_so(
    visit: Callable[..., Any], shelf: dict[str, list[Bundle]]
) -> None:
    materials, distribution = (in_sector(shelf, sector) for sector in ("materials", "distribution"))
    page = visit("?lang=ko")
    tile, other = (page.locator(f"button[value={name}]") for name in ("materials", "distribution"))
    tile.click()
    sync_api.expect(tile).to_have_attribute("aria-pressed", "true")
    assert listed(page) == materials
    page.fill("#search", "plate-hardness")
    assert listed(page) == ["plate-hardness"]
    page.fill("#search", "shop-orders")
    sync_api.expect(page.locator("#nothing")).to_be_visible()
    other.click()
    assert listed(page) == ["shop-orders"]
    sync_api.expect(tile).to_have_attribute("aria-pressed", "false")
    assert page.url.endswith("?lang=ko&sector=distribution")
    shared = visit(page.url.split("/")[-1])
    assert listed(shared) == distribution and shared.evaluate("document.documentElement.lang") == "ko"
    other.click()
    assert "sector" not in page.url and listed(page) == ["shop-orders"]
    other.click()
    page.click("#reset")
    assert "sector" not in page.url and listed(page) == sorted(shelf)
    for unknown in (*empty_sectors(shelf), "%22%3E%3Cscript%3E"):
        assert listed(visit(f"?sector={unknown}")) == sorted(shelf)


def test_tiles_are_pressed_and_heard_without_a_mouse(visit: Callable[..., Any], shelf: dict[str, list[Bundle]]) -> None:
    page = visit(locale="ko-KR")
    count = len(in_sector(shelf, "materials"))
    tile = page.get_by_role("button", name=f"소재·부품 모델 {count}개", exact=True, pressed=False)
    tile.focus()
    page.keyboard.press("Space")
    sync_api.expect(page.get_by_role("button", pressed=True, name="소재·부품")).to_be_focused()
    sync_api.expect(page.get_by_role("status")).to_have_text(f"모델 {len(shelf)}개 중 {count}개", use_inner_text=True)
    for sector in empty_sectors(shelf):
        korean = word("sector", sector).ko
        assert page.get_by_role("button", name=korean).count() == 0  # it has no model to show
        sync_api.expect(page.get_by_text(korean, exact=True).first).to_be_visible()
    first, second = page.locator(".sector >> nth=0"), visit().locator(".sector >> nth=0")
    assert first.inner_text().split("\n") == ["미래차", "Future cars"]
    assert second.inner_text().split("\n") == ["Future cars", "미래차"]


def test_without_scripts_every_model_is_listed(browser: Any, site: str, shelf: dict[str, list[Bundle]]) -> None:
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(f"{site}?sector=distribution")
        assert listed(page) == sorted(shelf)
        assert page.locator("button.tile:enabled").count() == 0
        sync_api.expect(page.locator("#count")).to_contain_text(f"{len(shelf)} of {len(shelf)} models")
        sync_api.expect(page.locator(".sector b >> nth=0")).to_have_text("Future cars미래차")
        sync_api.expect(page.locator(".sector small >> nth=0")).to_be_hidden()  # both names stand there already


SHIFT = """() => new Promise((resolve) => {
  let sum = 0;
  new PerformanceObserver((seen) => { for (const { value } of seen.getEntries()) sum += value; })
    .observe({ type: "layout-shift", buffered: true });
  setTimeout(() => resolve(sum), 500);
})"""


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("address", ["", "?sector=distribution"])
def test_the_front_page_does_not_jump(address: str, size: dict[str, int], visit: Callable[..., Any]) -> None:
    page = visit(address, viewport=size)
    assert page.evaluate(SHIFT) == 0
    page.evaluate("document.querySelector('.bar').style.height = '20rem'")
    assert page.evaluate(SHIFT) > 0  # the watch sees a jump


def renamed(bundle: Bundle, name: str) -> Bundle:
    manifest = {**json.loads(bundle.files["manifest.json"]), "name": name}
    return Bundle({**bundle.files, "manifest.json": json.dumps(manifest).encode()}, "memory")


def test_the_front_page_of_ten_models_is_light(browser: Any, shelf: dict[str, list[Bundle]], tmp_path: Path) -> None:
    two = cycle([bundle for (bundle,) in [*shelf.values()][-2:]])  # the released ones where they are
    ten = {name: [renamed(next(two), name)] for name in (f"model-{i}" for i in range(10))}
    build_site(ten, tmp_path / "site", wasm=None)
    sizes: dict[str, int] = {}
    with serving(tmp_path / "site") as address, browser.new_context() as context:
        page = context.new_page()
        page.on("response", lambda answer: sizes.update({answer.url: len(answer.body())}))
        page.goto(address, wait_until="networkidle")
        assert page.locator(".card").count() == 10
    names = {url.removeprefix(address) for url in sizes}
    assert names >= {"", "assets/site.css", "assets/list.js", "assets/language.js"}
    assert sum(sizes.values()) <= FRONT_PAGE, sizes


def test_the_language_can_be_asked_for(visit: Callable[..., Any]) -> None:
    assert visit(locale="ko-KR").evaluate("document.documentElement.lang") == "ko"
    page = visit("?lang=ko", locale="de-DE")
    assert page.evaluate("document.documentElement.lang") == "ko"
    page.reload()
    page.goto(page.url.split("?")[0])
    assert page.evaluate("document.documentElement.lang") == "ko"
    assert visit(locale="de-DE").evaluate("document.documentElement.lang") == "en"


def test_a_typed_row_is_predicted(visit: Callable[..., Any], shelf: dict[str, list[Bundle]]) -> None:
    page = model_page(visit, "plate-hardness", locale="ko-KR")
    assert page.input_value("#column-heat") == "450.5"  # the first golden row
    page.get_by_label("노 온도").fill("777.25")
    page.get_by_label("벨트 속도").fill("")
    page.select_option("#column-alloy", "B")
    page.get_by_role("button", name="예측하기").click()
    answer = page.locator("#row-answer")
    value = float(answer.locator("data").get_attribute("value"))
    assert value == pytest.approx(777.25 / 2 + 7**0.5 + 2, rel=TOLERANCE)
    assert "MPa" in answer.inner_text() and "빈칸 채움: 벨트 속도" in answer.inner_text()
    assert "노 온도 값이 모델이 학습한 범위를 벗어납니다" in answer.inner_text()


def test_a_wrong_field_is_marked_and_told(visit: Callable[..., Any]) -> None:
    page = model_page(visit, "plate-hardness")
    page.fill("#column-heat", "")
    page.fill("#column-speed", "fast")
    page.click("#row button[type=submit]")
    heat, speed = page.locator("#column-heat"), page.locator("#column-speed")
    sync_api.expect(heat).to_have_attribute("aria-invalid", "true")
    sync_api.expect(heat).to_be_focused()
    sync_api.expect(heat).to_have_accessible_description("must not be empty 0 – 900 · training 300 – 612")
    sync_api.expect(speed).to_have_accessible_description("must be a number ≥ 0 · training 1 – 9 · may be empty")
    assert not page.locator("#row-answer").inner_text()
    page.fill("#column-heat", "500")
    page.fill("#column-speed", "1")
    page.keyboard.press("Enter")
    page.wait_for_selector("#row-answer .big")
    assert page.locator("[aria-invalid]").count() == 0


@pytest.mark.parametrize("encoding", ["utf-8-sig", "cp949"])
def test_a_korean_file_with_bad_rows(
    encoding: str, visit: Callable[..., Any], shelf: dict[str, list[Bundle]], tmp_path: Path
) -> None:
    content = PLATES.encode(encoding)
    page = model_page(visit, "plate-hardness", locale="ko-KR")
    if encoding == "cp949":
        drop = """([bytes]) => { const data = new DataTransfer(); data.items.add(new File([new Uint8Array(bytes)],
            "판재.csv")); return data; }"""
        page.dispatch_event("#drop", "drop", {"dataTransfer": page.evaluate_handle(drop, [list(content)])})
    else:
        upload(page, content, "판재.csv")
    page.wait_for_selector("#file-answer table")
    expected, prediction = flagged(shelf["plate-hardness"][0], content, tmp_path)
    same_table(download(page), expected, tmp_path)
    counts = prediction.counts
    assert (counts.bad, counts.imputed, counts.outside, counts.unseen) == (2, 1, 1, 1)
    told = texts()["run.rows.done"].ko.format(name="판재.csv", good=3, bad=2, imputed=1, outside=2)
    assert page.locator("#file-status").inner_text() == told
    bad = page.locator("#file-answer table").first.inner_text().split("\n")[1:]
    assert [row.split("\t") for row in bad] == [
        ["3", "노 온도", "수여야 합니다", "뜨거움"], ["5", "노 온도", "900 °C 이하여야 합니다", "1200"],
    ]  # fmt: skip
    values = page.locator("#file-answer data").evaluate_all("all => all.map((one) => Number(one.value))")
    good = expected.filter(pl.col("dxai_problem").is_null()).select(pl.selectors.float())
    close(np.reshape(values, (-1, 3)), good.to_numpy())


REFUSED = [
    (b"heat,speed\n1,2\n", "Column Alloy (alloy) is missing."),
    ("노온도,speed,alloy\n1,2,A\n".encode(), "Columns that mean nothing to this model: 노온도."),
    (b"heat,Furnace heat,speed,alloy\n1,1,2,A\n", "The columns heat, Furnace heat both mean Furnace heat."),
    (
        b"heat,speed,alloy\n1,2,A\n1,2\n\n",
        "2 rows do not have the 3 cells of the header: row 3 has 2, row 4 has 0.",
    ),
    (b'heat,speed,alloy\n1,2,"A\n', "The quoting is broken at line 2."),
    (b"heat;speed;alloy\n1;2;A\n", "The columns are not separated by commas."),
    (b"heat,heat\n1,1\n", "Column heat stands there 2 times."),
    (b"heat,speed,alloy,dxai_problem\n1,2,A,\n", "The answer has a column dxai_problem of its own."),
    (b"PK\x03\x04", "This is an Excel or Parquet file."),
    (b"\xff\xfeh\0e\0", "NUL bytes"),
    (b"caf\xe9,b\n", "neither UTF-8 nor CP949"),
    (b"", "The file is empty."),
]


def test_a_refused_table_says_why(visit: Callable[..., Any]) -> None:
    page = model_page(visit, "plate-hardness")
    for content, told in REFUSED:
        upload(page, content)
        sync_api.expect(page.locator("#file-status")).to_contain_text(told, use_inner_text=True)
        assert not page.locator("#file-answer").inner_text()


def test_histories_are_forecast(visit: Callable[..., Any], shelf: dict[str, list[Bundle]], tmp_path: Path) -> None:
    ends = ["2024-11-30", "2024-12-31", "2025-01-31", "2025-02-28", "2025-03-31"]
    lines = [
        f"{item},{end},{3 * i + len(item)},{len(item)} mm" for item in ("screw", "bolt") for i, end in enumerate(ends)
    ]
    lines += [f"young,{end},7,5 mm" for end in ends[2:]]
    lines += ["bent,2025-01-31,1,x", "bent,2025-02-30,1,x", "bent,2025-03-31,1,x", "new,2025-03-31,1,x"]
    content = "\n".join(
        ["품목,월말,주문량 (개),규격", *lines, "twice,2025-03-31,1,y", "twice,2025-03-31,2,y", ""]
    ).encode()
    page = model_page(visit, "shop-orders")
    upload(page, content)
    page.wait_for_selector("#file-answer svg.chart")
    left = page.locator("#file-answer table").nth(1).inner_text().split("\n")[1:]
    assert [row.split("\t") for row in left] == [
        ["new", "has 1 known steps, 3 are needed"], ["twice", "repeats a step: row 20"],
        ["bent", "has a row that breaks the contract: row 16"],
    ]  # fmt: skip
    expected, _ = flagged(shelf["shop-orders"][0], content, tmp_path)
    assert expected["dxai_problem"].drop_nulls().len() == 3
    same_table(download(page), expected, tmp_path)
    page.get_by_label("Show the series").select_option("screw")
    chart = page.get_by_role("img", name="screw: history and the next 3 months of Orders")
    sync_api.expect(chart.locator("path")).to_have_count(4)  # history, band, median, mean
    table = page.locator("#file-answer table").last
    screw = expected.filter(pl.col("품목") == "screw")
    assert table.locator("tbody th").all_inner_texts() == ["2025-04-30", "2025-05-31", "2025-06-30"]
    assert table.locator("tbody th").all_inner_texts() == screw["월말"].cast(pl.String).to_list()
    values = table.locator("data").evaluate_all("all => all.map((one) => Number(one.value))")
    names = [f"orders_{name}" for name in ("q50", "mean", "lower", "upper")]
    close(np.reshape(values, (-1, 4)), screw.select(names).to_numpy())


def test_a_typed_history_is_forecast(visit: Callable[..., Any]) -> None:
    page = model_page(visit, "shop-orders")
    assert page.input_value("#history").startswith("item,month,orders\nnut,2024-08-31,5.5\n")
    page.click("#row button[type=submit]")
    page.wait_for_selector("#row-answer svg.chart")
    first = page.locator("#row-answer tbody data").nth(1)
    assert float(first.get_attribute("value")) == pytest.approx(
        (7.5 + 2 * 8.5 + 3 * 9.5 + 4 * 10.5) / 4 + 1, rel=TOLERANCE
    )
    page.fill("#history", "item,month,orders\nnut,2024-08-30,5.5\n")
    page.click("#row button[type=submit]")
    told = "1 dates are not on the grid (row 2: 2024-08-30)"
    sync_api.expect(page.locator("#row-status")).to_contain_text(told, use_inner_text=True)


@pytest.mark.parametrize("name", RELEASED)
def test_a_released_model_answers_as_in_python(
    name: str, visit: Callable[..., Any], shelf: dict[str, list[Bundle]], tmp_path: Path
) -> None:
    if name not in shelf:
        pytest.skip(f"models/{name} is not here: dvc pull, or make demo")
    page = model_page(visit, name)
    page.click("#sample")
    page.wait_for_selector("#file-answer table")
    expected, _ = flagged(shelf[name][0], shelf[name][0].read("golden/rows.csv"), tmp_path)
    same_table(download(page), expected, tmp_path)


def test_the_network_may_go_after_the_first_prediction(visit: Callable[..., Any]) -> None:
    page = model_page(visit, "plate-hardness")
    page.click("#row button[type=submit]")
    before = page.locator("#row-answer data").get_attribute("value")
    page.context.set_offline(True)
    page.fill("#column-heat", "500")
    page.click("#row button[type=submit]")
    sync_api.expect(page.locator("#row-answer data")).not_to_have_attribute("value", before)
    upload(page, PLATES.encode())
    page.wait_for_selector("#file-answer table")


@contextmanager
def dxai_server(bundles: list[Bundle], pages: Path) -> Iterator[str]:
    """What `dxai serve` runs, on another thread."""
    models = [Model(b.read("model.onnx"), b.contract, context=b.manifest.context) for b in bundles]
    app = create_app([ServedModel(b, m) for b, m in zip(bundles, models, strict=True)], Limits(), pages=pages)
    server = uvicorn.Server(uvicorn.Config(app, port=0, http=Connection, ws="none", lifespan="off", log_config=None))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/"
    server.should_exit = True
    thread.join()


def test_a_served_page_asks_only_its_server(
    visit: Callable[..., Any], shelf: dict[str, list[Bundle]], tmp_path: Path
) -> None:
    build_site(shelf, tmp_path / "site", wasm=None, served=True)
    plates, orders = shelf["plate-hardness"][0], shelf["shop-orders"][0]
    with dxai_server([plates, orders], tmp_path / "site") as origin:
        page = model_page(visit, "plate-hardness", origin=origin)
        upload(page, PLATES.encode())
        page.wait_for_selector("#file-answer table")
        same_table(download(page), flagged(plates, PLATES.encode(), tmp_path)[0], tmp_path)
        page.goto(f"{origin}models/shop-orders/")
        page.wait_for_selector("#program:not([hidden])")
        page.click("#sample")
        page.wait_for_selector("#file-answer svg.chart")
        same_table(download(page), flagged(orders, orders.read("golden/rows.csv"), tmp_path)[0], tmp_path)
        page.context.close()  # or the server waits for its connections


def test_the_keyboard_is_enough(visit: Callable[..., Any]) -> None:
    page = visit()
    page.wait_for_selector("#count span", state="attached")

    def tab_to(selector: str) -> None:
        for _ in range(40):
            page.keyboard.press("Tab")
            outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            card = page.evaluate("document.activeElement.closest('.card') !== null")
            assert outline != "none" or card, page.evaluate("document.activeElement.outerHTML.slice(0, 200)")
            if page.evaluate("(selector) => document.activeElement.matches(selector)", selector):
                return
        raise AssertionError(f"the Tab key does not lead to {selector}")

    tab_to(".skip")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"
    tab_to("#search")
    page.keyboard.type("plate")
    tab_to("#cards a[href*=plate]")
    page.keyboard.press("Enter")
    page.wait_for_selector("#program:not([hidden])")
    tab_to("#column-heat")
    page.keyboard.press("Control+a")
    page.keyboard.type("321")
    page.keyboard.press("Enter")
    page.wait_for_selector("#row-answer data")
    tab_to("#file")
    tab_to("#sample")
    page.keyboard.press("Space")
    page.wait_for_selector("#file-answer table")
    tab_to("#file-answer .scroll")
    tab_to(".copy")


def test_a_command_is_copied(visit: Callable[..., Any]) -> None:
    page = model_page(visit, "plate-hardness", permissions=["clipboard-read", "clipboard-write"])
    page.locator(".copy").first.click()
    sync_api.expect(page.locator(".copy").first).to_have_text("Copied", use_inner_text=True)
    command = "dxai pull plate-hardness --from https://models.example/catalog"
    assert page.evaluate("navigator.clipboard.readText()") == command


def test_no_page_is_wider_than_its_screen(
    visit: Callable[..., Any], shelf: dict[str, list[Bundle]], pictures: Path
) -> None:
    for name in ("list", *([name for name in RELEASED if name in shelf] or ["plate-hardness", "shop-orders"])):
        page = visit() if name == "list" else model_page(visit, name)
        if name != "list":
            page.click("#row button[type=submit]")
            page.wait_for_selector("#row-answer .big, #row-answer svg")
            page.click("#sample")
            page.wait_for_selector("#file-answer table")
        for kind, size in {"desktop": DESKTOP, "phone": PHONE, "small": {"width": 320, "height": 600}}.items():
            page.set_viewport_size(size)
            for language in ("ko", "en"):
                page.click(f"button[data-language={language}]")
                assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, (name, kind, language)
                if kind != "small":
                    page.screenshot(path=pictures / f"{name}-{language}-{kind}.png", full_page=True)


@pytest.mark.process
@pytest.mark.usefixtures("browser")  # no test where there is none
def test_pictures_of_pages_are_as_wide_as_the_screens(folder: Path, checkout: Path, tmp_path: Path) -> None:
    def run(site: Path) -> subprocess.CompletedProcess[str]:
        words = [str(site), "--models", "plate-hardness", "--to", str(tmp_path / "pictures")]
        command = [sys.executable, "-m", "pipelines.pictures", *words]
        return subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)

    done = run(folder)
    assert done.returncode == 0, done.stderr
    headers = {path.stem: path.read_bytes()[:24] for path in (tmp_path / "pictures").iterdir()}
    pages = ("catalog", "plate-hardness")
    names = [f"{page}-{language}-{width}" for page in pages for language in ("en", "ko") for width in (1280, 360)]
    assert sorted(headers) == sorted(names)
    for name, header in headers.items():
        assert header[:8] == b"\x89PNG\r\n\x1a\n"
        width, height = struct.unpack(">II", header[16:])
        assert width == int(name.split("-")[-1]) and height > 900
    refused = run(tmp_path)
    assert refused.returncode == NotFoundError.exit_code and "python -m pipelines.catalog" in refused.stderr


def test_paper_shows_what_is_to_be_read(
    visit: Callable[..., Any], shelf: dict[str, list[Bundle]], pictures: Path
) -> None:
    name = next(iter(name for name in RELEASED if name in shelf), "plate-hardness")
    page = model_page(visit, name, locale="ko-KR")
    page.emulate_media(media="print")
    for hidden in ("#try", ".languages", ".contents", ".copy >> nth=0"):
        sync_api.expect(page.locator(hidden)).to_be_hidden()
    for shown in ("h1", ".facts", "#score table >> nth=0", "#inputs table", "#limits", "#use", "#get pre >> nth=0"):
        sync_api.expect(page.locator(shown)).to_be_visible()
    page.emulate_media(media="screen")
    page.click("#sample")
    page.wait_for_selector("#file-answer table")
    page.emulate_media(media="print")
    sync_api.expect(page.locator("#file-answer table >> nth=0")).to_be_visible()
    sync_api.expect(page.locator("#row")).to_be_hidden()
    page.screenshot(path=pictures / f"{name}-print.png", full_page=True)
    pdf = page.pdf(path=pictures / f"{name}-print.pdf", format="A4", print_background=True)
    assert pdf.startswith(b"%PDF")
    page = visit()
    page.emulate_media(media="print")
    sync_api.expect(page.locator(".sectors")).to_be_hidden()
    assert listed(page) == sorted(shelf)


CONTRAST = """() => {
  const canvas = Object.assign(document.createElement("canvas"), { width: 1, height: 1 });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    context.clearRect(0, 0, 1, 1);
    context.fillStyle = colour;
    context.fillRect(0, 0, 1, 1);
    return [...context.getImageData(0, 0, 1, 1).data];
  };
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255).map((v) => v <= 0.04045 ? v / 12.92
    : ((v + 0.055) / 1.055) ** 2.4).reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const colour = rgba(getComputedStyle(e).backgroundColor);
      if (colour[3] === 255) return colour;
    }
    return rgba("white");
  };
  const low = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || !element.checkVisibility() || element.closest("svg")) continue;
    const [a, b] = [light(rgba(getComputedStyle(element).color)), light(behind(element))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) low.push(`${ratio.toFixed(2)} ${texts.currentNode.data.trim().slice(0, 60)}`);
  }
  return low;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out(scheme: str, visit: Callable[..., Any], pictures: Path) -> None:
    page = visit(color_scheme=scheme)
    page.wait_for_selector("#count span", state="attached")
    assert page.evaluate(CONTRAST) == []
    page.click("button.tile >> nth=0")
    assert page.evaluate(CONTRAST) == []
    page.screenshot(path=pictures / f"list-{scheme}.png", full_page=True)
    page = model_page(visit, "plate-hardness", color_scheme=scheme)
    page.fill("#column-heat", "")
    page.click("#row button[type=submit]")
    page.wait_for_selector(".wrong")
    upload(page, PLATES.encode())
    page.wait_for_selector("#file-answer table")
    assert page.evaluate(CONTRAST) == []
    page.screenshot(path=pictures / f"plate-hardness-{scheme}.png", full_page=True)


def test_a_screen_reader_hears_a_name_for_everything(visit: Callable[..., Any]) -> None:
    roles = {"button", "link", "textbox", "searchbox", "combobox", "image", "region", "navigation", "heading", "form"}
    heard = set()
    for name in ("plate-hardness", "shop-orders"):
        page = model_page(visit, name, locale="ko-KR")
        page.click("#sample")
        page.wait_for_selector("#file-answer table")
        tree = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")
        for node in tree["nodes"]:
            if not node["ignored"] and node["role"]["value"] in roles:
                heard.add(node["role"]["value"])
                assert node["name"]["value"].strip(), node
                assert texts()["try.heading"].en not in node["name"]["value"]  # the other language is not heard
    assert heard >= {"button", "link", "textbox", "combobox", "image", "region", "heading"}


def test_a_page_opened_from_a_folder_says_what_to_do(browser: Any, folder: Path) -> None:
    with browser.new_context(locale="ko-KR") as context:
        page = context.new_page()
        page.goto((folder / "models/plate-hardness/index.html").as_uri())
        assert page.evaluate("document.documentElement.lang") == "ko"
        sync_api.expect(page.locator(".unable")).to_be_visible()
        sync_api.expect(page.locator("#program")).to_be_hidden()


def test_without_scripts_both_languages_can_be_read(browser: Any, site: str) -> None:
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(f"{site}models/plate-hardness/")
        for text in (texts()["limits.heading"].en, texts()["limits.heading"].ko, "dxai pull plate-hardness"):
            sync_api.expect(page.locator("main").get_by_text(text).first).to_be_visible()


TABLES = [
    b"a,b\n1,2\n", b"a,b\r\n1,2\r\n3,4", b"a,b\r1,2\r", b"\xef\xbb\xbfa,b\n1,2\n", b"a,b", b"a,b\n1,\n,2\n,\n",
    "시멘트,물\n가,나\n".encode("cp949"), "시멘트,물\n똠방,펲\n".encode("cp949"), "\ufeff\ufeffa,b\n1,2\n".encode(),
    "a\u3000,b\n1,2\n".encode(), "a,b\n\u2028,\u0085\n".encode(), b" a , b \n 1 , 2 \n", b"a,b\n1\n",
    b"a,b\n1,2\n\n3,4\n", b"a,b\n1,2\n\n", b"a,b\n1,2,3\n", b"a\n1\n\n2\n", b"a,b\r\n1,2\r\r\n3,4\r\n",
    b'"a","b"\n"1,5","x ""y"" z"\n', b'"a","b"\n"one\ntwo","x\r\ny"\n', b'a,b\n"x""",y\n', b'a,b\n"""",y',
    b'a"b,c\n1,2\n', b'a,b\n1"2,3\n', b'a,b\n"",""\n', b'a\n1\n""\n2\n', b'a,b\n"1,2\n', b'a,b\n"1"x,2\n',
    b'a,b\n"1" ,2\n', b'a,b\n1,2\n"', b'a,b\n"1",2\n3,4,5\n', b'""\n1\n', b'"",b\n1,2\n', b",b\n1,2\n", b"a,a\n1,2\n",
    b"a, a\n1,2\n", b"a;b\n1;2\n", b"a\tb\n", b"a|b\n", b"", b"\n", b"\r\n", b"\xff\xfea\0", b"a\x00,b\n", b"\x80\n",
    b"caf\xe9,b\n1,2\n", b"\xed\xa0\x80,b\n1,2\n", b"\xc0\xaf\n",
]  # fmt: skip


def test_tables_are_read_as_in_python(visit: Callable[..., Any], tmp_path: Path) -> None:
    script = """async (tables) => {
      const { decode, parse, TableError } = await import("/assets/csv.js");
      return tables.map((bytes) => {
        try { const { header, rows } = parse(decode(new Uint8Array(bytes))); return [header, ...rows]; }
        catch (error) { if (!(error instanceof TableError)) throw error; return null; }
      });
    }"""
    read = visit().evaluate(script, [list(table) for table in TABLES])
    for table, got in zip(TABLES, read, strict=True):
        (tmp_path / "rows.csv").write_bytes(table)
        try:
            frame = pl.concat(list(read_csv(tmp_path / "rows.csv")))
        except DataError:
            assert got is None, table
        else:
            assert got == [frame.columns, *([cell or "" for cell in row] for row in frame.iter_rows())], table
    assert sum(got is None for got in read) > 15 and sum(got is not None for got in read) > 15


def test_cp949_is_read_as_in_python(visit: Callable[..., Any]) -> None:
    script = """async (pairs) => {
      const { decode } = await import("/assets/csv.js");
      return pairs.map((pair) => { try { return decode(new Uint8Array(pair)); } catch { return null; } });
    }"""
    pairs = [[lead, trail] for lead in range(0x80, 0x100) for trail in range(0x40, 0x100)]
    for pair, got in zip(pairs, visit().evaluate(script, pairs), strict=True):
        expected = None
        for encoding in ("utf-8", "cp949"):
            try:
                expected = bytes(pair).decode(encoding)
                break
            except UnicodeDecodeError:
                continue
        assert got == expected, bytes(pair)


CELLS = [
    "1", "1.5", ".5", "5.", "-1", "+1", "1e5", "1E+2", "1e-5", "1e", "e5", "inf", "-Infinity", "nan", "NaN",
    "Infinit", "1_000", "1,000", "0x10", "1e400", "1e-400", "１", "1 000", "--1", ".", "-", "", " 7 ", "\xa07\u3000",
    "\ufeff7", "1d", "00012", "-0", "0", "900", "900.0000001", "899.9999", "½", "true", "-0.0000001",
    "12345678901234567890", "0.1",
]  # fmt: skip
DATES = [
    "2011-12-31", "2011-1-31", "11-01-31", "2011-02-30", "2012-02-29", "2011-02-29", "2011-01-04x", "02011-01-31",
    "0000-01-31", "20110131", "2011/01/31", "2011-00-10", "2011-13-10", "2011-10-32", " 2011-10-31 ", "2011- 1- 4",
    "9999-12-31", "201-01-31", "", "2011-001-04", "2011--1-04",
]  # fmt: skip


def test_cells_are_checked_as_in_python(visit: Callable[..., Any], shelf: dict[str, list[Bundle]]) -> None:
    script = """async ([columns, records, header]) => {
      const { check, matchHeader, reason } = await import("/assets/rows.js");
      const places = matchHeader(header, columns, () => false);
      const { values, problems } = check(records, places, columns);
      return { values: Object.fromEntries(values), reasons: problems.map((p) => reason(p, header, places)) };
    }"""
    page = visit()
    for name, cells in (("heat", CELLS), ("speed", CELLS), ("alloy", ["A", " B ", "", "Z"]), ("month", DATES)):
        bundle = shelf["shop-orders" if name == "month" else "plate-hardness"][0]
        columns = page_data(bundle, "browser", 0)["columns"]
        got = page.evaluate(script, [columns, [[cell] for cell in cells], [name]])
        typed, problems = cast(pl.DataFrame({name: cells}), bundle.contract)
        reasons: list[str | None] = [None] * len(cells)
        for problem in problems:
            assert problem.broken is not None
            for row in problem.broken.arg_true().to_list():
                reasons[row] = f"rule broken: {problem.column} {problem.rule}"
        assert got["reasons"] == reasons
        expected = typed[name].cast(pl.Int32) if name == "month" else typed[name]
        good = [i for i, told in enumerate(reasons) if told is None]
        values = [got["values"][name][i] for i in good]
        assert [float(v) if isinstance(v, int) else v for v in values] == [expected[i] for i in good]


def test_headers_are_matched_as_in_python(visit: Callable[..., Any], shelf: dict[str, list[Bundle]]) -> None:
    script = """async ([columns, headers]) => {
      const { matchHeader } = await import("/assets/rows.js");
      return headers.map((header) => {
        try { return Object.fromEntries([...matchHeader(header, columns, (c) => c.role === "feature")]
          .map(([id, i]) => [id, header[i]])); } catch { return null; }
      });
    }"""
    contract = shelf["plate-hardness"][0].contract
    firsts = [
        "heat",
        "HEAT",
        "Furnace heat",
        "furnace HEAT (°C)",
        "노 온도",
        "노 온도 [Cel]",
        "노 온도 (a) (b)",
        "heat()",
    ]
    firsts += [
        "heat (℉)",
        "heat (C)",
        "heat [F]",
        "heat (psi)",
        "heat (dry)",
        "heat（섭씨）",
        "heat (12)",
        "heat [DEG C]",
    ]
    firsts += ["Heat ( x )", unicodedata.normalize("NFD", "노 온도"), "temperature", "노  온도", "(heat)", "heat\u00a0"]
    headers = [[first, "벨트 속도", "alloy", "own"] for first in firsts]
    headers += [["heat", "Furnace heat", "speed", "alloy"], ["heat", "speed", "alloy", "경도"], ["speed", "alloy"]]
    columns = page_data(shelf["plate-hardness"][0], "browser", 0)["columns"]
    for header, got in zip(headers, visit().evaluate(script, [columns, headers]), strict=True):
        try:
            expected: dict[str, str] | None = match_header(header, contract, target=False, where="").names
        except DataError:
            expected = None
        assert got == expected, header


FREQUENCIES: tuple[Frequency, ...] = get_args(Frequency)


KNOWN_BESIDE: list[dict[str, Any]] = [
    {"name": "price", "kind": "number", "role": "known_future"},
    {"name": "event", "kind": "category", "role": "known_future", "categories": ["fair", "feast"]},
    {"name": "shut", "kind": "number", "role": "open"},
    {"name": "rain", "kind": "number", "role": "past"},
    {"name": "stock", "kind": "number", "role": "available"},
    {"name": "size", "kind": "number", "role": "static"},
    {"name": "form", "kind": "category", "role": "static", "categories": ["A", "가"]},
]


def demand_tables() -> Iterator[tuple[Contract, pl.DataFrame]]:
    """Histories of random length with gaps, on every grid, both kinds of absent steps; alone, and with columns beside.

    Those have two names, and of the steps ahead all that is known, some of it or nothing.
    """
    random = np.random.default_rng(0)
    template: dict[str, Any] = {
        "id": "t", "version": "1", "title_en": "", "title_ko": "", "purpose": "", "task": "demand", "horizon": 3,
        "minimum_history": 1,
    }  # fmt: skip
    columns: list[dict[str, Any]] = [
        {"name": "item", "kind": "category", "role": "series", "required": True},
        {"name": "day", "kind": "date", "role": "time", "required": True},
        {"name": "units", "kind": "number", "role": "target"},
    ]
    shop = {"name": "shop", "kind": "category", "role": "series", "required": True, "categories": ["east", "west"]}
    for frequency, absent, beside in product(FREQUENCIES, ("zero", "missing"), (False, True)):
        chosen = [*columns, shop, *KNOWN_BESIDE] if beside else columns
        kinds = [{**c, "kind": "timestamp"} if c["kind"] == "date" and frequency == "hourly" else c for c in chosen]
        titled: Any = [{**c, "title_en": c["name"], "title_ko": c["name"]} for c in kinds]
        contract = Contract(**template, columns=titled, frequency=frequency, absent=absent)
        starts = {"hourly": 262_990, "daily": 10_958, "weekly": 10_958}  # some day of 1999 or 2000
        frames = [history_of(item, starts.get(frequency, 10_956), contract, random) for item in ("b", "a", "가", "B1")]
        yield contract, pl.concat(frames, how="diagonal_relaxed")


def history_of(item: str, start: int, contract: Contract, random: np.random.Generator) -> pl.DataFrame:
    """A series of up to 30 of 39 steps, with cells beside it and after it where the contract has columns for them."""
    assert contract.frequency is not None
    steps = random.choice(39, random.integers(1, 30), replace=False).tolist()
    values = [
        None if i and random.random() < 0.1 else round(float(random.uniform(0, 1e6)), 3) for i in range(len(steps))
    ]
    if contract.covariates:  # the last value of all is one of a, of which alone all is known ahead
        last = {"a": [39, 40, 41, 42], "가": [39, 40, 41]}.get(item, [])
        steps, values = [*steps, *last], [*values, *([1.5 if item == "a" else None, None, None, None][: len(last)])]
    days = dates_of(pl.Series([shifted(start, step, contract.frequency) for step in steps]), contract.frequency)
    made: dict[str, Any] = {"item": [item] * len(steps), "day": days, "units": values}
    for column in contract.covariates:
        cells = cells_of(column, len(steps), random)
        made[column.name] = ["east" if item < "b" else "west"] * len(steps) if column.role == "series" else cells
    return pl.DataFrame(made, schema_overrides={"units": pl.Float64})


def cells_of(column: Column, count: int, random: np.random.Generator) -> list[Any]:
    """Random cells, some of them empty where they are not known ahead, some of no listed category."""
    choices = [*column.categories, "unlisted"] if column.kind == "category" else [0.0, 1.0, 2.345]
    if column.role == "static":
        chosen = choices[int(random.integers(len(column.categories) or 3))]
        return [chosen if random.random() < 0.7 else None for _ in range(count)]
    told = [choices[place] for place in random.integers(len(choices), size=count)]
    return told if column.role in ("known_future", "open") else [t if random.random() < 0.8 else None for t in told]


def test_histories_are_laid_out_as_in_python(visit: Callable[..., Any]) -> None:
    script = """async ([rows, contract]) => {
      const { toPanel, shifted } = await import("/assets/panel.js");
      const { series, unasked, left } = toPanel(rows, contract);
      const known = (value) => Number.isNaN(value) ? null : value;
      const told = [...series, ...unasked].map((s) => ({ ...s, values: [...s.values].map(known),
        beside: Object.fromEntries([...s.beside].map(([name, held]) => [name, [held].flat().map(known)])),
        later: [1, 2, 7].map((steps) => shifted(s.last, steps, contract.frequency)) }));
      return { series: told, unasked: unasked.map(({ id }) => id), left };
    }"""
    page = visit()
    for contract, frame in demand_tables():
        agreed = contract.model_dump(include={"frequency", "absent", "minimum_history", "horizon"})
        agreed["columns"] = [{**c.model_dump(), "title": {"en": c.name, "ko": c.name}} for c in contract.columns]
        assert contract.frequency is not None
        dated = frame.with_columns(moments(frame["day"], contract.frequency), naming(contract).alias("series"))
        rows = [
            {"row": i, "series": row["series"], "at": row["day"], "value": row["units"],
             "beside": {c.name: row[c.name] for c in contract.covariates}}
            for i, row in enumerate(dated.iter_rows(named=True))
        ]  # fmt: skip
        told = page.evaluate(script, [rows, agreed])
        lacking = lacking_plans(frame, contract, where="") if contract.ahead else []
        assert {one["id"]: one["key"] for one in told["left"]} == dict.fromkeys(lacking, "series.plan")
        panel = to_panel(frame.filter(~dated["series"].is_in(lacking)), contract, where="")
        assert sorted(one["id"] for one in told["series"]) == sorted(panel.ids)
        assert len(told["unasked"]) == (2 if contract.ahead else 0)
        for series in told["series"]:
            assert_same_series(series, panel, panel.ids.index(series["id"]), contract)


def assert_same_series(series: dict[str, Any], panel: Panel, i: int, contract: Contract) -> None:
    """A history of the page is that of Python's panel, and all that stands beside it."""
    length = len(series["values"])
    own = panel.values[i, -length:]
    np.testing.assert_array_equal(np.array(series["values"], dtype=np.float32), own)
    assert np.isnan(panel.values[i, :-length]).all()
    assert series["last"] == panel.last[i]
    assert contract.frequency is not None
    assert series["later"] == [shifted(int(panel.last[i]), s, contract.frequency) for s in (1, 2, 7)]
    for column in contract.covariates:
        right = np.atleast_1d(panel.covariate(column, length, contract.horizon)[i])
        got: Any = series["beside"][column.name]
        if column.kind == "category":
            got = [column.categories.index(v) if v in column.categories else len(column.categories) for v in got]
        np.testing.assert_array_equal(np.array(got, dtype=right.dtype), right, err_msg=column.name)
