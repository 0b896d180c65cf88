"""The server: one process, one event loop, a few threads that compute; a signal lets it finish what it accepted."""

from __future__ import annotations

import signal
import socket
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import uvicorn

from dxai.errors import SettingsError
from dxai.serve.app import create_app
from dxai.serve.connection import Connection
from dxai.serve.limits import Limits
from dxai.serve.log import LOGGER, log_to_stderr
from dxai.serve.served import ServedModel

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def serve(
    models: Sequence[ServedModel],
    *,
    host: str = "127.0.0.1",
    port: int = 8080,
    limits: Limits | None = None,
    pages: Path | None = None,
    hosts: Collection[str] = (),
) -> None:
    """Serve until SIGTERM or SIGINT, then finish what was accepted.

    Args:
        models: Verified and loaded.
        host: Address to listen on.
        port: 0 for a free one; the log tells which.
        limits: What clients may ask for.
        pages: Folder of a site that is served below ``/``.
        hosts: More names by which clients call the server. On a loopback address, or when names are given here,
            requests that name another host are refused.

    Raises:
        SettingsError: The address is taken or is none of this machine.
    """
    limits = limits or Limits()
    names = tuple(dict.fromkeys((*_LOOPBACK, host, *hosts))) if hosts or _is_loopback(host) else None
    app = create_app(models, limits, pages=pages, hosts=names)
    log_to_stderr()
    with _listening(host, port) as listener:
        config = uvicorn.Config(
            app, http=Connection, ws="none", lifespan="off", log_config=None, access_log=False, proxy_headers=False,
            server_header=False, timeout_keep_alive=limits.idle_seconds, timeout_graceful_shutdown=limits.drain_seconds,
        )  # fmt: skip
        shown = f"[{host}]" if ":" in host else host
        url = f"http://{shown}:{listener.getsockname()[1]}"
        _Server(config, {"url": url, "models": [f"{m.name}@{m.version}" for m in models]}).run([listener])
    LOGGER.info("stopped")


class _Server(uvicorn.Server):
    """uvicorn's server, which says when it listens and ends well: the signal that stopped it is not raised again."""

    def __init__(self, config: uvicorn.Config, told: dict[str, Any]) -> None:
        super().__init__(config)
        self._told = told

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Take connections and say so: from here on a signal ends the server well."""
        await super().startup(sockets)
        LOGGER.info("listening", extra={"fields": self._told})

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle the signals that stop the server, as long as it runs."""
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=512)
    except (OSError, OverflowError) as error:
        told = error.strerror if isinstance(error, OSError) else "a port is a number up to 65535"
        fix = "Choose another --port (0 takes a free one) or --host."
        raise SettingsError(f"The server cannot listen: {told}.", where=f"{host}:{port}", fix=fix) from None
    with listener:
        # asyncio does this for sockets of its own only; without it a body may wait 40 ms for its head to be confirmed.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield listener


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
