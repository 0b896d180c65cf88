"""The contract of a table: its standard and its file."""

from dxai.contract.model import Column, Contract, Frequency, Kind, Role, Task
from dxai.contract.odcs import load_contract, parse_contract
from dxai.contract.policy import UsagePolicy
from dxai.contract.versions import refuse_other_major

__all__ = [
    "Column",
    "Contract",
    "Frequency",
    "Kind",
    "Role",
    "Task",
    "UsagePolicy",
    "load_contract",
    "parse_contract",
    "refuse_other_major",
]
