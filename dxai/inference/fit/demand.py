"""Demand histories against the profile, series by series."""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl

from dxai.bundle.folder import Bundle
from dxai.bundle.profile import known_beside, profiled, series_features
from dxai.contract import Column, Contract
from dxai.data.checks import Problems, cast
from dxai.data.header import match_header
from dxai.data.tables import as_text
from dxai.data.windows import Panel, naming, to_panel
from dxai.errors import DataError
from dxai.inference.fit.backtest import Experts, back_test
from dxai.inference.fit.columns import any_broken, chance_outside, fitted, tallies
from dxai.inference.fit.record import Evidence
from dxai.inference.model import Model
from dxai.inference.predict import CONVERT_UNITS, outside_training


def check_histories(
    bundle: Bundle, model: Model, blocks: Iterable[pl.DataFrame], where: str, convert_units: bool,
    experts: Experts | None = None,
) -> Evidence:  # fmt: skip
    """Profile the series of a long table and forecast their last horizon from what lies before it.

    Raises:
        DataError: Columns are missing, there are no rows, dates are off the grid or steps are repeated.
    """
    contract = bundle.contract
    table = pl.concat(list(blocks))
    header = match_header(
        table.columns,
        contract,
        target=False,  # what a prediction reads, the target among it
        where=f"{where}, line 1",
        convert_units=convert_units,
        advice=CONVERT_UNITS,
    )
    typed, found = cast(as_text(header.columns(table)), contract.as_asked)  # rows of steps ahead have no target
    problems = Problems()
    problems.add(found)
    good = typed.filter(~any_broken(found, len(table)))
    if not len(good):
        told = f"The table has no rows that keep the contract. {problems.told()}" if found else "The table has no rows."
        raise DataError(told, where=where, fix="Give every series its history, one row per step.")
    whole = to_panel(good, contract.model_copy(update={"minimum_history": 0}), where=where)
    panel = whole.only(whole.known_steps >= contract.minimum_history)
    traits, profile = _traits(contract), bundle.profile
    values = pl.DataFrame(series_features(panel, contract)).fill_nan(None)
    beside, rows = tallies(profiled(contract), profile.beside), _rows_of(panel, good, contract)
    tallied = tallies(traits, profile.columns)
    for tally in tallied:
        tally.add(values[tally.column.name])
    for tally in beside:
        tally.add(known_beside(rows, tally.column, contract))
    tallied += beside
    series = len(panel.ids)
    marks = outside_training((tally.column for tally in beside), profile.beside)
    strange = rows.filter(pl.any_horizontal(marks)).select(naming(contract).alias("series"))["series"]
    outside = values.select(pl.any_horizontal(outside_training(traits, profile.columns))).to_series().fill_null(False)
    outside |= pl.Series(panel.ids, dtype=pl.String).is_in(strange.implode())
    columns = fitted(tallied, series, profile.cases)
    truth = back_test(bundle, model, panel, experts)
    return Evidence(
        name=bundle.manifest.name, version=bundle.manifest.version, digest=bundle.digest, contract=contract,
        where=where, rows=len(table), bad=len(table) - len(good), problems=tuple(problems), units=series, cases=series,
        outside=int(outside.sum()),
        chance_outside=chance_outside(columns, profile.cases), short=len(whole.ids) - series,
        takes_short=model.contract.minimum_history < contract.minimum_history,
        untested=series - (truth.cases if truth else 0), columns=columns, truth=truth,
    )  # fmt: skip


def _rows_of(panel: Panel, rows: pl.DataFrame, contract: Contract) -> pl.DataFrame:
    """Of the series of a panel."""
    return rows.filter(naming(contract).is_in(list(panel.ids)))


_TITLES = {
    "level": ("Mean level", "평균 수준"),
    "zeros": ("Share of zeros", "0의 비율"),
    "variation": ("Variation", "변동성"),
    "trend": ("Trend", "추세"),
}


def _traits(contract: Contract) -> tuple[Column, ...]:
    """What `series_features` tells of a series, as columns."""
    return tuple(
        Column(name=name, kind="number", role="feature", title_en=en, title_ko=ko,
               unit=contract.target.unit if name == "level" else "1")
        for name, (en, ko) in _TITLES.items()
    )  # fmt: skip
