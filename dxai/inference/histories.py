"""Demand histories that cannot be forecast from, found series by series instead of refusing the table."""

from __future__ import annotations

import polars as pl

from dxai.contract import Contract
from dxai.data.checks import Problem
from dxai.data.windows import to_panel

_EXAMPLES = 3


def broken_histories(typed: pl.DataFrame, rows: pl.Series, contract: Contract, *, where: str) -> list[Problem]:
    """Series that repeat a step or have too few of them, as problems of their rows.

    Args:
        typed: Rows that keep the contract.
        rows: Their numbers in the file.
        contract: Of a demand task.
        where: The table, for messages.

    Raises:
        DataError: Dates off the contract's grid.
    """
    ids, time = typed[contract.only("series").name], contract.only("time").name
    repeated = typed.select(ids.name, time).is_duplicated()
    in_repeated = ids.is_in(ids.filter(repeated).implode())
    problems = _problem("has one row per step", repeated, in_repeated, ids, rows)
    if not in_repeated.all():
        relaxed = contract.model_copy(update={"minimum_history": 1})
        panel = to_panel(typed.filter(~in_repeated), relaxed, where=where)
        short = ids.is_in(list(panel.only(panel.known_steps < contract.minimum_history).ids))
        rule = f"has a history of {contract.minimum_history} {contract.frequency} steps or more"
        problems += _problem(rule, short & ids.is_first_distinct(), short, ids, rows)
    return problems


def _problem(rule: str, told: pl.Series, broken: pl.Series, ids: pl.Series, rows: pl.Series) -> list[Problem]:
    examples = [(int(rows[i]), str(ids[i])) for i in told.arg_true().head(_EXAMPLES).to_list()]
    return [Problem(ids.name, rule, int(told.sum()), examples, broken)] if told.any() else []
