"""Everything that `dxai doctor` looks at, in the order in which it says so."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from dxai.catalog.store import HOME, Store
from dxai.doctor.findings import Finding
from dxai.doctor.installation import code, gpu, packages
from dxai.doctor.leftovers import half_outputs, half_pulls, stale_locks
from dxai.doctor.places import disks, folders
from dxai.doctor.runs import dead_runs, events_waiting, open_runs
from dxai.doctor.servers import catalogs, tracking_server
from dxai.errors import DxaiError
from dxai.files import checkout_above


def examine(start: Path) -> Iterator[Finding]:
    """Findings about this installation, this user's store, and the checkout around ``start``, if there is one."""
    checkout, store = checkout_above(start) if os.access(start, os.R_OK) else None, Store()
    places = {"temporary files": Path(tempfile.gettempdir()), f"models ({HOME})": store.folder}
    if checkout:
        places |= {"checkout": checkout, "runs": checkout / "runs", "data": checkout / "data"}
    looks: list[Callable[[], Iterator[Finding]]] = [
        lambda: packages(checkout), lambda: code(checkout), gpu, lambda: disks(places), lambda: folders(places),
        lambda: half_pulls(store), lambda: stale_locks(store, checkout), lambda: catalogs(store),
    ]  # fmt: skip
    if checkout:
        looks += [
            lambda: dead_runs(checkout), lambda: half_outputs(checkout), lambda: tracking_server(checkout),
            lambda: events_waiting(checkout), lambda: open_runs(checkout),
        ]  # fmt: skip
    else:
        yield Finding("note", "checkout", "This folder is not inside one: runs and tracking are not looked at.")
    for look in looks:
        try:
            yield from look()
        except (OSError, ValueError, DxaiError) as error:  # one look that fails does not hide what the others see
            told = str(error).splitlines()[0] if str(error) else type(error).__name__
            yield Finding("problem", "doctor", f"One look failed: {told}")
