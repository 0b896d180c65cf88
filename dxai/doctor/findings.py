"""A finding: what was looked at, whether it is in order, and what to do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "note", "problem"]


@dataclass(frozen=True)
class Finding:
    """One line of `dxai doctor`.

    Attributes:
        status: ``note``: works as it is, and somebody may want to know; ``problem``: something will not work, or waits.
        subject: What was looked at, in one or two words.
        text: What was found.
        fix: What to do, in words that can be pasted where possible.
        mend: Does it and says what it did; None: `dxai doctor --fix` leaves it to a person.
    """

    status: Status
    subject: str
    text: str
    fix: str = ""
    mend: Callable[[], str] | None = None

    @property
    def line(self) -> str:
        """For a person."""
        return f"{self.status:<8} {self.subject}: {self.text}{f' To do: {self.fix}' if self.fix else ''}"

    @property
    def record(self) -> dict[str, str]:
        """For programs."""
        return {"status": self.status, "subject": self.subject, "text": self.text, "fix": self.fix}


def counted(number: int, one: str, several: str) -> str:
    """A number and its words.

    >>> counted(1, "event waits", "events wait")
    '1 event waits'
    """
    return f"{number} {one if number == 1 else several}"
