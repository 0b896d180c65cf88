"""Terms: under which licence data and what is made of it leave the house, and who may use them how."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from dxai.contract.model import Contract
from dxai.contract.policy import UsagePolicy


class Text(BaseModel):
    """One text in both languages."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    en: str
    ko: str


class Terms(BaseModel):
    """What a firm agrees to before the first download.

    Attributes:
        licence: SPDX identifier.
        citation: Source of the training data.
        usage: Who may use the model, and how.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    licence: str
    citation: str
    usage: Text


_HOLDERS = {
    "provider": Text(en="the provider", ko="제공자"),
    "recipient": Text(en="the recipient", ko="수령자"),
    "shared": Text(en="both", ko="양측"),
}
_NO_POLICY = Text(
    en="The contract of the data says nothing of its use: ask its provider before this model leaves your house.",
    ko="데이터 계약에 이용 조건이 없습니다. 이 모델을 외부에 내보내기 전에 제공자에게 확인하십시오.",
)


def terms_of(contract: Contract) -> Terms:
    """What a contract says of a model that is made from its data."""
    usage = _usage(contract.policy) if contract.policy else _NO_POLICY
    citation = contract.citation or f"{contract.title_en}, version {contract.version}"
    return Terms(licence=contract.licence or "not stated", citation=citation, usage=usage)


def _usage(policy: UsagePolicy) -> Text:
    holder, purposes = _HOLDERS[policy.model_outputs], ", ".join(policy.purposes)
    en = [
        f"Made from data of {policy.provider} for {policy.recipients}",
        f"models and predictions belong to {holder.en}",
    ]
    ko = [f"{policy.provider}의 데이터로 {policy.recipients}에게 제공됨", f"모델과 예측값은 {holder.ko}에 귀속됨"]
    if purposes:
        en, ko = [*en, f"only for: {purposes}"], [*ko, f"이용 목적: {purposes}"]
    if policy.until:
        en, ko = [*en, f"until {policy.until}"], [*ko, f"{policy.until}까지"]
    if not policy.redistribution:
        en, ko = [*en, "the data may not be passed on"], [*ko, "데이터의 재제공 금지"]
    if not policy.cross_border:
        en, ko = [*en, "the data stays in the country"], [*ko, "데이터의 국외 이전 금지"]
    return Text(en="; ".join(en) + ".", ko="; ".join(ko) + ".")
