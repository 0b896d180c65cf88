"""Shared by all tests: one thread, no telemetry, a store of its own, the checkout, the real tables, tiny bundles."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["DVC_NO_ANALYTICS"] = "1"

from dxai.arithmetic import make_portable

make_portable()  # before anything imports numpy, polars or torch: as `dxai train` and the stages do

import polars as pl  # noqa: E402
import pytest  # noqa: E402
from polars.testing import assert_frame_equal  # noqa: E402

pytest_plugins = ["guard"]

_CHECKOUT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session", autouse=True)
def one_torch_thread() -> None:
    """Small networks are faster on one thread; a selection of tests that never imports torch does not pay for it."""
    if (torch := sys.modules.get("torch")) is not None:
        torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def own_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """No test reads or writes the models, keys and catalogs of whoever runs it."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("DXAI_CATALOG", "DXAI_KEYS", "DXAI_KEYS_PASSPHRASE", "DXAI_DEBUG", "MLFLOW_TRACKING_URI"):
            patch.delenv(name, raising=False)
        home = tmp_path_factory.mktemp("home")
        patch.setenv("DXAI_HOME", str(home))
        yield home


@pytest.fixture(scope="session")
def checkout() -> Path:
    """The root of the repository."""
    return _CHECKOUT


@pytest.fixture
def workplace(checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout of its own with a firm's small table in own/, and the place where the test stands."""
    from test_own_data import castings, data_folder, quality

    for name in ("configs", "contracts"):
        shutil.copytree(checkout / name, tmp_path / name)
    data_folder(tmp_path / "own", quality(), castings())
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def shared_data(checkout: Path) -> Path:
    """Real data files kept beside the checkout; not part of the repository."""
    folder = checkout.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("there is no folder ../shared/data beside the checkout")
    return folder


@pytest.fixture(scope="session", params=["concrete-strength", "retail-demand"])
def released(request: pytest.FixtureRequest, checkout: Path) -> Path:
    """A released model's folder, whole."""
    folder: Path = checkout / "models" / request.param
    if not (folder / "manifest.json").is_file():
        pytest.skip(f"models/{request.param} is not here whole: git holds its words, `make demo` makes the rest")
    return folder


@pytest.fixture(scope="session")
def concrete_table(checkout: Path) -> pl.DataFrame:
    """1,030 concrete specimens; fetched through the package index on first use."""
    return _prepared("concrete", checkout)


@pytest.fixture(scope="session")
def retail_table(checkout: Path) -> pl.DataFrame:
    """Weekly units of 1,609 products; fetched through the package index on first use."""
    return _prepared("retail", checkout)


@pytest.fixture(scope="session")
def m3_monthly_table(checkout: Path) -> pl.DataFrame:
    """1,428 monthly M3 series; fetched through the package index on first use."""
    return _prepared("m3_monthly", checkout)


def _prepared(experiment: str, checkout: Path) -> pl.DataFrame:
    from dxai.config.compose import settings_from
    from dxai.data.table import prepared_table

    return prepared_table(settings_from([f"experiment={experiment}"], checkout=checkout).data, checkout)


def assert_same_answers(found: bytes, golden: bytes) -> None:
    """Two tables of predictions, as CSV: the last digits are those of the kernels that computed them."""
    one, other = (pl.read_csv(table, infer_schema_length=None) for table in (found, golden))
    assert_frame_equal(one, other, check_exact=False, rel_tol=1e-4, abs_tol=1e-4)


MakeBundle = Callable[..., Path]


@pytest.fixture(scope="session")
def make_bundle() -> MakeBundle:
    """Writes a whole bundle of a hand-made graph within milliseconds.

    Hardness is ``80 + 0.2 * pressure - 0.1 * (melt - 700)``, 6 more in 창원 and 12 in Ulsan, with a bound 5 below and
    above; the forecast of a part is the mean of its last twelve months. Arguments: the folder, ``task``, ``name``,
    ``version``, ``usage`` and ``card``.
    """
    return _make_bundle


@pytest.fixture(scope="session")
def _published(make_bundle: MakeBundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from dxai.bundle.folder import Bundle
    from dxai.catalog.ceremony import make_keys
    from dxai.catalog.keys import KeyRing
    from dxai.catalog.repository import Catalog

    folder = tmp_path_factory.mktemp("published")
    make_keys(folder / "keys")
    ring = KeyRing(folder / "keys")
    catalog = Catalog.make(folder / "catalog", ring)
    for task, name in (("quality", "casting-hardness"), ("demand", "spare-parts")):
        catalog.add(Bundle.open(make_bundle(folder / name, task=task, name=name)), ring)
    return folder


@pytest.fixture
def catalog_folder(_published: Path, tmp_path: Path) -> Path:
    """A catalog of both tiny models, version 1.0.0, to be changed; its keys are in the folder ``keys`` beside it."""
    shutil.copytree(_published / "keys", tmp_path / "keys")
    return shutil.copytree(_published / "catalog", tmp_path / "catalog")


def _make_bundle(
    folder: Path,
    *,
    task: str = "quality",
    name: str = "casting-hardness",
    version: str = "1.0.0",
    usage: str = "Any member firm may use it.",
    card: str = "# Card\n",
) -> Path:
    from dxai.bundle.manifest import Manifest, write_manifest
    from dxai.bundle.profile import profile_panel, profile_rows
    from dxai.contract import parse_contract
    from dxai.contract.terms import Terms, Text
    from dxai.data.checks import cast
    from dxai.data.output import write_table
    from dxai.data.windows import to_panel
    from dxai.inference.model import Model
    from dxai.inference.predict import Prediction
    from dxai.ship.sbom import ml_bom
    from dxai.ship.slsa import provenance_statement

    quality = task == "quality"
    text, graph, rows = (_CASTING, _quality_graph(), _castings()) if quality else (_PARTS, _demand_graph(), _parts())
    contract = parse_contract(text, where="contract.yaml")
    metrics = json.loads(_QUALITY_METRICS if quality else _DEMAND_METRICS)
    terms = Terms(licence="CC-BY-4.0", citation="Made up.", usage=Text(en=usage, ko="회원사는 누구나 쓸 수 있습니다."))
    typed, _ = cast(rows, contract)
    profile = (
        profile_rows(typed, contract)
        if quality
        else profile_panel(to_panel(typed, contract, where=""), contract, typed)
    )
    golden = rows.head(8).drop("hardness") if quality else rows
    manifest = Manifest(
        name=name, version=version, task=task, context=0 if quality else 12, files={}, code="0" * 64,
        versions={"onnx": "1.23.2", "polars": "1.34.0"}, data_sha256="a" * 64,
        settings={"model": {"_target_": "dxai.networks.linear.Linear"}},
    )  # fmt: skip
    (folder / "golden").mkdir(parents=True)
    (folder / "figures").mkdir()
    answers = Prediction(Model(graph, contract, context=manifest.context)).blocks([golden])
    golden.write_csv(folder / "golden/rows.csv")
    write_table(answers, folder / "golden/outputs.csv")
    texts = {
        "contract.yaml": text, "card.md": card, "metrics.json": json.dumps(metrics),
        "terms.json": terms.model_dump_json(), "profile.json": profile.model_dump_json(),
    }  # fmt: skip
    files: Mapping[str, bytes] = {n: t.encode() for n, t in texts.items()} | {
        "model.onnx": graph,
        "figures/a.png": _PNG,
    }
    for file, content in files.items():
        (folder / file).write_bytes(content)
    (folder / "sbom.cdx.json").write_text(ml_bom(folder, manifest, contract, terms, metrics), "utf-8")
    (folder / "provenance.json").write_text(provenance_statement(folder, manifest), "utf-8")
    write_manifest(folder, manifest)
    return folder


def _castings() -> pl.DataFrame:
    pressure = [20.0 + 1.5 * i for i in range(60)]
    melt = [680.0 + i for i in range(60)]
    plant = ["부산", "창원", "Ulsan"] * 20
    hardness = [round(80 + 0.2 * p - 0.1 * (m - 700), 3) for p, m in zip(pressure, melt, strict=True)]
    table = {"pressure": pressure, "melt": melt, "plant": plant, "hardness": hardness}
    return pl.DataFrame(table).cast(pl.String)


def _parts() -> pl.DataFrame:
    months = pl.date_range(pl.date(2020, 1, 31), pl.date(2021, 12, 31), "1mo", eager=True).dt.month_end()
    return pl.concat([
        pl.DataFrame({"part": f"부품 {i}", "month": months, "units": [float(i + m % 4) for m in range(24)]})
        for i in range(1, 7)
    ]).cast(pl.String)  # fmt: skip


def _quality_graph() -> bytes:
    from onnx import TensorProto, helper

    numbers = {"usual": 700.0, "slope": 0.2, "fall": -0.1, "base": 80.0, "half": 5.0}
    nodes = [
        helper.make_node("IsNaN", ["melt"], ["missing"]),
        helper.make_node("Where", ["missing", "usual", "melt"], ["known"]),
        helper.make_node("Sub", ["known", "usual"], ["hotter"]),
        helper.make_node("Mul", ["hotter", "fall"], ["softer"]),
        helper.make_node("Mul", ["pressure", "slope"], ["rise"]),
        helper.make_node(
            "LabelEncoder", ["plant"], ["effect"], domain="ai.onnx.ml",
            keys_strings=["부산", "창원", "Ulsan"], values_floats=[0.0, 6.0, 12.0], default_float=0.0,
        ),
        helper.make_node("Sum", ["base", "rise", "softer", "effect"], ["hardness_predicted"]),
        helper.make_node("Sub", ["hardness_predicted", "half"], ["hardness_lower"]),
        helper.make_node("Add", ["hardness_predicted", "half"], ["hardness_upper"]),
    ]  # fmt: skip
    kinds = {"pressure": TensorProto.FLOAT, "melt": TensorProto.FLOAT, "plant": TensorProto.STRING}
    inputs = [helper.make_tensor_value_info(name, kind, ["batch"]) for name, kind in kinds.items()]
    outputs = [
        helper.make_tensor_value_info(f"hardness_{bound}", TensorProto.FLOAT, ["batch"])
        for bound in ("predicted", "lower", "upper")
    ]
    weights = [helper.make_tensor(name, TensorProto.FLOAT, [], [value]) for name, value in numbers.items()]
    return _serialized(helper.make_graph(nodes, "hardness", inputs, outputs, weights))


def _demand_graph() -> bytes:
    from onnx import TensorProto, helper

    weights = [
        helper.make_tensor("zero", TensorProto.FLOAT, [], [0.0]),
        helper.make_tensor("one", TensorProto.FLOAT, [], [1.0]),
        helper.make_tensor("axis", TensorProto.INT64, [1], [1]),
        helper.make_tensor("last", TensorProto.INT64, [1], [2]),
        helper.make_tensor("steps", TensorProto.FLOAT, [1, 3], [1.0] * 3),
        helper.make_tensor("deciles", TensorProto.FLOAT, [9], [0.6 + 0.1 * i for i in range(9)]),
        helper.make_tensor("narrow", TensorProto.FLOAT, [], [0.5]),
        helper.make_tensor("wide", TensorProto.FLOAT, [], [1.5]),
    ]
    nodes = [
        helper.make_node("IsNaN", ["history"], ["missing"]),
        helper.make_node("Where", ["missing", "zero", "history"], ["known"]),
        helper.make_node("Where", ["missing", "zero", "one"], ["there"]),
        helper.make_node("ReduceSum", ["known", "axis"], ["sum"]),
        helper.make_node("ReduceSum", ["there", "axis"], ["count"]),
        helper.make_node("Div", ["sum", "count"], ["level"]),
        helper.make_node("Mul", ["level", "steps"], ["mean"]),
        helper.make_node("Mul", ["mean", "narrow"], ["lower"]),
        helper.make_node("Mul", ["mean", "wide"], ["upper"]),
        helper.make_node("Unsqueeze", ["mean", "last"], ["column"]),
        helper.make_node("Mul", ["column", "deciles"], ["quantiles"]),
    ]
    inputs = [
        helper.make_tensor_value_info("history", TensorProto.FLOAT, ["series", "context"]),
        helper.make_tensor_value_info("last_day", TensorProto.INT64, ["series"]),
    ]
    outputs = [helper.make_tensor_value_info("quantiles", TensorProto.FLOAT, ["series", 3, 9])]
    outputs += [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["series", 3]) for name in ("mean", "lower", "upper")
    ]
    return _serialized(helper.make_graph(nodes, "units", inputs, outputs, weights))


def _serialized(graph: object) -> bytes:
    from onnx import helper

    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("ai.onnx.ml", 3)]
    content: bytes = helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString()
    return content


_PNG = b"\x89PNG\r\n\x1a\n made up"
_QUALITY_METRICS = (
    '{"model": {"rmse": 2.5, "coverage": 0.8}, "yardstick": {"mean": {"rmse": 9.0}, "linear": {"rmse": 4.0}}}'
)
_DEMAND_METRICS = '{"model": {"wql": 0.25, "coverage": 0.8}, "yardstick": {"naive": {"wql": 0.5}}}'

_CASTING = """
apiVersion: v3.1.0
kind: DataContract
id: casting-hardness
name: Hardness of castings
version: 1.0.0
status: active
domain: materials
description: {purpose: Predict the hardness of a casting., limitations: Made up for tests.}
customProperties:
  - {property: titleEn, value: Hardness of castings}
  - {property: titleKo, value: 주물 경도}
  - {property: purposeKo, value: 주물의 경도를 예측합니다.}
  - {property: limitationsKo, value: 시험용입니다.}
schema:
  - name: castings
    logicalType: object
    customProperties:
      - {property: task, value: quality}
    properties:
      - name: pressure
        logicalType: number
        required: true
        logicalTypeOptions: {minimum: 0, maximum: 200}
        customProperties:
          - {property: role, value: feature}
          - {property: unit, value: MPa}
          - {property: titleEn, value: Die pressure}
          - {property: titleKo, value: 금형 압력}
      - name: melt
        logicalType: number
        customProperties:
          - {property: role, value: feature}
          - {property: unit, value: Cel}
          - {property: titleEn, value: Melt temperature}
          - {property: titleKo, value: 용탕 온도}
      - name: plant
        logicalType: string
        quality: [{metric: invalidValues, mustBe: 0, arguments: {validValues: [부산, 창원, Ulsan]}}]
        customProperties:
          - {property: role, value: feature}
          - {property: titleEn, value: Plant}
          - {property: titleKo, value: 공장}
      - name: hardness
        logicalType: number
        required: true
        logicalTypeOptions: {minimum: 0, maximum: 1000}
        customProperties:
          - {property: role, value: target}
          - {property: unit, value: "{HV}"}
          - {property: titleEn, value: Hardness}
          - {property: titleKo, value: 경도}
"""

_PARTS = """
apiVersion: v3.1.0
kind: DataContract
id: spare-parts
name: Monthly demand of spare parts
version: 1.0.0
status: active
domain: distribution
description: {purpose: Forecast the units of the next three months., limitations: Made up for tests.}
customProperties:
  - {property: titleEn, value: Monthly demand of spare parts}
  - {property: titleKo, value: 월간 부품 수요}
schema:
  - name: parts
    logicalType: object
    customProperties:
      - {property: task, value: demand}
      - {property: frequency, value: monthly}
      - {property: horizon, value: 3}
      - {property: season, value: 12}
      - {property: minimumHistory, value: 4}
      - {property: absentSteps, value: zero}
    properties:
      - name: part
        logicalType: string
        required: true
        customProperties:
          - {property: role, value: series}
          - {property: titleEn, value: Part}
          - {property: titleKo, value: 부품}
      - name: month
        logicalType: date
        required: true
        customProperties:
          - {property: role, value: time}
          - {property: titleEn, value: Month end}
          - {property: titleKo, value: 월말}
      - name: units
        logicalType: number
        required: true
        logicalTypeOptions: {minimum: 0}
        customProperties:
          - {property: role, value: target}
          - {property: unit, value: "1"}
          - {property: titleEn, value: Units}
          - {property: titleKo, value: 수량}
"""
