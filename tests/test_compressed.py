"""A gzipped CSV file is read as it stands; a torn or endless one is refused before it fills the memory."""

from __future__ import annotations

import gzip
from pathlib import Path

import polars as pl
import pytest

from dxai.data.dialect import Dialect, dialect_of
from dxai.data.tables import read_blocks
from dxai.errors import DataError

ROWS = "온도(℃),이름\n" + "".join(f'{i},"줄, {i}"\n' for i in range(2_000))


def packed(path: Path, content: bytes) -> Path:
    path.write_bytes(gzip.compress(content, 1))
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp949", "utf-16"])
def test_a_packed_table_is_the_plain_one(encoding: str, tmp_path: Path) -> None:
    plain = tmp_path / "rows.csv"
    plain.write_bytes(ROWS.replace("℃", "C").encode(encoding))
    twin = packed(tmp_path / "rows.csv.gz", plain.read_bytes())
    read = [pl.concat(read_blocks(path, dialect_of(path))) for path in (plain, twin)]
    assert read[0].equals(read[1]) and len(read[1]) == 2_000


@pytest.mark.parametrize("end", [-200, -8, -1])
def test_a_torn_file_is_told(end: int, tmp_path: Path) -> None:
    path = packed(tmp_path / "rows.csv.gz", ROWS.encode())
    path.write_bytes(path.read_bytes()[:end])
    with pytest.raises(DataError, match="torn or broken"):
        list(read_blocks(path, dialect_of(path)))


def test_changed_bytes_are_told(tmp_path: Path) -> None:
    path = packed(tmp_path / "rows.csv.gz", ROWS.encode())
    content = bytearray(path.read_bytes())
    content[-6] ^= 1  # of the checksum
    path.write_bytes(content)
    with pytest.raises(DataError, match="torn or broken"):
        list(read_blocks(path, Dialect()))


def test_a_line_without_end_is_refused(tmp_path: Path) -> None:
    path = packed(tmp_path / "bomb.csv.gz", b"a,b\n1," + b"2" * (300 << 20))
    assert path.stat().st_size < 2 << 20
    with pytest.raises(DataError, match="longer than 256 MB"):
        dialect_of(path)
