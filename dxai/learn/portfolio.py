"""A portfolio: trees, a Gaussian process and a straight line, weighed by answers to rows that they were not fitted on.

Source: Caruana et al. (2004), Ensemble Selection from Libraries of Models.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dxai.learn.fitting import FitRows
from dxai.learn.members import LEAST, TITLES, Budget, Name, suits
from dxai.networks.columns import Pairs, RawColumns
from dxai.networks.fitted import Fitted
from dxai.networks.process import GaussianProcess
from dxai.networks.trees import TreeEnsemble

_A_ROW, _A_QUESTION, _A_POINT, _A_DISTANCE = 1e-6, 4e-9, 15e-9, 1e-9
"""Seconds for each row, question of a tree, point of a Gaussian process, and feature of such a point."""


@dataclass(frozen=True)
class Member:
    """A candidate of a portfolio, by answers to rows that no member was fitted on.

    Attributes:
        weight: In the mean of all members; 0 where it was tried and left out.
        alone: By how much the loss is larger where it answers alone, as a share.
        without: By how much the loss is larger where it is taken out, as a share; None where nobody would be left.
    """

    weight: float
    alone: float
    without: float | None


class Portfolio(Fitted):
    """Members, weights and the difficulty of a row: a network of the usual shape, once it is fitted.

    ``contributions [rows, columns, k]`` tell what each column brings to the boosted members' mean score of the rows
    ``explained``: for a number or two classes k is 1, else there is one per class.
    """

    takes_raw = True
    least_difficulty = 0.0  # learnt of errors, not of a disagreement that may vanish
    shares: Tensor
    line: Tensor
    weights: Tensor
    explained: Tensor
    contributions: Tensor

    def __init__(
        self, *, numbers: int, cardinalities: list[int], outputs: int, budget: Budget = "standard",
        members: Sequence[Name] = (),
        monotone: Sequence[int] = (),
    ) -> None:  # fmt: skip
        """A portfolio before its fit.

        Args:
            numbers: Columns of numbers.
            cardinalities: Categories of each other column.
            outputs: One, or one per class.
            budget: How much processor time the fit may take.
            members: Candidates; by default those of the budget.
            monotone: For each number 1 where the prediction never falls when it rises, -1 where it never rises, else 0.

        Raises:
            ValueError: A member is not made for such a target.
        """
        super().__init__(
            shares=torch.float32, line=torch.float32, weights=torch.float32, explained=torch.int64,
            contributions=torch.float32,
        )  # fmt: skip
        self.outputs, self.budget, self.monotone = outputs, budget, tuple(monotone)
        self.candidates = tuple(members)
        if unsuited := [name for name in members if not suits(name, outputs)]:
            kind = "a number" if outputs == 1 else f"{outputs} classes"
            raise ValueError(f"{', '.join(unsuited)} cannot predict {kind}")
        self.columns, self.pairs = RawColumns(numbers=numbers, cardinalities=cardinalities), Pairs()
        self.plain, self.paired, self.hard = (TreeEnsemble(outputs=1) for _ in range(3))
        self.forest = TreeEnsemble(outputs=outputs)
        self.process = GaussianProcess()

    @property
    def members(self) -> dict[str, Member]:
        """All candidates by their titles, the weightiest first; empty before the fit."""
        told = dict(zip(TITLES.values(), self.shares.tolist(), strict=False))
        tried = {title: values for title, values in told.items() if not math.isnan(values[0])}
        ordered = sorted(tried.items(), key=lambda each: -each[1][0])
        return {title: Member(w, alone, None if math.isnan(rest) else rest) for title, (w, alone, rest) in ordered}

    @property
    def rows_per_second(self) -> float:
        """An estimate for one thread of ONNX Runtime, within a third of what five models took.

        Not measured: what is written about a model must be the same on every machine.
        """
        questions = sum(each.questions for each in (self.plain, self.paired, self.forest, self.hard))
        points, features = self.process.points.shape if len(self.process.points) else (0, 0)
        return 1 / (_A_ROW + _A_QUESTION * questions + points * (_A_POINT + _A_DISTANCE * features))

    def forward(self, numbers: Tensor, categories: Tensor) -> Tensor:
        """Raw ``[rows, numbers]`` and category numbers ``[rows, categories]`` to ``[rows, members, outputs]``.

        Of a number two members, whose mean is the prediction and whose distance from it the difficulty of the row; of
        classes one: the logarithms of their probabilities.
        """
        features = self.columns(numbers, categories)
        return self._classes(features) if self.outputs > 1 else self._number(features)

    def fit(self, rows: FitRows) -> None:
        """Weigh the candidates on inner folds, then fit the chosen ones on all rows."""
        from dxai.learn.portfolio_fit import PortfolioFit  # LightGBM and scikit-learn: a typo is told without them

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # scikit-learn warns of lines that are nearly fitted
            PortfolioFit(self, rows).run()

    def _number(self, features: Tensor) -> Tensor:
        """Leaves, slopes and kernels carry the weights of their members."""
        said = [ensemble(features) for ensemble in (self.plain, self.forest) if len(ensemble.root)]
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
        """``weights``: of boosted members, of those on pairs, of forest, line and process, in this order."""
        parts = []
        for ensemble, seen in ((self.plain, features), (self.paired, self.pairs(features))):
            if len(ensemble.root):
                parts.append(ensemble(seen).reshape(-1, ensemble.outputs // self.outputs, self.outputs).softmax(dim=2))
        if len(self.forest.root):
            parts.append(self.forest(features)[:, None])
        filled = self.columns.filled(features)
        if len(self.line):
            parts.append((filled @ self.line[:-1] + self.line[-1:]).softmax(dim=1)[:, None])
        if len(self.process.points):
            parts.append(self.process(filled).softmax(dim=1)[:, None])
        probability = (torch.cat(parts, dim=1) * self.weights[:, None]).sum(dim=1)
        return probability.clamp(min=LEAST).log()[:, None]

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *others: Any) -> None:
        """Boosted members of classes have outputs of their own: as many as the stored trees name."""
        super()._load_from_state_dict(state_dict, prefix, *others)
        if self.outputs > 1:
            for name in ("plain", "paired"):
                last = (
                    state_dict[f"{prefix}{name}.output"].max().item() if len(state_dict[f"{prefix}{name}.root"]) else 0
                )
                getattr(self, name).outputs = self.outputs * (last // self.outputs + 1)
