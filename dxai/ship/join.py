"""Two graphs as one: a trained one, and one of experts that answers for the series that are too short for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import compose, helper, numpy_helper

_EXPERTS, _TRAINED, _SHORT = "experts.", "trained.", "short."


def join(model: onnx.ModelProto, experts: onnx.ModelProto, *, history: str, minimum: int) -> None:
    """Let ``experts`` answer in the graph of ``model`` where a history has too few known steps.

    The short series are taken out of the batch and put back; without any, the experts look at one series in vain, since
    ONNX Runtime in a browser divides by the size of a batch. Made of operators that every careful loader knows.

    Args:
        model: Gets the other one's nodes.
        experts: With the same inputs and outputs, the series first in each.
        history: Input with the histories ``[series, time]``, NaN where a step is unknown.
        minimum: Known steps that ``model`` needs.
    """
    graph, other = model.graph, compose.add_prefix(experts, _EXPERTS).graph
    ranks = {value.name: len(value.type.tensor_type.shape.dim) for value in graph.output}
    outputs = list(ranks)
    for node in graph.node:
        node.output[:] = [_TRAINED * (name in outputs) + name for name in node.output]
        node.input[:] = [_TRAINED * (name in outputs) + name for name in node.input]
    taken = [value.name.removeprefix(_EXPERTS) for value in other.input]
    graph.node.extend(_short_series(history))
    graph.node.extend(_node("Gather", [name, f"{_SHORT}series"], _EXPERTS + name, axis=0) for name in taken)
    graph.node.extend(other.node)
    graph.node.append(_node("Unsqueeze", [f"{_SHORT}series", f"{_SHORT}last_axis"], f"{_SHORT}places"))
    for rank in sorted(set(ranks.values())):
        graph.node.append(_node("Unsqueeze", [f"{_SHORT}few", f"{_SHORT}axes_{rank}"], f"{_SHORT}few_{rank}"))
        axes = np.arange(1, rank)
        graph.initializer.append(numpy_helper.from_array(axes, f"{_SHORT}axes_{rank}"))
    for name, rank in ranks.items():
        put = [_TRAINED + name, f"{_SHORT}places", _EXPERTS + name]
        graph.node.append(_node("ScatterND", put, f"{_SHORT}{name}"))
        graph.node.append(_node("Where", [f"{_SHORT}few_{rank}", f"{_SHORT}{name}", _TRAINED + name], name))
    graph.initializer.extend(other.initializer)
    graph.initializer.extend(
        numpy_helper.from_array(values, _SHORT + name)
        for name, values in {
            "minimum": np.array(minimum, np.float32), "time": np.array([1]), "first_axis": np.array([0]),
            "last_axis": np.array([-1]), "one": np.array([1], np.float32),
        }.items()
    )  # fmt: skip
    known = {opset.domain for opset in model.opset_import}
    model.opset_import.extend(opset for opset in experts.opset_import if opset.domain not in known)


def _short_series(history: str) -> list[onnx.NodeProto]:
    """Nodes that name the series with fewer known steps, or else any one: `TopK` of the marks gives their places."""
    number = onnx.TensorProto.FLOAT
    steps: Sequence[tuple[str, list[str], str, dict[str, Any]]] = (
        ("IsNaN", [history], "unknown", {}),
        ("Not", ["unknown"], "known", {}),
        ("Cast", ["known"], "ones", {"to": number}),
        ("ReduceSum", ["ones", "time"], "steps", {"keepdims": 0}),
        ("Less", ["steps", "minimum"], "few", {}),
        ("Cast", ["few"], "marks", {"to": number}),
        ("ReduceSum", ["marks", "first_axis"], "total", {"keepdims": 1}),
        ("Max", ["total", "one"], "taken", {}),
        ("Cast", ["taken"], "count", {"to": onnx.TensorProto.INT64}),
    )
    nodes = [
        _node(kind, [name if name == history else _SHORT + name for name in read], _SHORT + made, **settings)
        for kind, read, made, settings in steps
    ]
    most = helper.make_node(
        "TopK", [f"{_SHORT}marks", f"{_SHORT}count"], [f"{_SHORT}mark", f"{_SHORT}series"], name=f"{_SHORT}series",
        axis=0,
    )  # fmt: skip
    return [*nodes, most]


def _node(kind: str, read: list[str], made: str, **settings: Any) -> onnx.NodeProto:
    return helper.make_node(kind, read, [made], name=f"{kind} {made}", **settings)
