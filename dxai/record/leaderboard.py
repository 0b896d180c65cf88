"""The leaderboard: all runs on the same table and split, with baselines, uncertainty and cost."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import polars as pl
import yaml

from dxai.bundle.manifest import MANIFEST, MODEL
from dxai.config.settings import RunSettings
from dxai.errors import DxaiError, NotFoundError, nearest
from dxai.files import short
from dxai.learn.families import AnyTask, task_of
from dxai.learn.fold_answers import Clusters, FoldAnswers
from dxai.metrics import METRICS, Metric, lead
from dxai.record.bootstrap import interval, score, score_draws
from dxai.record.cost import cpu_seconds
from dxai.record.provenance import table_fingerprint
from dxai.record.runs import Run
from dxai.record.unfinished import UnfinishedRun

_NOT_OF_THE_MODEL = ("data", "evaluate", "release", "tracking")
"""Settings that a released model may differ in from the run that it was made of."""
_UNREADABLE = (DxaiError, OSError, ValueError, yaml.YAMLError, pl.exceptions.PolarsError)

Bounds = tuple[float, float]


@dataclass(frozen=True)
class Standing:
    """One row: a run, or the best baseline of runs.

    Attributes:
        kind: ``model`` or ``baseline``.
        run: Folder of the run; empty for a baseline.
        model: Name of the model or of the baseline.
        score: Mean over the folds of the metric that leads.
        interval: Of the score; a baseline's is not known, as runs keep its score alone.
        difference: Of the score to that of the best run; None for the best, and where other rows were held out.
        difference_interval: Of the difference, by the same samples for both.
        coverage: Share of truths inside the 80 % interval, where the model has one.
        random: Score on the random split, where rows belong together or follow each other: it flatters.
        cpu_seconds: Of the training.
        model_bytes: Of the released graph.
        rows_per_second: That one processor core answers, as estimated by a portfolio.
    """

    kind: Literal["model", "baseline"]
    run: str
    model: str
    score: float
    interval: Bounds | None = None
    difference: float | None = None
    difference_interval: Bounds | None = None
    coverage: float | None = None
    random: float | None = None
    cpu_seconds: float | None = None
    model_bytes: int | None = None
    rows_per_second: float | None = None

    @property
    def gap(self) -> float | None:
        """By how much the random split changes the score."""
        return None if self.random is None else self.random - self.score


@dataclass(frozen=True)
class Board:
    """The runs on one table and split.

    Attributes:
        task: Name of the data set.
        title_en, title_ko: Of the contract.
        split: Its settings.
        data: sha256 of the table.
        metric: That leads.
        unit: Of the target.
        clusters: What the samples are drawn of: ``groups``, ``rows`` or ``series``.
        standings: The best first.
    """

    task: str
    title_en: str
    title_ko: str
    split: Mapping[str, Any]
    data: str
    metric: Metric
    unit: str
    clusters: Clusters
    standings: tuple[Standing, ...]

    @property
    def ranks(self) -> list[int | None]:
        """Places of the runs from 1, shared by runs of equal score; baselines have none."""
        runs = [row.score for row in self.standings if row.kind == "model"]
        return [
            1 + sum(self.metric.is_better(other, row.score) for other in runs) if row.kind == "model" else None
            for row in self.standings
        ]


@dataclass(frozen=True)
class Leaderboard:
    """All boards, and how many runs are on none.

    Attributes:
        unfinished: Trainings that were begun and have not ended.
        other_data: Runs on a table or contract that is no longer that of the data set.
        unreadable: Runs whose settings or results this version cannot read.
    """

    boards: tuple[Board, ...]
    unfinished: int
    other_data: int
    unreadable: int


@dataclass(frozen=True)
class _Entry:
    """A finished run as it is read from its folder."""

    run: Run
    settings: RunSettings
    data: str
    contract: str
    held_out: pl.DataFrame

    @property
    def key(self) -> tuple[str, ...]:
        """Equal for runs whose scores can be compared."""
        return self.settings.data.name, self.data, self.contract, self.settings.split.model_dump_json()


def leaderboard(runs: Path, checkout: Path, task: str | None = None) -> Leaderboard:
    """Rank the finished runs below a folder.

    Args:
        runs: Every folder below it that holds ``train/run.json`` is a run.
        checkout: Holds configs/, data/ and models/.
        task: Name of a data set; None: all that the runs are of.

    Raises:
        NotFoundError: There is no finished run, or none of this task.
    """
    entries, unreadable = _entries(runs)
    unfinished = [name for name in _unfinished(runs) if task in (None, name)]
    names = sorted({entry.settings.data.name for entry in entries})
    if task not in (None, *names) or not names:
        hint = nearest(task, names) if task else None
        known = f"Did you mean {hint}?" if hint else f"Tasks with runs: {', '.join(names)}." if names else ""
        raise NotFoundError(
            f"There is no finished run of {task!r}." if task else "There is no finished run.", where=short(runs),
            fix=known or "Train one: dxai train experiment=NAME, or name their folder: --runs FOLDER.",
        )  # fmt: skip
    groups: dict[tuple[str, ...], list[_Entry]] = defaultdict(list)
    for entry in entries:
        if task in (None, entry.settings.data.name):
            groups[entry.key].append(entry)
    boards, other = [], 0
    for _, group in sorted(groups.items()):
        current = _task(group[-1], checkout)
        if current is None:
            other += len(group)
        else:
            boards.append(_Standings(current, group, checkout).board)
    return Leaderboard(tuple(boards), len(unfinished), other, unreadable)


def _entries(runs: Path) -> tuple[list[_Entry], int]:
    """The finished runs, and how many others cannot be read."""
    entries, unreadable = [], 0
    for file in sorted(runs.rglob("train/run.json")):
        run = Run(file.parent)
        try:
            made_from = run.provenance
            entries.append(_Entry(run, run.settings, made_from.data, made_from.contract, run.held_out))
        except _UNREADABLE:
            unreadable += 1
    return entries, unreadable


def _unfinished(runs: Path) -> Iterator[str]:
    """Names of the data sets of trainings that have not ended."""
    for folder in runs.rglob("train.unfinished"):
        known = UnfinishedRun(folder.with_name("train"))
        if known.exists:
            try:
                yield known.settings.data.name
            except _UNREADABLE:
                yield ""


def _task(entry: _Entry, checkout: Path) -> AnyTask | None:
    """The table and folds of a run; None where the data set is another one by now, or no longer there."""
    try:
        task = task_of(entry.settings, checkout)
    except (DxaiError, OSError):
        return None
    same = (task.data_on_disk or table_fingerprint(task.table)) == entry.data
    return task if same and task.contract.fingerprint() == entry.contract else None


class _Standings:
    """Puts the runs on one table and split in order."""

    def __init__(self, task: AnyTask, entries: Sequence[_Entry], checkout: Path) -> None:
        self.task, self.entries, self.checkout = task, entries, checkout
        self.metric = lead(task.contract.family)
        self.sign = -1 if self.metric.better == "more" else 1

    @property
    def board(self) -> Board:
        """All rows, the best first."""
        contract = self.task.contract
        rows = sorted([*self._models(), *self._baselines()], key=lambda row: self.sign * row.score)
        return Board(
            task=self.task.settings.data.name, title_en=contract.title_en, title_ko=contract.title_ko,
            split=self.task.settings.split.model_dump(), data=self.entries[0].data, metric=self.metric,
            unit=contract.target.unit, clusters=self.task.clusters, standings=tuple(rows),
        )  # fmt: skip

    def _models(self) -> Iterator[Standing]:
        answers = [self.task.fold_answers(entry.held_out) for entry in self.entries]
        scores = [score(folds, self.metric) for folds in answers]
        draws = [score_draws(folds, self.metric) for folds in answers]
        best = min(range(len(scores)), key=lambda place: self.sign * scores[place])
        for place, entry in enumerate(self.entries):
            paired = place != best and _same_cases(entry.held_out, self.entries[best].held_out)
            yield Standing(
                kind="model", run=short(entry.run.folder.parent.absolute()), model=_model_name(entry.settings),
                score=scores[place], interval=interval(draws[place]),
                difference=scores[place] - scores[best] if paired else None,
                difference_interval=interval(draws[place] - draws[best]) if paired else None,
                coverage=_coverage(answers[place]), random=self._random(entry),
                cpu_seconds=cpu_seconds(entry.run.folder.parent), model_bytes=self._bytes(entry),
                rows_per_second=_evaluated(entry).get("speed", {}).get("rows_per_second"),
            )  # fmt: skip

    def _baselines(self) -> Iterator[Standing]:
        """The best one of each run, once where several runs have the same."""
        known = set[tuple[str, float]]()
        for entry in self.entries:
            if values := {n: row[self.metric.name] for n, row in _evaluated(entry).get("yardstick", {}).items()}:
                name = self.metric.best(values)
                known.add((name, values[name]))
        for name, value in sorted(known):
            yield Standing(kind="baseline", run="", model=name, score=value)

    def _random(self, entry: _Entry) -> float | None:
        """Score on the random twin of the split, which every run of an honest split has beside it."""
        folds = self.task.fold_answers(entry.held_out, twin=True)
        return score(folds, self.metric) if folds else None

    @cached_property
    def _released(self) -> list[tuple[str, Mapping[str, Any], int]]:
        """Table, settings and size of the graph of every bundle in models/."""
        known = (json.loads(file.read_text("utf-8")) for file in (self.checkout / "models").glob(f"*/{MANIFEST}"))
        return [(m["data_sha256"], _of_the_model(m["settings"]), m["files"][MODEL]["size"]) for m in known]

    def _bytes(self, entry: _Entry) -> int | None:
        settings = _of_the_model(entry.settings.model_dump(mode="json"))
        return next((size for data, made, size in self._released if data == entry.data and made == settings), None)


def _same_cases(one: pl.DataFrame, other: pl.DataFrame) -> bool:
    """Whether two runs have predicted the same rows, or steps of the same series, in the same folds."""
    names = [name for name in ("split", "fold", "row", "series", "step", "truth") if name in one.columns]
    return one.select(names).equals(other.select(names))


def _coverage(folds: Sequence[FoldAnswers]) -> float | None:
    metric = METRICS["coverage"]
    return score(folds, metric) if all(folds[0].arrays.keys() >= {need} for need in metric.needs) else None


def _model_name(settings: RunSettings) -> str:
    """The model, and its budget where it has one that is not the usual."""
    budget = settings.model.arguments.get("budget", "standard")
    return settings.model.name if budget == "standard" else f"{settings.model.name}, {budget}"


def _evaluated(entry: _Entry) -> dict[str, Any]:
    """Scores of the run's evaluation; empty where it has none."""
    file = entry.run.folder.parent / "evaluate" / "metrics.json"
    scores: dict[str, Any] = json.loads(file.read_text("utf-8")) if file.is_file() else {}
    return scores


def _of_the_model(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name not in _NOT_OF_THE_MODEL}
