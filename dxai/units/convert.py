"""Conversion between two UCUM codes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, TypeVar

from dxai.errors import DataError
from dxai.units.text import require_ucum
from dxai.units.ucum import is_ucum, meaning_of
from dxai.units.vocabulary import CODE_OF_EXACT, CODE_OF_WORD, COMMON, QUANTITIES

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

_COUNTED = re.compile(r"\{[^}]*\}")

Values = TypeVar("Values", float, "pl.Series", "pl.Expr", "NDArray[np.float64]")


@dataclass(frozen=True)
class Conversion:
    """``target = source * scale + offset``."""

    scale: float = 1.0
    offset: float = 0.0

    def apply(self, values: Values) -> Values:
        """The values in the target unit; with the identity, the very same values. Missing ones stay missing."""
        if self == Conversion():
            return values
        # Dividing 9 by 1000 gives 0.009, multiplying by 0.001 gives 0.009000000000000001: use the rounder number.
        divisor = 1 / self.scale
        divides = self.scale < 1 and round(divisor, 3) == divisor
        scaled = values / divisor if divides else values * self.scale
        return scaled + self.offset if self.offset else scaled

    def inverse(self) -> Conversion:
        """The conversion back."""
        return Conversion(1 / self.scale, -self.offset / self.scale if self.offset else 0.0)


def conversion(source: str, target: str) -> Conversion:
    """How to convert values between two UCUM codes.

    Annotations count: ``t{CO2}`` converts to ``kg{CO2}``, not to ``kg``. UCUM cannot tell a torque from an energy, nor
    ``V.A`` from ``W``.

    Raises:
        DataError: A code is not UCUM, or the two do not measure the same thing.

    >>> conversion("kgf/cm2", "MPa").scale, conversion("Cel", "K").offset
    (0.0980665, 273.15)
    """
    old, new = (meaning_of(require_ucum(code, "unit conversion")) for code in (source, target))
    assert old is not None
    assert new is not None
    if source == target:
        return Conversion()
    if old.dimension != new.dimension:
        mates = ", ".join(dimension_mates(target)[:4])
        fix = f"check the unit; {target} takes {mates}" if mates else f"check the unit; {target} takes only itself"
        raise DataError(f"{source} cannot be converted to {target}: they measure different things", fix=fix)
    shift = (old.zero or Fraction(0)) - (new.zero or Fraction(0))
    return Conversion(float(old.scale / new.scale), float(shift / new.scale))


def dimension_mates(code: str) -> tuple[str, ...]:
    """The common codes that a code converts into, without itself: those of its quantity, as a contract admits them."""
    if not is_ucum(code):
        return ()
    named = (codes for codes in QUANTITIES.values() if code in codes)
    alike = (codes for codes in QUANTITIES.values() if _dimension(codes[0]) == _dimension(code))
    quantity = next(named, None) or next(alike, ())
    return tuple(mate for mate in quantity if mate != code)


def spellings(code: str) -> list[str]:
    """What people write for a code or for one of the same size: as it stands, or in small letters without blanks."""
    letters = {"C": "Cel", "F": "[degF]"}
    texts = {**letters, **CODE_OF_EXACT, **CODE_OF_WORD, **{known: known for known in COMMON}, code: code}
    return sorted(text for text, known in texts.items() if is_same(known, code))


def is_same(one: str, other: str) -> bool:
    """Whether numbers in one unit are those in the other; pieces, boxes and people are plain counts."""
    if other == "1" and _COUNTED.fullmatch(one):
        return True
    try:
        return conversion(one, other) == Conversion()
    except DataError:
        return False


def _dimension(code: str) -> frozenset[tuple[str, int]]:
    meaning = meaning_of(code)
    assert meaning is not None, code
    return meaning.dimension
