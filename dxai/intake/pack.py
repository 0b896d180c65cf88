"""A data folder to one zip file that can be handed on: the same bytes whenever and wherever it is packed."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import zipfile
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl

from dxai.contract import Contract, load_contract
from dxai.data.package import CONTRACT, CROISSANT, POLICY, SUMS, TABLE, refuse_missing
from dxai.data.readers import Block
from dxai.data.sources import sha256_of
from dxai.data.tables import format_of, read_blocks
from dxai.errors import DataError, NotFoundError, SettingsError
from dxai.files import whole_file
from dxai.intake.check import check
from dxai.intake.linked_data import croissant, offer

Watch = Callable[[Iterable[pl.DataFrame]], Iterable[pl.DataFrame]]
"""Passes blocks of rows on, and may count them."""

_NAME = re.compile(r"[A-Za-z0-9][\w.+-]*", re.ASCII)


def pack(
    folder: Path, output: Path | None = None, *, published: date | None = None, watch: Watch = lambda blocks: blocks
) -> Path:
    """Write the package of a data folder; the table is held against its contract first.

    Args:
        folder: Holds ``contract.yaml`` and ``table.parquet``; whatever else is in it stays there.
        output: Zip file; by default ``ID-VERSION.zip`` beside the folder.
        published: Day that the description gives; by default the day (UTC) on which the table was written.
        watch: Sees the rows as they are checked.

    Returns:
        The zip file.

    Raises:
        NotFoundError: There is no contract, no table or no folder for the output.
        SettingsError: The output is no ``.zip``.
        DataError: The table breaks the contract, or nothing says who may use it.
    """
    refuse_missing(folder)
    contract = load_contract(folder / CONTRACT)
    _refuse_unshareable(contract, folder / CONTRACT)
    target = output or folder.resolve().parent / f"{contract.id}-{contract.version}.zip"
    _refuse_target(target)
    _refuse_table(folder / TABLE, contract, watch)
    files = {name: folder / name for name in (CONTRACT, TABLE)}
    sums = {name: sha256_of(path) for name, path in files.items()}
    day = published or datetime.fromtimestamp(files[TABLE].stat().st_mtime, UTC).date()
    told = {CROISSANT: croissant(contract, folder, sums, published=day), POLICY: offer(contract)}
    texts = {
        name: (json.dumps(each, ensure_ascii=False, indent=2) + "\n").encode() for name, each in told.items() if each
    }
    sums |= {name: hashlib.sha256(text).hexdigest() for name, text in texts.items()}
    texts[SUMS] = "".join(f"{sums[name]}  {name}\n" for name in sorted(sums)).encode()
    _write(files | texts, target)
    return target


def _write(members: dict[str, Path | bytes], target: Path) -> None:
    """Sorted members, all of one date and owner, stored as they are."""
    with whole_file(target) as file, zipfile.ZipFile(file, "w") as archive:
        for name, content in sorted(members.items()):
            entry = zipfile.ZipInfo(name)  # dated 1980
            entry.create_system, entry.external_attr = 3, 0o100644 << 16
            if isinstance(content, bytes):
                archive.writestr(entry, content)
            else:
                entry.file_size = content.stat().st_size
                with content.open("rb") as source, archive.open(entry, "w") as member:
                    shutil.copyfileobj(source, member, 1 << 20)


def _refuse_unshareable(contract: Contract, place: Path) -> None:
    if not (contract.policy or contract.licence):
        raise DataError(
            "The contract does not say who may use the data: it has neither a usagePolicy nor a licence.",
            where=str(place), fix="Write one of them; docs/data-standard.md says how.",
        )  # fmt: skip
    for word in (contract.id, contract.version):
        if not _NAME.fullmatch(word):
            told = f"The contract's id and version name the package, however one of them is {word!r}."
            raise DataError(told, where=str(place), fix="Use letters, digits, '.', '-' and '_'.")


def _refuse_target(target: Path) -> None:
    if target.suffix != ".zip":
        raise SettingsError("A package is a zip file.", where=str(target), fix=f"-o {target.stem}.zip")
    if not target.parent.is_dir():
        fix = f"mkdir -p {target.parent}"
        raise NotFoundError("The folder of the output is not there.", where=str(target.parent), fix=fix)


def _refuse_table(path: Path, contract: Contract, watch: Watch) -> None:
    """Refuse what breaks the contract, and columns that it does not name: they might be nobody else's business."""
    if format_of(path) != "parquet":
        fix = f"dxai data convert {path} -c {path.with_name(CONTRACT)} -o {path}"
        raise DataError("The table is no Parquet file.", where=str(path), fix=fix)
    blocks = watch(_own_columns(read_blocks(path), contract, path))
    check(map(Block, blocks), contract, where=str(path)).problems.refuse(str(path))


def _own_columns(blocks: Iterable[pl.DataFrame], contract: Contract, path: Path) -> Iterator[pl.DataFrame]:
    for block in blocks:
        if others := [name for name in block.columns if name not in contract.names]:
            told = f"The table has columns that the contract does not name: {', '.join(others[:5])}."
            raise DataError(told, where=str(path), fix="Make the table with `dxai data convert`.")
        yield block
