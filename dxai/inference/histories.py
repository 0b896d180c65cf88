"""Demand histories that cannot be forecast from, found series by series instead of refusing the table."""

from __future__ import annotations

import polars as pl

from dxai.contract import Contract
from dxai.data.checks import Problem
from dxai.data.plans import lacking_plans
from dxai.data.windows import naming, to_panel
from dxai.data.windows import told as told_name

_EXAMPLES = 3


def broken_histories(
    typed: pl.DataFrame, rows: pl.Series, contract: Contract, *, where: str, carry_forward: bool = False
) -> list[Problem]:
    """Series that repeat a step, have too few of them or lack what is known ahead, as problems of their rows.

    Args:
        typed: Rows that keep the contract.
        rows: Their numbers in the file.
        contract: Of a demand task.
        where: The table, for messages.
        carry_forward: Whether what is missing ahead is filled.

    Raises:
        DataError: Dates off the contract's grid.
    """
    names, time = [column.name for column in contract.series], contract.only("time").name
    ids = typed.select(naming(contract).alias(names[0])).to_series()
    repeated = typed.select(ids, time).is_duplicated()
    in_repeated = ids.is_in(ids.filter(repeated).implode())
    problems = _problem("has one row per step", repeated, in_repeated, ids, rows)
    if not in_repeated.all():
        relaxed = contract.model_copy(update={"minimum_history": 0})
        rest = typed.filter(~in_repeated)
        panel = to_panel(rest, relaxed, where=where)
        short = ids.is_in(list(panel.only(panel.known_steps < contract.minimum_history).ids))
        rule = f"has a history of {contract.minimum_history} {contract.frequency} steps or more"
        problems += _problem(rule, short & ids.is_first_distinct(), short, ids, rows)
        if contract.ahead and not carry_forward:
            lacking = ids.is_in(lacking_plans(rest, contract, where=where))
            rule = f"has all that is known of the next {contract.horizon} steps"
            problems += _problem(rule, lacking & ids.is_first_distinct(), lacking, ids, rows)
    return problems


def _problem(rule: str, told: pl.Series, broken: pl.Series, ids: pl.Series, rows: pl.Series) -> list[Problem]:
    examples = [(int(rows[i]), told_name(ids[i])) for i in told.arg_true().head(_EXAMPLES).to_list()]
    return [Problem(ids.name, rule, int(told.sum()), examples, broken)] if told.any() else []
