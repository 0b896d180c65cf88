"""Where a catalog is read from: a web server or a folder (disk, file share, USB stick), the same bytes."""

from __future__ import annotations

import errno
import hashlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Protocol
from urllib.parse import quote, urlsplit
from urllib.request import getproxies, proxy_bypass, url2pathname

from dxai.catalog.http import urllib3  # before tuf

# isort: split
from tuf.api.exceptions import DownloadError, DownloadHTTPError
from tuf.ngclient import FetcherInterface

from dxai.errors import IntegrityError, NotFoundError, SettingsError
from dxai.files import disk_errors_told

OnBytes = Callable[[int], None]
"""Told how many more bytes are there; a negative number when a download starts again."""

_BLOCK = 1 << 18
_TIMEOUT = urllib3.Timeout(connect=10, read=30)
_REDIRECTS = urllib3.Retry(total=None, connect=0, read=0, status=0, other=0, redirect=5)
"""A file that was moved is followed, as TUF follows its metadata; its sha256 tells whether it is the right one."""
_TRIES = 6
"""Failures in a row that brought not one byte."""
_SLOW_AFTER, _SLOW = 60, 1000
"""Seconds after which fewer bytes a second than this count as a failure."""


class Source(Protocol):
    """A place that holds a catalog."""

    @property
    def place(self) -> str:
        """URL or folder, for messages."""

    @property
    def fetcher(self) -> FetcherInterface:
        """What TUF reads metadata with."""

    def url(self, path: str) -> str:
        """Address of a file below the catalog."""

    def read(self, path: str, start: int) -> Iterator[bytes]:
        """The bytes of a file from ``start`` on; an OSError or urllib3 error when it breaks off."""


class FolderSource:
    """A catalog in a folder."""

    def __init__(self, folder: Path) -> None:
        if not (folder / "metadata").is_dir():
            fix = "Name the folder that holds metadata/ and targets/, or the URL of a web server."
            raise NotFoundError("There is no catalog here.", where=str(folder), fix=fix)
        self.folder = folder.resolve()
        self.place, self.fetcher = str(self.folder), _Fetcher(self)

    def url(self, path: str) -> str:
        """A file URL."""
        return f"file://{quote(str(self.folder))}/{path}"

    def read(self, path: str, start: int) -> Iterator[bytes]:
        """The bytes of a file from ``start`` on."""
        with _inside(self.folder, path).open("rb") as file:
            file.seek(start)
            while block := file.read(_BLOCK):
                yield block


class WebSource:
    """A catalog on a web server; proxies as the environment names them."""

    def __init__(self, url: str) -> None:
        self.place = url.rstrip("/")
        self.fetcher = _Fetcher(self)
        parts = urlsplit(self.place)
        proxy = getproxies().get(parts.scheme)
        direct = not proxy or proxy_bypass(parts.hostname or "")
        self._pool = urllib3.PoolManager() if direct or not proxy else urllib3.ProxyManager(proxy)

    def url(self, path: str) -> str:
        """Address of a file below the catalog."""
        return f"{self.place}/{path}"

    def read(self, path: str, start: int) -> Iterator[bytes]:
        """The bytes of a file from ``start`` on; the whole file is skipped through where ranges are not served."""
        headers = (
            {"Range": f"bytes={start}-", "Accept-Encoding": "identity"} if start else {"Accept-Encoding": "identity"}
        )
        answer = self._pool.request(
            "GET", self.url(path), headers=headers, preload_content=False, timeout=_TIMEOUT, retries=_REDIRECTS,
        )  # fmt: skip
        try:
            if answer.status == 416:
                return  # the server has nothing behind what is here
            if answer.status not in (200, 206):
                raise _Refusal(answer.status)
            served = answer.headers.get("Content-Range", "").removeprefix("bytes ").partition("-")[0]
            skip = start if answer.status == 200 else start - int(served) if served.isdigit() else -1
            if skip < 0:
                raise OSError("the server answered with another part of the file")
            for block in answer.stream(_BLOCK, decode_content=False):
                yield block[skip:] if skip < len(block) else b""
                skip = max(0, skip - len(block))
        finally:
            answer.close()


def open_source(place: str) -> Source:
    """A web server or a folder, by what its name looks like.

    Raises:
        SettingsError: A scheme that is not read.
        NotFoundError: The folder holds no catalog.
    """
    scheme = urlsplit(place).scheme.lower()
    if scheme in ("http", "https"):
        return WebSource(place)
    if scheme == "file":
        return FolderSource(Path(url2pathname(urlsplit(place).path)))
    if len(scheme) > 1:
        fix = "Use http://, https:// or a folder."
        raise SettingsError(f"A catalog is not read by {scheme}://.", where=place, fix=fix)
    return FolderSource(Path(place))


def download(source: Source, path: str, part: Path, *, size: int, sha256: str, on_bytes: OnBytes) -> None:
    """Fetch a file into ``part``, going on where an earlier try ended.

    Raises:
        NotFoundError: The file is not there, or the server does not answer.
        IntegrityError: What came twice is not the file that was announced.
        NoSpaceError: The disk is full.
    """
    failures, wrong = 0, 0
    with disk_errors_told(part), part.open("ab") as file:
        on_bytes(_drop_excess(file, size))
        while True:
            before = file.tell()
            try:
                if before < size or not size:
                    _append(source, path, file, size, on_bytes)
            except (OSError, urllib3.exceptions.HTTPError, ValueError) as error:
                if not is_network(error):
                    raise
                failures = 0 if file.tell() > before else failures + 1
                if failures >= _TRIES or _is_final(error):
                    raise _unreachable(source, path, error) from None
                time.sleep(min(0.05 * 2**failures, 2) if failures else 0)
                continue
            if file.tell() == size and _sha256(part) == sha256:
                return
            if file.tell() == size or file.tell() == before:  # wrong, or the server has no more of it
                wrong += 1
                on_bytes(-file.tell())
                _restart(file)
            if wrong == 3:
                told = f"{Path(path).name.partition('.')[2]} is not the file that the catalog announces."
                raise IntegrityError(told, where=source.url(path), fix="Try again later; tell the catalog's owner.")


def _append(source: Source, path: str, file: BinaryIO, size: int, on_bytes: OnBytes) -> None:
    """Append what comes, never more than the announced size."""
    for block in _fast_enough(source.read(path, file.tell())):
        taken = block[: size - file.tell()]
        file.write(taken)
        file.flush()
        on_bytes(len(taken))
        if len(taken) < len(block):
            return


def _fast_enough(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """The blocks; an OSError when they drip so slowly that the caller would hang."""
    started, got = time.monotonic(), 0
    for block in blocks:
        yield block
        got += len(block)
        seconds = time.monotonic() - started
        if seconds > _SLOW_AFTER and got < _SLOW * seconds:
            raise OSError("the server sends too slowly")


def _drop_excess(file: BinaryIO, size: int) -> int:
    """Length of what an earlier try left; nothing when it is longer than the file can be."""
    length = file.seek(0, 2)
    if length > size:
        _restart(file)
        return 0
    return length


def _restart(file: BinaryIO) -> None:
    file.truncate(0)
    file.seek(0)


class _Refusal(OSError):
    """An HTTP status other than 200 and 206."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the server answers {status}")
        self.status = status
        self.final = 400 <= status < 500 and status not in (408, 416, 425, 429)


class _Fetcher(FetcherInterface):
    """How TUF reads metadata: like any other file of the source."""

    def __init__(self, source: Source) -> None:
        self.source = source

    def _fetch(self, url: str) -> Iterator[bytes]:
        try:
            yield from _fast_enough(self.source.read(url.removeprefix(self.source.url("")), 0))
        except FileNotFoundError:
            raise DownloadHTTPError("no such file", 404) from None
        except _Refusal as error:
            raise DownloadHTTPError(str(error), error.status) from None
        except (OSError, urllib3.exceptions.HTTPError, ValueError) as error:
            raise DownloadError(str(error)) from None


def _inside(folder: Path, path: str) -> Path:
    """A file below the folder, links followed.

    Raises:
        IntegrityError: The path leads out.
    """
    place = (folder / path).resolve()
    if not place.is_relative_to(folder):
        raise IntegrityError(
            f"{path[:200]!r} leads out of the catalog.", where=str(folder), fix="Fetch the catalog again."
        )
    return place


def is_network(error: Exception) -> bool:
    """Whether a failure is the source's, not that of a disk here that is full, over its quota or read-only."""
    return not (isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS))


def _is_final(error: Exception) -> bool:
    """Whether another try would meet the same failure."""
    return isinstance(error, FileNotFoundError) or (isinstance(error, _Refusal) and error.final)


def _unreachable(source: Source, path: str, error: Exception) -> NotFoundError:
    cause = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
    fix = "Check the address and the network, and give the command again: it goes on where it ended."
    return NotFoundError(f"The catalog cannot be read: {cause}", where=source.url(path), fix=fix)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
