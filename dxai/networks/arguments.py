"""Types of the arguments of networks: by them what a YAML file says is checked before anything is built."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, PositiveFloat, PositiveInt, ValidationInfo

Share = Annotated[float, Field(ge=0, lt=1)]
"""From 0 to below 1."""


def _odd(steps: int) -> int:
    if steps % 2 == 0:
        raise ValueError("a moving average has a middle: the number of steps must be odd")
    return steps


def _one_per_pool(knots: tuple[int, ...], info: ValidationInfo) -> tuple[int, ...]:
    if len(knots) != len(info.data.get("pools", knots)):
        raise ValueError(f"there must be one per pool of model.pools, {len(info.data['pools'])} in all")
    return knots


OddSteps = Annotated[PositiveInt, AfterValidator(_odd)]
Pools = tuple[PositiveInt, ...]
Knots = Annotated[tuple[PositiveInt, ...], AfterValidator(_one_per_pool)]

__all__ = ["Knots", "OddSteps", "Pools", "PositiveFloat", "PositiveInt", "Share"]
