"""Parquet files, decoded by a process of their own first: at some damaged bytes polars ends the process that reads it.

One flipped byte can make its decoder ask for more memory than there is, which Rust answers by abort: no exception, no
message. Another one makes a thread of it panic, and the rows end as if there were no more. What a child has decoded to
its end this process may decode as well: to do it twice costs less than to hand the rows over.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from dxai.errors import DataError

_KEPT = 1 << 24
"""Bytes of a file up to which its child waits for the next file: that of a larger one holds too much memory."""

CHILD = """
import json, sys
sys.path = sys.argv[1:]
import polars

for line in sys.stdin:
    told = {"sound": True}  # fit for another file
    try:
        table = polars.scan_parquet(bytes.fromhex(line).decode(), glob=False)
        told["rows"] = sum(map(len, table.collect_batches()))
        told["promised"] = table.select(polars.len()).collect().item()
    except BaseException as error:  # a panic is no Exception, and leaves who knows what behind
        told = {"sound": isinstance(error, Exception), "error": str(error)}
    print(json.dumps(told), flush=True)
"""

_idle: list[subprocess.Popen[bytes]] = []
_decoded: deque[tuple[object, ...]] = deque(maxlen=16)
"""Files that a child came to the end of, as they were: the next reader need not ask again."""
_SETTLED = 1e9
"""Nanoseconds after which a change of a file surely shows in its time."""


def decoded(path: Path, rows: int) -> Iterator[pl.DataFrame]:
    """Blocks of at most ``rows`` rows of a Parquet file, the first one empty.

    Raises:
        DataError: The file is broken.
    """
    _refuse_unread(path)
    table = pl.scan_parquet(path, glob=False)
    yield table.head(0).collect()
    yield from table.collect_batches(chunk_size=rows, maintain_order=True)


def count_rows(path: Path) -> int:
    """Rows of a Parquet file.

    Raises:
        DataError: The file is broken.
    """
    _refuse_unread(path)
    count: int = pl.scan_parquet(path, glob=False).select(pl.len()).collect().item()
    return count


def _refuse_unread(path: Path) -> None:
    """Raise where a child finds the file broken; one that it came to the end of is not read by it again."""
    status = path.stat()
    state = (path.absolute(), status.st_ino, status.st_size, status.st_mtime_ns)
    if state not in _decoded:
        _refuse_broken(path, status.st_size)
        if time.time_ns() - status.st_mtime_ns > _SETTLED:
            _decoded.append(state)


def _refuse_broken(path: Path, size: int) -> None:
    child, sound = _idle.pop() if _idle else _start(), False
    try:
        told = _answer(child, path)
        if "error" in told:
            sound = told["sound"]
            raise _broken(f"cannot be read: {told['error'].partition(chr(10))[0][:200]}", path)
        if told["rows"] < told["promised"]:
            raise _broken(f"is broken: only {told['rows']:,} of its {told['promised']:,} rows can be read.", path)
        sound = True
    finally:
        if sound and size <= _KEPT:
            _idle.append(child)
        else:
            child.kill()
            with contextlib.suppress(BrokenPipeError):
                child.communicate()


def _answer(child: subprocess.Popen[bytes], path: Path) -> dict[str, Any]:
    assert child.stdin and child.stdout
    with contextlib.suppress(BrokenPipeError):
        child.stdin.write(os.fsencode(path.absolute()).hex().encode() + b"\n")
        child.stdin.flush()
    if not (line := child.stdout.readline()):
        raise _broken("is broken: decoding it ends the process.", path)
    told: dict[str, Any] = json.loads(line)
    return told


def _broken(told: str, path: Path) -> DataError:
    return DataError(f"The Parquet file {told}", where=str(path), fix="Write the file again, or save it as CSV UTF-8.")


def _start() -> subprocess.Popen[bytes]:
    path = [os.path.abspath(entry) for entry in sys.path]  # noqa: PTH100 ("" stands for the working folder)
    return subprocess.Popen(
        [sys.executable, "-I", "-c", CHILD, *path],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
