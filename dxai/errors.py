"""Every error a person can meet: the problem, where it is, how to fix it, and the command's exit code."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""What would move, colour or turn round a terminal's text, when a strange file's words stand in a message."""


class DxaiError(Exception):
    """A mistake outside our own code, told in one short message.

    Args:
        problem: What is wrong, with the value seen.
        where: File, key, column or row that is wrong.
        fix: What to do, in words that can be pasted where possible.
    """

    exit_code = 1

    def __init__(self, problem: str, *, where: str = "", fix: str = "") -> None:
        self.problem, self.where, self.fix = problem, where, fix
        super().__init__(self.message())

    def message(self) -> str:
        """The text shown to a person: one line each for problem, place and fix."""
        lines = [self.problem]
        lines += [f"  where: {self.where}"] if self.where else []
        lines += [f"  fix:   {self.fix}"] if self.fix else []
        return _CONTROL.sub(lambda mark: repr(mark[0])[1:-1], "\n".join(lines))


class SettingsError(DxaiError):
    """A wrong command line or configuration."""

    exit_code = 2


class NotFoundError(DxaiError):
    """A file, bundle, source or host that is not there."""

    exit_code = 3


class IntegrityError(DxaiError):
    """Bytes that are not the ones promised."""

    exit_code = 4


class TrustError(DxaiError):
    """Metadata or keys that must not be trusted: expired, unknown, rolled back."""

    exit_code = 5


class DataError(DxaiError):
    """Rows that break their contract."""

    exit_code = 6


class ModelError(DxaiError):
    """A model that must not be used: parity, non-finite loss, bad graph."""

    exit_code = 7


class NoSpaceError(DxaiError):
    """A full disk."""

    exit_code = 8


class InterruptedRunError(DxaiError):
    """A stop by signal: nothing half-written is left, the command can be given again."""

    exit_code = 75


def nearest(word: str, options: Iterable[str]) -> str | None:
    """The option that looks most like ``word``, or None when nothing is close.

    >>> nearest("epocs", ["max_epochs", "epochs", "seed"])
    'epochs'
    """
    matches = difflib.get_close_matches(word, list(options), n=1, cutoff=0.6)
    return matches[0] if matches else None


def bullet_list(problems: Iterable[str], most: int | None = None) -> str:
    """Several problems as one message body, at most so many of them; a single one stays a plain sentence."""
    items = list(problems)
    shown = items if most is None else items[:most]
    more = [f"  - and {len(items) - len(shown)} more"] if len(shown) < len(items) else []
    return items[0] if len(items) == 1 else "\n".join([f"{len(items)} problems:", *(f"  - {p}" for p in shown), *more])
