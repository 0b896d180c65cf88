"""`dxai check`: does this model fit my plant?"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import polars as pl

from dxai.bundle.folder import Bundle
from dxai.contract.signature import Grain
from dxai.inference.fit.backtest import Experts
from dxai.inference.fit.demand import check_histories
from dxai.inference.fit.quality import check_rows
from dxai.inference.fit.record import Check, Evidence
from dxai.inference.fit.verdict import judge
from dxai.inference.model import Model

CHECKS: dict[Grain, Callable[[Bundle, Model, Iterable[pl.DataFrame], str, bool, Experts | None], Evidence]] = {
    "rows": lambda bundle, model, blocks, where, convert_units, _: check_rows(
        bundle, model, blocks, where, convert_units
    ),
    "series": check_histories,
}
"""By what one answer is made from."""


def check_table(
    bundle: Bundle, model: Model, blocks: Iterable[pl.DataFrame], *, where: str, convert_units: bool = False,
    experts: Experts | None = None,
) -> Check:  # fmt: skip
    """Hold a firm's table against the contract, the training profile and the card of a model.

    Args:
        bundle: With its profile.
        model: Of this bundle.
        blocks: Of the table, as `dxai.data.tables.read_blocks` gives them; quality rows are never held all at once.
        where: The table, for messages and the report.
        convert_units: As in `dxai.inference.predict.Prediction`.
        experts: One more yardstick of series, `dxai.forecaster.yardstick.experts`; None: naive ones alone.

    Raises:
        DataError: The table cannot be read as rows of the contract at all: columns are missing, it is empty, or dates
            are off the grid.
        IntegrityError: The bundle has no profile.
    """
    evidence = CHECKS[model.codec.signature.grain](bundle, model, blocks, where, convert_units, experts)
    verdict, reasons = judge(evidence)
    return Check(**vars(evidence), verdict=verdict, reasons=reasons)
