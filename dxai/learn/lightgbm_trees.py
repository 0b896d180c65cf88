"""Fitted ensembles of LightGBM and scikit-learn to the arrays of our own tree layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dxai.networks.trees import Trees, joined

_LEAF = -1


def trees_of_lightgbm(model: Mapping[str, Any]) -> Trees:
    """What ``Booster.dump_model()`` gives, as arrays that repeat ``predict(raw_score=True)``.

    LightGBM takes numbers between -1e-35 and 1e-35 for 0, and infinities for numbers: whoever calls the layer sets the
    former to 0, and the latter to NaN where they are to be missing. Tree k of C classes adds to class k modulo C.

    Args:
        model: The JSON of a booster whose categories, if any, are numbers.

    Raises:
        ValueError: It splits by sets of categories, takes zeros for missing, averages its trees, or has linear leaves.
    """
    if model.get("average_output"):
        raise ValueError("A LightGBM model that averages its trees cannot be taken over.")
    classes = model["num_tree_per_iteration"]
    trees = [_tree_of_lightgbm(tree["tree_structure"]) for tree in model["tree_info"]]
    return replace(joined(trees), output=np.arange(len(trees), dtype=np.int32) % np.int32(classes))


def trees_of_forest(forest: Any) -> Trees:
    """A random forest or extremely randomised trees of scikit-learn, as arrays that repeat its mean over the trees.

    A regressor gives one output, a classifier the probability of each class, in the order of ``classes_``.

    Args:
        forest: A fitted RandomForestRegressor, RandomForestClassifier, ExtraTreesRegressor or ExtraTreesClassifier.

    Raises:
        ValueError: It has more than one target.
    """
    if forest.n_outputs_ != 1:
        raise ValueError("A forest of several targets cannot be taken over.")
    trees = [_tree_of_forest(each.tree_, len(forest.estimators_)) for each in forest.estimators_]
    return joined(trees)


def largest_float32(threshold: NDArray[np.float64]) -> NDArray[np.float32]:
    """The largest finite float32 that is not above each threshold: every finite float32 stays on its side of it.

    Raises:
        ValueError: All float32 numbers are above one.
    """
    limits = np.finfo(np.float32)
    if (threshold < limits.min).any():
        raise ValueError("A threshold is below all numbers of 32 bits.")
    near = np.minimum(threshold, limits.max).astype(np.float32)
    below = np.nextafter(near, np.float32(-np.inf))
    return np.where(near.astype(np.float64) > threshold, below, near).astype(np.float32)


def _tree_of_lightgbm(structure: Mapping[str, Any]) -> Trees:
    """One tree, each node in front of its left branch and that in front of the right one; deep trees need no stack."""
    nodes: list[tuple[int, float, bool, float]] = []
    left: dict[int, int] = {}
    right: dict[int, int] = {}
    waiting: list[tuple[Mapping[str, Any], dict[int, int], int]] = [(structure, {}, 0)]
    while waiting:
        node, side, parent = waiting.pop()
        place = side[parent] = len(nodes)
        nodes.append(_node(node))
        if "split_index" in node:
            waiting += [(node["right_child"], right, place), (node["left_child"], left, place)]
    feature, threshold, missing_left, value = (np.array(column) for column in zip(*nodes, strict=True))
    lefts, rights = (np.array([side.get(i, i) for i in range(len(nodes))]) for side in (left, right))
    return _tree(feature, threshold, lefts, rights, missing_left, value[:, None])


def _node(node: Mapping[str, Any]) -> tuple[int, float, bool, float]:
    """Feature, threshold, whether missing goes left, and value."""
    if "split_index" not in node:
        if "leaf_const" in node or "leaf_coeff" in node:
            raise ValueError("A LightGBM model with linear leaves cannot be taken over.")
        return _LEAF, 0.0, False, node["leaf_value"]
    if node["decision_type"] != "<=":
        raise ValueError("A LightGBM model that splits by sets of categories cannot be taken over.")
    if node["missing_type"] not in ("None", "NaN"):
        raise ValueError("A LightGBM model that takes zeros for missing cannot be taken over.")
    # Where the training rows had no gap, LightGBM reads one as 0.
    missing_left = node["default_left"] if node["missing_type"] == "NaN" else node["threshold"] >= 0
    return node["split_feature"], node["threshold"], missing_left, 0.0


def _tree_of_forest(tree: Any, trees: int) -> Trees:
    place, leaf = np.arange(tree.node_count), tree.children_left < 0
    left, right = (np.where(leaf, place, child) for child in (tree.children_left, tree.children_right))
    value = np.where(leaf[:, None], tree.value[:, 0, :] / trees, 0.0)
    feature, threshold = np.where(leaf, _LEAF, tree.feature), np.where(leaf, 0.0, tree.threshold)
    return _tree(feature, threshold, left, right, tree.missing_go_to_left.astype(bool) & ~leaf, value)


def _tree(
    feature: NDArray[Any],
    threshold: NDArray[Any],
    left: NDArray[Any],
    right: NDArray[Any],
    missing_left: NDArray[Any],
    value: NDArray[Any],
) -> Trees:
    """One tree, with arrays of the right types."""
    first = np.zeros(1, np.int32)
    return Trees(
        feature.astype(np.int32), largest_float32(threshold.astype(np.float64)), left.astype(np.int32),
        right.astype(np.int32), missing_left.astype(np.bool_), value.astype(np.float32), first, first,
    )  # fmt: skip
