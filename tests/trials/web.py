"""A web server for a catalog, with ranges; it counts what it sends and may be told to misbehave."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from types import TracebackType
from urllib.parse import unquote

_BLOCK = 1 << 16

Trouble = Callable[["Request", bytes, int], bool]
"""Told of each request, the file that is asked for and where its answer begins; True when it has answered itself."""


class CatalogServer:
    """Serves a folder on a free port of this machine for as long as a ``with`` block lasts.

    Args:
        folder: What is served.
        pause: Seconds between blocks of 64 KiB.
        trouble: May answer instead.

    Attributes:
        sent: Bytes of files that went out, by path.
    """

    def __init__(self, folder: Path, *, pause: float = 0, trouble: Trouble | None = None) -> None:
        self.folder, self.pause, self.trouble = folder.resolve(), pause, trouble
        self.sent: Counter[str] = Counter()
        self.lock = Lock()
        self._http = _Threads(("127.0.0.1", 0), Request)
        self._http.daemon_threads = True
        self._http.catalog = self

    @property
    def url(self) -> str:
        """Address of the folder."""
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def __enter__(self) -> CatalogServer:
        """Begin to serve."""
        Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Stop."""
        self._http.shutdown()
        self._http.server_close()


class _Threads(ThreadingHTTPServer):
    catalog: CatalogServer
    request_queue_size = 256

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: clients are killed here."""


class Request(BaseHTTPRequestHandler):
    """One request for a file, whole or from a byte on."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Threads

    def do_GET(self) -> None:
        """Answer, or let the trouble answer."""
        catalog = self.server.catalog
        place = (catalog.folder / unquote(self.path).lstrip("/")).resolve()
        content = place.read_bytes() if place.is_file() and place.is_relative_to(catalog.folder) else None
        start = self._start()
        if catalog.trouble and catalog.trouble(self, content or b"", start):
            return
        if content is None:
            self.refuse(404)
        elif start >= len(content) and start:
            self.refuse(416)
        else:
            self.head(206 if start else 200, len(content) - start, _range(start, len(content)) if start else {})
            self.send(content[start:])

    def _start(self) -> int:
        first = self.headers.get("Range", "").removeprefix("bytes=").partition("-")[0]
        return int(first) if first.isdigit() else 0

    def refuse(self, status: int) -> None:
        """An answer without a file."""
        self.head(status, 0, {})

    def head(self, status: int, length: int | None, headers: dict[str, str]) -> None:
        """Status line and headers."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()

    def send(self, content: bytes) -> None:
        """A body, block by block, counted."""
        catalog = self.server.catalog
        for at in range(0, len(content), _BLOCK):
            block = content[at : at + _BLOCK]
            self.wfile.write(block)
            with catalog.lock:
                catalog.sent[self.path] += len(block)
            time.sleep(catalog.pause)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def _range(start: int, size: int) -> dict[str, str]:
    return {"Content-Range": f"bytes {start}-{size - 1}/{size}"}
