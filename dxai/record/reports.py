"""The report of each kind of prediction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dxai.record.class_report import class_report
from dxai.record.demand_report import demand_report
from dxai.record.findings import Findings
from dxai.record.quality_report import quality_report
from dxai.record.report import Report

REPORTS: dict[str, Callable[[Findings[Any]], Report]] = {
    "regression": quality_report,
    "classes": class_report,
    "demand": demand_report,
}
"""By kind of prediction."""
