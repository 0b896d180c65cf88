"""Tasks that answer row by row: folds, fit, calibration, held-out answers, scores; what is predicted is a member's."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, TypeVar, get_args

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dxai import metrics
from dxai.bundle.profile import Profile, profile_rows
from dxai.config.settings import NoScaling, QualityEvaluation, RowSplit, RunSettings
from dxai.contract import Contract
from dxai.data import splits
from dxai.data.batch import Arrays, RowCodec
from dxai.data.batches import RowsOnDisk
from dxai.data.row_file import RowFile
from dxai.data.trainable import constant_target, refuse
from dxai.errors import SettingsError
from dxai.learn.devices import processors
from dxai.learn.fitting import Epoch, FitFromDisk, FitRows, Loss, OnStep, fit, unwatched
from dxai.learn.fold_answers import Clusters, FoldAnswers
from dxai.learn.members import is_vast
from dxai.learn.predictor import RowPredictor
from dxai.learn.task import Task
from dxai.learn.transform import ColumnTransform, encode

Array = NDArray[np.float32]
Columns = Mapping[str, Tensor]

_MOST_SHUFFLES, _MOST_ROWS = 150, 2_000
"""Behind the importance of all columns in all folds: hundreds of sensors would keep a person waiting for minutes."""
_EXPLAINED = 300
"""Rows of the released model of which is kept what each column brings."""
_MOST_GRID, _MOST_ASKED = 16, 100
"""Values of a column, and rows of a fold, behind a line of partial dependence."""
_FOLDS_OF_VAST = 2
"""Fitted and scored of a vast table's: hundreds of thousands of rows ask, and a fit takes minutes."""
_MANY_ROWS, _TWINS_OF_MANY = 10_000, 2
"""Beyond so many rows so many random twins are enough to show the gap."""
_MOST_CASES = 10_000
"""Rows of a parity case: a network holds hundreds of numbers for each cell of a wide table."""

_AT_ONCE = 65_536
"""Rows that a network answers together: it holds hundreds of numbers of each."""


@dataclass(frozen=True)
class RowFold:
    """One fit: which split it belongs to, its number there, its rows."""

    split: str
    number: int
    rows: splits.Fold

    @property
    def is_test(self) -> bool:
        """Whether the fold has test rows; the released model's has none."""
        return len(self.rows.test) > 0

    @property
    def label(self) -> str:
        """Name in files and progress bars."""
        return f"{self.split}-{self.number}" if self.is_test else self.split


P = TypeVar("P", bound=RowPredictor)
T = TypeVar("T")


class RowTask(Task[RowFold, P]):
    """A quality table with its folds.

    Attributes:
        table: The rows with a true value.
        values: Their true values ``[rows]``.
        stored: All rows of a table that is larger than memory: networks are fitted on these, and ``table`` is a sample
            of them, by which statistics are taken, answers calibrated and scored, figures drawn. None: it holds all.

    Raises:
        SettingsError: The settings are for another kind of task, or the split leaks.
        DataError: There is nothing to predict: no true value, or the same one in all rows.
    """

    takes: ClassVar[Mapping[str, tuple[type, ...]]] = {
        "split": get_args(RowSplit), "evaluate": (QualityEvaluation,), "scaling": (NoScaling,),
    }  # fmt: skip
    gives: ClassVar[frozenset[str]] = frozenset({"numbers", "cardinalities", "outputs"})
    moved_as: ClassVar[str] = "the target's mean has moved by {:+.2f} of its standard deviation"
    """`moved` in words."""
    choices: ClassVar[str] = (
        "model=portfolio, lightgbm, tabm, mlp or another of its kind (`dxai train --help`), "
        "split=grouped, ordered or random, evaluate=quality, scaling=none"
    )
    left_out_as: ClassVar[str] = "rows without a true value"

    values: NDArray[Any]
    split: RowSplit
    evaluation: QualityEvaluation
    stored: RowFile | None = None

    def __init__(self, contract: Contract, table: pl.DataFrame, settings: RunSettings) -> None:
        known = table.drop_nulls(contract.target.name)
        super().__init__(contract, known, settings)
        self.left_out = len(table) - len(known)
        truth = known[contract.target.name]
        refuse(constant_target(truth.name, truth.unique().head(2).to_list(), len(truth)))
        self.monotone = [{"up": 1, "down": -1}.get(c.monotone, 0) for c in contract.numbers]
        self._refuse_wayward_model()
        self.split, self.evaluation = settings.split, settings.evaluate  # type: ignore[assignment]  # `takes` says so
        self.columns = encode(self.codec.encode(known).arrays, contract)

    def _refuse_wayward_model(self) -> None:
        """Raise SettingsError where the contract says how the prediction follows a column and the model cannot obey."""
        model, told = self.settings.model, ", ".join(c.name for c in self.contract.numbers if c.monotone)
        if told and not model.takes(self.gives | {"monotone"}):
            raise SettingsError(
                f"model={model.name} cannot promise what the contract says of {told}: monotone.", where="model",
                fix="Choose model=portfolio, lightgbm or ridge, or take `monotone` out of the contract.",
            )  # fmt: skip

    # --- what a member says of its target -----------------------------------------------------------------------------

    @abstractmethod
    def prepare(self, predictor: P, rows: splits.Rows) -> Loss:
        """Give the predictor what it must know of the true values of the rows to fit; returns the loss."""

    @abstractmethod
    def truth(self, predictor: P, values: NDArray[Any]) -> Tensor:
        """True values ``[rows]`` as the loss wants them."""

    @abstractmethod
    def raw(self, predictor: P, columns: Columns) -> Array:
        """What the predictor says before it is calibrated ``[rows, …]``."""

    @abstractmethod
    def settle(self, predictor: P, raw: Array, truth: NDArray[Any]) -> None:
        """Calibrate: set what depends on rows that a network was not fitted on.

        Args:
            predictor: Of one fit.
            raw: Of such rows, each said by a fit of its own.
            truth: Their true values.
        """

    @abstractmethod
    def answers(self, predictor: P, columns: Columns) -> dict[str, Array]:
        """Predictions as columns of a table of held-out rows."""

    def levels(self, answers: dict[str, Array]) -> Array:
        """`answers` as numbers to draw ``[rows, k]``: by default the first."""
        return next(iter(answers.values()))[:, None]

    def moved(self, earlier: splits.Rows, later: splits.Rows) -> float:
        """How far the target of later rows lies from that of earlier ones: by default in deviations of the latter."""
        known, new = self.values[earlier], self.values[later]
        return float((new.mean() - known.mean()) / max(known.std(), 1e-12))

    @property
    def clusters(self) -> Clusters:
        """Groups where the split keeps them together."""
        return "groups" if self.split.kind == "grouped" else "rows"

    def fold_answers(self, held_out: pl.DataFrame, *, twin: bool = False) -> list[FoldAnswers]:
        """Of rows."""
        if twin and self.split.kind == "random":
            return []
        grouped = self.clusters == "groups"
        groups = splits.groups_of(self.table, self.contract) if grouped else np.arange(len(self.table))
        folds = held_out.filter(split="random" if twin else self.split.kind).partition_by("fold", maintain_order=True)
        return [self.rows_answers(rows, groups[rows["row"].to_numpy()]) for rows in folds]

    @abstractmethod
    def rows_answers(self, rows: pl.DataFrame, clusters: NDArray[np.int64]) -> FoldAnswers:
        """Held-out rows of one fold as metrics take them, and the cluster that each belongs to."""

    @abstractmethod
    def row_scores(self, rows: pl.DataFrame) -> dict[str, float]:
        """All scores of held-out rows: their ``truth`` and `answers`."""

    @abstractmethod
    def yardsticks(self, fold: splits.Fold, train: Array, test: Array) -> dict[str, Array]:
        """What simple predictions say of the test rows of a fold.

        Args:
            fold: Its rows.
            train: Scaled features ``[rows, features]`` of the rows to fit.
            test: The same of the test rows.
        """

    @abstractmethod
    def yardstick_score(
        self, answer: Array, truth: NDArray[Any], other: Array, known: NDArray[Any]
    ) -> dict[str, float]:
        """Scores of a simple prediction; what it says of ``other`` rows, whose truth is ``known``, may calibrate it."""

    @abstractmethod
    def error(self, predictor: P, columns: Columns, rows: splits.Rows) -> float:
        """What rises when a column is shuffled."""

    # --- the same for all ---------------------------------------------------------------------------------------------

    def sized_network(self) -> nn.Module:
        """The network for the contract's columns; it answers ``[rows, members, outputs]``, an output per class."""
        contract, told = self.contract, {"monotone": self.monotone} if any(self.monotone) else {}
        return self.network(
            numbers=len(contract.numbers), cardinalities=[len(c.categories) for c in contract.categories],
            outputs=len(contract.classes) or 1, **told,
        )  # fmt: skip

    def loss(self, default: Loss, **given: Any) -> Loss:
        """The loss that the settings name, by default that of the kind of task."""
        named = self.settings.loss
        made: Loss = default if named is None else named.build(**given)
        return made

    @property
    def data_on_disk(self) -> str:
        """Of the numbers that are fitted on."""
        return "" if self.stored is None else self.stored.about.data

    @property
    def told_rows(self) -> str:
        """Of a sample, that it is one."""
        told = super().told_rows
        return told if self.stored is None else f"{self.stored.about.rows:,} rows, scored on {told} drawn at random"

    @cached_property
    def folds(self) -> list[RowFold]:
        """Honest folds, then their random twins where rows belong together, then the released model's."""
        honest = splits.folds(self.table, self.contract, self.split)
        twins = splits.random_folds(self.table, self.contract, self.split)
        twins = twins if len(self.table) <= _MANY_ROWS else twins[:_TWINS_OF_MANY]
        final = splits.whole(self.table)
        kept = range(len(honest))
        if is_vast(len(self.table), len(self.contract.features)):
            kept = kept[-_FOLDS_OF_VAST:]  # of a split by time the later ones
        return [
            *(RowFold(self.split.kind, i, honest[i]) for i in kept),
            *(RowFold("random", i, rows) for i, rows in enumerate(twins)),
            RowFold("final", 0, final),
        ]

    def fit(self, fold: RowFold, on_step: OnStep = unwatched, checkpoint: Path | None = None) -> tuple[P, list[Epoch]]:
        """Fit on all of the fold's rows."""
        torch.manual_seed(self.settings.seed)
        predictor, rows = self.predictor(), fold.rows.fit
        predictor.transform.fit(self._take(rows))
        loss = self.prepare(predictor, rows)
        told = self._told(predictor, fold, loss, on_step)
        return predictor, fit(predictor.network, told, None, self.settings.trainer, checkpoint)

    def _told(self, predictor: P, fold: RowFold, loss: Loss, on_step: OnStep) -> FitRows | FitFromDisk:
        """What the model is fitted on."""
        rows, seed = fold.rows.fit, self.settings.seed
        if self.stored is not None:
            return FitFromDisk(self._on_disk(self.stored, predictor, fold), loss, seed, on_step)
        *inputs, target = self._batch(predictor, rows)
        groups = splits.groups_of(self.table, self.contract)[rows] if self.split.kind == "grouped" else None
        times = splits.times_of(self.table, self.contract)[rows] if self.split.kind == "ordered" else None
        explained = np.sort(np.random.default_rng(0).permutation(len(rows))[: 0 if fold.is_test else _EXPLAINED])
        return FitRows(tuple(inputs), target, loss, seed, groups, times, on_step, private=self.own, explained=explained)

    def calibrate(self, fitted: Mapping[str, P]) -> None:
        """By the tests of the other folds of its split: no row is lost to calibration.

        The released model is calibrated by all honest tests; in a split by time a fold by those before it.

        Source: cross-conformal prediction (Vovk 2015); CV+ (Barber, Candès, Ramdas, Tibshirani 2021).
        """
        for split in dict.fromkeys(fold.split for fold in self.folds if fold.is_test):
            tested = [fold for fold in self.folds if fold.split == split]
            raw = [
                np.concatenate([self.raw(fitted[fold.label], self._take(part)) for part in _parts(fold.rows.test)])
                for fold in tested
            ]
            truth = [self.values[fold.rows.test] for fold in tested]
            for number, fold in enumerate(tested):
                others = self._others(number, len(tested))
                self.settle(fitted[fold.label], *(np.concatenate([part[i] for i in others]) for part in (raw, truth)))
            if split == self.split.kind:
                self.settle(fitted[self.folds[-1].label], np.concatenate(raw), np.concatenate(truth))

    def _others(self, number: int, count: int) -> list[int]:
        """Folds whose tests calibrate this one."""
        others = [other for other in range(count) if other != number]
        earlier = [other for other in others if other < number]
        return earlier if self.split.kind == "ordered" and earlier else others

    def held_out(self, predictor: P, fold: RowFold) -> pl.DataFrame:
        """Truths and answers of the fold's test rows."""
        test = fold.rows.test
        place = {"split": [fold.split] * len(test), "fold": [fold.number] * len(test), "row": test}
        parts = [self.answers(predictor, self._take(part)) for part in _parts(test)]
        answers = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        return pl.DataFrame({**place, "truth": self.values[test], **answers})

    def fold_scores(self, predictor: P, fold: RowFold) -> dict[str, float]:
        """Of the fold's test rows."""
        return self.row_scores(self.held_out(predictor, fold))

    def scores(self, held_out: pl.DataFrame) -> dict[str, Any]:
        """All metrics: the honest split's, its random twin's, the yardsticks'; means over folds."""
        twins = [f for f in self.folds if f.split == "random" and self.split.kind != "random"]
        model = self._mean_scores(held_out, self.honest)
        made = {"model": model, "yardstick": self._yardstick_scores()}
        if twins:
            random, lead = self._mean_scores(held_out, twins), metrics.lead(self.contract.family)
            gap = model[lead.name] - random[lead.name]
            made["random_split"] = random | {f"{lead.name}_gap": -gap if lead.better == "more" else gap}
        return made

    def importance(self, predictors: Mapping[str, P], repeats: int) -> dict[str, list[float]]:
        """Permutation importance: the rise of the error on test rows when a column is shuffled (Breiman 2001).

        Args:
            predictors: By label of the fold.
            repeats: Shuffles per column and fold; of a wide table fewer, the later folds first.

        Returns:
            Rises per feature, in the unit of the error.
        """
        names = [column.name for column in self.contract.features]
        rounds = max(1, min(repeats * len(self.honest), _MOST_SHUFFLES // len(names)))

        def of_fold(number: int, fold: RowFold) -> dict[str, list[float]]:
            draw, predictor, test = (
                np.random.default_rng((self.settings.seed, number)),
                predictors[fold.label],
                fold.rows.test,
            )
            test = test if len(test) <= _MOST_ROWS else np.sort(draw.choice(test, _MOST_ROWS, replace=False))
            columns = self._take(test)
            base = self.error(predictor, columns, test)
            orders = [
                torch.as_tensor(draw.permutation(len(test))) for _ in range((rounds + number) // len(self.honest))
            ]
            return {
                name: [self.error(predictor, columns | {name: columns[name][order]}, test) - base for order in orders]
                for name in names
            }

        found = self._of_folds(of_fold)
        return {name: [rise for rises in found for rise in rises[name]] for name in names}

    def dependence(self, predictors: Mapping[str, P], names: Sequence[str]) -> dict[str, tuple[Array, Array]]:
        """Partial dependence: the mean answer for test rows that all get one value in a column (Friedman 2001).

        Args:
            predictors: By label of the fold.
            names: Of the columns.

        Returns:
            By column its values ``[grid]`` (of a category their numbers) and the mean of `levels` ``[grid, k]``.
        """
        grids = {name: self._grid(name) for name in names}

        def of_fold(_: int, fold: RowFold) -> dict[str, Array]:
            rows = np.random.default_rng(0).permutation(fold.rows.test)[:_MOST_ASKED]
            made = {}
            for name, grid in grids.items():
                columns = {key: values.repeat(len(grid)) for key, values in self._take(rows).items()}
                columns[name] = grid.repeat_interleave(len(rows))
                said = self.levels(self.answers(predictors[fold.label], columns))
                made[name] = said.reshape(len(grid), len(rows), -1).mean(axis=1)
            return made

        found = self._of_folds(of_fold)
        return {name: (grid.numpy(), np.mean([lines[name] for lines in found], axis=0)) for name, grid in grids.items()}

    def _of_folds(self, told: Callable[[int, RowFold], T]) -> list[T]:
        """The same of every honest fold, of several at once; each has numbers and random draws of its own."""
        with ThreadPoolExecutor(processors() // self.settings.threads or 1) as pool:
            return list(pool.map(told, range(len(self.honest)), self.honest))

    def _grid(self, name: str) -> Tensor:
        """Values of a column: all categories, or quantiles of the numbers."""
        values = self.columns[name]
        if not values.is_floating_point():
            return torch.as_tensor(np.unique(values.numpy()))
        known = values[~values.isnan()].double().numpy()
        found = np.unique(np.quantile(known, np.linspace(0.01, 0.99, _MOST_GRID))) if len(known) else np.zeros(1)
        return torch.as_tensor(found).to(values.dtype)

    def profile(self) -> Profile:
        """Every feature and the target of the rows that the released model was made of."""
        return profile_rows(self.table, self.contract)

    def parity_cases(self) -> dict[str, Arrays]:
        """Rows of the first test and awkward ones."""
        return row_cases(self._some, self.contract)

    def golden_rows(self) -> pl.DataFrame:
        """Rows of the first test; of a firm's own every column is shuffled by itself."""
        rows = self._some.select(c.name for c in self.contract.features)
        shuffled = (pl.col(name).shuffle(seed) for seed, name in enumerate(rows.columns))
        return (rows.select(shuffled) if self.own else rows).head(self.settings.release.golden_rows)

    @property
    def _some(self) -> pl.DataFrame:
        """Real rows, as many as a test has."""
        return self.table[self.honest[0].rows.test]

    def _yardstick_scores(self) -> dict[str, dict[str, float]]:
        """Means over the honest folds."""
        said, truth = [], [self.values[fold.rows.test] for fold in self.honest]
        for fold in self.honest:
            transform = ColumnTransform(self.contract).fit(self._take(fold.rows.fit))
            parts = (self._design(transform, rows) for rows in (fold.rows.fit, fold.rows.test))
            said.append(self.yardsticks(fold.rows, *parts))

        def score(name: str, number: int) -> dict[str, float]:
            others = self._others(number, len(said))
            other, known = (np.concatenate([part[i] for i in others]) for part in ([s[name] for s in said], truth))
            return self.yardstick_score(said[number][name], truth[number], other, known)

        return {name: metrics.mean_scores([score(name, i) for i in range(len(said))]) for name in said[0]}

    def _mean_scores(self, held_out: pl.DataFrame, folds: list[RowFold]) -> dict[str, float]:
        return metrics.mean_scores([self.row_scores(held_out.filter(split=f.split, fold=f.number)) for f in folds])

    def _take(self, rows: splits.Rows) -> dict[str, Tensor]:
        return {name: values[torch.as_tensor(rows)] for name, values in self.columns.items()}

    def _batch(self, predictor: P, rows: splits.Rows) -> tuple[Tensor, ...]:
        return (*predictor.transform(self._take(rows)), self.truth(predictor, self.values[rows]))

    def _on_disk(self, stored: RowFile, predictor: P, fold: RowFold) -> RowsOnDisk:
        """All rows of the table that are no test of the fold."""
        categories = {column.name for column in self.contract.categories}
        fitted, counts = self._fitted(stored, fold)

        def read(block: int) -> tuple[Tensor, ...]:
            rows = torch.as_tensor(stored.read(block)[fitted(block)])
            columns = dict(zip(stored.about.columns[:-1], rows.T.contiguous(), strict=False))
            columns = {name: values.long() if name in categories else values for name, values in columns.items()}
            values = rows[:, -1].numpy().astype(self.values.dtype)
            return (*predictor.transform(columns), self.truth(predictor, values))

        return RowsOnDisk(counts, read)

    def _fitted(self, stored: RowFile, fold: RowFold) -> tuple[Callable[[int], Any], NDArray[np.int64]]:
        """Which rows of a block are no test of the fold, and how many of each block ``[blocks]``."""
        blocks = range(stored.blocks)
        if not fold.is_test:
            return lambda _: slice(None), np.array([stored.rows_of(block) for block in blocks])
        split = self.split
        assert split.kind != "ordered"  # such tables are held in memory
        found = stored.fitted(fold.rows.test, fold.number, split.folds, split.seed, grouped=fold.split == "grouped")
        bits = [np.packbits(found(block)) for block in blocks]  # said once, not every epoch

        def fitted(block: int) -> NDArray[np.bool_]:
            return np.unpackbits(bits[block], count=stored.rows_of(block)).view(np.bool_)

        return fitted, np.array([fitted(block).sum() for block in blocks])

    def _design(self, transform: nn.Module, rows: splits.Rows) -> Array:
        """Scaled numbers beside one-hot categories ``[rows, features]``."""
        numbers, categories = transform(self._take(rows))
        one_hot = [
            nn.functional.one_hot(categories[:, i], len(c.categories) + 1)
            for i, c in enumerate(self.contract.categories)
        ]
        design: Array = torch.cat([numbers, *one_hot], dim=1).numpy()
        return design


def _parts(rows: splits.Rows) -> list[splits.Rows]:
    """Rows of one answer: all of a table of usual size, whose bytes hang on it."""
    return [rows[first : first + _AT_ONCE] for first in range(0, len(rows), _AT_ONCE)]


def row_cases(rows: pl.DataFrame, contract: Contract) -> dict[str, Arrays]:
    """Rows as they are, few and many of them, with gaps, at the limits of their ranges, with texts never seen."""
    limits = [(c.name, v) for c in contract.numbers for v in (c.minimum, c.maximum, 0.0) if v is not None]
    frames = {
        "held-out rows": rows,
        "1 row": rows.head(1),
        "3 rows": rows.head(3),
        "10,000 rows": pl.concat([rows] * (_MOST_CASES // len(rows) + 1)).head(_MOST_CASES),
        "missing values": _with_gaps(rows, contract),
    }
    if limits:
        at = [rows.head(8).with_columns(pl.lit(value, pl.Float64).alias(name)) for name, value in limits]
        frames["limits of the ranges"] = pl.concat(at)
    if contract.categories:
        strange = [rows.with_columns(pl.lit("never seen").alias(c.name)) for c in contract.categories]
        frames["unseen categories"] = pl.concat(strange)
    return {name: RowCodec(contract).encode(frame).arrays for name, frame in frames.items()}


def _with_gaps(rows: pl.DataFrame, contract: Contract) -> pl.DataFrame:
    """Each feature missing in every row once, and all of them in the last copy; of a wide table fewer rows."""
    few = rows.head(max(8, _MOST_CASES // (len(contract.features) + 1)))
    nothing = [pl.lit(None, rows.schema[c.name]).alias(c.name) for c in contract.features]
    return pl.concat([*(few.with_columns(column) for column in nothing), few.with_columns(nothing)])
