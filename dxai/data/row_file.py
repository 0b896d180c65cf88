"""A table that is larger than memory: all of its rows as numbers in one file, and a sample of them as they are.

The file lies in a folder beside ``table.parquet``, is made once, and made again when table or contract have changed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from dxai.contract import Contract
from dxai.files import whole_folder

BLOCK = 8_192
"""Rows that are read together."""
_VERSION = 1
"""Of the files below: a folder of another one is made again."""
_NUMBERS, _KEYS, _SAMPLE, _SAMPLED, _ABOUT = "rows.f32", "keys.u64", "sample.parquet", "sample.npy", "about.json"
_DRAWN = "\x00drawn"
"""Name that no column of a contract has."""

Keys = NDArray[np.uint64]


class About(BaseModel):
    """What a folder holds and what it was made from.

    Attributes:
        made_from: Version of the files, sha256 of the table, fingerprint of the contract, most rows of the sample.
        rows: With a true value.
        left_out: Without one.
        columns: Of the file of numbers: the features, the target last.
        data: sha256 of all numbers and keys.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    made_from: str
    rows: int
    left_out: int
    columns: tuple[str, ...]
    data: str


@dataclass(frozen=True)
class RowFile:
    """Rows on disk.

    Attributes:
        folder: Of its files.
        about: What they hold.
        grouped: Whether rows belong together: the key of a row is that of its group then, and its number otherwise.
    """

    folder: Path
    about: About
    grouped: bool

    @property
    def blocks(self) -> int:
        """Number of blocks; the last one may be shorter."""
        return -(-self.about.rows // BLOCK)

    def read(self, block: int) -> NDArray[np.float32]:
        """Rows of a block ``[rows, columns]``: NaN where missing, categories and classes by their number."""
        width = len(self.about.columns)
        offset, count = block * BLOCK * width * 4, self.rows_of(block) * width
        return np.fromfile(self.folder / _NUMBERS, np.float32, count, offset=offset).reshape(-1, width)

    def fitted(
        self, test: NDArray[np.int64], number: int, folds: int, seed: int, *, grouped: bool
    ) -> Callable[[int], NDArray[np.bool_]]:
        """Which rows of a block ``[rows]`` are no test of a fold.

        The fold tests some rows of the sample with all of their groups; of what the sample does not hold, a hash of the
        key says whether it does: no list of row numbers is held.

        Args:
            test: Its rows in the sample.
            number: Of the fold.
            folds: How many there are.
            seed: Of the hash.
            grouped: Whether the rows of a group stay together.
        """
        known, first = np.unique(self._sample_keys(grouped=grouped), return_index=True)
        tested = np.isin(first, test)

        def of_block(block: int) -> NDArray[np.bool_]:
            keys = self._keys(block, grouped=grouped)
            at = np.minimum(np.searchsorted(known, keys), len(known) - 1)
            made: NDArray[np.bool_] = np.where(
                known[at] == keys, ~tested[at], fold_numbers(keys, folds, seed) != number
            )
            return made

        return of_block

    def sample(self) -> pl.DataFrame:
        """Rows drawn at random, in the order of the table, with their types."""
        return pl.read_parquet(self.folder / _SAMPLE)

    def sample_rows(self) -> NDArray[np.int64]:
        """Number of each row of the sample ``[rows]`` among all."""
        rows: NDArray[np.int64] = np.load(self.folder / _SAMPLED)
        return rows

    def _sample_keys(self, *, grouped: bool) -> Keys:
        rows = self.sample_rows()
        if grouped and self.grouped:
            return np.memmap(self.folder / _KEYS, np.uint64, "r", shape=(self.about.rows,))[rows]
        return rows.astype(np.uint64)

    def rows_of(self, block: int) -> int:
        """How many rows a block has."""
        return min(BLOCK, self.about.rows - block * BLOCK)

    def _keys(self, block: int, *, grouped: bool) -> Keys:
        first, count = block * BLOCK, self.rows_of(block)
        if grouped and self.grouped:
            return np.fromfile(self.folder / _KEYS, np.uint64, count, offset=first * 8)
        return np.arange(first, first + count, dtype=np.uint64)


def fold_numbers(keys: Keys, folds: int, seed: int) -> Keys:
    """Fold of each key ``[rows]``, at random, the same for equal keys.

    Source: SplitMix64 (Steele, Lea, Flood 2014), its output function.
    """
    with np.errstate(over="ignore"):  # it is meant to wrap
        mixed = keys + np.uint64((seed + 1) * 0x9E3779B97F4A7C15 % 2**64)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        numbers: Keys = (mixed ^ (mixed >> np.uint64(31))) % np.uint64(folds)
    return numbers


def made_from(table: Path, contract: Contract, most: int) -> str:
    """What a folder must have been made from to be used for a table."""
    with table.open("rb") as file:
        return f"{_VERSION} {hashlib.file_digest(file, 'sha256').hexdigest()} {contract.fingerprint()} {most}"


def known(folder: Path, contract: Contract, source: str) -> RowFile | None:
    """The rows in a folder, if they were made from this source and none of their bytes is missing."""
    try:
        about = About.model_validate_json((folder / _ABOUT).read_text("utf-8"))
        found = [(folder / name).stat().st_size for name in (_NUMBERS, _KEYS, _SAMPLE, _SAMPLED)]
    except (OSError, ValidationError):
        return None
    whole = found[:2] == [about.rows * len(about.columns) * 4, about.rows * 8 if contract.group else 0]
    return RowFile(folder, about, bool(contract.group)) if whole and about.made_from == source else None


def write(
    folder: Path, blocks: Iterable[pl.DataFrame], contract: Contract, source: str, *, rows: int, most: int
) -> None:
    """Write the rows of checked blocks into a folder, which appears whole or not at all.

    Args:
        folder: To write.
        blocks: Of a table, under the contract's ids.
        contract: Of a row-by-row task.
        source: What they were made from.
        rows: Of all blocks together.
        most: Rows of the sample.

    Raises:
        NoSpaceError: The disk is full.
        SettingsError: The folder cannot be written.
    """
    chosen = np.sort(Random(0).sample(range(rows), min(most, rows)))
    columns = (*(column.name for column in contract.features), contract.target.name)
    digest, read, kept = hashlib.sha256(repr(columns).encode()), 0, 0
    sample, places = list[pl.DataFrame](), list[NDArray[np.int64]]()
    with whole_folder(folder) as work:
        with (work / _NUMBERS).open("wb") as numbers, (work / _KEYS).open("wb") as keys:
            for block in blocks:
                drawn = np.zeros(len(block), np.bool_)
                drawn[chosen[np.searchsorted(chosen, read) : np.searchsorted(chosen, read + len(block))] - read] = True
                read += len(block)
                block = block.with_columns(pl.Series(_DRAWN, drawn)).drop_nulls(contract.target.name)
                for file, content in ((numbers, _numbers(block, contract)), (keys, _group_keys(block, contract))):
                    file.write(content)
                    digest.update(content)
                places.append(np.flatnonzero(block[_DRAWN].to_numpy()) + kept)
                sample.append(block.filter(_DRAWN).drop(_DRAWN))
                kept += len(block)
        pl.concat(sample).write_parquet(work / _SAMPLE, statistics=False)
        np.save(work / _SAMPLED, np.concatenate(places))
        about = About(made_from=source, rows=kept, left_out=read - kept, columns=columns, data=digest.hexdigest())
        (work / _ABOUT).write_text(about.model_dump_json(indent=2) + "\n", "utf-8")


def _numbers(block: pl.DataFrame, contract: Contract) -> bytes:
    """Rows ``[rows, columns]`` of float32, which holds every number up to 16 million that a category may have."""
    made = np.empty((len(block), len(contract.features) + 1), np.float32)
    for place, column in enumerate((*contract.features, contract.target)):
        values, texts = block[column.name], contract.classes if column.role == "target" else column.categories
        if texts:
            values = values.fill_null("").replace_strict(texts, range(len(texts)), default=len(texts))
        made[:, place] = values.cast(pl.Float32).fill_null(float("nan")).to_numpy()
    return made.tobytes()


def _group_keys(block: pl.DataFrame, contract: Contract) -> bytes:
    """A key per row that is equal where all columns of the contract's group are equal; none where there is no group."""
    if not contract.group:
        return b""
    texts = [pl.col(name).cast(pl.String).fill_null("") for name in contract.group]
    groups = block.select(pl.concat_str(texts, separator="\x1f")).to_series()
    found = groups.unique()  # hashed here, since another version of polars may hash otherwise
    hashed = [int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") for text in found]
    return groups.replace_strict(found, hashed, return_dtype=pl.UInt64).to_numpy().tobytes()
