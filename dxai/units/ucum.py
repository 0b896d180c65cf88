"""What a UCUM code means: so many base units, in exact fractions, from the table that ``ucumvert`` ships."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from typing import Any

from dxai.units.vocabulary import COMMON, LONGEST


@dataclass(frozen=True)
class Meaning:
    """A unit as so many base units; ``zero`` is, for a scale of temperature, where it starts in kelvin."""

    scale: Fraction
    dimension: frozenset[tuple[str, int]] = frozenset()
    zero: Fraction | None = None


_TEMPERATURES = {
    "Cel": (Fraction(1), Fraction("273.15")),
    "[degF]": (Fraction(5, 9), Fraction("459.67") * 5 / 9),
    "[degRe]": (Fraction(5, 4), Fraction("273.15")),
}
_LARGEST = 10**150  # so that the ratio of any two scales is a finite float
_COUNTED = {"mol", "bit"}  # plain numbers to UCUM; nobody wants moles converted to pieces


def is_ucum(code: str) -> bool:
    """Whether a text is a valid UCUM code, letter by letter."""
    return code in COMMON or (len(code) <= LONGEST and meaning_of(code) is not None)


@lru_cache(maxsize=1024)
def meaning_of(code: str) -> Meaning | None:
    """What a code means, or None where it is not UCUM."""
    from ucumvert import InvalidUcumError, parse_ucum

    try:
        meaning = _evaluated(parse_ucum(code, _parser()))
    except (InvalidUcumError, ArithmeticError):
        return None
    return meaning if Fraction(1, _LARGEST) < meaning.scale < _LARGEST else None


@lru_cache(maxsize=1)
def _parser() -> Any:
    from ucumvert import get_ucum_parser

    return get_ucum_parser()


def _evaluated(node: Any) -> Meaning:
    """The meaning of a node of ucumvert's syntax tree; a bare token is an annotation."""
    parts = getattr(node, "children", [])
    match getattr(node, "data", "annotation"):
        case "annotation":
            return _base(str(node))
        case "simple_unit":
            return _atom("".join(parts[:-1]), str(parts[-1]))
        case "component":
            unit, annotation = _evaluated(parts[0]), _base(str(parts[1]))
            return replace(unit, dimension=_times(replace(unit, zero=None), annotation).dimension)
        case "annotatable":
            return _times(Meaning(Fraction(1)), _evaluated(parts[0]), int(parts[1]))
        case "term":
            return _times(_evaluated(parts[0]), _evaluated(parts[2]), -1 if parts[1] == "/" else 1)
        case _ if len(parts) == 2:
            return _times(Meaning(Fraction(1)), _evaluated(parts[1]), -1)
    return _evaluated(parts[0])


def _base(name: str) -> Meaning:
    return Meaning(Fraction(1), frozenset({(name, 1)}))


def _times(left: Meaning, right: Meaning, power: int = 1) -> Meaning:
    """``left`` × ``right`` to a power; a scale of temperature has no products (UCUM §21)."""
    if left.zero is not None or right.zero is not None or abs(power) > 99:
        raise ArithmeticError
    powers = Counter(dict(left.dimension))
    for base, count in right.dimension:
        powers[base] += count * power
    return Meaning(left.scale * right.scale**power, frozenset((b, n) for b, n in powers.items() if n))


def _atom(prefix: str, atom: str) -> Meaning:
    """A unit of UCUM's table; logarithmic and arbitrary ones are base units here, so they convert into nothing else."""
    prefixes, definitions = _table()
    times = prefixes[prefix] if prefix else Fraction(1)
    if atom in _TEMPERATURES:
        scale, zero = _TEMPERATURES[atom]
        return replace(_base("K"), scale=scale * times, zero=zero)
    if atom.isdigit():
        return Meaning(Fraction(atom))
    unit = definitions.get(atom)
    if unit is not None and unit.is_special:
        return _base(prefix + atom)
    if unit is None or unit.is_arbitrary or atom in _COUNTED:
        return replace(_base(atom), scale=times)
    defining = meaning_of(unit.defining_unit)
    assert defining is not None, atom
    return replace(defining, scale=defining.scale * Fraction(str(unit.conversion_factor)) * times)


@lru_cache(maxsize=1)
def _table() -> tuple[dict[str, Fraction], dict[str, Any]]:
    """UCUM's prefixes and its units other than the base units."""
    from ucumvert import xml_util

    elements = xml_util.root.iterfind(".//{*}prefix")
    prefixes = {element.attrib["Code"]: Fraction(element.find("{*}value").attrib["value"]) for element in elements}
    return prefixes, {unit.code_cs: unit for unit in xml_util.get_units_with_full_definition()}
