"""Contracts in files: Open Data Contract Standard v3.1.0 (Bitol, Linux Foundation AI & Data), one YAML file per table.

Units are UCUM codes. Whatever ODCS has no field for (unit, role, titles, task, split, policy) stands in
``customProperties``.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from dxai.contract.model import Column, Contract, Kind
from dxai.contract.policy import UsagePolicy
from dxai.errors import DataError, NotFoundError, nearest

_KINDS: dict[str, Kind] = {
    "number": "number", "integer": "number", "string": "category", "date": "date", "timestamp": "timestamp",
}  # fmt: skip
_ASCII_ID = re.compile(r"[a-z][a-z0-9_]{0,63}")


def load_contract(path: Path) -> Contract:
    """Read and check one ODCS YAML file.

    Raises:
        NotFoundError: There is no such file.
        DataError: The file is no ODCS contract, or one that dxai cannot use; says which key.
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
    return parse_contract(text, where=str(path))


def parse_contract(text: str, *, where: str) -> Contract:
    """Build a contract from ODCS YAML text; ``where`` names the file in messages."""
    try:
        odcs = yaml.safe_load(text)
        contract = _from_odcs(odcs)
    except (yaml.YAMLError, KeyError, TypeError, IndexError, AttributeError, _Unusable) as error:
        raise DataError(
            f"This is not a readable ODCS contract: {type(error).__name__} {error}.",
            where=where,
            fix="Compare it with a contract in configs/contract/.",
        ) from None
    except ValidationError as error:
        told = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise DataError(f"The contract has values dxai cannot use: {told}.", where=where) from None
    _refuse_unusable(contract, where)
    return contract


def _from_odcs(odcs: dict[str, Any]) -> Contract:
    if len(odcs["schema"]) != 1:
        raise _Unusable(f"a contract describes one table, however schema has {len(odcs['schema'])}")
    (table,) = odcs["schema"]
    custom, title = _custom(table, _TABLE_KEYS), _custom(odcs, _TEXT_KEYS)
    policy = title.get("usagePolicy")
    return Contract(
        id=odcs["id"],
        version=str(odcs["version"]),
        title_en=title["titleEn"],
        title_ko=title["titleKo"],
        purpose=odcs["description"]["purpose"],
        purpose_ko=title.get("purposeKo", ""),
        limitations=odcs["description"].get("limitations", ""),
        limitations_ko=title.get("limitationsKo", ""),
        sector=odcs.get("domain", ""),
        task=custom["task"],
        columns=tuple(_column(p) for p in table["properties"]),
        group=tuple(custom.get("group", ())),
        keys=_keys(table["properties"]),
        grain=table.get("dataGranularityDescription", ""),
        time_zone=custom.get("timeZone", ""),
        split=custom.get("split", ""),
        licence=title.get("licence", ""),
        citation=title.get("citation", ""),
        policy=UsagePolicy(**{_snake(key): value for key, value in policy.items()}) if policy else None,
        frequency=custom.get("frequency"),
        horizon=custom.get("horizon", 1),
        season=custom.get("season", 1),
        minimum_history=custom.get("minimumHistory", 1),
        absent=custom.get("absentSteps", "missing"),
    )


def _column(odcs: dict[str, Any]) -> Column:
    custom, options = _custom(odcs, _COLUMN_KEYS), odcs.get("logicalTypeOptions", {})
    valid = [q["arguments"]["validValues"] for q in odcs.get("quality", []) if q.get("metric") == "invalidValues"]
    return Column(
        name=odcs["name"],
        kind=_KINDS[odcs["logicalType"]],
        role=custom["role"],
        unit=str(custom.get("unit", "1")),
        minimum=options.get("minimum"),
        maximum=options.get("maximum"),
        required=odcs.get("required", False),
        categories=tuple(str(v) for v in valid[0]) if valid else (),
        semantic=custom.get("semanticId", ""),
        title_en=custom["titleEn"],
        title_ko=custom["titleKo"],
        description=odcs.get("description", ""),
    )


def _keys(properties: list[dict[str, Any]]) -> tuple[str, ...]:
    keys = [p for p in properties if p.get("primaryKey")]
    return tuple(p["name"] for p in sorted(keys, key=lambda p: p.get("primaryKeyPosition", 1)))


def _snake(name: str) -> str:
    """``crossBorder`` to ``cross_border``."""
    return re.sub(r"(?<=[a-z])([A-Z])", r"_\1", name).lower()


class _Unusable(Exception):
    """A rule of dxai that a readable contract breaks."""


_TITLE_KEYS = ("titleEn", "titleKo")
_TEXT_KEYS = (*_TITLE_KEYS, "purposeKo", "limitationsKo", "licence", "citation", "usagePolicy")
_TIME_KEYS = ("frequency", "horizon", "season", "minimumHistory", "absentSteps", "timeZone")
_TABLE_KEYS = ("task", "group", "split", *_TIME_KEYS, *_TITLE_KEYS)
_COLUMN_KEYS = ("role", "unit", "semanticId", *_TITLE_KEYS)


def _custom(odcs: dict[str, Any], known: tuple[str, ...]) -> dict[str, Any]:
    found = {p["property"]: p["value"] for p in odcs.get("customProperties", [])}
    for name in found:
        if name not in known:
            raise _Unusable(f"there is no custom property {name!r}, did you mean {nearest(name, known)!r}?")
    return found


def _refuse_unusable(contract: Contract, where: str) -> None:
    """One message with every rule the contract breaks."""
    names, roles = list(contract.names), [c.role for c in contract.columns]
    rules = {
        f"column names must be short ASCII ids like 'fly_ash', not: {[n for n in names if not _ASCII_ID.fullmatch(n)]}":
            all(_ASCII_ID.fullmatch(n) for n in names),
        f"column names must differ, however: {sorted({n for n in names if names.count(n) > 1})}":
            len(set(names)) == len(names),
        f"exactly one column has the role 'target', however: {roles.count('target')}": roles.count("target") == 1,
        f"group names columns, however: {sorted(set(contract.group) - set(names))}": set(contract.group) <= set(names),
        "a target of texts has two classes or more":
            all(c.kind != "category" or len(c.categories) > 1 for c in contract.columns if c.role == "target"),
        "a quality contract needs a feature": contract.task != "quality" or "feature" in roles,
        "a demand contract needs one 'series' and one 'time' column and a frequency":
            contract.task != "demand"
            or (roles.count("series") == roles.count("time") == 1 and contract.frequency is not None),
    }  # fmt: skip
    broken = [rule for rule, holds in rules.items() if not holds]
    if broken:
        raise DataError("The contract breaks a rule: " + "; ".join(broken) + ".", where=where)
