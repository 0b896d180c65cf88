"""python -m tests.trials.mutated_models --size ci|release [--seed N] [BUNDLE …]

Mutants of released graphs, made with the `onnx` package and byte by byte, each through the stages of the loader:
walk, contract, sandbox, golden rows. Prints one line of JSON. The loader is not to die, to exceed its limits, or to
refuse with anything but one line and exit code 7; a mutant that gets through answers the golden rows like the original.

A worker process is the parent of the sandbox; when it dies this is counted, and another one goes on behind the mutant.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from dxai.bundle.folder import Bundle
from dxai.bundle.manifest import MODEL
from dxai.contract import Column, Contract
from dxai.errors import ModelError
from dxai.inference.graph import OPERATORS, refuse_other_interface, walk
from dxai.inference.loader import Golden, golden_of, refuse_other_answer
from dxai.inference.sandbox import Limits, Sandbox

SIZES = {"ci": 1_000, "release": 100_000}
LIMITS = Limits(memory=1 << 30, cpu=2, wall=4.0)
SLOWEST = LIMITS.wall + 2.5
"""Seconds: the sandbox kills what does not answer two seconds behind the limit."""

NUMBERS = (-(2**63), -(2**31), -2, -1, 0, 1, 2, 3, 7, 255, 2**16, 2**31 - 1, 2**31, 2**40, 2**62, 2**63 - 1)
FLOATS = (float("nan"), float("inf"), -float("inf"), 0.0, -1.0, 1e-30, 1e30, 3.0)
TYPES = range(0, 24)
STANDARD = sorted({schema.name for schema in onnx.defs.get_all_schemas()})
ALLOWED = sorted(OPERATORS[""] | OPERATORS["ai.onnx.ml"])

TREES = Contract(
    id="forest", version="1.0.0", title_en="Forest", title_ko="숲", purpose="test", task="quality",
    columns=(
        Column(name="x", kind="number", role="feature", title_en="x", title_ko="x"),
        Column(name="y", kind="number", role="target", title_en="y", title_ko="y"),
    ),
)  # fmt: skip

Mutation = Callable[[Random, onnx.ModelProto], None]


# Weights


def dims(random: Random, model: onnx.ModelProto) -> None:
    tensor = random.choice(model.graph.initializer)
    change = random.randrange(3)
    if change == 0 or not tensor.dims:
        tensor.dims.append(random.choice(NUMBERS))
    elif change == 1:
        tensor.dims[random.randrange(len(tensor.dims))] = random.choice(NUMBERS)
    else:
        tensor.dims[:] = random.sample(list(tensor.dims), len(tensor.dims))


def data_type(random: Random, model: onnx.ModelProto) -> None:
    random.choice(model.graph.initializer).data_type = random.choice(TYPES)


def weights(random: Random, model: onnx.ModelProto) -> None:
    """Other bytes of the same length: zeros, extremes, or one flipped."""
    tensor = random.choice(model.graph.initializer)
    data = bytearray(tensor.raw_data)
    filler = random.choice((b"\0", b"\xff", b"\x7f", b"\x7f\x80\0\0"[::-1]))
    if random.random() < 0.5:
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)
    else:
        data = (filler * len(data))[: len(data)]
    tensor.raw_data = bytes(data)


def integers(random: Random, model: onnx.ModelProto) -> None:
    """Another number in a constant that is a shape, an axis or an index."""
    tensor = random.choice([t for t in model.graph.initializer if t.data_type == TensorProto.INT64 and t.raw_data])
    at = 8 * random.randrange(len(tensor.raw_data) // 8)
    number = random.choice(NUMBERS).to_bytes(8, "little", signed=True)
    tensor.raw_data = tensor.raw_data[:at] + number + tensor.raw_data[at + 8 :]


def typed_list(random: Random, model: onnx.ModelProto) -> None:
    """Numbers in a list, beside or instead of the raw bytes, right or wrong in number."""
    tensor = random.choice(model.graph.initializer)
    count = random.choice((3, min(max(0, math.prod(tensor.dims)), 10_000)))
    field = {TensorProto.FLOAT: "float_data", TensorProto.INT64: "int64_data"}.get(tensor.data_type, "int32_data")
    getattr(tensor, field).extend([1] * count)
    if random.random() < 0.7:
        tensor.ClearField("raw_data")


def swapped_weights(random: Random, model: onnx.ModelProto) -> None:
    one, other = random.sample(list(model.graph.initializer), 2)
    one.name, other.name = other.name, one.name


def external(random: Random, model: onnx.ModelProto) -> None:
    tensor = random.choice(model.graph.initializer)
    place = random.choice(("/etc/passwd", "../../model.onnx", "weights.bin", "/dev/zero"))
    tensor.external_data.add(key="location", value=place)
    tensor.data_location = TensorProto.EXTERNAL
    if random.random() < 0.5:
        tensor.ClearField("raw_data")


def sparse(random: Random, model: onnx.ModelProto) -> None:
    tensor = random.choice(model.graph.initializer)
    index = helper.make_tensor("i", TensorProto.INT64, [1], [random.choice(NUMBERS)])
    values = helper.make_tensor(tensor.name, TensorProto.FLOAT, [1], [1.0])
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, index, [random.choice(NUMBERS)]))
    model.graph.initializer.remove(tensor)


# Nodes


def operator(random: Random, model: onnx.ModelProto) -> None:
    random.choice(model.graph.node).op_type = random.choice(random.choice((STANDARD, ALLOWED, ALLOWED, ["Bomb", ""])))


def domain(random: Random, model: onnx.ModelProto) -> None:
    node = random.choice(model.graph.node)
    node.domain = random.choice(("ai.onnx", "ai.onnx.ml", "com.microsoft", "evil", "ai.onnx.training", "\x1b[31m"))
    if random.random() < 0.5:
        model.opset_import.add(domain=node.domain, version=1)


def dropped(random: Random, model: onnx.ModelProto) -> None:
    del model.graph.node[random.randrange(len(model.graph.node))]


def doubled(random: Random, model: onnx.ModelProto) -> None:
    model.graph.node.append(random.choice(model.graph.node))


def shuffled(random: Random, model: onnx.ModelProto) -> None:
    nodes = list(model.graph.node)
    random.shuffle(nodes)
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def rewired(random: Random, model: onnx.ModelProto) -> None:
    """Another value at an input or output, which may well make a circle."""
    node = random.choice(model.graph.node)
    names = [name for n in model.graph.node for name in (*n.input, *n.output)] + ["", "nowhere"]
    place = random.choice((node.input, node.output))
    if place and random.random() < 0.8:
        place[random.randrange(len(place))] = random.choice(names)
    else:
        place.append(random.choice(names))


def inputs_cut(random: Random, model: onnx.ModelProto) -> None:
    node = random.choice(model.graph.node)
    del node.input[random.randrange(len(node.input)) :]


def attribute(random: Random, model: onnx.ModelProto) -> None:
    node = random.choice([n for n in model.graph.node if n.attribute])
    chosen = random.choice(node.attribute)
    change = random.randrange(5)
    if change == 0:
        chosen.i = random.choice(NUMBERS)
    elif change == 1 and chosen.ints:
        chosen.ints[random.randrange(len(chosen.ints))] = random.choice(NUMBERS)
    elif change == 2:
        chosen.ints.extend(random.choices(NUMBERS, k=random.randrange(1, 5)))
    elif change == 3:
        chosen.f = random.choice(FLOATS)
    else:
        chosen.type = random.randrange(0, 15)


def new_attribute(random: Random, model: onnx.ModelProto) -> None:
    """An attribute that some operator knows, on one that may or may not know it."""
    names = ("axis", "axes", "keepdims", "to", "perm", "kernel_shape", "pads", "strides", "alpha", "mode", "group")
    value: Any = random.choice((random.choice(NUMBERS), random.choices(NUMBERS, k=3), random.choice(FLOATS), "edge"))
    random.choice(model.graph.node).attribute.append(helper.make_attribute(random.choice(names), value))


def branch(random: Random, model: onnx.ModelProto) -> None:
    """Other numbers in a list of a node of trees: one or all, near or far; or lists that change places."""
    (node,) = (n for n in model.graph.node if n.op_type == "TreeEnsembleRegressor")
    chosen, other = random.sample([a for a in node.attribute if len(a.ints) or len(a.floats)], 2)
    change = random.randrange(5)
    if change == 0 and chosen.ints:
        chosen.ints[random.randrange(len(chosen.ints))] = random.choice((*NUMBERS, *range(8)))
    elif change == 1 and chosen.floats:
        chosen.floats[random.randrange(len(chosen.floats))] = random.choice(FLOATS)
    elif change == 2:
        chosen.name, other.name = other.name, chosen.name
    elif change == 3 and chosen.ints:
        chosen.ints[:] = random.choices(chosen.ints, k=len(chosen.ints))
    else:
        del (chosen.ints or chosen.floats)[-1]


def attribute_dropped(random: Random, model: onnx.ModelProto) -> None:
    node = random.choice([n for n in model.graph.node if n.attribute])
    del node.attribute[random.randrange(len(node.attribute))]


def inserted(random: Random, model: onnx.ModelProto) -> None:
    """One more node between two others, of any operator that is allowed."""
    node = random.choice([n for n in model.graph.node if n.input])
    at = random.randrange(len(node.input))
    constants = [tensor.name for tensor in model.graph.initializer] + ["mutant_size"]
    model.graph.initializer.append(
        helper.make_tensor("mutant_size", TensorProto.INT64, [2], random.choices(NUMBERS[3:13], k=2))
    )
    others = [random.choice(constants) for _ in range(random.randrange(3))]
    new = helper.make_node(random.choice(ALLOWED), [node.input[at], *others], ["mutant"])
    node.input[at] = "mutant"
    model.graph.node.insert(list(model.graph.node).index(node), new)


def grown(random: Random, model: onnx.ModelProto) -> None:
    """A value that becomes large at run time only: a shape that the graph computes from its own input."""
    node = random.choice([n for n in model.graph.node if n.input])
    factor = helper.make_tensor("mutant_factor", TensorProto.INT64, [1], [random.choice((2, 10**5, 10**9, 2**40))])
    model.graph.initializer.append(factor)
    steps = [
        helper.make_node("Shape", [model.graph.input[0].name], ["mutant_shape"]),
        helper.make_node("Mul", ["mutant_shape", "mutant_factor"], ["mutant_long"]),
        helper.make_node("ConstantOfShape", ["mutant_long"], ["mutant_zeros"]),
        helper.make_node("ReduceSum", ["mutant_zeros"], ["mutant_zero"], keepdims=0),
        helper.make_node("Add", [node.input[0], "mutant_zero"], ["mutant"]),
    ]
    node.input[0] = "mutant"
    at = list(model.graph.node).index(node)
    for step in reversed(steps):
        model.graph.node.insert(at, step)


def nested(name: str, levels: int) -> onnx.GraphProto:
    output = helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
    if levels == 0:
        constant = helper.make_node("Constant", [], [name], value_float=1.0)
        return helper.make_graph([constant], "leaf", [], [output])
    inner = nested(f"{name}_", levels - 1)
    truth = helper.make_node("Constant", [], [f"{name}_c"], value=helper.make_tensor("", TensorProto.BOOL, [], [1]))
    branch = helper.make_node("If", [f"{name}_c"], [name], then_branch=inner, else_branch=inner)
    return helper.make_graph([truth, branch], "branch", [], [output])


def nested_if(random: Random, model: onnx.ModelProto) -> None:
    model.graph.node.extend(nested("mutant", random.randrange(1, 5)).node)


def loop(random: Random, model: onnx.ModelProto) -> None:
    trips = helper.make_tensor("trips", TensorProto.INT64, [], [random.choice((3, 2**62))])
    model.graph.initializer.append(trips)
    truth = helper.make_tensor_value_info("go", TensorProto.BOOL, [])
    round_ = helper.make_tensor_value_info("round", TensorProto.INT64, [])
    body = helper.make_graph(
        [helper.make_node("Constant", [], ["on"], value=helper.make_tensor("", TensorProto.BOOL, [], [1]))],
        "body", [round_, truth], [helper.make_tensor_value_info("on", TensorProto.BOOL, [])],
    )  # fmt: skip
    model.graph.node.insert(0, helper.make_node("Loop", ["trips", ""], [], body=body))


# The rest of the file


def versions(random: Random, model: onnx.ModelProto) -> None:
    change = random.randrange(4)
    if change == 0:
        model.ir_version = random.choice(NUMBERS)
    elif change == 1:
        random.choice(model.opset_import).version = random.choice((*NUMBERS, *range(1, 28)))
    elif change == 2:
        model.opset_import.add(
            domain=random.choice(("", "ai.onnx.ml", "ai.onnx", "evil")), version=random.randrange(30)
        )
    else:
        del model.opset_import[:]


def value(random: Random, model: onnx.ModelProto) -> None:
    """Another name, type or shape of an input, an output or an inner value."""
    graph = model.graph
    info = random.choice(random.choice((graph.input, graph.output, graph.value_info)))
    tensor = info.type.tensor_type
    change = random.randrange(6)
    if change == 0:
        info.name = random.choice((f"{info.name}_", "", random.choice(graph.node).output[0], "a\nb"))
    elif change == 1:
        tensor.elem_type = random.choice(TYPES)
    elif change == 2:
        tensor.shape.dim.add(dim_value=random.choice(NUMBERS))
    elif change == 3 and tensor.shape.dim:
        random.choice(tensor.shape.dim).dim_value = random.choice(NUMBERS)
    elif change == 4 and tensor.shape.dim:
        random.choice(tensor.shape.dim).dim_param = random.choice(("", "n", "\x1b[31m\r\n", "n" * 1000))
    else:
        info.type.sequence_type.elem_type.tensor_type.elem_type = TensorProto.FLOAT


def interface(random: Random, model: onnx.ModelProto) -> None:
    values = random.choice((model.graph.input, model.graph.output))
    if random.random() < 0.5:
        values.append(random.choice(values))
    else:
        del values[random.randrange(len(values))]


def extras(random: Random, model: onnx.ModelProto) -> None:
    """Parts of a model that no bundle has."""
    change = random.randrange(4)
    if change == 0:
        nodes, opsets = [helper.make_node("Identity", ["a"], ["b"])], [helper.make_opsetid("", 20)]
        model.functions.append(helper.make_function("evil", "F", ["a"], ["b"], nodes, opsets))
    elif change == 1:
        model.training_info.add().algorithm.CopyFrom(model.graph)
    elif change == 2:
        model.metadata_props.add(key="k", value="x" * random.choice((10, 2 << 20)))
    else:
        model.graph.quantization_annotation.add(tensor_name="a")


STRUCTURAL: tuple[Mutation, ...] = (
    dims, data_type, weights, integers, integers, typed_list, swapped_weights, external, sparse, operator, operator,
    domain, dropped, doubled, shuffled, rewired, rewired, inputs_cut, attribute, attribute, new_attribute,
    branch, branch, branch, attribute_dropped, inserted, inserted, grown, nested_if, loop, versions, value, interface,
    extras,
)  # fmt: skip


def bytewise(random: Random, data: bytes, other: bytes) -> bytes:
    """Flip, cut, insert, overwrite, repeat or graft bytes; often in the first part, where the structure is."""
    at = random.randrange(len(data) if random.random() < 0.5 else min(len(data), 20_000))
    length = min(random.choice((1, 2, 8, 100, 5_000)), len(data) - at)
    kind = random.randrange(7)
    if kind < 2:
        changed = bytes((data[at] ^ 1 << random.randrange(8),)) + data[at + 1 : at + length]
        return data[:at] + changed + data[at + length :]
    if kind == 2:
        return data[:at]
    new = (random.randbytes(length), random.choice((b"\0", b"\xff")) * length, data[at : at + length] * 2, b"")[
        kind - 3
    ]
    if random.random() < 0.2:
        new = other[at : at + length]
    return data[:at] + new + data[at + length :]


def mutant(random: Random, data: bytes, other: bytes) -> bytes:
    """One to three mutations of a graph; ``other`` is one to graft from."""
    if random.random() < 0.35:
        return bytewise(random, data, other)
    model = onnx.load_from_string(data)
    for mutation in random.choices(STRUCTURAL, k=random.choice((1, 1, 2, 3))):
        try:
            mutation(random, model)
        except (ValueError, IndexError, TypeError):
            continue  # this graph has nothing for it to change, or ``onnx`` itself forbids the value
    return model.SerializeToString()


# The trial


def forest() -> onnx.ModelProto:
    """Three trees, one for each output, as our exporter writes them; the last one says the same of every row."""
    trees = helper.make_node(
        "TreeEnsembleRegressor", ["column"], ["sums"], domain="ai.onnx.ml", name="trees", n_targets=3,
        aggregate_function="SUM", post_transform="NONE",
        nodes_treeids=[0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 2], nodes_nodeids=[0, 1, 2, 3, 4, 0, 1, 2, 0, 1, 2],
        nodes_featureids=[0] * 11, nodes_values=[1.0, 0.0, 2.0, 0.0, 0.0, 1.5, 0.0, 0.0, 0.0, 0.0, 0.0],
        nodes_modes=["BRANCH_LEQ", "LEAF", "BRANCH_LEQ", "LEAF", "LEAF", *["BRANCH_LEQ", "LEAF", "LEAF"] * 2],
        nodes_truenodeids=[1, 0, 3, 0, 0, 1, 0, 0, 1, 0, 0], nodes_falsenodeids=[2, 0, 4, 0, 0, 2, 0, 0, 2, 0, 0],
        nodes_missing_value_tracks_true=[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        target_treeids=[0, 0, 0, 1, 1, 2, 2], target_nodeids=[1, 3, 4, 1, 2, 1, 2], target_ids=[0, 0, 0, 1, 1, 2, 2],
        target_weights=[10.0, 20.0, 30.0, -1.0, -2.0, 7.0, 7.0],
    )  # fmt: skip
    outputs, float_ = ("y_predicted", "y_lower", "y_upper"), TensorProto.FLOAT
    nodes = [helper.make_node("Unsqueeze", ["x", "one"], ["column"]), trees]
    nodes += [helper.make_node("Gather", ["sums", f"i{i}"], [name], axis=1) for i, name in enumerate(outputs)]
    weights = [helper.make_tensor(f"i{i}", TensorProto.INT64, [], [i]) for i in range(3)]
    weights.append(helper.make_tensor("one", TensorProto.INT64, [1], [1]))
    values = [helper.make_tensor_value_info(name, float_, ["batch"]) for name in ("x", *outputs)]
    inner = [helper.make_tensor_value_info("column", float_, ["batch", 1])]
    whole = helper.make_graph(nodes, "forest", values[:1], values[1:], weights, value_info=inner)
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("ai.onnx.ml", 3)]
    return helper.make_model(whole, ir_version=10, opset_imports=opsets)


def originals(folders: Sequence[Path]) -> list[tuple[bytes, Contract, Golden]]:
    """Graph, contract and golden rows of each bundle, and of trees made by hand."""
    bundles = [Bundle.open(folder) for folder in folders]
    rows = np.linspace(0, 3, 13, dtype=np.float32)
    first = np.select([rows <= 1, rows <= 2], [10, 20], 30)
    answers = {"y_predicted": first, "y_lower": np.where(rows <= 1.5, -1, -2), "y_upper": np.full(13, 7)}
    golden = Golden({"x": rows}, {name: values.astype(np.float32) for name, values in answers.items()})
    made = (forest().SerializeToString(), TREES, golden)
    return [made, *((bundle.read(MODEL), bundle.contract, golden_of(bundle)) for bundle in bundles)]


def stage_of(graph: bytes, contract: Contract, golden: Golden, sandbox: Sandbox, *, walked: bool = True) -> str:
    """Where the loader refuses a graph, by the very functions of `dxai.inference.loader.load_model`."""
    stage = "walk"
    try:
        if walked:
            found = walk(graph)
            stage = "contract"
            refuse_other_interface(found, contract)
        stage = "sandbox"
        outputs = sandbox.run(graph, golden.inputs)
        stage = "golden"
        refuse_other_answer(outputs, golden.outputs, golden.rows)
    except ModelError as error:
        fit = error.exit_code == 7 and error.problem.isprintable() and 0 < len(error.problem) <= 300
        return f"{stage}: {_reason(error.problem)}" if fit else f"not one line: {error.problem!r}"
    except Exception as error:
        return f"not one line: {error!r}"
    return "accepted"


def _reason(problem: str) -> str:
    signs = ("refuses", "crash", "memory", "CPU time", "stopped", "wrong answer", "differ", "shape")
    return next((sign for sign in signs if sign in problem), "rule")


def work(folders: Sequence[Path], seed: int, numbers: range, *, walked: bool) -> Iterator[tuple[str, float]]:
    """Stage and seconds of each mutant; number ``i`` of a seed is always the same mutant."""
    released = originals(folders)
    with Sandbox(LIMITS) as sandbox:
        for number in numbers:
            random = Random(f"{seed}:{number}")
            graph, contract, golden = random.choice(released)
            changed = mutant(random, graph, random.choice(released)[0])
            begin = time.monotonic()
            yield stage_of(changed, contract, golden, sandbox, walked=walked), time.monotonic() - begin


def supervise(count: int, arguments: Sequence[str]) -> tuple[Counter[str], int, float]:
    """Stages, deaths of workers, and the slowest mutant's seconds."""
    stages, deaths, slowest, done = Counter[str](), 0, 0.0, 0
    while done < count and deaths < 20:
        command = [sys.executable, "-m", "tests.trials.mutated_models", "--work", str(done), str(count), *arguments]
        worker = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert worker.stdout
        for line in worker.stdout:
            stage, seconds = json.loads(line)
            stages[stage], slowest, done = stages[stage] + 1, max(slowest, seconds), done + 1
            stages["over limit"] += seconds > SLOWEST
        if worker.wait() != 0:
            deaths, done = deaths + 1, done + 1
    return stages, deaths, slowest


def main() -> None:
    """Run the trial and print its line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "bundles", nargs="*", type=Path, default=sorted(p.parent for p in Path("models").glob("*/model.onnx"))
    )
    parser.add_argument("--size", choices=SIZES, default="ci")
    parser.add_argument("--count", type=int, help="instead of --size")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", nargs=2, type=int, metavar=("FROM", "TO"), help="what the trial itself calls")
    parser.add_argument("--without-walk", action="store_true", help="straight into the sandbox")
    options = parser.parse_args()
    if options.work:
        for stage in work(options.bundles, options.seed, range(*options.work), walked=not options.without_walk):
            sys.stdout.write(json.dumps(stage) + "\n")
            sys.stdout.flush()
        return
    count, begin = options.count or SIZES[options.size], time.monotonic()
    stages, deaths, slowest = supervise(count, sys.argv[1:])
    odd = {stage: number for stage, number in stages.items() if stage.startswith("not one line")}
    refused = {stage: stages[stage] for stage in sorted(stages) if ": " in stage and stage not in odd}
    line = {
        "trial": "mutated_models", "size": options.size, "seed": options.seed, "n": count,
        "walk": not options.without_walk, "accepted_identical": stages["accepted"], "refused": refused,
        "parent_died": deaths,
        "over_limit": stages["over limit"], "not_one_line": sum(odd.values()), "odd": list(odd)[:5],
        "slowest_seconds": round(slowest, 2), "seconds": round(time.monotonic() - begin, 1),
    }  # fmt: skip
    sys.stdout.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    os.environ["OMP_NUM_THREADS"] = "1"
    main()
