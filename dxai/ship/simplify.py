"""An exported graph made small: constants folded, nodes that do nothing gone, what stands there twice only once."""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes import common
from onnxscript import optimizer, rewriter
from onnxscript.rewriter.rules.common import (
    cast_cast_rule,
    cast_constant_of_shape_rule,
    cast_constant_of_shape_without_value_rule,
    collapse_slice2_rule,
    collapse_slice_rule,
    div_by_1_rule,
    fuse_pad_into_conv_rule,
    materialize_reshape_shape_rule,
    max_max_rule,
    max_min_rule,
    min_max_rule,
    min_min_rule,
    no_op_cast_rule,
    no_op_expand_rule,
    no_op_transpose_rule,
    normalize_pad_format_conv_rule,
    reshape_reshape_rule,
    squeeze_reshape_1d_rule,
    sub_0_rule,
    successive_clip_rule,
    transpose_transpose_rule,
    unsqueeze_unsqueeze_rule,
)

_RULES = (
    sub_0_rule, div_by_1_rule, cast_constant_of_shape_rule, cast_constant_of_shape_without_value_rule,
    collapse_slice_rule, collapse_slice2_rule, materialize_reshape_shape_rule, min_min_rule, max_max_rule,
    min_max_rule, max_min_rule, successive_clip_rule, cast_cast_rule, no_op_cast_rule, no_op_expand_rule,
    reshape_reshape_rule, no_op_transpose_rule, transpose_transpose_rule, unsqueeze_unsqueeze_rule,
    squeeze_reshape_1d_rule, normalize_pad_format_conv_rule, fuse_pad_into_conv_rule,
)  # fmt: skip
_ROUNDS = 2
"""Folding finds more after the rules, and the other way round; a third round finds nothing in our graphs."""


def simplify(model: ir.Model) -> None:
    """Simplify a graph in its place; the same graph gives the same nodes.

    The exporter could do it itself, with one rule more: slices that could be one split. That one looks at all pairs of
    slices, and at the whole graph for each of its nodes: minutes where a graph has some thousand nodes.
    """
    common.InlinePass()(model)
    for _ in range(_ROUNDS):
        optimizer.fold_constants(model, onnx_shape_inference=True)
        rewriter.rewrite(model, _RULES)
    common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
    common.DeduplicateInitializersPass()(model)
    common.CommonSubexpressionEliminationPass()(model)
    common.OutputFixPass()(model)
    common.NameFixPass()(model)
