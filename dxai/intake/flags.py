"""Columns of two values, drafted as 1 and 0: steps that are open, and steps at which all demand could be met."""

from __future__ import annotations

import polars as pl

from dxai.errors import SettingsError
from dxai.intake.cells import AFFIRMATIVE, MISSING_TEXTS, written_numbers
from dxai.intake.look import Look

_OPTIONS = {"open": "--closed", "available": "--available"}


def flags_of(look: Look, name: str, role: str) -> dict[str, str]:
    """The two texts of a column by 1 and 0.

    Closed is the text at which nothing is sold more often; available is what says yes.

    Raises:
        SettingsError: There are not two texts, or neither is told from the other so.
    """
    texts = look.texts[name].str.strip_chars()
    texts = texts.set(texts.is_in(["", *MISSING_TEXTS]), None)
    found, where = sorted(texts.drop_nulls().unique()), f"{_OPTIONS[role]}, column {name!r}"
    if len(found) != 2:
        told = f"The column holds {len(found):,} different values, not two such as 1 and 0 or Yes and No."
        raise SettingsError(told, where=where, fix="Name a column of two values.")
    if role == "open":
        return _open(look, texts, found, where)
    yes = [text for text in found if text.lower().removesuffix(".0") in AFFIRMATIVE]
    if len(yes) != 1:
        told = f"Which of {found[0]!r} and {found[1]!r} says that all demand could be met?"
        raise SettingsError(told, where=where, fix="Write 1 for it in the file, and 0 for the other.")
    return {text: str(int(text in yes)) for text in found}


def _open(look: Look, texts: pl.Series, found: list[str], where: str) -> dict[str, str]:
    target = look.choices.target_name
    mark = look.seen.column(target).decimal_mark or "."
    sold = written_numbers(look.texts[target].str.strip_chars(), mark)["value"]
    nothing = [float((sold.filter(texts == text).fill_null(0) == 0).mean() or 0) for text in found]  # type: ignore[arg-type]
    if max(nothing) < 0.5 or nothing[0] == nothing[1]:
        told = f"{target!r} is seldom 0 or empty where the column says {found[0]!r} and where it says {found[1]!r}."
        raise SettingsError(told, where=where, fix="Name a column that tells when nothing can be sold.")
    return {text: str(int(share < max(nothing))) for text, share in zip(found, nothing, strict=True)}
