"""A firm's table to predictions beside its own columns: block by block, bounded memory, every row accounted for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dxai.bundle.profile import ColumnProfile, Profile
from dxai.contract import Column, Contract
from dxai.contract.signature import Grain
from dxai.data.checks import Problem, Problems, cast, lookalikes
from dxai.data.header import Header, match_header, present
from dxai.data.hierarchy import Hierarchy
from dxai.data.levels import Bounds, levels_of
from dxai.data.orders import CORRELATION, orders
from dxai.data.tables import as_text
from dxai.data.windows import named, naming, to_panel
from dxai.errors import DataError, SettingsError
from dxai.inference.histories import broken_histories
from dxai.inference.model import SERIES_AT_ONCE, Model

OnBadRows = Literal["stop", "skip", "flag"]
CONVERT_UNITS = "--convert-units converts the numbers (in Python: convert_units=True; over HTTP: ?convert_units=true)"
"""What a person may do about a table in other units."""

PROBLEM = "dxai_problem"
"""Column that says what is wrong with a flagged row."""


OF_SERIES = ("unasked", "short")
"""Counts of series; the others are of rows."""


@dataclass
class Counts:
    """What happened to the rows of a table.

    Attributes:
        read: Rows in the table.
        written: Rows in the answer.
        bad: Rows that break the contract.
        imputed: Rows with a gap that the model filled in.
        outside: Rows with a number outside the range of the training rows.
        unseen: Rows with a category that the model never saw.
        converted: Columns whose numbers came in another unit.
        unasked: Series without a row ahead, which are not forecast.
        short: Series too short for the trained model, which experts without training forecast.
    """

    read: int = 0
    written: int = 0
    bad: int = 0
    imputed: int = 0
    outside: int = 0
    unseen: int = 0
    converted: int = 0
    unasked: int = 0
    short: int = 0


class Prediction:
    """The predictions of one table.

    Args:
        model: Checked model.
        profile: Of its training rows; without it no row counts as outside.
        where: The table, for messages.
        on_bad_rows: ``stop`` refuses the table with all its problems, ``skip`` leaves bad rows out, ``flag`` keeps
            them without a prediction and says in the column ``dxai_problem`` what is wrong.
        convert_units: Whether numbers under a header with another unit of the same quantity are converted; otherwise
            such a table is refused.
        carry_forward: Whether a value that is missing ahead is the last one before; otherwise that is refused.

    Attributes:
        counts: What was seen so far.
        problems: What is wrong with the bad rows.
        header: Of the table, once its first block was read.
        series: How many are forecast, once the table was read.
        unseen: How often each category that the model never saw was met, by the table's column and value.
    """

    def __init__(
        self,
        model: Model,
        profile: Profile | None = None,
        *,
        where: str = "the table",
        on_bad_rows: OnBadRows = "stop",
        convert_units: bool = False,
        carry_forward: bool = False,
    ) -> None:
        self.carry_forward, self.contract = carry_forward, model.contract.as_asked
        self.model, self.profile, self.where, self.on_bad_rows = model, profile, where, on_bad_rows
        self.convert_units, self.header, self.series = convert_units, Header({}), 0
        self.unseen = Counter[tuple[str, str]]()
        self.counts, self.problems, self._groups = Counts(), Problems(), pl.DataFrame()
        self._past = np.empty((0, 0), np.float32)

    @property
    def reads(self) -> tuple[Column, ...]:
        """The contract's columns that are read."""
        return self.model.codec.signature.reads

    def blocks(
        self, tables: Iterable[pl.DataFrame], ahead: Iterable[pl.DataFrame] | None = None
    ) -> Iterator[pl.DataFrame]:
        """Blocks of one table to blocks of the answer.

        Every row with its own columns, then the answer's. Of histories (series, time, target): the steps that follow,
        beside them own columns that hold one value per series; a bad row takes its whole series with it.

        Args:
            tables: Blocks of the table.
            ahead: Of a second one with what is known of the steps to forecast, where the first does not hold it.

        Raises:
            DataError: The table breaks the contract; all its problems in one message.
        """
        kinds: dict[Grain, Callable[[Iterable[pl.DataFrame]], Iterator[pl.DataFrame]]] = {
            "rows": self._rows, "series": partial(self._series, ahead=ahead),
        }  # fmt: skip
        yield from kinds[self.model.codec.signature.grain](tables)

    def _rows(self, tables: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
        for number, table in enumerate(tables):
            if number == 0:
                self._find_header(table.columns)
            typed, found = self._typed(table, self.header.only(self.reads), self.counts.read + 2)
            self.counts.read += len(table)
            good, reasons = self._judge(found, len(table))
            if self.on_bad_rows == "stop" and self.problems:
                continue  # after the first problem the rest is only read for more of them
            if self.on_bad_rows != "flag":
                table, typed = table.filter(good), typed.filter(good)
                yield self._counted(pl.concat([table, self._predicted(typed)], how="horizontal"))
            else:
                answer = self._predicted(typed.filter(good))
                row = pl.when(good).then(good.cum_sum().cast(pl.Int64) - 1)
                placed = answer.select(pl.all().gather(pl.select(row).to_series()))
                yield self._counted(pl.concat([table, placed, reasons.to_frame()], how="horizontal"))
        self._refuse()

    def orders(
        self, answer: Iterable[pl.DataFrame], service_level: float, lead_time: int, metrics: Mapping[str, Any]
    ) -> Iterator[pl.DataFrame]:
        """Blocks of an answer to order quantities, as `orders` in dxai.data.orders makes them.

        Args:
            answer: Of `blocks`.
            service_level: Probability that the quantity is enough.
            lead_time: Steps; 0: the horizon.
            metrics: Of the bundle: how much errors of steps go together; as if they all did where it does not say.
        """
        contract = self.model.contract
        if not contract.series:
            fix = "Leave the service level out."
            raise SettingsError("This model predicts rows, no demand over steps.", where="--service-level", fix=fix)
        written = 0
        for block in answer:
            names = [self.header.names[column.name] for column in contract.series]
            made = orders(
                block, contract, names, service_level=service_level, lead_time=lead_time,
                correlation=float(metrics.get(CORRELATION, 1.0)),
            )  # fmt: skip
            self.counts.written = written = written + len(made)
            yield made

    def levels(
        self, answer: Iterable[pl.DataFrame], metrics: Mapping[str, Any],
        experts: Callable[[NDArray[np.float32], Contract], Bounds | None],
    ) -> tuple[pl.DataFrame, pl.DataFrame]:  # fmt: skip
        """The blocks of an answer as one, and the sums of every level, as `levels_of` in dxai.data.levels makes them.

        Args:
            answer: Of `blocks`.
            metrics: Of the bundle: how much errors of series go together, as if they all did where it does not say;
                and whether the series' forecasts are to agree with those of the levels.
            experts: Forecasts of the summed histories, as `expert_bounds` in dxai.forecaster.yardstick; where they do
                not look so far ahead, the levels are plain sums.
        """
        contract = self.model.contract
        if not contract.hierarchy:
            fix = "Leave --levels out, or train a model whose contract has the key hierarchy."
            raise SettingsError("This model's contract has no hierarchy.", where="--levels", fix=fix)
        whole = pl.concat(list(answer))
        names, time = self.header.names, contract.only("time").name
        own = {name: names[name] for name in (*self._groups.columns, time)}
        correlation = {name: found.get("correlation", 1.0) for name, found in metrics.get("levels", {}).items()}
        renamed = whole.rename({names[name]: name for name in (*(c.name for c in contract.series), time)})

        def upper(hierarchy: Hierarchy) -> Bounds | None:
            return experts(hierarchy.sums(self._past).astype(np.float32), contract)

        chosen = upper if metrics.get("reconciliation", {}).get("chosen") else None
        return whole, levels_of(renamed, self._groups, contract, correlation, chosen).rename(own)

    def _find_header(self, columns: list[str]) -> None:
        contract = self.model.contract
        clash = sorted(set(columns) & {*self.model.columns, *([PROBLEM] if self.on_bad_rows == "flag" else [])})
        if clash:
            told = f"The answer has a column {clash[0]!r} of its own."
            raise DataError(told, where=f"{self.where}, line 1", fix="Rename it in the table.")
        self.header = match_header(
            columns, contract, target=False, where=f"{self.where}, line 1",
            convert_units=self.convert_units, advice=CONVERT_UNITS,
        )  # fmt: skip
        self.counts.converted = len(self.header.only(self.reads).conversions)

    def _typed(self, table: pl.DataFrame, header: Header, first_row: int) -> tuple[pl.DataFrame, list[Problem]]:
        """The columns that are read of a block under their ids, cast; and the problems, under the table's own names."""
        typed, found = cast(as_text(header.columns(table)), self.contract, first_row=first_row)
        found += lookalikes(typed, self.contract, first_row=first_row)
        return typed, [replace(problem, column=header.names[problem.column]) for problem in found]

    def _judge(self, found: list[Problem], rows: int) -> tuple[pl.Series, pl.Series]:
        """Which rows are good, and what is wrong with the others."""
        self.problems.add(found)
        marks = {f"{p.column} {p.rule}": p.broken for p in found if p.broken is not None}
        if not marks:
            return pl.repeat(True, rows, eager=True), pl.repeat(None, rows, dtype=pl.String, eager=True).alias(PROBLEM)
        told = [pl.when(mark).then(pl.lit(f"rule broken: {rule}")) for rule, mark in marks.items()]
        reasons = pl.select(pl.concat_str(told, separator="; ", ignore_nulls=True).replace("", None)).to_series()
        good = reasons.is_null()
        self.counts.bad += int((~good).sum())
        return good, reasons.alias(PROBLEM)

    def _predicted(self, typed: pl.DataFrame) -> pl.DataFrame:
        gaps = typed.select(pl.any_horizontal(pl.all().is_null()).sum()).item() if len(typed) else 0
        self.counts.imputed += int(gaps)
        if self.profile and len(typed):
            features = self.model.contract.features
            for kind, counted in (("number", "outside"), ("category", "unseen")):
                marks = outside_training([c for c in features if c.kind == kind], self.profile.columns)
                rows = int(typed.select(pl.any_horizontal(*marks).sum()).item())
                setattr(self.counts, counted, getattr(self.counts, counted) + rows)
        self._count_unseen(typed)
        return self.model.predict(typed)

    def _count_unseen(self, typed: pl.DataFrame) -> None:
        for column in (c for c in self.model.contract.features if c.categories):
            strange = typed[column.name].drop_nulls()
            strange = strange.filter(~strange.is_in(list(column.categories)))
            for value, count in strange.value_counts().iter_rows() if len(strange) else ():
                self.unseen[self.header.names[column.name], value] += count

    def _counted(self, answer: pl.DataFrame) -> pl.DataFrame:
        self.counts.written += len(answer)
        return answer

    def _series(self, tables: Iterable[pl.DataFrame], ahead: Iterable[pl.DataFrame] | None) -> Iterator[pl.DataFrame]:
        table = pl.concat(list(tables))
        contract = self.contract
        self._find_header(table.columns)
        typed, found = self._typed(table, self.header.only(self.reads), 2)
        self.counts.read = len(table)
        good, reasons = self._judge(found, len(table))
        self._refuse()
        plan = self._plan(ahead) if ahead is not None else typed.clear()
        left_out = pl.DataFrame()
        if self.on_bad_rows != "stop":
            kept, left_out = self._whole_series(typed, good, reasons, plan)
            table, typed = table.filter(kept), typed.filter(kept)
        if not len(typed):
            fix = "Give every series its history, one row per step."
            raise DataError("The table has no rows to forecast from.", where=self.where, fix=fix)
        if len(left_out):
            plan = plan.filter(~_names(plan, contract).is_in(_names(left_out, contract).implode()))
        whole = pl.concat([typed, plan], how="diagonal")
        batch = self.model.codec.encode(whole, self.where, carry_forward=self.carry_forward)
        known = np.isfinite(batch.arrays["history"]).sum(axis=1)
        self.counts.short = int((known < self.model.trained_from).sum())
        names = [column.name for column in contract.series]
        self.series = batch.count
        self.counts.unasked = typed.select(names).n_unique() - self.series
        if contract.hierarchy:
            self._groups = _groups(typed, pl.DataFrame(named(batch.cases["series"], contract)), contract)
            panel = to_panel(whole, contract, where=self.where)
            place = {name: number for number, name in enumerate(panel.ids)}
            self._past = panel.values[[place[name] for name in _names(self._groups, contract)]]
        self.counts.imputed += _gaps(typed, contract)
        beside = _own_columns(table, self.header.names, self.model.columns, contract)
        left_out = left_out.rename({name: self.header.names[name] for name in names}) if len(left_out) else left_out
        for part in batch.slices(SERIES_AT_ONCE):
            answer = _beside(self.model.answer(part), beside, self.header.names, contract)
            if self.on_bad_rows == "flag":
                answer = pl.concat([answer, left_out.clear()], how="diagonal")
            yield self._counted(answer)
        if self.on_bad_rows == "flag" and len(left_out):
            yield self._counted(pl.concat([answer.clear(), left_out], how="diagonal"))

    def _plan(self, ahead: Iterable[pl.DataFrame]) -> pl.DataFrame:
        """The typed rows of a second table, with what is known of the steps to forecast."""
        contract, where = self.contract, f"{self.where}, the table of steps ahead"
        table = pl.concat(list(ahead))
        there = present(table.columns, contract)
        needed = {"series", "time", *(column.role for column in contract.ahead)}
        told = contract.with_columns(
            c for c in contract.columns if c.role in needed or (c.role == "static" and c.name in there)
        )
        header = match_header(
            table.columns, told, target=True, where=f"{where}, line 1", convert_units=self.convert_units,
            advice=CONVERT_UNITS,
        )  # fmt: skip
        typed, found = self._typed(table, header, 2)
        problems = Problems()
        problems.add(found)
        problems.refuse(where)
        return typed

    def _whole_series(
        self, typed: pl.DataFrame, good: pl.Series, reasons: pl.Series, plan: pl.DataFrame
    ) -> tuple[pl.Series, pl.DataFrame]:
        """Marks the rows of sound series, and names the others: a history less one row would be another history."""
        contract, ids = self.contract, _names(typed, self.contract)
        names = [column.name for column in contract.series]
        rows = pl.int_range(2, len(typed) + 2, eager=True)
        if good.any():
            whole = pl.concat([typed.filter(good), plan], how="diagonal")
            beyond = pl.repeat(0, len(plan), dtype=rows.dtype, eager=True)
            found = broken_histories(
                whole, pl.concat([rows.filter(good), beyond]), contract, where=self.where,
                carry_forward=self.carry_forward,
            )  # fmt: skip
            self.problems.add(found)
            for problem in found:
                assert problem.broken is not None  # `broken_histories` marks them
                broken = good.clone()
                broken[good.arg_true()] = problem.broken[: int(good.sum())]
                reasons = reasons.zip_with(~broken, pl.Series([f"rule broken: {names[0]} {problem.rule}"]))
        told = typed.select(names).with_columns(reasons.alias(PROBLEM)).drop_nulls(PROBLEM)
        left_out = told.group_by(names, maintain_order=True).first()
        bad = ids.filter(reasons.is_not_null()).drop_nulls()
        kept = reasons.is_null() & ~ids.is_in(bad.unique().implode())
        self.counts.bad = int((~kept).sum())
        return kept, left_out

    def _refuse(self) -> None:
        if self.on_bad_rows == "stop":
            self.problems.refuse(self.where)


def outside_training(columns: Iterable[Column], profiles: Mapping[str, ColumnProfile]) -> list[pl.Expr]:
    """One mark per column: a number outside the range of the training rows, a category that the contract lacks."""
    marks = [pl.lit(False)]
    for column in columns:
        seen = profiles.get(column.name)
        if column.kind == "category":
            marks.append(~pl.col(column.name).is_in(list(column.categories)))
        elif seen and seen.minimum is not None and seen.maximum is not None:
            marks.append(~pl.col(column.name).is_between(seen.minimum, seen.maximum))
    return marks


def _names(typed: pl.DataFrame, contract: Contract) -> pl.Series:
    """Of the series of each row."""
    return typed.select(naming(contract).alias("series")).to_series()


def _groups(typed: pl.DataFrame, asked: pl.DataFrame, contract: Contract) -> pl.DataFrame:
    """Of each series that is forecast its name and what the hierarchy says of it, from the top down."""
    names = [column.name for column in contract.series]
    order = [*contract.hierarchy, *(name for name in names if name not in contract.hierarchy)]
    static = [name for name in contract.hierarchy if name not in names]
    known = typed.group_by(names).agg(pl.col(static).drop_nulls().first())
    return asked.join(known, on=names, how="left", maintain_order="left").select(order)


def _gaps(typed: pl.DataFrame, contract: Contract) -> int:
    """Steps of the history without a value; rows of steps to forecast have none to have."""
    target, time = typed[contract.target.name], typed[contract.only("time").name]
    if not contract.ahead:
        return int(target.null_count())
    return int((target.is_null() & (time <= time.filter(target.is_not_null()).max())).sum())


def _own_columns(table: pl.DataFrame, names: dict[str, str], answer: Sequence[str], contract: Contract) -> pl.DataFrame:
    """One row per series with the table's other columns that hold one value for each, under the table's own names."""
    ids, time = [column.name for column in contract.series], contract.only("time").name
    series, taken = [names[name] for name in ids], {*names.values(), *answer, *ids, time}
    own = [name for name in table.columns if name not in taken]
    table = table.select(*series, *own).with_columns(pl.col(series).cast(pl.String).str.strip_chars())
    single = table.group_by(series).agg(pl.col(own).n_unique()).select(pl.col(own).max() == 1) if own else None
    kept = [name for name in own if single is not None and single[name].item()]
    return table.select(*series, *kept).unique(series, keep="first")


def _beside(forecast: pl.DataFrame, own: pl.DataFrame, names: dict[str, str], contract: Contract) -> pl.DataFrame:
    """The forecast under the table's own names, with its own columns."""
    ids, time = [column.name for column in contract.series], contract.only("time").name
    renamed = forecast.rename({name: names[name] for name in (*ids, time)})
    return renamed.join(own, on=[names[name] for name in ids], how="left", maintain_order="left")
