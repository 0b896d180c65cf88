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


def speed_of(released: Predictor) -> dict[str, float]:
    """Rows that a portfolio answers in a second, to one digit, as it says itself; empty for a model of one piece."""
    found = getattr(getattr(released, "network", None), "rows_per_second", None)
    return {} if found is None else {"rows_per_second": float(f"{found:.0e}")}


def members_sentence(scores: Mapping[str, Any]) -> tuple[str, ...]:
    """The members that have a weight, and how fast they answer together.

    >>> members = {"ridge regression": {"weight": 0.25}, "boosted trees": {"weight": 0.75}}
    >>> for sentence in members_sentence({"members": members, "speed": {"rows_per_second": 2e4}})[0].split(". "):
    ...     print(sentence)
    Made of: ridge regression 25%, boosted trees 75%
    The weights come from rows that no member was fitted on
    One processor core answers some 20,000 rows a second (estimated).
    """
    members: Members = scores.get("members", {})
    told = ", ".join(f"{title} {values['weight']:.0%}" for title, values in members.items() if values["weight"])
    if not told:
        return ()
    speed = f"One processor core answers some {scores['speed']['rows_per_second']:,.0f} rows a second (estimated)."
    return (f"Made of: {told}. The weights come from rows that no member was fitted on. {speed}",)


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
