"""What the program of a model's page reads: the contract, where the graph is, and who predicts."""

from __future__ import annotations

from datetime import date
from typing import Any, Literal

from dxai.bundle.folder import Bundle
from dxai.bundle.manifest import GOLDEN_ROWS, MODEL
from dxai.catalog.site.facts import seen
from dxai.catalog.site.words import unit, word
from dxai.contract import Column
from dxai.contract.signature import signature_of
from dxai.data.calendar import holidays_of
from dxai.data.orders import CORRELATION
from dxai.units import spellings

_YEARS_BEFORE, _YEARS_AFTER, _EPOCH = 6, 3, date(1970, 1, 1)

Backend = Literal["browser", "server", "none"]
"""Who predicts: ONNX Runtime in the browser, the server that the page comes from, or nobody."""


def page_data(bundle: Bundle, backend: Backend, runtime_bytes: int) -> dict[str, Any]:
    """The page's JSON file; addresses are relative to the page."""
    contract, version = bundle.contract, bundle.manifest.version
    return {
        "name": bundle.manifest.name,
        "backend": backend,
        "model": f"{version}/{MODEL}",
        "bytes": bundle.manifest.files[MODEL].size + runtime_bytes,
        "sample": f"{version}/{GOLDEN_ROWS}",
        "predict": "predict",
        "context": bundle.manifest.context,
        "frequency": contract.frequency,
        "frequency_title": word("frequency", contract.frequency or "").model_dump(),
        "horizon": contract.horizon,
        "minimum_history": bundle.manifest.shortest_history or contract.minimum_history,
        "trained_from": contract.minimum_history,
        "absent": contract.absent,
        CORRELATION: float(bundle.metrics.get(CORRELATION, 1.0)),
        **signature_of(contract).record(),
        "columns": [_column(bundle, c) for c in contract.columns],
    }


def _column(bundle: Bundle, column: Column) -> dict[str, Any]:
    low, high = seen(bundle, column)
    return {
        **column.model_dump(include={"name", "kind", "role", "minimum", "maximum", "required", "categories"}),
        "title": {"en": column.title_en, "ko": column.title_ko},
        "unit": unit(column.unit).model_dump(),
        "spellings": spellings(column.unit) if column.kind == "number" else [],
        "limits": {name: _limit(getattr(column, name), column) for name in ("minimum", "maximum")},
        "seen": None if low is None or high is None else [low, high],
        **({"holidays": _calendar(column.holiday, date.today().year)} if column.holiday else {}),
    }


def _calendar(country: str, year: int) -> dict[str, Any]:
    """Public holidays of the years around one, as days since 1970: the page has no calendar of its own."""
    first, last = year - _YEARS_BEFORE, year + _YEARS_AFTER
    return {"first": first, "last": last, "days": [(day - _EPOCH).days for day in holidays_of(country, first, last)]}


def _limit(value: float | None, column: Column) -> str:
    """A limit as `dxai predict` writes it."""
    return "" if value is None else f"{value:g}" + ("" if column.unit == "1" else f" {column.unit}")
