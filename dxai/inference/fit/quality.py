"""Quality rows against profile and card, block by block in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import polars as pl

from dxai.bundle.folder import Bundle
from dxai.contract import Contract
from dxai.data.checks import Problems, cast, lookalikes
from dxai.data.header import Header, match_header
from dxai.data.tables import as_text
from dxai.errors import DataError
from dxai.inference.fit.classes import class_truth
from dxai.inference.fit.columns import any_broken, chance_outside, fitted, tallies
from dxai.inference.fit.record import ClassTruth, Evidence, Truth
from dxai.inference.fit.statistics import ratio_bounds, share_bounds
from dxai.inference.model import Model
from dxai.inference.predict import CONVERT_UNITS, outside_training
from dxai.metrics import NUMBER, score

TRUTHS = 50_000
"""Rows that are scored at most: a random sample of a larger file."""

_GROUPS = 1_000_000
"""Groups that are told apart at most: with so many nothing is left to chance."""

_POINTS = 400

OWN_MEAN = "mean of these rows"

_CASE, _LOT = ".case", ".lot"  # no column's name holds a dot


def check_rows(
    bundle: Bundle, model: Model, blocks: Iterable[pl.DataFrame], where: str, convert_units: bool
) -> Evidence:
    """Count and score the rows of a table.

    Raises:
        DataError: Columns are missing, or there are no rows.
    """
    rows = _Rows(bundle, model, where, convert_units)
    for block in blocks:
        rows.add(block)
    return rows.evidence()


class _Rows:
    def __init__(self, bundle: Bundle, model: Model, where: str, convert_units: bool) -> None:
        contract, self.convert_units = bundle.contract, convert_units
        self.bundle, self.model, self.contract, self.where = bundle, model, contract, where
        self.truth_optional = _truth_optional(contract)
        self.header = Header({})
        self.problems = Problems()
        self.read = self.good = self.outside = 0
        self.tallies = tallies((*contract.features, contract.target), bundle.profile.columns)
        self.marks = outside_training(contract.features, bundle.profile.columns)
        self.groups = pl.Series([], dtype=pl.UInt64)
        self.sample = _Sample()

    def add(self, block: pl.DataFrame) -> None:
        """Count one more block, and keep some of its rows whose true value is known."""
        if not self.read:
            self.header = match_header(
                block.columns, self.contract, target=False, where=f"{self.where}, line 1",
                convert_units=self.convert_units, advice=CONVERT_UNITS,
            )  # fmt: skip
        rows = self._judged(block)
        self.good += len(rows)
        self.outside += int(rows.select(pl.any_horizontal(self.marks).sum()).item())
        for tally in self.tallies:
            if tally.column.name in rows.columns:
                tally.add(rows[tally.column.name])
        case = rows.select(_case(self.contract, rows.columns, self.read)).to_series()
        if len(self.groups) < _GROUPS:
            self.groups = pl.concat([self.groups, case]).unique()
        self.read += len(block)
        if self.contract.target.name in rows.columns:
            self.sample.add(rows.with_columns(case.alias(_CASE)).drop_nulls(self.contract.target.name))

    def _judged(self, block: pl.DataFrame) -> pl.DataFrame:
        """The good rows, typed; a true value that breaks the contract counts as not known."""
        typed, found = cast(as_text(self.header.columns(block)), self.truth_optional, first_row=self.read + 2)
        found += lookalikes(typed, self.contract, first_row=self.read + 2)
        self.problems.add(found)
        target = self.contract.target.name
        wrong = [p for p in found if p.column == target]
        if wrong:
            typed = typed.with_columns(pl.when(~any_broken(wrong, len(typed))).then(pl.col(target)).alias(target))
        return typed.filter(~any_broken([p for p in found if p.column != target], len(typed)))

    def _scored(self) -> Truth | ClassTruth | None:
        rows = self.sample.rows
        if rows is None or len(rows) < 2:
            return None
        truth_of = TRUTHS_OF[self.contract.family]
        return truth_of(rows, self.model.predict(rows), rows[_CASE], self.sample.seen, self.bundle)

    def evidence(self) -> Evidence:
        """All that was found."""
        if not self.read:
            raise DataError("The table has no rows.", where=self.where, fix="Give it one row per case.")
        profile, cases = self.bundle.profile, len(self.groups)
        counted = [t for t in self.tallies if t.column.role == "feature" or t.column.name in self.header.names]
        columns = fitted(counted, cases, profile.cases)
        return Evidence(
            name=self.bundle.manifest.name, version=self.bundle.manifest.version, digest=self.bundle.digest,
            contract=self.contract, where=self.where, rows=self.read, bad=self.read - self.good,
            problems=tuple(self.problems), units=self.good, cases=cases, outside=self.outside,
            chance_outside=chance_outside(columns, profile.cases), columns=columns,
            truth=self._scored(),
        )  # fmt: skip


class _Sample:
    """Up to `TRUTHS` rows, each row of the file as likely as any other."""

    def __init__(self) -> None:
        self.seen = 0
        self.rows: pl.DataFrame | None = None
        self._random = np.random.default_rng(0)

    def add(self, rows: pl.DataFrame) -> None:
        self.seen += len(rows)
        drawn = rows.with_columns(pl.Series(_LOT, self._random.random(len(rows))))
        held = drawn if self.rows is None else pl.concat([self.rows, drawn])
        self.rows = held.bottom_k(TRUTHS, by=_LOT) if len(held) > TRUTHS else held


def number_truth(rows: pl.DataFrame, answer: pl.DataFrame, case: pl.Series, seen: int, bundle: Bundle) -> Truth:
    """Scores here, bounded over independent cases; the yardstick is the mean of all other true values of the file."""
    named = dict(zip(answer.columns, ("prediction", "lower", "upper"), strict=True))
    known = rows.select(pl.col(bundle.contract.target.name).alias("truth"), case.alias("case"))
    rows, count = pl.concat([known, answer.rename(named)], how="horizontal"), len(rows)
    arrays = {name: rows[name].cast(pl.Float64).to_numpy() for name in ("truth", "prediction", "lower", "upper")}
    truth = arrays["truth"]
    others = (truth.sum() - truth) / (count - 1)
    cases, number = np.unique(rows["case"].to_numpy(), return_inverse=True)
    squared, base, ones = (
        np.bincount(number, loss).astype(float)
        for loss in ((truth - arrays["prediction"]) ** 2, (truth - others) ** 2, np.ones(count))
    )
    scores = score(NUMBER, **arrays)
    return Truth(
        rows=count, sampled=seen > count, cases=len(cases), metric="rmse", yardstick=OWN_MEAN,
        error=ratio_bounds(squared, ones).root(), skill=ratio_bounds(squared, base).root(),
        covered=share_bounds(scores["coverage"] * len(cases), len(cases)),
        scores=scores, yardsticks={OWN_MEAN: score(("rmse", "mae"), truth=truth, prediction=others)},
        card=bundle.metrics["model"],
        points=rows.sample(min(count, _POINTS), seed=0).select("truth", "prediction").to_numpy(),
    )  # fmt: skip


TRUTHS_OF: dict[str, Callable[[pl.DataFrame, pl.DataFrame, pl.Series, int, Bundle], Truth | ClassTruth]] = {
    "regression": number_truth,
    "classes": class_truth,
}
"""What the true values of a file say, by kind of prediction."""


def _truth_optional(contract: Contract) -> Contract:
    """The same contract for a file in which the true value of a row need not be known yet."""
    columns = (c.model_copy(update={"required": False}) if c.role == "target" else c for c in contract.columns)
    return contract.model_copy(update={"columns": tuple(columns)})


def _case(contract: Contract, columns: list[str], first: int) -> pl.Expr:
    """Number of the independent case that a row belongs to: its group, or the row alone."""
    if contract.group and set(contract.group) <= set(columns):
        return pl.struct(contract.group).hash().alias("case")
    return (pl.int_range(pl.len()) + first).cast(pl.UInt64).alias("case")
