"""The walk: an ONNX file against the rules of a bundle and against its contract, before any runtime sees it."""

from __future__ import annotations

import math
import struct
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dxai.contract import Contract
from dxai.contract.signature import Element, signature_of
from dxai.errors import ModelError
from dxai.inference.onnx_schema import (
    AttributeProto,
    GraphProto,
    ModelProto,
    NodeProto,
    TensorProto,
    ValueInfoProto,
    read_model,
)

_GROUPS = {
    "numbers": "Abs Acos Acosh Add Asin Asinh Atan Atanh Ceil Clip Cos Cosh Div Erf Exp Floor Log Max Mean Min Mod Mul "
    "Neg Pow Reciprocal Round Sign Sin Sinh Sqrt Sub Sum Tan",
    "activations": "Elu Gelu HardSigmoid HardSwish LeakyRelu LogSoftmax Mish PRelu Relu Selu Sigmoid Softmax Softplus "
    "Softsign Tanh",
    "truth": "And Equal Greater GreaterOrEqual IsInf IsNaN Less LessOrEqual Not Or Where Xor",
    "layers": "AveragePool BatchNormalization Conv Gemm GlobalAveragePool GlobalMaxPool InstanceNormalization "
    "LayerNormalization MatMul MaxPool",
    "along an axis": "ArgMax ArgMin CumSum ReduceL1 ReduceL2 ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd "
    "ReduceSum ReduceSumSquare TopK",
    "shape and place": "Cast Concat Constant ConstantOfShape Expand Flatten Gather GatherElements GatherND Identity "
    "OneHot Pad Range Reshape ScatterElements ScatterND Shape Size Slice Split Squeeze Tile Transpose Unsqueeze",
}
OPERATORS: Mapping[str, frozenset[str]] = {
    "": frozenset(" ".join(_GROUPS.values()).split()),
    "ai.onnx.ml": frozenset(
        {"Imputer", "LabelEncoder", "LinearRegressor", "OneHotEncoder", "Scaler", "TreeEnsembleRegressor"}
    ),
}
"""By domain: what our exporter writes, and its kin. None calls a graph, draws at random, or makes a sequence."""

FLOAT, INT32, INT64, STRING, BOOL, DOUBLE = 1, 6, 7, 8, 9, 11
_LIST = {FLOAT: "float_data", INT32: "int32_data", INT64: "int64_data", STRING: "string_data", BOOL: "int32_data",
         DOUBLE: "double_data"}  # fmt: skip
_WIDTH = {FLOAT: 4, INT32: 4, INT64: 8, BOOL: 1, DOUBLE: 8}
_NAME = {FLOAT: "float", INT32: "int32", INT64: "int64", STRING: "string", BOOL: "bool", DOUBLE: "double"}
_KIND: dict[Element, int] = {"float": FLOAT, "int64": INT64, "string": STRING}
_ATTRIBUTE = {1: "f", 2: "i", 3: "s", 4: "t", 6: "floats", 7: "ints", 8: "strings"}

_IR, _OPSETS = range(8, 11), {"": range(17, 23), "ai.onnx.ml": range(1, 6)}
_BYTES, _NODES, _RANK, _ELEMENTS = 256 << 20, 10_000, 16, 1 << 26

_TREE_LISTS = {
    "nodes_treeids": "ints", "nodes_nodeids": "ints", "nodes_featureids": "ints", "nodes_truenodeids": "ints",
    "nodes_falsenodeids": "ints", "nodes_missing_value_tracks_true": "ints", "nodes_values": "floats",
    "nodes_modes": "strings", "target_treeids": "ints", "target_nodeids": "ints", "target_ids": "ints",
    "target_weights": "floats",
}  # fmt: skip
_TREE_RULE: Mapping[str, tuple[str, Any]] = {"n_targets": ("i", range(1, 1025)), "aggregate_function": ("s", [b"SUM"]),
                                             "post_transform": ("s", [b"NONE"])}  # fmt: skip
"""What trees need, and may have: what our exporter writes, and nothing besides."""
_TREE_NODES, _TREE_DEPTH, _FEATURES = 1_000_000, 1_000, 1 << 16
"""Features where the file does not say how wide the input is; the runtime holds them against the true width."""

_SHAPED = {"ConstantOfShape": {0}, "Expand": {1}, "OneHot": {1}, "Pad": {1}, "Range": {0, 1, 2}, "Tile": {1}}
"""Which inputs say how large the output becomes."""


@dataclass(frozen=True)
class Value:
    """An input or output of a graph.

    Attributes:
        kind: Type of the elements, by its ONNX number.
        dims: Length of each axis, or the name of a free one.
    """

    name: str
    kind: int
    dims: tuple[int | str, ...]

    def __str__(self) -> str:
        """Such as ``float 'water' [batch]``."""
        return f"{_NAME[self.kind]} {_quoted(self.name)} [{_quoted(', '.join(map(str, self.dims)))[1:-1]}]"


@dataclass(frozen=True)
class Graph:
    """What a walked graph takes and gives."""

    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]


def walk(data: bytes) -> Graph:
    """Read the bytes of an ONNX file and hold every node and tensor against the rules.

    Raises:
        ModelError: The first rule that is broken, in one line.
    """
    if len(data) > _BYTES:
        raise ModelError(f"The graph has {len(data):,} bytes, however {_BYTES:,} are allowed.")
    model = read_model(data)
    graph = model.graph or GraphProto()
    _refuse_header(model, graph)
    domains = {entry.domain or "" for entry in model.opset_import}
    for tensor in graph.initializer:
        _refuse_tensor(tensor)
    constants = {tensor.name or "": _integers(tensor) for tensor in graph.initializer}
    settled = {"", *constants}
    widths = _widths(graph)
    for node in graph.node:
        _refuse_node(node, domains)
        if node.op_type == "Constant":
            constants |= dict.fromkeys(node.output, _constant(node))
        if node.op_type == "TreeEnsembleRegressor":
            _refuse_trees(node, widths)
        _refuse_growth(node, constants, settled)
        if node.op_type in ("Constant", "Shape", "Size") or (node.input and settled.issuperset(node.input)):
            settled.update(node.output)
    for info in graph.value_info:
        _value(info)
    _refuse_repeats(graph)
    return Graph(tuple(map(_value, graph.input)), tuple(map(_value, graph.output)))


def refuse_other_interface(graph: Graph, contract: Contract) -> None:
    """Raise ModelError when inputs and outputs are not those that the contract asks for."""
    signature = signature_of(contract)
    for what, found, wanted in (
        ("input", graph.inputs, signature.inputs), ("output", graph.outputs, signature.outputs)
    ):  # fmt: skip
        needs = [Value(tensor.name, _KIND[tensor.element], tensor.shape) for tensor in wanted]
        for there, needed in zip_longest(found, needs, fillvalue="nothing"):
            if there != needed:
                told = f"The graph has {there} as {what}, however the contract asks for {needed} there."
                raise ModelError(told)


def _refuse_header(model: ModelProto, graph: GraphProto) -> None:
    if model.ir_version not in _IR:
        raise ModelError(f"The graph has IR version {model.ir_version}, however {_IR[0]} to {_IR[-1]} are known.")
    _refuse_twice("domain", [entry.domain or "" for entry in model.opset_import])
    for entry in model.opset_import:
        known = _OPSETS.get(entry.domain or "", range(0))
        if entry.version not in known:
            told = f"{known[0]} to {known[-1]} are known" if known else "that domain is not allowed"
            raise ModelError(f"The graph uses opset {entry.version} of {_quoted(entry.domain)}, however {told}.")
    if len(graph.node) > _NODES or len(graph.initializer) > _NODES:
        raise ModelError(f"The graph has more than {_NODES:,} nodes or weights.")


def _refuse_node(node: NodeProto, domains: set[str]) -> None:
    domain, operator = node.domain or "", node.op_type or ""
    if operator not in OPERATORS.get(domain, ()):
        of = f" of {_quoted(domain)}" if domain else ""
        raise ModelError(f"The graph uses the operator {_quoted(operator)}{of}, which no bundle may.")
    if domain not in domains:
        raise ModelError(f"The graph uses {operator} without the opset of its domain {domain!r}.")
    _refuse_twice("attribute", [attribute.name or "" for attribute in node.attribute])
    for attribute in node.attribute:
        _refuse_attribute(attribute, operator)


def _refuse_attribute(attribute: AttributeProto, operator: str) -> None:
    """An attribute holds one thing, of the type it says."""
    given = {name for name in _ATTRIBUTE.values() if getattr(attribute, name) not in (None, [])}
    if attribute.type not in _ATTRIBUTE or not given <= {_ATTRIBUTE[attribute.type]}:
        raise ModelError(f"The attribute {_quoted(attribute.name)} of a {operator} is not of the type it says.")
    if attribute.t is not None:
        _refuse_tensor(attribute.t)


def _refuse_tensor(tensor: TensorProto) -> None:
    """A tensor holds as many elements as its shape says, in one place."""
    kind, what = tensor.data_type or 0, f"The tensor {_quoted(tensor.name)}"
    if kind not in _LIST:
        raise ModelError(f"{what} has the data type {kind}, which no bundle may.")
    size = _elements(tensor.dims, what)
    lists = {name: len(getattr(tensor, name)) for name in set(_LIST.values())}
    if tensor.raw_data is None:
        whole = lists.pop(_LIST[kind]) == size
    else:
        whole = kind != STRING and len(tensor.raw_data) == size * _WIDTH[kind]
    if not whole or any(lists.values()):
        raise ModelError(f"{what} does not hold the {size:,} elements of its shape.")


def _integers(tensor: TensorProto) -> Sequence[int]:
    """The numbers of a sound tensor that could be a shape; none of any other."""
    kind, size = tensor.data_type or 0, math.prod(tensor.dims)
    if kind not in (INT32, INT64) or size > 2 * _RANK:
        return ()
    if tensor.raw_data is None:
        return list(getattr(tensor, _LIST[kind]))
    return struct.unpack(f"<{size}{'i' if kind == INT32 else 'q'}", tensor.raw_data)


def _constant(node: NodeProto) -> Sequence[int]:
    """The numbers that a Constant gives, where they could be a shape."""
    for attribute in node.attribute:
        if attribute.t is not None:
            return _integers(attribute.t)
        if attribute.i is not None:
            return (attribute.i,)
    return next((attribute.ints for attribute in node.attribute), ())


def _refuse_growth(node: NodeProto, constants: Mapping[str, Sequence[int]], settled: set[str]) -> None:
    """Refuse an output whose size hangs on the values of the rows, or stands in the file and is too large.

    All other sizes follow from the number of rows, so that a trial with as many rows as ever run at once covers them.
    """
    places = _SHAPED.get(node.op_type or "", ())
    sizes = [name for place, name in enumerate(node.input) if place in places]
    if not settled.issuperset(sizes):
        raise ModelError(f"The graph lets the values of the rows say how much {node.op_type} makes.")
    numbers = [number for name in sizes for number in constants.get(name, ())]
    if node.op_type == "Range" and len(numbers) == 3:
        start, limit, delta = numbers
        numbers = [abs(limit - start) // max(1, abs(delta))]
    if math.prod(max(1, abs(number)) for number in numbers) > _ELEMENTS:
        raise ModelError(f"The graph lets {node.op_type} make more than {_ELEMENTS:,} elements.")


def _widths(graph: GraphProto) -> dict[str, int]:
    """Length of the second of two axes, of the values where the file says it."""
    shapes = {info.name or "": info.type.tensor_type.shape for info in (*graph.input, *graph.value_info)
              if info.type and info.type.tensor_type and info.type.tensor_type.shape}  # fmt: skip
    return {
        name: shape.dim[1].dim_value
        for name, shape in shapes.items()
        if len(shape.dim) == 2 and shape.dim[1].dim_value is not None
    }


def _refuse_trees(node: NodeProto, widths: Mapping[str, int]) -> None:
    """Trees are trees: a runtime follows their numbers as they stand, row by row."""
    given = _tree_attributes(node)
    nodes = {name.removeprefix("nodes_"): given[name] for name in _TREE_LISTS if name.startswith("nodes_")}
    count = len(nodes["treeids"])
    if not 0 < count <= _TREE_NODES or any(len(values) != count for values in nodes.values()):
        raise ModelError(f"The trees have no nodes, more than {_TREE_NODES:,}, or lists of different lengths.")
    if not {b"BRANCH_LEQ", b"LEAF"}.issuperset(nodes["modes"]):
        raise ModelError("The trees have a node that is neither BRANCH_LEQ nor LEAF.")
    split = np.array([mode == b"BRANCH_LEQ" for mode in nodes["modes"]])
    place, tree = np.arange(count), nodes["treeids"]
    begins = np.diff(tree, prepend=tree[:1] - 1) != 0
    start = np.maximum.accumulate(np.where(begins, place, 0))
    if not np.array_equal(tree, np.cumsum(begins) - 1) or not np.array_equal(nodes["nodeids"], place - start):
        raise ModelError("The trees or their nodes are not numbered from 0 on, one by one.")
    width = widths.get(node.input[0] if node.input else "", _FEATURES)
    if ((nodes["featureids"] < 0) | (nodes["featureids"] >= width)).any():
        raise ModelError(f"The trees ask for a feature outside the {width:,} of their input.")
    if not np.isfinite(nodes["values"]).all() or not np.isin(nodes["missing_value_tracks_true"], (0, 1)).all():
        raise ModelError("The trees have a threshold that is not finite, or a way for missing values but 0 and 1.")
    _refuse_branches(split, start, nodes["truenodeids"], nodes["falsenodeids"])
    _refuse_leaves(given, tree, start, split)


def _tree_attributes(node: NodeProto) -> dict[str, Any]:
    """The attributes of trees by name: all that they need, each of its kind, and no other."""
    given: dict[str, Any] = {}
    for attribute in node.attribute:
        name = attribute.name or ""
        kind, allowed = _TREE_RULE.get(name, (_TREE_LISTS.get(name), None))
        value = getattr(attribute, kind) if kind else None
        if attribute.type not in _ATTRIBUTE or _ATTRIBUTE[attribute.type] != kind or value is None:
            raise ModelError(f"The trees have an attribute {_quoted(name)} that is unknown or of another type.")
        if allowed is not None and value not in allowed:
            raise ModelError(f"The trees have the value {_quoted(str(value))} for {name}, which no bundle may.")
        number = {"ints": np.int64, "floats": np.float32}.get(kind or "")
        given[name] = np.asarray(value, number) if number else value
    if missing := [name for name in (*_TREE_LISTS, *_TREE_RULE) if name not in given]:
        raise ModelError(f"The trees lack the attribute {missing[0]!r}.")
    return given


def _refuse_branches(
    split: NDArray[np.bool_], start: NDArray[np.int64], left: NDArray[np.int64], right: NDArray[np.int64]
) -> None:
    """Both children of a split stand behind it in its own tree, and every other node has one parent: no circle."""
    count, parents = len(split), np.flatnonzero(split)
    if left[~split].any() or right[~split].any():
        raise ModelError("The trees have a leaf with branches.")
    # Compared before anything is added: a number from the file may be as large as 64 bits allow.
    if any(((side < 0) | (side >= count)).any() for side in (left, right)):
        raise ModelError("The trees have a branch to a node that there is not.")
    left, right = left + start, right + start
    children = np.concatenate([left[parents], right[parents]])
    above = np.concatenate([parents, parents])
    if (children >= count).any() or (children <= above).any() or (start[children] != start[above]).any():
        raise ModelError("The trees have a branch that leads back, or out of its tree.")
    roots = np.flatnonzero(start == np.arange(count))
    if not np.array_equal(np.sort(np.concatenate([children, roots])), np.arange(count)):
        raise ModelError("The trees have a node with no parent, or with two.")
    level, depth = roots, 0
    while len(level := level[split[level]]):
        level, depth = np.concatenate([left[level], right[level]]), depth + 1
        if depth > _TREE_DEPTH:
            raise ModelError(f"The trees are more than {_TREE_DEPTH:,} splits deep.")


def _refuse_leaves(
    given: Mapping[str, Any], tree: NDArray[np.int64], start: NDArray[np.int64], split: NDArray[np.bool_]
) -> None:
    """Every leaf adds to an output, and to none twice; no split does."""
    trees, ids, targets, weights = (given[f"target_{n}"] for n in ("treeids", "nodeids", "ids", "weights"))
    if not len(trees) == len(ids) == len(targets) == len(weights):
        raise ModelError("The leaves of the trees have lists of different lengths.")
    if not np.isfinite(weights).all():
        raise ModelError("The leaves of the trees have a weight that is not finite.")
    if ((targets < 0) | (targets >= given["n_targets"])).any():
        raise ModelError(f"The leaves of the trees add to an output outside the {given['n_targets']:,}.")
    if ((trees < 0) | (trees > tree[-1]) | (ids < 0) | (ids >= len(tree))).any():
        raise ModelError("The leaves of the trees name a node that there is not.")
    roots = np.flatnonzero(start == np.arange(len(tree)))
    place = roots[trees] + ids
    if (place >= len(tree)).any() or (tree[place] != trees).any() or split[place].any():
        raise ModelError("The leaves of the trees name a node that is no leaf of its tree.")
    told = np.unique(place * given["n_targets"] + targets)
    if len(told) != len(place) or not np.array_equal(np.unique(place), np.flatnonzero(~split)):
        raise ModelError("The trees have a leaf that adds nothing, or twice to one output.")


def _value(info: ValueInfoProto) -> Value:
    tensor = info.type.tensor_type if info.type else None
    what = f"The value {_quoted(info.name)}"
    if tensor is None or tensor.elem_type not in _NAME:
        raise ModelError(f"{what} has no element type that a bundle may hold.")
    dims = tensor.shape.dim if tensor.shape else []
    if any(d.dim_value is not None and d.dim_param is not None for d in dims):
        raise ModelError(f"{what} has an axis that is both fixed and free.")
    _elements([1 if d.dim_value is None else d.dim_value for d in dims], what)
    lengths = (d.dim_param or "" if d.dim_value is None else d.dim_value for d in dims)
    return Value(info.name or "", tensor.elem_type, tuple(lengths))


def _elements(dims: Sequence[int], what: str) -> int:
    """Number of elements of a shape."""
    lengths = [max(1, length) for length in dims]
    if min(dims, default=0) < 0 or len(dims) > _RANK or math.prod(lengths) > _ELEMENTS:
        raise ModelError(f"{what} has a negative length, more than {_RANK} axes or {_ELEMENTS:,} elements.")
    return math.prod(dims)


def _refuse_repeats(graph: GraphProto) -> None:
    """Every name is given to one value only: no weight overrides an input, no node another."""
    names = [value.name or "" for value in graph.input] + [tensor.name or "" for tensor in graph.initializer]
    _refuse_twice("value", names + [name for node in graph.node for name in node.output if name])


def _refuse_twice(what: str, names: Iterable[str]) -> None:
    for name, count in Counter(names).most_common(1):
        if count > 1:
            raise ModelError(f"The graph has the {what} {_quoted(name)} {count} times.")


def _quoted(name: str | None) -> str:
    """A name from the file, made harmless for a line of text."""
    return ascii((name or "")[:60])
