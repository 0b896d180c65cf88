"""Units in column headers: ``온도(℃)``, ``press_kgf/cm2``."""

from __future__ import annotations

import re

from dxai.units.text import code_of, folded, tidied
from dxai.units.vocabulary import CODE_OF_WORD, COMMON, LONGEST, lines

_BRACKETS = str.maketrans("（）［］【】〔〕", "()[][][]")
_BRACKETED = re.compile(r"\((?:[^()]|\([^()]*\))*\)|\[(?:[^\[\]]|\[[^\[\]]*\])*\]")
_JOINT = re.compile(r"\s+/\s+|[\s_,:]+|(?<=[가-힣])(?=[A-Za-z])|(?<=[\w)])(?=[%‰°℃℉㎀-㏟])")
# Not `nm`, `cd`, `gb`, `dt` (name, code, kind, date in Korean databases), not `min` (minimum), `m3`, `in` or a letter.
_SUFFIXES = lines("""
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
_UNITS_WITHIN = {unit for code in COMMON for unit in re.split("[./()]", code)}


def of_header(header: str) -> tuple[str, str]:
    """A column header as its name and its unit text, which ``understand`` understands; ``""`` where it shows none.

    A unit stands in brackets, or at the end where nothing else can be meant (``_kWh``, not ``_A``, ``_min`` or
    ``_nm``). ``[C]`` and ``[F]`` beside a word for temperature come back as ``°C`` and ``°F``.

    >>> of_header("온도(℃)"), of_header("press_kgf/cm2"), of_header("Ship speed (v) [knots]")
    (('온도', '℃'), ('press', 'kgf/cm2'), ('Ship speed (v)', 'knots'))
    """
    if len(header) > 5 * LONGEST:
        return header, ""
    for found in reversed(list(_BRACKETED.finditer(header.translate(_BRACKETS)))):
        name = (header[: found.start()].rstrip() + header[found.end() :]).strip()
        text = header[found.start() + 1 : found.end() - 1].strip()
        if text in ("C", "F") and re.search("(?i)temp|온도", name):
            text = f"°{text}"
        if tidied(text) in ("kg/cm2", "kg/mm2") and re.search("(?i)pres|압력|stress|strength|강도|응력", name):
            text = text.replace("㎏", "kg").replace("kg", "kgf", 1)
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
    code = code_of(text)
    if code is None or re.fullmatch(r"[\W\d]*\d[\W\d]*", tidied(text)) or not _is_common(code):
        return False
    evidence = _EVIDENCE.get(text.casefold())
    if evidence is not None:
        return bool(evidence.search(name))
    return not re.fullmatch("[A-Za-z]", text) or not _is_symbol(text, code, name)


def _is_common(code: str) -> bool:
    """Whether a code is one that people use: UCUM reads ``T1``, ``Mg``, ``PV`` and ``S/N`` as units too."""
    units = re.split("[./()]", code)
    return code in COMMON or (any(len(unit) > 1 for unit in units) and set(units) <= _UNITS_WITHIN)


def _is_symbol(letter: str, code: str, name: str) -> bool:
    words = [word.casefold() for word in re.findall(r"[^\W_]+", name)]
    spellings = tuple(spelling for spelling, of in CODE_OF_WORD.items() if of == code)
    if any(word.startswith(spellings) for word in words):  # "Voltage (V)", "Hours (h)"
        return False
    return bool(_LABEL.search(name)) or letter.casefold() in {word[0] for word in words}


def _stands_at_end(text: str) -> bool:
    """Whether a text without brackets can only be a unit."""
    code = code_of(text)
    if code not in COMMON or code == "1" or re.search("[가-힣]", text):
        return False
    known = any(folded(text) in suffixes for suffixes in _SUFFIXES.values())
    return known or not text.isascii() or (len(text) > 2 and "/" in text)
