"""What a row means: columns, units, ranges, roles. Read from one ODCS 3.1 YAML file, the only hand-written description.

Standard: Open Data Contract Standard v3.1.0 (Bitol, Linux Foundation AI & Data). Units are UCUM codes. Whatever
ODCS has no field for (unit, role, titles, task, grain) stands in ``customProperties``.
"""

from __future__ import annotations

import hashlib
import json
import re
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, PositiveInt, ValidationError

from dxai.errors import DataError, NotFoundError, nearest

Task = Literal["quality", "demand"]
Kind = Literal["number", "category", "date"]
Role = Literal["feature", "target", "series", "time"]
Frequency = Literal["weekly", "monthly", "quarterly"]

_KINDS: dict[str, Kind] = {"number": "number", "integer": "number", "string": "category", "date": "date"}
_ASCII_ID = re.compile(r"[a-z][a-z0-9_]{0,63}")


class Column(BaseModel):
    """One column of a row.

    Attributes:
        name: ASCII id; the name of the graph input and of the table column.
        kind: ``number``, ``category`` (text from a list) or ``date``.
        role: ``feature``, ``target``, ``series`` (which series a row belongs to) or ``time``.
        unit: UCUM code, ``1`` for a pure number.
        minimum, maximum: Admissible range in ``unit``, inclusive.
        required: Whether a value must be present; other gaps are imputed inside the graph.
        categories: Admissible texts of a category; others count as unseen.
        title_en, title_ko: Labels for people.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    kind: Kind
    role: Role
    unit: str = "1"
    minimum: FiniteFloat | None = None
    maximum: FiniteFloat | None = None
    required: bool = False
    categories: tuple[str, ...] = ()
    title_en: str
    title_ko: str
    description: str = ""


class Contract(BaseModel):
    """What a table means. Frozen; equal contracts have equal fingerprints.

    Attributes:
        sector: Of the alliance, such as ``materials`` (ODCS ``domain``).
        group: Columns whose joint value names an entity that must stay on one side of a split.
        frequency, horizon, season, minimum_history: Time grain of a demand table, all in steps of ``frequency``.
        absent: Whether a step without a row means ``zero`` units or a ``missing`` value.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    version: str
    title_en: str
    title_ko: str
    purpose: str
    purpose_ko: str = ""
    limitations: str = ""
    limitations_ko: str = ""
    sector: str = ""
    task: Task
    columns: tuple[Column, ...]
    group: tuple[str, ...] = ()
    frequency: Frequency | None = None
    horizon: Annotated[int, Field(ge=1, le=1000)] = 1
    season: PositiveInt = 1
    minimum_history: PositiveInt = 1
    absent: Literal["zero", "missing"] = "missing"

    @cached_property
    def target(self) -> Column:
        """The column to predict."""
        return self.only("target")

    @cached_property
    def features(self) -> tuple[Column, ...]:
        """Input columns in contract order: the order of the graph inputs."""
        return tuple(c for c in self.columns if c.role == "feature")

    @cached_property
    def numbers(self) -> tuple[Column, ...]:
        """Numeric input columns in contract order."""
        return tuple(c for c in self.features if c.kind == "number")

    @cached_property
    def categories(self) -> tuple[Column, ...]:
        """Category input columns in contract order."""
        return tuple(c for c in self.features if c.kind == "category")

    @property
    def names(self) -> tuple[str, ...]:
        """All column names in contract order."""
        return tuple(c.name for c in self.columns)

    def only(self, role: Role) -> Column:
        """The single column with this role."""
        (column,) = (c for c in self.columns if c.role == role)
        return column

    def fingerprint(self) -> str:
        """sha256 of the meaning: independent of YAML layout and comments."""
        return hashlib.sha256(json.dumps(self.model_dump(), sort_keys=True).encode()).hexdigest()


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
    custom = _custom(table, _TABLE_KEYS)
    title = _custom(odcs, _TEXT_KEYS)
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
        title_en=custom["titleEn"],
        title_ko=custom["titleKo"],
        description=odcs.get("description", ""),
    )


class _Unusable(Exception):
    """A rule of dxai that a readable contract breaks."""


_TITLE_KEYS = ("titleEn", "titleKo")
_TEXT_KEYS = (*_TITLE_KEYS, "purposeKo", "limitationsKo")
_TABLE_KEYS = ("task", "group", "frequency", "horizon", "season", "minimumHistory", "absentSteps", *_TITLE_KEYS)
_COLUMN_KEYS = ("role", "unit", *_TITLE_KEYS)


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
        "a quality contract needs a feature": contract.task != "quality" or "feature" in roles,
        "a demand contract needs one 'series' and one 'time' column and a frequency":
            contract.task != "demand"
            or (roles.count("series") == roles.count("time") == 1 and contract.frequency is not None),
    }  # fmt: skip
    broken = [rule for rule, holds in rules.items() if not holds]
    if broken:
        raise DataError("The contract breaks a rule: " + "; ".join(broken) + ".", where=where)
