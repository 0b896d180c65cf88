"""Limits: what one client, and all clients together, may ask of a server."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Caps and deadlines; seconds and bytes.

    Attributes:
        body_bytes: Of one request, as sent and once it is inflated.
        held_bytes: Of all bodies in memory at one time.
        head_bytes: Of the request line and the headers.
        rows: Of one request: rows of a table, or series.
        threads: Requests computed at one time, each on one thread of ONNX Runtime.
        queue: Requests that are computed or wait for it.
        small_bytes: Of a request that is computed on the event loop itself: two threads that take turns holding
            Python's lock need longer for it than one.
        deadline: From the last byte of a request to its answer.
        head_seconds, body_seconds: From the first byte to the last one.
        idle_seconds: Without a byte, between two requests or while the client does not read.
        connections: At one time.
        linger_seconds: What a connection still has for one more request once the server is told to stop.
        drain_seconds: From the signal to the end.
    """

    body_bytes: int = 16 << 20
    held_bytes: int = 256 << 20
    head_bytes: int = 16 << 10
    rows: int = 100_000
    threads: int = 2
    queue: int = 64
    small_bytes: int = 4096
    deadline: float = 20.0
    head_seconds: float = 10.0
    body_seconds: float = 20.0
    idle_seconds: int = 30
    connections: int = 256
    linger_seconds: float = 0.5
    drain_seconds: int = 30
