"""The outermost layer: who may ask, what every answer carries, what is counted and logged, and no traceback leaves."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Collection
from contextlib import suppress
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dxai.serve.limits import Limits
from dxai.serve.log import LOGGER
from dxai.serve.metrics import Metrics
from dxai.serve.refusal import Busy, Refusal

_CLIENT_GONE = 499
"""Logged for a client that did not wait for its answer, as nginx does."""

_POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = [
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-cache"),
]

PATTERN = "dxai.pattern"
"""Key of the scope under which a route tells the pattern of its addresses."""

_SOON_HERE = 64 << 10
"""Bytes of a body that is read to its end even when the answer does not need it, so that the connection can stay."""


class Edge:
    """ASGI middleware around the whole application.

    Args:
        app: What answers.
        limits: Of the head, and of the time for a body.
        metrics: Where requests are counted.
        hosts: Names that ``Host`` and ``Origin`` may give; None for any. A page of another site that had its name
            resolve to this machine would give its own (DNS rebinding).
    """

    def __init__(self, app: ASGIApp, limits: Limits, metrics: Metrics, hosts: Collection[str] | None) -> None:
        self.app, self._limits, self._metrics, self._hosts = app, limits, metrics, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        began = time.perf_counter()
        exchange = _Exchange(scope, receive, send, self._limits.body_seconds)
        try:
            self._refuse_stranger(scope)
            await self.app(scope, exchange.receive, exchange.send)
        except ClientDisconnect:
            exchange.status = _CLIENT_GONE
        except Refusal as refusal:
            if isinstance(refusal, Busy):
                self._metrics.rejected.labels(refusal.reason).inc()
            await _told(refusal)(scope, exchange.receive, exchange.send)
        except (asyncio.CancelledError, KeyboardInterrupt, SystemExit):
            raise
        except BaseException:  # a panic in polars' Rust code is no Exception
            LOGGER.exception("failure")
            if not exchange.status:
                told = _told(Refusal(500, "The server failed; its log says where."))
                await told(scope, exchange.receive, exchange.send)
        finally:
            self._record(scope, exchange, time.perf_counter() - began)

    def _refuse_stranger(self, scope: Scope) -> None:
        size = sum(len(name) + len(value) + 4 for name, value in scope["headers"])
        if size + len(scope["raw_path"]) + len(scope["query_string"]) > self._limits.head_bytes:
            raise Refusal(431, f"The headers may have {self._limits.head_bytes} bytes.")
        if self._hosts is None:
            return
        headers = Headers(scope=scope)
        if _hostname(f"//{headers.get('host', '')}") not in self._hosts:
            raise Refusal(421, f"Call this server by one of its names: {', '.join(self._hosts)}.")
        if "origin" in headers and _hostname(headers["origin"]) not in self._hosts:
            raise Refusal(403, "Pages of other sites may not use this server.")

    def _record(self, scope: Scope, exchange: _Exchange, seconds: float) -> None:
        state, method = scope.get("state", {}), scope["method"]
        path = scope.get(PATTERN, "other")  # never the address itself: what clients write may hold anything
        model, rows = state.get("model", ""), state.get("rows", 0)
        self._metrics.requests.labels(method, path, model, exchange.status).inc()
        self._metrics.seconds.labels(path).observe(seconds)
        if rows:
            self._metrics.rows.labels(model).inc(rows)
        if LOGGER.isEnabledFor(logging.INFO):
            fields = {
                "method": method, "path": path, "model": model, "status": exchange.status, "rows": rows,
                "milliseconds": round(seconds * 1000, 2),
                "bytes_in": exchange.bytes_in, "bytes_out": exchange.bytes_out,
            }  # fmt: skip
            LOGGER.info("request", extra={"fields": fields})


class _Exchange:
    """One request and its answer; a client that is answered before it has sent everything still hears the answer."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, patience: float) -> None:
        headers = dict(scope["headers"])
        self._receive, self._send, self._patience = receive, send, patience
        self._length = float("inf") if b"transfer-encoding" in headers else int(headers.get(b"content-length", 0))
        self._whole = self._length == 0
        self.status = self.bytes_in = self.bytes_out = 0

    async def receive(self) -> Message:
        """The next part of the request."""
        message = await self._receive()
        self.bytes_in += len(message.get("body", b""))
        self._whole = not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        """The next part of the answer."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            if not self._whole and self._length <= _SOON_HERE:
                await self._swallow()
            closing = [] if self._whole else [(b"connection", b"close")]
            message["headers"] = [*message["headers"], *_HEADERS, *closing]
        else:
            self.bytes_out += len(message.get("body", b""))
            if not self._whole and not message.get("more_body", False):
                # Closed with bytes unread, the connection would be reset and the answer lost on its way.
                await self._send({**message, "more_body": True})
                await self._swallow()
                message = {"type": "http.response.body"}
        await self._send(message)

    async def _swallow(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._patience):
                while not self._whole:
                    await self.receive()


def _hostname(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def _told(refusal: Refusal) -> Response:
    if refusal.as_text:
        return PlainTextResponse(refusal.problem + "\n", refusal.status, refusal.headers)
    body = json.dumps({"error": refusal.problem}, ensure_ascii=False)
    return Response(body, refusal.status, refusal.headers, "application/json")
