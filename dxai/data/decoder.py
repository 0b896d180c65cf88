"""Parquet files, decoded in a process of their own: at some damaged bytes polars ends the process that reads them.

One flipped byte can make its decoder ask for more memory than there is, which Rust answers by abort: no exception, no
message. Another one makes a thread of it panic, and the rows end as if there were no more.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import polars as pl

from dxai.errors import DataError

_KEPT = 1 << 24
"""Bytes of a file up to which its child waits for the next file: that of a larger one holds too much memory."""

CHILD = """
import io, sys
sys.path = sys.argv[1:]
import polars

def send(kind, content):
    sys.stdout.buffer.write(kind + len(content).to_bytes(8, "little"))
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()

def send_frame(frame):
    stream = io.BytesIO()
    frame.write_ipc_stream(stream)
    send(b"F", stream.getbuffer())

for line in sys.stdin:
    path, rows = line.split()
    try:
        table = polars.scan_parquet(bytes.fromhex(path).decode(), glob=False)
        send_frame(table.head(0).collect())
        for frame in table.collect_batches(chunk_size=int(rows), maintain_order=True):
            send_frame(frame)
        send(b"E", str(table.select(polars.len()).collect().item()).encode())
    except BaseException as error:  # a panic is no Exception, and leaves who knows what behind
        send(b"X" if isinstance(error, Exception) else b"P", str(error).encode(errors="replace"))
"""

_idle: list[subprocess.Popen[bytes]] = []


def decoded(path: Path, rows: int) -> Iterator[pl.DataFrame]:
    """Blocks of at most ``rows`` rows of a Parquet file, the first one empty.

    Raises:
        DataError: The file is broken.
    """
    child, count, waits = _idle.pop() if _idle else _start(), 0, False
    small = path.is_file() and path.stat().st_size <= _KEPT
    answers = _answers(child, path, rows)
    try:
        for kind, content in answers:
            waits = small and kind in (b"E", b"X")
            if kind == b"E" and count < int(content):
                waits = False
                raise _broken(f"is broken: only {count:,} of its {int(content):,} rows can be read.", path)
            if kind in (b"X", b"P"):
                raise _broken(f"cannot be read: {content.decode().partition(chr(10))[0][:200]}", path)
            if kind == b"F":
                frame = pl.read_ipc_stream(content)
                count += len(frame)
                yield frame
    except GeneratorExit:  # the reader has seen enough
        with contextlib.suppress(DataError):
            waits = small and all(kind != b"P" for kind, _ in answers)
        raise
    finally:  # a child that was not heard to the end would answer the next question with this one's rows
        if waits:
            _idle.append(child)
        else:
            child.kill()
            with contextlib.suppress(BrokenPipeError):
                child.communicate()


def _answers(child: subprocess.Popen[bytes], path: Path, rows: int) -> Iterator[tuple[bytes, bytes]]:
    """What the child says of a file, until its end or an error."""
    assert child.stdin and child.stdout
    with contextlib.suppress(BrokenPipeError):
        child.stdin.write(f"{os.fsencode(path.absolute()).hex()} {rows}\n".encode())
        child.stdin.flush()
    kind = b""
    while kind not in (b"E", b"X", b"P"):
        kind, size = _exactly(child.stdout, 1, path), _exactly(child.stdout, 8, path)
        yield kind, _exactly(child.stdout, int.from_bytes(size, "little"), path)


def _exactly(stream: IO[bytes], size: int, path: Path) -> bytes:
    content = stream.read(size)
    if len(content) < size:
        raise _broken("is broken: decoding it ends the process.", path)
    return content


def _broken(told: str, path: Path) -> DataError:
    return DataError(f"The Parquet file {told}", where=str(path), fix="Write the file again, or save it as CSV UTF-8.")


def _start() -> subprocess.Popen[bytes]:
    path = [os.path.abspath(entry) for entry in sys.path]  # noqa: PTH100 ("" stands for the working folder)
    return subprocess.Popen(
        [sys.executable, "-I", "-c", CHILD, *path],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, pipesize=1 << 20,
    )  # fmt: skip
