"""A journal of what MLflow is to be told: a file of JSON lines that only grows, and goes when all is delivered."""

from __future__ import annotations

import hashlib
import json
import logging
import secrets
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import RLock
from typing import Any, NamedTuple, TextIO

from filelock import FileLock, Timeout

from dxai.files import disk_errors_told

LOGGER = logging.getLogger("dxai.record.tracking")

Event = dict[str, Any]
"""``op`` and what it needs; ``run`` is a `Reference`."""


class Reference(NamedTuple):
    """Names a run before MLflow has given it an id: by the value of one of its tags.

    Attributes:
        experiment: Its name.
        tag: Name of the tag.
        value: Of the tag; the newest run that has it is meant.
    """

    experiment: str
    tag: str
    value: str


def store_name(uri: str) -> str:
    """What names of journals call a store: an address may hold a password."""
    return hashlib.sha256(uri.encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Lines:
    """What stands in a journal's file.

    Attributes:
        store: Its name.
        events: All of them.
        delivered: How many of them are with MLflow.
    """

    store: str
    events: list[Event]
    delivered: int

    @classmethod
    def of(cls, file: Path) -> Lines:
        """Read a file; a line that a killed process has not ended is left out."""
        events, delivered = list[Event](), 0
        for line in file.read_text("utf-8", errors="replace").splitlines():
            try:
                event = json.loads(line)
            except ValueError:
                continue
            if "delivered" in event:
                delivered += event["delivered"]
            else:
                events.append(event)
        store = file.name.split("-")[1] if file.name.count("-") == 2 else ""
        return cls(store, events, delivered)

    @property
    def waiting(self) -> int:
        """How many events MLflow has not been told."""
        return len(self.events) - self.delivered

    def unended(self) -> list[Reference]:
        """Runs that were started and never ended, children first."""
        ended = {tuple(event["run"]) for event in self.events if event["op"] == "end"}
        started = [Reference(*event["run"]) for event in self.events if event["op"] == "start"]
        return [run for run in reversed(started) if tuple(run) not in ended]


class Journal:
    """One process's file, locked as long as that process lives; a lock that is free says that it has ended.

    A line is an event, or ``{"delivered": N}``: so many of the events above it are with MLflow. Events may be delivered
    again after that: each is told so that telling it twice changes nothing.
    """

    def __init__(self, file: Path, lock: FileLock) -> None:
        self.file, self.lock, self.mutex = file, lock, RLock()
        self.events = list[Event]()
        self.waiting = deque[Event]()
        self._read()
        self._stream: TextIO | None = file.open("a", encoding="utf-8")

    @staticmethod
    def start(folder: Path, store: str) -> Journal:
        """A new journal in ``folder`` of what the store of this name is to be told."""
        with disk_errors_told(folder):
            folder.mkdir(parents=True, exist_ok=True)
            file = folder / f"{time.time_ns()}-{store}-{secrets.token_hex(4)}.jsonl"
            return Journal(file, _locked(file))

    @staticmethod
    def left(folder: Path, store: str) -> Iterator[Journal]:
        """Journals of processes that have ended, oldest first."""
        for file in sorted(folder.glob(f"*-{store}-*.jsonl")):
            with suppress(Timeout, OSError):
                lock = _locked(file)
                if file.is_file():
                    yield Journal(file, lock)
                else:  # another process was faster
                    lock.release()

    def append(self, *events: Event) -> None:
        """Write events down at once; where the disk is full they are kept in memory, and a warning says so."""
        with self.mutex:
            self.events += events
            self.waiting += events
            self._write(*events)

    def next(self, most: int) -> list[Event]:
        """The oldest events that are not delivered."""
        with self.mutex:
            return [event for event, _ in zip(self.waiting, range(most), strict=False)]

    def delivered(self, count: int) -> None:
        """So many of the oldest events need not be told again."""
        with self.mutex:
            for _ in range(count):
                self.waiting.popleft()
            self._write({"delivered": count})

    def close(self) -> None:
        """Give the file free; take it away when nothing waits."""
        with self.mutex:
            if self._stream:
                with suppress(OSError):
                    self._stream.close()
            if not self.waiting:
                for file in (self.file, Path(self.lock.lock_file)):
                    file.unlink(missing_ok=True)
            self.lock.release()
            with suppress(OSError):
                self.file.parent.rmdir()

    def unended(self) -> list[Reference]:
        """Runs that were started here and never ended, children first."""
        return Lines("", self.events, 0).unended()

    def _read(self) -> None:
        if not self.file.is_file():
            return
        lines = Lines.of(self.file)
        self.events += lines.events
        self.waiting.extend(self.events[lines.delivered :])

    def _write(self, *events: Event) -> None:
        if self._stream is None:
            return
        try:
            self._stream.writelines(json.dumps(event, ensure_ascii=False) + "\n" for event in events)
            self._stream.flush()
        except (OSError, ValueError) as error:
            self._stream = None
            LOGGER.warning("What MLflow is told cannot be kept on the disk (%s); the run goes on.", error)


def keep_refused(folder: Path, events: Sequence[Event], why: str) -> None:
    """Write events down that MLflow will never take, so that they are not lost."""
    with suppress(OSError), (folder / "refused.jsonl").open("a", encoding="utf-8") as file:
        file.writelines(json.dumps({**event, "why": why}, ensure_ascii=False) + "\n" for event in events)


def _locked(file: Path) -> FileLock:
    lock = FileLock(file.with_suffix(".lock"), thread_local=False)
    lock.acquire(timeout=0)
    return lock
