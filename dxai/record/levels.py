"""What a report says of the levels of a hierarchy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dxai.data.levels import MINT
from dxai.learn.levels import ALONE, BOTTOM_UP, SHRUNK
from dxai.metrics import METRICS
from dxai.record.report import Table

_WAYS = {BOTTOM_UP: "summed", MINT: "reconciled", SHRUNK: "by past errors", ALONE: "experts alone"}


def levels_table(scores: Mapping[str, Any]) -> Table | None:
    """Error and bias of every level by each way to forecast it; None without a hierarchy."""
    if "levels" not in scores:
        return None
    metrics = [METRICS["wape"], METRICS["bias"]]
    head = ("level", "sums", *(f"{metric.en}, {told}" for metric in metrics for told in _WAYS.values()), "interval")
    rows = []
    for name, known in scores["levels"].items():
        cells = [m.printed(known[way][m.name]) if way in known else "" for m in metrics for way in _WAYS]
        covered = f"{known['coverage']:.0%}" if "coverage" in known else ""
        rows.append((name, f"{known['nodes']:,}", *cells, covered))
    return Table(head, tuple(rows))


def levels_note(scores: Mapping[str, Any]) -> tuple[str, ...]:
    """Which way was chosen, and by what.

    >>> found = {"bottom_up": 0.20, "mint_width": 0.19, "chosen": 1.0}
    >>> levels_note({"levels": {}, "reconciliation": found})
    ('dxai predict --levels reconciles (MinT): before the last origin, WAPE 0.190 against 0.200 of the sums.',)
    """
    if "levels" not in scores:
        return ()
    found = scores["reconciliation"]
    if MINT not in found:
        return ("dxai predict --levels adds up the series: reconciling them was not tried, for want of origins "
                "(split.origins=2 or more) or because experts do not look so far ahead.",)  # fmt: skip
    way = "reconciles (MinT)" if found["chosen"] else "adds up the series, for reconciling them (MinT) saved too little"
    values = f"WAPE {found[MINT]:.3f} against {found[BOTTOM_UP]:.3f} of the sums"
    return (f"dxai predict --levels {way}: before the last origin, {values}.",)
