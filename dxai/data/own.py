"""`dxai train data=…`: a table with the kind of task, the split and the names that its contract asks for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import yaml

from dxai.contract import Contract, Frequency, load_contract
from dxai.data.package import CONTRACT, open_package
from dxai.errors import SettingsError

_CONTEXTS: dict[Frequency | None, int] = {"hourly": 168, "daily": 56}
"""Steps of history that a network looks at, where those of the experiment are too few: one week, eight weeks."""


def with_own_data(words: Sequence[str], checkout: Path) -> list[str]:
    """The words after ``dxai train`` with what ``data=`` or ``data.path=`` means spelt out; others as they are.

    What a person chose on the command line wins over what the contract asks for.

    Raises:
        SettingsError: A name means a shipped data set and a folder.
        NotFoundError: There is no such folder, or no contract and table in it.
        IntegrityError: A package does not hold what its checksums say.
    """
    _refuse_double_meaning(words, checkout)
    place = next((word for word in words if _path(word, checkout)), None)
    if place is None:
        return _with_experiment(words, checkout)
    folder = open_package(Path(_path(place, checkout)), checkout / "data" / "packages")
    named = {word.partition("=")[0] for word in words if word != place}
    chosen = [word for word in _chosen(folder, load_contract(folder / CONTRACT)) if word.partition("=")[0] not in named]
    at = words.index(place)
    return [*words[:at], *chosen, *words[at + 1 :]]


def _with_experiment(words: Sequence[str], checkout: Path) -> list[str]:
    """The words with the experiment of a data set that only ``data=NAME`` names: its own, or that of its kind."""
    named = dict(word.partition("=")[::2] for word in words)
    name = named.get("data", "")
    if "experiment" in named or not _is_shipped(name, checkout):
        return list(words)
    if (checkout / "configs" / "experiment" / f"{name}.yaml").is_file():
        return [f"experiment={name}", *words]
    told = yaml.safe_load((checkout / "configs" / "data" / f"{name}.yaml").read_text("utf-8"))
    if not isinstance(told, dict) or not told.get("contract"):
        return list(words)
    contract = load_contract(checkout / "contracts" / f"{told['contract']}.yaml")
    chosen = [word for word in _of_kind(contract) if word.partition("=")[0] not in named]
    return [*chosen, *words]


def _of_kind(contract: Contract) -> list[str]:
    """The experiment of a kind of task, and the split that the contract asks for."""
    split = contract.split or ("grouped" if contract.group else "")
    context = [f"scaling.context={_CONTEXTS[contract.frequency]}"] if contract.frequency in _CONTEXTS else []
    return [f"experiment={contract.task}", *([f"split={split}"] if split else []), *context]


def _refuse_double_meaning(words: Sequence[str], checkout: Path) -> None:
    """Raise SettingsError where ``data=NAME`` names a data set of configs/ and a folder with a contract alike."""
    for word in words:
        key, _, name = word.partition("=")
        if key == "data" and _is_shipped(name, checkout) and (Path(name) / CONTRACT).is_file():
            raise SettingsError(
                f"{name!r} is a data set of configs/data/ and a folder here.", where=word,
                fix=f"data=./{name} takes the folder; for the data set, give the folder another name.",
            )  # fmt: skip


def _is_shipped(name: str, checkout: Path) -> bool:
    return "/" not in name and (checkout / "configs" / "data" / f"{name}.yaml").is_file()


def _path(word: str, checkout: Path) -> str:
    """The path in a word that names own data, none otherwise: any after ``data.path=``; no choice after ``data=``."""
    key, _, value = word.partition("=")
    value = value.strip("'\"")
    if key == "data.path":
        return value
    looks_like_path = "/" in value or value.endswith((".zip", ".parquet")) or Path(value).is_dir()
    return value if key == "data" and not _is_shipped(value, checkout) and looks_like_path else ""


def _chosen(folder: Path, contract: Contract) -> list[str]:
    quoted = str(folder.resolve()).replace("\\", "\\\\").replace("'", "\\'")
    chosen = [*_of_kind(contract), "data=own"]
    name = re.sub(r"[^a-z0-9]+", "-", contract.id.lower()).strip("-") or "own"
    return [*chosen, f"data.name={name}", f"data.path='{quoted}'"]
