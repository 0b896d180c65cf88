"""The UCUM code that a person's unit text stands for."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from dxai.errors import DataError, nearest
from dxai.units.ucum import is_ucum
from dxai.units.vocabulary import AMBIGUOUS, CODE_OF_EXACT, CODE_OF_WORD, COMMON, LONGEST

_OTHERWISE = {*CODE_OF_EXACT, "C", "F", "T"}  # pieces that people and UCUM read differently
_PIECE = re.compile(r"(?:\{[^}]*\}|\[[^\]]*\]|[^./()])+")
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
    text = text.strip()[: LONGEST + 1]
    code = code_of(text)
    if code is not None:
        return code
    tidy, shown = tidied(text), _shown(text)
    doubt = next((piece for piece in (tidy, *_PIECE.findall(tidy)) if piece in AMBIGUOUS), None)
    if doubt is not None:
        raise DataError(f"unit {shown} may mean two things", fix=f"write {AMBIGUOUS[doubt]}")
    raise DataError(f"unit {shown} is not understood", fix=f"write {_nearest(folded(tidy))}")


def _nearest(word: str) -> str:
    """The common code that a word looks most like; first of all one that differs in capitals only, as MPa from mpa."""
    near = next((code for code in sorted(COMMON) if code.casefold() == word), None)
    near = near or nearest(word, [*CODE_OF_WORD, *sorted(COMMON)]) or "its UCUM code, such as Cel, MPa, kg/m3 or /min"
    return CODE_OF_WORD.get(near, near)


@lru_cache(maxsize=4096)
def code_of(text: str) -> str | None:
    """The code of a text, or None where it is not understood or ambiguous."""
    tidy = tidied(text)
    if signs := CODE_OF_EXACT.get(text.strip()):  # by the signs ㎏/㎠ nobody means an area density
        return signs
    if not tidy or len(text) > LONGEST or tidy in AMBIGUOUS:
        return None
    return _unmistaken(text.strip()) or _simple(tidy) or _compound(tidy) or _listed(tidy)


def _shown(text: str) -> str:
    quoted = repr(text)
    return quoted if len(quoted) <= 42 else f"{quoted[:41]}…{quoted[-1]}"


def _unmistaken(code: str) -> str | None:
    """The code itself where it is UCUM and people read it as UCUM does."""
    meant = code in COMMON or not _OTHERWISE.intersection([code, *_PIECE.findall(code)])
    return code if meant and is_ucum(code) else None


def tidied(text: str) -> str:
    """One sign for each meaning: full-width forms, superscripts, dots, dashes, Greek letters."""
    raised = re.sub("[⁰¹²³⁴-⁹⁻⁺]+", lambda run: "^" + run[0], text.strip().translate(_SIGNS))
    plain = unicodedata.normalize("NFKC", raised).translate(_SIGNS).replace("**", "^")
    return re.sub(r"\^|(?<=°)\s+", "", re.sub(r"\b10\s*\^\s*", "10*", plain))


def folded(text: str) -> str:
    """A spelling less case, blanks, dots and underscores: the key of the words in the vocabulary."""
    return re.sub(r"[\s._]+", "", tidied(text)).casefold()


def _simple(piece: str) -> str | None:
    """The code of one unit without operators, perhaps raised to a power."""
    if piece in AMBIGUOUS:
        return None
    code = (
        CODE_OF_EXACT.get(piece)
        or _unmistaken(piece)
        or CODE_OF_WORD.get(folded(piece))
        or CODE_OF_WORD.get(folded(piece).removesuffix("s"))
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
    codes = {code_of(part) for part in text.split(",")} if "," in text else set()
    return codes.pop() if len(codes) == 1 else None


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
