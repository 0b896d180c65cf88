"""Codes of countries whose public holidays are known."""

from __future__ import annotations

from dxai.contract.model import Column
from dxai.errors import DataError, nearest


def require_calendar(column: Column, where: str) -> None:
    """Refuse a code that names no calendar.

    Raises:
        DataError: The column's ``holiday`` is no country with public holidays.
    """
    if not column.holiday:
        return
    import holidays  # here, since only few contracts need it

    known = holidays.list_supported_countries()
    if column.holiday not in known:
        hint = nearest(column.holiday.upper(), known)
        raise DataError(
            f"{column.holiday!r} is no country whose public holidays are known.", where=where,
            fix=f"Did you mean {hint!r}?" if hint else "Give its code of two letters (ISO 3166), such as KR.",
        )  # fmt: skip
