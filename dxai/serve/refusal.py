"""A refused request: the client's mistake, or a server that has its hands full."""

from __future__ import annotations

from typing import Literal


class Refusal(Exception):
    """An answer of another status than 200.

    Args:
        status: 4xx for a mistake of the client.
        problem: What is wrong and what to do, without values of rows.
        headers: Of the answer.

    Attributes:
        as_text: Whether the answer is plain text instead of JSON.
    """

    def __init__(self, status: int, problem: str, **headers: str) -> None:
        self.status, self.problem, self.headers, self.as_text = status, problem, headers, False
        super().__init__(problem)


class Busy(Refusal):
    """A request that could be answered later."""

    def __init__(self, reason: Literal["queue", "deadline", "memory", "connections"], problem: str) -> None:
        self.reason = reason
        super().__init__(503, f"{problem} Try again in a second.", **{"retry-after": "1"})
