"""A data package: one zip file of a contract, its table, their description, the policy and checksums.

Whoever receives one need not trust it. Its members are a closed list and stored as they are, so nothing can unpack to
more bytes than were received; each is held against ``SHA256SUMS`` before the unpacked folder can be seen.
"""

from __future__ import annotations

import errno
import hashlib
import re
import shutil
import stat
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from dxai.data.sources import sha256_of
from dxai.errors import IntegrityError, NotFoundError
from dxai.files import disk_errors_told, whole_folder

CONTRACT, TABLE = "contract.yaml", "table.parquet"
CROISSANT, POLICY, SUMS = "croissant.json", "policy.json", "SHA256SUMS"
MEMBERS = frozenset({CONTRACT, TABLE, CROISSANT, POLICY, SUMS})
"""All that a package may hold; the policy is there when the contract has one."""

_LINE = re.compile(r"([0-9a-f]{64}) [ *](.+)")
_ASK_AGAIN = "Do not use it; ask its provider for the package again."


def open_package(path: Path, cache: Path) -> Path:
    """A folder that holds ``contract.yaml`` and ``table.parquet``, of the bytes that their checksums promise.

    Args:
        path: A data folder, the table in one, or a package, which is unpacked.
        cache: Folder of unpacked packages, each under the sha256 of its zip file.

    Raises:
        NotFoundError: There is no such path, no contract or no table.
        IntegrityError: A checksum differs, or the zip file is broken or holds anything else.
    """
    if path.is_dir():
        folder = path
    elif path.is_file() and path.name == TABLE:
        folder = path.parent
    elif path.is_file() and path.suffix == ".zip":
        folder = _unpacked(path, cache)
    else:
        told = "This is no data package." if path.exists() else f"There is no {path.name!r}."
        fix = f"Name a folder with {CONTRACT} and {TABLE}, or a package that `dxai data pack` made."
        raise NotFoundError(told, where=str(path), fix=fix)
    refuse_missing(folder)
    if (folder / SUMS).is_file():
        fix = f"If you changed it yourself, delete {SUMS} beside it; otherwise get it again."
        _refuse_other_bytes(folder, str(folder), fix)
    return folder


def refuse_missing(folder: Path) -> None:
    """Raise a NotFoundError with the command that makes what a data folder lacks."""
    if not folder.is_dir():
        raise NotFoundError(f"There is no folder {folder.name!r}.", where=str(folder), fix="Check the path.")
    make = {
        CONTRACT: f"Draft one with `dxai data init FILE --target COLUMN` and save it as {folder / CONTRACT}.",
        TABLE: f"dxai data convert FILE -c {folder / CONTRACT} -o {folder / TABLE}",
    }
    for name, command in make.items():
        if not (folder / name).is_file():
            raise NotFoundError(f"This data folder has no {name}.", where=str(folder), fix=command)


def _unpacked(path: Path, cache: Path) -> Path:
    with path.open("rb") as file, _read_errors_told(path):
        target = cache / hashlib.file_digest(file, "sha256").hexdigest()[:16]
        if not target.is_dir():
            archive = zipfile.ZipFile(file)
            _refuse_members(archive.infolist(), path)
            with disk_errors_told(cache):
                _unpack(archive, target, path)
    return target


def _unpack(archive: zipfile.ZipFile, target: Path, path: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(target.parent / ".lock"):
        if target.is_dir():  # another command unpacked it meanwhile
            return
        with whole_folder(target) as work:
            for entry in archive.infolist():
                with archive.open(entry) as member, (work / entry.filename).open("wb") as out:
                    shutil.copyfileobj(member, out, 1 << 20)
            _refuse_other_bytes(work, str(path), _ASK_AGAIN)


def _refuse_members(entries: list[zipfile.ZipInfo], path: Path) -> None:
    """Take the closed list of plain names, each once, no link or folder, not encrypted, not compressed."""
    names = [entry.orig_filename for entry in entries]
    strange = [e.orig_filename for e in entries if e.orig_filename not in MEMBERS or not _plain(e)]
    strange += [name for name in names if names.count(name) > 1]
    missing = MEMBERS - {POLICY} - set(names)
    if strange:
        told = f"The package holds what no package holds: {strange[0][:80]!r}."
    elif missing:
        told = f"The package lacks {', '.join(sorted(missing))}."
    elif sum(entry.file_size for entry in entries) > path.stat().st_size:
        told = "The package claims to hold more bytes than it has."
    else:
        return
    raise IntegrityError(told, where=str(path), fix=_ASK_AGAIN)


def _plain(entry: zipfile.ZipInfo) -> bool:
    kind = stat.S_IFMT(entry.external_attr >> 16)
    stored = entry.compress_type == zipfile.ZIP_STORED and entry.compress_size == entry.file_size
    return kind in (0, stat.S_IFREG) and stored and not entry.flag_bits & 1


def _refuse_other_bytes(folder: Path, where: str, fix: str) -> None:
    """Hold every file of a package against its checksum; each file has one, and no other has."""
    there = {name for name in MEMBERS - {SUMS} if (folder / name).exists()}
    lines = (folder / SUMS).read_text("utf-8", errors="replace").splitlines()
    sums = {match[2]: match[1] for match in map(_LINE.fullmatch, lines) if match}
    if set(sums) != there or len(sums) != len(lines):
        raise IntegrityError(f"{SUMS} does not list the files that are there.", where=where, fix=fix)
    for name in sorted(there):
        if sha256_of(folder / name) != sums[name]:
            raise IntegrityError(f"{name} is not the file that {SUMS} lists.", where=where, fix=fix)


@contextmanager
def _read_errors_told(path: Path) -> Iterator[None]:
    """Tell bytes that are no zip file in one message; what goes wrong with the disk passes."""
    try:
        yield
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError, OSError) as error:
        if isinstance(error, OSError) and error.errno != errno.EINVAL:  # a seek to before the start
            raise
        raise IntegrityError(f"The package cannot be read: {error}.", where=str(path), fix=_ASK_AGAIN) from None
