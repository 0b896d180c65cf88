"""Golden rows as examples: what the form of a page begins with, and a row beside its prediction."""

from __future__ import annotations

import csv
import io
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dxai.bundle.folder import Bundle
from dxai.bundle.manifest import GOLDEN_OUTPUTS, GOLDEN_ROWS
from dxai.catalog.site.facts import title
from dxai.catalog.site.words import say, unit, word
from dxai.contract import Column
from dxai.contract.signature import Grain, signature_of
from dxai.contract.terms import Text

_COLUMNS, _STEPS = 4, 3
"""Columns of a row, and steps of a history, that an example shows."""

_CHARACTERS = 40
"""Of one value: a text of a bundle may have any length."""

_NOTHING = Text(en="", ko="")

Row = dict[str, str]


@dataclass(frozen=True)
class Value:
    """One value of an example as people write it."""

    name: Text
    amount: str
    unit: Text


@dataclass(frozen=True)
class Example:
    """A golden row or history with its golden prediction.

    Attributes:
        inputs: The first columns, or the last steps of the history.
        more: What is left out of them.
        output: The prediction; of a history, of the first step ahead.
        certainty: The interval, or the probability of the class.
    """

    inputs: tuple[Value, ...]
    more: Text | None
    output: Value
    certainty: Text


def example_of(bundle: Bundle) -> Example | None:
    """The example of a model; None where its bundle holds no golden prediction."""
    return _SHOWN[signature_of(bundle.contract).grain](bundle)


def _row_shown(bundle: Bundle) -> Example | None:
    contract = bundle.contract
    row = next(iter(_table(bundle, GOLDEN_OUTPUTS)), {})  # a prediction stands behind the columns of its row
    predicted, *others = signature_of(contract).answers
    if not row.get(predicted.column):
        return None
    filled = [_value(c, row[c.name]) for c in contract.features if row.get(c.name)]
    left = len(contract.features) - len(filled[:_COLUMNS])
    if predicted.texts:
        chances = {text: row.get(a.column, "") for text, a in zip(predicted.texts, others, strict=True)}
        share = _number(chances.get(row[predicted.column], ""))
        certainty = say("example.probability", share="–" if share is None else f"{share:.0%}")
    else:
        certainty = _interval(*(row.get(answer.column, "") for answer in others))
    return Example(
        tuple(filled[:_COLUMNS]),
        say("example.more.rows", count=left) if left else None,
        _value(contract.target, row[predicted.column]),
        certainty,
    )


def _history_shown(bundle: Bundle) -> Example | None:
    contract = bundle.contract
    target, time, keys = contract.target, contract.only("time").name, [c.name for c in contract.series]
    known = [row for row in _series(bundle) if row.get(target.name)]
    steps = (o for o in _table(bundle, GOLDEN_OUTPUTS) if known and all(o.get(k) == known[-1].get(k) for k in keys))
    ahead = next(steps, {})
    mean, lower, upper = (ahead.get(answer.column, "") for answer in signature_of(contract).answers[:3])
    if not mean:
        return None
    left, frequency = len(known) - _STEPS, word("frequency", contract.frequency or "")
    return Example(
        tuple(
            [_value(c, known[-1].get(c.name, "")) for c in contract.series]
            + [_value(target, row[target.name], moment(row.get(time, ""))) for row in known[-_STEPS:]]
        ),
        say("example.more.series", count=left, frequency=frequency) if left > 0 else None,
        _value(target, mean, say("example.step", target=title(target), step=moment(ahead.get(time, "")))),
        _interval(lower, upper),
    )


def _value(column: Column, cell: str, name: Text | None = None) -> Value:
    number = column.kind == "number"
    amount = figure(cell) if number else cell[:_CHARACTERS]
    return Value(name or title(column), amount, unit(column.unit) if number else _NOTHING)


def _interval(lower: str, upper: str) -> Text:
    return say("result.range", lower=figure(lower), upper=figure(upper), unit="")


def moment(time: str) -> Text:
    """A date, or a time to the minute.

    >>> moment("2018-11-30T17:00:00.000000").en, moment("2011-12-11").en
    ('2018-11-30 17:00', '2011-12-11')
    """
    told = time.replace("T", " ")[:16]
    return Text(en=told, ko=told)


def figure(cell: str) -> str:
    """A number in at most four digits, or all before the point; another text as it is.

    >>> figure("380.0"), figure("43.147236"), figure("-12345.6"), figure("0.00595")
    ('380', '43.15', '−12,346', '0.00595')
    """
    number = _number(cell)
    if number is None:
        return cell[:_CHARACTERS]
    return (f"{number:,.0f}" if abs(number) >= 1e4 else f"{number:.4g}").replace("-", "−")


def _number(cell: str) -> float | None:
    try:
        number = float(cell)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def first_row(bundle: Bundle) -> Row:
    """Values for the form: the first golden row."""
    return next(iter(_table(bundle, GOLDEN_ROWS)), {})


def example_series(bundle: Bundle) -> str:
    """CSV text for the form: the golden series with the most rows that are not zero.

    Where columns are known ahead, it ends with the history of all and has rows of the steps to forecast.
    """
    reader = _table(bundle, GOLDEN_ROWS)
    out = io.StringIO()
    writer = csv.DictWriter(out, reader.fieldnames or [], lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(_series(bundle))
    return out.getvalue()


def _series(bundle: Bundle) -> list[Row]:
    """Rows of the series that `example_series` writes."""
    contract = bundle.contract
    time, target, names = contract.only("time").name, contract.target.name, [c.name for c in contract.series]
    rows = list(_table(bundle, GOLDEN_ROWS))
    by_series = [(tuple(row.get(name) for name in names), row) for row in rows]
    lively = Counter(series for series, row in by_series if (row.get(target) or "").strip("0."))
    if contract.ahead:
        newest = max((row[time] for row in rows if row.get(target)), default="")
        ending = {series for series, row in by_series if row[time] == newest and row.get(target)}
        planned = {series for series, row in by_series if row[time] > newest}
        lively = Counter({series: count for series, count in lively.items() if series in ending & planned})
    chosen = [series for series, _ in lively.most_common(1)]
    return [row for series, row in by_series if series in chosen]


_SHOWN: dict[Grain, Callable[[Bundle], Example | None]] = {"rows": _row_shown, "series": _history_shown}

FORMS: dict[Grain, Callable[[Bundle], Any]] = {"rows": first_row, "series": example_series}
"""What the form of a page begins with, by what one answer is made from."""


def _table(bundle: Bundle, name: str) -> csv.DictReader[str]:
    data = bundle.read(name) if name in bundle.files else b""
    return csv.DictReader(io.StringIO(data.decode("utf-8", "replace")), restval="")
