"""What a check has found: the evidence, the reasons, the verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dxai.bundle.profile import ColumnProfile
from dxai.contract import Column, Contract
from dxai.contract.terms import Text
from dxai.data.checks import Problem
from dxai.data.marks import Marks
from dxai.inference.fit.statistics import Bounds, Drift

Verdict = Literal["use", "use with care", "do not use"]
Grade = Literal["refuse", "care", "note", "good"]
Language = Literal["en", "ko"]
Array = NDArray[np.floating]

VERDICTS: dict[Verdict, Text] = {
    "use": Text(en="Use", ko="사용 가능"),
    "use with care": Text(en="Use with care", ko="주의하여 사용"),
    "do not use": Text(en="Do not use", ko="사용 불가"),
}

FEWEST = 5
"""Independent cases of a class from which on it is judged."""

GRADES: dict[Grade, Text] = {
    "refuse": Text(en="against", ko="불가"),
    "care": Text(en="care", ko="주의"),
    "note": Text(en="note", ko="참고"),
    "good": Text(en="for", ko="적합"),
}
"""What a reason is for people, the weightiest first."""


@dataclass(frozen=True)
class Reason:
    """One sentence that speaks for or against the model, and how much it weighs."""

    grade: Grade
    text: Text

    def told(self, language: Language = "en") -> str:
        """The sentence behind its grade, in one language."""
        grade, text = GRADES[self.grade], self.text
        return f"{grade.ko}: {text.ko}" if language == "ko" else f"{grade.en}: {text.en}"

    def __str__(self) -> str:
        return self.told()


@dataclass(frozen=True)
class ColumnFit:
    """One column here against training.

    Attributes:
        column: Of the contract; a target is shown, not judged: the error tells more.
        training: Its profile.
        shares: Share of the known values here per bin or category of the profile.
        missing: Share of rows here without a value.
        below, above: Share of the known values outside the training range; ``above`` of a category: texts that the
            contract lacks.
        smallest, largest: Known value here; infinity where there is none, and of a category.
        drift: Difference between the two spreads.
        unseen: Texts of a category that the contract lacks, the commonest ones, and how many rows have each.
    """

    column: Column
    training: ColumnProfile
    shares: tuple[float, ...]
    missing: float
    below: float
    above: float
    smallest: float
    largest: float
    drift: Drift
    unseen: tuple[tuple[str, int], ...] = ()

    @property
    def outside(self) -> float:
        """Share of the known values outside the training range."""
        return self.below + self.above

    @property
    def judged(self) -> bool:
        """Whether its spread tells of drift: steps of a series are no independent cases, a target has its error."""
        return self.column.role == "feature"

    @property
    def enters(self) -> bool:
        """Whether the column goes into the model as it is, so that its range counts."""
        return self.column.role != "target"


@dataclass(frozen=True)
class Fan:
    """One forecast from the past: history ``[time]``, truth ``[horizon]``, quantiles ``[horizon, level]``, flags."""

    series: str
    past: Array
    truth: Array
    quantiles: Array
    marks: tuple[Marks, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Scored:
    """Predictions held against what is known to be true.

    Attributes:
        rows: Rows, or steps of a history, that have a true value and were predicted.
        sampled: Whether they are a random part of a larger file.
        cases: Independent ones among them.
        scores: Of the model here.
        yardsticks: Of the yardsticks here, by name.
        card: Of the model on held-out rows at its release.
    """

    rows: int
    sampled: bool
    cases: int
    scores: Mapping[str, float]
    yardsticks: Mapping[str, Mapping[str, float]]
    card: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Truth(Scored):
    """What true numbers in the file say.

    Attributes:
        metric: Of the error: ``rmse``, or ``wql`` of demand.
        error: The model's error here.
        yardstick: Name of the best yardstick here.
        skill: Loss of the model over that of the yardstick; above 1 the yardstick is better.
        covered: Share of truths inside the 80 % interval.
        points: Some truths and predictions ``[rows, 2]``; quality only.
        fans: Some forecasts; demand only.
    """

    metric: Literal["rmse", "wql"]
    error: Bounds
    yardstick: str
    skill: Bounds
    covered: Bounds
    points: Array | None = None
    fans: tuple[Fan, ...] = ()


@dataclass(frozen=True)
class ClassFit:
    """One class here against training.

    Attributes:
        text: The class.
        rows: That are of it.
        cases: Independent ones among them.
        training: Its share in training.
        share: Of the rows here.
        expected: Its mean probability here; where probabilities keep their word it is the share.
        found: Share of its rows that are predicted so.
    """

    text: str
    rows: int
    cases: int
    training: float
    share: Bounds
    expected: float
    found: Bounds


@dataclass(frozen=True, kw_only=True)
class ClassTruth(Scored):
    """What known classes in the file say.

    Attributes:
        here: PR-AUC; None where too few rows are of the classes.
        as_trained: PR-AUC of these rows, were the classes shared as in training: it compares with the card's. None
            where a class is not there, or hardly.
        guess_here, guess_as_trained: PR-AUC of a guess: the share of the class, or the mean of the shares.
        classes: In the contract's order.
        counted: Classes that PR-AUC looks at: the rarer of two, or all.
        confusion: Rows by true and predicted class ``[classes, classes]``.
    """

    here: Bounds | None
    as_trained: Bounds | None
    guess_here: float
    guess_as_trained: float
    classes: tuple[ClassFit, ...]
    counted: tuple[int, ...]
    confusion: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What was counted and measured.

    Attributes:
        name, version, digest: Of the bundle.
        contract: What the rows must look like.
        where: The file.
        rows: Rows of the file.
        bad: Rows that break the contract.
        problems: What is wrong with them.
        units: Rows, or series, that were looked at.
        cases: Independent ones among them.
        chance_outside: Share of them that chance alone lets lie outside the training range.
        outside: How many have a value outside the training range.
        short: Series that are too short for the trained model.
        takes_short: Whether experts without training forecast them.
        untested: Series that are too short to be forecast from the past.
        columns: Column by column.
        truth: What the true values say, if there are any.
    """

    name: str
    version: str
    digest: str
    contract: Contract
    where: str
    rows: int
    bad: int
    problems: tuple[Problem, ...]
    units: int
    cases: int
    outside: int
    chance_outside: float
    short: int = 0
    takes_short: bool = False
    untested: int = 0
    columns: tuple[ColumnFit, ...]
    truth: Truth | ClassTruth | None


@dataclass(frozen=True, kw_only=True)
class Check(Evidence):
    """The evidence with its verdict and the reasons, the weightiest first."""

    verdict: Verdict
    reasons: tuple[Reason, ...]

    @property
    def exit_code(self) -> int:
        """Of `dxai check`: 6 when the model must not be used on these rows."""
        return 6 if self.verdict == "do not use" else 0
