"""Known classes of a firm's rows against the predicted ones, their probabilities, and the card."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dxai.bundle.folder import Bundle
from dxai.data.batch import class_array
from dxai.errors import IntegrityError
from dxai.inference.fit.record import FEWEST, ClassFit, ClassTruth
from dxai.inference.fit.statistics import Array, Bounds, pr_auc_bounds, share_bounds
from dxai.metrics import CLASS, confusion, score

GUESS = "shares of the classes in these rows"

Numbers = NDArray[np.int64]


def class_truth(rows: pl.DataFrame, answer: pl.DataFrame, case: pl.Series, seen: int, bundle: Bundle) -> ClassTruth:
    """What the known classes say.

    Args:
        rows: With a known class each.
        answer: Of `Model.predict` for them.
        case: Independent case of each row.
        seen: Rows with a known class in the whole file.
        bundle: With profile and card.

    Raises:
        IntegrityError: The profile lacks the target.
    """
    contract, positive = bundle.contract, _positive(bundle)
    truth = class_array(rows, contract)
    predicted = class_array(answer.select(pl.first().alias(contract.target.name)), contract)
    probability = answer.select(pl.nth(range(1, answer.width))).to_numpy().astype(np.float64)
    numbers = np.unique(case.to_numpy(), return_inverse=True)[1]
    counted = tuple(range(len(contract.classes))) if positive is None else (positive,)
    guess = np.tile(np.bincount(truth, minlength=len(contract.classes)) / len(truth), (len(truth), 1))
    often = np.full(len(truth), guess[0].argmax())
    fits = _fits(truth, predicted, probability, numbers, bundle)
    here, as_trained = _areas(truth, probability, numbers, fits, counted)
    training = np.array([fit.training for fit in fits])
    return ClassTruth(
        rows=len(truth), sampled=seen > len(truth), cases=len(np.unique(numbers)),
        scores=score(CLASS, truth=truth, prediction=predicted, probability=probability, positive=positive),
        yardsticks={GUESS: score(CLASS, truth=truth, prediction=often, probability=guess, positive=positive)},
        card=bundle.metrics["model"],
        here=here, as_trained=as_trained, guess_here=_guess(fits, counted),
        guess_as_trained=float(training[list(counted)].mean()), classes=fits, counted=counted,
        confusion=confusion(truth, predicted, len(fits)),
    )  # fmt: skip


def _shares(bundle: Bundle) -> list[float]:
    """Of the classes in training; one with too few rows to be told of counts as half a row."""
    profile = bundle.profile.columns.get(bundle.contract.target.name)
    if profile is None:
        told = "The profile of the bundle does not tell how the classes were shared in training."
        raise IntegrityError(told, where=bundle.where, fix="Ask for a newer release of it.")
    known = dict(zip(profile.categories, profile.shares, strict=False))
    return [known.get(text, 0.5 / profile.rows) for text in bundle.contract.classes]


def _positive(bundle: Bundle) -> int | None:
    """Of two classes the one that is rarer in training, as the card counts it; None of more."""
    shares = _shares(bundle)
    return (0 if shares[0] < shares[1] else 1) if len(shares) == 2 else None


def _fits(
    truth: Numbers, predicted: Numbers, probability: Array, case: Numbers, bundle: Bundle
) -> tuple[ClassFit, ...]:
    made, cases = [], len(np.unique(case))
    for number, (text, training) in enumerate(zip(bundle.contract.classes, _shares(bundle), strict=True)):
        own = truth == number
        own_cases, found = len(np.unique(case[own])), float((predicted[own] == number).mean()) if own.any() else 0.0
        made.append(ClassFit(
            text, rows=int(own.sum()), cases=own_cases, training=training,
            share=share_bounds(float(own.mean()) * cases, cases), expected=float(probability[:, number].mean()),
            found=share_bounds(found * own_cases, own_cases),
        ))  # fmt: skip
    return tuple(made)


def _areas(
    truth: Numbers, probability: Array, case: Numbers, fits: tuple[ClassFit, ...], counted: tuple[int, ...]
) -> tuple[Bounds | None, Bounds | None]:
    """Area here, and with rows weighed so that classes are shared as in training; None where classes are too few.

    How large the area is hangs on how rare a class is, so that only the second one compares with the card.
    """
    there = [number for number, fit in enumerate(fits) if fit.cases >= FEWEST]
    judged = [number for number in counted if number in there]
    if len(there) < 2 or not judged:
        return None, None
    here = pr_auc_bounds(truth, probability, judged, np.ones(len(truth)), case)
    if len(there) < len(fits):
        return here, None
    weight = np.array([fit.training / fit.share.value for fit in fits])[truth]
    return here, pr_auc_bounds(truth, probability, judged, weight, case)


def _guess(fits: tuple[ClassFit, ...], counted: tuple[int, ...]) -> float:
    """Area of a guess: the mean share here of the classes that are judged."""
    return float(np.mean([fits[c].share.value for c in counted if fits[c].cases >= FEWEST] or [0.0]))
