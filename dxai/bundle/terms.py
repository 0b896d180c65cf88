"""Terms: under which licence a model leaves the house and who may use it how, in Korean and English."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


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
