"""The scores of a bundle as the page shows them: a table, bars and a verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dxai.bundle.folder import Bundle
from dxai.catalog.site.words import say, unit, word
from dxai.contract.terms import Text
from dxai.metrics import METRICS, Metric, lead


@dataclass(frozen=True)
class Score:
    """One predictor: the model, a yardstick, or the model on a split that ``leaks``.

    ``bar`` is the leading metric in hundredths of the largest one.
    """

    kind: str
    name: Text
    cells: tuple[str, ...]
    leading: str
    bar: float


@dataclass(frozen=True)
class Scores:
    """Rows by predictor, columns by metric; ``higher`` says whether more of the leading metric is better."""

    metrics: tuple[str, ...]
    leading: str
    higher: bool
    rows: tuple[Score, ...]
    verdict: Text | None
    notes: tuple[Text, ...]
    units: Mapping[str, Text]

    @property
    def model(self) -> Score:
        """The model's own row."""
        return self.rows[0]


def scores(bundle: Bundle) -> Scores:
    """Model first, then its yardsticks, then the random split where there is one."""
    told, leading = bundle.metrics, lead(bundle.contract.family)
    named = [("model", say("score.model"), told["model"])]
    named += [("yardstick", word("yardstick", name), row) for name, row in told["yardstick"].items()]
    if twin := told.get("random_split"):
        named.append(("leaks", say("score.random_split"), twin))
    metrics = tuple(m for m in METRICS.values() if any(m.name in row for *_, row in named))
    largest = max((_value(row, leading) or 0 for *_, row in named), default=0) or 1
    rows = tuple(
        Score(kind, name, tuple(_printed(row, m) for m in metrics), _printed(row, leading),
              round(100 * (_value(row, leading) or 0) / largest, 2))
        for kind, name, row in named
    )  # fmt: skip
    units = {m.name: unit(bundle.contract.target.unit) for m in metrics if m.in_unit}
    names = tuple(m.name for m in metrics)
    return Scores(names, leading.name, leading.better == "more", rows, _verdict(told, leading), _notes(told), units)


def _verdict(told: Mapping[str, Any], leading: Metric) -> Text | None:
    """The model against its best yardstick."""
    known = {name: value for name, row in told["yardstick"].items() if (value := _value(row, leading))}
    model = _value(told["model"], leading)
    if model is None or not known:
        return None
    best = leading.best(known)
    yardstick, ahead = word("yardstick", best), model - known[best]
    if not leading.is_better(model, known[best]):
        return say("model.worse", yardstick=yardstick)
    if leading.better == "more":
        return say("model.higher", gain=f"{ahead:.3f}", yardstick=yardstick)
    return say("model.better", gain=f"{-ahead / known[best]:.0%}", yardstick=yardstick)


def _notes(told: Mapping[str, Any]) -> tuple[Text, ...]:
    model, notes = told["model"], []
    if told.get("random_split"):
        notes.append(say("score.random_split.note"))
    median, mean = (_value(model, METRICS[name]) for name in ("bias", "bias_of_mean"))
    if median is not None and mean is not None and _signed(median) != _signed(mean):
        notes.append(say("score.bias.note", median=_signed(median), mean=_signed(mean)))
    return tuple(notes)


def _signed(share: float) -> str:
    return f"{round(share, 2) + 0.0:+.0%}".replace("-", "−")


def _printed(row: Mapping[str, float], metric: Metric) -> str:
    value = _value(row, metric)
    return "" if value is None else metric.printed(value).replace("-", "−")


def _value(row: Mapping[str, float], metric: Metric) -> float | None:
    value = row.get(metric.name)
    return value if value is not None and math.isfinite(value) else None
