"""Delivers a journal in the background: in order, again after a failure, and never in the way of who writes it."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from itertools import groupby
from pathlib import Path
from threading import Condition, Thread
from typing import Protocol

from dxai.record.tracking.journal import LOGGER, Event, Journal, keep_refused

_GATHER = 0.3
"""Seconds in which events gather for one delivery."""
_AGAIN = 2.0
"""Seconds between attempts while the store does not answer."""
_PATIENCE = 60.0
"""Seconds that the end of a run waits for a store that answers."""
_LAST_ATTEMPT = 3.0
"""Seconds that it waits for one that did not."""
_MOST = 1000
"""Events of one delivery."""


class AwayError(Exception):
    """The store does not answer, or not now."""


class Store(Protocol):
    """What events are delivered to."""

    @property
    def place(self) -> str:
        """For messages; names no password."""

    @property
    def patience(self) -> float:
        """Seconds in which it is asked again at the end of a run."""

    def deliver(self, events: Sequence[Event]) -> None:
        """Tell events of one kind, so that telling them twice changes nothing.

        Raises:
            AwayError: To be told again later. After any other exception they are not told again.
        """


class Delivery:
    """The journal of one process and the thread that delivers it, after those that others left.

    Args:
        journal: Of this process.
        store: Where to.
        name: Of the store in names of journals.
    """

    def __init__(self, journal: Journal, store: Store, name: str) -> None:
        self.journal, self.store, self.name = journal, store, name
        self.news, self.closing, self.away, self.warned, self.looked = Condition(), False, False, False, False
        self.until = 0.0
        self.thread = Thread(target=self._work, name="tracking", daemon=True)
        self.thread.start()

    def append(self, *events: Event) -> None:
        """Write events down and have them delivered soon."""
        self.journal.append(*events)

    def close(self) -> None:
        """Wait for a store that answers, a moment for one that does not; what is left stays in the journal."""
        begun = time.monotonic()
        with self.news:
            self.closing, self.until = True, begun + self.store.patience
            self.news.notify_all()
        while self.thread.is_alive() and time.monotonic() - begun < self._longest():
            self.thread.join(0.05)

    def _longest(self) -> float:
        return max(_LAST_ATTEMPT, self.store.patience) if self.away else _PATIENCE

    def _work(self) -> None:
        try:
            self._work_until_closed()
        finally:
            self.journal.close()

    def _work_until_closed(self) -> None:
        while True:
            with self.news:
                self.news.wait_for(lambda: self.closing, _AGAIN if self.away else _GATHER)
            last = self.closing
            done = self._deliver_all()
            while last and self.away and time.monotonic() < self.until:
                time.sleep(_GATHER)
                done = self._deliver_all()
            if last and (self.away or done):
                return

    def _deliver_all(self) -> bool:
        """Everything that waits, as far as the store takes it; whether nothing waits any more."""
        try:
            with closing(self._left_then_own()) as journals:
                for journal in journals:
                    while events := journal.next(_MOST):
                        for part in _parts(events):
                            self._tell(part, journal.file.parent)
                            journal.delivered(len(part))
        except AwayError as error:
            self.away = True
            if not self.warned:
                self.warned = True
                LOGGER.warning(
                    "MLflow at %s does not answer (%s): the run goes on, and %s keeps what it misses.",
                    self.store.place,
                    error,
                    self.journal.file.parent,
                )
            return False
        self.away = False
        return not self.journal.waiting

    def _left_then_own(self) -> Generator[Journal]:
        if not self.looked:
            for journal in Journal.left(self.journal.file.parent, self.name):
                died = int(journal.file.stat().st_mtime * 1000)
                ends: list[Event] = [
                    {"op": "end", "run": run, "status": "KILLED", "time": died} for run in journal.unended()
                ]
                journal.append(*ends)
                try:
                    yield journal
                finally:
                    journal.close()
            self.looked = True
        yield self.journal

    def _tell(self, events: Sequence[Event], folder: Path) -> None:
        try:
            self.store.deliver(events)
        except AwayError:
            raise
        except Exception as error:  # whatever it is, training goes on
            LOGGER.warning("MLflow at %s refuses a part of the log (%s); see refused.jsonl.", self.store.place, error)
            keep_refused(folder, events, str(error))


def _parts(events: Sequence[Event]) -> Iterator[list[Event]]:
    """Metrics that follow each other together, all others by themselves."""
    for op, group in groupby(events, lambda event: event["op"]):
        together = list(group)
        yield from [together] if op == "metrics" else ([event] for event in together)
