"""The scores of a bundle as the page shows them: a table, bars and a verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dxai.bundle.folder import Bundle
from dxai.catalog.index import HIGHER_IS_BETTER, best_yardstick, headline
from dxai.catalog.site.words import say, unit, word
from dxai.contract.terms import Text

_PRINTED = {
    "pr_auc": "{:.3f}", "log_loss": "{:.3f}", "brier": "{:.3f}", "ece": "{:.1%}",
    "balanced_accuracy": "{:.1%}", "macro_f1": "{:.3f}", "accuracy": "{:.1%}",
    "rmse": "{:.3g}", "mae": "{:.3g}", "r2": "{:.3f}",
    "wql": "{:.3f}", "wape": "{:.3f}", "mase": "{:.3f}", "rmsse": "{:.3f}", "bias": "{:+.3f}",
    "coverage": "{:.1%}", "width": "{:.3g}",
}  # fmt: skip
"""Metrics in the order of the table, and how their values are printed."""
_IN_UNIT = ("rmse", "mae", "width")


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
    told, leading = bundle.metrics, headline(bundle.contract)
    named = [("model", say("score.model"), told["model"])]
    named += [("yardstick", word("yardstick", name), row) for name, row in told["yardstick"].items()]
    if twin := told.get("random_split"):
        named.append(("leaks", say("score.random_split"), twin))
    metrics = tuple(m for m in _PRINTED if any(m in row for *_, row in named))
    largest = max((_value(row, leading) or 0 for *_, row in named), default=0) or 1
    rows = tuple(
        Score(kind, name, tuple(_printed(row, m) for m in metrics), _printed(row, leading),
              round(100 * (_value(row, leading) or 0) / largest, 2))
        for kind, name, row in named
    )  # fmt: skip
    units = dict.fromkeys(_IN_UNIT, unit(bundle.contract.target.unit))
    return Scores(metrics, leading, leading in HIGHER_IS_BETTER, rows, _verdict(told, leading), _notes(told), units)


def _verdict(told: Mapping[str, Any], leading: str) -> Text | None:
    """The model against its best yardstick."""
    known = {name: value for name, row in told["yardstick"].items() if (value := _value(row, leading))}
    model = _value(told["model"], leading)
    if model is None or not known:
        return None
    best = best_yardstick(known, leading)
    yardstick, ahead = word("yardstick", best), model - known[best]
    if leading in HIGHER_IS_BETTER and ahead > 0:
        return say("model.higher", gain=f"{ahead:.3f}", yardstick=yardstick)
    if leading not in HIGHER_IS_BETTER and ahead < 0:
        return say("model.better", gain=f"{-ahead / known[best]:.0%}", yardstick=yardstick)
    return say("model.worse", yardstick=yardstick)


def _notes(told: Mapping[str, Any]) -> tuple[Text, ...]:
    model, notes = told["model"], []
    if told.get("random_split"):
        notes.append(say("score.random_split.note"))
    if (median := _value(model, "bias")) is not None and (mean := _value(model, "bias_of_mean")) is not None:
        notes.append(say("score.bias.note", median=_signed(median), mean=_signed(mean)))
    return tuple(notes)


def _signed(share: float) -> str:
    return f"{share:+.0%}".replace("-", "−")


def _printed(row: Mapping[str, float], metric: str) -> str:
    value = _value(row, metric)
    return "" if value is None else _PRINTED[metric].format(value).replace("-", "−")


def _value(row: Mapping[str, float], metric: str) -> float | None:
    value = row.get(metric)
    return value if value is not None and math.isfinite(value) else None
