"""Files that are there whole or not at all."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from dxai.errors import NoSpaceError, SettingsError


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """A temporary folder beside ``target`` that takes its place when the block ends well, and vanishes otherwise.

    Raises:
        NoSpaceError: The disk is full; what was there before is untouched.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    work.chmod(0o755)
    try:
        with disk_errors_told(target):
            yield work
            if target.exists():
                old = work.with_name(work.name + ".old")
                target.rename(old)
                work.rename(target)
                shutil.rmtree(old)
            else:
                work.rename(target)
    finally:
        shutil.rmtree(work, ignore_errors=True)


@contextmanager
def whole_file(target: Path) -> Iterator[BinaryIO]:
    """A file to write that appears as ``target`` when the block ends well, and vanishes otherwise.

    Raises:
        NoSpaceError: The disk is full; what was there before is untouched.
    """
    partial = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")  # others may write the same file
    try:
        with disk_errors_told(target):
            with partial.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def write_whole(target: Path, content: bytes) -> None:
    """Write a file in one step."""
    with whole_file(target) as file:
        file.write(content)


def write_durably(target: Path, content: bytes) -> None:
    """Write a file in one step, flush it to the disk with its folder, and read it again.

    Raises:
        NoSpaceError: The disk is full; the file is the old one or the new one.
        OSError: The disk does not give back what was written.
    """
    write_whole(target, content)
    if os.name == "posix":  # elsewhere a folder cannot be flushed
        descriptor = os.open(target.parent, os.O_RDONLY)
        try:
            with disk_errors_told(target):
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
    if target.read_bytes() != content:
        raise OSError(errno.EIO, "what was written cannot be read again", str(target))


@contextmanager
def disk_errors_told(place: Path) -> Iterator[None]:
    """Tell a full or read-only disk in one message."""
    try:
        yield
    except PermissionError as error:
        told = f"Writing is not permitted: {error.strerror}."
        raise SettingsError(told, where=str(error.filename or place), fix="Choose a folder of your own.") from None
    except OSError as error:
        if error.errno != errno.ENOSPC and "os error 28" not in str(error):
            raise
        raise _no_space(place) from None
    except Exception as error:  # libraries in Rust tell it in words only
        if "os error 28" not in str(error):
            raise
        raise _no_space(place) from None


def _no_space(place: Path) -> NoSpaceError:
    return NoSpaceError("The disk is full.", where=str(place), fix="Free some space and give the command again.")


def short(path: Path) -> str:
    """For people: relative to where they stand, when the path lies below."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def checkout_above(start: Path) -> Path | None:
    """The nearest folder at or above ``start`` that holds configs/run.yaml."""
    return next((folder for folder in (start, *start.parents) if (folder / "configs" / "run.yaml").is_file()), None)
