"""What known classes say about a model: rules like those of `dxai.inference.fit.verdict`, for classes.

| what is found | do not use | use with care | why |
| --- | --- | --- | --- |
| PR-AUC against a guess | no more | not surely more | the shares of the classes would do as well |
| lead of PR-AUC over a guess against the card's | surely below half | surely below 80 % | the card does not hold |
| share of a class against its mean probability | | surely 5 points or twice off | the probabilities mislead |

PR-AUC hangs on how rare a class is: it is held against the card's as if the classes were shared as in training. Shares
that differ from those of training, and how many rows of each class are found, are notes.
"""

from __future__ import annotations

from collections.abc import Iterator

from dxai.contract.terms import Text
from dxai.inference.fit.record import FEWEST, ClassFit, ClassTruth, Reason
from dxai.inference.fit.words import percent, say, spread
from dxai.metrics import figure

KEPT, HALF = 0.8, 0.5
OFF, TIMES_OFF = 0.05, 2.0


def about_classes(truth: ClassTruth) -> Iterator[Reason]:
    """Reasons for and against, from enough independent cases."""
    yield from _skill(truth)
    yield from _card(truth)
    yield from _calibration(truth)
    yield _found(truth)
    if any(_surely_off(c.training, c) for c in truth.classes):
        parts = (f"{c.text} {percent(c.training)} → {percent(c.share.value)}" for c in truth.classes)
        yield Reason("note", say("other shares", shares=", ".join(parts)))


def keeps_promises(truth: ClassTruth) -> bool:
    """Whether the card surely holds here."""
    if truth.here is None or truth.as_trained is None or truth.here.low <= truth.guess_here:
        return False
    return _lead(truth, truth.as_trained.low) >= KEPT and not _too_good(truth) and not _mislead(truth)


def _skill(truth: ClassTruth) -> Iterator[Reason]:
    if truth.here is None:
        yield Reason("note", say("few of a class", classes=_rare(truth)))
        return
    values = {"here": figure(truth.here.value), "guess": figure(truth.guess_here), "spread": spread(truth.here)}
    if truth.here.value <= truth.guess_here:
        yield Reason("refuse", say("no better than guessing", **values))
    elif truth.here.low <= truth.guess_here:
        yield Reason("care", say("not surely better than guessing", **values))
    else:
        yield Reason("good", say("better than guessing", **values))


def _card(truth: ClassTruth) -> Iterator[Reason]:
    area = truth.as_trained
    if area is None:
        if truth.here is not None:
            yield Reason("note", say("no card", classes=_rare(truth)))
        return
    values = {
        "here": figure(area.value), "card": figure(truth.card["pr_auc"]), "spread": spread(area),
        "high": figure(area.high), "weighed": _weighed(truth),
    }  # fmt: skip
    if _lead(truth, area.high) < KEPT:
        yield Reason("refuse" if _lead(truth, area.high) < HALF else "care", say("lower area", **values))
    elif _too_good(truth):
        yield Reason("note", say("too large area", **values))
    elif _lead(truth, area.value) < KEPT:
        yield Reason("note", say("perhaps lower area", **values))
    else:
        yield Reason("good", say("same area", **values))


def _calibration(truth: ClassTruth) -> Iterator[Reason]:
    counted = [truth.classes[number] for number in truth.counted]
    worst = max(counted, key=lambda c: abs(c.expected - c.share.value))
    for c in _mislead(truth) or [worst]:
        values = {
            "name": c.text, "expected": percent(c.expected), "share": percent(c.share.value),
            "low": percent(c.share.low), "high": percent(c.share.high),
        }  # fmt: skip
        if _surely_off(c.expected, c):
            yield Reason("care", say("probabilities off", **values))
        elif c.share.low <= c.expected <= c.share.high:
            yield Reason("good", say("probabilities hold", **values))
        else:
            yield Reason("note", say("probabilities perhaps off", **values))


def _found(truth: ClassTruth) -> Reason:
    parts = (f"{c.text} {percent(c.found.value)} ({c.rows:,})" for c in truth.classes if c.rows)
    here, card = (percent(scores["balanced_accuracy"]) for scores in (truth.scores, truth.card))
    return Reason("note", say("classes found", found=", ".join(parts), here=here, card=card))


def _lead(truth: ClassTruth, area: float) -> float:
    """How much of the card's lead over a guess is left."""
    promised = truth.card["pr_auc"] - truth.guess_as_trained
    return (area - truth.guess_as_trained) / promised if promised > 0 else 1.0


def _too_good(truth: ClassTruth) -> bool:
    """Whether rows of training seem to be scored: what PR-AUC lacks of 1 is surely less than the card admits."""
    return truth.as_trained is not None and 1 - truth.as_trained.low < KEPT * (1 - truth.card["pr_auc"])


def _mislead(truth: ClassTruth) -> list[ClassFit]:
    """Counted classes that surely came more, or less, often than their probabilities say."""
    return [c for c in (truth.classes[number] for number in truth.counted) if _surely_off(c.expected, c)]


def _surely_off(told: float, c: ClassFit) -> bool:
    """Whether the share of a class is surely 5 points, or twice, more or less than told."""
    too_much = told > min(c.share.high + OFF, c.share.high * TIMES_OFF)
    return too_much or (c.cases >= FEWEST and told < max(c.share.low - OFF, c.share.low / TIMES_OFF))


def _weighed(truth: ClassTruth) -> Text:
    """A remark where weighing rows changed the figure."""
    assert truth.here is not None
    assert truth.as_trained is not None
    if figure(truth.here.value) == figure(truth.as_trained.value):
        return Text(en="", ko="")
    return Text(en=", the classes shared as in training", ko=" (부류의 비율을 학습 때와 같게 맞춤)")


def _rare(truth: ClassTruth) -> str:
    return ", ".join(f"{c.text} ({c.rows})" for c in truth.classes if c.cases < FEWEST)
