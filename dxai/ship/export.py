"""A fitted predictor to one ONNX graph that takes raw rows."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import warnings
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from onnx.defs import OpSchema
from onnxscript import values
from torch import Tensor, nn

from dxai.contract import Contract
from dxai.contract.signature import Element, signature_of
from dxai.contract.signature import Tensor as Declared
from dxai.learn.predictor import Predictor
from dxai.learn.short_histories import ShortHistories
from dxai.networks.trees import Trees
from dxai.ship.join import join
from dxai.ship.simplify import simplify

OPSET, IR_VERSION = 20, 10
"""Low enough for runtimes two years old (ONNX Runtime 1.18, May 2024)."""

_ML_OPSET = 3
"""Of LabelEncoder and TreeEnsembleRegressor: runtimes two years old know no TreeEnsemble (version 5)."""
# No column's name holds a dot, so these never meet one.
_NUMBER, _OUTER, _INNER = ".number", "outer.", "inner."
_EXPERTS: dict[Hashable, bytes] = {}
"""Graphs of the experts by all that they depend on: one takes half a processor minute, and many contracts agree."""
_STAND_IN = values.Op(values.Opset("dxai", 1), "TreeEnsemble", OpSchema(
    "TreeEnsemble", "dxai", 1,
    inputs=[OpSchema.FormalParameter(
        "rows_and_trees", "T", param_option=OpSchema.FormalParameterOption.Variadic, is_homogeneous=False,
    )],
    outputs=[OpSchema.FormalParameter("sums", "tensor(float)")],
    type_constraints=[("T", [f"tensor({kind})" for kind in ("float", "int32", "bool")], "")],
    attributes=[OpSchema.Attribute("outputs", OpSchema.AttrType.INT, "")],
))  # fmt: skip
"""Where trees stand until the exporter knows its weights; no file holds it."""


class _Positional(nn.Module):
    """Calls a predictor that takes named tensors with tensors in order, as the exporter wants it."""

    def __init__(self, predictor: Predictor, names: Sequence[str]) -> None:
        super().__init__()
        self.predictor, self.names = predictor, list(names)

    def forward(self, *columns: Tensor) -> tuple[Tensor, ...]:
        answers = self.predictor(dict(zip(self.names, columns, strict=True)))
        return tuple(answers[name] for name in self.predictor.output_names)


def export(predictor: Predictor, contract: Contract, *, context: int = 0) -> bytes:
    """The graph of a contract's signature; free axes stay free.

    Outputs are float32, a class's number too: browsers and the sandbox know no other, and every answer is a column. A
    history may be shorter or longer than the context: the graph pads with NaN or keeps the last steps. The same
    predictor gives the same bytes, whatever the folder.

    Args:
        predictor: Fitted.
        contract: Whose signature the graph gets.
        context: Steps of history that the predictor looks at, where it does.
    """
    inputs = signature_of(contract).inputs
    names = [tensor.name for tensor in inputs]
    axes = {axis: torch.export.Dim(axis, min=1) for tensor in inputs for axis in tensor.shape if isinstance(axis, str)}
    shapes = tuple(
        {place: axes[axis] for place, axis in enumerate(t.shape) if isinstance(axis, str)} for t in inputs
    )  # fmt: skip
    graph_names = [t.name + _NUMBER * (t.element == "string") for t in inputs]
    example = tuple(_example(t, context) for t in inputs)

    def graph(part: Predictor) -> onnx.ModelProto:
        return _export(_Positional(part, names), example, graph_names, part.output_names, {"columns": shapes})

    if isinstance(predictor, ShortHistories):
        model = graph(predictor.trained)
        asked = tuple((tensor.name, tensor.element, tensor.shape) for tensor in inputs)
        steps = (contract.season, contract.horizon, context)
        known = (asked, steps, contract.target.minimum, contract.covariates, contract.ahead)
        if known not in _EXPERTS:
            _EXPERTS[known] = graph(predictor.experts).SerializeToString()
        join(
            model,
            onnx.load_model_from_string(_EXPERTS[known]),
            history=_OUTER + "history",
            minimum=contract.minimum_history,
        )
    else:
        model = graph(predictor)
    columns = {column.name: column for column in contract.columns}
    for column in (columns[tensor.column] for tensor in inputs if tensor.element == "string"):
        _prepend_label_encoder(model, column.name, column.categories)
    _order_inputs(model, names)
    labels = {c.name: {"en": c.title_en, "ko": c.title_ko, "unit": c.unit} for c in contract.columns}
    properties = {
        "dxai.contract": f"{contract.id} {contract.version}",
        "dxai.columns": json.dumps(labels, ensure_ascii=False, sort_keys=True),
    }
    return _finish(model, contract.id.replace("-", "_"), properties)


def export_forecaster(network: nn.Module, *, name: str, properties: Mapping[str, str]) -> bytes:
    """The graph of a network from histories ``[series, time]`` to quantiles and a mean, without a contract.

    Args:
        network: Gives quantiles ``[series, horizon, level]`` and the mean ``[series, horizon]`` in the history's unit.
        name: Of the graph.
        properties: What the file says of itself.
    """
    shapes = ({0: torch.export.Dim("series", min=1), 1: torch.export.Dim("time", min=1)},)
    model = _export(network, (torch.ones(3, 50),), ["history"], ["quantiles", "mean"], shapes)
    _order_inputs(model, ["history"])
    return _finish(model, name, properties)


def _example(tensor: Declared, context: int) -> Tensor:
    """Three cases; a history that is longer than the context."""
    size = tuple(context + 5 if place else 3 for place in range(len(tensor.shape)))
    values: dict[Element, Tensor] = {
        "float": torch.ones(size),
        "int64": torch.full(size, 15_000, dtype=torch.int64),
        "string": torch.zeros(size, dtype=torch.int64),
    }
    return values[tensor.element]


def _export(
    module: nn.Module,
    example: tuple[Tensor, ...],
    inputs: Sequence[str],
    outputs: Sequence[str],
    shapes: dict[str, Any] | tuple[Any, ...],
) -> onnx.ModelProto:
    module.eval()
    loud = logging.getLogger("torch.onnx")
    level = loud.level
    loud.setLevel(logging.ERROR)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                module, example, dynamo=True, opset_version=OPSET, dynamic_shapes=shapes, verbose=False, optimize=False,
                custom_translation_table={torch.ops.dxai.tree_ensemble.default: _stand_in},
            )  # fmt: skip
            assert program is not None
            simplify(program.model)
            # only now every output is a value of its own
            graph = program.model.graph
            for value, name in zip((*graph.inputs, *graph.outputs), (*inputs, *outputs), strict=True):
                value.name = _OUTER + name
    finally:
        loud.setLevel(level)
    model: onnx.ModelProto = program.model_proto
    _plant_trees(model)
    return model


def _stand_in(
    x: Any, feature: Any, threshold: Any, left: Any, right: Any, missing_left: Any, value: Any, root: Any, output: Any,
    outputs: int,
) -> Any:  # fmt: skip
    """A node that takes the trees as weights: ONNX wants them as attributes, and the exporter knows no weight yet."""
    weights = (feature, threshold, left, right, missing_left, value, root, output)
    return _STAND_IN(x, *weights, outputs=outputs)


def _plant_trees(model: onnx.ModelProto) -> None:
    """Put a TreeEnsembleRegressor where the exporter left a stand-in, and drop the weights that only that one read."""
    graph = model.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    planted = [node for node in graph.node if node.domain == _STAND_IN.domain]
    for node in planted:
        trees = Trees(*(numpy_helper.to_array(weights[name]) for name in node.input[1:]))
        assert len(trees.root), "no trees were planted"
        (outputs,) = (attribute.i for attribute in node.attribute)
        node.CopyFrom(
            helper.make_node(
                "TreeEnsembleRegressor", [node.input[0]], list(node.output), name=node.name, domain="ai.onnx.ml",
                **_tree_attributes(trees, outputs),
            )
        )  # fmt: skip
    if planted:
        read = {name for node in graph.node for name in node.input}
        kept = [tensor for tensor in graph.initializer if tensor.name in read]
        del graph.initializer[:]
        graph.initializer.extend(kept)


def _tree_attributes(trees: Trees, outputs: int) -> dict[str, Any]:
    """Trees as the attributes of a TreeEnsembleRegressor, whose node numbers begin at 0 in each tree."""
    trees = _branched(trees)
    nodes, width = len(trees.feature), trees.value.shape[1]
    tree = np.searchsorted(trees.root, np.arange(nodes), side="right") - 1
    start, split = trees.root[tree], trees.feature >= 0
    leaves = np.flatnonzero(~split)
    number = np.arange(nodes) - start
    target = trees.output[tree[leaves]][:, None] + np.arange(width)
    lists = {
        "nodes_treeids": tree, "nodes_nodeids": number, "nodes_featureids": trees.feature.clip(min=0),
        "nodes_values": trees.threshold, "nodes_truenodeids": np.where(split, trees.left - start, 0),
        "nodes_falsenodeids": np.where(split, trees.right - start, 0),
        "nodes_missing_value_tracks_true": trees.missing_left.astype(np.int64),
        "target_treeids": tree[leaves].repeat(width), "target_nodeids": number[leaves].repeat(width),
        "target_ids": target.ravel(), "target_weights": trees.value[leaves].ravel(),
    }  # fmt: skip
    modes = ["BRANCH_LEQ" if inner else "LEAF" for inner in split]
    rule = {"n_targets": outputs, "aggregate_function": "SUM", "post_transform": "NONE"}
    return rule | {"nodes_modes": modes} | {name: values.tolist() for name, values in lists.items()}


def _branched(trees: Trees) -> Trees:
    """The same, with a split above two like it where a root is a leaf: no runtime has to know such a tree."""
    lone = np.zeros(len(trees.feature), np.bool_)
    lone[trees.root] = trees.feature[trees.root] < 0
    source = np.repeat(np.arange(len(lone)), np.where(lone, 3, 1))
    place, first = np.arange(len(source)), np.diff(source, prepend=-1) > 0
    moved, root, copy = np.flatnonzero(first), lone[source] & first, lone[source] & ~first
    left, right = (
        np.select([root, copy], [place + step, place], moved[side[source]]).astype(np.int32)
        for step, side in ((1, trees.left), (2, trees.right))
    )
    return Trees(
        np.where(root, 0, trees.feature[source]).astype(np.int32), trees.threshold[source], left, right,
        trees.missing_left[source], np.where(root[:, None], 0, trees.value[source]).astype(np.float32),
        moved[trees.root].astype(np.int32), trees.output,
    )  # fmt: skip


def _prepend_label_encoder(model: onnx.ModelProto, column: str, categories: Sequence[str]) -> None:
    """Let the graph take the category's text: known texts get their number, all others the number after the last."""
    graph, text, number = model.graph, _OUTER + column, _OUTER + column + _NUMBER
    (old,) = [i for i in graph.input if i.name == number]
    axes = [axis.dim_param for axis in old.type.tensor_type.shape.dim]
    graph.input.remove(old)
    graph.input.append(helper.make_tensor_value_info(text, TensorProto.STRING, axes))
    encoder = helper.make_node(
        "LabelEncoder", [text], [number], domain="ai.onnx.ml", keys_strings=list(categories),
        values_int64s=list(range(len(categories))), default_int64=len(categories), name=f"encode_{column}",
    )  # fmt: skip
    graph.node.insert(0, encoder)


def _order_inputs(model: onnx.ModelProto, names: Sequence[str]) -> None:
    inputs = {i.name: i for i in model.graph.input}
    kept = [onnx.ValueInfoProto() for _ in names]
    for copy, name in zip(kept, names, strict=True):
        copy.CopyFrom(inputs[_OUTER + name])
    del model.graph.input[:]
    model.graph.input.extend(kept)


def _finish(model: onnx.ModelProto, name: str, properties: Mapping[str, str]) -> bytes:
    _rename(model)
    _strip(model)
    domains = {op.domain or "": op.version for op in model.opset_import}
    if any(node.domain == "ai.onnx.ml" for node in model.graph.node):
        domains["ai.onnx.ml"] = _ML_OPSET
    used = {node.domain for node in model.graph.node} | {""}
    del model.opset_import[:]
    model.opset_import.extend(helper.make_opsetid(domain, domains[domain]) for domain in sorted(used))
    model.ir_version, model.producer_name, model.producer_version = IR_VERSION, "dxai", ""
    model.graph.name = name
    helper.set_model_props(model, dict(properties))
    _refuse_static(model)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def _rename(model: onnx.ModelProto) -> None:
    """Outer values get the names of their columns, inner ones a prefix: a column may be called like an inner value."""
    outer = {value.name for value in (*model.graph.input, *model.graph.output)}

    def renamed(name: str) -> str:
        return name.removeprefix(_OUTER) if name in outer or not name else _INNER + name

    graph = model.graph
    for node in graph.node:
        assert not any(a.HasField("g") or a.graphs for a in node.attribute), "subgraphs would need renaming too"
        node.input[:] = [renamed(name) for name in node.input]
        node.output[:] = [renamed(name) for name in node.output]
    for value in (*graph.value_info, *graph.initializer, *graph.input, *graph.output):
        value.name = renamed(value.name)


def _strip(model: onnx.ModelProto) -> None:
    """Remove what names source files of this machine: it would leak paths and change the bytes with the folder."""

    def strip_graph(graph: onnx.GraphProto) -> None:
        graph.doc_string = ""
        del graph.metadata_props[:]
        for value in (*graph.value_info, *graph.input, *graph.output, *graph.initializer):
            value.doc_string = ""
            del value.metadata_props[:]
        strip_nodes(graph.node)

    def strip_nodes(nodes: Any) -> None:
        for node in nodes:
            node.doc_string = ""
            del node.metadata_props[:]
            for attribute in node.attribute:
                attribute.doc_string = ""
                for graph in ((attribute.g,) if attribute.HasField("g") else ()) + tuple(attribute.graphs):
                    strip_graph(graph)

    del model.metadata_props[:]
    model.doc_string = ""
    strip_graph(model.graph)
    for function in model.functions:
        function.doc_string = ""
        del function.metadata_props[:]
        strip_nodes(function.node)


def _refuse_static(model: onnx.ModelProto) -> None:
    """The exporter may freeze the batch silently: every input and output must keep a free first axis."""
    fixed = [v.name for v in (*model.graph.input, *model.graph.output) if not v.type.tensor_type.shape.dim[0].dim_param]
    assert not fixed, f"the batch axis of {fixed} is frozen"
