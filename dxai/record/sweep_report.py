"""The report of a sweep: the best trials, their history, what matters, and one picture per swept key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator, NullFormatter

from dxai.config.sweep import Range, SweepSettings
from dxai.files import whole_folder
from dxai.metrics import Metric
from dxai.record.figures import ACCENT, INK, MUTED, canvas
from dxai.record.report import Figure, Report, Table, Verdict
from dxai.record.study import Trial

_BEST, _SLICES = 10, 4
"""Rows of the table; pictures of one row."""


@dataclass(frozen=True)
class SweepFacts:
    """What the report of a sweep tells.

    Attributes:
        lead: The metric, ``unit`` that of its values.
        verdict: Of the best trial.
        trials: All that are done.
        importance: By key.
        command: That trains the best again.
        running: Trials that others still run.
    """

    title: str
    lead: Metric
    unit: str
    verdict: Verdict
    trials: Sequence[Trial]
    best: Trial
    importance: Mapping[str, float]
    command: str
    settings: SweepSettings
    running: int


def write_report(facts: SweepFacts, folder: Path) -> None:
    """Draw the pictures and write report.html, report.md and summary.json into ``folder``, whole or not at all."""
    with whole_folder(folder) as work:
        (work / "figures").mkdir()
        space = ", ".join(f"{key}: {told}" for key, told in facts.settings.space.items())
        Report(
            title=facts.title, verdict=facts.verdict, notes=_notes(facts), scores=_table(facts),
            figures=_draw(facts, work / "figures"),
            facts=(
                ("best settings", facts.command), ("space", space), ("metric", facts.lead.title(facts.unit or "1")),
                ("pruner", facts.settings.pruner), ("seed", str(facts.settings.seed)),
            ),
        ).write(work)  # fmt: skip


def _notes(facts: SweepFacts) -> tuple[str, ...]:
    count = {state: sum(t.state == state for t in facts.trials) for state in ("ended", "pruned", "failed")}
    told = [
        f"{len(facts.trials)} trials: {count['ended']} ended, {count['pruned']} were ended early because they promised "
        f"little, {count['failed']} failed." + (f" {facts.running} still run elsewhere." if facts.running else ""),
        f"Trial {facts.best.number} is the best. It was chosen by the very folds that score it, so that its score "
        f"flatters it a little: {facts.command}",
    ]
    problems = dict.fromkeys(t.note["problem"].splitlines()[0] for t in facts.trials if "problem" in t.note)
    return (*told, *(f"A trial failed: {problem}" for problem in list(problems)[:3]))


def _ended(facts: SweepFacts) -> list[tuple[Trial, float]]:
    return [(trial, trial.value) for trial in facts.trials if trial.state == "ended" and trial.value is not None]


def _table(facts: SweepFacts) -> Table:
    sign = -1 if facts.lead.better == "more" else 1
    ranked = sorted(_ended(facts), key=lambda told: sign * told[1])[:_BEST]
    keys = list(facts.settings.space)
    head = ("best trials", facts.lead.title(facts.unit or "1"), *keys, "seconds")
    rows = []
    for trial, value in ranked:
        drawn = (_printed(trial.parameters.get(key, "")) for key in keys)
        seconds = f"{trial.note.get('seconds', 0):.0f}"
        rows.append((f"trial {trial.number}", facts.lead.printed(value), *drawn, seconds))
    return Table(head, tuple(rows))


def _draw(facts: SweepFacts, folder: Path) -> tuple[Figure, ...]:
    _history(folder / "history.png", facts)
    drawn = [Figure("history.png", "History", "Every trial that ended, and the best so far; crosses did not end.")]
    if facts.importance:
        _importance(folder / "importance.png", facts.importance)
        caption = "Shares in what tells good trials from others (PED-ANOVA); of a few trials a hint, no more."
        drawn.append(Figure("importance.png", "Which settings matter", caption))
    keys = sorted(facts.settings.space, key=lambda key: -facts.importance.get(key, 0.0))
    for number, at in enumerate(range(0, len(keys), _SLICES)):
        _slices(folder / f"slices-{number}.png", facts, keys[at : at + _SLICES])
        caption = "The score of every trial over its value of one key; bright trials came later."
        drawn.append(Figure(f"slices-{number}.png", "Slices of the space", caption))
    return tuple(drawn)


def _history(path: Path, facts: SweepFacts) -> None:
    ended = _ended(facts)
    numbers, values = [trial.number for trial, _ in ended], np.array([value for _, value in ended])
    best = (np.maximum if facts.lead.better == "more" else np.minimum).accumulate(values)
    with canvas(path, 6.8, 3.6) as (axes,):
        axes.scatter(numbers, values, s=22, color=ACCENT, label="trial", zorder=2)
        axes.step(numbers, best, where="post", color=INK, linewidth=1.2, label="best so far")
        others = [trial.number for trial in facts.trials if trial.state != "ended"]
        if others:
            axes.scatter(others, [values.max()] * len(others), marker="x", color=MUTED, label="pruned or failed")
        axes.set(xlabel="trial", ylabel=facts.lead.title(facts.unit or "1"), title="History")
        axes.legend()


def _importance(path: Path, shares: Mapping[str, float]) -> None:
    order = sorted(shares, key=lambda key: shares[key])
    with canvas(path, 6.8, 0.8 + 0.4 * max(3, len(order))) as (axes,):
        axes.barh(range(len(order)), [shares[key] for key in order], color=ACCENT)
        axes.set_yticks(range(len(order)), order)
        axes.set(xlabel="share", title="Which settings matter")


def _slices(path: Path, facts: SweepFacts, keys: Sequence[str]) -> None:
    ended, dimensions = _ended(facts), facts.settings.dimensions
    with canvas(path, 3.1 * max(2, len(keys)), 3.3, columns=len(keys)) as panels:
        for number, (axes, key) in enumerate(zip(panels, keys, strict=True)):
            dimension = dimensions[key]
            said = [trial.parameters[key] for trial, _ in ended]
            places = said if isinstance(dimension, Range) else [dimension.index(value) for value in said]
            axes.scatter(places, [value for _, value in ended], c=[t.number for t, _ in ended], cmap="cividis", s=22)
            if not isinstance(dimension, Range):
                axes.set_xticks(range(len(dimension)), dimension, rotation=30, ha="right")
            else:
                axes.set_xscale("log" if dimension.log else "linear")
                axes.xaxis.set_minor_formatter(NullFormatter())
                if dimension.whole and not dimension.log:
                    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
                axes.plot((dimension.low, dimension.high), (ended[0][1],) * 2, alpha=0)  # shows all of the range
            axes.set(xlabel=key, ylabel="" if number else facts.lead.title(facts.unit or "1"))


def _printed(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
