"""A portfolio: trees, a Gaussian process and a straight line, weighed by answers to rows that they were not fitted on.

Every row is used: inner folds give the weights, the number of trees and the errors of which the difficulty of a row is
learnt; then the chosen members are fitted on all rows.

Source: Caruana et al. (2004), Ensemble Selection from Libraries of Models; Ke et al. (2017), LightGBM; Geurts et al.
(2006), Extremely Randomized Trees.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

import lightgbm
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dxai.learn.aims import FOLDS, LEAST, Answers, Folds, aim_of
from dxai.learn.lightgbm_trees import trees_of_forest, trees_of_lightgbm
from dxai.learn.module import FitRows
from dxai.networks.columns import Pairs, RawColumns
from dxai.networks.fitted import Fitted
from dxai.networks.process import GaussianProcess
from dxai.networks.trees import TreeEnsemble, Trees

Array = NDArray[np.float32]
Budget = Literal["quick", "standard", "best"]
Name = Literal["linear", "slow", "deep", "stumps", "paired", "paired_deep", "random", "forest", "process"]

TITLES: dict[Name, str] = {
    "linear": "straight line",
    "slow": "boosted trees",
    "deep": "boosted trees of 31 leaves",
    "stumps": "boosted trees of 4 leaves",
    "paired": "boosted trees on pairs of features",
    "paired_deep": "larger boosted trees on pairs of features",
    "random": "boosted random trees",
    "forest": "random forest",
    "process": "Gaussian process",
}
"""What a person calls a member."""

_SMALL = 4_000
_PATIENCE = 100
_SEEDS = {"quick": 1, "standard": 3, "best": 3}
_NOTHING_LOST = 1.002
_ROUNDS = 40
_QUIET = {"verbosity": -1, "num_threads": 1, "deterministic": True, "force_col_wise": True, "feature_pre_filter": False}
_QUICK = {"learning_rate": 0.06, "num_leaves": 8, "min_child_samples": 5, "feature_fraction": 0.5}
_HARD = {"learning_rate": 0.03, "num_leaves": 6, "feature_fraction": 0.6, "bagging_fraction": 0.7, "bagging_freq": 1,
         "lambda_l2": 5.0}  # fmt: skip


@dataclass(frozen=True)
class _Boosted:
    """Settings of a LightGBM member: those of few rows, and those of many; whether it sees pairs of features."""

    small: dict[str, Any]
    large: dict[str, Any]
    most: int
    paired: bool = False


_SLOW = {"learning_rate": 0.03, "num_leaves": 12, "min_child_samples": 5, "feature_fraction": 0.5,
         "bagging_fraction": 0.7, "bagging_freq": 1, "lambda_l2": 1.0}  # fmt: skip
_SLOW_LARGE = {**_SLOW, "learning_rate": 0.05, "num_leaves": 32, "min_child_samples": 10}
_DEFAULT = {"learning_rate": 0.05, "num_leaves": 31, "min_child_samples": 20}
_DEEP = {"learning_rate": 0.05, "num_leaves": 16, "min_child_samples": 10, "feature_fraction": 0.8,
         "bagging_fraction": 0.8, "bagging_freq": 1, "lambda_l2": 1.0}  # fmt: skip
_STUMPS = {"learning_rate": 0.03, "num_leaves": 4, "min_child_samples": 20, "feature_fraction": 0.3,
           "bagging_fraction": 0.7, "bagging_freq": 1, "lambda_l2": 5.0}  # fmt: skip
_RANDOM = {"extra_trees": True, "learning_rate": 0.03, "num_leaves": 32, "min_child_samples": 3,
           "feature_fraction": 0.8, "bagging_fraction": 0.9, "bagging_freq": 1, "lambda_l2": 1.0}  # fmt: skip
_BOOSTED: dict[Name, _Boosted] = {
    "slow": _Boosted(_SLOW, _SLOW_LARGE, 2500),
    "deep": _Boosted(_DEFAULT, _DEFAULT, 1500),
    "stumps": _Boosted(_STUMPS, _STUMPS, 2500),
    "paired": _Boosted(_SLOW, _SLOW_LARGE, 2500, paired=True),
    "paired_deep": _Boosted(_DEEP, {**_DEEP, "num_leaves": 32}, 1500, paired=True),
    "random": _Boosted(_RANDOM, {**_RANDOM, "learning_rate": 0.05, "num_leaves": 96}, 2500),
}
_MEMBERS: dict[Budget, tuple[Name, ...]] = {
    "quick": ("slow", "linear"),
    "standard": ("linear", "slow", "paired", "paired_deep", "random", "forest", "process"),
    "best": ("linear", "slow", "deep", "stumps", "paired", "paired_deep", "random", "forest", "process"),
}


class Portfolio(Fitted):
    """Members, weights and the difficulty of a row: a network of the usual shape, once it is fitted."""

    takes_raw = True
    shares: Tensor
    line: Tensor
    weights: Tensor
    layout: Tensor

    def __init__(
        self, *, numbers: int, cardinalities: list[int], outputs: int, budget: Budget = "standard",
        members: tuple[Name, ...] = (),
    ) -> None:  # fmt: skip
        """``members``: candidates; by default those of the ``budget``. ``outputs``: one, or one per class."""
        super().__init__(shares=torch.float32, line=torch.float32, weights=torch.float32, layout=torch.int64)
        self.outputs, self.budget, self.members = outputs, budget, members or _MEMBERS[budget]
        self.columns, self.pairs = RawColumns(numbers=numbers, cardinalities=cardinalities), Pairs()
        self.plain, self.paired, self.hard = (TreeEnsemble(outputs=1) for _ in range(3))
        self.process = GaussianProcess()
        self.sizes: tuple[int, ...] = (0, 0, 0, 0)

    @property
    def composition(self) -> dict[str, float]:
        """Weight of each member that has some, by its title; empty before the fit."""
        told = zip(TITLES.values(), self.shares.tolist(), strict=False)
        return {title: share for title, share in told if share}

    def forward(self, numbers: Tensor, categories: Tensor) -> Tensor:
        """Raw ``[rows, numbers]`` and category numbers ``[rows, categories]`` to ``[rows, members, outputs]``.

        Of a number two members, whose mean is the prediction and whose distance from it the difficulty of the row; of
        classes one: the logarithms of their probabilities.
        """
        features = self.columns(numbers, categories)
        return self._classes(features) if self.outputs > 1 else self._number(features)

    def fit(self, rows: FitRows) -> None:
        """Weigh the candidates on inner folds, then fit the chosen ones on all rows."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # scikit-learn warns of lines that are nearly fitted
            _Fit(self, rows).run()

    def _number(self, features: Tensor) -> Tensor:
        said = []
        if len(self.plain.root):
            said.append(self.plain(features))
        if len(self.paired.root):
            said.append(self.paired(self.pairs(features)))
        if len(self.line) or len(self.process.points):
            filled = self.columns.filled(features)
            if len(self.line):
                said.append(filled @ self.line[:-1] + self.line[-1:])
            if len(self.process.points):
                said.append(self.process(filled))
        value = torch.cat(said, dim=1).sum(dim=1)
        hard = self.hard(features)[:, 0].exp()
        return torch.stack([value + hard, value - hard], dim=1)[:, :, None]

    def _classes(self, features: Tensor) -> Tensor:
        soft, certain, paired, line = self.sizes
        parts = []
        if soft + certain:
            said = self.plain(features).reshape(-1, soft + certain, self.outputs)
            parts += [said[:, :soft].softmax(dim=2), said[:, soft:]]
        if paired:
            parts.append(self.paired(self.pairs(features)).reshape(-1, paired, self.outputs).softmax(dim=2))
        if line:
            filled = self.columns.filled(features)
            parts.append((filled @ self.line[:-1] + self.line[-1:]).softmax(dim=1)[:, None])
        probability = (torch.cat(parts, dim=1) * self.weights[:, None]).sum(dim=1)
        return probability.clamp(min=LEAST).log()[:, None]

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *others: Any) -> None:
        """Take the sizes of the members, too."""
        super()._load_from_state_dict(state_dict, prefix, *others)
        if len(layout := state_dict.get(prefix + "layout", ())):
            self.size_by(layout.tolist())

    def size_by(self, layout: Sequence[int]) -> None:
        """Of a model of classes: boosted members, forests, boosted members on pairs, and lines, in this order."""
        soft, certain, paired, _ = self.sizes = tuple(layout)
        self.plain.outputs, self.paired.outputs = (soft + certain) * self.outputs, paired * self.outputs


@dataclass
class _Member:
    """One candidate: what it says of rows that it was not fitted on ``[rows, outputs]``, and how long it is boosted."""

    name: Name
    said: NDArray[np.float64]
    curves: list[tuple[int, list[float]]] = field(default_factory=list)
    boosters: list[tuple[lightgbm.Booster, Array, NDArray[np.int64]]] = field(default_factory=list)
    trees: int = 0


class _Fit:
    """One fit of a portfolio."""

    def __init__(self, portfolio: Portfolio, rows: FitRows) -> None:
        self.portfolio, self.rows, self.aim = portfolio, rows, aim_of(portfolio.outputs)
        self.numbers, self.categories = (part.numpy() for part in rows.inputs)
        self.target = rows.target.numpy()
        self.coded = self.aim.coded(self.target)
        self.count = len(self.target)
        nothing = np.zeros((self.count, portfolio.outputs))
        self.members = [_Member(name, nothing.copy()) for name in portfolio.members if self._fits(name)]

    def run(self) -> None:
        """Inner folds, lengths, weights, and the final fits."""
        folds = list(self._folds())
        for train, test in folds:
            self._inner(train, test)
        tested = np.concatenate([test for _, test in folds])
        for member in self.members:
            self._settle_length(member)
        weights = self._weights(tested)
        self._final(weights)
        if self.portfolio.outputs == 1:
            self._learn_difficulty(tested, weights)

    # --- the parts of a fit -------------------------------------------------------------------------------------------

    def _fits(self, name: Name) -> bool:
        """Whether a member is made for so many rows and columns."""
        width = self.numbers.shape[1] + self.categories.shape[1]
        if name in self.aim.left_out:
            return False
        match name:
            case "process":
                return self.count <= 2_000 and width <= 40
            case "forest":
                return self.count <= 10_000 and self.count * width <= 300_000
        return True

    def _folds(self) -> Folds:
        """Row numbers to fit and to test; in time order the later block tests."""
        if self.rows.times is not None:
            blocks = np.array_split(np.argsort(self.rows.times, kind="stable"), FOLDS + 1)
            return ((np.concatenate(blocks[:i]), blocks[i]) for i in range(2, FOLDS + 1))
        groups = self.rows.groups
        return self.aim.folds(self.target, groups if groups is not None and len(np.unique(groups)) >= FOLDS else None)

    def _inner(self, train: NDArray[np.int64], test: NDArray[np.int64]) -> None:
        """Fit every candidate on one part of the rows, and ask it about the other."""
        columns, known = self._columns(train)
        asked = columns.encode(self.numbers[test], self.categories[test])
        pairs = self._pairs(known, self.target[train]) if any(_is_paired(m.name) for m in self.members) else Pairs()
        for member in self.members:
            if member.name in _BOOSTED:
                parts = [_with(pairs, part) if _is_paired(member.name) else part for part in (known, asked)]
                self._boost(member, parts[0], parts[1], train, test)
            else:
                fitted = self._other(member.name, columns, known, self.target[train])
                member.said[test] = fitted(asked)

    def _columns(self, train: NDArray[np.int64]) -> tuple[RawColumns, Array]:
        """Encoded columns of rows to fit; a category's mean comes from other rows."""
        own = self.portfolio.columns
        columns = RawColumns(numbers=own.numbers, cardinalities=own.cardinalities)
        parts = self.numbers[train], self.categories[train], self.coded[train]
        columns.fit(*parts)
        lots = np.random.default_rng(1).permutation(len(train)) % FOLDS
        return columns, columns.crossed(*parts, lots)

    def _boost(
        self, member: _Member, known: Array, asked: Array, train: NDArray[np.int64], test: NDArray[np.int64]
    ) -> None:
        setting, told = _BOOSTED[member.name], dict[str, Any]()
        rows = lightgbm.Dataset(known, self.target[train], free_raw_data=True)
        watch = lightgbm.Dataset(asked, self.target[test], reference=rows)
        booster = lightgbm.train(
            self._parameters(setting, seed=1), rows, setting.most, [watch],
            callbacks=[lightgbm.early_stopping(_PATIENCE, verbose=False), lightgbm.record_evaluation(told)],
        )  # fmt: skip
        (curve,) = told["valid_0"].values()
        member.curves.append((len(test), curve))
        member.boosters.append((booster, asked, test))

    def _parameters(self, setting: _Boosted, *, seed: int) -> dict[str, Any]:
        own = setting.small if self.count <= _SMALL else setting.large
        return {**self.aim.objective(), **own, **_QUIET, "seed": seed}

    def _settle_length(self, member: _Member) -> None:
        """The number of trees with the least mean loss over the folds; then ask the boosters again."""
        if not member.curves:
            return
        longest = max(len(curve) for _, curve in member.curves)
        padded = np.array([np.pad(curve, (0, longest - len(curve)), mode="edge") for _, curve in member.curves])
        member.trees = 1 + int(np.average(padded, axis=0, weights=[rows for rows, _ in member.curves]).argmin())
        for booster, asked, test in member.boosters:
            member.said[test] = self.aim.of_booster(np.asarray(booster.predict(asked, num_iteration=member.trees)))
        member.boosters.clear()

    def _other(self, name: Name, columns: RawColumns, known: Array, target: Array) -> Answers:
        """Fit what is not boosted; returns what answers."""
        if name == "forest":
            return self.aim.forest(known, target)[1]
        filled = _filled(columns, known)
        if name == "process":
            process = GaussianProcess().fit(filled, target, seed=1)
            return lambda asked: _answers(process, _filled(columns, asked))
        line = self._line(filled, target)
        return lambda asked: self.aim.of_line(_filled(columns, asked).astype(np.float64) @ line[:-1] + line[-1])

    def _line(self, filled: Array, target: Array) -> Array:
        """Coefficients and constants ``[features + 1, outputs]``, for features as they are."""
        middle, spread = filled.mean(axis=0), filled.std(axis=0)
        spread = np.where(spread > 1e-9, spread, 1)
        slopes, constants = self.aim.line((filled - middle) / spread, target)
        slopes = slopes / spread[:, None]
        return np.vstack([slopes, constants - middle @ slopes]).astype(np.float32)

    def _pairs(self, known: Array, target: Array) -> Pairs:
        """The pairs of features from which a quick ensemble gains most."""
        rows = np.random.default_rng(1).permutation(len(known))[:_SMALL]
        known, target = known[rows], target[rows]
        varied = [i for i in range(known.shape[1]) if len(np.unique(known[~np.isnan(known[:, i]), i])) > 2]
        if len(varied) < 2:
            return Pairs()
        gain = self._gain(known, target)
        best = sorted(varied, key=lambda i: -gain[i])[:12]
        made = [(kind, a, b) for n, a in enumerate(best) for b in best[n + 1 :] for kind in ("times", "plus", "minus")]
        made += [("ratio", a, b) for a in best for b in best if a != b]
        ordered = sorted(made, key=lambda pair: ("times", "plus", "minus", "ratio").index(pair[0]))
        gain = self._gain(_with(Pairs().choose(ordered), known), target)[known.shape[1] :]
        return Pairs().choose([ordered[i] for i in sorted(np.argsort(-gain)[:20])])

    def _gain(self, known: Array, target: Array) -> NDArray[np.float64]:
        quick = _Boosted(_QUICK, _QUICK, self.aim.quick_rounds)
        booster = lightgbm.train(self._parameters(quick, seed=1), lightgbm.Dataset(known, target), quick.most)
        return booster.feature_importance("gain")

    # --- weights ------------------------------------------------------------------------------------------------------

    def _weights(self, tested: NDArray[np.int64]) -> dict[int, float]:
        """Greedy forward selection with replacement, then members go as long as nothing is lost."""
        said, truth = np.stack([member.said[tested] for member in self.members]), self.target[tested]
        total, counts, best = np.zeros_like(said[0]), np.zeros(len(said), int), (np.inf, np.zeros(len(said), int))
        for round_ in range(1, _ROUNDS + 1):
            losses = [self.aim.loss((total + each) / round_, truth) for each in said]
            chosen = int(np.argmin(losses))
            total, counts[chosen] = total + said[chosen], counts[chosen] + 1
            if losses[chosen] < best[0] - 1e-12:
                best = losses[chosen], counts.copy()
        least, counts = best
        while (counts > 0).sum() > 1:
            fewer = [np.where(np.arange(len(counts)) == i, 0, counts) for i in np.flatnonzero(counts)]
            losses = [self.aim.loss(np.average(said, axis=0, weights=each), truth) for each in fewer]
            if min(losses) > _NOTHING_LOST * least:
                break
            counts = fewer[int(np.argmin(losses))]
        return {i: float(counts[i] / counts.sum()) for i in np.flatnonzero(counts).tolist()}

    # --- the final fit ------------------------------------------------------------------------------------------------

    def _final(self, weights: dict[int, float]) -> None:
        own, chosen = self.portfolio, {self.members[i].name: weight for i, weight in weights.items()}
        columns, known = self._columns(np.arange(self.count))
        own.columns.load_state_dict(columns.state_dict())
        if any(map(_is_paired, chosen)):
            own.pairs.load_state_dict(self._pairs(known, self.target).state_dict())
        trees: dict[bool, list[Trees]] = {False: [], True: []}
        for i, weight in weights.items():
            member = self.members[i]
            if member.name in _BOOSTED:
                trees[_is_paired(member.name)] += self._boosted_trees(member, known, weight, trees)
        own.keep(shares=np.array([chosen.get(name, 0.0) for name in TITLES]))
        self._keep_others(chosen, columns, known, trees)

    def _boosted_trees(
        self, member: _Member, known: Array, weight: float, trees: dict[bool, list[Trees]]
    ) -> list[Trees]:
        """The member fitted on all rows, several seeds averaged."""
        setting, seeds = _BOOSTED[member.name], _SEEDS[self.portfolio.budget]
        features = _with(self.portfolio.pairs, known) if setting.paired else known
        share, place = self.aim.share(weight) / seeds, self.aim.first(len(trees[setting.paired])) + self.aim.boosted
        made = []
        for seed in range(1, seeds + 1):
            rows = lightgbm.Dataset(features, self.target)
            booster = lightgbm.train(self._parameters(setting, seed=seed), rows, member.trees)
            made.append(_moved(trees_of_lightgbm(booster.dump_model()), share, place))
        return [_joined(made)]

    def _keep_others(
        self, chosen: dict[Name, float], columns: RawColumns, known: Array, trees: dict[bool, list[Trees]]
    ) -> None:
        """Forest, line and process on all rows; then everything becomes buffers."""
        own, filled = self.portfolio, _filled(columns, known)
        certain = 0
        if "forest" in chosen:
            forest, _ = self.aim.forest(known, self.target)
            place = self.aim.first(len(trees[False]))
            trees[False].append(_moved(trees_of_forest(forest), self.aim.share(chosen["forest"]), place))
            certain = 1
        if "linear" in chosen:
            own.keep(line=self._line(filled, self.target) * self.aim.share(chosen["linear"]))
        if "process" in chosen:
            own.process = GaussianProcess().fit(filled, self.target, seed=1)
            own.process.keep(weights=own.process.weights.numpy() * chosen["process"])
        if own.outputs > 1:
            layout = [len(trees[False]) - certain, certain, len(trees[True]), int("linear" in chosen)]
            own.keep(layout=np.array(layout), weights=self._ordered_weights(chosen))
            own.size_by(layout)
        for ensemble, parts in ((own.plain, trees[False]), (own.paired, trees[True])):
            if parts:
                ensemble.plant(_joined(parts))

    def _ordered_weights(self, chosen: dict[Name, float]) -> NDArray[np.float64]:
        """As `Portfolio._classes` puts the members: plain trees, the forest, paired trees, the line."""
        plain = [w for name, w in chosen.items() if name in _BOOSTED and not _is_paired(name)]
        paired = [w for name, w in chosen.items() if _is_paired(name)]
        return np.array([*plain, *([chosen["forest"]] if "forest" in chosen else []), *paired,
                         *([chosen["linear"]] if "linear" in chosen else [])])  # fmt: skip

    def _learn_difficulty(self, tested: NDArray[np.int64], weights: dict[int, float]) -> None:
        """How far the portfolio is off, as a function of the row."""
        said = sum(weight * self.members[i].said[tested, 0] for i, weight in weights.items())
        miss = np.abs(self.target[tested] - said)
        known = self.portfolio.columns.encode(self.numbers[tested], self.categories[tested])
        label = np.log(miss + 0.1 * np.median(miss) + 1e-6)
        setting = {**_HARD, "min_child_samples": max(10, len(tested) // 40)}
        booster = lightgbm.train(
            {"objective": "regression", **setting, **_QUIET, "seed": 1}, lightgbm.Dataset(known, label), 150
        )  # fmt: skip
        self.portfolio.hard.plant(trees_of_lightgbm(booster.dump_model()))


def _is_paired(name: str) -> bool:
    return name in _BOOSTED and _BOOSTED[name].paired


def _with(pairs: Pairs, features: Array) -> Array:
    with torch.inference_mode():
        made: Array = pairs(torch.as_tensor(features)).numpy()
    return made


def _filled(columns: RawColumns, features: Array) -> Array:
    with torch.inference_mode():
        made: Array = columns.filled(torch.as_tensor(features)).numpy()
    return made


def _answers(module: nn.Module, features: Array) -> Array:
    with torch.inference_mode():
        made: Array = module(torch.as_tensor(features)).numpy()
    return made


def _moved(trees: Trees, share: float, place: int) -> Trees:
    """The same trees with their leaves times a share, adding to outputs from this place on."""
    return replace(trees, value=(trees.value * np.float32(share)), output=trees.output + np.int32(place))


def _joined(parts: Sequence[Trees]) -> Trees:
    """One ensemble of several."""
    starts = np.cumsum([0, *(len(part.feature) for part in parts)])[:-1].astype(np.int32)
    shifts = {"left": starts, "right": starts, "root": starts}
    return Trees(**{
        f.name: np.concatenate([
            getattr(part, f.name) + (shifts[f.name][i] if f.name in shifts else 0) if f.name != "missing_left"
            else part.missing_left
            for i, part in enumerate(parts)
        ])
        for f in fields(Trees)
    })  # fmt: skip
