"""What a model of several members is made of, in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from dxai.learn.predictor import Predictor
from dxai.record.report import Table

Members = Mapping[str, Mapping[str, float]]
"""By title: ``weight``, ``alone``, ``without``; see `dxai.learn.portfolio.Member`."""


def members_of(released: Predictor) -> dict[str, dict[str, float]]:
    """All candidates of a portfolio by their titles; empty for a model of one piece."""
    found = getattr(getattr(released, "network", None), "members", {})
    told: dict[str, dict[str, Any]] = {title: asdict(member) for title, member in found.items()}
    return {title: {k: v for k, v in values.items() if v is not None} for title, values in told.items()}


def members_sentence(members: Members) -> tuple[str, ...]:
    """The members that have a weight, in one sentence.

    >>> members_sentence({"ridge regression": {"weight": 0.25}, "boosted trees": {"weight": 0.75}})[0].split(". ")[0]
    'Made of: ridge regression 25%, boosted trees 75%'
    """
    told = ", ".join(f"{title} {values['weight']:.0%}" for title, values in members.items() if values["weight"])
    return (f"Made of: {told}. The weights come from rows that no member was fitted on.",) if told else ()


def members_table(members: Members) -> Table | None:
    """What each candidate brings: its weight, and the loss where it is alone and where it is taken out."""
    if not members:
        return None
    rows = [
        (title, *(f"{values[key]:{form}}" if key in values else "" for key, form in _COLUMNS))
        for title, values in members.items()
    ]
    return Table(("member", "weight", "loss if it were alone", "loss without it"), tuple(rows))


_COLUMNS = (("weight", ".0%"), ("alone", "+.1%"), ("without", "+.1%"))
