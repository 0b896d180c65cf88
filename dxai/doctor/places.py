"""Places that are written to: room on their disks, and permission."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from dxai.doctor.findings import Finding
from dxai.files import short

_FULL, _TIGHT = 0.5e9, 3e9
"""Free bytes below which a training may not end, and below which somebody should look."""


def disks(places: Mapping[str, Path]) -> Iterator[Finding]:
    """Free room, once for every disk."""
    by_disk = {nearest.stat().st_dev: nearest for nearest in map(_existing, places.values())}
    for place in by_disk.values():
        free = shutil.disk_usage(place).free
        told = f"{free / 1e9:.1f} GB are free on the disk of {short(place)}."
        if free < _FULL:
            yield Finding("problem", "disk", told, "Free some space: old folders in runs/, mlartifacts/, .dvc/cache.")
        elif free < _TIGHT:
            yield Finding("note", "disk", told, "Free some space soon: old folders in runs/, mlartifacts/, .dvc/cache.")
        else:
            yield Finding("ok", "disk", told)


def folders(places: Mapping[str, Path]) -> Iterator[Finding]:
    """Whether this user can write where commands write, or make the folder where it is not there yet."""
    wrong = False
    for name, place in places.items():
        nearest = _existing(place)
        if not nearest.is_dir():
            wrong = True
            yield Finding("problem", "folder", f"{name}: {nearest} is not a folder.", "Move it away, or name another.")
        elif not os.access(nearest, os.W_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids):
            wrong = True
            fix = f"chown or chmod {nearest}, or name another folder."
            yield Finding("problem", "folder", f"{name}: {nearest} cannot be written to.", fix)
    if not wrong:
        yield Finding("ok", "folder", f"All can be written to: {', '.join(places)}.")


def _existing(place: Path) -> Path:
    """The place, or the nearest above it that exists."""
    return next(each for each in (place, *place.parents) if each.exists())
