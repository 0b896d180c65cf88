"""A usage policy as an ODRL 2.2 offer: what the provider permits, forbids and asks for, for programs to read.

What ODRL has no words for (kind of contract, who holds derived data and models, personal data) is said in terms of an
own profile, ``urn:dxai:policy:``. That name space is not registered and nothing can be fetched from it; the terms are
those of `dxai.contract.policy`.
"""

from __future__ import annotations

from typing import Any

from dxai.contract import Contract, UsagePolicy

_PROFILE = "urn:dxai:policy:"
_KOREA = "http://publications.europa.eu/resource/authority/country/KOR"
_TERM, _IRI = {"@type": "@vocab"}, {"@type": "@id"}
_CONTEXT: dict[str, Any] = {
    "@vocab": "http://www.w3.org/ns/odrl/2/",
    "dct": "http://purl.org/dc/terms/",
    "vcard": "http://www.w3.org/2006/vcard/ns#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
    "dxai": _PROFILE,
    "uid": "@id",
    "type": "@type",
    **{name: {"@id": name, **_TERM} for name in ("action", "conflict", "leftOperand", "operator")},
    **{name: {"@id": name, **_IRI} for name in ("profile", "target")},
    **{f"dxai:{name}": {"@id": f"dxai:{name}", **_IRI} for name in ("contractType", "derivedData", "modelOutputs")},
}
"""Written out, as no program should have to ask the network what a policy means."""


def dataset_iri(contract: Contract) -> str:
    """Name of one version of a data set, in policy and description alike; nothing can be fetched from it."""
    return f"urn:dxai:data:{contract.id}:{contract.version}"


def policy_iri(contract: Contract) -> str:
    """Name of its policy."""
    return f"{dataset_iri(contract)}:policy"


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
        "@context": _CONTEXT, "type": "Offer", "uid": policy_iri(contract),
        "profile": _PROFILE,  # whoever does not know it must not go on: what follows in its terms binds too
        "target": dataset_iri(contract),
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
