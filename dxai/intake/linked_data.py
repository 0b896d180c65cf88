"""What a package says to programs, as JSON-LD: what it holds (Croissant 1.1), who may use it and how (ODRL 2.2).

Data-set search engines and machine-learning loaders read the description. What ODRL has no words for in the policy
(kind of contract, who holds derived data and models, personal data) is said in terms of an own profile,
``urn:dxai:policy:``. That name space is not registered and nothing can be fetched from it; the terms are those of
`dxai.contract.policy`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from dxai.contract import Column, Contract, UsagePolicy
from dxai.data.package import CONTRACT, POLICY, TABLE

ROWS = "rows"
"""Id of the record set: one record is one row of the table."""

_TYPES = {"number": "sc:Float", "category": "sc:Text", "date": "sc:Date", "timestamp": "sc:DateTime"}
_FORMATS = {CONTRACT: "application/yaml", TABLE: "application/x-parquet"}
_SPDX_ID = re.compile(r"[A-Za-z0-9.+-]+")
_TERMS = (
    "annotation", "arrayShape", "citeAs", "column", "containedIn", "equivalentProperty", "excludes", "extract", "field",
    "fileObject", "fileProperty", "fileSet", "format", "includes", "isArray", "isLiveDataset", "jsonPath", "key", "md5",
    "parentField", "path", "readLines", "recordSet", "references", "regex", "repeated", "replace", "samplingRate",
    "sdVersion", "separator", "source", "subField", "transform", "unArchive", "value",
)  # fmt: skip
_CROISSANT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "odrl": "http://www.w3.org/ns/odrl/2/",
    "conformsTo": "dct:conformsTo",
    "name": {"@container": "@language"},
    "description": {"@container": "@language"},
    "data": {"@id": "cr:data", "@type": "@json"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    **{term: f"cr:{term}" for term in _TERMS},
}
_PROFILE = "urn:dxai:policy:"
_KOREA = "http://publications.europa.eu/resource/authority/country/KOR"
_ODRL: dict[str, Any] = {
    "@vocab": "http://www.w3.org/ns/odrl/2/",
    "dct": "http://purl.org/dc/terms/",
    "vcard": "http://www.w3.org/2006/vcard/ns#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
    "dxai": _PROFILE,
    "uid": "@id",
    "type": "@type",
    **{name: {"@id": name, "@type": "@vocab"} for name in ("action", "conflict", "leftOperand", "operator")},
    **{name: {"@id": name, "@type": "@id"} for name in ("profile", "target")},
    **{
        f"dxai:{name}": {"@id": f"dxai:{name}", "@type": "@id"}
        for name in ("contractType", "derivedData", "modelOutputs")
    },
}
"""Written out, as no program should have to ask the network what a policy means."""


def croissant(contract: Contract, folder: Path, sums: Mapping[str, str], *, published: date) -> dict[str, Any]:
    """JSON-LD of a data set.

    Args:
        contract: What the table means.
        folder: Holds contract and table.
        sums: sha256 of both.
        published: The standard asks for a day of publication.

    Source: Croissant Format Specification 1.1 (MLCommons), http://mlcommons.org/croissant/1.1.
    """
    provider = contract.policy.provider if contract.policy else "not stated"
    return {
        "@context": _CROISSANT, "@type": "sc:Dataset", "conformsTo": "http://mlcommons.org/croissant/1.1",
        "name": contract.title_en, "alternateName": _korean(contract.title_ko),
        "description": f"{contract.purpose} {contract.limitations}".strip(),
        "url": _iri(contract), "version": contract.version, "datePublished": published.isoformat(),
        "creator": {"@type": "sc:Organization", "name": provider},
        "keywords": [word for word in (contract.sector, contract.task) if word],
        **_conditions(contract),
        "distribution": [_file(folder / name, sums[name]) for name in (CONTRACT, TABLE)],
        "recordSet": [_record_set(contract), *(_categories(c) for c in contract.columns if c.categories)],
    }  # fmt: skip


def _conditions(contract: Contract) -> dict[str, Any]:
    """Licence, citation and policy; where only a policy was agreed, it is the licence."""
    found: dict[str, Any] = {"license": _licence(contract.licence)}
    if contract.citation:
        found["citeAs"] = contract.citation
    if contract.policy:
        name = f"Usage policy of {contract.title_en}"
        types = ["sc:CreativeWork", "odrl:Offer"]
        found["usageInfo"] = {"@type": types, "@id": f"{_iri(contract)}:policy", "name": name, "url": POLICY}
    return found


def _licence(licence: str) -> str | dict[str, str]:
    if not licence:
        return {"@type": "sc:CreativeWork", "name": "Usage policy", "url": POLICY}
    if licence.startswith(("https://", "http://")):
        return licence
    if _SPDX_ID.fullmatch(licence):
        return f"https://spdx.org/licenses/{licence}"
    return {"@type": "sc:CreativeWork", "name": licence}


def _file(path: Path, sha256: str) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject", "@id": path.name, "name": path.name, "contentUrl": path.name,
        "contentSize": f"{path.stat().st_size} B", "encodingFormat": _FORMATS[path.name], "sha256": sha256,
    }  # fmt: skip


def _record_set(contract: Contract) -> dict[str, Any]:
    key = {"key": [{"@id": f"{ROWS}/{name}"} for name in contract.keys]} if contract.keys else {}
    described = {"description": contract.grain} if contract.grain else {}
    fields = [_field(column) for column in contract.columns]
    return {"@type": "cr:RecordSet", "@id": ROWS, "name": ROWS, **described, **key, "field": fields}


def _field(column: Column) -> dict[str, Any]:
    """One column; its unit as schema.org writes one: the system of codes, a colon, the code."""
    kind = _TYPES[column.kind]
    optional = {
        "description": column.description,
        "equivalentProperty": column.semantic,
        "unitCode": f"UCUM:{column.unit}" if column.kind == "number" else "",
        "minValue": column.minimum,
        "maxValue": column.maximum,
    }
    return {
        "@type": "cr:Field", "@id": f"{ROWS}/{column.name}", "name": column.name,
        "alternateName": [column.title_en, _korean(column.title_ko)],
        **{key: value for key, value in optional.items() if value not in ("", None)},
        "dataType": [kind, "cr:Label"] if column.role == "target" else kind,
        "source": {"fileObject": {"@id": TABLE}, "extract": {"column": column.name}},
    }  # fmt: skip


def _categories(column: Column) -> dict[str, Any]:
    """The texts of a category. No field refers to them, as a row may hold others, which count as unseen."""
    name = f"{column.name}/name"
    return {
        "@type": "cr:RecordSet", "@id": column.name, "name": column.name, "dataType": "sc:Enumeration",
        "key": {"@id": name}, "field": [{"@type": "cr:Field", "@id": name, "name": "name", "dataType": "sc:Text"}],
        "data": [{name: category} for category in column.categories],
    }  # fmt: skip


def _korean(text: str) -> dict[str, str]:
    return {"@value": text, "@language": "ko"}


def offer(contract: Contract) -> dict[str, Any] | None:
    """JSON-LD of the offer that a contract's usage policy makes; None where it has none.

    Source: W3C ODRL Information Model 2.2, Vocabulary & Expression 2.2.
    """
    policy = contract.policy
    if policy is None:
        return None
    actions = ["use", "distribute"] if policy.redistribution else ["use"]
    permission: dict[str, Any] = {"action": actions, "constraint": _constraints(policy)}
    if contract.citation:
        permission["duty"] = [{"action": "attribute", "dct:bibliographicCitation": contract.citation}]
    return {
        "@context": _ODRL, "type": "Offer", "uid": f"{_iri(contract)}:policy",
        "profile": _PROFILE,  # whoever does not know it must not go on: what follows in its terms binds too
        "target": _iri(contract),
        "assigner": {"type": "Party", "vcard:fn": policy.provider},
        "assignee": {"type": "PartyCollection", "vcard:fn": policy.recipients},
        "conflict": "prohibit",  # use includes distribute: what is forbidden stays so
        "permission": [_without_empty(permission)],
        **_without_empty({"prohibition": _prohibitions(policy)}),
        "dxai:contractType": f"dxai:{policy.contract_type}",
        "dxai:derivedData": f"dxai:{policy.derived_data}",
        "dxai:modelOutputs": f"dxai:{policy.model_outputs}",
        "dxai:personalData": policy.personal_data,
    }  # fmt: skip


def _constraints(policy: UsagePolicy) -> list[dict[str, Any]]:
    """All of them must hold."""
    found = [] if policy.cross_border else [_spatial("eq")]
    if policy.purposes:
        found.append({"leftOperand": "purpose", "operator": "isAnyOf", "rightOperand": list(policy.purposes)})
    if policy.until:
        day = {"@value": policy.until, "@type": "xsd:date"}
        found.append({"leftOperand": "dateTime", "operator": "lteq", "rightOperand": day})
    return found


def _prohibitions(policy: UsagePolicy) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [] if policy.redistribution else [{"action": "distribute"}]
    return found if policy.cross_border else [*found, {"action": "use", "constraint": [_spatial("neq")]}]


def _spatial(operator: str) -> dict[str, Any]:
    return {"leftOperand": "spatial", "operator": operator, "rightOperand": {"@id": _KOREA}}


def _without_empty(record: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in record.items() if value}


def _iri(contract: Contract) -> str:
    """Name of one version of a data set, in policy and description alike; nothing can be fetched from it."""
    return f"urn:dxai:data:{contract.id}:{contract.version}"
