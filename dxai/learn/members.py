"""The members that a portfolio may have: what they are called, when they are candidates, and how they are set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Budget = Literal["quick", "standard", "best"]
Name = Literal[
    "ridge", "logistic", "boosted", "boosted_deep", "boosted_stumps", "boosted_pairs", "boosted_pairs_deep",
    "boosted_random", "extra_trees", "gaussian_process",
]  # fmt: skip

TITLES: dict[Name, str] = {
    "ridge": "ridge regression",
    "logistic": "logistic regression",
    "boosted": "boosted trees",
    "boosted_deep": "larger boosted trees",
    "boosted_stumps": "boosted trees of 4 leaves",
    "boosted_pairs": "boosted trees on pairs of features",
    "boosted_pairs_deep": "larger boosted trees on pairs of features",
    "boosted_random": "boosted random trees",
    "extra_trees": "extremely randomised trees",
    "gaussian_process": "Gaussian process",
}
"""What a person calls a member."""

LEAST = 1e-7
"""Probability that is ever said."""
Settings = dict[str, Any]
_FEW_ROWS, _MANY_ROWS = 4_000, 15_000
_MANY_CELLS, _MOST_CELLS = 300_000, 3_000_000
"""Rows times columns: beyond the former fewer candidates, beyond the latter one inner fold and larger steps."""
_LARGE_STEP, _MOST_TREES = 0.2, 500
"""Of a vast table's boosted members."""
WEIGHED_ROWS = 200_000
"""Of a vast table, on which candidates are weighed; the chosen ones are fitted on all rows."""
_SUBSETS: Settings = {"bagging_fraction": 0.7, "bagging_freq": 1, "feature_fraction": 0.5, "lambda_l2": 1.0}
_LARGER: Settings = {"bagging_fraction": 0.8, "bagging_freq": 1, "feature_fraction": 0.8, "lambda_l2": 1.0}
_QUIET: Settings = {
    "verbosity": -1, "num_threads": 1, "deterministic": True, "force_col_wise": True, "feature_pre_filter": False,
}  # fmt: skip
_COLUMNS_OF_A_TREE = 80
"""At most: hundreds of sensors make a tree slow, and none of them is missed by all trees."""
SCOUT: Settings = {
    "learning_rate": 0.06, "num_leaves": 8, "min_child_samples": 5, "feature_fraction": 0.5, "max_bin": 31, **_QUIET,
}  # fmt: skip
"""Of the small ensemble that looks for pairs of features."""


@dataclass(frozen=True)
class Boosted:
    """LightGBM's settings for few rows, and what is different for many."""

    settings: Settings
    many: Settings
    paired: bool = False

    def of(self, rows: int, columns: int) -> Settings:
        """The settings for so many rows and columns."""
        made = self.settings | (self.many if rows > _FEW_ROWS else {}) | _QUIET
        return made | {"feature_fraction": min(made.get("feature_fraction", 1.0), _COLUMNS_OF_A_TREE / columns)}


BOOSTED: dict[Name, Boosted] = {
    "boosted": Boosted(
        {"num_leaves": 12, "min_child_samples": 5} | _SUBSETS, {"num_leaves": 32, "min_child_samples": 10}
    ),
    "boosted_deep": Boosted({"num_leaves": 31, "min_child_samples": 20}, {}),
    "boosted_stumps": Boosted(
        {"num_leaves": 4, "min_child_samples": 20} | _SUBSETS | {"feature_fraction": 0.3, "lambda_l2": 5.0}, {}
    ),
    "boosted_pairs": Boosted(
        {"num_leaves": 12, "min_child_samples": 5} | _SUBSETS, {"num_leaves": 32, "min_child_samples": 10}, paired=True
    ),
    "boosted_pairs_deep": Boosted(
        {"num_leaves": 16, "min_child_samples": 10} | _LARGER, {"num_leaves": 32}, paired=True
    ),
    "boosted_random": Boosted(
        {"extra_trees": True, "num_leaves": 32, "min_child_samples": 3} | _LARGER | {"bagging_fraction": 0.9},
        {"num_leaves": 96},
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """What a budget is spent on.

    Attributes:
        members: Candidates.
        wide: Candidates for a table of many cells.
        learning_rate: Of boosted members, for hundreds of rows, for thousands, which bear more trees, and for tens of
            thousands, of which each tree learns so much that larger steps lose little.
        trees: The most that one may have; fewer where steps are larger.
        patience: Trees without gain after which boosting ends.
        averaged: Trees that the fits of one boosted member on all rows have together, up to three seeds: where each is
            short, several are averaged.
    """

    members: tuple[Name, ...]
    wide: tuple[Name, ...]
    learning_rate: tuple[float, float, float]
    trees: int
    patience: int
    averaged: int

    def seeds(self, trees: int) -> int:
        """Fits of a member of so many trees."""
        return max(1, min(3, self.averaged // trees))


_LINES: tuple[Name, ...] = ("ridge", "logistic")
PLANS: dict[Budget, Plan] = {
    "quick": Plan(
        members=(*_LINES, "boosted", "boosted_pairs_deep"), wide=(*_LINES, "boosted", "boosted_pairs_deep"),
        learning_rate=(0.1, 0.1, 0.1), trees=400, patience=30, averaged=0,
    ),
    "standard": Plan(
        members=(*_LINES, "boosted", "boosted_pairs", "boosted_pairs_deep", "boosted_random", "extra_trees",
                 "gaussian_process"),
        wide=(*_LINES, "boosted", "boosted_deep", "boosted_pairs_deep"),
        learning_rate=(0.08, 0.05, 0.1), trees=1_500, patience=60, averaged=900,
    ),
    "best": Plan(
        members=(*_LINES, *BOOSTED, "extra_trees", "gaussian_process"), wide=(*_LINES, *BOOSTED),
        learning_rate=(0.03, 0.03, 0.03), trees=4_000, patience=100, averaged=12_000,
    ),
}  # fmt: skip


def candidates(budget: Budget, rows: int, columns: int) -> tuple[Name, ...]:
    """The members that are tried on a table of this size."""
    plan = PLANS[budget]
    return plan.members if rows * columns <= _MANY_CELLS else plan.wide


def is_vast(rows: int, columns: int) -> bool:
    """Whether a table has so many cells that every fit of it counts."""
    return rows * columns > _MOST_CELLS


def learning_rate(budget: Budget, rows: int, columns: int) -> float:
    """Of boosted members."""
    few, many, large = PLANS[budget].learning_rate
    if is_vast(rows, columns):
        return max(large, _LARGE_STEP)
    return large if rows > _MANY_ROWS else many if rows > _FEW_ROWS else few


def most_trees(budget: Budget, rows: int, columns: int) -> int:
    """That a boosted member may have: a tree of a vast table takes a tenth of a second and more."""
    plan = PLANS[budget]
    if is_vast(rows, columns):
        return min(plan.trees, _MOST_TREES)
    _, many, large = plan.learning_rate
    return round(plan.trees * many / large) if rows > _MANY_ROWS else plan.trees


def inner_folds(rows: int, columns: int) -> int:
    """Inner folds of five that are fitted: of many rows one tells as much as five of few."""
    if is_vast(rows, columns):
        return 1
    return 2 if rows > _MANY_ROWS else 5


def bearable_loss(rows: int, columns: int) -> float:
    """A member goes as long as the loss stays below that share of the least: of a vast table its fit takes minutes."""
    return 1.005 if is_vast(rows, columns) else 1.002


def suits(name: Name, outputs: int) -> bool:
    """Whether a member is made for a number (one output) or for so many classes."""
    if outputs == 1:
        return name != "logistic"
    return name != "ridge" and (outputs == 2 or name not in ("boosted_stumps", "boosted_random"))


def bearable(name: Name, rows: int, columns: int, *, monotone: bool) -> bool:
    """Whether a member can be fitted to so many rows and columns at all: cost and size grow faster than the table.

    Args:
        name: Of the member.
        rows: To fit.
        columns: Numbers and categories.
        monotone: Whether the prediction must follow a column in one direction.
    """
    if monotone and name in ("gaussian_process", "extra_trees", "logistic"):
        return False
    match name:
        case "gaussian_process":
            return rows <= 2_000 and columns <= 40
        case "extra_trees":
            return rows <= 10_000 and rows * columns <= 300_000
    return True
