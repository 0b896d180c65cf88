"""Keeps quick tests quick: one without a marker that starts a process or opens a socket is told which to set.

And the whole suite short: files that take long run first, so that no worker is left alone with one at the end.
"""

from __future__ import annotations

import socket
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

from dxai.data.decoder import CHILD

MARKERS = ("slow", "process", "browser", "network")
"""A test with one of these may do what it likes; `make quick` leaves it out."""

_PROCESS = {"subprocess.Popen", "os.posix_spawn", "os.fork", "os.forkpty", "os.exec", "os.spawn", "os.system"}
_PROCESS |= {"multiprocessing.Process"}  # ours: Python tells of a fork, and not of a spawn
_SOCKET = {"socket.connect", "socket.bind", "socket.getaddrinfo", "socket.sendto"}
_LOCAL = {"127.0.0.1", "::1", "localhost", "0.0.0.0", "::", ""}


_SECONDS = 3
"""What a test with a marker is taken to last, where the marker does not say: ``pytest.mark.slow(seconds=100)``."""


class _Watch:
    """The unmarked test that runs now, if any, and what it has tried."""

    on = False
    seen: list[str] = []  # noqa: RUF012 - one process, one test at a time


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    """Stop what needs a marker; a library that catches every exception does not hide it, because it is written down."""
    if not _Watch.on or not (event in _PROCESS or event in _SOCKET):
        return
    if event == "subprocess.Popen" and CHILD in arguments[1]:
        return  # reads Parquet files: one for all tests, a few tenths of a second
    if event in _PROCESS:
        marker, deed = "process", f"starts a process ({event}: {arguments[0] if arguments else ''})"
    else:
        if getattr(arguments[0], "family", None) == socket.AF_UNIX:
            return
        address = arguments[0] if event == "socket.getaddrinfo" else arguments[1]
        host = address[0] if isinstance(address, tuple) else address
        marker = "process" if host in _LOCAL else "network"
        deed = f"opens a socket ({event}: {address})"
    _Watch.seen.append(f"This test {deed}: mark it with pytest.mark.{marker}, or its module with `pytestmark`.")
    pytest.fail(_Watch.seen[-1])


def _start(process: BaseProcess) -> None:
    sys.audit("multiprocessing.Process", process)
    _start_process(process)


_start_process, BaseProcess.start = BaseProcess.start, _start  # type: ignore[method-assign]
sys.addaudithook(_audit)


@contextmanager
def _watched(item: pytest.Item) -> Iterator[None]:
    if any(item.get_closest_marker(name) for name in MARKERS):
        yield
        return
    before, _Watch.on, _Watch.seen = (_Watch.on, _Watch.seen), True, []
    try:
        yield
        if _Watch.seen:
            pytest.fail(_Watch.seen[0])
    finally:
        _Watch.on, _Watch.seen = before


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    """Fixtures count for the test that asks for them first."""
    with _watched(item):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """The test itself."""
    with _watched(item):
        return (yield)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files in the order of what their marked tests take; the tests of a file as they stand there."""
    seconds = Counter[Path]()
    for item in items:
        marks = [mark for name in MARKERS for mark in item.iter_markers(name)]
        seconds[item.path] += max((mark.kwargs.get("seconds", _SECONDS) for mark in marks), default=0)
    items.sort(key=lambda item: -seconds[item.path])
