"""The fit of a portfolio: inner folds, weights, final members, difficulty.

Every row is used: the inner folds give the weights, the number of trees and the errors of which the difficulty of a row
is learnt; then the chosen members are fitted on all rows.

Source: Caruana et al. (2004), Ensemble Selection from Libraries of Models; Ke et al. (2017), LightGBM; Geurts et al.
(2006), Extremely Randomized Trees.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import lightgbm
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from dxai.errors import SettingsError
from dxai.learn.aims import FOLDS, Answers, Folds, aim_of
from dxai.learn.fitting import FitRows
from dxai.learn.lightgbm_trees import trees_of_forest, trees_of_lightgbm
from dxai.learn.members import (
    BOOSTED,
    PLANS,
    SCOUT,
    TITLES,
    WEIGHED_ROWS,
    Name,
    bearable,
    bearable_loss,
    candidates,
    inner_folds,
    is_vast,
    learning_rate,
    most_trees,
    suits,
)
from dxai.networks.columns import Pairs, RawColumns
from dxai.networks.process import GaussianProcess
from dxai.networks.trees import Trees, joined, moved

if TYPE_CHECKING:
    from dxai.learn.portfolio import Portfolio

Array = NDArray[np.float32]

_FLAT = 1.002
"""Trees go as long as the loss stays below that share of the least."""
_ROUNDS = 40
_SCOUTED, _BEST_FEATURES, _BEST_PAIRS = 4_000, 12, 20
_HARD = {"objective": "regression", "learning_rate": 0.08, "num_leaves": 6, "feature_fraction": 0.6,
         "bagging_fraction": 0.7, "bagging_freq": 1, "lambda_l2": 5.0, "verbosity": -1, "num_threads": 1,
         "deterministic": True, "force_col_wise": True}  # fmt: skip
_HARD_TREES = 60


@dataclass
class _Candidate:
    """One candidate: what it says of rows that it was not fitted on ``[rows, outputs]``, and how long it is boosted."""

    name: Name
    said: NDArray[np.float64]
    curves: list[tuple[int, list[float]]] = field(default_factory=list)
    boosters: list[tuple[lightgbm.Booster, Array, NDArray[np.int64]]] = field(default_factory=list)
    trees: int = 0


class PortfolioFit:
    """One fit of a portfolio."""

    def __init__(self, portfolio: Portfolio, rows: FitRows) -> None:
        self.portfolio, self.rows, self.aim = portfolio, rows, aim_of(portfolio.outputs)
        self.numbers, self.categories = (part.numpy() for part in rows.inputs)
        self.target = rows.target.numpy()
        self.coded = self.aim.coded(self.target)
        self.count, self.width = len(self.target), self.numbers.shape[1] + self.categories.shape[1]
        self.plan, self.seed = PLANS[portfolio.budget], rows.seed + 1
        self.rate = learning_rate(portfolio.budget, self.count, self.width)
        self.most_trees = most_trees(portfolio.budget, self.count, self.width)
        self.tuned: GaussianProcess | None = None
        self.folds = self._folds()
        self.held = any(portfolio.monotone)
        size = (self.count, self.width)
        names = portfolio.candidates or candidates(portfolio.budget, *size)
        names = tuple(n for n in names if suits(n, portfolio.outputs) and bearable(n, *size, monotone=self.held))
        if not names:
            told = ", ".join(TITLES[name] for name in portfolio.candidates) + ", monotone" * self.held
            fix = "Name others under model.members, or none: the budget's."
            raise SettingsError(
                f"Not made for {self.count:,} rows of {self.width} columns: {told}.", where="model.members", fix=fix
            )
        nothing = np.zeros((self.count, portfolio.outputs))
        self.candidates = [_Candidate(name, nothing.copy()) for name in names]
        self.done, self.parts = 0, (len(self.folds) + 1) * len(names)

    def run(self) -> None:
        """Inner folds, lengths, weights, and the final fits."""
        for train, test in self.folds:
            self._inner(train, test)
        for member in self.candidates:
            self._settle_length(member)
        tested = np.concatenate([test for _, test in self.folds])
        weights = self._weights(tested)
        self.portfolio.keep(shares=self._shares(tested, weights))
        self._final({self.candidates[i].name: (self.candidates[i], weight) for i, weight in weights.items()})
        if self.portfolio.outputs == 1:
            self._learn_difficulty(tested, weights)

    # --- the parts of a fit -------------------------------------------------------------------------------------------

    def _folds(self) -> Folds:
        """Row numbers to fit and to test, of very many rows some; in time order the later block tests."""
        draw, asked = np.random.default_rng(self.seed), inner_folds(self.count, self.width)
        some = np.arange(self.count)
        if is_vast(self.count, self.width):
            some = np.sort(draw.permutation(self.count)[:WEIGHED_ROWS])
        if self.rows.times is not None:
            blocks = np.array_split(some[np.argsort(self.rows.times[some], kind="stable")], FOLDS + 1)
            return [(np.concatenate(blocks[:i]), blocks[i]) for i in range(2, FOLDS + 1)][-asked:]
        groups = None if self.rows.groups is None else self.rows.groups[some]
        groups = groups if groups is not None and len(np.unique(groups)) >= FOLDS else None
        found = self.aim.folds(self.target[some], groups, self.seed)
        return [(some[train], some[test]) for train, test in found][:asked]

    def _begin(self, told: str) -> None:
        """Say what is fitted next."""
        self.rows.on_step(self.done / self.parts, told)
        self.done += 1

    def _inner(self, train: NDArray[np.int64], test: NDArray[np.int64]) -> None:
        """Fit every candidate on one part of the rows, and ask it about the other."""
        columns, known = self._columns(train)
        asked = columns.encode(self.numbers[test], self.categories[test])
        pairs = self._pairs(known, self.target[train]) if any(_is_paired(m.name) for m in self.candidates) else Pairs()
        for member in self.candidates:
            self._begin(TITLES[member.name])
            if member.name in BOOSTED:
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
        columns.fit(*parts, held=np.flatnonzero(self.portfolio.monotone).tolist())
        lots = np.random.default_rng(self.seed).permutation(len(train)) % FOLDS
        return columns, columns.crossed(*parts, lots)

    def _boost(
        self, member: _Candidate, known: Array, asked: Array, train: NDArray[np.int64], test: NDArray[np.int64]
    ) -> None:
        told = dict[str, Any]()
        rows = lightgbm.Dataset(known, self.target[train], free_raw_data=True)
        watch = lightgbm.Dataset(asked, self.target[test], reference=rows)
        booster = lightgbm.train(
            self._parameters(member.name, known.shape[1], seed=self.seed), rows, self.most_trees, [watch],
            callbacks=[
                lightgbm.early_stopping(self.plan.patience, verbose=False), lightgbm.record_evaluation(told)
            ],
        )  # fmt: skip
        (curve,) = told["valid_0"].values()
        member.curves.append((len(test), curve))
        member.boosters.append((booster, asked, test))

    def _parameters(self, name: Name, features: int, *, seed: int) -> dict[str, Any]:
        own = BOOSTED[name].of(self.count, self.width)
        signs = [*self.portfolio.monotone, *[0] * (features - len(self.portfolio.monotone))]
        held = {"monotone_constraints": signs, "monotone_constraints_method": "intermediate"} if self.held else {}
        return {**self.aim.objective(), **own, **held, "learning_rate": self.rate, "seed": seed}

    def _settle_length(self, member: _Candidate) -> None:
        """The fewest trees of about the least mean loss over the folds; then ask the boosters again."""
        if not member.curves:
            return
        longest = max(len(curve) for _, curve in member.curves)
        padded = np.array([np.pad(curve, (0, longest - len(curve)), mode="edge") for _, curve in member.curves])
        mean = np.average(padded, axis=0, weights=[rows for rows, _ in member.curves])
        member.trees = 1 + int((mean <= _FLAT * mean.min()).argmax())
        for booster, asked, test in member.boosters:
            member.said[test] = self.aim.of_booster(np.asarray(booster.predict(asked, num_iteration=member.trees)))
        member.boosters.clear()

    def _other(self, name: Name, columns: RawColumns, known: Array, target: Array) -> Answers:
        """Fit what is not boosted; returns what answers."""
        if name == "extra_trees":
            return self.aim.forest(known, target, self.seed)[1]
        filled = _filled(columns, known)
        if name == "gaussian_process":
            process = self._process(filled, target)
            return lambda asked: self.aim.of_line(_answers(process, _filled(columns, asked)).astype(np.float64))
        line = self._line(filled, target)
        return lambda asked: self.aim.of_line(_filled(columns, asked).astype(np.float64) @ line[:-1] + line[-1])

    def _process(self, filled: Array, target: Array) -> GaussianProcess:
        """Lengths and strengths are those of the first fold: most of the time goes to tuning them."""
        process = self.aim.process(filled, target, self.seed, self.tuned)
        self.tuned = self.tuned or process
        return process

    def _line(self, filled: Array, target: Array) -> Array:
        """Coefficients and constants ``[features + 1, outputs]``, for features as they are."""
        middle, spread = filled.mean(axis=0), filled.std(axis=0)
        spread = np.where(spread > 1e-9, spread, 1)
        signs = [*self.portfolio.monotone, *[0] * (len(middle) - len(self.portfolio.monotone))]
        slopes, constants = self.aim.line((filled - middle) / spread, target, np.array(signs))
        slopes = slopes / spread[:, None]
        return np.vstack([slopes, constants - middle @ slopes]).astype(np.float32)

    def _pairs(self, known: Array, target: Array) -> Pairs:
        """The pairs of features from which a small ensemble gains most; none of a feature with a set direction."""
        rows = np.random.default_rng(self.seed).permutation(len(known))[:_SCOUTED]
        known, target = known[rows], target[rows]
        free = [i for i in range(known.shape[1]) if i >= len(self.portfolio.monotone) or not self.portfolio.monotone[i]]
        varied = [i for i in free if len(np.unique(known[~np.isnan(known[:, i]), i])) > 2]
        if len(varied) < 2:
            return Pairs()
        gain = self._gain(known, target)
        best = sorted(varied, key=lambda i: -gain[i])[:_BEST_FEATURES]
        made = [(kind, a, b) for n, a in enumerate(best) for b in best[n + 1 :] for kind in ("times", "plus", "minus")]
        made += [("ratio", a, b) for a in best for b in best if a != b]
        ordered = sorted(made, key=lambda pair: ("times", "plus", "minus", "ratio").index(pair[0]))
        gain = self._gain(_with(Pairs().choose(ordered), known), target)[known.shape[1] :]
        return Pairs().choose([ordered[i] for i in sorted(np.argsort(-gain)[:_BEST_PAIRS])])

    def _gain(self, known: Array, target: Array) -> NDArray[np.float64]:
        setting = {**self.aim.objective(), **SCOUT, "seed": self.seed}
        booster = lightgbm.train(setting, lightgbm.Dataset(known, target), self.aim.scout_trees)
        return booster.feature_importance("gain")

    # --- weights ------------------------------------------------------------------------------------------------------

    def _weights(self, tested: NDArray[np.int64]) -> dict[int, float]:
        """Greedy forward selection with replacement, then members go as long as nothing is lost."""
        said, truth = np.stack([member.said[tested] for member in self.candidates]), self.target[tested]
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
            if min(losses) > bearable_loss(self.count, self.width) * least:
                break
            counts = fewer[int(np.argmin(losses))]
        return {i: float(counts[i] / counts.sum()) for i in np.flatnonzero(counts).tolist()}

    def _shares(self, tested: NDArray[np.int64], weights: dict[int, float]) -> NDArray[np.float64]:
        """Of every title weight, loss alone and loss without it ``[titles, 3]``; NaN where it was not tried."""
        said, truth = np.stack([member.said[tested] for member in self.candidates]), self.target[tested]
        given = np.array([weights.get(i, 0.0) for i in range(len(said))])
        least, found = self.aim.loss(np.average(said, axis=0, weights=given), truth), np.full((len(TITLES), 3), np.nan)
        for i, member in enumerate(self.candidates):
            others = np.where(np.arange(len(given)) == i, 0, given)
            without = self.aim.loss(np.average(said, axis=0, weights=others), truth) if others.any() else np.nan
            losses = np.array([self.aim.loss(said[i], truth), without])
            found[list(TITLES).index(member.name)] = [given[i], *(losses / least - 1)]
        return found

    # --- the final fit ------------------------------------------------------------------------------------------------

    def _final(self, chosen: dict[Name, tuple[_Candidate, float]]) -> None:
        """The chosen members on all rows; then everything becomes buffers."""
        own, shares = self.portfolio, {name: weight for name, (_, weight) in chosen.items()}
        columns, known = self._columns(np.arange(self.count))
        own.columns.load_state_dict(columns.state_dict())
        own.keep(contributions=np.zeros(0), explained=np.zeros(0))
        if any(map(_is_paired, chosen)):
            own.pairs.load_state_dict(self._pairs(known, self.target).state_dict())
        ordered = []
        for ensemble, paired in ((own.plain, False), (own.paired, True)):
            names = [name for name in chosen if name in BOOSTED and _is_paired(name) == paired]
            ordered += names
            if names:
                features = _with(own.pairs, known) if paired else known
                ensemble.outputs = self.aim.first(len(names) - 1) + own.outputs
                ensemble.plant(joined([
                    self._boosted_trees(*chosen[name], features, place) for place, name in enumerate(names)
                ]))  # fmt: skip
        ordered += [name for name in ("extra_trees", "ridge", "logistic", "gaussian_process") if name in chosen]
        self._keep_others(shares, known, _filled(columns, known))
        if own.outputs > 1:
            own.keep(weights=np.array([shares[name] for name in ordered]))

    def _boosted_trees(self, member: _Candidate, weight: float, features: Array, place: int) -> Trees:
        """The member fitted on all rows, several seeds averaged."""
        self._begin(TITLES[member.name])
        seeds = self.plan.seeds(self.aim.trees(member.trees))
        share, first = self.aim.share(weight) / seeds, self.aim.first(place) + self.aim.boosted
        made = []
        for seed in range(self.seed, self.seed + seeds):
            rows = lightgbm.Dataset(features, self.target)
            booster = lightgbm.train(self._parameters(member.name, features.shape[1], seed=seed), rows, member.trees)
            self._explain(booster, BOOSTED[member.name].paired, weight / seeds)
            made.append(moved(trees_of_lightgbm(booster.dump_model()), share, first))
        return joined(made)

    def _explain(self, booster: lightgbm.Booster, paired: bool, weight: float) -> None:
        """Add exact Shapley values (Lundberg et al. 2020); a pair of features gives half of its own to each."""
        own, rows = self.portfolio, self.rows.explained
        if not len(rows):
            return
        features = own.columns.encode(self.numbers[rows], self.categories[rows])
        features = _with(own.pairs, features) if paired else features
        told = np.asarray(booster.predict(features, pred_contrib=True))
        told = told.reshape(len(told), -1, features.shape[1] + 1)[:, :, :-1]
        owners = own.columns.owners
        places = [list(pair) for pair in owners]
        places += [[*owners[a], *owners[b]] for a, b in own.pairs.all] if paired else []
        brought = np.zeros((len(told), self.width, told.shape[1]))
        for feature, columns in enumerate(places):
            for column in columns:
                brought[:, column] += weight / len(columns) * told[:, :, feature]
        before = own.contributions.numpy()
        own.keep(contributions=brought + before if before.size else brought, explained=rows)

    def _keep_others(self, shares: dict[Name, float], known: Array, filled: Array) -> None:
        """Forest, line and process on all rows."""
        own = self.portfolio
        for name in shares:
            if name not in BOOSTED:
                self._begin(TITLES[name])
            share = self.aim.share(shares[name])
            match name:
                case "extra_trees":
                    forest, _ = self.aim.forest(known, self.target, self.seed)
                    own.forest.plant(moved(trees_of_forest(forest), share, 0))
                case "ridge" | "logistic":
                    own.keep(line=self._line(filled, self.target) * share)
                case "gaussian_process":
                    process = self._process(filled, self.target).times(share)
                    own.process = process.without_rows(seed=self.seed) if self.rows.private else process

    def _learn_difficulty(self, tested: NDArray[np.int64], weights: dict[int, float]) -> None:
        """How far the portfolio is off, as a function of the row."""
        said = sum(weight * self.candidates[i].said[tested, 0] for i, weight in weights.items())
        miss = np.abs(self.target[tested] - said)
        known = self.portfolio.columns.encode(self.numbers[tested], self.categories[tested])
        label = np.log(miss + 0.1 * np.median(miss) + 1e-6)
        setting = {**_HARD, "seed": self.seed, "min_child_samples": max(10, len(tested) // 40)}
        booster = lightgbm.train(setting, lightgbm.Dataset(known, label), _HARD_TREES)
        self.portfolio.hard.plant(trees_of_lightgbm(booster.dump_model()))


def _is_paired(name: Name) -> bool:
    return name in BOOSTED and BOOSTED[name].paired


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
