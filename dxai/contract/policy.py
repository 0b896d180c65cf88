"""Who may do what with shared data: the terms of Korea's guideline on industrial data contracts, as settings.

Source: Industrial Digital Transformation Promotion Act, article 9 (whoever creates industrial data may use and profit
from it; once it was given to another both may, unless they agree otherwise), and the model contracts that follow it.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

ContractType = Literal["provision", "creation", "platform"]
"""제공형 (one party gives), 창출형 (several parties create), 플랫폼형 (a platform gathers and hands out)."""
Holder = Literal["provider", "recipient", "shared"]


class UsagePolicy(BaseModel):
    """What was agreed about a data set; `dxai.contract.keys` says what each field means."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    contract_type: ContractType
    provider: str
    recipients: str
    purposes: tuple[str, ...] = ()
    derived_data: Holder = "shared"
    model_outputs: Holder = "shared"
    redistribution: bool = False
    cross_border: bool = False
    personal_data: bool = False
    until: str = ""
