"""Tree ensembles as a layer: fitted elsewhere, exact in torch and in the ONNX graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from itertools import count
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dxai.networks.fitted import as_buffer

_CELLS, _STRIDE = 1 << 16, 4
"""Pairs of a row and a tree that are walked at once (they fit a cache), and steps between sweeps of those at leaves."""


@dataclass(frozen=True)
class Trees:
    """A fitted ensemble as flat arrays: the nodes of all trees one behind the other, parents before their children.

    At a split ``x <= threshold`` goes left, and a missing value where ``missing_left`` says so. A tree adds the values
    of the leaf that a row ends at to the outputs from its own ``output`` on.

    Attributes:
        feature: Column that a split asks ``[nodes]``; -1 for a leaf.
        threshold: Float32 ``[nodes]``; 0 for a leaf.
        left: Node that the smaller values go to ``[nodes]``, counted over all trees; the leaf itself for a leaf.
        right: The other one.
        missing_left: ``[nodes]``.
        value: What a leaf adds, float32 ``[nodes, width]``; 0 for a split.
        root: First node of each tree ``[trees]``.
        output: First output of each tree ``[trees]``.

    Raises:
        ValueError: The arrays are no trees.
    """

    feature: NDArray[np.int32]
    threshold: NDArray[np.float32]
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    missing_left: NDArray[np.bool_]
    value: NDArray[np.float32]
    root: NDArray[np.int32]
    output: NDArray[np.int32]

    def __post_init__(self) -> None:
        nodes = len(self.feature)
        same = all(len(a) == nodes for a in (self.threshold, self.left, self.right, self.missing_left, self.value))
        if not same or self.value.ndim != 2 or len(self.root) != len(self.output):
            raise ValueError("The arrays of the trees differ in length.")
        split, place = self.feature >= 0, np.arange(nodes)
        for child in (self.left, self.right):
            if not np.where(split, (child > place) & (child < nodes), child == place).all():
                raise ValueError("A child of a tree does not stand behind its parent.")
        met = np.sort(np.concatenate([self.left[split], self.right[split], self.root]))
        tree = np.searchsorted(self.root, place, side="right")
        if (
            not np.array_equal(met, place)
            or (np.diff(self.root) < 0).any()
            or (tree != tree[self.left]).any()
            or (tree != tree[self.right]).any()
        ):
            raise ValueError("The trees do not follow each other, or share a node.")
        if not (np.isfinite(self.threshold).all() and np.isfinite(self.value).all()):
            raise ValueError("A threshold or a leaf of a tree is not finite.")


def joined(parts: Sequence[Trees]) -> Trees:
    """One ensemble of several, in their order."""
    starts = np.cumsum([0, *(len(part.feature) for part in parts)])[:-1].astype(np.int32)

    def column(name: str) -> NDArray[Any]:
        counted = name in ("left", "right", "root")
        columns = [getattr(part, name) for part in parts]
        return np.concatenate(
            [column + start for column, start in zip(columns, starts, strict=True)] if counted else columns
        )

    return Trees(**{f.name: column(f.name) for f in fields(Trees)})


def moved(trees: Trees, share: float, place: int) -> Trees:
    """The same trees with their leaves times a share, adding to outputs from this place on."""
    return replace(trees, value=(trees.value * np.float32(share)), output=trees.output + np.int32(place))


class TreeEnsemble(nn.Module):
    """The sum of the leaves that a row ends at.

    The buffers have no size before the fit: `plant` or `load_state_dict` gives them the fitted one.

    >>> TreeEnsemble(outputs=2)(torch.zeros(3, 5))
    tensor([[0., 0.],
            [0., 0.],
            [0., 0.]])
    """

    feature: Tensor
    threshold: Tensor
    left: Tensor
    right: Tensor
    missing_left: Tensor
    value: Tensor
    root: Tensor
    output: Tensor

    def __init__(self, *, outputs: int, trees: Trees | None = None) -> None:
        """``outputs``: columns of the answer; without ``trees`` it is 0."""
        super().__init__()
        self.outputs = outputs
        for field in fields(Trees):
            self.register_buffer(field.name, torch.empty(0))
        self.plant(trees or _no_trees())

    def plant(self, trees: Trees) -> TreeEnsemble:
        """Take these trees instead of those before.

        Raises:
            ValueError: A tree adds to an output that there is not.
        """
        if ((trees.output < 0) | (trees.output > self.outputs - trees.value.shape[1])).any():
            raise ValueError(f"A tree adds to an output outside the {self.outputs}.")
        for field in fields(Trees):
            array = getattr(trees, field.name)
            setattr(self, field.name, as_buffer(array, torch.as_tensor(array).dtype))
        return self

    @property
    def questions(self) -> float:
        """How many splits ask a row on its way, in all trees together: the mean depth of a tree's leaves, summed."""
        feature, left, right, root = (part.numpy() for part in (self.feature, self.left, self.right, self.root))
        tree, depth = np.searchsorted(root, np.arange(len(feature)), "right"), np.zeros(len(feature))
        for node in np.flatnonzero(feature >= 0):  # parents stand before their children
            depth[left[node]] = depth[right[node]] = depth[node] + 1
        leaves, counted = feature < 0, len(root) + 1
        total = np.bincount(tree[leaves], depth[leaves], counted)
        return float((total / np.maximum(np.bincount(tree[leaves], minlength=counted), 1)).sum())

    def forward(self, x: Tensor) -> Tensor:
        """Float32 ``[rows, features]``, NaN where missing, to float32 ``[rows, outputs]``."""
        trees = [getattr(self, field.name) for field in fields(Trees)]
        return torch.as_tensor(tree_ensemble(x, *trees, self.outputs))

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *others: Any) -> None:
        """Stored trees have a size of their own: the buffers take it before torch compares them."""
        for field in fields(Trees):
            stored = state_dict.get(prefix + field.name)
            if stored is not None:
                own = getattr(self, field.name)
                setattr(self, field.name, torch.zeros(stored.shape, dtype=own.dtype, device=own.device))
        super()._load_from_state_dict(state_dict, prefix, *others)


@torch.library.custom_op("dxai::tree_ensemble", mutates_args=(), device_types="cpu")
def tree_ensemble(
    x: Tensor,
    feature: Tensor,
    threshold: Tensor,
    left: Tensor,
    right: Tensor,
    missing_left: Tensor,
    value: Tensor,
    root: Tensor,
    output: Tensor,
    outputs: int,
) -> Tensor:
    """Rows ``[rows, features]`` through trees (see `Trees`) to ``[rows, outputs]``, summed as float64.

    An operator of its own, because the exporter makes one node of it; tracing a walk would give thousands. It knows no
    gradient.

    Raises:
        ValueError: The rows have fewer features than the trees ask for.
    """
    rows = np.ascontiguousarray(x.detach().numpy(), dtype=np.float32)
    arrays = (feature, threshold, left, right, missing_left, value, root, output)
    trees = dict(zip((f.name for f in fields(Trees)), (a.numpy() for a in arrays), strict=True))
    splits = _splits(trees)
    if len(rows) and splits.feature.max(initial=-1) >= rows.shape[1]:
        raise ValueError(f"The trees ask for feature {splits.feature.max()}, however the rows have {rows.shape[1]}.")
    total = np.zeros((len(rows), outputs), np.float64)
    block = max(1, _CELLS // max(1, len(trees["root"])))
    for start in range(0, len(rows), block) if len(trees["root"]) else ():
        part = slice(start, start + block)
        leaf = _leaves(rows[part], splits, trees["root"])
        width = trees["value"].shape[1]
        for first in np.unique(trees["output"]):
            added = trees["value"].take(leaf[trees["output"] == first], axis=0)
            total[part, first : first + width] += added.sum(axis=0, dtype=np.float64)
    return torch.from_numpy(total.astype(np.float32))


@tree_ensemble.register_fake
def _tree_ensemble_shape(x: Tensor, *arguments: Any) -> Tensor:
    return x.new_empty((x.shape[0], arguments[-1]))


@dataclass(frozen=True)
class _Splits:
    """The nodes as the walk reads them: ``child [2 * nodes]`` holds the right one, then the left one of each."""

    feature: NDArray[np.intp]
    threshold: NDArray[np.float32]
    child: NDArray[np.intp]
    missing_left: NDArray[np.bool_]
    is_split: NDArray[np.bool_]


def _splits(trees: dict[str, NDArray[Any]]) -> _Splits:
    feature = trees["feature"].astype(np.intp)
    child = np.stack([trees["right"], trees["left"]], axis=1).astype(np.intp).ravel()
    return _Splits(feature.clip(min=0), trees["threshold"], child, trees["missing_left"], feature >= 0)


def _leaves(rows: NDArray[np.float32], splits: _Splits, root: NDArray[np.int32]) -> NDArray[np.intp]:
    """The leaf of each tree that each row ends at ``[trees, rows]``.

    All pairs of a row and a tree step down together. A leaf is its own child, so that a pair may wait there until the
    next sweep takes out those that have arrived.
    """
    cells, missing = rows.ravel(), bool(np.isnan(rows).any())
    end = np.repeat(root.astype(np.intp), len(rows))
    here, start = end, np.tile(np.arange(len(rows)) * rows.shape[1], len(root))
    pair = np.arange(len(end))
    for step in count():
        if step % _STRIDE == 0:
            open_ = np.flatnonzero(splits.is_split.take(here))
            end[pair] = here
            pair, here, start = pair.take(open_), here.take(open_), start.take(open_)
        if not len(pair):
            break
        x = cells.take(start + splits.feature.take(here))
        goes_left = x <= splits.threshold.take(here)
        if missing:
            goes_left |= np.isnan(x) & splits.missing_left.take(here)
        here = splits.child.take(2 * here + goes_left)
    return end.reshape(len(root), len(rows))


def _no_trees() -> Trees:
    whole, number = np.zeros(0, np.int32), np.zeros(0, np.float32)
    return Trees(whole, number, whole, whole, np.zeros(0, np.bool_), number.reshape(0, 1), whole, whole)
