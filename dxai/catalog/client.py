"""The firm's side of a catalog: TUF decides what is genuine and new; every attack has its own sentence."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path

from dxai.catalog.http import urllib3  # before tuf

# isort: split
from filelock import FileLock
from tuf.api import exceptions
from tuf.api.metadata import TargetFile
from tuf.ngclient import Updater

from dxai.bundle.signing import Keys
from dxai.catalog.index import INDEX, Index, parse_index
from dxai.catalog.repository import stored_path
from dxai.catalog.source import OnBytes, Source, download, is_network
from dxai.catalog.trust import ROOT, bundle_keys, parse_root, trusted_root
from dxai.errors import DxaiError, NotFoundError, TrustError
from dxai.files import disk_errors_told, write_whole

METADATA = ("root", "timestamp", "snapshot", "targets")
_FAILURES = (
    exceptions.RepositoryError, exceptions.DownloadError, urllib3.exceptions.HTTPError, OSError, ValueError, KeyError,
)  # fmt: skip
_SHA256 = re.compile(r"[0-9a-f]{64}")
_ROLLBACK = re.compile(r"must be >=|\.json version")
"""How TUF's message about an older version differs from that about another version than the one announced."""


class Client:
    """One catalog as this machine knows it, in a folder of the local store.

    Args:
        folder: Holds TUF's trusted metadata and the last index.
        source: Where the catalog is read from.
        trust: Root metadata to start from; None goes on from the one trusted before.

    Raises:
        TrustError: There is no trust root to start from.
    """

    def __init__(self, folder: Path, source: Source, trust: bytes | None) -> None:
        self.folder, self.source = folder, source
        if trust is None and trusted_root(folder) is None:
            raise TrustError(
                "There is no trust root for this catalog.", where=source.place,
                fix="Get root.json from the catalog's owner, by another way than the catalog, and name it with --root.",
            )  # fmt: skip
        if trust is not None:
            parse_root(trust, where="--root")
        self._trust = trust
        self._updater: Updater | None = None

    def refresh(self) -> Index:
        """Read what is new; returns the index.

        Raises:
            TrustError: The metadata is expired, rolled back, mixed, or signed by keys that are not trusted.
            NotFoundError: The catalog cannot be reached.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder / ".lock"):
            self._updater = self._updated()
            content = self._target(INDEX)
            write_whole(self.folder / "catalog.json", json.dumps({"place": self.source.place}).encode())
        return parse_index(content, where=self.source.place)

    def fetch(self, path: str, part: Path, on_bytes: OnBytes) -> None:
        """Fetch one target file, verified, into ``part``; goes on where an earlier try ended."""
        info = self.info(path)
        place = f"targets/{stored_path(info)}"
        download(self.source, place, part, size=info.length, sha256=info.hashes["sha256"], on_bytes=on_bytes)

    def info(self, path: str) -> TargetFile:
        """Size and sha256 of a target file.

        Raises:
            TrustError: The signed metadata does not know it.
        """
        assert self._updater is not None, "refresh comes first"
        info = self._updater.get_targetinfo(path)
        if info is None or not _SHA256.fullmatch(info.hashes.get("sha256", "")):
            told = f"The catalog's signed metadata does not hold {path[:200]!r}."
            raise TrustError(told, where=self.source.place, fix="Tell the catalog's owner.")
        return info

    @property
    def bundle_keys(self) -> Keys:
        """Keys that may sign bundles of this catalog."""
        return trusted_bundle_keys(self.folder)

    def _target(self, path: str) -> bytes:
        part = self.folder / ".part"
        part.unlink(missing_ok=True)
        try:
            self.fetch(path, part, lambda _: None)
            content = part.read_bytes()
            part.replace(self.folder / path)
        finally:
            part.unlink(missing_ok=True)
        return content

    def _updated(self) -> Updater:
        """TUF after its refresh. Only then the root is trusted: a stranger's, named by mistake, leaves no trace."""
        metadata = self.folder / "metadata"
        metadata.mkdir(exist_ok=True)
        url, start = self.source.url("metadata/"), self._trust or trusted_root(self.folder)
        with disk_errors_told(self.folder):
            try:
                updater = Updater(str(metadata), url, fetcher=self.source.fetcher, bootstrap=start)
                updater.refresh()
                write_whole(self.folder / ROOT, (metadata / ROOT).read_bytes())
            except _FAILURES as error:
                if not is_network(error):
                    raise
                raise _told(error, self.source, self.folder) from None
        return updater


def trusted_bundle_keys(folder: Path) -> Keys:
    """Bundle keys of the root that a catalog's folder in the store trusts."""
    content = trusted_root(folder)
    return bundle_keys(parse_root(content, where=str(folder)).signed, where=str(folder)) if content else {}


def _told(error: Exception, source: Source, folder: Path) -> DxaiError:
    """TUF's exception in the words of a person: what was seen, and what may lie behind it."""
    text = " ".join(str(error).split())[:200] or type(error).__name__
    role = next((f"{name} metadata" for name in METADATA if name in text.lower()), "metadata")
    again = "Do not use this copy. Fetch the catalog again by a way you trust, and tell its owner."
    match error:
        case exceptions.ExpiredMetadataError():
            problem = f"The catalog is out of date: its {role} has expired ({_now()} here)."
            again = "Check this machine's clock, then ask for a fresh copy (the owner: `dxai catalog refresh`)."
        case exceptions.BadVersionNumberError() if _ROLLBACK.search(text):
            problem = f"The catalog was rolled back: its {role} is older than what was seen here before."
        case exceptions.BadVersionNumberError():
            problem = f"The catalog is mixed together: its {role} has another version than its index of versions."
        case exceptions.UnsignedMetadataError():
            problem = f"The catalog is not signed by the keys trusted here: its {role} lacks their signatures."
            again = "Is this the right --root for the catalog? If it is, somebody else wrote this copy: do not use it."
        case exceptions.LengthOrHashMismatchError():
            problem = f"The catalog is mixed together: its {role} is not the one that was announced."
        case exceptions.DownloadLengthMismatchError():
            problem = "The catalog sends more bytes than metadata may have."
        case exceptions.RepositoryError() | ValueError() | KeyError():
            problem = f"The catalog's {role} cannot be read: {text}."
        case exceptions.DownloadHTTPError() if error.status_code in (403, 404):
            problem = "The catalog lacks a file of its metadata."
            if not (folder / "metadata/timestamp.json").exists():
                fix = "Name the folder that holds metadata/ and targets/."
                return NotFoundError("There is no catalog here.", where=source.place, fix=fix)
        case _:
            fix = "Check the address and the network. What was pulled before works on without it."
            return NotFoundError(f"The catalog cannot be reached: {text}.", where=source.place, fix=fix)
    return TrustError(problem, where=source.place, fix=again)


def _now() -> str:
    return datetime.now(UTC).date().isoformat()
