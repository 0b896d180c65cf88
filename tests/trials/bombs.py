"""python -m tests.trials.bombs --size ci|release

Graphs that mean harm, each through the whole loader, and each straight into the sandbox as if there were no walk.
Prints one line of JSON. Every bomb is refused in one line and within its limits, by either way; the release size gives
the sandbox the limits of the product, the CI size shorter ones.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper

from dxai.contract import Column, Contract
from dxai.errors import ModelError
from dxai.inference.graph import refuse_other_interface, walk
from dxai.inference.loader import Golden, rehearse
from dxai.inference.sandbox import Limits, Sandbox

from .mutated_models import nested

SIZES = {"ci": Limits(memory=1 << 30, cpu=2, wall=4.0), "release": Limits()}
GRACE = 2.5
"""Seconds: the sandbox kills what does not answer two seconds behind its limit."""

CONTRACT = Contract(
    id="bomb", version="1.0.0", title_en="Bomb", title_ko="폭탄", purpose="test", task="quality",
    columns=(
        Column(name="x", kind="number", role="feature", title_en="x", title_ko="x"),
        Column(name="y", kind="number", role="target", title_en="y", title_ko="y"),
    ),
)  # fmt: skip
ROWS = np.linspace(1, 2, 8, dtype=np.float32)
OUTPUTS = ("y_predicted", "y_lower", "y_upper")
GOLDEN = Golden({"x": ROWS}, dict.fromkeys(OUTPUTS, ROWS))


def graph(*nodes: NodeProto, numbers: dict[str, Any] | None = None, boom: str = "boom") -> onnx.ModelProto:
    """A sound graph that gives ``x`` three times, plus nothing times the largest value of ``boom``."""
    quiet = [
        helper.make_node("ReduceMax", [boom], ["most"], keepdims=0),
        helper.make_node("Mul", ["most", "nothing"], ["none"]),
        *(helper.make_node("Add", ["x", "none"], [name]) for name in OUTPUTS),
    ]
    arrays = {"nothing": np.float32(0), **{k: np.asarray(v) for k, v in (numbers or {}).items()}}
    weights = [onnx.numpy_helper.from_array(array, name) for name, array in arrays.items()]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch"]) for name in ("x", *OUTPUTS)]
    whole = helper.make_graph([*nodes, *quiet], "bomb", values[:1], values[1:], weights)
    return helper.make_model(whole, ir_version=10, opset_imports=[helper.make_opsetid("", 20)])


def node(operator: str, inputs: str, output: str = "boom", **attributes: Any) -> NodeProto:
    return helper.make_node(operator, inputs.split(), [output], **attributes)


def chain(operator: str, inputs: str, steps: int, **attributes: Any) -> list[NodeProto]:
    """The same node again and again, ``@`` standing for the value before; from ``x`` to ``boom``."""
    names = ["x", *(f"v{i}" for i in range(steps - 1)), "boom"]
    return [node(operator, inputs.replace("@", before), after, **attributes) for before, after in pairwise(names)]


def loop_forever() -> onnx.ModelProto:
    return graph(
        helper.make_node("Loop", ["trips", "", "x"], ["boom"], body=_loop_body()), numbers={"trips": np.int64(2**62)}
    )


def _loop_body() -> onnx.GraphProto:
    inputs = [("round", TensorProto.INT64, []), ("go", TensorProto.BOOL, []), ("v", TensorProto.FLOAT, None)]
    outputs = [("on", TensorProto.BOOL, []), ("w", TensorProto.FLOAT, None)]
    named = [[helper.make_tensor_value_info(*value) for value in part] for part in (inputs, outputs)]
    return helper.make_graph([node("Identity", "go", "on"), node("Abs", "v", "w")], "body", *named)


def scan_forever() -> onnx.ModelProto:
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("s2", "o")]
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("s1", "i")]
    body = helper.make_graph([node("Add", "s1 i", "s2"), node("Expand", "s1 wide", "o")], "body", inputs, outputs)
    scan = helper.make_node("Scan", ["nothing", "many"], ["last", "boom"], body=body, num_scan_inputs=1)
    many = node("ConstantOfShape", "size", "many")
    return graph(many, scan, numbers={"size": np.int64([10**6]), "wide": np.int64([10**4])})


def nested_if() -> onnx.ModelProto:
    """Two branches each time: the file doubles with every level, and so does what is made of it."""
    return graph(*nested("boom", 13).node)


def billion_laughs() -> onnx.ModelProto:
    """Twelve functions, each of which calls the next one ten times."""
    model = graph(helper.make_node("f0", ["x"], ["boom"], domain="evil"))
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("evil", 1)]
    for level in range(12):
        names = ["a", *(f"v{i}" for i in range(9)), "b"]
        called = ("Abs", "") if level == 11 else (f"f{level + 1}", "evil")
        calls = [helper.make_node(called[0], [a], [b], domain=called[1]) for a, b in pairwise(names)]
        model.functions.append(helper.make_function("evil", f"f{level}", ["a"], ["b"], calls, opsets))
    model.opset_import.add(domain="evil", version=1)
    return model


def endless_recursion() -> onnx.ModelProto:
    """A function that calls itself."""
    model = graph(helper.make_node("f", ["x"], ["boom"], domain="evil"))
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("evil", 1)]
    call = helper.make_node("f", ["a"], ["b"], domain="evil")
    model.functions.append(helper.make_function("evil", "f", ["a"], ["b"], [call], opsets))
    model.opset_import.add(domain="evil", version=1)
    return model


def deep_recursion() -> bytes:
    """A graph in an attribute of a node of a graph in an attribute, 100,000 times."""
    heads, size = [], 0
    for _ in range(100_000):
        for tag in (0x32, 0x2A, 0x0A):  # AttributeProto.g, NodeProto.attribute, GraphProto.node, from the inside out
            head = bytes((tag,)) + _varint(size)
            heads.append(head)
            size += len(head)
    return b"\x08\x0a\x3a" + _varint(size) + b"".join(reversed(heads))


def many_nodes() -> bytes:
    """Sixteen million empty nodes in 32 MB: a parser that builds them needs some hundred bytes for each."""
    return b"\x08\x0a\x3a" + _varint(1 << 25) + b"\x0a\x00" * (1 << 24)


def _varint(number: int) -> bytes:
    head = bytearray()
    while number > 127:
        head.append(number & 127 | 128)
        number >>= 7
    return bytes((*head, number))


def huge_text() -> onnx.ModelProto:
    model = graph(node("Abs", "x"))
    model.graph.doc_string = "x" * (100 << 20)
    return model


def external_data() -> onnx.ModelProto:
    model = graph(node("Add", "x secret"), numbers={"secret": np.float32([0])})
    secret = model.graph.initializer[1]
    secret.ClearField("raw_data")
    secret.data_location = TensorProto.EXTERNAL
    secret.external_data.add(key="location", value="/etc/passwd")
    return model


def lying_dims() -> onnx.ModelProto:
    model = graph(node("Add", "x lie"), numbers={"lie": np.float32([0, 0])})
    model.graph.initializer[1].dims[:] = [2**31, 2**33]
    return model


def custom_domain() -> onnx.ModelProto:
    model = graph(helper.make_node("Shell", ["x"], ["boom"], domain="evil"))
    model.opset_import.add(domain="evil", version=1)
    return model


def sequence() -> onnx.ModelProto:
    steps = [helper.make_node("SequenceConstruct", ["x"] * 1000, ["s"])]
    return graph(*steps, node("ConcatFromSequence", "s", "c", axis=0), *chain("Concat", "@ @", 25, axis=0))


def rows_cubed() -> onnx.ModelProto:
    """Harmless on eight rows: 1,024 make a thousand million numbers."""
    return graph(
        node("Unsqueeze", "x two", "column"), node("Unsqueeze", "x three", "cube"),
        node("Add", "x column", "square"), node("Add", "square cube"),
        numbers={"two": np.int64([1]), "three": np.int64([1, 2])},
    )  # fmt: skip


def from_values() -> onnx.ModelProto:
    """Harmless on the golden rows: a value above two thousand asks for a billion numbers each."""
    return graph(
        node("ReduceMax", "x", "top", keepdims=1), node("Pow", "top three", "cube"), node("Cast", "cube", "size", to=7),
        node("ConstantOfShape", "size"), numbers={"three": np.float32(3)},
    )  # fmt: skip


def sized(operator: str, inputs: str, **numbers: Any) -> Callable[[], onnx.ModelProto]:
    """One operator whose size stands in the file."""
    return lambda: graph(node(operator, inputs), numbers=numbers)


def hours(
    operator: str, shapes: Sequence[Sequence[int]], steps: int, **attributes: Any
) -> Callable[[], onnx.ModelProto]:
    """Large sound products of zeros, one behind the other."""

    def made() -> onnx.ModelProto:
        numbers = {f"n{i}": np.int64(shape) for i, shape in enumerate(shapes)}
        nodes = [node("ConstantOfShape", f"n{i}", f"c{i}") for i in range(len(shapes))]
        nodes += [node("ReduceMax", "x", "top", keepdims=0), node("Add", "c0 top", "start")]  # no constant to be folded
        later = chain(operator, "@ c1", steps, **attributes)
        later[0].input[0] = "start"
        return graph(*nodes, *later, numbers=numbers)

    return made


def pooled() -> onnx.ModelProto:
    nodes = [node("Unsqueeze", "x axes", "image")]
    wide = 2**40
    pool = node("MaxPool", "image", kernel_shape=[wide], pads=[wide - 1, wide - 1])
    return graph(*nodes, pool, numbers={"axes": np.int64([0, 1])})


BOMBS: dict[str, Callable[[], onnx.ModelProto | bytes]] = {
    "Loop of 2^62 trips": loop_forever,
    "Scan that fills the memory": scan_forever,
    "If in If, 2^13 leaves": nested_if,
    "functions, 10^12 nodes": billion_laughs,
    "function that calls itself": endless_recursion,
    "100,000 nested messages": deep_recursion,
    "16 million empty nodes": many_nodes,
    "100 MiB of text": huge_text,
    "ConstantOfShape of 2^40": sized("ConstantOfShape", "n", n=np.int64([2**20, 2**20])),
    "Expand to 2^40": sized("Expand", "x n", n=np.int64([2**37, 8])),
    "Tile 2^40 times": sized("Tile", "x n", n=np.int64([2**40])),
    "Pad by 2^40": sized("Pad", "x n", n=np.int64([2**40, 0])),
    "Range to 2^62": lambda: graph(
        node("Range", "zero end one", "long"), node("Cast", "long", to=1),
        numbers={"zero": np.int64(0), "end": np.int64(2**62), "one": np.int64(1)},
    ),
    "Tile by 1,000 twelve times": lambda: graph(*chain("Tile", "@ n", 12), numbers={"n": np.int64([1000])}),
    "Concat doubled 60 times": lambda: graph(*chain("Concat", "@ @", 60, axis=0)),
    "size from the values": from_values,
    "size from the rows, cubed": rows_cubed,
    "shape that lies": lying_dims,
    "MatMul for hours": hours("MatMul", [(6000, 6000), (6000, 6000)], 50),
    "Conv for hours": hours("Conv", [(1, 64, 500, 500), (64, 64, 9, 9)], 50, pads=[4, 4, 4, 4]),
    "MaxPool over 2^40": pooled,
    "random numbers, 2^40": lambda: graph(node("RandomNormal", "", shape=[2**20, 2**20])),
    "sequence": sequence,
    "data of another file": external_data,
    "operator of another domain": custom_domain,
}  # fmt: skip


def loaded(data: bytes, sandbox: Sandbox) -> str:
    """The loader's refusal, in its own order, and which stage it is of."""
    stage = "walk"
    try:
        refuse_other_interface(walk(data), CONTRACT)
        stage = "sandbox"
        rehearse(data, GOLDEN, sandbox)
    except ModelError as error:
        return f"{stage}: {_fit(error)}"
    return "accepted"


def alone(data: bytes, sandbox: Sandbox) -> str:
    """What the sandbox says without the walk."""
    try:
        rehearse(data, GOLDEN, sandbox)
    except ModelError as error:
        return _fit(error)
    return "harmless on these rows"


def _fit(error: ModelError) -> str:
    fit = error.exit_code == 7 and error.problem.isprintable() and 0 < len(error.problem) <= 300
    return error.problem if fit else f"NOT ONE LINE {error.problem!r}"


def main() -> None:
    """Run the trial and print its line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=SIZES, default="ci")
    limits, begin = SIZES[parser.parse_args().size], time.monotonic()
    told: dict[str, dict[str, str]] = {"loader": {}, "sandbox alone": {}}
    slowest, over = 0.0, 0
    with Sandbox(limits) as sandbox:
        assert alone(graph(node("Abs", "x")).SerializeToString(), sandbox) == "harmless on these rows"
        for name, made in BOMBS.items():
            bomb = made()
            data = bomb if isinstance(bomb, bytes) else bomb.SerializeToString()
            for way, tried in (("loader", loaded), ("sandbox alone", alone)):
                start = time.monotonic()
                told[way][name] = tried(data, sandbox)
                seconds = time.monotonic() - start
                slowest, over = max(slowest, seconds), over + (seconds > 2 * limits.wall + GRACE)
        assert loaded(graph(node("Abs", "x")).SerializeToString(), sandbox) == "accepted"  # it still works
    answers = [*told["loader"].values(), *told["sandbox alone"].values()]
    line = {
        "trial": "bombs", "n": len(BOMBS), "refused": sum(a != "accepted" for a in told["loader"].values()),
        "over_limit": over, "not_one_line": sum("NOT ONE LINE" in a for a in answers),
        "slowest_seconds": round(slowest, 2), "seconds": round(time.monotonic() - begin, 1),
        "parent_peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10, **told,
    }  # fmt: skip
    sys.stdout.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
