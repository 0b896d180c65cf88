"""ASCII ids for columns: what a header says, in letters that every tool takes."""

from __future__ import annotations

import re
from collections.abc import Iterable

from anyascii import anyascii

_LONGEST = 64
_SYLLABLE = re.compile(r"(?<=[a-z])(?=[A-Z])")


def ascii_id(title: str) -> str:
    """One id: ``온도`` to ``ondo`` (Revised Romanization, syllable by syllable), ``Fly ash`` to ``fly_ash``."""
    latin = _SYLLABLE.sub("", anyascii(title)) if not title.isascii() else title
    plain = re.sub(r"[^a-z0-9]+", "_", latin.lower()).strip("_")
    return (plain if plain[:1].isalpha() else f"c_{plain}".rstrip("_"))[:_LONGEST]


def ascii_ids(titles: Iterable[str]) -> list[str]:
    """One id for each title, all different: of equals the later ones are numbered."""
    ids = list[str]()
    for title in titles:
        base, number = ascii_id(title), 1
        name = base
        while name in ids:
            number += 1
            name = f"{base[: _LONGEST - 1 - len(str(number))]}_{number}"
        ids.append(name)
    return ids
