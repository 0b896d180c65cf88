"""Contracts in files: Open Data Contract Standard v3.1.0 (Bitol, Linux Foundation AI & Data), one YAML file per table.

Units are UCUM codes. Whatever ODCS has no field for (unit, role, titles, task, split, policy) stands in
``customProperties``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from dxai.contract.calendar import require_calendar
from dxai.contract.document import parse_document
from dxai.contract.keys import COLUMN, CONTRACT, POLICY, TABLE
from dxai.contract.level import Level
from dxai.contract.model import Column, Contract, Kind
from dxai.contract.policy import UsagePolicy
from dxai.errors import DataError, NotFoundError, nearest
from dxai.units import require_ucum

_KINDS: dict[str, Kind] = {
    "number": "number", "integer": "number", "string": "category", "date": "date", "timestamp": "timestamp",
}  # fmt: skip


def load_contract(path: Path) -> Contract:
    """Read and check one ODCS YAML file.

    Raises:
        NotFoundError: There is no such file.
        DataError: The file is no ODCS contract, or one that dxai cannot use; says which keys.
    """
    if not path.is_file():
        others = [p.stem for p in path.parent.glob("*.yaml")]
        hint = nearest(path.stem, others)
        raise NotFoundError(
            f"There is no contract {path.name!r}.",
            where=str(path),
            fix=f"Did you mean {hint!r}?" if hint else f"Contracts here: {', '.join(sorted(others)) or 'none'}.",
        )
    try:
        text = path.read_text("utf-8")
    except UnicodeDecodeError:
        raise DataError("The contract is not UTF-8 text.", where=str(path), fix="Save it as UTF-8.") from None
    contract = parse_contract(text, where=str(path))
    for column in contract.columns:  # here and not in `parse_contract`: a bundle's units were read when it was made
        require_ucum(column.unit, where=f"{path}, column {column.name!r}")
        require_calendar(column, where=f"{path}, column {column.name!r}")
    return contract


def parse_contract(text: str, *, where: str) -> Contract:
    """Build a contract from ODCS YAML text; ``where`` names the file in messages."""
    document = parse_document(text, where=where)
    (table,) = document["schema"]
    fields = _fields(CONTRACT, document) | _fields(TABLE, table)
    if "policy" in fields:
        fields["policy"] = UsagePolicy(**_fields(POLICY, fields["policy"]))
    columns = tuple(_column(properties) for properties in table["properties"])
    contract = Contract(**fields, columns=columns, keys=_keys(table["properties"]))
    _refuse_unusable(contract, where)
    return contract


def _fields(level: Level, document: dict[str, Any]) -> dict[str, Any]:
    """What stands at a level and in those below it that fill the same model, by field."""
    fields: dict[str, Any] = {}
    for key in level.keys:
        if key.name in document and key.field:
            fields[key.field] = document[key.name]
        elif key.name in document and key.holds and key.list_of is None:
            fields |= _fields(key.holds, document[key.name])
    return fields


def _column(document: dict[str, Any]) -> Column:
    fields = _fields(COLUMN, document)
    for check in document.get("quality", ()):
        if check.get("metric") == "invalidValues" and "validValues" in check.get("arguments", {}):
            fields["categories"] = check["arguments"]["validValues"]
    return Column(**fields | {"kind": _KINDS[fields["kind"]]})


def _keys(properties: list[dict[str, Any]]) -> tuple[str, ...]:
    keys = [p for p in properties if p.get("primaryKey")]
    return tuple(p["name"] for p in sorted(keys, key=lambda p: int(p.get("primaryKeyPosition", 1))))


_NEEDS: dict[str, tuple[str, Callable[[Contract, list[str]], bool]]] = {
    "quality": (
        "a quality contract needs a feature, and no role of a demand contract",
        lambda contract, roles: "feature" in roles and not contract.covariates,
    ),
    "demand": (
        "a demand contract needs a 'series' and one 'time' column and a frequency",
        lambda contract, roles: "series" in roles and roles.count("time") == 1 and contract.frequency is not None,
    ),
}
"""What a contract must have, by its task: in words, and whether it has that."""


def _refuse_unusable(contract: Contract, where: str) -> None:
    """One message with every rule the contract breaks."""
    names, roles = list(contract.names), [c.role for c in contract.columns]
    bounds = [(c, -float("inf") if c.minimum is None else c.minimum, c.maximum) for c in contract.columns]
    backward = [c.name for c, low, high in bounds if high is not None and low > high]
    targets = [c for c in contract.columns if c.role == "target"]
    of_rows = "series" not in roles and all(c.kind == "number" or len(c.categories) == 2 for c in targets)
    followed = [c for c in contract.columns if c.monotone]
    aimless = [c.name for c in followed if not of_rows or c.role != "feature" or c.kind != "number"]
    flagged = [c for c in contract.columns if c.role in ("open", "available")]
    flags = [c.name for c in flagged]
    screened = [c.name for c in contract.columns if c.sensitivity and (c.role != "target" or len(c.categories) != 2)]
    calendars = [c.name for c in contract.columns if c.holiday and (c.role, c.kind) != ("known_future", "number")]
    levels = {c.name for c in contract.columns if c.role == "series" or (c.role, c.kind) == ("static", "category")}
    ranged = [c.name for c in contract.columns if c.kind != "number" and (c.minimum, c.maximum) != (None, None)]
    rules = {
        f"column names must differ, however: {sorted({n for n in names if names.count(n) > 1})}":
            len(set(names)) == len(names),
        f"exactly one column has the role 'target', however: {roles.count('target')}": roles.count("target") == 1,
        f"group names columns, however: {sorted(set(contract.group) - set(names))}": set(contract.group) <= set(names),
        "hierarchy names columns with the role series, or static ones of texts, each once, however: "
        f"{[*contract.hierarchy]}":
            set(contract.hierarchy) <= levels and len(set(contract.hierarchy)) == len(contract.hierarchy),
        f"a minimum is not above its maximum, however: {backward}": not backward,
        f"monotone is said of numbers that predict a number or one of two classes, however: {aimless}": not aimless,
        f"a range is one of numbers, however: {ranged}": not ranged,
        "the time of hourly steps is a timestamp":
            contract.frequency != "hourly" or all(c.kind == "timestamp" for c in contract.columns if c.role == "time"),
        f"'open' and 'available' are numbers, 1 or 0, each said of one column at most, however: {flags}":
            roles.count("open") < 2 > roles.count("available") and all(c.kind == "number" for c in flagged),
        f"sensitivity is said of a target with two classes, however: {screened}": not screened,
        f"holiday is said of numbers with the role known_future, however: {calendars}": not calendars,
        "columns beside the history are numbers or categories that are listed":
            all(c.kind == "number" or (c.kind == "category" and c.categories) for c in contract.covariates),
        "a target of texts has two classes or more":
            all(c.kind != "category" or len(c.categories) > 1 for c in targets),
    }  # fmt: skip
    needed, has = _NEEDS.get(contract.task, ("", lambda *_: True))
    rules[needed] = has(contract, roles)
    broken = [rule for rule, holds in rules.items() if not holds]
    if broken:
        raise DataError("The contract breaks a rule: " + "; ".join(broken) + ".", where=where)
