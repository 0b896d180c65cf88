"""The gate to the threads that compute: so many at once, so many waiting, the others are told to come again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import BoundedSemaphore
from typing import TypeVar

from prometheus_client import Gauge

from dxai.serve.limits import Limits
from dxai.serve.refusal import Busy

_Result = TypeVar("_Result")


class Gate:
    """Runs work on threads, off the event loop.

    Args:
        limits: Threads, queue and deadline.
        depth: Shows how many requests are inside.
    """

    def __init__(self, limits: Limits, depth: Gauge) -> None:
        self._threads = ThreadPoolExecutor(limits.threads, "dxai-serve")
        self._places = BoundedSemaphore(limits.queue)
        self._deadline, self._depth = limits.deadline, depth

    async def run(self, work: Callable[[], _Result]) -> _Result:
        """The result of the work; its errors as they are.

        Raises:
            Refusal: All places are taken, or the deadline passed (503); what runs keeps its place until it ends.
        """
        if not self._places.acquire(blocking=False):
            raise Busy("queue", "The queue is full.")
        self._depth.inc()
        future = self._threads.submit(work)
        future.add_done_callback(lambda _: self._leave())
        try:
            async with asyncio.timeout(self._deadline):
                return await asyncio.wrap_future(future)
        except TimeoutError:
            raise Busy("deadline", f"The answer took longer than {self._deadline:g} seconds.") from None

    def _leave(self) -> None:
        self._places.release()
        self._depth.dec()
