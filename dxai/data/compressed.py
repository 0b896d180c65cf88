"""Bytes and text of a file, gzipped or not."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TextIO, cast

from dxai.errors import DataError


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """A file's bytes, unpacked on the way where its first bytes are those of gzip.

    Raises:
        DataError: The packed bytes are torn or broken; told when they are reached.
    """
    with path.open("rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        if not packed:
            yield raw
            return
        try:
            with gzip.GzipFile(fileobj=raw) as file:
                yield cast(BinaryIO, file)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            told = f"The gzip file is torn or broken: {error}."
            raise DataError(told, where=str(path), fix="Fetch or pack it again.") from None


@contextmanager
def opened_text(path: Path, encoding: str) -> Iterator[TextIO]:
    """The same as text, line ends as they are.

    Raises:
        UnicodeDecodeError: The bytes are in another encoding; told when they are reached.
    """
    with opened(path) as file, io.TextIOWrapper(file, encoding=encoding, newline="") as text:
        yield text
