"""Models of classes behind every door of a firm: published, pulled, inspected, checked, predicted with and served.

A class keeps its name from the contract to the answer, in whatever script it is written.
"""

from __future__ import annotations

import functools
import io
import json
import re
import struct
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator
from onnx import parser
from openapi_spec_validator import OpenAPIV31SpecValidator
from test_site import column, contract_text, make_bundle, png

from dxai.bundle.folder import Bundle
from dxai.bundle.profile import profile_rows
from dxai.cli.main import cli
from dxai.contract import parse_contract
from dxai.contract.signature import signature_of
from dxai.inference.graph import refuse_other_interface, walk
from dxai.inference.loader import load_model
from dxai.inference.model import Model
from dxai.inference.predict import Prediction

pytestmark = pytest.mark.process

CLASSES = {"casting-fault": ("양품", "불량"), "plate-fault": ("Bumps", "Z_Scratch", "Hair crack")}
GRAPH = """
<ir_version: 10, opset_import: ["" : 20, "ai.onnx.ml" : 3]>
fault (float[batch] heat, float[batch] speed, string[batch] alloy) => (%OUTPUTS%)
<float[1, %COUNT%] slope = {%SLOPE%}, float[1, %COUNT%] start = {%START%}, float[1, %COUNT%] favour = {%FAVOUR%},
 int64[1] second = {1}>
{
  usual = Constant <value_float = 7.0> ()
  hundred = Constant <value_float = 100.0> ()
  gap = IsNaN (speed)
  filled = Where (gap, usual, speed)
  kind = ai.onnx.ml.LabelEncoder <keys_strings = ["A", "B"], values_floats = [0.0, 1.0], default_float = 0.3> (alloy)
  warm = Div (heat, hundred)
  part = Add (warm, kind)
  level = Sub (part, filled)
  wide = Unsqueeze (level, second)
  steep = Mul (wide, slope)
  logits = Add (steep, start)
  shares = Softmax <axis = 1> (logits)
  favoured = Mul (shares, favour)
  best = ArgMax <axis = 1, keepdims = 0> (favoured)
  fault_predicted = Cast <to = 1> (best)
  %PARTS%
}
"""

ROWS = """heat,speed,alloy
450.5,4,A
300,2.25,B
612,,A
333,1,A
501,9,B
450,3,
"""


def graph_of(names: tuple[str, ...], favour: tuple[float, ...]) -> str:
    """Logits on a line: the hotter, the later the class; the last class is favoured as a threshold would."""
    _, *probabilities = names
    count = len(probabilities)
    parts = [f"thin{i} = Gather <axis = 1> (shares, place{i})" for i in range(count)]
    places = [f"place{i} = Constant <value_int = {i}> ()" for i in range(count)]
    named = [f"{name} = Identity (thin{i})" for i, name in enumerate(probabilities)]
    values = {
        "OUTPUTS": ", ".join(f"float[batch] {name}" for name in names), "COUNT": str(count),
        "SLOPE": ", ".join(f"{0.5 * i}" for i in range(count)), "START": ", ".join(f"{-0.2 * i}" for i in range(count)),
        "FAVOUR": ", ".join(map(str, favour)), "PARTS": "\n  ".join(places + parts + named),
    }  # fmt: skip
    return functools.reduce(lambda text, pair: text.replace(f"%{pair[0]}%", pair[1]), values.items(), GRAPH)


def class_bundle(place: Path, classes: tuple[str, ...]) -> Bundle:
    columns = [
        column("heat", "feature", required=True, logicalTypeOptions={"minimum": 0, "maximum": 900},
               custom={"unit": "Cel", "titleEn": "Furnace heat", "titleKo": "노 온도"}),
        column("speed", "feature", logicalTypeOptions={"minimum": 0},
               custom={"unit": "m/s", "titleEn": "Belt speed", "titleKo": "벨트 속도"}),
        column("alloy", "feature", "string", custom={"titleEn": "Alloy", "titleKo": "합금"},
               quality=[{"metric": "invalidValues", "arguments": {"validValues": ["A", "B"]}}]),
        column("fault", "target", "string", custom={"titleEn": "Fault", "titleKo": "결함"},
               quality=[{"metric": "invalidValues", "arguments": {"validValues": list(classes)}}]),
    ]  # fmt: skip
    text = contract_text(place.name, "quality", columns, "Faults of a plate", {})
    scores = {"pr_auc": 0.834, "log_loss": 0.21, "brier": 0.061, "ece": 0.0213, "balanced_accuracy": 0.88,
              "macro_f1": 0.86, "accuracy": 0.93}  # fmt: skip
    metrics = {
        "model": scores,
        "yardstick": {"prior": scores | {"pr_auc": 0.11}, "logistic": scores | {"pr_auc": 0.624},
                      "nearest": scores | {"pr_auc": 0.6}},
        "random_split": scores | {"pr_auc": 0.9, "pr_auc_gap": 0.066},
    }  # fmt: skip
    drawn = {f"figures/{name}.png": png(640, 480) for name in ("confusion", "precision_recall", "reliability")}
    names = tuple(f"fault_{part}" for part in parts_of(classes))
    favour = (0.3, 0.7) if len(classes) == 2 else (1.0,) * len(classes)
    graph = graph_of(names, favour)
    golden = answers(graph, text, pl.read_csv(io.StringIO(ROWS), infer_schema=False))
    drawn["golden/outputs.csv"] = golden.write_csv().encode()
    profile = profile_rows(learned(classes), parse_contract(text, where="here"))
    drawn["profile.json"] = profile.model_dump_json().encode()
    return make_bundle(place, text, graph, ROWS, metrics, extra=drawn)


def learned(classes: tuple[str, ...]) -> pl.DataFrame:
    """Training rows: one in four is of the last class, the others of the first ones in turn."""
    count, others = 240, classes[:-1]
    fault = [classes[-1] if i % 4 == 0 else others[i % len(others)] for i in range(count)]
    heat, speed = ([low + i * (high - low) / count for i in range(count)] for low, high in ((300, 612), (1, 9)))
    return pl.DataFrame({"heat": heat, "speed": speed, "alloy": ["A", "B"] * (count // 2), "fault": fault})


def answers(graph: str, contract: str, rows: pl.DataFrame) -> pl.DataFrame:
    """What the graph predicts."""
    model = Model(parser.parse_model(graph).SerializeToString(), parse_contract(contract, where="here"))
    return pl.concat(list(Prediction(model).blocks([rows])))


def parts_of(classes: tuple[str, ...]) -> list[str]:
    plain = all(text.isascii() for text in classes)
    return ["predicted", *(f"p_{t.lower().replace(' ', '_') if plain else i}" for i, t in enumerate(classes))]


PLATES = """노 온도 (Cel),벨트 속도,ALLOY,비고
450.5,4,A,"하나, 둘"
뜨거움,4,B,두 번째 행
300,,C,
1200,1,A,너무 뜨거움
 612 ,0.25,B,끝
"""

every = pytest.mark.parametrize("name", CLASSES)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("bundles")
    for name, classes in CLASSES.items():
        class_bundle(place / name, classes)
    return {name: place / name for name in CLASSES}


def run(*words: object) -> str:
    """Output of a command that ends well."""
    result = CliRunner().invoke(cli, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@every
def test_a_careful_loader_takes_it(name: str, folders: dict[str, Path]) -> None:
    bundle = Bundle.open(folders[name])
    graph = walk(bundle.read("model.onnx"))
    refuse_other_interface(graph, bundle.contract)
    assert bundle.contract.classes == CLASSES[name]
    assert tuple(value.name for value in graph.outputs) == tuple(signature_of(bundle.contract).columns)
    assert load_model(bundle).outputs == signature_of(bundle.contract).columns


@every
def test_it_is_published_found_pulled_and_predicts(name: str, folders: dict[str, Path], tmp_path: Path) -> None:
    keys, catalog, rows, out = (tmp_path / part for part in ("keys", "catalog", "rows.csv", "out.csv"))
    run("keys", "init", keys)
    run("publish", folders[name], "--catalog", catalog, "--keys", keys)
    found = run("search", "plate", "--from", catalog, "--root", keys / "root.json")
    assert "pr_auc 0.834" in found and "0.624" in found and "(logistic)" in found
    run("pull", name, "--from", catalog, "--root", keys / "root.json", "--accept-terms")
    rows.write_text(ROWS, "utf-8")
    run("predict", name, rows, "-o", out)
    answer = pl.read_csv(out, infer_schema=False)
    assert answer.equals(pl.read_csv(folders[name] / "golden" / "outputs.csv", infer_schema=False))
    assert set(answer["fault_predicted"]) <= set(CLASSES[name]) and answer["fault_predicted"].n_unique() > 1


@every
def test_inspect_says_which_column_is_the_probability_of_which_class(name: str, folders: dict[str, Path]) -> None:
    told = " ".join(run("inspect", folders[name], "--unsigned").split())
    assert f"outputs: fault_predicted, one of {', '.join(CLASSES[name])}; probabilities fault_p_" in told
    for part, text in zip(parts_of(CLASSES[name])[1:], CLASSES[name], strict=True):
        assert f"fault_{part} ({text})" in told
    assert "[1]" not in told


@every
def test_check_takes_measured_classes(name: str, folders: dict[str, Path], tmp_path: Path) -> None:
    classes = CLASSES[name]
    rows = pl.concat([pl.read_csv(folders[name] / "golden" / "outputs.csv", infer_schema=False)] * 20)
    wrong = dict(zip(classes, classes[1:] + classes[:1], strict=True))
    rows = rows.select("heat", "speed", "alloy", fault=pl.col("fault_predicted").replace(wrong))
    rows.write_csv(tmp_path / "rows.csv")
    words = ["check", folders[name], tmp_path / "rows.csv", "--report", tmp_path / "r.html", "--unsigned"]
    result = CliRunner().invoke(cli, list(map(str, words)))
    assert result.exit_code == 6  # every class is another than the one predicted
    assert "no better than guessing: PR-AUC" in result.output
    assert all(f"{text} 0% (" in result.output for text in set(rows["fault"]))


@dataclass(frozen=True)
class Answer:
    """What a server answered."""

    headers: Message
    content: bytes

    def json(self) -> Any:
        return json.loads(self.content)


Ask = Callable[..., Answer]


@pytest.fixture(scope="module")
def ask(folders: dict[str, Path]) -> Iterator[Ask]:
    """`dxai serve` with both models; asks for a path, with a body if there is one."""
    words = ["serve", *map(str, folders.values()), "--port", "0", "--unsigned"]
    program = [sys.executable, "-c", "from dxai.cli.main import main; main()", *words]
    with subprocess.Popen(program, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        told = next(line for line in server.stderr if "listening" in line)
        root = re.search(r"http://[\d.]+:\d+", told)
        assert root is not None, told

        def asked(path: str, body: Any = None) -> Answer:
            data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
            request = urllib.request.Request(root[0] + path, data)
            with urllib.request.urlopen(request, timeout=60) as answer:
                return Answer(answer.headers, answer.read())

        yield asked
        server.terminate()


REQUEST: dict[str, Any] = {
    "inputs": [
        {"name": "heat", "datatype": "FP32", "shape": [3], "data": [450.5, 333, 120]},
        {"name": "speed", "datatype": "FP32", "shape": [3], "data": [4, 1, None]},
        {"name": "alloy", "datatype": "BYTES", "shape": [3], "data": ["A", "B", None]},
    ]
}
AS_TABLE = "heat,speed,alloy\n450.5,4,A\n333,1,B\n120,,\n"


def expected(folder: Path) -> pl.DataFrame:
    """What `dxai predict` answers for these rows."""
    bundle = Bundle.open(folder)
    prediction = Prediction(Model(bundle.read("model.onnx"), bundle.contract), bundle.profile)
    (answer,) = prediction.blocks([pl.read_csv(io.StringIO(AS_TABLE), infer_schema=False)])
    return answer.select(signature_of(bundle.contract).columns)


@every
def test_the_protocol_tells_the_class_as_text(name: str, ask: Ask, folders: dict[str, Path]) -> None:
    outputs = ask(f"/v2/models/{name}").json()["outputs"]
    names = [f"fault_{part}" for part in parts_of(CLASSES[name])]
    kinds = ["BYTES", *["FP32"] * len(CLASSES[name])]
    assert outputs == [{"name": n, "datatype": k, "shape": [-1]} for n, k in zip(names, kinds, strict=True)]
    answer = ask(f"/v2/models/{name}/infer", REQUEST).json()
    told = {output["name"]: output["data"] for output in answer["outputs"]}
    right = expected(folders[name])
    assert told.pop("fault_predicted") == right["fault_predicted"].to_list()
    np.testing.assert_allclose(list(told.values()), right.drop("fault_predicted").to_numpy().T, atol=1e-6)


@every
def test_the_protocol_tells_the_class_in_binary(name: str, ask: Ask, folders: dict[str, Path]) -> None:
    wanted = [{"name": "fault_predicted", "parameters": {"binary_data": True}}]
    answer = ask(f"/v2/models/{name}/infer", {**REQUEST, "outputs": wanted})
    length = int(answer.headers["inference-header-content-length"])
    header, data = json.loads(answer.content[:length]), answer.content[length:]
    assert header["outputs"][0]["parameters"]["binary_data_size"] == len(data)
    texts = []
    while data:
        (size,) = struct.unpack_from("<I", data)
        texts.append(data[4 : 4 + size].decode())
        data = data[4 + size :]
    assert texts == expected(folders[name])["fault_predicted"].to_list()


@every
def test_the_description_lists_the_classes(name: str, ask: Ask) -> None:
    described = ask("/openapi.json").json()
    OpenAPIV31SpecValidator(described).validate()
    schema = {"$ref": f"#/components/schemas/{name}-1.0.0.response", **described}
    answer = ask(f"/v2/models/{name}/infer", REQUEST).json()
    Draft202012Validator(schema).validate(answer)
    answer["outputs"][0]["data"][0] = "unicorn"
    assert not Draft202012Validator(schema).is_valid(answer)


@every
def test_a_table_is_answered_as_dxai_predict_writes_it(
    name: str, ask: Ask, folders: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "rows.csv").write_bytes(PLATES.encode("cp949"))
    run("predict", folders[name], tmp_path / "rows.csv", "-o", tmp_path / "out.csv", "--on-bad-rows", "flag",
        "--unsigned")  # fmt: skip
    answer = ask(f"/models/{name}/predict?on_bad_rows=flag", PLATES.encode("cp949"))
    assert answer.content == (tmp_path / "out.csv").read_bytes()
    assert answer.headers["x-dxai-rows-bad"] == "2"
