"""The web site: every page is closed to the outside, in two languages, whole, and says what the bundle says."""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
import zipfile
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import polars as pl
import pytest
import yaml
from onnx import parser

import dxai.catalog.site
from dxai.bundle.folder import Bundle
from dxai.bundle.manifest import Manifest, write_manifest
from dxai.bundle.profile import Profile, profile_panel, profile_rows
from dxai.catalog.site.build import POLICY, build_site, site_files
from dxai.catalog.site.onnxruntime_web import ARCHIVE_SHA256, FILES, VERSION, WasmSource
from dxai.catalog.site.words import texts, unit
from dxai.contract import Contract, load_contract
from dxai.data.checks import cast
from dxai.data.windows import to_panel
from dxai.errors import IntegrityError, NotFoundError, SettingsError

HOSTILE = "\"><script>alert(1)</script><img src=x onerror=alert(2)>'{{ 7 * 7 }}</title>"
SITE = Path(dxai.catalog.site.__file__).parent
NOWHERE = "https://127.0.0.1:9"  # the discard port: nobody answers

QUALITY_GRAPH = """
<ir_version: 10, opset_import: ["" : 20, "ai.onnx.ml" : 3]>
hardness (float[batch] heat, float[batch] speed, string[batch] alloy)
  => (float[batch] hardness_predicted, float[batch] hardness_lower, float[batch] hardness_upper)
{
  half = Constant <value_float = 0.5> ()
  usual = Constant <value_float = 7.0> ()
  wide = Constant <value_float = 12.5> ()
  gap = IsNaN (speed)
  filled = Where (gap, usual, speed)
  kind = ai.onnx.ml.LabelEncoder <keys_strings = ["A", "B"], values_floats = [1.0, 2.0], default_float = 9.0> (alloy)
  warm = Mul (heat, half)
  root = Sqrt (filled)
  part = Add (warm, root)
  hardness_predicted = Add (part, kind)
  hardness_lower = Sub (hardness_predicted, wide)
  hardness_upper = Add (hardness_predicted, wide)
}
"""

# The known history, later steps weighing more; the interval widens with the calendar day.
DEMAND_GRAPH = """
<ir_version: 10, opset_import: ["" : 20]>
orders (float[series, context] history, int64[series] last_day)
  => (float[series, 3, 9] quantiles, float[series, 3] mean, float[series, 3] lower, float[series, 3] upper)
<float[1, 3, 9] fan = {-4, -3, -2, -1, 0, 1, 2, 3, 4, -8, -6, -4, -2, 0, 2, 4, 6, 8, -12, -9, -6, -3, 0, 3, 6, 9, 12},
 float[1, 3] ahead = {1, 2, 3}, float[1, 4] ramp = {1, 2, 3, 4}, float nothing = {0}, float far = {0.001},
 int64[1] time = {1}>
{
  gap = IsNaN (history)
  filled = Where (gap, nothing, history)
  unknown = Cast <to = 1> (gap)
  one = Constant <value_float = 1.0> ()
  known = Sub (one, unknown)
  weighed = Mul (filled, ramp)
  total = ReduceSum (weighed, time)
  count = ReduceSum (known, time)
  level = Div (total, count)
  mean = Add (level, ahead)
  level3 = Unsqueeze (level, time)
  quantiles = Add (level3, fan)
  day = Cast <to = 1> (last_day)
  width = Mul (day, far)
  width2 = Unsqueeze (width, time)
  lower = Sub (mean, width2)
  upper = Add (mean, width2)
}
"""


def column(name: str, role: str, kind: str = "number", **more: Any) -> dict[str, Any]:
    """One column of an ODCS contract."""
    titles = {"titleEn": name.capitalize(), "titleKo": name.upper(), **more.pop("custom", {})}
    custom = [{"property": "role", "value": role}, *({"property": k, "value": v} for k, v in titles.items())]
    return {"name": name, "logicalType": kind, "customProperties": custom, **more}


def contract_text(
    name: str, task: str, columns: list[dict[str, Any]], title: str, table: dict[str, Any], domain: str | None = None
) -> str:
    """An ODCS contract; its English texts all end in ``title``."""
    korean = {
        "titleEn": title,
        "titleKo": f"{title} 모델",
        "purposeKo": f"목적 {title}",
        "limitationsKo": f"한계 {title}",
    }
    odcs = {
        "apiVersion": "v3.1.0", "kind": "DataContract", "id": name, "version": "1.0.0", "status": "active",
        "domain": domain if domain is not None else "materials" if task == "quality" else "distribution",
        "description": {"purpose": f"Purpose {title}", "limitations": f"Limits {title}"},
        "customProperties": [{"property": k, "value": v} for k, v in korean.items()],
        "schema": [{
            "name": "rows", "properties": columns,
            "customProperties": [{"property": k, "value": v} for k, v in {"task": task, **table}.items()],
        }],
    }  # fmt: skip
    return yaml.safe_dump(odcs, allow_unicode=True)


def make_bundle(
    folder: Path, contract: str, graph: str | bytes, rows: str, metrics: Mapping[str, Any], *, version: str = "1.0.0",
    context: int = 0, licence: str = "CC-BY-4.0", citation: str = "A source", usage: str = "Anybody",
    extra: Mapping[str, bytes] | None = None,
) -> Bundle:  # fmt: skip
    """A small bundle of the usual files under a hand-written graph, or one that was exported."""
    (folder / "golden").mkdir(parents=True)
    (folder / "figures").mkdir()
    (folder / "contract.yaml").write_text(contract, "utf-8")
    known = load_contract(folder / "contract.yaml")
    typed, _ = cast(pl.read_csv(io.StringIO(rows), infer_schema=False), known)
    terms = {"licence": licence, "citation": citation, "usage": {"en": usage, "ko": f"누구나 {usage}"}}
    profile = profile_rows(typed, known) if known.task == "quality" else _panel_profile(typed, known)
    files: dict[str, bytes] = {
        "model.onnx": graph if isinstance(graph, bytes) else parser.parse_model(graph).SerializeToString(),
        "golden/rows.csv": rows.encode(),
        "metrics.json": json.dumps(metrics).encode(),
        "terms.json": json.dumps(terms).encode(),
        "profile.json": profile.model_dump_json().encode(),
        "figures/coverage.png": png(640, 400),
        **(extra or {}),
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    made = Manifest(
        name=folder.name, version=version, task=known.task, context=context, files={}, versions={}, settings={},
        data_sha256="0" * 64, code="c0ffee" * 10,
    )  # fmt: skip
    write_manifest(folder, made)
    return Bundle.open(folder)


def _panel_profile(typed: pl.DataFrame, contract: Contract) -> Profile:
    return profile_panel(to_panel(typed, contract, where="golden rows"), contract, typed)


def png(width: int, height: int) -> bytes:
    """The head of a PNG file; no browser shows more than its frame."""
    return b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + width.to_bytes(4) + height.to_bytes(4) + b"\x08\x02\0\0\0"


def quality_bundle(
    folder: Path, title: str = "Hardness of a plate", *, domain: str | None = None, **more: Any
) -> Bundle:
    columns = [
        column("heat", "feature", required=True, logicalTypeOptions={"minimum": 0, "maximum": 900},
               custom={"unit": "Cel", "titleEn": "Furnace heat", "titleKo": "노 온도"}),
        column("speed", "feature", logicalTypeOptions={"minimum": 0},
               custom={"unit": "m/s", "titleEn": "Belt speed", "titleKo": "벨트 속도 (평균)"}),
        column("alloy", "feature", "string", custom={"titleEn": "Alloy", "titleKo": "합금"},
               quality=[{"metric": "invalidValues", "arguments": {"validValues": ["A", "B"]}}]),
        column("hardness", "target", custom={"unit": "MPa", "titleEn": "Hardness", "titleKo": "경도"}),
    ]  # fmt: skip
    metrics = {
        "model": {"rmse": 2.0, "mae": 1.5, "r2": 0.9, "coverage": 0.81, "width": 25.0},
        "yardstick": {"mean": {"rmse": 8.0, "mae": 6.0, "r2": -0.01}, "linear": {"rmse": 4.0, "mae": 3.0, "r2": 0.6}},
    }
    rows = (
        "heat,speed,alloy,hardness\n450.5,4,A,233\n300,2.25,B,158\n612,,A,310\n333,1,A,170\n501,9,B,256\n450,3,,235\n"
    )
    contract = contract_text(folder.name, "quality", columns, title, {}, domain)
    return make_bundle(folder, contract, QUALITY_GRAPH, rows, metrics, **more)


def demand_bundle(folder: Path, title: str = "Orders of a shop", **more: Any) -> Bundle:
    columns = [
        column("item", "series", "string", required=True, custom={"titleEn": "Item", "titleKo": "품목"}),
        column("month", "time", "date", required=True, custom={"titleEn": "Month end", "titleKo": "월말"}),
        column("orders", "target", logicalTypeOptions={"minimum": 0},
               custom={"unit": "{unit}", "titleEn": "Orders", "titleKo": "주문량"}),
    ]  # fmt: skip
    ends = ["2024-08-31", "2024-09-30", "2024-10-31", "2024-11-30", "2024-12-31", "2025-01-31"]
    lines = [f"{item},{end},{base + i}" for item, base in (("bolt", 0), ("nut", 5.5)) for i, end in enumerate(ends)]
    rows = "\n".join(["item,month,orders", *lines]) + "\n"
    table = {"frequency": "monthly", "horizon": 3, "season": 12, "minimumHistory": 3, "absentSteps": "missing"}
    metrics = {"model": {"wql": 0.5, "coverage": 0.8, "bias": -0.4, "bias_of_mean": 0.01},
               "yardstick": {"last value": {"wql": 0.4}, "seasonal naive": {"wql": 0.9}}}  # fmt: skip
    contract = contract_text(folder.name, "demand", columns, title, table)
    return make_bundle(folder, contract, DEMAND_GRAPH, rows, metrics, context=4, **more)


class Page(HTMLParser):
    """What a page consists of."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.scripts = ""
        self._inside = ""
        self.feed(content.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = tag
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside in ("script", "style"):
            self.scripts += data
        self.text += data

    def all(self, attribute: str) -> list[str]:
        return [value for _, found in self.elements if (value := found.get(attribute)) is not None]


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Bundle]]:
    old, new = (tmp_path_factory.mktemp(name) for name in ("1.0.0", "1.1.0"))
    hostile = {"title": HOSTILE, "citation": HOSTILE, "usage": HOSTILE, "licence": HOSTILE}
    cell = '"' + HOSTILE.replace('"', '""') + '"'
    outputs = f"heat,alloy,hardness_predicted,hardness_lower,hardness_upper\n{cell},{cell},{cell},{cell},nan\n".encode()
    page = b"<script>alert(3)</script>"
    return {
        "plate-hardness": [
            quality_bundle(new / "plate-hardness", version="1.1.0"),
            quality_bundle(old / "plate-hardness"),
        ],
        "shop-orders": [demand_bundle(new / "shop-orders", extra={"figures/x.html": page, "figures/x.png": page})],
        "hostile": [quality_bundle(new / "hostile", extra={"golden/outputs.csv": outputs}, **hostile)],
    }


@pytest.fixture(scope="module")
def files(shelf: dict[str, list[Bundle]]) -> dict[str, bytes]:
    return dict(site_files(shelf, wasm=None, catalog_url="https://models.example/a b"))


@pytest.fixture(scope="module")
def pages(files: dict[str, bytes]) -> dict[str, Page]:
    return {name: Page(content) for name, content in files.items() if name.endswith(".html")}


def test_every_page_is_closed_to_the_outside(pages: dict[str, Page]) -> None:
    assert len(pages) == 4
    assert "connect-src 'self'" in POLICY and "default-src 'none'" in POLICY
    assert "unsafe-inline" not in POLICY and "'unsafe-eval'" not in POLICY
    for page in pages.values():
        policies = [e["content"] for tag, e in page.elements if e.get("http-equiv") == "Content-Security-Policy"]
        assert policies == [POLICY]
        places = [i for i, (tag, e) in enumerate(page.elements) if tag in ("script", "link") or e.get("http-equiv")]
        assert page.elements[places[0]][1].get("http-equiv")  # a policy holds only for what stands behind it


def test_nothing_is_inline(pages: dict[str, Page]) -> None:
    for page in pages.values():
        assert not page.scripts.strip()
        for tag, attributes in page.elements:
            assert "style" not in attributes and not [a for a in attributes if a.startswith("on")], (tag, attributes)
            assert tag != "style" and not (attributes.get("href") or "").startswith(("javascript:", "data:"))


def test_every_link_leads_to_a_file_of_the_site(files: dict[str, bytes], pages: dict[str, Page]) -> None:
    for name, page in pages.items():
        for link in page.all("href") + page.all("src"):
            parts = urlsplit(link)
            assert not parts.scheme and not parts.netloc, f"{name} leads outside: {link}"
            if not parts.path:
                assert parts.fragment in page.all("id"), f"{name}: {link}"
                continue
            place: list[str] = list(PurePosixPath(name).parent.parts)
            for part in parts.path.split("/"):
                place = place[:-1] if part == ".." else [*place, part]
            assert "/".join(place) in files, f"{name}: {link}"


def test_labels_and_descriptions_name_elements_that_are_there(pages: dict[str, Page]) -> None:
    for name, page in pages.items():
        ids = page.all("id")
        assert len(ids) == len(set(ids)), name
        for attribute in ("for", "aria-labelledby", "aria-describedby"):
            for value in page.all(attribute):
                assert set(value.split()) <= set(ids), (name, attribute, value)
        for tag, attributes in page.elements:
            assert tag != "img" or attributes.get("alt"), name


def test_hostile_texts_stay_texts(files: dict[str, bytes], pages: dict[str, Page]) -> None:
    page = pages["models/hostile/index.html"]
    assert page.text.count(HOSTILE) >= 7  # title, purpose, limits, usage, citation, licence: some in both languages
    assert [tag for tag, _ in page.elements].count("script") == 2
    assert not [e for tag, e in page.elements if tag == "img" and e.get("src") == "x"]
    (card,) = [e for _, e in pages["index.html"].elements if e.get("data-licence") == HOSTILE]
    assert HOSTILE.lower() in (card["data-text"] or "")
    cut = HOSTILE[:40]  # an example shows no more of a cell
    for name in ("models/hostile/index.html", "index.html"):
        assert [tag for tag, _ in pages[name].elements].count("script") == 2
        assert examples(files[name]) == [
            f"Goes in, for example Furnace heat {cut} °C Alloy {cut} and 1 more "
            f"Comes out Hardness {cut} MPa 80 % interval {cut} – nan"
        ]
    assert json.loads(files["models/hostile/page.json"])["name"] == "hostile"


def test_a_page_inside_a_bundle_is_not_handed_out(files: dict[str, bytes], shelf: dict[str, list[Bundle]]) -> None:
    offered = {name for name in files if name.startswith("models/shop-orders/1.0.0/")}
    assert "models/shop-orders/1.0.0/model.onnx" in offered
    assert offered == {
        f"models/shop-orders/1.0.0/{n}" for n in shelf["shop-orders"][0].files if not n.endswith(".html")
    }
    page = Page(files["models/shop-orders/index.html"])
    assert [e["src"] for tag, e in page.elements if tag == "img"] == [
        "1.0.0/figures/coverage.png"
    ]  # the other is no PNG


def test_downloads_are_the_bundle(files: dict[str, bytes], shelf: dict[str, list[Bundle]], tmp_path: Path) -> None:
    bundle = shelf["plate-hardness"][0]
    for name, content in bundle.files.items():
        assert files[f"models/plate-hardness/1.1.0/{name}"] == content
    with zipfile.ZipFile(io.BytesIO(files["models/plate-hardness/plate-hardness-1.1.0.zip"])) as archive:
        archive.extractall(tmp_path)
    assert Bundle.open(tmp_path / "plate-hardness").digest == bundle.digest


def test_the_page_says_what_the_bundle_says(pages: dict[str, Page], shelf: dict[str, list[Bundle]]) -> None:
    text = pages["models/plate-hardness/index.html"].text
    for fact in (
        "Furnace heat",
        "노 온도",
        "°C",
        "0 – 900",
        "300 – 612",
        "A, B",
        "RMSE 2.00 MPa",
        "50% less",
        "CC-BY-4.0",
    ):
        assert fact in text, fact
    for bundle in shelf["plate-hardness"]:
        assert bundle.digest in text
    assert "dxai pull plate-hardness --from 'https://models.example/a b'" in text
    assert "dxai verify plate-hardness" in text
    worse = pages["models/shop-orders/index.html"].text
    assert "no better than the best simple yardstick (Last value)" in worse
    assert "the sum of the means +1%" in worse and "medians is −40%" in worse


def test_the_list_can_be_filtered(pages: dict[str, Page]) -> None:
    page = pages["index.html"]
    values = {e["value"] for tag, e in page.elements if tag in ("option", "button") and "value" in e}
    assert values == {"", "materials", "distribution", "quality", "demand", "CC-BY-4.0", HOSTILE}
    cards = {e["data-sector"]: e for _, e in page.elements if "data-sector" in e}
    assert cards["distribution"]["data-task"] == "demand" and "품목" in (cards["distribution"]["data-text"] or "")


def test_every_sector_is_a_tile_with_its_models_and_a_small_icon(
    files: dict[str, bytes], pages: dict[str, Page]
) -> None:
    page = pages["index.html"]
    buttons = [e for tag, e in page.elements if tag == "button" and "aria-pressed" in e]
    assert [(e["value"], e["aria-pressed"]) for e in buttons] == [("distribution", "false"), ("materials", "false")]
    tiles = re.search('<section class="sectors".*?</section>', files["index.html"].decode(), re.DOTALL)[0]
    icons = re.findall("<svg.*?</svg>", tiles, re.DOTALL)
    assert len(icons) == len(set(icons)) == 7
    assert all('aria-hidden="true"' in icon and len(icon.encode()) < 600 for icon in icons)
    names = re.findall('<b><span class="en" lang="en">(.*?)</span><span class="ko" lang="ko">(.*?)</span></b>', tiles)
    assert [korean for _, korean in names] == ["미래차", "가전·전자", "헬스케어", "조선", "유통", "소재·부품", "공통"]
    other = re.findall(
        '<small .*?><span class="en" lang="ko">(.*?)</span><span class="ko" lang="en">(.*?)</span>', tiles
    )
    assert other == [(korean, english) for english, korean in names]
    text = page.text
    assert text.count(texts()["sectors.none"].en) == 5
    assert text.count(texts()["sectors.one"].ko) == 1 and "2 models" in text


@pytest.mark.parametrize("sector", ["machinery", "general", "", "<b>"])
def test_what_is_of_no_sector_of_the_programme_is_of_all(sector: str, tmp_path: Path) -> None:
    bundle = quality_bundle(tmp_path / "plate-hardness", domain=sector)
    page = Page(dict(site_files({"plate-hardness": [bundle]}, wasm=None))["index.html"])
    (card,) = [e for _, e in page.elements if "data-sector" in e]
    (tile,) = [e for tag, e in page.elements if tag == "button" and "aria-pressed" in e]
    assert card["data-sector"] == tile["value"] == "across"


GOLDEN = {
    "plate-hardness": "heat,speed,alloy,hardness_predicted,hardness_lower,hardness_upper\n"
    "450.5,4,A,228.25,215.75,12345.678\n",
    "shop-orders": "item,month,orders_mean,orders_lower,orders_upper\n"
    "bolt,2025-02-28,1,0,2\nnut,2025-02-28,9.98765,0.00012,20\nnut,2025-03-31,11,1,21\n",
}


MADE = {"plate-hardness": quality_bundle, "shop-orders": demand_bundle}


@pytest.fixture(scope="module")
def golden(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Bundle]]:
    folder = tmp_path_factory.mktemp("golden")
    return {
        name: [make(folder / name, extra={"golden/outputs.csv": GOLDEN[name].encode()})] for name, make in MADE.items()
    }


def test_an_example_goes_in_and_its_prediction_comes_out(golden: dict[str, list[Bundle]]) -> None:
    files = dict(site_files(golden, wasm=None))
    listed = examples(files["index.html"])
    assert listed == [
        "Goes in, for example Furnace heat 450.5 °C Belt speed 4 m/s Alloy A "
        "Comes out Hardness 228.2 MPa 80 % interval 215.8 – 12,346",
        "Goes in, for example Item nut 2024-11-30 8.5 units 2024-12-31 9.5 units 2025-01-31 10.5 units "
        "and 3 earlier months Comes out Orders, 2025-02-28 9.988 units 80 % interval 0.00012 – 20",
    ]
    assert [
        *examples(files["models/plate-hardness/index.html"]),
        *examples(files["models/shop-orders/index.html"]),
    ] == listed


BROKEN = [
    "",
    "\n",
    "nothing\n1\n",
    "hardness_predicted,hardness_lower,hardness_upper\n7\n",
    "item,month,orders_mean\nnut\n",
    "\0,\n\xff",
]


@pytest.mark.parametrize("outputs", BROKEN)
def test_a_broken_golden_prediction_breaks_no_page(outputs: str, tmp_path: Path) -> None:
    extra = {"golden/outputs.csv": outputs.encode("latin-1")}
    shelf = {name: [make(tmp_path / name, extra=extra)] for name, make in MADE.items()}
    told = examples(dict(site_files(shelf, wasm=None))["index.html"])
    assert len(told) == outputs.startswith("hardness_predicted")  # a prediction without the row and the interval


def examples(page: bytes) -> list[str]:
    """The English words of every example on a page."""
    found = re.findall(r'<div class="example">.*?</div>\s*</div>', page.decode(), re.DOTALL)
    return [" ".join(Page(re.sub('<span class="ko".*?</span>', "", text).encode()).text.split()) for text in found]


def test_a_bundle_without_a_golden_prediction_shows_no_example(pages: dict[str, Page]) -> None:
    for name in ("models/plate-hardness/index.html", "models/shop-orders/index.html"):
        assert "example" not in pages[name].all("class")
        assert texts()["example.in"].en not in pages[name].text


def test_units_are_written_as_people_write_them() -> None:
    written = {code: unit(code).en for code in ("kg/m3", "Cel", "{unit}", "1", "MPa", "m/s2", "10*3/uL", "%")}
    assert written == {
        "kg/m3": "kg/m³", "Cel": "°C", "{unit}": "units", "1": "", "MPa": "MPa", "m/s2": "m/s²", "10*3/uL": "10*3/uL",
        "%": "%",
    }  # fmt: skip
    assert unit("d").ko == "일"


def test_every_text_is_there_in_both_languages() -> None:
    for key, text in texts().items():
        assert text.en.strip() and text.ko.strip(), key
        assert set(re.findall(r"{\w+}", text.en)) == set(re.findall(r"{\w+}", text.ko)), key
        assert not re.search("[가-힣]", text.en), key
        assert text.en != text.ko or key.startswith("metric.") or key == "inputs.id", key


def test_every_text_is_used_and_every_used_text_is_there() -> None:
    program = "".join(p.read_text("utf-8") for p in [*SITE.glob("*.py"), *SITE.glob("*.j2"), *SITE.glob("assets/*.js")])
    for key in re.findall(r"""(?:say|text)\("([\w.]+)"[,)]""", program):
        assert key in texts(), key
    for key in texts():
        first, _, last = key.rpartition(".")
        # Keys are also put together, such as "metric." and a name, or a section's id and ".heading".
        composed = (
            f'"{first}."' in program
            or f'word("{first}"' in program
            or f'f"{first}.' in program
            or f"`{first}.$" in program
        )
        composed |= f'".{last}"' in program or f".{last}`" in program
        assert f'"{key}"' in program or composed, f"nothing says {key}"


def test_without_the_runtime_everything_else_works(files: dict[str, bytes], pages: dict[str, Page]) -> None:
    assert not [name for name in files if "onnxruntime" in name]
    page = pages["models/plate-hardness/index.html"]
    assert "program" not in page.all("id") and "dxai predict plate-hardness rows.csv" in page.text
    assert texts()["try.none"].ko in page.text


def test_a_served_site_asks_its_server(shelf: dict[str, list[Bundle]]) -> None:
    served = dict(site_files(shelf, wasm=None, served=True))
    data = json.loads(served["models/shop-orders/page.json"])
    assert data["backend"] == "server" and data["predict"] == "predict"
    page = Page(served["models/shop-orders/index.html"])
    assert "program" in page.all("id") and texts()["try.private.server"].en in page.text
    assert texts()["try.private.browser"].en not in page.text


def test_the_same_shelf_gives_the_same_bytes(shelf: dict[str, list[Bundle]], files: dict[str, bytes]) -> None:
    assert dict(site_files(shelf, wasm=None, catalog_url="https://models.example/a b")) == files


def test_an_empty_shelf_gives_a_page_that_says_so() -> None:
    pages = dict(site_files({}, wasm=None))
    assert texts()["list.empty"].en in Page(pages["index.html"]).text


def test_the_site_is_written_whole_or_not_at_all(shelf: dict[str, list[Bundle]], tmp_path: Path) -> None:
    out = tmp_path / "site"
    build_site(shelf, out, wasm=None)
    before = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
    content = {n: c for n, c in shelf["shop-orders"][0].files.items() if n != "terms.json"}
    manifest = json.loads(content["manifest.json"])
    del manifest["files"]["terms.json"]
    broken = Bundle({**content, "manifest.json": json.dumps(manifest).encode()}, "memory")
    with pytest.raises(IntegrityError, match=r"terms\.json"):
        build_site({**shelf, "shop-orders": [broken]}, out, wasm=None)
    assert {p: p.read_bytes() for p in out.rglob("*") if p.is_file()} == before
    assert [p.name for p in tmp_path.iterdir()] == ["site"]
    build_site({}, out, wasm=None)
    assert not (out / "models").exists()


def test_a_folder_with_something_else_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("three years of work")
    with pytest.raises(SettingsError, match="holds something else than a site"):
        build_site({}, tmp_path, wasm=None)
    assert (tmp_path / "thesis.txt").exists()


def archive_of(folder: Path, name: str = f"onnxruntime-web-{VERSION}.tgz", content: bytes = b"other") -> Path:
    folder.mkdir(exist_ok=True)
    with tarfile.open(folder / name, "w:gz") as archive:
        for file in FILES:
            entry = tarfile.TarInfo(f"package/dist/{file}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return folder / name


@pytest.mark.process
def test_another_archive_is_refused(
    shelf: dict[str, list[Bundle]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive_of(tmp_path / "mirror")
    monkeypatch.setenv("DXAI_MIRROR", str(tmp_path / "mirror"))
    with pytest.raises(IntegrityError, match=f"{ARCHIVE_SHA256[:16]}… is pinned"):
        build_site(shelf, tmp_path / "site", wasm=WasmSource(tmp_path / "cache"))
    assert not (tmp_path / "site").exists()
    assert not list((tmp_path / "cache").iterdir())


@pytest.mark.process
def test_another_file_in_a_right_archive_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = archive_of(tmp_path / "mirror")
    monkeypatch.setattr(
        "dxai.catalog.site.onnxruntime_web.ARCHIVE_SHA256", hashlib.sha256(archive.read_bytes()).hexdigest()
    )
    monkeypatch.setenv("DXAI_MIRROR", str(tmp_path / "mirror"))
    with pytest.raises(IntegrityError, match=r"ort\.wasm\.min\.mjs is not the pinned file"):
        WasmSource(tmp_path / "cache").files()


@pytest.mark.process
def test_a_changed_file_in_the_cache_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cache").mkdir()
    for name in FILES:
        (tmp_path / "cache" / name).write_bytes(b"changed")
    monkeypatch.delenv("DXAI_MIRROR", raising=False)
    monkeypatch.setenv("NPM_CONFIG_REGISTRY", NOWHERE)
    with pytest.raises(NotFoundError, match="could not be fetched"):
        WasmSource(tmp_path / "cache").files()


@pytest.mark.process
def test_without_a_registry_the_way_out_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DXAI_MIRROR", raising=False)
    monkeypatch.setenv("NPM_CONFIG_REGISTRY", NOWHERE)
    with pytest.raises(NotFoundError) as caught:
        WasmSource(tmp_path).files()
    assert "--no-wasm" in caught.value.fix and caught.value.where.startswith(f"{NOWHERE}/onnxruntime-web/-/")


@pytest.mark.network
def test_the_runtime_comes_from_the_registry_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = WasmSource(tmp_path)
    got = source.files()
    assert {name: hashlib.sha256(content).hexdigest() for name, content in got.items()} == FILES
    assert {p.name for p in tmp_path.iterdir()} == set(FILES)
    monkeypatch.setenv("NPM_CONFIG_REGISTRY", NOWHERE)
    assert source.files() == got


@pytest.fixture
def npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A client in the place of npm, a shell script to be written, where nothing else names a registry or a mirror."""
    for name in ("DXAI_MIRROR", "NPM_CONFIG_REGISTRY", "npm_config_registry"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "bin").mkdir()
    client = tmp_path / "bin" / "npm"
    client.write_text("#!/bin/sh\nexit 1\n")
    client.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/bin:/usr/bin")
    return client


@pytest.mark.process
def test_npm_packs_the_archive_where_no_setting_names_a_registry(
    npm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = archive_of(tmp_path / "packed")
    npm.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/asked\ncp {archive} .\n')
    with pytest.raises(IntegrityError, match=f"{ARCHIVE_SHA256[:16]}… is pinned"):
        WasmSource(tmp_path / "cache").files()
    assert not (tmp_path / "cache").exists()
    for name in FILES:
        monkeypatch.setitem(FILES, name, hashlib.sha256(b"other").hexdigest())
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    monkeypatch.setattr("dxai.catalog.site.onnxruntime_web.ARCHIVE_SHA256", digest)
    assert set(WasmSource(tmp_path / "cache").files()) == set(FILES)
    assert (tmp_path / "asked").read_text().startswith("pack onnxruntime-web@1.30.0 ")
    assert {p.name for p in (tmp_path / "cache").iterdir()} == set(FILES)


@pytest.mark.process
def test_what_npm_says_is_told_with_the_three_ways(npm: Path, tmp_path: Path) -> None:
    npm.write_text("#!/bin/sh\necho 'npm error code ENOTFOUND' >&2\necho 'npm error network no route.' >&2\nexit 1\n")
    with pytest.raises(NotFoundError, match=r"npm says ENOTFOUND, network no route\.\n") as caught:
        WasmSource(tmp_path / "cache").files()
    assert all(way in caught.value.fix for way in ("npm", "DXAI_MIRROR", "--no-wasm"))


def test_without_npm_the_three_ways_are_told(npm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotFoundError, match="npm is not installed") as caught:
        WasmSource(tmp_path / "cache").files()
    assert all(way in caught.value.fix for way in ("npm", "DXAI_MIRROR", "--no-wasm"))
    assert not (tmp_path / "cache").exists()
