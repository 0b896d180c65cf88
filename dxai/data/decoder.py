"""A Parquet file decoded once in a process of its own: at some damaged bytes polars' decoder ends its process.

One flipped byte can make it ask for more memory than there is, which Rust answers by abort: no exception, no message.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import subprocess
import sys
import threading
from pathlib import Path

from dxai.errors import DataError

_LARGE = 1 << 24
"""Bytes of a file from which on the child is not kept for the next: its memory is worth more than its start."""

CHILD = """
import sys
sys.path = sys.argv[1:]
import polars
for path in sys.stdin:
    try:
        for _ in polars.scan_parquet(bytes.fromhex(path).decode(), glob=False).collect_batches(chunk_size=50_000):
            pass
    except BaseException:
        pass
    print(flush=True)
"""


class Decoder:
    """The child; started when it is first needed, and again after it died."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        atexit.register(self.close)

    def survives(self, path: Path) -> bool:
        """Whether a process lives on when it has decoded the file; an error that Python can catch is no death."""
        with self._lock:
            survived = False
            try:
                survived = self._answers(path)
            finally:  # a child that was not heard to the end would answer the next question with this one's answer
                if not survived or path.stat().st_size > _LARGE:
                    self._end()
            return survived

    def _answers(self, path: Path) -> bool:
        child = self._child = self._child or _start()
        assert child.stdin and child.stdout
        with contextlib.suppress(BrokenPipeError):
            child.stdin.write(os.fsencode(path.absolute()).hex().encode() + b"\n")
            child.stdin.flush()
        return child.stdout.readline() == b"\n"

    def close(self) -> None:
        """End the child."""
        with self._lock:
            self._end()

    def _end(self) -> None:
        child, self._child = self._child, None
        if child:
            child.kill()
            with contextlib.suppress(BrokenPipeError):
                child.communicate()


def _start() -> subprocess.Popen[bytes]:
    path = [os.path.abspath(entry) for entry in sys.path]  # noqa: PTH100 ("" stands for the working folder)
    return subprocess.Popen(
        [sys.executable, "-I", "-c", CHILD, *path],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip


_DECODER = Decoder()


def refuse_deadly(path: Path) -> None:
    """Raise DataError when decoding the Parquet file ends the process that does it."""
    if not _DECODER.survives(path):
        fix = "Write the file again, or save it as CSV UTF-8."
        raise DataError("The Parquet file is broken: decoding it ends the process.", where=str(path), fix=fix)
