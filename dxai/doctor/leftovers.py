"""What processes that ended have left: locks, half outputs, half downloads."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from dxai.catalog.store import Store
from dxai.doctor.findings import Finding
from dxai.files import short

_FOLDER = re.compile(r"\.(?P<target>.+)\.[a-z0-9_]{8}(?P<old>\.old)?")
_FILE = re.compile(r"\..+\.[0-9a-f]{8}\.part")
"""Names that `dxai.files` gives what is not whole yet."""
_QUIET = 3600
"""Seconds without a change after which a half output belongs to nobody, where no lock says so earlier."""
_REMOVE = "dxai doctor --fix takes it away."


def held(lock: Path) -> bool:
    """Whether a living process holds this lock file; nothing is written."""
    if not lock.is_file():
        return False
    if holders(lock):
        return any(map(_lives, holders(lock)))
    try:
        import fcntl
    except ImportError:  # Windows
        return _held_elsewhere(lock)
    descriptor = os.open(lock, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def holders(lock: Path) -> list[int]:
    """Process ids in a lock file of this machine: of DVC, or where the file system has no locks and a file is one."""
    text = lock.read_text("utf-8", errors="replace")[:100_000]
    with suppress(ValueError):
        if isinstance(json.loads(text), dict):
            return [int(pid) for pid in re.findall(r'"pid": *(\d+)', text)]
    lines = text.split("\n")
    ours = len(lines) < 2 or lines[1].strip() in ("", socket.gethostname())
    return [int(lines[0])] if ours and re.fullmatch(r"[0-9]{1,10}", lines[0].strip()) else []


def stale_locks(store: Store, checkout: Path | None) -> Iterator[Finding]:
    """Lock files that name processes which are gone; the system's own locks go with their process."""
    locks = [*store.folder.glob("locks/*.lock"), *store.folder.glob("catalogs/*/.lock")]
    if checkout:
        locks += [checkout / "data" / ".lock", checkout / ".dvc" / "tmp" / "rwlock"]
        locks += [*checkout.glob("runs/**/*.unfinished/.lock"), *checkout.glob("runs/.tracking/*.lock")]
    stale = 0
    for lock in (lock for lock in locks if lock.is_file()):
        pids = holders(lock)
        orphan = lock.parent.name == ".tracking" and not lock.with_suffix(".jsonl").exists() and not held(lock)
        if orphan or (pids and not any(map(_lives, pids))):
            stale += 1
            whose = f"process {', '.join(map(str, pids))}, which is gone" if pids else "a process that is gone"
            yield Finding("problem", "lock", f"{short(lock)} is held for {whose}.", _REMOVE, _removal(lock))
    if not stale:
        yield Finding("ok", "lock", "No lock is held for a process that is gone.")


def half_outputs(checkout: Path) -> Iterator[Finding]:
    """Temporary folders and files of commands that ended before they were done."""
    scraps = [p for name in ("runs", "models", "data") for p in (checkout / name).glob("**/.*") if _is_half(p)]
    for scrap in sorted(scrap for scrap in scraps if not _in_use(scrap)):
        named = _FOLDER.fullmatch(scrap.name)
        first = scrap.with_name(scrap.name.removesuffix(".old"))
        old = first.with_name(f"{first.name}.old")
        if named and scrap.is_dir() and old.is_dir() and not (target := scrap.with_name(named["target"])).exists():
            if scrap == old:  # the process ended between two renames
                told = f"{short(target)} was being replaced: the old one is {old.name}, a new one {first.name}."
                yield Finding("problem", "output", told, f"mv {short(old)} {short(target)}")
            continue
        told = f"{short(scrap)} is half of an output; the command that wrote it has ended."
        yield Finding("problem", "output", told, _REMOVE, _removal(scrap))
    if not scraps:
        yield Finding("ok", "output", "None is half-written.")


def half_pulls(store: Store) -> Iterator[Finding]:
    """Downloads and removals in the store that were stopped."""
    found = 0
    for scrap in sorted((store.folder / "models").glob("*/.*")):
        version, _, state = scrap.name[1:].rpartition(".")
        name = scrap.parent.name
        if state not in ("partial", "removed", "old") or held(store.folder / "locks" / f"{name}-{version}.lock"):
            continue
        found += 1
        whole = store.place(name, version).exists()
        if state == "removed" or whole:
            told = f"{short(scrap)} is left of a command that has ended."
            yield Finding("problem", "store", told, _REMOVE, _removal(scrap))
        elif state == "partial":
            size = sum(file.stat().st_size for file in scrap.rglob("*") if file.is_file())
            told = f"A pull of {name} {version} was stopped after {size / 1e6:.1f} MB."
            yield Finding("note", "store", told, f"`dxai pull {name}@{version}` goes on; or delete {scrap}.")
    for scrap in store.folder.glob("accepted/.*.part"):
        if not _in_use(scrap):
            found += 1
            yield Finding("problem", "store", f"{short(scrap)} is left of a pull.", _REMOVE, _removal(scrap))
    if not found:
        yield Finding("ok", "store", f"{len(store.bundles())} models in {store.folder}, none in part.")


def _is_half(path: Path) -> bool:
    return bool(_FOLDER.fullmatch(path.name) if path.is_dir() else _FILE.fullmatch(path.name))


def _in_use(scrap: Path) -> bool:
    """Whether a process may be at it: by the lock of its run, or because it has changed of late."""
    if (named := _FOLDER.fullmatch(scrap.name)) and named["target"] == "train" and scrap.is_dir():
        return held(scrap.with_name("train.unfinished") / ".lock")
    changed = [scrap.stat().st_mtime, *(p.stat().st_mtime for p in scrap.rglob("*"))]
    return time.time() - max(changed) < _QUIET


def _removal(path: Path) -> Callable[[], str]:
    def remove() -> str:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        return f"removed {short(path)}"

    return remove


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _held_elsewhere(lock: Path) -> bool:
    probe = FileLock(lock, timeout=0)
    try:
        probe.acquire()
    except Timeout:
        return True
    probe.release()
    return False
