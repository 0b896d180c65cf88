"""A server that firms leave running: the protocol to the letter, every mistake a 4xx, nothing lost, nothing told on.

The models are two graphs made here, small enough to know every answer: `recipe` adds up its columns, `sales` repeats
the last step. A real server answers, in a process of its own, on a free port.
"""

from __future__ import annotations

import asyncio
import gzip
import http.client
import json
import re
import signal
import socket
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import polars as pl
import pytest
import yaml
from jsonschema import Draft202012Validator
from onnx import TensorProto as T
from onnx import helper as h
from openapi_spec_validator import OpenAPIV31SpecValidator

from dxai.bundle.manifest import METRICS, Manifest, write_manifest
from dxai.bundle.profile import Profile, profile_rows
from dxai.contract import Column, load_contract
from dxai.errors import SettingsError
from dxai.serve.app import Service
from dxai.serve.edge import Edge
from dxai.serve.gate import Gate
from dxai.serve.limits import Limits
from dxai.serve.metrics import Metrics
from dxai.serve.server import serve

pytestmark = pytest.mark.process

Table = tuple[dict[str, Any], tuple[Column, ...]]

SECRET = 123456.75
"""A value that no message and no log line may repeat."""

_SERVE = """
import json, sys
from pathlib import Path
from dxai.bundle.folder import Bundle
from dxai.inference.model import Model
from dxai.serve.limits import Limits
from dxai.serve.served import ServedModel
from dxai.serve.server import serve

def served(folder):
    bundle = Bundle.open(Path(folder))
    told = {"context": bundle.manifest.context, "shortest": bundle.manifest.shortest_history}
    return ServedModel(bundle, Model(bundle.read("model.onnx"), bundle.contract, **told))

options = json.loads(sys.argv[1])
pages = options.pop("pages", None)
serve([served(f) for f in sys.argv[2:]], port=0, pages=pages and Path(pages), limits=Limits(**options))
"""

HEAT = Column(name="heat", kind="number", role="feature", required=True, minimum=0, maximum=100.3, unit="Cel",
              title_en="Heat", title_ko="온도")  # fmt: skip
SALT = Column(name="salt", kind="number", role="feature", title_en="Salt", title_ko="소금")
LINE = Column(name="line", kind="category", role="feature", required=True, categories=("갑", "을"), title_en="Line",
              title_ko="라인")  # fmt: skip
SLOT = Column(name="slot", kind="number", role="feature", required=True, minimum=0, maximum=9, title_en="Slot",
              title_ko="자리")  # fmt: skip
TASTE = Column(name="taste", kind="number", role="target", title_en="Taste", title_ko="맛")
RECIPE: Table = {"task": "quality"}, (HEAT, SALT, LINE, SLOT, TASTE)

ITEM = Column(name="item", kind="category", role="series", required=True, title_en="Item", title_ko="품목")
WEEK = Column(name="week", kind="date", role="time", required=True, title_en="Week", title_ko="주")
UNITS = Column(name="units", kind="number", role="target", required=True, minimum=0, title_en="Units", title_ko="수량")
SALES: Table = {"task": "demand", "frequency": "weekly", "horizon": 2, "minimumHistory": 3}, (ITEM, WEEK, UNITS)


def odcs(name: str, table: Table) -> str:
    """A contract as the YAML file of a bundle."""

    def custom(**values: Any) -> list[dict[str, Any]]:
        return [{"property": key, "value": value} for key, value in values.items()]

    kinds = {"number": "number", "category": "string", "date": "date"}
    properties = [
        {
            "name": c.name, "logicalType": kinds[c.kind], "required": c.required,
            "logicalTypeOptions": c.model_dump(include={"minimum", "maximum"}, exclude_none=True),
            "quality": [{"metric": "invalidValues", "arguments": {"validValues": list(c.categories)}}]
            if c.categories else [],
            "customProperties": custom(role=c.role, unit=c.unit, titleEn=c.title_en, titleKo=c.title_ko),
        }
        for c in table[1]
    ]  # fmt: skip
    schema = [{"name": name, "customProperties": custom(**table[0]), "properties": properties}]
    top = {
        "apiVersion": "v3.1.0", "kind": "DataContract", "id": name, "version": "1.0.0", "status": "active",
        "description": {"purpose": "A test."}, "schema": schema,
    }  # fmt: skip
    return yaml.safe_dump({**top, "customProperties": custom(titleEn=name, titleKo=name)})


def recipe_graph() -> onnx.GraphProto:
    """heat + salt (0 where missing) + 10 on line 갑 + table[slot]; slots from 3 on break the graph itself."""
    nodes = [
        h.make_node("IsNaN", ["salt"], ["no_salt"]),
        h.make_node("Where", ["no_salt", "zero", "salt"], ["known_salt"]),
        h.make_node("Equal", ["line", "gap"], ["on_gap"]),
        h.make_node("Where", ["on_gap", "ten", "zero"], ["bonus"]),
        h.make_node("Cast", ["slot"], ["index"], to=T.INT64),
        h.make_node("Gather", ["table", "index"], ["extra"]),
        h.make_node("Sum", ["heat", "known_salt", "bonus", "extra"], ["taste_predicted"]),
        h.make_node("Sub", ["taste_predicted", "ten"], ["taste_lower"]),
        h.make_node("Add", ["taste_predicted", "ten"], ["taste_upper"]),
    ]
    kinds = {"heat": T.FLOAT, "salt": T.FLOAT, "line": T.STRING, "slot": T.FLOAT}
    constants = {"zero": (T.FLOAT, [], [0]), "ten": (T.FLOAT, [], [10]), "table": (T.FLOAT, [3], [0, 1, 2]),
                 "gap": (T.STRING, [], ["갑".encode()])}  # fmt: skip
    inputs = [h.make_tensor_value_info(name, kind, ["batch"]) for name, kind in kinds.items()]
    outputs = [h.make_tensor_value_info(f"taste_{n}", T.FLOAT, ["batch"]) for n in ("predicted", "lower", "upper")]
    return h.make_graph(nodes, "recipe", inputs, outputs, [h.make_tensor(n, *c) for n, c in constants.items()])


def sales_graph() -> onnx.GraphProto:
    """The last step again, for two steps."""
    nodes = [
        h.make_node("Slice", ["history", "minus_one", "end", "one"], ["last"]),
        h.make_node("Concat", ["last", "last"], ["mean"], axis=1),
        *(h.make_node("Identity", ["mean"], [name]) for name in ("lower", "upper")),
        h.make_node("Unsqueeze", ["mean", "minus_one"], ["thin"]),
        h.make_node("Tile", ["thin", "nine"], ["quantiles"]),
    ]
    inputs = [h.make_tensor_value_info("history", T.FLOAT, ["series", "context"]),
              h.make_tensor_value_info("last_day", T.INT64, ["series"])]  # fmt: skip
    shapes = {"quantiles": ["series", 2, 9], "mean": ["series", 2], "lower": ["series", 2], "upper": ["series", 2]}
    outputs = [h.make_tensor_value_info(name, T.FLOAT, shape) for name, shape in shapes.items()]
    constants = {"minus_one": [-1], "end": [2**31], "one": [1], "nine": [1, 1, 9]}
    tensors = [h.make_tensor(name, T.INT64, [len(values)], values) for name, values in constants.items()]
    return h.make_graph(nodes, "sales", inputs, outputs, tensors)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    seen = pl.DataFrame({"heat": range(50), "salt": [0.0, 1.0] * 25, "line": ["갑", "을"] * 25, "slot": [0, 2] * 25})
    made = []
    for name, table, graph in (("recipe", RECIPE, recipe_graph()), ("sales", SALES, sales_graph())):
        folder = tmp_path_factory.mktemp(name)
        (folder / "contract.yaml").write_text(odcs(name, table))
        model = h.make_model(graph, opset_imports=[h.make_opsetid("", 19)], ir_version=9)
        (folder / "model.onnx").write_bytes(model.SerializeToString())
        contract = load_contract(folder / "contract.yaml")
        profile = profile_rows(seen, contract) if name == "recipe" else Profile(rows=9, cases=9, columns={})
        (folder / "profile.json").write_text(profile.model_dump_json())
        origin: dict[str, Any] = {"files": {}, "versions": {}, "settings": {}, "data_sha256": "", "code": ""}
        context = 4 if name == "sales" else 0
        (folder / METRICS).write_text('{"model": {}, "yardstick": {}}')
        write_manifest(folder, Manifest(name=name, version="1.2.0", task=contract.task, context=context, **origin))
        made.append(str(folder))
    return made


@dataclass
class Server:
    process: subprocess.Popen[bytes]
    address: tuple[str, int]
    log: Path

    def ask(
        self, method: str, path: str, body: Any = None, **headers: str
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        connection = http.client.HTTPConnection(*self.address, timeout=20)
        data = json.dumps(body).encode() if isinstance(body, dict) else body
        connection.request(method, path, data, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        told = answer.status, answer.headers, answer.read()
        connection.close()
        return told

    def infer(self, body: Any, name: str = "recipe", **headers: str) -> tuple[int, dict[str, Any]]:
        status, _, told = self.ask("POST", f"/v2/models/{name}/infer", body, **headers)
        return status, json.loads(told)

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def connect(self, data: bytes = b"") -> socket.socket:
        raw = socket.create_connection(self.address, timeout=20)
        raw.sendall(data)
        return raw


@contextmanager
def running(folders: list[str], log: Path, **options: Any) -> Iterator[Server]:
    with log.open("wb") as errors:
        process = subprocess.Popen([sys.executable, "-c", _SERVE, json.dumps(options), *folders], stderr=errors)
    try:
        while not (lines := log.read_text().splitlines()):
            assert process.poll() is None, "the server did not start"
            time.sleep(0.02)
        host, port = json.loads(lines[0])["url"].removeprefix("http://").split(":")
        yield Server(process, (host, int(port)), log)
    finally:
        process.kill()
        process.wait()


LIMITS = {
    "body_bytes": 1 << 20,
    "rows": 1000,
    "head_seconds": 1.0,
    "body_seconds": 1.0,
    "idle_seconds": 2,
    "connections": 20,
}


@pytest.fixture(scope="module")
def server(folders: list[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(folders, tmp_path_factory.mktemp("log") / "log", **LIMITS) as started:
        yield started
        assert b'"status": 5' not in started.log.read_bytes().replace(
            b'"status": 500', b"", 1
        )  # but for the broken slot


def tensor(name: str, data: Any, datatype: str = "FP32", **more: Any) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": list(np.shape(data)), "data": data, **more}


def recipe(
    heat: Any = (20.0, 30.0), salt: Any = (1.0, None), line: Any = ("갑", "을"), slot: Any = (0, 2)
) -> dict[str, Any]:
    """A right request; the answer is 31 and 32."""
    numbers = {"heat": heat, "salt": salt, "slot": slot}
    inputs = [tensor(name, list(data)) for name, data in numbers.items()]
    return {"inputs": [*inputs, tensor("line", list(line), "BYTES")]}


def sales(history: Any = ((1.0, 2, 3), (4, 5, 6)), last_day: Any = (15000, 15007)) -> dict[str, Any]:
    return {"inputs": [tensor("history", [list(h) for h in history]), tensor("last_day", list(last_day), "INT64")]}


def found(answer: dict[str, Any], name: str) -> Any:
    (told,) = (o for o in answer["outputs"] if o["name"] == name)
    return np.reshape(told["data"], told["shape"]).tolist()


# The protocol


def test_metadata(server: Server) -> None:
    assert json.loads(server.ask("GET", "/v2")[2])["extensions"] == ["binary_tensor_data", "model_repository"]
    inputs = [
        {"name": n, "datatype": "BYTES" if n == "line" else "FP32", "shape": [-1]}
        for n in ("heat", "salt", "line", "slot")
    ]
    outputs = [{"name": f"taste_{n}", "datatype": "FP32", "shape": [-1]} for n in ("predicted", "lower", "upper")]
    expected = {
        "name": "recipe",
        "versions": ["1.2.0"],
        "platform": "onnx_onnxv1",
        "inputs": inputs,
        "outputs": outputs,
    }
    for path in ("/v2/models/recipe", "/v2/models/recipe/versions/1.2.0"):
        assert json.loads(server.ask("GET", path)[2]) == expected
        assert json.loads(server.ask("GET", path + "/ready")[2]) == {"name": "recipe", "ready": True}
    assert json.loads(server.ask("GET", "/v2/models/sales")[2])["outputs"][0]["shape"] == [-1, 2, 9]
    assert [server.ask("GET", f"/v2/health/{what}")[0] for what in ("live", "ready")] == [200, 200]
    index = json.loads(server.ask("POST", "/v2/repository/index")[2])
    assert [(m["name"], m["version"], m["state"]) for m in index] == [
        ("recipe", "1.2.0", "READY"),
        ("sales", "1.2.0", "READY"),
    ]


def test_json_tensors(server: Server) -> None:
    status, answer = server.infer(
        {**recipe(), "id": "한 요청", "outputs": [{"name": "taste_upper"}, {"name": "taste_predicted"}]}
    )
    assert (status, answer["id"], answer["model_name"], answer["model_version"]) == (200, "한 요청", "recipe", "1.2.0")
    assert [o["name"] for o in answer["outputs"]] == ["taste_upper", "taste_predicted"]
    assert answer["outputs"][1] == {"name": "taste_predicted", "datatype": "FP32", "shape": [2], "data": [31.0, 32.0]}
    body = json.dumps(recipe(salt=[1.0, float("nan")])).encode()
    assert b"NaN" in body
    status, _, told = server.ask("POST", "/v2/models/recipe/versions/1.2.0/infer", body)
    assert (status, found(json.loads(told), "taste_predicted")) == (200, [31.0, 32.0])
    assert "id" not in json.loads(told)


def test_nested_or_flat_data(server: Server) -> None:
    nested, flat = sales(), sales()
    flat["inputs"][0]["data"] = [1.0, 2, 3, 4, 5, 6]
    answers = [server.infer(request, "sales") for request in (nested, flat)]
    assert answers[0] == answers[1] and answers[0][0] == 200
    assert found(answers[0][1], "mean") == [[3.0, 3.0], [6.0, 6.0]]
    assert np.shape(found(answers[0][1], "quantiles")) == (2, 2, 9)


def binary_recipe(**of_outputs: Any) -> tuple[bytes, int]:
    texts = b"".join(struct.pack("<I", len(text)) + text for text in ("갑".encode(), "을".encode()))
    numbers = {"heat": (20, 30), "salt": (1, float("nan")), "slot": (0, 2)}
    data = {**{name: struct.pack("<2f", *two) for name, two in numbers.items()}, "line": texts}
    kinds = {**dict.fromkeys(numbers, "FP32"), "line": "BYTES"}
    inputs = [
        {"name": name, "datatype": kinds[name], "shape": [2], "parameters": {"binary_data_size": len(part)}}
        for name, part in data.items()
    ]
    head = json.dumps({"inputs": inputs, **of_outputs}).encode()
    return head + b"".join(data.values()), len(head)


def test_binary_tensors(server: Server) -> None:
    body, length = binary_recipe(parameters={"binary_data_output": True})
    status, headers, told = server.ask(
        "POST", "/v2/models/recipe/infer", body, inference_header_content_length=str(length)
    )
    size = int(headers["inference-header-content-length"])
    outputs = json.loads(told[:size])["outputs"]
    assert (status, headers["content-type"]) == (200, "application/octet-stream")
    assert [o["parameters"]["binary_data_size"] for o in outputs] == [8, 8, 8] and all("data" not in o for o in outputs)
    assert struct.unpack("<6f", told[size:]) == (31, 32, 21, 22, 41, 42)


def test_binary_outputs_one_by_one(server: Server) -> None:
    outputs = [{"name": "taste_lower", "parameters": {"binary_data": True}}, {"name": "taste_predicted"}]
    body, length = binary_recipe(outputs=outputs)
    _, headers, told = server.ask("POST", "/v2/models/recipe/infer", body, inference_header_content_length=str(length))
    size = int(headers["inference-header-content-length"])
    assert struct.unpack("<2f", told[size:]) == (21, 22)
    assert json.loads(told[:size])["outputs"][1]["data"] == [31.0, 32.0]


@pytest.mark.parametrize(
    ("name", "pack", "unpack"), [("gzip", gzip.compress, gzip.decompress), ("deflate", zlib.compress, zlib.decompress)]
)
def test_compressed_bodies(
    server: Server, name: str, pack: Callable[[bytes], bytes], unpack: Callable[[bytes], bytes]
) -> None:
    request = json.dumps(recipe(*([v] * 300 for v in (20.0, 1.0, "갑", 0)))).encode()
    path, accepted = "/v2/models/recipe/infer", f"br;q=1, {name};q=0.5"
    status, headers, told = server.ask("POST", path, pack(request), content_encoding=name, accept_encoding=accepted)
    assert (status, headers["content-encoding"]) == (200, name)
    assert found(json.loads(unpack(told)), "taste_predicted") == [31.0] * 300
    assert server.ask("POST", path, request, accept_encoding=f"{name};q=0")[1]["content-encoding"] is None


# Mistakes: 4xx, one sentence, no value


def changed(place: int, **values: Any) -> dict[str, Any]:
    request = recipe()
    request["inputs"][place].update(values)
    return request


MISTAKES = [
    (recipe(heat=[20, SECRET]), 400, r"'heat', row 1: must be a finite number, at least 0 Cel and at most 100.3 Cel.$"),
    (recipe(heat=[SECRET, -SECRET]), 400, r"'heat', row 0: .* \(1 more rows break that\)"),
    (recipe(heat=[20, None]), 400, "'heat', row 1: must have a value"),
    (recipe(salt=[float("inf"), 1]), 400, "'salt', row 0: must be a finite number"),
    (recipe(salt=[1e39, 1]), 400, "'salt', row 0: must be a finite number"),
    (recipe(salt=[10**400, 1]), 400, "'salt': a number is too large for FP32"),
    (recipe(line=["갑", ""]), 400, "'line', row 1: must have a value"),
    (recipe(heat=[-1, 20], slot=[0, 10]), 400, "'heat', row 0.*'slot', row 1"),
    (recipe(heat=[str(SECRET), 1]), 400, "'heat': FP32 data are numbers"),
    (recipe(heat=[True, 1]), 400, "'heat': FP32 data are numbers"),
    (recipe(line=[1, 2]), 400, "'line': BYTES data are texts"),
    (recipe(heat=[20.0], salt=[1.0], slot=[0]), 400, r"'line': the shape must be \['batch'\], and 'batch' is 1"),
    (changed(0, datatype="FP64"), 400, "'heat': the datatype must be 'FP32'"),
    (changed(0, shape=[1, 2]), 400, r"'heat': the shape must be \['batch'\]"),
    (changed(0, shape=[3]), 400, r"'heat': data and shape \[3\] do not agree"),
    (changed(0, shape=[-2]), 400, "'heat': the shape must be a list of sizes"),
    (changed(0, shape=[True]), 400, "'heat': the shape must be a list of sizes"),
    (changed(0, shape="2"), 400, "'heat': the shape must be a list of sizes"),
    (changed(0, shape=[0], data=[]), 400, "no size may be 0"),
    (changed(0, shape=[1001]), 413, "'heat': one request may have 1000 rows"),
    (changed(0, data=[[20.0], [30.0]]), 400, "FP32 data are numbers"),
    (changed(0, data={"0": 1}), 400, "do not agree"),
    (changed(0, parameters={"binary_data_size": 8}), 400, "either 'data' or the parameter"),
    (changed(0, parameters={"shared_memory_region": "x"}), 400, "unknown parameter 'shared_memory_region'"),
    (changed(0, parameters=[]), 400, "'parameters' of input 'heat' must be a JSON object"),
    (changed(0, name="haet"), 400, "no input 'haet'. Did you mean 'heat'"),
    (changed(0, name="salt"), 400, "'salt' stands there twice"),
    (changed(0, name=None), 400, "no input 'None'"),
    ({"inputs": recipe()["inputs"][1:]}, 400, "Missing inputs: heat"),
    ({"inputs": []}, 400, "Missing inputs: heat, salt, line, slot"),
    ({"inputs": {}}, 400, "'inputs' must be a list"),
    ({"inputs": [1]}, 400, "Each of 'inputs' must be a JSON object"),
    ({}, 400, "'inputs' must be a list"),
    ({**recipe(), "id": 7}, 400, "'id' must be a text"),
    ({**recipe(), "parameters": 1}, 400, "'parameters' must be a JSON object"),
    ({**recipe(), "outputs": [{"name": "taste"}]}, 400, "no output 'taste'"),
    ({**recipe(), "outputs": [{"name": "taste_lower", "parameters": {"top": 3}}]}, 400, "unknown parameter 'top'"),
    (b"", 400, "no JSON"),
    (b"[1", 400, "no JSON"),
    (b"[]", 400, "must be a JSON object"),
    (b"[" * 100_000, 400, "nested too deeply"),
    (b'{"id": ' + b"9" * 5000 + b"}", 400, "a number that is too long"),
    (b'{"id": "\xff"}', 400, "not UTF-8"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "status", "told"), MISTAKES)
def test_mistakes(server: Server, body: Any, status: int, told: str) -> None:
    answer = server.infer(body)
    assert answer[0] == status and re.search(told, answer[1]["error"])
    assert str(SECRET)[:6] not in answer[1]["error"] and "\n" not in answer[1]["error"]


@pytest.mark.parametrize(("request_", "told"), [
    (sales(history=[[1, 2, -SECRET], [4, 5, 6]]), "'history', row 0: must be a finite number, at least 0"),
    (sales(history=[[1, 2, 3], [4, None, 6]]), "'history', row 1: must have 3 known steps"),
    (sales(last_day=[15000, 2**62]), "'last_day', row 1: must be the day of the last step"),
    (sales(last_day=[15000, 2**63]), "'last_day': a number is too large for INT64"),
    (sales(last_day=[15000, 15000.0]), "'last_day': INT64 data are whole numbers"),
    (sales(last_day=[15000]), "'series' is 2 in the inputs before"),
])  # fmt: skip
def test_mistakes_in_histories(server: Server, request_: dict[str, Any], told: str) -> None:
    status, answer = server.infer(request_, "sales")
    assert status == 400 and re.search(told, answer["error"]) and str(SECRET)[:6] not in answer["error"]


def test_a_limit_that_float32_cannot_hold_is_kept(server: Server) -> None:
    assert float(np.float32(100.3)) > 100.3
    body, length = binary_recipe()
    body = body.replace(struct.pack("<2f", 20, 30), struct.pack("<2f", 100.3, 30))
    assert server.ask("POST", "/v2/models/recipe/infer", body, inference_header_content_length=str(length))[0] == 200


def test_mistakes_in_binary_data(server: Server) -> None:
    body, length = binary_recipe()

    def told(body: bytes, length: object) -> str:
        status, answer = server.infer(body, inference_header_content_length=str(length))
        assert status == 400
        return str(answer["error"])

    assert "'line': the body ends before its binary data do" in told(body[:-1], length)
    assert "1 bytes of binary data belong to no input" in told(body + b"x", length)
    for lie in (len(body) + 1, -1, "x", "9" * 5000, ""):
        assert "Inference-Header-Content-Length must be a number" in told(body, lie)
    assert "'line', row 1: the text is not UTF-8" in told(body[:-3] + b"\xff\xff\xff", length)
    assert "'line': the binary data are not 2 elements" in told(
        body[:-7] + struct.pack("<I", 2**32 - 1) + body[-3:], length
    )
    assert "'heat': FP32 of shape [2] has 8 bytes, not 7" in told(
        body.replace(b'"binary_data_size": 8', b'"binary_data_size": 7', 1), length
    )


@pytest.mark.parametrize(("method", "path", "status", "told"), [
    ("GET", "/v2/models/recipes", 404, "Did you mean 'recipe'"),
    ("POST", "/v2/models/zzz/infer", 404, "Models: recipe, sales"),
    ("GET", "/v2/models/recipe/versions/9.9.9", 404, "no version '9.9.9'"),
    ("GET", "/v2/models/..%2f..%2fetc", 404, ""),
    ("GET", "/v3", 404, "nothing at this address"),
    ("GET", "/v2/models/recipe/infer", 405, "does not take that method"),
    ("DELETE", "/v2/models/recipe", 405, "does not take that method"),
    ("OPTIONS", "/v2/models/recipe/infer", 405, ""),
])  # fmt: skip
def test_wrong_addresses(server: Server, method: str, path: str, status: int, told: str) -> None:
    answer = server.ask(method, path)
    assert answer[0] == status and told in json.loads(answer[2])["error"]


def test_our_own_failure_is_one_line_and_logged_without_its_text(server: Server) -> None:
    status, answer = server.infer(recipe(slot=[0, 7]))  # the contract allows it, the graph's table ends at 2
    assert (status, answer) == (500, {"error": "The server failed; its log says where."})
    (line,) = [line for line in server.lines() if line["event"] == "failure"]
    assert line["level"] == "error" and any("model.py" in place for place in line["at"])
    assert not re.search(r"\b7\b|idx|table", json.dumps({**line, "time": "", "at": []}))


def test_a_panic_in_rust_code_is_our_own_failure_too() -> None:
    class Panic(BaseException):
        pass

    async def app(*_: Any) -> None:
        raise Panic(str(SECRET))

    async def receive() -> Any:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        sent.append(message)

    sent: list[Any] = []
    scope = {"type": "http", "method": "GET", "raw_path": b"/", "query_string": b"", "headers": []}
    asyncio.run(Edge(app, Limits(), Metrics(), None)(scope, receive, send))
    assert sent[0]["status"] == 500 and sent[1]["body"] == b'{"error": "The server failed; its log says where."}'


# Tables

ROWS = "온도 (Cel),salt,line,slot,batch\n20,1,갑,0,B-1\n30,,을,2,B-2\n60,0,병,1,B-3\n"


def test_csv_in_csv_out(server: Server) -> None:
    status, headers, told = server.ask("POST", "/models/recipe/predict", ROWS.encode())
    assert (status, headers["content-type"]) == (200, "text/csv; charset=utf-8")
    assert told.decode().splitlines()[:3] == [
        "온도 (Cel),salt,line,slot,batch,taste_predicted,taste_lower,taste_upper",
        "20,1,갑,0,B-1,31.0,21.0,41.0", "30,,을,2,B-2,32.0,22.0,42.0",
    ]  # fmt: skip
    counts = {name: headers[f"x-dxai-rows-{name}"] for name in ("read", "written", "bad", "imputed", "outside")}
    assert counts == {"read": "3", "written": "3", "bad": "0", "imputed": "1", "outside": "1"}
    assert server.ask("POST", "/models/recipe/predict", ROWS.encode("cp949"))[2] == told


def test_forecasts_from_a_long_table(server: Server) -> None:
    rows = "item,week,units\n" + "".join(f"A,2024-01-{day:02},{day}\n" for day in (7, 14, 21, 28))
    _, _, told = server.ask("POST", "/models/sales/predict", rows.encode())
    assert [line.split(",")[:3] for line in told.decode().splitlines()[1:]] == [
        ["A", "2024-02-04", "28.0"],
        ["A", "2024-02-11", "28.0"],
    ]


def test_rows_as_json(server: Server) -> None:
    _, headers, told = server.ask("POST", "/models/recipe/predict", ROWS.encode(), accept="application/json")
    assert headers["content-type"] == "application/json"
    assert json.loads(told)[1] == {
        "온도 (Cel)": "30", "salt": None, "line": "을", "slot": "2", "batch": "B-2",
        "taste_predicted": 32.0, "taste_lower": 22.0, "taste_upper": 42.0,
    }  # fmt: skip


def test_bad_rows(server: Server) -> None:
    path, rows = "/models/recipe/predict", (ROWS + "999,0,갑,0,B-4\n").encode()
    status, headers, told = server.ask("POST", path, rows)
    assert (status, headers["content-type"]) == (422, "text/plain; charset=utf-8")
    assert (
        "Column '온도 (Cel)' is at most 100.3 Cel, however 1 row breaks that" in told.decode()
        and "where: the request" in told.decode()
    )
    told = server.ask("POST", path, rows, accept="application/json")[2]
    assert "'온도 (Cel)' is at most 100.3 Cel" in json.loads(told)["error"]
    for choice, written in (("skip", "3"), ("flag", "4")):
        status, headers, told = server.ask("POST", f"{path}?on_bad_rows={choice}", rows)
        assert (status, headers["x-dxai-rows-bad"], headers["x-dxai-rows-written"]) == (200, "1", written)
    assert re.fullmatch("999,0,갑,0,B-4,,,,.*is at most 100.3 Cel", told.decode().splitlines()[-1])


@pytest.mark.parametrize(("query", "body", "status", "told"), [
    ("?on_bad_rows=drop", b"", 400, "one of stop, skip, flag"),
    ("?on-bad-rows=skip", b"", 400, "The query parameters are on_bad_rows"),
    ("?service_level=.9", b"heat,salt,line,slot\n1,2,a,0\n", 400, "predicts rows, no demand over steps."),
    ("", b"", 422, ""),
    ("", b"heat,salt\n1,2\n", 422, "Column 'line' (Line, 라인) is missing"),
    ("", b"heat,salt,line,slot\n1,2\n", 422, "row 2"),
    ("", b"\xff\xfe\xff\xff\x81", 422, ""),
    ("", b"PAR1", 415, "Send the table as CSV"),
    ("", b"PK\3\4", 415, "Send the table as CSV"),
    ("", b"heat,salt,line,slot\n" + b"1,2,a,0\n" * 1001, 413, "1000 rows"),
])  # fmt: skip
def test_bad_tables(server: Server, query: str, body: bytes, status: int, told: str) -> None:
    answer = server.ask("POST", f"/models/recipe/predict{query}", body)
    assert answer[0] == status and told in answer[2].decode() and "/tmp" not in answer[2].decode()


# What is counted, logged and described


def test_metrics(server: Server) -> None:
    def count(of: str) -> float:
        lines = server.ask("GET", "/metrics")[2].decode().splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(of))

    right = 'dxai_requests_total{method="POST",model="recipe",path="/v2/models/{name}/infer",status="200"}'
    before = count(right), count('dxai_rows_total{model="recipe"}')
    server.infer(recipe())
    assert (count(right), count('dxai_rows_total{model="recipe"}')) == (before[0] + 1, before[1] + 2)
    server.ask("GET", f"/{SECRET}")
    server.ask("GET", f"/v2/models/{SECRET}")
    assert count("dxai_queue ") == 0 and count("dxai_request_seconds_count") > 10
    assert str(SECRET) not in server.ask("GET", "/metrics")[2].decode()


def test_the_log_has_one_line_per_request_and_no_values(server: Server) -> None:
    def logged() -> list[dict[str, Any]]:
        server.ask("GET", "/v2")  # the line of a request is there before the next one is answered
        return [line for line in server.lines() if line["event"] == "request" and line["path"] != "/v2"]

    server.infer(recipe(heat=[SECRET, 1], line=["비밀", "을"]))
    table = f"heat,salt,line,slot\n{SECRET},1,갑,0\n".encode()
    server.ask("POST", f"/models/recipe/predict?on_bad_rows={SECRET}", table)
    server.ask("GET", f"/{SECRET}")
    before = logged()
    server.infer(recipe())
    *same, last = logged()
    assert same == before and str(SECRET) not in server.log.read_text() and "비밀" not in server.log.read_text()
    told = {"method": "POST", "path": "/v2/models/{name}/infer", "model": "recipe", "status": 200, "rows": 2}
    assert told.items() <= last.items()
    assert set(last) - set(told) == {"time", "level", "event", "milliseconds", "bytes_in", "bytes_out"}


def test_openapi_is_valid_and_complete(server: Server) -> None:
    told = json.loads(server.ask("GET", "/openapi.json")[2])
    OpenAPIV31SpecValidator(told).validate()
    for path, methods in told["paths"].items():
        for method in methods:
            status = server.ask(method.upper(), path)[0]
            assert status not in (404, 405, 500), (method, path)
    served = {
        route.path.replace("{name}", "recipe").replace("{version}", "1.2.0") for route in Service([], Limits()).routes()
    }
    assert served - set(told["paths"]) == {"/openapi.json"}


def test_openapi_tells_which_requests_and_answers_are_right(server: Server) -> None:
    told = json.loads(server.ask("GET", "/openapi.json")[2])

    def breaks(name: str, value: Any) -> bool:
        return not Draft202012Validator({**told, "$ref": f"#/components/schemas/{name}"}).is_valid(value)

    for name, request in (("recipe", recipe()), ("sales", sales())):
        assert not breaks(f"{name}-1.2.0.request", request)
        assert not breaks(f"{name}-1.2.0.response", server.infer(request, name)[1])
        assert not breaks("ModelMetadata", json.loads(server.ask("GET", f"/v2/models/{name}")[2]))
    unseen = [r for r, status, _ in MISTAKES if isinstance(r, dict) and not breaks("recipe-1.2.0.request", r)]
    # Finite, agreeing and unrepeated is more than a schema can say.
    assert all(server.infer(r)[0] in (400, 413) for r in unseen) and len(unseen) <= 9
    assert not breaks("Error", server.infer({})[1])


# Who may ask


@pytest.mark.parametrize(("headers", "status"), [
    ({}, 200), ({"host": "localhost:1"}, 200), ({"host": "[::1]:8080"}, 200), ({"host": "evil.example"}, 421),
    ({"host": "127.0.0.1.evil.example"}, 421), ({"host": ""}, 421), ({"host": "[::1"}, 421),
    ({"origin": "http://localhost:8080"}, 200), ({"origin": "https://evil.example"}, 403), ({"origin": "null"}, 403),
])  # fmt: skip
def test_pages_of_other_sites_cannot_use_the_server(server: Server, headers: dict[str, str], status: int) -> None:
    answer = server.ask("GET", "/v2", **headers)
    assert answer[0] == status
    assert not [name for name in answer[1] if name.lower().startswith("access-control")]


def test_every_answer_has_the_security_headers(server: Server) -> None:
    for path in ("/v2", "/nothing", "/", "/metrics"):
        headers = server.ask("GET", path)[1]
        assert (
            "default-src 'none'" in headers["content-security-policy"]
            and headers["x-content-type-options"] == "nosniff"
        )
        assert "server" not in headers


def test_pages(folders: list[str], tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "index.html").write_text("<p>안녕하세요", "utf-8")
    (tmp_path / "private").write_text("private")
    (tmp_path / "site" / "link").symlink_to(tmp_path / "private")
    with running(folders, tmp_path / "log", pages=str(tmp_path / "site")) as server:
        status, headers, told = server.ask("GET", "/")
        assert (status, headers["content-type"], told.decode()) == (200, "text/html; charset=utf-8", "<p>안녕하세요")
        assert "connect-src 'self'" in headers["content-security-policy"]
        for path in ("/../private", "/%2e%2e/private", "/link", "/nothing", "/a%00b", "/" + "x" * 300):
            assert server.ask("GET", path)[0] == 404
        assert server.ask("GET", "/v2/models/recipe/infer")[0] == 405 and server.infer(recipe())[0] == 200


# Limits


def told(raw: socket.socket) -> bytes:
    """Everything until the server closes."""
    data = b""
    while part := raw.recv(1 << 16):
        data += part
    return data


def head(length: int | None, more: str = "") -> bytes:
    size = "" if length is None else f"Content-Length: {length}\r\n"
    return f"POST /v2/models/recipe/infer HTTP/1.1\r\nHost: localhost\r\n{size}{more}\r\n".encode()


def test_a_body_that_is_too_large(server: Server) -> None:
    for data in (bytes(5 << 20), iter([bytes(1 << 16)] * 80)):  # of known length, and chunked
        status, headers, answer = server.ask("POST", "/v2/models/recipe/infer", data)
        assert (status, headers["connection"]) == (413, "close") and b"1048576 bytes. Split it" in answer
    bomb = gzip.compress(bytes(50 << 20))
    assert len(bomb) < 1 << 20
    status, answer = server.infer(bomb, content_encoding="gzip")
    assert status == 413 and "once it is inflated" in answer["error"]


@pytest.mark.parametrize(("body", "encoding", "status"), [
    (b"{}", "br", 415), (b"{}", "gzip", 400), (gzip.compress(b"{}", mtime=0)[:-1], "gzip", 400),
    (gzip.compress(b"{}", mtime=0) * 2, "gzip", 400), (gzip.compress(b"{}", mtime=0), "deflate", 400),
])  # fmt: skip
def test_bad_encodings(server: Server, body: bytes, encoding: str, status: int) -> None:
    assert server.infer(body, content_encoding=encoding)[0] == status


def test_a_head_that_is_too_large(server: Server) -> None:
    assert told(server.connect(head(0, f"X: {'x' * 20_000}\r\nConnection: close\r\n"))).startswith(b"HTTP/1.1 431 ")
    assert told(server.connect(head(0)[:-2] + b"X: " + b"x" * 20_000)).startswith(b"HTTP/1.1 431 ")  # and never ends


def test_slow_clients(server: Server) -> None:
    began = time.monotonic()
    waiting = {
        what: server.connect(data)
        for what, data in {"head": head(9)[:30], "body": head(9) + b"{", "silent": b""}.items()
    }
    assert told(waiting["head"]).startswith(b"HTTP/1.1 408 ")
    assert told(waiting["body"]).startswith(b"HTTP/1.1 408 ")
    assert told(waiting["silent"]) == b"" and time.monotonic() - began < 5


def test_a_connection_is_kept_and_closed_when_idle(server: Server) -> None:
    raw = server.connect(head(2) + b"{}" + head(2) + b"{}")
    answers = told(raw)
    assert answers.count(b"HTTP/1.1 400 ") == 2 and b"connection: close" not in answers


def test_mistakes_keep_the_connection(server: Server) -> None:
    connection = http.client.HTTPConnection(*server.address)
    for path, status in (("/v2/models/recipes/infer", 404), ("/v2/models/recipe/infer", 400)) * 2:
        connection.request("POST", path, b"{}")
        answer = connection.getresponse()
        answer.read()
        assert answer.status == status and not answer.will_close
    connection.close()


def test_bytes_that_are_no_http(server: Server) -> None:
    answer = told(server.connect(b"\x16\x03\x01\x02\x00\x01\r\n\r\n"))
    assert answer.startswith(b"HTTP/1.1 400 ") and answer.endswith(b'{"error": "Invalid HTTP request received."}')


def test_too_many_connections(folders: list[str], tmp_path: Path) -> None:
    with running(folders, tmp_path / "log", connections=3) as server:
        held = [server.connect() for _ in range(3)]
        time.sleep(0.2)
        answer = told(server.connect())
        assert answer.startswith(b"HTTP/1.1 503 ") and b"retry-after: 1" in answer
        held.pop().close()
        time.sleep(0.2)
        assert server.infer(recipe())[0] == 200


@pytest.mark.parametrize(
    ("options", "reason"), [({"deadline": 0.0, "small_bytes": 0}, "deadline"), ({"held_bytes": 10}, "memory")]
)
def test_too_much_to_do(folders: list[str], tmp_path: Path, options: dict[str, Any], reason: str) -> None:
    with running(folders, tmp_path / "log", **options) as server:
        status, headers, answer = server.ask("POST", "/v2/models/recipe/infer", recipe())
        assert (status, headers["retry-after"]) == (503, "1") and b"Try again in a second" in answer
        assert f'dxai_rejected_total{{reason="{reason}"}} 1.0'.encode() in server.ask("GET", "/metrics")[2]


def test_a_full_queue() -> None:
    async def crowd() -> list[object]:
        gate = Gate(Limits(threads=1, queue=2), Metrics().queue)
        first = await asyncio.gather(*(gate.run(partial(time.sleep, 0.1)) for _ in range(4)), return_exceptions=True)
        return [*first, await gate.run(lambda: "room again")]

    answers = asyncio.run(crowd())
    assert [getattr(a, "reason", a) for a in answers] == [None, None, "queue", "queue", "room again"]


# The end


def test_sigterm_lets_the_server_finish(folders: list[str], tmp_path: Path) -> None:
    request = json.dumps(recipe()).encode()
    with running(folders, tmp_path / "log", linger_seconds=3.0) as server:
        half_sent = server.connect(head(len(request)) + request[:9])
        idle = server.connect(head(2) + b"{}")
        before = b""
        while b"must be a list" not in before:
            before += idle.recv(1 << 16)
        time.sleep(0.1)
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        with pytest.raises(ConnectionRefusedError):
            server.connect()
        idle.sendall(head(len(request)) + request)
        half_sent.sendall(request[9:])
        for raw in (idle, half_sent):
            answer = told(raw)
            assert answer.startswith(b"HTTP/1.1 200 ") and b"connection: close" in answer and b"[31.0, 32.0]" in answer
        assert server.process.wait(5) == 0
        assert server.lines()[-1]["event"] == "stopped"


def test_the_end_does_not_wait_for_ever(folders: list[str], tmp_path: Path) -> None:
    with running(folders, tmp_path / "log", drain_seconds=1, body_seconds=60) as server:
        held = server.connect(head(9))
        time.sleep(0.1)
        began = time.monotonic()
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(10) == 0 and time.monotonic() - began < 4
        held.close()


def test_a_taken_port_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(SettingsError) as error:
        serve([], port=taken.getsockname()[1])
    assert "already in use" in error.value.problem and "--port" in error.value.fix
