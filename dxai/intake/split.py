"""The split that a draft proposes."""

from __future__ import annotations

from dataclasses import dataclass

from dxai.contract.model import SplitRule
from dxai.errors import SettingsError
from dxai.intake.choices import Choices
from dxai.intake.describe.record import TEMPORAL, ColumnDescription
from dxai.intake.describe.words import listed
from dxai.intake.look import Look


@dataclass(frozen=True)
class Split:
    """A rule, and the columns it goes by: the group's, or the one of the time."""

    rule: SplitRule
    group: tuple[str, ...] = ()
    time: str = ""


def split_of(look: Look, choices: Choices) -> Split:
    """What was chosen; otherwise as the rows follow each other in time or share a recipe; otherwise random.

    Raises:
        SettingsError: The time column holds no dates.
    """
    if look.time and look.seen.column(look.time).type not in TEMPORAL:
        fix = "Name a column of dates; `dxai data describe` lists the types."
        raise SettingsError(f"The column {look.time!r} holds no dates.", where="--time", fix=fix)
    if choices.kind == "demand":
        return Split("rolling", time=look.time)
    if choices.group:
        return Split("grouped", choices.group, look.time)
    reported = {suspicion.kind: suspicion.columns for suspicion in look.seen.suspicions}
    if time := look.time or next(iter(reported.get("time-order", ())), ""):
        return Split("ordered", time=time)
    return Split("grouped", reported["group"]) if "group" in reported else Split("random")


def told(split: Split) -> str:
    """One sentence: the rule, and why."""
    match split.rule:
        case "grouped":
            group = listed(split.group) if len(split.group) < 4 else f"recipe ({len(split.group)} columns)"
            return f"grouped by {group}: the report of a training tells what a random split would have hidden"
        case "ordered":
            return f"ordered by {split.time}: the report of a training tells what a random split would have hidden"
        case "rolling":
            return "rolling: each test is later than what it is trained on"
    return "random: rows seem independent; if they share a lot, a machine or a day, name it: --group COLUMN"


def names_classes(target: ColumnDescription) -> bool:
    """Whether its values are names: -1 and 1, or 1 and 2, as well as 0 and 1; numbers otherwise."""
    return target.type not in ("integer", "number") or (target.type == "integer" and target.distinct == 2)
