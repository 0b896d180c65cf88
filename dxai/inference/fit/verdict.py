"""From evidence to verdict: a few rules, each with its limit and its reason.

| what is found | do not use | use with care | why |
| --- | --- | --- | --- |
| loss against the simplest yardstick | no less | not surely less | a constant or the last value would do as well |
| error here against the card | surely twice | surely 25 % more | the card does not hold here |
| coverage of the 80 % interval against the card | | surely 5 points less | the interval promises too much |
| rows that break the contract | half | 5 % | wrong units or columns, or rows of something else |
| rows outside the training range | surely half | surely 5 % more than by chance | nobody knows the error out there |
| spread of an input (PSI) | | above .25 and above chance | mostly rows of which training saw few |
| missing values of an input | | surely 10 points more | the model fills in more than it has learnt to |
| independent cases | none | fewer than 15 | too few to tell |

*Surely* means with 95 % confidence for errors; for rows, spread and gaps so that one file in a hundred raises a false
alarm. True values count more than the look of the inputs: where those of at least half the rows surely keep the card's
promises, range, spread and gaps are told as notes. Classes have rules of their own instead of the first three, in
`dxai.inference.fit.class_verdict`. PSI between .1 and .25 is a note. The yardstick is the mean of the
other rows of the file; of demand the best of three simple forecasts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from dxai.contract.signature import signature_of
from dxai.contract.terms import Text
from dxai.inference.fit.class_verdict import about_classes, keeps_promises
from dxai.inference.fit.record import GRADES, ClassTruth, ColumnFit, Evidence, Grade, Reason, Truth, Verdict
from dxai.inference.fit.statistics import ALARMS, share_bounds
from dxai.inference.fit.words import YARDSTICKS, counted, measure, percent, say, spread, titled, told

FEW = 15
MORE_ERROR, TWICE, LESS_COVERAGE = 1.25, 2.0, 0.05
BAD, OUTSIDE, MISSING, MOST = 0.05, 0.05, 0.10, 0.5
MODERATE, STRONG = 0.10, 0.25

_VERDICTS: dict[Grade, Verdict] = {"refuse": "do not use", "care": "use with care", "note": "use", "good": "use"}


def judge(evidence: Evidence) -> tuple[Verdict, tuple[Reason, ...]]:
    """The verdict and its reasons, the weightiest first; the rules stand at the head of this module."""
    reasons = list(_about_truth(evidence))
    reasons += [reason for rule in (_truth_there, _contract, _few) for reason in rule(evidence)]
    about_inputs = [reason for rule in (_range, _drift, _gaps) for reason in rule(evidence)]
    if confirmed(evidence) and any(_VERDICTS[reason.grade] != "use" for reason in about_inputs):
        about_inputs = [reason if reason.grade == "good" else replace(reason, grade="note") for reason in about_inputs]
        reasons.append(Reason("note", say("confirmed")))
    ranked = sorted(reasons + about_inputs, key=lambda reason: list(GRADES).index(reason.grade))
    return _VERDICTS[ranked[0].grade], tuple(ranked)


def _about_truth(evidence: Evidence) -> Iterator[Reason]:
    truth = evidence.truth
    if truth is None or truth.cases < FEW:
        return
    yield from _ABOUT[type(truth)](evidence, truth)


def _about_numbers(evidence: Evidence, truth: Truth) -> Iterator[Reason]:
    return (rule(evidence, truth) for rule in (_skill, _error, _coverage))


_ABOUT: dict[type, Callable[[Evidence, Any], Iterator[Reason]]] = {
    Truth: _about_numbers,
    ClassTruth: lambda _, truth: about_classes(truth),
}


def confirmed(evidence: Evidence) -> bool:
    """Whether the true values in the file surely keep the promises of the card, for at least half of the rows."""
    truth = evidence.truth
    if truth is None or truth.cases < max(FEW, MOST * evidence.cases):
        return False
    return _KEPT[type(truth)](truth)


def _numbers_kept(truth: Truth) -> bool:
    kept = truth.error.high <= MORE_ERROR * truth.card[truth.metric] and truth.skill.high < 1
    return kept and not _covers_less(truth) and not _too_good(truth)


_KEPT: dict[type, Callable[[Any], bool]] = {Truth: _numbers_kept, ClassTruth: keeps_promises}


def _too_good(truth: Truth) -> bool:
    """Whether rows of training seem to be scored; of demand the error depends on the series more than on that."""
    return truth.metric == "rmse" and truth.error.high < truth.card["rmse"] / MORE_ERROR


def _covers_less(truth: Truth) -> bool:
    return truth.covered.high < truth.card["coverage"] - LESS_COVERAGE


def drift_grade(column: ColumnFit) -> Grade:
    """How much the drift of a column weighs by itself."""
    if column.drift.psi <= max(MODERATE, column.drift.chance):
        return "good"
    return "care" if column.drift.psi > STRONG else "note"


def _truth_there(evidence: Evidence) -> Iterator[Reason]:
    truth, target = evidence.truth, evidence.contract.target
    if not evidence.units:
        return
    if truth is None and target in signature_of(evidence.contract).reads:  # true values are the past itself
        yield Reason("note", say("untested"))
    elif truth is None:
        yield Reason("note", say("no truth", name=target.name, title=titled(target)))
    elif truth.cases < FEW:
        yield Reason("note", say("few truths", cases=truth.cases))


def _skill(evidence: Evidence, truth: Truth) -> Reason:
    both = (truth.scores, truth.yardsticks[truth.yardstick])
    here, theirs = (measure(scores[truth.metric], _unit(evidence, truth)) for scores in both)
    values = {"yardstick": YARDSTICKS[truth.yardstick], "metric": truth.metric.upper(), "here": here, "theirs": theirs}
    if not truth.skill.value < 1:
        return Reason("refuse", say("no better", **values))
    if truth.skill.high >= 1:
        return Reason("care", say("not surely better", **values, spread=spread(truth.skill)))
    return Reason("good", say("better", **values, less=percent(1 - truth.skill.value)))


def _error(evidence: Evidence, truth: Truth) -> Reason:
    promised, unit = truth.card[truth.metric], _unit(evidence, truth)
    here, card, low = (measure(value, unit) for value in (truth.error.value, promised, truth.error.low))
    values = {"metric": truth.metric.upper(), "here": here, "card": card}
    if truth.error.low > MORE_ERROR * promised:
        grade = _grade(truth.error.low > TWICE * promised, care=True)
        return Reason(grade, say("larger error", **values, low=low))
    if _too_good(truth):
        return Reason("note", say("too small error", **values))
    values["spread"] = spread(truth.error)
    if truth.error.value > MORE_ERROR * promised:
        return Reason("note", say("perhaps larger error", **values))
    return Reason("good", say("smaller error" if truth.error.high < promised else "same error", **values))


def _coverage(_: Evidence, truth: Truth) -> Reason:
    here, card, high = (percent(v) for v in (truth.covered.value, truth.card["coverage"], truth.covered.high))
    if _covers_less(truth):
        return Reason("care", say("lower coverage", here=here, card=card, high=high))
    if truth.covered.low > truth.card["coverage"] + LESS_COVERAGE:
        return Reason("note", say("higher coverage", here=here, card=card))
    return Reason("good", say("same coverage", here=here, card=card))


def _contract(evidence: Evidence) -> Iterator[Reason]:
    if not evidence.problems:
        yield Reason("good", say("contract kept"))
        return
    share, first = evidence.bad / evidence.rows, max(evidence.problems, key=lambda problem: problem.count)
    if not evidence.bad:
        yield Reason("note", say("true values unread", first=told(first, evidence.contract)))
        return
    yield Reason(_grade(share >= MOST, share > BAD), say(
        "contract broken", bad=f"{evidence.bad:,}", rows=f"{evidence.rows:,}", share=percent(share),
        first=told(first, evidence.contract),
    ))  # fmt: skip


def _few(evidence: Evidence) -> Iterator[Reason]:
    if evidence.short:
        told = "short for training" if evidence.takes_short else "short"
        yield Reason("note", say(told, short=f"{evidence.short:,}", steps=evidence.contract.minimum_history))
    if evidence.units == 0:
        yield Reason("refuse", say("nothing"))
    elif evidence.cases < FEW:
        yield Reason("care", say("few", cases=evidence.cases))


def _range(evidence: Evidence) -> Iterator[Reason]:
    if not evidence.units:
        return
    if not evidence.outside:
        yield Reason("good", say("inside"))
        return
    share = evidence.outside / evidence.units
    surely = share_bounds(share * evidence.cases, evidence.cases, alarms=ALARMS).low
    grade = _grade(surely > MOST, surely > OUTSIDE + evidence.chance_outside)
    of = {"share": percent(share), "units": counted(evidence.units, evidence.contract)}
    worst = sorted((c for c in evidence.columns if c.enters and c.outside), key=lambda c: -c.outside)
    if numbers := [c for c in worst if c.column.kind == "number"][:3]:
        yield Reason(grade, say("outside", **of, columns=Text(
            en=", ".join(f"{c.column.title_en} {percent(c.outside)}" for c in numbers),
            ko=", ".join(f"{c.column.title_ko} {percent(c.outside)}" for c in numbers),
        )))  # fmt: skip
    if strange := [c for c in worst if c.unseen][:3]:
        yield Reason(grade, say("unseen", **of, columns=Text(
            en=", ".join(f"{c.column.title_en} {_named(c.unseen)}" for c in strange),
            ko=", ".join(f"{c.column.title_ko} {_named(c.unseen)}" for c in strange),
        )))  # fmt: skip


def _named(texts: tuple[tuple[str, int], ...]) -> str:
    """``'Seoul' (1), 'Jeju' (2)``, each with its rows."""
    return ", ".join(f"{text!r} ({count:,})" for text, count in texts)


def _drift(evidence: Evidence) -> Iterator[Reason]:
    judged = sorted(_judged(evidence), key=lambda c: -c.drift.psi)
    drifted = [c for c in judged if drift_grade(c) != "good"]
    for c in drifted:
        grade, column = drift_grade(c), titled(c.column)
        yield Reason(
            grade, say(f"{grade} drift", column=column, psi=f"{c.drift.psi:.2f}", chance=f"{c.drift.chance:.2f}")
        )
    if judged and not drifted and evidence.cases >= FEW:
        chance = max((c.drift.chance for c in judged if c.drift.chance < math.inf), default=0.0)
        sentence = "no visible drift" if chance > STRONG else "no drift"
        yield Reason("good", say(sentence, psi=f"{judged[0].drift.psi:.2f}", chance=f"{chance:.2f}"))


def _gaps(evidence: Evidence) -> Iterator[Reason]:
    judged = _judged(evidence)
    for c in judged:
        surely = share_bounds(c.missing * evidence.cases, evidence.cases, alarms=ALARMS / len(judged)).low
        if surely > c.training.missing + MISSING:
            here, training = percent(c.missing), percent(c.training.missing)
            yield Reason("care", say("gaps", column=titled(c.column), here=here, training=training))


def _unit(evidence: Evidence, truth: Truth) -> str:
    return evidence.contract.target.unit if truth.metric == "rmse" else "1"


def _judged(evidence: Evidence) -> list[ColumnFit]:
    return [c for c in evidence.columns if c.judged]


def _grade(refuse: bool, care: bool) -> Grade:
    return "refuse" if refuse else "care" if care else "note"
