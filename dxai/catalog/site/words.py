"""Every text of the site in both languages, and the bundle's own texts beside them."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files

from markupsafe import Markup

from dxai.contract.terms import Text

_SUPERSCRIPT = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
_UNITS = {
    "1": Text(en="", ko=""),
    "{unit}": Text(en="units", ko="개"),
    "Cel": Text(en="°C", ko="°C"),
    "a": Text(en="years", ko="년"),
    "d": Text(en="days", ko="일"),
    "h": Text(en="h", ko="시간"),
    "min": Text(en="min", ko="분"),
    "s": Text(en="s", ko="초"),
    "[kn_i]": Text(en="kn", ko="노트"),
}
"""UCUM codes that people write in another way."""


@cache
def texts() -> dict[str, Text]:
    """All texts of the site by key; the page's own program reads the same file."""
    told = json.loads((files(__package__) / "assets" / "texts.json").read_text("utf-8"))
    return {key: Text.model_validate(text) for key, text in told.items()}


def say(key: str, **values: object) -> Text:
    """The text of a key; values that are texts themselves are put in by language."""
    text = texts()[key]
    return Text(en=text.en.format_map(_in("en", values)), ko=text.ko.format_map(_in("ko", values)))


def word(group: str, name: str) -> Text:
    """What the site calls a sector, a metric or a yardstick; the name itself where it has no other word."""
    return texts().get(f"{group}.{name}", Text(en=name, ko=name))


def unit(code: str) -> Text:
    """A UCUM code as people write it.

    >>> unit("kg/m3").en, unit("kN.m").en, unit("d").ko
    ('kg/m³', 'kN·m', '일')
    """
    if code in _UNITS:
        return _UNITS[code]
    plain = "".join(c.translate(_SUPERSCRIPT) if code[i - 1 : i].isalpha() else c for i, c in enumerate(code))
    plain = plain.replace("{", "").replace("}", "").replace(".", "·")
    return Text(en=plain, ko=plain)


def both(text: Text) -> Markup:
    """The two languages as two spans; the style sheet hides one of them."""
    if text.en == text.ko:
        return Markup("{}").format(text.en)
    return Markup('<span class="en" lang="en">{}</span><span class="ko" lang="ko">{}</span>').format(text.en, text.ko)


def beside(text: Text) -> Markup:
    """The text in the other language than the page's own."""
    spans = '<span class="en" lang="ko">{}</span><span class="ko" lang="en">{}</span>'
    return Markup(spans).format(text.ko, text.en)


def switched(text: Text) -> Markup:
    """Attributes for an element that holds text only, such as an option: language.js puts the right one in."""
    return Markup('data-en="{}" data-ko="{}"').format(text.en, text.ko)


def _in(language: str, values: dict[str, object]) -> dict[str, object]:
    return {name: getattr(value, language) if isinstance(value, Text) else value for name, value in values.items()}
