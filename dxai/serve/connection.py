"""One connection: what uvicorn leaves to a proxy in front of it, for a server that has none.

Limits for the head of a request, for silence and for unread answers; and a stop that keeps a connection open for the
request that is on its way.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from dxai.serve.limits import Limits
from dxai.serve.refusal import Busy, Refusal


class Connection(HttpToolsProtocol):
    """uvicorn's protocol, bounded; its limits are those of the application."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._limits: Limits = self.config.app.state.limits  # type: ignore[union-attr]
        self._head_timer: asyncio.TimerHandle | None = None
        self._unread_timer: asyncio.TimerHandle | None = None
        self._in_head, self._head_bytes, self._draining = False, 0, False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Greet a client, or send it away."""
        super().connection_made(transport)
        if len(self.connections) > self._limits.connections:
            self.config.app.state.metrics.rejected.labels("connections").inc()  # type: ignore[union-attr]
            self._refuse(Busy("connections", "The server has too many connections."))
        else:
            self._start_head_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget a client."""
        self._stop_head_timer()
        self._stop_unread_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes of one or more requests."""
        if self.transport.is_closing():
            return
        super().data_received(data)
        if not self._in_head or self.transport.is_closing():
            return
        self._head_bytes += len(data)
        if self._head_bytes > self._limits.head_bytes:
            self._refuse(Refusal(431, f"The headers may have {self._limits.head_bytes} bytes."))
        elif self._head_timer is None:
            self._start_head_timer()

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        self._in_head, self._head_bytes = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """The last byte of the headers."""
        self._in_head = False
        self._stop_head_timer()
        super().on_headers_complete()
        if self._draining:
            self.cycle.keep_alive = False

    def on_response_complete(self) -> None:
        """The last byte of the answer is handed to the transport."""
        super().on_response_complete()
        if self.transport.get_write_buffer_size():
            self._start_unread_timer()

    def pause_writing(self) -> None:
        """The client does not read as fast as the answer comes."""
        super().pause_writing()
        self._start_unread_timer()

    def resume_writing(self) -> None:
        """It has caught up."""
        self._stop_unread_timer()
        super().resume_writing()

    def shutdown(self) -> None:
        """The server stops: answer what is here or on its way, then close."""
        self._draining = True
        if self.cycle is None or self.cycle.response_complete:
            self.loop.call_later(self._limits.linger_seconds, self._close_if_idle)
        else:
            self.cycle.keep_alive = False

    def send_400_response(self, msg: str) -> None:
        """What uvicorn says to bytes that are no HTTP."""
        self._refuse(Refusal(400, msg))

    def _close_if_idle(self) -> None:
        if not self._in_head and (self.cycle is None or self.cycle.response_complete):
            self.transport.close()

    def _refuse(self, refusal: Refusal) -> None:
        """Answer outside of the application, and close."""
        body = json.dumps({"error": refusal.problem}).encode()
        headers = {"content-type": "application/json", "content-length": len(body), "connection": "close"}
        lines = "".join(f"{name}: {value}\r\n" for name, value in {**headers, **refusal.headers}.items())
        self.transport.write(STATUS_LINE[refusal.status] + lines.encode() + b"\r\n" + body)
        self.transport.close()

    def _start_head_timer(self) -> None:
        self._head_timer = self.loop.call_later(self._limits.head_seconds, self._head_late)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_late(self) -> None:
        self._head_timer = None
        if self._in_head:
            self._refuse(Refusal(408, f"The headers did not arrive within {self._limits.head_seconds:g} seconds."))
        else:
            self.transport.close()

    def _start_unread_timer(self) -> None:
        self._stop_unread_timer()
        left = self.transport.get_write_buffer_size()
        self._unread_timer = self.loop.call_later(self._limits.idle_seconds, self._still_unread, left)

    def _stop_unread_timer(self) -> None:
        if self._unread_timer is not None:
            self._unread_timer.cancel()
            self._unread_timer = None

    def _still_unread(self, before: int) -> None:
        """Close on a client that took nothing of its answer all the time; a slow one gets more."""
        left = self.transport.get_write_buffer_size()
        if left == before:
            self.transport.abort()
        elif left:
            self._start_unread_timer()
