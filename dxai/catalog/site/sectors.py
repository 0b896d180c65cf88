"""The sectors of the programme as tiles of the front page: each with its icon and the number of its models."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from dxai.bundle.folder import Bundle
from dxai.catalog.site.words import word
from dxai.contract.terms import Text

PROGRAMME = ("automotive", "electronics", "healthcare", "shipbuilding", "distribution", "materials")
"""Sectors of the programme, in its order, as contracts name them."""

ACROSS = "across"
"""Sector of every model that belongs to none of the programme's."""


@dataclass(frozen=True)
class Tile:
    """One sector on the front page; ``models`` counts the newest versions in it."""

    sector: str
    name: Text
    models: int


def sector_of(bundle: Bundle) -> str:
    """The tile that a model belongs to."""
    sector = bundle.contract.sector
    return sector if sector in PROGRAMME else ACROSS


def tiles(bundles: Iterable[Bundle]) -> list[Tile]:
    """All sectors, those without a model too."""
    counts = Counter(map(sector_of, bundles))
    return [Tile(name, word("sector", name), counts[name]) for name in (*PROGRAMME, ACROSS)]
