"""A bundle loads when its graph is the contract's and repeats its golden rows; every other is refused in one line.

Two small bundles, one of each task, are made here with `onnx`; the released models go through the two trials.
"""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import polars as pl
import pytest
from onnx import TensorProto, helper
from trials.bombs import BOMBS, node

from dxai.bundle.folder import Bundle
from dxai.bundle.manifest import CONTRACT, GOLDEN_OUTPUTS, GOLDEN_ROWS, MANIFEST, MODEL, Manifest, file_entry
from dxai.errors import ModelError
from dxai.inference import loader
from dxai.inference.loader import TOLERANCE, golden_of, load_model

pytestmark = pytest.mark.process

DECILES = range(10, 100, 10)
ODCS = """\
apiVersion: v3.1.0
kind: DataContract
id: {id}
version: 1.0.0
status: active
description: {{purpose: test}}
customProperties: [{{property: titleEn, value: test}}, {{property: titleKo, value: 시험}}]
schema:
  - name: rows
    logicalType: object
    customProperties: {table}
    properties:
"""
COLUMN = """\
      - name: {name}
        logicalType: {kind}
        required: {required}
        customProperties:
          [{{property: role, value: {role}}}, {{property: titleEn, value: a}}, {{property: titleKo, value: 가}}]
{more}"""
PLANTS = """\
        quality: [{metric: invalidValues, arguments: {validValues: [부산, Ulsan]}}]
"""
RANGE = """\
        logicalTypeOptions: {minimum: 0, maximum: 100}
"""


def odcs(name: str, table: str, *columns: tuple[str, str, str, str, str]) -> str:
    keys = ("name", "kind", "role", "required", "more")
    return ODCS.format(id=name, table=table) + "".join(
        COLUMN.format(**dict(zip(keys, column, strict=True))) for column in columns
    )


QUALITY = odcs(
    "casting", "[{property: task, value: quality}]",
    ("pressure", "number", "feature", "true", RANGE), ("plant", "string", "feature", "false", PLANTS),
    ("hardness", "number", "target", "false", ""),
)  # fmt: skip
DEMAND = odcs(
    "parts",
    "[{property: task, value: demand}, {property: frequency, value: weekly}, {property: horizon, value: 2},"
    " {property: absentSteps, value: zero}]",
    ("part", "string", "series", "true", ""), ("week", "date", "time", "true", ""),
    ("units", "number", "target", "true", ""),
)  # fmt: skip


def values(*infos: tuple[str, int, list[Any]]) -> list[onnx.ValueInfoProto]:
    return [helper.make_tensor_value_info(*info) for info in infos]


def model(nodes: list[Any], inputs: list[Any], outputs: list[Any], numbers: dict[str, Any]) -> onnx.ModelProto:
    weights = [onnx.numpy_helper.from_array(np.asarray(array), name) for name, array in numbers.items()]
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("ai.onnx.ml", 3)]
    whole = helper.make_graph(nodes, "g", values(*inputs), values(*outputs), weights)
    return helper.make_model(whole, ir_version=10, opset_imports=opsets)


def casting_model() -> onnx.ModelProto:
    """Hardness is twice the pressure plus the number of the plant, two up and down."""
    encode = helper.make_node(
        "LabelEncoder", ["plant"], ["code"], domain="ai.onnx.ml", keys_strings=["부산", "Ulsan"], values_int64s=[0, 1],
        default_int64=2,
    )  # fmt: skip
    nodes = [
        encode, node("Cast", "code", "shift", to=TensorProto.FLOAT), node("Mul", "pressure twice", "double"),
        node("Add", "double shift", "hardness_predicted"), node("Sub", "hardness_predicted twice", "hardness_lower"),
        node("Add", "hardness_predicted twice", "hardness_upper"),
    ]  # fmt: skip
    outputs = [(f"hardness_{name}", TensorProto.FLOAT, ["batch"]) for name in ("predicted", "lower", "upper")]
    inputs = [("pressure", TensorProto.FLOAT, ["batch"]), ("plant", TensorProto.STRING, ["batch"])]
    return model(nodes, inputs, outputs, {"twice": np.float32(2)})


def parts_model() -> onnx.ModelProto:
    """Every step is the mean of the history; the deciles stand one apart."""
    nodes = [
        node("IsNaN", "history", "gap"), node("Where", "gap zero history", "known"),
        node("ReduceMean", "known axis", "level", keepdims=1), node("Mul", "level steps", "mean"),
        node("Sub", "mean four", "lower"), node("Add", "mean four", "upper"), node("Unsqueeze", "mean last", "deep"),
        node("Add", "deep deciles", "quantiles"),
    ]  # fmt: skip
    numbers = {
        "zero": np.float32(0), "axis": np.int64([1]), "steps": np.float32([[1, 1]]), "four": np.float32(4),
        "last": np.int64([-1]), "deciles": np.arange(-4, 5, dtype=np.float32)[None, None],
    }  # fmt: skip
    outputs = [(name, TensorProto.FLOAT, ["series", 2]) for name in ("mean", "lower", "upper")]
    outputs.insert(0, ("quantiles", TensorProto.FLOAT, ["series", 2, 9]))
    inputs = [("history", TensorProto.FLOAT, ["series", "context"]), ("last_day", TensorProto.INT64, ["series"])]
    return model(nodes, inputs, outputs, numbers)


def casting_files() -> dict[str, bytes]:
    rows = pl.DataFrame({"pressure": [10.5, 20.0, 0.0, 99.0], "plant": ["부산", "Ulsan", "Incheon", None]})
    middle = np.float32([21, 41, 2, 200])
    answers = rows.with_columns(hardness_predicted=middle, hardness_lower=middle - 2, hardness_upper=middle + 2)
    return {
        MODEL: casting_model().SerializeToString(), CONTRACT: QUALITY.encode(),
        GOLDEN_ROWS: rows.write_csv().encode(), GOLDEN_OUTPUTS: answers.write_csv().encode(),
    }  # fmt: skip


def parts_files() -> dict[str, bytes]:
    weeks = [date(2024, 1, 7), date(2024, 1, 14)]
    rows = pl.DataFrame({"part": ["a", "a", "b", "b"], "week": weeks * 2, "units": [1.0, 5.0, 10.0, 20.0]})
    mean = np.float32([3, 3, 15, 15])
    later = [date(2024, 1, 21), date(2024, 1, 28)]
    answers = pl.DataFrame({
        "part": ["a", "a", "b", "b"], "week": later * 2, "units_mean": mean, "units_lower": mean - 4,
        "units_upper": mean + 4, **{f"units_q{level}": mean + level // 10 - 5 for level in DECILES},
    })  # fmt: skip
    return {
        MODEL: parts_model().SerializeToString(), CONTRACT: DEMAND.encode(),
        GOLDEN_ROWS: rows.write_csv().encode(), GOLDEN_OUTPUTS: answers.write_csv().encode(),
    }  # fmt: skip


def sealed(files: dict[str, bytes], *, task: str = "quality", context: int = 0) -> dict[str, bytes]:
    manifest = Manifest(
        name="casting", version="1.0.0", task=task, context=context, versions={}, settings={}, data_sha256="",
        code="", files={name: file_entry(data) for name, data in files.items()},
    )  # fmt: skip
    return {**files, MANIFEST: manifest.model_dump_json().encode()}


def casting(**changed: bytes | str) -> Bundle:
    """A quality bundle with some files changed, and its manifest with them."""
    names = {"graph": MODEL, "contract": CONTRACT, "rows": GOLDEN_ROWS, "outputs": GOLDEN_OUTPUTS}
    new = {names[key]: data if isinstance(data, bytes) else data.encode() for key, data in changed.items()}
    return Bundle(sealed({**casting_files(), **new}), "here")


def parts(*, context: int = 2, rows: str = "") -> Bundle:
    files = parts_files() | ({GOLDEN_ROWS: rows.encode()} if rows else {})
    return Bundle(sealed(files, task="demand", context=context), "here")


def refusal(bundle: Bundle, **how: Any) -> str:
    with pytest.raises(ModelError) as caught:
        load_model(bundle, **how)
    error = caught.value
    assert (error.exit_code, error.where) == (7, "here/model.onnx")
    assert error.fix.startswith("Do not use it.")
    assert error.problem.isprintable()
    assert len(error.problem) < 250
    return error.problem


def test_a_quality_bundle_loads_and_predicts() -> None:
    found = load_model(casting()).predict(pl.DataFrame({"pressure": [1.0, 2.0], "plant": ["Ulsan", None]}))
    assert found["hardness_predicted"].to_list() == [3.0, 6.0]


def test_a_demand_bundle_loads_and_forecasts() -> None:
    bundle = parts()
    rows = pl.DataFrame({"part": ["x"] * 2, "week": [date(2024, 1, 7), date(2024, 1, 14)], "units": [2.0, 4.0]})
    found = load_model(bundle).predict(rows)
    assert found["units_mean"].to_list() == [3.0, 3.0]
    assert found["units_q90"].to_list() == [7.0, 7.0]


def test_golden_rows_are_the_inputs_and_outputs_of_the_graph() -> None:
    golden = golden_of(parts())
    assert golden.inputs["history"].tolist() == [[1, 5], [10, 20]]
    assert golden.inputs["last_day"].tolist() == [(date(2024, 1, 14) - date(1970, 1, 1)).days] * 2
    assert [(name, array.shape) for name, array in golden.outputs.items()] == [
        ("quantiles", (2, 2, 9)), ("mean", (2, 2)), ("lower", (2, 2)), ("upper", (2, 2)),
    ]  # fmt: skip
    assert golden.rows == 2


@pytest.mark.parametrize(("share", "fits"), [(0.5, True), (-0.5, True), (1.5, False), (-1.5, False)])
def test_golden_outputs_may_differ_by_the_tolerance_and_no_more(share: float, fits: bool) -> None:
    """200 is the largest golden value of the prediction."""
    files = casting_files()
    answers = pl.read_csv(files[GOLDEN_OUTPUTS])
    moved = answers.with_columns(pl.col("hardness_predicted") + share * TOLERANCE * 200).write_csv()
    if fits:
        assert load_model(casting(outputs=moved)).outputs == ["hardness_predicted", "hardness_lower", "hardness_upper"]
    else:
        problem = refusal(casting(outputs=moved))
        assert problem == (
            "The graph's values of 'hardness_predicted' differ from the golden ones by up to 0.03, "
            "however 0.02 is allowed."
        )


def outputs_changed(change: Callable[[pl.DataFrame], pl.DataFrame]) -> str:
    return change(pl.read_csv(casting_files()[GOLDEN_OUTPUTS])).write_csv()


@pytest.mark.parametrize(
    ("outputs", "told"),
    [
        (outputs_changed(lambda t: t.head(3)), "not as many golden outputs"),
        (outputs_changed(lambda t: t.reverse()), "differ from the golden ones"),
        (outputs_changed(lambda t: t.with_columns(hardness_lower=pl.lit("NaN"))), "'hardness_lower' differ"),
        (outputs_changed(lambda t: t.with_columns(hardness_lower=pl.lit(""))), "cannot be used"),
        (outputs_changed(lambda t: t.with_columns(hardness_upper=pl.lit("inf"))), "'hardness_upper' differ"),
        (outputs_changed(lambda t: t.with_columns(hardness_upper=pl.lit("many"))), "cannot be used"),
        (outputs_changed(lambda t: t.drop("hardness_upper")), '"hardness_upper" not found'),
        (outputs_changed(lambda t: t.head(0)), "golden/outputs.csv has no rows."),
        (b"", "cannot be used"),
        (b"\xff\xfe\0", "cannot be used"),
        (b"hardness_predicted\n" + b"1\n" * (5 << 20), "golden/outputs.csv has 10,485,779 bytes"),
    ],
)  # fmt: skip
def test_other_golden_outputs_are_refused(outputs: bytes | str, told: str) -> None:
    assert told in refusal(casting(outputs=outputs))


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ("pressure,plant\n", "golden/rows.csv has no rows."),
        ("plant\n부산\n", 'unable to find column "pressure"'),
        ("pressure,plant\n-1,부산\n", "'pressure' is at least 0"),
        ("pressure,plant\nx,부산\n", "'pressure' holds numbers"),
        ("pressure,plant\n,부산\n", "'pressure' must not be empty"),
        ('pressure,plant\n1,"a', "cannot be used"),
        ("pressure,plant\n1,a,b\n", "cannot be used"),
        ("pressure,plant\n\x1b[31m,a\n", "'\\x1b[31m'"),
    ],
)  # fmt: skip
def test_golden_rows_that_break_the_contract_are_refused(rows: str, told: str) -> None:
    assert told in refusal(casting(rows=rows))


@pytest.mark.parametrize("context", [-1, 0, 10_001, 10**15])
def test_an_absurd_context_is_refused(context: int) -> None:
    assert "looks at 1 to 10,000 steps of history" in refusal(parts(context=context))


def test_golden_histories_that_would_fill_the_memory_are_refused() -> None:
    names = "".join(f"p{i},0001-01-07,1\np{i},9999-12-26,1\n" for i in range(5000))
    assert "histories are too long" in refusal(parts(rows=f"part,week,units\n{names}"))


def test_golden_dates_off_the_grid_are_refused_in_one_line() -> None:
    rows = "part,week,units\na,2024-01-07,1\na,2024-01-08,2\n"
    assert "not on the weekly grid" in refusal(parts(rows=rows))


def test_a_graph_that_breaks_a_rule_never_reaches_the_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    bad = casting_model()
    bad.graph.node[0].domain = "evil"
    assert "of 'evil'" in refusal(casting(graph=bad.SerializeToString()))
    other = casting_model()
    other.graph.input[0].name = other.graph.node[2].input[0] = "force"
    assert "however the contract asks for float 'pressure' [batch]" in refusal(casting(graph=other.SerializeToString()))


def test_a_graph_that_answers_otherwise_is_refused() -> None:
    other = casting_model()
    other.graph.initializer[0].raw_data = np.float32(2.001).tobytes()
    assert "differ from the golden ones" in refusal(casting(graph=other.SerializeToString()))


def test_a_graph_that_answers_in_another_shape_is_refused() -> None:
    """It declares one value per row and gives one in all."""
    other = casting_model()
    other.graph.node[4].output[0] = "lower"
    other.graph.node.append(node("ReduceMin", "lower", "hardness_lower", keepdims=1))
    problem = refusal(casting(graph=other.SerializeToString()))
    assert problem == "The graph's values of 'hardness_lower' have the shape [1], however the golden ones have [4]."


def test_a_graph_that_works_for_few_rows_only_is_refused() -> None:
    """Four rows make 64 numbers of the cube, 1,024 make a thousand million."""
    swelling = casting_model()
    nodes = [
        node("Unsqueeze", "pressure two", "column"), node("Unsqueeze", "pressure three", "layer"),
        node("Add", "pressure column", "square"), node("Add", "square layer", "cube"),
        node("ReduceMax", "cube", "most", keepdims=0), node("Mul", "most none", "nothing"),
        node("Add", "double nothing", "more"),
    ]  # fmt: skip
    for place, new in enumerate(nodes):
        swelling.graph.node.insert(3 + place, new)
    swelling.graph.node[10].input[0] = "more"
    for name, array in {"two": np.int64([1]), "three": np.int64([1, 2]), "none": np.float32(0)}.items():
        swelling.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    assert refusal(casting(graph=swelling.SerializeToString())) == "The graph asks for more than 2048 MiB of memory."


def without_a_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on no child can be started: a load that needs one fails."""
    monkeypatch.setattr(sys, "executable", "/nowhere/python")


def test_a_checked_bundle_does_not_pay_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checked = tmp_path / "store" / "checked"
    load_model(casting(), checked=checked)
    (mark,) = checked.iterdir()
    assert stat.S_IMODE(mark.stat().st_mode) == 0o600
    without_a_sandbox(monkeypatch)
    assert load_model(casting(), checked=checked).outputs[0] == "hardness_predicted"
    with pytest.raises(FileNotFoundError):
        load_model(casting())


@pytest.mark.parametrize("content", [b"", b"yes", b"\xff" * 64, None])
def test_a_broken_mark_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None) -> None:
    load_model(casting(), checked=tmp_path)
    (mark,) = tmp_path.iterdir()
    mark.unlink()
    mark.mkdir() if content is None else mark.write_bytes(content)
    load_model(casting(), checked=tmp_path)
    assert content is None or mark.read_text() == mark.name  # a good load mends it
    without_a_sandbox(monkeypatch)
    if content is None:
        with pytest.raises(FileNotFoundError):
            load_model(casting(), checked=tmp_path)


def test_a_mark_is_of_one_bundle_and_one_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load_model(casting(), checked=tmp_path)
    without_a_sandbox(monkeypatch)
    with pytest.raises(FileNotFoundError):
        load_model(parts(), checked=tmp_path)
    for name in ("POLICY", "__version__"):
        with monkeypatch.context() as patch, pytest.raises(FileNotFoundError):
            patch.setattr(loader, name, "another")
            load_model(casting(), checked=tmp_path)
    with monkeypatch.context() as patch, pytest.raises(FileNotFoundError):
        patch.setattr(loader.onnxruntime, "__version__", "1.99.0")
        load_model(casting(), checked=tmp_path)


def test_a_refused_bundle_leaves_no_mark(tmp_path: Path) -> None:
    refusal(casting(outputs=outputs_changed(lambda t: t.reverse())), checked=tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_mark_spares_the_sandbox_only(tmp_path: Path) -> None:
    """Rules and contract are looked at every time: they cost a few milliseconds."""
    bad = casting_model()
    bad.graph.node[0].domain = "evil"
    bundle = casting(graph=bad.SerializeToString())
    mark = loader._verdict(bundle, tmp_path)
    mark.write_text(mark.name)
    assert "of 'evil'" in refusal(bundle, checked=tmp_path)


def test_a_folder_that_takes_no_mark_does_not_stop_a_load(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    assert load_model(casting(), checked=tmp_path / "file").outputs


def released(checkout: Path, tmp_path: Path) -> list[str]:
    """Folders of the released bundles; where there are none, of the two made here."""
    folders = [str(path.parent) for path in (checkout / "models").glob("*/model.onnx")]
    for name, bundle in (("casting", casting()), ("parts", parts())) if not folders else ():
        for file, data in bundle.files.items():
            target = tmp_path / name / file
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        folders.append(str(tmp_path / name))
    return folders


def trial(checkout: Path, name: str, *arguments: str) -> dict[str, Any]:
    command = [sys.executable, "-m", f"tests.trials.{name}", "--size", "ci", *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    found: dict[str, Any] = json.loads(line)
    return found


def test_the_trial_of_mutated_models(checkout: Path, tmp_path: Path) -> None:
    found = trial(checkout, "mutated_models", *released(checkout, tmp_path))
    assert found["n"] >= 1_000
    assert found["parent_died"] == found["over_limit"] == found["not_one_line"] == 0
    refused = {stage.partition(":")[0] for stage in found["refused"]}
    assert refused == {"walk", "contract", "sandbox", "golden"}
    assert found["accepted_identical"] + sum(found["refused"].values()) == found["n"]


def test_the_trial_of_bombs(checkout: Path) -> None:
    found = trial(checkout, "bombs")
    assert found["refused"] == found["n"] == len(BOMBS) >= 20
    assert found["over_limit"] == found["not_one_line"] == 0
    assert set(found["sandbox alone"]) == set(BOMBS)
