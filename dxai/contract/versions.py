"""Semantic versions of contracts: another major means another table."""

from __future__ import annotations

from dxai.contract.model import Contract
from dxai.errors import DataError

SEMVER = r"^(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$"
"""Source: https://semver.org, 2.0.0."""


def refuse_other_major(contract: Contract, version: str, *, what: str, where: str) -> None:
    """Refuse what was made for another major version of a contract.

    Args:
        contract: The one at hand.
        version: Of the contract that ``what`` was made for.
        what: Such as ``mapping``, ``package``, ``model``.
        where: File that says so.

    Raises:
        DataError: The majors differ.
    """
    if version.partition(".")[0] != contract.version.partition(".")[0]:
        told = f"The {what} is for {contract.id} {version}, the contract here is {contract.version}: another table."
        fix = f"Take the contract of major version {version.partition('.')[0]}, or make the {what} anew for this one."
        raise DataError(told, where=where, fix=fix)
