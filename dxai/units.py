"""Units of measure: the UCUM code that a person's text or column header means, and conversion between two codes.

UCUM (https://ucum.org/ucum) is the code system of the contracts. Conversions are worked out in exact fractions from
UCUM's own table, which ``ucumvert`` ships. pint judges them in the tests but does not make them: to pint radians,
arbitrary units and annotations are plain numbers, so ``rad/s`` to ``/min`` or ``{box}`` to ``{unit}`` would pass.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

from dxai.errors import DataError, nearest

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

Values = TypeVar("Values", float, "pl.Series", "pl.Expr", "NDArray[np.float64]")

# --- vocabulary -------------------------------------------------------------------------------------------------------


def _lines(block: str) -> dict[str, tuple[str, ...]]:
    """``key: word word`` entries, one a line or parted by ``;``, as a mapping."""
    pairs = (re.split(": *", entry.strip()) for entry in re.split("[;\n]", block.strip()))
    return {key: tuple(words.split()) for key, words in pairs}


QUANTITIES = _lines("""
temperature: Cel K [degF] [degR]
temperature rate: K/s K/min K/h
pressure: Pa hPa kPa MPa GPa mbar bar atm kgf/cm2 kgf/mm2 N/m2 N/mm2 [psi] mm[H2O]
gauge pressure: kPa{gauge} MPa{gauge} bar{gauge} kgf{gauge}/cm2 [psi]{gauge}
length: nm um mm cm m km [mil_i] [in_i] [ft_i] [yd_i] [mi_i]
area: mm2 cm2 m2 km2 har [in_i]2 [ft_i]2
volume: mm3 cm3 m3 uL mL L kL [gal_us] [ft_i]3
normal volume: L{normal} m3{normal}
mass: ug mg g kg t kt [oz_av] [lb_av]
time: ns us ms s min h d wk
calendar time: mo a
speed: mm/s mm/min cm/s m/s m/min m/h km/h [ft_i]/min [mi_i]/h [kn_i]
acceleration: mm/s2 m/s2 [g]
volume flow: mL/min L/s L/min L/h m3/s m3/min m3/h m3/d [gal_us]/min [ft_i]3/min
normal volume flow: L{normal}/min m3{normal}/min m3{normal}/h
mass flow: g/s g/min kg/s kg/min kg/h t/h t/d
density: ug/m3 mg/m3 kg/m3 ug/L mg/L g/L kg/L g/mL g/cm3 t/m3
area density: mg/cm2 g/m2 kg/m2
linear density: g/m kg/m tex
amount of substance: mmol mol
amount concentration: umol/L mmol/L mol/L mol/m3
force: mN N kN gf kgf [lbf_av]
torque: N.mm N.m kN.m kgf.cm kgf.m [lbf_av].[ft_i]
energy: J kJ MJ GJ W.h kW.h MW.h GW.h cal kcal Mcal Gcal [Btu_IT] 10*7.kcal
energy per mass: J/g kJ/kg MJ/kg kcal/kg
power: mW W kW MW GW J/s kcal/h [Btu_IT]/h [HP] 75.kgf.m/s
apparent power: V.A kV.A MV.A
reactive power: V.A{reactive} kV.A{reactive} MV.A{reactive}
reactive energy: V.A{reactive}.h kV.A{reactive}.h MV.A{reactive}.h
heat flux: W/cm2 W/m2 kW/m2
heat conductivity: mW/(m.K) W/(m.K)
heat transfer: W/(m2.K) kW/(m2.K)
specific heat: J/(kg.K) kJ/(kg.K) kcal/(kg.K)
voltage: uV mV V kV
electric field: V/m kV/m kV/mm
current: uA mA A kA
charge: A.s mA.h A.h
resistance: mOhm Ohm kOhm MOhm
conductance: uS mS
conductivity: uS/cm mS/cm S/m
capacitance: pF nF uF mF
inductance: uH mH
magnetic flux density: uT mT
frequency: /s /min /h Hz kHz MHz GHz
angle: mrad rad deg
angular velocity: deg/s deg/min rad/s
ratio: 1 % [ppth] [ppm] [ppb]
stiffness: mN/m N/m N/mm kN/m
dynamic viscosity: cP P mPa.s Pa.s
kinematic viscosity: cSt St mm2/s m2/s
data: bit By kBy MBy GBy TBy
data rate: bit/s kbit/s Mbit/s By/s kBy/s MBy/s
count: {unit} 10*3.{unit}
count rate: {unit}/s {unit}/min {unit}/h {unit}/d
money: {KRW} 10*3.{KRW} 10*4.{KRW} 10*6.{KRW} 10*8.{KRW}
carbon dioxide: g{CO2} kg{CO2} t{CO2}
carbon equivalent: g{CO2eq} kg{CO2eq} t{CO2eq}
""")
"""Quantity → its common codes, which convert into each other."""

# Read letter by letter, and before UCUM's own reading: by `ft` nobody means femtotonnes, by `pH` nobody picohenries.
_EXACT = _lines("""
1: -; deg: °; Cel: oC; MPa: Mpa MPA; [ft_i]: ft; N.m: Nm; kN.m: kNm; N.mm: Nmm; t: MT M/T; {unit}: EA pc
bar{gauge}: barG; MPa{gauge}: MPag MPaG; kgf{gauge}/cm2: kgf/cm2g kgf/cm2G kg/cm2g kg/cm2G
[mi_i]/h: mph; km/h: kph; m3/h: CMH; m3/min: CMM; m3/s: CMS; m3{normal}: Nm3; L{normal}: NL Nl
W/(m.K): W/mK; W/(m2.K): W/m2K; J/(kg.K): J/kgK; kJ/(kg.K): kJ/kgK; Pa.s: Pas; mPa.s: mPas; A.h: Ah; mA.h: mAh
V.A: VA; MV.A: MVA; MW.h: MWh MWH; V.A{reactive}: VAr VAR; MV.A{reactive}: Mvar MVar MVAr MVAR
MV.A{reactive}.h: Mvarh MVarh MVArh MVARh MVARH; 75.kgf.m/s: PS
kBy: kB KB; MBy: MB; GBy: GB; TBy: TB; Mbit/s: Mbps
[pH]: pH PH Ph ph; dB{A}: dBA dB(A); {HV}: HV; {HB}: HB HBW; {HRB}: HRB; {HRC}: HRC
""")

# Read in any case, without spaces, dots and underscores, and without a plural `s`.
_WORDS = _lines("""
Cel: °c degc degreec degreecelsius celsius 섭씨; [degF]: °f degf degreef degreefahrenheit fahrenheit 화씨
K: kelvin degk
/min: rpm r/min rev/min spm; /s: rps r/s rev/s; Hz: hz; kHz: khz; 1: 무차원 dimensionless unitless
%: percent pct 퍼센트; [ppth]: ‰; [ppm]: ppm; [ppb]: ppb; %{RH}: %rh rh%
%{wt}: wt% mass% %wt 중량%; %{vol}: vol% %vol 부피%; %{mol}: mol%; %{at}: at%
hPa: hpa; kPa: kpa; kPa{gauge}: kpag kpa(g); bar: bar bara; bar{gauge}: barg bar(g); [psi]: psi psia; [psi]{gauge}: psig
mm[Hg]: mmhg; mm[H2O]: mmh2o mmaq mmwc; atm/760: torr; kgf: kgf; kgf.m: kgfm; Mgf: tf tonf; [lbf_av]: lbf
um: micron 미크론; [in_i]: in inch inche 인치; [ft_i]: foot feet 피트; [yd_i]: yd yard; [mi_i]: mi mile 마일
km/h: kmph; [kn_i]: kn kts knot 노트; har: ha hectare 헥타르; cm3: cc; L/min: lpm
kg: kg; t: ton tonne 톤; [lb_av]: lb lbs pound; [oz_av]: oz ounce
[gal_us]: gal gallon; [gal_us]/min: gpm; [ft_i]3/min: cfm
us: usec; ms: msec; s: sec second 초; min: min minute 분; h: hr hour 시간; d: day 일
wk: week 주; mo: month 개월; a: yr year 년
kW: kw; W.h: wh; kW.h: kwh; GW.h: gwh; [Btu_IT]: btu; kcal: kcal; 10*7.kcal: toe; [HP]: hp; 75.kgf.m/s: 마력
kV.A: kva; V.A{reactive}: var; kV.A{reactive}: kvar; V.A{reactive}.h: varh; kV.A{reactive}.h: kvarh
By: byte 바이트; bit/s: bps; kbit/s: kbps; [NTU]: ntu; lx: lux; {px}: px pixel 픽셀
t{CO2}: tco2 tonco2; kg{CO2}: kgco2; g{CO2}: gco2
t{CO2eq}: tco2e tco2eq tco2-eq; kg{CO2eq}: kgco2e kgco2eq kgco2-eq; g{CO2eq}: gco2e gco2eq gco2-eq
{unit}: 개 낱개 대 ea pcs piece unit; 10*3.{unit}: 천개; {count}: 회 건 번 count; {cycle}: cycle 사이클; {shot}: shot 샷
{person}: 명 인 person; {box}: 박스 상자 box boxe; {sheet}: 매 장 sheet
{KRW}: 원 krw ₩; 10*3.{KRW}: 천원; 10*4.{KRW}: 만원; 10*6.{KRW}: 백만원; 10*8.{KRW}: 억원; {USD}: 달러 usd $
""")

# UCUM reads some of these, but a person may well mean something else: ask.
_AMBIGUOUS = {
    "C": "Cel for degrees Celsius, A.s for coulombs",
    "F": "[degF] for degrees Fahrenheit, A.s/V for farads",
    "G": "g for grams, [g] for gravity, 10*-4.Wb/m2 for gauss",
    "H": "h for hours, V.s/A for henries",
    "M": "m for metres, min for minutes, mol/L for molar",
    "S": "s for seconds, A/V for siemens",
    "T": "t for tonnes, Wb/m2 for teslas",
    "''": "[in_i] for inches, deg/3600 for arc seconds",
    "도": "Cel for a temperature, deg for an angle",
    "ppt": "[ppth] for parts per thousand, [pptr] for parts per trillion",
    "kg/cm2": "kgf/cm2 for a pressure, kg/m2 for an area density",
    "kg/mm2": "kgf/mm2 for a pressure, kg/m2 for an area density",
    "N/A": "nothing where there is no unit, A-1.N for newtons per ampere",
}  # fmt: skip

_PREFIX_NAMES = _lines("""
G: giga 기가; M: mega 메가; k: kilo 킬로; c: centi 센티; m: milli 밀리; u: micro 마이크로; n: nano 나노
""")
_UNIT_NAMES = _lines("""
m: meter metre 미터; g: gram 그램; L: liter litre 리터; Pa: pascal 파스칼; N: newton 뉴턴; J: joule 줄
W: watt 와트; V: volt 볼트; A: ampere amp 암페어; Ohm: ohm 옴; Hz: hertz 헤르츠; cal: calorie 칼로리
""")


def _codes_by_spelling(*tables: dict[str, tuple[str, ...]]) -> dict[str, str]:
    return {spelling: code for table in tables for code, spellings in table.items() for spelling in spellings}


def _spelled_out() -> dict[str, tuple[str, ...]]:
    """`megapascal`, `밀리미터` and the like."""
    return {
        prefix + unit: tuple(first + last for first in firsts for last in lasts)
        for prefix, firsts in [("", ("",)), *_PREFIX_NAMES.items()]
        for unit, lasts in _UNIT_NAMES.items()
    }


_CODE_OF_EXACT = _codes_by_spelling(_EXACT)
_CODE_OF_WORD = _codes_by_spelling(_spelled_out(), _WORDS)
_COMMON = {code for codes in QUANTITIES.values() for code in codes} | {*_EXACT, *_WORDS}

# --- a person's text --------------------------------------------------------------------------------------------------

_OTHERWISE = {*_CODE_OF_EXACT, "C", "F", "T"}  # pieces that people and UCUM read differently
_PIECE = re.compile(r"(?:\{[^}]*\}|\[[^\]]*\]|[^./()])+")
_LONGEST = 80  # longer texts are no unit, and would only keep the parser busy
_SIGNS = str.maketrans({
    **dict.fromkeys("º˚", "°"), **dict.fromkeys("·⋅•∙・ㆍ×", "·"), **dict.fromkeys("∕⁄÷", "/"),
    **dict.fromkeys("−–—", "-"), "′": "'", "″": "''", '"': "''", "μ": "u", "Ω": "Ohm", "Å": "Ao", "ℓ": "L",
})  # fmt: skip


def understand(text: str) -> str:
    """The UCUM code that a person's unit text stands for; a UCUM code comes back as it is.

    Where a product stands under the line it is meant whole, as people mean it: ``W/m²·K`` is ``W/(m2.K)``. A few texts
    that UCUM reads otherwise than people do are refused (``C``, ``T/h``, ``kg/cm2``) or read as people do (``ft``).

    Raises:
        DataError: The text is not understood or may mean two things; the fix names the code to write.

    >>> understand("℃"), understand("kgf/cm²"), understand("N·m"), understand("rpm")
    ('Cel', 'kgf/cm2', 'N.m', '/min')
    """
    text = text.strip()[: _LONGEST + 1]
    code = _code(text)
    if code is not None:
        return code
    tidy, shown = _tidy(text), _shown(text)
    doubt = next((piece for piece in (tidy, *_PIECE.findall(tidy)) if piece in _AMBIGUOUS), None)
    if doubt is not None:
        raise DataError(f"unit {shown} may mean two things", fix=f"write {_AMBIGUOUS[doubt]}")
    raise DataError(f"unit {shown} is not understood", fix=f"write {_nearest(_word(tidy))}")


def _nearest(word: str) -> str:
    """The common code that a word looks most like; first of all one that differs in capitals only, as MPa from mpa."""
    near = next((code for code in sorted(_COMMON) if code.casefold() == word), None)
    near = near or nearest(word, [*_CODE_OF_WORD, *sorted(_COMMON)]) or "its UCUM code, such as Cel, MPa, kg/m3 or /min"
    return _CODE_OF_WORD.get(near, near)


@lru_cache(maxsize=4096)
def _code(text: str) -> str | None:
    """The code of a text, or None where it is not understood or ambiguous."""
    tidy = _tidy(text)
    if not tidy or len(text) > _LONGEST or tidy in _AMBIGUOUS:
        return None
    return _unmistaken(text.strip()) or _simple(tidy) or _compound(tidy) or _listed(tidy)


def _shown(text: str) -> str:
    quoted = repr(text)
    return quoted if len(quoted) <= 42 else f"{quoted[:41]}…{quoted[-1]}"


def _unmistaken(code: str) -> str | None:
    """The code itself where it is UCUM and people read it as UCUM does."""
    meant = code in _COMMON or not _OTHERWISE.intersection([code, *_PIECE.findall(code)])
    return code if meant and is_ucum(code) else None


def _tidy(text: str) -> str:
    """One sign for each meaning: full-width forms, superscripts, dots, dashes, Greek letters."""
    raised = re.sub("[⁰¹²³⁴-⁹⁻⁺]+", lambda run: "^" + run[0], text.strip().translate(_SIGNS))
    plain = unicodedata.normalize("NFKC", raised).translate(_SIGNS).replace("**", "^")
    return re.sub(r"\^|(?<=°)\s+", "", re.sub(r"\b10\s*\^\s*", "10*", plain))


def _word(text: str) -> str:
    return re.sub(r"[\s._]+", "", _tidy(text)).casefold()


def _simple(piece: str) -> str | None:
    """The code of one unit without operators, perhaps raised to a power."""
    if piece in _AMBIGUOUS:
        return None
    code = (
        _CODE_OF_EXACT.get(piece)
        or _unmistaken(piece)
        or _CODE_OF_WORD.get(_word(piece))
        or _CODE_OF_WORD.get(_word(piece).removesuffix("s"))
    )
    if code or not (power := re.fullmatch(r"(.*\D)(-?[1-9])", piece)):
        return code
    base = _simple(power[1].rstrip())
    raised = f"{base}{power[2]}"
    return raised if base and not re.search(r"[./{\d]", base) and is_ucum(raised) else None


def _compound(text: str) -> str | None:
    """The code of a product or quotient whose pieces are understood."""
    text = re.sub(r"\s+(mixture|solution)$", "", re.sub(r"\s+(?:per|in an?)\s+|\s*/\s*", "/", text))
    text = re.sub(r"\s*[·.]\s*|(?<=[A-Za-z])-(?=[A-Za-z])|(?<!10)\*|\s+", ".", text)
    above, line, below = text.partition("/")
    if "." in below and not re.search("[(/]", below):
        text = f"{above}{line}({below})"
    code = _PIECE.sub(lambda piece: _piece(piece, text), text)
    return code if is_ucum(code) else None


def _piece(piece: re.Match[str], text: str) -> str:
    """One piece's code, fit to stand at its place: whole under the line, and a temperature as a difference."""
    code = {"Cel": "K", "[degF]": "[degR]"}.get(known := _simple(piece[0]) or "?", known)
    return f"({code})" if text[: piece.start()].endswith("/") and re.search("[./]", code) else code


def _listed(text: str) -> str | None:
    """The code that all of ``MPa, megapascals`` stand for."""
    codes = {_code(part) for part in text.split(",")} if "," in text else set()
    return codes.pop() if len(codes) == 1 else None


# --- UCUM -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Meaning:
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
    return code in _COMMON or (len(code) <= _LONGEST and _meaning(code) is not None)


def require_ucum(code: str, where: str) -> str:
    """The code itself, where it is valid UCUM.

    Raises:
        DataError: It is not; the fix names the code to write instead.
    """
    if is_ucum(code):
        return code
    try:
        fix = f"write {understand(code)}"
    except DataError as unknown:
        fix = unknown.fix
    raise DataError(f"unit {_shown(code)} is not a UCUM code", where=where, fix=fix)


@lru_cache(maxsize=1024)
def _meaning(code: str) -> _Meaning | None:
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


def _evaluated(node: Any) -> _Meaning:
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
            return _times(_Meaning(Fraction(1)), _evaluated(parts[0]), int(parts[1]))
        case "term":
            return _times(_evaluated(parts[0]), _evaluated(parts[2]), -1 if parts[1] == "/" else 1)
        case _ if len(parts) == 2:
            return _times(_Meaning(Fraction(1)), _evaluated(parts[1]), -1)
    return _evaluated(parts[0])


def _base(name: str) -> _Meaning:
    return _Meaning(Fraction(1), frozenset({(name, 1)}))


def _times(left: _Meaning, right: _Meaning, power: int = 1) -> _Meaning:
    """``left`` × ``right`` to a power; a scale of temperature has no products (UCUM §21)."""
    if left.zero is not None or right.zero is not None or abs(power) > 99:
        raise ArithmeticError
    powers = Counter(dict(left.dimension))
    for base, count in right.dimension:
        powers[base] += count * power
    return _Meaning(left.scale * right.scale**power, frozenset((b, n) for b, n in powers.items() if n))


def _atom(prefix: str, atom: str) -> _Meaning:
    """A unit of UCUM's table; logarithmic and arbitrary ones are base units here, so they convert into nothing else."""
    prefixes, definitions = _table()
    times = prefixes[prefix] if prefix else Fraction(1)
    if atom in _TEMPERATURES:
        scale, zero = _TEMPERATURES[atom]
        return replace(_base("K"), scale=scale * times, zero=zero)
    if atom.isdigit():
        return _Meaning(Fraction(atom))
    unit = definitions.get(atom)
    if unit is not None and unit.is_special:
        return _base(prefix + atom)
    if unit is None or unit.is_arbitrary or atom in _COUNTED:
        return replace(_base(atom), scale=times)
    defining = _meaning(unit.defining_unit)
    assert defining is not None, atom
    return replace(defining, scale=defining.scale * Fraction(str(unit.conversion_factor)) * times)


@lru_cache(maxsize=1)
def _table() -> tuple[dict[str, Fraction], dict[str, Any]]:
    """UCUM's prefixes and its units other than the base units."""
    from ucumvert import xml_util

    elements = xml_util.root.iterfind(".//{*}prefix")
    prefixes = {element.attrib["Code"]: Fraction(element.find("{*}value").attrib["value"]) for element in elements}
    return prefixes, {unit.code_cs: unit for unit in xml_util.get_units_with_full_definition()}


# --- conversion -------------------------------------------------------------------------------------------------------


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
    old, new = (_meaning(require_ucum(code, "unit conversion")) for code in (source, target))
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


def _dimension(code: str) -> frozenset[tuple[str, int]]:
    meaning = _meaning(code)
    assert meaning is not None, code
    return meaning.dimension


# --- column headers ---------------------------------------------------------------------------------------------------

_BRACKETS = str.maketrans("（）［］【】〔〕", "()[][][]")
_BRACKETED = re.compile(r"\((?:[^()]|\([^()]*\))*\)|\[(?:[^\[\]]|\[[^\[\]]*\])*\]")
_JOINT = re.compile(r"\s+/\s+|[\s_,:]+|(?<=[가-힣])(?=[A-Za-z])|(?<=[\w)])(?=[%‰°℃℉㎀-㏟])")
# Not `nm`, `cd`, `gb`, `dt` (name, code, kind, date in Korean databases), not `min` (minimum), `m3`, `in` or a letter.
_SUFFIXES = _lines("""
ratio: % %rh pct percent ppm ppb wt% vol%; length: um mm cm km inch mm2 cm2 km2; volume: mm3 cm3 ml kl
mass: ug mg kg ton; temperature: cel degc degf °c °f celsius; pressure: hpa kpa mpa gpa mbar bar psi mmhg torr
force: kgf kn knm; time: sec msec seconds minutes hours days; frequency: rpm rps hz khz mhz ghz
energy: wh kwh mwh gwh kj mj gj kcal mcal gcal
power: kw mw gw kva mva kvar mvar kvarh mvarh; electricity: mv kv ma ka ohm kohm; carbon: tco2 kgco2 tco2eq kgco2eq
other: deg rad lux px hrc toe krw usd
""")
_QUOTIENT = re.compile(r"(?!deg)[^\W\d_][^\W_]+_(?!min)[^\W_]+")  # `kgf_cm2`, where a database takes no slash
_NOT_BEFORE_UNIT = re.compile(r"(?i)(?:^|[\W_])(?:per|in|of|by|y{2,4}|h{1,2}|date|day|month|year)$")
_LABEL = re.compile("(?i)(?:phase|line|class|group|type|part|zone|grade|rank|model|라인|공정|그룹|등급|구역|설비|상)$")
_EVIDENCE = {  # words that tell minutes from a minimum, inches from an inlet
    "min": re.compile("(?i)time|duration|period|wear|age|시간|기간|주기"),
    "in": re.compile("(?i)length|width|height|thick|diam|size|길이|폭|높이|두께|지름"),
}
_UNITS_WITHIN = {unit for code in _COMMON for unit in re.split("[./()]", code)}


def of_header(header: str) -> tuple[str, str]:
    """A column header as its name and its unit text, which ``understand`` understands; ``""`` where it shows none.

    A unit stands in brackets, or at the end where nothing else can be meant (``_kWh``, not ``_A``, ``_min`` or
    ``_nm``). ``[C]`` and ``[F]`` beside a word for temperature come back as ``°C`` and ``°F``.

    >>> of_header("온도(℃)"), of_header("press_kgf/cm2"), of_header("Ship speed (v) [knots]")
    (('온도', '℃'), ('press', 'kgf/cm2'), ('Ship speed (v)', 'knots'))
    """
    if len(header) > 5 * _LONGEST:
        return header, ""
    for found in reversed(list(_BRACKETED.finditer(header.translate(_BRACKETS)))):
        name = (header[: found.start()].rstrip() + header[found.end() :]).strip()
        text = header[found.start() + 1 : found.end() - 1].strip()
        if text in ("C", "F") and re.search("(?i)temp|온도", name):
            text = f"°{text}"
        if name and (not text or _stands_in_brackets(text, name)):
            return name, text
    for joint in _JOINT.finditer(header):
        name, text = header[: joint.start()].strip(), header[joint.end() :].strip()
        if _QUOTIENT.fullmatch(text):
            text = text.replace("_", "/")
        if name and _stands_at_end(text) and not _NOT_BEFORE_UNIT.search(name):
            return name, text
    return header.strip(), ""


def _stands_in_brackets(text: str, name: str) -> bool:
    """Whether a bracketed text is a unit, not a symbol (``Length (L)``), a label (``Line (A)``) or a number."""
    code = _code(text)
    if code is None or re.fullmatch(r"[\W\d]*\d[\W\d]*", _tidy(text)) or not _is_common(code):
        return False
    evidence = _EVIDENCE.get(text.casefold())
    if evidence is not None:
        return bool(evidence.search(name))
    return not re.fullmatch("[A-Za-z]", text) or not _is_symbol(text, code, name)


def _is_common(code: str) -> bool:
    """Whether a code is one that people use: UCUM reads ``T1``, ``Mg``, ``PV`` and ``S/N`` as units too."""
    units = re.split("[./()]", code)
    return code in _COMMON or (any(len(unit) > 1 for unit in units) and set(units) <= _UNITS_WITHIN)


def _is_symbol(letter: str, code: str, name: str) -> bool:
    words = [word.casefold() for word in re.findall(r"[^\W_]+", name)]
    spellings = tuple(spelling for spelling, of in _CODE_OF_WORD.items() if of == code)
    if any(word.startswith(spellings) for word in words):  # "Voltage (V)", "Hours (h)"
        return False
    return bool(_LABEL.search(name)) or letter.casefold() in {word[0] for word in words}


def _stands_at_end(text: str) -> bool:
    """Whether a text without brackets can only be a unit."""
    code = _code(text)
    if code not in _COMMON or code == "1" or re.search("[가-힣]", text):
        return False
    known = any(_word(text) in suffixes for suffixes in _SUFFIXES.values())
    return known or not text.isascii() or (len(text) > 2 and "/" in text)
