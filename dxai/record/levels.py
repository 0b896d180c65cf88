"""What a report says of the levels of a hierarchy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dxai.learn.levels import ALONE, BOTTOM_UP, GAIN, RECONCILED
from dxai.metrics import METRICS
from dxai.record.report import Table

_WAYS = {BOTTOM_UP: "summed", RECONCILED: "reconciled", ALONE: "experts alone"}


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
    """Whether reconciling would be chosen, by the origins before the last.

    >>> levels_note({"levels": {}, "reconciliation": {"bottom_up": 0.20, "mint_shrink": 0.19}})[0].partition(":")[0]
    'Reconciling the levels (MinT) would be better than adding up the series'
    >>> levels_note({"levels": {}, "reconciliation": {"bottom_up": 0.20, "mint_shrink": 0.199}})[0].partition(":")[0]
    'Reconciling the levels (MinT) would NOT be better than adding up the series'
    """
    if "levels" not in scores:
        return ()
    found = scores["reconciliation"]
    if not found:
        return ("Whether to reconcile the levels is not known: that takes split.origins=3 or more.",)
    summed, made = found[BOTTOM_UP], found[RECONCILED]
    verdict = "would" if made < (1 - GAIN) * summed else "would NOT"
    return (
        f"Reconciling the levels (MinT) {verdict} be better than adding up the series: WAPE {made:.3f} against "
        f"{summed:.3f} above the series, on the origins before the last. dxai predict --levels adds up: weights learnt "
        "from the errors of these series are not those of others.",
    )
