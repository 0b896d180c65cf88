"""The walk takes what our exporter writes and what `onnx` reads alike, and refuses everything else in one line."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper
from trials.bombs import BOMBS, CONTRACT, graph, node
from trials.mutated_models import forest, mutant, originals

from dxai.bundle.folder import Bundle
from dxai.bundle.manifest import MODEL
from dxai.contract import Column, Contract
from dxai.errors import ModelError
from dxai.inference.graph import OPERATORS, Value, refuse_other_interface, walk
from dxai.inference.onnx_schema import FIELD_LIMIT, LIST_LIMIT, TEXT_LIMIT, ModelProto, read_model

DEMAND = Contract(
    id="parts", version="1.0.0", title_en="Parts", title_ko="부품", purpose="test", task="demand",
    columns=(
        Column(name="part", kind="category", role="series", title_en="a", title_ko="a"),
        Column(name="month", kind="date", role="time", title_en="b", title_ko="b"),
        Column(name="units", kind="number", role="target", title_en="c", title_ko="c"),
    ),
    frequency="monthly", horizon=4,
)  # fmt: skip


def every_field() -> onnx.ModelProto:
    """A graph with every field that a bundle may hold, typed lists and all kinds of attribute among them."""
    lists = {
        TensorProto.FLOAT: [0.5, math.inf], TensorProto.INT32: [-1, 2], TensorProto.INT64: [-(2**63), 2**63 - 1],
        TensorProto.STRING: [b"a", "강철".encode()], TensorProto.BOOL: [1, 0], TensorProto.DOUBLE: [1e300, -0.0],
    }  # fmt: skip
    model = graph(
        node("Abs", "x", "a"),
        helper.make_node(
            "LabelEncoder", [f"list {TensorProto.STRING}"], ["number"], domain="ai.onnx.ml", name="n", doc_string="d",
            keys_strings=["a", "나"], values_int64s=[-1, 2], default_float=0.25, default_string="", values_floats=[1.5],
        ),
        node("ConstantOfShape", "size", "zeros", value=helper.make_tensor("v", TensorProto.FLOAT, [1], [0.0])),
        node("ReduceMax", "a", keepdims=1),
        numbers={"size": np.int64([2])},
    )  # fmt: skip
    for kind, numbers in lists.items():
        model.graph.initializer.append(helper.make_tensor(f"list {kind}", kind, [2], numbers))
    model.opset_import.add(domain="ai.onnx.ml", version=3)
    model.graph.value_info.append(helper.make_tensor_value_info("number", TensorProto.INT64, ["batch", 3]))
    model.producer_name, model.producer_version, model.domain, model.model_version = "p", "1", "d", 7
    model.doc_string, model.graph.doc_string = "한국어", "text"
    for part in (model, model.graph, model.graph.node[0], model.graph.initializer[0], model.graph.input[0]):
        part.metadata_props.add(key="k", value="v")
    return model


def refusal(data: bytes) -> str:
    with pytest.raises(ModelError) as caught:
        walk(data)
    assert caught.value.exit_code == 7
    assert caught.value.problem.isprintable()
    assert len(caught.value.problem) < 250
    return caught.value.problem


def changed(change: Callable[[onnx.ModelProto], object]) -> bytes:
    model = every_field()
    change(model)
    return model.SerializeToString()


def same(mine: Any, theirs: Any) -> None:
    """Every field, down to the last number, and nothing else."""
    there = {field.name for field, _ in theirs.ListFields()}
    for field in dataclasses.fields(mine):
        own, other = getattr(mine, field.name), getattr(theirs, field.name)
        if field.metadata["repeated"]:
            assert len(own) == len(other)
        else:
            assert (own is not None) == theirs.HasField(field.name)
        pairs = zip(own, other, strict=True) if field.metadata["repeated"] else [(own, other)] * (own is not None)
        for one, another in pairs:
            if dataclasses.is_dataclass(one):
                same(one, another)
            else:
                assert one == another or (one != one and another != another)
        there.discard(field.name)
    assert not there


def test_the_reader_reads_every_field_as_onnx_does() -> None:
    model = every_field()
    onnx.checker.check_model(model)
    same(read_model(model.SerializeToString()), model)
    walk(model.SerializeToString())


def test_unpacked_numbers_mean_the_same_as_packed_ones() -> None:
    packed = bytes.fromhex("0a020203 10073a020203")  # dims 2, 3; int64; int64_data 2, 3
    loose = bytes.fromhex("08020803 10073802 3803")
    one, other = (read_model(bytes((0x3A, len(t) + 2, 0x2A, len(t))) + t) for t in (packed, loose))
    assert one == other
    assert one.graph is not None and one.graph.initializer[0].dims == [2, 3]


@pytest.mark.slow
def test_whatever_the_walk_takes_of_mutants_onnx_reads_alike() -> None:
    data, taken = every_field().SerializeToString(), 0
    for number in range(3000):
        changed = mutant(Random(number), data, data)
        try:
            walk(changed)
        except ModelError:
            continue
        same(read_model(changed), onnx.load_from_string(changed))
        taken += 1
    assert taken > 300


def test_any_bytes_are_refused_in_one_line() -> None:
    for number in range(2000):
        random = Random(number)
        refusal(random.randbytes(random.randrange(200)))


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "IR version None"),
        (b"\x08\x0a\x08\x0a", "two fields 'ir_version'"),
        (b"\x3a\x00\x3a\x00", "two fields 'graph'"),
        (b"\x08\x8a\x00", "too long"),  # 10 in two bytes
        (b"\x88\x00\x0a", "too long"),  # tag 1 in two bytes
        (b"\x08" + b"\xff" * 10 + b"\x01", "too large"),
        (b"\x08" + b"\xff" * 9 + b"\x02", "too large"),
        (b"\x3a\x08\x2a\x06\x10\x81\x80\x80\x80\x10", "32 bits"),  # data_type 1 + 2^32, which others read as 1
        (b"\x08", "cut short"),
        (b"\x3a\x05\x00", "longer than what it stands in"),
        (b"\x3a\x04\x2a\x09\x00\x00", "longer than what it stands in"),
        (b"\x0d\x00\x00\x00\x00", "field 1 of wire type 5"),
        (b"\x0b\x0c", "field 1 of wire type 3"),
        (b"\x00\x00", "field 0 of wire type 0"),
        (b"\x12\x02\xc3\x28", "not UTF-8"),
        (b"\x3a\x05\x2a\x03\x22\x01\x00", "ends within one"),
        (b"\x3a\x05" + b"\x2a\x03\x0a\x01\x80", "cut short"),
    ],
)
def test_bytes_that_two_parsers_may_read_differently_are_refused(data: bytes, told: str) -> None:
    assert told in refusal(data)


@pytest.mark.slow
def test_a_small_file_cannot_fill_the_memory() -> None:
    empty_nodes = b"\x0a\x00" * (FIELD_LIMIT + 1)
    assert "fields" in refusal(b"\x3a" + _varint(len(empty_nodes)) + empty_nodes)
    packed = b"\x2a" + _varint(FIELD_LIMIT + 6) + b"\x0a" + _varint(FIELD_LIMIT + 2) + b"\1" * (FIELD_LIMIT + 2)
    assert "fields" in refusal(b"\x3a" + _varint(len(packed)) + packed)
    assert "bytes of text" in refusal(b"\x32" + _varint(TEXT_LIMIT + 1) + b"x" * (TEXT_LIMIT + 1))


def _varint(number: int) -> bytes:
    head = bytearray()
    while number > 127:
        head.append(number & 127 | 128)
        number >>= 7
    return bytes((*head, number))


def external(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].external_data.add(key="location", value="/etc/passwd")


def external_in_attribute(model: onnx.ModelProto) -> None:
    model.graph.node[2].attribute[0].t.data_location = TensorProto.EXTERNAL


def subgraph(model: onnx.ModelProto) -> None:
    model.graph.node[0].attribute.append(helper.make_attribute("body", model.graph))


def function(model: onnx.ModelProto) -> None:
    model.functions.append(helper.make_function("d", "f", ["a"], ["b"], [node("Abs", "a", "b")], []))


def optional_type(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.optional_type.elem_type.tensor_type.elem_type = 1


def setter(path: str, value: object) -> Callable[[onnx.ModelProto], None]:
    def change(model: onnx.ModelProto) -> None:
        place: Any = model
        *parts, last = path.split(".")
        for part in parts:
            place = place[int(part)] if part.isdigit() else getattr(place, part)
        if isinstance(value, list):
            getattr(place, last)[:] = value
        else:
            setattr(place, last, value)

    return change


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (external, "external data"),
        (external_in_attribute, "external data"),
        (subgraph, "a graph within a graph"),
        (function, "functions"),
        (lambda m: m.training_info.add(), "training steps"),
        (lambda m: m.graph.sparse_initializer.add(), "sparse weights"),
        (lambda m: m.graph.quantization_annotation.add(), "field 14"),
        (optional_type, "a value that is no tensor"),
        (setter("ir_version", 7), "IR version 7"),
        (setter("ir_version", 11), "IR version 11"),
        (setter("opset_import.0.version", 16), "opset 16 of '', however 17 to 22 are known"),
        (setter("opset_import.0.version", 23), "opset 23"),
        (setter("opset_import.1.version", 6), "opset 6 of 'ai.onnx.ml', however 1 to 5 are known"),
        (setter("opset_import.1.domain", "com.microsoft"), "'com.microsoft', however that domain is not allowed"),
        (setter("opset_import.1.domain", "ai.onnx"), "that domain is not allowed"),
        (setter("opset_import.1.domain", ""), "the domain '' 2 times"),
        (lambda m: m.opset_import.pop(), "without the opset of its domain 'ai.onnx.ml'"),
        (setter("graph.node.0.op_type", "Loop"), "the operator 'Loop'"),
        (setter("graph.node.0.op_type", "If"), "the operator 'If'"),
        (setter("graph.node.0.op_type", "\x1b[31m\n"), "the operator '\\x1b[31m\\n'"),
        (setter("graph.node.0.op_type", "강철"), "the operator '\\uac15\\ucca0'"),
        (setter("graph.node.0.op_type", "Z" * 10**6), "the operator 'ZZZ"),
        (setter("graph.node.0.domain", "ai.onnx.ml"), "the operator 'Abs' of 'ai.onnx.ml'"),
        (setter("graph.node.1.attribute.0.type", 2), "not of the type it says"),
        (setter("graph.node.1.attribute.0.type", 0), "not of the type it says"),
        (setter("graph.node.1.attribute.0.i", 2), "not of the type it says"),
        (setter("graph.node.1.attribute.1.name", "keys_strings"), "the attribute 'keys_strings' 2 times"),
        (setter("graph.initializer.1.data_type", 10), "the data type 10"),
        (setter("graph.initializer.1.data_type", 0), "the data type 0"),
        (setter("graph.initializer.1.dims", [3]), "does not hold the 3 elements"),
        (setter("graph.initializer.1.dims", [-2]), "a negative length"),
        (setter("graph.initializer.1.dims", [2**32, 2**32]), "67,108,864 elements"),
        (setter("graph.initializer.1.dims", [0, 2**62]), "67,108,864 elements"),
        (setter("graph.initializer.1.dims", [1] * 17), "16 axes"),
        (setter("graph.initializer.1.raw_data", b"1234567"), "does not hold the 1 elements"),
        (setter("graph.initializer.1.int64_data", [1]), "does not hold the 1 elements"),
        (setter("graph.initializer.2.int32_data", [1, 2]), "does not hold the 2 elements"),
        (setter("graph.initializer.5.raw_data", b"xy"), "does not hold the 2 elements"),
        (setter("graph.initializer.2.name", "x"), "the value 'x' 2 times"),
        (setter("graph.node.0.output", ["y_lower"]), "the value 'y_lower' 2 times"),
        (setter("graph.value_info.0.type.tensor_type.elem_type", 16), "no element type"),
        (setter("graph.value_info.0.type.tensor_type.shape.dim.1.dim_value", -1), "a negative length"),
        (lambda m: [m.graph.input[0].type.tensor_type.shape.dim.add(dim_param="n") for _ in range(16)], "16 axes"),
        (setter("graph.value_info.0.type.tensor_type.shape.dim.1.dim_value", 2**40), "67,108,864 elements"),
        (lambda m: m.graph.node.extend([node("Abs", "x", "")] * 10_000), "more than 10,000 nodes"),
    ],
)  # fmt: skip
def test_what_no_bundle_may_hold_is_refused_by_name(change: Callable[[onnx.ModelProto], object], told: str) -> None:
    assert told in refusal(changed(change))


def test_a_file_above_the_limit_is_not_read() -> None:
    assert "268,435,456 are allowed" in refusal(bytes((256 << 20) + 1))


def test_both_a_fixed_and_a_free_axis_is_refused() -> None:
    model = graph(node("Abs", "x"))
    shape = model.graph.input[0].type.tensor_type.shape.dim[0].SerializeToString()
    data = model.SerializeToString()
    assert data.count(b"\x0a" + _varint(len(shape)) + shape) == 4
    both = data.replace(shape, b"\x08\x01\x12\x03bat", 1)
    assert len(both) == len(data)
    assert "both fixed and free" in refusal(both)


@pytest.mark.parametrize("operator", ["Tile", "Expand", "ConstantOfShape"])
def test_a_size_from_a_constant_node_counts_like_one_from_a_weight(operator: str) -> None:
    inputs = "n" if operator == "ConstantOfShape" else "x n"
    tensor = helper.make_tensor("v", TensorProto.INT64, [1], [2**40])
    for attribute in ({"value": tensor}, {"value_ints": [2**40]}, {"value_int": 2**40}):
        constant = helper.make_node("Constant", [], ["n"], **attribute)
        model = graph(constant, node(operator, inputs))
        assert f"lets {operator} make more than" in refusal(model.SerializeToString())


def test_sizes_may_come_from_shapes_but_not_from_values() -> None:
    sound = graph(
        node("Shape", "x", "long"), node("Mul", "long two", "longer"), node("ConstantOfShape", "longer"),
        node("Clip", "long  two", "short"), node("Expand", "x short", "again"), numbers={"two": np.int64([2])},
    )  # fmt: skip
    sound.graph.node[3].input[:] = ["long", "", "two"]
    walk(sound.SerializeToString())
    for operator, inputs in (
        ("ConstantOfShape", "n"), ("Expand", "x n"), ("Tile", "x n"), ("Pad", "x n"), ("Range", "n n n"),
    ):  # fmt: skip
        model = graph(node("Cast", "x", "n", to=7), node(operator, inputs))
        assert f"values of the rows say how much {operator}" in refusal(model.SerializeToString())


@pytest.mark.slow
@pytest.mark.parametrize("name", BOMBS)
def test_the_walk_alone_never_takes_long(name: str) -> None:
    bomb = BOMBS[name]()
    try:
        walk(bomb if isinstance(bomb, bytes) else bomb.SerializeToString())
    except ModelError as error:
        assert error.problem.isprintable()


def test_operators_are_standard_and_call_no_graph() -> None:
    for domain, names in OPERATORS.items():
        for name in names:
            schema = onnx.defs.get_schema(name, 20 if domain == "" else 3, domain)
            assert not any(a.type == onnx.defs.OpSchema.AttrType.GRAPH for a in schema.attributes.values())
    assert not OPERATORS[""] & {"If", "Loop", "Scan", "RandomNormal", "Bernoulli", "SequenceConstruct", "Optional"}


def test_inputs_and_outputs_are_those_of_a_quality_contract() -> None:
    model = graph(node("Abs", "x"))
    found = walk(model.SerializeToString())
    assert found.inputs == (Value("x", 1, ("batch",)),)
    assert [str(value) for value in found.outputs] == [
        "float 'y_predicted' [batch]", "float 'y_lower' [batch]", "float 'y_upper' [batch]",
    ]  # fmt: skip
    refuse_other_interface(found, CONTRACT)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            setter("graph.input.0.name", "z"),
            "float 'z' [batch] as input, however the contract asks for float 'x' [batch]",
        ),
        (setter("graph.input.0.type.tensor_type.elem_type", 8), "string 'x' [batch] as input"),
        (setter("graph.input.0.type.tensor_type.shape.dim.0.dim_value", 3), "float 'x' [3] as input"),
        (
            setter("graph.input.0.type.tensor_type.shape.dim.0.dim_param", "\x1b[31m\n"),
            "float 'x' [\\x1b[31m\\n] as input",
        ),
        (setter("graph.input.0.type.tensor_type.shape.dim.0.dim_param", "n" * 999), "float 'x' [nnnnn"),
        (lambda m: m.graph.input.pop(), "nothing as input, however the contract asks for float 'x' [batch]"),
        (lambda m: m.graph.output.pop(), "nothing as output, however the contract asks for float 'y_upper' [batch]"),
        (lambda m: m.graph.output.append(m.graph.output[0]), "as output, however the contract asks for nothing there"),
        (lambda m: m.graph.output.reverse(), "float 'y_upper' [batch] as output"),
    ],
)
def test_another_interface_than_the_contract_is_refused(change: Callable[[Any], object], told: str) -> None:
    model = graph(node("Abs", "x", "boom"))
    change(model)
    with pytest.raises(ModelError, match="however the contract asks") as caught:
        refuse_other_interface(walk(model.SerializeToString()), CONTRACT)
    assert told in caught.value.problem
    assert caught.value.problem.isprintable()
    assert len(caught.value.problem) < 200


def test_inputs_and_outputs_are_those_of_a_demand_contract() -> None:
    values = [
        ("history", 1, ["series", "context"]), ("last_day", 7, ["series"]), ("quantiles", 1, ["series", 4, 9]),
        *((name, 1, ["series", 4]) for name in ("mean", "lower", "upper")),
    ]  # fmt: skip
    infos = [helper.make_tensor_value_info(*value) for value in values]
    model = helper.make_model(helper.make_graph([], "g", infos[:2], infos[2:]), ir_version=10)
    model.opset_import[0].version = 20
    refuse_other_interface(walk(model.SerializeToString()), DEMAND)
    model.graph.output[0].type.tensor_type.shape.dim[2].dim_value = 8
    with pytest.raises(ModelError, match=r"quantiles' \[series, 4, 8\] as output"):
        refuse_other_interface(walk(model.SerializeToString()), DEMAND)


def test_every_released_model_passes(checkout: Path) -> None:
    folders = [path.parent for path in (checkout / "models").glob("*/model.onnx")]
    if not folders:
        pytest.skip("no model is released here: run `dvc repro`")
    for folder in folders:
        bundle = Bundle.open(folder)
        same(read_model(bundle.read(MODEL)), onnx.load_from_string(bundle.read(MODEL)))
        refuse_other_interface(walk(bundle.read(MODEL)), bundle.contract)


def test_trees_pass_and_a_sandbox_would_find_their_golden_rows() -> None:
    ((data, contract, golden),) = originals([])
    refuse_other_interface(walk(data), contract)
    found = onnxruntime.InferenceSession(data).run(list(golden.outputs), dict(golden.inputs))
    for values, expected in zip(found, golden.outputs.values(), strict=True):
        np.testing.assert_array_equal(values, expected)


def attribute(name: str, change: Callable[[list[Any]], object]) -> Callable[[onnx.ModelProto], None]:
    """A change of the list that is an attribute of the trees."""

    def changed(model: onnx.ModelProto) -> None:
        (found,) = (a for a in model.graph.node[1].attribute if a.name == name)
        values = list(helper.get_attribute_value(found))
        change(values)
        found.CopyFrom(helper.make_attribute(name, values, attr_type=found.type))

    return changed


def put(place: int, value: Any) -> Callable[[list[Any]], None]:
    return lambda values: values.__setitem__(place, value)


def value_of(name: str, value: Any) -> Callable[[onnx.ModelProto], None]:
    """Another value of an attribute of the trees, of whatever type; None for none."""

    def changed(model: onnx.ModelProto) -> None:
        node = model.graph.node[1]
        kept = [a for a in node.attribute if a.name != name]
        del node.attribute[:]
        node.attribute.extend([*kept, *([] if value is None else [helper.make_attribute(name, value)])])

    return changed


def longer(count: int) -> Callable[[onnx.ModelProto], None]:
    """One tree of so many nodes that leans to one side: every second node is a leaf."""

    def changed(model: onnx.ModelProto) -> None:
        split = [i % 2 == 0 and i < count - 1 for i in range(count)]
        leaves = [i for i, inner in enumerate(split) if not inner]
        lists = {
            "treeids": [0] * count, "nodeids": range(count), "featureids": [0] * count, "values": [0.0] * count,
            "modes": ["BRANCH_LEQ" if inner else "LEAF" for inner in split],
            "truenodeids": [i + 1 if inner else 0 for i, inner in enumerate(split)],
            "falsenodeids": [i + 2 if inner else 0 for i, inner in enumerate(split)],
            "missing_value_tracks_true": [0] * count,
        }  # fmt: skip
        for name, values in lists.items():
            value_of(f"nodes_{name}", list(values))(model)
        for name, values in {"treeids": 0, "nodeids": None, "ids": 0, "weights": 1.0}.items():
            value_of(f"target_{name}", leaves if values is None else [values] * len(leaves))(model)

    return changed


MODES, LEFT, RIGHT = "nodes_modes", "nodes_truenodeids", "nodes_falsenodeids"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (value_of("nodes_hitrates", [1.0] * 11), "an attribute 'nodes_hitrates' that is unknown or of another type"),
        (value_of("base_values", [1.0]), "an attribute 'base_values'"),
        (value_of("nodes_values_as_tensor", helper.make_tensor("t", 11, [1], [0.0])), "'nodes_values_as_tensor'"),
        (value_of("nodes_values", [1] * 11), "an attribute 'nodes_values' that is unknown or of another type"),
        (value_of(MODES, 3), "an attribute 'nodes_modes'"),
        (value_of("target_weights", None), "lack the attribute 'target_weights'"),
        (value_of("n_targets", None), "lack the attribute 'n_targets'"),
        (value_of("n_targets", 0), "the value '0' for n_targets"),
        (value_of("n_targets", 2**40), "for n_targets, which no bundle may"),
        (value_of("n_targets", 2), "an output outside the 2"),
        (value_of("aggregate_function", "MAX"), "MAX"),
        (value_of("post_transform", "LOGISTIC"), "LOGISTIC"),
        (attribute("nodes_treeids", list.pop), "lists of different lengths"),
        (attribute("nodes_featureids", list.pop), "lists of different lengths"),
        (attribute("nodes_missing_value_tracks_true", list.clear), "lists of different lengths"),
        (attribute(MODES, lambda values: values.append("LEAF")), "lists of different lengths"),
        (attribute(MODES, put(0, "BRANCH_LT")), "neither BRANCH_LEQ nor LEAF"),
        (attribute(MODES, put(1, "LEAF\0")), "neither BRANCH_LEQ nor LEAF"),
        (attribute("nodes_treeids", put(0, 1)), "not numbered from 0 on"),
        (attribute("nodes_treeids", put(0, -1)), "not numbered from 0 on"),
        (attribute("nodes_treeids", put(10, 2**63 - 1)), "not numbered from 0 on"),
        (attribute("nodes_treeids", lambda values: values.__setitem__(slice(None), [-1] * 11)), "not numbered"),
        (attribute("nodes_nodeids", put(1, 2)), "not numbered from 0 on"),
        (attribute("nodes_nodeids", put(1, 0)), "not numbered from 0 on"),
        (attribute("nodes_featureids", put(0, 1)), "a feature outside the 1 of their input"),
        (attribute("nodes_featureids", put(0, -1)), "a feature outside"),
        (attribute("nodes_values", put(0, math.nan)), "a threshold that is not finite"),
        (attribute("nodes_values", put(1, math.inf)), "a threshold that is not finite"),
        (attribute("nodes_missing_value_tracks_true", put(0, 2)), "a way for missing values but 0 and 1"),
        (attribute(LEFT, put(1, 3)), "a leaf with branches"),
        (attribute(LEFT, put(0, 5)), "leads back, or out of its tree"),
        (attribute(LEFT, put(2, 0)), "leads back, or out of its tree"),
        (attribute(LEFT, put(2, 2)), "leads back, or out of its tree"),
        (attribute(RIGHT, put(8, 3)), "leads back, or out of its tree"),
        (attribute(RIGHT, put(8, -1)), "a branch to a node that there is not"),
        (attribute(RIGHT, put(8, 2**63 - 1)), "a branch to a node that there is not"),
        (attribute(RIGHT, put(2, 3)), "no parent, or with two"),
        (attribute(LEFT, put(0, 2)), "no parent, or with two"),
        (attribute("target_ids", list.pop), "leaves of the trees have lists of different lengths"),
        (attribute("target_weights", put(0, math.nan)), "a weight that is not finite"),
        (attribute("target_ids", put(0, 3)), "an output outside the 3"),
        (attribute("target_ids", put(0, -1)), "an output outside the 3"),
        (attribute("target_treeids", put(0, 3)), "name a node that there is not"),
        (attribute("target_treeids", put(0, -1)), "name a node that there is not"),
        (attribute("target_nodeids", put(0, 2**62)), "name a node that there is not"),
        (attribute("target_nodeids", put(0, 2)), "no leaf of its tree"),
        (attribute("target_nodeids", put(0, 6)), "no leaf of its tree"),
        (attribute("target_nodeids", put(6, 4)), "no leaf of its tree"),
        (attribute("target_nodeids", put(1, 1)), "adds nothing, or twice to one output"),
        (longer(2003), "more than 1,000 splits deep"),
    ],
)  # fmt: skip
def test_trees_that_are_none_are_refused_by_name(change: Callable[[onnx.ModelProto], object], told: str) -> None:
    model = forest()
    change(model)
    assert told in refusal(model.SerializeToString())


def test_trees_may_be_deep_and_many_and_are_read_as_onnx_does() -> None:
    model = forest()
    longer(2001)(model)
    same(read_model(model.SerializeToString()), model)
    walk(model.SerializeToString())


def test_without_a_leaf_that_adds_there_are_no_trees() -> None:
    model = forest()
    for name in ("target_treeids", "target_nodeids", "target_ids", "target_weights"):
        attribute(name, list.clear)(model)
    assert "adds nothing" in refusal(model.SerializeToString())


def test_features_are_bounded_where_the_file_does_not_say_how_many_there_are() -> None:
    model = forest()
    model.graph.value_info.pop()
    attribute("nodes_featureids", put(0, 65_535))(model)
    walk(model.SerializeToString())
    attribute("nodes_featureids", put(0, 65_536))(model)
    assert "outside the 65,536" in refusal(model.SerializeToString())


@pytest.mark.slow
def test_many_numbers_of_an_attribute_are_read_at_once_up_to_a_limit() -> None:
    def head(field: int, content: bytes) -> bytes:
        return bytes((field,)) + _varint(len(content)) + content

    for element in (b"\x40\x07", b"\x3d\0\0\x80\x3f"):
        for count, told in ((LIST_LIMIT + 64, "IR version"), (LIST_LIMIT + 65, "16,000,000 numbers and words")):
            assert told in refusal(head(0x3A, head(0x0A, head(0x2A, element * count))))
    for odd in (b"\x40\x80\x00", b"\x40\x80", b"\x40", b"\x3d\0", b"\x4a\x09a", b"\x40" + b"\xff" * 10):
        first = {0x40: b"\x40\x07", 0x3D: b"\x3d\0\0\x80\x3f", 0x4A: b"\x4a\0"}[odd[0]]
        assert "damaged" in refusal(head(0x3A, head(0x0A, head(0x2A, first * 1000 + odd))))


def test_numbers_behind_many_are_read_as_onnx_does() -> None:
    far = [2**28 - 1, 2**28, -1, 2**63 - 1, 64, 0, 127, 128, 300]
    for count in (63, 64, 65, 200):
        attributes = {"i": [*range(count), *far, *range(100)], "f": [0.5, math.inf] * count, "s": ["a", ""] * count}
        model = graph(helper.make_node("Abs", ["x"], ["boom"], **attributes))
        same(read_model(model.SerializeToString()), model)


def test_an_empty_model_is_an_empty_message() -> None:
    assert read_model(b"") == ModelProto()
