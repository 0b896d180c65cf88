"""A task: one table with its folds, and all that training, evaluation and release ask of it, whatever it predicts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import polars as pl
from torch import nn

from dxai import metrics
from dxai.bundle.profile import Profile
from dxai.config.components import find
from dxai.config.settings import OwnData, RunSettings
from dxai.contract import Contract
from dxai.data.batch import Arrays, Codec, codec_of
from dxai.errors import SettingsError
from dxai.learn.fitting import Epoch, OnStep, unwatched
from dxai.learn.fold_answers import Clusters, FoldAnswers
from dxai.learn.predictor import Predictor


class Fold(Protocol):
    """One fit: what it is fitted on, and what it is tested on."""

    @property
    def split(self) -> str:
        """Split that it belongs to; ``final`` for the released model."""

    @property
    def is_test(self) -> bool:
        """Whether anything is tested; nothing is in the released model's."""

    @property
    def label(self) -> str:
        """Name in files and progress bars."""


F = TypeVar("F", bound=Fold)
P = TypeVar("P", bound=Predictor)


class Task(ABC, Generic[F, P]):
    """A table with its folds.

    Attributes:
        takes: By group of settings the classes that fit this kind of task.
        gives: Sizes that a model gets as arguments, as they follow from the contract.
        gives_raw: The same of a model that takes what was measured as it is, where that differs.
        choices: The same in words.
        contract: What the rows mean.
        table: What is trained on.
        left_out: How much of the table is not, and ``left_out_as`` says what that is.
        watches: Whether a fit has a loss on rows that it is not fitted on, epoch by epoch.
        settings: Of the run.
    """

    takes: ClassVar[Mapping[str, tuple[type, ...]]]
    gives: ClassVar[frozenset[str]]
    gives_raw: ClassVar[frozenset[str]] = frozenset()
    choices: ClassVar[str]
    left_out_as: ClassVar[str]
    watches: ClassVar[bool] = False

    contract: Contract
    table: pl.DataFrame
    left_out: int
    settings: RunSettings

    def __init__(self, contract: Contract, table: pl.DataFrame, settings: RunSettings) -> None:
        wrong = [group for group, kinds in self.takes.items() if not isinstance(getattr(settings, group), kinds)]
        wrong += [] if settings.model.takes(self.gives) or self._takes_raw(settings) else ["model"]
        if wrong:
            told = ", ".join(_named(settings, group) for group in wrong)
            raise SettingsError(
                f"data={settings.data.name} is a table for {contract.task}, and {told} is not made for that.",
                where=", ".join(wrong), fix=f"Choose among {self.choices}; or another data=NAME.",
            )  # fmt: skip
        self.contract, self.table, self.settings = contract, table, settings

    def _takes_raw(self, settings: RunSettings) -> bool:
        return bool(self.gives_raw) and settings.model.takes(self.gives_raw)

    @cached_property
    def metrics(self) -> tuple[str, ...]:
        """Scores of this kind of task, and those that the settings name beside them.

        Raises:
            SettingsError: One needs what nobody has.
        """
        more = [metrics.named(find(name)) for name in self.settings.evaluate.metrics]
        for metric in more:
            if strange := set(metric.needs) - metrics.ARGUMENTS:
                told = f"The metric {metric.name} needs {', '.join(sorted(strange))}, which no task has."
                fix = f"Name its parameters among: {', '.join(sorted(metrics.ARGUMENTS))}."
                raise SettingsError(told, where="evaluate.metrics", fix=fix)
        return (*metrics.LISTS[self.contract.family], *(metric.name for metric in more))

    @cached_property
    def codec(self) -> Codec:
        """Frames to what a graph takes, and back."""
        return codec_of(self.contract, self.context)

    @property
    def context(self) -> int:
        """Steps of history that the model looks at; 0 where it takes rows."""
        return 0

    @property
    @abstractmethod
    def folds(self) -> Sequence[F]:
        """Every fit of a run, the released model's last."""

    @property
    def honest(self) -> list[F]:
        """The folds whose scores count."""
        return [fold for fold in self.folds if fold.split == self.settings.split.kind]

    @abstractmethod
    def predictor(self) -> P:
        """An unfitted predictor of the right shape."""

    @abstractmethod
    def fit(self, fold: F, on_step: OnStep = unwatched, checkpoint: Path | None = None) -> tuple[P, list[Epoch]]:
        """Fit on what the fold gives for it, from where a ``checkpoint`` left off if there is one."""

    @abstractmethod
    def calibrate(self, fitted: Mapping[str, P]) -> None:
        """Make the answers of all fits keep their promises, by rows that these were not fitted on.

        Args:
            fitted: By label of the fold.
        """

    @abstractmethod
    def held_out(self, predictor: P, fold: F) -> pl.DataFrame:
        """Truths and answers of what the fold tests."""

    def fold_scores(self, predictor: P, fold: F) -> dict[str, float]:
        """Scores of one fold alone; where fits are watched instead there are none."""
        raise NotImplementedError

    @abstractmethod
    def scores(self, held_out: pl.DataFrame) -> dict[str, Any]:
        """Under ``model`` the scores of held-out answers, under ``yardstick`` those of simple predictions, by name."""

    @property
    def clusters(self) -> Clusters:
        """What of the table belongs together."""
        return "rows"

    def fold_answers(self, held_out: pl.DataFrame, *, twin: bool = False) -> list[FoldAnswers]:
        """Held-out answers fold by fold.

        Args:
            held_out: As a run left it.
            twin: Those of the random split beside an honest one, which flatters; none where there is no such split.
        """
        raise NotImplementedError

    @abstractmethod
    def plots(self, held_out: pl.DataFrame) -> dict[str, pl.DataFrame]:
        """Numbers behind pictures, for `dvc plots`."""

    @abstractmethod
    def profile(self) -> Profile:
        """What the training rows look like, for firms that compare theirs."""

    @property
    @abstractmethod
    def spread(self) -> float:
        """What a difference between two engines is held against, in the unit of the answers."""

    @abstractmethod
    def parity_cases(self) -> dict[str, Arrays]:
        """Inputs on which an exported graph must repeat the released model, real and awkward ones, by a name."""

    @abstractmethod
    def golden_rows(self) -> pl.DataFrame:
        """Rows that travel with a bundle.

        Those of a public table are real. A firm's own rows stay with the firm: each value is one that occurs, however
        no row, and no history, is one that was seen.
        """

    def network(self, **sizes: Any) -> nn.Module:
        """The model that the settings name, made for these sizes.

        Raises:
            SettingsError: It cannot be made of its arguments.
        """
        model = self.settings.model
        try:
            made = model.build(**sizes)
        except (TypeError, ValueError) as error:
            raise SettingsError(
                f"{model.target} cannot be made: {error}", where="model", fix="Correct its arguments."
            ) from None
        if not isinstance(made, nn.Module):
            fix = "Name a class that is one; docs/extending.md shows how."
            raise SettingsError(f"{model.target} is no torch.nn.Module.", where="model", fix=fix)
        return made

    @property
    def data_on_disk(self) -> str:
        """sha256 of all rows of a table that is larger than memory, of which ``table`` is a sample; empty of others."""
        return ""

    @property
    def told_rows(self) -> str:
        """Rows that were trained on, in words."""
        return f"{len(self.table):,} rows"

    def restored(self, state: Mapping[str, Any]) -> P:
        """The predictor of a fit, from its stored weights."""
        predictor = self.predictor()
        predictor.load_state_dict(state)
        return predictor.eval()

    def shipped(self, predictor: P) -> Predictor:
        """What a bundle holds: the predictor, and whatever answers where it cannot."""
        return predictor

    @property
    def shortest_history(self) -> int | None:
        """Known steps from which what is shipped forecasts a series, where these are fewer than the contract's."""
        return None

    @property
    def own(self) -> bool:
        """Whether the rows are a firm's own."""
        return isinstance(self.settings.data, OwnData)


def _named(settings: RunSettings, group: str) -> str:
    chosen = getattr(settings, group)
    return f"{group}={getattr(chosen, 'kind', None) or chosen.name}"
