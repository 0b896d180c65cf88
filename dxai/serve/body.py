"""Bodies of requests and answers: read within limits, inflated within limits, compressed when asked for."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import Request

from dxai.serve.limits import Limits
from dxai.serve.refusal import Busy, Refusal

_SMALL = 1024
"""Bytes of an answer below which compressing costs more than it saves."""

_PIECE = 1 << 20
_WINDOW = {"gzip": 31, "deflate": 15}


class Bodies:
    """Reads bodies, and knows how many bytes of them are in memory."""

    def __init__(self, limits: Limits) -> None:
        self._limits, self._held = limits, 0

    @asynccontextmanager
    async def read(self, request: Request) -> AsyncIterator[bytes]:
        """The body as it was sent; it counts as held until the block ends.

        Raises:
            Refusal: It is too long (413), too slow (408), or too much is held already (503).
            ClientDisconnect: The client went away.
        """
        body = bytearray()
        try:
            await self._fill(body, request)
            yield bytes(body)
        finally:
            self._held -= len(body)

    async def _fill(self, body: bytearray, request: Request) -> None:
        if int(request.headers.get("content-length", 0)) > self._limits.body_bytes:
            raise self._too_long()
        try:
            async with asyncio.timeout(self._limits.body_seconds):
                async for part in request.stream():
                    body += part
                    self._held += len(part)
                    if len(body) > self._limits.body_bytes:
                        raise self._too_long()
                    if self._held > self._limits.held_bytes:
                        raise Busy("memory", "The server holds too many requests.")
        except TimeoutError:
            told = f"The request did not arrive within {self._limits.body_seconds:g} seconds."
            raise Refusal(408, told) from None

    def _too_long(self) -> Refusal:
        return Refusal(413, f"One request may have {self._limits.body_bytes} bytes. Split it.")


def inflated(body: bytes, encoding: str, limit: int) -> bytes:
    """The body as it was before the client compressed it.

    Raises:
        Refusal: An encoding other than gzip and deflate, broken data, or more than ``limit`` bytes.
    """
    if encoding in ("", "identity"):
        return body
    if encoding not in _WINDOW:
        told = "Content-Encoding must be gzip, deflate or identity."
        raise Refusal(415, told, **{"accept-encoding": "gzip, deflate"})
    try:
        size = _inflated_size(body, encoding, limit)
        return zlib.decompress(body, _WINDOW[encoding], bufsize=size)
    except zlib.error:
        raise Refusal(400, f"The body is no {encoding} data.") from None


def _inflated_size(body: bytes, encoding: str, limit: int) -> int:
    """Counted piece by piece and thrown away: what a small body unpacks to is not in memory before it is known."""
    unpack, size, left = zlib.decompressobj(_WINDOW[encoding]), 0, body
    while left:
        size += len(unpack.decompress(left, _PIECE))
        left = unpack.unconsumed_tail
        if size > limit:
            raise Refusal(413, f"One request may have {limit} bytes once it is inflated. Split it.")
    if not unpack.eof or unpack.unused_data:
        raise Refusal(400, f"The {encoding} data end too early, or other bytes follow them.")
    return size


def deflated(body: bytes, accepted: str) -> tuple[bytes, dict[str, str]]:
    """The body in the first encoding of ours that the client accepts, and the headers that say so."""
    tokens = [token.partition(";") for token in accepted.replace(" ", "").lower().split(",")]
    wanted = [name for name, _, weight in tokens if name in _WINDOW and weight not in ("q=0", "q=0.0")]
    if not wanted or len(body) < _SMALL:
        return body, {}
    packed = gzip.compress(body, 1, mtime=0) if wanted[0] == "gzip" else zlib.compress(body, 1)
    return packed, {"content-encoding": wanted[0], "vary": "accept-encoding"}
